import type { Consciousness, LimitSide, PatientProfile } from "../core/act.ts";
import type { Evidence, Subject } from "../core/alert.ts";
import type { BedId, DeviceId, PatientId, Seq } from "../core/ids.ts";
import type { Observation, Origin } from "../core/observation.ts";
import type { DeviceAlarm } from "../core/ports.ts";
import { QUANTITIES, type QuantityName } from "../core/quantities.ts";
import { type Clock, type WallMs, wallMs } from "../core/time.ts";
import type { ConditionBoard } from "./condition-board.ts";
import { ADULT_LIMITS, type QuantityLimits } from "./default-limits.ts";
import { createLimitTracker, type LimitTracker, type Side } from "./limit-tracker.ts";
import type { WatchOptions } from "./options.ts";
import type { SampleWindow } from "./sample-window.ts";
import type { ScoreModel } from "./score-model.ts";
import { createScoreTracker, type ScoreTracker } from "./score-tracker.ts";

/** A patient as the acts say they are now. */
export interface WatchPatient {
  readonly patientId: PatientId;
  readonly bedId: BedId | null;
  readonly profile: PatientProfile;
  /** Only for such a patient may data that is not measured raise alerts. */
  readonly demonstration: boolean;
}

/** A device as configuration and acts say it is now. */
export interface WatchDevice {
  readonly deviceId: DeviceId;
  readonly bedId: BedId | null;
  /** Whom it is assigned to; null: to nobody. The assignment arms silence. */
  readonly patientId: PatientId | null;
  /** Longest time without a valid frame, in seconds. */
  readonly silenceSeconds: number;
  /** The quantities that must come from it, and the longest time without a usable value, in seconds. */
  readonly expected: readonly { readonly quantity: QuantityName; readonly silenceSeconds: number }[];
  /** How long a quantity may keep its last digit, in seconds; a quantity that is not named may keep it for ever. */
  readonly stuckSeconds: Readonly<Partial<Record<QuantityName, number>>>;
  /**
   * After how long without a measurement it is asked whether the device is still on its patient, in seconds; `awaySeconds` while its
   * patient lies in another bed than the one it stands at. Null: never, because it is one person's own.
   */
  readonly asksAfter: { readonly seconds: number; readonly awaySeconds: number } | null;
}

/** What a person entered. */
export type WatchEntry =
  | { readonly kind: "consciousness"; readonly value: Consciousness }
  | { readonly kind: "onOxygen"; readonly value: boolean };

/** A limit of the ward or set by an act; null switches a side off, undefined leaves it as it is. */
export interface WatchLimits {
  readonly patientId: PatientId;
  readonly quantity: QuantityName;
  readonly low: LimitSide | null | undefined;
  readonly high: LimitSide | null | undefined;
  /** True: a side left undefined goes back to the default limit instead. */
  readonly fromDefault?: boolean;
}

/** An entry with its times; `enteredMs` is monotonic. */
export interface HeldEntry {
  readonly value: string | boolean;
  readonly atMs: WallMs;
  readonly enteredMs: number;
  readonly seq: Seq;
}

/** Everything known of one quantity of one patient. Names ending in `Ms` alone are monotonic. */
export interface QuantityState {
  readonly quantity: QuantityName;
  readonly window: SampleWindow;
  /** The newest observation of each device, present or absent. */
  readonly latest: Map<DeviceId, { readonly observation: Observation; readonly atMs: number }>;
  readonly trackers: Map<DeviceId, Readonly<Record<Side, LimitTracker>>>;
  limits: QuantityLimits | null;
  lastUsableMs: number | null;
  /** When the newest usable value was measured. */
  lastMeasuredMs: number | null;
  /** When a value last came that may not count only because it was not measured; line 7 speaks for it. */
  lastForeignMs: number | null;
  /** Since when values come that may not be trusted, and when the last one came. */
  unusable: { readonly sinceMs: number; lastMs: number } | null;
  /** Why the last reading was not usable. */
  lastWhy: string | null;
}

/** Everything known of one patient. */
export interface PatientState {
  definition: WatchPatient;
  readonly quantities: Map<QuantityName, QuantityState>;
  readonly entries: Map<string, HeldEntry>;
  readonly scores: Map<string, ScoreTracker>;
  /** False after a restart until a usable value or an entry comes: nothing is raised or ended on what was read back. */
  live: boolean;
  /** How long cuff pressure, temperature and entries count now, by the score's own next due time. */
  observeSecondsMax: number;
}

/** Everything known of one device. Names ending in `Ms` alone are monotonic. */
export interface DeviceState {
  definition: WatchDevice;
  armedAtMs: number;
  lastHeardMs: number | null;
  /** When it was last heard before a restart, as its alert said. */
  lastHeardAtMs: WallMs | null;
  silent: boolean;
  strayingSinceMs: number | null;
  lastOrigin: Origin | null;
  notMeasuredSinceMs: number | null;
  deviceClock: { readonly deviceClockMs: number; readonly sinceMs: number } | null;
  readonly stuck: Map<QuantityName, { readonly value: number; readonly sinceMs: number }>;
  /** Alarms of the device itself that hold now, by code; those too that raise nothing because they are not measured. */
  readonly activeAlarms: Map<string, { readonly alarm: DeviceAlarm; readonly origin: Origin }>;
  /** Those of them from before a restart or a new connection, that the device has not repeated yet. */
  readonly unrepeatedAlarms: Set<string>;
  /** Those of them that began under a former assignment, while the device belongs to nobody. */
  readonly leftAlarms: Set<string>;
  heardAgainAtMs: number | null;
  /** When it was first heard in the present conversation. */
  conversationHeardMs: number | null;
  /**
   * When it last measured somebody, or somebody last said whom it is on; null: longer ago than anybody can know. `atLeast`: it may have
   * measured later, but not within the time that is asked about.
   */
  lastWorn: { readonly atMs: number; readonly atLeast: boolean } | null;
  /** When its patient was moved away from the bed it stands at, until somebody is asked or says whom it is on; null: not. */
  patientMovedMs: number | null;
  /** The act that last said whom it is on; null: none since it was assigned here. */
  lastWordSeq: Seq | null;
  /** From when on its values are of an unconfirmed patient; null: they are not. */
  askedSinceMs: number | null;
  /** The question about that, while it waits to be known how long nobody was measured: for the clock to be set, or the journal to be read. */
  waiting: {
    readonly question: Omit<Extract<Evidence, { kind: "still-on-patient" }>, "kind" | "sinceMs">;
    readonly waitsFor: "clock" | "reading";
  } | null;
}

