import { randomUUID } from "node:crypto";
import { existsSync, statSync } from "node:fs";
import Database from "better-sqlite3";
import type { ReaderCursor } from "../core/ports.ts";
import type { Loss } from "../core/record.ts";
import {
  checkSum,
  type FileSchema,
  inTransaction,
  type OpenDatabase,
  openForReading,
  openForWriting,
  structureIsSound,
} from "./database.ts";
import { inodeOf, isDamage, setAsideDatabase } from "./journal-folder.ts";
import type { LostRange, StoredCursor } from "./messages.ts";
import type { PackedRare, RareKind } from "./packing.ts";

/** The file that is never dropped: one table a kept kind, the alerts that are open, cursors, and losses not yet recorded. */
export const KEPT_SCHEMA: FileSchema = {
  steps: [
    `CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL, crc INTEGER NOT NULL) WITHOUT ROWID;
     CREATE TABLE alerts (seq INTEGER PRIMARY KEY, crc INTEGER NOT NULL, json TEXT NOT NULL);
     CREATE TABLE acts (seq INTEGER PRIMARY KEY, crc INTEGER NOT NULL, json TEXT NOT NULL);
     CREATE TABLE receipts (seq INTEGER PRIMARY KEY, crc INTEGER NOT NULL, json TEXT NOT NULL);
     CREATE TABLE losses (seq INTEGER PRIMARY KEY, crc INTEGER NOT NULL, json TEXT NOT NULL);
     CREATE TABLE open_alerts (id TEXT PRIMARY KEY, seq INTEGER NOT NULL) WITHOUT ROWID;
     CREATE TABLE cursors (reader TEXT PRIMARY KEY, crc INTEGER NOT NULL, json TEXT NOT NULL) WITHOUT ROWID;
     CREATE TABLE drops (from_seq INTEGER PRIMARY KEY, to_seq INTEGER NOT NULL, record_count INTEGER NOT NULL, why TEXT NOT NULL);`,
    secondVersion,
  ],
};

/** Version 2: starts and clock records, losses of one reader or of waves, cursors that know their epoch. */
function secondVersion(database: OpenDatabase): void {
  database.exec(
    `CREATE TABLE starts (seq INTEGER PRIMARY KEY, crc INTEGER NOT NULL, json TEXT NOT NULL);
     CREATE TABLE clocks (seq INTEGER PRIMARY KEY, crc INTEGER NOT NULL, json TEXT NOT NULL);
     DROP TABLE drops;
     CREATE TABLE drops (what TEXT NOT NULL, reader TEXT NOT NULL, from_seq INTEGER NOT NULL, to_seq INTEGER NOT NULL,
       record_count INTEGER NOT NULL, why TEXT NOT NULL, PRIMARY KEY (what, reader, from_seq)) WITHOUT ROWID;`,
  );
  const losses = database.prepare<[], KeptRow>("SELECT seq, crc, json FROM losses").all();
  const storeLoss = database.prepare("UPDATE losses SET json = ?, crc = ? WHERE seq = ?");
  for (const { seq, crc, json } of losses) {
    if (checkSum(json, seq) !== crc) continue;
    const mended = JSON.stringify({ ...(JSON.parse(json) as object), what: "records", reader: null });
    storeLoss.run(mended, checkSum(mended, seq), seq);
  }
  const epoch = database.prepare<[], string>("SELECT value FROM facts WHERE name = 'epoch'").pluck().get();
  const cursors = database.prepare<[], CursorRow>("SELECT reader, crc, json FROM cursors").all();
  const storeCursor = database.prepare("UPDATE cursors SET json = ?, crc = ? WHERE reader = ?");
  for (const { reader, crc, json } of cursors) {
    if (checkSum(json + reader, 0) !== crc || epoch === undefined) continue;
    const mended = JSON.stringify({ epoch, ...(JSON.parse(json) as object) });
    storeCursor.run(mended, checkSum(mended + reader, 0), reader);
  }
}

interface CursorRow {
  readonly reader: string;
  readonly crc: number;
  readonly json: string;
}

/** The kinds that live in the kept file. */
export type KeptKind = "alert" | "act" | "receipt" | "loss" | "start" | "clock";

const TABLES: Readonly<Record<KeptKind, string>> = {
  alert: "alerts",
  act: "acts",
  receipt: "receipts",
  loss: "losses",
  start: "starts",
  clock: "clocks",
};

/** The kept kinds, in the order of their tables. */
export const KEPT_FILE_KINDS = Object.keys(TABLES) as readonly KeptKind[];

/** Whether a kind lives in the kept file rather than in blocks. */
export function isKeptKind(kind: RareKind | "observation"): kind is KeptKind {
  return Object.hasOwn(TABLES, kind);
}

interface KeptRow {
  readonly seq: number;
  readonly crc: number;
  readonly json: string;
}

