import type { Fault } from "./errors.ts";
import type { Seq } from "./ids.ts";

/** What one reader of the journal says of itself. */
export interface ReaderState {
  /** Such as `upstream:hospital`. */
  readonly name: string;
  readonly kind: "mqtt" | "influx";
  /** Where it carries records, without anything secret. */
  readonly where: string;
  readonly state: "connected" | "connecting";
  /** Everything up to this number is done; null while the journal has not said where it stands. */
  readonly position: Seq | null;
  /** Numbers that wait, at most. */
  readonly backlogRecords: number;
  /** The first number that waits; null where none does. */
  readonly firstWaitingSeq: Seq | null;
  /** New records are read up to here: what lies after it has not been sent for the first time. */
  readonly livePosition: Seq;
  /** Alerts on the short way that are not confirmed. */
  readonly urgentWaiting: number;
  readonly lastConfirmedAtMs: number | null;
  readonly sentCount: number;
  readonly resentCount: number;
  /** Why nothing is confirmed now, and since when; null where all is well. */
  readonly outage: { readonly fault: Fault; readonly sinceMs: number } | null;
  /** The last record the far side refused for good since the start. */
  readonly lastRefusal: { readonly fault: Fault; readonly atMs: number } | null;
}

/** A reader with what the journal knows of its losses. */
export interface ReaderView extends ReaderState {
  /** The newest number on disk. */
  readonly newestSeq: Seq;
  /** When the oldest record that waits was made; null where none waits, or it cannot be read now. */
  readonly oldestWaitingAtMs: number | null;
  /** Records the far side refused for good, of all lives. */
  readonly refusedCount: number;
  readonly refusedLastAtMs: number | null;
  /** Records, at most, that the journal gave up before this reader had them, of all lives. */
  readonly missedCount: number;
  readonly missedLastAtMs: number | null;
  /** False while the journal has not been read to its end for these two. */
  readonly lossesKnown: boolean;
}