/** All of the watch's state, and the parts it was made with. */
export interface WatchState {
  readonly options: WatchOptions;
  readonly clock: Clock;
  readonly models: readonly ScoreModel[];
  /** Models that the settings name and that could not be loaded, by id. */
  readonly unloadedModels: readonly string[];
  /** Models that threw; they are not asked again before a restart. */
  readonly failedModels: Set<string>;
  readonly board: ConditionBoard;
  readonly patients: Map<PatientId, PatientState>;
  readonly devices: Map<DeviceId, DeviceState>;
  /** What devices last measured before a restart is still being read. */
  lastWornIsBeingRead: boolean;
}

/** A patient of whom nothing is known yet. */
export function createPatientState(definition: WatchPatient, observeSecondsMax: number): PatientState {
  return { definition, quantities: new Map(), entries: new Map(), scores: new Map(), live: true, observeSecondsMax };
}

/** A device that was never heard, armed now. */
export function createDeviceState(definition: WatchDevice, nowMs: number): DeviceState {
  return {
    definition,
    armedAtMs: nowMs,
    lastHeardMs: null,
    lastHeardAtMs: null,
    silent: false,
    strayingSinceMs: null,
    lastOrigin: null,
    notMeasuredSinceMs: null,
    deviceClock: null,
    stuck: new Map(),
    activeAlarms: new Map(),
    unrepeatedAlarms: new Set(),
    leftAlarms: new Set(),
    heardAgainAtMs: null,
    conversationHeardMs: null,
    lastWorn: { atMs: nowMs, atLeast: false },
    patientMovedMs: null,
    lastWordSeq: null,
    askedSinceMs: null,
    waiting: null,
  };
}

/** The state of a quantity, made when first asked for. */
export function quantityOf(patient: PatientState, quantity: QuantityName): QuantityState {
  const known = patient.quantities.get(quantity);
  if (known !== undefined) return known;
  const made: QuantityState = {
    quantity,
    window: [],
    latest: new Map(),
    trackers: new Map(),
    limits: ADULT_LIMITS[quantity] ?? null,
    lastUsableMs: null,
    lastMeasuredMs: null,
    lastForeignMs: null,
    unusable: null,
    lastWhy: null,
  };
  patient.quantities.set(quantity, made);
  return made;
}

/** The limit trackers of one device, made when first asked for; null where the quantity has no limits. */
export function trackersOf(state: QuantityState, deviceId: DeviceId): Readonly<Record<Side, LimitTracker>> | null {
  if (state.limits === null) return null;
  const known = state.trackers.get(deviceId);
  if (known !== undefined) return known;
  const made = { low: createLimitTracker("low", state.limits), high: createLimitTracker("high", state.limits) };
  state.trackers.set(deviceId, made);
  return made;
}

/** The tracker of a model's answers, made when first asked for. */
export function scoreTrackerOf(patient: PatientState, modelId: string): ScoreTracker {
  const known = patient.scores.get(modelId);
  if (known !== undefined) return known;
  const made = createScoreTracker();
  patient.scores.set(modelId, made);
  return made;
}

/** The oldest a value of this quantity may be, in milliseconds. */
export function ageMsMax(options: WatchOptions, quantity: QuantityName): number {
  return options.ageSecondsMax[QUANTITIES[quantity].rhythm] * 1000;
}

/** A wall-clock time for a monotonic one, as far as the two agree now. */
export function wallOf(state: WatchState, atMs: number): WallMs {
  return wallMs(Math.round(state.clock.wall() - (state.clock.monotonic() - atMs)));
}

/** Whom and what a condition of a patient is about. */
export function patientSubject(patient: PatientState, deviceId: DeviceId | null): Subject {
  return { patientId: patient.definition.patientId, bedId: patient.definition.bedId, deviceId, part: null };
}

/** Whom and what a condition of a device is about. */
export function deviceSubject(state: WatchState, device: DeviceState): Subject {
  const { patientId, bedId, deviceId } = device.definition;
  const patient = patientId === null ? undefined : state.patients.get(patientId);
  return { patientId, bedId: patient?.definition.bedId ?? bedId, deviceId, part: null };
}

/** The origin a technical condition carries: a demonstration shows that it is one. */
export function technicalOrigin(state: WatchState, patientId: PatientId | null, lastOrigin: Origin | null): Origin {
  const patient = patientId === null ? undefined : state.patients.get(patientId);
  if (patient === undefined || !patient.definition.demonstration) return "measured";
  return lastOrigin ?? "simulated";
}
