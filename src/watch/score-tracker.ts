import { PRIORITY_RANK, type Priority } from "../core/alert.ts";
import type { Answer } from "../core/prediction.ts";
import { rankOf, responseOf } from "./score.ts";
import type { ScoreModel } from "./score-model.ts";

type ScoreAnswer = Extract<Answer, { readonly kind: "score" }>;

/** What one model has said of one patient, and what of it was announced. Times are monotonic. */
export interface ScoreTracker {
  /** Rank of what is announced: 0 nothing, else `PRIORITY_RANK`. */
  announcedRank: number;
  /** Most points announced since the condition was raised. */
  announcedPoints: number;
  /** Since when the answer asks for at least this rank, by rank (index 0 is not used). */
  readonly atLeastSinceMs: (number | null)[];
  /** Since when the answer asks for less than this rank, by rank. */
  readonly belowSinceMs: (number | null)[];
  /** The fewest points over what was announced, and since when it is over. */
  worse: { points: number; readonly sinceMs: number } | null;
  /** The last points each input earned; they keep an alert from ending because the input went missing. */
  readonly lastPoints: Map<string, number>;
  partialSinceMs: number | null;
  told: Answer | null;
  toldAtMs: number;
  /** The wall clock less the monotonic one when it was told: its inputs' wall times belong to that. */
  toldApartMs: number;
}

/** A tracker that has heard nothing. */
export function createScoreTracker(): ScoreTracker {
  return {
    announcedRank: 0,
    announcedPoints: 0,
    atLeastSinceMs: [null, null, null, null],
    belowSinceMs: [null, null, null, null],
    worse: null,
    lastPoints: new Map(),
    partialSinceMs: null,
    told: null,
    toldAtMs: 0,
    toldApartMs: 0,
  };
}

/** The priority of a rank, or null for 0. */
export function priorityOf(rank: number): Priority | null {
  if (rank === PRIORITY_RANK.high) return "high";
  if (rank === PRIORITY_RANK.medium) return "medium";
  return rank === PRIORITY_RANK.low ? "low" : null;
}

function reachedRank(model: ScoreModel, points: readonly number[]): number {
  const sum = points.reduce((total, each) => total + each, 0);
  return rankOf(responseOf(model, { points: sum, partPointsMax: Math.max(0, ...points) }));
}

/**
 * What the answer asks for now. Raising goes by the lower bound alone. Holding also counts the last known points of inputs that
 * are missing: an alert never ends because a probe fell off or an entry expired.
 */
function candidateRank(tracker: ScoreTracker, model: ScoreModel, answer: Answer): number {
  const parts = answer.kind === "score" ? answer.parts : [];
  for (const { input, points } of parts) tracker.lastPoints.set(input, points);
  const certain = reachedRank(
    model,
    parts.map(({ points }) => points),
  );
  const remembered = answer.missing.map(({ input }) => tracker.lastPoints.get(input) ?? 0);
  const held = reachedRank(model, [...parts.map(({ points }) => points), ...remembered]);
  return Math.max(certain, Math.min(tracker.announcedRank, held));
}

function settleRank(tracker: ScoreTracker, rank: number, nowMs: number, confirmMs: number): void {
  for (let each = 1; each <= PRIORITY_RANK.high; each++) {
    tracker.atLeastSinceMs[each] = rank >= each ? (tracker.atLeastSinceMs[each] ?? nowMs) : null;
    tracker.belowSinceMs[each] = rank < each ? (tracker.belowSinceMs[each] ?? nowMs) : null;
  }
  const lasted = (sinceMs: number | null | undefined) =>
    sinceMs !== null && sinceMs !== undefined && nowMs - sinceMs >= confirmMs;
  while (tracker.announcedRank > 0 && lasted(tracker.belowSinceMs[tracker.announcedRank])) tracker.announcedRank--;
  for (let each = tracker.announcedRank + 1; each <= PRIORITY_RANK.high; each++) {
    if (lasted(tracker.atLeastSinceMs[each])) tracker.announcedRank = each;
  }
}

/** Whether more points than were announced have lasted long enough to be told. */
function settlePoints(tracker: ScoreTracker, answer: Answer, nowMs: number, confirmMs: number): boolean {
  const points = answer.kind === "score" ? answer.points : 0;
  if (points <= tracker.announcedPoints) {
    tracker.worse = null;
    return false;
  }
  tracker.worse = { points: Math.min(points, tracker.worse?.points ?? points), sinceMs: tracker.worse?.sinceMs ?? nowMs };
  if (nowMs - tracker.worse.sinceMs < confirmMs) return false;
  tracker.announcedPoints = tracker.worse.points;
  tracker.worse = null;
  return true;
}

/**
 * Takes the answer of this moment. A change must last `confirmSeconds` before it is announced, in either direction; what flickers
 * between two alerting bands confirms the lower of them.
 *
 * @returns  Whether the condition worsened within its priority, so that its evidence must be told again.
 */
export function stepScore(
  tracker: ScoreTracker,
  given: { readonly model: ScoreModel; readonly answer: Answer; readonly nowMs: number; readonly confirmSeconds: number },
): { readonly worsened: boolean } {
  const { model, answer, nowMs } = given;
  const confirmMs = given.confirmSeconds * 1000;
  const rankBefore = tracker.announcedRank;
  settleRank(tracker, candidateRank(tracker, model, answer), nowMs, confirmMs);
  if (tracker.announcedRank === 0) {
    tracker.announcedPoints = 0;
    tracker.worse = null;
    return { worsened: false };
  }
  if (rankBefore === 0) {
    tracker.announcedPoints = answer.kind === "score" ? answer.points : 0;
    return { worsened: false };
  }
  return { worsened: settlePoints(tracker, answer, nowMs, confirmMs) };
}

/** Whether two answers differ in what a reader would act on; values that move within a band are not a change. */
export function answersDiffer(before: Answer | null, after: Answer): boolean {
  if (before === null || before.kind !== after.kind) return true;
  const missing = (answer: Answer) => answer.missing.map(({ input, why }) => `${input} ${why}`).join();
  if (missing(before) !== missing(after)) return true;
  if (before.kind === "no-answer" && after.kind === "no-answer") return before.why !== after.why;
  if (before.kind !== "score" || after.kind !== "score") return true;
  const parts = (answer: ScoreAnswer) => answer.parts.map(({ input, points }) => `${input} ${points}`).join();
  return before.points !== after.points || before.response !== after.response || parts(before) !== parts(after);
}
