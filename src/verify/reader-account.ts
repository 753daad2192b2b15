import type { ReaderCursor } from "../core/ports.ts";
import { type JournalRecord, type Loss, madeAtMs, type Receipt, type RecordKind } from "../core/record.ts";
import { leavesFor } from "../core/upstream.ts";
import { DelayHistogram } from "./delay-histogram.ts";
import type { FindingBook } from "./finding.ts";
import { isInWindow, type NumberRange, type TimeWindow } from "./window.ts";

/** What became of a record for one reader: `refused` by its far side for good, `gone` before the reader had it. */
export type DeliveryState = "delivered" | "waiting" | "refused" | "gone";

/** The last records whose time is remembered, for how long receipts took. */
const TIMES_MAX = 20_000;

/** Receipts of one state, and how long after the record they came. */
interface ReceiptFigures {
  readonly count: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

/** What one reader has of what leaves. */
export interface ReaderAccount {
  readonly reader: string;
  /** Null where the reader has no cursor yet, or one of another epoch: it begins anew. */
  readonly upTo: number | null;
  readonly records: Readonly<Record<DeliveryState, number>>;
  readonly deliveredByKind: Readonly<Partial<Record<RecordKind, number>>>;
  /** Records the reader never gets, as the loss records say, by rule; also of those that are no longer on disk. */
  readonly lost: Readonly<Record<string, number>>;
  readonly receipts: Readonly<Partial<Record<Receipt["state"], ReceiptFigures>>>;
  /** Receipts about records whose time is not known any more. */
  readonly receiptsWithoutTime: number;
}

/** Where one reader stands, and what it never gets. */
export interface ReaderInput {
  readonly reader: string;
  readonly cursor: ReaderCursor | null;
  readonly losses: readonly Loss[];
}

/** Follows the records in order and says of each what became of it for one reader. */
export class ReaderBook {
  readonly reader: string;
  readonly #cursor: ReaderCursor | null;
  readonly #losses: readonly Loss[];
  readonly #refused: Spans;
  readonly #gone: Spans;
  readonly #window: TimeWindow;
  readonly #records: Record<DeliveryState, number> = { delivered: 0, waiting: 0, refused: 0, gone: 0 };
  readonly #deliveredByKind: Partial<Record<RecordKind, number>> = {};
  readonly #receipts = new Map<Receipt["state"], DelayHistogram>();
  #receiptsWithoutTime = 0;

  constructor(input: ReaderInput, at: { readonly epoch: string | null; readonly window: TimeWindow }) {
    this.reader = input.reader;
    this.#cursor = input.cursor !== null && input.cursor.epoch === at.epoch ? input.cursor : null;
    this.#losses = input.losses.filter(({ what }) => what === "records");
    this.#refused = new Spans(this.#losses.filter(({ why }) => why === "receiver-refused"));
    this.#gone = new Spans(this.#losses.filter(({ why }) => why !== "receiver-refused"));
    this.#window = at.window;
  }

  /** Takes the next record in rising order. @returns  What became of it, or null where its kind does not leave. */
  take(record: JournalRecord, times: RecordTimes): DeliveryState | null {
    if (record.kind === "receipt" && !("hop" in record) && record.reader === this.reader) this.#takeReceipt(record, times);
    if (!leavesFor(record, this.reader)) return null;
    const state = this.#stateOf(record.seq);
    if (!isInWindow(this.#window, madeAtMs(record))) return state;
    this.#records[state] += 1;
    if (state === "delivered") this.#deliveredByKind[record.kind] = (this.#deliveredByKind[record.kind] ?? 0) + 1;
    return state;
  }

  #stateOf(number: number): DeliveryState {
    if (this.#refused.has(number)) return "refused";
    if (this.#gone.has(number)) return "gone";
    const cursor = this.#cursor;
    if (cursor === null || number > cursor.upTo) return "waiting";
    return cursor.open.some(({ from, to }) => number >= from && number <= to) ? "waiting" : "delivered";
  }

  #takeReceipt(receipt: Receipt, times: RecordTimes): void {
    if (!isInWindow(this.#window, receipt.atMs)) return;
    const recordMs = times.of(Number(receipt.of.split("/").at(-1)));
    const figures = this.#receipts.get(receipt.state) ?? new DelayHistogram();
    this.#receipts.set(receipt.state, figures);
    if (recordMs === null) this.#receiptsWithoutTime += 1;
    else figures.add(receipt.atMs - recordMs);
  }

  /** Tells what is wrong with the cursor itself. */
  settle(book: FindingBook, endSeq: number): void {
    const cursor = this.#cursor;
    if (cursor === null || cursor.upTo <= endSeq) return;
    const facts = { reader: this.reader };
    book.add({ rule: "cursor-ahead", fromSeq: endSeq + 1, toSeq: cursor.upTo, count: cursor.upTo - endSeq, facts });
  }

  account(): ReaderAccount {
    const lost: Record<string, number> = {};
    for (const { why, count, atMs } of this.#losses) if (isInWindow(this.#window, atMs)) lost[why] = (lost[why] ?? 0) + count;
    const receipts: Partial<Record<Receipt["state"], ReceiptFigures>> = {};
    for (const [state, histogram] of this.#receipts) {
      receipts[state] = histogram.figures() ?? { count: 0, p50Ms: 0, p99Ms: 0, maxMs: 0 };
    }
    return {
      reader: this.reader,
      upTo: this.#cursor?.upTo ?? null,
      records: this.#records,
      deliveredByKind: this.#deliveredByKind,
      lost,
      receipts,
      receiptsWithoutTime: this.#receiptsWithoutTime,
    };
  }
}

/** When the last alerts, acts and losses were made: receipts are about them. */
export class RecordTimes {
  readonly #times = new Map<number, number>();

  take(record: JournalRecord): void {
    if (record.kind !== "alert" && record.kind !== "act" && record.kind !== "loss") return;
    this.#times.set(record.seq, madeAtMs(record));
    const oldest = this.#times.keys().next();
    if (this.#times.size > TIMES_MAX && oldest.done === false) this.#times.delete(oldest.value);
  }

  of(number: number): number | null {
    return this.#times.get(number) ?? null;
  }
}

/** Ranges made disjoint, asked in rising order. */
class Spans {
  readonly #spans: { readonly fromSeq: number; toSeq: number }[] = [];
  #index = 0;

  constructor(ranges: readonly NumberRange[]) {
    for (const { fromSeq, toSeq } of [...ranges].sort((one, other) => one.fromSeq - other.fromSeq)) {
      const last = this.#spans.at(-1);
      if (last !== undefined && fromSeq <= last.toSeq) last.toSeq = Math.max(last.toSeq, toSeq);
      else this.#spans.push({ fromSeq, toSeq });
    }
  }

  has(number: number): boolean {
    while ((this.#spans[this.#index]?.toSeq ?? Number.POSITIVE_INFINITY) < number) this.#index += 1;
    return (this.#spans[this.#index]?.fromSeq ?? Number.POSITIVE_INFINITY) <= number;
  }
}
