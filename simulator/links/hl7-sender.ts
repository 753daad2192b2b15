import { readFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { parseArgs } from "node:util";
import { fail, type Result, succeed } from "../../src/core/result.ts";

/**
 * How a sender goes wrong, or is merely odd:
 * `none` one write a message; `split` a byte a write; `glued` all messages in one write; `line-feeds` LF for every CR of the message and
 * `crlf` CR LF; `noise` bytes between the messages; `end-without-cr`; `no-start` and `no-end` leave that byte of the frame out.
 */
export type SendingFault =
  | "none"
  | "split"
  | "glued"
  | "line-feeds"
  | "crlf"
  | "noise"
  | "end-without-cr"
  | "no-start"
  | "no-end";

/** Every fault there is. */
export const SENDING_FAULTS: readonly SendingFault[] = [
  ...(["none", "split", "glued", "line-feeds", "crlf", "noise", "end-without-cr", "no-start", "no-end"] as const),
];

const START = 0x0b;
const END = 0x1c;
const CR = 0x0d;
const LF = 0x0a;

/** The writes in which messages go out. */
export function mllpWrites(messages: readonly Uint8Array[], fault: SendingFault): readonly Uint8Array[] {
  const frames = messages.map((message) => {
    const start = fault === "no-start" ? [] : [START];
    const end = fault === "no-end" ? [] : fault === "end-without-cr" ? [END] : [END, CR];
    return Uint8Array.from([...start, ...withLineEnds(message, fault), ...end]);
  });
  if (fault === "glued") return [Uint8Array.from(frames.flatMap((frame) => [...frame]))];
  if (fault === "noise") return frames.flatMap((frame) => [Uint8Array.from([0x00, 0x41, 0xff]), frame]);
  return fault === "split" ? frames.flatMap((frame) => [...frame].map((byte) => Uint8Array.of(byte))) : frames;
}

function withLineEnds(message: Uint8Array, fault: SendingFault): readonly number[] {
  if (fault !== "line-feeds" && fault !== "crlf") return [...message];
  return [...message].flatMap((byte) => (byte !== CR ? [byte] : fault === "crlf" ? [CR, LF] : [LF]));
}

/** Where a sender goes and as whom. */
export interface Hl7SenderOptions {
  readonly host: string;
  readonly port: number;
  /** In PEM. */
  readonly tls?: { readonly ca: string; readonly cert?: string; readonly key?: string } | undefined;
}

/** A hospital's system that is connected, or was. */
export interface Hl7Sender {
  readonly send: (messages: readonly Uint8Array[], fault?: SendingFault) => Promise<void>;
  /** Sends bytes as they are. */
  readonly sendBytes: (bytes: Uint8Array) => Promise<void>;
  /** The answers so far, out of their frames. */
  readonly answers: () => readonly Uint8Array[];
  /** Whether the other side, or this one, ended the connection. */
  readonly isClosed: () => boolean;
  /** No more will be sent, but answers are still read. */
  readonly finish: () => void;
  /** Reads no answer any more, or does again. */
  readonly setReading: (reading: boolean) => void;
  /** Vanishes without a good-bye. */
  readonly vanish: () => void;
  readonly close: () => Promise<void>;
}

/** Connects. A connection that is refused, or ended before it was used, is told by `isClosed` and a cause where there was one. */
export function openHl7Sender(options: Hl7SenderOptions): Promise<Result<Hl7Sender, { readonly cause: string }>> {
  const { host, port, tls } = options;
  return new Promise((resolve) => {
    const settled = () => resolve(succeed(senderOn(socket)));
    const socket: Socket =
      tls === undefined
        ? connect({ host, port, noDelay: true }, settled)
        : connectTls({ host, port, ...tls, servername: "localhost" }, settled);
    socket.on("error", (error: NodeJS.ErrnoException) => resolve(fail({ cause: error.code ?? error.message })));
  });
}

function senderOn(socket: Socket): Hl7Sender {
  const answers: Uint8Array[] = [];
  let held: number[] = [];
  let isClosed = false;
  const closed = new Promise<void>((resolve) =>
    socket.once("close", () => {
      isClosed = true;
      resolve();
    }),
  );
  socket.on("data", (bytes: Uint8Array) => {
    for (const byte of bytes) {
      if (byte === START) held = [];
      else if (byte !== END) held.push(byte);
      else answers.push(Uint8Array.from(held));
    }
  });
  const write = (bytes: Uint8Array) =>
    new Promise<void>((resolve) => {
      if (socket.destroyed || !socket.writable) return resolve();
      socket.write(bytes, () => resolve());
    });
  return {
    send: async (messages, fault = "none") => {
      for (const bytes of mllpWrites(messages, fault)) await write(bytes);
    },
    sendBytes: write,
    answers: () => answers,
    isClosed: () => isClosed,
    finish: () => void socket.end(),
    setReading: (reading) => void (reading ? socket.resume() : socket.pause()),
    vanish: () => void socket.resetAndDestroy(),
    close: async () => {
      socket.destroy();
      await closed;
    },
  };
}

const USAGE =
  "usage: --host HOST --port PORT [--fault NAME] [--wait-ms N] FILE ... (one HL7 message in each file, as it is to be sent)";

/**
 * Sends the messages of files and prints each answer's MSA line.
 *
 * @returns  0 where every message was answered, 1 where one was not, 2 where the arguments will not do.
 */
export async function sendHl7Files(
  args: readonly string[],
  parts: { readonly print: (line: string) => void; readonly sleep: (milliseconds: number) => Promise<void> },
): Promise<number> {
  const wanted = readArguments(args);
  if (wanted === null) {
    parts.print(USAGE);
    return 2;
  }
  const opened = await openHl7Sender(wanted);
  if (!opened.ok) {
    parts.print(opened.error.cause);
    return 1;
  }
  const sender = opened.value;
  await sender.send(wanted.messages, wanted.fault);
  for (
    let waitedMs = 0;
    waitedMs < wanted.waitMs && sender.answers().length < wanted.messages.length && !sender.isClosed();
    waitedMs += 10
  )
    await parts.sleep(10);
  const answered = sender.answers().length >= wanted.messages.length;
  for (const answer of sender.answers())
    parts.print(/^MSA.*/m.exec(new TextDecoder().decode(answer).replaceAll("\r", "\n"))?.[0] ?? "");
  await sender.close();
  return answered ? 0 : 1;
}

function readArguments(args: readonly string[]) {
  try {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        host: { type: "string", default: "127.0.0.1" },
        port: { type: "string" },
        fault: { type: "string", default: "none" },
        "wait-ms": { type: "string", default: "5000" },
      },
    });
    const [port, waitMs] = [Number(values.port), Number(values["wait-ms"])];
    const fault = SENDING_FAULTS.find((name) => name === values.fault);
    if (!Number.isInteger(port) || !Number.isFinite(waitMs) || fault === undefined || positionals.length === 0) return null;
    return { host: values.host, port, waitMs, fault, messages: positionals.map((file) => Uint8Array.from(readFileSync(file))) };
  } catch {
    return null;
  }
}
