import { PRIORITY_RANK, type Priority } from "../core/alert.ts";
import { isOutside, type LimitSideName } from "../core/limit-levels.ts";
import type { LimitLevel, QuantityLimits } from "./default-limits.ts";

/** Either side of a limit. */
export type Side = LimitSideName;

/** After this long without a value, a delay that had begun begins anew. */
const GAP_MS_MAX = 60_000;

/** How one level of one side stands, for one device; times are monotonic. */
interface LevelState {
  readonly level: LimitLevel;
  /** When the values went outside, or null. */
  outsideSinceMs: number | null;
  /** Since when they are inside again, or null. */
  insideSinceMs: number | null;
  active: boolean;
}

/** One side of a quantity's limits as one device sees it. */
export interface LimitTracker {
  readonly side: Side;
  readonly limits: QuantityLimits;
  readonly states: readonly LevelState[];
  lastAtMs: number | null;
  /** True from an absence to the next value. */
  absent: boolean;
  /** False while all that is known comes from before a restart: then nothing is raised or ended. */
  live: boolean;
}

/** What holds by one tracker. */
export interface ActiveLevel {
  readonly level: LimitLevel;
  readonly sinceMs: number;
}

/** Makes a tracker; `activePriority` takes over a condition that already holds. */
export function createLimitTracker(side: Side, limits: QuantityLimits, activePriority: Priority | null = null): LimitTracker {
  const rank = activePriority === null ? 0 : PRIORITY_RANK[activePriority];
  const states = limits[side].map((level) => ({
    level,
    outsideSinceMs: null,
    insideSinceMs: null,
    active: PRIORITY_RANK[level.priority] <= rank,
  }));
  return { side, limits, states, lastAtMs: null, absent: false, live: false };
}

function isWellInside(side: Side, limit: number, value: number, hysteresis: number): boolean {
  // The billionth undoes binary fractions: 35 + 0.2 against 35.2.
  return side === "low" ? value >= limit + hysteresis - 1e-9 : value <= limit - hysteresis + 1e-9;
}

/**
 * Takes the next value of the device. A level becomes active when the values were outside for `onsetSeconds` and their median over that
 * time is outside too: a stray good value does not begin the delay anew (only a third of it inside does), and stray bad ones do not
 * add up. It ends when they were inside by the hysteresis for `clearSeconds`.
 *
 * @param atMs      When it was measured, monotonic; not older than the value before.
 * @param live      False for a value from before a restart: it moves delays but raises and ends nothing.
 * @param medianOf  Median of this device's values after a time.
 */
export function stepLimit(
  tracker: LimitTracker,
  given: {
    readonly value: number;
    readonly atMs: number;
    readonly live: boolean;
    readonly medianOf: (afterMs: number) => number | null;
  },
): void {
  const { side, limits } = tracker;
  const { value, atMs } = given;
  const onsetMs = limits.onsetSeconds * 1000;
  const afterGap = tracker.lastAtMs !== null && atMs - tracker.lastAtMs > GAP_MS_MAX;
  tracker.lastAtMs = atMs;
  tracker.absent = false;
  tracker.live ||= given.live;
  for (const state of tracker.states) {
    const limit = state.level.value;
    if (!state.active && afterGap) state.outsideSinceMs = null;
    if (isOutside(side, limit, value)) {
      state.insideSinceMs = null;
      state.outsideSinceMs ??= atMs;
      if (state.active || !given.live || atMs - state.outsideSinceMs < onsetMs) continue;
      const median = onsetMs === 0 ? value : given.medianOf(atMs - onsetMs);
      if (median !== null && isOutside(side, limit, median)) state.active = true;
      continue;
    }
    if (state.active && !isWellInside(side, limit, value, limits.hysteresis)) {
      state.insideSinceMs = null;
      continue;
    }
    state.insideSinceMs ??= atMs;
    const insideMs = atMs - state.insideSinceMs;
    if (!state.active && insideMs >= onsetMs / 3) state.outsideSinceMs = null;
    if (state.active && given.live && insideMs >= limits.clearSeconds * 1000) {
      state.active = false;
      state.outsideSinceMs = null;
    }
  }
}

/**
 * Lets time pass without a value: a delay that ends between two values ends then, while the last value is outside and young enough.
 * A probe that falls off often says one low value first; after an absence the values must have been outside for half of the delay.
 */
export function passLimit(
  tracker: LimitTracker,
  given: { readonly nowMs: number; readonly ageMsMax: number; readonly medianOf: (afterMs: number) => number | null },
): void {
  const { lastAtMs, side, limits } = tracker;
  if (!tracker.live || lastAtMs === null || given.nowMs - lastAtMs > given.ageMsMax) return;
  const onsetMs = limits.onsetSeconds * 1000;
  for (const state of tracker.states) {
    if (state.active || state.outsideSinceMs === null || state.insideSinceMs !== null) continue;
    if (given.nowMs - state.outsideSinceMs < onsetMs) continue;
    if (tracker.absent && lastAtMs - state.outsideSinceMs < onsetMs / 2) continue;
    const median = given.medianOf(given.nowMs - onsetMs);
    if (median === null || isOutside(side, state.level.value, median)) state.active = true;
  }
}

/** The most urgent level that is active, or null. */
export function activeLevel(tracker: LimitTracker): ActiveLevel | null {
  let found: ActiveLevel | null = null;
  for (const { active, level, outsideSinceMs } of tracker.states) {
    if (!active || (found !== null && PRIORITY_RANK[level.priority] <= PRIORITY_RANK[found.level.priority])) continue;
    found = { level, sinceMs: outsideSinceMs ?? tracker.lastAtMs ?? 0 };
  }
  return found;
}
