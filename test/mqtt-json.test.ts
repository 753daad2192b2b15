import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { parseConfig } from "../config/load.ts";
import { findDriver, optionTexts } from "../drivers/index.ts";
import { mqttJson } from "../drivers/mqtt/json.ts";
import { ABSENCES, DEVICE_FLAGS } from "../drivers/mqtt/json-options.ts";
import { formatJsonPath, parseJsonPath, valueAt, withValueAt } from "../drivers/mqtt/json-path.ts";
import { type Json, parseStrictJson } from "../drivers/mqtt/json-text.ts";
import { createTimeFormat } from "../drivers/mqtt/json-time.ts";
import { mqttZigbee2mqtt } from "../drivers/mqtt/zigbee2mqtt.ts";
import { decodeCommand } from "../src/commands/decode.ts";
import { encodeCommand } from "../src/commands/encode.ts";
import { deviceId } from "../src/core/ids.ts";
import { LIMITS } from "../src/core/limits.ts";
import { absent } from "../src/core/observation.ts";
import type { Emission } from "../src/core/ports.ts";
import { QUANTITIES } from "../src/core/quantities.ts";
import { monotonicMs, wallMs } from "../src/core/time.ts";
import { isTopicFilter, topicMatches } from "../src/core/topic-filter.ts";
import { createDeviceIntake } from "../src/intake/device-intake.ts";
import { collectingIo } from "./support/collecting-io.ts";
import { seededBody } from "./support/seeded-body.ts";
import { type SeededRandom, seededRandom } from "./support/seeded-random.ts";

const AT = monotonicMs(0);

type Given = Readonly<Record<string, unknown>>;

/** What a session with these options makes of one message; a text is sent as UTF-8, anything else as JSON. */
function hear(options: Given, message: unknown, topic = "devices/w1/vitals"): readonly Emission[] {
  const bytes =
    message instanceof Uint8Array
      ? message
      : new TextEncoder().encode(typeof message === "string" ? message : JSON.stringify(message));
  const texts = optionTexts(options);
  expect(mqttJson.checkOptions?.(texts)).toEqual([]);
  return mqttJson.open(texts).feed(bytes, topic, AT);
}

/** The readings as short texts: `heartRate 72 /min`, `oxygenSaturation: sensor-off`. */
function readings(emissions: readonly Emission[]): readonly string[] {
  return emissions.flatMap((emission) =>
    emission.kind === "refusal"
      ? []
      : emission.readings.map((reading) =>
          reading.kind === "present"
            ? [reading.quantity, reading.value, reading.unit, ...reading.flags].join(" ")
            : `${reading.quantity}: ${reading.why}`,
        ),
  );
}

function alarms(emissions: readonly Emission[]): readonly string[] {
  return emissions.flatMap((emission) =>
    emission.kind === "refusal" ? [] : emission.alarms.map(({ code, active }) => `${code} ${active ? "on" : "off"}`),
  );
}

/** The fields that were refused. */
function refused(emissions: readonly Emission[]): readonly string[] {
  return emissions.flatMap((emission) =>
    emission.kind === "message" ? [] : [emission.error.kind === "bad-field" ? emission.error.field : emission.error.kind],
  );
}

function messagesIn(emissions: readonly Emission[]) {
  return emissions.flatMap((emission) => (emission.kind === "message" ? [emission] : []));
}

const HR = { mapping: { heartRate: "$.hr" } };

/** A text of the signs that JSON is built of. */
function randomText(random: SeededRandom): string {
  const signs = ['"', "\\", "{", "}", "[", "]", ":", ",", " ", "a", "\n", "\u0000", "é", "心"];
  return Array.from(
    { length: random.whole({ min: 0, max: 6 }) },
    () => signs[random.whole({ min: 0, max: signs.length - 1 })],
  ).join("");
}

function randomJson(random: SeededRandom, levels: number): Json {
  const kind = random.whole({ min: 0, max: levels > 0 ? 5 : 3 });
  const list = () => Array.from({ length: random.whole({ min: 0, max: 4 }) }, () => randomJson(random, levels - 1));
  if (kind === 0) return random.whole({ min: -1000, max: 1000 }) / 8;
  if (kind === 1) return null;
  if (kind === 2) return random.fraction() < 0.5;
  if (kind === 3) return randomText(random);
  if (kind === 4) return list();
  return Object.fromEntries(list().map((value) => [randomText(random), value]));
}

