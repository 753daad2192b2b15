import type { ScoreHistory, ScorePoint } from "../core/history-view.ts";
import { type PatientId, type Seq, seq } from "../core/ids.ts";
import { LIMITS } from "../core/limits.ts";
import type { Prediction } from "../core/prediction.ts";
import type { Clock } from "../core/time.ts";
import { firstSeqAtOrAfter, type HistoryParts } from "./journal-history.ts";
import type { PatientState } from "./plant.ts";

const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;

/**
 * What the scores of all patients said, a minute at a time. What comes while the gateway runs is kept as it comes; what was before is read
 * from the journal, an hour at a time and newest first, once somebody looks that far back: predictions of all patients lie among all
 * observations there, and a chart must not wait for that.
 */
export interface ScoreKeeper {
  /** Takes an answer as it is recorded. */
  readonly note: (prediction: Prediction) => void;
  /** What is known now, in the journal's mended times; begins to read what is older. */
  readonly query: (asked: ScoreQuery) => ScoreHistory;
  readonly stop: () => void;
}

/** Whose score is asked for, and over which mended time. */
export interface ScoreQuery {
  readonly patientId: PatientId;
  readonly formerNumbers: PatientState["formerNumbers"];
  readonly modelId: string;
  readonly fromMs: number;
  readonly toMs: number;
}

/** A minute of one patient and model. Parts and missing inputs repeat and are kept once. */
interface Cell {
  readonly seq: Seq;
  /** As it was written. */
  readonly atMs: number;
  low: number | null;
  high: number | null;
  said: Said;
}

type Said = Pick<ScorePoint, "parts" | "missing">;

/** Makes the keeper. */
export function createScoreKeeper(
  parts: HistoryParts & {
    readonly clock: Pick<Clock, "sleep">;
    /** Mended. */
    readonly nowMs: () => number;
  },
): ScoreKeeper {
  const cells = new Map<string, Cell[]>();
  const known = new Map<string, Said>();
  const gone = new AbortController();
  /** Everything from this number on is in the cells. */
  let knownFromSeq: number | null = null;
  /** Null until somebody asks. */
  let knownFromMs: number | null = null;
  let wantedFromMs = Number.POSITIVE_INFINITY;
  let reading = false;

  const saidOf = (prediction: Prediction): Said => {
    const { answer } = prediction;
    const scored = answer.kind === "score" ? answer.parts : [];
    const said = {
      parts: Object.fromEntries(scored.map(({ input, points }) => [input, points])),
      missing: answer.missing.map(({ input }) => input),
    };
    const key = JSON.stringify(said);
    const before = known.get(key);
    if (before !== undefined) return before;
    if (known.size >= LIMITS.scoreTextsMax.value) known.clear();
    known.set(key, said);
    return said;
  };

  const take = (into: Map<string, Cell[]>, prediction: Prediction) => {
    const { answer, atMs } = prediction;
    if (answer.kind === "risk") return;
    const key = keyOf(prediction.patientId, prediction.modelId);
    const list = into.get(key) ?? [];
    if (list.length === 0) into.set(key, list);
    const points = answer.kind === "score" ? answer.points : null;
    const last = list.at(-1);
    if (last === undefined || atMs < last.atMs || atMs >= last.atMs + MINUTE_MS) {
      list.push({ seq: prediction.seq, atMs, low: points, high: points, said: saidOf(prediction) });
      if (list.length > LIMITS.scoreMinutesMax.value) list.shift();
      return;
    }
    if (points === null) return;
    last.low = Math.min(last.low ?? points, points);
    if (last.high !== null && points < last.high) return;
    last.high = points;
    last.said = saidOf(prediction);
  };

  /** One hour before what is known. @returns  False where there is nothing older. */
  const readHour = async (toMs: number): Promise<boolean> => {
    if (knownFromSeq === null || knownFromSeq <= 1) return false;
    const fromMs = toMs - HOUR_MS;
    const fromSeq = await firstSeqAtOrAfter(parts, { atMs: fromMs });
    const found = new Map<string, Cell[]>();
    for (let afterSeq = Math.min(fromSeq, knownFromSeq) - 1; afterSeq < knownFromSeq - 1; ) {
      const range = { afterSeq: seq(afterSeq), upToSeq: seq(knownFromSeq - 1), limit: LIMITS.journalReadRecordsMax.value };
      const page = await parts.journal.read({ ...range, kinds: ["prediction"] });
      for (const record of page) if (record.kind === "prediction") take(found, record);
      const last = page.at(-1);
      if (last === undefined) break;
      afterSeq = last.seq;
      await parts.clock.sleep(LIMITS.scoreReadPauseMs.value, gone.signal);
    }
    for (const [key, list] of found) cells.set(key, [...list, ...(cells.get(key) ?? [])].slice(-LIMITS.scoreMinutesMax.value));
    knownFromSeq = Math.min(fromSeq, knownFromSeq);
    knownFromMs = fromMs;
    return fromSeq > 1;
  };

  const readBack = async () => {
    if (reading) return;
    reading = true;
    try {
      while (!gone.signal.aborted && knownFromMs !== null && knownFromMs > wantedFromMs) {
        if (!(await readHour(knownFromMs))) knownFromMs = Number.NEGATIVE_INFINITY;
        await parts.clock.sleep(LIMITS.scoreReadPauseMs.value, gone.signal);
      }
    } catch {
      // A journal that cannot be read now is asked again by the next look.
    } finally {
      reading = false;
    }
  };

  return {
    note: (prediction) => {
      knownFromSeq ??= prediction.seq;
      take(cells, prediction);
    },
    query: ({ patientId, formerNumbers, modelId, fromMs, toMs }) => {
      knownFromSeq ??= parts.journal.committedSeq() + 1;
      knownFromMs ??= parts.nowMs();
      wantedFromMs = Math.min(wantedFromMs, fromMs);
      if (knownFromMs > wantedFromMs) void readBack();
      const mending = parts.timeline();
      const own = cells.get(keyOf(patientId, modelId)) ?? [];
      const former = [...formerNumbers].flatMap(([id, { afterSeq, upToSeq }]) => {
        return (cells.get(keyOf(id, modelId)) ?? []).filter((cell) => cell.seq > afterSeq && cell.seq <= upToSeq);
      });
      const points = [...former, ...own]
        .map(({ seq: number, atMs, low, high, said }): ScorePoint => {
          return { atMs: mending.mended({ seq: number, atMs, monotonicMs: null }).atMs, low, high, ...said };
        })
        .filter(({ atMs }) => atMs >= fromMs && atMs < toMs)
        .sort((one, other) => one.atMs - other.atMs);
      return { modelId, points, stillReadingBeforeMs: knownFromMs > fromMs ? Math.min(knownFromMs, toMs) : null };
    },
    stop: () => gone.abort(),
  };
}

function keyOf(patientId: PatientId, modelId: string): string {
  return `${modelId} ${patientId}`;
}
