import { LIMITS } from "../core/limits.ts";
import { type JournalRecord, KEPT_KINDS, type LifeStart, madeAtMs, type RecordKind, type SeqSpan } from "../core/record.ts";
import type { FindingBook } from "./finding.ts";
import { LossMap, type LostNumbers } from "./loss-map.ts";
import { isInWindow, type NumberRange, type TimeWindow } from "./window.ts";

/** How a life ended; `running` where the gateway is at work. */
export type LifeEnd = "closed" | "cut-off" | "running";

/** One life of the gateway, from its start to its end, as the journal has it. */
export interface LifeAccount {
  readonly life: number;
  /** Null where the life belongs to a version that wrote no start. */
  readonly version: string | null;
  readonly startedAtMs: number;
  readonly lastAtMs: number;
  readonly ended: LifeEnd;
  readonly firstSeq: number;
  readonly lastSeq: number;
  /** Records on disk, by kind. */
  readonly kept: Readonly<Partial<Record<RecordKind, number>>>;
  /** Numbers whose records are gone, by rule. */
  readonly lost: Readonly<Record<string, number>>;
  /** Numbers of the commit under way at the end, of which only the alerts and their like are on disk. */
  readonly interruptedCount: number;
  readonly unexplainedCount: number;
  /** Numbers left out between the life before and this one. */
  readonly leftOutCount: number;
}

/** What the numbering tells as it goes. */
export interface NumberingListener {
  /** A life has begun with this record. */
  readonly onLife: (first: JournalRecord) => void;
  readonly onLifeEnd: (life: LifeAccount) => void;
  /** Numbers that have no record; `why` is the rule of a loss, or `unexplained`. */
  readonly onMissing: (range: NumberRange & { readonly why: string }) => void;
}

interface Hole extends NumberRange {
  readonly life: number;
  readonly atMs: number;
}

interface OpenLife {
  readonly life: number;
  readonly version: string | null;
  readonly startedAtMs: number;
  readonly firstSeq: number;
  readonly leftOutCount: number;
  lastAtMs: number;
  readonly kept: Partial<Record<RecordKind, number>>;
  readonly lost: Record<string, number>;
  interruptedCount: number;
  unexplainedCount: number;
}

/**
 * Follows the numbers from the first to the last record: each is on disk once, or lost by a rule, or left out before a start. Takes
 * records in the order of the files and keeps no list of numbers.
 */
export class Numbering {
  readonly #book: FindingBook;
  readonly #window: TimeWindow;
  readonly #losses: LossMap;
  readonly #listener: NumberingListener;
  readonly #leftOut: NumberRange[];
  /** Holes that a loss may explain that is recorded while this check runs. */
  readonly #holes: Hole[] = [];
  /** Missing numbers since the last record that is not of a kept kind: what a cut-off in the middle of a commit leaves. */
  #tail: (NumberRange & { readonly inWindow: boolean; readonly atMs: number })[] = [];
  #later = new LossMap([]);
  #lastSeq = 0;
  #lastAtMs = Number.NaN;
  #life: OpenLife | null = null;
  #lifeCount = 0;

  constructor(parts: {
    readonly book: FindingBook;
    readonly window: TimeWindow;
    readonly losses: readonly LostNumbers[];
    /** Numbers the journal says were left out, besides those that `start` records name. */
    readonly leftOut: readonly NumberRange[];
    readonly listener: NumberingListener;
  }) {
    this.#book = parts.book;
    this.#window = parts.window;
    this.#losses = new LossMap(parts.losses);
    this.#listener = parts.listener;
    this.#leftOut = [...parts.leftOut];
  }

  /** The last number of a record so far. */
  get lastSeq(): number {
    return this.#lastSeq;
  }

