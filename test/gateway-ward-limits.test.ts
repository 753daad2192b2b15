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

test("a patient's own limit that is taken back gives way to the ward's own at once, also after a restart, and only where one was set", async () => {
  const first = await startWard("heartRate: { high: { value: 100, priority: medium } }");
  const of = { patientId: patientId("patient-1"), quantity: "heartRate" } as const;
  const reset = { kind: "reset-limit", ...of } as const;
  expect(await first.act(reset)).toMatchObject({ ok: false, error: { code: "act-refused", facts: { why: "no-limit-set" } } });
  await first.act({ kind: "set-limit", ...of, low: null, high: { value: 130, priority: "medium" } });
  await first.stream("monitor-1", 20, { ...WELL, heartRate: 110 });
  expect(heartAlerts(first)).toEqual([]);
  expect(await first.act(reset)).toMatchObject({ ok: true });
  expect(first.gateway.source.picture().beds[0]?.patient?.limits).toEqual([]);
  await first.stream("monitor-1", 12, { ...WELL, heartRate: 110 });
  expect(heartAlerts(first)).toEqual(["limit.heartRate.high medium"]);
  await first.stream("monitor-1", 30, { ...WELL, heartRate: 40 });
  expect(heartAlerts(first), "the low side, which was off, is the default's again").toEqual(["limit.heartRate.low medium"]);
  const ward = await first.crash();
  ward.link("monitor-1").up();
  await ward.stream("monitor-1", 20, { ...WELL, heartRate: 110 });
  expect(heartAlerts(ward)).toEqual(["limit.heartRate.high medium"]);
  const stranger = { ...reset, patientId: patientId("nobody") };
  expect(await ward.act(stranger)).toMatchObject({ ok: false, error: { facts: { why: "unknown-patient" } } });
  await ward.gateway.stop();
});

test("the limits that pages are told are those that alarm: the ward's own, and the default where it says nothing", async () => {
  const ward = await startWard("oxygenSaturation: { low: { value: 88, priority: medium } }, heartRate: { high: null }");
  const told = new Map(ward.gateway.source.wardLimits().map((limit) => [limit.quantity, limit]));
  expect(told.get("oxygenSaturation")?.ward).toEqual({
    low: [
      { value: 88, priority: "medium" },
      { value: 85, priority: "high" },
    ],
    high: [],
  });
  expect(told.get("oxygenSaturation")?.defaults.low).toEqual([
    { value: 90, priority: "medium" },
    { value: 85, priority: "high" },
  ]);
  expect(told.get("heartRate")?.ward.high).toEqual([]);
  expect(told.get("heartRate")?.ward.low.map(({ value }) => value)).toEqual([45, 35]);
  expect(told.get("bodyWeight")?.ward).toEqual({ low: [], high: [] });
  expect(told.has("motion"), "a state has no limit").toBe(false);
  await ward.gateway.stop();
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
