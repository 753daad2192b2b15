import type { Act } from "../core/act.ts";
import type { Alert } from "../core/alert.ts";
import { type Seq, seq } from "../core/ids.ts";
import { LIMITS } from "../core/limits.ts";
import type { Observation } from "../core/observation.ts";
import type { Journal } from "../core/ports.ts";
import { QUANTITIES, QUANTITY_NAMES } from "../core/quantities.ts";
import { type Clock, wallMs } from "../core/time.ts";

/** How far back windows of continuous values are filled again. Source: safety.md, inputs may be five minutes old. */
const CONTINUOUS_MS_MAX = 5 * 60_000;
/** How far back episodic values count. Source: safety.md, at most twelve hours. */
const EPISODIC_MS_MAX = 12 * 3_600_000;
/** At most this many of the latest records are read for the windows: one minute at 2,500 records a second. */
const RECENT_RECORDS_MAX = 150_000;

/** Everything the gateway must know again before it may call itself ready. */
export interface Recovered {
  readonly acts: readonly Act[];
  readonly openAlerts: readonly Alert[];
  /** Oldest first, each once. */
  readonly observations: readonly Observation[];
}

/** Reads the state back from the journal (safety.md, line 10). */
export async function recover(journal: Journal, clock: Clock): Promise<Recovered> {
  const [acts, openAlerts, recent, episodic] = await Promise.all([
    readActs(journal),
    journal.openAlerts(),
    readRecent(journal, clock),
    readEpisodic(journal, clock),
  ]);
  const observations = new Map<Seq, Observation>();
  for (const observation of [...episodic, ...recent]) observations.set(observation.seq, observation);
  return { acts, openAlerts, observations: [...observations.values()].sort((a, b) => a.seq - b.seq) };
}

async function readActs(journal: Journal): Promise<readonly Act[]> {
  const acts: Act[] = [];
  for (let afterSeq = seq(0); ; ) {
    const page = await journal.read({ afterSeq, limit: LIMITS.journalReadRecordsMax.value, kinds: ["act"] });
    for (const record of page) if (record.kind === "act") acts.push(record);
    const last = page.at(-1);
    if (last === undefined) return acts;
    afterSeq = last.seq;
  }
}

/** Reads backwards until it has seen far enough back. */
async function readRecent(journal: Journal, clock: Clock): Promise<readonly Observation[]> {
  const sinceMs = clock.wall() - CONTINUOUS_MS_MAX;
  const pages: (readonly Observation[])[] = [];
  let count = 0;
  let upToSeq = journal.lastSeqAtOpen;
  while (count < RECENT_RECORDS_MAX) {
    const page = await journal.readBack({ upToSeq, limit: LIMITS.journalReadRecordsMax.value });
    const recent = page.filter((observation) => observation.times.receivedAtMs >= sinceMs);
    pages.unshift(recent);
    count += recent.length;
    const oldest = page[0];
    if (oldest === undefined || recent.length < page.length) break;
    upToSeq = seq(oldest.seq - 1);
  }
  return pages.flat();
}

function readEpisodic(journal: Journal, clock: Clock): Promise<readonly Observation[]> {
  const quantities = QUANTITY_NAMES.filter((name) => QUANTITIES[name].rhythm === "episodic");
  return journal.latestObservations({ sinceMs: wallMs(clock.wall() - EPISODIC_MS_MAX), quantities });
}
