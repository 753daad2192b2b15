import { loadConfig } from "../../config/load.ts";
import { configWarnings } from "../../config/together.ts";
import type { Command } from "./command.ts";
import { configArgument } from "./question.ts";
import { tellProblems } from "./told-fault.ts";

/** `vigil check`: validates a configuration without opening anything; all problems at once. */
export const checkCommand: Command = {
  name: "check",
  usage: `usage: vigil check --config FILE
Validates FILE without opening anything it names. One JSON line per problem on standard output; exit 1 if there is any.
What nobody should overlook in a valid one is told as a warning, exit 0.`,
  run: async (args, io) => {
    const file = configArgument(args, checkCommand, io);
    if (file === null) return 2;
    const config = await loadConfig(file);
    if (config.ok) {
      const { beds, devices, upstreams } = config.value;
      for (const { path, problem, remedy } of configWarnings(config.value)) {
        const zh = { problem: problem.zh, remedy: remedy.zh };
        io.stdout(JSON.stringify({ warning: true, path, problem: problem.en, remedy: remedy.en, zh }));
        io.stderr(`${path}: ${problem.en}. ${remedy.en} ${problem.zh}。${remedy.zh}`);
      }
      io.stdout(JSON.stringify({ ok: true, beds: beds.length, devices: devices.length, upstreams: upstreams.length }));
      return 0;
    }
    for (const { path, line, problem, remedy } of config.error) {
      io.stdout(
        JSON.stringify({
          ok: false,
          path,
          line,
          problem: problem.en,
          remedy: remedy.en,
          zh: { problem: problem.zh, remedy: remedy.zh },
        }),
      );
    }
    tellProblems(config.error, io);
    return 1;
  },
};
