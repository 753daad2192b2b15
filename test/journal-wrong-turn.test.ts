import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import Database from "better-sqlite3";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Loss } from "../src/core/record.ts";
import { isDamage } from "../src/journal/journal-folder.ts";
import { KeptReader } from "../src/journal/kept-file.ts";
import { SegmentReader } from "../src/journal/segment-file.ts";
import { committed, openOrFail, readAll, sealKept, sealNewest, temporaryFolder } from "./support/journal-folder.ts";
import { alertOf, observationOf } from "./support/journal-records.ts";
import { filesOf } from "./support/sealed-journal.ts";

/** Type of a page that only leads to others, and of one that holds rows. Source: SQLite file format, 1.6. */
const INTERIOR_PAGE = 5;
const LEAF_PAGE = 13;
/** The highest number that one byte of a key can say. */
const KEY_MAX = 0x7f;
const PAGES_MAX = 1000;

const RECORDS = 120;
const RECORDS_PER_COMMIT = 4;

let place = temporaryFolder();

/** A sealed segment of so many small blocks that its pages need signposts, numbers of one byte, and alerts that are sealed away. */
beforeEach(async () => {
  place = temporaryFolder();
  const journal = await openOrFail(place.folder);
  for (let next = 1; next <= RECORDS; ) {
    for (const end = next + RECORDS_PER_COMMIT; next < end; next++)
      journal.append([next % 3 === 0 ? alertOf({ seq: next, id: `a${next}`, state: "ended" }) : observationOf({ seq: next })]);
    await committed(journal, next - 1);
  }
  await journal.close();
  sealNewest(place.folder);
  sealKept(place.folder);
});

afterEach(() => place.remove());

/** Where in a file the number of a row of blocks stands; one byte long. */
function placeOfKey(bytes: Buffer, pageBytes: number, row: { readonly key: number; readonly data: Buffer }): number {
  const head = row.data.subarray(0, 64);
  for (let page = pageBytes; page < bytes.length; page += pageBytes) {
    if (bytes[page] !== LEAF_PAGE) continue;
    for (let cell = 0; cell < bytes.readUInt16BE(page + 3); cell++) {
      let at = page + bytes.readUInt16BE(page + 8 + 2 * cell);
      while ((bytes[at] ?? 0) > KEY_MAX) at += 1;
      if (bytes[at + 1] === row.key && bytes.subarray(at, at + 2 * head.length).includes(head)) return at + 1;
    }
  }
  throw new Error(`no row ${row.key}`);
}

/**
 * Makes the first signpost of a table say that all rows up to 127 lie to its left. Who asks for what comes after the last of them is led
 * there, finds nothing behind it, and is brought the first row on the right, whatever its number.
 */
function misleadFirstSignpost(file: string, table: string): void {
  const database = new Database(file, { readonly: true });
  const page = Number(database.prepare("SELECT rootpage FROM sqlite_schema WHERE name = ?").pluck().get(table));
  const pageBytes = Number(database.pragma("page_size", { simple: true }));
  database.close();
  const bytes = readFileSync(file);
  const root = (page - 1) * pageBytes;
  expect(bytes[root], `the root of ${table} leads to other pages`).toBe(INTERIOR_PAGE);
  const cell = root + bytes.readUInt16BE(root + 12);
  const key = cell + 4;
  expect(bytes[key], "the key is one byte").toBeLessThan(KEY_MAX);
  bytes[key] = KEY_MAX;
  writeFileSync(file, bytes);
}

/** Pages until there is no more; a page of which the last row is not behind the one before would be asked for again and again. */
function pageThrough(next: (after: number) => readonly number[]): "ends" | "damaged" {
  try {
    let after = 0;
    for (let page = 0; page < PAGES_MAX; page++) {
      const last = next(after).at(-1);
      if (last === undefined) return "ends";
      after = last;
    }
  } catch (error) {
    if (isDamage(error)) return "damaged";
    throw error;
  }
  throw new Error(`no end after ${PAGES_MAX} pages`);
}

