import { describe, expect, onTestFinished, test } from "vitest";
import { mqttZigbee2mqtt } from "../drivers/mqtt/zigbee2mqtt.ts";
import { decodeCommand } from "../src/commands/decode.ts";
import { deviceId } from "../src/core/ids.ts";
import { absent, present } from "../src/core/observation.ts";
import type { Emission, PatientBody } from "../src/core/ports.ts";
import { QUANTITIES } from "../src/core/quantities.ts";
import { monotonicMs, wallMs } from "../src/core/time.ts";
import { createDeviceIntake } from "../src/intake/device-intake.ts";
import { collectingIo } from "./support/collecting-io.ts";
import { seededBody } from "./support/seeded-body.ts";
import { type SmallWard, startSmallWard } from "./support/small-ward.ts";

const AT = monotonicMs(0);

type Options = Readonly<Record<string, string>>;

function bytesOf(message: unknown): Uint8Array {
  return new TextEncoder().encode(typeof message === "string" ? message : JSON.stringify(message));
}

/** What a session makes of one message of a device that is called `hall/door`. */
function hear(message: unknown, topic = "zigbee2mqtt/hall/door", options: Options = {}): readonly Emission[] {
  expect(mqttZigbee2mqtt.checkOptions?.(options)).toEqual([]);
  return mqttZigbee2mqtt.open(options).feed(bytesOf(message), topic, AT);
}

function messagesIn(emissions: readonly Emission[]) {
  return emissions.flatMap((emission) => (emission.kind === "message" ? [emission] : []));
}

function readings(emissions: readonly Emission[]): readonly string[] {
  return messagesIn(emissions).flatMap((message) =>
    message.readings.map((reading) =>
      reading.kind === "present" ? `${reading.quantity} ${reading.value}` : `${reading.quantity}: ${reading.why}`,
    ),
  );
}

function alarms(emissions: readonly Emission[]): readonly string[] {
  return messagesIn(emissions).flatMap((message) => message.alarms.map(({ code, active }) => `${code} ${active ? "on" : "off"}`));
}

function refused(emissions: readonly Emission[]): readonly string[] {
  return emissions.flatMap((emission) =>
    emission.kind === "message" ? [] : [emission.error.kind === "bad-field" ? emission.error.field : emission.error.kind],
  );
}

describe("the state of a device", () => {
  test("every truth has its two sides, and a contact that is made is a closed door", () => {
    const truths = ["occupancy", "presence", "contact", "vibration", "water_leak", "smoke", "gas", "carbon_monoxide", "tamper"];
    const given = (value: boolean) => Object.fromEntries(truths.map((key) => [key, value]));
    const names = [
      "motion",
      "presence",
      "opening",
      "vibration",
      "waterLeak",
      "smoke",
      "combustibleGas",
      "carbonMonoxide",
      "tampering",
    ];
    expect(readings(hear(given(true)))).toEqual(names.map((name) => `${name} ${name === "opening" ? 0 : 1}`));
    expect(readings(hear(given(false)))).toEqual(names.map((name) => `${name} ${name === "opening" ? 1 : 0}`));
  });

  test("amounts keep their number, also below zero and at zero", () => {
    const emissions = hear({ battery: 0, temperature: -12.5, humidity: 44.7, illuminance: 381 });
    expect(readings(emissions)).toEqual([
      "batteryLevel 0",
      "ambientTemperature -12.5",
      "relativeHumidity 44.7",
      "illuminance 381",
    ]);
  });

  test("of two keys for the same only the better one counts", () => {
    expect(readings(hear({ illuminance: 21000, illuminance_lux: 120 }))).toEqual(["illuminance 120"]);
    expect(readings(hear({ occupancy: false, motion_state: "large" }))).toEqual(["motion 0"]);
    for (const [state, moves] of [
      ["large", 1],
      ["small", 1],
      ["static", 0],
      ["none", 0],
    ] as const)
      expect(readings(hear({ presence: true, motion_state: state }))).toEqual(["presence 1", `motion ${moves}`]);
    expect(readings(hear({ presence: true, motion_state: "dancing" }))).toEqual(["presence 1"]);
  });

  test("what is not known is an absence, what is not said is nothing", () => {
    expect(readings(hear({ occupancy: null, battery: null, temperature: 21 }))).toEqual([
      "motion: not-available",
      "batteryLevel: not-available",
      "ambientTemperature 21",
    ]);
    expect(readings(hear({ linkquality: 77, update: { state: "idle" }, led: "ON" }))).toEqual([]);
  });

  test.each([
    ["occupancy", "true"],
    ["occupancy", 1],
    ["contact", "ON"],
    ["battery", "97"],
    ["battery", true],
    ["temperature", [21]],
    ["smoke", 0],
    ["battery_low", "no"],
    ["fall_down_status", "tumbled"],
    ["fall_down_status", true],
    ["sos", 1],
    ["action", 5],
    ["action", { kind: "emergency" }],
    ["linkquality", "good"],
    ["voltage", "3 V"],
    ["motion_state", 2],
  ])("%s of %j is refused by its name, and what stands beside it is read", (key, value) => {
    const emissions = hear({ humidity: 51, [key]: value });
    expect(refused(emissions)).toEqual([key]);
    expect(readings(emissions)).toEqual(["relativeHumidity 51"]);
    expect(alarms(emissions)).toEqual([]);
  });

  test.each(["[]", "5", "null", '"online"', "{", "{'a':1}", '{"occupancy":true,"occupancy":false}'])("%s is no state", (text) => {
    expect(refused(hear(text))).toEqual(["$"]);
    expect(messagesIn(hear(text))).toEqual([]);
  });

  test("quality of the radio and voltage are kept as the device's state, no quantities", () => {
    const [message] = messagesIn(hear({ occupancy: true, linkquality: 112, voltage: 2990 }));
    expect(message?.events).toEqual([{ code: "device-state", facts: { linkQuality: 112, batteryMillivolts: 2990 } }]);
  });
});

