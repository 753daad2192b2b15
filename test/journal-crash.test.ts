import { existsSync, readdirSync, renameSync, rmSync, statSync, truncateSync } from "node:fs";
import { join } from "node:path";
import Database from "better-sqlite3";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createSystemClock } from "../src/clock.ts";
import { seq } from "../src/core/ids.ts";
import { LIMITS } from "../src/core/limits.ts";
import type { JournalHealth } from "../src/core/ports.ts";
import { openJournal } from "../src/journal/journal.ts";
import { openFolder } from "../src/journal/open-folder.ts";
import { SegmentWriter, settleSealed } from "../src/journal/segment-file.ts";
import { WAVE_DEFAULTS } from "../src/journal/waves/wave-settings.ts";
import { committed, flipBytes, openOrFail, openWithWriters, readAll, temporaryFolder } from "./support/journal-folder.ts";
import { attackWithKills, endAppenders, startAppender } from "./support/journal-killing.ts";
import { actOf, alertOf, observationOf } from "./support/journal-records.ts";
import { until } from "./support/until.ts";

const SEED = 97;
let place = temporaryFolder();

beforeEach(() => {
  place = temporaryFolder();
});

afterEach(() => {
  endAppenders();
  place.remove();
});

test("nothing that was said committed is missing after three kills at random moments, and nothing is there twice", {
  timeout: 60_000,
}, async () => {
  await attackWithKills({ folder: place.folder, kills: 3, seed: SEED });
});

describe("one process at a time", () => {
  test("a second process is refused with the holder's process id, and may open once the holder was killed", async () => {
    const holder = await startAppender(place.folder, 0);
    const refused = await openJournal({
      folder: place.folder,
      gatewayId: "gateway-1",
      bytesMax: 1e9,
      clock: createSystemClock(),
    });
    expect(refused).toEqual({
      ok: false,
      error: { code: "journal-locked", facts: { folder: place.folder, pid: holder.child.pid } },
    });
    await holder.kill();
    const journal = await openOrFail(place.folder);
    await journal.close();
  });

  test("the same process is refused a second time as well", async () => {
    const journal = await openOrFail(place.folder);
    const refused = await openJournal({
      folder: place.folder,
      gatewayId: "gateway-1",
      bytesMax: 1e9,
      clock: createSystemClock(),
    });
    expect(refused.ok ? "opened" : refused.error.code).toBe("journal-locked");
    await journal.close();
    await (await openOrFail(place.folder)).close();
  });
});

/** Fills a journal with several segments of 100 observations and an alert each, and closes it. */
async function fillSegments(count: number): Promise<string> {
  let epoch = "";
  for (let segment = 0; segment < count; segment++) {
    const journal = await openOrFail(place.folder);
    epoch = journal.epoch;
    const first = segment * 101 + 1;
    journal.append(Array.from({ length: 100 }, (_, index) => observationOf({ seq: first + index })));
    journal.append([alertOf({ seq: first + 100, id: `alert-${segment}` })]);
    journal.release("upstream:hospital", { epoch, upTo: seq(first + 50), open: [] });
    await committed(journal, first + 100);
    await journal.close();
    if (segment < count - 1) sealNewest();
  }
  return epoch;
}

/** Ends the newest segment as the journal does after an hour, by the journal's own code in another thread's place. */
function sealNewest(): void {
  const path = join(place.folder, segments().at(-1) ?? "");
  const writer = new SegmentWriter(path, 0, { check: false });
  writer.seal();
  expect(settleSealed(path)).toBe(true);
}

function segments(): string[] {
  return readdirSync(place.folder)
    .filter((name) => /^observations-\d+\.sqlite$/.test(name))
    .sort();
}

const numbers = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, index) => from + index);

const observationSeqs = async (journal: Awaited<ReturnType<typeof openOrFail>>) =>
  (await journal.read({ afterSeq: seq(0), limit: 1000, kinds: ["observation"] })).map((record) => record.seq as number);

