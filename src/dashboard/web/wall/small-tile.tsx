import { Component } from "preact";
import type { Alert } from "../../../core/alert.ts";
import { alertText } from "../../../core/alert-text.ts";
import type { QuantityName } from "../../../core/quantities.ts";
import type { AnswerView, BedView } from "../../../core/stream.ts";
import { alertClass, STARS } from "../alerts/alert-row.tsx";
import { OriginTag } from "../bed/origin.tsx";
import { may } from "../state/may.ts";
import type { PageState, PageView } from "../state/page-state.ts";
import { scoreUrgency, unrealOrigins } from "../state/ward.ts";
import { say } from "../words/texts.ts";
import { inputText } from "../words/words.ts";
import { shortAlertText } from "./short-alert.ts";
import { SmallNumbers } from "./small-numbers.tsx";
import { TileWaves } from "./tile-waves.tsx";
import type { WavePainter } from "./wave-painter.ts";

/** What a tile needs to be drawn. */
export interface TileProps {
  readonly state: PageState;
  readonly view: PageView;
  readonly bed: BedView;
  /** Of this bed, the worst first. */
  readonly alerts: readonly Alert[];
  /** Its place in the order of the beds, from 1: the key that opens it. */
  readonly number: number;
  /** Where it is: its room, and its ward where beds of several stand together; null where that need not be said. */
  readonly place: string | null;
  /** Null where waves have no room. */
  readonly painter: WavePainter | null;
  /** False in a row of a list that has no room for an alert's words while somebody reaches for a bed. */
  readonly roomForAlert: boolean;
}

/** Whether a tile has to be drawn anew: fifty of them are not, each time one bed says something. */
export function tileChanged(before: TileProps, next: TileProps): boolean {
  const same =
    next.alerts.length === before.alerts.length &&
    next.alerts.every((alert, index) => alert === before.alerts[index]) &&
    next.bed === before.bed &&
    next.number === before.number &&
    next.place === before.place &&
    next.painter === before.painter &&
    next.roomForAlert === before.roomForAlert &&
    next.view.language === before.view.language &&
    next.view.session === before.view.session;
  return !same || ageTurn(next) !== ageTurn(before);
}

/** Ages are renewed once a second, each bed's at another moment, so that fifty beds are not drawn in one frame. */
function ageTurn({ view, number }: TileProps): number {
  return Math.floor((view.nowMs + number * 137) / 1000);
}

/** A bed in little room, drawn anew only where something of it changed or a second has passed. */
export class SmallTile extends Component<TileProps> {
  override shouldComponentUpdate(next: TileProps): boolean {
    return tileChanged(this.props, next);
  }

  override render({ state, view, bed, alerts, number, place, painter, roomForAlert }: TileProps) {
    const [top] = alerts;
    const room = top !== undefined && roomForAlert ? " small--alerting" : "";
    const classes = top === undefined ? "" : `${room} tile--${top.priority} tile--${top.state} tile--${top.nature}`;
    const { language } = view;
    return (
      <article class={`small${classes}`} data-bed={bed.bedId}>
        <header class="small__head">
          <a class="tile__bed" href={`#/bed/${encodeURIComponent(bed.bedId)}`} data-index={number}>
            {bed.title}
          </a>
          <span class="tile__patient">{bed.patient?.label}</span>
          <UnrealTag view={view} bed={bed} />
          {bed.answers.map((answer) => (
            <SmallScore key={answer.modelId} view={view} answer={answer} />
          ))}
        </header>
        {bed.patient === null ? (
          <p class="small__empty">
            {say(language, "noPatient")} {place}
          </p>
        ) : (
          <SmallNumbers view={view} bed={bed} alarming={alarmingOf(alerts)}>
            <SmallMarks view={view} bed={bed} />
            {place !== null && <span class="small__room">{place}</span>}
          </SmallNumbers>
        )}
        {painter !== null && bed.patient !== null && <TileWaves state={state} view={view} bed={bed} painter={painter} />}
        {top !== undefined && roomForAlert && <SmallAlert state={state} view={view} alert={top} more={alerts.length - 1} />}
      </article>
    );
  }
}

/** The quantities that alarm now. */
function alarmingOf(alerts: readonly Alert[]): ReadonlySet<QuantityName> {
  return new Set(
    alerts.flatMap(({ state, evidence }) => (state === "active" && evidence.kind === "limit" ? [evidence.quantity] : [])),
  );
}

