import { readFile } from "node:fs/promises";
import { fail, type Result, succeed } from "../src/core/result.ts";
import type { ConfigProblem } from "./problems.ts";

/**
 * Reads a file that people write.
 *
 * @param remedy  What to do where it cannot be read.
 * @returns       Its text, or one problem that names the file.
 */
export async function readTextFile(
  file: string,
  remedy: ConfigProblem["remedy"],
): Promise<Result<string, readonly ConfigProblem[]>> {
  try {
    return succeed(await readFile(file, "utf8"));
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "unknown";
    return fail([{ path: file, line: null, problem: { en: `cannot be read (${code})`, zh: `无法读取（${code}）` }, remedy }]);
  }
}
