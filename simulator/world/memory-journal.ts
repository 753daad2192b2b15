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

/** Opens a simulated journal that commits at once; an empty one where no disk is given. */
export function createMemoryJournal(disk: Disk = EMPTY): MemoryJournal {
  return new DiskInMemory(disk);
}

const EMPTY: Disk = { epoch: "11111111-2222-4333-8444-555555555555", records: [], cursors: new Map(), closed: true };

type Told = Parameters<Parameters<Journal["onLoss"]>[0]>[0];

/** Everything is an own property: parts of the gateway take single functions of a journal along. */
class DiskInMemory implements MemoryJournal {
  readonly epoch: string;
  readonly lastSeqAtOpen: Seq;
  readonly endedBefore: Journal["endedBefore"];
  readonly leftOutAtOpen: Journal["leftOutAtOpen"];
  readonly faultsAtOpen = [];
  readonly #disk: Disk;
  #committed: JournalRecord[];
  #waiting: JournalRecord[] = [];
  readonly #waves: WaveformChunk[] = [];
  #committing = true;
  #closed = false;
  #committedUpTo: Seq;
  #commits = 0;
  #dropped = 0;
  readonly #cursors: Map<string, ReaderCursor>;
  readonly #commitListeners = new Set<(upTo: Seq) => void>();
  readonly #healthListeners = new Set<(health: JournalHealth) => void>();
  readonly #lossListeners = new Set<(loss: Told) => void>();

  constructor(disk: Disk) {
    this.#disk = disk;
    this.epoch = disk.epoch;
    this.#committed = [...disk.records];
    this.#committedUpTo = this.#committed.at(-1)?.seq ?? seq(0);
    this.#cursors = new Map(disk.cursors);
    this.lastSeqAtOpen = this.#committedUpTo;
    this.endedBefore = this.lastSeqAtOpen === 0 ? "first" : disk.closed ? "closed" : "cut-off";
    this.leftOutAtOpen = disk.closed ? null : { from: seq(this.lastSeqAtOpen + 1), to: seq(this.lastSeqAtOpen + RESERVED) };
  }

