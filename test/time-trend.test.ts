import { afterEach, beforeEach, expect, test } from "vitest";
import { createSimulatedClock } from "../simulator/world/simulated-clock.ts";
import { seq } from "../src/core/ids.ts";
import { createTimeline } from "../src/core/mended-time.ts";
import type { Observation } from "../src/core/observation.ts";
import type { Journal } from "../src/core/ports.ts";
import type { ClockRecord, JournalRecord, LifeStart } from "../src/core/record.ts";
import { monotonicMs, wallMs } from "../src/core/time.ts";
import { mendedTrend } from "../src/gateway/mended-trend.ts";
import { agedObservations, recover } from "../src/gateway/recovery.ts";
import { committed, openOrFail, temporaryFolder } from "./support/journal-folder.ts";
import { BASE_MS, observationOf } from "./support/journal-records.ts";

let place: ReturnType<typeof temporaryFolder>;
let journal: Journal;
beforeEach(async () => {
  place = temporaryFolder();
  journal = await openOrFail(place.folder);
});
afterEach(async () => {
  await journal.close();
  place.remove();
});

const HOUR_MS = 3_600_000;
const START: LifeStart = {
  kind: "start",
  seq: seq(1),
  atMs: wallMs(BASE_MS),
  atMonotonicMs: monotonicMs(0),
  version: "0",
  before: "first",
  leftOut: null,
};
const step = (number: number, atMs: number, mono: number, movedMs: number): ClockRecord => ({
  kind: "clock",
  seq: seq(number),
  atMs: wallMs(atMs),
  atMonotonicMs: monotonicMs(mono),
  movedMs,
  why: "step",
  trust: "trusted",
});
const said = (number: number, atMs: number, value: number): Observation => {
  const made = observationOf({ seq: number, atMs, value, patient: "patient-1", device: "monitor-1" });
  return { ...made, times: { ...made.times, receivedAtMs: wallMs(atMs) } };
};
const ask = (records: readonly (LifeStart | ClockRecord)[], fromMs: number, toMs: number, pointsMax = 2000) =>
  mendedTrend(journal, createTimeline(records), {
    patientId: "patient-1",
    quantity: "heartRate",
    fromMs: wallMs(fromMs),
    toMs: wallMs(toMs),
    pointsMax,
  });

async function keep(records: readonly JournalRecord[]): Promise<void> {
  for (let from = 0; from < records.length; from += 1000) journal.append(records.slice(from, from + 1000));
  await committed(journal, records.at(-1)?.seq ?? 0);
}

test("two hours of which the second was written under the same stamps as the first: both are there, one after the other", async () => {
  // One value a second; after an hour the clock is set back by an hour, as it had been wrong.
  const back = step(3602, BASE_MS, HOUR_MS, -HOUR_MS);
  const first = Array.from({ length: 3600 }, (_, at) => said(2 + at, BASE_MS + at * 1000, 60));
  const second = Array.from({ length: 3600 }, (_, at) => said(3603 + at, BASE_MS + at * 1000, 90));
  await keep([START, ...first, back, ...second]);
  const records = [START, back];
  for (const reopen of [false, true]) {
    if (reopen) {
      await journal.close();
      journal = await openOrFail(place.folder);
    }
    for (const pointsMax of [4, 100, 1000, 5000]) {
      const points = await ask(records, BASE_MS - HOUR_MS, BASE_MS + HOUR_MS, pointsMax);
      expect(points.length).toBeLessThanOrEqual(pointsMax + 2);
      for (const { atMs, value } of points) expect(value, `${pointsMax} at ${atMs - BASE_MS}`).toBe(atMs < BASE_MS ? 60 : 90);
      expect(new Set(points.map(({ value }) => value))).toEqual(new Set([60, 90]));
    }
    const near = await ask(records, BASE_MS - 10_000, BASE_MS + 9000);
    expect(near.map(({ value }) => value)).toEqual([...Array(10).fill(60), ...Array(10).fill(90)]);
    expect(near.map(({ atMs }) => atMs)).toEqual(Array.from({ length: 20 }, (_, at) => BASE_MS - 10_000 + at * 1000));
  }
});

test("numbers bound a trend to the record, in what is rolled up and in what is not", async () => {
  await keep(Array.from({ length: 5000 }, (_, at) => said(1 + at, BASE_MS + at * 1000, 40 + (at % 100))));
  for (const [fromSeq, toSeq] of [
    [1, 5000],
    [17, 4711],
    [4990, 5000],
    [2500, 2500],
  ] as const) {
    const query = { patientId: "patient-1", quantity: "heartRate", fromMs: wallMs(0), toMs: wallMs(BASE_MS * 2) } as const;
    const points = await journal.trend({ ...query, pointsMax: 5000, fromSeq: seq(fromSeq), toSeq: seq(toSeq) });
    expect(points.length).toBe(toSeq - fromSeq + 1);
    expect(points[0]?.atMs).toBe(BASE_MS + (fromSeq - 1) * 1000);
    expect(points.at(-1)?.atMs).toBe(BASE_MS + (toSeq - 1) * 1000);
    const coarse = await journal.trend({ ...query, pointsMax: 2, fromSeq: seq(fromSeq), toSeq: seq(toSeq) });
    for (const { atMs } of coarse) {
      expect(atMs).toBeGreaterThanOrEqual(BASE_MS + (fromSeq - 1) * 1000);
      expect(atMs).toBeLessThanOrEqual(BASE_MS + (toSeq - 1) * 1000);
    }
  }
});