describe("alarms", () => {
  test("hold with every message that says so and end with the one that denies it", () => {
    const session = mqttZigbee2mqtt.open({});
    const say = (message: unknown) => alarms(session.feed(bytesOf(message), "zigbee2mqtt/hall", AT));
    expect(say({ smoke: true, battery_low: true })).toEqual(["smoke on", "low-battery on"]);
    expect(say({ smoke: true, battery_low: true })).toEqual(["smoke on", "low-battery on"]);
    expect(say({ battery: 12 })).toEqual([]);
    expect(say({ smoke: null })).toEqual([]);
    expect(say({ smoke: false, battery_low: true })).toEqual(["smoke off", "low-battery on"]);
  });

  test("what threatens the person is the person's and high, what is work for the day is technical and low", () => {
    const all = {
      smoke: true,
      gas: true,
      carbon_monoxide: true,
      water_leak: true,
      tamper: true,
      battery_low: true,
      fall_down_status: "fall",
    };
    const [message] = messagesIn(hear(all));
    expect(
      message?.alarms.filter(({ active }) => active).map(({ code, nature, priority }) => `${code} ${nature} ${priority}`),
    ).toEqual([
      "smoke physiological high",
      "gas physiological high",
      "carbon-monoxide physiological high",
      "water-leak technical medium",
      "tamper technical low",
      "low-battery technical low",
      "fall physiological high",
    ]);
  });

  test("a fall and a possible one are two alarms, and each ends when the radar says something else", () => {
    expect(alarms(hear({ fall_down_status: "maybe_fall" }))).toEqual(["fall off", "possible-fall on"]);
    expect(alarms(hear({ fall_down_status: "fall" }))).toEqual(["fall on", "possible-fall off"]);
    expect(alarms(hear({ fall_down_status: "none" }))).toEqual(["fall off", "possible-fall off"]);
    expect(alarms(hear({ fall_down_status: null }))).toEqual([]);
    const [message] = messagesIn(hear({ fall_down_status: "maybe_fall" }));
    expect(message?.alarms[1]).toMatchObject({ nature: "physiological", priority: "medium" });
  });
});

