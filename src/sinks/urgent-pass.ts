import { LIMITS } from "../core/limits.ts";
import type { Delivery, Journal } from "../core/ports.ts";
import { KEPT_BATCH_RECORDS_MAX, type RecordSender } from "./record-sender.ts";
import type { Session } from "./session.ts";
import type { UrgentEntry, UrgentLane } from "./urgent-lane.ts";

/** What the urgent pass needs. */
export interface UrgentPassParts {
  readonly journal: Pick<Journal, "committedSeq">;
  readonly sender: RecordSender;
  readonly urgentLane: UrgentLane;
}

/** Sends alerts from the urgent lane, in places of their own, until the session ends. */
export async function runUrgentPass(parts: UrgentPassParts, session: Session): Promise<void> {
  const { journal, sender, urgentLane } = parts;
  await sender.pause("kept", session);
  let underWayCount = 0;
  while (!session.ended) {
    const free = underWayCount < LIMITS.upstreamUrgentPlaces.value;
    const entries = free ? urgentLane.take(KEPT_BATCH_RECORDS_MAX) : [];
    if (entries.length === 0) {
      await session.change();
      continue;
    }
    underWayCount += 1;
    void session.start(async () => {
      const batch = urgentBatch(entries, journal, sender);
      urgentLane.settle(entries, await sender.send(batch, "kept", session));
      underWayCount -= 1;
    });
  }
}

function urgentBatch(
  entries: readonly UrgentEntry[],
  journal: Pick<Journal, "committedSeq">,
  sender: RecordSender,
): readonly Delivery[] {
  const committed = journal.committedSeq();
  return entries.map(({ alert, tried }) => sender.delivery(alert, { resent: tried, durable: alert.seq <= committed }));
}
