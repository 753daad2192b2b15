import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { ERRORS } from "../core/errors.ts";
import type { Answer } from "../core/prediction.ts";
import { isQuantityName, QUANTITIES } from "../core/quantities.ts";
import { fail, type Result, succeed } from "../core/result.ts";
import { evaluateScore, type InputState } from "../watch/score.ts";
import type { ScoreContext, ScoreModel } from "../watch/score-model.ts";
import { loadScoreModel } from "../watch/score-table.ts";
import type { Command, CommandIo } from "./command.ts";

const USAGE = `vigil score MODEL --input JSON   one score on the inputs given as one JSON object
vigil score MODEL --stdin        a JSON object a line in, an answer a line out
Inputs by quantity name in the gateway's unit (heartRate, oxygenSaturation, ...), and consciousness (A C V P U),
onOxygen, spo2Scale, ageYears and so on. An input that is left out or null is missing, never zero.`;

/** Why an input object was refused. */
type InputError =
  | { readonly kind: "bad-json"; readonly given: string }
  | { readonly kind: "unknown-input"; readonly input: string }
  | { readonly kind: "bad-input"; readonly input: string; readonly given: unknown; readonly expected: string };

/** What a person or a caller may say besides quantities, with its check. */
interface Entry {
  readonly expected: string;
  readonly accepts: (value: unknown) => boolean;
}

const isNumberIn = (min: number, max: number) => (value: unknown) => typeof value === "number" && value >= min && value <= max;
const isOneOf = (choices: readonly unknown[]) => (value: unknown) => choices.includes(value);

// biome-ignore format: one row a line, so that it reads as the table it is.
const ENTRIES: Readonly<Record<string, Entry>> = {
  consciousness: { expected: "A, C, V, P or U", accepts: isOneOf(["A", "C", "V", "P", "U"]) },
  onOxygen: { expected: "true or false", accepts: isOneOf([true, false]) },
  spo2Scale: { expected: "1 or 2", accepts: isOneOf([1, 2]) },
  pregnant: { expected: "true or false", accepts: isOneOf([true, false]) },
  ageYears: { expected: "a number from 0 to 130", accepts: isNumberIn(0, 130) },
  ageMonths: { expected: "a number from 0 to 1560", accepts: isNumberIn(0, 1560) },
  capillaryRefillSeconds: { expected: "a number from 0 to 60", accepts: isNumberIn(0, 60) },
  breathingEffort: { expected: "normal, mild, moderate, severe or apnoea", accepts: isOneOf(["normal", "mild", "moderate", "severe", "apnoea"]) },
  oxygenLitresPerMin: { expected: "a number from 0 to 100", accepts: isNumberIn(0, 100) },
  inspiredOxygenPercent: { expected: "a number from 15 to 100", accepts: isNumberIn(15, 100) },
};

type Scalar = number | string | boolean;

function parseInput(text: string): Result<Readonly<Record<string, Scalar>>, InputError> {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    return fail({ kind: "bad-json", given: text.slice(0, 200) });
  }
  if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed))
    return fail({ kind: "bad-json", given: text.slice(0, 200) });
  const values: Record<string, Scalar> = {};
  for (const [input, given] of Object.entries(parsed)) {
    const quantity = isQuantityName(input);
    const entry = Object.hasOwn(ENTRIES, input) ? ENTRIES[input] : undefined;
    if (!quantity && entry === undefined) return fail({ kind: "unknown-input", input });
    if (given === null) continue;
    if (quantity) {
      const { min, max } = QUANTITIES[input].possible;
      const expected = `a number from ${min} to ${max} ${QUANTITIES[input].unit}`;
      if (!isNumberIn(min, max)(given)) return fail({ kind: "bad-input", input, given, expected });
    } else if (entry !== undefined && !entry.accepts(given)) {
      return fail({ kind: "bad-input", input, given, expected: entry.expected });
    }
    if (typeof given === "number" || typeof given === "string" || typeof given === "boolean") values[input] = given;
  }
  return succeed(values);
}

/** Puts the values given into the places of the model's inputs, the preferred quantity first. */
function statesOf(model: ScoreModel, values: Readonly<Record<string, Scalar>>): ReadonlyMap<string, InputState> {
  const states = new Map<string, InputState>();
  for (const input of model.inputs) {
    const names = input.kind === "entered" ? [input.entry] : input.quantities.map(({ quantity }) => quantity);
    const value = names.map((name) => values[name]).find((found) => found !== undefined);
    if (value !== undefined) states.set(input.name, { kind: "known", value, atMs: null });
    else states.set(input.name, { kind: "missing", why: input.kind === "entered" ? "not-entered" : "never-seen", sinceMs: null });
  }
  return states;
}

/** The answer as `cli.md` promises it: parts as points by input, missing as names. */
function lineOf(model: ScoreModel, answer: Answer): string {
  const about = { model: model.id, version: model.version };
  const missing = answer.missing.map(({ input }) => input);
  switch (answer.kind) {
    case "score": {
      const parts = Object.fromEntries(answer.parts.map(({ input, points }) => [input, points]));
      const { kind, points, inputCount, response } = answer;
      return JSON.stringify({
        answer: { kind, points, parts, missing, partial: missing.length > 0, inputCount, response },
        ...about,
      });
    }
    case "risk":
      return JSON.stringify({ answer: { ...answer, missing }, ...about });
    case "no-answer":
      return JSON.stringify({ answer: { kind: answer.kind, why: answer.why, missing }, ...about });
  }
}

function answerOne(model: ScoreModel, text: string, io: CommandIo): boolean {
  const values = parseInput(text);
  if (!values.ok) {
    io.stdout(JSON.stringify({ ok: false, error: values.error }));
    return false;
  }
  const context: ScoreContext = values.value;
  io.stdout(lineOf(model, evaluateScore(model, statesOf(model, values.value), context)));
  return true;
}

async function modelNames(folder: string): Promise<readonly string[]> {
  const entries = await readdir(folder, { withFileTypes: true });
  return entries
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name)
    .sort();
}

async function run(args: readonly string[], io: CommandIo): Promise<number> {
  const [name, door, text, ...rest] = args;
  const usable = (door === "--input" && text !== undefined) || (door === "--stdin" && text === undefined);
  if (name === undefined || name.startsWith("-") || !usable || rest.length > 0) {
    io.stderr(USAGE);
    return 2;
  }
  const folder = fileURLToPath(new URL("../../models/", import.meta.url));
  const names = await modelNames(folder);
  if (!names.includes(name)) {
    io.stderr(`unknown model ${JSON.stringify(name)}; there are: ${names.join(", ")}`);
    return 2;
  }
  const model = await loadScoreModel(join(folder, name));
  if (!model.ok) {
    io.stdout(JSON.stringify({ ok: false, error: { kind: model.error.code, ...model.error.facts } }));
    io.stderr(ERRORS[model.error.code].remedy.en);
    return 1;
  }
  if (text !== undefined) return answerOne(model.value, text, io) ? 0 : 1;
  let allAnswered = true;
  for await (const line of io.stdin) {
    if (line.trim() !== "") allAnswered = answerOne(model.value, line, io) && allAnswered;
  }
  return allAnswered ? 0 : 1;
}

/** `vigil score`: one score on given inputs, through the same code as in the gateway. */
export const scoreCommand: Command = { name: "score", usage: USAGE, run };