describe("damage", () => {
  test("of a segment cut short all that is left is used, exactly the rest is told, and the damaged file is kept", async () => {
    const epoch = await fillSegments(3);
    const [first = "", second = ""] = segments();
    truncateSync(join(place.folder, first), statSync(join(place.folder, first)).size - 1024);
    truncateSync(join(place.folder, second), 1024);
    const journal = await openOrFail(place.folder);
    const losses: unknown[] = [];
    journal.onLoss((loss) => losses.push(loss));
    expect(journal.faultsAtOpen).toEqual([
      { code: "journal-damaged", facts: { file: join(place.folder, `${first}.damaged`), salvagedRecords: 100 } },
      { code: "journal-damaged", facts: { file: join(place.folder, `${second}.damaged`), salvagedRecords: 0 } },
    ]);
    const range = { fromSeq: 102, toSeq: 201, count: 100 };
    expect(losses).toEqual([{ ...range, why: "journal-damaged", what: "records", reader: null }]);
    expect(journal.epoch).toBe(epoch);
    expect([journal.lastSeqAtOpen, journal.endedBefore]).toEqual([303, "closed"]);
    const seqs = await observationSeqs(journal);
    expect([seqs.length, seqs[0], seqs[99], seqs[100], seqs[199]]).toEqual([200, 1, 100, 203, 302]);
    expect((await journal.openAlerts()).map((alert) => alert.seq)).toEqual([101, 202, 303]);
    await journal.close();
    expect(existsSync(join(place.folder, `${second}.damaged`))).toBe(true);
    const again = await openOrFail(place.folder);
    expect(again.faultsAtOpen).toEqual([]);
    expect(await observationSeqs(again)).toHaveLength(200);
    await again.close();
  });

  test("damage that a reader meets while the journal runs: what is left is used at once, the rest told, and writing goes on", async () => {
    await fillSegments(3);
    const journal = await openOrFail(place.folder);
    const losses: { readonly fromSeq: number; readonly toSeq: number; readonly count: number }[] = [];
    journal.onLoss((loss) => losses.push(loss));
    const [first = "", second = ""] = segments();
    // The heads of all pages but the first: SQLite cannot go on, and no row can be made out.
    for (let at = 1024; at < statSync(join(place.folder, first)).size; at += 1024) flipBytes(join(place.folder, first), at, 8);
    // The first page of the other: SQLite cannot begin, and every row can be made out.
    flipBytes(join(place.folder, second), 0, 1024);
    await observationSeqs(journal);
    await until("the loss is told", () => losses.length > 0);
    expect(losses).toEqual([{ fromSeq: 1, toSeq: 100, count: 100, why: "journal-damaged", what: "records", reader: null }]);
    await until("both are kept aside", () => readdirSync(place.folder).filter((name) => name.endsWith(".damaged")).length === 2);
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(await observationSeqs(journal)).toEqual([...numbers(102, 201), ...numbers(203, 302)]);
    journal.append([observationOf({ seq: 304 }), alertOf({ seq: 305, id: "after" })]);
    await committed(journal, 305);
    expect((await observationSeqs(journal)).at(-1)).toBe(304);
    await journal.close();
    const after = await openOrFail(place.folder);
    expect([after.faultsAtOpen, after.lastSeqAtOpen]).toEqual([[], 305]);
    await after.close();
  });

  test("mending holds up the start for so long only: further damaged segments are set aside whole and their ranges told", async () => {
    await fillSegments(3);
    const [first = "", second = ""] = segments();
    for (const file of [first, second]) flipBytes(join(place.folder, file), 0, 1024);
    const request = { folder: place.folder, gatewayId: "gateway-1", bytesMax: 1e9, simulatedDisk: null, epochToKeep: null };
    // Every look at the clock costs four seconds: the first segment is mended at eight, the second would begin at sixteen.
    let nowMs = 0;
    const opened = openFolder(
      { ...request, waves: WAVE_DEFAULTS, checkAll: false },
      () => (nowMs += 4 * (LIMITS.journalSalvageMsMax.value / 10)),
    );
    if (!opened.ok) throw new Error(opened.error.code);
    const { kept, active, lock, sealed, faults } = opened.value;
    expect(faults.map(({ facts }) => facts["salvagedRecords"] ?? facts["toSeq"])).toEqual([100, 202]);
    expect(sealed.map((entry) => entry.file)).toEqual([first]);
    expect(kept.owedLosses()).toMatchObject([{ fromSeq: 102, toSeq: 202, count: 101, why: "journal-damaged" }]);
    active?.close();
    kept.close();
    lock.release();
  });

  test("a segment that is missing between two others is told as lost, though nothing else tells of it", async () => {
    await fillSegments(3);
    const [, second = ""] = segments();
    rmSync(join(place.folder, second));
    for (const told of [1, 2]) {
      // Owed until it has become a record, so the second start tells the same.
      const journal = await openOrFail(place.folder);
      const losses: unknown[] = [];
      journal.onLoss((loss) => losses.push(loss));
      const range = { fromSeq: 102, toSeq: 201, count: 100 };
      expect(losses, `start ${told}`).toEqual([{ ...range, why: "journal-damaged", what: "records", reader: null }]);
      await journal.close();
    }
  });

  test("a flipped byte inside stored values is found when read: that block is missing and told, nothing false is shown", async () => {
    await fillSegments(2);
    const [first = ""] = segments();
    const database = new Database(join(place.folder, first));
    database.exec("UPDATE blocks SET data = CAST(substr(data, 1, 40) || x'7f' || substr(data, 42) AS BLOB)");
    database.close();
    const journal = await openOrFail(place.folder);
    const losses: { readonly fromSeq: number; readonly toSeq: number }[] = [];
    journal.onLoss((loss) => losses.push(loss));
    expect(journal.faultsAtOpen).toEqual([]);
    expect((await observationSeqs(journal))[0]).toBe(102);
    expect(losses).toEqual([{ fromSeq: 1, toSeq: 100, count: 100, why: "journal-damaged", what: "records", reader: null }]);
    await journal.close();
  });

  test("where the newest segment is damaged the epoch stays, because numbers up to the reserved ones are never given again", async () => {
    const epoch = await fillSegments(2);
    const newest = segments().at(-1) ?? "";
    flipBytes(join(place.folder, newest), 1024, 3000);
    const journal = await openOrFail(place.folder);
    const losses: unknown[] = [];
    journal.onLoss((loss) => losses.push(loss));
    expect(journal.faultsAtOpen.map((found) => found.facts["file"])).toEqual([join(place.folder, `${newest}.damaged`)]);
    expect(journal.epoch).toBe(epoch);
    expect(journal.lastSeqAtOpen).toBe(202);
    expect(await observationSeqs(journal)).toHaveLength(100);
    expect(losses).toMatchObject([{ fromSeq: 102, toSeq: 201, count: 100, why: "journal-damaged" }]);
    await journal.close();
  });

  test("a damaged kept file is set aside; what can be read of it stays, and how many records are missing is told", async () => {
    const journalBefore = await openOrFail(place.folder);
    const { epoch } = journalBefore;
    journalBefore.append(
      Array.from({ length: 200 }, (_, index) =>
        index % 2 === 0 ? alertOf({ seq: index + 1, id: `a${index}` }) : actOf({ seq: index + 1 }),
      ),
    );
    await committed(journalBefore, 200);
    await journalBefore.close();
    const path = join(place.folder, "kept.sqlite");
    flipBytes(path, Math.floor(statSync(path).size / 2 / 1024) * 1024, 1024);
    const journal = await openOrFail(place.folder);
    expect(journal.faultsAtOpen.map((found) => [found.code, found.facts["file"]])).toEqual([
      ["journal-damaged", `${path}.damaged`],
    ]);
    expect(journal.epoch).toBe(epoch);
    const losses: { readonly count: number }[] = [];
    journal.onLoss((loss) => losses.push(loss));
    const salvaged = await readAll(journal);
    expect(losses.reduce((sum, loss) => sum + loss.count, salvaged.length)).toBe(200);
    expect(salvaged.length).toBeGreaterThan(150);
    expect(salvaged.length).toBeLessThan(200);
    for (const record of salvaged)
      expect(record).toEqual(
        record.seq % 2 === 1 ? alertOf({ seq: record.seq, id: `a${record.seq - 1}` }) : actOf({ seq: record.seq }),
      );
    await journal.close();
  });

  test("a kept file that is gone or is no database begins a new epoch, and observations stay", async () => {
    const epoch = await fillSegments(1);
    const path = join(place.folder, "kept.sqlite");
    renameSync(path, `${path}.away`);
    const journal = await openOrFail(place.folder);
    expect(journal.faultsAtOpen.map((found) => found.code)).toEqual(["journal-damaged"]);
    expect(journal.epoch).not.toBe(epoch);
    expect(await observationSeqs(journal)).toHaveLength(100);
    await journal.close();
    flipBytes(path, 0, 200);
    const again = await openOrFail(place.folder);
    expect(again.epoch).not.toBe(journal.epoch);
    expect(await observationSeqs(again)).toHaveLength(100);
    await again.close();
  });
});

describe("a thread that ends", () => {
  test("the writing thread is started again, and the batch it had not acknowledged is there once", async () => {
    const simulatedDisk = { fsyncMs: 5, slowFsyncMs: 5, slowShare: 0, seed: 1 };
    const { journal, writersCount, endWriter } = await openWithWriters(place.folder, { simulatedDisk });
    const health: JournalHealth["state"][] = [];
    journal.onHealth((now) => health.push(now.state));
    let next = 1;
    for (let round = 0; round < 3; round++) {
      for (let turn = 0; turn < 20; turn++) {
        journal.append(
          Array.from({ length: 20 }, () =>
            next % 50 === 0 ? alertOf({ seq: next, id: `a${next++}` }) : observationOf({ seq: next++ }),
          ),
        );
        if (turn === 10) void endWriter();
        await new Promise((resolve) => setTimeout(resolve, 3));
      }
      await committed(journal, next - 1);
    }
    expect(writersCount()).toBe(4);
    expect((await readAll(journal)).map((record) => record.seq)).toEqual(
      Array.from({ length: next - 1 }, (_, index) => index + 1),
    );
    expect(health.slice(0, 2)).toEqual(["failing", "working"]);
    expect(health.at(-1)).toBe("working");
    await journal.close();
  });
});
