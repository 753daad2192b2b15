import type { Content } from "../../../core/observation.ts";
import { isQuantityName, QUANTITIES, type QuantityName } from "../../../core/quantities.ts";
import { isTextKey, type Language, say } from "./texts.ts";

/** An age in words a person reads at a glance: "4 s", "12 min", "3 h". */
export function ageText(language: Language, ageMs: number): string {
  const seconds = Math.max(0, Math.round(ageMs / 1000));
  if (seconds < 120) return say(language, "ageSeconds", { n: seconds });
  if (seconds < 7200) return say(language, "ageMinutes", { n: Math.floor(seconds / 60) });
  if (seconds < 172_800) return say(language, "ageHours", { n: Math.floor(seconds / 3600) });
  return say(language, "ageDays", { n: Math.floor(seconds / 86_400) });
}

/** A value with as many decimals as its quantity is worth. */
export function valueText(quantity: QuantityName, value: number): string {
  const decimals = Math.max(0, Math.round(-Math.log10(QUANTITIES[quantity].resolution)));
  return value.toFixed(decimals);
}

/** A number or a state in words, or the reason why there is none; never blank and never a zero for nothing. */
export function contentText(language: Language, quantity: QuantityName, content: Content): string {
  if (content.state === "absent") return say(language, `absence.${content.why}`);
  return QUANTITIES[quantity].states?.[content.value]?.[language] ?? valueText(quantity, content.value);
}

/** A UCUM unit as it is written at the bedside. */
export function unitText(language: Language, unit: string): string {
  if (unit === "1") return say(language, "uncalibrated");
  if (unit === "/min") return language === "zh" ? "次/分" : "/min";
  return unit === "mm[Hg]" ? "mmHg" : unit === "Cel" ? "°C" : unit;
}

/** The unit of a quantity as it is written at the bedside; nothing where its number is a state. */
export function quantityUnitText(language: Language, quantity: QuantityName): string {
  const { unit, states } = QUANTITIES[quantity];
  return states === undefined ? unitText(language, unit) : "";
}

/** The name of a model's input. An input that several quantities can serve has a name of its own, so that none is claimed. */
export function inputText(language: Language, input: string): string {
  const key = `input.${input}`;
  if (isTextKey(key)) return say(language, key);
  return isQuantityName(input) ? QUANTITIES[input].title[language] : input;
}

/** The value of a model's input. */
export function inputValueText(language: Language, input: string, value: number | string): string {
  if (isQuantityName(input) && typeof value === "number") {
    return `${valueText(input, value)} ${quantityUnitText(language, input)}`;
  }
  if (input === "onOxygen") return say(language, value === "true" || value === 1 ? "oxygen" : "air");
  const key = `acvpu.${value}`;
  return input === "consciousness" && isTextKey(key) ? `${value} · ${say(language, key)}` : String(value);
}

/** Time of day of the person who looks, with seconds. */
export function timeText(atMs: number): string {
  return new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false }).format(atMs);
}
