import { createSystemClock } from "../../clock.ts";
import type { RecordMessage } from "../../core/upstream.ts";
import type { CommandIo } from "../command.ts";
import type { BenchDisk, Conditions } from "./conditions.ts";
import { watchUpstream } from "./far-side.ts";
import { createLatencies, type Latencies, type LatencySummary } from "./load.ts";
import type { Pauses } from "./pauses.ts";
import { type BenchStage, openStage } from "./stage.ts";

/** A far side that was away and comes back to a backlog. */
export interface DrainPlan {
  readonly beds: number;
  readonly disk: BenchDisk;
  readonly coreCount: number;
  /** The far side stays away until so many records wait; the gateway is the same one before and after. */
  readonly backlogRecords: number;
  readonly warmUpMs: number;
  /** How long alerts are watched before the far side goes away. */
  readonly beforeMs: number;
  /** The drain is watched for so long at the most; a slower one is measured by the part that was seen. */
  readonly duringMsMax: number;
}

/** What the drain showed. Alerts are a monitor's own alarms, from the device's byte to the receiver's PUBLISH. */
export interface DrainFigures {
  readonly conditions: Conditions;
  readonly beds: number;
  readonly observationsPerSecond: number;
  /** Records that waited when the far side was there again. */
  readonly backlogRecords: number;
  /** Records that waited when the watching ended; over a second's worth where the time was over first. */
  readonly leftRecords: number;
  readonly alertsBefore: LatencySummary;
  /** Of alerts raised after the gateway had its connection again and before the backlog was gone. */
  readonly alertsDuring: LatencySummary;
  /** During over before; the aim is at most 1.2. */
  readonly ratioP50: number;
  readonly ratioP99: number;
  /** The null path, before and during. */
  readonly brokerBefore: LatencySummary;
  readonly brokerDuring: LatencySummary;
  readonly drainSeconds: number;
  /** Records that left during the drain, fresh ones included. */
  readonly recordsPerSecond: number;
  readonly pausesBefore: Pauses;
  readonly pausesDuring: Pauses;
}

const LOOK_MS = 250;
/** What a bed's monitor measures each second. */
export const OBSERVATIONS_PER_BED = 13;
/** Waited for the gateway's connection; one that needs longer has failed the trial. */
const WAIT_MS_MAX = 120_000;

/** A receiver of alerts: what counts is the first arrival of an alarm's text, if it was raised at or after `sinceMs`. */
interface AlertWatch {
  readonly alerts: Latencies;
  readonly echoes: Latencies;
  /** The monotonic time of the first alert that came, or null. */
  firstArrivalMs: number | null;
  /** Only alarms raised from here on count; null: none yet. */
  sinceMs: number | null;
}

/** Runs the drain. */
export async function runDrain(plan: DrainPlan, io: CommandIo): Promise<DrainFigures> {
  const clock = createSystemClock();
  const stage = await openStage({ ...plan, coreShareMax: null, alarms: true }, io);
  const stop = new AbortController();
  try {
    const first = await listen(stage, stop.signal);
    await clock.sleep(plan.warmUpMs);
    first.echoes.clear();
    await stage.pauses();
    first.sinceMs = clock.monotonic();
    await clock.sleep(plan.beforeMs);
    const before = { alerts: first.alerts.summary(), echoes: first.echoes.summary(), pauses: await stage.pauses() };
    stop.abort();
    await stage.stopBroker();
    await until(async () => backlogOf(await stage.stats()) >= plan.backlogRecords, LOOK_MS, awayMsMax(plan));
    const stopAgain = new AbortController();
    await stage.startBroker();
    const second = await listen(stage, stopAgain.signal);
    second.sinceMs = Number.POSITIVE_INFINITY;
    await until(async () => second.firstArrivalMs !== null, 10);
    second.sinceMs = clock.monotonic();
    second.echoes.clear();
    const during = await drained(stage, second, plan);
    stopAgain.abort();
    const ratio = (key: "p50Ms" | "p99Ms") => Math.round((during.alerts[key] / before.alerts[key]) * 100) / 100;
    return {
      conditions: stage.conditions,
      beds: plan.beds,
      observationsPerSecond: during.freshPerSecond,
      backlogRecords: during.backlogRecords,
      leftRecords: during.leftRecords,
      alertsBefore: before.alerts,
      alertsDuring: during.alerts,
      ratioP50: ratio("p50Ms"),
      ratioP99: ratio("p99Ms"),
      brokerBefore: before.echoes,
      brokerDuring: during.echoes,
      drainSeconds: during.seconds,
      recordsPerSecond: during.recordsPerSecond,
      pausesBefore: before.pauses,
      pausesDuring: during.pauses,
    };
  } finally {
    stop.abort();
    await stage.close();
  }
}

