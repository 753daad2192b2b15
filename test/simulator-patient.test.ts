import { describe, expect, test } from "vitest";
import { COURSES, type CourseName } from "../simulator/body/courses.ts";
import { createPatient } from "../simulator/body/patient.ts";
import { linearTrack } from "../simulator/body/track.ts";
import { fitPlan, wornBody } from "../simulator/devices/worn.ts";
import type { PatientBody } from "../src/core/ports.ts";
import { QUANTITIES, QUANTITY_NAMES, type QuantityName, WAVEFORMS, type WaveformName } from "../src/core/quantities.ts";

const COURSE_NAMES: readonly CourseName[] = ["stable", "deterioration"];
/** A finger clip that is off from 60 s to 150 s of every five minutes. */
const CLIP = fitPlan(
  [
    { atSeconds: 60, site: "finger", fit: "off" },
    { atSeconds: 150, site: "finger", fit: "on" },
  ],
  300,
);
const SEEDS = [1, 2, 3, 17, 4711];
const WAVE_NAMES = Object.keys(WAVEFORMS) as WaveformName[];

const patient = (course: CourseName, seed: number) => createPatient({ course: COURSES[course], seed });

function numberOf(body: PatientBody, name: QuantityName, atSeconds: number): number {
  const reading = body.quantity(name, atSeconds * 1000);
  if (reading.kind === "absent") throw new Error(`${name} is absent at ${atSeconds} s: ${reading.why}`);
  return reading.value;
}

/** Times in seconds at which a wave crosses a level upwards. */
function risesThrough(
  wave: (atMs: number) => number,
  level: number,
  from: { readonly fromSeconds: number; readonly toSeconds: number },
) {
  const stepMs = 4;
  const times: number[] = [];
  for (let atMs = from.fromSeconds * 1000; atMs < from.toSeconds * 1000; atMs += stepMs) {
    if (wave(atMs) < level && wave(atMs + stepMs) >= level) times.push(atMs / 1000);
  }
  return times;
}

describe("a simulated patient", () => {
  test.each(COURSE_NAMES)("%s: the same seed and time give the same answer, whatever was asked before", (course) => {
    const first = patient(course, 5);
    const second = patient(course, 5);
    const times = Array.from({ length: 60 }, (_, index) => index * 7777);
    const ask = (body: PatientBody, atMs: number) => [
      ...QUANTITY_NAMES.map((name) => body.quantity(name, atMs)),
      ...WAVE_NAMES.map((name) => body.wave(name, atMs)),
    ];
    const forwards = times.map((atMs) => ask(first, atMs));
    const backwards = times.toReversed().map((atMs) => ask(second, atMs));
    expect(backwards.toReversed()).toEqual(forwards);
  });

  test("another seed is another person", () => {
    const rates = SEEDS.map((seed) => Math.round(numberOf(patient("stable", seed), "heartRate", 30) * 100));
    expect(new Set(rates).size).toBe(SEEDS.length);
  });

  test.each(COURSE_NAMES)("%s: every value is in its canonical unit and possible, for hours", (course) => {
    for (const seed of SEEDS) {
      const body = patient(course, seed);
      for (let atSeconds = 0; atSeconds < 4 * 3600; atSeconds += 37) {
        for (const name of QUANTITY_NAMES) {
          const reading = body.quantity(name, atSeconds * 1000);
          if (reading.kind === "absent") continue;
          const { possible, unit } = QUANTITIES[name];
          const where = `${name} of seed ${seed} at ${atSeconds} s`;
          expect(reading.unit, where).toBe(unit);
          expect(reading.value, where).toBeGreaterThanOrEqual(possible.min);
          expect(reading.value, where).toBeLessThanOrEqual(possible.max);
        }
      }
    }
  });

  test.each(SEEDS)("stable, seed %i: within the bands of NEWS2 that earn no point, for an hour", (seed) => {
    const body = patient("stable", seed);
    for (let atSeconds = 0; atSeconds < 3600; atSeconds += 11) {
      const within = (name: QuantityName, low: number, high: number) => {
        const value = numberOf(body, name, atSeconds);
        expect(value, `${name} at ${atSeconds} s`).toBeGreaterThanOrEqual(low);
        expect(value, `${name} at ${atSeconds} s`).toBeLessThanOrEqual(high);
      };
      within("heartRate", 51, 90);
      within("respiratoryRate", 12, 20);
      within("oxygenSaturation", 95.5, 100);
      within("systolicPressure", 111, 219);
      within("bodyTemperature", 36.1, 38);
    }
  });

  test("it is alive: no value stands still and pressures keep their order", () => {
    const body = patient("stable", 8);
    const rates = new Set<number>();
    for (let atSeconds = 0; atSeconds < 600; atSeconds += 5) {
      rates.add(Math.round(numberOf(body, "heartRate", atSeconds)));
      const systolic = numberOf(body, "arterialSystolicPressure", atSeconds);
      const mean = numberOf(body, "arterialMeanPressure", atSeconds);
      const diastolic = numberOf(body, "arterialDiastolicPressure", atSeconds);
      expect(systolic).toBeGreaterThan(mean);
      expect(mean).toBeGreaterThan(diastolic);
    }
    expect(rates.size).toBeGreaterThanOrEqual(4);
  });

  test("the cuff holds its result for five minutes and then takes another", () => {
    const body = patient("deterioration", 4);
    const at = (seconds: number) => body.quantity("systolicPressure", seconds * 1000);
    expect(at(299)).toEqual(at(0));
    expect(at(0)).toMatchObject({ held: true });
    expect(at(301)).not.toEqual(at(299));
  });

  test("what a bedside monitor cannot measure is not available, and without a catheter there is no arterial pressure", () => {
    const body = createPatient({ course: COURSES.stable, seed: 3, arterialLine: false });
    expect(body.quantity("batteryLevel", 0)).toMatchObject({ kind: "absent", why: "not-available" });
    expect(body.quantity("arterialMeanPressure", 0)).toMatchObject({ kind: "absent", why: "sensor-off" });
    expect(body.quantity("heartRate", 0).kind).toBe("present");
  });
});

