import { describe, expect, test } from "vitest";
import { createSimulatedClock, type SimulatedClock } from "../simulator/world/simulated-clock.ts";
import { seq } from "../src/core/ids.ts";
import { createTimeline, type Timeline } from "../src/core/mended-time.ts";
import type { ClockRecord, LifeStart } from "../src/core/record.ts";
import { type ClockTrust, monotonicMs, wallMs } from "../src/core/time.ts";
import type { SystemTime } from "../src/gateway/system-time.ts";
import { type ClockHistory, createWallClock, type WallClock } from "../src/gateway/wall-clock.ts";
import { type SeededRandom, seededRandom } from "./support/seeded-random.ts";

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
/** A board that knows nothing of the time starts there. */
const TO_1970_MS = -Date.UTC(2026, 0, 1);

const startOf = (number: number, atMs: number, more: Partial<LifeStart> = {}): LifeStart => ({
  kind: "start",
  seq: seq(number),
  atMs: wallMs(atMs),
  atMonotonicMs: monotonicMs(1000),
  version: "0",
  before: "cut-off",
  leftOut: null,
  ...more,
});
const clockOf = (
  number: number,
  given: { atMs: number; mono: number; movedMs: number; why?: ClockRecord["why"]; trust?: ClockTrust },
): ClockRecord => ({
  kind: "clock",
  seq: seq(number),
  atMs: wallMs(given.atMs),
  atMonotonicMs: monotonicMs(given.mono),
  movedMs: given.movedMs,
  why: given.why ?? "step",
  trust: given.trust ?? "trusted",
});
const mended = (timeline: Timeline, number: number, atMs: number, mono: number | null = null) =>
  timeline.mended({ seq: number, atMs, monotonicMs: mono === null ? null : monotonicMs(mono) });

