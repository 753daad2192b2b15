import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, type Stats, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Fault, fault } from "../core/errors.ts";
import type { ReaderCursor } from "../core/ports.ts";
import type { JournalRecord, LifeStart, Loss } from "../core/record.ts";
import { fail, type Result, succeed } from "../core/result.ts";
import { visitBlock } from "./block.ts";
import { DamagedBytesError } from "./block-bytes.ts";
import { checkSum, type OpenDatabase, openForReading, TooNewError, versionFromHeader, versionOf } from "./database.ts";
import { copyReadable } from "./database-image.ts";
import {
  firstSeqOf,
  headerVersion,
  holderOf,
  isDamage,
  isInLogMode,
  isSameFile,
  KEPT_FILE,
  LOCK_FILE,
  listSealedKept,
  listSegments,
  spanOfSealedKept,
  sqliteOrSystemCode,
} from "./journal-folder.ts";
import { KEPT_FILE_KINDS, KEPT_SCHEMA, KeptFile, type KeptKind, KeptReader, readOwedLosses } from "./kept-file.ts";
import type { LostRange } from "./messages.ts";
import type { NumberSpan } from "./number-spans.ts";
import { findTooNew } from "./open-folder.ts";
import { observationOf, type PackedRare, rareOf } from "./packing.ts";
import { type KeptRange, keptRecords, type SealedPart } from "./sealed-kept.ts";
import { type BlockRow, blockIsSound, SegmentReader } from "./segment-file.ts";

/** What a walk comes upon: a record, or stored bytes that are not those that were written. */
export type WalkStep =
  | { readonly kind: "record"; readonly record: JournalRecord }
  | { readonly kind: "damaged"; readonly file: string; readonly fromSeq: number; readonly toSeq: number; readonly count: number };

/** A journal seen from outside. Nothing in its folder is changed and nothing is locked; a gateway may be at work on it. */
export interface JournalView {
  readonly epoch: string | null;
  readonly gatewayId: string | null;
  /** Whether a gateway is at work on it. */
  readonly isRunning: boolean;
  /** Every reader that has a cursor; null where its check sum is wrong. */
  readonly readers: ReadonlyMap<string, ReaderCursor | null>;
  /** Every loss record there is now, and what is noted to be lost and is not a record yet. */
  readonly losses: () => { readonly recorded: readonly Loss[]; readonly owed: readonly LostRange[] };
  /** Numbers the journal says were left out while a gateway ran, and at starts. */
  readonly leftOut: () => readonly { readonly fromSeq: number; readonly toSeq: number }[];
  /** The last number up to which everything is on disk now. */
  readonly endSeq: () => number;
  /** How the last life ended, if the journal ends with this number; `running` while a gateway is at work. */
  readonly endedAt: (lastSeq: number) => Exclude<LifeStart["before"], "first"> | "running";
  /** Every record up to a number, in the order of the files: by number where they are sound. Reads page by page. */
  readonly walk: (upToSeq: number) => Generator<WalkStep, void>;
  /** Every record of some kinds that are kept for ever, by number, also those of a commit under way. Observations are not read for it. */
  readonly walkKept: (kinds: readonly KeptKind[]) => Generator<WalkStep, void>;
  readonly close: () => void;
}

/** Kept records read at once. */
const KEPT_PAGE_RECORDS = 500;

/**
 * Opens a journal's folder to look at it. SQLite makes files beside a database with a write-ahead log even to read it, so where no gateway
 * is at work such files (the newest ones, or all after a crash) are copied into the temporary folder first.
 *
 * @returns  The view, or `journal-unreadable`, `journal-too-new` or `journal-damaged` (the kept file itself).
 */
export function viewJournal(folder: string): Result<JournalView, Fault> {
  const unreadable = (code: string) => fail(fault("journal-unreadable", { folder, code }));
  if (!existsSync(join(folder, KEPT_FILE))) return unreadable("NO_JOURNAL");
  const tooNew = findTooNew(folder);
  if (tooNew !== null) return fail(tooNew);
  let copies: Copies | null = null;
  try {
    copies = new Copies(folder);
    return succeed(new FolderView(folder, copies));
  } catch (error) {
    copies?.remove();
    if (error instanceof TooNewError) return fail(fault("journal-too-new", { folder, foundVersion: error.foundVersion }));
    if (isDamage(error)) return fail(fault("journal-damaged", { file: join(folder, KEPT_FILE) }));
    return unreadable(sqliteOrSystemCode(error) ?? String(error));
  }
}

