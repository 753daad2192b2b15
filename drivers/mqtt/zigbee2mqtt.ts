import { absent, present, type Reading } from "../../src/core/observation.ts";
import type {
  DecodeError,
  DeviceAlarm,
  Driver,
  DriverEvent,
  DriverSession,
  DriverVector,
  Emission,
  OptionProblem,
  PatientBody,
  Twin,
  TwinTraits,
} from "../../src/core/ports.ts";
import type { QuantityName } from "../../src/core/quantities.ts";
import { RELEASED_AT_MS, type WallMs } from "../../src/core/time.ts";
import { isTopicFilter } from "../../src/core/topic-filter.ts";
import { badField, isObject, type Json, type JsonObject, memberOf, parseMessage, parseStrictJson, quoted } from "./json-text.ts";
import { createTimeFormat } from "./json-time.ts";
import { hexOfText } from "./json-vectors.ts";

/** Where Zigbee2MQTT publishes, as long as its `base_topic` is not another. */
const USUAL_BASE = "zigbee2mqtt";

/**
 * A button that calls for help says so by one of these. `emergency` is what Tuya's, Nedis' and frient's buttons and keypads send;
 * `panic`, `emergency` and `fire` are the calls of keypads (ZCL, IAS ACE); `sos` and `help` are other makers'.
 */
const USUAL_SOS_ACTIONS: readonly string[] = ["emergency", "sos", "panic", "fire", "help"];

/** Longest silence: a sleeping sensor counts as gone for Zigbee2MQTT after 25 hours; ours may be set shorter per device. Source: availability, passive timeout of 1500 minutes. */
const SILENCE_SECONDS = 90_000;

// ----------------------------------------------------------------------------------------------------------- keys of Z2M

/** One key that is a quantity. A truth is 1, but a contact is true when it is closed. */
interface Field {
  readonly key: string;
  readonly quantity: QuantityName;
  readonly kind: "truth" | "number";
  readonly unit: string;
}

/**
 * Keys with their quantity; of two keys of one quantity the first that is there counts.
 * Source: zigbee-herdsman-converters src/lib/exposes.ts (names, units, true and false), protocol notes section 10.
 */
// biome-ignore format: one row a key, so that it reads as the table it is.
const FIELDS: readonly Field[] = [
  { key: "occupancy", quantity: "motion", kind: "truth", unit: "1" },
  { key: "motion", quantity: "motion", kind: "truth", unit: "1" },
  { key: "presence", quantity: "presence", kind: "truth", unit: "1" },
  { key: "contact", quantity: "opening", kind: "truth", unit: "1" },
  { key: "vibration", quantity: "vibration", kind: "truth", unit: "1" },
  { key: "water_leak", quantity: "waterLeak", kind: "truth", unit: "1" },
  { key: "smoke", quantity: "smoke", kind: "truth", unit: "1" },
  { key: "gas", quantity: "combustibleGas", kind: "truth", unit: "1" },
  { key: "carbon_monoxide", quantity: "carbonMonoxide", kind: "truth", unit: "1" },
  { key: "tamper", quantity: "tampering", kind: "truth", unit: "1" },
  { key: "battery", quantity: "batteryLevel", kind: "number", unit: "%" },
  { key: "temperature", quantity: "ambientTemperature", kind: "number", unit: "Cel" },
  { key: "humidity", quantity: "relativeHumidity", kind: "number", unit: "%" },
  { key: "illuminance_lux", quantity: "illuminance", kind: "number", unit: "lx" },
  { key: "illuminance", quantity: "illuminance", kind: "number", unit: "lx" },
];

/** Radars say how somebody moves where others say only that; a static or missing movement is none. Source: Tuya ZG-204ZM, motion_state. */
const MOTION_STATES: Readonly<Record<string, 0 | 1>> = {
  none: 0,
  static: 0,
  small: 1,
  large: 1,
  move: 1,
  moving: 1,
  presence: 0,
};

/** An alarm that holds while a key is true. */
interface AlarmKey {
  readonly key: string;
  readonly alarm: Omit<DeviceAlarm, "active">;
}

