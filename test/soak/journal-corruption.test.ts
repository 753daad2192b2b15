import { type ChildProcess, spawn } from "node:child_process";
import { availableParallelism } from "node:os";
import { afterEach, describe, expect, test } from "vitest";
import type { CorruptionRow, CorruptionTally } from "../support/corruption.ts";
import { runCorruptions } from "../support/corruption.ts";

const CASES = Number(process.env["VIGIL_SOAK_CORRUPTIONS"] ?? 1_000_000);
/** The number of the first case: a million may be run in parts, each of its own cases. */
const FIRST_CASE = Number(process.env["VIGIL_SOAK_FIRST"] ?? 0);
const SEED = Number(process.env["VIGIL_SOAK_SEED"] ?? 1);
/** The same through the journal's real threads, which take thirty times as long. */
const THREADED_CASES = Math.ceil(CASES / 500);
/** After so many cases of a process its figures so far are told, so that a run that is cut short has shown something. */
const ROW_CASES = 25_000;
/** A case waits for the disk for a third of its time, so one process more than there are cores uses them better. */
const PROCESSES = Math.min(3, availableParallelism() + 1);
/** A process that reports no case for so many seconds has hung; counted by a timer, so that the whole may be halted for a while. */
const SILENT_SECONDS_MAX = 120;
const MODULE = new URL("../support/corruption.ts", import.meta.url).href;
const running = new Set<ChildProcess>();

afterEach(() => {
  for (const child of running) child.kill("SIGKILL");
});

/** Runs a row of cases in a process of its own; rejects where that ends or falls silent before it is done. */
function runApart(row: CorruptionRow): Promise<CorruptionTally> {
  const script = `
    import(${JSON.stringify(MODULE)})
      .then(({ runCorruptions }) => runCorruptions(${JSON.stringify(row)}, (done) => { if (done % 50 === 0) process.send({ done }); }))
      .then((tally) => process.send({ tally }, () => process.exit(0)));`;
  const child = spawn(process.execPath, ["-e", script], {
    stdio: ["ignore", "inherit", "inherit", "ipc"],
  });
  running.add(child);
  return new Promise((resolve, reject) => {
    let done = 0;
    let silentSeconds = 0;
    const timer = setInterval(() => {
      silentSeconds += 1;
      if (silentSeconds < SILENT_SECONDS_MAX) return;
      child.kill("SIGKILL");
      const where = `silent after case ${row.from + done} of seed ${row.seed}`;
      process.stdout.write(`${where}\n`);
      reject(new Error(where));
    }, 1000);
    child.on("message", (message: { readonly done?: number; readonly tally?: CorruptionTally }) => {
      silentSeconds = 0;
      if (message.done !== undefined) done = message.done;
      if (message.tally !== undefined) resolve(message.tally);
    });
    child.on("exit", (code, signal) => {
      clearInterval(timer);
      running.delete(child);
      reject(new Error(`ended with ${code ?? signal} after case ${row.from + done} of seed ${row.seed}`));
    });
  });
}

/** Runs a share of the cases, a row after the other. */
async function runShare(share: CorruptionRow): Promise<CorruptionTally> {
  const tallies: CorruptionTally[] = [];
  for (let done = 0; done < share.count; done += ROW_CASES) {
    const count = Math.min(ROW_CASES, share.count - done);
    tallies.push(await runApart({ ...share, from: share.from + done, count }));
    const soFar = together(tallies);
    tell(`cases ${share.from} to ${share.from + done + count - 1}`, { ...soFar, seconds: secondsOf(tallies) });
  }
  return { ...together(tallies), seconds: secondsOf(tallies) };
}

function secondsOf(tallies: readonly CorruptionTally[]): number {
  return tallies.reduce((sum, { seconds }) => sum + seconds, 0);
}

function together(tallies: readonly CorruptionTally[]): CorruptionTally {
  const sum = (of: (tally: CorruptionTally) => number) => tallies.reduce((all, tally) => all + of(tally), 0);
  return {
    cases: sum((tally) => tally.cases),
    outcomes: {
      harmless: sum((tally) => tally.outcomes.harmless),
      "found-at-open": sum((tally) => tally.outcomes["found-at-open"]),
      "found-when-read": sum((tally) => tally.outcomes["found-when-read"]),
    },
    missingRecords: sum((tally) => tally.missingRecords),
    missingWithoutRange: sum((tally) => tally.missingWithoutRange),
    wrongCount: sum((tally) => tally.wrongCount),
    wrong: tallies.flatMap((tally) => tally.wrong),
    seconds: Math.max(...tallies.map((tally) => tally.seconds)),
  };
}

function tell(what: string, tally: CorruptionTally): string {
  const { outcomes, cases, seconds } = tally;
  const figures =
    `${new Date().toISOString()}: ${cases} single bytes changed, ${what}, seed ${SEED}, ${Math.round(seconds)} s ` +
    `(${((seconds * 1000) / cases).toFixed(1)} ms each): ${outcomes.harmless} harmless, ${outcomes["found-at-open"]} found at open, ` +
    `${outcomes["found-when-read"]} found when read; ${tally.missingRecords} records missing, of ${tally.missingWithoutRange} only the file is ` +
    `told; ${tally.wrongCount} wrong`;
  const told = [figures, ...tally.wrong].join("\n");
  process.stdout.write(`${told}\n`);
  return told;
}

describe("one byte of a journal is changed", () => {
  test(`${CASES} times: nothing false is shown, what is missing is told, it neither hangs nor ends, and goes on`, {
    timeout: 28_800_000,
  }, async () => {
    const share = Math.ceil(CASES / PROCESSES);
    const shares = Array.from({ length: PROCESSES }, (_, index) => ({
      seed: SEED,
      from: FIRST_CASE + index * share,
      count: Math.min(share, CASES - index * share),
      appendEvery: 40,
      viewsEvery: 8,
      threads: false,
    }));
    const tally = together(await Promise.all(shares.map(runShare)));
    expect(tally.wrongCount, tell(`in ${PROCESSES} processes`, tally)).toBe(0);
    expect(tally.outcomes.harmless, "some bytes are of no use").toBeGreaterThan(0);
    expect(tally.outcomes["found-at-open"] + tally.outcomes["found-when-read"], "and many are").toBeGreaterThan(CASES / 5);
  });

  test(`${THREADED_CASES} times through the journal's real threads`, { timeout: 14_400_000 }, async () => {
    const row = { seed: SEED + 1, from: 0, count: THREADED_CASES, appendEvery: 5, viewsEvery: 1, threads: true };
    const tally = await runCorruptions(row);
    expect(tally.wrongCount, tell("through threads", tally)).toBe(0);
  });
});
