import { join } from "node:path";
import { createSystemClock } from "../../src/clock.ts";
import { deviceId, seq } from "../../src/core/ids.ts";
import type { Journal, ReaderCursor } from "../../src/core/ports.ts";
import { type JournalRecord, KEPT_KINDS, type SeqSpan } from "../../src/core/record.ts";
import { wallMs } from "../../src/core/time.ts";
import { LEAVING_KINDS, leavesFor } from "../../src/core/upstream.ts";
import { openJournal } from "../../src/journal/journal.ts";
import { GATEWAY_ID, UPSTREAM_NAME } from "./real-gateway.ts";
import { contentOf, type Delivered, keyOf } from "./upstream-recorder.ts";

const READER = `upstream:${UPSTREAM_NAME}`;
/** Findings of one kind that are kept in words. */
const FINDINGS_MAX = 20;

/** One record in a journal. */
export interface KeptRecord {
  readonly kind: JournalRecord["kind"];
  readonly content: number;
  /** Null for observations, of which there are too many. */
  readonly record: JournalRecord | null;
}

/** What lies in a journal after its gateway has ended. */
export interface Kept {
  readonly epoch: string;
  readonly lastSeq: number;
  /** In rising order of number. */
  readonly bySeq: ReadonlyMap<number, KeptRecord>;
  readonly cursor: ReaderCursor | null;
  /** The waves in the ring of the devices that were asked for: `device/waveform`. */
  readonly waves: ReadonlySet<string>;
  /** Codes of what was found damaged while it was opened; a power cut must not be damage. */
  readonly faultsAtOpen: readonly string[];
}

/**
 * Opens the journal of a gateway that has ended, reads all of it, and closes it. That makes its end a clean one: where the gateway shall
 * be started again after a crash or cut, give it a copy.
 */
export async function readJournal(of: { readonly dataFolder: string; readonly waveDevices?: readonly string[] }): Promise<Kept> {
  const opened = await openJournal({
    folder: join(of.dataFolder, "journal"),
    gatewayId: GATEWAY_ID,
    bytesMax: 1e12,
    clock: createSystemClock(),
  });
  if (!opened.ok) throw new Error(`the journal does not open: ${JSON.stringify(opened.error)}`);
  const journal = opened.value;
  const bySeq = await readRecords(journal);
  const cursor = await journal.cursor(READER);
  const waves = new Set<string>();
  for (const device of of.waveDevices ?? []) {
    const chunks = await journal.waves({ deviceId: deviceId(device), fromMs: wallMs(0), toMs: wallMs(Number.MAX_SAFE_INTEGER) });
    for (const chunk of chunks) waves.add(`${chunk.deviceId}/${chunk.waveform}`);
  }
  await journal.close();
  const { epoch, lastSeqAtOpen: lastSeq } = journal;
  return { epoch, lastSeq, bySeq, cursor, waves, faultsAtOpen: journal.faultsAtOpen.map((found) => JSON.stringify(found)) };
}

async function readRecords(journal: Journal): Promise<ReadonlyMap<number, KeptRecord>> {
  const bySeq = new Map<number, KeptRecord>();
  for (let afterSeq = seq(0); ; ) {
    const page = await journal.read({ afterSeq, limit: 1000 });
    for (const record of page) {
      const { kind } = record;
      bySeq.set(record.seq, { kind, content: contentOf(record), record: kind === "observation" ? null : record });
    }
    const last = page.at(-1);
    if (last === undefined) return bySeq;
    afterSeq = last.seq;
  }
}

/** Every way in which what was delivered may disagree with itself and with the journal; each list must be empty. */
export interface Audit {
  /** Said to be on disk (a batch, or a record with `durable: true`) and not in the journal. */
  readonly lost: readonly string[];
  /** In the journal under this number, but with another content than was delivered as durable. */
  readonly changed: readonly string[];
  /** Delivered twice with two contents, durable or not: a number that was used again. */
  readonly reused: readonly string[];
  /** Came again without `resent: true`. */
  readonly unmarked: readonly string[];
  /** In the journal, done by the upstream's cursor, of a kind that leaves, and never delivered. */
  readonly undelivered: readonly string[];
  /**
   * Numbers without a record that nothing explains: `after 17, before 19`. What explains them: a start record that says they were left
   * out, a loss record, or that they are the uncommitted rest of a life that was cut off: in the batch that a kill interrupted, kept
   * kinds may be on disk already and the observations between them not, and nothing but kept kinds follows then in that life.
   */
  readonly holes: readonly string[];
}

/** An audit that found nothing. */
export const NOTHING_WRONG: Audit = { lost: [], changed: [], reused: [], unmarked: [], undelivered: [], holes: [] };

