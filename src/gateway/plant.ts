import type { Act, Consciousness, Deed, LimitSide, PatientProfile } from "../core/act.ts";
import { type Fault, fault } from "../core/errors.ts";
import type { BedId, DeviceId, PatientId, Seq } from "../core/ids.ts";
import { QUANTITIES, type QuantityName } from "../core/quantities.ts";
import { fail, type Result, succeed } from "../core/result.ts";
import type { WallMs } from "../core/time.ts";

/** A value a person entered, and when. */
export interface Entry<Value> {
  readonly value: Value;
  readonly enteredAtMs: WallMs;
  /** The act that entered it. */
  readonly seq: Seq;
}

/** A patient who is here now. */
export interface PatientState {
  readonly patientId: PatientId;
  readonly bedId: BedId;
  readonly label: string;
  readonly profile: PatientProfile;
  readonly demonstration: boolean;
  /** The act that admitted them: what is older belongs to a former stay. */
  readonly admittedSeq: Seq;
  readonly consciousness: Entry<Consciousness> | null;
  readonly onOxygen: Entry<boolean> | null;
  readonly limits: ReadonlyMap<QuantityName, { readonly low: LimitSide | null; readonly high: LimitSide | null }>;
}

/** Who lies where and which device is on whom: nothing but the sum of all acts so far. */
export interface PlantState {
  readonly patients: ReadonlyMap<PatientId, PatientState>;
  readonly assignments: ReadonlyMap<DeviceId, PatientId>;
}

/** What the configuration says exists. */
export interface PlantPlan {
  readonly bedIds: ReadonlySet<string>;
  readonly deviceIds: ReadonlySet<string>;
}

/** A ward before anybody came. */
export const EMPTY_PLANT: PlantState = { patients: new Map(), assignments: new Map() };

/**
 * Checks a deed against the present state. Nothing is changed.
 *
 * @returns The fault `act-refused` with a `why` fact where the deed does not fit.
 */
export function checkDeed(plant: PlantState, plan: PlantPlan, deed: Deed): Result<void, Fault> {
  const refuse = (why: string, facts: Readonly<Record<string, string>> = {}) => fail(fault("act-refused", { why, ...facts }));
  switch (deed.kind) {
    case "admit": {
      if (!plan.bedIds.has(deed.bedId)) return refuse("unknown-bed", { bed: deed.bedId });
      if (plant.patients.has(deed.patientId)) return refuse("already-admitted");
      const occupied = [...plant.patients.values()].some((patient) => patient.bedId === deed.bedId);
      return occupied ? refuse("bed-occupied", { bed: deed.bedId }) : succeed(undefined);
    }
    case "assign": {
      if (!plan.deviceIds.has(deed.deviceId)) return refuse("unknown-device", { device: deed.deviceId });
      if (!plant.patients.has(deed.patientId)) return refuse("unknown-patient");
      return plant.assignments.has(deed.deviceId) ? refuse("device-in-use", { device: deed.deviceId }) : succeed(undefined);
    }
    case "release":
      return plant.assignments.has(deed.deviceId) ? succeed(undefined) : refuse("device-not-assigned", { device: deed.deviceId });
    case "set-limit": {
      if (!plant.patients.has(deed.patientId)) return refuse("unknown-patient");
      const { min, max } = QUANTITIES[deed.quantity].possible;
      const impossible = [deed.low, deed.high].some((side) => side !== null && !(side.value >= min && side.value <= max));
      return impossible
        ? refuse("impossible-limit", { quantity: deed.quantity, possible: `${min} to ${max}` })
        : succeed(undefined);
    }
    case "discharge":
    case "enter-consciousness":
    case "enter-oxygen":
    case "set-profile":
      return plant.patients.has(deed.patientId) ? succeed(undefined) : refuse("unknown-patient");
    case "acknowledge":
      return succeed(undefined);
  }
}

/** The plant after an act. Acts that no longer fit (a bed removed from the configuration) leave it as it is. */
export function applyAct(plant: PlantState, act: Act): PlantState {
  const deed = act.deed;
  switch (deed.kind) {
    case "admit":
      return withPatient(plant, {
        patientId: deed.patientId,
        bedId: deed.bedId,
        label: deed.label,
        profile: deed.profile,
        demonstration: deed.demonstration,
        admittedSeq: act.seq,
        consciousness: null,
        onOxygen: null,
        limits: new Map(),
      });
    case "discharge": {
      const patients = new Map(plant.patients);
      patients.delete(deed.patientId);
      const assignments = new Map([...plant.assignments].filter(([, patientId]) => patientId !== deed.patientId));
      return { patients, assignments };
    }
    case "assign":
      return { ...plant, assignments: new Map(plant.assignments).set(deed.deviceId, deed.patientId) };
    case "release": {
      const assignments = new Map(plant.assignments);
      assignments.delete(deed.deviceId);
      return { ...plant, assignments };
    }
    case "set-limit":
      return changePatient(plant, deed.patientId, (patient) => ({
        ...patient,
        limits: new Map(patient.limits).set(deed.quantity, { low: deed.low, high: deed.high }),
      }));
    case "enter-consciousness":
      return changePatient(plant, deed.patientId, (patient) => ({
        ...patient,
        consciousness: { value: deed.consciousness, enteredAtMs: act.atMs, seq: act.seq },
      }));
    case "enter-oxygen":
      return changePatient(plant, deed.patientId, (patient) => ({
        ...patient,
        onOxygen: { value: deed.onOxygen, enteredAtMs: act.atMs, seq: act.seq },
      }));
    case "set-profile":
      return changePatient(plant, deed.patientId, (patient) => ({ ...patient, profile: deed.profile }));
    case "acknowledge":
      return plant;
  }
}

function withPatient(plant: PlantState, patient: PatientState): PlantState {
  return { ...plant, patients: new Map(plant.patients).set(patient.patientId, patient) };
}

function changePatient(plant: PlantState, patientId: PatientId, change: (patient: PatientState) => PatientState): PlantState {
  const patient = plant.patients.get(patientId);
  return patient === undefined ? plant : withPatient(plant, change(patient));
}
