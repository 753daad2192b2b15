import { readFile } from "node:fs/promises";
import { BlockList, createServer, isIPv6, type Server, type Socket } from "node:net";
import { createServer as createTlsServer, type SecureContextOptions, type TLSSocket, type Server as TlsServer } from "node:tls";
import { type Fault, fault } from "../core/errors.ts";
import { LIMITS } from "../core/limits.ts";
import type { MllpOwner, MllpServer, MllpSpec } from "../core/ports.ts";
import { fail, type Result, succeed } from "../core/result.ts";
import type { Clock, Timer } from "../core/time.ts";
import { frameMllp, MllpFramer } from "./mllp-framer.ts";

/** What every connection of one server needs. */
interface Shared {
  readonly clock: Clock;
  readonly owner: MllpOwner;
  readonly connections: Set<Connection>;
}

/** One sender that is connected. */
interface Connection {
  readonly address: string;
  readonly end: () => void;
  readonly ended: Promise<void>;
}

/**
 * Opens a server for HL7 messages by MLLP. Whoever owns it decides when a message is answered; until then nothing more is read from that
 * sender, and the others go on. Source of the frame: HL7 v2.5.1 implementation guide, appendix C.
 *
 * @returns  The fault `mllp-port-failed` where the address is taken, may not be used, or a certificate file cannot be read.
 */
export async function startMllpServer(
  spec: MllpSpec,
  parts: { readonly clock: Clock; readonly owner: MllpOwner },
): Promise<Result<MllpServer, Fault>> {
  const facts = { host: spec.host, port: spec.port };
  const shared: Shared = { ...parts, connections: new Set() };
  const tls = spec.tls === undefined ? succeed(null) : await openTls(spec.tls, shared);
  if (!tls.ok) return fail(fault("mllp-port-failed", { ...facts, why: tls.error }));
  const allowed = allowList(spec.allowFrom);
  const server = createServer({ allowHalfOpen: tls.value === null, noDelay: true }, (socket) => {
    socket.on("error", () => socket.destroy());
    if (!mayEnter(shared, allowed, socket)) return void socket.destroy();
    socket.setKeepAlive(true, LIMITS.linkKeepAliveMs.value);
    // A sender counts from here on, also while it still shakes hands.
    keep(shared, socket);
    if (tls.value === null) serve(shared, socket);
    else tls.value.server.emit("connection", socket);
  });
  const why = await listen(server, spec);
  if (why !== null) {
    tls.value?.close();
    return fail(fault("mllp-port-failed", { ...facts, why }));
  }
  server.on("error", (error: NodeJS.ErrnoException) =>
    parts.owner.refused({ kind: "connection", why: "too-many", cause: error.code ?? error.message, address: spec.host }),
  );
  const address = server.address();
  return succeed({
    port: typeof address === "object" && address !== null ? address.port : spec.port,
    connectionCount: () => shared.connections.size,
    close: async () => {
      tls.value?.close();
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      const ending = [...shared.connections];
      for (const connection of ending) connection.end();
      await Promise.all([closed, ...ending.map(({ ended }) => ended)]);
    },
  });
}

function listen(server: Server, spec: MllpSpec): Promise<string | null> {
  return new Promise((resolve) => {
    const failed = (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message);
    server.once("error", failed);
    server.listen({ host: spec.host, port: spec.port }, () => {
      server.removeListener("error", failed);
      resolve(null);
    });
  });
}

/** A server that only shakes hands: it is given connections that were let in. */
interface TlsGate {
  readonly server: TlsServer;
  readonly close: () => void;
}

async function openTls(files: NonNullable<MllpSpec["tls"]>, shared: Shared): Promise<Result<TlsGate, string>> {
  try {
    const wantsCertificate = files.clientCaFile === undefined ? {} : { requestCert: true, rejectUnauthorized: true };
    const server = createTlsServer(
      { ...(await readTls(files)), ...wantsCertificate, handshakeTimeout: LIMITS.mllpMessageMsMax.value },
      (socket) => {
        socket.on("error", () => socket.destroy());
        // Not before: who ends in the middle of a handshake must be seen to be gone.
        socket.allowHalfOpen = true;
        serve(shared, socket);
      },
    );
    server.on("tlsClientError", (error: NodeJS.ErrnoException, socket: TLSSocket) => {
      const address = plainAddress(socket.remoteAddress);
      shared.owner.refused({ kind: "connection", why: "certificate", cause: error.code ?? error.message, address });
      socket.destroy();
    });
    const timer = shared.clock.every(LIMITS.mllpCertificatesLookMs.value, () => void renewTls(server, files));
    return succeed({ server, close: timer.stop });
  } catch (error) {
    return fail(error instanceof Error && "code" in error ? String(error.code) : "certificate");
  }
}

async function readTls(files: NonNullable<MllpSpec["tls"]>): Promise<SecureContextOptions> {
  const [cert, key, ca] = await Promise.all([
    readFile(files.certFile),
    readFile(files.keyFile),
    files.clientCaFile === undefined ? undefined : readFile(files.clientCaFile),
  ]);
  return { cert, key, minVersion: "TLSv1.2", ...(ca === undefined ? {} : { ca }) };
}

/** Certificates are renewed while the gateway runs. Files that are half written or do not belong together wait for the next look. */
async function renewTls(server: TlsServer, files: NonNullable<MllpSpec["tls"]>): Promise<void> {
  try {
    server.setSecureContext(await readTls(files));
  } catch {
    // The ones in use stay in use.
  }
}

