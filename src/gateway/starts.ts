import { seq } from "../core/ids.ts";
import { LIMITS } from "../core/limits.ts";
import type { Journal } from "../core/ports.ts";
import type { LifeStart } from "../core/record.ts";

/** One start of the gateway, as far as it says how the life before ended. */
export type StartView = Pick<LifeStart, "atMs" | "before" | "version">;

/** The gateway's starts since a time by its own clock, oldest first. Reads the few start records that are ever kept. */
export async function startsSince(journal: Pick<Journal, "read">, sinceMs: number): Promise<readonly StartView[]> {
  const starts: StartView[] = [];
  for (let afterSeq = seq(0); ; ) {
    const page = await journal.read({ afterSeq, limit: LIMITS.journalReadRecordsMax.value, kinds: ["start"] });
    for (const record of page)
      if (record.kind === "start" && record.atMs >= sinceMs)
        starts.push({ atMs: record.atMs, before: record.before, version: record.version });
    const last = page.at(-1);
    if (last === undefined) return starts;
    afterSeq = last.seq;
  }
}
