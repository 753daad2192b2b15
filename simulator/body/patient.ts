import { absent, present, type Reading } from "../../src/core/observation.ts";
import type { PatientBody } from "../../src/core/ports.ts";
import { QUANTITIES, type QuantityName, type WaveformName } from "../../src/core/quantities.ts";
import { createRandom, seedOfPart } from "../random.ts";
import type { BodyState, Course, Disturbance } from "./courses.ts";
import { linearTrack, sumOfTracks, type Track, wanderingTrack } from "./track.ts";
import { arterialShape, breathShape, ecgMillivolts, type PulseShape, plethShape } from "./wave-shapes.ts";

/** Monitors average: heart rate over 8 s, respiration over 12 s, saturation over 6 s. Source: usual settings of bedside monitors. */
const HEART_RATE_WINDOW_SECONDS = 8;
const RESPIRATION_WINDOW_SECONDS = 12;
const SATURATION_WINDOW_SECONDS = 6;
/** From the R peak to the foot of the pulse at the wrist and at the finger. Source: usual pulse arrival times of adults. */
const WRIST_DELAY_SECONDS = 0.15;
const FINGER_DELAY_SECONDS = 0.2;
/** How long an oximeter looks for the pulse after the clip is back. */
const PULSE_SEARCH_SECONDS = 6;
/** A cuff takes a pressure when the monitor is switched on and then this often. */
const CUFF_PERIOD_SECONDS = 300;
/** Breathing in quickens the heart (respiratory sinus arrhythmia); the greatest lead of the beat, in beats. */
const SINUS_ARRHYTHMIA_BEATS = 0.025;
/** Breathing moves the arterial pressure by this much to each side. */
const BREATHING_PRESSURE_MMHG = 2;
/** Phases are exact at these steps and even between them, which is what makes a wave cheap. */
const PHASE_STEP_SECONDS = 0.25;
const PHASE_MEMO_STEPS = 64;
/** Lead I sees the heart's axis of about 50 degrees at 0, lead II at 60 degrees. */
const LEAD_I_SHARE = 0.65;

/** What a seeded patient is made from. */
export interface PatientOptions {
  readonly course: Course;
  /** The same seed gives the same person: resting values, swings and phases. */
  readonly seed: number;
  /** Whether a catheter lies in an artery; without one arterial pressures are `sensor-off`. True where it is not said. */
  readonly arterialLine?: boolean;
}

/**
 * A body that follows a course, with natural variability about it. Times are milliseconds since its twin was switched on.
 *
 * Everything is a pure function of time: beats and breaths are phases, which are integrals of the rates, so that the waves show
 * exactly the beats that the numbers count. Between waves: pulse waves follow the R peak, the heart quickens with breathing in,
 * pressure swings with breathing and with the slow swings of the vessels.
 */
export function createPatient(options: PatientOptions): PatientBody {
  const body = createBody(options);
  const wave = createWaves(body);
  return { quantity: (name, atMs) => quantityOf(body, name, atMs / 1000), wave: (name, atMs) => wave(name, atMs / 1000) };
}

interface Body {
  readonly heartRateBpm: Track;
  readonly respiratoryRatePerMin: Track;
  readonly oxygenSaturationPercent: Track;
  readonly systolicMmhg: Track;
  readonly diastolicMmhg: Track;
  readonly temperatureCelsius: Track;
  readonly endTidalCarbonDioxideMmhg: Track;
  readonly perfusionIndexPercent: Track;
  /** Beats since some R peak before the start. */
  readonly beats: (seconds: number) => number;
  readonly breaths: (seconds: number) => number;
  readonly disturbedAt: (kind: Disturbance["kind"], seconds: number) => boolean;
  readonly arterialLine: boolean;
  /** The pulse in the artery, which also says where the mean pressure lies. */
  readonly artery: PulseShape;
  readonly cuffErrorMmhg: (takenIndex: number) => number;
}

