import { type Seq, seq } from "../core/ids.ts";

/** A closed range of sequence numbers. Lists of them are kept sorted, disjoint and not touching. */
export interface SeqRange {
  readonly from: Seq;
  readonly to: Seq;
}

/** The list with one range more; overlapping and touching ranges become one. An empty range (from over to) changes nothing. */
export function addRange(ranges: readonly SeqRange[], added: SeqRange): readonly SeqRange[] {
  if (added.from > added.to) return ranges;
  const before = ranges.filter((range) => range.to < added.from - 1);
  const after = ranges.filter((range) => range.from > added.to + 1);
  const touched = ranges.slice(before.length, ranges.length - after.length);
  const from = Math.min(added.from, ...touched.map((range) => range.from));
  const to = Math.max(added.to, ...touched.map((range) => range.to));
  return [...before, { from: seq(from), to: seq(to) }, ...after];
}

/** All ranges of both lists together. */
export function unite(left: readonly SeqRange[], right: readonly SeqRange[]): readonly SeqRange[] {
  return right.reduce<readonly SeqRange[]>((ranges, range) => addRange(ranges, range), left);
}

/** The list without what `removed` covers; a range may be cut in two. */
export function removeRange(ranges: readonly SeqRange[], removed: SeqRange): readonly SeqRange[] {
  return ranges.flatMap((range) => {
    if (range.to < removed.from || range.from > removed.to) return [range];
    const left = { from: range.from, to: seq(removed.from - 1) };
    const right = { from: seq(removed.to + 1), to: range.to };
    return [left, right].filter((piece) => piece.from <= piece.to);
  });
}

/** The first list without everything the second covers. */
export function subtract(ranges: readonly SeqRange[], removed: readonly SeqRange[]): readonly SeqRange[] {
  return removed.reduce<readonly SeqRange[]>(removeRange, ranges);
}

/** What the list covers up to a number. */
export function upToNumber(ranges: readonly SeqRange[], upTo: Seq): readonly SeqRange[] {
  return removeRange(ranges, { from: seq(upTo + 1), to: seq(Number.MAX_SAFE_INTEGER) });
}

/**
 * At most `countMax` ranges: the two nearest are joined, with what lies between, until it fits. Never leaves anything out.
 *
 * @param leftOut  Numbers that no record has: they count as no distance.
 */
export function joinNearest(
  ranges: readonly SeqRange[],
  countMax: number,
  leftOut: readonly SeqRange[] = [],
): readonly SeqRange[] {
  if (ranges.length <= countMax) return ranges;
  const joined = [...ranges];
  const distance = (left: SeqRange, right: SeqRange) =>
    countSeqs(subtract([{ from: seq(left.to + 1), to: seq(right.from - 1) }], leftOut));
  while (joined.length > countMax && joined.length > 1) {
    const gaps = joined.slice(1).map((range, index) => distance(joined[index] ?? range, range));
    const index = gaps.indexOf(Math.min(...gaps));
    const [left, right] = joined.slice(index, index + 2);
    if (left === undefined || right === undefined) return joined;
    joined.splice(index, 2, { from: left.from, to: right.to });
  }
  return joined;
}

/** How many sequence numbers the ranges cover. */
export function countSeqs(ranges: readonly SeqRange[]): number {
  return ranges.reduce((count, range) => count + range.to - range.from + 1, 0);
}
