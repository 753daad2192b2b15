import { cpSync, mkdirSync, readdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { endObeying, type ObeyingJournal, openObeying, viewFromOutside, wardRecordOf } from "../support/journal-commands.ts";
import { committed, openOrFail, sealKept, sealNewest } from "../support/journal-folder.ts";
import { compilerIsMissing, openPowerDisk, type PowerDisk } from "../support/power-disk.ts";
import { RecordHasher } from "../support/record-ledger.ts";
import { openStage, type Stage } from "../support/stage.ts";
import { until } from "../support/until.ts";
import { chunkOf } from "../support/wave-records.ts";

/** Two lives of so many records each; the first one is sealed away, its alerts too. */
const LIFE_RECORDS = 2100;
const LAST_SEQ = 2 * LIFE_RECORDS;
const CHUNKS = 150;
/** What the kernel reads at once, and a disk gives back or does not. */
const SECTOR_BYTES = 4096;
/** A sector of a file holds at most so many alerts, or records of a segment, with those that only half lie in it. */
const ALERTS_LOST_MAX = 20;
const OBSERVATIONS_LOST_MAX = 600;

const hasher = new RecordHasher();
const HASHES = new Map(Array.from({ length: LAST_SEQ + 400 }, (_, index) => [index + 1, hasher.of(wardRecordOf(index + 1))]));

let patternStage: Stage;
let stage: Stage;
let disk: PowerDisk;
let folder = "";

/** Makes the journal twice: `closed` in good order, and `cut-off` as it lies there when its process is killed. */
beforeAll(async () => {
  if (compilerIsMissing) return;
  patternStage = await openStage();
  const making = join(patternStage.folder, "making");
  for (let life = 0; life < 2; life++) {
    const journal = await openOrFail(making);
    for (let index = 0; index < CHUNKS; index++) journal.recordWaves([chunkOf({ index: life * CHUNKS + index })]);
    for (let count = 0; count < LIFE_RECORDS; count += 30) {
      const from = life * LIFE_RECORDS + count + 1;
      journal.append(Array.from({ length: 30 }, (_, index) => wardRecordOf(from + index)));
      await committed(journal, from + 29);
    }
    if (life === 1) cpSync(making, join(patternStage.folder, "cut-off"), { recursive: true });
    await journal.close();
    if (life === 0) {
      sealNewest(making);
      sealKept(making);
    }
  }
  cpSync(making, join(patternStage.folder, "closed"), { recursive: true });
}, 60_000);

afterAll(() => patternStage?.close());

beforeEach(async () => {
  stage = await openStage();
});

afterEach(async () => {
  endObeying();
  await stage.close();
});

function lay(pattern: "closed" | "cut-off"): void {
  const watched = join(stage.folder, "watched");
  mkdirSync(watched);
  folder = join(watched, "journal");
  cpSync(join(patternStage.folder, pattern), folder, { recursive: true });
  rmSync(join(folder, "lock.pid"), { force: true });
  for (const name of readdirSync(folder)) if (name.endsWith("-shm")) rmSync(join(folder, name));
  disk = openPowerDisk(stage, watched);
}

type Place = "first" | "middle";

/** The names of the files, which begin with the number of their first record. */
const FILES = {
  kept: () => "kept.sqlite",
  keptLog: () => "kept.sqlite-wal",
  sealed: () => named("observations-")[0],
  active: () => named("observations-")[1],
  activeLog: () => `${named("observations-")[1]}-wal`,
  sealedKept: () => named("kept-")[0],
  waves: () => waveFiles()[0],
  laterWaves: () => waveFiles()[1],
} as const;

function waveFiles(): string[] {
  return readdirSync(join(folder, "waves"))
    .filter((name) => name.endsWith(".bin") && statSync(join(folder, "waves", name)).size > 0)
    .sort()
    .map((name) => join("waves", name));
}

function named(beginning: string): string[] {
  return readdirSync(folder)
    .filter((name) => name.startsWith(beginning) && name.endsWith(".sqlite"))
    .sort();
}

function spoil(file: keyof typeof FILES, place: Place): void {
  const name = FILES[file]() ?? "";
  const sectors = Math.ceil(statSync(join(folder, name)).size / SECTOR_BYTES);
  expect(sectors, name).toBeGreaterThan(2);
  const sector = { first: 0, middle: Math.floor(sectors / 2) }[place];
  disk.spoil({ file: join("journal", name), fromByte: sector * SECTOR_BYTES, bytes: SECTOR_BYTES });
}

const covers = (ranges: readonly (readonly [number, number])[], number: number) =>
  ranges.some(([from, to]) => from <= number && number <= to);

/** Waits until each record is there or told as lost, and looks at everything else a journal must still do. */
async function expectAllThere(
  journal: ObeyingJournal,
  lastSeq: number,
  about: string,
): Promise<{ readonly alertsLost: number; readonly othersLost: number }> {
  const lacking = async () => {
    const records = await journal.read();
    const said = await journal.told();
    for (const [number, hash] of records) expect(hash, `${about}: record ${number} is as it was`).toBe(HASHES.get(number));
    const seqs = records.map(([number]) => number);
    expect(seqs, `${about}: in order and once`).toEqual([...new Set(seqs)].sort((one, other) => one - other));
    const present = new Set(seqs);
    const missing = [...HASHES.keys()].filter((number) => number <= lastSeq && !present.has(number));
    const ranges = said.losses.filter(({ what }) => what === "records").map(({ from, to }) => [from, to] as const);
    const { leftOutAtOpen } = journal.opened;
    if (leftOutAtOpen !== null) ranges.push([leftOutAtOpen.from, leftOutAtOpen.to]);
    return { missing, untold: missing.filter((number) => !covers(ranges, number)), said };
  };
  const found = await until(
    `${about}: each missing record is told`,
    async () => {
      const now = await lacking();
      return now.untold.length === 0 ? now : null;
    },
    12_000,
  );
  if (found.missing.length > 0)
    expect(
      found.said.faults.map(({ code }) => code),
      about,
    ).toContain("journal-damaged");
  const isKept = (number: number) => number % 7 === 0 || number % 50 === 0;
  const look = await journal.look();
  expect(look.back, about).toBe(50);
  expect(Math.min(look.trend, look.latest), about).toBeGreaterThan(0);
  return {
    alertsLost: found.missing.filter(isKept).length,
    othersLost: found.missing.filter((number) => !isKept(number)).length,
  };
}

/** The journal goes on and says of itself what is so, and once more after another start, which finds nothing new. */
async function expectGoesOn(journal: ObeyingJournal, lastSeq: number, about: string): Promise<void> {
  const from = Math.max(journal.opened.leftOutAtOpen?.to ?? 0, lastSeq) + 1;
  await journal.append(from, 60);
  await journal.committed(from + 59);
  const numbers = (await journal.read()).map(([number]) => number).filter((number) => number >= from);
  expect(numbers, about).toEqual(Array.from({ length: 60 }, (_, index) => from + index));
  await journal.close();
  const seen = viewFromOutside(folder, disk.env);
  expect([seen.fault, seen.damaged], about).toEqual([undefined, []]);
  const known = [...seen.losses, ...seen.leftOut, ...seen.records.map((number) => [number, number] as const)].sort(
    ([one], [other]) => one - other,
  );
  let reached = 0;
  for (const [first, last] of known) {
    expect(first, `${about}: between ${reached} and ${first} something is missing without a word`).toBeLessThanOrEqual(
      reached + 1,
    );
    reached = Math.max(reached, last);
  }
  const again = await openObeying(folder, disk.env);
  const said = await again.told();
  expect(said.faults, `${about}, opened again`).toEqual([]);
  await again.close();
}

const WITHIN_MS = 8000;

describe.skipIf(compilerIsMissing)("sectors that the disk does not give back", () => {
  test.each([
    ["closed", "kept", "first", { alerts: ALERTS_LOST_MAX, others: 0 }],
    ["closed", "kept", "middle", { alerts: ALERTS_LOST_MAX, others: 0 }],
    ["cut-off", "keptLog", "middle", { alerts: ALERTS_LOST_MAX, others: 0 }],
    ["cut-off", "keptLog", "first", { alerts: ALERTS_LOST_MAX, others: 0 }],
    // There a segment keeps to whom its observations belong.
    ["closed", "sealed", "first", { alerts: 0, others: LIFE_RECORDS }],
    ["closed", "sealed", "middle", { alerts: 0, others: OBSERVATIONS_LOST_MAX }],
    ["closed", "active", "middle", { alerts: 0, others: OBSERVATIONS_LOST_MAX }],
    ["cut-off", "activeLog", "middle", { alerts: 0, others: OBSERVATIONS_LOST_MAX }],
    ["closed", "sealedKept", "middle", { alerts: ALERTS_LOST_MAX, others: 0 }],
  ] as const)(
    "at the start, of a journal that was %s, in its %s file, %s: the rest is used, the loss is told, it goes on",
    async (pattern, file, place, most) => {
      lay(pattern);
      spoil(file, place);
      const about = `${pattern} ${file} ${place}`;
      const outside = viewFromOutside(folder, disk.env);
      expect(
        outside.fault !== undefined || outside.damaged.length > 0 || outside.records.length < LAST_SEQ || file === "keptLog",
        about,
      ).toBe(true);
      const journal = await openObeying(folder, disk.env);
      expect(journal.opened.openMs, about).toBeLessThan(WITHIN_MS);
      const lost = await expectAllThere(journal, LAST_SEQ, about);
      expect(disk.readsFailed(), about).toBeGreaterThan(0);
      expect(lost.alertsLost, about).toBeLessThanOrEqual(most.alerts);
      expect(lost.othersLost, about).toBeLessThanOrEqual(most.others);
      await expectGoesOn(journal, LAST_SEQ, about);
    },
  );

  test.each([
    ["kept", "first"],
    ["kept", "middle"],
    ["keptLog", "middle"],
    ["sealed", "middle"],
    ["active", "middle"],
    ["activeLog", "middle"],
    ["sealedKept", "middle"],
  ] as const)("in use, in the %s file, %s: the rest is used, the loss is told, it goes on", async (file, place) => {
    lay("closed");
    const journal = await openObeying(folder, disk.env);
    const from = Math.max(journal.opened.leftOutAtOpen?.to ?? 0, LAST_SEQ) + 1;
    for (let next = from; next < from + 240; next += 20) {
      await journal.append(next, 20);
      await journal.committed(next + 19);
    }
    spoil(file, place);
    const about = `in use, ${file} ${place}`;
    const lost = await expectAllThere(journal, from + 239, about);
    expect(lost.alertsLost + lost.othersLost, about).toBeLessThan(OBSERVATIONS_LOST_MAX);
    await expectGoesOn(journal, from + 239, about);
  });

  test("in a file of waves: the chunks around it are shown, the others told as lost, at the start and in use", async () => {
    lay("closed");
    const first = await openObeying(folder, disk.env);
    await until("all chunks are shown", async () => (await first.waves()).chunks === 2 * CHUNKS);
    spoil("waves", "middle");
    const lost = await until("the loss is told", async () => {
      await first.waves();
      return (await first.told()).losses.find(({ what }) => what === "waveforms");
    });
    const found = { lost, chunks: (await first.waves()).chunks };
    expect(found.chunks).toBeLessThan(2 * CHUNKS);
    expect(found.chunks).toBeGreaterThan(2 * CHUNKS - 20);
    expect(found.lost.count).toBeGreaterThanOrEqual(2 * CHUNKS - found.chunks);
    await first.close();
    spoil("laterWaves", "first");
    const second = await openObeying(folder, disk.env);
    await until("the second loss is told as well", async () =>
      (await second.told()).losses.some(({ what, from }) => what === "waveforms" && from !== found.lost.from),
    );
    expect((await second.waves()).chunks).toBeGreaterThan(2 * CHUNKS - 30);
    await second.close();
  });
});

/** The disk is away for so long. */
const AWAY_MS = 2500;

describe.skipIf(compilerIsMissing)("a disk that gives nothing back for a while", () => {
  const asides = () => readdirSync(folder).filter((name) => name.includes(".damaged"));

  test.each([
    ["reads and writes", { reads: true, writes: true }],
    ["reads alone", { reads: true, writes: false }],
  ])("in use, %s: nothing is taken for damaged, and all is there when it is back", async (what, away) => {
    lay("closed");
    const journal = await openObeying(folder, disk.env);
    const from = Math.max(journal.opened.leftOutAtOpen?.to ?? 0, LAST_SEQ) + 1;
    await journal.append(from, 60);
    await journal.committed(from + 59);
    disk.takeAway(away);
    const reading = journal.read();
    await journal.append(from + 60, 60);
    await new Promise((resolve) => setTimeout(resolve, AWAY_MS));
    disk.takeAway({ reads: false, writes: false });
    await journal.committed(from + 119);
    expect((await reading).length, what).toBeGreaterThanOrEqual(LAST_SEQ);
    expect(await expectAllThere(journal, from + 119, what)).toEqual({ alertsLost: 0, othersLost: 0 });
    const said = await journal.told();
    expect(said.losses, what).toEqual([]);
    expect(
      said.faults.map(({ code }) => code),
      what,
    ).not.toContain("journal-damaged");
    if (away.writes)
      expect(
        said.faults.map(({ code }) => code),
        what,
      ).toContain("journal-write-failed");
    expect(asides(), what).toEqual([]);
    expect(disk.readsFailed(), what).toBeGreaterThan(0);
    await expectGoesOn(journal, from + 119, what);
  });

  test.each([
    ["reads and writes", { reads: true, writes: true }],
    ["reads alone", { reads: true, writes: false }],
  ])("at the start, %s: nothing is taken for damaged, and the next start finds all of it", async (what, away) => {
    lay("closed");
    disk.takeAway(away);
    const without = await openObeying(folder, disk.env);
    expect(
      (await without.told()).faults.map(({ code }) => code),
      what,
    ).toEqual(["journal-write-failed"]);
    await new Promise((resolve) => setTimeout(resolve, AWAY_MS));
    disk.takeAway({ reads: false, writes: false });
    // It tries to open the files again meanwhile, and finds that they belong to another life than the one it began without them.
    await new Promise((resolve) => setTimeout(resolve, 1500));
    endObeying();
    expect(asides(), what).toEqual([]);
    const journal = await openObeying(folder, disk.env);
    expect((await journal.told()).faults, what).toEqual([]);
    expect(await expectAllThere(journal, LAST_SEQ, what)).toEqual({ alertsLost: 0, othersLost: 0 });
    await expectGoesOn(journal, LAST_SEQ, what);
  });
});
