import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Database from "better-sqlite3";
import { afterAll, describe, expect, test } from "vitest";
import { parseConfig } from "../config/load.ts";
import { verifyJournal } from "../src/commands/verify.ts";
import { seq } from "../src/core/ids.ts";
import type { Journal } from "../src/core/ports.ts";
import { monotonicMs, wallMs } from "../src/core/time.ts";
import { ALL_TIME } from "../src/verify/window.ts";
import { committed, flipBytes, openOrFail, sealNewest } from "./support/journal-folder.ts";
import { alertOf, BASE_MS, observationOf } from "./support/journal-records.ts";

const ROOT = mkdtempSync(join(tmpdir(), "vigil-verify-unwritable-"));
afterAll(() => rmSync(ROOT, { recursive: true, force: true }));

/** Gives a life its start, an alert and forty observations; returns the last number. */
function live(journal: Journal): number {
  const { endedBefore: before, leftOutAtOpen: leftOut } = journal;
  const first = (leftOut?.to ?? journal.lastSeqAtOpen) + 1;
  const at = { atMs: wallMs(BASE_MS), atMonotonicMs: monotonicMs(1) };
  const observations = Array.from({ length: 40 }, (_, index) => observationOf({ seq: first + 2 + index }));
  journal.append([{ kind: "start", seq: seq(first), ...at, version: "1.0.0", before, leftOut }]);
  journal.append([alertOf({ seq: first + 1, id: `alert-${first}` }), ...observations]);
  return first + 41;
}

/** A life that begins while nobody may lock the folder, and whose records are saved when that is over. */
async function liveUnwritable(dataFolder: string): Promise<Journal> {
  const folder = join(dataFolder, "journal");
  for (const name of readdirSync(folder)) if (name.startsWith("lock.")) rmSync(join(folder, name));
  mkdirSync(join(folder, "lock.sqlite"));
  const journal = await openOrFail(folder, { gatewayId: "ward-1" });
  const lastSeq = live(journal);
  rmdirSync(join(folder, "lock.sqlite"));
  await committed(journal, lastSeq);
  return journal;
}

async function liveClosed(dataFolder: string): Promise<void> {
  const journal = await openOrFail(join(dataFolder, "journal"), { gatewayId: "ward-1" });
  await committed(journal, live(journal));
  await journal.close();
}

/** What a kill leaves of a life after one whose segment was sealed; all of it carried into the newest segment's file. */
async function killed(name: string): Promise<{ readonly dataFolder: string; readonly newest: string; readonly lastSeq: number }> {
  const source = join(ROOT, `${name}-source`);
  await liveClosed(source);
  sealNewest(join(source, "journal"));
  const journal = await openOrFail(join(source, "journal"), { gatewayId: "ward-1" });
  const lastSeq = live(journal);
  await committed(journal, lastSeq);
  const dataFolder = join(ROOT, name);
  cpSync(source, dataFolder, { recursive: true });
  await journal.close();
  const file = readdirSync(join(dataFolder, "journal")).findLast((each) => /^observations-\d+\.sqlite$/.test(each)) ?? "";
  const newest = join(dataFolder, "journal", file);
  const database = new Database(newest);
  database.pragma("wal_checkpoint(TRUNCATE)");
  database.close();
  return { dataFolder, newest, lastSeq };
}

async function wrongIn(dataFolder: string): Promise<unknown> {
  const parsed = parseConfig(`{ gateway: { id: ward-1, dataFolder: ${dataFolder} } }`, "/");
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.error));
  const found = await verifyJournal(parsed.value, { files: new Map(), window: ALL_TIME });
  return found.ok ? found.value.wrong : found.error;
}

describe("a life that began while its files could not be written", () => {
  test("is sound after one that was closed, though it leaves numbers out", async () => {
    const dataFolder = join(ROOT, "closed");
    await liveClosed(dataFolder);
    const journal = await liveUnwritable(dataFolder);
    expect(journal.endedBefore).toBe("closed");
    expect(journal.leftOutAtOpen?.from).toBe(43);
    await journal.close();
    expect(await wrongIn(dataFolder)).toEqual({});
    await liveClosed(dataFolder);
    expect(await wrongIn(dataFolder)).toEqual({});
  });

  test("leaves out no number that is saved of a damaged segment", async () => {
    const { dataFolder, newest, lastSeq } = await killed("first-page");
    // Everything can be made out without the first page.
    flipBytes(newest, 0, 100);
    const journal = await liveUnwritable(dataFolder);
    expect(journal.endedBefore).toBe("cut-off");
    expect(journal.leftOutAtOpen?.from).toBe(lastSeq + 1);
    await journal.close();
    expect(await wrongIn(dataFolder)).toEqual({});
  });

  test("leaves out numbers behind the first of a damaged segment where nothing else of it can be made out; the next start owes that one", async () => {
    const { dataFolder, newest } = await killed("all-pages");
    flipBytes(newest, 0, 1 << 18);
    const journal = await liveUnwritable(dataFolder);
    expect(journal.leftOutAtOpen?.from).toBe(Number(/observations-(\d+)/.exec(newest)?.[1]) + 1);
    await journal.close();
    await liveClosed(dataFolder);
    expect(await wrongIn(dataFolder)).toEqual({});
  });
});