describe("a call for help", () => {
  test.each(["emergency", "sos", "panic", "fire", "help"])("the action %s calls", (action) => {
    const [message] = messagesIn(hear({ action, battery: 88 }));
    expect(message?.alarms).toEqual([
      { code: "sos", nature: "physiological", priority: "high", active: true, once: true, text: `SOS (${action})` },
    ]);
  });

  test("is never ended by the driver, whatever the button says later", () => {
    const session = mqttZigbee2mqtt.open({});
    const say = (message: unknown) => alarms(session.feed(bytesOf(message), "zigbee2mqtt/sos", AT));
    expect(say({ action: "emergency", battery: 88 })).toEqual(["sos on"]);
    for (const later of [
      { action: "" },
      { action: null },
      { battery: 87 },
      { action: "single" },
      { sos: false },
      { battery_low: false },
    ])
      expect(say(later).filter((alarm) => alarm.startsWith("sos"))).toEqual([]);
    expect(say({ action: "emergency" })).toEqual(["sos on"]);
  });

  test("sos true calls each time it is said, for buttons that never say false in between", () => {
    const session = mqttZigbee2mqtt.open({});
    const say = (message: unknown) => alarms(session.feed(bytesOf(message), "zigbee2mqtt/sos", AT));
    expect([say({ sos: true }), say({ sos: true }), say({ sos: false }), say({ sos: null })]).toEqual([
      ["sos on"],
      ["sos on"],
      [],
      [],
    ]);
    expect(say({ sos: true, action: "emergency" })).toEqual(["sos on"]);
  });

  test("other actions are kept as the device's words, and call where the option says so", () => {
    expect(messagesIn(hear({ action: "" }))).toMatchObject([{ alarms: [], events: [] }]);
    const [plain] = messagesIn(hear({ action: "single" }));
    expect(plain).toMatchObject({ alarms: [], events: [{ code: "device-text", facts: { action: "single" } }] });
    for (const sosActions of ["single,double", " double , single", '["double","single"]'])
      expect(alarms(hear({ action: "single" }, "zigbee2mqtt/b", { sosActions })), sosActions).toEqual(["sos on"]);
    expect(alarms(hear({ action: "emergency" }, "zigbee2mqtt/b", { sosActions: "single" }))).toEqual([]);
    expect(alarms(hear({ action: "Emergency" }))).toEqual([]);
  });
});

describe("topics", () => {
  test("availability and the bridge's state are alarms that hold as long as they are kept, and no sign of life of the device", () => {
    for (const [topic, code] of [
      ["zigbee2mqtt/hall/door/availability", "device-offline"],
      ["zigbee2mqtt/bridge/state", "bridge-offline"],
    ] as const) {
      for (const offline of ["offline", { state: "offline" }, '"offline"']) {
        const [message] = messagesIn(hear(offline, topic));
        expect(message).toMatchObject({
          byOther: true,
          readings: [],
          alarms: [{ code, nature: "technical", priority: "medium", active: true, standing: true }],
        });
      }
      expect(alarms(hear({ state: "online" }, topic))).toEqual([`${code} off`]);
      expect(alarms(hear("online", topic))).toEqual([`${code} off`]);
      expect(refused(hear({ state: "asleep" }, topic))).toEqual(["state"]);
      expect(refused(hear({}, topic))).toEqual(["state"]);
      expect(refused(hear("{", topic))).toEqual(["$"]);
      expect(refused(hear("", topic))).toEqual(["no-frame"]);
    }
  });

  test("a state that is called availability inside is a state", () => {
    expect(readings(hear({ occupancy: true }, "zigbee2mqtt/availability/hall"))).toEqual(["motion 1"]);
  });

  test("what is said to devices, and by the bridge of others, is not this device", () => {
    for (const topic of [
      "zigbee2mqtt/hall/door/set",
      "zigbee2mqtt/hall/door/get",
      "zigbee2mqtt/bridge/devices",
      "zigbee2mqtt/bridge/logging",
    ])
      expect(hear({ smoke: true }, topic)).toEqual([]);
  });

  test("any base will do, unless an option names the only one", () => {
    for (const options of [{}, { base: "home/zigbee" }]) {
      expect(readings(hear({ occupancy: true }, "home/zigbee/hall", options))).toEqual(["motion 1"]);
      expect(alarms(hear("offline", "home/zigbee/bridge/state", options))).toEqual(["bridge-offline on"]);
      expect(alarms(hear("offline", "home/zigbee/hall/availability", options))).toEqual(["device-offline on"]);
      expect(hear({ smoke: true }, "home/zigbee/bridge/devices", options)).toEqual([]);
    }
    for (const topic of ["zigbee2mqtt/hall", "home/zigbee2/hall", "home/zigbee", "home"])
      expect(refused(hear({ occupancy: true }, topic, { base: "home/zigbee" }))).toEqual(["topic"]);
    expect(readings(hear({ occupancy: true }, "home/zigbee/bridge/hall"))).toEqual(["motion 1"]);
  });

  test.each<[Options, string]>([
    [{ base: "" }, "base"],
    [{ base: "z2m/#" }, "base"],
    [{ base: "+/z2m" }, "base"],
    [{ base: "z2m/" }, "base"],
    [{ base: "/z2m" }, "base"],
    [{ invertContact: "yes" }, "invertContact"],
    [{ sosActions: "" }, "sosActions"],
    [{ sosActions: "single,,double" }, "sosActions"],
    [{ sosActions: "[1]" }, "sosActions"],
    [{ sosActions: '["single"' }, "sosActions"],
    [{ twin: "cat" }, "twin"],
  ])("the option %j will not do", (options, option) => {
    const problems = mqttZigbee2mqtt.checkOptions?.(options) ?? [];
    expect(problems.map((problem) => problem.option)).toEqual([option]);
    for (const { problem, remedy } of problems)
      expect([problem.zh, remedy.zh].every((text) => /\p{Script=Han}/u.test(text))).toBe(true);
  });

  test("what is wrong with several options is told at once", () => {
    expect(mqttZigbee2mqtt.checkOptions?.({ base: "#", invertContact: "1", sosActions: ",", twin: "x" })).toHaveLength(4);
  });
});

