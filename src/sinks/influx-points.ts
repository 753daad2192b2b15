import { type Act, type BedsideDeed, isAccessDeed } from "../core/act.ts";
import type { Alert, Evidence } from "../core/alert.ts";
import type { PatientId } from "../core/ids.ts";
import type { InfluxMeasurement, InfluxMeasurements } from "../core/influx-measurements.ts";
import type { Observation } from "../core/observation.ts";
import type { Delivery } from "../core/ports.ts";
import type { Prediction } from "../core/prediction.ts";
import { QUANTITIES } from "../core/quantities.ts";
import { type DeviceEvent, type JournalRecord, type LifeStart, madeAtMs, type Tally } from "../core/record.ts";
import type { AlertWords } from "../core/upstream.ts";

type FieldValue<Type> = Type extends "float" | "integer" ? number : Type extends "boolean" ? boolean : string;
type FieldsOf<Name extends InfluxMeasurement> = {
  readonly [Field in keyof InfluxMeasurements[Name]["fields"]]?: InfluxMeasurements[Name]["fields"][Field] extends {
    readonly type: infer Type;
  }
    ? FieldValue<Type> | undefined
    : never;
};
type TagsOf<Name extends InfluxMeasurement> = { readonly [Tag in keyof InfluxMeasurements[Name]["tags"]]: string };

/** One point as plain data. A field that is undefined is left out. */
export interface InfluxPoint {
  readonly measurement: InfluxMeasurement;
  readonly tags: Readonly<Record<string, string>>;
  readonly fields: Readonly<Record<string, number | string | boolean | undefined>>;
  /** Nanoseconds since 1970, too large for a number. */
  readonly ns: string;
}

/** What records are turned into points with. */
export interface InfluxPointParts {
  readonly gatewayId: string;
  /** How a patient is named outside. */
  readonly patientTag: (patient: PatientId) => string;
  /** An alert in words, in both languages. */
  readonly textOf: AlertWords;
}

/** The numbers of one millisecond that points are kept apart by. */
const NUMBERS_PER_MS = 1_000_000;
const NOBODY = "none";
const UNASSIGNED = "unassigned";

/**
 * Turns one record into points, by the table `INFLUX_MEASUREMENTS`: one point for most records, one for the gateway and one for each
 * device for a tally, none for a receipt or for who signed in. The same record gives the same points, whenever and however often it is sent.
 */
export function influxPoints(delivery: Delivery, parts: InfluxPointParts): readonly InfluxPoint[] {
  const { record } = delivery;
  switch (record.kind) {
    case "observation":
      return [observationPoint(record, parts)];
    case "prediction":
      return [predictionPoint(record, parts)];
    case "alert":
      return [alertPoint(record, parts)];
    case "act":
      return actPoints(record, parts);
    case "event":
      return [eventPoint(record, parts)];
    case "start":
      return [startPoint(record, epochOf(delivery), parts)];
    case "tally":
      return tallyPoints(record, parts);
    case "loss": {
      const { count, fromSeq, toSeq, reader, what, why, seq } = record;
      const fields = { count, from_seq: fromSeq, to_seq: toSeq, reader: reader ?? undefined, seq };
      return [point("loss", { gateway: parts.gatewayId, what, why }, fields, stampOf(record))];
    }
    case "clock": {
      const { movedMs, trust, why, seq } = record;
      const fields = { moved_ms: movedMs, trusted: trust === "trusted", seq };
      return [point("gateway_clock", { gateway: parts.gatewayId, why }, fields, stampOf(record))];
    }
    case "receipt":
      return [];
  }
}

/** The point that says that the gateway reaches the server; it is no record. */
export function heartbeatPoint(of: {
  readonly gatewayId: string;
  readonly atMs: number;
  readonly committedSeq: number;
  readonly state: string;
}): InfluxPoint {
  const fields = { committed_seq: of.committedSeq, state: of.state };
  return point("gateway_heartbeat", { gateway: of.gatewayId }, fields, nanoseconds(of.atMs, 0));
}

/** The time of a point: milliseconds, and the record's number to tell apart what came in the same one. */
export function nanoseconds(atMs: number, seq: number): string {
  const wholeMs = Math.floor(atMs);
  const within = seq % NUMBERS_PER_MS;
  if (wholeMs > 0) return `${wholeMs}${String(within).padStart(6, "0")}`;
  return String(BigInt(wholeMs) * BigInt(NUMBERS_PER_MS) + BigInt(within));
}

