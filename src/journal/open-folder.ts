import { randomUUID } from "node:crypto";
import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import { type Fault, fault } from "../core/errors.ts";
import { LIMITS } from "../core/limits.ts";
import type { LifeStart, LossReason } from "../core/record.ts";
import { fail, type Result, succeed } from "../core/result.ts";
import { boundAsides, dropOldestAside } from "./damaged-asides.ts";
import { renewDatabase, TooNewError, versionFromHeader } from "./database.ts";
import {
  expectRights,
  type FolderLock,
  firstSeqOf,
  headerVersion,
  isDamage,
  isFullDisk,
  KEPT_FILE,
  listSealedKept,
  listSegments,
  lockFolder,
  makeFolder,
  movedError,
  otherJournalError,
  removeDatabase,
  rollBackHalfDone,
  setAsideDatabase,
} from "./journal-folder.ts";
import { KEPT_SCHEMA, KeptFile, replaceDamagedKeptFile } from "./kept-file.ts";
import type { LostRange, OpenRequest, SealedKept, SegmentEntry } from "./messages.ts";
import { findMissing, findMissingWithin, oweFound } from "./missing-numbers.ts";
import type { NumberSpan } from "./number-spans.ts";
import { clearRenewal, finishReplacements, isRenewalDue, syncFolder } from "./replace-file.ts";
import { releaseReserve } from "./reserve-file.ts";
import { type Salvaged, salvageSegment } from "./salvage.ts";
import { finishSealing, numbersOfAll, openSealedKept, visitSealed } from "./sealed-kept.ts";
import { inspectSealed, SEGMENT_SCHEMA, SegmentWriter } from "./segment-file.ts";

/** As many numbers as can ever have waited for the disk; left out where no reservation is known. */
export const UNRESERVED_LEFT_OUT =
  LIMITS.journalQueueRecordsMax.value + LIMITS.journalKeptRecordsMax.value + LIMITS.journalBatchRecordsMax.value;

/** A journal's files, opened, checked and locked. */
export interface OpenFolder {
  readonly lock: FolderLock;
  readonly kept: KeptFile;
  readonly epoch: string;
  readonly lastSeq: number;
  readonly endedBefore: LifeStart["before"];
  readonly leftOut: { readonly from: number; readonly to: number } | null;
  /** No later life gives a number up to this one. */
  readonly reservedUpTo: number;
  /** Closed segments, oldest first. */
  readonly sealed: readonly SegmentEntry[];
  /** The newest segment where it can still be written. */
  readonly active: SegmentWriter | null;
  /** Files of alerts and receipts that were sealed away, oldest first. */
  readonly sealedKept: readonly SealedKept[];
  readonly faults: readonly Fault[];
}

/**
 * Opens a journal's folder, or makes it. What can be read of damaged files is used, the rest is owed as lost.
 *
 * @param monotonicNow  Now, in ms of the monotonic clock.
 * @param makeRoom      Called with the folder locked and no file open where the disk had no room to open them.
 * @returns  The files; or `journal-locked`, or `journal-too-new`, with nothing changed.
 * @throws   Errors of the disk, for the caller to name.
 */
export function openFolder(
  request: OpenRequest,
  monotonicNow: () => number,
  makeRoom: () => void = () => undefined,
): Result<OpenFolder, Fault> {
  const { folder } = request;
  if (request.filesAreMade === true && !existsSync(join(folder, KEPT_FILE))) throw movedError();
  makeFolder(folder);
  expectRights(folder);
  const lock = lockFolder(folder);
  if (!lock.ok) return lock;
  try {
    const tooNew = findTooNew(folder);
    if (tooNew !== null) {
      lock.value.release();
      return fail(tooNew);
    }
    return succeed({ lock: lock.value, ...openFiles(request, monotonicNow) });
  } catch (error) {
    if (isFullDisk(error)) makeRoom();
    lock.value.release();
    if (error instanceof TooNewError) return fail(tooNewFault(folder, error.foundVersion, error.knownVersion));
    throw error;
  }
}

