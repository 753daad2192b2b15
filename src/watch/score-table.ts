import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import type { Priority } from "../core/alert.ts";
import { type Fault, fault } from "../core/errors.ts";
import { isQuantityName, type Text } from "../core/quantities.ts";
import { fail, type Result, succeed } from "../core/result.ts";
import type {
  Band,
  Demand,
  InputQuantity,
  ResponseBand,
  Scale,
  ScoreInput,
  ScoreModel,
  StreamRules,
  TablePart,
} from "./score-model.ts";
import { stepsOf } from "./score-model.ts";

/** Where the parser is, and what it found wrong so far; all problems are collected, the first is told. */
interface Place {
  readonly path: string;
  readonly problems: string[];
}

type Fields = Readonly<Record<string, unknown>>;

function at(place: Place, step: string | number): Place {
  return { path: place.path === "" ? String(step) : `${place.path}.${step}`, problems: place.problems };
}

function wrong(place: Place, what: string): void {
  place.problems.push(`${place.path}: ${what}`);
}

function fieldsOf(value: unknown, place: Place, allowed: readonly string[] | null): Fields {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    wrong(place, "must be an object");
    return {};
  }
  const fields = value as Fields;
  for (const key of Object.keys(fields)) if (allowed !== null && !allowed.includes(key)) wrong(at(place, key), "unknown key");
  return fields;
}

function listOf<Item>(value: unknown, place: Place, parse: (item: unknown, place: Place) => Item): readonly Item[] {
  if (!Array.isArray(value) || value.length === 0) {
    wrong(place, "must be a list that is not empty");
    return [];
  }
  return value.map((item, index) => parse(item, at(place, index)));
}

function textOf(value: unknown, place: Place): string {
  if (typeof value === "string" && value.trim() !== "") return value;
  wrong(place, "must be a text that is not empty");
  return "";
}

function numberOf(value: unknown, place: Place, min: number): number {
  if (typeof value === "number" && Number.isFinite(value) && value >= min) return value;
  wrong(place, `must be a number of at least ${min}`);
  return min;
}

function pointsOf(value: unknown, place: Place): number {
  if (typeof value === "number" && Number.isInteger(value) && value >= 0) return value;
  wrong(place, "points must be a whole number of at least 0");
  return 0;
}

function titleOf(value: unknown, place: Place): Text {
  const fields = fieldsOf(value, place, ["en", "zh"]);
  return { en: textOf(fields["en"], at(place, "en")), zh: textOf(fields["zh"], at(place, "zh")) };
}

function spanOf(fields: Fields, place: Place): { readonly from?: number; readonly to?: number } {
  const { from, to } = fields;
  if (from !== undefined && typeof from !== "number") wrong(at(place, "from"), "must be a number");
  if (to !== undefined && typeof to !== "number") wrong(at(place, "to"), "must be a number");
  return { ...(typeof from === "number" ? { from } : {}), ...(typeof to === "number" ? { to } : {}) };
}

function demandsOf(value: unknown, place: Place): Readonly<Record<string, Demand>> {
  const demands: Record<string, Demand> = {};
  for (const [name, demand] of Object.entries(fieldsOf(value, place, null))) {
    if (typeof demand === "number" || typeof demand === "string" || typeof demand === "boolean") demands[name] = demand;
    else demands[name] = spanOf(fieldsOf(demand, at(place, name), ["from", "to"]), at(place, name));
  }
  return demands;
}

/** Bands must cover every number once: the first is open below, the last above, and each begins one step after the one before. */
function bandsOf(value: unknown, place: Place, resolution: number): readonly Band[] {
  const bands = listOf(value, place, (item, here): Band => {
    const fields = fieldsOf(item, here, ["from", "to", "points"]);
    return { ...spanOf(fields, here), points: pointsOf(fields["points"], at(here, "points")) };
  });
  bands.forEach((band, index) => {
    const here = at(place, index);
    const before = bands[index - 1];
    const last = index === bands.length - 1;
    for (const edge of [band.from, band.to]) {
      if (edge !== undefined && Math.abs(edge / resolution - stepsOf(edge, resolution)) > 1e-6)
        wrong(here, "edge is not on the resolution");
    }
    if (band.from !== undefined && band.to !== undefined && band.from > band.to) wrong(here, "ends before it begins");
    if (last && band.to !== undefined) wrong(here, "gap: the last band must be open above");
    if (!last && band.to === undefined) wrong(here, "overlap: only the last band may be open above");
    if (before === undefined) {
      if (band.from !== undefined) wrong(here, "gap: the first band must be open below");
      return;
    }
    if (band.from === undefined) wrong(here, "overlap: only the first band may be open below");
    if (band.from === undefined || before.to === undefined) return;
    const stepsBetween = stepsOf(band.from, resolution) - stepsOf(before.to, resolution);
    if (stepsBetween > 1) wrong(here, `gap between ${before.to} and ${band.from}`);
    if (stepsBetween < 1) wrong(here, `overlap between ${before.to} and ${band.from}`);
  });
  return bands;
}

