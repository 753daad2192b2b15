import type { Alert } from "../core/alert.ts";
import { Histogram } from "../core/histogram.ts";
import type { MadeCounts, OperationsView } from "../core/operations.ts";
import type { Journal } from "../core/ports.ts";
import type { QuantityName } from "../core/quantities.ts";
import type { JournalRecord, Loss, RecordKind } from "../core/record.ts";
import type { Clock, MonotonicMs, Timer } from "../core/time.ts";

/** So often it is looked how late the main thread comes. */
const LOOK_MS = 50;
/** Upper ends of the stretches of lateness. */
const DELAY_BOUNDS_MS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000] as const;

const MICROSECONDS_PER_SECOND = 1e6;

/** Counts what the gateway makes and how its process does, for those who watch over it. */
export interface OperationsMeter {
  /** Takes records as they are handed to the journal. */
  readonly recorded: (records: readonly JournalRecord[]) => void;
  /** The alert path has just shown that it works. */
  readonly heartbeat: () => void;
  readonly view: () => OperationsView;
  readonly stop: () => void;
}

/** Begins to count. */
export function startOperationsMeter(parts: {
  readonly clock: Clock;
  readonly journal: Pick<Journal, "stats">;
}): OperationsMeter {
  const { clock, journal } = parts;
  const made = new MadeCounter();
  const startedAtMs = clock.wall() - process.uptime() * 1000;
  const lateness = startLatenessMeter(clock);
  let beatAt: MonotonicMs | null = null;
  return {
    recorded: (records) => {
      for (const record of records) made.count(record);
    },
    heartbeat: () => {
      beatAt = clock.monotonic();
    },
    view: () => {
      const { rss, heapUsed, external } = process.memoryUsage();
      const { user, system } = process.cpuUsage();
      return {
        heartbeatAgeMs: beatAt === null ? null : clock.monotonic() - beatAt,
        journal: journal.stats(),
        made: made.counts(),
        eventLoopDelay: lateness.histogram.view(),
        process: {
          nodeVersion: process.version,
          architecture: process.arch,
          startedAtMs,
          cpuSeconds: (user + system) / MICROSECONDS_PER_SECOND,
          residentBytes: rss,
          heapUsedBytes: heapUsed,
          externalBytes: external,
        },
      };
    },
    stop: () => lateness.timer.stop(),
  };
}

/** How late a timer's call comes after the one before it, less its period: the thread was busy, or the machine ran others. */
function startLatenessMeter(clock: Clock): { readonly histogram: Histogram; readonly timer: Timer } {
  const histogram = new Histogram(DELAY_BOUNDS_MS);
  let lookedAt = clock.monotonic();
  const timer = clock.every(LOOK_MS, () => {
    const now = clock.monotonic();
    histogram.add(Math.max(0, now - lookedAt - LOOK_MS));
    lookedAt = now;
  });
  return { histogram, timer };
}

/** Counters by kind, quantity and reason: as many as there are words for them, never more. */
class MadeCounter {
  readonly #records = new Map<RecordKind, number>();
  readonly #observations = new Map<QuantityName, number>();
  readonly #alerts = new Map<string, Pick<Alert, "nature" | "priority"> & { count: number }>();
  readonly #lost = new Map<string, Pick<Loss, "why" | "what"> & { count: number }>();

  count(record: JournalRecord): void {
    this.#records.set(record.kind, (this.#records.get(record.kind) ?? 0) + 1);
    if (record.kind === "observation")
      this.#observations.set(record.quantity, (this.#observations.get(record.quantity) ?? 0) + 1);
    if (record.kind === "alert" && record.phase === "start") this.#countAlert(record);
    // What one reader never gets is still in the journal.
    if (record.kind === "loss" && record.reader === null) this.#countLoss(record);
  }

  counts(): MadeCounts {
    return {
      records: new Map(this.#records),
      observations: new Map(this.#observations),
      alertsBegun: [...this.#alerts.values()].map((entry) => ({ ...entry })),
      lost: [...this.#lost.values()].map((entry) => ({ ...entry })),
    };
  }

  #countAlert({ nature, priority }: Alert): void {
    const key = `${nature} ${priority}`;
    this.#alerts.set(key, { nature, priority, count: (this.#alerts.get(key)?.count ?? 0) + 1 });
  }

  #countLoss({ why, what, count }: Loss): void {
    const key = `${why} ${what}`;
    this.#lost.set(key, { why, what, count: (this.#lost.get(key)?.count ?? 0) + count });
  }
}
