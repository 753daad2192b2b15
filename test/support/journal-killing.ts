import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { expect } from "vitest";
import { openOrFail, readAll, until } from "./journal-folder.ts";

const APPENDER = new URL("./journal-appender.ts", import.meta.url).pathname;
const children = new Set<ChildProcess>();

/** A process that appends, and how to end it. */
export interface Appender {
  readonly child: ChildProcess;
  /** What it said, line by line; the first is `open <epoch> <lastSeq>`. */
  readonly lines: readonly string[];
  readonly committedSeq: () => number;
  readonly kill: () => Promise<void>;
}

/** Starts a process that appends so many records every 10 ms to the folder's journal. */
export async function startAppender(folder: string, perTurn: number): Promise<Appender> {
  const child = spawn(process.execPath, [APPENDER, folder, String(perTurn)], { stdio: ["ignore", "pipe", "inherit"] });
  children.add(child);
  const lines: string[] = [];
  createInterface({ input: child.stdout }).on("line", (line) => lines.push(line));
  await until("the appender has opened the journal", () => lines.length > 0, 20_000);
  const committedSeq = () => Number(lines.findLast((line) => line.startsWith("committed"))?.split(" ")[1] ?? 0);
  const kill = async () => {
    const ended = once(child, "close");
    child.kill("SIGKILL");
    await ended;
    children.delete(child);
  };
  return { child, lines, committedSeq, kill };
}

/** Ends every appender that still runs. */
export function endAppenders(): void {
  for (const child of children) child.kill("SIGKILL");
  children.clear();
}

/** Mulberry32. */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Kills an appending process again and again, and looks each time whether all that it said committed is there, once and in order. */
export async function attackWithKills(attack: {
  readonly folder: string;
  readonly kills: number;
  readonly seed: number;
}): Promise<void> {
  const random = randomFrom(attack.seed);
  const epochs = new Set<string>();
  // What was never said committed may be missing before a kept record of the same batch that was written first.
  const neverSaid = new Set<number>();
  for (let kill = 0; kill < attack.kills; kill++) {
    const about = `kill ${kill}, seed ${attack.seed}`;
    const appender = await startAppender(attack.folder, 25);
    const [, epoch = "", firstSeq = "0"] = appender.lines[0]?.split(" ") ?? [];
    epochs.add(epoch);
    await new Promise((resolve) => setTimeout(resolve, 20 + random() * 450));
    await appender.kill();
    const said = Math.max(appender.committedSeq(), Number(firstSeq));
    const journal = await openOrFail(attack.folder);
    expect(journal.lastSeqAtOpen, about).toBeGreaterThanOrEqual(said);
    expect(journal.faultsAtOpen, about).toEqual([]);
    const seqs = (await readAll(journal)).map((record) => record.seq as number);
    const present = new Set(seqs);
    expect(present.size, `no number twice, ${about}`).toBe(seqs.length);
    expect(seqs, `in order, ${about}`).toEqual([...seqs].sort((one, other) => one - other));
    const missing = Array.from({ length: said }, (_, index) => index + 1).filter((number) => !present.has(number));
    expect(
      missing.filter((number) => !neverSaid.has(number)),
      about,
    ).toEqual([]);
    for (let number = said + 1; number <= journal.lastSeqAtOpen; number++) if (!present.has(number)) neverSaid.add(number);
    await journal.close();
  }
  expect(epochs.size, `one epoch over all kills, seed ${attack.seed}`).toBe(1);
}
