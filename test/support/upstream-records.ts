import type { Act } from "../../src/core/act.ts";
import type { Alert } from "../../src/core/alert.ts";
import { alertId, bedId, deviceId, patientId, seq, userId } from "../../src/core/ids.ts";
import type { Observation } from "../../src/core/observation.ts";
import type { LifeStart } from "../../src/core/record.ts";
import { type Clock, monotonicMs, wallMs } from "../../src/core/time.ts";

/** An observation whose fields all differ, so that a swapped one shows. */
export function observationAt(number: number): Observation {
  return {
    kind: "observation",
    seq: seq(number),
    deviceId: deviceId("monitor-3"),
    patientId: patientId("p-17"),
    quantity: "oxygenSaturation",
    content: { state: "present", value: 80 + (number % 20) },
    times: {
      measuredAtMs: wallMs(1_780_000_000_000 + number * 100),
      deviceClockMs: null,
      receivedAtMs: wallMs(1_780_000_000_040 + number * 100),
      receivedMonotonicMs: monotonicMs(5_000 + number * 100),
    },
    quality: { validity: "valid", flags: ["late"], origin: "measured" },
    driverId: "serial-nonin-df2",
    driverVersion: "1.0.0",
  };
}

/** A high physiological alert about oxygen saturation. */
export function alertAt(number: number): Alert {
  return {
    kind: "alert",
    seq: seq(number),
    id: alertId(`11111111-${number}`),
    key: "limit.oxygenSaturation.low p-17",
    rule: "limit.oxygenSaturation.low",
    nature: "physiological",
    priority: "high",
    subject: { patientId: patientId("p-17"), bedId: bedId("bed-2"), deviceId: deviceId("monitor-3"), part: null },
    origin: "measured",
    evidence: {
      kind: "limit",
      quantity: "oxygenSaturation",
      side: "low",
      value: 81,
      limit: 85,
      sinceMs: wallMs(1_780_000_000_000),
      observationSeq: seq(Math.max(1, number - 1)),
    },
    state: "active",
    phase: "start",
    raisedAtMs: wallMs(1_780_000_000_300),
    changedAtMs: wallMs(1_780_000_000_300),
    acknowledgedBy: null,
    acknowledgedAtMs: null,
    endedAtMs: null,
    raisedCount: 1,
  };
}

/** An act at the bedside. */
export function actAt(number: number): Act {
  return {
    kind: "act",
    seq: seq(number),
    atMs: wallMs(1_780_000_001_000 + number),
    by: userId("nurse-4"),
    from: "page",
    deed: { kind: "acknowledge", alertId: alertId("11111111-4") },
  };
}

/** The first record of a life that began after a crash. */
export function startAt(number: number, leftOut: { readonly from: number; readonly to: number } | null): LifeStart {
  return {
    kind: "start",
    seq: seq(number),
    atMs: wallMs(1_780_000_002_000 + number),
    atMonotonicMs: monotonicMs(7_000 + number),
    version: "0.3.0",
    before: leftOut === null ? "closed" : "cut-off",
    leftOut: leftOut === null ? null : { from: seq(leftOut.from), to: seq(leftOut.to) },
  };
}

/** The real clock, running `factor` times as fast for every wait: a wait of ten seconds takes two at 5. */
export function hurry(clock: Clock, factor: number): Clock {
  return {
    wall: clock.wall,
    monotonic: () => monotonicMs(clock.monotonic() * factor),
    every: (periodMs, work) => clock.every(periodMs / factor, work),
    after: (delayMs, work) => clock.after(delayMs / factor, work),
    sleep: (delayMs, stop) => clock.sleep(delayMs / factor, stop),
  };
}
