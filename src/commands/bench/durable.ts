import { mkdtemp, readdir, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { createSystemClock } from "../../clock.ts";
import { deviceId, patientId, seq } from "../../core/ids.ts";
import { LIMITS } from "../../core/limits.ts";
import type { Observation } from "../../core/observation.ts";
import type { QuantityName } from "../../core/quantities.ts";
import { assert } from "../../core/result.ts";
import type { Clock } from "../../core/time.ts";
import { monotonicMs, wallMs } from "../../core/time.ts";
import { openForReading } from "../../journal/database.ts";
import { openJournal } from "../../journal/journal.ts";
import { buffersOf, packRecords } from "../../journal/packing.ts";
import { WAVE_DEFAULTS } from "../../journal/waves/wave-settings.ts";
import { WriterThread } from "../../journal/writer-thread.ts";
import { type BenchDisk, type Conditions, conditionsNow, simulatedDiskOf } from "./conditions.ts";
import type { PlainRowsAnswer, PlainRowsOrder } from "./plain-rows-worker.ts";

/** Middle, lowest and highest of several rounds. */
export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

/** The journal beside SQLite at one size of commits. */
export interface DurableRow {
  /** `gateway`: through the journal's own queue, which makes its commits as large as a gateway under full load does. */
  readonly way: "gateway" | "fixed";
  /** Observations in each commit, the same on both sides; for `gateway` the mean that came of it. */
  readonly commitRecords: number;
  readonly journalPerSecond: Spread;
  readonly sqlitePerSecond: Spread;
  /** Journal over SQLite, by the medians. */
  readonly ratio: number;
  /** What lies on the disk afterwards, in bytes an observation; null where a round was too short for its empty pages not to count. */
  readonly journalBytesEach: number | null;
  readonly sqliteBytesEach: number | null;
}

/** Durable observations a second, appended and committed, of the journal and of SQLite in the same run. */
export interface DurableFigures {
  readonly conditions: Conditions;
  readonly rounds: number;
  readonly rows: readonly DurableRow[];
}

/** How much work a comparison is; tests take less. */
export interface DurableWork {
  readonly disk: BenchDisk;
  readonly coreCount: number;
  readonly rounds: number;
  /** Observations in a round at the most; fewer where that would be more than `commitsMax` commits. */
  readonly recordsMax: number;
  readonly commitsMax: number;
}

/** Observations a monitor's message brings, as in the bench's ward. */
const MESSAGE_OBSERVATIONS = 13;
const BEDS = 200;
/** Records that wait for the disk while the journal is filled as fast as it goes: two commits' worth. */
const WAITING_MAX = 2 * LIMITS.journalBatchRecordsMax.value;
const BYTES_MAX = 2e9;
/** Observations a round must have for its bytes to be told. */
const KEPT_RECORDS_MIN = 50_000;
const FIXED_SIZES = [100, 1000] as const;
const POOL_QUANTITIES: readonly QuantityName[] = [
  "heartRate",
  "pulseRate",
  "respiratoryRate",
  "oxygenSaturation",
  "systolicPressure",
  "diastolicPressure",
  "meanPressure",
  "cuffPulseRate",
  "arterialSystolicPressure",
  "arterialDiastolicPressure",
  "arterialMeanPressure",
  "endTidalCarbonDioxide",
  "bodyTemperature",
];

/** What one round of one side showed. */
interface Round {
  readonly records: number;
  readonly perSecond: number;
  readonly bytesEach: number;
  readonly commitRecords: number;
}

/** Measures both, one after the other in turns, each round in a fresh folder. */
export async function durableRate(work: DurableWork): Promise<DurableFigures> {
  const conditions = conditionsNow(work);
  const pool = observationPool();
  const rows: DurableRow[] = [];
  for (const size of ["gateway", ...FIXED_SIZES] as const) {
    const journal: Round[] = [];
    const sqlite: Round[] = [];
    for (let round = 0; round < work.rounds; round++) {
      const mine = await inFolder((folder) =>
        size === "gateway" ? gatewayRound(folder, pool, work) : fixedRound(folder, pool, { work, commitRecords: size }),
      );
      journal.push(mine);
      sqlite.push(await inFolder((folder) => sqliteRound(folder, pool, { work, commitRecords: mine.commitRecords })));
    }
    rows.push(rowOf(size === "gateway" ? "gateway" : "fixed", journal, sqlite));
  }
  return { conditions, rounds: work.rounds, rows };
}

function rowOf(way: DurableRow["way"], journal: readonly Round[], sqlite: readonly Round[]): DurableRow {
  const journalPerSecond = spreadOf(journal.map((round) => round.perSecond));
  const sqlitePerSecond = spreadOf(sqlite.map((round) => round.perSecond));
  const middle = (rounds: readonly Round[]) => {
    const long = rounds.every((round) => round.records >= KEPT_RECORDS_MIN);
    return long ? Math.round(spreadOf(rounds.map((round) => round.bytesEach)).median * 10) / 10 : null;
  };
  return {
    way,
    commitRecords: Math.round(spreadOf(journal.map((round) => round.commitRecords)).median),
    journalPerSecond,
    sqlitePerSecond,
    ratio: Math.round((journalPerSecond.median / sqlitePerSecond.median) * 100) / 100,
    journalBytesEach: middle(journal),
    sqliteBytesEach: middle(sqlite),
  };
}

/** The median, lowest and highest of some numbers; of an even count the median is the mean of the middle two. */
export function spreadOf(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (index: number) => sorted[index] ?? Number.NaN;
  const half = (sorted.length - 1) / 2;
  return { median: (at(Math.floor(half)) + at(Math.ceil(half))) / 2, min: at(0), max: at(sorted.length - 1) };
}

async function inFolder(work: (folder: string) => Promise<Round>): Promise<Round> {
  const folder = await mkdtemp(join(tmpdir(), "vigil-bench-durable-"));
  try {
    return await work(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** A second of a ward: every monitor's message, each device and patient with names of their own. */
export function observationPool(): readonly Observation[] {
  const startMs = 1_772_323_200_000;
  return Array.from({ length: BEDS * MESSAGE_OBSERVATIONS }, (_, index) => {
    const bed = Math.floor(index / MESSAGE_OBSERVATIONS) + 1;
    const atMs = startMs + (bed * 1000) / BEDS;
    const quantity = POOL_QUANTITIES[index % MESSAGE_OBSERVATIONS] ?? "heartRate";
    return {
      kind: "observation",
      seq: seq(index + 1),
      deviceId: deviceId(`monitor-${bed}`),
      patientId: patientId(`p-${bed}`),
      quantity,
      content: { state: "present", value: quantity === "bodyTemperature" ? 36.9 : 60 + ((index * 7) % 61) },
      times: {
        measuredAtMs: wallMs(atMs),
        deviceClockMs: null,
        receivedAtMs: wallMs(atMs),
        receivedMonotonicMs: monotonicMs(atMs),
      },
      quality: { validity: "valid", flags: [], origin: "measured" },
      driverId: "serial-ivy-450c",
      driverVersion: "1.0.0",
    };
  });
}

/** The next observations in turn; each round of the pool is a second later. */
export function nextObservations(pool: readonly Observation[], after: number, count: number): readonly Observation[] {
  return Array.from({ length: count }, (_, index) => {
    const number = after + index + 1;
    const observation = pool[number % pool.length];
    assert(observation !== undefined, "the pool is not empty");
    const laterMs = Math.floor(number / pool.length) * 1000;
    const { times } = observation;
    return {
      ...observation,
      seq: seq(number),
      times: {
        ...times,
        measuredAtMs: wallMs(times.measuredAtMs + laterMs),
        receivedAtMs: wallMs(times.receivedAtMs + laterMs),
        receivedMonotonicMs: monotonicMs(times.receivedMonotonicMs + laterMs),
      },
    };
  });
}

/** Through the journal itself, as a gateway uses it: messages of thirteen observations, as fast as the disk takes them. */
async function gatewayRound(folder: string, pool: readonly Observation[], work: DurableWork): Promise<Round> {
  const clock = createSystemClock();
  const disk = simulatedDiskOf(work.disk);
  const opened = await openJournal({ folder, gatewayId: "bench", bytesMax: BYTES_MAX, clock, simulatedDisk: disk });
  assert(opened.ok, "the bench's own folder can be written");
  const journal = opened.value;
  const count = Math.min(work.recordsMax, work.commitsMax * LIMITS.journalBatchRecordsMax.value);
  let sent = 0;
  const beganMs = clock.monotonic();
  const endedMs = await new Promise<number>((resolve) => {
    const fill = (committed: number) => {
      while (sent < count && sent - committed < WAITING_MAX) {
        journal.append(nextObservations(pool, sent, Math.min(MESSAGE_OBSERVATIONS, count - sent)));
        sent = Math.min(count, sent + MESSAGE_OBSERVATIONS);
      }
      if (committed >= count) resolve(clock.monotonic());
    };
    journal.onCommit(fill);
    fill(0);
  });
  const { commits, committedRecords } = journal.stats();
  await journal.close();
  return {
    records: count,
    perSecond: Math.round((count / (endedMs - beganMs)) * 1000),
    bytesEach: (await keptBytes(folder)) / count,
    commitRecords: Math.round(committedRecords / commits),
  };
}

/**
 * What the segments of a journal take on the disk, in bytes, without the table of devices, patients and quantities: that is written
 * once an hour at the least and would outweigh the observations of a short run.
 */
export async function keptBytes(folder: string): Promise<number> {
  let bytes = 0;
  for (const name of await readdir(folder)) {
    if (!name.startsWith("observations-") || !name.endsWith(".sqlite")) continue;
    const path = join(folder, name);
    const database = openForReading(path);
    const shared = database.prepare<[], number | null>("SELECT sum(length(CAST(json AS BLOB))) FROM contexts").pluck().get();
    database.close();
    bytes += (await stat(path)).size - (shared ?? 0);
  }
  return bytes;
}

/** The journal's own writing thread with commits of a fixed size, the next sent when the one before is on the disk. */
async function fixedRound(
  folder: string,
  pool: readonly Observation[],
  of: { readonly work: DurableWork; readonly commitRecords: number },
): Promise<Round> {
  const clock = createSystemClock();
  const writer = new WriterThread({
    start: () =>
      new Worker(new URL("../../journal/worker.ts", import.meta.url), { resourceLimits: { maxYoungGenerationSizeMb: 4 } }),
    clock,
    request: {
      folder,
      gatewayId: "bench",
      bytesMax: BYTES_MAX,
      simulatedDisk: simulatedDiskOf(of.work.disk),
      waves: WAVE_DEFAULTS,
      epochToKeep: null,
      checkAll: false,
    },
  });
  const opened = await writer.open();
  assert(opened.ok, "the bench's own folder can be written");
  const commitCount = commitsOf(of.work, of.commitRecords);
  const seconds = await writeCommits(writer, pool, { clock, commitRecords: of.commitRecords, commitCount });
  await writer.end();
  const count = of.commitRecords * commitCount;
  return {
    records: count,
    perSecond: Math.round(count / seconds),
    bytesEach: (await keptBytes(folder)) / count,
    commitRecords: of.commitRecords,
  };
}

/** How many commits a round is. */
function commitsOf(work: DurableWork, commitRecords: number): number {
  return Math.max(1, Math.min(work.commitsMax, Math.floor(work.recordsMax / commitRecords)));
}

function writeCommits(
  writer: WriterThread,
  pool: readonly Observation[],
  of: { readonly clock: Clock; readonly commitRecords: number; readonly commitCount: number },
): Promise<number> {
  return new Promise((resolve) => {
    const beganMs = of.clock.monotonic();
    const count = of.commitRecords * of.commitCount;
    let sent = 0;
    let seconds = 0;
    let next = nextObservations(pool, 0, of.commitRecords);
    const sendNext = () => {
      const batch = packRecords(next);
      sent += of.commitRecords;
      writer.post({ kind: "commit", upToSeq: sent, batch }, buffersOf(batch));
      // As in a gateway, what comes next is made while the disk is waited for.
      next = nextObservations(pool, sent, of.commitRecords);
    };
    writer.follow({
      onMessage: (message) => {
        assert(message.kind !== "failed", "the bench's own disk takes what is written");
        if (message.kind === "closed") resolve(seconds);
        if (message.kind !== "committed") return;
        if (sent < count) return sendNext();
        seconds = (of.clock.monotonic() - beganMs) / 1000;
        writer.post({ kind: "close", cleanUpToSeq: sent });
      },
      onTrouble: () => assert(false, "the bench's own disk takes what is written"),
      onOpenedAgain: () => {},
    });
    sendNext();
  });
}

/** SQLite's own rate with rows, in a worker thread of its own. */
async function sqliteRound(
  folder: string,
  pool: readonly Observation[],
  of: { readonly work: DurableWork; readonly commitRecords: number },
): Promise<Round> {
  const commitCount = commitsOf(of.work, of.commitRecords);
  const order: PlainRowsOrder = {
    file: join(folder, "rows.sqlite"),
    pool: packRecords(pool),
    commitRecords: of.commitRecords,
    commitCount,
    simulatedDisk: simulatedDiskOf(of.work.disk),
  };
  const worker = new Worker(new URL("./plain-rows-worker.ts", import.meta.url), { workerData: order });
  const answer = await new Promise<PlainRowsAnswer>((resolve, reject) => {
    worker.once("message", resolve);
    worker.once("error", reject);
  });
  await worker.terminate();
  const count = of.commitRecords * commitCount;
  return {
    records: count,
    perSecond: Math.round(count / answer.seconds),
    bytesEach: answer.bytes / count,
    commitRecords: of.commitRecords,
  };
}
