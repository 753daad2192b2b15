import { type JournalRecord, KEPT_KINDS } from "../core/record.ts";
import { assert } from "../core/result.ts";
import type { LostRange } from "./messages.ts";

/** A queue whose head moves instead of its elements. */
class Line {
  #items: JournalRecord[] = [];
  #head = 0;

  get length(): number {
    return this.#items.length - this.#head;
  }

  first(): JournalRecord | undefined {
    return this.#items[this.#head];
  }

  push(record: JournalRecord): void {
    this.#items.push(record);
  }

  shift(): JournalRecord {
    const record = this.#items[this.#head];
    assert(record !== undefined, "nobody takes from an empty line");
    this.#head += 1;
    if (this.#head > 4096 && this.#head * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
    return record;
  }
}

/** Records that wait for their commit, in order, bounded. */
export class WaitingRecords {
  readonly #droppable = new Line();
  readonly #kept = new Line();
  readonly #recordsMax: number;
  readonly #keptMax: number;
  #urgentCount = 0;
  #lastSeq = 0;

  constructor(bounds: { readonly recordsMax: number; readonly keptMax: number; readonly afterSeq: number }) {
    this.#recordsMax = bounds.recordsMax;
    this.#keptMax = bounds.keptMax;
    this.#lastSeq = bounds.afterSeq;
  }

  /** The highest number ever taken in. */
  get lastSeq(): number {
    return this.#lastSeq;
  }

  get length(): number {
    return this.#droppable.length + this.#kept.length;
  }

  /** Whether an alert, act or receipt waits, which is not made to wait for others. */
  get urgent(): boolean {
    return this.#urgentCount > 0;
  }

  /**
   * Takes records in; where there is no room, the oldest that are not kept kinds go.
   *
   * @returns  What went, as one range, or null.
   * @throws ImpossibleError  Where numbers do not rise, or more kept records wait than may.
   */
  push(records: readonly JournalRecord[]): LostRange | null {
    for (const record of records) {
      assert(record.seq > this.#lastSeq, "records are appended in rising order of seq");
      this.#lastSeq = record.seq;
      if (KEPT_KINDS.has(record.kind)) {
        this.#kept.push(record);
        if (isUrgent(record)) this.#urgentCount += 1;
      } else {
        this.#droppable.push(record);
      }
    }
    assert(
      this.#kept.length <= this.#keptMax,
      "no more alerts, acts, receipts and losses wait for the disk than journalKeptRecordsMax",
    );
    return this.#dropOldest();
  }

  #dropOldest(): LostRange | null {
    const count = Math.min(this.length - this.#recordsMax, this.#droppable.length);
    if (count <= 0) return null;
    const fromSeq = this.#droppable.shift().seq;
    let toSeq = fromSeq;
    for (let dropped = 1; dropped < count; dropped++) toSeq = this.#droppable.shift().seq;
    return { fromSeq, toSeq, count, why: "queue-full", what: "records", reader: null };
  }

  /** Takes out the next records in order, at most `countMax`. */
  take(countMax: number): JournalRecord[] {
    const batch: JournalRecord[] = [];
    while (batch.length < countMax && this.length > 0) {
      const kept = this.#kept.first();
      const droppable = this.#droppable.first();
      const line = droppable === undefined || (kept !== undefined && kept.seq < droppable.seq) ? this.#kept : this.#droppable;
      const record = line.shift();
      if (isUrgent(record)) this.#urgentCount -= 1;
      batch.push(record);
    }
    return batch;
  }
}

function isUrgent(record: JournalRecord): boolean {
  return record.kind === "alert" || record.kind === "act" || record.kind === "receipt";
}
