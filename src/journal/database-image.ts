import { closeSync, existsSync, fstatSync, openSync, readSync, statSync, writeFileSync } from "node:fs";
import { isDamage, wasAwayError } from "./journal-folder.ts";

/** Where a database file's header keeps things. Source: sqlite.org/fileformat2.html, 1.3. */
const HEADER = { pageBytesAt: 16, writeVersionAt: 18, readVersionAt: 19, reservedAt: 20, bytes: 100 } as const;
/** Source: sqlite.org/fileformat2.html, 4.1 and 4.2. */
const WAL = { magicLittle: 0x377f0682, magicBig: 0x377f0683, headerBytes: 32, frameHeaderBytes: 24 } as const;
/** Pages this journal has always had; taken where the file's own header cannot be read. */
const USUAL_PAGE_BYTES = 1024;
const READ_BYTES = 1 << 20;
const SECTOR_BYTES = 4096;
/** One page at most, where a file ends within one. */
const ROOM_BYTES = 65_536;

/** Bytes of a file that the disk did not give back. */
export interface UnreadPlace {
  readonly path: string;
  readonly at: number;
  readonly end: number;
}

/** A database as its file and its write-ahead log hold it together, read without SQLite. */
export interface DatabaseImage {
  readonly pageBytes: number;
  /** Bytes at the end of each page that SQLite leaves free. */
  readonly reservedBytes: number;
  /** The pages one after another; a page that the file lacks is all zero. */
  readonly bytes: Buffer<ArrayBuffer>;
  /** What is zero because the disk did not give it back, in the file or its log. */
  readonly unread: readonly UnreadPlace[];
  /** Where the log could not be read whole: each page in its last version there, whether or not a commit that is whole holds it. */
  readonly strayPages: ReadonlyMap<number, Buffer>;
}

/** A file that is not there. */
export const NO_IMAGE: DatabaseImage = {
  pageBytes: USUAL_PAGE_BYTES,
  reservedBytes: 0,
  bytes: Buffer.alloc(0),
  unread: [],
  strayPages: new Map(),
};

/** The image with its stray pages laid over it. Nothing of it is sure but what carries a check sum of its own. */
export function withStrayPages(image: DatabaseImage): DatabaseImage {
  const pageCount = Math.max(image.bytes.length / image.pageBytes, ...image.strayPages.keys());
  const bytes = Buffer.alloc(pageCount * image.pageBytes);
  image.bytes.copy(bytes);
  for (const [pageNumber, page] of image.strayPages) page.copy(bytes, (pageNumber - 1) * image.pageBytes);
  return { ...image, bytes, strayPages: new Map() };
}

/**
 * Reads a database and lays over it what its write-ahead log holds of commits that are whole. Nothing is locked and nothing is made on the
 * disk, so this works on a disk that cannot be written, and on a file that SQLite refuses. Takes as much memory as the file has bytes, and
 * until it returns as much as its log.
 *
 * @throws  The operating system's error where the file cannot be read.
 */
export function readImage(path: string): DatabaseImage {
  const logPath = `${path}-wal`;
  // What the log adds to the file has room behind it, so that the file need not be copied.
  const room = readTolerantly(path, ROOM_BYTES + (statSync(logPath, { throwIfNoEntry: false })?.size ?? 0));
  const file = room.bytes.subarray(0, room.fileBytes);
  const ofLog = existsSync(logPath) ? readTolerantly(logPath, 0) : null;
  const log = ofLog === null ? null : readLog(ofLog.bytes, ofLog.unread);
  const pageBytes = log?.pageBytes ?? pageBytesOf(file) ?? USUAL_PAGE_BYTES;
  const reserved = file.length >= HEADER.bytes && pageBytesOf(file) === pageBytes ? (file[HEADER.reservedAt] ?? 0) : 0;
  const pageCount = Math.max(log?.pageCount ?? 0, Math.ceil(file.length / pageBytes));
  const bytes = withRoom(room.bytes, pageCount * pageBytes);
  for (const [pageNumber, page] of log?.pages ?? []) page.copy(bytes, (pageNumber - 1) * pageBytes);
  const unread = [...room.unread, ...(ofLog?.unread ?? [])];
  const strayPages: ReadonlyMap<number, Buffer> =
    ofLog === null || ofLog.unread.length === 0 ? new Map() : readStrayPages(ofLog, { pageBytes, pageCount });
  return { pageBytes, reservedBytes: reserved < pageBytes / 2 ? reserved : 0, bytes, unread, strayPages };
}

