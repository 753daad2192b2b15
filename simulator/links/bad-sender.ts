import { LIMITS } from "../../src/core/limits.ts";
import type { Clock, Timer } from "../../src/core/time.ts";
import { seedOfPart } from "../random.ts";
import {
  AWAY_MS,
  createFaultLine,
  dueMsOf,
  type FaultLine,
  flapTimes,
  type LinkAct,
  type LinkFaults,
  lineMsOf,
} from "./link-faults.ts";

/** A link that shall be bad, and the seed that says when. */
export interface BadLinkPlan {
  readonly faults: LinkFaults;
  readonly seed: number;
}

/** What carries a device's bytes: a socket, a cable, a link inside the process. */
export interface Carrier {
  readonly send: (bytes: Uint8Array, channel: string) => void;
  /** The connection is lost now. */
  readonly drop: () => void;
  /** It may be there again. */
  readonly restore: () => void;
}

/** What a bad sender is made of. */
export interface BadSenderOptions extends BadLinkPlan {
  readonly clock: Clock;
  readonly carrier: Carrier;
  /** How long after a drop the connection is restored; null: whoever wants it connects again. */
  readonly backAfterMs: number | null;
}

/** What a bad link did. */
export interface BadLinkStats {
  /** How often the connection was lost. */
  readonly lossCount: number;
  /** Bytes that were given up because too many waited already. */
  readonly bytesDropped: number;
  /** Bytes that were on their way when the connection was lost, or sent while there was none or none that carried. */
  readonly bytesVanished: number;
  /** Bytes that wait to be sent. */
  readonly waitingBytes: number;
}

/** Stands between a device and what carries its bytes, and is bad on purpose. */
export interface BadSender {
  /** Takes what the device sends; what is not late goes on within this call. */
  readonly send: (bytes: Uint8Array, channel: string) => void;
  /** A new connection begins now, by somebody else's doing, unless the faults have taken it away: half-open is over. */
  readonly begin: () => void;
  /** From now on nothing comes through, and the connection stays. */
  readonly halfOpen: () => void;
  /** False while the faults have taken the connection away. */
  readonly isThere: () => boolean;
  readonly isHalfOpen: () => boolean;
  readonly stats: () => BadLinkStats;
  /** Ends its timers. What waits is lost. */
  readonly stop: () => void;
}

/**
 * Makes a sender that is as bad as the faults say. Each connection has a seed of its own, drawn from `seed`; what a lost connection had on
 * its way is lost with it.
 */
export function createBadSender(options: BadSenderOptions): BadSender {
  return new SeededSender(options);
}

/** What stands before a device's carrier: a bad sender where the device has a bad link, or nothing. */
export function badSenderOf(
  parts: { readonly clock: Clock; readonly badLink?: BadLinkPlan | undefined },
  carrier: Carrier,
): BadSender | null {
  const { clock, badLink } = parts;
  return badLink === undefined ? null : createBadSender({ ...badLink, clock, carrier, backAfterMs: AWAY_MS });
}

/** Takes a connection away by the clock and brings it back, for as long as it runs. */
export function startFlapping(
  options: BadLinkPlan & { readonly clock: Clock; readonly leave: () => void; readonly comeBack: () => void },
): Timer {
  const { faults, clock } = options;
  const upMs = flapTimes(faults, options.seed);
  let timer: Timer = { stop: () => {} };
  const stay = () => {
    if (upMs === null) return;
    timer = clock.after(upMs(), () => {
      timer = clock.after(faults.flapForMs ?? AWAY_MS, () => {
        stay();
        options.comeBack();
      });
      options.leave();
    });
  };
  stay();
  return { stop: () => timer.stop() };
}

/** When the end of a connection is done: right behind what went before it. */
const AT_ONCE = { delayMs: 0, apartMs: 0 };

/** An act that waits for its time. */
interface WaitingAct {
  readonly act: LinkAct;
  readonly dueMs: number;
}

class SeededSender implements BadSender {
  readonly #options: BadSenderOptions;
  readonly #flapping: Timer;
  #state: "open" | "half-open" | "away" = "open";
  #connectionCount = 0;
  #line: FaultLine;
  #waiting: WaitingAct[] = [];
  #waitingBytes = 0;
  #lastDueMs = Number.NEGATIVE_INFINITY;
  #wake: Timer = { stop: () => {} };
  #back: Timer = { stop: () => {} };
  #lossCount = 0;
  #bytesDropped = 0;
  #bytesVanished = 0;

