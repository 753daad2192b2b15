import { createServer, type Server, type Socket } from "node:net";
import { LIMITS } from "../../src/core/limits.ts";
import type { Twin } from "../../src/core/ports.ts";
import { fail, type Result, succeed } from "../../src/core/result.ts";
import { type DeviceParts, type DeviceStats, type RunningTwin, runTwin } from "../devices/running-twin.ts";

/** A simulated serial device server: one device, reached by TCP. */
export interface DeviceServer {
  readonly host: string;
  readonly port: number;
  readonly stats: () => DeviceStats;
  readonly clientCount: () => number;
  /**
   * Pulls its cable (false), so that every connection ends and a new one is refused, or plugs it in again at the same port. The device goes on.
   * Fails where another program has taken the port meanwhile.
   */
  readonly setPlugged: (plugged: boolean) => Promise<Result<void, PortError>>;
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
 *
 * @param port  0 takes a free one.
 */
export async function openDeviceServer(
  options: DeviceParts & { readonly twin: Twin; readonly host?: string; readonly port?: number },
): Promise<Result<DeviceServer, PortError>> {
  const host = options.host ?? "127.0.0.1";
  const clients = new Set<Socket>();
  let bytesDropped = 0;
  const opened = await listening({ host, port: options.port ?? 0 });
  if (!opened.ok) return opened;
  const { port } = opened.value;
  const running = runTwin(options.twin, {
    ...options,
    send: (bytes) => {
      for (const client of clients) {
        if (client.writableLength + bytes.length <= LIMITS.simulatedQueueBytesMax.value) client.write(bytes);
        else bytesDropped += bytes.length;
      }
    },
  });
  const take = (client: Socket) => takeClient(client, clients, running);
  let server: Server | null = opened.value.server.on("connection", take);
  const pull = (): Promise<void> => {
    const pulled = server;
    server = null;
    for (const client of clients) client.destroy();
    return new Promise((resolve) => (pulled === null ? resolve() : pulled.close(() => resolve())));
  };
  const plugIn = async (): Promise<Result<void, PortError>> => {
    if (server !== null) return succeed(undefined);
    const again = await listening({ host, port });
    if (!again.ok) return again;
    server = again.value.server.on("connection", take);
    return succeed(undefined);
  };
  let before: Promise<unknown> = Promise.resolve();
  // One after the other, however quickly they are asked for.
  const next = <Value>(work: () => Promise<Value>): Promise<Value> => {
    const done = before.then(work);
    before = done;
    return done;
  };
  return succeed({
    host,
    port,
    stats: () => ({ ...running.stats(), bytesDropped }),
    clientCount: () => clients.size,
    setPlugged: (plugged) => next(plugged ? plugIn : async () => succeed(await pull())),
    close: () => {
      running.stop();
      return next(pull);
    },
  });
}

function takeClient(client: Socket, clients: Set<Socket>, running: RunningTwin): void {
  if (clients.size >= LIMITS.simulatedClientsMax.value) {
    client.destroy();
    return;
  }
  clients.add(client);
  client.on("data", (bytes: Uint8Array) => running.receive(bytes));
  // A connection that breaks is an everyday thing for a device server; "close" follows.
  client.on("error", () => {});
  client.on("close", () => clients.delete(client));
}

async function listening(at: {
  readonly host: string;
  readonly port: number;
}): Promise<Result<{ readonly server: Server; readonly port: number }, PortError>> {
  const server = createServer({ noDelay: true });
  const port = await listen(server, at);
  return port.ok ? succeed({ server, port: port.value }) : port;
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
