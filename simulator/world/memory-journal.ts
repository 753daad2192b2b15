import type { Alert } from "../../src/core/alert.ts";
import type { Seq } from "../../src/core/ids.ts";
import { seq } from "../../src/core/ids.ts";
import { LIMITS } from "../../src/core/limits.ts";
import type { Observation, WaveformChunk } from "../../src/core/observation.ts";
import type { Journal, JournalHealth, ReaderCursor, TrendPoint } from "../../src/core/ports.ts";
import type { JournalRecord } from "../../src/core/record.ts";

/** A journal whose disk is simulated: it commits at once, or when the test says so. What `crash` returns is what the disk kept. */
export interface MemoryJournal extends Journal {
  /** False: appended records wait for `commit`. */
  readonly setCommitting: (committing: boolean) => void;
  /** Commits everything that waits. */
  readonly commit: () => void;
  /** Says how the disk is doing, as the journal's worker does. */
  readonly sayHealth: (health: JournalHealth) => void;
  /** Says what was lost, as the journal's worker does. */
  readonly sayLoss: (loss: Parameters<Parameters<Journal["onLoss"]>[0]>[0]) => void;
  /** Gives up committed records of a range, as the byte budget does. */
  readonly drop: (range: {
    readonly from: number;
    readonly to: number;
    readonly kinds: readonly JournalRecord["kind"][];
  }) => void;
  /** Gives up observations that wait for the disk, as the full queue does; told before they would have been committed. */
  readonly dropWaiting: (range: { readonly from: number; readonly to: number }) => void;
  /** Every cursor as it was released last. */
  readonly cursors: () => ReadonlyMap<string, ReaderCursor>;
  /** The same disk, opened again after the power went: what was not committed is gone; so are cursors released after `cursors` was taken. */
  readonly reopen: (cursors?: ReadonlyMap<string, ReaderCursor>) => MemoryJournal;
}

interface Disk {
  readonly epoch: string;
  readonly records: readonly JournalRecord[];
  readonly cursors: ReadonlyMap<string, ReaderCursor>;
  /** Whether the last life closed it; else its reservation of numbers is left out. */
  readonly closed: boolean;
}

/** A ring as the real one has it, so that days of simulated time do not fill the test's memory. */
const WAVES_MAX = 20_000;

/** Numbers a life reserves before it gives any; the real journal reserves more. */
const RESERVED = 1_000_000;