interface DropRow {
  readonly what: LostRange["what"];
  /** "" where the loss is everybody's. */
  readonly reader: string;
  readonly from_seq: number;
  readonly to_seq: number;
  readonly record_count: number;
  readonly why: LostRange["why"];
}

const DROP_COLUMNS = "what, reader, from_seq, to_seq, record_count, why";

function lostRangeOf(row: DropRow): LostRange {
  const reader = row.reader === "" ? null : row.reader;
  return { what: row.what, reader, fromSeq: row.from_seq, toSeq: row.to_seq, count: row.record_count, why: row.why };
}

/** What is known of the journal as a whole. `reservedUpTo`: no number up to it is given by a later life. `closedAtSeq`: the last number of a life that closed, "" while one runs. */
export type FactName = "epoch" | "gatewayId" | "reservedUpTo" | "closedAtSeq";

/** The kept file as the writing thread holds it. */
export class KeptFile {
  readonly #database: OpenDatabase;
  readonly #path: string;
  readonly #inode: number | null;
  #walBytes = 0;

  private constructor(database: OpenDatabase, path: string) {
    this.#database = database;
    this.#path = path;
    this.#inode = inodeOf(path);
  }

  /** Opens or makes the file. @throws  SQLite's error, or `TooNewError`. */
  static open(path: string): KeptFile {
    return new KeptFile(openForWriting(path, KEPT_SCHEMA), path);
  }

  /** Opens the file of a running journal again. @throws  Also where it is not there, or is another journal's: its disk is then not the one it was. */
  static reopen(path: string, epoch: string): KeptFile {
    statSync(path);
    const kept = KeptFile.open(path);
    if (kept.fact("epoch") === epoch) return kept;
    kept.close();
    throw new Database.SqliteError("another journal lies in this folder", "SQLITE_READONLY_DBMOVED");
  }

  /** Whether the file still lies where it was opened. */
  isInPlace(): boolean {
    return inodeOf(this.#path) === this.#inode;
  }

  /** Whether every page is sound. */
  isSound(): boolean {
    return structureIsSound(this.#database, KEPT_SCHEMA);
  }

  /** A stored fact, or null where it is missing or its check sum is wrong. */
  fact(name: FactName): string | null {
    const row = this.#database
      .prepare<[string], { value: string; crc: number }>("SELECT value, crc FROM facts WHERE name = ?")
      .get(name);
    return row !== undefined && checkSum(row.value, 0) === row.crc ? row.value : null;
  }

  /** Stores facts and waits for the disk. */
  setFacts(facts: Readonly<Partial<Record<FactName, string>>>): void {
    const insert = this.#database.prepare("INSERT OR REPLACE INTO facts (name, value, crc) VALUES (?, ?, ?)");
    inTransaction(this.#database, () => {
      for (const [name, value] of Object.entries(facts)) insert.run(name, value, checkSum(value, 0));
    });
  }

  /** The highest sequence number in the file, 0 where it is empty. */
  lastSeq(): number {
    const tables = Object.values(TABLES).map((table) => `SELECT max(seq) AS seq FROM ${table}`);
    return (
      this.#database
        .prepare<[], number | null>(`SELECT max(seq) FROM (${tables.join(" UNION ALL ")})`)
        .pluck()
        .get() ?? 0
    );
  }

  /** The highest number any reader was done with; such a record was committed even where its file is gone. */
  highestCursor(): number {
    const rows = this.#database.prepare<[], CursorRow>("SELECT reader, crc, json FROM cursors").all();
    const sound = rows.filter((row) => checkSum(row.json + row.reader, 0) === row.crc);
    return Math.max(0, ...sound.map((row) => (JSON.parse(row.json) as ReaderCursor).upTo));
  }

  /** Commits kept records and waits for the disk. Those already there stay as they are. */
  append(records: readonly PackedRare[]): void {
    inTransaction(this.#database, () => {
      for (const record of records) this.#insert(record);
    });
  }

