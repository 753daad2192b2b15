import type { BedId } from "../core/ids.ts";
import { LIMITS } from "../core/limits.ts";
import type { WaveformChunk } from "../core/observation.ts";
import type { WaveformName } from "../core/quantities.ts";
import type { ThinWaveView } from "../core/stream.ts";
import type { MonotonicMs } from "../core/time.ts";

/** So many waves of a bed are shown on the wall. */
const WAVES_SHOWN = 2;
/** A wave that brought nothing for so long gives its place to another one. */
const GIVEN_UP_MS = 5000;
/** Steps between the lowest and the highest sample of a chunk: finer than a strip of 40 pixels can show. */
const STEPS = 250;

/** What a wave shows of the body; of several that show the same, one is enough on the wall. In the order of bedside monitors. */
const SUBJECTS: Readonly<Record<WaveformName, number>> = {
  ecgLeadII: 0,
  ecgLeadI: 0,
  ecgUnknownLead: 0,
  plethysmogram: 1,
  respiration: 2,
  arterialPressure: 3,
  bloodPressure2: 4,
};

/** Thins the waves of one bed for the small strips of the wall; keeps what it needs from chunk to chunk. */
export interface BedThinning {
  /** The two waves that matter most of those that come, with at most `pageThinSamplesPerSecondMax` samples a second each. */
  readonly take: (chunks: readonly WaveformChunk[], nowMs: MonotonicMs) => readonly ThinWaveView[];
}

/** Makes the thinning of one bed. */
export function createBedThinning(bedId: BedId): BedThinning {
  const waves = new Map<string, { readonly subject: number; readonly thin: Thinner; heardAtMs: number }>();

  /** Each subject's wave that was heard first; the first two subjects. One that is given up is forgotten. */
  const chosen = (nowMs: number): ReadonlySet<string> => {
    const bySubject = new Map<number, string>();
    for (const [key, wave] of waves) {
      if (nowMs - wave.heardAtMs > GIVEN_UP_MS) waves.delete(key);
      else if (!bySubject.has(wave.subject)) bySubject.set(wave.subject, key);
    }
    const inOrder = [...bySubject].sort(([a], [b]) => a - b).map(([, key]) => key);
    return new Set(inOrder.slice(0, WAVES_SHOWN));
  };

  return {
    take: (all, nowMs) => {
      // What a device without a patient sends is nobody's; it is seen where the device is.
      const chunks = all.filter((chunk) => chunk.patientId !== null);
      const keyOf = (chunk: WaveformChunk) => `${chunk.deviceId} ${chunk.waveform} ${chunk.sampleRateHz}`;
      for (const chunk of chunks) {
        const known = waves.get(keyOf(chunk));
        if (known !== undefined) known.heardAtMs = nowMs;
        else
          waves.set(keyOf(chunk), { subject: SUBJECTS[chunk.waveform], thin: thinnerOf(chunk.sampleRateHz), heardAtMs: nowMs });
      }
      const shown = chosen(nowMs);
      return chunks.flatMap((chunk) => {
        const wave = waves.get(keyOf(chunk));
        if (wave === undefined || !shown.has(keyOf(chunk))) return [];
        return wave.thin(chunk).map((run) => thinView(bedId, chunk, run));
      });
    },
  };
}

/** Samples without a hole between them, unscaled; the index counts thinned samples. */
interface Run {
  readonly rateHz: number;
  readonly firstIndex: number;
  readonly values: readonly number[];
}

type Thinner = (chunk: WaveformChunk) => readonly Run[];

/**
 * Thins a wave of one rate: of each few samples in a row the lowest and the highest are kept, in their order, so that no peak is lost.
 * A wave that is slow enough is left as it is.
 */
function thinnerOf(sampleRateHz: number): Thinner {
  const perBucket = Math.ceil((sampleRateHz * 2) / LIMITS.pageThinSamplesPerSecondMax.value);
  if (sampleRateHz <= LIMITS.pageThinSamplesPerSecondMax.value)
    return (chunk) => [{ rateHz: sampleRateHz, firstIndex: chunk.firstSampleIndex, values: [...chunk.raw] }];
  const rateHz = (sampleRateHz / perBucket) * 2;
  // The bucket that the next chunk may go on with.
  let open: { readonly bucket: number; low: number; high: number; lowCameFirst: boolean } | null = null;
  return (chunk) => {
    const runs: { rateHz: number; firstIndex: number; values: number[] }[] = [];
    const close = () => {
      if (open === null) return;
      const pair = open.lowCameFirst ? [open.low, open.high] : [open.high, open.low];
      const last = runs.at(-1);
      if (last !== undefined && last.firstIndex + last.values.length === open.bucket * 2) last.values.push(...pair);
      else runs.push({ rateHz, firstIndex: open.bucket * 2, values: pair });
    };
    for (const [offset, value] of chunk.raw.entries()) {
      const bucket = Math.floor((chunk.firstSampleIndex + offset) / perBucket);
      if (open === null || open.bucket !== bucket) {
        // What an earlier session left open is not of this one.
        if (open !== null && open.bucket < bucket) close();
        open = { bucket, low: value, high: value, lowCameFirst: true };
      } else if (value < open.low) {
        open.low = value;
        open.lowCameFirst = false;
      } else if (value > open.high) {
        open.high = value;
        open.lowCameFirst = true;
      }
    }
    return runs;
  };
}

function thinView(bedId: BedId, chunk: WaveformChunk, run: Run): ThinWaveView {
  const scaled = run.values.map((raw) => raw * chunk.gain + chunk.offset);
  const low = scaled.reduce((lowest, value) => Math.min(lowest, value), Number.POSITIVE_INFINITY);
  const high = scaled.reduce((highest, value) => Math.max(highest, value), Number.NEGATIVE_INFINITY);
  const step = (high - low) / STEPS;
  return {
    bedId,
    deviceId: chunk.deviceId,
    waveform: chunk.waveform,
    origin: chunk.origin,
    sampleRateHz: run.rateHz,
    firstSampleIndex: run.firstIndex,
    low: shortNumber(low),
    step: shortNumber(step),
    samples: step > 0 ? scaled.map((value) => Math.round((value - low) / step)) : scaled.map(() => 0),
  };
}

/** Six digits are enough for what 250 steps are counted from. */
function shortNumber(value: number): number {
  return Number(value.toPrecision(6));
}