function partOf(value: unknown, place: Place): TablePart {
  const fields = fieldsOf(value, place, ["input", "resolution", "scales", "choices"]);
  const input = textOf(fields["input"], at(place, "input"));
  if (fields["choices"] !== undefined) {
    const choices: Record<string, number> = {};
    for (const [choice, points] of Object.entries(fieldsOf(fields["choices"], at(place, "choices"), null))) {
      choices[choice] = pointsOf(points, at(at(place, "choices"), choice));
    }
    if (fields["scales"] !== undefined) wrong(place, "has both choices and scales");
    return { kind: "choices", input, choices };
  }
  const resolution = numberOf(fields["resolution"], at(place, "resolution"), 0.0001);
  const scales = listOf(fields["scales"], at(place, "scales"), (item, here): Scale => {
    const scale = fieldsOf(item, here, ["when", "bands"]);
    return { when: demandsOf(scale["when"], at(here, "when")), bands: bandsOf(scale["bands"], at(here, "bands"), resolution) };
  });
  return { kind: "bands", input, resolution, scales };
}

function snomedOf(value: unknown, place: Place): string | null {
  if (value === undefined) return null;
  if (typeof value === "string" && /^\d{6,18}$/.test(value)) return value;
  wrong(place, "must be a SNOMED CT code");
  return null;
}

function inputOf(value: unknown, place: Place): ScoreInput {
  const fields = fieldsOf(value, place, ["name", "quantities", "entry", "ageSecondsMax", "snomed", "snomedByContext"]);
  const name = textOf(fields["name"], at(place, "name"));
  const snomed = snomedOf(fields["snomed"], at(place, "snomed"));
  if (fields["entry"] !== undefined) {
    const entry = textOf(fields["entry"], at(place, "entry"));
    return {
      kind: "entered",
      name,
      entry,
      ageSecondsMax: numberOf(fields["ageSecondsMax"], at(place, "ageSecondsMax"), 1),
      snomed,
    };
  }
  const quantities = listOf(fields["quantities"], at(place, "quantities"), (item, here): InputQuantity | null => {
    const source = fieldsOf(item, here, ["quantity", "ageSecondsMax"]);
    const quantity = textOf(source["quantity"], at(here, "quantity"));
    const ageSecondsMax = numberOf(source["ageSecondsMax"], at(here, "ageSecondsMax"), 1);
    if (isQuantityName(quantity)) return { quantity, ageSecondsMax };
    wrong(at(here, "quantity"), "unknown quantity");
    return null;
  });
  const codes: Record<string, string> = {};
  for (const [key, code] of Object.entries(fieldsOf(fields["snomedByContext"] ?? {}, at(place, "snomedByContext"), null))) {
    codes[key] = snomedOf(code, at(place, "snomedByContext")) ?? "";
  }
  return { kind: "measured", name, quantities: quantities.filter((item) => item !== null), snomed, snomedByContext: codes };
}

const PRIORITIES: readonly unknown[] = ["high", "medium", "low"] satisfies readonly Priority[];

function responseOf(value: unknown, place: Place): ResponseBand {
  const fields = fieldsOf(value, place, ["name", "pointsMin", "partMin", "alert", "observeSecondsMax", "title"]);
  const { alert, partMin } = fields;
  if (alert !== null && !PRIORITIES.includes(alert)) wrong(at(place, "alert"), "must be high, medium, low or null");
  return {
    name: textOf(fields["name"], at(place, "name")),
    pointsMin: pointsOf(fields["pointsMin"], at(place, "pointsMin")),
    partMin: partMin === null ? null : pointsOf(partMin, at(place, "partMin")),
    alert: alert === "high" || alert === "medium" || alert === "low" ? alert : null,
    observeSecondsMax: numberOf(fields["observeSecondsMax"], at(place, "observeSecondsMax"), 1),
    title: titleOf(fields["title"], at(place, "title")),
  };
}

function responsesOf(value: unknown, place: Place): readonly ResponseBand[] {
  const responses = listOf(value, place, responseOf);
  if (responses[0] !== undefined && responses[0].pointsMin !== 0) wrong(place, "gap: the first response must begin at 0 points");
  responses.forEach((response, index) => {
    const before = responses[index - 1];
    if (before !== undefined && before.pointsMin >= response.pointsMin) wrong(at(place, index), "overlap: responses must rise");
  });
  return responses;
}

function streamOf(value: unknown, place: Place): StreamRules {
  const fields = fieldsOf(value, place, ["medianSeconds", "confirmSeconds", "partialAllowedSeconds"]);
  return {
    medianSeconds: numberOf(fields["medianSeconds"], at(place, "medianSeconds"), 1),
    confirmSeconds: numberOf(fields["confirmSeconds"], at(place, "confirmSeconds"), 0),
    partialAllowedSeconds: numberOf(fields["partialAllowedSeconds"], at(place, "partialAllowedSeconds"), 1),
  };
}

