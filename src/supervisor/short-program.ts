import { type ChildProcess, spawn } from "node:child_process";
import type { Clock } from "../core/time.ts";

/** Why a program that should take moments did not do its work. */
export type ProgramTrouble = "not-started" | "exit-code" | "signal" | "too-long";

/** What became of a short program. `stopped` means that nobody wanted it any longer. */
export type ProgramOutcome =
  | { readonly kind: "worked" }
  | { readonly kind: "stopped" }
  | { readonly kind: "failed"; readonly why: ProgramTrouble; readonly detail: string };

/**
 * Runs a program to its end, in a process group of its own, so that what it started is ended with it.
 *
 * @param options.command  Program and arguments; no shell is involved.
 * @param options.msMax    After this time the whole group is killed and the outcome is `too-long`.
 * @param parts.stop       Kills the group at once; the outcome is `stopped`.
 */
export function runShortProgram(
  options: { readonly command: readonly string[]; readonly env: NodeJS.ProcessEnv; readonly msMax: number },
  parts: { readonly clock: Clock; readonly stop: AbortSignal },
): Promise<ProgramOutcome> {
  return new Promise((resolve) => {
    if (parts.stop.aborted) return resolve({ kind: "stopped" });
    const started = start(options.command, options.env);
    if (started instanceof Error) return resolve(notStarted(started));
    let cut: ProgramOutcome | null = null;
    const cutShort = (outcome: ProgramOutcome) => {
      cut ??= outcome;
      killGroup(started);
    };
    const limit = parts.clock.after(options.msMax, () =>
      cutShort({ kind: "failed", why: "too-long", detail: `${options.msMax} ms` }),
    );
    const onStop = () => cutShort({ kind: "stopped" });
    parts.stop.addEventListener("abort", onStop);
    const finish = (outcome: ProgramOutcome) => {
      limit.stop();
      parts.stop.removeEventListener("abort", onStop);
      resolve(outcome);
    };
    started.once("error", (error) => finish(cut ?? notStarted(error)));
    started.once("exit", (exitCode, signal) => finish(cut ?? outcomeOf(exitCode, signal)));
  });
}

/** Kills a process that leads its own group, and everything in that group. Does nothing when it has already ended. */
export function killGroup(leader: ChildProcess): void {
  if (leader.pid === undefined || leader.exitCode !== null || leader.signalCode !== null) return;
  try {
    process.kill(-leader.pid, "SIGKILL");
  } catch {
    // The group is gone between the look and the kill, which is what was wanted; where it is not, the leader is killed alone.
    leader.kill("SIGKILL");
  }
}

function start(command: readonly string[], env: NodeJS.ProcessEnv): ChildProcess | Error {
  const [program, ...programArguments] = command;
  if (program === undefined) return new Error("the command is empty");
  try {
    return spawn(program, programArguments, { stdio: "ignore", detached: true, env });
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
}

function notStarted(error: Error): ProgramOutcome {
  return { kind: "failed", why: "not-started", detail: error.message };
}

function outcomeOf(exitCode: number | null, signal: string | null): ProgramOutcome {
  if (exitCode === 0) return { kind: "worked" };
  if (exitCode !== null) return { kind: "failed", why: "exit-code", detail: String(exitCode) };
  return { kind: "failed", why: "signal", detail: signal ?? "unknown" };
}
