import { mkdirSync, readFileSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { alertId, deviceId, seq } from "../src/core/ids.ts";
import { LIMITS } from "../src/core/limits.ts";
import type { WaveformChunk } from "../src/core/observation.ts";
import type { Journal } from "../src/core/ports.ts";
import { wallMs } from "../src/core/time.ts";
import { type FileSpan, framesAround } from "../src/journal/waves/strip-window.ts";
import { OpenWaveFile } from "../src/journal/waves/wave-file.ts";
import { encodeFrame, FRAME_BYTES_MAX, factsOf, chunkOf as frameChunk, stretchesOf } from "../src/journal/waves/wave-frame.ts";
import { WaveIndex } from "../src/journal/waves/wave-index.ts";
import { WaveQueue } from "../src/journal/waves/wave-queue.ts";
import { WAVE_DEFAULTS } from "../src/journal/waves/wave-settings.ts";
import { openOrFail } from "./support/journal-folder.ts";
import { alertOf, observationOf } from "./support/journal-records.ts";
import { seededRandom } from "./support/seeded-random.ts";
import { until } from "./support/until.ts";
import {
  everything,
  foldersOfTests,
  indicesOf,
  lossesOf,
  recordFor,
  sleep,
  stripsWritten,
  taken,
  waveFilesIn,
} from "./support/wave-journal.ts";
import { chunkOf, patientAlertOf } from "./support/wave-records.ts";

const SEED = 20_261_122;
const folderOfTest = foldersOfTests();

describe("a chunk as bytes", () => {
  const rec = <Shape>(shape: { [Key in keyof Shape]: fc.Arbitrary<Shape[Key]> }) => fc.record(shape, { noNullPrototype: true });
  const text = fc.oneof(fc.string({ unit: "binary", maxLength: 12 }), fc.constantFrom("monitor-1", "", "护士", '"'));
  const time = fc.oneof(fc.integer({ min: 0, max: 2 ** 42 }), fc.double({ min: 0, max: 1e12, noNaN: true }), fc.constant(-5));
  const number = fc.oneof(fc.integer({ min: -400, max: 400 }), fc.double(), fc.constantFrom(-0, 0.005, Number.NaN));
  const sample = fc.oneof(
    { weight: 8, arbitrary: fc.integer({ min: -400, max: 400 }) },
    fc.constantFrom(-0, Number.NaN, Number.POSITIVE_INFINITY, 32_767, -32_768, 32_768, 0.5),
  );
  const raw = fc.oneof(
    fc.array(fc.integer({ min: 0, max: 255 }), { maxLength: 40 }),
    fc.array(fc.integer({ min: -60, max: 60 }), { maxLength: 40 }),
    fc.array(fc.integer({ min: -32_768, max: 32_767 }), { maxLength: 40 }),
    fc.array(sample, { maxLength: 40 }),
  );
  const anyChunk = rec({
    kind: fc.constant("waveform"),
    deviceId: text,
    patientId: fc.option(text, { nil: null }),
    waveform: fc.constantFrom("ecgLeadII", "plethysmogram"),
    sampleRateHz: number,
    firstSampleIndex: number,
    raw: raw.map((samples) => Float32Array.from(samples)),
    gain: number,
    offset: number,
    unit: text,
    times: rec({
      measuredAtMs: time,
      deviceClockMs: fc.option(time, { nil: null }),
      receivedAtMs: time,
      receivedMonotonicMs: time,
    }),
    origin: fc.constantFrom("measured", "test", "simulated", "replayed"),
    late: fc.constantFrom(undefined, true, false),
  }).map(({ late, ...chunk }) => (late === undefined ? chunk : { ...chunk, late })) as unknown as fc.Arbitrary<WaveformChunk>;
  const numbers = rec({ life: fc.nat(2 ** 31 - 1), number: fc.nat(), seq: fc.nat() });

  test(`comes back exactly as it went in, to the bit of each sample (seed ${SEED})`, () => {
    fc.assert(
      fc.property(anyChunk, numbers, (chunk, carried) => {
        const stretches = [...stretchesOf(encodeFrame(chunk, carried))];
        expect(stretches.map(({ kind }) => kind)).toEqual(["frame"]);
        const [frame] = stretches;
        if (frame?.kind !== "frame") throw new Error("no frame");
        const back = frameChunk(frame.content);
        expect(back).toStrictEqual(chunk);
        expect(new Uint32Array(back.raw.slice().buffer)).toEqual(new Uint32Array(chunk.raw.slice().buffer));
        expect(factsOf(frame.content)).toMatchObject({ ...carried, sampleCount: chunk.raw.length });
      }),
      { seed: SEED, numRuns: 3000 },
    );
  });

  test.each([
    ["bytes from 0 to 255 take one byte a sample", 1, (place: number) => (place * 37) % 256],
    ["small steps of any wave take one byte a sample", 1, (place: number) => -500 + 63 * (place % 2)],
    ["a leap now and then takes one byte more", 1.25, (place: number) => (place % 8 === 0 ? -400 : 5)],
    ["leaps within 16 bits take two", 2, (place: number) => (place % 2) * 300 - 150],
    ["what is no whole number takes four", 4, (place: number) => place / 3],
  ])("%s", (_, bytesPerSample, sampleAt) => {
    const of = (count: number) => {
      const chunk = {
        ...chunkOf({ index: 1, atMs: 1e12, monotonic: 5 }),
        raw: Float32Array.from({ length: count }, (_, place) => sampleAt(place)),
      };
      return encodeFrame(chunk, { life: 1, number: 1, seq: 1 }).length;
    };
    expect((of(1200) - of(200)) / 1000).toBe(bytesPerSample);
  });

  test(`one flipped byte anywhere costs one chunk at most, and never shows another (seed ${SEED})`, () => {
    const random = seededRandom(SEED);
    const chunks = Array.from({ length: 12 }, (_, index) =>
      chunkOf({ index, samples: 60, atMs: 1e12 + index, monotonic: index }),
    );
    const bytes = Buffer.concat(chunks.map((chunk, index) => encodeFrame(chunk, { life: 7, number: index + 1, seq: index })));
    for (let run = 0; run < 4000; run++) {
      const damaged = Buffer.from(bytes);
      const at = random.whole({ min: 0, max: bytes.length - 1 });
      damaged[at] = (damaged[at] ?? 0) ^ random.whole({ min: 1, max: 255 });
      const read = [...stretchesOf(damaged)].flatMap((stretch) =>
        stretch.kind === "frame" ? [frameChunk(stretch.content)] : [],
      );
      const indices = indicesOf(read);
      expect(indices.length, `byte ${at}, seed ${SEED}`).toBe(11);
      for (const chunk of read) expect(chunk).toEqual(chunks[chunk.firstSampleIndex / 60]);
    }
  });
});

describe("the queue before the writing thread", () => {
  const batchOf = (count: number, first = 0) => Array.from({ length: count }, (_, index) => chunkOf({ index: first + index }));
  const frameBytes = encodeFrame(chunkOf({ index: 0 }), { life: 1, number: 1, seq: 1 }).length;

  test("holds no more than its bound: the oldest go, and the range says which numbers were current", () => {
    const queue = new WaveQueue({ life: 1, bytesMax: frameBytes * 10.5, batchBytesMax: 1e6 });
    expect(queue.push(batchOf(10), 5)).toBeNull();
    const lost = queue.push(batchOf(3, 10), 8);
    expect(lost).toMatchObject({ fromSeq: 5, toSeq: 5, why: "queue-full", what: "waveforms", reader: null });
    expect(queue.length + (lost?.count ?? 0)).toBe(13);
    const batch = queue.take();
    expect(batch).toMatchObject({ fromSeq: 5, toSeq: 8, count: queue.length + (batch?.count ?? 0), remaining: 0 });
    expect(queue.take()).toBeNull();
  });

  test("gives a batch no longer than its bound and says how much remains", () => {
    const queue = new WaveQueue({ life: 1, bytesMax: 1e9, batchBytesMax: frameBytes * 4 });
    queue.push(batchOf(9), 1);
    const [one, two, three] = [queue.take(), queue.take(), queue.take()];
    expect((one?.count ?? 0) + (two?.count ?? 0) + (three?.count ?? 0)).toBe(9);
    expect(one?.bytes.length).toBeLessThanOrEqual(frameBytes * 4);
    expect([one?.remaining, two?.remaining, three?.remaining].at(0)).toBe(9 - (one?.count ?? 0));
  });

  test("the bounds of the product fit each other: a batch has room for the longest chunk", () => {
    expect(LIMITS.journalWaveBatchBytesMax.value).toBeGreaterThanOrEqual(FRAME_BYTES_MAX);
    expect(LIMITS.journalWaveQueueBytesMax.value).toBeGreaterThan(LIMITS.journalWaveBatchBytesMax.value);
  });
});

describe.concurrent("the ring", () => {
  test("gives back what was recorded, exactly, by device and time, and again after a restart", async () => {
    const folder = folderOfTest();
    const journal = await openOrFail(folder);
    const losses = lossesOf(journal);
    const mine = Array.from({ length: 30 }, (_, index) => chunkOf({ index, atMs: 1e12 + index * 500 }));
    const others = Array.from({ length: 30 }, (_, index) => chunkOf({ index, device: "monitor-2", atMs: 1e12 + index * 500 }));
    journal.append([observationOf({ seq: 1 })]);
    for (const [index, chunk] of mine.entries()) journal.recordWaves([chunk, ...others.slice(index, index + 1)]);
    await taken(journal, 60);
    expect(await everything(journal)).toEqual(mine);
    // A chunk of half a second ends at its time: those that touch the asked second are the ones ending within it and the one after.
    const second = await journal.waves({
      deviceId: deviceId("monitor-1"),
      fromMs: wallMs(1e12 + 2000),
      toMs: wallMs(1e12 + 2999),
    });
    expect(indicesOf(second)).toEqual([4, 5, 6]);
    await journal.close();
    const again = await openOrFail(folder);
    const lossesAgain = lossesOf(again);
    expect(await everything(again)).toEqual(mine);
    expect(await everything(again, "monitor-2")).toEqual(others);
    again.recordWaves([chunkOf({ index: 30, atMs: 1e12 + 15_000 })]);
    await taken(again, 1);
    expect(indicesOf(await everything(again))).toEqual(Array.from({ length: 31 }, (_, index) => index));
    await again.close();
    expect([...losses, ...lossesAgain]).toEqual([]);
    expect(waveFilesIn(folder, "waves")).toHaveLength(2);
  });

  test("over its bytes the oldest files go early, and each chunk is either there or in a told loss", async () => {
    const folder = folderOfTest();
    const waves = { ...WAVE_DEFAULTS, ringMs: 10_000, ringBytesMax: 20_000 };
    const journal = await openOrFail(folder, { waves });
    const losses = lossesOf(journal);
    for (let index = 0; index < 100; index++) {
      journal.append([observationOf({ seq: index + 1 })]);
      journal.recordWaves([chunkOf({ index, samples: 400 })]);
      await sleep(25);
    }
    await taken(journal, 100);
    await until("a loss is told", () => losses.length > 0);
    await journal.close();
    const again = await openOrFail(folder, { waves: { ...waves, ringMs: 600_000 } });
    const kept = indicesOf(await everything(again));
    const lossesAgain = lossesOf(again);
    const all = [...losses, ...lossesAgain.filter((loss) => !losses.some((one) => one.fromSeq === loss.fromSeq))];
    expect(all.every(({ why, what, reader }) => why === "byte-budget" && what === "waveforms" && reader === null)).toBe(true);
    expect(all.reduce((sum, loss) => sum + loss.count, 0) + kept.length).toBe(100);
    // The number that was current is the one appended right before.
    expect(
      all
        .map(({ toSeq }) => toSeq)
        .sort((one, other) => one - other)
        .at(-1),
    ).toBe(kept[0]);
    await again.close();
  });

  test("a write cut short by the power is cut off at the start, told as a loss of one chunk, and the rest is used", async () => {
    const folder = folderOfTest();
    const journal = await openOrFail(folder);
    journal.append([observationOf({ seq: 41 })]);
    for (let index = 0; index < 10; index++) journal.recordWaves([chunkOf({ index })]);
    await taken(journal, 10);
    await journal.close();
    const [file = ""] = waveFilesIn(folder, "waves");
    truncateSync(file, statSync(file).size - 20);
    for (const expected of [
      [{ fromSeq: 41, toSeq: 41, count: 1, why: "journal-damaged", what: "waveforms", reader: null }],
      [],
    ]) {
      const again = await openOrFail(folder);
      const losses = lossesOf(again);
      if (expected.length > 0) await until("the loss is told", () => losses.length > 0);
      else await sleep(300);
      expect(losses).toEqual(expected);
      expect(indicesOf(await everything(again))).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8]);
      expect(again.faultsAtOpen).toEqual([]);
      // A loss that has become a record is told no more.
      again.append(losses.map((loss, place) => ({ kind: "loss", seq: seq(100 + place), atMs: wallMs(1), ...loss }) as never));
      await again.close();
    }
  });

  test("a flipped byte is found at the start: one chunk is lost and told with a fault, the rest is used, the damaged file kept aside", async () => {
    const folder = folderOfTest();
    const journal = await openOrFail(folder);
    for (let index = 0; index < 10; index++) {
      journal.append([observationOf({ seq: index + 1 })]);
      journal.recordWaves([chunkOf({ index })]);
    }
    await taken(journal, 10);
    await journal.close();
    const [file = ""] = waveFilesIn(folder, "waves");
    const bytes = readFileSync(file);
    const at = Math.floor(bytes.length * 0.45);
    bytes[at] = (bytes[at] ?? 0) ^ 0x10;
    writeFileSync(file, bytes);
    const again = await openOrFail(folder);
    const losses = lossesOf(again);
    const codes: string[] = [];
    again.onHealth((health) => codes.push(health.state === "failing" ? health.fault.code : health.state));
    await until("the loss is told", () => losses.length > 0 && codes.length > 1);
    expect(losses).toEqual([{ fromSeq: 4, toSeq: 6, count: 1, why: "journal-damaged", what: "waveforms", reader: null }]);
    expect(codes).toEqual(["journal-damaged", "working"]);
    expect(indicesOf(await everything(again))).toEqual([0, 1, 2, 3, 5, 6, 7, 8, 9]);
    await again.close();
    expect(readFileSync(join(folder, "waves", "waves.bin.damaged")).equals(bytes)).toBe(true);
    expect([...stretchesOf(readFileSync(file))].every((stretch) => stretch.kind === "frame")).toBe(true);
  });

  test("a file of garbage is set aside and stated, and new waves are kept all the same", async () => {
    const folder = folderOfTest();
    await (await openOrFail(folder)).close();
    writeFileSync(join(folder, "waves", "waves-0000000001.bin"), seededRandom(SEED).bytes(5000));
    const journal = await openOrFail(folder);
    const losses = lossesOf(journal);
    await until("the loss is told", () => losses.length > 0);
    expect(losses).toMatchObject([{ why: "journal-damaged", what: "waveforms" }]);
    journal.recordWaves([chunkOf({ index: 3 })]);
    await taken(journal, 1);
    expect(indicesOf(await everything(journal))).toEqual([3]);
    await journal.close();
    expect(waveFilesIn(folder, "waves").map((path) => path.slice(-14))).toEqual(["0000000002.bin"]);
  });
});

