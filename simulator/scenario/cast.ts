import { resolve } from "node:path";
import type { Driver, PatientBody, Twin } from "../../src/core/ports.ts";
import { fail, type Result, succeed } from "../../src/core/result.ts";
import { RELEASED_AT_MS } from "../../src/core/time.ts";
import { type Course, type CourseLine, createCourseLine, type Keyframe } from "../body/courses.ts";
import { createDayLife, type DayLife, roomBody } from "../body/day.ts";
import { createPatient } from "../body/patient.ts";
import { STRAIN_NAMES, type StrainName } from "../body/strain.ts";
import { type LifePlan, livingTwin, type MakeTwin, PLAIN_LIFE } from "../devices/living-twin.ts";
import { agedBody, lackingBody } from "../devices/sensors.ts";
import { type FitChange, fitPlan, SITES, wornBody } from "../devices/worn.ts";
import { seedOfPart } from "../random.ts";
import { createRecordBody, type RecordBodyError } from "../recordings/record-body.ts";
import { type RecordingError, readRecording, recordingTwin } from "../recordings/recording.ts";
import { readWfdbRecord, type WfdbError } from "../recordings/wfdb.ts";
import type { Scenario, ScenarioDevice, ScenarioPatient } from "./schema.ts";

/** One device of a scenario, ready to be switched on. */
export interface CastDevice {
  readonly device: ScenarioDevice;
  readonly driver: Driver;
  readonly twin: Twin;
  /** What its sensors see. */
  readonly body: PatientBody;
  /** Options of its driver, as texts. */
  readonly options: Readonly<Record<string, string>>;
  /** When its cable is pulled and put back, in rising order of time. */
  readonly cable: readonly { readonly atSeconds: number; readonly in: boolean }[];
  /** When its link is bad, where it is. */
  readonly linkSeed: number;
}

/** Steps of the body while time is cut coarsely; finer ones would only take longer. */
const COARSE_STEP_SECONDS = 10;

/** Why somebody or something of a scenario cannot be made. */
export interface CastError {
  readonly deviceId: string;
  readonly error: RecordingError | WfdbError | RecordBodyError;
}

/** From one message of a raw recording to the next, which has no times of its own. */
const RAW_MESSAGE_MS = 1000;
const MS_PER_SECOND = 1000;

/**
 * Everybody and everything of a scenario, made from one seed.
 *
 * @param given.folder         Where the recordings lie that devices play.
 * @param given.wallAtStartMs  What a clock that is right shows when the scenario begins, in milliseconds since 1970; that of the simulated
 *                             world where left out.
 */
export async function castOf(
  scenario: Scenario,
  given: {
    readonly seed: number;
    readonly folder: string;
    readonly findDriver: (id: string) => Driver | null;
    readonly wallAtStartMs?: number;
  },
): Promise<Result<readonly CastDevice[], CastError>> {
  const { seed, folder, findDriver, wallAtStartMs = simulatedStartMs(scenario) } = given;
  const bodies = new Map<string, PatientBody>();
  const lives = new Map<string, DayLife>();
  for (const [index, patient] of scenario.patients.entries()) {
    const patientSeed = seedOfPart(seed, index);
    const life = patient.atHome ? createDayLife(seedOfPart(patientSeed, 30), clockSecondsAtStart(scenario)) : null;
    if (life !== null) lives.set(patient.id, life);
    bodies.set(patient.id, bodyOf(patient, scenario, { seed: patientSeed, life }));
  }
  const cast: CastDevice[] = [];
  for (const [index, device] of scenario.devices.entries()) {
    const driver = findDriver(device.driver);
    if (driver === null) continue;
    const deviceSeed = seedOfPart(seed, 10_000 + index);
    const options = Object.fromEntries(
      Object.entries(device.options).map(([key, value]) => [
        key,
        typeof value === "object" ? JSON.stringify(value) : String(value),
      ]),
    );
    const played = await playedBy(device, { driver, folder });
    if (!played.ok) return fail({ deviceId: device.id, error: played.error });
    const life = lives.get(device.on ?? "");
    const roomSeen = device.room === undefined || life === undefined ? undefined : roomBody(life, device.room, deviceSeed);
    const wearer = played.value?.body ?? roomSeen ?? wearerOf(device, bodies);
    const fits = fitPlan(fitChanges(device, wearer === undefined), null);
    const body = sensedBody(wornBody(wearer ?? nobody(deviceSeed), fits, deviceSeed), device, seedOfPart(deviceSeed, 1));
    const zeroMs = wallAtStartMs - clockSecondsAtStart(scenario) * MS_PER_SECOND;
    const make = played.value?.make ?? makeOf(device, { driver, options, zeroMs });
    const twin = livingTwin(make, body, planOf(device, scenario));
    cast.push({ device, driver, options, cable: cableOf(device), body, twin, linkSeed: seedOfPart(seed, 20_000 + index) });
  }
  return succeed(cast);
}

