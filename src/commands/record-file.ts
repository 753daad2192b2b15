import { createReadStream } from "node:fs";
import { type Fault, fault } from "../core/errors.ts";
import { LIMITS } from "../core/limits.ts";
import { fail, type Result, succeed } from "../core/result.ts";
import { sqliteOrSystemCode } from "../journal/journal-folder.ts";

/**
 * Reads a receiver's record file line by line.
 *
 * @param takeLine  Called with each line; `isWhole` is false for the last piece of a file that does not end with a line end.
 * @returns         `journal-unreadable` where the file cannot be read.
 */
export async function readRecordFile(
  file: string,
  takeLine: (text: string, isWhole: boolean) => void,
): Promise<Result<void, Fault>> {
  let rest = "";
  try {
    for await (const piece of createReadStream(file, { encoding: "utf8", highWaterMark: 1 << 20 })) {
      const lines = (rest + String(piece)).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) takeLine(line, true);
      if (rest.length > LIMITS.verifyLineBytesMax.value) {
        takeLine(rest, true);
        rest = "";
      }
    }
  } catch (error) {
    const code = sqliteOrSystemCode(error);
    if (code === null) throw error;
    return fail(fault("journal-unreadable", { file, code }));
  }
  takeLine(rest, false);
  return succeed(undefined);
}
