import type { Swing } from "./noise.ts";

/** What is usual of a kind of person, and how far people differ (`Spread`: standard deviation between persons). */
export interface Profile {
  /** Kilograms; metabolism goes with its power of three quarters. Source: Kleiber 1932. */
  readonly weightKg: Usual;
  readonly ageYears: Usual;
  readonly heartRateBpm: Usual;
  readonly respiratoryRatePerMin: Usual;
  readonly meanPressureMmhg: Usual;
  readonly pulsePressureMmhg: Usual;
  readonly temperatureCelsius: Usual;
  /** Share of the blood that passes the lungs without oxygen. */
  readonly shuntFraction: Usual;
  readonly carbonDioxideMmhg: Usual;
  readonly glucoseMmolPerL: Usual;
  readonly perfusionIndexPercent: Usual;
  /** Wandering within one person, by quantity. */
  readonly within: Within;
  /** Some lie still and some do not: standard deviation between persons of the logarithm of how far each quantity wanders. */
  readonly restlessnessSpread: number;
  /** Rhythm of the day: how much lower the heart goes asleep (share), and half the height of the temperature's wave. */
  readonly nightHeartShare: number;
  readonly dayTemperatureCelsius: number;
}

/** A mean and how far persons spread about it. */
export interface Usual {
  readonly mean: number;
  readonly spread: number;
  /** Evenly to both sides, or log-normally: further up than down, and never below 0. */
  readonly shape: "normal" | "log-normal";
}

/** Scales on which one person's values wander. */
export interface Within {
  readonly heartRateBpm: readonly Swing[];
  readonly respiratoryRatePerMin: readonly Swing[];
  readonly meanPressureMmhg: readonly Swing[];
  readonly pulsePressureMmhg: readonly Swing[];
  readonly shuntFraction: readonly Swing[];
  /** The shunt's natural logarithm: lungs that are bad vary more than good ones. */
  readonly shuntLogarithm: readonly Swing[];
  readonly temperatureCelsius: readonly Swing[];
}

const usual = (mean: number, spread: number): Usual => ({ mean, spread, shape: "normal" });
const skewed = (mean: number, spread: number): Usual => ({ mean, spread, shape: "log-normal" });

/** Of people who lie quietly. Scales of seconds: Mayer waves and the like; hours: sleep, pain, visits. */
const QUIET: Within = {
  heartRateBpm: [
    { deviation: 0.9, periodSeconds: 9 },
    { deviation: 1.1, periodSeconds: 40 },
    { deviation: 1.6, periodSeconds: 400 },
    { deviation: 2.2, periodSeconds: 7200 },
  ],
  respiratoryRatePerMin: [
    { deviation: 0.3, periodSeconds: 25 },
    { deviation: 0.4, periodSeconds: 300 },
    { deviation: 0.5, periodSeconds: 7200 },
  ],
  meanPressureMmhg: [
    { deviation: 1, periodSeconds: 10 },
    { deviation: 1.3, periodSeconds: 60 },
    { deviation: 2, periodSeconds: 1800 },
    { deviation: 2, periodSeconds: 10_000 },
  ],
  pulsePressureMmhg: [
    { deviation: 1, periodSeconds: 60 },
    { deviation: 1.5, periodSeconds: 3600 },
  ],
  shuntFraction: [
    { deviation: 0.003, periodSeconds: 45 },
    { deviation: 0.004, periodSeconds: 1800 },
  ],
  shuntLogarithm: [],
  temperatureCelsius: [
    { deviation: 0.05, periodSeconds: 1800 },
    { deviation: 0.08, periodSeconds: 14_400 },
  ],
};

/**
 * Of people in intensive care, whom turning, suction, drugs and drips move about. Fitted by hand to hourly values of 800 stays of one
 * hospital, out of the training half (`comparison/vitals-file.ts`): spread within a stay and its autocorrelation after 1, 2, 4 and 8
 * hours. README.md beside this file shows how well, on stays that were not used.
 */
