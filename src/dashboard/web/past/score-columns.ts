import type { ScorePoint } from "../../../core/history-view.ts";

/** One column of the chart: the most points said in its time, and the fewest. */
export interface ScoreColumn extends ScorePoint {
  /** True where an input was missing when it was highest: the points are a lower bound. */
  readonly partial: boolean;
}

/** Puts a score's points into at most so many columns of equal width; each shows what was said when the score was highest. */
export function scoreColumns(
  points: readonly ScorePoint[],
  range: { readonly fromMs: number; readonly toMs: number; readonly columnsMax: number },
): readonly ScoreColumn[] {
  const widthMs = (range.toMs - range.fromMs) / range.columnsMax;
  const columns = new Map<number, ScoreColumn>();
  for (const point of points) {
    const place = Math.floor((point.atMs - range.fromMs) / widthMs);
    if (place < 0 || place >= range.columnsMax) continue;
    const before = columns.get(place);
    const higher = before === undefined || (point.high ?? -1) >= (before.high ?? -1) ? point : before;
    const lows = [before?.low, point.low].filter((low) => low !== null && low !== undefined);
    columns.set(place, {
      ...higher,
      low: lows.length === 0 ? null : Math.min(...lows),
      partial: higher.missing.length > 0,
    });
  }
  return [...columns].sort(([one], [other]) => one - other).map(([, column]) => column);
}
