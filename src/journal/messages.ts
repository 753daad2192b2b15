import type { Fault } from "../core/errors.ts";
import type { TrendPoint } from "../core/ports.ts";
import type { QuantityName } from "../core/quantities.ts";
import type { LifeStart, Loss, LossReason, RecordKind } from "../core/record.ts";
import type { PackedRecords } from "./packing.ts";
import type { WaveSettings } from "./waves/wave-settings.ts";

/** A disk slower than the real one, to give figures for an SD card: how long each wait for the disk takes, and a share of slow ones. */
export interface SimulatedDisk {
  readonly fsyncMs: number;
  readonly slowFsyncMs: number;
  /** From 0 to 1. */
  readonly slowShare: number;
  readonly seed: number;
}

/** One file of observations as its readers need to know it. */
export interface SegmentEntry {
  readonly file: string;
  readonly firstSeq: number;
  readonly lastSeq: number;
  readonly recordCount: number;
  /** Earliest and latest measured time, or null where it holds no observation. While it is not sealed they may be older than the truth. */
  readonly minAtMs: number | null;
  readonly maxAtMs: number | null;
  readonly sealed: boolean;
  readonly bytes: number;
}

/** One file of alerts and receipts that were sealed away, as its readers need to know it. */
export interface SealedKept {
  readonly file: string;
  /** No record of its own is outside of these numbers. */
  readonly firstSeq: number;
  readonly lastSeq: number;
  /** How many alerts and receipts of its own it holds. */
  readonly recordCount: number;
}

/** The same as a reader knows it: null where the disk did not let its count be read. */
export interface ListedKept extends Omit<SealedKept, "recordCount"> {
  readonly recordCount: number | null;
}

/** Records that are gone, before they have become a record themselves. */
export interface LostRange {
  readonly fromSeq: number;
  readonly toSeq: number;
  readonly count: number;
  readonly why: LossReason;
  readonly what: Loss["what"];
  readonly reader: string | null;
}

/** Chunks of waves as the frames they rest in, in the order they came. */
export interface WaveBatch {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Counts the life's chunks; names this batch in the answer. */
  readonly lastNumber: number;
  readonly count: number;
  /** The sequence numbers that were current when the first and the last of them came. */
  readonly fromSeq: number;
  readonly toSeq: number;
  /** How many chunks still waited on the main thread when this batch left. */
  readonly remaining: number;
}

/** A place in a file of waves. */
export interface WavePlace {
  readonly file: string;
  readonly atByte: number;
}

/** A reader's name and its cursor as JSON. */
export type StoredCursor = readonly [reader: string, json: string];

/** What opening needs to know. */
export interface OpenRequest {
  readonly folder: string;
  readonly gatewayId: string;
  readonly bytesMax: number;
  /** With so many new bytes the kept file's alerts and receipts are sealed away; left out: `journalKeptFileBytesMax`. */
  readonly keptFileBytesMax?: number;
  readonly simulatedDisk: SimulatedDisk | null;
  readonly waves: WaveSettings;
  /** The epoch of the running gateway when its worker is started again, else null. */
  readonly epochToKeep: string | null;
  /** Numbers the running gateway left out while the files could not be written, else null. */
  readonly leftOutToKeep?: { readonly from: number; readonly to: number } | null;
  /** The running gateway has had the files open: they are somewhere, and are not made anew where they are not found. */
  readonly filesAreMade?: boolean;
  /** The last number of which the running gateway was told that it is on disk; missing where it was told of none. */
  readonly committedSeq?: number;
  /** Check every page of every file; set when damage was met while running. */
  readonly checkAll: boolean;
}

/** What opening found. */
export interface OpenedJournal {
  readonly epoch: string;
  readonly lastSeq: number;
  readonly endedBefore: LifeStart["before"];
  /** Numbers that a former life may have given without a record on disk, or null. */
  readonly leftOut: { readonly from: number; readonly to: number } | null;
  readonly faults: readonly Fault[];
  readonly losses: readonly LostRange[];
  readonly segments: readonly SegmentEntry[];
  /** Oldest first. */
  readonly sealedKept: readonly ListedKept[];
  /** Why the files can be read at best and are not open for writing; null: they are. */
  readonly notWritable: Fault | null;
}

