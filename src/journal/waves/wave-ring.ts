import { readdirSync, statSync, unlinkSync } from "node:fs";
import { join } from "node:path";
import { type Fault, fault } from "../../core/errors.ts";
import { LIMITS } from "../../core/limits.ts";
import type { LossReason } from "../../core/record.ts";
import { faultOf } from "../journal-folder.ts";
import type { LostRange, WaveBatch } from "../messages.ts";
import type { FileSpan } from "./strip-window.ts";
import {
  checkWaveFile,
  cutFile,
  expectStillSo,
  finishReplacing,
  framesIn,
  fsyncFolder,
  fsyncFolderAside,
  makeWaveFolder,
  OpenWaveFile,
  readBytes,
  replaceFile,
  type WaveFileFacts,
} from "./wave-file.ts";
import { WaveIndex } from "./wave-index.ts";
import { type WaveHouse, type WaveLosses, waveLoss } from "./wave-losses.ts";
import { RING_FOLDER, ringFileName, ringNumberOf, type WaveSettings } from "./wave-settings.ts";

/** A ring is made of so many files at least, so that dropping one never drops much. */
const FILES_PER_RING = 10;
const FILE_MS_MAX = 60_000;

/** One file of the ring as the writing thread knows it. Times of `newestMs` are this thread's own monotonic clock. */
interface RingFile {
  readonly file: string;
  bytes: number;
  /** How many chunks, and between which numbers they came; null where the file is from a former life and was not yet looked through. */
  count: number | null;
  fromSeq: number;
  toSeq: number;
  /** When the newest chunk was written; a file of a former life counts from this one's start, so that no wall clock can empty the ring. */
  newestMs: number;
  /** Where its frames lie; null where it is from a former life, or so old that hardly a strip will ask. */
  index: WaveIndex | null;
}

/** What was written since the disk last said that it has it. */
interface Unsynced {
  readonly file: OpenWaveFile;
  fromSeq: number;
  toSeq: number;
  count: number;
}

/**
 * The ring of waves: a file a minute with every device's chunks in it, written as they come and on disk within `journalWaveSyncMsMax`.
 * Waiting for the disk happens aside, so that no commit of records stands behind it. A file belongs to one life of this thread:
 * what a former one left is read and never written to.
 */
export class WaveRing {
  readonly #house: WaveHouse;
  readonly #losses: WaveLosses;
  readonly #settings: WaveSettings;
  readonly #folder: string;
  readonly #fileMs: number;
  #files: RingFile[] = [];
  #open: OpenWaveFile | null = null;
  #openedMs = 0;
  /** Files with frames that are not yet on disk; the one being written is the last. */
  #unsynced: Unsynced[] = [];
  #folderChanged = false;
  #syncing: Promise<void> | null = null;
  #syncedMs = Number.NEGATIVE_INFINITY;
  #restsUntilMs = Number.NEGATIVE_INFINITY;
  #restsWhy: LossReason = "disk-full";
  #nextNumber = 1;

  constructor(house: WaveHouse, settings: WaveSettings, losses: WaveLosses) {
    this.#house = house;
    this.#losses = losses;
    this.#settings = settings;
    this.#folder = join(house.folder, RING_FOLDER);
    this.#fileMs = Math.min(FILE_MS_MAX, settings.ringMs / FILES_PER_RING);
  }

