import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  EMPTY_ROUTE_BOOK,
  type RouteBook,
  type RouteInput,
  type RouteStepResult,
  rebuildRoutes,
  stepRoutes,
} from "../src/alerts/route-book.ts";
import { type Contact, type Route, routesOf } from "../src/alerts/route-plan.ts";
import type { Alert, Priority } from "../src/core/alert.ts";
import { alertId, seq, userId } from "../src/core/ids.ts";
import { LIMITS } from "../src/core/limits.ts";
import { type Notice, type Order, parseTellingKey, tellingKey } from "../src/core/notice.ts";
import { monotonicMs, wallMs } from "../src/core/time.ts";
import { routedAlert } from "./support/routed-alert.ts";

const contact = (id: string, answers: "person" | "system" = "person", channels = [`${id}-robot`]): Contact => ({
  id,
  answers,
  ways: channels.map((channel) => ({ channel, address: null })),
});
const NURSE = contact("nurse");
const DOCTOR = contact("doctor", "person", ["doctor-sms", "doctor-mail"]);
const HEAD = contact("head");

function route(name: string, steps: readonly (readonly [readonly Contact[], number])[], more: Partial<Route> = {}): Route {
  const open = { wards: null, beds: null, patients: null, priorities: null, natures: null, hours: null, goesOn: false };
  return { name, ...open, steps: steps.map(([contacts, waitSeconds]) => ({ contacts, waitSeconds })), ...more };
}
const ROUTE = route("ward", [
  [[NURSE], 60],
  [[DOCTOR], 120],
  [[HEAD], 300],
]);

/** A book that remembers all that followed; seconds are on the monotonic clock. */
function createLedger() {
  let book: RouteBook = EMPTY_ROUTE_BOOK;
  let next = 100;
  const notices: Notice[] = [];
  const orders: Order[] = [];
  const conditions = new Map<string, string>();
  const step = (seconds: number, input: RouteInput): RouteStepResult => {
    const result = stepRoutes(book, input, {
      wallMs: wallMs(5_000_000 + seconds * 1000),
      monotonicMs: monotonicMs(seconds * 1000),
      nextSeq: () => seq(next++),
    });
    book = result.book;
    notices.push(...result.notices);
    orders.push(...result.orders);
    for (const change of result.conditions)
      if (change.kind === "ended") conditions.delete(change.key);
      else if (change.kind !== "renamed") conditions.set(change.condition.key, change.condition.rule);
    return result;
  };
  const word = (seconds: number, state: "sent" | "received" | "seen" | "accepted" | "refused" | "failed", of = orders.at(-1)) => {
    if (of === undefined) throw new Error("nothing was ordered");
    return step(seconds, { kind: "word", of: of.name, state, by: state === "accepted" ? "li-na" : null, why: null });
  };
  const raise = (seconds: number, more: Partial<Alert> = {}, routes: readonly Route[] = [ROUTE]) =>
    step(seconds, { kind: "alert", alert: routedAlert(more), routes });
  const tick = (seconds: number) => step(seconds, { kind: "tick" });
  return {
    step,
    word,
    raise,
    tick,
    notices,
    orders,
    conditions,
    told: () => orders.map(({ name }) => name.channel),
    states: () => notices.map(({ state, contact: who }) => (who === null ? state : `${state} ${who}`)),
    cases: () => [...book.cases.values()],
  };
}

