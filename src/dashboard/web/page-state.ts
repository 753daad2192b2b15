import type { Deed } from "../../core/act.ts";
import type { PictureView, StreamMessage, WaveView } from "../../core/stream.ts";
import type { Clock, Timer } from "../../core/time.ts";
import type { GatewayDoor, Refusal, Session } from "./gateway-door.ts";
import { type FeedState, type LiveFeed, openLiveFeed } from "./live-feed.ts";
import { soundNeeds } from "./sound-plan.ts";
import { createSounder, type Sounder, type SoundState } from "./sounder.ts";
import { createSweep, type Sweep } from "./sweep.ts";
import { firstLanguage, type Language, say } from "./texts.ts";
import { applyMessage } from "./ward.ts";

/** Where in the pages a person is; told by the part of the address behind `#`. */
export type Place =
  | { readonly kind: "wall" }
  | { readonly kind: "alerts" }
  | { readonly kind: "bed"; readonly bedId: string }
  | { readonly kind: "first"; readonly token: string };

/** One wave as it is drawn. */
export interface LiveWave {
  readonly key: string;
  readonly latest: WaveView;
  readonly sweep: Sweep;
  readonly lastAtMs: number;
}

/** Everything the pages show, at one moment. */
export interface PageView {
  readonly language: Language;
  readonly place: Place;
  readonly session: Session | null;
  /** True once the gateway has said who is signed in. */
  readonly sessionKnown: boolean;
  /** True where somebody was signed in and no longer is, without having asked for it. */
  readonly sessionLost: boolean;
  readonly ward: PictureView | null;
  readonly feed: FeedState;
  /** The gateway's own time, carried on by the page's clock. */
  readonly nowMs: number;
  readonly sound: SoundState;
  readonly dialog: "none" | "sound-test" | "keys";
  readonly notice: { readonly text: string; readonly bad: boolean } | null;
}

/** The one state of the pages, and everything that changes it. */
export interface PageState {
  readonly view: () => PageView;
  readonly subscribe: (listener: () => void) => () => void;
  readonly begin: () => void;
  readonly signIn: (name: string, password: string) => Promise<string | null>;
  readonly makeFirstAccount: (token: string, name: string, password: string) => Promise<string | null>;
  readonly signOut: () => Promise<void>;
  readonly perform: (deed: Deed) => Promise<void>;
  readonly setLanguage: (language: Language) => void;
  readonly openDialog: (dialog: PageView["dialog"]) => void;
  readonly waves: () => readonly LiveWave[];
  readonly sounder: Sounder;
  readonly door: GatewayDoor;
  readonly clock: Clock;
}

const languageKey = "vigil-language";
const noticeMs = 5000;
/** A wave that has brought nothing for this long is no longer shown. */
const waveForgottenMs = 20_000;

