import { crc32 } from "node:zlib";
import { deviceId, patientId } from "../../core/ids.ts";
import type { Origin, WaveformChunk } from "../../core/observation.ts";
import type { WaveformName } from "../../core/quantities.ts";
import { monotonicMs, wallMs } from "../../core/time.ts";
import { ByteReader, ByteWriter, DamagedBytesError } from "../block-bytes.ts";

/** Begins every frame; the last byte is the format's version. */
const MAGIC = Buffer.from([0xb7, 0x57, 0x56, 0x01]);
/** Magic, length of the content, its check sum. */
const HEAD_BYTES = 12;
/** A chunk is never longer; a length over this is damage. A second of one wave at 250 Hz is under 600 bytes. */
export const FRAME_BYTES_MAX = 262_144;
/** No frame is shorter: the times, names and numbers of a chunk without samples. */
export const FRAME_BYTES_MIN = 48;

/** An origin is stored as its place in this list, so a new one comes last. */
const ORIGINS: readonly Origin[] = ["measured", "test", "simulated", "replayed"];

/** As an origin is. */
const LATE: readonly WaveformChunk["late"][] = [undefined, true, false];

/** How samples rest, as short as they can be and come back bit by bit. `steps`: each from the one before, seven bits a byte. */
const SAMPLES = { float32: 0, int16: 1, uint8: 2, steps: 3 } as const;

/** What a chunk carries beside itself. */
export interface FrameNumbers {
  /** Random for each life of the gateway: monotonic times are comparable within one only. */
  readonly life: number;
  /** Counts the life's chunks, so that a hole tells how many are missing. */
  readonly number: number;
  /** The sequence number that was current when the chunk came. */
  readonly seq: number;
}

/** What can be told of a frame without its samples. */
export interface FrameFacts extends FrameNumbers {
  readonly deviceId: string;
  readonly patientId: string | null;
  readonly measuredAtMs: number;
  readonly receivedAtMs: number;
  readonly receivedMonotonicMs: number;
  readonly waveform: string;
  readonly firstSampleIndex: number;
  readonly sampleRateHz: number;
  readonly sampleCount: number;
  /** The device kept it and sent it later. */
  readonly late: boolean | undefined;
}

/**
 * One chunk as bytes that need nothing outside themselves: magic, length, CRC-32, content. A flipped byte therefore costs one chunk.
 * Measured on a second of ECG, pleth and pressure at 250 Hz: 1.4 bytes a sample, 0.4 of them the chunk's names and times.
 */
export function encodeFrame(chunk: WaveformChunk, numbers: FrameNumbers): Buffer<ArrayBuffer> {
  const writer = new ByteWriter();
  const { times } = chunk;
  writer.varint(numbers.life);
  writer.varint(numbers.number);
  writer.varint(numbers.seq);
  writer.float(times.receivedMonotonicMs);
  writer.near(times.receivedAtMs, 0);
  writer.near(times.measuredAtMs, times.receivedAtMs);
  writeText(writer, chunk.deviceId);
  writer.varint(chunk.patientId === null ? 0 : 1);
  if (chunk.patientId !== null) writeText(writer, chunk.patientId);
  writeText(writer, chunk.waveform);
  writer.near(chunk.firstSampleIndex, 0);
  writer.decimal(chunk.sampleRateHz);
  writer.varint(chunk.raw.length);
  writer.varint(LATE.indexOf(chunk.late));
  writer.varint(times.deviceClockMs === null ? 0 : 1);
  if (times.deviceClockMs !== null) writer.near(times.deviceClockMs, times.receivedAtMs);
  writer.decimal(chunk.gain);
  writer.decimal(chunk.offset);
  writeText(writer, chunk.unit);
  writer.varint(ORIGINS.indexOf(chunk.origin));
  writeSamples(writer, chunk.raw);
  const content = writer.finish();
  const frame = Buffer.alloc(HEAD_BYTES + content.length);
  frame.set(MAGIC, 0);
  frame.writeUInt32LE(content.length, 4);
  frame.writeUInt32LE(crc32(content, content.length), 8);
  frame.set(content, HEAD_BYTES);
  return frame;
}

