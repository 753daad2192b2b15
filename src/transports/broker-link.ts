import { fault } from "../core/errors.ts";
import { LIMITS } from "../core/limits.ts";
import type { BrokerArrival, BrokerInlet, Link, LinkSpec } from "../core/ports.ts";
import { fail } from "../core/result.ts";
import type { Clock, Timer } from "../core/time.ts";
import { createEventQueue } from "./event-queue.ts";
import { messageIdentity } from "./mqtt.ts";

type EmbeddedSource = Extract<Extract<LinkSpec, { kind: "mqtt" }>["source"], { kind: "embedded" }>;

/** What a link to the embedded broker is made of. */
export interface BrokerLinkParts {
  readonly clock: Clock;
  readonly inlet: BrokerInlet;
  /** Ends the link as `close` does. */
  readonly stop: AbortSignal;
}

interface ThankLater {
  readonly position: number;
  readonly thank: () => void;
}

/**
 * A link to a device that is a client of the gateway's own broker. It is up while the device is connected, and listens for as long as it is
 * open, so that no message is acknowledged that nobody has taken. While its queue is full it takes nothing.
 */
export function openBrokerLink(
  spec: { readonly topics: readonly string[]; readonly source: EmbeddedSource },
  { clock, inlet, stop }: BrokerLinkParts,
): Link {
  let position = 0;
  let isUp: boolean | null = null;
  let owed: ThankLater[] = [];
  let isClosed = false;
  /** After a start devices need some seconds to come back: that they are not there yet is no trouble. */
  let coming: Timer | null = null;
  const goDown = (cause: string) => {
    isUp = false;
    queue.push({ kind: "down", fault: fault("link-down", { ...facts, cause }), atMonotonicMs: clock.monotonic() });
  };
  const close = async () => {
    if (isClosed) return;
    isClosed = true;
    coming?.stop();
    stopListening();
    queue.end();
  };
  const queue = createEventQueue({
    bytesMax: LIMITS.linkQueueBytesMax.value,
    onRoom: () => {},
    onLeave: () => void close(),
  });
  const facts = { account: spec.source.account ?? "broker" };
  const message = (arrival: BrokerArrival, thank: () => void): boolean => {
    if (queue.isFull()) return false;
    position += 1;
    owed.push({ position, thank });
    const identity = messageIdentity(arrival);
    queue.push({
      kind: "bytes",
      position,
      channel: arrival.topic,
      bytes: arrival.payload,
      receivedAtMs: clock.wall(),
      receivedMonotonicMs: clock.monotonic(),
      ...(arrival.retained || arrival.again ? { kept: true } : {}),
      ...(arrival.retained ? { retained: true } : {}),
      ...(identity === null ? {} : { identity }),
    });
    return true;
  };
  const stopListening = inlet.listen(
    { topics: spec.topics, account: spec.source.account },
    {
      message,
      up: () => {
        if (isUp === true) return;
        coming?.stop();
        isUp = true;
        // What a former connection is still owed: its sender sends it again.
        owed = [];
        queue.push({ kind: "up", atMonotonicMs: clock.monotonic() });
      },
      down: (cause) => {
        if (isUp === true) goDown(cause);
        if (isUp !== null) return;
        coming?.stop();
        coming = clock.after(LIMITS.linkOpenMsMax.value, () => goDown(cause));
      },
    },
  );
  if (stop.aborted) void close();
  else stop.addEventListener("abort", () => void close(), { once: true });
  return {
    events: queue.events,
    write: async () => fail(fault("link-down", { ...facts, cause: "read-only" })),
    committed: (upToPosition) => {
      const thanked = owed.findIndex((one) => one.position > upToPosition);
      for (const one of owed.splice(0, thanked < 0 ? owed.length : thanked)) one.thank();
    },
    close,
  };
}
