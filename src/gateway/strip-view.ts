import type { WaveformChunk } from "../core/observation.ts";
import type { StripWaveView } from "../core/stream.ts";

/** Chunks that follow each other to within this share of a sample are one stretch. */
const HOLE_SAMPLES_MAX = 0.5;

/** The waves of a strip as a page draws them: by device and wave, in the order they began, chunks without a hole between them joined. */
export function stripView(chunks: readonly WaveformChunk[]): readonly StripWaveView[] {
  const waves = new Map<string, { readonly first: WaveformChunk; readonly stretches: Stretch[] }>();
  for (const chunk of chunks) {
    const key = `${chunk.deviceId}/${chunk.waveform}/${chunk.unit}/${chunk.origin}`;
    const wave = waves.get(key) ?? { first: chunk, stretches: [] };
    waves.set(key, wave);
    const last = wave.stretches.at(-1);
    if (last !== undefined && follows(last, chunk)) extend(last, chunk);
    else wave.stretches.push(begin(chunk));
  }
  return [...waves.values()].map(({ first: { deviceId, waveform, unit, origin }, stretches }) => ({
    ...{ deviceId, waveform, unit, origin },
    stretches: stretches.map(({ fromMs, sampleRateHz, samples }) => ({ fromMs, sampleRateHz, samples })),
  }));
}

interface Stretch {
  readonly fromMs: number;
  readonly sampleRateHz: number;
  readonly samples: number[];
  nextSampleIndex: number;
}

/** A chunk is told when its last sample has come. */
function begin(chunk: WaveformChunk): Stretch {
  const lengthMs = (chunk.raw.length / chunk.sampleRateHz) * 1000;
  const stretch = {
    fromMs: chunk.times.measuredAtMs - lengthMs,
    sampleRateHz: chunk.sampleRateHz,
    samples: [],
    nextSampleIndex: chunk.firstSampleIndex,
  };
  extend(stretch, chunk);
  return stretch;
}

/** Whether a chunk goes on where a stretch ends, by its own count of samples. */
function follows(stretch: Stretch, chunk: WaveformChunk): boolean {
  const isNext = Math.abs(chunk.firstSampleIndex - stretch.nextSampleIndex) < HOLE_SAMPLES_MAX;
  return isNext && chunk.sampleRateHz === stretch.sampleRateHz;
}

function extend(stretch: Stretch, chunk: WaveformChunk): void {
  for (const raw of chunk.raw) stretch.samples.push(Math.round((raw * chunk.gain + chunk.offset) * 1000) / 1000);
  stretch.nextSampleIndex = chunk.firstSampleIndex + chunk.raw.length;
}