function contextOf(value: unknown, place: Place): Readonly<Record<string, number | string | boolean>> {
  const context: Record<string, number | string | boolean> = {};
  for (const [name, item] of Object.entries(fieldsOf(value, place, null))) {
    if (typeof item === "number" || typeof item === "string" || typeof item === "boolean") context[name] = item;
    else wrong(at(place, name), "must be a number, a text or true or false");
  }
  return context;
}

/** The parts must be exactly the inputs, each once, so that nothing is silently left out of the sum. */
function compareInputs(inputs: readonly ScoreInput[], parts: readonly TablePart[], place: Place): void {
  const named = inputs.map((input) => input.name);
  const scored = parts.map((part) => part.input);
  for (const name of new Set([...named, ...scored])) {
    const inManifest = named.filter((other) => other === name).length;
    const inTable = scored.filter((other) => other === name).length;
    if (inManifest !== 1 || inTable !== 1) wrong(place, `input ${name} must be once in the manifest and once in the table`);
  }
}

const MANIFEST_KEYS = [
  ...["id", "version", "kind", "title", "intendedUse", "source", "applicability", "context"],
  ...["inputs", "output", "responses", "stream", "table"],
];

/**
 * Checks a score's manifest and table and puts them together.
 *
 * @param sha256  The hash of the table's bytes as they were read.
 * @returns       The model, or `model-refused` with the first problem and how many there are. A table without a source is refused.
 */
export function parseScoreModel(given: {
  readonly manifest: unknown;
  readonly table: unknown;
  readonly sha256: string;
}): Result<ScoreModel, Fault> {
  const problems: string[] = [];
  const manifestPlace: Place = { path: "manifest", problems };
  const tablePlace: Place = { path: "table", problems };
  const manifest = fieldsOf(given.manifest, manifestPlace, MANIFEST_KEYS);
  const table = fieldsOf(given.table, tablePlace, ["id", "source", "parts"]);
  const id = textOf(manifest["id"], at(manifestPlace, "id"));
  if (table["id"] !== id) wrong(at(tablePlace, "id"), "is not the manifest's id");
  if (manifest["kind"] !== "score-table") wrong(at(manifestPlace, "kind"), "must be score-table");
  titleOf(manifest["intendedUse"], at(manifestPlace, "intendedUse"));
  const pinned = fieldsOf(manifest["table"], at(manifestPlace, "table"), ["file", "sha256"]);
  if (pinned["sha256"] !== given.sha256) wrong(at(manifestPlace, "table.sha256"), "the table's bytes do not have this hash");
  const model: ScoreModel = {
    id,
    version: textOf(manifest["version"], at(manifestPlace, "version")),
    title: titleOf(manifest["title"], at(manifestPlace, "title")),
    source: textOf(table["source"], at(tablePlace, "source")),
    sha256: given.sha256,
    applicability: demandsOf(manifest["applicability"] ?? {}, at(manifestPlace, "applicability")),
    context: contextOf(manifest["context"] ?? {}, at(manifestPlace, "context")),
    inputs: listOf(manifest["inputs"], at(manifestPlace, "inputs"), inputOf),
    parts: listOf(table["parts"], at(tablePlace, "parts"), partOf),
    responses: responsesOf(manifest["responses"], at(manifestPlace, "responses")),
    stream: streamOf(manifest["stream"], at(manifestPlace, "stream")),
  };
  compareInputs(model.inputs, model.parts, tablePlace);
  const [first] = problems;
  if (first === undefined) return succeed(model);
  return fail(fault("model-refused", { model: id, problem: first, problemCount: problems.length }));
}

/**
 * Loads a score from its folder: `manifest.json` and the table it names, whose SHA-256 must be the one pinned there.
 *
 * @param folder  Path of the folder, for example `models/news2`.
 * @returns       The model, or `model-refused` with the facts; never throws for what is on the disk.
 */
export async function loadScoreModel(folder: string): Promise<Result<ScoreModel, Fault>> {
  const refused = (problem: string) => fail(fault("model-refused", { model: basename(folder), problem, problemCount: 1 }));
  try {
    const manifest: unknown = JSON.parse(await readFile(join(folder, "manifest.json"), "utf8"));
    const file = tableFileOf(manifest);
    if (file === null) return refused("manifest.table.file: must be a plain file name");
    const bytes = await readFile(join(folder, file));
    const table: unknown = JSON.parse(bytes.toString("utf8"));
    return parseScoreModel({ manifest, table, sha256: createHash("sha256").update(bytes).digest("hex") });
  } catch (error) {
    return refused(error instanceof Error ? error.message : String(error));
  }
}

/** The table's file name, which may not lead out of the folder. */
function tableFileOf(manifest: unknown): string | null {
  if (typeof manifest !== "object" || manifest === null || !("table" in manifest)) return null;
  const { table } = manifest;
  if (typeof table !== "object" || table === null || !("file" in table)) return null;
  const { file } = table;
  return typeof file === "string" && file === basename(file) && file !== "" ? file : null;
}
