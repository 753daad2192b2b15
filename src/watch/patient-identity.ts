import type { Condition } from "../core/alert.ts";
import type { BedId, PatientId } from "../core/ids.ts";
import { joinQuantity } from "./quantity-rules.ts";
import type { PatientState, WatchState } from "./watch-state.ts";

/** The patient lies in another bed: everything that holds goes on and says so. */
export function movePatient(state: WatchState, patientId: PatientId, bedId: BedId | null): void {
  for (const condition of state.board.where(({ subject }) => subject.patientId === patientId && subject.bedId !== bedId))
    state.board.set({ ...condition, subject: { ...condition.subject, bedId } }, true);
}

/**
 * Two numbers are one patient: windows, delays, entries, devices and what holds go on under the number that stays. Nothing ends because of
 * it but what holds under both numbers.
 */
export function mergePatients(state: WatchState, numbers: { readonly fromId: PatientId; readonly toId: PatientId }): void {
  const { fromId, toId } = numbers;
  const from = state.patients.get(fromId);
  if (from === undefined || fromId === toId) return;
  const to = state.patients.get(toId);
  state.patients.delete(fromId);
  const definition = to?.definition ?? { ...from.definition, patientId: toId };
  for (const device of state.devices.values())
    if (device.definition.patientId === fromId) device.definition = { ...device.definition, patientId: toId };
  for (const condition of state.board.where(({ subject }) => subject.patientId === fromId)) {
    const key = isKeyedByPatient(condition) ? `${condition.rule}/${toId}` : condition.key;
    if (key !== condition.key && state.board.holds(key)) state.board.end(condition.key);
    else
      state.board.rename(condition.key, {
        ...condition,
        key,
        subject: { ...condition.subject, patientId: toId, bedId: definition.bedId },
      });
  }
  if (to === undefined) {
    from.definition = definition;
    state.patients.set(toId, from);
  } else {
    join(state, from, to);
  }
}

/** The key of a condition names the patient or the device; what the evidence is of tells which. */
function isKeyedByPatient({ evidence }: Condition): boolean {
  switch (evidence.kind) {
    case "limit":
    case "score":
    case "score-partial":
    case "quantity-missing":
      return true;
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

function join(state: WatchState, from: PatientState, to: PatientState): void {
  to.live ||= from.live;
  for (const [kind, entry] of from.entries) {
    const known = to.entries.get(kind);
    if (known === undefined || known.seq < entry.seq) to.entries.set(kind, entry);
  }
  for (const [modelId, tracker] of from.scores) {
    const known = to.scores.get(modelId);
    // What was announced under the number that stays goes on; else what was announced under the other.
    if (known === undefined || known.announcedRank === 0) to.scores.set(modelId, tracker);
  }
  for (const quantity of from.quantities.values()) joinQuantity(state, to, quantity);
}
