import type { NudgeChoice, NudgeName, NudgeRefusal } from "../../src/core/demonstration.ts";
import type { Driver, Twin } from "../../src/core/ports.ts";
import type { QuantityName } from "../../src/core/quantities.ts";
import { fail, type Result, succeed } from "../../src/core/result.ts";
import { COURSES, type CourseName } from "../body/courses.ts";
import { createNudgedCourse, PATIENT_NUDGES } from "../body/nudged-course.ts";
import { createPatient } from "../body/patient.ts";
import { type LifeChange, livingTwin, PLAIN_LIFE } from "./living-twin.ts";
import { createNudgedFit } from "./nudged-fit.ts";
import { FITS, type FitAt, type Site, siteOf, wornBody } from "./worn.ts";

/** A twin asks the body one second ahead at most, so that from here on nothing has been answered yet. */
const BEGIN_SECONDS = 2;
/** A device that is off, or seldom says anything, is looked at this often. */
const LOOK_MS = 500;
const MS_PER_SECOND = 1000;

/** What a person can change of a device, and what a change does. */
export interface Nudgeable {
  readonly name: NudgeName;
  /** The one that holds at first comes first. */
  readonly choices: readonly NudgeChoice[];
  readonly apply: (choice: NudgeChoice) => Result<void, NudgeRefusal>;
}

/** A simulated device that a person may tamper with while it runs; all of it goes through the body and the sensors, none into a value. */
export interface NudgedTwin {
  readonly twin: Twin;
  /** Its sensors and its switch. */
  readonly nudgeables: readonly Nudgeable[];
  /** The patient, as this device has them; devices on the same patient are told the same. */
  readonly patient: Nudgeable;
}

/**
 * Makes such a device. What is asked for begins two seconds later, by the twin's own time.
 *
 * @param given.measures  What it measures of the body, so that only sensors it has can be taken off.
 */
export function createNudgedTwin(
  driver: Driver,
  given: {
    readonly course: CourseName;
    readonly seed: number;
    readonly measures: readonly QuantityName[];
    readonly fitAt?: FitAt;
    readonly options?: Readonly<Record<string, string>>;
  },
): NudgedTwin {
  const course = createNudgedCourse(COURSES[given.course]);
  const fit = createNudgedFit(given.fitAt ?? (() => "on"));
  const powerChanges: LifeChange[] = [];
  const body = wornBody(createPatient({ course: course.line, seed: given.seed }), fit.fitAt, given.seed);
  // Its changes are appended to while it runs: what is due is asked of it anew each time.
  const plan = { ...PLAIN_LIFE, changes: powerChanges };
  const living = livingTwin((worn) => driver.twin(worn, given.options ?? {}), body, plan);
  let lastMs = 0;
  const beginSeconds = () => lastMs / MS_PER_SECOND + BEGIN_SECONDS;
  const sensor = (name: NudgeName, site: Site, choices: readonly NudgeChoice[]): Nudgeable => ({
    name,
    choices,
    apply: (choice) => succeed(fit.nudge({ atSeconds: beginSeconds(), site, fit: FITS.find((one) => one === choice) ?? null })),
  });
  const clipChoices = ["on", "loose", "off"] as const;
  const sites = new Set(given.measures.map(siteOf));
  return {
    twin: {
      due: (atMs) => {
        lastMs = atMs;
        const due = living.due(atMs);
        return { ...due, nextDueMs: Math.min(due.nextDueMs, atMs + LOOK_MS) };
      },
      receive: living.receive,
    },
    patient: {
      name: "patient",
      choices: patientChoices(given.course),
      apply: (choice) => {
        const nudge = PATIENT_NUDGES[choice];
        return nudge === undefined ? fail("nudge-unknown-choice") : succeed(course.nudge(beginSeconds(), nudge));
      },
    },
    nudgeables: [
      ...(sites.has("finger")
        ? [sensor("fingerClip", "finger", given.fitAt === undefined ? clipChoices : ["by-itself", ...clipChoices])]
        : []),
      ...(sites.has("chest") ? [sensor("electrodes", "chest", ["on", "off"])] : []),
      ...(sites.has("probe") ? [sensor("probe", "probe", ["on", "off"])] : []),
      {
        name: "power",
        choices: ["on", "off"],
        apply: (choice) => {
          powerChanges.push({ atSeconds: beginSeconds(), power: choice === "off" ? "off" : "on" });
          return succeed(undefined);
        },
      },
    ],
  };
}

/** One on whom nothing is planned is well by themselves. */
function patientChoices(course: CourseName): readonly NudgeChoice[] {
  const worse = ["breathing-fails", "bleeding", "heart-stops"] as const;
  return COURSES[course].keyframes.length === 0 ? ["well", ...worse] : ["by-itself", "well", ...worse];
}
