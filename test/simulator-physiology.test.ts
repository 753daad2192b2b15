import { describe, expect, test } from "vitest";
import { type Course, createCourseLine } from "../simulator/body/courses.ts";
import { createWandering, normalAt } from "../simulator/body/noise.ts";
import { createPatient } from "../simulator/body/patient.ts";
import { type BodyMoment, type Constitution, createPhysiology, restingBody, saturationAt } from "../simulator/body/physiology.ts";
import type { WhichProfile } from "../simulator/body/profile.ts";
import { createBeatLine, type Rhythm } from "../simulator/body/rhythm.ts";
import { STRAIN_NAMES, STRAINS, type StrainName, type Strains } from "../simulator/body/strain.ts";
import { ecgMillivolts } from "../simulator/body/wave-shapes.ts";
import type { PatientBody } from "../src/core/ports.ts";
import type { QuantityName } from "../src/core/quantities.ts";

const PERSON: Constitution = {
  weightKg: 70,
  heartRateBpm: 75,
  heartRateBpmMax: 165,
  respiratoryRatePerMin: 15,
  meanPressureMmhg: 91,
  pulsePressureMmhg: 48,
  temperatureCelsius: 36.8,
  shuntFraction: 0.03,
  carbonDioxideMmhg: 39,
  glucoseMmolPerL: 5.4,
  perfusionIndexPercent: 3.2,
};
const STILL = { temperatureCelsius: 0, shuntFraction: 0, shuntFactor: 1, heartRestShare: 0 };
const REST = Object.fromEntries(STRAIN_NAMES.map((name) => [name, STRAINS[name].rest])) as Record<StrainName, number>;

/** The body after so many minutes of a strain that began at once. */
function bodyAfter(minutes: number, laid: Partial<Strains>, stepSeconds = 1, before: Partial<Strains> = {}): BodyMoment {
  const physiology = createPhysiology(PERSON);
  const memory = restingBody(PERSON);
  const strains = { ...REST, ...laid };
  for (let seconds = 0; seconds < 600; seconds += stepSeconds)
    physiology.advance(memory, { strains: { ...REST, ...before }, drift: STILL, stepSeconds });
  for (let seconds = 0; seconds < minutes * 60; seconds += stepSeconds)
    physiology.advance(memory, { strains, drift: STILL, stepSeconds });
  return physiology.moment(memory, strains, STILL);
}

const systolicOf = ({ meanPressureMmhg, pulsePressureMmhg }: BodyMoment) => meanPressureMmhg + (2 / 3) * pulsePressureMmhg;

