import { setTimeout as sleep } from "node:timers/promises";
import type { Link, LinkEvent } from "../../src/core/ports.ts";

/** Follows a link's events in the background and waits for what should come. */
export interface LinkWatcher {
  readonly events: readonly LinkEvent[];
  /** `up`, `down link-busy` and `bytes`, in order; neighbouring `bytes` are one. */
  readonly story: () => readonly string[];
  /** All bytes so far, as one. */
  readonly received: () => Buffer;
  /** Waits until it holds, at most `withinMs`; throws with the story otherwise. */
  readonly until: (holds: () => boolean, what: string, withinMs?: number) => Promise<void>;
  /** Resolves when the link has ended. */
  readonly ended: Promise<void>;
}

/** Starts to follow. Becomes the link's one consumer. */
export function watchLink(link: Link): LinkWatcher {
  const events: LinkEvent[] = [];
  const story = () =>
    events
      .map((event) => (event.kind === "down" ? `down ${event.fault.code}` : event.kind))
      .filter((word, index, words) => word !== "bytes" || words[index - 1] !== "bytes");
  const ended = (async () => {
    for await (const event of link.events) events.push(event);
  })();
  return {
    events,
    story,
    received: () => Buffer.concat(events.flatMap((event) => (event.kind === "bytes" ? [event.bytes] : []))),
    until: async (holds, what, withinMs = 8000) => {
      const endMs = Date.now() + withinMs;
      while (!holds()) {
        if (Date.now() > endMs) throw new Error(`${what} did not come; the link's story: ${story().join(", ")}`);
        await sleep(5);
      }
    },
    ended,
  };
}
