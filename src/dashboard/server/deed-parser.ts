import type { AdoptedDevice, BedsideDeed, Consciousness, Deed, LimitSide, PatientProfile, Verdict } from "../../core/act.ts";
import type { Priority } from "../../core/alert.ts";
import { alertId, bedId, deviceId, patientId } from "../../core/ids.ts";
import { LIMITS } from "../../core/limits.ts";
import { isQuantityName, type QuantityName } from "../../core/quantities.ts";
import { fail, type Result, succeed } from "../../core/result.ts";
import { wallMs } from "../../core/time.ts";
import { isTopicFilter } from "../../core/topic-filter.ts";

/** The first field of a deed that is not as it must be. */
export interface DeedProblem {
  readonly field: string;
  readonly problem: "missing" | "unknown" | "wrong-type" | "not-allowed";
}

type Fields = Readonly<Record<string, unknown>>;

const idCharactersMax = LIMITS.patientNumberCharactersMax.value;
const labelCharactersMax = LIMITS.patientLabelCharactersMax.value;
const titleCharactersMax = 80;
const topicCharactersMax = 200;
const optionNameCharactersMax = 40;
const silenceSecondsMax = 86_400;
/** As in the configuration: an adopted device may be written there later. */
const DEVICE_NAME = /^[a-z0-9][a-z0-9-]{0,62}$/;
/** As the broker's accounts are called. */
const ACCOUNT_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

/**
 * Reads a deed from the body of a request: every field checked, no field too many.
 *
 * @param body  Whatever JSON the page sent.
 * @returns     The deed, or the first field that is wrong. Nothing behind this parser checks shapes again.
 */
export function parseDeed(body: unknown): Result<BedsideDeed, DeedProblem> {
  if (!isFields(body)) return problem("body", "wrong-type");
  try {
    return succeed(readDeed(body));
  } catch (error) {
    if (error instanceof FieldRefusal) return problem(error.field, error.problem);
    throw error;
  }
}

/** Leaves the parser from any depth; never leaves this file. */
class FieldRefusal extends Error {
  readonly field: string;
  readonly problem: DeedProblem["problem"];
  constructor(field: string, what: DeedProblem["problem"]) {
    super(`${field}: ${what}`);
    this.field = field;
    this.problem = what;
  }
}

function problem(field: string, what: DeedProblem["problem"]): { readonly ok: false; readonly error: DeedProblem } {
  return fail({ field, problem: what });
}

function readDeed(body: Fields): BedsideDeed {
  const kind = oneOf(body, "kind", deedKinds);
  switch (kind) {
    case "admit":
      only(body, ["kind", "patientId", "bedId", "label", "profile", "demonstration"]);
      return {
        kind,
        patientId: patientId(text(body, "patientId", idCharactersMax)),
        bedId: bedId(text(body, "bedId", idCharactersMax)),
        label: text(body, "label", labelCharactersMax),
        profile: readProfile(body["profile"]),
        demonstration: truth(body, "demonstration"),
      };
    case "discharge":
      only(body, ["kind", "patientId"]);
      return { kind, patientId: patientId(text(body, "patientId", idCharactersMax)) };
    case "assign":
      only(body, ["kind", "deviceId", "patientId"]);
      return {
        kind,
        deviceId: deviceId(text(body, "deviceId", idCharactersMax)),
        patientId: patientId(text(body, "patientId", idCharactersMax)),
      };
    case "release":
      only(body, ["kind", "deviceId"]);
      return { kind, deviceId: deviceId(text(body, "deviceId", idCharactersMax)) };
    case "set-limit":
      return readLimit(body);
    case "reset-limit":
      only(body, ["kind", "patientId", "quantity"]);
      return { kind, patientId: patientId(text(body, "patientId", idCharactersMax)), quantity: readQuantity(body) };
    case "transfer":
    case "merge":
    case "correct-patient":
    case "confirm-assignment":
      return readMove(body, kind);
    case "note":
      only(body, ["kind", "patientId", "text"]);
      return { kind, patientId: patientId(text(body, "patientId", idCharactersMax)), text: noteText(body) };
    case "verdict":
      only(body, ["kind", "alertId", "verdict"]);
      return { kind, alertId: alertId(text(body, "alertId", idCharactersMax)), verdict: oneOf(body, "verdict", verdicts) };
    case "acknowledge":
      only(body, ["kind", "alertId"]);
      return { kind, alertId: alertId(text(body, "alertId", idCharactersMax)) };
    case "enter-consciousness":
      only(body, ["kind", "patientId", "consciousness"]);
      return {
        kind,
        patientId: patientId(text(body, "patientId", idCharactersMax)),
        consciousness: oneOf(body, "consciousness", consciousnessLevels),
      };
    case "enter-oxygen":
      only(body, ["kind", "patientId", "onOxygen"]);
      return { kind, patientId: patientId(text(body, "patientId", idCharactersMax)), onOxygen: truth(body, "onOxygen") };
    case "set-profile":
      only(body, ["kind", "patientId", "profile"]);
      return { kind, patientId: patientId(text(body, "patientId", idCharactersMax)), profile: readProfile(body["profile"]) };
    case "adopt":
      return { kind, ...readAdoption(body) };
    case "forget-device":
      only(body, ["kind", "deviceId"]);
      return { kind, deviceId: deviceId(text(body, "deviceId", idCharactersMax)) };
  }
}

