import { type Fault, fault } from "../core/errors.ts";
import { LIMITS } from "../core/limits.ts";
import type { Delivery, DeliveryOutcome, Sink } from "../core/ports.ts";
import type { Clock } from "../core/time.ts";

/**
 * A sink that always answers in time, whatever the sink behind it does. A delivery without an answer in `upstreamDeliveryMsMax`, or one
 * that is given up, counts as `try-later`; what the sink says about it afterwards is not heard. While `upstreamAbandonedMax` of these have
 * not ended, the sink is left alone, so that one that never answers keeps no more memory than those batches.
 */
export class BoundedDelivery {
  readonly #sink: Sink;
  readonly #clock: Clock;
  #abandonedCount = 0;

  constructor(parts: { readonly sink: Sink; readonly clock: Clock }) {
    this.#sink = parts.sink;
    this.#clock = parts.clock;
  }

  /** Never rejects, and answers at the latest when `giveUp` is aborted. */
  deliver(batch: readonly Delivery[], giveUp: AbortSignal): Promise<DeliveryOutcome> {
    if (giveUp.aborted) return Promise.resolve(later(fault("upstream-unreachable", { reason: "given-up" })));
    if (this.#abandonedCount >= LIMITS.upstreamAbandonedMax.value)
      return Promise.resolve(later(fault("upstream-slow", { waitedFor: "delivery", abandoned: this.#abandonedCount })));
    return new Promise((resolve) => {
      const ending = new AbortController();
      let isOpen = true;
      const settle = (outcome: DeliveryOutcome) => {
        isOpen = false;
        timer.stop();
        giveUp.removeEventListener("abort", onGiveUp);
        resolve(outcome);
      };
      const abandon = (reason: Fault) => {
        this.#abandonedCount += 1;
        settle(later(reason));
        ending.abort();
      };
      const onGiveUp = () => abandon(fault("upstream-unreachable", { reason: "given-up" }));
      const timer = this.#clock.after(LIMITS.upstreamDeliveryMsMax.value, () =>
        abandon(fault("upstream-slow", { waitedFor: "delivery" })),
      );
      giveUp.addEventListener("abort", onGiveUp);
      void this.#ask(batch, ending.signal).then((outcome) => {
        if (isOpen) settle(outcome);
        else this.#abandonedCount -= 1;
      });
    });
  }

  /** Closes the sink, and waits for that at most `upstreamStopMsMax`. */
  async close(): Promise<void> {
    const closed = this.#sink.close().catch(() => {});
    await Promise.race([closed, this.#clock.sleep(LIMITS.upstreamStopMsMax.value)]);
  }

  /** A sink that throws is broken, but the others and the bedside go on: it counts as unreachable. */
  async #ask(batch: readonly Delivery[], stop: AbortSignal): Promise<DeliveryOutcome> {
    try {
      return await this.#sink.deliver(batch, stop);
    } catch (error) {
      return later(fault("upstream-unreachable", { reason: error instanceof Error ? error.name : "sink-threw" }));
    }
  }
}

function later(reason: Fault): DeliveryOutcome {
  return { kind: "try-later", fault: reason };
}