/** From the main thread to the writing thread. */
export type ToWriter =
  | { readonly kind: "open"; readonly request: OpenRequest }
  /** `dropped`: what went from the queue before this batch; owed with it, so that no crash can make it a gap without a reason. */
  | {
      readonly kind: "commit";
      readonly upToSeq: number;
      readonly batch: PackedRecords;
      readonly dropped?: readonly LostRange[];
    }
  | { readonly kind: "cursors"; readonly cursors: readonly StoredCursor[] }
  | { readonly kind: "set-aside"; readonly file: string }
  | { readonly kind: "waves"; readonly batch: WaveBatch }
  /** A reader met damage in this file of the ring or in this strip. */
  | { readonly kind: "mend-waves"; readonly file: string }
  /** `cleanUpToSeq`: the last number given, where everything up to it is on disk; else null. */
  | { readonly kind: "close"; readonly cleanUpToSeq: number | null };

/** From the writing thread to the main thread. */
export type FromWriter =
  | { readonly kind: "opened"; readonly opened: OpenedJournal }
  | { readonly kind: "refused"; readonly fault: Fault }
  | { readonly kind: "committed"; readonly upToSeq: number; readonly commitMs: number }
  | { readonly kind: "failed"; readonly fault: Fault }
  /** `renewed`: a file in use was written anew, so that readers must open theirs again. */
  | {
      readonly kind: "segments";
      readonly segments: readonly SegmentEntry[];
      readonly sealedKept: readonly ListedKept[];
      readonly renewed: boolean;
    }
  | { readonly kind: "lost"; readonly loss: LostRange; readonly fault: Fault | null }
  | { readonly kind: "figures"; readonly bytesOnDisk: number; readonly fsyncs: number }
  /** The batch that ends with this chunk was taken: it is in the ring or told as lost. */
  | { readonly kind: "waves-taken"; readonly lastNumber: number; readonly bytesOnDisk: number }
  | { readonly kind: "closed" };

/** What may be asked of the reading thread. */
export type ReadQuery =
  | {
      readonly kind: "records";
      readonly afterSeq: number;
      readonly upToSeq: number;
      readonly limit: number;
      readonly kinds: readonly RecordKind[] | null;
    }
  | { readonly kind: "observations-back"; readonly upToSeq: number; readonly limit: number }
  | { readonly kind: "open-alerts" }
  | {
      readonly kind: "latest";
      readonly sinceMs: number;
      readonly quantities: readonly QuantityName[];
      /** Only what has these numbers, both included; left out: all. */
      readonly fromSeq?: number;
      readonly toSeq?: number;
    }
  | {
      readonly kind: "trend";
      readonly patientId: string;
      readonly quantity: QuantityName;
      readonly fromMs: number;
      readonly toMs: number;
      readonly pointsMax: number;
      /** Only what has these numbers, both included; left out: all. */
      readonly fromSeq?: number;
      readonly toSeq?: number;
    }
  | {
      readonly kind: "waves";
      readonly source:
        | { readonly kind: "ring"; readonly deviceId: string; readonly fromMs: number; readonly toMs: number }
        | { readonly kind: "strip"; readonly alertId: string };
      /** Where the page begins; null: with the oldest. */
      readonly at: WavePlace | null;
      readonly limit: number;
    }
  | { readonly kind: "cursor"; readonly reader: string };

/** From the main thread to the reading thread. */
export type ToReader =
  /** `generation` rises when files were written anew and must be opened again. */
  | {
      readonly kind: "segments";
      readonly folder: string;
      readonly segments: readonly SegmentEntry[];
      readonly sealedKept: readonly ListedKept[];
      readonly generation: number;
    }
  | { readonly kind: "ask"; readonly id: number; readonly query: ReadQuery };

/** What the reading thread answers. */
export type ReadAnswer =
  | { readonly kind: "records"; readonly batch: PackedRecords }
  | { readonly kind: "trend"; readonly points: readonly TrendPoint[] }
  | { readonly kind: "cursor"; readonly json: string | null }
  /** Whole frames, and where the next page begins; null: there is none. */
  | { readonly kind: "waves"; readonly frames: Uint8Array<ArrayBuffer>; readonly next: WavePlace | null }
  | { readonly kind: "failed"; readonly sqliteCode: string };

/** From the reading thread to the main thread. */
export type FromReader =
  | { readonly kind: "answer"; readonly id: number; readonly answer: ReadAnswer }
  /** One block or record whose check sum is wrong; it was passed over. */
  | {
      readonly kind: "damaged-range";
      readonly file: string;
      readonly fromSeq: number;
      readonly toSeq: number;
      readonly count: number;
    }
  /** A file of waves is not as it was written. */
  | { readonly kind: "damaged-waves"; readonly file: string }
  /** A file SQLite itself calls damaged. */
  | { readonly kind: "damaged-file"; readonly file: string };