/** Opens an empty simulated journal that commits at once. */
export function createMemoryJournal(
  disk: Disk = { epoch: "11111111-2222-4333-8444-555555555555", records: [], cursors: new Map(), closed: true },
): MemoryJournal {
  let committed: JournalRecord[] = [...disk.records];
  let waiting: JournalRecord[] = [];
  const waves: WaveformChunk[] = [];
  let committing = true;
  let closed = false;
  let committedUpTo = committed.at(-1)?.seq ?? seq(0);
  let commits = 0;
  let dropped = 0;
  const lastSeqAtOpen = committedUpTo;
  const cursors = new Map(disk.cursors);
  const commitListeners = new Set<(upTo: Seq) => void>();
  const healthListeners = new Set<(health: JournalHealth) => void>();
  const lossListeners = new Set<Parameters<Journal["onLoss"]>[0]>();
  const listen = <Listener>(listeners: Set<Listener>, listener: Listener) => {
    listeners.add(listener);
    return () => void listeners.delete(listener);
  };
  const commit = () => {
    const last = waiting.at(-1);
    if (last === undefined) return;
    committed.push(...waiting);
    waiting = [];
    commits += 1;
    committedUpTo = last.seq;
    for (const listener of commitListeners) listener(committedUpTo);
  };
  /** Index of the first committed record over a number; the list is in order. */
  const indexAfter = (afterSeq: Seq): number => {
    let low = 0;
    let high = committed.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((committed[middle]?.seq ?? Number.POSITIVE_INFINITY) <= afterSeq) low = middle + 1;
      else high = middle;
    }
    return low;
  };
  const observations = () => committed.filter((record): record is Observation => record.kind === "observation");
  return {
    epoch: disk.epoch,
    lastSeqAtOpen,
    endedBefore: lastSeqAtOpen === 0 ? "first" : disk.closed ? "closed" : "cut-off",
    leftOutAtOpen: disk.closed ? null : { from: seq(lastSeqAtOpen + 1), to: seq(lastSeqAtOpen + RESERVED) },
    faultsAtOpen: [],
    hurry: () => {},
    append: (records) => {
      waiting.push(...records);
      if (committing) queueMicrotask(commit);
    },
    recordWaves: (chunks) => {
      waves.push(...chunks);
      if (waves.length > WAVES_MAX) waves.splice(0, waves.length - WAVES_MAX / 2);
    },
    waves: async ({ deviceId, fromMs, toMs }) =>
      waves.filter(
        ({ times, ...chunk }) => chunk.deviceId === deviceId && times.measuredAtMs >= fromMs && times.measuredAtMs <= toMs,
      ),
    strip: async (alertId) => {
      const alert = committed.find((record) => record.kind === "alert" && record.id === alertId);
      return alert?.kind !== "alert" ? [] : waves.filter((chunk) => chunk.patientId === alert.subject.patientId);
    },
    committedSeq: () => committedUpTo,
    onCommit: (listener) => listen(commitListeners, listener),
    onHealth: (listener) => listen(healthListeners, listener),
    onOtherJournal: () => () => undefined,
    onLoss: (listener) => listen(lossListeners, listener),
    read: async ({ afterSeq, upToSeq, limit, kinds }) => {
      const countMax = Math.min(limit, LIMITS.journalReadRecordsMax.value);
      const page: JournalRecord[] = [];
      for (let index = indexAfter(afterSeq); index < committed.length && page.length < countMax; index++) {
        const record = committed[index];
        if (record === undefined || (upToSeq !== undefined && record.seq > upToSeq)) break;
        if (kinds === undefined || kinds.includes(record.kind)) page.push(record);
      }
      return page;
    },
    readBack: async ({ upToSeq, limit }) =>
      observations()
        .filter((record) => record.seq <= upToSeq)
        .slice(-Math.min(limit, LIMITS.journalReadRecordsMax.value)),
    openAlerts: async () => {
      const latest = new Map<string, Alert>();
      for (const record of committed) if (record.kind === "alert") latest.set(record.id, record);
      return [...latest.values()].filter((alert) => alert.state !== "ended");
    },
    latestObservations: async ({ sinceMs, quantities, fromSeq, toSeq }) => {
      const latest = new Map<string, Observation>();
      for (const record of observations()) {
        if (record.seq < (fromSeq ?? 0) || record.seq > (toSeq ?? Number.POSITIVE_INFINITY)) continue;
        const wanted = record.times.measuredAtMs >= sinceMs && quantities.includes(record.quantity);
        const live = record.content.state === "present" && !record.quality.flags.includes("late");
        if (wanted && live) latest.set(`${record.deviceId} ${record.quantity}`, record);
      }
      return [...latest.values()];
    },
    trend: async ({ patientId, quantity, fromMs, toMs, pointsMax, fromSeq, toSeq }) => {
      const points: TrendPoint[] = observations()
        .filter((record) => record.seq >= (fromSeq ?? 0) && record.seq <= (toSeq ?? Number.POSITIVE_INFINITY))
        .filter((record) => record.patientId === patientId && record.quantity === quantity)
        .filter((record) => record.times.measuredAtMs >= fromMs && record.times.measuredAtMs <= toMs)
        .map((record) => ({
          atMs: record.times.measuredAtMs,
          value: record.content.state === "present" ? record.content.value : null,
          questionable: record.quality.validity === "questionable",
        }));
      return thin(points, pointsMax);
    },
    cursor: async (reader) => cursors.get(reader) ?? null,
    release: (reader, cursor) => void cursors.set(reader, cursor),
    stats: () => ({
      committedRecords: committed.length - disk.records.length,
      commits,
      fsyncs: commits,
      bytesOnDisk: 0,
      waitingRecords: waiting.length,
      droppedRecords: dropped,
      commitMsP50: 0,
      commitMsP99: 0,
      commitMsMax: 0,
      keptWaves: waves.length,
      droppedWaves: 0,
      waveBytesOnDisk: 0,
    }),
    close: async () => {
      commit();
      closed = true;
    },
    setCommitting: (now) => {
      committing = now;
      if (now) commit();
    },
    commit,
    sayHealth: (health) => {
      for (const listener of healthListeners) listener(health);
    },
    sayLoss: (loss) => {
      for (const listener of lossListeners) listener(loss);
    },
    drop: ({ from, to, kinds }) => {
      const gone = committed.filter((record) => record.seq >= from && record.seq <= to && kinds.includes(record.kind));
      committed = committed.filter((record) => !gone.includes(record));
      dropped += gone.length;
      const loss = {
        fromSeq: seq(from),
        toSeq: seq(to),
        count: gone.length,
        why: "byte-budget",
        what: "records",
        reader: null,
      } as const;
      for (const listener of lossListeners) listener(loss);
    },
    dropWaiting: ({ from, to }) => {
      const gone = waiting.filter((record) => record.kind === "observation" && record.seq >= from && record.seq <= to);
      waiting = waiting.filter((record) => !gone.includes(record));
      dropped += gone.length;
      const range = { fromSeq: seq(from), toSeq: seq(to), count: gone.length };
      for (const listener of lossListeners) listener({ ...range, why: "queue-full", what: "records", reader: null });
    },
    cursors: () => new Map(cursors),
    reopen: (kept) => createMemoryJournal({ epoch: disk.epoch, records: committed, cursors: kept ?? cursors, closed }),
  };
}

/** Keeps the lowest and the highest of each interval, in order. */
function thin(points: readonly TrendPoint[], pointsMax: number): readonly TrendPoint[] {
  if (points.length <= pointsMax) return points;
  const size = Math.ceil(points.length / Math.max(1, Math.floor(pointsMax / 2)));
  const kept: TrendPoint[] = [];
  for (let start = 0; start < points.length; start += size) {
    const interval = points.slice(start, start + size).sort((a, b) => (a.value ?? -1) - (b.value ?? -1));
    const edges = new Set([interval[0], interval.at(-1)].filter((point) => point !== undefined));
    kept.push(...[...edges].sort((a, b) => a.atMs - b.atMs));
  }
  return kept;
}
