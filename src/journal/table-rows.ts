import { type DatabaseImage, withStrayPages } from "./database-image.ts";

/** A value of a stored row. */
export type Cell = null | number | string | Buffer;

/** One row of a table with its key. */
export interface TableRow {
  readonly key: number;
  readonly cells: readonly Cell[];
}

/** The first byte of a page that holds a table's rows. Source: sqlite.org/fileformat2.html, 1.6. */
const TABLE_LEAF = 13;
const FILE_HEADER_BYTES = 100;
const LEAF_HEADER_BYTES = 8;

/**
 * Every row that can still be made out on any page of a database, whatever has become of its first page, of the pages that lead to its
 * rows, or of its end; some of them perhaps twice. The layout is not enough to tell a row from noise: the caller must check each by a sum of its own.
 */
export function* rowsOf(image: DatabaseImage): Generator<TableRow> {
  yield* rowsOn(image);
  if (image.strayPages.size > 0) yield* rowsOn(withStrayPages(image));
}

function* rowsOn(image: DatabaseImage): Generator<TableRow> {
  const { bytes, pageBytes } = image;
  for (let from = 0; from + pageBytes <= bytes.length; from += pageBytes) {
    const headerAt = from === 0 ? FILE_HEADER_BYTES : from;
    if (bytes[headerAt] !== TABLE_LEAF) continue;
    const cellCount = bytes.readUInt16BE(headerAt + 3);
    if (LEAF_HEADER_BYTES + cellCount * 2 > pageBytes) continue;
    for (let index = 0; index < cellCount; index++) {
      const cellAt = from + bytes.readUInt16BE(headerAt + LEAF_HEADER_BYTES + index * 2);
      const row = readRow(image, cellAt, from + pageBytes);
      if (row !== null) yield row;
    }
  }
}

function readRow(image: DatabaseImage, cellAt: number, pageEnd: number): TableRow | null {
  const payloadLength = readVarint(image.bytes, cellAt, pageEnd);
  const key = payloadLength === null ? null : readVarint(image.bytes, payloadLength.nextAt, pageEnd);
  if (payloadLength === null || key === null || payloadLength.value > image.bytes.length) return null;
  const payload = readPayload(image, { at: key.nextAt, pageEnd, length: payloadLength.value });
  const cells = payload === null ? null : readCells(payload);
  return cells === null ? null : { key: key.value, cells };
}

/** A row that does not fit its page goes on along a chain of others. Source: sqlite.org/fileformat2.html, 1.6, "table b-tree leaf cell". */
function readPayload(
  image: DatabaseImage,
  place: { readonly at: number; readonly pageEnd: number; readonly length: number },
): Buffer | null {
  const { bytes, pageBytes, reservedBytes } = image;
  const usable = pageBytes - reservedBytes;
  const most = usable - 35;
  const least = Math.floor(((usable - 12) * 32) / 255) - 23;
  const fitting = least + ((place.length - least) % (usable - 4));
  const localLength = place.length <= most ? place.length : fitting <= most ? fitting : least;
  if (place.at + localLength + (localLength < place.length ? 4 : 0) > place.pageEnd) return null;
  const parts = [bytes.subarray(place.at, place.at + localLength)];
  let rest = place.length - localLength;
  let nextPage = rest > 0 ? bytes.readUInt32BE(place.at + localLength) : 0;
  while (rest > 0) {
    const from = (nextPage - 1) * pageBytes;
    if (nextPage < 2 || from + pageBytes > bytes.length) return null;
    const part = Math.min(rest, usable - 4);
    parts.push(bytes.subarray(from + 4, from + 4 + part));
    rest -= part;
    nextPage = bytes.readUInt32BE(from);
  }
  return Buffer.concat(parts);
}

function readCells(payload: Buffer): Cell[] | null {
  const header = readVarint(payload, 0, payload.length);
  if (header === null || header.value > payload.length) return null;
  const cells: Cell[] = [];
  let contentAt = header.value;
  for (let at = header.nextAt; at < header.value; ) {
    const type = readVarint(payload, at, header.value);
    if (type === null) return null;
    const length = contentLength(type.value);
    if (length === null || contentAt + length > payload.length) return null;
    cells.push(readCell(payload.subarray(contentAt, contentAt + length), type.value));
    contentAt += length;
    at = type.nextAt;
  }
  return cells;
}

/** Bytes of a value by its type; null for the two types that are not in use. Source: sqlite.org/fileformat2.html, 2.1. */
function contentLength(type: number): number | null {
  if (type >= 12) return Math.floor((type - 12) / 2);
  return [0, 1, 2, 3, 4, 6, 8, 8, 0, 0, null, null][type] ?? null;
}

function readCell(content: Buffer, type: number): Cell {
  if (type === 0) return null;
  if (type === 7) return content.readDoubleBE(0);
  if (type === 8 || type === 9) return type - 8;
  if (type >= 12) return type % 2 === 0 ? content : content.toString("utf8");
  return content.length === 8 ? Number(content.readBigInt64BE(0)) : content.readIntBE(0, content.length);
}

/** One to nine bytes, seven bits each, the highest first. Source: sqlite.org/fileformat2.html, 1.6. */
function readVarint(bytes: Buffer, at: number, end: number): { readonly value: number; readonly nextAt: number } | null {
  let value = 0;
  for (let index = 0; index < 9 && at + index < end; index++) {
    const byte = bytes[at + index] ?? 0;
    if (index === 8) return { value: value * 256 + byte, nextAt: at + 9 };
    value = value * 128 + (byte % 128);
    if (byte < 128) return { value, nextAt: at + index + 1 };
  }
  return null;
}
