import type { Alert } from "./alert.ts";
import type { BedId } from "./ids.ts";
import type { Text } from "./quantities.ts";
import type { JournalRecord, ReceiptState, RecordKind } from "./record.ts";
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

/** Kinds that leave one record a message. */
export const RECORD_MESSAGE_KINDS = ["alert", "act", "loss", "start", "clock"] as const;

/** Kinds that leave in batches. */
export const BATCH_MESSAGE_KINDS = ["observation", "prediction", "event", "tally"] as const;

/** Every kind of record that leaves for an upstream; the others stay in the journal. `leavesFor` says it for one record and reader. */
export const LEAVING_KINDS: ReadonlySet<RecordKind> = new Set<RecordKind>([...RECORD_MESSAGE_KINDS, ...BATCH_MESSAGE_KINDS]);

/**
 * Whether a reader is sent a record. Receipts stay inside: they came from where this goes. A loss of one reader is sent to that reader
 * alone; what a receiver refused is not told to it or to any other, or one that refuses losses would make new ones for ever.
 *
 * @param reader  The reader's name in the journal, for example `upstream:hospital`.
 */
export function leavesFor(record: JournalRecord, reader: string): boolean {
  if (record.kind === "loss") return record.why !== "receiver-refused" && (record.reader === null || record.reader === reader);
  return LEAVING_KINDS.has(record.kind);
}

/**
 * One alert, act, loss, start of the gateway or change of its clock: topics `alerts`, `acts`, `losses` and, for the last two, `gateway`;
 * QoS 1, one record a message. Starts and clock records let a receiver see restarts and mend the times of a clock that was wrong.
 * The same key may come more than once, after the first time with `resent: true`; a receiver keeps the first.
 */
export interface RecordMessage {
  readonly format: "vigil.record/1";
  /** `gateway id/journal epoch/sequence number`. */
  readonly key: string;
  /**
   * Only where the journal's epoch changed (it was damaged) and everything it holds is sent again under new keys: the key that the same
   * record had before. A receiver that has that one has this record.
   */
  readonly formerKey?: string;
  readonly kind: (typeof RECORD_MESSAGE_KINDS)[number];
  /** True where it may have been sent before, or waited while there was no connection. */
  readonly resent: boolean;
  /** False where it was not yet on the gateway's disk when it left. */
  readonly durable: boolean;
  readonly record: JournalRecord;
  /** The alert's quantity in codes, or null where it is not about one. */
  readonly codes: QuantityCodes | null;
  /** The alert in words, or null for the other kinds. */
  readonly text: Text | null;
  /** Where the alert is to be answered, as people there call it; null for the other kinds, and where it is about no bed. */
  readonly place: BedPlace | null;
  /** The topic receipts about this record are expected on; the MQTT 5 response topic says the same. */
  readonly receipts: string;
}

/**
 * Several observations, predictions, events or tallies: topics `observations`, `predictions`, `events`, `tallies`, QoS 1, in order of
 * sequence number. With the tallies a receiver can check the gateway: they say how many records of each kind it made.
 */
export interface BatchMessage {
  readonly format: "vigil.batch/1";
  readonly kind: (typeof BATCH_MESSAGE_KINDS)[number];
  readonly resent: boolean;
  readonly records: readonly {
    readonly key: string;
    /** As in `RecordMessage`. */
    readonly formerKey?: string;
    readonly record: JournalRecord;
    /** For an observation its quantity in codes, null for the others. */
    readonly codes: QuantityCodes | null;
  }[];
}

/** Topic `heartbeat`, QoS 1, every `upstreamHeartbeatMs`. A receiver alarms after 30 s without one. Source: SAFETY.md, rule 1. */
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

/**
 * Topic `receipts`, from the receiver to the gateway, QoS 1. The gateway's PUBACK says that the receipt is on its disk (or was before, or
 * is of no use to it): with a persistent session what it has not thanked for comes again. The same receipt (key, state and by) is one
 * record, however often it comes, as far back as the gateway remembers (`upstreamReceiptsKnownMax`, over restarts too). Where the
 * configuration says that this receiver `mayAcknowledge`, an `accepted` of an alert that has not been raised again since is the
 * acknowledgement of whoever it names.
 */
export interface ReceiptMessage {
  /** The key of the record it is about. */
  readonly key: string;
  readonly state: ReceiptState;
  /** Who or what says so. */
  readonly by: string;
}

/** The topics of one gateway: `<prefix>/<gateway id>/<word>`. */
export interface UpstreamTopics {
  readonly alerts: string;
  readonly acts: string;
  readonly losses: string;
  /** Starts and clock records. */
  readonly gateway: string;
  readonly observations: string;
  readonly predictions: string;
  readonly events: string;
  readonly tallies: string;
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
    gateway: topic("gateway"),
    observations: topic("observations"),
    predictions: topic("predictions"),
    events: topic("events"),
    tallies: topic("tallies"),
    heartbeat: topic("heartbeat"),
    state: topic("state"),
    receipts: topic("receipts"),
  };
}

/** A bed by the names that staff use, as the configuration says them when the message leaves. */
export interface BedPlace {
  readonly bed: string;
  readonly room: string | null;
  readonly ward: string | null;
}

/** The names of a bed; null of one that the configuration does not know any more. */
export type PlaceOfBed = (bedId: BedId) => BedPlace | null;

/** The words for an alert in both languages, made by whoever knows how. */
export type AlertWords = (alert: Alert) => Text;
