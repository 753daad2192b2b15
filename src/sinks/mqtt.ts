import { type Fault, fault } from "../core/errors.ts";
import type { Seq } from "../core/ids.ts";
import { LIMITS } from "../core/limits.ts";
import type { Delivery, DeliveryOutcome, MqttServer, Sink } from "../core/ports.ts";
import { fail, type Result, succeed } from "../core/result.ts";
import type { Clock, Timer } from "../core/time.ts";
import {
  type AlertWords,
  type HeartbeatMessage,
  type PlaceOfBed,
  type ReceiptMessage,
  type StateMessage,
  type UpstreamTopics,
  upstreamTopics,
} from "../core/upstream.ts";
import { connectMqtt, type MqttArrival, type MqttConnection, type PublishFailure } from "../mqtt/connection.ts";
import { parseReceipt, type ReceiptProblem } from "./receipt-message.ts";
import { type OutgoingMessage, toMessages } from "./upstream-payload.ts";

/** One MQTT upstream, as the configuration says it, and who sends. */
export interface MqttSinkOptions extends MqttServer {
  readonly name: string;
  readonly topicPrefix: string;
  readonly gatewayId: string;
  /** The journal's epoch. */
  readonly epoch: string;
}

/** What the sink needs from outside. */
export interface MqttSinkParts {
  readonly clock: Clock;
  /** An alert in words, in both languages. */
  readonly textOf: AlertWords;
  /** How beds are called; left out: nobody says. */
  readonly placeOf?: PlaceOfBed;
  /** What the next heartbeat says. */
  readonly heartbeat: () => { readonly committedSeq: number; readonly state: string };
  /** The last number given to any record: a receipt about a later one is about nothing. */
  readonly lastSeq: () => Seq;
  /** Takes a receipt; the server has its PUBACK when `thank` is called, and sends it again with the next connection where it is not. */
  readonly onReceipt: (receipt: ReceiptMessage, thank: () => void) => void;
  /**
   * Trouble with receipts: `upstream-receipt-unreadable`, `upstream-receipt-unknown` (about nothing in this journal) or `upstream-denied`
   * (may not subscribe), or null when a minute passed without. Such receipts are thanked for: they would be the same the next time.
   */
  readonly onFault: (reason: Fault | null) => void;
}

/** Seven days: how long the server keeps what it has for us (receipts) while we are away. */
const SESSION_EXPIRY_SECONDS = 604_800;
/** After this long without a bad receipt its fault is over, in ms. */
const RECEIPT_FAULT_MS = 60_000;
/** MQTT 5 reason codes that do not condemn a record: the server forbids the topic, or has no room. Source: MQTT 5.0, table 2-6. */
const NOT_AUTHORIZED = 135;
const QUOTA_EXCEEDED = 151;

/**
 * Carries records to an MQTT server, 5 or 3.1.1, with QoS 1 and a persistent session, under the topics and in the payloads of
 * `core/upstream.ts`. With MQTT 5 each record message also has a response topic, the key as correlation data, and key, kind and
 * resent as user properties; all of it is in the payload too.
 *
 * An empty batch opens the connection where there is none and tells whether it stands. After a connection was lost the next delivery
 * says so once as `try-later`, so that the owner never misses it. A batch fails whole: what of it had been confirmed goes out again.
 */
export function createMqttSink(options: MqttSinkOptions, parts: MqttSinkParts): Sink {
  return new MqttSink(options, parts);
}

class MqttSink implements Sink {
  readonly name: string;
  readonly #options: MqttSinkOptions;
  readonly #parts: MqttSinkParts;
  readonly #topics: UpstreamTopics;
  readonly #stop = new AbortController();
  readonly #badReceipts: BadReceipts;
  #connection: MqttConnection | null = null;
  #connecting: Promise<Result<MqttConnection, Fault>> | null = null;
  #lostBy: Fault | null = null;
  #heartbeat: Timer | null = null;
  #receiptsDenied = false;

  constructor(options: MqttSinkOptions, parts: MqttSinkParts) {
    this.name = options.name;
    this.#options = options;
    this.#parts = parts;
    this.#topics = upstreamTopics({ prefix: options.topicPrefix, gatewayId: options.gatewayId });
    this.#badReceipts = new BadReceipts(parts);
  }

