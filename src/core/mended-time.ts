import type { ClockRecord, LifeStart } from "./record.ts";
import type { MonotonicMs, WallMs } from "./time.ts";
import { wallMs } from "./time.ts";

/** Rate at which a board's clock may drift by itself; a step that such a drift explains was a correction of it. Source: Linux allows 500 ppm. */
const DRIFT_SHARE_MAX = 500e-6;
/** A wall clock set back by less than this since something was measured: then that counts as measured now, else nobody knows when. */
const AHEAD_MS_MAX = 60_000;

/** Between two looks at the clock a time may lie so far beside the stretch it was written in. */
const SLACK_MS = 1000;

/** What a record says of its own time. `monotonicMs` where it has one: it is exact, while `atMs` follows the wall clock. */
export interface WrittenMoment {
  readonly seq: number;
  readonly atMs: number;
  readonly monotonicMs: MonotonicMs | null;
}

/** Numbers whose wall times are mended alike. */
export interface MendedStretch {
  readonly fromSeq: number;
  /** Null: to the end of the journal. */
  readonly toSeq: number | null;
  /** The least and the most that is added to their wall times; different only where a drift is spread over them. */
  readonly correctionMsMin: number;
  readonly correctionMsMax: number;
  /** When they end at the earliest, mended; null while they go on. */
  readonly endsAtMs: number | null;
  /** The mended time of something written at a wall time. */
  readonly mended: (atMs: number) => number;
}

/** Mends the wall times of a whole journal. */
export interface Timeline {
  /** The best estimate of a record's time. `known` is false where its clock was never right: then only the order can be relied on. */
  readonly mended: (moment: WrittenMoment) => { readonly atMs: WallMs; readonly known: boolean };
  /** How long ago it was, at a moment of the last life; null where that cannot be known. Never negative. */
  readonly ageMs: (moment: WrittenMoment, nowMonotonicMs: MonotonicMs) => number | null;
  /** The number to mend a time by that stands inside a later record: of the newest stretch of the clock in which that time can have been written. */
  readonly numberOf: (written: { readonly atMs: number; readonly upToSeq: number }) => number;
  /** What is to be added to the wall clock of now; 0 while it is trusted. */
  readonly presentCorrectionMs: () => number;
  /** All numbers, in order. */
  readonly stretches: () => readonly MendedStretch[];
}

/** The time from one start or clock record to the next. `runMs` counts from when the board was switched on, sleep included. */
interface Segment {
  readonly fromSeq: number;
  /** Lives of one run of the board share a chain. */
  readonly chain: number;
  readonly beginsAtRunMs: number;
  /** Monotonic to run. */
  readonly shiftMs: number;
  /** Run to wall, as the clock stood at the beginning. */
  readonly writtenMs: number;
  readonly trusted: boolean;
  /** How this segment's clock differs from the one before: what holds backwards (`set`), what crept in (`drift`, `slow`), or nothing. */
  readonly turn: "first" | "set" | "slow" | "drift" | "none";
  /** When the clock was last set, or the run began. */
  readonly anchoredAtRunMs: number;
  readonly notBeforeMs: number | null;
}

/** What crept in evenly between two moments of a run. */
interface Creep {
  readonly fromRunMs: number;
  readonly toRunMs: number;
  readonly ms: number;
}

/** A segment with what its times are mended by. */
interface MendedSegment extends Segment {
  /** Run to mended time, less what crept in. */
  readonly mendedMs: number;
  /** The drift that wall times as written followed. */
  readonly drifted: Creep | null;
  /** The drift that was corrected afterwards. */
  readonly corrected: Creep | null;
  readonly known: boolean;
}

function turnOf(before: Segment, next: { readonly movedMs: number; readonly beginsAtRunMs: number; readonly isDrift: boolean }) {
  if (next.movedMs === 0) return "none";
  if (next.isDrift) return "drift";
  const slowMs = (next.beginsAtRunMs - before.anchoredAtRunMs) * DRIFT_SHARE_MAX;
  return Math.abs(next.movedMs) <= slowMs ? "slow" : "set";
}

