import { afterEach, describe, expect, test } from "vitest";
import { findDriver } from "../drivers/index.ts";
import { createSimulatedClock } from "../simulator/world/simulated-clock.ts";
import { patientId, seq } from "../src/core/ids.ts";
import { wallMs } from "../src/core/time.ts";
import type { SystemTime } from "../src/gateway/system-time.ts";
import { type SeededRandom, seededRandom } from "./support/seeded-random.ts";
import { type MonitorValues, type SmallWard, startSmallWard } from "./support/small-ward.ts";

const HOUR_MS = 3_600_000;
const WELL: MonitorValues = { heartRate: 72, respiratoryRate: 15, oxygenSaturation: 97 };
const LOW: MonitorValues = { ...WELL, oxygenSaturation: 84 };

/** One second of a ward: what the monitor says, and what else happens. */
interface Second {
  readonly values: MonitorValues | null;
  readonly deed: "acknowledge" | "enter" | "crash" | null;
  /** How far the wall clock is set in this second, in the attacked ward only. */
  readonly stepMs: number;
}

/** What a person in the ward can notice: each state of each alert and the second it was said in. */
type Noticed = readonly string[];

/** Of the clock's own trouble the two wards differ by right. */
function ofPatients(ward: SmallWard, from: number, second: number): readonly string[] {
  return ward.said
    .slice(from)
    .filter(({ rule }) => rule !== "fault.clock-untrusted")
    .map(({ rule, phase, priority, state }) => `${second} ${rule} ${phase} ${priority} ${state}`);
}

/** Runs a course of seconds; the clocks are set only where `attacked`. */
async function notice(
  seconds: readonly Second[],
  given: { readonly attacked: boolean; readonly driftPpm?: number; readonly beginMs?: number },
): Promise<{ readonly noticed: Noticed; readonly rates: readonly (number | null)[]; readonly ward: SmallWard }> {
  const clock = createSimulatedClock();
  const systemTime: SystemTime = { word: () => "unknown", boot: () => ({ id: "run-1", atMs: clock.runMs() }) };
  if (given.attacked) clock.stepWall((given.beginMs ?? clock.wall()) - clock.wall());
  if (given.attacked) clock.driftWall(given.driftPpm ?? 0);
  let ward = await startSmallWard({ clock, systemTime });
  ward.link("monitor-1").up();
  await ward.admit(1);
  const noticed: string[] = [];
  let heardCount = ward.said.length;
  noticed.push(...ofPatients(ward, 0, 0));
  for (const [second, { values, deed, stepMs }] of seconds.entries()) {
    if (given.attacked && stepMs !== 0) clock.stepWall(stepMs);
    if (deed === "enter") await ward.act({ kind: "enter-oxygen", patientId: patientId("patient-1"), onOxygen: true });
    const open = ward.gateway.openAlerts().find(({ state, nature }) => state === "active" && nature === "physiological");
    if (deed === "acknowledge" && open !== undefined) await ward.act({ kind: "acknowledge", alertId: open.id });
    await ward.stream("monitor-1", 1, values === null ? null : { ...values, heartRate: 50 + (second % 100) });
    noticed.push(...ofPatients(ward, heardCount, second));
    heardCount = ward.said.length;
    if (deed === "crash") {
      ward = await ward.crash(1000, () => given.attacked && clock.stepWall(stepMs));
      ward.link("monitor-1").up();
      noticed.push(...ofPatients(ward, 0, second));
      heardCount = ward.said.length;
    }
  }
  const now = clock.wall();
  const fromMs = wallMs(now - (seconds.length + 120) * 1000);
  const query = { patientId: patientId("patient-1"), quantity: "heartRate", fromMs, toMs: now, pointsMax: 5000 } as const;
  const rates = (await ward.gateway.source.trend(query)).map(({ value }) => value);
  await ward.gateway.stop();
  return { noticed, rates, ward };
}

const seconds = (count: number, values: MonitorValues | null, stepMs = 0): readonly Second[] =>
  Array.from({ length: count }, (_, index) => ({ values, deed: null, stepMs: index === 0 ? stepMs : 0 }));

/** The same course must be noticed in the same way, second by second, whatever the wall clock does. */
async function expectSame(
  course: readonly Second[],
  more: { driftPpm?: number; beginMs?: number } = {},
  place = "",
): Promise<Noticed> {
  const calm = await notice(course, { attacked: false });
  const attacked = await notice(course, { attacked: true, ...more });
  expect(attacked.noticed, place).toEqual(calm.noticed);
  expect(attacked.rates, `${place} trend`).toEqual(calm.rates);
  return calm.noticed;
}