/** A list that keeps the first few of its words, and how many there were. */
class Findings {
  readonly #words: string[] = [];
  #count = 0;

  add(word: string): void {
    this.#count += 1;
    if (this.#words.length < FINDINGS_MAX) this.#words.push(word);
  }

  list(): readonly string[] {
    return this.#count > this.#words.length ? [...this.#words, `and ${this.#count - this.#words.length} more`] : this.#words;
  }
}

/**
 * Compares everything that came with everything that is kept.
 *
 * @param cutOff  Whether the last life in the journal did not end by itself and no start record follows.
 */
export function audit(delivered: readonly Delivered[], kept: Kept, { cutOff } = { cutOff: false }): Audit {
  const [lost, changed, reused, unmarked] = [new Findings(), new Findings(), new Findings(), new Findings()];
  const firstOfEpoch = new Map<string, Map<number, number>>();
  for (const each of delivered) {
    const first = firstOfEpoch.get(each.epoch) ?? new Map<number, number>();
    firstOfEpoch.set(each.epoch, first);
    const known = first.get(each.seq);
    if (known === undefined) first.set(each.seq, each.content);
    else if (known !== each.content) reused.add(`${keyOf(each)}: ${each.kind}`);
    else if (!each.resent) unmarked.add(`${keyOf(each)}: ${each.kind}`);
    if (!each.durable) continue;
    const record = kept.bySeq.get(each.seq);
    if (record === undefined || each.epoch !== kept.epoch) lost.add(`${keyOf(each)}: ${each.kind}`);
    else if (record.content !== each.content)
      changed.add(`${keyOf(each)}: ${JSON.stringify(each.record)} but kept ${JSON.stringify(record.record)}`);
  }
  return {
    lost: lost.list(),
    changed: changed.list(),
    reused: reused.list(),
    unmarked: unmarked.list(),
    undelivered: undeliveredOf(kept, firstOfEpoch.get(kept.epoch) ?? new Map()),
    holes: holesOf(kept, cutOff),
  };
}

function undeliveredOf(kept: Kept, came: ReadonlyMap<number, unknown>): readonly string[] {
  const undelivered = new Findings();
  for (const [number, { kind, record }] of kept.bySeq) {
    const leaves = record === null ? LEAVING_KINDS.has(kind) : leavesFor(record, READER);
    if (leaves && isDone(number, kept.cursor) && !came.has(number)) undelivered.add(`${number}: ${kind}`);
  }
  return undelivered.list();
}

function isDone(number: number, cursor: ReaderCursor | null): boolean {
  if (cursor === null || number > cursor.upTo) return false;
  return !cursor.open.some((range) => number >= range.from && number <= range.to);
}

function holesOf(kept: Kept, cutOff: boolean): readonly string[] {
  const seqs = [0, ...kept.bySeq.keys()];
  const explained = explainedSpans(kept);
  const holes: string[] = [];
  // From the end, so that what follows in the same life is known.
  let onlyKeptFollows = cutOff;
  for (let index = seqs.length - 1; index > 0; index--) {
    const number = seqs[index] ?? 0;
    const before = seqs[index - 1] ?? 0;
    const record = kept.bySeq.get(number);
    onlyKeptFollows &&= record !== undefined && KEPT_KINDS.has(record.kind);
    const beginsLife = record?.kind === "start";
    const missing = { from: seq(before + 1), to: seq(number - 1) };
    if (missing.from <= missing.to && (beginsLife || !onlyKeptFollows) && !isCovered(missing, explained))
      holes.push(`after ${before}, before ${number}`);
    if (beginsLife) onlyKeptFollows = record?.record?.kind === "start" && record.record.before === "cut-off";
  }
  return holes.reverse().slice(0, FINDINGS_MAX);
}

/** Spans of numbers that a start or a loss record says to be without a record, in rising order. */
function explainedSpans(kept: Kept): readonly SeqSpan[] {
  const spans: SeqSpan[] = [];
  for (const { record } of kept.bySeq.values()) {
    if (record?.kind === "start" && record.leftOut !== null) spans.push(record.leftOut);
    if (record?.kind === "loss" && record.what === "records" && record.reader === null)
      spans.push({ from: record.fromSeq, to: record.toSeq });
  }
  return spans.sort((one, other) => one.from - other.from);
}

function isCovered(missing: SeqSpan, spans: readonly SeqSpan[]): boolean {
  let from: number = missing.from;
  for (const span of spans) if (span.from <= from && span.to >= from) from = span.to + 1;
  return from > missing.to;
}