describe("the value at a path", () => {
  test.each<[unknown, string | null]>([
    [72, "heartRate 72 /min"],
    [71.5, "heartRate 71.5 /min"],
    [0, "heartRate 0 /min"],
    [-3, "heartRate -3 /min"],
    ["72", "heartRate 72 /min"],
    ["-7.25", "heartRate -7.25 /min"],
    [null, "heartRate: not-available"],
    ["", "heartRate: not-available"],
    ["  ", "heartRate: not-available"],
    ["-", "heartRate: not-available"],
    ["--", "heartRate: not-available"],
    ["---", "heartRate: not-available"],
    ["NaN", "heartRate: not-available"],
    ["72 bpm", null],
    [" 72", null],
    ["1e3", null],
    ["0x48", null],
    ["7,2", null],
    ["Infinity", null],
    ["--7", null],
    [true, null],
    [false, null],
    [[72], null],
    [{ value: 72 }, null],
  ])("%j says %s", (value, wanted) => {
    const emissions = hear(HR, { hr: value });
    expect(readings(emissions)).toEqual(wanted === null ? [] : [wanted]);
    expect(refused(emissions)).toEqual(wanted === null ? ["$.hr"] : []);
  });

  test("a number too great to be one is refused, not a value", () => {
    const emissions = hear(HR, '{"hr":1e999}');
    expect(readings(emissions)).toEqual([]);
    expect(refused(emissions)).toEqual(["$.hr"]);
  });

  test("a quantity that is a state takes true and false, and the numbers 0 and 1", () => {
    const options = { mapping: { opening: "$.open", motion: "$.motion" } };
    expect(readings(hear(options, { open: true, motion: 0 }))).toEqual(["opening 1 1", "motion 0 1"]);
    expect(readings(hear(options, { open: false, motion: 1 }))).toEqual(["opening 0 1", "motion 1 1"]);
  });

  test("a message that lacks one key says nothing of that quantity, one that must have it says that there is none", () => {
    const options = { mapping: { heartRate: "$.hr", oxygenSaturation: { path: "$.spo2", required: true } } };
    expect(readings(hear(options, { hr: 61 }))).toEqual(["heartRate 61 /min", "oxygenSaturation: not-available"]);
    expect(readings(hear(options, { spo2: 94 }))).toEqual(["oxygenSaturation 94 %"]);
  });

  test("signs for no value are the device's own, with its reason, beside those of everybody", () => {
    const options = { mapping: { oxygenSaturation: { path: "$.s", absent: [0, 127, "off"], why: "sensor-off" } } };
    for (const sign of [0, 127, "0", "127", "off", null, "--"])
      expect(readings(hear(options, { s: sign })), String(sign)).toEqual(["oxygenSaturation: sensor-off"]);
    expect(readings(hear(options, { s: 126 }))).toEqual(["oxygenSaturation 126 %"]);
    expect(refused(hear(options, { s: "on" }))).toEqual(["$.s"]);
  });

  test("a number that the scale makes too great is refused", () => {
    expect(refused(hear({ mapping: { bodyWeight: { path: "$.w", scale: 1e9 } } }, { w: 1e300 }))).toEqual(["$.w"]);
    expect(readings(hear({ mapping: { bodyWeight: { path: "$.w", scale: 1e-9 } } }, { w: 7e10 }))).toEqual(["bodyWeight 70 kg"]);
  });

  test("scale and offset come before the unit, and leave no dust behind", () => {
    const options = {
      mapping: {
        bodyTemperature: { path: "$.t", scale: 0.1, unit: "°F" },
        systolicPressure: { path: "$.kpa", unit: "kPa" },
        bodyWeight: { path: "$.w", scale: 0.005, offset: -1 },
      },
    };
    expect(readings(hear(options, { t: 986, kpa: 16, w: 14600 }))).toEqual([
      "bodyTemperature 98.6 [degF]",
      "systolicPressure 16 kPa",
      "bodyWeight 72 kg",
    ]);
  });

  test("values are questioned by their own sign and by the message's, each with its flag", () => {
    const options = {
      mapping: {
        heartRate: { path: "$.hr", questionable: { path: "$.moving", equals: true, flag: "motion" } },
        oxygenSaturation: "$.s",
      },
      quality: [
        { path: "$.sqi", below: 50 },
        { path: "$.pi", below: 0.3, flag: "low-perfusion" },
      ],
    };
    expect(readings(hear(options, { hr: 80, s: 97, sqi: 50, pi: 0.3, moving: false }))).toEqual([
      "heartRate 80 /min",
      "oxygenSaturation 97 %",
    ]);
    expect(readings(hear(options, { hr: 80, s: 97, sqi: 49, pi: 0.29, moving: true }))).toEqual([
      "heartRate 80 /min motion device-questionable low-perfusion",
      "oxygenSaturation 97 % device-questionable low-perfusion",
    ]);
  });

  test("of alternatives the first that fits counts", () => {
    const kg = { path: "$.weight", when: { path: "$.unit", equals: "kg" } };
    const options = {
      mapping: { bodyWeight: [kg, { path: "$.weight", unit: "lb", when: { path: "$.unit", equals: ["lb", "lbs"] } }] },
    };
    expect(readings(hear(options, { weight: 72.4, unit: "kg" }))).toEqual(["bodyWeight 72.4 kg"]);
    expect(readings(hear(options, { weight: 160, unit: "lbs" }))).toEqual(["bodyWeight 160 [lb_av]"]);
    expect(readings(hear(options, { weight: 11, unit: "st" }))).toEqual([]);
    const both = { mapping: { heartRate: ["$.ecg", "$.pleth"] } };
    expect(readings(hear(both, { pleth: 66, ecg: 65 }))).toEqual(["heartRate 65 /min"]);
    expect(readings(hear(both, { pleth: 66 }))).toEqual(["heartRate 66 /min"]);
    expect(readings(hear(both, { pleth: 66, ecg: null })), "an absence is said, not passed over").toEqual([
      "heartRate: not-available",
    ]);
  });

  test("a topic of its own takes a quantity from nowhere else", () => {
    const options = {
      mapping: { heartRate: { path: "$.v", topic: "ward/+/hr" }, respiratoryRate: { path: "$.v", topic: "ward/+/resp" } },
    };
    expect(readings(hear(options, { v: 66 }, "ward/b1/hr"))).toEqual(["heartRate 66 /min"]);
    expect(readings(hear(options, { v: 15 }, "ward/b1/resp"))).toEqual(["respiratoryRate 15 /min"]);
    expect(refused(hear(options, { v: 15 }, "ward/b1/other"))).toEqual(["$"]);
  });

  test("a bare number is a message of its own", () => {
    expect(readings(hear({ mapping: { bodyTemperature: "$" } }, "36.7"))).toEqual(["bodyTemperature 36.7 Cel"]);
    expect(readings(hear({ mapping: { bodyTemperature: "$" } }, "null"))).toEqual(["bodyTemperature: not-available"]);
    expect(refused(hear({}, "36.7"))).toEqual(["$"]);
  });

  test("a monitor's last result that it repeats is held", () => {
    const [message] = messagesIn(hear({ mapping: { systolicPressure: { path: "$.sys", held: true } } }, { sys: 118 }));
    expect(message?.readings).toMatchObject([{ value: 118, held: true }]);
  });
});

describe("the sensor's contact", () => {
  const options = {
    mapping: { heartRate: "$.hr", oxygenSaturation: "$.s", batteryLevel: "$.b" },
    contact: { path: "$.finger", off: [0, "out"] },
  };

  test("a lifted finger is an absence of all it measures, whatever numbers stand beside it and also of keys that are missing", () => {
    for (const off of [0, "0", "out"])
      expect(readings(hear(options, { finger: off, hr: 72, b: 81 }))).toEqual([
        "heartRate: sensor-off",
        "oxygenSaturation: sensor-off",
        "batteryLevel 81 %",
      ]);
  });

  test("with the finger in, or not spoken of, the numbers count", () => {
    expect(readings(hear(options, { finger: 1, hr: 72 }))).toEqual(["heartRate 72 /min"]);
    expect(readings(hear(options, { hr: 73 }))).toEqual(["heartRate 73 /min"]);
  });

  test("it holds for messages without a mapping too", () => {
    const plain = { contact: { path: "$.worn", off: [false] } };
    expect(readings(hear(plain, { worn: false, heartRate: 0, batteryLevel: 44 }))).toEqual([
      "heartRate: sensor-off",
      "batteryLevel 44 %",
    ]);
  });
});

