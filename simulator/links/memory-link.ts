import { fault } from "../../src/core/errors.ts";
import type { Link, LinkEvent } from "../../src/core/ports.ts";
import { succeed } from "../../src/core/result.ts";
import type { Clock } from "../../src/core/time.ts";

/** A link whose far end is the test: simulated, like clock and disk. */
export interface MemoryLink extends Link {
  readonly up: () => void;
  readonly down: () => void;
  readonly send: (
    bytes: Uint8Array,
    more?: { readonly channel?: string; readonly kept?: boolean; readonly retained?: boolean },
  ) => void;
  /** What the gateway wrote, in order. */
  readonly written: readonly Uint8Array[];
  /** The position up to which the gateway has thanked; 0 before that. */
  readonly thankedUpTo: () => number;
}

/** Makes a link that is down. */
export function createMemoryLink(clock: Clock): MemoryLink {
  const queue: LinkEvent[] = [];
  const written: Uint8Array[] = [];
  let wake: (() => void) | null = null;
  let closed = false;
  let position = 0;
  let thankedUpTo = 0;
  const push = (event: LinkEvent) => {
    queue.push(event);
    wake?.();
  };
  async function* events(): AsyncGenerator<LinkEvent> {
    while (!closed || queue.length > 0) {
      const next = queue.shift();
      if (next !== undefined) yield next;
      else {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    }
  }
  return {
    events: events(),
    written,
    up: () => push({ kind: "up", atMonotonicMs: clock.monotonic() }),
    down: () => push({ kind: "down", fault: fault("link-down", { why: "test" }), atMonotonicMs: clock.monotonic() }),
    send: (bytes, more = {}) => {
      position += 1;
      const times = { receivedAtMs: clock.wall(), receivedMonotonicMs: clock.monotonic() };
      push({ kind: "bytes", position, channel: "", bytes, ...times, ...more });
    },
    thankedUpTo: () => thankedUpTo,
    write: async (_channel, bytes) => {
      written.push(bytes);
      return succeed(undefined);
    },
    committed: (upToPosition) => {
      thankedUpTo = upToPosition;
    },
    close: async () => {
      closed = true;
      wake?.();
    },
  };
}
