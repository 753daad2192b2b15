import { createConnection, type Socket } from "node:net";
import { type ErrorCode, type Fault, fault } from "../core/errors.ts";
import { LIMITS } from "../core/limits.ts";
import type { LinkSpec } from "../core/ports.ts";
import { fail, succeed } from "../core/result.ts";
import { type Connection, type ConnectionListener, type Dialler, WRITTEN } from "./reopening-link.ts";

type TcpSpec = Extract<LinkSpec, { kind: "tcp" }>;

/**
 * A client of a serial device server, a terminal server or a device with a network port of its own.
 * Small writes leave at once. A quiet connection is probed by the system (`linkKeepAliveMs`), so that a peer that vanished
 * is noticed below; the watch for silence notices it first.
 */
export function tcpDialler(spec: TcpSpec): Dialler {
  const facts = { host: spec.host, port: spec.port };
  return {
    facts,
    connect: (listener, stop) =>
      new Promise((resolve) => {
        const socket = createConnection({
          host: spec.host,
          port: spec.port,
          noDelay: true,
          keepAlive: true,
          keepAliveInitialDelay: LIMITS.linkKeepAliveMs.value,
        });
        let cause = "closed-by-peer";
        const giveUp = () => socket.destroy();
        stop.addEventListener("abort", giveUp);
        // Paused before anybody listens, so that nothing flows before the first `resume`.
        socket.pause();
        socket.once("connect", () => {
          stop.removeEventListener("abort", giveUp);
          resolve(succeed(connectionOf(socket, listener, facts)));
        });
        socket.on("error", (error: NodeJS.ErrnoException) => {
          cause = error.code ?? error.message;
        });
        // After "close" all that was received has been handed over, and an error, if any, has been told.
        socket.once("close", () => {
          stop.removeEventListener("abort", giveUp);
          const reason = tcpFault(facts, cause);
          listener.lost(reason);
          resolve(fail(reason));
        });
      }),
  };
}

function connectionOf(socket: Socket, listener: ConnectionListener, facts: Fault["facts"]): Connection {
  socket.on("data", (bytes: Uint8Array) => listener.bytes("", bytes));
  return {
    resume: () => void socket.resume(),
    pause: () => void socket.pause(),
    write: (_channel, bytes) =>
      new Promise((resolve) => {
        if (socket.writableLength + bytes.length > LIMITS.linkQueueBytesMax.value) {
          return resolve(fail(tcpFault(facts, "write-queue-full")));
        }
        socket.write(bytes, (error) => {
          const code = error instanceof Error && "code" in error ? String(error.code) : "write-failed";
          resolve(error === null || error === undefined ? WRITTEN : fail(tcpFault(facts, code)));
        });
      }),
    close: () =>
      new Promise((resolve) => {
        if (socket.closed) return resolve();
        socket.once("close", () => resolve());
        socket.destroy();
      }),
  };
}

/** The system's names of failures, as far as they mean more than that the connection is lost. */
const TCP_CODES: Readonly<Partial<Record<string, ErrorCode>>> = {
  ENOTFOUND: "link-not-found",
  EACCES: "link-denied",
  EPERM: "link-denied",
};

function tcpFault(facts: Fault["facts"], cause: string): Fault {
  return fault(TCP_CODES[cause] ?? "link-down", { ...facts, cause });
}
