import type { LinkEvent } from "../core/ports.ts";
import { assert } from "../core/result.ts";

/** What one event without bytes counts for, so that a great many tiny events are bounded too. */
const EVENT_OVERHEAD_BYTES = 64;

/** Events on their way from one link to its one consumer. Nothing is dropped: whoever fills it must stop while it is full. */
export interface EventQueue {
  readonly push: (event: LinkEvent) => void;
  /** True from the moment the bound is reached until half of it is free again. */
  readonly isFull: () => boolean;
  /** What waits, counted with an overhead for each event. */
  readonly waitingBytes: () => number;
  /** No more events will come; those that wait are still handed over. */
  readonly end: () => void;
  /** The consumer's side fails with `error` after the events that wait: the link itself is broken, not its device. */
  readonly breakOff: (error: unknown) => void;
  /** For one consumer, once. Leaving the loop early calls `onLeave`. */
  readonly events: AsyncIterable<LinkEvent>;
}

/**
 * Makes a bounded queue.
 *
 * @param bytesMax  The bound: from here on `isFull`, and the producer may add no more than what was already in its hands.
 * @param onRoom    Called when half of the bound is free again after it was full.
 * @param onLeave   Called when the consumer stops reading before the end.
 */
export function createEventQueue(parts: {
  readonly bytesMax: number;
  readonly onRoom: () => void;
  readonly onLeave: () => void;
}): EventQueue {
  const line = new WaitingLine(parts.bytesMax, parts.onRoom);
  let ended = false;
  let broken: { readonly error: unknown } | null = null;
  let taken = false;
  let wake: (() => void) | null = null;

  const rouse = () => {
    wake?.();
    wake = null;
  };
  async function* drain(): AsyncGenerator<LinkEvent, void, void> {
    let finished = false;
    try {
      for (;;) {
        const event = line.shift();
        if (event !== null) yield event;
        else if (ended) break;
        else await new Promise<void>((resolve) => (wake = resolve));
      }
      finished = true;
    } finally {
      if (!finished) parts.onLeave();
    }
    if (broken !== null) throw broken.error;
  }
  return {
    push: (event) => {
      assert(!ended, "a link that has ended reports nothing more");
      line.push(event);
      rouse();
    },
    isFull: () => line.full,
    waitingBytes: () => line.waitingBytes,
    end: () => {
      ended = true;
      rouse();
    },
    breakOff: (error) => {
      broken = { error };
      ended = true;
      rouse();
    },
    events: {
      [Symbol.asyncIterator]: () => {
        assert(!taken, "a link's events have one consumer");
        taken = true;
        return drain();
      },
    },
  };
}

/** Consumed events are cut off the front at least this often, so that the list does not keep them. */
const CONSUMED_MAX = 1024;

/** The events that wait, in order, and whether they are too many. */
class WaitingLine {
  waitingBytes = 0;
  full = false;
  #events: LinkEvent[] = [];
  #nextIndex = 0;
  readonly #bytesMax: number;
  readonly #onRoom: () => void;

  constructor(bytesMax: number, onRoom: () => void) {
    this.#bytesMax = bytesMax;
    this.#onRoom = onRoom;
  }

  push(event: LinkEvent): void {
    this.#events.push(event);
    this.waitingBytes += sizeOf(event);
    if (this.waitingBytes >= this.#bytesMax) this.full = true;
  }

  shift(): LinkEvent | null {
    const event = this.#events[this.#nextIndex];
    if (event === undefined) return null;
    this.#nextIndex += 1;
    if (this.#nextIndex === this.#events.length || this.#nextIndex > CONSUMED_MAX) {
      this.#events = this.#events.slice(this.#nextIndex);
      this.#nextIndex = 0;
    }
    this.waitingBytes -= sizeOf(event);
    if (this.full && this.waitingBytes <= this.#bytesMax / 2) {
      this.full = false;
      this.#onRoom();
    }
    return event;
  }
}

function sizeOf(event: LinkEvent): number {
  return EVENT_OVERHEAD_BYTES + (event.kind === "bytes" ? event.bytes.length : 0);
}
