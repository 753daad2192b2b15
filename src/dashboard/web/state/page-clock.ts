import { type Clock, monotonicMs, wallMs } from "../../../core/time.ts";

/** The browser's clock; the one place of the pages that asks for time or sets a timer. */
export function createPageClock(): Clock {
  return {
    wall: () => wallMs(Date.now()),
    monotonic: () => monotonicMs(performance.now()),
    every: (periodMs, work) => {
      const handle = setInterval(work, periodMs);
      return { stop: () => clearInterval(handle) };
    },
    after: (delayMs, work) => {
      const handle = setTimeout(work, delayMs);
      return { stop: () => clearTimeout(handle) };
    },
    sleep: (delayMs, stop) =>
      new Promise((resolve) => {
        if (stop?.aborted === true) return resolve();
        const finish = () => {
          clearTimeout(handle);
          stop?.removeEventListener("abort", finish);
          resolve();
        };
        const handle = setTimeout(finish, delayMs);
        stop?.addEventListener("abort", finish);
      }),
  };
}
