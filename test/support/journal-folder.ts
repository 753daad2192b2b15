import { closeSync, mkdtempSync, openSync, readdirSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { createSystemClock } from "../../src/clock.ts";
import { seq } from "../../src/core/ids.ts";
import type { Journal } from "../../src/core/ports.ts";
import type { JournalRecord } from "../../src/core/record.ts";
import { type JournalOptions, openJournal, openJournalOn } from "../../src/journal/journal.ts";
import { KEPT_FILE } from "../../src/journal/journal-folder.ts";
import { KeptFile } from "../../src/journal/kept-file.ts";
import { countSealable, sealKeptFile } from "../../src/journal/sealed-kept.ts";
import { SegmentWriter, settleSealed } from "../../src/journal/segment-file.ts";
import { until } from "./until.ts";

/** A folder of this test alone, and how to remove it. */
export function temporaryFolder(): { readonly folder: string; readonly remove: () => void } {
  const parent = mkdtempSync(join(tmpdir(), "vigil-journal-"));
  return { folder: join(parent, "journal"), remove: () => rmSync(parent, { recursive: true, force: true }) };
}

/** Opens a journal that must open. */
export async function openOrFail(folder: string, more: Partial<JournalOptions> = {}): Promise<Journal> {
  const opened = await openJournal({ folder, gatewayId: "gateway-1", bytesMax: 1e9, clock: createSystemClock(), ...more });
  if (!opened.ok) throw new Error(`the journal did not open: ${JSON.stringify(opened.error)}`);
  return opened.value;
}

/** Opens a journal that must open, whose writing thread can be ended; it is then started again by itself. */
export async function openWithWriters(folder: string, more: Partial<JournalOptions> = {}) {
  const writers: Worker[] = [];
  const start = (file: string) => new Worker(new URL(`../../src/journal/${file}`, import.meta.url));
  const options = { folder, gatewayId: "gateway-1", bytesMax: 1e9, clock: createSystemClock(), ...more };
  const opened = await openJournalOn(options, {
    startWriter: () => {
      const worker = start("worker.ts");
      writers.push(worker);
      return worker;
    },
    startReader: () => start("reader.ts"),
  });
  if (!opened.ok) throw new Error(`the journal did not open: ${JSON.stringify(opened.error)}`);
  return {
    journal: opened.value,
    /** How often one was started. */
    writersCount: () => writers.length,
    endWriter: async () => {
      await writers.at(-1)?.terminate();
    },
  };
}

/** Waits until everything up to a number is committed. */
export async function committed(journal: Journal, upTo: number): Promise<void> {
  await until(`${upTo} is committed`, () => journal.committedSeq() >= upTo);
}

/** All committed records, page by page. */
export async function readAll(journal: Journal, limit = 1000): Promise<JournalRecord[]> {
  const all: JournalRecord[] = [];
  for (let afterSeq = seq(0); ; ) {
    const page = await journal.read({ afterSeq, limit });
    all.push(...page);
    const last = page.at(-1);
    if (last === undefined) return all;
    afterSeq = last.seq;
  }
}

/** Overwrites bytes of a file with the same strange one. */
export function flipBytes(path: string, fromByte: number, count: number): void {
  const file = openSync(path, "r+");
  writeSync(file, Buffer.alloc(count, 0xa5), 0, count, fromByte);
  closeSync(file);
}

/** Seals the newest segment of a journal that is closed, as its size would. */
export function sealNewest(folder: string): void {
  const newest =
    readdirSync(folder)
      .filter((name) => /^observations.*\.sqlite$/.test(name))
      .sort()
      .at(-1) ?? "";
  new SegmentWriter(join(folder, newest), 0, { check: false }).seal();
  settleSealed(join(folder, newest));
}

/** Seals away the alerts and receipts of a journal that is closed. */
export function sealKept(folder: string): void {
  const kept = KeptFile.open(join(folder, KEPT_FILE));
  const sealed = sealKeptFile(kept, folder, countSealable(kept));
  if (sealed === null) throw new Error("there is nothing to be sealed");
}
