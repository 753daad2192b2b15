import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { normalAt } from "../simulator/body/noise.ts";
import { compareStays } from "../simulator/comparison/compare.ts";
import { compareMinutes } from "../simulator/comparison/minutes.ts";
import { plotOf } from "../simulator/comparison/plot.ts";
import { courseOf, simulatedStay } from "../simulator/comparison/population.ts";
import { correlationWithin, distanceOf, figuresOf, type Series, sharesOf } from "../simulator/comparison/statistics.ts";
import { COMPARED_NAMES, type ComparedName, type Stay } from "../simulator/comparison/stay.ts";
import { halfOf, readStays } from "../simulator/comparison/vitals-file.ts";
import { hoursText, minutesText } from "../simulator/comparison/words.ts";
import { compareCommand } from "../src/commands/compare.ts";
import { collectingIo } from "./support/collecting-io.ts";

const MINUTES_FILE = join(import.meta.dirname, "captures", "wfdb", "s00001-2896-10-10-00-31n.hea");

/** x(t) = share * x(t - 1) + a normal number: its autocorrelation after k rows is share^k, its variance 1 / (1 - share^2). */
function autoregressive(share: number, seed: number, rows: number): Series {
  const series = new Float64Array(rows);
  let value = 0;
  for (let row = -50; row < rows; row++) {
    value = share * value + normalAt(seed, row + 50);
    if (row >= 0) series[row] = value;
  }
  return series;
}

describe("the statistics are right where the answer is known", () => {
  const long = Array.from({ length: 30 }, (_, index) => autoregressive(0.8, index + 1, 1500).map((value) => value + 5 * index));

  test("autocorrelation and spread within are those of an AR(1) process, however far apart its patients lie", () => {
    const { autocorrelations, withinSpread } = figuresOf(long);
    for (const [index, expected] of [0.8, 0.64, 0.4096, 0.1678].entries())
      expect(Math.abs((autocorrelations[index] ?? 0) - expected), `lag ${index}`).toBeLessThan(0.02);
    expect(withinSpread).toBeCloseTo(1 / Math.sqrt(1 - 0.64), 1);
  });

  test("gaps change neither", () => {
    const gappy = long.map((series, patient) =>
      series.map((value, row) => (normalAt(900 + patient, row) > 0.3 ? value : Number.NaN)),
    );
    const { autocorrelations, count } = figuresOf(gappy);
    expect(count).toBeLessThan(0.45 * 30 * 1500);
    expect(autocorrelations[0]).toBeGreaterThan(0.77);
    expect(autocorrelations[0]).toBeLessThan(0.83);
    expect(autocorrelations[2]).toBeGreaterThan(0.37);
    expect(autocorrelations[2]).toBeLessThan(0.45);
  });

  test("spread between is that of the patients' means, within that about them; a patient with two values has no mean", () => {
    const stays = [10, 20, 30].map((mean) => Float64Array.from({ length: 100 }, (_, row) => mean + (row % 2 === 0 ? 2 : -2)));
    const figures = figuresOf([...stays, Float64Array.of(900, 900)]);
    expect(figures.betweenSpread).toBeCloseTo(10, 9);
    expect(figures.withinSpread).toBeCloseTo(2, 9);
    expect(figures.autocorrelations.map((value) => Math.round(value * 100) / 100)).toEqual([-1, 1, 1, 1]);
    expect(figuresOf(stays, [3]).autocorrelations).toHaveLength(1);
  });

  test("mean and percentiles leave out what is missing and stand between the nearest values", () => {
    const series = Float64Array.from([Number.NaN, ...Array.from({ length: 201 }, (_, index) => 200 - index), Number.NaN]);
    const { count, mean, percentiles } = figuresOf([series]);
    expect({ count, mean, percentiles }).toEqual({ count: 201, mean: 100, percentiles: [10, 50, 100, 150, 190] });
    expect(figuresOf([Float64Array.of(1, 2, 3, 5)]).percentiles[3]).toBeCloseTo(3.5, 9);
  });

  test("the distance of shifted distributions is the share that is shifted out", () => {
    const from = (first: number) => [Float64Array.from({ length: 100 }, (_, index) => first + index)];
    expect(distanceOf(from(0), from(25))).toBeCloseTo(0.25, 9);
    expect(distanceOf(from(25), from(0))).toBeCloseTo(0.25, 9);
    expect(distanceOf(from(0), from(0))).toBe(0);
    expect(distanceOf(from(0), from(1000))).toBe(1);
    // Equal values of both are passed together: half of one lies at 1, a quarter of the other.
    expect(distanceOf([Float64Array.of(1, 1, 2, 2)], [Float64Array.of(1, 2, 2, Number.NaN, 2)])).toBeCloseTo(0.25, 9);
  });

  test("a correlation within patients does not see how the patients differ", () => {
    const first = [0, 10, 20].map((mean, patient) => autoregressive(0.3, patient + 70, 200).map((value) => mean + value));
    const falling = first.map((series, patient) => series.map((value) => -40 * patient + 2 * value));
    expect(correlationWithin(first.map((series, index) => [series, falling[index] ?? series]))).toBeCloseTo(1, 9);
    const strange = first.map((series, patient) => autoregressive(0.3, patient + 170, series.length));
    expect(Math.abs(correlationWithin(first.map((series, index) => [series, strange[index] ?? series])))).toBeLessThan(0.12);
  });

  test("shares count a value into the bin that begins at it, and what lies outside into none", () => {
    const bins = { low: 10, width: 5, count: 3 };
    expect(sharesOf([Float64Array.of(10, 14.9, 15, 24.9, 25, 9, Number.NaN, 16)], bins)).toEqual([2 / 7, 2 / 7, 1 / 7]);
  });
});