describe("one life", () => {
  const NOON = Date.UTC(2026, 5, 1, 12);

  test("what was written in 1970 moves to when it was, by both of its times, once the clock is set", () => {
    const timeline = createTimeline([
      startOf(1, 5000, { trust: "untrusted" }),
      clockOf(10, { atMs: NOON, mono: 61_000, movedMs: NOON - 65_000 }),
    ]);
    expect(mended(timeline, 2, 25_000, 21_000)).toEqual({ atMs: NOON - 40_000, known: true });
    expect(mended(timeline, 2, 25_000)).toEqual({ atMs: NOON - 40_000, known: true });
    expect(mended(timeline, 11, NOON + 7, 61_007)).toEqual({ atMs: NOON + 7, known: true });
  });

  test("until then it is not known, and its age within the life is", () => {
    const timeline = createTimeline([startOf(1, 5000, { trust: "untrusted" })]);
    expect(mended(timeline, 2, 25_000, 21_000)).toEqual({ atMs: 25_000, known: false });
    expect(timeline.ageMs({ seq: 2, atMs: 25_000, monotonicMs: monotonicMs(21_000) }, monotonicMs(31_000))).toBe(10_000);
  });

  test("a step moves all before it, and what is written after it stays", () => {
    const timeline = createTimeline([
      startOf(1, NOON),
      clockOf(10, { atMs: NOON - 3 * HOUR_MS + 60_000, mono: 61_000, movedMs: -3 * HOUR_MS }),
    ]);
    expect(mended(timeline, 9, NOON + 30_000, 31_000).atMs).toBe(NOON - 3 * HOUR_MS + 30_000);
    expect(mended(timeline, 10, NOON - 3 * HOUR_MS + 60_000, 61_000).atMs).toBe(NOON - 3 * HOUR_MS + 60_000);
  });

  test("a mistaken step that is undone moves only what lies between", () => {
    const timeline = createTimeline([
      startOf(1, NOON),
      clockOf(10, { atMs: NOON + HOUR_MS + 60_000, mono: 61_000, movedMs: HOUR_MS }),
      clockOf(20, { atMs: NOON + 120_000, mono: 121_000, movedMs: -HOUR_MS }),
    ]);
    expect(mended(timeline, 5, NOON + 30_000, 31_000).atMs).toBe(NOON + 30_000);
    expect(mended(timeline, 15, NOON + HOUR_MS + 90_000, 91_000).atMs).toBe(NOON + 90_000);
    expect(mended(timeline, 25, NOON + 150_000, 151_000).atMs).toBe(NOON + 150_000);
  });

  test("a step that drift explains is spread over the time since the clock was set; one a little larger is not", () => {
    const steppedBy = (movedMs: number) =>
      createTimeline([startOf(1, NOON), clockOf(10, { atMs: NOON + DAY_MS + movedMs, mono: DAY_MS + 1000, movedMs })]);
    // 500 ppm of a day are 43.2 s.
    const slow = steppedBy(-43_200);
    expect(mended(slow, 2, NOON, 1000).atMs).toBeCloseTo(NOON, 3);
    expect(mended(slow, 5, NOON + DAY_MS / 2, DAY_MS / 2 + 1000).atMs).toBeCloseTo(NOON + DAY_MS / 2 - 21_600, 3);
    expect(mended(slow, 9, NOON + DAY_MS / 4).atMs).toBeCloseTo(NOON + DAY_MS / 4 - 10_800, 3);
    const set = steppedBy(-43_201);
    expect(mended(set, 2, NOON, 1000).atMs).toBeCloseTo(NOON - 43_201, 3);
  });

  test("a small mistake that is undone moves nothing before it, though a drift of days could explain it", () => {
    const timeline = createTimeline([
      startOf(1, NOON),
      clockOf(10, { atMs: NOON + 10 * DAY_MS + 120_000, mono: 10 * DAY_MS + 1000, movedMs: 120_000 }),
      clockOf(20, { atMs: NOON + 10 * DAY_MS + 600_000, mono: 10 * DAY_MS + 601_000, movedMs: -120_000 }),
    ]);
    expect(mended(timeline, 2, NOON, 1000).atMs).toBe(NOON);
    expect(mended(timeline, 9, NOON + 9 * DAY_MS, 9 * DAY_MS + 1000).atMs).toBe(NOON + 9 * DAY_MS);
    expect(mended(timeline, 15, NOON + 10 * DAY_MS + 420_000, 10 * DAY_MS + 301_000).atMs).toBe(NOON + 10 * DAY_MS + 300_000);
  });

  test("a night asleep moves nothing", () => {
    const timeline = createTimeline([
      startOf(1, NOON),
      clockOf(10, { atMs: NOON + 8 * HOUR_MS + 60_000, mono: 61_000, movedMs: 8 * HOUR_MS, why: "suspend" }),
    ]);
    expect(mended(timeline, 5, NOON + 30_000, 31_000).atMs).toBe(NOON + 30_000);
    expect(mended(timeline, 15, NOON + 8 * HOUR_MS + 70_000, 71_000).atMs).toBe(NOON + 8 * HOUR_MS + 70_000);
    expect(timeline.ageMs({ seq: 5, atMs: NOON + 30_000, monotonicMs: monotonicMs(31_000) }, monotonicMs(71_000))).toBe(
      8 * HOUR_MS + 40_000,
    );
  });

  test("after its last trusted moment a clock is not followed", () => {
    const timeline = createTimeline([
      startOf(1, NOON),
      clockOf(10, { atMs: 60_000, mono: 61_000, movedMs: -NOON, trust: "untrusted" }),
    ]);
    expect(mended(timeline, 5, NOON + 30_000, 31_000).atMs).toBe(NOON + 30_000);
    expect(mended(timeline, 15, 90_000, 91_000)).toEqual({ atMs: NOON + 90_000, known: true });
    expect(timeline.presentCorrectionMs()).toBe(NOON);
  });
});

