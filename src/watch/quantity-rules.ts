import { type Evidence, PRIORITY_RANK } from "../core/alert.ts";
import type { DeviceId } from "../core/ids.ts";
import { isOutside, levelsOfSide } from "../core/limit-levels.ts";
import type { Observation } from "../core/observation.ts";
import { QUANTITIES, type QuantityName } from "../core/quantities.ts";
import { ADULT_LIMITS, type LimitLevel, type QuantityLimits } from "./default-limits.ts";
import {
  type ActiveLevel,
  activeLevel,
  createLimitTracker,
  type LimitTracker,
  passLimit,
  type Side,
  stepLimit,
} from "./limit-tracker.ts";
import { addSample, medianAfter } from "./sample-window.ts";
import {
  ageMsMax,
  type DeviceState,
  type PatientState,
  patientSubject,
  type QuantityState,
  quantityOf,
  technicalOrigin,
  trackersOf,
  type WatchLimits,
  type WatchState,
  wallOf,
} from "./watch-state.ts";

const SIDES: readonly Side[] = ["low", "high"];

/** A quantity nobody expects is missed after this long while its limit condition holds. */
const HELD_LIMIT_SILENCE_SECONDS = 30;

/** Key of the condition that a value is outside a limit; one per quantity and side, whatever its priority. */
function limitKey(patient: PatientState, quantity: QuantityName, side: Side): string {
  return `limit.${quantity}.${side}/${patient.definition.patientId}`;
}

/** Key of the condition that a quantity does not come. */
function missingKey(patient: PatientState, quantity: QuantityName): string {
  return `silence.${quantity}/${patient.definition.patientId}`;
}

/** Says what now holds of one side: the most urgent level over all devices. One key, whose priority may change. */
function tellLimit(state: WatchState, patient: PatientState, quantity: QuantityState, side: Side): void {
  let worst: (ActiveLevel & { readonly deviceId: DeviceId }) | null = null;
  for (const [deviceId, trackers] of quantity.trackers) {
    const active = activeLevel(trackers[side]);
    if (active === null) continue;
    if (worst === null || PRIORITY_RANK[active.level.priority] > PRIORITY_RANK[worst.level.priority])
      worst = { ...active, deviceId };
  }
  const key = limitKey(patient, quantity.quantity, side);
  if (worst === null) {
    state.board.end(key);
    return;
  }
  if (state.board.condition(key)?.priority === worst.level.priority) return;
  const { deviceId, level } = worst;
  const sample = quantity.window.findLast((each) => each.deviceId === deviceId);
  if (sample === undefined) return;
  state.board.set({
    key,
    rule: `limit.${quantity.quantity}.${side}`,
    nature: "physiological",
    priority: level.priority,
    subject: patientSubject(patient, deviceId),
    origin: sample.origin,
    evidence: {
      kind: "limit",
      quantity: quantity.quantity,
      side,
      value: sample.value,
      limit: level.value,
      sinceMs: wallOf(state, worst.sinceMs),
      observationSeq: sample.seq,
    },
  });
}

function medianOfDevice(quantity: QuantityState, deviceId: DeviceId): (afterMs: number) => number | null {
  return (afterMs) => medianAfter(quantity.window, afterMs, deviceId);
}

/** What may not feed a condition: remembers why, so that its absence can be told. */
function noteUnusable(quantity: QuantityState, observation: Observation, nowMs: number): void {
  const { content, quality, deviceId } = observation;
  if (content.state === "absent") {
    quantity.lastWhy = content.why;
    const trackers = quantity.trackers.get(deviceId);
    if (trackers === undefined) return;
    trackers.low.absent = true;
    trackers.high.absent = true;
    return;
  }
  if (quality.validity === "valid") {
    quantity.lastForeignMs = nowMs;
    return;
  }
  quantity.lastWhy = quality.flags[0] ?? quality.validity;
  if (quantity.unusable === null) quantity.unusable = { sinceMs: nowMs, lastMs: nowMs };
  else quantity.unusable.lastMs = nowMs;
}

