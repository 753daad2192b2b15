import { join } from "node:path";
import { expect } from "vitest";
import { type Audit, audit, type Kept, NOTHING_WRONG, readJournal } from "./delivery-audit.ts";
import type { Mosquitto } from "./mosquitto.ts";
import { type BusyWard, keepBusy, lostActs, startConfirming, type Victim, victimOf } from "./power-load.ts";
import { admitWard, backlogOf, type Files, runSupervised, type SupervisedGateway, verify, writeConfig } from "./real-gateway.ts";
import { type SeededRandom, seededRandom } from "./seeded-random.ts";
import type { SettableWard } from "./settable-ward.ts";
import type { Stage } from "./stage.ts";
import { pause, until } from "./until.ts";
import { openUpstreamLink, type UpstreamLink } from "./upstream-link.ts";
import { type Recorder, startRecorder } from "./upstream-recorder.ts";

/** A supervisor goes into safe mode at the third crash within five minutes; a person who restarts it makes it forget. */
const KILLS_PER_SUPERVISOR = 2;
/** Each second supervisor's gateways write as to an SD card, at its worst, 20 ms and often 1.2 s a sync, so that alerts leave before they are on disk. */
const SLOW_DISK = { VIGIL_SIMULATED_DISK: "20,1200,0.4,7" };
/** Devices whose waves are looked for in the ring, and how many waves of theirs must be there. All devices' waves are recorded. */
const WAVE_DEVICES = 4;
const WAVES_MIN = 8;

/** What is attacked, and how often. */
export interface KillAttack {
  readonly stage: Stage;
  readonly ward: SettableWard;
  readonly broker: Mosquitto;
  readonly kills: number;
  readonly seed: number;
  /**
   * From a kill to the alert upstream while the way there is up: as long as this in the middle of all kills, at most. The longest is told and
   * not judged: it is that of the moment when the machine had other work, or the simulated disk took its 1.2 s several times in a row.
   * Null: all of it is only told.
   */
  readonly alertingAgainMsMax: number | null;
}

/** How long it took after one kill until it alarmed again. */
interface Recovery {
  readonly ms: number;
  /** What the way upstream did at that time. */
  readonly link: "up" | "down" | "hanging";
}

interface Attacked {
  readonly attack: KillAttack;
  readonly files: Files;
  readonly random: SeededRandom;
  readonly recorder: Recorder;
  readonly link: UpstreamLink;
}

/**
 * Kills the gateway again and again at random moments, some of them in the middle of its start, while the way upstream goes down and up,
 * and looks at the end whether all that was said is so.
 *
 * @returns  A line of figures.
 */
export async function attackWithKills(attack: KillAttack): Promise<string> {
  const { stage, ward, broker, seed } = attack;
  const startedMs = performance.now();
  const random = seededRandom(seed);
  const recordFile = join(stage.folder, "received.jsonl");
  const link = await openUpstreamLink(stage, broker.port);
  const files = await writeConfig(stage, { ward, brokerPort: link.port });
  const recorder = await startRecorder(stage, { port: broker.port, recordFile });
  const receiver = startConfirming(stage, broker.port);
  const first = await runSupervised(stage, files);
  await admitWard(files, ward);
  const load = keepBusy(stage, { files, ward, random: seededRandom(seed + 1) });
  const { gateway, recoveries } = await killAgainAndAgain({ attack, files, random, recorder, link }, first);
  await load.stop();
  await stopWell(files, { gateway, recorder });
  const waveDevices = ward.beds.slice(0, WAVE_DEVICES).map((bed) => bed.deviceId);
  const kept = await readJournal({ ...files, waveDevices });
  const tookSeconds = (performance.now() - startedMs) / 1000;
  const figures = `${new Date().toISOString()} seed ${seed}: ${describe({ attack, recoveries, kept, recorder, load })}, ${tookSeconds.toFixed(0)} s in all`;
  process.stdout.write(`${figures}\n`);
  expectNothingLost({ figures, found: audit(recorder.delivered(), kept), kept, recorder, load });
  expect(await verify(stage, { ...files, recordFile }), figures).toMatchObject({ exitCode: 0 });
  expect(kept.waves.size, figures).toBeGreaterThanOrEqual(WAVES_MIN);
  expect(receiver.view().unmarkedDuplicateCount, figures).toBe(0);
  const timely = recoveries.filter((each) => each.link === "up").map(({ ms }) => ms);
  expect(timely.length, figures).toBeGreaterThan(attack.kills / 4);
  if (attack.alertingAgainMsMax !== null) expect(median(timely), figures).toBeLessThanOrEqual(attack.alertingAgainMsMax);
  return figures;
}

