import { describe, expect, test } from "vitest";
import { deviceId, patientId, seq } from "../src/core/ids.ts";
import { absent, type Observation, present, type Reading } from "../src/core/observation.ts";
import type { Driver, Emission } from "../src/core/ports.ts";
import { monotonicMs, wallMs } from "../src/core/time.ts";
import { canonicalValue } from "../src/core/unit.ts";
import { createDeviceIntake, type DeviceIntake } from "../src/intake/device-intake.ts";

const message = (readings: readonly Reading[], more: Partial<Extract<Emission, { kind: "message" }>> = {}): Emission => ({
  kind: "message",
  readings,
  waveforms: [],
  alarms: [],
  events: [],
  deviceClockMs: null,
  origin: "device",
  ...more,
});

/** A driver whose next emissions are scripted: what is tried here is intake, not a device. */
function scriptedDriver(script: (readonly Emission[] | Error)[]): Driver {
  return {
    id: "scripted",
    version: "1.0.0",
    title: { en: "scripted", zh: "脚本" },
    reference: [],
    link: { kind: "serial", line: { baudRate: 9600, dataBits: 8, parity: "none", stopBits: 1, handshake: "none" } },
    quantities: [],
    waveforms: [],
    expected: [],
    silenceSeconds: 3,
    stuckSeconds: {},
    optionNames: [],
    checksummed: false,
    open: () => ({
      feed: () => {
        const next = script.shift() ?? [];
        if (next instanceof Error) throw next;
        return next;
      },
      due: () => ({ bytesToSend: [], nextDueMs: null }),
    }),
    encode: null,
    twin: () => ({ due: () => ({ bytesToSend: [], nextDueMs: 0 }), receive: () => {} }),
    vectors: [],
  };
}

function intakeOf(script: (readonly Emission[] | Error)[], origin: "measured" | "simulated" = "measured"): DeviceIntake {
  return createDeviceIntake({
    deviceId: deviceId("monitor-1"),
    driver: scriptedDriver(script),
    driverOptions: {},
    origin,
    patientOf: () => patientId("p-7"),
  });
}

const feedAt = (intake: DeviceIntake, atMs = 5_000) =>
  intake.feed({
    bytes: new Uint8Array([1]),
    channel: "",
    receivedAtMs: wallMs(1_700_000_000_000 + atMs),
    receivedMonotonicMs: monotonicMs(atMs),
  });

