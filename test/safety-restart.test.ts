import { describe, expect, test } from "vitest";
import {
  ALERT_DEFAULTS,
  type AlertBook,
  type AlertMoment,
  emptyBook,
  rebuildAlerts,
  stepAlerts,
} from "../src/alerts/life-cycle.ts";
import type { Alert, ConditionChange } from "../src/core/alert.ts";
import { alertId, bedId, type DeviceId, deviceId, seq } from "../src/core/ids.ts";
import type { Observation } from "../src/core/observation.ts";
import { wallMs } from "../src/core/time.ts";
import { ANNA, createWard, DEVICE, MONITOR, type Ward } from "./support/watched-ward.ts";

const LOW = "limit.oxygenSaturation.low/anna";

/** An alert for each condition that holds in a ward, as the journal would give it back. */
function openAlertsOf(ward: Ward): readonly Alert[] {
  let book: AlertBook = emptyBook({ ...ALERT_DEFAULTS, endHoldSeconds: 0 });
  let next = 1;
  const at: AlertMoment = {
    wallMs: ward.clock.wall(),
    monotonicMs: ward.clock.monotonic(),
    nextSeq: () => seq(next++),
    alertId: (number) => alertId(`test-${number}`),
  };
  for (const { change } of ward.log) book = stepAlerts(book, change, at).book;
  return [...book.open.values()].map(({ alert }) => alert);
}

/** The same bed after a restart: a new watch, told of the plant, then restored. */
async function restart(
  ward: Ward,
  kept: readonly Observation[],
  given: { readonly downSeconds?: number; readonly assigned?: boolean; readonly keepAlerts?: boolean } = {},
) {
  const openAlerts = given.keepAlerts === false ? [] : openAlertsOf(ward);
  await ward.clock.advance((given.downSeconds ?? 3) * 1000);
  const again = createWard({ clock: ward.clock });
  again.note(again.watch.setDevice({ ...DEVICE, patientId: given.assigned === false ? null : ANNA }));
  const changes = again.watch.restore({ observations: kept, openAlerts });
  again.note(changes);
  return { again, changes };
}

const kinds = (changes: readonly ConditionChange[]) =>
  changes.map((change) => `${change.kind} ${change.kind === "ended" ? change.key : change.condition.key}`);

