import type { Absence, QualityFlag } from "../../src/core/observation.ts";
import type { DeviceAlarm, OptionProblem } from "../../src/core/ports.ts";
import { isQuantityName, QUANTITIES, type QuantityName, type Text } from "../../src/core/quantities.ts";
import { isTopicFilter } from "../../src/core/topic-filter.ts";
import { canonicalValue } from "../../src/core/unit.ts";
import { type JsonPath, parseJsonPath } from "./json-path.ts";
import { isList, isObject, type Json, type JsonObject, parseStrictJson, quoted } from "./json-text.ts";
import { createTimeFormat, parseZone, type TimeFormat } from "./json-time.ts";

/** A value that is no object and no list. */
export type Scalar = null | boolean | number | string;

/** What a value of the message must be for something to hold. */
export interface Condition {
  readonly path: JsonPath;
  readonly isMet: (value: Json) => boolean;
  /** One value that meets it, for messages we make ourselves. */
  readonly example: Json;
}

/** A value that lowers the trust in others. */
export interface FlagRule {
  readonly condition: Condition;
  readonly flag: QualityFlag;
}

/** Where one quantity stands in a message and what it means there. */
export interface Source {
  readonly quantity: QuantityName;
  readonly path: JsonPath;
  /** UCUM, after scale and offset. */
  readonly unit: string;
  readonly scale: number;
  readonly offset: number;
  /** Filter of the topics it comes on, or null for any. */
  readonly topic: string | null;
  /** Values that mean none, besides null, empty texts and dashes. */
  readonly absent: readonly Scalar[];
  readonly why: Absence;
  readonly held: boolean;
  /** Whether a message without it says that there is none. */
  readonly required: boolean;
  readonly when: Condition | null;
  readonly questionable: readonly FlagRule[];
}

/** An alarm of the device by a value of its message. */
export interface AlarmRule {
  readonly condition: Condition;
  readonly topic: string | null;
  readonly alarm: Omit<DeviceAlarm, "active">;
}

/** Where the device's own time stands. */
export interface TimeSource {
  readonly path: JsonPath;
  readonly format: TimeFormat;
  /** Whether a message without it is one of unknown time; else it is of now. */
  readonly required: boolean;
}

/** The options of `mqtt-json`, read once. */
export interface JsonSettings {
  /** Alternatives of each quantity in their order; null where messages use the gateway's own names. */
  readonly mapping: ReadonlyMap<QuantityName, readonly Source[]> | null;
  readonly each: JsonPath | null;
  readonly time: TimeSource | null;
  readonly contact: Condition | null;
  readonly quality: readonly FlagRule[];
  readonly alarms: readonly AlarmRule[];
  readonly test: Condition | null;
}

/** Names of the options, as a user writes them. */
export const JSON_OPTION_NAMES = ["mapping", "each", "time", "contact", "quality", "alarms", "test"] as const;

type OptionName = (typeof JSON_OPTION_NAMES)[number];

/** Absences a mapping may name. */
export const ABSENCES: readonly Absence[] = ["sensor-off", "no-signal", "not-available", "invalid", "searching", "out-of-range"];

/** Flags a mapping may name: what a device can know of its own measurement. */
// biome-ignore format: one list.
export const DEVICE_FLAGS: readonly QualityFlag[] = ["motion", "low-perfusion", "weak-signal", "signal-lost", "contact-unknown",
  "irregular-pulse", "early-estimate", "device-alarm", "device-questionable"];

/** How people write units, with their UCUM. */
// biome-ignore format: one row a unit.
const UNIT_WORDS: Readonly<Record<string, string>> = {
  mmHg: "mm[Hg]", "°C": "Cel", "℃": "Cel", C: "Cel", degC: "Cel", "°F": "[degF]", "℉": "[degF]", F: "[degF]", degF: "[degF]",
  bpm: "/min", "1/min": "/min", "次/分": "/min", lb: "[lb_av]", lbs: "[lb_av]", "mg/dl": "mg/dL", "mmol/l": "mmol/L", lux: "lx", ratio: "1",
};

/** Units that some quantity here can be given in, for remedies. */
// biome-ignore format: one list.
const UNITS = ["/min", "%", "1", "mm[Hg]", "kPa", "Cel", "[degF]", "mmol/L", "mg/dL", "kg", "g", "[lb_av]", "ms", "s", "lx"];

const PATH_REMEDY: Text = {
  en: 'write where the value stands, such as $.vitals.hr, $.list[0] or $["heart rate"]',
  zh: '请写出该值的位置，例如 $.vitals.hr、$.list[0] 或 $["heart rate"]',
};

