import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createSimulatedClock } from "../simulator/world/simulated-clock.ts";
import { createSystemClock } from "../src/clock.ts";
import type { Deed } from "../src/core/act.ts";
import type { Alert } from "../src/core/alert.ts";
import { type PastAlert, summaryOf } from "../src/core/history-view.ts";
import { alertId, bedId, deviceId, patientId, seq, userId } from "../src/core/ids.ts";
import { LIMITS } from "../src/core/limits.ts";
import { createTimeline, type Timeline } from "../src/core/mended-time.ts";
import type { Journal } from "../src/core/ports.ts";
import type { Prediction } from "../src/core/prediction.ts";
import type { ClockRecord, JournalRecord, LifeStart } from "../src/core/record.ts";
import { monotonicMs, wallMs } from "../src/core/time.ts";
import { startDashboard } from "../src/dashboard/server/dashboard.ts";
import { joined, slicesOf } from "../src/dashboard/web/bed/trend-slices.ts";
import { scoreColumns } from "../src/dashboard/web/past/score-columns.ts";
import { alertsBetween, eventsBetween, firstSeqAtOrAfter, type HistoryKnown } from "../src/gateway/journal-history.ts";
import { applyAct, EMPTY_PLANT, type PlantState } from "../src/gateway/plant.ts";
import { createScoreKeeper } from "../src/gateway/score-history.ts";
import { createTrendCache } from "../src/gateway/trend-cache.ts";
import { committed, openOrFail, sealNewest, temporaryFolder } from "./support/journal-folder.ts";
import { BASE_MS, observationOf } from "./support/journal-records.ts";
import { bedView, createScriptedWard } from "./support/scripted-ward.ts";
import { seededRandom } from "./support/seeded-random.ts";
import { startSmallWard } from "./support/small-ward.ts";

const HOUR_MS = 3_600_000;
const YEAR_MS = 365.25 * 24 * HOUR_MS;
const PATIENT = patientId("patient-1");

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

const start: LifeStart = {
  kind: "start",
  seq: seq(1),
  atMs: wallMs(BASE_MS),
  atMonotonicMs: monotonicMs(0),
  version: "0",
  before: "first",
  leftOut: null,
};

/** A clock that is set: what came before was wrong by as much. */
function step(number: number, at: { readonly wall: number; readonly mono: number; readonly movedMs: number }): ClockRecord {
  const { wall, mono, movedMs } = at;
  return {
    kind: "clock",
    seq: seq(number),
    atMs: wallMs(wall),
    atMonotonicMs: monotonicMs(mono),
    movedMs,
    why: "step",
    trust: "trusted",
  };
}

function alertAt(number: number, atMs: number, more: Partial<Alert> & { readonly of?: number } = {}): Alert {
  const { of = number, ...fields } = more;
  return {
    kind: "alert",
    seq: seq(number),
    id: alertId(`0f9c2d44-${of}`),
    key: "limit.oxygenSaturation.low/patient-1",
    rule: "limit.oxygenSaturation.low",
    nature: "physiological",
    priority: "medium",
    subject: { patientId: PATIENT, bedId: bedId("bed-1"), deviceId: deviceId("monitor-1"), part: null },
    origin: "measured",
    evidence: {
      kind: "limit",
      quantity: "oxygenSaturation",
      side: "low",
      value: 84,
      limit: 88,
      sinceMs: wallMs(atMs),
      observationSeq: seq(1),
    },
    state: "active",
    phase: "start",
    raisedAtMs: wallMs(atMs),
    changedAtMs: wallMs(atMs),
    acknowledgedBy: null,
    acknowledgedAtMs: null,
    endedAtMs: null,
    raisedCount: 1,
    ...fields,
  };
}

const act = (number: number, atMs: number, deed: Deed) =>
  ({ kind: "act", seq: seq(number), atMs: wallMs(atMs), by: userId("nurse"), from: "page", deed }) as const;

async function keep(records: readonly JournalRecord[]): Promise<void> {
  for (let from = 0; from < records.length; from += 1000) journal.append(records.slice(from, from + 1000));
  await committed(journal, records.at(-1)?.seq ?? 0);
}

function timelineOf(records: readonly JournalRecord[]): Timeline {
  return createTimeline(records.filter((record) => record.kind === "start" || record.kind === "clock"));
}

