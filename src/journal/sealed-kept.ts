import { rmSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import { type Fault, fault } from "../core/errors.ts";
import { openForReading, readBytes, versionOf } from "./database.ts";
import { expectStillUnread, readImage, type UnreadPlace } from "./database-image.ts";
import {
  damagedError,
  endLogMode,
  firstSeqOf,
  inodeOf,
  isDamage,
  isFullDisk,
  isSameFile,
  KEPT_FILE,
  listSealedKept,
  listSegments,
  sealedKeptName,
  spanOfSealedKept,
} from "./journal-folder.ts";
import { isSealedKind, KeptFile, type KeptKind, KeptReader, type SealedAccount, visitDamaged } from "./kept-file.ts";
import type { LostRange, SealedKept, SegmentEntry } from "./messages.ts";
import { type MissingNumbersSource, oweFound } from "./missing-numbers.ts";
import { countNumbers, type NumberSpan, withoutSpans } from "./number-spans.ts";
import type { PackedRare } from "./packing.ts";
import { finishReplacement, keepUnderName, replaceDamaged, replaceDatabase, syncFolder } from "./replace-file.ts";
import { lookAtSegment } from "./segment-file.ts";

// ------------------------------------------------------------------------------------- sealing

/** How many records there are to be sealed, up to a number. */
export interface SealableCount {
  readonly upToSeq: number;
  readonly count: number;
}

/** Counts what there is to be sealed. */
export function countSealable(kept: KeptFile): SealableCount {
  const span = kept.sealableSpan();
  return { upToSeq: span.to, count: kept.countSealable(span) };
}

/**
 * Makes a sealed file of the kept file as it is, and a new kept file of what must stay at hand. Nothing that is old is written again: the
 * old file gets a second name, and a small new one takes its place. Deleting from the file in use instead would write most of its pages.
 *
 * A crash before the new file counts leaves the second name, which opening takes away again; one after it leaves both, with all records.
 *
 * @param kept     The file in use; closed from right before the new file takes its place.
 * @param counted  Up to a number, how many records there are to be sealed; counting reads the whole file, so that it had a turn of its own.
 * @returns      The sealed file; null where a reader holds the log, or where nothing is there to be sealed, with `kept` still open.
 * @throws       The disk's error. Afterwards `finishSealing` must run before the kept file is opened.
 */
export function sealKeptFile(kept: KeptFile, folder: string, counted: SealableCount): SealedKept | null {
  const path = join(folder, KEPT_FILE);
  const before = kept.sealedFiles();
  const span = kept.sealableSpan();
  if (kept.lastSealableSeq() < span.from || !kept.carryLogOver()) return null;
  const file = sealedKeptName(span);
  const recordCount = counted.count + kept.countSealable({ from: counted.upToSeq + 1, to: span.to });
  const sealed: SealedKept = { file, firstSeq: span.from, lastSeq: span.to, recordCount };
  const account: SealedAccount = { ...sealed, highestSeq: kept.highestSeq() };
  kept.setFacts({ account: JSON.stringify(account) });
  if (!kept.carryLogOver()) return null;
  const openAlerts = readOpenAlerts(path);
  replaceDatabase(
    path,
    (newPath) => {
      const fresh = KeptFile.open(newPath);
      fresh.carryFrom(path, openAlerts);
      fresh.setCarried([...before, sealed]);
      fresh.closeWhole();
    },
    () => {
      kept.close();
      endLogMode(path);
      keepUnderName(path, join(folder, file));
    },
  );
  return sealed;
}

function readOpenAlerts(path: string): readonly PackedRare[] {
  const reader = new KeptReader(path, () => undefined);
  try {
    return reader.openAlerts();
  } finally {
    reader.close();
  }
}

/** Ends a sealing that was cut short: what was whole counts, and a second name of the file that is still in use is taken away. */
export function finishSealing(folder: string): void {
  const path = join(folder, KEPT_FILE);
  finishReplacement(path);
  const halfSealed = listSealedKept(folder).filter((file) => isSameFile(path, join(folder, file)));
  for (const file of halfSealed) rmSync(join(folder, file));
  if (halfSealed.length > 0) syncFolder(folder);
}

// ------------------------------------------------------------------------------------- opening

/** What opening or mending sealed files found. */
export interface SealedKeptFound {
  readonly sealedKept: readonly SealedKept[];
  /** Already owed. */
  readonly losses: readonly LostRange[];
  readonly faults: readonly Fault[];
}

/**
 * Looks at every sealed file, mends what is damaged with what can still be read of it, and owes the rest as lost. The kept file in use knows
 * how many records each file held, so that also one that is gone altogether is told.
 *
 * @param checkAll  Check every page.
 */
export function openSealedKept(folder: string, kept: KeptFile, checkAll: boolean): SealedKeptFound {
  const listed = new Map(kept.sealedFiles().map((sealed) => [sealed.file, sealed]));
  const files = [...new Set([...listed.keys(), ...listSealedKept(folder)])].sort();
  const faults: Fault[] = [];
  const lost: { readonly span: NumberSpan; readonly count: number }[] = [];
  const sealedKept: SealedKept[] = [];
  for (const file of files) {
    const path = join(folder, file);
    const before = listed.get(file);
    const found = inodeOf(path) === null ? null : lookOrMend(path, { checkAll, before, faults });
    const span = spanOfSealedKept(file);
    const lostCount = (before?.recordCount ?? 0) - (found?.recordCount ?? 0);
    if (span !== null && before !== undefined && lostCount > 0) {
      lost.push({ span, count: lostCount });
      if (found === null) faults.push(fault("journal-damaged", { file: path, fromSeq: span.from, toSeq: span.to }));
    }
    if (found !== null) sealedKept.push(found);
  }
  const numbers = numbersOfAll(folder, kept, sealedKept);
  const losses = lost.flatMap(({ span, count }) => damageOf(folder, numbers, span, count));
  for (const loss of losses) oweFound(kept, loss);
  const value = JSON.stringify(sealedKept);
  if (value !== JSON.stringify(kept.sealedFiles())) kept.setFacts({ sealedFiles: value });
  return { sealedKept, losses, faults };
}

/**
 * The loss of records of a sealed file, from the first to the last number of which it is not known that it is there: each number is that of a
 * record in a segment, that of a kept record, or missing. None where none is missing: an open alert is in the file in use as well.
 */
function damageOf(folder: string, numbers: MissingNumbersSource, span: NumberSpan, lostCount: number): LostRange[] {
  const there = numbers.seqsBetween(span.from, span.to).map((seq) => ({ from: seq, to: seq }));
  const open = withoutSpans([span], [...there, ...numbers.leftOut(), ...wholeSegments(folder, numbers, span)]);
  const [first, last] = [open[0], open.at(-1)];
  if (first === undefined || last === undefined) return [];
  const count = Math.min(lostCount, countNumbers(open));
  return [{ fromSeq: first.from, toSeq: last.to, count, why: "journal-damaged", what: "records", reader: null }];
}

/** The numbers of those segments among which, by their count, no kept record is missing. */
function wholeSegments(folder: string, numbers: MissingNumbersSource, span: NumberSpan): NumberSpan[] {
  const files = listSegments(folder);
  const leftOut = numbers.leftOut();
  return files.flatMap((file, index): NumberSpan[] => {
    const next = files[index + 1];
    if (firstSeqOf(file) > span.to || (next !== undefined && firstSeqOf(next) <= span.from)) return [];
    const entry = lookWhereSound(join(folder, file));
    if (entry === null) return [];
    const segment = { from: entry.firstSeq, to: entry.lastSeq };
    const there = entry.recordCount + numbers.seqsBetween(segment.from, segment.to).length;
    return segment.to >= segment.from && countNumbers(withoutSpans([segment], leftOut)) === there ? [segment] : [];
  });
}

function lookWhereSound(path: string): SegmentEntry | null {
  try {
    return lookAtSegment(path);
  } catch (error) {
    if (!isDamage(error)) throw error;
    return null;
  }
}

interface Looking {
  readonly checkAll: boolean;
  /** What the kept file in use says of the file. */
  readonly before: SealedKept | undefined;
  readonly faults: Fault[];
}

/** A damaged file for whose new one the disk has no room stays as it is: a reader that meets the damage has it mended, and then the rest is owed. */
function lookOrMend(path: string, { checkAll, before, faults }: Looking): SealedKept {
  try {
    return look(path, checkAll);
  } catch (error) {
    if (!isDamage(error)) throw error;
  }
  try {
    const { aside, sealed } = salvageSealedKept(path);
    faults.push(fault("journal-damaged", { file: aside, salvagedRecords: sealed.recordCount }));
    return sealed;
  } catch (error) {
    if (!isFullDisk(error)) throw error;
    faults.push(fault("journal-damaged", { file: path }));
    const span = spanOfSealedKept(basename(path)) ?? { from: 0, to: 0 };
    return before ?? { file: basename(path), firstSeq: span.from, lastSeq: span.to, recordCount: 0 };
  }
}

/** @throws  SQLite's error where the file is damaged. */
function look(path: string, checkAll: boolean): SealedKept {
  const database = openForReading(path);
  try {
    if (versionOf(database) === 0 || statSync(path).size < readBytes(database))
      throw damagedError("the file is not as long as it was");
  } finally {
    database.close();
  }
  const kept = KeptFile.openReadable(path);
  try {
    const account = kept.account();
    if (account === null || kept.highestSeq() !== account.highestSeq) throw damagedError("the file does not hold what it says");
    if (checkAll && !kept.isSound()) throw damagedError("a page is not sound");
    const { firstSeq, lastSeq, recordCount } = account;
    return { file: basename(path), firstSeq, lastSeq, recordCount };
  } finally {
    kept.close();
  }
}

/** Keeps a damaged sealed file aside and puts a new one in its place with every record that can still be read. */
export function salvageSealedKept(path: string): { readonly aside: string; readonly sealed: SealedKept } {
  const file = basename(path);
  const span = spanOfSealedKept(file) ?? { from: 0, to: 0 };
  let recordCount = 0;
  const image = readImage(path);
  const make = (newPath: string) => {
    const fresh = KeptFile.open(newPath);
    try {
      fresh.fill((take) => visitDamaged(image, take));
      recordCount = fresh.countSealable(span);
      const account: SealedAccount = { file, firstSeq: span.from, lastSeq: span.to, recordCount, highestSeq: fresh.highestSeq() };
      fresh.setFacts({ account: JSON.stringify(account) });
      fresh.closeWhole();
    } finally {
      fresh.close();
    }
  };
  const aside = replaceDamaged(path, make, image.unread);
  return { aside, sealed: { file, firstSeq: span.from, lastSeq: span.to, recordCount } };
}

/**
 * What sealed files still hold of what belongs into the kept file in use: open alerts in their latest version, and each kind that is read at a
 * start. @returns  What the disk did not give back.
 */
export function visitSealed(folder: string, take: (record: PackedRare) => void): readonly UnreadPlace[] {
  const unread: UnreadPlace[] = [];
  const openAlerts = new Map<string, PackedRare>();
  for (const file of listSealedKept(folder)) {
    const endedSeqs = new Map<string, number>();
    const image = readImage(join(folder, file));
    unread.push(...image.unread);
    visitDamaged(image, (record) => {
      if (record.kind === "alert") followAlert(openAlerts, endedSeqs, record);
      else if (record.kind !== "receipt") take(record);
    });
  }
  for (const alert of openAlerts.values()) take(alert);
  return unread;
}

function followAlert(openAlerts: Map<string, PackedRare>, endedSeqs: Map<string, number>, record: PackedRare): void {
  const { id, state } = JSON.parse(record.json) as { readonly id: string; readonly state: string };
  const knownSeq = Math.max(openAlerts.get(id)?.seq ?? 0, endedSeqs.get(id) ?? 0);
  if (record.seq < knownSeq) return;
  openAlerts.delete(id);
  if (state === "ended") endedSeqs.set(id, record.seq);
  else openAlerts.set(id, record);
}

// ------------------------------------------------------------------------------------- reading

/** A stretch of the numbers of one kind, and how many of its records are wanted. */
export interface KeptRange {
  readonly afterSeq: number;
  readonly upToSeq: number;
  readonly limit: number;
}

/** One sealed file, to be read of. */
export interface SealedPart extends Pick<SealedKept, "firstSeq" | "lastSeq"> {
  /** Records of a kind, in order. */
  readonly records: (kind: KeptKind, range: KeptRange) => readonly PackedRare[];
}

/** The next records of one kind from the file in use and from the sealed ones, oldest first; one that lies in two of them is there once. */
export function keptRecords(
  kind: KeptKind,
  range: KeptRange,
  files: { readonly inUse: KeptReader; readonly sealed: readonly SealedPart[] },
): readonly PackedRare[] {
  const inUse = files.inUse.records(kind, range);
  if (!isSealedKind(kind)) return inUse;
  const found = new Map(inUse.map((record) => [record.seq, record]));
  let reachedSeq = range.afterSeq;
  let wanted = range.limit;
  for (const part of files.sealed) {
    if (wanted <= 0 || part.firstSeq > range.upToSeq) break;
    const afterSeq = Math.max(reachedSeq, part.firstSeq - 1);
    const upToSeq = Math.min(range.upToSeq, part.lastSeq);
    if (afterSeq >= upToSeq) continue;
    const records = part.records(kind, { afterSeq, upToSeq, limit: wanted });
    for (const record of records) found.set(record.seq, record);
    wanted -= records.length;
    reachedSeq = part.lastSeq;
  }
  return [...found.values()].sort((one, other) => one.seq - other.seq).slice(0, range.limit);
}

/** Records of one kind of a journal's folder, opened for this alone; damaged ones are passed over. */
export function readKeptRecords(folder: string, kind: KeptKind, range: KeptRange): readonly PackedRare[] {
  const open = (file: string) => new KeptReader(join(folder, file), () => undefined);
  const inUse = open(KEPT_FILE);
  try {
    const sealed = listSealedKept(folder).flatMap((file): SealedPart[] => {
      const span = spanOfSealedKept(file);
      const records = (of: KeptKind, within: KeptRange) => {
        const reader = open(file);
        try {
          return reader.records(of, within);
        } finally {
          reader.close();
        }
      };
      return span === null ? [] : [{ firstSeq: span.from, lastSeq: span.to, records }];
    });
    return keptRecords(kind, range, { inUse, sealed });
  } finally {
    inUse.close();
  }
}

/** Of a file that is damaged, those of the records that can still be read; the others count as missing. */
function seqsOfSealed(path: string, fromSeq: number, toSeq: number): readonly number[] {
  try {
    const sealed = KeptFile.openReadable(path);
    try {
      return sealed.seqsBetween(fromSeq, toSeq);
    } finally {
      sealed.close();
    }
  } catch (error) {
    if (!isDamage(error)) throw error;
    const seqs: number[] = [];
    const image = readImage(path);
    expectStillUnread(image.unread, null);
    visitDamaged(image, ({ seq }) => {
      if (seq >= fromSeq && seq <= toSeq) seqs.push(seq);
    });
    return seqs;
  }
}

/** The numbers of all kept records, sealed away or not, as the search for missing ones wants them. */
export function numbersOfAll(folder: string, kept: KeptFile, sealedKept: readonly SealedKept[]): MissingNumbersSource {
  const seqsBetween = (fromSeq: number, toSeq: number): number[] => {
    const found = new Set(kept.seqsBetween(fromSeq, toSeq));
    for (const { file, firstSeq, lastSeq } of sealedKept) {
      if (lastSeq < fromSeq || firstSeq > toSeq) continue;
      for (const seq of seqsOfSealed(join(folder, file), fromSeq, toSeq)) found.add(seq);
    }
    return [...found];
  };
  return { knownLosses: () => kept.knownLosses(), leftOut: () => kept.leftOut(), seqsBetween };
}
