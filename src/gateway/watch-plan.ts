import type { Config, DeviceConfig } from "../../config/schema.ts";
import type { LimitSide } from "../core/act.ts";
import type { ConditionChange } from "../core/alert.ts";
import { bedId, type DeviceId, deviceId, type PatientId } from "../core/ids.ts";
import type { Driver } from "../core/ports.ts";
import { isQuantityName, type QuantityName } from "../core/quantities.ts";
import type { Watch } from "../watch/watch.ts";
import type { WatchDevice } from "../watch/watch-state.ts";
import type { PatientState, PlantState, SetLimit } from "./plant.ts";

/** What the watch must know of a device, from the configuration and its driver; whom it measures is said by acts. */
export type WatchedDevice = Omit<WatchDevice, "patientId">;

/** Both sides of a limit; null switches a side off, undefined leaves the default in force. */
type Sides = { readonly low: LimitSide | null | undefined; readonly high: LimitSide | null | undefined };

/** What the configuration says to the watch. */
export interface WatchPlan {
  readonly devices: ReadonlyMap<DeviceId, WatchedDevice>;
  /** Limits of the ward, in place of the default ones. */
  readonly limits: ReadonlyMap<QuantityName, Sides>;
}

/** The watch's plan: the ward's own limits of the configuration, and the devices in use, which may become others. */
export function watchPlan(config: Pick<Config, "limits">, devices: WatchPlan["devices"]): WatchPlan {
  const limits = new Map<QuantityName, Sides>();
  for (const [quantity, sides] of Object.entries(config.limits))
    if (isQuantityName(quantity)) limits.set(quantity, { low: sides?.low, high: sides?.high });
  return { devices, limits };
}

/** What the watch is told of a device in use. */
export function watchedDevice(
  config: DeviceConfig,
  driver: Driver,
  { askAfterMinutes, askAwayAfterMinutes }: Config["assignment"],
): WatchedDevice {
  const expected = (config.expected ?? driver.expected).filter(isQuantityName);
  return {
    deviceId: deviceId(config.id),
    bedId: config.bed === undefined ? null : bedId(config.bed),
    silenceSeconds: config.silenceSeconds ?? driver.silenceSeconds,
    expected: expected.map((quantity) => ({ quantity, silenceSeconds: config.quantitySilenceSeconds })),
    stuckSeconds: driver.stuckSeconds,
    asksAfter: config.personal ? null : { seconds: askAfterMinutes * 60, awaySeconds: askAwayAfterMinutes * 60 },
  };
}

/**
 * Tells the watch what changed from one state of the plant to another: who is here, what is on whom, what was entered, which limits hold.
 *
 * @param change.merged  The number that is used no more, and the one that stays, where that is what changed.
 * @param change.isOver  Whether a limit has expired: the ward's own holds in its place.
 * @returns The conditions that this raised, changed or ended.
 */
export function tellWatch(
  watch: Watch,
  plan: WatchPlan,
  change: {
    readonly before: PlantState;
    readonly after: PlantState;
    readonly merged?: { readonly fromId: PatientId; readonly toId: PatientId } | null;
    readonly isOver: (limit: SetLimit) => boolean;
  },
): readonly ConditionChange[] {
  const { before, after, merged = null, isOver } = change;
  const changes: ConditionChange[] = merged === null ? [] : [...watch.mergePatients(merged)];
  for (const patientId of before.patients.keys())
    if (!after.patients.has(patientId)) changes.push(...watch.removePatient(patientId));
  for (const [patientId, patient] of after.patients) {
    const under = merged?.toId === patientId && !before.patients.has(patientId) ? merged.fromId : patientId;
    const known = before.patients.get(under);
    if (known !== patient) changes.push(...tellPatient(watch, plan, { known, patient, isOver }));
  }
  for (const [id, device] of plan.devices) {
    const patientId = after.assignments.get(id) ?? null;
    if (patientId !== (before.assignments.get(id) ?? null)) changes.push(...watch.setDevice({ ...device, patientId }));
  }
  return changes;
}

/** The ward's own limit of a quantity, in place of one that a person had set for a patient. */
export function wardSides(plan: WatchPlan, quantity: QuantityName): Sides {
  return plan.limits.get(quantity) ?? { low: undefined, high: undefined };
}

function tellPatient(
  watch: Watch,
  plan: WatchPlan,
  change: {
    readonly known: PatientState | undefined;
    readonly patient: PatientState;
    readonly isOver: (limit: SetLimit) => boolean;
  },
): readonly ConditionChange[] {
  const { known, patient, isOver } = change;
  const { patientId, consciousness, onOxygen } = patient;
  const changes: ConditionChange[] = [];
  if (known === undefined || known.profile !== patient.profile || known.bedId !== patient.bedId)
    changes.push(...watch.setPatient(patient));
  if (known === undefined)
    for (const [quantity, sides] of plan.limits) changes.push(...watch.setLimits({ patientId, quantity, ...sides }));
  for (const [quantity, limit] of patient.limits) {
    if (known?.limits.get(quantity) === limit) continue;
    const { low, high } = isOver(limit) ? wardSides(plan, quantity) : limit;
    changes.push(...watch.setLimits({ patientId, quantity, low, high, fromDefault: true }));
  }
  for (const quantity of known?.limits.keys() ?? [])
    if (!patient.limits.has(quantity))
      changes.push(...watch.setLimits({ patientId, quantity, ...wardSides(plan, quantity), fromDefault: true }));
  if (consciousness !== null && known?.consciousness !== consciousness)
    watch.enter({
      patientId,
      kind: "consciousness",
      value: consciousness.value,
      atMs: consciousness.enteredAtMs,
      seq: consciousness.seq,
    });
  if (onOxygen !== null && known?.onOxygen !== onOxygen)
    watch.enter({ patientId, kind: "onOxygen", value: onOxygen.value, atMs: onOxygen.enteredAtMs, seq: onOxygen.seq });
  return changes;
}
