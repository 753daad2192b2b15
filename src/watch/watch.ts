import type { Consciousness } from "../core/act.ts";
import type { Alert, ConditionChange } from "../core/alert.ts";
import type { DeviceId, PatientId, Seq } from "../core/ids.ts";
import type { Observation, Origin } from "../core/observation.ts";
import type { DeviceAlarm } from "../core/ports.ts";
import type { Answer, Prediction } from "../core/prediction.ts";
import { QUANTITIES } from "../core/quantities.ts";
import type { EntryView, NumberView } from "../core/stream.ts";
import { type Clock, type WallMs, wallMs } from "../core/time.ts";
import { createConditionBoard } from "./condition-board.ts";
import { checkDevice, noteAlarm, noteConnected, noteDevice, noteHeard, takeAlarmsAlong } from "./device-rules.ts";
import type { WatchOptions } from "./options.ts";
import { mergePatients, movePatient } from "./patient-identity.ts";
import { applyLimits, checkLimits, checkMissing, forgetDevice, takeObservation } from "./quantity-rules.ts";
import { devicesOf, restoreAlerts, restoreObservations, restoreWorn } from "./restore.ts";
import type { ScoreModel } from "./score-model.ts";
import { checkScores } from "./score-rules.ts";
import { askWhatWaited, checkUnconfirmed, isUnconfirmed, noteConfirmed, noteSlept, noteWorn } from "./still-on-patient.ts";
import {
  ageMsMax,
  createDeviceState,
  createPatientState,
  type PatientState,
  type QuantityState,
  type WatchDevice,
  type WatchEntry,
  type WatchLimits,
  type WatchPatient,
  type WatchState,
  wallOf,
} from "./watch-state.ts";

/** What the watch knows of one patient, for the wall. */
export interface WatchView {
  readonly numbers: readonly NumberView[];
  readonly answers: readonly { readonly modelId: string; readonly answer: Answer; readonly atMs: number }[];
  readonly consciousness: EntryView<Consciousness> | null;
  readonly onOxygen: EntryView<boolean> | null;
}

/**
 * Turns observations into conditions and predictions. Tell it who lies where and what is assigned (`setPatient`, `setDevice`), then
 * `restore` what was before the restart, then every frame and observation, and `tick` once a second. Never throws for what a device sends.
 */
export interface Watch {
  /** Admits a patient or changes what is known of them. A demonstration that becomes real, or the reverse, begins with empty windows. */
  readonly setPatient: (patient: WatchPatient) => readonly ConditionChange[];
  /** Two numbers were one patient: everything goes on under `toId`, in the bed of that one where it is known already. */
  readonly mergePatients: (numbers: { readonly fromId: PatientId; readonly toId: PatientId }) => readonly ConditionChange[];
  /** The patient is gone: their conditions end and their devices belong to nobody. */
  readonly removePatient: (patientId: PatientId) => readonly ConditionChange[];
  /** A device as it is now. A new assignment arms its silence; telling the same again changes nothing. */
  readonly setDevice: (device: WatchDevice) => readonly ConditionChange[];
  readonly removeDevice: (deviceId: DeviceId) => readonly ConditionChange[];
  /**
   * Somebody said by an act that a device is on its patient, which ends the question whether it is. `atMs` is monotonic; null: longer ago
   * than anybody can know.
   */
  readonly confirmAssignment: (word: {
    readonly deviceId: DeviceId;
    readonly atMs: number | null;
    readonly seq: Seq;
  }) => readonly ConditionChange[];
  /** A device's patient was moved away from the bed it stands at, at a monotonic time (null: nobody knows when), or back to it. */
  readonly patientMoved: (move: { readonly deviceId: DeviceId; readonly away: boolean; readonly atMs: number | null }) => void;
  /** The board slept, which the monotonic clock does not count: so much longer ago is what devices measured last. */
  readonly slept: (sleptMs: number) => void;
  /** Whether nobody has said yet that an observation is of the patient its device is assigned to; ask it before `observe`, and mark what is recorded. */
  readonly isUnconfirmed: (observation: Omit<Observation, "seq">) => boolean;
  readonly setLimits: (limits: WatchLimits) => readonly ConditionChange[];
  /** What a person entered; `seq` is the act's. An older entry never replaces a newer one. */
  readonly enter: (entry: WatchEntry & { readonly patientId: PatientId; readonly atMs: WallMs; readonly seq: Seq }) => void;
  /** The link to a device has opened: a new conversation begins. */
  readonly connected: (deviceId: DeviceId) => void;
  /** A valid frame came from a device, whatever it says. */
  readonly heard: (deviceId: DeviceId) => readonly ConditionChange[];
  readonly observe: (observation: Observation) => readonly ConditionChange[];
  readonly deviceAlarm: (deviceId: DeviceId, alarm: DeviceAlarm, origin: Origin) => readonly ConditionChange[];
  /** What time alone changes; called once a second. */
  readonly tick: () => { readonly changes: readonly ConditionChange[]; readonly predictions: readonly Omit<Prediction, "seq">[] };
  /** Rebuilds windows, delays and conditions after a restart; confirms or ends each open alert that came from here. */
  readonly restore: (from: {
    readonly observations: readonly Observation[];
    /** True: what devices last measured before those follows with `lastWornRead`. */
    readonly lastWornFollows?: boolean;
    readonly openAlerts: readonly Alert[];
  }) => readonly ConditionChange[];
  /** Takes what was measured before the restart and whose age became known only now: it fills windows, and ends nothing but questions that it answers. */
  readonly recall: (observations: readonly Observation[], lastWorn?: readonly Observation[]) => readonly ConditionChange[];
  /** What devices last measured before the restart, as far as its age is known: who wore a device until then had no gap. */
  readonly lastWornRead: (lastWorn: readonly Observation[]) => readonly ConditionChange[];
  /** What is known of a patient, or null of one who is not admitted. */
  readonly view: (patientId: PatientId) => WatchView | null;
}

