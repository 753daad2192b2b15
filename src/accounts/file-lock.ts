import { open, rm, stat } from "node:fs/promises";
import { fail, type Result, succeed } from "../core/result.ts";

/** How to wait for a lock. */
export interface FileLockParts {
  /** The wall clock, which the files' times come from too. */
  readonly now: () => number;
  /** A lock older than this was left by a process that died, and is taken away; nobody waits longer than that either. */
  readonly ageMsMax: number;
}

/**
 * Does some work that no other process does at the same time: one that changes a file it has read before. The lock is a file beside it.
 *
 * @returns  What the work returns; the operating system's code where the lock cannot be made, `locked` where it does not become free.
 */
export async function withFileLock<Value>(
  file: string,
  parts: FileLockParts,
  work: () => Promise<Value>,
): Promise<Result<Value, string>> {
  const lock = `${file}.lock`;
  const startMs = parts.now();
  const asleep = new Int32Array(new SharedArrayBuffer(4));
  for (let problem = await takeLock(lock); problem !== null; problem = await takeLock(lock)) {
    if (problem !== "EEXIST") return fail(problem);
    const nowMs = parts.now();
    // A clock that was set meanwhile ends the wait as well.
    if (Math.abs(nowMs - startMs) > parts.ageMsMax) return fail("locked");
    const sinceMs = await madeAtMs(lock);
    if (sinceMs !== null && Math.abs(nowMs - sinceMs) > parts.ageMsMax) await rm(lock, { force: true });
    await new Promise((resolve) => setImmediate(resolve));
    // A millisecond's sleep of the whole process, so that many that wait leave the processor to the one that works. A timer would let a command end.
    Atomics.wait(asleep, 0, 0, 1);
  }
  try {
    return succeed(await work());
  } finally {
    await rm(lock, { force: true });
  }
}

/** Null where it is ours now. */
async function takeLock(lock: string): Promise<string | null> {
  try {
    await (await open(lock, "wx", 0o600)).close();
    return null;
  } catch (error) {
    return error instanceof Error && "code" in error ? String(error.code) : "unknown";
  }
}

async function madeAtMs(lock: string): Promise<number | null> {
  try {
    return (await stat(lock)).mtimeMs;
  } catch {
    return null;
  }
}
