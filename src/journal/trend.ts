import type { TrendPoint } from "../core/ports.ts";
import { assert } from "../core/result.ts";
import { wallMs } from "../core/time.ts";
import type { Extreme } from "./rollup.ts";

interface Interval {
  lowest: Extreme | null;
  highest: Extreme | null;
  firstAbsentAtMs: number | null;
}

/**
 * Thins a series to so many points. Where there are no more values than points, all stay. Otherwise the time is cut into
 * half as many intervals; each keeps its lowest and its highest value with their exact times, or one point without a
 * value where it has absences only.
 */
export class TrendThinner {
  readonly #fromMs: number;
  readonly #toMs: number;
  readonly #pointsMax: number;
  readonly #intervals: Interval[];
  #points: TrendPoint[] | null = [];

  constructor(range: { readonly fromMs: number; readonly toMs: number; readonly pointsMax: number }) {
    assert(range.pointsMax >= 2, "a trend has room for a lowest and a highest point");
    this.#fromMs = range.fromMs;
    this.#toMs = range.toMs;
    this.#pointsMax = range.pointsMax;
    this.#intervals = Array.from({ length: Math.floor(range.pointsMax / 2) }, () => ({
      lowest: null,
      highest: null,
      firstAbsentAtMs: null,
    }));
  }

  /** Width of one interval, in ms. */
  intervalMs(): number {
    return (this.#toMs - this.#fromMs) / this.#intervals.length;
  }

  /** Takes one value, or one absence where `extreme.value` is null; outside the range it is passed over. */
  add(atMs: number, value: number | null, questionable: boolean): void {
    if (!(atMs >= this.#fromMs && atMs <= this.#toMs)) return;
    if (this.#points !== null) {
      this.#points.push({ atMs: wallMs(atMs), value, questionable });
      if (this.#points.length > this.#pointsMax) this.#points = null;
    }
    const place = Math.floor((atMs - this.#fromMs) / this.intervalMs());
    const interval = this.#intervals[Math.min(place, this.#intervals.length - 1)];
    if (interval === undefined) return;
    if (value === null) {
      interval.firstAbsentAtMs = Math.min(interval.firstAbsentAtMs ?? atMs, atMs);
      return;
    }
    if (interval.lowest === null || value < interval.lowest.value) interval.lowest = { value, atMs, questionable };
    if (interval.highest === null || value > interval.highest.value) interval.highest = { value, atMs, questionable };
  }

  /** The points, oldest first. */
  points(): TrendPoint[] {
    return (this.#points ?? this.#intervals.flatMap(pointsOf)).sort((one, other) => one.atMs - other.atMs);
  }
}

function pointsOf(interval: Interval): TrendPoint[] {
  const { lowest, highest, firstAbsentAtMs } = interval;
  if (lowest === null || highest === null) {
    return firstAbsentAtMs === null ? [] : [{ atMs: wallMs(firstAbsentAtMs), value: null, questionable: false }];
  }
  const extremes = lowest.atMs === highest.atMs ? [lowest] : [lowest, highest];
  return extremes.map(({ value, atMs, questionable }) => ({ atMs: wallMs(atMs), value, questionable }));
}
