import { chmod, rm } from "node:fs/promises";
import { connect, createServer, type Socket } from "node:net";
import { type Fault, fault } from "../core/errors.ts";
import { LIMITS } from "../core/limits.ts";
import { fail, type Result, succeed } from "../core/result.ts";
import type { Clock } from "../core/time.ts";

/** One question of a command to the running gateway. One JSON line there, one JSON line back. */
export interface ControlRequest {
  readonly name: string;
  readonly body: unknown;
}

/** Answers a request; the value must be plain JSON. */
export type ControlHandler = (request: ControlRequest) => Promise<unknown>;

/** The open socket. */
export interface ControlSocket {
  readonly close: () => Promise<void>;
}

/** How long a command waits for the gateway's answer. */
const ANSWER_MS_MAX = 5000;

/**
 * Opens the local door for commands: a unix socket that only the gateway's own user may use (mode 0600).
 *
 * @returns The fault `control-socket-failed` where it cannot be opened.
 */
export async function openControlSocket(path: string, handle: ControlHandler): Promise<Result<ControlSocket, Fault>> {
  // The journal's lock is held by now, so a socket lying there belongs to nobody alive.
  // What cannot be removed, on a disk that is away or read-only, is told by the listening below.
  await rm(path, { force: true }).catch(() => undefined);
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    socket.on("error", () => socket.destroy());
    void serve(socket, handle);
  });
  const previousMask = process.umask(0o177);
  const opened = await new Promise<Result<void, Fault>>((resolve) => {
    server.once("error", (error: NodeJS.ErrnoException) =>
      resolve(fail(fault("control-socket-failed", { path, why: error.code ?? error.message }))),
    );
    server.listen(path, () => resolve(succeed(undefined)));
  });
  process.umask(previousMask);
  if (!opened.ok) return opened;
  await chmod(path, 0o600);
  return succeed({
    close: () =>
      new Promise((resolve) => {
        for (const socket of sockets) socket.destroy();
        server.close(() => resolve());
      }),
  });
}

async function serve(socket: Socket, handle: ControlHandler): Promise<void> {
  const line = await readLine(socket, LIMITS.controlRequestBytesMax.value);
  if (line === null) return void socket.destroy();
  let answer: unknown;
  try {
    const request: unknown = JSON.parse(line);
    answer = isRequest(request) ? await handle(request) : { ok: false, error: { kind: "bad-request" } };
  } catch {
    answer = { ok: false, error: { kind: "bad-request" } };
  }
  socket.end(`${JSON.stringify(answer)}\n`);
}

function isRequest(value: unknown): value is ControlRequest {
  return typeof value === "object" && value !== null && "name" in value && typeof value.name === "string" && "body" in value;
}

/** The first line, or null where the other side closes first or sends more than may be. */
async function readLine(socket: Socket, bytesMax: number): Promise<string | null> {
  const chunks: string[] = [];
  let length = 0;
  try {
    for await (const chunk of socket.setEncoding("utf8").iterator({ destroyOnReturn: false })) {
      const text = String(chunk);
      const end = text.indexOf("\n");
      chunks.push(end >= 0 ? text.slice(0, end) : text);
      if (end >= 0) return chunks.join("");
      length += text.length;
      if (length > bytesMax) return null;
    }
  } catch {
    return null;
  }
  return null;
}

/** Asks the running gateway. A gateway that is not there, or does not answer in time, is the fault `control-socket-failed`. */
export async function askGateway(path: string, request: ControlRequest, clock: Clock): Promise<Result<unknown, Fault>> {
  const socket = connect(path);
  const failed = new Promise<Result<unknown, Fault>>((resolve) => {
    socket.once("error", (error: NodeJS.ErrnoException) =>
      resolve(fail(fault("control-socket-failed", { path, why: error.code ?? error.message }))),
    );
  });
  // What is waited for no longer must not hold the command's process.
  const settled = new AbortController();
  const late = clock
    .sleep(ANSWER_MS_MAX, settled.signal)
    .then((): Result<unknown, Fault> => fail(fault("control-socket-failed", { path, why: "no answer" })));
  socket.write(`${JSON.stringify(request)}\n`);
  const answered = readLine(socket, LIMITS.controlAnswerBytesMax.value).then(
    (line): Result<unknown, Fault> | Promise<Result<unknown, Fault>> => {
      if (line === null) return failed;
      return succeed(JSON.parse(line));
    },
  );
  const result = await Promise.race([failed, late, answered]);
  settled.abort();
  socket.destroy();
  return result;
}
