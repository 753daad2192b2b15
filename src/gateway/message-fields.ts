import { formatJsonPath } from "../../drivers/mqtt/json-path.ts";
import { isList, isObject, type Json, parseMessage } from "../../drivers/mqtt/json-text.ts";
import type { MessageFieldView } from "../core/device-view.ts";
import { LIMITS } from "../core/limits.ts";

const SAMPLE_CHARACTERS_MAX = 60;
/** Of a list of records the first few are enough to see what is in each. */
const LIST_PLACES_MAX = 4;

/** The values of a JSON message, each with the path that `mqtt-json` finds it by; none where it is no such message. */
export function fieldsOfMessage(payload: Uint8Array): readonly MessageFieldView[] {
  const parsed = parseMessage(payload);
  if (!parsed.ok) return [];
  const fields: MessageFieldView[] = [];
  collect(parsed.value, [], fields);
  return fields;
}

function collect(value: Json, path: readonly (string | number)[], fields: MessageFieldView[]): void {
  if (fields.length >= LIMITS.candidateFieldsMax.value) return;
  if (isObject(value)) for (const [name, inner] of Object.entries(value)) collect(inner, [...path, name], fields);
  else if (isList(value))
    for (const [at, inner] of value.slice(0, LIST_PLACES_MAX).entries()) collect(inner, [...path, at], fields);
  else fields.push({ path: formatJsonPath(path), kind: kindOf(value), sample: sampleOf(value) });
}

function kindOf(value: null | boolean | number | string): MessageFieldView["kind"] {
  if (value === null) return "nothing";
  if (typeof value === "boolean") return "truth";
  return typeof value === "number" ? "number" : "text";
}

function sampleOf(value: null | boolean | number | string): string {
  const text = String(value)
    .toWellFormed()
    .replaceAll(/\p{Cc}+/gu, " ");
  return text.length <= SAMPLE_CHARACTERS_MAX ? text : `${text.slice(0, SAMPLE_CHARACTERS_MAX)}…`;
}
