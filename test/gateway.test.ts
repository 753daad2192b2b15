import { readFile } from "node:fs/promises";
import { describe, expect, test } from "vitest";
import type { Alert } from "../src/core/alert.ts";
import { fault } from "../src/core/errors.ts";
import { alertId, deviceId, patientId } from "../src/core/ids.ts";
import { monitorBytes, startSmallWard } from "./support/small-ward.ts";

const WELL = { heartRate: 72, respiratoryRate: 14, oxygenSaturation: 97 };
const WORSE = { heartRate: 118, respiratoryRate: 27, oxygenSaturation: 83 };

const rulesOf = (alerts: readonly Alert[], nature: Alert["nature"]) =>
  [...new Set(alerts.filter((alert) => alert.nature === nature).map((alert) => alert.rule))].sort();

describe("from bytes to an alert", () => {
  test("a monitor's bytes become observations in the journal and numbers on the bed's tile", async () => {
    const ward = await startSmallWard();
    await ward.admit(1);
    ward.link("monitor-1").up();
    await ward.stream("monitor-1", 2, WELL);
    const records = await ward.journal.read({ afterSeq: 0 as never, limit: 100, kinds: ["observation"] });
    const seen = records.flatMap((record) =>
      record.kind === "observation" && record.content.state === "present"
        ? [[record.quantity, record.content.value, record.patientId]]
        : [],
    );
    expect(seen).toContainEqual(["oxygenSaturation", 97, "patient-1"]);
    expect(seen).toContainEqual(["heartRate", 72, "patient-1"]);
    const tile = ward.gateway.source.picture().beds[0];
    expect(tile?.numbers.find((number) => number.quantity === "respiratoryRate")?.content).toEqual({
      state: "present",
      value: 14,
    });
    await ward.gateway.stop();
  });

  test("a falling saturation is an alert on the right bed, and none on the other", async () => {
    const ward = await startSmallWard();
    await ward.admit(1);
    await ward.admit(2);
    for (const device of ["monitor-1", "monitor-2"] as const) ward.link(device).up();
    for (let second = 0; second < 15; second++) {
      ward.link("monitor-2").send(monitorBytes(WELL));
      await ward.stream("monitor-1", 1, WORSE);
    }
    const saturation = ward.said.find((alert) => alert.rule === "limit.oxygenSaturation.low");
    expect(saturation).toMatchObject({
      subject: { patientId: "patient-1", bedId: "bed-1" },
      nature: "physiological",
      state: "active",
    });
    expect(ward.said.filter((alert) => alert.subject.patientId === "patient-2" && alert.nature === "physiological")).toEqual([]);
    await ward.gateway.stop();
  });

  test("a disk that does not commit mutes no alert: it is on the page and out at once", async () => {
    const ward = await startSmallWard();
    await ward.admit(1);
    ward.link("monitor-1").up();
    const onPage: string[] = [];
    ward.gateway.source.subscribe((message) => {
      if (message.kind === "alerts") onPage.push(...message.alerts.map((alert) => alert.rule));
    });
    ward.journal.setCommitting(false);
    await ward.stream("monitor-1", 15, WORSE);
    expect(ward.said.map((alert) => alert.rule)).toContain("limit.oxygenSaturation.low");
    expect(onPage).toContain("limit.oxygenSaturation.low");
    await ward.gateway.stop();
  });

  test("the recorded monitor alarms for a demonstration's patient, with its origin", async () => {
    const ward = await startSmallWard({ origin: "replayed" });
    await ward.admit(1, { demonstration: true });
    ward.link("monitor-1").up();
    const bytes = await readFile(new URL("captures/ivy-450c/Ivy450C.1.data", import.meta.url));
    for (let at = 0; at < bytes.length; at += 562) {
      ward.link("monitor-1").send(bytes.subarray(at, at + 562));
      await ward.clock.advance(1000);
    }
    const respiration = ward.said.find((alert) => alert.rule === "limit.respiratoryRate.high");
    expect(respiration).toMatchObject({ origin: "replayed", evidence: { value: 35 } });
    await ward.gateway.stop();
  });

  test("what is replayed raises nothing on a real patient but the technical alert that says so", async () => {
    const ward = await startSmallWard({ origin: "replayed" });
    await ward.admit(1, { demonstration: false });
    ward.link("monitor-1").up();
    await ward.stream("monitor-1", 70, WORSE);
    expect(rulesOf(ward.said, "physiological")).toEqual([]);
    expect(ward.said.map((alert) => alert.evidence.kind)).toContain("not-measured");
    await ward.gateway.stop();
  });
});

