import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { patientsCommand } from "../src/commands/patients.ts";
import type { Deed } from "../src/core/act.ts";
import { alertId, bedId, deviceId, patientId, seq, userId } from "../src/core/ids.ts";
import { wallMs } from "../src/core/time.ts";
import { parseDeed } from "../src/dashboard/server/deed-parser.ts";
import { openControlSocket } from "../src/gateway/control-socket.ts";
import { applyAct, EMPTY_PLANT } from "../src/gateway/plant.ts";
import { collectingIo } from "./support/collecting-io.ts";
import { monitorBytes, type SmallWard, startSmallWard } from "./support/small-ward.ts";

const WELL = { heartRate: 72, respiratoryRate: 14, oxygenSaturation: 97 };
const LOW_OXYGEN = { heartRate: 72, respiratoryRate: 14, oxygenSaturation: 84 };
const MONITOR = deviceId("monitor-1");
const ANNA = patientId("patient-1");
const BERTA = patientId("patient-2");
const HOUR_MS = 3_600_000;

const why = async (ward: SmallWard, deed: Deed) => {
  const answer = await ward.act(deed);
  return answer.ok ? "done" : [answer.error.code, answer.error.facts["why"]];
};

const oxygenAlert = (ward: SmallWard) => ward.gateway.openAlerts().find(({ rule }) => rule === "limit.oxygenSaturation.low");
const bedOf = (ward: SmallWard, bed: 1 | 2) => ward.gateway.source.picture().beds[bed - 1];

async function inAlarm(): Promise<SmallWard> {
  const ward = await startSmallWard();
  await ward.admit(1);
  ward.link("monitor-1").up();
  await ward.stream("monitor-1", 5, WELL);
  await ward.stream("monitor-1", 20, LOW_OXYGEN);
  expect(oxygenAlert(ward)).toMatchObject({ state: "active", subject: { patientId: ANNA, bedId: "bed-1" } });
  return ward;
}

describe("transfer", () => {
  test("a patient who is moved keeps devices, numbers and the alert that is open, which names the new bed at once", async () => {
    const ward = await inAlarm();
    const before = oxygenAlert(ward);
    await ward.act({ kind: "acknowledge", alertId: before?.id ?? alertId("") });
    expect(await why(ward, { kind: "transfer", patientId: ANNA, bedId: bedId("bed-2") })).toBe("done");
    const after = oxygenAlert(ward);
    expect(after).toMatchObject({
      id: before?.id,
      state: "acknowledged",
      subject: { patientId: ANNA, bedId: "bed-2" },
      phase: "update",
    });
    expect(ward.said.at(-1)).toMatchObject({ id: before?.id, subject: { bedId: "bed-2" } });
    expect(bedOf(ward, 1)?.patient).toBeNull();
    expect(bedOf(ward, 2)?.patient?.patientId).toBe(ANNA);
    expect(bedOf(ward, 2)?.devices.map((device) => device.deviceId)).toContain(MONITOR);
    expect(bedOf(ward, 2)?.numbers.map(({ quantity }) => quantity)).toContain("oxygenSaturation");
    await ward.stream("monitor-1", 30, WELL);
    expect(oxygenAlert(ward)).toBeUndefined();
    await ward.gateway.stop();
  });

  test("after a restart the patient lies where they were moved to, with the same alert", async () => {
    const first = await inAlarm();
    const before = oxygenAlert(first);
    await first.act({ kind: "transfer", patientId: ANNA, bedId: bedId("bed-2") });
    const ward = await first.crash();
    expect(bedOf(ward, 2)?.patient?.patientId).toBe(ANNA);
    expect(oxygenAlert(ward)).toMatchObject({ id: before?.id, subject: { bedId: "bed-2" } });
    await ward.gateway.stop();
  });

  test("a lost link of a device is told at the bed where its patient lies now", async () => {
    const ward = await startSmallWard();
    await ward.admit(1);
    ward.link("monitor-1").up();
    ward.link("monitor-1").down();
    await ward.clock.advance(10);
    const linkAlert = () => ward.gateway.openAlerts().find(({ rule }) => rule === "fault.link-down");
    expect(linkAlert()?.subject.bedId).toBe("bed-1");
    await ward.act({ kind: "transfer", patientId: ANNA, bedId: bedId("bed-2") });
    expect(linkAlert()).toMatchObject({ state: "active", subject: { deviceId: MONITOR, bedId: "bed-2" } });
    await ward.gateway.stop();
  });

  test("nobody is moved into a bed that is taken, unknown or their own", async () => {
    const ward = await startSmallWard();
    await ward.admit(1);
    expect(await why(ward, { kind: "transfer", patientId: BERTA, bedId: bedId("bed-2") })).toEqual([
      "act-refused",
      "unknown-patient",
    ]);
    expect(await why(ward, { kind: "transfer", patientId: ANNA, bedId: bedId("bed-1") })).toEqual([
      "act-refused",
      "already-there",
    ]);
    expect(await why(ward, { kind: "transfer", patientId: ANNA, bedId: bedId("bed-9") })).toEqual(["act-refused", "unknown-bed"]);
    await ward.admit(2);
    expect(await why(ward, { kind: "transfer", patientId: ANNA, bedId: bedId("bed-2") })).toEqual([
      "act-refused",
      "bed-occupied",
    ]);
    await ward.gateway.stop();
  });
});

