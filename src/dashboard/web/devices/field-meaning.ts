import type { MessageFieldView } from "../../../core/device-view.ts";
import { QUANTITIES, type QuantityName } from "../../../core/quantities.ts";

/** Forms of a device's own time that can be chosen; a pattern of another form is written in the configuration. */
export const TIME_FORMATS = ["iso", "unix-seconds", "unix-milliseconds"] as const;

type TimeFormat = (typeof TIME_FORMATS)[number];

/** What one field of a message is, as a person chose it. */
export type FieldMeaning =
  | { readonly kind: "unused" }
  | { readonly kind: "quantity"; readonly quantity: QuantityName; readonly unit: string; readonly mustCome: boolean }
  | { readonly kind: "time"; readonly format: TimeFormat };

/** A field that is not used. */
export const UNUSED: FieldMeaning = { kind: "unused" };

/** What each field of a message is, by its path; what is not in it is not used. */
export type Meanings = ReadonlyMap<string, FieldMeaning>;

/** The quantity that two fields claim, or null. */
export function claimedTwice(meanings: Meanings): QuantityName | null {
  const seen = new Set<QuantityName>();
  for (const meaning of meanings.values()) {
    if (meaning.kind !== "quantity") continue;
    if (seen.has(meaning.quantity)) return meaning.quantity;
    seen.add(meaning.quantity);
  }
  return null;
}

/** The options of `mqtt-json` that say what was chosen; none where nothing was: then the gateway's own names are read. */
export function optionsOf(meanings: Meanings): Readonly<Record<string, string>> {
  const mapping: Record<string, unknown> = {};
  let time: string | null = null;
  for (const [path, meaning] of meanings) {
    if (meaning.kind === "quantity") {
      const isOwnUnit = meaning.unit === QUANTITIES[meaning.quantity].unit;
      mapping[meaning.quantity] = isOwnUnit ? path : { path, unit: meaning.unit };
    } else if (meaning.kind === "time") time = JSON.stringify({ path, format: meaning.format });
  }
  const isMapped = Object.keys(mapping).length > 0;
  return { ...(isMapped ? { mapping: JSON.stringify(mapping) } : {}), ...(time === null ? {} : { time }) };
}

/** Quantities whose absence is to be alarmed; null where nothing was mapped: then the driver's own count. */
export function expectedOf(meanings: Meanings): readonly QuantityName[] | null {
  const mapped = [...meanings.values()].filter((meaning) => meaning.kind === "quantity");
  return mapped.length === 0 ? null : mapped.filter(({ mustCome }) => mustCome).map(({ quantity }) => quantity);
}

/** Fields that can be a quantity or a time at all. */
export function usableFields(fields: readonly MessageFieldView[]): readonly MessageFieldView[] {
  return fields.filter(({ path }) => path !== "$");
}

/** A name for the device out of a name that others gave it. */
export function nameOf(text: string): string {
  const plain = text.toLowerCase().replaceAll(/[^a-z0-9]+/g, "-");
  return plain.replace(/^-+/, "").slice(0, 63).replace(/-+$/, "");
}
