import { closeSync, existsSync, fstatSync, openSync, readdirSync, readlinkSync, readSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import { holderOf, KEPT_FILE, LOCK_FILE, listSealedKept, listSegments } from "../../journal/journal-folder.ts";
import { viewJournal } from "../../journal/read-only.ts";
import type { Examined, Family } from "./examined.ts";
import { systemCode } from "./files.ts";
import { found, notTried, type Outcome, well } from "./outcome.ts";

/** What is looked at of a database file: its magic, page size and number of pages. Source: sqlite.org/fileformat2.html, 1.3. */
const HEADER_BYTES = 32;
const PAGE_SIZE_AT_BYTE = 16;
const PAGE_COUNT_AT_BYTE = 28;
/** A page size of 1 in the header means 65,536 bytes. */
const LARGEST_PAGE_BYTES = 65_536;

/** Whether the journal can be used: who holds it, its version, and a cheap look at its files. Opened for reading only; nothing is locked. */
export const examineJournal: Family = async (examined) => {
  const folder = join(examined.config.gateway.dataFolder, "journal");
  try {
    if (statSync(join(folder, KEPT_FILE), { throwIfNoEntry: false }) === undefined)
      return [notTried("journal", folder, { en: "there is none yet", zh: "尚未建立" })];
    const damaged = [...damagedFiles(folder), ...setAside(folder)];
    return [...damaged, ...examineView(folder, examined, damaged.length > 0)];
  } catch (error) {
    return [found("journal-unreadable", folder, { cause: systemCode(error) })];
  }
};

function examineView(folder: string, { gateway }: Examined, damageTold: boolean): readonly Outcome[] {
  const opened = viewJournal(folder);
  if (!opened.ok) {
    const { code, facts } = opened.error;
    if (code === "journal-too-new") return [found("journal-too-new", folder, facts)];
    if (code === "journal-damaged") return damageTold ? [] : [found("journal-damaged", String(facts["file"] ?? folder), facts)];
    return damageTold ? [] : [found("journal-unreadable", folder, facts)];
  }
  const { isRunning } = opened.value;
  opened.value.close();
  if (isRunning && (gateway.kind === "absent" || gateway.kind === "silent"))
    return [found("journal-locked", folder, { ...holderOf(folder) })];
  return damageTold ? [] : [well("journal", folder)];
}

/** Files that are no databases any more, or shorter than they say. */
function damagedFiles(folder: string): readonly Outcome[] {
  return [KEPT_FILE, ...listSealedKept(folder), ...listSegments(folder)].flatMap((name) => {
    const path = join(folder, name);
    // What a log still holds is not yet in the file.
    const isShort = !existsSync(`${path}-wal`);
    const trouble = troubleOfHeader(path, isShort);
    return trouble === null ? [] : [found("journal-damaged", path, { trouble })];
  });
}

function troubleOfHeader(path: string, countsPages: boolean): string | null {
  const file = openSync(path, "r");
  try {
    const { size } = fstatSync(file);
    // A database that was made and not written to is empty until its first commit.
    if (size === 0) return null;
    const header = Buffer.alloc(HEADER_BYTES);
    if (readSync(file, header, 0, HEADER_BYTES, 0) < HEADER_BYTES) return "too short";
    if (header.toString("latin1", 0, 16) !== "SQLite format 3\0") return "not a database";
    const given = header.readUInt16BE(PAGE_SIZE_AT_BYTE);
    const pageBytes = given === 1 ? LARGEST_PAGE_BYTES : given;
    const wanted = header.readUInt32BE(PAGE_COUNT_AT_BYTE) * pageBytes;
    return countsPages && size < wanted ? `${size} of ${wanted} bytes` : null;
  } catch (error) {
    return systemCode(error);
  } finally {
    closeSync(file);
  }
}

function setAside(folder: string): readonly Outcome[] {
  const names = readdirSync(folder).filter((name) => name.endsWith(".damaged"));
  return names.length === 0 ? [] : [found("journal-was-damaged", folder, { files: names.join(", ") })];
}

/**
 * The process that holds a journal's lock, or null. What it noted of itself outlives a kill, so its open files are looked at; where this user
 * may not, a process of that number is taken for it.
 */
export function journalHolder(folder: string, root: string): number | null {
  const { pid } = holderOf(folder);
  if (pid === undefined || !existsSync(`${root}proc/${pid}`)) return null;
  const files = `${root}proc/${pid}/fd`;
  try {
    return readdirSync(files).some((file) => basename(readlinkSync(join(files, file))) === LOCK_FILE) ? pid : null;
  } catch (error) {
    // A file may be closed between the two looks.
    return systemCode(error) === "ENOENT" ? null : pid;
  }
}