describe("last_seen", () => {
  test.each<[unknown, number]>([
    ["2026-04-17T23:33:22+08:00", Date.UTC(2026, 3, 17, 15, 33, 22)],
    ["2026-04-17T15:33:22.123Z", Date.UTC(2026, 3, 17, 15, 33, 22, 123)],
    [1776439999123, 1776439999123],
  ])("%j dates the state, which may be one that the bridge had kept", (lastSeen, wanted) => {
    const emissions = hear({ contact: false, last_seen: lastSeen });
    expect(messagesIn(emissions)).toMatchObject([{ deviceClockMs: wanted, mayBeStored: true }]);
  });

  test("alarms wait for no clock: they are said as of now", () => {
    const [state, said] = messagesIn(hear({ smoke: true, last_seen: "2020-01-01T00:00:00Z" }));
    expect(state).toMatchObject({ alarms: [], mayBeStored: true });
    expect(said).toMatchObject({ readings: [], alarms: [{ code: "smoke", active: true }], deviceClockMs: null });
    expect(said?.mayBeStored).toBeUndefined();
  });

  test("without it, or with one that cannot be read, the state is of now", () => {
    for (const message of [{ contact: true }, { contact: true, last_seen: null }, { contact: true, last_seen: "yesterday" }]) {
      const [state] = messagesIn(hear(message));
      expect(state?.deviceClockMs).toBeNull();
      expect(state?.mayBeStored).toBeUndefined();
    }
    expect(refused(hear({ contact: true, last_seen: "yesterday" }))).toEqual(["last_seen"]);
  });
});

describe("what intake makes of it", () => {
  const START = wallMs(Date.UTC(2026, 10, 22, 8));

  function openIntake() {
    const intake = createDeviceIntake({
      deviceId: deviceId("sensor"),
      driver: mqttZigbee2mqtt,
      driverOptions: {},
      origin: "measured",
      patientOf: () => null,
    });
    return (message: unknown, more: { kept?: boolean; topic?: string } = {}) =>
      intake.feed({
        bytes: bytesOf(message),
        channel: more.topic ?? "zigbee2mqtt/sensor",
        receivedAtMs: START,
        receivedMonotonicMs: monotonicMs(0),
        ...(more.kept === true ? { kept: true } : {}),
      });
  }

  test("a state that the bridge repeats at its start is late, a fire in it is an alarm all the same", () => {
    const judged = openIntake()({ occupancy: true, smoke: true, last_seen: new Date(START - 86_400_000).toISOString() });
    expect(judged.observations.map(({ quality }) => quality.flags.includes("late"))).toEqual([true, true]);
    expect(judged.alarms.map(({ alarm }) => alarm.code)).toEqual(["smoke"]);
  });

  test("a button whose bridge has a wrong clock is heard at its first press", () => {
    const judged = openIntake()({ action: "emergency", last_seen: "2026-11-22T09:30:00Z" });
    expect(judged.alarms.map(({ alarm }) => alarm.code)).toEqual(["sos"]);
  });

  test("a smoke that is still there is an alarm with the next message, though a kept one had said it before", () => {
    const feed = openIntake();
    expect(feed({ smoke: true }, { kept: true }).alarms).toEqual([]);
    expect(feed({ smoke: true }).alarms).toHaveLength(1);
  });
});