function readAdoption(body: Fields): AdoptedDevice {
  only(body, ["kind", "deviceId", "driverId", "title", "link", "options", "bedId", "silenceSeconds", "expected"]);
  const id = text(body, "deviceId", idCharactersMax);
  if (!DEVICE_NAME.test(id)) throw new FieldRefusal("deviceId", "not-allowed");
  const silenceSeconds = body["silenceSeconds"] ?? null;
  if (silenceSeconds !== null && typeof silenceSeconds !== "number") throw new FieldRefusal("silenceSeconds", "wrong-type");
  const isPossible = silenceSeconds === null || (silenceSeconds >= 1 && silenceSeconds <= silenceSecondsMax);
  if (!isPossible) throw new FieldRefusal("silenceSeconds", "not-allowed");
  return {
    deviceId: deviceId(id),
    driverId: text(body, "driverId", idCharactersMax),
    title: body["title"] == null ? null : text(body, "title", titleCharactersMax),
    link: readAdoptedLink(body["link"]),
    options: readDriverOptions(body["options"]),
    bedId: body["bedId"] == null ? null : bedId(text(body, "bedId", idCharactersMax)),
    silenceSeconds,
    expected: readExpected(body["expected"] ?? null),
  };
}

function readAdoptedLink(link: unknown): AdoptedDevice["link"] {
  if (!isFields(link)) throw new FieldRefusal("link", link === undefined ? "missing" : "wrong-type");
  only(link, ["kind", "topics", "account"]);
  const kind = oneOf(link, "kind", ["mqtt"] as const);
  const topics = link["topics"];
  if (!Array.isArray(topics)) throw new FieldRefusal("link.topics", topics === undefined ? "missing" : "wrong-type");
  const arePossible = topics.length > 0 && topics.length <= LIMITS.adoptTopicsMax.value && topics.every(isDeviceTopic);
  if (!arePossible) throw new FieldRefusal("link.topics", "not-allowed");
  const account = link["account"] ?? null;
  if (account !== null && (typeof account !== "string" || !ACCOUNT_NAME.test(account)))
    throw new FieldRefusal("link.account", "not-allowed");
  return { kind, topics, account };
}

function isDeviceTopic(topic: unknown): topic is string {
  const isText = typeof topic === "string" && topic.length <= topicCharactersMax && !/\p{Cc}/u.test(topic);
  return isText && isTopicFilter(topic) && !topic.startsWith("$");
}

/** Options of a driver as they are sent: names with texts; what they may say is the driver's to judge. */
function readDriverOptions(given: unknown): Readonly<Record<string, string>> {
  if (!isFields(given)) throw new FieldRefusal("options", given === undefined ? "missing" : "wrong-type");
  let length = 0;
  for (const [name, value] of Object.entries(given)) {
    if (typeof value !== "string") throw new FieldRefusal(`options.${name.slice(0, optionNameCharactersMax)}`, "wrong-type");
    length += name.length + value.length;
  }
  if (length > LIMITS.adoptOptionsCharactersMax.value) throw new FieldRefusal("options", "not-allowed");
  return given as Readonly<Record<string, string>>;
}

function readExpected(given: unknown): readonly QuantityName[] | null {
  if (given === null) return null;
  if (!Array.isArray(given)) throw new FieldRefusal("expected", "wrong-type");
  const isKnown = (name: unknown): name is QuantityName => typeof name === "string" && isQuantityName(name);
  if (!given.every(isKnown)) throw new FieldRefusal("expected", "not-allowed");
  return [...new Set(given)];
}

/** Who lies where under which number and name, and what is on them. */
function readMove(body: Fields, kind: "transfer" | "merge" | "correct-patient" | "confirm-assignment"): BedsideDeed {
  const patient = () => patientId(text(body, "patientId", idCharactersMax));
  switch (kind) {
    case "transfer":
      only(body, ["kind", "patientId", "bedId"]);
      return { kind, patientId: patient(), bedId: bedId(text(body, "bedId", idCharactersMax)) };
    case "merge":
      only(body, ["kind", "patientId", "formerPatientId"]);
      return { kind, patientId: patient(), formerPatientId: patientId(text(body, "formerPatientId", idCharactersMax)) };
    case "correct-patient":
      only(body, ["kind", "patientId", "label"]);
      return { kind, patientId: patient(), label: text(body, "label", labelCharactersMax) };
    case "confirm-assignment":
      only(body, ["kind", "deviceId", "patientId"]);
      return { kind, deviceId: deviceId(text(body, "deviceId", idCharactersMax)), patientId: patient() };
  }
}

