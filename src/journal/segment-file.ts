import { existsSync, statSync } from "node:fs";
import { basename } from "node:path";
import { LIMITS } from "../core/limits.ts";
import { isQuantityName } from "../core/quantities.ts";
import type { RecordKind } from "../core/record.ts";
import { ALL_KIND_BITS, BLOCK_KIND_BITS, type Block, encodeBlock, isBlockKind, visitBlock } from "./block.ts";
import { DamagedBytesError } from "./block-bytes.ts";
import {
  checkSum,
  closeUncarried,
  expectRising,
  FACTS_TABLE,
  FileSchema,
  inTransaction,
  type OpenDatabase,
  openForReading,
  openForWriting,
  openReadable,
  readBytes,
  structureIsSound,
  versionOf,
} from "./database.ts";
import { damagedError, firstSeqOf, inodeOf, sqliteOrSystemCode } from "./journal-folder.ts";
import type { SegmentEntry } from "./messages.ts";
import { contextAt, contextKeyAt, numbersAt, type ObservationContext, type PackedRare, type PackedRecords } from "./packing.ts";
import { ROLLUP_CELL_MS, RollupGatherer } from "./rollup.ts";

/**
 * One segment: a row per commit instead of a row per observation. Measured against rows: 6 to 8 bytes an observation
 * instead of 45, one or two pages a commit instead of a dozen, and each row carries a check sum, which SQLite's pages do
 * not: a flipped bit in a heart rate is found, not shown. `rollups` are the table of contents by time, a row per 15 s.
 */
export const SEGMENT_SCHEMA = new FileSchema([
  `${FACTS_TABLE}
     CREATE TABLE contexts (id INTEGER PRIMARY KEY, crc INTEGER NOT NULL, json TEXT NOT NULL);
     CREATE TABLE blocks (first_seq INTEGER PRIMARY KEY, last_seq INTEGER NOT NULL, record_count INTEGER NOT NULL,
       kinds INTEGER NOT NULL, min_at_ms REAL, max_at_ms REAL, crc INTEGER NOT NULL, data BLOB NOT NULL);
     CREATE TABLE rollups (to_seq INTEGER PRIMARY KEY, from_seq INTEGER NOT NULL, min_at_ms REAL NOT NULL,
       max_at_ms REAL NOT NULL, crc INTEGER NOT NULL, data BLOB NOT NULL);`,
  // Version 2 may hold tallies, which version 1 would take for damage; the tables are the same.
  "",
]);

const SEALED = "sealed";
/** SQLite takes a column's name as it stands in the file, where a damaged letter may be a capital one; so each is named here. */
const BLOCK_COLUMNS = "first_seq AS first_seq, last_seq AS last_seq, record_count AS record_count, crc AS crc, data AS data";
const ROLLUP_COLUMNS = "to_seq AS to_seq, from_seq AS from_seq, crc AS crc, data AS data";
const CONTEXT_COLUMNS = "id AS id, crc AS crc, json AS json";
/** Blocks are read until they hold so many records. */
const BLOCK_PAGE_RECORDS = 2000;
/** And at most so many of them, whatever they say that they hold. */
const BLOCK_PAGE_ROWS = 64;
/** What blocks say that they hold is looked at so many at a time. */
const BLOCK_COUNTS_ROWS = 256;

interface ContextRow {
  readonly id: number;
  readonly crc: number;
  readonly json: string;
}

/** One stored block. */
export interface BlockRow {
  readonly first_seq: number;
  readonly last_seq: number;
  readonly record_count: number;
  readonly crc: number;
  readonly data: Buffer;
}

/** One stored row of rollups. */
export interface RollupRow {
  readonly to_seq: number;
  readonly from_seq: number;
  readonly crc: number;
  readonly data: Buffer;
}

/** Whether a block's bytes are those that were written. */
export function blockIsSound(row: BlockRow): boolean {
  return checkSum(row.data, row.first_seq) === row.crc;
}

/** Whether a rollup's bytes are those that were written. */
export function rollupIsSound(row: RollupRow): boolean {
  return checkSum(row.data, row.to_seq) === row.crc;
}

/**
 * The highest number in a block, read out of its bytes, which the check sum covers together with the first number.
 *
 * @returns  Null where the bytes are not those that were written.
 */
