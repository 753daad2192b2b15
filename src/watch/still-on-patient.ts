import type { Seq } from "../core/ids.ts";
import type { Observation } from "../core/observation.ts";
import { isOfABody } from "../core/quantities.ts";
import { deviceKeys, technical } from "./device-rules.ts";
import { type DeviceState, type WatchState, wallOf } from "./watch-state.ts";

/*
 * SAFETY.md, rule 15.
 *
 * Clips and monitors are carried from bed to bed. What is taken off one patient and put on another without a word goes on as the first
 * one's: their alerts come of a stranger, and the stranger's come to nobody. The gateway cannot see it; it can ask, where a device begins
 * to measure again and may have been carried meanwhile: after a gap, also one over a restart, and after its patient was moved away from
 * the bed it stands at.
 *
 * Asking mutes nothing. Whoever wears the device is watched by nobody else, so every value counts and alerts as before, for the patient it
 * is assigned to: an alert at the wrong bed brings somebody, silence brings nobody. The values are marked `patient-unconfirmed` in the
 * journal from the first one after the gap to the answer, so that a chart can be put right.
 *
 * What it does not notice: a device that is on somebody else sooner than the bound, or that shows numbers of its own while nobody wears it.
 */

/** Values that show that somebody wears the device. Doubtful ones do not: a clip on a table sees light. */
function showsAWearer({ quantity, content, quality }: Pick<Observation, "quantity" | "content" | "quality">): boolean {
  if (content.state === "absent" || quality.validity !== "valid" || !isOfABody(quantity)) return false;
  return !quality.flags.includes("measured-time-unknown");
}

/** A device that stands at one bed while its patient lies in another is soon taken back to its bed. */
function isAway(state: WatchState, { definition }: DeviceState): boolean {
  const patient = definition.patientId === null ? undefined : state.patients.get(definition.patientId);
  return definition.bedId !== null && patient !== undefined && patient.definition.bedId !== definition.bedId;
}

type Question = NonNullable<DeviceState["waiting"]>["question"];

/** Why somebody should look whom a device is on that shows a wearer at a monotonic time; null: nothing speaks against its patient. */
function questionOf(state: WatchState, device: DeviceState, atMs: number): Question | null {
  const { asksAfter } = device.definition;
  if (asksAfter === null) return null;
  const limitSeconds = isAway(state, device) ? asksAfter.awaySeconds : asksAfter.seconds;
  if (device.patientMovedMs !== null && atMs >= device.patientMovedMs) return { why: "moved", gapSeconds: null, limitSeconds };
  if (device.lastWorn === null) return { why: "gap", gapSeconds: null, limitSeconds };
  const gapSeconds = Math.floor((atMs - device.lastWorn.atMs) / 1000);
  if (gapSeconds < limitSeconds) return null;
  return { why: "gap", gapSeconds: device.lastWorn.atLeast ? null : gapSeconds, limitSeconds };
}

/** Whether nobody has said yet that what a device measured at a monotonic time is of the patient it is assigned to. */
export function isUnconfirmed(
  state: WatchState,
  device: DeviceState,
  observation: Omit<Observation, "seq">,
  atMs: number,
): boolean {
  const { patientId } = device.definition;
  if (patientId === null || observation.patientId !== patientId || !isOfABody(observation.quantity)) return false;
  if (device.askedSinceMs !== null) return atMs >= device.askedSinceMs;
  return showsAWearer(observation) && questionOf(state, device, atMs) !== null;
}

/** Takes a value of a device's own patient, also a stored one with a known time: who wears a device all the time has no gap. */
export function noteWorn(state: WatchState, device: DeviceState, observation: Observation, atMs: number): void {
  if (device.definition.patientId === null || !showsAWearer(observation)) return;
  const question = device.askedSinceMs === null ? questionOf(state, device, atMs) : null;
  if (question !== null) {
    device.askedSinceMs = atMs;
    const waitsFor = question.why === "moved" ? null : missingFor(state, device);
    if (waitsFor === null) ask(state, device, question);
    else device.waiting = { question, waitsFor };
  }
  noteWornAt(device, atMs);
}