function withRoom(bytes: Buffer<ArrayBuffer>, length: number): Buffer<ArrayBuffer> {
  if (length <= bytes.length) return bytes.subarray(0, length);
  const longer = Buffer.alloc(length);
  bytes.copy(longer);
  return longer;
}

/**
 * Looks whether what the disk did not give back is still not to be had. A disk that was away for a moment would else cost all that could
 * not be read meanwhile, though it is there.
 *
 * @param witness  A file that was written and synced since: where the disk does not even give that back, it is away still. Null: none was.
 * @throws         SQLite's code of a disk in trouble where the disk was away or is.
 */
export function expectStillUnread(unread: readonly UnreadPlace[], witness: string | null): void {
  if (unread.length === 0) return;
  const isBack = unread.some(({ path, at, end }) => existsSync(path) && readTolerantly(path, 0, { at, end }).unread.length === 0);
  if (isBack || (witness !== null && readTolerantly(witness, 0).unread.length > 0)) throw wasAwayError();
}

/** Copies a file; what the disk does not give back is zero in the copy. @throws  The disk's other errors. */
export function copyReadable(from: string, to: string): void {
  writeFileSync(to, readTolerantly(from, 0).bytes);
}

/** The bytes of a file, or of a place in it, and zeros behind them; zeros where the disk does not give them back. */
function readTolerantly(
  path: string,
  roomBehindBytes: number,
  place: { readonly at: number; readonly end: number } | null = null,
): { readonly bytes: Buffer<ArrayBuffer>; readonly fileBytes: number; readonly unread: readonly UnreadPlace[] } {
  const file = openSync(path, "r");
  try {
    const from = place?.at ?? 0;
    const fileBytes = Math.max(0, Math.min(fstatSync(file).size, place?.end ?? Number.POSITIVE_INFINITY) - from);
    const bytes = Buffer.alloc(fileBytes + roomBehindBytes);
    const unread: UnreadPlace[] = [];
    const giveUp = (at: number, end: number) => void unread.push({ path, at: from + at, end: from + end });
    for (let at = 0; at < fileBytes; at += READ_BYTES)
      readPart({ file, from, bytes, giveUp }, at, Math.min(at + READ_BYTES, fileBytes));
    return { bytes, fileBytes, unread };
  } finally {
    closeSync(file);
  }
}

interface Reading {
  readonly file: number;
  /** Where in the file the bytes begin. */
  readonly from: number;
  readonly bytes: Buffer;
  readonly giveUp: (at: number, end: number) => void;
}

/** A stretch that cannot be read is read again sector by sector. */
function readPart(reading: Reading, from: number, to: number): void {
  try {
    for (let at = from; at < to; ) {
      const count = readSync(reading.file, reading.bytes, at, to - at, reading.from + at);
      if (count === 0) return;
      at += count;
    }
  } catch (error) {
    if (!isDamage(error)) throw error;
    if (to - from <= SECTOR_BYTES) reading.giveUp(from, to);
    else for (let at = from; at < to; at += SECTOR_BYTES) readPart(reading, at, Math.min(at + SECTOR_BYTES, to));
  }
}

/** Makes the image a file in rollback mode, as SQLite opens it from memory, and returns its bytes. */
export function asPlainDatabase({ bytes }: DatabaseImage): Buffer<ArrayBuffer> {
  if (bytes.length >= HEADER.bytes) {
    bytes[HEADER.writeVersionAt] = 1;
    bytes[HEADER.readVersionAt] = 1;
  }
  return bytes;
}

function pageBytesOf(file: Buffer): number | null {
  if (file.length < HEADER.bytes || file.toString("latin1", 0, 15) !== "SQLite format 3") return null;
  const stored = file.readUInt16BE(HEADER.pageBytesAt);
  const pageBytes = stored === 1 ? 65_536 : stored;
  return isPageSize(pageBytes) ? pageBytes : null;
}

function isPageSize(bytes: number): boolean {
  return bytes >= 512 && bytes <= 65_536 && Number.isInteger(Math.log2(bytes));
}

interface Log {
  readonly pageBytes: number;
  /** Pages of the database after the last whole commit, 0 where there is none. */
  readonly pageCount: number;
  readonly pages: ReadonlyMap<number, Buffer>;
}

