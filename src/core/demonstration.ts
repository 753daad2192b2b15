import { type BedId, bedId, type DeviceId, deviceId } from "./ids.ts";

/**
 * What a person may change of the demonstration's simulated devices and patients, each with its choices. `by-itself` is what the
 * demonstration has planned anyway.
 */
export const NUDGES = {
  patient: ["by-itself", "well", "breathing-fails", "bleeding", "heart-stops"],
  fingerClip: ["by-itself", "on", "loose", "off"],
  electrodes: ["on", "off"],
  probe: ["on", "off"],
  cable: ["in", "out"],
  radio: ["in-reach", "out-of-reach"],
  power: ["on", "off"],
} as const satisfies Record<string, readonly string[]>;

/** Something that can be changed. */
export type NudgeName = keyof typeof NUDGES;
/** What it can be changed to. */
export type NudgeChoice = (typeof NUDGES)[NudgeName][number];

/** One change that somebody asks for. */
export interface Nudge {
  readonly deviceId: DeviceId;
  readonly name: NudgeName;
  readonly choice: NudgeChoice;
}

/** One thing that can be changed, as it is now. */
export interface NudgeView {
  readonly name: NudgeName;
  /** Only what works on this device. */
  readonly choices: readonly NudgeChoice[];
  readonly now: NudgeChoice;
  /** Wall-clock milliseconds; null: nobody has changed it since the demonstration began. */
  readonly sinceMs: number | null;
}

/** A simulated device with what can be changed of it. */
export interface NudgedDevice {
  readonly deviceId: DeviceId;
  readonly nudges: readonly NudgeView[];
}

/** The same, with the bed where it is; what the pages get. */
export interface NudgedDeviceView extends NudgedDevice {
  readonly bedId: BedId;
}

/** Why a change was not made. */
export const NUDGE_REFUSALS = ["nudge-unknown-device", "nudge-unknown-choice", "nudge-too-many", "nudge-port-taken"] as const;

/** Why a change was not made. */
export type NudgeRefusal = (typeof NUDGE_REFUSALS)[number];

/** A change out of what came from elsewhere; null where it is none. Whether the device has that choice is another question. */
export function parseNudge(given: unknown): Nudge | null {
  if (!isFields(given)) return null;
  const { deviceId: id, name, choice } = given;
  if (typeof id !== "string" || id === "" || id.length > ID_CHARACTERS_MAX || !isNudgeName(name)) return null;
  const known = choicesOf(name).find((one) => one === choice);
  return known === undefined ? null : { deviceId: deviceId(id), name, choice: known };
}

/** Simulated devices out of what came from elsewhere; null where it is not wholly understood. */
export function parseNudgedDevices(given: unknown): readonly NudgedDevice[] | null {
  if (!Array.isArray(given)) return null;
  const devices = given.map(parseDevice);
  return devices.every((device) => device !== null) ? devices : null;
}

/** The same with their beds. */
export function parseNudgedDeviceViews(given: unknown): readonly NudgedDeviceView[] | null {
  const devices = parseNudgedDevices(given);
  if (devices === null || !Array.isArray(given)) return null;
  const views: NudgedDeviceView[] = [];
  for (const [index, device] of devices.entries()) {
    const bed: unknown = given[index].bedId;
    if (typeof bed !== "string") return null;
    views.push({ ...device, bedId: bedId(bed) });
  }
  return views;
}

const ID_CHARACTERS_MAX = 256;

function parseDevice(given: unknown): NudgedDevice | null {
  if (!isFields(given) || typeof given["deviceId"] !== "string" || !Array.isArray(given["nudges"])) return null;
  const nudges = given["nudges"].map(parseView);
  return nudges.every((nudge) => nudge !== null) ? { deviceId: deviceId(given["deviceId"]), nudges } : null;
}

function parseView(given: unknown): NudgeView | null {
  if (!isFields(given)) return null;
  const { name, choices, now, sinceMs } = given;
  if (!isNudgeName(name) || !Array.isArray(choices) || !(sinceMs === null || Number.isFinite(sinceMs))) return null;
  const offered = choicesOf(name).filter((choice) => choices.includes(choice));
  const holds = offered.find((choice) => choice === now);
  return holds === undefined || offered.length !== choices.length
    ? null
    : { name, choices: offered, now: holds, sinceMs: sinceMs === null ? null : Number(sinceMs) };
}

function choicesOf(name: NudgeName): readonly NudgeChoice[] {
  return NUDGES[name];
}

function isNudgeName(given: unknown): given is NudgeName {
  return typeof given === "string" && Object.hasOwn(NUDGES, given);
}

function isFields(given: unknown): given is Readonly<Record<string, unknown>> {
  return typeof given === "object" && given !== null;
}
