import { describe, expect, test } from "vitest";
import { createMemoryJournal } from "../simulator/world/memory-journal.ts";
import { createSimulatedClock } from "../simulator/world/simulated-clock.ts";
import { type Fault, fault } from "../src/core/errors.ts";
import { seq } from "../src/core/ids.ts";
import { LIMITS } from "../src/core/limits.ts";
import { BacklogPace } from "../src/sinks/backlog-pace.ts";
import { Outage } from "../src/sinks/outage.ts";
import { ReaderLosses } from "../src/sinks/reader-losses.ts";
import { type Refusal, Refusals } from "../src/sinks/refusals.ts";
import { observationAt } from "./support/upstream-records.ts";

const RECORDS_MAX = LIMITS.upstreamBatchRecordsMax.value;
const QUICK = { tookMs: 149, workMs: 0.4 };

/** A pace that has grown to the largest batch. */
function grownPace(): BacklogPace {
  const pace = new BacklogPace();
  for (let confirmed = 0; confirmed < 10; confirmed += 1) pace.confirmed(QUICK);
  return pace;
}

describe("the batches of a backlog", () => {
  test("grow to the bound while they are quick", () => {
    expect(grownPace().batchRecords).toBe(RECORDS_MAX);
  });

  test.each([
    { why: "the receiver is slow", took: { tookMs: 501, workMs: 0.4 }, factor: 0.5 },
    { why: "the main thread works long", took: { tookMs: 149, workMs: 1.1 }, factor: 0.5 },
    { why: "neither is slow nor quick (receiver)", took: { tookMs: 150, workMs: 0.4 }, factor: 1 },
    { why: "neither is slow nor quick (receiver, upper edge)", took: { tookMs: 500, workMs: 0.4 }, factor: 1 },
    { why: "neither is slow nor quick (main thread)", took: { tookMs: 149, workMs: 0.5 }, factor: 1 },
    { why: "neither is slow nor quick (main thread, upper edge)", took: { tookMs: 149, workMs: 1 }, factor: 1 },
    { why: "both are quick", took: QUICK, factor: 2 },
  ])("become $factor times as large where $why", ({ took, factor }) => {
    const pace = new BacklogPace();
    const before = pace.batchRecords;
    pace.confirmed(took);
    expect(pace.batchRecords).toBe(before * factor);
  });

  test("stay at ten or more where everything is slow, but for those that cut the connection", () => {
    const pace = new BacklogPace();
    for (let slow = 0; slow < 20; slow += 1) pace.confirmed({ tookMs: 900, workMs: 3 });
    expect(pace.batchRecords).toBe(10);
    pace.failed(10);
    pace.confirmed({ tookMs: 900, workMs: 3 });
    expect(pace.batchRecords).toBe(5);
    pace.failed(1);
    expect(pace.batchRecords, "never none").toBe(1);
  });

  test("are no larger than half of the one with which the connection was lost, and a quarter more each minute", () => {
    const pace = grownPace();
    pace.failed(40);
    pace.confirmed(QUICK);
    expect(pace.batchRecords).toBe(20);
    pace.allowMore();
    pace.confirmed(QUICK);
    expect(pace.batchRecords).toBe(25);
    for (let minute = 0; minute < 60; minute += 1) pace.allowMore();
    for (let confirmed = 0; confirmed < 10; confirmed += 1) pace.confirmed(QUICK);
    expect(pace.batchRecords).toBe(RECORDS_MAX);
  });

  test("leave the main thread alone for longer where a rest was over late, down to a two-hundredth, and for nineteen twentieths at the least", () => {
    const pace = new BacklogPace();
    expect(pace.restMs(1, RECORDS_MAX), "a fortieth at first").toBeCloseTo(39);
    pace.rested(4.1);
    expect(pace.restMs(1, RECORDS_MAX), "a sixtieth").toBeCloseTo(59);
    for (let late = 0; late < 30; late += 1) pace.rested(4.1);
    expect(pace.restMs(1, RECORDS_MAX)).toBeCloseTo(199);
    pace.rested(4);
    expect(pace.restMs(1, RECORDS_MAX), "seven thousandths").toBeCloseTo(1000 / 7 - 1);
    for (let punctual = 0; punctual < 100; punctual += 1) pace.rested(0);
    expect(pace.restMs(1, RECORDS_MAX)).toBeCloseTo(19);
  });

  test("leave twice as fast as new records come, and by a thousand a second at least, however late every rest is over", () => {
    const pace = new BacklogPace();
    for (let late = 0; late < 30; late += 1) pace.rested(50);
    expect(pace.restMs(1, 100), "a hundred of a thousand").toBeCloseTo(99);
    pace.heard(500);
    expect(pace.restMs(1, 100), "500 new ones a second ask for no more").toBeCloseTo(99);
    pace.heard(2500);
    expect(pace.restMs(1, 100), "a hundred of five thousand").toBeCloseTo(19);
    expect(pace.restMs(25, 100), "work that is slower than that is followed by more at once").toBe(0);
    pace.heard(0);
    expect(pace.restMs(1, 100)).toBeCloseTo(99);
  });
});