function partsOf(records: readonly JournalRecord[], plant: PlantState = EMPTY_PLANT, open: readonly Alert[] = []) {
  const timeline = timelineOf(records);
  const known: HistoryKnown = { openAlerts: () => open, plant: () => plant, shown: (alert) => alert, shownMs: (atMs) => atMs };
  return { parts: { journal, timeline: () => timeline }, known };
}

describe("the first number at or after a time", () => {
  test("is found among all kinds, at, before and behind each record, also over numbers that are left out", async () => {
    const records: JournalRecord[] = [start];
    const numbers = [2, 3, 10, 11, 900_000_000, 900_000_001, 900_000_050];
    for (const [index, number] of numbers.entries()) records.push(alertAt(number, BASE_MS + (index + 1) * 60_000));
    await keep(records);
    const { parts } = partsOf(records);
    for (const [index, number] of numbers.entries()) {
      const atMs = BASE_MS + (index + 1) * 60_000;
      const before = numbers[index - 1] ?? 0;
      expect(await firstSeqAtOrAfter(parts, { atMs, kinds: ["alert"] })).toBeGreaterThan(before);
      expect(await firstSeqAtOrAfter(parts, { atMs, kinds: ["alert"] })).toBeLessThanOrEqual(number);
      expect(await firstSeqAtOrAfter(parts, { atMs: atMs + 1, kinds: ["alert"] })).toBeGreaterThan(number);
    }
    expect(await firstSeqAtOrAfter(parts, { atMs: 0 })).toBe(1);
    expect(await firstSeqAtOrAfter(parts, { atMs: BASE_MS + YEAR_MS })).toBe(900_000_051);
  });

  test("a step of years in the middle changes nothing, whichever way the clock was wrong before", async () => {
    for (const wrongByMs of [-50 * YEAR_MS, 3 * YEAR_MS]) {
      const folder = temporaryFolder();
      const own = await openOrFail(folder.folder);
      const seed = 20261122;
      const { fraction: random } = seededRandom(seed);
      const records: JournalRecord[] = [{ ...start, atMs: wallMs(BASE_MS + wrongByMs) }];
      const trueTimes = new Map<number, number>([[1, BASE_MS]]);
      let number = 1;
      for (let atMs = 1000; atMs < 4 * HOUR_MS; atMs += 60_000 + random() * 60_000) {
        const isRight = atMs > 2 * HOUR_MS;
        if (isRight && !records.some(({ kind }) => kind === "clock"))
          records.push(step(++number, { wall: BASE_MS + atMs - 1, mono: atMs - 1, movedMs: -wrongByMs }));
        number += 1 + Math.floor(random() * 50);
        trueTimes.set(number, BASE_MS + atMs);
        const made = observationOf({ seq: number, atMs: BASE_MS + atMs + (isRight ? 0 : wrongByMs) });
        const times = { ...made.times, receivedAtMs: made.times.measuredAtMs, receivedMonotonicMs: monotonicMs(atMs) };
        records.push(random() < 0.5 ? { ...made, times } : alertAt(number, times.receivedAtMs));
      }
      own.append(records);
      await committed(own, number);
      const parts = { journal: own, timeline: () => timelineOf(records) };
      for (let tried = 0; tried < 40; tried++) {
        const atMs = BASE_MS + Math.round(random() * 4 * HOUR_MS);
        const found = await firstSeqAtOrAfter(parts, { atMs });
        const wanted = [...trueTimes].find(([, at]) => at >= atMs)?.[0] ?? number + 1;
        const before = [...trueTimes].findLast(([, at]) => at < atMs)?.[0] ?? 0;
        const told = `seed ${seed}, wrong by ${wrongByMs}, try ${tried}`;
        expect(found, told).toBeLessThanOrEqual(wanted);
        expect(found, told).toBeGreaterThan(before);
      }
      await own.close();
      folder.remove();
    }
  });
});

