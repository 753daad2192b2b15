import { Histogram, type HistogramView } from "../core/histogram.ts";

/** Over how many commits the figures are. */
const COMMITS_MAX = 10_000;
/** Upper ends of the stretches into which all commits are counted. */
const BOUNDS_MS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000] as const;

/** How long the last commits took, for the middle, the 99th percentile and the longest; and how many of all took how long. */
export class CommitTimes {
  readonly #timesMs = new Float64Array(COMMITS_MAX);
  readonly #all = new Histogram(BOUNDS_MS);
  #count = 0;

  add(commitMs: number): void {
    this.#timesMs[this.#count % COMMITS_MAX] = commitMs;
    this.#count += 1;
    this.#all.add(commitMs);
  }

  /** All zero before the first commit. */
  figures(): {
    readonly commitMsP50: number;
    readonly commitMsP99: number;
    readonly commitMsMax: number;
    readonly commitTimes: HistogramView;
  } {
    const sorted = this.#timesMs.slice(0, Math.min(this.#count, COMMITS_MAX)).sort();
    const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
    return { commitMsP50: at(0.5), commitMsP99: at(0.99), commitMsMax: at(1), commitTimes: this.#all.view() };
  }
}
