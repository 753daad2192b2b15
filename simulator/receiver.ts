import { hash } from "node:crypto";
import { appendFileSync } from "node:fs";
import { canonicalJson } from "../src/core/canonical-json.ts";
import type { Fault } from "../src/core/errors.ts";
import { LIMITS } from "../src/core/limits.ts";
import type { Result } from "../src/core/result.ts";
import type { Clock, MonotonicMs, Timer, WallMs } from "../src/core/time.ts";
import { type ReceiptMessage, upstreamTopics } from "../src/core/upstream.ts";

/** A message as an MQTT client brings it. */
export interface ReceiverArrival {
  readonly topic: string;
  readonly payload: Uint8Array;
  readonly retained: boolean;
  readonly responseTopic: string | null;
  /** True where the server sends the message again because it did not see our thanks (DUP); where it is not said, it does not. */
  readonly redelivered?: boolean;
}

/** What the receiver needs of an MQTT connection; it is given one, so that the library keeps its one home. */
export interface ReceiverConnection {
  readonly subscribe: (filters: readonly string[]) => Promise<Result<void, unknown>>;
  readonly publish: (message: {
    readonly topic: string;
    readonly payload: string;
    readonly retain: boolean;
    readonly urgent: boolean;
    readonly properties: null;
  }) => Promise<Result<void, unknown>>;
  readonly ended: Promise<Fault>;
  readonly close: () => Promise<void>;
}

/** What the receiver is told. */
export interface ReceiverOptions {
  /** Who it says it is, in receipts and on its lines, for example `nurse-station`. */
  readonly name: string;
  readonly topicPrefix: string;
  /** How long it takes somebody to take a physiological alert as theirs; null: nobody does. */
  readonly acceptAfterMs: number | null;
  /**
   * One JSON line per arrival of a record, written before the server is thanked; read by `vigil verify --upstream`:
   * `key`, `kind`, `seq`, `resent` (marked by the gateway), `receivedAtMs` (this side's clock), `madeAtMs` (the record's own time),
   * `durable` (false: not yet on the gateway's disk when it left), `content` (as in `canonicalJson`), and where they are true
   * `again` (the key had come before) and `redelivered` (the server brought the same message again, which the gateway cannot mark).
   */
  readonly recordFile: string | null;
}

/** What the receiver needs from outside. */
export interface ReceiverParts {
  /** Opens one connection; the receiver calls it again, with waits, whenever the last one ended. */
  readonly connect: (
    onMessage: (arrival: ReceiverArrival) => void,
    stop: AbortSignal,
  ) => Promise<Result<ReceiverConnection, Fault>>;
  readonly clock: Clock;
  /** 0 to 1, for the jitter of retries. */
  readonly random: () => number;
  readonly print: (line: string) => void;
}

/** What a receiver has seen. */
export interface ReceiverView {
  readonly connected: boolean;
  /** Records, each key once. */
  readonly recordCount: number;
  readonly alertCount: number;
  /** Arrivals of a key that was there already. */
  readonly duplicateCount: number;
  /** Duplicates that did not say `resent: true`; must stay 0. */
  readonly unmarkedDuplicateCount: number;
  readonly unreadableCount: number;
  /** Gateways that have been silent for more than 30 s. */
  readonly silentGateways: readonly string[];
}

/** A record as a message brings it. `redelivered` by the server; `resent` by the gateway. */
interface RecordArrival {
  readonly key: string;
  readonly kind: string;
  readonly resent: boolean;
  readonly durable: boolean;
  readonly record: unknown;
  readonly redelivered: boolean;
}

/** A running receiver. */
export interface Receiver {
  readonly view: () => ReceiverView;
  /** Ends it; resolves when the record file is written and the connection closed. */
  readonly close: () => Promise<void>;
}

/** Longest silence of a gateway's heartbeat. Source: SAFETY.md, rule 1. */
const HEARTBEAT_SILENCE_MS_MAX = 30_000;
/** Keys remembered for telling duplicates; the oldest is forgotten first. */
const KEYS_MAX = 500_000;
/** Receipts that wait for a connection; the oldest is given up first. */
const RECEIPTS_MAX = 1_000;
/** How often silence is looked for, in ms. */
const SILENCE_CHECK_MS = 1_000;