describe("in a whole gateway", () => {
  async function startWard(): Promise<SmallWard> {
    const ward = await startSmallWard({ driver: mqttZigbee2mqtt });
    onTestFinished(() => ward.gateway.stop());
    ward.link("monitor-1").up();
    await ward.admit(1);
    await ward.clock.advance(1000);
    return ward;
  }

  async function say(ward: SmallWard, message: unknown): Promise<void> {
    ward.link("monitor-1").send(bytesOf(message));
    await ward.clock.advance(6000);
  }

  const open = (ward: SmallWard) =>
    ward.gateway.openAlerts().map(({ rule, priority, nature }) => `${rule} ${priority} ${nature}`);

  test("a call is an alert within its second, and no later message of the button ends it", async () => {
    const ward = await startWard();
    ward.link("monitor-1").send(bytesOf({ action: "emergency", battery: 88 }));
    await ward.clock.advance(1);
    expect(open(ward)).toEqual(["device-alarm.sos high physiological"]);
    for (const later of [{ action: "" }, { battery: 87 }, { sos: false }, { battery_low: false }]) await say(ward, later);
    expect(open(ward)).toEqual(["device-alarm.sos high physiological"]);
  });

  test("smoke is an alert as long as there is smoke", async () => {
    const ward = await startWard();
    await say(ward, { smoke: true });
    await say(ward, { battery: 60 });
    expect(open(ward)).toEqual(["device-alarm.smoke high physiological"]);
    await say(ward, { smoke: false });
    expect(open(ward)).toEqual([]);
  });
});

describe("the twins", () => {
  function stateAt(body: PatientBody, options: Options, atMs: number): unknown {
    const twin = mqttZigbee2mqtt.twin(body, options);
    const sent = twin.due(atMs).bytesToSend.at(-1);
    return JSON.parse(new TextDecoder().decode(sent?.bytes));
  }

  const opened: PatientBody = {
    ...seededBody(1),
    quantity: (name) => (name === "opening" ? present(name, 1, "1") : seededBody(1).quantity(name, 0)),
  };

  test("of motion and of a door send what such sensors send", () => {
    expect(stateAt(seededBody(1), {}, 0)).toEqual({
      occupancy: expect.any(Boolean),
      illuminance: expect.any(Number),
      temperature: expect.any(Number),
      humidity: expect.any(Number),
      battery: expect.any(Number),
      linkquality: 112,
      last_seen: expect.any(String),
    });
    expect(stateAt(opened, { twin: "contact" }, 0)).toMatchObject({ contact: false });
    expect(stateAt(opened, { twin: "contact", invertContact: "true" }, 0)).toMatchObject({ contact: true });
    expect(
      stateAt(
        seededBody(1, (name) => absent(name, "not-available")),
        {},
        0,
      ),
    ).toMatchObject({ occupancy: null, battery: null });
  });

  test("of a button is pressed now and then, with the first action that calls", () => {
    const pressed = [0, 60_000, 120_000, 180_000, 240_000, 300_000].map((atMs) => stateAt(opened, { twin: "sos" }, atMs));
    expect(pressed.map((state) => (state as { action: unknown }).action)).toEqual([
      "emergency",
      null,
      null,
      null,
      null,
      "emergency",
    ]);
    expect(stateAt(opened, { twin: "sos", sosActions: "hold, double" }, 0)).toMatchObject({ action: "hold" });
  });

  test("their messages come back through a session with the same options", () => {
    const options = { twin: "contact", invertContact: "true", base: "home/z" };
    for (const { bytes, channel } of mqttZigbee2mqtt.twin(opened, options).due(120_000).bytesToSend) {
      expect(channel).toBe("home/z/%d");
      expect(readings(mqttZigbee2mqtt.open(options).feed(bytes, channel, AT))).toContain("opening 1");
    }
  });
});

test("every quantity it may say has a unit that intake takes", () => {
  for (const name of mqttZigbee2mqtt.quantities)
    expect(QUANTITIES[name].states !== undefined || QUANTITIES[name].unit !== "1").toBe(true);
});

test("decode takes a topic and a text as it is", async () => {
  const io = collectingIo([]);
  const exitCode = await decodeCommand.run(
    ["mqtt-zigbee2mqtt", "--channel", "zigbee2mqtt/a/b", "--text", '{"contact":false}'],
    io,
  );
  expect(exitCode).toBe(0);
  expect(JSON.parse(io.out[0] ?? "")).toMatchObject({ ok: true, readings: [{ quantity: "opening", value: 1 }] });
});
