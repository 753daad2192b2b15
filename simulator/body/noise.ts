import { seedOfPart } from "../random.ts";

/** One scale of a wandering: how far it goes (standard deviation, in the value's unit) and how long it takes. */
export interface Swing {
  readonly deviation: number;
  readonly periodSeconds: number;
}

/** What wanders about zero as living values do. Any time may be asked, in any order, and the same time gives the same answer. */
export type Wandering = (seconds: number) => number;

/** Knots of normal numbers, joined by cubic curves, have this variance; what is wanted is divided by its root. Measured over 10^6 points. */
const CURVE_VARIANCE = 0.814;

/**
 * A sum of slow random curves, one for each scale: between knots that are normal numbers of their own seed it runs along a
 * Catmull-Rom curve. Unlike a sum of sines it never repeats, and unlike a random walk it needs no past.
 */
export function createWandering(swings: readonly Swing[], seed: number): Wandering {
  const curves = swings.map(({ deviation, periodSeconds }, index) => ({
    scale: deviation / Math.sqrt(CURVE_VARIANCE),
    curve: createCurve(periodSeconds, seedOfPart(seed, index)),
  }));
  return (seconds) => {
    let sum = 0;
    for (const { scale, curve } of curves) sum += scale * curve(seconds);
    return sum;
  };
}

function createCurve(periodSeconds: number, seed: number): Wandering {
  let heldIndex = Number.NaN;
  let a = 0;
  let b = 0;
  let c = 0;
  let d = 0;
  // Knots of two curves of one patient shall not fall together.
  const shift = normalAt(seed, -1e6);
  return (seconds) => {
    const position = seconds / periodSeconds + shift;
    const index = Math.floor(position);
    if (index !== heldIndex) {
      heldIndex = index;
      a = normalAt(seed, index - 1);
      b = normalAt(seed, index);
      c = normalAt(seed, index + 1);
      d = normalAt(seed, index + 2);
    }
    const share = position - index;
    return b + 0.5 * share * (c - a + share * (2 * a - 5 * b + 4 * c - d + share * (3 * (b - c) + d - a)));
  };
}

/** The `index`-th normal number (mean 0, variance 1) of a seed. Source: Box and Muller 1958. */
export function normalAt(seed: number, index: number): number {
  const first = evenAt(seed, 2 * index);
  const second = evenAt(seed, 2 * index + 1);
  return Math.sqrt(-2 * Math.log(1 - first)) * Math.cos(2 * Math.PI * second);
}

/** The `index`-th number from 0 to below 1 of a seed, without those before it. */
export function evenAt(seed: number, index: number): number {
  let mixed = (seed ^ Math.imul(index | 0, 0x9e3779b1)) >>> 0;
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return ((mixed ^ (mixed >>> 16)) >>> 0) / 4_294_967_296;
}
