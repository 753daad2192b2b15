import {
  encodeHl7,
  encodeHl7Field,
  encodingCharacters,
  formatHl7Time,
  HL7_DELIMITERS,
  type Hl7Delimiters,
  type Hl7Segment,
} from "../wire/hl7.ts";
import type { MessageHeader } from "./adt-message.ts";

/** What is wrong with a message, by HL7 table 0357. */
export interface AnswerError {
  readonly code: "101" | "102" | "200" | "201" | "202" | "203" | "204" | "207";
  /** The gateway's own word for it. */
  readonly why: string;
  /** Segment, its number and the field, such as `PV1^1^3`; "" where no place is to blame. */
  readonly place: string;
}

/** What became of a message: done (AA), understood and does not fit (AE), not understood (AR). */
export type Outcome =
  | { readonly code: "AA"; readonly text: string }
  | { readonly code: "AE" | "AR"; readonly text: string; readonly error: AnswerError };

/** Titles of HL7 table 0357. */
const ERROR_TITLES: Readonly<Record<AnswerError["code"], string>> = {
  "101": "Required field missing",
  "102": "Data type error",
  "200": "Unsupported message type",
  "201": "Unsupported event code",
  "202": "Unsupported processing id",
  "203": "Unsupported version id",
  "204": "Unknown key identifier",
  "207": "Application internal error",
};

/** Longest text of an answer. Source: HL7 v2.5.1, MSA-3. */
const TEXT_CHARACTERS_MAX = 80;

/**
 * The answers that a message is to get, in order. In original mode it is one; in enhanced mode (MSH-15 or MSH-16 is not empty) the sender
 * says which it wants: CA, CE or CR as soon as the message is safe, then AA, AE or AR. Where the first says that it was not taken there is
 * no second. Source: HL7 v2.5.1, 2.9.2 and 2.9.3, table 0155.
 */
export function answerCodes(
  header: Pick<MessageHeader, "acceptWanted" | "applicationWanted">,
  code: Outcome["code"],
): readonly string[] {
  const { acceptWanted, applicationWanted } = header;
  if (acceptWanted === "" && applicationWanted === "") return [code];
  const fits = (wanted: string) => wanted === "AL" || wanted === (code === "AA" ? "SU" : "ER");
  const accept = fits(acceptWanted) ? [`C${code.charAt(1)}`] : [];
  const application = fits(applicationWanted) && (code === "AA" || accept.length === 0) ? [code] : [];
  return [...accept, ...application];
}

/** One answer, as text. */
export function answerText(
  to: { readonly header: MessageHeader; readonly delimiters: Hl7Delimiters | null; readonly characterSetName: string },
  answer: { readonly code: string; readonly outcome: Outcome; readonly controlId: string; readonly atMs: number },
): string {
  const { header, delimiters: given, characterSetName } = to;
  const delimiters = given ?? HL7_DELIMITERS;
  const { code, outcome, controlId, atMs } = answer;
  const single = (text: string) => encodeHl7Field(delimiters, [[[text]]]);
  const type = encodeHl7Field(delimiters, [[["ACK"], ...(header.event === "" ? [] : [[header.event], ["ACK"]])]]);
  const version = header.version === "" ? "2.5.1" : header.version;
  const msh: Hl7Segment = {
    name: "MSH",
    fields: [
      ...["MSH", delimiters.field, encodingCharacters(delimiters), single(header.receivingApplication || "VIGIL")],
      ...[single(header.receivingFacility), single(header.application), single(header.facility), formatHl7Time(atMs), "", type],
      ...[single(controlId), single(header.processing || "P"), single(version), "", ""],
      ...(header.acceptWanted === "" && header.applicationWanted === "" ? ["", ""] : ["NE", "NE"]),
      ...["", single(characterSetName)],
    ],
  };
  const text = [...outcome.text].slice(0, TEXT_CHARACTERS_MAX).join("");
  const msa: Hl7Segment = { name: "MSA", fields: ["MSA", code, single(header.controlId), single(text)] };
  const err = outcome.code === "AA" ? [] : [errorSegment(delimiters, outcome, version)];
  return encodeHl7({ delimiters, segments: [msh, msa, ...err] });
}

/** ERR has had two shapes. Source: HL7 v2.4, 2.16.5, and v2.5.1, 2.15.5. */
function errorSegment(
  delimiters: Hl7Delimiters,
  { error, text }: Extract<Outcome, { code: "AE" | "AR" }>,
  version: string,
): Hl7Segment {
  const place = error.place === "" ? [] : error.place.split("^");
  const title = ERROR_TITLES[error.code];
  if (/^2\.[1-4]/.test(version)) {
    const [segment = "", sequence = "", field = ""] = place;
    return {
      name: "ERR",
      fields: ["ERR", encodeHl7Field(delimiters, [[[segment], [sequence], [field], [error.code, title, "HL70357"]]])],
    };
  }
  const coded = (code: string, name: string, table: string) => encodeHl7Field(delimiters, [[[code], [name], [table]]]);
  return {
    name: "ERR",
    fields: [
      ...["ERR", "", encodeHl7Field(delimiters, [place.map((piece) => [piece])]), coded(error.code, title, "HL70357"), "E"],
      ...[coded(error.why, "", "99VIGIL"), "", "", encodeHl7Field(delimiters, [[[text]]])],
    ],
  };
}
