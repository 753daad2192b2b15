import type { Alert } from "../../src/core/alert.ts";
import type { JournalRecord } from "../../src/core/record.ts";
import type { BatchMessage, HeartbeatMessage, RecordMessage } from "../../src/core/upstream.ts";
import { type Stage, until } from "./stage.ts";

/** Debian's package `mosquitto-clients`. */
const SUBSCRIBER = "/usr/bin/mosquitto_sub";

/** One record as it came over the wire. */
export interface Delivered {
  readonly key: string;
  readonly epoch: string;
  readonly seq: number;
  readonly kind: JournalRecord["kind"];
  readonly resent: boolean;
  readonly durable: boolean;
  readonly record: JournalRecord;
  /** `performance.now()` of this process. */
  readonly atMs: number;
}

/** A heartbeat and when it came. */
export interface Heard {
  readonly message: HeartbeatMessage;
  readonly atMs: number;
}

/** Everything that one gateway's upstream got, in order of arrival. */
export interface Recorder {
  readonly delivered: () => readonly Delivered[];
  readonly heartbeats: () => readonly Heard[];
  /** Alerts that came, with their arrival. */
  readonly alerts: () => readonly (Delivered & { readonly record: Alert })[];
  /** Lines that were none of the gateway's messages nor receipts. */
  readonly unreadable: readonly string[];
}

/**
 * Starts mosquitto_sub, which is not our code, with a persistent session and QoS 1 on everything below `vigil/`, and keeps what it prints.
 *
 * @param signIn  Name and password for a server that wants them.
 */
export async function startRecorder(
  stage: Stage,
  server: { readonly port: number; readonly username?: string; readonly password?: string },
): Promise<Recorder> {
  const signIn = server.username === undefined ? [] : ["-u", server.username, "-P", server.password ?? ""];
  const program = stage.program([
    ...[SUBSCRIBER, "-h", "127.0.0.1", "-p", String(server.port), ...signIn],
    ...["-V", "5", "-i", "recorder", "-c", "-x", "86400", "-q", "1", "-v", "-t", "vigil/#", "-t", "recorder-ready"],
  ]);
  const delivered: Delivered[] = [];
  const heartbeats: Heard[] = [];
  const unreadable: string[] = [];
  let linesRead = 0;
  // Arrival is noted when the line is taken; the timer runs often enough for figures in whole tens of milliseconds.
  const take = () => {
    for (; linesRead < program.stdout.length; linesRead++) {
      const line = program.stdout[linesRead] ?? "";
      const { records, heartbeat, known } = readLine(line, performance.now());
      delivered.push(...records);
      if (heartbeat !== null) heartbeats.push(heartbeat);
      if (!known) unreadable.push(line.slice(0, 500));
    }
  };
  const timer = setInterval(take, 10);
  stage.defer(() => clearInterval(timer));
  const publisher = ["/usr/bin/mosquitto_pub", "-h", "127.0.0.1", "-p", String(server.port), ...signIn];
  await until("the recorder has subscribed", async () => {
    await stage.program([...publisher, "-t", "recorder-ready", "-m", "?"]).exited;
    return program.stdout.length > 0;
  });
  const current = <Value>(value: Value): Value => {
    take();
    return value;
  };
  return {
    delivered: () => current(delivered),
    heartbeats: () => current(heartbeats),
    alerts: () =>
      current(delivered).filter((each): each is Delivered & { readonly record: Alert } => each.record.kind === "alert"),
    unreadable,
  };
}

interface ReadLine {
  readonly records: readonly Delivered[];
  readonly heartbeat: Heard | null;
  readonly known: boolean;
}

function readLine(line: string, atMs: number): ReadLine {
  const nothing = { records: [], heartbeat: null };
  const space = line.indexOf(" ");
  const topic = line.slice(0, space);
  if (topic === "recorder-ready" || topic.endsWith("/receipts") || topic.endsWith("/state")) return { ...nothing, known: true };
  const message = parse(line.slice(space + 1));
  switch (message?.format) {
    case "vigil.heartbeat/1":
      return { records: [], heartbeat: { message, atMs }, known: true };
    case "vigil.record/1":
      return { records: [deliveredOf(message, { ...message, atMs })], heartbeat: null, known: true };
    case "vigil.batch/1": {
      const marks = { resent: message.resent, durable: true, atMs };
      return { records: message.records.map((entry) => deliveredOf(entry, marks)), heartbeat: null, known: true };
    }
    case undefined:
      return { ...nothing, known: false };
  }
}

function parse(text: string): HeartbeatMessage | RecordMessage | BatchMessage | null {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function deliveredOf(
  entry: { readonly key: string; readonly record: JournalRecord },
  marks: { readonly resent: boolean; readonly durable: boolean; readonly atMs: number },
): Delivered {
  const [, epoch = "", seq = ""] = entry.key.split("/");
  const { key, record } = entry;
  const { resent, durable, atMs } = marks;
  return { key, epoch, seq: Number(seq), kind: record.kind, resent, durable, record, atMs };
}

/** The same text for the same content, whatever order the fields came in. */
export function canonical(value: unknown): string {
  return JSON.stringify(value, (_name, inner: unknown) =>
    typeof inner === "object" && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([left], [right]) => (left < right ? -1 : 1)))
      : inner,
  );
}
