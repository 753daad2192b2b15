import { createHash } from "node:crypto";
import type { PatientId } from "../core/ids.ts";
import type { LabelRule } from "./options.ts";

/** A name as PID-5 says it: family and given names, "" where one is not said. */
export interface PersonName {
  readonly family: string;
  readonly given: string;
}

/** Source: the page's parser of deeds takes labels of so many characters. */
const LABEL_CHARACTERS_MAX = 64;
const PSEUDONYM_LETTERS = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ";
const PSEUDONYM_LENGTH = 5;
const HAN = /\p{Script=Han}/u;

/** What the wall shows for a patient. Where a rule finds nothing to show it is the pseudonym. */
export function labelOf(
  rule: LabelRule,
  patient: { readonly patientId: PatientId; readonly name: PersonName | null; readonly gatewayId: string },
): string {
  const text = wanted(rule, patient)
    .replace(/\p{Cc}+/gu, " ")
    .trim();
  return [...(text === "" ? pseudonym(patient) : text)].slice(0, LABEL_CHARACTERS_MAX).join("");
}

function wanted(
  rule: LabelRule,
  { patientId, name }: { readonly patientId: PatientId; readonly name: PersonName | null },
): string {
  switch (rule) {
    case "initials":
      return name === null ? "" : initials(name);
    case "name":
      return name === null ? "" : fullName(name);
    case "number":
      return patientId;
    case "pseudonym":
      return "";
  }
}

/** The same for the same patient and gateway; nobody reads the number from it, and two patients of one ward hardly ever share one. */
function pseudonym({ patientId, gatewayId }: { readonly patientId: PatientId; readonly gatewayId: string }): string {
  const digest = createHash("sha256").update(`${gatewayId}\n${patientId}`).digest();
  const letters = [...digest.subarray(0, PSEUDONYM_LENGTH)].map((byte) => PSEUDONYM_LETTERS[byte % PSEUDONYM_LETTERS.length]);
  return `P-${letters.join("")}`;
}

/** Zhang Wei: Z.W.; a name in Chinese characters keeps the first and hides the others, as wards in China do: 张*. */
function initials({ family, given }: PersonName): string {
  const characters = [...(HAN.test(given) ? family + given : family)].filter((character) => HAN.test(character));
  const [first] = characters;
  if (first !== undefined) return first + "*".repeat(Math.min(characters.length - 1, 3));
  return [family, given]
    .map((part) => [...part.trim()].find((character) => /\p{L}/u.test(character))?.toUpperCase())
    .filter((letter) => letter !== undefined)
    .map((letter) => `${letter}.`)
    .join("");
}

function fullName({ family, given }: PersonName): string {
  if (HAN.test(family)) return HAN.test(given) ? family + given : family;
  return [given, family].filter((part) => part !== "").join(" ");
}
