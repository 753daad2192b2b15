import { statSync } from "node:fs";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createSimulatedClock } from "../simulator/world/simulated-clock.ts";
import { seq } from "../src/core/ids.ts";
import { LIMITS } from "../src/core/limits.ts";
import type { Journal, TrendPoint } from "../src/core/ports.ts";
import { QUANTITY_NAMES } from "../src/core/quantities.ts";
import type { JournalRecord } from "../src/core/record.ts";
import { wallMs } from "../src/core/time.ts";
import { packRecords, unpackRecords } from "../src/journal/packing.ts";
import { committed, openOrFail, readAll, temporaryFolder } from "./support/journal-folder.ts";
import { actOf, alertOf, BASE_MS, observationOf } from "./support/journal-records.ts";
import { until } from "./support/until.ts";

const SEED = 20_260_301;

/** A record with the ordinary prototype, as data has. */
const rec = <Shape>(shape: { [Key in keyof Shape]: fc.Arbitrary<Shape[Key]> }) => fc.record(shape, { noNullPrototype: true });

/** Any record of any kind, with strange but possible contents in each field; `seq` is put in afterwards. */
function anyRecord(): fc.Arbitrary<JournalRecord> {
  const text = fc.oneof(fc.string({ unit: "binary", maxLength: 12 }), fc.constantFrom("monitor-1", "", "护士", "a,b", "\0", '"'));
  const time = fc.oneof(fc.integer({ min: 0, max: 2 ** 42 }), fc.double({ min: 0, max: 1e12, noNaN: true }), fc.constant(-5));
  const maybe = <Value>(value: fc.Arbitrary<Value>) => fc.option(value, { nil: null });
  const number = fc.oneof(
    fc.integer({ min: -400, max: 400 }),
    fc.double(),
    fc.integer({ min: -4000, max: 4000 }).map((tenths) => tenths / 10),
    fc.constant(-0),
  );
  const origin = fc.constantFrom("measured", "test", "simulated", "replayed");
  const flags = fc.array(fc.constantFrom("motion", "late", "after-gap", "contact-unknown"), { maxLength: 3 });
  const present = rec({ state: fc.constant("present"), value: number });
  const absent = rec({
    state: fc.constant("absent"),
    why: fc.constantFrom("sensor-off", "no-signal", "impossible", "searching"),
  });
  const validity = fc.constantFrom("valid", "questionable", "invalid");
  const times = rec({ measuredAtMs: time, deviceClockMs: maybe(time), receivedAtMs: time, receivedMonotonicMs: time });
  const observation = rec({
    kind: fc.constant("observation"),
    seq: fc.constant(0),
    deviceId: text,
    patientId: maybe(text),
    quantity: fc.constantFrom(...QUANTITY_NAMES),
    content: fc.oneof(present, absent),
    times,
    quality: rec({ validity, flags, origin }),
    driverId: text,
    driverVersion: text,
  });
  const missing = fc.array(rec({ input: text, why: fc.constantFrom("stale", "absent"), sinceMs: maybe(fc.nat()) }), {
    maxLength: 2,
  });
  const parts = fc.array(rec({ input: text, value: fc.oneof(fc.integer(), text), points: fc.nat(3), atMs: maybe(fc.nat()) }), {
    maxLength: 3,
  });
  const answer = fc.oneof(
    rec({ kind: fc.constant("score"), points: fc.nat(20), parts, missing, inputCount: fc.nat(7), response: text }),
    rec({ kind: fc.constant("no-answer"), missing, why: fc.constant("inputs-missing") }),
  );
  const prediction = rec({
    kind: fc.constant("prediction"),
    seq: fc.constant(0),
    patientId: text,
    modelId: text,
    modelVersion: text,
    modelSha256: text,
    atMs: fc.nat(),
    answer,
    origin,
    basedOn: fc.array(fc.nat(), { maxLength: 5 }),
  });
  const event = rec({
    kind: fc.constant("event"),
    seq: fc.constant(0),
    atMs: fc.nat(),
    deviceId: text,
    code: fc.constantFrom("link-up", "refused"),
    facts: rec({ bytes: fc.integer(), text }),
  });
  const receipt = rec({
    kind: fc.constant("receipt"),
    seq: fc.constant(0),
    atMs: fc.nat(),
    of: text,
    reader: text,
    state: fc.constantFrom("received", "seen", "accepted", "refused"),
    by: text,
  });
  const loss = rec({
    kind: fc.constant("loss"),
    seq: fc.constant(0),
    atMs: fc.nat(),
    fromSeq: fc.nat(),
    toSeq: fc.nat(),
    count: fc.nat(),
    why: fc.constantFrom("queue-full", "reader-limit"),
    what: fc.constantFrom("waveforms", "records"),
    reader: fc.constantFrom(null, "upstream:hospital"),
  });
  const start = rec({
    kind: fc.constant("start"),
    seq: fc.constant(0),
    atMs: fc.nat(),
    atMonotonicMs: fc.nat(2 ** 31 - 1).map((quarters) => quarters / 4),
    version: text,
    before: fc.constantFrom("first", "closed", "cut-off"),
    leftOut: maybe(rec({ from: fc.nat(), to: fc.nat() })),
  });
  const clock = rec({
    kind: fc.constant("clock"),
    seq: fc.constant(0),
    atMs: fc.nat(),
    atMonotonicMs: fc.nat(2 ** 31 - 1).map((quarters) => quarters / 4),
    movedMs: fc.integer(),
    why: fc.constantFrom("step", "trust"),
    trust: fc.constantFrom("trusted", "untrusted"),
  });
  const tally = rec({
    kind: fc.constant("tally"),
    seq: fc.constant(0),
    atMs: fc.nat(),
    fromSeq: fc.nat(),
    toSeq: fc.nat(),
    given: rec({ observation: fc.nat(), alert: fc.nat() }),
    devices: fc.array(rec({ deviceId: text, bytes: fc.nat(), readings: fc.nat() }), { maxLength: 3 }),
  });
  const alert = rec({ id: text, state: fc.constantFrom("active", "ended", "acknowledged"), part: text }).map((wanted) =>
    alertOf({ seq: 0, ...wanted } as never),
  );
  const act = fc.constant(actOf({ seq: 0 }));
  return fc.oneof(
    { weight: 6, arbitrary: observation },
    prediction,
    event,
    receipt,
    loss,
    start,
    clock,
    tally,
    alert,
    act,
  ) as unknown as fc.Arbitrary<JournalRecord>;
}