describe("a signpost in a page that leads the wrong way", () => {
  test.each(["blockCounts", "blocksAfter", "blocksFrom", "blocks"] as const)(
    "%s comes to an end, by calling the segment damaged where it is led back",
    (question) => {
      const file = filesOf(place.folder, "observations")[0] ?? "";
      misleadFirstSignpost(file, "blocks");
      const segment = new SegmentReader(file);
      const numbers = (rows: readonly { readonly first_seq: number }[]) => rows.map(({ first_seq }) => first_seq);
      const everything = { fromSeq: 1, toSeq: RECORDS, kinds: null, recordsWanted: 1 } as const;
      const ask = {
        blockCounts: (after: number) => numbers(segment.blockCounts(after)),
        blocksAfter: (after: number) => numbers(segment.blocksAfter(after)),
        blocksFrom: (after: number) => numbers(segment.blocksFrom({ ...everything, afterFirstSeq: after })),
        // These two go on by what SQLite compares row by row, and find their way.
        blocks: (after: number) => segment.blocks({ ...everything, fromSeq: after + 1 }).map(({ last_seq }) => last_seq),
      };
      expect(pageThrough(ask[question])).toBe(question === "blocksFrom" || question === "blocks" ? "ends" : "damaged");
      segment.close();
    },
  );

  test("kept records are called damaged as well", () => {
    const file = filesOf(place.folder, "kept-")[0] ?? "";
    misleadFirstSignpost(file, "alerts");
    const reader = new KeptReader(file, () => {});
    const next = (after: number) =>
      reader.records("alert", { afterSeq: after, upToSeq: RECORDS, limit: 1 }).map(({ seq }) => seq);
    expect(pageThrough(next)).toBe("damaged");
    reader.close();
  });

  test("a reader comes to the end, everything is there in order, each once", async () => {
    misleadFirstSignpost(filesOf(place.folder, "observations")[0] ?? "", "blocks");
    const journal = await openOrFail(place.folder);
    const told: Pick<Loss, "fromSeq" | "toSeq" | "why">[] = [];
    journal.onLoss(({ fromSeq, toSeq, why }) => told.push({ fromSeq, toSeq, why }));
    const numbers = (await readAll(journal)).map((record) => record.seq);
    expect(numbers).toEqual(Array.from({ length: RECORDS }, (_, index) => index + 1));
    expect(told).toEqual([]);
    await journal.close();
  });
});

describe("a row whose number is another", () => {
  /** Gives each row of a table every other number there is room for between its neighbours, one after the other. */
  function renumberEach(of: {
    readonly file: string;
    readonly sql: string;
    readonly ask: (moved: { readonly key: number; readonly before: number; readonly was: number }) => number | undefined;
  }): void {
    const { file, sql, ask } = of;
    const sound = readFileSync(file);
    const database = new Database(file, { readonly: true });
    const pageBytes = Number(database.pragma("page_size", { simple: true }));
    const rows = database.prepare<[], { key: number; data: Buffer }>(sql).all();
    database.close();
    let tried = 0;
    for (const [index, row] of rows.entries()) {
      if (row.key > KEY_MAX) break;
      const at = placeOfKey(sound, pageBytes, row);
      const [before, after] = [rows[index - 1]?.key ?? 0, rows[index + 1]?.key ?? RECORDS + 1];
      for (let key = before + 1; key < after; key++) {
        if (key === row.key) continue;
        const damaged = Buffer.from(sound);
        damaged[at] = key;
        writeFileSync(file, damaged);
        expect(ask({ key, before, was: row.key }), `${row.key} became ${key}: told from`).toBeLessThanOrEqual(row.key);
        tried += 1;
      }
    }
    expect(tried).toBeGreaterThan(50);
  }

  test("a block: wherever in its page it lies, and whichever way it went, what it held is within what is told", () => {
    const file = filesOf(place.folder, "observations")[0] ?? "";
    renumberEach({
      file,
      sql: "SELECT first_seq AS key, data FROM blocks ORDER BY first_seq",
      ask: ({ key, before }) => {
        const segment = new SegmentReader(file);
        const found = segment.blocksAfter(before).find(({ first_seq }) => first_seq === key);
        const told = found === undefined ? undefined : segment.rangeOf(found).fromSeq;
        segment.close();
        return told;
      },
    });
  });

  test("a kept record: its own number is within what is told", () => {
    const file = filesOf(place.folder, "kept-")[0] ?? "";
    renumberEach({
      file,
      sql: "SELECT seq AS key, CAST(json AS BLOB) AS data FROM alerts ORDER BY seq",
      ask: ({ was }) => {
        const told: { readonly from: number; readonly to: number }[] = [];
        const reader = new KeptReader(file, (_, { from, to }) => told.push({ from, to: to ?? RECORDS }));
        reader.records("alert", { afterSeq: 0, upToSeq: RECORDS, limit: RECORDS });
        reader.close();
        return told.find(({ to }) => to >= was)?.from;
      },
    });
  });
});

test.each([
  ["of an unknown reason", "INSERT INTO drops VALUES ('records', '', 3, 5, 3, 'nobody-knows')"],
  ["of nothing", "INSERT INTO drops VALUES ('', '', 3, 5, 3, 'cut-off')"],
  ["of numbers that are none", "INSERT INTO drops VALUES ('records', '', 'three', 5, 3, 'cut-off')"],
])("an owed loss %s is damage: it is told as nothing else, and what comes is kept", async (_name, sql) => {
  const database = new Database(join(place.folder, "kept.sqlite"));
  database.exec(sql);
  database.close();
  const journal = await openOrFail(place.folder);
  const told: Pick<Loss, "fromSeq" | "toSeq">[] = [];
  journal.onLoss(({ fromSeq, toSeq }) => told.push({ fromSeq, toSeq }));
  expect(journal.faultsAtOpen.map(({ code }) => code)).toEqual(["journal-damaged"]);
  const next = (journal.leftOutAtOpen?.to ?? journal.lastSeqAtOpen) + 1;
  journal.append([alertOf({ seq: next, id: "after" })]);
  await committed(journal, next);
  expect(told).toEqual([]);
  await journal.close();
});