/**
 * Takes one observation of a patient into windows and limits.
 *
 * @param given.atMs  When it was measured, on the monotonic clock.
 * @param given.live  False for what is read back after a restart: it fills windows and delays, but raises and ends nothing.
 */
export function takeObservation(
  state: WatchState,
  patient: PatientState,
  observation: Observation,
  given: { readonly atMs: number; readonly nowMs: number; readonly live: boolean },
): void {
  const { atMs, nowMs, live } = given;
  const { content, quality, deviceId, seq } = observation;
  // SAFETY.md, rule 12: what a device kept and sent later is for the record. It is not now, however young it says it is.
  if (quality.flags.includes("late")) return;
  const quantity = quantityOf(patient, observation.quantity);
  const newest = quantity.latest.get(deviceId);
  const inOrder = newest === undefined || atMs >= newest.atMs;
  if (inOrder) quantity.latest.set(deviceId, { observation, atMs });
  // SAFETY.md, rule 12: only what is younger than the quantity's age limit may raise or end anything.
  if (nowMs - atMs > ageMsMax(state.options, observation.quantity)) return;
  const trusted = content.state === "present" && quality.validity === "valid";
  // SAFETY.md, rule 7: what is not measured feeds nothing of a real patient.
  if (!trusted || (quality.origin !== "measured" && !patient.definition.demonstration)) {
    if (inOrder) noteUnusable(quantity, observation, nowMs);
    return;
  }
  addSample(quantity.window, {
    value: content.value,
    atMs,
    seq,
    deviceId,
    origin: quality.origin,
  });
  quantity.lastMeasuredMs = Math.max(atMs, quantity.lastMeasuredMs ?? atMs);
  if (live) {
    patient.live = true;
    quantity.lastUsableMs = nowMs;
    quantity.unusable = null;
    quantity.lastWhy = null;
    state.board.end(missingKey(patient, observation.quantity));
  }
  const trackers = trackersOf(quantity, deviceId);
  if (trackers === null || !inOrder) return;
  const medianOf = medianOfDevice(quantity, deviceId);
  for (const side of SIDES) {
    if (trackers[side].states.length === 0) continue;
    stepLimit(trackers[side], { value: content.value, atMs, live, medianOf });
    if (live) tellLimit(state, patient, quantity, side);
  }
}

/** Lets delays run out between values. */
export function checkLimits(state: WatchState, patient: PatientState, nowMs: number): void {
  for (const quantity of patient.quantities.values()) {
    if (quantity.limits === null) continue;
    for (const [deviceId, trackers] of quantity.trackers) {
      const medianOf = medianOfDevice(quantity, deviceId);
      for (const side of SIDES)
        passLimit(trackers[side], { nowMs, ageMsMax: ageMsMax(state.options, quantity.quantity), medianOf });
    }
    for (const side of SIDES) if (quantity.trackers.size > 0) tellLimit(state, patient, quantity, side);
  }
}

/** The levels of a side after a limit was set. Null switches the whole side off, undefined leaves it as it is. */
function levelsOf(
  set: { readonly quantity: QuantityName; readonly side: Side; readonly given: LimitLevel | null | undefined },
  before: readonly LimitLevel[] | undefined,
): readonly LimitLevel[] {
  const { quantity, side, given } = set;
  return given === undefined ? (before ?? []) : levelsOfSide(side, given, ADULT_LIMITS[quantity]?.[side] ?? []);
}

/** Replaces the limits of a quantity. A condition that holds ends only if the newest value is inside the new limit. */
export function applyLimits(state: WatchState, patient: PatientState, given: WatchLimits): void {
  const quantity = quantityOf(patient, given.quantity);
  const episodic = QUANTITIES[given.quantity].rhythm === "episodic";
  const seconds = episodic ? 0 : 10;
  const base = given.fromDefault === true ? (ADULT_LIMITS[given.quantity] ?? null) : quantity.limits;
  const before = base ?? {
    onsetSeconds: seconds,
    clearSeconds: seconds,
    hysteresis: QUANTITIES[given.quantity].resolution,
  };
  const limits: QuantityLimits = {
    onsetSeconds: before.onsetSeconds,
    clearSeconds: before.clearSeconds,
    hysteresis: before.hysteresis,
    low: levelsOf({ quantity: given.quantity, side: "low", given: given.low }, base?.low),
    high: levelsOf({ quantity: given.quantity, side: "high", given: given.high }, base?.high),
  };
  quantity.limits = limits;
  renewTrackers(state, patient, quantity);
}

