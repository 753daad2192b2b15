import {
  closeSync,
  existsSync,
  fsync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  unlinkSync,
  writeSync,
} from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { dirname, join } from "node:path";
import { DamagedBytesError } from "../block-bytes.ts";
import { inodeOf, isDamage, movedError, sqliteOrSystemCode, wasAwayError } from "../journal-folder.ts";
import { FRAME_BYTES_MIN, type FrameFacts, type FrameNumbers, factsOf, numbersOf, stretchesOf } from "./wave-frame.ts";
import type { BytePlace } from "./wave-index.ts";

/**
 * Reads a file, which is bounded by `journalWaveFileBytesMax`, from a place to its end of now; null where it is not there. What the disk does
 * not give back is zero, which no frame is. Rejects with the disk's other errors.
 */
export async function readBytes(path: string, fromByte = 0): Promise<Buffer | null> {
  return (await readPlaces(path, [{ at: fromByte, end: Number.POSITIVE_INFINITY }]))?.[0] ?? null;
}

/** Reads some places of a file, each as far as the file goes now; null where it is not there. Zero and errors as with `readBytes`. */
export async function readPlaces(path: string, places: readonly BytePlace[]): Promise<readonly Buffer[] | null> {
  const file = await openForReading(path);
  if (file === null) return null;
  try {
    const { size } = await file.stat();
    const parts: Buffer[] = [];
    for (const { at, end } of places) parts.push(await readPart(file, at, Math.max(0, Math.min(end, size) - at)));
    return parts;
  } finally {
    await file.close();
  }
}

async function readPart(file: FileHandle, atByte: number, bytesWanted: number): Promise<Buffer> {
  const bytes = Buffer.alloc(bytesWanted);
  let at = 0;
  while (at < bytes.length) {
    const bytesRead = (await readOnce(file, bytes, { at, atByte })) ?? Math.min(toNextSector(atByte + at), bytes.length - at);
    if (bytesRead === 0) break;
    at += bytesRead;
  }
  return bytes.subarray(0, at);
}

/** The bytes that came, or null where the disk does not give back even the first of them. */
async function readOnce(
  file: FileHandle,
  bytes: Buffer,
  { at, atByte }: { readonly at: number; readonly atByte: number },
): Promise<number | null> {
  try {
    return (await file.read(bytes, at, bytes.length - at, atByte + at)).bytesRead;
  } catch (error) {
    if (!isDamage(error)) throw error;
    return null;
  }
}

/** A disk gives back whole sectors of this size or nothing of them. */
const SECTOR_BYTES = 4096;

function toNextSector(atByte: number): number {
  return SECTOR_BYTES - (atByte % SECTOR_BYTES);
}

async function openForReading(path: string): Promise<FileHandle | null> {
  try {
    return await open(path, "r");
  } catch (error) {
    if (sqliteOrSystemCode(error) === "ENOENT") return null;
    throw error;
  }
}

/** Writes all bytes at a place of a file. @throws  The disk's error; the file is then cut back to that place. */
function writeAll(file: number, bytes: Uint8Array, atByte: number): void {
  try {
    for (let written = 0; written < bytes.length; )
      written += writeSync(file, bytes, written, bytes.length - written, atByte + written);
  } catch (error) {
    ftruncateSync(file, atByte);
    throw error;
  }
}

/** Waits for the disk without standing still. Rejects with the disk's error. */
function fsyncAside(file: number): Promise<void> {
  return new Promise((resolve, reject) => {
    fsync(file, (error) => (error === null ? resolve() : reject(error)));
  });
}

/** Waits until the names in a folder are on disk, without standing still. */
export async function fsyncFolderAside(folder: string): Promise<void> {
  const file = openSync(folder, "r");
  try {
    await fsyncAside(file);
  } finally {
    closeSync(file);
  }
}