describe("the physiology answers as textbooks say", () => {
  test("at rest nothing moves", () => {
    const [early, late] = [bodyAfter(1, {}), bodyAfter(240, {})];
    expect(late.heartRateBpm).toBeCloseTo(75, 0);
    expect(late.respiratoryRatePerMin).toBeCloseTo(14.7, 0);
    expect(late.saturationPercent).toBeCloseTo(97, 0);
    for (const field of Object.keys(early) as (keyof BodyMoment)[])
      expect(Math.abs(late[field] - early[field]), field).toBeLessThan(0.5);
  });

  test("haemoglobin holds half its oxygen at 27 mmHg and 97.5 % at 100 (Severinghaus)", () => {
    expect(saturationAt(26.9)).toBeCloseTo(0.5, 2);
    expect(saturationAt(100)).toBeCloseTo(0.975, 2);
  });

  test("a breath that stops: saturation still over 90 after half a minute, under 85 after a minute and a half, carbon dioxide up", () => {
    expect(bodyAfter(0.5, { opioidEffect: 1 }).saturationPercent).toBeGreaterThan(90);
    const later = bodyAfter(1.5, { opioidEffect: 1 });
    expect(later.saturationPercent).toBeLessThan(85);
    expect(later.respiratoryRatePerMin).toBe(0);
    expect(later.endTidalCarbonDioxideMmhg).toBeGreaterThan(bodyAfter(0, {}).endTidalCarbonDioxideMmhg + 3);
    // The same with oxygen beforehand takes far longer.
    expect(bodyAfter(1.5, { opioidEffect: 1, oxygenFraction: 1 }, 1, { oxygenFraction: 1 }).saturationPercent).toBeGreaterThan(
      94,
    );
  });

  test("an opioid slows the breath and lets carbon dioxide rise; oxygen hides it from the oximeter", () => {
    const onAir = bodyAfter(15, { opioidEffect: 0.8 });
    const onOxygen = bodyAfter(15, { opioidEffect: 0.8, oxygenFraction: 0.4 });
    expect(onAir.respiratoryRatePerMin).toBeLessThan(11);
    expect(onAir.saturationPercent).toBeLessThan(93);
    expect(onOxygen.saturationPercent).toBeGreaterThan(96);
    expect(onOxygen.endTidalCarbonDioxideMmhg).toBeGreaterThan(48);
  });

  test("blood loss: pulse pressure falls first, heart rate rises, then pressure falls (classes II and III)", () => {
    const rest = bodyAfter(10, {});
    const [second, third] = [bodyAfter(10, { bloodLossFraction: 0.2 }), bodyAfter(10, { bloodLossFraction: 0.4 })];
    expect(second.pulsePressureMmhg).toBeLessThan(0.8 * rest.pulsePressureMmhg);
    expect(second.meanPressureMmhg).toBeGreaterThan(0.9 * rest.meanPressureMmhg);
    expect(second.heartRateBpm).toBeGreaterThan(rest.heartRateBpm + 8);
    expect(systolicOf(third)).toBeLessThan(95);
    expect(third.heartRateBpm).toBeGreaterThan(100);
    expect(third.respiratoryRatePerMin).toBeGreaterThan(rest.respiratoryRatePerMin + 2);
  });

  test("sepsis: warm, quick heart and breath, low pressure, less oxygen", () => {
    const sick = bodyAfter(180, { vasodilation: 0.75, feverCelsius: 2.2, shuntFraction: 0.2, bloodLossFraction: 0.15 });
    expect(sick.temperatureCelsius).toBeGreaterThan(38.8);
    expect(sick.heartRateBpm).toBeGreaterThan(120);
    expect(sick.respiratoryRatePerMin).toBeGreaterThanOrEqual(24);
    expect(systolicOf(sick)).toBeLessThan(106);
    expect(sick.saturationPercent).toBeLessThan(94);
  });

  test("fever alone: about nine beats a degree", () => {
    const warm = bodyAfter(240, { feverCelsius: 2 });
    expect(warm.temperatureCelsius).toBeCloseTo(38.8, 1);
    expect(warm.heartRateBpm - bodyAfter(10, {}).heartRateBpm).toBeGreaterThan(14);
    expect(warm.heartRateBpm - bodyAfter(10, {}).heartRateBpm).toBeLessThan(28);
  });

  test("work: heart, breath and systolic pressure rise, saturation holds, and all of it passes", () => {
    const busy = bodyAfter(5, { exertion: 0.4 });
    expect(busy.heartRateBpm).toBeGreaterThan(95);
    expect(busy.respiratoryRatePerMin).toBeGreaterThan(22);
    expect(systolicOf(busy)).toBeGreaterThan(systolicOf(bodyAfter(5, {})));
    expect(busy.saturationPercent).toBeGreaterThan(95);
  });

  test("narrow airways: quick shallow breath, carbon dioxide kept, less oxygen", () => {
    const narrow = bodyAfter(60, { airwayObstruction: 0.75 });
    expect(narrow.respiratoryRatePerMin).toBeGreaterThan(24);
    expect(narrow.breathDepth).toBeLessThan(0.6);
    expect(narrow.saturationPercent).toBeLessThan(95);
    expect(narrow.endTidalCarbonDioxideMmhg).toBeGreaterThan(bodyAfter(10, {}).endTidalCarbonDioxideMmhg + 5);
  });

  test("narrow vessels for long: 160/110, and the heart does not answer", () => {
    const narrow = bodyAfter(60, { vasoconstriction: 0.5 });
    expect(systolicOf(narrow)).toBeGreaterThan(155);
    expect(narrow.heartRateBpm).toBeGreaterThan(65);
  });

  test("insulin lowers the glucose under 3.9 within the hour, and without it it comes back", () => {
    expect(bodyAfter(60, { insulinMmolPerLPerHour: 4 }).glucoseMmolPerL).toBeLessThan(3.5);
    expect(bodyAfter(600, {}).glucoseMmolPerL).toBeCloseTo(5.4, 1);
  });

  test.each(STRAIN_NAMES)("%s at either end leaves a body whose figures are finite, steps of 1 s and of 10 s agree", (name) => {
    for (const value of [STRAINS[name].min, STRAINS[name].max]) {
      const [fine, coarse] = [bodyAfter(20, { [name]: value }, 1), bodyAfter(20, { [name]: value }, 10)];
      for (const field of Object.keys(fine) as (keyof BodyMoment)[]) {
        expect(Number.isFinite(fine[field]), `${field} at ${value}`).toBe(true);
        const scale = Math.max(1, Math.abs(fine[field]));
        expect(Math.abs(coarse[field] - fine[field]) / scale, `${field} at ${value}`).toBeLessThan(0.06);
      }
    }
  });
});

