import { LIMITS } from "../../src/core/limits.ts";
import type { DecodeError } from "../../src/core/ports.ts";
import { fail, type Result, succeed } from "../../src/core/result.ts";

/** What JSON can hold. */
export type Json = null | boolean | number | string | readonly Json[] | JsonObject;

/** An object of JSON. Its keys are anybody's: read them with `memberOf`. */
export type JsonObject = { readonly [key: string]: Json };

/** A refusal quotes at most so much of what was given. */
const QUOTED_CHARACTERS_MAX = 40;

/** Whether a value is an object, and neither a list nor null. */
export function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Whether a value is a list. */
export function isList(value: Json | undefined): value is readonly Json[] {
  return Array.isArray(value);
}

/** An object's own member, or undefined where it has none; names such as `__proto__` are names like any other. */
export function memberOf(object: JsonObject, key: string): Json | undefined {
  return Object.hasOwn(object, key) ? object[key] : undefined;
}

/** The beginning of a value as a refusal shows it. */
export function quoted(value: unknown): string {
  const text = (JSON.stringify(value) ?? "nothing").toWellFormed();
  return text.length <= QUOTED_CHARACTERS_MAX ? text : `${text.slice(0, QUOTED_CHARACTERS_MAX)}...`;
}

/** Names a field with something in it that cannot be read. */
export function badField(field: string, given: string): DecodeError {
  return { kind: "bad-field", field, given };
}

/**
 * Reads one message of JSON (RFC 8259), stricter than the language does: whole, UTF-8 without a wrong byte, not longer than
 * `messageBytesMax`, not deeper than `jsonDepthMax`, and no key twice in one object, because nobody can say which of the two counts.
 * A mark of the byte order before it is skipped.
 */
export function parseMessage(bytes: Uint8Array): Result<Json, DecodeError> {
  if (bytes.length === 0) return fail({ kind: "no-frame", givenBytes: 0 });
  if (bytes.length > LIMITS.messageBytesMax.value) return fail({ kind: "too-long", limitBytes: LIMITS.messageBytesMax.value });
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return fail(badField("$", "bytes that are no UTF-8"));
  }
  const parsed = parseStrictJson(text);
  return parsed.ok ? parsed : fail(badField("$", parsed.error));
}

/** The same for a text, such as an option; the error says in English what is wrong. */
export function parseStrictJson(text: string): Result<Json, string> {
  // Looked at first, so that a message of a hundred thousand brackets costs next to nothing.
  const fault = findStructureFault(text);
  if (fault !== null) return fail(fault);
  try {
    return succeed(JSON.parse(text) as Json);
  } catch {
    return fail(`no JSON: ${quoted(text)}`);
  }
}

/** Codes of the characters that JSON is built of. */
const SIGN = {
  quote: 0x22,
  colon: 0x3a,
  listStart: 0x5b,
  backslash: 0x5c,
  listEnd: 0x5d,
  objectStart: 0x7b,
  objectEnd: 0x7d,
} as const;

/** Says what is too deep or named twice in a text, whether it is JSON or not; null where nothing is. */
function findStructureFault(text: string): string | null {
  /** The keys of each open object, null for each open list. */
  const open: (Set<string> | null)[] = [];
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === SIGN.objectStart || code === SIGN.listStart) {
      open.push(code === SIGN.objectStart ? new Set() : null);
      if (open.length > LIMITS.jsonDepthMax.value) return `more than ${LIMITS.jsonDepthMax.value} levels`;
    } else if (code === SIGN.objectEnd || code === SIGN.listEnd) {
      open.pop();
    } else if (code === SIGN.quote) {
      const end = endOfString(text, at);
      const keys = open.at(-1);
      if (keys != null && isKey(text, end)) {
        const key = unescaped(text.slice(at + 1, end - 1));
        if (keys.has(key)) return `the key ${quoted(key)} twice`;
        keys.add(key);
      }
      at = end - 1;
    }
  }
  return null;
}

/** The place behind the closing quote of the string that begins at `start`; the end of a text that has none. */
function endOfString(text: string, start: number): number {
  for (let end = text.indexOf('"', start + 1); end >= 0; end = text.indexOf('"', end + 1)) {
    let first = end;
    while (text.charCodeAt(first - 1) === SIGN.backslash) first--;
    // Backslashes take each other off in pairs; one that is left takes the quote off.
    if ((end - first) % 2 === 0) return end + 1;
  }
  return text.length;
}

/** A string is a key where a colon follows, which nothing but a key has behind it. */
function isKey(text: string, end: number): boolean {
  let at = end;
  while (text.charCodeAt(at) <= 0x20) at++;
  return text.charCodeAt(at) === SIGN.colon;
}

/** What a key says; one that cannot be read stands for itself, and its message is refused right after. */
function unescaped(key: string): string {
  if (!key.includes("\\")) return key;
  try {
    return String(JSON.parse(`"${key}"`));
  } catch {
    return key;
  }
}
