import { type ChildProcess, spawn } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterEach, beforeEach } from "vitest";

const PROJECT_FOLDER = new URL("../..", import.meta.url).pathname;
/** The command line's own file. */
const MAIN_FILE = join(PROJECT_FOLDER, "src", "main.ts");
/** Every process of a stage carries its folder in this variable, and so do all that it starts, whatever group they are in. */
const MARK = "VIGIL_TEST_STAGE";

/** A program that runs, and everything it said. */
export interface Program {
  readonly pid: number;
  readonly stdout: readonly string[];
  readonly stderr: readonly string[];
  /** Takes the lines of `stdout` away, for a program that says so much that they would fill the memory. */
  readonly takeStdout: () => readonly string[];
  /** Resolves when it has ended and all it said is read, with the exit code, or null where a signal ended it. */
  readonly exited: Promise<number | null>;
  readonly running: () => boolean;
  readonly signal: (name: NodeJS.Signals) => void;
  /** As a terminal does at Ctrl-C: to the program and everything in its group. */
  readonly signalGroup: (name: NodeJS.Signals) => void;
}

/** One test's folder and processes. */
export interface Stage {
  readonly folder: string;
  /** Starts `vigil ...` with this Node. */
  readonly vigil: (args: readonly string[], env?: NodeJS.ProcessEnv) => Program;
  readonly program: (command: readonly string[], env?: NodeJS.ProcessEnv) => Program;
  /** Processes of this stage that live, with what they are called. */
  readonly processes: () => readonly { readonly pid: number; readonly command: string }[];
  /** Asked to be done at the end, last first. */
  readonly defer: (work: () => unknown) => void;
  /** Kills every process of this stage and removes its folder. */
  readonly close: () => Promise<void>;
}

/** Opens a stage. Its `close` belongs into `afterEach`. */
export async function openStage(): Promise<Stage> {
  const folder = await mkdtemp(join(tmpdir(), "vigil-system-"));
  const deferred: (() => unknown)[] = [];
  const processes = () => markedProcesses(folder);
  const program = (command: readonly string[], env: NodeJS.ProcessEnv = {}) =>
    startProgram(command, { ...process.env, ...env, [MARK]: folder });
  return {
    folder,
    program,
    vigil: (args, env) => program([process.execPath, MAIN_FILE, ...args], env),
    processes,
    defer: (work) => void deferred.push(work),
    close: async () => {
      for (const work of deferred.reverse()) await work();
      // Again until none is left: one that is being killed may just have started another.
      for (let round = 0; round < 50; round++) {
        const living = processes();
        if (living.length === 0) break;
        for (const { pid } of living) kill(pid, "SIGKILL");
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/**
 * Opens a stage before each test of the file that calls this, and closes it afterwards. Hooks of the file itself that come after the call
 * find it open, before the test and after it; what comes before the call is taken down when the stage has gone.
 *
 * @returns  The stage of the test that is running.
 */
export function stageOfEachTest(): () => Stage {
  let stage: Stage | null = null;
  beforeEach(async () => {
    stage = await openStage();
  });
  afterEach(async () => {
    await stage?.close();
    stage = null;
  });
  return () => {
    if (stage === null) throw new Error("no test is running");
    return stage;
  };
}

function startProgram(command: readonly string[], env: NodeJS.ProcessEnv): Program {
  const [file = "", ...args] = command;
  const child: ChildProcess = spawn(file, args, { cwd: PROJECT_FOLDER, env, detached: true, stdio: ["ignore", "pipe", "pipe"] });
  const { pid, stdout, stderr } = child;
  if (pid === undefined || stdout === null || stderr === null) throw new Error(`${file} does not start`);
  const said = { stdout: [] as string[], stderr: [] as string[] };
  createInterface({ input: stdout }).on("line", (line) => said.stdout.push(line));
  createInterface({ input: stderr }).on("line", (line) => said.stderr.push(line));
  return {
    pid,
    ...said,
    takeStdout: () => said.stdout.splice(0),
    exited: new Promise((resolve) => child.once("close", (code) => resolve(code))),
    running: () => child.exitCode === null && child.signalCode === null,
    signal: (name) => kill(pid, name),
    signalGroup: (name) => kill(-pid, name),
  };
}

function kill(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // It has ended by itself.
  }
}

/** Reads the environments of all processes; one that ends meanwhile, or a zombie, is none. */
function markedProcesses(folder: string): readonly { readonly pid: number; readonly command: string }[] {
  const wanted = `${MARK}=${folder}\0`;
  return readdirSync("/proc").flatMap((name) => {
    if (!/^\d+$/.test(name)) return [];
    try {
      if (!`${readFileSync(`/proc/${name}/environ`, "utf8")}\0`.includes(wanted)) return [];
      return [{ pid: Number(name), command: readFileSync(`/proc/${name}/cmdline`, "utf8").replaceAll("\0", " ").trim() }];
    } catch {
      return [];
    }
  });
}
