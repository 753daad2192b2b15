import type { Evidence } from "../core/alert.ts";
import type { PatientId, Seq } from "../core/ids.ts";
import type { Origin } from "../core/observation.ts";
import type { Answer, Prediction } from "../core/prediction.ts";
import { QUANTITIES } from "../core/quantities.ts";
import type { WallMs } from "../core/time.ts";
import { medianAfter } from "./sample-window.ts";
import { evaluateScore, type InputState } from "./score.ts";
import type { ScoreInput, ScoreModel, StreamRules } from "./score-model.ts";
import { answersDiffer, priorityOf, type ScoreTracker, stepScore } from "./score-tracker.ts";
import { type PatientState, patientSubject, scoreTrackerOf, technicalOrigin, type WatchState, wallOf } from "./watch-state.ts";

/** Key of the condition that a score reached an alerting band. */
function scoreKey(patientId: PatientId, modelId: string): string {
  return `score.${modelId}/${patientId}`;
}

/** Key of the condition that a score has lacked an input for too long. */
function partialKey(patientId: PatientId, modelId: string): string {
  return `score-partial.${modelId}/${patientId}`;
}

/** How a model is used on streams: its own rules, unless the settings say otherwise. */
function streamRules(state: WatchState, model: ScoreModel): StreamRules {
  return { ...model.stream, ...state.options.stream };
}

/** An answer with what it rests on. */
interface Evaluation {
  readonly answer: Answer;
  readonly origin: Origin;
  readonly basedOn: readonly Seq[];
  readonly observeSecondsMax: number;
}

/** An input's state, and of a known one what it rests on and how old it is. */
interface Found {
  readonly state: InputState;
  readonly seq: Seq | null;
  readonly origin: Origin;
  /** Age of a value that only a person or a cuff brings; 0 for continuous ones. */
  readonly slowAgeMs: number;
}

const ORIGIN_DISTRUST: Readonly<Record<Origin, number>> = { measured: 0, replayed: 1, simulated: 2, test: 3 };

function missing(why: "never-seen" | "stale" | "absent" | "not-entered" | "expired", sinceMs: WallMs | null): Found {
  return { state: { kind: "missing", why, sinceMs }, seq: null, origin: "measured", slowAgeMs: 0 };
}

function findEntered(
  state: WatchState,
  patient: PatientState,
  given: { readonly input: Extract<ScoreInput, { kind: "entered" }>; readonly nowMs: number; readonly slowSecondsMax: number },
): Found {
  const entry = patient.entries.get(given.input.entry);
  if (entry === undefined || entry.enteredMs > given.nowMs) return missing("not-entered", null);
  const ageMs = given.nowMs - entry.enteredMs;
  const ageSecondsMax = Math.min(given.input.ageSecondsMax, state.options.ageSecondsMax.episodic, given.slowSecondsMax);
  // By the clock as it stands now: it may have been set since.
  const atMs = wallOf(state, entry.enteredMs);
  if (ageMs > ageSecondsMax * 1000) return missing("expired", atMs);
  return { state: { kind: "known", value: entry.value, atMs }, seq: entry.seq, origin: "measured", slowAgeMs: ageMs };
}

/** The first quantity, in the model's order of preference, with a value that is young enough. */
function findMeasured(
  state: WatchState,
  patient: PatientState,
  given: {
    readonly input: Extract<ScoreInput, { kind: "measured" }>;
    readonly nowMs: number;
    readonly slowSecondsMax: number;
    readonly medianMs: number;
  },
): Found {
  let lastGoodMs: WallMs | null = null;
  let absent = false;
  for (const source of given.input.quantities) {
    const quantity = patient.quantities.get(source.quantity);
    if (quantity === undefined) continue;
    for (const { observation } of quantity.latest.values()) absent ||= observation.content.state === "absent";
    const newest = quantity.window.at(-1);
    if (newest === undefined) continue;
    const { rhythm } = QUANTITIES[source.quantity];
    const slow = rhythm === "episodic";
    const ageMs = Math.max(0, given.nowMs - newest.atMs);
    const ageSecondsMax = Math.min(
      source.ageSecondsMax,
      state.options.ageSecondsMax[rhythm],
      slow ? given.slowSecondsMax : Infinity,
    );
    const value = ageMs <= ageSecondsMax * 1000 ? medianAfter(quantity.window, newest.atMs - given.medianMs) : null;
    if (value !== null) {
      const known: InputState = { kind: "known", value, atMs: wallOf(state, newest.atMs) };
      return { state: known, seq: newest.seq, origin: newest.origin, slowAgeMs: slow ? ageMs : 0 };
    }
    lastGoodMs = wallOf(state, newest.atMs);
  }
  if (absent) return missing("absent", lastGoodMs);
  return lastGoodMs === null ? missing("never-seen", null) : missing("stale", lastGoodMs);
}