describe("alerts of the past", () => {
  test("each has its end, who knew first and when, how often it was raised, its worst priority and what was said of it", async () => {
    const at = (minutes: number) => wallMs(BASE_MS + minutes * 60_000);
    const first = alertAt(3, at(10));
    const worse = alertAt(4, at(10), { of: 3, priority: "high", phase: "escalate", changedAtMs: at(11), raisedCount: 2 });
    const known = alertAt(6, at(10), {
      of: 3,
      state: "acknowledged",
      acknowledgedBy: userId("nurse"),
      acknowledgedAtMs: at(13),
      changedAtMs: at(13),
      raisedCount: 2,
    });
    const over = alertAt(7, at(10), {
      of: 3,
      state: "ended",
      phase: "end",
      priority: "low",
      endedAtMs: at(20),
      changedAtMs: at(20),
      raisedCount: 2,
    });
    const lasting = alertAt(8, at(30), { nature: "technical", priority: "low" });
    const before = alertAt(2, at(5));
    const beforeOver = alertAt(5, at(5), { of: 2, state: "ended", phase: "end", endedAtMs: at(12), changedAtMs: at(12) });
    const said = act(9, at(90), { kind: "verdict", alertId: first.id, verdict: "false" });
    const saidAgain = act(10, at(95), { kind: "verdict", alertId: first.id, verdict: "relevant" });
    const records = [start, before, first, worse, beforeOver, known, over, lasting, said, saidAgain];
    await keep(records);
    const { parts, known: knows } = partsOf(records, EMPTY_PLANT, [lasting]);
    const history = await alertsBetween(parts, knows, { fromMs: at(10), toMs: at(60) });
    expect(history.wholeFromMs).toBe(at(10));
    expect(history.alerts.map(({ alertId: id }) => id)).toEqual([lasting.id, first.id]);
    expect(history.alerts[1]).toMatchObject({
      priorityMax: "high",
      acknowledged: { by: "nurse", atMs: at(13) },
      judged: { verdict: "relevant", by: "nurse", atMs: at(95) },
      alert: { state: "ended", endedAtMs: at(20), raisedAtMs: at(10), raisedCount: 2 },
    });
    expect(history.alerts[0]).toMatchObject({ acknowledged: null, judged: null, alert: { state: "active" } });
    // One that began the minute before belongs to the time before, and its end is told there although it came later.
    const earlier = await alertsBetween(parts, knows, { fromMs: at(0), toMs: at(10) });
    expect(earlier.alerts.map(({ alert }) => [alert.id, alert.state])).toEqual([[before.id, "ended"]]);
    expect((await alertsBetween(parts, knows, { fromMs: at(31), toMs: at(60) })).alerts).toEqual([]);
  });

  test("of more than are read at once the newest are told, and the rest with the next question; none twice, none left out", async () => {
    const count = LIMITS.historyRecordsMax.value + 2000;
    const records: JournalRecord[] = [start];
    for (let index = 0; index < count; index++) records.push(alertAt(2 + index, BASE_MS + index * 10_000));
    await keep(records);
    const { parts, known } = partsOf(
      records,
      EMPTY_PLANT,
      records.filter((record) => record.kind === "alert"),
    );
    const seen: string[] = [];
    let toMs = BASE_MS + count * 10_000;
    for (let turns = 0; toMs > BASE_MS && turns < 20; turns++) {
      const { alerts, wholeFromMs } = await alertsBetween(parts, known, { fromMs: BASE_MS, toMs });
      expect(alerts.length).toBeLessThanOrEqual(LIMITS.historyRecordsMax.value);
      seen.push(...alerts.map(({ alertId: id }) => id));
      expect(wholeFromMs).toBeLessThan(toMs);
      toMs = wholeFromMs;
    }
    expect(seen.length).toBe(count);
    expect(new Set(seen).size).toBe(count);
    expect(seen[0]).toBe(`0f9c2d44-${count + 1}`);
  });
});

const NOBODY: PastAlert = {
  alertId: alertId("a-1"),
  alert: alertAt(1, BASE_MS),
  priorityMax: "high",
  acknowledged: null,
  judged: null,
};