describe("intake", () => {
  test.each([
    ["systolicPressure", 16, "kPa", 120.01],
    ["bodyTemperature", 98.6, "[degF]", 37],
    ["bloodGlucose", 100, "mg/dL", 5.551],
    ["bodyWeight", 150, "[lb_av]", 68.039],
    ["oxygenSaturation", 0.97, "1", 97],
    ["heartRate", 71, "/min", 71],
  ] as const)("%s of %d %s becomes %d in the canonical unit", (quantity, given, unit, canonical) => {
    expect(canonicalValue(quantity, given, unit)).toBeCloseTo(canonical, 2);
  });

  test("a unit without a known conversion is refused, not passed on as if it were canonical", () => {
    expect(canonicalValue("heartRate", 71, "Hz")).toBeNull();
  });

  test.each([
    ["oxygenSaturation", 100, true],
    ["oxygenSaturation", 101, false],
    ["oxygenSaturation", 1, true],
    ["oxygenSaturation", 0, false],
    ["heartRate", 350, true],
    ["heartRate", 351, false],
    ["bodyTemperature", 45, true],
    ["bodyTemperature", 45.1, false],
    ["bodyTemperature", 127.99, false],
    ["heartRate", Number.NaN, false],
  ] as const)("%s %d: possible is %s", (quantity, value, possible) => {
    const unit = { oxygenSaturation: "%", heartRate: "/min", bodyTemperature: "Cel" }[quantity];
    const [observation] = feedAt(intakeOf([[message([present(quantity, value, unit)])]])).observations;
    if (possible) expect(observation?.content).toEqual({ state: "present", value });
    else {
      expect(observation?.content).toEqual({ state: "absent", why: "impossible" });
      expect(observation?.quality).toMatchObject({ validity: "invalid", flags: ["impossible"] });
    }
  });

  test("an absence stays an absence with its reason, never a number", () => {
    const [observation] = feedAt(intakeOf([[message([absent("oxygenSaturation", "sensor-off")])]])).observations;
    expect(observation?.content).toEqual({ state: "absent", why: "sensor-off" });
    expect(observation?.quality.validity).toBe("valid");
  });

  test("the four times stay apart, and a device that says it tests is never measured", () => {
    const deviceClockMs = wallMs(946_684_800_000);
    const [observation] = feedAt(
      intakeOf([[message([present("heartRate", 71, "/min")], { deviceClockMs, origin: "test" })]]),
      9_000,
    ).observations;
    expect(observation?.times).toEqual({
      measuredAtMs: 1_700_000_009_000,
      deviceClockMs,
      receivedAtMs: 1_700_000_009_000,
      receivedMonotonicMs: 9_000,
    });
    expect(observation?.quality.origin).toBe("test");
    expect(observation?.patientId).toBe("p-7");
  });

  test("a questionable flag makes the observation questionable", () => {
    const [one, two] = feedAt(
      intakeOf([[message([present("oxygenSaturation", 93, "%", { flags: ["motion"] }), present("pulseRate", 71, "/min")])]]),
    ).observations;
    expect([one?.quality.validity, two?.quality.validity]).toEqual(["questionable", "valid"]);
  });

  test("a cuff's result that the monitor repeats every second is taken once, and its time is marked unknown the first time", () => {
    const cuff = (systolic: number) => [
      message([
        present("systolicPressure", systolic, "mm[Hg]", { held: true }),
        present("diastolicPressure", 75, "mm[Hg]", { held: true }),
        present("heartRate", 80, "/min"),
      ]),
    ];
    const intake = intakeOf([cuff(121), cuff(121), cuff(118)]);
    const quantities = [1, 2, 3].map((second) =>
      feedAt(intake, second * 1000).observations.map((observation) => [observation.quantity, observation.quality.flags.length]),
    );
    expect(quantities).toEqual([
      [
        ["systolicPressure", 1],
        ["diastolicPressure", 1],
        ["heartRate", 0],
      ],
      [["heartRate", 0]],
      [
        ["systolicPressure", 0],
        ["diastolicPressure", 0],
        ["heartRate", 0],
      ],
    ]);
  });

  test("after a restart the repeated cuff result is still the old one", () => {
    const intake = intakeOf([[message([present("systolicPressure", 16, "kPa", { held: true })])]]);
    intake.restoreHeld([
      {
        kind: "observation",
        seq: seq(3),
        quantity: "systolicPressure",
        content: { state: "present", value: 120.01 },
        quality: { validity: "valid", flags: [], origin: "measured" },
      } as unknown as Observation,
    ]);
    expect(feedAt(intake).observations).toEqual([]);
  });

  test("a driver that throws is quarantined with its fault, once, and stays silent", () => {
    const intake = intakeOf([new Error("index out of range"), [message([present("heartRate", 71, "/min")])]]);
    expect(feedAt(intake).quarantined).toEqual({
      code: "device-quarantined",
      facts: { device: "monitor-1", driver: "scripted", version: "1.0.0", why: "index out of range" },
    });
    intake.begin();
    expect(feedAt(intake)).toMatchObject({ observations: [], quarantined: null, heard: false });
    expect(intake.isQuarantined()).toBe(true);
  });

  test("a driver that throws when it is asked what to send is quarantined as well", () => {
    const driver = scriptedDriver([]);
    const intake = createDeviceIntake({
      deviceId: deviceId("monitor-1"),
      driver: {
        ...driver,
        open: () => ({
          ...driver.open({}),
          due: () => {
            throw new Error("no state");
          },
        }),
      },
      driverOptions: {},
      origin: "measured",
      patientOf: () => null,
    });
    expect(intake.due(monotonicMs(1)).quarantined?.facts["why"]).toBe("no state");
    expect(intake.due(monotonicMs(2))).toEqual({ bytesToSend: [], nextDueMs: null, quarantined: null });
  });

  test("a unit the gateway does not know quarantines the device instead of guessing", () => {
    expect(feedAt(intakeOf([[message([present("heartRate", 71, "furlong")])]])).quarantined?.code).toBe("device-quarantined");
  });

  test("refused bytes do not count as having heard the device", () => {
    const judged = feedAt(intakeOf([[{ kind: "refusal", error: { kind: "lost-sync", skippedBytes: 9 } }]]));
    expect([judged.heard, judged.refusals.length]).toEqual([false, 1]);
  });
});