/** What it takes to know how long nobody was measured: the clock is often set a moment after a start, and the journal read in that time. */
function missingFor(state: WatchState, { lastWorn }: DeviceState): "clock" | "reading" | null {
  if (lastWorn === null) return "clock";
  return lastWorn.atLeast && state.lastWornIsBeingRead ? "reading" : null;
}

function noteWornAt(device: DeviceState, atMs: number): void {
  if (device.lastWorn === null || atMs >= device.lastWorn.atMs) device.lastWorn = { atMs, atLeast: false };
}

/** The board slept, and nobody measured in that time. */
export function noteSlept(device: DeviceState, sleptMs: number): void {
  const { lastWorn } = device;
  if (lastWorn !== null) device.lastWorn = { ...lastWorn, atMs: lastWorn.atMs - sleptMs };
}

function ask(state: WatchState, device: DeviceState, question: Question): void {
  const sinceMs = wallOf(state, device.askedSinceMs ?? state.clock.monotonic());
  device.waiting = null;
  device.patientMovedMs = null;
  state.board.set(
    technical(state, device, deviceKeys.stillOnPatient(device), { kind: "still-on-patient", ...question, sinceMs }),
  );
}

/** A question that waits is asked when that takes too long. */
export function checkUnconfirmed(state: WatchState, device: DeviceState, nowMs: number): void {
  if (device.waiting === null || device.askedSinceMs === null) return;
  if (nowMs - device.askedSinceMs >= state.options.askWaitSeconds * 1000) ask(state, device, device.waiting.question);
}

/** More is known of what devices last measured: what waited for that, and is not withdrawn, is asked now. */
export function askWhatWaited(state: WatchState): void {
  for (const device of state.devices.values()) {
    if (device.waiting === null) continue;
    const { question, waitsFor } = device.waiting;
    const isReadInVain = waitsFor === "reading" && !state.lastWornIsBeingRead;
    if (isReadInVain || question.gapSeconds !== null) ask(state, device, question);
  }
}

/**
 * What was measured before a restart, at a monotonic time. Where its age became known only now, it may show that there was no gap: then
 * the question was there for want of a clock, and is withdrawn.
 */
export function noteWornBefore(state: WatchState, observation: Observation, atMs: number): void {
  const device = state.devices.get(observation.deviceId);
  if (device === undefined || device.definition.patientId === null || !showsAWearer(observation)) return;
  if (device.definition.patientId !== observation.patientId) return;
  const evidence = state.board.condition(deviceKeys.stillOnPatient(device))?.evidence;
  const open = device.waiting?.question ?? (evidence?.kind === "still-on-patient" ? evidence : null);
  if (device.askedSinceMs !== null && open !== null && open.why === "gap") {
    const gapSeconds = Math.floor((device.askedSinceMs - atMs) / 1000);
    const isForWantOfKnowledge = device.waiting !== null || open.gapSeconds === null;
    if (isForWantOfKnowledge && gapSeconds < open.limitSeconds) withdraw(state, device);
    else if (device.waiting !== null) {
      const question = { ...open, gapSeconds: Math.min(gapSeconds, open.gapSeconds ?? gapSeconds) };
      device.waiting = { ...device.waiting, question };
    }
  }
  noteWornAt(device, atMs);
}

function withdraw(state: WatchState, device: DeviceState): void {
  device.askedSinceMs = null;
  device.waiting = null;
  state.board.end(deviceKeys.stillOnPatient(device));
}

/** Somebody said whom a device is on. A word of before a restart is what is known at least: what it measured later may be forgotten. */
export function noteConfirmed(
  state: WatchState,
  device: DeviceState,
  word: { readonly atMs: number | null; readonly seq: Seq },
): void {
  const isOfBefore = word.atMs !== null && word.atMs < device.armedAtMs;
  device.lastWorn = word.atMs === null ? null : { atMs: word.atMs, atLeast: isOfBefore };
  device.lastWordSeq = word.seq;
  device.patientMovedMs = null;
  withdraw(state, device);
}
