import { copyFileSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import Database from "better-sqlite3";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { seq } from "../src/core/ids.ts";
import type { Journal } from "../src/core/ports.ts";
import type { JournalRecord } from "../src/core/record.ts";
import { wallMs } from "../src/core/time.ts";
import { visitBlock } from "../src/journal/block.ts";
import { asPlainDatabase, readImage } from "../src/journal/database-image.ts";
import { KeptFile } from "../src/journal/kept-file.ts";
import type { LostRange } from "../src/journal/messages.ts";
import { findMissing, findMissingWithin, oweFound } from "../src/journal/missing-numbers.ts";
import { countNumbers, type NumberSpan, withoutSpans } from "../src/journal/number-spans.ts";
import { packRecords } from "../src/journal/packing.ts";
import { farBeyond } from "../src/journal/read-folder.ts";
import { salvageSegment } from "../src/journal/salvage.ts";
import { SegmentReader, SegmentWriter } from "../src/journal/segment-file.ts";
import { committed, openOrFail, readAll, temporaryFolder } from "./support/journal-folder.ts";
import { observationOf } from "./support/journal-records.ts";
import { filesOf, makeSealedJournal } from "./support/sealed-journal.ts";
import { seededRandom } from "./support/seeded-random.ts";
import { until } from "./support/until.ts";

const SEED = 811;
const BLOCKS = 120;
const PAGE_BYTES = 1024;
let place = temporaryFolder();
let pristine = "";
let damaged = "";

beforeEach(() => {
  place = temporaryFolder();
  pristine = join(place.folder, "..", "pristine.sqlite");
  damaged = join(place.folder, "..", "observations-0000000000000001.sqlite");
});

afterEach(() => place.remove());

/** Blocks of 1 to 200 observations, of which the long ones do not fit a page, with some contexts that come late. */
function batches(): JournalRecord[][] {
  const random = seededRandom(SEED);
  let next = 1;
  return Array.from({ length: BLOCKS }, (_, block) => {
    const count = random.whole({ min: 1, max: block % 10 === 0 ? 200 : 30 });
    const device = `monitor-${Math.floor(block / 30)}`;
    return Array.from({ length: count }, () => observationOf({ seq: next++, device, value: random.fraction() * 200 }));
  });
}

/** A segment as the journal leaves it: closed, or cut off with its newest blocks in the log only. */
function writeSegment(path: string, closed: boolean): NumberSpan[] {
  const writer = new SegmentWriter(path, 0, { check: false });
  const spans = batches().map((records, index) => {
    writer.append(packRecords(records), [], index * 500);
    if (index === BLOCKS - 40) writer.checkpoint();
    return { from: records[0]?.seq ?? 0, to: records.at(-1)?.seq ?? 0 };
  });
  if (closed) writer.close();
  else for (const ending of ["", "-wal"]) copyFileSync(path + ending, `${path}.cut${ending}`);
  if (!closed) writer.abandon();
  return spans;
}

/** Every number, time and value of a segment's blocks, by its number. */
function contentsOf(path: string): Map<number, string> {
  const reader = new SegmentReader(path);
  const found = new Map<number, string>();
  for (let fromSeq = 1; ; ) {
    const rows = reader.blocks({ fromSeq, toSeq: Number.MAX_SAFE_INTEGER, kinds: null });
    for (const row of rows)
      visitBlock(row.data, row.first_seq, {
        observation: (contextId, numbers) => found.set(numbers.seq, JSON.stringify([numbers, reader.contextOf(contextId)])),
        rare: null,
      });
    const last = rows.at(-1);
    if (last === undefined) break;
    fromSeq = last.last_seq + 1;
  }
  reader.close();
  return found;
}

type Told = Parameters<Parameters<Journal["onLoss"]>[0]>[0];

const damage = (fromSeq: number, toSeq: number, count: number): LostRange => ({
  ...{ fromSeq, toSeq, count, why: "journal-damaged", what: "records", reader: null },
});

describe("what is left of a damaged segment", () => {
  test("whatever is done to it, nothing false is taken over, and one page costs what lies on it", () => {
    const all = writeSegment(pristine, true);
    const original = contentsOf(pristine);
    const pages = statSync(pristine).size / PAGE_BYTES;
    let [rounds, savedShare] = [0, 0];
    const property = fc.property(
      fc.nat(pages - 1),
      fc.constantFrom("zero", "noise", "flip", "cut"),
      fc.nat(),
      (page, how, seed) => {
        const bytes = readFileSync(pristine);
        const at = page * PAGE_BYTES;
        if (how === "zero") bytes.fill(0, at, at + PAGE_BYTES);
        if (how === "noise") bytes.set(seededRandom(seed).bytes(PAGE_BYTES), at);
        if (how === "flip") bytes[at + (seed % PAGE_BYTES)] = (bytes[at + (seed % PAGE_BYTES)] ?? 0) ^ (1 << (seed % 8));
        rmSync(damaged, { force: true });
        writeFileSync(damaged, bytes);
        if (how === "cut") truncateSync(damaged, at + (seed % PAGE_BYTES));
        const { aside, spans, recordCount } = salvageSegment(damaged);
        expect(readFileSync(aside).length).toBe(how === "cut" ? at + (seed % PAGE_BYTES) : bytes.length);
        const saved = contentsOf(damaged);
        expect(saved.size).toBe(recordCount);
        for (const [number, content] of saved) expect(content).toBe(original.get(number));
        for (const span of spans) expect(all).toContainEqual(span);
        expect(countNumbers(spans)).toBe(recordCount);
        rounds += 1;
        if (how !== "cut") savedShare += recordCount / original.size;
        else savedShare += 1;
        new SegmentWriter(damaged, 0, { check: true }).close();
        rmSync(aside);
      },
    );
    fc.assert(property, { seed: SEED, numRuns: 25 });
    // A page of contexts can cost much; all others cost the few blocks that lie on them.
    expect(savedShare / rounds).toBeGreaterThan(0.9);
  });

  test("its first page tells nothing that is needed: without it everything is there", () => {
    const all = writeSegment(damaged, true);
    const original = contentsOf(damaged);
    const bytes = readFileSync(damaged);
    bytes.fill(0x5a, 0, PAGE_BYTES);
    writeFileSync(damaged, bytes);
    expect(salvageSegment(damaged).spans).toEqual(all);
    expect(contentsOf(damaged)).toEqual(original);
  });

  test("what was committed to the log only is taken over as far as the log is whole, and no farther", () => {
    const all = writeSegment(pristine, false);
    const log = readFileSync(`${pristine}.cut-wal`);
    const random = seededRandom(SEED);
    for (let round = 0; round < 12; round++) {
      const cutAt = round === 0 ? log.length : random.whole({ min: 0, max: log.length });
      for (const ending of ["-wal", "-shm"]) rmSync(damaged + ending, { force: true });
      copyFileSync(`${pristine}.cut`, damaged);
      writeFileSync(`${damaged}-wal`, log.subarray(0, cutAt));
      // SQLite itself says how far the log is good.
      const image = new Database(asPlainDatabase(readImage(damaged)));
      const database = new Database(damaged);
      const rows = database.prepare("SELECT first_seq, last_seq, crc FROM blocks ORDER BY first_seq").all();
      expect(image.prepare("SELECT first_seq, last_seq, crc FROM blocks ORDER BY first_seq").all(), `cut at ${cutAt}`).toEqual(
        rows,
      );
      image.close();
      database.close();
      copyFileSync(`${pristine}.cut`, damaged);
      writeFileSync(`${damaged}-wal`, log.subarray(0, cutAt));
      const { spans, aside } = salvageSegment(damaged);
      expect(spans, `cut at ${cutAt}`).toEqual(all.slice(0, rows.length));
      for (const ending of ["", "-wal"]) rmSync(aside + ending, { force: true });
    }
  });
});

describe("numbers that are missing", () => {
  const span = (to: number) =>
    fc.tuple(fc.integer({ min: 1, max: to }), fc.integer({ min: 0, max: 12 })).map(([from, more]) => ({ from, to: from + more }));

  test("are exactly those that no hole covers", () => {
    const property = fc.property(fc.array(span(80), { maxLength: 12 }), fc.array(span(80), { maxLength: 3 }), (holes, wide) => {
      const spans = withoutSpans([{ from: 1, to: 100 }], wide);
      const numbersOf = (list: readonly NumberSpan[]) =>
        list.flatMap(({ from, to }) => Array.from({ length: to - from + 1 }, (_, index) => from + index));
      const covered = new Set([...numbersOf(holes)]);
      const expected = numbersOf(spans).filter((number) => !covered.has(number));
      const left = withoutSpans(spans, holes);
      expect(numbersOf(left)).toEqual(expected);
      expect(countNumbers(left)).toBe(expected.length);
    });
    fc.assert(property, { seed: SEED, numRuns: 500 });
  });

  test("between two segments are damage, behind the last one of a life that was cut off its cut; what is on record is neither", () => {
    const kept = {
      knownLosses: () => [
        { fromSeq: 1, toSeq: 50, count: 50, why: "byte-budget" as const },
        { fromSeq: 121, toSeq: 130, count: 10, why: "queue-full" as const },
      ],
      leftOut: () => [{ from: 171, to: 180 }],
      seqsBetween: (from: number, to: number) => [120, 140, 155, 200].filter((seq) => seq >= from && seq <= to),
    };
    const covered = [
      { from: 51, to: 100 },
      { from: 161, to: 190 },
    ];
    const loss = { what: "records", reader: null } as const;
    // 101 to 160 without the act 120, the known loss 121 to 130 and the acts 140 and 155.
    const between = { fromSeq: 101, toSeq: 160, count: 60 - 1 - 10 - 2, why: "journal-damaged", ...loss };
    const tail = { fromSeq: 191, toSeq: 199, count: 9, why: "cut-off", ...loss };
    expect(findMissing({ kept, covered, lastSeq: 200, tail: "cut-off" })).toEqual([between, tail]);
    expect(findMissing({ kept, covered, lastSeq: 200, tail: null })).toEqual([between]);
    expect(findMissing({ kept, covered: [{ from: 51, to: 200 }], lastSeq: 200, tail: "cut-off" })).toEqual([]);
  });

  /** Kept records 10, 20 and so on up to 200, and one loss on record that is much wider than its count. */
  const besideWideLoss = (count: number, others: readonly { fromSeq: number; toSeq: number; count: number }[] = []) => ({
    knownLosses: () =>
      [{ fromSeq: 1, toSeq: 100, count }, ...others].map((loss) => ({ ...loss, why: "journal-damaged" as const })),
    leftOut: () => [],
    seqsBetween: (from: number, to: number) =>
      Array.from({ length: 20 }, (_, index) => 10 + index * 10).filter((seq) => seq >= from && seq <= to),
  });
  test("damage on record explains as many of them as it says and no more, however wide it is", () => {
    const missingWith = (kept: ReturnType<typeof besideWideLoss>, from: number) =>
      findMissing({ kept, covered: [{ from, to: 200 }], lastSeq: 200, tail: "cut-off" });
    // With 51 to 200 there, 45 numbers of 1 to 49 are missing; with 101 to 200 there, 90 of 1 to 99.
    expect(missingWith(besideWideLoss(45), 51)).toEqual([]);
    expect(missingWith(besideWideLoss(44), 51)).toEqual([damage(1, 49, 1)]);
    expect(missingWith(besideWideLoss(2), 51)).toEqual([damage(1, 49, 43)]);
    expect(missingWith(besideWideLoss(2), 101)).toEqual([damage(1, 99, 88)]);
    expect(missingWith(besideWideLoss(2), 1)).toEqual([]);
    // Once the rest is on record as well, nothing is told again.
    expect(missingWith(besideWideLoss(2, [{ fromSeq: 1, toSeq: 99, count: 88 }]), 101)).toEqual([]);
    // Two ranges that overlap explain together what they say together.
    expect(missingWith(besideWideLoss(2, [{ fromSeq: 90, toSeq: 120, count: 88 }]), 101)).toEqual([]);
    // Behind the damage there is no word of what is missing.
    expect(missingWith(besideWideLoss(90), 121)).toEqual([damage(101, 119, 18)]);
  });

  test("kept records that are missing among those of a segment are counted beside what is on record, and no number is told twice", () => {
    const entry = { file: "", firstSeq: 1, lastSeq: 100, minAtMs: null, maxAtMs: null, sealed: true, bytes: 0 };
    const missingWith = (kept: ReturnType<typeof besideWideLoss>, recordCount: number) =>
      findMissingWithin(kept, { sealed: [{ ...entry, recordCount }], active: null });
    // Beside the 10 kept records there were 90 others in the segment.
    expect(missingWith(besideWideLoss(2), 88)).toEqual([]);
    expect(missingWith(besideWideLoss(2), 87)).toEqual([damage(1, 100, 1)]);
    // Of a range that reaches beyond the segment no more is explained than lies in it.
    expect(missingWith(besideWideLoss(2, [{ fromSeq: 100, toSeq: 150, count: 30 }]), 86)).toEqual([damage(1, 100, 1)]);
  });

  test("that are found in the range of a loss which is owed and not yet on record become one with it", () => {
    const folder = dirname(pristine);
    const kept = KeptFile.open(join(folder, "kept.sqlite"));
    kept.oweLoss(damage(1, 99, 2));
    oweFound(kept, damage(1, 99, 88));
    oweFound(kept, damage(1, 98, 1));
    expect(kept.owedLosses()).toHaveLength(2);
    expect(kept.owedLosses()).toEqual(expect.arrayContaining([damage(1, 99, 90), damage(1, 98, 1)]));
    kept.close();
  });
});

test("a segment that goes where a sealed file of alerts was damaged before is told, though the damage covers its numbers", {
  timeout: 30_000,
}, async () => {
  await makeSealedJournal(place.folder, { sealsKept: true });
  const [sealedFile = ""] = filesOf(place.folder, "kept-");
  // The last of the alerts on a page is passed over in silence: the page says that it has one row less.
  const database = new Database(sealedFile, { readonly: true });
  const alert = database.prepare<[], string>("SELECT json FROM alerts WHERE seq = 50").pluck().get() ?? "";
  const pageBytes = database.pragma("page_size", { simple: true }) as number;
  database.close();
  const bytes = readFileSync(sealedFile);
  const at = Math.floor(bytes.indexOf(alert) / pageBytes) * pageBytes + 4;
  bytes[at] = (bytes[at] ?? 0) - 1;
  writeFileSync(sealedFile, bytes);
  const lossesOf = async (settle: boolean) => {
    const journal = await openOrFail(place.folder);
    const losses: Told[] = [];
    journal.onLoss((loss) => losses.push(loss));
    await until("the damage is told", () => losses.length > 0);
    const there = (await readAll(journal)).map((record) => record.seq as number);
    if (settle) {
      const first = journal.lastSeqAtOpen + 1;
      journal.append(losses.map((loss, index) => ({ kind: "loss", seq: seq(first + index), atMs: wallMs(1), ...loss })));
      await committed(journal, first + losses.length - 1);
    }
    await journal.close();
    return { losses, there };
  };
  const before = await lossesOf(true);
  const lostAlerts = Array.from({ length: 10 }, (_, index) => 10 + index * 10).filter((number) => !before.there.includes(number));
  expect(lostAlerts.length).toBeGreaterThan(0);
  // No wider than what the numbers that are there leave open: 100 is there.
  expect(before.losses).toEqual([damage(1, 99, lostAlerts.length)]);
  rmSync(filesOf(place.folder, "observations")[0] ?? "");
  const after = await lossesOf(true);
  const missing = Array.from({ length: 100 }, (_, index) => 1 + index).filter((number) => !after.there.includes(number));
  expect(missing.length).toBeGreaterThanOrEqual(90);
  expect(after.losses).toEqual([damage(1, missing.at(-1) ?? 0, missing.length - lostAlerts.length)]);
  const again = await openOrFail(place.folder);
  const told: Told[] = [];
  again.onLoss((loss) => told.push(loss));
  expect([told, again.faultsAtOpen]).toEqual([[], []]);
  await again.close();
});

test("a life that cannot reserve its numbers begins in a place of its own above the reserved ones, as long as there are places", () => {
  const places = 2 ** 17;
  expect(farBeyond(5e9, () => 0)).toBe(7e9);
  expect(farBeyond(5e9, (below) => below - 1)).toBe(5e9 + places * 2e9);
  const high = 2 ** 52 - 16 * 2e9;
  expect(farBeyond(high, (below) => below - 1)).toBe(high + 2 * 2e9);
  expect(farBeyond(high + 8 * 2e9, (below) => below - 1)).toBe(high + 9 * 2e9);
  expect(farBeyond(high + 8 * 2e9 + 1, () => 0)).toBeNull();
});
