import type { Alert } from "../../src/core/alert.ts";
import { alertId, bedId, patientId, seq } from "../../src/core/ids.ts";
import { wallMs } from "../../src/core/time.ts";

/** An urgent alert of a patient in the first bed that has just been raised. */
export function routedAlert(more: Partial<Alert> = {}): Alert {
  return {
    kind: "alert",
    seq: seq(1),
    id: alertId("abcdef01-1"),
    key: "limit.oxygenSaturation.low/li",
    rule: "limit.oxygenSaturation.low",
    nature: "physiological",
    priority: "high",
    subject: { patientId: patientId("li"), bedId: bedId("bed-1"), deviceId: null, part: null },
    origin: "measured",
    evidence: { kind: "unassigned", sinceMs: wallMs(0) },
    state: "active",
    phase: "start",
    raisedAtMs: wallMs(0),
    changedAtMs: wallMs(0),
    acknowledgedBy: null,
    acknowledgedAtMs: null,
    endedAtMs: null,
    raisedCount: 1,
    ...more,
  };
}