describe("SAFETY.md", () => {
  test("rule 1: the heartbeat comes out of the alert path, not out of a timer", async () => {
    const ward = await startSmallWard();
    await ward.clock.advance(20_000);
    expect(ward.heartbeats()).toBe(10);
    expect(ward.said).toEqual([]);
    const records = await ward.journal.read({ afterSeq: 0 as never, limit: 10 });
    expect(records.map((record) => record.kind)).toEqual(["start"]);
    await ward.gateway.stop();
  });

  test("rule 3: after a restart an assigned device that never comes back is alarmed, though no frame ever came", async () => {
    const before = await startSmallWard();
    await before.admit(1);
    before.link("monitor-1").up();
    await before.stream("monitor-1", 3, WELL);
    const ward = await before.crash();
    expect(ward.said).toEqual([]);
    await ward.clock.advance(6000);
    expect(ward.said.map((alert) => alert.rule)).toContain("silence.device");
    expect(ward.said.find((alert) => alert.rule === "silence.device")?.subject).toMatchObject({
      deviceId: "monitor-1",
      patientId: "patient-1",
    });
    await ward.gateway.stop();
  });

  test("rule 3: a device that nobody assigned and that never speaks is not alarmed", async () => {
    const ward = await startSmallWard();
    await ward.clock.advance(60_000);
    expect(ward.said).toEqual([]);
    await ward.gateway.stop();
  });

  test("rule 4: frames arrive, but saturation does not: a technical alert on the quantity", async () => {
    const ward = await startSmallWard();
    await ward.admit(1);
    ward.link("monitor-1").up();
    await ward.stream("monitor-1", 65, { heartRate: 72, respiratoryRate: 14 });
    const missing = ward.said.filter((alert) => alert.evidence.kind === "quantity-missing");
    expect(missing.map((alert) => alert.evidence)).toMatchObject([{ quantity: "oxygenSaturation" }]);
    expect(ward.said.map((alert) => alert.rule)).not.toContain("silence.device");
    await ward.gateway.stop();
  });

  test("rule 10: after a kill the acknowledged alert is the same alert, and a worsening still takes seconds", async () => {
    const before = await startSmallWard();
    await before.admit(1);
    before.link("monitor-1").up();
    await before.stream("monitor-1", 20, { ...WELL, oxygenSaturation: 88 });
    const first = before.said.find((alert) => alert.rule === "limit.oxygenSaturation.low");
    expect(first?.priority).toBe("medium");
    await before.act({ kind: "acknowledge", alertId: alertId(first?.id ?? "") });
    const ward = await before.crash(1500);
    ward.link("monitor-1").up();
    const open = ward.gateway.openAlerts().find((alert) => alert.rule === "limit.oxygenSaturation.low");
    expect(open).toMatchObject({ id: first?.id, state: "acknowledged", acknowledgedBy: "nurse" });
    await ward.stream("monitor-1", 20, { ...WELL, oxygenSaturation: 80 });
    expect(ward.said.find((alert) => alert.phase === "escalate")).toMatchObject({
      id: first?.id,
      priority: "high",
      state: "active",
    });
    await ward.gateway.stop();
  });

  test("after a kill no number is given twice, not even one of a record that had left before it was on disk", async () => {
    const before = await startSmallWard();
    await before.admit(1);
    before.link("monitor-1").up();
    before.journal.setCommitting(false);
    await before.stream("monitor-1", 15, WORSE);
    const left = before.said.map((alert) => alert.seq);
    const ward = await before.crash();
    ward.link("monitor-1").up();
    await ward.stream("monitor-1", 15, WORSE);
    const seqs = (await ward.journal.read({ afterSeq: 0 as never, limit: 1000 })).map((record) => record.seq);
    expect(left.length).toBeGreaterThan(0);
    expect(seqs.filter((seq) => left.includes(seq))).toEqual([]);
    expect(seqs).toEqual([...new Set(seqs)].sort((a, b) => a - b));
    await ward.gateway.stop();
  });
});

