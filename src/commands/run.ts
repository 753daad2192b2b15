import { join } from "node:path";
import { parseArgs } from "node:util";
import { type ConfigProblem, loadConfig } from "../../config/schema.ts";
import { createSystemClock } from "../clock.ts";
import { ERRORS } from "../core/errors.ts";
import { putBack } from "../gateway/config-file.ts";
import { SUPERVISOR_LIMITS, superviseGateway } from "../supervisor/supervisor.ts";
import type { SupervisorEvent } from "../supervisor/supervisor-event.ts";
import type { Command, CommandIo } from "./command.ts";
import { MALLOC_ENVIRONMENT, NODE_MEMORY_FLAGS } from "./memory-flags.ts";

/** The project's own entry, by which a command starts another as a child process. */
export const MAIN_FILE = join(import.meta.dirname, "..", "main.ts");

/** The configuration file named on the command line, or null after the usage was told. */
export function configArgument(args: readonly string[], command: Pick<Command, "name" | "usage">, io: CommandIo): string | null {
  try {
    const { values } = parseArgs({ args: [...args], options: { config: { type: "string" } } });
    if (values.config !== undefined) return values.config;
  } catch (error) {
    io.stderr(`vigil ${command.name}: ${error instanceof Error ? error.message : String(error)}`);
  }
  io.stderr(command.usage);
  return null;
}

/** Tells every problem of a configuration with its place and remedy. */
export function tellProblems(problems: readonly ConfigProblem[], io: CommandIo): void {
  const { title, remedy } = ERRORS["config-invalid"];
  io.stderr(`${title.en}. ${remedy.en} ${title.zh}。${remedy.zh}`);
  for (const { path, line, problem, remedy: mend } of problems) {
    const at = line === null || path.startsWith("line ") ? path : `${path} (line ${line})`;
    io.stderr(`  ${at}: ${problem.en}. ${mend.en}`);
    io.stderr(`    ${problem.zh}。${mend.zh}`);
  }
}

/** Aborts on SIGINT and SIGTERM. A second signal changes nothing: the stop is bounded anyway. */
export function stopOnSignal(): AbortSignal {
  const controller = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => controller.abort());
  return controller.signal;
}

/** Runs the gateway under its supervisor until asked to stop. */
export async function runSupervised(options: {
  readonly configFile: string;
  readonly sounderCommand: readonly string[] | null;
  readonly io: CommandIo;
  readonly stop: AbortSignal;
  /** Says an event in words for a person at a terminal and returns true, or false: then its JSON line is written. */
  readonly sayInWords?: (event: SupervisorEvent) => boolean;
}): Promise<number> {
  return await superviseGateway(
    {
      command: [...NODE_MEMORY_FLAGS, MAIN_FILE, "gateway", "--config", options.configFile],
      sounderCommand: options.sounderCommand,
      env: { ...process.env, ...MALLOC_ENVIRONMENT },
      limits: SUPERVISOR_LIMITS,
      putBack: (previousConfig) => putBack(options.configFile, previousConfig, createSystemClock().wall()),
    },
    {
      clock: createSystemClock(),
      stop: options.stop,
      report: (event) => {
        if (options.sayInWords?.(event) !== true) options.io.stderr(JSON.stringify({ supervisor: event }));
      },
    },
  );
}

/** `vigil run`: the gateway under its supervisor. */
export const runCommand: Command = {
  name: "run",
  usage: `usage: vigil run --config FILE
Runs the gateway under its supervisor until SIGINT or SIGTERM.`,
  run: async (args, io) => {
    const file = configArgument(args, runCommand, io);
    if (file === null) return 2;
    const config = await loadConfig(file);
    if (!config.ok) {
      tellProblems(config.error, io);
      return 1;
    }
    return await runSupervised({
      configFile: file,
      sounderCommand: config.value.supervisor.sounderCommand,
      io,
      stop: stopOnSignal(),
    });
  },
};