/** The fault of a file of a later version. */
export function tooNewFault(folder: string, foundVersion: number, knownVersion: number): Fault {
  return fault("journal-too-new", { folder, foundVersion, knownVersion });
}

/** A file of a later version, found without opening any. */
export function findTooNew(folder: string): Fault | null {
  const files = [...listSegments(folder).map((file) => ({ file, known: SEGMENT_SCHEMA.steps.length }))];
  files.push(...listSealedKept(folder).map((file) => ({ file, known: KEPT_SCHEMA.steps.length })));
  if (existsSync(join(folder, KEPT_FILE))) files.push({ file: KEPT_FILE, known: KEPT_SCHEMA.steps.length });
  for (const { file, known } of files) {
    const found = versionFromHeader(headerVersion(join(folder, file)));
    if (found !== null && found > known) return tooNewFault(folder, found, known);
  }
  return null;
}

function openFiles(request: OpenRequest, monotonicNow: () => number): Omit<OpenFolder, "lock"> {
  const { folder } = request;
  finishReplacements(folder);
  finishSealing(folder);
  for (const file of [KEPT_FILE, ...listSealedKept(folder), ...listSegments(folder)]) rollBackHalfDone(join(folder, file));
  renewMarked(folder);
  const faults: Fault[] = [];
  const { kept, replaced } = openKept(request, faults);
  let opened: OpenedSegments | null = null;
  try {
    const sealedKept = openSealedKept(folder, kept, request.checkAll);
    faults.push(...sealedKept.faults);
    opened = openSegments({
      request,
      monotonicNow,
      kept,
      faults,
      salvageUntilMs: monotonicNow() + LIMITS.journalSalvageMsMax.value,
    });
    const begun = beginOn(request, { kept, replaced, faults, segments: opened, sealedKept: sealedKept.sealedKept });
    boundAsides(folder);
    clearRenewal(folder);
    return { ...begun, faults };
  } catch (error) {
    opened?.active?.abandon();
    kept.close();
    throw error;
  }
}

/**
 * Files that a failed fsync may have left half on disk are written anew. What cannot be read that way is damaged, and is met as such; until that
 * has come to an end the mark stays.
 */
function renewMarked(folder: string): void {
  if (!isRenewalDue(folder)) return;
  const segments = listSegments(folder);
  const inUse = segments.filter((file) => file === segments.at(-1) || existsSync(join(folder, `${file}-wal`)));
  for (const file of [KEPT_FILE, ...inUse]) {
    const path = join(folder, file);
    if (!existsSync(path) || statSync(path).size === 0) continue;
    try {
      renewDatabase(path);
    } catch (error) {
      if (!isDamage(error)) throw error;
    }
  }
}

interface Opened {
  readonly kept: KeptFile;
  /** Whether the kept file was damaged. */
  readonly replaced: boolean;
  readonly faults: readonly Fault[];
  readonly segments: OpenedSegments;
  readonly sealedKept: readonly SealedKept[];
}

