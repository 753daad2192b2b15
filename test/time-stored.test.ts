import { describe, expect, test } from "vitest";
import { deviceId, patientId, seq } from "../src/core/ids.ts";
import { LIMITS } from "../src/core/limits.ts";
import type { Observation } from "../src/core/observation.ts";
import { monotonicMs, wallMs } from "../src/core/time.ts";
import { createDeviceIntake, type DeviceIntake } from "../src/intake/device-intake.ts";
import { seededRandom } from "./support/seeded-random.ts";
import { type SmallWard, startSmallWard } from "./support/small-ward.ts";
import { type StoringLine, storingBytes, storingDriver } from "./support/storing-driver.ts";

const NOON = Date.UTC(2026, 5, 1, 12);
const HOUR_S = 3600;
const ANNA = patientId("anna");
const BERTA = patientId("berta");

/** An intake whose device speaks at a second of our time; Berta has it now, Anna had it until ten minutes before noon. */
function oximeter(): {
  readonly intake: DeviceIntake;
  readonly say: (line: StoringLine, second: number) => ReturnType<DeviceIntake["feed"]>;
} {
  const intake = createDeviceIntake({
    deviceId: deviceId("oximeter"),
    driver: storingDriver(),
    driverOptions: {},
    origin: "measured",
    patientOf: () => BERTA,
    patientAt: (atMs) => (atMs < 1000 - 600_000 ? ANNA : BERTA),
  });
  const say = (line: StoringLine, second: number) =>
    intake.feed({
      bytes: storingBytes(line),
      channel: "",
      receivedAtMs: wallMs(NOON + second * 1000),
      receivedMonotonicMs: monotonicMs(1000 + second * 1000),
    });
  return { intake, say };
}
const stored = (atSeconds: number | null, nowSeconds: number | null = null, oxygenSaturation = 91): StoringLine => ({
  kind: "stored",
  atSeconds,
  nowSeconds,
  oxygenSaturation,
});
const live = (clockSeconds: number | null): StoringLine => ({ kind: "live", clockSeconds, oxygenSaturation: 97 });
const one = (judgement: ReturnType<DeviceIntake["feed"]>) => {
  const [observation] = judgement.observations;
  if (observation === undefined) throw new Error("nothing was observed");
  return observation;
};
const NOON_S = NOON / 1000;

describe("a live message was measured when it came, whatever the device's clock says", () => {
  test.each([
    ["not set", null],
    ["five hours ahead", NOON_S + 5 * HOUR_S],
    ["in local time", NOON_S + 8 * HOUR_S],
    ["of the year 2000", 946_684_800],
  ])("%s", (_, clockSeconds) => {
    const { times, quality } = one(oximeter().say(live(clockSeconds), 7));
    expect(times.measuredAtMs).toBe(NOON + 7000);
    expect(times.deviceClockMs).toBe(clockSeconds === null ? null : clockSeconds * 1000);
    expect(quality.flags).not.toContain("late");
  });
});

describe("a device's clock that is set", () => {
  const events = (clock: (second: number) => number | null, seconds = 120) => {
    const { say } = oximeter();
    return Array.from({ length: seconds }, (_, second) => say(live(clock(second)), second).events).flat();
  };

  test("by daylight saving is one event, with how far it moved", () => {
    const told = events((second) => NOON_S + second + (second < 60 ? 0 : HOUR_S));
    expect(told).toEqual([{ code: "device-clock", facts: { movedMs: 3_600_000, deviceClockMs: NOON + 3_661_000 } }]);
  });

  test("backwards is told with its sign", () => {
    expect(events((second) => NOON_S + second - (second < 60 ? 0 : HOUR_S))).toMatchObject([{ facts: { movedMs: -3_600_000 } }]);
  });

  test("by more than its display is coarse, and not by less", () => {
    expect(events((second) => NOON_S + second + (second < 60 ? 0 : 90)).length).toBe(0);
    expect(events((second) => NOON_S + second + (second < 60 ? 0 : 91)).length).toBe(1);
  });

  test("a clock of minutes, one that stands still, a single stray time and a clock that is never set are none", () => {
    expect(events((second) => Math.floor((NOON_S + second) / 60) * 60, 600)).toEqual([]);
    expect(events(() => NOON_S, 600)).toEqual([]);
    expect(events((second) => NOON_S + second + (second === 60 ? HOUR_S : 0))).toEqual([]);
    expect(events(() => null)).toEqual([]);
  });

  test("at most once a minute, however it flutters", () => {
    expect(events((second) => NOON_S + second + (Math.floor(second / 5) % 2) * HOUR_S, 600).length).toBeLessThanOrEqual(10);
  });
});

