import { type Alert, type Condition, PRIORITY_RANK } from "../core/alert.ts";
import type { DeviceId, PatientId, Seq } from "../core/ids.ts";
import type { Observation } from "../core/observation.ts";
import type { DeviceAlarm } from "../core/ports.ts";
import type { QuantityName } from "../core/quantities.ts";
import { deviceKeys } from "./device-rules.ts";
import { activeLevel, createLimitTracker, type Side, stepLimit } from "./limit-tracker.ts";
import { takeObservation } from "./quantity-rules.ts";
import { replayScores } from "./score-rules.ts";
import { noteWornBefore } from "./still-on-patient.ts";
import { type DeviceState, type PatientState, quantityOf, scoreTrackerOf, trackersOf, type WatchState } from "./watch-state.ts";

/** How far back the confirmation of scores is replayed, and in what steps. */
const REPLAY_MS = 120_000;
const REPLAY_STEP_MS = 5_000;
/** How far a wall clock may have been set back since a value was measured before the value's age counts as unknown. */
const AHEAD_MS_MAX = 60_000;

/**
 * Fills windows and delays from observations of before the restart. Their ages come from the wall clock: the monotonic one began anew.
 * What lies in the future was written by another clock; nobody knows how old it is, so it is not taken for now (SAFETY.md, rule 12).
 */
export function restoreObservations(state: WatchState, observations: readonly Observation[]): void {
  const nowMs = state.clock.monotonic();
  const nowWallMs = state.clock.wall();
  const aged = observations
    .filter(({ times }) => times.measuredAtMs - nowWallMs <= AHEAD_MS_MAX)
    .map((observation) => ({ observation, atMs: nowMs - Math.max(0, nowWallMs - observation.times.measuredAtMs) }));
  aged.sort((a, b) => a.atMs - b.atMs);
  let next = 0;
  const takeUntil = (untilMs: number) => {
    for (let each = aged[next]; each !== undefined && each.atMs <= untilMs; each = aged[++next]) {
      const { patientId } = each.observation;
      const patient = patientId === null ? undefined : state.patients.get(patientId);
      if (patient !== undefined) takeObservation(state, patient, each.observation, { atMs: each.atMs, nowMs, live: false });
    }
  };
  for (let atMs = nowMs - REPLAY_MS; atMs <= nowMs; atMs += REPLAY_STEP_MS) {
    takeUntil(atMs);
    for (const patient of state.patients.values()) replayScores(state, patient, atMs);
  }
}

/** When devices were worn, by observations of before the restart; what lies in the future tells nothing. */
export function restoreWorn(state: WatchState, observations: readonly Observation[]): void {
  for (const observation of observations) {
    const { measuredAtMs } = observation.times;
    if (measuredAtMs - state.clock.wall() > AHEAD_MS_MAX) continue;
    noteWornBefore(state, observation, pastMs(state, measuredAtMs));
  }
}

/** Monotonic time of a wall-clock time before the restart, never in the future. */
function pastMs(state: WatchState, atWallMs: number): number {
  return state.clock.monotonic() - Math.max(0, state.clock.wall() - atWallMs);
}

function adoptLimit(
  state: WatchState,
  patient: PatientState,
  alert: Alert,
  given: { quantity: QuantityName; side: Side; observationSeq: Seq },
): boolean {
  const quantity = quantityOf(patient, given.quantity);
  const { deviceId } = alert.subject;
  const device = deviceId === null ? undefined : state.devices.get(deviceId);
  if (deviceId === null || device?.definition.patientId !== patient.definition.patientId) return false;
  const trackers = trackersOf(quantity, deviceId);
  if (trackers === null || quantity.limits === null || quantity.limits[given.side].length === 0) return false;
  const adopted = createLimitTracker(given.side, quantity.limits, alert.priority);
  // At least the mildest level holds, even where the limits' priorities were changed since.
  const [mildest] = adopted.states;
  if (mildest !== undefined) mildest.active = true;
  adopted.lastAtMs = trackers[given.side].lastAtMs;
  // A cuff's result after the one that alarmed may be the last for hours. Where a limit has no delays, what came after it is not left
  // to live data, or an alert that had already ended (within its hold at the kill) would hide the next one.
  if (quantity.limits.onsetSeconds === 0 && quantity.limits.clearSeconds === 0) {
    for (const { value, atMs, seq, deviceId: from } of quantity.window) {
      if (from === deviceId && seq > given.observationSeq) stepLimit(adopted, { value, atMs, live: true, medianOf: () => value });
    }
    adopted.live = false;
    if (activeLevel(adopted) === null) return false;
  }
  quantity.trackers.set(deviceId, { ...trackers, [given.side]: adopted });
  return true;
}

