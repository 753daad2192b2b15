import type { Alert } from "../core/alert.ts";
import { type BedId, bedId, type DeviceId, type PatientId } from "../core/ids.ts";
import type { Origin } from "../core/observation.ts";
import type { Text } from "../core/quantities.ts";
import type { AnswerView, BedView, DeviceView, EntryView, GatewayView, NumberView, PictureView } from "../core/stream.ts";
import type { DeviceLine } from "./device-line.ts";
import type { Entry, PatientState, PlantState } from "./plant.ts";

/** How long what a person entered counts. Source: safety.md, at most twelve hours. */
export const ENTRY_MS_MAX = 12 * 3_600_000;

/** What the configuration says of a device, as far as the wall shows it. */
export interface DeviceTag {
  readonly title: Text;
  readonly bedId: BedId | null;
  readonly origin: Origin;
}

/** Where the pictures come from. */
export interface PictureParts {
  readonly beds: readonly { readonly id: string; readonly title: string }[];
  readonly tags: ReadonlyMap<DeviceId, DeviceTag>;
  readonly lines: ReadonlyMap<DeviceId, DeviceLine>;
  readonly plant: () => PlantState;
  readonly numbersOf: (patientId: PatientId) => readonly NumberView[];
  readonly answersOf: (patientId: PatientId) => readonly AnswerView[];
  readonly openAlerts: () => readonly Alert[];
  readonly gatewayView: () => GatewayView;
  readonly nowMs: () => number;
}

/** Makes what a page shows out of the present state. */
export interface Pictures {
  readonly whole: () => PictureView;
  readonly bed: (id: BedId) => BedView | null;
  readonly unassigned: () => readonly DeviceView[];
  /** The bed a device is shown at: its patient's, else the one it stands at. */
  readonly bedOf: (id: DeviceId) => BedId | null;
}

/** Makes the picture maker. */
export function createPictures(parts: PictureParts): Pictures {
  const titles = new Map(parts.beds.map((bed) => [bedId(bed.id), bed.title]));

  const bedOf = (id: DeviceId): BedId | null => {
    const plant = parts.plant();
    const patientId = plant.assignments.get(id);
    const patient = patientId === undefined ? undefined : plant.patients.get(patientId);
    return patient?.bedId ?? parts.tags.get(id)?.bedId ?? null;
  };

  const deviceView = (line: DeviceLine): DeviceView => {
    const tag = parts.tags.get(line.deviceId);
    return {
      deviceId: line.deviceId,
      title: tag?.title ?? line.intake.driver.title,
      driverId: line.intake.driver.id,
      bedId: bedOf(line.deviceId),
      patientId: parts.plant().assignments.get(line.deviceId) ?? null,
      link: line.isUp() ? "up" : "down",
      lastHeardAtMs: line.lastHeardAtMs(),
      origin: tag?.origin ?? "measured",
      refusedCount: line.refusedCount(),
      quarantined: line.intake.isQuarantined(),
    };
  };

  const bed = (id: BedId): BedView | null => {
    const title = titles.get(id);
    if (title === undefined) return null;
    const patient = [...parts.plant().patients.values()].find((candidate) => candidate.bedId === id);
    return {
      bedId: id,
      title,
      patient: patient === undefined ? null : patientView(patient),
      numbers: patient === undefined ? [] : parts.numbersOf(patient.patientId),
      answers: patient === undefined ? [] : parts.answersOf(patient.patientId),
      devices: [...parts.lines.values()].filter((line) => bedOf(line.deviceId) === id).map(deviceView),
    };
  };

  const unassigned = () =>
    [...parts.lines.values()].filter((line) => !parts.plant().assignments.has(line.deviceId)).map(deviceView);

  return {
    bed,
    bedOf,
    unassigned,
    whole: () => ({
      nowMs: parts.nowMs(),
      gateway: parts.gatewayView(),
      beds: [...titles.keys()].map(bed).filter((view) => view !== null),
      unassigned: unassigned(),
      alerts: parts.openAlerts(),
    }),
  };
}

function patientView(patient: PatientState): NonNullable<BedView["patient"]> {
  return {
    patientId: patient.patientId,
    label: patient.label,
    profile: patient.profile,
    demonstration: patient.demonstration,
    consciousness: entryView(patient.consciousness),
    onOxygen: entryView(patient.onOxygen),
  };
}

function entryView<Value>(entry: Entry<Value> | null): EntryView<Value> | null {
  return entry === null
    ? null
    : { value: entry.value, enteredAtMs: entry.enteredAtMs, expiresAtMs: entry.enteredAtMs + ENTRY_MS_MAX };
}
