import { existsSync, readdirSync, renameSync, truncateSync, unlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Fault } from "../../core/errors.ts";
import { LIMITS } from "../../core/limits.ts";
import type { LossReason } from "../../core/record.ts";
import type { Clock } from "../../core/time.ts";
import { faultOf } from "../journal-folder.ts";
import type { LostRange } from "../messages.ts";
import { fsyncFolderAside } from "./wave-file.ts";

/** What the keeping of waves needs from the writing thread it runs in. */
export interface WaveHouse {
  readonly clock: Clock;
  readonly folder: string;
  /** The highest number that was committed or that came with a chunk. */
  readonly lastSeq: () => number;
  /** Notes durably that waves are gone. @throws  The disk's error. */
  readonly owe: (loss: LostRange) => void;
  readonly tell: (loss: LostRange, found: Fault | null) => void;
  /** Counts one wait for the disk that the thread does not stand still for, and resolves when a slower disk than the real one would let it begin. */
  readonly waitAside: () => Promise<void>;
  /** Lets other work have its turn, where this one's is over. */
  readonly turn: () => Promise<void>;
}

/** A loss of waves. */
export function waveLoss(range: {
  readonly fromSeq: number;
  readonly toSeq: number;
  readonly count: number;
  readonly why: LossReason;
}): LostRange {
  const { fromSeq, toSeq, count, why } = range;
  return { fromSeq, toSeq, count, why, what: "waveforms", reader: null };
}

/** An empty file with such a name is a loss that is not yet in the kept file: a full disk has room for a changed name when it has none for a row. */
const NOTE_NAME = /^lost-(\d+)-(\d+)-(\d+)-([a-z-]+)-(\d+)$/;

/**
 * The losses of waves on their way to being recorded: each is owed in the kept file before it is told, so that it is told once, whatever
 * happens in between. A file that is given up first becomes an empty note of its own loss.
 */
export class WaveLosses {
  readonly #house: WaveHouse;
  /** Where the notes lie. */
  readonly #folder: string;
  #notes: { readonly path: string; readonly loss: LostRange }[] = [];
  #nextNote = 1;
  /** Losses without a file, joined while they follow each other. */
  #joined: LostRange | null = null;
  #joinedToldMs = Number.NEGATIVE_INFINITY;

  constructor(house: WaveHouse, folder: string) {
    this.#house = house;
    this.#folder = folder;
  }

  /** Takes up the notes of a former life. @throws  The disk's error. */
  open(): void {
    this.#notes = [];
    for (const name of readdirSync(this.#folder)) {
      const [, from, to, count, why, number] = NOTE_NAME.exec(name) ?? [];
      if (number === undefined) continue;
      const loss = waveLoss({ fromSeq: Number(from), toSeq: Number(to), count: Number(count), why: why as LossReason });
      this.#notes.push({ path: join(this.#folder, name), loss });
      this.#nextNote = Math.max(this.#nextNote, Number(number) + 1);
    }
  }

  /** Turns a file into the note of its own loss, which frees its room at once. @throws  The disk's error; the file is then as it was. */
  giveUpFile(path: string, loss: LostRange): void {
    const note = this.#newNote(loss);
    renameSync(path, note);
    this.#notes.push({ path: note, loss });
    truncateSync(note, 0);
  }

  /** Counts waves that never came into a file: of a row the first is told at once, what follows together. */
  add(loss: LostRange): void {
    const before = this.#joined;
    if (before !== null && before.why !== loss.why) this.#settleJoined();
    const same = this.#joined;
    this.#joined =
      same === null
        ? loss
        : {
            ...loss,
            fromSeq: Math.min(same.fromSeq, loss.fromSeq),
            toSeq: Math.max(same.toSeq, loss.toSeq),
            count: same.count + loss.count,
          };
  }

  /** Owes what can be and tells it; the rest waits for a disk with room. */
  settle(): void {
    const sinceToldMs = this.#house.clock.monotonic() - this.#joinedToldMs;
    if (this.#joined !== null && sinceToldMs >= LIMITS.journalLossReportMs.value) this.#settleJoined();
    const owed: LostRange[] = [];
    for (const note of [...this.#notes]) {
      if (!this.#owe(note.loss)) break;
      owed.push(note.loss);
      this.#notes = this.#notes.filter((one) => one !== note);
      this.#remove(note.path);
    }
    if (owed.length > 0) void this.#tellOnceNotesAreGone(owed);
  }

  /** A note that came back with a power cut would be told twice. */
  async #tellOnceNotesAreGone(owed: readonly LostRange[]): Promise<void> {
    try {
      await this.#house.waitAside();
      await fsyncFolderAside(this.#folder);
    } catch (error) {
      faultOf(error, this.#folder);
    }
    for (const loss of owed) this.#house.tell(loss, null);
  }

  /** At the end: what was joined is told without waiting for more; where the kept file has no room for it, a note is left for the next life. */
  close(): void {
    if (this.#joined !== null) this.#settleJoined();
    this.settle();
    if (this.#joined === null) return;
    try {
      writeFileSync(this.#newNote(this.#joined), "");
    } catch (error) {
      faultOf(error, this.#folder);
    }
  }

  /** The path of a note that is not there yet. */
  #newNote(loss: LostRange): string {
    const name = `lost-${loss.fromSeq}-${loss.toSeq}-${loss.count}-${loss.why}-${this.#nextNote}`;
    this.#nextNote += 1;
    return join(this.#folder, name);
  }

  #settleJoined(): void {
    if (this.#joined === null || !this.#owe(this.#joined)) return;
    this.#house.tell(this.#joined, null);
    this.#joined = null;
    this.#joinedToldMs = this.#house.clock.monotonic();
  }

  #owe(loss: LostRange): boolean {
    try {
      this.#house.owe(loss);
      return true;
    } catch (error) {
      faultOf(error, this.#folder);
      return false;
    }
  }

  #remove(path: string): void {
    try {
      if (existsSync(path)) unlinkSync(path);
    } catch (error) {
      faultOf(error, this.#folder);
    }
  }
}