function lastSeqInBlock(row: BlockRow): number | null {
  if (!blockIsSound(row)) return null;
  let lastSeq = row.first_seq;
  const take = ({ seq }: { readonly seq: number }) => {
    lastSeq = Math.max(lastSeq, seq);
  };
  try {
    visitBlock(row.data, row.first_seq, { observation: (_contextId, numbers) => take(numbers), rare: take });
  } catch (error) {
    if (!(error instanceof DamagedBytesError)) throw error;
    return null;
  }
  return lastSeq;
}

/**
 * How the last number of a segment is read.
 *
 * - `strict`: every damage to the last block is damage.
 * - `mending`: a block whose bytes are damaged is still known to have been there by its column, so that a reader finds it and its loss is
 *   told to the number; where the column cannot be right, or bytes that are sound say otherwise, that is damage.
 * - `looking`: bytes that are sound are believed, whatever the column says.
 */
type LastSeqReading = "strict" | "mending" | "looking";

/**
 * The last number of a segment, 0 where it has no block. A writer passes over a batch up to it as already there and a later life counts on
 * from it, so it is read out of the last block's bytes: no check sum covers the column that says it too.
 *
 * @throws  An error of damage, as the way of reading says.
 */
function readLastSeq(database: OpenDatabase, how: LastSeqReading): number {
  const row = database.prepare<[], BlockRow>(`SELECT ${BLOCK_COLUMNS} FROM blocks ORDER BY first_seq DESC LIMIT 1`).get();
  if (row === undefined) return 0;
  const inBytes = lastSeqInBlock(row);
  if (inBytes !== null && (inBytes === row.last_seq || how === "looking")) return inBytes;
  // The records of a commit have numbers without a gap, save for those that went from the queue.
  const mayBe = Number.isSafeInteger(row.last_seq) && row.last_seq < row.first_seq + LIMITS.journalBatchRecordsMax.value;
  if (inBytes === null && mayBe && how !== "strict") return row.last_seq;
  throw damagedError("the last block does not say where the segment ends");
}

/** Whether a sound block lies under a first number. */
function holdsSoundBlock(database: OpenDatabase, firstSeq: number): boolean {
  const row = database.prepare<[number], BlockRow>(`SELECT ${BLOCK_COLUMNS} FROM blocks WHERE first_seq = ?`).get(firstSeq);
  return row !== undefined && blockIsSound(row);
}

/** Whether a sound block lies under a first number in a file. @throws  SQLite's or the disk's error where that cannot be read. */
export function segmentHoldsBlock(path: string, firstSeq: number): boolean {
  const database = openForReading(path);
  try {
    return holdsSoundBlock(database, firstSeq);
  } finally {
    database.close();
  }
}

/** What a segment says of itself once it is sealed, or null. The last block is asked too, in case more came behind the seal. */
function readSealed(database: OpenDatabase, path: string, how: LastSeqReading): SegmentEntry | null {
  const row = database
    .prepare<[string], { value: string; crc: number }>("SELECT value, crc FROM facts WHERE name = ?")
    .get(SEALED);
  if (row === undefined || checkSum(row.value, 0) !== row.crc) return null;
  const entry = JSON.parse(row.value) as SegmentEntry;
  return readLastSeq(database, how) === entry.lastSeq
    ? { ...entry, file: basename(path), sealed: true, bytes: readBytes(database) }
    : null;
}

/** What a segment holds, counted. */
function countEntry(database: OpenDatabase, path: string, how: LastSeqReading): SegmentEntry {
  const sums = database
    .prepare<[], { records: number | null; minAt: number | null; maxAt: number | null }>(
      "SELECT sum(record_count) AS records, min(min_at_ms) AS minAt, max(max_at_ms) AS maxAt FROM blocks",
    )
    .get();
  const file = basename(path);
  return {
    file,
    firstSeq: firstSeqOf(file),
    lastSeq: readLastSeq(database, how),
    recordCount: sums?.records ?? 0,
    minAtMs: sums?.minAt ?? null,
    maxAtMs: sums?.maxAt ?? null,
    sealed: false,
    bytes: readBytes(database),
  };
}

/** The contexts of a segment, read as needed. */
class ContextTable {
  readonly #database: OpenDatabase;
  readonly #byId = new Map<number, ObservationContext>();
  #lastId = -1;

  constructor(database: OpenDatabase) {
    this.#database = database;
  }

