import { createServer as createPlainServer, type IncomingMessage, type RequestListener, type ServerResponse } from "node:http";
import { createServer, type Server } from "node:https";
import type { Socket } from "node:net";
import type { Clock } from "../../../core/time.ts";
import { hostIsAllowed, SECURITY_HEADERS } from "../request-guard.ts";
import type { CertificatePair } from "./certificate-pair.ts";

/** The first byte of every TLS connection: a handshake record. RFC 8446, 5.1. */
const HANDSHAKE = 22;
const MIN_VERSION = "TLSv1.2";

/** A server for HTTPS that has a word for those who come without the s. */
export interface TlsServer {
  /** Listened on and closed by whoever asked for it. */
  readonly server: Server;
  /** Takes another certificate into use for the connections that come. */
  readonly exchange: (pair: CertificatePair) => void;
  /** Ends every connection at once, also those that the server itself does not know: the silent and those in the middle of a handshake. */
  readonly dropAll: () => void;
}

/**
 * Makes a server that speaks TLS 1.2 and 1.3. On the same port a request without encryption is answered in plain words, and a browser sent
 * to the right address; nothing else is ever said or taken there.
 *
 * @param options.idleMsMax  A connection that says nothing for so long is ended.
 */
export function createTlsServer(
  options: { readonly pair: CertificatePair; readonly idleMsMax: number; readonly clock: Clock },
  listener: RequestListener,
): TlsServer {
  const { pair, idleMsMax, clock } = options;
  const secure = { ...secretsOf(pair), minVersion: MIN_VERSION, handshakeTimeout: idleMsMax } as const;
  const server = createServer({ ...secure, requestTimeout: idleMsMax }, listener);
  const plain = createPlainServer(answerPlainly);
  const sockets = new Set<Socket>();
  // What a TLS server does with each new connection; it is done when the first byte says that it is one.
  const welcome = server.listeners("connection");
  server.removeAllListeners("connection");
  server.on("connection", (socket: Socket) => {
    const giveUp = () => socket.destroy();
    sockets.add(socket);
    // Without encryption it stays that short: one answer is all there is. With it the server has bounds of its own.
    const late = clock.after(idleMsMax, giveUp);
    socket.once("close", () => {
      late.stop();
      sockets.delete(socket);
    });
    socket.on("error", giveUp);
    socket.once("readable", () => {
      const first: Buffer | null = socket.read(1);
      if (first === null) return void socket.destroy();
      socket.unshift(first);
      if (first[0] !== HANDSHAKE) return void plain.emit("connection", socket);
      late.stop();
      socket.off("error", giveUp);
      for (const take of welcome) take.call(server, socket);
      return undefined;
    });
  });
  return {
    server,
    exchange: (other) => server.setSecureContext({ ...secretsOf(other), minVersion: MIN_VERSION }),
    dropAll: () => {
      for (const socket of sockets) socket.destroy();
    },
  };
}

function secretsOf({ key, certificate }: CertificatePair) {
  return { key, cert: certificate };
}

/** Sends a browser to the encrypted page. Whatever was sent besides is not looked at, and nothing is kept of it. */
function answerPlainly(request: IncomingMessage, response: ServerResponse): void {
  const { host } = request.headers;
  const known = hostIsAllowed(host, { loopback: false, signIn: true });
  const isReading = request.method === "GET" || request.method === "HEAD";
  const address = `https://${host ?? ""}/`;
  const text = "This page is served with HTTPS only. 本页面仅通过 HTTPS 提供。\n";
  const sent = known && isReading;
  response.writeHead(sent ? 307 : 400, {
    ...SECURITY_HEADERS,
    "cache-control": "no-store",
    "content-type": "text/plain; charset=utf-8",
    connection: "close",
    ...(sent ? { location: address } : {}),
  });
  response.end(known ? `${text}${address}\n` : text);
}
