import { fail, type Result, succeed } from "../../src/core/result.ts";
import { type WallMs, wallMs } from "../../src/core/time.ts";
import type { Json } from "./json-text.ts";

/** How a device writes its time. */
export interface TimeFormat {
  /** Milliseconds since 1970 in UTC by the device's clock, or null where the value is no time in this format. */
  readonly read: (value: Json) => WallMs | null;
  /** The value that says this time. */
  readonly write: (atMs: number) => Json;
}

/** The letters of a pattern with their digits; a letter run that is none of them is refused. */
const PATTERN_FIELDS = { yyyy: 4, MM: 2, dd: 2, HH: 2, mm: 2, ss: 2, SSS: 3 } as const;

type PatternField = keyof typeof PATTERN_FIELDS;

/** Without these no time can be told. */
const NEEDED_FIELDS: readonly PatternField[] = ["yyyy", "MM", "dd", "HH", "mm"];

/** A date of RFC 3339, with a blank or `T`, with or without seconds, fractions and zone. */
const ISO =
  /^(?<yyyy>\d{4})-(?<MM>\d\d)-(?<dd>\d\d)[Tt ](?<HH>\d\d):(?<mm>\d\d)(?::(?<ss>\d\d)(?:[.,](?<fraction>\d{1,9}))?)?(?<zone>[Zz]|[+-]\d\d:?\d\d)?$/;

/** A number written as text, as some devices send their times. */
const PLAIN_NUMBER = /^-?\d{1,17}(\.\d{1,9})?$/;

/** The last time that JavaScript can tell. */
const TIME_MS_MAX = 8.64e15;

/** Minutes east of UTC of a zone such as `+08:00`, `-0330` or `Z`; null where it is none. */
export function parseZone(text: string): number | null {
  if (/^[Zz]$/.test(text)) return 0;
  const found = /^([+-])(\d\d):?(\d\d)$/.exec(text);
  if (found === null) return null;
  const [hours, minutes] = [Number(found[2]), Number(found[3])];
  if (hours > 14 || minutes > 59) return null;
  return (found[1] === "-" ? -1 : 1) * (hours * 60 + minutes);
}

/**
 * Makes a format out of its name or pattern.
 *
 * @param text         `iso`, `unix-seconds`, `unix-milliseconds`, or a pattern of yyyy MM dd HH mm ss SSS with signs between; letters that
 *                     stand for themselves are put between single quotes.
 * @param zoneMinutes  Minutes east of UTC of times that do not say their zone.
 * @returns            The format, or the part of the pattern that is not understood.
 */
export function createTimeFormat(text: string, zoneMinutes: number): Result<TimeFormat, string> {
  switch (text) {
    case "iso":
      return succeed({ read: (value) => readMatch(value, ISO, zoneMinutes), write: (atMs) => new Date(atMs).toISOString() });
    case "unix-seconds":
      return succeed({ read: (value) => readNumber(value, 1000), write: (atMs) => atMs / 1000 });
    case "unix-milliseconds":
      return succeed({ read: (value) => readNumber(value, 1), write: (atMs) => atMs });
  }
  const parts = splitPattern(text);
  if (!parts.ok) return parts;
  const source = parts.value.map((part) =>
    part.field === null ? escaped(part.text) : `(?<${part.field}>\\d{${part.text.length}})`,
  );
  const pattern = new RegExp(`^${source.join("")}$`);
  return succeed({
    read: (value) => readMatch(value, pattern, zoneMinutes),
    write: (atMs) => writePattern(parts.value, atMs + zoneMinutes * 60_000),
  });
}

interface PatternPart {
  readonly field: PatternField | null;
  readonly text: string;
}

/** Takes a pattern apart; each field may stand once. */
function splitPattern(pattern: string): Result<readonly PatternPart[], string> {
  const parts: PatternPart[] = [];
  for (let rest = pattern; rest !== ""; ) {
    const literal = /^'([^']*)'/.exec(rest);
    const letters = /^([A-Za-z])\1*/.exec(rest)?.[0];
    const field = (Object.keys(PATTERN_FIELDS) as PatternField[]).find((name) => name === letters) ?? null;
    if (literal === null && letters !== undefined && (field === null || parts.some((part) => part.field === field)))
      return fail(rest);
    if (rest.startsWith("'") && literal === null) return fail(rest);
    parts.push({ field, text: literal?.[1] ?? letters ?? rest.slice(0, 1) });
    rest = rest.slice((literal?.[0] ?? letters ?? rest.slice(0, 1)).length);
  }
  const missing = NEEDED_FIELDS.filter((field) => !parts.some((part) => part.field === field));
  return missing.length === 0 ? succeed(parts) : fail(missing.join(" "));
}

function escaped(text: string): string {
  return text.replaceAll(/[\\^$.*+?()[\]{}|/]/g, "\\$&");
}

function readMatch(value: Json, pattern: RegExp, zoneMinutes: number): WallMs | null {
  const groups = typeof value === "string" ? pattern.exec(value)?.groups : undefined;
  if (groups === undefined) return null;
  const field = (name: string) => Number(groups[name] ?? 0);
  const [year, month, day, hour, minute, second] = ["yyyy", "MM", "dd", "HH", "mm", "ss"].map(field) as [
    ...[number, number, number, number, number, number],
  ];
  const zone = groups["zone"];
  const eastMinutes = zone === undefined ? zoneMinutes : parseZone(zone);
  if (eastMinutes === null || hour > 23 || minute > 59 || second > 59) return null;
  const day0 = new Date(Date.UTC(2000, 0, 1));
  day0.setUTCFullYear(year, month - 1, day);
  // A day that the month does not have has become one of another.
  if (day0.getUTCMonth() !== month - 1) return null;
  const milliseconds = groups["SSS"] ?? groups["fraction"]?.padEnd(3, "0").slice(0, 3) ?? "0";
  const ofDayMs = ((hour * 60 + minute - eastMinutes) * 60 + second) * 1000 + Number(milliseconds);
  return wallMs(day0.getTime() + ofDayMs);
}

function readNumber(value: Json, msPerUnit: number): WallMs | null {
  const number = typeof value === "string" && PLAIN_NUMBER.test(value) ? Number(value) : value;
  if (typeof number !== "number") return null;
  const ms = Math.round(number * msPerUnit);
  return Math.abs(ms) <= TIME_MS_MAX ? wallMs(ms) : null;
}

function writePattern(parts: readonly PatternPart[], localMs: number): string {
  const iso = new Date(localMs).toISOString();
  const written: Readonly<Record<PatternField, string>> = {
    yyyy: iso.slice(0, 4),
    MM: iso.slice(5, 7),
    dd: iso.slice(8, 10),
    HH: iso.slice(11, 13),
    mm: iso.slice(14, 16),
    ss: iso.slice(17, 19),
    SSS: iso.slice(20, 23),
  };
  return parts.map((part) => (part.field === null ? part.text : written[part.field])).join("");
}
