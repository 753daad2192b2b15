import { type Fault, fault } from "../core/errors.ts";
import { seq } from "../core/ids.ts";
import { LIMITS } from "../core/limits.ts";
import { createTimeline, type Timeline } from "../core/mended-time.ts";
import type { Journal } from "../core/ports.ts";
import type { ClockRecord, JournalRecord, LifeStart } from "../core/record.ts";
import {
  type Clock,
  type ClockTrust,
  FAR_AHEAD_MS,
  type MonotonicMs,
  RELEASED_AT_MS,
  type WallMs,
  wallMs,
} from "../core/time.ts";
import type { SystemTime } from "./system-time.ts";

/** A wall clock that moves this much against the monotonic one between two looks was set. */
const STEP_MS_MIN = 500;
/** The system is asked so often whether it has set a clock that is doubted. */
const WORD_MS = 1000;
/** The board slept when its run went on for so much longer than the monotonic clock. */
const SLEEP_MS_MIN = 1000;

/** Why a clock is not believed. */
type Doubt = "before-journal" | "before-release" | "far-ahead" | "not-synchronised";

/** What the journal says of time: all start and clock records, and the newest time known. */
export interface ClockHistory {
  readonly records: readonly (LifeStart | ClockRecord)[];
  readonly newestMs: WallMs | null;
}

/** A clock record that waits for its number. */
export type UnnumberedClockRecord = Omit<ClockRecord, "seq">;

/** Watches the wall clock against the monotonic one, and judges it. */
export interface WallClock {
  readonly trust: () => ClockTrust;
  /** Why the clock is not believed, as a technical fault; null while it is. */
  readonly doubt: () => Fault | null;
  /** What a start record says of the clock. */
  readonly start: Pick<LifeStart, "atMs" | "atMonotonicMs" | "trust" | "notBeforeMs" | "boot">;
  /** Looks whether the clock was moved, or is believed again; what comes back must be numbered, told by `recorded`, and go to the journal, in order. */
  readonly look: () => readonly UnnumberedClockRecord[];
  /** Takes a start or clock record into the timeline. */
  readonly recorded: (record: LifeStart | ClockRecord) => void;
  /** The mended times of all records so far. */
  readonly timeline: () => Timeline;
  /** The wall time of a monotonic one as the clock stands now, so that all records after a step follow the clock after it. */
  readonly wallAt: (atMonotonicMs: MonotonicMs) => WallMs;
}

/** Reads what the journal says of time. Of more than `clockRecordsMax` records the oldest are left out: times before them stay as written. */
export async function readClockHistory(journal: Journal): Promise<ClockHistory> {
  const records: (LifeStart | ClockRecord)[] = [];
  for (let afterSeq = seq(0); ; ) {
    const page = await journal.read({ afterSeq, limit: LIMITS.journalReadRecordsMax.value, kinds: ["start", "clock"] });
    for (const record of page) if (isOfClock(record)) records.push(record);
    if (records.length > LIMITS.clockRecordsMax.value) records.splice(0, records.length - LIMITS.clockRecordsMax.value);
    const last = page.at(-1);
    if (last === undefined) break;
    afterSeq = last.seq;
  }
  const [newest] = await journal.readBack({ upToSeq: journal.lastSeqAtOpen, limit: 1 });
  const timeline = createTimeline(records);
  const ends: { readonly seq: number; readonly atMs: number }[] = [];
  const lastOfClock = records.at(-1);
  if (lastOfClock !== undefined)
    ends.push({
      seq: lastOfClock.seq,
      atMs: timeline.mended({ seq: lastOfClock.seq, atMs: lastOfClock.atMs, monotonicMs: lastOfClock.atMonotonicMs }).atMs,
    });
  if (newest !== undefined) {
    const { receivedAtMs, receivedMonotonicMs } = newest.times;
    const { atMs } = timeline.mended({ seq: newest.seq, atMs: receivedAtMs, monotonicMs: receivedMonotonicMs });
    ends.push({ seq: newest.seq, atMs });
  }
  const [end] = ends.sort((one, other) => other.seq - one.seq);
  if (end === undefined) return { records, newestMs: null };
  // A life with a clock far ahead says nothing of the time; what it began with still holds.
  const start = records.findLast((record) => record.kind === "start");
  return { records, newestMs: end.atMs < FAR_AHEAD_MS ? wallMs(end.atMs) : (start?.notBeforeMs ?? null) };
}

function isOfClock(record: JournalRecord): record is LifeStart | ClockRecord {
  return record.kind === "start" || record.kind === "clock";
}

/** What a clock is judged by. */
interface Grounds {
  readonly wallMs: number;
  readonly newestMs: number | null;
  readonly word: ReturnType<SystemTime["word"]>;
}

/** Why a clock at the start of a life is not believed, or null. The system's own good word goes before all. */
function doubtAtStart(grounds: Grounds): Doubt | null {
  const { wallMs: nowMs, newestMs, word } = grounds;
  if (word === "synchronised") return null;
  if (nowMs < RELEASED_AT_MS) return "before-release";
  if (nowMs >= FAR_AHEAD_MS) return "far-ahead";
  if (newestMs !== null && nowMs < newestMs - LIMITS.clockBehindMsMax.value) return "before-journal";
  return word === "not-synchronised" ? "not-synchronised" : null;
}

/**
 * Why a clock that was just set is not believed. Who sets a clock knows more than the board: a time that can be is believed, except
 * where the clock was doubted and still lies before what the journal holds.
 */
function doubtAfterStep(grounds: Grounds, before: Doubt | null): Doubt | null {
  const doubt = doubtAtStart({ ...grounds, word: grounds.word === "not-synchronised" ? "unknown" : grounds.word });
  return before === null && doubt === "before-journal" ? null : doubt;
}