/**
 * The demonstration's hospital: takes alerts, observations and heartbeats of every gateway under a prefix, keeps each key once, says
 * `received` for every alert and `accepted` for a physiological one that is active, and prints what a person there would see.
 * It alarms when a gateway that it knows has been silent for 30 s, and says so when it is heard again.
 */
export function startReceiver(options: ReceiverOptions, parts: ReceiverParts): Receiver {
  const receiver = new DemoReceiver(options, parts);
  const running = receiver.run();
  return {
    view: () => receiver.view(),
    close: async () => {
      receiver.stop();
      await running;
    },
  };
}

interface Heard {
  atMonotonicMs: MonotonicMs;
  silent: boolean;
}

interface Memory {
  /** Hash of a record that was not durable when it came, or null. */
  readonly provisionalHash: string | null;
}

class DemoReceiver {
  readonly #options: ReceiverOptions;
  readonly #parts: ReceiverParts;
  readonly #stop = new AbortController();
  readonly #keys = new Map<string, Memory>();
  readonly #gateways = new Map<string, Heard>();
  readonly #timers = new Set<Timer>();
  #connection: ReceiverConnection | null = null;
  readonly #receipts: { readonly topic: string; readonly receipt: ReceiptMessage }[] = [];
  #lines: string[] = [];
  #recordCount = 0;
  #alertCount = 0;
  #duplicateCount = 0;
  #unmarkedDuplicateCount = 0;
  #unreadableCount = 0;

  constructor(options: ReceiverOptions, parts: ReceiverParts) {
    this.#options = options;
    this.#parts = parts;
  }

