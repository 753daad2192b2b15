import { closeSync, existsSync, fstatSync, openSync, readSync, statSync } from "node:fs";

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

/** A database as its file and its write-ahead log hold it together, read without SQLite. */
export interface DatabaseImage {
  readonly pageBytes: number;
  /** Bytes at the end of each page that SQLite leaves free. */
  readonly reservedBytes: number;
  /** The pages one after another; a page that the file lacks is all zero. */
  readonly bytes: Buffer<ArrayBuffer>;
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
  const log = existsSync(logPath) ? readLog(readTolerantly(logPath, 0).bytes) : null;
  const pageBytes = log?.pageBytes ?? pageBytesOf(file) ?? USUAL_PAGE_BYTES;
  const reserved = file.length >= HEADER.bytes && pageBytesOf(file) === pageBytes ? (file[HEADER.reservedAt] ?? 0) : 0;
  const pageCount = Math.max(log?.pageCount ?? 0, Math.ceil(file.length / pageBytes));
  const bytes = withRoom(room.bytes, pageCount * pageBytes);
  for (const [pageNumber, page] of log?.pages ?? []) page.copy(bytes, (pageNumber - 1) * pageBytes);
  return { pageBytes, reservedBytes: reserved < pageBytes / 2 ? reserved : 0, bytes };
}

function withRoom(bytes: Buffer<ArrayBuffer>, length: number): Buffer<ArrayBuffer> {
  if (length <= bytes.length) return bytes.subarray(0, length);
  const longer = Buffer.alloc(length);
  bytes.copy(longer);
  return longer;
}

/** The bytes of a file and zeros behind them; zeros where the disk does not give them back. */
function readTolerantly(
  path: string,
  roomBehindBytes: number,
): { readonly bytes: Buffer<ArrayBuffer>; readonly fileBytes: number } {
  const file = openSync(path, "r");
  try {
    const fileBytes = fstatSync(file).size;
    const bytes = Buffer.alloc(fileBytes + roomBehindBytes);
    for (let at = 0; at < fileBytes; at += READ_BYTES) readPart(file, bytes, at, Math.min(at + READ_BYTES, fileBytes));
    return { bytes, fileBytes };
  } finally {
    closeSync(file);
  }
}

/** A stretch that cannot be read is read again sector by sector. */
function readPart(file: number, bytes: Buffer, from: number, to: number): void {
  try {
    for (let at = from; at < to; ) {
      const count = readSync(file, bytes, at, to - at, at);
      if (count === 0) return;
      at += count;
    }
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "EIO")) throw error;
    if (to - from <= SECTOR_BYTES) return;
    for (let at = from; at < to; at += SECTOR_BYTES) readPart(file, bytes, at, Math.min(at + SECTOR_BYTES, to));
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

/** The newest version of each page up to the last commit whose frames all carry the right salts and sums; null where the log's header is not sound. */
function readLog(log: Buffer): Log | null {
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
  const frameBytes = WAL.frameHeaderBytes + pageBytes;
  for (let at = WAL.headerBytes; at + frameBytes <= log.length; at += frameBytes) {
    const page = log.subarray(at + WAL.frameHeaderBytes, at + frameBytes);
    sum.add(log.subarray(at, at + 8));
    sum.add(page);
    if (!log.subarray(at + 8, at + 16).equals(salts)) break;
    if (!sum.is(log.readUInt32BE(at + 16), log.readUInt32BE(at + 20))) break;
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

  is(first: number, second: number): boolean {
    return this.#first === first && this.#second === second;
  }
}
