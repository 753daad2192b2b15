/** Milliseconds since 1970-01-01T00:00Z by the board's own clock, which a person or NTP may move. */
export type WallMs = number & { readonly __wall: "ms" };

/** Milliseconds of a clock that never jumps and starts anywhere; every timeout and silence uses it. */
export type MonotonicMs = number & { readonly __monotonic: "ms" };

/** Names a number as wall-clock milliseconds; only for borders (clocks, stored records, tests). */
export function wallMs(milliseconds: number): WallMs {
  return milliseconds as WallMs;
}

/** Names a number as monotonic milliseconds; only for borders (clocks, tests). */
export function monotonicMs(milliseconds: number): MonotonicMs {
  return milliseconds as MonotonicMs;
}

/**
 * How far the wall clock may be believed: `untrusted` where the board started without a time (1970), or with one that lies before what
 * the journal already holds, and nobody has set it since.
 */
export type ClockTrust = "trusted" | "untrusted";

/** No gateway of this version ran before this day: a wall clock that says so is wrong. Moved on with each release. */
export const RELEASED_AT_MS: WallMs = wallMs(Date.UTC(2026, 0, 1));

/** No gateway of this version runs twenty years later: what says so is a clock chip that lost its power. */
export const FAR_AHEAD_MS: WallMs = wallMs(RELEASED_AT_MS + 20 * 365.25 * 24 * 3_600_000);

/** A running timer; `stop` may be called any number of times. */
export interface Timer {
  readonly stop: () => void;
}

/** The only source of time in the gateway; the real one is `src/clock.ts`, tests bring their own. */
export interface Clock {
  readonly wall: () => WallMs;
  readonly monotonic: () => MonotonicMs;
  /** Calls `work` every `periodMs` until stopped. */
  readonly every: (periodMs: number, work: () => void) => Timer;
  /** Calls `work` once after `delayMs`. */
  readonly after: (delayMs: number, work: () => void) => Timer;
  /** Resolves after `delayMs`, or at once when `stop` is aborted; never rejects. */
  readonly sleep: (delayMs: number, stop?: AbortSignal) => Promise<void>;
}