  /** Reads those that are new, and returns all. A context whose check sum is wrong, or whose quantity is no longer known, is left out. */
  refresh(): ReadonlyMap<number, ObservationContext> {
    const rows = this.#database
      .prepare<[number], ContextRow>(`SELECT ${CONTEXT_COLUMNS} FROM contexts WHERE id > ? ORDER BY id`)
      .all(this.#lastId);
    for (const row of rows) {
      const context = checkSum(row.json, row.id) === row.crc ? parseContext(row.json) : null;
      if (context !== null) this.#byId.set(row.id, context);
      this.#lastId = row.id;
    }
    return this.#byId;
  }

  /** The context, or undefined where it is not there. */
  find(id: number): ObservationContext | undefined {
    return this.#byId.get(id) ?? (id > this.#lastId ? this.refresh().get(id) : undefined);
  }

  /** @throws DamagedBytesError  Where the context is not there. */
  of(id: number): ObservationContext {
    const context = this.find(id);
    if (context === undefined) throw new DamagedBytesError("an observation's context is missing");
    return context;
  }
}

/** A stored context whose check sum is right, or null where its quantity is no longer known. */
export function parseContext(json: string): ObservationContext | null {
  const context = JSON.parse(json) as ObservationContext;
  return isQuantityName(context.quantity) ? context : null;
}

/** Equal for contexts of the same device, patient and quantity. */
export function seriesKey(context: ObservationContext): string {
  return JSON.stringify([context.deviceId, context.patientId, context.quantity]);
}

/** A segment that is written. Belongs to the writing thread. */
export class SegmentWriter {
  readonly path: string;
  readonly openedMonotonicMs: number;
  readonly #database: OpenDatabase;
  readonly #idByJson = new Map<string, number>();
  readonly #contexts: ContextTable;
  readonly #seriesIds = new Map<string, number>();
  readonly #insertContext;
  readonly #insertBlock;
  readonly #insertRollup;
  #nextContextId = 0;
  #gatherer = new RollupGatherer();
  #gatheredSinceMs: number;
  #entry: SegmentEntry;
  #walBytes = 0;
  readonly #inode: number | null;