  readonly deliver = async (batch: readonly Delivery[], stop: AbortSignal): Promise<DeliveryOutcome> => {
    const lostBy = this.#lostBy;
    if (lostBy !== null) {
      this.#lostBy = null;
      return { kind: "try-later", fault: lostBy };
    }
    const connected = this.#connection === null ? await this.#connect() : succeed(this.#connection);
    if (!connected.ok) return { kind: "try-later", fault: connected.error };
    const { textOf, placeOf } = this.#parts;
    const messages = toMessages(batch, { topics: this.#topics, textOf, ...(placeOf === undefined ? {} : { placeOf }) });
    const published = Promise.all(messages.map((message) => this.#publish(connected.value, message)));
    const results = await unlessAborted(published, stop);
    if (results === null) return { kind: "try-later", fault: fault("upstream-unreachable", { reason: "given-up" }) };
    return this.#outcome(messages, results);
  };

  readonly close = async (): Promise<void> => {
    this.#stop.abort();
    this.#heartbeat?.stop();
    this.#badReceipts.close();
    const connection = this.#connection;
    if (connection === null) return;
    const goodBye = this.#publishState(connection, "offline");
    await Promise.race([goodBye, this.#parts.clock.sleep(LIMITS.upstreamStopMsMax.value / 3)]);
    await connection.close();
  };

  #publish(connection: MqttConnection, message: OutgoingMessage): Promise<Result<void, PublishFailure>> {
    const { topic, payload, urgent, resent, kind, keys } = message;
    const key = keys[0] ?? "";
    return connection.publish({
      topic,
      payload,
      retain: false,
      urgent,
      properties: {
        responseTopic: this.#topics.receipts,
        correlationData: key,
        userProperties: { key, kind, resent: String(resent) },
      },
    });
  }

  /** A lost connection outweighs a forbidden topic, which outweighs a refused record: what may heal is tried again whole. */
  #outcome(messages: readonly OutgoingMessage[], results: readonly Result<void, PublishFailure>[]): DeliveryOutcome {
    const refused: string[] = [];
    let forbidden: Fault | null = null;
    let reasonCode = 0;
    for (const [index, result] of results.entries()) {
      if (result.ok) continue;
      const message = messages[index];
      if (message === undefined) continue;
      if (result.error.kind === "lost") {
        this.#lostBy = null;
        return { kind: "try-later", fault: result.error.fault };
      }
      reasonCode = result.error.reasonCode;
      if (reasonCode === NOT_AUTHORIZED) forbidden = fault("upstream-denied", { topic: message.topic, reasonCode });
      else if (reasonCode === QUOTA_EXCEEDED) forbidden = fault("upstream-slow", { topic: message.topic, reasonCode });
      else refused.push(...message.keys);
    }
    if (forbidden !== null) return { kind: "try-later", fault: forbidden };
    if (refused.length > 0) return { kind: "rejected", keys: refused, fault: fault("upstream-rejected", { reasonCode }) };
    return { kind: "delivered" };
  }

  #connect(): Promise<Result<MqttConnection, Fault>> {
    this.#connecting ??= this.#open().finally(() => {
      this.#connecting = null;
    });
    return this.#connecting;
  }

  async #open(): Promise<Result<MqttConnection, Fault>> {
    const { clock } = this.#parts;
    const session = {
      clientId: `vigil-${this.#options.gatewayId}-${this.#options.name}`,
      sessionExpirySeconds: SESSION_EXPIRY_SECONDS,
      will: { topic: this.#topics.state, payload: JSON.stringify(this.#state("offline")) },
    };
    const onMessage = (arrival: MqttArrival, thank: () => void) => this.#take(arrival, thank);
    const opened = await connectMqtt(this.#options, session, {
      clock,
      onMessage,
      thanksByHand: true,
      stop: this.#stop.signal,
    });
    if (!opened.ok) return opened;
    const connection = opened.value;
    const subscribed = await connection.subscribe([this.#topics.receipts]);
    const endedBy = connection.endedBy();
    if (endedBy !== null) return fail(endedBy);
    this.#tellReceipts(subscribed);
    if (this.#stop.signal.aborted) {
      await connection.close();
      return fail(fault("upstream-unreachable", { reason: "stopping" }));
    }
    this.#connection = connection;
    void this.#publishState(connection, "online");
    void this.#beat(connection);
    this.#heartbeat = clock.every(LIMITS.upstreamHeartbeatMs.value, () => void this.#beat(connection));
    void connection.ended.then((reason) => {
      this.#heartbeat?.stop();
      this.#connection = null;
      this.#lostBy = reason;
    });
    return succeed(connection);
  }

  /** Without its receipts the gateway still sends; told once, and again when they may come. */
  #tellReceipts(subscribed: Result<void, Fault>): void {
    if (!subscribed.ok) this.#parts.onFault(subscribed.error);
    else if (this.#receiptsDenied) this.#parts.onFault(null);
    this.#receiptsDenied = !subscribed.ok;
  }

  #state(state: StateMessage["state"]): StateMessage {
    const { gatewayId, epoch } = this.#options;
    return { format: "vigil.state/1", gatewayId, epoch, state, atMs: this.#parts.clock.wall() };
  }

  /** A state that is not confirmed shows itself: without a PUBACK the connection ends as `upstream-slow`. */
  async #publishState(connection: MqttConnection, state: StateMessage["state"]): Promise<void> {
    const payload = JSON.stringify(this.#state(state));
    await connection.publish({ topic: this.#topics.state, payload, retain: true, urgent: true, properties: null });
  }

  /** Takes an urgent place: a heartbeat behind a backlog would be a false alarm. */
  async #beat(connection: MqttConnection): Promise<void> {
    const { gatewayId, epoch } = this.#options;
    const { committedSeq, state } = this.#parts.heartbeat();
    const atMs = this.#parts.clock.wall();
    const message: HeartbeatMessage = { format: "vigil.heartbeat/1", gatewayId, epoch, atMs, committedSeq, state };
    const payload = JSON.stringify(message);
    await connection.publish({ topic: this.#topics.heartbeat, payload, retain: false, urgent: true, properties: null });
  }

  #take(arrival: MqttArrival, thank: () => void): void {
    if (arrival.topic !== this.#topics.receipts) {
      thank();
      return;
    }
    const { gatewayId, epoch } = this.#options;
    const parsed = parseReceipt(arrival.payload, { gatewayId, epoch, lastSeq: this.#parts.lastSeq() });
    if (parsed.ok) {
      this.#parts.onReceipt(parsed.value, thank);
      return;
    }
    this.#badReceipts.count(parsed.error);
    thank();
  }
}

/** What is well written and about nothing here. */
const UNKNOWN_PROBLEMS: ReadonlySet<ReceiptProblem> = new Set<ReceiptProblem>(["other-gateway", "other-epoch", "unknown-record"]);

/** Counts receipts that are of no use; tells the first, and again once they have stopped for a minute. */
class BadReceipts {
  readonly #parts: MqttSinkParts;
  #count = 0;
  #quiet: Timer | null = null;

  constructor(parts: MqttSinkParts) {
    this.#parts = parts;
  }

  count(problem: ReceiptProblem): void {
    this.#count += 1;
    const code = UNKNOWN_PROBLEMS.has(problem) ? "upstream-receipt-unknown" : "upstream-receipt-unreadable";
    if (this.#quiet === null) this.#parts.onFault(fault(code, { problem, count: this.#count }));
    this.#quiet?.stop();
    this.#quiet = this.#parts.clock.after(RECEIPT_FAULT_MS, () => {
      this.#quiet = null;
      this.#parts.onFault(null);
    });
  }

  close(): void {
    this.#quiet?.stop();
  }
}

/** The answer, or null where `stop` comes first. */
async function unlessAborted<Value>(answer: Promise<Value>, stop: AbortSignal): Promise<Value | null> {
  let onAbort = () => {};
  const stopped = new Promise<null>((resolve) => {
    onAbort = () => resolve(null);
    if (stop.aborted) onAbort();
    else stop.addEventListener("abort", onAbort);
  });
  try {
    return await Promise.race([answer, stopped]);
  } finally {
    stop.removeEventListener("abort", onAbort);
  }
}
