import { existsSync } from "node:fs";
import { join } from "node:path";
import { type MessagePort, parentPort } from "node:worker_threads";
import { createSystemClock } from "../clock.ts";
import { LIMITS } from "../core/limits.ts";
import { assert } from "../core/result.ts";
import type { Clock } from "../core/time.ts";
import {
  bytesOf,
  faultOf,
  isDamage,
  KEPT_FILE,
  movedError,
  removeDatabase,
  segmentFileName,
  sqliteOrSystemCode,
} from "./journal-folder.ts";
import { isKeptKind, KeptFile } from "./kept-file.ts";
import type { FromWriter, OpenRequest, SegmentEntry, StoredCursor, ToWriter } from "./messages.ts";
import { type OpenFolder, openFolder, setAsideSegment } from "./open-folder.ts";
import type { PackedRecords } from "./packing.ts";
import { SegmentWriter, settleSealed } from "./segment-file.ts";
import { SlowDisk } from "./slow-disk.ts";

/** How many segments a budget is cut into at least, so that dropping one is never dropping most. */
const SEGMENTS_PER_BUDGET = 16;
const SEGMENT_BYTES_MIN = 262_144;
const HOUSEKEEPING_MS = 1000;

/** The writing thread: the only one that changes the journal's files. */
class JournalWriter {
  readonly #clock: Clock;
  readonly #say: (message: FromWriter) => void;
  #request: OpenRequest | null = null;
  #open: OpenFolder | null = null;
  #kept: KeptFile | null = null;
  #active: SegmentWriter | null = null;
  #sealed: SegmentEntry[] = [];
  #unsettled: string[] = [];
  #slowDisk: SlowDisk | null = null;
  #fsyncCount = 0;
  #housekeptMs = Number.NEGATIVE_INFINITY;
  #bytesOnDisk = 0;
  #reservedUpTo = 0;
  /** The segment in use when the files were let go. */
  #letGoFile: string | null = null;

  constructor(clock: Clock, say: (message: FromWriter) => void) {
    this.#clock = clock;
    this.#say = say;
  }

  take(message: ToWriter): void {
    switch (message.kind) {
      case "open":
        this.#openFolder(message.request);
        return;
      case "commit":
        this.#commit(message.upToSeq, message.batch);
        return;
      case "cursors":
        this.#storeCursors(message.cursors);
        return;
      case "set-aside":
        this.#setAside(message.file);
        return;
      case "close":
        this.#close(message.cleanUpToSeq);
        return;
    }
  }

