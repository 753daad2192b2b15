import { existsSync } from "node:fs";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import { type MessagePort, parentPort } from "node:worker_threads";
import { createSystemClock } from "../clock.ts";
import { LIMITS } from "../core/limits.ts";
import type { JournalRecord, RecordKind } from "../core/record.ts";
import type { Clock } from "../core/time.ts";
import { visitBlock } from "./block.ts";
import { DamagedBytesError } from "./block-bytes.ts";
import { hasLog } from "./database.ts";
import { isDamage, KEPT_FILE, sqliteOrSystemCode } from "./journal-folder.ts";
import { isKeptKind, isSealedKind, KEPT_FILE_KINDS, KeptReader } from "./kept-file.ts";
import type { FromReader, ListedKept, ReadAnswer, ReadQuery, SegmentEntry, ToReader } from "./messages.ts";
import { buffersOf, ObservationPacker, observationOf, type PackedRecords, packRecords, rareOf } from "./packing.ts";
import { Patrol, type PatrolFile } from "./patrol.ts";
import { ROLLUP_CELL_MS, shownValue, visitCells } from "./rollup.ts";
import { keptRecords, type SealedPart } from "./sealed-kept.ts";
import { type BlockRow, blockIsSound, type RollupRow, rollupIsSound, SegmentReader } from "./segment-file.ts";
import { takeMessages } from "./thread-end.ts";
import { TrendThinner } from "./trend.ts";
import { readWaves } from "./waves/wave-reader.ts";

/** Work of one question that is done before another may have its turn. */
const SLICE_MS = 5;
/** Records that one look into a segment brings at most, or little more. */
const PAGE_RECORDS = 2000;
/** Kept records that the patrol looks at together. */
const KEPT_PAGE_RECORDS = 100;
/** Sealed files of kept records that are held open. They are read in order, and rarely. */
const SEALED_KEPT_OPEN_MAX = 4;

/**
 * The reading thread: its own connections, read-only, so that no question ever stands before a commit. Questions take
 * turns, so that a trend over a day does not hold up an upstream. No statement is left open across a turn.
 */
export class JournalReader {
  readonly #clock: Clock;
  readonly #say: (message: FromReader, transfer: ArrayBuffer[]) => void;
  #folder = "";
  #entries: readonly SegmentEntry[] = [];
  #segments = new Map<string, SegmentReader>();
  /** Those of them that had a log when they were opened. */
  readonly #logged = new Set<string>();
  #kept: KeptReader | null = null;
  #sealedKept: readonly ListedKept[] = [];
  readonly #sealedReaders = new Map<string, KeptReader>();
  #generation = 0;
  readonly #toldDamage = new Set<string>();
  /** Sealed segments that hold as many records as they say. */
  #whole = new Set<string>();
  /** Files that are damaged or not there, until the files are told anew. */
  readonly #passedOver = new Set<string>();
  readonly #patrol: Patrol;
  #answeringCount = 0;

