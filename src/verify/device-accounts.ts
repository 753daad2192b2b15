import { createCounts, type DeviceCounts, type GrowingCounts } from "../core/device-counts.ts";
import type { Observation } from "../core/observation.ts";
import type { DeliveryState } from "./reader-account.ts";
import type { CountedDevice } from "./tally-check.ts";

/** What came from one device and where it is. */
export interface DeviceAccount {
  readonly deviceId: string;
  /** By the gateway's own count, where tallies cover it. */
  readonly received: DeviceCounts;
  /** Observations on disk: all, and those that tallies cover. */
  readonly kept: number;
  readonly keptCounted: number;
  /** Observations that were counted and are gone, by rule; where several rules took from one minute, their names together. */
  readonly lost: Readonly<Record<string, number>>;
  /** On disk under a number that was there already, or behind a higher one; not counted in `kept`. */
  readonly duplicated: number;
  /** Measured before one that came earlier, of the same quantity. */
  readonly outOfOrder: number;
  /** Marked as late by the gateway: measured well before it came. */
  readonly late: number;
  /** What became of its observations, for each reader. */
  readonly readers: Readonly<Record<string, Readonly<Record<DeliveryState, number>>>>;
}

interface OpenAccount {
  readonly received: GrowingCounts;
  kept: number;
  keptCounted: number;
  readonly lost: Record<string, number>;
  duplicated: number;
  outOfOrder: number;
  late: number;
  readonly readers: Record<string, Record<DeliveryState, number>>;
  readonly newestMs: Map<string, number>;
}

/** An account for each device. */
export class DeviceAccounts {
  readonly #accounts = new Map<string, OpenAccount>();

  #of(deviceId: string): OpenAccount {
    const known = this.#accounts.get(deviceId);
    if (known !== undefined) return known;
    const empty = {
      received: createCounts(),
      kept: 0,
      keptCounted: 0,
      lost: {},
      duplicated: 0,
      outOfOrder: 0,
      late: 0,
      readers: {},
      newestMs: new Map(),
    };
    this.#accounts.set(deviceId, empty);
    return empty;
  }

  /** Takes what the gateway counted of one device. */
  counted({ tally, keptCount, lostBy }: CountedDevice): void {
    const account = this.#of(tally.deviceId);
    const { received } = account;
    received.bytes += tally.bytes;
    received.messages += tally.messages;
    received.readings += tally.readings;
    received.repeats += tally.repeats;
    received.observations += tally.observations;
    received.waves += tally.waves;
    for (const [kind, count] of Object.entries(tally.refusals)) received.refusals[kind] = (received.refusals[kind] ?? 0) + count;
    account.keptCounted += keptCount;
    const lostCount = tally.observations - keptCount;
    if (lostCount > 0) account.lost[lostBy ?? "unexplained"] = (account.lost[lostBy ?? "unexplained"] ?? 0) + lostCount;
  }

  /** Takes an observation that is on disk, with what became of it for each reader. */
  take(observation: Observation, states: ReadonlyMap<string, DeliveryState>, inWindow: boolean): void {
    const account = this.#of(observation.deviceId);
    const { measuredAtMs } = observation.times;
    const newestMs = account.newestMs.get(observation.quantity) ?? Number.NEGATIVE_INFINITY;
    account.newestMs.set(observation.quantity, Math.max(newestMs, measuredAtMs));
    if (!inWindow) return;
    account.kept += 1;
    if (measuredAtMs < newestMs) account.outOfOrder += 1;
    if (observation.quality.flags.includes("late")) account.late += 1;
    for (const [reader, state] of states) {
      const counts = account.readers[reader] ?? { delivered: 0, waiting: 0, refused: 0, gone: 0 };
      counts[state] += 1;
      account.readers[reader] = counts;
    }
  }

  /** Takes an observation whose number is not its own. */
  takeDuplicate(observation: Observation): void {
    this.#of(observation.deviceId).duplicated += 1;
  }

  list(): readonly DeviceAccount[] {
    return [...this.#accounts]
      .sort(([one], [other]) => (one < other ? -1 : 1))
      .map(([deviceId, { newestMs: _, ...account }]) => ({ deviceId, ...account }))
      .filter((account) => account.kept > 0 || account.received.bytes > 0 || account.received.observations > 0);
  }
}
