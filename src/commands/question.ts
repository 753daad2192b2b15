import { parseArgs } from "node:util";
import { loadConfig } from "../../config/load.ts";
import type { Config } from "../../config/schema.ts";
import { ALL_TIME, type TimeWindow } from "../verify/window.ts";
import type { Command, CommandIo } from "./command.ts";
import { tellProblems } from "./told-fault.ts";

/**
 * What a command line asks for.
 *
 * @param read  Answers null, or throws an error with a text for people, where the words ask for nothing.
 * @returns Null after the mistake and the usage were told.
 */
export function askedOf<Question>(
  command: Pick<Command, "name" | "usage">,
  io: CommandIo,
  read: () => Question | null,
): Question | null {
  try {
    const question = read();
    if (question !== null) return question;
  } catch (error) {
    io.stderr(`vigil ${command.name}: ${error instanceof Error ? error.message : String(error)}`);
  }
  io.stderr(command.usage);
  return null;
}

/** The configuration file named on the command line, the only word that is taken; null after the usage was told. */
export function configArgument(args: readonly string[], command: Pick<Command, "name" | "usage">, io: CommandIo): string | null {
  return askedOf(
    command,
    io,
    () => parseArgs({ args: [...args], options: { config: { type: "string" } } }).values.config ?? null,
  );
}

/** The configuration that a file holds, or null after each of its problems was told. */
export async function configOf(file: string, io: CommandIo): Promise<Config | null> {
  const config = await loadConfig(file);
  if (config.ok) return config.value;
  tellProblems(config.error, io);
  return null;
}

/**
 * The time that is asked for on a command line.
 *
 * @throws  An error with a text for people, where a time is none.
 */
export function windowOf(from: string | undefined, to: string | undefined): TimeWindow {
  const timeOf = (text: string) => {
    const ms = Date.parse(text);
    if (Number.isNaN(ms)) throw new Error(`${text} is no time; write for example 2026-11-22T08:00Z 时间格式错误`);
    return ms;
  };
  if (from === undefined && to === undefined) return ALL_TIME;
  const window = {
    fromMs: from === undefined ? Number.NEGATIVE_INFINITY : timeOf(from),
    toMs: to === undefined ? Number.POSITIVE_INFINITY : timeOf(to),
    isWhole: false,
  };
  if (!(window.fromMs < window.toMs)) throw new Error("--from must lie before --to 开始时间必须早于结束时间");
  return window;
}