describe("merge", () => {
  const NUMBER = patientId("hospital-77");

  test("a patient who gets another number keeps everything; the open alert goes on as the same one under the new number", async () => {
    const ward = await inAlarm();
    await ward.act({ kind: "enter-consciousness", patientId: ANNA, consciousness: "A" });
    await ward.act({ kind: "note", patientId: ANNA, text: "prefers the left arm" });
    const before = oxygenAlert(ward);
    expect(await why(ward, { kind: "merge", patientId: NUMBER, formerPatientId: ANNA })).toBe("done");
    expect(oxygenAlert(ward)).toMatchObject({ id: before?.id, state: "active", subject: { patientId: NUMBER, bedId: "bed-1" } });
    expect(ward.said.filter(({ id }) => id === before?.id).map(({ state }) => state)).not.toContain("ended");
    const patient = bedOf(ward, 1)?.patient;
    expect(patient).toMatchObject({ patientId: NUMBER, formerNumbers: [ANNA], noteCount: 1, consciousness: { value: "A" } });
    expect(bedOf(ward, 1)?.numbers.map(({ quantity }) => quantity)).toContain("oxygenSaturation");
    await ward.stream("monitor-1", 2, LOW_OXYGEN);
    const observations = await ward.journal.readBack({ upToSeq: ward.gateway.lastSeq(), limit: 1 });
    expect(observations[0]?.patientId).toBe(NUMBER);
    expect(await why(ward, { kind: "discharge", patientId: ANNA })).toEqual(["act-refused", "unknown-patient"]);
    await ward.stream("monitor-1", 30, WELL);
    expect(oxygenAlert(ward)).toBeUndefined();
    await ward.gateway.stop();
  });

  test("a restart after a merge gives the patient the windows and the alert of the former number", async () => {
    const first = await inAlarm();
    const before = oxygenAlert(first);
    await first.act({ kind: "merge", patientId: NUMBER, formerPatientId: ANNA });
    const ward = await first.crash();
    expect(bedOf(ward, 1)?.numbers.map(({ quantity }) => quantity)).toContain("oxygenSaturation");
    expect(oxygenAlert(ward)).toMatchObject({ id: before?.id, subject: { patientId: NUMBER } });
    const trend = await ward.gateway.source.trend({
      patientId: NUMBER,
      quantity: "oxygenSaturation",
      fromMs: wallMs(0),
      toMs: ward.clock.wall(),
      pointsMax: 500,
    });
    expect(trend.length).toBeGreaterThan(20);
    await ward.gateway.stop();
  });

  test("of two beds that are one person the bed of the number that stays is kept, and the other patient's alarm with it", async () => {
    const ward = await startSmallWard();
    await ward.admit(1);
    await ward.admit(2);
    for (const device of ["monitor-1", "monitor-2"] as const) ward.link(device).up();
    for (let second = 0; second < 25; second++) {
      ward.link("monitor-1").send(monitorBytes(second < 5 ? WELL : LOW_OXYGEN));
      ward.link("monitor-2").send(monitorBytes(WELL));
      await ward.clock.advance(1000);
    }
    const before = oxygenAlert(ward);
    await ward.act({
      kind: "set-limit",
      patientId: BERTA,
      quantity: "heartRate",
      low: { value: 45, priority: "high" },
      high: null,
      reason: "athlete",
    });
    expect(await why(ward, { kind: "merge", patientId: BERTA, formerPatientId: ANNA })).toBe("done");
    expect(bedOf(ward, 1)?.patient).toBeNull();
    expect(bedOf(ward, 2)?.patient?.patientId).toBe(BERTA);
    expect(
      bedOf(ward, 2)
        ?.devices.map(({ deviceId: id }) => id)
        .sort(),
    ).toEqual(["monitor-1", "monitor-2"]);
    expect(bedOf(ward, 2)?.patient?.limits.map(({ quantity, reason }) => [quantity, reason])).toEqual([["heartRate", "athlete"]]);
    expect(oxygenAlert(ward)).toMatchObject({ id: before?.id, state: "active", subject: { patientId: BERTA, bedId: "bed-2" } });
    // What the former number's monitor goes on saying is held against the delays that ran before, not begun anew.
    for (let second = 0; second < 6; second++) {
      ward.link("monitor-1").send(monitorBytes(LOW_OXYGEN));
      ward.link("monitor-2").send(monitorBytes(WELL));
      await ward.clock.advance(1000);
      expect(oxygenAlert(ward)?.id).toBe(before?.id);
    }
    expect(ward.said.filter(({ id }) => id === before?.id).map(({ state }) => state)).not.toContain("ended");
    for (let second = 0; second < 30; second++) {
      ward.link("monitor-1").send(monitorBytes(WELL));
      ward.link("monitor-2").send(monitorBytes(WELL));
      await ward.clock.advance(1000);
    }
    expect(oxygenAlert(ward)).toBeUndefined();
    await ward.gateway.stop();
  });

  test("a demonstration is never merged with a real patient, nor anybody with themselves or with nobody", async () => {
    const ward = await startSmallWard();
    await ward.admit(1);
    await ward.admit(2, { demonstration: true });
    expect(await why(ward, { kind: "merge", patientId: ANNA, formerPatientId: BERTA })).toEqual([
      "act-refused",
      "demonstration-differs",
    ]);
    expect(await why(ward, { kind: "merge", patientId: ANNA, formerPatientId: ANNA })).toEqual(["act-refused", "same-patient"]);
    expect(await why(ward, { kind: "merge", patientId: ANNA, formerPatientId: NUMBER })).toEqual([
      "act-refused",
      "unknown-patient",
    ]);
    await ward.gateway.stop();
  });
});

