import type { LossReason } from "../core/record.ts";
import type { KeptFile } from "./kept-file.ts";
import type { LostRange, SegmentEntry } from "./messages.ts";
import { countNumbers, type NumberSpan, withoutSpans } from "./number-spans.ts";

/** What explains numbers that no segment has. */
export type MissingNumbersSource = Pick<KeptFile, "knownLosses" | "leftOut" | "seqsBetween">;

/** Reasons for which whole segments go, so that what lies before them needs no explanation either. */
const SEGMENTS_WENT: ReadonlySet<LossReason> = new Set<LossReason>(["byte-budget", "disk-full", "journal-damaged"]);

/**
 * Numbers are given without a gap, so each is in a segment or in the kept file, was left out, or belongs to a loss that is on record.
 * What is none of these is missing: a file was taken away, a damaged one could be read in part only, or a life was cut off while later
 * numbers were on disk already. Numbers within a sound segment are not compared.
 *
 * @param covered  The numbers that segments hold, in rising order.
 * @param tail     Why numbers after the last of them may be missing; null: they are not looked at, because they are on their way.
 * @returns        One loss for each stretch between two covered ones, not yet owed.
 */
export function findMissing(given: {
  readonly kept: MissingNumbersSource;
  readonly covered: readonly NumberSpan[];
  readonly lastSeq: number;
  readonly tail: LossReason | null;
}): LostRange[] {
  const { kept, covered, lastSeq, tail } = given;
  const losses = kept.knownLosses();
  const oldest = covered[0]?.from ?? Number.POSITIVE_INFINITY;
  const gone = losses.filter((loss) => SEGMENTS_WENT.has(loss.why) && loss.toSeq < oldest).map((loss) => loss.toSeq);
  const from = 1 + Math.max(0, ...gone);
  const end = covered.at(-1)?.to ?? 0;
  const found = missingBetween(kept, { from, to: tail === null ? end : lastSeq }, covered);
  return found.map((loss) => (tail !== null && loss.fromSeq > end ? { ...loss, why: tail } : loss));
}

/** The numbers of a range that are missing, as damage: one loss for each stretch between two covered ones. */
export function missingBetween(kept: MissingNumbersSource, range: NumberSpan, covered: readonly NumberSpan[]): LostRange[] {
  const losses = kept.knownLosses().map((loss) => ({ from: loss.fromSeq, to: loss.toSeq }));
  const stretches = range.from <= range.to ? withoutSpans([range], [...covered, ...kept.leftOut(), ...losses]) : [];
  const first = stretches[0];
  const last = stretches.at(-1);
  if (first === undefined || last === undefined) return [];
  const keptSeqs = kept.seqsBetween(first.from, last.to).map((seq) => ({ from: seq, to: seq }));
  return joinBetween(withoutSpans(stretches, keptSeqs), covered).map((spans) => ({
    fromSeq: spans[0]?.from ?? 0,
    toSeq: spans.at(-1)?.to ?? 0,
    count: countNumbers(spans),
    why: "journal-damaged",
    what: "records",
    reader: null,
  }));
}

/** Spans with no covered one between them belong together: kept records lie between them. */
function joinBetween(spans: readonly NumberSpan[], covered: readonly NumberSpan[]): NumberSpan[][] {
  const groups = new Map<number, NumberSpan[]>();
  let place = 0;
  for (const span of spans) {
    while (place < covered.length && (covered[place]?.to ?? 0) < span.from) place += 1;
    const group = groups.get(place);
    if (group === undefined) groups.set(place, [span]);
    else group.push(span);
  }
  return [...groups.values()];
}

/** Kept records that are missing among the numbers of a segment, found by counting: one loss a segment, as wide as it. */
export function findMissingWithin(
  kept: MissingNumbersSource,
  segments: { readonly sealed: readonly SegmentEntry[]; readonly active: { readonly entry: SegmentEntry } | null },
): LostRange[] {
  const entries = segments.active === null ? segments.sealed : [...segments.sealed, segments.active.entry];
  const explained = [...kept.leftOut(), ...kept.knownLosses().map((loss) => ({ from: loss.fromSeq, to: loss.toSeq }))];
  return entries.flatMap(({ firstSeq, lastSeq, recordCount }): LostRange[] => {
    const there = recordCount + kept.seqsBetween(firstSeq, lastSeq).length;
    const count = countNumbers(withoutSpans([{ from: firstSeq, to: lastSeq }], explained)) - there;
    const range = { fromSeq: firstSeq, toSeq: lastSeq } as const;
    return count > 0 ? [{ ...range, count, why: "journal-damaged", what: "records", reader: null }] : [];
  });
}