function createBody(options: PatientOptions): Body {
  const { course, seed } = options;
  const random = createRandom(seed);
  const between = (low: number, high: number) => low + (high - low) * random();
  const track = (name: keyof BodyState, offset: number, swings: Parameters<typeof wanderingTrack>[0]): Track => {
    const points = course.keyframes.flatMap((frame: { atSeconds: number; state: Partial<BodyState> }) => {
      const value = frame.state[name];
      return value === undefined ? [] : [{ atSeconds: frame.atSeconds, value }];
    });
    return sumOfTracks(offset, [linearTrack(points, course.repeatSeconds), wanderingTrack(swings, random)]);
  };
  const heartRateBpm = track("heartRateBpm", between(-5, 5), [
    { amplitude: 1.6, periodSeconds: 71 },
    { amplitude: 0.9, periodSeconds: 23 },
    // Mayer waves: the vessels' own rhythm of about 0.1 Hz.
    { amplitude: 0.8, periodSeconds: 10 },
  ]);
  const respiratoryRatePerMin = track("respiratoryRatePerMin", between(-1.2, 1.2), [
    { amplitude: 0.7, periodSeconds: 83 },
    { amplitude: 0.4, periodSeconds: 31 },
  ]);
  const pressureSwings = [
    { amplitude: 2, periodSeconds: 57 },
    { amplitude: 1.5, periodSeconds: 10 },
  ];
  const startBeats = random();
  const startBreaths = random();
  const breaths = evenBetweenSteps((seconds) => startBreaths + respiratoryRatePerMin.integralAt(seconds) / 60);
  const beats = evenBetweenSteps(
    (seconds) =>
      startBeats + heartRateBpm.integralAt(seconds) / 60 + SINUS_ARRHYTHMIA_BEATS * Math.sin(2 * Math.PI * breaths(seconds)),
  );
  return {
    heartRateBpm,
    respiratoryRatePerMin,
    oxygenSaturationPercent: track("oxygenSaturationPercent", between(-0.6, 0.6), [
      { amplitude: 0.35, periodSeconds: 47 },
      { amplitude: 0.25, periodSeconds: 19 },
    ]),
    systolicMmhg: track("systolicMmhg", between(-6, 6), pressureSwings),
    diastolicMmhg: track("diastolicMmhg", between(-4, 4), pressureSwings),
    temperatureCelsius: track("temperatureCelsius", between(-0.2, 0.2), [{ amplitude: 0.06, periodSeconds: 600 }]),
    endTidalCarbonDioxideMmhg: track("endTidalCarbonDioxideMmhg", between(-1.5, 1.5), [{ amplitude: 0.8, periodSeconds: 41 }]),
    perfusionIndexPercent: track("perfusionIndexPercent", between(-0.2, 0.2), [{ amplitude: 0.12, periodSeconds: 37 }]),
    beats,
    breaths,
    disturbedAt: disturbanceCheck(course),
    arterialLine: options.arterialLine ?? true,
    artery: arterialShape(),
    cuffErrorMmhg: (takenIndex) => 6 * createRandom(seedOfPart(seed, takenIndex))() - 3,
  };
}

function disturbanceCheck(course: Course): Body["disturbedAt"] {
  return (kind, seconds) => {
    const inCourse = course.repeatSeconds === null || seconds < 0 ? seconds : seconds % course.repeatSeconds;
    return course.disturbances.some((each) => each.kind === kind && inCourse >= each.fromSeconds && inCourse < each.toSeconds);
  };
}

/** The same function, exact at whole steps and even between them; remembers the last steps, which changes no answer. */
function evenBetweenSteps(exact: (seconds: number) => number): (seconds: number) => number {
  const memo = new Float64Array(PHASE_MEMO_STEPS);
  const memoSteps = new Float64Array(PHASE_MEMO_STEPS).fill(Number.NaN);
  const atStep = (step: number): number => {
    const slot = ((step % PHASE_MEMO_STEPS) + PHASE_MEMO_STEPS) % PHASE_MEMO_STEPS;
    if (memoSteps[slot] === step) return memo[slot] ?? 0;
    const value = exact(step * PHASE_STEP_SECONDS);
    memo[slot] = value;
    memoSteps[slot] = step;
    return value;
  };
  return (seconds) => {
    const position = seconds / PHASE_STEP_SECONDS;
    const step = Math.floor(position);
    const low = atStep(step);
    return low + (position - step) * (atStep(step + 1) - low);
  };
}

function createWaves(body: Body): (name: WaveformName, seconds: number) => number {
  const finger = plethShape();
  const ecg = (seconds: number) => {
    if (body.disturbedAt("electrodes-off", seconds)) return 0;
    const step = Math.floor(seconds / PHASE_STEP_SECONDS) * PHASE_STEP_SECONDS;
    const beatsPerSecond = (body.beats(step + PHASE_STEP_SECONDS) - body.beats(step)) / PHASE_STEP_SECONDS;
    return beatsPerSecond <= 0 ? 0 : ecgMillivolts(body.beats(seconds), 1 / beatsPerSecond);
  };
  return (name, seconds) => {
    switch (name) {
      case "ecgLeadI":
        return LEAD_I_SHARE * ecg(seconds);
      case "ecgLeadII":
      case "ecgUnknownLead":
        return ecg(seconds);
      case "respiration":
        return body.disturbedAt("electrodes-off", seconds) ? 0 : breathShape(body.breaths(seconds));
      case "plethysmogram":
        return body.disturbedAt("finger-clip-off", seconds)
          ? 0
          : 0.05 + 0.9 * finger.at(body.beats(seconds - FINGER_DELAY_SECONDS));
      case "arterialPressure": {
        if (!body.arterialLine) return 0;
        const diastolicMmhg = body.diastolicMmhg.valueAt(seconds);
        const pulseMmhg = body.systolicMmhg.valueAt(seconds) - diastolicMmhg;
        const breathingMmhg = BREATHING_PRESSURE_MMHG * (1 - 2 * breathShape(body.breaths(seconds)));
        return diastolicMmhg + breathingMmhg + pulseMmhg * body.artery.at(body.beats(seconds - WRIST_DELAY_SECONDS));
      }
      case "bloodPressure2":
        return 0;
    }
  };
}

