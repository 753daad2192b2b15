/** Random numbers that a seed repeats; mulberry32, good enough to scatter tests. */
export interface SeededRandom {
  /** From 0 up to, not including, 1. */
  readonly fraction: () => number;
  /** A whole number from `min` to `max`, both included. */
  readonly whole: (range: { readonly min: number; readonly max: number }) => number;
  readonly bytes: (count: number) => Uint8Array;
}

/** Starts a row of random numbers. Put the seed into the failure message. */
export function seededRandom(seed: number): SeededRandom {
  let state = seed >>> 0;
  const fraction = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const whole = ({ min, max }: { readonly min: number; readonly max: number }) => min + Math.floor(fraction() * (max - min + 1));
  return { fraction, whole, bytes: (count) => Uint8Array.from({ length: count }, () => whole({ min: 0, max: 255 })) };
}
