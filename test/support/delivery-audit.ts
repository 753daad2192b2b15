import { join } from "node:path";
import { createSystemClock } from "../../src/clock.ts";
import { LIMITS } from "../../src/core/limits.ts";
import type { ReaderCursor } from "../../src/core/ports.ts";
import { type JournalRecord, KEPT_KINDS } from "../../src/core/record.ts";
import { openJournal } from "../../src/journal/journal.ts";
import { readAll } from "./journal-folder.ts";
import { type Files, GATEWAY_ID, UPSTREAM_NAME } from "./real-gateway.ts";
import { canonical, type Delivered } from "./upstream-recorder.ts";

/** What lies in a journal after its gateway has stopped. */
export interface Kept {
  readonly epoch: string;
  readonly lastSeq: number;
  readonly bySeq: ReadonlyMap<number, JournalRecord>;
  readonly cursor: ReaderCursor | null;
}

/** Opens the journal of a gateway that has stopped, reads all of it, and closes it. */
export async function readJournal(files: Files): Promise<Kept> {
  const opened = await openJournal({
    folder: join(files.dataFolder, "journal"),
    gatewayId: GATEWAY_ID,
    bytesMax: 1e12,
    clock: createSystemClock(),
  });
  if (!opened.ok) throw new Error(`the journal does not open: ${JSON.stringify(opened.error)}`);
  const journal = opened.value;
  const records = await readAll(journal);
  const cursor = await journal.cursor(`upstream:${UPSTREAM_NAME}`);
  await journal.close();
  return {
    epoch: journal.epoch,
    lastSeq: journal.lastSeqAtOpen,
    bySeq: new Map(records.map((record) => [record.seq as number, record])),
    cursor,
  };
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
   * Numbers missing within one life of the gateway: `after 17, before 19`. Between two lives many are left out on purpose. In the
   * batch that a kill interrupted, alerts, acts and receipts may be on disk already and the observations between them not; that is
   * allowed only where nothing but such kept records follows in that life, and nothing of it had been said committed.
   */
  readonly holes: readonly string[];
}

/** At least so many numbers are left out at a restart: as many as can ever have been waiting for the disk. */
const LEFT_OUT_AT_RESTART =
  LIMITS.journalQueueRecordsMax.value + LIMITS.journalKeptRecordsMax.value + LIMITS.journalBatchRecordsMax.value;

const LEAVING: ReadonlySet<JournalRecord["kind"]> = new Set(["observation", "prediction", "event", "alert", "act", "loss"]);

/** Compares everything that came with everything that is kept. */
export function audit(delivered: readonly Delivered[], kept: Kept): Audit {
  const lost: string[] = [];
  const changed: string[] = [];
  const reused: string[] = [];
  const unmarked: string[] = [];
  const first = new Map<string, string>();
  for (const each of delivered) {
    const content = canonical(each.record);
    const known = first.get(each.key);
    if (known !== undefined) {
      if (known !== content) reused.push(`${each.key}: ${known} and ${content}`);
      else if (!each.resent) unmarked.push(each.key);
    }
    first.set(each.key, known ?? content);
    if (!each.durable) continue;
    const record = kept.bySeq.get(each.seq);
    if (record === undefined) lost.push(each.key);
    else if (canonical(record) !== content) changed.push(`${each.key}: ${content} but kept ${canonical(record)}`);
  }
  const undelivered = [...kept.bySeq.values()]
    .filter((record) => LEAVING.has(record.kind) && isDone(record.seq, kept.cursor))
    .map((record) => `${GATEWAY_ID}/${kept.epoch}/${record.seq}`)
    .filter((key) => !first.has(key));
  const holes = holesOf(kept);
  return { lost, changed, reused, unmarked, undelivered, holes };
}

function holesOf(kept: Kept): readonly string[] {
  const seqs = [0, ...[...kept.bySeq.keys()].sort((left, right) => left - right)];
  const holes: string[] = [];
  // From the end, so that what follows in the same life is known.
  let onlyKeptFollows = true;
  for (let index = seqs.length - 1; index > 0; index--) {
    const seq = seqs[index] ?? 0;
    const before = seqs[index - 1] ?? 0;
    const missing = seq - before - 1;
    const record = kept.bySeq.get(seq);
    onlyKeptFollows &&= record !== undefined && KEPT_KINDS.has(record.kind);
    if (missing >= LEFT_OUT_AT_RESTART) onlyKeptFollows = true;
    else if (missing > 0 && !onlyKeptFollows) holes.push(`after ${before}, before ${seq}`);
  }
  return holes.reverse();
}

function isDone(seq: number, cursor: ReaderCursor | null): boolean {
  if (cursor === null || seq > cursor.upTo) return false;
  return !cursor.open.some((range) => seq >= range.from && seq <= range.to);
}
