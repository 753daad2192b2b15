import { describe, expect, test } from "vitest";
import { bedId, deviceId, patientId } from "../src/core/ids.ts";
import type { Origin } from "../src/core/observation.ts";
import { ANNA, createWard, DEVICE, MONITOR } from "./support/watched-ward.ts";

const SILENT = "silence.device/monitor-1";
const MISSING = "silence.oxygenSaturation/anna";

describe("line 3: silence is armed by the assignment", () => {
  test("a device that was never heard is silent at its limit, not before", async () => {
    const ward = createWard();
    ward.note(ward.watch.setDevice(DEVICE));
    await ward.pass(9);
    expect(ward.holding()).toEqual([]);
    await ward.pass(6);
    expect(ward.holding()).toEqual([SILENT]);
    const raised = ward.log.find(({ change }) => change.kind === "raised" && change.condition.key === SILENT);
    expect(raised?.atSeconds).toBe(15);
    expect(raised?.change).toMatchObject({
      condition: { nature: "technical", evidence: { lastHeardAtMs: null, limitSeconds: 15 } },
    });
  });
  test("a device that belongs to nobody is not silent", async () => {
    const ward = createWard();
    ward.note(ward.watch.setDevice({ ...DEVICE, patientId: null }));
    await ward.pass(100);
    expect(ward.holding()).toEqual([]);
  });
  test("it ends with the next frame, and comes again with the next silence", async () => {
    const ward = createWard();
    ward.note(ward.watch.setDevice({ ...DEVICE, expected: [] }));
    await ward.pass(16);
    ward.note(ward.watch.heard(MONITOR));
    expect(ward.holding()).toEqual([]);
    await ward.pass(14);
    expect(ward.holding()).toEqual([]);
    await ward.pass(1);
    expect(ward.holding()).toEqual([SILENT]);
  });
  test("after a restart it is armed anew although nothing was ever heard", async () => {
    const ward = createWard();
    ward.note(ward.watch.setDevice(DEVICE));
    ward.note(ward.watch.restore({ observations: [], openAlerts: [] }));
    await ward.pass(15);
    expect(ward.holding()).toEqual([SILENT]);
  });
  test("a wall clock set back an hour does not postpone it", async () => {
    const ward = createWard();
    ward.note(ward.watch.setDevice({ ...DEVICE, expected: [] }));
    ward.note(ward.watch.heard(MONITOR));
    ward.clock.stepWall(-3_600_000);
    await ward.pass(15);
    expect(ward.holding()).toEqual([SILENT]);
  });
  test("telling the same assignment again does not arm it anew; another patient does", async () => {
    const ward = createWard();
    ward.note(ward.watch.setDevice({ ...DEVICE, expected: [] }));
    await ward.pass(10);
    ward.note(ward.watch.setDevice({ ...DEVICE, expected: [] }));
    await ward.pass(5);
    expect(ward.holding()).toEqual([SILENT]);
    ward.note(
      ward.watch.setPatient({
        patientId: patientId("bo"),
        bedId: bedId("bed-2"),
        profile: { kind: "adult", spo2Scale: 1 },
        demonstration: false,
      }),
    );
    ward.note(ward.watch.setDevice({ ...DEVICE, expected: [], patientId: patientId("bo") }));
    expect(ward.holding()).toEqual([]);
    await ward.pass(14);
    expect(ward.holding()).toEqual([]);
    await ward.pass(1);
    expect(ward.holding()).toEqual([SILENT]);
  });
});

