import { absent, present, type Reading } from "../../src/core/observation.ts";
import type { PatientBody } from "../../src/core/ports.ts";
import { QUANTITIES, type QuantityName, type WaveformName } from "../../src/core/quantities.ts";
import { createRandom, seedOfPart } from "../random.ts";
import { type BodyHistory, createBodyHistory } from "./body-history.ts";
import { type Course, type CourseLine, createCourseLine } from "./courses.ts";
import { normalAt } from "./noise.ts";
import type { Constitution } from "./physiology.ts";
import { type Profile, profileOf, type Usual, type WhichProfile } from "./profile.ts";
import { type BeatLine, createBeatLine, hasPulse } from "./rhythm.ts";
import {
  arterialShape,
  atrialFlicker,
  breathShape,
  ecgMillivolts,
  type PulseShape,
  plethShape,
  ventricularFlicker,
} from "./wave-shapes.ts";

/** Monitors average: heart rate over 8 s, respiration over 12 s, saturation over 6 s. Source: usual settings of bedside monitors. */
const HEART_RATE_WINDOW_SECONDS = 8;
const RESPIRATION_WINDOW_SECONDS = 12;
const SATURATION_WINDOW_SECONDS = 6;
/** From the R peak to the foot of the pulse at the wrist and at the finger. Source: usual pulse arrival times of adults. */
const WRIST_DELAY_SECONDS = 0.15;
const FINGER_DELAY_SECONDS = 0.2;
/** A cuff takes a pressure when the monitor is switched on and then this often. */
const CUFF_PERIOD_SECONDS = 300;
/** Breathing in quickens the heart (respiratory sinus arrhythmia); the greatest lead of the beat, in beats. */
const SINUS_ARRHYTHMIA_BEATS = 0.025;
/** Breathing moves the arterial pressure by this much to each side. */
const BREATHING_PRESSURE_MMHG = 2;
/** Lead I sees the heart's axis of about 50 degrees at 0, lead II at 60 degrees. */
const LEAD_I_SHARE = 0.65;
/** No pulse is higher than this beside the mean: the diastolic pressure would be less than half of it, as with a valve that leaks. */
const PULSE_OF_MEAN_MAX = 1.4;
/** Below this perfusion an oximeter finds no pulse. */
const PERFUSION_PERCENT_MIN = 0.15;
/** From this perfusion on its wave fills the screen. */
const PERFUSION_PERCENT_FULL = 0.3;
/** Fewer beats than this in the window are none. */
const BEATS_MIN = 0.8;
const BREATHS_PER_MIN_MIN = 2.5;
/** An oximeter is wrong by about this much from person to person. Source: accuracy of 2 % (root mean square) in makers' data sheets, halved for a resting finger. */
const SATURATION_BIAS_PERCENT = 0.6;
/** Beats before the start, so that averages over the seconds before it have some. */
const EARLIER_BEATS = 1000;
const MORNING_SECONDS = 10 * 3600;

/** What a seeded patient is made from. */
export interface PatientOptions {
  readonly course: Course | CourseLine;
  /** The same seed gives the same person: resting values, swings and phases. */
  readonly seed: number;
  readonly profile?: WhichProfile;
  /** Whether a catheter lies in an artery; without one arterial pressures are `sensor-off`. True where it is not said. */
  readonly arterialLine?: boolean;
  /** Time of day when the twin is switched on, in seconds since midnight; ten in the morning where it is not said. */
  readonly clockSecondsAtStart?: number;
  /** How finely the body is reckoned; 1 where it is not said, more for courses of weeks. */
  readonly stepSeconds?: number;
}

/**
 * A body that follows a course, with natural variability about it. Times are milliseconds since its twin was switched on.
 *
 * The same time gives the same answer. Beats and breaths lie on the integrals of their rates, so that the waves show exactly the beats
 * that the numbers count. Between waves: pulse waves follow the R peak, the heart quickens with breathing in, pressure swings with breathing.
 */
export function createPatient(options: PatientOptions): PatientBody {
  const body = createBody(options);
  const wave = createWaves(body);
  return { quantity: (name, atMs) => quantityOf(body, name, atMs / 1000), wave: (name, atMs) => wave(name, atMs / 1000) };
}

