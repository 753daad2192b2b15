import { cpSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import Database from "better-sqlite3";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { createSystemClock } from "../src/clock.ts";
import { LIMITS } from "../src/core/limits.ts";
import type { Journal } from "../src/core/ports.ts";
import { isDamage } from "../src/journal/journal-folder.ts";
import type { FromWriter } from "../src/journal/messages.ts";
import { type PackedRare, packRecords } from "../src/journal/packing.ts";
import { salvageSegment } from "../src/journal/salvage.ts";
import {
  inspectSealed,
  lookAtSegment,
  SegmentReader,
  SegmentWriter,
  segmentHoldsBlock,
  settleSealed,
} from "../src/journal/segment-file.ts";
import { WAVE_DEFAULTS } from "../src/journal/waves/wave-settings.ts";
import { JournalWriter } from "../src/journal/worker.ts";
import { committed, openOrFail, openWithWriters, readAll, sealNewest, temporaryFolder } from "./support/journal-folder.ts";
import { observationOf } from "./support/journal-records.ts";
import { until } from "./support/until.ts";

const BATCH_MAX = LIMITS.journalBatchRecordsMax.value;
let place = temporaryFolder();

beforeEach(() => {
  place = temporaryFolder();
});

afterEach(() => place.remove());

const observations = (from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, index) => observationOf({ seq: from + index }));

const numbers = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, index) => from + index);

const seqsOf = async (journal: Journal) => (await readAll(journal)).map((record) => record.seq as number);

function segments(): string[] {
  return readdirSync(place.folder)
    .filter((name) => /^observations-\d+\.sqlite$/.test(name))
    .sort()
    .map((name) => join(place.folder, name));
}

/** Changes the last block of a file beneath the journal, as a flipped bit would: no check sum is made anew. */
function changeLastBlock(path: string, what: { readonly lastSeq?: number; readonly flipsData?: boolean }): void {
  const database = new Database(path);
  try {
    const last = database
      .prepare<[], { first_seq: number; data: Buffer }>("SELECT first_seq, data FROM blocks ORDER BY first_seq DESC LIMIT 1")
      .get();
    if (last === undefined) throw new Error("the segment holds no block");
    if (what.lastSeq !== undefined)
      database.prepare("UPDATE blocks SET last_seq = ? WHERE first_seq = ?").run(what.lastSeq, last.first_seq);
    if (what.flipsData !== true) return;
    const data = Buffer.from(last.data);
    data[data.length - 1] = (data[data.length - 1] ?? 0) ^ 16;
    database.prepare("UPDATE blocks SET data = ? WHERE first_seq = ?").run(data, last.first_seq);
  } finally {
    database.close();
  }
}

/** A journal whose writing thread this test can end, and the losses it tells. */
async function openEndable() {
  const { journal, endWriter } = await openWithWriters(place.folder);
  const losses: string[] = [];
  journal.onLoss((loss) => losses.push(`${loss.fromSeq}-${loss.toSeq}: ${loss.count}, ${loss.why}`));
  return { journal, losses, endWriter };
}

async function appendInSteps(journal: Journal, from: number, to: number, step: number): Promise<void> {
  for (let next = from; next <= to; next += step) {
    journal.append(observations(next, Math.min(to, next + step - 1)));
    await committed(journal, Math.min(to, next + step - 1));
  }
}

describe("what is acknowledged after the writing thread began again is there", () => {
  test.each([
    ["far too high", 16_384],
    ["a little too high", 8],
  ])("where the column of the last number is %s", { timeout: 30_000 }, async (_how, wrongBy) => {
    const first = await openOrFail(place.folder);
    first.append(observations(1, 299));
    await first.close();
    const { journal, losses, endWriter } = await openEndable();
    expect(journal.lastSeqAtOpen).toBe(299);
    changeLastBlock(segments()[0] ?? "", { lastSeq: 299 + wrongBy });
    await endWriter();
    await appendInSteps(journal, 300, 799, 500);
    expect(await seqsOf(journal)).toEqual(numbers(1, 799));
    await journal.close();
    const next = await openEndable();
    expect(next.journal.lastSeqAtOpen).toBe(799);
    expect(await seqsOf(next.journal)).toEqual(numbers(1, 799));
    expect([...losses, ...next.losses]).toEqual([]);
    await next.journal.close();
  });

  test("where the last block is damaged whole, what it held is told to the number, in that life and not again", {
    timeout: 30_000,
  }, async () => {
    const { journal, losses, endWriter } = await openEndable();
    await appendInSteps(journal, 1, 300, 100);
    changeLastBlock(segments()[0] ?? "", { lastSeq: 300 + 16_384, flipsData: true });
    await endWriter();
    await appendInSteps(journal, 301, 800, 500);
    await until("the loss is told", () => losses.length > 0);
    expect(losses).toEqual(["201-300: 100, journal-damaged"]);
    expect(await seqsOf(journal)).toEqual([...numbers(1, 200), ...numbers(301, 800)]);
    await journal.close();
    const next = await openEndable();
    expect(next.journal.lastSeqAtOpen).toBe(800);
    expect(await seqsOf(next.journal)).toEqual([...numbers(1, 200), ...numbers(301, 800)]);
    // It is owed until it has become a record, which is the gateway's to make.
    expect(next.losses.filter((loss) => loss !== "201-300: 100, journal-damaged")).toEqual([]);
    await next.journal.close();
  });
});

