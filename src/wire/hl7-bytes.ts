import { fail, type Result, succeed } from "../core/result.ts";
import { type CharacterSet, characterSetNamed, decodeText } from "./character-set.ts";
import { type Hl7Error, type Hl7Message, hl7Segment, hl7Text, parseHl7 } from "./hl7.ts";

/** Why bytes are no HL7 message. `bad-text`: they are not written in `characterSet`; `unknown-character-set`: MSH-18 names one that nobody here reads. */
export type Hl7BytesError =
  | Hl7Error
  | { readonly kind: "bad-text"; readonly characterSet: CharacterSet }
  | { readonly kind: "unknown-character-set"; readonly name: string };

/** A message and how it was written, which is how its answer is written. */
export interface ReadHl7 {
  readonly message: Hl7Message;
  readonly characterSet: CharacterSet;
}

/** The order in which a header is tried: the second byte of a GBK character may be a delimiter, so a header must be read in its own set. */
const TRIED: readonly CharacterSet[] = ["utf-8", "gb18030", "latin-1"];
const CR = 0x0d;
const LF = 0x0a;

/**
 * Reads a message in the character set that its MSH-18 names.
 *
 * @param assumed           Where MSH-18 names none.
 * @param believesDeclared  False: MSH-18 is wrong in this house, all is written in `assumed`.
 */
export function readHl7(
  bytes: Uint8Array,
  { assumed, believesDeclared }: { readonly assumed: CharacterSet; readonly believesDeclared: boolean },
): Result<ReadHl7, Hl7BytesError> {
  const declared = believesDeclared ? declaredSet(bytes, assumed) : succeed(assumed);
  if (!declared.ok) return declared;
  const characterSet = declared.value;
  const text = decodeText(characterSet, bytes);
  if (text === null) return fail({ kind: "bad-text", characterSet });
  const parsed = parseHl7(text);
  return parsed.ok ? succeed({ message: parsed.value, characterSet }) : parsed;
}

/** A name that is found when the header is read in the very set it names is right; else what the assumed set, or any, shows. */
function declaredSet(bytes: Uint8Array, assumed: CharacterSet): Result<CharacterSet, Hl7BytesError> {
  const header = bytes.subarray(0, endOfHeader(bytes));
  const names = [assumed, ...TRIED].map((set) => ({ set, name: declaredName(decodeText(set, header)) }));
  for (const { set, name } of names) if (characterSetNamed(name) === set) return succeed(set);
  const name = names.find((entry) => entry.name !== "")?.name ?? "";
  if (name === "" || names[0]?.name === "") return succeed(assumed);
  const set = characterSetNamed(name);
  return set === null ? fail({ kind: "unknown-character-set", name }) : succeed(set);
}

/** MSH-18, its first repetition. Some senders miscount and put it into MSH-17, where no country is called so. */
function declaredName(header: string | null): string {
  const parsed = header === null ? null : parseHl7(header);
  if (parsed === null || !parsed.ok) return "";
  const segment = hl7Segment(parsed.value, "MSH");
  const name = hl7Text(parsed.value, segment, { field: 18 });
  const country = hl7Text(parsed.value, segment, { field: 17 });
  return name === "" && characterSetNamed(country) !== null ? country : name;
}

function endOfHeader(bytes: Uint8Array): number {
  const begin = bytes.findIndex((byte) => byte !== CR && byte !== LF);
  const end = bytes.findIndex((byte, index) => index > begin && (byte === CR || byte === LF));
  return end < 0 ? bytes.length : end;
}
