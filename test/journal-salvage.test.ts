import { copyFileSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import Database from "better-sqlite3";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { JournalRecord } from "../src/core/record.ts";
import { visitBlock } from "../src/journal/block.ts";
import { asPlainDatabase, readImage } from "../src/journal/database-image.ts";
import { findMissing } from "../src/journal/missing-numbers.ts";
import { countNumbers, type NumberSpan, withoutSpans } from "../src/journal/number-spans.ts";
import { packRecords } from "../src/journal/packing.ts";
import { farBeyond } from "../src/journal/read-folder.ts";
import { salvageSegment } from "../src/journal/salvage.ts";
import { SegmentReader, SegmentWriter } from "../src/journal/segment-file.ts";
import { temporaryFolder } from "./support/journal-folder.ts";
import { observationOf } from "./support/journal-records.ts";
import { seededRandom } from "./support/seeded-random.ts";

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