describe("the way of an alert along a route", () => {
  test("tells the first step, climbs while nobody answers, and begins the last step again for ever with an alert at the bed", () => {
    const { raise, tick, told, states, conditions } = createLedger();
    raise(0);
    tick(59);
    expect(told()).toEqual(["nurse-robot"]);
    tick(60);
    expect(told()).toEqual(["nurse-robot", "doctor-sms", "doctor-mail"]);
    tick(180);
    expect(told().at(-1)).toBe("head-robot");
    expect([...conditions.values()]).toEqual([]);
    tick(480);
    expect(told().slice(3)).toEqual(["head-robot", "head-robot"]);
    expect([...conditions.values()]).toEqual(["fault.route-unanswered"]);
    tick(780);
    expect(told().slice(3)).toEqual(["head-robot", "head-robot", "head-robot"]);
    expect(states()).toEqual([
      ...["due nurse", "escalated", "due doctor", "due doctor", "escalated"],
      ...["due head", "unanswered", "due head", "unanswered", "due head"],
    ]);
  });

  test("ends when somebody accepts it, says who, and takes its alerts at the bed back", () => {
    const { raise, tick, word, states, conditions, cases, orders } = createLedger();
    raise(0);
    word(1, "sent");
    word(2, "received");
    tick(60);
    tick(180);
    tick(480);
    expect(conditions.size).toBe(1);
    // The nurse answers after all, though she was told long ago.
    const { answered, closed } = word(500, "accepted", orders[0]);
    expect(answered).toEqual([{ alertId: "abcdef01-1", by: "li-na" }]);
    expect(closed).toEqual([{ alertId: "abcdef01-1", route: "ward" }]);
    expect(states().slice(-2)).toEqual(["accepted nurse", "answered"]);
    expect(conditions.size).toBe(0);
    expect(cases()).toEqual([]);
  });

  test("seen is not accepted: it climbs on", () => {
    const { raise, tick, word, told } = createLedger();
    raise(0);
    word(5, "seen");
    tick(60);
    expect(told()).toContain("doctor-sms");
  });

  test.each(["acknowledged", "ended"] as const)("ends when the alert is %s at the bed", (state) => {
    const { raise, tick, states, cases, told } = createLedger();
    raise(0);
    raise(10, { state, acknowledgedBy: userId("wu") }, []);
    expect(states().at(-1)).toBe(state === "ended" ? "over" : "answered");
    expect(cases()).toEqual([]);
    tick(10_000);
    expect(told()).toEqual(["nurse-robot"]);
  });

  test("raised again after its acknowledgement it begins anew", () => {
    const { raise, told } = createLedger();
    raise(0);
    raise(10, { state: "acknowledged" });
    raise(700, { raisedCount: 2, phase: "continue" });
    expect(told()).toEqual(["nurse-robot", "nurse-robot"]);
  });

  test("grown worse it is told again where it is, and time goes on as it did: however often that happens, it climbs", () => {
    const { raise, tick, told } = createLedger();
    for (let second = 0; second < 60; second += 10) {
      raise(second, { raisedCount: 1 + second / 10, phase: second === 0 ? "start" : "escalate" });
      tick(second);
    }
    expect(told()).toEqual(Array.from({ length: 6 }, () => "nurse-robot"));
    tick(60);
    expect(told().slice(6)).toEqual(["doctor-sms", "doctor-mail"]);
  });

  test("grown more urgent it takes the urgent route as well, and one answer ends both", () => {
    const urgent = route("urgent", [[[HEAD], 30]]);
    const { raise, word, cases, told } = createLedger();
    raise(0, { priority: "medium" });
    raise(30, { priority: "high", raisedCount: 2, phase: "escalate" }, [urgent]);
    expect(told()).toEqual(["nurse-robot", "nurse-robot", "head-robot"]);
    expect(cases()).toHaveLength(2);
    word(40, "accepted");
    expect(cases()).toEqual([]);
  });

  test("grown better, or at another hour, it takes no further route", () => {
    const calm = route("calm", [[[DOCTOR], 30]]);
    const { raise, cases } = createLedger();
    raise(0, { priority: "high" });
    raise(20, { priority: "medium", phase: "deescalate" }, [calm]);
    raise(40, { priority: "medium", phase: "update" }, [calm]);
    expect(cases().map(({ route: taken }) => taken.name)).toEqual(["ward"]);
  });

  test("who could not be reached and then was is no alert any more, also when the next step has begun", () => {
    const { raise, word, orders, conditions } = createLedger();
    raise(0);
    word(3, "failed");
    expect(conditions.size).toBe(1);
    word(20, "sent", orders[0]);
    expect(conditions.size).toBe(0);
  });

  test("a step that nobody of can be reached waits no longer, and that is an alert at the bed until one can", () => {
    const { raise, word, told, conditions, orders } = createLedger();
    raise(0);
    word(3, "failed");
    expect(told()).toEqual(["nurse-robot", "doctor-sms", "doctor-mail"]);
    expect([...conditions.values()]).toEqual(["fault.route-unreachable"]);
    word(4, "failed", orders[1]);
    expect(conditions.size).toBe(1);
    word(4, "failed", orders[2]);
    expect(conditions.size).toBe(2);
    expect(told().at(-1)).toBe("head-robot");
  });

  test("the last step, where nobody can be reached, begins again after a while and not at once", () => {
    const { raise, word, tick, told } = createLedger();
    raise(0, {}, [route("short", [[[HEAD], 300]])]);
    word(1, "failed");
    expect(told()).toEqual(["head-robot"]);
    const seconds = LIMITS.routeRoundMsMin.value / 1000;
    tick(seconds);
    expect(told()).toHaveLength(1);
    tick(1 + seconds);
    expect(told()).toHaveLength(2);
  });

  test("who refuses is out; another one of the same step may still answer until its time", () => {
    const both = route("both", [
      [[NURSE, DOCTOR], 60],
      [[HEAD], 60],
    ]);
    const { raise, word, tick, told, orders } = createLedger();
    raise(0, {}, [both]);
    word(1, "refused", orders[0]);
    expect(told()).not.toContain("head-robot");
    word(2, "refused", orders[1]);
    word(2, "refused", orders[2]);
    expect(told()).toContain("head-robot");
    tick(3);
  });

  test("the same word twice is one record, and word of what is over changes nothing", () => {
    const { raise, word, states } = createLedger();
    raise(0);
    word(1, "sent");
    word(2, "sent");
    word(3, "accepted");
    const count = states().length;
    word(4, "seen");
    expect(states()).toHaveLength(count);
  });
});

