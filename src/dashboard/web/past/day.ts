import type { Language } from "../words/texts.ts";

/** A day of the person who looks: from midnight to just before the next. */
export interface Day {
  readonly fromMs: number;
  readonly toMs: number;
}

/** The day that a moment lies in, or one some days away. */
export function dayOf(atMs: number, daysAway = 0): Day {
  const midnight = (away: number) => {
    const date = new Date(atMs);
    return new Date(date.getFullYear(), date.getMonth(), date.getDate() + away).getTime();
  };
  return { fromMs: midnight(daysAway), toMs: midnight(daysAway + 1) };
}

/** A day in words, such as "Sun 22 Nov". */
export function dayText(language: Language, atMs: number): string {
  const locale = language === "zh" ? "zh-CN" : "en-GB";
  return new Intl.DateTimeFormat(locale, { weekday: "short", day: "numeric", month: "short" }).format(atMs);
}

/** A day in a few characters, such as "22/11". */
export function shortDayText(atMs: number): string {
  const date = new Date(atMs);
  return `${date.getMonth() + 1}/${date.getDate()}`;
}

/** Time of day without seconds; with the day where it is another than the one of `nowMs`. */
export function momentText(language: Language, atMs: number, nowMs: number): string {
  const time = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", hour12: false }).format(atMs);
  return dayOf(atMs).fromMs === dayOf(nowMs).fromMs ? time : `${dayText(language, atMs)} ${time}`;
}

/** The date as an address names it, such as `2026-11-22`, and how many minutes east of UTC the day begins. */
export function dayAddress({ fromMs }: Day): { readonly day: string; readonly zone: number } {
  const date = new Date(fromMs);
  const two = (number: number) => String(number).padStart(2, "0");
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return { day, zone: -date.getTimezoneOffset() };
}