describe("a stored record is as old as the device's clock says, not as its stamp says", () => {
  test("a clock that is wrong by hours cancels out", () => {
    for (const wrongS of [0, 5 * HOUR_S, -3 * HOUR_S, 946_684_800 - NOON_S]) {
      const at = NOON_S + wrongS - 1800;
      const { times, quality } = one(oximeter().say(stored(at, NOON_S + wrongS), 0));
      expect(times.measuredAtMs).toBe(NOON - 1_800_000);
      expect(times.receivedAtMs).toBe(NOON);
      expect(times.deviceClockMs).toBe(at * 1000);
      expect(quality.flags).toEqual(["late"]);
      expect(quality.validity).toBe("valid");
    }
  });

  test("where the protocol does not tell the device's time of now, the live messages of the session do", () => {
    const { say, intake } = oximeter();
    for (let second = 0; second < 5; second++) say(live(NOON_S + 5 * HOUR_S + second), second);
    expect(one(say(stored(NOON_S + 5 * HOUR_S - 1800), 10)).times.measuredAtMs).toBe(NOON - 1_800_000);
    // One stray time among many does not count.
    say(live(NOON_S + 9 * HOUR_S), 11);
    expect(one(say(stored(NOON_S + 5 * HOUR_S - 1800), 12)).times.measuredAtMs).toBe(NOON - 1_800_000);
    intake.begin();
    expect(one(say(stored(NOON_S + 5 * HOUR_S - 1800), 20)).quality.flags).toContain("measured-time-unknown");
  });

  test("where neither is known it is kept with its time unknown, and belongs to nobody", () => {
    for (const line of [stored(null), stored(null, NOON_S), stored(NOON_S - 60)]) {
      const { times, quality, patientId: whose } = one(oximeter().say(line, 0));
      expect(times.measuredAtMs).toBe(NOON);
      expect(quality.flags).toEqual(["late", "measured-time-unknown"]);
      expect(whose).toBeNull();
    }
  });

  test("an age that cannot be is unknown: of the future, or of more than 400 days", () => {
    const flagsOf = (ageS: number) => one(oximeter().say(stored(NOON_S - ageS, NOON_S), 0)).quality.flags;
    expect(flagsOf(-90)).toEqual(["late"]);
    expect(flagsOf(-91)).toContain("measured-time-unknown");
    expect(flagsOf(LIMITS.storedAgeMsMax.value / 1000)).toEqual(["late"]);
    expect(flagsOf(LIMITS.storedAgeMsMax.value / 1000 + 1)).toContain("measured-time-unknown");
  });

  test("it belongs to whom it was measured on, not to who has the device now", () => {
    expect(one(oximeter().say(stored(NOON_S - 600, NOON_S), 0)).patientId).toBe(BERTA);
    expect(one(oximeter().say(stored(NOON_S - 601, NOON_S), 0)).patientId).toBe(ANNA);
    expect(one(oximeter().say(live(NOON_S), 0)).patientId).toBe(BERTA);
  });

  test("two with the same stamp are both kept, in the order they came; so are those out of order", () => {
    const { say } = oximeter();
    const ages = [300, 300, 900, 10];
    const kept = ages.map((ageS, index) => one(say(stored(NOON_S - ageS, NOON_S, 80 + index), 0)));
    expect(kept.map(({ content }) => content)).toEqual([80, 81, 82, 83].map((value) => ({ state: "present", value })));
    expect(kept.map(({ times }) => (NOON - times.measuredAtMs) / 1000)).toEqual(ages);
  });

  test("an alarm out of its memory is kept as its words, and is no alarm", () => {
    const line: StoringLine = {
      kind: "stored",
      atSeconds: NOON_S - 300,
      nowSeconds: NOON_S,
      oxygenSaturation: 70,
      alarm: "apnoea",
    };
    const judged = oximeter().say(line, 0);
    expect(judged.alarms).toEqual([]);
    expect(judged.events).toMatchObject([
      { code: "device-text", facts: { storedAlarm: "apnoea", active: "true", measuredAtMs: NOON - 300_000 } },
    ]);
  });
});

// -------------------------------------------- what was kept on its way, and devices that keep without a word

