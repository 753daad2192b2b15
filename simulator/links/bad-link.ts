import { createConnection, createServer, type Socket } from "node:net";
import { type Result, succeed } from "../../src/core/result.ts";
import type { Clock } from "../../src/core/time.ts";
import { createRandom, seedOfPart } from "../random.ts";
import { listen, type PortError } from "./device-server.ts";

/** How bad a link is. Means are of an exponential distribution over the bytes that pass; null: never. */
export interface LinkFaults {
  /** Bytes from one cut into separate packets to the next. */
  readonly splitEveryBytes: number | null;
  /** Bytes from one stretch that is held back and joined with what follows to the next. */
  readonly mergeEveryBytes: number | null;
  /** Bytes from one flipped bit to the next. */
  readonly flipEveryBytes: number | null;
  /** Bytes until the connection is reset. */
  readonly dropEveryBytes: number | null;
  /** Bytes until the proxy stops forwarding and keeps the connection open. */
  readonly halfOpenEveryBytes: number | null;
  /** Each packet is delayed by an even share of this. */
  readonly delayMsMax: number;
}

/** A link that does what it should. */
export const NO_FAULTS: LinkFaults = {
  splitEveryBytes: null,
  mergeEveryBytes: null,
  flipEveryBytes: null,
  dropEveryBytes: null,
  halfOpenEveryBytes: null,
  delayMsMax: 0,
};

/** What a bad link does with a stretch of bytes. */
export type LinkAct =
  | { readonly kind: "forward"; readonly bytes: Uint8Array; readonly delayMs: number }
  | { readonly kind: "drop" }
  | { readonly kind: "half-open" };

/** The faults of one connection, laid down by its seed over the bytes that pass, however they arrive. */
export interface FaultLine {
  /** Takes bytes in and says what comes out. After `drop` or `half-open` nothing more does. */
  readonly pass: (bytes: Uint8Array) => readonly LinkAct[];
}

/** What stands at one byte of a connection. */
type Mark = "split" | "merge" | "flip" | "drop" | "half-open";

/** Lays the faults of one connection down. Pure but for its own position: the same seed and bytes give the same acts. */
export function createFaultLine(faults: LinkFaults, seed: number): FaultLine {
  const marks = [
    marksOf("flip", faults.flipEveryBytes, seedOfPart(seed, 0)),
    marksOf("split", faults.splitEveryBytes, seedOfPart(seed, 1)),
    marksOf("merge", faults.mergeEveryBytes, seedOfPart(seed, 2)),
    marksOf("drop", faults.dropEveryBytes, seedOfPart(seed, 3)),
    marksOf("half-open", faults.halfOpenEveryBytes, seedOfPart(seed, 4)),
  ];
  const randomBit = createRandom(seedOfPart(seed, 5));
  const randomDelay = createRandom(seedOfPart(seed, 6));
  let position = 0;
  let held: Uint8Array[] = [];
  let merging = false;
  let ended = false;
  const release = (acts: LinkAct[]) => {
    const bytes = Buffer.concat(held);
    held = [];
    if (bytes.length > 0) acts.push({ kind: "forward", bytes, delayMs: faults.delayMsMax * randomDelay() });
  };
  return {
    pass: (bytes) => {
      const acts: LinkAct[] = [];
      if (ended) return acts;
      const changed = Uint8Array.from(bytes);
      let startIndex = 0;
      for (let index = 0; index < bytes.length && !ended; index++, position++) {
        for (const mark of marks) {
          if (!mark.isAt(position)) continue;
          if (mark.kind === "flip") changed[index] = (changed[index] ?? 0) ^ (1 << Math.floor(randomBit() * 8));
          else if (mark.kind === "merge") merging = true;
          else {
            held.push(changed.subarray(startIndex, index));
            startIndex = index;
            merging = false;
            release(acts);
            if (mark.kind === "split") continue;
            acts.push({ kind: mark.kind });
            ended = true;
            break;
          }
        }
      }
      if (ended) return acts;
      held.push(changed.subarray(startIndex));
      // What is merged waits for the next stretch, and goes with it.
      if (merging) merging = false;
      else release(acts);
      return acts;
    },
  };
}