function anchored(before: Segment, turn: Segment["turn"], beginsAtRunMs: number): number {
  return turn === "set" || turn === "slow" ? beginsAtRunMs : before.anchoredAtRunMs;
}

function afterClockRecord(before: Segment, record: ClockRecord): Segment {
  const sleptMs = record.why === "suspend" ? record.movedMs : 0;
  const movedMs = record.movedMs - sleptMs;
  const shiftMs = before.shiftMs + sleptMs;
  const beginsAtRunMs = record.atMonotonicMs + shiftMs;
  const turn = turnOf(before, { movedMs, beginsAtRunMs, isDrift: record.why === "drift" || record.why === "trust" });
  return {
    fromSeq: record.seq,
    chain: before.chain,
    beginsAtRunMs,
    shiftMs,
    writtenMs: before.writtenMs + movedMs,
    trusted: record.trust === "trusted",
    turn,
    anchoredAtRunMs: anchored(before, turn, beginsAtRunMs),
    notBeforeMs: before.notBeforeMs,
  };
}

function afterStart(before: Segment | undefined, start: LifeStart, sameRun: boolean): Segment {
  const runMs = start.boot?.atMs ?? start.atMonotonicMs;
  const writtenMs = start.atMs - runMs;
  const begun = {
    fromSeq: start.seq,
    beginsAtRunMs: runMs,
    shiftMs: runMs - start.atMonotonicMs,
    writtenMs,
    trusted: start.trust !== "untrusted",
  };
  if (before === undefined || !sameRun) {
    const chain = (before?.chain ?? 0) + 1;
    return { ...begun, chain, turn: "first", anchoredAtRunMs: runMs, notBeforeMs: start.notBeforeMs ?? null };
  }
  // The two clocks are not read at the very same moment, and the run is told to a hundredth of a second.
  const isDrift = Math.abs(writtenMs - before.writtenMs) < SLACK_MS;
  const turn = turnOf(before, { movedMs: writtenMs - before.writtenMs, beginsAtRunMs: runMs, isDrift });
  const anchoredAtRunMs = anchored(before, turn, runMs);
  return { ...begun, chain: before.chain, turn, anchoredAtRunMs, notBeforeMs: before.notBeforeMs };
}

/** A clock record whose life's beginning is not among the records given: its own beginning. */
function orphan(record: ClockRecord): Segment {
  return {
    fromSeq: record.seq,
    chain: 0,
    beginsAtRunMs: record.atMonotonicMs,
    shiftMs: 0,
    writtenMs: record.atMs - record.atMonotonicMs,
    trusted: record.trust === "trusted",
    turn: "first",
    anchoredAtRunMs: record.atMonotonicMs,
    notBeforeMs: null,
  };
}

function segmentsOf(records: readonly (LifeStart | ClockRecord)[]): readonly Segment[] {
  const segments: Segment[] = [];
  let bootId: string | null = null;
  for (const record of [...records].sort((one, other) => one.seq - other.seq)) {
    const before = segments.at(-1);
    if (record.kind === "start") {
      const id = record.boot?.id ?? null;
      segments.push(afterStart(before, record, id !== null && id === bootId));
      bootId = id;
    } else segments.push(before === undefined ? orphan(record) : afterClockRecord(before, record));
  }
  return segments;
}

/** Two steps in a row that undo each other were a mistake and its mending, however small: neither corrects a drift. */
function withMistakes(chain: readonly Segment[]): readonly Segment[] {
  const turned = [...chain];
  const movedMs = (index: number) => (chain[index]?.writtenMs ?? 0) - (chain[index - 1]?.writtenMs ?? 0);
  let stepIndex: number | null = null;
  for (const [index, segment] of chain.entries()) {
    if (index === 0 || (segment.turn !== "set" && segment.turn !== "slow")) continue;
    const before = stepIndex === null ? undefined : turned[stepIndex];
    stepIndex = index;
    if (before === undefined) continue;
    const beforeIndex = turned.indexOf(before);
    const slackMs = SLACK_MS + (segment.beginsAtRunMs - before.beginsAtRunMs) * DRIFT_SHARE_MAX;
    if (Math.abs(movedMs(index) + movedMs(beforeIndex)) > slackMs) continue;
    turned[beforeIndex] = { ...before, turn: "set" };
    turned[index] = { ...segment, turn: "set" };
  }
  return turned;
}

