/** One bump of a wave: where its peak is, how high and how wide (standard deviation). */
interface Bump {
  readonly at: number;
  readonly height: number;
  readonly width: number;
}

/**
 * P, Q, R, S and T of lead II at 60 beats/min; `at` and `width` in seconds from the R peak, `height` in millivolts.
 * Source: McSharry, Clifford, Tarassenko, Smith, IEEE Trans Biomed Eng 50:289 (2003), table 1: angles -pi/3, -pi/12, 0, pi/12, pi/2
 * and widths 0.25, 0.1, 0.1, 0.1, 0.4 rad, of which 2 pi are 1 s; heights a*b*b, scaled to an R of 1 mV.
 */
const ECG_BUMPS: readonly (Bump & { readonly moves: boolean })[] = [
  { at: -1 / 6, height: 0.25, width: 0.0398, moves: true },
  { at: -1 / 24, height: -1 / 6, width: 0.0159, moves: false },
  { at: 0, height: 1, width: 0.0159, moves: false },
  { at: 1 / 24, height: -0.25, width: 0.0159, moves: false },
  { at: 0.25, height: 0.4, width: 0.0637, moves: true },
];

/** Beyond this many widths a bump is nothing. */
const BUMP_REACH_WIDTHS = 4;

/**
 * The ECG of lead II.
 *
 * @param phase       Beats since some R peak; whole numbers are R peaks.
 * @param rrSeconds   Time from one R peak to the next. P and T move and widen with its square root, QRS does not.
 * @returns           Millivolts, from about -0.3 to 1.
 */
export function ecgMillivolts(phase: number, rrSeconds: number): number {
  const sinceRSeconds = (phase - Math.floor(phase)) * rrSeconds;
  const stretch = Math.sqrt(rrSeconds);
  let millivolts = 0;
  for (const bump of ECG_BUMPS) {
    const scale = bump.moves ? stretch : 1;
    const width = bump.width * scale;
    const fromPrevious = (sinceRSeconds - bump.at * scale) / width;
    const fromNext = (sinceRSeconds - rrSeconds - bump.at * scale) / width;
    if (fromPrevious > -BUMP_REACH_WIDTHS && fromPrevious < BUMP_REACH_WIDTHS) {
      millivolts += bump.height * Math.exp(-0.5 * fromPrevious * fromPrevious);
    }
    if (fromNext > -BUMP_REACH_WIDTHS && fromNext < BUMP_REACH_WIDTHS) {
      millivolts += bump.height * Math.exp(-0.5 * fromNext * fromNext);
    }
  }
  return millivolts;
}

/** One period of a wave, from 0 at its foot to 1 at its peak. */
export interface PulseShape {
  /** The wave's value from 0 to 1. `phase` in beats; its whole part is ignored. */
  readonly at: (phase: number) => number;
  /** The mean over one period, from 0 to 1. */
  readonly mean: number;
}

const SHAPE_POINTS = 512;

/** A pulse with a steep rise, a peak and a second hump after the dicrotic notch, as a table. */
function createPulseShape(bumps: readonly Bump[]): PulseShape {
  const raw = Array.from({ length: SHAPE_POINTS }, (_, index) => {
    const phase = index / SHAPE_POINTS;
    return bumps.reduce((sum, bump) => {
      const distances = [phase - bump.at - 1, phase - bump.at, phase - bump.at + 1];
      return sum + distances.reduce((part, distance) => part + bump.height * Math.exp(-0.5 * (distance / bump.width) ** 2), 0);
    }, 0);
  });
  const lowest = Math.min(...raw);
  const highest = Math.max(...raw);
  // One point more than a period, so that interpolation needs no case for the end.
  const table = Float64Array.from({ length: SHAPE_POINTS + 1 }, (_, index) => {
    return ((raw[index % SHAPE_POINTS] ?? 0) - lowest) / (highest - lowest);
  });
  const mean = table.subarray(0, SHAPE_POINTS).reduce((sum, value) => sum + value, 0) / SHAPE_POINTS;
  return {
    at: (phase) => {
      const position = (phase - Math.floor(phase)) * SHAPE_POINTS;
      const index = Math.floor(position);
      const low = table[index] ?? 0;
      return low + (position - index) * ((table[index + 1] ?? 0) - low);
    },
    mean,
  };
}

/** The arterial pressure wave of a radial line: peak at a sixth of the beat, dicrotic notch, slow run-off; mean a third of the pulse above diastole. */
export function arterialShape(): PulseShape {
  return createPulseShape([
    { at: 0.16, height: 1, width: 0.06 },
    { at: 0.38, height: 0.5, width: 0.09 },
    { at: 0.62, height: 0.3, width: 0.14 },
  ]);
}

/** The wave of a finger oximeter: rounder and later than the pressure. */
export function plethShape(): PulseShape {
  return createPulseShape([
    { at: 0.2, height: 1, width: 0.08 },
    { at: 0.48, height: 0.5, width: 0.11 },
  ]);
}

/** Chest movement from 0 (breathed out) to 1, two fifths of the time breathing in. `phase` in breaths. */
export function breathShape(phase: number): number {
  const share = phase - Math.floor(phase);
  const inspiration = 0.4;
  return share < inspiration
    ? 0.5 - 0.5 * Math.cos((Math.PI * share) / inspiration)
    : 0.5 + 0.5 * Math.cos((Math.PI * (share - inspiration)) / (1 - inspiration));
}
