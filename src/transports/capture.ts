import { type FileHandle, open } from "node:fs/promises";
import { type CaptureChunk, isCaptureHeader, parseCaptureChunk, parseCaptureHeader } from "../core/capture.ts";
import { type ErrorCode, type Fault, fault } from "../core/errors.ts";
import { LIMITS } from "../core/limits.ts";
import type { LinkSpec } from "../core/ports.ts";
import { assert, fail, type Result, succeed } from "../core/result.ts";
import type { Clock } from "../core/time.ts";
import { type Connection, type ConnectionListener, type Dialler, WRITTEN } from "./reopening-link.ts";

type CaptureSpec = Extract<LinkSpec, { kind: "capture" }>;

const READ_BYTES = 65536;
/** A raw recording is taken for that of a line at 9600 baud with ten bits a byte where nothing else is said. */
const RAW_BYTES_PER_SECOND = 960;
const RAW_BURSTS_PER_SECOND = 20;
/** The pause after a recording's last chunk before it starts again, where the recording has only one. */
const REPEAT_PAUSE_MS = 1000;

/** One pass through a recording: its chunks in order; the return value says how long the pass is, or where it is damaged. */
type Pass = AsyncGenerator<CaptureChunk, { readonly lengthMs: number; readonly damagedLine: number | null }, void>;

/**
 * A recording played at its own pace, or faster, once or for ever.
 * A repeat follows without a mark, as the device would have gone on sending. What is written to it is accepted and lost.
 * A torn last line, as a power cut leaves it, ends a recording with times; a damaged line before it is a fault.
 */
export function captureDialler(spec: CaptureSpec, clock: Clock): Dialler {
  assert(spec.speed > 0, "a recording is played at a speed over zero");
  const facts = { file: spec.file };
  return {
    facts,
    connect: async (listener) => {
      const opened = await openRecording(spec, facts);
      if (!opened.ok) return opened;
      return succeed(new Player({ spec, clock, listener, facts, recording: opened.value }));
    },
  };
}

interface Recording {
  readonly handle: FileHandle;
  readonly pass: () => Pass;
}

async function openRecording(spec: CaptureSpec, facts: Fault["facts"]): Promise<Result<Recording, Fault>> {
  let handle: FileHandle | null = null;
  try {
    const file = await open(spec.file, "r");
    handle = file;
    const { bytesRead, buffer } = await file.read(Buffer.alloc(256), 0, 256, 0);
    if (bytesRead > 0) {
      const timed = isCaptureHeader(buffer.toString("utf8", 0, bytesRead));
      return succeed({ handle: file, pass: () => (timed ? timedPass(file) : rawPass(file, spec)) });
    }
    await file.close();
    return fail(fault("link-down", { ...facts, cause: "recording-empty" }));
  } catch (error) {
    await handle?.close();
    return fail(captureFault(facts, error));
  }
}

class Player implements Connection {
  readonly #spec: CaptureSpec;
  readonly #clock: Clock;
  readonly #listener: ConnectionListener;
  readonly #facts: Fault["facts"];
  readonly #recording: Recording;
  readonly #ending = new AbortController();
  #playing: Promise<void> | null = null;
  #pausedAtMs: number | null = null;
  #pausedMs = 0;
  #onResume: (() => void) | null = null;

  constructor(parts: {
    readonly spec: CaptureSpec;
    readonly clock: Clock;
    readonly listener: ConnectionListener;
    readonly facts: Fault["facts"];
    readonly recording: Recording;
  }) {
    this.#spec = parts.spec;
    this.#clock = parts.clock;
    this.#listener = parts.listener;
    this.#facts = parts.facts;
    this.#recording = parts.recording;
  }

