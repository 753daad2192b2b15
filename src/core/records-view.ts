import type { Act, Deed } from "./act.ts";
import type { WallMs } from "./time.ts";

/** Which acts are asked for. */
export interface ActQuery {
  /** From when to just before when, by the times the acts bear; null: no bound. */
  readonly fromMs: WallMs | null;
  readonly toMs: WallMs | null;
  /** Only of this person or program; null: of everybody. */
  readonly by: string | null;
  /** Only of this kind; null: of all. */
  readonly kind: Deed["kind"] | null;
  /** Only acts with a lower number; null: from the newest on. */
  readonly beforeSeq: number | null;
}

/** Where the chain of acts does not hold first. Source of the reasons: `src/verify/act-chain.ts`. */
export interface ChainBreakView {
  readonly seq: number;
  readonly atMs: number | null;
  readonly why: string;
  /** The number of the last act before it that was read, or null. */
  readonly afterSeq: number | null;
}

/** What the check of the chain of acts came to. */
export interface ChainView {
  /** False while the first check since the start is on its way. */
  readonly complete: boolean;
  /** How many acts were checked, and the number of the last of them; acts of before there was a chain are counted apart. */
  readonly checkedActs: number;
  readonly olderActs: number;
  readonly lastSeq: number | null;
  /** When the last of them was checked, by the wall clock. */
  readonly atMs: WallMs;
  readonly breakCount: number;
  readonly firstBreak: ChainBreakView | null;
}

/** Acts, newest first. */
export interface ActsView {
  readonly acts: readonly Act[];
  /** How many fit the question in all; those with higher numbers than asked for count too. */
  readonly count: number;
  /** Ask for lower numbers than this to get more; null: these are all. */
  readonly nextBeforeSeq: number | null;
  /** Everybody who ever acted, and what kinds of acts there are, for choosing from. */
  readonly people: readonly string[];
  readonly kinds: readonly Deed["kind"][];
  readonly chain: ChainView;
}