describe("a sealed segment whose last block's column is wrong", () => {
  const pattern = temporaryFolder();

  beforeAll(async () => {
    for (const from of [1, 101, 201]) {
      const journal = await openOrFail(pattern.folder);
      await appendInSteps(journal, from, from + 49, 50);
      journal.append(observations(from + 50, from + 99));
      await journal.close();
      sealNewest(pattern.folder);
    }
  });

  afterAll(() => pattern.remove());

  beforeEach(() => cpSync(pattern.folder, place.folder, { recursive: true }));

  test.each([
    ["the newest", 2, 300],
    ["one between others", 1, 200],
  ])("%s loses nothing and nothing is told as lost", async (_which, index, lastSeq) => {
    changeLastBlock(segments()[index] ?? "", { lastSeq: lastSeq + 16_384 });
    const { journal, losses } = await openEndable();
    expect(journal.lastSeqAtOpen).toBe(300);
    expect(journal.endedBefore).toBe("closed");
    expect(await seqsOf(journal)).toEqual(numbers(1, 300));
    journal.append(observations(301, 350));
    await journal.close();
    const next = await openEndable();
    expect(await seqsOf(next.journal)).toEqual(numbers(1, 350));
    expect([...losses, ...next.losses]).toEqual([]);
    await next.journal.close();
  });

  test("does not hide that the segment after it is missing", async () => {
    const [first = "", second = ""] = segments();
    changeLastBlock(first, { lastSeq: 100 + 64 });
    rmSync(second);
    const { journal, losses } = await openEndable();
    await until("the loss is told", () => losses.length > 0);
    expect(losses).toEqual(["101-200: 100, journal-damaged"]);
    await journal.close();
  });

  test("a batch that lies in it is passed over when it is sent again, and one that does not is never acknowledged", () => {
    const said: FromWriter[] = [];
    const clock = createSystemClock();
    const writer = new JournalWriter(clock, (message) => said.push(message));
    writer.take({
      kind: "open",
      request: {
        ...{ folder: place.folder, gatewayId: "gateway-1", bytesMax: 1e9, simulatedDisk: null, waves: WAVE_DEFAULTS },
        ...{ epochToKeep: null, checkAll: false },
      },
    });
    try {
      writer.take({ kind: "commit", upToSeq: 300, batch: packRecords(observations(251, 300)) });
      expect(said.filter(({ kind }) => kind === "committed" || kind === "failed")).toMatchObject([
        { kind: "committed", upToSeq: 300 },
      ]);
      expect(segments()).toHaveLength(3);
      said.length = 0;
      writer.take({ kind: "commit", upToSeq: 300, batch: packRecords(observations(252, 300)) });
      expect(said.filter(({ kind }) => kind === "committed" || kind === "failed")).toMatchObject([
        { kind: "failed", fault: { code: "journal-damaged" } },
      ]);
    } finally {
      writer.take({ kind: "close", cleanUpToSeq: null });
    }
  });
});

