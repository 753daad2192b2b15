import type { DeviceId, Seq } from "../core/ids.ts";
import { LIMITS } from "../core/limits.ts";
import type { Origin } from "../core/observation.ts";

/** One usable value of a quantity. */
export interface Sample {
  readonly value: number;
  /** When it was measured, on the monotonic clock, so that a stepped wall clock cannot make it young or old. */
  readonly atMs: number;
  readonly seq: Seq;
  readonly deviceId: DeviceId;
  readonly origin: Origin;
}

/** The newest usable values of one patient and quantity, oldest first: at most `windowSamplesMax`, none older than `windowMsMax` before the newest. */
export type SampleWindow = Sample[];

/** Puts a sample in its place by time; the oldest leaves at the bound. Nearly all come in order, so the search is from the end. */
export function addSample(window: SampleWindow, sample: Sample): void {
  let place = window.length;
  for (let before = window[place - 1]; before !== undefined && before.atMs > sample.atMs; before = window[place - 1]) place--;
  if (place === window.length) window.push(sample);
  else window.splice(place, 0, sample);
  const keepAfterMs = (window.at(-1)?.atMs ?? sample.atMs) - LIMITS.windowMsMax.value;
  let tooOld = Math.max(0, window.length - LIMITS.windowSamplesMax.value);
  for (let oldest = window[tooOld]; oldest !== undefined && oldest.atMs < keepAfterMs; oldest = window[tooOld]) tooOld++;
  if (tooOld === 1) window.shift();
  else if (tooOld > 1) window.splice(0, tooOld);
}

/** Middle of the values measured after `afterMs`; of an even number, half-way between the two middle ones; null of none. */
export function medianAfter(window: SampleWindow, afterMs: number, deviceId: DeviceId | null = null): number | null {
  const values = new Float64Array(window.length);
  let count = 0;
  for (let index = window.length - 1; index >= 0; index--) {
    const sample = window[index];
    if (sample === undefined || sample.atMs <= afterMs) break;
    if (deviceId === null || sample.deviceId === deviceId) values[count++] = sample.value;
  }
  const sorted = values.subarray(0, count).sort();
  const upper = sorted[count >> 1];
  const lower = sorted[(count - 1) >> 1];
  return upper === undefined || lower === undefined ? null : (upper + lower) / 2;
}
