import type { Rhythm } from "./rhythm.ts";
import { STRAIN_NAMES, STRAINS, type StrainName, type Strains } from "./strain.ts";
import { linearTrack, type Track } from "./track.ts";

/** What is known of the strains from a moment on; between two keyframes that name a strain it changes evenly. */
export interface Keyframe {
  readonly atSeconds: number;
  readonly strains?: Readonly<Partial<Record<StrainName, number>>>;
  /** The rhythm from here on. */
  readonly rhythm?: Rhythm;
}

/** What becomes of one patient, as data. What no keyframe names rests; after the last one it stays as it is. */
export interface Course {
  /** In rising order of time. A strain begins at rest at 0 s where no keyframe at 0 s names it. */
  readonly keyframes: readonly Keyframe[];
  /** After this time the course begins anew; null: never. */
  readonly repeatSeconds: number | null;
}

/** A course to be asked at any time. */
export interface CourseLine {
  readonly strainsAt: (seconds: number) => Strains;
  readonly rhythmAt: (seconds: number) => Rhythm;
}

/** Makes a course ready to be asked. Seconds count from when the twin was switched on. */
export function createCourseLine(course: Course): CourseLine {
  const { keyframes, repeatSeconds } = course;
  const tracks = new Map<StrainName, Track>();
  for (const name of STRAIN_NAMES) {
    const points = keyframes.flatMap(({ atSeconds, strains }) => {
      const value = strains?.[name];
      return value === undefined ? [] : [{ atSeconds, value }];
    });
    if (points.length === 0) continue;
    const fromRest = points[0]?.atSeconds === 0 ? points : [{ atSeconds: 0, value: STRAINS[name].rest }, ...points];
    tracks.set(name, linearTrack(fromRest, repeatSeconds));
  }
  const rhythms = keyframes.flatMap(({ atSeconds, rhythm }) => (rhythm === undefined ? [] : [{ atSeconds, rhythm }]));
  const inCourse = (seconds: number) => (repeatSeconds === null || seconds < 0 ? seconds : seconds % repeatSeconds);
  return {
    strainsAt: (seconds) => {
      const strains: Record<StrainName, number> = { ...RESTING };
      for (const [name, track] of tracks) strains[name] = track.valueAt(seconds);
      return strains;
    },
    rhythmAt: (seconds) => rhythms.findLast(({ atSeconds }) => atSeconds <= inCourse(seconds))?.rhythm ?? "sinus",
  };
}

const RESTING: Strains = Object.freeze(
  Object.fromEntries(STRAIN_NAMES.map((name) => [name, STRAINS[name].rest])) as Record<StrainName, number>,
);

/** The courses of the demonstration by name. Times are invented; the scenarios have slower and truer ones. */
export const COURSES = {
  stable: { keyframes: [], repeatSeconds: null },
  /** Respiratory failure over about 90 s; pressure falls later; help comes after ten minutes; anew after twenty. */
  deterioration: {
    keyframes: [
      { atSeconds: 4, strains: { shuntFraction: 0, lungStiffness: 0, pain: 0 } },
      { atSeconds: 20, strains: { shuntFraction: 0.34, lungStiffness: 0.9, pain: 0.9 } },
      { atSeconds: 94, strains: { shuntFraction: 0.42, lungStiffness: 1, pain: 1 } },
      { atSeconds: 150, strains: { vasodilation: 0, bloodLossFraction: 0 } },
      { atSeconds: 420, strains: { vasodilation: 0.65, bloodLossFraction: 0.43, pain: 0.5 } },
      {
        atSeconds: 600,
        strains: { shuntFraction: 0.42, lungStiffness: 1, pain: 0.5, vasodilation: 0.65, bloodLossFraction: 0.43 },
      },
      { atSeconds: 780, strains: { shuntFraction: 0, lungStiffness: 0, pain: 0, vasodilation: 0, bloodLossFraction: 0 } },
    ],
    repeatSeconds: 1200,
  },
} as const satisfies Record<string, Course>;

/** The name of a course. */
export type CourseName = keyof typeof COURSES;
