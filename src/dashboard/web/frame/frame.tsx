import type { ComponentChildren } from "preact";
import type { GatewayView } from "../../../core/stream.ts";
import type { PageState, PageView } from "../state/page-state.ts";
import { type Language, say } from "../words/texts.ts";
import { ageText, timeText } from "../words/words.ts";
import { Navigation } from "./navigation.tsx";

interface Props {
  readonly state: PageState;
  readonly view: PageView;
}

/** The line that stands on every screen, in both languages. */
export function StandingLine() {
  return <p class="standing">{`${say("en", "notMedicalDevice")} / ${say("zh", "notMedicalDevice")}`}</p>;
}

/** The mark and name of the product. */
export function Brand() {
  return (
    <a class="brand" href="#/">
      <svg viewBox="0 0 32 32" width="26" height="26" aria-hidden="true">
        <path
          d="M2 17h7l3-9 6 17 4-12 2 4h6"
          fill="none"
          stroke="currentColor"
          stroke-width="2.6"
          stroke-linecap="round"
          stroke-linejoin="round"
        />
      </svg>
      Vigil
    </a>
  );
}

/** Switches between the two languages, saying the other one. */
export function LanguageSwitch({ state, view }: Props) {
  const other: Language = view.language === "en" ? "zh" : "en";
  return (
    <button
      type="button"
      class="button button--quiet"
      data-testid="language"
      lang={other}
      onClick={() => state.setLanguage(other)}
    >
      {say(view.language, "language")}
    </button>
  );
}

/** The head of every screen behind the sign-in. */
export function TopBar({ state, view }: Props) {
  const { language } = view;
  return (
    <header class="topbar">
      <Brand />
      <Navigation view={view} />
      <span class="topbar__space" />
      <time class="clock">{timeText(view.nowMs)}</time>
      <SoundControl state={state} view={view} />
      <LanguageSwitch state={state} view={view} />
      <button
        type="button"
        class="button button--quiet button--keys"
        onClick={() => state.openDialog("keys")}
        aria-label={say(language, "help")}
      >
        ?
      </button>
      {view.session?.signIn === true && (
        <button type="button" class="button button--quiet" onClick={() => void state.signOut()}>
          {say(language, "signOut")}
        </button>
      )}
    </header>
  );
}

function SoundControl({ state, view }: Props) {
  if (view.sound.kind !== "on") return null;
  return (
    <button type="button" class="button button--quiet button--sound" data-testid="pause" onClick={() => state.sounder.pause()}>
      <span class="dot dot--good" aria-hidden="true" />
      {say(view.language, "soundPause")}
    </button>
  );
}

/** What nobody may overlook: no data, no sound, safe mode, a wrong clock. */
export function Banners({ state, view }: Props) {
  const { language, feed } = view;
  const since = feed.lastEventAtMs;
  const stale = feed.stale && (since !== null || view.ward === null);
  return (
    <div class="banners" aria-live="assertive">
      {stale && (
        <div class="banner banner--stale" role="alert" data-testid="stale">
          <b>{since === null ? say(language, "staleNever") : say(language, "staleBanner", { time: timeText(since) })}</b>
          <span>{say(language, "reconnecting")}</span>
        </div>
      )}
      {view.ward?.gateway.safeMode === true && (
        <div class="banner banner--safe" role="alert">
          <b>{say(language, "safeMode")}</b>
        </div>
      )}
      {view.ward?.gateway.clockTrust === "untrusted" && (
        <div class="banner banner--safe" role="alert" data-testid="clock-untrusted">
          <b>{say(language, "clockUntrusted")}</b>
        </div>
      )}
      <SoundBanner state={state} view={view} />
    </div>
  );
}

function SoundBanner({ state, view }: Props) {
  const { language, sound } = view;
  switch (sound.kind) {
    case "on":
      return null;
    case "blocked":
      return (
        <Banner words={say(language, "soundBlocked")}>
          <button type="button" class="button button--strong" onClick={() => state.openDialog("sound-test")}>
            {say(language, "soundBlockedAction")}
          </button>
        </Banner>
      );
    case "paused":
      return (
        <Banner words={say(language, "soundPaused", { seconds: sound.secondsLeft })}>
          <button type="button" class="button button--strong" onClick={() => state.sounder.resume()}>
            {say(language, "soundPausedAction")}
          </button>
        </Banner>
      );
    case "unheard":
      return (
        <Banner words={say(language, "soundUnheard")}>
          <button type="button" class="button button--strong" onClick={() => state.openDialog("sound-test")}>
            {say(language, "soundUnheardAction")}
          </button>
        </Banner>
      );
  }
}

function Banner({ words, children }: { readonly words: string; readonly children: ComponentChildren }) {
  return (
    <div class="banner banner--sound" role="alert" data-testid="sound-off">
      <b>
        <svg viewBox="0 0 24 24" width="26" height="26" aria-hidden="true">
          <path d="M3 9h4l5-4v14l-5-4H3z" fill="currentColor" />
          <path d="m16 9 6 6m0-6-6 6" fill="none" stroke="currentColor" stroke-width="2.4" stroke-linecap="round" />
        </svg>
        {words}
      </b>
      {children}
    </div>
  );
}

/** The foot of every screen: how the gateway itself is. */
export function GatewayStrip({ view, gateway }: { readonly view: PageView; readonly gateway: GatewayView | null }) {
  const { language } = view;
  const soundWell = view.sound.kind === "on";
  return (
    <footer class="strip">
      {gateway !== null && (
        <>
          <Part well={gateway.journal.state === "working"} name={say(language, "journal")}>
            {gateway.journal.state === "working"
              ? say(language, "journalWorking")
              : say(language, "journalFailing", { n: gateway.journal.waitingRecords })}
          </Part>
          {gateway.upstreams.map((upstream) => (
            <Part key={upstream.name} well={upstream.state === "connected"} name={upstream.name}>
              {say(language, upstream.state === "connected" ? "upstreamConnected" : "upstreamConnecting")}
              {upstream.backlogRecords > 0 && ` · ${say(language, "backlog", { n: upstream.backlogRecords })}`}
              {upstream.lastConfirmedAtMs !== null &&
                ` · ${say(language, "confirmed", { age: ageText(language, view.nowMs - upstream.lastConfirmedAtMs) })}`}
            </Part>
          ))}
        </>
      )}
      <Part well={soundWell} name={say(language, "sound")}>
        {say(language, soundWell ? "soundOn" : "soundOff")}
      </Part>
      <span class="strip__space" />
      {gateway !== null && (
        <span class="strip__version">
          {gateway.gatewayId} · {gateway.version}
        </span>
      )}
      <StandingLine />
    </footer>
  );
}

function Part({ well, name, children }: { readonly well: boolean; readonly name: string; readonly children: ComponentChildren }) {
  return (
    <span class={`strip__part${well ? "" : " strip__part--trouble"}`} data-part={name}>
      <span class={`dot${well ? " dot--good" : " dot--bad"}`} aria-hidden="true" />
      <b>{name}</b> <span>{children}</span>
    </span>
  );
}
