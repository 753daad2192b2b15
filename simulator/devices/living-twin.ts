import { present } from "../../src/core/observation.ts";
import type { PatientBody, Twin } from "../../src/core/ports.ts";
import { QUANTITIES } from "../../src/core/quantities.ts";

/** What may happen to a device as a whole; sensors are `worn.ts`. */
export interface LifeChange {
  readonly atSeconds: number;
  readonly power?: "on" | "off" | undefined;
  /** True: it sends on, and every value stays as it is. */
  readonly frozen?: boolean | undefined;
}

/** A device with a life. */
export interface LifePlan {
  /** In rising order of time. */
  readonly changes: readonly LifeChange[];
  /** How often it says something, in seconds; null: its kind's own pace. */
  readonly everySeconds: number | null;
  /** Full at the start, empty after so long, and then off; null: it hangs on the mains. */
  readonly batterySeconds: number | null;
  /** How long it takes from being switched on again to its first message. */
  readonly warmUpSeconds: number;
  readonly clock: DeviceClock;
}

/** The time that a device lives by, which goes on while the device is off. */
export interface DeviceClock {
  /** How long after a twin's zero it begins, in milliseconds. */
  readonly startMs: number;
  /** How much faster (below 0: slower) than the true time it goes, in parts per million. */
  readonly driftPpm: number;
}

/** Makes a device that has just been switched on, so many milliseconds after its zero by its own time. */
export type MakeTwin = (body: PatientBody, onSinceMs: number) => Twin;

/** A device on the mains that nothing happens to. */
export const PLAIN_LIFE: LifePlan = {
  changes: [],
  everySeconds: null,
  batterySeconds: null,
  warmUpSeconds: 5,
  clock: { startMs: 0, driftPpm: 0 },
};

const MS_PER_SECOND = 1000;

/**
 * The twin of a device to which things happen: it is switched off and on (and begins anew after warming up), stands still, runs empty, and
 * says something as often as its owner set it to.
 */
export function livingTwin(make: MakeTwin, body: PatientBody, plan: LifePlan): Twin {
  const seen = bodyOfLife(body, plan);
  const rate = 1 + plan.clock.driftPpm * 1e-6;
  /** The device's time at a moment of the world, and back. */
  const deviceMs = (atMs: number) => plan.clock.startMs + atMs * rate;
  const worldMs = (deviceClockMs: number) => (deviceClockMs - plan.clock.startMs) / rate;
  const everyMs = plan.everySeconds === null ? null : plan.everySeconds * MS_PER_SECOND;
  let inner: Twin | null = null;
  let onSinceMs = Number.NaN;
  let nextWordMs = 0;
  const begin = (sinceMs: number) => {
    onSinceMs = sinceMs;
    nextWordMs = sinceMs;
    const seenByClock: PatientBody = {
      quantity: (name, atMs) => seen.quantity(name, worldMs(atMs)),
      wave: (name, atMs) => seen.wave(name, worldMs(atMs)),
    };
    inner = make(seenByClock, deviceMs(sinceMs));
    // What it would have said before it was switched on was never said.
    if (deviceMs(sinceMs) >= 1) inner.due(deviceMs(sinceMs) - 1);
  };
  return {
    due: (atMs) => {
      const { on, sinceMs, untilMs } = powerAt(plan, atMs);
      if (!on) {
        inner = null;
        return { bytesToSend: [], nextDueMs: untilMs };
      }
      if (inner === null || onSinceMs !== sinceMs) begin(sinceMs);
      if (atMs < sinceMs || inner === null) return { bytesToSend: [], nextDueMs: sinceMs };
      if (everyMs !== null && atMs < nextWordMs) return { bytesToSend: [], nextDueMs: Math.min(untilMs, nextWordMs) };
      const due = inner.due(deviceMs(atMs));
      if (everyMs === null) return { bytesToSend: due.bytesToSend, nextDueMs: Math.min(untilMs, worldMs(due.nextDueMs)) };
      nextWordMs = sinceMs + (Math.floor((atMs - sinceMs) / everyMs) + 1) * everyMs;
      return { bytesToSend: lastWords(due.bytesToSend), nextDueMs: Math.min(untilMs, nextWordMs) };
    },
    receive: (bytes, channel) => inner?.receive(bytes, channel),
  };
}

/** Of each channel the last message: what a device says that speaks seldom. */
function lastWords(messages: ReturnType<Twin["due"]>["bytesToSend"]): ReturnType<Twin["due"]>["bytesToSend"] {
  return [...new Map(messages.map((message) => [message.channel, message])).values()];
}

/** Whether a device is on at a moment, since when it sends (warm-up included), and until when that holds. */
function powerAt(plan: LifePlan, atMs: number): { readonly on: boolean; readonly sinceMs: number; readonly untilMs: number } {
  const seconds = atMs / MS_PER_SECOND;
  const emptyAt = plan.batterySeconds ?? Number.POSITIVE_INFINITY;
  if (seconds >= emptyAt) return { on: false, sinceMs: 0, untilMs: Number.POSITIVE_INFINITY };
  const switches = plan.changes.filter((change) => change.power !== undefined);
  const last = switches.findLast((change) => change.atSeconds <= seconds);
  const next = Math.min(emptyAt, switches.find((change) => change.atSeconds > seconds)?.atSeconds ?? Number.POSITIVE_INFINITY);
  return {
    on: last?.power !== "off",
    sinceMs: last === undefined ? 0 : (last.atSeconds + plan.warmUpSeconds) * MS_PER_SECOND,
    untilMs: next * MS_PER_SECOND,
  };
}

/** What a device's own parts make of the body: its battery, and values that stand still. */
function bodyOfLife(body: PatientBody, plan: LifePlan): PatientBody {
  const standing = plan.changes.filter((change) => change.frozen !== undefined);
  /** The moment whose values are shown: while it stands still, the one at which it began to. */
  const shown = (atMs: number): number => {
    if (standing.length === 0) return atMs;
    const last = standing.findLast((change) => change.atSeconds * MS_PER_SECOND <= atMs);
    return last?.frozen === true ? last.atSeconds * MS_PER_SECOND : atMs;
  };
  const { batterySeconds } = plan;
  return {
    quantity: (name, atMs) => {
      if (name !== "batteryLevel" || batterySeconds === null) return body.quantity(name, shown(atMs));
      const left = Math.max(0, 1 - atMs / MS_PER_SECOND / batterySeconds);
      return present("batteryLevel", Math.round(100 * left), QUANTITIES.batteryLevel.unit);
    },
    wave: (name, atMs) => body.wave(name, shown(atMs)),
  };
}
