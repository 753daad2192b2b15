import type { WaveView } from "../../../core/stream.ts";

/** Seconds of samples kept: more than any sweep shows. */
const keptSeconds = 16;
/** Where the samples come this much earlier or later than foreseen, the sweep begins anew. */
const jumpMs = 1500;
/** Share by which each message corrects the foreseen time. */
const correction = 0.05;

/** A stretch of a wave without a hole: pairs of x (0 to 1 across the sweep) and value. */
export type Stretch = readonly { readonly x: number; readonly value: number }[];

/** The samples of one wave on their way to a sweep, each at its true place in time. */
export interface Sweep {
  /** Takes new samples; `nowMs` on any clock that never jumps. */
  readonly add: (wave: Pick<WaveView, "firstSampleIndex" | "samples">, nowMs: number) => void;
  /** What a sweep of `windowMs` shows now: holes between stretches, and a gap ahead of the cursor. */
  readonly stretches: (nowMs: number, windowMs: number) => readonly Stretch[];
  /** Lowest and highest sample in the window, or null where there is none. */
  readonly bounds: (nowMs: number, windowMs: number) => { readonly low: number; readonly high: number } | null;
  /** Where the cursor stands, 0 to 1. */
  readonly cursor: (nowMs: number, windowMs: number) => number;
  /** The first and the last sample that a sweep of `windowMs` shows now; the last is before the first where it shows none. */
  readonly visible: (nowMs: number, windowMs: number) => { readonly first: number; readonly last: number };
  /** One sample; NaN where it never came or is no longer kept. */
  readonly valueAt: (index: number) => number;
  /** When a sample is drawn, on the clock of `nowMs`. */
  readonly dueAtMs: (index: number) => number;
}

/** Share of the sweep that is blank ahead of the cursor. */
const blankShare = 0.04;

/** Makes an empty sweep for waves of one rate. */
export function createSweep(sampleRateHz: number): Sweep {
  const capacity = Math.max(64, Math.ceil(sampleRateHz * keptSeconds));
  const values = new Float32Array(capacity);
  // The index that each place holds: a sample that never came leaves an older index behind, which is the hole.
  const indices = new Float64Array(capacity).fill(-1);
  const msPerSample = 1000 / sampleRateHz;
  let lastIndex = -1;
  let zeroAtMs = 0;
  let chunkMs = 0;

  const visible = (nowMs: number, windowMs: number) => {
    const fromMs = nowMs - windowMs * (1 - blankShare);
    const first = Math.max(0, lastIndex - capacity + 1, Math.ceil((fromMs - zeroAtMs) / msPerSample));
    const last = Math.min(lastIndex, Math.floor((nowMs - zeroAtMs) / msPerSample));
    return { first, last };
  };
  return {
    add: (wave, nowMs) => {
      if (wave.samples.length === 0) return;
      const newest = wave.firstSampleIndex + wave.samples.length - 1;
      chunkMs = Math.max(chunkMs * 0.98, wave.samples.length * msPerSample);
      // Played a little late, so that the next samples are there before the cursor needs them.
      const wantedZeroMs = nowMs + chunkMs * 1.1 + 200 - newest * msPerSample;
      const begunAnew = lastIndex < 0 || newest < lastIndex - sampleRateHz;
      if (begunAnew) indices.fill(-1);
      const errorMs = wantedZeroMs - zeroAtMs;
      zeroAtMs = begunAnew || Math.abs(errorMs) > jumpMs ? wantedZeroMs : zeroAtMs + errorMs * correction;
      wave.samples.forEach((sample, offset) => {
        const index = wave.firstSampleIndex + offset;
        values[index % capacity] = sample;
        indices[index % capacity] = index;
      });
      lastIndex = begunAnew ? newest : Math.max(lastIndex, newest);
    },
    stretches: (nowMs, windowMs) => {
      const { first, last } = visible(nowMs, windowMs);
      const found: { x: number; value: number }[][] = [];
      let open: { x: number; value: number }[] = [];
      let lastX = 2;
      for (let index = first; index <= last; index++) {
        const here = indices[index % capacity] === index;
        const x = ((((zeroAtMs + index * msPerSample) % windowMs) + windowMs) % windowMs) / windowMs;
        if ((!here || x < lastX) && open.length > 0) {
          found.push(open);
          open = [];
        }
        lastX = x;
        if (here) open.push({ x, value: values[index % capacity] ?? 0 });
      }
      if (open.length > 0) found.push(open);
      return found;
    },
    bounds: (nowMs, windowMs) => {
      const { first, last } = visible(nowMs, windowMs);
      let low = Number.POSITIVE_INFINITY;
      let high = Number.NEGATIVE_INFINITY;
      for (let index = first; index <= last; index++) {
        if (indices[index % capacity] !== index) continue;
        const value = values[index % capacity] ?? 0;
        low = Math.min(low, value);
        high = Math.max(high, value);
      }
      return low <= high ? { low, high } : null;
    },
    visible,
    valueAt: (index) => (indices[index % capacity] === index ? (values[index % capacity] ?? Number.NaN) : Number.NaN),
    dueAtMs: (index) => zeroAtMs + index * msPerSample,
    cursor: (nowMs, windowMs) => (((nowMs % windowMs) + windowMs) % windowMs) / windowMs,
  };
}