test("a day's sum counts by priority and verdict, for each bed and day, with the median of the waits", () => {
  const waited = (ms: number): PastAlert => ({
    ...NOBODY,
    priorityMax: "low",
    acknowledged: { by: "nurse", atMs: BASE_MS + ms },
  });
  const judged: PastAlert = { ...waited(4000), judged: { verdict: "false", by: "nurse", atMs: BASE_MS } };
  const sum = summaryOf([NOBODY, waited(1000), waited(9000), judged], { bedCount: 4, spanMs: 12 * HOUR_MS });
  expect(sum).toMatchObject({ count: 4, byPriority: { high: 1, medium: 0, low: 3 }, unjudgedCount: 3, acknowledgedCount: 3 });
  expect(sum.byVerdict).toEqual({ relevant: 0, "not-actionable": 0, false: 1 });
  expect(sum.acknowledgedMsMedian).toBe(4000);
  expect(sum.perBedDay).toBe(2);
  expect(summaryOf([waited(1000), waited(2000)], { bedCount: 0, spanMs: HOUR_MS })).toMatchObject({
    perBedDay: null,
    acknowledgedMsMedian: 1500,
  });
  expect(summaryOf([], { bedCount: 2, spanMs: HOUR_MS }).acknowledgedMsMedian).toBeNull();
});

describe("what happened to a patient", () => {
  const profile = { kind: "adult", spo2Scale: 1 } as const;
  const admit = (id: string, bed: string): Deed => ({
    kind: "admit",
    patientId: patientId(id),
    bedId: bedId(bed),
    label: id,
    profile,
    demonstration: false,
  });
  const note = (id: string, text: string): Deed => ({ kind: "note", patientId: patientId(id), text });

  async function shift() {
    const at = (minutes: number) => BASE_MS + minutes * 60_000;
    const link = {
      nature: "technical",
      subject: { patientId: null, bedId: bedId("bed-1"), deviceId: deviceId("monitor-1"), part: null },
    } as const;
    const acts = [
      act(2, at(1), admit("patient-1", "bed-1")),
      act(3, at(1), admit("patient-2", "bed-2")),
      act(4, at(2), { kind: "assign", deviceId: deviceId("monitor-1"), patientId: PATIENT }),
      act(7, at(6), { kind: "acknowledge", alertId: alertId("0f9c2d44-5") }),
      act(8, at(7), note("patient-1", "restless")),
      act(9, at(8), note("patient-2", "of another")),
      act(12, at(11), { kind: "acknowledge", alertId: alertId("0f9c2d44-6") }),
    ];
    const other = alertAt(6, at(5), {
      subject: { patientId: patientId("patient-2"), bedId: bedId("bed-2"), deviceId: null, part: null },
    });
    const records = [
      start,
      ...acts,
      alertAt(5, at(4)),
      other,
      alertAt(10, at(9), link),
      alertAt(11, at(9), {
        ...link,
        of: 10,
        state: "ended",
        phase: "end",
        changedAtMs: wallMs(at(10)),
        endedAtMs: wallMs(at(10)),
      }),
    ];
    records.sort((one, another) => one.seq - another.seq);
    await keep(records);
    return { ...partsOf(records, acts.reduce(applyAct, EMPTY_PLANT)), at };
  }

  test("alerts, acts, notes and lost connections of this patient, newest first, and nothing of another", async () => {
    const { parts, known, at } = await shift();
    const asked = { patientId: PATIENT, fromMs: at(0), toMs: at(60) };
    const { events } = await eventsBetween(parts, known, { ...asked, role: "nurse" });
    expect(events.map(({ seq: number, kind }) => [number, kind])).toEqual([
      [11, "ended"],
      [10, "raised"],
      [8, "act"],
      [7, "act"],
      [5, "raised"],
      [4, "act"],
      [2, "act"],
    ]);
    expect(JSON.stringify(events)).not.toContain("patient-2");
    const late = await eventsBetween(parts, known, { ...asked, fromMs: at(9), role: null });
    expect(late.events.map(({ seq: number }) => number)).toEqual([11, 10]);
  });

  test("what was wrong with the bed's equipment before the patient was moved to it is not theirs", async () => {
    const { parts, known, at } = await shift();
    const moved = act(20, at(20), { kind: "transfer", patientId: PATIENT, bedId: bedId("bed-3") });
    const equipment = (number: number, minutes: number) =>
      alertAt(number, at(minutes), {
        nature: "technical",
        subject: { patientId: null, bedId: bedId("bed-3"), deviceId: deviceId("monitor-3"), part: null },
      });
    await keep([equipment(19, 19), moved, equipment(21, 21)]);
    const plant = applyAct(known.plant(), moved);
    const asked = { patientId: PATIENT, fromMs: at(0), toMs: at(60), role: "nurse" } as const;
    const { events } = await eventsBetween(parts, { ...known, plant: () => plant }, asked);
    expect(events.map(({ seq: number }) => number)).toEqual([21, 20, 8, 7, 5, 4, 2]);
  });

  test("an engineer reads no notes; a family its own patient's alerts, and not who acknowledged them", async () => {
    const { parts, known, at } = await shift();
    const asked = { patientId: PATIENT, fromMs: at(0), toMs: at(60) };
    const numbers = async (role: "engineer" | "family") => {
      const { events } = await eventsBetween(parts, known, { ...asked, role });
      return events.map(({ seq: number }) => number);
    };
    expect(await numbers("engineer")).toEqual([11, 10, 7, 5, 4, 2]);
    expect(await numbers("family")).toEqual([5]);
    const gone = await eventsBetween(parts, known, { ...asked, patientId: patientId("nobody"), role: "nurse" });
    expect(gone.events).toEqual([]);
  });
});

