import type { ConditionChange } from "../core/alert.ts";
import type { DeviceId } from "../core/ids.ts";
import { LIMITS } from "../core/limits.ts";
import { QUESTIONABLE_FLAGS, type QualityFlag } from "../core/observation.ts";
import { NO_QUALITY, type QualityCounts, type QualityTally } from "../core/quality-view.ts";
import { QUANTITIES, type QuantityName } from "../core/quantities.ts";
import type { MonotonicMs } from "../core/time.ts";
import type { Judgement, UnnumberedObservation } from "../intake/device-intake.ts";

/** What of a judgement is counted. */
export type QualityJudgement = Pick<Judgement, "observations" | "refusals" | "heard" | "counted">;

/** What was counted of one quantity of a device, or with null of its messages, and over how long. */
export interface CountedQuality {
  readonly deviceId: DeviceId;
  readonly quantity: QuantityName | null;
  readonly tally: QualityTally;
}

/** Counts how good the data is, as it comes, for an hour at a time. The rules are those of `qualityScores`. */
export interface QualityCounter {
  /** Takes what came of one chunk of a device's bytes. */
  readonly judged: (id: DeviceId, judgement: QualityJudgement) => void;
  /** Takes what the watch says: which quantities are stuck and whose clock stands still. */
  readonly noted: (changes: readonly ConditionChange[]) => void;
  /** Ends a minute: where a value had to come and none did, one is missing. */
  readonly minuteEnded: () => void;
  /** What was counted since the count was closed last, and since when. */
  readonly running: () => { readonly sinceMs: MonotonicMs; readonly counted: readonly CountedQuality[] };
  /** Closes the count and begins the next. */
  readonly close: () => ReturnType<QualityCounter["running"]>;
}

/** What the counter must know. */
export interface QualityCounterParts {
  readonly monotonic: () => MonotonicMs;
  /** Every device in use, with what is expected of it. */
  readonly devices: ReadonlyMap<DeviceId, { readonly expected: readonly { readonly quantity: QuantityName }[] }>;
  /** Whether a device is on a patient now. */
  readonly isAssigned: (id: DeviceId) => boolean;
}

type Growing = { -readonly [Name in keyof QualityCounts]: number };

/** One quantity of a device within this hour, and what its present minute brought. */
interface QuantityCount {
  readonly counts: Growing;
  readonly rules: Record<string, number>;
  minuteFilled: boolean;
  minuteWhy: string | null;
}

/** What nobody expects of a device, such as a pressure whose sensor is not plugged in, is missed for so long after its last value. */
const IN_USE_MINUTES = 60;

interface DeviceCount {
  readonly quantities: Map<QuantityName, QuantityCount>;
  readonly frames: QuantityCount;
  heardThisMinute: boolean;
}

/** Begins the first count. */
export function createQualityCounter(parts: QualityCounterParts): QualityCounter {
  const troubles = new Map<string, Trouble>();
  const uses = createUses(parts);
  let devices = new Map<DeviceId, DeviceCount>();
  let sinceMs = parts.monotonic();
  const deviceOf = (id: DeviceId) =>
    entry(devices, id, () => ({ quantities: new Map(), frames: nothing(), heardThisMinute: false }));

  const running: QualityCounter["running"] = () => {
    const counted = [...devices].flatMap(([deviceId, { quantities, frames }]) => {
      const rows = [...quantities].map(([quantity, count]) => ({ deviceId, quantity, tally: tallyOf(count) }));
      return [...rows, { deviceId, quantity: null, tally: tallyOf(frames) }].filter(({ tally }) => isSomething(tally));
    });
    return { sinceMs, counted };
  };

  return {
    judged: (id, { observations, refusals, heard, counted }) => {
      if (observations.length === 0 && refusals.length === 0 && counted.messages === 0) return;
      const device = deviceOf(id);
      device.heardThisMinute ||= heard;
      device.frames.counts.messages += counted.messages;
      device.frames.counts.refused += refusals.length;
      if (refusals.length > 0) add(device.frames, "accuracy.refused", refusals.length);
      const disordered = pressureDisorder(observations);
      for (const observation of observations) {
        const count = entry(device.quantities, observation.quantity, nothing);
        if (observation.content.state === "present") uses.note(id, observation.quantity);
        const owed = QUANTITIES[observation.quantity].rhythm !== "continuous" && uses.isOwed(id, observation.quantity);
        countReading(count, observation, { owed, disordered, troubles: troublesOf(troubles, id, observation.quantity) });
      }
    },
    noted: (changes) => {
      for (const change of changes) noteTrouble(troubles, change);
    },
    minuteEnded: () => {
      for (const [id, { expected }] of parts.devices) {
        const assigned = parts.isAssigned(id);
        if (!assigned && devices.get(id)?.heardThisMinute !== true) continue;
        const device = deviceOf(id);
        for (const { quantity } of expected) entry(device.quantities, quantity, nothing);
        for (const quantity of uses.ofDevice(id)) entry(device.quantities, quantity, nothing);
        for (const [quantity, count] of device.quantities) endMinute(quantity, count, uses.isOwed(id, quantity));
        device.heardThisMinute = false;
      }
      uses.minuteEnded();
    },
    running,
    close: () => {
      const closed = running();
      devices = new Map();
      sinceMs = parts.monotonic();
      return closed;
    },
  };
}

