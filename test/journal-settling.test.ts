import { readdirSync } from "node:fs";
import { afterEach, beforeEach, expect, test } from "vitest";
import { seq } from "../src/core/ids.ts";
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

test("what a reader held while it was sealed needs no log once the next segment has ended", { timeout: 60_000 }, async () => {
  // The reader has each ended segment open again before it can be taken out of write-ahead mode.
  while (segmentCount() < 4) {
    await append(BATCH_RECORDS);
    for (let afterSeq = 0; afterSeq < lastSeq; afterSeq += BATCH_RECORDS)
      await journal.read({ afterSeq: seq(afterSeq), limit: 1 });
  }
  const held = logCount() - 1;
  expect(held).toBeGreaterThan(0);
  while (segmentCount() < 5) await append(BATCH_RECORDS);
  const deadlineMs = performance.now() + 10_000;
  while (logCount() > 1 && performance.now() < deadlineMs) await append(1);
  expect(logCount(), `${held} segments were held`).toBe(1);
});
