import { describe, expect, test } from "vitest";
import { seq } from "../src/core/ids.ts";
import { wallMs } from "../src/core/time.ts";
import { ANNA, createWard, DEVICE, type Ward } from "./support/watched-ward.ts";

const SCORE = "score.news2/anna";
const PARTIAL = "score-partial.news2/anna";

function enter(ward: Ward, at = 0) {
  const atMs = wallMs(ward.clock.wall() - at);
  ward.watch.enter({ patientId: ANNA, kind: "consciousness", value: "A", atMs, seq: seq(1_000_000) });
  ward.watch.enter({ patientId: ANNA, kind: "onOxygen", value: false, atMs, seq: seq(1_000_001) });
}

/** Speaks every input; limits are off so that only the score is heard. */
function createScored() {
  const ward = createWard();
  ward.note(ward.watch.setDevice({ ...DEVICE, expected: [], stuckSeconds: {} }));
  for (const quantity of ["heartRate", "respiratoryRate", "oxygenSaturation", "bodyTemperature", "systolicPressure"] as const) {
    ward.note(ward.watch.setLimits({ patientId: ANNA, quantity, low: null, high: null }));
  }
  enter(ward);
  ward.say("bodyTemperature", 37.2);
  ward.say("systolicPressure", 124);
  return ward;
}

function speak(
  ward: Ward,
  values: { readonly heartRate?: number; readonly respiratoryRate?: number; readonly oxygenSaturation?: number } = {},
) {
  ward.say("heartRate", values.heartRate ?? 76);
  ward.say("respiratoryRate", values.respiratoryRate ?? 15);
  ward.say("oxygenSaturation", values.oxygenSaturation ?? 97);
}

/** 2 + 3 + 3 = 8 points. */
const ILL = { heartRate: 120, respiratoryRate: 26, oxygenSaturation: 90 };

const latest = (ward: Ward) => {
  const answer = ward.predictions.at(-1)?.answer;
  if (answer?.kind !== "score") throw new Error(JSON.stringify(answer));
  return answer;
};

describe("scores on streams", () => {
  test("a well patient scores 0 of seven inputs and nothing is raised", async () => {
    const ward = createScored();
    await ward.pass(200, () => speak(ward));
    expect(latest(ward)).toMatchObject({ points: 0, missing: [], inputCount: 7, response: "routine" });
    expect(ward.raised()).toEqual([]);
    expect(ward.predictions.length).toBeLessThan(15);
  });
  test("an emergency is announced after it lasted 60 s, and its end too", async () => {
    const ward = createScored();
    await ward.pass(120, () => speak(ward));
    await ward.pass(200, () => speak(ward, ILL));
    // The median over 60 s turns after 31 s at the latest, the change must then last 60 s.
    const high = ward.log.find(({ change }) => change.kind !== "ended" && change.condition.priority === "high");
    expect(high?.atSeconds).toBeGreaterThanOrEqual(180);
    expect(high?.atSeconds).toBeLessThanOrEqual(120 + 31 + 61);
    expect(high?.change).toMatchObject({
      condition: {
        rule: "score.news2",
        evidence: { points: 8, partial: false, parts: { heartRate: 2, respiratoryRate: 3, oxygenSaturation: 3 } },
      },
    });
    await ward.pass(200, () => speak(ward));
    expect(ward.holding()).toEqual([]);
  });
  test("half a minute of nonsense changes nothing: the median holds, and what does change must last", async () => {
    const ward = createScored();
    await ward.pass(120, () => speak(ward));
    await ward.pass(29, () => speak(ward, ILL));
    await ward.pass(120, () => speak(ward));
    expect(latest(ward).points).toBe(0);
    await ward.pass(58, () => speak(ward, ILL));
    await ward.pass(120, () => speak(ward));
    expect(ward.raised()).toEqual([]);
  });
  test("a single 3 is urgent", async () => {
    const ward = createScored();
    await ward.pass(200, () => speak(ward, { heartRate: 135 }));
    expect(ward.log.map(({ change }) => change)).toMatchObject([
      { kind: "raised", condition: { priority: "medium", evidence: { points: 3 } } },
    ]);
  });
  test("a band fires on the lower bound of a partial score", async () => {
    const ward = createWard();
    ward.note(ward.watch.setDevice({ ...DEVICE, expected: [] }));
    await ward.pass(100, () => speak(ward, ILL));
    const raised = ward.log.find(({ change }) => change.kind === "raised" && change.condition.key === SCORE);
    expect(raised?.change).toMatchObject({ condition: { priority: "high", evidence: { points: 8, partial: true } } });
  });
  test("an alert does not end because an input went missing, only because it was measured again", async () => {
    const ward = createScored();
    await ward.pass(120, () => speak(ward, ILL));
    expect(ward.holding()).toContain(SCORE);
    await ward.pass(900, () => {
      ward.say("heartRate", 76);
      ward.say("oxygenSaturation", 97);
      ward.say("respiratoryRate", "sensor-off");
    });
    expect(latest(ward).missing.map(({ input }) => input)).toEqual(["respiratoryRate"]);
    expect(latest(ward).points).toBe(0);
    expect(ward.holding()).toContain(SCORE);
    await ward.pass(150, () => speak(ward));
    expect(ward.holding()).not.toContain(SCORE);
  });
  test("the same band with more points is told again once it lasted", async () => {
    const ward = createScored();
    await ward.pass(120, () => speak(ward, ILL));
    await ward.pass(120, () => speak(ward, { ...ILL, heartRate: 140 }));
    const told = ward.log.flatMap(({ change }) =>
      change.kind !== "ended" && change.condition.evidence.kind === "score" ? [change.condition.evidence.points] : [],
    );
    expect(told).toEqual([8, 9]);
  });
});

