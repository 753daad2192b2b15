import { alertText } from "../../../core/alert-text.ts";
import type { BedView, PictureView } from "../../../core/stream.ts";
import { AcknowledgeButton, AlertRow, alertClass, STARS } from "../alerts/alert-row.tsx";
import { DeviceLine } from "../bed/device-line.tsx";
import { TileNumbers } from "../bed/number-box.tsx";
import { UnrealBand } from "../bed/origin.tsx";
import { ScoreBadge } from "../bed/score-badge.tsx";
import { AdmitButton } from "../people/patient-panel.tsx";
import { may } from "../state/may.ts";
import type { PageState, PageView } from "../state/page-state.ts";
import { alertsOfBed, sortAlerts } from "../state/ward.ts";
import { say } from "../words/texts.ts";
import { inputText } from "../words/words.ts";

interface Props {
  readonly state: PageState;
  readonly view: PageView;
}

/** Every bed at once, with what asks for somebody beside it. */
export function Wall({ state, view, ward }: Props & { readonly ward: PictureView }) {
  const alerts = sortAlerts(ward.alerts);
  return (
    <main class="wall">
      <section class={`tiles ${densityOf(ward.beds.length)}`} aria-label={say(view.language, "wall")}>
        {ward.beds.map((bed, index) => (
          <Tile key={bed.bedId} state={state} view={view} bed={bed} ward={ward} index={index} />
        ))}
        {ward.unassigned.length > 0 && <Unassigned state={state} view={view} ward={ward} />}
      </section>
      <aside class="rail" aria-label={say(view.language, "alerts")}>
        <h2 class="rail__title">
          {say(view.language, "alerts")} <span class="count">{alerts.length}</span>
        </h2>
        {alerts.length === 0 ? (
          <p class="calm">
            <b>{say(view.language, "noAlerts")}</b>
            <span>{say(view.language, "noAlertsNote")}</span>
          </p>
        ) : (
          <ul class="alerts">
            {alerts.map((alert) => (
              <AlertRow key={alert.id} state={state} view={view} alert={alert} withBed withRemedy={false} />
            ))}
          </ul>
        )}
      </aside>
    </main>
  );
}

/** A large ward is shown in smaller tiles, so that every bed stays in sight; alerts and absences are never left out. */
function densityOf(bedCount: number): string {
  if (bedCount > 16) return "tiles--dense";
  return bedCount > 6 ? "tiles--compact" : "";
}

function Tile({
  state,
  view,
  bed,
  ward,
  index,
}: Props & { readonly bed: BedView; readonly ward: PictureView; readonly index: number }) {
  const alerts = sortAlerts(alertsOfBed(ward.alerts, bed));
  const [top] = alerts;
  const classes = top === undefined ? "tile" : `tile tile--${top.priority} tile--${top.state} tile--${top.nature}`;
  return (
    <article class={classes} data-bed={bed.bedId}>
      <header class="tile__head">
        <a class="tile__bed" href={`#/bed/${encodeURIComponent(bed.bedId)}`} data-index={index + 1}>
          {bed.title}
        </a>
        {bed.patient !== null && <span class="tile__patient">{bed.patient.label}</span>}
        {bed.patient?.profile.spo2Scale === 2 && <span class="tag tag--scale">{say(view.language, "scale2")}</span>}
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

function Unassigned({ state, view, ward }: Props & { readonly ward: PictureView }) {
  return (
    <section class="unassigned" aria-label={say(view.language, "unassigned")}>
      <h2>{say(view.language, "unassigned")}</h2>
      <p>{say(view.language, "unassignedNote")}</p>
      <ul>
        {ward.unassigned.map((device) => (
          <li key={device.deviceId}>
            <DeviceLine view={view} device={device} />
            {may(view.session, "assign") && (
              <button
                type="button"
                class="button"
                aria-label={`${device.title[view.language]}: ${say(view.language, "assign")}`}
                onClick={() => state.openDialog({ kind: "assign", deviceId: device.deviceId, patientId: null })}
              >
                {say(view.language, "assign")}
              </button>
            )}
          </li>
        ))}
      </ul>
    </section>
  );
}
