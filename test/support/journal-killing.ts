import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { expect } from "vitest";
import type { Journal } from "../../src/core/ports.ts";
import { openOrFail, readAll } from "./journal-folder.ts";
import { until } from "./until.ts";

const APPENDER = new URL("./journal-appender.ts", import.meta.url).pathname;
const children = new Set<ChildProcess>();

/** A process that appends, and how to end it. */
export interface Appender {
  readonly child: ChildProcess;
  /** What it said, line by line; the first is `open <epoch> <lastSeq>`. */
  readonly lines: readonly string[];
  readonly epoch: string;
  /** The number of its first record. */
  readonly firstSeq: number;
  /** The last number it said committed; the one before its first where it said none. */
  readonly committedSeq: () => number;
  readonly kill: () => Promise<void>;
}

/** Starts a process that appends so many records every 10 ms to the folder's journal. */
export async function startAppender(
  folder: string,
  perTurn: number,
  more: { readonly env?: NodeJS.ProcessEnv; readonly bytesMax?: number; readonly keptFileBytesMax?: number } = {},
): Promise<Appender> {
  const { env = process.env, bytesMax = 1e9, keptFileBytesMax = 64e6 } = more;
  const child = spawn(process.execPath, [APPENDER, folder, ...[perTurn, bytesMax, keptFileBytesMax].map(String)], {
    stdio: ["ignore", "pipe", "inherit"],
    env,
  });
  children.add(child);
  const lines: string[] = [];
  createInterface({ input: child.stdout }).on("line", (line) => lines.push(line));
  await until("the appender has opened the journal", () => lines.length > 0, 20_000);
  const [, epoch = "", beforeFirst = "0"] = lines[0]?.split(" ") ?? [];
  const committedSeq = () => Number(lines.findLast((line) => line.startsWith("committed"))?.split(" ")[1] ?? beforeFirst);
  const kill = async () => {
    const ended = once(child, "close");
    child.kill("SIGKILL");
    await ended;
    children.delete(child);
  };
  return { child, lines, epoch, firstSeq: Number(beforeFirst) + 1, committedSeq, kill };
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
  readonly keptFileBytesMax?: number;
}): Promise<void> {
  const random = randomFrom(attack.seed);
  const epochs = new Set<string>();
  const lives: Life[] = [];
  for (let kill = 0; kill < attack.kills; kill++) {
    const about = `kill ${kill}, seed ${attack.seed}`;
    const appender = await startAppender(attack.folder, 25, attack);
    epochs.add(appender.epoch);
    await new Promise((resolve) => setTimeout(resolve, 20 + random() * 450));
    await appender.kill();
    lives.push({ from: appender.firstSeq, said: appender.committedSeq() });
    const journal = await openOrFail(attack.folder);
    await expectAllSaid(journal, lives, about);
    await journal.close();
  }
  expect(epochs.size, `one epoch over all kills, seed ${attack.seed}`).toBe(1);
}

/** The numbers of one life of an appender: what it said committed goes from one to the other. */
export interface Life {
  readonly from: number;
  readonly said: number;
}

/** What was said committed is there, once and in order, nothing is damaged, and nothing but what was never said committed is told as lost. */
export async function expectAllSaid(journal: Journal, lives: readonly Life[], about: string): Promise<void> {
  expect(journal.faultsAtOpen, about).toEqual([]);
  expect(journal.lastSeqAtOpen, about).toBeGreaterThanOrEqual(
    Math.max(0, ...lives.filter(({ from, said }) => said >= from).map(({ said }) => said)),
  );
  const dropped: { readonly fromSeq: number; readonly toSeq: number }[] = [];
  journal.onLoss((loss) => {
    // A rule that drops what was said committed, or that the line was too long for it, says so by itself.
    const byRule = loss.why === "byte-budget" || loss.why === "queue-full";
    if (byRule) dropped.push(loss);
    if (byRule) return;
    expect(loss.why, about).toBe("cut-off");
    for (const { from, said } of lives)
      expect(loss.fromSeq <= said && loss.toSeq >= from, `${about}: ${JSON.stringify(loss)}`).toBe(false);
  });
  const seqs = (await readAll(journal)).map((record) => record.seq as number);
  const present = new Set(seqs);
  expect(present.size, `no number twice, ${about}`).toBe(seqs.length);
  expect(seqs, `in order, ${about}`).toEqual([...seqs].sort((one, other) => one - other));
  const missing = lives.flatMap(({ from, said }) => {
    const given = Array.from({ length: Math.max(0, said - from + 1) }, (_, index) => from + index);
    return given.filter((number) => !present.has(number));
  });
  const isDropped = (number: number) => dropped.some(({ fromSeq, toSeq }) => fromSeq <= number && number <= toSeq);
  expect(
    missing.filter((number) => !isDropped(number)),
    about,
  ).toEqual([]);
}