  /** Takes the next record. @returns  False where its number was there already or lies behind a higher one: then it is told and not counted. */
  take(record: JournalRecord): boolean {
    const { seq } = record;
    const atMs = madeAtMs(record);
    if (seq <= this.#lastSeq) {
      const rule = seq === this.#lastSeq ? "double" : "not-rising";
      if (isInWindow(this.#window, atMs))
        this.#tell(rule, { fromSeq: seq, toSeq: seq }, { kind: record.kind, after: this.#lastSeq });
      return false;
    }
    if (record.kind === "start") this.#begin(record);
    else this.#follow(record, atMs);
    this.#lastSeq = seq;
    this.#lastAtMs = atMs;
    return true;
  }

  #follow(record: JournalRecord, atMs: number): void {
    if (this.#life === null) {
      this.#open({ first: record, version: null, leftOutCount: 0 });
      this.#tell("life-without-start", { fromSeq: record.seq, toSeq: record.seq }, {});
    }
    // What is not of a kept kind is committed after what is: nothing before it was still under way.
    if (!KEPT_KINDS.has(record.kind)) this.#settleTail(false);
    if (record.seq > this.#lastSeq + 1) {
      const gap = { fromSeq: this.#lastSeq + 1, toSeq: record.seq - 1 };
      this.#missing(gap, { atMs, mayBeTail: KEPT_KINDS.has(record.kind) });
    }
    const life = this.#life;
    if (life === null) return;
    life.lastAtMs = atMs;
    life.kept[record.kind] = (life.kept[record.kind] ?? 0) + 1;
  }

  // --------------------------------------------------------------------- lives

  #begin(start: LifeStart): void {
    const { leftOut, before, atMs, seq } = start;
    const gap = { fromSeq: this.#lastSeq + 1, toSeq: seq - 1 };
    const isFirst = this.#life === null;
    if (!isFirst) this.#endLife(before === "cut-off" ? "cut-off" : "closed");
    // A life that began while its files could not be written leaves numbers out however the one before it ended.
    const fits = before !== "cut-off" || leftOut !== null;
    const comesFirst = isFirst && (gap.fromSeq > gap.toSeq || leftOut?.from === gap.fromSeq);
    if ((before === "first" && !comesFirst) || !fits)
      this.#tell("start-without-end", { fromSeq: seq, toSeq: seq }, { before, leftOut: leftOut === null ? "none" : "some" });
    if (leftOut !== null) {
      this.#leftOut.push({ fromSeq: leftOut.from, toSeq: leftOut.to });
      if (leftOut.from <= this.#lastSeq || leftOut.to !== seq - 1 || leftOut.from > leftOut.to)
        this.#tell("left-out-not-empty", { fromSeq: leftOut.from, toSeq: leftOut.to }, { after: this.#lastSeq, start: seq });
      if (before !== "cut-off" && !isLeftOutUnwritten(leftOut))
        this.#tell("left-out-after-end", { fromSeq: leftOut.from, toSeq: leftOut.to }, { before, start: seq });
    }
    this.#open({ first: start, version: start.version, leftOutCount: leftOut === null ? 0 : leftOut.to - leftOut.from + 1 });
    const untilIt = { fromSeq: gap.fromSeq, toSeq: leftOut === null ? gap.toSeq : Math.min(gap.toSeq, leftOut.from - 1) };
    const behindIt = { fromSeq: leftOut === null ? seq : Math.max(gap.fromSeq, leftOut.to + 1), toSeq: gap.toSeq };
    for (const range of [untilIt, behindIt]) if (range.fromSeq <= range.toSeq) this.#missing(range, { atMs, mayBeTail: false });
    const life = this.#life;
    if (life !== null) life.kept.start = 1;
  }

  #open(of: { readonly first: JournalRecord; readonly version: string | null; readonly leftOutCount: number }): void {
    const atMs = madeAtMs(of.first);
    this.#lifeCount += 1;
    this.#life = {
      life: this.#lifeCount,
      version: of.version,
      startedAtMs: atMs,
      firstSeq: of.first.seq,
      leftOutCount: of.leftOutCount,
      lastAtMs: atMs,
      kept: {},
      lost: {},
      interruptedCount: 0,
      unexplainedCount: 0,
    };
    this.#listener.onLife(of.first);
  }

  #endLife(ended: LifeEnd): void {
    this.#settleTail(ended === "cut-off");
    const life = this.#life;
    if (life === null) return;
    this.#life = null;
    this.#listener.onLifeEnd({ ...life, ended, lastSeq: this.#lastSeq });
  }

  // ------------------------------------------------------------------- missing

