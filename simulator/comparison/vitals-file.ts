import { createReadStream } from "node:fs";
import { createInterface } from "node:readline";
import { createGunzip } from "node:zlib";
import { fail, type Result, succeed } from "../../src/core/result.ts";
import { evenAt } from "../body/noise.ts";
import { seedOfPart } from "../random.ts";
import { COMPARED, COMPARED_NAMES, type ComparedName, type Stay } from "./stay.ts";

/** The halves of the real patients: the profile was fitted to the first, the comparison is told of the second. */
export const HALVES = ["training", "test"] as const;
export type Half = (typeof HALVES)[number];

/** Which half a patient falls into; never changed, or the untouched half would no longer be untouched. */
const SPLIT_SEED = 20_191_122;
/** Shorter stays are left out: they say nothing about eight hours later. */
const ROWS_MIN = 24;
/** A year; more in one stay is a file that is something else. */
const ROWS_MAX = 8784;
/** Patients that are held while the file is read, beside those that are wanted, before the surplus is dropped. */
const SURPLUS_MAX = 500;

/** Why a file gives no patients. */
export type VitalsFileError =
  | { readonly kind: "unreadable"; readonly file: string; readonly cause: string }
  | { readonly kind: "missing-column"; readonly file: string; readonly column: string }
  | { readonly kind: "damaged"; readonly file: string; readonly line: number }
  | { readonly kind: "too-few-patients"; readonly file: string; readonly given: number; readonly needed: number };

/** The half that a patient belongs to. */
export function halfOf(patient: number): Half {
  return evenAt(SPLIT_SEED, patient) < 0.5 ? "training" : "test";
}

/**
 * Chooses so many patients of each half by a seed, from a table of hourly values (CSV, a row an hour, a patient's rows together, gzip where
 * the name ends in `.gz`).
 */
export async function readStays(from: {
  readonly file: string;
  readonly patients: number;
  readonly seed: number;
}): Promise<Result<Readonly<Record<Half, readonly Stay[]>>, VitalsFileError>> {
  const { file, patients } = from;
  const choice = createChoice(from);
  const raw = createReadStream(file);
  const bytes = file.endsWith(".gz") ? raw.pipe(createGunzip()) : raw;
  raw.once("error", (error) => bytes.destroy(error));
  let columns: Columns | null = null;
  let rows: Row[] = [];
  let line = 0;
  try {
    for await (const text of createInterface({ input: bytes, crlfDelay: Number.POSITIVE_INFINITY })) {
      line += 1;
      if (columns === null) {
        const found = columnsOf(file, text);
        if (!found.ok) return found;
        columns = found.value;
        continue;
      }
      const row = rowOf(text, columns);
      if (row === null || rows.length >= ROWS_MAX) return fail({ kind: "damaged", file, line });
      if (rows[0] !== undefined && rows[0].patient !== row.patient) {
        choice.offer(rows);
        rows = [];
      }
      rows.push(row);
    }
  } catch (error) {
    const cause = error instanceof Error && "code" in error ? String(error.code) : String(error);
    return fail({ kind: "unreadable", file, cause });
  }
  choice.offer(rows);
  const chosen = choice.chosen();
  const given = Math.min(chosen.training.length, chosen.test.length);
  return given < patients ? fail({ kind: "too-few-patients", file, given, needed: patients }) : succeed(chosen);
}

interface Row {
  readonly patient: number;
  readonly values: Readonly<Record<ComparedName, number>>;
}

type Columns = Readonly<Record<ComparedName | "patient", number>>;

function columnsOf(file: string, header: string): Result<Columns, VitalsFileError> {
  const names = header.split(",");
  const columns: Record<string, number> = { patient: names.indexOf("patient") };
  for (const name of COMPARED_NAMES) columns[name] = names.indexOf(COMPARED[name].column);
  const missing = Object.entries(columns).find(([, index]) => index < 0)?.[0];
  if (missing === undefined) return succeed(columns as Columns);
  const column = missing === "patient" ? missing : COMPARED[missing as ComparedName].column;
  return fail({ kind: "missing-column", file, column });
}

/** Null where the row is none; `NaN` in it where nothing was charted. */
function rowOf(text: string, columns: Columns): Row | null {
  const cells = text.split(",");
  const number = (index: number) => (cells[index] ? Number(cells[index]) : Number.NaN);
  const patient = number(columns.patient);
  if (!Number.isInteger(patient)) return null;
  const values = Object.fromEntries(COMPARED_NAMES.map((name) => [name, number(columns[name])]));
  const isWrong = COMPARED_NAMES.some((name) => Number.isNaN(values[name]) && cells[columns[name]] !== "");
  return isWrong ? null : { patient, values: values as Row["values"] };
}

/** Keeps the patients whose lot is lowest, so that the choice does not hang on the order of the file. */
function createChoice({ patients, seed }: { readonly patients: number; readonly seed: number }) {
  const kept: Record<Half, Stay[]> = { training: [], test: [] };
  const lotOf = ({ patient }: Stay) => evenAt(seedOfPart(seed, 1), patient);
  const drop = (half: Half) => {
    kept[half].sort((a, b) => lotOf(a) - lotOf(b));
    kept[half].splice(patients);
  };
  return {
    offer: (rows: readonly Row[]) => {
      const patient = rows[0]?.patient;
      if (patient === undefined || rows.length < ROWS_MIN) return;
      const half = halfOf(patient);
      kept[half].push({ patient, rowsCount: rows.length, series: seriesOf(rows) });
      if (kept[half].length > patients + SURPLUS_MAX) drop(half);
    },
    chosen: () => {
      for (const half of HALVES) drop(half);
      return kept;
    },
  };
}

function seriesOf(rows: readonly Row[]): Stay["series"] {
  return Object.fromEntries(
    COMPARED_NAMES.map((name) => [name, Float64Array.from(rows, ({ values }) => values[name])]),
  ) as Stay["series"];
}
