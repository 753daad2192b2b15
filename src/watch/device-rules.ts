import type { Condition, Evidence } from "../core/alert.ts";
import type { Observation, Origin } from "../core/observation.ts";
import type { DeviceAlarm } from "../core/ports.ts";
import { QUANTITIES, type QuantityName } from "../core/quantities.ts";
import { ageMsMax, type DeviceState, deviceSubject, technicalOrigin, type WatchState, wallOf } from "./watch-state.ts";

/** Keys of the conditions a device may have; the rule goes before the slash. */
export const deviceKeys = {
  silent: (device: DeviceState) => `silence.device/${device.definition.deviceId}`,
  unassigned: (device: DeviceState) => `unassigned/${device.definition.deviceId}`,
  notMeasured: (device: DeviceState) => `not-measured/${device.definition.deviceId}`,
  clock: (device: DeviceState) => `fault.device-clock-frozen/${device.definition.deviceId}`,
  stuck: (device: DeviceState, quantity: QuantityName) => `stuck.${quantity}/${device.definition.deviceId}`,
  stillOnPatient: (device: DeviceState) => `still-on-patient/${device.definition.deviceId}`,
  alarm: (device: DeviceState, code: string) => `device-alarm.${code}/${device.definition.deviceId}`,
};

/** A technical condition of a device. */
export function technical(state: WatchState, device: DeviceState, key: string, evidence: Evidence): Condition {
  const { patientId } = device.definition;
  return {
    key,
    rule: key.slice(0, key.indexOf("/")),
    nature: "technical",
    priority: "medium",
    subject: deviceSubject(state, device),
    origin: technicalOrigin(state, patientId, device.lastOrigin),
    evidence,
  };
}

function belongsToRealPatient(state: WatchState, device: DeviceState): boolean {
  const { patientId } = device.definition;
  const patient = patientId === null ? undefined : state.patients.get(patientId);
  return patient !== undefined && !patient.definition.demonstration;
}

/** A valid frame came, whatever it says. */
export function noteHeard(state: WatchState, device: DeviceState, nowMs: number): void {
  device.lastHeardMs = nowMs;
  if (device.silent) {
    device.silent = false;
    device.heardAgainAtMs = nowMs;
    state.board.end(deviceKeys.silent(device));
  }
  device.heardAgainAtMs ??= nowMs;
  device.conversationHeardMs ??= nowMs;
  if (device.definition.patientId === null) device.strayingSinceMs ??= nowMs;
}

/** SAFETY.md, rule 7: origin; only what is measured ends it. */
function noteOrigin(state: WatchState, device: DeviceState, origin: Origin, nowMs: number): void {
  device.lastOrigin = origin;
  if (origin !== "measured") {
    device.notMeasuredSinceMs ??= nowMs;
    return;
  }
  if (device.notMeasuredSinceMs === null) return;
  device.notMeasuredSinceMs = null;
  state.board.end(deviceKeys.notMeasured(device));
}

/** SAFETY.md, rule 6: the device's own clock, by its continuous values (a cuff's result keeps its time by right). */
function noteDeviceClock(state: WatchState, device: DeviceState, observation: Observation, nowMs: number): void {
  const { deviceClockMs } = observation.times;
  if (deviceClockMs === null || QUANTITIES[observation.quantity].rhythm === "episodic") return;
  if (device.deviceClock?.deviceClockMs !== deviceClockMs) {
    device.deviceClock = { deviceClockMs, sinceMs: nowMs };
    state.board.end(deviceKeys.clock(device));
    return;
  }
  const seconds = (nowMs - device.deviceClock.sinceMs) / 1000;
  if (seconds < state.options.clockFrozenSeconds || device.definition.patientId === null) return;
  const facts = { device: device.definition.deviceId, seconds: Math.round(seconds) };
  state.board.set(technical(state, device, deviceKeys.clock(device), { kind: "fault", code: "device-clock-frozen", facts }));
}