/** Owes what is found to be missing, and begins a life, or goes on with the one that is running. */
function beginOn(request: OpenRequest, opened: Opened): Omit<OpenFolder, "lock" | "faults"> {
  const { kept, faults, segments, sealedKept } = opened;
  const { sealed, active } = segments;
  // Where nothing says how high the numbers of a damaged newest segment went, they belong to an epoch that has ended.
  const storedEpoch = segments.endIsLost && kept.fact("reservedUpTo") === null ? null : kept.fact("epoch");
  const epoch = request.epochToKeep ?? storedEpoch ?? randomUUID();
  const closedAtSeq = Number(kept.fact("closedAtSeq") ?? 0);
  const lastSeq = Math.max(
    kept.lastSeq(),
    sealedKept.at(-1)?.lastSeq ?? 0,
    active?.entry.lastSeq ?? 0,
    sealed.at(-1)?.lastSeq ?? 0,
    kept.highestCursor(),
    Number.isSafeInteger(closedAtSeq) ? closedAtSeq : 0,
    ...faults.map(lastSeqOfFault),
  );
  const found = { kept, epoch, lastSeq, sealed, active, sealedKept } as const;
  const { gatewayId } = request;
  if (request.epochToKeep !== null) {
    const left =
      request.leftOutToKeep === undefined || request.leftOutToKeep === null ? {} : kept.withLeftOut(request.leftOutToKeep);
    // What comes after the last acknowledged number is on its way; nothing up to it is.
    const known = Math.max(request.committedSeq ?? 0, segments.covered.at(-1)?.to ?? 0);
    oweMissing(request.folder, { ...opened, lastSeq: known, tail: "journal-damaged", mayLackKept: opened.replaced });
    kept.setFacts({ epoch, gatewayId, closedAtSeq: "", ...left });
    return { ...found, endedBefore: "closed", leftOut: null, reservedUpTo: Number(kept.fact("reservedUpTo") ?? 0) };
  }
  const life = beginLife(lifeFactsOf(kept), lastSeq);
  const damaged = opened.replaced || faults.length > 0 || life.endedBefore === "closed";
  const mayLackKept = opened.replaced || life.endedBefore === "cut-off";
  oweMissing(request.folder, { ...opened, lastSeq, tail: damaged ? "journal-damaged" : "cut-off", mayLackKept });
  const left = life.leftOut === null ? {} : kept.withLeftOut(life.leftOut);
  kept.setFacts({ epoch, gatewayId, reservedUpTo: String(life.reservedUpTo), closedAtSeq: "", ...left });
  return { ...found, ...life };
}

/** Compares the numbers there must be with those that are there, and owes what is missing without a reason on record. */
function oweMissing(
  folder: string,
  given: Opened & { readonly lastSeq: number; readonly tail: LossReason | null; readonly mayLackKept: boolean },
): void {
  const { kept, segments, lastSeq, tail, mayLackKept } = given;
  const numbers = numbersOfAll(folder, kept, given.sealedKept);
  for (const loss of findMissing({ kept: numbers, covered: segments.covered, lastSeq, tail })) oweFound(kept, loss);
  // Of a kept file that was damaged, records may be missing whose numbers lie among those of a segment. So they may of one whose log was
  // damaged: SQLite takes what stands in a log behind a damaged page for what a crash left half written, and passes over it in silence.
  if (mayLackKept) for (const loss of findMissingWithin(numbers, segments)) oweFound(kept, loss);
}

/** What the journal says of the life before. */
export interface LifeFacts {
  readonly reservedUpTo: number | null;
  readonly closedAtSeq: string | null;
}

/** What the kept file says of the life before. */
export function lifeFactsOf(kept: Pick<KeptFile, "fact">): LifeFacts {
  const stored = kept.fact("reservedUpTo");
  return { reservedUpTo: stored === null ? null : Number(stored), closedAtSeq: kept.fact("closedAtSeq") };
}

/**
 * How the life before ended and where numbering goes on. What was not yet on disk when a life was cut off may have gone upstream all the
 * same, marked as not durable; its number must not be given to another record, or a receiver that keeps each key once would drop the new
 * one. So each life reserves numbers on disk before it gives any, and what a life that was cut off had reserved is left out.
 */
export function beginLife(facts: LifeFacts, lastSeq: number): Pick<OpenFolder, "endedBefore" | "leftOut" | "reservedUpTo"> {
  const reserved = LIMITS.journalNumbersReserved.value;
  if (lastSeq === 0 && facts.reservedUpTo === null) return { endedBefore: "first", leftOut: null, reservedUpTo: reserved };
  if (facts.closedAtSeq === String(lastSeq)) return { endedBefore: "closed", leftOut: null, reservedUpTo: lastSeq + reserved };
  // A journal of the first version, or one whose kept file was damaged, has no reservation that could be trusted.
  const to = Math.max(facts.reservedUpTo ?? 0, lastSeq + (facts.reservedUpTo === null ? UNRESERVED_LEFT_OUT : 0));
  return { endedBefore: "cut-off", leftOut: { from: lastSeq + 1, to }, reservedUpTo: to + reserved };
}