/** Numbers that rise, now and then with a hole. */
function numbered(records: readonly JournalRecord[], firstSeq: number): JournalRecord[] {
  return records.map((record, index) => ({ ...record, seq: seq(firstSeq + index + Math.floor(index / 7)) }));
}

const place = temporaryFolder();
let journal: Journal;

beforeEach(async () => {
  journal = await openOrFail(place.folder);
});

afterEach(async () => {
  await journal.close();
  place.remove();
});

describe("what goes in comes out", () => {
  test("packing for another thread changes no field of any record", () => {
    const property = fc.property(fc.array(anyRecord(), { maxLength: 40 }), (records) => {
      const sent = numbered(records, 1);
      expect(unpackRecords(structuredClone(packRecords(sent)))).toStrictEqual(sent);
    });
    fc.assert(property, { seed: SEED, numRuns: 150 });
  });

  test("every field of every kind comes back from disk, in order, before and after a restart", async () => {
    const sent: JournalRecord[] = [];
    const property = fc.asyncProperty(fc.array(anyRecord(), { minLength: 1, maxLength: 60 }), async (records) => {
      const batch = numbered(records, (sent.at(-1)?.seq ?? 0) + 1);
      sent.push(...batch);
      journal.append(batch);
    });
    await fc.assert(property, { seed: SEED, numRuns: 60 });
    await committed(journal, sent.at(-1)?.seq ?? 0);
    expect(await readAll(journal, 37), `seed ${SEED}`).toStrictEqual(sent);
    const { epoch } = journal;
    await journal.close();
    journal = await openOrFail(place.folder);
    expect(journal.epoch).toBe(epoch);
    expect(journal.lastSeqAtOpen).toBe(sent.at(-1)?.seq);
    expect(journal.committedSeq()).toBe(sent.at(-1)?.seq);
    expect(await readAll(journal), `seed ${SEED}`).toStrictEqual(sent);
  });

  test("a read is bounded by its range, its limit and its kinds", async () => {
    const records = [1, 2, 3, 4, 5, 6].map((number) =>
      number === 4 ? alertOf({ seq: 4, id: "a" }) : observationOf({ seq: number }),
    );
    journal.append(records);
    await committed(journal, 6);
    const seqs = async (query: Parameters<Journal["read"]>[0]) => (await journal.read(query)).map((record) => record.seq);
    expect(await seqs({ afterSeq: seq(1), limit: 3 })).toEqual([2, 3, 4]);
    expect(await seqs({ afterSeq: seq(1), upToSeq: seq(3), limit: 100 })).toEqual([2, 3]);
    expect(await seqs({ afterSeq: seq(0), limit: 100, kinds: ["alert"] })).toEqual([4]);
    expect(await seqs({ afterSeq: seq(0), limit: 100, kinds: ["observation", "prediction"] })).toEqual([1, 2, 3, 5, 6]);
    expect(await seqs({ afterSeq: seq(6), limit: 100 })).toEqual([]);
  });

  test("the folder is for its owner alone", () => {
    expect(statSync(place.folder).mode & 0o777).toBe(0o700);
  });
});

