import { fail, type Result, succeed } from "../../src/core/result.ts";
import { isList, isObject, type Json, type JsonObject, memberOf, parseStrictJson } from "./json-text.ts";

/** Where a value stands in a message: names of members and places in lists, from the outside in; none: the message itself. */
export type JsonPath = readonly (string | number)[];

/** A path with more steps is a mistake. */
const STEPS_MAX = 32;
/** A place in a list beyond it is a mistake. */
const LIST_PLACE_MAX = 9999;

/** `.name`, with letters of any language, digits, `_` and `-`; anything else is written as `["..."]`. */
const NAME_STEP = /^\.([\p{L}\p{N}_][\p{L}\p{N}_-]*)/u;
const PLACE_STEP = /^\[(0|[1-9]\d{0,3})\]/;
const QUOTED_STEP = /^\[("(?:[^"\\]|\\.)*")\]/;

/**
 * Reads a path such as `$.a.b[0]["c d"]`: `$` is the message, then names and places. A small part of RFC 9535 without wildcards,
 * filters and places from the end, so that a path means one value or none.
 *
 * @returns The path, or the part that is not understood.
 */
export function parseJsonPath(text: string): Result<JsonPath, string> {
  if (!text.startsWith("$")) return fail(text);
  const steps: (string | number)[] = [];
  let rest = text.slice(1);
  while (rest !== "") {
    const found = NAME_STEP.exec(rest) ?? PLACE_STEP.exec(rest) ?? QUOTED_STEP.exec(rest);
    const step = found === null ? null : stepOf(found[0], found[1] ?? "");
    if (found === null || step === null || steps.length === STEPS_MAX) return fail(rest);
    steps.push(step);
    rest = rest.slice(found[0].length);
  }
  return succeed(steps);
}

function stepOf(whole: string, inner: string): string | number | null {
  if (whole.startsWith(".")) return inner;
  if (!inner.startsWith('"')) return Math.min(Number(inner), LIST_PLACE_MAX);
  const name = parseStrictJson(inner);
  return name.ok && typeof name.value === "string" ? name.value : null;
}

/** The path as it is written. */
export function formatJsonPath(path: JsonPath): string {
  const steps = path.map((step) => {
    if (typeof step === "number") return `[${step}]`;
    return NAME_STEP.exec(`.${step}`)?.[0].length === step.length + 1 ? `.${step}` : `[${JSON.stringify(step)}]`;
  });
  return `$${steps.join("")}`;
}

/** The value at a path, or undefined where there is none; null is a value. */
export function valueAt(path: JsonPath, message: Json): Json | undefined {
  let value: Json | undefined = message;
  for (const step of path) {
    if (typeof step === "number") value = isList(value) ? value[step] : undefined;
    else value = isObject(value) ? memberOf(value, step) : undefined;
    if (value === undefined) return undefined;
  }
  return value;
}

/** The message with a value at a path, whatever stood there; places of a list before it that have nothing hold null. */
export function withValueAt(message: Json | undefined, path: JsonPath, value: Json): Json {
  const [step, ...inner] = path;
  if (step === undefined) return value;
  if (typeof step === "number") {
    const list = isList(message) ? [...message] : [];
    while (list.length < step) list.push(null);
    list[step] = withValueAt(list[step], inner, value);
    return list;
  }
  const object: JsonObject = isObject(message) ? message : {};
  const made = withValueAt(memberOf(object, step), inner, value);
  // Object.fromEntries makes a member of every name, `__proto__` too.
  return Object.fromEntries([...Object.entries(object).filter(([key]) => key !== step), [step, made]]);
}