function marksOf(
  kind: Mark,
  everyBytes: number | null,
  seed: number,
): { readonly kind: Mark; readonly isAt: (position: number) => boolean } {
  if (everyBytes === null) return { kind, isAt: () => false };
  const random = createRandom(seed);
  const gap = () => 1 + Math.floor(-Math.log(1 - random()) * everyBytes);
  let nextPosition = gap();
  return {
    kind,
    isAt: (position) => {
      if (position < nextPosition) return false;
      nextPosition = position + gap();
      return true;
    },
  };
}

/** A proxy between a host and a device that behaves badly, for tests. */
export interface BadLink {
  readonly host: string;
  readonly port: number;
  readonly connectionCount: () => number;
  /** Resets every connection now. */
  readonly dropAll: () => void;
  /** Stops forwarding on every connection now, without closing one. */
  readonly halfOpenAll: () => void;
  readonly close: () => Promise<void>;
}

/**
 * Listens on a free port of the loopback interface and forwards to `target` as badly as `faults` says.
 * The faults hit what the device sends; what the host sends passes unharmed. Connection n has the n-th seed of `seed`.
 */
export async function openBadLink(options: {
  readonly target: { readonly host: string; readonly port: number };
  readonly faults: LinkFaults;
  readonly seed: number;
  readonly clock: Clock;
}): Promise<Result<BadLink, PortError>> {
  const bridges = new Set<Bridge>();
  let connectionIndex = 0;
  const host = "127.0.0.1";
  const server = createServer({ noDelay: true }, (client) => {
    const line = createFaultLine(options.faults, seedOfPart(options.seed, connectionIndex));
    connectionIndex += 1;
    const bridge = openBridge({
      client,
      line,
      target: options.target,
      clock: options.clock,
      onEnd: () => bridges.delete(bridge),
    });
    bridges.add(bridge);
  });
  const listening = await listen(server, { host, port: 0 });
  if (!listening.ok) return listening;
  return succeed({
    host,
    port: listening.value,
    connectionCount: () => bridges.size,
    dropAll: () => {
      for (const bridge of bridges) bridge.drop();
    },
    halfOpenAll: () => {
      for (const bridge of bridges) bridge.halfOpen();
    },
    close: () => {
      for (const bridge of bridges) bridge.drop();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  });
}

interface Bridge {
  readonly drop: () => void;
  readonly halfOpen: () => void;
}

function openBridge(parts: {
  readonly client: Socket;
  readonly line: FaultLine;
  readonly target: { readonly host: string; readonly port: number };
  readonly clock: Clock;
  readonly onEnd: () => void;
}): Bridge {
  const { client, line, clock } = parts;
  const device = createConnection({ ...parts.target, noDelay: true });
  let silent = false;
  let ended = false;
  let order: Promise<void> = Promise.resolve();
  const drop = () => {
    if (ended) return;
    ended = true;
    client.resetAndDestroy();
    device.destroy();
    parts.onEnd();
  };
  const halfOpen = () => {
    silent = true;
    device.pause();
  };
  const perform = async (act: LinkAct) => {
    if (silent || ended) return;
    switch (act.kind) {
      case "forward":
        if (act.delayMs > 0) await clock.sleep(act.delayMs);
        if (!silent && !ended) client.write(act.bytes);
        return;
      case "drop":
        return drop();
      case "half-open":
        return halfOpen();
    }
  };
  device.on("data", (bytes: Uint8Array) => {
    for (const act of line.pass(bytes)) order = order.then(() => perform(act));
  });
  client.on("data", (bytes: Uint8Array) => {
    if (!silent) device.write(bytes);
  });
  for (const socket of [client, device]) {
    // An error is followed by "close".
    socket.on("error", () => {});
    socket.on("close", drop);
  }
  return { drop, halfOpen };
}