describe("a wall clock that is set raises, ends, delays and repeats nothing", () => {
  const jumps: readonly (readonly [string, number])[] = [
    ["from 1970 to now", Date.UTC(2026, 0, 1)],
    ["back by three hours", -3 * HOUR_MS],
    ["forward by an hour", HOUR_MS],
    ["forward by ten years", 10 * 365 * 24 * HOUR_MS],
  ];
  test.each(jumps)("%s", async (_, stepMs) => {
    const beginMs = stepMs > 1e12 ? 0 : Date.UTC(2026, 5, 1);
    // In the delay of a limit, while it holds, and within its hold at the end.
    const course = [
      ...seconds(30, WELL),
      ...seconds(5, LOW),
      ...seconds(40, LOW, stepMs),
      ...seconds(12, WELL),
      ...seconds(40, WELL, -stepMs),
      ...seconds(5, null),
      ...seconds(40, null, stepMs),
      ...seconds(20, WELL),
    ];
    const noticed = await expectSame(course, { beginMs });
    expect(noticed.filter((line) => line.includes("limit.oxygenSaturation.low start")).length).toBe(1);
    expect(noticed.filter((line) => line.includes("limit.oxygenSaturation.low end")).length).toBe(1);
    expect(noticed.filter((line) => line.includes("silence.device start")).length).toBe(1);
  });

  test("silence is noticed within its limit and a second, in the second of a step as well", async () => {
    const limitSeconds = findDriver("serial-ivy-450c")?.silenceSeconds ?? Number.NaN;
    for (const stepMs of [-3 * HOUR_MS, HOUR_MS]) {
      const { noticed } = await notice([...seconds(20, WELL), ...seconds(60, null, stepMs)], { attacked: true });
      const told = noticed.find((line) => line.includes("silence.device start"));
      const second = Number(told?.split(" ")[0]);
      // The last message came at the beginning of second 19; what is noticed in a second came by its end.
      expect(second + 1 - 19, `${stepMs}`).toBeGreaterThanOrEqual(limitSeconds);
      expect(second + 1 - 19, `${stepMs}`).toBeLessThanOrEqual(limitSeconds + 1);
    }
  });

  test("an acknowledged alert is announced again after its time, not after the clock's", async () => {
    const course: readonly Second[] = [
      ...seconds(30, LOW),
      { values: LOW, deed: "acknowledge", stepMs: 0 },
      ...seconds(300, LOW, 3 * HOUR_MS),
      ...seconds(400, LOW, -6 * HOUR_MS),
    ];
    const noticed = await expectSame(course);
    expect(noticed.filter((line) => line.includes("limit.oxygenSaturation.low continue")).length).toBe(1);
  });

  test("drift of 200 parts in a million", async () => {
    await expectSame([...seconds(40, LOW), ...seconds(60, WELL), ...seconds(30, null)], { driftPpm: 200 });
    await expectSame([...seconds(40, LOW), ...seconds(60, WELL), ...seconds(30, null)], { driftPpm: -200 });
  });
});

describe("the time zone of the board", () => {
  const zoneBefore = process.env["TZ"];
  afterEach(() => {
    if (zoneBefore === undefined) delete process.env["TZ"];
    else process.env["TZ"] = zoneBefore;
  });
  // Half a minute before the clocks of Berlin go forward, and before they go back.
  test.each([Date.UTC(2026, 2, 29, 0, 59, 30), Date.UTC(2026, 9, 25, 0, 59, 30)])("daylight saving at %i", async (beginMs) => {
    process.env["TZ"] = "Europe/Berlin";
    expect(new Date(beginMs + 60_000).getTimezoneOffset(), "the zone is in force").not.toBe(
      new Date(beginMs).getTimezoneOffset(),
    );
    await expectSame([...seconds(20, WELL), ...seconds(40, LOW), ...seconds(40, WELL), ...seconds(20, null)], { beginMs });
  });
});

/** A course in which anything may happen. */
function courseOf(random: SeededRandom): readonly Second[] {
  const course: Second[] = [];
  for (let stretch = random.whole({ min: 3, max: 10 }); stretch > 0; stretch--) {
    const values = [WELL, LOW, { ...WELL, oxygenSaturation: 60 }, null][random.whole({ min: 0, max: 3 })] ?? null;
    const step = [0, 0, -3 * HOUR_MS, HOUR_MS, -400 * 1000, 7000, -800][random.whole({ min: 0, max: 6 })] ?? 0;
    const deed = ([null, null, "acknowledge", "enter", "crash"] as const)[random.whole({ min: 0, max: 4 })] ?? null;
    const count = random.whole({ min: 1, max: 40 });
    course.push({ values, deed, stepMs: step }, ...seconds(count, values));
  }
  return course;
}

test("any course of a ward is noticed in the same way whatever the wall clock does, through restarts, and its trend is in order", async () => {
  for (let seed = 1; seed <= 25; seed++) {
    const random = seededRandom(seed);
    const more = { driftPpm: random.whole({ min: -200, max: 200 }), beginMs: random.fraction() < 0.3 ? 0 : Date.UTC(2026, 5, 1) };
    await expectSame(courseOf(random), more, `seed ${seed}`);
  }
}, 60_000);

test("numbers of records rise through all of it", async () => {
  const { ward } = await notice(courseOf(seededRandom(99)), { attacked: true });
  let last = 0;
  for (let afterSeq = seq(0); ; ) {
    const page = await ward.journal.read({ afterSeq, limit: 1000 });
    for (const record of page) {
      expect(record.seq).toBeGreaterThan(last);
      last = record.seq;
    }
    const end = page.at(-1);
    if (end === undefined) break;
    afterSeq = end.seq;
  }
});