/** When an observation was measured, on the monotonic clock; a device clock that is ahead counts as now. */
function monotonicOf(observation: Pick<Observation, "times">): number {
  const { receivedMonotonicMs, receivedAtMs, measuredAtMs } = observation.times;
  return receivedMonotonicMs - Math.max(0, receivedAtMs - measuredAtMs);
}

function setPatient(state: WatchState, definition: WatchPatient): void {
  const { patientId } = definition;
  const known = state.patients.get(patientId);
  if (known !== undefined && known.definition.demonstration === definition.demonstration) {
    known.definition = definition;
    movePatient(state, patientId, definition.bedId);
    return;
  }
  if (known !== undefined) state.board.endWhere((condition) => condition.subject.patientId === patientId);
  state.patients.set(patientId, createPatientState(definition, state.options.ageSecondsMax.episodic));
}

/** Ends what a device's former assignment said; its limits are forgotten with it. */
function leave(state: WatchState, deviceId: DeviceId, patientId: PatientId | null): void {
  const patient = patientId === null ? undefined : state.patients.get(patientId);
  state.board.endWhere((condition) => condition.subject.deviceId === deviceId);
  if (patient !== undefined) forgetDevice(state, patient, deviceId);
}

function setDevice(state: WatchState, definition: WatchDevice): void {
  const known = state.devices.get(definition.deviceId);
  if (known !== undefined && known.definition.patientId === definition.patientId) {
    known.definition = definition;
    return;
  }
  if (known !== undefined) leave(state, definition.deviceId, known.definition.patientId);
  const nowMs = state.clock.monotonic();
  const made = createDeviceState(definition, nowMs);
  state.devices.set(definition.deviceId, made);
  if (known !== undefined) takeAlarmsAlong(state, known, made, nowMs);
}

function removeDevice(state: WatchState, deviceId: DeviceId): void {
  leave(state, deviceId, state.devices.get(deviceId)?.definition.patientId ?? null);
  state.devices.delete(deviceId);
}

function removePatient(state: WatchState, patientId: PatientId): void {
  for (const { definition } of devicesOf(state, patientId)) setDevice(state, { ...definition, patientId: null });
  state.board.endWhere((condition) => condition.subject.patientId === patientId);
  state.patients.delete(patientId);
}

function enter(
  state: WatchState,
  given: WatchEntry & { readonly patientId: PatientId; readonly atMs: WallMs; readonly seq: Seq },
): void {
  const patient = state.patients.get(given.patientId);
  if (patient === undefined) return;
  const enteredMs = state.clock.monotonic() - Math.max(0, state.clock.wall() - given.atMs);
  const before = patient.entries.get(given.kind);
  if (before !== undefined && before.seq > given.seq) return;
  patient.live = true;
  patient.entries.set(given.kind, { value: given.value, atMs: given.atMs, enteredMs, seq: given.seq });
}

function connected(state: WatchState, deviceId: DeviceId): void {
  const device = state.devices.get(deviceId);
  if (device !== undefined) noteConnected(device);
}

function heard(state: WatchState, deviceId: DeviceId): void {
  const device = state.devices.get(deviceId);
  if (device !== undefined) noteHeard(state, device, state.clock.monotonic());
}

