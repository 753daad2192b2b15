import { seq } from "../core/ids.ts";
import { LIMITS } from "../core/limits.ts";
import type { Journal } from "../core/ports.ts";
import { KEPT_KINDS, type RecordKind } from "../core/record.ts";
import type { Clock } from "../core/time.ts";
import { BATCH_MESSAGE_KINDS, RECORD_MESSAGE_KINDS } from "../core/upstream.ts";
import { type Page, readPage } from "./journal-page.ts";
import type { ReaderProgress } from "./reader-progress.ts";
import type { RecordSender } from "./record-sender.ts";
import type { Session } from "./session.ts";
import type { UrgentLane } from "./urgent-lane.ts";

/** Receipts do not leave, but a page that has them shows that nothing is missing in it. */
const LIVE_KINDS: readonly RecordKind[] = [...RECORD_MESSAGE_KINDS, ...BATCH_MESSAGE_KINDS, "receipt"];
/** Deliveries of new records under way; with those of alerts and backlog they fill `upstreamInFlightMax`. */
const LIVE_IN_FLIGHT_MAX =
  LIMITS.upstreamInFlightMax.value - LIMITS.upstreamUrgentPlaces.value - LIMITS.upstreamBacklogInFlightMax.value;

/** What the live pass needs. */
export interface LivePassParts {
  readonly journal: Pick<Journal, "read" | "committedSeq">;
  readonly clock: Clock;
  readonly progress: ReaderProgress;
  readonly sender: RecordSender;
  readonly urgentLane: UrgentLane;
}

/** Sends what comes onto the disk during the session, page by page, until the session ends. */
export async function runLivePass(parts: LivePassParts, session: Session): Promise<void> {
  const { journal, clock, progress, sender } = parts;
  await sender.pause("bulk", session);
  let underWayCount = 0;
  while (!session.ended) {
    const upTo = journal.committedSeq();
    if (underWayCount >= LIVE_IN_FLIGHT_MAX || upTo <= progress.livePosition) {
      await session.change();
      continue;
    }
    const range = { from: seq(progress.livePosition + 1), to: upTo };
    const page = await readPage(journal, session, { range, kinds: LIVE_KINDS, limit: LIMITS.upstreamBatchRecordsMax.value });
    if (page === null) {
      await clock.sleep(LIMITS.journalRetryMs.value, session.over);
      continue;
    }
    underWayCount += 1;
    void session.start(async () => {
      await sendPage(parts, page, session);
      underWayCount -= 1;
    });
  }
}

/** Sends one page of new records, what people must know first; each half that fails waits for the next session as backlog. */
async function sendPage(parts: LivePassParts, page: Page, session: Session): Promise<void> {
  const { progress, sender, urgentLane } = parts;
  progress.startLive(page);
  const kept = page.records.filter((record) => KEPT_KINDS.has(record.kind) && !urgentLane.has(record.seq));
  const bulk = page.records.filter((record) => !KEPT_KINDS.has(record.kind));
  const sending = {
    kept: sender.send(sender.batch(kept, false), "kept", session),
    bulk: sender.send(sender.batch(bulk, false), "bulk", session),
  };
  if (await sending.kept) progress.confirmLive("kept", page.covered);
  if (await sending.bulk) progress.confirmLive("bulk", page.covered);
}
