import { describe, expect, test } from "vitest";
import { createSimulatedClock } from "../simulator/world/simulated-clock.ts";
import { seq } from "../src/core/ids.ts";
import type { Order, TellingName } from "../src/core/notice.ts";
import type { RouteReceipt } from "../src/core/record.ts";
import type { OpenNotices } from "../src/gateway/alert-routes.ts";
import { type SmallWard, startSmallWard } from "./support/small-ward.ts";

const SECTIONS = `, channels: [{ name: robot, kind: wecom, keyFile: a }, { name: sms, kind: wecom, keyFile: b }],
contacts: [
  { id: nurses, title: 护士站, answers: person, ways: [{ channel: robot }] },
  { id: doctor, title: 医生, answers: person, ways: [{ channel: sms }] },
  { id: night-desk, title: 夜班, answers: person, ways: [{ channel: sms }] }],
routes: [
  { name: night, hours: "22:00-06:00", natures: [physiological], steps: [{ tell: [night-desk], waitSeconds: 60 }] },
  { name: ward, natures: [physiological], steps: [{ tell: [nurses], waitSeconds: 60 }, { tell: [doctor], waitSeconds: 120 }] },
  { name: equipment, steps: [{ tell: [nurses], waitSeconds: 600 }] }]`;

/** People at the other end of every channel: what they are told, and how they answer. */
function createPeople(answer: (name: TellingName) => "sent" | "failed" | null = () => "sent") {
  const told: string[] = [];
  const dropped: string[] = [];
  let word: Parameters<OpenNotices>[0] = () => false;
  const orders: Order[] = [];
  const openNotices: OpenNotices = (say) => {
    word = say;
    return {
      bring: (all) => {
        for (const order of all) {
          orders.push(order);
          told.push(`${order.name.contact} ${order.alert.rule}`);
          const state = answer(order.name);
          if (state !== null) say({ of: order.name, state, by: state === "sent" ? "robot" : null, why: null });
        }
      },
      drop: ({ route }) => dropped.push(route),
      answer: async () => "denied",
      waiting: () => new Map(),
      close: async () => {},
    };
  };
  return {
    openNotices,
    told,
    dropped,
    orders,
    accept: (of: TellingName) => word({ of, state: "accepted", by: "dr-wang", why: null }),
  };
}

const LOW = "limit.oxygenSaturation.low";
/** This hour of a day that may be believed, by the local time of whoever runs the test. */
const at = (hour: number) => new Date(2026, 0, 5, hour).getTime();
const start = (people: ReturnType<typeof createPeople>, wallAtStartMs = at(12)) =>
  startSmallWard({ sections: SECTIONS, openNotices: people.openNotices, clock: createSimulatedClock({ wallAtStartMs }) });

async function low(ward: SmallWard, seconds: number): Promise<void> {
  await ward.stream("monitor-1", seconds, { heartRate: 80, respiratoryRate: 16, oxygenSaturation: 80 });
}
async function receipts(ward: SmallWard): Promise<readonly RouteReceipt[]> {
  const page = await ward.journal.read({ afterSeq: seq(0), limit: 1000, kinds: ["receipt"] });
  return page.flatMap((record) => (record.kind === "receipt" && "hop" in record ? [record] : []));
}
const open = (ward: SmallWard) => ward.gateway.openAlerts().map(({ rule }) => rule);

