import type { Driver, PatientBody, Twin } from "../../src/core/ports.ts";
import { type Course, createCourseLine, type Keyframe } from "../body/courses.ts";
import { createPatient } from "../body/patient.ts";
import { STRAIN_NAMES, type StrainName } from "../body/strain.ts";
import { type LifePlan, livingTwin, PLAIN_LIFE } from "../devices/living-twin.ts";
import { type FitChange, fitPlan, SITES, wornBody } from "../devices/worn.ts";
import { seedOfPart } from "../random.ts";
import type { Scenario, ScenarioDevice, ScenarioPatient } from "./schema.ts";

/** One device of a scenario, ready to be switched on. */
export interface CastDevice {
  readonly device: ScenarioDevice;
  readonly driver: Driver;
  readonly twin: Twin;
  /** Options of its driver, as texts. */
  readonly options: Readonly<Record<string, string>>;
  /** When its cable is pulled and put back, in rising order of time. */
  readonly cable: readonly { readonly atSeconds: number; readonly in: boolean }[];
  /** When its link is bad, where it is. */
  readonly linkSeed: number;
}

/** Steps of the body while time is cut coarsely; finer ones would only take longer. */
const COARSE_STEP_SECONDS = 10;

/** Everybody and everything of a scenario, made from one seed. */
export function castOf(scenario: Scenario, seed: number, findDriver: (id: string) => Driver | null): readonly CastDevice[] {
  const bodies = new Map<string, PatientBody>();
  for (const [index, patient] of scenario.patients.entries())
    bodies.set(patient.id, bodyOf(patient, scenario, seedOfPart(seed, index)));
  return scenario.devices.flatMap((device, index) => {
    const driver = findDriver(device.driver);
    if (driver === null) return [];
    const deviceSeed = seedOfPart(seed, 10_000 + index);
    const options = Object.fromEntries(
      Object.entries(device.options).map(([key, value]) => [
        key,
        typeof value === "object" ? JSON.stringify(value) : String(value),
      ]),
    );
    const body = device.on === undefined ? undefined : bodies.get(device.on);
    const worn = wornBody(body ?? nobody(deviceSeed), fitPlan(fitChanges(device, body === undefined), null), deviceSeed);
    const twin = livingTwin(driver, worn, { options, plan: planOf(device) });
    return [{ device, driver, options, cable: cableOf(device), twin, linkSeed: seedOfPart(seed, 20_000 + index) }];
  });
}

function bodyOf(patient: ScenarioPatient, scenario: Scenario, seed: number): PatientBody {
  const [hours = 0, minutes = 0] = scenario.startsAt.split(":").map(Number);
  return createPatient({
    course: createCourseLine(courseOf(patient)),
    seed,
    profile: patient.profile,
    arterialLine: patient.arterialLine,
    clockSecondsAtStart: hours * 3600 + minutes * 60,
    stepSeconds: scenario.grain > 1 ? COARSE_STEP_SECONDS : 1,
  });
}

function courseOf(patient: ScenarioPatient): Course {
  const keyframes = patient.course.map((entry): Keyframe => {
    const strains: Partial<Record<StrainName, number>> = {};
    for (const name of STRAIN_NAMES) {
      const value = entry[name];
      if (value !== undefined) strains[name] = value;
    }
    return { atSeconds: entry.at, strains, ...(entry.rhythm === undefined ? {} : { rhythm: entry.rhythm }) };
  });
  return { keyframes, repeatSeconds: null };
}

/** A body for a device that lies on a table: none of its sensors sees it. */
function nobody(seed: number): PatientBody {
  return createPatient({ course: { keyframes: [], repeatSeconds: null }, seed });
}

function fitChanges(device: ScenarioDevice, onTable: boolean): readonly FitChange[] {
  if (onTable) return SITES.map((site) => ({ atSeconds: 0, site, fit: "off" }));
  return device.life.flatMap((entry) =>
    SITES.flatMap((site) => {
      const fit = entry[site];
      return fit === undefined ? [] : [{ atSeconds: entry.at, site, fit }];
    }),
  );
}

function planOf(device: ScenarioDevice): LifePlan {
  return {
    ...PLAIN_LIFE,
    changes: device.life.map(({ at, power, frozen }) => ({ atSeconds: at, power, frozen })),
    everySeconds: device.every ?? null,
    batterySeconds: device.batteryLasts ?? null,
  };
}

function cableOf(device: ScenarioDevice): CastDevice["cable"] {
  return device.life.flatMap(({ at, cable }) => (cable === undefined ? [] : [{ atSeconds: at, in: cable === "in" }]));
}
