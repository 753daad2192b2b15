import { type Seq, seq } from "../core/ids.ts";
import { LIMITS } from "../core/limits.ts";
import type { ReaderCursor } from "../core/ports.ts";
import { KEPT_KINDS } from "../core/record.ts";
import type { Page } from "./journal-page.ts";
import { addRange, countSeqs, joinNearest, removeRange, type SeqRange, subtract, unite, upToNumber } from "./seq-ranges.ts";

/** What people must know (alerts, acts, losses, starts) leaves apart from the rest, so that neither waits for the other. */
export type Lane = "kept" | "bulk";

/** How many holes are told apart; beyond, the nearest are joined. */
const HOLES_MAX = 500;

/**
 * What one reader has had. Sequence numbers are in one of these places: confirmed; open in the lane `kept` (an alert, act or loss in there
 * may be unconfirmed), or in `bulk` (the same for the rest); live (a page under way); with the urgent lane; or over `livePosition`, not
 * yet read.
 */
export class ReaderProgress {
  readonly #open: Record<Lane, readonly SeqRange[]> = { kept: [], bulk: [] };
  readonly #live: Record<Lane, readonly SeqRange[]> = { kept: [], bulk: [] };
  /** Holes that deliveries went past lately, and in the time before. */
  #holes: readonly SeqRange[] = [];
  #olderHoles: readonly SeqRange[] = [];
  #leftOut: readonly SeqRange[] = [];
  #former: ReaderCursor["former"];
  #livePosition: Seq = seq(0);
  #touched = false;

  // -------------------------------------------------------------------- begin

  /** Begins where the reader stood. `leftOut` are numbers that no record has. */
  goOn(cursor: ReaderCursor, leftOut: readonly SeqRange[]): void {
    this.#leftOut = leftOut;
    this.#former = cursor.former;
    this.#livePosition = cursor.upTo;
    this.#open.kept = cursor.open;
    this.#open.bulk = cursor.open;
  }

  /** Begins with the oldest record that the journal has: up to `droppedUpTo` only alerts, acts and losses are left. */
  beginAnew(from: {
    readonly droppedUpTo: Seq;
    readonly former: ReaderCursor["former"];
    readonly leftOut: readonly SeqRange[];
  }): void {
    this.#leftOut = from.leftOut;
    this.#former = from.former;
    this.#livePosition = from.droppedUpTo;
    this.#open.kept = addRange([], { from: seq(1), to: from.droppedUpTo });
  }

  // -------------------------------------------------------------------- state

  /** Everything up to here was read from the journal at least once, or is in the backlog. */
  get livePosition(): Seq {
    return this.#livePosition;
  }

  /** The epoch under which records up to a number may have been sent before. */
  get former(): ReaderCursor["former"] {
    return this.#former;
  }

  /** The backlog of one lane. */
  backlog(lane: Lane): readonly SeqRange[] {
    return this.#open[lane];
  }

  /** True where nothing of the lane that was read waits or is under way. */
  isDone(lane: Lane): boolean {
    return this.#open[lane].length + this.#live[lane].length === 0;
  }

