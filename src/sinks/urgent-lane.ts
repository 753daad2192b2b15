import type { Alert } from "../core/alert.ts";
import type { Seq } from "../core/ids.ts";
import { LIMITS } from "../core/limits.ts";
import type { Clock, Timer } from "../core/time.ts";

/** One alert on the short way: handed over by the gateway, not read from the journal. */
export interface UrgentEntry {
  readonly alert: Alert;
  /** May leave: committed, or waited `alertWithoutCommitMsMax` for it. */
  ready: boolean;
  /** Was sent before without a confirmation. */
  tried: boolean;
  underWay: boolean;
  readonly timer: Timer;
}

/**
 * Alerts that leave before or beside the journal's reader, by sequence number. What is here belongs to this lane: the reader leaves it
 * alone, and what was confirmed here the reader does not send again.
 */
export class UrgentLane {
  readonly #entries = new Map<Seq, UrgentEntry>();
  readonly #confirmed = new Set<Seq>();
  readonly #clock: Clock;
  readonly #onReady: () => void;

  constructor(parts: { readonly clock: Clock; readonly onReady: () => void }) {
    this.#clock = parts.clock;
    this.#onReady = parts.onReady;
  }

  /** Takes an alert the moment it is made. False where the lane is full: it then goes out from the journal. */
  hand(alert: Alert, committed: Seq): boolean {
    if (this.#entries.has(alert.seq) || this.#confirmed.has(alert.seq)) return true;
    if (this.#entries.size >= LIMITS.upstreamUrgentWaitingMax.value) return false;
    const release = () => {
      entry.ready = true;
      this.#onReady();
    };
    const timer = this.#clock.after(LIMITS.alertWithoutCommitMsMax.value, release);
    const entry: UrgentEntry = { alert, ready: alert.seq <= committed, tried: false, underWay: false, timer };
    this.#entries.set(alert.seq, entry);
    if (entry.ready) this.#onReady();
    return true;
  }

  /** Everything up to here is on disk and may leave. */
  release(committed: Seq): void {
    for (const entry of this.#entries.values()) {
      if (entry.alert.seq <= committed) entry.ready = true;
    }
  }

  /** The next alerts that may leave, in order, marked as under way. */
  take(countMax: number): readonly UrgentEntry[] {
    const ready = [...this.#entries.values()]
      .filter((entry) => entry.ready && !entry.underWay)
      .sort((left, right) => left.alert.seq - right.alert.seq)
      .slice(0, countMax);
    for (const entry of ready) entry.underWay = true;
    return ready;
  }

  /** Says what became of entries taken: confirmed ones leave the lane, the others stay and count as tried. */
  settle(entries: readonly UrgentEntry[], confirmed: boolean): void {
    for (const entry of entries) {
      entry.underWay = false;
      entry.tried = true;
      if (!confirmed) continue;
      this.#remove(entry);
      this.#confirmed.add(entry.alert.seq);
    }
  }

  /** Gives everything on disk that is not under way back to the journal's reader, and says what that was. */
  giveBack(committed: Seq): readonly Seq[] {
    const given = [...this.#entries.values()].filter((entry) => entry.alert.seq <= committed && !entry.underWay);
    for (const entry of given) this.#remove(entry);
    return given.map((entry) => entry.alert.seq);
  }

  /** Whether the journal's reader must leave this alert alone. */
  has(seq: Seq): boolean {
    return this.#entries.has(seq) || this.#confirmed.has(seq);
  }

  /** Alerts here that are not confirmed. */
  waiting(): readonly Seq[] {
    return [...this.#entries.keys()];
  }

  /** True where nothing may leave and nothing is under way. */
  idle(): boolean {
    return ![...this.#entries.values()].some((entry) => entry.ready || entry.underWay);
  }

  /** The reader will never come to anything under this number again. */
  forgetConfirmedBelow(seq: Seq): void {
    for (const confirmed of this.#confirmed) if (confirmed < seq) this.#confirmed.delete(confirmed);
  }

  /** Stops every timer. */
  close(): void {
    for (const entry of this.#entries.values()) entry.timer.stop();
  }

  #remove(entry: UrgentEntry): void {
    entry.timer.stop();
    this.#entries.delete(entry.alert.seq);
  }
}