/** Mends the segments of one chain: back from its last trusted one. */
function mendChain(given: readonly Segment[]): readonly MendedSegment[] {
  const chain = withMistakes(given);
  const lastTrusted = chain.findLastIndex((segment) => segment.trusted);
  const mended: MendedSegment[] = [];
  let laterMs = 0;
  let corrected: Creep | null = null;
  for (let index = lastTrusted; index >= 0; index--) {
    const segment = chain[index];
    const next = index < lastTrusted ? chain[index + 1] : undefined;
    if (segment === undefined) continue;
    const toRunMs = next?.beginsAtRunMs ?? segment.beginsAtRunMs;
    const ms = next === undefined ? 0 : next.writtenMs - segment.writtenMs;
    if (next?.turn === "set") laterMs += ms;
    if (next?.turn === "set") corrected = null;
    if (next?.turn === "slow") corrected = { fromRunMs: segment.anchoredAtRunMs, toRunMs, ms };
    const drifted = next?.turn === "drift" ? { fromRunMs: segment.beginsAtRunMs, toRunMs, ms } : null;
    mended.unshift({ ...segment, mendedMs: segment.writtenMs + laterMs, drifted, corrected, known: true });
  }
  // Where the clock was never right, or is wrong since, it is not followed: time goes on from what was known last.
  const goesOnMs = mended.at(-1)?.mendedMs ?? placedMs(chain);
  for (const segment of chain.slice(lastTrusted + 1))
    mended.push({ ...segment, mendedMs: goesOnMs, drifted: null, corrected: null, known: lastTrusted >= 0 });
  return mended;
}

/** Where a run without a trusted moment is put: where its clock says, but behind what was known when it began. */
function placedMs([first]: readonly Segment[]): number {
  if (first === undefined) return 0;
  return first.notBeforeMs === null ? first.writtenMs : Math.max(first.writtenMs, first.notBeforeMs + 1 - first.beginsAtRunMs);
}

function creptMs(creep: Creep | null, runMs: number): number {
  if (creep === null || creep.toRunMs <= creep.fromRunMs) return 0;
  return creep.ms * Math.min(1, Math.max(0, (runMs - creep.fromRunMs) / (creep.toRunMs - creep.fromRunMs)));
}

/** The mended time of something of this segment that was written at a wall time. */
function mendWritten(segment: MendedSegment, atMs: number): number {
  return atMs - segment.writtenMs + segment.mendedMs + creptMs(segment.corrected, atMs - segment.writtenMs);
}

function mendRun(segment: MendedSegment, runMs: number): number {
  return runMs + segment.mendedMs + creptMs(segment.drifted, runMs) + creptMs(segment.corrected, runMs);
}

function stretchesOf(segments: readonly MendedSegment[]): readonly MendedStretch[] {
  const stretches: MendedStretch[] = [];
  const [first] = segments;
  const before = { fromSeq: 0, correctionMsMin: 0, correctionMsMax: 0, mended: (atMs: number) => atMs };
  if (first === undefined) return [{ ...before, toSeq: null, endsAtMs: null }];
  stretches.push({ ...before, toSeq: first.fromSeq - 1, endsAtMs: mendRun(first, first.beginsAtRunMs) });
  for (const [index, segment] of segments.entries()) {
    const next = segments[index + 1];
    const last = stretches.at(-1);
    const toSeq = next === undefined ? null : next.fromSeq - 1;
    const endsAtMs = next === undefined ? null : mendRun(next, next.beginsAtRunMs);
    const correctionMs = segment.mendedMs - segment.writtenMs;
    const creeps = [segment.beginsAtRunMs, next?.beginsAtRunMs ?? segment.beginsAtRunMs, 0].map((runMs) =>
      creptMs(segment.corrected, runMs),
    );
    const correctionMsMin = correctionMs + Math.min(...creeps);
    const correctionMsMax = correctionMs + Math.max(...creeps);
    const alike =
      last !== undefined &&
      [last.correctionMsMin, last.correctionMsMax, correctionMsMin].every((each) => Math.abs(each - correctionMsMax) < 1);
    if (alike) stretches[stretches.length - 1] = { ...last, toSeq, endsAtMs };
    else
      stretches.push({
        fromSeq: segment.fromSeq,
        toSeq,
        correctionMsMin,
        correctionMsMax,
        endsAtMs,
        mended: (atMs) => mendWritten(segment, atMs),
      });
  }
  return stretches;
}

