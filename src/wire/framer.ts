import type { DecodeError } from "../core/ports.ts";

/** What a frame format says of the bytes from one place on. */
export type FrameVerdict =
  /** A whole frame that passed every check of the format, its checksum included. */
  | { readonly kind: "frame"; readonly lengthBytes: number }
  /** Could still become a frame; there is no use in asking again before `neededBytes` are there. */
  | { readonly kind: "more"; readonly neededBytes: number }
  /** No frame begins here. */
  | { readonly kind: "elsewhere" }
  /** A frame begins here and is wrong; `lengthBytes` is how far it reaches, as far as that can be told. */
  | { readonly kind: "refused"; readonly error: DecodeError; readonly lengthBytes: number };

/** Judges the bytes from `start` up to, not including, `end`. Pure: the same bytes give the same verdict. */
export type FrameFormat = (bytes: Uint8Array, start: number, end: number) => FrameVerdict;

/** Who gets what a framer finds, in the order of the bytes. */
export interface FrameSink {
  /**
   * One whole frame. The view is good only during the call.
   *
   * @param skippedBytes  Bytes given up since the last frame, named as refusals or not; 0 where this frame follows the last one.
   */
  readonly frame: (frame: Uint8Array, skippedBytes: number) => void;
  /** One stretch of bytes that was refused. */
  readonly refused: (error: DecodeError) => void;
}

/**
 * Cuts a stream of bytes into frames, whatever is in it and however it is split.
 *
 * Holds at most `limitBytes`. After a refused frame it begins again exactly one byte later, so that a damaged length or
 * a start mark inside a damaged frame never costs a good frame. Each trouble is named once:
 * - a refused frame by its own error; a second one inside its extent only belongs to the search for the next good frame;
 * - bytes in which no frame began as `lost-sync`, when the next frame is found or after `limitBytes` of them;
 * - before the first frame of all they are no trouble (the device was already talking), unless `limitBytes` go by
 *   without any: then `no-frame`, which is what a wrong baud rate looks like.
 */
export class Framer {
  readonly #format: FrameFormat;
  readonly #sink: FrameSink;
  readonly #bytes: Uint8Array;
  #start = 0;
  #end = 0;
  #neededBytes = 1;
  #synchronised = false;
  /** All bytes given up since the last frame. */
  #skippedBytes = 0;
  /** Those of them that no refusal has named yet. */
  #unnamedBytes = 0;
  #runNamed = false;
  /** How far the extent of the last refused frame still reaches. */
  #coveredBytes = 0;

  constructor(settings: { readonly format: FrameFormat; readonly limitBytes: number; readonly sink: FrameSink }) {
    this.#format = settings.format;
    this.#sink = settings.sink;
    this.#bytes = new Uint8Array(settings.limitBytes);
  }

  /** Bytes held for a frame that is not yet whole. */
  heldBytes(): number {
    return this.#end - this.#start;
  }

  /** Takes the next bytes and calls the sink for all that they complete. */
  feed(chunk: Uint8Array): void {
    let taken = 0;
    while (taken < chunk.length) {
      this.#makeRoom();
      const count = Math.min(this.#bytes.length - this.#end, chunk.length - taken);
      this.#bytes.set(count === chunk.length ? chunk : chunk.subarray(taken, taken + count), this.#end);
      this.#end += count;
      taken += count;
      this.#drain();
      if (this.heldBytes() === this.#bytes.length) {
        this.#refuse({ kind: "too-long", limitBytes: this.#bytes.length }, this.#bytes.length);
        this.#drain();
      }
    }
  }

  #makeRoom(): void {
    if (this.#end < this.#bytes.length && this.#start < this.#end) return;
    this.#bytes.copyWithin(0, this.#start, this.#end);
    this.#end -= this.#start;
    this.#start = 0;
  }

  #drain(): void {
    while (this.#end - this.#start >= this.#neededBytes) {
      const verdict = this.#format(this.#bytes, this.#start, this.#end);
      switch (verdict.kind) {
        case "frame":
          this.#accept(verdict.lengthBytes);
          break;
        case "more":
          this.#neededBytes = Math.max(verdict.neededBytes, this.heldBytes() + 1);
          if (this.#neededBytes > this.#bytes.length) this.#neededBytes = this.#bytes.length;
          if (this.heldBytes() === this.#bytes.length) return;
          break;
        case "elsewhere":
          this.#giveUpByte();
          break;
        case "refused":
          this.#refuse(verdict.error, verdict.lengthBytes);
          break;
      }
    }
  }

  #accept(lengthBytes: number): void {
    if (this.#unnamedBytes > 0 && this.#synchronised && !this.#runNamed) {
      this.#sink.refused({ kind: "lost-sync", skippedBytes: this.#unnamedBytes });
    }
    const skippedBytes = this.#skippedBytes;
    const begin = this.#start;
    this.#start += lengthBytes;
    this.#synchronised = true;
    this.#skippedBytes = 0;
    this.#unnamedBytes = 0;
    this.#runNamed = false;
    this.#coveredBytes = 0;
    this.#neededBytes = 1;
    this.#sink.frame(this.#bytes.subarray(begin, begin + lengthBytes), skippedBytes);
  }

  #refuse(error: DecodeError, lengthBytes: number): void {
    if (this.#coveredBytes === 0) {
      if (this.#unnamedBytes > 0 && this.#synchronised && !this.#runNamed) {
        this.#sink.refused({ kind: "lost-sync", skippedBytes: this.#unnamedBytes });
      }
      this.#unnamedBytes = 0;
      this.#runNamed = true;
      this.#coveredBytes = lengthBytes;
      this.#sink.refused(error);
    }
    this.#giveUpByte();
  }

  #giveUpByte(): void {
    this.#start += 1;
    this.#neededBytes = 1;
    this.#skippedBytes += 1;
    if (this.#coveredBytes > 0) {
      this.#coveredBytes -= 1;
      return;
    }
    this.#unnamedBytes += 1;
    if (this.#unnamedBytes < this.#bytes.length) return;
    this.#sink.refused(
      this.#synchronised
        ? { kind: "lost-sync", skippedBytes: this.#unnamedBytes }
        : { kind: "no-frame", givenBytes: this.#unnamedBytes },
    );
    this.#unnamedBytes = 0;
    this.#runNamed = false;
  }
}