describe("after a restart", () => {
  /** A ledger that goes on from another one's notices, `downSeconds` later on a clock that begins anew. */
  function resumed(
    before: ReturnType<typeof createLedger>,
    alerts: readonly Alert[],
    agoSeconds: number | null,
    routes = [ROUTE],
  ) {
    let next = 500;
    const lastMs = before.notices.at(-1)?.atMs ?? 0;
    return rebuildRoutes(
      {
        alerts,
        notices: before.notices,
        plan: routes,
        routesOf: () => routes,
        agoMs: ({ atMs }) => (agoSeconds === null ? null : lastMs - atMs + agoSeconds * 1000),
      },
      { wallMs: wallMs(9_000_000), monotonicMs: monotonicMs(1000), nextSeq: () => seq(next++) },
    );
  }

  test("a step goes on for as long as it still had; what was due and not sent is ordered again, what was sent is not", () => {
    const ledger = createLedger();
    ledger.raise(0);
    ledger.tick(60);
    ledger.word(61, "sent", ledger.orders[1]);
    const { book, orders, notices } = resumed(ledger, [routedAlert()], 20);
    const [found] = [...book.cases.values()];
    expect(found).toMatchObject({ step: 1, round: 0 });
    // The doctor was told 21 s before: of two minutes 99 s are left.
    expect(found?.untilMs).toBe(1000 + 99_000);
    expect(orders.map(({ name }) => name.channel)).toEqual(["doctor-mail"]);
    expect(notices).toEqual([]);
  });

  test("where nobody knows how long it was down, the next step begins at once", () => {
    const ledger = createLedger();
    ledger.raise(0);
    const { orders, book } = resumed(ledger, [routedAlert()], null);
    expect(orders.map(({ name }) => name.channel)).toEqual(["nurse-robot", "doctor-sms", "doctor-mail"]);
    expect([...book.cases.values()][0]?.step).toBe(1);
  });

  test("what was told at the bed is told again: who cannot be reached, and that nobody answers", () => {
    const ledger = createLedger();
    ledger.raise(0, {}, [route("short", [[[HEAD], 60]])]);
    ledger.tick(60);
    ledger.word(61, "failed");
    const { conditions } = resumed(ledger, [routedAlert()], 5, [route("short", [[[HEAD], 60]])]);
    expect(
      conditions.map((change) => change.kind !== "ended" && change.kind !== "renamed" && change.condition.rule).sort(),
    ).toEqual(["fault.route-unanswered", "fault.route-unreachable"]);
  });

  test("an alert raised right before, of which there is no notice, takes its routes; what was answered, and what is over, stays so", () => {
    const ledger = createLedger();
    expect(resumed(ledger, [routedAlert()], 1).orders.map(({ name }) => name.channel)).toEqual(["nurse-robot"]);
    ledger.raise(0);
    ledger.word(1, "accepted");
    expect(resumed(ledger, [routedAlert({ state: "acknowledged" })], 1).book.cases.size).toBe(0);
    // Raised again after its acknowledgement, and cut off before a notice of that was on disk.
    expect(resumed(ledger, [routedAlert({ raisedCount: 2, phase: "continue" })], 1).orders).toHaveLength(1);
  });

  test("a route that the configuration has no more gives way to those it has", () => {
    const ledger = createLedger();
    ledger.raise(0, {}, [route("gone", [[[HEAD], 60]])]);
    const { book, orders } = resumed(ledger, [routedAlert()], 1);
    expect([...book.cases.values()].map(({ route: taken }) => taken.name)).toEqual(["ward"]);
    expect(orders.map(({ name }) => name.channel)).toEqual(["nurse-robot"]);
  });
});

