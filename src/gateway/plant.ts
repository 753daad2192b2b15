import {
  type Act,
  type AdoptedDevice,
  type BedsideDeed,
  type Consciousness,
  type Deed,
  isAccessDeed,
  type LimitSide,
  type PatientProfile,
  type Verdict,
} from "../core/act.ts";
import { type Fault, fault } from "../core/errors.ts";
import type { AlertId, BedId, DeviceId, PatientId, Seq, UserId } from "../core/ids.ts";
import { LIMITS } from "../core/limits.ts";
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

/** A limit a person set for one patient, which holds until it is set anew or expires. */
export interface SetLimit {
  readonly low: LimitSide | null;
  readonly high: LimitSide | null;
  readonly reason: string | null;
  readonly setBy: UserId;
  readonly setAtMs: WallMs;
  /** Null: it does not expire. */
  readonly expiresAtMs: WallMs | null;
  /** The act that set it. */
  readonly seq: Seq;
}

/** What a person wrote of a patient. */
export interface Note {
  readonly text: string;
  readonly by: UserId;
  readonly atMs: WallMs;
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
  /** The act that put them into the bed they lie in. */
  readonly inBedSeq: Seq;
  readonly consciousness: Entry<Consciousness> | null;
  readonly onOxygen: Entry<boolean> | null;
  readonly limits: ReadonlyMap<QuantityName, SetLimit>;
  /** The newest `notesKeptMax`, oldest first; the journal has them all. */
  readonly notes: readonly Note[];
  /** Numbers that were found to be this patient, with the records of their stay: those numbered over `afterSeq` and up to `upToSeq`. */
  readonly formerNumbers: ReadonlyMap<PatientId, { readonly afterSeq: Seq; readonly upToSeq: Seq }>;
}

/** What a person said of an alert. */
export interface AlertVerdict {
  readonly verdict: Verdict;
  readonly by: UserId;
  readonly atMs: WallMs;
}

/** Who lies where and which device is on whom: nothing but the sum of all acts so far. */
export interface PlantState {
  readonly patients: ReadonlyMap<PatientId, PatientState>;
  readonly assignments: ReadonlyMap<DeviceId, PatientId>;
  /** For each assigned device the last act that said, or confirmed, whom it is on. */
  readonly confirmations: ReadonlyMap<DeviceId, Seq>;
  /** Devices that were adopted, in the order in which they were. */
  readonly adopted: ReadonlyMap<DeviceId, AdoptedDevice>;
  /** The last word about each of the alerts judged last, at most `verdictsKeptMax`; the journal has them all. */
  readonly verdicts: ReadonlyMap<AlertId, AlertVerdict>;
}

/** What the configuration says exists. */
export interface PlantPlan {
  readonly bedIds: ReadonlySet<string>;
  readonly deviceIds: ReadonlySet<string>;
  /** What keeps a device from being adopted as described, beside its name and bed; null where nothing does. */
  readonly adoptionProblem: (device: AdoptedDevice) => AdoptionProblem | null;
}

/** Why a device cannot be in use as it was, or is to be, adopted. */
export interface AdoptionProblem {
  readonly why: "no-driver" | "bad-link" | "bad-options" | "bad-expected" | "no-broker";
  readonly facts: Readonly<Record<string, string>>;
}

/** A ward before anybody came. */
export const EMPTY_PLANT: PlantState = {
  patients: new Map(),
  assignments: new Map(),
  confirmations: new Map(),
  adopted: new Map(),
  verdicts: new Map(),
};

type Refuse = (why: string, facts?: Readonly<Record<string, string>>) => Result<void, Fault>;

const refuse: Refuse = (why, facts = {}) => fail(fault("act-refused", { why, ...facts }));

/**
 * Checks a deed against the present state. Nothing is changed.
 *
 * @param nowMs  Wall time: a limit must expire after it.
 * @returns The fault `act-refused` with a `why` fact where the deed does not fit. Whether an alert exists is not known here.
 */
export function checkDeed(
  plant: PlantState,
  plan: PlantPlan,
  given: { readonly deed: Deed; readonly nowMs: number },
): Result<void, Fault> {
  const { deed, nowMs } = given;
  return isAccessDeed(deed) ? succeed(undefined) : checkBedsideDeed(plant, plan, { deed, nowMs });
}

