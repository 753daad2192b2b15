import type { CommandIo } from "../../src/commands/command.ts";

/** A command's streams: its standard input gives these lines, and what it says is kept line by line. */
export function collectingIo(input: readonly string[] = []): CommandIo & { readonly out: string[]; readonly err: string[] } {
  const out: string[] = [];
  const err: string[] = [];
  const stdin = (async function* () {
    yield* input;
  })();
  return { out, err, stdout: (line) => out.push(line), stderr: (line) => err.push(line), stdin };
}