describe("a score over a day", () => {
  const said = (number: number, atMs: number, points: number | null, missing: readonly string[] = []): Prediction => ({
    kind: "prediction",
    seq: seq(number),
    patientId: PATIENT,
    modelId: "news2",
    modelVersion: "1",
    modelSha256: "0",
    atMs: wallMs(atMs),
    origin: "measured",
    basedOn: [],
    answer:
      points === null
        ? {
            kind: "no-answer",
            why: "inputs-missing",
            missing: missing.map((input) => ({ input, why: "never-seen", sinceMs: null })),
          }
        : {
            kind: "score",
            points,
            parts: [{ input: "respiratoryRate", value: 22, points, atMs: null }],
            missing: missing.map((input) => ({ input, why: "stale", sinceMs: null })),
            inputCount: 7,
            response: "urgent",
          },
  });

  test("a minute keeps its fewest and its most points, what was missing, and where there was no answer; what was before a start is read back, whole segments too", async () => {
    const nowMs = BASE_MS + 5 * HOUR_MS;
    const old: JournalRecord[] = [start];
    // A value a second, an answer a minute, for five hours.
    for (let second = 0; second < 5 * 3600; second += 20) {
      const number = old.length + 1;
      const made = observationOf({ seq: number, atMs: BASE_MS + second * 1000, patient: "patient-1" });
      const times = { ...made.times, receivedAtMs: made.times.measuredAtMs, receivedMonotonicMs: monotonicMs(second * 1000) };
      old.push(second % 60 === 0 ? said(number, BASE_MS + second * 1000, Math.floor(second / 3600)) : { ...made, times });
    }
    await keep(old);
    await journal.close();
    sealNewest(place.folder);
    journal = await openOrFail(place.folder);
    const timeline = createTimeline([start]);
    const keeper = createScoreKeeper({ journal, timeline: () => timeline, clock: { sleep: async () => {} }, nowMs: () => nowMs });
    const last = old.length + 1000;
    for (const [index, [points, missing]] of (
      [
        [3, []],
        [6, ["onOxygen"]],
        [4, []],
        [null, []],
      ] as const
    ).entries())
      keeper.note(said(last + index, nowMs + index * 10_000, points, missing));
    keeper.note(said(last + 9, nowMs + 90_000, null, ["respiratoryRate"]));
    const ask = (fromMs: number) =>
      keeper.query({ patientId: PATIENT, formerNumbers: new Map(), modelId: "news2", fromMs, toMs: nowMs + HOUR_MS });
    const live = ask(nowMs);
    expect(live.points).toEqual([
      { atMs: nowMs, low: 3, high: 6, parts: { respiratoryRate: 6 }, missing: ["onOxygen"] },
      { atMs: nowMs + 90_000, low: null, high: null, parts: {}, missing: ["respiratoryRate"] },
    ]);
    let found = ask(BASE_MS);
    expect(found.stillReadingBeforeMs).not.toBeNull();
    for (let tries = 0; found.stillReadingBeforeMs !== null && tries < 500; tries++) {
      await new Promise((resolve) => setTimeout(resolve, 20));
      found = ask(BASE_MS);
    }
    expect(found.stillReadingBeforeMs).toBeNull();
    expect(found.points.length).toBe(300 + 2);
    expect(found.points.slice(0, 300).every(({ atMs, high }) => high === Math.floor((atMs - BASE_MS) / HOUR_MS))).toBe(true);
    expect(
      keeper.query({ patientId: patientId("another"), formerNumbers: new Map(), modelId: "news2", fromMs: BASE_MS, toMs: nowMs })
        .points,
    ).toEqual([]);
    keeper.stop();
  });
});

