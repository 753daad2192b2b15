import { useState } from "preact/hooks";
import { deedText } from "../../../core/act-text.ts";
import { alertText } from "../../../core/alert-text.ts";
import type { PatientEvent } from "../../../core/history-view.ts";
import { STARS } from "../alerts/alert-row.tsx";
import type { PageState, PageView } from "../state/page-state.ts";
import { useAsked } from "../state/use-asked.ts";
import { type Language, say } from "../words/texts.ts";
import { momentText } from "./day.ts";
import { askEvents } from "./past-door.ts";

const dayMs = 86_400_000;
const renewMs = 30_000;
/** So many are shown before somebody asks for all. */
const firstCount = 12;

/** What happened to a patient in the last 24 hours: alerts, what was done, what was noted, lost connections; the newest first. */
export function BedEvents(props: { readonly state: PageState; readonly view: PageView; readonly patientId: string }) {
  const { state, view, patientId } = props;
  const { language } = view;
  const [all, setAll] = useState(false);
  const { value, refusal } = useAsked({
    clock: state.clock,
    everyMs: renewMs,
    about: `${patientId} ${view.ward?.alerts.length ?? 0}`,
    ask: () => askEvents(patientId, { fromMs: state.view().nowMs - dayMs, toMs: state.view().nowMs + renewMs }),
  });
  const events = value?.events ?? [];
  const shown = all ? events : events.slice(0, firstCount);
  const textOf = (alertId: string) => events.find((event) => event.kind !== "act" && event.alert.id === alertId) ?? null;
  return (
    <section class="panel events" data-testid="events">
      <h2>{say(language, "events")}</h2>
      {refusal !== undefined && <p class="past__failed">{say(language, "pastFailed")}</p>}
      {value !== null && events.length === 0 && <p class="past__note">{say(language, "noEvents")}</p>}
      <ol class="events__list">
        {shown.map((event) => (
          <li key={`${event.seq} ${event.kind}`} class={`event event--${event.kind}`} data-event={event.kind}>
            <time>{momentText(language, event.atMs, view.nowMs)}</time>
            <EventWords language={language} event={event} find={textOf} />
          </li>
        ))}
      </ol>
      {value !== null && value.wholeFromMs > view.nowMs - dayMs + 2 * renewMs && (
        <p class="past__note">{say(language, "eventsFrom", { time: momentText(language, value.wholeFromMs, view.nowMs) })}</p>
      )}
      {events.length > firstCount && (
        <button type="button" class="button button--wide" aria-expanded={all} onClick={() => setAll(!all)}>
          {all ? say(language, "fewerEvents") : say(language, "allEvents", { n: events.length })}
        </button>
      )}
    </section>
  );
}

function EventWords(props: {
  readonly language: Language;
  readonly event: PatientEvent;
  readonly find: (alertId: string) => PatientEvent | null;
}) {
  const { language, event, find } = props;
  switch (event.kind) {
    case "raised":
      return (
        <span>
          <b class={`event__stars event__stars--${event.alert.priority}`}>
            <span aria-hidden="true">{STARS[event.alert.priority]} </span>
            {say(language, `priority.${event.alert.priority}`)}
          </b>{" "}
          {say(language, "alertBegan", { text: alertText(event.alert, language) })}
        </span>
      );
    case "ended":
      return <span>{say(language, "alertOver", { text: alertText(event.alert, language) })}</span>;
    case "act":
      return (
        <span>
          {actWords(language, event, find)} <small>{event.by}</small>
        </span>
      );
  }
}

/** An act about an alert says what the alert said; its number means nothing to a person. */
function actWords(
  language: Language,
  { deed }: Extract<PatientEvent, { kind: "act" }>,
  find: (alertId: string) => PatientEvent | null,
): string {
  const about = deed.kind === "acknowledge" || deed.kind === "verdict" ? find(deed.alertId) : null;
  if (about === null || about.kind === "act") return deedText(deed)[language];
  const text = alertText(about.alert, language);
  if (deed.kind === "verdict") return say(language, "alertJudged", { verdict: say(language, `verdict.${deed.verdict}`), text });
  return say(language, "alertAcknowledged", { text });
}