  #missing(gap: NumberRange, at: { readonly atMs: number; readonly mayBeTail: boolean }): void {
    const inWindow = isInWindow(this.#window, at.atMs) || isInWindow(this.#window, this.#lastAtMs);
    for (const piece of this.#losses.explain({ ...gap, inWindow })) {
      if (piece.why !== null) this.#count(piece, piece.why);
      else if (this.#isLeftOut(piece.fromSeq) && this.#isLeftOut(piece.toSeq)) this.#count(piece, "left-out");
      else if (at.mayBeTail) this.#tail.push({ ...piece, inWindow, atMs: at.atMs });
      else this.#hole(piece, { inWindow, atMs: at.atMs });
    }
  }

  #count(range: NumberRange, why: string): void {
    const life = this.#life;
    const count = range.toSeq - range.fromSeq + 1;
    if (life !== null && why === "unexplained") life.unexplainedCount += count;
    else if (life !== null) life.lost[why] = (life.lost[why] ?? 0) + count;
    this.#listener.onMissing({ ...range, why });
  }

  #hole(range: NumberRange, at: { readonly inWindow: boolean; readonly atMs: number }): void {
    this.#count(range, "unexplained");
    const life = this.#life?.life ?? this.#lifeCount;
    if (!at.inWindow) return;
    if (this.#holes.length < LIMITS.verifyHolesMax.value) this.#holes.push({ ...range, life, atMs: at.atMs });
    else this.#tell("hole", range, { life });
  }

  /** What is missing behind the last observation of a life that was cut off was under way; anywhere else it is a hole. */
  #settleTail(cutOff: boolean): void {
    const tail = this.#tail;
    const first = tail[0];
    if (first === undefined) return;
    this.#tail = [];
    const isOneCommit = this.#lastSeq - first.fromSeq < LIMITS.journalBatchRecordsMax.value;
    for (const range of tail) {
      const count = range.toSeq - range.fromSeq + 1;
      if (!cutOff || !isOneCommit || this.#life === null) this.#hole(range, range);
      else {
        this.#life.interruptedCount += count;
        this.#leftOut.push({ fromSeq: range.fromSeq, toSeq: range.toSeq });
        this.#tell("interrupted-commit", range, { life: this.#life.life });
      }
    }
  }

  /**
   * Ends the walk.
   *
   * @param later  Losses that were recorded while the walk was under way: a hole they cover is none.
   */
  finish(ended: LifeEnd, later: readonly LostNumbers[]): void {
    this.#endLife(ended);
    this.#later = new LossMap(later);
    for (const { life, atMs, ...hole } of this.#holes) {
      for (const { why, ...piece } of this.#later.explain({ ...hole, inWindow: true }))
        if (why === null) this.#tell("hole", piece, { life, nextAtMs: atMs });
    }
    this.#losses.settle(this.#book, this.#window);
  }

  /** Why a number has no record: the rule of a loss, `left-out`, or null where nobody knows. */
  whyMissing(number: number): string | null {
    return this.#isLeftOut(number) ? "left-out" : (this.#losses.whyOf(number) ?? this.#later.whyOf(number));
  }

  #isLeftOut(number: number): boolean {
    return this.#leftOut.some(({ fromSeq, toSeq }) => number >= fromSeq && number <= toSeq);
  }

  #tell(
    rule:
      | "hole"
      | "double"
      | "not-rising"
      | "start-without-end"
      | "left-out-not-empty"
      | "left-out-after-end"
      | "interrupted-commit"
      | "life-without-start",
    range: NumberRange,
    facts: Readonly<Record<string, string | number>>,
  ): void {
    this.#book.add({ rule, fromSeq: range.fromSeq, toSeq: range.toSeq, count: range.toSeq - range.fromSeq + 1, facts });
  }
}

/** Whether so many numbers can have been left out by a life that began while its files could not be written: no other does after an orderly end. */
function isLeftOutUnwritten({ from, to }: SeqSpan): boolean {
  const { journalPlaceNumbers: place, journalPlacesMax: places, journalNumbersReserved: reserved } = LIMITS;
  const count = to - from + 1;
  return count >= place.value && count <= place.value * places.value + reserved.value;
}
