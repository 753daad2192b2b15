import { LIMITS } from "../core/limits.ts";

/** A batch of the backlog is made smaller when its confirmation takes longer than this, so that an alert never waits behind much. */
const BATCH_MS_MAX = 500;
/** And larger when it takes less than this. */
const BATCH_MS_MIN = 150;
const BATCH_RECORDS_MIN = 10;
/** A batch is made smaller as well when the main thread works longer than this for it, in ms, and larger below half of it. */
const WORK_MS_MAX = 1;
/**
 * However busy the thread is, a backlog leaves so many times as fast as new records come, and by so many a second at least: one that
 * grows for as long as the gateway is busy would never end.
 */
const LEAST_RATE = { timesNew: 2, perSecond: 1000 } as const;
/**
 * The part of the main thread's time that making and publishing a backlog may take; for the rest it waits, so that alerts find it free.
 * It falls by a third whenever the wait was over late, because the thread or the machine has other work, and rises slowly when it was not.
 */
const SHARE = { max: 0.05, min: 0.005, step: 0.002, lateMs: 4 } as const;

/** How large the batches of the backlog's bulk are and how long the main thread rests between them; it outlives the connection. */
export class BacklogPace {
  #batchRecords = LIMITS.upstreamBatchRecordsMax.value / 4;
  /** Half of the last batch with which the connection was lost; grows again by a quarter each minute. */
  #batchRecordsMax: number = LIMITS.upstreamBatchRecordsMax.value;
  #share: number = SHARE.max / 2;
  #newPerSecond = 0;

  /** How many records the next batch may have. */
  get batchRecords(): number {
    return this.#batchRecords;
  }

  /** A batch was not confirmed: a server may cut the connection of whoever sends more than it takes, and say nothing. */
  failed(recordsCount: number): void {
    this.#batchRecordsMax = Math.max(1, Math.floor(recordsCount / 2));
    this.#batchRecords = Math.min(this.#batchRecords, this.#batchRecordsMax);
  }

  /** A batch was confirmed `tookMs` after its beginning; the main thread worked `workMs` for it. */
  confirmed(took: { readonly tookMs: number; readonly workMs: number }): void {
    if (took.tookMs > BATCH_MS_MAX || took.workMs > WORK_MS_MAX) {
      const least = Math.min(BATCH_RECORDS_MIN, this.#batchRecords);
      this.#batchRecords = Math.max(least, Math.floor(this.#batchRecords / 2));
    } else if (took.tookMs < BATCH_MS_MIN && took.workMs < WORK_MS_MAX / 2) {
      this.#batchRecords = Math.min(this.#batchRecordsMax, this.#batchRecords * 2);
    }
  }

  /** A minute is over. */
  allowMore(): void {
    this.#batchRecordsMax = Math.min(LIMITS.upstreamBatchRecordsMax.value, Math.ceil(this.#batchRecordsMax * 1.25));
  }

  /** So many records came in the last second. */
  heard(newCount: number): void {
    this.#newPerSecond = newCount;
  }

  /** How long to leave the main thread to others after `workMs` of work for so many records of the backlog, in ms. */
  restMs(workMs: number, recordsCount: number): number {
    const perSecond = Math.max(LEAST_RATE.perSecond, this.#newPerSecond * LEAST_RATE.timesNew);
    const longestMs = Math.max(0, (recordsCount / perSecond) * 1000 - workMs);
    return Math.min(longestMs, workMs / this.#share - workMs);
  }

  /** The rest was over so much later than asked for. */
  rested(lateMs: number): void {
    const share = lateMs > SHARE.lateMs ? (this.#share * 2) / 3 : this.#share + SHARE.step;
    this.#share = Math.min(SHARE.max, Math.max(SHARE.min, share));
  }
}
