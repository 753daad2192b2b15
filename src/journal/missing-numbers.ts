import type { LossReason } from "../core/record.ts";
import type { KeptFile } from "./kept-file.ts";
import type { LostRange, SegmentEntry } from "./messages.ts";
import { countNumbers, type NumberSpan, withoutSpans } from "./number-spans.ts";

/** What explains numbers that no segment has. */
export type MissingNumbersSource = Pick<KeptFile, "knownLosses" | "leftOut" | "seqsBetween">;

type KnownLoss = ReturnType<KeptFile["knownLosses"]>[number];

/** Reasons for which whole segments go, so that what lies before them needs no explanation either. */
const SEGMENTS_WENT: ReadonlySet<LossReason> = new Set<LossReason>(["byte-budget", "disk-full"]);

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

/**
 * The numbers of a range that are missing, as damage: one loss for each stretch between two covered ones. Damage that is on record explains no
 * more numbers in its range than it says are lost, for it may be much wider than that; of what is missing beyond, the difference is told.
 */
export function missingBetween(kept: MissingNumbersSource, range: NumberSpan, covered: readonly NumberSpan[]): LostRange[] {
  const losses = kept.knownLosses();
  const gone = losses.filter((loss) => loss.why !== "journal-damaged").map((loss) => ({ from: loss.fromSeq, to: loss.toSeq }));
  const stretches = range.from <= range.to ? withoutSpans([range], [...covered, ...kept.leftOut(), ...gone]) : [];
  const damages = damagesOf(losses);
  const outside = withoutKept(kept, withoutSpans(stretches, damages));
  const untold = joinBetween(outside, covered).map((spans) => damageIn(spans, countNumbers(spans)));
  const beyond = damages.flatMap((damage): LostRange[] => {
    const inside = withinSpan(stretches, damage);
    const missing = countNumbers(inside) > damage.count ? withoutKept(kept, inside) : [];
    const count = countNumbers(missing) - damage.count;
    return count > 0 ? [damageIn(missing, count)] : [];
  });
  return [...untold, ...beyond].sort((one, other) => one.fromSeq - other.fromSeq);
}

/** What is left of spans, which rise, without the numbers of kept records. */
function withoutKept(kept: MissingNumbersSource, spans: readonly NumberSpan[]): readonly NumberSpan[] {
  const first = spans[0];
  const last = spans.at(-1);
  if (first === undefined || last === undefined) return [];
  const keptSeqs = kept.seqsBetween(first.from, last.to).map((seq) => ({ from: seq, to: seq }));
  return withoutSpans(spans, keptSeqs);
}

/** A loss as wide as spans that rise. */
function damageIn(spans: readonly NumberSpan[], count: number): LostRange {
  const range = { fromSeq: spans[0]?.from ?? 0, toSeq: spans.at(-1)?.to ?? 0 } as const;
  return { ...range, count, why: "journal-damaged", what: "records", reader: null };
}

/** Damage on record, in rising order. Ranges that overlap count as one: which of them a missing number belongs to cannot be told. */
function damagesOf(losses: readonly KnownLoss[]): readonly (NumberSpan & { readonly count: number })[] {
  const damages: { from: number; to: number; count: number }[] = [];
  const rising = losses.filter((loss) => loss.why === "journal-damaged").sort((one, other) => one.fromSeq - other.fromSeq);
  for (const { fromSeq, toSeq, count } of rising) {
    const last = damages.at(-1);
    if (last === undefined || fromSeq > last.to) damages.push({ from: fromSeq, to: toSeq, count });
    else {
      last.to = Math.max(last.to, toSeq);
      last.count += count;
    }
  }
  return damages;
}

function withinSpan(spans: readonly NumberSpan[], { from, to }: NumberSpan): NumberSpan[] {
  return spans
    .filter((span) => span.from <= to && span.to >= from)
    .map((span) => ({ from: Math.max(span.from, from), to: Math.min(span.to, to) }));
}

/** Owes a loss that was found beside those on record. One of the same range that is owed already becomes one with it. */
export function oweFound(kept: Pick<KeptFile, "oweLoss" | "owedLosses">, loss: LostRange): void {
  const { fromSeq, toSeq, why, what, reader } = loss;
  const owed = kept
    .owedLosses()
    .find(
      (other) =>
        other.fromSeq === fromSeq && other.toSeq === toSeq && other.why === why && other.what === what && other.reader === reader,
    );
  kept.oweLoss({ ...loss, count: loss.count + (owed?.count ?? 0) });
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

/**
 * Kept records that are missing among the numbers of a segment, found by counting: one loss a segment, as wide as it. What is on record explains
 * as many numbers as it says, and of a range that reaches beyond the segment no more than lie in both.
 */
export function findMissingWithin(
  kept: MissingNumbersSource,
  segments: { readonly sealed: readonly SegmentEntry[]; readonly active: { readonly entry: SegmentEntry } | null },
): LostRange[] {
  const entries = segments.active === null ? segments.sealed : [...segments.sealed, segments.active.entry];
  const losses = kept.knownLosses();
  const leftOut = kept.leftOut();
  return entries.flatMap(({ firstSeq, lastSeq, recordCount }): LostRange[] => {
    const span = { from: firstSeq, to: lastSeq };
    const there = recordCount + kept.seqsBetween(firstSeq, lastSeq).length;
    const told = losses.reduce((sum, loss) => {
      const both = countNumbers(withinSpan([{ from: loss.fromSeq, to: loss.toSeq }], span));
      return sum + Math.min(both, loss.count);
    }, 0);
    const count = countNumbers(withoutSpans([span], leftOut)) - there - told;
    return count > 0 ? [damageIn([span], count)] : [];
  });
}