describe("the file of real patients", () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "vigil-compare-"));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  const HEADER = "patient,hour,heart_rate,spo2,temperature,systolic,mean_pressure,diastolic,respiratory_rate,age";
  const rowsOf = (patient: number, rows: number) =>
    Array.from(
      { length: rows },
      (_, row) => `${patient},${row + 1},${60 + patient},97,,${120 + row},80.5,,${row % 2 === 0 ? 18 : ""},63`,
    );
  const write = (name: string, lines: readonly string[]) => {
    const file = join(folder, name);
    const text = `${lines.join("\n")}\n`;
    writeFileSync(file, name.endsWith(".gz") ? gzipSync(text) : text);
    return file;
  };
  const IDS = Array.from({ length: 40 }, (_, index) => index + 1);

  test("stays of a day and more fall into two halves, whatever their order, with gaps where nothing was charted", async () => {
    const lines = (ids: readonly number[]) => [HEADER, ...ids.flatMap((id) => rowsOf(id, id === 7 ? 23 : 24))];
    const read = async (file: string) => await readStays({ file, patients: 5, seed: 3 });
    const [inOrder, backwards] = await Promise.all([
      read(write("a.csv.gz", lines(IDS))),
      read(write("b.csv", lines(IDS.toReversed()))),
    ]);
    if (!inOrder.ok || !backwards.ok) throw new Error("both files can be read");
    const { training, test: untouched } = inOrder.value;
    expect(training.every(({ patient }) => halfOf(patient) === "training" && patient !== 7)).toBe(true);
    expect(untouched.every(({ patient }) => halfOf(patient) === "test" && patient !== 7)).toBe(true);
    expect([training.length, untouched.length]).toEqual([5, 5]);
    const idsOf = (stays: readonly Stay[]) => stays.map(({ patient }) => patient);
    expect(idsOf(backwards.value.test)).toEqual(idsOf(untouched));
    const stay = untouched[0];
    expect(stay?.series.heartRate[5]).toBe(60 + (stay?.patient ?? 0));
    expect(stay?.series.systolicPressure.slice(0, 3)).toEqual(Float64Array.of(120, 121, 122));
    expect(stay?.series.respiratoryRate.slice(0, 3)).toEqual(Float64Array.of(18, Number.NaN, 18));
    expect(stay?.series.bodyTemperature.every(Number.isNaN)).toBe(true);
  });

  test("says what is wrong with a file", async () => {
    const refusal = async (file: string) => {
      const stays = await readStays({ file, patients: 5, seed: 1 });
      return stays.ok ? null : stays.error;
    };
    const whole = IDS.flatMap((id) => rowsOf(id, 24));
    expect(await refusal(join(folder, "none.csv"))).toMatchObject({ kind: "unreadable", cause: "ENOENT" });
    const torn = join(folder, "torn.csv.gz");
    writeFileSync(torn, gzipSync([HEADER, ...whole].join("\n")).subarray(0, 300));
    expect(await refusal(torn)).toMatchObject({ kind: "unreadable", cause: "Z_BUF_ERROR" });
    expect(await refusal(write("c.csv", [HEADER.replace("spo2", "sao2"), ...whole]))).toMatchObject({ column: "spo2" });
    expect(await refusal(write("d.csv", [HEADER, ...whole.slice(0, 9), "1,10,sixty,97,,,,,,"]))).toMatchObject({
      kind: "damaged",
      line: 11,
    });
    expect(await refusal(write("e.csv", [HEADER, ...rowsOf(1, 24)]))).toMatchObject({ kind: "too-few-patients", needed: 5 });
  });

  test("vigil compare tells both comparisons, draws, and refuses what it does not understand", async () => {
    const file = write("f.csv", [HEADER, ...IDS.flatMap((id) => rowsOf(id, 24))]);
    const io = collectingIo();
    const plot = join(folder, "plot.svg");
    expect(await compareCommand.run(["--hours", file, "--patients", "4", "--json", "--plot", plot], io)).toBe(0);
    expect(JSON.parse(io.out[0] ?? "")).toMatchObject({ kind: "hours", half: "test", patients: 4 });
    for (const args of [
      [],
      ["--hours", file, "--half", "third"],
      ["--hours", file, "--patients", "1"],
      ["--minutes", MINUTES_FILE, "--plot", plot],
    ])
      expect(await compareCommand.run(args, collectingIo()), args.join(" ")).toBe(2);
    expect(await compareCommand.run(["--hours", join(folder, "none.csv")], collectingIo())).toBe(1);
    expect(await compareCommand.run(["--minutes", join(folder, "none.hea")], collectingIo())).toBe(1);
  });
});

