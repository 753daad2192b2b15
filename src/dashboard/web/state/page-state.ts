import type { Deed } from "../../../core/act.ts";
import type { Result } from "../../../core/result.ts";
import type { PictureView, StreamMessage, WaveView } from "../../../core/stream.ts";
import type { Clock, Timer } from "../../../core/time.ts";
import { createSweep, type Sweep } from "../bed/sweep.ts";
import type { PeopleDialog } from "../people/people-dialog.ts";
import { soundNeeds } from "../sound/sound-plan.ts";
import { createSounder, type Sounder, type SoundState } from "../sound/sounder.ts";
import { createWallWaves, type WallWaves } from "../wall/wall-waves.ts";
import { type RefusalWords, refusalWords } from "../words/refusal.ts";
import { firstLanguage, type Language, say } from "../words/texts.ts";
import type { GatewayDoor, Refusal, Session } from "./gateway-door.ts";
import { IdleWatch } from "./idle-watch.ts";
import { type FeedState, LiveFeed, type WavesAsked } from "./live-feed.ts";
import { type Place, placeOf } from "./place.ts";
import { applyMessage } from "./ward.ts";

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
  readonly dialog: "none" | "sound-test" | "keys" | PeopleDialog;
  /** In so many seconds the session ends, because nobody uses it; null: it does not yet. */
  readonly signOutInSeconds: number | null;
  readonly notice: { readonly text: string; readonly bad: boolean } | null;
}

const languageKey = "vigil-language";
const noticeMs = 5000;
/** A wave that has brought nothing for this long is no longer shown. */
const waveForgottenMs = 20_000;
const sessionRetryMs = 2000;

/** The one state of the pages, and everything that changes it; `begin` starts it. */
export class PageState {
  readonly clock: Clock;
  readonly door: GatewayDoor;
  readonly sounder: Sounder;
  /** What somebody is writing on a page, kept while they look at another; forgotten when they sign out. */
  readonly drafts = new Map<string, string>();
  readonly #random: () => number;
  /** The thinned waves of the wall. */
  readonly wallWaves: WallWaves = createWallWaves();
  readonly #listeners = new Set<() => void>();
  readonly #waves = new Map<string, LiveWave>();
  readonly #idle: IdleWatch;
  #feed: LiveFeed | null = null;
  #gatewayAheadMs = 0;
  #wallAsked: WavesAsked = { kind: "none" };
  #noticeTimer: Timer | null = null;
  #drawing = false;
  #firstVersion: string | null = null;
  #view: PageView;