describe("ages: how long an input counts", () => {
  for (const quantity of ["heartRate", "respiratoryRate", "oxygenSaturation"] as const) {
    test(`${quantity} counts for 5 min and not a second longer`, async () => {
      const ward = createScored();
      await ward.pass(10, () => speak(ward));
      await ward.pass(300);
      expect(latest(ward).missing).toEqual([]);
      await ward.pass(1);
      expect(latest(ward).missing.map(({ input, why }) => [input, why])).toContainEqual([quantity, "stale"]);
    });
  }
  test("cuff, temperature and entries count for 12 h while the score is 0", async () => {
    const ward = createScored();
    await ward.clock.advance(12 * 3_600_000 - 10_000);
    await ward.pass(10, () => speak(ward));
    expect(latest(ward).missing).toEqual([]);
    await ward.pass(1, () => speak(ward));
    expect(latest(ward).missing.map(({ input, why }) => `${input} ${why}`)).toEqual([
      "onOxygen expired",
      "systolicPressure stale",
      "consciousness expired",
      "bodyTemperature stale",
    ]);
  });
  test("they count for 1 h while an observation is due hourly, and do not come back by their own expiry", async () => {
    const ward = createScored();
    await ward.clock.advance(3_600_000 - 10_000);
    await ward.pass(10, () => speak(ward, { heartRate: 135 }));
    expect(latest(ward).missing).toEqual([]);
    await ward.pass(300, () => speak(ward, { heartRate: 135 }));
    const missing = ward.predictions.slice(-3).map(({ answer }) => answer.missing.length);
    expect(missing).toEqual([4, 4, 4]);
    expect(ward.watch.view(ANNA)?.consciousness?.expiresAtMs).toBeLessThan(ward.clock.wall());
  });
  test("the arterial line goes before the cuff, the cuff counts when the line is old", async () => {
    const ward = createScored();
    ward.say("arterialSystolicPressure", 88);
    await ward.pass(1, () => speak(ward));
    expect(latest(ward).points).toBe(3);
    await ward.pass(301, () => speak(ward));
    expect(latest(ward).points).toBe(0);
  });
});

