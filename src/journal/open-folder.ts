import { randomUUID } from "node:crypto";
import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import { type Fault, fault } from "../core/errors.ts";
import { LIMITS } from "../core/limits.ts";
import type { LifeStart } from "../core/record.ts";
import { fail, type Result, succeed } from "../core/result.ts";
import { TooNewError, versionFromHeader } from "./database.ts";
import {
  type FolderLock,
  firstSeqOf,
  headerVersion,
  isDamage,
  KEPT_FILE,
  listSegments,
  lockFolder,
  makeFolder,
  removeDatabase,
  setAsideDatabase,
} from "./journal-folder.ts";
import { KEPT_SCHEMA, KeptFile, replaceDamagedKeptFile } from "./kept-file.ts";
import type { LostRange, OpenRequest, SegmentEntry } from "./messages.ts";
import { inspectSealed, SEGMENT_SCHEMA, SegmentWriter } from "./segment-file.ts";

/** As many numbers as can ever have waited for the disk; left out where no reservation is known. */
const UNRESERVED_LEFT_OUT =
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
  readonly faults: readonly Fault[];
}

/**
 * Opens a journal's folder, or makes it. Damaged files are set aside and the rest is used.
 *
 * @returns  The files, or `journal-locked`, or `journal-too-new` with nothing changed.
 * @throws   Errors of the disk, for the caller to name.
 */
export function openFolder(request: OpenRequest, nowMonotonicMs: number): Result<OpenFolder, Fault> {
  const { folder } = request;
  makeFolder(folder);
  const lock = lockFolder(folder);
  if (!lock.ok) return lock;
  try {
    const tooNew = findTooNew(folder);
    if (tooNew !== null) {
      lock.value.release();
      return fail(tooNew);
    }
    return succeed({ lock: lock.value, ...openFiles(request, nowMonotonicMs) });
  } catch (error) {
    lock.value.release();
    if (error instanceof TooNewError) return fail(tooNewFault(folder, error.foundVersion, error.knownVersion));
    throw error;
  }
}

function tooNewFault(folder: string, foundVersion: number, knownVersion: number): Fault {
  return fault("journal-too-new", { folder, foundVersion, knownVersion });
}

function findTooNew(folder: string): Fault | null {
  const files = [...listSegments(folder).map((file) => ({ file, known: SEGMENT_SCHEMA.steps.length }))];
  if (existsSync(join(folder, KEPT_FILE))) files.push({ file: KEPT_FILE, known: KEPT_SCHEMA.steps.length });
  for (const { file, known } of files) {
    const found = versionFromHeader(headerVersion(join(folder, file)));
    if (found !== null && found > known) return tooNewFault(folder, found, known);
  }
  return null;
}

function openFiles(request: OpenRequest, nowMonotonicMs: number): Omit<OpenFolder, "lock"> {
  const faults: Fault[] = [];
  const kept = openKept(request, faults);
  const segments = openSegments({ request, nowMonotonicMs, kept, faults });
  const storedEpoch = segments.endIsLost ? null : kept.fact("epoch");
  const epoch = request.epochToKeep ?? storedEpoch ?? randomUUID();
  const { sealed, active } = segments;
  const lastSeq = Math.max(
    kept.lastSeq(),
    active?.entry.lastSeq ?? 0,
    sealed.at(-1)?.lastSeq ?? 0,
    kept.highestCursor(),
    ...faults.map(lastSeqOfFault),
  );
  if (request.epochToKeep !== null) {
    kept.setFacts({ epoch, gatewayId: request.gatewayId });
    const life = { endedBefore: "closed", leftOut: null, reservedUpTo: Number(kept.fact("reservedUpTo") ?? 0) } as const;
    return { kept, epoch, lastSeq, ...life, sealed, active, faults };
  }
  const life = beginLife(kept, lastSeq);
  const { reservedUpTo } = life;
  kept.setFacts({ epoch, gatewayId: request.gatewayId, reservedUpTo: String(reservedUpTo), closedAtSeq: "" });
  return { kept, epoch, lastSeq, ...life, sealed, active, faults };
}

/**
 * How the life before ended and where numbering goes on. What was not yet on disk when a life was cut off may have gone upstream all the
 * same, marked as not durable; its number must not be given to another record, or a receiver that keeps each key once would drop the new
 * one. So each life reserves numbers on disk before it gives any, and what a life that was cut off had reserved is left out.
 */
