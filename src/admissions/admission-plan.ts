import type { Deed } from "../core/act.ts";
import type { BedId, PatientId, Seq } from "../core/ids.ts";
import type { WallMs } from "../core/time.ts";
import { isBefore } from "../wire/hl7.ts";
import type { AdtMessage } from "./adt-message.ts";
import { labelOf } from "./label.ts";
import type { MessageHistory } from "./message-history.ts";
import { type AdmissionsOptions, placeText, type Whereabouts, whereaboutsOf } from "./options.ts";

/** A patient who is here now, as far as admissions need to know. */
export interface Stay {
  readonly bedId: BedId;
  readonly label: string;
  /** The act that began it. */
  readonly admittedSeq: Seq;
}

/** Everything a message is held against. */
export interface KnownWard {
  readonly options: AdmissionsOptions;
  readonly stays: ReadonlyMap<PatientId, Stay>;
  readonly history: MessageHistory;
  readonly now: WallMs;
}

/** Why a message that was understood is not done. */
export type AdmissionRefusal =
  | "unknown-bed"
  | "bed-missing"
  | "bed-occupied"
  | "place-differs"
  | "older-than-last"
  | "two-beds"
  | "swap-by-hand";

/** What a message comes to. */
export type AdmissionPlan =
  | {
      readonly kind: "act";
      readonly deeds: readonly Deed[];
      readonly text: string;
      /** The bed it is about; a trouble there is over. */
      readonly bedId: BedId | null;
      readonly differs: PlaceDifference | null;
      /** The patient it admits is too young for what is made for adults. */
      readonly isChild: boolean;
    }
  | {
      readonly kind: "nothing";
      readonly text: string;
      /** True where all is as the message wants it: what made it so may not be on disk yet. */
      readonly alreadySo: boolean;
      readonly bedId: BedId | null;
      readonly differs: PlaceDifference | null;
    }
  | {
      readonly kind: "refuse";
      readonly why: AdmissionRefusal;
      readonly bedId: BedId | null;
      readonly place: string;
    };

/** The hospital says another place than the bed where the patient lies here. */
export interface PlaceDifference {
  readonly bedId: BedId;
  readonly place: string;
}

/** What an event of table 0003 means here. Source: HL7 v2.5.1, chapter 3. */
export type EventMeaning = "place" | "leave" | "update" | "merge" | "swap" | "ignore" | "unknown";

const PLACING = new Set(["A01", "A02", "A06", "A12", "A13"]);
const LEAVING = new Set(["A03", "A11"]);
/** All of them name the number that is used no more in MRG-1. */
const MERGING = new Set(["A18", "A30", "A34", "A36", "A39", "A40", "A46", "A47"]);
/** These say that the patient is in another place now; A01, A06 and A13 may as well begin a stay beside the one here. */
const MOVING = new Set(["A02", "A12"]);

/** NEWS2 is not for people under this age. Source: Royal College of Physicians, NEWS2, 2017. */
const ADULT_YEARS_MIN = 16;
const YEAR_MS = 365.25 * 24 * 3_600_000;

/** Sorts an event. Those of the standard that change nothing at a bed are ignored; what is no event of the standard is unknown. */
export function meaningOf(event: string): EventMeaning {
  if (PLACING.has(event)) return "place";
  if (LEAVING.has(event)) return "leave";
  if (MERGING.has(event)) return "merge";
  if (event === "A08") return "update";
  if (event === "A17") return "swap";
  return /^A(0[1-9]|[1-5][0-9]|6[0-2])$/.test(event) ? "ignore" : "unknown";
}

/** Decides what a message comes to. Nothing is changed, and nothing is guessed: what does not fit is refused with its reason. */
export function planAdmission(adt: AdtMessage, ward: KnownWard): AdmissionPlan {
  const meaning = meaningOf(adt.event);
  switch (meaning) {
    case "place":
      return inOrder(adt, ward, planPlacing(adt, ward));
    case "leave":
      return inOrder(adt, ward, planLeaving(adt, ward));
    case "update":
      return planUpdate(adt, ward);
    case "merge":
      return inOrder(adt, ward, planMerging(adt, ward));
    case "swap":
      return planSwap(adt, ward);
    case "ignore":
    case "unknown":
      return nothing(`${adt.event} changes nothing here`);
  }
}