function observe(state: WatchState, observation: Observation): void {
  const nowMs = state.clock.monotonic();
  const atMs = monotonicOf(observation);
  const device = state.devices.get(observation.deviceId);
  if (device !== undefined) noteDevice(state, device, observation, { atMs, nowMs });
  const patient = observation.patientId === null ? undefined : state.patients.get(observation.patientId);
  // What a released device says late belongs to the patient it measured, but no longer to their limits.
  if (patient === undefined || (device !== undefined && device.definition.patientId !== observation.patientId)) return;
  if (device !== undefined) noteWorn(state, device, observation, atMs);
  takeObservation(state, patient, observation, { atMs, nowMs, live: true });
}

function recall(state: WatchState, ...[observations, lastWorn = []]: Parameters<Watch["recall"]>): readonly ConditionChange[] {
  const nowMs = state.clock.monotonic();
  const nowWallMs = state.clock.wall();
  restoreWorn(state, [...lastWorn, ...observations]);
  askWhatWaited(state);
  for (const observation of observations) {
    const patient = observation.patientId === null ? undefined : state.patients.get(observation.patientId);
    const atMs = nowMs - Math.max(0, nowWallMs - observation.times.measuredAtMs);
    if (patient !== undefined) takeObservation(state, patient, observation, { atMs, nowMs, live: false });
  }
  return state.board.drain();
}

/** What is said, and not known, of whom devices are on. */
function whomItIsOn(
  state: WatchState,
): Pick<Watch, "confirmAssignment" | "patientMoved" | "slept" | "lastWornRead" | "isUnconfirmed"> {
  return {
    confirmAssignment: (word) => {
      const device = state.devices.get(word.deviceId);
      if (device !== undefined) noteConfirmed(state, device, word);
      return state.board.drain();
    },
    patientMoved: ({ deviceId, away, atMs }) => {
      const device = state.devices.get(deviceId);
      if (device !== undefined) device.patientMovedMs = away ? (atMs ?? Number.NEGATIVE_INFINITY) : null;
    },
    lastWornRead: (lastWorn) => {
      restoreWorn(state, lastWorn);
      state.lastWornIsBeingRead = false;
      askWhatWaited(state);
      return state.board.drain();
    },
    slept: (sleptMs) => {
      for (const device of state.devices.values()) noteSlept(device, sleptMs);
    },
    isUnconfirmed: (observation) => {
      const device = state.devices.get(observation.deviceId);
      return device !== undefined && isUnconfirmed(state, device, observation, monotonicOf(observation));
    },
  };
}

function tick(state: WatchState): readonly Omit<Prediction, "seq">[] {
  const nowMs = state.clock.monotonic();
  const predictions: Omit<Prediction, "seq">[] = [];
  for (const device of state.devices.values()) {
    checkDevice(state, device, nowMs);
    checkUnconfirmed(state, device, nowMs);
  }
  const devices = Map.groupBy(state.devices.values(), (device) => device.definition.patientId);
  for (const [patientId, patient] of state.patients) {
    checkMissing(state, patient, devices.get(patientId) ?? [], nowMs);
    checkLimits(state, patient, nowMs);
    predictions.push(...checkScores(state, patient, nowMs));
  }
  return predictions;
}

function setLimits(state: WatchState, limits: WatchLimits): void {
  const patient = state.patients.get(limits.patientId);
  if (patient !== undefined) applyLimits(state, patient, limits);
}

function restore(
  state: WatchState,
  { observations, lastWornFollows = false, openAlerts }: Parameters<Watch["restore"]>[0],
): void {
  for (const patient of state.patients.values()) patient.live = false;
  restoreObservations(state, observations);
  restoreWorn(state, observations);
  state.lastWornIsBeingRead = lastWornFollows;
  restoreAlerts(state, openAlerts);
}

/** The number of a quantity to show: the newest that is present and not old, else the newest of any kind. */
function numberOf(state: WatchState, quantity: QuantityState): NumberView | null {
  const { rhythm } = QUANTITIES[quantity.quantity];
  const nowMs = state.clock.monotonic();
  let shown: { readonly observation: Observation; readonly atMs: number; readonly rank: number } | null = null;
  for (const { observation, atMs } of quantity.latest.values()) {
    const fresh = nowMs - atMs <= state.options.staleSeconds[rhythm] * 1000;
    const rank = fresh && observation.content.state === "present" ? 1 : 0;
    if (shown === null || rank > shown.rank || (rank === shown.rank && atMs > shown.atMs)) shown = { observation, atMs, rank };
  }
  if (shown === null || nowMs - shown.atMs > Math.max(ageMsMax(state.options, quantity.quantity), 3_600_000)) return null;
  const { content, quality, deviceId } = shown.observation;
  const device = state.devices.get(deviceId);
  const expected = device?.definition.expected.find((each) => each.quantity === quantity.quantity);
  const staleSeconds = expected?.silenceSeconds ?? state.options.staleSeconds[rhythm];
  const staleAfterMs = (rhythm === "episodic" ? state.options.staleSeconds.episodic : staleSeconds) * 1000;
  return { quantity: quantity.quantity, content, quality, measuredAtMs: wallOf(state, shown.atMs), deviceId, staleAfterMs };
}

