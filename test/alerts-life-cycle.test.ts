import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  ALERT_DEFAULTS,
  type AlertBook,
  type AlertInput,
  type AlertMoment,
  emptyBook,
  GROUP_KEY,
  stepAlerts,
} from "../src/alerts/life-cycle.ts";
import type { Alert, AlertNature, Condition, Priority } from "../src/core/alert.ts";
import { alertId, bedId, deviceId, patientId, seq, userId } from "../src/core/ids.ts";
import { LIMITS } from "../src/core/limits.ts";
import { monotonicMs, wallMs } from "../src/core/time.ts";

const NURSE = userId("nurse");

function condition(
  name: string,
  priority: Priority,
  more: { readonly nature?: AlertNature; readonly points?: number } = {},
): Condition {
  return {
    key: `score.news2/${name}`,
    rule: "score.news2",
    nature: more.nature ?? "physiological",
    priority,
    subject: { patientId: patientId(name), bedId: null, deviceId: deviceId("d"), part: null },
    origin: "measured",
    evidence: {
      kind: "score",
      modelId: "news2",
      modelVersion: "1",
      points: more.points ?? 7,
      partial: false,
      parts: {},
      missing: [],
      predictionSeq: null,
    },
  };
}

/** A book that remembers every record; seconds are on the monotonic clock. */
function createLedger(settings = ALERT_DEFAULTS) {
  let book: AlertBook = emptyBook(settings);
  let next = 1;
  const records: Alert[] = [];
  const step = (seconds: number, input: AlertInput): readonly Alert[] => {
    const at: AlertMoment = {
      wallMs: wallMs(5_000_000 + seconds * 1000),
      monotonicMs: monotonicMs(seconds * 1000),
      nextSeq: () => seq(next++),
      alertId: (number) => alertId(`abcdef01-${number}`),
    };
    const result = stepAlerts(book, input, at);
    book = result.book;
    records.push(...result.changed);
    return result.changed;
  };
  return {
    records,
    step,
    book: () => book,
    raise: (seconds: number, said: Condition) => step(seconds, { kind: "raised", condition: said }),
    change: (seconds: number, said: Condition) => step(seconds, { kind: "changed", condition: said }),
    end: (seconds: number, said: Condition) => step(seconds, { kind: "ended", key: said.key }),
    tick: (seconds: number) => step(seconds, { kind: "tick" }),
    acknowledge: (seconds: number, alert: Alert | undefined) =>
      step(seconds, { kind: "acknowledge", alertId: alert?.id ?? alertId("none"), by: NURSE }),
  };
}

