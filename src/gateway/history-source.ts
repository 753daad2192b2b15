import type { HistorySource, QualitySource } from "../dashboard/server/source.ts";
import type { HistoryKnown, HistoryParts, HistoryWindow } from "./journal-history.ts";
import { alertsBetween, eventsBetween, mendedWindow } from "./journal-history.ts";
import type { QualityBook } from "./quality-book.ts";
import type { ScoreKeeper } from "./score-history.ts";

/** What the pages ask of the past, answered in times of the clock as it stands now. */
export function historySource(
  parts: HistoryParts & {
    readonly known: Omit<HistoryKnown, "shownMs">;
    readonly scores: ScoreKeeper;
  },
): HistorySource {
  const { timeline } = parts;
  const shownMs = (mendedMs: number) => mendedMs - timeline().presentCorrectionMs();
  const known = { ...parts.known, shownMs };
  const mended = <Window extends HistoryWindow>(window: Window) => ({ ...window, ...mendedWindow(timeline(), window) });
  return {
    alerts: (window) => alertsBetween(parts, known, mended(window)),
    events: (query) => eventsBetween(parts, known, mended(query)),
    scores: (query) => {
      const formerNumbers = known.plant().patients.get(query.patientId)?.formerNumbers ?? new Map();
      const found = parts.scores.query({ ...mended(query), formerNumbers });
      const { stillReadingBeforeMs } = found;
      return {
        ...found,
        points: found.points.map((point) => ({ ...point, atMs: shownMs(point.atMs) })),
        stillReadingBeforeMs: stillReadingBeforeMs === null ? null : shownMs(stillReadingBeforeMs),
      };
    },
  };
}

/** The data quality of a time of the clock as it stands now. */
export function qualitySource({ timeline }: Pick<HistoryParts, "timeline">, book: QualityBook): QualitySource {
  return { between: (window) => book.between(mendedWindow(timeline(), window)) };
}
