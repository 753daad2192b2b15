import type { StreamMessage } from "../../core/stream.ts";
import type { Clock } from "../../core/time.ts";

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
  "pulse",
] as const satisfies readonly StreamMessage["kind"][];

/** How the page stands with the gateway. */
export interface FeedState {
  /** True when nothing on the page may be believed to be of now. */
  readonly stale: boolean;
  /** Wall time of the last event, or null before the first one. */
  readonly lastEventAtMs: number | null;
}

/** The page's end of the live stream. Opens itself again for ever, until closed. */
export interface LiveFeed {
  /** Looks at a bed's waves, or with null at none; opens the stream anew for it. */
  readonly watch: (bedId: string | null) => void;
  /** Looks at the clock now, as after the page became visible again. */
  readonly look: () => void;
  readonly close: () => void;
}

/** What the feed tells. */
export interface FeedListener {
  readonly onMessage: (message: StreamMessage) => void;
  readonly onState: (state: FeedState) => void;
  /** Asked after a failed attempt: false stops trying because the session is over. */
  readonly mayTryAgain: () => Promise<boolean>;
}

/** Opens the live stream and keeps it open. */
export function openLiveFeed(clock: Clock, random: () => number, listener: FeedListener): LiveFeed {
  let source: EventSource | null = null;
  let bed: string | null = null;
  let closed = false;
  let stale = true;
  let lastEventAtMs: number | null = null;
  let lastEventMonotonicMs = clock.monotonic() as number;
  let openedMonotonicMs = clock.monotonic() as number;
  let lastLookAtMs = clock.wall() as number;
  let gatewayAheadMs = Number.NEGATIVE_INFINITY;
  let backoffMs = backoffMsMin;
  let retry: { readonly stop: () => void } | null = null;

  const tell = () => listener.onState({ stale, lastEventAtMs });
  const heard = (message: StreamMessage) => {
    lastEventMonotonicMs = clock.monotonic();
    lastEventAtMs = clock.wall();
    backoffMs = backoffMsMin;
    if (message.kind === "picture") gatewayAheadMs = message.picture.nowMs - lastEventMonotonicMs;
    listener.onMessage(message);
    if (message.kind === "pulse") {
      const aheadMs = message.nowMs - lastEventMonotonicMs;
      gatewayAheadMs = Math.max(gatewayAheadMs, aheadMs);
      // A pulse that was long on its way: what comes with it is of then, not of now. A fresh picture is asked for.
      stale = gatewayAheadMs - aheadMs > staleMsMax;
      if (stale) tryLater();
    } else if (message.kind === "picture") stale = false;
    tell();
  };
  const begin = () => {
    retry?.stop();
    retry = null;
    source?.close();
    if (closed) return;
    openedMonotonicMs = clock.monotonic();
    const opened = new EventSource(bed === null ? "api/stream" : `api/stream?bed=${encodeURIComponent(bed)}`);
    source = opened;
    for (const kind of messageKinds) {
      opened.addEventListener(kind, (event: MessageEvent<string>) => {
        if (source === opened) heard({ kind, ...JSON.parse(event.data) } as StreamMessage);
      });
    }
    opened.addEventListener("error", () => {
      if (source === opened) tryLater();
    });
  };
  const tryLater = () => {
    source?.close();
    source = null;
    if (closed || retry !== null) return;
    // Half of the wait is drawn by chance, so that all pages of a ward do not return in the same moment.
    const waitMs = backoffMs * (0.5 + random() * 0.5);
    backoffMs = Math.min(backoffMsMax, backoffMs * 2);
    retry = clock.after(waitMs, () => {
      listener.mayTryAgain().then(
        (may) => (may ? begin() : undefined),
        () => begin(),
      );
    });
  };
  const look = () => {
    const nowMs = clock.monotonic();
    const sleptMs = clock.wall() - lastLookAtMs - lookMs;
    lastLookAtMs = clock.wall();
    const silentMs = nowMs - lastEventMonotonicMs;
    if (silentMs > staleMsMax || sleptMs > sleptMsMin) {
      stale = true;
      const attemptMs = nowMs - Math.max(openedMonotonicMs, lastEventMonotonicMs);
      if (sleptMs > sleptMsMin || (source !== null && attemptMs > openMsMax)) tryLater();
    }
    tell();
  };
  const looking = clock.every(lookMs, look);
  begin();
  return {
    watch: (bedId) => {
      if (bedId === bed) return;
      bed = bedId;
      begin();
    },
    look,
    close: () => {
      closed = true;
      looking.stop();
      retry?.stop();
      source?.close();
    },
  };
}