const INTENSIVE: Within = {
  heartRateBpm: [
    { deviation: 2, periodSeconds: 60 },
    { deviation: 3.2, periodSeconds: 900 },
    { deviation: 1.8, periodSeconds: 6500 },
    { deviation: 4, periodSeconds: 26_000 },
    { deviation: 6.6, periodSeconds: 80_000 },
  ],
  respiratoryRatePerMin: [
    { deviation: 1.6, periodSeconds: 60 },
    { deviation: 1.9, periodSeconds: 900 },
    { deviation: 0.3, periodSeconds: 6500 },
    { deviation: 1.1, periodSeconds: 26_000 },
    { deviation: 2.2, periodSeconds: 80_000 },
  ],
  meanPressureMmhg: [
    { deviation: 5, periodSeconds: 60 },
    { deviation: 5.2, periodSeconds: 900 },
    { deviation: 2.5, periodSeconds: 6500 },
    { deviation: 4.5, periodSeconds: 26_000 },
    { deviation: 5, periodSeconds: 80_000 },
  ],
  pulsePressureMmhg: [
    { deviation: 4, periodSeconds: 60 },
    { deviation: 5, periodSeconds: 900 },
    { deviation: 4, periodSeconds: 6500 },
    { deviation: 9, periodSeconds: 26_000 },
    { deviation: 9.5, periodSeconds: 80_000 },
  ],
  shuntFraction: [
    { deviation: 0.027, periodSeconds: 60 },
    { deviation: 0.027, periodSeconds: 900 },
    { deviation: 0.005, periodSeconds: 6500 },
    { deviation: 0.02, periodSeconds: 26_000 },
    { deviation: 0.026, periodSeconds: 80_000 },
  ],
  shuntLogarithm: [
    { deviation: 0.08, periodSeconds: 60 },
    { deviation: 0.12, periodSeconds: 900 },
    { deviation: 0.1, periodSeconds: 6500 },
    { deviation: 0.16, periodSeconds: 26_000 },
    { deviation: 0.16, periodSeconds: 80_000 },
  ],
  temperatureCelsius: [
    { deviation: 0.3, periodSeconds: 11_000 },
    { deviation: 0.35, periodSeconds: 22_000 },
    { deviation: 0.35, periodSeconds: 80_000 },
  ],
};

/** A resting adult on a ward: what is usual earns 0 points of NEWS2. Source: RCP NEWS2 2017, chart 1. */
const ADULT: Profile = {
  weightKg: usual(70, 10),
  ageYears: usual(55, 12),
  heartRateBpm: usual(75, 4),
  respiratoryRatePerMin: usual(15.5, 0.6),
  meanPressureMmhg: usual(91, 3.5),
  pulsePressureMmhg: usual(48, 2.5),
  temperatureCelsius: usual(36.8, 0.12),
  shuntFraction: usual(0.03, 0.006),
  carbonDioxideMmhg: usual(39, 1),
  glucoseMmolPerL: usual(5.4, 0.4),
  perfusionIndexPercent: usual(3.2, 0.5),
  within: QUIET,
  restlessnessSpread: 0,
  nightHeartShare: 0.1,
  dayTemperatureCelsius: 0.25,
};

/** Medians of heart and breathing rate by age. Source: Fleming and others, Lancet 377:1011 (2011), tables of centiles. */
// biome-ignore format: one age a line.
const CHILD_RATES: readonly { readonly fromYears: number; readonly heartRateBpm: number; readonly respiratoryRatePerMin: number }[] = [
  { fromYears: 0, heartRateBpm: 143, respiratoryRatePerMin: 43 },
  { fromYears: 0.25, heartRateBpm: 140, respiratoryRatePerMin: 41 },
  { fromYears: 0.5, heartRateBpm: 134, respiratoryRatePerMin: 39 },
  { fromYears: 0.75, heartRateBpm: 128, respiratoryRatePerMin: 37 },
  { fromYears: 1, heartRateBpm: 123, respiratoryRatePerMin: 35 },
  { fromYears: 1.5, heartRateBpm: 116, respiratoryRatePerMin: 31 },
  { fromYears: 2, heartRateBpm: 110, respiratoryRatePerMin: 28 },
  { fromYears: 3, heartRateBpm: 104, respiratoryRatePerMin: 25 },
  { fromYears: 4, heartRateBpm: 98, respiratoryRatePerMin: 23 },
  { fromYears: 6, heartRateBpm: 91, respiratoryRatePerMin: 21 },
  { fromYears: 8, heartRateBpm: 84, respiratoryRatePerMin: 19 },
  { fromYears: 12, heartRateBpm: 78, respiratoryRatePerMin: 18 },
  { fromYears: 15, heartRateBpm: 73, respiratoryRatePerMin: 16 },
];

