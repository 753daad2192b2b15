import { type Clock, monotonicMs, wallMs } from "./core/time.ts";

/** The one real clock. Timers do not keep the process alive by themselves. */
export function createSystemClock(): Clock {
  return {
    wall: () => wallMs(Date.now()),
    monotonic: () => monotonicMs(performance.now()),
    every: (periodMs, work) => {
      const handle = setInterval(work, periodMs);
      handle.unref();
      return { stop: () => clearInterval(handle) };
    },
    after: (delayMs, work) => {
      const handle = setTimeout(work, delayMs);
      handle.unref();
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