/** Which quantities a device owes: those expected of it, and those that brought a value lately. */
function createUses(parts: QualityCounterParts) {
  const lastMinutes = new Map<DeviceId, Map<QuantityName, number>>();
  let minute = 0;
  const isInUse = (last: number | undefined) => last !== undefined && minute - last < IN_USE_MINUTES;
  return {
    note: (id: DeviceId, quantity: QuantityName) => void entry(lastMinutes, id, () => new Map()).set(quantity, minute),
    isOwed: (id: DeviceId, quantity: QuantityName): boolean =>
      isInUse(lastMinutes.get(id)?.get(quantity)) ||
      (parts.devices.get(id)?.expected.some((one) => one.quantity === quantity) ?? false),
    ofDevice: (id: DeviceId): readonly QuantityName[] =>
      [...(lastMinutes.get(id) ?? [])].filter(([, last]) => isInUse(last)).map(([quantity]) => quantity),
    minuteEnded: () => {
      minute += 1;
    },
  };
}

/** Only of continuous quantities can be said when a value had to come. */
function endMinute(quantity: QuantityName, count: QuantityCount, owed: boolean): void {
  if (QUANTITIES[quantity].rhythm !== "continuous") return;
  if (owed) {
    count.counts.expected += 1;
    if (count.minuteFilled) count.counts.filled += 1;
    else add(count, `completeness.${count.minuteWhy ?? "silent"}`, 1);
  }
  count.minuteFilled = false;
  count.minuteWhy = null;
}

function countReading(
  count: QuantityCount,
  { content, quality, quantity, times }: UnnumberedObservation,
  at: {
    readonly owed: boolean;
    readonly disordered: ReadonlySet<QuantityName>;
    readonly troubles: Readonly<Record<Trouble["what"], boolean>>;
  },
): void {
  const { counts } = count;
  const isLate = quality.flags.includes("late");
  const episodic = QUANTITIES[quantity].rhythm !== "continuous";
  counts.readings += 1;
  if (episodic && at.owed) counts.expected += 1;
  if (content.state === "present") {
    counts.present += 1;
    if (quality.validity === "valid") counts.sound += 1;
    else for (const flag of quality.flags) if (QUESTIONABLE_FLAGS.has(flag)) add(count, `accuracy.${flag}`, 1);
    if (episodic) counts.filled += 1;
    else if (!isLate) count.minuteFilled = true;
  } else if (episodic && at.owed) add(count, `completeness.${content.why}`, 1);
  else if (!isLate) count.minuteWhy = content.why;
  const illogical = [
    ...(content.state === "absent" && (content.why === "impossible" || content.why === "out-of-range") ? [content.why] : []),
    ...(content.state === "present" && at.disordered.has(quantity) ? ["pressure-order"] : []),
    ...(content.state === "present" && at.troubles.stuck ? ["stuck"] : []),
  ];
  if (illogical.length > 0) counts.illogical += 1;
  for (const rule of illogical) add(count, `logic.${rule}`, 1);
  // Most readings: nothing more is to be looked at, and this is done for each.
  if (quality.flags.length === 0 && times.receivedAtMs === times.measuredAtMs && !at.troubles["clock-frozen"]) return;
  const isDelayed = times.receivedAtMs - times.measuredAtMs > LIMITS.qualityDelayMsMax.value;
  const untimely = [
    ...UNTIMELY_FLAGS.filter((flag) => quality.flags.includes(flag)),
    ...(isDelayed && !isLate ? ["delay"] : []),
    ...(at.troubles["clock-frozen"] ? ["clock-frozen"] : []),
  ];
  if (untimely.length > 0) counts.untimely += 1;
  for (const rule of untimely) add(count, `timeliness.${rule}`, 1);
}