/**
 * A child of so many years.
 *
 * Systolic 90 + 2 x age (median of 1 to 10 years) and weight 2 x (age + 4) kg, both usual rules of thumb of paediatric life support.
 */
function childProfile(ageYears: number): Profile {
  const rates = CHILD_RATES.findLast(({ fromYears }) => ageYears >= fromYears) ?? CHILD_RATES[0];
  const systolicMmhg = ageYears < 1 ? 75 + 15 * ageYears : Math.min(118, 90 + 2 * ageYears);
  const pulsePressureMmhg = 30 + Math.min(15, ageYears);
  return {
    ...ADULT,
    weightKg: usual(ageYears < 1 ? 3.5 + 6 * ageYears : 2 * (ageYears + 4), 0.8),
    ageYears: usual(ageYears, 0),
    heartRateBpm: usual(rates?.heartRateBpm ?? 100, 5),
    respiratoryRatePerMin: usual(rates?.respiratoryRatePerMin ?? 20, 1.2),
    meanPressureMmhg: usual(systolicMmhg - (2 / 3) * pulsePressureMmhg, 3),
    pulsePressureMmhg: usual(pulsePressureMmhg, 2),
    temperatureCelsius: usual(36.9, 0.12),
  };
}

/** The kinds of persons, by name. Figures without a source are usual values of textbooks, rounded. */
export const PROFILES = {
  adult: ADULT,
  /** Six in ten of the COPD patients who need a target of 88 to 92 % live near these. */
  copd: {
    ...ADULT,
    ageYears: usual(70, 6),
    heartRateBpm: usual(84, 4),
    respiratoryRatePerMin: usual(18, 1),
    carbonDioxideMmhg: usual(49, 3),
    shuntFraction: usual(0.17, 0.012),
  },
  /** Third trimester: heart and breathing quicker, carbon dioxide and pressure lower. */
  pregnant: {
    ...ADULT,
    weightKg: usual(74, 8),
    ageYears: usual(30, 4),
    heartRateBpm: usual(86, 4),
    respiratoryRatePerMin: usual(16.5, 0.8),
    meanPressureMmhg: usual(84, 3.5),
    pulsePressureMmhg: usual(44, 3),
    carbonDioxideMmhg: usual(31, 1),
  },
  /** Over seventy and at home: stiffer vessels, a slower heart, a little less oxygen. */
  elderly: {
    ...ADULT,
    weightKg: usual(62, 8),
    ageYears: usual(79, 5),
    heartRateBpm: usual(70, 4),
    meanPressureMmhg: usual(96, 4),
    pulsePressureMmhg: usual(58, 4),
    shuntFraction: usual(0.05, 0.008),
    temperatureCelsius: usual(36.5, 0.15),
  },
  /**
   * For comparisons with intensive care data: moved about and wide apart from each other. How they are sick comes on top of it
   * (`comparison/population.ts`), and the figures are fitted to both together.
   */
  "intensive-care": {
    ...ADULT,
    ageYears: usual(63, 15),
    heartRateBpm: skewed(81.8, 12.3),
    respiratoryRatePerMin: skewed(15.1, 1.6),
    meanPressureMmhg: skewed(75, 6.5),
    pulsePressureMmhg: skewed(63, 15.5),
    temperatureCelsius: usual(36.96, 0.36),
    shuntFraction: skewed(0.018, 0.02),
    carbonDioxideMmhg: usual(40, 4),
    within: INTENSIVE,
    restlessnessSpread: 0.3,
    nightHeartShare: 0.03,
    dayTemperatureCelsius: 0.1,
  },
} as const satisfies Record<string, Profile>;

/** The name of a profile. */
export type ProfileName = keyof typeof PROFILES;

/** Which person: a named profile, or a child of so many years. */
export type WhichProfile = ProfileName | { readonly childYears: number };

/** The figures of a profile. */
export function profileOf(which: WhichProfile): Profile {
  return typeof which === "string" ? PROFILES[which] : childProfile(which.childYears);
}
