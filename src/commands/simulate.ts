import { randomInt } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { parseArgs } from "node:util";
import type { Config } from "../../config/schema.ts";
import { findDriver } from "../../drivers/index.ts";
import { type CastError, castOf } from "../../simulator/scenario/cast.ts";
import { crowdOf } from "../../simulator/scenario/crowd.ts";
import { durationText } from "../../simulator/scenario/duration.ts";
import { loadScenario, scenarioFile, scenarioNames } from "../../simulator/scenario/load.ts";
import { playScenario } from "../../simulator/scenario/play.ts";
import { createScaledClock } from "../../simulator/world/scaled-clock.ts";
import { createSystemClock } from "../clock.ts";
import { fault } from "../core/errors.ts";
import { loadScoreModel } from "../watch/score-table.ts";
import type { Command, CommandIo } from "./command.ts";
import { askedOf } from "./question.ts";
import { stopOnSignal } from "./run.ts";
import { createLiveTable } from "./simulate/live-table.ts";
import { openOpenWorld, type Targets } from "./simulate/open-world.ts";
import { configOfScenario, openOwnWorld } from "./simulate/own-gateway.ts";
import {
  junitText,
  type Played,
  printPlayed,
  type Script,
  tellAddresses,
  tellBriefly,
  tellCast,
  tellPlayed,
} from "./simulate/report.ts";
import { targetsOf } from "./simulate/targets.ts";
import { tellFault, tellProblems } from "./told-fault.ts";

const PROJECT_ROOT = join(import.meta.dirname, "..", "..");
const SEED_MAX = 2 ** 31;
const BEDS_MAX = 400;
const SEEDS_MAX = 10_000;
/** How often the table in the terminal is drawn anew. */
const TABLE_SECONDS = 1;

/** What is asked for. */
interface Question {
  readonly list: boolean;
  /** Names of scenarios that come with the simulator, or files. */
  readonly scenarios: readonly string[];
  readonly seed: number | null;
  /** How many seeds are played, from that one on. */
  readonly seedCount: number;
  readonly bedCount: number;
  /** How many times as fast as life, where the links are real. */
  readonly speed: number;
  /** Null: against the gateway in this process. */
  readonly targets: Targets | null;
  /** Targets and speed as they were given, for the line that repeats it. */
  readonly alsoWith: string;
  readonly json: boolean;
  readonly junitFile: string | null;
  readonly recordsFile: string | null;
}

/** `vigil simulate`: patients, devices and faults by a scenario, against this gateway or any other, with a verdict. */
export const simulateCommand: Command = {
  name: "simulate",
  usage: `usage: vigil simulate SCENARIO ... [--seed N] [--seeds N] [--beds N] [--json] [--junit FILE] [--records FILE]
       vigil simulate SCENARIO --target URL [--target URL ...] [--speed X] [--seed N] [--beds N] [--json] [--junit FILE]
       vigil simulate --list
Plays a scenario: a name that --list shows, or a YAML file; \`all\` for every one that comes with it.
Without --target against the gateway in this process, on simulated time, links and disk: hours pass in seconds, and the same seed gives the
same records. With it over real links, for any gateway that reads them:
  --target tcp://HOST[:PORT]            serial devices listen, as behind a serial device server, from PORT on (free ports where left out)
  --target pty:FOLDER                   instead: each serial device is a serial port in this folder (Debian package socat)
  --target mqtt://HOST:PORT[/PREFIX]    MQTT devices publish; alerts of the gateway are heard below PREFIX (vigil), and judged
  --target mllp://HOST[:PORT]           the hospital's system says by HL7 ADT who lies where (PV1-3 SIM^^BED), until it is answered
  --username NAME --password-file FILE  for that MQTT server
  --speed X       so many times as fast as life, with real links only (1)
  --beds N        the scenario's patients and devices again and again, until there are so many
  --seed N        who the patients are and what happens by chance; a new one each time where it is left out, and told
  --seeds N       that many patients one after the other, in this process; told are those that miss an expectation
  --json          one JSON line for each thing that is said, for programs
  --junit FILE    the verdict in JUnit's XML, for a build server
  --records FILE  everything the gateway put on its simulated disk, as JSON lines
Exit 1 when an expectation was not met. How to write a scenario: simulator/README.md.
不指定 --target 时在本进程内以模拟时间、链路与磁盘运行：数小时在数秒内完成，同一随机种子结果相同。指定 --target 时经真实链路发送，可用于任何网关。
有期望未满足时退出码为 1。编写方法见 simulator/README.md。`,
  run: async (args, io) => {
    const question = questionOf(args, io);
    if (question === null) return 2;
    if (question.list) return await list(io);
    const scenarios = question.scenarios.includes("all") ? await scenarioNames() : question.scenarios;
    const stop = stopOnSignal();
    // Before anything is played: an hour over real links is long to wait for a folder that is not there.
    const { junitFile, recordsFile } = question;
    if (junitFile !== null && !(await written(junitFile, "", { io, flag: "a" }))) return 1;
    if (recordsFile !== null && !(await written(recordsFile, "", { io, flag: "w" }))) return 1;
    const played: Played[] = [];
    for (const name of scenarios)
      for (const seed of seedsOf(question)) {
        if (stop.aborted) return 1;
        const one = await play(name, { question: { ...question, seed }, io, stop });
        if (one === null) return 1;
        played.push(one);
      }
    if (junitFile !== null && !(await written(junitFile, junitText(played), { io, flag: "w" }))) return 1;
    return played.every(({ findings }) => findings.every(({ met }) => met)) ? 0 : 1;
  },
};