/** Where in the options something stands: the option, and what is inside it. */
interface Place {
  readonly option: OptionName;
  readonly inside: string;
}

function within(place: Place, name: string | number): Place {
  if (typeof name === "number") return { ...place, inside: `${place.inside}[${name}]` };
  return { ...place, inside: place.inside === "" ? name : `${place.inside}.${name}` };
}

/** Reads the options. What could not be read is left out of the settings and named in the problems. */
export function readSettings(options: Readonly<Record<string, string>>): {
  readonly settings: JsonSettings;
  readonly problems: readonly OptionProblem[];
} {
  const reader = new OptionReader();
  const given = (option: OptionName) => reader.json(options[option], { option, inside: "" });
  const mapping = readMapping(reader, given("mapping"));
  const each = given("each");
  const test = given("test");
  const settings: JsonSettings = {
    mapping,
    each: each === undefined ? null : reader.path(each, { option: "each", inside: "" }),
    time: readTime(reader, given("time"), mapping === null),
    contact: readContact(reader, given("contact")),
    quality: readFlagRules(reader, given("quality"), { option: "quality", inside: "" }),
    alarms: readAlarms(reader, given("alarms")),
    test: test === undefined ? null : readWholeCondition(reader, test, { option: "test", inside: "" }),
  };
  return { settings, problems: reader.problems };
}

/** Reads values of the options and gathers what is wrong with them. */
class OptionReader {
  readonly problems: OptionProblem[] = [];

  complain({ option, inside }: Place, problem: Text, remedy: Text): null {
    const where = inside === "" ? "" : `${inside} `;
    this.problems.push({ option, problem: { en: `${where}${problem.en}`, zh: `${where}${problem.zh}` }, remedy });
    return null;
  }

  /** An option's text: a path stands as it is, everything else is JSON. */
  json(text: string | undefined, place: Place): Json | undefined {
    if (text === undefined) return undefined;
    if (text.startsWith("$")) return text;
    const parsed = parseStrictJson(text);
    if (parsed.ok) return parsed.value;
    this.complain(
      place,
      { en: `is wrong, it holds ${parsed.error}`, zh: `有误：${parsed.error}` },
      { en: "write it as JSON, or as indented YAML in the configuration", zh: "请写成 JSON，或在配置中写成缩进的 YAML" },
    );
    return undefined;
  }

  object(value: Json, place: Place, names: readonly string[]): JsonObject | null {
    if (!isObject(value)) {
      const problem = { en: `is ${quoted(value)} and no object`, zh: `是 ${quoted(value)}，不是对象` };
      return this.complain(place, problem, { en: `give ${names.join(", ")} as needed`, zh: `可填：${names.join("、")}` });
    }
    for (const key of Object.keys(value)) {
      if (names.includes(key)) continue;
      const problem = { en: `has no setting ${quoted(key)}`, zh: `没有设置项 ${quoted(key)}` };
      this.complain(place, problem, { en: `use ${names.join(", ")}`, zh: `可用：${names.join("、")}` });
    }
    return value;
  }

  path(value: Json | undefined, place: Place): JsonPath | null {
    if (value === undefined) return this.complain(place, { en: "is missing", zh: "缺少" }, PATH_REMEDY);
    const parsed = typeof value === "string" ? parseJsonPath(value) : null;
    if (parsed?.ok === true) return parsed.value;
    const part = quoted(parsed === null ? value : parsed.error);
    const problem = { en: `is no path, ${part} is not understood`, zh: `不是路径，无法理解 ${part}` };
    return this.complain(place, problem, PATH_REMEDY);
  }

  number(value: Json | undefined, place: Place, usual: number): number {
    if (value === undefined) return usual;
    if (typeof value === "number" && Number.isFinite(value)) return value;
    this.complain(place, { en: `is ${quoted(value)} and no number`, zh: `是 ${quoted(value)}，不是数字` }, NUMBER_REMEDY);
    return usual;
  }

  boolean(value: Json | undefined, place: Place): boolean {
    if (value === undefined || typeof value === "boolean") return value ?? false;
    const problem = { en: `is ${quoted(value)}`, zh: `是 ${quoted(value)}` };
    this.complain(place, problem, { en: "write true or false", zh: "请写 true 或 false" });
    return false;
  }

