import type { ErrorCode } from "./errors.ts";
import type { AlertId, BedId, DeviceId, PatientId, Seq, UserId } from "./ids.ts";
import type { Origin } from "./observation.ts";
import type { QuantityName } from "./quantities.ts";
import type { WallMs } from "./time.ts";

/** Three priorities, as on bedside monitors; there is no "info" that nobody reads. */
export type Priority = "high" | "medium" | "low";

/** Orders priorities; a higher number is more urgent. */
export const PRIORITY_RANK: Readonly<Record<Priority, number>> = { low: 1, medium: 2, high: 3 };

/** Whether the patient or the equipment needs somebody. */
export type AlertNature = "physiological" | "technical";

/** What an alert is about. A technical alert of the gateway itself names its part. */
export interface Subject {
  readonly patientId: PatientId | null;
  readonly bedId: BedId | null;
  readonly deviceId: DeviceId | null;
  /** A part of the gateway, such as `journal` or `upstream:hospital`, or null. */
  readonly part: string | null;
}

/** The facts behind a condition; prose is made from them when it is shown. */
export type Evidence =
  | {
      readonly kind: "limit";
      readonly quantity: QuantityName;
      readonly side: "low" | "high";
      readonly value: number;
      readonly limit: number;
      readonly sinceMs: WallMs;
      readonly observationSeq: Seq;
    }
  | {
      readonly kind: "score";
      readonly modelId: string;
      readonly modelVersion: string;
      readonly points: number;
      readonly partial: boolean;
      readonly parts: Readonly<Record<string, number>>;
      readonly missing: readonly string[];
      readonly predictionSeq: Seq | null;
    }
  | { readonly kind: "score-partial"; readonly modelId: string; readonly missing: readonly string[]; readonly sinceMs: WallMs }
  | { readonly kind: "device-silent"; readonly lastHeardAtMs: WallMs | null; readonly limitSeconds: number }
  | {
      readonly kind: "quantity-missing";
      readonly quantity: QuantityName;
      readonly lastValidAtMs: WallMs | null;
      readonly limitSeconds: number;
      readonly why: string | null;
    }
  | {
      readonly kind: "stuck";
      readonly quantity: QuantityName;
      readonly value: number;
      readonly sinceMs: WallMs;
      readonly limitSeconds: number;
    }
  | { readonly kind: "unassigned"; readonly sinceMs: WallMs }
  | { readonly kind: "not-measured"; readonly origin: Origin; readonly sinceMs: WallMs }
  | {
      /** The device measures again: is it still on its patient? */
      readonly kind: "still-on-patient";
      /** It had not measured for longer than `limitSeconds`, or its patient was moved away from the bed it stands at. */
      readonly why: "gap" | "moved";
      /** For how long it had not measured; null where nobody knows, and for `moved`. */
      readonly gapSeconds: number | null;
      readonly limitSeconds: number;
      /** When it measured again. */
      readonly sinceMs: WallMs;
    }
  | {
      readonly kind: "device-alarm";
      readonly code: string;
      readonly text: string;
      /** True of a call that happened once, such as a pressed button: acknowledging it is its end. */
      readonly once?: boolean;
    }
  | { readonly kind: "fault"; readonly code: ErrorCode; readonly facts: Readonly<Record<string, string | number>> };

/** Something that holds now and somebody should know. `watch` and the parts of the gateway say these; `alerts` turns them into alerts. */
export interface Condition {
  /** Rule and subject together; at most one alert is open per key. */
  readonly key: string;
  /** For example `limit.oxygenSaturation.low`, `score.news2`, `silence.device`, `fault.journal-write-failed`. */
  readonly rule: string;
  readonly nature: AlertNature;
  readonly priority: Priority;
  readonly subject: Subject;
  readonly origin: Origin;
  readonly evidence: Evidence;
}

/** What becomes of a condition. `changed` keeps the key and brings new priority or evidence. */
export type ConditionChange =
  | { readonly kind: "raised"; readonly condition: Condition }
  | { readonly kind: "changed"; readonly condition: Condition }
  /** The same condition goes on as that of another number of the same patient: only key and subject may differ. */
  | { readonly kind: "renamed"; readonly fromKey: string; readonly condition: Condition }
  | { readonly kind: "ended"; readonly key: string };

/** IHE ACM event phases, MDC_ATTR_EVENT_PHASE. `continue` marks an alert raised again because it was acknowledged and lasts. */
export type AlertPhase = "start" | "continue" | "update" | "escalate" | "deescalate" | "end";

/** An alert's whole state at one moment; each change is a new record under the same `id`. */
export interface Alert {
  readonly kind: "alert";
  readonly seq: Seq;
  readonly id: AlertId;
  readonly key: string;
  readonly rule: string;
  readonly nature: AlertNature;
  readonly priority: Priority;
  readonly subject: Subject;
  readonly origin: Origin;
  readonly evidence: Evidence;
  readonly state: "active" | "acknowledged" | "ended";
  readonly phase: AlertPhase;
  readonly raisedAtMs: WallMs;
  readonly changedAtMs: WallMs;
  readonly acknowledgedBy: UserId | null;
  readonly acknowledgedAtMs: WallMs | null;
  readonly endedAtMs: WallMs | null;
  /** How often it was raised: 1 at first, one more for each escalation or reminder. */
  readonly raisedCount: number;
}
