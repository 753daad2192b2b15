import { createServer, type Server, type Socket } from "node:net";
import { LIMITS } from "../../src/core/limits.ts";
import type { Twin } from "../../src/core/ports.ts";
import { fail, type Result, succeed } from "../../src/core/result.ts";
import { type DeviceParts, type DeviceStats, runTwin } from "../devices/running-twin.ts";
import { badSenderOf } from "./bad-sender.ts";

/** A simulated serial device server: one device, reached by TCP. */
export interface DeviceServer {
  readonly host: string;
  readonly port: number;
  readonly stats: () => DeviceStats;
  readonly clientCount: () => number;
  /** Ends every connection and frees the port. */
  readonly close: () => Promise<void>;
}

/** Why a device server cannot listen. */
export interface PortError {
  readonly kind: "port-unavailable";
  readonly host: string;
  readonly port: number;
  readonly cause: string;
}

/**
 * Listens on a port and gives every client what the twin sends, from the moment it connects, as a serial device server does:
 * the device goes on whether somebody listens or not, and a client that is too slow loses bytes. What clients write reaches the twin.
 * With a bad link all clients share its faults: a drop resets them all, and while it is away whoever connects is closed at once. Half-open
 * is over with the next client after all have gone.
 *
 * @param port  0 takes a free one.
 */
export async function openDeviceServer(
  options: DeviceParts & { readonly twin: Twin; readonly host?: string; readonly port?: number },
): Promise<Result<DeviceServer, PortError>> {
  const host = options.host ?? "127.0.0.1";
  const clients = new Set<Socket>();
  let bytesDropped = 0;
  const server = createServer({ noDelay: true });
  const listening = await listen(server, { host, port: options.port ?? 0 });
  if (!listening.ok) return listening;
  const send = (bytes: Uint8Array) => {
    for (const client of clients) {
      if (client.writableLength + bytes.length <= LIMITS.simulatedQueueBytesMax.value) client.write(bytes);
      else bytesDropped += bytes.length;
    }
  };
  const drop = () => {
    for (const client of clients) client.resetAndDestroy();
  };
  const bad = badSenderOf(options, { send, drop, restore: () => {} });
  const running = runTwin(options.twin, { ...options, send: bad?.send ?? send });
  server.on("connection", (client) => {
    if (clients.size >= LIMITS.simulatedClientsMax.value || bad?.isThere() === false) {
      client.destroy();
      return;
    }
    if (clients.size === 0) bad?.begin();
    clients.add(client);
    client.on("data", (bytes: Uint8Array) => {
      if (bad?.isHalfOpen() !== true) running.receive(bytes);
    });
    // A connection that breaks is an everyday thing for a device server; "close" follows.
    client.on("error", () => {});
    client.on("close", () => clients.delete(client));
  });
  return succeed({
    host,
    port: listening.value,
    stats: () => ({ ...running.stats(), bytesDropped: bytesDropped + (bad?.stats().bytesDropped ?? 0) }),
    clientCount: () => clients.size,
    close: () => {
      running.stop();
      bad?.stop();
      for (const client of clients) client.destroy();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  });
}

/** Starts listening and says the port. */
export function listen(server: Server, at: { readonly host: string; readonly port: number }): Promise<Result<number, PortError>> {
  return new Promise((resolve) => {
    server.once("error", (error: NodeJS.ErrnoException) =>
      resolve(fail({ kind: "port-unavailable", host: at.host, port: at.port, cause: error.code ?? error.message })),
    );
    server.listen({ host: at.host, port: at.port, exclusive: true }, () => {
      const address = server.address();
      resolve(succeed(typeof address === "object" && address !== null ? address.port : at.port));
    });
  });
}
