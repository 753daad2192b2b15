import { readFile, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { LIMITS } from "../../src/core/limits.ts";
import { fail, type Result, succeed } from "../../src/core/result.ts";
import { parseWfdbHeader, type SegmentLine, type SignalLine, type WfdbError, type WfdbHeader } from "./wfdb-header.ts";

export type { WfdbError } from "./wfdb-header.ts";

/** A run of one signal's samples without a change of scale. */
export interface WfdbPiece {
  readonly firstIndex: number;
  /** As stored, `MISSING` where there is none. */
  readonly raw: Int16Array;
  /** Raw steps per unit, and the raw value of zero units. */
  readonly gain: number;
  readonly baseline: number;
}

/** One signal of a record. */
export interface WfdbSignal {
  readonly name: string;
  /** As the header writes it. */
  readonly unit: string;
  readonly samplesPerFrame: number;
  /** In the order of time; between them nothing was recorded. */
  readonly pieces: readonly WfdbPiece[];
}

/** A record in memory. */
export interface WfdbRecord {
  readonly name: string;
  readonly framesPerSecond: number;
  readonly framesCount: number;
  readonly startTimeOfDayMs: number | null;
  /** As year, month and day; in de-identified records centuries away. */
  readonly startDate: string | null;
  readonly comments: readonly string[];
  readonly signals: readonly WfdbSignal[];
}

/** The raw value that says that there is none, whatever the format. Source: WFDB_INVALID_SAMPLE. */
export const MISSING = -32768;

/** The lowest value of each format says that there is no sample. Source: WFDB programmer's guide, invalid samples. */
const MISSING_CODES = { "16": -32768, "80": -128, "212": -2048 } as const;
/** How many bytes hold a number of samples; 212 packs two into three. Source: signal(5) of the WFDB applications guide. */
const BYTES_PER_SAMPLE = { "16": 2, "80": 1, "212": 1.5 } as const;

type StoredFormat = keyof typeof BYTES_PER_SAMPLE;

/** Reads a file of the record's folder; all files of a record share one bound, each as often as it is named. */
type ReadFile = (name: string) => Promise<Result<Buffer, WfdbError>>;

/**
 * Reads a WFDB record, as PhysioNet publishes them, with all its segments, and checks initial values and checksums.
 *
 * @param headerFile  The record's `.hea`; its other files lie beside it.
 */
export async function readWfdbRecord(headerFile: string): Promise<Result<WfdbRecord, WfdbError>> {
  const spent = { bytes: 0 };
  const read: ReadFile = (name) => readBounded(join(dirname(headerFile), name), spent);
  const bytes = await readBounded(headerFile, spent);
  if (!bytes.ok) return bytes;
  const header = parseWfdbHeader(headerFile, bytes.value.toString("latin1"));
  if (!header.ok) return header;
  const { content, name, framesPerSecond, startTimeOfDayMs, startDate, comments } = header.value;
  const samples =
    content.kind === "signals"
      ? await readSignals(header.value, content.signals, read)
      : await readSegments(header.value, content, read);
  return samples.ok ? succeed({ name, framesPerSecond, startTimeOfDayMs, startDate, comments, ...samples.value }) : samples;
}

/** One sample in the signal's unit, `NaN` where there is none; indices count samples and not frames. */
export function sampleAt(signal: WfdbSignal, index: number): number {
  const { pieces } = signal;
  let low = 0;
  for (let high = pieces.length; low < high; ) {
    const middle = (low + high) >>> 1;
    if ((pieces[middle]?.firstIndex ?? 0) <= index) low = middle + 1;
    else high = middle;
  }
  const piece = pieces[low - 1];
  return piece === undefined ? Number.NaN : inUnits(piece, piece.raw[index - piece.firstIndex]);
}

/** A raw value in the signal's unit, `NaN` where it says that there is none. */
export function inUnits(piece: WfdbPiece, raw: number | undefined): number {
  return raw === undefined || raw === MISSING ? Number.NaN : (raw - piece.baseline) / piece.gain;
}

async function readBounded(file: string, spent: { bytes: number }): Promise<Result<Buffer, WfdbError>> {
  const limitBytes = LIMITS.simulatedRecordingBytesMax.value;
  try {
    const found = await stat(file);
    if (!found.isFile()) return fail({ kind: "unreadable", file, cause: "not a file" });
    spent.bytes += found.size;
    if (spent.bytes > limitBytes) return fail({ kind: "too-large", file, givenBytes: spent.bytes, limitBytes });
    return succeed(await readFile(file));
  } catch (error) {
    const cause = error instanceof Error && "code" in error ? String(error.code) : String(error);
    return fail({ kind: "unreadable", file, cause });
  }
}

// ------------------------------------------------------------------- samples

interface Samples {
  readonly framesCount: number;
  readonly signals: readonly WfdbSignal[];
}

/** Signals that lie interleaved in one file. */
interface Group {
  readonly file: string;
  readonly format: StoredFormat;
  readonly offsetBytes: number;
  readonly signals: readonly SignalLine[];
  readonly samplesPerFrame: number;
}

async function readSignals(
  header: WfdbHeader,
  lines: readonly SignalLine[],
  read: ReadFile,
): Promise<Result<Samples, WfdbError>> {
  const groups = groupsOf(header.file, lines);
  if (!groups.ok) return groups;
  const loaded: { readonly group: Group; readonly bytes: Buffer }[] = [];
  for (const group of groups.value) {
    const bytes = await read(group.file);
    if (!bytes.ok) return bytes;
    loaded.push({ group, bytes: bytes.value });
  }
  const sizes = loaded.map(({ group, bytes }) => framesIn(group, bytes.length));
  const framesCount = header.framesCount ?? (sizes.length === 0 ? 0 : Math.min(...sizes));
  const pieces = new Map<SignalLine, WfdbPiece>();
  for (const { group, bytes } of loaded) {
    const neededBytes = group.offsetBytes + Math.ceil(framesCount * group.samplesPerFrame * BYTES_PER_SAMPLE[group.format]);
    const file = join(dirname(header.file), group.file);
    if (bytes.length < neededBytes) return fail({ kind: "truncated", file, givenBytes: bytes.length, neededBytes });
    const flat = unpack(group.format, bytes.subarray(group.offsetBytes), framesCount * group.samplesPerFrame);
    let firstInFrame = 0;
    for (const signal of group.signals) {
      const stored = everyFrame(flat, { firstInFrame, perFrame: signal.samplesPerFrame, stride: group.samplesPerFrame });
      const wrong = header.framesCount === null ? null : wrongSamples(file, signal, stored);
      if (wrong !== null) return fail(wrong);
      pieces.set(signal, pieceOf(signal, group.format, stored));
      firstInFrame += signal.samplesPerFrame;
    }
  }
  return succeed({ framesCount, signals: lines.map((line) => signalOf(line, pieces.get(line))) });
}

/** Signals of one file stand together, and are stored alike. */
function groupsOf(header: string, lines: readonly SignalLine[]): Result<readonly Group[], WfdbError> {
  const groups: { file: string; format: StoredFormat; offsetBytes: number; signals: SignalLine[]; samplesPerFrame: number }[] =
    [];
  for (const signal of lines) {
    const { file, format, offsetBytes, samplesPerFrame, line } = signal;
    if (format === "none") continue;
    const last = groups.at(-1);
    if (last?.file !== file) {
      if (groups.some((group) => group.file === file)) return fail({ kind: "damaged-header", file: header, line, field: "file" });
      groups.push({ file, format, offsetBytes, signals: [signal], samplesPerFrame });
      continue;
    }
    if (last.format !== format || last.offsetBytes !== offsetBytes) {
      return fail({ kind: "damaged-header", file: header, line, field: "format" });
    }
    last.signals.push(signal);
    last.samplesPerFrame += samplesPerFrame;
  }
  return succeed(groups);
}

function framesIn(group: Group, sizeBytes: number): number {
  const samples = Math.floor(Math.max(0, sizeBytes - group.offsetBytes) / BYTES_PER_SAMPLE[group.format]);
  return Math.floor(samples / group.samplesPerFrame);
}

/** Source: signal(5) of the WFDB applications guide. */
function unpack(format: StoredFormat, bytes: Uint8Array, samplesCount: number): Int16Array {
  const samples = new Int16Array(samplesCount);
  const byteAt = (index: number) => bytes[index] ?? 0;
  switch (format) {
    case "16":
      for (let index = 0; index < samplesCount; index++) samples[index] = byteAt(2 * index) | (byteAt(2 * index + 1) << 8);
      return samples;
    case "80":
      for (let index = 0; index < samplesCount; index++) samples[index] = byteAt(index) - 128;
      return samples;
    case "212":
      for (let index = 0; index < samplesCount; index++) {
        // The middle byte has the high bits of both samples: the low half those of the first, the high half those of the second.
        const begin = 3 * (index >>> 1);
        const high = byteAt(begin + 1);
        const bits = index % 2 === 0 ? byteAt(begin) | ((high & 0x0f) << 8) : byteAt(begin + 2) | ((high & 0xf0) << 4);
        samples[index] = (bits << 20) >> 20;
      }
      return samples;
  }
}

/** The samples of one signal out of the frames of its file. */
function everyFrame(
  flat: Int16Array,
  of: { readonly firstInFrame: number; readonly perFrame: number; readonly stride: number },
): Int16Array {
  const samples = new Int16Array((flat.length / of.stride) * of.perFrame);
  let next = 0;
  for (let start = of.firstInFrame; start < flat.length; start += of.stride) {
    for (let index = 0; index < of.perFrame; index++) samples[next++] = flat[start + index] ?? 0;
  }
  return samples;
}

/** The initial value and the checksum are those of what is stored, missing codes and what a skew leaves out included. */
function wrongSamples(file: string, signal: SignalLine, stored: Int16Array): WfdbError | null {
  const first = stored[0] ?? 0;
  if (signal.initialValue !== null && signal.initialValue !== first) {
    return { kind: "wrong-initial-value", file, signal: signal.name, given: first, expected: signal.initialValue };
  }
  let sum = 0;
  for (const sample of stored) sum = (sum + sample) & 0xffff;
  if (signal.checksum === null || (signal.checksum & 0xffff) === sum) return null;
  return { kind: "wrong-checksum", file, signal: signal.name, given: (sum << 16) >> 16, expected: signal.checksum };
}

function pieceOf(signal: SignalLine, format: StoredFormat, stored: Int16Array): WfdbPiece {
  const raw = signal.skewFrames === 0 ? stored : new Int16Array(stored.length).fill(MISSING);
  if (raw !== stored) raw.set(stored.subarray(signal.skewFrames * signal.samplesPerFrame));
  const code = MISSING_CODES[format];
  if (code !== MISSING) {
    for (let index = 0; index < raw.length; index++) if (raw[index] === code) raw[index] = MISSING;
  }
  return { firstIndex: 0, raw, gain: signal.gain, baseline: signal.baseline };
}

function signalOf({ name, unit, samplesPerFrame }: SignalLine, piece: WfdbPiece | undefined): WfdbSignal {
  return { name, unit, samplesPerFrame, pieces: piece === undefined ? [] : [piece] };
}

// ------------------------------------------------------------------ segments

interface Segments {
  readonly signalsCount: number;
  readonly segments: readonly SegmentLine[];
}

/** Signals as they grow, segment by segment. */
interface GrowingSignal extends WfdbSignal {
  readonly pieces: WfdbPiece[];
}

/**
 * Puts segments one after another. Where the first has no samples it is a layout: it names all signals, and each segment has some
 * of them, found by their names. Otherwise each segment has all of them in the same order.
 */
async function readSegments(header: WfdbHeader, content: Segments, read: ReadFile): Promise<Result<Samples, WfdbError>> {
  const { segments, signalsCount } = content;
  const byName = segments[0]?.framesCount === 0;
  const totalFrames = segments.reduce((sum, segment) => sum + segment.framesCount, 0);
  if (!Number.isSafeInteger(totalFrames) || (header.framesCount !== null && header.framesCount !== totalFrames)) {
    return fail({ kind: "damaged-header", file: header.file, line: header.line, field: "samples" });
  }
  const signals: GrowingSignal[] = [];
  let firstFrame = 0;
  for (const [index, segment] of segments.entries()) {
    if (segment.name !== null) {
      const part = await readSegment(header, segment, read);
      if (!part.ok) return part;
      const { file, line, lines } = part.value;
      if (signals.length === 0) {
        if (lines.length !== signalsCount) return damagedPart(file, line, "signals");
        signals.push(...lines.map(({ name, unit, samplesPerFrame }) => ({ name, unit, samplesPerFrame, pieces: [] })));
      }
      const grown = grow(signals, { byName, isLayout: byName && index === 0, firstFrame, ...part.value });
      if (grown !== null) return fail(grown);
    }
    firstFrame += segment.framesCount;
  }
  return succeed({ framesCount: totalFrames, signals });
}

function damagedPart(file: string, line: number, field: string): Result<never, WfdbError> {
  return fail({ kind: "damaged-header", file, line, field });
}

interface Part {
  readonly file: string;
  readonly line: number;
  readonly lines: readonly SignalLine[];
  readonly samples: Samples;
}

/** A segment is a record of its own, without segments, and of the same frequency. */
async function readSegment(whole: WfdbHeader, segment: SegmentLine, read: ReadFile): Promise<Result<Part, WfdbError>> {
  const name = `${segment.name}.hea`;
  const file = join(dirname(whole.file), name);
  const bytes = await read(name);
  if (!bytes.ok) return bytes;
  const header = parseWfdbHeader(file, bytes.value.toString("latin1"));
  if (!header.ok) return header;
  const { content, line, framesPerSecond, framesCount } = header.value;
  if (content.kind === "segments") return damagedPart(file, line, "segments");
  if (framesPerSecond !== whole.framesPerSecond) return damagedPart(file, line, "frequency");
  if ((framesCount ?? 0) !== segment.framesCount) return damagedPart(file, line, "samples");
  const samples =
    segment.framesCount === 0 ? succeed({ framesCount: 0, signals: [] }) : await readSignals(header.value, content.signals, read);
  return samples.ok ? succeed({ file, line, lines: content.signals, samples: samples.value }) : samples;
}

/** Adds a segment's samples to the signals they belong to, or says what does not fit. */
function grow(
  signals: readonly GrowingSignal[],
  part: Part & { readonly byName: boolean; readonly isLayout: boolean; readonly firstFrame: number },
): WfdbError | null {
  const taken = new Set<GrowingSignal>();
  if (!part.byName && part.lines.length !== signals.length) {
    return { kind: "damaged-header", file: part.file, line: part.line, field: "signals" };
  }
  for (const [index, line] of part.lines.entries()) {
    const target = part.byName ? signals.find((signal) => signal.name === line.name) : signals[index];
    const fits = target?.samplesPerFrame === line.samplesPerFrame && (part.isLayout || target.unit === line.unit);
    if (target === undefined || taken.has(target) || !fits) {
      return { kind: "damaged-header", file: part.file, line: line.line, field: "description" };
    }
    taken.add(target);
    const firstIndex = part.firstFrame * line.samplesPerFrame;
    for (const piece of part.samples.signals[index]?.pieces ?? []) target.pieces.push({ ...piece, firstIndex });
  }
  return null;
}
