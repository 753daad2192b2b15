import type { WaveformChunk } from "../../core/observation.ts";
import type { LostRange, WaveBatch } from "../messages.ts";
import { encodeFrame, FRAME_BYTES_MAX } from "./wave-frame.ts";

interface WaitingFrame {
  readonly bytes: Buffer<ArrayBuffer>;
  readonly number: number;
  readonly seq: number;
}

/** Waves that wait for the writing thread, as the bytes they will rest in; bounded, the oldest go first. */
export class WaveQueue {
  readonly #life: number;
  readonly #bytesMax: number;
  readonly #batchBytesMax: number;
  #frames: WaitingFrame[] = [];
  #bytes = 0;
  #number = 0;

  /** @param life  Random, one for each life of the gateway. */
  constructor(options: { readonly life: number; readonly bytesMax: number; readonly batchBytesMax: number }) {
    this.#life = options.life;
    this.#bytesMax = options.bytesMax;
    this.#batchBytesMax = options.batchBytesMax;
  }

  /** How many chunks wait. */
  get length(): number {
    return this.#frames.length;
  }

  /**
   * Takes chunks in. Where there is no room the oldest go, and a chunk beyond all measure goes at once.
   *
   * @param seq  The sequence number that is current.
   * @returns    What went, as one range, or null.
   */
  push(chunks: readonly WaveformChunk[], seq: number): LostRange | null {
    const lost: WaitingFrame[] = [];
    for (const chunk of chunks) {
      this.#number += 1;
      const bytes = encodeFrame(chunk, { life: this.#life, number: this.#number, seq });
      const frame = { bytes, number: this.#number, seq };
      if (bytes.length > FRAME_BYTES_MAX) {
        lost.push(frame);
        continue;
      }
      this.#frames.push(frame);
      this.#bytes += bytes.length;
    }
    lost.push(...this.#takeOldest((rest) => rest > this.#bytesMax));
    return rangeOf(lost);
  }

  #takeOldest(goesOn: (bytesLeft: number, bytesTaken: number) => boolean): WaitingFrame[] {
    let count = 0;
    let bytesTaken = 0;
    for (const frame of this.#frames) {
      if (!goesOn(this.#bytes - bytesTaken, bytesTaken + frame.bytes.length)) break;
      bytesTaken += frame.bytes.length;
      count += 1;
    }
    this.#bytes -= bytesTaken;
    return count === 0 ? [] : this.#frames.splice(0, count);
  }

  /** Takes out the oldest that wait, as one batch, or null where nothing waits. */
  take(): WaveBatch | null {
    const frames = this.#takeOldest((_, bytesTaken) => bytesTaken <= this.#batchBytesMax);
    const [first] = frames;
    const last = frames.at(-1);
    if (first === undefined || last === undefined) return null;
    const bytes = new Uint8Array(frames.reduce((sum, frame) => sum + frame.bytes.length, 0));
    let at = 0;
    for (const frame of frames) {
      bytes.set(frame.bytes, at);
      at += frame.bytes.length;
    }
    return {
      bytes,
      lastNumber: last.number,
      count: frames.length,
      fromSeq: first.seq,
      toSeq: last.seq,
      remaining: this.#frames.length,
    };
  }
}

function rangeOf(lost: readonly WaitingFrame[]): LostRange | null {
  const seqs = lost.map((frame) => frame.seq);
  if (seqs.length === 0) return null;
  return {
    fromSeq: Math.min(...seqs),
    toSeq: Math.max(...seqs),
    count: lost.length,
    why: "queue-full",
    what: "waveforms",
    reader: null,
  };
}