const UNTIMELY_FLAGS = ["late", "device-clock-unset", "measured-time-unknown"] as const satisfies readonly QualityFlag[];

/** Systolic, diastolic and mean of one pressure. */
const PRESSURES = [
  ["systolicPressure", "diastolicPressure", "meanPressure"],
  ["arterialSystolicPressure", "arterialDiastolicPressure", "arterialMeanPressure"],
] as const satisfies readonly (readonly QuantityName[])[];

const NONE: ReadonlySet<QuantityName> = new Set();

/** The pressures of one chunk that cannot be true together. */
function pressureDisorder(observations: QualityJudgement["observations"]): ReadonlySet<QuantityName> {
  let found: Set<QuantityName> | null = null;
  for (const names of PRESSURES) {
    const [systolic, diastolic, mean] = names.map((name) => pressureOf(observations, name));
    if (systolic == null || diastolic == null) continue;
    const between = mean == null || (mean >= diastolic && mean <= systolic);
    if (systolic > diastolic && between) continue;
    found ??= new Set();
    for (const name of names) found.add(name);
  }
  return found ?? NONE;
}

function pressureOf(observations: QualityJudgement["observations"], name: QuantityName): number | null {
  const found = observations.findLast(({ quantity }) => quantity === name);
  return found?.content.state === "present" ? found.content.value : null;
}

/** What the watch says of a device's values now. */
interface Trouble {
  readonly what: "stuck" | "clock-frozen";
  readonly deviceId: DeviceId;
  /** Null: of all of them. */
  readonly quantity: QuantityName | null;
}

function noteTrouble(troubles: Map<string, Trouble>, change: ConditionChange): void {
  if (change.kind === "ended") {
    troubles.delete(change.key);
    return;
  }
  if (change.kind === "renamed") troubles.delete(change.fromKey);
  const { key, evidence, subject } = change.condition;
  const { deviceId } = subject;
  if (deviceId === null) return;
  if (evidence.kind === "stuck") troubles.set(key, { what: "stuck", deviceId, quantity: evidence.quantity });
  if (evidence.kind === "fault" && evidence.code === "device-clock-frozen")
    troubles.set(key, { what: "clock-frozen", deviceId, quantity: null });
}

const NO_TROUBLE = { stuck: false, "clock-frozen": false };

function troublesOf(troubles: ReadonlyMap<string, Trouble>, id: DeviceId, quantity: QuantityName): typeof NO_TROUBLE {
  if (troubles.size === 0) return NO_TROUBLE;
  const found = { ...NO_TROUBLE };
  for (const trouble of troubles.values())
    if (trouble.deviceId === id && (trouble.quantity === null || trouble.quantity === quantity)) found[trouble.what] = true;
  return found;
}

function nothing(): QuantityCount {
  return { counts: { ...NO_QUALITY.counts }, rules: {}, minuteFilled: false, minuteWhy: null };
}

function add(count: QuantityCount, rule: string, times: number): void {
  count.rules[rule] = (count.rules[rule] ?? 0) + times;
}

function tallyOf({ counts, rules }: QuantityCount): QualityTally {
  return { counts: { ...counts }, rules: { ...rules } };
}

function isSomething({ counts }: QualityTally): boolean {
  return Object.values(counts).some((count) => count > 0);
}

function entry<Key, Value>(map: Map<Key, Value>, key: Key, make: () => Value): Value {
  const known = map.get(key);
  if (known !== undefined) return known;
  const made = make();
  map.set(key, made);
  return made;
}
