import type { Fault } from "../core/errors.ts";
import type { Result } from "../core/result.ts";
import type { Clock } from "../core/time.ts";

/** Wait before something that could not start is tried again. */
const RETRY_MS = 10_000;

/** Something beside the watching that may fail to start, such as a server whose port is taken. */
export interface RetriedStart<Running> {
  /** Null while it does not run. */
  readonly running: () => Running | null;
  /** Ends the trying, and what runs. */
  readonly close: () => Promise<void>;
}

/** Starts something, and tries again for as long as it fails; everything else goes on meanwhile. */
export function startWithRetries<Running extends { readonly close: () => Promise<void> }>(parts: {
  readonly clock: Clock;
  readonly start: () => Promise<Result<Running, Fault>>;
  /** Called after each try; null: it runs. */
  readonly tell: (reason: Fault | null) => void;
  /** Called once, when it runs. */
  readonly onRunning?: (running: Running) => void;
}): RetriedStart<Running> {
  const stop = new AbortController();
  let running: Running | null = null;
  const tryOften = async () => {
    while (!stop.signal.aborted) {
      const started = await parts.start();
      parts.tell(started.ok ? null : started.error);
      if (started.ok) {
        running = started.value;
        parts.onRunning?.(running);
        return;
      }
      await parts.clock.sleep(RETRY_MS, stop.signal);
    }
  };
  const trying = tryOften();
  return {
    running: () => running,
    close: async () => {
      stop.abort();
      await trying;
      await running?.close();
    },
  };
}
