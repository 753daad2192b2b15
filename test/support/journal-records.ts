import type { Act } from "../../src/core/act.ts";
import type { Alert } from "../../src/core/alert.ts";
import { alertId, bedId, deviceId, patientId, seq, userId } from "../../src/core/ids.ts";
import type { Observation } from "../../src/core/observation.ts";
import type { QuantityName } from "../../src/core/quantities.ts";
import { monotonicMs, wallMs } from "../../src/core/time.ts";

/** 2026-03-01T00:00Z. */
export const BASE_MS = Date.UTC(2026, 2, 1);

/** An observation whose fields all differ and follow from its number, so that a mix-up shows. */
export function observationOf(wanted: {
  readonly seq: number;
  readonly atMs?: number;
  readonly value?: number | null;
  readonly device?: string;
  readonly patient?: string | null;
  readonly quantity?: QuantityName;
  readonly validity?: Observation["quality"]["validity"];
}): Observation {
  const atMs = wanted.atMs ?? BASE_MS + wanted.seq * 10;
  const patient = wanted.patient === undefined ? `patient-${wanted.seq % 5}` : wanted.patient;
  return {
    kind: "observation",
    seq: seq(wanted.seq),
    deviceId: deviceId(wanted.device ?? `monitor-${wanted.seq % 5}`),
    patientId: patient === null ? null : patientId(patient),
    quantity: wanted.quantity ?? "heartRate",
    content:
      wanted.value === null
        ? { state: "absent", why: "sensor-off" }
        : { state: "present", value: wanted.value ?? 40 + (wanted.seq % 90) },
    times: {
      measuredAtMs: wallMs(atMs),
      deviceClockMs: wanted.seq % 2 === 0 ? null : wallMs(atMs - 500),
      receivedAtMs: wallMs(atMs + 7),
      receivedMonotonicMs: monotonicMs(1000.25 + wanted.seq),
    },
    quality: { validity: wanted.validity ?? "valid", flags: [], origin: "measured" },
    driverId: "driver-1",
    driverVersion: "1.2.3",
  };
}

/** An alert in one of its states. */
export function alertOf(wanted: {
  readonly seq: number;
  readonly id: string;
  readonly state?: Alert["state"];
  readonly part?: string;
}): Alert {
  const state = wanted.state ?? "active";
  return {
    kind: "alert",
    seq: seq(wanted.seq),
    id: alertId(wanted.id),
    key: `key of ${wanted.id}`,
    rule: "silence.device",
    nature: "technical",
    priority: "medium",
    subject: {
      patientId: patientId("patient-1"),
      bedId: bedId("bed-1"),
      deviceId: deviceId("monitor-1"),
      part: wanted.part ?? null,
    },
    origin: "measured",
    evidence: { kind: "device-silent", lastHeardAtMs: wallMs(BASE_MS + wanted.seq), limitSeconds: 10 },
    state,
    phase: state === "ended" ? "end" : "start",
    raisedAtMs: wallMs(BASE_MS + wanted.seq),
    changedAtMs: wallMs(BASE_MS + wanted.seq + 1),
    acknowledgedBy: null,
    acknowledgedAtMs: null,
    endedAtMs: state === "ended" ? wallMs(BASE_MS + wanted.seq + 2) : null,
    raisedCount: 1,
  };
}

/** An act. */
export function actOf(wanted: { readonly seq: number }): Act {
  return {
    kind: "act",
    seq: seq(wanted.seq),
    atMs: wallMs(BASE_MS + wanted.seq),
    by: userId("nurse-1"),
    from: "page",
    deed: { kind: "acknowledge", alertId: alertId(`alert-${wanted.seq}`) },
  };
}
