import { cpSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import Database from "better-sqlite3";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createSystemClock } from "../src/clock.ts";
import { seq } from "../src/core/ids.ts";
import { LIMITS } from "../src/core/limits.ts";
import type { JournalRecord } from "../src/core/record.ts";
import { checkSum } from "../src/journal/database.ts";
import { openJournal } from "../src/journal/journal.ts";
import { committed, flipBytes, openOrFail, readAll, temporaryFolder } from "./support/journal-folder.ts";
import { actOf, alertOf, BASE_MS, observationOf } from "./support/journal-records.ts";

/** Its making is told in the README beside it. */
const FIRST = new URL("./captures/journal-v1/", import.meta.url).pathname;
const EPOCH = "82227515-7356-4f9d-924e-c173b2d679e9";
const VERSION_FACTOR = 65_537;
/** As many as can have waited for the disk: a journal without a reservation leaves out so many. */
const UNRESERVED = LIMITS.journalQueueRecordsMax.value + LIMITS.journalKeptRecordsMax.value + LIMITS.journalBatchRecordsMax.value;

let place = temporaryFolder();

beforeEach(() => {
  place = temporaryFolder();
  cpSync(FIRST, place.folder, { recursive: true });
});

afterEach(() => place.remove());

function firstRecord(number: number): JournalRecord {
  if (number % 20 === 0) return alertOf({ seq: number, id: `a${number % 3}` });
  return number % 33 === 0 ? actOf({ seq: number }) : observationOf({ seq: number });
}

const FIRST_RECORDS = Array.from({ length: 600 }, (_, index) => firstRecord(index + 1));

/** A loss as the first version wrote it, and one that it owed when it ended. */
function addFirstLosses(): void {
  const database = new Database(join(place.folder, "kept.sqlite"));
  const json = JSON.stringify({ kind: "loss", seq: 601, atMs: BASE_MS, fromSeq: 5, toSeq: 9, count: 5, why: "queue-full" });
  database.prepare("INSERT INTO losses (seq, crc, json) VALUES (601, ?, ?)").run(checkSum(json, 601), json);
  database.prepare("INSERT INTO drops (from_seq, to_seq, record_count, why) VALUES (11, 13, 3, 'byte-budget')").run();
  database.pragma("journal_mode = DELETE");
  database.close();
}

const MENDED_LOSS = {
  ...{ kind: "loss", seq: 601, atMs: BASE_MS, fromSeq: 5, toSeq: 9, count: 5, why: "queue-full" },
  ...{ what: "records", reader: null },
};

describe("a journal of the first version", () => {
  test("opens with every record as it was, its cursor in its epoch, and numbers that were never given", async () => {
    addFirstLosses();
    const journal = await openOrFail(place.folder);
    expect([journal.epoch, journal.lastSeqAtOpen, journal.endedBefore]).toEqual([EPOCH, 601, "cut-off"]);
    expect(journal.leftOutAtOpen).toEqual({ from: 602, to: 601 + UNRESERVED });
    expect(journal.faultsAtOpen).toEqual([]);
    expect(await readAll(journal)).toEqual([...FIRST_RECORDS, MENDED_LOSS]);
    const cursor = { epoch: EPOCH, upTo: 551, open: [{ from: 311, to: 321 }] };
    expect(await journal.cursor("upstream:hospital")).toEqual(cursor);
    expect((await journal.openAlerts()).map((alert) => [alert.id, alert.seq])).toEqual([
      ["a2", 560],
      ["a1", 580],
      ["a0", 600],
    ]);
    const losses: unknown[] = [];
    journal.onLoss((loss) => losses.push(loss));
    expect(losses).toEqual([{ fromSeq: 11, toSeq: 13, count: 3, why: "byte-budget", what: "records", reader: null }]);
    const next = 602 + UNRESERVED;
    const more = [observationOf({ seq: next }), alertOf({ seq: next + 1, id: "new" })];
    journal.append(more);
    await committed(journal, next + 1);
    await journal.close();
    const second = await openOrFail(place.folder);
    expect([second.epoch, second.lastSeqAtOpen, second.endedBefore]).toEqual([EPOCH, next + 1, "closed"]);
    expect([second.leftOutAtOpen, second.faultsAtOpen]).toEqual([null, []]);
    expect(await readAll(second)).toEqual([...FIRST_RECORDS, MENDED_LOSS, ...more]);
    await second.close();
  });

  test("whose kept file is damaged gives what is left, mended the same way, under a new epoch, and tells what is missing", async () => {
    addFirstLosses();
    const path = join(place.folder, "kept.sqlite");
    // The page in the middle of the acts and alerts; the tables stand at the beginning.
    flipBytes(path, Math.floor(statSync(path).size / 2 / 1024) * 1024, 1024);
    const journal = await openOrFail(place.folder);
    expect(journal.faultsAtOpen.map((found) => found.code)).toEqual(["journal-damaged"]);
    expect(journal.epoch).not.toBe(EPOCH);
    const found = await readAll(journal);
    for (const record of found) expect(record).toEqual(FIRST_RECORDS[record.seq - 1] ?? MENDED_LOSS);
    expect(found.length).toBeGreaterThan(570);
    const losses: { readonly count: number; readonly why: string }[] = [];
    journal.onLoss((loss) => losses.push(loss));
    const told = losses.filter((loss) => loss.why === "journal-damaged").reduce((sum, loss) => sum + loss.count, 0);
    const there = found.filter((record) => record.seq <= 600).length;
    // The ranges that are on record as lost for another reason are not counted again.
    const accountedFor = found.some((record) => record.seq === 601) ? 5 + 3 : 3;
    expect(there + told).toBeGreaterThanOrEqual(600 - accountedFor);
    expect(there).toBeLessThan(600);
    await journal.close();
  });
});

