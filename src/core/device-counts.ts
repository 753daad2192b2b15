import type { DeviceTally } from "./record.ts";

/** What one device's way in has counted, without the device's name. */
export type DeviceCounts = Omit<DeviceTally, "deviceId">;

/** Counts that still grow. */
export type GrowingCounts = { -readonly [Name in Exclude<keyof DeviceCounts, "refusals">]: DeviceCounts[Name] } & {
  readonly refusals: Record<string, number>;
};

/** Counts of nothing yet. */
export function createCounts(): GrowingCounts {
  return { bytes: 0, messages: 0, refusals: {}, readings: 0, repeats: 0, observations: 0, waves: 0 };
}
