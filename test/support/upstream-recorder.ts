import { hash } from "node:crypto";
import { appendFileSync } from "node:fs";
import type { Alert } from "../../src/core/alert.ts";
import { canonicalJson } from "../../src/core/canonical-json.ts";
import type { JournalRecord } from "../../src/core/record.ts";
import type { BatchMessage, HeartbeatMessage, RecordMessage } from "../../src/core/upstream.ts";
import { GATEWAY_ID } from "./real-gateway.ts";
import type { Stage } from "./stage.ts";
import { pause, until } from "./until.ts";

/** Debian's package `mosquitto-clients`. */
const SUBSCRIBER = "/usr/bin/mosquitto_sub";

/**
 * One record as it came over the wire. Observations, predictions, events and tallies come by the million: of them only what tells
 * one from another is kept.
 */
export interface Delivered {
  readonly epoch: string;
  readonly seq: number;
  readonly kind: JournalRecord["kind"];
  readonly resent: boolean;
  readonly durable: boolean;
  /** `contentOf` the record. */
  readonly content: number;
  /** Null where it came in a batch. */
  readonly record: JournalRecord | null;
  /** `performance.now()` of this process. */
  readonly atMs: number;
}

/** An alert as it came. */
export type DeliveredAlert = Delivered & { readonly key: string; readonly record: Alert };

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
  readonly alerts: () => readonly DeliveredAlert[];
  /** Lines that were none of the gateway's messages nor receipts. */
  readonly unreadable: readonly string[];
}

/**
 * Starts mosquitto_sub, which is not our code, with a persistent session and QoS 1 on everything below `vigil/`, and keeps what it prints.
 *
 * @param server  Where it is, and name and password where it wants them. `recordFile`: where to write a line for each key the first time
 *                it comes, as the demonstration's receiver does, for `vigil verify --upstream`.
 */
export async function startRecorder(
  stage: Stage,
  server: { readonly port: number; readonly username?: string; readonly password?: string; readonly recordFile?: string },
): Promise<Recorder> {
  const signIn = server.username === undefined ? [] : ["-u", server.username, "-P", server.password ?? ""];
  const program = stage.program([
    ...[SUBSCRIBER, "-h", "127.0.0.1", "-p", String(server.port), ...signIn],
    ...["-V", "5", "-i", "recorder", "-c", "-x", "86400", "-q", "1", "-v", "-t", "vigil/#", "-t", "recorder-ready"],
  ]);
  const delivered: Delivered[] = [];
  const heartbeats: Heard[] = [];
  const alerts: DeliveredAlert[] = [];
  const unreadable: string[] = [];
  const keep = server.recordFile === undefined ? () => {} : keepRecordFile(server.recordFile);
  const epochs = new Map<string, string>();
  let subscribed = false;
  // Arrival is noted when the line is taken; the timer runs often enough for figures in whole tens of milliseconds.
  const take = () => {
    const atMs = performance.now();
    for (const line of program.takeStdout()) {
      const { records, heartbeat, known } = readLine(line, { atMs, epochs });
      for (const { delivered: each } of records) {
        delivered.push(each);
        if (each.record?.kind === "alert") alerts.push({ ...each, key: keyOf(each), record: each.record });
      }
      keep(records);
      if (heartbeat !== null) heartbeats.push(heartbeat);
      if (known === "ready") subscribed = true;
      if (known === "no") unreadable.push(line.slice(0, 500));
    }
  };
  const timer = setInterval(take, 10);
  stage.defer(() => clearInterval(timer));
  const publisher = ["/usr/bin/mosquitto_pub", "-h", "127.0.0.1", "-p", String(server.port), ...signIn];
  await until("the recorder has subscribed", async () => {
    await stage.program([...publisher, "-t", "recorder-ready", "-m", "?"]).exited;
    await pause(50);
    return subscribed;
  });
  const current = <Value>(value: Value): Value => {
    take();
    return value;
  };
  return {
    delivered: () => current(delivered),
    heartbeats: () => current(heartbeats),
    alerts: () => current(alerts),
    unreadable,
  };
}