  readonly commit = () => {
    const last = this.#waiting.at(-1);
    if (last === undefined) return;
    for (const record of this.#waiting) this.#committed.push(record);
    this.#waiting = [];
    this.#commits += 1;
    this.#committedUpTo = last.seq;
    for (const listener of this.#commitListeners) listener(this.#committedUpTo);
  };

  readonly hurry = () => {};

  readonly append = (records: readonly JournalRecord[]) => {
    this.#waiting.push(...records);
    if (this.#committing) queueMicrotask(this.commit);
  };

  readonly recordWaves = (chunks: readonly WaveformChunk[]) => {
    this.#waves.push(...chunks);
    if (this.#waves.length > WAVES_MAX) this.#waves.splice(0, this.#waves.length - WAVES_MAX / 2);
  };

  readonly waves: Journal["waves"] = async ({ deviceId, fromMs, toMs }) =>
    this.#waves.filter(
      ({ times, ...chunk }) => chunk.deviceId === deviceId && times.measuredAtMs >= fromMs && times.measuredAtMs <= toMs,
    );

  readonly strip: Journal["strip"] = async (alertId) => {
    const alert = this.#committed.find((record) => record.kind === "alert" && record.id === alertId);
    return alert?.kind !== "alert" ? [] : this.#waves.filter((chunk) => chunk.patientId === alert.subject.patientId);
  };

  readonly committedSeq = () => this.#committedUpTo;
  readonly onCommit: Journal["onCommit"] = (listener) => listen(this.#commitListeners, listener);
  readonly onHealth: Journal["onHealth"] = (listener) => listen(this.#healthListeners, listener);
  readonly onOtherJournal = () => () => undefined;
  readonly onLoss: Journal["onLoss"] = (listener) => listen(this.#lossListeners, listener);

  readonly read: Journal["read"] = async ({ afterSeq, upToSeq, limit, kinds }) => {
    const countMax = Math.min(limit, LIMITS.journalReadRecordsMax.value);
    const page: JournalRecord[] = [];
    for (let index = this.#indexAfter(afterSeq); index < this.#committed.length && page.length < countMax; index++) {
      const record = this.#committed[index];
      if (record === undefined || (upToSeq !== undefined && record.seq > upToSeq)) break;
      if (kinds === undefined || kinds.includes(record.kind)) page.push(record);
    }
    return page;
  };

  readonly readBack: Journal["readBack"] = async ({ upToSeq, limit }) =>
    this.#observations()
      .filter((record) => record.seq <= upToSeq)
      .slice(-Math.min(limit, LIMITS.journalReadRecordsMax.value));

  readonly openAlerts = async () => {
    const latest = new Map<string, Alert>();
    for (const record of this.#committed) if (record.kind === "alert") latest.set(record.id, record);
    return [...latest.values()].filter((alert) => alert.state !== "ended");
  };

  readonly latestObservations: Journal["latestObservations"] = async ({ sinceMs, quantities, fromSeq, toSeq }) => {
    const latest = new Map<string, Observation>();
    for (const record of this.#observations()) {
      if (record.seq < (fromSeq ?? 0) || record.seq > (toSeq ?? Number.POSITIVE_INFINITY)) continue;
      const wanted = record.times.measuredAtMs >= sinceMs && quantities.includes(record.quantity);
      const live = record.content.state === "present" && !record.quality.flags.includes("late");
      if (wanted && live) latest.set(`${record.deviceId} ${record.quantity}`, record);
    }
    return [...latest.values()];
  };

  readonly trend: Journal["trend"] = async ({ patientId, quantity, fromMs, toMs, pointsMax, fromSeq, toSeq }) => {
    const points: TrendPoint[] = this.#observations()
      .filter((record) => record.seq >= (fromSeq ?? 0) && record.seq <= (toSeq ?? Number.POSITIVE_INFINITY))
      .filter((record) => record.patientId === patientId && record.quantity === quantity)
      .filter((record) => record.times.measuredAtMs >= fromMs && record.times.measuredAtMs <= toMs)
      .map((record) => ({
        atMs: record.times.measuredAtMs,
        value: record.content.state === "present" ? record.content.value : null,
        questionable: record.quality.validity === "questionable",
      }));
    return thin(points, pointsMax);
  };

  readonly cursor: Journal["cursor"] = async (reader) => this.#cursors.get(reader) ?? null;
  readonly release: Journal["release"] = (reader, cursor) => void this.#cursors.set(reader, cursor);

  readonly stats = () => ({
    committedRecords: this.#committed.length - this.#disk.records.length,
    commits: this.#commits,
    fsyncs: this.#commits,
    bytesOnDisk: 0,
    waitingRecords: this.#waiting.length,
    droppedRecords: this.#dropped,
    commitMsP50: 0,
    commitMsP99: 0,
    commitMsMax: 0,
    keptWaves: this.#waves.length,
    droppedWaves: 0,
    waveBytesOnDisk: 0,
  });

  readonly close = async () => {
    this.commit();
    this.#closed = true;
  };

  readonly setCommitting = (now: boolean) => {
    this.#committing = now;
    if (now) this.commit();
  };

  readonly sayHealth = (health: JournalHealth) => {
    for (const listener of this.#healthListeners) listener(health);
  };

  readonly sayLoss = (loss: Told) => {
    for (const listener of this.#lossListeners) listener(loss);
  };

  readonly drop: MemoryJournal["drop"] = ({ from, to, kinds }) => {
    const gone = this.#committed.filter((record) => record.seq >= from && record.seq <= to && kinds.includes(record.kind));
    this.#committed = this.#committed.filter((record) => !gone.includes(record));
    this.#dropped += gone.length;
    const range = { fromSeq: seq(from), toSeq: seq(to), count: gone.length };
    this.sayLoss({ ...range, why: "byte-budget", what: "records", reader: null });
  };

  readonly dropWaiting: MemoryJournal["dropWaiting"] = ({ from, to }) => {
    const gone = this.#waiting.filter((record) => record.kind === "observation" && record.seq >= from && record.seq <= to);
    this.#waiting = this.#waiting.filter((record) => !gone.includes(record));
    this.#dropped += gone.length;
    const range = { fromSeq: seq(from), toSeq: seq(to), count: gone.length };
    this.sayLoss({ ...range, why: "queue-full", what: "records", reader: null });
  };

  readonly cursors = () => new Map(this.#cursors);

  readonly reopen: MemoryJournal["reopen"] = (kept) =>
    new DiskInMemory({ epoch: this.epoch, records: this.#committed, cursors: kept ?? this.#cursors, closed: this.#closed });

  #observations(): readonly Observation[] {
    return this.#committed.filter((record): record is Observation => record.kind === "observation");
  }

  /** Index of the first committed record over a number; the list is in order. */
  #indexAfter(afterSeq: Seq): number {
    let low = 0;
    let high = this.#committed.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#committed[middle]?.seq ?? Number.POSITIVE_INFINITY) <= afterSeq) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

function listen<Listener>(listeners: Set<Listener>, listener: Listener): () => void {
  listeners.add(listener);
  return () => void listeners.delete(listener);
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
