import { accessSync, constants, existsSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { crc32 } from "node:zlib";
import Database from "better-sqlite3";
import { assert } from "../core/result.ts";
import { asPlainDatabase, type DatabaseImage, readImage } from "./database-image.ts";
import { damagedError, isDamage, isInLogMode, sqliteOrSystemCode } from "./journal-folder.ts";
import { replaceDatabase, syncFolder } from "./replace-file.ts";

/** An open SQLite file. */
export type OpenDatabase = Database.Database;

/**
 * Small pages: one commit of a few dozen observations writes one or two of them. Measured at 200 observations/s and 250 ms:
 * 1,024 bytes a page dirty a third less of the disk than 4,096.
 */
const PAGE_BYTES = 1024;
/** For each open file. A commit and a question touch a few pages; more would only fill, for days, with what is written and not read again. */
const CACHE_KIBIBYTES = 1024;
/** Readers and the writer meet only while a log is carried over or a file changes its mode. */
export const BUSY_MS = 2000;
const VERSION_FACTOR = 65_537;

/** Single facts by name, in each kind of file. */
export const FACTS_TABLE = "CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL, crc INTEGER NOT NULL) WITHOUT ROWID;";

/** What leads from one version of a file to the next. A function where rows must be written anew, which SQL alone cannot. */
export type SchemaStep = string | ((database: OpenDatabase) => void);

/** One kind of file: how to make it, and how to bring an older one up to date, one step a version. */
export class FileSchema {
  /** What leads from version `index` to `index + 1`; the first makes the file. */
  readonly steps: readonly SchemaStep[];
  #tables: string | null = null;

  constructor(steps: readonly SchemaStep[]) {
    this.steps = steps;
  }

  /** The tables of a file that is up to date, as `tablesOf` tells them. */
  tables(): string {
    if (this.#tables !== null) return this.#tables;
    const pattern = new Database(":memory:");
    try {
      for (const step of this.steps) runStep(pattern, step);
      this.#tables = tablesOf(pattern);
    } finally {
      pattern.close();
    }
    return this.#tables;
  }
}

/** A file from a later version of the gateway. It was not touched. */
export class TooNewError extends Error {
  override readonly name = "TooNewError";
  readonly foundVersion: number;
  readonly knownVersion: number;

  constructor(foundVersion: number, knownVersion: number) {
    super(`schema version ${foundVersion} is newer than ${knownVersion}`);
    this.foundVersion = foundVersion;
    this.knownVersion = knownVersion;
  }
}

/** Opens or makes a file for writing: write-ahead log, every commit waits for the disk, schema brought up to date. */
export function openForWriting(path: string, schema: FileSchema): OpenDatabase {
  statSync(dirname(path));
  const isNew = !existsSync(path);
  const database = new Database(path, { timeout: BUSY_MS });
  try {
    database.pragma(`page_size = ${PAGE_BYTES}`);
    const version = versionOf(database);
    if (version > schema.steps.length) throw new TooNewError(version, schema.steps.length);
    database.pragma("journal_mode = WAL");
    database.pragma("synchronous = FULL");
    database.pragma("wal_autocheckpoint = 0");
    database.pragma(`cache_size = -${CACHE_KIBIBYTES}`);
    if (version < schema.steps.length) migrate(database, schema, version);
    if (isNew) syncFolder(dirname(path));
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}

/** Opens a file for reading only. */
export function openForReading(path: string): OpenDatabase {
  // Where the folder is gone the package throws an error of its own kind; this one has the system's code.
  statSync(path);
  const database = new Database(path, { readonly: true, fileMustExist: true, timeout: BUSY_MS });
  database.pragma(`cache_size = -${CACHE_KIBIBYTES}`);
  return database;
}

/**
 * Opens a file for reading only, also on a disk that cannot be written: where SQLite cannot, because it would have to make a file beside it
 * or because the schema is an older one, it gets a copy in memory as the file is now.
 *
 * @param schema  What the file is brought up to, in memory; null: it may be of any version.
 * @throws        SQLite's or the operating system's error where the file is damaged or cannot be read at all.
 */
export function openReadable(path: string, schema: FileSchema | null): OpenDatabase {
  let database: OpenDatabase | null = null;
  // SQLite would take hold of what lies beside the file such that this process cannot write the file until all have closed it.
  if (hasLog(path) && !mayWrite(path)) return openInMemory(path, schema);
  try {
    database = openForReading(path);
    if (versionOf(database) === schema?.steps.length || schema === null) return database;
    database.close();
  } catch (error) {
    database?.close();
    if (sqliteOrSystemCode(error) === null || isDamage(error)) throw error;
  }
  return openInMemory(path, schema);
}

/**
 * Whether a file has a write-ahead log, or says that it has. Only such a file may need a copy in memory as large as itself: one without can
 * be read where it lies, since nothing has to be made beside it.
 */
export function hasLog(path: string): boolean {
  return existsSync(`${path}-wal`) || isInLogMode(path);
}

function mayWrite(path: string): boolean {
  try {
    accessSync(path, constants.W_OK);
    return true;
  } catch (error) {
    if (sqliteOrSystemCode(error) === null) throw error;
    return false;
  }
}

/** Opens what was read of a file in memory. */
export function openImage(image: DatabaseImage): OpenDatabase {
  // SQLite makes a copy of its own of these bytes.
  return new Database(asPlainDatabase(image));
}

function openInMemory(path: string, schema: FileSchema | null): OpenDatabase {
  const database = openImage(readImage(path));
  const version = versionOf(database);
  if (schema === null) return database;
  if (version > schema.steps.length) {
    database.close();
    throw new TooNewError(version, schema.steps.length);
  }
  for (const step of schema.steps.slice(version)) runStep(database, step);
  return database;
}

/**
 * Writes a file anew and puts it in the place of the old one, on pages that have never failed to reach the disk. After a failed fsync the
 * kernel may call pages clean that are not on disk: a second fsync of the same file then says that all is well, and the hole it leaves in
 * a write-ahead log makes everything behind it void with the next power cut. What is read here is what the kernel still holds.
 */
export function renewDatabase(path: string): void {
  replaceDatabase(path, (newPath) => {
    const database = openForReading(path);
    try {
      database.prepare("VACUUM INTO ?").run(newPath);
    } finally {
      database.close();
    }
  });
}

/**
 * Closes a file without carrying its log over, as SQLite else does when the last one closes: its pages may not be on disk.
 * Another connection that holds the file keeps SQLite from it.
 */
export function closeUncarried(database: OpenDatabase, path: string): void {
  let guard: OpenDatabase | null = null;
  try {
    guard = openForReading(path);
    versionOf(guard);
  } catch (error) {
    if (sqliteOrSystemCode(error) === null) throw error;
  }
  try {
    database.close();
  } finally {
    guard?.close();
  }
}

/** Closes a file such that it holds everything without its log. @throws  Where the disk does not take that. */
export function closeWhole(database: OpenDatabase): void {
  try {
    const mode = database.pragma("journal_mode = DELETE", { simple: true });
    if (mode !== "delete") throw new Database.SqliteError("the log cannot be carried over", "SQLITE_BUSY");
  } finally {
    database.close();
  }
}

/** The schema version a file carries, 0 where it is new. @throws  SQLite's error where the number is not one that was written. */
export function versionOf(database: OpenDatabase): number {
  const stored = database.pragma("user_version", { simple: true });
  assert(typeof stored === "number", "user_version is a number");
  const version = versionFromHeader(stored);
  if (version === null) throw damagedError("the schema version is damaged");
  return version;
}

/** The version stands in both halves of the number, so that a flipped bit is damage and not a later version; null is damage. */
export function versionFromHeader(stored: number): number | null {
  return stored % VERSION_FACTOR === 0 && stored >= 0 ? stored / VERSION_FACTOR : null;
}

/** Brings the file up to date in one transaction and into the file's header, where a later start looks without opening. */
function migrate(database: OpenDatabase, schema: FileSchema, fromVersion: number): void {
  database.exec("BEGIN IMMEDIATE");
  for (const step of schema.steps.slice(fromVersion)) runStep(database, step);
  database.pragma(`user_version = ${schema.steps.length * VERSION_FACTOR}`);
  database.exec("COMMIT");
  database.pragma("wal_checkpoint(TRUNCATE)");
}

function runStep(database: OpenDatabase, step: SchemaStep): void {
  if (typeof step === "string") database.exec(step);
  else step(database);
}

/** The bytes a file must have by its own header. */
export function readBytes(database: OpenDatabase): number {
  return Number(database.pragma("page_count", { simple: true })) * Number(database.pragma("page_size", { simple: true }));
}

/** Whether SQLite finds the structure of every page sound and the tables are those of the schema. */
export function structureIsSound(database: OpenDatabase, schema: FileSchema): boolean {
  return database.pragma("quick_check(1)", { simple: true }) === "ok" && tablesOf(database) === schema.tables();
}

function tablesOf(database: OpenDatabase): string {
  return JSON.stringify(database.prepare("SELECT type, name, sql FROM sqlite_schema ORDER BY name").all());
}

/** Runs `work` as one transaction; on any error nothing of it stays. */
export function inTransaction(database: OpenDatabase, work: () => void): void {
  database.exec("BEGIN IMMEDIATE");
  try {
    work();
    database.exec("COMMIT");
  } catch (error) {
    if (database.inTransaction) database.exec("ROLLBACK");
    throw error;
  }
}

/** What no check sum is, so that it fits none that was stored. */
const NO_CHECK_SUM = -1;

/**
 * Check sum of a stored text or of bytes, tied to the key it lies under so that a swapped row shows. A damaged row may hold anything in
 * the place of its text and of its key, also nothing: that has no check sum.
 */
export function checkSum(content: string | Uint8Array, key: number): number {
  const found: unknown = content;
  if (!(typeof found === "string" || found instanceof Uint8Array) || !Number.isSafeInteger(key) || key < 0) return NO_CHECK_SUM;
  return crc32(found, key % 2 ** 32);
}

/**
 * Rows as they were asked for. In a damaged page SQLite may take a wrong turn and bring rows that were not asked for; who goes on from the
 * last of them would never come to an end.
 *
 * @returns  The rows.
 * @throws   SQLite's error for a damaged file where their numbers do not rise from behind `after`.
 */
export function expectRising<Row>(rows: Row[], after: number, numberOf: (row: Row) => number): Row[] {
  let before = after;
  for (const row of rows) {
    const number = numberOf(row);
    if (!(number > before)) throw damagedError("rows are out of order");
    before = number;
  }
  return rows;
}
