import { expect, test } from "vitest";
import { bedId, deviceId, patientId } from "../src/core/ids.ts";
import { monitorBytes, type SmallWard, startSmallWard } from "./support/small-ward.ts";

const WELL = { heartRate: 72, respiratoryRate: 14, oxygenSaturation: 97 };
const MONITOR = deviceId("monitor-1");
const ANNA = patientId("patient-1");
const BERTA = patientId("patient-2");

/** One message of the monitor whose heart line says an alarm. The driver tells an alarm once, when it begins. */
function inAsystole(): Uint8Array {
  const message = Buffer.from(monitorBytes(WELL)).toString("latin1");
  return Buffer.from(message.replace(/(HR=[^\r]*;)\r/, "$1ASYSTOLE\r"), "latin1");
}

async function alarmFor(ward: SmallWard, seconds: number): Promise<void> {
  for (let second = 0; second < seconds; second++) {
    ward.link("monitor-1").send(inAsystole());
    await ward.clock.advance(1000);
  }
}

const openAlarms = (ward: SmallWard) =>
  ward.gateway
    .openAlerts()
    .filter((alert) => alert.rule === "device-alarm.asystole")
    .map(({ state, priority, subject }) => [state, priority, subject.patientId, subject.bedId]);

const admit = (ward: SmallWard, patient: typeof ANNA, bed: string) =>
  ward.act({
    kind: "admit",
    patientId: patient,
    bedId: bedId(bed),
    label: "P",
    profile: { kind: "adult", spo2Scale: 1 },
    demonstration: false,
  });

test("a monitor that is in alarm when it is assigned is in alarm for its patient, as a new alert of that patient", async () => {
  const ward = await startSmallWard();
  await admit(ward, ANNA, "bed-2");
  ward.link("monitor-1").up();
  await alarmFor(ward, 3);
  const [before] = ward.gateway.openAlerts().filter((alert) => alert.rule === "device-alarm.asystole");
  expect(openAlarms(ward)).toEqual([["active", "high", null, "bed-1"]]);
  await ward.act({ kind: "acknowledge", alertId: before?.id ?? ("" as never) });
  await ward.act({ kind: "assign", deviceId: MONITOR, patientId: ANNA });
  await alarmFor(ward, 10);
  expect(openAlarms(ward)).toEqual([["active", "high", ANNA, "bed-2"]]);
  expect(ward.said.findLast((alert) => alert.id === before?.id)?.state).toBe("ended");
  await ward.stream("monitor-1", 10, WELL);
  expect(openAlarms(ward)).toEqual([]);
  await ward.gateway.stop();
});

test("a monitor in alarm that is released or moved goes on alarming, at its bed and then for its new patient", async () => {
  const ward = await startSmallWard();
  await ward.admit(1);
  await admit(ward, BERTA, "bed-2");
  ward.link("monitor-1").up();
  await alarmFor(ward, 3);
  expect(openAlarms(ward)).toEqual([["active", "high", ANNA, "bed-1"]]);
  await ward.act({ kind: "release", deviceId: MONITOR });
  await alarmFor(ward, 8);
  expect(openAlarms(ward)).toEqual([["active", "high", null, "bed-1"]]);
  await ward.act({ kind: "assign", deviceId: MONITOR, patientId: BERTA });
  await alarmFor(ward, 8);
  expect(openAlarms(ward)).toEqual([["active", "high", BERTA, "bed-2"]]);
  await ward.gateway.stop();
});

test("the alarm a monitor was released with ends when the monitor is switched off, and does not wait for its next patient", async () => {
  const ward = await startSmallWard();
  await ward.admit(1);
  await admit(ward, BERTA, "bed-2");
  ward.link("monitor-1").up();
  await alarmFor(ward, 3);
  await ward.act({ kind: "discharge", patientId: ANNA });
  expect(openAlarms(ward)).toEqual([["active", "high", null, "bed-1"]]);
  await ward.clock.advance(60_000);
  expect(openAlarms(ward)).toEqual([]);
  await ward.act({ kind: "assign", deviceId: MONITOR, patientId: BERTA });
  await ward.clock.advance(10_000);
  expect(openAlarms(ward)).toEqual([]);
  await ward.gateway.stop();
});

test("a restart gives a newly admitted patient nothing of a former stay under the same id", async () => {
  const first = await startSmallWard();
  await first.admit(1);
  first.link("monitor-1").up();
  await first.stream("monitor-1", 20, WELL);
  await first.act({ kind: "discharge", patientId: ANNA });
  await first.admit(1);
  const numbers = (ward: SmallWard) => ward.gateway.source.picture().beds[0]?.numbers.map(({ quantity }) => quantity);
  expect(numbers(first)).toEqual([]);
  const ward = await first.crash();
  expect(numbers(ward)).toEqual([]);
  ward.link("monitor-1").up();
  await ward.stream("monitor-1", 2, WELL);
  const again = await ward.crash();
  expect(numbers(again)).toContain("oxygenSaturation");
  await again.gateway.stop();
});
