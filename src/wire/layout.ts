import { assert } from "../core/result.ts";

/** A run of bits inside one byte; `lowest` is the place of its least significant bit, 0 to 7. */
export interface Bits {
  readonly byte: number;
  readonly lowest: number;
  readonly count: number;
}

/** Bits that always hold the same number in this layout: start marks, bits that are always set. */
export interface FixedBits extends Bits {
  readonly value: number;
}

/** A frame of fixed length as a table of fields, read and written from the same table. Numbers are unsigned. */
export interface Layout<Name extends string> {
  readonly lengthBytes: number;
  /** Whether the fixed bits are there, as far as bytes have come; `end` is the index behind the last of them. */
  readonly matches: (bytes: Uint8Array, at: { readonly start: number; readonly end: number }) => boolean;
  /** The number of one field. */
  readonly get: (bytes: Uint8Array, name: Name) => number;
  /** The numbers of all fields. */
  readonly decode: (bytes: Uint8Array) => Readonly<Record<Name, number>>;
  /** The bytes that say these numbers. A number too large for its field is our own mistake. */
  readonly encode: (values: Readonly<Record<Name, number>>) => Uint8Array;
}

/**
 * Makes a layout from its table. A field whose bits lie in several places lists its parts, most significant first.
 *
 * @throws ImpossibleError  From `encode`, for a number that does not fit its field.
 */
export function layout<Name extends string>(table: {
  readonly lengthBytes: number;
  readonly fixed: readonly FixedBits[];
  readonly fields: Readonly<Record<Name, readonly Bits[]>>;
}): Layout<Name> {
  const names = Object.keys(table.fields) as Name[];
  const get = (bytes: Uint8Array, name: Name): number => {
    let value = 0;
    for (const part of table.fields[name]) value = value * 2 ** part.count + readBits(bytes, part, 0);
    return value;
  };
  return {
    lengthBytes: table.lengthBytes,
    matches: (bytes, { start, end }) => {
      for (const part of table.fixed) {
        if (start + part.byte < end && readBits(bytes, part, start) !== part.value) return false;
      }
      return true;
    },
    get,
    decode: (bytes) => Object.fromEntries(names.map((name) => [name, get(bytes, name)])) as Record<Name, number>,
    encode: (values) => {
      const bytes = new Uint8Array(table.lengthBytes);
      for (const part of table.fixed) writeBits(bytes, part, part.value);
      for (const name of names) writeField(bytes, table.fields[name], values[name]);
      return bytes;
    },
  };
}

function readBits(bytes: Uint8Array, part: Bits, start: number): number {
  return ((bytes[start + part.byte] ?? 0) >> part.lowest) & ((1 << part.count) - 1);
}

function writeBits(bytes: Uint8Array, part: Bits, value: number): void {
  bytes[part.byte] = (bytes[part.byte] ?? 0) | (value << part.lowest);
}

function writeField(bytes: Uint8Array, parts: readonly Bits[], value: number): void {
  let rest = value;
  for (const part of parts.toReversed()) {
    const span = 2 ** part.count;
    writeBits(bytes, part, rest % span);
    rest = Math.floor(rest / span);
  }
  assert(Number.isInteger(value) && value >= 0 && rest === 0, "a field's number is whole, not negative and fits its bits");
}