describe("the device's time", () => {
  const time = { path: "$.t", format: "unix-seconds" };

  test("dates the message, and may be old", () => {
    const [message] = messagesIn(hear({ ...HR, time }, { hr: 64, t: 1524448722 }));
    expect(message).toMatchObject({ deviceClockMs: 1524448722000, mayBeStored: true });
    expect(message?.stored).toBeUndefined();
  });

  test("a message that should be dated and is not is of unknown time, never of now", () => {
    for (const [undated, wrong] of [
      [{ hr: 64 }, []],
      [{ hr: 64, t: null }, []],
      [{ hr: 64, t: "soon" }, ["$.t"]],
    ] as const) {
      const emissions = hear({ ...HR, time }, undated);
      expect(messagesIn(emissions)[0]).toMatchObject({ deviceClockMs: null, stored: { atDeviceMs: null, deviceNowMs: null } });
      expect(refused(emissions)).toEqual(wrong);
    }
  });

  test("without a mapping `time` is read where there is one, and a message without it is of now", () => {
    const [dated] = messagesIn(hear({}, { heartRate: 64, time: "2026-11-22T08:00:00+08:00" }));
    expect(dated).toMatchObject({ deviceClockMs: Date.UTC(2026, 10, 22, 0), mayBeStored: true });
    const [now] = messagesIn(hear({}, { heartRate: 64 }));
    expect(now?.mayBeStored ?? now?.stored ?? now?.deviceClockMs).toBeNull();
  });

  test.each<[string, string, Json, number | null]>([
    ["iso", "Z", "2026-02-28T23:59:59Z", Date.UTC(2026, 1, 28, 23, 59, 59)],
    ["iso", "Z", "2026-02-28 23:59:59.250+0330", Date.UTC(2026, 1, 28, 20, 29, 59, 250)],
    ["iso", "+08:00", "2026-02-28T08:30", Date.UTC(2026, 1, 28, 0, 30)],
    ["iso", "+08:00", "2026-02-28T08:30:00Z", Date.UTC(2026, 1, 28, 8, 30)],
    ["iso", "Z", "2024-02-29T00:00:00Z", Date.UTC(2024, 1, 29)],
    ["iso", "Z", "2026-02-29T00:00:00Z", null],
    ["iso", "Z", "2026-13-01T00:00:00Z", null],
    ["iso", "Z", "2026-01-01T24:00:00Z", null],
    ["iso", "Z", "2026-01-01T00:60:00Z", null],
    ["iso", "Z", "2026-01-01", null],
    ["iso", "Z", "0001-01-01T00:00:00Z", -62135596800000],
    ["iso", "Z", 1767225600, null],
    ["unix-seconds", "Z", 1767225600.25, 1767225600250],
    ["unix-seconds", "Z", "1767225600", 1767225600000],
    ["unix-seconds", "Z", "soon", null],
    ["unix-seconds", "Z", 9e15, null],
    ["unix-milliseconds", "Z", 1767225600250, 1767225600250],
    ["unix-milliseconds", "Z", true, null],
    ["yyyy-MM-dd HH:mm:ss", "+08:00", "2026-03-04 05:06:07", Date.UTC(2026, 2, 3, 21, 6, 7)],
    ["yyyyMMddHHmmss", "Z", "20260304050607", Date.UTC(2026, 2, 4, 5, 6, 7)],
    ["dd.MM.yyyy HH:mm", "-05:30", "04.03.2026 05:06", Date.UTC(2026, 2, 4, 10, 36)],
    ["yyyy-MM-dd'T'HH:mm:ss.SSS'Z'", "Z", "2026-03-04T05:06:07.089Z", Date.UTC(2026, 2, 4, 5, 6, 7, 89)],
    ["dd.MM.yyyy HH:mm", "Z", "04-03-2026 05:06", null],
    ["yyyy-MM-dd HH:mm:ss", "Z", "2026-3-4 5:6:7", null],
  ])("in the format %s with the zone %s %j is %s", (format, zone, value, wanted) => {
    expect(mqttJson.checkOptions?.(optionTexts({ time: { path: "$.t", format, zone } }))).toEqual([]);
    const [message] = messagesIn(hear({ ...HR, time: { path: "$.t", format, zone } }, { hr: 70, t: value }));
    expect(message?.deviceClockMs).toBe(wanted);
  });

  test("what a format writes it reads", () => {
    for (const name of ["iso", "unix-seconds", "unix-milliseconds", "yyyy-MM-dd HH:mm:ss.SSS", "ddMMyyyy'@'HHmmssSSS"]) {
      const format = createTimeFormat(name, 210);
      if (!format.ok) throw new Error(format.error);
      for (const atMs of [0, 1_767_225_600_123, 951_868_799_999])
        expect(format.value.read(format.value.write(atMs)), name).toBe(atMs);
    }
  });
});