describe("limits with an end", () => {
  const widened = (ward: SmallWard, hours: number) =>
    ({
      kind: "set-limit",
      patientId: ANNA,
      quantity: "oxygenSaturation",
      low: { value: 80, priority: "high" },
      high: null,
      reason: "cyanotic heart defect",
      expiresAtMs: wallMs(ward.clock.wall() + hours * HOUR_MS),
    }) as const;

  test("a limit that expires goes back to the ward's own by itself, alarms by it, and the wall says so", async () => {
    const ward = await startSmallWard({ limits: "oxygenSaturation: { low: { value: 93, priority: medium } }" });
    await ward.admit(1);
    ward.link("monitor-1").up();
    expect(await why(ward, widened(ward, 1))).toBe("done");
    expect(bedOf(ward, 1)?.patient?.limits).toMatchObject([{ reason: "cyanotic heart defect", setBy: "nurse", expired: false }]);
    await ward.stream("monitor-1", 30, { ...WELL, oxygenSaturation: 91 });
    expect(oxygenAlert(ward)).toBeUndefined();
    await ward.clock.advance(HOUR_MS - 31_000);
    expect(bedOf(ward, 1)?.patient?.limits).toMatchObject([{ expired: false }]);
    await ward.clock.advance(1100);
    expect(bedOf(ward, 1)?.patient?.limits).toMatchObject([{ quantity: "oxygenSaturation", expired: true }]);
    await ward.stream("monitor-1", 20, { ...WELL, oxygenSaturation: 91 });
    expect(oxygenAlert(ward)).toMatchObject({ priority: "medium", evidence: { limit: 93 } });
    await ward.gateway.stop();
  });

  test("an end that passed while the gateway was down is as good as one that passed while it ran", async () => {
    const first = await startSmallWard();
    await first.admit(1);
    await first.act(widened(first, 1));
    const ward = await first.crash(2 * HOUR_MS);
    expect(bedOf(ward, 1)?.patient?.limits).toMatchObject([{ expired: true }]);
    ward.link("monitor-1").up();
    await ward.stream("monitor-1", 30, LOW_OXYGEN);
    expect(oxygenAlert(ward)).toBeDefined();
    await ward.gateway.stop();
  });

  test("a restart does not prolong a limit, and a wall clock that is set does not shorten it", async () => {
    const first = await startSmallWard();
    await first.admit(1);
    await first.act(widened(first, 2));
    const ward = await first.crash(HOUR_MS);
    ward.clock.stepWall(6 * HOUR_MS);
    await ward.clock.advance(HOUR_MS - 10_000);
    expect(bedOf(ward, 1)?.patient?.limits).toMatchObject([{ expired: false }]);
    await ward.clock.advance(11_000);
    expect(bedOf(ward, 1)?.patient?.limits).toMatchObject([{ expired: true }]);
    await ward.gateway.stop();
  });

  test("a clock that was set right after a limit was set neither ends nor prolongs it over a restart", async () => {
    const first = await startSmallWard();
    await first.admit(1);
    await first.act(widened(first, 2));
    first.clock.stepWall(6 * HOUR_MS);
    await first.clock.advance(5000);
    const ward = await first.crash(HOUR_MS);
    expect(bedOf(ward, 1)?.patient?.limits).toMatchObject([{ expired: false }]);
    await ward.clock.advance(HOUR_MS - 30_000);
    expect(bedOf(ward, 1)?.patient?.limits).toMatchObject([{ expired: false }]);
    await ward.clock.advance(30_000);
    expect(bedOf(ward, 1)?.patient?.limits).toMatchObject([{ expired: true }]);
    await ward.gateway.stop();
  });

  test("an end that has passed or is more than a week off is refused", async () => {
    const ward = await startSmallWard();
    await ward.admit(1);
    expect(await why(ward, { ...widened(ward, 0) })).toEqual(["act-refused", "expiry-past"]);
    expect(await why(ward, { ...widened(ward, 169) })).toEqual(["act-refused", "expiry-far"]);
    expect(await why(ward, { ...widened(ward, 168) })).toBe("done");
    await ward.gateway.stop();
  });
});

