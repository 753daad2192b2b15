import { LIMITS } from "../core/limits.ts";
import type { BrokerArrival, BrokerInlet, BrokerListener } from "../core/ports.ts";
import type { Clock } from "../core/time.ts";
import { topicMatches } from "../core/topic-filter.ts";
import type { HeldThank } from "./held-thanks.ts";

interface Line {
  readonly topics: readonly string[];
  readonly account: string | null;
  readonly listener: BrokerListener;
  isOpen: boolean;
  /** Topics on which something came while what was retained is still being handed over: what was retained there is overtaken. */
  overtaken: Set<string> | null;
}

/** A message that was retained. */
export interface RetainedMessage {
  readonly topic: string;
  readonly payload: Buffer;
}

/** What the switchboard asks. */
export interface SwitchboardParts {
  readonly clock: Clock;
  /** What is retained under these filters. */
  readonly retained: (filters: readonly string[]) => AsyncIterable<RetainedMessage>;
  /** Why the account has no connection now, or null where it has one. */
  readonly downCause: (account: string) => string | null;
}

/** `taken` where every listener took it, `refused` where one could not, `unheard` where nobody listens to its topic. */
export type Telling = "taken" | "refused" | "unheard";

/** Tells the gateway's links what comes for them. */
export class Switchboard {
  readonly inlet: BrokerInlet;
  readonly #parts: SwitchboardParts;
  readonly #lines = new Set<Line>();
  readonly #byTopic = new Map<string, readonly Line[]>();
  #isClosed = false;

  constructor(parts: SwitchboardParts) {
    this.#parts = parts;
    this.inlet = { listen: (wanted, listener) => this.#listen(wanted, listener) };
  }

  /**
   * Tells a message to everybody who listens to its topic.
   *
   * @param thank    Is told how many must thank; null where there is nobody to be thanked for it.
   * @param release  Called when one has thanked.
   */
  tell(arrival: BrokerArrival, thank: HeldThank | null, release: () => void): Telling {
    const lines = this.#linesOf(arrival.topic);
    if (lines.length === 0) return "unheard";
    let isRefused = false;
    for (const line of lines) {
      line.overtaken?.add(arrival.topic);
      if (thank !== null) thank.owedCount += 1;
      let isOwed = thank !== null;
      const given = () => {
        if (!isOwed || thank === null) return;
        isOwed = false;
        thank.owedCount -= 1;
        release();
      };
      if (!line.listener.message(arrival, given)) isRefused = true;
    }
    return isRefused ? "refused" : "taken";
  }

  /** An account has its first connection. */
  up(account: string): void {
    for (const line of this.#lines) if (line.account === account) line.listener.up();
  }

  /** An account has lost its last connection. */
  down(account: string, cause: string): void {
    for (const line of this.#lines) if (line.account === account) line.listener.down(cause);
  }

  /** The broker ends. */
  close(): void {
    this.#isClosed = true;
    for (const line of this.#lines) line.listener.down("broker-stopped");
    for (const line of this.#lines) this.#hangUp(line);
  }

  #listen(wanted: Parameters<BrokerInlet["listen"]>[0], listener: BrokerListener): () => void {
    const line: Line = { ...wanted, listener, isOpen: !this.#isClosed, overtaken: new Set() };
    const cause = this.#isClosed ? "broker-stopped" : wanted.account === null ? null : this.#parts.downCause(wanted.account);
    if (line.isOpen) {
      this.#lines.add(line);
      this.#byTopic.clear();
      void this.#tellRetained(line);
    }
    if (cause === null) listener.up();
    else listener.down(cause);
    return () => this.#hangUp(line);
  }

  #hangUp(line: Line): void {
    line.isOpen = false;
    this.#lines.delete(line);
    this.#byTopic.clear();
  }

  async #tellRetained(line: Line): Promise<void> {
    for await (const { topic, payload } of this.#parts.retained(line.topics)) {
      const arrival = { topic, payload, retained: true, again: false, messageId: null };
      while (line.isOpen && line.overtaken?.has(topic) === false && !line.listener.message(arrival, () => {})) {
        await this.#parts.clock.sleep(LIMITS.brokerListenerRetryMs.value);
      }
      if (!line.isOpen) return;
    }
    line.overtaken = null;
  }

  #linesOf(topic: string): readonly Line[] {
    const known = this.#byTopic.get(topic);
    if (known !== undefined) return known;
    const lines = [...this.#lines].filter(({ topics }) => topics.some((filter) => topicMatches(filter, topic)));
    if (this.#byTopic.size >= LIMITS.brokerTopicsKnownMax.value) this.#byTopic.clear();
    this.#byTopic.set(topic, lines);
    return lines;
  }
}