test("a real gateway tells its alerts, events and scores of before a restart, and takes a verdict", async () => {
  let ward = await startSmallWard();
  ward.link("monitor-1").up();
  await ward.admit(1);
  await ward.stream("monitor-1", 5, { heartRate: 80, respiratoryRate: 16, oxygenSaturation: 97 });
  await ward.stream("monitor-1", 60, { heartRate: 80, respiratoryRate: 16, oxygenSaturation: 82 });
  const raised = ward.said.find((alert) => alert.nature === "physiological");
  expect(raised).toBeDefined();
  const id = raised?.id ?? alertId("none");
  await ward.act({ kind: "acknowledge", alertId: id });
  ward = await ward.crash();
  await ward.clock.advance(2000);
  expect((await ward.act({ kind: "verdict", alertId: id, verdict: "relevant" })).ok).toBe(true);
  const nowMs = ward.clock.wall();
  const window = { fromMs: nowMs - HOUR_MS, toMs: nowMs + 1000 };
  const { history } = ward.gateway.source;
  const { alerts } = await history.alerts(window);
  const found = alerts.find(({ alertId: one }) => one === id);
  expect(found).toMatchObject({
    acknowledged: { by: "nurse" },
    judged: { verdict: "relevant", by: "nurse" },
    alert: { state: "acknowledged" },
  });
  const { events } = await history.events({ ...window, patientId: PATIENT, role: "nurse" });
  const deeds = events.flatMap((event) => (event.kind === "act" ? [event.deed.kind] : []));
  expect(deeds).toEqual(["verdict", "acknowledge", "assign", "admit"]);
  const ask = () => history.scores({ ...window, patientId: PATIENT, modelId: "news2" });
  ask();
  for (let tries = 0; ask().stillReadingBeforeMs !== null && tries < 200; tries++) await ward.clock.advance(100);
  const { points } = ask();
  expect(points.length).toBeGreaterThan(0);
  expect(points.every(({ missing }) => missing.includes("consciousness"))).toBe(true);
  expect(Math.max(...points.map(({ high }) => high ?? 0))).toBe(3);
  await ward.gateway.stop();
});

describe("a long trend", () => {
  test("is asked for in parts at round times, the newest first, without a gap; a short one at once", () => {
    const toMs = BASE_MS + 5 * HOUR_MS + 1234;
    expect(slicesOf({ fromMs: toMs - HOUR_MS, toMs })).toEqual([{ fromMs: toMs - HOUR_MS, toMs }]);
    for (const [hours, sliceHours] of [
      [6, 1],
      [24, 2],
      [168, 6],
    ] as const) {
      const fromMs = toMs - hours * HOUR_MS;
      const slices = slicesOf({ fromMs, toMs });
      expect(slices.length).toBe(hours / sliceHours + 1);
      expect(slices[0]?.toMs).toBeGreaterThanOrEqual(toMs);
      expect(slices.at(-1)?.fromMs).toBeLessThanOrEqual(fromMs);
      for (const [index, slice] of slices.entries()) {
        expect(slice.toMs - slice.fromMs).toBe(sliceHours * HOUR_MS);
        expect(slice.fromMs % (sliceHours * HOUR_MS)).toBe(0);
        if (index > 0) expect(slice.toMs).toBe(slices[index - 1]?.fromMs);
      }
    }
  });

  test("is put together in order, a point on the seam once, and nothing outside of what is shown", () => {
    const point = (atMs: number, value: number | null) => ({ atMs: wallMs(atMs), value, questionable: false });
    const parts = [
      [point(20, 2), point(30, null)],
      [point(5, 0), point(10, 1), point(20, 2)],
    ];
    expect(joined(parts, { fromMs: 10, toMs: 30 })).toEqual([point(10, 1), point(20, 2), point(30, null)]);
  });

  test("of a time that is over is read once, and again when what came late must show, the clock was set or it failed", async () => {
    const clock = createSimulatedClock();
    let timeline = createTimeline([]);
    let asked = 0;
    let failing = false;
    const cached = createTrendCache({
      clock,
      timeline: () => timeline,
      ask: async () => {
        asked += 1;
        if (failing) throw new Error("the disk is away");
        return [];
      },
    });
    const nowMs = clock.wall();
    const query = { patientId: PATIENT, quantity: "heartRate", pointsMax: 40 } as const;
    const ask = (fromMs: number, toMs: number) => cached({ ...query, fromMs: wallMs(fromMs), toMs: wallMs(toMs) }, 0);
    const over = () => ask(nowMs - 7 * HOUR_MS, nowMs - HOUR_MS);
    await over();
    await over();
    expect(asked).toBe(1);
    // Of now, and of a few minutes.
    for (let turn = 0; turn < 2; turn++) {
      await ask(nowMs - 6 * HOUR_MS, nowMs);
      await ask(nowMs - 2 * HOUR_MS, nowMs - 2 * HOUR_MS + 60_000);
    }
    expect(asked).toBe(5);
    await clock.advance(30 * 60_000 - 1);
    await over();
    expect(asked).toBe(5);
    await clock.advance(1);
    await over();
    expect(asked).toBe(6);
    timeline = createTimeline([start]);
    await over();
    expect(asked).toBe(7);
    timeline = createTimeline([]);
    failing = true;
    await expect(over()).rejects.toThrow("away");
    failing = false;
    await over();
    expect(asked).toBe(9);
  });
});

