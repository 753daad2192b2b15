import { simulatedStays } from "./population.ts";
import { correlationWithin, distanceOf, figuresOf, type Series, type SeriesFigures, sharesOf } from "./statistics.ts";
import { COMPARED, COMPARED_NAMES, type ComparedName, PAIRS, type Stay } from "./stay.ts";

/** One quantity of real patients beside simulated ones. */
export interface ComparedQuantity {
  readonly name: ComparedName;
  readonly real: SeriesFigures;
  readonly simulated: SeriesFigures;
  /** Kolmogorov-Smirnov distance, 0 to 1, of the simulated patients, and of as many other real ones: what chance alone makes. */
  readonly distance: number;
  readonly distanceOfOthers: number;
  /** Share of the values in each bin of the plot. */
  readonly realShares: readonly number[];
  readonly simulatedShares: readonly number[];
}

/** How two quantities move together within patients. */
export interface ComparedPair {
  readonly first: ComparedName;
  readonly second: ComparedName;
  readonly real: number;
  readonly others: number;
  readonly simulated: number;
}

/** Everything that is told of real and simulated patients. */
export interface Comparison {
  readonly patients: number;
  readonly quantities: readonly ComparedQuantity[];
  readonly pairs: readonly ComparedPair[];
}

/** Simulates a patient for each real one and compares them; other real patients say how much chance there is in it. */
export function compareStays(given: {
  readonly real: readonly Stay[];
  readonly others: readonly Stay[];
  readonly seed: number;
}): Comparison {
  const { real, others } = given;
  const simulated = simulatedStays(given.seed, real);
  return {
    patients: real.length,
    quantities: COMPARED_NAMES.map((name): ComparedQuantity => {
      const of = (stays: readonly Stay[]): readonly Series[] => stays.map(({ series }) => series[name]);
      const { bins } = COMPARED[name];
      return {
        name,
        real: figuresOf(of(real)),
        simulated: figuresOf(of(simulated)),
        distance: distanceOf(of(real), of(simulated)),
        distanceOfOthers: distanceOf(of(real), of(others)),
        realShares: sharesOf(of(real), bins),
        simulatedShares: sharesOf(of(simulated), bins),
      };
    }),
    pairs: PAIRS.map(([first, second]) => {
      const of = (stays: readonly Stay[]) =>
        correlationWithin(stays.map(({ series }): readonly [Series, Series] => [series[first], series[second]]));
      return { first, second, real: of(real), others: of(others), simulated: of(simulated) };
    }),
  };
}
