/** Seconds of each unit that a scenario may write. */
const UNIT_SECONDS: Readonly<Record<string, number>> = { ms: 0.001, s: 1, min: 60, h: 3600, d: 86_400 };

/** How a time may be written. */
const DURATION_PATTERN = /^(?:\d+(?:\.\d+)? ?(?:ms|s|min|h|d))(?: \d+(?:\.\d+)? ?(?:ms|s|min|h|d))*$/;

/** Seconds of a text such as `90 s`, `1 h 30 min` or `3 d`; null where it is none. */
export function secondsOf(text: string): number | null {
  if (!DURATION_PATTERN.test(text)) return null;
  let seconds = 0;
  for (const [, amount, unit] of text.matchAll(/(\d+(?:\.\d+)?) ?(ms|min|s|h|d)/g))
    seconds += Number(amount) * (UNIT_SECONDS[unit ?? "s"] ?? 1);
  return seconds;
}

/** A time as a person reads it: the two largest units that matter. */
export function durationText(seconds: number): string {
  const whole = Math.round(seconds);
  if (whole < 60) return `${Math.round(seconds * 10) / 10} s`;
  const parts: string[] = [];
  let left = whole;
  for (const unit of ["d", "h", "min", "s"] as const) {
    const size = UNIT_SECONDS[unit] ?? 1;
    const count = Math.floor(left / size);
    left -= count * size;
    if (count > 0) parts.push(`${count} ${unit}`);
  }
  return parts.slice(0, 2).join(" ");
}