/** Numbers of a file that was set aside are not given out again. */
function lastSeqOfFault(found: Fault): number {
  const toSeq = found.facts["toSeq"];
  return typeof toSeq === "number" ? toSeq : 0;
}

function openKept(request: OpenRequest, faults: Fault[]): { readonly kept: KeptFile; readonly replaced: boolean } {
  const path = join(request.folder, KEPT_FILE);
  const holdsSegments = listSegments(request.folder).length + listSealedKept(request.folder).length > 0;
  // An empty file is what a power cut leaves of a journal that was just being made.
  const isNew = !holdsSegments && (!existsSync(path) || statSync(path).size === 0);
  if (isNew) return { kept: KeptFile.open(path), replaced: false };
  const kept = existsSync(path) ? openSoundKept(path, holdsSegments) : null;
  if (kept !== null) {
    const epoch = kept.fact("epoch");
    const isBegunOnly = epoch === null && !holdsSegments;
    if (request.epochToKeep === null || isBegunOnly || epoch === request.epochToKeep) return { kept, replaced: false };
    kept.close();
    throw otherJournalError();
  }
  if (hasReadNothing(request)) throw otherJournalError();
  const replaced = replaceDamagedKeptFile(path, request.gatewayId, request.epochToKeep, (take) =>
    visitSealed(request.folder, take),
  );
  faults.push(fault("journal-damaged", { file: replaced.aside, salvagedRecords: replaced.salvagedRecords }));
  return { kept: replaced.kept, replaced: true };
}

/** Whether the running gateway has begun without these files: its numbers begin anew, and what lies here belongs to another journal, damaged or not. */
function hasReadNothing(request: OpenRequest): boolean {
  const hasRead = request.filesAreMade === true || (request.leftOutToKeep !== null && request.leftOutToKeep !== undefined);
  return request.epochToKeep !== null && !hasRead;
}

/** The kept file, or null where it is damaged. Without an epoch it is one that was just being made, or damaged. */
function openSoundKept(path: string, holdsSegments: boolean): KeptFile | null {
  if (statSync(path).size === 0) return null;
  try {
    const kept = KeptFile.open(path);
    const isBegun = kept.fact("epoch") !== null || (!holdsSegments && kept.lastSeq() === 0);
    if (kept.isSound() && isBegun) return kept;
    kept.close();
    return null;
  } catch (error) {
    if (isDamage(error)) return null;
    throw error;
  }
}

interface Opening {
  readonly request: OpenRequest;
  readonly monotonicNow: () => number;
  /** Damaged segments met later are set aside whole. */
  readonly salvageUntilMs: number;
  readonly kept: KeptFile;
  readonly faults: Fault[];
}

/** Segments that were opened. */
export interface OpenedSegments {
  readonly sealed: readonly SegmentEntry[];
  readonly active: SegmentWriter | null;
  /** Whether the newest segment was damaged. */
  readonly endIsLost: boolean;
  /** The numbers there are, in rising order. */
  readonly covered: readonly NumberSpan[];
}

function openSegments(opening: Opening): OpenedSegments {
  const files = listSegments(opening.request.folder);
  const sealed: SegmentEntry[] = [];
  const covered: NumberSpan[] = [];
  let active: SegmentWriter | null = null;
  let endIsLost = false;
  try {
    for (const [index, file] of files.entries()) {
      const { opened, spans } = openOrSalvage(opening, file, files[index + 1]);
      endIsLost = spans !== null;
      if (opened === null) continue;
      if (active !== null) sealed.push(active.seal());
      active = opened instanceof SegmentWriter ? opened : null;
      const entry = opened instanceof SegmentWriter ? opened.entry : opened;
      if (active === null) sealed.push(entry);
      covered.push(...(spans ?? [{ from: firstSeqOf(file), to: entry.lastSeq }]));
    }
    return { sealed, active, endIsLost, covered };
  } catch (error) {
    active?.abandon();
    throw error;
  }
}

