import { expect, test } from "vitest";
import { type AlertMoment, emptyBook, stepAlerts } from "../src/alerts/life-cycle.ts";
import type { Alert } from "../src/core/alert.ts";
import { alertId, seq } from "../src/core/ids.ts";
import type { Observation } from "../src/core/observation.ts";
import { createWard, DEVICE, type Ward } from "./support/watched-ward.ts";

const LOW = "limit.systolicPressure.low/anna";

/** The first alert of a ward, as it was when the power went. */
function firstAlertOf(ward: Ward): Alert {
  const at: AlertMoment = {
    wallMs: ward.clock.wall(),
    monotonicMs: ward.clock.monotonic(),
    nextSeq: () => seq(900),
    alertId: (number) => alertId(`test-${number}`),
  };
  const raised = ward.log.find(({ change }) => change.kind === "raised");
  const [alert] = raised === undefined ? [] : stepAlerts(emptyBook(), raised.change, at).changed;
  if (alert === undefined) throw new Error("nothing was raised");
  return alert;
}

/** Results of a cuff a second apart; then the gateway dies before the alert's end was written, and a new one reads back. */
async function restartAfter(results: readonly number[]): Promise<Ward> {
  const ward = createWard();
  ward.note(ward.watch.setDevice(DEVICE));
  const kept: Observation[] = [];
  for (const systolic of results) await ward.pass(1, () => kept.push(ward.say("systolicPressure", systolic)));
  const open = firstAlertOf(ward);
  const again = createWard({ clock: ward.clock });
  again.note(again.watch.setDevice(DEVICE));
  again.note(again.watch.restore({ observations: kept, openAlerts: [open] }));
  await again.pass(2);
  return again;
}

test("a cuff alert whose good result was already on disk ends at the restart, and the next bad result is a new alert", async () => {
  const again = await restartAfter([71, 124]);
  expect(again.holding()).toEqual([]);
  again.say("systolicPressure", 70);
  expect(again.raised("limit.systolicPressure.low")).toEqual(["limit.systolicPressure.low"]);
  expect(again.holding()).toContain(LOW);
});

test("a cuff alert with no later result, or one still outside, or one inside by less than the hysteresis, goes on", async () => {
  expect((await restartAfter([71])).holding()).toEqual([LOW]);
  expect((await restartAfter([71, 76])).holding()).toEqual([LOW]);
  expect((await restartAfter([71, 91])).holding()).toEqual([LOW]);
  expect((await restartAfter([71, 92])).holding()).toEqual([]);
});

test("a cuff result that came before the one that alarmed does not end the alert", async () => {
  expect((await restartAfter([124, 71])).holding()).toEqual([LOW]);
});
