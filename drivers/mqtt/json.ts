import { LIMITS } from "../../src/core/limits.ts";
import { type Absence, absent, present, type QualityFlag, type Reading } from "../../src/core/observation.ts";
import type {
  DecodeError,
  DeviceAlarm,
  Driver,
  DriverSession,
  Emission,
  PatientBody,
  Twin,
  TwinTraits,
} from "../../src/core/ports.ts";
import { isQuantityName, QUANTITIES, QUANTITY_NAMES, type QuantityName } from "../../src/core/quantities.ts";
import { assert } from "../../src/core/result.ts";
import { RELEASED_AT_MS, type WallMs } from "../../src/core/time.ts";
import { topicMatches } from "../../src/core/topic-filter.ts";
import { canonicalValue } from "../../src/core/unit.ts";
import {
  ABSENCES,
  type Condition,
  DEVICE_FLAGS,
  isSame,
  JSON_OPTION_NAMES,
  type JsonSettings,
  plainNumber,
  readSettings,
  type Source,
} from "./json-options.ts";
import { formatJsonPath, type JsonPath, valueAt, withValueAt } from "./json-path.ts";
import { badField, isList, isObject, type Json, type JsonObject, memberOf, parseMessage, quoted } from "./json-text.ts";
import { JSON_VECTORS } from "./json-vectors.ts";

/** Where a device of an account of its own publishes, as long as nobody says otherwise. */
const USUAL_TOPIC = "devices/%d/vitals";
/** The twin sends once a second, and what a host did not fetch for ten seconds is gone. */
const TWIN_PERIOD_MS = 1000;
const TWIN_MESSAGES_MAX = 10;
/** Numbers that scale and offset leave behind the sixth decimal are their own rounding. */
const SCALED_STEPS_PER_UNIT = 1_000_000;

/** What a sensor on the body does not measure, so that it is there with the sensor off as well. */
const NOT_ON_THE_BODY: ReadonlySet<QuantityName> = new Set(
  QUANTITY_NAMES.filter((name) => {
    const others: readonly QuantityName[] = ["batteryLevel", "ambientTemperature", "relativeHumidity", "illuminance"];
    return QUANTITIES[name].states !== undefined || others.includes(name);
  }),
);

// ----------------------------------------------------------------------------------------------------------- one value

/** What one value of a message says. */
type Said =
  | { readonly kind: "number"; readonly value: number; readonly flags: readonly QualityFlag[] }
  | { readonly kind: "none"; readonly why: Absence; readonly flags: readonly QualityFlag[] }
  | { readonly kind: "unreadable" };

const UNREADABLE: Said = { kind: "unreadable" };

function said(value: number): Said {
  return { kind: "number", value, flags: [] };
}

/** Signs for no value that every device may use: null, an empty text, dashes, and the text `NaN`. */
function isNothing(value: Json): boolean {
  return value === null || (typeof value === "string" && /^\s*(-*|nan)\s*$/i.test(value));
}

/** A number, a number written as text, or true and false of a quantity that is a state. Text with anything else in it is not guessed at. */
function numberOf(quantity: QuantityName, value: Json): number | null {
  if (typeof value === "boolean") return QUANTITIES[quantity].states === undefined ? null : Number(value);
  return plainNumber(value);
}

/** A value by the mapping's rules. */
function readMapped(source: Source, value: Json): Said {
  if (isNothing(value) || source.absent.some((sign) => isSame(sign, value))) return { kind: "none", why: source.why, flags: [] };
  const number = numberOf(source.quantity, value);
  if (number === null) return UNREADABLE;
  const scaled = Math.round((number * source.scale + source.offset) * SCALED_STEPS_PER_UNIT) / SCALED_STEPS_PER_UNIT;
  return Number.isFinite(scaled) ? said(scaled) : UNREADABLE;
}

