import type { NudgeChoice } from "../../src/core/demonstration.ts";
import { assert } from "../../src/core/result.ts";
import { type Course, type CourseLine, createCourseLine } from "./courses.ts";
import type { Rhythm } from "./rhythm.ts";
import { STRAIN_NAMES, STRAINS, type StrainName, type Strains } from "./strain.ts";

/** Where a body is taken from a moment on. */
export interface CourseNudge {
  /** What is to be laid upon it in the end, where nothing is said the rest; null: what its course has planned. */
  readonly strains: Readonly<Partial<Record<StrainName, number>>> | null;
  /** At once. Left out: what its course has planned. */
  readonly rhythm?: Rhythm;
  readonly overSeconds: number;
}

/** What a person may do to a patient of the demonstration. Times are invented: quick enough to be looked at. */
export const PATIENT_NUDGES: Readonly<Partial<Record<NudgeChoice, CourseNudge>>> = {
  "by-itself": { strains: null, overSeconds: 20 },
  well: { strains: {}, rhythm: "sinus", overSeconds: 10 },
  "breathing-fails": { strains: { shuntFraction: 0.42, lungStiffness: 1, pain: 1 }, rhythm: "sinus", overSeconds: 20 },
  bleeding: { strains: { bloodLossFraction: 0.47, pain: 0.3 }, rhythm: "sinus", overSeconds: 60 },
  "heart-stops": { strains: {}, rhythm: "ventricular-fibrillation", overSeconds: 1 },
};

/** A course that somebody may leave while it is under way. */
export interface NudgedCourse {
  readonly line: CourseLine;
  /** From a moment on, which no answer has been given for yet; what was before stays the same. In rising order of time. */
  readonly nudge: (atSeconds: number, nudge: CourseNudge) => void;
}

/** One nudge, with what was laid upon the body when it began. */
interface Stretch {
  readonly atSeconds: number;
  readonly nudge: CourseNudge;
  readonly from: Strains;
}

/** Lays nudges over a course. A strain moves evenly from what it was to what the nudge wants, and stays there. */
export function createNudgedCourse(course: Course): NudgedCourse {
  const base = createCourseLine(course);
  const stretches: Stretch[] = [];
  const stretchAt = (seconds: number) => stretches.findLast(({ atSeconds }) => atSeconds <= seconds);
  const strainsAt = (seconds: number): Strains => {
    const stretch = stretchAt(seconds);
    if (stretch === undefined) return base.strainsAt(seconds);
    const { atSeconds, nudge, from } = stretch;
    const share = Math.min(1, (seconds - atSeconds) / nudge.overSeconds);
    const planned = nudge.strains === null ? base.strainsAt(seconds) : null;
    const strains: Record<StrainName, number> = { ...from };
    for (const name of STRAIN_NAMES) {
      const wanted = planned === null ? (nudge.strains?.[name] ?? STRAINS[name].rest) : planned[name];
      strains[name] = share === 1 ? wanted : from[name] + share * (wanted - from[name]);
    }
    return strains;
  };
  return {
    line: { strainsAt, rhythmAt: (seconds) => stretchAt(seconds)?.nudge.rhythm ?? base.rhythmAt(seconds) },
    nudge: (atSeconds, nudge) => {
      const last = stretches.at(-1);
      assert(last === undefined || atSeconds >= last.atSeconds, "nudges are in rising order of time");
      stretches.push({ atSeconds, nudge, from: strainsAt(atSeconds) });
    },
  };
}
