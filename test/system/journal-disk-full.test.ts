import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createSystemClock } from "../../src/clock.ts";
import { openJournal } from "../../src/journal/journal.ts";
import { committed, openOrFail, readAll } from "../support/journal-folder.ts";
import { alertOf, observationOf } from "../support/journal-records.ts";

const isRoot = process.getuid?.() === 0;
if (!isRoot) process.stderr.write("NOT TESTED: a full and a read-only disk, because only root may mount one\n");

let disk = "";

beforeEach(() => {
  disk = mkdtempSync(join(tmpdir(), "vigil-disk-"));
  if (isRoot) execFileSync("mount", ["-t", "tmpfs", "-o", "size=2m", "tmpfs", disk]);
});

afterEach(() => {
  if (isRoot) execFileSync("umount", ["-l", disk]);
  rmSync(disk, { recursive: true, force: true });
});

/** Fills what is left of the disk with one file, and returns how to free it. */
function fillDisk(): () => void {
  const path = join(disk, "filler");
  for (let bytes = 4096 * 512; bytes >= 4096; bytes /= 2) {
    for (let part = 0; ; part++) {
      try {
        writeFileSync(`${path}-${bytes}-${part}`, Buffer.alloc(bytes, 1));
      } catch {
        rmSync(`${path}-${bytes}-${part}`, { force: true });
        break;
      }
    }
  }
  return () => execFileSync("sh", ["-c", `rm -f ${path}-*`]);
}

describe.skipIf(!isRoot)("a disk that cannot be written", () => {
  test("a full disk is told, nothing is said committed, and after freeing everything is there once", {
    timeout: 60_000,
  }, async () => {
    const journal = await openOrFail(join(disk, "journal"));
    const states: string[] = [];
    journal.onHealth((health) => states.push(health.state === "failing" ? health.fault.code : health.state));
    journal.append([observationOf({ seq: 1 }), alertOf({ seq: 2, id: "a" })]);
    await committed(journal, 2);
    const free = fillDisk();
    let next = 3;
    while (states.length === 0 && next < 20_000) {
      journal.append(Array.from({ length: 100 }, () => observationOf({ seq: next, value: next++ / 7 })));
      journal.append([alertOf({ seq: next, id: `a${next++}` })]);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    expect(states).toEqual(["journal-disk-full"]);
    const committedWhenFull = journal.committedSeq();
    await new Promise((resolve) => setTimeout(resolve, 2500));
    expect(journal.committedSeq()).toBe(committedWhenFull);
    expect(states).toEqual(["journal-disk-full"]);
    expect((await readAll(journal)).map((record) => record.seq as number)).toEqual(
      Array.from({ length: committedWhenFull }, (_, index) => index + 1),
    );
    free();
    await committed(journal, next - 1);
    expect(states).toEqual(["journal-disk-full", "working"]);
    expect((await readAll(journal)).map((record) => record.seq as number)).toEqual(
      Array.from({ length: next - 1 }, (_, index) => index + 1),
    );
    await journal.close();
  });

  test("a disk that is read-only at the start is a fault with its folder, and everything is there when it can be written again", {
    timeout: 60_000,
  }, async () => {
    execFileSync("mount", ["-o", "remount,size=20m", disk]);
    const folder = join(disk, "journal");
    const before = await openOrFail(folder);
    before.append([alertOf({ seq: 1, id: "a" })]);
    await committed(before, 1);
    await before.close();
    execFileSync("mount", ["-o", "remount,ro", disk]);
    const refused = await openJournal({ folder, gatewayId: "ward-3", bytesMax: 1e9, clock: createSystemClock() });
    expect(refused).toMatchObject({ ok: false, error: { code: "journal-write-failed", facts: { folder } } });
    execFileSync("mount", ["-o", "remount,rw", disk]);
    const after = await openOrFail(folder);
    expect((await readAll(after)).map((record) => record.seq as number)).toEqual([1]);
    await after.close();
  });
});