describe("the index of a file of the ring", () => {
  test(`a strip read by it is the same, to the byte, as one for which every file is read whole (seed ${SEED})`, async () => {
    const folder = folderOfTest();
    mkdirSync(folder, { recursive: true });
    const random = seededRandom(SEED);
    const pick = (count: number) => random.whole({ min: 1, max: count });
    const spans: (FileSpan & { readonly index: WaveIndex })[] = [];
    let [current, index, monotonicMs] = [0, 0, 1000];
    for (let fileNumber = 1; fileNumber <= 4; fileNumber++) {
      const file = `waves-${fileNumber}.bin`;
      const open = new OpenWaveFile(join(folder, file));
      const known = new WaveIndex();
      const fromSeqs: number[] = [];
      for (let batch = 0; batch < 12; batch++) {
        const seqs: number[] = [];
        const frames = Array.from({ length: pick(9) }, () => {
          current += random.whole({ min: 0, max: 2 });
          seqs.push(current);
          index += 1;
          monotonicMs += pick(300);
          const who = { device: `monitor-${pick(4)}`, patient: pick(5) === 1 ? null : `patient-${pick(3)}` };
          const chunk = chunkOf({ index, ...who, samples: pick(60), monotonic: monotonicMs, atMs: 1e12 + monotonicMs });
          return encodeFrame(chunk, { life: 7, number: index, seq: current });
        });
        const bytes = Buffer.concat(frames);
        known.add(bytes, { atByte: open.bytes, fromSeq: seqs[0] ?? 0, toSeq: current });
        open.append(bytes);
        fromSeqs.push(...seqs);
      }
      open.close();
      spans.push({ file, fromSeq: fromSeqs[0] ?? 0, index: known });
    }
    const settings = { stripBeforeMs: 6000, stripAfterMs: 4000 };
    const search = { settings, folder, turn: async () => {} };
    const whole = spans.map((span) => ({ ...span, index: null }));
    let framesFound = 0;
    for (let trial = 0; trial < 200; trial++) {
      const moment = {
        seq: random.whole({ min: 0, max: current + 1 }),
        atMs: 1e12 + random.whole({ min: 0, max: monotonicMs }),
        patientId: pick(3) === 1 ? null : `patient-${pick(4)}`,
        deviceId: `monitor-${pick(4)}`,
      };
      const byIndex = Buffer.concat(await framesAround(moment, { ...search, files: spans }));
      const byReading = Buffer.concat(await framesAround(moment, { ...search, files: whole }));
      expect(byIndex.equals(byReading), JSON.stringify(moment)).toBe(true);
      framesFound += [...stretchesOf(byIndex)].length;
    }
    expect(framesFound).toBeGreaterThan(1000);
  });
});

