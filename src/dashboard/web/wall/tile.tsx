import { Component } from "preact";
import { alertText } from "../../../core/alert-text.ts";
import type { BedView } from "../../../core/stream.ts";
import { AcknowledgeButton, alertClass, STARS } from "../alerts/alert-row.tsx";
import { DeviceLine } from "../bed/device-line.tsx";
import { TileNumbers } from "../bed/number-box.tsx";
import { UnrealBand } from "../bed/origin.tsx";
import { ScoreBadge } from "../bed/score-badge.tsx";
import { AdmitButton } from "../people/patient-panel.tsx";
import type { PageView } from "../state/page-state.ts";
import { say } from "../words/texts.ts";
import { inputText } from "../words/words.ts";
import { type TileProps, tileChanged } from "./small-tile.tsx";
import { TileWaves } from "./tile-waves.tsx";

/** A bed with room for all its numbers, its scores and its devices. */
export class Tile extends Component<TileProps> {
  override shouldComponentUpdate(next: TileProps): boolean {
    return tileChanged(this.props, next);
  }

  override render({ state, view, bed, alerts, number, place, painter }: TileProps) {
    const [top] = alerts;
    const classes = top === undefined ? "tile" : `tile tile--${top.priority} tile--${top.state} tile--${top.nature}`;
    return (
      <article class={classes} data-bed={bed.bedId}>
        <header class="tile__head">
          <a class="tile__bed" href={`#/bed/${encodeURIComponent(bed.bedId)}`} data-index={number}>
            {bed.title}
          </a>
          {bed.patient !== null && <span class="tile__patient">{bed.patient.label}</span>}
          {bed.patient?.profile.spo2Scale === 2 && <span class="tag tag--scale">{say(view.language, "scale2")}</span>}
          {place !== null && <span class="tile__place">{place}</span>}
        </header>
        <ExpiredLimits view={view} bed={bed} />
        <UnrealBand language={view.language} bed={bed} />
        {bed.patient === null ? (
          <div class="tile__empty">
            <p>{say(view.language, "noPatient")}</p>
            <AdmitButton state={state} view={view} bed={bed} />
          </div>
        ) : (
          <TileNumbers view={view} bed={bed} />
        )}
        {painter !== null && bed.patient !== null && <TileWaves state={state} view={view} bed={bed} painter={painter} />}
        {bed.patient !== null && (
          <div class="tile__scores">
            {bed.answers.length === 0 && <span class="score__partial">{say(view.language, "noScoreYet")}</span>}
            {bed.answers.map((answer) => (
              <ScoreBadge key={answer.modelId} view={view} answer={answer} />
            ))}
          </div>
        )}
        {top !== undefined && (
          <div class={`tile__alert ${alertClass(top)}`}>
            <span class="alert__stars">{STARS[top.priority]}</span>
            <span class="alert__text">
              <span class="tile__says">
                {top.nature === "technical" && <span class="tag tag--technical">{say(view.language, "technical")}</span>}
                {alertText(top, view.language)}
              </span>
              {alerts.length > 1 && <small>{say(view.language, "moreAlerts", { n: alerts.length - 1 })}</small>}
            </span>
            {top.state === "active" ? (
              <AcknowledgeButton state={state} view={view} alert={top} />
            ) : (
              <span class="alert__known">✓</span>
            )}
          </div>
        )}
        <footer class="tile__devices">
          {bed.devices.length === 0 && <span class="device">{say(view.language, "noDevices")}</span>}
          {bed.devices.map((device) => (
            <DeviceLine key={device.deviceId} view={view} device={device} />
          ))}
        </footer>
      </article>
    );
  }
}

/** A limit that was set for a time has gone back to the ward's own: that is said until somebody sets one anew. */
function ExpiredLimits({ view, bed }: { readonly view: PageView; readonly bed: BedView }) {
  const expired = (bed.patient?.limits ?? []).filter((limit) => limit.expired);
  if (expired.length === 0) return null;
  const names = expired.map(({ quantity }) => inputText(view.language, quantity)).join(", ");
  return (
    <p class="tag tag--technical" data-expired-limits={expired.length}>
      {say(view.language, "limitExpired", { names })}
    </p>
  );
}
