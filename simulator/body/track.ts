import { assert } from "../../src/core/result.ts";

/** A quantity over time together with its integral, so that a rate gives a phase without adding up steps. */
export interface Track {
  readonly valueAt: (seconds: number) => number;
  /** From 0 s on, in the value's unit times seconds. */
  readonly integralAt: (seconds: number) => number;
}

/**
 * A value that changes evenly from point to point and stays before the first and after the last.
 *
 * @param points         At least one, in rising order of time, the first at 0 s.
 * @param repeatSeconds  After this time the points begin anew; null: never.
 */
export function linearTrack(
  points: readonly { readonly atSeconds: number; readonly value: number }[],
  repeatSeconds: number | null,
): Track {
  const first = points[0];
  assert(first !== undefined && first.atSeconds === 0, "a track begins at 0 s");
  const atSeconds = Float64Array.from(points, (point) => point.atSeconds);
  const values = Float64Array.from(points, (point) => point.value);
  const integrals = new Float64Array(points.length);
  for (let index = 1; index < points.length; index++) {
    const lengthSeconds = at(atSeconds, index) - at(atSeconds, index - 1);
    assert(lengthSeconds > 0, "the points of a track are in rising order of time");
    integrals[index] = at(integrals, index - 1) + ((at(values, index) + at(values, index - 1)) / 2) * lengthSeconds;
  }
  const segmentAt = (seconds: number): number => {
    let index = 0;
    while (index + 1 < atSeconds.length && at(atSeconds, index + 1) <= seconds) index += 1;
    return index;
  };
  const onceValueAt = (seconds: number): number => {
    const index = segmentAt(seconds);
    if (seconds <= 0 || index + 1 === values.length) return at(values, index);
    const share = (seconds - at(atSeconds, index)) / (at(atSeconds, index + 1) - at(atSeconds, index));
    return at(values, index) + share * (at(values, index + 1) - at(values, index));
  };
  const onceIntegralAt = (seconds: number): number => {
    const index = segmentAt(seconds);
    const sinceSeconds = seconds - at(atSeconds, index);
    return at(integrals, index) + ((at(values, index) + onceValueAt(seconds)) / 2) * sinceSeconds;
  };
  if (repeatSeconds === null) return { valueAt: onceValueAt, integralAt: onceIntegralAt };
  const wholeIntegral = onceIntegralAt(repeatSeconds);
  return {
    valueAt: (seconds) => onceValueAt(seconds < 0 ? seconds : seconds % repeatSeconds),
    integralAt: (seconds) =>
      seconds < 0
        ? onceIntegralAt(seconds)
        : Math.floor(seconds / repeatSeconds) * wholeIntegral + onceIntegralAt(seconds % repeatSeconds),
  };
}

function at(numbers: Float64Array, index: number): number {
  const value = numbers[index];
  assert(value !== undefined, "an index lies within its track");
  return value;
}