function nothing(text: string, more: { readonly alreadySo?: boolean; readonly bedId?: BedId } = {}): AdmissionPlan {
  return { kind: "nothing", text, alreadySo: more.alreadySo ?? false, bedId: more.bedId ?? null, differs: null };
}

function act(deeds: readonly Deed[], text: string, bedId: BedId | null): AdmissionPlan {
  return { kind: "act", deeds, text, bedId, differs: null, isChild: false };
}

function refuse(why: AdmissionRefusal, adt: AdtMessage, bedId: BedId | null): AdmissionPlan {
  return { kind: "refuse", why, bedId, place: adt.place === null ? "" : placeText(adt.place) };
}

/** A message that would change something must not be older than the one that last moved this patient. */
function inOrder(adt: AdtMessage, { history, stays }: KnownWard, plan: AdmissionPlan): AdmissionPlan {
  if (plan.kind === "nothing" || !isBefore(adt.at, history.lastMove(adt.patientId))) return plan;
  return refuse("older-than-last", adt, stays.get(adt.patientId)?.bedId ?? plan.bedId);
}

/** The patient lies where PV1-3 says from now on. */
function planPlacing(adt: AdtMessage, ward: KnownWard): AdmissionPlan {
  const whereabouts = whereaboutsOf(ward.options, adt.place);
  if (whereabouts.kind === "unknown-bed") return refuse("unknown-bed", adt, null);
  if (whereabouts.kind === "bed") return planBed(adt, ward, whereabouts.bedId);
  const stay = ward.stays.get(adt.patientId);
  if (stay === undefined) return nothing("no bed of this gateway");
  if (isOtherVisit(adt, ward, stay)) return nothing("another stay than the one here");
  if (!MOVING.has(adt.event))
    return whereabouts.kind === "elsewhere"
      ? refuse("place-differs", adt, stay.bedId)
      : nothing("is here already", { alreadySo: true, bedId: stay.bedId });
  if (whereabouts.kind !== "elsewhere") return refuse("bed-missing", adt, stay.bedId);
  return act([{ kind: "discharge", patientId: adt.patientId }], "left the beds of this gateway", stay.bedId);
}

function planBed(adt: AdtMessage, ward: KnownWard, bedId: BedId): AdmissionPlan {
  const { patientId } = adt;
  const stay = ward.stays.get(patientId);
  if (stay?.bedId === bedId) {
    const correction = planLabel(adt, ward, stay);
    return correction.length === 0
      ? nothing(`is in ${bedId} already`, { alreadySo: true, bedId })
      : act(correction, `is in ${bedId} already, label corrected`, bedId);
  }
  if ([...ward.stays.values()].some((other) => other.bedId === bedId)) return refuse("bed-occupied", adt, bedId);
  if (stay !== undefined) return act([{ kind: "transfer", patientId, bedId }], `moved to ${bedId}`, bedId);
  const label = labelOf(ward.options.label, { patientId, name: adt.name, gatewayId: ward.options.gatewayId });
  const profile = { kind: "adult", spo2Scale: 1 } as const;
  const admission: Deed = { kind: "admit", patientId, bedId, label, profile, demonstration: false };
  const ageMs = adt.bornAt === null ? null : ward.now - adt.bornAt.atMs;
  const isChild = ageMs !== null && ageMs >= 0 && ageMs < ADULT_YEARS_MIN * YEAR_MS;
  return { kind: "act", deeds: [admission], text: `admitted to ${bedId}`, bedId, differs: null, isChild };
}