describe("an alert on its way to people", () => {
  test("is told within a second, climbs while nobody answers, and each hop is on record with what it is about", async () => {
    const people = createPeople();
    const ward = await start(people);
    ward.link("monitor-1").up();
    await ward.admit(1);
    await low(ward, 30);
    expect(people.told.filter((text) => text.includes("limit"))).toEqual([`nurses ${LOW}`]);
    await low(ward, 60);
    expect(people.told.filter((text) => text.endsWith(LOW)).slice(-1)).toEqual([`doctor ${LOW}`]);
    await low(ward, 130);
    expect(open(ward)).toContain("fault.route-unanswered");
    const ofLow = (await receipts(ward)).filter(({ hop, reader }) => reader === "route:ward" && hop.contact !== "nobody");
    const alertOf = (key: string) => ward.said.find((alert) => key.endsWith(`/${alert.seq}`))?.rule;
    const hops = ofLow.filter(({ of }) => alertOf(of) === LOW).map(({ state, hop }) => [state, hop.step, hop.round, hop.contact]);
    expect(hops.slice(0, 2)).toEqual([
      ["due", 0, 0, "nurses"],
      ["sent", 0, 0, "nurses"],
    ]);
    expect(hops.map(([state]) => state)).toContain("escalated");
    expect(hops.map(([state]) => state)).toContain("unanswered");
  });

  test("is over when somebody acknowledges it at the bed, and what was ordered for it is dropped", async () => {
    const people = createPeople();
    const ward = await start(people);
    ward.link("monitor-1").up();
    await ward.admit(1);
    await low(ward, 30);
    const alert = ward.gateway.openAlerts().find(({ rule }) => rule === LOW);
    await ward.act({ kind: "acknowledge", alertId: alert?.id ?? ("none" as never) });
    await low(ward, 120);
    expect(people.told.filter((text) => text.endsWith(LOW)).filter((text) => text.startsWith("doctor"))).toEqual([]);
    expect(people.dropped).toContain("ward");
    expect((await receipts(ward)).filter(({ state }) => state === "answered").at(0)).toMatchObject({ by: "nurse" });
  });

  test("that somebody takes as theirs by a channel is acknowledged by them at the bed, as an act", async () => {
    const people = createPeople();
    const ward = await start(people);
    ward.link("monitor-1").up();
    await ward.admit(1);
    await low(ward, 30);
    const order = people.orders.find(({ alert }) => alert.rule === LOW);
    if (order === undefined) throw new Error("nothing was ordered");
    people.accept(order.name);
    await low(ward, 2);
    expect(ward.gateway.openAlerts().find(({ rule }) => rule === LOW)).toMatchObject({
      state: "acknowledged",
      acknowledgedBy: "dr-wang",
    });
    const acts = await ward.journal.read({ afterSeq: seq(0), limit: 1000, kinds: ["act"] });
    expect(acts.at(-1)).toMatchObject({ by: "dr-wang", from: "upstream", deed: { kind: "acknowledge" } });
    await low(ward, 100);
    expect(people.told.filter((text) => text === `doctor ${LOW}`)).toEqual([]);
  });

  test("who cannot be reached is an alert at the bed of that patient, and the next one is told at once; it takes no route itself", async () => {
    const people = createPeople(({ contact }) => (contact === "nurses" ? "failed" : "sent"));
    const ward = await start(people);
    ward.link("monitor-1").up();
    await ward.admit(1);
    await low(ward, 30);
    expect(people.told.filter((text) => text.endsWith(LOW))).toEqual([`nurses ${LOW}`, `doctor ${LOW}`]);
    const unreachable = ward.gateway.openAlerts().find(({ rule }) => rule === "fault.route-unreachable");
    expect(unreachable).toMatchObject({
      nature: "technical",
      subject: { patientId: "patient-1", bedId: "bed-1" },
      evidence: { facts: { contact: "nurses", route: "ward" } },
    });
    expect(people.told.some((text) => text.includes("route-"))).toBe(false);
  });

  test("goes on after the gateway was killed: nobody is told twice of what is on disk as sent, and time went on", async () => {
    const people = createPeople();
    const ward = await start(people);
    ward.link("monitor-1").up();
    await ward.admit(1);
    await low(ward, 30);
    const told = people.told.filter((text) => text.endsWith(LOW)).length;
    const after = await ward.crash(5000);
    after.link("monitor-1").up();
    await low(after, 10);
    expect(people.told.filter((text) => text.endsWith(LOW))).toHaveLength(told);
    await low(after, 40);
    expect(people.told.filter((text) => text.endsWith(LOW)).at(-1)).toBe(`doctor ${LOW}`);
  });
});

describe("SAFETY.md, rule 9: a wrong clock meets quiet hours", () => {
  test.each([
    [23, "night-desk"],
    [12, "nurses"],
  ])("at %i o'clock %s is told", async (hour, contact) => {
    const people = createPeople();
    const ward = await start(people, at(hour));
    ward.link("monitor-1").up();
    await ward.admit(1);
    await low(ward, 30);
    expect(people.told.find((text) => text.endsWith(LOW))).toBe(`${contact} ${LOW}`);
  });

  test("while the clock is not believed whoever might be on duty is told: the night and the ward", async () => {
    const people = createPeople();
    const ward = await start(people, Date.UTC(1970, 0, 1, 12));
    ward.link("monitor-1").up();
    await ward.admit(1);
    await low(ward, 30);
    expect(people.told.filter((text) => text.endsWith(LOW))).toEqual([`night-desk ${LOW}`, `nurses ${LOW}`]);
  });
});
