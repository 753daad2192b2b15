import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import type { Fault } from "../../src/core/errors.ts";
import type { JournalRecord } from "../../src/core/record.ts";
import { actOf, alertOf, observationOf } from "./journal-records.ts";

const OBEYING = new URL("./journal-obeying.ts", import.meta.url).pathname;
const children = new Set<ChildProcess>();

/** Every seventh is an alert, every second of which has ended; every 50th an act; the rest are observations. */
export function wardRecordOf(number: number): JournalRecord {
  if (number % 7 === 0) return alertOf({ seq: number, id: `alert-${number}`, state: number % 2 === 0 ? "ended" : "active" });
  if (number % 50 === 0) return actOf({ seq: number });
  return observationOf({ seq: number });
}

/** What a journal said of its opening. */
export interface SaidAtOpening {
  readonly epoch: string;
  readonly lastSeqAtOpen: number;
  readonly leftOutAtOpen: { readonly from: number; readonly to: number } | null;
  readonly openMs: number;
}

/** What a journal told since it was opened. */
export interface SaidSince {
  readonly losses: readonly { readonly what: string; readonly from: number; readonly to: number; readonly count: number }[];
  readonly faults: readonly Fault[];
  readonly committedSeq: number;
}

/** A journal in a process of its own. A command that is not answered within its time rejects. */
export interface ObeyingJournal {
  readonly opened: SaidAtOpening;
  readonly append: (from: number, count: number) => Promise<void>;
  readonly committed: (seq: number) => Promise<void>;
  /** Number and hash of every record, page by page. */
  readonly read: () => Promise<readonly (readonly [seq: number, hash: number])[]>;
  readonly look: () => Promise<{ readonly open: number; readonly latest: number; readonly trend: number; readonly back: number }>;
  readonly waves: () => Promise<{ readonly chunks: number; readonly ofStrip: number }>;
  readonly told: () => Promise<SaidSince>;
  readonly close: () => Promise<void>;
}

/** An answer names the command it belongs to; 0 is the opening. */
interface Answer {
  readonly id: number;
  readonly [said: string]: unknown;
}

/** A command that is not answered within so long rejects. */
const ANSWER_MS_MAX = 20_000;

/** Opens a folder's journal in a process of its own, in good time. @param user  Whom that process belongs to; null: to this one's user. */
export async function openObeying(
  folder: string,
  env: NodeJS.ProcessEnv,
  user: { readonly uid: number; readonly gid: number } | null = null,
): Promise<ObeyingJournal> {
  const child = spawn(process.execPath, [OBEYING, folder], {
    stdio: ["pipe", "pipe", "inherit"],
    env: { ...process.env, ...env },
    ...user,
  });
  children.add(child);
  const answers = new Map<number, (said: Answer) => void>();
  createInterface({ input: child.stdout }).on("line", (line) => {
    const said = JSON.parse(line) as Answer;
    answers.get(said.id)?.(said);
  });
  const answerTo = (id: number, what: string): Promise<Answer> =>
    new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`no answer within ${ANSWER_MS_MAX} ms: ${what}`)), ANSWER_MS_MAX);
      answers.set(id, (said) => {
        clearTimeout(timer);
        answers.delete(id);
        if ("refused" in said || "failed" in said) reject(new Error(`${what}: ${JSON.stringify(said)}`));
        else resolve(said);
      });
    });
  let lastId = 0;
  const tell = (command: { readonly do: string; readonly from?: number; readonly count?: number }) => {
    lastId += 1;
    const answered = answerTo(lastId, command.do);
    child.stdin.write(`${JSON.stringify({ id: lastId, ...command })}\n`);
    return answered;
  };
  const { opened } = (await answerTo(0, "open")) as unknown as { readonly opened: SaidAtOpening };
  return {
    opened,
    append: async (from, count) => void (await tell({ do: "append", from, count })),
    committed: async (seq) => void (await tell({ do: "commit", from: seq })),
    read: async () => (await tell({ do: "read" }))["records"] as readonly (readonly [number, number])[],
    look: async () => (await tell({ do: "look" })) as unknown as Awaited<ReturnType<ObeyingJournal["look"]>>,
    waves: async () => (await tell({ do: "waves" })) as unknown as Awaited<ReturnType<ObeyingJournal["waves"]>>,
    told: async () => (await tell({ do: "told" })) as unknown as SaidSince,
    close: async () => {
      const ended = once(child, "close");
      await tell({ do: "close" });
      await ended;
      children.delete(child);
    },
  };
}

/** What a look from outside found; no gateway is at work. */
export interface SeenFromOutside {
  readonly fault?: Fault;
  readonly records: readonly number[];
  readonly damaged: readonly (readonly [number, number])[];
  readonly losses: readonly (readonly [number, number])[];
  readonly leftOut: readonly (readonly [number, number])[];
}

/** Looks at a journal from a process of its own, as `vigil verify` does. */
export function viewFromOutside(folder: string, env: NodeJS.ProcessEnv): SeenFromOutside {
  const said = execFileSync(process.execPath, [OBEYING, folder, "view"], { env: { ...process.env, ...env }, encoding: "utf8" });
  return JSON.parse(said) as SeenFromOutside;
}

/** Ends every process that still runs. */
export function endObeying(): void {
  for (const child of children) child.kill("SIGKILL");
  children.clear();
}
