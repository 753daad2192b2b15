import { join } from "node:path";
import { LIMITS } from "../../core/limits.ts";
import { faultOf } from "../journal-folder.ts";
import type { LostRange, WaveBatch } from "../messages.ts";
import type { PackedRare } from "../packing.ts";
import { readKeptRecords } from "../sealed-kept.ts";
import { StripShelf } from "./strip-shelf.ts";
import { type WaveHouse, WaveLosses, waveLoss } from "./wave-losses.ts";
import { WaveRing } from "./wave-ring.ts";
import { RING_FOLDER, ringNumberOf, type WaveSettings } from "./wave-settings.ts";

/**
 * Everything the journal keeps of waves: the ring and the strips. Trouble with them is a recorded loss and never stops the records: each
 * method takes what the disk does.
 */
export class WaveStore {
  readonly #house: WaveHouse;
  readonly #losses: WaveLosses;
  readonly #ring: WaveRing;
  readonly #strips: StripShelf;
  #open = false;
  /** Looking through files happens one after another. */
  #work: Promise<void> = Promise.resolve();

  constructor(house: WaveHouse, settings: WaveSettings) {
    this.#house = house;
    this.#losses = new WaveLosses(house, join(house.folder, RING_FOLDER));
    this.#ring = new WaveRing(house, settings, this.#losses);
    this.#strips = new StripShelf({ house, settings, losses: this.#losses, ring: this.#ring });
  }

  /** Opens the folders and begins to look through what a former life left; returns at once. Without a disk nothing is kept. */
  open(): void {
    try {
      this.#ring.open();
      this.#strips.open();
      this.#losses.open();
      this.#open = true;
    } catch (error) {
      faultOf(error, this.#house.folder);
      return;
    }
    this.#queue(async () => {
      await this.#ring.recover();
      this.#restoreStrips();
    });
  }

  #queue(work: () => Promise<void>): void {
    this.#work = this.#work.then(work);
  }

  /** Alerts whose waves may still be in the ring and that have no strip: the life before was cut off before it was written. */
  #restoreStrips(): void {
    const { oldestSeq } = this.#ring;
    if (oldestSeq === null) return;
    try {
      const limit = LIMITS.journalStripsWaitingMax.value;
      const range = { afterSeq: oldestSeq - 1, upToSeq: Number.MAX_SAFE_INTEGER, limit };
      const alerts = readKeptRecords(this.#house.folder, "alert", range);
      this.#strips.take(alerts);
    } catch (error) {
      faultOf(error, this.#house.folder);
    }
  }

  /** Bytes of the ring and all strips. */
  get bytes(): number {
    return this.#ring.bytes + this.#strips.bytes;
  }

  /** Takes a batch of whole frames; what the disk does not take is a loss. */
  append(batch: WaveBatch): void {
    if (this.#open) this.#ring.append(batch);
    else this.#losses.add(waveLoss({ ...batch, why: "queue-full" }));
    this.#strips.heard(batch.remaining);
  }

  /** Records that were just committed: a physiological alert that began or grew worse gets its strip. */
  committed(kept: readonly PackedRare[]): void {
    if (this.#open) this.#strips.take(kept);
  }

  /** Once a second. */
  tick(): void {
    if (!this.#open) this.open();
    this.#losses.settle();
    if (!this.#open) return;
    this.#ring.tick();
    this.#strips.tick();
  }

  /**
   * Gives up the oldest waves: the ring's oldest file, and once the ring is empty the oldest strip. Their room is free when this returns.
   * The loss needs no further care: it is owed and told by itself once the kept file has room for it, also after a crash.
   *
   * @returns  What is gone, or null where no waves are left.
   */
  giveUpOldest(): LostRange | null {
    if (!this.#open) return null;
    return this.#ring.giveUpOldest("disk-full") ?? this.#strips.giveUpOldest("disk-full");
  }

  /** A reader met damage in a file of waves. */
  mend(file: string): void {
    this.#queue(() => (ringNumberOf(file) === null ? this.#strips.mend(file) : this.#ring.mend(file)));
  }

  /** Waits until the disk has everything. A strip that still waits is written by the next life. */
  close(): void {
    this.#losses.close();
    if (this.#open) this.#ring.close();
  }
}
