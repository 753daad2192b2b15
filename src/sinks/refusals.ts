import { type Fault, fault } from "../core/errors.ts";
import type { Seq } from "../core/ids.ts";
import { LIMITS } from "../core/limits.ts";
import type { Delivery } from "../core/ports.ts";
import type { RecordKind } from "../core/record.ts";
import type { Clock, WallMs } from "../core/time.ts";
import type { ReaderLosses } from "./reader-losses.ts";

/** A run of consecutive records that the receiver refused for good. */
export interface Refusal {
  readonly from: Seq;
  readonly to: Seq;
  readonly kind: RecordKind;
  readonly reason: Fault;
}

/** What the receiver refuses for good, so many runs a minute: each run becomes a loss on record and is told. */
export class Refusals {
  readonly #reader: string;
  readonly #losses: ReaderLosses;
  readonly #onIncident: (incident: Fault) => void;
  #runsLeft = LIMITS.upstreamRefusalsPerMinuteMax.value;
  #rejectedCount = 0;
  #last: { readonly fault: Fault; readonly atMs: WallMs } | null = null;
  readonly #clock: Pick<Clock, "wall">;

  constructor(parts: {
    readonly name: string;
    readonly clock: Pick<Clock, "wall">;
    readonly losses: ReaderLosses;
    readonly onIncident: (incident: Fault) => void;
  }) {
    this.#reader = parts.name;
    this.#clock = parts.clock;
    this.#losses = parts.losses;
    this.#onIncident = parts.onIncident;
  }

  /** What was told last, and when; null where nothing was refused. */
  get last(): { readonly fault: Fault; readonly atMs: WallMs } | null {
    return this.#last;
  }

  /** Records that were refused so far. */
  get rejectedCount(): number {
    return this.#rejectedCount;
  }

  /**
   * Notes a refused record at the end of a delivery's list. False where this minute has no run left: a receiver that refuses all there is
   * would fill the disk with losses, so the record is tried again later.
   */
  note(delivery: Delivery, reason: Fault, noted: Refusal[]): boolean {
    const { seq: number, kind } = delivery.record;
    const run = noted.at(-1);
    if (run !== undefined && run.to === number - 1) {
      noted[noted.length - 1] = { ...run, to: number };
      return true;
    }
    if (this.#runsLeft <= 0) return false;
    this.#runsLeft -= 1;
    noted.push({ from: number, to: number, kind, reason });
    return true;
  }

  /** States what was noted as this reader's losses. */
  setAside(noted: readonly Refusal[]): void {
    for (const { from, to, kind, reason } of noted) {
      this.#rejectedCount += to - from + 1;
      this.#losses.refuse({ from, to });
      const facts = { ...reason.facts, reader: this.#reader, kind, fromSeq: from, toSeq: to, count: this.#rejectedCount };
      const told = fault("upstream-rejected", facts);
      this.#last = { fault: told, atMs: this.#clock.wall() };
      this.#onIncident(told);
    }
  }

  /** A minute is over. */
  allowMore(): void {
    this.#runsLeft = LIMITS.upstreamRefusalsPerMinuteMax.value;
  }
}