/** SAFETY.md, rule 6: the same last digit for longer than the driver says can be. */
function noteStuck(state: WatchState, device: DeviceState, observation: Observation, nowMs: number): void {
  const limitSeconds = device.definition.stuckSeconds[observation.quantity];
  if (limitSeconds === undefined || device.definition.patientId === null) return;
  const { quantity, content } = observation;
  const key = deviceKeys.stuck(device, quantity);
  const before = device.stuck.get(quantity);
  if (content.state === "absent") {
    // An absence is a sign of life of the sensor, but it says nothing of a value that was already called stuck.
    if (!state.board.holds(key)) device.stuck.delete(quantity);
    return;
  }
  if (before === undefined || before.value !== content.value) {
    device.stuck.set(quantity, { value: content.value, sinceMs: nowMs });
    state.board.end(key);
    return;
  }
  if (nowMs - before.sinceMs < limitSeconds * 1000 || state.board.holds(key)) return;
  const sinceMs = wallOf(state, before.sinceMs);
  state.board.set(technical(state, device, key, { kind: "stuck", quantity, value: before.value, sinceMs, limitSeconds }));
}

/** What an observation says of its device, whoever its patient is. */
export function noteDevice(
  state: WatchState,
  device: DeviceState,
  observation: Observation,
  given: { readonly atMs: number; readonly nowMs: number },
): void {
  const { nowMs } = given;
  noteHeard(state, device, nowMs);
  // SAFETY.md, rule 12: a stored record proves that the device talks, nothing else.
  if (nowMs - given.atMs > ageMsMax(state.options, observation.quantity)) return;
  if (observation.quality.flags.includes("late")) return;
  noteOrigin(state, device, observation.quality.origin, nowMs);
  noteDeviceClock(state, device, observation, nowMs);
  // A recording that is played again may well stand still; line 7 speaks for it on a real patient.
  if (observation.quality.origin === "measured" || !belongsToRealPatient(state, device))
    noteStuck(state, device, observation, nowMs);
}

/**
 * A new conversation with the device began. Its driver knows nothing of the alarms of the last one and will not end them: those the
 * device does not repeat are over some time after it is heard again, and until then they stand.
 */
export function noteConnected(device: DeviceState): void {
  for (const code of device.activeAlarms.keys()) device.unrepeatedAlarms.add(code);
  device.conversationHeardMs = null;
}

/**
 * An alarm the device itself raises or ends: passed on at once, with the device's own urgency. A call that happened once is told each time
 * and never held: no later message, new connection, assignment or restart ends it, but only the person who answers it.
 */
export function noteAlarm(state: WatchState, device: DeviceState, alarm: DeviceAlarm, origin: Origin): void {
  const key = deviceKeys.alarm(device, alarm.code);
  const mayRaise = origin === "measured" || device.definition.patientId === null || !belongsToRealPatient(state, device);
  if (alarm.once === true) {
    if (alarm.active && mayRaise) state.board.tell(alarmCondition(state, device, alarm, origin));
    return;
  }
  device.unrepeatedAlarms.delete(alarm.code);
  device.leftAlarms.delete(alarm.code);
  if (!alarm.active) {
    device.activeAlarms.delete(alarm.code);
    state.board.end(key);
    return;
  }
  device.activeAlarms.set(alarm.code, { alarm, origin });
  if (mayRaise) state.board.set(alarmCondition(state, device, alarm, origin));
}

function alarmCondition(state: WatchState, device: DeviceState, alarm: DeviceAlarm, origin: Origin): Condition {
  const { code, nature, priority, text } = alarm;
  return {
    key: deviceKeys.alarm(device, code),
    rule: `device-alarm.${code}`,
    nature,
    priority,
    subject: deviceSubject(state, device),
    origin,
    evidence: { kind: "device-alarm", code, text, ...(alarm.once === true ? { once: true } : {}) },
  };
}

/**
 * An alarm that holds goes on over a change of assignment, for the new patient or, of a device of nobody, at its bed: a driver tells an
 * alarm when it begins and not again. Not of a device that is silent; its next conversation begins anew and tells what holds then.
 */