  constructor(clock: Clock, say: (message: FromReader, transfer: ArrayBuffer[]) => void) {
    this.#clock = clock;
    this.#say = say;
    this.#patrol = new Patrol({
      clock,
      isBusy: () => this.#answeringCount > 0,
      onTrouble: (error) => {
        if (codeOf(error) === null) throw error;
        this.#closeAll();
      },
    });
  }

  async take(message: ToReader): Promise<void> {
    switch (message.kind) {
      case "segments":
        if (message.generation !== this.#generation) this.#closeAll();
        this.#generation = message.generation;
        this.#passedOver.clear();
        this.#sealedKept = message.sealedKept;
        this.#useSegments(message.folder, message.segments);
        this.#patrol.use(this.#patrolFiles());
        return;
      case "ask": {
        this.#answeringCount += 1;
        const answer = await this.#answer(message.query);
        this.#answeringCount -= 1;
        this.#say({ kind: "answer", id: message.id, answer }, answer.kind === "records" ? buffersOf(answer.batch) : []);
      }
    }
  }

  /** Segments that are gone, or that the writer wants to take out of write-ahead mode, are closed. */
  #useSegments(folder: string, entries: readonly SegmentEntry[]): void {
    if (folder !== this.#folder) this.#kept = null;
    this.#folder = folder;
    const sealedBefore = new Set(this.#entries.filter((entry) => entry.sealed).map((entry) => entry.file));
    this.#entries = entries;
    this.#whole = new Set(entries.filter((entry) => this.#whole.has(wholeKey(entry))).map(wholeKey));
    const isSettled = (file: string) => sealedBefore.has(file) && !existsSync(join(folder, `${file}-wal`));
    const staying = new Set(entries.filter((entry) => !entry.sealed || isSettled(entry.file)).map((entry) => entry.file));
    for (const file of [...this.#segments.keys()]) if (!staying.has(file)) this.#closeSegment(file);
  }

  #closeSegment(file: string): void {
    this.#segments.get(file)?.close();
    this.#segments.delete(file);
    this.#logged.delete(file);
  }

  async #answer(query: ReadQuery): Promise<ReadAnswer> {
    try {
      switch (query.kind) {
        case "records":
          return { kind: "records", batch: packRecords(await this.#records(query)) };
        case "observations-back":
          return { kind: "records", batch: await this.#observationsBack(query) };
        case "open-alerts":
          return {
            kind: "records",
            batch: packRecords(
              this.#keptFile()
                .openAlerts()
                .map((record) => rareOf(record.json)),
            ),
          };
        case "latest":
          return { kind: "records", batch: packRecords(await this.#latest(query)) };
        case "trend":
          return { kind: "trend", points: await this.#trend(query) };
        case "waves": {
          const tellDamage = (file: string) => this.#say({ kind: "damaged-waves", file }, []);
          return { kind: "waves", ...(await readWaves(this.#folder, query, { tellDamage, turn: this.#turns() })) };
        }
        case "cursor":
          return { kind: "cursor", json: this.#keptFile().cursor(query.reader) };
      }
    } catch (error) {
      const sqliteCode = codeOf(error);
      if (sqliteCode === null) throw error;
      this.#closeAll();
      return { kind: "failed", sqliteCode };
    }
  }

  #closeAll(): void {
    for (const file of [...this.#segments.keys()]) this.#closeSegment(file);
    this.#kept?.close();
    this.#kept = null;
    for (const file of [...this.#sealedReaders.keys()]) this.#closeSealedKept(file);
  }

  #closeSealedKept(file: string): void {
    this.#sealedReaders.get(file)?.close();
    this.#sealedReaders.delete(file);
  }

  /** The sealed files of kept records. One that is damaged or not there is told. */
  #sealedParts(): readonly SealedPart[] {
    return this.#sealedKept.map((sealed) => this.#sealedPart(sealed));
  }

  #sealedPart(sealed: ListedKept): SealedPart {
    const { file, firstSeq, lastSeq } = sealed;
    return {
      firstSeq,
      lastSeq,
      records: (kind, range) => {
        try {
          return this.#sealedReader(sealed).records(kind, range);
        } catch (error) {
          // Its pages are never written again: a sector that cannot be read, or a file that is gone, stays so.
          if (!isDamage(error) && sqliteOrSystemCode(error) !== "ENOENT") throw error;
          this.#closeSealedKept(file);
          this.#say({ kind: "damaged-file", file }, []);
          throw new PassedOverError(file);
        }
      },
    };
  }

  /** @throws  SQLite's error, also where the file does not hold as many records as it says. */
  #sealedReader({ file, firstSeq, lastSeq, recordCount }: ListedKept): KeptReader {
    const known = this.#sealedReaders.get(file);
    if (known !== undefined) return known;
    const oldest = this.#sealedReaders.keys().next().value;
    if (oldest !== undefined && this.#sealedReaders.size >= SEALED_KEPT_OPEN_MAX) this.#closeSealedKept(oldest);
    const reader = new KeptReader(join(this.#folder, file), (_, { from, to }) =>
      this.#tellRange(file, { fromSeq: from, toSeq: to ?? lastSeq, count: 1 }),
    );
    this.#sealedReaders.set(file, reader);
    if (recordCount !== null) reader.checkSealed({ from: firstSeq, to: lastSeq }, recordCount);
    return reader;
  }

  #keptFile(): KeptReader {
    this.#kept ??= new KeptReader(join(this.#folder, KEPT_FILE), (seq, { from, to }) => {
      const toSeq = to ?? Math.max(seq, this.#entries.at(-1)?.lastSeq ?? 0);
      this.#tellRange(KEPT_FILE, { fromSeq: from, toSeq, count: 1 });
    });
    return this.#kept;
  }

  /** Tells of damage once. The memory of what was told is bounded by the number of blocks that can be damaged before a person comes. */
  #tellRange(file: string, range: { readonly fromSeq: number; readonly toSeq: number; readonly count: number }): void {
    const key = `${file}/${range.fromSeq}`;
    if (this.#toldDamage.has(key) || this.#toldDamage.size >= LIMITS.journalQueueRecordsMax.value) return;
    this.#toldDamage.add(key);
    const { fromSeq, toSeq, count } = range;
    this.#say({ kind: "damaged-range", file, fromSeq, toSeq, count }, []);
  }

  /** What is never written again, newest first. A segment that is still in write-ahead mode would be kept from leaving it. */
  #patrolFiles(): readonly PatrolFile[] {
    const segments = this.#entries.filter((entry) => entry.sealed && !existsSync(join(this.#folder, `${entry.file}-wal`)));
    return [
      ...this.#sealedKept.map((sealed) => ({ key: wholeKey(sealed), look: () => this.#lookThroughKept(sealed) })),
      ...segments.map((entry) => ({ key: wholeKey(entry), look: () => this.#lookThrough(entry) })),
    ].reverse();
  }

  /** Looks whether all that a segment says that it holds is there and can be read; what cannot is told as when somebody had asked for it. */
  async *#lookThrough(entry: SegmentEntry): AsyncGenerator<void> {
    const { file } = entry;
    const wasOpen = this.#segments.has(file);
    await this.#expectWhole(entry, this.#turns());
    for (let afterFirstSeq = 0; ; ) {
      const rows = this.#onListedSegment(file, (segment) => segment.blocksAfter(afterFirstSeq));
      if (rows.length === 0) break;
      for (const row of rows) {
        if (!isPlausible(row, afterFirstSeq)) this.#giveUpSegment(file);
        this.#onListedSegment(file, (segment) => this.#check(segment, row));
        afterFirstSeq = row.first_seq;
        yield;
      }
    }
    if (!wasOpen) this.#closeSegment(file);
  }

  /** The same for kept records that were sealed away. */
  async *#lookThroughKept(sealed: ListedKept): AsyncGenerator<void> {
    const wasOpen = this.#sealedReaders.has(sealed.file);
    const { firstSeq, lastSeq, records } = this.#sealedPart(sealed);
    for (const kind of KEPT_FILE_KINDS.filter(isSealedKind)) {
      for (let afterSeq = firstSeq - 1; afterSeq < lastSeq; ) {
        const found = records(kind, { afterSeq, upToSeq: lastSeq, limit: KEPT_PAGE_RECORDS });
        afterSeq = found.at(-1)?.seq ?? lastSeq;
        yield;
      }
    }
    if (!wasOpen) this.#closeSealedKept(sealed.file);
  }

  /** A segment with a log may be held as a copy in memory, as large as itself: few of them are open together, the next one included. */
  #makeRoomForLogged(file: string): void {
    const others = [...this.#segments.keys()].filter((other) => this.#logged.has(other));
    for (const other of others.slice(0, Math.max(0, others.length + 1 - LIMITS.journalReaderLoggedFilesMax.value)))
      this.#closeSegment(other);
    this.#logged.add(file);
  }

  /** The segment, most recently used last. Null where it has been dropped meanwhile. */
  #segment(file: string): SegmentReader | null {
    const path = join(this.#folder, file);
    const known = this.#segments.get(file);
    if (known === undefined && !existsSync(path)) return null;
    if (known === undefined && hasLog(path)) this.#makeRoomForLogged(file);
    const segment = known ?? new SegmentReader(path);
    this.#segments.delete(file);
    this.#segments.set(file, segment);
    const oldest = this.#segments.keys().next().value;
    if (oldest !== undefined && this.#segments.size > LIMITS.journalReaderFilesMax.value) this.#closeSegment(oldest);
    return segment;
  }

  /** Runs one step on a segment. A file that SQLite calls damaged is told and passed over until the files are told anew; null then, and where it is not there. */
  #onSegment<Answer>(file: string, step: (segment: SegmentReader) => Answer): Answer | null {
    if (this.#passedOver.has(file) || !this.#entries.some((entry) => entry.file === file)) return null;
    try {
      const segment = this.#segment(file);
      return segment === null ? null : step(segment);
    } catch (error) {
      if (!isDamage(error)) throw error;
      this.#passOver(file);
      return null;
    }
  }

  #passOver(file: string): void {
    this.#closeSegment(file);
    this.#passedOver.add(file);
    this.#say({ kind: "damaged-file", file }, []);
  }

  /**
   * The same for those who read record by record and go on from the last: for them nothing may be passed over that will be there again,
   * mended or on a disk that comes back. Their question fails, and is asked again.
   *
   * @throws  PassedOverError  Where the file is passed over, or is not there.
   */
  #onListedSegment<Answer>(file: string, step: (segment: SegmentReader) => Answer): Answer {
    const answer = this.#onSegment(file, step);
    if (answer !== null) return answer;
    if (this.#passedOver.has(file)) this.#say({ kind: "damaged-file", file }, []);
    throw new PassedOverError(file);
  }

  /** Damage that no check sum of a row tells. @throws  PassedOverError */
  #giveUpSegment(file: string): never {
    this.#passOver(file);
    throw new PassedOverError(file);
  }

  /** @throws  PassedOverError  Where a file that may hold some of them cannot be read now. */
  async #records(query: ReadQuery & { readonly kind: "records" }): Promise<JournalRecord[]> {
    const { afterSeq, upToSeq, limit, kinds } = query;
    const found: JournalRecord[] = [];
    for (const kind of KEPT_FILE_KINDS) {
      if (kinds !== null && !kinds.includes(kind)) continue;
      const files = { inUse: this.#keptFile(), sealed: this.#sealedParts() };
      for (const record of keptRecords(kind, { afterSeq, upToSeq, limit }, files)) found.push(rareOf(record.json));
    }
    if (kinds?.every((kind) => isKeptKind(kind)) !== true) {
      const turn = this.#turns();
      for (const entry of this.#entries) {
        if (entry.sealed && entry.lastSeq <= afterSeq) continue;
        if (entry.firstSeq > upToSeq) break;
        await this.#expectWhole(entry, turn);
        if (!(await this.#recordsOfSegment(entry.file, query, found, turn))) break;
      }
    }
    return found.sort(inOrder).slice(0, limit);
  }

  /**
   * Looks whether a sealed segment holds as many records as it says. Where a number in a page is damaged, SQLite may find its way past some
   * rows without a word. Looked at once, before records are read from it.
   *
   * @throws  PassedOverError  Where it does not, which is told, or where the file is another by now.
   */
  async #expectWhole(entry: SegmentEntry, turn: () => Promise<void>): Promise<void> {
    const key = wholeKey(entry);
    if (!entry.sealed || this.#whole.has(key)) return;
    let [afterFirstSeq, count] = [0, 0];
    for (;;) {
      const rows = this.#onListedSegment(entry.file, (segment) => segment.blockCounts(afterFirstSeq));
      if (rows.length === 0) break;
      for (const row of rows) {
        if (row.first_seq > afterFirstSeq) count += row.record_count;
        afterFirstSeq = Math.max(afterFirstSeq, row.first_seq);
      }
      await turn();
      if (!this.#entries.some((one) => wholeKey(one) === key)) throw new PassedOverError(entry.file);
    }
    if (count !== entry.recordCount) this.#giveUpSegment(entry.file);
    this.#whole.add(key);
  }

  /** @returns  False where enough was found. */
  async #recordsOfSegment(
    file: string,
    query: ReadQuery & { readonly kind: "records" },
    found: JournalRecord[],
    turn: () => Promise<void>,
  ): Promise<boolean> {
    const { afterSeq, upToSeq, limit, kinds } = query;
    const fromSeq = afterSeq + 1;
    const wanted = (kind: RecordKind) => kinds === null || kinds.includes(kind);
    let takenCount = 0;
    let afterFirstSeq = 0;
    let reachedSeq = afterSeq;
    for (;;) {
      const page = { fromSeq, afterFirstSeq, toSeq: upToSeq, kinds, recordsWanted: Math.min(PAGE_RECORDS, limit - takenCount) };
      const rows = this.#onListedSegment(file, (segment) => segment.blocksFrom(page));
      if (rows.length === 0) {
        if (this.#endsEarly(file, { reachedSeq, upToSeq, kinds })) this.#giveUpSegment(file);
        return true;
      }
      for (const row of rows) {
        if (!isPlausible(row, afterFirstSeq)) this.#giveUpSegment(file);
        const ofBlock = this.#onListedSegment(file, (segment) => this.#visit(segment, row, wanted)).sort(inOrder);
        const records = ofBlock.filter((record) => record.seq > afterSeq && record.seq <= upToSeq);
        found.push(...records);
        takenCount += records.length;
        afterFirstSeq = row.first_seq;
        reachedSeq = Math.max(reachedSeq, row.last_seq, records.at(-1)?.seq ?? 0);
        if (takenCount >= limit) return false;
      }
      await turn();
    }
  }

  /** Whether a sealed segment ran out of blocks before the last of which its own account tells: SQLite may lose its way in a damaged page without a word. */
  #endsEarly(
    file: string,
    at: { readonly reachedSeq: number; readonly upToSeq: number; readonly kinds: readonly RecordKind[] | null },
  ): boolean {
    const entry = this.#entries.find((one) => one.file === file);
    if (entry === undefined || !entry.sealed || at.upToSeq < entry.lastSeq) return false;
    return at.reachedSeq < entry.lastSeq && (at.kinds === null || at.kinds.includes("observation"));
  }

  /** The last observations up to a number: the blocks are looked for from the newest segment and block backwards, and then read forwards. */
  async #observationsBack(query: ReadQuery & { readonly kind: "observations-back" }): Promise<PackedRecords> {
    const found: { readonly file: string; readonly row: BlockRow }[] = [];
    const turn = this.#turns();
    let count = 0;
    for (const entry of [...this.#entries].reverse()) {
      for (let upToSeq = query.upToSeq; count < query.limit; await turn()) {
        const rows = this.#onSegment(entry.file, (segment) => segment.blocksBack(upToSeq)) ?? [];
        for (const row of rows) {
          found.push({ file: entry.file, row });
          // What lies behind the asked number in the newest block does not count, nor what no commit can have held.
          const isWhole = row.last_seq <= query.upToSeq && row.record_count > 0;
          count += isWhole ? Math.min(row.record_count, LIMITS.journalBatchRecordsMax.value) : 0;
          upToSeq = row.first_seq - 1;
          if (count >= query.limit) break;
        }
        if (rows.length === 0) break;
      }
    }
    const packer = new ObservationPacker();
    for (const { file, row } of found.reverse()) {
      this.#onSegment(file, (segment) => this.#pack(segment, row, packer, query.upToSeq));
      await turn();
    }
    return packer.last(query.limit);
  }

  #pack(segment: SegmentReader, row: BlockRow, packer: ObservationPacker, upToSeq: number): void {
    this.#readBlock(segment, row, () =>
      visitBlock(row.data, row.first_seq, {
        observation: (contextId, numbers) => {
          if (numbers.seq <= upToSeq) packer.add(segment.contextOf(contextId), numbers);
        },
        rare: null,
      }),
    );
  }

  #observationsOfBlock(file: string, row: BlockRow): readonly JournalRecord[] {
    return this.#onSegment(file, (segment) => this.#visit(segment, row, (kind) => kind === "observation")) ?? [];
  }

  #visit(segment: SegmentReader, row: BlockRow, wanted: (kind: RecordKind) => boolean): JournalRecord[] {
    const records: JournalRecord[] = [];
    const wantsObservations = wanted("observation");
    this.#readBlock(segment, row, () =>
      visitBlock(row.data, row.first_seq, {
        observation: (contextId, numbers) => {
          if (wantsObservations) records.push(observationOf(segment.contextOf(contextId), numbers));
        },
        rare: (record) => {
          if (wanted(record.kind)) records.push(rareOf(record.json));
        },
      }),
    );
    return records;
  }

  /** Looks whether a block can be read. */
  #check(segment: SegmentReader, row: BlockRow): true {
    const observation = (contextId: number) => void segment.contextOf(contextId);
    this.#readBlock(segment, row, () => visitBlock(row.data, row.first_seq, { observation, rare: null }));
    return true;
  }

  /** Reads a block whose check sum is right; else tells of it and passes over it. */
  #readBlock(segment: SegmentReader, row: BlockRow, read: () => void): void {
    if (!blockIsSound(row)) {
      this.#tellRange(segment.file, segment.rangeOf(row));
      return;
    }
    try {
      read();
    } catch (error) {
      if (!(error instanceof DamagedBytesError)) throw error;
      this.#tellRange(segment.file, segment.rangeOf(row));
    }
  }

  async #trend(query: ReadQuery & { readonly kind: "trend" }) {
    const thinner = new TrendThinner(query);
    const coarse = thinner.intervalMs() >= ROLLUP_CELL_MS;
    const turn = this.#turns();
    const numbers = { fromSeq: query.fromSeq ?? 0, toSeq: query.toSeq ?? Number.MAX_SAFE_INTEGER };
    for (const entry of this.#entries) {
      if (isOutside(entry, query.fromMs, query.toMs)) continue;
      if (entry.firstSeq > numbers.toSeq || (entry.sealed && entry.lastSeq < numbers.fromSeq)) continue;
      const state = { wanted: new Set<number>() };
      const prepare = (segment: SegmentReader) => {
        for (const [id, context] of segment.contexts()) {
          if (context.patientId === query.patientId && context.quantity === query.quantity) state.wanted.add(id);
        }
      };
      const addBlock = (segment: SegmentReader, row: BlockRow) =>
        this.#addBlock(segment, row, { ...numbers, series: state.wanted }, thinner);
      await this.#throughTime(entry.file, query, turn, {
        prepare,
        rollup: (segment, row) => {
          const fromSeq = Math.max(row.from_seq, numbers.fromSeq);
          const toSeq = Math.min(row.to_seq, numbers.toSeq);
          const isWhole = fromSeq === row.from_seq && toSeq === row.to_seq;
          if (coarse && isWhole) addRollup(row, state.wanted, thinner);
          else for (const block of this.#blocksBetween(segment, fromSeq, toSeq, query.fromMs)) addBlock(segment, block);
        },
        block: addBlock,
      });
    }
    return thinner.points();
  }

  #addBlock(
    segment: SegmentReader,
    row: BlockRow,
    wanted: { readonly series: ReadonlySet<number>; readonly fromSeq: number; readonly toSeq: number },
    thinner: TrendThinner,
  ): void {
    this.#readBlock(segment, row, () =>
      visitBlock(row.data, row.first_seq, {
        observation: (contextId, numbers) => {
          if (!wanted.series.has(contextId) || numbers.seq < wanted.fromSeq || numbers.seq > wanted.toSeq) return;
          const context = segment.contextOf(contextId);
          thinner.add(numbers.measuredAtMs, shownValue(context, numbers.value), context.validity === "questionable");
        },
        rare: null,
      }),
    );
  }

  #blocksBetween(segment: SegmentReader, fromSeq: number, toSeq: number, sinceMs: number): BlockRow[] {
    const blocks: BlockRow[] = [];
    for (let next = fromSeq; ; ) {
      const rows = segment.blocks({ fromSeq: next, toSeq, kinds: ["observation"], sinceMs });
      blocks.push(...rows);
      const last = rows.at(-1);
      if (last === undefined) return blocks;
      next = last.last_seq + 1;
    }
  }

  /** Goes through the rollups of a segment that touch a time, and then through the blocks that are in none yet. */
  async #throughTime(
    file: string,
    range: { readonly fromMs: number; readonly toMs: number },
    turn: () => Promise<void>,
    steps: {
      readonly prepare: (segment: SegmentReader) => void;
      readonly rollup: (segment: SegmentReader, row: RollupRow) => void;
      readonly block: (segment: SegmentReader, row: BlockRow) => void;
    },
  ): Promise<void> {
    let afterToSeq = 0;
    const rolledUpTo = this.#onSegment(file, (segment) => segment.rolledUpToSeq()) ?? 0;
    for (let more = true; more; await turn()) {
      const rows = this.#onSegment(file, (segment) => segment.rollups({ afterToSeq, ...range })) ?? [];
      this.#onSegment(file, steps.prepare);
      for (const row of rows) {
        if (row.to_seq <= rolledUpTo) this.#onSegment(file, (segment) => this.#readRollup(segment, row, range.fromMs, steps));
        afterToSeq = row.to_seq;
        await turn();
      }
      more = rows.length > 0;
    }
    for (let fromSeq = rolledUpTo + 1, more = true; more; await turn()) {
      const toSeq = Number.MAX_SAFE_INTEGER;
      const rows =
        this.#onSegment(file, (segment) => segment.blocks({ fromSeq, toSeq, kinds: ["observation"], sinceMs: range.fromMs })) ??
        [];
      this.#onSegment(file, steps.prepare);
      for (const row of rows) {
        if (row.first_seq > rolledUpTo) this.#onSegment(file, (segment) => steps.block(segment, row));
        fromSeq = row.last_seq + 1;
      }
      more = rows.length > 0;
    }
  }

  /** A rollup that is damaged is told by its blocks' range only where these are damaged too: they are read in its place. */
  #readRollup(
    segment: SegmentReader,
    row: RollupRow,
    fromMs: number,
    steps: {
      readonly rollup: (segment: SegmentReader, row: RollupRow) => void;
      readonly block: (segment: SegmentReader, row: BlockRow) => void;
    },
  ): void {
    if (rollupIsSound(row)) {
      steps.rollup(segment, row);
      return;
    }
    for (const block of this.#blocksBetween(segment, row.from_seq, row.to_seq, fromMs)) steps.block(segment, block);
  }

  async #latest(query: ReadQuery & { readonly kind: "latest" }): Promise<JournalRecord[]> {
    const newest = new Map<string, { readonly file: string; readonly seq: number; readonly atMs: number }>();
    const quantities: ReadonlySet<string> = new Set(query.quantities);
    const range = { fromMs: query.sinceMs, toMs: Number.POSITIVE_INFINITY };
    const { fromSeq = 0, toSeq = Number.MAX_SAFE_INTEGER } = query;
    const turn = this.#turns();
    for (const { file, ...entry } of this.#entries) {
      if (isOutside({ file, ...entry }, range.fromMs, range.toMs)) continue;
      if (entry.firstSeq > toSeq || (entry.sealed && entry.lastSeq < fromSeq)) continue;
      const wanted = new Set<number>();
      const offer = (segment: SegmentReader, contextId: number, found: { readonly seq: number; readonly atMs: number }) => {
        const { deviceId, quantity } = segment.contextOf(contextId);
        const key = JSON.stringify([deviceId, quantity]);
        const before = newest.get(key);
        if (found.atMs >= range.fromMs && (before === undefined || found.atMs >= before.atMs))
          newest.set(key, { file, ...found });
      };
      const block = (segment: SegmentReader, row: BlockRow) =>
        this.#readBlock(segment, row, () =>
          visitBlock(row.data, row.first_seq, {
            observation: (contextId, { seq, value, measuredAtMs }) => {
              if (!wanted.has(contextId) || value === null || seq < fromSeq || seq > toSeq) return;
              const { validity, flags } = segment.contextOf(contextId);
              if (validity === "valid" && !flags.includes("late")) offer(segment, contextId, { seq, atMs: measuredAtMs });
            },
            rare: null,
          }),
        );
      await this.#throughTime(file, range, turn, {
        prepare: (segment) => {
          for (const [id, context] of segment.contexts()) if (quantities.has(context.quantity)) wanted.add(id);
        },
        rollup: (segment, row) => {
          const within = { from: Math.max(row.from_seq, fromSeq), to: Math.min(row.to_seq, toSeq) };
          if (within.from > row.from_seq || within.to < row.to_seq)
            for (const each of this.#blocksBetween(segment, within.from, within.to, range.fromMs)) block(segment, each);
          else
            visitCells(row.data, row.to_seq, wanted, (cell) => {
              if (cell.newestValid !== null) offer(segment, cell.seriesId, cell.newestValid);
            });
        },
        block,
      });
    }
    return this.#fetch([...newest.values()], turn);
  }

  /** The observations at these places; each block is read once. */
  async #fetch(
    places: readonly { readonly file: string; readonly seq: number }[],
    turn: () => Promise<void>,
  ): Promise<JournalRecord[]> {
    const found: JournalRecord[] = [];
    for (const file of new Set(places.map((place) => place.file))) {
      const wanted = new Set(places.filter((place) => place.file === file).map((place) => place.seq));
      let readUpToSeq = 0;
      for (const seq of [...wanted].sort((one, other) => one - other)) {
        if (seq <= readUpToSeq) continue;
        const rows =
          this.#onSegment(file, (segment) => segment.blocks({ fromSeq: seq, toSeq: seq, kinds: ["observation"] })) ?? [];
        for (const row of rows) {
          readUpToSeq = row.last_seq;
          found.push(...this.#observationsOfBlock(file, row).filter((record) => wanted.has(record.seq)));
        }
        await turn();
      }
    }
    return found.sort(inOrder);
  }

  /** Returns what lets others have their turn whenever this question has had its slice. */
  #turns(): () => Promise<void> {
    let sliceStartedMs = this.#clock.monotonic();
    return async () => {
      if (this.#clock.monotonic() - sliceStartedMs < SLICE_MS) return;
      await setImmediate();
      sliceStartedMs = this.#clock.monotonic();
    };
  }
}