describe("messages that list records", () => {
  const options = { ...HR, each: "$.records", time: { path: "$.at", format: "unix-seconds" } };

  test("each record is a message of its own with its own time", () => {
    const emissions = hear(options, {
      device: "w1",
      records: [
        { hr: 61, at: 1000 },
        { hr: 62, at: 1060 },
        { hr: null, at: 1120 },
      ],
    });
    expect(messagesIn(emissions).map(({ deviceClockMs }) => deviceClockMs)).toEqual([1_000_000, 1_060_000, 1_120_000]);
    expect(readings(emissions)).toEqual(["heartRate 61 /min", "heartRate 62 /min", "heartRate: not-available"]);
  });

  test("an empty list says nothing, a list that is none is refused", () => {
    expect(hear(options, { records: [] })).toEqual([]);
    expect(refused(hear(options, { records: {} }))).toEqual(["$.records"]);
    expect(refused(hear(options, { record: [] }))).toEqual(["$.records"]);
  });

  test("a record that cannot be read hides no other", () => {
    const emissions = hear(options, { records: [{ hr: 61, at: 1000 }, 5, null, { hr: "x", at: 1060 }, { hr: 63, at: 1120 }] });
    expect(readings(emissions)).toEqual(["heartRate 61 /min", "heartRate 63 /min"]);
    expect(refused(emissions)).toEqual(["$", "$", "$.hr"]);
  });

  test("more records than the bound are refused by name, those before them are read", () => {
    const max = LIMITS.messageElementsMax.value;
    const list = (count: number) => Array.from({ length: count }, (_, at) => ({ hr: 60, at }));
    expect(readings(hear(options, { records: list(max) }))).toHaveLength(max);
    expect(refused(hear(options, { records: list(max) }))).toEqual([]);
    const over = hear(options, { records: list(max + 1) });
    expect(readings(over)).toHaveLength(max);
    expect(over.at(-1)).toMatchObject({ error: { field: "$.records", given: `${max + 1} records, ${max} read` } });
  });

  test("bare numbers may be listed", () => {
    expect(readings(hear({ mapping: { rrInterval: "$" }, each: "$.rr" }, { rr: [812, 799, 805] }))).toEqual([
      "rrInterval 812 ms",
      "rrInterval 799 ms",
      "rrInterval 805 ms",
    ]);
  });

  test("an alarm that is off is said at its end and by the last record, not by each", () => {
    const listed = {
      ...options,
      alarms: { path: "$.asy", equals: 1, code: "asystole", nature: "physiological", priority: "high" },
    };
    const records = [0, 0, 1, 1, 0, 0, 0].map((asy, at) => ({ hr: 60, at, asy }));
    expect(alarms(hear(listed, { records }))).toEqual(["asystole on", "asystole on", "asystole off", "asystole off"]);
  });
});

describe("the device's alarms", () => {
  const asystole = {
    path: "$.alarm",
    equals: ["ASY", 3],
    code: "asystole",
    nature: "physiological",
    priority: "high",
    text: "ASYSTOLE",
  };
  const leads = { path: "$.leads", equals: false, code: "leads-off", nature: "technical", priority: "medium" };
  const call = { path: "$.event", equals: "sos", code: "sos", nature: "physiological", priority: "high", once: true };

  test("begin, go on and end with every message that speaks of them", () => {
    const options = { ...HR, alarms: [asystole, leads] };
    expect(alarms(hear(options, { hr: 0, alarm: "ASY", leads: true }))).toEqual(["asystole on", "leads-off off"]);
    expect(alarms(hear(options, { hr: 0, alarm: 3 }))).toEqual(["asystole on"]);
    expect(alarms(hear(options, { hr: 60, alarm: "" }))).toEqual(["asystole off"]);
    expect(alarms(hear(options, { hr: 60 }))).toEqual([]);
    const [message] = messagesIn(hear(options, { alarm: "ASY", leads: false }));
    expect(message?.alarms).toEqual([
      { code: "asystole", nature: "physiological", priority: "high", text: "ASYSTOLE", active: true },
      { code: "leads-off", nature: "technical", priority: "medium", text: "leads-off", active: true },
    ]);
  });

  test("may stand in a list", () => {
    const options = { ...HR, alarms: { ...asystole, equals: undefined, contains: "ASY" } };
    expect(alarms(hear(options, { alarm: ["TACHY", "ASY"] }))).toEqual(["asystole on"]);
    expect(alarms(hear(options, { alarm: [] }))).toEqual(["asystole off"]);
  });

  test("a call out of a list is as old as its record", () => {
    const options = { ...HR, each: "$.list", alarms: call, time: { path: "$.t", format: "unix-seconds" } };
    expect(messagesIn(hear(options, { list: [{ event: "sos", t: 5 }] }))).toMatchObject([
      { alarms: [{ code: "sos" }], deviceClockMs: 5000, mayBeStored: true },
    ]);
  });

  test("a call is said each time and never ended, and no clock makes an old one of it", () => {
    const options = { ...HR, alarms: call, time: { path: "$.t", format: "unix-seconds" } };
    expect(alarms(hear(options, { hr: 61, event: "none", t: 5 }))).toEqual([]);
    for (const message of [{ event: "sos", t: 5 }, { event: "sos" }, { event: "sos", t: "?" }]) {
      const [, called] = messagesIn(hear(options, message));
      expect(called).toMatchObject({ alarms: [{ code: "sos", active: true, once: true }], deviceClockMs: null });
      expect(called?.mayBeStored ?? called?.stored).toBeUndefined();
    }
  });

  test("a device in test mode says so with all its values", () => {
    const options = { ...HR, test: { path: "$.mode", equals: "demo" } };
    expect(messagesIn(hear(options, { hr: 60, mode: "demo" }))[0]?.origin).toBe("test");
    expect(messagesIn(hear(options, { hr: 60, mode: "live" }))[0]?.origin).toBe("device");
    expect(messagesIn(hear(options, { hr: 60 }))[0]?.origin).toBe("device");
  });
});