describe.concurrent("strips", () => {
  const settings = { ...WAVE_DEFAULTS, stripBeforeMs: 1000, stripAfterMs: 1000 };

  const stripOf = (journal: Journal, id: string) => journal.strip(alertId(id));

  test("a wall clock that is set back by an hour in that minute moves nothing", async () => {
    const folder = folderOfTest();
    const journal = await openOrFail(folder, { waves: settings });
    const hourMs = 3_600_000;
    const stepped = (index: number, backMs: number) => chunkOf({ index, samples: 25, atMs: Date.now() - backMs });
    for (let index = 0; index < 15; index++, await sleep(100)) journal.recordWaves([stepped(index, 0)]);
    for (let index = 15; index < 18; index++, await sleep(100)) journal.recordWaves([stepped(index, hourMs)]);
    journal.append([patientAlertOf({ seq: 1, id: "alert-1", atMs: Date.now() - hourMs })]);
    for (let index = 18; index < 50; index++, await sleep(100)) journal.recordWaves([stepped(index, hourMs)]);
    await stripsWritten(folder, 1);
    const indices = indicesOf(await stripOf(journal, "alert-1"));
    expect(indices[0]).toBeGreaterThanOrEqual(7);
    expect(indices[0]).toBeLessThanOrEqual(10);
    expect(indices.at(-1)).toBeGreaterThanOrEqual(25);
    expect(indices.at(-1)).toBeLessThanOrEqual(29);
    expect(indices).toEqual(Array.from({ length: indices.length }, (_, place) => (indices[0] ?? 0) + place));
    await journal.close();
  }, 40_000);

  test("an alert that grows worse keeps the waves of both moments, each chunk once", async () => {
    const folder = folderOfTest();
    const journal = await openOrFail(folder, { waves: settings });
    await recordFor(journal, 1200);
    journal.append([patientAlertOf({ seq: 1, id: "alert-1" })]);
    const next = await recordFor(journal, 700, 100);
    journal.append([patientAlertOf({ seq: 2, id: "alert-1", phase: "escalate", priority: "high" })]);
    await recordFor(journal, 3500, next);
    await stripsWritten(folder, 2);
    const chunks = await stripOf(journal, "alert-1");
    const indices = indicesOf(chunks);
    expect(new Set(indices).size).toBe(indices.length);
    const [first, last] = [chunks[0], chunks.at(-1)].map((chunk) => chunk?.times.receivedMonotonicMs ?? 0);
    // From a second before the first to a second after the second, 700 ms later.
    expect((last ?? 0) - (first ?? 0)).toBeGreaterThan(2200);
    expect((last ?? 0) - (first ?? 0)).toBeLessThan(3200);
    await journal.close();
  }, 40_000);

  test("an alert of a device without a patient keeps that device's waves, and one of nothing none", async () => {
    const folder = folderOfTest();
    const journal = await openOrFail(folder, { waves: settings });
    await recordFor(journal, 1000);
    const subject = { ...alertOf({ seq: 1, id: "" }).subject, patientId: null, deviceId: deviceId("monitor-2") };
    journal.append([
      patientAlertOf({ seq: 1, id: "device", subject }),
      patientAlertOf({ seq: 2, id: "nothing", subject: { ...subject, deviceId: null } }),
    ]);
    await recordFor(journal, 3500, 100);
    await stripsWritten(folder, 1);
    expect(new Set((await stripOf(journal, "device")).map((chunk) => chunk.deviceId))).toEqual(new Set(["monitor-2"]));
    expect(await stripOf(journal, "nothing")).toEqual([]);
    await journal.close();
  }, 40_000);

  test("all strips together keep to their bound: the oldest goes, and its loss is told", async () => {
    const folder = folderOfTest();
    const journal = await openOrFail(folder, { waves: { ...settings, stripBytesMax: 4000 } });
    const losses = lossesOf(journal);
    await recordFor(journal, 1100);
    journal.append([7, 8, 9].map((number) => patientAlertOf({ seq: number, id: `alert-${number}` })));
    await recordFor(journal, 3500, 100);
    await until("losses are told", () => losses.length === 2, 15_000);
    expect(losses.map(({ fromSeq, toSeq, why, what }) => ({ fromSeq, toSeq, why, what }))).toEqual([
      { fromSeq: 7, toSeq: 7, why: "byte-budget", what: "waveforms" },
      { fromSeq: 8, toSeq: 8, why: "byte-budget", what: "waveforms" },
    ]);
    expect(await stripOf(journal, "alert-7")).toEqual([]);
    expect((await stripOf(journal, "alert-9")).length).toBeGreaterThan(10);
    await journal.close();
  }, 40_000);

  test("a flipped byte in a strip is found when it is read: one chunk is missing and told once", async () => {
    const folder = folderOfTest();
    const journal = await openOrFail(folder, { waves: settings });
    const losses = lossesOf(journal);
    await recordFor(journal, 1000);
    journal.append([patientAlertOf({ seq: 1, id: "alert-1" })]);
    await recordFor(journal, 3500, 100);
    await stripsWritten(folder, 1);
    const whole = await stripOf(journal, "alert-1");
    const [file = ""] = waveFilesIn(folder, "strips");
    const bytes = readFileSync(file);
    const at = Math.floor(bytes.length / 2);
    bytes[at] = (bytes[at] ?? 0) ^ 0x01;
    writeFileSync(file, bytes);
    for (let read = 0; read < 3; read++) {
      expect(await stripOf(journal, "alert-1")).toHaveLength(whole.length - 1);
      await until("the loss is told", () => losses.length > 0);
    }
    // In a strip the numbers of other patients' chunks are missing by right, so that the count is what there can have been at most.
    expect(losses.map(({ count, ...loss }) => ({ ...loss, count: count <= 3 }))).toEqual([
      { fromSeq: expect.any(Number), toSeq: 1, count: true, why: "journal-damaged", what: "waveforms", reader: null },
    ]);
    await journal.close();
  }, 40_000);
});