  resume(): void {
    if (this.#pausedAtMs !== null) this.#pausedMs += this.#clock.monotonic() - this.#pausedAtMs;
    this.#pausedAtMs = null;
    this.#onResume?.();
    this.#onResume = null;
    this.#playing ??= this.#play();
  }

  pause(): void {
    this.#pausedAtMs ??= this.#clock.monotonic();
  }

  async write(): Promise<Result<void, Fault>> {
    return WRITTEN;
  }

  async close(): Promise<void> {
    this.#ending.abort();
    this.#onResume?.();
    await this.#playing;
    await this.#recording.handle.close();
  }

  async #play(): Promise<void> {
    try {
      let passStartMs: number = this.#clock.monotonic();
      for (;;) {
        const end = await this.#playPass(passStartMs);
        if (end === null) return;
        if (end.damagedLine !== null) return this.#finish({ cause: "recording-damaged", line: end.damagedLine });
        if (!this.#spec.repeat) return this.#finish({ cause: "recording-ended" });
        passStartMs += end.lengthMs / this.#spec.speed;
      }
    } catch (error) {
      this.#listener.lost(captureFault(this.#facts, error));
    }
  }

  /** Plays once; null when the player was closed meanwhile. */
  async #playPass(passStartMs: number): Promise<{ readonly lengthMs: number; readonly damagedLine: number | null } | null> {
    const pass = this.#recording.pass();
    for (;;) {
      const next = await pass.next();
      if (this.#ending.signal.aborted) return null;
      if (next.done === true) return next.value;
      const dueMs = passStartMs + next.value.atMs / this.#spec.speed;
      if (!(await this.#waitUntil(dueMs))) return null;
      this.#listener.bytes(next.value.channel, next.value.bytes);
    }
  }

  /** Waits for a time that pauses put off; false when the player was closed meanwhile. */
  async #waitUntil(dueMs: number): Promise<boolean> {
    while (!this.#ending.signal.aborted) {
      if (this.#pausedAtMs !== null) await new Promise<void>((resolve) => (this.#onResume = resolve));
      const waitMs = dueMs + this.#pausedMs - this.#clock.monotonic();
      if (this.#pausedAtMs === null && waitMs <= 0) return !this.#ending.signal.aborted;
      if (waitMs > 0) await this.#clock.sleep(waitMs, this.#ending.signal);
    }
    return false;
  }

  #finish(facts: Fault["facts"]): void {
    this.#listener.lost(fault("link-down", { ...this.#facts, ...facts }), { final: true });
  }
}

async function* rawPass(handle: FileHandle, spec: CaptureSpec): Pass {
  const bytesPerSecond = spec.bytesPerSecond ?? RAW_BYTES_PER_SECOND;
  const burstBytes = spec.burstBytes ?? Math.max(1, Math.round(bytesPerSecond / RAW_BURSTS_PER_SECOND));
  let position = 0;
  for (;;) {
    const { bytesRead, buffer } = await handle.read(Buffer.alloc(burstBytes), 0, burstBytes, position);
    if (bytesRead === 0) return { lengthMs: (position * 1000) / bytesPerSecond, damagedLine: null };
    yield { atMs: (position * 1000) / bytesPerSecond, channel: "", bytes: buffer.subarray(0, bytesRead) };
    position += bytesRead;
  }
}

async function* timedPass(handle: FileHandle): Pass {
  let lineNumber = 0;
  let lastMs = 0;
  let gapMs = REPEAT_PAUSE_MS;
  for await (const line of linesOf(handle)) {
    lineNumber += 1;
    if (lineNumber === 1) {
      if (!parseCaptureHeader(line.text).ok) return { lengthMs: 0, damagedLine: 1 };
      continue;
    }
    if (!line.tooLong && line.text.trim() === "") continue;
    const chunk = line.tooLong ? null : parseCaptureChunk(line.text);
    if (chunk === null || !chunk.ok || chunk.value.atMs < lastMs) {
      if (!line.terminated && !line.tooLong) break;
      return { lengthMs: lastMs, damagedLine: lineNumber };
    }
    if (chunk.value.atMs > lastMs && lastMs > 0) gapMs = chunk.value.atMs - lastMs;
    lastMs = chunk.value.atMs;
    yield chunk.value;
  }
  return { lengthMs: lastMs + gapMs, damagedLine: null };
}

/** The lines of a file, read in stretches; a line over `captureLineBytesMax` comes cut off and is the last one. */
async function* linesOf(
  handle: FileHandle,
): AsyncGenerator<{ readonly text: string; readonly terminated: boolean; readonly tooLong: boolean }, void, void> {
  let position = 0;
  let rest = Buffer.alloc(0);
  for (;;) {
    const { bytesRead, buffer } = await handle.read(Buffer.alloc(READ_BYTES), 0, READ_BYTES, position);
    if (bytesRead === 0) break;
    position += bytesRead;
    let bytes = Buffer.concat([rest, buffer.subarray(0, bytesRead)]);
    for (let end = bytes.indexOf(0x0a); end >= 0; end = bytes.indexOf(0x0a)) {
      yield { text: bytes.toString("utf8", 0, end), terminated: true, tooLong: false };
      bytes = bytes.subarray(end + 1);
    }
    if (bytes.length > LIMITS.captureLineBytesMax.value) {
      yield { text: "", terminated: false, tooLong: true };
      return;
    }
    rest = bytes;
  }
  if (rest.length > 0) yield { text: rest.toString("utf8"), terminated: false, tooLong: false };
}

/** The system's names of failures, as far as they mean more than that nothing more comes. */
const CAPTURE_CODES: Readonly<Partial<Record<string, ErrorCode>>> = {
  ENOENT: "link-not-found",
  ENOTDIR: "link-not-found",
  EACCES: "link-denied",
  EPERM: "link-denied",
};

function captureFault(facts: Fault["facts"], error: unknown): Fault {
  const cause = error instanceof Error && "code" in error ? String(error.code) : String(error);
  return fault(CAPTURE_CODES[cause] ?? "link-down", { ...facts, cause });
}