describe("an alert's life", () => {
  test("starts with its condition, under an id of its first record, and ends after the hold", () => {
    const ledger = createLedger();
    expect(ledger.raise(0, condition("p", "high"))).toMatchObject([
      { id: "abcdef01-1", phase: "start", state: "active", raisedCount: 1, raisedAtMs: 5_000_000 },
    ]);
    expect(ledger.end(10, condition("p", "high"))).toEqual([]);
    expect(ledger.tick(14.9)).toEqual([]);
    expect(ledger.tick(15)).toMatchObject([{ id: "abcdef01-1", seq: 2, phase: "end", state: "ended", endedAtMs: 5_015_000 }]);
    expect(ledger.book().open.size).toBe(0);
  });
  test("flapping within the hold is one alert", () => {
    const ledger = createLedger();
    for (let second = 0; second < 60; second += 4) {
      ledger.raise(second, condition("p", "high"));
      ledger.end(second + 2, condition("p", "high"));
      ledger.tick(second + 3);
    }
    expect(ledger.records).toHaveLength(1);
    ledger.tick(70);
    expect(ledger.records.map(({ phase }) => phase)).toEqual(["start", "end"]);
    expect(ledger.raise(71, condition("p", "high"))).toMatchObject([{ phase: "start", id: "abcdef01-3" }]);
  });
  test("an acknowledgement lasts while the condition is unchanged or better", () => {
    const ledger = createLedger();
    const [alert] = ledger.raise(0, condition("p", "high", { points: 8 }));
    expect(ledger.acknowledge(5, alert)).toMatchObject([
      { state: "acknowledged", acknowledgedBy: "nurse", acknowledgedAtMs: 5_005_000, phase: "update" },
    ]);
    expect(ledger.raise(6, condition("p", "high", { points: 8 }))).toEqual([]);
    expect(ledger.change(7, condition("p", "high", { points: 7 }))).toMatchObject([{ state: "acknowledged", phase: "update" }]);
    expect(ledger.change(8, condition("p", "medium", { points: 5 }))).toMatchObject([
      { state: "acknowledged", phase: "deescalate", priority: "medium" },
    ]);
  });
  test("it is taken back when the condition escalates, or worsens within its band", () => {
    const ledger = createLedger();
    const [alert] = ledger.raise(0, condition("p", "medium", { points: 5 }));
    ledger.acknowledge(5, alert);
    expect(ledger.change(6, condition("p", "medium", { points: 6 }))).toMatchObject([
      { state: "active", phase: "escalate", raisedCount: 2, acknowledgedBy: null },
    ]);
    ledger.acknowledge(7, alert);
    expect(ledger.change(8, condition("p", "high", { points: 7 }))).toMatchObject([
      { state: "active", phase: "escalate", priority: "high", raisedCount: 3 },
    ]);
  });
  test("goes on under another number of its patient as the same alert, acknowledged or not", () => {
    const ledger = createLedger();
    const [former, staying] = [condition("former", "high"), condition("staying", "high")];
    const [raised] = ledger.raise(0, former);
    ledger.acknowledge(1, raised);
    const renamed = ledger.step(2, { kind: "renamed", fromKey: former.key, condition: staying });
    expect(renamed).toMatchObject([
      { id: raised?.id, key: staying.key, state: "acknowledged", phase: "update", subject: { patientId: "staying" } },
    ]);
    expect([...ledger.book().open.keys()]).toEqual([staying.key]);
    ledger.end(3, staying);
    expect(ledger.tick(3 + ALERT_DEFAULTS.endHoldSeconds)).toMatchObject([{ id: raised?.id, state: "ended" }]);
  });

  test("what is still open under the number that stays, without a condition behind it, ends when another goes on in its place", () => {
    const ledger = createLedger();
    const [former, staying] = [condition("former", "high"), condition("staying", "medium")];
    const [held] = ledger.raise(0, staying);
    ledger.end(1, staying);
    const [raised] = ledger.raise(1, former);
    const changed = ledger.step(2, { kind: "renamed", fromKey: former.key, condition: { ...staying, priority: "high" } });
    expect(changed.map(({ id, state }) => [id, state])).toEqual([
      [held?.id, "ended"],
      [raised?.id, "active"],
    ]);
    expect(ledger.book().open.size).toBe(1);
    expect(ledger.tick(60)).toEqual([]);
  });

  test("a condition under another number that nobody knew is raised", () => {
    const ledger = createLedger();
    const staying = condition("staying", "high");
    const changed = ledger.step(0, { kind: "renamed", fromKey: "score.news2/nobody", condition: staying });
    expect(changed).toMatchObject([{ key: staying.key, state: "active", phase: "start" }]);
  });

  test("a patient who is moved keeps the alert; a device of nobody that stands elsewhere begins a new one", () => {
    const ledger = createLedger();
    const said = condition("p", "high");
    const [raised] = ledger.raise(0, said);
    const moved = { ...said, subject: { ...said.subject, bedId: bedId("bed-2") } };
    expect(ledger.change(1, moved)).toMatchObject([{ id: raised?.id, phase: "update", subject: { bedId: "bed-2" } }]);
    const back = { ...said, subject: { ...said.subject, bedId: bedId("bed-1") } };
    expect(ledger.raise(2, back)).toMatchObject([{ id: raised?.id, phase: "update", subject: { bedId: "bed-1" } }]);
    const stray = {
      ...condition("d", "low"),
      subject: { patientId: null, bedId: bedId("bed-1"), deviceId: deviceId("d"), part: null },
    };
    const [first] = ledger.raise(3, stray);
    const elsewhere = { ...stray, subject: { ...stray.subject, bedId: bedId("bed-2") } };
    expect(ledger.change(4, elsewhere).map(({ id, state }) => [id === first?.id, state])).toEqual([
      [true, "ended"],
      [false, "active"],
    ]);
  });

  test("an acknowledgement of nothing changes nothing", () => {
    const ledger = createLedger();
    expect(ledger.acknowledge(0, undefined)).toEqual([]);
    expect(ledger.end(0, condition("p", "high"))).toEqual([]);
    expect(ledger.change(0, condition("p", "high"))).toMatchObject([{ phase: "start" }]);
  });
});