function evaluateOnce(state: WatchState, patient: PatientState, model: ScoreModel, nowMs: number, slowSecondsMax: number) {
  const medianMs = streamRules(state, model).medianSeconds * 1000;
  const states = new Map<string, InputState>();
  const basedOn: Seq[] = [];
  let origin: Origin = "measured";
  let slowAgeMs = 0;
  for (const input of model.inputs) {
    const found =
      input.kind === "entered"
        ? findEntered(state, patient, { input, nowMs, slowSecondsMax })
        : findMeasured(state, patient, { input, nowMs, slowSecondsMax, medianMs });
    states.set(input.name, found.state);
    if (found.seq !== null) basedOn.push(found.seq);
    if (ORIGIN_DISTRUST[found.origin] > ORIGIN_DISTRUST[origin]) origin = found.origin;
    slowAgeMs = Math.max(slowAgeMs, found.slowAgeMs);
  }
  const { spo2Scale } = patient.definition.profile;
  const answer = evaluateScore(model, states, { spo2Scale });
  return { answer, origin, basedOn, slowAgeMs };
}

/**
 * Evaluates a model on a patient's windows and entries.
 * What only a person or a cuff brings counts until the next observation is due. When that is, is asked of the score with
 * everything up to 12 h old, so that an input that expires cannot make itself young again by lowering the score.
 */
function evaluate(state: WatchState, patient: PatientState, model: ScoreModel, nowMs: number): Evaluation {
  const first = evaluateOnce(state, patient, model, nowMs, Infinity);
  const { answer } = first;
  const longest = state.options.ageSecondsMax.episodic;
  const response = answer.kind === "score" ? model.responses.find(({ name }) => name === answer.response) : undefined;
  const observeSecondsMax = Math.min(longest, response?.observeSecondsMax ?? longest);
  if (first.slowAgeMs <= observeSecondsMax * 1000) return { ...first, observeSecondsMax };
  return { ...evaluateOnce(state, patient, model, nowMs, observeSecondsMax), observeSecondsMax };
}

function tellScore(
  state: WatchState,
  patient: PatientState,
  given: {
    readonly model: ScoreModel;
    readonly tracker: ScoreTracker;
    readonly evaluation: Evaluation;
    readonly worsened: boolean;
  },
): void {
  const { model, tracker, evaluation } = given;
  const { answer, origin } = evaluation;
  const { patientId } = patient.definition;
  const key = scoreKey(patientId, model.id);
  const priority = priorityOf(tracker.announcedRank);
  if (priority === null) {
    state.board.end(key);
    return;
  }
  if (!given.worsened && state.board.condition(key)?.priority === priority) return;
  const scored = answer.kind === "score" ? answer.parts : [];
  state.board.set(
    {
      key,
      rule: `score.${model.id}`,
      nature: "physiological",
      priority,
      subject: patientSubject(patient, null),
      origin,
      evidence: {
        kind: "score",
        modelId: model.id,
        modelVersion: model.version,
        points: answer.kind === "score" ? answer.points : tracker.announcedPoints,
        partial: answer.missing.length > 0,
        parts: Object.fromEntries(scored.map(({ input, points }) => [input, points])),
        missing: answer.missing.map(({ input }) => input),
        predictionSeq: null,
      },
    },
    given.worsened,
  );
}

