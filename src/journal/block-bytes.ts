import { assert } from "../core/result.ts";

/** Whole numbers further apart than this are written in full. */
const DELTA_MAX = 2 ** 50;
const SCALES = [1, 10, 100] as const;
const RAW = 3;

/** Thrown while reading bytes that are not what was written; the block is then damaged. */
export class DamagedBytesError extends Error {
  override readonly name = "DamagedBytesError";
}

/** Writes numbers in few bytes; grows as needed. What it writes, `ByteReader` reads back exactly. */
export class ByteWriter {
  #bytes = new Uint8Array(4096);
  #view = new DataView(this.#bytes.buffer);
  #length = 0;

  /** A copy of what was written. */
  finish(): Uint8Array<ArrayBuffer> {
    return this.#bytes.slice(0, this.#length);
  }

  #room(byteCount: number): void {
    if (this.#length + byteCount <= this.#bytes.length) return;
    const larger = new Uint8Array(Math.max(this.#bytes.length * 2, this.#length + byteCount));
    larger.set(this.#bytes);
    this.#bytes = larger;
    this.#view = new DataView(larger.buffer);
  }

  /** A whole number from 0 to 2^53 - 1, seven bits a byte. */
  varint(number: number): void {
    assert(Number.isSafeInteger(number) && number >= 0, "a varint is a whole number from 0 on");
    this.#room(8);
    let rest = number;
    while (rest >= 128) {
      this.#bytes[this.#length++] = (rest % 128) + 128;
      rest = Math.floor(rest / 128);
    }
    this.#bytes[this.#length++] = rest;
  }

  /** A whole number from -2^52 to 2^52. */
  signed(number: number): void {
    this.varint(zigzag(number));
  }

  /** Any number, all 64 bits of it. */
  float(number: number): void {
    this.#room(8);
    this.#view.setFloat64(this.#length, number, true);
    this.#length += 8;
  }

  /** Any number, short where it lies a whole number away from `base`. */
  near(number: number, base: number): void {
    const delta = number - base;
    if (Number.isInteger(delta) && Math.abs(delta) < DELTA_MAX && base + delta === number && !Object.is(number, -0)) {
      this.varint(zigzag(delta) * 2);
    } else {
      this.varint(1);
      this.float(number);
    }
  }

  /** Any number, short where it has at most two decimals. */
  decimal(number: number): void {
    for (const [scaleIndex, scale] of SCALES.entries()) {
      const mantissa = Math.round(number * scale);
      if (mantissa / scale === number && Math.abs(mantissa) < DELTA_MAX && !Object.is(number, -0)) {
        this.varint(zigzag(mantissa) * 4 + scaleIndex);
        return;
      }
    }
    this.varint(RAW);
    this.float(number);
  }

  /** Bytes with their length before them. */
  bytes(bytes: Uint8Array): void {
    this.varint(bytes.length);
    this.#room(bytes.length);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
  }
}

/** Reads what `ByteWriter` wrote. @throws DamagedBytesError  Where the bytes end early or cannot have been written so. */
export class ByteReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  varint(): number {
    let number = 0;
    let factor = 1;
    for (let count = 0; count < 8; count++) {
      const byte = this.#bytes[this.#at++];
      if (byte === undefined) break;
      number += (byte % 128) * factor;
      if (byte < 128) return number;
      factor *= 128;
    }
    throw new DamagedBytesError("a number does not end");
  }

  signed(): number {
    return unzigzag(this.varint());
  }

  float(): number {
    if (this.#at + 8 > this.#bytes.length) throw new DamagedBytesError("a number is cut off");
    const number = this.#view.getFloat64(this.#at, true);
    this.#at += 8;
    return number;
  }

  near(base: number): number {
    const head = this.varint();
    return head % 2 === 1 ? this.float() : base + unzigzag(head / 2);
  }

  decimal(): number {
    const head = this.varint();
    const scale = SCALES[head % 4];
    return scale === undefined ? this.float() : unzigzag(Math.floor(head / 4)) / scale;
  }

  bytes(): Uint8Array {
    const length = this.varint();
    if (this.#at + length > this.#bytes.length) throw new DamagedBytesError("bytes are cut off");
    this.#at += length;
    return this.#bytes.subarray(this.#at - length, this.#at);
  }

  /** Everything must have been read. */
  end(): void {
    if (this.#at !== this.#bytes.length) throw new DamagedBytesError("bytes are left over");
  }
}

function zigzag(number: number): number {
  return number >= 0 ? number * 2 : -number * 2 - 1;
}

function unzigzag(number: number): number {
  return number % 2 === 0 ? number / 2 : -(number + 1) / 2;
}
