import { createHash } from "node:crypto";
import { access, constants, open, readdir, realpath, rename, rm, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { LIMITS } from "../core/limits.ts";
import { fail, type Result, succeed } from "../core/result.ts";
import type { SettingsHindrance } from "../core/settings-view.ts";

/** A configuration's file as it lies there. */
export interface ConfigFile {
  readonly text: string;
  /** SHA-256 of the text, hexadecimal. */
  readonly hash: string;
}

/** SHA-256 of a configuration's text, hexadecimal. */
export function configHash(text: string): string {
  return createHash("sha256").update(text, "utf8").digest("hex");
}

/** Reads a configuration; the operating system's code where it cannot be, `EFBIG` where it is larger than any is. */
export async function readConfigFile(file: string): Promise<Result<ConfigFile, string>> {
  try {
    const handle = await open(file, "r");
    try {
      if ((await handle.stat()).size > LIMITS.configFileBytesMax.value) return fail("EFBIG");
      const text = await handle.readFile("utf8");
      return succeed({ text, hash: configHash(text) });
    } finally {
      await handle.close();
    }
  } catch (error) {
    return fail(codeOf(error));
  }
}

/** Why this process cannot put another text in a configuration's place; null where it can. */
export async function writeHindrance(file: string): Promise<SettingsHindrance | null> {
  try {
    const path = await realpath(file);
    await access(path, constants.W_OK).catch((error: unknown) => {
      throw new Hindered("file-not-writable", error);
    });
    await access(dirname(path), constants.W_OK).catch((error: unknown) => {
      throw new Hindered("folder-not-writable", error);
    });
    return null;
  } catch (error) {
    return error instanceof Hindered
      ? { code: error.code, detail: codeOf(error.cause) }
      : { code: "file-unreadable", detail: codeOf(error) };
  }
}

class Hindered extends Error {
  readonly code: "file-not-writable" | "folder-not-writable";
  constructor(code: Hindered["code"], cause: unknown) {
    super(code, { cause });
    this.code = code;
  }
}

/**
 * Puts another text in a configuration's place: first a copy of what is there lies beside it, as `FILE.bak-` and the time, then the new text
 * takes its place by a rename, each on disk before the next. Owner and rights stay; where they cannot, nothing is changed.
 *
 * @returns  The copy's path, or the operating system's code.
 */
export async function replaceConfigFile(file: string, text: string, atMs: number): Promise<Result<string, string>> {
  const before = await readConfigFile(file);
  if (!before.ok) return before;
  const backup = await backUp(file, before.value.text, atMs);
  if (!backup.ok) return backup;
  try {
    await writeInPlace(await realpath(file), text);
    return backup;
  } catch (error) {
    return fail(codeOf(error));
  }
}

/** Keeps a text beside a configuration's file, as `FILE.bak-` and the time; of such copies the newest few stay. */
export async function backUp(file: string, text: string, atMs: number): Promise<Result<string, string>> {
  try {
    const path = await realpath(file);
    const copy = `${path}.bak-${stampOf(atMs)}`;
    await writeDurably(copy, text, await rightsOf(path));
    await forgetOldest(path);
    return succeed(copy);
  } catch (error) {
    return fail(codeOf(error));
  }
}

/**
 * Puts a copy back in the configuration's place; what lies there is kept as `FILE.failed-` and the time.
 *
 * @returns  What went wrong, or null.
 */
export async function putBack(file: string, copy: string, atMs: number): Promise<string | null> {
  try {
    const path = await realpath(file);
    if (!copy.startsWith(`${path}.bak-`)) return "not a copy of this file";
    const [previous, failed] = [await readConfigFile(copy), await readConfigFile(path)];
    if (!previous.ok) return previous.error;
    const rights = await rightsOf(path);
    if (failed.ok) await writeDurably(`${path}.failed-${stampOf(atMs)}`, failed.value.text, rights);
    await writeInPlace(path, previous.value.text);
    return null;
  } catch (error) {
    return codeOf(error);
  }
}

interface Rights {
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

async function rightsOf(path: string): Promise<Rights> {
  const { mode, uid, gid } = await stat(path);
  return { mode: mode & 0o777, uid, gid };
}

async function writeInPlace(path: string, text: string): Promise<void> {
  const beside = `${path}.new`;
  await writeDurably(beside, text, await rightsOf(path));
  await rename(beside, path);
  await syncFolder(dirname(path));
}

async function writeDurably(path: string, text: string, { mode, uid, gid }: Rights): Promise<void> {
  // Nobody may have laid a link there that leads elsewhere.
  await rm(path, { force: true });
  const handle = await open(path, "wx", 0o600);
  try {
    const own = await handle.stat();
    if (own.uid !== uid || own.gid !== gid) await handle.chown(uid, gid);
    await handle.chmod(mode);
    await handle.writeFile(text);
    await handle.sync();
  } catch (error) {
    await rm(path, { force: true });
    throw error;
  } finally {
    await handle.close();
  }
  await syncFolder(dirname(path));
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Only names that were made here are looked at. */
async function forgetOldest(path: string): Promise<void> {
  const prefix = `${basename(path)}.bak-`;
  const names = (await readdir(dirname(path))).filter(
    (name) => name.startsWith(prefix) && /^\d{8}T\d{9}Z$/.test(name.slice(prefix.length)),
  );
  const old = names.sort().slice(0, Math.max(0, names.length - LIMITS.configBackupsMax.value));
  for (const name of old) await rm(join(dirname(path), name), { force: true });
}

/** Such as `20261122T081502123Z`: in the order of time when sorted, and good in a file's name everywhere. */
function stampOf(atMs: number): string {
  return new Date(atMs).toISOString().replaceAll(/[-:.]/g, "");
}

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "unknown";
}