describe("messages nobody can trust", () => {
  const deep = (levels: number) => `{"hr":70,"x":${"[".repeat(levels - 1)}${"]".repeat(levels - 1)}}`;

  test.each<[string, string | Uint8Array]>([
    ["broken", '{"hr":72'],
    ["empty braces missing", "hr=72"],
    ["two objects", '{"hr":72}{"hr":73}'],
    ["NaN without quotes", '{"hr":NaN}'],
    ["Infinity without quotes", '{"hr":Infinity}'],
    ["a comma too many", '{"hr":72,}'],
    ["single quotes", "{'hr':72}"],
    ["a leading zero", '{"hr":072}'],
    ["a line end in a text", '{"hr":"7\n2"}'],
    ["one key twice", '{"hr":72,"hr":0}'],
    ["one key twice, once as escapes", '{"hr":72,"\\u0068r":0}'],
    ["one key twice, deep inside", '{"hr":72,"x":[{"a":1,"a":2}]}'],
    ["a level too deep", deep(LIMITS.jsonDepthMax.value + 1)],
    ["a hundred thousand levels", "[".repeat(100_000)],
    ["a hundred thousand whole levels", "[".repeat(100_000) + "]".repeat(100_000)],
    ["bytes that are no UTF-8", Uint8Array.of(0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d)],
    [
      "bytes that are no UTF-8 where nothing is mapped",
      Uint8Array.of(...new TextEncoder().encode('{"hr":70,"x":"'), 0xff, 0x22, 0x7d),
    ],
    ["half a character at its end", Uint8Array.of(0x22, 0xe4, 0xbd)],
    ["UTF-16", Uint8Array.of(0xff, 0xfe, 0x7b, 0x00, 0x7d, 0x00)],
  ])("%s is refused whole and by name", (_name, message) => {
    const emissions = hear(HR, message);
    expect(emissions).toHaveLength(1);
    expect(emissions[0]).toMatchObject({ kind: "refusal", error: { kind: "bad-field", field: "$" } });
  });

  test("what is just allowed is read", () => {
    expect(readings(hear(HR, deep(LIMITS.jsonDepthMax.value)))).toEqual(["heartRate 70 /min"]);
    const filled = JSON.stringify({ hr: 71, x: "" });
    const longest = filled.replace('""', `"${"y".repeat(LIMITS.messageBytesMax.value - filled.length)}"`);
    expect(longest).toHaveLength(LIMITS.messageBytesMax.value);
    expect(readings(hear(HR, longest))).toEqual(["heartRate 71 /min"]);
    expect(refused(hear(HR, `${longest} `))).toEqual(["too-long"]);
    expect(readings(hear(HR, Uint8Array.of(0xef, 0xbb, 0xbf, ...new TextEncoder().encode('{"hr":74}'))))).toEqual([
      "heartRate 74 /min",
    ]);
    expect(refused(hear(HR, ""))).toEqual(["no-frame"]);
  });

  test("what stands inside a text is no structure", () => {
    const inside = ["[".repeat(99), '"', "\\", '\\"', '"}', '","hr":"', "{".repeat(99)];
    for (const text of inside)
      expect(readings(hear(HR, { a: text, hr: 71, [text]: 1, z: text })), text).toEqual(["heartRate 71 /min"]);
    expect(refused(hear(HR, '{"a\\"":1,"hr":70,"a\\"":2}'))).toEqual(["$"]);
  });

  test("whatever JSON is written is read as the language reads it, and with a key added twice it is refused, two thousand seeds", () => {
    for (let seed = 1; seed <= 2000; seed++) {
      const random = seededRandom(seed);
      const value = randomJson(random, 4);
      const text = JSON.stringify(value, null, random.whole({ min: 0, max: 2 }));
      expect(parseStrictJson(text), `seed ${seed}`).toEqual({ ok: true, value });
      const key = JSON.stringify(randomText(random));
      const twice = `{"x":${text},${key}:1, ${key} : ${text}}`;
      expect(parseStrictJson(twice).ok, `seed ${seed}: ${twice}`).toBe(false);
    }
  });

  test("the same key in two objects is no doubt", () => {
    expect(readings(hear({ mapping: { heartRate: "$.a.hr", pulseRate: "$.b.hr" } }, { a: { hr: 70 }, b: { hr: 71 } }))).toEqual([
      "heartRate 70 /min",
      "pulseRate 71 /min",
    ]);
  });

  test("names of the language itself are names like any other", () => {
    const given = '{"__proto__":{"hr":70},"constructor":{"hr":71},"hr":72}';
    expect(readings(hear({ mapping: { heartRate: '$["__proto__"].hr', pulseRate: "$.constructor.hr" } }, given))).toEqual([
      "heartRate 70 /min",
      "pulseRate 71 /min",
    ]);
    expect(refused(hear({ mapping: { heartRate: "$.toString" } }, "{}"))).toEqual(["$"]);
    expect(refused(hear({ mapping: { heartRate: "$.__proto__.x" } }, { hr: 1 }))).toEqual(["$"]);
    expect(refused(hear({}, '{"__proto__":{"heartRate":70},"toString":1}'))).toEqual(["$"]);
    expect(Object.hasOwn(Object.prototype, "hr")).toBe(false);
  });

  test("half a surrogate is quoted without harm", () => {
    const emissions = hear(HR, '{"hr":"\\ud800 x"}');
    expect(refused(emissions)).toEqual(["$.hr"]);
    expect(JSON.stringify(emissions).isWellFormed()).toBe(true);
  });

  test("a refusal quotes the beginning only", () => {
    const [refusal] = hear(HR, { hr: "z".repeat(5000) }).filter(({ kind }) => kind === "refusal");
    expect(JSON.stringify(refusal).length).toBeLessThan(200);
  });

  test("a message with nothing that is mapped is refused with the names that came, so that a wrong mapping is seen", () => {
    const [refusal] = hear(HR, { HeartRate: 72, spo2: 97 });
    expect(refusal).toEqual({
      kind: "refusal",
      error: { kind: "bad-field", field: "$", given: 'nothing that is mapped: "HeartRate spo2"' },
    });
  });
});

describe("names and units of the gateway, without a mapping", () => {
  test("a reason and flags stand beside the value", () => {
    const message = {
      heartRate: { value: 77, flags: ["motion"] },
      oxygenSaturation: { absent: "searching" },
      pulseRate: { absent: "sensor-off", flags: ["low-perfusion"] },
    };
    const emissions = hear({}, message);
    expect(readings(emissions)).toEqual(["heartRate 77 /min motion", "oxygenSaturation: searching", "pulseRate: sensor-off"]);
    expect(messagesIn(emissions)[0]?.readings[2]?.flags).toEqual(["low-perfusion"]);
  });

  test.each([
    { value: "x" },
    {},
    { absent: "tired" },
    { value: 70, flags: ["brave"] },
    { value: 70, flags: "motion" },
    { absent: "impossible" },
    { value: null },
  ])("%j is no value", (value) => {
    expect(refused(hear({}, { heartRate: value, pulseRate: 61 }))).toEqual(["$.heartRate"]);
    expect(readings(hear({}, { heartRate: value, pulseRate: 61 }))).toEqual(["pulseRate 61 /min"]);
  });

  test("other names are left alone", () => {
    expect(readings(hear({}, { heartRate: 70, device: "w1", heartrate: 1, rssi: -70 }))).toEqual(["heartRate 70 /min"]);
  });
});

