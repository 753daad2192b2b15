import { fail, type Result, succeed } from "./result.ts";

/**
 * A recording with times, as JSON Lines: the header on the first line, then one chunk a line.
 * A recording without that header is raw: the device's bytes and nothing else.
 */
export const CAPTURE_FORMAT = "vigil.capture/1";

/** The first line of a recording with times. */
export interface CaptureHeader {
  readonly format: typeof CAPTURE_FORMAT;
  /** Wall time of `atMs` 0 in milliseconds since 1970, or null where it is not known. */
  readonly recordedAtMs: number | null;
  /** The driver the bytes are meant for, or null where it is not known. */
  readonly driverId: string | null;
  /** What whoever recorded it says of it, for people who open the file; nothing reads it. */
  readonly note?: string;
}

/** Bytes that arrived together, and when. */
export interface CaptureChunk {
  /** Milliseconds since the recording began; never falls from line to line. */
  readonly atMs: number;
  /** "" where the transport has one channel only. */
  readonly channel: string;
  readonly bytes: Uint8Array;
}

/** Why a line of a recording could not be read. */
export interface CaptureError {
  readonly kind: "bad-line";
  readonly field: "json" | "format" | "recordedAtMs" | "driverId" | "atMs" | "channel" | "hex";
}

/** Whether a file that begins like this is a recording with times. `start` needs at least 32 characters of a longer file. */
export function isCaptureHeader(start: string): boolean {
  return /^\s*\{\s*"format"\s*:\s*"vigil\.capture\//.test(start);
}

/** Reads the first line of a recording with times. */
export function parseCaptureHeader(line: string): Result<CaptureHeader, CaptureError> {
  const fields = parseFields(line);
  if (fields === null) return fail({ kind: "bad-line", field: "json" });
  const { format, recordedAtMs = null, driverId = null } = fields;
  if (format !== CAPTURE_FORMAT) return fail({ kind: "bad-line", field: "format" });
  if (recordedAtMs !== null && typeof recordedAtMs !== "number") return fail({ kind: "bad-line", field: "recordedAtMs" });
  if (driverId !== null && typeof driverId !== "string") return fail({ kind: "bad-line", field: "driverId" });
  return succeed({ format, recordedAtMs, driverId });
}

/** Reads one further line of a recording with times. */
export function parseCaptureChunk(line: string): Result<CaptureChunk, CaptureError> {
  const fields = parseFields(line);
  if (fields === null) return fail({ kind: "bad-line", field: "json" });
  const { atMs, channel = "", hex } = fields;
  if (typeof atMs !== "number" || !Number.isFinite(atMs) || atMs < 0) return fail({ kind: "bad-line", field: "atMs" });
  if (typeof channel !== "string") return fail({ kind: "bad-line", field: "channel" });
  if (typeof hex !== "string" || hex.length % 2 !== 0 || !/^[0-9a-fA-F]*$/.test(hex))
    return fail({ kind: "bad-line", field: "hex" });
  return succeed({ atMs, channel, bytes: fromHex(hex) });
}

/** The first line of a recording with times, with its line end. */
export function formatCaptureHeader(header: CaptureHeader): string {
  return `${JSON.stringify(header)}\n`;
}

/** One further line of a recording with times, with its line end. */
export function formatCaptureChunk(chunk: CaptureChunk): string {
  return `${JSON.stringify({ atMs: chunk.atMs, channel: chunk.channel, hex: toHex(chunk.bytes) })}\n`;
}

function parseFields(line: string): Readonly<{ [name in string]?: unknown }> | null {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === "object" && value !== null && !Array.isArray(value) ? { ...value } : null;
  } catch {
    return null;
  }
}

function fromHex(hex: string): Uint8Array {
  return Uint8Array.from({ length: hex.length / 2 }, (_, index) => Number.parseInt(hex.slice(index * 2, index * 2 + 2), 16));
}

function toHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