function checkBedsideDeed(
  plant: PlantState,
  plan: PlantPlan,
  given: { readonly deed: BedsideDeed; readonly nowMs: number },
): Result<void, Fault> {
  const { deed, nowMs } = given;
  switch (deed.kind) {
    case "admit":
      if (plan.bedIds.has(deed.bedId) && plant.patients.has(deed.patientId)) return refuse("already-admitted");
      return checkBed(plant, plan, deed.bedId);
    case "transfer": {
      const patient = plant.patients.get(deed.patientId);
      if (patient === undefined) return refuse("unknown-patient");
      return patient.bedId === deed.bedId ? refuse("already-there", { bed: deed.bedId }) : checkBed(plant, plan, deed.bedId);
    }
    case "merge":
      return checkMerge(plant, deed);
    case "assign": {
      if (!plan.deviceIds.has(deed.deviceId) && !plant.adopted.has(deed.deviceId))
        return refuse("unknown-device", { device: deed.deviceId });
      if (!plant.patients.has(deed.patientId)) return refuse("unknown-patient");
      return plant.assignments.has(deed.deviceId) ? refuse("device-in-use", { device: deed.deviceId }) : succeed(undefined);
    }
    case "release":
      return plant.assignments.has(deed.deviceId) ? succeed(undefined) : refuse("device-not-assigned", { device: deed.deviceId });
    case "confirm-assignment": {
      const patientId = plant.assignments.get(deed.deviceId);
      if (patientId === undefined) return refuse("device-not-assigned", { device: deed.deviceId });
      return patientId === deed.patientId ? succeed(undefined) : refuse("device-on-another", { device: deed.deviceId });
    }
    case "set-limit":
      return checkLimit(plant, deed, nowMs);
    case "reset-limit": {
      const patient = plant.patients.get(deed.patientId);
      if (patient === undefined) return refuse("unknown-patient");
      return patient.limits.has(deed.quantity) ? succeed(undefined) : refuse("no-limit-set", { quantity: deed.quantity });
    }
    case "discharge":
    case "correct-patient":
    case "note":
    case "enter-consciousness":
    case "enter-oxygen":
    case "set-profile":
      return plant.patients.has(deed.patientId) ? succeed(undefined) : refuse("unknown-patient");
    case "adopt":
      return checkAdoption(plant, plan, deed);
    case "forget-device":
      if (!plant.adopted.has(deed.deviceId)) return refuse("not-adopted", { device: deed.deviceId });
      // Who forgets what is on a patient would end the alarm of its silence with it. One that the configuration has as well stays there.
      return plant.assignments.has(deed.deviceId) && !plan.deviceIds.has(deed.deviceId)
        ? refuse("device-in-use", { device: deed.deviceId })
        : succeed(undefined);
    case "acknowledge":
    case "verdict":
      return succeed(undefined);
  }
}

function checkAdoption(plant: PlantState, plan: PlantPlan, deed: Extract<Deed, { kind: "adopt" }>): Result<void, Fault> {
  const { deviceId: device, bedId } = deed;
  if (plan.deviceIds.has(device) || plant.adopted.has(device)) return refuse("device-name-taken", { device });
  if (bedId !== null && !plan.bedIds.has(bedId)) return refuse("unknown-bed", { bed: bedId });
  if (plant.adopted.size >= LIMITS.adoptedDevicesMax.value) return refuse("too-many-devices", { device });
  const problem = plan.adoptionProblem(deed);
  return problem === null ? succeed(undefined) : refuse(problem.why, problem.facts);
}

/** A bed that somebody is to lie in must exist and be free. */
function checkBed(plant: PlantState, plan: PlantPlan, bedId: BedId): Result<void, Fault> {
  if (!plan.bedIds.has(bedId)) return refuse("unknown-bed", { bed: bedId });
  const occupied = [...plant.patients.values()].some((patient) => patient.bedId === bedId);
  return occupied ? refuse("bed-occupied", { bed: bedId }) : succeed(undefined);
}

function checkMerge(plant: PlantState, deed: Extract<Deed, { kind: "merge" }>): Result<void, Fault> {
  const former = plant.patients.get(deed.formerPatientId);
  if (deed.patientId === deed.formerPatientId) return refuse("same-patient");
  if (former === undefined) return refuse("unknown-patient");
  const staying = plant.patients.get(deed.patientId);
  // Data that is not measured must never come to count for a real patient.
  if (staying !== undefined && staying.demonstration !== former.demonstration) return refuse("demonstration-differs");
  return succeed(undefined);
}

