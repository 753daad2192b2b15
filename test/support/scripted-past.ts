import type { PastAlert, PatientEvent, ScoreHistory } from "../../src/core/history-view.ts";
import type { QualityRow } from "../../src/core/quality-view.ts";
import type { HistorySource, QualitySource, TimeAsked } from "../../src/dashboard/server/source.ts";

/** What was, as a test sets it. */
export interface ScriptedPast {
  readonly history: HistorySource;
  readonly quality: QualitySource;
  readonly alerts: PastAlert[];
  readonly events: PatientEvent[];
  readonly scores: ScoreHistory["points"][number][];
  /** Rows of a day, by the time its answer is asked for from. */
  readonly setQuality: (rowsOf: (window: TimeAsked) => readonly QualityRow[]) => void;
  /** What was asked, in order. */
  readonly asked: readonly { readonly of: "alerts" | "events" | "scores" | "quality"; readonly window: TimeAsked }[];
  /** So many alerts are told at once. */
  readonly setAlertsAtOnce: (count: number) => void;
  /** The next question fails, once; where a time is given, the next that ends at it or before. */
  readonly failNext: (endingAtMs?: number) => void;
}

/** A past of nothing. */
export function createScriptedPast(): ScriptedPast {
  const alerts: PastAlert[] = [];
  const events: PatientEvent[] = [];
  const scores: ScoreHistory["points"][number][] = [];
  const asked: { readonly of: "alerts" | "events" | "scores" | "quality"; readonly window: TimeAsked }[] = [];
  let rowsOf: (window: TimeAsked) => readonly QualityRow[] = () => [];
  let atOnce = 1000;
  let failsUpToMs: number | null = null;
  const isIn = ({ fromMs, toMs }: TimeAsked, atMs: number) => atMs >= fromMs && atMs < toMs;
  const note = (of: (typeof asked)[number]["of"], { fromMs, toMs }: TimeAsked) => {
    asked.push({ of, window: { fromMs, toMs } });
    if (failsUpToMs === null || toMs > failsUpToMs) return;
    failsUpToMs = null;
    throw new Error("the journal cannot be read");
  };
  return {
    history: {
      alerts: async (window) => {
        note("alerts", window);
        const found = alerts
          .filter(({ alert }) => isIn(window, alert.raisedAtMs))
          .sort((one, other) => other.alert.raisedAtMs - one.alert.raisedAtMs);
        const told = found.slice(0, atOnce);
        return { alerts: told, wholeFromMs: told.length < found.length ? (told.at(-1)?.alert.raisedAtMs ?? 0) : window.fromMs };
      },
      events: async (query) => {
        note("events", query);
        const found = events.filter(({ atMs }) => isIn(query, atMs)).sort((one, other) => other.atMs - one.atMs);
        return {
          events: query.role === "family" ? found.filter(({ kind }) => kind !== "act") : found,
          wholeFromMs: query.fromMs,
        };
      },
      scores: (query) => {
        note("scores", query);
        const points = scores.filter(({ atMs }) => isIn(query, atMs));
        return { modelId: query.modelId, points, stillReadingBeforeMs: null };
      },
    },
    quality: {
      between: async (window) => {
        note("quality", window);
        return { rows: rowsOf(window) };
      },
    },
    alerts,
    events,
    scores,
    setQuality: (next) => {
      rowsOf = next;
    },
    asked,
    setAlertsAtOnce: (count) => {
      atOnce = count;
    },
    failNext: (endingAtMs = Number.POSITIVE_INFINITY) => {
      failsUpToMs = endingAtMs;
    },
  };
}
