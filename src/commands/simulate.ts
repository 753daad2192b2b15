import { randomInt } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { findDriver } from "../../drivers/index.ts";
import { castOf } from "../../simulator/scenario/cast.ts";
import { durationText } from "../../simulator/scenario/duration.ts";
import { loadScenario, scenarioNames } from "../../simulator/scenario/load.ts";
import { playScenario } from "../../simulator/scenario/play.ts";
import type { Scenario } from "../../simulator/scenario/schema.ts";
import { createSystemClock } from "../clock.ts";
import { loadScoreModel } from "../watch/score-table.ts";
import type { Command, CommandIo } from "./command.ts";
import { askedOf } from "./question.ts";
import { configOfScenario, openOwnWorld } from "./simulate/own-gateway.ts";
import { junitText, type Played, printPlayed, tellCast, tellPlayed } from "./simulate/report.ts";
import { tellFault, tellProblems } from "./told-fault.ts";

const PROJECT_ROOT = join(import.meta.dirname, "..", "..");
const SEED_MAX = 2 ** 31;

/** What is asked for. */
interface Question {
  readonly list: boolean;
  /** Names of scenarios that come with the simulator, or files. */
  readonly scenarios: readonly string[];
  readonly seed: number | null;
  readonly json: boolean;
  readonly junitFile: string | null;
  readonly recordsFile: string | null;
}

/** `vigil simulate`: patients, devices and faults by a scenario, against this gateway or any other, with a verdict. */
export const simulateCommand: Command = {
  name: "simulate",
  usage: `usage: vigil simulate SCENARIO ... [--seed N] [--json] [--junit FILE] [--records FILE]
       vigil simulate --list
Plays a scenario (a name that --list shows, or a YAML file; \`all\` for every one that comes with it) against this gateway, in this process,
on simulated time, links and disk: hours pass in seconds, and the same seed gives the same records.
  --seed N        who the patients are and what happens by chance; a new one each time where it is left out, and told
  --json          one JSON line for each thing that is said, for programs
  --junit FILE    the verdict in JUnit's XML, for a build server
  --records FILE  everything the gateway put on its simulated disk, as JSON lines
Exit 1 when an expectation was not met. How to write one: simulator/README.md.
在模拟时间、链路与磁盘上运行情景：数小时在数秒内完成，同一随机种子结果相同。有期望未满足时退出码为 1。编写方法见 simulator/README.md。`,
  run: async (args, io) => {
    const question = questionOf(args, io);
    if (question === null) return 2;
    if (question.list) return await list(io);
    const scenarios = question.scenarios.includes("all") ? await scenarioNames() : question.scenarios;
    const played: Played[] = [];
    for (const name of scenarios) {
      const one = await play(name, question, io);
      if (one === null) return 1;
      played.push(one);
    }
    if (question.junitFile !== null) await writeFile(question.junitFile, junitText(played));
    return played.every(({ findings }) => findings.every(({ met }) => met)) ? 0 : 1;
  },
};

function questionOf(args: readonly string[], io: CommandIo): Question | null {
  return askedOf(simulateCommand, io, () => {
    const options = {
      list: { type: "boolean" },
      seed: { type: "string" },
      json: { type: "boolean" },
      junit: { type: "string" },
      records: { type: "string" },
    } as const;
    const { values, positionals } = parseArgs({ args: [...args], options, allowPositionals: true });
    if (positionals.length === 0 && values.list !== true) return null;
    const seed = values.seed === undefined ? null : Number(values.seed);
    if (seed !== null && (!Number.isInteger(seed) || seed < 0 || seed >= SEED_MAX))
      throw new Error(`--seed is a whole number from 0 to ${SEED_MAX - 1} 随机种子应为 0 至 ${SEED_MAX - 1} 的整数`);
    return {
      list: values.list === true,
      scenarios: positionals,
      seed,
      json: values.json === true,
      junitFile: values.junit ?? null,
      recordsFile: values.records ?? null,
    };
  });
}

async function list(io: CommandIo): Promise<number> {
  for (const name of await scenarioNames()) {
    const scenario = await loadScenario(name);
    if (!scenario.ok) {
      tellProblems(scenario.error, io);
      return 1;
    }
    const { title, lasts } = scenario.value;
    io.stdout(`${name.padEnd(32)}${durationText(lasts).padEnd(10)}${title.en}  ${title.zh}`);
  }
  return 0;
}

/** Plays one scenario; null after what is wrong with it was told. */
async function play(name: string, question: Question, io: CommandIo): Promise<Played | null> {
  const loaded = await loadScenario(name);
  if (!loaded.ok) {
    tellProblems(loaded.error, io);
    return null;
  }
  const scenario: Scenario = loaded.value;
  const seed = question.seed ?? randomInt(SEED_MAX);
  const cast = castOf(scenario, seed, findDriver);
  const config = configOfScenario(scenario, cast);
  const news2 = await loadScoreModel(join(PROJECT_ROOT, "models", "news2"));
  if (!config.ok) {
    tellProblems(config.error, io);
    return null;
  }
  if (!news2.ok) {
    tellFault(news2.error, io);
    return null;
  }
  if (!question.json) tellCast({ name, scenario, seed, cast }, io.stderr);
  const clock = createSystemClock();
  const startedMs = clock.monotonic();
  const world = await openOwnWorld(scenario, { config: config.value, cast, models: [news2.value], drivers: findDriver });
  const findings = await playScenario(scenario, { cast, world });
  const played: Played = { name, scenario, seed, findings, witness: world.witness(), tookMs: clock.monotonic() - startedMs };
  if (question.recordsFile !== null) {
    const records = await world.records();
    await writeFile(question.recordsFile, records.map((record) => `${JSON.stringify(record)}\n`).join(""), { flag: "a" });
  }
  await world.close();
  if (question.json) printPlayed(played, io.stdout);
  else tellPlayed(played, io.stderr);
  return played;
}
