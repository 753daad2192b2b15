import type { WaveformName } from "../../../core/quantities.ts";
import type { ThinWaveView } from "../../../core/stream.ts";
import { createSweep, type Sweep } from "../bed/sweep.ts";

/** A wave that has brought nothing for this long is no longer shown. */
const forgottenMs = 20_000;
/** The order of bedside monitors. */
const order: readonly WaveformName[] = [
  "ecgLeadII",
  "ecgLeadI",
  "ecgUnknownLead",
  "plethysmogram",
  "respiration",
  "arterialPressure",
  "bloodPressure2",
];

/** One wave of a bed on the wall. */
export interface StripWave {
  readonly waveform: WaveformName;
  readonly deviceId: string;
  readonly sweep: Sweep;
  /** When it last brought something, on the page's own clock. */
  lastAtMs: number;
}

/** The thinned waves of all beds on the wall, as they come. */
export interface WallWaves {
  readonly take: (waves: readonly ThinWaveView[], nowMs: number) => void;
  /** The waves of a bed, in the order of bedside monitors; the same array until a wave comes or goes. */
  readonly ofBed: (bedId: string) => readonly StripWave[];
  readonly clear: () => void;
}

/** Makes a wall without waves. */
export function createWallWaves(): WallWaves {
  const beds = new Map<string, Map<string, StripWave>>();
  const sorted = new Map<string, readonly StripWave[]>();
  const none: readonly StripWave[] = [];
  return {
    take: (waves, nowMs) => {
      for (const { bedId, deviceId, waveform, sampleRateHz, firstSampleIndex, low, step, samples } of waves) {
        const ofBed = beds.get(bedId) ?? new Map<string, StripWave>();
        beds.set(bedId, ofBed);
        const key = `${deviceId} ${waveform} ${sampleRateHz}`;
        const known = ofBed.get(key);
        const wave = known ?? { waveform, deviceId, sweep: createSweep(sampleRateHz), lastAtMs: nowMs };
        wave.lastAtMs = nowMs;
        wave.sweep.add({ firstSampleIndex, samples: samples.map((sample) => low + step * sample) }, nowMs);
        if (known !== undefined) continue;
        ofBed.set(key, wave);
        sorted.delete(bedId);
      }
      for (const [bedId, ofBed] of beds)
        for (const [key, wave] of ofBed)
          if (nowMs - wave.lastAtMs > forgottenMs) {
            ofBed.delete(key);
            sorted.delete(bedId);
          }
    },
    ofBed: (bedId) => {
      const known = sorted.get(bedId);
      if (known !== undefined) return known;
      const found = beds.get(bedId);
      if (found === undefined) return none;
      const inOrder = [...found.values()].toSorted((a, b) => order.indexOf(a.waveform) - order.indexOf(b.waveform));
      sorted.set(bedId, inOrder);
      return inOrder;
    },
    clear: () => {
      beds.clear();
      sorted.clear();
    },
  };
}