  choice<Choice extends string>(value: Json | undefined, place: Place, choices: readonly Choice[]): Choice | null {
    const found = choices.find((choice) => choice === value);
    if (found !== undefined) return found;
    const problem =
      value === undefined ? { en: "is missing", zh: "缺少" } : { en: `is ${quoted(value)}`, zh: `是 ${quoted(value)}` };
    return this.complain(place, problem, { en: `use one of ${choices.join(", ")}`, zh: `请使用其中之一：${choices.join("、")}` });
  }

  topic(value: Json | undefined, place: Place): string | null {
    if (value === undefined) return null;
    if (typeof value === "string" && isTopicFilter(value)) return value;
    const problem = { en: `is no topic filter: ${quoted(value)}`, zh: `不是主题过滤器：${quoted(value)}` };
    return this.complain(place, problem, { en: "write it such as devices/+/vitals", zh: "请写成例如 devices/+/vitals" });
  }

  /** A list of values, or one value that stands for a list of one. */
  scalars(value: Json | undefined, place: Place): readonly Scalar[] | null {
    const list = isList(value) ? value : value === undefined ? [] : [value];
    const scalars = list.filter((entry): entry is Scalar => !isObject(entry) && !isList(entry));
    if (scalars.length === list.length && list.length > 0) return scalars;
    const problem = { en: "needs values to compare with", zh: "需要用于比较的值" };
    return this.complain(place, problem, { en: 'write them such as [0, "off"]', zh: '请写成例如 [0, "off"]' });
  }
}

const NUMBER_REMEDY: Text = { en: "write a number without quotes", zh: "请写不带引号的数字" };

// --------------------------------------------------------------------------------------------------------- conditions

const COMPARISONS = ["equals", "contains", "below", "above"] as const;

/** A condition that stands alone in its object. */
function readWholeCondition(reader: OptionReader, value: Json, place: Place): Condition | null {
  const object = reader.object(value, place, ["path", ...COMPARISONS]);
  return object === null ? null : readCondition(reader, object, place);
}

/** The `path` and the one comparison of an object that may hold more. */
function readCondition(reader: OptionReader, object: JsonObject, place: Place): Condition | null {
  const path = reader.path(object["path"], within(place, "path"));
  const named = COMPARISONS.filter((name) => object[name] !== undefined);
  const [comparison] = named;
  if (comparison === undefined || named.length > 1) {
    const problem = { en: "needs exactly one comparison", zh: "需要且只能有一个比较条件" };
    return reader.complain(place, problem, {
      en: `give one of ${COMPARISONS.join(", ")}`,
      zh: `请给出其中之一：${COMPARISONS.join("、")}`,
    });
  }
  const given = object[comparison];
  if (comparison === "equals" || comparison === "contains") {
    const values = reader.scalars(given, within(place, comparison));
    if (path === null || values === null) return null;
    const isOne = (value: Json) => values.some((wanted) => isSame(wanted, value));
    const [example = null] = values;
    if (comparison === "equals") return { path, isMet: isOne, example };
    return { path, isMet: (value) => isList(value) && value.some(isOne), example: [example] };
  }
  const bound = reader.number(given, within(place, comparison), Number.NaN);
  if (path === null || Number.isNaN(bound)) return null;
  const isMet = (value: Json) => {
    const number = plainNumber(value);
    return number !== null && (comparison === "below" ? number < bound : number > bound);
  };
  return { path, isMet, example: comparison === "below" ? bound - 1 : bound + 1 };
}

/** Whether a message's value is the one an option names; `72` and `"72"` are the same to devices that write numbers as text. */
export function isSame(wanted: Scalar, value: Json): boolean {
  if (wanted === value) return true;
  const number = plainNumber(value);
  return number !== null && number === plainNumber(wanted);
}

/** A number, also one written as text in plain decimals; null for everything else, such as `72 bpm`, `1e3` in a text, or a number too great to be one. */
export function plainNumber(value: Json): number | null {
  const number = typeof value === "string" && /^[+-]?\d{1,15}(\.\d{1,15})?$/.test(value) ? Number(value) : value;
  return typeof number === "number" && Number.isFinite(number) ? number : null;
}

function readFlagRules(reader: OptionReader, value: Json | undefined, place: Place): readonly FlagRule[] {
  if (value === undefined) return [];
  if (isList(value)) return value.flatMap((entry, at) => readFlagRules(reader, entry, within(place, at)));
  const object = reader.object(value, place, ["path", ...COMPARISONS, "flag"]);
  if (object === null) return [];
  const condition = readCondition(reader, object, place);
  const flag = reader.choice(object["flag"] ?? "device-questionable", within(place, "flag"), DEVICE_FLAGS);
  return condition === null || flag === null ? [] : [{ condition, flag }];
}

