/** A closed range of numbers. */
export interface NumberSpan {
  readonly from: number;
  readonly to: number;
}

/** What is left of spans, which rise and do not touch, without the numbers in `holes`, which may lie in any order and overlap. */
export function withoutSpans(spans: readonly NumberSpan[], holes: readonly NumberSpan[]): NumberSpan[] {
  const rising = holes.filter((hole) => hole.from <= hole.to).sort((one, other) => one.from - other.from);
  const left: NumberSpan[] = [];
  let next = 0;
  for (const span of spans) {
    let from = span.from;
    // A hole that ends before this span cannot reach a later one.
    while (next < rising.length && (rising[next]?.to ?? 0) < from) next += 1;
    for (let index = next; index < rising.length && from <= span.to; index++) {
      const hole = rising[index];
      if (hole === undefined || hole.from > span.to) break;
      if (hole.from > from) left.push({ from, to: hole.from - 1 });
      from = Math.max(from, hole.to + 1);
    }
    if (from <= span.to) left.push({ from, to: span.to });
  }
  return left;
}

/** How many numbers lie in spans that do not overlap. */
export function countNumbers(spans: readonly NumberSpan[]): number {
  return spans.reduce((sum, { from, to }) => sum + to - from + 1, 0);
}