/**
 * What the clock records of a journal say of the times of all its records.
 *
 * The rule. Within one run of the board (one life, or several lives between two boots where the start records say so) time goes by the
 * monotonic clock, to which sleep is added; only the distance between it and the wall clock is in question.
 * - The clock is right where it was last trusted. What lies behind that in the same run is mended from there backwards.
 * - A step that was set by hand or by NTP shows that the clock was wrong: all before it in this run is moved by it. Two steps that undo
 *   each other therefore move only what lies between them.
 * - A step of at most 500 ppm of the time since the clock was last set corrects a drift: it is spread evenly over that time, and moves
 *   nothing before it. Recorded drift is spread in the same way over the time since the last record.
 * - After the last trusted moment the clock is not followed: time goes on from there by the monotonic clock.
 * - A run without any trusted moment is placed behind what was known when it began, and is not `known`.
 * Records keep the order of their monotonic times, because each correction reaches back without a break.
 *
 * @param records  All start and clock records, or the newest of them, in any order. What has a lower number than the first is left as written.
 */
export function createTimeline(records: readonly (LifeStart | ClockRecord)[]): Timeline {
  const chains = Map.groupBy(segmentsOf(records), (segment) => segment.chain);
  const segments = [...chains.values()].flatMap((chain) => mendChain(chain));
  const last = segments.at(-1);
  const segmentOf = (seq: number): MendedSegment | null => {
    let low = 0;
    let high = segments.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((segments[middle]?.fromSeq ?? Infinity) <= seq) low = middle + 1;
      else high = middle;
    }
    return segments[low - 1] ?? null;
  };
  const runOf = (segment: MendedSegment, moment: WrittenMoment) =>
    moment.monotonicMs === null ? moment.atMs - segment.writtenMs : moment.monotonicMs + segment.shiftMs;
  const mended: Timeline["mended"] = (moment) => {
    const segment = segmentOf(moment.seq);
    if (segment === null) return { atMs: wallMs(moment.atMs), known: true };
    const atMs = moment.monotonicMs === null ? mendWritten(segment, moment.atMs) : mendRun(segment, runOf(segment, moment));
    return { atMs: wallMs(atMs), known: segment.known };
  };
  const numberOf: Timeline["numberOf"] = ({ atMs, upToSeq }) => {
    const found = segments.findLast((segment, index) => {
      const runMs = atMs - segment.writtenMs;
      const endsAtRunMs =
        segments[index + 1]?.chain === segment.chain ? (segments[index + 1]?.beginsAtRunMs ?? Infinity) : Infinity;
      return segment.fromSeq <= upToSeq && runMs >= segment.beginsAtRunMs - SLACK_MS && runMs <= endsAtRunMs + SLACK_MS;
    });
    return found?.fromSeq ?? 0;
  };
  return {
    mended,
    numberOf,
    ageMs: (moment, nowMonotonicMs) => {
      if (last === undefined) return null;
      const nowRunMs = nowMonotonicMs + last.shiftMs;
      const segment = segmentOf(moment.seq);
      if (segment?.chain === last.chain) return Math.max(0, nowRunMs - runOf(segment, moment));
      const at = mended(moment);
      if (!at.known || !last.known) return null;
      const ageMs = mendRun(last, nowRunMs) - at.atMs;
      return ageMs < -AHEAD_MS_MAX ? null : Math.max(0, ageMs);
    },
    presentCorrectionMs: () => (last === undefined ? 0 : last.mendedMs - last.writtenMs),
    stretches: () => stretchesOf(segments),
  };
}