describe("line 10: a restart forgets neither delays, windows nor limits", () => {
  test("a limit alert stays open, is confirmed, and ends only on live values", async () => {
    const ward = createWard();
    ward.note(ward.watch.setDevice(DEVICE));
    const kept: Observation[] = [];
    await ward.pass(15, () => kept.push(ward.say("oxygenSaturation", 80)));
    const { again, changes } = await restart(ward, kept);
    expect(kinds(changes)).toEqual([`raised ${LOW}`]);
    await again.pass(9);
    expect(again.holding()).toEqual([LOW]);
    await again.pass(5, () => again.say("oxygenSaturation", 80));
    expect(again.raised()).toEqual(["limit.oxygenSaturation.low"]);
    await again.pass(12, () => again.say("oxygenSaturation", 96));
    expect(again.holding()).toEqual([]);
  });
  test("good values from before the restart do not end it", async () => {
    const ward = createWard();
    ward.note(ward.watch.setDevice(DEVICE));
    await ward.pass(15, () => ward.say("oxygenSaturation", 80));
    const kept = Array.from({ length: 30 }, (_, second) => ward.make("oxygenSaturation", 97, { agoMs: (29 - second) * 1000 }));
    const { again } = await restart(ward, kept);
    await again.pass(2);
    expect(again.holding()).toEqual([LOW]);
  });
  test("a delay that had begun goes on: alerting again within 5 s", async () => {
    const ward = createWard();
    ward.note(ward.watch.setDevice(DEVICE));
    const kept: Observation[] = [];
    await ward.pass(8, () => kept.push(ward.say("oxygenSaturation", 80)));
    expect(ward.holding()).toEqual([]);
    const { again, changes } = await restart(ward, kept);
    expect(changes).toEqual([]);
    await again.pass(2);
    expect(again.holding(), "nothing is raised on old data").toEqual([]);
    again.say("oxygenSaturation", 81);
    expect(again.holding()).toEqual([LOW]);
    const { again: forgetful } = await restart(ward, []);
    forgetful.say("oxygenSaturation", 81);
    expect(forgetful.holding(), "without the journal the delay would begin anew").toEqual([]);
  });
  test("a delay that had run out before the restart raises with the first live value, not before", async () => {
    const ward = createWard();
    ward.note(ward.watch.setDevice(DEVICE));
    const kept: Observation[] = [];
    await ward.pass(15, () => kept.push(ward.say("oxygenSaturation", 80)));
    const { again } = await restart(ward, kept, { keepAlerts: false });
    await again.pass(5);
    expect(again.holding(), "nothing is raised on old data").toEqual([]);
    again.say("oxygenSaturation", 81);
    expect(again.holding()).toEqual([LOW]);
  });
  test("a score's confirmation goes on, and its alert outlives a restart without data", async () => {
    const ward = createWard();
    ward.note(ward.watch.setDevice({ ...DEVICE, expected: [] }));
    const kept: Observation[] = [];
    const speak = (where: Ward) => () =>
      void kept.push(
        where.say("respiratoryRate", 24),
        where.say("heartRate", 128 + (kept.length % 2)),
        where.say("oxygenSaturation", 92),
      );
    await ward.pass(55, speak(ward));
    expect(ward.holding()).toEqual([]);
    const { again } = await restart(ward, kept);
    await again.pass(9);
    expect(again.holding(), "nothing is raised on old data").toEqual([]);
    await again.pass(3, speak(again));
    expect(again.holding()).toEqual(["score.news2/anna"]);
    const { again: third } = await restart(again, []);
    await third.pass(9);
    expect(third.holding()).toEqual(["score.news2/anna"]);
    const { again: forgetful } = await restart(ward, [], { keepAlerts: false });
    await forgetful.pass(10, speak(forgetful));
    expect(forgetful.holding(), "without the journal it would begin anew").toEqual([]);
  });
  test("the windows of cuff and temperature are there again", async () => {
    const ward = createWard();
    const kept = [ward.make("systolicPressure", 124), ward.make("bodyTemperature", 37.4)];
    const { again } = await restart(ward, kept, { downSeconds: 3600 });
    await again.pass(1);
    const answer = again.predictions.at(-1)?.answer;
    expect(answer?.kind === "score" ? answer.parts.map(({ input }) => input) : answer).toEqual([
      "systolicPressure",
      "bodyTemperature",
    ]);
  });
  test("values older than their age limit are not taken back", async () => {
    const ward = createWard();
    const kept = [ward.make("oxygenSaturation", 80)];
    const { again } = await restart(ward, kept, { downSeconds: 301 });
    await again.pass(1);
    expect(again.predictions.at(-1)?.answer.kind).toBe("no-answer");
  });
  test("values of a time that has not come yet are of unknown age and are not taken back", async () => {
    const ward = createWard();
    const kept = [ward.make("oxygenSaturation", 80), ward.make("systolicPressure", 85), ward.make("bodyTemperature", 34)];
    ward.clock.stepWall(-61_000);
    const { again } = await restart(ward, kept, { downSeconds: 0 });
    await again.pass(1);
    expect(again.predictions.at(-1)?.answer.kind).toBe("no-answer");
    ward.clock.stepWall(2000);
    const { again: within } = await restart(ward, kept, { downSeconds: 0 });
    await within.pass(1);
    expect(within.predictions.at(-1)?.answer.kind, "a clock set back a little is no stranger").toBe("score");
  });
  test("a score's alert stands while its score is not loaded, as in safe mode, and ends when the patient leaves", async () => {
    const ward = createWard();
    ward.note(ward.watch.setDevice({ ...DEVICE, expected: [] }));
    await ward.pass(70, (second) => {
      ward.say("respiratoryRate", 26);
      ward.say("heartRate", 128 + (second % 2));
    });
    expect(ward.holding()).toContain("score.news2/anna");
    const safe = createWard({ clock: ward.clock, scored: false });
    safe.note(safe.watch.restore({ observations: [], openAlerts: openAlertsOf(ward) }));
    await safe.pass(600, () => safe.say("respiratoryRate", 14));
    expect(safe.holding()).toContain("score.news2/anna");
    safe.note(safe.watch.removePatient(ANNA));
    expect(safe.holding()).toEqual([]);
  });
  test("silence, stuck values, untrusted origin and device alarms are taken over and end by what ends them", async () => {
    const ward = createWard();
    ward.note(ward.watch.setDevice(DEVICE));
    ward.note(
      ward.watch.deviceAlarm(
        MONITOR,
        { code: "apnoea", nature: "physiological", priority: "high", active: true, text: "APNEA" },
        "measured",
      ),
    );
    ward.note(
      ward.watch.deviceAlarm(
        MONITOR,
        { code: "asystole", nature: "physiological", priority: "high", active: true, text: "ASYSTOLE" },
        "measured",
      ),
    );
    await ward.pass(32, () => ward.say("heartRate", 72));
    const before = ward.holding();
    expect(before).toEqual([
      "device-alarm.apnoea/monitor-1",
      "device-alarm.asystole/monitor-1",
      "silence.oxygenSaturation/anna",
      "stuck.heartRate/monitor-1",
    ]);
    const { again } = await restart(ward, []);
    await again.pass(5);
    expect(again.holding()).toEqual(before);
    again.note(
      again.watch.deviceAlarm(
        MONITOR,
        { code: "asystole", nature: "physiological", priority: "high", active: true, text: "ASYSTOLE" },
        "measured",
      ),
    );
    await again.pass(70, (second) => {
      again.say("heartRate", 72 + (second % 2));
      again.say("oxygenSaturation", 97);
    });
    expect(again.holding(), "the apnoea was not repeated").toEqual(["device-alarm.asystole/monitor-1"]);
  });
  test("a device that was silent is still silent, without being told twice", async () => {
    const ward = createWard();
    ward.note(ward.watch.setDevice(DEVICE));
    await ward.pass(20);
    const { again } = await restart(ward, []);
    await again.pass(60);
    expect(again.raised()).toEqual(["silence.device"]);
    again.note(again.watch.heard(MONITOR));
    expect(again.holding()).toEqual([]);
  });
  test("alerts of a released device or a patient who left are ended, not left hanging", async () => {
    const ward = createWard();
    ward.note(ward.watch.setDevice(DEVICE));
    await ward.pass(15, () => ward.say("oxygenSaturation", 80));
    const { changes } = await restart(ward, [], { assigned: false });
    expect(kinds(changes)).toEqual([`ended ${LOW}`]);
  });
});

