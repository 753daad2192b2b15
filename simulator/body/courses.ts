import type { Text } from "../../src/core/quantities.ts";

/** What a body is like at one moment, before natural variability. */
export interface BodyState {
  readonly heartRateBpm: number;
  readonly respiratoryRatePerMin: number;
  readonly oxygenSaturationPercent: number;
  readonly systolicMmhg: number;
  readonly diastolicMmhg: number;
  readonly temperatureCelsius: number;
  readonly endTidalCarbonDioxideMmhg: number;
  readonly perfusionIndexPercent: number;
}

/** What is known of the body from a moment on; between two keyframes that name a value it changes evenly. */
export interface Keyframe {
  readonly atSeconds: number;
  readonly state: Partial<BodyState>;
}

/** Something that happens to a sensor and not to the patient. */
export interface Disturbance {
  readonly kind: "finger-clip-off" | "electrodes-off";
  readonly fromSeconds: number;
  readonly toSeconds: number;
}

/** What becomes of one patient, as data. Before its first keyframe and after its last a value stays as it is. */
export interface Course {
  readonly id: string;
  readonly title: Text;
  /** Must begin with a whole state at 0 s. */
  readonly keyframes: readonly [{ readonly atSeconds: 0; readonly state: BodyState }, ...Keyframe[]];
  readonly disturbances: readonly Disturbance[];
  /** After this time the course begins anew; null: never. */
  readonly repeatSeconds: number | null;
}

/** A resting adult on a ward: every value earns 0 points of NEWS2. Source: RCP NEWS2 2017, chart 1. */
const RESTING: BodyState = {
  heartRateBpm: 76,
  respiratoryRatePerMin: 15,
  oxygenSaturationPercent: 97.5,
  systolicMmhg: 122,
  diastolicMmhg: 74,
  temperatureCelsius: 36.9,
  endTidalCarbonDioxideMmhg: 37,
  perfusionIndexPercent: 3.2,
};

const BEFORE_FAILURE: BodyState = { ...RESTING, heartRateBpm: 82, respiratoryRatePerMin: 16, oxygenSaturationPercent: 97 };

/** The courses by name. Times are invented for demonstrations and tests; they are no model of a disease. */
export const COURSES = {
  stable: {
    id: "stable",
    title: { en: "Stable", zh: "稳定" },
    keyframes: [{ atSeconds: 0, state: RESTING }],
    disturbances: [],
    repeatSeconds: null,
  },
  /** Respiratory failure over about 90 s; pressure falls later; help comes after ten minutes; anew after twenty. */
  deterioration: {
    id: "deterioration",
    title: { en: "Respiratory failure", zh: "呼吸衰竭" },
    keyframes: [
      { atSeconds: 0, state: BEFORE_FAILURE },
      { atSeconds: 4, state: BEFORE_FAILURE },
      { atSeconds: 20, state: { oxygenSaturationPercent: 90, respiratoryRatePerMin: 24, heartRateBpm: 106 } },
      { atSeconds: 32, state: { oxygenSaturationPercent: 87, respiratoryRatePerMin: 27.5, heartRateBpm: 116 } },
      {
        atSeconds: 94,
        state: {
          oxygenSaturationPercent: 82,
          respiratoryRatePerMin: 31,
          heartRateBpm: 128,
          systolicMmhg: 126,
          diastolicMmhg: 78,
          endTidalCarbonDioxideMmhg: 52,
          perfusionIndexPercent: 2,
        },
      },
      { atSeconds: 150, state: { systolicMmhg: 126, diastolicMmhg: 78 } },
      { atSeconds: 420, state: { systolicMmhg: 86, diastolicMmhg: 48, perfusionIndexPercent: 0.9 } },
      {
        atSeconds: 600,
        state: {
          ...BEFORE_FAILURE,
          oxygenSaturationPercent: 82,
          respiratoryRatePerMin: 31,
          heartRateBpm: 128,
          systolicMmhg: 86,
          diastolicMmhg: 48,
          endTidalCarbonDioxideMmhg: 52,
          perfusionIndexPercent: 0.9,
        },
      },
      { atSeconds: 780, state: BEFORE_FAILURE },
    ],
    disturbances: [],
    repeatSeconds: 1200,
  },
  /** A well patient whose finger clip is off for 90 s out of every five minutes. */
  "probe-off": {
    id: "probe-off",
    title: { en: "Finger clip comes off", zh: "指夹脱落" },
    keyframes: [{ atSeconds: 0, state: RESTING }],
    disturbances: [{ kind: "finger-clip-off", fromSeconds: 60, toSeconds: 150 }],
    repeatSeconds: 300,
  },
} as const satisfies Record<string, Course>;

/** The name of a course. */
export type CourseName = keyof typeof COURSES;

/** Whether a text is the name of a course. */
export function isCourseName(text: string): text is CourseName {
  return Object.hasOwn(COURSES, text);
}