// --------------------------------------------------------------------- whether somebody is at work

/** Whether a process holds the journal's lock. Asks the kernel, takes no lock: a gateway that starts at this moment must not find one. */
function isHeld(folder: string): boolean {
  const lock = statSync(join(folder, LOCK_FILE), { throwIfNoEntry: false });
  if (lock === undefined) return false;
  return isInKernelTable(lock) || isOpenInHolder(folder, lock);
}

/** Lines such as `3: POSIX  ADVISORY  WRITE 25255 fe:00:2220202 1073741824 1073742335`. Source: proc(5), /proc/locks. */
function isInKernelTable({ dev, ino }: Stats): boolean {
  const [major, minor] = [Math.floor(dev / 256) % 4096, (dev % 256) + Math.floor(dev / 2 ** 20) * 256];
  const place = `${[major, minor].map((number) => number.toString(16).padStart(2, "0")).join(":")}:${ino}`;
  const table = quietly(() => readFileSync("/proc/locks", "utf8")) ?? "";
  return table.split("\n").some((line) => line.includes(" WRITE ") && line.split(/\s+/).includes(place));
}

/** In a container the table may not show the lock; the process that noted itself as the holder shows the file as open. */
function isOpenInHolder(folder: string, lock: Stats): boolean {
  const { pid } = holderOf(folder);
  if (pid === undefined) return false;
  const files = quietly(() => readdirSync(`/proc/${pid}/fd`)) ?? [];
  return files.some((file) => {
    const opened = quietly(() => statSync(`/proc/${pid}/fd/${file}`));
    return opened?.ino === lock.ino && opened.dev === lock.dev;
  });
}

function quietly<Value>(ask: () => Value): Value | null {
  try {
    return ask();
  } catch (error) {
    if (sqliteOrSystemCode(error) === null) throw error;
    return null;
  }
}

/** Where to open each file: in its place, or a copy of it. */
class Copies {
  readonly isRunning: boolean;
  readonly #folder: string;
  readonly #copied = new Map<string, string>();
  #copyFolder: string | null = null;

  /** @throws  The operating system's error where a copy cannot be made. */
  constructor(folder: string) {
    this.#folder = folder;
    this.isRunning = isHeld(folder) || !this.#copyUnheld();
  }

