import { randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import type { ReaderCursor } from "../core/ports.ts";
import { type LifeStart, LOSS_REASONS, type Loss } from "../core/record.ts";
import {
  BUSY_MS,
  checkSum,
  closeUncarried,
  closeWhole,
  expectRising,
  FACTS_TABLE,
  FileSchema,
  inTransaction,
  type OpenDatabase,
  openForWriting,
  openImage,
  openReadable,
  readBytes,
  structureIsSound,
} from "./database.ts";
import { type DatabaseImage, NO_IMAGE, readImage, type UnreadPlace } from "./database-image.ts";
import { damagedError, inodeOf, isDamage } from "./journal-folder.ts";
import type { LostRange, SealedKept, StoredCursor } from "./messages.ts";
import type { NumberSpan } from "./number-spans.ts";
import type { PackedRare, RareKind } from "./packing.ts";
import { replaceDamaged } from "./replace-file.ts";
import { rowsOf } from "./table-rows.ts";

/** The file that is never dropped: one table a kept kind, the alerts that are open, cursors, and losses not yet recorded. */
export const KEPT_SCHEMA = new FileSchema([
  `${FACTS_TABLE}
     CREATE TABLE alerts (seq INTEGER PRIMARY KEY, crc INTEGER NOT NULL, json TEXT NOT NULL);
     CREATE TABLE acts (seq INTEGER PRIMARY KEY, crc INTEGER NOT NULL, json TEXT NOT NULL);
     CREATE TABLE receipts (seq INTEGER PRIMARY KEY, crc INTEGER NOT NULL, json TEXT NOT NULL);
     CREATE TABLE losses (seq INTEGER PRIMARY KEY, crc INTEGER NOT NULL, json TEXT NOT NULL);
     CREATE TABLE open_alerts (id TEXT PRIMARY KEY, seq INTEGER NOT NULL) WITHOUT ROWID;
     CREATE TABLE cursors (reader TEXT PRIMARY KEY, crc INTEGER NOT NULL, json TEXT NOT NULL) WITHOUT ROWID;
     CREATE TABLE drops (from_seq INTEGER PRIMARY KEY, to_seq INTEGER NOT NULL, record_count INTEGER NOT NULL, why TEXT NOT NULL);`,
  secondVersion,
]);

/** Version 2: starts and clock records, losses of one reader or of waves, cursors that know their epoch. */
function secondVersion(database: OpenDatabase): void {
  database.exec(
    `CREATE TABLE starts (seq INTEGER PRIMARY KEY, crc INTEGER NOT NULL, json TEXT NOT NULL);
     CREATE TABLE clocks (seq INTEGER PRIMARY KEY, crc INTEGER NOT NULL, json TEXT NOT NULL);
     ALTER TABLE drops RENAME TO first_drops;
     CREATE TABLE drops (what TEXT NOT NULL, reader TEXT NOT NULL, from_seq INTEGER NOT NULL, to_seq INTEGER NOT NULL,
       record_count INTEGER NOT NULL, why TEXT NOT NULL, PRIMARY KEY (what, reader, from_seq, to_seq, why)) WITHOUT ROWID;
     INSERT INTO drops SELECT ${FIRST_DROP_COLUMNS} FROM first_drops;
     DROP TABLE first_drops;`,
  );
  const losses = database.prepare<[], KeptRow>("SELECT seq, crc, json FROM losses").all();
  const storeLoss = database.prepare("UPDATE losses SET json = ?, crc = ? WHERE seq = ?");
  for (const { seq, crc, json } of losses) {
    if (checkSum(json, seq) !== crc) continue;
    const mended = mendedLoss(json);
    storeLoss.run(mended, checkSum(mended, seq), seq);
  }
  const epoch = database.prepare<[], string>("SELECT value FROM facts WHERE name = 'epoch'").pluck().get();
  const cursors = database.prepare<[], CursorRow>("SELECT reader, crc, json FROM cursors").all();
  const storeCursor = database.prepare("UPDATE cursors SET json = ?, crc = ? WHERE reader = ?");
  for (const { reader, crc, json } of cursors) {
    if (checkSum(json + reader, 0) !== crc || epoch === undefined) continue;
    const mended = mendedCursor(json, epoch);
    storeCursor.run(mended, checkSum(mended + reader, 0), reader);
  }
}

/** A loss of the first version told nothing but records, for everybody. */
function mendedLoss(json: string): string {
  return JSON.stringify({ what: "records", reader: null, ...(JSON.parse(json) as object) });
}

/** A cursor of the first version belonged to the journal's epoch. */
function mendedCursor(json: string, epoch: string | undefined): string {
  return JSON.stringify({ ...(epoch === undefined ? {} : { epoch }), ...(JSON.parse(json) as object) });
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

/** The kept kinds that are sealed away. Of alerts those that are open stay as well, each in its latest version. */
const SEALED_KINDS = ["alert", "receipt"] as const satisfies readonly KeptKind[];

/** The kept kinds that a start reads from the first to the last: all of them are in the file in use. */
const CARRIED_KINDS = KEPT_FILE_KINDS.filter((kind) => !isSealedKind(kind));

/** Whether records of a kind are sealed away. */
export function isSealedKind(kind: KeptKind): boolean {
  return SEALED_KINDS.some((sealed) => sealed === kind);
}

/** What a sealed file says of itself. */
export interface SealedAccount extends SealedKept {
  /** The highest number of any record in it. */
  readonly highestSeq: number;
}

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
/** The same of the first version, whose table lacks the first two. */
const FIRST_DROP_COLUMNS = "'records' AS what, '' AS reader, from_seq, to_seq, record_count, why";

/** The loss of a row; null where it is none that was ever written: no check sum covers it, and a damaged page may bring rows of anything. */
function lostRangeOf({ what, reader, from_seq: fromSeq, to_seq: toSeq, record_count: count, why }: DropRow): LostRange | null {
  const isNamed = (what === "records" || what === "waveforms") && typeof reader === "string" && LOSS_REASONS.includes(why);
  const isCounted = [fromSeq, toSeq, count].every((number) => Number.isSafeInteger(number) && number >= 0);
  return isNamed && isCounted ? { what, reader: reader === "" ? null : reader, fromSeq, toSeq, count, why } : null;
}

/** The losses that are owed in a kept file of this version, null for each row that is none. */
export function readOwedLosses(database: OpenDatabase): readonly (LostRange | null)[] {
  return database.prepare<[], DropRow>(`SELECT ${DROP_COLUMNS} FROM drops ORDER BY from_seq`).all().map(lostRangeOf);
}

/**
 * What is known of the journal as a whole. `reservedUpTo`: no number up to it is given by a later life. `closedAtSeq`: the last number of a
 * life that closed, "" while one runs. `leftOut`: the ranges of numbers that were left out, as JSON, the newest last. `sealedFiles`: what was
 * sealed away, as JSON, the oldest first; `carriedBytes`: how large the file was right after. `account`: what a file that is sealed says of itself.
 */
export type FactName =
  | "epoch"
  | "gatewayId"
  | "reservedUpTo"
  | "closedAtSeq"
  | "leftOut"
  | "sealedFiles"
  | "carriedBytes"
  | "account";

/** Ranges left out longer ago are known from the gateway's `start` records. */
const LEFT_OUT_KEPT = 200;

/** The kept file as the writing thread holds it. */
export class KeptFile {
  readonly #database: OpenDatabase;
  readonly #path: string;
  readonly #inode: number | null;
  #walBytes = 0;
  #carriedBytes: number | null = null;

  private constructor(database: OpenDatabase, path: string) {
    this.#database = database;
    this.#path = path;
    this.#inode = inodeOf(path);
  }

  /** Opens or makes the file. @throws  SQLite's error, or `TooNewError`. */
  static open(path: string): KeptFile {
    return new KeptFile(openForWriting(path, KEPT_SCHEMA), path);
  }

  /** Opens the file for reading only, also on a disk that cannot be written. @throws  As `openReadable`. */
  static openReadable(path: string): KeptFile {
    return new KeptFile(openReadable(path, KEPT_SCHEMA), path);
  }

  /** The epoch of the journal that a file belongs to, looked at without changing it. @throws  Also where it is not there: its disk is then not the one it was. */
  static epochOf(path: string): string | null {
    const kept = KeptFile.openReadable(path);
    try {
      return kept.fact("epoch");
    } finally {
      kept.close();
    }
  }

  get isOpen(): boolean {
    return this.#database.open;
  }

  /** Whether the file still lies where it was opened. */
  isInPlace(): boolean {
    return inodeOf(this.#path) === this.#inode;
  }

  /** Whether every page is sound, and each loss that is owed can be. */
  isSound(): boolean {
    return structureIsSound(this.#database, KEPT_SCHEMA) && !readOwedLosses(this.#database).includes(null);
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

  /** The highest sequence number in the file or in one that was sealed, 0 where there is none. */
  lastSeq(): number {
    return Math.max(this.highestSeq(), ...this.sealedFiles().map((sealed) => sealed.lastSeq));
  }

  /** The files that were sealed away, oldest first; none where nothing sound says which. */
  sealedFiles(): SealedKept[] {
    return JSON.parse(this.fact("sealedFiles") ?? "[]") as SealedKept[];
  }

  /** What a file that is sealed says of itself, or null. */
  account(): SealedAccount | null {
    const account = this.fact("account");
    return account === null ? null : (JSON.parse(account) as SealedAccount);
  }

  /** The highest number of a record that is in the file, 0 where there is none. */
  highestSeq(): number {
    const highest = KEPT_FILE_KINDS.map((kind) =>
      this.#database.prepare<[], number | null>(`SELECT max(seq) FROM ${TABLES[kind]}`).pluck().get(),
    );
    return Math.max(...highest.map((seq) => seq ?? 0));
  }

  /** How many alerts and receipts there are from one number to another. */
  countSealable({ from, to }: NumberSpan): number {
    const counts = SEALED_KINDS.map(
      (kind) =>
        this.#database
          .prepare<[number, number], number>(`SELECT count(*) FROM ${TABLES[kind]} WHERE seq BETWEEN ? AND ?`)
          .pluck()
          .get(from, to) ?? 0,
    );
    return counts.reduce((sum, count) => sum + count, 0);
  }

  /** The numbers of what has come since records were last sealed away. */
  sealableSpan(): NumberSpan {
    return { from: (this.sealedFiles().at(-1)?.lastSeq ?? 0) + 1, to: this.lastSeq() };
  }

  /** The highest number of a record that can be sealed away, 0 where there is none. */
  lastSealableSeq(): number {
    return Math.max(
      ...SEALED_KINDS.map(
        (kind) => this.#database.prepare<[], number | null>(`SELECT max(seq) FROM ${TABLES[kind]}`).pluck().get() ?? 0,
      ),
    );
  }

  /** Marks all that is in the file as carried over from a sealed one. */
  setCarried(sealedFiles: readonly SealedKept[]): void {
    this.setFacts({ sealedFiles: JSON.stringify(sealedFiles), carriedBytes: String(readBytes(this.#database)) });
  }

  /** Bytes that came since records were last sealed away. */
  newBytes(): number {
    this.#carriedBytes ??= Number(this.fact("carriedBytes") ?? 0);
    return readBytes(this.#database) - this.#carriedBytes;
  }

  /** Takes what another kept file knows, whole but for the alerts and receipts: facts, cursors, losses that are owed and all that is read at each start. */
  carryFrom(path: string, openAlerts: readonly PackedRare[]): void {
    this.#database.prepare("ATTACH ? AS old").run(path);
    inTransaction(this.#database, () => {
      const tables = [...CARRIED_KINDS.map((kind) => TABLES[kind]), "cursors", "drops"];
      for (const table of tables) this.#database.exec(`INSERT INTO main.${table} SELECT * FROM old.${table}`);
      this.#database.exec("INSERT INTO main.facts SELECT * FROM old.facts WHERE name <> 'account'");
      for (const alert of openAlerts) this.#insert(alert);
    });
    this.#database.exec("DETACH old");
  }

  /** Carries the whole log into the file. @returns  False where a reader holds it just now. */
  carryLogOver(): boolean {
    this.#database.pragma("busy_timeout = 0");
    try {
      const [{ busy }] = this.#database.pragma("wal_checkpoint(TRUNCATE)") as [{ readonly busy: number }];
      this.#walBytes = 0;
      return busy === 0;
    } finally {
      this.#database.pragma(`busy_timeout = ${BUSY_MS}`);
    }
  }

  /** The numbers that no record has because they were left out, in any order. */
  leftOut(): NumberSpan[] {
    const starts = this.#database.prepare<[], KeptRow>("SELECT seq, crc, json FROM starts").all();
    const told = starts
      .filter(({ json, seq, crc }) => checkSum(json, seq) === crc)
      .map(({ json }) => (JSON.parse(json) as LifeStart).leftOut);
    return [...this.#newestLeftOut(), ...told.filter((span) => span !== null)];
  }

  #newestLeftOut(): NumberSpan[] {
    return JSON.parse(this.fact("leftOut") ?? "[]") as NumberSpan[];
  }

  /** The facts with which a range is left out. */
  withLeftOut(span: NumberSpan): { readonly leftOut: string } {
    const others = this.#newestLeftOut().filter(({ from, to }) => from !== span.from || to !== span.to);
    return { leftOut: JSON.stringify([...others, span].slice(-LEFT_OUT_KEPT)) };
  }

  /** Losses of records for everybody, those that have become a record and those that are owed. */
  knownLosses(): Pick<LostRange, "fromSeq" | "toSeq" | "count" | "why">[] {
    const rows = this.#database.prepare<[], KeptRow>("SELECT seq, crc, json FROM losses").all();
    const recorded = rows.filter(({ json, seq, crc }) => checkSum(json, seq) === crc).map(({ json }) => JSON.parse(json) as Loss);
    return [...recorded, ...this.owedLosses()].filter((loss) => loss.what === "records" && loss.reader === null);
  }

  /** The numbers of kept records from one to another, in any order. */
  seqsBetween(fromSeq: number, toSeq: number): number[] {
    const tables = Object.values(TABLES).map((table) => `SELECT seq FROM ${table} WHERE seq BETWEEN @fromSeq AND @toSeq`);
    return this.#database.prepare<[object], number>(tables.join(" UNION ALL ")).pluck().all({ fromSeq, toSeq });
  }

  /** The highest number any reader was done with; such a record was committed even where its file is gone. */
  highestCursor(): number {
    const rows = this.#database.prepare<[], CursorRow>("SELECT reader, crc, json FROM cursors").all();
    const sound = rows.filter((row) => checkSum(row.json + row.reader, 0) === row.crc);
    return Math.max(0, ...sound.map((row) => (JSON.parse(row.json) as ReaderCursor).upTo));
  }

  /** Commits kept records, and losses that are owed with them, and waits for the disk. Records already there stay as they are. */
  append(records: readonly PackedRare[], owed: readonly LostRange[] = []): void {
    inTransaction(this.#database, () => {
      for (const loss of owed) this.#owe(loss);
      for (const record of records) this.#insert(record);
    });
  }

  /** Takes records that come in any order, some of them perhaps twice, and makes the list of open alerts anew. @returns  How many came. */
  fill(source: RecordSource): number {
    let count = 0;
    let batch: PackedRare[] = [];
    const store = () => {
      this.append(batch);
      this.checkpoint();
      count += batch.length;
      batch = [];
    };
    source((record) => {
      batch.push(record);
      if (batch.length >= FILL_RECORDS) store();
    });
    store();
    this.#listOpenAlerts();
    return count;
  }

  #listOpenAlerts(): void {
    const open = new Map<string, number>();
    for (const { seq, json } of this.#database.prepare<[], KeptRow>("SELECT seq, crc, json FROM alerts ORDER BY seq").iterate()) {
      const { id, state } = JSON.parse(json) as { readonly id: string; readonly state: string };
      if (state === "ended") open.delete(id);
      else open.set(id, seq);
    }
    inTransaction(this.#database, () => {
      this.#database.exec("DELETE FROM open_alerts");
      const insert = this.#database.prepare("INSERT INTO open_alerts (id, seq) VALUES (?, ?)");
      for (const [id, seq] of open) insert.run(id, seq);
    });
  }

  #insert(record: PackedRare): void {
    if (!isKeptKind(record.kind)) return;
    const insert = this.#database.prepare(`INSERT OR IGNORE INTO ${TABLES[record.kind]} (seq, crc, json) VALUES (?, ?, ?)`);
    const added = insert.run(record.seq, checkSum(record.json, record.seq), record.json).changes > 0;
    this.#walBytes += record.json.length + 4096;
    if (added && record.kind === "alert") this.#follow(record);
    if (record.kind === "loss") this.#settle(JSON.parse(record.json) as Loss);
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
    inTransaction(this.#database, () => this.#owe(loss));
  }

  #owe(loss: LostRange): void {
    this.#database
      .prepare(`INSERT OR REPLACE INTO drops (${DROP_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)`)
      .run(loss.what, loss.reader ?? "", loss.fromSeq, loss.toSeq, loss.count, loss.why);
  }

  /** Losses that have not become a record, for example because of a crash in between. @throws  An error of damage where one cannot be. */
  owedLosses(): LostRange[] {
    const owed = readOwedLosses(this.#database);
    if (owed.includes(null)) throw damagedError("a loss that is owed is none");
    return owed.filter((loss) => loss !== null);
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

  /** Closes the file where its log may not be carried into it. */
  closeUncarried(): void {
    closeUncarried(this.#database, this.#path);
  }

  /** Closes the file such that it holds everything without its log. */
  closeWhole(): void {
    closeWhole(this.#database);
  }
}

/** What could be read of a damaged kept file beside its records. */
interface SalvagedState {
  /** Only those whose check sum is right. */
  readonly facts: Readonly<Partial<Record<FactName, string>>>;
  readonly cursors: readonly StoredCursor[];
  readonly owed: readonly LostRange[];
}

/** Calls with record after record, in any order. */
export type RecordSource = (take: (record: PackedRare) => void) => void;

/** Records that are stored together, where there may be more of them than fit into memory. */
const FILL_RECORDS = 4000;

/**
 * Keeps a damaged kept file aside and puts a new one in its place with all that can be read of it. The epoch stays where it can be read
 * together with the numbers that were reserved: no number up to those is given again. Otherwise the highest number once given out is
 * unknown, a key could be given out twice, and a new epoch begins.
 *
 * @param epochToKeep  The epoch of a gateway that is running and counts on by itself, else null.
 * @param fromSealed   What sealed files still hold of what belongs into this one; returns what of them the disk did not give back.
 */
export function replaceDamagedKeptFile(
  path: string,
  gatewayId: string,
  epochToKeep: string | null,
  fromSealed: (take: (record: PackedRare) => void) => readonly UnreadPlace[],
): { readonly kept: KeptFile; readonly aside: string; readonly salvagedRecords: number } {
  const image = existsSync(path) ? readImage(path) : NO_IMAGE;
  const salvage = readDamagedState(image);
  const { reservedUpTo, leftOut, sealedFiles } = salvage.facts;
  const storedEpoch = reservedUpTo === undefined ? undefined : salvage.facts.epoch;
  const epoch = epochToKeep ?? storedEpoch ?? randomUUID();
  const carried = epoch === salvage.facts.epoch && reservedUpTo !== undefined ? { reservedUpTo, leftOut: leftOut ?? "[]" } : {};
  let salvagedRecords = 0;
  const unread: UnreadPlace[] = [...image.unread];
  const make = (newPath: string) => {
    const kept = KeptFile.open(newPath);
    try {
      kept.setFacts({ epoch, gatewayId, ...carried, ...(sealedFiles === undefined ? {} : { sealedFiles }) });
      salvagedRecords = kept.fill((take) => visitDamaged(image, take));
      kept.fill((take) => unread.push(...fromSealed(take)));
      if (salvage.cursors.length > 0) kept.storeCursors(salvage.cursors);
      for (const loss of salvage.owed) kept.oweLoss(loss);
      kept.closeWhole();
    } finally {
      kept.close();
    }
  };
  const aside = replaceDamaged(path, make, unread);
  return { kept: KeptFile.open(path), aside, salvagedRecords };
}

/** Columns of a row of kept records: its number, its check sum and its JSON. */
const KEPT_CELLS = 3;

/** Every sound record that can still be made out on any page of a kept file, in any order, some of them perhaps twice. */
export function visitDamaged(image: DatabaseImage, take: (record: PackedRare) => void): void {
  for (const { key: seq, cells } of rowsOf(image)) {
    const [seqCell, crc, json] = cells;
    if (cells.length !== KEPT_CELLS || seqCell !== null || typeof json !== "string" || json === "") continue;
    if (checkSum(json, seq) !== crc) continue;
    const { kind } = JSON.parse(json) as { readonly kind: RareKind };
    if (isKeptKind(kind)) take({ seq, kind, json: kind === "loss" ? mendedLoss(json) : json });
  }
}

function onImage<Answer>(image: DatabaseImage, read: (database: OpenDatabase) => Answer): Answer | null {
  try {
    const database = openImage(image);
    try {
      return read(database);
    } finally {
      database.close();
    }
  } catch (error) {
    if (!isDamage(error)) throw error;
    return null;
  }
}

function readDamagedState(image: DatabaseImage): SalvagedState {
  const found = onImage(image, (database): SalvagedState => {
    const facts = readable<{ name: FactName; value: string; crc: number }>(database, "SELECT name, value, crc FROM facts");
    const sound = facts.filter((fact) => checkSum(fact.value, 0) === fact.crc).map(({ name, value }) => [name, value]);
    const cursors = readable<CursorRow>(database, "SELECT reader, crc, json FROM cursors")
      .filter((row) => checkSum(row.json + row.reader, 0) === row.crc)
      .map((row): StoredCursor => [row.reader, row.json]);
    const [newer] = readable<{ count: number }>(
      database,
      "SELECT count(*) AS count FROM pragma_table_info('drops') WHERE name = 'what'",
    );
    const columns = newer?.count === 0 ? FIRST_DROP_COLUMNS : DROP_COLUMNS;
    const owed = readable<DropRow>(database, `SELECT ${columns} FROM drops`);
    const known = Object.fromEntries(sound) as SalvagedState["facts"];
    return {
      facts: known,
      cursors: cursors.map(([reader, json]) => [reader, mendedCursor(json, known.epoch)]),
      owed: owed.map(lostRangeOf).filter((loss) => loss !== null),
    };
  });
  return found ?? { facts: {}, cursors: [], owed: [] };
}

/** The rows of a question up to where the file is damaged. */
function readable<Row>(database: OpenDatabase, sql: string): readonly Row[] {
  const rows: Row[] = [];
  try {
    for (const row of database.prepare<[], Row>(sql).iterate()) rows.push(row);
  } catch (error) {
    if (!isDamage(error)) throw error;
  }
  return rows;
}

/** Made once a kind and reader: each page asks for all kinds, and a statement takes 4 kB outside the heap until a collection comes by. */
function recordsStatement(database: OpenDatabase, kind: KeptKind) {
  return database.prepare<[number, number, number], KeptRow>(
    `SELECT seq, crc, json FROM ${TABLES[kind]} WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?`,
  );
}

/** The numbers between two records of a kind; open to the end where there is none after them. */
interface NumbersBetween {
  readonly from: number;
  readonly to: number | null;
}

/** The kept file as the reading thread sees it. */
export class KeptReader {
  readonly #database: OpenDatabase;
  readonly #tellDamage: (seq: number, between: NumbersBetween) => void;
  readonly #statements = new Map<KeptKind, ReturnType<typeof recordsStatement>>();

  /**
   * @param tellDamage  Called with the number of each record whose check sum is wrong; it is passed over. The damage may lie in that number:
   *                    the right one is only known to lie between those of the records of its kind before and after it.
   */
  constructor(path: string, tellDamage: (seq: number, between: NumbersBetween) => void) {
    this.#database = openReadable(path, KEPT_SCHEMA);
    this.#tellDamage = tellDamage;
  }

  /** Records of one kind after one number up to another, in order; `limit` of them wherever there are so many that are sound. */
  records(kind: KeptKind, range: { readonly afterSeq: number; readonly upToSeq: number; readonly limit: number }): PackedRare[] {
    const statement = this.#statements.get(kind) ?? recordsStatement(this.#database, kind);
    this.#statements.set(kind, statement);
    const found: PackedRare[] = [];
    for (let afterSeq = range.afterSeq; found.length < range.limit; ) {
      const rows = expectRising(statement.all(afterSeq, range.upToSeq, range.limit - found.length), afterSeq, ({ seq }) => seq);
      for (const row of rows) if (this.#isSound(kind, row)) found.push({ kind, seq: row.seq, json: row.json });
      afterSeq = rows.at(-1)?.seq ?? Number.POSITIVE_INFINITY;
      if (rows.length === 0) break;
    }
    return found;
  }

  /**
   * Looks whether a sealed file holds as many records as it says, each behind the one before: where a number in a page is damaged, SQLite
   * may find its way past some rows without a word. @throws  SQLite's error where it does not.
   */
  checkSealed({ from, to }: NumberSpan, recordCount: number): void {
    let count = 0;
    for (const kind of SEALED_KINDS) {
      let before = 0;
      for (const seq of this.#database.prepare<[], number>(`SELECT seq FROM ${TABLES[kind]} ORDER BY seq`).pluck().iterate()) {
        if (!(seq > before)) throw damagedError("records are out of order");
        if (seq >= from && seq <= to) count += 1;
        before = seq;
      }
    }
    if (count !== recordCount) throw damagedError("records are missing");
  }

  /** The highest number of one kind, 0 where there is none. */
  lastSeq(kind: KeptKind): number {
    return this.#database.prepare<[], number | null>(`SELECT max(seq) FROM ${TABLES[kind]}`).pluck().get() ?? 0;
  }

  #isSound(kind: KeptKind, row: KeptRow): boolean {
    const sound = checkSum(row.json, row.seq) === row.crc;
    if (!sound) this.#tellDamage(row.seq, this.#around(kind, row.seq));
    return sound;
  }

  /** From right after the record of a kind before a number to right before the one after it. */
  #around(kind: KeptKind, seq: number): NumbersBetween {
    // Two of each: SQLite takes the rows to be in order, and may answer with the damaged one itself where it ends or begins a page.
    const near = (where: string) =>
      this.#database.prepare<[number], number>(`SELECT seq FROM ${TABLES[kind]} WHERE ${where} LIMIT 2`).pluck().all(seq);
    const before = near("seq < ? ORDER BY seq DESC").find((other) => other < seq);
    const after = near("seq > ? ORDER BY seq").find((other) => other > seq);
    return { from: (before ?? 0) + 1, to: after === undefined ? null : after - 1 };
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
      if (!this.#isSound("alert", row)) continue;
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
