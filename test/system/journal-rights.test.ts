import { chmodSync, chownSync, readdirSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { markRenewal } from "../../src/journal/replace-file.ts";
import { endObeying, openObeying } from "../support/journal-commands.ts";
import { temporaryFolder } from "../support/journal-folder.ts";
import { filesOf, makeSealedJournal } from "../support/sealed-journal.ts";

/** Root may read everything, so that the journal is opened by another user, who owns the folder. */
const NOBODY = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : null;

let place = temporaryFolder();

beforeEach(async () => {
  place = temporaryFolder();
  await makeSealedJournal(place.folder, { sealsKept: true });
  if (NOBODY === null) return;
  const names = readdirSync(place.folder, { recursive: true }).map((name) => join(place.folder, String(name)));
  for (const path of [dirname(place.folder), place.folder, ...names]) chownSync(path, NOBODY.uid, NOBODY.gid);
});

afterEach(() => {
  endObeying();
  place.remove();
});

describe("a file of the journal that the gateway's user may not read or write", () => {
  test.each([
    ["observations", 0o000],
    ["observations", 0o400],
    ["kept-", 0o000],
    ["kept.sqlite", 0o000],
  ])(
    "is named where it begins with %s and has mode %i, nothing is taken for damaged, and with its rights back all is there",
    async (beginning, mode) => {
      const file = filesOf(place.folder, beginning)[0] ?? "";
      chmodSync(file, mode);
      const without = await openObeying(place.folder, {}, NOBODY);
      const { faults } = await without.told();
      expect(faults).toEqual([{ code: "journal-write-failed", facts: { folder: place.folder, code: "EACCES", file } }]);
      endObeying();
      chmodSync(file, 0o600);
      const journal = await openObeying(place.folder, {}, NOBODY);
      expect((await journal.told()).faults).toEqual([]);
      expect((await journal.read()).map(([number]) => number)).toEqual(Array.from({ length: 300 }, (_, index) => index + 1));
      await journal.close();
      expect(readdirSync(place.folder).filter((name) => name.includes("damaged"))).toEqual([]);
    },
  );

  test("a mark that files must be written anew is left where the files are, and not in an empty mount point", () => {
    markRenewal(dirname(place.folder));
    expect(readdirSync(dirname(place.folder))).toEqual([basename(place.folder)]);
    markRenewal(place.folder);
    expect(readdirSync(place.folder)).toContain("renew.mark");
  });
});
