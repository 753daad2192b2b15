import { fault } from "../../src/core/errors.ts";
import { LIMITS } from "../../src/core/limits.ts";
import type { Link, LinkEvent } from "../../src/core/ports.ts";
import { assert, fail, succeed } from "../../src/core/result.ts";
import type { Clock } from "../../src/core/time.ts";

type LinkBytes = Extract<LinkEvent, { kind: "bytes" }>;

/** A link inside this process: the gateway's end, and the device's. */
export interface MemoryLink {
  /** What the gateway is given. */
  readonly link: Link;
  /** The connection comes up; nothing where it is up already. False where the consumer is so slow that no connection is opened. */
  readonly up: () => boolean;
  /** The connection is lost; told once per outage, however often it is called. */
  readonly down: (cause?: string) => void;
  readonly isUp: () => boolean;
  /** The device sends. False where the bytes were lost, because the connection is down or the consumer too slow. */
  readonly send: (bytes: Uint8Array, channel?: string, more?: Pick<LinkBytes, "kept" | "retained" | "identity">) => boolean;
  /** What the device sent and the gateway did not get. */
  readonly bytesDropped: () => number;
  /** The position up to which the gateway has thanked; 0 before that. */
  readonly thankedUpTo: () => number;
}

/** What one event without bytes counts for, so that a great many tiny events are bounded too. */
const EVENT_OVERHEAD_BYTES = 64;

/**
 * Makes a link that is down and opens no port and no file: what the device sends is the gateway's at once. Deterministic with a clock that is.
 * A consumer that is too slow loses what comes after `simulatedQueueBytesMax`, as behind a serial device server.
 *
 * @param options.onWritten      Called with what the gateway writes, while the connection is up.
 * @param options.queueBytesMax  Another bound, for messages that are larger than any serial device's.
 */
export function openMemoryLink(options: {
  readonly clock: Clock;
  readonly onWritten?: (bytes: Uint8Array, channel: string) => void;
  readonly queueBytesMax?: number;
}): MemoryLink {
  const { clock, queueBytesMax = LIMITS.simulatedQueueBytesMax.value } = options;
  const queue = createQueue();
  let state: "up" | "down" | "closed" = "down";
  let downTold = false;
  let position = 0;
  let thankedUpTo = 0;
  let bytesDropped = 0;
  const isFull = (moreBytes: number) => queue.waitingBytes() + moreBytes > queueBytesMax;
  const close = async () => {
    state = "closed";
    queue.end();
  };
  return {
    link: {
      events: queue.eventsOf(close),
      write: async (channel, bytes) => {
        if (state !== "up") return fail(fault("link-down", { cause: "not-open" }));
        options.onWritten?.(bytes, channel);
        return succeed(undefined);
      },
      committed: (upToPosition) => {
        thankedUpTo = upToPosition;
      },
      close,
    },
    up: () => {
      if (state !== "down") return state === "up";
      if (isFull(EVENT_OVERHEAD_BYTES)) return false;
      state = "up";
      downTold = false;
      queue.push({ kind: "up", atMonotonicMs: clock.monotonic() });
      return true;
    },
    down: (cause = "lost") => {
      if (state === "closed") return;
      state = "down";
      if (downTold) return;
      downTold = true;
      queue.push({ kind: "down", fault: fault("link-down", { cause }), atMonotonicMs: clock.monotonic() });
    },
    isUp: () => state === "up",
    send: (bytes, channel = "", more = {}) => {
      if (state !== "up" || isFull(bytes.length + EVENT_OVERHEAD_BYTES)) {
        bytesDropped += bytes.length;
        return false;
      }
      position += 1;
      const times = { receivedAtMs: clock.wall(), receivedMonotonicMs: clock.monotonic() };
      queue.push({ kind: "bytes", position, channel, bytes: Uint8Array.from(bytes), ...times, ...more });
      return true;
    },
    bytesDropped: () => bytesDropped,
    thankedUpTo: () => thankedUpTo,
  };
}

/** Events that wait for their one consumer. */
function createQueue() {
  let events: LinkEvent[] = [];
  let nextIndex = 0;
  let waitingBytes = 0;
  let ended = false;
  let taken = false;
  let wake = () => {};
  const shift = (): LinkEvent | undefined => {
    const event = events[nextIndex];
    if (event === undefined) return undefined;
    nextIndex += 1;
    if (nextIndex === events.length) {
      events = [];
      nextIndex = 0;
    }
    waitingBytes -= sizeOf(event);
    return event;
  };
  async function* drain(onLeave: () => Promise<void>): AsyncGenerator<LinkEvent, void, void> {
    try {
      for (;;) {
        const event = shift();
        if (event !== undefined) yield event;
        else if (ended) return;
        else {
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
        }
      }
    } finally {
      await onLeave();
    }
  }
  return {
    push: (event: LinkEvent) => {
      events.push(event);
      waitingBytes += sizeOf(event);
      wake();
    },
    waitingBytes: () => waitingBytes,
    end: () => {
      ended = true;
      wake();
    },
    eventsOf: (onLeave: () => Promise<void>): Link["events"] => ({
      [Symbol.asyncIterator]: () => {
        assert(!taken, "a link's events have one consumer");
        taken = true;
        return drain(onLeave);
      },
    }),
  };
}

function sizeOf(event: LinkEvent): number {
  return EVENT_OVERHEAD_BYTES + (event.kind === "bytes" ? event.bytes.length : 0);
}