/**
 * The newest version of each page up to the last commit whose frames all carry the right salts and sums; null where the log's header is not
 * sound. Frames that the disk does not give back are passed over: the sums go on from the one that the next frame carries.
 */
function readLog(log: Buffer, unread: readonly UnreadPlace[]): Log | null {
  if (log.length < WAL.headerBytes) return null;
  const magic = log.readUInt32BE(0);
  if (magic !== WAL.magicLittle && magic !== WAL.magicBig) return null;
  const pageBytes = log.readUInt32BE(8);
  if (!isPageSize(pageBytes)) return null;
  const sum = new LogSum(magic === WAL.magicBig);
  sum.add(log.subarray(0, 24));
  if (!sum.is(log.readUInt32BE(24), log.readUInt32BE(28))) return null;
  const salts = log.subarray(16, 24);
  const pages = new Map<number, Buffer>();
  const uncommitted = new Map<number, Buffer>();
  let pageCount = 0;
  /** Whether the sum before a frame is known. */
  let chained = true;
  const frameBytes = WAL.frameHeaderBytes + pageBytes;
  for (let at = WAL.headerBytes; at + frameBytes <= log.length; at += frameBytes) {
    const page = log.subarray(at + WAL.frameHeaderBytes, at + frameBytes);
    const [first, second] = [log.readUInt32BE(at + 16), log.readUInt32BE(at + 20)];
    if (unread.some((place) => place.at < at + frameBytes && place.end > at)) {
      chained = !unread.some((place) => place.at < at + WAL.frameHeaderBytes && place.end > at);
      sum.goOnFrom(first, second);
      continue;
    }
    sum.add(log.subarray(at, at + 8));
    sum.add(page);
    if (!log.subarray(at + 8, at + 16).equals(salts)) break;
    if (!chained) {
      chained = true;
      sum.goOnFrom(first, second);
      continue;
    }
    if (!sum.is(first, second)) break;
    uncommitted.set(log.readUInt32BE(at), page);
    const sizeAfterCommit = log.readUInt32BE(at + 4);
    if (sizeAfterCommit === 0) continue;
    for (const [number, committed] of uncommitted) pages.set(number, committed);
    uncommitted.clear();
    pageCount = sizeAfterCommit;
  }
  for (const number of pages.keys()) if (number < 1 || number > pageCount) pages.delete(number);
  return { pageBytes, pageCount, pages };
}

/** Every page of a log that was read, in the order they were written. */
function readStrayPages(
  log: { readonly bytes: Buffer; readonly unread: readonly UnreadPlace[] },
  { pageBytes, pageCount }: { readonly pageBytes: number; readonly pageCount: number },
): ReadonlyMap<number, Buffer> {
  const pages = new Map<number, Buffer>();
  const frameBytes = WAL.frameHeaderBytes + pageBytes;
  const pageNumberMax = pageCount + Math.floor(log.bytes.length / frameBytes);
  for (let at = WAL.headerBytes; at + frameBytes <= log.bytes.length; at += frameBytes) {
    const pageNumber = log.bytes.readUInt32BE(at);
    const isRead = !log.unread.some((place) => place.at < at + frameBytes && place.end > at);
    if (isRead && pageNumber >= 1 && pageNumber <= pageNumberMax)
      pages.set(pageNumber, log.bytes.subarray(at + WAL.frameHeaderBytes, at + frameBytes));
  }
  return pages;
}

/** The running sum over a write-ahead log. Source: sqlite.org/fileformat2.html, 4.2. */
class LogSum {
  readonly #bigEndian: boolean;
  #first = 0;
  #second = 0;

  constructor(bigEndian: boolean) {
    this.#bigEndian = bigEndian;
  }

  /** @param bytes  A whole number of eight bytes. */
  add(bytes: Buffer): void {
    for (let at = 0; at < bytes.length; at += 8) {
      const one = this.#bigEndian ? bytes.readUInt32BE(at) : bytes.readUInt32LE(at);
      const other = this.#bigEndian ? bytes.readUInt32BE(at + 4) : bytes.readUInt32LE(at + 4);
      this.#first = (this.#first + one + this.#second) >>> 0;
      this.#second = (this.#second + other + this.#first) >>> 0;
    }
  }

  goOnFrom(first: number, second: number): void {
    this.#first = first;
    this.#second = second;
  }

  is(first: number, second: number): boolean {
    return this.#first === first && this.#second === second;
  }
}