  view(): ReceiverView {
    return {
      connected: this.#connection !== null,
      recordCount: this.#recordCount,
      alertCount: this.#alertCount,
      duplicateCount: this.#duplicateCount,
      unmarkedDuplicateCount: this.#unmarkedDuplicateCount,
      unreadableCount: this.#unreadableCount,
      silentGateways: [...this.#gateways].filter(([, heard]) => heard.silent).map(([gatewayId]) => gatewayId),
    };
  }

  stop(): void {
    this.#stop.abort();
  }

  async run(): Promise<void> {
    const { clock } = this.#parts;
    const silence = clock.every(SILENCE_CHECK_MS, () => this.#lookForSilence());
    await this.#connectAgainAndAgain();
    silence.stop();
    for (const timer of this.#timers) timer.stop();
  }

  async #connectAgainAndAgain(): Promise<void> {
    const { clock, random, connect, print } = this.#parts;
    let waitMs = LIMITS.upstreamBackoffMsMin.value;
    while (!this.#stop.signal.aborted) {
      const connected = await connect((arrival) => this.#take(arrival), this.#stop.signal);
      const subscribed = connected.ok && (await connected.value.subscribe(this.#filters())).ok;
      if (connected.ok && subscribed) {
        this.#connection = connected.value;
        this.#sendReceipts();
        waitMs = LIMITS.upstreamBackoffMsMin.value;
        await Promise.race([connected.value.ended, aborted(this.#stop.signal)]);
        this.#connection = null;
      } else if (!connected.ok) {
        print(`${this.#options.name}: cannot connect (${connected.error.code})`);
      }
      if (connected.ok) await connected.value.close();
      if (this.#stop.signal.aborted) return;
      await clock.sleep(waitMs * (1 - 0.25 * random()), this.#stop.signal);
      waitMs = Math.min(waitMs * 2, LIMITS.upstreamBackoffMsMax.value);
    }
  }

  #filters(): readonly string[] {
    const topics = upstreamTopics({ prefix: this.#options.topicPrefix, gatewayId: "+" });
    const { alerts, acts, losses, gateway, observations, predictions, events, tallies, heartbeat, state } = topics;
    return [alerts, acts, losses, gateway, observations, predictions, events, tallies, heartbeat, state];
  }

  // ---------------------------------------------------------------- messages

  #take(arrival: ReceiverArrival): void {
    const gatewayId = arrival.topic.split("/").at(-2) ?? "";
    const message = parseJson(arrival.payload);
    const format = text(message, "format");
    if (format === "vigil.record/1") this.#takeRecord(gatewayId, message, arrival);
    else if (format === "vigil.batch/1") this.#takeBatch(message, arrival);
    else if (format === "vigil.heartbeat/1") this.#takeHeartbeat(gatewayId);
    else if (format === "vigil.state/1") this.#takeState(gatewayId, message);
    else this.#unreadableCount += 1;
    this.#writeLines();
  }

  #takeRecord(gatewayId: string, message: unknown, arrival: ReceiverArrival): void {
    const key = text(message, "key");
    const kind = text(message, "kind");
    if (key === null || kind === null) {
      this.#unreadableCount += 1;
      return;
    }
    const resent = field(message, "resent") === true;
    const durable = field(message, "durable") !== false;
    const record = field(message, "record");
    const isNew = this.#remember({ key, kind, resent, durable, record, redelivered: arrival.redelivered === true });
    if (kind !== "alert") return;
    const topic = arrival.responseTopic ?? text(message, "receipts") ?? "";
    const formerKey = text(message, "formerKey");
    const isKnownByFormerKey = formerKey !== null && this.#keys.has(formerKey);
    if (isNew && !isKnownByFormerKey) this.#showAlert({ gatewayId, key, topic, durable, resent, message, record });
    this.#sendReceipt(topic, { key, state: "received", by: this.#options.name });
  }

  #takeBatch(message: unknown, arrival: ReceiverArrival): void {
    const kind = text(message, "kind");
    const records = field(message, "records");
    if (kind === null || !Array.isArray(records)) {
      this.#unreadableCount += 1;
      return;
    }
    const resent = field(message, "resent") === true;
    for (const entry of records) {
      const key = text(entry, "key");
      if (key === null) this.#unreadableCount += 1;
      else {
        const record = field(entry, "record");
        this.#remember({ key, kind, resent, durable: true, record, redelivered: arrival.redelivered === true });
      }
    }
  }

  /**
   * Keeps a key once. A record that came before it was on the gateway's disk may be gone after a crash there, and its number given to
   * another; so a key that was provisional and now carries something else is a new record. Better shown twice than not at all.
   */
  #remember(of: RecordArrival): boolean {
    const known = this.#keys.get(of.key);
    const isWanted = this.#options.recordFile !== null || !of.durable || (known?.provisionalHash ?? null) !== null;
    const content = isWanted ? contentHash(of.record) : null;
    const replaced = known !== undefined && known.provisionalHash !== null && known.provisionalHash !== content;
    this.#writeDown({ ...of, content, again: known !== undefined });
    if (known !== undefined && !replaced) {
      this.#duplicateCount += 1;
      if (!of.resent && !of.redelivered) this.#unmarkedDuplicateCount += 1;
      return false;
    }
    if (replaced) this.#parts.print(`${this.#options.name}: the key ${of.key} came again with another record`);
    const provisionalHash = of.durable ? null : content;
    this.#keys.set(of.key, { provisionalHash });
    const oldest = this.#keys.keys().next();
    if (this.#keys.size > KEYS_MAX && oldest.done === false) this.#keys.delete(oldest.value);
    this.#recordCount += 1;
    if (of.kind === "alert") this.#alertCount += 1;
    return true;
  }

  #writeDown(of: RecordArrival & { readonly content: string | null; readonly again: boolean }): void {
    if (this.#options.recordFile === null) return;
    const { key, kind, resent, durable, content } = of;
    const marks = { ...(of.again ? { again: true } : {}), ...(of.redelivered ? { redelivered: true } : {}) };
    const seq = Number(key.split("/").at(-1));
    const receivedAtMs: WallMs = this.#parts.clock.wall();
    const madeAtMs = madeAtMsOf(of.record);
    this.#lines.push(JSON.stringify({ key, kind, seq, resent, receivedAtMs, madeAtMs, durable, content, ...marks }));
  }

  #showAlert(of: {
    readonly gatewayId: string;
    readonly key: string;
    readonly topic: string;
    readonly durable: boolean;
    readonly resent: boolean;
    readonly message: unknown;
    readonly record: unknown;
  }): void {
    const words = field(of.message, "text");
    const state = text(of.record, "state") ?? "?";
    const marks = [of.resent ? "resent" : null, of.durable ? null : "not yet on disk"].filter((mark) => mark !== null);
    const subject = field(of.record, "subject");
    const where = ["bedId", "patientId", "deviceId", "part"].map((name) => text(subject, name)).filter((word) => word !== null);
    const line = [
      `alert received ${of.key}`,
      `${text(of.record, "id") ?? "?"} ${where.join(" ")}`,
      `${text(of.record, "priority") ?? "?"} ${state}${marks.length === 0 ? "" : ` (${marks.join(", ")})`}`,
      `${text(words, "en") ?? ""} | ${text(words, "zh") ?? ""}`,
    ];
    this.#parts.print(line.join("  "));
    const { acceptAfterMs } = this.#options;
    if (acceptAfterMs === null || text(of.record, "nature") !== "physiological" || state !== "active") return;
    const timer = this.#parts.clock.after(acceptAfterMs, () => {
      this.#timers.delete(timer);
      this.#sendReceipt(of.topic, { key: of.key, state: "accepted", by: this.#options.name });
    });
    this.#timers.add(timer);
  }

  #sendReceipt(topic: string, receipt: ReceiptMessage): void {
    if (topic === "") return;
    this.#receipts.push({ topic, receipt });
    if (this.#receipts.length > RECEIPTS_MAX) this.#receipts.shift();
    this.#sendReceipts();
  }

  /** Sends every receipt that waits; one that is not taken waits for the next connection. */
  #sendReceipts(): void {
    const connection = this.#connection;
    if (connection === null) return;
    for (const waiting of this.#receipts.splice(0)) {
      const { topic, receipt } = waiting;
      void connection
        .publish({ topic, payload: JSON.stringify(receipt), retain: false, urgent: true, properties: null })
        .then((sent) => {
          if (!sent.ok) this.#receipts.push(waiting);
          else if (receipt.state === "accepted") this.#parts.print(`alert accepted   ${receipt.key}  by ${receipt.by}`);
        });
    }
  }

  // -------------------------------------------------------------- heartbeats

  #takeHeartbeat(gatewayId: string): void {
    const heard = this.#gateways.get(gatewayId);
    if (heard?.silent === true) this.#parts.print(`gateway ${gatewayId} is heard again | 网关已恢复心跳`);
    this.#gateways.set(gatewayId, { atMonotonicMs: this.#parts.clock.monotonic(), silent: false });
  }

  /** The retained state makes a gateway known that has not beaten yet: it too must be heard within 30 s. */
  #takeState(gatewayId: string, message: unknown): void {
    const state = text(message, "state") ?? "?";
    this.#parts.print(`gateway ${gatewayId} is ${state}`);
    if (this.#gateways.has(gatewayId)) return;
    this.#gateways.set(gatewayId, { atMonotonicMs: this.#parts.clock.monotonic(), silent: false });
  }

  #lookForSilence(): void {
    const now = this.#parts.clock.monotonic();
    for (const [gatewayId, heard] of this.#gateways) {
      const silentMs = now - heard.atMonotonicMs;
      if (heard.silent || silentMs <= HEARTBEAT_SILENCE_MS_MAX) continue;
      heard.silent = true;
      const seconds = Math.floor(silentMs / 1000);
      this.#parts.print(`ALARM gateway ${gatewayId} has been silent for ${seconds} s | 报警：网关 ${seconds} 秒无心跳`);
    }
  }

  #writeLines(): void {
    const { recordFile } = this.#options;
    if (recordFile === null || this.#lines.length === 0) return;
    const lines = `${this.#lines.join("\n")}\n`;
    this.#lines = [];
    try {
      appendFileSync(recordFile, lines);
    } catch (error) {
      const why = error instanceof Error ? error.message : "unknown";
      this.#parts.print(`${this.#options.name}: the record file cannot be written (${why})`);
    }
  }
}

function parseJson(payload: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(payload));
  } catch {
    return null;
  }
}

function field(of: unknown, name: string): unknown {
  return typeof of === "object" && of !== null ? Object.getOwnPropertyDescriptor(of, name)?.value : undefined;
}

function text(of: unknown, name: string): string | null {
  const value = field(of, name);
  return typeof value === "string" ? value : null;
}

/** The first 16 hex digits of the SHA-256 of the record's canonical text. */
function contentHash(record: unknown): string {
  return hash("sha256", canonicalJson(record), "hex").slice(0, 16);
}

/** When the gateway made the record, by its clock; null where the record does not say. */
function madeAtMsOf(record: unknown): number | null {
  const atMs = field(field(record, "times"), "receivedAtMs") ?? field(record, "changedAtMs") ?? field(record, "atMs");
  return typeof atMs === "number" ? atMs : null;
}

function aborted(stop: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (stop.aborted) resolve();
    else stop.addEventListener("abort", () => resolve(), { once: true });
  });
}