describe("alerts over a restart", () => {
  const moment = (monotonicMs: number, wall: number): AlertMoment => {
    let next = 1000 + monotonicMs;
    return {
      wallMs: wallMs(wall),
      monotonicMs: monotonicMs as AlertMoment["monotonicMs"],
      nextSeq: () => seq(next++),
      alertId: (number) => alertId(`x-${number}`),
    };
  };
  const someone: DeviceId = deviceId("monitor-1");
  const condition = {
    key: "silence.device/monitor-1",
    rule: "silence.device",
    nature: "technical",
    priority: "medium",
    subject: { patientId: ANNA, bedId: bedId("bed-1"), deviceId: someone, part: null },
    origin: "measured",
    evidence: { kind: "device-silent", lastHeardAtMs: null, limitSeconds: 15 },
  } as const;
  const open = stepAlerts(emptyBook(), { kind: "raised", condition }, moment(0, 1_000_000));
  const [first] = open.changed;
  if (first === undefined) throw new Error("no alert");
  const acknowledged = stepAlerts(
    open.book,
    { kind: "acknowledge", alertId: first.id, by: "nurse" as never },
    moment(1000, 1_001_000),
  ).changed[0];
  if (acknowledged === undefined) throw new Error("not acknowledged");

  test("an alert stays open with its acknowledgement and is confirmed without a second record", () => {
    const book = rebuildAlerts([acknowledged], moment(50, 1_060_000));
    const step = stepAlerts(book, { kind: "raised", condition }, moment(60, 1_060_010));
    expect(step.changed).toEqual([]);
    expect(step.book.open.get(condition.key)?.alert).toEqual(acknowledged);
    const hourLater = stepAlerts(step.book, { kind: "tick" }, moment(400_000, 1_460_000));
    expect(hourLater.changed, "confirmed, so it does not run out").toEqual([]);
  });
  test("the acknowledgement's time goes on over the restart", () => {
    const book = stepAlerts(
      rebuildAlerts([acknowledged], moment(50, 1_001_000 + 1_700_000)),
      { kind: "raised", condition },
      moment(60, 0),
    ).book;
    expect(stepAlerts(book, { kind: "tick" }, moment(50 + 99_000, 0)).changed).toEqual([]);
    expect(stepAlerts(book, { kind: "tick" }, moment(50 + 100_000, 0)).changed).toMatchObject([
      { phase: "continue", state: "active", raisedCount: 2 },
    ]);
  });
  test("what nobody says again ends after its window, with a record", () => {
    const book = rebuildAlerts([first], moment(0, 0));
    expect(stepAlerts(book, { kind: "tick" }, moment(299_999, 0)).changed).toEqual([]);
    const ended = stepAlerts(book, { kind: "tick" }, moment(300_000, 0));
    expect(ended.changed).toMatchObject([{ state: "ended", phase: "end", id: first.id }]);
    expect(ended.book.open.size).toBe(0);
  });
  test("a fault that happened once stays until somebody acknowledged it, over any number of restarts", () => {
    const said = { ...first, evidence: { kind: "fault", code: "gateway-restarted", facts: {} } } as const satisfies Alert;
    const book = rebuildAlerts([said], moment(0, 0));
    expect(stepAlerts(book, { kind: "tick" }, moment(10_000_000, 0)).changed).toEqual([]);
    const seen = rebuildAlerts([{ ...said, state: "acknowledged", acknowledgedAtMs: wallMs(0) }], moment(0, 0));
    expect(stepAlerts(seen, { kind: "tick" }, moment(300_000, 0)).changed).toMatchObject([{ phase: "end" }]);
  });
});