  #openFolder(request: OpenRequest): void {
    this.#request = request;
    this.#slowDisk = request.simulatedDisk === null ? null : new SlowDisk(request.simulatedDisk);
    try {
      const opened = openFolder(request, this.#clock.monotonic());
      if (!opened.ok) {
        this.#say({ kind: "refused", fault: opened.error });
        return;
      }
      const { kept, active, sealed, epoch, lastSeq, endedBefore, leftOut, faults } = opened.value;
      this.#open = opened.value;
      this.#reservedUpTo = opened.value.reservedUpTo;
      this.#kept = kept;
      this.#active = active;
      this.#sealed = [...sealed];
      this.#unsettled = sealed.map((entry) => entry.file).filter((file) => existsSync(join(request.folder, `${file}-wal`)));
      this.#say({
        kind: "opened",
        opened: { epoch, lastSeq, endedBefore, leftOut, faults, losses: kept.owedLosses(), segments: this.#segments() },
      });
      this.#tolerating(() => this.#keepToBudget(kept));
    } catch (error) {
      this.#say({ kind: "refused", fault: faultOf(error, request.folder) });
    }
  }

  #segments(): SegmentEntry[] {
    return this.#active === null ? [...this.#sealed] : [...this.#sealed, this.#active.entry];
  }

  #commit(upToSeq: number, batch: PackedRecords): void {
    const folder = this.#folder();
    const startedMs = this.#clock.monotonic();
    try {
      this.#reserveNumbers(upToSeq);
      this.#store(batch, folder);
    } catch (error) {
      const fault = faultOf(error, folder);
      if (fault.code !== "journal-disk-full") this.#letGo();
      this.#say({ kind: "failed", fault });
      return;
    }
    this.#say({ kind: "committed", upToSeq, commitMs: this.#clock.monotonic() - startedMs });
    this.#keepHouse();
  }

  /** Numbers are set aside long before they are given, so that no later life gives one again. */
  #reserveNumbers(upToSeq: number): void {
    if (upToSeq <= this.#reservedUpTo - LIMITS.journalNumbersReserved.value / 2) return;
    const reservedUpTo = upToSeq + LIMITS.journalNumbersReserved.value;
    this.#keptFile().setFacts({ reservedUpTo: String(reservedUpTo) });
    this.#reservedUpTo = reservedUpTo;
  }

  /** Kept kinds first: should the power fail between the two files, an alert is there and observations before it are not, never the other way round. */
  #store(batch: PackedRecords, folder: string): void {
    if (this.#kept?.isInPlace() === false || this.#active?.isInPlace() === false) throw movedError();
    const kept = batch.rare.filter((record) => isKeptKind(record.kind));
    if (kept.length > 0) {
      this.#keptFile().append(kept);
      this.#waited();
    }
    const rare = batch.rare.filter((record) => !isKeptKind(record.kind));
    if (batch.observationCount === 0 && rare.length === 0) return;
    const firstRare = rare[0]?.seq ?? Number.POSITIVE_INFINITY;
    const firstObservation =
      batch.observationCount > 0 ? (batch.numbers[0] ?? Number.POSITIVE_INFINITY) : Number.POSITIVE_INFINITY;
    const active = this.#activeSegment(folder, Math.min(firstRare, firstObservation));
    if (active === null) return;
    active.append(batch, rare, this.#clock.monotonic());
    this.#waited();
  }

  #waited(): void {
    this.#fsyncCount += 1;
    this.#slowDisk?.wait();
  }

  #folder(): string {
    assert(this.#request !== null, "the journal is opened before anything else");
    return this.#request.folder;
  }

  /** The kept file, opened again where it was let go. */
  #keptFile(): KeptFile {
    assert(this.#open !== null, "the journal is opened before anything else");
    this.#kept ??= KeptFile.reopen(join(this.#folder(), KEPT_FILE), this.#open.epoch);
    return this.#kept;
  }

  /** The segment to write to: the one in use, or one that was let go, or a new one. Null where the batch is already in a sealed one. */
  #activeSegment(folder: string, firstSeq: number): SegmentWriter | null {
    if (this.#active !== null) return this.#active;
    if (firstSeq <= (this.#sealed.at(-1)?.lastSeq ?? 0)) return null;
    this.#keptFile();
    const letGo = this.#letGoFile !== null && existsSync(join(folder, this.#letGoFile)) ? this.#letGoFile : null;
    const file = letGo ?? segmentFileName(firstSeq);
    this.#active = new SegmentWriter(join(folder, file), this.#clock.monotonic(), { check: false });
    this.#letGoFile = null;
    this.#say({ kind: "segments", segments: this.#segments() });
    return this.#active;
  }

  /** After trouble the files are closed and opened again with the next try: a disk that was taken away and came back has new ones. */
  #letGo(): void {
    const folder = this.#folder();
    const { active, kept } = { active: this.#active, kept: this.#kept };
    if (active !== null) this.#letGoFile = active.entry.file;
    this.#active = null;
    this.#kept = null;
    for (const file of [active === null ? null : () => active.abandon(), kept === null ? null : () => kept.close()]) {
      try {
        file?.();
      } catch (error) {
        faultOf(error, folder);
      }
    }
  }

  #storeCursors(cursors: readonly StoredCursor[]): void {
    this.#tolerating(() => this.#keptFile().storeCursors(cursors));
  }

  /** Work that is done again later anyway: what the disk refuses now is not told twice, the next commit tells it. */
  #tolerating(work: () => void): void {
    try {
      work();
    } catch (error) {
      if (sqliteOrSystemCode(error) === null) throw error;
      if (isDamage(error)) this.#say({ kind: "failed", fault: faultOf(error, this.#folder()) });
    }
  }

  /** What may wait until after the acknowledgement: carrying over the logs, ending a segment, dropping old ones, figures. */
  #keepHouse(): void {
    this.#tolerating(() => this.#carryOver());
    if (this.#segmentIsFull()) this.#tolerating(() => this.#sealActive());
    const nowMs = this.#clock.monotonic();
    if (nowMs - this.#housekeptMs < HOUSEKEEPING_MS) return;
    this.#housekeptMs = nowMs;
    this.#tolerating(() => {
      this.#unsettled = this.#unsettled.filter((file) => !settleSealed(join(this.#folder(), file)));
      this.#keepToBudget(this.#keptFile());
    });
    this.#say({ kind: "figures", bytesOnDisk: this.#bytesOnDisk, fsyncs: this.#fsyncCount });
  }

  #carryOver(): void {
    for (const file of [this.#active, this.#kept]) {
      if (file === null || file.walBytes < LIMITS.journalWalBytesMax.value) continue;
      file.checkpoint();
      this.#fsyncCount += 1;
      this.#waited();
    }
  }

  #segmentIsFull(): boolean {
    if (this.#active === null || this.#request === null) return false;
    const share = Math.max(SEGMENT_BYTES_MIN, this.#request.bytesMax / SEGMENTS_PER_BUDGET);
    const isLong = this.#active.entry.bytes >= Math.min(LIMITS.journalSegmentBytesMax.value, share);
    return isLong || this.#clock.monotonic() - this.#active.openedMonotonicMs >= LIMITS.journalSegmentMsMax.value;
  }

  #sealActive(): void {
    if (this.#active === null) return;
    const entry = this.#active.seal();
    this.#active = null;
    this.#sealed.push(entry);
    this.#unsettled.push(entry.file);
    this.#fsyncCount += 3;
    this.#slowDisk?.wait();
    this.#say({ kind: "segments", segments: this.#segments() });
  }

  /** Drops the oldest segments whole until the budget is kept; never the kept file, never the segment in use. */
  #keepToBudget(kept: KeptFile): void {
    assert(this.#request !== null, "the journal is opened before anything else");
    const { folder, bytesMax } = this.#request;
    const sizes = this.#segments().map((entry) => bytesOf(join(folder, entry.file)));
    let total = sizes.reduce((sum, bytes) => sum + bytes, bytesOf(join(folder, KEPT_FILE)));
    for (let index = 0; total > bytesMax && this.#sealed.length > 0; index++) {
      const oldest = this.#sealed[0];
      assert(oldest !== undefined, "a list that is not empty has a first element");
      const loss = {
        fromSeq: oldest.firstSeq,
        toSeq: oldest.lastSeq,
        count: oldest.recordCount,
        why: "byte-budget",
        what: "records",
        reader: null,
      } as const;
      kept.oweLoss(loss);
      this.#sealed.shift();
      this.#unsettled = this.#unsettled.filter((file) => file !== oldest.file);
      this.#say({ kind: "segments", segments: this.#segments() });
      removeDatabase(join(folder, oldest.file));
      total -= sizes[index] ?? 0;
      this.#say({ kind: "lost", loss, fault: null });
    }
    this.#bytesOnDisk = total;
  }

  /** A reader met damage in a file: it is renamed, its range is owed, and the rest is used. */
  #setAside(file: string): void {
    this.#tolerating(() => {
      const folder = this.#folder();
      const entries = this.#segments();
      const place = entries.findIndex((entry) => entry.file === file);
      const entry = entries[place];
      if (entry === undefined) return;
      if (this.#active?.entry.file === file) {
        this.#active.abandon();
        this.#active = null;
      } else {
        this.#sealed = this.#sealed.filter((one) => one.file !== file);
      }
      this.#unsettled = this.#unsettled.filter((one) => one !== file);
      const loss = {
        fromSeq: entry.firstSeq,
        toSeq: entry.lastSeq,
        count: entry.recordCount,
        why: "journal-damaged",
        what: "records",
        reader: null,
      } as const;
      const fault = setAsideSegment({ folder, file, loss, kept: this.#keptFile() });
      this.#say({ kind: "segments", segments: this.#segments() });
      this.#say({ kind: "lost", loss, fault });
    });
  }

  #close(cleanUpToSeq: number | null): void {
    this.#tolerating(() => this.#active?.close());
    this.#active = null;
    if (cleanUpToSeq !== null) this.#tolerating(() => this.#kept?.setFacts({ closedAtSeq: String(cleanUpToSeq) }));
    this.#tolerating(() => this.#kept?.checkpoint());
    this.#tolerating(() => this.#kept?.close());
    this.#kept = null;
    this.#open?.lock.release();
    this.#say({ kind: "closed" });
  }
}

/** Runs the writing thread on its port. */
function startWriter(port: MessagePort): void {
  const writer = new JournalWriter(createSystemClock(), (message) => port.postMessage(message));
  port.on("message", (message: ToWriter) => writer.take(message));
}

if (parentPort !== null) startWriter(parentPort);