function median(values: readonly number[]): number {
  return values.toSorted((one, other) => one - other)[values.length >> 1] ?? Number.NaN;
}

async function killAgainAndAgain(attacked: Attacked, first: SupervisedGateway) {
  const { attack, files, random } = attacked;
  const recoveries: Recovery[] = [];
  let gateway = first;
  let supervisors = 1;
  let killsHere = 0;
  for (let kill = 0; kill < attack.kills; ) {
    // Sometimes it is killed a second time while it starts.
    const times = kill + 1 < attack.kills && random.fraction() < 0.2 ? 2 : 1;
    if (killsHere + times > KILLS_PER_SUPERVISOR) {
      gateway.supervisor.signal("SIGTERM");
      expect(await gateway.supervisor.exited, `a clean stop before kill ${kill}, seed ${attack.seed}`).toBe(0);
      supervisors += 1;
      killsHere = 0;
      gateway = await runSupervised(attack.stage, files, supervisors % 2 === 0 ? SLOW_DISK : {});
    }
    const victims = { before: victimOf(attack.ward, 2 * kill), at: victimOf(attack.ward, 2 * kill + 1) };
    recoveries.push(await killOnce(attacked, { gateway, times, ...victims }));
    kill += times;
    killsHere += times;
  }
  return { gateway, recoveries };
}

/**
 * One kill, or two in a row, at a random moment. Two patients get worse: one within the 1.5 s before it, so that its bytes, its record or
 * its alert may be under way just then; the other in the moment of the kill. Each alert must come to the upstream.
 *
 * @returns  From the kill to the arrival upstream of the second patient's alert: the restart by the supervisor, the reading back of
 *           state, the link's and the upstream's connect, and up to one second until the device sends again.
 */
async function killOnce(
  { recorder, random, link }: Attacked,
  of: { readonly gateway: SupervisedGateway; readonly times: number; readonly before: Victim; readonly at: Victim },
): Promise<Recovery> {
  const { gateway, times, before, at } = of;
  await pause(300 + random.fraction() * 2500);
  const fate = (["up", "up", "up", "down", "hanging"] as const)[random.whole({ min: 0, max: 4 })] ?? "up";
  const begunMs = performance.now();
  before.worsen();
  const restMs = random.fraction() * 1500;
  await pause(restMs * random.fraction());
  if (fate === "down") link.takeDown();
  if (fate === "hanging") link.hang();
  const upAgain = pause(1000 + random.fraction() * 3000).then(() => link.bringUp());
  await pause(restMs * random.fraction());
  process.kill(gateway.gatewayPid(), "SIGKILL");
  for (let again = 1; again < times; again++) {
    const killed = gateway.gatewayPid();
    await until("the supervisor has started it again", () => gateway.gatewayPid() !== killed);
    await pause(random.fraction() * 1500);
    process.kill(gateway.gatewayPid(), "SIGKILL");
  }
  const killedMs = performance.now();
  at.worsen();
  const heard = await until(`${at.patientId} alarms after the kill`, () => at.alertAfter(recorder, killedMs), 60_000);
  await until(`${before.patientId}, who got worse before the kill, alarms`, () => before.alertAfter(recorder, begunMs), 20_000);
  await upAgain;
  before.recover();
  at.recover();
  return { ms: heard.atMs - killedMs, link: fate };
}