test("what a device kept and sent later is not its newest word", async () => {
  const cuff = (number: number, atMs: number, value: number, late: boolean): Observation => {
    const made = observationOf({ seq: number, atMs, value, patient: "patient-1", device: "cuff", quantity: "systolicPressure" });
    return late ? { ...made, quality: { ...made.quality, flags: ["late"] } } : made;
  };
  await keep([cuff(1, BASE_MS, 120, false), cuff(2, BASE_MS + 5000, 130, true)]);
  for (const reopen of [false, true]) {
    if (reopen) {
      await journal.close();
      journal = await openOrFail(place.folder);
    }
    const latest = await journal.latestObservations({ sinceMs: wallMs(0), quantities: ["systolicPressure"] });
    expect(latest.map(({ seq: number }) => number)).toEqual([1]);
  }
});

test("numbers bound the newest word to the record, in what is rolled up and in what is not", async () => {
  await keep(Array.from({ length: 5000 }, (_, at) => said(1 + at, BASE_MS + at * 1000, 40 + (at % 100))));
  for (const toSeq of [1, 17, 2500, 4999, 5000]) {
    const query = { sinceMs: wallMs(0), quantities: ["heartRate"], fromSeq: seq(1), toSeq: seq(toSeq) } as const;
    expect((await journal.latestObservations(query)).map(({ seq: number }) => number)).toEqual([toSeq]);
    const none = await journal.latestObservations({ ...query, sinceMs: wallMs(BASE_MS + toSeq * 1000) });
    expect(none).toEqual([]);
  }
});

test("of two results of a cuff the one that came later is read back, though the clock was set back in between", async () => {
  const clock = createSimulatedClock();
  clock.stepWall(BASE_MS + HOUR_MS - clock.wall());
  const cuff = (number: number, atMs: number, mono: number, value: number): Observation => {
    const made = observationOf({ seq: number, atMs, value, patient: "patient-1", device: "cuff", quantity: "systolicPressure" });
    const times = { ...made.times, receivedAtMs: wallMs(atMs), receivedMonotonicMs: monotonicMs(mono) };
    return { ...made, times };
  };
  // At noon by a clock that is three hours ahead; a minute later it is set back, and ten minutes after that the cuff measures again.
  const back = step(3, BASE_MS + 60_000, 60_000, -3 * HOUR_MS);
  const start = { ...START, atMs: wallMs(BASE_MS + 3 * HOUR_MS) };
  await keep([start, cuff(2, BASE_MS + 3 * HOUR_MS, 0, 81), back, cuff(4, BASE_MS + 600_000, 600_000, 121)]);
  await journal.close();
  journal = await openOrFail(place.folder);
  const next: LifeStart = { ...START, seq: seq(5), atMs: clock.wall(), atMonotonicMs: clock.monotonic() };
  const timeline = createTimeline([start, back, next]);
  const recovered = await recover(journal, clock, timeline);
  expect(recovered.observations.map(({ seq: number }) => number)).toEqual([4]);
  const [aged] = agedObservations(recovered.observations, clock, timeline);
  expect(clock.wall() - (aged?.times.measuredAtMs ?? 0)).toBe(HOUR_MS - 600_000);
});

test("a trend over more corrections than are asked for one by one shows the oldest part as it was written, and the rest mended", async () => {
  const records: (LifeStart | ClockRecord)[] = [START];
  const all: JournalRecord[] = [START];
  // Forty times an hour forwards: each stretch is wrong by the hours that came after it.
  for (let turn = 0; turn < 40; turn++) {
    const mono = turn * 10_000;
    const wall = BASE_MS + mono + turn * HOUR_MS;
    all.push(said(2 + turn * 2, wall, 50 + turn));
    const moved = step(3 + turn * 2, wall + 10_000 + HOUR_MS, mono + 10_000, HOUR_MS);
    records.push(moved);
    all.push(moved);
  }
  await keep(all);
  const endMs = BASE_MS + 40 * (HOUR_MS + 10_000);
  const points = await ask(records, endMs - 400_000, endMs);
  // Of thirty-two stretches the oldest stands for all before it, and the last one is empty.
  expect(points.map(({ value }) => value)).toEqual(Array.from({ length: 30 }, (_, at) => 60 + at));
  expect(points.map(({ atMs }) => atMs)).toEqual(Array.from({ length: 30 }, (_, at) => endMs - 300_000 + at * 10_000));
});
