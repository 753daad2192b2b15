import { join } from "node:path";
import { createSystemClock } from "../clock.ts";
import { putBack } from "../gateway/config-file.ts";
import { SUPERVISOR_LIMITS, superviseGateway } from "../supervisor/supervisor.ts";
import type { SupervisorEvent } from "../supervisor/supervisor-event.ts";
import type { Command, CommandIo } from "./command.ts";
import { MALLOC_ENVIRONMENT, NODE_MEMORY_FLAGS } from "./memory-flags.ts";
import { configArgument, configOf } from "./question.ts";

/** The project's own entry, by which a command starts another as a child process. */
export const MAIN_FILE = join(import.meta.dirname, "..", "main.ts");

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
    const config = await configOf(file, io);
    if (config === null) return 1;
    return await runSupervised({
      configFile: file,
      sounderCommand: config.supervisor.sounderCommand,
      io,
      stop: stopOnSignal(),
    });
  },
};
