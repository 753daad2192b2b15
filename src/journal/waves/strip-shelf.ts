import { existsSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import type { Alert } from "../../core/alert.ts";
import { LIMITS } from "../../core/limits.ts";
import type { LossReason } from "../../core/record.ts";
import { faultOf } from "../journal-folder.ts";
import type { LostRange } from "../messages.ts";
import type { PackedRare } from "../packing.ts";
import { type AlertMoment, framesAround } from "./strip-window.ts";
import { finishReplacing, framesIn, fsyncFolderAside, makeWaveFolder, writeFileSafely } from "./wave-file.ts";
import { type WaveHouse, type WaveLosses, waveLoss } from "./wave-losses.ts";
import { mendWaveFile, type WaveRing } from "./wave-ring.ts";
import { RING_FOLDER, STRIP_FOLDER, stripFileName, stripSeqOf, type WaveSettings } from "./wave-settings.ts";

/** Devices say their waves at least so often, and the main thread hands them on. */
const CHUNK_MS_MAX = 2000;

/** A strip that waits until the time after its alert has passed. */
interface WaitingStrip {
  readonly moment: AlertMoment;
  readonly file: string;
  /** On this thread's monotonic clock: when the waves of the time after can have come, and when it is written without waiting for more. */
  readonly earliestMs: number;
  readonly dueMs: number;
}

interface KeptStrip {
  readonly file: string;
  readonly seq: number;
  bytes: number;
}

/**
 * The strips: the waves around each physiological alert that began or grew worse, copied out of the ring into a file of its own. Which
 * strips there must be follows from the alerts in the kept file, so a strip asked for before a crash is written after it.
 */
export class StripShelf {
  readonly #house: WaveHouse;
  readonly #losses: WaveLosses;
  readonly #settings: WaveSettings;
  readonly #ring: WaveRing;
  readonly #folder: string;
  #waiting: WaitingStrip[] = [];
  #strips: KeptStrip[] = [];
  /** When the last batch of waves came that left none waiting behind it. */
  #caughtUpMs = Number.NEGATIVE_INFINITY;
  #writing = false;

  constructor(parts: {
    readonly house: WaveHouse;
    readonly settings: WaveSettings;
    readonly losses: WaveLosses;
    readonly ring: WaveRing;
  }) {
    this.#house = parts.house;
    this.#losses = parts.losses;
    this.#settings = parts.settings;
    this.#ring = parts.ring;
    this.#folder = join(parts.house.folder, STRIP_FOLDER);
  }

  /** Makes the folder or takes up what is in it. @throws  The disk's error. */
  open(): void {
    makeWaveFolder(this.#folder);
    finishReplacing(this.#folder);
    const found = readdirSync(this.#folder).flatMap((file) => {
      const seq = stripSeqOf(file);
      return seq === null ? [] : [{ file, seq, bytes: statSync(join(this.#folder, file)).size }];
    });
    this.#strips = found.sort((one, other) => one.seq - other.seq);
  }

  /** Bytes of all strips. */
  get bytes(): number {
    return this.#strips.reduce((sum, strip) => sum + strip.bytes, 0);
  }

  /** Takes note of alerts that are on disk now; those that began or grew worse get their strip. */
  take(records: readonly PackedRare[]): void {
    const nowMs = this.#house.clock.monotonic();
    const { stripAfterMs } = this.#settings;
    for (const record of records) {
      if (record.kind !== "alert") continue;
      const alert = JSON.parse(record.json) as Alert;
      const { patientId, deviceId } = alert.subject;
      const isCause = alert.nature === "physiological" && (alert.phase === "start" || alert.phase === "escalate");
      const file = stripFileName(alert.id, alert.seq);
      if (!isCause || (patientId === null && deviceId === null) || this.#isKnown(file)) continue;
      if (this.#waiting.length >= LIMITS.journalStripsWaitingMax.value) {
        this.#losses.add(waveLoss({ fromSeq: alert.seq, toSeq: alert.seq, count: 1, why: "queue-full" }));
        continue;
      }
      const moment = { seq: alert.seq, atMs: alert.changedAtMs, patientId, deviceId };
      // Of a former life part of the time has passed already; a clock that was set back must not make it longer.
      const restMs = Math.min(stripAfterMs, Math.max(0, alert.changedAtMs + stripAfterMs - this.#house.clock.wall()));
      const earliestMs = nowMs + restMs + CHUNK_MS_MAX;
      this.#waiting.push({ moment, file, earliestMs, dueMs: earliestMs + LIMITS.journalStripGraceMsMax.value });
    }
  }

  #isKnown(file: string): boolean {
    return this.#waiting.some((one) => one.file === file) || existsSync(join(this.#folder, file));
  }

  /** Hears of each batch of waves that has come. @param remaining  How many chunks still wait for the writing thread. */
  heard(remaining: number): void {
    this.#caughtUpMs = remaining === 0 ? this.#house.clock.monotonic() : Number.NEGATIVE_INFINITY;
  }

  /** Once a second: writes the strips whose time has come, one after another, and keeps to the bound. */
  tick(): void {
    if (this.#writing) return;
    this.#writing = true;
    void this.#writeDue().finally(() => {
      this.#writing = false;
    });
  }

  async #writeDue(): Promise<void> {
    for (const waiting of [...this.#waiting]) {
      const nowMs = this.#house.clock.monotonic();
      // A slow disk holds up waves as well: what came in the time after may still be on its way.
      const caughtUp = nowMs - this.#caughtUpMs < CHUNK_MS_MAX;
      if (nowMs < waiting.earliestMs || (nowMs < waiting.dueMs && !caughtUp)) continue;
      const frames = await this.#collect(waiting);
      this.#waiting = this.#waiting.filter((one) => one !== waiting);
      if (frames.length > 0) await this.#write(waiting, frames);
    }
    while (this.bytes > this.#settings.stripBytesMax && this.giveUpOldest("byte-budget") !== null);
  }

  async #collect(waiting: WaitingStrip): Promise<readonly Buffer[]> {
    try {
      return await framesAround(waiting.moment, {
        settings: this.#settings,
        folder: join(this.#house.folder, RING_FOLDER),
        files: this.#ring.spans,
        turn: this.#house.turn,
      });
    } catch (error) {
      faultOf(error, this.#folder);
      const { seq } = waiting.moment;
      this.#losses.add(waveLoss({ fromSeq: seq, toSeq: seq, count: 1, why: "journal-damaged" }));
      return [];
    }
  }

  async #write(waiting: WaitingStrip, parts: readonly Buffer[]): Promise<void> {
    const path = join(this.#folder, waiting.file);
    const { seq } = waiting.moment;
    for (;;) {
      try {
        await this.#house.waitAside();
        await writeFileSafely(path, parts);
        const bytes = parts.reduce((sum, part) => sum + part.length, 0);
        this.#strips.push({ file: waiting.file, seq, bytes });
        return;
      } catch (error) {
        // A strip is worth more than the ring it was copied from.
        const isFull = faultOf(error, this.#folder).code === "journal-disk-full";
        if (isFull && this.#ring.giveUpOldest("disk-full") !== null) continue;
        const why = isFull ? "disk-full" : "queue-full";
        this.#losses.add(waveLoss({ fromSeq: seq, toSeq: seq, count: parts.length, why }));
        return;
      }
    }
  }

  /** Gives up the oldest strip. @returns  What is gone, or null where there is none. */
  giveUpOldest(why: LossReason): LostRange | null {
    const oldest = this.#strips.shift();
    if (oldest === undefined) return null;
    // Which chunks they were is told by their alert's number; how many, by the bytes at most.
    const loss = waveLoss({ fromSeq: oldest.seq, toSeq: oldest.seq, count: framesIn(oldest.bytes), why });
    try {
      this.#losses.giveUpFile(join(this.#folder, oldest.file), loss);
      void fsyncFolderAside(this.#folder).catch((error: unknown) => faultOf(error, this.#folder));
      return loss;
    } catch (error) {
      faultOf(error, this.#folder);
      this.#strips.unshift(oldest);
      return null;
    }
  }

  /** A reader met damage in a strip: what is damaged is taken out and told, the rest stays. */
  async mend(file: string): Promise<void> {
    const strip = this.#strips.find((one) => one.file === file);
    if (strip === undefined) return;
    try {
      const facts = await mendWaveFile(join(this.#folder, file), {
        house: this.#house,
        aside: join(this.#folder, "strips.bin.damaged"),
        toSeq: () => strip.seq,
      });
      if (facts === null) this.#strips = this.#strips.filter((one) => one !== strip);
      else strip.bytes = facts.bytes;
    } catch (error) {
      faultOf(error, this.#folder);
    }
  }
}