/**
 * Keys that are alarms. Natures and priorities are ours, to be confirmed by the clinical owner: smoke, gas and carbon monoxide kill the
 * person in the room within minutes, so somebody must go at once (high) and they are the person's alarms, which are never grouped;
 * water is a fall not yet fallen (medium); an opened case and a low battery are work for the day (low).
 */
// biome-ignore format: one row a key, so that it reads as the table it is.
const ALARM_KEYS: readonly AlarmKey[] = [
  { key: "smoke", alarm: { code: "smoke", nature: "physiological", priority: "high", text: "Smoke" } },
  { key: "gas", alarm: { code: "gas", nature: "physiological", priority: "high", text: "Combustible gas" } },
  { key: "carbon_monoxide", alarm: { code: "carbon-monoxide", nature: "physiological", priority: "high", text: "Carbon monoxide" } },
  { key: "water_leak", alarm: { code: "water-leak", nature: "technical", priority: "medium", text: "Water leak" } },
  { key: "tamper", alarm: { code: "tamper", nature: "technical", priority: "low", text: "Tamper" } },
  { key: "battery_low", alarm: { code: "low-battery", nature: "technical", priority: "low", text: "Low battery" } },
];

/** What a fall radar says, with the alarm that holds then; a fall it is not sure of is less urgent. Source: Tuya MIR-HE200-TY, fall_down_status. */
// biome-ignore format: one row a state, so that it reads as the table it is.
const FALL_ALARMS: readonly { readonly status: string; readonly alarm: Omit<DeviceAlarm, "active"> }[] = [
  { status: "fall", alarm: { code: "fall", nature: "physiological", priority: "high", text: "Fall" } },
  { status: "maybe_fall", alarm: { code: "possible-fall", nature: "physiological", priority: "medium", text: "Possible fall" } },
];
const NO_FALL = "none";

/** Keys that tell of the device's own state, with the names of their facts. */
const STATE_KEYS = { linkquality: "linkQuality", voltage: "batteryMillivolts" } as const;

const DEVICE_OFFLINE = { code: "device-offline", nature: "technical", priority: "medium", text: "Device offline" } as const;
const BRIDGE_OFFLINE = { code: "bridge-offline", nature: "technical", priority: "medium", text: "Zigbee2MQTT offline" } as const;

// --------------------------------------------------------------------------------------------------------------- options

interface Settings {
  /** The bridge's own base topic; null where any will do, because the topics of the link say it. */
  readonly base: string | null;
  readonly invertContact: boolean;
  readonly sosActions: readonly string[];
}

const OPTION_NAMES = ["base", "invertContact", "sosActions", "twin"] as const;

/** Sensors that the twin can be. */
const TWIN_KINDS = ["motion", "contact", "sos"] as const;

type TwinKind = (typeof TWIN_KINDS)[number];

function settingsOf(options: Readonly<Record<string, string>>): Settings {
  return {
    base: options["base"] ?? null,
    invertContact: options["invertContact"] === "true",
    sosActions: options["sosActions"] === undefined ? USUAL_SOS_ACTIONS : (actionsOf(options["sosActions"]) ?? []),
  };
}

/** The names of a list in JSON or separated by commas; null where there is none. */
function actionsOf(text: string): readonly string[] | null {
  const parsed = text.startsWith("[") ? parseStrictJson(text) : null;
  const given: readonly Json[] =
    parsed === null ? text.split(",") : parsed.ok && Array.isArray(parsed.value) ? parsed.value : [null];
  const names = given.map((name) => (typeof name === "string" ? name.trim() : ""));
  return names.every((name) => name !== "") ? names : null;
}