/** Lets every device's tracker follow the limits as they are now. */
function renewTrackers(state: WatchState, patient: PatientState, quantity: QuantityState): void {
  const { limits } = quantity;
  if (limits === null) quantity.trackers.clear();
  else
    for (const [deviceId, old] of [...quantity.trackers])
      quantity.trackers.set(deviceId, renewed(quantity, { deviceId, old, limits }));
  for (const side of SIDES) tellLimit(state, patient, quantity, side);
}

/** A device's trackers under other limits: what held still holds where the newest value is outside them. */
function renewed(
  quantity: QuantityState,
  given: { readonly deviceId: DeviceId; readonly old: Readonly<Record<Side, LimitTracker>>; readonly limits: QuantityLimits },
): Readonly<Record<Side, LimitTracker>> {
  const { deviceId, old, limits } = given;
  const value = quantity.window.findLast((sample) => sample.deviceId === deviceId)?.value;
  const renew = (side: Side) => {
    const made = createLimitTracker(side, limits);
    made.live = old[side].live;
    if (value === undefined || activeLevel(old[side]) === null) return made;
    for (const each of made.states) each.active = isOutside(side, each.level.value, value);
    return made;
  };
  return { low: renew("low"), high: renew("high") };
}

/** Takes over what is known of a quantity under another number of the same patient; devices go on under this patient's limits. */
export function joinQuantity(state: WatchState, patient: PatientState, from: QuantityState): void {
  const quantity = quantityOf(patient, from.quantity);
  for (const sample of from.window) addSample(quantity.window, sample);
  for (const [deviceId, latest] of from.latest) quantity.latest.set(deviceId, latest);
  quantity.lastUsableMs = laterOf(quantity.lastUsableMs, from.lastUsableMs);
  quantity.lastMeasuredMs = laterOf(quantity.lastMeasuredMs, from.lastMeasuredMs);
  quantity.lastForeignMs = laterOf(quantity.lastForeignMs, from.lastForeignMs);
  quantity.unusable ??= from.unusable;
  quantity.lastWhy ??= from.lastWhy;
  for (const [deviceId, trackers] of from.trackers) quantity.trackers.set(deviceId, trackers);
  if (JSON.stringify(quantity.limits) !== JSON.stringify(from.limits)) renewTrackers(state, patient, quantity);
  for (const side of SIDES) tellLimit(state, patient, quantity, side);
}

function laterOf(one: number | null, other: number | null): number | null {
  return one === null || other === null ? (one ?? other) : Math.max(one, other);
}

/** Forgets what a device said of a patient's limits, once it is no longer theirs; the numbers stay in the windows for their age. */
export function forgetDevice(state: WatchState, patient: PatientState, deviceId: DeviceId): void {
  for (const quantity of patient.quantities.values()) {
    quantity.latest.delete(deviceId);
    quantity.unusable = null;
    if (!quantity.trackers.delete(deviceId)) continue;
    for (const side of SIDES) tellLimit(state, patient, quantity, side);
  }
}

/** A patient's quantity that somebody counts on: by when, and since when. */
interface Expectation {
  readonly limitSeconds: number;
  readonly sinceMs: number;
}

