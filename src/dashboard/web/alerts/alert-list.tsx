import type { PictureView } from "../../../core/stream.ts";
import { AlertTabs } from "../past/alert-tabs.tsx";
import type { PageState, PageView } from "../state/page-state.ts";
import { sortAlerts } from "../state/ward.ts";
import { say } from "../words/texts.ts";
import { AlertRow } from "./alert-row.tsx";

/** Every alert that has not ended, with what can be done about it. */
export function AlertList({
  state,
  view,
  ward,
}: {
  readonly state: PageState;
  readonly view: PageView;
  readonly ward: PictureView;
}) {
  const alerts = sortAlerts(ward.alerts);
  return (
    <main class="sheet">
      <h1>
        {say(view.language, "alerts")} <span class="count">{alerts.length}</span>
      </h1>
      <AlertTabs view={view} tab="open" />
      {alerts.length === 0 ? (
        <p class="calm">
          <b>{say(view.language, "noAlerts")}</b>
          <span>{say(view.language, "noAlertsNote")}</span>
        </p>
      ) : (
        <ul class="alerts alerts--wide">
          {alerts.map((alert) => (
            <AlertRow key={alert.id} state={state} view={view} alert={alert} withBed withRemedy />
          ))}
        </ul>
      )}
    </main>
  );
}
