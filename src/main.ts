#!/usr/bin/env node
import { enableCompileCache } from "node:module";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Command, CommandIo } from "./commands/command.ts";

/** Every command, loaded only when it is called, so that `vigil decode` does not pay for a database. */
const COMMANDS: Readonly<Record<string, () => Promise<Command>>> = {
  start: async () => (await import("./commands/start.ts")).startCommand,
  run: async () => (await import("./commands/run.ts")).runCommand,
  check: async () => (await import("./commands/check.ts")).checkCommand,
  decode: async () => (await import("./commands/decode.ts")).decodeCommand,
  encode: async () => (await import("./commands/encode.ts")).encodeCommand,
  drivers: async () => (await import("./commands/drivers.ts")).driversCommand,
  score: async () => (await import("./commands/score.ts")).scoreCommand,
  devices: async () => (await import("./commands/devices.ts")).devicesCommand,
  patients: async () => (await import("./commands/patients.ts")).patientsCommand,
  bench: async () => (await import("./commands/bench.ts")).benchCommand,
  generate: async () => (await import("./commands/generate.ts")).generateCommand,
  gateway: async () => (await import("./commands/gateway.ts")).gatewayCommand,
  "demo-world": async () => (await import("./commands/demo-world.ts")).demoWorldCommand,
};

/** Commands that other commands start; they work alone too but nobody types them. */
const INNER_COMMANDS: ReadonlySet<string> = new Set(["gateway", "demo-world"]);

/**
 * Keeps what Node makes of the TypeScript files. Measured: without it each process and thread loads a compiler of its own,
 * and an idle gateway takes 119 MB instead of 85. Where the folder cannot be written everything works as before.
 */
function keepCompiled(): void {
  process.env["NODE_COMPILE_CACHE"] ??= join(import.meta.dirname, "..", "node_modules", ".vigil", "compile-cache");
  enableCompileCache(process.env["NODE_COMPILE_CACHE"]);
}

/** Prints to the real streams; a reader that has gone away (`| head`) is no error. */
function standardIo(): CommandIo {
  const quietWhenClosed = (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") throw error;
  };
  process.stdout.on("error", quietWhenClosed);
  process.stderr.on("error", quietWhenClosed);
  return {
    stdout: (line) => void process.stdout.write(`${line}\n`),
    stderr: (line) => void process.stderr.write(`${line}\n`),
    get stdin() {
      return createInterface({ input: process.stdin, crlfDelay: Number.POSITIVE_INFINITY });
    },
  };
}

function usage(): string {
  const names = Object.keys(COMMANDS).filter((name) => !INNER_COMMANDS.has(name));
  return `usage: vigil COMMAND [...]\ncommands: ${names.join(" ")}\nvigil COMMAND --help tells more.\nVigil is not a registered medical device. 本软件不是注册医疗器械。`;
}

async function main(args: readonly string[]): Promise<number> {
  const io = standardIo();
  const [name, ...rest] = args;
  if (name === undefined || name === "--help" || name === "help") {
    io.stderr(usage());
    return name === undefined ? 2 : 0;
  }
  const load = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (load === undefined) {
    io.stderr(`vigil: there is no command ${name}\n${usage()}`);
    return 2;
  }
  const command = await load();
  if (rest.includes("--help")) {
    io.stdout(command.usage);
    return 0;
  }
  return await command.run(rest, io);
}

keepCompiled();
process.exitCode = await main(process.argv.slice(2));
