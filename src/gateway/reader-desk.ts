import { type Seq, seq } from "../core/ids.ts";
import { LIMITS } from "../core/limits.ts";
import type { Journal } from "../core/ports.ts";
import type { ReaderState, ReaderView } from "../core/reader-view.ts";
import type { JournalRecord } from "../core/record.ts";
import type { ReaderSource } from "../dashboard/server/source.ts";

/** Pages of loss records that are read for one answer; the rest is read for the next ones. */
const PAGES_PER_ANSWER_MAX = 20;

/** What one reader lost, of all lives of the gateway. */
interface LossSum {
  refusedCount: number;
  refusedLastAtMs: number | null;
  missedCount: number;
  missedLastAtMs: number | null;
}

/** Makes what the page of readers asks: how each stands, and what the journal knows of its losses. */
export function createReaderDesk(parts: {
  readonly journal: Pick<Journal, "read" | "committedSeq">;
  readonly readers: () => readonly ReaderState[];
}): ReaderSource {
  const losses = new LossBook(parts.journal);
  return {
    list: async () => {
      const lossesKnown = await losses.readOn();
      const newestSeq = parts.journal.committedSeq();
      return Promise.all(
        parts.readers().map(async (state): Promise<ReaderView> => {
          const oldestWaitingAtMs = await timeOfFirst(parts.journal, state.firstWaitingSeq);
          return { ...state, newestSeq, oldestWaitingAtMs, ...losses.of(state.name), lossesKnown };
        }),
      );
    },
  };
}

/** When the first record from a number on was made; null where none is there or the journal cannot be read now. */
async function timeOfFirst(journal: Pick<Journal, "read">, from: Seq | null): Promise<number | null> {
  if (from === null) return null;
  const [first] = await journal.read({ afterSeq: seq(from - 1), limit: 1 }).catch(() => []);
  return first === undefined ? null : timeOf(first);
}

function timeOf(record: JournalRecord): number | null {
  switch (record.kind) {
    case "observation":
      return record.times.receivedAtMs;
    case "alert":
      return record.changedAtMs;
    default:
      return "atMs" in record ? record.atMs : null;
  }
}

/** Adds up the journal's loss records, each once, as far as it has read. */
class LossBook {
  readonly #journal: Pick<Journal, "read" | "committedSeq">;
  readonly #sums = new Map<string, LossSum>();
  #readUpTo: Seq = seq(0);
  #reading: Promise<boolean> | null = null;

  constructor(journal: Pick<Journal, "read" | "committedSeq">) {
    this.#journal = journal;
  }

  /** Reads what came since the last time; false where there is more, or the journal cannot be read now. */
  readOn(): Promise<boolean> {
    this.#reading ??= this.#read().finally(() => {
      this.#reading = null;
    });
    return this.#reading;
  }

  of(reader: string): Readonly<LossSum> {
    return this.#sums.get(reader) ?? { refusedCount: 0, refusedLastAtMs: null, missedCount: 0, missedLastAtMs: null };
  }

  async #read(): Promise<boolean> {
    const upToSeq = this.#journal.committedSeq();
    const limit = LIMITS.journalReadRecordsMax.value;
    for (let page = 0; page < PAGES_PER_ANSWER_MAX; page++) {
      if (this.#readUpTo >= upToSeq) return true;
      const found = await this.#journal.read({ afterSeq: this.#readUpTo, upToSeq, limit, kinds: ["loss"] }).catch(() => null);
      if (found === null) return false;
      for (const record of found) this.#add(record);
      this.#readUpTo = found.at(-1)?.seq ?? upToSeq;
    }
    return false;
  }

  #add(record: JournalRecord): void {
    if (record.kind !== "loss" || record.reader === null || record.what !== "records") return;
    const sum = { ...this.of(record.reader) };
    if (record.why === "receiver-refused") {
      sum.refusedCount += record.count;
      sum.refusedLastAtMs = record.atMs;
    } else if (record.why === "reader-limit") {
      sum.missedCount += record.count;
      sum.missedLastAtMs = record.atMs;
    }
    this.#sums.set(record.reader, sum);
  }
}
