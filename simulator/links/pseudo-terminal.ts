import { type ChildProcessByStdio, spawn } from "node:child_process";
import { constants } from "node:fs";
import { type FileHandle, mkdtemp, open, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable, Writable } from "node:stream";
import { LIMITS } from "../../src/core/limits.ts";
import type { Twin } from "../../src/core/ports.ts";
import { fail, type Result, succeed } from "../../src/core/result.ts";
import type { Clock } from "../../src/core/time.ts";
import { type DeviceParts, type DeviceStats, runTwin } from "../devices/running-twin.ts";
import { badSenderOf } from "./bad-sender.ts";

/** How long socat may take to make the terminal. */
const OPEN_MS_MAX = 5000;
const LOOK_AGAIN_MS = 20;

/** A simulated device on a serial port of this machine. */
export interface PseudoTerminal {
  /** The path a program opens as its serial port. */
  readonly path: string;
  /** The process that holds the other end. */
  readonly processId: number;
  readonly stats: () => DeviceStats;
  /** Pulls the cable and takes the path away. */
  readonly close: () => Promise<void>;
}

/** Why there is no pseudo terminal. */
export type PseudoTerminalError =
  | { readonly kind: "socat-absent" }
  | { readonly kind: "not-made"; readonly path: string; readonly waitedMs: number };

/**
 * Makes a pseudo terminal with socat (Debian package `socat`) and lets the twin send into it.
 * Baud rate and parity are accepted and have no effect, as on any pseudo terminal. A serial line has no connection that could be lost: where
 * a bad link drops it, nothing comes for that time.
 *
 * @param path  Where the port shall appear; a new temporary folder where it is not said.
 */
export async function openPseudoTerminal(
  options: DeviceParts & { readonly twin: Twin; readonly path?: string },
): Promise<Result<PseudoTerminal, PseudoTerminalError>> {
  const folder = options.path === undefined ? await mkdtemp(join(tmpdir(), "vigil-port-")) : null;
  const path = options.path ?? join(folder ?? "", "port");
  const child = spawn("socat", ["-", `pty,raw,echo=0,link=${path}`], { stdio: ["pipe", "pipe", "ignore"] });
  const gone = new Promise<void>((resolve) => {
    child.once("exit", () => resolve());
    child.once("error", () => resolve());
  });
  // Writing to a cable that was pulled loses the bytes and nothing else.
  child.stdin.on("error", () => {});
  const made = await untilMade(path, child, options.clock);
  if (made === null) {
    const absent = child.pid === undefined;
    child.kill();
    await gone;
    if (folder !== null) await rm(folder, { recursive: true, force: true });
    return fail(absent ? { kind: "socat-absent" } : { kind: "not-made", path, waitedMs: OPEN_MS_MAX });
  }
  let bytesDropped = 0;
  const send = (bytes: Uint8Array) => {
    if (child.stdin.writable && child.stdin.writableLength + bytes.length <= LIMITS.simulatedQueueBytesMax.value) {
      child.stdin.write(bytes);
    } else bytesDropped += bytes.length;
  };
  const bad = badSenderOf(options, { send, drop: () => {}, restore: () => {} });
  const running = runTwin(options.twin, { ...options, send: bad?.send ?? send });
  child.stdout.on("data", (bytes: Uint8Array) => {
    if (bad === null || (bad.isThere() && !bad.isHalfOpen())) running.receive(bytes);
  });
  return succeed({
    path,
    processId: child.pid ?? 0,
    stats: () => ({ ...running.stats(), bytesDropped: bytesDropped + (bad?.stats().bytesDropped ?? 0) }),
    close: async () => {
      running.stop();
      bad?.stop();
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
