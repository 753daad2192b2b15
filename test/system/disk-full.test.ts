import { join } from "node:path";
import { beforeEach, describe, expect, type TestContext, test } from "vitest";
import { patientId } from "../../src/core/ids.ts";
import { attackedWardOfEachTest } from "../support/attacked-ward.ts";
import { audit, NOTHING_WRONG, readJournal } from "../support/delivery-audit.ts";
import { type Mosquitto, mosquittoIsMissing } from "../support/mosquitto.ts";
import { keepBusy, lostActs } from "../support/power-load.ts";
import { admitWard, openFaults, perform, runSupervised, verify, writeConfig } from "../support/real-gateway.ts";
import { seededRandom } from "../support/seeded-random.ts";
import { BAD_PRESSURE, GOOD_PRESSURE, type SettableWard } from "../support/settable-ward.ts";
import { mountSmallDisk, type SmallDisk } from "../support/small-disk.ts";
import type { Stage } from "../support/stage.ts";
import { pause, until } from "../support/until.ts";
import { type Recorder, startRecorder } from "../support/upstream-recorder.ts";

const DISK_MEGABYTES = 48;
/** How long the disk is full: long enough for some thousand records to wait, far below the bound of the queue. */
const FULL_MS = 20_000;
const BEDS = 8;
const CYCLES = 5;
const SEED = 20260909;

const attacked = attackedWardOfEachTest(BEDS);
let stage: Stage;
let ward: SettableWard;
let broker: Mosquitto;
let recorder: Recorder;
let recordFile: string;

beforeEach(async () => {
  ({ stage, ward, broker } = attacked());
  recordFile = join(stage.folder, "received.jsonl");
  recorder = await startRecorder(stage, { port: broker.port, recordFile });
});

/** The small disk of a test; where it may not be mounted, the test is skipped, and what is not tested then is said. */
function mountOrSkip(context: TestContext, what: string): SmallDisk {
  const disk = mountSmallDisk(stage, DISK_MEGABYTES);
  if (typeof disk !== "string") return disk;
  process.stderr.write(`NOT TESTED: ${what}, because it may not be mounted here: ${disk}\n`);
  return context.skip();
}

/** Fills the disk, and takes what the gateway gives up at once, as a program does that writes without end. Returns how to free it. */
function keepFull(disk: SmallDisk): () => void {
  disk.fill();
  const timer = setInterval(() => disk.fill(), 50);
  stage.defer(() => clearInterval(timer));
  return () => {
    clearInterval(timer);
    disk.free();
  };
}

/** When the alert of this patient's cuff pressure first came, and whether it was said to be on disk. */
function pressureAlert(patient: string) {
  return recorder
    .alerts()
    .find(({ record }) => record.rule === "limit.systolicPressure.low" && record.subject.patientId === patient);
}