function checkLimit(plant: PlantState, deed: Extract<Deed, { kind: "set-limit" }>, nowMs: number): Result<void, Fault> {
  if (!plant.patients.has(deed.patientId)) return refuse("unknown-patient");
  const { min, max } = QUANTITIES[deed.quantity].possible;
  const impossible = [deed.low, deed.high].some((side) => side !== null && !(side.value >= min && side.value <= max));
  if (impossible) return refuse("impossible-limit", { quantity: deed.quantity, possible: `${min} to ${max}` });
  const expiresAtMs = deed.expiresAtMs ?? null;
  if (expiresAtMs === null) return succeed(undefined);
  if (expiresAtMs <= nowMs) return refuse("expiry-past");
  const hoursMax = LIMITS.limitHoursMax.value;
  return expiresAtMs - nowMs > hoursMax * 3_600_000 ? refuse("expiry-far", { hoursMax: String(hoursMax) }) : succeed(undefined);
}

/** The plant after an act. Acts that no longer fit (a bed removed from the configuration) leave it as it is. */
export function applyAct(plant: PlantState, act: Act): PlantState {
  return isAccessDeed(act.deed) ? plant : applyDeed(plant, act.deed, act);
}

function applyDeed(plant: PlantState, deed: BedsideDeed, act: Act): PlantState {
  switch (deed.kind) {
    case "admit":
      return withPatient(plant, {
        patientId: deed.patientId,
        bedId: deed.bedId,
        label: deed.label,
        profile: deed.profile,
        demonstration: deed.demonstration,
        admittedSeq: act.seq,
        inBedSeq: act.seq,
        consciousness: null,
        onOxygen: null,
        limits: new Map(),
        notes: [],
        formerNumbers: new Map(),
      });
    case "transfer":
    case "correct-patient":
    case "set-limit":
    case "reset-limit":
    case "note":
    case "enter-consciousness":
    case "enter-oxygen":
    case "set-profile":
      return changePatient(plant, deed.patientId, (patient) => patientAfter(patient, act, deed));
    case "merge":
      return merged(plant, deed, act.seq);
    case "discharge": {
      const patients = new Map(plant.patients);
      patients.delete(deed.patientId);
      const assignments = new Map([...plant.assignments].filter(([, patientId]) => patientId !== deed.patientId));
      const confirmations = new Map([...plant.confirmations].filter(([deviceId]) => assignments.has(deviceId)));
      return { ...plant, patients, assignments, confirmations };
    }
    case "assign": {
      const confirmations = new Map(plant.confirmations).set(deed.deviceId, act.seq);
      return { ...plant, assignments: new Map(plant.assignments).set(deed.deviceId, deed.patientId), confirmations };
    }
    case "release": {
      const assignments = new Map(plant.assignments);
      const confirmations = new Map(plant.confirmations);
      assignments.delete(deed.deviceId);
      confirmations.delete(deed.deviceId);
      return { ...plant, assignments, confirmations };
    }
    case "confirm-assignment":
      if (plant.assignments.get(deed.deviceId) !== deed.patientId) return plant;
      return { ...plant, confirmations: new Map(plant.confirmations).set(deed.deviceId, act.seq) };
    case "verdict":
      return {
        ...plant,
        verdicts: withVerdict(plant.verdicts, deed.alertId, { verdict: deed.verdict, by: act.by, atMs: act.atMs }),
      };
    case "adopt": {
      const { kind: _, ...device } = deed;
      return { ...plant, adopted: new Map(plant.adopted).set(deed.deviceId, device) };
    }
    case "forget-device": {
      const adopted = new Map(plant.adopted);
      adopted.delete(deed.deviceId);
      return { ...plant, adopted };
    }
    case "acknowledge":
      return plant;
  }
}

/** Kinds of deeds that change one patient and nobody else. */
type PatientDeedKind =
  | "transfer"
  | "correct-patient"
  | "set-limit"
  | "reset-limit"
  | "note"
  | "enter-consciousness"
  | "enter-oxygen"
  | "set-profile";

function patientAfter(patient: PatientState, act: Act, deed: Extract<Deed, { kind: PatientDeedKind }>): PatientState {
  const { seq, atMs, by } = act;
  switch (deed.kind) {
    case "transfer":
      return { ...patient, bedId: deed.bedId, inBedSeq: seq };
    case "correct-patient":
      return { ...patient, label: deed.label };
    case "set-limit":
      return { ...patient, limits: new Map(patient.limits).set(deed.quantity, setLimitOf(act, deed)) };
    case "reset-limit":
      return { ...patient, limits: new Map([...patient.limits].filter(([quantity]) => quantity !== deed.quantity)) };
    case "note": {
      const notes = [...patient.notes, { text: deed.text, by, atMs, seq }];
      return { ...patient, notes: notes.slice(-LIMITS.notesKeptMax.value) };
    }
    case "enter-consciousness":
      return { ...patient, consciousness: { value: deed.consciousness, enteredAtMs: atMs, seq } };
    case "enter-oxygen":
      return { ...patient, onOxygen: { value: deed.onOxygen, enteredAtMs: atMs, seq } };
    case "set-profile":
      return { ...patient, profile: deed.profile };
  }
}

