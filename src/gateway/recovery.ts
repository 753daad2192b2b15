import type { Act, Deed } from "../core/act.ts";
import type { Alert } from "../core/alert.ts";
import { type Seq, seq } from "../core/ids.ts";
import { LIMITS } from "../core/limits.ts";
import type { Timeline } from "../core/mended-time.ts";
import type { Observation } from "../core/observation.ts";
import type { Journal } from "../core/ports.ts";
import { QUANTITIES, QUANTITY_NAMES, type QuantityName } from "../core/quantities.ts";
import { type Clock, wallMs } from "../core/time.ts";
import { type PlantState, patientOfRecord } from "./plant.ts";

/** How far back windows of continuous values are filled again. Source: SAFETY.md, scores on streams. */
const CONTINUOUS_MS_MAX = 5 * 60_000;
/** How far back episodic values count. Source: SAFETY.md, scores on streams. */
const EPISODIC_MS_MAX = 12 * 3_600_000;
/** At most this many of the latest records are read for the windows: one minute at 2,500 records a second. */
const RECENT_RECORDS_MAX = 150_000;

/** Everything the gateway must know again before it may call itself ready. Times are as they were written. */
export interface Recovered {
  readonly acts: readonly Act[];
  readonly openAlerts: readonly Alert[];
  /** Oldest first, each once. */
  readonly observations: readonly Observation[];
}

/** Reads the state back from the journal (SAFETY.md, rule 10). */
export async function recover(journal: Journal, clock: Clock, timeline: Timeline): Promise<Recovered> {
  const [acts, openAlerts, recent, episodic] = await Promise.all([
    readActs(journal),
    journal.openAlerts(),
    readRecent(journal, clock, timeline),
    readEpisodic(journal, clock, timeline),
  ]);
  // The recent ones come in order and are many; what the others have of them is there already.
  const beforeSeq = recent[0]?.seq ?? Number.POSITIVE_INFINITY;
  const recentSeqs = new Set<Seq>(episodic.length === 0 ? [] : recent.map(({ seq: number }) => number));
  const more = episodic.filter(({ seq: number }) => number < beforeSeq || !recentSeqs.has(number));
  const observations = more.length === 0 ? recent : [...more, ...recent].sort((a, b) => a.seq - b.seq);
  return { acts, openAlerts, observations };
}

/** How long ago an observation came in, or null where nobody can know. */
function receivedAgeMs(observation: Observation, clock: Clock, timeline: Timeline): number | null {
  const { receivedAtMs, receivedMonotonicMs } = observation.times;
  return timeline.ageMs({ seq: observation.seq, atMs: receivedAtMs, monotonicMs: receivedMonotonicMs }, clock.monotonic());
}

/**
 * Observations with their times by the wall clock as it stands now, so that an age read off them is right, however often and far the
 * clock was moved since. Those whose age nobody can know are left out: they must not count as fresh (SAFETY.md, rule 12).
 */
export function agedObservations(observations: readonly Observation[], clock: Clock, timeline: Timeline): readonly Observation[] {
  const now = clock.wall();
  return observations.flatMap((observation) => {
    const ageMs = receivedAgeMs(observation, clock, timeline);
    if (ageMs === null) return [];
    const { times } = observation;
    const lagMs = times.receivedAtMs - times.measuredAtMs;
    const receivedAtMs = wallMs(now - ageMs);
    return [{ ...observation, times: { ...times, receivedAtMs, measuredAtMs: wallMs(receivedAtMs - lagMs) } }];
  });
}

/** Observations of the stays of those who are here, each under the number its patient has now. */
export function ofPatientsHere(observations: readonly Observation[], plant: PlantState): readonly Observation[] {
  return observations.flatMap((observation) => {
    const patient = observation.patientId === null ? null : patientOfRecord(plant, observation.patientId, observation.seq);
    if (patient === null) return [];
    return [patient.patientId === observation.patientId ? observation : { ...observation, patientId: patient.patientId }];
  });
}

/** When an act was done by the wall clock as it stands now; null where nobody can know. */
export function agedActMs(act: Pick<Act, "seq" | "atMs">, clock: Clock, timeline: Timeline): number | null {
  const ageMs = timeline.ageMs({ seq: act.seq, atMs: act.atMs, monotonicMs: null }, clock.monotonic());
  return ageMs === null ? null : clock.wall() - ageMs;
}

