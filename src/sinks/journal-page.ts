import { seq } from "../core/ids.ts";
import type { Journal } from "../core/ports.ts";
import type { JournalRecord, RecordKind } from "../core/record.ts";
import type { SeqRange } from "./seq-ranges.ts";
import type { Session } from "./session.ts";
import { unlessStopped } from "./stoppable-answer.ts";

/** Records of some kinds, in order, and the whole range of numbers that they stand for: no others of these kinds are in it. */
export interface Page {
  readonly records: readonly JournalRecord[];
  readonly covered: SeqRange;
}

/**
 * One page and what it covers: up to its last record, or the whole range where nothing is left in it. Null where the journal could
 * not answer or the session ended meanwhile. An answer after the end is no answer: a journal that closes has nothing left to say.
 */
export async function readPage(
  journal: Pick<Journal, "read">,
  session: Session,
  query: { readonly range: SeqRange; readonly kinds: readonly RecordKind[]; readonly limit: number },
): Promise<Page | null> {
  const { range, kinds, limit } = query;
  const answer = journal.read({ afterSeq: seq(range.from - 1), upToSeq: range.to, limit, kinds });
  const records = await unlessStopped(
    answer.catch(() => null),
    session.over,
  );
  if (records === null || session.ended) return null;
  const last = records.at(-1);
  return { records, covered: { from: range.from, to: last === undefined ? range.to : last.seq } };
}

/** The first records of a page, and what is left of it; null where nothing is. */
export function splitPage(page: Page, count: number): readonly [Page, Page | null] {
  const last = page.records[count - 1];
  if (last === undefined || page.records.length <= count) return [page, null];
  const first = { records: page.records.slice(0, count), covered: { from: page.covered.from, to: last.seq } };
  return [first, { records: page.records.slice(count), covered: { from: seq(last.seq + 1), to: page.covered.to } }];
}