describe("several lives", () => {
  const NOON = Date.UTC(2026, 5, 1, 12);
  const boot = (atMs: number, id = "run-1") => ({ boot: { id, atMs } });

  test("lives of one run of the board are mended together; another run is not", () => {
    const set = clockOf(20, { atMs: NOON, mono: 11_000, movedMs: NOON - 110_000 });
    const first = startOf(1, 30_000, { trust: "untrusted", ...boot(30_000) });
    const second = startOf(10, 100_000, { trust: "untrusted", ...boot(100_000) });
    const timeline = createTimeline([first, second, set]);
    expect(mended(timeline, 2, 40_000, 11_000)).toEqual({ atMs: NOON - 70_000, known: true });
    const apart = createTimeline([first, { ...second, ...boot(100_000, "run-2") }, set]);
    expect(mended(apart, 2, 40_000, 11_000)).toEqual({ atMs: 40_000, known: false });
    expect(timeline.ageMs({ seq: 2, atMs: 40_000, monotonicMs: monotonicMs(11_000) }, monotonicMs(11_000))).toBe(70_000);
    expect(apart.ageMs({ seq: 2, atMs: 40_000, monotonicMs: monotonicMs(11_000) }, monotonicMs(11_000))).toBeNull();
  });

  test("a run that never knew the time is put behind what was known before it, and the next behind that", () => {
    const timeline = createTimeline([
      startOf(1, NOON),
      startOf(10, 5000, { trust: "untrusted", notBeforeMs: wallMs(NOON + 50_000) }),
      startOf(20, 5000, { trust: "untrusted", notBeforeMs: wallMs(NOON + 90_000) }),
    ]);
    expect(mended(timeline, 12, 8000, 4000)).toEqual({ atMs: NOON + 53_001, known: false });
    expect(mended(timeline, 22, 8000, 4000)).toEqual({ atMs: NOON + 93_001, known: false });
    expect(timeline.presentCorrectionMs()).toBe(NOON + 90_001 - 5000);
  });

  test("between two runs ages go by the mended wall clock, and one that was set back by more than a minute hides them", () => {
    const age = (nowMs: number) =>
      createTimeline([startOf(1, NOON), startOf(10, nowMs)]).ageMs({ seq: 2, atMs: NOON, monotonicMs: null }, monotonicMs(1000));
    expect(age(NOON + HOUR_MS)).toBe(HOUR_MS);
    expect(age(NOON - 60_000)).toBe(0);
    expect(age(NOON - 60_001)).toBeNull();
  });

  test("where the oldest records are not kept any more the rest is mended as before", () => {
    const set = clockOf(20, { atMs: NOON, mono: 61_000, movedMs: 5000 });
    const later = clockOf(30, { atMs: NOON + 60_000 - HOUR_MS, mono: 121_000, movedMs: -HOUR_MS });
    const timeline = createTimeline([set, later]);
    expect(mended(timeline, 25, NOON + 30_000, 91_000).atMs).toBe(NOON + 30_000 - HOUR_MS);
    expect(mended(timeline, 10, NOON - 9000, 52_000).atMs).toBe(NOON - 9000);
    expect(timeline.ageMs({ seq: 25, atMs: NOON + 30_000, monotonicMs: monotonicMs(91_000) }, monotonicMs(121_000))).toBe(30_000);
  });

  test("a journal from before there were start records stays as it was written", () => {
    expect(mended(createTimeline([]), 7, NOON).atMs).toBe(NOON);
    expect(mended(createTimeline([startOf(10, NOON)]), 7, NOON - 5, 3).atMs).toBe(NOON - 5);
  });
});

/** One run of a gateway whose clock is attacked; every second something is recorded, with its true time. */
interface Attacked {
  readonly clock: SimulatedClock;
  readonly wallClock: WallClock;
  readonly said: { readonly seq: number; readonly atMs: number; readonly mono: number; readonly trueMs: number }[];
  readonly pass: (seconds: number) => Promise<void>;
}

function attack(system: (clock: SimulatedClock) => SystemTime, errorMs: number): Attacked {
  const clock = createSimulatedClock();
  clock.stepWall(errorMs);
  const history: ClockHistory = { records: [], newestMs: null };
  const wallClock = createWallClock({ clock, system: system(clock), history, believe: "system" });
  let number = 1;
  wallClock.recorded(startOf(number, 0, wallClock.start));
  const said: Attacked["said"] = [];
  return {
    clock,
    wallClock,
    said,
    pass: async (seconds) => {
      for (let second = 0; second < seconds; second++) {
        await clock.advance(1000);
        for (const record of wallClock.look()) wallClock.recorded({ ...record, seq: seq(++number) });
        number += 1;
        const mono = clock.monotonic();
        said.push({ seq: number, atMs: wallClock.wallAt(mono), mono, trueMs: clock.trueMs() });
      }
    },
  };
}