describe("waves and numbers are of one body", () => {
  test.each([
    ["stable", 0],
    ["deterioration", 10],
    ["deterioration", 500],
  ] as const)("%s from %i s: every wave shows the beats that the heart rate counts", (course, fromSeconds) => {
    const body = patient(course, 12);
    const window = { fromSeconds: fromSeconds + 1, toSeconds: fromSeconds + 61 };
    const rates = Array.from({ length: 60 }, (_, index) => numberOf(body, "heartRate", window.fromSeconds + index + 4));
    const expectedBeats = rates.reduce((sum, rate) => sum + rate / 60, 0);
    const beatsOf = (name: WaveformName, level: number) => risesThrough((atMs) => body.wave(name, atMs), level, window).length;
    expect(Math.abs(beatsOf("ecgLeadII", 0.6) - expectedBeats)).toBeLessThanOrEqual(1.5);
    expect(Math.abs(beatsOf("plethysmogram", 0.75) - expectedBeats)).toBeLessThanOrEqual(1.5);
    // The pressure itself rises and falls meanwhile: how far it is from its mean to its top is what counts.
    const height = (atMs: number) => {
      const mean = numberOf(body, "arterialMeanPressure", atMs / 1000);
      return (body.wave("arterialPressure", atMs) - mean) / (numberOf(body, "arterialSystolicPressure", atMs / 1000) - mean);
    };
    expect(Math.abs(risesThrough(height, 0.6, window).length - expectedBeats)).toBeLessThanOrEqual(1.5);
  });

  test("the chest moves as often as the respiratory rate says", () => {
    const body = patient("deterioration", 6);
    const window = { fromSeconds: 200, toSeconds: 320 };
    const breaths = risesThrough((atMs) => body.wave("respiration", atMs), 0.5, window).length;
    expect(Math.abs(breaths / 2 - numberOf(body, "respiratoryRate", 260))).toBeLessThanOrEqual(1);
  });

  test("the pressure wave has its peaks at systole, its feet at diastole and its mean at the mean", () => {
    const body = patient("stable", 9);
    for (let fromSeconds = 5; fromSeconds < 300; fromSeconds += 20) {
      const samples = Array.from({ length: 2000 }, (_, index) => body.wave("arterialPressure", fromSeconds * 1000 + index * 5));
      const near = (value: number, name: QuantityName, withinMmhg: number) =>
        expect(Math.abs(value - numberOf(body, name, fromSeconds + 5)), `${name} at ${fromSeconds} s`).toBeLessThanOrEqual(
          withinMmhg,
        );
      near(Math.max(...samples), "arterialSystolicPressure", 6);
      near(Math.min(...samples), "arterialDiastolicPressure", 6);
      near(samples.reduce((sum, sample) => sum + sample, 0) / samples.length, "arterialMeanPressure", 3);
    }
  });

  test("the ECG has P, Q, R, S and T in order, R of 1 mV, and the pulse follows the R peak", () => {
    const body = patient("stable", 2);
    const [first, second] = risesThrough((atMs) => body.wave("ecgLeadII", atMs), 0.9, { fromSeconds: 10, toSeconds: 14 });
    if (first === undefined || second === undefined) throw new Error("no R peaks");
    const beatSeconds = second - first;
    const stretch = Math.sqrt(beatSeconds);
    const at = (afterSeconds: number) => body.wave("ecgLeadII", (first + 0.005 + afterSeconds) * 1000);
    const highest = Math.max(...Array.from({ length: 30 }, (_, index) => at((index - 10) / 1000)));
    expect(highest).toBeGreaterThan(0.93);
    expect(highest).toBeLessThan(1.05);
    expect(at(-stretch / 6)).toBeGreaterThan(0.18);
    expect(at(-1 / 24)).toBeLessThan(-0.05);
    expect(at(1 / 24)).toBeLessThan(-0.12);
    expect(at(0.25 * stretch)).toBeGreaterThan(0.33);
    expect(Math.abs(at(0.5 * stretch))).toBeLessThan(0.05);
    const pulse =
      risesThrough((atMs) => body.wave("plethysmogram", atMs), 0.5, { fromSeconds: first, toSeconds: second })[0] ?? 0;
    expect(pulse - first).toBeGreaterThan(0.15);
    expect(pulse - first).toBeLessThan(0.5);
  });
});