test("the name of a telling comes back as it went; anything else is none", () => {
  const name = { alertId: alertId("abcdef01-7"), raisedCount: 3, route: "ward", step: 1, round: 0, contact: "c", channel: "d" };
  expect(parseTellingKey(tellingKey(name))).toEqual(name);
  for (const text of ["", "a/b", "a/1/r/0/0/c", "a/x/r/0/0/c/d", "a/1/r/0/0/c/d/e", "a/-1/r/0/0/c/d", "/1/r/0/0/c/d"])
    expect(parseTellingKey(text), text).toBeNull();
});

describe("which routes an alert takes", () => {
  const night = route("night", [[[HEAD], 60]], { wards: ["3E"], hours: { fromMinute: 22 * 60, toMinute: 6 * 60 } });
  const high = route("high", [[[NURSE], 60]], { priorities: ["high"], goesOn: true });
  const rest = route("rest", [[[DOCTOR], 60]]);
  const at = (minuteOfDay: number | null) => ({ wardOf: () => "3E", minuteOfDay });
  const names = (given: Alert, minute: number | null) => routesOf([night, high, rest], given, at(minute)).map(({ name }) => name);

  test("the first that fits, and those below it as far as each goes on", () => {
    expect(names(routedAlert(), 12 * 60)).toEqual(["high", "rest"]);
    expect(names(routedAlert({ priority: "low" }), 12 * 60)).toEqual(["rest"]);
  });

  test("hours over midnight; while the clock is not believed all are told, whatever their hours", () => {
    for (const [minute, isNight] of [
      [22 * 60, true],
      [5 * 60 + 59, true],
      [6 * 60, false],
      [21 * 60 + 59, false],
    ] as const)
      expect(names(routedAlert(), minute).includes("night"), `${minute}`).toBe(isNight);
    expect(names(routedAlert(), null)).toEqual(["night", "high", "rest"]);
  });

  test("an alert about the routes themselves takes none", () => {
    expect(names(routedAlert({ rule: "fault.route-unreachable" }), 0)).toEqual([]);
    expect(names(routedAlert({ rule: "fault.route-unanswered" }), 0)).toEqual([]);
  });
});

