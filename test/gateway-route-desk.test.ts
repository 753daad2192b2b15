import { expect, test } from "vitest";
import { createSimulatedClock } from "../simulator/world/simulated-clock.ts";
import { seq } from "../src/core/ids.ts";
import type { Order } from "../src/core/notice.ts";
import { openRouteDesk } from "../src/gateway/route-desk.ts";
import { routedAlert } from "./support/routed-alert.ts";

const ALERT = routedAlert();

test("an answer that cannot be written down as an act is none: the alert begins its way anew", async () => {
  const clock = createSimulatedClock();
  const orders: Order[] = [];
  let mayAct = false;
  let next = 10;
  const nurse = { id: "nurse", answers: "person", ways: [{ channel: "robot", address: null }] } as const;
  const any = { wards: null, beds: null, patients: null, priorities: null, natures: null, hours: null, goesOn: false };
  const desk = openRouteDesk({
    clock,
    routes: [{ name: "ward", ...any, steps: [{ contacts: [nurse], waitSeconds: 60 }] }],
    wardOf: () => null,
    minuteOfDay: () => 0,
    nextSeq: () => seq(next++),
    record: () => {},
    settle: () => {},
    bring: (all) => orders.push(...all),
    drop: () => {},
    acknowledge: async () => mayAct,
    openAlerts: () => [ALERT],
  });
  desk.take([ALERT]);
  const accept = () => {
    const order = orders.at(-1);
    if (order !== undefined) desk.word({ of: order.name, state: "accepted", by: "li-na", why: null });
  };
  accept();
  await clock.advance(0);
  expect(orders).toHaveLength(2);
  expect(desk.book().cases.size).toBe(1);
  mayAct = true;
  accept();
  await clock.advance(0);
  expect(orders).toHaveLength(2);
  expect(desk.book().cases.size).toBe(0);
});