function entryOf<Value>(state: WatchState, patient: PatientState, kind: WatchEntry["kind"]): EntryView<Value> | null {
  const entry = patient.entries.get(kind);
  if (entry === undefined) return null;
  const secondsMax = Math.min(patient.observeSecondsMax, state.options.ageSecondsMax.episodic);
  // `enter` is the only writer and its union ties the value's type to the kind.
  const enteredAtMs = wallOf(state, entry.enteredMs);
  return { value: entry.value as Value, enteredAtMs, expiresAtMs: enteredAtMs + secondsMax * 1000 };
}

/** An answer whose inputs' wall times follow a clock that was set since. */
function shifted(answer: Answer, byMs: number): Answer {
  if (Math.abs(byMs) < 1) return answer;
  const later = (atMs: WallMs | null) => (atMs === null ? null : wallMs(Math.round(atMs + byMs)));
  const missing = answer.missing.map((each) => ({ ...each, sinceMs: later(each.sinceMs) }));
  if (answer.kind !== "score") return { ...answer, missing };
  return { ...answer, missing, parts: answer.parts.map((part) => ({ ...part, atMs: later(part.atMs) })) };
}

function view(state: WatchState, patientId: PatientId): WatchView | null {
  const patient = state.patients.get(patientId);
  if (patient === undefined) return null;
  const numbers = [...patient.quantities.values()].map((quantity) => numberOf(state, quantity)).filter((each) => each !== null);
  const now = { monotonicMs: state.clock.monotonic(), wallMs: state.clock.wall() };
  const answers = [...patient.scores].flatMap(([modelId, { told, toldAtMs, toldApartMs }]) => {
    if (told === null) return [];
    const answer = shifted(told, now.wallMs - now.monotonicMs - toldApartMs);
    return [{ modelId, answer, atMs: now.wallMs - (now.monotonicMs - toldAtMs) }];
  });
  return {
    numbers,
    answers,
    consciousness: entryOf<Consciousness>(state, patient, "consciousness"),
    onOxygen: entryOf<boolean>(state, patient, "onOxygen"),
  };
}

/**
 * Makes a watch. It holds all its state itself and takes time only from the clock given.
 *
 * @param parts.unloadedModels  Ids of models that are wanted but not there, as in safe mode: their open alerts are not ended.
 */
export function createWatch(
  options: WatchOptions,
  parts: { readonly clock: Clock; readonly models: readonly ScoreModel[]; readonly unloadedModels?: readonly string[] },
): Watch {
  const state: WatchState = {
    options,
    clock: parts.clock,
    models: parts.models,
    unloadedModels: parts.unloadedModels ?? [],
    failedModels: new Set(),
    board: createConditionBoard(),
    patients: new Map(),
    devices: new Map(),
    lastWornIsBeingRead: false,
  };
  const { drain } = state.board;
  return {
    setPatient: (patient) => {
      setPatient(state, patient);
      return drain();
    },
    mergePatients: (numbers) => {
      mergePatients(state, numbers);
      return drain();
    },
    removePatient: (patientId) => {
      removePatient(state, patientId);
      return drain();
    },
    setDevice: (device) => {
      setDevice(state, device);
      return drain();
    },
    removeDevice: (deviceId) => {
      removeDevice(state, deviceId);
      return drain();
    },
    ...whomItIsOn(state),
    setLimits: (limits) => {
      setLimits(state, limits);
      return drain();
    },
    enter: (entry) => enter(state, entry),
    connected: (deviceId) => connected(state, deviceId),
    heard: (deviceId) => {
      heard(state, deviceId);
      return drain();
    },
    observe: (observation) => {
      observe(state, observation);
      return drain();
    },
    deviceAlarm: (deviceId, alarm, origin) => {
      const device = state.devices.get(deviceId);
      if (device !== undefined) noteAlarm(state, device, alarm, origin);
      return drain();
    },
    tick: () => {
      const predictions = tick(state);
      return { changes: drain(), predictions };
    },
    restore: (from) => {
      restore(state, from);
      return drain();
    },
    recall: (...given) => recall(state, ...given),
    view: (patientId) => view(state, patientId),
  };
}