/** A value in the gateway's own form: a number, null, or an object with `value` or `absent` and with `flags`. */
function readPlain(quantity: QuantityName, value: Json): Said {
  if (isNothing(value)) return { kind: "none", why: "not-available", flags: [] };
  if (!isObject(value)) {
    const number = numberOf(quantity, value);
    return number === null ? UNREADABLE : said(number);
  }
  const flags = flagsOf(memberOf(value, "flags"));
  const reason = memberOf(value, "absent");
  const why = ABSENCES.find((name) => name === reason);
  const number = numberOf(quantity, memberOf(value, "value") ?? null);
  if (flags === null || (reason !== undefined && why === undefined) || (why === undefined && number === null)) return UNREADABLE;
  return why !== undefined ? { kind: "none", why, flags } : { kind: "number", value: number ?? Number.NaN, flags };
}

function flagsOf(value: Json | undefined): readonly QualityFlag[] | null {
  if (value === undefined) return [];
  if (!isList(value)) return null;
  const flags = DEVICE_FLAGS.filter((flag) => value.includes(flag));
  return flags.length === value.length ? flags : null;
}

// --------------------------------------------------------------------------------------------------------- one message

/** What is found in one message, or in one record of a message that lists several. */
interface Findings {
  readonly readings: Reading[];
  readonly refusals: DecodeError[];
  readonly alarms: DeviceAlarm[];
  /** Whether anything the settings name is in it; a message without any is not one of this device, or the settings are wrong. */
  named: boolean;
}

function takeSaid(
  findings: Findings,
  field: string,
  given: Json,
  what: Said,
  make: (what: Exclude<Said, { kind: "unreadable" }>) => Reading,
): void {
  findings.named = true;
  if (what.kind === "unreadable") findings.refusals.push(badField(field, quoted(given)));
  else findings.readings.push(make(what));
}

function readingOf(
  quantity: QuantityName,
  what: Exclude<Said, { kind: "unreadable" }>,
  more: { unit: string; held: boolean; flags: readonly QualityFlag[] },
): Reading {
  const flags = [...new Set([...what.flags, ...more.flags])];
  if (what.kind === "none") return absent(quantity, what.why, what.flags);
  return present(quantity, what.value, more.unit, { flags, held: more.held });
}

/** The state of a condition: null where the message does not say. */
function stateOf(condition: Condition | null, message: Json): boolean | null {
  if (condition === null) return null;
  const value = valueAt(condition.path, message);
  return value === undefined ? null : condition.isMet(value);
}

function flagsBy(rules: Source["questionable"], message: Json): readonly QualityFlag[] {
  return rules.flatMap(({ condition, flag }) => (stateOf(condition, message) === true ? [flag] : []));
}

/** Reads the quantities of the mapping: of the alternatives of each, the first that is in the message. */
function findMapped(
  findings: Findings,
  mapping: NonNullable<JsonSettings["mapping"]>,
  message: Json,
  about: Circumstances,
): void {
  for (const [quantity, alternatives] of mapping) {
    const sources = alternatives.filter(({ topic }) => topic === null || topicMatches(topic, about.topic));
    if (about.sensorOff && sources.length > 0 && !NOT_ON_THE_BODY.has(quantity)) {
      findings.readings.push(absent(quantity, "sensor-off"));
      continue;
    }
    for (const source of sources) {
      const value = valueAt(source.path, message);
      if (value !== undefined) findings.named = true;
      if (source.when !== null && stateOf(source.when, message) !== true) continue;
      if (value === undefined && !source.required) continue;
      if (value === undefined) {
        findings.readings.push(absent(quantity, "not-available"));
      } else {
        const more = { unit: source.unit, held: source.held, flags: [...flagsBy(source.questionable, message), ...about.flags] };
        takeSaid(findings, formatJsonPath(source.path), value, readMapped(source, value), (what) =>
          readingOf(quantity, what, more),
        );
      }
      break;
    }
  }
}

