import { LIMITS } from "../core/limits.ts";
import type { JournalRecord } from "../core/record.ts";
import { BATCH_MESSAGE_KINDS, leavesFor } from "../core/upstream.ts";
import { contentBits, contentBitsOf } from "./content-hash.ts";
import { DelayHistogram } from "./delay-histogram.ts";
import type { FindingBook, FindingRule } from "./finding.ts";
import type { DeliveryState } from "./reader-account.ts";
import { isInWindow, type TimeWindow } from "./window.ts";

/** Numbers on one page of what the far side has. */
const PAGE_NUMBERS = 1024;

const PRESENT = 1;
const MATCHED = 2;
/** Came only as not durable so far. */
const PROVISIONAL = 4;
const HAS_CONTENT = 8;
const IN_WINDOW = 16;
/** The file does not say whether it was durable. */
const DURABLE_UNKNOWN = 32;

/** One page: five bytes a number. */
interface Page {
  readonly flags: Uint8Array;
  readonly content: Uint32Array;
}

/** A line of the receiver's record file, read. */
interface FarLine {
  readonly seq: number;
  readonly kind: string;
  readonly resent: boolean;
  readonly again: boolean;
  readonly redelivered: boolean;
  readonly durable: boolean | null;
  readonly contentBits: number | null;
  readonly receivedAtMs: number | null;
  readonly madeAtMs: number | null;
}

type Figures = ReturnType<DelayHistogram["figures"]>;

/** What the receiver's record file holds of this gateway and epoch. */
export interface FarSideAccount {
  readonly reader: string;
  readonly lines: number;
  /** Numbers, each once. */
  readonly records: number;
  readonly duplicatesMarked: number;
  readonly duplicatesUnmarked: number;
  /** Not marked as resent, and behind a later one of its kind. */
  readonly outOfOrder: number;
  readonly resent: number;
  readonly notDurable: number;
  readonly otherLines: number;
  readonly tornLines: number;
  /** From the making of the record to its arrival, by two clocks: first what came at once, then what was marked as resent. */
  readonly liveDelay: Figures;
  readonly backlogDelay: Figures;
}

