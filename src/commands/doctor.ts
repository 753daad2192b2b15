import { execFile } from "node:child_process";
import { statfs } from "node:fs/promises";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { loadConfig } from "../../config/load.ts";
import type { ConfigProblem } from "../../config/problems.ts";
import type { Config } from "../../config/schema.ts";
import { createSystemClock } from "../clock.ts";
import type { PictureView } from "../core/stream.ts";
import { askGateway } from "../gateway/control-socket.ts";
import type { StartView } from "../gateway/starts.ts";
import { createSystemTime } from "../gateway/system-time.ts";
import { CONTROL_SOCKET_NAME } from "./ask.ts";
import type { Command, CommandIo } from "./command.ts";
import { examineAccounts } from "./doctor/accounts.ts";
import { examineAlarms } from "./doctor/alarms.ts";
import { examineDevices } from "./doctor/devices.ts";
import type { Examined, Family, GatewayAnswer, GatewayState, Probes } from "./doctor/examined.ts";
import { examineFiles } from "./doctor/files.ts";
import { examineJournal, journalHolder } from "./doctor/journal.ts";
import { examineMachine } from "./doctor/machine.ts";
import { found, type Outcome, worstFirst } from "./doctor/outcome.ts";
import { examinePorts } from "./doctor/ports.ts";
import { printLines, printWords } from "./doctor/report.ts";
import { examineRunning } from "./doctor/running.ts";
import { examineServers } from "./doctor/servers.ts";
import { examineStorage } from "./doctor/storage.ts";
import { examineTime } from "./doctor/time.ts";
import { askedOf } from "./question.ts";

/** Between two looks at what waits for the upstreams. */
const LOOK_AGAIN_MS = 1500;
const PROGRAM_MS_MAX = 3000;

/** The families that need a valid configuration. */
const FAMILIES: readonly Family[] = [
  examineFiles,
  examineStorage,
  examineJournal,
  examineRunning,
  examineDevices,
  examineAccounts,
  examineServers,
  examinePorts,
  examineAlarms,
];

/** `vigil doctor`: tries every part a user may have wrong and says what to do, worst first. */
export const doctorCommand: Command = {
  name: "doctor",
  usage: `usage: vigil doctor --config FILE [--json] [--sound]
Tries every part that may be wrong: configuration, files and rights, disk, journal, devices, servers, ports, clock, sounder, models, the machine,
and the running gateway; says what is wrong, worst first, and what to do. Changes nothing and does not disturb a running gateway: what that has
open is asked of it. Run it as the gateway's user.
--json   JSON Lines on standard output: one a check, then a summary.
--sound  Sounds the local sounder once.
Exit 0: all well (advice may be given); 1: something is wrong; 2: wrong usage.
检查所有可能出错之处并给出处理办法，最严重的在前；不改动任何内容，不干扰运行中的网关。退出码 1 表示有问题。`,
  run: async (args, io) => {
    const question = questionOf(args, io);
    if (question === null) return 2;
    const outcomes = await diagnose(question, systemProbes());
    if (question.json) printLines(outcomes, io.stdout);
    else printWords(outcomes, io.stderr);
    return exitCodeOf(outcomes);
  },
};

/** 0 where nothing is wrong but advice is given at most, else 1. */
export function exitCodeOf(outcomes: readonly Outcome[]): 0 | 1 {
  return outcomes.some((outcome) => outcome.kind === "found" && outcome.gravity !== "advice") ? 1 : 0;
}

/** What to look at. */
export interface Question {
  readonly configFile: string;
  readonly mayHear: boolean;
}

function questionOf(args: readonly string[], io: CommandIo): (Question & { readonly json: boolean }) | null {
  return askedOf(doctorCommand, io, () => {
    const options = { config: { type: "string" }, json: { type: "boolean" }, sound: { type: "boolean" } } as const;
    const { config, json, sound } = parseArgs({ args: [...args], options }).values;
    return config === undefined ? null : { configFile: resolve(config), json: json === true, mayHear: sound === true };
  });
}

/** The machine as it is. */
export function systemProbes(): Probes {
  return {
    clock: createSystemClock(),
    systemTime: createSystemTime(),
    root: "/",
    env: process.env,
    userId: process.getuid?.() ?? null,
    node: { version: process.version, path: process.execPath },
    projectRoot: join(import.meta.dirname, "..", ".."),
    statfs: (path) => statfs(path),
    timedatectl: () =>
      new Promise((resolve) => {
        const asked = ["show", "-p", "NTPSynchronized", "--value"];
        execFile("timedatectl", asked, { timeout: PROGRAM_MS_MAX }, (error, stdout) =>
          resolve(error === null ? stdout.trim() : null),
        );
      }),
  };
}

/** Looks at everything, and says it worst first. */
export async function diagnose(question: Question, probes: Probes): Promise<readonly Outcome[]> {
  const config = await loadConfig(question.configFile);
  if (!config.ok) {
    const machine = await examineMachine(probes, { config: null, gatewayRuns: false });
    return worstFirst([
      ...config.error.map((problem) => ofProblem(problem, question.configFile)),
      ...(await examineTime(probes, null)),
      ...machine,
    ]);
  }
  const gateway = await askAll(config.value, probes);
  const examined: Examined = { ...question, config: config.value, gateway, probes };
  const gatewayRuns = gateway.kind !== "absent";
  const families = await Promise.all(FAMILIES.map((examine) => examine(examined)));
  const outcomes = [
    { kind: "well", check: "configuration", subject: question.configFile } as const,
    ...families.flat(),
    ...(await examineTime(probes, config.value.clock.believe)),
    ...(await examineMachine(probes, { config: config.value, gatewayRuns })),
  ];
  return worstFirst(outcomes);
}

/** A problem of the configuration brings its own words. */
function ofProblem({ path, problem, remedy }: ConfigProblem, file: string): Outcome {
  const outcome = found("configuration-invalid", path === "" ? file : path);
  const { en, zh } = { en: `The configuration is not valid: ${problem.en}`, zh: `配置无效：${problem.zh}` };
  return outcome.kind === "found" ? { ...outcome, says: { en, zh }, remedy } : outcome;
}

/** Asks the running gateway everything at once, and again a little later what waits. */
async function askAll(config: Config, { clock, root }: Probes): Promise<GatewayState> {
  const path = join(config.gateway.dataFolder, CONTROL_SOCKET_NAME);
  const ask = (name: string) => askGateway(path, { name, body: null }, clock);
  const picture = await ask("picture");
  const holder = journalHolder(join(config.gateway.dataFolder, "journal"), root);
  if (!picture.ok) {
    const why = picture.error.facts["why"];
    if (why === "EACCES") return { kind: "no-rights" };
    return why === "no answer" || holder !== null ? { kind: "silent", pid: holder } : { kind: "absent" };
  }
  const [stats, starts] = [await ask("stats"), await ask("starts")];
  await clock.sleep(config.upstreams.length > 0 ? LOOK_AGAIN_MS : 0);
  const later = await ask("stats");
  if (!stats.ok || !starts.ok || !later.ok) return { kind: "silent", pid: holder };
  return {
    kind: "answers",
    answer: {
      picture: picture.value as PictureView,
      stats: stats.value as GatewayAnswer["stats"],
      starts: Array.isArray(starts.value) ? (starts.value as readonly StartView[]) : [],
      upstreamsLater: (later.value as GatewayAnswer["stats"]).upstreams,
    },
  };
}
