import { copyFileSync, existsSync, renameSync } from "node:fs";
import { join } from "node:path";
import Database from "better-sqlite3";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { committed, openOrFail, readAll, temporaryFolder } from "./support/journal-folder.ts";
import { observationOf } from "./support/journal-records.ts";
import { filesOf, LAST_SEQ, makeSealedJournal } from "./support/sealed-journal.ts";

let place = temporaryFolder();

beforeEach(async () => {
  place = temporaryFolder();
  await makeSealedJournal(place.folder, { sealsKept: true });
});

afterEach(() => place.remove());

/** Leaves a file as a power cut does in the middle of SQLite's own change of it, or right after it with the journal's name there again. */
function cutShort(file: string): void {
  const database = new Database(file);
  database.pragma("journal_mode = DELETE");
  // With a wait for the disk SQLite writes the first bytes of its journal, which make it count, only right before it commits.
  database.pragma("synchronous = OFF");
  database.exec("BEGIN IMMEDIATE; INSERT INTO facts VALUES ('half', 'done', 0)");
  for (const ending of ["", "-journal"]) copyFileSync(file + ending, `${file}${ending}.cut`);
  database.exec("ROLLBACK");
  database.close();
  for (const ending of ["", "-journal"]) renameSync(`${file}${ending}.cut`, file + ending);
}

describe("a power cut while a file leaves write-ahead mode", () => {
  for (const beginning of ["observations", "kept-", "kept.sqlite"])
    test(`${beginning}: the next start rolls it back, has everything and writes`, async () => {
      const [file = ""] = beginning === "kept.sqlite" ? [join(place.folder, beginning)] : filesOf(place.folder, beginning);
      cutShort(file);
      expect(existsSync(`${file}-journal`)).toBe(true);
      const journal = await openOrFail(place.folder);
      expect(journal.leftOutAtOpen).toBeNull();
      journal.append([observationOf({ seq: LAST_SEQ + 1 })]);
      await committed(journal, LAST_SEQ + 1);
      expect((await readAll(journal)).map((record) => record.seq)).toEqual(
        Array.from({ length: LAST_SEQ + 1 }, (_, index) => index + 1),
      );
      expect(existsSync(`${file}-journal`)).toBe(false);
      await journal.close();
    });
});
