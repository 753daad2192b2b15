import { execFileSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { LIMITS } from "../../src/core/limits.ts";
import type { JournalRecord } from "../../src/core/record.ts";
import { boundAsides, bytesOfAsides, dropOldestAside, listAsides } from "../../src/journal/damaged-asides.ts";
import { replaceDamaged } from "../../src/journal/replace-file.ts";
import { committed, flipBytes, openOrFail, readAll, sealKept, sealNewest, temporaryFolder } from "../support/journal-folder.ts";
import { alertOf, observationOf } from "../support/journal-records.ts";
import { until } from "../support/until.ts";

const isRoot = process.getuid?.() === 0;
if (!isRoot) process.stderr.write("NOT TESTED: damaged files on a full disk, because only root may mount one\n");

let place = temporaryFolder();
beforeEach(() => {
  place = temporaryFolder();
});
afterEach(() => place.remove());

const asidesIn = (folder: string) => readdirSync(folder).filter((name) => name.endsWith(".damaged"));
const segmentsIn = (folder: string) => readdirSync(folder).filter((name) => /^observations-\d+\.sqlite$/.test(name));
const settled = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** A journal of sealed segments of so many observations each, every one with a context of its own, and 30 alerts behind each. */
async function makeSegments(folder: string, count: number, observations: number): Promise<number> {
  let next = 1;
  for (let segment = 0; segment < count; segment++) {
    const journal = await openOrFail(folder);
    const records: JournalRecord[] = [];
    for (const end = next + observations; next < end; next++)
      records.push(observationOf({ seq: next, device: `monitor-${next}`, value: next / 7 }));
    for (const end = next + 30; next < end; next++) records.push(alertOf({ seq: next, id: `a${next}`, state: "ended" }));
    journal.append(records);
    await committed(journal, next - 1);
    await journal.close();
    sealNewest(folder);
  }
  return next - 1;
}

describe("a damaged file under its second name", () => {
  test("is not there where the new file could not be made, however often that is tried", () => {
    const path = join(dirname(place.folder), "observations-0000000000000001.sqlite");
    for (const ending of ["", "-wal"]) writeFileSync(path + ending, `damaged${ending}`);
    const before = readdirSync(dirname(path)).sort();
    for (let round = 0; round < 3; round++) {
      const make = (newPath: string) => {
        writeFileSync(newPath, "half");
        throw new Error("no room");
      };
      expect(() => replaceDamaged(path, make)).toThrow("no room");
      expect(readdirSync(dirname(path)).sort()).toEqual(before);
    }
    expect(statSync(path).nlink).toBe(1);
    const aside = replaceDamaged(path, (newPath) => writeFileSync(newPath, "new"));
    expect([aside, readFileSync(path, "utf8"), existsSync(`${path}-wal`)]).toEqual([`${path}.damaged`, "new", false]);
    expect([readFileSync(aside, "utf8"), readFileSync(`${aside}-wal`, "utf8")]).toEqual(["damaged", "damaged-wal"]);
    expect(replaceDamaged(path, (newPath) => writeFileSync(newPath, "newer"))).toBe(`${path}.2.damaged`);
  });

  test("left by a crash before the new file counted is used again", () => {
    const path = join(dirname(place.folder), "observations-0000000000000001.sqlite");
    writeFileSync(path, "damaged");
    execFileSync("ln", [path, `${path}.damaged`]);
    expect(replaceDamaged(path, (newPath) => writeFileSync(newPath, "new"))).toBe(`${path}.damaged`);
    expect(asidesIn(dirname(path))).toHaveLength(1);
  });

  test("is kept up to the bound, the oldest goes first, what was set aside whole goes later, and what may hold alerts last", async () => {
    const folder = dirname(place.folder);
    const bound = LIMITS.journalAsidesMax.value;
    writeFileSync(join(folder, "kept.sqlite.damaged"), "1");
    writeFileSync(join(folder, "observations-9.sqlite.damaged"), "12345");
    for (let number = 1; number <= bound + 2; number++) {
      const path = join(folder, `observations-${bound + 3 - number}.sqlite`);
      writeFileSync(path, "in use");
      writeFileSync(`${path}.damaged`, "1234567");
      writeFileSync(`${path}.damaged-wal`, "123");
      utimesSync(`${path}.damaged`, 1, 1);
      await settled(15);
      if (number !== bound) continue;
      boundAsides(folder);
      expect(asidesIn(folder)).toHaveLength(bound + 2);
    }
    expect(bytesOfAsides(folder)).toBe(6 + (bound + 2) * 10);
    boundAsides(folder);
    const newest = Array.from({ length: bound }, (_, index) => `observations-${bound - index}.sqlite.damaged`);
    expect(listAsides(folder)).toEqual([...newest, "observations-9.sqlite.damaged", "kept.sqlite.damaged"]);
    expect(readdirSync(folder).filter((name) => name.endsWith("-wal"))).toHaveLength(bound);
    for (let number = 0; number < bound; number++) expect(dropOldestAside(folder)).toBe(10);
    expect([dropOldestAside(folder), dropOldestAside(folder), dropOldestAside(folder)]).toEqual([5, 1, null]);
    expect(segmentsIn(folder)).toHaveLength(bound + 2);
  });
});

test("the byte budget counts damaged files that were kept aside, and they go before any segment", async () => {
  const last = await makeSegments(place.folder, 2, 3000);
  const [first = ""] = segmentsIn(place.folder);
  flipBytes(join(place.folder, first), 0, 100);
  const bytes = segmentsIn(place.folder).map((file) => statSync(join(place.folder, file)).size);
  const keptBytes = statSync(join(place.folder, "kept.sqlite")).size;
  const sum = keptBytes + bytes.reduce((all, one) => all + one, 0);
  // Room for both segments, but not for the damaged one as well.
  const journal = await openOrFail(place.folder, { bytesMax: sum + 150_000 });
  const losses: unknown[] = [];
  journal.onLoss((loss) => losses.push(loss));
  expect(journal.faultsAtOpen.map((found) => found.facts["file"])).toEqual([join(place.folder, `${first}.damaged`)]);
  await until("the damaged file is gone", () => asidesIn(place.folder).length === 0);
  expect(bytes[0]).toBeGreaterThan(150_000);
  expect(await readAll(journal)).toHaveLength(last);
  expect([segmentsIn(place.folder).length, losses]).toEqual([2, []]);
  await journal.close();
});

describe.skipIf(!isRoot)("on a disk that is full", () => {
  let disk = "";
  beforeEach(() => {
    disk = join(dirname(place.folder), "disk");
    mkdirSync(disk);
    execFileSync("/bin/mount", ["-t", "tmpfs", "-o", "size=4m", "tmpfs", disk]);
  });
  afterEach(() => execFileSync("/bin/umount", ["-l", disk]));

  /** Takes what is left of the disk but for so many bytes. */
  function fillBut(leftBytes: number): void {
    const spare = join(disk, "spare");
    writeFileSync(spare, Buffer.alloc(leftBytes, 1));
    for (let bytes = 1 << 20, part = 0; bytes >= 4096; part++) {
      const path = join(disk, `filler-${part}`);
      try {
        writeFileSync(path, Buffer.alloc(bytes, 1));
      } catch {
        rmSync(path, { force: true });
        bytes /= 2;
      }
    }
    rmSync(spare);
  }

  test("a damaged segment is set aside whole, the journal opens, an alert is durable and nothing is made again and again", {
    timeout: 30_000,
  }, async () => {
    const last = await makeSegments(place.folder, 2, 4000);
    const folder = join(disk, "journal");
    cpSync(place.folder, folder, { recursive: true });
    rmSync(join(folder, "reserve.bin"), { force: true });
    const [first = ""] = segmentsIn(folder);
    flipBytes(join(folder, first), 0, 100);
    expect(statSync(join(folder, first)).size).toBeGreaterThan(200_000);
    fillBut(160_000);
    const journal = await openOrFail(folder);
    expect(journal.faultsAtOpen.map((found) => found.facts["file"])).toEqual([join(folder, `${first}.damaged`)]);
    const losses: { readonly fromSeq: number; readonly toSeq: number; readonly count: number }[] = [];
    journal.onLoss((loss) => losses.push(loss));
    journal.append([alertOf({ seq: journal.lastSeqAtOpen + 1, id: "now" })]);
    await committed(journal, journal.lastSeqAtOpen + 1);
    expect(journal.lastSeqAtOpen).toBe(last);
    await settled(2500);
    expect(asidesIn(folder).length).toBeLessThanOrEqual(1);
    // The alerts of that time are in the kept file.
    const there = new Set((await readAll(journal)).map((record) => record.seq as number));
    expect(losses.reduce((sum, loss) => sum + loss.count, there.size)).toBeGreaterThanOrEqual(last + 1);
    expect([there.has(4001), there.has(4000), there.has(4031)]).toEqual([true, false, true]);
    for (let number = 1; number <= 4000; number++)
      if (!losses.some((loss) => loss.fromSeq <= number && loss.toSeq >= number)) throw new Error(`${number} is in no loss`);
    await journal.close();
  });

  test("a damaged kept file costs the oldest segment where there is no other room for a new one", {
    timeout: 30_000,
  }, async () => {
    await makeSegments(place.folder, 2, 4000);
    const made = await openOrFail(place.folder);
    const first = made.lastSeqAtOpen + 1;
    made.append(Array.from({ length: 500 }, (_, index) => alertOf({ seq: first + index, id: `b${index}`, state: "ended" })));
    await committed(made, first + 499);
    await made.close();
    const folder = join(disk, "journal");
    cpSync(place.folder, folder, { recursive: true });
    rmSync(join(folder, "reserve.bin"), { force: true });
    const bytes = readFileSync(join(folder, "kept.sqlite"));
    expect(bytes.length).toBeGreaterThan(200_000);
    // The head of one page of alerts; the epoch and almost all records can be read.
    flipBytes(join(folder, "kept.sqlite"), Math.floor(bytes.length / 2 / 1024) * 1024, 8);
    fillBut(160_000);
    const journal = await openOrFail(folder);
    journal.append([alertOf({ seq: journal.lastSeqAtOpen + 1, id: "now" })]);
    await committed(journal, journal.lastSeqAtOpen + 1);
    expect(segmentsIn(folder)).toEqual(segmentsIn(place.folder).slice(1));
    expect((await readAll(journal)).filter((record) => record.kind === "alert").length).toBeGreaterThan(500);
    await journal.close();
  });

  test("a damaged file of sealed alerts stays as it is until there is room, and the journal opens", {
    timeout: 30_000,
  }, async () => {
    const last = 900;
    const made = await openOrFail(place.folder);
    made.append(Array.from({ length: last }, (_, index) => alertOf({ seq: 1 + index, id: `a${index}`, state: "ended" })));
    await committed(made, last);
    await made.close();
    sealKept(place.folder);
    const folder = join(disk, "journal");
    cpSync(place.folder, folder, { recursive: true });
    rmSync(join(folder, "reserve.bin"), { force: true });
    const file = readdirSync(folder).find((name) => name.startsWith("kept-")) ?? "";
    // What the file says of itself does not fit its check sum any more; its records can be read.
    const bytes = readFileSync(join(folder, file));
    expect(bytes.length).toBeGreaterThan(200_000);
    flipBytes(join(folder, file), bytes.indexOf('"highestSeq"') + 2, 1);
    fillBut(160_000);
    const journal = await openOrFail(folder);
    journal.append([alertOf({ seq: journal.lastSeqAtOpen + 1, id: "now" })]);
    await settled(2500);
    expect([journal.lastSeqAtOpen, asidesIn(folder).length]).toEqual([last, 0]);
    expect(journal.faultsAtOpen.map((found) => [found.code, found.facts["file"]])).toEqual([
      ["journal-damaged", join(folder, file)],
    ]);
    expect(journal.committedSeq()).toBe(last + 1);
    expect(await readAll(journal)).toHaveLength(last + 1);
    await journal.close();
    for (const name of readdirSync(disk).filter((one) => one.startsWith("filler"))) rmSync(join(disk, name));
    const again = await openOrFail(folder);
    const losses: unknown[] = [];
    again.onLoss((loss) => losses.push(loss));
    expect(again.faultsAtOpen.map((found) => found.facts["file"])).toEqual([join(folder, `${file}.damaged`)]);
    expect([(await readAll(again)).length, losses]).toEqual([last + 1, []]);
    await again.close();
  });
});
