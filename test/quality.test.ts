import { afterEach, describe, expect, test } from "vitest";
import { createSimulatedClock } from "../simulator/world/simulated-clock.ts";
import type { Condition, ConditionChange } from "../src/core/alert.ts";
import { deviceId, patientId } from "../src/core/ids.ts";
import { LIMITS } from "../src/core/limits.ts";
import type { Absence, QualityFlag } from "../src/core/observation.ts";
import { addQuality, leastScore, NO_QUALITY, type QualityRow, qualityScores, rulesOf } from "../src/core/quality-view.ts";
import type { QuantityName } from "../src/core/quantities.ts";
import type { DeviceEvent } from "../src/core/record.ts";
import { monotonicMs, wallMs } from "../src/core/time.ts";
import { countedOf, qualityFacts } from "../src/gateway/quality-book.ts";
import { createQualityCounter, type QualityJudgement } from "../src/gateway/quality-counter.ts";
import { committed, openOrFail, temporaryFolder } from "./support/journal-folder.ts";
import { monitorBytes, type SmallWard, startSmallWard } from "./support/small-ward.ts";

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const MONITOR = deviceId("monitor-1");
const RESTING = { heartRate: 80, respiratoryRate: 16, oxygenSaturation: 97 };

const opened: SmallWard[] = [];
afterEach(async () => {
  for (const ward of opened.splice(0)) await ward.gateway.stop();
});

interface Reading {
  readonly quantity?: QuantityName;
  readonly value?: number;
  readonly why?: Absence;
  readonly flags?: readonly QualityFlag[];
  readonly questionable?: boolean;
  readonly lateMs?: number;
}

function judgement(readings: readonly Reading[], more: Partial<QualityJudgement> = {}): QualityJudgement {
  return {
    observations: readings.map(({ quantity = "heartRate", value, why, flags = [], questionable = false, lateMs = 0 }) => ({
      kind: "observation",
      deviceId: MONITOR,
      patientId: patientId("p"),
      quantity,
      content: value === undefined ? { state: "absent", why: why ?? "no-signal" } : { state: "present", value },
      times: {
        measuredAtMs: wallMs(1e12 - lateMs),
        deviceClockMs: null,
        receivedAtMs: wallMs(1e12),
        receivedMonotonicMs: monotonicMs(0),
      },
      quality: {
        validity: questionable ? "questionable" : why === "impossible" ? "invalid" : "valid",
        flags,
        origin: "measured",
      },
      driverId: "d",
      driverVersion: "1",
    })),
    refusals: [],
    heard: true,
    counted: { bytes: 1, messages: 1, readings: readings.length, repeats: 0 },
    ...more,
  };
}

function counterOf(more: { readonly expected?: readonly QuantityName[]; readonly assigned?: boolean } = {}) {
  const expected = (more.expected ?? ["heartRate"]).map((quantity) => ({ quantity }));
  const counter = createQualityCounter({
    monotonic: () => monotonicMs(0),
    devices: new Map([[MONITOR, { expected }]]),
    isAssigned: () => more.assigned ?? true,
  });
  const rowOf = (quantity: QuantityName | null) =>
    counter.running().counted.find((row) => row.quantity === quantity)?.tally ?? NO_QUALITY;
  return { counter, rowOf };
}