function adoptOfPatient(state: WatchState, patient: PatientState, alert: Alert): boolean {
  const { evidence } = alert;
  switch (evidence.kind) {
    case "limit":
      return adoptLimit(state, patient, alert, evidence);
    case "score": {
      // Without its score nobody can say that the patient is better: the alert stands until the score is back or the patient leaves.
      if (state.unloadedModels.includes(evidence.modelId)) return true;
      if (!state.models.some(({ id }) => id === evidence.modelId)) return false;
      const tracker = scoreTrackerOf(patient, evidence.modelId);
      tracker.announcedRank = PRIORITY_RANK[alert.priority];
      tracker.announcedPoints = evidence.points;
      for (const [input, points] of Object.entries(evidence.parts)) {
        if (!tracker.lastPoints.has(input)) tracker.lastPoints.set(input, points);
      }
      return true;
    }
    case "score-partial":
      if (!state.models.some(({ id }) => id === evidence.modelId)) return false;
      scoreTrackerOf(patient, evidence.modelId).partialSinceMs = pastMs(state, evidence.sinceMs);
      return true;
    case "quantity-missing":
      return devicesOf(state, patient.definition.patientId).length > 0;
    case "device-silent":
    case "stuck":
    case "unassigned":
    case "not-measured":
    case "still-on-patient":
    case "device-alarm":
    case "fault":
      return false;
  }
}

function adoptOfDevice(state: WatchState, device: DeviceState, alert: Alert): boolean {
  const { evidence, key } = alert;
  const assigned = device.definition.patientId !== null && device.definition.patientId === alert.subject.patientId;
  switch (evidence.kind) {
    case "device-silent":
      if (assigned) device.silent = true;
      if (assigned) device.lastHeardAtMs = evidence.lastHeardAtMs;
      return assigned && key === deviceKeys.silent(device);
    case "stuck":
      if (assigned) device.stuck.set(evidence.quantity, { value: evidence.value, sinceMs: pastMs(state, evidence.sinceMs) });
      return assigned;
    case "not-measured":
      if (assigned) device.notMeasuredSinceMs = pastMs(state, evidence.sinceMs);
      return assigned;
    case "still-on-patient":
      // An answer that came after it, but before its end was on disk, is a later word than the question.
      if (!assigned || (device.lastWordSeq !== null && device.lastWordSeq > alert.seq)) return false;
      device.askedSinceMs = pastMs(state, evidence.sinceMs);
      return true;
    case "unassigned":
      if (device.definition.patientId === null) device.strayingSinceMs = pastMs(state, evidence.sinceMs);
      return device.definition.patientId === null;
    case "device-alarm":
      if (device.definition.patientId !== alert.subject.patientId) return false;
      device.activeAlarms.set(evidence.code, { alarm: alarmOf(alert, evidence), origin: alert.origin });
      device.unrepeatedAlarms.add(evidence.code);
      return true;
    case "fault":
      return assigned;
    case "limit":
    case "score":
    case "score-partial":
    case "quantity-missing":
      return false;
  }
}

/** The device's alarm as an alert says it. */
function alarmOf(alert: Alert, evidence: { readonly code: string; readonly text: string }): DeviceAlarm {
  const { code, text } = evidence;
  return { code, text, nature: alert.nature, priority: alert.priority, active: true };
}

/** Whether an alert is one that the watch raises, so that the watch must confirm or end it. */
function isWatched(alert: Alert): boolean {
  // A call stands until it is answered, whatever the watch knows.
  if (alert.evidence.kind === "device-alarm") return alert.evidence.once !== true;
  return alert.evidence.kind !== "fault" || alert.evidence.code === "device-clock-frozen";
}

/** The devices assigned to a patient. */
export function devicesOf(state: WatchState, patientId: PatientId): readonly DeviceState[] {
  return [...state.devices.values()].filter((device) => device.definition.patientId === patientId);
}

/**
 * Takes over the alerts that were open before the restart: each is confirmed (told as raised) and goes on until live data ends it, or is
 * ended because nothing is behind it any more (the patient left, the device was released, the limit was switched off).
 */
export function restoreAlerts(state: WatchState, openAlerts: readonly Alert[]): void {
  for (const alert of openAlerts) {
    if (!isWatched(alert)) continue;
    const { key, rule, nature, priority, subject, origin, evidence } = alert;
    const condition: Condition = { key, rule, nature, priority, subject, origin, evidence };
    const patient = subject.patientId === null ? undefined : state.patients.get(subject.patientId);
    const device = deviceOf(state, subject.deviceId);
    const adopted =
      (patient !== undefined && adoptOfPatient(state, patient, alert)) ||
      (device !== undefined && adoptOfDevice(state, device, alert));
    if (adopted) state.board.adopt(condition);
    else state.board.disown(key);
  }
}

function deviceOf(state: WatchState, deviceId: DeviceId | null): DeviceState | undefined {
  return deviceId === null ? undefined : state.devices.get(deviceId);
}