function allowList(entries: readonly string[]): BlockList {
  const list = new BlockList();
  for (const entry of entries) {
    const [address = "", bits] = entry.split("/");
    const family = isIPv6(address) ? "ipv6" : "ipv4";
    if (bits === undefined) list.addAddress(address, family);
    else list.addSubnet(address, Number(bits), family);
  }
  return list;
}

/** Whether a sender is let in; who is not is told. */
function mayEnter({ connections, owner }: Shared, allowed: BlockList, socket: Socket): boolean {
  const address = plainAddress(socket.remoteAddress);
  const refuse = (why: "address" | "too-many", cause: string) => {
    owner.refused({ kind: "connection", why, cause, address });
    return false;
  };
  if (address === "" || !allowed.check(address, isIPv6(address) ? "ipv6" : "ipv4")) return refuse("address", "not-in-allowFrom");
  if (connections.size >= LIMITS.mllpConnectionsMax.value) return refuse("too-many", "in-all");
  const ofAddress = [...connections].filter((connection) => connection.address === address).length;
  return ofAddress < LIMITS.mllpConnectionsPerAddressMax.value || refuse("too-many", "of-this-address");
}

/** An IPv4 address as such, also where the socket listens for both. */
function plainAddress(address: string | undefined): string {
  return (address ?? "").replace(/^::ffff:(?=\d+\.)/i, "");
}

function keep({ connections }: Shared, socket: Socket): void {
  const ended = new Promise<void>((resolve) =>
    socket.once("close", () => {
      connections.delete(connection);
      resolve();
    }),
  );
  const connection: Connection = { address: plainAddress(socket.remoteAddress), end: () => socket.destroy(), ended };
  connections.add(connection);
}

function serve(shared: Shared, socket: Socket): void {
  const gone = new AbortController();
  socket.once("close", () => gone.abort());
  void converse(shared, socket, { address: plainAddress(socket.remoteAddress), gone: gone.signal });
}

/** Reads what comes and answers each message before the next is looked at. Ends with its connection; rejects only where the owner does, which must not be. */
async function converse(
  { clock, owner }: Shared,
  socket: Socket,
  { address, gone }: { readonly address: string; readonly gone: AbortSignal },
): Promise<void> {
  const framer = new MllpFramer(LIMITS.mllpMessageBytesMax.value);
  const patience = new Patience(clock, () => socket.destroy());
  let broken: { readonly error: unknown } | null = null;
  try {
    patience.wait(false);
    for await (const chunk of socket) {
      patience.rest();
      for (const piece of framer.pieces(chunk)) {
        if (piece.kind === "refused") {
          owner.refused({ kind: "frame", error: piece.error, address });
          if (piece.error.kind === "too-long" || piece.error.kind === "no-frame") return;
        } else {
          const answers = await owner.message({ bytes: piece.bytes, address }, gone).catch((error: unknown) => {
            broken = { error };
            throw error;
          });
          for (const answer of answers) if (!(await send(socket, clock, answer))) return tellSlow(owner, gone, address);
        }
      }
      patience.wait(framer.isInside());
    }
  } catch (error) {
    // A connection that broke is nothing: whoever got no answer sends again. An owner that fails is a mistake of ours and ends the process.
    if (broken !== null) throw error;
  } finally {
    patience.rest();
    for (const error of framer.end()) owner.refused({ kind: "frame", error, address });
    endWell(socket);
  }
}

/** Lets the last answer go out; a socket that failed or was ended early is done with. */
function endWell(socket: Socket): void {
  if (socket.readableEnded && !socket.destroyed) socket.end();
  else socket.destroy();
}

/** Sends one answer; false where it was not taken in time. */
async function send(socket: Socket, clock: Clock, answer: Uint8Array): Promise<boolean> {
  if (socket.destroyed) return false;
  const enough = new AbortController();
  const taken = new Promise<boolean>((resolve) => socket.write(frameMllp(answer), (error) => resolve(error == null)));
  const late = clock.sleep(LIMITS.mllpAnswerMsMax.value, enough.signal).then(() => false);
  const sent = await Promise.race([taken, late]);
  enough.abort();
  return sent;
}

function tellSlow(owner: MllpOwner, gone: AbortSignal, address: string): void {
  if (!gone.aborted) owner.refused({ kind: "connection", why: "slow-answer", cause: "answer-not-taken", address });
}

/** Ends a connection whose sender is waited for too long. The time that the sender waits for its answer does not count. */
class Patience {
  readonly #clock: Clock;
  readonly #onOver: () => void;
  #timer: Timer | null = null;
  #sinceMs = 0;
  #leftMs = 0;
  #inside = false;

  constructor(clock: Clock, onOver: () => void) {
    this.#clock = clock;
    this.#onOver = onOver;
  }

  /** Bytes are waited for from now on; `inside` a message there is less patience, and all of the message has it together. */
  wait(inside: boolean): void {
    if (!inside) this.#leftMs = LIMITS.mllpIdleMsMax.value;
    else if (!this.#inside) this.#leftMs = LIMITS.mllpMessageMsMax.value;
    this.#inside = inside;
    this.#sinceMs = this.#clock.monotonic();
    this.#timer = this.#clock.after(Math.max(0, this.#leftMs), this.#onOver);
  }

  rest(): void {
    this.#timer?.stop();
    this.#timer = null;
    this.#leftMs -= this.#clock.monotonic() - this.#sinceMs;
  }
}
