import { createServer, type Socket } from "node:net";
import { LIMITS } from "../../src/core/limits.ts";
import { type Result, succeed } from "../../src/core/result.ts";
import { listen, type PortError } from "./device-server.ts";

/** A simulated serial device server whose bytes come from elsewhere. */
export interface ByteServer {
  readonly host: string;
  readonly port: number;
  /** To every client; one that is too slow loses bytes. */
  readonly send: (bytes: Uint8Array) => void;
  readonly onReceive: (listener: (bytes: Uint8Array) => void) => void;
  /** False: every connection is reset, and who comes is turned away. */
  readonly setPlugged: (plugged: boolean) => void;
  readonly clientCount: () => number;
  readonly bytesDropped: () => number;
  readonly close: () => Promise<void>;
}

/**
 * Listens and gives every client what is sent, from the moment it connects.
 *
 * @param at.port  0 takes a free one.
 */
export async function openByteServer(at: {
  readonly host: string;
  readonly port: number;
}): Promise<Result<ByteServer, PortError>> {
  const clients = new Set<Socket>();
  let plugged = false;
  let bytesDropped = 0;
  let receive: (bytes: Uint8Array) => void = () => {};
  const server = createServer({ noDelay: true }, (client) => {
    if (!plugged || clients.size >= LIMITS.simulatedClientsMax.value) {
      client.resetAndDestroy();
      return;
    }
    clients.add(client);
    client.on("data", (bytes: Uint8Array) => receive(bytes));
    // A connection that breaks is an everyday thing for a device server; "close" follows.
    client.on("error", () => {});
    client.on("close", () => clients.delete(client));
  });
  const listening = await listen(server, at);
  if (!listening.ok) return listening;
  return succeed({
    host: at.host,
    port: listening.value,
    send: (bytes) => {
      for (const client of clients)
        if (client.writableLength + bytes.length <= LIMITS.simulatedQueueBytesMax.value) client.write(bytes);
        else bytesDropped += bytes.length;
    },
    onReceive: (listener) => {
      receive = listener;
    },
    setPlugged: (now) => {
      plugged = now;
      if (!now) for (const client of clients) client.resetAndDestroy();
    },
    clientCount: () => clients.size,
    bytesDropped: () => bytesDropped,
    close: () => {
      for (const client of clients) client.destroy();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  });
}
