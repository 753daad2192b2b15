import { fail, type Result, succeed } from "../../src/core/result.ts";

/** Why a WFDB record cannot be read. */
export type WfdbError =
  | { readonly kind: "unreadable"; readonly file: string; readonly cause: string }
  /** All files of the record together, up to and with this one. */
  | { readonly kind: "too-large"; readonly file: string; readonly givenBytes: number; readonly limitBytes: number }
  | { readonly kind: "damaged-header"; readonly file: string; readonly line: number; readonly field: string }
  /** A header may come from anywhere: it names files of its own folder, and nothing else. */
  | { readonly kind: "unsafe-name"; readonly file: string; readonly line: number; readonly name: string }
  | { readonly kind: "unsupported-format"; readonly file: string; readonly line: number; readonly format: string }
  | { readonly kind: "truncated"; readonly file: string; readonly givenBytes: number; readonly neededBytes: number }
  | {
      readonly kind: "wrong-initial-value" | "wrong-checksum";
      readonly file: string;
      readonly signal: string;
      readonly given: number;
      readonly expected: number;
    };

/** How samples are stored; `none` stands for nothing at all, as in a layout. */
export type WfdbFormat = "16" | "80" | "212" | "none";

/** One signal as its line describes it. */
export interface SignalLine {
  readonly line: number;
  readonly file: string;
  readonly format: WfdbFormat;
  readonly samplesPerFrame: number;
  /** How many frames of the file lie before the signal's first. */
  readonly skewFrames: number;
  readonly offsetBytes: number;
  /** Raw steps per unit, and the raw value of zero units. */
  readonly gain: number;
  readonly baseline: number;
  readonly unit: string;
  readonly initialValue: number | null;
  readonly checksum: number | null;
  readonly name: string;
}

/** One segment as its line describes it; without a name nothing was recorded there. */
export interface SegmentLine {
  readonly line: number;
  readonly name: string | null;
  readonly framesCount: number;
}

/** What a header says. */
export interface WfdbHeader {
  readonly file: string;
  /** The line of the header that describes the record. */
  readonly line: number;
  readonly name: string;
  readonly framesPerSecond: number;
  /** Null where the header does not say it, and then its checksums mean nothing. */
  readonly framesCount: number | null;
  readonly startTimeOfDayMs: number | null;
  /** As year, month and day; in de-identified records centuries away. */
  readonly startDate: string | null;
  readonly comments: readonly string[];
  readonly content:
    | { readonly kind: "signals"; readonly signals: readonly SignalLine[] }
    | { readonly kind: "segments"; readonly signalsCount: number; readonly segments: readonly SegmentLine[] };
}

interface Line {
  readonly line: number;
  readonly text: string;
}

/** What is wrong with one line. */
type LineError =
  | { readonly kind: "damaged-header"; readonly field: string }
  | { readonly kind: "unsafe-name"; readonly name: string }
  | { readonly kind: "unsupported-format"; readonly format: string };

/** Where the header names no frequency and no gain. Source: header(5) of the WFDB applications guide, DEFREQ and DEFGAIN. */
const USUAL_FRAMES_PER_SECOND = 250;
const USUAL_GAIN = 200;
const USUAL_UNIT = "mV";
/** Under this a gain makes infinities out of samples. Our bound; a real step is nowhere near a thousand million units. */
const GAIN_MIN = 1e-9;
/** What stands where a segment's name would, and where a file's would. */
const NOTHING_RECORDED = "~";
/** A plain name: no folder, and not the name of one. Hyphens and dots are not in the format's description, but in its records. */
const PLAIN_NAME = /^\w[\w.-]*$/;
const NUMBER = String.raw`[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?`;
const RECORD_NAME = /^([^/\s]+)(?:\/(\d+))?$/;
const FREQUENCY = new RegExp(String.raw`^(${NUMBER})(?:/${NUMBER}(?:\(${NUMBER}\))?)?$`);
const TIME_OF_DAY = /^(?:(?:(\d{1,2}):)?(\d{1,2}):)?(\d{1,2}(?:\.\d{1,9})?)$/;
const DATE = /^(\d{1,2})\/(\d{1,2})\/(\d{1,4})$/;
const FORMAT = /^(\d{1,6})(?:x(\d{1,6}))?(?::(\d{1,9}))?(?:\+(\d{1,9}))?$/;
const GAIN = new RegExp(String.raw`^(${NUMBER})(?:\(([+-]?\d{1,9})\))?(?:/(\S+))?$`);
/** The fields before the description, which is the only one that may hold spaces. */
const SIGNAL_FIELDS_COUNT = 8;