describe("natural variability", () => {
  test("wandering has the deviation that is asked for, no trend, and any time may be asked", () => {
    const wander = createWandering([{ deviation: 3, periodSeconds: 50 }], 17);
    const values = Array.from({ length: 40_000 }, (_, index) => wander(index * 7.3));
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    const deviation = Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length);
    expect(Math.abs(mean)).toBeLessThan(0.2);
    expect(deviation).toBeGreaterThan(2.85);
    expect(deviation).toBeLessThan(3.15);
    expect(createWandering([{ deviation: 3, periodSeconds: 50 }], 17)(1234 * 7.3)).toBe(values[1234]);
  });

  test("normal numbers of a seed are normal", () => {
    const values = Array.from({ length: 50_000 }, (_, index) => normalAt(99, index));
    const within = (limit: number) => values.filter((value) => Math.abs(value) < limit).length / values.length;
    expect(within(1)).toBeCloseTo(0.683, 1);
    expect(within(2)).toBeCloseTo(0.954, 2);
  });
});

// ------------------------------------------------------------------------ rhythms

function intervalsOf(rhythm: Rhythm, count: number): readonly number[] {
  const line = createBeatLine(5);
  const intervals: number[] = [];
  let phase = 16;
  while (intervals.length < count) {
    const { last, next } = line.around(phase, rhythm);
    intervals.push(next.phase - last.phase);
    phase = next.phase + 1e-9;
  }
  return intervals;
}

const spreadOf = (values: readonly number[]) => {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  return { mean, share: Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length) / mean };
};

