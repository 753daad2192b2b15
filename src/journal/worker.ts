import { existsSync } from "node:fs";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import { type MessagePort, parentPort } from "node:worker_threads";
import { createSystemClock } from "../clock.ts";
import { type Fault, fault } from "../core/errors.ts";
import { LIMITS } from "../core/limits.ts";
import { assert, fail } from "../core/result.ts";
import type { Clock, Timer } from "../core/time.ts";
import { boundAsides, bytesOfAsides, dropOldestAside } from "./damaged-asides.ts";
import { renewDatabase } from "./database.ts";
import {
  bytesOf,
  damagedError,
  faultOf,
  isDamage,
  isFullDisk,
  KEPT_FILE,
  listSegments,
  movedError,
  notYetJudged,
  otherJournalError,
  removeDatabase,
  rollBackHalfDone,
  segmentFileName,
  spanOfSealedKept,
  sqliteOrSystemCode,
} from "./journal-folder.ts";
import { isKeptKind, KeptFile } from "./kept-file.ts";
import type { FromWriter, LostRange, OpenRequest, SealedKept, SegmentEntry, StoredCursor, ToWriter } from "./messages.ts";
import { missingBetween, oweFound } from "./missing-numbers.ts";
import { type OpenFolder, openFolder } from "./open-folder.ts";
import type { PackedRecords } from "./packing.ts";
import { readFolder } from "./read-folder.ts";
import { clearRenewal, finishReplacement, markRenewal, syncFolder } from "./replace-file.ts";
import { keepReserve, releaseReserve } from "./reserve-file.ts";
import { RoomMaker } from "./room-maker.ts";
import { salvageSegment } from "./salvage.ts";
import {
  countSealable,
  finishSealing,
  numbersOfAll,
  openSealedKept,
  type SealableCount,
  salvageSealedKept,
  sealKeptFile,
} from "./sealed-kept.ts";
import { lookAtSegment, SegmentWriter, segmentHoldsBlock, settleSealed } from "./segment-file.ts";
import { SlowDisk } from "./slow-disk.ts";
import { takeMessages } from "./thread-end.ts";
import { WaveStore } from "./waves/wave-store.ts";

/** How many segments a budget is cut into at least, so that dropping one is never dropping most. */
const SEGMENTS_PER_BUDGET = 16;
const SEGMENT_BYTES_MIN = 262_144;
const HOUSEKEEPING_MS = 1000;
/** Sealed files that a reader holds are asked for again after so long; each try opens them, which was six a second for days. */
const HELD_MS = 60_000;
/** How often sealing the kept file waits for the disk. */
const SEALING_FSYNCS = 10;
/** Looking through files of waves gives other work its turn after so long. */
const SLICE_MS = 5;
/** The ring is looked after at least so often in its length. */
const TICKS_PER_RING = 40;

