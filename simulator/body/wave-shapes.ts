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
const ECG_BUMPS: readonly (Bump & { readonly moves: boolean; readonly isP?: boolean })[] = [
  { at: -1 / 6, height: 0.25, width: 0.0398, moves: true, isP: true },
  { at: -1 / 24, height: -1 / 6, width: 0.0159, moves: false },
  { at: 0, height: 1, width: 0.0159, moves: false },
  { at: 1 / 24, height: -0.25, width: 0.0159, moves: false },
  { at: 0.25, height: 0.4, width: 0.0637, moves: true },
];

/** Beyond this many widths a bump is nothing. */
const BUMP_REACH_WIDTHS = 4;

/** A beat that starts in a ventricle: no P, a wide and high R, a T against it. Widths are twice those of a normal QRS (over 0.12 s). */
const ECTOPIC_BUMPS: readonly Bump[] = [
  { at: -0.06, height: -0.2, width: 0.035 },
  { at: 0, height: 1.35, width: 0.042 },
  { at: 0.09, height: -0.45, width: 0.05 },
  { at: 0.3, height: -0.45, width: 0.075 },
];

/** A beat as it shows in the ECG. */
export interface EcgBeat {
  /** Seconds since its R peak; below 0 before it. */
  readonly sinceSeconds: number;
  /** Length of the beat that stretches its P and T. */
  readonly rrSeconds: number;
  readonly kind: "normal" | "ectopic";
  /** False in atrial fibrillation, where no P wave is. */
  readonly hasP: boolean;
}

/**
 * What one beat adds to the ECG of lead II: P, Q, R, S and T as the closed form of McSharry's model on its limit cycle.
 * P and T move and widen with the square root of the beat's length, QRS does not.
 *
 * @returns  Millivolts, from about -0.3 to 1.
 */
export function ecgMillivolts(beat: EcgBeat): number {
  const stretch = Math.sqrt(beat.rrSeconds);
  let millivolts = 0;
  if (beat.kind === "ectopic") {
    for (const bump of ECTOPIC_BUMPS) millivolts += bumpAt(bump, beat.sinceSeconds, 1);
    return millivolts;
  }
  for (const bump of ECG_BUMPS) {
    if (bump.isP && !beat.hasP) continue;
    millivolts += bumpAt(bump, beat.sinceSeconds, bump.moves ? stretch : 1);
  }
  return millivolts;
}

function bumpAt(bump: Bump, seconds: number, scale: number): number {
  const widths = (seconds - bump.at * scale) / (bump.width * scale);
  return widths > -BUMP_REACH_WIDTHS && widths < BUMP_REACH_WIDTHS ? bump.height * Math.exp(-0.5 * widths * widths) : 0;
}

/** The restless base line of fibrillating atria, 6 to 8 waves a second of a tenth of a millivolt. */
export function atrialFlicker(seconds: number): number {
  const pace = 2 * Math.PI * (6.7 * seconds + 0.35 * Math.sin(2 * Math.PI * 0.31 * seconds));
  return 0.07 * Math.sin(pace) + 0.04 * Math.sin(1.37 * pace + 1) * Math.sin(2 * Math.PI * 0.83 * seconds);
}

/** Ventricular fibrillation: four to six coarse waves a second without order, finer as minutes go by. */
export function ventricularFlicker(seconds: number): number {
  const pace =
    2 * Math.PI * (4.9 * seconds + 0.6 * Math.sin(2 * Math.PI * 0.23 * seconds) + 0.25 * Math.sin(2 * Math.PI * 0.71 * seconds));
  const height = 0.45 + 0.25 * Math.sin(2 * Math.PI * 0.37 * seconds) + 0.12 * Math.sin(2 * Math.PI * 1.13 * seconds + 2);
  return height * (Math.sin(pace) + 0.35 * Math.sin(1.73 * pace + 0.7));
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