/** A stay in which everything is charted every hour. */
function fullStay(rowsCount: number): Stay {
  const series = Object.fromEntries(COMPARED_NAMES.map((name) => [name, new Float64Array(rowsCount).fill(1)]));
  return { patient: 0, rowsCount, series: series as Record<ComparedName, Series> };
}

describe("simulated patients in intensive care", () => {
  const PATIENTS = 60;
  const stays = Array.from({ length: PATIENTS }, (_, index) => simulatedStay(index + 1, fullStay(36), 30));
  const figures = (name: ComparedName) => figuresOf(stays.map(({ series }) => series[name]));

  /**
   * About what 200 real patients of the untouched half have, with room for 60 patients' chance: median, the 5th and the 95th percentile,
   * spread between and within, autocorrelation after 1 h. Source: the table in simulator/body/README.md.
   */
  // biome-ignore format: one row a line, so that it reads as the table it is.
  const BOUNDS: readonly { name: ComparedName; median: [number, number]; low: [number, number]; high: [number, number]; between: [number, number]; within: [number, number]; after: [number, number] }[] = [
    { name: "heartRate", median: [79, 90], low: [53, 65], high: [106, 122], between: [10, 18], within: [8, 12], after: [0.6, 0.8] },
    { name: "respiratoryRate", median: [16, 20], low: [8.5, 13], high: [24, 31], between: [2.4, 4.6], within: [3.2, 4.9], after: [0.3, 0.55] },
    { name: "oxygenSaturation", median: [97, 99], low: [90, 95], high: [99.5, 100], between: [1, 3], within: [1.2, 3], after: [0.25, 0.6] },
    { name: "systolicPressure", median: [113, 127], low: [83, 97], high: [148, 170], between: [12, 20], within: [12, 17], after: [0.35, 0.6] },
    { name: "meanPressure", median: [73, 83], low: [52, 63], high: [98, 113], between: [8, 14], within: [9, 12.5], after: [0.25, 0.5] },
    { name: "bodyTemperature", median: [36.7, 37.3], low: [35.4, 36.2], high: [37.8, 38.5], between: [0.35, 0.65], within: [0.45, 0.68], after: [0.8, 0.96] },
  ];
  test.each(BOUNDS)("$name spreads as in real ones", ({ name, ...bounds }) => {
    const { percentiles, betweenSpread, withinSpread, autocorrelations } = figures(name);
    const [low, , median, , high] = percentiles;
    const found = { low, median, high, between: betweenSpread, within: withinSpread, after: autocorrelations[0] };
    for (const [what, [least, most]] of Object.entries(bounds)) {
      const value = found[what as keyof typeof found] ?? Number.NaN;
      expect(value >= least && value <= most, `${what} ${value} lies from ${least} to ${most}`).toBe(true);
    }
  });

  test("quantities move together as a physiology has them", () => {
    const within = (first: ComparedName, second: ComparedName) =>
      correlationWithin(stays.map(({ series }) => [series[first], series[second]]));
    expect(within("heartRate", "bodyTemperature")).toBeGreaterThan(0.15);
    expect(within("respiratoryRate", "oxygenSaturation")).toBeLessThan(-0.05);
    expect(within("systolicPressure", "meanPressure")).toBeGreaterThan(0.65);
    expect(within("heartRate", "respiratoryRate")).toBeGreaterThan(0.08);
  });

  test("the same seed is the same patient, another seed another one; what was not charted is not there", () => {
    const like = fullStay(24);
    like.series.heartRate[3] = Number.NaN;
    const [once, again, other] = [simulatedStay(5, like), simulatedStay(5, like), simulatedStay(6, like)];
    expect(again).toEqual(once);
    expect(other.series.meanPressure).not.toEqual(once.series.meanPressure);
    expect([once.series.heartRate[2], once.series.heartRate[3]].map(Number.isNaN)).toEqual([false, true]);
    expect(courseOf(5, 24)).toEqual(courseOf(5, 24));
    expect(courseOf(5, 24)).not.toEqual(courseOf(6, 24));
  });

  test("the comparison is told and drawn in both languages", () => {
    const comparison = compareStays({ real: stays.slice(0, 6), others: stays.slice(6, 12), seed: 1 });
    const svg = plotOf(comparison);
    expect(svg.match(/<circle/g)).toHaveLength(6 * 2 * 4);
    for (const text of [svg, hoursText(comparison).join("\n")]) {
      expect(text).not.toMatch(/NaN|Infinity|undefined/);
      for (const words of ["Heart rate", "心率", "real", "真实", "simulated", "模拟"]) expect(text).toContain(words);
    }
  });

  test("a recorded person, minute by minute, beside simulated ones", async () => {
    const minutes = await compareMinutes({ headerFile: MINUTES_FILE, seed: 1, personsCount: 1 });
    if (!minutes.ok) throw new Error("the record can be read");
    expect(minutes.value.quantities.map(({ name }) => name)).toEqual(["heartRate", "respiratoryRate", "oxygenSaturation"]);
    const [heart] = minutes.value.quantities;
    expect(heart?.real.mean).toBeCloseTo(56.3, 1);
    expect(heart?.simulated.adult.count).toBe(heart?.real.count);
    expect(minutesText(minutes.value).join("\n")).not.toMatch(/NaN|undefined/);
  });
});
