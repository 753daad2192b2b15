import { escape as escaped } from "@influxdata/influxdb-client";
import { INFLUX_MEASUREMENTS } from "../core/influx-measurements.ts";
import { LIMITS } from "../core/limits.ts";
import type { InfluxPoint } from "./influx-points.ts";

/** What ends a line or a value early, or cannot be seen. VictoriaMetrics ends a line at any newline, within quotes as well. */
const CONTROLS = /[\p{Cc}\u2028\u2029]/gu;
/** A backslash at the end of a tag's value would escape what follows it, and cannot itself be escaped in line protocol. */
const BACKSLASHES = /\\/g;
/** Most texts are short and made of these, which need nothing done in a field. */
const HARMLESS = /^[\w .,;:/%()[\]+-]*$/;

/**
 * One point in InfluxDB's line protocol. Texts lose what line protocol cannot carry: control characters become spaces, backslashes in tags
 * become slashes, and beyond `influxTextCharactersMax` they are cut; an empty tag says `none`. A number that is not finite is left out.
 *
 * @param head  `lineHead` of this point, which all points of its series share.
 */
export function influxLine(point: InfluxPoint, head: string = lineHead(point)): string {
  const types: Readonly<Record<string, { readonly type: string } | undefined>> = INFLUX_MEASUREMENTS[point.measurement].fields;
  const { fields } = point;
  let [text, separator] = ["", ""];
  for (const name in fields) {
    const value = fieldText(fields[name], types[name]?.type === "integer");
    if (value === null) continue;
    text += `${separator}${name}=${value}`;
    separator = ",";
  }
  return `${head} ${text} ${point.ns}`;
}

/** Measurement and tags, with the tags in order of their names, as a server sorts them anyway. */
export function lineHead({ measurement, tags }: InfluxPoint): string {
  const words = Object.entries(tags).sort(([one], [other]) => (one < other ? -1 : 1));
  return [measurement, ...words.map(([name, value]) => `${name}=${escaped.tag(tagText(value))}`)].join(",");
}

/** What makes a series: points with the same text here are in the same one. */
export function seriesOf({ measurement, tags }: InfluxPoint): string {
  let series: string = measurement;
  for (const name in tags) series += `\n${tags[name]}`;
  return series;
}

function fieldText(value: number | string | boolean | undefined, isInteger: boolean): string | null {
  if (typeof value === "number") {
    if (!Number.isFinite(value)) return null;
    return isInteger ? `${Math.trunc(value)}i` : String(value);
  }
  if (typeof value === "string") return HARMLESS.test(value) ? `"${cut(value)}"` : escaped.quoted(plainText(value));
  return value === undefined ? null : value ? "T" : "F";
}

function tagText(text: string): string {
  const clean = plainText(text).replace(BACKSLASHES, "/").trim();
  return clean === "" ? "none" : clean;
}

/** Half of a surrogate pair has no bytes in UTF-8. */
function plainText(text: string): string {
  return cut(text).replace(CONTROLS, " ").toWellFormed();
}

function cut(text: string): string {
  const charactersMax = LIMITS.influxTextCharactersMax.value;
  return text.length > charactersMax ? text.slice(0, charactersMax) : text;
}