describe("line 4: frames arrive, but the quantity that matters does not", () => {
  const ways: readonly [string, (ward: ReturnType<typeof createWard>) => void][] = [
    ["is absent", (ward) => void ward.say("oxygenSaturation", "sensor-off")],
    [
      "is impossible",
      (ward) => void ward.say("oxygenSaturation", "impossible", { quality: { validity: "invalid", flags: ["impossible"] } }),
    ],
    ["is not in the frames at all", (ward) => ward.note(ward.watch.heard(MONITOR))],
    [
      "is questionable",
      (ward) => void ward.say("oxygenSaturation", 97, { quality: { validity: "questionable", flags: ["motion"] } }),
    ],
    ["is resent from the past", (ward) => void ward.say("oxygenSaturation", 97, { agoMs: 400_000 })],
  ];
  for (const [name, speak] of ways) {
    test(`the quantity ${name}`, async () => {
      const ward = createWard();
      ward.note(ward.watch.setDevice(DEVICE));
      await ward.pass(5, () => ward.say("oxygenSaturation", 97));
      await ward.pass(9, () => speak(ward));
      expect(ward.holding()).toEqual([]);
      await ward.pass(2, () => speak(ward));
      expect(ward.holding()).toEqual([MISSING]);
      ward.say("oxygenSaturation", 96);
      expect(ward.holding()).toEqual([]);
    });
  }
  test("other quantities of the same device do not stand in for it", async () => {
    const ward = createWard();
    ward.note(ward.watch.setDevice(DEVICE));
    await ward.pass(12, () => ward.say("heartRate", 80 + (ward.log.length % 2)));
    expect(ward.holding()).toEqual([MISSING]);
  });
  test("a silent device speaks for its quantities: one loose cable is one alert", async () => {
    const ward = createWard();
    ward.note(ward.watch.setDevice({ ...DEVICE, silenceSeconds: 10 }));
    await ward.pass(5, () => ward.say("oxygenSaturation", 97));
    await ward.pass(60);
    expect(ward.raised()).toEqual(["silence.device"]);
  });
  test("another device that is heard is still held to the quantity", async () => {
    const ward = createWard();
    const second = deviceId("clip-2");
    ward.note(ward.watch.setDevice(DEVICE));
    ward.note(ward.watch.setDevice({ ...DEVICE, deviceId: second }));
    await ward.pass(5, () => ward.say("oxygenSaturation", 97));
    await ward.pass(20, () => ward.note(ward.watch.heard(second)));
    expect(ward.holding()).toEqual([SILENT, MISSING]);
  });
  test("another device that brings the quantity is enough", async () => {
    const ward = createWard();
    const second = deviceId("clip-2");
    ward.note(ward.watch.setDevice(DEVICE));
    ward.note(ward.watch.setDevice({ ...DEVICE, deviceId: second }));
    await ward.pass(40, () => ward.say("oxygenSaturation", 97, { deviceId: second }));
    expect(ward.holding()).toEqual([SILENT]);
  });
});

describe("line 5: a device nobody assigned", () => {
  test("alarms on the device and its bed, stays when it stops sending, and ends when it is assigned", async () => {
    const ward = createWard();
    ward.note(ward.watch.setDevice({ ...DEVICE, patientId: null }));
    await ward.pass(10, () => ward.say("oxygenSaturation", 97, { patientId: null }));
    expect(ward.holding()).toEqual([]);
    await ward.pass(1, () => ward.say("oxygenSaturation", 97, { patientId: null }));
    expect(ward.holding()).toEqual(["unassigned/monitor-1"]);
    expect(ward.log[0]?.change).toMatchObject({
      condition: { subject: { bedId: "bed-1", deviceId: "monitor-1", patientId: null } },
    });
    await ward.pass(1700);
    expect(ward.holding()).toEqual(["unassigned/monitor-1"]);
    ward.note(ward.watch.setDevice(DEVICE));
    expect(ward.holding()).toEqual([]);
  });
  test("a patient who leaves leaves their sending device to nobody", async () => {
    const ward = createWard();
    ward.note(ward.watch.setDevice(DEVICE));
    await ward.pass(5, () => ward.say("oxygenSaturation", 97));
    ward.note(ward.watch.removePatient(ANNA));
    await ward.pass(12, () => ward.note(ward.watch.heard(MONITOR)));
    expect(ward.holding()).toEqual(["unassigned/monitor-1"]);
  });
});

