import { seedOfPart } from "../random.ts";
import type { CourseLine } from "./courses.ts";
import { createWandering, normalAt, type Swing, type Wandering } from "./noise.ts";
import { type BodyMemory, type BodyMoment, type Constitution, createPhysiology, type Drift, restingBody } from "./physiology.ts";
import type { Profile } from "./profile.ts";
import { hasPulse } from "./rhythm.ts";

/** What is known of the body at each step. */
const FIELDS = [
  "heartRateBpm",
  "respiratoryRatePerMin",
  "breathDepth",
  "saturationPercent",
  "meanPressureMmhg",
  "pulsePressureMmhg",
  "temperatureCelsius",
  "endTidalCarbonDioxideMmhg",
  "perfusionIndexPercent",
  "glucoseMmolPerL",
  /** Heart beats and breaths since the start. */
  "beats",
  "breaths",
] as const;

/** The name of something that is known of the body at each step. */
export type BodyField = (typeof FIELDS)[number];

const PLACES = Object.fromEntries(FIELDS.map((field, place) => [field, place])) as Readonly<Record<BodyField, number>>;

/** Steps that are kept; what is older is reckoned again from the beginning. */
const STEPS_KEPT = 512;
const HEART_RATE_MAX = 260;
const HEART_RATE_LEAST = 18;
/** A body without a pulse gasps for about so long. */
const LAST_BREATHS_SECONDS = 40;
/** Where pressure and carbon dioxide come to rest when the heart stands still. */
const STILL_PRESSURE_MMHG = 14;
const STILL_CARBON_DIOXIDE_MMHG = 8;
const PERFUSION_PERCENT_LEAST = 0.02;

/** A body over time. */
export interface BodyHistory {
  /** A field's value, even between steps. Seconds from when the twin was switched on; before that it is what it was then. */
  readonly at: (field: BodyField, seconds: number) => number;
}

/**
 * Reckons a body forward, step by step, as far as it is asked. The same seed and the same questions give the same answers, in any order:
 * what lies further back than the steps that are kept is reckoned anew.
 *
 * @param given.clockSecondsAtStart  Time of day at 0 s, which sets night and day.
 */
export function createBodyHistory(given: {
  readonly person: Constitution;
  readonly profile: Profile;
  readonly course: CourseLine;
  readonly seed: number;
  readonly stepSeconds: number;
  readonly clockSecondsAtStart: number;
}): BodyHistory {
  const { person, profile, course, stepSeconds } = given;
  const physiology = createPhysiology(person);
  const wander = wanderings(profile, given.seed);
  const ring = new Float64Array(STEPS_KEPT * FIELDS.length);
  let memory: BodyMemory = restingBody(person);
  let newest = -1;
  let beats = 0;
  let breaths = 0;
  /** For how long the heart has stood still. */
  let stillSeconds = 0;

  const driftAt = (seconds: number): Drift => {
    const day = dayShare(given.clockSecondsAtStart + seconds);
    return {
      temperatureCelsius: wander.temperature(seconds) - profile.dayTemperatureCelsius * Math.cos(2 * Math.PI * (day - 5 / 24)),
      shuntFraction: wander.shunt(seconds),
      shuntFactor: Math.exp(wander.shuntLogarithm(seconds)),
      heartRestShare: profile.nightHeartShare * nightAt(day),
    };
  };
  const begin = () => {
    memory = restingBody(person);
    newest = -1;
    beats = 0;
    breaths = 0;
    stillSeconds = 0;
    // What a course lays on at its very start has been there for some time.
    const strains = course.strainsAt(0);
    const drift = driftAt(0);
    for (let step = 0; step < SETTLING_STEPS; step++)
      physiology.advance(memory, { strains, drift, stepSeconds: SETTLING_SECONDS });
  };
  const step = () => {
    newest += 1;
    const seconds = newest * stepSeconds;
    const strains = course.strainsAt(seconds);
    const drift = driftAt(seconds);
    if (newest > 0) physiology.advance(memory, { strains, drift, stepSeconds });
    const moment = physiology.moment(memory, strains, drift);
    const beating = hasPulse(course.rhythmAt(seconds));
    stillSeconds = beating ? 0 : stillSeconds + stepSeconds;
    const now = livingMoment(moment, wander, { seconds, beating, stillSeconds });
    const offset = (newest % STEPS_KEPT) * FIELDS.length;
    for (const [place, field] of FIELDS.entries())
      ring[offset + place] = field === "beats" ? beats : field === "breaths" ? breaths : now[field];
    beats += (now.heartRateBpm / 60) * stepSeconds;
    breaths += (now.respiratoryRatePerMin / 60) * stepSeconds;
  };
  begin();
  return {
    at: (field, seconds) => {
      const position = Math.max(0, seconds) / stepSeconds;
      const index = Math.floor(position);
      if (index <= newest - STEPS_KEPT) begin();
      while (newest < index + 1) step();
      const place = PLACES[field];
      const low = ring[(index % STEPS_KEPT) * FIELDS.length + place] ?? 0;
      const high = ring[((index + 1) % STEPS_KEPT) * FIELDS.length + place] ?? 0;
      return low + (position - index) * (high - low);
    },
  };
}

