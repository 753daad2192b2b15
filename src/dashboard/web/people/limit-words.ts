import type { LimitSide } from "../../../core/act.ts";
import type { Priority } from "../../../core/alert.ts";
import { type LimitSideName, levelsOfSide } from "../../../core/limit-levels.ts";
import { QUANTITIES, type QuantityName } from "../../../core/quantities.ts";
import type { RefusalWords } from "../words/refusal.ts";
import { type Language, say } from "../words/texts.ts";
import { quantityUnitText } from "../words/words.ts";

/** One side of a limit as it stands in the form. */
export interface SideForm {
  readonly isOn: boolean;
  /** As it was typed. */
  readonly value: string;
  readonly priority: Priority;
}

/** How long a limit is to hold, as the form offers it. */
export type HoldName = "1" | "4" | "day" | "night" | "never";

/** Every way, in the order of the form. */
export const HOLD_NAMES: readonly HoldName[] = ["1", "4", "day", "night", "never"];

/** When the shifts of a ward end, by the clock of the person who looks. */
const SHIFT_END_HOURS = { day: 20, night: 8 } as const;

/** The number that was typed, also with a decimal comma or in the wide digits of a Chinese keyboard; null where it is none. */
export function typedNumber(text: string): number | null {
  const plain = text.normalize("NFKC").trim().replace(",", ".");
  return /^[+-]?(\d+(\.\d*)?|\.\d+)$/.test(plain) ? Number(plain) : null;
}

/** A side of the form as it would be set: null where it is switched off, `impossible` where it cannot be. */
export function sideOf(form: SideForm, quantity: QuantityName): LimitSide | null | "no-number" | "impossible" {
  if (!form.isOn) return null;
  const value = typedNumber(form.value);
  if (value === null) return "no-number";
  const { min, max } = QUANTITIES[quantity].possible;
  return value >= min && value <= max ? { value, priority: form.priority } : "impossible";
}

/** What is to be set, or the first thing that is wrong with the form. */
export function readSides(
  language: Language,
  quantity: QuantityName,
  form: Readonly<Record<LimitSideName, SideForm>>,
): { readonly low: LimitSide | null; readonly high: LimitSide | null } | RefusalWords {
  const low = sideOf(form.low, quantity);
  const high = sideOf(form.high, quantity);
  if (typeof low === "string") return { field: "low", text: sideTrouble(language, quantity, low) };
  if (typeof high === "string") return { field: "high", text: sideTrouble(language, quantity, high) };
  if (low !== null && high !== null && low.value >= high.value) return { field: "low", text: say(language, "limitCrossed") };
  return { low, high };
}

function sideTrouble(language: Language, quantity: QuantityName, why: "no-number" | "impossible"): string {
  if (why === "no-number") return say(language, "limitNotNumber");
  const { min, max } = QUANTITIES[quantity].possible;
  return say(language, "limitImpossible", { min, max, unit: quantityUnitText(language, quantity) }).trim();
}

/** More urgent levels of the adult's defaults that stay behind a side as it is typed; none where it cannot be set. */
export function furtherLevels(
  side: LimitSideName,
  set: LimitSide | null | string,
  defaults: readonly LimitSide[],
): readonly LimitSide[] {
  return set === null || typeof set === "string" ? [] : levelsOfSide(side, set, defaults).slice(1);
}

/** When a limit ends that is set now; null where it has no end. Shifts end at 8 and at 20 o'clock. */
export function holdEndMs(name: HoldName, nowMs: number): number | null {
  switch (name) {
    case "1":
      return nowMs + 3_600_000;
    case "4":
      return nowMs + 4 * 3_600_000;
    case "day":
    case "night":
      return nextHourMs(SHIFT_END_HOURS[name], nowMs);
    case "never":
      return null;
  }
}

/** The next time it is so many o'clock; a day later where it just is. */
function nextHourMs(hour: number, nowMs: number): number {
  const at = new Date(nowMs);
  at.setHours(hour, 0, 0, 0);
  if (at.getTime() <= nowMs) at.setDate(at.getDate() + 1);
  return at.getTime();
}

/** A time to the minute, with its day where it is not today's, and its year where it is not this one. */
export function minuteText(language: Language, atMs: number, nowMs: number): string {
  const time = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", hour12: false }).format(atMs);
  const dayOf = (ms: number) => new Date(ms).toDateString();
  if (dayOf(atMs) === dayOf(nowMs)) return time;
  const tomorrow = new Date(nowMs);
  tomorrow.setDate(tomorrow.getDate() + 1);
  if (dayOf(atMs) === tomorrow.toDateString()) return say(language, "timeTomorrow", { time });
  const locale = language === "zh" ? "zh-CN" : "en-GB";
  const isThisYear = new Date(atMs).getFullYear() === new Date(nowMs).getFullYear();
  const day: Intl.DateTimeFormatOptions = isThisYear
    ? { day: "numeric", month: "short" }
    : { day: "numeric", month: "short", year: "numeric" };
  return `${new Intl.DateTimeFormat(locale, day).format(atMs)} ${time}`;
}

/** Levels of one side as a person reads them: `90 medium, 85 high`; `off` where there is none. */
export function levelsText(language: Language, quantity: QuantityName, levels: readonly LimitSide[]): string {
  if (levels.length === 0) return say(language, "limitOff");
  return levels.map((level) => levelText(language, quantity, level)).join(language === "zh" ? "、" : ", ");
}

/** One level: its value with as many decimals as were given, and its priority in words. */
function levelText(language: Language, quantity: QuantityName, { value, priority }: LimitSide): string {
  const decimals = Math.max(0, Math.round(-Math.log10(QUANTITIES[quantity].resolution)));
  const shown = Number.isInteger(value * 10 ** decimals) ? value.toFixed(decimals) : String(value);
  const word = say(language, `priority.${priority}`);
  return language === "zh" ? `${shown}（${word}）` : `${shown} ${word.toLowerCase()}`;
}
