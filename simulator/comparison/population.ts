import type { Course } from "../body/courses.ts";
import { evenAt, normalAt } from "../body/noise.ts";
import { createPatient } from "../body/patient.ts";
import { STRAIN_NAMES, STRAINS, type StrainName } from "../body/strain.ts";
import { seedOfPart } from "../random.ts";
import type { Series } from "./statistics.ts";
import { COMPARED, COMPARED_NAMES, type ComparedName, type Stay } from "./stay.ts";

const HOUR_SECONDS = 3600;
/** Fine enough for swings of a minute and up; steps of 1 s and 10 s agree (`test/simulator-physiology`). */
const STEP_SECONDS = 10;
/** Parts of a patient's seed, apart from those of the body itself: what comes and goes, what stays, and the time of day. */
const SEED_PARTS = { waxing: 30, steady: 40, clock: 60 } as const;

type StrainShares = Readonly<Partial<Record<StrainName, number>>>;

/** Something that part of the patients bear all the time. */
interface SteadyStrain {
  readonly strain: StrainName;
  /** The share of patients that have it. */
  readonly share: number;
  /** Each value in between is as likely. */
  readonly from: number;
  readonly to: number;
}

/**
 * How the patients of an intensive care unit are sick, each in their own mixture. Oxygen: six in ten of the real patients have one charted,
 * the middle half of them 40 to 50 %; the rest breathe air or have a little by the nose.
 */
const STEADY_STRAINS: readonly SteadyStrain[] = [
  { strain: "oxygenFraction", share: 0.92, from: 0.32, to: 0.65 },
  { strain: "shuntFraction", share: 0.5, from: 0, to: 0.12 },
  { strain: "vasoconstriction", share: 0.2, from: 0.1, to: 0.4 },
  { strain: "vasodilation", share: 0.3, from: 0.05, to: 0.3 },
  { strain: "lungStiffness", share: 0.25, from: 0.1, to: 0.5 },
];

/** Something that comes and goes: a new height every so often, with even changes in between. */
interface WaxingStrain {
  readonly everySeconds: number;
  /** What each strain is at a height of 1. Heights are the positive side of a normal number, so that half of the time there is none. */
  readonly strains: StrainShares;
}

/**
 * Unrest (pain, fear, care at the bed) moves heart, breath and pressure together; bad hours of the lungs (secretions, collapsed parts) take
 * oxygen and quicken the breath.
 */
const WAXING_STRAINS: readonly WaxingStrain[] = [
  { everySeconds: 2 * HOUR_SECONDS, strains: { pain: 0.3, exertion: 0.05 } },
  { everySeconds: 3 * HOUR_SECONDS, strains: { lungStiffness: 0.3, shuntFraction: 0.05 } },
];

/** What one patient bears, drawn from the seed. */
export function courseOf(seed: number, hours: number): Course {
  const steady: Partial<Record<StrainName, number>> = {};
  for (const [index, { strain, share, from, to }] of STEADY_STRAINS.entries()) {
    const lot = (part: number) => evenAt(seedOfPart(seed, SEED_PARTS.steady + index), part);
    if (lot(0) < share) steady[strain] = from + (to - from) * lot(1);
  }
  const waxing = WAXING_STRAINS.flatMap(({ everySeconds, strains }, index) =>
    Array.from({ length: Math.ceil((hours * HOUR_SECONDS) / everySeconds) + 1 }, (_, turn) => {
      const height = Math.max(0, normalAt(seedOfPart(seed, SEED_PARTS.waxing + index), turn));
      return { atSeconds: turn * everySeconds, strains: raised(strains, height, steady) };
    }),
  );
  const alone = STRAIN_NAMES.filter((name) => !WAXING_STRAINS.some(({ strains }) => strains[name] !== undefined));
  const still = Object.fromEntries(alone.flatMap((name) => (steady[name] === undefined ? [] : [[name, steady[name]]])));
  const keyframes = [{ atSeconds: 0, strains: still }, ...waxing].toSorted((a, b) => a.atSeconds - b.atSeconds);
  return { keyframes, repeatSeconds: null };
}

/** The strains at a height, on top of what is there all the time, and never more than there can be. */
function raised(strains: StrainShares, height: number, steady: StrainShares): StrainShares {
  return Object.fromEntries(
    STRAIN_NAMES.flatMap((name) => {
      const most = strains[name];
      return most === undefined ? [] : [[name, Math.min(STRAINS[name].max, (steady[name] ?? 0) + height * most)]];
    }),
  );
}

/** Simulates a patient over the hours of a real one, charted where the real one was charted, as finely as a chart is. */
export function simulatedStay(seed: number, like: Stay, stepSeconds = STEP_SECONDS): Stay {
  const body = createPatient({
    course: courseOf(seed, like.rowsCount),
    seed,
    profile: "intensive-care",
    stepSeconds,
    clockSecondsAtStart: 86_400 * evenAt(seedOfPart(seed, SEED_PARTS.clock), 0),
  });
  const series = Object.fromEntries(COMPARED_NAMES.map((name) => [name, new Float64Array(like.rowsCount).fill(Number.NaN)]));
  for (let row = 0; row < like.rowsCount; row++) {
    for (const name of COMPARED_NAMES) {
      const { quantity, step } = COMPARED[name];
      if (Number.isNaN(like.series[name][row])) continue;
      const reading = body.quantity(quantity, (row + 1) * HOUR_SECONDS * 1000);
      const values = series[name];
      if (values !== undefined && reading.kind === "present") values[row] = Math.round(reading.value / step) * step;
    }
  }
  return { patient: seed, rowsCount: like.rowsCount, series: series as Record<ComparedName, Series> };
}

/** One simulated patient for each real one. */
export function simulatedStays(seed: number, likes: readonly Stay[]): readonly Stay[] {
  return likes.map((like, index) => simulatedStay(seedOfPart(seed, 1000 + index), like));
}
