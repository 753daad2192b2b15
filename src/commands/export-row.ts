import { deedText } from "../core/act-text.ts";
import { alertText } from "../core/alert-text.ts";
import { recordKey } from "../core/ids.ts";
import type { Timeline } from "../core/mended-time.ts";
import { QUANTITIES } from "../core/quantities.ts";
import type { JournalRecord } from "../core/record.ts";

/** The kinds of records that are exported. */
export const EXPORT_KINDS = ["observation", "alert", "act", "prediction"] as const;

/** One of these kinds. */
export type ExportKind = (typeof EXPORT_KINDS)[number];

/** A record of one of these kinds. */
export type ExportRecord = Extract<JournalRecord, { readonly kind: ExportKind }>;

/** The columns, in their order. */
// biome-ignore format: a few a line, by what they are about.
export const EXPORT_COLUMNS = [
  "kind", "number", "key", "time", "time_known", "received",
  "patient", "device", "bed", "name", "mdc", "loinc", "value", "unit", "absent", "validity", "flags", "origin",
  "alert", "nature", "priority", "state", "parts", "missing", "by", "role", "text_en", "text_zh",
] as const;

type Column = (typeof EXPORT_COLUMNS)[number];

/** One record as a row: null where a column does not apply or nothing is known. */
export type ExportRow = Readonly<Record<Column, string | number | boolean | readonly string[] | null>>;

const NOTHING = Object.fromEntries(EXPORT_COLUMNS.map((column) => [column, null])) as ExportRow;

/** Where rows come from. */
export interface RowParts {
  readonly gatewayId: string;
  readonly epoch: string;
  readonly timeline: Timeline;
}

/** When what a record tells was so, and when it came in, both mended; `known` is false where the clock was never right then. */
export function exportTimes(
  record: ExportRecord,
  timeline: Timeline,
): { readonly atMs: number; readonly receivedAtMs: number; readonly known: boolean } {
  if (record.kind === "observation") {
    const { measuredAtMs, receivedAtMs, receivedMonotonicMs } = record.times;
    const received = timeline.mended({ seq: record.seq, atMs: receivedAtMs, monotonicMs: receivedMonotonicMs });
    return { atMs: received.atMs - (receivedAtMs - measuredAtMs), receivedAtMs: received.atMs, known: received.known };
  }
  const written = record.kind === "alert" ? record.changedAtMs : record.atMs;
  const { atMs, known } = timeline.mended({ seq: record.seq, atMs: written, monotonicMs: null });
  return { atMs, receivedAtMs: atMs, known };
}

/** A record as a row. */
export function exportRow(record: ExportRecord, { gatewayId, epoch, timeline }: RowParts): ExportRow {
  const { atMs, receivedAtMs, known } = exportTimes(record, timeline);
  const row = {
    ...NOTHING,
    kind: record.kind,
    number: record.seq,
    key: recordKey({ gatewayId, epoch, seq: record.seq }),
    time: isoOf(atMs),
    time_known: known,
  };
  switch (record.kind) {
    case "observation":
      return { ...row, received: isoOf(receivedAtMs), ...observationColumns(record) };
    case "prediction":
      return { ...row, ...predictionColumns(record) };
    case "alert": {
      const { patientId, bedId, deviceId, part } = record.subject;
      const about = { patient: patientId, bed: bedId, device: deviceId ?? part, name: record.rule, origin: record.origin };
      const { id, nature, priority, state, acknowledgedBy } = record;
      const texts = { text_en: alertText(record, "en"), text_zh: alertText(record, "zh") };
      return { ...row, ...about, alert: id, nature, priority, state, by: acknowledgedBy, ...texts };
    }
    case "act": {
      const { deed, by, role = null } = record;
      const { en, zh } = deedText(deed);
      const about = {
        patient: "patientId" in deed ? deed.patientId : null,
        device: "deviceId" in deed ? deed.deviceId : null,
        bed: "bedId" in deed ? deed.bedId : null,
        alert: "alertId" in deed ? deed.alertId : null,
      };
      return { ...row, ...about, name: deed.kind, by, role, text_en: en, text_zh: zh };
    }
  }
}

function observationColumns(record: Extract<ExportRecord, { kind: "observation" }>): Partial<ExportRow> {
  const { content, quality, quantity, patientId, deviceId } = record;
  const { mdc, loinc, unit } = QUANTITIES[quantity];
  return {
    patient: patientId,
    device: deviceId,
    name: quantity,
    mdc,
    loinc,
    value: content.state === "present" ? content.value : null,
    unit,
    absent: content.state === "absent" ? content.why : null,
    validity: quality.validity,
    flags: quality.flags,
    origin: quality.origin,
  };
}

function predictionColumns(record: Extract<ExportRecord, { kind: "prediction" }>): Partial<ExportRow> {
  const { answer, patientId, modelId, origin } = record;
  const about = { patient: patientId, name: modelId, origin, missing: answer.missing.map(({ input }) => input) };
  switch (answer.kind) {
    case "score":
      return { ...about, value: answer.points, parts: answer.parts.map(({ input, points }) => `${input} ${points}`) };
    case "risk":
      return { ...about, value: answer.risk };
    case "no-answer":
      return { ...about, absent: answer.why };
  }
}

/** Times outside of what can be written as a date are told as numbers. */
function isoOf(atMs: number): string | number {
  const date = new Date(atMs);
  return Number.isNaN(date.getTime()) ? atMs : date.toISOString();
}

/**
 * A row as a line of CSV (RFC 4180), without its line end. A text that a spreadsheet would take for a formula, because it begins with
 * `=`, `+`, `-`, `@`, a tab or a line end, gets an apostrophe before it; numbers stay numbers.
 */
export function csvLine(cells: readonly ExportRow[Column][]): string {
  return cells.map(csvCell).join(",");
}

function csvCell(cell: ExportRow[Column]): string {
  if (cell === null) return "";
  if (typeof cell === "number" || typeof cell === "boolean") return String(cell);
  const text = typeof cell === "string" ? cell : cell.join(";");
  const safe = /^[=+\-@\t\r\n]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