function readContact(reader: OptionReader, value: Json | undefined): Condition | null {
  if (value === undefined) return null;
  const place: Place = { option: "contact", inside: "" };
  const object = reader.object(value, place, ["path", "off"]);
  if (object === null) return null;
  const path = reader.path(object["path"], within(place, "path"));
  const off = reader.scalars(object["off"], within(place, "off"));
  if (path === null || off === null) return null;
  return { path, isMet: (given) => off.some((wanted) => isSame(wanted, given)), example: off[0] ?? null };
}

// ------------------------------------------------------------------------------------------------------------ mapping

// biome-ignore format: one list.
const SOURCE_SETTINGS = ["path", "unit", "scale", "offset", "topic", "absent", "why", "held", "required", "when", "questionable"];

function readMapping(reader: OptionReader, value: Json | undefined): JsonSettings["mapping"] {
  if (value === undefined) return null;
  const place: Place = { option: "mapping", inside: "" };
  const mapping = new Map<QuantityName, readonly Source[]>();
  if (!isObject(value) || Object.keys(value).length === 0) {
    const problem = { en: "names no quantity", zh: "没有任何量" };
    reader.complain(place, problem, { en: 'write it such as {"heartRate":"$.hr"}', zh: '请写成例如 {"heartRate":"$.hr"}' });
    return mapping;
  }
  for (const [name, given] of Object.entries(value)) {
    if (!isQuantityName(name)) {
      reader.complain(within(place, name.slice(0, 40)), { en: "is no quantity", zh: "不是可用的量" }, quantityRemedy(name));
      continue;
    }
    const alternatives = isList(given) ? given : [given];
    const sources = alternatives.flatMap((one, at) => {
      const source = readSource(reader, name, one, isList(given) ? within(within(place, name), at) : within(place, name));
      return source === null ? [] : [source];
    });
    if (alternatives.length === 0) reader.path(undefined, within(place, name));
    mapping.set(name, sources);
  }
  return mapping;
}

/** Names that are written nearly so, or all of them. */
function quantityRemedy(name: string): Text {
  const near = Object.keys(QUANTITIES).filter((known) => {
    const [one, other] = [known.toLowerCase(), name.toLowerCase().replaceAll(/[^a-z]/g, "")];
    return other.length > 2 && (one.startsWith(other.slice(0, 5)) || one.includes(other));
  });
  const names = (near.length > 0 ? near : Object.keys(QUANTITIES)).join(", ");
  return { en: `use one of ${names}`, zh: `请使用其中之一：${names}` };
}

function readSource(reader: OptionReader, quantity: QuantityName, given: Json, place: Place): Source | null {
  const value: Json = typeof given === "string" ? { path: given } : given;
  const object = reader.object(value, place, SOURCE_SETTINGS);
  if (object === null) return null;
  const path = reader.path(object["path"], typeof given === "string" ? place : within(place, "path"));
  const unit = readUnit(reader, quantity, object["unit"], within(place, "unit"));
  const scale = reader.number(object["scale"], within(place, "scale"), 1);
  if (scale === 0)
    reader.complain(
      within(place, "scale"),
      { en: "is 0, so that every value would be 0", zh: "为 0，所有值都会变成 0" },
      NUMBER_REMEDY,
    );
  const source = {
    quantity,
    scale,
    offset: reader.number(object["offset"], within(place, "offset"), 0),
    topic: reader.topic(object["topic"], within(place, "topic")),
    absent: object["absent"] === undefined ? [] : (reader.scalars(object["absent"], within(place, "absent")) ?? []),
    why: reader.choice(object["why"] ?? "not-available", within(place, "why"), ABSENCES) ?? "not-available",
    held: reader.boolean(object["held"], within(place, "held")),
    required: reader.boolean(object["required"], within(place, "required")),
    when: object["when"] === undefined ? null : readWholeCondition(reader, object["when"], within(place, "when")),
    questionable: readFlagRules(reader, object["questionable"], within(place, "questionable")),
  };
  return path === null || unit === null ? null : { ...source, path, unit };
}

