import type { BedId, DeviceId, PatientId } from "../../../core/ids.ts";
import { LIMITS } from "../../../core/limits.ts";
import type { BedView, DeviceView, PictureView } from "../../../core/stream.ts";

/** What is to be done about a code that was scanned. */
export type ScanMeaning =
  | { readonly kind: "open-bed"; readonly bedId: BedId }
  /** Null: it is asked whom the device is to be put on. */
  | { readonly kind: "assign"; readonly deviceId: DeviceId; readonly patientId: PatientId | null }
  | { readonly kind: "already-on"; readonly device: DeviceView; readonly label: string }
  /** A number that nobody here has: somebody who comes. Null: it is asked which bed. */
  | { readonly kind: "admit"; readonly bedId: BedId | null; readonly patientId: string }
  | { readonly kind: "unknown" }
  | { readonly kind: "too-long" };

/** Cuts off the symbology identifier that a scanner may send before a code, such as `]C1` or `]d2`. Source: AIM, ISO/IEC 15424. */
export function withoutSymbology(code: string): string {
  return code.replace(/^\][A-Za-z][0-9A-Za-z]/, "");
}

/**
 * What a code means that was scanned on a page.
 *
 * @param at.bedId  The bed whose page is shown; null on any other page.
 * @param may       What whoever is signed in may do: what they may not is not asked for.
 */
export function scanMeaning(
  scanned: string,
  at: { readonly ward: PictureView; readonly bedId: string | null },
  may: { readonly admit: boolean; readonly assign: boolean },
): ScanMeaning {
  const code = withoutSymbology(scanned.trim());
  if (code === "") return { kind: "unknown" };
  const { beds } = at.ward;
  const bed = bedOf(beds, code);
  if (bed !== undefined) return { kind: "open-bed", bedId: bed.bedId };
  const here = beds.find((each) => each.bedId === at.bedId);
  const device = [...at.ward.unassigned, ...beds.flatMap((each) => each.devices)].find((each) => each.deviceId === code);
  if (device !== undefined) return deviceMeaning(device, here, { beds, mayAssign: may.assign });
  if (code.length > LIMITS.patientNumberCharactersMax.value) return { kind: "too-long" };
  if (!may.admit) return { kind: "unknown" };
  return { kind: "admit", bedId: here !== undefined && here.patient === null ? here.bedId : null, patientId: code };
}

/** The bed that a code is of: of its patient, who may have had that number before, or its own. */
function bedOf(beds: readonly BedView[], code: string): BedView | undefined {
  return (
    beds.find(({ patient }) => patient?.patientId === code) ??
    beds.find(({ patient }) => patient?.formerNumbers.some((number) => number === code) === true) ??
    beds.find(({ bedId }) => bedId === code) ??
    beds.find(({ title }) => title.trim().toLowerCase() === code.toLowerCase())
  );
}

function deviceMeaning(
  device: DeviceView,
  here: BedView | undefined,
  { beds, mayAssign }: { readonly beds: readonly BedView[]; readonly mayAssign: boolean },
): ScanMeaning {
  const on = device.patientId === null ? undefined : beds.find(({ patient }) => patient?.patientId === device.patientId);
  if (here?.patient != null && on === here) return { kind: "already-on", device, label: here.patient.label };
  if (here?.patient != null && mayAssign) return { kind: "assign", deviceId: device.deviceId, patientId: here.patient.patientId };
  const shownAt = on?.bedId ?? device.bedId;
  if (on === undefined && mayAssign) return { kind: "assign", deviceId: device.deviceId, patientId: null };
  return shownAt === null ? { kind: "unknown" } : { kind: "open-bed", bedId: shownAt };
}
