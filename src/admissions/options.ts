import type { BedId } from "../core/ids.ts";
import type { MllpSpec } from "../core/ports.ts";
import type { CharacterSet } from "../wire/character-set.ts";

/** How a patient is named on the wall. A number or a full name stands there only where the configuration says so. */
export type LabelRule = "initials" | "pseudonym" | "number" | "name";

/** What the configuration says of the hospital's admission system. */
export interface AdmissionsOptions {
  readonly mllp: MllpSpec;
  /** Which of the numbers in PID-3 is the patient's here. What is left out matches any. */
  readonly patientNumber: { readonly authority?: string | undefined; readonly type?: string | undefined };
  readonly label: LabelRule;
  /** Where the hospital's places are here: `location` is point of care^room^bed^facility as in PV1-3; an empty piece but the first matches any. */
  readonly beds: readonly { readonly location: string; readonly bed: string }[];
  /** Where MSH-18 says nothing, or where it is not to be believed. */
  readonly characterSet: CharacterSet;
  readonly believeDeclaredCharacterSet: boolean;
  /** Whether an update (A08) of somebody who is not here admits them: for the first days beside patients who were there before the gateway. */
  readonly admitOnUpdate: boolean;
  /** So long without any message is told as a technical alert; null: silence is no trouble. */
  readonly silenceMinutesMax: number | null;
  /** Makes pseudonyms unlike those of another house. */
  readonly gatewayId: string;
}

/** A place as the hospital names it, in PV1-3 or in the configuration; "" where a piece is not said. */
export interface HospitalPlace {
  readonly pointOfCare: string;
  readonly room: string;
  readonly bed: string;
  readonly facility: string;
}

/** What a place is to this gateway: one of its beds, one of its wards without a bed, an unknown bed of its wards, somewhere else, or not said. */
export type Whereabouts =
  | { readonly kind: "bed"; readonly bedId: BedId }
  | { readonly kind: "ward" }
  | { readonly kind: "unknown-bed" }
  | { readonly kind: "elsewhere" }
  | { readonly kind: "not-said" };

/** Reads `point of care^room^bed^facility`. */
export function hospitalPlace(text: string): HospitalPlace {
  const [pointOfCare = "", room = "", bed = "", facility = ""] = text.split("^").map((piece) => piece.trim());
  return { pointOfCare, room, bed, facility };
}

/** A place as the configuration writes it. */
export function placeText({ pointOfCare, room, bed, facility }: HospitalPlace): string {
  return [pointOfCare, room, bed, facility].join("^").replace(/\^+$/, "");
}

/** Finds what a place is here. Nothing is guessed: a bed is known when every piece that the configuration names is the same. */
export function whereaboutsOf(options: Pick<AdmissionsOptions, "beds">, place: HospitalPlace | null): Whereabouts {
  if (place === null || (place.pointOfCare === "" && place.bed === "")) return { kind: "not-said" };
  const entries = options.beds.map(({ location, bed }) => ({ wanted: hospitalPlace(location), bedId: bed as BedId }));
  const same = (wanted: string, given: string) => wanted === "" || wanted === given;
  const found = entries.find(
    ({ wanted }) =>
      wanted.pointOfCare === place.pointOfCare &&
      same(wanted.room, place.room) &&
      same(wanted.bed, place.bed) &&
      same(wanted.facility, place.facility),
  );
  if (found !== undefined) return { kind: "bed", bedId: found.bedId };
  const ours = entries.some(
    ({ wanted }) => wanted.pointOfCare === place.pointOfCare && (place.facility === "" || same(wanted.facility, place.facility)),
  );
  if (!ours) return { kind: "elsewhere" };
  return place.bed === "" ? { kind: "ward" } : { kind: "unknown-bed" };
}