function questionOf(args: readonly string[], io: CommandIo): Question | null {
  return askedOf(simulateCommand, io, () => {
    const options = {
      list: { type: "boolean" },
      seed: { type: "string" },
      seeds: { type: "string" },
      beds: { type: "string" },
      speed: { type: "string" },
      target: { type: "string", multiple: true },
      username: { type: "string" },
      "password-file": { type: "string" },
      json: { type: "boolean" },
      junit: { type: "string" },
      records: { type: "string" },
    } as const;
    const { values, positionals } = parseArgs({ args: [...args], options, allowPositionals: true });
    if (positionals.length === 0 && values.list !== true) return null;
    const { username, "password-file": passwordFile } = values;
    const targets = values.target === undefined ? null : targetsOf(values.target, { username, passwordFile });
    if (targets === null && values.speed !== undefined)
      throw new Error("--speed needs a --target; without one time jumps as fast as it can --speed 须与 --target 同用");
    if (targets !== null && values.records !== undefined)
      throw new Error("--records are those of the gateway in this process; leave out --target --records 仅用于本进程内的网关");
    if (targets !== null && values.seeds !== undefined)
      throw new Error("--seeds is for the gateway in this process; leave out --target --seeds 仅用于本进程内的网关");
    return {
      list: values.list === true,
      scenarios: positionals,
      seedCount: numberOf("--seeds", values.seeds, { min: 1, max: SEEDS_MAX, whole: true }) ?? 1,
      seed: numberOf("--seed", values.seed, { min: 0, max: SEED_MAX - 1, whole: true }),
      bedCount: numberOf("--beds", values.beds, { min: 1, max: BEDS_MAX, whole: true }) ?? 1,
      speed: numberOf("--speed", values.speed, { min: 0.1, max: 100, whole: false }) ?? 1,
      targets,
      alsoWith: alsoWith({ target: values.target ?? [], speed: values.speed, username, "password-file": passwordFile }),
      json: values.json === true,
      junitFile: values.junit ?? null,
      recordsFile: values.records ?? null,
    };
  });
}

/** The seeds to play, one after the other; by chance where none is said. */
function seedsOf({ seed, seedCount }: Question): readonly number[] {
  const first = seed ?? randomInt(SEED_MAX - seedCount);
  return Array.from({ length: seedCount }, (_, index) => first + index);
}

function alsoWith(given: Readonly<Record<string, string | readonly string[] | undefined>>): string {
  return Object.entries(given)
    .flatMap(([option, values]) => [values ?? []].flat().map((value) => ` --${option} ${value}`))
    .join("");
}

/** @throws  An error with a text for people, where the number is none or out of its bounds. */
function numberOf(
  option: string,
  text: string | undefined,
  bounds: { readonly min: number; readonly max: number; readonly whole: boolean },
): number | null {
  if (text === undefined) return null;
  const value = Number(text);
  if (text.trim() !== "" && value >= bounds.min && value <= bounds.max && (!bounds.whole || Number.isInteger(value)))
    return value;
  const kind = bounds.whole ? "a whole number" : "a number";
  throw new Error(`${option} is ${kind} from ${bounds.min} to ${bounds.max} ${option} 应为 ${bounds.min} 至 ${bounds.max} 的数`);
}

async function list(io: CommandIo): Promise<number> {
  for (const name of await scenarioNames()) {
    const scenario = await loadScenario(name);
    if (!scenario.ok) {
      tellProblems(scenario.error, io, "scenario-invalid");
      return 1;
    }
    const { title, lasts } = scenario.value;
    io.stdout(`${name.padEnd(32)}${durationText(lasts).padEnd(14)}${title.en}  ${title.zh}`);
  }
  return 0;
}

/** What a scenario is played with. */
interface Playing {
  readonly question: Question;
  readonly io: CommandIo;
  readonly stop: AbortSignal;
}