test("a chart of a score keeps the highest of each column and what was missing then", () => {
  const point = (atMs: number, low: number | null, high: number | null, missing: readonly string[] = []) => ({
    atMs,
    low,
    high,
    parts: {},
    missing,
  });
  const range = { fromMs: 0, toMs: 100, columnsMax: 10 };
  const columns = scoreColumns(
    [
      point(1, 2, 2),
      point(5, 0, 7, ["onOxygen"]),
      point(9, 3, 4),
      point(10, null, null, ["pulseRate"]),
      point(99, 1, 1),
      point(100, 9, 9),
    ],
    range,
  );
  expect(columns.map(({ atMs, low, high, partial }) => [atMs, low, high, partial])).toEqual([
    [5, 0, 7, true],
    [10, null, null, true],
    [99, 1, 1, false],
  ]);
});

test("questions that cannot be meant are refused before anything is read, and a journal that cannot be read is told", async () => {
  const folder = await mkdtemp(join(tmpdir(), "vigil-past-"));
  const ward = createScriptedWard({ nowMs: Date.now, beds: [bedView("bed-1", Date.now())] });
  const started = await startDashboard(
    { host: "127.0.0.1", port: 0, dataFolder: folder, webFolder: folder, signIn: false },
    { clock: createSystemClock(), source: ward.source, perform: ward.perform, random: randomBytes },
  );
  if (!started.ok) throw new Error(JSON.stringify(started.error));
  const statusOf = async (path: string) => (await fetch(new URL(path, started.value.url))).status;
  const month = 32 * 24 * HOUR_MS;
  for (const path of [
    "api/alert-history",
    "api/alert-history?from=2&to=2",
    "api/alert-history?from=-1&to=2",
    `api/alert-history?from=0&to=${month + 1}`,
    "api/events?from=1&to=2",
    "api/events?patient=p&from=2&to=1",
    "api/scores?patient=p&from=1&to=2",
    "api/scores?model=news2&from=1&to=2",
    "api/quality",
    "api/quality?day=2026-13-40",
    "api/quality?day=20261122",
    "api/quality?day=2026-11-22&zone=east",
  ])
    expect(await statusOf(path), path).toBe(400);
  expect(ward.past.asked).toEqual([]);
  expect(await statusOf(`api/alert-history?from=0&to=${month}`)).toBe(200);
  expect(await statusOf("api/quality?day=2026-11-22&zone=480")).toBe(200);
  const fromMs = Date.UTC(2026, 10, 21, 16);
  expect(ward.past.asked.at(-1)?.window).toEqual({ fromMs, toMs: fromMs + 24 * HOUR_MS });
  ward.past.failNext();
  expect(await statusOf("api/events?patient=p&from=1&to=2")).toBe(500);
  await started.value.close();
  await rm(folder, { recursive: true, force: true });
});