/** The trust a process takes over from the one before it in the same run of the board, where nobody set the clock in between. */
function inherited(history: ClockHistory, boot: LifeStart["boot"], apartMs: number): boolean {
  const start = history.records.findLast((record) => record.kind === "start");
  const last = history.records.at(-1);
  if (boot == null || last === undefined || start?.boot == null || start.boot.id !== boot.id) return false;
  const trust = last.kind === "clock" ? last.trust : (last.trust ?? "trusted");
  const moved = history.records
    .filter((record): record is ClockRecord => record.kind === "clock" && record.seq > start.seq && record.why !== "suspend")
    .reduce((sum, record) => sum + record.movedMs, start.atMs - start.boot.atMs);
  return trust === "trusted" && Math.abs(apartMs - moved) < LIMITS.clockBehindMsMax.value;
}

/**
 * Begins to watch the wall clock.
 *
 * @param parts.believe  `always`: the operator vouches for the board's clock, whatever the system says.
 */
export function createWallClock(parts: WallClockParts): WallClock {
  const judge = createClockJudge(parts);
  const records: (LifeStart | ClockRecord)[] = [...parts.history.records];
  let timeline: Timeline | null = null;
  return {
    ...judge,
    recorded: (record) => {
      records.push(record);
      if (records.length > LIMITS.clockRecordsMax.value) records.shift();
      timeline = null;
    },
    timeline: () => {
      timeline ??= createTimeline(records);
      return timeline;
    },
    wallAt: (monotonicMs) => wallMs(Math.round(parts.clock.wall() - parts.clock.monotonic() + monotonicMs)),
  };
}

/** What the wall clock is watched with. */
export interface WallClockParts {
  readonly clock: Clock;
  readonly system: SystemTime;
  readonly history: ClockHistory;
  readonly believe: "system" | "always";
}

/** Both clocks at one moment, less each other: how far they are apart. */
function bothOf(clock: Clock) {
  const atMs = clock.wall();
  const atMonotonicMs = clock.monotonic();
  return { kind: "clock", atMs, atMonotonicMs } as const;
}

function createClockJudge(parts: WallClockParts): Pick<WallClock, "trust" | "doubt" | "start" | "look"> {
  const { clock, system, history } = parts;
  const grounds = (): Grounds => ({ wallMs: clock.wall(), newestMs: history.newestMs, word: system.word() });
  const boot = system.boot();
  const { atMs, atMonotonicMs } = bothOf(clock);
  const measureSleep = createSleepMeter(parts, boot);
  let recordedApartMs = atMs - atMonotonicMs;
  let lookedApartMs = recordedApartMs;
  let askAgainMs = atMonotonicMs + WORD_MS;
  let doubt: Doubt | null = parts.believe === "always" ? null : doubtAtStart(grounds());
  if (doubt === "not-synchronised" && inherited(history, boot, atMs - (boot?.atMs ?? 0))) doubt = null;
  const trust = (): ClockTrust => (doubt === null ? "trusted" : "untrusted");

  const isSetNow = (): boolean => {
    if (doubt === null || clock.monotonic() < askAgainMs) return false;
    askAgainMs = clock.monotonic() + WORD_MS;
    return system.word() === "synchronised";
  };

  /** The clock moved at once: the board slept, somebody set it, or both. */
  const stepped = (movedMs: number): readonly UnnumberedClockRecord[] => {
    const slept = Math.round(measureSleep());
    const setMs = movedMs - slept;
    const found: UnnumberedClockRecord[] = [];
    if (slept > 0) found.push({ ...bothOf(clock), movedMs: slept, why: "suspend", trust: trust() });
    recordedApartMs += slept;
    if (Math.abs(setMs) < STEP_MS_MIN) return found;
    recordedApartMs += setMs;
    doubt = parts.believe === "always" ? null : doubtAfterStep(grounds(), doubt);
    return [...found, { ...bothOf(clock), movedMs: setMs, why: "step", trust: trust() }];
  };

  const look = (): readonly UnnumberedClockRecord[] => {
    const both = bothOf(clock);
    const apartMs = both.atMs - both.atMonotonicMs;
    const sinceLookMs = apartMs - lookedApartMs;
    lookedApartMs = apartMs;
    if (Math.abs(sinceLookMs) >= STEP_MS_MIN) return stepped(apartMs - recordedApartMs);
    const found: UnnumberedClockRecord[] = [];
    if (isSetNow()) {
      doubt = null;
      found.push({ ...both, movedMs: 0, why: "trust", trust: trust() });
    }
    const driftedMs = apartMs - recordedApartMs;
    if (Math.abs(driftedMs) < LIMITS.clockDriftMsMax.value) return found;
    recordedApartMs = apartMs;
    return [...found, { ...both, movedMs: driftedMs, why: "drift", trust: trust() }];
  };

  return {
    trust,
    doubt: () => (doubt === null ? null : fault("clock-untrusted", { why: doubt })),
    start: { atMs, atMonotonicMs, trust: trust(), notBeforeMs: history.newestMs, boot },
    look,
  };
}

/** Measures how long the board slept since it was last asked, in ms; 0 where the system does not tell. */
function createSleepMeter({ clock, system }: WallClockParts, boot: LifeStart["boot"]): () => number {
  let shiftMs = (boot?.atMs ?? 0) - clock.monotonic();
  return () => {
    const now = boot == null ? null : system.boot();
    const sleptMs = now === null ? 0 : now.atMs - clock.monotonic() - shiftMs;
    if (sleptMs < SLEEP_MS_MIN) return 0;
    shiftMs += sleptMs;
    return sleptMs;
  };
}