describe("a message that somebody kept on its way", () => {
  const kept = (line: StoringLine, intake: DeviceIntake, second: number) =>
    intake.feed({
      bytes: storingBytes(line),
      channel: "",
      receivedAtMs: wallMs(NOON + second * 1000),
      receivedMonotonicMs: monotonicMs(1000 + second * 1000),
      kept: true,
    });

  test("is late with its time unknown where it has none, and dated where the device's clock is known", () => {
    const { intake, say } = oximeter();
    expect(one(kept(live(null), intake, 0)).quality.flags).toEqual(["late", "measured-time-unknown"]);
    for (let second = 1; second < 4; second++) say(live(NOON_S + 5 * HOUR_S + second), second);
    const { times, quality, patientId: whose } = one(kept(live(NOON_S + 5 * HOUR_S - 1800), intake, 10));
    expect(times.measuredAtMs).toBe(NOON - 1_800_000);
    expect(quality.flags).toEqual(["late"]);
    expect(whose).toBe(ANNA);
  });
});

describe("a device that may keep messages without a word of it", () => {
  function keeper() {
    const driver = storingDriver();
    const open: typeof driver.open = (options) => {
      const session = driver.open(options);
      const feed: typeof session.feed = (...given) =>
        session.feed(...given).map((emission) => (emission.kind === "message" ? { ...emission, mayBeStored: true } : emission));
      return { ...session, feed };
    };
    const intake = createDeviceIntake({
      deviceId: deviceId("watch"),
      driver: { ...driver, open },
      driverOptions: {},
      origin: "measured",
      patientOf: () => BERTA,
      patientAt: (atMs) => (atMs < 1000 - 600_000 ? ANNA : BERTA),
    });
    return (clockSeconds: number | null, second: number) =>
      one(
        intake.feed({
          bytes: storingBytes(live(clockSeconds)),
          channel: "",
          receivedAtMs: wallMs(NOON + second * 1000),
          receivedMonotonicMs: monotonicMs(1000 + second * 1000),
        }),
      ).quality.flags;
  }

  test("what has our time is now; what is older by more than half a minute was kept", () => {
    const say = keeper();
    expect(say(NOON_S, 0)).toEqual([]);
    expect(say(NOON_S + 1 - 30, 1)).toEqual([]);
    expect(say(NOON_S + 2 - 31, 2)).toEqual(["late"]);
    expect(say(NOON_S - 7200, 3)).toEqual(["late"]);
    expect(say(NOON_S + 4, 4)).toEqual([]);
  });

  test("a clock that is wrong by hours is believed once it has gone on as ours did", () => {
    const say = keeper();
    expect(say(NOON_S + 8 * HOUR_S, 0)).toEqual(["late", "measured-time-unknown"]);
    expect(say(NOON_S + 8 * HOUR_S + 1, 1)).toEqual([]);
    expect(say(NOON_S + 8 * HOUR_S + 2, 2)).toEqual([]);
    expect(say(NOON_S + 8 * HOUR_S + 3 - 3600, 3)).toEqual(["late"]);
  });

  test("a stored lot that comes at once is never now, however many it is", () => {
    const say = keeper();
    for (let index = 0; index < 50; index++) expect(say(NOON_S - 7200 + index * 60, index / 100)).toContain("late");
    for (let index = 0; index < 50; index++) expect(say(NOON_S - 7200 + index, 1 + index / 100)).toContain("late");
  });

  test.each([
    ["the hour of daylight saving", NOON_S + 60 - HOUR_S],
    ["a minute", NOON_S],
    ["all its years with its battery", 946_684_800],
  ])("a clock that goes back by %s is believed when it has gone on as ours for half a minute, and no sooner", (_, from) => {
    const say = keeper();
    for (let second = 0; second < 60; second++) expect(say(NOON_S + second, second)).toEqual([]);
    for (let second = 60; second < 90; second++) expect(say(from + second - 60, second), `${second}`).toContain("late");
    for (let second = 90; second < 400; second++) expect(say(from + second - 60, second), `${second}`).toEqual([]);
  });

  test("a clock that is seldom heard needs three messages after it went back", () => {
    const say = keeper();
    for (let index = 0; index < 5; index++) expect(say(NOON_S + index * 300, index * 300)).toEqual([]);
    for (const [index, flags] of [["late"], ["late"], [], [], []].entries()) {
      const second = (index + 5) * 300;
      expect(say(NOON_S + second - HOUR_S, second)).toEqual(flags);
    }
  });

  test("what was stored is never now while live messages come between, nor when it comes twice as fast as it was measured", () => {
    const say = keeper();
    for (let second = 0; second < 60; second++) expect(say(NOON_S + second, second)).toEqual([]);
    for (let second = 60; second < 200; second++) {
      expect(say(NOON_S + second - 600, second)).toContain("late");
      expect(say(NOON_S + second, second + 0.5)).toEqual([]);
    }
    for (let second = 200; second < 500; second++) expect(say(NOON_S - 7200 + 2 * second, second)).toContain("late");
  });

  test("a message without a time is now: nothing says otherwise", () => {
    expect(keeper()(null, 0)).toEqual([]);
  });
});

