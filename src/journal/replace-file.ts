import {
  closeSync,
  existsSync,
  fsyncSync,
  linkSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { copyReadable, expectStillUnread, type UnreadPlace } from "./database-image.ts";
import { COMPANIONS, isSameFile, KEPT_FILE, removeDatabase, sqliteOrSystemCode } from "./journal-folder.ts";

/** A new file while it is made; worth nothing. */
const MAKING = ".renewing";
/** A new file that is whole and on disk; from then on it counts and what lies under the old name does not. */
const MADE = ".renewed";

/** Says that files in use must be written anew before they are used again. */
const RENEWAL_MARK = "renew.mark";

/**
 * Marks a folder whose files met trouble, for whoever opens it next. Not waited for: pages that the kernel falsely calls clean go with its
 * memory, and so does this. Where the files are not there, their disk is away, and nothing is written beside it.
 */
export function markRenewal(folder: string): void {
  try {
    if (!existsSync(join(folder, KEPT_FILE))) return;
    closeSync(openSync(join(folder, RENEWAL_MARK), "w", 0o600));
  } catch (error) {
    if (sqliteOrSystemCode(error) === null) throw error;
  }
}

/** Whether files in use must be written anew. */
export function isRenewalDue(folder: string): boolean {
  return existsSync(join(folder, RENEWAL_MARK));
}

/** All files in use were written anew. */
export function clearRenewal(folder: string): void {
  rmSync(join(folder, RENEWAL_MARK), { force: true });
}

/** Waits until the names in a folder are on disk: a file that was made, renamed or removed is so only then. */
export function syncFolder(folder: string): void {
  syncPath(folder);
}

function syncPath(path: string): void {
  const opened = openSync(path, "r");
  try {
    fsyncSync(opened);
  } finally {
    closeSync(opened);
  }
}

/**
 * Puts a database that `make` writes in the place of another, such that a crash or power cut at any moment leaves the old one with its log,
 * or the new one without. A write-ahead log counts for whatever database lies beside it, so the old log must be gone for good before
 * the new file has the old name; between the two moments the new file has a name of its own, which opening knows.
 *
 * @param make  Writes the database at the path it is given, without companions beside it at the end.
 * @param keep  Called once the new database is whole and before it counts: the last moment to give the old one a second name.
 * @throws      What `make` or the disk throws; the old database is then still the one in use, or `finishReplacement` ends the work.
 */
export function replaceDatabase(path: string, make: (newPath: string) => void, keep: () => void = () => undefined): void {
  const making = path + MAKING;
  removeDatabase(making);
  try {
    make(making);
    syncPath(making);
  } catch (error) {
    removeDatabase(making);
    throw error;
  }
  try {
    keep();
  } catch (error) {
    removeDatabase(making);
    throw error;
  }
  renameSync(making, path + MADE);
  syncFolder(dirname(path));
  finishReplacement(path);
}

/** Ends a replacement that was cut short after its new file was whole; else nothing happens. */
export function finishReplacement(path: string): void {
  if (!existsSync(path + MADE)) return;
  const folder = dirname(path);
  for (const ending of COMPANIONS) rmSync(path + ending, { force: true });
  syncFolder(folder);
  renameSync(path + MADE, path);
  syncFolder(folder);
}

/** Ends all replacements of a folder that were cut short, and removes what was only begun. */
export function finishReplacements(folder: string): void {
  const names = readdirSync(folder);
  for (const name of names) if (name.endsWith(MADE)) finishReplacement(join(folder, name.slice(0, -MADE.length)));
  const begun = names.filter((name) => name.includes(MAKING));
  for (const name of begun) rmSync(join(folder, name), { force: true });
  if (begun.length > 0) syncFolder(folder);
}

/**
 * Puts a database that `make` writes in the place of a damaged one, which gets a second name, `*.damaged`, once the new one is whole: trouble
 * before that, as of a disk that is full, leaves no name behind, however often it is tried.
 *
 * @param make    As with `replaceDatabase`; the damaged file lies at its path still.
 * @param unread  What `make` goes without because the disk did not give it back; looked at after it. Where the disk gives it back by then,
 *                it was away and nothing is replaced.
 * @returns       The path of the damaged file under its second name; its first one where there is no such file.
 * @throws        Also where the disk was away.
 */
export function replaceDamaged(path: string, make: (newPath: string) => void, unread: readonly UnreadPlace[] = []): string {
  let aside: string | null = null;
  try {
    replaceDatabase(path, make, () => {
      expectStillUnread(unread, path + MAKING);
      if (existsSync(path)) aside = keepAside(path);
    });
  } catch (error) {
    // A new file that is whole counts already, and opening ends the work.
    if (aside !== null && !existsSync(path + MADE)) removeDatabase(aside);
    throw error;
  }
  return aside ?? path;
}

/** Gives a damaged database and its companions a second name, without overwriting an earlier one, and returns the new path. */
function keepAside(path: string): string {
  let aside = `${path}.damaged`;
  // A crash between the second name and the new file leaves the second name of the file that is still in use.
  for (let number = 2; existsSync(aside) && !isSameFile(path, aside); number++) aside = `${path}.${number}.damaged`;
  removeDatabase(aside);
  try {
    for (const ending of [...COMPANIONS, ""])
      if (existsSync(path + ending)) nameAgain(path + ending, aside + ending, copyReadable);
    syncFolder(dirname(path));
  } catch (error) {
    removeDatabase(aside);
    throw error;
  }
  return aside;
}

/** Gives a database without companions a second name, durably: under that name it is whole or not there at all. */
export function keepUnderName(path: string, secondPath: string): void {
  const making = secondPath + MAKING;
  rmSync(making, { force: true });
  // The package's own copy falls back on a way of reading that begins anew where the disk fails, and says nothing.
  nameAgain(path, making, (from, to) => writeFileSync(to, readFileSync(from)));
  syncPath(making);
  renameSync(making, secondPath);
  syncFolder(dirname(secondPath));
}

/** A second name costs no space; a file system without them (FAT) gets a copy. */
function nameAgain(from: string, to: string, copy: (from: string, to: string) => void): void {
  try {
    linkSync(from, to);
  } catch (error) {
    if (sqliteOrSystemCode(error) === null) throw error;
    copy(from, to);
  }
}
