import type { DeviceId, PatientId, Seq } from "./ids.ts";
import type { QuantityName, WaveformName } from "./quantities.ts";
import type { MonotonicMs, WallMs } from "./time.ts";

/** Why a quantity has no value. None of these ever becomes a number. */
export type Absence =
  /** The sensor is not on the patient, or not plugged in. */
  | "sensor-off"
  /** The device says it measures but has no usable signal. */
  | "no-signal"
  /** The device sends its own sign for "no value" and does not say why. */
  | "not-available"
  /** The device itself calls the value invalid. */
  | "invalid"
  /** The device is still looking (pulse search, inflating, warming up). */
  | "searching"
  /** The value is over or under what the device can express. */
  | "out-of-range"
  /** The number cannot occur in a living person; the gateway refused it. */
  | "impossible";

/** What lowers trust in a value that is there, or tells where its time comes from. */
export type QualityFlag =
  | "motion"
  | "low-perfusion"
  | "weak-signal"
  | "signal-lost"
  | "contact-unknown"
  | "irregular-pulse"
  | "early-estimate"
  | "device-alarm"
  | "device-questionable"
  | "device-clock-unset"
  | "measured-time-unknown"
  | "impossible"
  | "late"
  | "after-gap"
  /** The device measured again after a gap, or after its patient was moved, and nobody has said yet that it is still on them. */
  | "patient-unconfirmed";

/** Flags with which a value is kept and shown but may not feed a score, raise or end an alert. */
export const QUESTIONABLE_FLAGS: ReadonlySet<QualityFlag> = new Set<QualityFlag>([
  "motion",
  "low-perfusion",
  "weak-signal",
  "signal-lost",
  "irregular-pulse",
  "early-estimate",
  "device-questionable",
  "after-gap",
]);

/** Where a value comes from. Only `measured` may raise an alert on a real patient. */
export type Origin = "measured" | "test" | "simulated" | "replayed";

/** What a driver says about one quantity, in the unit the device used. */
export type Reading =
  | {
      readonly kind: "present";
      readonly quantity: QuantityName;
      readonly value: number;
      /** UCUM, as the device sent it; intake converts. */
      readonly unit: string;
      readonly flags: readonly QualityFlag[];
      /** True where the device repeats its last measurement until it takes another (a cuff's result in a live stream). */
      readonly held: boolean;
    }
  | { readonly kind: "absent"; readonly quantity: QuantityName; readonly why: Absence; readonly flags: readonly QualityFlag[] };

/** A present reading, as short as a driver can write it. */
export function present(
  quantity: QuantityName,
  value: number,
  unit: string,
  more: { readonly flags?: readonly QualityFlag[]; readonly held?: boolean } = {},
): Reading {
  return { kind: "present", quantity, value, unit, flags: more.flags ?? [], held: more.held ?? false };
}

/** An absent reading, as short as a driver can write it. */
export function absent(quantity: QuantityName, why: Absence, flags: readonly QualityFlag[] = []): Reading {
  return { kind: "absent", quantity, why, flags };
}

/** The four times of an observation, kept apart. */
export interface Times {
  /** Best estimate of when it was measured; order, windows and charts use it. */
  readonly measuredAtMs: WallMs;
  /** What the device's own clock said, or null where it has none or it is not set. */
  readonly deviceClockMs: WallMs | null;
  readonly receivedAtMs: WallMs;
  readonly receivedMonotonicMs: MonotonicMs;
}

/** How far a value may be trusted and where it comes from. */
export interface Quality {
  readonly validity: "valid" | "questionable" | "invalid";
  readonly flags: readonly QualityFlag[];
  readonly origin: Origin;
}

/** A number in the quantity's canonical unit, or the reason why there is none. */
export type Content = { readonly state: "present"; readonly value: number } | { readonly state: "absent"; readonly why: Absence };

/** A reading the gateway has judged. The unit is the one of `QUANTITIES[quantity]`. */
export interface Observation {
  readonly kind: "observation";
  readonly seq: Seq;
  readonly deviceId: DeviceId;
  /** The patient the device was assigned to when it measured, or null; never guessed. */
  readonly patientId: PatientId | null;
  readonly quantity: QuantityName;
  readonly content: Content;
  readonly times: Times;
  readonly quality: Quality;
  readonly driverId: string;
  readonly driverVersion: string;
}

/** Equally spaced samples of one wave: value = raw * gain + offset. */
export interface WaveformChunk {
  readonly kind: "waveform";
  readonly deviceId: DeviceId;
  readonly patientId: PatientId | null;
  readonly waveform: WaveformName;
  readonly sampleRateHz: number;
  /** Counts every sample since the device's session began, so that a hole is a subtraction. */
  readonly firstSampleIndex: number;
  readonly raw: Float32Array;
  readonly gain: number;
  readonly offset: number;
  /** UCUM, or "1" for uncalibrated counts. */
  readonly unit: string;
  readonly times: Times;
  readonly origin: Origin;
  /** True of what a device kept and sent later; never shown as now. */
  readonly late?: boolean;
}