// ------------------------------------------------------------------ in a ward

const startWard = () => startSmallWard({ driver: storingDriver() });
const nowS = (ward: SmallWard) => Math.round(ward.clock.wall() / 1000);
const say = (ward: SmallWard, line: StoringLine) => ward.link("monitor-1").send(storingBytes(line));
async function observationsOf(ward: SmallWard): Promise<readonly Observation[]> {
  const page = await ward.journal.read({ afterSeq: seq(0), limit: 1000, kinds: ["observation"] });
  return page.filter((record): record is Observation => record.kind === "observation");
}
/** What the ward says of the patient, without the equipment's own silence. */
const physiological = (ward: SmallWard) =>
  ward.said.filter(({ nature }) => nature === "physiological").map(({ rule, phase }) => `${rule} ${phase}`);

async function live60(ward: SmallWard, seconds: number, oxygenSaturation: number): Promise<void> {
  for (let second = 0; second < seconds; second++) {
    say(ward, { kind: "live", clockSeconds: nowS(ward), oxygenSaturation });
    await ward.clock.advance(1000);
  }
}

describe("what a device kept and sends later raises and ends nothing", () => {
  test("low values of the last minute, stored, raise nothing; the same live do", async () => {
    const ward = await startWard();
    ward.link("monitor-1").up();
    await ward.admit(1);
    for (let second = 0; second < 60; second++) {
      say(ward, stored(nowS(ward) - 60 + second, nowS(ward), 70));
      await ward.clock.advance(1000);
    }
    expect(physiological(ward)).toEqual([]);
    await live60(ward, 15, 70);
    expect(physiological(ward)).toEqual(["limit.oxygenSaturation.low start"]);
  });

  test("good values, stored, end no alert, nor the absence of live values", async () => {
    const ward = await startWard();
    ward.link("monitor-1").up();
    await ward.admit(1);
    await live60(ward, 20, 70);
    for (let second = 0; second < 60; second++) {
      say(ward, stored(nowS(ward) - 1, nowS(ward), 98));
      await ward.clock.advance(1000);
    }
    // The score rests on the live values, which are still young enough for it.
    expect(physiological(ward)).toEqual(["limit.oxygenSaturation.low start", "score.news2 start"]);
    const rules = ward.gateway.openAlerts().map(({ rule }) => rule);
    expect(rules).toContain("silence.oxygenSaturation");
    // The device talks, and that much is said.
    expect(rules).not.toContain("silence.device");
  });

  test("the wall shows the live number, and the trend shows both, each at its time", async () => {
    const ward = await startWard();
    ward.link("monitor-1").up();
    await ward.admit(1);
    await live60(ward, 30, 97);
    for (const [ageS, value] of [
      [20, 88],
      [20, 89],
      [5, 87],
    ] as const)
      say(ward, stored(nowS(ward) - ageS - 3600 * 7, nowS(ward) - 3600 * 7, value));
    say(ward, stored(null, null, 66));
    await ward.clock.advance(1000);
    const shown = ward.gateway.source.picture().beds[0]?.numbers.find(({ quantity }) => quantity === "oxygenSaturation");
    expect(shown?.content).toEqual({ state: "present", value: 97 });
    const query = { patientId: patientId("patient-1"), quantity: "oxygenSaturation", pointsMax: 500 } as const;
    const now = ward.clock.wall();
    const points = await ward.gateway.source.trend({ ...query, fromMs: wallMs(now - 60_000), toMs: now });
    const low = points.filter(({ value }) => value !== 97);
    expect(low.map(({ atMs, value }) => [Math.round((now - 1000 - atMs) / 1000), value])).toEqual([
      [20, 88],
      [20, 89],
      [5, 87],
    ]);
    // The one whose time nobody knows is kept, for nobody.
    const unknown = (await observationsOf(ward)).filter(({ content }) => content.state === "present" && content.value === 66);
    expect(unknown).toMatchObject([{ patientId: null, quality: { flags: ["late", "measured-time-unknown"] } }]);
  });

  test("what was measured before the device came to this patient is not theirs", async () => {
    const ward = await startWard();
    ward.link("monitor-1").up();
    await ward.clock.advance(60_000);
    await ward.admit(1);
    await ward.clock.advance(10_000);
    say(ward, stored(nowS(ward) - 30, nowS(ward), 71));
    say(ward, stored(nowS(ward) - 5, nowS(ward), 72));
    await ward.clock.advance(100);
    expect((await observationsOf(ward)).map(({ patientId: whose }) => whose)).toEqual([null, "patient-1"]);
  });

  test("after a restart they still fill no window and are still in the trend", async () => {
    const before = await startWard();
    before.link("monitor-1").up();
    await before.admit(1);
    for (let second = 0; second < 30; second++) say(before, stored(nowS(before) - second, nowS(before), 70));
    await before.clock.advance(5000);
    const ward = await before.crash();
    ward.link("monitor-1").up();
    await live60(ward, 3, 70);
    expect(physiological(ward)).toEqual([]);
  });
});