/** Waits until the names in a folder are on disk. */
export function fsyncFolder(folder: string): void {
  const file = openSync(folder, "r");
  try {
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

/** Makes a folder of the journal where it is missing; the journal's own must be there. @throws  The disk's error. */
export function makeWaveFolder(folder: string): void {
  if (existsSync(folder)) return;
  mkdirSync(folder, { mode: 0o700 });
  fsyncFolder(dirname(folder));
}

/** One file of waves that is being written. */
export class OpenWaveFile {
  readonly path: string;
  readonly #file: number;
  readonly #inode: number | null;
  #bytes = 0;
  #closed = false;

  /** Makes the file. @throws  The disk's error, also where one of this name is there. */
  constructor(path: string) {
    this.path = path;
    this.#file = openSync(path, "wx", 0o600);
    this.#inode = inodeOf(path);
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Adds whole frames. @throws  The disk's error; nothing of them is then in the file. */
  append(bytes: Uint8Array): void {
    writeAll(this.#file, bytes, this.#bytes);
    this.#bytes += bytes.length;
  }

  /** Waits for the disk aside. Rejects with the disk's error, also where the file no longer lies where it was made. */
  async sync(): Promise<void> {
    if (this.#closed) return;
    if (inodeOf(this.path) !== this.#inode) throw movedError();
    await fsyncAside(this.#file);
  }

  syncNow(): void {
    if (!this.#closed) fsyncSync(this.#file);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    closeSync(this.#file);
  }
}

/** What a file of waves holds, as far as it can be read. */
export interface WaveFileFacts {
  readonly frames: number;
  readonly bytes: number;
  readonly first: FrameFacts;
  readonly last: FrameFacts;
}

/** A file of waves after it was looked through. */
export interface WaveFileCheck {
  /** Null where not one frame is sound. */
  readonly facts: WaveFileFacts | null;
  /** What is missing, or null where the file is sound. `toSeq` is null where damage reaches the end, because nothing tells what came last. */
  readonly damage: {
    readonly fromSeq: number | null;
    readonly toSeq: number | null;
    readonly count: number;
    /** Where the file may simply be cut: a write that was cut short at its end is all that is wrong. Else null. */
    readonly cutAtByte: number | null;
  } | null;
  /** The places of the sound frames. */
  readonly sound: readonly { readonly at: number; readonly end: number }[];
}

/** How many chunks damaged bytes held at most. */
export function framesIn(bytes: number): number {
  return Math.max(1, Math.floor(bytes / FRAME_BYTES_MIN));
}

/** Looks through a file's bytes. `turn` is awaited now and then, so that other work goes on. */
export async function checkWaveFile(bytes: Buffer, turn: () => Promise<void>): Promise<WaveFileCheck> {
  const sound: { at: number; end: number }[] = [];
  let first: FrameFacts | null = null;
  let last: FrameFacts | null = null;
  let fromSeq: number | null = null;
  let toSeq: number | null = null;
  let count = 0;
  let damageBytes = 0;
  let stretches = 0;
  let cutAtByte: number | null = null;
  let damages = 0;
  for (const stretch of stretchesOf(bytes)) {
    const facts = stretch.kind === "frame" ? readableFacts(stretch.content) : null;
    if (facts !== null) {
      if (damageBytes > 0) {
        const missing = last !== null && last.life === facts.life ? facts.number - last.number - 1 : Number.POSITIVE_INFINITY;
        count += Math.min(missing, framesIn(damageBytes));
        fromSeq ??= last?.seq ?? facts.seq;
        toSeq = facts.seq;
        damageBytes = 0;
      }
      first ??= facts;
      last = facts;
      sound.push({ at: stretch.at, end: stretch.end });
    } else {
      damages += 1;
      damageBytes += stretch.end - stretch.at;
      cutAtByte = stretch.kind === "damage" && stretch.cutOff ? stretch.at : null;
    }
    stretches += 1;
    if (stretches % 64 === 0) await turn();
  }
  const facts = first === null || last === null ? null : { frames: sound.length, bytes: bytes.length, first, last };
  if (damages === 0) return { facts, damage: null, sound };
  const tornTail = damageBytes > 0;
  if (tornTail) {
    fromSeq ??= last?.seq ?? null;
    toSeq = null;
    count += cutAtByte === null ? framesIn(damageBytes) : 1;
  }
  return { facts, damage: { fromSeq, toSeq, count, cutAtByte: damages === 1 && tornTail ? cutAtByte : null }, sound };
}

/** The facts of a frame, or null where its check sum is right and its content is not ours: damage like any other. */
export function readableFacts(content: Buffer): FrameFacts | null {
  return readable(content, factsOf);
}

/** The same for its numbers alone. */
export function readableNumbers(content: Buffer): FrameNumbers | null {
  return readable(content, numbersOf);
}

function readable<Read>(content: Buffer, read: (content: Buffer) => Read): Read | null {
  try {
    return read(content);
  } catch (error) {
    if (error instanceof DamagedBytesError) return null;
    throw error;
  }
}

/** Cuts a file after its last sound frame and waits for the disk aside. */
export async function cutFile(path: string, atByte: number): Promise<void> {
  const file = await open(path, "r+");
  try {
    await file.truncate(atByte);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** A file that is being written for the first time; found at a start it is half written. */
const NEW = ".new";
/** A file that is to take the place of another; it is whole once that other has gone aside. */
const MENDED = ".mended";

const WITNESS = Buffer.from("given back");

/**
 * Looks again at a file of which the disk may not have given back all: while it is away every file looks damaged, and none is. First it must
 * take a file and give that back. Rejects with the disk's error, also where it was away.
 */
export async function expectStillSo(path: string, bytes: Buffer): Promise<void> {
  const nothing = Buffer.alloc(SECTOR_BYTES);
  let at = 0;
  while (at < bytes.length && !nothing.subarray(0, bytes.length - at).equals(bytes.subarray(at, at + SECTOR_BYTES)))
    at += SECTOR_BYTES;
  if (at >= bytes.length) return;
  await writeParts(path + NEW, [WITNESS]);
  const witness = await readBytes(path + NEW);
  unlinkSync(path + NEW);
  if (witness?.equals(WITNESS) !== true || (await readBytes(path))?.equals(bytes) !== true) throw wasAwayError();
}

/** Writes parts into a new file and waits for the disk aside. Rejects with the disk's error, leaving nothing. */
async function writeParts(path: string, parts: readonly Uint8Array[]): Promise<void> {
  const file = openSync(path, "w", 0o600);
  try {
    let at = 0;
    for (const part of parts) {
      writeAll(file, part, at);
      at += part.length;
    }
    await fsyncAside(file);
  } catch (error) {
    unlinkSync(path);
    throw error;
  } finally {
    closeSync(file);
  }
}

/** Makes a file that is there whole or not at all. Rejects with the disk's error, leaving nothing. */
export async function writeFileSafely(path: string, parts: readonly Uint8Array[]): Promise<void> {
  await writeParts(path + NEW, parts);
  renameSync(path + NEW, path);
  await fsyncFolderAside(dirname(path));
}

/** Puts new contents (none: nothing) in a file's place and keeps the original aside. Rejects with the disk's error. */
export async function replaceFile(path: string, parts: readonly Uint8Array[], aside: string): Promise<void> {
  if (parts.length > 0) {
    await writeParts(path + MENDED, parts);
    await fsyncFolderAside(dirname(path));
  }
  renameSync(path, aside);
  if (parts.length > 0) renameSync(path + MENDED, path);
  await fsyncFolderAside(dirname(path));
}

/** Finishes what a life that was cut off had begun. @throws  The disk's error. */
export function finishReplacing(folder: string): void {
  for (const name of readdirSync(folder)) {
    const path = join(folder, name);
    if (name.endsWith(NEW)) unlinkSync(path);
    if (!name.endsWith(MENDED)) continue;
    const target = path.slice(0, -MENDED.length);
    if (existsSync(target)) unlinkSync(path);
    else renameSync(path, target);
  }
}
