import { absent, present, type Reading } from "../../src/core/observation.ts";
import type { PatientBody } from "../../src/core/ports.ts";
import { QUANTITIES, type QuantityName } from "../../src/core/quantities.ts";
import { seedOfPart } from "../random.ts";
import { evenAt, normalAt } from "./noise.ts";

/** The rooms of a home; `outside` has no sensor. */
export const ROOMS = ["bedroom", "bathroom", "kitchen", "living-room", "hall"] as const;

/** The name of a room. */
export type Room = (typeof ROOMS)[number];

/** Where somebody is and what they do there. */
export interface Doing {
  readonly where: Room | "outside";
  /** Bodily work, as a share of all one can. */
  readonly exertion: number;
  readonly asleep: boolean;
}

/** One stretch of a day. */
interface Stretch extends Doing {
  readonly fromSeconds: number;
}

/** The life of somebody at home, asked at any time. */
export interface DayLife {
  readonly at: (seconds: number) => Doing;
  /** Whether the door of the flat is open. */
  readonly doorOpenAt: (seconds: number) => boolean;
}

const DAY_SECONDS = 86_400;
const hours = (count: number) => count * 3600;
const minutes = (count: number) => count * 60;
/** The door stands open for so long when somebody goes or comes. */
const DOOR_SECONDS = 25;
/** Days kept; what is older is laid out anew. */
const DAYS_HELD = 4;

/**
 * Days of somebody old who lives alone: asleep by half past ten, up to the toilet once or twice, kettle and breakfast, a walk on most days,
 * a nap, supper. Each day is laid out from its own seed, so that none is like another and any may be asked. No study stands behind the times.
 *
 * @param clockSecondsAtStart  Time of day at 0 s.
 */
export function createDayLife(seed: number, clockSecondsAtStart: number): DayLife {
  const held = new Map<number, readonly Stretch[]>();
  const dayOf = (index: number): readonly Stretch[] => {
    const known = held.get(index);
    if (known !== undefined) return known;
    if (held.size >= DAYS_HELD) held.clear();
    const laid = layDay(seedOfPart(seed, index));
    held.set(index, laid);
    return laid;
  };
  const at = (seconds: number): Stretch => {
    const clock = clockSecondsAtStart + seconds;
    const index = Math.floor(clock / DAY_SECONDS);
    const ofDay = clock - index * DAY_SECONDS;
    const day = dayOf(index);
    return (
      day.findLast(({ fromSeconds }) => fromSeconds <= ofDay) ?? { fromSeconds: 0, where: "bedroom", exertion: 0, asleep: true }
    );
  };
  return {
    at,
    doorOpenAt: (seconds) => (at(seconds).where === "outside") !== (at(seconds - DOOR_SECONDS).where === "outside"),
  };
}

/** One day from midnight on. */
function layDay(seed: number): readonly Stretch[] {
  let drawn = 0;
  /** A time about `middle`, in seconds of the day. */
  const about = (middle: number, spreadMinutes: number) => {
    drawn += 1;
    return middle + minutes(spreadMinutes) * Math.max(-2, Math.min(2, normalAt(seed, drawn)));
  };
  const stretches: Stretch[] = [];
  const go = (fromSeconds: number, where: Stretch["where"], exertion: number, asleep = false) =>
    stretches.push({ fromSeconds, where, exertion, asleep });
  go(0, "bedroom", 0, true);
  const trips = 1 + Math.floor(2 * evenAt(seed, 1));
  for (let trip = 0; trip < trips; trip++) {
    const up = about(hours(1.5 + 2.5 * trip), 35);
    go(up, "hall", 0.1);
    go(up + 30, "bathroom", 0.08);
    go(up + minutes(5), "bedroom", 0, true);
  }
  const wakes = about(hours(6.6), 20);
  go(wakes, "bathroom", 0.12);
  go(wakes + minutes(18), "kitchen", 0.14);
  go(wakes + minutes(55), "living-room", 0.04);
  if (evenAt(seed, 2) < 0.75) {
    const leaves = about(hours(9.5), 25);
    go(leaves, "outside", 0.3);
    go(leaves + minutes(45), "living-room", 0.05);
  }
  go(about(hours(11.6), 12), "kitchen", 0.14);
  go(hours(12.3), "living-room", 0.03);
  go(about(hours(13), 12), "bedroom", 0, true);
  go(about(hours(14.2), 15), "living-room", 0.04);
  go(about(hours(17.5), 15), "kitchen", 0.14);
  go(hours(18.4), "living-room", 0.04);
  go(about(hours(22), 15), "bathroom", 0.1);
  go(hours(22.55), "bedroom", 0, true);
  return stretches.sort((first, second) => first.fromSeconds - second.fromSeconds);
}

/** Somebody who sits is seen to move in this share of minutes. */
const STILL_SEEN_SHARE = 0.35;
const MINUTE_SECONDS = 60;

/** What the sensors of one room see. Nobody wears them. */
export function roomBody(life: DayLife, room: Room, seed: number): PatientBody {
  const state = (name: QuantityName, holds: boolean): Reading => present(name, holds ? 1 : 0, QUANTITIES[name].unit);
  return {
    quantity: (name, atMs) => {
      const seconds = atMs / 1000;
      const { where, exertion, asleep } = life.at(seconds);
      const here = where === room;
      const stirs = exertion >= 0.1 || (!asleep && evenAt(seed, Math.floor(seconds / MINUTE_SECONDS)) < STILL_SEEN_SHARE);
      switch (name) {
        case "motion":
          return state(name, here && stirs);
        case "presence":
          return state(name, here);
        case "opening":
          return state(name, room === "hall" && life.doorOpenAt(seconds));
        case "ambientTemperature":
          return present(
            name,
            21 + 1.5 * Math.sin((2 * Math.PI * seconds) / DAY_SECONDS) + (room === "kitchen" && here ? 1 : 0),
            "Cel",
          );
        case "relativeHumidity":
          return present(name, room === "bathroom" && here ? 68 : 47, "%");
        case "illuminance":
          return present(name, here && !asleep ? 180 : 4, "lx");
        default:
          return absent(name, "not-available");
      }
    },
    wave: () => 0,
  };
}
