import type { Act } from "./act.ts";
import type { Alert } from "./alert.ts";
import type { DeviceId, Seq } from "./ids.ts";
import type { Observation } from "./observation.ts";
import type { Prediction } from "./prediction.ts";
import type { WallMs } from "./time.ts";

/** What came back from a receiver about one record. */
export interface Receipt {
  readonly kind: "receipt";
  readonly seq: Seq;
  readonly atMs: WallMs;
  /** The record key of what was received. */
  readonly of: string;
  /** The reader that sent it, for example `upstream:hospital`. */
  readonly reader: string;
  /** `received` by the machine, `seen` by a person, `accepted` as theirs, `refused` with a reason. */
  readonly state: "received" | "seen" | "accepted" | "refused";
  readonly by: string;
}

/** Records that are gone, and why: the gateway never loses silently. */
export interface Loss {
  readonly kind: "loss";
  readonly seq: Seq;
  readonly atMs: WallMs;
  readonly fromSeq: Seq;
  readonly toSeq: Seq;
  readonly count: number;
  readonly why: "queue-full" | "byte-budget" | "journal-damaged" | "reader-limit" | "receiver-refused";
  readonly what: "waveforms" | "observations" | "records";
}

/** Something a device or link did that is neither a value nor an alarm. */
export interface DeviceEvent {
  readonly kind: "event";
  readonly seq: Seq;
  readonly atMs: WallMs;
  readonly deviceId: DeviceId;
  readonly code: "link-up" | "link-down" | "synchronised" | "refused" | "quarantined" | "device-text";
  readonly facts: Readonly<Record<string, string | number>>;
}

/** Everything the journal keeps, in one order. Waves are kept apart. */
export type JournalRecord = Observation | Prediction | Alert | Act | Receipt | Loss | DeviceEvent;

/** The kinds of records. */
export type RecordKind = JournalRecord["kind"];

/** Kinds that are dropped last and never under pressure. Source: architecture, "What the journal keeps". */
export const KEPT_KINDS: ReadonlySet<RecordKind> = new Set<RecordKind>(["alert", "act", "receipt", "loss"]);