describe("what is said of alerts, devices and patients", () => {
  test("an alert is judged while it is open and after it has ended, and nothing else is", async () => {
    const ward = await inAlarm();
    const id = oxygenAlert(ward)?.id ?? alertId("");
    expect(await why(ward, { kind: "verdict", alertId: id, verdict: "relevant" })).toBe("done");
    await ward.stream("monitor-1", 40, WELL);
    expect(oxygenAlert(ward)).toBeUndefined();
    expect(await why(ward, { kind: "verdict", alertId: id, verdict: "not-actionable" })).toBe("done");
    for (const wrong of ["", "11111111-0", "11111111-3", `${id}9`, "22222222-1"])
      expect(await why(ward, { kind: "verdict", alertId: alertId(wrong), verdict: "false" })).toEqual([
        "act-refused",
        "unknown-alert",
      ]);
    await ward.gateway.stop();
  });

  test("an assignment is confirmed for the patient who has the device, and refused for any other", async () => {
    const ward = await startSmallWard();
    await ward.admit(1);
    const confirm = (patient: typeof ANNA, device = MONITOR) =>
      why(ward, { kind: "confirm-assignment", deviceId: device, patientId: patient });
    expect(await confirm(ANNA)).toBe("done");
    expect(await confirm(BERTA)).toEqual(["act-refused", "device-on-another"]);
    expect(await confirm(ANNA, deviceId("monitor-2"))).toEqual(["act-refused", "device-not-assigned"]);
    await ward.gateway.stop();
  });

  test("a corrected name and a note are there after a restart", async () => {
    const first = await startSmallWard();
    await first.admit(1);
    await first.act({ kind: "correct-patient", patientId: ANNA, label: "A. B." });
    await first.act({ kind: "note", patientId: ANNA, text: "asked for water\nat noon" });
    const ward = await first.crash();
    expect(bedOf(ward, 1)?.patient).toMatchObject({
      label: "A. B.",
      lastNote: { text: "asked for water\nat noon", by: "nurse" },
    });
    expect(ward.gateway.source.notes(ANNA)).toHaveLength(1);
    expect(await why(ward, { kind: "note", patientId: BERTA, text: "x" })).toEqual(["act-refused", "unknown-patient"]);
    expect(await why(ward, { kind: "correct-patient", patientId: BERTA, label: "x" })).toEqual([
      "act-refused",
      "unknown-patient",
    ]);
    await ward.gateway.stop();
  });

  test("an act of before there were reasons, ends and addresses replays as one without them", () => {
    const common = { kind: "act", atMs: wallMs(1_700_000_000_000), by: userId("nurse"), from: "page" } as const;
    const admitted = applyAct(EMPTY_PLANT, {
      ...common,
      seq: seq(1),
      deed: {
        kind: "admit",
        patientId: ANNA,
        bedId: bedId("bed-1"),
        label: "P",
        profile: { kind: "adult", spo2Scale: 1 },
        demonstration: false,
      },
    });
    const old = JSON.parse(
      '{"kind":"set-limit","patientId":"patient-1","quantity":"heartRate","low":null,"high":{"value":140,"priority":"high"}}',
    );
    const plant = applyAct(admitted, { ...common, seq: seq(2), deed: old });
    expect(plant.patients.get(ANNA)?.limits.get("heartRate")).toMatchObject({
      reason: null,
      expiresAtMs: null,
      high: { value: 140 },
    });
  });
});

