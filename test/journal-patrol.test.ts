import { readdirSync, readFileSync, readlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import Database from "better-sqlite3";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Journal } from "../src/core/ports.ts";
import type { Loss } from "../src/core/record.ts";
import { committed, openOrFail, sealKept, sealNewest, temporaryFolder, until } from "./support/journal-folder.ts";
import { alertOf, observationOf } from "./support/journal-records.ts";

const SEGMENTS = 3;
const RECORDS = 100;
let place = temporaryFolder();

beforeEach(async () => {
  place = temporaryFolder();
  let next = 1;
  for (let segment = 0; segment < SEGMENTS; segment++) {
    const journal = await openOrFail(place.folder);
    for (const end = next + RECORDS; next < end; next++) {
      journal.append([next % 10 === 0 ? alertOf({ seq: next, id: `a${next}`, state: "ended" }) : observationOf({ seq: next })]);
      if (next % 20 === 0) await committed(journal, next);
    }
    await journal.close();
    sealNewest(place.folder);
    sealKept(place.folder);
  }
});

afterEach(() => place.remove());

type Told = Pick<Loss, "fromSeq" | "toSeq" | "count" | "why">;

/** Opens the journal and listens; nobody reads anything. */
async function openAndListen(): Promise<{ readonly journal: Journal; readonly told: Told[]; readonly faults: unknown[] }> {
  const journal = await openOrFail(place.folder);
  const told: Told[] = [];
  const faults: unknown[] = [...journal.faultsAtOpen];
  journal.onLoss(({ fromSeq, toSeq, count, why }) => told.push({ fromSeq, toSeq, count, why }));
  journal.onHealth((health) => {
    if (health.state === "failing") faults.push(health.fault);
  });
  return { journal, told, faults };
}

function files(beginning: string): string[] {
  return readdirSync(place.folder)
    .filter((name) => name.startsWith(beginning) && name.endsWith(".sqlite"))
    .sort()
    .map((name) => join(place.folder, name));
}

/** Changes one bit of what a column of a row holds, where it lies in the file. */
function damage(file: string, sql: string): void {
  const database = new Database(file, { readonly: true });
  const value = database.prepare<[], string | Buffer>(sql).pluck().get();
  database.close();
  const bytes = readFileSync(file);
  const at = bytes.indexOf(value ?? "") + 20;
  bytes[at] = (bytes[at] ?? 0) ^ 4;
  writeFileSync(file, bytes);
}

/** What a handle of this process is open on; null where it has just been closed. */
function pathOf(handle: string): string | null {
  try {
    return readlinkSync(`/proc/self/fd/${handle}`);
  } catch {
    return null;
  }
}

describe("what nobody reads", () => {
  test("a changed bit in an old segment is found by itself soon after the start, and told", async () => {
    damage(files("observations")[0] ?? "", "SELECT data FROM blocks WHERE first_seq = 41");
    const { journal, told } = await openAndListen();
    await until("it is told", () => told.length > 0);
    // From behind the block before it: the damage may lie in its first number.
    expect(told).toEqual([{ fromSeq: 40, toSeq: 59, count: 18, why: "journal-damaged" }]);
    await journal.close();
  });

  test("a changed bit in kept records that were sealed away is found by itself as well", async () => {
    damage(files("kept-")[1] ?? "", "SELECT json FROM alerts WHERE seq = 150");
    const { journal, told } = await openAndListen();
    await until("it is told", () => told.length > 0);
    // Its number lies between those of its neighbours; which it was the damage may have changed.
    expect(told).toEqual([{ fromSeq: 141, toSeq: 159, count: 1, why: "journal-damaged" }]);
    await journal.close();
  });

  test("a sound journal is looked through without a word, and nothing is held open for it", async () => {
    const { journal, told, faults } = await openAndListen();
    await new Promise((resolve) => setTimeout(resolve, 1500));
    expect({ told, faults }).toEqual({ told: [], faults: [] });
    const open = readdirSync("/proc/self/fd").flatMap((name) => pathOf(name) ?? []);
    expect(open.filter((path) => files("observations").includes(path) || files("kept-").includes(path))).toEqual([]);
    await journal.close();
  });
});