/** The stay is over, where it is this one: an outpatient visit or an emergency may end beside it. */
function planLeaving(adt: AdtMessage, ward: KnownWard): AdmissionPlan {
  const stay = ward.stays.get(adt.patientId);
  if (stay === undefined) return nothing("is not here");
  const visit = ward.history.visitOf(adt.patientId, stay.admittedSeq);
  if (isOtherVisit(adt, ward, stay)) return nothing("another stay than the one here");
  const isSameVisit = visit !== null && visit === adt.visit;
  if (!isSameVisit && !agrees(whereaboutsOf(ward.options, adt.place), stay)) return refuse("place-differs", adt, stay.bedId);
  return act([{ kind: "discharge", patientId: adt.patientId }], `discharged from ${stay.bedId}`, stay.bedId);
}

/** An update moves nobody: a place that differs is told to a person. */
function planUpdate(adt: AdtMessage, ward: KnownWard): AdmissionPlan {
  const whereabouts = whereaboutsOf(ward.options, adt.place);
  const stay = ward.stays.get(adt.patientId);
  if (stay === undefined) {
    if (!ward.options.admitOnUpdate || adt.discharged || whereabouts.kind === "elsewhere" || whereabouts.kind === "not-said")
      return nothing("is not here");
    return inOrder(adt, ward, planPlacing(adt, ward));
  }
  const isOther = isOtherVisit(adt, ward, stay);
  const place = adt.place === null ? "" : placeText(adt.place);
  const differs = isOther || agrees(whereabouts, stay) ? null : { bedId: stay.bedId, place };
  const correction = isBefore(adt.at, ward.history.lastMove(adt.patientId)) ? [] : planLabel(adt, ward, stay);
  const { bedId } = stay;
  return correction.length === 0
    ? { kind: "nothing", text: "nothing to change", alreadySo: true, bedId, differs }
    : { kind: "act", deeds: correction, text: "label corrected", bedId, differs, isChild: false };
}

/** What the wall shows follows the hospital's name where the message says one. */
function planLabel(adt: AdtMessage, { options }: KnownWard, stay: Stay): readonly Deed[] {
  if (adt.name === null) return [];
  const label = labelOf(options.label, { patientId: adt.patientId, name: adt.name, gatewayId: options.gatewayId });
  return label === stay.label ? [] : [{ kind: "correct-patient", patientId: adt.patientId, label }];
}

/** Two numbers are one person. One person in two beds is for a person to look at. */
function planMerging(adt: AdtMessage, { stays }: KnownWard): AdmissionPlan {
  const first = adt.formerPatientId === null ? [] : [{ patientId: adt.patientId, formerPatientId: adt.formerPatientId }];
  const pairs = [...first, ...adt.furtherMerges].filter((pair) => pair.patientId !== pair.formerPatientId);
  const here = pairs.filter((pair) => stays.has(pair.formerPatientId));
  const twice = here.find((pair) => stays.has(pair.patientId));
  if (twice !== undefined) return refuse("two-beds", adt, stays.get(twice.formerPatientId)?.bedId ?? null);
  if (here.length === 0) return nothing("the former number is not here");
  return act(
    here.map((pair) => ({ kind: "merge", ...pair })),
    "numbers merged",
    stays.get(here[0]?.formerPatientId ?? adt.patientId)?.bedId ?? null,
  );
}

/** A swap needs a free bed in between, and who sets down whom first is seen at the beds only. */
function planSwap(adt: AdtMessage, ward: KnownWard): AdmissionPlan {
  const stay = ward.stays.get(adt.patientId);
  const whereabouts = whereaboutsOf(ward.options, adt.place);
  if (stay === undefined && (whereabouts.kind === "elsewhere" || whereabouts.kind === "not-said")) return nothing("is not here");
  return refuse("swap-by-hand", adt, stay?.bedId ?? null);
}

function agrees(whereabouts: Whereabouts, stay: Stay): boolean {
  switch (whereabouts.kind) {
    case "bed":
      return whereabouts.bedId === stay.bedId;
    case "ward":
    case "not-said":
      return true;
    case "unknown-bed":
    case "elsewhere":
      return false;
  }
}

function isOtherVisit(adt: AdtMessage, { history }: KnownWard, stay: Stay): boolean {
  const visit = history.visitOf(adt.patientId, stay.admittedSeq);
  return visit !== null && adt.visit !== null && visit !== adt.visit;
}
