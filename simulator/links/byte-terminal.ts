import { type ChildProcessByStdio, spawn } from "node:child_process";
import { constants } from "node:fs";
import { type FileHandle, mkdtemp, open, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable, Writable } from "node:stream";
import { LIMITS } from "../../src/core/limits.ts";
import { fail, type Result, succeed } from "../../src/core/result.ts";
import type { Clock } from "../../src/core/time.ts";

/** How long socat may take to make the terminal. */
const OPEN_MS_MAX = 5000;
const LOOK_AGAIN_MS = 20;

/** A pseudo terminal of this machine, whose bytes come from elsewhere. */
export interface ByteTerminal {
  /** The path a program opens as its serial port. */
  readonly path: string;
  /** The process that holds the other end. */
  readonly processId: number;
  /** What a program that is too slow, or none, does not take is lost and counted. */
  readonly send: (bytes: Uint8Array) => void;
  readonly onReceive: (listener: (bytes: Uint8Array) => void) => void;
  readonly bytesDropped: () => number;
  /** Takes the path away. */
  readonly close: () => Promise<void>;
}

/** Why there is no pseudo terminal. */
export type PseudoTerminalError =
  | { readonly kind: "socat-absent" }
  | { readonly kind: "not-made"; readonly path: string; readonly waitedMs: number };

/**
 * Makes a pseudo terminal with socat (Debian package `socat`).
 * Baud rate and parity are accepted and have no effect, as on any pseudo terminal.
 *
 * @param at.path  Where the port shall appear; a new temporary folder where it is not said.
 */
export async function openByteTerminal(at: {
  readonly clock: Clock;
  readonly path?: string | undefined;
}): Promise<Result<ByteTerminal, PseudoTerminalError>> {
  const folder = at.path === undefined ? await mkdtemp(join(tmpdir(), "vigil-port-")) : null;
  const path = at.path ?? join(folder ?? "", "port");
  const child = spawn("socat", ["-", `pty,raw,echo=0,link=${path}`], { stdio: ["pipe", "pipe", "ignore"] });
  const gone = new Promise<void>((resolve) => {
    child.once("exit", () => resolve());
    child.once("error", () => resolve());
  });
  // Writing to a cable that was pulled loses the bytes and nothing else.
  child.stdin.on("error", () => {});
  const made = await untilMade(path, child, at.clock);
  if (made === null) {
    const absent = child.pid === undefined;
    child.kill();
    await gone;
    if (folder !== null) await rm(folder, { recursive: true, force: true });
    return fail(absent ? { kind: "socat-absent" } : { kind: "not-made", path, waitedMs: OPEN_MS_MAX });
  }
  let bytesDropped = 0;
  let receive: (bytes: Uint8Array) => void = () => {};
  child.stdout.on("data", (bytes: Uint8Array) => receive(bytes));
  return succeed({
    path,
    processId: child.pid ?? 0,
    send: (bytes) => {
      if (child.stdin.writable && child.stdin.writableLength + bytes.length <= LIMITS.simulatedQueueBytesMax.value)
        child.stdin.write(bytes);
      else bytesDropped += bytes.length;
    },
    onReceive: (listener) => {
      receive = listener;
    },
    bytesDropped: () => bytesDropped,
    close: async () => {
      child.kill();
      await gone;
      await made.close();
      if (folder !== null) await rm(folder, { recursive: true, force: true });
    },
  });
}

/**
 * Waits for the terminal and opens it, so that socat does not see a hang-up whenever a program closes the port.
 *
 * @returns  The handle to be closed at the end, or null when the terminal was not made in time.
 */
async function untilMade(
  path: string,
  child: ChildProcessByStdio<Writable, Readable, null>,
  clock: Clock,
): Promise<FileHandle | null> {
  for (let waitedMs = 0; waitedMs < OPEN_MS_MAX; waitedMs += LOOK_AGAIN_MS) {
    if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return null;
    try {
      if ((await stat(path)).isCharacterDevice())
        return await open(path, constants.O_RDWR | constants.O_NOCTTY | constants.O_NONBLOCK);
    } catch {
      // It is not there yet.
    }
    await clock.sleep(LOOK_AGAIN_MS);
  }
  return null;
}