/** A device with a memory: it forgets a record when the link has thanked for it, and sends all it has when it is connected. */
function memoryDevice(ward: SmallWard, values: readonly number[]) {
  let memory = values.map((value) => ({ value, atSeconds: nowS(ward) - 100, position: 0 }));
  let position = 0;
  const link = ward.link("monitor-1");
  return {
    connect: () => {
      link.up();
      memory = memory.map((record) => {
        link.send(storingBytes(stored(record.atSeconds, nowS(ward), record.value)));
        position += 1;
        return { ...record, position };
      });
    },
    left: () => {
      memory = memory.filter((record) => record.position === 0 || record.position > link.thankedUpTo());
      return memory.map(({ value }) => value);
    },
  };
}
const valuesOf = async (ward: SmallWard) =>
  (await observationsOf(ward)).map(({ content }) => (content.state === "present" ? content.value : null));

describe("a device may forget what is on disk, and nothing else", () => {
  test("it is thanked after the commit, not before", async () => {
    const ward = await startWard();
    await ward.admit(1);
    ward.journal.setCommitting(false);
    const device = memoryDevice(ward, [91, 92, 93]);
    device.connect();
    await ward.clock.advance(5000);
    expect(device.left()).toEqual([91, 92, 93]);
    ward.journal.commit();
    await ward.clock.advance(10);
    expect(device.left()).toEqual([]);
    expect(await valuesOf(ward)).toEqual([91, 92, 93]);
  });

  test("of a range that the full queue lost nothing is thanked from there on, and all of it comes again", async () => {
    const ward = await startWard();
    await ward.admit(1);
    ward.journal.setCommitting(false);
    const device = memoryDevice(ward, [91, 92, 93, 94]);
    device.connect();
    await ward.clock.advance(100);
    const lost = (await numbersOf(ward))[2] ?? 0;
    ward.journal.dropWaiting({ from: lost, to: lost });
    ward.journal.setCommitting(true);
    await ward.clock.advance(100);
    expect(device.left()).toEqual([93, 94]);
    expect(await valuesOf(ward)).toEqual([91, 92, 94]);
    ward.link("monitor-1").down();
    device.connect();
    await ward.clock.advance(100);
    expect(device.left()).toEqual([]);
    // What was on disk and not thanked comes twice rather than not at all.
    expect(await valuesOf(ward)).toEqual([91, 92, 94, 93, 94]);
  });

  /** The numbers the waiting observations got: those after the last record before the device spoke. */
  async function numbersOf(ward: SmallWard): Promise<readonly number[]> {
    const last = ward.gateway.lastSeq();
    return [last - 3, last - 2, last - 1, last];
  }

  test("through crashes at any moment every record is kept at least once, and none is forgotten before", async () => {
    for (let seed = 1; seed <= 40; seed++) {
      const random = seededRandom(seed);
      let ward = await startWard();
      await ward.admit(1);
      const all = Array.from({ length: 20 }, (_, index) => 60 + index);
      let left: readonly number[] = all;
      for (let turn = 0; turn < 30 && left.length > 0; turn++) {
        const device = memoryDevice(ward, left);
        ward.journal.setCommitting(false);
        device.connect();
        await ward.clock.advance(random.whole({ min: 0, max: 500 }));
        const last = ward.gateway.lastSeq();
        const lost = last - random.whole({ min: 0, max: left.length });
        if (random.fraction() < 0.4) ward.journal.dropWaiting({ from: lost, to: lost + random.whole({ min: 0, max: 3 }) });
        if (random.fraction() < 0.7) ward.journal.setCommitting(true);
        await ward.clock.advance(random.whole({ min: 0, max: 500 }));
        left = device.left();
        const forgotten = all.filter((value) => !left.includes(value));
        const kept = new Set(await valuesOf(ward));
        for (const value of forgotten) expect(kept, `seed ${seed}, turn ${turn}: ${value} was forgotten`).toContain(value);
        if (random.fraction() < 0.3) ward = await ward.crash();
        else ward.link("monitor-1").down();
      }
      expect(left, `seed ${seed}`).toEqual([]);
    }
  }, 30_000);
});