test("vigil patients asks a gateway for each of these deeds, and for none that lacks what it needs", async () => {
  const folder = await mkdtemp(join(tmpdir(), "vigil-deeds-"));
  const config = join(folder, "ward.yaml");
  await writeFile(config, `gateway: { id: g, dataFolder: ${folder} }\n`);
  const asked: unknown[] = [];
  const socket = await openControlSocket(join(folder, "control.sock"), async ({ body }) => {
    const deed = parseDeed((body as { readonly deed: unknown }).deed);
    if (deed.ok) asked.push(deed.value);
    return deed;
  });
  const run = (...args: readonly string[]) => patientsCommand.run([...args, "--config", config], collectingIo());
  expect(await run("transfer", "p1", "--bed", "bed-2")).toBe(0);
  expect(await run("merge", "p1", "--former", "p2")).toBe(0);
  expect(await run("correct", "p1", "--label", "A. B.")).toBe(0);
  expect(await run("note", "p1", "--text", "slept well")).toBe(0);
  expect(await run("discharge", "p1")).toBe(0);
  expect(asked).toEqual([
    { kind: "transfer", patientId: "p1", bedId: "bed-2" },
    { kind: "merge", patientId: "p1", formerPatientId: "p2" },
    { kind: "correct-patient", patientId: "p1", label: "A. B." },
    { kind: "note", patientId: "p1", text: "slept well" },
    { kind: "discharge", patientId: "p1" },
  ]);
  for (const wrong of [["transfer", "p1"], ["merge", "p1"], ["correct", "p1"], ["note", "p1"], ["discharge"], ["paint", "p1"]])
    expect(await run(...wrong), wrong.join(" ")).toBe(2);
  if (socket.ok) await socket.value.close();
  await rm(folder, { recursive: true, force: true });
});