/** Makes the state; `begin` starts it. */
export function createPageState(parts: {
  readonly clock: Clock;
  readonly door: GatewayDoor;
  /** 0 to 1; spreads the pages of a ward when they come back. */
  readonly random: () => number;
}): PageState {
  const { clock, door, random } = parts;
  const listeners = new Set<() => void>();
  const waves = new Map<string, LiveWave>();
  let feed: LiveFeed | null = null;
  let gatewayAhead = 0;
  let noticeTimer: Timer | null = null;
  let drawing = false;
  let firstVersion: string | null = null;

  // Many changes in one frame are drawn once.
  const redraw = () => {
    if (drawing) return;
    drawing = true;
    requestAnimationFrame(() => {
      drawing = false;
      for (const listener of listeners) listener();
    });
  };
  const sounder = createSounder(clock, () => {
    const sound = sounder.state();
    if (JSON.stringify(sound) !== JSON.stringify(view.sound)) change({ sound });
  });
  let view: PageView = {
    language: firstLanguage(readChoice(), navigator.language),
    place: placeOf(location.hash),
    session: null,
    sessionKnown: false,
    sessionLost: false,
    ward: null,
    feed: { stale: true, lastEventAtMs: null },
    nowMs: clock.wall(),
    sound: { kind: "blocked" },
    dialog: "none",
    notice: null,
  };
  const change = (part: Partial<PageView>) => {
    view = { ...view, ...part };
    const watching = view.session?.user != null;
    const blind = (watching && view.feed.stale && view.feed.lastEventAtMs !== null) || view.sessionLost;
    sounder.need(watching || view.sessionLost ? soundNeeds(view.ward?.alerts ?? [], blind) : []);
    redraw();
  };
  const takeWaves = (fresh: readonly WaveView[]) => {
    const nowMs = clock.monotonic();
    for (const wave of fresh) {
      const key = `${wave.deviceId} ${wave.waveform} ${wave.sampleRateHz}`;
      const known = waves.get(key);
      const sweep = known?.sweep ?? createSweep(wave.sampleRateHz);
      sweep.add(wave, nowMs);
      waves.set(key, { key, latest: wave, sweep, lastAtMs: nowMs });
      if (known === undefined) redraw();
    }
    for (const [key, wave] of waves) if (nowMs - wave.lastAtMs > waveForgottenMs) waves.delete(key);
  };
  const onMessage = (message: StreamMessage) => {
    if (message.kind === "waves") return takeWaves(message.waves);
    const nowMs = message.kind === "pulse" ? message.nowMs : message.kind === "picture" ? message.picture.nowMs : null;
    // The pulse that was shortest on its way tells the gateway's time best; a picture begins anew.
    if (nowMs !== null) {
      const aheadMs = nowMs - clock.monotonic();
      gatewayAhead = message.kind === "picture" ? aheadMs : Math.max(gatewayAhead, aheadMs);
    }
    if (message.kind === "picture") {
      firstVersion ??= message.picture.gateway.version;
      // A gateway of another version brings pages of its own.
      if (message.picture.gateway.version !== firstVersion) return location.reload();
    }
    const ward = applyMessage(view.ward, message);
    if (ward !== view.ward || nowMs !== null) change({ ward, nowMs: clock.monotonic() + gatewayAhead });
  };
  const onFeed = (state: FeedState) => {
    const secondChanged = Math.floor((clock.monotonic() + gatewayAhead) / 1000) !== Math.floor(view.nowMs / 1000);
    const known = view.feed.lastEventAtMs !== null;
    const stateChanged = state.stale !== view.feed.stale || (state.lastEventAtMs !== null) !== known;
    if (stateChanged || (secondChanged && known)) change({ feed: state, nowMs: clock.monotonic() + gatewayAhead });
    else view = { ...view, feed: state };
  };
  const stopFeed = () => {
    feed?.close();
    feed = null;
    waves.clear();
  };
  const askSession = async (): Promise<boolean> => {
    const answer = await door.session();
    if (!answer.ok) {
      change({ sessionKnown: view.sessionKnown });
      return true;
    }
    const was = view.session?.user ?? null;
    const session = answer.value;
    const lost = was !== null && session.user === null;
    if (session.user === null) stopFeed();
    change({ session, sessionKnown: true, sessionLost: session.user === null && (lost || view.sessionLost) });
    if (session.user !== null && feed === null) {
      feed = openLiveFeed(clock, random, { onMessage, onState: onFeed, mayTryAgain: askSession });
      follow();
    }
    return session.user !== null;
  };
  const follow = () => feed?.watch(view.place.kind === "bed" ? view.place.bedId : null);
  const notify = (text: string, bad: boolean) => {
    noticeTimer?.stop();
    change({ notice: { text, bad } });
    noticeTimer = clock.after(noticeMs, () => change({ notice: null }));
  };
  const refusalText = (refusal: Refusal): string =>
    refusal === null ? say(view.language, "noAnswer") : `${refusal.title[view.language]}. ${refusal.remedy[view.language]}`;
  const enter = async (
    outcome: { readonly ok: true } | { readonly ok: false; readonly error: Refusal },
  ): Promise<string | null> => {
    if (!outcome.ok) return refusalText(outcome.error);
    change({ dialog: "sound-test", sessionLost: false });
    if (view.place.kind === "first") location.hash = "#/";
    await askSession();
    return null;
  };
  return {
    view: () => view,
    subscribe: (listener) => {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    begin: () => {
      addEventListener("hashchange", () => {
        const place = placeOf(location.hash);
        if (place.kind === "bed") waves.clear();
        change({ place });
        follow();
      });
      document.addEventListener("visibilitychange", () => feed?.look());
      addEventListener("online", () => feed?.look());
      addEventListener("pageshow", () => feed?.look());
      const first = () => {
        askSession().then(
          () => (view.sessionKnown ? undefined : clock.after(2000, first)),
          () => clock.after(2000, first),
        );
      };
      first();
    },
    signIn: async (name, password) => {
      // In the click itself, before anything is waited for: only then may the page sound.
      sounder.unlock().catch(() => undefined);
      return enter(await door.signIn(name, password));
    },
    makeFirstAccount: async (token, name, password) => {
      sounder.unlock().catch(() => undefined);
      return enter(await door.makeFirstAccount(token, name, password));
    },
    signOut: async () => {
      await door.signOut();
      stopFeed();
      change({ session: view.session === null ? null : { ...view.session, user: null }, ward: null, sessionLost: false });
    },
    perform: async (deed) => {
      const done = await door.act(deed);
      if (done.ok) return notify(say(view.language, done.value.durable ? "done" : "doneNotDurable"), !done.value.durable);
      if (done.error === null) return notify(say(view.language, "notDone"), true);
      notify(say(view.language, "notDoneBecause", { reason: refusalText(done.error) }), true);
    },
    setLanguage: (language) => {
      keepChoice(language);
      document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
      change({ language });
    },
    openDialog: (dialog) => change({ dialog }),
    waves: () => [...waves.values()].sort((a, b) => waveOrder(a) - waveOrder(b) || (a.key < b.key ? -1 : 1)),
    sounder,
    door,
    clock,
  };
}

function waveOrder(wave: LiveWave): number {
  const order = ["ecgLeadI", "ecgLeadII", "ecgUnknownLead", "plethysmogram", "arterialPressure", "bloodPressure2", "respiration"];
  return order.indexOf(wave.latest.waveform);
}

function placeOf(hash: string): Place {
  const [, kind, rest] = /^#\/(bed|first|alerts)(?:\/(.+))?$/.exec(hash) ?? [];
  if (kind === "alerts") return { kind };
  if (kind === "first" && rest !== undefined) return { kind, token: rest };
  if (kind === "bed" && rest !== undefined) return { kind, bedId: decoded(rest) };
  return { kind: "wall" };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** A browser may forbid storage; then the choice lasts as long as the page. */
function readChoice(): string | null {
  try {
    return localStorage.getItem(languageKey);
  } catch {
    return null;
  }
}

function keepChoice(language: Language): void {
  try {
    localStorage.setItem(languageKey, language);
  } catch {
    // Not kept: the page starts in the browser's language next time.
  }
}
