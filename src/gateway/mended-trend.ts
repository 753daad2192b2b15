import { seq } from "../core/ids.ts";
import { LIMITS } from "../core/limits.ts";
import type { MendedStretch, Timeline } from "../core/mended-time.ts";
import type { Journal, TrendPoint } from "../core/ports.ts";
import { wallMs } from "../core/time.ts";
import type { PatientState } from "./plant.ts";

type TrendQuery = Parameters<Journal["trend"]>[0];

/**
 * A patient's trend, of the stay under former numbers too.
 *
 * @param query.formerNumbers  The numbers the patient had before, each with the records that are theirs.
 */
export async function trendOfPatient(
  journal: Journal,
  timeline: Timeline,
  query: TrendQuery & { readonly formerNumbers: PatientState["formerNumbers"] },
): Promise<readonly TrendPoint[]> {
  const { formerNumbers, ...own } = query;
  const former = [...formerNumbers].map(([patientId, { afterSeq, upToSeq }]) => {
    return mendedTrend(journal, timeline, { ...own, patientId, fromSeq: seq(afterSeq + 1), toSeq: upToSeq });
  });
  const found = await Promise.all([mendedTrend(journal, timeline, own), ...former]);
  if (found.length === 1) return found.flat();
  const points = found.flat().sort((one, other) => one.atMs - other.atMs);
  return thinned(points, own);
}

/**
 * A trend in mended times, told by the wall clock as it stands now (so that it fits the page's own axis while the clock is wrong).
 * Points that were written under another clock are asked for where they were written, each stretch of the clock by its numbers, so that
 * two points with the same stamp of different clocks stay apart.
 */
export async function mendedTrend(journal: Journal, timeline: Timeline, query: TrendQuery): Promise<readonly TrendPoint[]> {
  const presentMs = timeline.presentCorrectionMs();
  const fromMs = query.fromMs + presentMs;
  const toMs = query.toMs + presentMs;
  const stretches = boundedStretches(timeline.stretches(), fromMs);
  const found = await Promise.all(stretches.map((stretch) => trendOf(journal, query, { stretch, fromMs, toMs })));
  const points = found
    .flat()
    .filter(({ atMs }) => atMs >= fromMs && atMs <= toMs)
    .map((point) => ({ ...point, atMs: wallMs(point.atMs - presentMs) }));
  if (stretches.length === 1) return points;
  return thinned(
    points.sort((one, other) => one.atMs - other.atMs),
    query,
  );
}

/** What ended before the asked time cannot hold anything of it: nothing is measured after it came in. */
function boundedStretches(stretches: readonly MendedStretch[], fromMs: number): readonly MendedStretch[] {
  const near = stretches.filter(({ endsAtMs }) => endsAtMs === null || endsAtMs >= fromMs);
  const [oldest, ...kept] = near.slice(-LIMITS.clockStretchesMax.value);
  if (oldest === undefined || near.length <= LIMITS.clockStretchesMax.value) return near;
  const asWritten = { ...oldest, fromSeq: 0, correctionMsMin: 0, correctionMsMax: 0, mended: (atMs: number) => atMs };
  return [asWritten, ...kept];
}

async function trendOf(
  journal: Journal,
  query: TrendQuery,
  wanted: { readonly stretch: MendedStretch; readonly fromMs: number; readonly toMs: number },
): Promise<readonly TrendPoint[]> {
  const { stretch, fromMs, toMs } = wanted;
  const fromSeq = Math.max(stretch.fromSeq, query.fromSeq ?? 0);
  const toSeq = Math.min(stretch.toSeq ?? Number.POSITIVE_INFINITY, query.toSeq ?? Number.POSITIVE_INFINITY);
  if (toSeq < fromSeq) return [];
  const points = await journal.trend({
    ...query,
    fromMs: wallMs(fromMs - stretch.correctionMsMax),
    toMs: wallMs(toMs - stretch.correctionMsMin),
    ...(fromSeq === 0 ? {} : { fromSeq: seq(fromSeq) }),
    ...(toSeq === Number.POSITIVE_INFINITY ? {} : { toSeq: seq(toSeq) }),
  });
  return points.map((point) => ({ ...point, atMs: wallMs(stretch.mended(point.atMs)) }));
}

/** At most so many points: each interval's lowest and highest, and one absence where there is nothing else. */
function thinned(points: readonly TrendPoint[], query: TrendQuery): readonly TrendPoint[] {
  if (points.length <= query.pointsMax) return points;
  const intervals = Math.max(1, Math.floor(query.pointsMax / 2));
  const widthMs = (query.toMs - query.fromMs) / intervals;
  const placeOf = ({ atMs }: TrendPoint) => Math.min(intervals - 1, Math.floor((atMs - query.fromMs) / widthMs));
  return [...Map.groupBy(points, placeOf).values()].flatMap((interval) => {
    const present = interval.filter(({ value }) => value !== null).sort((one, other) => (one.value ?? 0) - (other.value ?? 0));
    const edges = new Set([present[0] ?? interval[0], present.at(-1)].filter((point) => point !== undefined));
    return [...edges].sort((one, other) => one.atMs - other.atMs);
  });
}
