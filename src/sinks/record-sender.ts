import { backoffMs } from "../core/backoff.ts";
import type { Fault } from "../core/errors.ts";
import { recordKey } from "../core/ids.ts";
import { LIMITS } from "../core/limits.ts";
import type { Delivery, Journal } from "../core/ports.ts";
import type { JournalRecord } from "../core/record.ts";
import type { Clock, WallMs } from "../core/time.ts";
import { leavesFor } from "../core/upstream.ts";
import type { BoundedDelivery } from "./bounded-delivery.ts";
import type { Outage } from "./outage.ts";
import type { ReaderLosses } from "./reader-losses.ts";
import type { Lane, ReaderProgress } from "./reader-progress.ts";
import type { Refusal, Refusals } from "./refusals.ts";
import type { Session } from "./session.ts";
import type { UrgentLane } from "./urgent-lane.ts";

/** Alerts, acts or losses in one delivery: small, so that little is sent again after a failure. */
export const KEPT_BATCH_RECORDS_MAX = 10;

/** The longest wait of a lane that keeps failing while the connection is well, in ms. */
const PAUSE_MS_MAX: Readonly<Record<Lane, number>> = {
  kept: LIMITS.upstreamBackoffMsMin.value,
  bulk: LIMITS.upstreamBackoffMsMax.value,
};

/** What a record sender needs. */
export interface RecordSenderParts {
  /** The reader's name in the journal. */
  readonly name: string;
  readonly gatewayId: string;
  readonly journal: Pick<Journal, "epoch">;
  readonly clock: Clock;
  /** 0 to 1, for the jitter of retries. */
  readonly random: () => number;
  readonly carrier: BoundedDelivery;
  readonly losses: ReaderLosses;
  readonly outage: Outage;
  readonly progress: ReaderProgress;
  readonly refusals: Refusals;
  readonly urgentLane: UrgentLane;
}

/** Sends records of one reader for all three passes, sets aside what the receiver refuses, and ends the session where it fails. */
export class RecordSender {
  readonly #parts: RecordSenderParts;
  #lastConfirmedAtMs: WallMs | null = null;
  #sentCount = 0;
  #resentCount = 0;

  constructor(parts: RecordSenderParts) {
    this.#parts = parts;
  }

  /** What was confirmed so far. */
  confirmed(): { readonly lastConfirmedAtMs: WallMs | null; readonly sentCount: number; readonly resentCount: number } {
    return { lastConfirmedAtMs: this.#lastConfirmedAtMs, sentCount: this.#sentCount, resentCount: this.#resentCount };
  }

  /** Records on disk as deliveries, without those that do not leave for this reader or that it has refused. */
  batch(records: readonly JournalRecord[], resent: boolean): readonly Delivery[] {
    const { name, losses } = this.#parts;
    return records
      .filter((record) => leavesFor(record, name) && !losses.isRefused(record.seq))
      .map((record) => this.delivery(record, { resent, durable: true }));
  }

  /** One record as a delivery, with the key that it may have been sent under in the former epoch. */
  delivery(record: JournalRecord, how: Pick<Delivery, "resent" | "durable">): Delivery {
    const { gatewayId, journal, progress } = this.#parts;
    const key = recordKey({ gatewayId, epoch: journal.epoch, seq: record.seq });
    const { former } = progress;
    if (former === undefined || record.seq > former.upTo) return { key, record, ...how };
    return { key, formerKey: recordKey({ gatewayId, epoch: former.epoch, seq: record.seq }), record, ...how };
  }

  /** True when everything in the batch was confirmed or set aside; otherwise the session is over. */
  async send(batch: readonly Delivery[], lane: Lane, session: Session): Promise<boolean> {
    if (batch.length === 0) return true;
    const { outage, refusals } = this.#parts;
    const refused: Refusal[] = [];
    const reason = await this.#deliverAll(batch, session.giveUp, refused);
    refusals.setAside(refused);
    if (reason === null) {
      outage.recovered(lane);
      this.settle(session);
      return true;
    }
    if (!session.ended) outage.failed(lane);
    outage.lose(session, reason);
    return false;
  }

  /** The outage is over when the connection stands and no lane still waits for its first success after a failure. */
  settle(session: Session): void {
    const { outage, progress, urgentLane } = this.#parts;
    if (session.ended) return;
    if (urgentLane.idle() && progress.isDone("kept")) outage.recovered("kept");
    if (progress.isDone("bulk")) outage.recovered("bulk");
    outage.settle();
  }

  /** The first failure may be the connection's and costs nothing; from the second in a row on the lane itself waits. */
  async pause(lane: Lane, session: Session): Promise<void> {
    const { clock, outage, random } = this.#parts;
    const failures = outage.failuresOf(lane);
    if (failures < 2) return;
    const bounds = { msMin: LIMITS.upstreamBackoffMsMin.value, msMax: PAUSE_MS_MAX[lane] };
    await clock.sleep(backoffMs(failures - 1, bounds, random()), session.over);
  }

  /** Delivers a batch; what the receiver refuses is halved until the refused record stands alone, and noted. */
  async #deliverAll(batch: readonly Delivery[], giveUp: AbortSignal, refused: Refusal[]): Promise<Fault | null> {
    const { carrier, refusals } = this.#parts;
    const answer = await carrier.deliver(batch, giveUp);
    switch (answer.kind) {
      case "delivered":
        this.#count(batch);
        return null;
      case "try-later":
        return answer.fault;
      case "rejected": {
        const named = batch.filter((delivery) => answer.keys.includes(delivery.key));
        const suspects = named.length === 0 ? batch : named;
        const innocent = marked(batch.filter((delivery) => !suspects.includes(delivery)));
        const rest = innocent.length === 0 ? null : await this.#deliverAll(innocent, giveUp, refused);
        if (rest !== null) return rest;
        const [first] = suspects;
        if (suspects.length === 1 && first !== undefined)
          return refusals.note(first, answer.fault, refused) ? null : answer.fault;
        const middle = Math.ceil(suspects.length / 2);
        const left = await this.#deliverAll(marked(suspects.slice(0, middle)), giveUp, refused);
        return left ?? (await this.#deliverAll(marked(suspects.slice(middle)), giveUp, refused));
      }
    }
  }

  #count(batch: readonly Delivery[]): void {
    this.#lastConfirmedAtMs = this.#parts.clock.wall();
    const resentCount = batch.filter((delivery) => delivery.resent).length;
    this.#resentCount += resentCount;
    this.#sentCount += batch.length - resentCount;
  }
}

function marked(batch: readonly Delivery[]): readonly Delivery[] {
  return batch.map((delivery) => ({ ...delivery, resent: true }));
}