/** The writing thread: the only one that changes the journal's files. */
export class JournalWriter {
  readonly #clock: Clock;
  readonly #say: (message: FromWriter) => void;
  #request: OpenRequest | null = null;
  #open: OpenFolder | null = null;
  #kept: KeptFile | null = null;
  #active: SegmentWriter | null = null;
  #sealed: SegmentEntry[] = [];
  #sealedKept: readonly SealedKept[] = [];
  #keptOpenedMs = 0;
  /** Counted, and to be sealed next; null: there is nothing to be sealed yet. */
  #sealable: SealableCount | null = null;
  /** A sealing that a reader or the disk kept from its end is not tried again before. */
  #sealKeptFromMs = Number.NEGATIVE_INFINITY;
  #unsettled: string[] = [];
  /** When a reader was found to hold a sealed file, until the readers are told of the files again. */
  #heldSinceMs: number | null = null;
  #slowDisk: SlowDisk | null = null;
  #fsyncCount = 0;
  #housekeptMs = Number.NEGATIVE_INFINITY;
  #bytesOnDisk = 0;
  #reservedUpTo = 0;
  /** The segment in use when the files were let go. */
  #letGoEntry: SegmentEntry | null = null;
  /** Files that may not be on disk as the kernel says. */
  readonly #mustRenew = new Set<string>();
  /** Whether a file was written anew since the readers were told of the files. */
  #renewed = false;
  /** The highest number in the kept file. */
  #keptSeq = 0;
  readonly #room = new RoomMaker();
  #waves: WaveStore | null = null;
  #waveTimer: Timer | null = null;
  /** The highest number that was committed or that came with a chunk of waves. */
  #lastSeq = 0;

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
        this.#commit(message.upToSeq, message.batch, message.dropped ?? []);
        return;
      case "cursors":
        this.#storeCursors(message.cursors);
        return;
      case "set-aside":
        this.#tolerating(() => this.#mend(message.file));
        return;
      case "waves":
        this.#lastSeq = Math.max(this.#lastSeq, message.batch.toSeq);
        this.#waves?.append(message.batch);
        this.#say({ kind: "waves-taken", lastNumber: message.batch.lastNumber, bytesOnDisk: this.#waves?.bytes ?? 0 });
        return;
      case "mend-waves":
        this.#waves?.mend(message.file);
        return;
      case "close":
        this.#close(message.cleanUpToSeq);
        return;
    }
  }

  #openFolder(request: OpenRequest): void {
    this.#request = request;
    this.#slowDisk = request.simulatedDisk === null ? null : new SlowDisk(request.simulatedDisk, this.#clock);
    try {
      const opened = openFolder(
        request,
        () => this.#clock.monotonic(),
        () => this.#makeRoomToOpen(request),
      );
      if (!opened.ok) {
        this.#say({ kind: "refused", fault: opened.error });
        return;
      }
      this.#keptSeq = opened.value.kept.lastSeq();
      keepReserve(request.folder);
      const { kept, active, sealed, sealedKept, epoch, lastSeq, endedBefore, leftOut, faults } = opened.value;
      this.#open = opened.value;
      this.#reservedUpTo = opened.value.reservedUpTo;
      this.#kept = kept;
      this.#active = active;
      this.#sealed = [...sealed];
      this.#sealedKept = sealedKept;
      this.#keptOpenedMs = this.#clock.monotonic();
      this.#unsettled = sealed.map((entry) => entry.file).filter((file) => existsSync(join(request.folder, `${file}-wal`)));
      this.#say({
        kind: "opened",
        opened: {
          ...{ epoch, lastSeq, endedBefore, leftOut, faults },
          losses: kept.owedLosses(),
          segments: this.#segments(),
          sealedKept,
          notWritable: null,
        },
      });
      this.#tolerating(() => this.#keepToBudget());
      this.#lastSeq = lastSeq;
      this.#openWaves(request);
    } catch (error) {
      this.#sayNotWritable(request, notYetJudged(faultOf(error, request.folder)));
    }
  }

  /** A gateway that starts gets what can be read, so that it watches; one that runs has that already and tries again. */
  #sayNotWritable(request: OpenRequest, why: Fault): void {
    // The next try has the room in reserve; once the files are open, what is old makes more.
    if (why.code === "journal-disk-full") releaseReserve(request.folder);
    const read = request.epochToKeep === null ? readFolder(request.folder, why) : fail(why);
    this.#say(read.ok ? { kind: "opened", opened: read.value } : { kind: "refused", fault: read.error });
  }

  /** As `#makeRoom`, while no file is open: without its files a journal would wait for room for ever, and every alert would be in memory alone. */
  #makeRoomToOpen(request: OpenRequest): void {
    const { folder } = request;
    const nowMs = this.#clock.monotonic();
    try {
      const hadReserve = releaseReserve(folder);
      if (!this.#room.met(nowMs) || hadReserve || dropOldestAside(folder) !== null || !isOwnJournal(request)) return;
      const [oldest, ...newer] = listSegments(folder);
      if (oldest === undefined || newer.length === 0 || !this.#room.mayTakeSegment(nowMs)) return;
      removeDatabase(join(folder, oldest));
      syncFolder(folder);
      this.#room.tookSegment(nowMs);
    } catch (error) {
      if (sqliteOrSystemCode(error) === null) throw error;
    }
  }

  /** Waves are kept beside the records; whatever happens to them never stops a commit. */
  #openWaves(request: OpenRequest): void {
    let turnBeganMs = this.#clock.monotonic();
    const waves = new WaveStore(
      {
        clock: this.#clock,
        folder: request.folder,
        lastSeq: () => this.#lastSeq,
        owe: (loss) => {
          if (this.#waves !== waves) throw movedError();
          this.#onDisk(() => this.#keptFile().oweLoss(loss));
        },
        tell: (loss, found) => this.#say({ kind: "lost", loss, fault: found }),
        waitAside: async () => {
          this.#fsyncCount += 1;
          await this.#slowDisk?.waitAside();
        },
        turn: async () => {
          if (this.#clock.monotonic() - turnBeganMs < SLICE_MS) return;
          await setImmediate();
          turnBeganMs = this.#clock.monotonic();
        },
      },
      request.waves,
    );
    this.#waveTimer?.stop();
    this.#waves = waves;
    waves.open();
    this.#waveTimer = this.#clock.every(Math.min(HOUSEKEEPING_MS, request.waves.ringMs / TICKS_PER_RING), () => waves.tick());
  }

  #segments(): SegmentEntry[] {
    const inUse = this.#active?.entry ?? this.#letGoEntry;
    return inUse === null ? [...this.#sealed] : [...this.#sealed, inUse];
  }

  #tellSegments(): void {
    const { segments, sealedKept } = { segments: this.#segments(), sealedKept: this.#sealedKept };
    this.#say({ kind: "segments", segments, sealedKept, renewed: this.#renewed });
    this.#renewed = false;
    this.#heldSinceMs = null;
  }

  #commit(upToSeq: number, batch: PackedRecords, dropped: readonly LostRange[]): void {
    const folder = this.#folder();
    const startedMs = this.#clock.monotonic();
    try {
      this.#onDisk(() => {
        this.#reserveNumbers(upToSeq);
        this.#store(batch, dropped, folder);
      });
    } catch (error) {
      const found = faultOf(error, folder);
      if (found.code === "journal-disk-full") this.#tolerating(() => this.#makeRoom());
      this.#say({ kind: "failed", fault: found });
      return;
    }
    this.#room.worked();
    if (this.#renewed) this.#tellSegments();
    this.#say({ kind: "committed", upToSeq, commitMs: this.#clock.monotonic() - startedMs });
    this.#lastSeq = Math.max(this.#lastSeq, upToSeq);
    this.#waves?.committed(batch.rare);
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
  #store(batch: PackedRecords, dropped: readonly LostRange[], folder: string): void {
    if (this.#kept?.isInPlace() === false || this.#active?.isInPlace() === false) throw movedError();
    const kept = batch.rare.filter((record) => isKeptKind(record.kind));
    if (kept.length > 0 || dropped.length > 0) {
      this.#keptFile().append(kept, dropped);
      this.#keptSeq = Math.max(this.#keptSeq, kept.at(-1)?.seq ?? 0);
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
    if (this.#kept !== null) return this.#kept;
    assert(this.#open !== null, "the journal is opened before anything else");
    const path = join(this.#folder(), KEPT_FILE);
    finishSealing(this.#folder());
    rollBackHalfDone(path);
    if (KeptFile.epochOf(path) !== this.#open.epoch) throw otherJournalError();
    this.#renew(KEPT_FILE);
    const kept = KeptFile.open(path);
    this.#kept = kept;
    this.#sealable = null;
    this.#knowSealed(kept);
    const lastSeq = kept.lastSeq();
    if (lastSeq < this.#keptSeq)
      this.#tellVanished({ fromSeq: lastSeq + 1, toSeq: this.#keptSeq, count: this.#keptSeq - lastSeq });
    this.#keptSeq = lastSeq;
    return kept;
  }

  /** A sealing that was cut short may have come to its end while the file was opened again. */
  #knowSealed(kept: KeptFile): void {
    const sealedKept = kept.sealedFiles();
    if (sealedKept.length <= this.#sealedKept.length) return;
    this.#sealedKept = sealedKept;
    this.#renewed = true;
  }

  #keptIsFull(): boolean {
    if (this.#kept === null || this.#clock.monotonic() < this.#sealKeptFromMs) return false;
    const bytesMax = this.#request?.keptFileBytesMax ?? LIMITS.journalKeptFileBytesMax.value;
    const isOld = this.#clock.monotonic() - this.#keptOpenedMs >= LIMITS.journalKeptFileMsMax.value;
    return isOld || this.#kept.newBytes() >= bytesMax;
  }

  /** Seals away the alerts and receipts of the kept file; in trouble the file stays as it is and it is tried again. */
  #sealKept(): void {
    const kept = this.#kept;
    if (kept === null) return;
    const counted = this.#sealable;
    this.#sealable = counted === null ? countSealable(kept) : null;
    if (counted === null) return;
    this.#sealKeptFromMs = this.#clock.monotonic() + HOUSEKEEPING_MS;
    this.#sealable = counted;
    try {
      if (sealKeptFile(kept, this.#folder(), counted) === null) return;
    } finally {
      if (!kept.isOpen) this.#kept = null;
    }
    this.#fsyncCount += SEALING_FSYNCS;
    this.#slowDisk?.wait();
    this.#sealKeptFromMs = Number.NEGATIVE_INFINITY;
    this.#keptOpenedMs = this.#clock.monotonic();
    this.#keptFile();
    this.#tellSegments();
  }

  /** The segment to write to: the one in use, or one that was let go, or a new one. Null where the batch is already in a sealed one. */
  #activeSegment(folder: string, firstSeq: number): SegmentWriter | null {
    if (this.#active !== null) return this.#active;
    if (firstSeq <= (this.#sealed.at(-1)?.lastSeq ?? 0)) {
      const holder = this.#sealed.findLast((entry) => entry.firstSeq <= firstSeq);
      if (holder !== undefined && segmentHoldsBlock(join(folder, holder.file), firstSeq)) return null;
      throw damagedError("a batch that should be in a sealed segment is not");
    }
    this.#keptFile();
    const before = this.#letGoEntry;
    const isThere = before !== null && existsSync(join(folder, before.file));
    if (isThere) this.#renew(before.file);
    const file = isThere ? before.file : segmentFileName(firstSeq);
    this.#active = new SegmentWriter(join(folder, file), this.#clock.monotonic(), { check: false });
    this.#letGoEntry = null;
    if (before !== null)
      this.#lookForVanished(before, isThere ? this.#active.entry : { lastSeq: before.firstSeq - 1, recordCount: 0 });
    this.#tellSegments();
    return this.#active;
  }

  /** What was acknowledged and is not there after trouble is told, though nobody can bring it back. */
  #lookForVanished(before: SegmentEntry, found: Pick<SegmentEntry, "lastSeq" | "recordCount">): void {
    if (found.lastSeq >= before.lastSeq) return;
    this.#tellVanished({ fromSeq: found.lastSeq + 1, toSeq: before.lastSeq, count: before.recordCount - found.recordCount });
  }

  #tellVanished(range: Pick<LostRange, "fromSeq" | "toSeq" | "count">): void {
    const loss = { ...range, why: "journal-damaged", what: "records", reader: null } as const;
    this.#keptFile().oweLoss(loss);
    const { fromSeq, toSeq } = range;
    this.#say({ kind: "lost", loss, fault: fault("journal-damaged", { folder: this.#folder(), fromSeq, toSeq }) });
  }

  /** A file that met trouble is written anew before it is used again. */
  #renew(file: string): void {
    if (!this.#mustRenew.has(file)) return;
    const path = join(this.#folder(), file);
    finishReplacement(path);
    rollBackHalfDone(path);
    renewDatabase(path);
    this.#renewed = true;
    this.#mustRenew.delete(file);
    if (this.#mustRenew.size === 0) clearRenewal(this.#folder());
  }

  /** Runs what writes. After any trouble but a full disk no file that was written lately is trusted. */
  #onDisk(work: () => void): void {
    try {
      work();
    } catch (error) {
      // A full disk refuses before a page is taken: what the log holds already stays good, and what is half in it is written over.
      if (faultOf(error, this.#folder()).code !== "journal-disk-full") this.#letGo();
      throw error;
    }
  }

  /** After trouble the files are closed and opened again with the next try: a disk that was taken away and came back has new ones. */
  #letGo(): void {
    const folder = this.#folder();
    const { active, kept } = { active: this.#active, kept: this.#kept };
    if (active !== null) this.#letGoEntry = active.entry;
    this.#active = null;
    this.#kept = null;
    const inUse = this.#letGoEntry === null ? [] : [this.#letGoEntry.file];
    for (const file of [KEPT_FILE, ...inUse, ...this.#unsettled]) this.#mustRenew.add(file);
    markRenewal(folder);
    for (const close of [() => active?.abandon(), () => kept?.closeUncarried()]) {
      try {
        close();
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
      this.#onDisk(work);
    } catch (error) {
      if (sqliteOrSystemCode(error) === null) throw error;
      if (isDamage(error)) this.#say({ kind: "failed", fault: faultOf(error, this.#folder()) });
    }
  }

  /** What may wait until after the acknowledgement: carrying over the logs, ending a segment, dropping old ones, figures. */
  #keepHouse(): void {
    this.#tolerating(() => this.#carryOver());
    if (this.#segmentIsFull()) this.#tolerating(() => this.#sealActive());
    if (this.#keptIsFull()) this.#tolerating(() => this.#sealKept());
    const nowMs = this.#clock.monotonic();
    if (nowMs - this.#housekeptMs < HOUSEKEEPING_MS) return;
    this.#housekeptMs = nowMs;
    this.#tolerating(() => {
      this.#settleAll(nowMs);
      this.#keepToBudget();
      if (this.#room.hasRoom(nowMs)) keepReserve(this.#folder());
    });
    this.#say({ kind: "figures", bytesOnDisk: this.#bytesOnDisk, fsyncs: this.#fsyncCount });
  }

  /** A reader lets go of the sealed files that are not settled when it is told of the files; a second later they are tried. */
  #settleAll(nowMs: number): void {
    if (this.#heldSinceMs === null) {
      this.#unsettled = this.#unsettled.filter((file) => !this.#settle(file));
      if (this.#unsettled.length > 0) this.#heldSinceMs = nowMs;
    } else if (nowMs - this.#heldSinceMs >= HELD_MS) {
      this.#tellSegments();
    }
  }

  /** @returns  False where it must be tried again. */
  #settle(file: string): boolean {
    if (!this.#mustRenew.has(file)) return settleSealed(join(this.#folder(), file));
    this.#renew(file);
    this.#tellSegments();
    return true;
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
    const { carriedOver, ...entry } = this.#active.seal();
    this.#active = null;
    this.#sealed.push(entry);
    this.#unsettled.push(entry.file);
    if (!carriedOver) this.#mustRenew.add(entry.file);
    this.#fsyncCount += 3;
    this.#slowDisk?.wait();
    this.#tellSegments();
  }

  /** Drops what was kept aside of damaged files and then the oldest segments, whole, until the budget is kept; never the kept file, never the segment in use. */
  #keepToBudget(): void {
    assert(this.#request !== null, "the journal is opened before anything else");
    const { folder, bytesMax } = this.#request;
    const sizes = this.#segments().map((entry) => bytesOf(join(folder, entry.file)));
    const keptFiles = [KEPT_FILE, ...this.#sealedKept.map((entry) => entry.file)];
    const keptBytes = keptFiles.reduce((sum, file) => sum + bytesOf(join(folder, file)), 0);
    let total = sizes.reduce((sum, bytes) => sum + bytes, keptBytes + bytesOfAsides(folder));
    while (total > bytesMax) {
      const freed = dropOldestAside(folder);
      if (freed === null) break;
      total -= freed;
    }
    for (let index = 0; total > bytesMax && this.#sealed.length > 0; index++) {
      this.#dropOldest("byte-budget");
      total -= sizes[index] ?? 0;
    }
    this.#bytesOnDisk = total;
  }

  /** Drops the oldest sealed segment, where there is one. Its loss is owed first; a disk too full for that is told by the gap at the next start. */
  #dropOldest(why: "byte-budget" | "disk-full"): void {
    const oldest = this.#sealed[0];
    if (oldest === undefined) return;
    const { firstSeq, lastSeq, recordCount } = oldest;
    const loss = { fromSeq: firstSeq, toSeq: lastSeq, count: recordCount, why, what: "records", reader: null } as const;
    try {
      this.#keptFile().oweLoss(loss);
    } catch (error) {
      if (why === "byte-budget" || faultOf(error, this.#folder()).code !== "journal-disk-full") throw error;
    }
    this.#sealed.shift();
    this.#unsettled = this.#unsettled.filter((file) => file !== oldest.file);
    this.#mustRenew.delete(oldest.file);
    this.#tellSegments();
    removeDatabase(join(this.#folder(), oldest.file));
    syncFolder(this.#folder());
    this.#say({ kind: "lost", loss, fault: null });
  }

  /** Others filled the disk: what was kept aside of damaged files goes first, then waves, then the oldest segments of observations; the kept file and the segment in use never. */
  #makeRoom(): void {
    const nowMs = this.#clock.monotonic();
    if (!this.#room.met(nowMs)) return;
    releaseReserve(this.#folder());
    if (dropOldestAside(this.#folder()) !== null) return;
    if (this.#waves !== null && this.#waves.giveUpOldest() !== null) return;
    if (!this.#room.mayTakeSegment(nowMs)) return;
    if (this.#sealed.length === 0 && (this.#active?.entry.bytes ?? 0) >= SEGMENT_BYTES_MIN) this.#sealActive();
    if (this.#sealed.length === 0) return;
    this.#dropOldest("disk-full");
    this.#room.tookSegment(nowMs);
  }

  /** A reader met damage in a file: what can still be made out of it takes its place, the rest is owed. Where that fails the readers look again. */
  #mend(file: string): void {
    try {
      if (spanOfSealedKept(file) === null) this.#mendSegment(file);
      else this.#mendSealedKept(file);
    } catch (error) {
      this.#tellSegments();
      throw error;
    }
  }

  #mendSegment(file: string): void {
    const entry = this.#segments().find((one) => one.file === file);
    if (entry === undefined) return;
    const wasInUse = (this.#active?.entry ?? this.#letGoEntry)?.file === file;
    if (wasInUse) {
      this.#active?.abandon();
      this.#active = null;
      this.#letGoEntry = entry;
    }
    const path = join(this.#folder(), file);
    const { aside, spans, recordCount } = this.#withRoom(() => salvageSegment(path));
    if (wasInUse) this.#letGoEntry = null;
    boundAsides(this.#folder());
    this.#unsettled = this.#unsettled.filter((one) => one !== file);
    const kept = this.#keptFile();
    const numbers = numbersOfAll(this.#folder(), kept, this.#sealedKept);
    const losses = missingBetween(numbers, { from: entry.firstSeq, to: entry.lastSeq }, spans);
    for (const loss of losses) oweFound(kept, loss);
    this.#takeSalvaged(entry, { isEmpty: recordCount === 0, wasInUse });
    const found = fault("journal-damaged", { file: aside, salvagedRecords: recordCount });
    for (const loss of losses) this.#say({ kind: "lost", loss, fault: found });
  }

  /** Mends on a full disk with the room in reserve and that of files kept aside earlier; where that is not enough it is asked for again. */
  #withRoom<Mended>(mend: () => Mended): Mended {
    for (;;) {
      try {
        return mend();
      } catch (error) {
        const folder = this.#folder();
        if (!isFullDisk(error) || (!releaseReserve(folder) && dropOldestAside(folder) === null)) throw error;
      }
    }
  }

  /** As `#mendSegment`, for kept records that were sealed away. */
  #mendSealedKept(file: string): void {
    if (!this.#sealedKept.some((sealed) => sealed.file === file)) return;
    // A disk that was taken away shows none of its files.
    if (!this.#keptFile().isInPlace()) throw movedError();
    const { aside, sealed } = this.#withRoom(() => salvageSealedKept(join(this.#folder(), file)));
    boundAsides(this.#folder());
    const { sealedKept, losses } = openSealedKept(this.#folder(), this.#keptFile(), false);
    this.#sealedKept = sealedKept;
    this.#renewed = true;
    this.#tellSegments();
    const found = fault("journal-damaged", { file: aside, salvagedRecords: sealed.recordCount });
    for (const loss of losses) this.#say({ kind: "lost", loss, fault: found });
  }

  #takeSalvaged(before: SegmentEntry, is: { readonly isEmpty: boolean; readonly wasInUse: boolean }): void {
    const path = join(this.#folder(), before.file);
    let entry: SegmentEntry | null = null;
    if (is.isEmpty) removeDatabase(path);
    else if (is.wasInUse) this.#letGoEntry = lookAtSegment(path);
    else entry = new SegmentWriter(path, this.#clock.monotonic(), { check: false }).seal();
    this.#sealed = this.#sealed.flatMap((one) => (one.file !== before.file ? [one] : entry === null ? [] : [entry]));
    if (entry !== null) this.#unsettled.push(entry.file);
    this.#renewed = true;
    this.#tellSegments();
  }

  #close(cleanUpToSeq: number | null): void {
    this.#waveTimer?.stop();
    this.#waves?.close();
    this.#waves = null;
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

/** Whether nothing says that another journal than the running one lies in a folder: of that one nothing is given up. */
function isOwnJournal({ folder, epochToKeep, filesAreMade }: OpenRequest): boolean {
  if (epochToKeep === null) return true;
  try {
    return KeptFile.epochOf(join(folder, KEPT_FILE)) === epochToKeep;
  } catch (error) {
    if (!isDamage(error)) throw error;
    return filesAreMade === true;
  }
}

/** Runs the writing thread on its port. */
function startWriter(port: MessagePort): void {
  const writer = new JournalWriter(createSystemClock(), (message) => port.postMessage(message));
  takeMessages<ToWriter>(port, (message) => writer.take(message));
}

if (parentPort !== null) startWriter(parentPort);