/** Twice as long as a ward of these monitors needs to fill it. */
function awayMsMax({ backlogRecords, beds }: DrainPlan): number {
  return WAIT_MS_MAX + ((2 * backlogRecords) / (beds * OBSERVATIONS_PER_BED)) * 1000;
}

/** Watches until no more waits than a fresh second of the ward, or the time is over. */
async function drained(stage: BenchStage, watch: AlertWatch, { beds, duringMsMax }: DrainPlan) {
  const clock = createSystemClock();
  await stage.pauses();
  const begun = { stats: await stage.stats(), atMs: clock.monotonic() };
  let last = begun;
  await until(async () => {
    last = { stats: await stage.stats(), atMs: clock.monotonic() };
    return backlogOf(last.stats) <= beds * OBSERVATIONS_PER_BED || last.atMs - begun.atMs >= duringMsMax;
  }, LOOK_MS);
  const seconds = (last.atMs - begun.atMs) / 1000;
  const fresh = last.stats.committedRecords - begun.stats.committedRecords;
  const gone = backlogOf(begun.stats) - backlogOf(last.stats) + fresh;
  return {
    alerts: watch.alerts.summary(),
    echoes: watch.echoes.summary(),
    pauses: await stage.pauses(),
    backlogRecords: backlogOf(begun.stats),
    leftRecords: backlogOf(last.stats),
    seconds: Math.round(seconds * 10) / 10,
    freshPerSecond: Math.round(fresh / seconds),
    recordsPerSecond: Math.round(gone / seconds),
  };
}

/** Opens a receiver of alerts; the observations are left to the broker, so that reading them does not slow the alerts down here. */
async function listen(stage: BenchStage, stop: AbortSignal): Promise<AlertWatch> {
  const watch: AlertWatch = { alerts: createLatencies(), echoes: createLatencies(), firstArrivalMs: null, sinceMs: null };
  const seen = new Set<string>();
  await watchUpstream(stage, {
    onObservations: null,
    onAlert: (message, now) => {
      watch.firstArrivalMs ??= now;
      const text = startedAlarm(message);
      if (text === null || seen.has(text)) return;
      seen.add(text);
      const sentMs = stage.ward.alarmSentMs(text);
      if (sentMs !== null && watch.sinceMs !== null && sentMs >= watch.sinceMs) watch.alerts.add(now - sentMs);
    },
    onEcho: watch.echoes.add,
    stop,
  });
  return watch;
}

/** The text of a monitor's alarm that has just begun, or null. */
function startedAlarm({ record }: RecordMessage): string | null {
  return record.kind === "alert" && record.phase === "start" && record.evidence.kind === "device-alarm"
    ? record.evidence.text
    : null;
}

function backlogOf(stats: Awaited<ReturnType<BenchStage["stats"]>>): number {
  return stats.upstreams[0]?.backlogRecords ?? 0;
}

/** Asks until it is so. @throws  Where it is not within `msMax`. */
async function until(isSo: () => Promise<boolean>, everyMs: number, msMax = WAIT_MS_MAX): Promise<void> {
  const clock = createSystemClock();
  const endMs = clock.monotonic() + msMax;
  while (!(await isSo())) {
    if (clock.monotonic() > endMs) throw new Error("what the bench waits for does not come");
    await clock.sleep(everyMs);
  }
}
