import { createHash } from "node:crypto";
import { type PatientId, patientId } from "../core/ids.ts";
import { fail, type Result, succeed } from "../core/result.ts";
import {
  encodeHl7,
  type Hl7Message,
  type Hl7Place,
  type Hl7Segment,
  type Hl7Time,
  hl7RepetitionCount,
  hl7Segment,
  hl7Text,
  isBefore,
  parseHl7Time,
} from "../wire/hl7.ts";
import type { PersonName } from "./label.ts";
import type { AdmissionsOptions, HospitalPlace } from "./options.ts";

/** What MSH says of a message. */
export interface MessageHeader {
  readonly application: string;
  readonly facility: string;
  readonly receivingApplication: string;
  readonly receivingFacility: string;
  /** MSH-9: `ADT` and `A01`. */
  readonly type: string;
  readonly event: string;
  readonly controlId: string;
  /** MSH-11: `P` is real, anything else is a test. */
  readonly processing: string;
  readonly version: string;
  /** MSH-15 and MSH-16: which answers are wanted; both empty: one, of the application. */
  readonly acceptWanted: string;
  readonly applicationWanted: string;
}

/** What the gateway needs to know of a message about one patient. */
export interface AdtMessage {
  readonly event: string;
  /** The same for a message that comes again, and for no other. */
  readonly identity: string;
  /** When it was, by the sender, as it wrote it; null where it does not say. */
  readonly saidAt: string | null;
  readonly at: Hl7Time | null;
  readonly patientId: PatientId;
  /** The number that is used no more (MRG-1), null where there is none. */
  readonly formerPatientId: PatientId | null;
  /** Further pairs of numbers that one message merges. */
  readonly furtherMerges: readonly { readonly patientId: PatientId; readonly formerPatientId: PatientId }[];
  readonly name: PersonName | null;
  readonly bornAt: Hl7Time | null;
  readonly place: HospitalPlace | null;
  /** PV1-19; null where it is not said. */
  readonly visit: string | null;
  /** PV1-45 says that the stay is over. */
  readonly discharged: boolean;
}

/** What a message lacks. `place` names the segment, field and component. */
export interface AdtProblem {
  readonly why: "patient-number-missing" | "former-number-missing" | "patient-number-bad";
  readonly place: string;
}

const NUMBER_CHARACTERS_MAX = 128;

/** Reads the header. */
export function readHeader(message: Hl7Message): MessageHeader {
  const header = hl7Segment(message, "MSH");
  const text = (field: number, component = 1) => hl7Text(message, header, { field, component });
  // HL7 v2.1 has the event in EVN only.
  const event = text(9, 2) || hl7Text(message, hl7Segment(message, "EVN"), { field: 1 });
  return {
    application: text(3),
    facility: text(4),
    receivingApplication: text(5),
    receivingFacility: text(6),
    type: text(9),
    event,
    controlId: text(10),
    processing: text(11),
    version: text(12),
    acceptWanted: text(15),
    applicationWanted: text(16),
  };
}

/**
 * Reads what a message says of its patient. Source of the fields: HL7 v2.5.1, chapter 3; older versions have them at the same places.
 *
 * @returns  The first number that is missing or cannot be used.
 */
export function readAdt(message: Hl7Message, options: Pick<AdmissionsOptions, "patientNumber">): Result<AdtMessage, AdtProblem> {
  const header = readHeader(message);
  const [evn, pid, pv1] = [hl7Segment(message, "EVN"), hl7Segment(message, "PID"), hl7Segment(message, "PV1")];
  const number = numberIn(message, pid, { field: 3, options });
  if (!number.ok) return number;
  const pairs = mergePairs(message, options);
  if (!pairs.ok) return pairs;
  const [pair, ...furtherMerges] = pairs.value;
  const text = (segment: Hl7Segment | null, place: Hl7Place) => hl7Text(message, segment, place);
  const saidAt = timeSaid(text(evn, { field: 2 }), text(hl7Segment(message, "MSH"), { field: 7 }));
  return succeed({
    event: header.event,
    identity: identityOf(message, header),
    saidAt: saidAt === "" ? null : saidAt,
    at: parseHl7Time(saidAt),
    patientId: number.value,
    formerPatientId: pair?.formerPatientId ?? null,
    furtherMerges,
    name: nameIn(message, pid),
    bornAt: parseHl7Time(text(pid, { field: 7 }).replace(/^(\d{4})-(\d\d)-(\d\d)$/, "$1$2$3")),
    place: placeIn(message, pv1),
    visit: text(pv1, { field: 19 }) || null,
    discharged: text(pv1, { field: 45 }) !== "",
  });
}

