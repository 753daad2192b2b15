import type { Config } from "../../config/schema.ts";
import type { Alert } from "../core/alert.ts";
import { type BedId, bedId, type DeviceId } from "../core/ids.ts";
import type { Origin } from "../core/observation.ts";
import type { Text } from "../core/quantities.ts";
import type { BedView, DeviceView, GatewayView, PictureView } from "../core/stream.ts";
import type { Watch, WatchView } from "../watch/watch.ts";
import type { DeviceLine } from "./device-line.ts";
import type { LimitKeeper } from "./limit-keeper.ts";
import type { PatientState, PlantState } from "./plant.ts";

/** What the configuration says of a device, as far as the wall shows it. */
export interface DeviceTag {
  /** Null: the driver's own title. */
  readonly title: Text | null;
  readonly bedId: BedId | null;
  readonly origin: Origin;
  /** Whether somebody adopted it, or the configuration has it. */
  readonly isAdopted: boolean;
}

/** Where the pictures come from. */
export interface PictureParts {
  /** In the order in which they are shown. */
  readonly beds: Config["beds"];
  readonly tags: ReadonlyMap<DeviceId, DeviceTag>;
  readonly lines: ReadonlyMap<DeviceId, DeviceLine>;
  readonly plant: () => PlantState;
  readonly viewOf: Watch["view"];
  readonly titleOf: (modelId: string) => Text;
  readonly openAlerts: () => readonly Alert[];
  readonly gatewayView: () => GatewayView;
  readonly nowMs: () => number;
  /** When limits expire, as they stand now. */
  readonly limits: Pick<LimitKeeper, "isOver" | "expiresAtMs">;
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
  const plannedBeds = new Map(parts.beds.map((bed) => [bedId(bed.id), bed]));

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
      ...(tag?.isAdopted === true ? { adopted: true } : {}),
    };
  };

  const bed = (id: BedId): BedView | null => {
    const planned = plannedBeds.get(id);
    if (planned === undefined) return null;
    const patient = [...parts.plant().patients.values()].find((candidate) => candidate.bedId === id);
    const watched = patient === undefined ? null : parts.viewOf(patient.patientId);
    return {
      bedId: id,
      title: planned.title,
      room: planned.room ?? null,
      ward: planned.ward ?? null,
      patient: patient === undefined ? null : patientView(patient, watched, parts.limits),
      numbers: watched?.numbers ?? [],
      answers: (watched?.answers ?? []).map((answer) => ({ ...answer, title: parts.titleOf(answer.modelId) })),
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
      beds: [...plannedBeds.keys()].map(bed).filter((view) => view !== null),
      unassigned: unassigned(),
      alerts: parts.openAlerts(),
    }),
  };
}

function patientView(
  patient: PatientState,
  watched: WatchView | null,
  keeper: PictureParts["limits"],
): NonNullable<BedView["patient"]> {
  const limits = [...patient.limits].map(([quantity, limit]) => {
    const { low, high, reason, setBy, setAtMs } = limit;
    return { quantity, low, high, reason, setBy, setAtMs, expiresAtMs: keeper.expiresAtMs(limit), expired: keeper.isOver(limit) };
  });
  return {
    patientId: patient.patientId,
    label: patient.label,
    profile: patient.profile,
    demonstration: patient.demonstration,
    consciousness: watched?.consciousness ?? null,
    onOxygen: watched?.onOxygen ?? null,
    limits,
    formerNumbers: [...patient.formerNumbers.keys()],
    noteCount: patient.notes.length,
    lastNote: patient.notes.at(-1) ?? null,
  };
}