describe("line 6: a value or a clock is frozen", () => {
  test("the same last digit for the driver's time is stuck, one step of change ends it", async () => {
    const ward = createWard();
    ward.note(ward.watch.setDevice({ ...DEVICE, expected: [] }));
    await ward.pass(30, () => ward.say("heartRate", 72));
    expect(ward.holding()).toEqual([]);
    await ward.pass(1, () => ward.say("heartRate", 72));
    expect(ward.holding()).toEqual(["stuck.heartRate/monitor-1"]);
    ward.say("heartRate", 73);
    expect(ward.holding()).toEqual([]);
  });
  test("a quantity the driver lets stand still may", async () => {
    const ward = createWard();
    ward.note(ward.watch.setDevice(DEVICE));
    await ward.pass(300, () => ward.say("oxygenSaturation", 98));
    expect(ward.holding()).toEqual([]);
  });
  test("a device clock that stands still while values come is told, and ends when it moves", async () => {
    const ward = createWard();
    ward.note(ward.watch.setDevice({ ...DEVICE, expected: [] }));
    await ward.pass(180, (second) => ward.say("heartRate", 70 + (second % 3), { deviceClockMs: 1_000_000 }));
    expect(ward.holding()).toEqual([]);
    await ward.pass(1, () => ward.say("heartRate", 71, { deviceClockMs: 1_000_000 }));
    expect(ward.holding()).toEqual(["fault.device-clock-frozen/monitor-1"]);
    ward.say("heartRate", 72, { deviceClockMs: 1_001_000 });
    expect(ward.holding()).toEqual([]);
  });
});

describe("line 7: what is not measured mutes a real patient", () => {
  for (const origin of ["test", "simulated", "replayed"] as const satisfies readonly Origin[]) {
    test(`${origin} data of a real patient raises nothing but the technical alert, after 60 s`, async () => {
      const ward = createWard();
      ward.note(ward.watch.setDevice(DEVICE));
      const speak = () => {
        ward.say("oxygenSaturation", 60, { quality: { origin } });
        ward.note(
          ward.watch.deviceAlarm(
            MONITOR,
            { code: "apnoea", nature: "physiological", priority: "high", active: true, text: "APNEA" },
            origin,
          ),
        );
      };
      await ward.pass(60, speak);
      expect(ward.holding()).toEqual([]);
      await ward.pass(1, speak);
      expect(ward.holding()).toEqual(["not-measured/monitor-1"]);
      await ward.pass(200, speak);
      expect(ward.raised()).toEqual(["not-measured"]);
      ward.say("oxygenSaturation", 97);
      expect(ward.holding()).toEqual([]);
    });
    test(`${origin} data of a demonstration raises its alerts, and each carries its origin`, async () => {
      const ward = createWard({ demonstration: true });
      ward.note(ward.watch.setDevice(DEVICE));
      await ward.pass(12, () => ward.say("oxygenSaturation", 60, { quality: { origin } }));
      expect(ward.log.map(({ change }) => change)).toMatchObject([
        { kind: "raised", condition: { rule: "limit.oxygenSaturation.low", origin } },
      ]);
    });
  }
  test("a quantity nobody expects that comes untrusted for 60 s is told, because a limit counts on it", async () => {
    const ward = createWard();
    ward.note(ward.watch.setDevice({ ...DEVICE, expected: [] }));
    const speak = (second: number) =>
      void ward.say("heartRate", 80 + (second % 2), { quality: { validity: "questionable", flags: ["weak-signal"] } });
    await ward.pass(60, speak);
    expect(ward.holding()).toEqual([]);
    await ward.pass(1, speak);
    expect(ward.holding()).toEqual(["silence.heartRate/anna"]);
  });
});

describe("a device's own alarms", () => {
  const apnoea = { code: "apnoea", nature: "physiological", priority: "high", active: true, text: "APNEA" } as const;
  test("are passed on at once with the device's urgency, and end when it says so", () => {
    const ward = createWard();
    ward.note(ward.watch.setDevice(DEVICE));
    ward.note(ward.watch.deviceAlarm(MONITOR, apnoea, "measured"));
    expect(ward.log[0]?.change).toMatchObject({
      kind: "raised",
      condition: { nature: "physiological", priority: "high", subject: { patientId: "anna" } },
    });
    ward.note(ward.watch.deviceAlarm(MONITOR, { ...apnoea, active: false }, "measured"));
    expect(ward.holding()).toEqual([]);
  });
  test("do not end because the device falls silent", async () => {
    const ward = createWard();
    ward.note(ward.watch.setDevice(DEVICE));
    ward.note(ward.watch.deviceAlarm(MONITOR, apnoea, "measured"));
    await ward.pass(100);
    expect(ward.holding()).toEqual(["device-alarm.apnoea/monitor-1", SILENT]);
  });
});
