import { deflateRawSync, inflateRawSync } from "node:zlib";
import { ByteReader, ByteWriter, DamagedBytesError } from "./block-bytes.ts";
import { numbersAt, type ObservationNumbers, type PackedRare, type PackedRecords, type RareKind } from "./packing.ts";

/** Bit per kind, so that a search for predictions need not open blocks that hold none. */
export const BLOCK_KIND_BITS = { observation: 1, prediction: 2, event: 4, tally: 8 } as const;

/** Every kind that lives in blocks. */
export const ALL_KIND_BITS = 15;

/** The kinds that live in blocks. */
export type BlockKind = keyof typeof BLOCK_KIND_BITS;

/** A kind is stored as its place in this list, so a new one comes last. */
const BLOCK_KINDS: readonly BlockKind[] = ["observation", "prediction", "event", "tally"];
const FORMAT = 1;
const PLAIN = 0;
const DEFLATED = 1;
/** Under this many bytes deflating gains nothing. */
const DEFLATE_FROM_BYTES = 256;
/** A block holds one commit at most, so anything larger is damage. */
const INFLATED_BYTES_MAX = 256 * 1024 * 1024;

/** One commit's observations, predictions and events, ready to be stored as one row. */
export interface Block {
  readonly firstSeq: number;
  readonly lastSeq: number;
  readonly recordCount: number;
  /** Sum of `BLOCK_KIND_BITS`. */
  readonly kinds: number;
  /** Earliest and latest `measuredAtMs` of its observations, or null where it holds none. */
  readonly minAtMs: number | null;
  readonly maxAtMs: number | null;
  readonly data: Uint8Array<ArrayBuffer>;
}

/** Whether a kind lives in blocks rather than in the kept file. */
export function isBlockKind(kind: RareKind | BlockKind): kind is BlockKind {
  return Object.hasOwn(BLOCK_KIND_BITS, kind);
}

/**
 * Lays out one block: per observation its context, its number after the one before, its times where they differ from the
 * one before (readings of one message share them) and its value, 5 to 8 bytes together.
 *
 * @param contextIds  The stored context of each observation of the batch.
 * @param rare        The predictions and events of the batch.
 */
export function encodeBlock(packed: PackedRecords, contextIds: Uint32Array, rare: readonly PackedRare[]): Block {
  const writer = new ByteWriter();
  const seqs = [...rare.map((record) => record.seq)];
  let kinds = packed.observationCount > 0 ? BLOCK_KIND_BITS.observation : 0;
  let minAtMs = Number.POSITIVE_INFINITY;
  let maxAtMs = Number.NEGATIVE_INFINITY;
  const first = packed.observationCount > 0 ? numbersAt(packed, 0) : null;
  const last = packed.observationCount > 0 ? numbersAt(packed, packed.observationCount - 1) : null;
  if (first !== null && last !== null) seqs.push(first.seq, last.seq);
  const firstSeq = Math.min(...seqs);
  writer.varint(FORMAT);
  writer.varint(firstSeq);
  writer.varint(packed.observationCount);
  let before: ObservationNumbers = { ...NO_NUMBERS, seq: firstSeq - 1 };
  for (let index = 0; index < packed.observationCount; index++) {
    const numbers = numbersAt(packed, index);
    writeObservation(writer, contextIds[index] ?? 0, numbers, before);
    minAtMs = Math.min(minAtMs, numbers.measuredAtMs);
    maxAtMs = Math.max(maxAtMs, numbers.measuredAtMs);
    before = numbers;
  }
  for (const record of rare) if (isBlockKind(record.kind)) kinds |= BLOCK_KIND_BITS[record.kind];
  writeRare(writer, firstSeq, rare);
  return {
    firstSeq,
    lastSeq: Math.max(...seqs),
    recordCount: packed.observationCount + rare.length,
    kinds,
    minAtMs: first === null ? null : minAtMs,
    maxAtMs: first === null ? null : maxAtMs,
    data: writer.finish(),
  };
}

const NO_NUMBERS: ObservationNumbers = {
  seq: 0,
  value: null,
  measuredAtMs: 0,
  deviceClockMs: null,
  receivedAtMs: 0,
  receivedMonotonicMs: 0,
};

function sameTimes(one: ObservationNumbers, other: ObservationNumbers): boolean {
  return (
    Object.is(one.measuredAtMs, other.measuredAtMs) &&
    Object.is(one.deviceClockMs, other.deviceClockMs) &&
    Object.is(one.receivedAtMs, other.receivedAtMs) &&
    Object.is(one.receivedMonotonicMs, other.receivedMonotonicMs)
  );
}

