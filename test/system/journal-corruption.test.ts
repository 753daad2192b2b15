import { closeSync, cpSync, openSync, readdirSync, readSync, rmSync, statSync, writeSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { JournalRecord } from "../../src/core/record.ts";
import { wallMs } from "../../src/core/time.ts";
import { SegmentWriter, settleSealed } from "../../src/journal/segment-file.ts";
import { committed, openOrFail, readAll, temporaryFolder } from "../support/journal-folder.ts";
import { actOf, alertOf, BASE_MS, observationOf } from "../support/journal-records.ts";

const ROUNDS = 140;
const SEED = 4099;
const place = temporaryFolder();
const original = `${place.folder}-original`;
const written = new Map<number, JournalRecord>();

beforeAll(async () => {
  for (let segment = 0; segment < 3; segment++) {
    const journal = await openOrFail(original);
    const first = segment * 600 + 1;
    for (let number = first; number < first + 600; number++) {
      const record =
        number % 20 === 0
          ? alertOf({ seq: number, id: `a${number}` })
          : number % 33 === 0
            ? actOf({ seq: number })
            : observationOf({ seq: number });
      written.set(number, record);
      journal.append([record]);
      if (number % 60 === 0) await committed(journal, number);
    }
    await committed(journal, first + 599);
    await journal.close();
    const newest =
      readdirSync(original)
        .filter((name) => name.endsWith(".sqlite") && name.startsWith("observations"))
        .sort()
        .at(-1) ?? "";
    if (segment === 2) continue;
    new SegmentWriter(join(original, newest), 0, { check: false }).seal();
    settleSealed(join(original, newest));
  }
});

afterAll(() => {
  place.remove();
  rmSync(original, { recursive: true, force: true });
});

/** Mulberry32. */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

function changeOneByte(random: () => number): string {
  const files = readdirSync(place.folder).filter((name) => name.endsWith(".sqlite") && name !== "lock.sqlite");
  const file = files[Math.floor(random() * files.length)] ?? "";
  const path = join(place.folder, file);
  const at = Math.floor(random() * statSync(path).size);
  const opened = openSync(path, "r+");
  const byte = Buffer.alloc(1);
  readSync(opened, byte, 0, 1, at);
  byte[0] = (byte[0] ?? 0) ^ (1 << Math.floor(random() * 8));
  writeSync(opened, byte, 0, 1, at);
  closeSync(opened);
  return `${file} byte ${at}`;
}

describe("one flipped bit anywhere", () => {
  test(`${ROUNDS} times: the journal opens, shows nothing false, and tells what is missing`, { timeout: 300_000 }, async () => {
    const random = randomFrom(SEED);
    for (let round = 0; round < ROUNDS; round++) {
      cpSync(original, place.folder, { recursive: true });
      const where = `round ${round}, seed ${SEED}: ${changeOneByte(random)}`;
      const journal = await openOrFail(place.folder);
      let told = journal.faultsAtOpen.length;
      journal.onLoss(() => {
        told += 1;
      });
      const found = await readAll(journal);
      for (const record of found) expect(record, where).toEqual(written.get(record.seq));
      if (found.length < written.size) expect(told, where).toBeGreaterThan(0);
      await journal.openAlerts();
      await journal.trend({
        patientId: "patient-1",
        quantity: "heartRate",
        fromMs: wallMs(BASE_MS),
        toMs: wallMs(BASE_MS + 1e6),
        pointsMax: 20,
      });
      const next = journal.lastSeqAtOpen + 1;
      journal.append([alertOf({ seq: next, id: "after" })]);
      await committed(journal, next);
      await journal.close();
      rmSync(place.folder, { recursive: true, force: true });
    }
  });
});
