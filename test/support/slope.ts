/** One figure at one place of a row, for example megabytes after hours. */
export interface Point {
  readonly at: number;
  readonly value: number;
}

/** A slope with its 95 % interval. */
export interface Slope {
  readonly perUnit: number;
  readonly plusMinus: number;
}

/**
 * Least squares with the 95 % interval of the slope. Neighbouring samples tell much the same (a heap grows until it is collected), so
 * they count for fewer: for as many as (1 - r) / (1 + r) of them, r being how far each residual resembles the one before.
 */
export function slopeOf(points: readonly Point[]): Slope {
  const sum = (numbers: readonly number[]) => numbers.reduce((all, each) => all + each, 0);
  const count = points.length;
  const meanAt = sum(points.map(({ at }) => at)) / count;
  const meanValue = sum(points.map(({ value }) => value)) / count;
  const spread = sum(points.map(({ at }) => (at - meanAt) ** 2));
  const perUnit = sum(points.map((each) => (each.at - meanAt) * (each.value - meanValue))) / spread;
  const rests = points.map((each) => each.value - meanValue - perUnit * (each.at - meanAt));
  const squares = sum(rests.map((rest) => rest ** 2));
  if (squares === 0) return { perUnit, plusMinus: 0 };
  const alike = Math.min(0.99, Math.max(0, sum(rests.map((rest, index) => rest * (rests[index - 1] ?? 0))) / squares));
  return { perUnit, plusMinus: 1.96 * Math.sqrt((squares / (count - 2) / spread) * ((1 + alike) / (1 - alike))) };
}

/** As people read it: `0.3 ± 0.2`. */
export function slopeText({ perUnit, plusMinus }: Slope): string {
  return `${perUnit.toFixed(2)} ± ${plusMinus.toFixed(2)}`;
}
