import { describe, expect, test } from "vitest";
import { runCorruptions } from "../support/corruption.ts";

const SEED = 4099;

describe("one byte of a journal is changed; many more in the soak test of the same name", () => {
  test.each([
    [300, false, "the journal's classes in one thread"],
    [40, true, "its real threads"],
  ])(
    "%i times (threads: %s), through %s: nothing false is shown, what is missing is told, and it goes on",
    {
      timeout: 300_000,
    },
    async (count, threads) => {
      const tally = await runCorruptions({ seed: SEED, from: 0, count, appendEvery: 4, viewsEvery: 1, threads });
      expect(tally.wrong).toEqual([]);
      expect(tally.outcomes["found-at-open"] + tally.outcomes["found-when-read"]).toBeGreaterThan(count / 5);
    },
  );
});
