import type { ScoreHistory, ScorePoint } from "../core/history-view.ts";
import { type PatientId, type Seq, seq } from "../core/ids.ts";
import { LIMITS } from "../core/limits.ts";
import type { Timeline } from "../core/mended-time.ts";
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

/** The minutes of all patients and models, each list in the order of its numbers. */
class ScoreMinutes {
  readonly #cells = new Map<string, Cell[]>();
  readonly #said = new Map<string, Said>();

  take(prediction: Prediction): void {
    const { answer, atMs } = prediction;
    if (answer.kind === "risk") return;
    const list = this.#listOf(keyOf(prediction.patientId, prediction.modelId));
    const points = answer.kind === "score" ? answer.points : null;
    const last = list.at(-1);
    if (last === undefined || atMs < last.atMs || atMs >= last.atMs + MINUTE_MS) {
      list.push({ seq: prediction.seq, atMs, low: points, high: points, said: this.#saidOf(prediction) });
      if (list.length > LIMITS.scoreMinutesMax.value) list.shift();
      return;
    }
    if (points === null) return;
    last.low = Math.min(last.low ?? points, points);
    if (last.high !== null && points < last.high) return;
    last.high = points;
    last.said = this.#saidOf(prediction);
  }

  /** Puts what is older before what is known. */
  putBefore(older: ScoreMinutes): void {
    for (const [key, list] of older.#cells)
      this.#cells.set(key, [...list, ...(this.#cells.get(key) ?? [])].slice(-LIMITS.scoreMinutesMax.value));
  }

  of(patientId: PatientId, modelId: string): readonly Cell[] {
    return this.#cells.get(keyOf(patientId, modelId)) ?? [];
  }

  #listOf(key: string): Cell[] {
    const known = this.#cells.get(key);
    if (known !== undefined) return known;
    const list: Cell[] = [];
    this.#cells.set(key, list);
    return list;
  }

  #saidOf({ answer }: Prediction): Said {
    const scored = answer.kind === "score" ? answer.parts : [];
    const said = {
      parts: Object.fromEntries(scored.map(({ input, points }) => [input, points])),
      missing: answer.missing.map(({ input }) => input),
    };
    const key = JSON.stringify(said);
    const before = this.#said.get(key);
    if (before !== undefined) return before;
    if (this.#said.size >= LIMITS.scoreTextsMax.value) this.#said.clear();
    this.#said.set(key, said);
    return said;
  }
}

/** What the keeper reads from. */
export interface ScoreKeeperParts extends HistoryParts {
  readonly clock: Pick<Clock, "sleep">;
  /** Mended. */
  readonly nowMs: () => number;
}

/** Makes the keeper. */
export function createScoreKeeper(parts: ScoreKeeperParts): ScoreKeeper {
  const minutes = new ScoreMinutes();
  const gone = new AbortController();
  /** Everything from this number on is known. */
  let knownFromSeq: number | null = null;
  /** Null until somebody asks. */
  let knownFromMs: number | null = null;
  let wantedFromMs = Number.POSITIVE_INFINITY;
  let reading = false;

  const readBack = async () => {
    if (reading) return;
    reading = true;
    try {
      while (!gone.signal.aborted && knownFromSeq !== null && knownFromMs !== null && knownFromMs > wantedFromMs) {
        const hour = await readHour(parts, { toMs: knownFromMs, beforeSeq: knownFromSeq, stop: gone.signal });
        minutes.putBefore(hour.minutes);
        knownFromMs = hour.fromSeq > 1 ? knownFromMs - HOUR_MS : Number.NEGATIVE_INFINITY;
        knownFromSeq = hour.fromSeq;
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
      minutes.take(prediction);
    },
    query: (asked) => {
      knownFromSeq ??= parts.journal.committedSeq() + 1;
      knownFromMs ??= parts.nowMs();
      wantedFromMs = Math.min(wantedFromMs, asked.fromMs);
      if (knownFromMs > wantedFromMs) void readBack();
      const stillReadingBeforeMs = knownFromMs > asked.fromMs ? Math.min(knownFromMs, asked.toMs) : null;
      return { modelId: asked.modelId, points: pointsOf(minutes, asked, parts.timeline()), stillReadingBeforeMs };
    },
    stop: () => gone.abort(),
  };
}

/** The answers of one hour, of those with a lower number than what is known. @returns  Also from which number on they are whole. */
async function readHour(
  parts: ScoreKeeperParts,
  hour: { readonly toMs: number; readonly beforeSeq: number; readonly stop: AbortSignal },
): Promise<{ readonly minutes: ScoreMinutes; readonly fromSeq: number }> {
  const minutes = new ScoreMinutes();
  const found = hour.beforeSeq <= 1 ? 1 : await firstSeqAtOrAfter(parts, { atMs: hour.toMs - HOUR_MS });
  const fromSeq = Math.min(found, hour.beforeSeq);
  for (let afterSeq = fromSeq - 1; afterSeq < hour.beforeSeq - 1; ) {
    const range = { afterSeq: seq(afterSeq), upToSeq: seq(hour.beforeSeq - 1), limit: LIMITS.journalReadRecordsMax.value };
    const page = await parts.journal.read({ ...range, kinds: ["prediction"] });
    for (const record of page) if (record.kind === "prediction") minutes.take(record);
    const last = page.at(-1);
    if (last === undefined) break;
    afterSeq = last.seq;
    await parts.clock.sleep(LIMITS.scoreReadPauseMs.value, hour.stop);
  }
  return { minutes, fromSeq };
}

/** What is known of a patient's score in a time, of the stay under former numbers too. */
function pointsOf(minutes: ScoreMinutes, asked: ScoreQuery, mending: Timeline): readonly ScorePoint[] {
  const { patientId, formerNumbers, modelId, fromMs, toMs } = asked;
  const former = [...formerNumbers].flatMap(([id, { afterSeq, upToSeq }]) => {
    return minutes.of(id, modelId).filter((cell) => cell.seq > afterSeq && cell.seq <= upToSeq);
  });
  return [...former, ...minutes.of(patientId, modelId)]
    .map(({ seq: number, atMs, low, high, said }): ScorePoint => {
      return { atMs: mending.mended({ seq: number, atMs, monotonicMs: null }).atMs, low, high, ...said };
    })
    .filter(({ atMs }) => atMs >= fromMs && atMs < toMs)
    .sort((one, other) => one.atMs - other.atMs);
}

function keyOf(patientId: PatientId, modelId: string): string {
  return `${modelId} ${patientId}`;
}