describe("what goes wrong at one device", () => {
  test("bytes that cannot be read are one technical alert with the reason, and it ends when they can", async () => {
    const ward = await startSmallWard();
    await ward.admit(1);
    ward.link("monitor-1").up();
    const noise = monitorBytes(WELL).map((byte, index) => (index > 420 ? 0x21 : byte));
    for (let second = 0; second < 12; second++) {
      ward.link("monitor-1").send(noise);
      await ward.clock.advance(1000);
    }
    await ward.stream("monitor-1", 40, WELL);
    const refused = ward.said.filter((alert) => alert.rule === "fault.device-refused").map((alert) => alert.state);
    expect(refused).toEqual(["active", "ended"]);
    await ward.gateway.stop();
  });

  test("a lost link is said with its device and bed, once, and ends when the link is back", async () => {
    const ward = await startSmallWard();
    ward.link("monitor-1").up();
    ward.link("monitor-1").down();
    await ward.clock.advance(10_000);
    ward.link("monitor-1").up();
    await ward.clock.advance(10_000);
    expect(ward.said.map((alert) => [alert.rule, alert.state, alert.subject.deviceId, alert.subject.bedId])).toEqual([
      ["fault.link-down", "active", "monitor-1", "bed-1"],
      ["fault.link-down", "ended", "monitor-1", "bed-1"],
    ]);
    await ward.gateway.stop();
  });
});

test("damage that is found while the gateway runs is told until somebody acknowledges it, and told again when more is found", async () => {
  const ward = await startSmallWard();
  const damaged = () => ward.gateway.openAlerts().filter((alert) => alert.rule === "fault.journal-damaged");
  const find = async (file: string) => {
    ward.journal.sayHealth({ state: "failing", fault: fault("journal-damaged", { file }), waitingRecords: 0 });
    ward.journal.sayHealth({ state: "working" });
    await ward.clock.advance(20_000);
  };
  await find("one");
  expect(damaged().map((alert) => alert.state)).toEqual(["active"]);
  await ward.act({ kind: "acknowledge", alertId: damaged()[0]?.id ?? alertId("none") });
  await ward.clock.advance(20_000);
  expect(damaged()).toEqual([]);
  await find("two");
  expect(damaged().map((alert) => alert.state)).toEqual(["active"]);
  await ward.gateway.stop();
});

test("after a step of the wall clock pages get every bed anew, with ages that are right", async () => {
  const ward = await startSmallWard();
  await ward.admit(1);
  ward.link("monitor-1").up();
  await ward.stream("monitor-1", 3, WELL);
  await ward.clock.advance(20_000);
  const ages: number[] = [];
  ward.gateway.source.subscribe((message) => {
    if (message.kind !== "beds") return;
    for (const { numbers } of message.beds)
      for (const { measuredAtMs, quantity } of numbers)
        if (quantity === "heartRate") ages.push(Math.round((ward.clock.wall() - measuredAtMs) / 1000));
  });
  await ward.clock.advance(3000);
  expect(ages).toEqual([]);
  ward.clock.stepWall(-10 * 365 * 24 * 3_600_000);
  await ward.clock.advance(3000);
  expect(ages.map((seconds) => seconds >= 24 && seconds <= 26)).toEqual([true]);
  await ward.gateway.stop();
});

