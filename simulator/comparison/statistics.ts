import { assert } from "../../src/core/result.ts";

/** One quantity of one stay, a value for each row and `NaN` where nothing was charted. */
export type Series = Float64Array;

/** Percentiles and lags that are told. */
export const PERCENTS = [5, 25, 50, 75, 95] as const;
export const LAGS_ROWS = [1, 2, 4, 8] as const;

/** A patient with fewer values says too little about a mean of their own. */
const VALUES_OF_PATIENT_MIN = 3;

/** What is told of one quantity over many stays. */
export interface SeriesFigures {
  readonly count: number;
  readonly mean: number;
  /** In the order of `PERCENTS`. */
  readonly percentiles: readonly number[];
  /** Standard deviation of the patients' means. */
  readonly betweenSpread: number;
  /** Root mean square of the distance from the patient's own mean. */
  readonly withinSpread: number;
  /** Of the distance from the patient's own mean, over all patients at once, in the order of the lags. */
  readonly autocorrelations: readonly number[];
}

/**
 * The figures of one quantity over many stays. Short stays pull autocorrelations down, because each patient's mean is that of few values:
 * only samples of the same lengths and the same gaps may be compared.
 */
export function figuresOf(stays: readonly Series[], lagsRows: readonly number[] = LAGS_ROWS): SeriesFigures {
  const values = sortedValues(stays);
  const own = stays.filter((series) => countOf(series) >= VALUES_OF_PATIENT_MIN);
  const departures = own.map(departuresOf);
  const sum = departures.reduce((total, series) => total + sumOf(series, (value) => value * value), 0);
  const count = departures.reduce((total, series) => total + countOf(series), 0);
  return {
    count: values.length,
    mean: meanOf(values),
    percentiles: PERCENTS.map((percent) => percentileOf(values, percent)),
    betweenSpread: deviationOf(own.map(meanOf)),
    withinSpread: Math.sqrt(sum / Math.max(1, count)),
    autocorrelations: lagsRows.map((lag) =>
      correlationOf(departures.map((series) => [series.subarray(0, Math.max(0, series.length - lag)), series.subarray(lag)])),
    ),
  };
}

/** How two quantities of the same stays move together within patients: the correlation of their distances from the patient's own means. */
export function correlationWithin(stays: readonly (readonly [first: Series, second: Series])[]): number {
  return correlationOf(stays.map(([first, second]) => [departuresOf(first), departuresOf(second)]));
}

/** The greatest distance between two cumulative distributions, 0 to 1. Source: Kolmogorov 1933, Smirnov 1939. */
export function distanceOf(first: readonly Series[], second: readonly Series[]): number {
  const [a, b] = [sortedValues(first), sortedValues(second)];
  let [done, doneOther, greatest] = [0, 0, 0];
  while (done < a.length && doneOther < b.length) {
    const value = Math.min(a[done] ?? 0, b[doneOther] ?? 0);
    while (done < a.length && a[done] === value) done += 1;
    while (doneOther < b.length && b[doneOther] === value) doneOther += 1;
    greatest = Math.max(greatest, Math.abs(done / a.length - doneOther / b.length));
  }
  return greatest;
}

/** The share of all values that lies within each of `count` bins of equal width from `low` on. */
export function sharesOf(stays: readonly Series[], bins: { low: number; width: number; count: number }): readonly number[] {
  const values = sortedValues(stays);
  const counts = new Array<number>(bins.count).fill(0);
  for (const value of values) {
    const index = Math.floor((value - bins.low) / bins.width + 1e-9);
    if (index >= 0 && index < bins.count) counts[index] = (counts[index] ?? 0) + 1;
  }
  return counts.map((count) => count / Math.max(1, values.length));
}

/** Everything charted, in rising order. */
function sortedValues(stays: readonly Series[]): Float64Array {
  const values = new Float64Array(stays.reduce((sum, series) => sum + countOf(series), 0));
  let next = 0;
  for (const series of stays) for (const value of series) if (!Number.isNaN(value)) values[next++] = value;
  return values.sort();
}

/** Between the two nearest values, in proportion. */
function percentileOf(sorted: Float64Array, percent: number): number {
  const place = (percent / 100) * (sorted.length - 1);
  const low = sorted[Math.floor(place)] ?? Number.NaN;
  const high = sorted[Math.ceil(place)] ?? Number.NaN;
  return low + (place - Math.floor(place)) * (high - low);
}

function correlationOf(pairs: readonly (readonly [Series, Series])[]): number {
  let [both, ofFirst, ofSecond] = [0, 0, 0];
  for (const [first, second] of pairs) {
    assert(first.length === second.length, "two quantities of one stay have as many rows");
    for (const [row, value] of first.entries()) {
      const other = second[row] ?? Number.NaN;
      if (Number.isNaN(value) || Number.isNaN(other)) continue;
      both += value * other;
      ofFirst += value * value;
      ofSecond += other * other;
    }
  }
  return both / Math.sqrt(ofFirst * ofSecond);
}

const countOf = (series: Series) => series.reduce((count, value) => count + (Number.isNaN(value) ? 0 : 1), 0);
const sumOf = (series: Series, of: (value: number) => number) =>
  series.reduce((sum, value) => sum + (Number.isNaN(value) ? 0 : of(value)), 0);
const meanOf = (series: Series) => sumOf(series, (value) => value) / countOf(series);

function departuresOf(series: Series): Series {
  const mean = meanOf(series);
  return series.map((value) => value - mean);
}

function deviationOf(values: readonly number[]): number {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  return Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / Math.max(1, values.length - 1));
}
