import { LIMITS } from "../../../core/limits.ts";
import type { Clock, Timer } from "../../../core/time.ts";

/** How long a session may be unused, and how much of that is left, as the gateway says. */
export interface Idle {
  readonly idleMs: number;
  readonly leftMs: number;
}

/** What the watch asks of the gateway, and whom it tells. */
export interface IdleParts {
  readonly clock: Clock;
  /** Asks how it stands; other windows of the same session may be in use. Undefined: no answer. */
  readonly ask: () => Promise<Idle | null | undefined>;
  /** Tells the gateway that somebody uses the page; false where it did not hear it. */
  readonly tell: () => Promise<boolean>;
  /** Each second of the warning with what is left; null: no warning. */
  readonly onWarning: (secondsLeft: number | null) => void;
  /** The time is over: the gateway knows whether the session is. */
  readonly onOver: () => void;
}

/**
 * Keeps a session that ends when nobody uses it. Keys, mouse and touch are told to the gateway once a minute at most; the live stream is no
 * use. A minute before the end it warns, and whatever is pressed or touched then keeps the session.
 */
export class IdleWatch {
  readonly #parts: IdleParts;
  #idleMs: number | null = null;
  #endsAtMs = 0;
  #lastToldMs = Number.NEGATIVE_INFINITY;
  #telling: Timer | null = null;
  #warning: Timer | null = null;
  #isWarning = false;

  constructor(parts: IdleParts) {
    this.#parts = parts;
  }

  /** Takes what the gateway says of the session; null: nobody is signed in, or it does not end for want of use. */
  take(idle: Idle | null): void {
    if (idle === null) {
      this.#idleMs = null;
      this.#telling?.stop();
      this.#telling = null;
      this.#rest();
      return;
    }
    this.#idleMs = idle.idleMs;
    this.#endsAtMs = this.#parts.clock.monotonic() + idle.leftMs;
    this.#waitForWarning();
  }

  /** Somebody used keys, mouse or touch. */
  used(): void {
    if (this.#idleMs === null) return;
    const { clock } = this.#parts;
    const everyMs = Math.min(LIMITS.pageUseToldMs.value, this.#idleMs / 4);
    const waitMs = this.#lastToldMs + everyMs - clock.monotonic();
    if (this.#isWarning || waitMs <= 0) this.#tell();
    else this.#telling ??= clock.after(waitMs, () => this.#tell());
  }

  #tell(): void {
    const { clock, tell } = this.#parts;
    const atMs = clock.monotonic();
    this.#telling?.stop();
    this.#telling = null;
    this.#lastToldMs = atMs;
    const take = (heard: boolean) => {
      if (this.#idleMs === null) return;
      if (heard) {
        this.#endsAtMs = atMs + this.#idleMs;
        this.#waitForWarning();
      } else {
        // The next key tries again.
        this.#lastToldMs = Number.NEGATIVE_INFINITY;
      }
    };
    tell().then(take, () => take(false));
  }

  /** Ends the warning there is and waits for the next one. */
  #waitForWarning(): void {
    this.#rest();
    const warnMs = this.#warnMs();
    const waitMs = this.#endsAtMs - warnMs - this.#parts.clock.monotonic();
    this.#warning = this.#parts.clock.after(Math.max(0, waitMs), () => this.#look());
  }

  #warnMs(): number {
    return Math.min(LIMITS.pageIdleWarningMs.value, (this.#idleMs ?? 0) / 2);
  }

  #look(): void {
    const take = (idle: Idle | null | undefined) => {
      if (idle === null) return this.#parts.onOver();
      if (idle !== undefined && idle.leftMs > this.#warnMs()) return this.take(idle);
      this.#countDown();
    };
    this.#parts.ask().then(take, () => this.#countDown());
  }

  #countDown(): void {
    this.#isWarning = true;
    const leftMs = this.#endsAtMs - this.#parts.clock.monotonic();
    if (leftMs <= 0) {
      this.#rest();
      this.#parts.onOver();
      return;
    }
    this.#parts.onWarning(Math.ceil(leftMs / 1000));
    this.#warning = this.#parts.clock.after(Math.min(leftMs, 1000), () => this.#countDown());
  }

  #rest(): void {
    this.#warning?.stop();
    this.#warning = null;
    if (!this.#isWarning) return;
    this.#isWarning = false;
    this.#parts.onWarning(null);
  }
}
