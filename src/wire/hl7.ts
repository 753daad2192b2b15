import { LIMITS } from "../core/limits.ts";
import { fail, type Result, succeed } from "../core/result.ts";

/** The characters that part a message; each message says its own. Null: the message has none of that kind. */
export interface Hl7Delimiters {
  readonly field: string;
  readonly component: string;
  readonly repetition: string | null;
  readonly escapeMark: string | null;
  readonly subcomponent: string | null;
}

/** The delimiters that everybody uses. Source: HL7 v2.5.1, 2.5.4. */
export const HL7_DELIMITERS: Hl7Delimiters = { field: "|", component: "^", repetition: "~", escapeMark: "\\", subcomponent: "&" };

/**
 * One segment. `fields[n]` is field n as it came, still escaped; `fields[0]` is the segment's name. In MSH `fields[1]` is the field
 * separator and `fields[2]` the encoding characters, as the standard counts them.
 */
export interface Hl7Segment {
  readonly name: string;
  readonly fields: readonly string[];
}

/** One message: its segments in order, the first of them MSH. */
export interface Hl7Message {
  readonly delimiters: Hl7Delimiters;
  readonly segments: readonly Hl7Segment[];
}

/** Why a text is no HL7 message. Segments count from 1. */
export type Hl7Error =
  | { readonly kind: "not-hl7" }
  | { readonly kind: "bad-delimiters" }
  | { readonly kind: "bad-segment"; readonly atSegment: number }
  | { readonly kind: "too-many-segments"; readonly limit: number }
  | { readonly kind: "too-many-fields"; readonly atSegment: number; readonly limit: number };

/** What stands at one place of a message. `null` is the text `""`: there is a value no more. `empty` says nothing. Source: HL7 v2.5.1, 2.5.3. */
export type Hl7Value =
  | { readonly kind: "present"; readonly text: string }
  | { readonly kind: "null" }
  | { readonly kind: "empty" };

/** A place in a segment; all count from 1, and what is left out is the first. */
export interface Hl7Place {
  readonly field: number;
  readonly repetition?: number;
  readonly component?: number;
  readonly subcomponent?: number;
}

/** A field taken apart: repetitions of components of subcomponents, as texts without escapes. Null is HL7's null, "" is empty. */
export type Hl7Field = readonly (readonly (readonly (string | null)[])[])[];