/** Reads the members that have a quantity's name. */
function findPlain(findings: Findings, message: JsonObject, about: Circumstances): void {
  for (const [key, value] of Object.entries(message)) {
    if (!isQuantityName(key)) continue;
    if (about.sensorOff && !NOT_ON_THE_BODY.has(key)) {
      findings.named = true;
      findings.readings.push(absent(key, "sensor-off"));
      continue;
    }
    const more = { unit: QUANTITIES[key].unit, held: false, flags: about.flags };
    takeSaid(findings, formatJsonPath([key]), value, readPlain(key, value), (what) => readingOf(key, what, more));
  }
}

interface Circumstances {
  readonly topic: string;
  readonly sensorOff: boolean;
  readonly flags: readonly QualityFlag[];
}

function findAlarms(findings: Findings, settings: JsonSettings, message: Json, topic: string): void {
  for (const rule of settings.alarms) {
    if (rule.topic !== null && !topicMatches(rule.topic, topic)) continue;
    const active = stateOf(rule.condition, message);
    if (active === null) continue;
    findings.named = true;
    // A call has no end that could be told.
    if (active || rule.alarm.once !== true) findings.alarms.push({ ...rule.alarm, active });
  }
}

/** What the device's own time says, and whether the message may count as of now. */
type Dating = Pick<Extract<Emission, { kind: "message" }>, "deviceClockMs" | "stored" | "mayBeStored">;

/**
 * A message is dated where the settings name its time. One that should be dated and is not is kept as measured at a time that nobody
 * knows: taken for now, an old one could end an alert that is true.
 */
function datingOf(findings: Findings, time: JsonSettings["time"], message: Json): Dating {
  if (time === null) return { deviceClockMs: null };
  const unknown: Dating = { deviceClockMs: null, stored: { atDeviceMs: null, deviceNowMs: null } };
  const value = valueAt(time.path, message);
  if (value === undefined) return time.required ? unknown : { deviceClockMs: null };
  const atMs: WallMs | null = time.format.read(value);
  if (atMs !== null) return { deviceClockMs: atMs, mayBeStored: true };
  if (!isNothing(value)) findings.refusals.push(badField(formatJsonPath(time.path), quoted(value)));
  return unknown;
}

/** Reads one message, or one record of a message that lists several. */
function readRecord(settings: JsonSettings, message: Json, topic: string, isListed: boolean): readonly Emission[] {
  const findings: Findings = { readings: [], refusals: [], alarms: [], named: false };
  const off = stateOf(settings.contact, message);
  const inTest = stateOf(settings.test, message);
  if (off !== null || inTest !== null) findings.named = true;
  const about = { topic, sensorOff: off === true, flags: flagsBy(settings.quality, message) };
  if (settings.mapping !== null) findMapped(findings, settings.mapping, message, about);
  else if (isObject(message)) findPlain(findings, message, about);
  findAlarms(findings, settings, message, topic);
  if (!findings.named) return [{ kind: "refusal", error: badField("$", `nothing that is mapped: ${outlined(message)}`) }];
  const dating = datingOf(findings, settings.time, message);
  const shared = { waveforms: [], events: [], origin: inTest === true ? "test" : "device" } as const;
  // A call counts as one of now, however its device's clock goes; records of a list are old by right.
  const isDated = dating.mayBeStored === true || dating.stored != null;
  const calls = isDated && !isListed ? findings.alarms.filter((alarm) => alarm.once === true) : [];
  const alarms = findings.alarms.filter((alarm) => !calls.includes(alarm));
  return [
    { kind: "message", readings: findings.readings, alarms, ...dating, ...shared },
    ...(calls.length === 0 ? [] : [{ kind: "message", readings: [], alarms: calls, deviceClockMs: null, ...shared } as const]),
    ...findings.refusals.map((error) => ({ kind: "refusal", error }) as const),
  ];
}