/** How much the wall clock is off the truth now. */
const errorOf = ({ clock }: Attacked) => clock.wall() - clock.trueMs();

async function hurt(run: Attacked, random: SeededRandom, ppm: number): Promise<void> {
  const { clock } = run;
  const kind = random.whole({ min: 0, max: 3 });
  if (kind === 0) {
    clock.suspend(random.whole({ min: 5_000, max: 8 * HOUR_MS }));
  } else if (kind === 1) {
    // Somebody sets it wrong, and mends that some time later.
    const byMs = random.whole({ min: 120_000, max: 3 * HOUR_MS }) * (random.fraction() < 0.5 ? -1 : 1);
    clock.stepWall(byMs);
    await run.pass(random.whole({ min: 2, max: 300 }));
    clock.stepWall(-byMs);
  } else if (kind === 2) clock.driftWall(random.fraction() < 0.5 ? ppm : -ppm);
  else clock.stepWall(-errorOf(run));
  await run.pass(random.whole({ min: 1, max: 600 }));
}

test("clocks that start wrong, drift, sleep, are set wrong and right: mended times are within the drift of the truth, and in order", async () => {
  for (let seed = 1; seed <= 60; seed++) {
    const random = seededRandom(seed);
    const errorMs = [0, 0, TO_1970_MS, -3 * HOUR_MS, 2 * DAY_MS][random.whole({ min: 0, max: 4 })] ?? 0;
    const run = attack((clock) => ({ word: () => "unknown", boot: () => ({ id: "run", atMs: clock.runMs() }) }), errorMs);
    await run.pass(random.whole({ min: 5, max: 200 }));
    run.clock.stepWall(-errorMs);
    await run.pass(2);
    for (let hurts = random.whole({ min: 1, max: 8 }); hurts > 0; hurts--) await hurt(run, random, 200);
    run.clock.driftWall(0);
    run.clock.stepWall(-errorOf(run));
    await run.pass(2);
    const timeline = run.wallClock.timeline();
    let beforeMs = -Infinity;
    for (const { seq: number, atMs, mono, trueMs } of run.said) {
      const exact = timeline.mended({ seq: number, atMs, monotonicMs: monotonicMs(mono) });
      const written = timeline.mended({ seq: number, atMs, monotonicMs: null });
      const place = `seed ${seed}, number ${number}, off by ${exact.atMs - trueMs}`;
      expect(exact.known, place).toBe(true);
      // 200 ppm over at most 8 stretches of 900 s are 1.4 s; drift is recorded each half a second.
      expect(Math.abs(exact.atMs - trueMs), place).toBeLessThan(2500);
      expect(Math.abs(written.atMs - trueMs), `${place}, as written ${written.atMs - trueMs}`).toBeLessThan(2500);
      expect(exact.atMs, `${place}, order`).toBeGreaterThan(beforeMs);
      beforeMs = exact.atMs;
    }
  }
}, 30_000);

test("a drift of 200 ppm over a day is recorded, each record within the bound, and nobody is alarmed", async () => {
  const run = attack(() => ({ word: () => "unknown", boot: () => null }), 0);
  run.clock.driftWall(200);
  let records = 0;
  let worstMs = 0;
  for (let second = 0; second < 86_400; second++) {
    await run.clock.advance(1000);
    for (const record of run.wallClock.look()) {
      records += 1;
      expect(record.why).toBe("drift");
      worstMs = Math.max(worstMs, Math.abs(record.movedMs));
    }
  }
  // 17.28 s in steps of half a second.
  expect(records).toBe(34);
  expect(worstMs).toBeLessThan(502);
  expect(run.wallClock.doubt()).toBeNull();
}, 30_000);
