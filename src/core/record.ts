import type { Act } from "./act.ts";
import type { Alert } from "./alert.ts";
import type { DeviceId, Seq } from "./ids.ts";
import type { NoticeHop, NoticeState } from "./notice.ts";
import type { Observation } from "./observation.ts";
import type { Prediction } from "./prediction.ts";
import type { ClockTrust, MonotonicMs, WallMs } from "./time.ts";

/** A closed range of sequence numbers. */
export interface SeqSpan {
  readonly from: Seq;
  readonly to: Seq;
}

/** What a receiver may say of a record: it has it, a person has seen it, takes it as theirs, or refuses it. */
export type ReceiptState = "received" | "seen" | "accepted" | "refused";

/** What came back from a receiver about one record. */
export interface Receipt {
  readonly kind: "receipt";
  readonly seq: Seq;
  readonly atMs: WallMs;
  /** The record key of what was received. */
  readonly of: string;
  /** The reader that sent it, for example `upstream:hospital`. */
  readonly reader: string;
  readonly state: ReceiptState;
  readonly by: string;
}

/** What became of an alert at one hop of its way along a route; `reader` is the route, for example `route:ward-3e`. */
export interface RouteReceipt extends Omit<Receipt, "state"> {
  readonly state: NoticeState;
  readonly hop: NoticeHop;
}

/**
 * Why records are gone:
 * `queue-full` the disk took too little for too long, the oldest observations waiting in memory went;
 * `byte-budget` the journal reached the size it was given, its oldest went;
 * `disk-full` others filled the disk, the journal's oldest went to make room;
 * `journal-damaged` a file was damaged or is missing;
 * `cut-off` the gateway was cut off (crash, kill, power) before they were on disk, while later numbers were already there;
 * `reader-limit` they went before the reader had them, because it was away or stuck for too long;
 * `receiver-refused` the reader's far side refused them for good; the journal still has them.
 */
export type LossReason = (typeof LOSS_REASONS)[number];

/** All of them. */
export const LOSS_REASONS = [
  "queue-full",
  "byte-budget",
  "disk-full",
  "journal-damaged",
  "cut-off",
  "reader-limit",
  "receiver-refused",
] as const;

/** Records that are gone, and why: the gateway never loses silently. */
export interface Loss {
  readonly kind: "loss";
  readonly seq: Seq;
  readonly atMs: WallMs;
  /** For waves, which have no numbers of their own: the numbers that were current when the first and the last of them came. */
  readonly fromSeq: Seq;
  readonly toSeq: Seq;
  /** How many records (or chunks of waves) went; where a damaged file does not tell, how many there can have been at most. */
  readonly count: number;
  readonly why: LossReason;
  readonly what: "waveforms" | "records";
  /** The one reader that never gets them, for example `upstream:hospital`; null where they are gone for everybody. */
  readonly reader: string | null;
}

/** A gateway has begun to run on this journal: the first record of each of its lives. Monotonic times are comparable within one life only. */
export interface LifeStart {
  readonly kind: "start";
  readonly seq: Seq;
  readonly atMs: WallMs;
  readonly atMonotonicMs: MonotonicMs;
  /** The gateway's version. */
  readonly version: string;
  /** How the life before ended: there was none, it closed its journal, or it was cut off (crash, kill, power). */
  readonly before: "first" | "closed" | "cut-off";
  /**
   * Numbers that no record on disk has or will get: they were kept in reserve, or their records were not on disk when the life before was
   * cut off. After an orderly end, and before a first life, there are none but where this life began while its files could not be written:
   * then at least `journalPlaceNumbers`, and at most `journalPlacesMax` times as many and `journalNumbersReserved`.
   */
  readonly leftOut: SeqSpan | null;
  /** How far the wall clock was believed when this life began; `trusted` where it is not said. */
  readonly trust?: ClockTrust;
  /** The newest time known from before, mended: this life did not begin earlier, whatever its clock said. Null or not said where nothing is known. */
  readonly notBeforeMs?: WallMs | null;
  /** The board's own run since it was switched on, and how long that was ago, sleep included: two lives of one run share a clock that nobody sets. */
  readonly boot?: { readonly id: string; readonly atMs: number } | null;
}