describe("the rhythm of commits", () => {
  test("observations wait for each other, an alert does not wait", async () => {
    const startedMs = performance.now();
    journal.append([observationOf({ seq: 1 })]);
    await new Promise((resolve) => setTimeout(resolve, 60));
    journal.append([observationOf({ seq: 2 })]);
    expect(journal.committedSeq()).toBe(0);
    await committed(journal, 2);
    expect(performance.now() - startedMs).toBeGreaterThan(400);
    expect(journal.stats().commits).toBe(1);
    journal.append([observationOf({ seq: 3 })]);
    const alertMs = performance.now();
    journal.append([alertOf({ seq: 4, id: "a" })]);
    await committed(journal, 4);
    expect(performance.now() - alertMs).toBeLessThan(200);
    expect(journal.stats().commits).toBe(2);
    expect(journal.stats().committedRecords).toBe(4);
  });

  test("few records wait half a second for company, many half of that", async () => {
    const simulated = createSimulatedClock();
    const folder = `${place.folder}-rhythm`;
    const timed = await openOrFail(folder, { clock: simulated });
    const many = LIMITS.journalSmallGroupRecordsMax.value;
    let next = 1;
    const isSentAfter = async (count: number, waitMs: number) => {
      const upTo = next + count - 1;
      timed.append(Array.from({ length: count }, () => observationOf({ seq: next++ })));
      await simulated.advance(waitMs - 1);
      await new Promise((resolve) => setTimeout(resolve, 100));
      const before = timed.committedSeq();
      await simulated.advance(1);
      await committed(timed, upTo);
      return before < upTo;
    };
    expect(await isSentAfter(many - 1, LIMITS.journalSmallGroupCommitMsMax.value)).toBe(true);
    expect(await isSentAfter(many, LIMITS.journalGroupCommitMsMax.value)).toBe(true);
    await timed.close();
  });

  test("a record that was not committed is not read", async () => {
    journal.append([observationOf({ seq: 1 })]);
    expect(await journal.read({ afterSeq: seq(0), limit: 10 })).toEqual([]);
    await committed(journal, 1);
    expect(await journal.read({ afterSeq: seq(0), limit: 10 })).toHaveLength(1);
  });

  test("closing commits what waits, and nothing is appended afterwards", async () => {
    journal.append([observationOf({ seq: 1 }), observationOf({ seq: 2 })]);
    await journal.close();
    expect(() => journal.append([observationOf({ seq: 3 })])).toThrow("nothing is appended to a closed journal");
    journal = await openOrFail(place.folder);
    expect(journal.lastSeqAtOpen).toBe(2);
  });

  test("numbers that do not rise are refused as our own mistake", () => {
    journal.append([observationOf({ seq: 5 })]);
    expect(() => journal.append([observationOf({ seq: 5 })])).toThrow("rising order");
  });
});

describe("what is asked after a restart", () => {
  test("open alerts are the latest versions of those that have not ended", async () => {
    journal.append([alertOf({ seq: 1, id: "a" }), alertOf({ seq: 2, id: "b" }), alertOf({ seq: 3, id: "c" })]);
    journal.append([alertOf({ seq: 4, id: "a", state: "acknowledged" }), alertOf({ seq: 5, id: "b", state: "ended" })]);
    await committed(journal, 5);
    await journal.close();
    journal = await openOrFail(place.folder);
    const open = await journal.openAlerts();
    expect(open.map((alert) => [alert.id, alert.seq, alert.state])).toEqual([
      ["c", 3, "active"],
      ["a", 4, "acknowledged"],
    ]);
  });

  test("the latest observation is the newest valid and present one by measured time, per device and quantity", async () => {
    const quantity = "systolicPressure" as const;
    const cuff = (number: number, atMs: number, more: object = {}) =>
      observationOf({ seq: number, atMs: BASE_MS + atMs, device: "cuff-1", quantity, value: 100 + number, ...more });
    journal.append([
      cuff(1, 1000),
      cuff(2, 9000),
      cuff(3, 5000), // Arrives late, is older.
      cuff(4, 10_000, { value: null }),
      cuff(5, 11_000, { validity: "invalid" }),
      cuff(6, 8000, { device: "cuff-2" }),
      cuff(7, 12_000, { quantity: "heartRate" }),
      cuff(8, -60_000, { device: "cuff-3" }),
    ]);
    await committed(journal, 8);
    const ask = () => journal.latestObservations({ sinceMs: wallMs(BASE_MS), quantities: [quantity, "bodyTemperature"] });
    expect((await ask()).map((one) => [one.deviceId, one.seq])).toEqual([
      ["cuff-1", 2],
      ["cuff-2", 6],
    ]);
    await journal.close();
    journal = await openOrFail(place.folder);
    expect((await ask()).map((one) => one.seq)).toEqual([2, 6]);
  });

  test("a reader's cursor is found again, with its open ranges", async () => {
    const cursor = { epoch: journal.epoch, upTo: seq(7), open: [{ from: seq(3), to: seq(4) }] };
    expect(await journal.cursor("upstream:hospital")).toBeNull();
    journal.append([observationOf({ seq: 1 })]);
    journal.release("upstream:hospital", cursor);
    expect(await journal.cursor("upstream:hospital")).toEqual(cursor);
    await journal.close();
    journal = await openOrFail(place.folder);
    expect(await journal.cursor("upstream:hospital")).toEqual(cursor);
    expect(await journal.cursor("upstream:other")).toBeNull();
  });
});