function stampOf(record: JournalRecord): string {
  const atMs = record.kind === "observation" ? record.times.measuredAtMs : madeAtMs(record);
  return nanoseconds(atMs, record.seq);
}

/** Holds names and types of tags and fields against the table. */
function point<Name extends InfluxMeasurement>(
  measurement: Name,
  tags: TagsOf<Name>,
  fields: FieldsOf<Name>,
  ns: string,
): InfluxPoint {
  return { measurement, tags, fields, ns };
}

function patientOf(patient: PatientId | null, nobody: string, parts: InfluxPointParts): string {
  return patient === null ? nobody : parts.patientTag(patient);
}

/** A text for a field, or nothing where there is none to say. */
function joined(words: readonly string[]): string | undefined {
  return words.length === 0 ? undefined : words.join(",");
}

function observationPoint(record: Observation, parts: InfluxPointParts): InfluxPoint {
  const { deviceId, patientId, quantity, content, quality, times, seq } = record;
  const tags = {
    gateway: parts.gatewayId,
    device: deviceId,
    patient: patientOf(patientId, UNASSIGNED, parts),
    quantity,
    unit: QUANTITIES[quantity].unit,
    validity: quality.validity,
    origin: quality.origin,
  };
  const fields = {
    value: content.state === "present" ? content.value : undefined,
    why: content.state === "absent" ? content.why : undefined,
    flags: joined(quality.flags),
    delay_ms: Math.round(times.receivedAtMs - times.measuredAtMs),
    seq,
  };
  return point("observation", tags, fields, stampOf(record));
}

function predictionPoint(record: Prediction, parts: InfluxPointParts): InfluxPoint {
  const { answer, modelId, modelVersion, origin, seq } = record;
  const tags = {
    gateway: parts.gatewayId,
    patient: parts.patientTag(record.patientId),
    model: modelId,
    answer: answer.kind,
    origin,
  };
  const shared = {
    partial: answer.missing.length > 0,
    missing: joined(answer.missing.map(({ input }) => input)),
    model_version: modelVersion,
    seq,
  };
  const stamp = stampOf(record);
  switch (answer.kind) {
    case "score": {
      const earned = joined(answer.parts.map(({ input, points }) => `${input} ${points}`));
      return point("prediction", tags, { ...shared, points: answer.points, parts: earned, response: answer.response }, stamp);
    }
    case "risk":
      return point("prediction", tags, { ...shared, risk: answer.risk, horizon_seconds: answer.horizonSeconds }, stamp);
    case "no-answer":
      return point("prediction", tags, { ...shared, why: answer.why }, stamp);
  }
}

function alertPoint(record: Alert, parts: InfluxPointParts): InfluxPoint {
  const { subject, nature, priority, rule, state, origin, evidence, seq } = record;
  const text = parts.textOf(evidence.kind === "device-alarm" ? { ...record, evidence: withoutItsWords(evidence) } : record);
  const tags = {
    gateway: parts.gatewayId,
    patient: patientOf(subject.patientId, NOBODY, parts),
    bed: subject.bedId ?? NOBODY,
    device: subject.deviceId ?? NOBODY,
    nature,
    priority,
    rule,
    state,
    origin,
  };
  const fields = {
    id: record.id,
    open: state === "ended" ? 0 : 1,
    phase: record.phase,
    text_en: text.en,
    text_zh: text.zh,
    part: subject.part ?? undefined,
    ...crossingOf(evidence),
    raised_count: record.raisedCount,
    open_ms: Math.round(record.changedAtMs - record.raisedAtMs),
    seq,
  };
  return point("alert", tags, fields, stampOf(record));
}

/** What a device says in its own words may name its patient. */
function withoutItsWords(evidence: Extract<Evidence, { kind: "device-alarm" }>): Evidence {
  return { ...evidence, text: evidence.code };
}

