import { seq } from "../core/ids.ts";
import type { Journal, ReaderCursor } from "../core/ports.ts";
import type { Clock } from "../core/time.ts";
import { type ReaderLosses, readLeftOut } from "./reader-losses.ts";
import type { SeqRange } from "./seq-ranges.ts";
import { untilAnswered } from "./stoppable-answer.ts";

/** Where a reader begins, and the numbers that no record has. */
export type ReaderStart =
  | { readonly kind: "goes-on"; readonly cursor: ReaderCursor; readonly leftOut: readonly SeqRange[] }
  /** `old` is a cursor of another epoch; null where the journal does not know the reader. */
  | { readonly kind: "begins-anew"; readonly old: ReaderCursor | null; readonly leftOut: readonly SeqRange[] };

/**
 * Finds out from the journal where a reader stands, and takes in what it knows of the reader's losses. Asks until it answers; null where
 * `stop` came before.
 */
export async function readStart(of: {
  readonly name: string;
  readonly journal: Journal;
  readonly losses: ReaderLosses;
  readonly clock: Clock;
  readonly stop: AbortSignal;
}): Promise<ReaderStart | null> {
  const { name, journal, losses } = of;
  const stored = await untilAnswered(
    () =>
      journal.cursor(name).then(
        (cursor) => ({ cursor }),
        () => null,
      ),
    of,
  );
  if (stored === null) return null;
  const { cursor } = stored;
  const known = cursor !== null && cursor.epoch === journal.epoch ? cursor : null;
  const firstOpen = known === null ? 1 : (known.open[0]?.from ?? known.upTo + 1);
  const leftOut = await untilAnswered(() => readLeftOut(journal, seq(firstOpen - 1)), of);
  if (leftOut === null) return null;
  losses.readAfter(seq(firstOpen - 1));
  if ((await untilAnswered(async () => (await losses.readNew()) || null, of)) === null) return null;
  return known === null ? { kind: "begins-anew", old: cursor, leftOut } : { kind: "goes-on", cursor: known, leftOut };
}