describe("refusals", () => {
  test("are so many runs a minute and no more; neighbours are one run", () => {
    const incidents: Fault[] = [];
    const losses = new ReaderLosses({ journal: createMemoryJournal(), reader: "upstream:hospital", state: () => seq(9999) });
    const onIncident = (incident: Fault) => void incidents.push(incident);
    const refusals = new Refusals({ name: "upstream:hospital", clock: createSimulatedClock(), losses, onIncident });
    const reason = fault("upstream-rejected", { reasonCode: 153 });
    const noted: Refusal[] = [];
    const note = (number: number) =>
      refusals.note({ key: String(number), record: observationAt(number), resent: false, durable: true }, reason, noted);
    const runsMax = LIMITS.upstreamRefusalsPerMinuteMax.value;
    for (let run = 1; run <= runsMax; run += 1) expect(note(run * 10)).toBe(true);
    expect(note(runsMax * 10 + 10), "one run too many").toBe(false);
    expect(note(runsMax * 10 + 1), "the next of the last run").toBe(true);
    expect(noted).toHaveLength(runsMax);
    expect(noted.at(-1)).toMatchObject({ from: runsMax * 10, to: runsMax * 10 + 1 });
    refusals.setAside(noted);
    expect(refusals.rejectedCount).toBe(runsMax + 1);
    expect(incidents).toHaveLength(runsMax);
    refusals.allowMore();
    expect(note(runsMax * 10 + 10)).toBe(true);
  });
});

describe("an outage", () => {
  const denied = fault("upstream-denied", { topic: "observations" });
  const cut = fault("upstream-unreachable", { reason: "cut" });

  test("has another reason only when that comes twice in a row, with no connection between", () => {
    const told: (string | null)[] = [];
    const clock = createSimulatedClock();
    const outage = new Outage({ clock, onFault: (reason) => void told.push(reason === null ? null : reason.code) });
    outage.tell(denied);
    outage.tell(cut);
    outage.connected();
    outage.tell(cut);
    expect(told).toEqual(["upstream-denied"]);
    outage.tell(denied);
    outage.tell(cut);
    expect(told, "not in a row").toEqual(["upstream-denied"]);
    outage.tell(cut);
    expect(told).toEqual(["upstream-denied", "upstream-unreachable"]);
  });

  test("is over once, when no lane waits for its first success", () => {
    const told: (string | null)[] = [];
    const clock = createSimulatedClock();
    const outage = new Outage({ clock, onFault: (reason) => void told.push(reason === null ? null : reason.code) });
    outage.settle();
    outage.tell(cut);
    outage.failed("kept");
    outage.failed("bulk");
    outage.recovered("kept");
    outage.settle();
    expect(told).toEqual(["upstream-unreachable"]);
    outage.recovered("bulk");
    outage.settle();
    outage.settle();
    expect(told).toEqual(["upstream-unreachable", null]);
  });
});