  #insert(record: PackedRare): void {
    if (!isKeptKind(record.kind)) return;
    const insert = this.#database.prepare(`INSERT OR IGNORE INTO ${TABLES[record.kind]} (seq, crc, json) VALUES (?, ?, ?)`);
    const added = insert.run(record.seq, checkSum(record.json, record.seq), record.json).changes > 0;
    this.#walBytes += record.json.length + 4096;
    if (added && record.kind === "alert") this.#follow(record);
    if (added && record.kind === "loss") this.#settle(JSON.parse(record.json) as Loss);
  }

  #follow(record: PackedRare): void {
    const alert = JSON.parse(record.json) as { readonly id: string; readonly state: string };
    if (alert.state === "ended") {
      this.#database.prepare("DELETE FROM open_alerts WHERE id = ? AND seq < ?").run(alert.id, record.seq);
    } else {
      this.#database
        .prepare(
          "INSERT INTO open_alerts (id, seq) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET seq = excluded.seq WHERE excluded.seq > seq",
        )
        .run(alert.id, record.seq);
    }
  }

  /** A loss that has become a record is no longer owed to anybody. */
  #settle(loss: Loss): void {
    this.#database
      .prepare("DELETE FROM drops WHERE what = ? AND reader = ? AND from_seq >= ? AND to_seq <= ? AND why = ?")
      .run(loss.what, loss.reader ?? "", loss.fromSeq, loss.toSeq, loss.why);
  }

  /** Notes, durably and before it happens, that records will be gone. */
  oweLoss(loss: LostRange): void {
    inTransaction(this.#database, () => {
      this.#database
        .prepare(`INSERT OR REPLACE INTO drops (${DROP_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)`)
        .run(loss.what, loss.reader ?? "", loss.fromSeq, loss.toSeq, loss.count, loss.why);
    });
  }

  /** Losses that have not become a record, for example because of a crash in between. */
  owedLosses(): LostRange[] {
    return this.#database.prepare<[], DropRow>(`SELECT ${DROP_COLUMNS} FROM drops ORDER BY from_seq`).all().map(lostRangeOf);
  }

  /**
   * Stores readers' cursors without waiting for the disk: the next commit's wait carries them along. After a power cut
   * an older cursor may be found, never one ahead of what was readable.
   */
  storeCursors(cursors: readonly StoredCursor[]): void {
    this.#database.pragma("synchronous = NORMAL");
    try {
      const insert = this.#database.prepare("INSERT OR REPLACE INTO cursors (reader, crc, json) VALUES (?, ?, ?)");
      inTransaction(this.#database, () => {
        for (const [reader, json] of cursors) insert.run(reader, checkSum(json + reader, 0), json);
      });
      this.#walBytes += 2048;
    } finally {
      this.#database.pragma("synchronous = FULL");
    }
  }

  get walBytes(): number {
    return this.#walBytes;
  }

  checkpoint(): void {
    this.#database.pragma("wal_checkpoint(PASSIVE)");
    this.#walBytes = 0;
  }

  close(): void {
    this.#database.close();
  }
}

/** What could be read of a damaged kept file. */
interface Salvage {
  readonly epoch: string | null;
  readonly rows: readonly PackedRare[];
  readonly cursors: readonly StoredCursor[];
  readonly owed: readonly LostRange[];
  /** True where every table could be read to its end and every check sum was right. */
  readonly whole: boolean;
}

/**
 * Sets a damaged kept file aside and makes a new one with all that can be read of it. The epoch stays only where every
 * row was read: otherwise the highest number once given out is unknown, and a key could be given out twice.
 *
 * @param epochToKeep  The epoch of a gateway that is running and counts on by itself, else null.
 */
export function replaceDamagedKeptFile(
  path: string,
  gatewayId: string,
  epochToKeep: string | null,
): { readonly kept: KeptFile; readonly aside: string; readonly salvagedRecords: number } {
  const aside = existsSync(path) ? setAsideDatabase(path) : path;
  const salvage = readDamaged(aside);
  const kept = KeptFile.open(path);
  const epoch = epochToKeep ?? (salvage.whole ? salvage.epoch : null) ?? randomUUID();
  kept.setFacts({ epoch, gatewayId });
  if (salvage.rows.length > 0) kept.append([...salvage.rows].sort((one, other) => one.seq - other.seq));
  if (salvage.cursors.length > 0) kept.storeCursors(salvage.cursors);
  for (const loss of salvage.owed) kept.oweLoss(loss);
  return { kept, aside, salvagedRecords: salvage.rows.length };
}

function readDamaged(path: string): Salvage {
  const nothing: Salvage = { epoch: null, rows: [], cursors: [], owed: [], whole: false };
  try {
    const database = openForReading(path);
    try {
      return readWhatIsLeft(database);
    } finally {
      database.close();
    }
  } catch (error) {
    if (isDamage(error) || isMissing(error)) return nothing;
    throw error;
  }
}

/** A file whose first page is gone has no tables, or cannot be opened at all. */
function isMissing(error: unknown): boolean {
  return error instanceof Error && "code" in error && (error.code === "SQLITE_ERROR" || error.code === "SQLITE_CANTOPEN");
}