/** A file that may hold what is asked for cannot be read just now: it is damaged and will be mended, or its disk is away. */
class PassedOverError extends Error {
  override readonly name = "PassedOverError";
}

/** Why a question failed, or null where the error is not one of the disk. */
function codeOf(error: unknown): string | null {
  return error instanceof PassedOverError ? "PASSED_OVER" : sqliteOrSystemCode(error);
}

function inOrder(one: JournalRecord, other: JournalRecord): number {
  return one.seq - other.seq;
}

/** A file that was mended holds another count under its name. */
function wholeKey({ file, recordCount }: SegmentEntry | ListedKept): string {
  return `${file}/${recordCount}`;
}

/** Whether a block's columns can have been written so. Where they cannot, its page is damaged, and what its numbers were nobody can say of it alone. */
function isPlausible(row: BlockRow, afterFirstSeq: number): boolean {
  const whole = [row.first_seq, row.last_seq, row.record_count].every((number) => Number.isSafeInteger(number));
  const count = row.last_seq - row.first_seq + 1;
  return whole && row.first_seq > afterFirstSeq && row.record_count > 0 && row.record_count <= count;
}

function isOutside(entry: SegmentEntry, fromMs: number, toMs: number): boolean {
  if (!entry.sealed) return false;
  return entry.minAtMs === null || entry.maxAtMs === null || entry.maxAtMs < fromMs || entry.minAtMs > toMs;
}

function addRollup(row: RollupRow, wanted: ReadonlySet<number>, thinner: TrendThinner): void {
  visitCells(row.data, row.to_seq, wanted, ({ lowest, highest, firstAbsentAtMs }) => {
    if (lowest !== null) thinner.add(lowest.atMs, lowest.value, lowest.questionable);
    if (highest !== null && highest.atMs !== lowest?.atMs) thinner.add(highest.atMs, highest.value, highest.questionable);
    if (lowest === null && firstAbsentAtMs !== null) thinner.add(firstAbsentAtMs, null, false);
  });
}

/** Runs the reading thread on its port. What it throws ends the thread, and the main thread starts another. */
function startReader(port: MessagePort): void {
  const reader = new JournalReader(createSystemClock(), (message, transfer) => port.postMessage(message, transfer));
  takeMessages<ToReader>(port, (message) => void reader.take(message));
}

if (parentPort !== null) startReader(parentPort);
