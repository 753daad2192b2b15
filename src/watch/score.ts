import { PRIORITY_RANK } from "../core/alert.ts";
import type { Answer, MissingInput, ScorePart } from "../core/prediction.ts";
import type { WallMs } from "../core/time.ts";
import {
  meets,
  type ResponseBand,
  type Scale,
  type ScoreContext,
  type ScoreModel,
  stepsOf,
  type TablePart,
} from "./score-model.ts";

/** What is known of one input: its value with its time, or why there is none. */
export type InputState =
  | { readonly kind: "known"; readonly value: number | string | boolean; readonly atMs: WallMs | null }
  | { readonly kind: "missing"; readonly why: MissingInput["why"]; readonly sinceMs: WallMs | null };

/** Every input's state by the input's name; an input that is not named was never seen. */
export type InputStates = ReadonlyMap<string, InputState>;

const NEVER_SEEN: InputState = { kind: "missing", why: "never-seen", sinceMs: null };

/** Whether nothing that is known contradicts the demands; what is not known may still turn out either way. */
function mayApply(scale: Scale, known: ScoreContext): boolean {
  return Object.entries(scale.when).every(([name, demand]) => {
    const value = known[name];
    return value === undefined || meets(value, demand);
  });
}

function pointsInBands(scale: Scale, resolution: number, value: number): number | null {
  const steps = stepsOf(value, resolution);
  const band = scale.bands.find(
    ({ from, to }) =>
      (from === undefined || steps >= stepsOf(from, resolution)) && (to === undefined || steps <= stepsOf(to, resolution)),
  );
  return band === undefined ? null : band.points;
}

/** The points of one part, or null where what is known leaves more than one number of points possible (or none). */
function pointsOf(part: TablePart, value: number | string | boolean, known: ScoreContext): number | null {
  switch (part.kind) {
    case "choices":
      return Object.hasOwn(part.choices, String(value)) ? (part.choices[String(value)] ?? null) : null;
    case "bands": {
      if (typeof value !== "number" || !Number.isFinite(value)) return null;
      const possible = part.scales
        .filter((scale) => mayApply(scale, known))
        .map((scale) => pointsInBands(scale, part.resolution, value));
      const [first] = possible;
      return first !== undefined && possible.every((points) => points === first) ? first : null;
    }
  }
}

/** The response band that a sum and the highest single part reach. */
export function responseOf(
  model: ScoreModel,
  reached: { readonly points: number; readonly partPointsMax: number },
): ResponseBand {
  let response = model.responses[0];
  for (const band of model.responses) {
    if (reached.points >= band.pointsMin || (band.partMin !== null && reached.partPointsMax >= band.partMin)) response = band;
  }
  if (response === undefined) throw new RangeError("a checked model has a response from 0 points");
  return response;
}

/** How urgent a response band is: 0 for no alert, else `PRIORITY_RANK`. */
export function rankOf(response: ResponseBand): number {
  return response.alert === null ? 0 : PRIORITY_RANK[response.alert];
}

/** Whether the model is made for this patient; what is not said is taken as fitting. */
function applies(model: ScoreModel, context: ScoreContext): boolean {
  return Object.entries(model.applicability).every(([name, demand]) => {
    const value = context[name];
    return value === undefined || meets(value, demand);
  });
}

/**
 * Evaluates a score. Pure: rounds each value to the table's resolution, looks its band up and adds the points.
 *
 * @param inputs   By name of the model's inputs. A missing input earns nothing and is named; the sum is then a lower bound.
 * @param context  What else is known, over the model's own `context`.
 * @returns        A score; or no answer where the model is not made for this patient or nothing at all is known.
 */
export function evaluateScore(model: ScoreModel, inputs: InputStates, context: ScoreContext): Answer {
  if (!applies(model, context)) return { kind: "no-answer", missing: [], why: "not-applicable" };
  const known: Record<string, number | string | boolean> = { ...model.context, ...context };
  for (const [name, state] of inputs) if (state.kind === "known") known[name] = state.value;
  const parts: ScorePart[] = [];
  const missing: MissingInput[] = [];
  let points = 0;
  let partPointsMax = 0;
  for (const part of model.parts) {
    const state = inputs.get(part.input) ?? NEVER_SEEN;
    if (state.kind === "missing") {
      missing.push({ input: part.input, why: state.why, sinceMs: state.sinceMs });
      continue;
    }
    const earned = pointsOf(part, state.value, known);
    if (earned === null) {
      // Its scale depends on something nobody entered, so that its points cannot be told.
      missing.push({ input: part.input, why: "not-entered", sinceMs: null });
      continue;
    }
    const value = typeof state.value === "boolean" ? String(state.value) : state.value;
    parts.push({ input: part.input, value, points: earned, atMs: state.atMs });
    points += earned;
    partPointsMax = Math.max(partPointsMax, earned);
  }
  if (parts.length === 0) return { kind: "no-answer", missing, why: "inputs-missing" };
  const response = responseOf(model, { points, partPointsMax }).name;
  return { kind: "score", points, parts, missing, inputCount: model.parts.length, response };
}
