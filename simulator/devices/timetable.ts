import type { Clock, Timer } from "../../src/core/time.ts";

/** Due times are rounded up to this grid, so that many devices share a wake-up. */
const GRID_MS = 5;

/** When many things are to be done, kept by one timer of the clock. */
export interface Timetable {
  /** Calls `work` once, at a time of the monotonic clock or up to 5 ms later. */
  readonly at: (dueMonotonicMs: number, work: () => void) => Timer;
  /** Forgets everything that is still to be done. */
  readonly stop: () => void;
}

/** Makes a timetable. Work due at the same time is done in the order in which it was asked for. */
export function createTimetable(clock: Clock): Timetable {
  const entries = new Map<object, { readonly dueMs: number; readonly work: () => void }>();
  let timer: { readonly handle: Timer; readonly dueMs: number } | null = null;

  const wakeAt = (dueMs: number) => {
    timer?.handle.stop();
    timer = { handle: clock.after(Math.max(0, Math.ceil(dueMs - clock.monotonic())), run), dueMs };
  };
  const run = () => {
    timer = null;
    const untilMs = clock.monotonic();
    const due: [object, () => void][] = [];
    for (const [key, entry] of entries) if (entry.dueMs <= untilMs) due.push([key, entry.work]);
    for (const [key, work] of due) {
      // Work done before it may have stopped it.
      if (entries.delete(key)) work();
    }
    let nextMs = Number.POSITIVE_INFINITY;
    for (const entry of entries.values()) nextMs = Math.min(nextMs, entry.dueMs);
    if (nextMs < Number.POSITIVE_INFINITY && (timer === null || nextMs < earliestOf(timer))) wakeAt(nextMs);
  };
  return {
    at: (dueMonotonicMs, work) => {
      const key = {};
      const dueMs = Math.ceil(dueMonotonicMs / GRID_MS) * GRID_MS;
      entries.set(key, { dueMs, work });
      if (timer === null || dueMs < earliestOf(timer)) wakeAt(dueMs);
      return { stop: () => void entries.delete(key) };
    },
    stop: () => {
      entries.clear();
      timer?.handle.stop();
      timer = null;
    },
  };
}

function earliestOf(timer: { readonly dueMs: number }): number {
  return timer.dueMs;
}
