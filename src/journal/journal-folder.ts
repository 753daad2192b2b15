import {
  accessSync,
  chmodSync,
  closeSync,
  constants,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { dirname, join, resolve } from "node:path";
import Database from "better-sqlite3";
import { type Fault, fault } from "../core/errors.ts";
import { fail, type Result, succeed } from "../core/result.ts";
import type { NumberSpan } from "./number-spans.ts";

/** Alerts, acts, receipts, losses, cursors and the epoch; what of it is old lies in sealed files. */
export const KEPT_FILE = "kept.sqlite";
/** Locked by whoever writes. */
export const LOCK_FILE = "lock.sqlite";
const HOLDER_FILE = "lock.pid";
const SEGMENT_NAME = /^observations-(\d{16})\.sqlite$/;
const SEALED_KEPT_NAME = /^kept-(\d{16})-(\d{16})\.sqlite$/;
/** Endings of the files SQLite keeps beside a database. */
export const COMPANIONS = ["-wal", "-shm", "-journal"] as const;
/** Where `PRAGMA user_version` lies in a database file. Source: sqlite.org/fileformat2.html, 1.3. */
const USER_VERSION_AT_BYTE = 60;
/** Where a database file says that it has a write-ahead log. Source: as above. */
const READ_VERSION_AT_BYTE = 19;
const WAL_VERSION = 2;
const ROLLBACK_VERSION = 1;

/** The file of the segment that begins with a sequence number. */
export function segmentFileName(firstSeq: number): string {
  return `observations-${String(firstSeq).padStart(16, "0")}.sqlite`;
}

/** The first sequence number of a segment by its file name. */
export function firstSeqOf(file: string): number {
  return Number(SEGMENT_NAME.exec(file)?.[1] ?? Number.NaN);
}

/**
 * Makes the folder where it is missing, for this user alone, and waits until its name is on disk with every folder made above it: else
 * a power cut in the first hour takes the whole journal. Also where it was there already: a crash may have come between the two.
 */
export function makeFolder(folder: string): void {
  const path = resolve(folder);
  let top = dirname(path);
  if (!existsSync(path)) {
    top = mkdirSync(path, { recursive: true, mode: 0o700 }) ?? top;
    chmodSync(path, 0o700);
  }
  for (let made = path; ; made = dirname(made)) {
    syncNames(dirname(made));
    if (made === top || made === dirname(made)) return;
  }
}

/**
 * Looks whether this user may read and write every file of a journal. SQLite would only say that it cannot open one, and not which.
 *
 * @throws  The operating system's error, which names the file.
 */
export function expectRights(folder: string): void {
  accessSync(folder, constants.R_OK | constants.W_OK | constants.X_OK);
  const isOurs = (name: string) =>
    name === LOCK_FILE || name === KEPT_FILE || SEGMENT_NAME.test(name) || SEALED_KEPT_NAME.test(name);
  for (const name of readdirSync(folder).filter(isOurs))
    for (const ending of ["", ...COMPANIONS]) {
      const path = join(folder, name + ending);
      if (existsSync(path)) accessSync(path, constants.R_OK | constants.W_OK);
    }
}

/** A folder that this user may not list was made by others, long before. */
function syncNames(folder: string): void {
  try {
    const opened = openSync(folder, "r");
    try {
      fsyncSync(opened);
    } finally {
      closeSync(opened);
    }
  } catch (error) {
    if (sqliteOrSystemCode(error) !== "EACCES") throw error;
  }
}

/** The names of the segments' files, oldest first. */
export function listSegments(folder: string): string[] {
  return readdirSync(folder)
    .filter((name) => SEGMENT_NAME.test(name))
    .sort();
}

/** The file of kept records that were sealed away, by the first and the last number they may have. */
export function sealedKeptName({ from, to }: NumberSpan): string {
  const [first, last] = [from, to].map((number) => String(number).padStart(16, "0"));
  return `kept-${first}-${last}.sqlite`;
}

/** The first and the last number that a sealed file of kept records may hold, by its name; null where it is not one. */
export function spanOfSealedKept(file: string): NumberSpan | null {
  const [, first, last] = SEALED_KEPT_NAME.exec(file) ?? [];
  return first === undefined || last === undefined ? null : { from: Number(first), to: Number(last) };
}

/** The names of the sealed files of kept records, oldest first. */
export function listSealedKept(folder: string): string[] {
  return readdirSync(folder)
    .filter((name) => SEALED_KEPT_NAME.test(name))
    .sort();
}

/**
 * Marks a database file as one without a write-ahead log, and waits for the disk. Its log must have been carried into it, and nobody may write
 * to it. SQLite itself refuses this while a reader holds the file, and keeps what it shares among connections under the file's first name.
 */
export function endLogMode(path: string): void {
  const file = openSync(path, "r+");
  try {
    // The versions to write and to read the file, side by side.
    writeSync(file, Uint8Array.of(ROLLBACK_VERSION, ROLLBACK_VERSION), 0, 2, READ_VERSION_AT_BYTE - 1);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

/**
 * Ends what the power cut short while a file left write-ahead mode: SQLite's small journal of that moment lies beside the file, or is there
 * again, and until it is rolled back nobody can open the file for reading only. Where the file is damaged, that is met later.
 *
 * @throws  The disk's error.
 */
export function rollBackHalfDone(path: string): void {
  if (!existsSync(`${path}-journal`) || !existsSync(path)) return;
  const database = new Database(path);
  try {
    database.pragma("user_version");
  } catch (error) {
    if (!isDamage(error)) throw error;
  } finally {
    database.close();
  }
}

/** Whether a database file says in its header that it has a write-ahead log; one whose header the disk does not give back may have one. */
export function isInLogMode(path: string): boolean {
  const header = Buffer.alloc(READ_VERSION_AT_BYTE + 1);
  const file = openSync(path, "r");
  try {
    return readSync(file, header, 0, header.length, 0) === header.length && header[READ_VERSION_AT_BYTE] === WAL_VERSION;
  } catch (error) {
    if (!isDamage(error)) throw error;
    return true;
  } finally {
    closeSync(file);
  }
}

/** Bytes of a database with its companions; 0 where it is not there. */
export function bytesOf(path: string): number {
  let bytes = 0;
  for (const ending of ["", ...COMPANIONS]) bytes += statSync(path + ending, { throwIfNoEntry: false })?.size ?? 0;
  return bytes;
}

/** What tells a file from another that later lies in its place; null where there is none. */
export function inodeOf(path: string): number | null {
  return statSync(path, { throwIfNoEntry: false })?.ino ?? null;
}

/** Whether two names are those of one file. */
export function isSameFile(onePath: string, otherPath: string): boolean {
  const [one, other] = [onePath, otherPath].map((path) => statSync(path, { throwIfNoEntry: false }));
  // File systems without second names may give many files the same number.
  return one !== undefined && other !== undefined && one.ino === other.ino && one.dev === other.dev && one.nlink > 1;
}

/** The error SQLite itself would raise, where this code finds the damage first. */
export function damagedError(what: string): Error {
  return new Database.SqliteError(what, "SQLITE_CORRUPT");
}

/** The error for a file that was taken away while it was open: what is written to it would be nowhere. */
export function movedError(): Error {
  return new Database.SqliteError("the file is not where it was opened", "SQLITE_READONLY_DBMOVED");
}

/** The code of the fault where another journal lies in the folder than the one that is running. */
export const OTHER_JOURNAL = "OTHER_JOURNAL";

/** The error for a folder that holds another journal than the one that is running. Nothing of it was changed. */
export function otherJournalError(): Error {
  return new Database.SqliteError("another journal lies in this folder", OTHER_JOURNAL);
}

/** Removes a database with its companions. A log without its database is nothing, so the database goes first. Durable after `syncFolder`. */
export function removeDatabase(path: string): void {
  for (const ending of ["", ...COMPANIONS]) rmSync(path + ending, { force: true });
}

/** Renames a database and its companions to `*.damaged`, without overwriting an earlier one, and returns the new path. */
export function setAsideDatabase(path: string): string {
  let aside = `${path}.damaged`;
  for (let number = 2; existsSync(aside); number++) aside = `${path}.${number}.damaged`;
  renameSync(path, aside);
  for (const ending of COMPANIONS) if (existsSync(path + ending)) renameSync(path + ending, aside + ending);
  return aside;
}

/** The number where a database file's header keeps its schema version, without opening it as a database; 0 where there is none, or where the disk does not give it back. */
export function headerVersion(path: string): number {
  const header = Buffer.alloc(USER_VERSION_AT_BYTE + 4);
  const file = openSync(path, "r");
  try {
    const read = readSync(file, header, 0, header.length, 0);
    return read === header.length && header.toString("latin1", 0, 15) === "SQLite format 3"
      ? header.readUInt32BE(USER_VERSION_AT_BYTE)
      : 0;
  } catch (error) {
    if (!isDamage(error)) throw error;
    return 0;
  } finally {
    closeSync(file);
  }
}

/** Keeps other processes out for as long as it is held. */
export interface FolderLock {
  readonly release: () => void;
}

/**
 * Locks the folder by an exclusive SQLite transaction, which the kernel ends with the process, however that ends.
 *
 * @returns  The lock, or `journal-locked` with the folder and, where known, the holder's process id.
 */
export function lockFolder(folder: string): Result<FolderLock, Fault> {
  const database = new Database(join(folder, LOCK_FILE), { timeout: 0 });
  try {
    database.pragma("locking_mode = EXCLUSIVE");
    database.exec("BEGIN EXCLUSIVE");
  } catch (error) {
    database.close();
    if (!(error instanceof Database.SqliteError) || error.code !== "SQLITE_BUSY") throw error;
    return fail(fault("journal-locked", { folder, ...holderOf(folder) }));
  }
  const holderPath = join(folder, HOLDER_FILE);
  ignoreTrouble(() => writeFileSync(holderPath, String(process.pid)));
  return succeed({
    release: () => {
      ignoreTrouble(() => rmSync(holderPath, { force: true }));
      database.close();
    },
  });
}

/** The process id is told to a person and nothing depends on it, so a full disk may keep it away. */
function ignoreTrouble(work: () => void): void {
  try {
    work();
  } catch (error) {
    if (sqliteOrSystemCode(error) === null) throw error;
  }
}

/** The process that noted itself as the holder of the lock, where it did. */
export function holderOf(folder: string): { readonly pid?: number } {
  try {
    const pid = Number(readFileSync(join(folder, HOLDER_FILE), "utf8"));
    return Number.isSafeInteger(pid) && pid > 0 ? { pid } : {};
  } catch (error) {
    if (sqliteOrSystemCode(error) === null) throw error;
    return {};
  }
}

/** The code of an error of SQLite or of the operating system, or null where the error is neither. */
export function sqliteOrSystemCode(error: unknown): string | null {
  if (error instanceof Database.SqliteError) return error.code;
  if (error instanceof Error && "errno" in error && "code" in error && typeof error.code === "string") return error.code;
  return null;
}

/** Codes of a damaged file beside `SQLITE_CORRUPT...`. Our statements never change, so that one SQLite cannot understand means that the file's own schema is damaged. */
const DAMAGE_CODES: ReadonlySet<string> = new Set([
  "SQLITE_NOTADB",
  "SQLITE_ERROR",
  "SQLITE_IOERR_SHORT_READ",
  "SQLITE_IOERR_READ",
  "SQLITE_IOERR_CORRUPTFS",
  "EIO",
]);

/** Whether a code tells of a damaged file, where it comes from reading. */
export function isDamageCode(code: string): boolean {
  return code.startsWith("SQLITE_CORRUPT") || DAMAGE_CODES.has(code);
}

/**
 * Whether a file itself is damaged: by bytes that are not those that were written, or by sectors that the disk does not give back, which SQLite
 * tells by the same code. A disk that gives nothing back for a while looks the same; whoever replaces a file looks again (`expectStillUnread`).
 */
export function isDamage(error: unknown): boolean {
  const code = sqliteOrSystemCode(error);
  if (code === null || !isDamageCode(code)) return false;
  return code !== "EIO" || (error instanceof Error && "syscall" in error && error.syscall === "read");
}

/** The error for a disk that gave back what it did not give back just before: nothing is damaged, it was away. */
export function wasAwayError(): Error {
  return new Database.SqliteError("the disk did not give back what it gives back now", "SQLITE_IOERR");
}

/** Whether an error says that the disk has no room. */
export function isFullDisk(error: unknown): boolean {
  const code = sqliteOrSystemCode(error);
  return code === "SQLITE_FULL" || code === "ENOSPC" || code === "EDQUOT";
}

/** The fault of trouble that looks like damage, as long as no file was found to be damaged: the disk may be away. */
export function notYetJudged(trouble: Fault): Fault {
  return trouble.code === "journal-damaged" ? fault("journal-write-failed", trouble.facts) : trouble;
}

/** The fault behind an error while writing. @throws  The error itself where it is not the disk's. */
export function faultOf(error: unknown, folder: string): Fault {
  const code = sqliteOrSystemCode(error);
  if (code === null) throw error;
  if (isFullDisk(error)) return fault("journal-disk-full", { folder, code });
  if (isDamage(error)) return fault("journal-damaged", { folder, code });
  const file = error instanceof Error && "path" in error && typeof error.path === "string" ? { file: error.path } : {};
  return fault("journal-write-failed", { folder, code, ...file });
}
