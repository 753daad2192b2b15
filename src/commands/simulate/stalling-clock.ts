import type { Clock, Timer } from "../../core/time.ts";

/** A clock whose timers can be held up, as those of a process that stands still. */
export interface StallingClock extends Clock {
  /** Nothing is done from now on for so long; what fell due meanwhile is done then, each timer once. */
  readonly standStill: (forMs: number) => void;
  readonly stillForMs: () => number;
}

/** Makes such a clock upon another, whose time goes on. */
export function createStallingClock(clock: Clock): StallingClock {
  let stillUntilMs = Number.NEGATIVE_INFINITY;
  const stillForMs = () => Math.max(0, stillUntilMs - clock.monotonic());
  /** Does the work now, or when the process goes on again. */
  const later = (work: () => void): Timer => {
    const waitMs = stillForMs();
    if (waitMs > 0) return clock.after(waitMs, work);
    work();
    return { stop: () => {} };
  };
  return {
    wall: clock.wall,
    monotonic: clock.monotonic,
    every: (periodMs, work) => {
      let waiting: Timer | null = null;
      const timer = clock.every(periodMs, () => {
        if (waiting !== null) return;
        if (stillForMs() === 0) return work();
        waiting = later(() => {
          waiting = null;
          work();
        });
      });
      return {
        stop: () => {
          timer.stop();
          waiting?.stop();
        },
      };
    },
    after: (delayMs, work) => {
      let handle = clock.after(delayMs, () => {
        handle = later(work);
      });
      return { stop: () => handle.stop() };
    },
    sleep: async (delayMs, stop) => {
      await clock.sleep(delayMs, stop);
      const leftMs = stillForMs();
      if (leftMs > 0) await clock.sleep(leftMs, stop);
    },
    standStill: (forMs) => {
      stillUntilMs = clock.monotonic() + forMs;
    },
    stillForMs,
  };
}
