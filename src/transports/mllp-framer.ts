import type { DecodeError } from "../core/ports.ts";

/** The bytes around a message. Source: HL7 v2.5.1 implementation guide, appendix C, minimal lower layer protocol. */
const START = 0x0b;
const END = 0x1c;
const CR = 0x0d;
const LF = 0x0a;
/** Room for a message before it has to grow; most are shorter. */
const FIRST_BYTES = 2048;

/** What a stream of bytes holds: whole messages, and stretches that are none. */
export type MllpPiece =
  | { readonly kind: "message"; readonly bytes: Uint8Array }
  | { readonly kind: "refused"; readonly error: DecodeError };

/** A message in its frame. */
export function frameMllp(message: Uint8Array): Uint8Array {
  const frame = new Uint8Array(message.length + 3);
  frame[0] = START;
  frame.set(message, 1);
  frame.set([END, CR], message.length + 1);
  return frame;
}

/**
 * Cuts a stream into messages, however it is split. An end without its CR is an end, CR and LF between messages are nothing. A start inside
 * a message begins a new one: the first had no end and is refused as `truncated`, for nobody knows whether it was whole. Other bytes between
 * messages are refused as `lost-sync`. A message over the limit is refused as `too-long`, as many bytes without any start as `no-frame`:
 * nothing can be said of what follows, and the connection should end.
 */
export class MllpFramer {
  readonly #limitBytes: number;
  #held = new Uint8Array(FIRST_BYTES);
  #heldBytes = 0;
  #inside = false;
  #strayBytes = 0;

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes;
  }

  /** Whether a message has begun and not ended. */
  isInside(): boolean {
    return this.#inside;
  }

  /** What these bytes complete, in order. Take all of it before the next bytes. */
  *pieces(chunk: Uint8Array): Generator<MllpPiece, void, void> {
    let at = 0;
    while (at < chunk.length) {
      if (!this.#inside) {
        const start = chunk.indexOf(START, at);
        this.#stray(chunk.subarray(at, start < 0 ? chunk.length : start));
        if (start < 0) break;
        if (this.#strayBytes > 0) yield { kind: "refused", error: this.#takeStray() };
        this.#inside = true;
        at = start + 1;
      }
      const end = endIn(chunk, at);
      this.#hold(chunk.subarray(at, end < 0 ? chunk.length : end));
      if (this.#heldBytes > this.#limitBytes) {
        this.#take();
        this.#inside = false;
        yield { kind: "refused", error: { kind: "too-long", limitBytes: this.#limitBytes } };
        return;
      }
      if (end < 0) return;
      at = end + 1;
      if (chunk[end] === END) {
        this.#inside = false;
        yield { kind: "message", bytes: this.#take() };
      } else {
        // A second start: this byte begins the next message.
        yield { kind: "refused", error: truncated(this.#take().length) };
      }
    }
    if (this.#strayBytes > this.#limitBytes)
      yield { kind: "refused", error: { kind: "no-frame", givenBytes: this.#takeStray().skippedBytes } };
  }

  /** No more bytes will come: what had begun is refused. */
  *end(): Generator<DecodeError, void, void> {
    if (this.#strayBytes > 0) yield this.#takeStray();
    if (this.#inside) yield truncated(this.#take().length);
    this.#inside = false;
  }

  #hold(bytes: Uint8Array): void {
    const neededBytes = this.#heldBytes + bytes.length;
    if (neededBytes > this.#held.length) {
      const grown = new Uint8Array(Math.max(neededBytes, 2 * this.#held.length));
      grown.set(this.#held.subarray(0, this.#heldBytes));
      this.#held = grown;
    }
    this.#held.set(bytes, this.#heldBytes);
    this.#heldBytes = neededBytes;
  }

  #take(): Uint8Array {
    const bytes = this.#held.slice(0, this.#heldBytes);
    this.#held = new Uint8Array(FIRST_BYTES);
    this.#heldBytes = 0;
    return bytes;
  }

  #stray(bytes: Uint8Array): void {
    for (const byte of bytes) if (byte !== CR && byte !== LF) this.#strayBytes += 1;
  }

  #takeStray(): { readonly kind: "lost-sync"; readonly skippedBytes: number } {
    const skippedBytes = this.#strayBytes;
    this.#strayBytes = 0;
    return { kind: "lost-sync", skippedBytes };
  }
}

/** Where the message ends or another begins, whichever comes first; below 0 where neither is there. */
function endIn(bytes: Uint8Array, from: number): number {
  const end = bytes.indexOf(END, from);
  const start = bytes.subarray(0, end < 0 ? bytes.length : end).indexOf(START, from);
  return start < 0 ? end : start;
}

function truncated(givenBytes: number): DecodeError {
  return { kind: "truncated", neededBytes: givenBytes + 1, givenBytes };
}
