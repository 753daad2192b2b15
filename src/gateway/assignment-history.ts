import type { Act } from "../core/act.ts";
import type { DeviceId, PatientId } from "../core/ids.ts";
import { LIMITS } from "../core/limits.ts";

/** One time a device was on a patient; monotonic times of this life, also from before it. */
interface Assignment {
  patientId: PatientId;
  readonly fromMs: number;
  toMs: number;
}

/** Who a device was on, and when: a stored record belongs to whom it was measured on, never to who is there when it arrives. */
export interface AssignmentHistory {
  /** Takes the next act; `atMs` is its monotonic time, or null where nobody can know it. */
  readonly note: (act: Act, atMs: number | null) => void;
  /** Whom the device was on at a monotonic time; null where it was on nobody or nobody can know. */
  readonly patientAt: (deviceId: DeviceId, atMs: number) => PatientId | null;
}

/**
 * Begins an empty history.
 *
 * @param beganMs  When this life began: an assignment of unknown time counts from here on, and an end of unknown time from its beginning.
 */
export function createAssignmentHistory(beganMs: number): AssignmentHistory {
  const assignments = new Map<DeviceId, Assignment[]>();
  const end = (atMs: number | null, of: (assignment: Assignment, deviceId: DeviceId) => boolean) => {
    for (const [deviceId, each] of assignments)
      for (const assignment of each)
        if (assignment.toMs === Infinity && of(assignment, deviceId)) assignment.toMs = atMs ?? assignment.fromMs;
  };
  const rename = (fromId: PatientId, toId: PatientId) => {
    for (const each of assignments.values())
      for (const assignment of each) if (assignment.patientId === fromId) assignment.patientId = toId;
  };
  return {
    note: ({ deed }, atMs) => {
      if (deed.kind === "release") end(atMs, (_, deviceId) => deviceId === deed.deviceId);
      if (deed.kind === "discharge") end(atMs, ({ patientId }) => patientId === deed.patientId);
      if (deed.kind === "merge") rename(deed.formerPatientId, deed.patientId);
      if (deed.kind !== "assign") return;
      const known = assignments.get(deed.deviceId) ?? [];
      known.push({ patientId: deed.patientId, fromMs: atMs ?? beganMs, toMs: Infinity });
      if (known.length > LIMITS.assignmentsKeptMax.value) known.shift();
      assignments.set(deed.deviceId, known);
    },
    patientAt: (deviceId, atMs) =>
      assignments.get(deviceId)?.findLast(({ fromMs, toMs }) => atMs >= fromMs && atMs < toMs)?.patientId ?? null,
  };
}