describe("the last number of a segment", () => {
  let path = "";
  const event = (number: number, json = "{}"): PackedRare => ({ kind: "event", seq: number, json });

  /** Blocks of 10 observations; the last one has events before and behind its observations. */
  function write(...rare: readonly PackedRare[]): SegmentWriter {
    const writer = new SegmentWriter(path, 0, { check: false });
    for (const from of [1, 11, 21]) writer.append(packRecords(observations(from, from + 9)), [], 0);
    if (rare.length > 0) writer.append(packRecords([]), rare, 0);
    return writer;
  }

  const opening = (checkAll: boolean) => () => new SegmentWriter(path, 0, { check: true, checkAll }).abandon();

  /** What work throws is damage. */
  function expectDamage(work: () => void): void {
    let thrown: unknown = null;
    try {
      work();
    } catch (error) {
      thrown = error;
    }
    expect(isDamage(thrown)).toBe(true);
  }

  beforeEach(() => {
    path = join(place.folder, "..", "observations-0000000000000001.sqlite");
  });

  test("is that of a prediction or event where one comes last, long or short", () => {
    write(event(31), event(32, JSON.stringify("a long one".repeat(100)))).close();
    expect(lookAtSegment(path).lastSeq).toBe(32);
    expect(opening(true)).not.toThrow();
    changeLastBlock(path, { lastSeq: 31 });
    expect(lookAtSegment(path).lastSeq).toBe(32);
    expectDamage(opening(false));
    expect(salvageSegment(path)).toMatchObject({ recordCount: 32, spans: [{}, {}, {}, { from: 31, to: 32 }] });
    expect(lookAtSegment(path).lastSeq).toBe(32);
    expect(opening(true)).not.toThrow();
  });

  test.each([29, 31, 22, 0, -1, 2 ** 50, 30.5])("is not believed where its column says %s instead of 30", (wrong) => {
    write().close();
    expect(opening(false)).not.toThrow();
    changeLastBlock(path, { lastSeq: wrong });
    expectDamage(opening(false));
    expect(lookAtSegment(path).lastSeq).toBe(30);
    const reader = new SegmentReader(path);
    expect(reader.lastSeq()).toBe(30);
    reader.close();
  });

  test("of a sealed segment is damage where the column differs, whether or not every page is looked at", () => {
    const writer = write();
    const entry = { ...writer.seal(), carriedOver: undefined };
    expect(settleSealed(path)).toBe(true);
    for (const checkAll of [false, true])
      expect(inspectSealed(path, checkAll)).toMatchObject({ lastSeq: entry.lastSeq, recordCount: 30 });
    changeLastBlock(path, { lastSeq: 30 + 64 });
    for (const checkAll of [false, true]) expectDamage(() => inspectSealed(path, checkAll));
    expect(lookAtSegment(path)).toMatchObject({ lastSeq: 30, recordCount: 30, sealed: true });
  });

  test("is that of the column where the block's bytes are damaged and it can be right, so that exactly what was there is told", () => {
    write().close();
    changeLastBlock(path, { flipsData: true });
    expect(lookAtSegment(path).lastSeq).toBe(30);
    expect(opening(false)).not.toThrow();
    expectDamage(opening(true));
    changeLastBlock(path, { lastSeq: 21 + BATCH_MAX - 1 });
    expect(opening(false)).not.toThrow();
    changeLastBlock(path, { lastSeq: 21 + BATCH_MAX });
    expectDamage(opening(false));
  });

  test("of the block before a damaged one is read out of bytes as well", () => {
    write().close();
    const database = new Database(path);
    database.prepare("UPDATE blocks SET last_seq = 84 WHERE first_seq = 11").run();
    database.close();
    const reader = new SegmentReader(path);
    const ranges = reader.blocksAfter(0).map((row) => reader.rangeOf({ ...row, crc: row.crc ^ 1 }));
    expect(ranges.map(({ fromSeq }) => fromSeq)).toEqual([1, 11, 21]);
    reader.close();
  });

  test("lets a batch be sent twice, and none be passed over that is not there whole and sound", () => {
    const writer = write();
    const send = (from: number, to: number) => writer.append(packRecords(observations(from, to)), [], 0);
    send(21, 30);
    expect(writer.entry).toMatchObject({ lastSeq: 30, recordCount: 30 });
    for (const [from, to] of [
      [22, 30],
      [25, 40],
      [30, 31],
    ] as const)
      expectDamage(() => send(from, to));
    expect(writer.entry).toMatchObject({ lastSeq: 30, recordCount: 30 });
    send(31, 31);
    expect(writer.entry).toMatchObject({ lastSeq: 31, recordCount: 31 });
    send(31, 31);
    changeLastBlock(path, { flipsData: true });
    expectDamage(() => send(31, 31));
    writer.close();
    expect(segmentHoldsBlock(path, 21)).toBe(true);
    expect(segmentHoldsBlock(path, 22)).toBe(false);
    expect(segmentHoldsBlock(path, 31)).toBe(false);
  });
});