function writeText(writer: ByteWriter, text: string): void {
  writer.bytes(Buffer.from(text, "utf8"));
}

function readText(reader: ByteReader): string {
  const bytes = reader.bytes();
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("utf8");
}

/** The shortest way that gives the same bits back. Devices sample in whole numbers; only what is none takes four bytes. */
function samplesForm(raw: Float32Array): number {
  let unsigned = true;
  let stepBytes = 0;
  let before = 0;
  for (const sample of raw) {
    if ((sample | 0) !== sample || Object.is(sample, -0) || sample < -32_768 || sample > 32_767) return SAMPLES.float32;
    if (sample < 0 || sample > 255) unsigned = false;
    const step = sample - before;
    stepBytes += step >= -64 && step <= 63 ? 1 : step >= -8192 && step <= 8191 ? 2 : 3;
    before = sample;
  }
  if (unsigned) return SAMPLES.uint8;
  return stepBytes < raw.length * 2 ? SAMPLES.steps : SAMPLES.int16;
}

/** Numbers lie as the machine has them: both machines this runs on, x64 and arm64, put the lowest byte first. */
function writeSamples(writer: ByteWriter, raw: Float32Array): void {
  const form = samplesForm(raw);
  writer.varint(form);
  switch (form) {
    case SAMPLES.uint8:
      writer.bytes(Uint8Array.from(raw));
      break;
    case SAMPLES.int16:
      writer.bytes(new Uint8Array(Int16Array.from(raw).buffer));
      break;
    case SAMPLES.steps: {
      let before = 0;
      for (const sample of raw) {
        writer.signed(sample - before);
        before = sample;
      }
      break;
    }
    default:
      writer.bytes(new Uint8Array(raw.buffer, raw.byteOffset, raw.byteLength));
  }
}

function readSamples(reader: ByteReader, count: number): Float32Array {
  const form = reader.varint();
  if (form === SAMPLES.steps) {
    let sample = 0;
    return Float32Array.from({ length: Math.min(count, FRAME_BYTES_MAX) }, () => {
      sample += reader.signed();
      return sample;
    });
  }
  // A copy, because numbers of two and four bytes must lie at even places.
  const raw = samplesOf(form, Uint8Array.from(reader.bytes()));
  if (raw.length !== count) throw new DamagedBytesError("a chunk has other samples than it says");
  return raw;
}

function samplesOf(form: number, bytes: Uint8Array<ArrayBuffer>): Float32Array {
  switch (form) {
    case SAMPLES.uint8:
      return Float32Array.from(bytes);
    case SAMPLES.int16:
      return Float32Array.from(new Int16Array(bytes.buffer));
    case SAMPLES.float32:
      return new Float32Array(bytes.buffer);
    default:
      throw new DamagedBytesError("the form of the samples is unknown");
  }
}

function readFacts(reader: ByteReader): FrameFacts {
  const life = reader.varint();
  const number = reader.varint();
  const seq = reader.varint();
  const receivedMonotonicMs = reader.float();
  const receivedAtMs = reader.near(0);
  const measuredAtMs = reader.near(receivedAtMs);
  const device = readText(reader);
  const patient = reader.varint() === 0 ? null : readText(reader);
  const waveform = readText(reader);
  const firstSampleIndex = reader.near(0);
  const sampleRateHz = reader.decimal();
  const sampleCount = reader.varint();
  const late = LATE[reader.varint()];
  return {
    ...{ life, number, seq, receivedMonotonicMs, receivedAtMs, measuredAtMs },
    ...{ deviceId: device, patientId: patient, waveform, firstSampleIndex, sampleRateHz, sampleCount, late },
  };
}

/** The numbers a frame's content begins with. @throws DamagedBytesError  Where the content cannot have been written so. */
export function numbersOf(content: Uint8Array): FrameNumbers {
  const reader = new ByteReader(content);
  return { life: reader.varint(), number: reader.varint(), seq: reader.varint() };
}

/** What can be told of a frame's content without its samples. @throws DamagedBytesError  Where the content cannot have been written so. */
export function factsOf(content: Uint8Array): FrameFacts {
  return readFacts(new ByteReader(content));
}

