import { createConnection, createServer, type Socket } from "node:net";
import { LIMITS } from "../../src/core/limits.ts";
import { type Result, succeed } from "../../src/core/result.ts";
import type { Clock } from "../../src/core/time.ts";
import { seedOfPart } from "../random.ts";
import { type BadLinkPlan, type BadSender, createBadSender, startFlapping } from "./bad-sender.ts";
import { listen, type PortError } from "./byte-server.ts";
import { NO_FAULTS } from "./link-faults.ts";

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
 * The faults hit what the device sends; what the host sends passes unharmed. Each connection has a seed of its own, drawn from `seed`.
 * While the clock has taken the connection away (flapping), whoever connects is reset at once. A host that is too slow loses bytes.
 */
export async function openBadLink(
  options: BadLinkPlan & { readonly target: { readonly host: string; readonly port: number }; readonly clock: Clock },
): Promise<Result<BadLink, PortError>> {
  const { faults, seed, target, clock } = options;
  const bridges = new Set<Bridge>();
  const dropAll = () => {
    for (const bridge of bridges) bridge.drop();
  };
  let connectionIndex = 0;
  let isThere = true;
  const host = "127.0.0.1";
  const server = createServer({ noDelay: true }, (client) => {
    if (!isThere || bridges.size >= LIMITS.simulatedClientsMax.value) {
      client.on("error", () => {});
      client.resetAndDestroy();
      return;
    }
    // The clock takes all connections away at once, so it is not each one's own.
    const plan = { faults: { ...faults, flapEveryMs: NO_FAULTS.flapEveryMs }, seed: seedOfPart(seed, connectionIndex) };
    connectionIndex += 1;
    const bridge = openBridge({ client, plan, target, clock, onEnd: () => bridges.delete(bridge) });
    bridges.add(bridge);
  });
  const listening = await listen(server, { host, port: 0 });
  if (!listening.ok) return listening;
  const flapping = startFlapping({
    ...options,
    leave: () => {
      isThere = false;
      dropAll();
    },
    comeBack: () => {
      isThere = true;
    },
  });
  return succeed({
    host,
    port: listening.value,
    connectionCount: () => bridges.size,
    dropAll,
    halfOpenAll: () => {
      for (const bridge of bridges) bridge.halfOpen();
    },
    close: () => {
      flapping.stop();
      dropAll();
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
  readonly plan: BadLinkPlan;
  readonly target: { readonly host: string; readonly port: number };
  readonly clock: Clock;
  readonly onEnd: () => void;
}): Bridge {
  const { client, plan, clock } = parts;
  const device = createConnection({ ...parts.target, noDelay: true });
  let ended = false;
  const drop = () => {
    if (ended) return;
    ended = true;
    sender.stop();
    client.resetAndDestroy();
    device.destroy();
    parts.onEnd();
  };
  const sender: BadSender = createBadSender({
    ...plan,
    clock,
    carrier: { send: (bytes) => writeBounded(client, bytes), drop, restore: () => {} },
    backAfterMs: null,
  });
  device.on("data", (bytes: Uint8Array) => sender.send(bytes, ""));
  client.on("data", (bytes: Uint8Array) => {
    if (!sender.isHalfOpen()) device.write(bytes);
  });
  for (const socket of [client, device]) {
    // An error is followed by "close".
    socket.on("error", () => {});
    socket.on("close", drop);
  }
  return { drop, halfOpen: sender.halfOpen };
}

/** Writes, or loses what a client that is too slow leaves no room for. */
function writeBounded(client: Socket, bytes: Uint8Array): void {
  if (client.writableLength + bytes.length <= LIMITS.simulatedQueueBytesMax.value) client.write(bytes);
}