describe("rhythms", () => {
  test("sinus beats are even, fibrillating atria as uneven as real ones, and both as many as the rate says", () => {
    const [sinus, fibrillation] = [spreadOf(intervalsOf("sinus", 1600)), spreadOf(intervalsOf("atrial-fibrillation", 1600))];
    expect(sinus.mean).toBeCloseTo(1, 2);
    expect(sinus.share).toBeLessThan(0.02);
    expect(fibrillation.mean).toBeCloseTo(1, 2);
    // 25 real records (MIT-BIH AF database): the middle half lies between these.
    expect(fibrillation.share).toBeGreaterThan(0.18);
    expect(fibrillation.share).toBeLessThan(0.26);
  });

  test("an ectopic beat comes early and is followed by a pause that makes up for it", () => {
    const line = createBeatLine(8);
    let ectopics = 0;
    let phase = 16;
    while (phase < 1600) {
      const { last, next } = line.around(phase, "ventricular-ectopics");
      if (next.kind === "ectopic") {
        ectopics += 1;
        const { next: afterIt } = line.around(next.phase + 1e-9, "ventricular-ectopics");
        expect(next.phase - last.phase).toBeLessThan(0.75);
        expect(afterIt.phase - next.phase).toBeGreaterThan(1.25);
      }
      phase = next.phase + 1e-9;
    }
    expect(ectopics).toBeGreaterThan(80);
    expect(ectopics).toBeLessThan(300);
  });

  const inRhythm = (rhythm: Rhythm, more: Partial<Record<StrainName, number>> = {}) =>
    createPatient({
      course: {
        keyframes: [
          { atSeconds: 0, strains: more },
          { atSeconds: 60, rhythm },
        ],
        repeatSeconds: null,
      },
      seed: 3,
    });

  test.each(["asystole", "ventricular-fibrillation"] as const)(
    "%s: no rate, no pulse, no saturation, no pressure wave",
    (rhythm) => {
      const body = inRhythm(rhythm);
      for (const name of ["heartRate", "pulseRate", "oxygenSaturation"] as const) {
        expect(body.quantity(name, 50_000).kind, name).toBe("present");
        expect(body.quantity(name, 80_000), name).toMatchObject({ kind: "absent", why: "no-signal" });
      }
      expect(numberOf(body, "arterialMeanPressure", 90)).toBeLessThan(20);
      const ecg = Array.from({ length: 1000 }, (_, index) => body.wave("ecgLeadII", 90_000 + index * 4));
      const height = Math.max(...ecg) - Math.min(...ecg);
      if (rhythm === "asystole") expect(height).toBeLessThan(0.1);
      else expect(height).toBeGreaterThan(0.6);
    },
  );

  test("fibrillating atria show no P wave, and the R-R interval jumps", () => {
    const body = inRhythm("atrial-fibrillation", { heartRateShift: 60 });
    const gaps = Array.from({ length: 60 }, (_, index) => numberOf(body, "rrInterval", 70 + index));
    expect(spreadOf(gaps).share).toBeGreaterThan(0.1);
    const quiet = { sinceSeconds: -1 / 6, rrSeconds: 1, kind: "normal" } as const;
    expect(ecgMillivolts({ ...quiet, hasP: true })).toBeGreaterThan(0.2);
    expect(Math.abs(ecgMillivolts({ ...quiet, hasP: false }))).toBeLessThan(0.02);
  });

  test("the ECG's closed form follows McSharry's differential equation", () => {
    expect(
      correlation(
        mcsharryBeat(),
        Array.from({ length: 500 }, (_, index) => sinusEcg((index - 250) / 500)),
      ),
    ).toBeGreaterThan(0.99);
  });
});

/** Lead II at 60 beats a minute, with the neighbours' share. */
function sinusEcg(sinceSeconds: number): number {
  const beat = (shift: number) => ecgMillivolts({ sinceSeconds: sinceSeconds - shift, rrSeconds: 1, kind: "normal", hasP: true });
  return beat(-1) + beat(0) + beat(1);
}

/**
 * One beat of the model as published, integrated step by step from -pi to pi: dz/dt = -sum a_i dTheta_i exp(-dTheta_i^2 / 2 b_i^2) - z.
 * Source: McSharry and others, IEEE Trans Biomed Eng 50:289 (2003), equation 1 and table 1.
 */
function mcsharryBeat(): readonly number[] {
  const waves = [
    { at: -Math.PI / 3, a: 1.2, b: 0.25 },
    { at: -Math.PI / 12, a: -5, b: 0.1 },
    { at: 0, a: 30, b: 0.1 },
    { at: Math.PI / 12, a: -7.5, b: 0.1 },
    { at: Math.PI / 2, a: 0.75, b: 0.4 },
  ];
  const stepSeconds = 1 / 5000;
  const samples: number[] = [];
  let z = 0;
  for (let step = 0; step < 10_000; step++) {
    const theta = 2 * Math.PI * (((step * stepSeconds) % 1) - 0.5);
    let slope = -z;
    for (const { at, a, b } of waves) {
      const distance = ((theta - at + 3 * Math.PI) % (2 * Math.PI)) - Math.PI;
      slope -= a * distance * Math.exp(-(distance ** 2) / (2 * b ** 2)) * 2 * Math.PI;
    }
    if (step >= 5000 && step % 10 === 0) samples.push(z);
    z += slope * stepSeconds;
  }
  return samples;
}

