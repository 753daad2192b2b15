import { type DeviceId, type Seq, seq } from "../core/ids.ts";
import { LIMITS } from "../core/limits.ts";
import {
  addQuality,
  NO_QUALITY,
  type QualityCounts,
  type QualityDay,
  type QualityRow,
  type QualityTally,
  qualityScores,
} from "../core/quality-view.ts";
import { isQuantityName, type QuantityName } from "../core/quantities.ts";
import type { DeviceEvent } from "../core/record.ts";
import type { MonotonicMs } from "../core/time.ts";
import { firstSeqAtOrAfter, type HistoryParts, type HistoryWindow } from "./journal-history.ts";
import type { CountedQuality, QualityCounter } from "./quality-counter.ts";

const HOUR_MS = 3_600_000;
/** What a count of an hour calls itself where it is of the device's messages. */
const DEVICE_ROW = "device";
/** A record of an hour follows its end within a minute, or the start of a slow disk. */
const RECORD_DELAY_MS = 10 * 60_000;

/**
 * The facts of an event `quality`: `quantity` (or `device` for its messages), `spanMs` how long was counted up to the record's own time,
 * what of `QualityCounts` is not 0, and for each rule that lowered a score `aspect.rule` with how often.
 */
export function qualityFacts(counted: CountedQuality, spanMs: number): DeviceEvent["facts"] {
  const counts = Object.entries(counted.tally.counts).filter(([, count]) => count > 0);
  return {
    quantity: counted.quantity ?? DEVICE_ROW,
    spanMs: Math.round(spanMs),
    ...Object.fromEntries(counts),
    ...counted.tally.rules,
  };
}

/** Reads back what `qualityFacts` wrote; null where it is none. */
export function countedOf(event: DeviceEvent): (CountedQuality & { readonly spanMs: number }) | null {
  const { quantity, spanMs, ...rest } = event.facts;
  if (event.code !== "quality" || typeof quantity !== "string" || typeof spanMs !== "number") return null;
  if (quantity !== DEVICE_ROW && !isQuantityName(quantity)) return null;
  const counts: Record<string, number> = { ...NO_QUALITY.counts };
  const rules: Record<string, number> = {};
  for (const [name, count] of Object.entries(rest)) {
    if (typeof count !== "number") continue;
    if (Object.hasOwn(counts, name)) counts[name] = count;
    else rules[name] = count;
  }
  const tally: QualityTally = { counts: counts as unknown as QualityCounts, rules };
  return { deviceId: event.deviceId, quantity: quantity === DEVICE_ROW ? null : quantity, tally, spanMs };
}

/** Writes down what was counted when an hour is over, and tells what was counted in a day. */
export interface QualityBook {
  /** Call it each minute: ends the minute, and with an hour its count. */
  readonly minuteEnded: () => void;
  /** Writes down what was counted since; call it once at the end. */
  readonly finish: () => void;
  /** What was counted in the hours that began in a time (mended), the running one too. */
  readonly between: (window: HistoryWindow) => Promise<QualityDay>;
}

/** What the book works with. */
export interface QualityBookParts extends HistoryParts {
  readonly counter: QualityCounter;
  readonly wall: () => number;
  readonly monotonic: () => MonotonicMs;
  /** Mended. */
  readonly nowMs: () => number;
  /** Numbers and records one event of each device and quantity. */
  readonly record: (events: readonly Pick<DeviceEvent, "deviceId" | "facts">[]) => void;
}

/** Sums of one day so far, and up to which number it was read. */
interface DayRead {
  readonly sums: Map<string, CountedQuality>;
  readUpToSeq: Seq;
}

/** Opens the book. */
export function createQualityBook(parts: QualityBookParts): QualityBook {
  const { counter } = parts;
  const dayOf = createDayReader(parts);
  let hour = Math.floor(parts.wall() / HOUR_MS);

  const write = () => {
    const { sinceMs, counted } = counter.close();
    const spanMs = parts.monotonic() - sinceMs;
    if (counted.length > 0) parts.record(counted.map((each) => ({ deviceId: each.deviceId, facts: qualityFacts(each, spanMs) })));
  };

  return {
    minuteEnded: () => {
      counter.minuteEnded();
      const now = Math.floor(parts.wall() / HOUR_MS);
      if (now === hour) return;
      hour = now;
      write();
    },
    finish: write,
    between: async (window) => {
      // Where an hour ended meanwhile its count may be in both.
      for (;;) {
        const { sinceMs } = counter.running();
        const { sums } = await dayOf(window);
        const running = counter.running();
        if (running.sinceMs !== sinceMs) continue;
        const all = new Map(sums);
        const beganMs = parts.nowMs() - (parts.monotonic() - sinceMs);
        if (beganMs >= window.fromMs && beganMs < window.toMs) for (const each of running.counted) addTo(all, each);
        return { rows: rowsOf([...all.values()]) };
      }
    },
  };
}