/** What else has to be known of a bed, each in a word: devices in trouble or none, a limit that ended, the scale of its score. */
function SmallMarks({ view, bed }: { readonly view: PageView; readonly bed: BedView }) {
  const { language } = view;
  const down = bed.devices.filter((device) => device.link === "down" && !device.quarantined).length;
  const out = bed.devices.filter((device) => device.quarantined).length;
  const ended = (bed.patient?.limits ?? []).filter((limit) => limit.expired);
  const endedNames = ended.map(({ quantity }) => inputText(language, quantity)).join(", ");
  return (
    <>
      {down > 0 && <Mark short={say(language, "wall.down")} whole={say(language, "wall.downWhole", { n: down })} />}
      {out > 0 && <Mark short={say(language, "wall.out")} whole={say(language, "wall.outWhole", { n: out })} />}
      {bed.devices.length === 0 && <Mark short={say(language, "wall.none")} whole={say(language, "wall.noneWhole")} />}
      {ended.length > 0 && (
        <Mark short={say(language, "wall.ended")} whole={say(language, "limitExpired", { names: endedNames })} />
      )}
      {bed.patient?.profile.spo2Scale === 2 && <span class="tag tag--scale">{say(language, "wall.scale2")}</span>}
    </>
  );
}

function Mark({ short, whole }: { readonly short: string; readonly whole: string }) {
  return (
    <span class="tag tag--trouble" title={whole}>
      <span aria-hidden="true">{short}</span>
      <span class="unseen">{whole}</span>
    </span>
  );
}

/** A bed whose values are not, or not only, those of a live patient. */
function UnrealTag({ view, bed }: { readonly view: PageView; readonly bed: BedView }) {
  const { language } = view;
  const [origin] = unrealOrigins(bed);
  if (origin !== undefined) return <OriginTag language={language} origin={origin} />;
  if (bed.patient?.demonstration !== true) return null;
  return (
    <span class="tag tag--unreal" title={say(language, "notLive")}>
      {say(language, "wall.demonstration")}
    </span>
  );
}

/** A score as few signs: its points, `≥` and how many of how many where something is missing. */
function SmallScore({ view, answer }: { readonly view: PageView; readonly answer: AnswerView }) {
  const { language } = view;
  const said = answer.answer;
  const title = answer.title[language];
  switch (said.kind) {
    case "score": {
      const partial = said.missing.length > 0;
      const parts = said.parts.map((part) => part.points);
      const known = said.inputCount - said.missing.length;
      return (
        <span class={`small-score small-score--${scoreUrgency(said.points, parts)}`} data-model={answer.modelId}>
          <span class="unseen">
            {title}: {partial ? say(language, "partial", { n: known, m: said.inputCount }) : say(language, "complete")}{" "}
          </span>
          <b>{partial ? `≥${said.points}` : said.points}</b>
          {partial && (
            <small aria-hidden="true">
              {known}/{said.inputCount}
            </small>
          )}
        </span>
      );
    }
    case "risk":
      return (
        <span class="small-score" data-model={answer.modelId}>
          <span class="unseen">{title} </span>
          <b>{Math.round(said.risk * 100)} %</b>
        </span>
      );
    case "no-answer":
      return (
        <span class="small-score small-score--unknown" data-model={answer.modelId}>
          <span class="unseen">
            {title}: {say(language, `noScore.${said.why}`)}{" "}
          </span>
          <b aria-hidden="true">?</b>
        </span>
      );
  }
}

function SmallAlert(props: { readonly state: PageState; readonly view: PageView; readonly alert: Alert; readonly more: number }) {
  const { state, view, alert, more } = props;
  const { language } = view;
  const mayTake = alert.state === "active" && may(view.session, "acknowledge", alert.nature);
  return (
    <div class={`small__alert ${alertClass(alert)}`}>
      <span class="small__stars">
        <span class="alert__stars">{STARS[alert.priority]}</span>
        {more > 0 && (
          <span class="small__more">
            <span aria-hidden="true">+{more}</span>
            <span class="unseen">{say(language, "moreAlerts", { n: more })}</span>
          </span>
        )}
      </span>
      <span class="small__says">
        {alert.nature === "technical" && (
          <>
            <span class="tag tag--technical">{say(language, "wall.technical")}</span>{" "}
          </>
        )}
        {shortAlertText(alert, language)}
      </span>
      {mayTake && (
        <button
          type="button"
          class="button small__take"
          aria-label={`${say(language, "acknowledge")}: ${alertText(alert, language)}`}
          onClick={() => void state.perform({ kind: "acknowledge", alertId: alert.id })}
        >
          ✓
        </button>
      )}
      {alert.state === "acknowledged" && <span class="alert__known">✓</span>}
    </div>
  );
}
