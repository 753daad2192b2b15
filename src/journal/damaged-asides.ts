import { existsSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { LIMITS } from "../core/limits.ts";
import { bytesOf, removeDatabase } from "./journal-folder.ts";
import { syncFolder } from "./replace-file.ts";

/** A damaged file under its second name, and the name it was damaged under. */
const ASIDE_NAME = /^(.+?)(?:\.\d+)?\.damaged$/;

interface Aside {
  readonly name: string;
  /** Whether it may hold alerts, which are never given up elsewhere. */
  readonly isKept: boolean;
  /** Whether what could be read of it lies in a new file under its first name. */
  readonly isRead: boolean;
  /** When its names last changed, in ms of the wall clock. */
  readonly changedMs: number;
}

/**
 * Damaged files that were kept aside, in the order they may go: first those of segments of which all that can be read is in use, then those
 * of segments that were set aside whole, and last what may hold alerts; the oldest of each first.
 */
export function listAsides(folder: string): string[] {
  return asidesOf(folder).map(({ name }) => name);
}

function asidesOf(folder: string): Aside[] {
  const asides = readdirSync(folder).flatMap((name): Aside[] => {
    const [, first] = ASIDE_NAME.exec(name) ?? [];
    const stat = first === undefined ? undefined : statSync(join(folder, name), { throwIfNoEntry: false });
    if (first === undefined || stat === undefined || !stat.isFile()) return [];
    return [{ name, isKept: name.startsWith("kept"), isRead: existsSync(join(folder, first)), changedMs: stat.ctimeMs }];
  });
  return asides.sort(
    (one, other) =>
      Number(one.isKept) - Number(other.isKept) ||
      Number(other.isRead) - Number(one.isRead) ||
      one.changedMs - other.changedMs ||
      (one.name < other.name ? -1 : 1),
  );
}

/** Bytes of the damaged files that were kept aside; they count in the journal's budget. */
export function bytesOfAsides(folder: string): number {
  return listAsides(folder).reduce((sum, name) => sum + bytesOf(join(folder, name)), 0);
}

/** Removes the damaged file that may go first. @returns  Its bytes, or null where there is none. */
export function dropOldestAside(folder: string): number | null {
  const [name] = listAsides(folder);
  return name === undefined ? null : dropAside(folder, name);
}

function dropAside(folder: string, name: string): number {
  const path = join(folder, name);
  const bytes = bytesOf(path);
  removeDatabase(path);
  syncFolder(folder);
  return bytes;
}

/**
 * Removes the oldest of the damaged files of which all that can be read is in use, beyond `journalAsidesMax`. One that was set aside whole is
 * the only place of what it holds, so it stays until the bytes run out.
 */
export function boundAsides(folder: string): void {
  const read = asidesOf(folder).filter(({ isRead }) => isRead);
  const beyond = read.slice(0, Math.max(0, read.length - LIMITS.journalAsidesMax.value));
  for (const { name } of beyond) dropAside(folder, name);
}
