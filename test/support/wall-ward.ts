import type { BedId } from "../../src/core/ids.ts";
import { bedId, deviceId, patientId } from "../../src/core/ids.ts";
import type { WaveformChunk } from "../../src/core/observation.ts";
import type { WaveformName } from "../../src/core/quantities.ts";
import type { BedView } from "../../src/core/stream.ts";
import { monotonicMs, wallMs } from "../../src/core/time.ts";
import { createBedThinning } from "../../src/gateway/wave-thinning.ts";
import { bedView, createScriptedWard, deviceView, numberView, type ScriptedWard } from "./scripted-ward.ts";

/** Samples a second of the waves before they are thinned. */
const SAMPLE_RATE_HZ = 250;
/** A device of this ward sends four times a second. */
const CHUNK_MS = 250;

/** A large ward whose numbers and waves go on by themselves. */
export interface WallWard {
  readonly ward: ScriptedWard;
  /** Begins to send each bed's numbers once a second and its waves four times a second, until the returned function is called. */
  readonly begin: () => () => void;
}

/** Makes a ward of so many beds with a monitor each, four to a room; the wards share them evenly. */
export function createWallWard(plan: { readonly beds: number; readonly wards?: readonly string[] }): WallWard {
  const beginMs = Date.now();
  const wards = plan.wards ?? [];
  const ids = Array.from({ length: plan.beds }, (_, index) => `bed-${index + 1}`);
  const placeOf = (index: number) => ({
    ward: wards[Math.floor((index * wards.length) / plan.beds)] ?? null,
    room: String(Math.floor(index / 4) + 101),
  });
  const ward = createScriptedWard({
    nowMs: Date.now,
    beds: ids.map((id, index) => ({ ...bedAt(id, index, beginMs), ...placeOf(index) })),
  });
  return { ward, begin: () => begin(ward, ids) };
}

function begin(ward: ScriptedWard, ids: readonly string[]): () => void {
  const thinnings = ids.map((id) => createBedThinning(bedId(id)));
  const beginMs = performance.now();
  let sentCount = 0;
  const timer = setInterval(() => {
    // As many as are due, so that a busy machine makes no holes.
    for (const due = Math.floor((performance.now() - beginMs) / CHUNK_MS); sentCount < due; sentCount++)
      for (const [index, id] of ids.entries()) {
        const chunks = (["ecgLeadII", "plethysmogram"] as const).map((waveform) =>
          chunkOf(id, { waveform, sentCount, rate: rateOf(index) }),
        );
        const thinned = thinnings[index]?.take(chunks, monotonicMs(performance.now())) ?? [];
        ward.sendThinWaves(id, thinned);
        if ((sentCount + index) % 4 === 0) ward.setBed(withFreshNumbers(ward.bed(id), sentCount));
      }
  }, CHUNK_MS / 5);
  return () => clearInterval(timer);
}

function rateOf(index: number): number {
  return 58 + ((index * 37) % 61);
}

function bedAt(id: string, index: number, nowMs: number): BedView {
  const at = { measuredAtMs: nowMs };
  const cuffAt = { measuredAtMs: nowMs - 240_000 - index * 1000, staleAfterMs: 43_200_000 };
  const own = { patientId: patientId(`patient-of-${id}`), bedId: bedId(id) };
  return bedView(id, nowMs, {
    numbers: [
      numberView("heartRate", rateOf(index), at),
      numberView("oxygenSaturation", 92 + (index % 8), at),
      numberView("respiratoryRate", 11 + (index % 13), at),
      numberView("systolicPressure", 101 + index, cuffAt),
      numberView("diastolicPressure", 61 + (index % 25), cuffAt),
      numberView("bodyTemperature", 36.1 + (index % 17) / 10, cuffAt),
    ].map((number) => ({ ...number, deviceId: deviceId(`monitor-${id}`) })),
    devices: [deviceView(`monitor-${id}`, { ...own, lastHeardAtMs: nowMs })],
  });
}

function withFreshNumbers(bed: BedView, turn: number): BedView {
  const nowMs = Date.now();
  const numbers = bed.numbers.map((number) => {
    if (number.staleAfterMs > 60_000 || number.content.state === "absent") return number;
    const swing = (turn % 8 < 4 ? 1 : -1) as 1 | -1;
    return { ...number, measuredAtMs: nowMs, content: { state: "present" as const, value: number.content.value + swing } };
  });
  return { ...bed, numbers, devices: bed.devices.map((device) => ({ ...device, lastHeardAtMs: nowMs })) };
}

/** A quarter of a second of a wave: a peak for each beat over slow hills, so that both thinning and gain have something to do. */
function chunkOf(
  id: string,
  { waveform, sentCount, rate }: { readonly waveform: WaveformName; readonly sentCount: number; readonly rate: number },
): WaveformChunk {
  const length = (SAMPLE_RATE_HZ * CHUNK_MS) / 1000;
  const from = Math.round(sentCount * length);
  const raw = Float32Array.from({ length: Math.round((sentCount + 1) * length) - from }, (_, offset) => {
    const seconds = (from + offset) / SAMPLE_RATE_HZ;
    const phase = (seconds * rate) / 60;
    const beat = phase - Math.floor(phase);
    if (waveform === "plethysmogram")
      return 2000 + 900 * Math.sin(Math.PI * Math.min(1, beat * 1.4)) ** 2 + 60 * Math.sin(seconds);
    const spike = Math.exp(-(((beat - 0.3) / 0.012) ** 2));
    return (
      40 * Math.exp(-(((beat - 0.55) / 0.05) ** 2)) +
      200 * spike -
      30 * Math.exp(-(((beat - 0.33) / 0.01) ** 2)) +
      8 * Math.sin(seconds)
    );
  });
  const times = { measuredAtMs: wallMs(0), deviceClockMs: null, receivedAtMs: wallMs(0), receivedMonotonicMs: monotonicMs(0) };
  return {
    kind: "waveform",
    deviceId: deviceId(`monitor-${id}`),
    patientId: patientId(`patient-of-${id}`),
    waveform,
    sampleRateHz: SAMPLE_RATE_HZ,
    firstSampleIndex: from,
    raw,
    gain: 0.005,
    offset: 0,
    unit: waveform === "plethysmogram" ? "1" : "mV",
    times,
    origin: "measured",
  };
}

/** The identifier of the bed of a number from 1. */
export const wallBed = (number: number): BedId => bedId(`bed-${number}`);