function correlation(first: readonly number[], second: readonly number[]): number {
  const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const [a, b] = [mean(first), mean(second)];
  let both = 0;
  let ofFirst = 0;
  let ofSecond = 0;
  for (const [index, value] of first.entries()) {
    const other = second[index] ?? 0;
    both += (value - a) * (other - b);
    ofFirst += (value - a) ** 2;
    ofSecond += (other - b) ** 2;
  }
  return both / Math.sqrt(ofFirst * ofSecond);
}

// ----------------------------------------------------------------------- persons

function numberOf(body: PatientBody, name: QuantityName, seconds: number): number {
  const reading = body.quantity(name, seconds * 1000);
  if (reading.kind === "absent") throw new Error(`${name} is absent at ${seconds} s: ${reading.why}`);
  return reading.value;
}

const STABLE: Course = { keyframes: [], repeatSeconds: null };

describe("profiles", () => {
  const usually = (profile: WhichProfile, name: QuantityName) => {
    const values = Array.from({ length: 12 }, (_, index) =>
      numberOf(createPatient({ course: STABLE, seed: index + 1, profile }), name, 400),
    );
    return values.reduce((sum, value) => sum + value, 0) / values.length;
  };

  test("COPD lives between 88 and 92 %, with more carbon dioxide", () => {
    for (let seed = 1; seed <= 12; seed++) {
      const percent = numberOf(createPatient({ course: STABLE, seed, profile: "copd" }), "oxygenSaturation", 400);
      expect(percent, `seed ${seed}`).toBeGreaterThan(86.5);
      expect(percent, `seed ${seed}`).toBeLessThan(93.5);
    }
    expect(usually("copd", "endTidalCarbonDioxide")).toBeGreaterThan(usually("adult", "endTidalCarbonDioxide") + 6);
  });

  test.each([
    [0.1, 143, 43],
    [2.5, 110, 28],
    [7, 91, 21],
    [14, 78, 18],
  ])("a child of %d years: heart %d and breath %d a minute, as the centiles' medians", (childYears, heartRate, breath) => {
    expect(Math.abs(usually({ childYears }, "heartRate") - heartRate)).toBeLessThan(7);
    expect(Math.abs(usually({ childYears }, "respiratoryRate") - breath)).toBeLessThan(3);
  });

  test("late in pregnancy the heart is quicker and the pressure lower; the old have stiffer vessels", () => {
    expect(usually("pregnant", "heartRate")).toBeGreaterThan(usually("adult", "heartRate") + 6);
    expect(usually("pregnant", "arterialMeanPressure")).toBeLessThan(usually("adult", "arterialMeanPressure") - 3);
    const pulse = (profile: WhichProfile) =>
      usually(profile, "arterialSystolicPressure") - usually(profile, "arterialDiastolicPressure");
    expect(pulse("elderly")).toBeGreaterThan(pulse("adult") + 5);
  });

  test("the night is slower and cooler than the afternoon", () => {
    const at = (hour: number) => createPatient({ course: STABLE, seed: 4, clockSecondsAtStart: hour * 3600, stepSeconds: 10 });
    const [night, day] = [at(0), at(12)];
    const mean = (body: PatientBody, name: QuantityName) =>
      Array.from({ length: 60 }, (_, index) => numberOf(body, name, 7200 + index * 120)).reduce((sum, value) => sum + value, 0) /
      60;
    expect(mean(night, "heartRate")).toBeLessThan(mean(day, "heartRate") - 3);
    expect(mean(night, "bodyTemperature")).toBeLessThan(mean(day, "bodyTemperature") - 0.2);
  });
});

describe("courses", () => {
  test("a strain begins at rest, changes evenly, stays, and begins anew", () => {
    const line = createCourseLine({
      keyframes: [
        { atSeconds: 10, strains: { pain: 0 } },
        { atSeconds: 20, strains: { pain: 0.5 }, rhythm: "atrial-fibrillation" },
      ],
      repeatSeconds: 30,
    });
    expect([5, 15, 25, 35, 45].map((seconds) => line.strainsAt(seconds).pain)).toEqual([0, 0.25, 0.5, 0, 0.25]);
    expect([5, 25, 35].map(line.rhythmAt)).toEqual(["sinus", "atrial-fibrillation", "sinus"]);
    expect(line.strainsAt(25).oxygenFraction).toBe(0.21);
  });
});
