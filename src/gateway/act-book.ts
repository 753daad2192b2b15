import type { Act, Deed } from "../core/act.ts";
import { type Seq, seq } from "../core/ids.ts";
import { LIMITS } from "../core/limits.ts";
import type { Journal } from "../core/ports.ts";
import type { ActQuery, ActsView, ChainView } from "../core/records-view.ts";
import type { Clock, MonotonicMs, WallMs } from "../core/time.ts";
import { ActChain } from "../verify/act-chain.ts";
import { ALL_TIME } from "../verify/window.ts";

/** Who did what, for those who look into it. */
export interface ActBook {
  /** Rejects when the journal cannot be read. */
  readonly records: (query: ActQuery) => Promise<ActsView>;
}

/** What is kept of each act, to find it again. */
interface Entry {
  readonly seq: Seq;
  readonly atMs: WallMs;
  readonly by: string;
  readonly kind: Deed["kind"];
}

/** One walk along all acts. */
interface Walk {
  readonly chain: ActChain;
  readonly entries: Entry[];
  readonly beganAt: MonotonicMs;
  lastSeq: number;
  checkedAtMs: WallMs;
  /** What the check came to when the walk last arrived at the end; null while it never has. */
  found: Pick<ChainView, "checkedActs" | "olderActs" | "breakCount" | "firstBreak"> | null;
}

/** A breath between two steps, in which everything else has its turn. */
const STEP_PAUSE_MS = 5;
/** How long a question waits for the first walk before it is answered with what there is. */
const FIRST_WALK_MS_MAX = 1500;

/**
 * Makes the book. Nothing is read before somebody asks; then all acts are gone along in small steps, the links of their chain checked, and where
 * to find them kept. Later questions go on where the last walk ended, and after a while all is checked anew.
 */
export function createActBook(parts: { readonly clock: Clock; readonly journal: Pick<Journal, "read"> }): ActBook {
  const { clock, journal } = parts;
  let walk: Walk = newWalk(clock);
  /** The walk before, while a new one is on its way. */
  let former: Walk | null = null;
  let going: Promise<void> | null = null;

  const goOn = async () => {
    const isStale = walk.found !== null && clock.monotonic() - walk.beganAt > LIMITS.actChainFreshMs.value;
    if (isStale) [former, walk] = [walk, newWalk(clock)];
    await walkToTheEnd(walk, parts);
    former = null;
  };
  const start = () => {
    going ??= goOn().finally(() => {
      going = null;
    });
    return going;
  };

  return {
    records: async (query) => {
      const settled = new AbortController();
      // A walk that fails is told to whoever asks; one that takes long goes on by itself.
      await Promise.race([start(), clock.sleep(FIRST_WALK_MS_MAX, settled.signal)]);
      settled.abort();
      const shown = former ?? walk;
      const fitting = shown.entries.filter((entry) => fits(entry, query));
      const { beforeSeq } = query;
      const below = beforeSeq === null ? fitting : fitting.filter((entry) => entry.seq < beforeSeq);
      const page = below.slice(-LIMITS.actsShownMax.value);
      return {
        acts: (await read(journal, page, shown.entries)).reverse(),
        count: fitting.length,
        nextBeforeSeq: page.length < below.length ? (page[0]?.seq ?? null) : null,
        people: [...new Set(shown.entries.map(({ by }) => by))].sort(),
        kinds: [...new Set(shown.entries.map(({ kind }) => kind))],
        chain: viewOf(shown),
      };
    },
  };
}

function newWalk(clock: Clock): Walk {
  const chain = new ActChain({ window: ALL_TIME, received: null });
  return { chain, entries: [], beganAt: clock.monotonic(), lastSeq: 0, checkedAtMs: clock.wall(), found: null };
}

async function walkToTheEnd(walk: Walk, { clock, journal }: Parameters<typeof createActBook>[0]): Promise<void> {
  const limit = LIMITS.actsPerStepMax.value;
  while (true) {
    const records = await journal.read({ afterSeq: seq(walk.lastSeq), limit, kinds: ["act"] });
    for (const record of records) if (record.kind === "act") take(walk, record);
    walk.checkedAtMs = clock.wall();
    if (records.length < limit) break;
    await clock.sleep(STEP_PAUSE_MS);
  }
  const { chainedActs, olderActs, breakCount, breaks } = walk.chain.finish();
  const [first] = breaks;
  const firstBreak = first === undefined ? null : { seq: first.seq, atMs: first.atMs, why: first.why, afterSeq: first.afterSeq };
  walk.found = { checkedActs: chainedActs, olderActs, breakCount, firstBreak };
}

function take(walk: Walk, act: Act): void {
  walk.chain.take(act);
  walk.lastSeq = Math.max(walk.lastSeq, act.seq);
  walk.entries.push({ seq: act.seq, atMs: act.atMs, by: act.by, kind: act.deed.kind });
  if (walk.entries.length > LIMITS.actsIndexedMax.value) walk.entries.splice(0, LIMITS.actsPerStepMax.value);
}

function fits(entry: Entry, { fromMs, toMs, by, kind }: ActQuery): boolean {
  if (fromMs !== null && entry.atMs < fromMs) return false;
  if (toMs !== null && entry.atMs >= toMs) return false;
  return (by === null || entry.by === by) && (kind === null || entry.kind === kind);
}

/** Reads acts, oldest first; neighbours together. */
async function read(journal: Pick<Journal, "read">, wanted: readonly Entry[], all: readonly Entry[]): Promise<Act[]> {
  const place = new Map(all.map((entry, index) => [entry.seq, index]));
  const runs: Entry[][] = [];
  for (const entry of wanted) {
    const run = runs.at(-1);
    const isNext = run !== undefined && place.get(entry.seq) === (place.get(run.at(-1)?.seq ?? entry.seq) ?? -2) + 1;
    if (isNext) run.push(entry);
    else runs.push([entry]);
  }
  const acts: Act[] = [];
  for (const run of runs) {
    const [from, to] = [run[0]?.seq ?? seq(0), run.at(-1)?.seq ?? seq(0)];
    const records = await journal.read({ afterSeq: seq(from - 1), upToSeq: to, limit: run.length, kinds: ["act"] });
    for (const record of records) if (record.kind === "act") acts.push(record);
  }
  return acts;
}

function viewOf({ found, entries, lastSeq, checkedAtMs }: Walk): ChainView {
  const counted = found ?? { checkedActs: entries.length, olderActs: 0, breakCount: 0, firstBreak: null };
  return { complete: found !== null, ...counted, lastSeq: lastSeq === 0 ? null : lastSeq, atMs: checkedAtMs };
}
