import { closeSync, existsSync, fsyncSync, openSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import { LIMITS } from "../core/limits.ts";
import { sqliteOrSystemCode } from "./journal-folder.ts";
import { syncFolder } from "./replace-file.ts";

const RESERVE_FILE = "reserve.bin";

/** Sets room aside on the disk where there is none yet. A disk that has no room now is asked again later. */
export function keepReserve(folder: string): void {
  const path = join(folder, RESERVE_FILE);
  if (existsSync(path)) return;
  try {
    const file = openSync(path, "wx", 0o600);
    try {
      // Written, not only given a length: a hole takes no room.
      writeSync(file, Buffer.alloc(LIMITS.journalReserveBytes.value, 0xff));
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    syncFolder(folder);
  } catch (error) {
    if (sqliteOrSystemCode(error) === null) throw error;
    releaseReserve(folder);
  }
}

/** Gives the room back, for the note of what is given up on a disk that is full. @returns  Whether there was any. */
export function releaseReserve(folder: string): boolean {
  const path = join(folder, RESERVE_FILE);
  const isThere = existsSync(path);
  try {
    rmSync(path, { force: true });
    return isThere;
  } catch (error) {
    if (sqliteOrSystemCode(error) === null) throw error;
    return false;
  }
}
