import { writeFile } from "node:fs/promises";
import { parseArgs } from "node:util";
import { compareStays } from "../../simulator/comparison/compare.ts";
import { compareMinutes } from "../../simulator/comparison/minutes.ts";
import { plotOf } from "../../simulator/comparison/plot.ts";
import { HALVES, type Half, readStays } from "../../simulator/comparison/vitals-file.ts";
import { hoursText, minutesText } from "../../simulator/comparison/words.ts";
import type { Command, CommandIo } from "./command.ts";
import { askedOf } from "./question.ts";

const PATIENTS_USUAL = 200;
/** More would have to be held in memory all at once. */
const PATIENTS_MAX = 2000;
const SEED_MAX = 2 ** 31;

/** What is asked for. */
interface Question {
  readonly hoursFile: string | null;
  readonly minutesFile: string | null;
  readonly half: Half;
  readonly patients: number;
  readonly seed: number;
  readonly json: boolean;
  readonly plotFile: string | null;
}

/** `vigil compare`: the simulator's patients beside real ones. */
export const compareCommand: Command = {
  name: "compare",
  usage: `usage: vigil compare [--hours FILE.csv[.gz]] [--minutes RECORD.hea] [--half training|test] [--patients N] [--seed N] [--json] [--plot FILE]
Holds the simulator's patients against real ones: distributions, spread between and within patients, autocorrelations, correlations.
  --hours FILE      real patients in intensive care, a row an hour, with the columns patient, heart_rate, respiratory_rate, spo2, systolic,
                    mean_pressure, temperature; where to get them: simulator/body/README.md
  --minutes RECORD  one real person, a value a minute, as a WFDB record (one is in test/captures/wfdb)
  --half H          of the real patients those the profile was fitted to (training), or the others (test, where it is not said)
  --patients N      as many real and as many simulated ones (${PATIENTS_USUAL})      --seed N   which of them (1)
  --json            one JSON line for each of the two      --plot FILE   distributions and autocorrelations of the hours as an SVG
将模拟患者与真实患者比较：分布、患者间与患者内的离散、自相关与相关。数据来源见 simulator/body/README.md。`,
  run: async (args, io) => {
    const question = askedOf(compareCommand, io, () => parse(args));
    if (question === null) return 2;
    const hoursDone = question.hoursFile === null || (await hours(question.hoursFile, question, io));
    const minutesDone = question.minutesFile === null || (await minutes(question.minutesFile, question, io));
    return hoursDone && minutesDone ? 0 : 1;
  },
};

/** Null where the arguments are wrong. */
function parse(args: readonly string[]): Question | null {
  const { values } = parseArgs({
    args: [...args],
    options: {
      hours: { type: "string" },
      minutes: { type: "string" },
      half: { type: "string" },
      patients: { type: "string" },
      seed: { type: "string" },
      json: { type: "boolean" },
      plot: { type: "string" },
    },
  });
  const half = HALVES.find((each) => each === (values.half ?? "test"));
  const patients = Number(values.patients ?? PATIENTS_USUAL);
  const seed = Number(values.seed ?? 1);
  if (values.hours === undefined && (values.minutes === undefined || values.plot !== undefined)) return null;
  if (half === undefined || !Number.isInteger(patients) || patients < 2 || patients > PATIENTS_MAX) return null;
  if (!Number.isInteger(seed) || seed < 0 || seed >= SEED_MAX) return null;
  return {
    hoursFile: values.hours ?? null,
    minutesFile: values.minutes ?? null,
    half,
    patients,
    seed,
    json: values.json === true,
    plotFile: values.plot ?? null,
  };
}

/** False after the reason was told. */
async function hours(file: string, { patients, seed, half, json, plotFile }: Question, io: CommandIo): Promise<boolean> {
  const stays = await readStays({ file, patients, seed });
  if (!stays.ok) return refused(stays.error, io);
  const comparison = compareStays({ real: stays.value[half], others: stays.value[half === "test" ? "training" : "test"], seed });
  if (json) io.stdout(JSON.stringify({ kind: "hours", half, seed, ...comparison }));
  else {
    io.stdout(
      `${patients} real patients (${half} half) and ${patients} simulated ones, seed ${seed}, an hour a value 每小时一值`,
    );
    for (const line of hoursText(comparison)) io.stdout(line);
  }
  if (plotFile !== null) await writeFile(plotFile, plotOf(comparison));
  return true;
}

/** False after the reason was told. */
async function minutes(headerFile: string, { seed, json }: Question, io: CommandIo): Promise<boolean> {
  const comparison = await compareMinutes({ headerFile, seed });
  if (!comparison.ok) return refused(comparison.error, io);
  if (json) io.stdout(JSON.stringify({ kind: "minutes", seed, ...comparison.value }));
  else {
    io.stdout(
      `record ${comparison.value.record}, ${comparison.value.minutes} minutes, and simulated persons, seed ${seed}, a minute a value 每分钟一值`,
    );
    for (const line of minutesText(comparison.value)) io.stdout(line);
  }
  return true;
}

function refused(error: { readonly kind: string; readonly file: string }, io: CommandIo): false {
  io.stderr(`vigil compare: ${JSON.stringify(error)} 无法读取数据`);
  return false;
}
