import { type Seq, seq } from "../core/ids.ts";
import { LIMITS } from "../core/limits.ts";
import type { Journal } from "../core/ports.ts";
import type { JournalRecord, Loss } from "../core/record.ts";
import { addRange, type SeqRange, subtract, unite } from "./seq-ranges.ts";

/** A loss of one reader, before it has become a record. */
export type ReaderLoss = Pick<Loss, "fromSeq" | "toSeq" | "count" | "what"> & {
  readonly reader: string;
  readonly why: "reader-limit" | "receiver-refused";
};

/**
 * What one reader will never get, and that this is on record: read from the journal's own loss records at the start and as they come, so
 * that it outlives a restart; stated as loss records itself. Until such a record is on disk its range stays open in the reader's cursor.
 */
export class ReaderLosses {
  readonly #journal: Pick<Journal, "read" | "committedSeq">;
  readonly #reader: string;
  readonly #state: (loss: ReaderLoss) => Seq;
  readonly #refused = new Set<Seq>();
  /** Ranges by the number of the record that states them, while it is not on disk. */
  readonly #uncommitted = new Map<Seq, SeqRange>();
  #stated: readonly SeqRange[] = [];
  #readUpTo: Seq = seq(0);
  #droppedUpTo: Seq = seq(0);

  constructor(parts: {
    readonly journal: Pick<Journal, "read" | "committedSeq">;
    readonly reader: string;
    /** Makes the record and hands it to the journal; returns its number. */
    readonly state: (loss: ReaderLoss) => Seq;
  }) {
    this.#journal = parts.journal;
    this.#reader = parts.reader;
    this.#state = parts.state;
  }

  /** Losses recorded up to here matter no more: what they are about was done before. */
  readAfter(afterSeq: Seq): void {
    this.#readUpTo = afterSeq;
  }

  /** Takes in the loss records committed since the last time. False where the journal could not answer. */
  async readNew(): Promise<boolean> {
    const limit = LIMITS.journalReadRecordsMax.value;
    for (const upToSeq = this.#journal.committedSeq(); this.#readUpTo < upToSeq; ) {
      const afterSeq = this.#readUpTo;
      const page = await this.#journal.read({ afterSeq, upToSeq, limit, kinds: ["loss"] }).catch(() => null);
      if (page === null) return false;
      for (const record of page) this.#take(record);
      this.#readUpTo = page.at(-1)?.seq ?? upToSeq;
    }
    return true;
  }

  /** Takes in what the journal says it has lost, before that is a record. */
  hear(loss: Pick<Loss, "toSeq" | "why" | "what" | "reader">): void {
    const dropped = loss.what === "records" && loss.reader === null && (loss.why === "byte-budget" || loss.why === "disk-full");
    if (dropped) this.#droppedUpTo = seq(Math.max(this.#droppedUpTo, loss.toSeq));
  }

  #take(loss: JournalRecord): void {
    if (loss.kind !== "loss" || loss.what !== "records") return;
    this.hear(loss);
    if (loss.reader !== this.#reader) return;
    const range = { from: loss.fromSeq, to: loss.toSeq };
    if (loss.why === "reader-limit") this.#stated = addRange(this.#stated, range);
    if (loss.why === "receiver-refused") this.#remember(range);
  }

  #remember(range: SeqRange): void {
    const first = Math.max(range.from, range.to - LIMITS.upstreamRefusedKnownMax.value);
    for (let number = first; number <= range.to; number++) this.#refused.add(seq(number));
    for (const oldest of this.#refused) {
      if (this.#refused.size <= LIMITS.upstreamRefusedKnownMax.value) return;
      this.#refused.delete(oldest);
    }
  }

  /** The journal has given up every observation, prediction, event and tally up to here to make room: it drops the oldest first. */
  get droppedUpTo(): Seq {
    return this.#droppedUpTo;
  }

  /** Whether the receiver has refused this record for good. */
  isRefused(number: Seq): boolean {
    return this.#refused.has(number);
  }

  /** States that the receiver refused a run of records. */
  refuse(run: SeqRange): void {
    this.#remember(run);
    this.#record(run, "receiver-refused");
  }

  /** States that these were dropped before the reader had them, except what is stated already; returns what was stated. */
  miss(ranges: readonly SeqRange[]): readonly SeqRange[] {
    const missed = subtract(ranges, this.#stated);
    for (const range of missed) this.#record(range, "reader-limit");
    this.#stated = unite(this.#stated, missed);
    return missed;
  }

  #record(range: SeqRange, why: ReaderLoss["why"]): void {
    const loss = { fromSeq: range.from, toSeq: range.to, count: range.to - range.from + 1, what: "records", why } as const;
    this.#uncommitted.set(this.#state({ ...loss, reader: this.#reader }), range);
  }

  /** Everything up to here is on disk. */
  committed(upTo: Seq): void {
    for (const number of this.#uncommitted.keys()) if (number <= upTo) this.#uncommitted.delete(number);
  }

  /** Ranges whose loss is not on disk: done in this life, but not should it end now. */
  uncommitted(): readonly SeqRange[] {
    return [...this.#uncommitted.values()].reduce<readonly SeqRange[]>(addRange, []);
  }
}

/**
 * Ranges of numbers that no record has, because a life was cut off: as the starts after one number tell them, the newest
 * `upstreamLeftOutRangesMax`. Null where the journal could not answer.
 */
export async function readLeftOut(
  journal: Pick<Journal, "read" | "leftOutAtOpen">,
  sinceSeq: Seq,
): Promise<readonly SeqRange[] | null> {
  const limit = LIMITS.journalReadRecordsMax.value;
  let ranges: readonly SeqRange[] = [];
  for (let afterSeq = sinceSeq; ; ) {
    const page = await journal.read({ afterSeq, limit, kinds: ["start"] }).catch(() => null);
    if (page === null) return null;
    for (const start of page) {
      if (start.kind === "start" && start.leftOut !== null) ranges = addRange(ranges, start.leftOut);
      afterSeq = start.seq;
    }
    ranges = ranges.slice(-LIMITS.upstreamLeftOutRangesMax.value);
    // The start of this life may not be on disk yet.
    if (page.length === 0) return journal.leftOutAtOpen === null ? ranges : addRange(ranges, journal.leftOutAtOpen);
  }
}