/** Plays one scenario; null after what is wrong with it was told. */
async function play(name: string, playing: Playing): Promise<Played | null> {
  const { question, io } = playing;
  const loaded = await loadScenario(name);
  if (!loaded.ok) {
    tellProblems(loaded.error, io, "scenario-invalid");
    return null;
  }
  const scenario = crowdOf(loaded.value, question.bedCount);
  const seed = question.seed ?? randomInt(SEED_MAX);
  const made = await castOf(scenario, {
    seed,
    folder: dirname(resolve(scenarioFile(name))),
    findDriver,
    ...(question.targets === null ? {} : { wallAtStartMs: createSystemClock().wall() }),
  });
  if (!made.ok) {
    tellFault(fault("simulate-recording", { device: made.error.deviceId, ...recordingFacts(made.error) }), io);
    return null;
  }
  const cast = made.value;
  const script: Script = { name, scenario, seed, bedCount: question.bedCount, alsoWith: question.alsoWith, cast };
  const config = configOfScenario(scenario, cast);
  if (!config.ok) {
    tellProblems(config.error, io, "scenario-invalid");
    return null;
  }
  const isOneOfMany = question.seedCount > 1;
  if (!question.json && !isOneOfMany) tellCast(script, io.stderr);
  const played =
    question.targets === null
      ? await playHere(script, playing, config.value)
      : await playOutside(script, { ...playing, targets: question.targets });
  if (played === null) return null;
  if (playing.stop.aborted) {
    io.stderr("Interrupted; nothing was judged. 已中断，未作判定。");
    return null;
  }
  if (question.json) printPlayed(played, io.stdout);
  else if (isOneOfMany) tellBriefly(played, io.stderr);
  else tellPlayed(played, io.stderr);
  return played;
}

/** Writes a file, or tells why it cannot be. @param how.flag  `a`: after what is there; `w`: anew. */
async function written(
  file: string,
  text: string,
  { io, flag }: { readonly io: CommandIo; readonly flag: "a" | "w" },
): Promise<boolean> {
  try {
    await writeFile(file, text, { flag });
    return true;
  } catch (error) {
    const cause = error instanceof Error && "code" in error ? String(error.code) : String(error);
    tellFault(fault("simulate-not-written", { file, cause }), io);
    return false;
  }
}

function recordingFacts({ error }: CastError): Readonly<Record<string, string | number>> {
  return Object.fromEntries(
    Object.entries(error).map(([key, value]) => [key, typeof value === "number" ? value : String(value)]),
  );
}

/** Against the gateway in this process. */
async function playHere(script: Script, { question, io, stop }: Playing, config: Config): Promise<Played | null> {
  const news2 = await loadScoreModel(join(PROJECT_ROOT, "models", "news2"));
  if (!news2.ok) {
    tellFault(news2.error, io);
    return null;
  }
  const clock = createSystemClock();
  const startedMs = clock.monotonic();
  const { scenario, cast } = script;
  const world = await openOwnWorld(scenario, { config, cast, models: [news2.value], drivers: findDriver });
  const outcome = await playScenario(scenario, { cast, world, stop });
  const played = { ...script, ...outcome, witness: world.witness(), hears: true, tookMs: clock.monotonic() - startedMs };
  if (question.recordsFile !== null) {
    const records = await world.records();
    const lines = records.map((record) => `${JSON.stringify(record)}\n`).join("");
    const kept = await written(question.recordsFile, lines, { io, flag: "a" });
    await world.close();
    return kept ? played : null;
  }
  await world.close();
  return played;
}

/** Over real links. */
async function playOutside(
  script: Script,
  { question, io, stop, targets }: Playing & { readonly targets: Targets },
): Promise<Played | null> {
  const clock = createScaledClock(createSystemClock(), question.speed);
  const startedMs = clock.monotonic();
  const { scenario, cast } = script;
  const opened = await openOpenWorld(cast, { targets, clock, scenario, seed: script.seed });
  if (!opened.ok) {
    tellFault(opened.error, io);
    return null;
  }
  const world = opened.value;
  tellAddresses(
    { scenario, addresses: world.addresses, hears: world.hears },
    question.json ? io.stdout : io.stderr,
    question.json,
  );
  world.onDeed((deed) => {
    if (question.json) io.stdout(JSON.stringify({ kind: "deed", deed }));
    else io.stderr(`  to be done at the gateway 请在网关上操作: ${JSON.stringify(deed)}`);
  });
  world.onMoment((moment) => {
    if (question.json) io.stdout(JSON.stringify({ kind: "gateway", moment }));
    else io.stderr(`  to be done to the gateway 请对网关执行: ${JSON.stringify(moment)}`);
  });
  world.onAdmission(({ event, patientId, code, text, sentCount }) => {
    const again = sentCount === 1 ? "" : ` (sent ${sentCount} times 发送 ${sentCount} 次)`;
    const said = { kind: "admission", event, patientId, code, text, sentCount };
    if (question.json) io.stdout(JSON.stringify(said));
    else io.stderr(`  hospital 医院系统: ${event} ${patientId} -> ${code} ${text}${again}`);
  });
  world.onDeaf((why) => tellFault(why, io));
  const table =
    question.json || !process.stderr.isTTY ? null : createLiveTable({ cast, world, write: (text) => process.stderr.write(text) });
  const { findings, badLinks } = await playScenario(scenario, {
    cast,
    world,
    stop,
    stepSeconds: TABLE_SECONDS,
    onStep: (seconds) => table?.draw(seconds),
  });
  const { hears } = world;
  const tookMs = (clock.monotonic() - startedMs) / question.speed;
  const played = { ...script, findings: hears ? findings : [], badLinks, witness: world.witness(), hears, tookMs };
  await world.close();
  return played;
}