/** An act's monotonic time in this life, also where it was done before; null where nobody can know. */
export function monotonicOfAct(act: Pick<Act, "seq" | "atMs">, clock: Clock, timeline: Timeline): number | null {
  const atMs = agedActMs(act, clock, timeline);
  return atMs === null ? null : clock.monotonic() - (clock.wall() - atMs);
}

/** The acts with their times by the wall clock as it stands now; entries whose age nobody can know are left out until it is known. */
export function agedActs(acts: readonly Act[], clock: Clock, timeline: Timeline): readonly Act[] {
  return acts.flatMap((act) => {
    const atMs = agedActMs(act, clock, timeline);
    if (atMs !== null) return [{ ...act, atMs: wallMs(atMs), deed: agedDeed(act.deed, atMs - act.atMs) }];
    return act.deed.kind === "enter-consciousness" || act.deed.kind === "enter-oxygen" ? [] : [act];
  });
}

/** What was to happen a time after an act still happens that time after it. */
function agedDeed(deed: Deed, byMs: number): Deed {
  if (deed.kind !== "set-limit" || typeof deed.expiresAtMs !== "number") return deed;
  return { ...deed, expiresAtMs: wallMs(deed.expiresAtMs + byMs) };
}

/** How long ago an alert was acknowledged; null where nobody did, or nobody can know. */
export function acknowledgedAgoMs(alert: Alert, clock: Clock, timeline: Timeline): number | null {
  const atMs = alert.acknowledgedAtMs;
  if (atMs === null) return null;
  const number = timeline.numberOf({ atMs, upToSeq: alert.seq });
  return timeline.ageMs({ seq: number, atMs, monotonicMs: null }, clock.monotonic());
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

/** Reads backwards until it has seen far enough back; what nobody knows the age of counts as far. */
async function readRecent(journal: Journal, clock: Clock, timeline: Timeline): Promise<readonly Observation[]> {
  const pages: (readonly Observation[])[] = [];
  let count = 0;
  let upToSeq = journal.lastSeqAtOpen;
  while (count < RECENT_RECORDS_MAX) {
    const page = await journal.readBack({ upToSeq, limit: LIMITS.journalReadRecordsMax.value });
    const recent = page.filter((observation) => {
      const ageMs = receivedAgeMs(observation, clock, timeline);
      return ageMs !== null && ageMs <= CONTINUOUS_MS_MAX;
    });
    pages.unshift(recent);
    count += recent.length;
    const oldest = page[0];
    if (oldest === undefined || recent.length < page.length) break;
    upToSeq = seq(oldest.seq - 1);
  }
  return pages.flat();
}

async function readEpisodic(journal: Journal, clock: Clock, timeline: Timeline): Promise<readonly Observation[]> {
  const quantities = QUANTITY_NAMES.filter((name) => QUANTITIES[name].rhythm === "episodic");
  return readLatest(journal, { clock, timeline }, { quantities, backMs: EPISODIC_MS_MAX });
}

/**
 * The last value of each device and quantity, asked for of each stretch of the clock by its own wall time: of two values of one device
 * the one that came later counts, whatever their stamps say.
 */
export async function readLatest(
  journal: Journal,
  { clock, timeline }: { readonly clock: Clock; readonly timeline: Timeline },
  wanted: { readonly quantities: readonly QuantityName[]; readonly backMs: number },
): Promise<readonly Observation[]> {
  const { quantities, backMs } = wanted;
  const sinceMs = clock.wall() + timeline.presentCorrectionMs() - backMs;
  const near = timeline
    .stretches()
    .filter(({ fromSeq, endsAtMs }) => fromSeq <= journal.lastSeqAtOpen && (endsAtMs === null || endsAtMs >= sinceMs))
    .slice(-LIMITS.clockStretchesMax.value);
  const found = await Promise.all(
    near.map(({ fromSeq, toSeq, correctionMsMax }) =>
      journal.latestObservations({
        sinceMs: wallMs(sinceMs - correctionMsMax),
        quantities,
        ...(fromSeq === 0 ? {} : { fromSeq: seq(fromSeq) }),
        ...(toSeq === null ? {} : { toSeq: seq(toSeq) }),
      }),
    ),
  );
  const latest = new Map(found.flat().map((observation) => [`${observation.deviceId} ${observation.quantity}`, observation]));
  return [...latest.values()];
}
