import type { Fault } from "../core/errors.ts";
import type { Clock, WallMs } from "../core/time.ts";
import type { Lane } from "./reader-progress.ts";
import type { Session } from "./session.ts";

/** Whether the receiver can be reached, and how often each lane failed in a row: one outage is told once, and once that it is over. */
export class Outage {
  readonly #onFault: (reason: Fault | null) => void;
  readonly #clock: Pick<Clock, "wall">;
  /** Failures in a row of one lane's deliveries, while the connection itself may be well (a forbidden topic). */
  readonly #failures: Record<Lane, number> = { kept: 0, bulk: 0 };
  #present: { readonly fault: Fault; readonly sinceMs: WallMs } | null = null;
  /** A reason that differs from the present one and came once. */
  #other: Fault | null = null;

  constructor(parts: { readonly onFault: (reason: Fault | null) => void; readonly clock: Pick<Clock, "wall"> }) {
    this.#onFault = parts.onFault;
    this.#clock = parts.clock;
  }

  /** What was told and is not over; another reason within the same outage keeps its beginning. */
  get present(): { readonly fault: Fault; readonly sinceMs: WallMs } | null {
    return this.#present;
  }

  /** Failures of this lane since its last success. */
  failuresOf(lane: Lane): number {
    return this.#failures[lane];
  }

  /** A lane could not deliver. */
  failed(lane: Lane): void {
    this.#failures[lane] += 1;
  }

  /** A lane delivered, or has nothing more to deliver. */
  recovered(lane: Lane): void {
    this.#failures[lane] = 0;
  }

  /** The connection stands: another reason counts from here on. */
  connected(): void {
    this.#other = null;
  }

  /** Tells the reason and ends the session, unless it has ended before: then its end is known. */
  lose(session: Session, reason: Fault): void {
    if (session.ended) return;
    this.tell(reason);
    session.end();
  }

  /**
   * Tells the first reason of an outage. Another reason within the same outage is told when it comes twice in a row: a server that
   * forbids a topic may cut the connection as well (mosquitto 2.0.11 does), and that is no second outage.
   */
  tell(reason: Fault): void {
    const isKnown = this.#present?.fault.code === reason.code;
    const isConfirmed = this.#present === null || this.#other?.code === reason.code;
    this.#other = isKnown ? null : reason;
    if (isKnown || !isConfirmed) return;
    this.#other = null;
    this.#present = { fault: reason, sinceMs: this.#present?.sinceMs ?? this.#clock.wall() };
    this.#onFault(reason);
  }

  /** Tells that the outage is over, unless a lane still waits for its first success after a failure. Call it while the connection stands. */
  settle(): void {
    if (this.#present === null || this.#failures.kept + this.#failures.bulk > 0) return;
    this.#present = null;
    this.#onFault(null);
  }
}
