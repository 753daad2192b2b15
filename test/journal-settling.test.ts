import { readdirSync } from "node:fs";
import { join } from "node:path";
import Database from "better-sqlite3";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { Journal } from "../src/core/ports.ts";
import { committed, openOrFail, temporaryFolder } from "./support/journal-folder.ts";
import { observationOf } from "./support/journal-records.ts";

const BATCH_RECORDS = 2000;

let place: ReturnType<typeof temporaryFolder>;
let journal: Journal;
let lastSeq = 0;

beforeEach(async () => {
  place = temporaryFolder();
  lastSeq = 0;
  // A segment ends with the smallest size there is, and none is dropped.
  journal = await openOrFail(place.folder, { bytesMax: 4_000_000 });
});

afterEach(async () => {
  await journal.close();
  place.remove();
});

const filesLike = (name: RegExp) => readdirSync(place.folder).filter((file) => name.test(file));
const segmentCount = () => filesLike(/^observations-\d+\.sqlite$/).length;
const logCount = () => filesLike(/^observations-\d+\.sqlite-wal$/).length;

async function append(count: number): Promise<void> {
  journal.append(Array.from({ length: count }, (_, index) => observationOf({ seq: lastSeq + index + 1 })));
  lastSeq += count;
  await committed(journal, lastSeq);
}

/** Appends until it holds; throws after a while. */
async function appendUntil(holds: () => boolean, count: number): Promise<void> {
  const deadlineMs = performance.now() + 20_000;
  while (!holds()) {
    if (performance.now() > deadlineMs) throw new Error(`did not come to be; files: ${readdirSync(place.folder).join(" ")}`);
    await append(count);
  }
}

test("what a reader held while it was sealed needs no log once the next segment has ended", { timeout: 60_000 }, async () => {
  await append(1);
  const [first = ""] = filesLike(/^observations-\d+\.sqlite$/);
  const reader = new Database(join(place.folder, first), { readonly: true });
  try {
    // Nobody can take a segment out of write-ahead mode while this is going on.
    reader.exec("BEGIN");
    reader.prepare("SELECT count(*) FROM sqlite_schema").get();
    await appendUntil(() => segmentCount() >= 3, BATCH_RECORDS);
    // Long enough that it was tried, and that others could be taken out of it.
    await appendUntil(() => logCount() <= 3, 1);
    expect(filesLike(/-wal$/)).toContain(`${first}-wal`);
  } finally {
    reader.close();
  }
  expect(filesLike(/-wal$/)).toContain(`${first}-wal`);
  const endedCount = segmentCount();
  await appendUntil(() => segmentCount() > endedCount, BATCH_RECORDS);
  await appendUntil(() => !filesLike(/-wal$/).includes(`${first}-wal`), 1);
});
