import type { Deed } from "../../src/core/act.ts";
import type { FeedMessage } from "../links/hl7-feed.ts";

/** The ward of every simulated bed: in PV1-3 a bed is `SIM^^bed-1`. */
const SIMULATED_WARD = "SIM";
/** Who gives the patients their numbers (PID-3). */
const AUTHORITY = "SIM";

/** What a hospital's system says when somebody is admitted, moved or discharged; null for what such a system knows nothing of. */
export function admissionMessage(
  deed: Deed,
  at: { readonly wallMs: number; readonly number: number; readonly labelOf: (patientId: string) => string },
): (FeedMessage & { readonly event: string }) | null {
  switch (deed.kind) {
    case "admit":
      return written("A01", { ...at, patient: deed.patientId, name: deed.label ?? deed.patientId, place: placeOf(deed.bedId) });
    case "transfer":
      return written("A02", { ...at, patient: deed.patientId, name: at.labelOf(deed.patientId), place: placeOf(deed.bedId) });
    case "discharge":
      return written("A03", { ...at, patient: deed.patientId, name: at.labelOf(deed.patientId), place: SIMULATED_WARD });
    default:
      return null;
  }
}

function placeOf(bedId: string): string {
  return `${SIMULATED_WARD}^^${escaped(bedId)}`;
}

/** HL7 v2.5.1: MSH, EVN, PID and PV1, in UTF-8, each segment ended by CR. */
function written(
  event: string,
  of: {
    readonly wallMs: number;
    readonly number: number;
    readonly patient: string;
    readonly name: string;
    readonly place: string;
  },
): FeedMessage & { readonly event: string } {
  const time = hl7Time(of.wallMs);
  const controlId = `SIM${of.number}`;
  const segments = [
    `MSH|^~\\&|SIMULATOR|SIM|||${time}||ADT^${event}|${controlId}|P|2.5.1||||||UNICODE UTF-8`,
    `EVN|${event}|${time}`,
    `PID|1||${escaped(of.patient)}^^^${AUTHORITY}^MR||${escaped(of.name)}`,
    `PV1|1|I|${of.place}`,
  ];
  return { event, controlId, text: segments.map((segment) => `${segment}\r`).join("") };
}

/** `20260101100000+0000`, with the zone, so that nobody has to guess it. */
function hl7Time(wallMs: number): string {
  return `${new Date(wallMs).toISOString().slice(0, 19).replace(/[-:T]/g, "")}+0000`;
}

const ESCAPES: Readonly<Record<string, string>> = { "\\": "\\E\\", "|": "\\F\\", "^": "\\S\\", "&": "\\T\\", "~": "\\R\\" };

function escaped(text: string): string {
  return text.replace(/[\\|^&~]/g, (character) => ESCAPES[character] ?? character);
}
