import { expect, test } from "vitest";
import { createSimulatedClock, type SimulatedClock } from "../simulator/world/simulated-clock.ts";
import { patientId } from "../src/core/ids.ts";
import { wallMs } from "../src/core/time.ts";
import type { SystemTime } from "../src/gateway/system-time.ts";
import { type SeededRandom, seededRandom } from "./support/seeded-random.ts";
import { type SmallWard, startSmallWard } from "./support/small-ward.ts";

const HOUR_MS = 3_600_000;

/** What was said: the rate that stands for it, the true time, and whether its clock was right in the end. */
interface Said {
  readonly rate: number;
  readonly trueMs: number;
  readonly known: boolean;
}

/** How the clock of a run of the board stands when it begins, and whether somebody sets it while it runs. */
interface Course {
  readonly errorMs: number;
  readonly set: boolean;
}

function courseOf(random: SeededRandom, clock: SimulatedClock): Course {
  const kind = random.whole({ min: 0, max: 4 });
  if (kind === 0) return { errorMs: -clock.trueMs(), set: random.fraction() < 0.6 };
  if (kind === 1) return { errorMs: -5 * HOUR_MS, set: true };
  if (kind === 2) return { errorMs: 2 * HOUR_MS, set: true };
  return { errorMs: 0, set: false };
}

const setTo = (clock: SimulatedClock, errorMs: number) => clock.stepWall(clock.trueMs() + errorMs - clock.wall());

test("through runs of the board with wrong clocks and restarts within them, the trend is in the order of measurement and at the right times", async () => {
  for (let seed = 1; seed <= 30; seed++) {
    const random = seededRandom(seed);
    const clock = createSimulatedClock();
    const beganMs = clock.trueMs();
    let run = 1;
    const systemTime: SystemTime = { word: () => "unknown", boot: () => ({ id: `run-${run}`, atMs: clock.runMs() }) };
    let ward: SmallWard = await startSmallWard({ clock, systemTime });
    await ward.admit(1);
    const said: Said[] = [];
    const speak = async (known: boolean) => {
      ward.link("monitor-1").up();
      for (let count = random.whole({ min: 1, max: 8 }); count > 0; count--) {
        const rate = 30 + said.length;
        said.push({ rate, trueMs: clock.trueMs(), known });
        await ward.stream("monitor-1", 1, { heartRate: rate });
      }
    };
    await speak(true);
    for (let runs = random.whole({ min: 1, max: 5 }); runs > 0 && said.length < 150; runs--) {
      const { errorMs, set } = courseOf(random, clock);
      const known = errorMs === 0 || set;
      ward = await ward.crash(random.whole({ min: 60_000, max: HOUR_MS }), () => {
        run += 1;
        setTo(clock, errorMs);
      });
      await speak(known);
      // The process alone dies, perhaps before anybody set the clock.
      if (random.fraction() < 0.5) {
        ward = await ward.crash(random.whole({ min: 100, max: 5000 }));
        await speak(known);
      }
      if (set) setTo(clock, 0);
      await speak(known);
    }
    ward = await ward.crash(60_000, () => {
      run += 1;
      setTo(clock, 0);
    });
    await speak(true);
    const query = { patientId: patientId("patient-1"), quantity: "heartRate", pointsMax: 2000 } as const;
    const toMs = wallMs(clock.trueMs());
    const points = await ward.gateway.source.trend({ ...query, fromMs: wallMs(beganMs), toMs });
    expect(
      points.map(({ value }) => value),
      `seed ${seed}: order`,
    ).toEqual(said.map(({ rate }) => rate));
    for (const [index, { trueMs, known }] of said.entries()) {
      const shownMs = points[index]?.atMs ?? 0;
      const place = `seed ${seed}, rate ${30 + index}, off by ${shownMs - trueMs}`;
      if (known) expect(Math.abs(shownMs - trueMs), place).toBeLessThan(1000);
      else expect(shownMs, place).toBeLessThanOrEqual(trueMs);
    }
    await ward.gateway.stop();
  }
}, 60_000);