/** Gathers a receiver's record file, five bytes a number, and compares it with the journal's records. */
export class FarSide {
  readonly reader: string;
  readonly #keyStart: string;
  readonly #window: TimeWindow;
  readonly #book: FindingBook;
  readonly #pages = new Map<number, Page>();
  readonly #newestLive = new Map<string, number>();
  readonly #live = new DelayHistogram();
  readonly #backlog = new DelayHistogram();
  #counts = {
    ...{ lines: 0, records: 0, duplicatesMarked: 0, duplicatesUnmarked: 0, outOfOrder: 0 },
    ...{ resent: 0, notDurable: 0, otherLines: 0 },
  };
  #tornLines = 0;
  #withoutContent = 0;
  #scatteredLines = 0;

  constructor(parts: {
    readonly reader: string;
    readonly gatewayId: string;
    readonly epoch: string;
    readonly window: TimeWindow;
    readonly book: FindingBook;
  }) {
    this.reader = parts.reader;
    this.#keyStart = `${parts.gatewayId}/${parts.epoch}/`;
    this.#window = parts.window;
    this.#book = parts.book;
  }

  // ------------------------------------------------------------- reading the file

  /** Takes one line of the file. @param isWhole  False for the last piece of a file that does not end with a line end. */
  takeLine(text: string, isWhole: boolean): void {
    if (text.trim() === "") return;
    const given = readLine(text) ?? readLine(text.slice(Math.max(0, text.lastIndexOf('{"key":'))));
    const isTorn = !isWhole || (given !== null && text.lastIndexOf('{"key":') > 0);
    if (given === null && isWhole) {
      this.#tell("far-unreadable", null, { line: this.#counts.lines + 1 });
      return;
    }
    if (isTorn) {
      this.#tornLines += 1;
      this.#tell("torn-line", null, { line: this.#counts.lines + 1 });
    }
    if (given === null) return;
    this.#counts.lines += 1;
    if (given.key.startsWith(this.#keyStart)) this.#take(given.line);
    else this.#counts.otherLines += 1;
  }

  #take(line: FarLine): void {
    const page = this.#page(line.seq);
    if (page === null) {
      this.#scatteredLines += 1;
      return;
    }
    const place = line.seq % PAGE_NUMBERS;
    const flags = page.flags[place] ?? 0;
    const durable = line.durable ?? ((BATCH_MESSAGE_KINDS as readonly string[]).includes(line.kind) ? true : null);
    if ((flags & PRESENT) !== 0) this.#takeAgain(line, page, durable);
    else this.#takeFirst(line, page, durable);
  }

  #takeFirst(line: FarLine, page: Page, durable: boolean | null): void {
    const { seq, receivedAtMs, madeAtMs } = line;
    const inWindow = this.#window.isWhole || isInWindow(this.#window, madeAtMs ?? receivedAtMs ?? Number.NaN);
    let flags = PRESENT | (inWindow ? IN_WINDOW : 0);
    if (durable === false) flags |= PROVISIONAL;
    if (durable === null) flags |= DURABLE_UNKNOWN;
    if (line.contentBits !== null) flags |= HAS_CONTENT;
    page.flags[seq % PAGE_NUMBERS] = flags;
    page.content[seq % PAGE_NUMBERS] = line.contentBits ?? 0;
    this.#counts.records += 1;
    if (line.contentBits === null) this.#withoutContent += 1;
    if (line.resent) this.#counts.resent += 1;
    if (durable === false) this.#counts.notDurable += 1;
    if (line.again) this.#tellIf(inWindow, "far-first-missing", seq, { kind: line.kind });
    else if (!line.resent && !line.redelivered) this.#takeLive(line, inWindow);
    if (inWindow && receivedAtMs !== null && madeAtMs !== null)
      (line.resent ? this.#backlog : this.#live).add(receivedAtMs - madeAtMs);
  }

  /**
   * What is not marked as resent comes in rising order of its kind. A life whose files could not be written begins at a number drawn by lot
   * far above all others, and where nothing of it came onto the disk the next life begins below it: order counts within such a life.
   */
  #takeLive({ kind, seq, durable }: FarLine, inWindow: boolean): void {
    const reserved = LIMITS.journalNumbersReserved.value;
    const isFarAbove = durable === false && seq - (this.#newestLive.get(kind) ?? 0) > reserved;
    const row = isFarAbove ? `${kind} ${Math.floor(seq / reserved)}` : kind;
    const newest = this.#newestLive.get(row) ?? 0;
    if (seq < newest) {
      this.#counts.outOfOrder += 1;
      this.#tellIf(inWindow, "far-out-of-order", seq, { kind, after: newest });
    }
    this.#newestLive.set(row, Math.max(newest, seq));
  }

  #takeAgain(line: FarLine, page: Page, durable: boolean | null): void {
    const place = line.seq % PAGE_NUMBERS;
    const flags = page.flags[place] ?? 0;
    const inWindow = (flags & IN_WINDOW) !== 0;
    if (line.resent || line.redelivered) this.#counts.duplicatesMarked += 1;
    else {
      this.#counts.duplicatesUnmarked += 1;
      this.#tellIf(inWindow, "far-unmarked-duplicate", line.seq, { kind: line.kind });
    }
    const known = (flags & HAS_CONTENT) !== 0 && line.contentBits !== null;
    if (known && page.content[place] !== line.contentBits)
      this.#tellIf(inWindow, "far-two-contents", line.seq, { kind: line.kind });
    if (durable === true) page.flags[place] = flags & ~(PROVISIONAL | DURABLE_UNKNOWN);
  }

  #page(seq: number): Page | null {
    const index = Math.floor(seq / PAGE_NUMBERS);
    const known = this.#pages.get(index);
    if (known !== undefined) return known;
    if (this.#pages.size >= LIMITS.verifyPagesMax.value) return null;
    const page = { flags: new Uint8Array(PAGE_NUMBERS), content: new Uint32Array(PAGE_NUMBERS) };
    this.#pages.set(index, page);
    return page;
  }

  // ---------------------------------------------------------- against the journal

  /** Holds a record of the journal against the file. @param state  What became of it for this reader, by the journal's account. */
  compare(record: JournalRecord, state: DeliveryState | null, inWindow: boolean): void {
    const page = this.#pages.get(Math.floor(record.seq / PAGE_NUMBERS));
    const place = record.seq % PAGE_NUMBERS;
    const flags = page?.flags[place] ?? 0;
    const { seq, kind } = record;
    if (page === undefined || (flags & PRESENT) === 0) {
      if (state === "delivered") this.#tellIf(inWindow, "far-missing", seq, { kind });
      return;
    }
    page.flags[place] = flags | MATCHED;
    const differs = (flags & HAS_CONTENT) !== 0 && page.content[place] !== contentBits(record);
    if (differs || !leavesFor(record, this.reader)) this.#tellIf(inWindow, "far-changed", seq, { kind });
  }

  /**
   * Says of everything at the far side that is not in the journal whether that is as it may be.
   *
   * @param whyMissing  Why a number has no record: the rule of a loss, `left-out`, or null.
   * @param endSeq      The last number that was compared.
   */
  settle(whyMissing: (number: number) => string | null, endSeq: number): void {
    for (const [index, { flags }] of [...this.#pages].sort(([one], [other]) => one - other)) {
      for (const [place, bits] of flags.entries()) {
        if ((bits & PRESENT) === 0 || (bits & MATCHED) !== 0 || (bits & IN_WINDOW) === 0) continue;
        this.#settle(index * PAGE_NUMBERS + place, bits, { whyMissing, endSeq });
      }
    }
    const { otherLines } = this.#counts;
    if (otherLines > 0) this.#tellMany("far-other", otherLines);
    if (this.#withoutContent > 0) this.#tellMany("far-no-content", this.#withoutContent);
    if (this.#scatteredLines > 0) this.#tellMany("far-scattered", this.#scatteredLines);
  }

  #settle(
    number: number,
    bits: number,
    at: { readonly whyMissing: (number: number) => string | null; readonly endSeq: number },
  ): void {
    const why = at.whyMissing(number);
    const wasDurable = (bits & (PROVISIONAL | DURABLE_UNKNOWN)) === 0;
    if (why !== null && why !== "left-out" && why !== "cut-off") return;
    const isAhead = number > at.endSeq;
    // What left as durable was committed before the file was read, and the journal is read after it: a cut-off that took it back, or an
    // end of the journal before it, means that the disk did not keep its word.
    if (wasDurable && (why !== null || isAhead)) this.#tell("far-not-kept", number, {});
    else if (isAhead) this.#tell("far-ahead", number, {});
    else if (why === null && (bits & PROVISIONAL) === 0) this.#tell("far-unknown", number, {});
  }

  #tellIf(inWindow: boolean, rule: FindingRule, seq: number, facts: Readonly<Record<string, string | number>>): void {
    if (inWindow) this.#tell(rule, seq, facts);
  }

  #tell(rule: FindingRule, seq: number | null, facts: Readonly<Record<string, string | number>>): void {
    this.#book.add({ rule, fromSeq: seq, toSeq: seq, count: 1, facts: { reader: this.reader, ...facts } });
  }

  #tellMany(rule: FindingRule, count: number): void {
    this.#book.add({ rule, fromSeq: null, toSeq: null, count, facts: { reader: this.reader } });
  }

  account(): FarSideAccount {
    return {
      reader: this.reader,
      ...this.#counts,
      tornLines: this.#tornLines,
      liveDelay: this.#live.figures(),
      backlogDelay: this.#backlog.figures(),
    };
  }
}

function readLine(text: string): { readonly key: string; readonly line: FarLine } | null {
  const given = parseFields(text);
  if (given === null) return null;
  const { key, kind, resent, receivedAtMs, madeAtMs, durable, content, again, redelivered } = given;
  const number = typeof key === "string" ? /^[^/]+\/[^/]+\/([1-9][0-9]{0,15})$/.exec(key)?.[1] : undefined;
  if (typeof key !== "string" || number === undefined || typeof kind !== "string") return null;
  const line = {
    seq: Number(number),
    kind,
    resent: resent === true,
    again: again === true,
    redelivered: redelivered === true,
    durable: typeof durable === "boolean" ? durable : null,
    contentBits: contentBitsOf(content),
    receivedAtMs: typeof receivedAtMs === "number" ? receivedAtMs : null,
    madeAtMs: typeof madeAtMs === "number" ? madeAtMs : null,
  };
  return { key, line };
}

function parseFields(text: string): Readonly<Partial<Record<string, unknown>>> | null {
  if (text.length > LIMITS.verifyLineBytesMax.value) return null;
  try {
    const given: unknown = JSON.parse(text);
    return typeof given === "object" && given !== null && !Array.isArray(given) ? { ...given } : null;
  } catch {
    return null;
  }
}