function beginLife(kept: KeptFile, lastSeq: number): Pick<OpenFolder, "endedBefore" | "leftOut" | "reservedUpTo"> {
  const reserved = LIMITS.journalNumbersReserved.value;
  const storedUpTo = kept.fact("reservedUpTo");
  if (lastSeq === 0 && storedUpTo === null) return { endedBefore: "first", leftOut: null, reservedUpTo: reserved };
  if (kept.fact("closedAtSeq") === String(lastSeq))
    return { endedBefore: "closed", leftOut: null, reservedUpTo: lastSeq + reserved };
  // A journal of the first version, or one whose kept file was damaged, has no reservation that could be trusted.
  const to = Math.max(Number(storedUpTo ?? 0), lastSeq + UNRESERVED_LEFT_OUT);
  return { endedBefore: "cut-off", leftOut: { from: lastSeq + 1, to }, reservedUpTo: to + reserved };
}

/** Numbers of a file that was set aside are not given out again. */
function lastSeqOfFault(found: Fault): number {
  const toSeq = found.facts["toSeq"];
  return typeof toSeq === "number" ? toSeq : 0;
}

function openKept(request: OpenRequest, faults: Fault[]): KeptFile {
  const path = join(request.folder, KEPT_FILE);
  const isNew = !existsSync(path) && listSegments(request.folder).length === 0;
  if (isNew) return KeptFile.open(path);
  const opened = existsSync(path) ? openSoundKept(path) : null;
  if (opened !== null) return opened;
  const replaced = replaceDamagedKeptFile(path, request.gatewayId, request.epochToKeep);
  faults.push(fault("journal-damaged", { file: replaced.aside, salvagedRecords: replaced.salvagedRecords }));
  return replaced.kept;
}

function openSoundKept(path: string): KeptFile | null {
  if (statSync(path).size === 0) return null;
  try {
    const kept = KeptFile.open(path);
    if (kept.isSound() && kept.fact("epoch") !== null) return kept;
    kept.close();
    return null;
  } catch (error) {
    if (isDamage(error)) return null;
    throw error;
  }
}

interface Opening {
  readonly request: OpenRequest;
  readonly nowMonotonicMs: number;
  readonly kept: KeptFile;
  readonly faults: Fault[];
}

interface OpenedSegments {
  readonly sealed: readonly SegmentEntry[];
  readonly active: SegmentWriter | null;
  /** True where the newest segment was damaged: the highest number once given out is then unknown, and a new epoch begins. */
  readonly endIsLost: boolean;
}

function openSegments(opening: Opening): OpenedSegments {
  const files = listSegments(opening.request.folder);
  const sealed: SegmentEntry[] = [];
  let active: SegmentWriter | null = null;
  let endIsLost = false;
  for (const [index, file] of files.entries()) {
    const opened = openSegment(opening, file, files[index + 1]);
    endIsLost = opened === "damaged";
    if (opened === "damaged" || opened === "empty") continue;
    if (active !== null) sealed.push(active.seal());
    active = null;
    if (opened instanceof SegmentWriter) active = opened;
    else sealed.push(opened);
  }
  return { sealed, active, endIsLost };
}

/** A sealed segment is looked at, an unsealed one is opened and every page checked; an empty one is removed, a damaged one set aside. */
function openSegment(
  opening: Opening,
  file: string,
  nextFile: string | undefined,
): SegmentEntry | SegmentWriter | "empty" | "damaged" {
  const path = join(opening.request.folder, file);
  try {
    const entry = statSync(path).size === 0 ? null : inspectSealed(path, opening.request.checkAll);
    if (entry !== null) return entry;
    const writer = new SegmentWriter(path, opening.nowMonotonicMs, { check: true });
    if (writer.entry.recordCount > 0) return writer;
    writer.abandon();
    removeDatabase(path);
    return "empty";
  } catch (error) {
    if (!isDamage(error)) throw error;
    const loss = lossByNames(file, nextFile);
    opening.faults.push(setAsideSegment({ folder: opening.request.folder, file, loss, kept: opening.kept }));
    return "damaged";
  }
}

/**
 * Owes the loss of what a damaged segment held and renames its file.
 *
 * @returns  The fault to tell.
 */
export function setAsideSegment(damaged: {
  readonly folder: string;
  readonly file: string;
  readonly loss: LostRange;
  readonly kept: KeptFile;
}): Fault {
  const { folder, file, loss, kept } = damaged;
  kept.oweLoss(loss);
  const aside = setAsideDatabase(join(folder, file));
  return fault("journal-damaged", { file: aside, fromSeq: loss.fromSeq, toSeq: loss.toSeq });
}

/** What a segment held at most, by its own name and the next one's; where the newest ends is not known. */
function lossByNames(file: string, nextFile: string | undefined): LostRange {
  const fromSeq = firstSeqOf(file);
  const toSeq = nextFile === undefined ? fromSeq : firstSeqOf(nextFile) - 1;
  return { fromSeq, toSeq, count: toSeq - fromSeq + 1, why: "journal-damaged", what: "records", reader: null };
}
