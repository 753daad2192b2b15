import { ALERT_DEFAULTS, type AlertBook, type AlertInput, emptyBook, stepAlerts } from "../alerts/life-cycle.ts";
import type { ConditionChange } from "../core/alert.ts";
import { alertId, deviceId, patientId, seq } from "../core/ids.ts";
import type { Observation } from "../core/observation.ts";
import type { Clock } from "../core/time.ts";
import type { Watch } from "../watch/watch.ts";

/** The probe's patient: a demonstration that no bed, page, journal or receiver ever sees. */
const PROBE_PATIENT = patientId("vigil-heartbeat-probe");
const PROBE_DEVICE = deviceId("vigil-heartbeat-probe");
/** One below and one inside the default limits of body temperature, which are raised and ended without delay. */
const PROBE_CELSIUS = { low: 34, normal: 37 } as const;

/**
 * Proves again and again that an observation still becomes an alert (SAFETY.md, rule 1).
 * It goes through the same watch and the same life cycle as a patient's; only its book is its own, because it must not
 * use up sequence numbers that the journal would then miss.
 */
export interface HeartbeatProbe {
  /** Injects one observation; every second call must bring out an alert, which is the heartbeat. */
  readonly inject: () => void;
  /** Takes out of the watch's changes what belongs to the probe; the rest is the patients'. */
  readonly withoutProbe: (changes: readonly ConditionChange[]) => readonly ConditionChange[];
}

/** Makes the probe and shows its patient to the watch. */
export function createHeartbeatProbe(parts: {
  readonly watch: Watch;
  readonly clock: Clock;
  readonly onHeartbeat: () => void;
}): HeartbeatProbe {
  const { watch, clock } = parts;
  // Without hold time: otherwise one alert would come back again and again, and nothing new would come out.
  let book: AlertBook = emptyBook({ ...ALERT_DEFAULTS, endHoldSeconds: 0 });
  let low = false;
  const keys = new Set<string>();
  watch.setPatient({ patientId: PROBE_PATIENT, bedId: null, profile: { kind: "adult", spo2Scale: 1 }, demonstration: true });
  watch.setDevice({
    deviceId: PROBE_DEVICE,
    bedId: null,
    patientId: PROBE_PATIENT,
    silenceSeconds: Number.POSITIVE_INFINITY,
    expected: [],
    stuckSeconds: {},
    asksAfter: null,
  });

  const take = (input: AlertInput) => {
    const result = stepAlerts(book, input, {
      wallMs: clock.wall(),
      monotonicMs: clock.monotonic(),
      nextSeq: () => seq(0),
      alertId: () => alertId("probe"),
    });
    book = result.book;
    if (result.changed.some((alert) => alert.rule === "limit.bodyTemperature.low" && alert.state === "active"))
      parts.onHeartbeat();
  };

  const withoutProbe: HeartbeatProbe["withoutProbe"] = (changes) => {
    const others: ConditionChange[] = [];
    for (const change of changes) {
      if (change.kind !== "ended" && change.condition.subject.patientId === PROBE_PATIENT) keys.add(change.condition.key);
      const key = change.kind === "ended" ? change.key : change.condition.key;
      if (keys.has(key)) take(change);
      else others.push(change);
    }
    return others;
  };

  return {
    withoutProbe,
    inject: () => {
      low = !low;
      take({ kind: "tick" });
      withoutProbe(watch.heard(PROBE_DEVICE));
      withoutProbe(watch.observe(probeObservation(low ? PROBE_CELSIUS.low : PROBE_CELSIUS.normal, clock)));
    },
  };
}

/** Whether a prediction or view is the probe's. */
export function isProbePatient(id: string): boolean {
  return id === PROBE_PATIENT;
}

function probeObservation(celsius: number, clock: Clock): Observation {
  const now = clock.wall();
  return {
    kind: "observation",
    seq: seq(0),
    deviceId: PROBE_DEVICE,
    patientId: PROBE_PATIENT,
    quantity: "bodyTemperature",
    content: { state: "present", value: celsius },
    times: { measuredAtMs: now, deviceClockMs: null, receivedAtMs: now, receivedMonotonicMs: clock.monotonic() },
    quality: { validity: "valid", flags: [], origin: "test" },
    driverId: "vigil-heartbeat-probe",
    driverVersion: "1",
  };
}