interface OpenedSegment {
  /** Null where nothing is left of it. */
  readonly opened: SegmentEntry | SegmentWriter | null;
  /** The numbers that were saved where it was damaged, else null. */
  readonly spans: readonly NumberSpan[] | null;
}

/** What can still be made out of a damaged segment takes its place; where there is no more time or room for that it is set aside whole. */
function openOrSalvage(opening: Opening, file: string, nextFile: string | undefined): OpenedSegment {
  const path = join(opening.request.folder, file);
  try {
    return { opened: openSegment(opening, path), spans: null };
  } catch (error) {
    if (!isDamage(error)) throw error;
  }
  const salvaged = salvageWithRoom(opening, path);
  if (salvaged === null) {
    const loss = lossByNames(file, nextFile);
    opening.faults.push(setAsideSegment({ folder: opening.request.folder, file, loss, kept: opening.kept }));
    return { opened: null, spans: [] };
  }
  const { aside, spans, recordCount } = salvaged;
  opening.faults.push(fault("journal-damaged", { file: aside, salvagedRecords: recordCount }));
  return { opened: openSegment(opening, path), spans };
}

/** On a full disk the room in reserve and what was kept aside of other files go first. @returns  Null where there is no more time or room. */
function salvageWithRoom(opening: Opening, path: string): Salvaged | null {
  const { folder } = opening.request;
  while (opening.monotonicNow() < opening.salvageUntilMs) {
    try {
      return salvageSegment(path);
    } catch (error) {
      if (!isFullDisk(error)) throw error;
      if (!releaseReserve(folder) && dropOldestAside(folder) === null) return null;
    }
  }
  return null;
}

/** A sealed segment is looked at, an unsealed one is opened and every page checked; an empty one is removed. */
function openSegment(opening: Opening, path: string): SegmentEntry | SegmentWriter | null {
  const entry = statSync(path).size === 0 ? null : inspectSealed(path, opening.request.checkAll);
  if (entry !== null) return entry;
  const writer = new SegmentWriter(path, opening.monotonicNow(), { check: true, checkAll: opening.request.checkAll });
  if (writer.entry.recordCount > 0) return writer;
  writer.abandon();
  removeDatabase(path);
  return null;
}

/**
 * Owes the loss of what a damaged segment held and renames its file, which takes no room. A disk too full for the note of the loss is no reason
 * to stop: the gap that the file leaves is found, in this opening or in the next one.
 *
 * @returns  The fault to tell.
 */
function setAsideSegment(damaged: {
  readonly folder: string;
  readonly file: string;
  readonly loss: LostRange;
  readonly kept: KeptFile;
}): Fault {
  const { folder, file, loss, kept } = damaged;
  try {
    kept.oweLoss(loss);
  } catch (error) {
    if (!isFullDisk(error)) throw error;
  }
  const aside = setAsideDatabase(join(folder, file));
  syncFolder(folder);
  return fault("journal-damaged", { file: aside, fromSeq: loss.fromSeq, toSeq: loss.toSeq });
}

/** What a segment held at most, by its own name and the next one's; where the newest ends is not known. */
function lossByNames(file: string, nextFile: string | undefined): LostRange {
  const fromSeq = firstSeqOf(file);
  const toSeq = nextFile === undefined ? fromSeq : firstSeqOf(nextFile) - 1;
  return { fromSeq, toSeq, count: toSeq - fromSeq + 1, why: "journal-damaged", what: "records", reader: null };
}