describe("a device's own alarms", () => {
  const withText = (text: string) => {
    const message = Buffer.from(monitorBytes(WELL)).toString("latin1");
    return Buffer.from(message.replace(/(HR=[^\r]*;)\r/, `$1${text}\r`), "latin1");
  };

  test("it is an alert at once, and outlives a lost link until the device is back and does not repeat it", async () => {
    const ward = await startSmallWard();
    await ward.admit(1);
    ward.link("monitor-1").up();
    ward.link("monitor-1").send(withText("ASYSTOLE"));
    await ward.clock.advance(1000);
    const alarms = () =>
      ward.said.filter((alert) => alert.evidence.kind === "device-alarm").map((alert) => [alert.priority, alert.state]);
    expect(alarms()).toEqual([["high", "active"]]);
    ward.link("monitor-1").down();
    await ward.clock.advance(120_000);
    expect(alarms()).toEqual([["high", "active"]]);
    ward.link("monitor-1").up();
    await ward.stream("monitor-1", 30, WELL);
    expect(alarms()).toEqual([["high", "active"]]);
    await ward.stream("monitor-1", 45, WELL);
    expect(alarms()).toEqual([
      ["high", "active"],
      ["high", "ended"],
    ]);
    await ward.gateway.stop();
  });
});

describe("the door for acts", () => {
  test("an act that does not fit is refused with its reason and leaves no record", async () => {
    const ward = await startSmallWard();
    await ward.admit(1);
    const facts = async (deed: Parameters<typeof ward.act>[0]) => {
      const done = await ward.act(deed);
      return done.ok ? "done" : done.error.facts["why"];
    };
    const before = (await ward.journal.read({ afterSeq: 0 as never, limit: 100 })).length;
    expect(await facts({ kind: "assign", deviceId: deviceId("monitor-1"), patientId: patientId("patient-1") })).toBe(
      "device-in-use",
    );
    expect(await facts({ kind: "assign", deviceId: deviceId("monitor-9"), patientId: patientId("patient-1") })).toBe(
      "unknown-device",
    );
    expect(await facts({ kind: "release", deviceId: deviceId("monitor-2") })).toBe("device-not-assigned");
    expect(await facts({ kind: "discharge", patientId: patientId("nobody") })).toBe("unknown-patient");
    expect(await facts({ kind: "acknowledge", alertId: alertId("none") })).toBe("alert-ended");
    const low = { value: 880, priority: "medium" } as const;
    expect(
      await facts({ kind: "set-limit", patientId: patientId("patient-1"), quantity: "oxygenSaturation", low, high: null }),
    ).toBe("impossible-limit");
    expect((await ward.journal.read({ afterSeq: 0 as never, limit: 100 })).length).toBe(before);
    await ward.gateway.stop();
  });

  test("an act counts at once and says honestly whether it is on disk", async () => {
    const ward = await startSmallWard();
    await ward.admit(1);
    ward.journal.setCommitting(false);
    const pending = ward.act({ kind: "enter-oxygen", patientId: patientId("patient-1"), onOxygen: true });
    await ward.clock.advance(10);
    expect(ward.gateway.source.picture().beds[0]?.patient?.onOxygen?.value).toBe(true);
    await ward.clock.advance(2500);
    expect(await pending).toMatchObject({ ok: true, value: { durable: false } });
    await ward.gateway.stop();
  });

  test("a discharged patient's alerts end and the device belongs to nobody", async () => {
    const ward = await startSmallWard();
    await ward.admit(1);
    ward.link("monitor-1").up();
    await ward.stream("monitor-1", 15, WORSE);
    await ward.act({ kind: "discharge", patientId: patientId("patient-1") });
    await ward.clock.advance(10_000);
    expect(ward.gateway.openAlerts().filter((alert) => alert.nature === "physiological")).toEqual([]);
    expect(ward.gateway.source.picture().unassigned.map((device) => device.deviceId)).toContain("monitor-1");
    await ward.gateway.stop();
  });
});

test("after many restarts in a row the windows are still filled from before them", async () => {
  let ward = await startSmallWard();
  await ward.admit(1);
  ward.link("monitor-1").up();
  await ward.stream("monitor-1", 30, { ...WELL, oxygenSaturation: 88 });
  for (let restart = 0; restart < 6; restart++) {
    ward = await ward.crash(200);
    await ward.act({ kind: "enter-oxygen", patientId: patientId("patient-1"), onOxygen: restart % 2 === 0 });
  }
  const tile = ward.gateway.source.picture().beds[0];
  expect(tile?.numbers.find((number) => number.quantity === "oxygenSaturation")?.content).toEqual({
    state: "present",
    value: 88,
  });
  await ward.gateway.stop();
});
