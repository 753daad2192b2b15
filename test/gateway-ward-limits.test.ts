import { expect, test } from "vitest";
import { patientId } from "../src/core/ids.ts";
import { type SmallWard, startSmallWard } from "./support/small-ward.ts";

const WELL = { heartRate: 72, respiratoryRate: 14, oxygenSaturation: 97 };

const heartAlerts = (ward: SmallWard) =>
  ward.gateway
    .openAlerts()
    .filter((alert) => alert.rule.startsWith("limit.heartRate"))
    .map(({ rule, priority }) => `${rule} ${priority}`);

async function startWard(limits: string): Promise<SmallWard> {
  const ward = await startSmallWard({ limits });
  await ward.admit(1);
  ward.link("monitor-1").up();
  return ward;
}

test("a ward's limit of one side leaves the other side's default in force", async () => {
  const ward = await startWard("heartRate: { low: { value: 50, priority: medium } }");
  await ward.stream("monitor-1", 20, { ...WELL, heartRate: 160 });
  expect(heartAlerts(ward)).toEqual(["limit.heartRate.high high"]);
  await ward.stream("monitor-1", 40, { ...WELL, heartRate: 48 });
  expect(heartAlerts(ward)).toEqual(["limit.heartRate.low medium"]);
  await ward.gateway.stop();
});

test("a ward's limit that is null is off, and only that side", async () => {
  const ward = await startWard("heartRate: { high: null }");
  await ward.stream("monitor-1", 20, { ...WELL, heartRate: 160 });
  expect(heartAlerts(ward)).toEqual([]);
  await ward.stream("monitor-1", 20, { ...WELL, heartRate: 40 });
  expect(heartAlerts(ward)).toEqual(["limit.heartRate.low medium"]);
  await ward.gateway.stop();
});

test("a ward's limits outlive a restart and another profile, and a patient's own go before them", async () => {
  const first = await startWard("heartRate: { high: { value: 100, priority: medium } }");
  await first.stream("monitor-1", 3, WELL);
  await first.act({ kind: "set-profile", patientId: patientId("patient-1"), profile: { kind: "adult", spo2Scale: 2 } });
  const ward = await first.crash();
  ward.link("monitor-1").up();
  await ward.stream("monitor-1", 20, { ...WELL, heartRate: 110 });
  expect(heartAlerts(ward)).toEqual(["limit.heartRate.high medium"]);
  await ward.act({
    kind: "set-limit",
    patientId: patientId("patient-1"),
    quantity: "heartRate",
    low: null,
    high: { value: 120, priority: "medium" },
  });
  const again = await ward.crash();
  again.link("monitor-1").up();
  await again.stream("monitor-1", 20, { ...WELL, heartRate: 110 });
  expect(heartAlerts(again)).toEqual([]);
  await again.gateway.stop();
});

test("a milder limit keeps the more urgent default one that lies further out, and a stricter set one does not add it inside", async () => {
  const saturation = (ward: SmallWard) =>
    ward.gateway
      .openAlerts()
      .filter((alert) => alert.rule.startsWith("limit.oxygenSaturation"))
      .map(({ priority }) => priority);
  const ward = await startWard("oxygenSaturation: { low: { value: 88, priority: medium } }");
  await ward.stream("monitor-1", 20, { ...WELL, oxygenSaturation: 89 });
  expect(saturation(ward)).toEqual([]);
  await ward.stream("monitor-1", 20, { ...WELL, oxygenSaturation: 87 });
  expect(saturation(ward)).toEqual(["medium"]);
  await ward.stream("monitor-1", 20, { ...WELL, oxygenSaturation: 70 });
  expect(saturation(ward)).toEqual(["high"]);
  await ward.gateway.stop();
  const chronic = await startWard("oxygenSaturation: { low: { value: 80, priority: medium } }");
  await chronic.stream("monitor-1", 20, { ...WELL, oxygenSaturation: 83 });
  expect(saturation(chronic)).toEqual([]);
  await chronic.gateway.stop();
});