/**
 * What is known of the wall clock has changed. With these and the two times of a record its wrong wall time can be mended; the exact rule
 * is in `mended-time.ts`. Wall times of records with a higher number follow the clock as it is after the change.
 */
export interface ClockRecord {
  readonly kind: "clock";
  readonly seq: Seq;
  /** Both clocks at the same moment, after the change. */
  readonly atMs: WallMs;
  readonly atMonotonicMs: MonotonicMs;
  /** How far the wall clock was moved against the monotonic one since the last record of this kind or the start; forwards is positive. */
  readonly movedMs: number;
  /**
   * `step` somebody set it; `drift` it went faster or slower; `trust` it did not move, but is believed or doubted now;
   * `suspend` the board slept for `movedMs`, which the monotonic clock does not count: no wall time was wrong.
   */
  readonly why: "step" | "drift" | "trust" | "suspend";
  readonly trust: ClockTrust;
}

/** What one device's way in has counted between two tallies. */
export interface DeviceTally {
  readonly deviceId: DeviceId;
  readonly bytes: number;
  /** Whole messages that were decoded. */
  readonly messages: number;
  /** Stretches of bytes that were refused, by kind. */
  readonly refusals: Readonly<Record<string, number>>;
  /** Readings in those messages; each became an observation or a repeat. */
  readonly readings: number;
  /** Readings that a monitor merely repeats (a cuff's last result) and that were left out by that rule. */
  readonly repeats: number;
  /** Observations made, each with a number of its own. */
  readonly observations: number;
  /** Chunks of waves handed to the journal. */
  readonly waves: number;
}

/** The gateway's own count of what it made, once a minute and at the end: `vigil verify` holds the journal against it. */
export interface Tally {
  readonly kind: "tally";
  readonly seq: Seq;
  readonly atMs: WallMs;
  /** The numbers given since the last tally, this one's included. */
  readonly fromSeq: Seq;
  readonly toSeq: Seq;
  /** How many of them went to each kind of record. */
  readonly given: Readonly<Partial<Record<RecordKind, number>>>;
  readonly devices: readonly DeviceTally[];
}

/** Something a device or link did that is neither a value nor an alarm. */
export interface DeviceEvent {
  readonly kind: "event";
  readonly seq: Seq;
  readonly atMs: WallMs;
  readonly deviceId: DeviceId;
  /** `quality`: what was counted of its data within an hour, by the rules of `quality-view.ts`. */
  readonly code:
    | "link-up"
    | "link-down"
    | "synchronised"
    | "refused"
    | "quarantined"
    | "device-text"
    | "device-clock"
    | "quality";
  readonly facts: Readonly<Record<string, string | number>>;
}

/** Everything the journal keeps, in one order. Waves are kept apart. */
export type JournalRecord =
  | Observation
  | Prediction
  | Alert
  | Act
  | Receipt
  | RouteReceipt
  | Loss
  | DeviceEvent
  | LifeStart
  | ClockRecord
  | Tally;

/** The kinds of records. */
export type RecordKind = JournalRecord["kind"];

/** Kinds that are dropped last and never under pressure. Source: README, "Nothing lost". */
export const KEPT_KINDS: ReadonlySet<RecordKind> = new Set<RecordKind>(["alert", "act", "receipt", "loss", "start", "clock"]);

/** When a record was made, by the board's wall clock; of an observation, when it came in. */
export function madeAtMs(record: JournalRecord): WallMs {
  switch (record.kind) {
    case "observation":
      return record.times.receivedAtMs;
    case "alert":
      return record.changedAtMs;
    case "prediction":
    case "act":
    case "receipt":
    case "loss":
    case "event":
    case "start":
    case "clock":
    case "tally":
      return record.atMs;
  }
}