/** The names of an object's first members, so that a person sees what came instead of what was mapped. */
function outlined(message: Json): string {
  return isObject(message) ? quoted(Object.keys(message).slice(0, 6).join(" ")) : quoted(message);
}

// ------------------------------------------------------------------------------------------------------------- session

/** Holds the settings and nothing else: each message is whole. */
class JsonSession implements DriverSession {
  readonly #settings: JsonSettings;

  constructor(settings: JsonSettings) {
    this.#settings = settings;
  }

  feed(bytes: Uint8Array, channel: string): readonly Emission[] {
    const parsed = parseMessage(bytes);
    if (!parsed.ok) return [{ kind: "refusal", error: parsed.error }];
    const { each } = this.#settings;
    if (each === null) return readRecord(this.#settings, parsed.value, channel, false);
    const list = valueAt(each, parsed.value);
    if (!isList(list)) {
      const error = badField(
        formatJsonPath(each),
        list === undefined ? `nothing, beside ${outlined(parsed.value)}` : quoted(list),
      );
      return [{ kind: "refusal", error }];
    }
    return this.#readList(list, channel, formatJsonPath(each));
  }

  due() {
    return { bytesToSend: [], nextDueMs: null };
  }

  /** An alarm that is off is said where it ends and by the last record, not by each of a thousand. */
  #readList(list: readonly Json[], channel: string, path: string): readonly Emission[] {
    const taken = list.slice(0, LIMITS.messageElementsMax.value);
    const emissions = taken.flatMap((record) => readRecord(this.#settings, record, channel, true));
    const active = new Set<string>();
    const last = emissions.findLastIndex(({ kind }) => kind === "message");
    const thinned = emissions.map((emission, at) => {
      if (emission.kind === "refusal" || at === last) return emission;
      const alarms = emission.alarms.filter((alarm) => alarm.active || active.has(alarm.code));
      for (const alarm of emission.alarms) alarm.active ? active.add(alarm.code) : active.delete(alarm.code);
      return { ...emission, alarms };
    });
    if (taken.length === list.length) return thinned;
    return [...thinned, { kind: "refusal", error: badField(path, `${list.length} records, ${taken.length} read`) }];
  }
}

function settingsOf(options: Readonly<Record<string, string>>): JsonSettings {
  const { settings, problems } = readSettings(options);
  assert(problems.length === 0, "options that have a problem never reach a driver");
  return settings;
}

// ----------------------------------------------------------------------------------------------------------- other way

/** The value of a canonical reading in the source's unit, before scale and offset: the conversions are all straight lines. */
function unscaled(source: Source, reading: Extract<Reading, { kind: "present" }>): number {
  const far = 1_000_000;
  const at0 = canonicalValue(source.quantity, 0, source.unit) ?? 0;
  const perUnit = ((canonicalValue(source.quantity, far, source.unit) ?? far) - at0) / far;
  const inUnit = reading.unit === source.unit ? reading.value : (reading.value - at0) / perUnit;
  return Math.round(((inUnit - source.offset) / source.scale) * 10_000) / 10_000;
}

function mappedValue(source: Source, reading: Reading): Json {
  if (reading.kind === "absent") return source.absent[0] ?? null;
  return QUANTITIES[source.quantity].states !== undefined && source.scale === 1 ? reading.value === 1 : unscaled(source, reading);
}

function plainValue(reading: Reading): Json {
  const flags = reading.flags.length === 0 ? {} : { flags: reading.flags };
  if (reading.kind === "present") return reading.flags.length === 0 ? reading.value : { value: reading.value, ...flags };
  return reading.why === "not-available" && reading.flags.length === 0 ? null : { absent: reading.why, ...flags };
}

/** The message that says these readings, by the settings; the device's time is written where the settings name one. */
function messageOf(settings: JsonSettings, readings: readonly Reading[], deviceClockMs: number): Json {
  let message: Json = {};
  const put = (path: JsonPath, value: Json) => {
    message = withValueAt(message, path, value);
  };
  if (settings.mapping === null) for (const reading of readings) put([reading.quantity], plainValue(reading));
  for (const reading of settings.mapping === null ? [] : readings) {
    const source = settings.mapping?.get(reading.quantity)?.[0];
    if (source === undefined) continue;
    put(source.path, mappedValue(source, reading));
    if (source.when !== null) put(source.when.path, source.when.example);
  }
  const onBody = readings.filter(({ quantity }) => !NOT_ON_THE_BODY.has(quantity));
  const isOff = onBody.length > 0 && onBody.every((reading) => reading.kind === "absent" && reading.why === "sensor-off");
  if (settings.contact !== null && isOff) put(settings.contact.path, settings.contact.example);
  if (settings.time?.required === true) put(settings.time.path, settings.time.format.write(deviceClockMs));
  return settings.each === null ? message : withValueAt(undefined, settings.each, [message]);
}

function encode(readings: readonly Reading[], options: Readonly<Record<string, string>> = {}): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(messageOf(settingsOf(options), readings, RELEASED_AT_MS)));
}

