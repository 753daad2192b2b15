/** Over how many commits the figures are. */
const COMMITS_MAX = 10_000;

/** How long the last commits took, for the middle, the 99th percentile and the longest. */
export class CommitTimes {
  readonly #timesMs = new Float64Array(COMMITS_MAX);
  #count = 0;

  add(commitMs: number): void {
    this.#timesMs[this.#count % COMMITS_MAX] = commitMs;
    this.#count += 1;
  }

  /** All zero before the first commit. */
  figures(): { readonly commitMsP50: number; readonly commitMsP99: number; readonly commitMsMax: number } {
    const sorted = this.#timesMs.slice(0, Math.min(this.#count, COMMITS_MAX)).sort();
    const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
    return { commitMsP50: at(0.5), commitMsP99: at(0.99), commitMsMax: at(1) };
  }
}
