import { LIMITS } from "../core/limits.ts";
import type { Clock } from "../core/time.ts";
import type { BoundedDelivery } from "./bounded-delivery.ts";
import type { Outage } from "./outage.ts";
import type { RecordSender } from "./record-sender.ts";
import type { Session } from "./session.ts";
import { unlessStopped } from "./stoppable-answer.ts";

/** What the probe of a connection needs. */
export interface ConnectionProbeParts {
  readonly clock: Clock;
  readonly carrier: BoundedDelivery;
  readonly outage: Outage;
  readonly sender: RecordSender;
}

/** Asks the sink now and then whether it still has its connection, so that an outage is known although nothing is sent. */
export async function probeConnection(parts: ConnectionProbeParts, session: Session): Promise<void> {
  const { clock, carrier, outage, sender } = parts;
  while (!session.ended) {
    await clock.sleep(LIMITS.upstreamProbeMs.value, session.over);
    if (session.ended) return;
    const answer = await unlessStopped(carrier.deliver([], session.giveUp), session.over);
    if (answer === null) return;
    if (answer.kind === "delivered") sender.settle(session);
    else outage.lose(session, answer.fault);
  }
}