describe("line 8: acknowledged and forgotten; a storm hides one patient", () => {
  const reminders: readonly [Priority, number][] = [
    ["high", 600],
    ["medium", 1800],
    ["low", 1800],
  ];
  for (const [priority, seconds] of reminders) {
    test(`an acknowledged ${priority} alert that lasts is raised again after ${seconds} s, again and again`, () => {
      const ledger = createLedger();
      const [alert] = ledger.raise(0, condition("p", priority));
      ledger.acknowledge(10, alert);
      expect(ledger.tick(10 + seconds - 1)).toEqual([]);
      expect(ledger.tick(10 + seconds)).toMatchObject([
        { phase: "continue", state: "active", raisedCount: 2, acknowledgedBy: null },
      ]);
      expect(ledger.tick(10 + 2 * seconds)).toEqual([]);
      ledger.acknowledge(10 + 2 * seconds, alert);
      expect(ledger.tick(10 + 3 * seconds)).toMatchObject([{ phase: "continue", raisedCount: 3 }]);
    });
  }
  test("without the reminder it would be forgotten", () => {
    const ledger = createLedger({
      ...ALERT_DEFAULTS,
      acknowledgedReminderSeconds: { high: Infinity, medium: Infinity, low: Infinity },
    });
    const [alert] = ledger.raise(0, condition("p", "high"));
    ledger.acknowledge(10, alert);
    expect(ledger.tick(1_000_000)).toEqual([]);
  });
  test("beyond the bound technical alerts are counted in one, and physiological ones are all raised", () => {
    const ledger = createLedger();
    const max = LIMITS.openAlertsMax.value;
    const technical = (index: number) => condition(`t${index}`, "medium", { nature: "technical" });
    for (let index = 0; index < max + 5; index++) ledger.raise(0, technical(index));
    expect(ledger.book().open.size).toBe(max + 1);
    expect(ledger.book().open.get(GROUP_KEY)?.alert.evidence).toMatchObject({ code: "alerts-grouped", facts: { count: 5 } });
    for (let index = 0; index < 3; index++)
      expect(ledger.raise(1, condition(`p${index}`, "high"))).toMatchObject([{ phase: "start", nature: "physiological" }]);
    // Room appears: what was counted becomes alerts of its own, and the group ends.
    for (let index = 0; index < 20; index++) ledger.end(2, technical(index));
    ledger.tick(10);
    const keys = [...ledger.book().open.keys()];
    for (let index = max; index < max + 5; index++) expect(keys).toContain(technical(index).key);
    expect(keys).not.toContain(GROUP_KEY);
    expect(ledger.book().grouped.size).toBe(0);
  });
  test("a counted condition that gets another number stays counted, and leaves no empty count where there is room", () => {
    const ledger = createLedger();
    const technical = (name: string) => condition(name, "low", { nature: "technical" });
    for (let index = 0; index < LIMITS.openAlertsMax.value; index++) ledger.raise(0, technical(`t${index}`));
    ledger.raise(1, technical("counted"));
    const renamed = { kind: "renamed", fromKey: technical("counted").key, condition: technical("renamed") } as const;
    ledger.step(2, renamed);
    expect([...ledger.book().grouped.keys()]).toEqual([technical("renamed").key]);
    for (let index = 0; index < 5; index++) ledger.end(3, technical(`t${index}`));
    const full = ledger.book();
    const room = stepAlerts(
      { ...full, open: new Map([...full.open].slice(10)) },
      { ...renamed, fromKey: renamed.condition.key, condition: technical("again") },
      {
        wallMs: wallMs(9_000_000),
        monotonicMs: monotonicMs(4000),
        nextSeq: () => seq(900_000),
        alertId: (number) => alertId(`abcdef01-${number}`),
      },
    );
    expect(room.book.grouped.size).toBe(0);
    expect(room.book.open.has(technical("again").key)).toBe(true);
    expect(room.book.open.has(GROUP_KEY)).toBe(false);
  });

  test("a counted condition that ends is counted no more", () => {
    const ledger = createLedger();
    const technical = (index: number) => condition(`t${index}`, "medium", { nature: "technical" });
    for (let index = 0; index < LIMITS.openAlertsMax.value + 1; index++) ledger.raise(0, technical(index));
    expect(ledger.end(1, technical(LIMITS.openAlertsMax.value))).toMatchObject([{ key: GROUP_KEY, phase: "end" }]);
  });
});