function quantityOf(body: Body, name: QuantityName, seconds: number): Reading {
  const value = (number: number, more: { readonly held: boolean } = { held: false }) =>
    present(name, number, QUANTITIES[name].unit, more);
  switch (name) {
    case "heartRate":
    case "rrInterval": {
      if (body.disturbedAt("electrodes-off", seconds)) return absent(name, "sensor-off");
      const perMin = perMinute(body.beats, seconds, name === "heartRate" ? HEART_RATE_WINDOW_SECONDS : PHASE_STEP_SECONDS);
      return value(name === "heartRate" ? perMin : 60_000 / perMin);
    }
    case "respiratoryRate":
      if (body.disturbedAt("electrodes-off", seconds)) return absent(name, "sensor-off");
      return value(perMinute(body.breaths, seconds, RESPIRATION_WINDOW_SECONDS));
    case "pulseRate":
    case "oxygenSaturation":
    case "perfusionIndex":
      return fingerQuantity(body, name, seconds);
    case "systolicPressure":
    case "diastolicPressure":
    case "meanPressure":
    case "cuffPulseRate":
      return value(cuffQuantity(body, name, seconds), { held: true });
    case "arterialSystolicPressure":
    case "arterialDiastolicPressure":
    case "arterialMeanPressure":
      return body.arterialLine ? value(arterialQuantity(body, name, seconds)) : absent(name, "sensor-off");
    case "bodyTemperature":
      return value(body.temperatureCelsius.valueAt(seconds));
    case "endTidalCarbonDioxide":
      return value(body.endTidalCarbonDioxideMmhg.valueAt(seconds));
    case "bloodGlucose":
    case "bodyWeight":
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

function fingerQuantity(body: Body, name: "pulseRate" | "oxygenSaturation" | "perfusionIndex", seconds: number): Reading {
  if (body.disturbedAt("finger-clip-off", seconds)) return absent(name, "sensor-off");
  if (body.disturbedAt("finger-clip-off", seconds - PULSE_SEARCH_SECONDS)) return absent(name, "searching");
  const unit = QUANTITIES[name].unit;
  switch (name) {
    case "pulseRate":
      return present(name, perMinute(body.beats, seconds - FINGER_DELAY_SECONDS, HEART_RATE_WINDOW_SECONDS), unit);
    case "oxygenSaturation":
      return present(
        name,
        Math.min(100, Math.max(1, meanOver(body.oxygenSaturationPercent, seconds, SATURATION_WINDOW_SECONDS))),
        unit,
      );
    case "perfusionIndex":
      return present(name, Math.max(0.02, body.perfusionIndexPercent.valueAt(seconds)), unit);
  }
}

function cuffQuantity(
  body: Body,
  name: "systolicPressure" | "diastolicPressure" | "meanPressure" | "cuffPulseRate",
  seconds: number,
): number {
  const takenIndex = Math.max(0, Math.floor(seconds / CUFF_PERIOD_SECONDS));
  const takenSeconds = takenIndex * CUFF_PERIOD_SECONDS;
  const errorMmhg = body.cuffErrorMmhg(takenIndex);
  switch (name) {
    case "systolicPressure":
      return body.systolicMmhg.valueAt(takenSeconds) + errorMmhg;
    case "diastolicPressure":
      return body.diastolicMmhg.valueAt(takenSeconds) + errorMmhg / 2;
    case "meanPressure":
      return arterialQuantity(body, "arterialMeanPressure", takenSeconds) + errorMmhg / 2;
    case "cuffPulseRate":
      return perMinute(body.beats, takenSeconds, HEART_RATE_WINDOW_SECONDS);
  }
}

function arterialQuantity(
  body: Body,
  name: "arterialSystolicPressure" | "arterialDiastolicPressure" | "arterialMeanPressure",
  seconds: number,
): number {
  const systolicMmhg = body.systolicMmhg.valueAt(seconds);
  const diastolicMmhg = body.diastolicMmhg.valueAt(seconds);
  switch (name) {
    case "arterialSystolicPressure":
      return systolicMmhg;
    case "arterialDiastolicPressure":
      return diastolicMmhg;
    case "arterialMeanPressure":
      return diastolicMmhg + body.artery.mean * (systolicMmhg - diastolicMmhg);
  }
}

/** How often something came per minute over the last `windowSeconds`. */
function perMinute(phase: (seconds: number) => number, seconds: number, windowSeconds: number): number {
  return ((phase(seconds) - phase(seconds - windowSeconds)) * 60) / windowSeconds;
}

function meanOver(track: Track, seconds: number, windowSeconds: number): number {
  return (track.integralAt(seconds) - track.integralAt(seconds - windowSeconds)) / windowSeconds;
}
