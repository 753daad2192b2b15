import { deviceId, patientId, seq } from "../../src/core/ids.ts";
import type { Prediction } from "../../src/core/prediction.ts";
import type { ClockRecord, DeviceEvent, JournalRecord, Loss, Receipt, Tally } from "../../src/core/record.ts";
import { monotonicMs, wallMs } from "../../src/core/time.ts";
import { actAt, alertAt, observationAt, startAt } from "./upstream-records.ts";

const FROM_MS = 1_780_000_000_000;

/** A score that lacks an input. */
export function predictionAt(number: number): Prediction {
  return {
    kind: "prediction",
    seq: seq(number),
    patientId: patientId("p-17"),
    modelId: "news2",
    modelVersion: "1.0.0",
    modelSha256: "ab".repeat(32),
    atMs: wallMs(FROM_MS + 500 + number),
    answer: {
      kind: "score",
      points: 5,
      parts: [
        { input: "respiratoryRate", value: 25, points: 3, atMs: null },
        { input: "oxygenSaturation", value: 94, points: 1, atMs: null },
        { input: "heartRate", value: 95, points: 1, atMs: null },
      ],
      missing: [{ input: "consciousness", why: "not-entered", sinceMs: null }],
      inputCount: 7,
      response: "urgent",
    },
    origin: "measured",
    basedOn: [seq(1)],
  };
}

/** What a minute brought. */
function tallyAt(number: number): Tally {
  const counts = { bytes: 5400, messages: 60, readings: 180, repeats: 2, observations: 178, waves: 60 };
  return {
    kind: "tally",
    seq: seq(number),
    atMs: wallMs(FROM_MS + 600 + number),
    fromSeq: seq(Math.max(1, number - 20)),
    toSeq: seq(number),
    given: { observation: 16, prediction: 2, tally: 1, alert: 2 },
    devices: [
      { deviceId: deviceId("monitor-3"), ...counts, refusals: { "bad-checksum": 4, "lost-sync": 3 } },
      { deviceId: deviceId("clip-4"), ...counts, bytes: 900, refusals: {} },
    ],
  };
}

function eventAt(number: number): DeviceEvent {
  const facts = { movedMs: -4000, deviceClockMs: FROM_MS };
  return {
    kind: "event",
    seq: seq(number),
    atMs: wallMs(FROM_MS + 700),
    deviceId: deviceId("clip-4"),
    code: "device-clock",
    facts,
  };
}

/** Of waves: the outbox itself acts on losses of records. */
function lossAt(number: number): Loss {
  const range = { fromSeq: seq(3), toSeq: seq(9), count: 7, why: "byte-budget", what: "waveforms", reader: null } as const;
  return { kind: "loss", seq: seq(number), atMs: wallMs(FROM_MS + 800), ...range };
}

function clockAt(number: number): ClockRecord {
  const atMs = wallMs(FROM_MS + 900);
  const change = { movedMs: -1234.5, why: "step", trust: "trusted" } as const;
  return { kind: "clock", seq: seq(number), atMs, atMonotonicMs: monotonicMs(8000), ...change };
}

function receiptAt(number: number): Receipt {
  const about = { of: "ward-3/e/4", reader: "upstream:hospital", state: "seen", by: "nurse-station" } as const;
  return { kind: "receipt", seq: seq(number), atMs: wallMs(FROM_MS + 950), ...about };
}

/** Makers of one record of each kind that there is, in an order that mixes lanes. */
export const EACH_KIND: readonly ((number: number) => JournalRecord)[] = [
  (number) => startAt(number, null),
  observationAt,
  alertAt,
  predictionAt,
  actAt,
  receiptAt,
  eventAt,
  lossAt,
  clockAt,
  tallyAt,
];

/** One record of each kind, numbered from `from`. */
export function oneOfEachKind(from: number): readonly JournalRecord[] {
  return EACH_KIND.map((maker, index) => maker(from + index));
}
