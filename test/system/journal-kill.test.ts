import { afterEach, expect, test } from "vitest";
import { openOrFail, temporaryFolder } from "../support/journal-folder.ts";
import { attackWithKills, endAppenders } from "../support/journal-killing.ts";

const place = temporaryFolder();

afterEach(() => {
  endAppenders();
  place.remove();
});

test("nothing that was said committed is missing after 20 kills at random moments", { timeout: 240_000 }, async () => {
  await attackWithKills({ folder: place.folder, kills: 20, seed: 1907 });
  const journal = await openOrFail(place.folder);
  expect(journal.lastSeqAtOpen).toBeGreaterThan(1000);
  await journal.close();
});