/** What somebody may ask for. Sign-ins and changes of accounts follow from what is done, and are asked for by nobody. */
const deedKinds = [
  "admit",
  "transfer",
  "merge",
  "correct-patient",
  "confirm-assignment",
  "note",
  "verdict",
  "discharge",
  "assign",
  "release",
  "set-limit",
  "reset-limit",
  "acknowledge",
  "enter-consciousness",
  "enter-oxygen",
  "set-profile",
  "adopt",
  "forget-device",
] as const satisfies readonly BedsideDeed["kind"][];
const verdicts = ["relevant", "not-actionable", "false"] as const satisfies readonly Verdict[];
const consciousnessLevels = ["A", "C", "V", "P", "U"] as const satisfies readonly Consciousness[];
const priorities = ["high", "medium", "low"] as const satisfies readonly Priority[];

function readLimit(body: Fields): BedsideDeed {
  only(body, ["kind", "patientId", "quantity", "low", "high", "reason", "expiresAtMs"]);
  const quantity = readQuantity(body);
  const low = readSide(body, "low");
  const high = readSide(body, "high");
  if (low !== null && high !== null && low.value >= high.value) throw new FieldRefusal("low", "not-allowed");
  const patient = patientId(text(body, "patientId", idCharactersMax));
  return { kind: "set-limit", patientId: patient, quantity, low, high, ...readReason(body), ...readExpiry(body) };
}

function readQuantity(body: Fields): QuantityName {
  const quantity = text(body, "quantity", idCharactersMax);
  if (!isQuantityName(quantity)) throw new FieldRefusal("quantity", "not-allowed");
  return quantity;
}

/** Null and left out are the same; what was left out stays so, as in a record of before there were reasons. */
function readReason(body: Fields): { readonly reason?: string | null } {
  const reason = body["reason"];
  if (reason === undefined || reason === null) return reason === null ? { reason } : {};
  return { reason: text(body, "reason", LIMITS.reasonCharactersMax.value) };
}

function readExpiry(body: Fields): Pick<Extract<Deed, { kind: "set-limit" }>, "expiresAtMs"> {
  const expiresAtMs = body["expiresAtMs"];
  if (expiresAtMs === undefined || expiresAtMs === null) return expiresAtMs === null ? { expiresAtMs } : {};
  if (typeof expiresAtMs !== "number") throw new FieldRefusal("expiresAtMs", "wrong-type");
  if (!Number.isSafeInteger(expiresAtMs) || expiresAtMs < 0) throw new FieldRefusal("expiresAtMs", "not-allowed");
  return { expiresAtMs: wallMs(expiresAtMs) };
}

/** A note may have lines, and nothing else that is not shown. */
function noteText(body: Fields): string {
  const given = body["text"];
  if (typeof given !== "string") return text(body, "text", LIMITS.noteCharactersMax.value);
  text({ text: given.replaceAll("\n", " ") }, "text", LIMITS.noteCharactersMax.value);
  return given;
}

function readSide(body: Fields, field: string): LimitSide | null {
  const side = body[field];
  if (side === undefined) throw new FieldRefusal(field, "missing");
  if (side === null) return null;
  if (!isFields(side)) throw new FieldRefusal(field, "wrong-type");
  only(side, ["value", "priority"]);
  const value = side["value"];
  if (typeof value !== "number" || !Number.isFinite(value)) throw new FieldRefusal(`${field}.value`, "wrong-type");
  return { value, priority: oneOf(side, "priority", priorities) };
}

function readProfile(profile: unknown): PatientProfile {
  if (!isFields(profile)) throw new FieldRefusal("profile", profile === undefined ? "missing" : "wrong-type");
  only(profile, ["kind", "spo2Scale"]);
  const kind = oneOf(profile, "kind", ["adult"] as const);
  const spo2Scale = profile["spo2Scale"];
  if (spo2Scale !== 1 && spo2Scale !== 2) throw new FieldRefusal("profile.spo2Scale", "not-allowed");
  return { kind, spo2Scale };
}

function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function only(body: Fields, allowed: readonly string[]): void {
  const extra = Object.keys(body).find((field) => !allowed.includes(field));
  if (extra !== undefined) throw new FieldRefusal(extra.slice(0, idCharactersMax), "unknown");
}

function text(body: Fields, field: string, charactersMax: number): string {
  const value = body[field];
  if (value === undefined) throw new FieldRefusal(field, "missing");
  if (typeof value !== "string") throw new FieldRefusal(field, "wrong-type");
  const blank = value.trim() === "";
  if (blank || value.length > charactersMax || /\p{Cc}/u.test(value)) throw new FieldRefusal(field, "not-allowed");
  return value;
}

function truth(body: Fields, field: string): boolean {
  const value = body[field];
  if (value === undefined) throw new FieldRefusal(field, "missing");
  if (typeof value !== "boolean") throw new FieldRefusal(field, "wrong-type");
  return value;
}

function oneOf<Choice extends string>(body: Fields, field: string, choices: readonly Choice[]): Choice {
  const value = body[field];
  if (value === undefined) throw new FieldRefusal(field, "missing");
  if (typeof value !== "string") throw new FieldRefusal(field, "wrong-type");
  const choice = choices.find((one) => one === value);
  if (choice === undefined) throw new FieldRefusal(field, "not-allowed");
  return choice;
}