describe("paths", () => {
  test.each<[string, unknown]>([
    ["$", { a: { b: [{ "c d": 5 }] }, "": 6, 心率: 7, "a.b": 8, "x-y_1": 9, "1": 10 }],
    ["$.a.b[0]", { "c d": 5 }],
    ['$.a.b[0]["c d"]', 5],
    ['$[""]', 6],
    ["$.心率", 7],
    ['$["a.b"]', 8],
    ["$.x-y_1", 9],
    ["$.1", 10],
    ["$.a.b[1]", undefined],
    ["$.a[0]", undefined],
    ["$.b", undefined],
    ["$.a.b.length", undefined],
  ])("%s finds what stands there", (text, wanted) => {
    const path = parseJsonPath(text);
    if (!path.ok) throw new Error(path.error);
    expect(valueAt(path.value, { a: { b: [{ "c d": 5 }] }, "": 6, 心率: 7, "a.b": 8, "x-y_1": 9, "1": 10 })).toEqual(wanted);
    expect(parseJsonPath(formatJsonPath(path.value))).toEqual(path);
    expect(valueAt(path.value, withValueAt(undefined, path.value, "put"))).toBe("put");
  });

  test.each([
    "",
    "hr",
    "a.b",
    "$hr",
    "$.",
    "$..a",
    "$.*",
    "$[*]",
    "$[-1]",
    "$[01]",
    "$[1:2]",
    "$['a']",
    "$[a]",
    "$.a ",
    "$.a b",
    "$[?(@.x)]",
    '$["a]',
    "$[12345]",
    `$${".a".repeat(33)}`,
  ])("%s is no path", (text) => {
    expect(parseJsonPath(text).ok).toBe(false);
  });

  test("filters of topics mean what MQTT says", () => {
    expect(["a/b", "+", "#", "a/+/c", "a/#", "/", "$SYS/#"].every(isTopicFilter)).toBe(true);
    expect(["", "a/#/b", "a+", "#a", "a/b#"].some(isTopicFilter)).toBe(false);
    const matches = [
      ["a/+/c", "a/b/c"],
      ["a/#", "a"],
      ["a/#", "a/b/c"],
      ["#", "a/b"],
      ["+/+", "/b"],
      ["a", "a"],
    ] as const;
    for (const [filter, topic] of matches) expect(topicMatches(filter, topic), `${filter} ${topic}`).toBe(true);
    const others = [
      ["a/+", "a/b/c"],
      ["a/+", "a"],
      ["a", "a/b"],
      ["#", "$SYS/x"],
      ["+/x", "$SYS/x"],
      ["a/b", "a"],
    ] as const;
    for (const [filter, topic] of others) expect(topicMatches(filter, topic), `${filter} ${topic}`).toBe(false);
  });
});

describe("options that will not do", () => {
  test.each<[Given, readonly string[]]>([
    [{ mapping: {} }, ["mapping names no quantity"]],
    [{ mapping: "nothing" }, ["mapping is wrong"]],
    [{ mapping: '{"heartRate":"$.a","heartRate":"$.b"}' }, ["mapping is wrong"]],
    [{ mapping: { heartrate: "$.hr" } }, ["mapping heartrate is no quantity"]],
    [{ mapping: { heartRate: "hr" } }, ["mapping heartRate is no path"]],
    [{ mapping: { heartRate: [] } }, ["mapping heartRate is missing"]],
    [{ mapping: { heartRate: 5 } }, ["mapping heartRate is 5 and no object"]],
    [
      { mapping: { heartRate: { pth: "$.hr" } } },
      ['mapping heartRate has no setting "pth"', "mapping heartRate.path is missing"],
    ],
    [{ mapping: { heartRate: { path: "$.hr", unit: "mmHg" } } }, ['mapping heartRate.unit is "mmHg"']],
    [{ mapping: { heartRate: { path: "$.hr", unit: "toString" } } }, ['mapping heartRate.unit is "toString"']],
    [{ mapping: { heartRate: { path: "$.hr", scale: "2" } } }, ['mapping heartRate.scale is "2" and no number']],
    [{ mapping: { heartRate: { path: "$.hr", scale: 0 } } }, ["mapping heartRate.scale is 0"]],
    [{ mapping: { heartRate: { path: "$.hr", why: "impossible" } } }, ['mapping heartRate.why is "impossible"']],
    [{ mapping: { heartRate: { path: "$.hr", required: "yes" } } }, ['mapping heartRate.required is "yes"']],
    [{ mapping: { heartRate: { path: "$.hr", absent: [] } } }, ["mapping heartRate.absent needs values"]],
    [{ mapping: { heartRate: { path: "$.hr", topic: "a/#/b" } } }, ["mapping heartRate.topic is no topic filter"]],
    [
      { mapping: { heartRate: { path: "$.hr", questionable: { path: "$.q" } } } },
      ["mapping heartRate.questionable needs exactly one comparison"],
    ],
    [
      { mapping: { heartRate: { path: "$.hr", questionable: { path: "$.q", equals: 1, below: 2 } } } },
      ["mapping heartRate.questionable needs exactly one comparison"],
    ],
    [{ each: "records" }, ["each is wrong"]],
    [{ each: "$.records[*]" }, ["each is no path"]],
    [{ time: { path: "$.t", format: "yy/mm", zone: "Beijing" } }, ['time zone is "Beijing"', 'time format is "yy/mm"']],
    [{ time: { path: "$.t", format: "HH:mm" } }, ['time format is "HH:mm"']],
    [{ contact: { path: "$.c" } }, ["contact off needs values"]],
    [{ quality: [{ path: "$.q", below: 5, flag: "late" }] }, ['quality [0].flag is "late"']],
    [{ test: { path: "$.m", equals: {} } }, ["test equals needs values"]],
    [
      { alarms: [{ path: "$.a", equals: 1, code: "Bad Code", nature: "physiological", priority: "urgent" }] },
      ['alarms [0].priority is "urgent"', "alarms [0].code is no code"],
    ],
    [
      { alarms: [1, 2].map((one) => ({ path: "$.a", equals: one, code: "same", nature: "technical", priority: "low" })) },
      ["alarms uses the code same twice"],
    ],
  ])("%j", (options, wanted) => {
    const problems = mqttJson.checkOptions?.(optionTexts(options)) ?? [];
    const told = problems.map(({ option, problem }) => `${option} ${problem.en}`);
    for (const [at, start] of wanted.entries()) expect(told[at]).toContain(start);
    expect(told).toHaveLength(wanted.length);
    for (const { problem, remedy } of problems) {
      expect(problem.zh).toMatch(/\p{Script=Han}/u);
      expect(remedy.zh).toMatch(/\p{Script=Han}/u);
      expect(remedy.en.length).toBeGreaterThan(10);
    }
  });

  test("a name written nearly right is answered with the right one", () => {
    const [problem] = mqttJson.checkOptions?.(optionTexts({ mapping: { heart_rate: "$.hr" } })) ?? [];
    expect(problem?.remedy.en).toBe("use one of heartRate");
  });

  const config = (options: string) => `
gateway: { id: gateway-1, dataFolder: data }
broker: {}
devices:
  - id: watch
    driver: mqtt-json
    link: { kind: mqtt }
    options:
${options}`;

  test("they are problems of the configuration, all at once, at their place and with their remedy", () => {
    const parsed = parseConfig(
      config(`
      mapping: { heartRate: "hr; x | y", oxygenSaturation: { path: $.s, unit: furlong } }
      time: { path: $.t, format: sometimes }
      colour: red`),
      "/",
    );
    if (parsed.ok) throw new Error("these options are wrong");
    expect(parsed.error.map(({ path }) => path).toSorted()).toEqual([
      "devices.0.options.colour",
      "devices.0.options.mapping",
      "devices.0.options.mapping",
      "devices.0.options.time",
    ]);
    const unit = parsed.error.find(({ problem }) => problem.en.includes("furlong"));
    expect(unit).toMatchObject({
      problem: { en: 'oxygenSaturation.unit is "furlong", which cannot be converted' },
      remedy: { en: "Use one of %, 1.", zh: "请使用其中之一：%, 1。" },
    });
    const path = parsed.error.find(({ problem }) => problem.en.startsWith("heartRate"));
    expect(path?.remedy.en).toMatch(/^Write where the value stands/);
    expect(path?.problem.zh).toMatch(/\p{Script=Han}/u);
  });

  test("options may be written as YAML, with numbers, truths, lists and objects", () => {
    const parsed = parseConfig(
      config(`
      mapping:
        heartRate: $.hr
        oxygenSaturation: { path: "$.s", absent: [0, 127], why: sensor-off }
      each: $.list`),
      "/",
    );
    if (!parsed.ok) throw new Error(JSON.stringify(parsed.error));
    expect(parsed.value.devices[0]?.options).toEqual({
      mapping: '{"heartRate":"$.hr","oxygenSaturation":{"path":"$.s","absent":[0,127],"why":"sensor-off"}}',
      each: "$.list",
    });
    expect(optionTexts({ one: 5, two: false, three: "x", four: null, five: [1] })).toEqual({
      one: "5",
      two: "false",
      three: "x",
      five: "[1]",
    });
  });
});

