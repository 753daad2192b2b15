import type {
  AlertHistory,
  PastAlert,
  PatientEvent,
  PatientEvents,
  ScoreHistory,
  ScorePoint,
} from "../../../core/history-view.ts";
import type { QualityRow } from "../../../core/quality-view.ts";
import { fail, type Result, succeed } from "../../../core/result.ts";
import { ask, isFields, type Refusal } from "../state/gateway-door.ts";
import { type Day, dayAddress } from "./day.ts";

/** The alerts that were raised in a time, newest first. */
export async function askAlertHistory(time: Day): Promise<Result<AlertHistory, Refusal>> {
  const answer = await ask(`api/alert-history?${new URLSearchParams({ from: whole(time.fromMs), to: whole(time.toMs) })}`);
  if (!answer.ok) return answer;
  const { alerts, wholeFromMs } = answer.value;
  if (!Array.isArray(alerts) || typeof wholeFromMs !== "number") return fail(null);
  return succeed({ alerts: alerts.filter(isPastAlert), wholeFromMs });
}

/** What happened to a patient in a time, newest first. */
export async function askEvents(patient: string, time: Day): Promise<Result<PatientEvents, Refusal>> {
  const query = new URLSearchParams({ patient, from: whole(time.fromMs), to: whole(time.toMs) });
  const answer = await ask(`api/events?${query}`);
  if (!answer.ok) return answer;
  const { events, wholeFromMs } = answer.value;
  if (!Array.isArray(events) || typeof wholeFromMs !== "number") return fail(null);
  return succeed({ events: events.filter(isEvent), wholeFromMs });
}

/** A score of a patient over a time, as far as the gateway has read it. */
export async function askScores(
  of: { readonly patient: string; readonly model: string },
  time: Day,
): Promise<Result<ScoreHistory, Refusal>> {
  const answer = await ask(`api/scores?${new URLSearchParams({ ...of, from: whole(time.fromMs), to: whole(time.toMs) })}`);
  if (!answer.ok) return answer;
  const { points, stillReadingBeforeMs } = answer.value;
  if (!Array.isArray(points)) return fail(null);
  return succeed({
    modelId: of.model,
    points: points.filter(isScorePoint),
    stillReadingBeforeMs: typeof stillReadingBeforeMs === "number" ? stillReadingBeforeMs : null,
  });
}

/** How good the data of a day was. */
export async function askQuality(day: Day): Promise<Result<readonly QualityRow[], Refusal>> {
  const { day: date, zone } = dayAddress(day);
  const answer = await ask(`api/quality?${new URLSearchParams({ day: date, zone: String(zone) })}`);
  if (!answer.ok) return answer;
  const { rows } = answer.value;
  return Array.isArray(rows) ? succeed(rows.filter(isQualityRow)) : fail(null);
}

function whole(ms: number): string {
  return String(Math.round(ms));
}

function isAlert(alert: unknown): boolean {
  return isFields(alert) && typeof alert["id"] === "string" && isFields(alert["evidence"]) && isFields(alert["subject"]);
}

function isPastAlert(past: unknown): past is PastAlert {
  return isFields(past) && typeof past["alertId"] === "string" && isAlert(past["alert"]);
}

function isEvent(event: unknown): event is PatientEvent {
  if (!isFields(event) || typeof event["atMs"] !== "number") return false;
  return event["kind"] === "act" ? isFields(event["deed"]) : isAlert(event["alert"]);
}

function isScorePoint(point: unknown): point is ScorePoint {
  return isFields(point) && typeof point["atMs"] === "number" && isFields(point["parts"]) && Array.isArray(point["missing"]);
}

function isQualityRow(row: unknown): row is QualityRow {
  return isFields(row) && typeof row["deviceId"] === "string" && isFields(row["scores"]) && isFields(row["counts"]);
}