/** Writes a line for each arrival, in the format of the demonstration's receiver. */
function keepRecordFile(file: string): (arrivals: readonly Arrival[]) => void {
  const known = new Map<string, Set<number>>();
  return (arrivals) => {
    const lines = arrivals.map(({ delivered, hash, madeAtMs }) => {
      const { epoch, seq, kind, resent, durable } = delivered;
      const seqs = known.get(epoch) ?? new Set();
      known.set(epoch, seqs);
      const again = seqs.has(seq) ? { again: true } : {};
      seqs.add(seq);
      const key = keyOf(delivered);
      return `${JSON.stringify({ key, kind, seq, resent, receivedAtMs: Date.now(), madeAtMs, durable, content: hash, ...again })}\n`;
    });
    if (lines.length > 0) appendFileSync(file, lines.join(""));
  };
}

/** One record of a line, with what is needed once. */
interface Arrival {
  readonly delivered: Delivered;
  /** First 16 digits of the SHA-256 of its canonical text. */
  readonly hash: string;
  readonly madeAtMs: number | null;
}

interface ReadLine {
  readonly records: readonly Arrival[];
  readonly heartbeat: Heard | null;
  /** `ready` is the recorder's own word. */
  readonly known: "yes" | "no" | "ready";
}

/** One string for each epoch: a part of a line would keep the whole line in memory. */
type Epochs = Map<string, string>;

function readLine(line: string, at: { readonly atMs: number; readonly epochs: Epochs }): ReadLine {
  const nothing = { records: [], heartbeat: null };
  const space = line.indexOf(" ");
  const topic = line.slice(0, space);
  if (topic === "recorder-ready") return { ...nothing, known: "ready" };
  if (topic.endsWith("/receipts") || topic.endsWith("/state")) return { ...nothing, known: "yes" };
  const message = parse(line.slice(space + 1));
  switch (message?.format) {
    case "vigil.heartbeat/1":
      return { records: [], heartbeat: { message, atMs: at.atMs }, known: "yes" };
    case "vigil.record/1":
      return { records: [arrivalOf(message, { ...at, ...message, keepsRecord: true })], heartbeat: null, known: "yes" };
    case "vigil.batch/1": {
      const marks = { ...at, kind: message.kind, resent: message.resent, durable: true, keepsRecord: false };
      return { records: message.records.map((entry) => arrivalOf(entry, marks)), heartbeat: null, known: "yes" };
    }
    case undefined:
      return { ...nothing, known: "no" };
  }
}

function parse(text: string): HeartbeatMessage | RecordMessage | BatchMessage | null {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function arrivalOf(
  entry: { readonly key: string; readonly record: JournalRecord },
  marks: Pick<Delivered, "kind" | "resent" | "durable" | "atMs"> & { readonly epochs: Epochs; readonly keepsRecord: boolean },
): Arrival {
  const [, epoch = "", seq = ""] = entry.key.split("/");
  const { record } = entry;
  const { kind, resent, durable, atMs, epochs, keepsRecord } = marks;
  if (!epochs.has(epoch)) epochs.set(epoch, Buffer.from(epoch).toString());
  const known = epochs.get(epoch) ?? epoch;
  const text = hashOf(record);
  const content = contentOfHash(text);
  return {
    delivered: { epoch: known, seq: Number(seq), kind, resent, durable, content, record: keepsRecord ? record : null, atMs },
    hash: text,
    madeAtMs: madeAtMsOf(record),
  };
}

function madeAtMsOf(record: JournalRecord): number | null {
  if (record.kind === "observation") return record.times.receivedAtMs;
  if (record.kind === "alert") return record.changedAtMs;
  return "atMs" in record ? record.atMs : null;
}

/** The key of a record that came. */
export function keyOf({ epoch, seq }: Pick<Delivered, "epoch" | "seq">): string {
  return `${GATEWAY_ID}/${epoch}/${seq}`;
}

/** A number that two records share only where their content is the same: 52 bits of a hash. */
export function contentOf(record: JournalRecord): number {
  return contentOfHash(hashOf(record));
}

function hashOf(record: JournalRecord): string {
  return hash("sha256", canonicalJson(record), "hex").slice(0, 16);
}

function contentOfHash(text: string): number {
  return Number.parseInt(text.slice(0, 13), 16);
}