/**
 * Reads the text of a header: the record's line, then a line for each signal or each segment. Further lines are not read.
 *
 * Source: header(5) of the WFDB applications guide; for layouts and empty segments the WFDB programmer's guide, multi-segment records.
 */
export function parseWfdbHeader(file: string, text: string): Result<WfdbHeader, WfdbError> {
  const rows = text.split("\n").map((row, index) => ({ line: index + 1, text: row.trim() }));
  const lines = rows.filter((row) => row.text !== "" && !row.text.startsWith("#"));
  const comments = rows.flatMap((row) => (row.text.startsWith("#") ? [row.text.slice(1).trim()] : []));
  const [first, ...others] = lines;
  if (first === undefined) return fail({ kind: "damaged-header", file, line: 1, field: "record" });
  const at = (line: number) => (error: LineError) => fail({ ...error, file, line });
  const record = parseRecordLine(first.text);
  if (!record.ok) return at(first.line)(record.error);
  const { segmentsCount, signalsCount, ...facts } = record.value;
  const linesCount = segmentsCount ?? signalsCount;
  if (others.length < linesCount) return at(rows.length)(damaged(segmentsCount === null ? "signals" : "segments"));
  const wanted = others.slice(0, linesCount);
  const header = { file, line: first.line, ...facts, comments };
  if (segmentsCount !== null) {
    const segments = parseAll(wanted, parseSegmentLine);
    if (!segments.ok) return at(segments.error.line)(segments.error.error);
    return succeed({ ...header, content: { kind: "segments", signalsCount, segments: segments.value } });
  }
  const signals = parseAll(wanted, (row, index) => parseSignalLine(row, `record ${facts.name}, signal ${index}`));
  if (!signals.ok) return at(signals.error.line)(signals.error.error);
  return succeed({ ...header, content: { kind: "signals", signals: signals.value } });
}

function damaged(field: string): LineError {
  return { kind: "damaged-header", field };
}

function parseAll<Parsed>(
  rows: readonly Line[],
  parse: (row: Line, index: number) => Result<Parsed, LineError>,
): Result<readonly Parsed[], { readonly line: number; readonly error: LineError }> {
  const all: Parsed[] = [];
  for (const [index, row] of rows.entries()) {
    const parsed = parse(row, index);
    if (!parsed.ok) return fail({ line: row.line, error: parsed.error });
    all.push(parsed.value);
  }
  return succeed(all);
}

interface RecordLine {
  readonly name: string;
  readonly segmentsCount: number | null;
  readonly signalsCount: number;
  readonly framesPerSecond: number;
  readonly framesCount: number | null;
  readonly startTimeOfDayMs: number | null;
  readonly startDate: string | null;
}

function parseRecordLine(text: string): Result<RecordLine, LineError> {
  const fields = text.split(/\s+/);
  const [named = "", signals = "", frequency, frames, time, date, more] = fields;
  const [, name, segments] = RECORD_NAME.exec(named) ?? [];
  const segmentsCount = segments === undefined ? null : parseCount(segments);
  if (name === undefined || !PLAIN_NAME.test(name)) return fail(damaged("record"));
  if (segments !== undefined && !segmentsCount) return fail(damaged("segments"));
  const signalsCount = parseCount(signals);
  if (signalsCount === null) return fail(damaged("signals"));
  const framesPerSecond =
    frequency === undefined ? USUAL_FRAMES_PER_SECOND : Number(FREQUENCY.exec(frequency)?.[1] ?? Number.NaN);
  if (!Number.isFinite(framesPerSecond) || framesPerSecond <= 0) return fail(damaged("frequency"));
  const framesCount = frames === undefined ? 0 : parseCount(frames);
  if (framesCount === null) return fail(damaged("samples"));
  const startTimeOfDayMs = time === undefined ? null : parseTimeOfDay(time);
  if (time !== undefined && startTimeOfDayMs === null) return fail(damaged("time"));
  const startDate = date === undefined ? null : parseDate(date);
  if (startDate === "" || more !== undefined) return fail(damaged("date"));
  return succeed({
    ...{ name, segmentsCount, signalsCount, framesPerSecond, startTimeOfDayMs, startDate },
    framesCount: framesCount === 0 ? null : framesCount,
  });
}