/** What the physiology says, with what wanders about it; a heart that does not beat moves nothing. */
function livingMoment(
  moment: BodyMoment,
  wander: Wanderings,
  { seconds, beating, stillSeconds }: { readonly seconds: number; readonly beating: boolean; readonly stillSeconds: number },
): BodyMoment {
  const breathing = moment.respiratoryRatePerMin;
  const respiratoryRatePerMin =
    breathing === 0 ? 0 : Math.max(2, breathing + Math.min(1, breathing / 10) * wander.breath(seconds));
  if (!beating)
    return {
      ...moment,
      respiratoryRatePerMin:
        stillSeconds > LAST_BREATHS_SECONDS ? 0 : respiratoryRatePerMin * (1 - stillSeconds / LAST_BREATHS_SECONDS),
      heartRateBpm: 0,
      meanPressureMmhg: STILL_PRESSURE_MMHG,
      pulsePressureMmhg: 0,
      endTidalCarbonDioxideMmhg: STILL_CARBON_DIOXIDE_MMHG,
      perfusionIndexPercent: PERFUSION_PERCENT_LEAST,
    };
  return {
    ...moment,
    respiratoryRatePerMin,
    heartRateBpm: Math.min(HEART_RATE_MAX, Math.max(HEART_RATE_LEAST, moment.heartRateBpm + wander.heart(seconds))),
    meanPressureMmhg: Math.max(STILL_PRESSURE_MMHG, moment.meanPressureMmhg + wander.pressure(seconds)),
    pulsePressureMmhg: Math.max(6, moment.pulsePressureMmhg + wander.pulse(seconds)),
    perfusionIndexPercent: Math.max(PERFUSION_PERCENT_LEAST, moment.perfusionIndexPercent),
  };
}

/** An hour in steps of ten seconds brings every store but the temperature to rest. */
const SETTLING_STEPS = 360;
const SETTLING_SECONDS = 10;

type WanderingName = "heart" | "breath" | "pressure" | "pulse" | "shunt" | "shuntLogarithm" | "temperature";
type Wanderings = Readonly<Record<WanderingName, Wandering>>;

function wanderings(profile: Profile, seed: number): Wanderings {
  const { within } = profile;
  /** How far this person's values go beside the profile's, for each quantity by its own lot. */
  const restlessness = (part: number) => Math.exp(profile.restlessnessSpread * normalAt(seedOfPart(seed, 20), part));
  const wandering = (swings: readonly Swing[], part: number) => {
    const factor = restlessness(part);
    return createWandering(
      swings.map(({ deviation, periodSeconds }) => ({ deviation: deviation * factor, periodSeconds })),
      seedOfPart(seed, part),
    );
  };
  return {
    heart: wandering(within.heartRateBpm, 1),
    breath: wandering(within.respiratoryRatePerMin, 2),
    pressure: wandering(within.meanPressureMmhg, 3),
    pulse: wandering(within.pulsePressureMmhg, 4),
    shunt: wandering(within.shuntFraction, 5),
    temperature: wandering(within.temperatureCelsius, 6),
    shuntLogarithm: wandering(within.shuntLogarithm, 7),
  };
}

/** The share of the day that is over. */
function dayShare(clockSeconds: number): number {
  const share = clockSeconds / 86_400;
  return share - Math.floor(share);
}

/** 1 in the depth of the night, 0 by day, with half an hour of falling asleep (from 22:30) and of waking (to 6:30). */
function nightAt(day: number): number {
  const hours = day * 24;
  const since = hours >= 12 ? hours - 22.5 : hours + 1.5;
  if (since < 0 || since > 8) return 0;
  return Math.min(1, since / 0.5, (8 - since) / 0.5);
}