/** EVN-2 where it is said. One that lies after the making of its message (MSH-7) is wrong, and would make every later message older. */
function timeSaid(recorded: string, sent: string): string {
  return recorded === "" || isBefore(parseHl7Time(sent), parseHl7Time(recorded)) ? sent : recorded;
}

/**
 * Sender, number and a hash of all segments but the header: a message that is sent again under its number is the same, also with a new
 * time of sending; another message under a number that was used before is not.
 */
function identityOf(message: Hl7Message, header: MessageHeader): string {
  const content = encodeHl7({ ...message, segments: message.segments.slice(1) });
  const digest = createHash("sha256").update(`${header.event}\r${content}`).digest("hex").slice(0, 16);
  return [header.application, header.facility, header.controlId, digest].map((part) => part.slice(0, 200)).join("|");
}

/** The patient's number out of a field of numbers (CX): the first repetition of the configured authority and type. */
function numberIn(
  message: Hl7Message,
  segment: Hl7Segment | null,
  { field, options }: { readonly field: number; readonly options: Pick<AdmissionsOptions, "patientNumber"> },
): Result<PatientId, AdtProblem> {
  const { authority, type } = options.patientNumber;
  const name = segment?.name ?? (field === 1 ? "MRG" : "PID");
  for (let repetition = 1; repetition <= hl7RepetitionCount(message, segment, field); repetition++) {
    const piece = (component: number) => hl7Text(message, segment, { field, repetition, component });
    if ((authority !== undefined && piece(4) !== authority) || (type !== undefined && piece(5) !== type)) continue;
    const number = piece(1);
    if (number === "") continue;
    if (number.length > NUMBER_CHARACTERS_MAX || /\p{Cc}/u.test(number))
      return fail({ why: "patient-number-bad", place: `${name}^1^${field}` });
    return succeed(patientId(number));
  }
  return fail({ why: name === "MRG" ? "former-number-missing" : "patient-number-missing", place: `${name}^1^${field}` });
}

/** Each MRG belongs to the PID before it. */
function mergePairs(
  message: Hl7Message,
  options: Pick<AdmissionsOptions, "patientNumber">,
): Result<readonly { readonly patientId: PatientId; readonly formerPatientId: PatientId }[], AdtProblem> {
  const pairs: { readonly patientId: PatientId; readonly formerPatientId: PatientId }[] = [];
  let pid: Hl7Segment | null = null;
  for (const segment of message.segments) {
    if (segment.name === "PID") pid = segment;
    if (segment.name !== "MRG") continue;
    const staying = numberIn(message, pid, { field: 3, options });
    const former = numberIn(message, segment, { field: 1, options });
    if (!staying.ok) return staying;
    if (!former.ok) return former;
    pairs.push({ patientId: staying.value, formerPatientId: former.value });
  }
  return succeed(pairs);
}

/** The first name of PID-5 that says anything. */
function nameIn(message: Hl7Message, pid: Hl7Segment | null): PersonName | null {
  for (let repetition = 1; repetition <= hl7RepetitionCount(message, pid, 5); repetition++) {
    const family = hl7Text(message, pid, { field: 5, repetition });
    const given = hl7Text(message, pid, { field: 5, repetition, component: 2 });
    if (family !== "" || given !== "") return { family, given };
  }
  return null;
}

function placeIn(message: Hl7Message, pv1: Hl7Segment | null): HospitalPlace | null {
  const piece = (component: number) => hl7Text(message, pv1, { field: 3, component });
  const place = { pointOfCare: piece(1), room: piece(2), bed: piece(3), facility: piece(4) };
  return Object.values(place).every((text) => text === "") ? null : place;
}