describe("line 11: a score that lacks an input says so", () => {
  test("shown at once, a technical alert after 30 min and not before, ended by the input", async () => {
    const ward = createScored();
    await ward.pass(10, () => speak(ward));
    const some = () => {
      ward.say("heartRate", 76);
      ward.say("oxygenSaturation", 97);
      ward.say("respiratoryRate", "no-signal");
    };
    await ward.pass(301, some);
    expect(latest(ward).missing).toMatchObject([{ input: "respiratoryRate", why: "absent" }]);
    await ward.pass(1798, some);
    expect(ward.holding()).toEqual([]);
    await ward.pass(3, some);
    expect(ward.holding()).toEqual([PARTIAL]);
    expect(ward.log[0]?.change).toMatchObject({ condition: { nature: "technical", evidence: { missing: ["respiratoryRate"] } } });
    await ward.pass(1, () => speak(ward));
    expect(ward.holding()).toEqual([]);
  });
  test("a patient of whom nothing is known is told too", async () => {
    const ward = createWard();
    await ward.pass(1801);
    expect(ward.predictions[0]?.answer).toMatchObject({ kind: "no-answer", why: "inputs-missing" });
    expect(ward.holding()).toEqual([PARTIAL]);
  });
});

describe("line 12: an old, resent or stored record is not now", () => {
  test("old values neither raise a limit nor end one", async () => {
    const ward = createWard();
    ward.note(ward.watch.setDevice({ ...DEVICE, expected: [] }));
    await ward.pass(60, () => ward.say("oxygenSaturation", 60, { agoMs: 301_000 }));
    expect(ward.raised()).toEqual([]);
    await ward.pass(12, () => ward.say("oxygenSaturation", 80));
    expect(ward.holding()).toEqual(["limit.oxygenSaturation.low/anna"]);
    await ward.pass(25, () => ward.say("oxygenSaturation", 99, { agoMs: 301_000 }));
    expect(ward.holding()).toEqual(["limit.oxygenSaturation.low/anna"]);
  });
  test("a backlog that is young enough but older than what is known ends nothing", async () => {
    const ward = createWard();
    ward.note(ward.watch.setDevice({ ...DEVICE, expected: [] }));
    await ward.pass(12, () => ward.say("oxygenSaturation", 80));
    for (let second = 60; second > 30; second--) ward.say("oxygenSaturation", 99, { agoMs: second * 1000 });
    expect(ward.holding()).toEqual(["limit.oxygenSaturation.low/anna"]);
  });
  test("the wall shows the newest value, not the one that came last", async () => {
    const ward = createWard();
    ward.note(ward.watch.setDevice({ ...DEVICE, expected: [] }));
    ward.say("oxygenSaturation", 80);
    ward.say("oxygenSaturation", 99, { agoMs: 60_000 });
    expect(ward.watch.view(ANNA)?.numbers).toMatchObject([{ content: { value: 80 } }]);
  });
  test("the wall shows a number's and an entry's age, whatever the wall clock did meanwhile", async () => {
    const ward = createWard();
    ward.note(ward.watch.setDevice({ ...DEVICE, expected: [] }));
    ward.say("oxygenSaturation", 95);
    const act = { patientId: ANNA, kind: "onOxygen", value: true, atMs: ward.clock.wall(), seq: seq(9) } as const;
    ward.watch.enter(act);
    for (const stepMs of [-3_600_000, 2 * 3_600_000, 0]) {
      ward.clock.stepWall(stepMs);
      await ward.pass(20);
      const nowMs = ward.clock.wall();
      const shown = ward.watch.view(ANNA);
      const agoMs = ward.clock.monotonic() - 1_000_000;
      expect(nowMs - (shown?.numbers[0]?.measuredAtMs ?? 0), String(stepMs)).toBe(agoMs);
      expect(nowMs - (shown?.onOxygen?.enteredAtMs ?? 0), String(stepMs)).toBe(agoMs);
      expect((shown?.onOxygen?.expiresAtMs ?? 0) - (shown?.onOxygen?.enteredAtMs ?? 0)).toBeGreaterThan(0);
    }
  });
  test("a score does not take stored values for present ones", async () => {
    const ward = createWard();
    ward.note(ward.watch.setDevice({ ...DEVICE, expected: [] }));
    await ward.pass(100, () => {
      ward.say("heartRate", 150, { agoMs: 301_000 });
      ward.say("respiratoryRate", 40, { agoMs: 301_000 });
    });
    expect(ward.raised()).toEqual([]);
    expect(ward.predictions.every(({ answer }) => answer.kind === "no-answer")).toBe(true);
  });
});
