import { QUANTITIES, type QuantityName } from "./quantities.ts";

/** Multiplies, then adds: canonical = given * factor + offset. */
interface Conversion {
  readonly factor: number;
  readonly offset: number;
}

/** Millimetres of mercury in a kilopascal (101.325 kPa = 760 mm[Hg]). */
const MMHG_PER_KILOPASCAL = 760 / 101.325;
/** Grams of glucose per mole over ten: mg/dL in one mmol/L. The molar mass of glucose is 180.16 g/mol. */
const GLUCOSE_MG_PER_DL_PER_MMOL_PER_L = 18.0156;
/** Kilograms in an avoirdupois pound, exact by definition. */
const KG_PER_POUND = 0.45359237;

/** From a device's unit (UCUM) to the canonical one; what is not listed is not convertible. */
const CONVERSIONS: Readonly<Record<string, Readonly<Record<string, Conversion>>>> = {
  "mm[Hg]": { kPa: { factor: MMHG_PER_KILOPASCAL, offset: 0 } },
  Cel: { "[degF]": { factor: 5 / 9, offset: (-32 * 5) / 9 } },
  "mmol/L": { "mg/dL": { factor: 1 / GLUCOSE_MG_PER_DL_PER_MMOL_PER_L, offset: 0 } },
  kg: { "[lb_av]": { factor: KG_PER_POUND, offset: 0 }, g: { factor: 0.001, offset: 0 } },
  "%": { "1": { factor: 100, offset: 0 } },
  ms: { s: { factor: 1000, offset: 0 } },
};

/** Decimal places kept after a conversion: finer than any device here resolves. */
const CONVERTED_STEPS_PER_UNIT = 1000;

/**
 * Converts a device's value to the quantity's canonical unit, once and for all.
 *
 * @returns The canonical value, or null where the unit has no known way to it: a mistake in the driver.
 */
export function canonicalValue(quantity: QuantityName, value: number, unit: string): number | null {
  const canonicalUnit = QUANTITIES[quantity].unit;
  if (unit === canonicalUnit) return value;
  const conversion = CONVERSIONS[canonicalUnit]?.[unit];
  if (conversion === undefined) return null;
  return Math.round((value * conversion.factor + conversion.offset) * CONVERTED_STEPS_PER_UNIT) / CONVERTED_STEPS_PER_UNIT;
}

/** Every unit (UCUM) that a quantity may be given in, its own first. */
export function unitsOf(quantity: QuantityName): readonly string[] {
  const { unit } = QUANTITIES[quantity];
  return [unit, ...Object.keys(CONVERSIONS[unit] ?? {})];
}