/** Lets the gateway send what waits and hear its own heartbeat come, and stops it. */
async function stopWell(files: Files, of: { readonly gateway: SupervisedGateway; readonly recorder: Recorder }): Promise<void> {
  const sent = of.recorder.heartbeats().length;
  await until("a heartbeat came", () => of.recorder.heartbeats().length > sent, 30_000);
  const waiting: number[] = [];
  const endMs = performance.now() + 90_000;
  do {
    await pause(1000);
    waiting.push((await backlogOf(files)) ?? Number.POSITIVE_INFINITY);
  } while ((waiting.at(-1) ?? 0) > 2000 && performance.now() < endMs);
  expect(waiting.at(-1), `the upstream is level with the journal; records waiting second by second: ${waiting}`).toBeLessThan(
    2000,
  );
  of.gateway.supervisor.signal("SIGTERM");
  expect(await of.gateway.supervisor.exited).toBe(0);
  await pause(500);
}

function describe(of: {
  readonly attack: KillAttack;
  readonly recoveries: readonly Recovery[];
  readonly kept: Kept;
  readonly recorder: Recorder;
  readonly load: BusyWard;
}): string {
  const { attack, recoveries, kept, recorder, load } = of;
  const delivered = recorder.delivered();
  const counted = (kind: string) => [...kept.bySeq.values()].filter((record) => record.kind === kind).length;
  const times = (links: readonly Recovery["link"][]) => {
    const sorted = recoveries.filter(({ link }) => links.includes(link)).map(({ ms }) => Math.round(ms));
    sorted.sort((one, other) => one - other);
    return sorted.length > 30 ? `${sorted[0]} to ${sorted.at(-1)} ms, median ${sorted[sorted.length >> 1]}` : `${sorted} ms`;
  };
  return [
    `${attack.kills} kills, ${attack.ward.beds.length} beds`,
    `${kept.bySeq.size} records, ${counted("observation")} of them observations, ${counted("receipt")} receipts`,
    `${kept.waves.size} waves of ${WAVE_DEVICES} devices in the ring`,
    `${delivered.length} deliveries, ${delivered.filter(({ resent }) => resent).length} of them again`,
    `${recorder.alerts().length} alerts (${recorder.alerts().filter(({ durable }) => !durable).length} before they were on disk)`,
    `${load.durableActs.size} durable acts`,
    `alerting again after ${times(["up"])}; with the way upstream down or hanging at the kill ${times(["down", "hanging"])}`,
  ].join(", ");
}

/** Everything that must hold of what was delivered and what is kept, and that there was something to hold. */
export function expectNothingLost(of: {
  readonly figures: string;
  readonly found: Audit;
  readonly kept: Kept;
  readonly recorder: Recorder;
  readonly load: BusyWard;
}): void {
  const { figures, found, kept, recorder, load } = of;
  const delivered = recorder.delivered();
  expect(recorder.unreadable, figures).toEqual([]);
  expect(found, figures).toEqual(NOTHING_WRONG);
  expect(kept.faultsAtOpen, figures).toEqual([]);
  // One journal through all of it, and every heartbeat's word is kept.
  expect(new Set(delivered.map((each) => each.epoch)), figures).toEqual(new Set([kept.epoch]));
  for (const { message } of recorder.heartbeats()) expect(message.committedSeq, figures).toBeLessThanOrEqual(kept.lastSeq);
  // Acts that the door called durable.
  expect(load.durableActs.size, figures).toBeGreaterThan(20);
  expect(lostActs(load.durableActs, kept), figures).toEqual([]);
  // The comparison compared something.
  expect(kept.bySeq.size, figures).toBeGreaterThan(5000);
  expect(delivered.length, figures).toBeGreaterThan(kept.bySeq.size / 2);
  expect(recorder.alerts().length, figures).toBeGreaterThan(15);
}