/** The chunk of a frame's content, as it went in. @throws DamagedBytesError  Where the content cannot have been written so. */
export function chunkOf(content: Uint8Array): WaveformChunk {
  const reader = new ByteReader(content);
  const facts = readFacts(reader);
  const deviceClockMs = reader.varint() === 0 ? null : wallMs(reader.near(facts.receivedAtMs));
  const gain = reader.decimal();
  const offset = reader.decimal();
  const unit = readText(reader);
  const origin = ORIGINS[reader.varint()];
  if (origin === undefined) throw new DamagedBytesError("an origin is unknown");
  const raw = readSamples(reader, facts.sampleCount);
  reader.end();
  return {
    kind: "waveform",
    deviceId: deviceId(facts.deviceId),
    patientId: facts.patientId === null ? null : patientId(facts.patientId),
    waveform: facts.waveform as WaveformName,
    sampleRateHz: facts.sampleRateHz,
    firstSampleIndex: facts.firstSampleIndex,
    raw,
    gain,
    offset,
    unit,
    times: {
      measuredAtMs: wallMs(facts.measuredAtMs),
      deviceClockMs,
      receivedAtMs: wallMs(facts.receivedAtMs),
      receivedMonotonicMs: monotonicMs(facts.receivedMonotonicMs),
    },
    origin,
    ...(facts.late === undefined ? {} : { late: facts.late }),
  };
}

/** A stretch of a file: a sound frame with its content, or bytes that are none. */
export type Stretch =
  | { readonly kind: "frame"; readonly at: number; readonly end: number; readonly content: Buffer }
  | {
      readonly kind: "damage";
      readonly at: number;
      readonly end: number;
      /** True where a frame begins properly and the bytes end before it does: a write that was cut short. */
      readonly cutOff: boolean;
    };

/** Goes through whole frames that were encoded just now, without looking for damage. */
export function* walkFrames(bytes: Buffer): Generator<{ readonly at: number; readonly end: number; readonly content: Buffer }> {
  for (let at = 0; at < bytes.length; ) {
    const end = at + HEAD_BYTES + bytes.readUInt32LE(at + 4);
    yield { at, end, content: bytes.subarray(at + HEAD_BYTES, end) };
    at = end;
  }
}

/** Goes through bytes frame by frame. Where there is none, it goes on at the next sound one. */
export function* stretchesOf(bytes: Buffer): Generator<Stretch> {
  for (let at = 0; at < bytes.length; ) {
    const end = frameEnd(bytes, at);
    if (end !== null) {
      yield { kind: "frame", at, end, content: bytes.subarray(at + HEAD_BYTES, end) };
      at = end;
      continue;
    }
    let next = bytes.indexOf(MAGIC, at + 1);
    while (next >= 0 && frameEnd(bytes, next) === null) next = bytes.indexOf(MAGIC, next + 1);
    const damageEnd = next < 0 ? bytes.length : next;
    yield { kind: "damage", at, end: damageEnd, cutOff: next < 0 && isCutOff(bytes, at) };
    at = damageEnd;
  }
}

/** Where the frame at a place ends, or null where there is no sound one. */
function frameEnd(bytes: Buffer, at: number): number | null {
  if (bytes.length - at < HEAD_BYTES || bytes.compare(MAGIC, 0, MAGIC.length, at, at + MAGIC.length) !== 0) return null;
  const length = bytes.readUInt32LE(at + 4);
  const end = at + HEAD_BYTES + length;
  if (length > FRAME_BYTES_MAX || end > bytes.length) return null;
  return crc32(bytes.subarray(at + HEAD_BYTES, end), length) === bytes.readUInt32LE(at + 8) ? end : null;
}

function isCutOff(bytes: Buffer, at: number): boolean {
  const begun = bytes.subarray(at, at + MAGIC.length);
  if (begun.compare(MAGIC, 0, begun.length) !== 0) return false;
  if (bytes.length - at < HEAD_BYTES) return true;
  const length = bytes.readUInt32LE(at + 4);
  return length <= FRAME_BYTES_MAX && at + HEAD_BYTES + length > bytes.length;
}