describe("the page for engineers", () => {
  const page = readFileSync(new URL("../drivers/README.md", import.meta.url), "utf8");
  const examples = [...page.matchAll(/```yaml\n(devices:[\s\S]*?)```/g)].map(([, yaml]) => yaml ?? "");

  test("has examples that are right as they stand", () => {
    expect(examples).toHaveLength(2);
    for (const yaml of examples) {
      const parsed = parseConfig(`gateway: { id: gateway-1, dataFolder: data }\nbroker: {}\n${yaml}`, "/");
      if (!parsed.ok) throw new Error(JSON.stringify(parsed.error));
    }
  });

  test("whose sensor is read as the page says", () => {
    const parsed = parseConfig(`gateway: { id: gateway-1, dataFolder: data }\nbroker: {}\n${examples[0]}`, "/");
    const options = parsed.ok ? (parsed.value.devices[0]?.options ?? {}) : {};
    const sample = /sends `(\{.*\})`/.exec(page)?.[1] ?? "";
    expect(readings(hear(options, sample))).toEqual([
      "heartRate 72 /min",
      "oxygenSaturation 97 %",
      "bodyTemperature 97.8 [degF]",
    ]);
    expect(readings(hear(options, sample.replace('"worn":1', '"worn":0')))).toEqual([
      "heartRate: sensor-off",
      "oxygenSaturation: sensor-off",
      "bodyTemperature: sensor-off",
    ]);
    expect(readings(hear(options, sample.replace('"sqi":88', '"sqi":49')))[0]).toBe("heartRate 72 /min weak-signal");
    expect(alarms(hear(options, sample.replace('"event":""', '"event":"fall"')))).toEqual(["fall on"]);
  });

  test("names every option, every setting and every word there is", () => {
    for (const name of [...mqttJson.optionNames, ...mqttZigbee2mqtt.optionNames]) expect(page).toContain(`\`${name}\``);
    for (const word of [...ABSENCES, ...DEVICE_FLAGS]) expect(page).toContain(`\`${word}\``);
  });
});

describe("the other way", () => {
  const options = optionTexts({
    mapping: {
      heartRate: { path: "$.v.hr", absent: [-1] },
      bodyTemperature: { path: '$["t F"]', unit: "degF", scale: 0.1 },
      opening: "$.open",
      bodyWeight: { path: "$.w", when: { path: "$.mode", equals: "person" } },
    },
    contact: { path: "$.finger", off: ["out"] },
    each: "$.list",
    time: { path: "$.at", format: "yyyy-MM-dd HH:mm:ss", zone: "+08:00" },
  });

  test("a twin with a mapping sends what the mapping reads", () => {
    const body = seededBody(5);
    const sent = mqttJson.twin(body, options).due(3000).bytesToSend;
    expect(sent).toHaveLength(4);
    const session = mqttJson.open(options);
    for (const { bytes, channel } of sent) {
      const emissions = session.feed(bytes, channel, AT);
      expect(refused(emissions)).toEqual([]);
      const [message] = messagesIn(emissions);
      expect(message?.mayBeStored).toBe(true);
      for (const name of ["heartRate", "opening", "bodyWeight"] as const)
        expect(message?.readings).toContainEqual(body.quantity(name, 0));
      expect(message?.readings).toHaveLength(4);
    }
  });

  test("and says with its own sign that the sensor is off", () => {
    const off = seededBody(5, (name) => absent(name, "sensor-off"));
    const [sent] = mqttJson.twin(off, options).due(0).bytesToSend;
    expect(new TextDecoder().decode(sent?.bytes)).toContain('"finger":"out"');
    expect(readings(mqttJson.open(options).feed(sent?.bytes ?? new Uint8Array(), "", AT))).toEqual(
      expect.arrayContaining(["heartRate: sensor-off", "bodyTemperature: sensor-off", "bodyWeight: sensor-off"]),
    );
  });

  test("encode writes by the mapping", () => {
    const body = seededBody(6);
    const bytes = mqttJson.encode?.([body.quantity("heartRate", 0), absent("bodyWeight", "not-available")], options);
    const { list } = JSON.parse(new TextDecoder().decode(bytes)) as { list: unknown[] };
    const rate = body.quantity("heartRate", 0);
    expect(list).toEqual([
      { v: { hr: rate.kind === "present" ? rate.value : null }, w: null, mode: "person", at: expect.any(String) },
    ]);
  });
});