describe.skipIf(mosquittoIsMissing)("a full disk", () => {
  test("alerts go on without the disk, it is told once, and after freeing everything is kept under the numbers it left with", {
    timeout: 180_000,
  }, async (context) => {
    const disk = mountOrSkip(context, "a full disk under the gateway");
    const files = await writeConfig(stage, { ward, brokerPort: broker.port, dataFolder: disk.folder, journalMegabytes: 32 });
    const gateway = await runSupervised(stage, files);
    await admitWard(files, ward);
    const [first, second, third] = ward.beds;
    if (first === undefined || second === undefined || third === undefined) throw new Error("there are beds");
    first.takeCuffPressure(...BAD_PRESSURE);
    await until("an alert with the disk well", () => pressureAlert(first.patientId));
    expect(pressureAlert(first.patientId)?.durable).toBe(true);

    const free = keepFull(disk);
    await until("the full disk is told", async () => (await openFaults(files, "journal-disk-full")).length > 0, 60_000);
    // A patient who gets worse now: from the device's next second over the gateway to the receiver.
    const worseMs = performance.now();
    second.takeCuffPressure(...BAD_PRESSURE);
    const alarmed = await until("the alert comes although the disk is full", () => pressureAlert(second.patientId), 5000);
    expect(alarmed.atMs - worseMs).toBeLessThanOrEqual(3000);
    expect(alarmed.durable).toBe(false);
    const act = await perform(files, { kind: "enter-oxygen", patientId: patientId(third.patientId), onOxygen: true });
    expect(act).toMatchObject({ ok: true, value: { durable: false } });
    const told = recorder.alerts().find(({ record }) => record.rule === "fault.journal-disk-full");
    expect(told).toMatchObject({ durable: false, record: { priority: "medium", nature: "technical", phase: "start" } });
    await pause(FULL_MS);
    third.takeCuffPressure(...BAD_PRESSURE);
    await until("a third alert comes while it is still full", () => pressureAlert(third.patientId), 5000);
    expect(pressureAlert(third.patientId)?.durable).toBe(false);

    free();
    await until("it is over without a restart", async () => (await openFaults(files, "journal-disk-full")).length === 0, 30_000);
    third.takeCuffPressure(...GOOD_PRESSURE);
    const ended = await until("an alert's end is on disk again", () =>
      recorder
        .alerts()
        .find(({ record, durable }) => durable && record.state === "ended" && record.subject.patientId === third.patientId),
    );
    expect(gateway.events().filter((event) => event.kind === "gateway-started")).toHaveLength(1);
    await pause(2000);
    gateway.supervisor.signal("SIGTERM");
    expect(await gateway.supervisor.exited).toBe(0);
    await pause(300);

    const kept = await readJournal(files);
    const delivered = recorder.delivered();
    expect(audit(delivered, kept)).toEqual(NOTHING_WRONG);
    // Also what left before it was on disk lies there now, under its number and unchanged.
    const early = delivered.filter(({ durable }) => !durable);
    expect(early.length).toBeGreaterThanOrEqual(3);
    for (const each of early) expect(kept.bySeq.get(each.seq)?.content).toBe(each.content);
    // Nothing was given up: all that was held in memory was written, the act and the observations of those seconds among it.
    const records = [...kept.bySeq];
    expect(records.flatMap(([, { record }]) => (record?.kind === "loss" && record.what === "records" ? [record] : []))).toEqual(
      [],
    );
    if (act?.ok === true)
      expect(kept.bySeq.get(act.value.seq)?.record).toMatchObject({ kind: "act", deed: { kind: "enter-oxygen" } });
    const whileFull = records.filter(([seq, { kind }]) => kind === "observation" && seq > (told?.seq ?? 0) && seq < ended.seq);
    expect(whileFull.length).toBeGreaterThan((BEDS * 8 * FULL_MS) / 1000);
    expect(
      recorder.alerts().filter(({ record }) => record.rule === "fault.journal-disk-full" && record.phase === "start"),
    ).toHaveLength(1);
    expect(recorder.alerts().filter(({ record }) => record.rule === "fault.journal-write-failed")).toEqual([]);
  });

  test(`${CYCLES} times full and freed in one life: each time it is told and ends, and at the end nothing is missing`, {
    timeout: 240_000,
  }, async (context) => {
    const disk = mountOrSkip(context, "a disk that is full again and again");
    const files = await writeConfig(stage, { ward, brokerPort: broker.port, dataFolder: disk.folder, journalMegabytes: 32 });
    const gateway = await runSupervised(stage, files);
    await admitWard(files, ward);
    const load = keepBusy(stage, { files, ward, random: seededRandom(SEED) });
    const earlyActs = new Map<number, string>();
    for (let cycle = 0; cycle < CYCLES; cycle++) {
      const patient = ward.beds[cycle % BEDS]?.patientId ?? "";
      const free = keepFull(disk);
      await until("the full disk is told", async () => (await openFaults(files, "journal-disk-full")).length > 0, 60_000);
      const act = await perform(files, { kind: "enter-oxygen", patientId: patientId(patient), onOxygen: true });
      expect(act, `cycle ${cycle}`).toMatchObject({ ok: true, value: { durable: false } });
      if (act?.ok === true) earlyActs.set(act.value.seq, patient);
      await pause(2000 + cycle * 500);
      free();
      await until("it is over", async () => (await openFaults(files, "journal-disk-full")).length === 0, 30_000);
      await pause(1500);
    }
    await load.stop();
    await pause(2000);
    gateway.supervisor.signal("SIGTERM");
    expect(await gateway.supervisor.exited).toBe(0);
    await pause(300);
    const told = recorder.alerts().filter(({ record }) => record.rule === "fault.journal-disk-full");
    const kept = await readJournal(files);
    const figures = `${CYCLES} times full, seed ${SEED}: ${kept.bySeq.size} records, ${recorder.delivered().length} deliveries, ${recorder.alerts().length} alerts (${recorder.alerts().filter(({ durable }) => !durable).length} before they were on disk), ${load.durableActs.size} durable acts`;
    process.stdout.write(`${figures}\n`);
    expect(audit(recorder.delivered(), kept), figures).toEqual(NOTHING_WRONG);
    expect(kept.faultsAtOpen, figures).toEqual([]);
    expect(
      [...kept.bySeq.values()].filter(({ record }) => record?.kind === "loss" && record.what === "records"),
      figures,
    ).toEqual([]);
    expect(lostActs(new Map([...load.durableActs, ...earlyActs]), kept), figures).toEqual([]);
    expect(new Set(told.filter(({ record }) => record.phase === "start").map(({ record }) => record.id)).size, figures).toBe(
      CYCLES,
    );
    expect(
      gateway.events().filter((event) => event.kind === "gateway-started"),
      figures,
    ).toHaveLength(1);
    expect(await verify(stage, { ...files, recordFile }), figures).toMatchObject({ exitCode: 0 });
  });

  test("a gateway killed while the disk is full alarms again on the full disk, and never gives a number again that had left", {
    timeout: 180_000,
  }, async (context) => {
    const disk = mountOrSkip(context, "a kill on a full disk");
    const files = await writeConfig(stage, { ward, brokerPort: broker.port, dataFolder: disk.folder, journalMegabytes: 32 });
    const gateway = await runSupervised(stage, files);
    await admitWard(files, ward);
    const [first, second, third] = ward.beds;
    if (first === undefined || second === undefined || third === undefined) throw new Error("there are beds");
    await pause(3000);
    const free = keepFull(disk);
    await until("the full disk is told", async () => (await openFaults(files, "journal-disk-full")).length > 0, 60_000);
    first.takeCuffPressure(...BAD_PRESSURE);
    const early = await until("an alert comes that is not on disk", () => pressureAlert(first.patientId), 5000);
    expect(early.durable).toBe(false);
    // What left so far was numbered behind what is on disk; the next life must not use these numbers.
    await pause(3000);
    process.kill(gateway.gatewayPid(), "SIGKILL");
    const killedMs = performance.now();
    second.takeCuffPressure(...BAD_PRESSURE);
    const again = await until("it alarms again although the disk is still full", () => pressureAlert(second.patientId), 15_000);
    // From the kill to the arrival upstream, the supervisor's restart and up to a second until the device speaks included.
    expect(again.atMs - killedMs).toBeLessThanOrEqual(5000);
    free();
    await until("the disk is well", async () => (await openFaults(files, "journal-disk-full")).length === 0, 30_000);
    third.takeCuffPressure(...BAD_PRESSURE);
    await until("alerts are on disk again", () => pressureAlert(third.patientId)?.durable === true);
    await pause(2000);
    gateway.supervisor.signal("SIGTERM");
    expect(await gateway.supervisor.exited).toBe(0);
    await pause(300);

    const kept = await readJournal(files);
    expect(audit(recorder.delivered(), kept)).toEqual(NOTHING_WRONG);
    // It was really lost here: only its number tells it from another.
    expect(kept.bySeq.has(early.seq)).toBe(false);
    // The first patient is still ill, and the cuff's result of then is lost with the alert: the monitor still shows it, so it alarms anew.
    const anew = recorder
      .alerts()
      .filter(
        ({ record, key }) =>
          record.subject.patientId === first.patientId && record.rule === early.record.rule && key !== early.key,
      );
    expect(anew.some(({ record }) => record.phase === "start")).toBe(true);
  });
});
