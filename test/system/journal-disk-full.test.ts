import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { JournalRecord } from "../../src/core/record.ts";
import { committed, openOrFail, readAll } from "../support/journal-folder.ts";
import { alertOf, observationOf } from "../support/journal-records.ts";
import { fillDisk } from "../support/small-disk.ts";

const isRoot = process.getuid?.() === 0;
if (!isRoot) process.stderr.write("NOT TESTED: a full disk, because only root may mount one\n");

let disk = "";

beforeEach(() => {
  disk = mkdtempSync(join(tmpdir(), "vigil-disk-"));
  if (isRoot) execFileSync("mount", ["-t", "tmpfs", "-o", "size=2m", "tmpfs", disk]);
});

afterEach(() => {
  if (isRoot) execFileSync("umount", ["-l", disk]);
  rmSync(disk, { recursive: true, force: true });
});

/** Observations and an alert behind them, about 2 KB on disk. */
function batchFrom(next: number): JournalRecord[] {
  const observations = Array.from({ length: 100 }, (_, index) => observationOf({ seq: next + index, value: (next + index) / 7 }));
  return [...observations, alertOf({ seq: next + 100, id: `a${next}` })];
}

describe.skipIf(!isRoot)("a full disk", () => {
  test("is told, nothing is said committed, and after freeing everything is there once", { timeout: 60_000 }, async () => {
    const journal = await openOrFail(join(disk, "journal"));
    const states: string[] = [];
    journal.onHealth((health) => states.push(health.state === "failing" ? health.fault.code : health.state));
    journal.append([observationOf({ seq: 1 }), alertOf({ seq: 2, id: "a" })]);
    await committed(journal, 2);
    const frees = [fillDisk(disk)];
    let next = 3;
    const fillUntilFull = async () => {
      while (states.at(-1) !== "journal-disk-full" && next < 20_000) {
        journal.append(batchFrom(next));
        next += 101;
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    };
    await fillUntilFull();
    expect(states).toEqual(["journal-disk-full"]);
    // The room in reserve is given up with the second try; what else fills the disk takes it.
    await new Promise((resolve) => setTimeout(resolve, 1500));
    frees.push(fillDisk(disk));
    await fillUntilFull();
    const committedWhenFull = journal.committedSeq();
    await new Promise((resolve) => setTimeout(resolve, 2500));
    expect([journal.committedSeq(), states.at(-1)]).toEqual([committedWhenFull, "journal-disk-full"]);
    const upTo = (last: number) => Array.from({ length: last }, (_, index) => index + 1);
    expect((await readAll(journal)).map((record) => record.seq as number)).toEqual(upTo(committedWhenFull));
    for (const free of frees) free();
    await committed(journal, next - 1);
    expect(states.at(-1)).toBe("working");
    expect((await readAll(journal)).map((record) => record.seq as number)).toEqual(upTo(next - 1));
    await journal.close();
  });

  test("costs the oldest observations, a segment at a time and told; every alert stays", { timeout: 60_000 }, async () => {
    execFileSync("mount", ["-o", "remount,size=8m", disk]);
    const folder = join(disk, "journal");
    const journal = await openOrFail(folder, { bytesMax: 4_000_000 });
    const losses: { readonly fromSeq: number; readonly toSeq: number; readonly why: string }[] = [];
    journal.onLoss((loss) => losses.push(loss));
    const segments = () => readdirSync(folder).filter((name) => /^observations-\d+\.sqlite$/.test(name)).length;
    let next = 1;
    const append = async () => {
      journal.append(batchFrom(next));
      next += 101;
      await committed(journal, next - 1);
    };
    while (segments() < 4) await append();
    fillDisk(disk);
    let full = false;
    journal.onHealth((health) => {
      full ||= health.state === "failing";
    });
    while (losses.length === 0 && next < 60_000) {
      journal.append(batchFrom(next));
      next += 101;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    await committed(journal, next - 1);
    expect(full).toBe(true);
    expect(losses).toMatchObject([{ fromSeq: 1, why: "disk-full" }]);
    const lostTo = losses[0]?.toSeq ?? 0;
    const expected = Array.from({ length: next - 1 }, (_, index) => index + 1).filter(
      (number) => number > lostTo || number % 101 === 0,
    );
    expect((await readAll(journal)).map((record) => record.seq as number)).toEqual(expected);
    await journal.close();
    const after = await openOrFail(folder, { bytesMax: 4_000_000 });
    const again: unknown[] = [];
    after.onLoss((loss) => again.push(loss));
    expect([again, after.faultsAtOpen]).toEqual([losses, []]);
    await after.close();
  });
});