test.each([
  { file: "kept.sqlite", known: 2 },
  { file: "observations-0000000000000301.sqlite", known: 2 },
])("a journal whose $file is of a later version is refused, and not a byte of it is changed", async ({ file, known }) => {
  const database = new Database(join(place.folder, file));
  database.pragma(`user_version = ${(known + 1) * VERSION_FACTOR}`);
  database.pragma("journal_mode = DELETE");
  database.close();
  const contents = () =>
    readdirSync(place.folder)
      .filter((name) => !name.startsWith("lock"))
      .map((name) => [name, readFileSync(join(place.folder, name)).toString("base64")]);
  const before = contents();
  const refused = await openJournal({ folder: place.folder, gatewayId: "gateway-1", bytesMax: 1e9, clock: createSystemClock() });
  expect(refused).toEqual({
    ok: false,
    error: { code: "journal-too-new", facts: { folder: place.folder, foundVersion: known + 1, knownVersion: known } },
  });
  expect(contents()).toEqual(before);
});

describe("numbers", () => {
  const reserved = LIMITS.journalNumbersReserved.value;

  test("after a clean close none is left out, and numbering goes on", async () => {
    const folder = `${place.folder}-new`;
    const first = await openOrFail(folder);
    expect([first.endedBefore, first.leftOutAtOpen, first.lastSeqAtOpen]).toEqual(["first", null, 0]);
    first.append([observationOf({ seq: 1 }), alertOf({ seq: 2, id: "a" })]);
    await first.close();
    const second = await openOrFail(folder);
    expect([second.endedBefore, second.leftOutAtOpen, second.lastSeqAtOpen]).toEqual(["closed", null, 2]);
    await second.close();
    const third = await openOrFail(folder);
    expect([third.endedBefore, third.leftOutAtOpen, third.lastSeqAtOpen]).toEqual(["closed", null, 2]);
    expect(await third.read({ afterSeq: seq(0), limit: 10 })).toHaveLength(2);
    await third.close();
  });

  test("a life that was cut off leaves out what it had reserved, which is renewed on disk when half of it is used", async () => {
    const folder = `${place.folder}-cut`;
    const copy = `${place.folder}-copy`;
    /** What a power cut would leave: the files as they are, without the end of the life. */
    const cut = async (atSeq: number) => {
      const journal = await openOrFail(folder);
      journal.append([observationOf({ seq: atSeq })]);
      await committed(journal, atSeq);
      cpSync(folder, copy, { recursive: true, force: true });
      await journal.close();
      const after = await openOrFail(copy);
      const { endedBefore, leftOutAtOpen } = after;
      await after.close();
      return { endedBefore, leftOut: leftOutAtOpen };
    };
    expect(await cut(1)).toEqual({ endedBefore: "cut-off", leftOut: { from: 2, to: reserved } });
    // The second life began after 1 and reserved anew; exactly half of that is used up, so nothing is renewed yet.
    const half = 1 + reserved / 2;
    expect(await cut(half)).toEqual({ endedBefore: "cut-off", leftOut: { from: half + 1, to: 1 + reserved } });
    const over = half + reserved / 2 + 1;
    expect(await cut(over)).toEqual({ endedBefore: "cut-off", leftOut: { from: over + 1, to: over + reserved } });
  });

  test("a journal that was cut off before its first commit gives no number that was given before", async () => {
    const folder = `${place.folder}-young`;
    const first = await openOrFail(folder);
    cpSync(folder, `${folder}-copy`, { recursive: true });
    await first.close();
    const second = await openOrFail(`${folder}-copy`);
    expect([second.lastSeqAtOpen, second.endedBefore]).toEqual([0, "cut-off"]);
    expect(second.leftOutAtOpen).toEqual({ from: 1, to: reserved });
    cpSync(`${folder}-copy`, `${folder}-third`, { recursive: true });
    await second.close();
    const third = await openOrFail(`${folder}-third`);
    expect(third.leftOutAtOpen).toEqual({ from: 1, to: 2 * reserved });
    await third.close();
  });

  test("a life that opened after a crash and ended before it gave a number does not make the crash forgotten", async () => {
    const folder = `${place.folder}-idle`;
    const first = await openOrFail(folder);
    first.append([observationOf({ seq: 1 })]);
    await committed(first, 1);
    cpSync(folder, `${folder}-copy`, { recursive: true });
    await first.close();
    const idle = await openOrFail(`${folder}-copy`);
    expect(idle.leftOutAtOpen).toEqual({ from: 2, to: reserved });
    await idle.close();
    const third = await openOrFail(`${folder}-copy`);
    expect([third.endedBefore, third.leftOutAtOpen?.from]).toEqual(["cut-off", 2]);
    const next = (third.leftOutAtOpen?.to ?? 0) + 1;
    third.append([observationOf({ seq: next })]);
    await third.close();
    const fourth = await openOrFail(`${folder}-copy`);
    expect([fourth.endedBefore, fourth.leftOutAtOpen, fourth.lastSeqAtOpen]).toEqual(["closed", null, next]);
    await fourth.close();
  });
});
