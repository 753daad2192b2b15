import type { Alert } from "../../src/core/alert.ts";
import { deviceId, patientId } from "../../src/core/ids.ts";
import type { WaveformChunk } from "../../src/core/observation.ts";
import type { WaveformName } from "../../src/core/quantities.ts";
import { monotonicMs, wallMs } from "../../src/core/time.ts";
import { alertOf } from "./journal-records.ts";

/** A chunk as a device says it now, whose samples follow from its index, so that a mix-up shows. */
export function chunkOf(wanted: {
  readonly index: number;
  readonly device?: string;
  readonly patient?: string | null;
  readonly waveform?: WaveformName;
  readonly samples?: number;
  readonly atMs?: number;
  readonly monotonic?: number;
}): WaveformChunk {
  const samples = wanted.samples ?? 125;
  const patient = wanted.patient === undefined ? "patient-1" : wanted.patient;
  const atMs = wanted.atMs ?? Date.now();
  return {
    kind: "waveform",
    deviceId: deviceId(wanted.device ?? "monitor-1"),
    patientId: patient === null ? null : patientId(patient),
    waveform: wanted.waveform ?? "ecgLeadII",
    sampleRateHz: 250,
    firstSampleIndex: wanted.index * samples,
    raw: Float32Array.from({ length: samples }, (_, place) => Math.round(900 * Math.sin((wanted.index * samples + place) / 9))),
    gain: 0.005,
    offset: -0.25,
    unit: "mV",
    times: {
      measuredAtMs: wallMs(atMs),
      deviceClockMs: wanted.index % 2 === 0 ? null : wallMs(atMs - 700),
      receivedAtMs: wallMs(atMs),
      receivedMonotonicMs: monotonicMs(wanted.monotonic ?? performance.now()),
    },
    origin: "measured",
  };
}

/** An alert of a patient that has just begun. */
export function patientAlertOf(
  wanted: { readonly seq: number; readonly id: string; readonly atMs?: number } & Partial<Omit<Alert, "seq" | "id">>,
): Alert {
  const { seq, id, atMs, ...more } = wanted;
  const base = alertOf({ seq, id });
  return {
    ...base,
    nature: "physiological",
    rule: "limit.heartRate.low",
    subject: { ...base.subject, patientId: patientId("patient-1") },
    changedAtMs: wallMs(atMs ?? Date.now()),
    ...more,
  };
}
