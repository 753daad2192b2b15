import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import Database from "better-sqlite3";
import { committed, openOrFail, sealKept, sealNewest } from "./journal-folder.ts";
import { alertOf, observationOf } from "./journal-records.ts";

/** Records in each of the three segments; every tenth is an alert that has ended, the others are observations. */
const SEGMENT_RECORDS = 100;
/** The number of the last record. */
export const LAST_SEQ = 300;

/** Makes a journal of three sealed segments, and of as many sealed files of alerts where that is wanted. */
export async function makeSealedJournal(folder: string, { sealsKept }: { readonly sealsKept: boolean }): Promise<void> {
  for (let next = 1; next <= LAST_SEQ; ) {
    const journal = await openOrFail(folder);
    for (const end = next + SEGMENT_RECORDS; next < end; next++) {
      journal.append([next % 10 === 0 ? alertOf({ seq: next, id: `a${next}`, state: "ended" }) : observationOf({ seq: next })]);
      if (next % 20 === 0) await committed(journal, next);
    }
    await journal.close();
    sealNewest(folder);
    if (sealsKept) sealKept(folder);
  }
}

/** The files of a journal whose names begin so, oldest first. */
export function filesOf(folder: string, beginning: string): string[] {
  return readdirSync(folder)
    .filter((name) => name.startsWith(beginning) && name.endsWith(".sqlite"))
    .sort()
    .map((name) => join(folder, name));
}

/** Changes one bit, so many bytes behind the beginning of what a column of a row holds, where that lies in the file. */
export function damageValue(file: string, sql: string, bytesBehind: number): void {
  const database = new Database(file, { readonly: true });
  const value = database.prepare<[], string | Buffer>(sql).pluck().get();
  database.close();
  const bytes = readFileSync(file);
  const at = bytes.indexOf(value ?? "") + bytesBehind;
  bytes[at] = (bytes[at] ?? 0) ^ 4;
  writeFileSync(file, bytes);
}