/** What a record of before there were reasons and expiries leaves out is null. */
function setLimitOf(act: Act, deed: Extract<Deed, { kind: "set-limit" }>): SetLimit {
  const { low, high, reason = null, expiresAtMs = null } = deed;
  return { low, high, reason, setBy: act.by, setAtMs: act.atMs, expiresAtMs, seq: act.seq };
}

function withVerdict(before: PlantState["verdicts"], alertId: AlertId, verdict: AlertVerdict): PlantState["verdicts"] {
  const verdicts = new Map(before);
  verdicts.delete(alertId);
  const [oldest] = verdicts.size >= LIMITS.verdictsKeptMax.value ? verdicts.keys() : [];
  if (oldest !== undefined) verdicts.delete(oldest);
  return verdicts.set(alertId, verdict);
}

/**
 * Two numbers become one patient. Where only the former is here, they go on under the number that stays, in the same bed. Where both are,
 * the one that stays keeps bed, label, profile and every limit set for it; devices, other limits and notes join it, and of what was
 * entered the later counts.
 */
function merged(plant: PlantState, deed: Extract<Deed, { kind: "merge" }>, seq: Seq): PlantState {
  const { patientId, formerPatientId } = deed;
  const former = plant.patients.get(formerPatientId);
  if (former === undefined || patientId === formerPatientId) return plant;
  const staying = plant.patients.get(patientId);
  const formerNumbers = new Map([...former.formerNumbers, ...(staying?.formerNumbers ?? [])]);
  formerNumbers.set(formerPatientId, { afterSeq: former.admittedSeq, upToSeq: seq });
  const patients = new Map(plant.patients);
  patients.delete(formerPatientId);
  patients.set(
    patientId,
    staying === undefined
      ? { ...former, patientId, formerNumbers }
      : {
          ...staying,
          // Devices of the other number may still stand at the bed where that one lay.
          inBedSeq: seq,
          consciousness: later(staying.consciousness, former.consciousness),
          onOxygen: later(staying.onOxygen, former.onOxygen),
          limits: new Map([...former.limits, ...staying.limits]),
          notes: [...former.notes, ...staying.notes].sort((one, other) => one.seq - other.seq).slice(-LIMITS.notesKeptMax.value),
          formerNumbers,
        },
  );
  const assignments = new Map([...plant.assignments].map(([device, on]) => [device, on === formerPatientId ? patientId : on]));
  return { ...plant, patients, assignments };
}

function later<Value>(one: Entry<Value> | null, other: Entry<Value> | null): Entry<Value> | null {
  if (one === null || other === null) return one ?? other;
  return one.seq > other.seq ? one : other;
}

/** The patient of a number, a former one too, and their bed; null where they are not here. */
export function whereIs(
  plant: PlantState,
  patientId: PatientId,
): { readonly patientId: PatientId; readonly bedId: BedId } | null {
  const patient =
    plant.patients.get(patientId) ?? [...plant.patients.values()].find(({ formerNumbers }) => formerNumbers.has(patientId));
  return patient === undefined ? null : { patientId: patient.patientId, bedId: patient.bedId };
}

/** Who is meant by a number that a record of this sequence number bears; null where they are not here, or it is of a former stay. */
export function patientOfRecord(plant: PlantState, patientId: PatientId, seq: Seq): PatientState | null {
  const patient = plant.patients.get(patientId);
  if (patient !== undefined && seq > patient.admittedSeq) return patient;
  for (const candidate of plant.patients.values()) {
    const span = candidate.formerNumbers.get(patientId);
    if (span !== undefined && seq > span.afterSeq && seq <= span.upToSeq) return candidate;
  }
  return null;
}

function withPatient(plant: PlantState, patient: PatientState): PlantState {
  return { ...plant, patients: new Map(plant.patients).set(patient.patientId, patient) };
}

function changePatient(plant: PlantState, patientId: PatientId, change: (patient: PatientState) => PatientState): PlantState {
  const patient = plant.patients.get(patientId);
  return patient === undefined ? plant : withPatient(plant, change(patient));
}