/** SAFETY.md, rule 11: shown at once, a technical alert after its allowed time. */
function tellPartial(
  state: WatchState,
  patient: PatientState,
  model: ScoreModel,
  tracker: ScoreTracker,
  answer: Answer,
  nowMs: number,
) {
  const { patientId } = patient.definition;
  const key = partialKey(patientId, model.id);
  if (answer.missing.length === 0) {
    tracker.partialSinceMs = null;
    state.board.end(key);
    return;
  }
  tracker.partialSinceMs ??= nowMs;
  const allowedMs = streamRules(state, model).partialAllowedSeconds * 1000;
  if (nowMs - tracker.partialSinceMs < allowedMs || state.board.holds(key)) return;
  const names = answer.missing.map(({ input }) => input);
  const evidence: Evidence = {
    kind: "score-partial",
    modelId: model.id,
    missing: names,
    sinceMs: wallOf(state, tracker.partialSinceMs),
  };
  state.board.set({
    key,
    rule: `score-partial.${model.id}`,
    nature: "technical",
    priority: "low",
    subject: patientSubject(patient, null),
    origin: technicalOrigin(state, patientId, null),
    evidence,
  });
}

/**
 * Evaluates every model for a patient: conditions go to the board, answers that are new or due are returned.
 * A model that throws is shut off for everybody, with a technical condition; limits, silence and the other models go on.
 */
export function checkScores(state: WatchState, patient: PatientState, nowMs: number): readonly Omit<Prediction, "seq">[] {
  const predictions: Omit<Prediction, "seq">[] = [];
  let observeSecondsMax = state.options.ageSecondsMax.episodic;
  for (const model of state.models) {
    if (state.failedModels.has(model.id)) continue;
    try {
      const evaluation = evaluate(state, patient, model, nowMs);
      observeSecondsMax = Math.min(observeSecondsMax, evaluation.observeSecondsMax);
      const prediction = checkScore(state, patient, { model, evaluation, nowMs });
      if (prediction !== null) predictions.push(prediction);
    } catch (error) {
      shutOff(state, model, error);
    }
  }
  patient.observeSecondsMax = observeSecondsMax;
  return predictions;
}

function shutOff(state: WatchState, model: ScoreModel, error: unknown): void {
  state.failedModels.add(model.id);
  state.board.set({
    key: `fault.model-failed/${model.id}`,
    rule: "fault.model-failed",
    nature: "technical",
    priority: "medium",
    subject: { patientId: null, bedId: null, deviceId: null, part: `model:${model.id}` },
    origin: "measured",
    evidence: {
      kind: "fault",
      code: "model-failed",
      facts: { model: model.id, version: model.version, why: error instanceof Error ? error.message : String(error) },
    },
  });
}

function checkScore(
  state: WatchState,
  patient: PatientState,
  at: { readonly model: ScoreModel; readonly evaluation: Evaluation; readonly nowMs: number },
): Omit<Prediction, "seq"> | null {
  const { model, evaluation, nowMs } = at;
  const { answer } = evaluation;
  const tracker = scoreTrackerOf(patient, model.id);
  if (patient.live) {
    const { confirmSeconds } = streamRules(state, model);
    const { worsened } = stepScore(tracker, { model, answer, nowMs, confirmSeconds });
    tellScore(state, patient, { model, tracker, evaluation, worsened });
  }
  tellPartial(state, patient, model, tracker, answer, nowMs);
  if (!answersDiffer(tracker.told, answer) && nowMs - tracker.toldAtMs < state.options.predictionSeconds * 1000) return null;
  tracker.told = answer;
  tracker.toldAtMs = nowMs;
  tracker.toldApartMs = state.clock.wall() - nowMs;
  return {
    kind: "prediction",
    patientId: patient.definition.patientId,
    modelId: model.id,
    modelVersion: model.version,
    modelSha256: model.sha256,
    atMs: state.clock.wall(),
    answer,
    origin: evaluation.origin,
    basedOn: evaluation.basedOn,
  };
}

/** Moves the confirmation of scores through a moment before a restart: since when what holds, without announcing anything. */
export function replayScores(state: WatchState, patient: PatientState, atMs: number): void {
  for (const model of state.models) {
    if (state.failedModels.has(model.id)) continue;
    try {
      const { answer } = evaluate(state, patient, model, atMs);
      stepScore(scoreTrackerOf(patient, model.id), { model, answer, nowMs: atMs, confirmSeconds: Infinity });
    } catch (error) {
      shutOff(state, model, error);
    }
  }
}
