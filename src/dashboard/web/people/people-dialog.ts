import type { BedId, DeviceId, PatientId } from "../../../core/ids.ts";
import type { QuantityName } from "../../../core/quantities.ts";

/** The dialogs about patients and what is on them, with what each begins with. */
export type PeopleDialog =
  /** Null: the bed is asked for. The number may have been scanned; empty: it is asked for. */
  | { readonly kind: "admit"; readonly bedId: BedId | null; readonly patientId: string }
  | { readonly kind: "transfer" | "discharge" | "correct" | "merge" | "profile"; readonly patientId: PatientId }
  /** What is null is asked for. */
  | { readonly kind: "assign"; readonly deviceId: DeviceId | null; readonly patientId: PatientId | null }
  | { readonly kind: "release"; readonly deviceId: DeviceId }
  | { readonly kind: "limit"; readonly patientId: PatientId; readonly quantity: QuantityName };
