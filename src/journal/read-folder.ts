import { randomInt, randomUUID } from "node:crypto";
import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import type { Fault } from "../core/errors.ts";
import { LIMITS } from "../core/limits.ts";
import { fail, type Result, succeed } from "../core/result.ts";
import { visitBlock } from "./block.ts";
import { DamagedBytesError } from "./block-bytes.ts";
import { checkSum, TooNewError } from "./database.ts";
import { readImage } from "./database-image.ts";
import {
  firstSeqOf,
  isDamage,
  isSameFile,
  KEPT_FILE,
  listSealedKept,
  listSegments,
  spanOfSealedKept,
  sqliteOrSystemCode,
} from "./journal-folder.ts";
import { KeptFile } from "./kept-file.ts";
import type { ListedKept, OpenedJournal, SegmentEntry } from "./messages.ts";
import { beginLife, findTooNew, lifeFactsOf, tooNewFault, UNRESERVED_LEFT_OUT } from "./open-folder.ts";
import { lookAtSegment } from "./segment-file.ts";
import { rowsOf } from "./table-rows.ts";

/** Twice what a life reserves at once, so that two lives in neighbouring places do not meet within days. */
const PLACE_NUMBERS = LIMITS.journalPlaceNumbers.value;
const PLACES = LIMITS.journalPlacesMax.value;
/** Columns of a row of blocks. */
const BLOCK_CELLS = 8;
/** Room above it is left for the lives to come. */
const HIGHEST_START = 2 ** 52;

/**
 * What there is to know of a journal whose files cannot be written: its disk is full, read-only or gone. Nothing is locked or changed.
 * Where it cannot be read either, a new epoch begins in memory.
 *
 * @param why  What the disk said.
 * @returns    `journal-too-new` where a file is of a later version.
 */
export function readFolder(folder: string, why: Fault): Result<OpenedJournal, Fault> {
  try {
    const tooNew = existsSync(folder) ? findTooNew(folder) : null;
    return tooNew === null ? succeed(readFiles(folder, why) ?? nothingRead(why)) : fail(tooNew);
  } catch (error) {
    if (error instanceof TooNewError) return fail(tooNewFault(folder, error.foundVersion, error.knownVersion));
    if (sqliteOrSystemCode(error) === null) throw error;
    return succeed(nothingRead(why));
  }
}

function nothingRead(why: Fault): OpenedJournal {
  const none = { faults: [], losses: [], segments: [], sealedKept: [], leftOut: null } as const;
  return { epoch: randomUUID(), lastSeq: 0, endedBefore: "first", ...none, notWritable: why };
}

function readFiles(folder: string, why: Fault): OpenedJournal | null {
  const path = join(folder, KEPT_FILE);
  if (!existsSync(path)) return null;
  const kept = KeptFile.openReadable(path);
  try {
    const epoch = kept.fact("epoch");
    if (epoch === null) return null;
    const { segments, lastSeqOfDamaged } = lookAtSegments(folder);
    const sealedKept = listSealedKept(folder).flatMap((file): ListedKept[] => {
      const span = spanOfSealedKept(file);
      // A sealing that was cut short leaves a second name of the file in use.
      if (span === null || isSameFile(path, join(folder, file))) return [];
      return [{ file, firstSeq: span.from, lastSeq: span.to, recordCount: countSealed(join(folder, file)) }];
    });
    const facts = lifeFactsOf(kept);
    const lastSeq = Math.max(
      kept.lastSeq(),
      sealedKept.at(-1)?.lastSeq ?? 0,
      kept.highestCursor(),
      segments.at(-1)?.lastSeq ?? 0,
      lastSeqOfDamaged,
      Number(facts.closedAtSeq ?? 0),
    );
    const to = farBeyond(Math.max(facts.reservedUpTo ?? 0, lastSeq + UNRESERVED_LEFT_OUT), randomInt);
    if (to === null) return null;
    const { endedBefore } = beginLife(facts, lastSeq);
    const leftOut = { from: lastSeq + 1, to };
    const found = { segments, sealedKept, losses: kept.owedLosses(), faults: [] };
    return { epoch, lastSeq, endedBefore, leftOut, ...found, notWritable: why };
  } finally {
    kept.close();
  }
}

/** How many records a sealed file of kept ones says that it holds; null where that cannot be read. */
function countSealed(path: string): number | null {
  try {
    const sealed = KeptFile.openReadable(path);
    try {
      return sealed.account()?.recordCount ?? null;
    } finally {
      sealed.close();
    }
  } catch (error) {
    if (!isDamage(error)) throw error;
    return null;
  }
}

/**
 * A damaged segment is passed over; it is mended when the files can be written. What is saved of it then must not lie among the numbers that
 * this life leaves out, so the last number that can still be made out is told of those behind the last sound one.
 */
function lookAtSegments(folder: string): { readonly segments: readonly SegmentEntry[]; readonly lastSeqOfDamaged: number } {
  const segments: SegmentEntry[] = [];
  let damaged: string[] = [];
  for (const file of listSegments(folder)) {
    try {
      segments.push(lookAtSegment(join(folder, file)));
      damaged = [];
    } catch (error) {
      if (!isDamage(error)) throw error;
      damaged.push(file);
    }
  }
  return { segments, lastSeqOfDamaged: Math.max(0, ...damaged.map((file) => lastSeqStillIn(folder, file))) };
}

/** The last number of a damaged segment's blocks that are sound, and at least the first by its name; 0 where nothing was written to it. */
function lastSeqStillIn(folder: string, file: string): number {
  const path = join(folder, file);
  if (statSync(path).size === 0) return 0;
  let lastSeq = firstSeqOf(file);
  const raise = ({ seq }: { readonly seq: number }) => {
    lastSeq = Math.max(lastSeq, seq);
  };
  for (const { key: firstSeq, cells } of rowsOf(readImage(path))) {
    const [crc, data] = cells.slice(-2);
    if (cells.length !== BLOCK_CELLS || !Buffer.isBuffer(data) || checkSum(data, firstSeq) !== crc) continue;
    try {
      visitBlock(data, firstSeq, { observation: (_, numbers) => raise(numbers), rare: raise });
    } catch (error) {
      if (!(error instanceof DamagedBytesError)) throw error;
    }
  }
  return lastSeq;
}

/**
 * The last number that is left out before a life whose reservation cannot be written. No number up to `reservedUpTo` may be given, and
 * other lives of this kind may have begun above it, unwritten as well: so this one begins at one of 131,072 places, two thousand million
 * numbers apart, drawn by lot. With ten such lives in a row two of them begin at the same place with a chance of 45 in 131,072; each takes
 * up to 2.6 * 10^14 numbers of the 9 * 10^15 there are, so places are drawn from fewer where fewer are left.
 *
 * @param drawInt  A whole number from 0 to under its argument.
 * @returns        Null where no numbers are left: the epoch must end.
 */
export function farBeyond(reservedUpTo: number, drawInt: (below: number) => number): number | null {
  const places = Math.min(PLACES, Math.floor((HIGHEST_START - reservedUpTo) / PLACE_NUMBERS / 8));
  return places < 1 ? null : reservedUpTo + PLACE_NUMBERS * (1 + drawInt(places));
}
