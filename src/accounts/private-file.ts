import { mkdir, open, rename } from "node:fs/promises";
import { dirname } from "node:path";
import { fail, type Result, succeed } from "../core/result.ts";

/**
 * Writes a file that only the gateway's user can read (mode 0600), and its folder where it is missing (mode 0700).
 * Writes beside, syncs and renames, so that a power cut leaves the old file or the new one, never half of either.
 *
 * @returns  The operating system's code of what failed, such as `ENOSPC`, or `unknown`.
 */
export async function writePrivateFile(file: string, content: string): Promise<Result<void, string>> {
  try {
    const folder = dirname(file);
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const beside = `${file}.new`;
    const handle = await open(beside, "w", 0o600);
    try {
      await handle.chmod(0o600);
      await handle.writeFile(content);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(beside, file);
    const directory = await open(folder, "r");
    try {
      await directory.sync();
    } finally {
      await directory.close();
    }
    return succeed(undefined);
  } catch (error) {
    return fail(error instanceof Error && "code" in error ? String(error.code) : "unknown");
  }
}