interface Body {
  readonly history: BodyHistory;
  readonly course: CourseLine;
  readonly person: Constitution;
  /** Heart beats since some beat before the start, with the breath's pull on the heart. */
  readonly phase: (seconds: number) => number;
  readonly breaths: (seconds: number) => number;
  readonly beatLine: BeatLine;
  readonly arterialLine: boolean;
  /** The pulse in the artery, which also says where the mean pressure lies. */
  readonly artery: PulseShape;
  readonly cuffErrorMmhg: (takenIndex: number) => number;
  readonly saturationBiasPercent: number;
}

function createBody(options: PatientOptions): Body {
  const { seed } = options;
  const course = "strainsAt" in options.course ? options.course : createCourseLine(options.course);
  const profile = profileOf(options.profile ?? "adult");
  const person = constitutionOf(profile, seed);
  const history = createBodyHistory({
    person,
    profile,
    course,
    seed: seedOfPart(seed, 10),
    stepSeconds: options.stepSeconds ?? 1,
    clockSecondsAtStart: options.clockSecondsAtStart ?? MORNING_SECONDS,
  });
  const startBreaths = createRandom(seedOfPart(seed, 11))();
  const breaths = (seconds: number) => startBreaths + history.at("breaths", seconds);
  // The part of the phase before a beat's first step is room for what lies before the start.
  const phase = (seconds: number) =>
    EARLIER_BEATS + history.at("beats", seconds) + SINUS_ARRHYTHMIA_BEATS * Math.sin(2 * Math.PI * breaths(seconds));
  return {
    history,
    course,
    person,
    phase,
    breaths,
    beatLine: createBeatLine(seedOfPart(seed, 12)),
    arterialLine: options.arterialLine ?? true,
    artery: arterialShape(),
    cuffErrorMmhg: (takenIndex) => 3 * normalAt(seedOfPart(seed, 13), takenIndex),
    saturationBiasPercent: SATURATION_BIAS_PERCENT * normalAt(seedOfPart(seed, 14), 0),
  };
}

/** Draws one person of a profile. */
function constitutionOf(profile: Profile, seed: number): Constitution {
  let drawn = 0;
  /** Within two and a half spreads, so that no seed gives somebody who could not be. */
  const draw = ({ mean, spread, shape }: Usual) => {
    drawn += 1;
    const spreads = Math.max(-2.5, Math.min(2.5, normalAt(seedOfPart(seed, 20), drawn)));
    if (shape === "normal") return mean + spread * spreads;
    // A log-normal number has this mean and this spread.
    const variance = Math.log1p((spread / mean) ** 2);
    return mean * Math.exp(Math.sqrt(variance) * spreads - variance / 2);
  };
  const ageYears = Math.max(0, draw(profile.ageYears));
  const heartRateBpm = draw(profile.heartRateBpm);
  return {
    weightKg: Math.max(2, draw(profile.weightKg)),
    heartRateBpm,
    heartRateBpmMax: Math.max(220 - ageYears, heartRateBpm + 40),
    respiratoryRatePerMin: Math.max(6, draw(profile.respiratoryRatePerMin)),
    meanPressureMmhg: Math.max(45, draw(profile.meanPressureMmhg)),
    pulsePressureMmhg: Math.max(18, draw(profile.pulsePressureMmhg)),
    temperatureCelsius: draw(profile.temperatureCelsius),
    shuntFraction: Math.max(0.005, draw(profile.shuntFraction)),
    carbonDioxideMmhg: draw(profile.carbonDioxideMmhg),
    glucoseMmolPerL: Math.max(3.8, draw(profile.glucoseMmolPerL)),
    perfusionIndexPercent: Math.max(0.4, draw(profile.perfusionIndexPercent)),
  };
}

