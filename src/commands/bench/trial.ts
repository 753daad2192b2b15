import { createSystemClock } from "../../clock.ts";
import { LIMITS } from "../../core/limits.ts";
import type { CommandIo } from "../command.ts";
import type { BenchDisk, Conditions } from "./conditions.ts";
import { keptBytes } from "./durable.ts";
import { watchPage, watchUpstream } from "./far-side.ts";
import { createLatencies, type LatencySummary } from "./load.ts";
import type { Pauses } from "./pauses.ts";
import { coreWaitMs, processTree, useOf } from "./processes.ts";
import { type BenchStage, openStage } from "./stage.ts";

/** One gateway under one load, and for how long it is watched. */
export interface Trial {
  readonly beds: number;
  readonly disk: BenchDisk;
  /** Share of one core the gateway's processes may use, or null for as much as there is. */
  readonly coreShareMax: number | null;
  readonly coreCount: number;
  /** Whether the bytes written are measured without waves as well, which takes sixteen seconds more. */
  readonly wavesOffToo: boolean;
  readonly warmUpMs: number;
  readonly measureMs: number;
}

/** What one trial showed. */
export interface TrialFigures {
  readonly conditions: Conditions;
  readonly beds: number;
  readonly observationsPerSecond: number;
  readonly page: LatencySummary;
  readonly upstream: LatencySummary;
  /** A bare publish through the same broker and back, measured in the same run: the null path of `upstream`. */
  readonly broker: LatencySummary;
  /** Processor time of all the gateway's processes over time. */
  readonly coreShare: number;
  readonly pssMegabytes: number;
  readonly processCount: number;
  /** Bytes handed to the disk over observations, waves and all. */
  readonly bytesWrittenEach: number;
  /** The same while the monitors send no waves; null where the trial does not look. */
  readonly bytesWrittenWithoutWavesEach: number | null;
  /** What the journal's segments took after the stop, without what is written once a segment, over every record of the trial. */
  readonly bytesKeptEach: number;
  readonly fsyncsPerThousand: number;
  /** Of the gateway's main thread. */
  readonly pauses: Pauses;
  /** How long that thread was ready to run and the machine ran others, in ms a second: pauses that are not its own. */
  readonly coreWaitMsPerSecond: number;
}

/** Until the last waves are on the disk. */
const WAVES_SETTLE_MS = LIMITS.journalWaveSyncMsMax.value + 1000;
const WITHOUT_WAVES_MS = 10_000;

/** Starts a gateway under a load, lets it run in, and measures. */
export async function runTrial(trial: Trial, io: CommandIo): Promise<TrialFigures> {
  const clock = createSystemClock();
  const stage = await openStage({ ...trial, alarms: false }, io);
  const stop = new AbortController();
  try {
    const latencies = await watchBoth(stage, stop.signal);
    await clock.sleep(trial.warmUpMs);
    const pids = processTree(stage.pid);
    const before = await look(stage, pids);
    for (const each of Object.values(latencies)) each.clear();
    await clock.sleep(trial.measureMs);
    const after = await look(stage, pids);
    const [page, upstream, broker] = [latencies.page.summary(), latencies.upstream.summary(), latencies.broker.summary()];
    const bytesWrittenWithoutWavesEach = trial.wavesOffToo ? await withoutWaves(stage, pids) : null;
    const total = (await stage.stats()).committedRecords;
    await stage.stopGateway();
    const seconds = (after.atMs - before.atMs) / 1000;
    const observations = after.stats.committedRecords - before.stats.committedRecords;
    return {
      conditions: stage.conditions,
      beds: trial.beds,
      observationsPerSecond: Math.round(observations / seconds),
      page,
      upstream,
      broker,
      coreShare: Math.round(((after.use.cpuSeconds - before.use.cpuSeconds) / seconds) * 100) / 100,
      pssMegabytes: after.use.pssMegabytes,
      processCount: after.use.processCount,
      bytesWrittenEach: tenths((after.use.writtenBytes - before.use.writtenBytes) / observations),
      bytesWrittenWithoutWavesEach,
      bytesKeptEach: tenths((await keptBytes(stage.journalFolder)) / total),
      fsyncsPerThousand: tenths(((after.stats.fsyncs - before.stats.fsyncs) / observations) * 1000),
      pauses: after.pauses,
      coreWaitMsPerSecond: tenths((after.coreWaitMs - before.coreWaitMs) / seconds),
    };
  } finally {
    stop.abort();
    await stage.close();
  }
}

function tenths(value: number): number {
  return Math.round(value * 10) / 10;
}

/** What has been used so far. */
async function look(stage: BenchStage, pids: readonly number[]) {
  const [stats, pauses] = [await stage.stats(), await stage.pauses()];
  // The gateway is the supervisor's first child.
  return { stats, pauses, use: useOf(pids), coreWaitMs: coreWaitMs(pids[1] ?? 0), atMs: createSystemClock().monotonic() };
}

/** Opens a page and a receiver; they stop with the stage. */
async function watchBoth(stage: BenchStage, stop: AbortSignal) {
  const latencies = { page: createLatencies(), upstream: createLatencies(), broker: createLatencies() };
  stop.addEventListener("abort", watchPage(stage.pagePort, stage.ward, latencies.page));
  await watchUpstream(stage, {
    onObservations: ({ records }, now) => {
      for (const { record } of records) {
        if (record.kind !== "observation" || record.quantity !== "heartRate" || record.content.state !== "present") continue;
        const ms = stage.ward.latencyMs(record.deviceId, record.content.value, now);
        if (ms !== null) latencies.upstream.add(ms);
      }
    },
    onAlert: null,
    onEcho: latencies.broker.add,
    stop,
  });
  return latencies;
}

/** Bytes handed to the disk over observations while no waves come. */
async function withoutWaves(stage: BenchStage, pids: readonly number[]): Promise<number> {
  const clock = createSystemClock();
  stage.ward.sendWaves(false);
  await clock.sleep(WAVES_SETTLE_MS);
  const before = await look(stage, pids);
  await clock.sleep(WITHOUT_WAVES_MS);
  const after = await look(stage, pids);
  return tenths(
    (after.use.writtenBytes - before.use.writtenBytes) / (after.stats.committedRecords - before.stats.committedRecords),
  );
}