export function takeAlarmsAlong(state: WatchState, from: DeviceState, to: DeviceState, nowMs: number): void {
  if (from.lastHeardMs === null || nowMs - from.lastHeardMs >= from.definition.silenceSeconds * 1000) return;
  to.conversationHeardMs = from.conversationHeardMs;
  for (const { alarm, origin } of from.activeAlarms.values()) {
    noteAlarm(state, to, alarm, origin);
    if (from.unrepeatedAlarms.has(alarm.code)) to.unrepeatedAlarms.add(alarm.code);
    if (to.definition.patientId === null) to.leftAlarms.add(alarm.code);
  }
}

/** What a device was released with ends when the device is switched off: it is nobody's. */
function checkLeft(state: WatchState, device: DeviceState, nowMs: number): void {
  if (nowMs - (device.lastHeardMs ?? device.armedAtMs) < device.definition.silenceSeconds * 1000) return;
  for (const code of device.leftAlarms) {
    device.activeAlarms.delete(code);
    state.board.end(deviceKeys.alarm(device, code));
  }
  device.leftAlarms.clear();
}

/** SAFETY.md, rule 3: armed by the assignment, on the monotonic clock, whether the device was ever heard or not. */
function checkSilence(state: WatchState, device: DeviceState, nowMs: number): void {
  const { patientId, silenceSeconds } = device.definition;
  if (patientId === null || device.silent) return;
  const sinceMs = Math.max(device.lastHeardMs ?? device.armedAtMs, device.armedAtMs);
  if (nowMs - sinceMs < silenceSeconds * 1000) return;
  device.silent = true;
  // By the clock as it stands now: it may have been set since the last frame.
  const lastHeardAtMs = device.lastHeardMs === null ? device.lastHeardAtMs : wallOf(state, device.lastHeardMs);
  const evidence: Evidence = { kind: "device-silent", lastHeardAtMs, limitSeconds: silenceSeconds };
  state.board.set(technical(state, device, deviceKeys.silent(device), evidence));
}

/** SAFETY.md, rule 5: it stays until the device is assigned or taken away, even when it stops sending. */
function checkUnassigned(state: WatchState, device: DeviceState, nowMs: number): void {
  if (device.definition.patientId !== null || device.strayingSinceMs === null) return;
  if (nowMs - device.strayingSinceMs < state.options.unassignedSeconds * 1000) return;
  const key = deviceKeys.unassigned(device);
  if (state.board.holds(key)) return;
  state.board.set(technical(state, device, key, { kind: "unassigned", sinceMs: wallOf(state, device.strayingSinceMs) }));
}

function checkNotMeasured(state: WatchState, device: DeviceState, nowMs: number): void {
  if (device.notMeasuredSinceMs === null || !belongsToRealPatient(state, device)) return;
  if (nowMs - device.notMeasuredSinceMs < state.options.notMeasuredSeconds * 1000) return;
  const key = deviceKeys.notMeasured(device);
  if (state.board.holds(key)) return;
  const sinceMs = wallOf(state, device.notMeasuredSinceMs);
  const origin = device.lastOrigin ?? "test";
  state.board.set(technical(state, device, key, { kind: "not-measured", origin, sinceMs }));
}

/** Alarms taken over from before a restart end when the device talks again and does not repeat them. */
function checkUnrepeated(state: WatchState, device: DeviceState, nowMs: number): void {
  if (device.unrepeatedAlarms.size === 0 || device.conversationHeardMs === null || device.silent) return;
  if (nowMs - device.conversationHeardMs < state.options.deviceAlarmRepeatSeconds * 1000) return;
  for (const code of device.unrepeatedAlarms) {
    device.activeAlarms.delete(code);
    state.board.end(deviceKeys.alarm(device, code));
  }
  device.unrepeatedAlarms.clear();
}

/** The rules of a device that depend on time alone. */
export function checkDevice(state: WatchState, device: DeviceState, nowMs: number): void {
  checkSilence(state, device, nowMs);
  checkUnassigned(state, device, nowMs);
  checkNotMeasured(state, device, nowMs);
  checkUnrepeated(state, device, nowMs);
  checkLeft(state, device, nowMs);
}
