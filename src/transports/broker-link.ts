import { fault } from "../core/errors.ts";
import { LIMITS } from "../core/limits.ts";
import type { BrokerArrival, BrokerInlet, Link, LinkSpec } from "../core/ports.ts";
import { fail } from "../core/result.ts";
import type { Clock, Timer } from "../core/time.ts";
import { createEventQueue, type EventQueue } from "./event-queue.ts";
import { messageMarks, OwedThanks } from "./mqtt-message.ts";

type EmbeddedSource = Extract<Extract<LinkSpec, { kind: "mqtt" }>["source"], { kind: "embedded" }>;

/** What a link to the embedded broker is made of. */
export interface BrokerLinkParts {
  readonly clock: Clock;
  readonly inlet: BrokerInlet;
  /** Ends the link as `close` does. */
  readonly stop: AbortSignal;
}

/**
 * A link to a device that is a client of the gateway's own broker. It is up while the device is connected, and listens for as long as it is
 * open, so that no message is acknowledged that nobody has taken. While its queue is full it takes nothing.
 */
export function openBrokerLink(
  spec: { readonly topics: readonly string[]; readonly source: EmbeddedSource },
  parts: BrokerLinkParts,
): Link {
  const link = new BrokerLink(spec, parts);
  const { stop } = parts;
  if (stop.aborted) void link.close();
  else stop.addEventListener("abort", () => void link.close(), { once: true });
  return {
    events: link.events,
    write: async () => fail(fault("link-down", { ...link.facts, cause: "read-only" })),
    committed: (upToPosition) => link.committed(upToPosition),
    close: () => link.close(),
  };
}

class BrokerLink {
  readonly facts: Readonly<Record<string, string>>;
  readonly #clock: Clock;
  readonly #queue: EventQueue;
  readonly #stopListening: () => void;
  #position = 0;
  readonly #owed = new OwedThanks();
  /** Null before the device was there or was missed. */
  #isUp: boolean | null = null;
  /** After a start devices need some seconds to come back: that they are not there yet is no trouble. */
  #coming: Timer | null = null;
  #isClosed = false;

  constructor(
    { topics, source: { account } }: { readonly topics: readonly string[]; readonly source: EmbeddedSource },
    { clock, inlet }: BrokerLinkParts,
  ) {
    this.facts = { account: account ?? "broker" };
    this.#clock = clock;
    this.#queue = createEventQueue({
      bytesMax: LIMITS.linkQueueBytesMax.value,
      onRoom: () => {},
      onLeave: () => void this.close(),
    });
    this.#stopListening = inlet.listen(
      { topics, account },
      {
        message: (arrival, thank) => this.#take(arrival, thank),
        up: () => this.#comeUp(),
        down: (cause) => {
          if (this.#isUp === true) this.#goDown(cause);
          else if (this.#isUp === null) this.#missSoon(cause);
        },
      },
    );
  }

  get events(): Link["events"] {
    return this.#queue.events;
  }

  committed(upToPosition: number): void {
    this.#owed.pay(upToPosition);
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#coming?.stop();
    this.#stopListening();
    this.#queue.end();
  }

  #take(arrival: BrokerArrival, thank: () => void): boolean {
    if (this.#queue.isFull()) return false;
    this.#position += 1;
    this.#owed.add(this.#position, thank);
    this.#queue.push({
      kind: "bytes",
      position: this.#position,
      channel: arrival.topic,
      bytes: arrival.payload,
      receivedAtMs: this.#clock.wall(),
      receivedMonotonicMs: this.#clock.monotonic(),
      ...messageMarks(arrival, arrival.again),
    });
    return true;
  }

  #comeUp(): void {
    if (this.#isUp === true) return;
    this.#coming?.stop();
    this.#isUp = true;
    this.#owed.forget();
    this.#queue.push({ kind: "up", atMonotonicMs: this.#clock.monotonic() });
  }

  #missSoon(cause: string): void {
    this.#coming?.stop();
    this.#coming = this.#clock.after(LIMITS.linkOpenMsMax.value, () => this.#goDown(cause));
  }

  #goDown(cause: string): void {
    this.#isUp = false;
    const reason = fault("link-down", { ...this.facts, cause });
    this.#queue.push({ kind: "down", fault: reason, atMonotonicMs: this.#clock.monotonic() });
  }
}
