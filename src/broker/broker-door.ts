import { readFile } from "node:fs/promises";
import { createServer, type Server, type Socket } from "node:net";
import { createServer as createTlsServer, type TLSSocket, type Server as TlsServer } from "node:tls";
import { type Fault, fault } from "../core/errors.ts";
import { LIMITS } from "../core/limits.ts";
import { fail, type Result, succeed } from "../core/result.ts";

/** Where the broker listens without encryption. */
export interface PlainDoorSpec {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
}

/** Where it listens with TLS 1.2 or later. Files are PEM, read once. */
export interface TlsDoorSpec extends PlainDoorSpec {
  readonly certFile: string;
  readonly keyFile: string;
  /** Who may issue certificates of clients. */
  readonly clientCaFile: string | null;
  /** `optional`: a certificate in place of a password; `required`: nobody without one. */
  readonly clientCertificates: "none" | "optional" | "required";
}

/** Somebody who came through a door. */
export interface Visitor {
  readonly socket: Socket;
  readonly address: string;
  /** The common name in a certificate by an authority that we trust. */
  readonly certificateName: string | null;
  readonly isCertificateForeign: boolean;
  readonly isCertificateNeeded: boolean;
}

/** What a door asks and tells. */
export interface DoorOwner {
  /** Whether one more may come in from there now; asked before any handshake. */
  readonly mayEnter: (address: string) => boolean;
  readonly onVisitor: (visitor: Visitor) => void;
}

/** An open port. */
export interface BrokerDoor {
  readonly port: number;
  /** Sockets that came in and are not closed. */
  readonly socketsCount: () => number;
  /** Lets in those who have waited, and all who come from now on. */
  readonly admit: () => void;
  /** Stops listening and cuts whoever was not let in yet; the others are their owner's. */
  readonly close: () => Promise<void>;
}

/** Opens a port; who comes waits until `admit`. Fails with `broker-failed`. */
export async function openDoor(spec: PlainDoorSpec | TlsDoorSpec, owner: DoorOwner): Promise<Result<BrokerDoor, Fault>> {
  const facts = { host: spec.host, port: spec.port };
  const tls = "certFile" in spec ? await makeTlsServer(spec, owner) : succeed(null);
  if (!tls.ok) return fail(fault("broker-failed", { ...facts, reason: tls.error }));
  const sockets = new Set<Socket>();
  let waiting: Socket[] | null = [];
  const enter = (socket: Socket) => {
    if (socket.destroyed) return;
    if (tls.value !== null) tls.value.emit("connection", socket);
    else owner.onVisitor({ socket, ...NO_CERTIFICATE, address: addressOf(socket) });
  };
  const server = createServer(
    { noDelay: true, keepAlive: true, keepAliveInitialDelay: LIMITS.linkKeepAliveMs.value },
    (socket) => {
      socket.on("error", () => socket.destroy());
      if (!owner.mayEnter(addressOf(socket))) {
        socket.destroy();
        return;
      }
      sockets.add(socket);
      socket.on("close", () => sockets.delete(socket));
      if (waiting === null) enter(socket);
      else waiting.push(socket);
    },
  );
  const problem = await listen(server, spec);
  const address = server.address();
  if (problem !== null || address === null || typeof address === "string") {
    return fail(fault("broker-failed", { ...facts, reason: problem ?? "no-port" }));
  }
  return succeed({
    port: address.port,
    socketsCount: () => sockets.size,
    admit: () => {
      for (const socket of waiting ?? []) enter(socket);
      waiting = null;
    },
    close: async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const socket of waiting ?? []) socket.destroy();
      for (const socket of sockets) socket.end();
      await Promise.race([closed, closedAll(sockets)]);
    },
  });
}

const NO_CERTIFICATE = { certificateName: null, isCertificateForeign: false, isCertificateNeeded: false } as const;

function closedAll(sockets: ReadonlySet<Socket>): Promise<unknown> {
  return Promise.all([...sockets].map((socket) => new Promise<void>((resolve) => socket.once("close", () => resolve()))));
}

/** Makes a server that handles what another one accepted. Fails with the reason. */
async function makeTlsServer(spec: TlsDoorSpec, owner: DoorOwner): Promise<Result<TlsServer, string>> {
  const { certFile, keyFile, clientCaFile, clientCertificates } = spec;
  if (clientCertificates !== "none" && clientCaFile === null) return fail("no-client-ca");
  try {
    const ca = clientCaFile === null ? {} : { ca: await readFile(clientCaFile) };
    const server = createTlsServer({
      cert: await readFile(certFile),
      key: await readFile(keyFile),
      ...ca,
      minVersion: "TLSv1.2",
      handshakeTimeout: LIMITS.brokerSignInMsMax.value,
      requestCert: clientCertificates !== "none",
      // Who shows a certificate of somebody else is turned away by the broker itself, so that it can be told why.
      rejectUnauthorized: false,
    });
    server.on("tlsClientError", (_error, socket) => socket.destroy());
    server.on("secureConnection", (socket) => {
      socket.on("error", () => socket.destroy());
      owner.onVisitor({ socket, address: addressOf(socket), ...certificateOf(socket, clientCertificates) });
    });
    return succeed(server);
  } catch (error) {
    return fail(codeOf(error));
  }
}

function certificateOf(socket: TLSSocket, mode: TlsDoorSpec["clientCertificates"]): Omit<Visitor, "socket" | "address"> {
  const isCertificateNeeded = mode === "required";
  if (mode === "none") return NO_CERTIFICATE;
  const shown = socket.getPeerX509Certificate();
  if (shown === undefined) return { certificateName: null, isCertificateForeign: false, isCertificateNeeded };
  const name: unknown = shown.toLegacyObject().subject?.CN;
  const isGood = socket.authorized && typeof name === "string";
  return { certificateName: isGood ? name : null, isCertificateForeign: !isGood, isCertificateNeeded };
}

function listen(server: Server, { host, port }: PlainDoorSpec): Promise<string | null> {
  return new Promise((resolve) => {
    // Stays: what goes wrong with one that came in later is its own affair.
    server.on("error", (error) => resolve(codeOf(error)));
    server.listen({ host, port }, () => resolve(null));
  });
}

/** An IPv4 address is the same whether it came over a socket of both kinds or of its own. */
function addressOf(socket: Socket): string {
  return (socket.remoteAddress ?? "unknown").replace(/^::ffff:/, "");
}

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "unknown";
}
