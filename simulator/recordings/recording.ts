import { readFile, stat } from "node:fs/promises";
import { type CaptureChunk, isCaptureHeader, parseCaptureChunk, parseCaptureHeader } from "../../src/core/capture.ts";
import { LIMITS } from "../../src/core/limits.ts";
import type { Driver, Twin } from "../../src/core/ports.ts";
import { fail, type Result, succeed } from "../../src/core/result.ts";
import { monotonicMs } from "../../src/core/time.ts";

/** A recording in memory, as bursts with their times. */
export interface Recording {
  readonly chunks: readonly CaptureChunk[];
  /** One pass, in milliseconds. */
  readonly lengthMs: number;
  /** Where a repeat begins: 1 where the first burst holds the end of a message whose beginning was not recorded. */
  readonly repeatFromIndex: number;
}

/** Why a recording cannot be played. */
export type RecordingError =
  | { readonly kind: "unreadable"; readonly file: string; readonly cause: string }
  | { readonly kind: "too-large"; readonly file: string; readonly givenBytes: number; readonly limitBytes: number }
  | { readonly kind: "empty"; readonly file: string }
  | { readonly kind: "damaged"; readonly file: string; readonly line: number }
  /** The file says itself that it is of another kind of device. */
  | { readonly kind: "other-driver"; readonly file: string; readonly recordedOf: string; readonly driver: string }
  /** A raw file in which the driver finds nothing that it understands. */
  | { readonly kind: "no-message"; readonly file: string; readonly driver: string };

/**
 * Reads a recording.
 *
 * @param file       A recording with times (`core/capture.ts`), or a raw one.
 * @param driver     Finds the messages in a raw recording, which has no times.
 * @param messageMs  From one message of a raw recording to the next.
 */
export async function readRecording(from: {
  readonly file: string;
  readonly driver: Driver;
  readonly messageMs: number;
}): Promise<Result<Recording, RecordingError>> {
  const { file } = from;
  let bytes: Buffer;
  try {
    const { size } = await stat(file);
    const limitBytes = LIMITS.simulatedRecordingBytesMax.value;
    if (size > limitBytes) return fail({ kind: "too-large", file, givenBytes: size, limitBytes });
    bytes = await readFile(file);
  } catch (error) {
    return fail({
      kind: "unreadable",
      file,
      cause: error instanceof Error && "code" in error ? String(error.code) : String(error),
    });
  }
  if (bytes.length === 0) return fail({ kind: "empty", file });
  return isCaptureHeader(bytes.toString("utf8", 0, 256))
    ? timedRecording(bytes.toString("utf8"), from)
    : rawRecording(bytes, from);
}

function timedRecording(
  text: string,
  { file, driver }: { readonly file: string; readonly driver: Driver },
): Result<Recording, RecordingError> {
  const lines = text.split("\n");
  const torn = !text.endsWith("\n");
  const chunks: CaptureChunk[] = [];
  const header = parseCaptureHeader(lines[0] ?? "");
  if (!header.ok) return fail({ kind: "damaged", file, line: 1 });
  const recordedOf = header.value.driverId;
  if (recordedOf !== null && recordedOf !== driver.id) return fail({ kind: "other-driver", file, recordedOf, driver: driver.id });
  for (const [index, line] of lines.entries()) {
    if (index === 0 || line.trim() === "") continue;
    const chunk = parseCaptureChunk(line);
    if (chunk.ok && chunk.value.atMs >= (chunks.at(-1)?.atMs ?? 0)) chunks.push(chunk.value);
    else if (torn && index === lines.length - 1) break;
    else return fail({ kind: "damaged", file, line: index + 1 });
  }
  const last = chunks.at(-1);
  if (last === undefined) return fail({ kind: "empty", file });
  const gapMs = last.atMs - (chunks.at(-2)?.atMs ?? last.atMs - 1000);
  return succeed({ chunks, lengthMs: last.atMs + Math.max(1, gapMs), repeatFromIndex: 0 });
}

/** Cuts a raw recording after each byte that completes a message, so that messages come whole as from the device. */
function rawRecording(
  bytes: Uint8Array,
  from: { readonly file: string; readonly driver: Driver; readonly messageMs: number },
): Result<Recording, RecordingError> {
  const session = from.driver.open({});
  const pieces: Uint8Array[] = [];
  let startIndex = 0;
  for (let index = 0; index < bytes.length; index++) {
    const emissions = session.feed(bytes.subarray(index, index + 1), "", monotonicMs(0));
    if (!emissions.some((emission) => emission.kind === "message")) continue;
    pieces.push(bytes.slice(startIndex, index + 1));
    startIndex = index + 1;
  }
  if (pieces.length === 0) return fail({ kind: "no-message", file: from.file, driver: from.driver.id });
  if (startIndex < bytes.length) pieces.push(bytes.slice(startIndex));
  const chunks = pieces.map((piece, index) => ({ atMs: index * from.messageMs, channel: "", bytes: piece }));
  return succeed({
    chunks,
    lengthMs: chunks.length * from.messageMs,
    repeatFromIndex: pieces.length > 1 && !joins(pieces, from.driver) ? 1 : 0,
  });
}

/** Whether the first piece can follow the last without a byte being refused. */
function joins(pieces: readonly Uint8Array[], driver: Driver): boolean {
  const session = driver.open({});
  const around = [...pieces.slice(-2), ...pieces.slice(0, 2)];
  return !around.some((piece, index) => {
    const emissions = session.feed(piece, "", monotonicMs(0));
    return index >= 2 && emissions.some((emission) => emission.kind === "refusal");
  });
}

/** A device that sends a recording, for ever. Nothing in the bytes marks where it begins again. */
export function recordingTwin(recording: Recording): Twin {
  const { chunks } = recording;
  const skippedMs = recording.repeatFromIndex === 0 ? 0 : (chunks[recording.repeatFromIndex]?.atMs ?? 0);
  let passStartMs = 0;
  let nextIndex = 0;
  const nextDueMs = () => passStartMs + (chunks[nextIndex]?.atMs ?? 0);
  return {
    due: (atMs) => {
      const bytesToSend: { channel: string; bytes: Uint8Array }[] = [];
      while (nextDueMs() <= atMs) {
        const chunk = chunks[nextIndex];
        if (chunk === undefined) break;
        bytesToSend.push({ channel: chunk.channel, bytes: chunk.bytes });
        nextIndex += 1;
        if (nextIndex === chunks.length) {
          nextIndex = recording.repeatFromIndex;
          passStartMs += recording.lengthMs - skippedMs;
        }
      }
      return { bytesToSend, nextDueMs: nextDueMs() };
    },
    receive: () => {},
  };
}