describe("whatever happens", () => {
  const priorities: readonly Priority[] = ["low", "medium", "high"];
  const routes = [
    route(
      "calm",
      [
        [[NURSE], 45],
        [[DOCTOR], 90],
        [[HEAD], 200],
      ],
      { priorities: ["low", "medium"] },
    ),
    route(
      "urgent",
      [
        [[NURSE, DOCTOR], 20],
        [[HEAD], 60],
      ],
      { priorities: ["high"], goesOn: true },
    ),
    route("also", [[[HEAD], 33]], { priorities: ["high"] }),
  ];
  /** What may happen in one second: nothing, an alert that changes, or word of one of the last orders. */
  const happening = fc.oneof(
    { weight: 6, arbitrary: fc.record({ kind: fc.constant("pass" as const), seconds: fc.integer({ min: 1, max: 90 }) }) },
    {
      weight: 3,
      arbitrary: fc.record({
        kind: fc.constant("alert" as const),
        which: fc.integer({ min: 0, max: 2 }),
        priority: fc.constantFrom(...priorities),
        becomes: fc.constantFrom("worse" as const, "same" as const, "acknowledged" as const, "ended" as const),
      }),
    },
    {
      weight: 4,
      arbitrary: fc.record({
        kind: fc.constant("word" as const),
        back: fc.integer({ min: 1, max: 12 }),
        state: fc.constantFrom("sent" as const, "received" as const, "seen" as const, "refused" as const, "failed" as const),
      }),
    },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("accept" as const), back: fc.integer({ min: 1, max: 12 }) }) },
  );

  test("an open alert is told to somebody within its route's longest wait, until a person took it or it ended", () => {
    fc.assert(
      fc.property(fc.array(happening, { maxLength: 150 }), (happenings) => {
        const ledger = createLedger();
        const open = new Map<string, Alert>();
        const lastToldAt = new Map<string, number>();
        const worst = new Map<string, Priority>();
        let now = 0;
        const noteOrders = (result: RouteStepResult) => {
          for (const { name } of result.orders) lastToldAt.set(`${name.alertId}/${name.route}`, now);
          for (const { alertId: id } of result.answered) open.delete(id);
        };
        for (const one of happenings) {
          if (one.kind === "pass")
            for (const until = now + one.seconds; now < until; ) {
              now += 1;
              noteOrders(ledger.tick(now));
            }
          if (one.kind === "alert") {
            const id = `abcdef01-${one.which}`;
            const before = open.get(id);
            const raisedCount = (before?.raisedCount ?? 0) + (before === undefined || one.becomes === "worse" ? 1 : 0);
            const state = one.becomes === "acknowledged" || one.becomes === "ended" ? one.becomes : "active";
            const next = routedAlert({ id: alertId(id), priority: one.priority, raisedCount, state });
            // What grows more urgent is raised anew: so the life cycle has it.
            if (state === "active") open.set(id, next);
            else open.delete(id);
            if (before === undefined || one.becomes === "worse") worst.set(id, one.priority);
            noteOrders(
              ledger.step(now, {
                kind: "alert",
                alert: next,
                routes: routesOf(routes, next, { wardOf: () => null, minuteOfDay: 0 }),
              }),
            );
          }
          const order = one.kind === "word" || one.kind === "accept" ? ledger.orders.at(-one.back) : undefined;
          if (order !== undefined) noteOrders(ledger.word(now, one.kind === "word" ? one.state : "accepted", order));
          // No path to silence: whoever is open has a case on every route that it was ever raised to, and was told something not long ago.
          for (const [id, each] of open) {
            const cases = ledger.cases().filter((found) => found.alert.id === id);
            expect(cases.length, id).toBeGreaterThan(0);
            // As urgent as it ever was since somebody answered, it is on a route for that.
            expect(cases.some(({ route: taken }) => taken.priorities?.includes(worst.get(id) ?? each.priority))).toBe(true);
            for (const { route: taken, alert: as, untilMs } of cases) {
              const longest = Math.max(...taken.steps.map(({ waitSeconds }) => waitSeconds));
              expect(untilMs / 1000, taken.name).toBeLessThanOrEqual(now + longest);
              expect(now - (lastToldAt.get(`${as.id}/${taken.name}`) ?? Number.NEGATIVE_INFINITY)).toBeLessThanOrEqual(longest);
            }
          }
          for (const { alert: as } of ledger.cases()) expect(open.has(as.id)).toBe(true);
        }
      }),
      { numRuns: 300 },
    );
  });
});
