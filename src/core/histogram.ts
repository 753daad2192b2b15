/** How often a measured time fell into each stretch, since the counting began. */
export interface HistogramView {
  /** Upper ends of the stretches in ms, rising, each included in its stretch; what is longer is counted in `count` only. */
  readonly boundsMs: readonly number[];
  /** For each bound how many times were at most that long: never falling from one to the next. */
  readonly countsAtMost: readonly number[];
  readonly count: number;
  readonly sumMs: number;
}

/** Counts times by their length, in memory that does not grow. */
export class Histogram {
  readonly #boundsMs: readonly number[];
  readonly #counts: number[];
  #count = 0;
  #sumMs = 0;

  /** @param boundsMs  Upper ends of the stretches in ms, rising. */
  constructor(boundsMs: readonly number[]) {
    this.#boundsMs = boundsMs;
    this.#counts = boundsMs.map(() => 0);
  }

  add(durationMs: number): void {
    this.#count += 1;
    this.#sumMs += durationMs;
    const index = this.#boundsMs.findIndex((boundMs) => durationMs <= boundMs);
    if (index >= 0) this.#counts[index] = (this.#counts[index] ?? 0) + 1;
  }

  view(): HistogramView {
    let atMost = 0;
    const countsAtMost = this.#counts.map((count) => {
      atMost += count;
      return atMost;
    });
    return { boundsMs: this.#boundsMs, countsAtMost, count: this.#count, sumMs: this.#sumMs };
  }
}
