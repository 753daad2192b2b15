import type { StreamMessage } from "../../../core/stream.ts";
import type { Clock, Timer } from "../../../core/time.ts";

/** After this long without any event the stream counts as dead: three missed pulses, so that the banner is there well within 5 s. */
const staleMsMax = 3500;
const lookMs = 250;
/** A look that comes this much late means that the page or the machine slept. */
const sleptMsMin = 3000;
const backoffMsMin = 500;
const backoffMsMax = 8000;
/** An attempt that has brought nothing for so long is given up. */
const openMsMax = 8000;

const messageKinds = [
  "picture",
  "beds",
  "unassigned",
  "alerts",
  "gateway",
  "waves",
  "thin-waves",
  "pulse",
] as const satisfies readonly StreamMessage["kind"][];

/** How the page stands with the gateway. */
export interface FeedState {
  /** True when nothing on the page may be believed to be of now. */
  readonly stale: boolean;
  /** Wall time of the last event, or null before the first one. */
  readonly lastEventAtMs: number | null;
}

/** Which waves come with the stream. */
export type WavesAsked =
  | { readonly kind: "none" }
  | { readonly kind: "bed"; readonly bedId: string }
  /** Those of the wall, thinned; `ward` null: of all beds. */
  | { readonly kind: "wall"; readonly ward: string | null };

function addressOf(asked: WavesAsked): string {
  switch (asked.kind) {
    case "none":
      return "api/stream";
    case "bed":
      return `api/stream?${new URLSearchParams({ bed: asked.bedId })}`;
    case "wall":
      return `api/stream?${new URLSearchParams(asked.ward === null ? { waves: "all" } : { waves: "ward", ward: asked.ward })}`;
  }
}

/** What the feed tells. */
interface FeedListener {
  readonly onMessage: (message: StreamMessage) => void;
  readonly onState: (state: FeedState) => void;
  /** Asked before each further attempt: false stops trying because the session is over. */
  readonly mayTryAgain: () => Promise<boolean>;
}

/** The page's end of the live stream. Opens itself again for ever, until closed. */
export class LiveFeed {
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #listener: FeedListener;
  readonly #looking: Timer;
  #source: EventSource | null = null;
  #address: string;
  #closed = false;
  #stale = false;
  #lastEventAtMs: number | null = null;
  #lastEventMonotonicMs: number;
  #openedMonotonicMs: number;
  #lastLookAtMs: number;
  #gatewayAheadMs = Number.NEGATIVE_INFINITY;
  #backoffMs = backoffMsMin;
  #retry: Timer | null = null;

  /** Opens the stream with the waves asked for. */
  constructor(parts: {
    readonly clock: Clock;
    readonly random: () => number;
    readonly listener: FeedListener;
    readonly waves: WavesAsked;
  }) {
    this.#clock = parts.clock;
    this.#random = parts.random;
    this.#listener = parts.listener;
    this.#address = addressOf(parts.waves);
    this.#lastEventMonotonicMs = this.#clock.monotonic();
    this.#openedMonotonicMs = this.#clock.monotonic();
    this.#lastLookAtMs = this.#clock.wall();
    this.#looking = this.#clock.every(lookMs, () => this.look());
    this.#begin();
  }

  /** Asks for other waves; opens the stream anew for them. */
  watch(waves: WavesAsked): void {
    const address = addressOf(waves);
    if (address === this.#address) return;
    this.#address = address;
    this.#begin();
  }

  /** Looks at the clock now, as after the page became visible again. */
  look(): void {
    const nowMs = this.#clock.monotonic();
    const sleptMs = this.#clock.wall() - this.#lastLookAtMs - lookMs;
    this.#lastLookAtMs = this.#clock.wall();
    const silentMs = nowMs - this.#lastEventMonotonicMs;
    if (silentMs > staleMsMax || sleptMs > sleptMsMin) {
      this.#stale = true;
      const attemptMs = nowMs - Math.max(this.#openedMonotonicMs, this.#lastEventMonotonicMs);
      if (sleptMs > sleptMsMin || (this.#source !== null && attemptMs > openMsMax)) this.#tryLater();
    }
    this.#tell();
  }

  /** Ends the stream and every further attempt. */
  close(): void {
    this.#closed = true;
    this.#looking.stop();
    this.#retry?.stop();
    this.#source?.close();
  }

  #begin(): void {
    this.#retry?.stop();
    this.#retry = null;
    this.#source?.close();
    if (this.#closed) return;
    this.#openedMonotonicMs = this.#clock.monotonic();
    const opened = new EventSource(this.#address);
    this.#source = opened;
    for (const kind of messageKinds) {
      opened.addEventListener(kind, (event: MessageEvent<string>) => {
        // The server of these pages is built from the same types, and a page of another version loads itself anew.
        if (this.#source === opened) this.#hear({ kind, ...JSON.parse(event.data) } as StreamMessage);
      });
    }
    opened.addEventListener("error", () => {
      if (this.#source === opened) this.#tryLater();
    });
  }

  #hear(message: StreamMessage): void {
    this.#lastEventMonotonicMs = this.#clock.monotonic();
    this.#lastEventAtMs = this.#clock.wall();
    this.#backoffMs = backoffMsMin;
    if (message.kind === "picture") {
      this.#gatewayAheadMs = message.picture.nowMs - this.#lastEventMonotonicMs;
      this.#stale = false;
    }
    this.#listener.onMessage(message);
    if (message.kind === "pulse") {
      const aheadMs = message.nowMs - this.#lastEventMonotonicMs;
      this.#gatewayAheadMs = Math.max(this.#gatewayAheadMs, aheadMs);
      // A pulse that was long on its way: what comes with it is of then, not of now. A fresh picture is asked for.
      this.#stale = this.#gatewayAheadMs - aheadMs > staleMsMax;
      if (this.#stale) this.#tryLater();
    }
    this.#tell();
  }

  #tryLater(): void {
    this.#source?.close();
    this.#source = null;
    if (this.#closed || this.#retry !== null) return;
    // Half of the wait is drawn by chance, so that all pages of a ward do not return in the same moment.
    const waitMs = this.#backoffMs * (0.5 + this.#random() * 0.5);
    this.#backoffMs = Math.min(backoffMsMax, this.#backoffMs * 2);
    this.#retry = this.#clock.after(waitMs, () => {
      this.#listener.mayTryAgain().then(
        (may) => (may ? this.#begin() : undefined),
        () => this.#begin(),
      );
    });
  }

  #tell(): void {
    this.#listener.onState({ stale: this.#stale, lastEventAtMs: this.#lastEventAtMs });
  }
}
