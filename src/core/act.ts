import type { Priority } from "./alert.ts";
import type { AlertId, BedId, DeviceId, PatientId, Seq, UserId } from "./ids.ts";
import type { QuantityName } from "./quantities.ts";
import type { WallMs } from "./time.ts";

/** ACVPU: alert, new confusion, voice, pain, unresponsive. Source: RCP NEWS2 2017. */
export type Consciousness = "A" | "C" | "V" | "P" | "U";

/** One side of a limit. `null` switches that side off, which is itself shown. */
export interface LimitSide {
  readonly value: number;
  readonly priority: Priority;
}

/** What a person may do at the bedside. Each is one record in the journal. */
export type Deed =
  | {
      readonly kind: "admit";
      readonly patientId: PatientId;
      readonly bedId: BedId;
      /** Shown on the wall; may be initials or a pseudonym. */
      readonly label: string;
      readonly profile: PatientProfile;
      /** True for a patient that is a demonstration, test or drill; only such a patient may have alerts from data that is not measured. */
      readonly demonstration: boolean;
    }
  | { readonly kind: "discharge"; readonly patientId: PatientId }
  | { readonly kind: "assign"; readonly deviceId: DeviceId; readonly patientId: PatientId }
  | { readonly kind: "release"; readonly deviceId: DeviceId }
  | {
      readonly kind: "set-limit";
      readonly patientId: PatientId;
      readonly quantity: QuantityName;
      readonly low: LimitSide | null;
      readonly high: LimitSide | null;
    }
  | { readonly kind: "acknowledge"; readonly alertId: AlertId }
  | { readonly kind: "enter-consciousness"; readonly patientId: PatientId; readonly consciousness: Consciousness }
  | { readonly kind: "enter-oxygen"; readonly patientId: PatientId; readonly onOxygen: boolean }
  | { readonly kind: "set-profile"; readonly patientId: PatientId; readonly profile: PatientProfile };

/** What the scores need to know of a patient. */
export interface PatientProfile {
  readonly kind: "adult";
  /** NEWS2 SpO2 scale 2 only where prescribed for a target of 88 to 92 %. */
  readonly spo2Scale: 1 | 2;
}

/** A deed by somebody, at a time, through a door. */
export interface Act {
  readonly kind: "act";
  readonly seq: Seq;
  readonly atMs: WallMs;
  readonly by: UserId;
  readonly from: "page" | "command-line" | "upstream" | "demonstration";
  readonly deed: Deed;
}