describe("what intake makes of it", () => {
  const START = wallMs(Date.UTC(2026, 10, 22, 8));

  function intakeWith(options: Given) {
    const intake = createDeviceIntake({
      deviceId: deviceId("w1"),
      driver: mqttJson,
      driverOptions: optionTexts(options),
      origin: "measured",
      patientOf: () => null,
    });
    return (message: unknown, atMs: number) =>
      intake.feed({
        bytes: new TextEncoder().encode(JSON.stringify(message)),
        channel: "devices/w1/vitals",
        receivedAtMs: wallMs(START + atMs),
        receivedMonotonicMs: monotonicMs(atMs),
      });
  }

  test("a message of an hour ago is late, one of now is not", () => {
    const feed = intakeWith({ ...HR, time: { path: "$.t", format: "unix-milliseconds" } });
    const [now] = feed({ hr: 70, t: START }, 0).observations;
    expect(now?.quality.flags).toEqual([]);
    const [old] = feed({ hr: 71, t: START - 3_600_000 }, 1000).observations;
    expect(old?.quality.flags).toContain("late");
    expect(old?.times.measuredAtMs).toBe(START - 3_600_000);
    const [undated] = feed({ hr: 72 }, 2000).observations;
    expect(undated?.quality.flags).toEqual(["late", "measured-time-unknown"]);
  });

  test("units are converted, and what cannot be in a living person is impossible", () => {
    const feed = intakeWith({ mapping: { bodyTemperature: { path: "$.t", unit: "°F" }, heartRate: "$.hr" } });
    const { observations } = feed({ t: 98.6, hr: 0 }, 0);
    expect(observations.map(({ content }) => content)).toEqual([
      { state: "present", value: 37 },
      { state: "absent", why: "impossible" },
    ]);
  });

  test("every unit that a mapping may name can be converted for its quantity", () => {
    for (const quantity of Object.keys(QUANTITIES) as (keyof typeof QUANTITIES)[]) {
      const [problem] = mqttJson.checkOptions?.(optionTexts({ mapping: { [quantity]: { path: "$.x", unit: "none" } } })) ?? [];
      const units = problem?.remedy.en.replace("use one of ", "").split(", ") ?? [];
      expect(units, quantity).toContain(QUANTITIES[quantity].unit);
      for (const unit of units) {
        const feed = intakeWith({ mapping: { [quantity]: { path: "$.x", unit } } });
        expect(feed({ x: 1 }, 0).quarantined, `${quantity} in ${unit}`).toBeNull();
      }
    }
  });
});

describe("by the command line", () => {
  async function call(command: typeof decodeCommand, args: readonly string[], input: readonly string[] = []) {
    const io = collectingIo(input);
    const exitCode = await command.run(args, io);
    return { exitCode, lines: io.out.map((line) => JSON.parse(line) as unknown), complaints: io.err.join("\n") };
  }

  test("decode takes a mapping as JSON and adds no line end", async () => {
    const args = [
      "mqtt-json",
      "--option",
      'mapping={"heartRate":"$.hr","bodyTemperature":"$"}',
      "--channel",
      "devices/w1/vitals",
    ];
    const answer = await call(decodeCommand, [...args, "--text", '{"hr":72}']);
    expect(answer.lines).toMatchObject([
      { ok: true, readings: [{ quantity: "heartRate", kind: "present", value: 72, unit: "/min", flags: [] }] },
      { ok: false, error: { kind: "bad-field", field: "$" } },
    ]);
    expect(answer.exitCode).toBe(1);
  });

  test("decode --stdin takes options as nested JSON", async () => {
    const line = {
      channel: "devices/w1/vitals",
      text: '{"list":[{"hr":71}]}',
      options: { mapping: { heartRate: "$.hr" }, each: "$.list" },
    };
    const { lines, exitCode } = await call(
      decodeCommand,
      ["mqtt-json", "--stdin"],
      [JSON.stringify(line), JSON.stringify({ ...line, options: { mapping: 5 } })],
    );
    expect(lines[0]).toMatchObject({ results: [{ ok: true, readings: [{ value: 71 }] }] });
    expect(lines[1]).toMatchObject({ results: [{ ok: false, error: { kind: "bad-request" } }] });
    expect(exitCode).toBe(1);
  });

  test("wrong options are wrong usage, all named with their remedies", async () => {
    const answer = await call(decodeCommand, [
      "mqtt-json",
      "--option",
      'mapping={"pulse":"$.p"}',
      "--option",
      "each=p",
      "--text",
      "{}",
    ]);
    expect(answer.exitCode).toBe(2);
    expect(answer.complaints).toContain("option mapping: pulse is no quantity; use one of pulseRate");
    expect(answer.complaints).toContain("option each: is wrong");
  });

  test("encode writes a text that decode takes", async () => {
    const option = ["--option", 'mapping={"heartRate":"$.a.hr","bodyTemperature":{"path":"$.t","unit":"°F"}}'];
    const encoded = await call(encodeCommand, [
      "mqtt-json",
      ...option,
      "--channel",
      "x/y",
      "--readings",
      '{"heartRate":72,"bodyTemperature":37}',
    ]);
    expect(encoded.lines).toEqual([{ ok: true, channel: "x/y", text: '{"a":{"hr":72},"t":98.6004}' }]);
    const decoded = await call(
      decodeCommand,
      ["mqtt-json", ...option, "--stdin"],
      encoded.lines.map((line) => JSON.stringify(line)),
    );
    expect(decoded.exitCode).toBe(0);
  });

  test("it is found by its id", () => expect(findDriver("mqtt-json")).toBe(mqttJson));
});