/** Reads the records of days: a day that was read goes on where it ended, and is read by one question at a time. */
function createDayReader(parts: QualityBookParts): (window: HistoryWindow) => Promise<DayRead> {
  const days = new Map<string, Promise<DayRead>>();
  let readBy = parts.timeline();
  return (window) => {
    // A clock that was set moves hours to other days.
    if (readBy !== parts.timeline()) days.clear();
    readBy = parts.timeline();
    const key = `${window.fromMs} ${window.toMs}`;
    const before = days.get(key) ?? Promise.resolve(null);
    const next = before.then((day) => readDay(parts, window, day));
    days.delete(key);
    days.set(key, next);
    next.catch(() => days.delete(key));
    for (const oldest of days.keys()) {
      if (days.size <= LIMITS.qualityDaysKeptMax.value) break;
      days.delete(oldest);
    }
    return next;
  };
}

async function readDay(parts: QualityBookParts, window: HistoryWindow, before: DayRead | null): Promise<DayRead> {
  const { journal } = parts;
  const day = before ?? {
    sums: new Map(),
    readUpToSeq: seq((await firstSeqAtOrAfter(parts, { atMs: window.fromMs })) - 1),
  };
  const isOver = window.toMs + HOUR_MS + RECORD_DELAY_MS < parts.nowMs();
  const end = isOver ? await firstSeqAtOrAfter(parts, { atMs: window.toMs + HOUR_MS + RECORD_DELAY_MS }) : null;
  const upToSeq = seq(end === null ? journal.committedSeq() : end - 1);
  const mending = parts.timeline();
  while (day.readUpToSeq < upToSeq) {
    const range = { afterSeq: day.readUpToSeq, upToSeq, limit: LIMITS.journalReadRecordsMax.value };
    const page = await journal.read({ ...range, kinds: ["event"] });
    for (const record of page) {
      const counted = record.kind === "event" ? countedOf(record) : null;
      if (counted === null || record.kind !== "event") continue;
      const atMs = mending.mended({ seq: record.seq, atMs: record.atMs, monotonicMs: null }).atMs - counted.spanMs;
      if (atMs >= window.fromMs && atMs < window.toMs) addTo(day.sums, counted);
    }
    day.readUpToSeq = page.at(-1)?.seq ?? upToSeq;
  }
  return day;
}

function addTo(sums: Map<string, CountedQuality>, counted: CountedQuality): void {
  const key = `${counted.deviceId} ${counted.quantity ?? DEVICE_ROW}`;
  const before = sums.get(key);
  const { deviceId, quantity, tally } = counted;
  sums.set(key, { deviceId, quantity, tally: before === undefined ? tally : addQuality(before.tally, tally) });
}

/** For each device first the device as a whole, then its quantities. */
function rowsOf(sums: readonly CountedQuality[]): readonly QualityRow[] {
  const byDevice = Map.groupBy(sums, ({ deviceId }) => deviceId);
  return [...byDevice]
    .sort(([one], [other]) => (one < other ? -1 : 1))
    .flatMap(([deviceId, ofDevice]) => deviceRows(deviceId, ofDevice));
}

function deviceRows(deviceId: DeviceId, ofDevice: readonly CountedQuality[]): readonly QualityRow[] {
  const whole = ofDevice.reduce((sum, { tally }) => addQuality(sum, tally), NO_QUALITY);
  const row = (quantity: QuantityName | null, tally: QualityTally) => ({
    deviceId,
    quantity,
    ...tally,
    scores: qualityScores(tally.counts, whole.counts),
  });
  return [row(null, whole), ...ofDevice.flatMap(({ quantity, tally }) => (quantity === null ? [] : [row(quantity, tally)]))];
}