function parseCount(text: string): number | null {
  const value = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
  return Number.isSafeInteger(value) ? value : null;
}

/** Milliseconds since midnight; hours may be left out. */
function parseTimeOfDay(text: string): number | null {
  const [, hours = "0", minutes = "0", seconds] = TIME_OF_DAY.exec(text) ?? [];
  if (seconds === undefined || Number(hours) > 23 || Number(minutes) > 59 || Number(seconds) >= 60) return null;
  return Math.round((Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds)) * 1000);
}

/** The day as year, month and day; null where all are zero, which says that nobody knows it; empty where there is no such day. */
function parseDate(text: string): string | null {
  const [, day = "", month = "", year = ""] = DATE.exec(text) ?? [];
  if ([day, month, year].every((part) => part !== "" && Number(part) === 0)) return null;
  if (Number(day) < 1 || Number(day) > 31 || Number(month) < 1 || Number(month) > 12) return "";
  return `${year.padStart(4, "0")}-${month.padStart(2, "0")}-${day.padStart(2, "0")}`;
}

function parseSegmentLine(row: Line): Result<SegmentLine, LineError> {
  const [name = "", frames = "", more] = row.text.split(/\s+/);
  const framesCount = parseCount(frames);
  if (framesCount === null || more !== undefined) return fail(damaged("samples"));
  if (name === NOTHING_RECORDED) return succeed({ line: row.line, name: null, framesCount });
  return PLAIN_NAME.test(name) ? succeed({ line: row.line, name, framesCount }) : fail({ kind: "unsafe-name", name });
}

/** @param usualName  The signal's name where the line has none. */
function parseSignalLine(row: Line, usualName: string): Result<SignalLine, LineError> {
  const fields = row.text.split(/\s+/);
  const [file = "", storage = "", scale, resolution, zero, initial, sum, block] = fields;
  const [, code, perFrame = "1", skew = "0", offset = "0"] = FORMAT.exec(storage) ?? [];
  if (code === undefined || Number(perFrame) === 0) return fail(damaged("format"));
  const format = formatOf(code);
  if (format === null) return fail({ kind: "unsupported-format", format: code });
  if (format !== "none" && !PLAIN_NAME.test(file)) return fail({ kind: "unsafe-name", name: file });
  const [, gainText, baselineText, unit = USUAL_UNIT] = scale === undefined ? ["", "0"] : (GAIN.exec(scale) ?? []);
  const gain = Number(gainText);
  const usable = Number.isFinite(gain) && (gain === 0 || Math.abs(gain) >= GAIN_MIN);
  if (gainText === undefined || !usable) return fail(damaged("gain"));
  const whole = { resolution, zero, initial, checksum: sum, block };
  for (const [field, text] of Object.entries(whole)) {
    if (text !== undefined && !/^[+-]?\d{1,9}$/.test(text)) return fail(damaged(field));
  }
  const description = fields.length > SIGNAL_FIELDS_COUNT ? fields.slice(SIGNAL_FIELDS_COUNT).join(" ") : usualName;
  return succeed({
    ...{ line: row.line, file, format, unit, name: description },
    samplesPerFrame: Number(perFrame),
    skewFrames: Number(skew),
    offsetBytes: Number(offset),
    gain: gain === 0 ? USUAL_GAIN : gain,
    baseline: Number(baselineText ?? zero ?? 0),
    initialValue: initial === undefined ? null : Number(initial),
    checksum: sum === undefined ? null : Number(sum),
  });
}

function formatOf(code: string): WfdbFormat | null {
  switch (code) {
    case "16":
    case "80":
    case "212":
      return code;
    case "0":
      return "none";
    default:
      return null;
  }
}