  /** @returns  False where a gateway has begun to work meanwhile: then the copies may be torn and the files themselves are read. */
  #copyUnheld(): boolean {
    const files = [KEPT_FILE, ...sealedKeptOf(this.#folder), ...listSegments(this.#folder)].filter((file) =>
      this.#needsCopy(file),
    );
    const before = this.#stamps(files);
    for (const file of files) this.#copy(file);
    if (!isHeld(this.#folder) && this.#stamps(files) === before) return true;
    this.remove();
    return false;
  }

  #needsCopy(file: string): boolean {
    const path = join(this.#folder, file);
    if (existsSync(`${path}-wal`) || existsSync(`${path}-journal`)) return true;
    return isInLogMode(path) || (file === KEPT_FILE && this.#isOlder(path));
  }

  #isOlder(path: string): boolean {
    return versionFromHeader(headerVersion(path)) !== KEPT_SCHEMA.steps.length;
  }

  #stamps(files: readonly string[]): string {
    return files
      .flatMap((file) => [file, `${file}-wal`])
      .map((file) => statSync(join(this.#folder, file), { throwIfNoEntry: false }))
      .map((stats) => `${stats?.size}/${stats?.mtimeMs}`)
      .join();
  }

  #copy(file: string): void {
    this.#copyFolder ??= mkdtempSync(join(tmpdir(), "vigil-verify-"));
    const copy = join(this.#copyFolder, file);
    for (const ending of ["", "-wal", "-journal"])
      if (existsSync(join(this.#folder, file + ending))) copyReadable(join(this.#folder, file + ending), copy + ending);
    this.#copied.set(file, copy);
    // A journal of an older version is brought up to date in the copy.
    if (file === KEPT_FILE && this.#isOlder(copy)) KeptFile.open(copy).close();
  }

  pathOf(file: string): string {
    return this.#copied.get(file) ?? join(this.#folder, file);
  }

  remove(): void {
    this.#copied.clear();
    if (this.#copyFolder !== null) rmSync(this.#copyFolder, { recursive: true, force: true });
    this.#copyFolder = null;
  }
}

/** Sealed files of kept records; one that is but a second name of the file in use is still being made. */
function sealedKeptOf(folder: string): string[] {
  return listSealedKept(folder).filter((file) => !isSameFile(join(folder, KEPT_FILE), join(folder, file)));
}

// ------------------------------------------------------------------------------------- the view

interface CursorRow {
  readonly reader: string;
  readonly crc: number;
  readonly json: string;
}

class FolderView implements JournalView {
  readonly epoch: string | null;
  readonly gatewayId: string | null;
  readonly isRunning: boolean;
  readonly readers: ReadonlyMap<string, ReaderCursor | null>;
  readonly #folder: string;
  readonly #copies: Copies;
  readonly #facts: OpenDatabase;
  readonly #kept: KeptReader;
  readonly #sealedKept: readonly (SealedPart & { readonly file: string })[];
  readonly #sealedReaders = new Map<string, KeptReader>();
  #damagedKept: (WalkStep & { readonly kind: "damaged" })[] = [];

  constructor(folder: string, copies: Copies) {
    this.#folder = folder;
    this.#copies = copies;
    this.isRunning = copies.isRunning;
    const path = copies.pathOf(KEPT_FILE);
    this.#facts = openForReading(path);
    const version = versionOf(this.#facts);
    if (version !== KEPT_SCHEMA.steps.length) throw new TooNewError(version, KEPT_SCHEMA.steps.length);
    this.#kept = new KeptReader(path, (seq) => this.#noteDamaged(KEPT_FILE, { from: seq, to: seq }));
    this.#sealedKept = sealedKeptOf(folder).flatMap((file) => this.#sealedPart(file));
    this.epoch = this.#fact("epoch");
    this.gatewayId = this.#fact("gatewayId");
    this.readers = this.#readReaders();
  }

  #noteDamaged(file: string, { from, to }: NumberSpan): void {
    this.#damagedKept.push({ kind: "damaged", file, fromSeq: from, toSeq: to, count: to - from + 1 });
  }

  #sealedPart(file: string): readonly (SealedPart & { readonly file: string })[] {
    const span = spanOfSealedKept(file);
    if (span === null) return [];
    let isDamaged = false;
    const records = (kind: KeptKind, range: KeptRange): readonly PackedRare[] => {
      if (isDamaged) return [];
      const found = quietlyDamaged(() => this.#sealedReader(file).records(kind, range));
      if (found !== null) return found;
      isDamaged = true;
      this.#noteDamaged(file, { from: range.afterSeq + 1, to: span.to });
      return [];
    };
    return [{ file, firstSeq: span.from, lastSeq: span.to, records }];
  }

  #sealedReader(file: string): KeptReader {
    const known = this.#sealedReaders.get(file);
    if (known !== undefined) return known;
    const reader = new KeptReader(this.#copies.pathOf(file), (seq) => this.#noteDamaged(file, { from: seq, to: seq }));
    this.#sealedReaders.set(file, reader);
    return reader;
  }

  #fact(name: string): string | null {
    const row = this.#facts
      .prepare<[string], { value: string; crc: number }>("SELECT value, crc FROM facts WHERE name = ?")
      .get(name);
    return row !== undefined && checkSum(row.value, 0) === row.crc ? row.value : null;
  }

  #readReaders(): ReadonlyMap<string, ReaderCursor | null> {
    const rows = this.#facts.prepare<[], CursorRow>("SELECT reader, crc, json FROM cursors ORDER BY reader").all();
    return new Map(
      rows.map(({ reader, crc, json }) => [
        reader,
        checkSum(json + reader, 0) === crc ? (JSON.parse(json) as ReaderCursor) : null,
      ]),
    );
  }

  readonly losses = (): { readonly recorded: readonly Loss[]; readonly owed: readonly LostRange[] } => {
    const recorded: Loss[] = [];
    for (const record of this.#keptRecords(["loss"], Number.MAX_SAFE_INTEGER)) if (record.kind === "loss") recorded.push(record);
    return { recorded, owed: readOwedLosses(this.#facts).filter((loss) => loss !== null) };
  };

  readonly leftOut = (): readonly { readonly fromSeq: number; readonly toSeq: number }[] => {
    const ranges = JSON.parse(this.#fact("leftOut") ?? "[]") as readonly { readonly from: number; readonly to: number }[];
    return ranges.map(({ from, to }) => ({ fromSeq: from, toSeq: to }));
  };

  readonly endedAt: JournalView["endedAt"] = (lastSeq) => {
    if (this.isRunning) return "running";
    return this.#fact("closedAtSeq") === String(lastSeq) ? "closed" : "cut-off";
  };

  /** A commit brings its kept records first: those of one under way are left for the next time. */
  readonly endSeq = (): number => {
    const lastBlockSeq = this.#lastBlockSeq();
    if (!this.isRunning) return Math.max(lastBlockSeq, this.#lastKeptSeq());
    let endSeq = lastBlockSeq;
    for (const record of this.#keptRecords(KEPT_FILE_KINDS, Number.MAX_SAFE_INTEGER, lastBlockSeq)) {
      const follows = record.kind === "start" ? (record.leftOut?.from ?? record.seq) : record.seq;
      if (follows !== endSeq + 1) break;
      endSeq = record.seq;
    }
    return endSeq;
  };

  #lastBlockSeq(): number {
    for (const file of listSegments(this.#folder).reverse()) {
      const segment = this.#openSegment(file);
      const lastSeq = segment === null ? 0 : (quietlyDamaged(() => segment.lastSeq()) ?? 0);
      segment?.close();
      if (lastSeq > 0) return lastSeq;
    }
    return 0;
  }

  #lastKeptSeq(): number {
    const sealed = this.#sealedKept.map(({ lastSeq }) => lastSeq);
    return Math.max(0, ...sealed, ...KEPT_FILE_KINDS.map((kind) => this.#kept.lastSeq(kind)));
  }

  #openSegment(file: string): SegmentReader | null {
    const path = this.#copies.pathOf(file);
    if (!existsSync(path)) return null;
    return quietlyDamaged(() => new SegmentReader(path));
  }

  // ------------------------------------------------------------------------------------ walking

  *walk(upToSeq: number): Generator<WalkStep, void> {
    const blocks = this.#blockSteps(upToSeq);
    let block = blocks.next();
    for (const record of this.#keptRecords(KEPT_FILE_KINDS, upToSeq)) {
      yield* this.#takeDamagedKept();
      for (; block.done !== true && seqOf(block.value) <= record.seq; block = blocks.next()) yield block.value;
      yield { kind: "record", record };
    }
    yield* this.#takeDamagedKept();
    for (; block.done !== true; block = blocks.next()) yield block.value;
  }

  #takeDamagedKept(): readonly WalkStep[] {
    return this.#damagedKept.length === 0 ? [] : this.#damagedKept.splice(0);
  }

  /** Kept records of some kinds after a number, in rising order. */
  *#keptRecords(kinds: readonly KeptKind[], upToSeq: number, afterSeq = 0): Generator<JournalRecord, void> {
    const lines = kinds.map((kind) => ({ kind, afterSeq, waiting: [] as JournalRecord[], isAtEnd: false }));
    for (;;) {
      let first: (typeof lines)[number] | null = null;
      for (const line of lines) {
        if (line.waiting.length === 0 && !line.isAtEnd) {
          const range = { afterSeq: line.afterSeq, upToSeq, limit: KEPT_PAGE_RECORDS };
          const page = keptRecords(line.kind, range, { inUse: this.#kept, sealed: this.#sealedKept });
          line.waiting = page.flatMap((row) => this.#recordOf(row)).reverse();
          line.afterSeq = page.at(-1)?.seq ?? line.afterSeq;
          line.isAtEnd = page.length === 0;
        }
        const next = line.waiting.at(-1);
        if (next !== undefined && next.seq < (first?.waiting.at(-1)?.seq ?? Number.POSITIVE_INFINITY)) first = line;
      }
      const record = first?.waiting.pop();
      if (record === undefined) return;
      yield record;
    }
  }

  /** Text that is none of a record, though its check sum is right, was not written by a gateway. */
  #recordOf({ seq, json }: PackedRare): readonly JournalRecord[] {
    try {
      return [rareOf(json)];
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
      this.#noteDamaged(KEPT_FILE, { from: seq, to: seq });
      return [];
    }
  }

  *walkKept(kinds: readonly KeptKind[]): Generator<WalkStep, void> {
    for (const record of this.#keptRecords(kinds, Number.MAX_SAFE_INTEGER)) {
      yield* this.#takeDamagedKept();
      yield { kind: "record", record };
    }
    yield* this.#takeDamagedKept();
  }

  *#blockSteps(upToSeq: number): Generator<WalkStep, void> {
    const files = listSegments(this.#folder);
    for (const [index, file] of files.entries()) {
      if (firstSeqOf(file) > upToSeq) return;
      const nextFile = files[index + 1];
      yield* this.#segmentSteps(file, nextFile === undefined ? upToSeq : firstSeqOf(nextFile) - 1, upToSeq);
    }
  }

  *#segmentSteps(file: string, lastSeqByNames: number, upToSeq: number): Generator<WalkStep, void> {
    let afterFirstSeq = -1;
    let lastSeq = firstSeqOf(file) - 1;
    const path = this.#copies.pathOf(file);
    if (!existsSync(path)) return;
    let segment: SegmentReader | null = null;
    try {
      segment = new SegmentReader(path);
      for (;;) {
        const rows = segment.blocksAfter(afterFirstSeq);
        for (const row of rows) {
          afterFirstSeq = row.first_seq;
          lastSeq = Math.max(lastSeq, row.last_seq);
          if (row.first_seq > upToSeq) return;
          yield* stepsOfBlock(segment, row, upToSeq);
        }
        if (rows.length === 0) return;
      }
    } catch (error) {
      if (!isDamage(error)) throw error;
      const [fromSeq, toSeq] = [lastSeq + 1, Math.max(lastSeq + 1, lastSeqByNames)];
      yield { kind: "damaged", file, fromSeq, toSeq, count: toSeq - fromSeq + 1 };
    } finally {
      segment?.close();
    }
  }

  readonly close = (): void => {
    for (const reader of this.#sealedReaders.values()) reader.close();
    this.#kept.close();
    this.#facts.close();
    this.#copies.remove();
  };
}

function quietlyDamaged<Value>(ask: () => Value): Value | null {
  try {
    return ask();
  } catch (error) {
    if (!isDamage(error)) throw error;
    return null;
  }
}

function seqOf(step: WalkStep): number {
  return step.kind === "record" ? step.record.seq : step.fromSeq;
}

/** What a block holds, in the order it is stored: its observations and its rare records, each rising where it is sound. */
function stepsOfBlock(segment: SegmentReader, row: BlockRow, upToSeq: number): readonly WalkStep[] {
  const damaged = (): readonly WalkStep[] => [{ kind: "damaged", file: segment.file, ...segment.rangeOf(row) }];
  if (!blockIsSound(row)) return damaged();
  const observations: JournalRecord[] = [];
  const rare: JournalRecord[] = [];
  try {
    visitBlock(row.data, row.first_seq, {
      observation: (contextId, numbers) => void observations.push(observationOf(segment.contextOf(contextId), numbers)),
      rare: (record) => void rare.push(rareOf(record.json)),
    });
  } catch (error) {
    if (error instanceof DamagedBytesError) return damaged();
    throw error;
  }
  const steps: WalkStep[] = [];
  const take = (record: JournalRecord) => {
    if (record.seq <= upToSeq) steps.push({ kind: "record", record });
  };
  let next = 0;
  for (const record of observations) {
    for (let other = rare[next]; other !== undefined && other.seq < record.seq; other = rare[++next]) take(other);
    take(record);
  }
  for (const record of rare.slice(next)) take(record);
  return steps;
}