function expectationOf(devices: readonly DeviceState[], quantity: QuantityName): Expectation | null {
  let limitSeconds = Infinity;
  let sinceMs = Infinity;
  for (const device of devices) {
    const expected = device.definition.expected.find((each) => each.quantity === quantity);
    if (expected === undefined || device.silent) continue;
    limitSeconds = Math.min(limitSeconds, expected.silenceSeconds);
    sinceMs = Math.min(sinceMs, Math.max(device.armedAtMs, device.heardAgainAtMs ?? device.armedAtMs));
  }
  return limitSeconds === Infinity ? null : { limitSeconds, sinceMs };
}

/**
 * What nobody expects is still missed while its limit condition holds; and anything while it comes but may not be trusted (line 7). What
 * is expected has its own time, which a device that measures each five minutes keeps.
 */
function unexpectedMissing(
  state: WatchState,
  patient: PatientState,
  quantity: QuantityState,
  { nowMs, isExpected }: { readonly nowMs: number; readonly isExpected: boolean },
): number | null {
  const { notMeasuredSeconds } = state.options;
  const { unusable } = quantity;
  const relevant = quantity.limits !== null || feedsScore(state, quantity.quantity);
  const holds = state.board.holds(missingKey(patient, quantity.quantity));
  if (unusable !== null && relevant && nowMs - unusable.sinceMs >= notMeasuredSeconds * 1000) {
    if (holds || nowMs - unusable.lastMs < notMeasuredSeconds * 1000) return notMeasuredSeconds;
  }
  const limitHolds = !isExpected && SIDES.some((side) => state.board.holds(limitKey(patient, quantity.quantity, side)));
  const continuous = QUANTITIES[quantity.quantity].rhythm === "continuous";
  const quietMs = nowMs - (quantity.lastUsableMs ?? nowMs);
  return limitHolds && continuous && quietMs >= HELD_LIMIT_SILENCE_SECONDS * 1000 ? HELD_LIMIT_SILENCE_SECONDS : null;
}

function feedsScore(state: WatchState, quantity: QuantityName): boolean {
  return state.models.some((model) =>
    model.inputs.some((input) => input.kind === "measured" && input.quantities.some((each) => each.quantity === quantity)),
  );
}

/**
 * SAFETY.md, rule 4: the watchdog is per patient and quantity. A silent device speaks for its quantities, so that one loose cable is
 * one alert; another device that is heard and is expected to bring the quantity is still held to it.
 */
export function checkMissing(state: WatchState, patient: PatientState, devices: readonly DeviceState[], nowMs: number): void {
  for (const { definition } of devices) for (const { quantity } of definition.expected) quantityOf(patient, quantity);
  for (const quantity of patient.quantities.values()) {
    const expectation = expectationOf(devices, quantity.quantity);
    const key = missingKey(patient, quantity.quantity);
    let limitSeconds: number | null = null;
    if (expectation !== null) {
      const lastMs = Math.max(expectation.sinceMs, quantity.lastUsableMs ?? -Infinity, quantity.lastForeignMs ?? -Infinity);
      if (nowMs - lastMs >= expectation.limitSeconds * 1000) limitSeconds = expectation.limitSeconds;
    }
    const allSilent = devices.length > 0 && devices.every((device) => device.silent);
    if (!allSilent) limitSeconds ??= unexpectedMissing(state, patient, quantity, { nowMs, isExpected: expectation !== null });
    if (limitSeconds === null) {
      // What was raised and is still expected ends only by a usable value, not by a restarted count.
      if (expectation === null) state.board.end(key);
      continue;
    }
    if (state.board.holds(key)) continue;
    const evidence: Evidence = {
      kind: "quantity-missing",
      quantity: quantity.quantity,
      lastValidAtMs: quantity.lastMeasuredMs === null ? null : wallOf(state, quantity.lastMeasuredMs),
      limitSeconds,
      why: quantity.lastWhy,
    };
    const lastOrigin = devices.find((device) => device.lastOrigin !== null)?.lastOrigin ?? null;
    state.board.set({
      key,
      rule: `silence.${quantity.quantity}`,
      nature: "technical",
      priority: "medium",
      subject: patientSubject(patient, null),
      origin: technicalOrigin(state, patient.definition.patientId, lastOrigin),
      evidence,
    });
  }
}
