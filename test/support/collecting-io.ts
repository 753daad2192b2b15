import type { CommandIo } from "../../src/commands/command.ts";

/** A command's streams whose lines are kept, without any input. */
export function collectingIo(): CommandIo & { readonly out: string[]; readonly err: string[] } {
  const out: string[] = [];
  const err: string[] = [];
  return { out, err, stdout: (line) => out.push(line), stderr: (line) => err.push(line), stdin: (async function* () {})() };
}
