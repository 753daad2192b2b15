/**
 * How long to wait before the next attempt.
 *
 * @param failures  Failures in a row, from 1; the wait doubles with each.
 * @param random    0 to 1; takes off up to a quarter, so that many gateways do not come back in one instant.
 * @returns         Milliseconds, from three quarters of `msMin` to `msMax`.
 */
export function backoffMs(failures: number, bounds: { readonly msMin: number; readonly msMax: number }, random: number): number {
  const doubled = bounds.msMin * 2 ** Math.min(failures - 1, 30);
  return Math.min(bounds.msMax, doubled) * (1 - 0.25 * random);
}