  constructor(parts: {
    readonly clock: Clock;
    readonly door: GatewayDoor;
    /** 0 to 1; spreads the pages of a ward when they come back. */
    readonly random: () => number;
  }) {
    this.clock = parts.clock;
    this.door = parts.door;
    this.#random = parts.random;
    this.#view = {
      language: firstLanguage(readChoice(), navigator.language),
      place: placeOf(location.hash),
      session: null,
      sessionKnown: false,
      sessionLost: false,
      ward: null,
      feed: { stale: false, lastEventAtMs: null },
      nowMs: parts.clock.wall(),
      sound: { kind: "blocked" },
      dialog: "none",
      signOutInSeconds: null,
      notice: null,
    };
    this.sounder = createSounder(parts.clock, () => this.#takeSound());
    this.#idle = new IdleWatch({
      clock: parts.clock,
      ask: async () => {
        const answer = await this.door.session();
        return answer.ok ? answer.value.idle : undefined;
      },
      tell: async () => (await this.door.tellUse()).ok,
      onWarning: (signOutInSeconds) => this.#change({ signOutInSeconds }),
      onOver: () => void this.#askSession(),
    });
  }

  /** Everything the pages show now. */
  view(): PageView {
    return this.#view;
  }

  /** Calls back after each change, at most once a frame, until the returned function is called. */
  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Asks the gateway who is signed in, until it answers, and follows the address from then on. */
  begin(): void {
    addEventListener("hashchange", () => {
      const place = placeOf(location.hash);
      if (place.kind === "bed") this.#waves.clear();
      this.#change({ place });
      this.#feed?.watch(this.#wavesAsked());
    });
    listenToUse(() => this.#idle.used());
    document.addEventListener("visibilitychange", () => this.#feed?.look());
    addEventListener("online", () => this.#feed?.look());
    addEventListener("pageshow", () => this.#feed?.look());
    const again = () => void this.clock.after(sessionRetryMs, ask);
    const ask = () => {
      this.#askSession().then(() => (this.#view.sessionKnown ? undefined : again()), again);
    };
    ask();
  }

  /** Signs in; returns what went wrong in words, or null. */
  async signIn(name: string, password: string): Promise<string | null> {
    // In the click itself, before anything is waited for: only then may the page sound.
    this.sounder.unlock().catch(() => undefined);
    return this.#enter(await this.door.signIn(name, password));
  }

  /** Makes the first account with the one-time link's token; returns what went wrong in words, or null. */
  async makeFirstAccount(token: string, name: string, password: string): Promise<string | null> {
    this.sounder.unlock().catch(() => undefined);
    return this.#enter(await this.door.makeFirstAccount(token, name, password));
  }

  /** Ends the session here and at the gateway. */
  async signOut(): Promise<void> {
    const ended = await this.door.signOut();
    if (!ended.ok) return this.tell(say(this.#view.language, "notDone"), true);
    this.#stopFeed();
    this.#idle.take(null);
    this.drafts.clear();
    const session = this.#view.session === null ? null : { ...this.#view.session, user: null };
    this.#change({ session, ward: null, sessionLost: false });
  }

  /** Sends what a person does, and tells what became of it. */
  async perform(deed: Deed): Promise<void> {
    const refused = await this.#send(deed);
    const { language } = this.#view;
    if (refused === undefined) return;
    if (refused === null) return this.tell(say(language, "notDone"), true);
    this.tell(say(language, "notDoneBecause", { reason: refusalWords(language, refused).text }), true);
  }

  /** Sends what a person does from a form, and tells where it is done; returns why it is not, in words, for the form to show, or null. */
  async attempt(deed: Deed): Promise<RefusalWords | null> {
    const refused = await this.#send(deed);
    return refused === undefined ? null : refusalWords(this.#view.language, refused);
  }

  /** Says something at the foot of the page for a moment. */
  tell(text: string, bad: boolean): void {
    this.#noticeTimer?.stop();
    this.#change({ notice: { text, bad } });
    this.#noticeTimer = this.clock.after(noticeMs, () => this.#change({ notice: null }));
  }

  /** Switches the language, and keeps the choice for the next time. */
  setLanguage(language: Language): void {
    keepChoice(language);
    document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
    this.#change({ language });
  }

  openDialog(dialog: PageView["dialog"]): void {
    this.#change({ dialog });
  }

  /** The waves of the bed looked at, in the order of bedside monitors. */
  waves(): readonly LiveWave[] {
    return [...this.#waves.values()].sort((a, b) => waveOrder(a) - waveOrder(b) || (a.key < b.key ? -1 : 1));
  }

  /** Which waves the wall wants, while it is looked at: those of a ward, of all beds, or none where they have no room. */
  askWallWaves(asked: WavesAsked): void {
    this.#wallAsked = asked;
    if (asked.kind === "none") this.wallWaves.clear();
    this.#feed?.watch(this.#wavesAsked());
  }

  #change(part: Partial<PageView>): void {
    this.#view = { ...this.#view, ...part };
    const { session, feed, sessionLost, ward } = this.#view;
    const watching = session?.user != null;
    const blind = (watching && feed.stale) || sessionLost;
    this.sounder.need(watching || sessionLost ? soundNeeds(ward?.alerts ?? [], blind) : []);
    if (this.#drawing) return;
    this.#drawing = true;
    requestAnimationFrame(() => {
      this.#drawing = false;
      for (const listener of this.#listeners) listener();
    });
  }

  #takeSound(): void {
    const sound = this.sounder.state();
    if (JSON.stringify(sound) !== JSON.stringify(this.#view.sound)) this.#change({ sound });
  }

  #takeMessage(message: StreamMessage): void {
    if (message.kind === "waves") {
      this.#takeWaves(message.waves);
      return;
    }
    if (message.kind === "thin-waves") {
      this.wallWaves.take(message.waves, this.clock.monotonic());
      return;
    }
    const nowMs = message.kind === "pulse" ? message.nowMs : message.kind === "picture" ? message.picture.nowMs : null;
    // The pulse that was shortest on its way tells the gateway's time best; a picture begins anew.
    if (nowMs !== null) {
      const aheadMs = nowMs - this.clock.monotonic();
      this.#gatewayAheadMs = message.kind === "picture" ? aheadMs : Math.max(this.#gatewayAheadMs, aheadMs);
    }
    if (message.kind === "picture") {
      this.#firstVersion ??= message.picture.gateway.version;
      // A gateway of another version brings pages of its own.
      if (message.picture.gateway.version !== this.#firstVersion) {
        location.reload();
        return;
      }
    }
    const ward = applyMessage(this.#view.ward, message);
    if (ward !== this.#view.ward || nowMs !== null) this.#change({ ward, nowMs: this.#gatewayNowMs() });
  }

  #takeWaves(fresh: readonly WaveView[]): void {
    const nowMs = this.clock.monotonic();
    for (const wave of fresh) {
      const key = `${wave.deviceId} ${wave.waveform} ${wave.sampleRateHz}`;
      const sweep = this.#waves.get(key)?.sweep ?? createSweep(wave.sampleRateHz);
      sweep.add(wave, nowMs);
      this.#waves.set(key, { key, latest: wave, sweep, lastAtMs: nowMs });
    }
    for (const [key, wave] of this.#waves) if (nowMs - wave.lastAtMs > waveForgottenMs) this.#waves.delete(key);
  }

  /** Four looks a second come by; the pages are drawn anew when something a person sees has changed, or a second has passed. */
  #takeFeed(feed: FeedState): void {
    const nowMs = this.#gatewayNowMs();
    const known = this.#view.feed.lastEventAtMs !== null;
    const stateChanged = feed.stale !== this.#view.feed.stale || (feed.lastEventAtMs !== null) !== known;
    const secondChanged = known && Math.floor(nowMs / 1000) !== Math.floor(this.#view.nowMs / 1000);
    if (stateChanged || secondChanged) this.#change({ feed, nowMs });
    else this.#view = { ...this.#view, feed };
  }

  #gatewayNowMs(): number {
    return this.clock.monotonic() + this.#gatewayAheadMs;
  }

  #wavesAsked(): WavesAsked {
    const { place } = this.#view;
    if (place.kind === "bed") return place;
    return place.kind === "wall" || place.kind === "first" ? this.#wallAsked : { kind: "none" };
  }

  #stopFeed(): void {
    this.#feed?.close();
    this.#feed = null;
    this.#waves.clear();
    this.wallWaves.clear();
  }

  /** Asks who is signed in and acts on it; false where nobody is. A gateway that does not answer changes nothing. */
  async #askSession(): Promise<boolean> {
    const answer = await this.door.session();
    if (!answer.ok) return true;
    const session = answer.value;
    const signedIn = session.user !== null;
    const lost = !signedIn && (this.#view.session?.user != null || this.#view.sessionLost);
    if (!signedIn) this.#stopFeed();
    this.#idle.take(session.idle);
    this.#change({ session, sessionKnown: true, sessionLost: lost, ...(signedIn ? {} : { ward: null }) });
    if (signedIn && this.#feed === null) {
      const listener = {
        onMessage: (message: StreamMessage) => this.#takeMessage(message),
        onState: (state: FeedState) => this.#takeFeed(state),
        mayTryAgain: () => this.#askSession(),
      };
      this.#feed = new LiveFeed({ clock: this.clock, random: this.#random, listener, waves: this.#wavesAsked() });
    }
    return signedIn;
  }

  async #enter(outcome: Result<void, Refusal>): Promise<string | null> {
    if (!outcome.ok) return this.#refusalText(outcome.error);
    this.#change({ dialog: "sound-test", sessionLost: false });
    if (this.#view.place.kind === "first") location.hash = "#/";
    await this.#askSession();
    return null;
  }

  /** Why a deed was not done; undefined where it was, which is told. */
  async #send(deed: Deed): Promise<Refusal | undefined> {
    const done = await this.door.act(deed);
    if (!done.ok) return done.error;
    const { durable } = done.value;
    this.tell(say(this.#view.language, durable ? "done" : "doneNotDurable"), !durable);
    return undefined;
  }

  #refusalText(refusal: Refusal): string {
    const { language } = this.#view;
    return refusal === null ? say(language, "noAnswer") : `${refusal.title[language]}. ${refusal.remedy[language]}`;
  }
}

function waveOrder(wave: LiveWave): number {
  const order = ["ecgLeadI", "ecgLeadII", "ecgUnknownLead", "plethysmogram", "arterialPressure", "bloodPressure2", "respiration"];
  return order.indexOf(wave.latest.waveform);
}

/** Calls back for each key, move, touch and turn of the wheel on the page. */
function listenToUse(used: () => void): void {
  for (const kind of ["pointerdown", "pointermove", "keydown", "wheel", "touchstart"])
    addEventListener(kind, used, { capture: true, passive: true });
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
