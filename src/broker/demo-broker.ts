import { timingSafeEqual } from "node:crypto";
import { createServer, type Socket } from "node:net";
import { Aedes } from "aedes";
import { type Fault, fault } from "../core/errors.ts";
import { fail, type Result, succeed } from "../core/result.ts";

/** Who may sign in. */
export interface BrokerAccount {
  readonly username: string;
  readonly password: string;
}

/** What the demo's broker is told. */
export interface DemoBrokerOptions {
  /** 0: any free port. */
  readonly port: number;
  /** Never empty: nobody signs in without a name and a password. */
  readonly accounts: readonly BrokerAccount[];
  /** Further connections are cut at once. */
  readonly connectionsMax: number;
}

/** A running demo broker. */
export interface DemoBroker {
  readonly port: number;
  readonly close: () => Promise<void>;
}

/**
 * A small MQTT 3.1.1 server on 127.0.0.1, in memory, so that the demonstration has an upstream without installing one. It confirms a
 * message before the subscribers have it and forgets everything at its end: for demonstrations only.
 *
 * @returns  The broker, or `upstream-unreachable` with the reason why the port could not be opened.
 */
export async function startDemoBroker(options: DemoBrokerOptions): Promise<Result<DemoBroker, Fault>> {
  const aedes = await Aedes.createBroker();
  aedes.authenticate = (_client, username, password, done) => {
    done(null, isAccount(options.accounts, username, password));
  };
  const sockets = new Set<Socket>();
  const server = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    socket.on("error", () => socket.destroy());
    aedes.handle(socket);
  });
  server.maxConnections = options.connectionsMax;
  const problem = await new Promise<string | null>((resolve) => {
    server.once("error", (error) => resolve("code" in error ? String(error.code) : error.name));
    server.listen({ host: "127.0.0.1", port: options.port }, () => resolve(null));
  });
  const address = server.address();
  if (problem !== null || address === null || typeof address === "string") {
    aedes.close();
    return fail(fault("upstream-unreachable", { reason: problem ?? "no-port", port: options.port }));
  }
  const close = async () => {
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    await new Promise<void>((resolve) => aedes.close(() => resolve()));
    for (const socket of sockets) socket.destroy();
    await closed;
  };
  return succeed({ port: address.port, close });
}

/** Compares every account to the end, so that the time taken says nothing. */
function isAccount(accounts: readonly BrokerAccount[], username: string | undefined, password: Buffer | undefined): boolean {
  if (username === undefined || password === undefined) return false;
  let matched = false;
  for (const account of accounts) {
    const wanted = Buffer.from(account.password);
    const same = wanted.length === password.length && timingSafeEqual(wanted, password);
    if (same && account.username === username) matched = true;
  }
  return matched;
}
