import { fstat } from "node:fs";
import { stat } from "node:fs/promises";
import { SerialPort } from "serialport";
import { type ErrorCode, type Fault, fault } from "../core/errors.ts";
import { LIMITS } from "../core/limits.ts";
import type { LinkSpec } from "../core/ports.ts";
import { fail, succeed } from "../core/result.ts";
import type { Clock } from "../core/time.ts";
import { type Connection, type ConnectionListener, type Dialler, WRITTEN } from "./reopening-link.ts";

type SerialSpec = Extract<LinkSpec, { kind: "serial" }>;

/** How much the port reads ahead while it is paused; the rest waits in the kernel. */
const READ_AHEAD_BYTES = 4096;

/**
 * A serial port of this machine, locked so that no second program takes half of the bytes.
 * Bytes that came before it was opened are discarded: they may have been received with other settings.
 */
export function serialDialler(spec: SerialSpec, clock: Clock): Dialler {
  const facts = { path: spec.path };
  return {
    facts,
    connect: async (listener) => {
      const identity = await identify(spec.path);
      const port = createPort(spec);
      return await new Promise((resolve) =>
        port.open((error) => {
          if (error !== null && error !== undefined) resolve(fail(serialFault(facts, error.message)));
          else resolve(succeed(connectionOf({ port, listener, facts, clock, identity })));
        }),
      );
    },
  };
}

function createPort(spec: SerialSpec): SerialPort {
  const { line, path } = spec;
  return new SerialPort({
    path,
    autoOpen: false,
    lock: true,
    highWaterMark: READ_AHEAD_BYTES,
    baudRate: line.baudRate,
    dataBits: line.dataBits,
    parity: line.parity,
    stopBits: line.stopBits,
    rtscts: line.handshake === "rts-cts",
    xon: line.handshake === "xon-xoff",
    xoff: line.handshake === "xon-xoff",
  });
}

function connectionOf(parts: {
  readonly port: SerialPort;
  readonly listener: ConnectionListener;
  readonly facts: Fault["facts"];
  readonly clock: Clock;
  readonly identity: string;
}): Connection {
  const { port, listener, facts } = parts;
  // Paused before anybody listens, so that nothing flows before the first `resume`.
  port.pause();
  const presence = watchPresence(parts, () => listener.lost(serialFault(facts, "unplugged")));
  port.on("error", (error: Error) => listener.lost(serialFault(facts, error.message)));
  port.on("close", () => {
    presence.stop();
    listener.lost(serialFault(facts, "unplugged"));
  });
  port.on("data", (bytes: Uint8Array) => listener.bytes("", bytes));
  return {
    resume: () => void port.resume(),
    pause: () => void port.pause(),
    write: (_channel, bytes) =>
      new Promise((resolve) => {
        if (!port.isOpen) return resolve(fail(serialFault(facts, "not-open")));
        if (port.writableLength + bytes.length > LIMITS.linkQueueBytesMax.value) {
          return resolve(fail(serialFault(facts, "write-queue-full")));
        }
        port.write(Buffer.from(bytes), undefined, (error) =>
          resolve(error === null || error === undefined ? WRITTEN : fail(serialFault(facts, error.message))),
        );
      }),
    close: () =>
      new Promise((resolve) => {
        presence.stop();
        if (port.isOpen) port.close(() => resolve());
        else resolve();
      }),
  };
}

/**
 * Looks now and then whether the path still names the device that was opened.
 * The system tells of an unplugged adapter, but a read that meets the hang-up first returns nothing for ever without an error.
 */
function watchPresence(
  parts: { readonly facts: Fault["facts"]; readonly clock: Clock; readonly identity: string; readonly port: SerialPort },
  onGone: () => void,
): { readonly stop: () => void } {
  let looking = false;
  const timer = parts.clock.every(LIMITS.linkPresenceMs.value, () => {
    if (looking) return;
    looking = true;
    void Promise.all([identify(parts.port.path), isUnlinked(parts.port)]).then(([identity, unlinked]) => {
      looking = false;
      if (unlinked || identity !== parts.identity) onGone();
    });
  });
  return timer;
}

/** What the path names: file system and inode of the node and the device behind it, or "" where it names nothing. */
async function identify(path: string): Promise<string> {
  try {
    const { dev, ino, rdev } = await stat(path);
    return `${dev}:${ino}:${rdev}`;
  } catch {
    return "";
  }
}

/**
 * Whether the node of the open port has been taken away. Another device may get the same name and number within the second
 * (pseudo terminals do at once), and then the path alone would not tell.
 */
function isUnlinked(port: SerialPort): Promise<boolean> {
  const descriptor: unknown = port.port !== undefined && "fd" in port.port ? port.port.fd : null;
  if (typeof descriptor !== "number") return Promise.resolve(false);
  return new Promise((resolve) => fstat(descriptor, (error, stats) => resolve(error === null && stats.nlink === 0)));
}

/** The serialport package hands on the system's words without their codes (`serialport_unix.cpp`, `strerror`). */
const SERIAL_CODES: readonly { readonly words: RegExp; readonly code: ErrorCode }[] = [
  { words: /No such file|No such device|ENOENT|ENXIO|ENODEV/, code: "link-not-found" },
  { words: /Cannot lock port|Device or resource busy|EBUSY/, code: "link-busy" },
  { words: /Permission denied|Operation not permitted|EACCES|EPERM/, code: "link-denied" },
];

function serialFault(facts: Fault["facts"], cause: string): Fault {
  const code = SERIAL_CODES.find((row) => row.words.test(cause))?.code ?? "link-down";
  return fault(code, { ...facts, cause });
}
