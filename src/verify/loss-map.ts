import type { FindingBook } from "./finding.ts";
import type { NumberRange, TimeWindow } from "./window.ts";

/** A range that somebody has said to be lost for everybody. */
export interface LostNumbers {
  readonly fromSeq: number;
  readonly toSeq: number;
  /** How many records went; with `journal-damaged` at most so many. */
  readonly count: number;
  readonly why: string;
}

/** Ranges that overlap, together: which of them a missing number belongs to cannot be told. */
interface LossGroup {
  readonly fromSeq: number;
  toSeq: number;
  saidCount: number;
  atMost: boolean;
  whys: readonly string[];
  missingCount: number;
  /** Whether any of it lies in the time that is asked for. */
  concerned: boolean;
}

/** A piece of missing numbers and the rule by which they went, or null where no loss covers it. */
export interface MissingPiece {
  readonly fromSeq: number;
  readonly toSeq: number;
  readonly why: string | null;
}

/** The ranges said to be lost, and how many numbers of each are really missing. */
export class LossMap {
  readonly #groups: readonly LossGroup[];

  constructor(losses: readonly LostNumbers[]) {
    this.#groups = groupsOf(losses);
  }

  /** Cuts missing numbers into pieces that a loss explains and pieces that none does, and counts the former. */
  explain({ fromSeq, toSeq, inWindow }: NumberRange & { readonly inWindow: boolean }): readonly MissingPiece[] {
    const pieces: MissingPiece[] = [];
    let next = fromSeq;
    for (let index = this.#firstEndingFrom(fromSeq); next <= toSeq; index++) {
      const group = this.#groups[index];
      if (group === undefined || group.fromSeq > toSeq) break;
      if (group.fromSeq > next) pieces.push({ fromSeq: next, toSeq: group.fromSeq - 1, why: null });
      const piece = { fromSeq: Math.max(next, group.fromSeq), toSeq: Math.min(toSeq, group.toSeq), why: group.whys.join("+") };
      group.concerned ||= inWindow;
      group.missingCount += piece.toSeq - piece.fromSeq + 1;
      pieces.push(piece);
      next = piece.toSeq + 1;
    }
    if (next <= toSeq) pieces.push({ fromSeq: next, toSeq, why: null });
    return pieces;
  }

  /** The rule by which a number may have gone, or null. */
  whyOf(number: number): string | null {
    const group = this.#groups[this.#firstEndingFrom(number)];
    return group !== undefined && group.fromSeq <= number ? group.whys.join("+") : null;
  }

  /** Tells ranges of which more, or fewer, records are gone than was said. */
  settle(book: FindingBook, window: TimeWindow): void {
    const concerned = this.#groups.filter((group) => group.concerned || window.isWhole);
    for (const { fromSeq, toSeq, saidCount, missingCount, atMost, whys } of concerned) {
      const facts = { said: saidCount, missing: missingCount, why: whys.join("+") };
      if (missingCount > saidCount) book.add({ rule: "loss-count", fromSeq, toSeq, count: missingCount - saidCount, facts });
      else if (missingCount < saidCount)
        book.add({
          rule: "loss-still-there",
          fromSeq,
          toSeq,
          count: saidCount - missingCount,
          facts: atMost ? { ...facts, said: `at most ${saidCount}` } : facts,
        });
    }
  }

  /** Index of the first group that ends at a number or after it. */
  #firstEndingFrom(number: number): number {
    let low = 0;
    let high = this.#groups.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#groups[middle]?.toSeq ?? Number.POSITIVE_INFINITY) < number) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

function groupsOf(losses: readonly LostNumbers[]): readonly LossGroup[] {
  const groups: LossGroup[] = [];
  for (const loss of [...losses].sort((one, other) => one.fromSeq - other.fromSeq)) {
    const last = groups.at(-1);
    const atMost = loss.why === "journal-damaged";
    if (last === undefined || loss.fromSeq > last.toSeq) {
      const { fromSeq, toSeq, count, why } = loss;
      groups.push({ fromSeq, toSeq, saidCount: count, atMost, whys: [why], missingCount: 0, concerned: false });
      continue;
    }
    last.toSeq = Math.max(last.toSeq, loss.toSeq);
    last.saidCount += loss.count;
    last.atMost ||= atMost;
    last.whys = [...new Set([...last.whys, loss.why])].sort();
  }
  return groups;
}