  constructor(options: BadSenderOptions) {
    this.#options = options;
    this.#line = this.#newLine();
    this.#flapping = startFlapping({ ...options, leave: () => this.#leave(null), comeBack: () => this.#comeBack() });
  }

  readonly send = (bytes: Uint8Array, channel: string): void => {
    if (this.#state !== "open" || this.#line.hasEnded()) {
      this.#bytesVanished += bytes.length;
      return;
    }
    const acts = this.#line.pass(bytes, channel);
    const moreBytes = acts.reduce((sum, act) => sum + lengthOf(act), 0);
    const fits = this.#waiting.length === 0 || this.#waitingBytes + moreBytes <= LIMITS.simulatedHeldBytesMax.value;
    if (!fits) this.#bytesDropped += moreBytes;
    const { clock, faults } = this.#options;
    for (const act of fits ? acts : acts.filter(({ kind }) => kind !== "forward")) {
      if (act.kind !== "forward") this.#bytesVanished += act.lostBytes;
      const { delayMs, apartMs } = act.kind === "forward" ? act : AT_ONCE;
      const of = { delayMs, apartMs, lineMs: lineMsOf(faults, lengthOf(act)) };
      this.#lastDueMs = dueMsOf({ nowMs: clock.monotonic(), lastDueMs: this.#lastDueMs, ...of });
      this.#waiting.push({ act, dueMs: this.#lastDueMs });
      this.#waitingBytes += lengthOf(act);
    }
    this.#work();
  };

  readonly begin = (): void => {
    if (this.#state === "away") return;
    this.#forget();
    this.#line = this.#newLine();
    this.#state = "open";
  };

  readonly halfOpen = (): void => {
    if (this.#state !== "open") return;
    this.#forget();
    this.#state = "half-open";
  };

  readonly isThere = (): boolean => this.#state !== "away";

  readonly isHalfOpen = (): boolean => this.#state === "half-open";

  readonly stats = (): BadLinkStats => ({
    lossCount: this.#lossCount,
    bytesDropped: this.#bytesDropped,
    bytesVanished: this.#bytesVanished,
    waitingBytes: this.#waitingBytes + this.#line.heldBytes(),
  });

  readonly stop = (): void => {
    this.#flapping.stop();
    this.#back.stop();
    this.#forget();
    this.#state = "away";
  };

  #newLine(): FaultLine {
    const { faults, seed } = this.#options;
    this.#connectionCount += 1;
    return createFaultLine(faults, seedOfPart(seed, this.#connectionCount - 1));
  }

  /** Does what is due, and wakes again for what is not. */
  #work(): void {
    const { clock } = this.#options;
    this.#wake.stop();
    let [next] = this.#waiting;
    while (next !== undefined && next.dueMs <= clock.monotonic()) {
      this.#waiting.shift();
      this.#waitingBytes -= lengthOf(next.act);
      this.#perform(next.act);
      [next] = this.#waiting;
    }
    if (next !== undefined) this.#wake = clock.after(Math.ceil(next.dueMs - clock.monotonic()), () => this.#work());
  }

  #perform(act: LinkAct): void {
    switch (act.kind) {
      case "forward":
        this.#options.carrier.send(act.bytes, act.channel);
        return;
      case "drop":
        this.#leave(this.#options.backAfterMs);
        return;
      case "half-open":
        this.halfOpen();
    }
  }

  /** The connection is lost, and there again after so long; null: when somebody else says so. */
  #leave(backAfterMs: number | null): void {
    this.#back.stop();
    if (backAfterMs !== null) this.#back = this.#options.clock.after(backAfterMs, () => this.#comeBack());
    if (this.#state === "away") return;
    this.#forget();
    this.#state = "away";
    this.#lossCount += 1;
    this.#options.carrier.drop();
  }

  #comeBack(): void {
    if (this.#state !== "away") return;
    this.#line = this.#newLine();
    this.#state = "open";
    this.#options.carrier.restore();
  }

  /** What is on its way is lost. */
  #forget(): void {
    this.#wake.stop();
    this.#bytesVanished += this.#waitingBytes + (this.#state === "open" ? this.#line.heldBytes() : 0);
    this.#waiting = [];
    this.#waitingBytes = 0;
    this.#lastDueMs = Number.NEGATIVE_INFINITY;
  }
}

function lengthOf(act: LinkAct): number {
  return act.kind === "forward" ? act.bytes.length : 0;
}