const EMPTY: Hl7Value = { kind: "empty" };
const NULL: Hl7Value = { kind: "null" };
const NULL_TEXT = '""';
/** Printable ASCII but letters, digits and the space. */
const DELIMITER = /^[!-/:-@[-`{-~]$/;
/** The name of a segment. Source: HL7 v2.5.1, 2.5.2. */
const SEGMENT_NAME = /^[A-Z][A-Z0-9]{2}$/;
/** A formatted text may ask for so many empty lines at once. */
const LINES_MAX = 99;

/**
 * Takes a message apart. Any text is answered, none throws.
 *
 * @param text  Without its frame. CR ends a segment; LF and CR LF are taken as well, and an LF inside a text stays in it.
 */
export function parseHl7(text: string): Result<Hl7Message, Hl7Error> {
  const begun = text.replace(/^\uFEFF?[\r\n]*/, "");
  if (!begun.startsWith("MSH")) return fail({ kind: "not-hl7" });
  const delimiters = readDelimiters(begun);
  if (delimiters === null) return fail({ kind: "bad-delimiters" });
  const lines = segmentTexts(begun, delimiters.field);
  if (lines.length > LIMITS.hl7SegmentsMax.value) return fail({ kind: "too-many-segments", limit: LIMITS.hl7SegmentsMax.value });
  const segments: Hl7Segment[] = [];
  for (const [index, line] of lines.entries()) {
    const parts = line.split(delimiters.field);
    const name = parts[0] ?? "";
    const atSegment = index + 1;
    if (!SEGMENT_NAME.test(name) || (name === "MSH") !== (index === 0)) return fail({ kind: "bad-segment", atSegment });
    if (parts.length > LIMITS.hl7FieldsMax.value)
      return fail({ kind: "too-many-fields", atSegment, limit: LIMITS.hl7FieldsMax.value });
    segments.push({ name, fields: index === 0 ? [name, delimiters.field, ...parts.slice(1)] : parts });
  }
  return succeed({ delimiters, segments });
}

/** The message as text, a CR behind every segment. What was parsed comes out as it was. */
export function encodeHl7({ delimiters, segments }: Hl7Message): string {
  return segments
    .map(({ name, fields }) => (name === "MSH" ? ["MSH", ...fields.slice(2)] : fields).join(delimiters.field))
    .map((line) => `${line}\r`)
    .join("");
}

/** MSH-2 for these delimiters; the first that is missing ends it. */
export function encodingCharacters({ component, repetition, escapeMark, subcomponent }: Hl7Delimiters): string {
  let text = component;
  for (const next of [repetition, escapeMark, subcomponent]) {
    if (next === null) break;
    text += next;
  }
  return text;
}

function readDelimiters(text: string): Hl7Delimiters | null {
  const field = text.charAt(3);
  if (!DELIMITER.test(field)) return null;
  // A fifth character marks texts that were cut short (HL7 v2.7, 2.5.5.2); nothing here cuts texts.
  const [encoding = ""] = (/^[^\r\n]*/.exec(text.slice(4))?.[0] ?? "").split(field, 1);
  const given = encoding.split("");
  const [component, repetition = null, escapeMark = null, subcomponent = null] = given;
  if (component === undefined || given.length > 5) return null;
  const all = [field, ...given];
  if (!given.every((character) => DELIMITER.test(character)) || new Set(all).size < all.length) return null;
  return { field, component, repetition, escapeMark, subcomponent };
}

/** CR ends a segment; an LF does where a segment's name or nothing follows it. */
function segmentTexts(text: string, field: string): readonly string[] {
  const separator = `\\u00${field.charCodeAt(0).toString(16).padStart(2, "0")}`;
  const end = new RegExp(`\\r\\n?|\\n(?=[A-Z][A-Z0-9]{2}(?:${separator}|[\\r\\n]|$)|[\\r\\n]|$)`, "u");
  return text.split(end).filter((line) => line !== "");
}

/** The first segment of a name, or null where there is none. */
export function hl7Segment(message: Hl7Message, name: string): Hl7Segment | null {
  return message.segments.find((segment) => segment.name === name) ?? null;
}

/** What stands at a place. A segment that is not there is empty everywhere, and so is what lies behind a segment's end. */
export function hl7Value(message: Pick<Hl7Message, "delimiters">, segment: Hl7Segment | null, place: Hl7Place): Hl7Value {
  const { delimiters } = message;
  const raw = segment?.fields[place.field] ?? "";
  if (raw === "") return EMPTY;
  if (segment?.name === "MSH" && place.field <= 2) return { kind: "present", text: raw };
  const repetition = pieces(raw, delimiters.repetition)[(place.repetition ?? 1) - 1] ?? "";
  const component = pieces(repetition, delimiters.component)[(place.component ?? 1) - 1] ?? "";
  const subcomponent = pieces(component, delimiters.subcomponent)[(place.subcomponent ?? 1) - 1] ?? "";
  if (subcomponent === "") return EMPTY;
  return subcomponent === NULL_TEXT ? NULL : { kind: "present", text: unescapeHl7(delimiters, subcomponent) };
}

/** The text at a place without spaces around it, "" where there is none or HL7's null. */
export function hl7Text(message: Pick<Hl7Message, "delimiters">, segment: Hl7Segment | null, place: Hl7Place): string {
  const value = hl7Value(message, segment, place);
  return value.kind === "present" ? value.text.trim() : "";
}

/** How often a field stands in a segment; 0 where it is empty. */
export function hl7RepetitionCount(message: Pick<Hl7Message, "delimiters">, segment: Hl7Segment | null, field: number): number {
  const raw = segment?.fields[field] ?? "";
  return raw === "" ? 0 : pieces(raw, message.delimiters.repetition).length;
}

/** Takes a field apart to its last piece. */
export function parseHl7Field(delimiters: Hl7Delimiters, raw: string): Hl7Field {
  return pieces(raw, delimiters.repetition).map((repetition) =>
    pieces(repetition, delimiters.component).map((component) =>
      pieces(component, delimiters.subcomponent).map((text) => (text === NULL_TEXT ? null : unescapeHl7(delimiters, text))),
    ),
  );
}

/** Puts a field together; empty pieces at the end are left out, as the standard wants it. */
export function encodeHl7Field(delimiters: Hl7Delimiters, field: Hl7Field): string {
  return joined(
    field.map((repetition) =>
      joined(
        repetition.map((component) =>
          joined(
            component.map((text) => (text === null ? NULL_TEXT : escapeHl7(delimiters, text))),
            delimiters.subcomponent,
          ),
        ),
        delimiters.component,
      ),
    ),
    delimiters.repetition,
  );
}

function pieces(text: string, delimiter: string | null): readonly string[] {
  return delimiter === null ? [text] : text.split(delimiter);
}

/** Where the message has no such delimiter only the first piece can be said. */
function joined(texts: readonly string[], delimiter: string | null): string {
  const last = texts.findLastIndex((text) => text !== "");
  return delimiter === null ? (texts[0] ?? "") : texts.slice(0, last + 1).join(delimiter);
}

/**
 * A text as it may stand in a field. What cannot be said without an escape character, where a message has none, becomes a question mark.
 * The text `""` is not null and is written so that it stays a text.
 */
export function escapeHl7(delimiters: Hl7Delimiters, text: string): string {
  const { escapeMark } = delimiters;
  const names = new Map<string, string>([[delimiters.field, "F"]]);
  names.set(delimiters.component, "S");
  if (delimiters.subcomponent !== null) names.set(delimiters.subcomponent, "T");
  if (delimiters.repetition !== null) names.set(delimiters.repetition, "R");
  if (escapeMark !== null) names.set(escapeMark, "E");
  let out = "";
  for (const [index, character] of [...text].entries()) {
    const control = character < " " || (text === NULL_TEXT && index === 0);
    const name = names.get(character) ?? (control ? `X${hexOf(character)}` : null);
    if (name === null) out += character;
    else out += escapeMark === null ? "?" : `${escapeMark}${name}${escapeMark}`;
  }
  return out;
}

function hexOf(character: string): string {
  return character.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0");
}

/**
 * The text that an escaped one means. Marks of highlighting are left out, line breaks become LF, bytes in hexadecimal become characters
 * of ISO 8859-1; what is no escape that this knows stays as it is. Source: HL7 v2.5.1, 2.7.
 */
export function unescapeHl7(delimiters: Hl7Delimiters, raw: string): string {
  const { escapeMark } = delimiters;
  if (escapeMark === null || !raw.includes(escapeMark)) return raw;
  let out = "";
  let at = 0;
  for (;;) {
    const begin = raw.indexOf(escapeMark, at);
    const end = begin < 0 ? -1 : raw.indexOf(escapeMark, begin + 1);
    if (end < 0) return out + raw.slice(at);
    const meant = meaningOf(delimiters, raw.slice(begin + 1, end));
    out += raw.slice(at, begin);
    if (meant === null) {
      // The second character may begin an escape of its own.
      out += raw.slice(begin, end);
      at = end;
    } else {
      out += meant;
      at = end + 1;
    }
  }
}

function meaningOf(delimiters: Hl7Delimiters, name: string): string | null {
  switch (name) {
    case "F":
      return delimiters.field;
    case "S":
      return delimiters.component;
    case "T":
      return delimiters.subcomponent ?? "&";
    case "R":
      return delimiters.repetition ?? "~";
    case "E":
      return delimiters.escapeMark;
    case "H":
    case "N":
      return "";
    case ".br":
      return "\n";
  }
  const lines = /^\.sp ?\+?(\d{0,2})$/.exec(name);
  if (lines !== null) return "\n".repeat(Math.min(Number(lines[1] === "" ? 1 : lines[1]), LINES_MAX));
  if (!/^X(?:[0-9A-Fa-f]{2})+$/.test(name)) return null;
  return (name.slice(1).match(/../g) ?? []).map((pair) => String.fromCharCode(Number.parseInt(pair, 16))).join("");
}

/** A time as a message says it. */
export interface Hl7Time {
  /** Milliseconds since 1970; of a time without a zone as if it were said in UTC. */
  readonly atMs: number;
  /** How exactly it was said: it means some moment from `atMs` on for so long, such as a day or a minute. */
  readonly spanMs: number;
  /** Whether it said its zone. Times with and without one cannot be compared. */
  readonly zoned: boolean;
}

/**
 * Reads a time: YYYY[MM[DD[HH[MM[SS[.S[S[S[S]]]]]]]]][+/-ZZZZ]; what is left out is the first month, the first day or zero.
 *
 * @returns  Null where the text is no such time or a day that is in no calendar. Source: HL7 v2.5.1, 2.A.22 DTM.
 */
export function parseHl7Time(text: string): Hl7Time | null {
  const found = /^(\d{4})(?:(\d\d)(?:(\d\d)(?:(\d\d)(?:(\d\d)(?:(\d\d)(\.\d{1,4})?)?)?)?)?)?(?:([+-])(\d\d)(\d\d))?$/.exec(text);
  if (found === null) return null;
  const part = (index: number, fallback: number) => (found[index] === undefined ? fallback : Number(found[index]));
  const [year, month, day] = [part(1, 0), part(2, 1), part(3, 1)];
  const [hour, minute, second, fraction] = [part(4, 0), part(5, 0), part(6, 0), part(7, 0)];
  const [zoneHours, zoneMinutes] = [part(9, 0), part(10, 0)];
  // Years before 100 would be taken for years of the twentieth century.
  if (year < 1000 || hour > 23 || minute > 59 || second > 59 || zoneHours > 14 || zoneMinutes > 59) return null;
  const atMs = Date.UTC(year, month - 1, day, hour, minute, second);
  const date = new Date(atMs);
  if (date.getUTCMonth() !== month - 1 || date.getUTCDate() !== day) return null;
  const zoneMs = (found[8] === "-" ? -1 : 1) * (zoneHours * 60 + zoneMinutes) * 60_000;
  const spanMs = SPANS_MS[found.slice(1, 8).findLastIndex((digits) => digits !== undefined)] ?? 1;
  return { atMs: atMs + Math.floor(fraction * 1000) - zoneMs, spanMs, zoned: found[8] !== undefined };
}

/** How long a year, a month, a day, an hour, a minute, a second and the smallest fraction are at most. */
const SPANS_MS: readonly number[] = [366 * 86_400_000, 31 * 86_400_000, 86_400_000, 3_600_000, 60_000, 1000, 1];

/** Whether `time` lies before `last` for certain; false where either is unknown or they cannot be compared. */
export function isBefore(time: Hl7Time | null, last: Hl7Time | null): boolean {
  return time !== null && last !== null && time.zoned === last.zoned && time.atMs + time.spanMs <= last.atMs;
}

/** A moment as HL7 writes it, in UTC, to the millisecond. */
export function formatHl7Time(atMs: number): string {
  const digits = new Date(atMs).toISOString().replace(/[-:TZ]/g, "");
  return `${digits}+0000`;
}
