/** A closed range of sequence numbers. */
export interface NumberRange {
  readonly fromSeq: number;
  readonly toSeq: number;
}

/** The time that is asked for, by the board's wall clock: from `fromMs` to just before `toMs`. */
export interface TimeWindow {
  readonly fromMs: number;
  readonly toMs: number;
  /** True where no time was named. */
  readonly isWhole: boolean;
}

/** All time. */
export const ALL_TIME: TimeWindow = { fromMs: Number.NEGATIVE_INFINITY, toMs: Number.POSITIVE_INFINITY, isWhole: true };

/** Whether a time is asked for. */
export function isInWindow(window: TimeWindow, atMs: number): boolean {
  return atMs >= window.fromMs && atMs < window.toMs;
}
