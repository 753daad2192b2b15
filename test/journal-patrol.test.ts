import { readdirSync, readlinkSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Journal } from "../src/core/ports.ts";
import type { Loss } from "../src/core/record.ts";
import { openOrFail, temporaryFolder } from "./support/journal-folder.ts";
import { damageValue, filesOf, makeSealedJournal } from "./support/sealed-journal.ts";
import { until } from "./support/until.ts";

let place = temporaryFolder();

beforeEach(async () => {
  place = temporaryFolder();
  await makeSealedJournal(place.folder, { sealsKept: true });
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
    damageValue(filesOf(place.folder, "observations")[0] ?? "", "SELECT data FROM blocks WHERE first_seq = 41", 20);
    const { journal, told } = await openAndListen();
    await until("it is told", () => told.length > 0);
    // From behind the block before it: the damage may lie in its first number.
    expect(told).toEqual([{ fromSeq: 40, toSeq: 59, count: 18, why: "journal-damaged" }]);
    await journal.close();
  });

  test("a changed bit in kept records that were sealed away is found by itself as well", async () => {
    damageValue(filesOf(place.folder, "kept-")[1] ?? "", "SELECT json FROM alerts WHERE seq = 150", 20);
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
    const looked = [...filesOf(place.folder, "observations"), ...filesOf(place.folder, "kept-")];
    expect(open.filter((path) => looked.includes(path))).toEqual([]);
    await journal.close();
  });
});