function writeObservation(writer: ByteWriter, contextId: number, numbers: ObservationNumbers, before: ObservationNumbers): void {
  const timesRepeat = sameTimes(numbers, before);
  const seqFollows = numbers.seq === before.seq + 1;
  writer.varint((contextId * 2 + (numbers.value === null ? 1 : 0)) * 4 + (timesRepeat ? 2 : 0) + (seqFollows ? 1 : 0));
  if (!seqFollows) writer.varint(numbers.seq - before.seq);
  if (!timesRepeat) {
    writer.near(numbers.measuredAtMs, before.measuredAtMs);
    writer.near(numbers.receivedAtMs, numbers.measuredAtMs);
    writer.near(numbers.receivedMonotonicMs, before.receivedMonotonicMs);
    writer.varint(numbers.deviceClockMs === null ? 0 : 1);
    if (numbers.deviceClockMs !== null) writer.near(numbers.deviceClockMs, numbers.measuredAtMs);
  }
  if (numbers.value !== null) writer.decimal(numbers.value);
}

function writeRare(writer: ByteWriter, firstSeq: number, rare: readonly PackedRare[]): void {
  writer.varint(rare.length);
  if (rare.length === 0) return;
  const inner = new ByteWriter();
  let beforeSeq = firstSeq - 1;
  for (const record of rare) {
    inner.varint(BLOCK_KINDS.indexOf(record.kind as BlockKind));
    inner.varint(record.seq - beforeSeq);
    inner.bytes(Buffer.from(record.json, "utf8"));
    beforeSeq = record.seq;
  }
  const plain = inner.finish();
  const deflated = plain.length >= DEFLATE_FROM_BYTES ? deflateRawSync(plain, { level: 3 }) : null;
  writer.varint(deflated === null ? PLAIN : DEFLATED);
  writer.bytes(deflated ?? plain);
}

/** Takes what a block holds, in order within each half: first its observations, then its predictions and events. */
export interface BlockVisitor {
  readonly observation: (contextId: number, numbers: ObservationNumbers) => void;
  readonly rare: ((record: PackedRare) => void) | null;
}

/**
 * Reads a block back.
 *
 * @param firstSeq  The key the block was found under; it must be the one inside.
 * @throws DamagedBytesError  Where the bytes are not those that were written.
 */
export function visitBlock(data: Uint8Array, firstSeq: number, visitor: BlockVisitor): void {
  const reader = new ByteReader(data);
  if (reader.varint() !== FORMAT) throw new DamagedBytesError("the block's format is unknown");
  if (reader.varint() !== firstSeq) throw new DamagedBytesError("the block lies under a foreign key");
  const observationCount = reader.varint();
  let before: ObservationNumbers = { ...NO_NUMBERS, seq: firstSeq - 1 };
  for (let index = 0; index < observationCount; index++) {
    const head = reader.varint();
    before = readNumbers(reader, head, before);
    visitor.observation(Math.floor(head / 8), before);
  }
  const rareCount = reader.varint();
  if (rareCount > 0 && visitor.rare !== null) readRare(reader, rareCount, firstSeq, visitor.rare);
}

function readNumbers(reader: ByteReader, head: number, before: ObservationNumbers): ObservationNumbers {
  const seq = (head & 1) === 1 ? before.seq + 1 : before.seq + reader.varint();
  let { measuredAtMs, receivedAtMs, receivedMonotonicMs, deviceClockMs } = before;
  if ((head & 2) === 0) {
    measuredAtMs = reader.near(before.measuredAtMs);
    receivedAtMs = reader.near(measuredAtMs);
    receivedMonotonicMs = reader.near(before.receivedMonotonicMs);
    deviceClockMs = reader.varint() === 0 ? null : reader.near(measuredAtMs);
  }
  const value = (head & 4) === 4 ? null : reader.decimal();
  return { seq, value, measuredAtMs, deviceClockMs, receivedAtMs, receivedMonotonicMs };
}

function readRare(reader: ByteReader, rareCount: number, firstSeq: number, take: (record: PackedRare) => void): void {
  const form = reader.varint();
  const stored = reader.bytes();
  reader.end();
  const inner = new ByteReader(form === DEFLATED ? inflateRawSync(stored, { maxOutputLength: INFLATED_BYTES_MAX }) : stored);
  let beforeSeq = firstSeq - 1;
  for (let index = 0; index < rareCount; index++) {
    const kind = BLOCK_KINDS[inner.varint()];
    if (kind === undefined || kind === "observation") throw new DamagedBytesError("a record's kind is unknown");
    beforeSeq += inner.varint();
    take({ kind, seq: beforeSeq, json: Buffer.from(inner.bytes()).toString("utf8") });
  }
}
