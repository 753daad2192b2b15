import { LIMITS } from "../core/limits.ts";
import type { Timeline } from "../core/mended-time.ts";
import type { TrendPoint } from "../core/ports.ts";
import type { Clock } from "../core/time.ts";
import type { TrendQuery } from "../dashboard/server/source.ts";

/** What is asked for must have ended so long ago: what a device keeps comes later, but mostly within this. */
const SETTLED_MS = 10 * 60_000;
/** An answer is given again for so long; then what came late belongs to it. */
const KEPT_MS = 30 * 60_000;
/** Shorter times are answered quickly anyhow. */
const SPAN_MS_MIN = 30 * 60_000;

/** Keeps the answers of trends of times that are over: a week on a page is asked for again with each look. */
export function createTrendCache(parts: {
  readonly clock: Clock;
  readonly timeline: () => Timeline;
  readonly ask: (query: TrendQuery) => Promise<readonly TrendPoint[]>;
}): (query: TrendQuery, formerNumbers: number) => Promise<readonly TrendPoint[]> {
  const { clock, ask } = parts;
  const kept = new Map<string, { readonly answer: Promise<readonly TrendPoint[]>; readonly atMs: number }>();
  let askedBy = parts.timeline();
  return (query, formerNumbers) => {
    if (query.toMs > clock.wall() - SETTLED_MS || query.toMs - query.fromMs < SPAN_MS_MIN) return ask(query);
    // A clock that was set moves all times.
    if (askedBy !== parts.timeline()) kept.clear();
    askedBy = parts.timeline();
    const { patientId, quantity, fromMs, toMs, pointsMax } = query;
    const key = [patientId, quantity, fromMs, toMs, pointsMax, formerNumbers].join(" ");
    const nowMs = clock.monotonic();
    const before = kept.get(key);
    if (before !== undefined && nowMs - before.atMs < KEPT_MS) return before.answer;
    const answer = ask(query);
    kept.delete(key);
    kept.set(key, { answer, atMs: nowMs });
    answer.catch(() => kept.delete(key));
    const [oldest] = kept.size > LIMITS.trendAnswersKeptMax.value ? kept.keys() : [];
    if (oldest !== undefined) kept.delete(oldest);
    return answer;
  };
}
