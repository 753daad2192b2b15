import { execFileSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { seq } from "../../src/core/ids.ts";
import { LIMITS } from "../../src/core/limits.ts";
import type { Journal } from "../../src/core/ports.ts";
import { wallMs } from "../../src/core/time.ts";
import { committed, flipBytes, openOrFail, readAll } from "../support/journal-folder.ts";
import { actOf, alertOf, BASE_MS, observationOf } from "../support/journal-records.ts";
import { fillDisk } from "../support/small-disk.ts";
import { until } from "../support/until.ts";

const isRoot = process.getuid?.() === 0;
if (!isRoot) process.stderr.write("NOT TESTED: disks that cannot be written or are away, because only root may mount one\n");

const RESERVED = LIMITS.journalNumbersReserved.value;

let place = "";
let disk = "";
let mounts = 0;

beforeEach(() => {
  place = mkdtempSync(join(tmpdir(), "vigil-away-"));
  disk = join(place, "disk");
  mkdirSync(disk);
});

afterEach(() => {
  for (; mounts > 0; mounts--) execFileSync("umount", ["-l", disk]);
  rmSync(place, { recursive: true, force: true });
});

function mount(...args: readonly string[]): void {
  execFileSync("mount", [...args, disk]);
  mounts += 1;
}

function unmount(): void {
  execFileSync("umount", ["-l", disk]);
  mounts -= 1;
}

function remount(options: string): void {
  execFileSync("mount", ["-o", `remount,${options}`, disk]);
}

/** What the journal says of its health from its opening on. */
function watch(journal: Journal): string[] {
  const states: string[] = [];
  journal.onHealth((health) => states.push(health.state === "failing" ? health.fault.code : health.state));
  return states;
}

const RECORDS = [
  ...Array.from({ length: 40 }, (_, index) => observationOf({ seq: index + 1, patient: "patient-1" })),
  actOf({ seq: 41 }),
  alertOf({ seq: 42, id: "open" }),
  alertOf({ seq: 43, id: "over" }),
  alertOf({ seq: 44, id: "over", state: "ended" }),
  observationOf({ seq: 45 }),
];

/** Makes the journal with some records; `closed` says whether in good order or as a power cut leaves it. */
async function fill(folder: string, closed: boolean): Promise<string> {
  const making = `${place}/making`;
  const journal = await openOrFail(making);
  journal.append(RECORDS);
  journal.release("upstream:hospital", { epoch: journal.epoch, upTo: seq(30), open: [] });
  await committed(journal, 45);
  await new Promise((resolve) => setTimeout(resolve, LIMITS.journalCursorMsMax.value + 300));
  if (!closed) cpSync(making, folder, { recursive: true });
  await journal.close();
  if (closed) cpSync(making, folder, { recursive: true });
  return journal.epoch;
}

/** Everything a gateway asks when it starts, and that a new life's numbers are far beyond any that can have been given. */
async function expectAllRead(journal: Journal, epoch: string, endedBefore: Journal["endedBefore"]): Promise<number> {
  expect([journal.epoch, journal.lastSeqAtOpen, journal.endedBefore]).toEqual([epoch, 45, endedBefore]);
  expect(await readAll(journal)).toEqual(RECORDS);
  expect((await journal.openAlerts()).map((alert) => alert.id)).toEqual(["open"]);
  expect(await journal.cursor("upstream:hospital")).toEqual({ epoch, upTo: 30, open: [] });
  expect((await journal.readBack({ upToSeq: seq(45), limit: 5 })).map((record) => record.seq)).toEqual([37, 38, 39, 40, 45]);
  const latest = await journal.latestObservations({ sinceMs: wallMs(BASE_MS), quantities: ["heartRate"] });
  expect(latest.length).toBeGreaterThan(0);
  expect(journal.leftOutAtOpen?.from).toBe(46);
  const before = journal.leftOutAtOpen?.to ?? 0;
  expect(before).toBeGreaterThanOrEqual(3 * RESERVED);
  expect(before).toBeLessThan(2 ** 52);
  return before + 1;
}

describe.skipIf(!isRoot)("a journal that cannot be written when the gateway starts", () => {
  for (const closed of [true, false]) {
    test(`on a read-only disk, ${closed ? "closed" : "cut off"} before: all is read, and goes on being written when it can be`, async () => {
      mount("-t", "tmpfs", "-o", "size=20m", "tmpfs");
      const folder = join(disk, "journal");
      const epoch = await fill(folder, closed);
      remount("ro");
      const journal = await openOrFail(folder);
      const states = watch(journal);
      expect(states).toEqual(["journal-write-failed"]);
      const next = await expectAllRead(journal, epoch, closed ? "closed" : "cut-off");
      journal.append([observationOf({ seq: next }), alertOf({ seq: next + 1, id: "new" })]);
      await new Promise((resolve) => setTimeout(resolve, 1500));
      expect([journal.committedSeq(), states]).toEqual([45, ["journal-write-failed"]]);
      remount("rw");
      await committed(journal, next + 1);
      expect(states).toEqual(["journal-write-failed", "working"]);
      expect((await readAll(journal)).map((record) => record.seq as number).slice(-3)).toEqual([45, next, next + 1]);
      await journal.close();
      const after = await openOrFail(folder);
      const losses: unknown[] = [];
      after.onLoss((loss) => losses.push(loss));
      expect([after.epoch, after.lastSeqAtOpen, after.endedBefore, after.leftOutAtOpen]).toEqual([
        epoch,
        next + 1,
        "closed",
        null,
      ]);
      expect(losses).toEqual([]);
      expect(await readAll(after)).toHaveLength(47);
      await after.close();
    });
  }

  test("on a full disk: all is read, and goes on being written when there is room", async () => {
    mount("-t", "tmpfs", "-o", "size=4m", "tmpfs");
    const folder = join(disk, "journal");
    const epoch = await fill(folder, true);
    rmSync(join(folder, "reserve.bin"), { force: true });
    const free = fillDisk(disk);
    const journal = await openOrFail(folder);
    const states = watch(journal);
    expect(states).toEqual(["journal-disk-full"]);
    const next = await expectAllRead(journal, epoch, "closed");
    journal.append([alertOf({ seq: next, id: "new" })]);
    free();
    await committed(journal, next);
    expect(states).toEqual(["journal-disk-full", "working"]);
    expect(await readAll(journal)).toHaveLength(46);
    await journal.close();
  });

  test("on a disk that others filled while it was off: the room in reserve opens it", async () => {
    mount("-t", "tmpfs", "-o", "size=4m", "tmpfs");
    const folder = join(disk, "journal");
    const epoch = await fill(folder, true);
    fillDisk(disk);
    const journal = await openOrFail(folder);
    expect([journal.epoch, watch(journal)[0]]).toEqual([epoch, "journal-disk-full"]);
    const next = (journal.leftOutAtOpen?.to ?? 0) + 1;
    journal.append([alertOf({ seq: next, id: "new" })]);
    await committed(journal, next);
    await journal.close();
  });

  test("on a disk that is not there: an epoch of its own; where the disk comes empty, the journal is made with it", async () => {
    // A file stands where the disk's folder will be: nothing can be made or read there.
    const folder = join(place, "missing", "journal");
    writeFileSync(join(place, "missing"), "");
    const journal = await openOrFail(folder);
    const states = watch(journal);
    expect([states, journal.lastSeqAtOpen, journal.endedBefore]).toEqual([["journal-write-failed"], 0, "first"]);
    journal.append([observationOf({ seq: 1 }), alertOf({ seq: 2, id: "a" })]);
    expect(await journal.openAlerts()).toEqual([]);
    rmSync(join(place, "missing"));
    await committed(journal, 2);
    expect(states).toEqual(["journal-write-failed", "working"]);
    const { epoch } = journal;
    await journal.close();
    const after = await openOrFail(folder);
    expect([after.epoch, after.lastSeqAtOpen, after.endedBefore]).toEqual([epoch, 2, "closed"]);
    await after.close();
  });

  test.each([
    ["is", false],
    ["is damaged and", true],
  ])(
    "where the disk comes back with a journal that %s older, the process is told to end, and all of it stays",
    async (_what, isDamaged) => {
      const older = join(place, "older");
      await fill(join(older, "journal"), true);
      if (isDamaged) flipBytes(join(older, "journal", "kept.sqlite"), 0, 100);
      const folder = join(place, "missing", "journal");
      writeFileSync(join(place, "missing"), "");
      const journal = await openOrFail(folder);
      const told: unknown[] = [];
      journal.onOtherJournal((found) => told.push(found));
      journal.append([observationOf({ seq: 1 })]);
      rmSync(join(place, "missing"));
      cpSync(older, join(place, "missing"), { recursive: true });
      await until("it is told", () => told.length > 0);
      expect(told[0]).toEqual({ code: "journal-write-failed", facts: { folder, code: "OTHER_JOURNAL" } });
      const late: unknown[] = [];
      journal.onOtherJournal((found) => late.push(found));
      expect(late).toHaveLength(1);
      expect(journal.committedSeq()).toBe(0);
      await journal.close();
      const after = await openOrFail(folder);
      expect(await readAll(after)).toEqual(RECORDS);
      await after.close();
    },
  );
});

describe.skipIf(!isRoot)("a disk that goes away in use", () => {
  test("unmounted and mounted again: nothing is written beside it, and everything is there afterwards", async () => {
    const real = join(place, "real");
    mkdirSync(real);
    mount("--bind", real);
    const folder = join(disk, "journal");
    const journal = await openOrFail(folder);
    const states = watch(journal);
    journal.append(RECORDS);
    await committed(journal, 45);
    unmount();
    journal.append([observationOf({ seq: 46 }), alertOf({ seq: 47, id: "b" })]);
    await until("the journal says so", () => states.length > 0);
    await new Promise((resolve) => setTimeout(resolve, 2500));
    expect([journal.committedSeq(), readdirSync(disk)]).toEqual([45, []]);
    mount("--bind", real);
    await committed(journal, 47);
    expect(states).toEqual(["journal-write-failed", "working"]);
    expect((await readAll(journal)).map((record) => record.seq as number)).toEqual(
      Array.from({ length: 47 }, (_, index) => index + 1),
    );
    await journal.close();
    expect(existsSync(join(real, "journal", "renew.mark"))).toBe(false);
    const after = await openOrFail(folder);
    expect([after.lastSeqAtOpen, after.endedBefore, after.faultsAtOpen]).toEqual([47, "closed", []]);
    await after.close();
  });
});