  /** Numbers, at most, that wait, of those up to the last one on disk; what was left out does not. */
  waitingCount(committedSeq: Seq): number {
    const open = unite(this.#open.kept, this.#open.bulk);
    return countSeqs(subtract(addRange(open, this.#unread(committedSeq)), this.#leftOut));
  }

  /** The lowest number that is not confirmed, of those up to the last one on disk; null where all are. */
  firstWaitingSeq(committedSeq: Seq): Seq | null {
    const read = [this.#open.kept, this.#open.bulk, this.#live.kept, this.#live.bulk].reduce(unite);
    return subtract(addRange(read, this.#unread(committedSeq)), this.#leftOut)[0]?.from ?? null;
  }

  /** The lowest number of an alert, act or loss that may still be read from the journal. */
  firstUnconfirmedSeq(): Seq {
    return seq(unite(this.#open.kept, this.#live.kept)[0]?.from ?? this.#livePosition + 1);
  }

  // --------------------------------------------------------------------- moves

  /** Everything up to a number on disk that is not confirmed becomes backlog; what comes after is new. */
  takeOver(headSeq: Seq): void {
    const head = seq(Math.max(this.#livePosition, headSeq));
    const unread = this.#unread(head);
    const rangesMax = LIMITS.upstreamBacklogRangesMax.value;
    for (const lane of ["kept", "bulk"] as const) {
      this.#open[lane] = joinNearest(addRange(unite(this.#open[lane], this.#live[lane]), unread), rangesMax, this.#leftOut);
      this.#live[lane] = [];
    }
    this.#livePosition = head;
  }

  /** A page of new records is under way. */
  startLive(page: Page): void {
    const { covered } = page;
    this.noteHole(page);
    this.#livePosition = covered.to;
    this.#live.kept = addRange(this.#live.kept, covered);
    this.#live.bulk = addRange(this.#live.bulk, covered);
  }

  /** One lane's records of a page of new records are confirmed. */
  confirmLive(lane: Lane, covered: SeqRange): void {
    this.#live[lane] = removeRange(this.#live[lane], covered);
  }

  /** One lane's records of a part of the backlog are confirmed. */
  confirmBacklog(lane: Lane, covered: SeqRange): void {
    this.#open[lane] = removeRange(this.#open[lane], covered);
  }

  /** An alert that the urgent lane gave back; over the live position it is read with the rest. */
  giveBack(alertSeq: Seq): void {
    if (alertSeq <= this.#livePosition) this.#open.kept = addRange(this.#open.kept, { from: alertSeq, to: alertSeq });
  }

  /**
   * The journal gave up every observation, prediction, event and tally up to here: none of it waits any more. Returns what the reader may
   * have missed by that.
   */
  drop(upTo: Seq): readonly SeqRange[] {
    const waited = unite(this.#open.bulk, unite(this.#holes, this.#olderHoles));
    const gone = { from: seq(1), to: upTo };
    this.#open.bulk = removeRange(this.#open.bulk, gone);
    this.#holes = removeRange(this.#holes, gone);
    this.#olderHoles = removeRange(this.#olderHoles, gone);
    return subtract(upToNumber(waited, upTo), this.#leftOut);
  }

  // --------------------------------------------------------------------- holes

  /**
   * Notes where a page found nothing before its first observation, prediction, event or tally: the journal drops the oldest first, and a
   * page may have gone past what was dropped before the journal could say so.
   */
  noteHole(page: Page): void {
    const firstSeq = page.records.find((record) => !KEPT_KINDS.has(record.kind))?.seq;
    const hole = { from: page.covered.from, to: firstSeq === undefined ? page.covered.to : seq(firstSeq - 1) };
    const found = page.records.map((record) => ({ from: record.seq, to: record.seq }));
    const holes = subtract(subtract(addRange([], hole), this.#leftOut), found);
    if (holes.length > 0) this.#holes = joinNearest(unite(this.#holes, holes), HOLES_MAX);
  }

  /** Holes that were noted before the last call are no losses, or the journal would have said so. */
  ageHoles(): void {
    if (this.#olderHoles.length > 0) this.touch();
    this.#olderHoles = this.#holes;
    this.#holes = [];
  }

  /** No hole is a loss: whoever stops in order has heard what was dropped; only a crash needs the holes. */
  forgetHoles(): void {
    [this.#holes, this.#olderHoles] = [[], []];
  }

  // -------------------------------------------------------------------- cursor

  /**
   * Where the reader stands, for the journal.
   *
   * @param alsoOpen  Ranges that the urgent lane or an unwritten loss answers for: open should this life end now.
   */
  cursor(epoch: string, alsoOpen: readonly SeqRange[]): ReaderCursor {
    const lists = [this.#open.kept, this.#open.bulk, this.#live.kept, this.#live.bulk, this.#holes, this.#olderHoles];
    const all = [...lists, upToNumber(alsoOpen, this.#livePosition)].reduce(unite);
    const open = joinNearest(all, LIMITS.upstreamBacklogRangesMax.value, this.#leftOut);
    const cursor = { epoch, upTo: this.#livePosition, open };
    const former = this.#former;
    // The former epoch matters for as long as anything of it is open.
    const isOpen = former !== undefined && (cursor.upTo < former.upTo || (open[0]?.from ?? former.upTo + 1) <= former.upTo);
    return isOpen ? { ...cursor, former } : cursor;
  }

  /** Says that the cursor may be another than the one stored. */
  touch(): void {
    this.#touched = true;
  }

  /** Whether it was touched since the last call. */
  takeTouched(): boolean {
    const touched = this.#touched;
    this.#touched = false;
    return touched;
  }

  /** Empty (from over to) where all was read. */
  #unread(upTo: Seq): SeqRange {
    return { from: seq(this.#livePosition + 1), to: upTo };
  }
}
