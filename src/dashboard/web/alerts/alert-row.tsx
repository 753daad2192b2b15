import type { Alert, Priority } from "../../../core/alert.ts";
import { alertRemedy, alertText } from "../../../core/alert-text.ts";
import type { BedView } from "../../../core/stream.ts";
import { OriginTag } from "../bed/origin.tsx";
import { may } from "../state/may.ts";
import type { PageState, PageView } from "../state/page-state.ts";
import { bedOfAlert } from "../state/ward.ts";
import { wardsOf } from "../wall/wall-order.ts";
import { say } from "../words/texts.ts";
import { ageText, timeText } from "../words/words.ts";
import { AlertStrip } from "./alert-strip.tsx";
import { StillOnPatient } from "./still-on-patient.tsx";

/** The stars of bedside monitors. */
export const STARS: Readonly<Record<Priority, string>> = { high: "***", medium: "**", low: "*" };

/** The classes that colour and flash an alert. */
export function alertClass(alert: Alert): string {
  return `alert alert--${alert.priority} alert--${alert.state} alert--${alert.nature}`;
}

/** One alert with what it says, since when, and who knows. */
export function AlertRow(props: {
  readonly state: PageState;
  readonly view: PageView;
  readonly alert: Alert;
  /** False on a bed's own page, where the bed is known. */
  readonly withBed: boolean;
  readonly withRemedy: boolean;
}) {
  const { state, view, alert } = props;
  const { language } = view;
  const remedy = props.withRemedy ? alertRemedy(alert, language) : null;
  return (
    <li
      class={alertClass(alert)}
      data-alert={alert.id}
      // biome-ignore lint/a11y/noNoninteractiveTabindex: a row is marked with the arrow keys and acknowledged with Enter.
      tabIndex={0}
      aria-label={`${say(language, `priority.${alert.priority}`)} ${alertText(alert, language)}`}
    >
      <span class="alert__stars" aria-hidden="true">
        {STARS[alert.priority]}
      </span>
      <div class="alert__body">
        {props.withBed && <AlertPlace view={view} alert={alert} />}
        <strong class="alert__text">{alertText(alert, language)}</strong>
        <span class="alert__facts">
          {alert.nature === "technical" && <span class="tag tag--technical">{say(language, "technical")}</span>}
          <OriginTag language={language} origin={alert.origin} />
          <span>{say(language, "since", { time: timeText(alert.raisedAtMs) })}</span>
          <span>{say(language, "ago", { age: ageText(language, view.nowMs - alert.raisedAtMs) })}</span>
          {alert.raisedCount > 1 && <span>{say(language, "raisedAgain", { n: alert.raisedCount })}</span>}
        </span>
        {alert.state === "acknowledged" && <Acknowledgement view={view} alert={alert} />}
        {remedy !== null && <span class="alert__remedy">{remedy}</span>}
      </div>
      {alert.state === "active" && <AcknowledgeButton state={state} view={view} alert={alert} />}
      <StillOnPatient state={state} view={view} alert={alert} />
      {!props.withBed && alert.nature === "physiological" && <AlertStrip state={state} view={view} alert={alert} />}
    </li>
  );
}

/** The button that takes an alert over, for whoever may. */
export function AcknowledgeButton(props: { readonly state: PageState; readonly view: PageView; readonly alert: Alert }) {
  if (!may(props.view.session, "acknowledge", props.alert.nature)) return null;
  const perform = () => void props.state.perform({ kind: "acknowledge", alertId: props.alert.id });
  return (
    <button type="button" class="button button--acknowledge" onClick={perform}>
      {say(props.view.language, "acknowledge")}
    </button>
  );
}

function Acknowledgement({ view, alert }: { readonly view: PageView; readonly alert: Alert }) {
  const atMs = alert.acknowledgedAtMs ?? alert.changedAtMs;
  const age = ageText(view.language, view.nowMs - atMs);
  return <span class="alert__known">✓ {say(view.language, "acknowledged", { who: alert.acknowledgedBy ?? "–", age })}</span>;
}

function AlertPlace({ view, alert }: { readonly view: PageView; readonly alert: Alert }) {
  const beds = view.ward?.beds ?? [];
  const bed: BedView | null = bedOfAlert(alert, beds);
  if (bed === null) {
    return (
      <span class="alert__place">{alert.subject.deviceId ?? alert.subject.part ?? say(view.language, "gatewayItself")}</span>
    );
  }
  return (
    <a class="alert__place" href={`#/bed/${encodeURIComponent(bed.bedId)}`}>
      {/* Two wards may each have a bed of this name. */}
      {bed.ward !== null && wardsOf(beds).length > 1 && <span>{bed.ward} · </span>}
      {bed.title}
      {bed.patient !== null && <span> · {bed.patient.label}</span>}
    </a>
  );
}
