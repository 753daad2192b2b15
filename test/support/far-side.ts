import type { SimulatedClock } from "../../simulator/world/simulated-clock.ts";
import type { Alert } from "../../src/core/alert.ts";
import { fault } from "../../src/core/errors.ts";
import type { Delivery, Sink } from "../../src/core/ports.ts";
import type { Loss } from "../../src/core/record.ts";
import { isKept, type RecordLedger } from "./record-ledger.ts";

/** The simulated way to the far side: one line on which deliveries wait for each other, as on a TCP connection. */
export interface FarSideOptions {
  readonly clock: SimulatedClock;
  readonly ledger: RecordLedger;
  /** How many records the line carries in a second of simulated time. */
  readonly recordsPerSecond: number;
  /** From the last byte sent to the confirmation. */
  readonly latencyMs: number;
  /** 0 to 1; decides whether a delivery that was under way when the line broke had arrived. */
  readonly random: () => number;
  /** Each first arrival of an alert, for the receiver's receipts. */
  readonly onAlert?: (alert: Alert, key: string) => void;
  /** Each arrival, and whether it was the first of its key, for a record file. */
  readonly onArrival?: (delivery: Delivery, isFirst: boolean) => void;
}

/** What the far side saw beside the ledger's counts. */
export interface FarSideFigures {
  /** A lane's records that came in falling order within one connection. */
  readonly outOfOrder: number;
  /** Records made while the line was down that came for the first time without the mark. */
  readonly wronglyUnmarked: number;
  readonly losses: readonly Loss[];
}

/** The simulated far side. */
export interface FarSide {
  readonly sink: Sink;
  /** Breaks the line, or lets it be made again. */
  readonly setAway: (away: boolean) => void;
  /** Notes when an alert was made, for its latency. */
  readonly alertMade: (alert: Alert) => void;
  /** Latencies from the alert's making to its confirmation, of alerts made while the line stood, since the last call; then begins anew. */
  readonly takeLatencies: () => {
    readonly count: number;
    readonly p50Ms: number;
    readonly p99Ms: number;
    readonly maxMs: number;
  };
  readonly figures: () => FarSideFigures;
}

const LATENCY_MS_MAX = 60_000;

/** Opens a far side that is there. */
export function openFarSide(options: FarSideOptions): FarSide {
  const { clock, ledger } = options;
  const lanes = new Map<string, number>();
  const madeAtMs = new Map<number, number>();
  const losses: Loss[] = [];
  let latencies = new Uint32Array(LATENCY_MS_MAX + 1);
  let counts = { outOfOrder: 0, wronglyUnmarked: 0 };
  let away = false;
  let connection = 0;
  let busyUntilMs = 0;
  let backlogUpToMs = Number.NEGATIVE_INFINITY;

  const noteOrder = (delivery: Delivery) => {
    const lane = `${delivery.resent}/${isKept(delivery.record)}`;
    // An alert has a lane of its own and passes what lies in the journal; what comes in order is the rest.
    if (delivery.record.kind === "alert") return;
    if (delivery.record.seq < (lanes.get(lane) ?? 0)) counts = { ...counts, outOfOrder: counts.outOfOrder + 1 };
    lanes.set(lane, delivery.record.seq);
  };

  const noteMark = ({ record, resent }: Delivery) => {
    if (!resent && record.kind === "observation" && record.times.receivedMonotonicMs < backlogUpToMs)
      counts = { ...counts, wronglyUnmarked: counts.wronglyUnmarked + 1 };
  };

  const noteAlert = (alert: Alert, key: string) => {
    const made = madeAtMs.get(alert.seq);
    if (made !== undefined) {
      const ms = Math.min(LATENCY_MS_MAX, Math.round(clock.monotonic() - made));
      latencies[ms] = (latencies[ms] ?? 0) + 1;
      madeAtMs.delete(alert.seq);
    }
    options.onAlert?.(alert, key);
  };

  const arrive = (batch: readonly Delivery[]) => {
    for (const delivery of batch) {
      noteOrder(delivery);
      const isFirst = ledger.arrived(delivery);
      options.onArrival?.(delivery, isFirst);
      if (!isFirst) continue;
      noteMark(delivery);
      if (delivery.record.kind === "loss") losses.push(delivery.record);
      if (delivery.record.kind === "alert") noteAlert(delivery.record, delivery.key);
    }
  };

  const deliver: Sink["deliver"] = async (batch, stop) => {
    const ofConnection = connection;
    const gone = () => away || connection !== ofConnection || stop.aborted;
    const unreachable = { kind: "try-later", fault: fault("upstream-unreachable", { reason: "away" }) } as const;
    if (gone()) return unreachable;
    if (batch.length === 0) return { kind: "delivered" };
    const nowMs = clock.monotonic();
    busyUntilMs = Math.max(nowMs, busyUntilMs) + (batch.length * 1000) / options.recordsPerSecond;
    await clock.sleep(busyUntilMs + options.latencyMs - nowMs, stop);
    if (!gone()) {
      arrive(batch);
      return { kind: "delivered" };
    }
    // What was under way may have arrived though nobody could say so.
    if (options.random() < 0.5) arrive(batch);
    return unreachable;
  };

  return {
    sink: { name: "simulated", deliver, close: async () => {} },
    setAway: (next) => {
      if (next === away) return;
      away = next;
      connection += 1;
      busyUntilMs = clock.monotonic();
      lanes.clear();
      madeAtMs.clear();
      if (!away) backlogUpToMs = clock.monotonic();
    },
    alertMade: (alert) => {
      if (!away) madeAtMs.set(alert.seq, clock.monotonic());
    },
    takeLatencies: () => {
      const taken = latencies;
      latencies = new Uint32Array(LATENCY_MS_MAX + 1);
      return summaryOf(taken);
    },
    figures: () => ({ ...counts, losses }),
  };
}

function summaryOf(histogram: Uint32Array) {
  const count = histogram.reduce((sum, each) => sum + each, 0);
  const at = (share: number) => {
    const wanted = Math.max(1, Math.ceil(count * share));
    let seen = 0;
    return histogram.findIndex((each) => {
      seen += each;
      return seen >= wanted;
    });
  };
  return { count, p50Ms: at(0.5), p99Ms: at(0.99), maxMs: at(1) };
}
