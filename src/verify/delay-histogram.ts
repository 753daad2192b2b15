/** Cells per factor of e: neighbours differ by 5 %. */
const CELLS_PER_E = 20;

/** Delays in cells of 5 %, so that millions of them take a few hundred numbers. */
export class DelayHistogram {
  readonly #cells = new Map<number, number>();
  #count = 0;
  #maxMs = 0;

  /** Takes a delay in ms; a negative one (two clocks that differ) counts as 0. */
  add(delayMs: number): void {
    const delay = Math.max(0, delayMs);
    const cell = Math.round(Math.log(delay + 1) * CELLS_PER_E);
    this.#cells.set(cell, (this.#cells.get(cell) ?? 0) + 1);
    this.#count += 1;
    this.#maxMs = Math.max(this.#maxMs, delay);
  }

  /** Percentiles, within 3 %, or null where there was nothing. */
  figures(): { readonly count: number; readonly p50Ms: number; readonly p99Ms: number; readonly maxMs: number } | null {
    if (this.#count === 0) return null;
    return { count: this.#count, p50Ms: this.#at(0.5), p99Ms: this.#at(0.99), maxMs: Math.round(this.#maxMs) };
  }

  #at(share: number): number {
    const wanted = Math.ceil(this.#count * share);
    let seen = 0;
    for (const [cell, count] of [...this.#cells].sort(([one], [other]) => one - other)) {
      seen += count;
      if (seen >= wanted) return Math.min(Math.round(Math.exp(cell / CELLS_PER_E) - 1), Math.round(this.#maxMs));
    }
    return 0;
  }
}
