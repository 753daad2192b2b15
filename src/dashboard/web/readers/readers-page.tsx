import type { ReaderView } from "../../../core/reader-view.ts";
import { factsText, faultText } from "../devices/device-words.ts";
import { NotRenewed } from "../devices/not-renewed.tsx";
import { Fact } from "../frame/fact.tsx";
import type { PageState, PageView } from "../state/page-state.ts";
import { useAsked } from "../state/use-asked.ts";
import { type Language, say } from "../words/texts.ts";
import { ageText, timeText } from "../words/words.ts";
import { askReaders } from "./readers-door.ts";

/** So often the page asks anew. */
const ASK_MS = 3000;

/** Who gets the records, how far each has come, and what went wrong. */
export function ReadersPage({ state, view }: { readonly state: PageState; readonly view: PageView }) {
  const { language } = view;
  const asked = useAsked({ clock: state.clock, everyMs: ASK_MS, about: "readers", ask: askReaders });
  if (asked.value === null) return <NotRenewed view={view} asked={asked} />;
  const readers = asked.value;
  return (
    <main class="sheet readers">
      <h1>{say(language, "readersTitle")}</h1>
      <NotRenewed view={view} asked={asked} />
      {readers.length === 0 ? (
        <p class="calm">
          <b>{say(language, "readersNone")}</b>
          <span>{say(language, "readersNoneNote")}</span>
        </p>
      ) : (
        <p class="panel__note">{say(language, "readersNote")}</p>
      )}
      {readers.map((reader) => (
        <Reader key={reader.name} view={view} reader={reader} />
      ))}
    </main>
  );
}

function Reader({ view, reader }: { readonly view: PageView; readonly reader: ReaderView }) {
  const { language, nowMs } = view;
  const { state, outage, kind, where } = reader;
  const isWell = state === "connected" && outage === null;
  const name = reader.name.replace(/^upstream:/, "");
  return (
    <section class={`panel reader${isWell ? "" : " panel--trouble"}`} aria-label={name} data-reader={name}>
      <h2>
        <span class={`dot${isWell ? " dot--good" : " dot--bad"}`} aria-hidden="true" /> {name}{" "}
        <span class="reader__state">{say(language, state === "connected" ? "readerConnected" : "readerConnecting")}</span>
      </h2>
      <p class="panel__note">
        {say(language, `readerKind.${kind}`)} · {where}
      </p>
      {outage !== null && <Outage language={language} outage={outage} nowMs={nowMs} />}
      <dl class="facts">
        <Fact name={say(language, "readerPosition")}>{positionText(language, reader)}</Fact>
        <Fact name={say(language, "readerWaiting")}>{waitingText(language, reader, nowMs)}</Fact>
        <Fact name={say(language, "readerLive")}>
          {liveText(language, reader)}
          {reader.urgentWaiting > 0 && <b>{say(language, "readerUrgent", { n: reader.urgentWaiting })}</b>}
        </Fact>
        <Fact name={say(language, "readerConfirmed")}>
          {reader.lastConfirmedAtMs === null
            ? say(language, "readerConfirmedNever")
            : say(language, "ago", { age: ageOf(language, reader.lastConfirmedAtMs, nowMs) })}
        </Fact>
        <Fact name={say(language, "readerSent")}>
          {say(language, "readerSentText", { sent: reader.sentCount, resent: reader.resentCount })}
        </Fact>
        <Losses language={language} reader={reader} nowMs={nowMs} />
      </dl>
    </section>
  );
}

function Outage(props: {
  readonly language: Language;
  readonly outage: NonNullable<ReaderView["outage"]>;
  readonly nowMs: number;
}) {
  const { language, outage, nowMs } = props;
  return (
    <p class="reader__trouble">
      <b>{say(language, "readerTrouble", { time: timeText(outage.sinceMs), age: ageOf(language, outage.sinceMs, nowMs) })}</b>
      <br />
      {faultText(language, outage.fault)}
    </p>
  );
}

/** What this reader will never have, and why. */
function Losses({
  language,
  reader,
  nowMs,
}: {
  readonly language: Language;
  readonly reader: ReaderView;
  readonly nowMs: number;
}) {
  const { refusedCount, refusedLastAtMs, missedCount, missedLastAtMs, lossesKnown, lastRefusal } = reader;
  const nothing = say(language, lossesKnown ? "readerNothingLost" : "readerLossesUnknown");
  return (
    <>
      <Fact name={say(language, "readerRefused")}>
        {refusedLastAtMs === null
          ? nothing
          : say(language, "readerRefusedText", { n: refusedCount, age: ageOf(language, refusedLastAtMs, nowMs) })}
        {lastRefusal !== null && (
          <small>{say(language, "readerRefusedWhy", { facts: factsText(lastRefusal.fault.facts) })}</small>
        )}
      </Fact>
      <Fact name={say(language, "readerMissed")}>
        {missedLastAtMs === null
          ? nothing
          : say(language, "readerMissedText", { n: missedCount, age: ageOf(language, missedLastAtMs, nowMs) })}
      </Fact>
    </>
  );
}

function positionText(language: Language, { position, newestSeq }: ReaderView): string {
  return position === null
    ? say(language, "readerPositionUnknown")
    : say(language, "readerPositionText", { position, newest: newestSeq });
}

function waitingText(language: Language, { backlogRecords: n, oldestWaitingAtMs }: ReaderView, nowMs: number): string {
  if (n === 0) return say(language, "readerWaitingNone");
  return oldestWaitingAtMs === null
    ? say(language, "readerWaitingCount", { n })
    : say(language, "readerWaitingText", { n, age: ageOf(language, oldestWaitingAtMs, nowMs) });
}

function liveText(language: Language, { state, livePosition, newestSeq }: ReaderView): string {
  if (state === "connecting") return say(language, "readerLiveStopped");
  const behind = newestSeq - livePosition;
  return behind > LIVE_BEHIND_MIN ? say(language, "readerLiveBehind", { n: behind }) : say(language, "readerLiveNow");
}

/** What is read a moment later is not behind. */
const LIVE_BEHIND_MIN = 100;

function ageOf(language: Language, atMs: number, nowMs: number): string {
  return ageText(language, Math.max(0, nowMs - atMs));
}