function readWhatIsLeft(database: OpenDatabase): Salvage {
  let whole = true;
  const collect = <Row>(sql: string): Row[] => {
    const rows: Row[] = [];
    try {
      for (const row of database.prepare<[], Row>(sql).iterate()) rows.push(row);
    } catch (error) {
      if (!isDamage(error) && !isMissing(error)) throw error;
      whole = false;
    }
    return rows;
  };
  const rows = new Map<number, PackedRare>();
  for (const kind of KEPT_FILE_KINDS) {
    const wholeBefore = whole;
    const upwards = collect<KeptRow>(`SELECT seq, crc, json FROM ${TABLES[kind]} ORDER BY seq`);
    const downwards =
      wholeBefore === whole ? [] : collect<KeptRow>(`SELECT seq, crc, json FROM ${TABLES[kind]} ORDER BY seq DESC`);
    for (const { seq, crc, json } of [...upwards, ...downwards]) {
      if (checkSum(json, seq) === crc) rows.set(seq, { seq, kind, json });
      else whole = false;
    }
  }
  const facts = collect<{ name: string; value: string; crc: number }>("SELECT name, value, crc FROM facts");
  const epoch = facts.find((fact) => fact.name === "epoch" && checkSum(fact.value, 0) === fact.crc)?.value ?? null;
  const cursors = collect<CursorRow>("SELECT reader, crc, json FROM cursors")
    .filter((row) => checkSum(row.json + row.reader, 0) === row.crc)
    .map((row): StoredCursor => [row.reader, row.json]);
  const owed = collect<DropRow>(`SELECT ${DROP_COLUMNS} FROM drops`).map(lostRangeOf);
  return { epoch, rows: [...rows.values()], cursors, owed, whole };
}

/** The kept file as the reading thread sees it. */
export class KeptReader {
  readonly #database: OpenDatabase;
  readonly #tellDamage: (seq: number) => void;

  /** @param tellDamage  Called with the number of each record whose check sum is wrong; it is passed over. */
  constructor(path: string, tellDamage: (seq: number) => void) {
    this.#database = openForReading(path);
    this.#tellDamage = tellDamage;
  }

  /** Records of one kind after one number up to another, in order; `limit` of them wherever there are so many that are sound. */
  records(kind: KeptKind, range: { readonly afterSeq: number; readonly upToSeq: number; readonly limit: number }): PackedRare[] {
    const statement = this.#database.prepare<[number, number, number], KeptRow>(
      `SELECT seq, crc, json FROM ${TABLES[kind]} WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?`,
    );
    const found: PackedRare[] = [];
    for (let afterSeq = range.afterSeq; found.length < range.limit; ) {
      const rows = statement.all(afterSeq, range.upToSeq, range.limit - found.length);
      for (const row of rows) if (this.#isSound(row)) found.push({ kind, seq: row.seq, json: row.json });
      afterSeq = rows.at(-1)?.seq ?? Number.POSITIVE_INFINITY;
      if (rows.length === 0) break;
    }
    return found;
  }

  #isSound(row: KeptRow): boolean {
    const sound = checkSum(row.json, row.seq) === row.crc;
    if (!sound) this.#tellDamage(row.seq);
    return sound;
  }

  /** The latest version of each alert that has not ended. Where the short list does not fit the records, all alerts are gone through. */
  openAlerts(): PackedRare[] {
    const rows = this.#database
      .prepare<[], { id: string; listed: number; seq: number | null; crc: number; json: string }>(
        `SELECT open_alerts.id AS id, open_alerts.seq AS listed, alerts.seq AS seq, alerts.crc AS crc, alerts.json AS json
         FROM open_alerts LEFT JOIN alerts ON alerts.seq = open_alerts.seq ORDER BY open_alerts.seq`,
      )
      .all();
    const listFits = rows.every(
      (row) =>
        row.seq !== null && checkSum(row.json, row.listed) === row.crc && (JSON.parse(row.json) as { id: string }).id === row.id,
    );
    return listFits ? rows.map((row) => ({ kind: "alert", seq: row.listed, json: row.json })) : this.#openAlertsFromAll();
  }

  #openAlertsFromAll(): PackedRare[] {
    const latest = new Map<string, PackedRare & { readonly ended: boolean }>();
    for (const row of this.#database.prepare<[], KeptRow>("SELECT seq, crc, json FROM alerts ORDER BY seq").iterate()) {
      if (!this.#isSound(row)) continue;
      const alert = JSON.parse(row.json) as { readonly id: string; readonly state: string };
      latest.set(alert.id, { kind: "alert", seq: row.seq, json: row.json, ended: alert.state === "ended" });
    }
    return [...latest.values()].filter((alert) => !alert.ended).sort((one, other) => one.seq - other.seq);
  }

  /** A reader's cursor as JSON, or null where there is none or its check sum is wrong: it then begins anew. */
  cursor(reader: string): string | null {
    const row = this.#database
      .prepare<[string], { json: string; crc: number }>("SELECT json, crc FROM cursors WHERE reader = ?")
      .get(reader);
    return row !== undefined && checkSum(row.json + reader, 0) === row.crc ? row.json : null;
  }

  close(): void {
    this.#database.close();
  }
}
