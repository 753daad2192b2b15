import { createServer, type Server, type Socket } from "node:net";
import { LIMITS } from "../../src/core/limits.ts";
import { fail, type Result, succeed } from "../../src/core/result.ts";

/** Why nobody can listen at a port. */
export interface PortError {
  readonly kind: "port-unavailable";
  readonly host: string;
  readonly port: number;
  readonly cause: string;
}

/** A simulated serial device server, whose bytes come from elsewhere. */
export interface ByteServer {
  readonly host: string;
  readonly port: number;
  /** To every client; one that is too slow loses bytes, counted. */
  readonly send: (bytes: Uint8Array) => void;
  readonly onReceive: (listener: (bytes: Uint8Array) => void) => void;
  /** Resets every connection. */
  readonly dropClients: () => void;
  /**
   * Pulls the cable (false), so that every connection ends and a new one is refused, or plugs it in again at the same port.
   * Fails where another program has taken the port meanwhile.
   */
  readonly setPlugged: (plugged: boolean) => Promise<Result<void, PortError>>;
  readonly clientCount: () => number;
  /** Bytes that a client who was connected did not get because it was too slow. */
  readonly bytesDropped: () => number;
  /** Ends every connection and frees the port. */
  readonly close: () => Promise<void>;
}

/**
 * Listens and gives every client what is sent, from the moment it connects.
 *
 * @param at.port           0 takes a free one.
 * @param at.mayEnter       False: whoever connects now is closed at once. Everybody may where it is left out.
 * @param at.onFirstClient  Somebody has come, and nobody was there.
 */
export async function openByteServer(at: {
  readonly host: string;
  readonly port: number;
  readonly mayEnter?: () => boolean;
  readonly onFirstClient?: () => void;
}): Promise<Result<ByteServer, PortError>> {
  const { host } = at;
  const clients = new Set<Socket>();
  let bytesDropped = 0;
  let receive: (bytes: Uint8Array) => void = () => {};
  const take = (client: Socket) => {
    if (clients.size >= LIMITS.simulatedClientsMax.value || at.mayEnter?.() === false) {
      client.destroy();
      return;
    }
    if (clients.size === 0) at.onFirstClient?.();
    clients.add(client);
    client.on("data", (bytes: Uint8Array) => receive(bytes));
    // A connection that breaks is an everyday thing for a device server; "close" follows.
    client.on("error", () => {});
    client.on("close", () => clients.delete(client));
  };
  const socket = await openPluggedSocket({ host, port: at.port }, { take, clients });
  if (!socket.ok) return socket;
  const { port, setPlugged } = socket.value;
  return succeed({
    host,
    port,
    send: (bytes) => {
      for (const client of clients)
        if (client.writableLength + bytes.length <= LIMITS.simulatedQueueBytesMax.value) client.write(bytes);
        else bytesDropped += bytes.length;
    },
    onReceive: (listener) => {
      receive = listener;
    },
    dropClients: () => {
      for (const client of clients) client.resetAndDestroy();
    },
    setPlugged,
    clientCount: () => clients.size,
    bytesDropped: () => bytesDropped,
    close: async () => void (await setPlugged(false)),
  });
}

/** A listening port that can be given up and taken again, one after the other, however quickly that is asked for. */
async function openPluggedSocket(
  at: { readonly host: string; readonly port: number },
  { take, clients }: { readonly take: (client: Socket) => void; readonly clients: ReadonlySet<Socket> },
): Promise<Result<Pick<ByteServer, "port" | "setPlugged">, PortError>> {
  let server: Server | null = createServer({ noDelay: true }, take);
  const first = await listen(server, at);
  if (!first.ok) return first;
  const port = first.value;
  const pull = (): Promise<Result<void, PortError>> => {
    const pulled = server;
    server = null;
    for (const client of clients) client.destroy();
    if (pulled === null) return Promise.resolve(succeed(undefined));
    return new Promise((resolve) => pulled.close(() => resolve(succeed(undefined))));
  };
  const plugIn = async (): Promise<Result<void, PortError>> => {
    if (server !== null) return succeed(undefined);
    const again = createServer({ noDelay: true }, take);
    const listening = await listen(again, { host: at.host, port });
    if (!listening.ok) return listening;
    server = again;
    return succeed(undefined);
  };
  let before: Promise<unknown> = Promise.resolve();
  return succeed({
    port,
    setPlugged: (plugged) => {
      const done = before.then(plugged ? plugIn : pull);
      before = done;
      return done;
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