function crossingOf(evidence: Evidence): { readonly value?: number; readonly limit?: number } {
  switch (evidence.kind) {
    case "limit":
      return { value: evidence.value, limit: evidence.limit };
    case "score":
      return { value: evidence.points };
    case "stuck":
      return { value: evidence.value };
    case "score-partial":
    case "device-silent":
    case "quantity-missing":
    case "unassigned":
    case "not-measured":
    case "still-on-patient":
    case "device-alarm":
    case "fault":
      return {};
  }
}

/** Who signed in, and whose accounts there are, is nothing for a ward's trends: such acts stay in the journal. */
function actPoints(record: Act, parts: InfluxPointParts): readonly InfluxPoint[] {
  const { deed } = record;
  const details = isAccessDeed(deed) ? null : detailsOf(deed, parts);
  if (details === null) return [];
  const tags = {
    gateway: parts.gatewayId,
    patient: patientOf("patientId" in deed ? deed.patientId : null, NOBODY, parts),
    bed: ("bedId" in deed ? deed.bedId : null) ?? NOBODY,
    device: "deviceId" in deed ? deed.deviceId : NOBODY,
    deed: deed.kind,
  };
  return [point("act", tags, { from: record.from, ...details, seq: record.seq }, stampOf(record))];
}

/** What is told of a deed beside whom it is about: no labels, notes or reasons, which are people's words. Null: nothing at all. */
function detailsOf(deed: BedsideDeed, parts: InfluxPointParts): FieldsOf<"act"> | null {
  switch (deed.kind) {
    case "admit":
      return { demonstration: deed.demonstration };
    case "merge":
      return { former: parts.patientTag(deed.formerPatientId) };
    case "set-limit":
      return { quantity: deed.quantity, low: deed.low?.value, high: deed.high?.value };
    case "reset-limit":
      return { quantity: deed.quantity };
    case "acknowledge":
      return { alert: deed.alertId };
    case "verdict":
      return { alert: deed.alertId, verdict: deed.verdict };
    case "enter-consciousness":
      return { consciousness: deed.consciousness };
    case "enter-oxygen":
      return { on_oxygen: deed.onOxygen };
    case "discharge":
    case "transfer":
    case "assign":
    case "release":
    case "confirm-assignment":
    case "note":
    case "set-profile":
    case "adopt":
    case "forget-device":
      return {};
    case "correct-patient":
      return null;
  }
}

function eventPoint(record: DeviceEvent, parts: InfluxPointParts): InfluxPoint {
  const { deviceId, code, facts, seq } = record;
  const told = code === "device-text" || Object.keys(facts).length === 0 ? undefined : JSON.stringify(facts);
  return point("device_event", { gateway: parts.gatewayId, device: deviceId, code }, { facts: told, seq }, stampOf(record));
}

function startPoint(record: LifeStart, epoch: string, parts: InfluxPointParts): InfluxPoint {
  const { version, before, leftOut, trust, seq } = record;
  const fields = {
    version,
    before,
    epoch,
    left_out: leftOut === null ? 0 : leftOut.to - leftOut.from + 1,
    trusted: trust !== "untrusted",
    seq,
  };
  return point("gateway_start", { gateway: parts.gatewayId }, fields, stampOf(record));
}

/** The epoch that a record was made in: sent again after the journal began a new one, it says the former. */
function epochOf({ key, formerKey }: Delivery): string {
  return (formerKey ?? key).split("/").at(-2) ?? "";
}

function tallyPoints(record: Tally, parts: InfluxPointParts): readonly InfluxPoint[] {
  const { given, devices, seq } = record;
  const ns = stampOf(record);
  const fields = {
    records: record.toSeq - record.fromSeq + 1,
    observations: given.observation ?? 0,
    predictions: given.prediction ?? 0,
    alerts: given.alert ?? 0,
    acts: given.act ?? 0,
    losses: given.loss ?? 0,
    events: given.event ?? 0,
    seq,
  };
  const whole = point("gateway_tally", { gateway: parts.gatewayId }, fields, ns);
  const each = devices.map(({ deviceId, refusals, bytes, messages, readings, repeats, observations, waves }) => {
    const refused = Object.values(refusals).reduce((sum, count) => sum + count, 0);
    const counts = { bytes, messages, refusals: refused, readings, repeats, observations, waves, seq };
    return point("device_tally", { gateway: parts.gatewayId, device: deviceId }, counts, ns);
  });
  return [whole, ...each];
}