// biome-ignore format: one block an option.
function checkOptions(options: Readonly<Record<string, string>>): readonly OptionProblem[] {
  const problems: OptionProblem[] = [];
  const { base, invertContact, sosActions, twin } = options;
  if (base !== undefined && (!isTopicFilter(base) || /[#+]/.test(base) || /^\/|\/$/.test(base)))
    problems.push({ option: "base",
      problem: { en: `is no base topic: ${quoted(base)}`, zh: `不是基础主题：${quoted(base)}` },
      remedy: { en: "write the base_topic of Zigbee2MQTT, such as zigbee2mqtt", zh: "请写 Zigbee2MQTT 的 base_topic，例如 zigbee2mqtt" } });
  if (invertContact !== undefined && invertContact !== "true" && invertContact !== "false")
    problems.push({ option: "invertContact",
      problem: { en: `is ${quoted(invertContact)}`, zh: `是 ${quoted(invertContact)}` },
      remedy: { en: "write true where the sensor says true when it is open, else false", zh: "传感器打开时报 true 则写 true，否则写 false" } });
  if (sosActions !== undefined && actionsOf(sosActions) === null)
    problems.push({ option: "sosActions",
      problem: { en: `holds no names of actions: ${quoted(sosActions)}`, zh: `没有动作名称：${quoted(sosActions)}` },
      remedy: { en: "list the actions that call for help, such as emergency, single", zh: "请列出呼救动作，例如 emergency, single" } });
  if (twin !== undefined && !TWIN_KINDS.some((kind) => kind === twin))
    problems.push({ option: "twin",
      problem: { en: `is ${quoted(twin)}`, zh: `是 ${quoted(twin)}` },
      remedy: { en: `use one of ${TWIN_KINDS.join(", ")}`, zh: `请使用其中之一：${TWIN_KINDS.join("、")}` } });
  return problems;
}

// --------------------------------------------------------------------------------------------------------------- messages

/** What is found in one state of a device. */
interface Findings {
  readonly readings: Reading[];
  readonly alarms: DeviceAlarm[];
  readonly events: DriverEvent[];
  readonly refusals: DecodeError[];
}

function refuse(findings: Findings, key: string, value: Json): void {
  findings.refusals.push(badField(key, quoted(value)));
}

function findReadings(findings: Findings, state: JsonObject, settings: Settings): void {
  const taken = new Set<QuantityName>();
  for (const { key, quantity, kind, unit } of FIELDS) {
    const value = memberOf(state, key);
    if (value === undefined || taken.has(quantity)) continue;
    taken.add(quantity);
    if (value === null) findings.readings.push(absent(quantity, "not-available"));
    else if (kind === "number" && typeof value === "number" && Number.isFinite(value))
      findings.readings.push(present(quantity, value, unit));
    else if (kind === "truth" && typeof value === "boolean") {
      // Zigbee2MQTT: true is closed; the gateway: 1 is open.
      const isOne = quantity === "opening" ? value === settings.invertContact : value;
      findings.readings.push(present(quantity, isOne ? 1 : 0, unit));
    } else refuse(findings, key, value);
  }
  const motionState = memberOf(state, "motion_state");
  if (motionState === undefined || motionState === null) return;
  if (typeof motionState !== "string") {
    refuse(findings, "motion_state", motionState);
    return;
  }
  findings.events.push({ code: "device-state", facts: { motionState: motionState.toWellFormed().slice(0, 40) } });
  const moves = Object.hasOwn(MOTION_STATES, motionState) ? MOTION_STATES[motionState] : undefined;
  if (moves !== undefined && !taken.has("motion")) findings.readings.push(present("motion", moves, "1"));
}

/**
 * Alarms that hold or do not. Each message says them anew, also when nothing changed: the one before may have been an old one that a
 * server had kept, which raises nothing, and an alarm must not be missed because of it.
 */
function findAlarms(findings: Findings, state: JsonObject): void {
  for (const { key, alarm } of ALARM_KEYS) {
    const value = memberOf(state, key);
    if (typeof value === "boolean") findings.alarms.push({ ...alarm, active: value });
    // Keys that are quantities as well have been refused there.
    else if (value != null && !FIELDS.some((field) => field.key === key)) refuse(findings, key, value);
  }
  const fall = memberOf(state, "fall_down_status");
  if (fall == null) return;
  const isKnown = fall === NO_FALL || FALL_ALARMS.some(({ status }) => status === fall);
  if (!isKnown) refuse(findings, "fall_down_status", fall);
  else for (const { status, alarm } of FALL_ALARMS) findings.alarms.push({ ...alarm, active: status === fall });
}

/**
 * Calls for help, and what else a button says. An action comes once: the empty one or null behind it means nothing, and no later message
 * ends the call. `sos: true` calls each time it is said, because many buttons never say false in between and a press must not be missed.
 */
function findActions(findings: Findings, state: JsonObject, settings: Settings): void {
  const call = { code: "sos", nature: "physiological", priority: "high", active: true, once: true } as const;
  const sos = memberOf(state, "sos");
  if (sos === true) findings.alarms.push({ ...call, text: "SOS" });
  else if (sos !== undefined && sos !== null && sos !== false) refuse(findings, "sos", sos);
  const action = memberOf(state, "action");
  if (action === undefined || action === null || action === "") return;
  if (typeof action !== "string") {
    refuse(findings, "action", action);
    return;
  }
  const text = action.toWellFormed().slice(0, 80);
  findings.events.push({ code: "device-text", facts: { action: text } });
  if (settings.sosActions.includes(action) && sos !== true) findings.alarms.push({ ...call, text: `SOS (${text})` });
}

function findState(findings: Findings, state: JsonObject): void {
  const facts: Record<string, number> = {};
  for (const [key, name] of Object.entries(STATE_KEYS)) {
    const value = memberOf(state, key);
    if (typeof value === "number" && Number.isFinite(value)) facts[name] = value;
    else if (value != null) refuse(findings, key, value);
  }
  if (Object.keys(facts).length > 0) findings.events.push({ code: "device-state", facts });
}

/** When the device was last heard by its bridge: milliseconds since 1970, or ISO 8601 with or without the local zone. */
function lastSeenOf(findings: Findings, state: JsonObject): WallMs | null {
  const value = memberOf(state, "last_seen");
  if (value == null) return null;
  const format = createTimeFormat(typeof value === "number" ? "unix-milliseconds" : "iso", 0);
  const atMs = format.ok ? format.value.read(value) : null;
  if (atMs === null) refuse(findings, "last_seen", value);
  return atMs;
}

/** A device's state. Alarms go in a message of their own that is of now, however the bridge's clock goes: a fire waits for no clock. */
function readState(state: Json, settings: Settings): readonly Emission[] {
  if (!isObject(state)) return [{ kind: "refusal", error: badField("$", quoted(state)) }];
  const findings: Findings = { readings: [], alarms: [], events: [], refusals: [] };
  findReadings(findings, state, settings);
  findAlarms(findings, state);
  findActions(findings, state, settings);
  findState(findings, state);
  const deviceClockMs = lastSeenOf(findings, state);
  const { readings, alarms, events } = findings;
  const shared = { kind: "message", waveforms: [], origin: "device" } as const;
  const dated = { ...shared, readings, events, alarms: [], deviceClockMs, mayBeStored: true } as const;
  const live = { ...shared, deviceClockMs: null } as const;
  const messages: readonly Emission[] =
    deviceClockMs === null
      ? [{ ...live, readings, alarms, events }]
      : [dated, ...(alarms.length === 0 ? [] : [{ ...live, readings: [], alarms, events: [] }])];
  return [...messages, ...findings.refusals.map((error) => ({ kind: "refusal", error }) as const)];
}

/** `online` or `offline`, as JSON or, of older versions, as it is. */
function readPresence(bytes: Uint8Array, alarm: Omit<DeviceAlarm, "active">): readonly Emission[] {
  const plain = new TextDecoder().decode(bytes.subarray(0, 16));
  const parsed = plain === "online" || plain === "offline" ? null : parseMessage(bytes);
  if (parsed?.ok === false) return [{ kind: "refusal", error: parsed.error }];
  const state = parsed === null ? plain : isObject(parsed.value) ? memberOf(parsed.value, "state") : parsed.value;
  if (state !== "online" && state !== "offline") return [{ kind: "refusal", error: badField("state", quoted(state)) }];
  const said: DeviceAlarm = { ...alarm, active: state === "offline", standing: true };
  const message = { readings: [], waveforms: [], alarms: [said], events: [], deviceClockMs: null, origin: "device" } as const;
  return [{ kind: "message", byOther: true, ...message }];
}

/** What the bridge says of itself or of all devices, behind its base. Source: zigbee2mqtt.io guide, MQTT Topics and Messages. */
const BRIDGE_TOPIC =
  /(^|\/)bridge\/(info|devices|groups|definitions|extensions|converters|logging|log|event|health|config|request|response)(\/|$)/;

/** What a topic is for: a device's state, its availability, the bridge's state, what is said to devices or of others, or nothing of this bridge. */
function purposeOf(topic: string, base: string | null): "state" | "availability" | "bridge" | "others" | "foreign" {
  if (topic === "") return "state";
  if (base !== null && !topic.startsWith(`${base}/`)) return "foreign";
  const inner = base === null ? topic : topic.slice(base.length + 1);
  const isBridges = base === null ? /(^|\/)bridge\/state$/.test(inner) : inner === "bridge/state";
  if (isBridges) return "bridge";
  if (BRIDGE_TOPIC.test(inner) || /\/(set|get)$/.test(inner)) return "others";
  return inner.endsWith("/availability") ? "availability" : "state";
}

/** Holds its options and nothing else: each message is whole and is read by itself. */
class ZigbeeSession implements DriverSession {
  readonly #settings: Settings;

  constructor(settings: Settings) {
    this.#settings = settings;
  }

  feed(bytes: Uint8Array, channel: string): readonly Emission[] {
    switch (purposeOf(channel, this.#settings.base)) {
      case "foreign":
        return [{ kind: "refusal", error: badField("topic", quoted(channel)) }];
      case "others":
        return [];
      case "bridge":
        return readPresence(bytes, BRIDGE_OFFLINE);
      case "availability":
        return readPresence(bytes, DEVICE_OFFLINE);
      case "state": {
        const parsed = parseMessage(bytes);
        return parsed.ok ? readState(parsed.value, this.#settings) : [{ kind: "refusal", error: parsed.error }];
      }
    }
  }

  due() {
    return { bytesToSend: [], nextDueMs: null };
  }
}

// ------------------------------------------------------------------------------------------------------------------- twin

/** The twin reports each minute, which is as often as the talkative ones do, and a host that was away has lost what is older. */
const TWIN_PERIOD_MS = 60_000;
const TWIN_MESSAGES_MAX = 10;
/** The twin of a button is pressed each so many reports. */
const TWIN_PRESS_REPORTS = 5;
/** Keys of each kind of twin. */
const TWIN_KEYS: Readonly<Record<TwinKind, readonly string[]>> = {
  motion: ["occupancy", "illuminance", "temperature", "humidity", "battery"],
  contact: ["contact", "tamper", "battery"],
  sos: ["battery"],
};

/** A key's value by the body, or null where it has none. */
function twinValue(field: Field, reading: Reading, settings: Settings): Json {
  if (reading.kind === "absent") return null;
  if (field.kind === "number") return reading.value;
  const isOne = reading.value === 1;
  return field.quantity === "opening" ? isOne === settings.invertContact : isOne;
}

function twinState(
  body: PatientBody,
  options: Readonly<Record<string, string>>,
  report: { readonly atMs: number; readonly number: number; readonly traits: TwinTraits },
): Json {
  const kind = TWIN_KINDS.find((name) => name === options["twin"]) ?? "motion";
  const settings = settingsOf(options);
  const fields = FIELDS.filter(({ key }) => TWIN_KEYS[kind].includes(key));
  const entries = fields.map(
    (field) => [field.key, twinValue(field, body.quantity(field.quantity, report.atMs), settings)] as const,
  );
  const [action = null] = settings.sosActions;
  const isPressed = report.number % TWIN_PRESS_REPORTS === 0;
  return {
    ...Object.fromEntries(entries),
    ...(kind === "sos" ? { action: isPressed ? action : null } : {}),
    linkquality: 112,
    ...lastSeen(report.atMs, report.traits),
  };
}

/** How its bridge dates a report. Source: zigbee2mqtt.io guide, `last_seen` of the advanced settings. */
function lastSeen(atMs: number, { clockAtZeroMs = RELEASED_AT_MS, variant }: TwinTraits): JsonObject {
  const seenMs = clockAtZeroMs + atMs;
  if (variant === "no-last-seen") return {};
  return { last_seen: variant === "epoch-last-seen" ? Math.round(seenMs) : new Date(seenMs).toISOString() };
}

function createTwin(body: PatientBody, options: Readonly<Record<string, string>>, traits: TwinTraits = {}): Twin {
  const channel = `${options["base"] ?? USUAL_BASE}/%d`;
  let nextMs = 0;
  return {
    due: (atMs) => {
      const bytesToSend: { channel: string; bytes: Uint8Array }[] = [];
      nextMs = Math.max(nextMs, (Math.floor(atMs / TWIN_PERIOD_MS) - TWIN_MESSAGES_MAX + 1) * TWIN_PERIOD_MS);
      for (; nextMs <= atMs; nextMs += TWIN_PERIOD_MS) {
        const state = twinState(body, options, { atMs: nextMs, number: nextMs / TWIN_PERIOD_MS, traits });
        bytesToSend.push({ channel, bytes: new TextEncoder().encode(JSON.stringify(state)) });
      }
      return { bytesToSend, nextDueMs: nextMs };
    },
    receive: () => {},
  };
}

// ---------------------------------------------------------------------------------------------------------------- vectors

const NOTES = "protocol notes section 10 (zigbee-herdsman-converters exposes.ts; computed example)";
const GUIDE = "zigbee2mqtt.io guide, MQTT Topics and Messages";
const SOS_LOG = "Koenkk/zigbee2mqtt issue 31727, debug log of a Tuya TS0601_sos, 2026-04-17";
const RECEIVE = "Koenkk/zigbee2mqtt test/extensions/receive.test.ts";

// biome-ignore format: one vector, one block.
const VECTORS: readonly DriverVector[] = [
  { name: "motion and the battery of a sensor", source: NOTES, channel: "zigbee2mqtt/hall/motion", hex: hexOfText('{"occupancy":true,"battery":97,"linkquality":112}'),
    expect: [{ kind: "message", readings: [{ quantity: "motion", value: 1 }, { quantity: "batteryLevel", value: 97 }], alarms: [] }] },
  { name: "motion alone", source: `${GUIDE}, RTCGQ01LM`, channel: "zigbee2mqtt/hall", hex: hexOfText('{ "occupancy": true }'),
    expect: [{ kind: "message", readings: [{ quantity: "motion", value: 1 }] }] },
  { name: "a motion sensor that tells light and voltage", source: `${RECEIVE}, RTCGQ11LM`, channel: "zigbee2mqtt/occupancy_sensor",
    hex: hexOfText('{"battery":100,"illuminance":381,"voltage":3045,"device_temperature":19,"power_outage_count":34}'),
    expect: [{ kind: "message", readings: [{ quantity: "batteryLevel", value: 100 }, { quantity: "illuminance", value: 381 }] }] },
  { name: "the climate of a room", source: `${GUIDE}, WSDCGQ01LM`, channel: "zigbee2mqtt/bedroom", hex: hexOfText('{ "temperature": 27.34, "humidity": 44.72 }'),
    expect: [{ kind: "message", readings: [{ quantity: "ambientTemperature", value: 27.34 }, { quantity: "relativeHumidity", value: 44.72 }] }] },
  { name: "a cold room is below zero", source: `${RECEIVE}, WSDCGQ11LM`, channel: "zigbee2mqtt/weather_sensor", hex: hexOfText('{"temperature":-0.85}'),
    expect: [{ kind: "message", readings: [{ quantity: "ambientTemperature", value: -0.85 }] }] },
  { name: "contact false is an open door", source: NOTES, channel: "zigbee2mqtt/bathroom/door", hex: hexOfText('{"contact":false,"battery":99}'),
    expect: [{ kind: "message", readings: [{ quantity: "opening", value: 1 }, { quantity: "batteryLevel", value: 99 }] }] },
  { name: "contact true is a closed door", source: `${NOTES}: true = closed`, channel: "zigbee2mqtt/bathroom/door", hex: hexOfText('{"contact":true}'),
    expect: [{ kind: "message", readings: [{ quantity: "opening", value: 0 }] }] },
  { name: "a rail whose sensor is built in the other way round", source: `${NOTES}; option invertContact`, channel: "zigbee2mqtt/rail", options: { invertContact: "true" }, hex: hexOfText('{"contact":true}'),
    expect: [{ kind: "message", readings: [{ quantity: "opening", value: 1 }] }] },
  { name: "a pressed button calls, dated by last_seen in local time", source: SOS_LOG, channel: "zigbee2mqtt/0xa4c13899607febd1",
    hex: hexOfText('{"action":"emergency","battery":100,"last_seen":"2026-04-17T23:33:22+08:00","linkquality":18}'),
    expect: [{ kind: "message", readings: [{ quantity: "batteryLevel", value: 100 }], alarms: [] }, { kind: "message", readings: [], alarms: ["sos"] }] },
  { name: "the empty action behind it means nothing", source: SOS_LOG, channel: "zigbee2mqtt/0xa4c13899607febd1",
    hex: hexOfText('{"action":"","battery":100,"last_seen":"2026-04-17T23:33:22+08:00","linkquality":18}'),
    expect: [{ kind: "message", readings: [{ quantity: "batteryLevel", value: 100 }], alarms: [] }] },
  { name: "an action of null means nothing", source: SOS_LOG, channel: "zigbee2mqtt/0xa4c13899607febd1",
    hex: hexOfText('{"action":null,"battery":100,"last_seen":"2026-04-17T23:33:17+08:00","linkquality":14}'),
    expect: [{ kind: "message", readings: [{ quantity: "batteryLevel", value: 100 }], alarms: [] }] },
  { name: "a call without last_seen", source: "Koenkk/zigbee2mqtt issue 31821, Tuya TS0601_sos", channel: "zigbee2mqtt/sos", hex: hexOfText('{"action":"emergency","battery":80,"linkquality":144}'),
    expect: [{ kind: "message", readings: [{ quantity: "batteryLevel", value: 80 }], alarms: ["sos"] }] },
  { name: "any other button is no call", source: `${GUIDE}, WXKG01LM`, channel: "zigbee2mqtt/switch", hex: hexOfText('{ "action": "single" }'),
    expect: [{ kind: "message", readings: [], alarms: [] }] },
  { name: "unless it is said to be one", source: `${GUIDE}, WXKG01LM; option sosActions`, channel: "zigbee2mqtt/switch", options: { sosActions: "single, double" }, hex: hexOfText('{ "action": "single" }'),
    expect: [{ kind: "message", readings: [], alarms: ["sos"] }] },
  { name: "a radar sees somebody who lies still", source: `${NOTES}, ZG-204ZM`, channel: "zigbee2mqtt/radar", hex: hexOfText('{"presence":true,"motion_state":"static"}'),
    expect: [{ kind: "message", readings: [{ quantity: "presence", value: 1 }, { quantity: "motion", value: 0 }] }] },
  { name: "a fall is an alarm", source: `${NOTES}, MIR-HE200-TY, tuyaRadar.fallDown`, channel: "zigbee2mqtt/radar", hex: hexOfText('{"presence":true,"fall_down_status":"fall"}'),
    expect: [{ kind: "message", readings: [{ quantity: "presence", value: 1 }], alarms: ["fall"] }] },
  { name: "a possible fall is one of its own", source: `${NOTES}, MIR-HE200-TY, tuyaRadar.fallDown`, channel: "zigbee2mqtt/radar", hex: hexOfText('{"presence":true,"fall_down_status":"maybe_fall"}'),
    expect: [{ kind: "message", readings: [{ quantity: "presence", value: 1 }], alarms: ["possible-fall"] }] },
  { name: "water is a value and an alarm", source: NOTES, channel: "zigbee2mqtt/bath", hex: hexOfText('{"water_leak":true,"battery_low":false}'),
    expect: [{ kind: "message", readings: [{ quantity: "waterLeak", value: 1 }], alarms: ["water-leak"] }] },
  { name: "a battery that is not known is an absence", source: "zigbee-herdsman-converters: a property that was never reported is null", channel: "zigbee2mqtt/hall", hex: hexOfText('{"occupancy":false,"battery":null}'),
    expect: [{ kind: "message", readings: [{ quantity: "motion", value: 0 }, { quantity: "batteryLevel", why: "not-available" }] }] },
  { name: "a truth in words is refused by its name, the rest is read", source: `${NOTES}: true/false`, channel: "zigbee2mqtt/hall", hex: hexOfText('{"occupancy":"true","battery":61}'),
    expect: [{ kind: "message", readings: [{ quantity: "batteryLevel", value: 61 }] }, { kind: "refusal", error: "bad-field" }] },
  { name: "a device that its bridge has lost", source: `${NOTES}: BASE/NAME/availability`, channel: "zigbee2mqtt/bathroom/door/availability", hex: hexOfText('{"state":"offline"}'),
    expect: [{ kind: "message", readings: [], alarms: ["device-offline"] }] },
  { name: "a bridge that is gone, by its last will", source: `${NOTES}: BASE/bridge/state`, channel: "zigbee2mqtt/bridge/state", hex: hexOfText('{"state":"offline"}'),
    expect: [{ kind: "message", readings: [], alarms: ["bridge-offline"] }] },
  { name: "older bridges say it without JSON", source: "Koenkk/zigbee2mqtt.io, MQTT topics and message structure of 2018", channel: "zigbee2mqtt/bridge/state", hex: hexOfText("online"),
    expect: [{ kind: "message", readings: [], alarms: [] }] },
];

/** Sensors of a home or a ward by Zigbee2MQTT, one device of the configuration for each; several share the bridge's account on the broker. */
export const mqttZigbee2mqtt: Driver = {
  id: "mqtt-zigbee2mqtt",
  version: "1.0.0",
  title: { en: "Zigbee sensors by Zigbee2MQTT", zh: "Zigbee 传感器（Zigbee2MQTT）" },
  reference: [
    "zigbee2mqtt.io guide, MQTT Topics and Messages; Device-Availability",
    "zigbee-herdsman-converters src/lib/exposes.ts (names and units of keys)",
    "Koenkk/zigbee2mqtt lib/state.ts (an action is never kept), test/extensions/receive.test.ts",
  ],
  link: { kind: "mqtt", topics: [`${USUAL_BASE}/%d`, `${USUAL_BASE}/%d/availability`, `${USUAL_BASE}/bridge/state`] },
  quantities: [
    "motion",
    "presence",
    "opening",
    "vibration",
    "waterLeak",
    "smoke",
    "combustibleGas",
    "carbonMonoxide",
    "tampering",
    "batteryLevel",
    "ambientTemperature",
    "relativeHumidity",
    "illuminance",
  ],
  waveforms: [],
  // Sensors speak when something happens; a device that is gone is told by its availability and its silence.
  expected: [],
  silenceSeconds: SILENCE_SECONDS,
  stuckSeconds: {},
  checksummed: false,
  optionNames: OPTION_NAMES,
  checkOptions,
  open: (options) => new ZigbeeSession(settingsOf(options)),
  encode: null,
  variants: {
    "no-last-seen": { en: "Its bridge dates nothing, as it is set up by default", zh: "网桥不提供时间（默认设置）" },
    "epoch-last-seen": { en: "Its bridge dates by milliseconds since 1970", zh: "网桥以 1970 年起的毫秒数标注时间" },
  },
  twin: createTwin,
  vectors: VECTORS,
};