  /**
   * @param options  `check`: every page is looked at. `checkAll`: damage was met, so the last block must be sound as well, whatever can
   *                 still be known of it.
   * @throws         SQLite's error, also where a page is not sound or the last block does not say where the segment ends; the file is closed.
   */
  constructor(path: string, nowMonotonicMs: number, options: { readonly check: boolean; readonly checkAll?: boolean }) {
    this.path = path;
    this.openedMonotonicMs = nowMonotonicMs;
    this.#gatheredSinceMs = nowMonotonicMs;
    this.#database = openSegment(path, options.check);
    this.#inode = inodeOf(path);
    this.#insertContext = this.#database.prepare("INSERT INTO contexts (id, crc, json) VALUES (?, ?, ?)");
    this.#insertBlock = this.#database.prepare(
      "INSERT INTO blocks (first_seq, last_seq, record_count, kinds, min_at_ms, max_at_ms, crc, data) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
    );
    this.#insertRollup = this.#database.prepare(
      "INSERT INTO rollups (to_seq, from_seq, min_at_ms, max_at_ms, crc, data) VALUES (?, ?, ?, ?, ?, ?)",
    );
    this.#contexts = new ContextTable(this.#database);
    try {
      this.#entry = countEntry(this.#database, path, options.checkAll === true ? "strict" : "mending");
      this.#loadContexts();
      this.#gatherTail();
    } catch (error) {
      this.abandon();
      throw error;
    }
  }

  #loadContexts(): void {
    const highest = this.#database.prepare<[], number | null>("SELECT max(id) FROM contexts").pluck().get();
    this.#nextContextId = (highest ?? -1) + 1;
    for (const [id, context] of this.#contexts.refresh()) this.#know(id, context);
  }

  #know(id: number, context: ObservationContext): void {
    this.#idByJson.set(JSON.stringify(context), id);
    const key = seriesKey(context);
    if (!this.#seriesIds.has(key)) this.#seriesIds.set(key, id);
  }

  /** Gathers again what was committed after the last rollup, when a segment is opened after a stop or crash. */
  #gatherTail(): void {
    const rows = this.#database
      .prepare<[], BlockRow>(
        `SELECT ${BLOCK_COLUMNS} FROM blocks WHERE first_seq > coalesce((SELECT max(to_seq) FROM rollups), 0) ORDER BY first_seq`,
      )
      .all();
    for (const row of rows) {
      if (!blockIsSound(row)) continue;
      const observation = (contextId: number, numbers: Parameters<RollupGatherer["add"]>[2]) => {
        const context = this.#contexts.find(contextId);
        if (context !== undefined) this.#gatherer.add(this.#seriesOf(context, contextId), context, numbers);
      };
      visitBlock(row.data, row.first_seq, { observation, rare: null });
    }
  }

  #seriesOf(context: ObservationContext, fallbackId: number): number {
    return this.#seriesIds.get(seriesKey(context)) ?? fallbackId;
  }

  get entry(): SegmentEntry {
    return this.#entry;
  }

  /** Whether the file still lies where it was opened. */
  isInPlace(): boolean {
    return inodeOf(this.path) === this.#inode;
  }

  /** Bytes in the write-ahead log since it was last carried over, estimated from what was written. */
  get walBytes(): number {
    return this.#walBytes;
  }

  /**
   * Commits one batch's observations, predictions and events and waits for the disk. Nothing of it stays on failure.
   * A batch that is already there is passed over, so that it may be sent twice.
   *
   * @throws  SQLite's error; an error of damage where the batch should be there already and is not.
   */
  append(packed: PackedRecords, rare: readonly PackedRare[], nowMonotonicMs: number): void {
    const fresh = new Map<string, { readonly id: number; readonly context: ObservationContext }>();
    const resolved = this.#resolve(packed, fresh);
    const block = encodeBlock(packed, resolved.ids, rare);
    if (block.firstSeq <= this.#entry.lastSeq) {
      // A batch is in the journal whole or not at all; what is acknowledged is there, and not merely under the segment's last number.
      if (block.lastSeq <= this.#entry.lastSeq && holdsSoundBlock(this.#database, block.firstSeq)) return;
      throw damagedError("a batch that should be there already is not");
    }
    const rollupIsDue = this.#gatherer.isFull() || nowMonotonicMs - this.#gatheredSinceMs >= ROLLUP_CELL_MS;
    inTransaction(this.#database, () => {
      for (const [json, { id }] of fresh) this.#insertContext.run(id, checkSum(json, id), json);
      this.#storeBlock(block);
      if (rollupIsDue) this.#storeRollup();
    });
    for (const { id, context } of fresh.values()) this.#know(id, context);
    this.#nextContextId += fresh.size;
    if (rollupIsDue) this.#startGathering(nowMonotonicMs);
    for (let index = 0; index < packed.observationCount; index++) {
      const context = resolved.contexts[index];
      const id = resolved.ids[index];
      if (context !== undefined && id !== undefined)
        this.#gatherer.add(this.#seriesIds.get(resolved.series[index] ?? "") ?? id, context, numbersAt(packed, index));
    }
    this.#count(block);
  }

  #resolve(packed: PackedRecords, fresh: Map<string, { readonly id: number; readonly context: ObservationContext }>) {
    const ids = new Uint32Array(packed.observationCount);
    const contexts: ObservationContext[] = [];
    const series: string[] = [];
    const known = new Map<string, { readonly id: number; readonly context: ObservationContext; readonly series: string }>();
    for (let index = 0; index < packed.observationCount; index++) {
      const key = contextKeyAt(packed, index);
      let found = known.get(key);
      if (found === undefined) {
        const context = contextAt(packed, index);
        const json = JSON.stringify(context);
        const id = this.#idByJson.get(json) ?? fresh.get(json)?.id ?? this.#nextContextId + fresh.size;
        if (!this.#idByJson.has(json) && !fresh.has(json)) fresh.set(json, { id, context });
        found = { id, context, series: seriesKey(context) };
        known.set(key, found);
      }
      ids[index] = found.id;
      contexts.push(found.context);
      series.push(found.series);
    }
    return { ids, contexts, series };
  }

  #storeBlock(block: Block): void {
    const { firstSeq, lastSeq, recordCount, kinds, minAtMs, maxAtMs, data } = block;
    this.#insertBlock.run(firstSeq, lastSeq, recordCount, kinds, minAtMs, maxAtMs, checkSum(data, firstSeq), data);
  }

  #storeRollup(): void {
    const row = this.#gatherer.row();
    if (row === null) return;
    this.#insertRollup.run(row.toSeq, row.fromSeq, row.minAtMs, row.maxAtMs, checkSum(row.data, row.toSeq), row.data);
    this.#walBytes += row.data.length;
  }

  #startGathering(nowMonotonicMs: number): void {
    this.#gatherer = new RollupGatherer();
    this.#gatheredSinceMs = nowMonotonicMs;
  }

  #count(block: Block): void {
    const before = this.#entry;
    this.#walBytes += block.data.length + 2048;
    this.#entry = {
      ...before,
      lastSeq: block.lastSeq,
      recordCount: before.recordCount + block.recordCount,
      minAtMs: block.minAtMs === null ? before.minAtMs : Math.min(before.minAtMs ?? block.minAtMs, block.minAtMs),
      maxAtMs: block.maxAtMs === null ? before.maxAtMs : Math.max(before.maxAtMs ?? block.maxAtMs, block.maxAtMs),
      bytes: readBytes(this.#database),
    };
  }

  /** Carries the write-ahead log into the file; what a reader still needs stays for the next time. */
  checkpoint(): void {
    this.#database.pragma("wal_checkpoint(PASSIVE)");
    this.#walBytes = 0;
  }

  /** Ends the segment: its table of contents is complete and nothing is added any more. */
  seal(): SegmentEntry & { readonly carriedOver: boolean } {
    const entry = { ...this.#entry, sealed: true };
    inTransaction(this.#database, () => {
      this.#storeRollup();
      const value = JSON.stringify(entry);
      this.#database
        .prepare("INSERT OR REPLACE INTO facts (name, value, crc) VALUES (?, ?, ?)")
        .run(SEALED, value, checkSum(value, 0));
    });
    return { ...entry, carriedOver: this.#endQuietly() };
  }

  /** What was committed is safe in the log, so that a disk that refuses to carry it over now does no harm. @returns  Whether it was carried over. */
  #endQuietly(): boolean {
    try {
      this.#database.pragma("wal_checkpoint(TRUNCATE)");
      this.#database.close();
      return true;
    } catch (error) {
      if (sqliteOrSystemCode(error) === null) throw error;
      this.abandon();
      return false;
    }
  }

  /**
   * Stores the table of contents so far and closes the file; it can be opened and written again.
   *
   * @returns  False where the log could not be carried over.
   */
  close(): boolean {
    try {
      inTransaction(this.#database, () => this.#storeRollup());
    } catch (error) {
      this.abandon();
      throw error;
    }
    return this.#endQuietly();
  }

  /** Closes the file whatever its state, and carries nothing over. */
  abandon(): void {
    closeUncarried(this.#database, this.path);
  }
}

/** A segment that is read. Belongs to the reading thread. */
export class SegmentReader {
  readonly file: string;
  readonly #database: OpenDatabase;
  readonly #contexts: ContextTable;
  readonly #blocks;
  readonly #blocksBack;
  readonly #blocksFrom;
  readonly #blocksAfter;
  readonly #blockCounts;
  readonly #rollups;

  constructor(path: string) {
    this.file = basename(path);
    this.#database = openReadable(path, null);
    this.#contexts = new ContextTable(this.#database);
    this.#blocks = this.#database.prepare<[number, number, number, number, number, number], BlockRow>(
      `SELECT ${BLOCK_COLUMNS} FROM blocks
       WHERE first_seq >= coalesce((SELECT max(first_seq) FROM blocks WHERE first_seq <= ?), 0)
       AND last_seq >= ? AND first_seq <= ? AND coalesce(max_at_ms, ?) >= ? AND kinds & ? ORDER BY first_seq`,
    );
    this.#blocksBack = this.#database.prepare<[number], BlockRow>(
      `SELECT ${BLOCK_COLUMNS} FROM blocks
       WHERE first_seq <= ? AND kinds & ${BLOCK_KIND_BITS.observation} ORDER BY first_seq DESC LIMIT 16`,
    );
    this.#blocksFrom = this.#database.prepare<[number, number, number, number], BlockRow>(
      `SELECT ${BLOCK_COLUMNS} FROM blocks
       WHERE first_seq >= coalesce((SELECT max(first_seq) FROM blocks WHERE first_seq <= ?), 0) AND first_seq > ? AND first_seq <= ?
       AND (kinds & ? OR typeof(kinds) <> 'integer' OR kinds & ${ALL_KIND_BITS} = 0) ORDER BY first_seq`,
    );
    this.#blocksAfter = this.#database.prepare<[number], BlockRow>(
      `SELECT ${BLOCK_COLUMNS} FROM blocks WHERE first_seq > ? ORDER BY first_seq LIMIT 8`,
    );
    this.#blockCounts = this.#database.prepare<[number, number], Pick<BlockRow, "first_seq" | "record_count">>(
      "SELECT first_seq AS first_seq, record_count AS record_count FROM blocks WHERE first_seq > ? ORDER BY first_seq LIMIT ?",
    );
    this.#rollups = this.#database.prepare<[number, number, number], RollupRow>(
      `SELECT ${ROLLUP_COLUMNS} FROM rollups
       WHERE to_seq > ? AND max_at_ms >= ? AND min_at_ms <= ? ORDER BY to_seq LIMIT 64`,
    );
  }

  /** The next few blocks that reach from one number to another and may hold one of the kinds. */
  blocks(range: {
    readonly fromSeq: number;
    readonly toSeq: number;
    readonly kinds: readonly RecordKind[] | null;
    readonly sinceMs?: number;
  }): BlockRow[] {
    const mask = range.kinds === null ? ALL_KIND_BITS : maskOf(range.kinds);
    const sinceMs = range.sinceMs ?? Number.NEGATIVE_INFINITY;
    const rows: BlockRow[] = [];
    let recordCount = 0;
    for (const row of this.#blocks.iterate(range.fromSeq, range.fromSeq, range.toSeq, Number.POSITIVE_INFINITY, sinceMs, mask)) {
      rows.push(row);
      recordCount += row.record_count;
      if (rows.length >= BLOCK_PAGE_ROWS || !(recordCount < BLOCK_PAGE_RECORDS)) break;
    }
    return expectRising(rows, -1, firstSeqOfRow);
  }

  /**
   * The next few blocks, in order, from the one that may hold a number on and after the last that was read. No check sum covers a block's
   * columns, so whatever they say passes over no block that may hold what is asked: only the order of the first numbers counts, which
   * the check sums are tied to, and kinds only where observations are not asked for.
   */
  blocksFrom(range: {
    readonly fromSeq: number;
    readonly afterFirstSeq: number;
    readonly toSeq: number;
    readonly kinds: readonly RecordKind[] | null;
    /** The page ends where its blocks say that they hold so many together. */
    readonly recordsWanted: number;
  }): BlockRow[] {
    const { fromSeq, afterFirstSeq, toSeq, kinds } = range;
    const mask = kinds === null || kinds.includes("observation") ? -1 : maskOf(kinds);
    const rows: BlockRow[] = [];
    let recordCount = 0;
    for (const row of this.#blocksFrom.iterate(fromSeq, afterFirstSeq, toSeq, mask)) {
      rows.push(row);
      recordCount += row.record_count;
      if (rows.length >= BLOCK_PAGE_ROWS || !(recordCount < range.recordsWanted)) break;
    }
    return expectRising(rows, afterFirstSeq, firstSeqOfRow);
  }

  /** What the next blocks say that they hold, without their data. */
  blockCounts(afterFirstSeq: number): Pick<BlockRow, "first_seq" | "record_count">[] {
    return expectRising(this.#blockCounts.all(afterFirstSeq, BLOCK_COUNTS_ROWS), afterFirstSeq, firstSeqOfRow);
  }

  /** The next few blocks whose first number is over one, whatever they say of their last. */
  blocksAfter(firstSeq: number): BlockRow[] {
    return expectRising(this.#blocksAfter.all(firstSeq), firstSeq, firstSeqOfRow);
  }

  /** What a block that cannot be read may have held. The damage may lie in its first number: then it begins right behind the block before it. */
  rangeOf(row: BlockRow): { readonly fromSeq: number; readonly toSeq: number; readonly count: number } {
    const fromSeq = blockIsSound(row) ? row.first_seq : Math.min(row.first_seq, this.#lastSeqBefore(row.first_seq) + 1);
    return { fromSeq, toSeq: row.last_seq, count: row.record_count };
  }

  /** The last number of the block before a first number; where there is none, the one before the segment's first. */
  #lastSeqBefore(firstSeq: number): number {
    const rows = this.#database
      .prepare<[number], BlockRow>(`SELECT ${BLOCK_COLUMNS} FROM blocks WHERE first_seq < ? ORDER BY first_seq DESC LIMIT 2`)
      .all(firstSeq);
    // SQLite takes the rows to be in order: where a page's last number is damaged, it may answer with that row itself.
    const before = rows.find((row) => row.first_seq < firstSeq);
    return before === undefined ? firstSeqOf(this.file) - 1 : (lastSeqInBlock(before) ?? before.last_seq);
  }

  /** The last number of the newest block, 0 where there is none. */
  lastSeq(): number {
    return readLastSeq(this.#database, "looking");
  }

  /** The few blocks with observations that begin at a number or before it, newest first. */
  blocksBack(upToSeq: number): BlockRow[] {
    return expectRising(this.#blocksBack.all(upToSeq), -upToSeq - 1, ({ first_seq }) => -first_seq);
  }

  /** The next few rollups after one, that touch a time. */
  rollups(range: { readonly afterToSeq: number; readonly fromMs: number; readonly toMs: number }): RollupRow[] {
    return expectRising(this.#rollups.all(range.afterToSeq, range.fromMs, range.toMs), range.afterToSeq, ({ to_seq }) => to_seq);
  }

  /** Observations after this number are not in a rollup yet. */
  rolledUpToSeq(): number {
    return this.#database.prepare<[], number | null>("SELECT max(to_seq) FROM rollups").pluck().get() ?? 0;
  }

  /** All contexts there are now. */
  contexts(): ReadonlyMap<number, ObservationContext> {
    return this.#contexts.refresh();
  }

  /** @throws DamagedBytesError  Where the context is not there. */
  contextOf(id: number): ObservationContext {
    return this.#contexts.of(id);
  }

  close(): void {
    this.#database.close();
  }
}

function firstSeqOfRow({ first_seq }: Pick<BlockRow, "first_seq">): number {
  return first_seq;
}

/** The bits of kinds that live in blocks. */
function maskOf(kinds: readonly RecordKind[]): number {
  let mask = 0;
  for (const kind of kinds) if (isBlockKind(kind as "event")) mask |= BLOCK_KIND_BITS[kind as "event"];
  return mask;
}

function openSegment(path: string, check: boolean): OpenDatabase {
  const database = openForWriting(path, SEGMENT_SCHEMA);
  if (!check || structureIsSound(database, SEGMENT_SCHEMA)) return database;
  database.close();
  throw damagedError("a page is not sound");
}

/**
 * Looks at a segment without changing it: its header, its size and its own account; with `checkAll` every page.
 *
 * @returns  What it holds, or null where it is not sealed and must be opened for writing.
 * @throws   SQLite's error where it is damaged.
 */
export function inspectSealed(path: string, checkAll: boolean): SegmentEntry | null {
  const database = openForReading(path);
  try {
    if (versionOf(database) === 0) return null;
    if (!existsSync(`${path}-wal`) && statSync(path).size < readBytes(database))
      throw damagedError("the file is shorter than its header says");
    const entry = readSealed(database, path, checkAll ? "strict" : "mending");
    if (entry !== null && checkAll && !structureIsSound(database, SEGMENT_SCHEMA)) throw damagedError("a page is not sound");
    return entry;
  } finally {
    database.close();
  }
}

/** What a segment holds, looked at without changing anything, also on a disk that cannot be written; of its end the bytes are believed. @throws  SQLite's error where it is damaged. */
export function lookAtSegment(path: string): SegmentEntry {
  const database = openReadable(path, null);
  try {
    return readSealed(database, path, "looking") ?? countEntry(database, path, "looking");
  } finally {
    database.close();
  }
}

/**
 * Takes a sealed segment out of write-ahead mode, so that looking at it makes no further files.
 *
 * @returns  False where a reader holds it just now.
 * @throws   The disk's error; nothing of the log was then carried over on closing.
 */
export function settleSealed(path: string): boolean {
  const database = openForWriting(path, SEGMENT_SCHEMA);
  try {
    database.pragma("busy_timeout = 0");
    const settled = database.pragma("journal_mode = DELETE", { simple: true }) === "delete";
    database.close();
    return settled;
  } catch (error) {
    closeUncarried(database, path);
    if (sqliteOrSystemCode(error)?.startsWith("SQLITE_BUSY") === true) return false;
    throw error;
  }
}