/** As a device shows it: in whole steps of its quantity. */
function inSteps(reading: Reading): Reading {
  if (reading.kind === "absent") return reading;
  const stepsPerUnit = 1 / QUANTITIES[reading.quantity].resolution;
  return { ...reading, value: Math.round(reading.value * stepsPerUnit) / stepsPerUnit };
}

/** Once a second all that the body has, or all that is mapped, by one message. */
function createTwin(body: PatientBody, options: Readonly<Record<string, string>>, traits: TwinTraits = {}): Twin {
  const { clockAtZeroMs = RELEASED_AT_MS } = traits;
  const settings = settingsOf(options);
  const measured = QUANTITY_NAMES.filter((name) => {
    const reading = body.quantity(name, 0);
    return settings.mapping?.has(name) ?? !(reading.kind === "absent" && reading.why === "not-available");
  });
  const topic = [...(settings.mapping?.values() ?? [])].flat().find((source) => source.topic !== null)?.topic ?? USUAL_TOPIC;
  const channel = topic.replaceAll("+", "twin").replaceAll("#", "twin");
  let nextMs = 0;
  return {
    due: (atMs) => {
      const bytesToSend: { channel: string; bytes: Uint8Array }[] = [];
      nextMs = Math.max(nextMs, (Math.floor(atMs / TWIN_PERIOD_MS) - TWIN_MESSAGES_MAX + 1) * TWIN_PERIOD_MS);
      for (; nextMs <= atMs; nextMs += TWIN_PERIOD_MS) {
        const readings = measured.map((name) => inSteps(body.quantity(name, nextMs)));
        const bytes = new TextEncoder().encode(JSON.stringify(messageOf(settings, readings, clockAtZeroMs + nextMs)));
        bytesToSend.push({ channel, bytes });
      }
      return { bytesToSend, nextDueMs: nextMs };
    },
    receive: () => {},
  };
}

/** Any device that sends JSON by MQTT, described by its options. */
export const mqttJson: Driver = {
  id: "mqtt-json",
  version: "1.0.0",
  title: { en: "JSON by MQTT, mapped by options", zh: "MQTT JSON（可配置映射）" },
  reference: ["RFC 8259 (JSON)", "RFC 9535 (the part of it that names one value)", "drivers/README.md, JSON by MQTT"],
  link: { kind: "mqtt", topics: [USUAL_TOPIC] },
  quantities: QUANTITY_NAMES,
  waveforms: [],
  expected: [],
  silenceSeconds: 60,
  stuckSeconds: {},
  checksummed: false,
  optionNames: JSON_OPTION_NAMES,
  checkOptions: (options) => readSettings(options).problems,
  open: (options) => new JsonSession(settingsOf(options)),
  encode,
  twin: createTwin,
  vectors: JSON_VECTORS,
};
