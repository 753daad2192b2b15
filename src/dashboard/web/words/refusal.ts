import type { Refusal } from "../state/gateway-door.ts";
import { isTextKey, type Language, say } from "./texts.ts";

/** Why something was not done, for the one who asked for it. */
export interface RefusalWords {
  /** The field of the form that it is about, such as `patientId`; null where it is about none. */
  readonly field: string | null;
  /** Whole sentences: what is wrong and what can be done. */
  readonly text: string;
}

/** Which field of a form a reason is about. */
const FIELDS: Readonly<Record<string, string>> = {
  "already-admitted": "patientId",
  "unknown-bed": "bedId",
  "bed-occupied": "bedId",
  "already-there": "bedId",
  "unknown-device": "deviceId",
  "device-in-use": "deviceId",
  "device-not-assigned": "deviceId",
  "device-on-another": "deviceId",
  "device-name-taken": "deviceId",
  "same-patient": "otherPatientId",
  "demonstration-differs": "otherPatientId",
  "expiry-past": "expiresAtMs",
  "expiry-far": "expiresAtMs",
};

/** Says why something was refused: by the reason in its facts where there is one, else by what its code says. */
export function refusalWords(language: Language, refusal: Refusal): RefusalWords {
  if (refusal === null) return { field: null, text: say(language, "noAnswerKept") };
  const { code, facts } = refusal;
  const given = Object.fromEntries(Object.entries(facts).map(([name, value]) => [name, String(value)]));
  const field = given["field"] ?? FIELDS[given["why"] ?? ""] ?? null;
  const reason = given["why"] ?? (code === "account-refused" ? accountReason(given) : null);
  const key = reason === null ? null : `because.${reason}`;
  if (key !== null && isTextKey(key)) return { field, text: say(language, key, given) };
  if (code === "request-refused" && field !== null) return { field, text: say(language, "because.field") };
  return { field, text: `${refusal.title[language]}. ${refusal.remedy[language]}` };
}

function accountReason(facts: Readonly<Record<string, string>>): string {
  return facts["field"] === "password" ? "password" : facts["taken"] === undefined ? "name" : "name-taken";
}