describe("any story of conditions, acknowledgements and time", () => {
  const event = fc.record({
    name: fc.constantFrom("a", "b", "c"),
    what: fc.constantFrom("raise", "change", "end", "acknowledge", "tick"),
    priority: fc.constantFrom<Priority>("high", "medium", "low"),
    points: fc.integer({ min: 1, max: 20 }),
    waitSeconds: fc.constantFrom(0, 1, 4, 6, 700, 2000),
  });
  test("keeps one open alert per key, raises every condition, ends none unsaid, and numbers records without holes", () => {
    const story = (
      events: readonly { name: string; what: string; priority: Priority; points: number; waitSeconds: number }[],
    ) => {
      const ledger = createLedger();
      const holds = new Map<string, { readonly condition: Condition; readonly sinceSeconds: number }>();
      const endedAt = new Map<string, number>();
      let now = 0;
      for (const { name, what, priority, points, waitSeconds } of events) {
        now += waitSeconds;
        const said = condition(name, priority, { points });
        if (what === "raise") ledger.raise(now, said);
        if (what === "change") ledger.change(now, said);
        if (what === "raise" || what === "change") {
          holds.set(said.key, { condition: said, sinceSeconds: now });
          endedAt.delete(said.key);
        }
        if (what === "end") {
          ledger.end(now, said);
          if (holds.delete(said.key)) endedAt.set(said.key, now);
        }
        if (what === "acknowledge") ledger.acknowledge(now, ledger.book().open.get(said.key)?.alert);
        if (what === "tick") ledger.tick(now);
        for (const [key, held] of holds) {
          const open = ledger.book().open.get(key);
          expect(open, `${key} holds and has no alert`).toBeDefined();
          expect(open?.alert.priority).toBe(held.condition.priority);
          expect(open?.alert.state).not.toBe("ended");
        }
      }
      const openById = new Map<string, Alert>();
      ledger.records.forEach((record, index) => {
        expect(record.seq).toBe(index + 1);
        const before = openById.get(record.key);
        if (record.phase === "start") expect(before, `two alerts of ${record.key}`).toBeUndefined();
        else expect(before?.id).toBe(record.id);
        if (record.phase === "end") openById.delete(record.key);
        else openById.set(record.key, record);
      });
      ledger.tick(now + 10);
      for (const key of endedAt.keys()) expect(ledger.book().open.has(key), `${key} ended and its alert hangs`).toBe(false);
      for (const key of holds.keys()) expect(ledger.book().open.has(key)).toBe(true);
    };
    fc.assert(fc.property(fc.array(event, { maxLength: 60 }), story), { seed: 20260101, numRuns: 2000 });
  });
});
