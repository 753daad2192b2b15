import { type Clock, monotonicMs, type Timer, wallMs } from "../../src/core/time.ts";

/** A clock that moves only when told. Wall time may be stepped apart from monotonic time, as NTP does. */
export interface SimulatedClock extends Clock {
  /** Moves both clocks on and runs every timer that falls due, in order of time; awaits promises between timers. */
  readonly advance: (milliseconds: number) => Promise<void>;
  /** Moves the wall clock only, forwards or backwards. */
  readonly stepWall: (milliseconds: number) => void;
  /** From now on the wall clock goes faster (or slower, negative) than the monotonic one, by so many parts in a million. */
  readonly driftWall: (partsPerMillion: number) => void;
  /** The board sleeps: wall time and the board's run go on, the monotonic clock does not. */
  readonly suspend: (milliseconds: number) => void;
  /** The process begins anew: the monotonic clock starts again where it always starts. */
  readonly restartMonotonic: () => void;
  /** How long the board has run, sleep included; what `CLOCK_BOOTTIME` says. */
  readonly runMs: () => number;
  /** The true time, in ms since 1970: the wall clock of the beginning, never stepped and never drifting. */
  readonly trueMs: () => number;
}

interface Entries {
  readonly entries: Set<Entry>;
  readonly add: (entry: Entry) => Timer;
  /** The entry that falls due first, and among several the one that was added first. */
  readonly earliestUpTo: (targetMs: number) => Entry | null;
}

interface Entry {
  readonly work: () => void;
  readonly periodMs: number | null;
  dueMs: number;
}

const START_MS = 1_000_000;

/**
 * Starts at 2026-01-01T00:00Z on the wall and at 1,000,000 ms on the monotonic side, so that mixing them up shows.
 *
 * @param options.wallAtStartMs  Another time of the wall to start at.
 * @param options.grainMs        What is to be done every so often is done no more often than this, as on a board that sleeps between: so weeks
 *                               pass in seconds, and nothing is noticed sooner than within this time. 0 where it is not said.
 */
export function createSimulatedClock(
  options: { readonly wallAtStartMs?: number; readonly grainMs?: number } = {},
): SimulatedClock {
  const { wallAtStartMs = Date.UTC(2026, 0, 1), grainMs = 0 } = options;
  let nowMs = START_MS;
  let wallOffsetMs = wallAtStartMs - nowMs;
  let monotonicBaseMs = 0;
  let sleptMs = 0;
  let drift = 0;
  let driftSinceMs = nowMs;
  const wallNow = () => nowMs + wallOffsetMs + (nowMs - driftSinceMs) * drift;
  const timers = createEntries();
  const { entries, add, earliestUpTo } = timers;
  return {
    wall: () => wallMs(Math.round(wallNow())),
    monotonic: () => monotonicMs(nowMs - monotonicBaseMs),
    every: (askedMs, work) => {
      const periodMs = Math.max(askedMs, grainMs);
      return add({ work, periodMs, dueMs: nowMs + periodMs });
    },
    after: (delayMs, work) => add({ work, periodMs: null, dueMs: nowMs + delayMs }),
    sleep: (delayMs, stop) => sleepUntil(timers, { dueMs: nowMs + delayMs, stop }),
    advance: async (milliseconds) => {
      const targetMs = nowMs + milliseconds;
      await settle();
      for (;;) {
        const next = earliestUpTo(targetMs);
        if (next === null) break;
        nowMs = Math.max(nowMs, next.dueMs);
        if (next.periodMs === null) entries.delete(next);
        else next.dueMs += next.periodMs;
        next.work();
        await settle();
      }
      nowMs = targetMs;
      await settle();
    },
    stepWall: (milliseconds) => {
      wallOffsetMs += milliseconds;
    },
    driftWall: (partsPerMillion) => {
      wallOffsetMs = wallNow() - nowMs;
      driftSinceMs = nowMs;
      drift = partsPerMillion * 1e-6;
    },
    suspend: (milliseconds) => {
      wallOffsetMs += milliseconds;
      sleptMs += milliseconds;
    },
    restartMonotonic: () => {
      monotonicBaseMs = nowMs - START_MS;
    },
    runMs: () => nowMs + sleptMs,
    trueMs: () => wallAtStartMs - START_MS + nowMs + sleptMs,
  };
}

function createEntries(): Entries {
  const entries = new Set<Entry>();
  return {
    entries,
    add: (entry) => {
      entries.add(entry);
      return { stop: () => void entries.delete(entry) };
    },
    earliestUpTo: (targetMs) => {
      let earliest: Entry | null = null;
      for (const entry of entries)
        if (entry.dueMs <= targetMs && (earliest === null || entry.dueMs < earliest.dueMs)) earliest = entry;
      return earliest;
    },
  };
}

/** Lets everything that waits for a promise go on. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 10; turn++) await Promise.resolve();
}

/** Waits, or until it is asked to stop. */
function sleepUntil(
  { add }: Entries,
  { dueMs, stop }: { readonly dueMs: number; readonly stop: AbortSignal | undefined },
): Promise<void> {
  return new Promise((resolve) => {
    if (stop?.aborted === true) return resolve();
    const finish = () => {
      timer.stop();
      stop?.removeEventListener("abort", finish);
      resolve();
    };
    const timer = add({ work: finish, periodMs: null, dueMs });
    stop?.addEventListener("abort", finish);
  });
}