describe("a trend", () => {
  const values = (points: readonly TrendPoint[]) => points.map((point) => point.value);
  const ask = (fromMs: number, toMs: number, pointsMax: number) =>
    journal.trend({
      patientId: "patient-1",
      quantity: "heartRate",
      fromMs: wallMs(BASE_MS + fromMs),
      toMs: wallMs(BASE_MS + toMs),
      pointsMax,
    });

  /** One value a second for three hours, with one deep and one high second, and another patient with stranger values. */
  async function fill(): Promise<void> {
    for (let second = 0; second < 10_800; second += 900) {
      const records = [];
      for (let offset = 0; offset < 900; offset++) {
        const at = second + offset;
        const value = at === 4321 ? 21 : at === 7654 ? 213 : 70 + (at % 11);
        const common = { atMs: BASE_MS + at * 1000, quantity: "heartRate" as const };
        records.push(
          observationOf({
            ...common,
            seq: 2 * at + 1,
            patient: "patient-1",
            device: "monitor-1",
            value,
            validity: at === 4321 ? "questionable" : "valid",
          }),
        );
        records.push(observationOf({ ...common, seq: 2 * at + 2, patient: "patient-2", device: "monitor-2", value: 300 }));
      }
      journal.append(records);
      await committed(journal, 2 * (second + 900));
    }
  }

  test("keeps the lowest and the highest value however much it is thinned, with their exact times", async () => {
    await fill();
    for (const reopen of [false, true]) {
      if (reopen) {
        await journal.close();
        journal = await openOrFail(place.folder);
      }
      for (const pointsMax of [2, 20, 300, 2000]) {
        const points = await ask(0, 10_800_000, pointsMax);
        expect(points.length).toBeLessThanOrEqual(pointsMax);
        expect(points.length).toBeGreaterThanOrEqual(Math.min(pointsMax, 2000) * 0.9);
        expect(points.find((point) => point.value === 21)).toEqual({ atMs: BASE_MS + 4_321_000, value: 21, questionable: true });
        expect(points.find((point) => point.value === 213)).toEqual({
          atMs: BASE_MS + 7_654_000,
          value: 213,
          questionable: false,
        });
        expect(values(points)).not.toContain(300);
        expect(points.map((point) => point.atMs)).toEqual(
          [...points.map((point) => point.atMs)].sort((one, other) => one - other),
        );
      }
    }
  });

  test("gives every value where there is room, and null where there was none", async () => {
    const at = (number: number, value: number | null, validity: "valid" | "invalid" = "valid") =>
      observationOf({ seq: number, atMs: BASE_MS + number * 1000, patient: "patient-1", value, validity });
    journal.append([at(1, 61), at(2, 62.5), at(3, null), at(4, 64), at(5, 9, "invalid"), at(6, 66)]);
    await committed(journal, 6);
    expect(values(await ask(2000, 5000, 100))).toEqual([62.5, null, 64, null]);
    expect(values(await ask(1999, 5000, 100))).toEqual([62.5, null, 64, null]);
    expect(values(await ask(2001, 6000, 100))).toEqual([null, 64, null, 66]);
    expect(await ask(5000, 5000, 100)).toEqual([]);
  });
});

test("figures count what was committed and know the bytes on disk", async () => {
  journal.append(Array.from({ length: 500 }, (_, index) => observationOf({ seq: index + 1 })));
  await committed(journal, 500);
  await until("the figures have come", () => journal.stats().bytesOnDisk > 0);
  const stats = journal.stats();
  expect(stats.committedRecords).toBe(500);
  expect(stats.waitingRecords).toBe(0);
  expect(stats.droppedRecords).toBe(0);
  expect(stats.commitMsMax).toBeGreaterThanOrEqual(stats.commitMsP50);
  expect(stats.fsyncs).toBeGreaterThanOrEqual(1);
});
