import type { Alert } from "./alert.ts";
import type { Text } from "./quantities.ts";
import type { JournalRecord, Receipt } from "./record.ts";
import type { WallMs } from "./time.ts";

/** What the gateway and an MQTT receiver say to each other. Every payload is one JSON object in UTF-8. */

/** The codes of a quantity as they travel, so that a receiver needs no table of its own. Null where no code could be confirmed. */
export interface QuantityCodes {
  /** ISO/IEEE 11073-10101 flat code. */
  readonly mdc: number | null;
  readonly loinc: string | null;
  /** UCUM. */
  readonly unit: string;
}

/**
 * One alert, act or loss: topics `alerts`, `acts`, `losses`, QoS 1, one record a message.
 * The same key may come more than once, after the first time with `resent: true`; a receiver keeps the first.
 */
export interface RecordMessage {
  readonly format: "vigil.record/1";
  /** `gateway id/journal epoch/sequence number`. */
  readonly key: string;
  readonly kind: "alert" | "act" | "loss";
  /** True where it may have been sent before, or waited while there was no connection. */
  readonly resent: boolean;
  /** False where it was not yet on the gateway's disk when it left. */
  readonly durable: boolean;
  readonly record: JournalRecord;
  /** The alert's quantity in codes, or null where it is not about one. */
  readonly codes: QuantityCodes | null;
  /** The alert in words, or null for acts and losses. */
  readonly text: Text | null;
  /** The topic receipts about this record are expected on; the MQTT 5 response topic says the same. */
  readonly receipts: string;
}

/** Several observations, predictions or events: topics `observations`, `predictions`, `events`, QoS 1, in order of sequence number. */
export interface BatchMessage {
  readonly format: "vigil.batch/1";
  readonly kind: "observation" | "prediction" | "event";
  readonly resent: boolean;
  readonly records: readonly {
    readonly key: string;
    readonly record: JournalRecord;
    /** For an observation its quantity in codes, null for the others. */
    readonly codes: QuantityCodes | null;
  }[];
}

/** Topic `heartbeat`, QoS 1, every `upstreamHeartbeatMs`. A receiver alarms after 30 s without one. Source: safety.md, line 1. */
export interface HeartbeatMessage {
  readonly format: "vigil.heartbeat/1";
  readonly gatewayId: string;
  readonly epoch: string;
  readonly atMs: WallMs;
  /** Everything up to here is on the gateway's disk. */
  readonly committedSeq: number;
  /** The gateway's own word for how it is, for example `working` or `safe-mode`. */
  readonly state: string;
}

/** Topic `state`, retained: the last word about the gateway's connection. `offline` is also its last will, then with the time of connecting. */
export interface StateMessage {
  readonly format: "vigil.state/1";
  readonly gatewayId: string;
  readonly epoch: string;
  readonly state: "online" | "offline";
  readonly atMs: WallMs;
}

/** Topic `receipts`, from the receiver to the gateway, QoS 1. */
export interface ReceiptMessage {
  /** The key of the record it is about. */
  readonly key: string;
  readonly state: Receipt["state"];
  /** Who or what says so. */
  readonly by: string;
}

/** The topics of one gateway: `<prefix>/<gateway id>/<word>`. */
export interface UpstreamTopics {
  readonly alerts: string;
  readonly acts: string;
  readonly losses: string;
  readonly observations: string;
  readonly predictions: string;
  readonly events: string;
  readonly heartbeat: string;
  readonly state: string;
  readonly receipts: string;
}

/** Names the topics of one gateway; with `+` as gateway id it names the filters for all of them. */
export function upstreamTopics(of: { readonly prefix: string; readonly gatewayId: string }): UpstreamTopics {
  const topic = (word: string) => `${of.prefix}/${of.gatewayId}/${word}`;
  return {
    alerts: topic("alerts"),
    acts: topic("acts"),
    losses: topic("losses"),
    observations: topic("observations"),
    predictions: topic("predictions"),
    events: topic("events"),
    heartbeat: topic("heartbeat"),
    state: topic("state"),
    receipts: topic("receipts"),
  };
}

/** The words for an alert in both languages, made by whoever knows how. */
export type AlertWords = (alert: Alert) => Text;