describe("the four scores", () => {
  test("accuracy is the share of values that nothing is doubted of, by each flag that lowered it", () => {
    const { counter, rowOf } = counterOf();
    counter.judged(MONITOR, judgement([...Array(7).fill({ value: 80 }), { why: "sensor-off" }]));
    counter.judged(MONITOR, judgement([{ value: 80, flags: ["motion", "low-perfusion"], questionable: true }]));
    // Flags that tell of time or contact doubt no value.
    counter.judged(
      MONITOR,
      judgement([
        { value: 80, flags: ["late", "contact-unknown"] },
        { value: 80, flags: ["motion"], questionable: true },
      ]),
    );
    const tally = rowOf("heartRate");
    expect(tally.counts).toMatchObject({ readings: 11, present: 10, sound: 8 });
    expect(qualityScores(tally.counts).accuracy).toBe(80);
    expect(rulesOf(tally, "accuracy")).toEqual([
      { rule: "motion", count: 2 },
      { rule: "low-perfusion", count: 1 },
    ]);
  });

  test("bytes that were refused lower the accuracy of everything the device says, and of a device that is never understood to nothing", () => {
    const { counter, rowOf } = counterOf();
    const refused = {
      refusals: [{ kind: "no-frame", givenBytes: 3 }],
      heard: false,
      counted: { bytes: 3, messages: 0, readings: 0, repeats: 0 },
    } as const;
    counter.judged(MONITOR, judgement([], refused));
    expect(qualityScores(rowOf(null).counts)).toEqual({ accuracy: 0, completeness: null, logic: null, timeliness: null });
    for (let count = 0; count < 3; count++) counter.judged(MONITOR, judgement([{ value: 80 }]));
    expect(rowOf(null).counts).toMatchObject({ messages: 3, refused: 1 });
    expect(qualityScores(rowOf("heartRate").counts, rowOf(null).counts).accuracy).toBe(75);
    expect(rulesOf(rowOf(null), "accuracy")).toEqual([{ rule: "refused", count: 1 }]);
  });

  test("completeness is the share of minutes with a value, and each minute without has its reason: the last that was given, or silence", () => {
    const { counter, rowOf } = counterOf({ expected: ["heartRate", "oxygenSaturation"] });
    const minute = (...readings: Reading[]) => {
      if (readings.length > 0) counter.judged(MONITOR, judgement(readings));
      counter.minuteEnded();
    };
    minute(
      { value: 80 },
      { quantity: "oxygenSaturation", why: "searching" },
      { quantity: "oxygenSaturation", why: "sensor-off" },
    );
    minute({ why: "no-signal" }, { value: 81, questionable: true, flags: ["motion"] });
    minute();
    // Out of the device's memory: it was not there in this minute.
    minute({ value: 80, flags: ["late"] });
    expect(rowOf("heartRate").counts).toMatchObject({ expected: 4, filled: 2 });
    expect(rulesOf(rowOf("heartRate"), "completeness")).toEqual([{ rule: "silent", count: 2 }]);
    expect(rowOf("oxygenSaturation").counts).toMatchObject({ expected: 4, filled: 0 });
    expect(rulesOf(rowOf("oxygenSaturation"), "completeness")).toEqual([
      { rule: "silent", count: 3 },
      { rule: "sensor-off", count: 1 },
    ]);
    expect(qualityScores(rowOf("heartRate").counts).completeness).toBe(50);
  });

  test("of a device on nobody only the minutes count in which it is heard; what nobody expects is missed for an hour after its last value", () => {
    const idle = counterOf({ assigned: false });
    idle.counter.minuteEnded();
    expect(idle.counter.running().counted).toEqual([]);
    idle.counter.judged(MONITOR, judgement([{ quantity: "endTidalCarbonDioxide", value: 37 }]));
    idle.counter.minuteEnded();
    idle.counter.minuteEnded();
    expect(idle.rowOf("endTidalCarbonDioxide").counts).toMatchObject({ expected: 1, filled: 1 });
    expect(idle.rowOf("heartRate").counts).toMatchObject({ expected: 1, filled: 0 });

    const { counter, rowOf } = counterOf();
    const unplugged = judgement([
      { value: 80 },
      { quantity: "endTidalCarbonDioxide", why: "sensor-off" },
      { quantity: "bodyTemperature", why: "sensor-off" },
    ]);
    const minutes = (count: number) => {
      for (let minute = 0; minute < count; minute++) {
        counter.judged(MONITOR, unplugged);
        counter.minuteEnded();
      }
    };
    minutes(10);
    for (const quantity of ["endTidalCarbonDioxide", "bodyTemperature"] as const) {
      expect(rowOf(quantity).counts).toMatchObject({ readings: 10, expected: 0 });
      expect(rowOf(quantity).rules).toEqual({});
    }
    counter.judged(MONITOR, judgement([{ quantity: "endTidalCarbonDioxide", value: 37 }]));
    minutes(30);
    counter.close();
    minutes(100);
    // Of the sixty minutes after its last value thirty lay in the count before.
    expect(rowOf("endTidalCarbonDioxide").counts).toMatchObject({ readings: 100, expected: 30, filled: 0 });
    expect(rulesOf(rowOf("endTidalCarbonDioxide"), "completeness")).toEqual([{ rule: "sensor-off", count: 30 }]);
  });

  test("a cuff owes no minute: what it failed to measure lowers it, its pauses do not", () => {
    const { counter, rowOf } = counterOf({ expected: ["systolicPressure"] });
    counter.judged(
      MONITOR,
      judgement([
        { quantity: "systolicPressure", value: 120 },
        { quantity: "systolicPressure", why: "invalid" },
      ]),
    );
    for (let minute = 0; minute < 30; minute++) counter.minuteEnded();
    expect(qualityScores(rowOf("systolicPressure").counts).completeness).toBe(50);
    expect(rulesOf(rowOf("systolicPressure"), "completeness")).toEqual([{ rule: "invalid", count: 1 }]);
  });

  test("logic: what cannot occur, what the device cannot express, and pressures that cannot be true together", () => {
    const { counter, rowOf } = counterOf();
    counter.judged(MONITOR, judgement([{ why: "impossible" }, { why: "out-of-range" }, { value: 80 }, { why: "sensor-off" }]));
    expect(qualityScores(rowOf("heartRate").counts).logic).toBe(50);
    expect(rulesOf(rowOf("heartRate"), "logic").map(({ rule }) => rule)).toEqual(["impossible", "out-of-range"]);
    const pressures = (systolic: number, diastolic: number, mean?: number) =>
      counter.judged(
        MONITOR,
        judgement([
          { quantity: "systolicPressure", value: systolic },
          { quantity: "diastolicPressure", value: diastolic },
          ...(mean === undefined ? [] : [{ quantity: "meanPressure", value: mean } as const]),
        ]),
      );
    pressures(120, 80, 93);
    pressures(81, 80);
    pressures(80, 80);
    pressures(120, 80, 79);
    pressures(120, 80, 80);
    expect(rowOf("systolicPressure").counts).toMatchObject({ readings: 5, illogical: 2 });
    expect(rowOf("meanPressure").counts).toMatchObject({ readings: 3, illogical: 1 });
    expect(rulesOf(rowOf("diastolicPressure"), "logic")).toEqual([{ rule: "pressure-order", count: 2 }]);
  });

  test("values of a stuck quantity and of a device whose clock stands still count until the watch says that it is over", () => {
    const { counter, rowOf } = counterOf();
    const say = (key: string, evidence: Condition["evidence"]): ConditionChange => ({
      kind: "raised",
      condition: {
        key,
        rule: "r",
        nature: "technical",
        priority: "low",
        origin: "measured",
        evidence,
        subject: { patientId: null, bedId: null, deviceId: MONITOR, part: null },
      },
    });
    counter.noted([say("stuck", { kind: "stuck", quantity: "heartRate", value: 80, sinceMs: wallMs(0), limitSeconds: 60 })]);
    counter.judged(MONITOR, judgement([{ value: 80 }, { why: "sensor-off" }, { quantity: "oxygenSaturation", value: 97 }]));
    counter.noted([{ kind: "ended", key: "stuck" }, say("clock", { kind: "fault", code: "device-clock-frozen", facts: {} })]);
    counter.judged(MONITOR, judgement([{ value: 80 }, { quantity: "oxygenSaturation", value: 97 }]));
    counter.noted([{ kind: "ended", key: "clock" }]);
    counter.judged(MONITOR, judgement([{ value: 81 }]));
    expect(rowOf("heartRate").counts).toMatchObject({ readings: 4, illogical: 1, untimely: 1 });
    expect(rowOf("oxygenSaturation").counts).toMatchObject({ readings: 2, illogical: 0, untimely: 1 });
    expect(rulesOf(rowOf("heartRate"), "timeliness")).toEqual([{ rule: "clock-frozen", count: 1 }]);
  });

  test("timeliness: late, delayed over the bound, and times that nobody knows", () => {
    const { counter, rowOf } = counterOf();
    const bound = LIMITS.qualityDelayMsMax.value;
    counter.judged(MONITOR, judgement([{ value: 1 }, { value: 1, lateMs: bound }, { value: 1, lateMs: bound + 1 }]));
    counter.judged(
      MONITOR,
      judgement([
        { value: 1, flags: ["late", "measured-time-unknown"], lateMs: 9 * bound },
        { value: 1, flags: ["device-clock-unset"] },
      ]),
    );
    expect(rowOf("heartRate").counts).toMatchObject({ readings: 5, untimely: 3 });
    expect(qualityScores(rowOf("heartRate").counts).timeliness).toBe(40);
    expect(rulesOf(rowOf("heartRate"), "timeliness").map(({ rule }) => rule)).toEqual([
      "delay",
      "device-clock-unset",
      "late",
      "measured-time-unknown",
    ]);
  });

  test("a hundred means every one: one in a thousand that is wrong is ninety-nine", () => {
    const counts = { ...NO_QUALITY.counts, readings: 1000, present: 1000, sound: 999 };
    expect(qualityScores(counts)).toEqual({ accuracy: 99, completeness: null, logic: 100, timeliness: 100 });
    expect(leastScore(qualityScores(counts))).toBe(99);
    expect(leastScore(qualityScores(NO_QUALITY.counts))).toBeNull();
    // 0.29 * 100 is 28.999… in binary.
    expect(qualityScores({ ...counts, present: 100, sound: 29 }).accuracy).toBe(29);
  });
});