function createWaves(body: Body): (name: WaveformName, seconds: number) => number {
  const finger = plethShape();
  const { beatLine, phase, history, course } = body;
  /** Beats that were made up to a moment; its fraction says how far the next one is. */
  const beatsAt = (seconds: number) => beatLine.countAt(phase(seconds), course.rhythmAt(seconds));
  const pulsing = (seconds: number) => hasPulse(course.rhythmAt(seconds));
  return (name, seconds) => {
    switch (name) {
      case "ecgLeadI":
        return LEAD_I_SHARE * ecgAt(body, seconds);
      case "ecgLeadII":
      case "ecgUnknownLead":
        return ecgAt(body, seconds);
      case "respiration":
        return Math.min(1, history.at("breathDepth", seconds)) * breathShape(body.breaths(seconds));
      case "plethysmogram": {
        if (!pulsing(seconds)) return 0.05;
        // An oximeter turns its gain up as far as it can.
        const height = Math.min(1, history.at("perfusionIndexPercent", seconds) / PERFUSION_PERCENT_FULL);
        return 0.05 + 0.9 * height * finger.at(beatsAt(seconds - FINGER_DELAY_SECONDS));
      }
      case "arterialPressure": {
        if (!body.arterialLine) return 0;
        const { diastolic, systolic } = pressuresAt(body, seconds);
        if (!pulsing(seconds)) return diastolic;
        const breathingMmhg = BREATHING_PRESSURE_MMHG * (1 - 2 * breathShape(body.breaths(seconds)));
        return diastolic + breathingMmhg + (systolic - diastolic) * body.artery.at(beatsAt(seconds - WRIST_DELAY_SECONDS));
      }
      case "bloodPressure2":
        return 0;
    }
  };
}

function ecgAt({ course, history, phase, beatLine }: Body, seconds: number): number {
  const rhythm = course.rhythmAt(seconds);
  // Nobody's line is quite flat: electrodes drift with the breath.
  if (rhythm === "asystole") return 0.03 * Math.sin(0.9 * seconds);
  if (rhythm === "ventricular-fibrillation") return ventricularFlicker(seconds);
  const beatSeconds = 60 / history.at("heartRateBpm", seconds);
  const now = phase(seconds);
  const { last, next } = beatLine.around(now, rhythm);
  const rrSeconds = Math.max(0.2, (next.phase - last.phase) * beatSeconds);
  const hasP = rhythm !== "atrial-fibrillation";
  const before = { sinceSeconds: (now - last.phase) * beatSeconds, rrSeconds, kind: last.kind, hasP };
  const after = { sinceSeconds: (now - next.phase) * beatSeconds, rrSeconds, kind: next.kind, hasP: hasP };
  return ecgMillivolts(before) + ecgMillivolts(after) + (hasP ? 0 : atrialFlicker(seconds));
}

/** Systolic, mean and diastolic; where the mean lies between them is the shape of the pulse. */
function pressuresAt({ history, artery }: Body, seconds: number) {
  const mean = history.at("meanPressureMmhg", seconds);
  const pulse = Math.min(history.at("pulsePressureMmhg", seconds), PULSE_OF_MEAN_MAX * mean);
  const diastolic = mean - artery.mean * pulse;
  return { mean, diastolic, systolic: diastolic + pulse };
}

function quantityOf(body: Body, name: QuantityName, seconds: number): Reading {
  const { history } = body;
  const value = (number: number, more: { readonly held: boolean } = { held: false }) =>
    present(name, number, QUANTITIES[name].unit, more);
  switch (name) {
    case "heartRate":
    case "rrInterval": {
      const perMin = beatsPerMin(body, seconds);
      if (perMin === null) return absent(name, "no-signal");
      return value(name === "heartRate" ? perMin : lastIntervalMs(body, seconds));
    }
    case "respiratoryRate": {
      const perMin = breathsPerMin(body, seconds);
      // A chest that stands still is counted as 0 by an impedance monitor.
      return value(perMin < BREATHS_PER_MIN_MIN ? 0 : perMin);
    }
    case "pulseRate":
    case "oxygenSaturation":
    case "perfusionIndex":
      return fingerQuantity(body, name, seconds);
    case "systolicPressure":
    case "diastolicPressure":
    case "meanPressure":
    case "cuffPulseRate":
      return cuffQuantity(body, name, seconds);
    case "arterialSystolicPressure":
      return body.arterialLine ? value(pressuresAt(body, seconds).systolic) : absent(name, "sensor-off");
    case "arterialDiastolicPressure":
      return body.arterialLine ? value(pressuresAt(body, seconds).diastolic) : absent(name, "sensor-off");
    case "arterialMeanPressure":
      return body.arterialLine ? value(pressuresAt(body, seconds).mean) : absent(name, "sensor-off");
    case "bodyTemperature":
      return value(history.at("temperatureCelsius", seconds));
    case "endTidalCarbonDioxide":
      return value(breathsPerMin(body, seconds) < BREATHS_PER_MIN_MIN ? 0 : history.at("endTidalCarbonDioxideMmhg", seconds));
    case "bloodGlucose":
      return value(history.at("glucoseMmolPerL", seconds));
    case "bodyWeight":
      return value(body.person.weightKg + body.course.strainsAt(seconds).fluidKg);
    case "batteryLevel":
    case "motion":
    case "presence":
    case "opening":
    case "vibration":
    case "waterLeak":
    case "smoke":
    case "combustibleGas":
    case "carbonMonoxide":
    case "tampering":
    case "ambientTemperature":
    case "relativeHumidity":
    case "illuminance":
      return absent(name, "not-available");
  }
}

