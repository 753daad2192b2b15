import type { Consciousness, Deed, LimitSide, PatientProfile } from "../../core/act.ts";
import type { Priority } from "../../core/alert.ts";
import { alertId, bedId, deviceId, patientId } from "../../core/ids.ts";
import { isQuantityName } from "../../core/quantities.ts";
import { fail, type Result, succeed } from "../../core/result.ts";

/** The first field of a deed that is not as it must be. */
export interface DeedProblem {
  readonly field: string;
  readonly problem: "missing" | "unknown" | "wrong-type" | "not-allowed";
}

type Fields = Readonly<Record<string, unknown>>;

const idCharactersMax = 128;
const labelCharactersMax = 64;

/**
 * Reads a deed from the body of a request: every field checked, no field too many.
 *
 * @param body  Whatever JSON the page sent.
 * @returns     The deed, or the first field that is wrong. Nothing behind this parser checks shapes again.
 */
export function parseDeed(body: unknown): Result<Deed, DeedProblem> {
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

function readDeed(body: Fields): Deed {
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
  }
}

const deedKinds = [
  "admit",
  "discharge",
  "assign",
  "release",
  "set-limit",
  "acknowledge",
  "enter-consciousness",
  "enter-oxygen",
  "set-profile",
] as const satisfies readonly Deed["kind"][];
const consciousnessLevels = ["A", "C", "V", "P", "U"] as const satisfies readonly Consciousness[];
const priorities = ["high", "medium", "low"] as const satisfies readonly Priority[];

function readLimit(body: Fields): Deed {
  only(body, ["kind", "patientId", "quantity", "low", "high"]);
  const quantity = text(body, "quantity", idCharactersMax);
  if (!isQuantityName(quantity)) throw new FieldRefusal("quantity", "not-allowed");
  const low = readSide(body, "low");
  const high = readSide(body, "high");
  if (low !== null && high !== null && low.value >= high.value) throw new FieldRefusal("low", "not-allowed");
  return { kind: "set-limit", patientId: patientId(text(body, "patientId", idCharactersMax)), quantity, low, high };
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
