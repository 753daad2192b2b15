import { type Fault, fault } from "../core/errors.ts";
import { type Seq, seq } from "../core/ids.ts";
import { LIMITS } from "../core/limits.ts";
import type { Journal } from "../core/ports.ts";
import type { JournalRecord, Receipt } from "../core/record.ts";
import type { Clock, Timer } from "../core/time.ts";
import { TokenBucket } from "../core/token-bucket.ts";
import type { ReceiptMessage } from "../core/upstream.ts";

/** What a book of receipts needs. */
export interface ReceiptBookParts {
  /** The reader whose receipts these are, for example `upstream:hospital`. */
  readonly reader: string;
  readonly journal: Pick<Journal, "read" | "onCommit" | "lastSeqAtOpen">;
  readonly clock: Clock;
  /** Makes the receipt a record and hands it to the journal; returns its number. */
  readonly record: (receipt: ReceiptMessage) => Seq;
  /** `upstream-receipts-many` when receipts begin to wait for their pace, null when that is over. */
  readonly onFault: (reason: Fault | null) => void;
  /** From here on nothing is recorded and nobody thanked. */
  readonly stop: AbortSignal;
}

/** Receipts on their way to the disk, each recorded once. */
export interface ReceiptBook {
  /**
   * Takes a receipt. `thank` is called when it is on disk, at once where it was before; never where the book stops first or already has
   * `upstreamReceiptsWaitingMax` that wait: the sender keeps it and brings it again.
   */
  readonly take: (receipt: ReceiptMessage, thank: () => void) => void;
}

/** Opens a book. Until the journal has said which receipts came last before this start, receipts wait. */
export function openReceiptBook(parts: ReceiptBookParts): ReceiptBook {
  const book = new Book(parts);
  void book.begin();
  return { take: (receipt, thank) => book.take(receipt, thank) };
}

/** How often the pace is looked at while receipts wait for it, in ms. */
const PACE_MS = 100;
/** Receipts that may come at once before the pace counts: ten seconds of it. */
const BURST_COUNT = 10 * LIMITS.upstreamReceiptsPerSecondMax.value;

interface Entry {
  readonly receipt: ReceiptMessage;
  /** The record's number, or null while the receipt waits for its turn. */
  number: Seq | null;
  recorded: boolean;
  readonly thanks: Set<() => void>;
}

class Book {
  readonly #parts: ReceiptBookParts;
  /** By key, state and name, the one that came first before the others. */
  readonly #known = new Map<string, Entry>();
  /** Those of them that wait for their turn, and those that wait for the disk. */
  readonly #waiting = new Set<Entry>();
  readonly #uncommitted = new Set<Entry>();
  #isReady = false;
  readonly #pace: TokenBucket;
  #paceTimer: Timer | null = null;
  #isMany = false;

  constructor(parts: ReceiptBookParts) {
    this.#parts = parts;
    const perSecond = LIMITS.upstreamReceiptsPerSecondMax.value;
    this.#pace = new TokenBucket({ perSecond, atOnce: BURST_COUNT }, parts.clock.monotonic());
  }

  async begin(): Promise<void> {
    const { journal, reader, clock, stop } = this.#parts;
    const stopListening = journal.onCommit((upTo) => this.#committed(upTo));
    stop.addEventListener("abort", () => {
      stopListening();
      this.#paceTimer?.stop();
    });
    while (!stop.aborted) {
      const latest = await readLatestReceipts(journal).catch(() => null);
      if (latest !== null) {
        for (const record of latest)
          if (record.kind === "receipt" && !("hop" in record) && record.reader === reader) this.#learn(record);
        this.#isReady = true;
        this.#takeWaiting();
        return;
      }
      await clock.sleep(LIMITS.journalRetryMs.value, stop);
    }
  }

  #learn(record: Receipt): void {
    const receipt = { key: record.of, state: record.state, by: record.by };
    const waiting = this.#known.get(identityOf(receipt));
    if (waiting === undefined) {
      this.#known.set(identityOf(receipt), { receipt, number: record.seq, recorded: true, thanks: new Set() });
      return;
    }
    this.#waiting.delete(waiting);
    this.#settle(waiting);
  }

