import type { ReaderView } from "../../../core/reader-view.ts";
import { fail, type Result, succeed } from "../../../core/result.ts";
import { ask, type Refusal } from "../state/gateway-door.ts";

/** Asks how the readers of the journal stand. The server of these pages is built from the same types. */
export async function askReaders(): Promise<Result<readonly ReaderView[], Refusal>> {
  const answer = await ask("api/readers");
  if (!answer.ok) return answer;
  const { readers } = answer.value;
  return Array.isArray(readers) ? succeed(readers) : fail(null);
}