/** What a device's sensors make of a body that they sit on. */
function sensedBody(worn: PatientBody, device: ScenarioDevice, seed: number): PatientBody {
  const renewedAtSeconds = device.life.flatMap(({ at, newSensors }) => (newSensors === true ? [at] : []));
  return lackingBody(agedBody(worn, { ageings: device.ageing, renewedAtSeconds, seed }), device.lacks);
}

/** How a device is switched on, with what its clock shows then: a clock that is not set begins anew each time. */
function makeOf(
  device: ScenarioDevice,
  given: { readonly driver: Driver; readonly options: Readonly<Record<string, string>>; readonly zeroMs: number },
): MakeTwin {
  const { variant, clockUnset, clockAhead = 0, clockBehind = 0 } = device;
  const setMs = given.zeroMs + (clockAhead - clockBehind) * MS_PER_SECOND;
  return (body, onSinceMs) =>
    given.driver.twin(body, given.options, {
      clockAtZeroMs: clockUnset === undefined ? setMs : Date.parse(clockUnset) - onSinceMs,
      ...(variant === undefined ? {} : { variant }),
    });
}

/** A recording that a device plays: a body that was recorded, or the very bytes of a device. */
interface Played {
  readonly body?: PatientBody;
  readonly make?: MakeTwin;
}

async function playedBy(
  device: ScenarioDevice,
  { driver, folder }: { readonly driver: Driver; readonly folder: string },
): Promise<Result<Played | null, CastError["error"]>> {
  if (device.plays === undefined) return succeed(null);
  const file = resolve(folder, device.plays);
  if (!file.endsWith(".hea")) {
    const recording = await readRecording({ file, driver, messageMs: RAW_MESSAGE_MS });
    return recording.ok ? succeed({ make: () => recordingTwin(recording.value) }) : recording;
  }
  const record = await readWfdbRecord(file);
  if (!record.ok) return record;
  const body = createRecordBody([record.value], { atEnd: "again" });
  return body.ok ? succeed({ body: body.value }) : body;
}

/** The body that a device is on; another one from each moment on at which its life says so. */
function wearerOf(device: ScenarioDevice, bodies: ReadonlyMap<string, PatientBody>): PatientBody | undefined {
  const first = device.on === undefined ? undefined : bodies.get(device.on);
  const changes = device.life.flatMap(({ at, on }) => {
    const body = on === undefined ? undefined : bodies.get(on);
    return body === undefined ? [] : [{ at, body }];
  });
  if (first === undefined || changes.length === 0) return first;
  const at = (atMs: number) => changes.findLast((change) => change.at * 1000 <= atMs)?.body ?? first;
  return { quantity: (name, atMs) => at(atMs).quantity(name, atMs), wave: (name, atMs) => at(atMs).wave(name, atMs) };
}

/** When a scenario begins in the simulated world, in milliseconds since 1970: on the first day on which a clock may be believed. */
export function simulatedStartMs(scenario: Scenario): number {
  return RELEASED_AT_MS + clockSecondsAtStart(scenario) * MS_PER_SECOND;
}

function clockSecondsAtStart({ startsAt }: Scenario): number {
  const [hours = 0, minutes = 0] = startsAt.split(":").map(Number);
  return hours * 3600 + minutes * 60;
}

function bodyOf(
  patient: ScenarioPatient,
  scenario: Scenario,
  { seed, life }: { readonly seed: number; readonly life: DayLife | null },
): PatientBody {
  const course = createCourseLine(courseOf(patient));
  return createPatient({
    course: life === null ? course : livedCourse(course, life),
    seed,
    profile: patient.profile,
    arterialLine: patient.arterialLine,
    clockSecondsAtStart: clockSecondsAtStart(scenario),
    stepSeconds: scenario.grain > 1 ? COARSE_STEP_SECONDS : 1,
  });
}

/** A course with the work of a day at home added. */
function livedCourse(course: CourseLine, life: DayLife): CourseLine {
  return {
    ...course,
    strainsAt: (seconds) => {
      const strains = course.strainsAt(seconds);
      return { ...strains, exertion: Math.min(1, strains.exertion + life.at(seconds).exertion) };
    },
  };
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

function planOf(device: ScenarioDevice, scenario: Scenario): LifePlan {
  // A twin's zero is midnight of the scenario's first day; a recording has its own times.
  const startSeconds = device.plays === undefined ? clockSecondsAtStart(scenario) : 0;
  return {
    ...PLAIN_LIFE,
    changes: device.life.map(({ at, power, frozen }) => ({ atSeconds: at, power, frozen })),
    everySeconds: device.every ?? null,
    batterySeconds: device.batteryLasts ?? null,
    clock: { startMs: startSeconds * MS_PER_SECOND, driftPpm: device.clockDriftPpm ?? 0 },
  };
}

function cableOf(device: ScenarioDevice): CastDevice["cable"] {
  return device.life.flatMap(({ at, cable }) => (cable === undefined ? [] : [{ atSeconds: at, in: cable === "in" }]));
}
