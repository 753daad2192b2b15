import { describe, expect, test } from "vitest";
import { createDayLife, ROOMS, roomBody } from "../simulator/body/day.ts";

const HOUR = 3600;
const SEEDS = [1, 2, 3, 4, 5];

describe("a life at home", () => {
  test.each(SEEDS)("seed %i: nights in bed with a way to the toilet, days in every room", (seed) => {
    const life = createDayLife(seed, 0);
    let inBedAtNight = 0;
    let toilets = 0;
    const rooms = new Set<string>();
    for (let seconds = 0; seconds < 7 * 24 * HOUR; seconds += 30) {
      const hour = (seconds / HOUR) % 24;
      const { where, asleep, exertion } = life.at(seconds);
      rooms.add(where);
      if (hour < 5) {
        inBedAtNight += where === "bedroom" && asleep ? 1 : 0;
        if (where === "bathroom" && life.at(seconds - 30).where !== "bathroom") toilets += 1;
      }
      expect(asleep ? exertion : 0).toBe(0);
    }
    expect(inBedAtNight / (7 * 5 * 120)).toBeGreaterThan(0.9);
    expect(toilets).toBeGreaterThanOrEqual(6);
    expect(toilets).toBeLessThanOrEqual(16);
    for (const room of [...ROOMS, "outside"]) expect(rooms, room).toContain(room);
  });

  test("the same seed lives the same days, asked in any order; another one others", () => {
    const [first, second, other] = [createDayLife(9, 8 * HOUR), createDayLife(9, 8 * HOUR), createDayLife(10, 8 * HOUR)];
    const times = Array.from({ length: 400 }, (_, index) => index * 1777);
    const places = (life: typeof first, asked: readonly number[]) => new Map(asked.map((at) => [at, life.at(at).where]));
    const forwards = places(first, times);
    const backwards = places(second, times.toReversed());
    for (const at of times) expect(backwards.get(at)).toBe(forwards.get(at));
    expect(times.some((at) => other.at(at).where !== forwards.get(at))).toBe(true);
  });

  test("the door opens when somebody goes out or comes home, and only then", () => {
    const life = createDayLife(3, 0);
    let openings = 0;
    for (let seconds = 10; seconds < 14 * 24 * HOUR; seconds += 10) {
      if (!life.doorOpenAt(seconds) || life.doorOpenAt(seconds - 10)) continue;
      openings += 1;
      const around = [life.at(seconds - 30).where, life.at(seconds).where];
      expect(around.filter((where) => where === "outside")).toHaveLength(1);
    }
    expect(openings).toBeGreaterThan(10);
    expect(openings).toBeLessThanOrEqual(28);
  });

  test("a room's sensor sees only its room, and a sleeper does not move", () => {
    const life = createDayLife(5, 0);
    const kitchen = roomBody(life, "kitchen", 7);
    const bedroom = roomBody(life, "bedroom", 8);
    let seen = 0;
    for (let seconds = 0; seconds < 3 * 24 * HOUR; seconds += 60) {
      const { where, asleep } = life.at(seconds);
      const motion = kitchen.quantity("motion", seconds * 1000);
      if (motion.kind === "present" && motion.value === 1) {
        seen += 1;
        expect(where).toBe("kitchen");
      }
      if (where === "bedroom" && asleep) expect(bedroom.quantity("motion", seconds * 1000)).toMatchObject({ value: 0 });
      expect(kitchen.quantity("presence", seconds * 1000)).toMatchObject({ value: where === "kitchen" ? 1 : 0 });
    }
    expect(seen).toBeGreaterThan(100);
    expect(kitchen.quantity("heartRate", 0)).toMatchObject({ kind: "absent", why: "not-available" });
  });
});
