import { beforeEach, describe, expect, test } from "vitest";
import { patientId } from "../../src/core/ids.ts";
import { attackedWardOfEachTest } from "../support/attacked-ward.ts";
import { type Mosquitto, mosquittoIsMissing } from "../support/mosquitto.ts";
import { expectAllThere, type PoweredGateway, startPowered } from "../support/power-cuts.ts";
import { compilerIsMissing } from "../support/power-disk.ts";
import { victimOf } from "../support/power-load.ts";
import { openFaults, perform } from "../support/real-gateway.ts";
import type { SettableWard } from "../support/settable-ward.ts";
import type { Stage } from "../support/stage.ts";
import { pause, until } from "../support/until.ts";

const SEED = 20260808;
const BEDS = 20;
/** How long no fsync succeeds. */
const FAILING_MS = 8000;
/** Files whose fsync fails, and how often before it is well again; without a number until the test heals it. */
const EPISODES = [
  { pattern: "*-wal", count: 1 },
  { pattern: "kept.sqlite*", count: 2 },
  { pattern: "observations-*", count: 1 },
  { pattern: "*", count: 3 },
  { pattern: "*.sqlite", count: 1 },
] as const;

const attacked = attackedWardOfEachTest(BEDS);
let stage: Stage;
let ward: SettableWard;
let broker: Mosquitto;
let powered: PoweredGateway;

beforeEach(() => {
  ({ stage, ward, broker } = attacked());
});

const failing = async () => (await openFaults(powered.files, "journal-write-failed")).length > 0;

/** Makes a patient worse and waits for the alert. */
async function alarm(number: number) {
  const victim = victimOf(ward, number);
  const worseMs = performance.now();
  victim.worsen();
  const heard = await until(`${victim.patientId} alarms`, () => victim.alertAfter(powered.recorder, worseMs), 10_000);
  return { heard, tookMs: heard.atMs - worseMs };
}

describe.skipIf(mosquittoIsMissing || compilerIsMissing)("fsync fails with EIO", () => {
  test("alerts go on, said not to be on disk; it is told and ends; after a power cut nothing said committed is missing", {
    timeout: 180_000,
  }, async () => {
    powered = await startPowered({ stage, ward, broker, seed: SEED });
    const { disk, recorder, files } = powered;
    await pause(2000);
    disk.failSyncs({ pattern: "*.sqlite*" });
    await until("it is told", failing, 20_000);
    const during = await alarm(0);
    expect(during.heard.durable).toBe(false);
    expect(during.tookMs).toBeLessThanOrEqual(3000);
    const patient = patientId(ward.beds[0]?.patientId ?? "");
    expect(await perform(files, { kind: "enter-oxygen", patientId: patient, onOxygen: true })).toMatchObject({
      ok: true,
      value: { durable: false },
    });
    await pause(FAILING_MS);
    expect(await failing()).toBe(true);
    expect(disk.counts().syncsFailed).toBeGreaterThan(3);
    disk.healSyncs();
    await until("it is over", async () => !(await failing()), 30_000);
    const told = recorder.alerts().filter(({ record }) => record.rule === "fault.journal-write-failed");
    expect(told.filter(({ record }) => record.phase === "start")).toHaveLength(1);
    expect(told.some(({ record }) => record.priority === "medium" && record.nature === "technical")).toBe(true);
    const after = await alarm(1);
    expect(after.heard.durable).toBe(true);
    await pause(2000);
    const committedUpTo = recorder.heartbeats().at(-1)?.message.committedSeq ?? 0;
    const cut = await powered.cut();
    const examined = await powered.examine();
    const about = `seed ${SEED}: ${JSON.stringify(cut)}`;
    expectAllThere(examined, about);
    // What was made while nothing could be written lies there now, under the number it left with.
    for (const { heard } of [during, after]) expect(examined.kept.bySeq.get(heard.seq)?.content, about).toBe(heard.content);
    expect(examined.kept.lastSeq, about).toBeGreaterThanOrEqual(committedUpTo);
    const events = powered.gateway().events();
    const starts = events.filter((event) => event.kind === "gateway-started");
    expect(starts, `${about}, ${JSON.stringify(events)}`).toHaveLength(1);
  });

  test("one failed fsync, of whatever file, costs nothing that is said committed afterwards", { timeout: 240_000 }, async () => {
    powered = await startPowered({ stage, ward, broker, seed: SEED + 1 });
    const { disk } = powered;
    for (const [index, episode] of EPISODES.entries()) {
      await pause(1500);
      disk.failSyncs(episode);
      // The database files themselves are synced only now and then.
      if (episode.pattern === "*.sqlite") await pause(3000);
      else await until("they have failed", () => disk.counts().syncsFailed >= episode.count);
      const { syncsFailed } = disk.counts();
      disk.healSyncs();
      await until("it is well", async () => !(await failing()), 30_000);
      await pause(2000);
      await powered.cut();
      const about = `${JSON.stringify(episode)}, ${syncsFailed} fsyncs failed, seed ${SEED + 1}`;
      expectAllThere(await powered.examine(), about);
      await powered.start();
      const { heard } = await alarm(index);
      expect(heard.durable, about).toBe(true);
    }
  });
});
