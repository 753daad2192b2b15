import { type Fault, fault } from "../core/errors.ts";
import { LIMITS } from "../core/limits.ts";
import type { DecodeError } from "../core/ports.ts";
import type { MonotonicMs } from "../core/time.ts";

/** Refusals are looked at over this long. */
const WINDOW_MS = 10_000;
/** So many refusals in the window, and more than messages, are trouble: wrong baud rate, parity or driver, a bad cable. */
const REFUSALS_MIN = 5;

/** Tells a device whose bytes cannot be read from one that loses a frame now and then. */
export interface RefusalMeter {
  /** What came of one chunk; returns the fault that holds now, or null, and the refusals that are worth a record of their own. */
  readonly count: (at: { readonly nowMs: MonotonicMs; readonly refusals: readonly DecodeError[]; readonly heard: boolean }) => {
    readonly fault: Fault | null;
    readonly recorded: readonly DecodeError[];
  };
}

/** Makes a meter for one device. It keeps two windows of counters, no list. */
export function createRefusalMeter(facts: { readonly device: string; readonly driver: string }): RefusalMeter {
  let windowBeganMs: number | null = null;
  let current = { refusals: 0, messages: 0 };
  let last: Fault | null = null;
  let secondBeganMs: number | null = null;
  let recordedCount = 0;
  return {
    count: ({ nowMs, refusals, heard }) => {
      windowBeganMs ??= nowMs;
      if (nowMs - windowBeganMs >= WINDOW_MS) {
        // A whole calm window ends the fault; a single good message does not.
        if (!isTrouble(current)) last = null;
        windowBeganMs = nowMs;
        current = { refusals: 0, messages: 0 };
      }
      current.refusals += refusals.length;
      if (heard) current.messages += 1;
      const kind = refusals.at(-1)?.kind;
      if (kind !== undefined && isTrouble(current) && last === null)
        last = fault("device-refused", { ...facts, kind, refused: current.refusals });
      secondBeganMs ??= nowMs;
      if (nowMs - secondBeganMs >= 1000) {
        secondBeganMs = nowMs;
        recordedCount = 0;
      }
      const recorded = refusals.slice(0, LIMITS.refusalsPerSecondMax.value - recordedCount);
      recordedCount += recorded.length;
      return { fault: last, recorded };
    },
  };
}

function isTrouble(window: { readonly refusals: number; readonly messages: number }): boolean {
  return window.refusals >= REFUSALS_MIN && window.refusals > window.messages;
}
