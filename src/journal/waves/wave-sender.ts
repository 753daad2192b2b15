import { LIMITS } from "../../core/limits.ts";
import type { WaveformChunk } from "../../core/observation.ts";
import type { Clock, Timer } from "../../core/time.ts";
import type { LostRange, ToWriter, WaveBatch } from "../messages.ts";
import { WaveQueue } from "./wave-queue.ts";

/** What the sender of waves needs from the journal on the main thread. */
export interface WaveSenderParts {
  readonly clock: Clock;
  /** Random, one for each life of the gateway. */
  readonly life: number;
  /** The number of the newest record. */
  readonly currentSeq: () => number;
  /** Whether waves may go now: false while records wait for a slow disk, because waves are given up first. */
  readonly mayGo: () => boolean;
  readonly post: (message: ToWriter) => void;
  readonly tellLoss: (loss: LostRange) => void;
}

/** The main thread's side of the waves: packs them, hands them to the writing thread one batch at a time, and never waits. */
export class WaveSender {
  readonly #parts: WaveSenderParts;
  readonly #queue: WaveQueue;
  /**
   * The batch the writing thread has not answered for. It is copied to it, not handed over (a copy of 20 kB costs 5 us), so that it
   * can be sent again to a thread that was started anew.
   */
  #inFlight: WaveBatch | null = null;
  #timer: Timer | null = null;
  #dropped: LostRange | null = null;
  #droppedToldMs = Number.NEGATIVE_INFINITY;
  #whenDrained: (() => void) | null = null;
  #counts = { keptWaves: 0, droppedWaves: 0, waveBytesOnDisk: 0 };

  constructor(parts: WaveSenderParts) {
    this.#parts = parts;
    this.#queue = new WaveQueue({
      life: parts.life,
      bytesMax: LIMITS.journalWaveQueueBytesMax.value,
      batchBytesMax: LIMITS.journalWaveBatchBytesMax.value,
    });
  }

  /** Takes chunks; they are sent within `journalWaveBatchMsMax`. */
  record(chunks: readonly WaveformChunk[]): void {
    if (chunks.length === 0) return;
    const dropped = this.#queue.push(chunks, this.#parts.currentSeq());
    if (dropped !== null) this.#countDropped(dropped);
    this.#sendLater();
  }

  #sendLater(): void {
    this.#timer ??= this.#parts.clock.after(LIMITS.journalWaveBatchMsMax.value, () => {
      this.#timer = null;
      this.#tellDropped();
      if (this.#queue.length > 0) this.#send();
    });
  }

  #send(): void {
    if (this.#inFlight !== null) return;
    if (!this.#parts.mayGo() && this.#whenDrained === null) {
      this.#sendLater();
      return;
    }
    this.#inFlight = this.#queue.take();
    if (this.#inFlight !== null) this.#parts.post({ kind: "waves", batch: this.#inFlight });
  }

  /** The writing thread has taken the batch that ends with a chunk: it is in the ring, or told as lost. */
  taken(lastNumber: number, bytesOnDisk: number): void {
    if (this.#inFlight?.lastNumber !== lastNumber) return;
    this.#counts.keptWaves += this.#inFlight.count;
    this.#counts.waveBytesOnDisk = bytesOnDisk;
    const { remaining } = this.#inFlight;
    this.#inFlight = null;
    if (remaining > 0 || this.#whenDrained !== null) this.#send();
    else if (this.#queue.length > 0) this.#sendLater();
    if (this.#inFlight === null && this.#queue.length === 0) this.#whenDrained?.();
  }

  /** The writing thread was started again: what it had not answered for is sent again; should it be there twice, it is read once. */
  openedAgain(): void {
    if (this.#inFlight !== null) this.#parts.post({ kind: "waves", batch: this.#inFlight });
    else if (this.#queue.length > 0) this.#send();
  }

  /** Sends everything that waits. @param done  Called once nothing waits any more. */
  finish(done: () => void): void {
    this.#timer?.stop();
    this.#droppedToldMs = Number.NEGATIVE_INFINITY;
    this.#tellDropped();
    if (this.#inFlight === null && this.#queue.length === 0) {
      done();
      return;
    }
    this.#whenDrained = done;
    this.#send();
  }

  /** Counts since the journal was opened. */
  figures(): { readonly keptWaves: number; readonly droppedWaves: number; readonly waveBytesOnDisk: number } {
    return this.#counts;
  }

  /** Chunks that were taken and then given up by the writing thread. */
  countLost(loss: LostRange): void {
    this.#counts.droppedWaves += loss.count;
  }

  /** Drops of one row are told together: the first at once, what follows once a minute. */
  #countDropped(dropped: LostRange): void {
    this.#counts.droppedWaves += dropped.count;
    const before = this.#dropped;
    this.#dropped = before === null ? dropped : { ...dropped, fromSeq: before.fromSeq, count: before.count + dropped.count };
    this.#tellDropped();
  }

  #tellDropped(): void {
    const nowMs = this.#parts.clock.monotonic();
    if (this.#dropped === null || nowMs - this.#droppedToldMs < LIMITS.journalLossReportMs.value) return;
    const dropped = this.#dropped;
    this.#dropped = null;
    this.#droppedToldMs = nowMs;
    this.#parts.tellLoss(dropped);
  }

  stop(): void {
    this.#timer?.stop();
  }
}