function readUnit(reader: OptionReader, quantity: QuantityName, value: Json | undefined, place: Place): string | null {
  if (value === undefined) return QUANTITIES[quantity].unit;
  const unit = typeof value === "string" ? (Object.hasOwn(UNIT_WORDS, value) ? UNIT_WORDS[value] : value) : undefined;
  if (unit !== undefined && canonicalValue(quantity, 1, unit) !== null) return unit;
  const known = UNITS.filter((name) => canonicalValue(quantity, 1, name) !== null).join(", ");
  const problem = { en: `is ${quoted(value)}, which cannot be converted`, zh: `是 ${quoted(value)}，无法换算` };
  return reader.complain(place, problem, { en: `use one of ${known}`, zh: `请使用其中之一：${known}` });
}

// ------------------------------------------------------------------------------------------------------ time and alarms

/** Without a mapping a `time` of ISO 8601 is read where there is one. */
function readTime(reader: OptionReader, given: Json | undefined, isPlain: boolean): TimeSource | null {
  const place: Place = { option: "time", inside: "" };
  const value: Json | undefined = typeof given === "string" ? { path: given } : given;
  const usual = createTimeFormat("iso", 0);
  if (value === undefined) return isPlain && usual.ok ? { path: ["time"], format: usual.value, required: false } : null;
  const object = reader.object(value, place, ["path", "format", "zone"]);
  if (object === null) return null;
  const path = reader.path(object["path"], within(place, "path"));
  const zone = object["zone"] ?? "Z";
  const zoneMinutes = typeof zone === "string" ? parseZone(zone) : null;
  if (zoneMinutes === null)
    reader.complain(
      within(place, "zone"),
      { en: `is ${quoted(zone)}`, zh: `是 ${quoted(zone)}` },
      { en: "write the offset from UTC such as +08:00", zh: "请写与 UTC 的时差，例如 +08:00" },
    );
  const name = object["format"] ?? "iso";
  const format = typeof name === "string" ? createTimeFormat(name, zoneMinutes ?? 0) : null;
  if (format?.ok !== true)
    reader.complain(
      within(place, "format"),
      { en: `is ${quoted(name)}`, zh: `是 ${quoted(name)}` },
      {
        en: "use iso, unix-seconds, unix-milliseconds, or a pattern such as yyyy-MM-dd HH:mm:ss with year, month, day, hour and minute",
        zh: "请使用 iso、unix-seconds、unix-milliseconds，或含年月日时分的格式，例如 yyyy-MM-dd HH:mm:ss",
      },
    );
  return path === null || format?.ok !== true ? null : { path, format: format.value, required: true };
}

function readAlarms(reader: OptionReader, value: Json | undefined): readonly AlarmRule[] {
  if (value === undefined) return [];
  const place: Place = { option: "alarms", inside: "" };
  const rules = (isList(value) ? value : [value]).flatMap((entry, at) => {
    const rule = readAlarm(reader, entry, isList(value) ? within(place, at) : place);
    return rule === null ? [] : [rule];
  });
  for (const [at, { alarm }] of rules.entries()) {
    if (rules.findIndex((other) => other.alarm.code === alarm.code) === at) continue;
    const problem = { en: `uses the code ${alarm.code} twice`, zh: `重复使用代码 ${alarm.code}` };
    reader.complain(place, problem, { en: "give each alarm its own code", zh: "请为每个报警使用不同的代码" });
  }
  return rules;
}

function readAlarm(reader: OptionReader, value: Json, place: Place): AlarmRule | null {
  const names = ["path", ...COMPARISONS, "code", "nature", "priority", "text", "once", "topic"];
  const object = reader.object(value, place, names);
  if (object === null) return null;
  const condition = readCondition(reader, object, place);
  const nature = reader.choice(object["nature"], within(place, "nature"), ["physiological", "technical"]);
  const priority = reader.choice(object["priority"], within(place, "priority"), ["high", "medium", "low"]);
  const once = reader.boolean(object["once"], within(place, "once"));
  const topic = reader.topic(object["topic"], within(place, "topic"));
  const code = object["code"];
  const text = object["text"] ?? code;
  if (typeof code !== "string" || !/^[a-z][a-z0-9-]{0,62}$/.test(code))
    return reader.complain(
      within(place, "code"),
      { en: "is no code", zh: "不是代码" },
      { en: "use lower-case letters, digits and -, such as leads-off", zh: "请使用小写字母、数字和 -，例如 leads-off" },
    );
  if (typeof text !== "string" || text === "" || text.length > 200)
    return reader.complain(
      within(place, "text"),
      { en: "is no text", zh: "不是文本" },
      { en: "write the device's own words, at most 200 characters", zh: "请写设备的原文，最多 200 字" },
    );
  if (condition === null || nature === null || priority === null) return null;
  return { condition, topic, alarm: { code, nature, priority, text, ...(once ? { once } : {}) } };
}