/** Beats over the last seconds, as monitors count them; null where there are none. */
function beatsPerMin(body: Body, seconds: number): number | null {
  const { beatLine, phase, course } = body;
  if (!hasPulse(course.rhythmAt(seconds))) return null;
  const fromSeconds = seconds - HEART_RATE_WINDOW_SECONDS;
  if (fromSeconds < 0) return Math.max(1, body.history.at("heartRateBpm", seconds));
  const beats =
    beatLine.countAt(phase(seconds), course.rhythmAt(seconds)) -
    beatLine.countAt(phase(fromSeconds), course.rhythmAt(fromSeconds));
  return beats < BEATS_MIN ? null : (beats * 60) / HEART_RATE_WINDOW_SECONDS;
}

function lastIntervalMs({ beatLine, phase, course, history }: Body, seconds: number): number {
  const { last, next } = beatLine.around(phase(seconds), course.rhythmAt(seconds));
  return ((next.phase - last.phase) * 60_000) / Math.max(1, history.at("heartRateBpm", seconds));
}

function breathsPerMin({ history }: Body, seconds: number): number {
  const fromSeconds = seconds - RESPIRATION_WINDOW_SECONDS;
  if (fromSeconds < 0) return history.at("respiratoryRatePerMin", seconds);
  return ((history.at("breaths", seconds) - history.at("breaths", fromSeconds)) * 60) / RESPIRATION_WINDOW_SECONDS;
}

function fingerQuantity(body: Body, name: "pulseRate" | "oxygenSaturation" | "perfusionIndex", seconds: number): Reading {
  const { history } = body;
  const unit = QUANTITIES[name].unit;
  const perfusionPercent = history.at("perfusionIndexPercent", seconds);
  const perMin = beatsPerMin(body, seconds - FINGER_DELAY_SECONDS);
  if (perMin === null || perfusionPercent < PERFUSION_PERCENT_MIN) return absent(name, "no-signal");
  switch (name) {
    case "pulseRate":
      return present(name, perMin, unit);
    case "oxygenSaturation": {
      const from = seconds - SATURATION_WINDOW_SECONDS;
      const middle = (from + seconds) / 2;
      const percent =
        (history.at("saturationPercent", from) +
          history.at("saturationPercent", middle) +
          history.at("saturationPercent", seconds)) /
        3;
      return present(name, Math.min(100, Math.max(1, percent + body.saturationBiasPercent)), unit);
    }
    case "perfusionIndex":
      return present(name, perfusionPercent, unit);
  }
}

function cuffQuantity(
  body: Body,
  name: "systolicPressure" | "diastolicPressure" | "meanPressure" | "cuffPulseRate",
  seconds: number,
): Reading {
  const takenIndex = Math.max(0, Math.floor(seconds / CUFF_PERIOD_SECONDS));
  const takenSeconds = takenIndex * CUFF_PERIOD_SECONDS;
  const errorMmhg = body.cuffErrorMmhg(takenIndex);
  const { systolic, diastolic, mean } = pressuresAt(body, takenSeconds);
  const perMin = beatsPerMin(body, takenSeconds);
  // A cuff that feels no pulse gives no result.
  if (perMin === null) return absent(name, "no-signal");
  const held = (value: number) => present(name, value, QUANTITIES[name].unit, { held: true });
  switch (name) {
    case "systolicPressure":
      return held(systolic + errorMmhg);
    case "diastolicPressure":
      return held(diastolic + errorMmhg / 2);
    case "meanPressure":
      return held(mean + errorMmhg / 2);
    case "cuffPulseRate":
      return held(perMin);
  }
}
