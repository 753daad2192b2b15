import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, readdirSync, readlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import Database from "better-sqlite3";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { LIMITS } from "../src/core/limits.ts";
import { openReadable } from "../src/journal/database.ts";
import { isInLogMode, listSegments } from "../src/journal/journal-folder.ts";
import { committed, openOrFail, readAll, sealNewest, temporaryFolder } from "./support/journal-folder.ts";
import { alertOf, observationOf } from "./support/journal-records.ts";

const SEGMENTS = 6;
const PER_SEGMENT = 20;
const LAST_SEQ = SEGMENTS * PER_SEGMENT;

const made = temporaryFolder();
let place = made;

beforeAll(async () => {
  for (let segment = 0; segment < SEGMENTS; segment++) {
    const journal = await openOrFail(made.folder);
    const first = segment * PER_SEGMENT + 1;
    const observations = Array.from({ length: PER_SEGMENT - 1 }, (_, index) => observationOf({ seq: first + index }));
    const lastSeq = first + PER_SEGMENT - 1;
    journal.append([...observations, alertOf({ seq: lastSeq, id: `alert-${segment}` })]);
    await committed(journal, lastSeq);
    await journal.close();
    sealNewest(made.folder);
  }
});

afterAll(() => made.remove());

beforeEach(() => {
  place = temporaryFolder();
  cpSync(made.folder, place.folder, { recursive: true });
});

afterEach(() => place.remove());

/** The segments of a folder that this process holds open, each once. */
function segmentsHeld(folder: string): string[] {
  const paths = readdirSync("/proc/self/fd").map((handle) => {
    try {
      return readlinkSync(`/proc/self/fd/${handle}`);
    } catch {
      return "";
    }
  });
  return listSegments(folder).filter((file) => paths.includes(join(folder, file)));
}

/** Leaves a log to each segment, as those have it that were not settled when the gateway ended. */
function bringBackLogs(folder: string): void {
  for (const file of listSegments(folder)) {
    const database = new Database(join(folder, file));
    database.pragma("journal_mode = WAL");
    database.close();
    expect(isInLogMode(join(folder, file))).toBe(true);
  }
}

const ALL = Array.from({ length: LAST_SEQ }, (_, index) => index + 1);
const mayMount = process.getuid?.() === 0 && process.platform === "linux";
if (!mayMount) process.stderr.write("SKIPPED: only root may mount a disk read-only\n");

/** Runs `work` while the folder is mounted read-only at a place of its own. */
async function onReadOnlyDisk(work: (folder: string) => Promise<void>): Promise<void> {
  const mounted = join(dirname(place.folder), "mounted");
  mkdirSync(mounted);
  execFileSync("/bin/mount", ["--bind", place.folder, mounted]);
  try {
    execFileSync("/bin/mount", ["-o", "remount,ro,bind", mounted]);
    expect(() => writeFileSync(join(mounted, "x"), "")).toThrow();
    await work(mounted);
  } finally {
    execFileSync("/bin/umount", ["-l", mounted]);
  }
}

describe("memory while a journal is read that cannot be written", () => {
  test.skipIf(!mayMount)("segments without a log are read where they lie, and nothing is made beside them", async () => {
    await onReadOnlyDisk(async (folder) => {
      const names = readdirSync(folder);
      const journal = await openOrFail(folder);
      expect((await readAll(journal)).map(({ seq }) => seq)).toEqual(ALL);
      expect(segmentsHeld(folder)).toHaveLength(SEGMENTS);
      expect(readdirSync(folder), "nothing is made beside them").toEqual(names);
      await journal.close();
    });
  });

  test.skipIf(!mayMount)("a journal whose files all have logs is read whole, from copies", async () => {
    bringBackLogs(place.folder);
    await onReadOnlyDisk(async (folder) => {
      const copy = openReadable(join(folder, listSegments(folder)[0] ?? ""), null);
      expect(copy.memory).toBe(true);
      copy.close();
      const journal = await openOrFail(folder);
      for (let time = 1; time <= 2; time++) expect((await readAll(journal, 30)).map(({ seq }) => seq)).toEqual(ALL);
      await journal.close();
    });
  });

  test("of the segments that have a log, and so may have to be copied, few are open together", async () => {
    bringBackLogs(place.folder);
    const journal = await openOrFail(place.folder);
    for (let time = 1; time <= 2; time++) {
      expect((await readAll(journal, 30)).map(({ seq }) => seq)).toEqual(ALL);
      const held = segmentsHeld(place.folder).length;
      expect(held).toBeGreaterThan(0);
      expect(held).toBeLessThanOrEqual(LIMITS.journalReaderLoggedFilesMax.value);
    }
    await journal.close();
  });
});
