import type { MonotonicMs } from "./time.ts";

/** A pace: so many at once, and so many a second in the long run. */
export interface Pace {
  readonly perSecond: number;
  readonly atOnce: number;
}

/** Holds one party to a pace. It may go into debt by what was already in its hands, and waits the longer for it. */
export class TokenBucket {
  readonly #pace: Pace;
  #tokens: number;
  #atMs: MonotonicMs;

  constructor(pace: Pace, nowMs: MonotonicMs) {
    this.#pace = pace;
    this.#tokens = pace.atOnce;
    this.#atMs = nowMs;
  }

  /** Takes without asking. */
  take(count: number, nowMs: MonotonicMs): void {
    this.#fill(nowMs);
    this.#tokens -= count;
  }

  /** Gives back what was taken for nothing. */
  giveBack(count: number): void {
    this.#tokens = Math.min(this.#tokens + count, this.#pace.atOnce);
  }

  /** How long until one may be taken, in ms; 0: now. */
  waitMs(nowMs: MonotonicMs): number {
    this.#fill(nowMs);
    return this.#tokens >= 1 ? 0 : Math.ceil(((1 - this.#tokens) / this.#pace.perSecond) * 1000);
  }

  /** Whether nothing has been taken for so long that a new bucket would be the same. */
  isFull(nowMs: MonotonicMs): boolean {
    this.#fill(nowMs);
    return this.#tokens >= this.#pace.atOnce;
  }

  #fill(nowMs: MonotonicMs): void {
    const gained = ((nowMs - this.#atMs) / 1000) * this.#pace.perSecond;
    this.#tokens = Math.min(this.#tokens + gained, this.#pace.atOnce);
    this.#atMs = nowMs;
  }
}