test("a record of an hour says all that was counted, and what is no such record says nothing", () => {
  const { counter } = counterOf({ expected: ["heartRate"] });
  counter.judged(MONITOR, judgement([{ value: 80, flags: ["motion"], questionable: true }, { why: "impossible" }]));
  counter.minuteEnded();
  const { counted } = counter.close();
  expect(counted.length).toBe(2);
  for (const each of counted) {
    const event = {
      kind: "event",
      seq: 1,
      atMs: wallMs(0),
      deviceId: MONITOR,
      code: "quality",
      facts: qualityFacts(each, 1234.4),
    } as unknown as DeviceEvent;
    expect(countedOf(event)).toEqual({ ...each, spanMs: 1234 });
    expect(countedOf({ ...event, code: "refused" })).toBeNull();
    expect(countedOf({ ...event, facts: { quantity: "nonsense", spanMs: 1 } })).toBeNull();
  }
  expect(counter.running().counted).toEqual([]);
  expect(addQuality(NO_QUALITY, counted[0]?.tally ?? NO_QUALITY)).toEqual(counted[0]?.tally);
});

describe("a real gateway", () => {
  const dayOf = (atMs: number) => ({
    fromMs: Math.floor(atMs / DAY_MS) * DAY_MS,
    toMs: (Math.floor(atMs / DAY_MS) + 1) * DAY_MS,
  });
  const rowOf = async (
    ward: SmallWard,
    quantity: QuantityName | null,
    window = dayOf(ward.clock.wall()),
  ): Promise<QualityRow | undefined> => {
    const { rows } = await ward.gateway.source.quality.between(window);
    return rows.find((row) => row.deviceId === MONITOR && row.quantity === quantity);
  };
  const qualityRecords = async (ward: SmallWard) => {
    const records = [];
    for (let afterSeq = 0; ; ) {
      const page = await ward.journal.read({ afterSeq: afterSeq as never, limit: 1000, kinds: ["event"] });
      records.push(...page.filter((record) => record.kind === "event" && record.code === "quality"));
      const last = page.at(-1);
      if (last === undefined) return records;
      afterSeq = last.seq;
    }
  };

  test("counts on over hours, a stop and a crash, nothing twice; what was not written down at a kill is not there", async () => {
    let ward = await startSmallWard();
    ward.link("monitor-1").up();
    await ward.admit(1);
    // 2026-01-01T00:00Z: into the second hour.
    await ward.stream("monitor-1", 120, RESTING);
    await ward.clock.advance(HOUR_MS);
    // Another value, or it would count as stuck.
    await ward.stream("monitor-1", 60, { ...RESTING, heartRate: 82 });
    const first = await rowOf(ward, "heartRate");
    expect(first?.counts).toMatchObject({ readings: 180, present: 180 });
    // Of an hour and three minutes three had a value; the minute that began last is not over.
    expect(first?.counts.expected).toBe(63);
    expect(first?.counts.filled).toBe(3);
    expect(first?.scores).toMatchObject({ accuracy: 100, completeness: 4, logic: 100, timeliness: 100 });
    const keys = (await qualityRecords(ward)).map((record) => JSON.stringify(record));
    expect(keys.length).toBeGreaterThan(2);
    // A crash of this ward stops the gateway in order: the running hour is written down.
    ward = await ward.crash();
    ward.link("monitor-1").up();
    opened.push(ward);
    expect((await rowOf(ward, "heartRate"))?.counts).toEqual(first?.counts);
    await ward.clock.advance(1000);
    await ward.stream("monitor-1", 10, RESTING);
    expect((await rowOf(ward, "heartRate"))?.counts.readings).toBe(190);
    expect((await rowOf(ward, "heartRate"))?.counts.readings).toBe(190);
    const perHour = Map.groupBy(await qualityRecords(ward), (record) =>
      record.kind === "event" ? `${record.deviceId} ${record.facts["quantity"]} ${record.atMs}` : "",
    );
    expect([...perHour.values()].every((same) => same.length === 1)).toBe(true);
  });

  test("the page of yesterday holds yesterday's hours, also where the clock is set back by a day meanwhile", async () => {
    const clock = createSimulatedClock();
    // A quarter of an hour before midnight.
    clock.stepWall(DAY_MS - 15 * 60_000);
    const ward = await startSmallWard({ clock });
    ward.link("monitor-1").up();
    opened.push(ward);
    await ward.admit(1);
    await ward.stream("monitor-1", 60, RESTING);
    const yesterday = dayOf(ward.clock.wall());
    await ward.clock.advance(20 * 60_000);
    await ward.stream("monitor-1", 30, RESTING);
    expect((await rowOf(ward, "heartRate", yesterday))?.counts.readings).toBe(60);
    expect((await rowOf(ward, "heartRate"))?.counts.readings).toBe(30);
    expect((await rowOf(ward, "heartRate", yesterday))?.counts.readings).toBe(60);
    // It had been a day ahead all the time: what was yesterday's is now the day before's.
    ward.clock.stepWall(-DAY_MS);
    await ward.clock.advance(2000);
    const before = { fromMs: yesterday.fromMs - DAY_MS, toMs: yesterday.toMs - DAY_MS };
    expect((await rowOf(ward, "heartRate", before))?.counts.readings).toBe(60);
    expect((await rowOf(ward, "heartRate", yesterday))?.counts.readings).toBe(30);
  }, 40_000);

  test("bytes that cannot be read and a finger out of the sensor show with their rule", async () => {
    const ward = await startSmallWard();
    ward.link("monitor-1").up();
    opened.push(ward);
    await ward.admit(1);
    await ward.stream("monitor-1", 60, { heartRate: 80 });
    const damaged = monitorBytes({ heartRate: 80 }).map((byte, index) => (index === 536 ? byte ^ 1 : byte));
    for (let count = 0; count < 15; count++) ward.link("monitor-1").send(damaged);
    await ward.clock.advance(60_000);
    const device = await rowOf(ward, null);
    expect(device?.counts.refused).toBeGreaterThan(0);
    expect(device?.scores.accuracy).toBeLessThan(100);
    const oxygen = await rowOf(ward, "oxygenSaturation");
    expect(oxygen?.scores).toMatchObject({ completeness: 0, accuracy: null });
    expect(rulesOf(oxygen ?? NO_QUALITY, "completeness").length).toBeGreaterThan(0);
  });
});

test("the real journal keeps an event of this kind as it is", async () => {
  const place = temporaryFolder();
  const event = {
    kind: "event",
    seq: 1,
    atMs: wallMs(5),
    deviceId: MONITOR,
    code: "quality",
    facts: { quantity: "heartRate", spanMs: 10, readings: 3, "accuracy.motion": 1 },
  } as unknown as DeviceEvent;
  let journal = await openOrFail(place.folder);
  journal.append([event]);
  await committed(journal, 1);
  await journal.close();
  journal = await openOrFail(place.folder);
  expect(await journal.read({ afterSeq: 0 as never, limit: 10, kinds: ["event"] })).toEqual([event]);
  await journal.close();
  place.remove();
});