  take(receipt: ReceiptMessage, thank: () => void): void {
    if (this.#parts.stop.aborted) return;
    const identity = identityOf(receipt);
    const known = this.#known.get(identity);
    if (known?.recorded === true) {
      thank();
      return;
    }
    if (known !== undefined) {
      known.thanks.add(thank);
      return;
    }
    if (this.#waiting.size + this.#uncommitted.size >= LIMITS.upstreamReceiptsWaitingMax.value) return;
    const entry = { receipt, number: null, recorded: false, thanks: new Set([thank]) };
    this.#known.set(identity, entry);
    this.#waiting.add(entry);
    this.#takeWaiting();
  }

  /** Records what waits, as far as the pace allows. */
  #takeWaiting(): void {
    const { clock, stop, record } = this.#parts;
    if (!this.#isReady || stop.aborted) return;
    const nowMs = clock.monotonic();
    for (const entry of this.#waiting) {
      if (this.#pace.waitMs(nowMs) > 0) break;
      this.#pace.take(1, nowMs);
      this.#waiting.delete(entry);
      entry.number = record(entry.receipt);
      this.#uncommitted.add(entry);
    }
    this.#tellMany();
    if (this.#isMany) this.#paceAgain();
  }

  /** Many begins when one must wait for the pace, and is over when a whole burst would be allowed again. */
  #tellMany(): void {
    const waitingCount = this.#waiting.size;
    const isMany = waitingCount > 0 || (this.#isMany && !this.#pace.isFull(this.#parts.clock.monotonic()));
    if (isMany === this.#isMany) return;
    this.#isMany = isMany;
    const perSecond = LIMITS.upstreamReceiptsPerSecondMax.value;
    this.#parts.onFault(isMany ? fault("upstream-receipts-many", { reader: this.#parts.reader, perSecond }) : null);
  }

  #paceAgain(): void {
    this.#paceTimer ??= this.#parts.clock.after(PACE_MS, () => {
      this.#paceTimer = null;
      this.#takeWaiting();
    });
  }

  #committed(upTo: Seq): void {
    for (const entry of this.#uncommitted) {
      if (entry.number === null || entry.number > upTo) continue;
      this.#uncommitted.delete(entry);
      this.#settle(entry);
    }
    this.#forget();
  }

  #settle(entry: Entry): void {
    entry.recorded = true;
    for (const thank of entry.thanks) thank();
    entry.thanks.clear();
  }

  #forget(): void {
    for (const [identity, entry] of this.#known) {
      if (this.#known.size <= LIMITS.upstreamReceiptsKnownMax.value) return;
      if (entry.recorded) this.#known.delete(identity);
    }
  }
}

function identityOf({ key, state, by }: ReceiptMessage): string {
  return `${key} ${state} ${by}`;
}

/**
 * The last receipts on disk, at least half a page of them where there are so many: what a server can bring again after a crash is among
 * them. The place to begin is found by halving, because numbers say little about how many receipts they hold.
 */
async function readLatestReceipts(journal: Pick<Journal, "read" | "lastSeqAtOpen">): Promise<readonly JournalRecord[]> {
  const limit = LIMITS.journalReadRecordsMax.value;
  const upToSeq = journal.lastSeqAtOpen;
  let tooEarly = -1;
  let afterSeq: number = upToSeq;
  let latest: readonly JournalRecord[] = [];
  for (let probe = 0; ; probe = Math.floor((tooEarly + afterSeq) / 2)) {
    const page = await journal.read({ afterSeq: seq(probe), upToSeq, limit, kinds: ["receipt"] });
    if (page.length >= limit) tooEarly = probe;
    else {
      afterSeq = probe;
      latest = page;
    }
    if (latest.length >= limit / 2 || afterSeq - tooEarly <= 1) return latest;
  }
}