  /** Makes the folder or takes up what is in it; nothing is read yet. @throws  The disk's error. */
  open(): void {
    makeWaveFolder(this.#folder);
    finishReplacing(this.#folder);
    this.#files = [];
    const nowMs = this.#house.clock.monotonic();
    for (const file of readdirSync(this.#folder).sort()) {
      const number = ringNumberOf(file);
      if (number === null) continue;
      const { size } = statSync(join(this.#folder, file));
      this.#nextNumber = Math.max(this.#nextNumber, number + 1);
      if (size === 0) unlinkSync(join(this.#folder, file));
      else this.#files.push({ file, bytes: size, count: null, fromSeq: 0, toSeq: 0, newestMs: nowMs, index: null });
    }
  }

  /** Bytes of all files. */
  get bytes(): number {
    return this.#files.reduce((sum, entry) => sum + entry.bytes, 0);
  }

  /** The files, oldest first, the one being written included. */
  get spans(): readonly FileSpan[] {
    return this.#files.map(({ file, fromSeq, index }) => ({ file, fromSeq, index }));
  }

  /** The lowest number a chunk of the ring came with, or null where it is empty. */
  get oldestSeq(): number | null {
    return this.#files[0]?.fromSeq ?? null;
  }

  /** Writes a batch of whole frames. What the disk does not take is a loss, never an error. */
  append(batch: WaveBatch): void {
    const nowMs = this.#house.clock.monotonic();
    if (nowMs < this.#restsUntilMs) {
      this.#losses.add(waveLoss({ ...batch, why: this.#restsWhy }));
      return;
    }
    try {
      this.#roll(nowMs);
      this.#write(batch, nowMs);
    } catch (error) {
      const isFull = faultOf(error, this.#folder).code === "journal-disk-full";
      this.#restsWhy = isFull ? "disk-full" : "queue-full";
      this.#restsUntilMs = nowMs + LIMITS.journalWaveSyncMsMax.value;
      this.#losses.add(waveLoss({ ...batch, why: this.#restsWhy }));
      // What is freed here is for the records: waves themselves rest a while before they are tried again.
      if (isFull) this.giveUpOldest("disk-full");
      else this.#open = null;
    }
  }

  #write(batch: WaveBatch, nowMs: number): void {
    const open = this.#open ?? this.#begin(nowMs, batch.fromSeq);
    const atByte = open.bytes;
    open.append(batch.bytes);
    const entry = this.#files.at(-1);
    const unsynced = this.#unsynced.at(-1);
    if (entry === undefined || unsynced === undefined) return;
    const { buffer, byteOffset, byteLength } = batch.bytes;
    entry.index?.add(Buffer.from(buffer, byteOffset, byteLength), { ...batch, atByte });
    entry.bytes = open.bytes;
    entry.count = (entry.count ?? 0) + batch.count;
    entry.toSeq = batch.toSeq;
    entry.newestMs = nowMs;
    if (unsynced.count === 0) unsynced.fromSeq = batch.fromSeq;
    unsynced.toSeq = batch.toSeq;
    unsynced.count += batch.count;
  }

  #begin(nowMs: number, fromSeq: number): OpenWaveFile {
    const file = ringFileName(this.#nextNumber);
    const open = new OpenWaveFile(join(this.#folder, file));
    this.#nextNumber += 1;
    this.#open = open;
    this.#openedMs = nowMs;
    this.#files.push({ file, bytes: 0, count: 0, fromSeq, toSeq: fromSeq, newestMs: nowMs, index: new WaveIndex() });
    this.#forgetOldIndexes();
    this.#unsynced.push({ file: open, fromSeq, toSeq: fromSeq, count: 0 });
    this.#folderChanged = true;
    return open;
  }

  /** The newest files' frames are known one by one, up to a bound. */
  #forgetOldIndexes(): void {
    let count = 0;
    for (const entry of [...this.#files].reverse()) {
      count += entry.index?.count ?? 0;
      if (count > LIMITS.journalWaveIndexMax.value) entry.index = null;
    }
  }

  /** Ends the file that is a minute old or long enough. */
  #roll(nowMs: number): void {
    if (this.#open === null) return;
    if (nowMs - this.#openedMs < this.#fileMs && this.#open.bytes < LIMITS.journalWaveFileBytesMax.value) return;
    this.#open = null;
  }

  /** Once a second: ends and drops files, and sees to it that the disk has what was written. */
  tick(): void {
    const nowMs = this.#house.clock.monotonic();
    this.#roll(nowMs);
    try {
      this.#dropAged(nowMs);
    } catch (error) {
      faultOf(error, this.#folder);
    }
    while (this.bytes > this.#settings.ringBytesMax && this.#files.length > 1) {
      if (this.giveUpOldest("byte-budget") === null) break;
    }
    const due = nowMs - this.#syncedMs >= Math.min(LIMITS.journalWaveSyncMsMax.value, this.#fileMs);
    if (due && this.#syncing === null && (this.#unsynced.some((one) => one.count > 0) || this.#folderChanged)) {
      this.#syncedMs = nowMs;
      this.#syncing = this.#sync().finally(() => {
        this.#syncing = null;
      });
    }
  }

  /** What is older than the ring goes by plan: nobody is told. */
  #dropAged(nowMs: number): void {
    for (const entry of [...this.#files]) {
      if (nowMs - entry.newestMs <= this.#settings.ringMs || this.#isOpen(entry)) break;
      unlinkSync(join(this.#folder, entry.file));
      this.#forget(entry);
    }
  }

  #isOpen(entry: RingFile): boolean {
    return this.#open !== null && this.#open.path === join(this.#folder, entry.file);
  }

  #forget(entry: RingFile): void {
    this.#files = this.#files.filter((one) => one !== entry);
    const path = join(this.#folder, entry.file);
    for (const one of this.#unsynced) if (one.file.path === path && one.file !== this.#open) one.file.close();
    this.#unsynced = this.#unsynced.filter((one) => one.file.path !== path);
    if (this.#open?.path === path) {
      this.#open.close();
      this.#open = null;
    }
    this.#folderChanged = true;
  }

  /**
   * Gives up the oldest file, the one being written where there is no other. Its room is free when this returns; the loss is owed and
   * told by itself once the kept file has taken it.
   *
   * @returns  What is gone, or null where there is nothing to give up.
   */
  giveUpOldest(why: LossReason): LostRange | null {
    for (const entry of [...this.#files]) {
      try {
        const range = entry.count === null ? this.#rangeOnDisk(entry) : { ...entry, count: entry.count };
        const loss = waveLoss({ fromSeq: range.fromSeq, toSeq: range.toSeq, count: range.count, why });
        this.#losses.giveUpFile(join(this.#folder, entry.file), loss);
        this.#forget(entry);
        return loss;
      } catch (error) {
        faultOf(error, this.#folder);
        return null;
      }
    }
    return null;
  }

  /** Of a file from a former life that was not yet looked through: as many chunks as fit into it at most. */
  #rangeOnDisk(entry: RingFile): { readonly fromSeq: number; readonly toSeq: number; readonly count: number } {
    const place = this.#files.indexOf(entry);
    const next = this.#files.slice(place + 1).find((other) => other.count !== null);
    const toSeq = next?.fromSeq ?? this.#house.lastSeq();
    return { fromSeq: Math.min(entry.fromSeq, toSeq), toSeq, count: framesIn(entry.bytes) };
  }

  async #sync(): Promise<void> {
    for (const unsynced of [...this.#unsynced]) {
      const { count, toSeq } = unsynced;
      try {
        if (count > 0) {
          await this.#house.waitAside();
          await unsynced.file.sync();
        }
        unsynced.count -= count;
        unsynced.fromSeq = toSeq;
      } catch (error) {
        this.#loseUnsynced(unsynced, error);
      }
      if (unsynced.file === this.#open) continue;
      unsynced.file.close();
      this.#unsynced = this.#unsynced.filter((one) => one !== unsynced);
    }
    if (!this.#folderChanged) return;
    this.#folderChanged = false;
    try {
      await this.#house.waitAside();
      await fsyncFolderAside(this.#folder);
    } catch (error) {
      faultOf(error, this.#folder);
      this.#folderChanged = true;
    }
  }

  /** After a failed wait nobody knows what of it is on disk, and asking again would only be told that all is well. */
  #loseUnsynced(unsynced: Unsynced, error: unknown): void {
    faultOf(error, this.#folder);
    // A file that was given up meanwhile has told its loss itself.
    if (!this.#unsynced.includes(unsynced)) return;
    if (unsynced.count > 0) this.#losses.add(waveLoss({ ...unsynced, why: "journal-damaged" }));
    unsynced.count = 0;
    if (this.#open === unsynced.file) this.#open = null;
  }

  /** Looks through every file of a former life; damaged ones are mended. Runs beside everything else. */
  async recover(): Promise<void> {
    for (const entry of [...this.#files]) if (entry.count === null) await this.mend(entry.file);
  }

  /** Looks through one file that is not being written and takes out what is damaged: its loss is owed and told, the rest is used. */
  async mend(file: string): Promise<void> {
    const entry = this.#files.find((one) => one.file === file);
    if (entry === undefined || this.#isOpen(entry)) return;
    try {
      const facts = await mendWaveFile(join(this.#folder, file), {
        house: this.#house,
        aside: join(this.#folder, "waves.bin.damaged"),
        toSeq: () => this.#nextFromSeq(entry),
      });
      if (!this.#files.includes(entry)) return;
      if (facts === null) return this.#forget(entry);
      entry.index = null;
      entry.bytes = facts.bytes;
      entry.count = facts.frames;
      entry.fromSeq = facts.first.seq;
      entry.toSeq = facts.last.seq;
    } catch (error) {
      faultOf(error, this.#folder);
    }
  }

  #nextFromSeq(entry: RingFile): number {
    const next = this.#files[this.#files.indexOf(entry) + 1];
    return next === undefined || next.count === null ? this.#house.lastSeq() : next.fromSeq;
  }

  /** Waits until the disk has everything, standing still: the thread ends afterwards. */
  close(): void {
    try {
      for (const { file } of this.#unsynced) file.syncNow();
      fsyncFolder(this.#folder);
    } catch (error) {
      faultOf(error, this.#folder);
    }
    this.#open = null;
  }
}

/** What mending a file needs. */
interface Mending {
  readonly house: WaveHouse;
  /** Where the damaged original stays for whoever looks into it; one that lies there already goes: room is for patients. */
  readonly aside: string;
  /** The highest number the file's last chunk can have come with. */
  readonly toSeq: () => number;
}

/**
 * Takes out what is damaged in a file of waves. A write that was cut short at the end is cut off; after anything worse the sound frames are
 * written anew and the original is kept aside.
 *
 * @returns  What the file holds now, or null where nothing was left of it and it is gone. Rejects with the disk's error.
 */
export async function mendWaveFile(path: string, mending: Mending): Promise<WaveFileFacts | null> {
  const bytes = await readBytes(path);
  if (bytes === null) return null;
  const { facts, damage, sound } = await checkWaveFile(bytes, mending.house.turn);
  if (damage === null) return facts;
  await expectStillSo(path, bytes);
  const toSeq = damage.toSeq ?? Math.max(mending.toSeq(), damage.fromSeq ?? 0);
  const loss = waveLoss({ fromSeq: damage.fromSeq ?? toSeq, toSeq, count: damage.count, why: "journal-damaged" });
  // The loss is owed before the file is touched: should the power fail in between, it is found and owed again as the same.
  if (damage.count > 0) mending.house.owe(loss);
  let found: Fault | null = null;
  if (damage.cutAtByte !== null && facts !== null) {
    await cutFile(path, damage.cutAtByte);
  } else {
    const parts = sound.map(({ at, end }) => bytes.subarray(at, end));
    await replaceFile(path, parts, mending.aside);
    found = fault("journal-damaged", { file: mending.aside, fromSeq: loss.fromSeq, toSeq: loss.toSeq });
  }
  if (damage.count > 0) mending.house.tell(loss, found);
  return facts === null ? null : { ...facts, bytes: sound.reduce((sum, { at, end }) => sum + end - at, 0) };
}
