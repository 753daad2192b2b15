import { LIMITS } from "../core/limits.ts";

/** Tries in a row that met a full disk before something is given up: the next one may find room by itself. */
const FULL_TRIES = 2;

/**
 * Decides when a full disk is worth giving up what is old. What fills the disk may take the freed room as well, and then history would be
 * gone for nothing; so each giving up that did not help for long doubles the wait before the next.
 */
export class RoomMaker {
  #fullTries = 0;
  #nextMs = Number.NEGATIVE_INFINITY;
  #metMs = Number.NEGATIVE_INFINITY;
  #waitMs: number = LIMITS.journalSacrificeMsMin.value;

  /** Takes note of a try that met a full disk. @returns  Whether it is one of several in a row, so that waves must go. */
  met(nowMonotonicMs: number): boolean {
    this.#fullTries += 1;
    this.#metMs = nowMonotonicMs;
    return this.#fullTries >= FULL_TRIES;
  }

  /** Whether a segment may go as well. */
  mayTakeSegment(nowMonotonicMs: number): boolean {
    return nowMonotonicMs >= this.#nextMs;
  }

  /** Whether there has been room for so long that some may be set aside again. */
  hasRoom(nowMonotonicMs: number): boolean {
    return nowMonotonicMs - this.#metMs >= LIMITS.journalSacrificeMsMin.value;
  }

  /** Takes note that a segment was given up. */
  tookSegment(nowMonotonicMs: number): void {
    const helpedForMs = nowMonotonicMs - this.#nextMs;
    const longest = LIMITS.journalSacrificeMsMax.value;
    this.#waitMs = helpedForMs >= longest ? LIMITS.journalSacrificeMsMin.value : Math.min(longest, this.#waitMs * 2);
    this.#nextMs = nowMonotonicMs + this.#waitMs;
    this.#fullTries = 0;
  }

  /** Takes note of a try that found room. */
  worked(): void {
    this.#fullTries = 0;
  }
}