describe("courses", () => {
  test.each(SEEDS)("deterioration, seed %i: saturation under 90 within a minute and NEWS2 of 7 within two", (seed) => {
    const body = patient("deterioration", seed);
    const lowSeconds = Array.from({ length: 60 }, (_, second) => second).find(
      (second) => numberOf(body, "oxygenSaturation", second) < 90,
    );
    expect(lowSeconds ?? 60).toBeLessThan(35);
    expect(numberOf(body, "oxygenSaturation", 0)).toBeGreaterThan(95);
    // The median of 60 s at 85 s is what was at 55 s; NEWS2: 3 for SpO2 <= 91, 3 for RR >= 25, 1 for HR from 91, 2 from 111.
    for (let atSeconds = 50; atSeconds <= 590; atSeconds += 5) {
      expect(Math.round(numberOf(body, "oxygenSaturation", atSeconds)), `SpO2 at ${atSeconds} s`).toBeLessThanOrEqual(91);
      expect(Math.round(numberOf(body, "respiratoryRate", atSeconds)), `RR at ${atSeconds} s`).toBeGreaterThanOrEqual(25);
      expect(Math.round(numberOf(body, "heartRate", atSeconds)), `HR at ${atSeconds} s`).toBeGreaterThanOrEqual(91);
    }
    expect(numberOf(body, "arterialSystolicPressure", 140)).toBeGreaterThan(110);
    expect(numberOf(body, "arterialSystolicPressure", 500)).toBeLessThan(100);
  });

  test("deterioration: help comes, and after twenty minutes it begins anew", () => {
    const body = patient("deterioration", 3);
    expect(numberOf(body, "oxygenSaturation", 900)).toBeGreaterThan(95);
    expect(numberOf(body, "oxygenSaturation", 1200 + 60)).toBeLessThan(88);
  });

  test("a lifted finger clip is an absence, then a search, and the heart goes on", () => {
    const body = wornBody(patient("stable", 14), CLIP, 1);
    const at = (seconds: number) => body.quantity("oxygenSaturation", seconds * 1000);
    expect(at(59.9).kind).toBe("present");
    for (const seconds of [60, 100, 149.9, 361]) expect(at(seconds)).toMatchObject({ kind: "absent", why: "sensor-off" });
    expect(body.quantity("pulseRate", 100_000)).toMatchObject({ kind: "absent", why: "sensor-off" });
    expect(at(152)).toMatchObject({ kind: "absent", why: "searching" });
    expect(at(156.1).kind).toBe("present");
    expect(body.quantity("heartRate", 100_000).kind).toBe("present");
    const flat = new Set(Array.from({ length: 100 }, (_, index) => body.wave("plethysmogram", 100_000 + index * 20)));
    expect(flat).toEqual(new Set([0]));
  });

  test("electrodes off: neither heart rate nor respiration, and flat waves, while the oximeter goes on", () => {
    const changes = [
      { atSeconds: 10, site: "chest", fit: "off" },
      { atSeconds: 20, site: "chest", fit: "on" },
    ] as const;
    const body = wornBody(patient("stable", 1), fitPlan(changes, null), 1);
    for (const name of ["heartRate", "respiratoryRate", "rrInterval"] as const) {
      expect(body.quantity(name, 15_000)).toMatchObject({ kind: "absent", why: "sensor-off" });
    }
    expect([body.wave("ecgLeadII", 15_000), body.wave("respiration", 15_000)]).toEqual([0, 0]);
    expect(body.quantity("pulseRate", 15_000).kind).toBe("present");
    expect(body.quantity("heartRate", 20_000).kind).toBe("present");
  });
});

describe("tracks", () => {
  test("a track's integral is its area, over repeats and before the start too", () => {
    const track = linearTrack(
      [
        { atSeconds: 0, value: 10 },
        { atSeconds: 4, value: 30 },
        { atSeconds: 6, value: 30 },
      ],
      8,
    );
    expect(track.valueAt(2)).toBe(20);
    expect(track.valueAt(10)).toBe(20);
    expect(track.valueAt(-3)).toBe(10);
    expect(track.integralAt(4)).toBe(80);
    expect(track.integralAt(8)).toBe(200);
    expect(track.integralAt(10)).toBe(230);
    expect(track.integralAt(-3)).toBe(-30);
  });
});
