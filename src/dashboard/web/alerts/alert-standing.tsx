import { alertText } from "../../../core/alert-text.ts";
import type { PageState, PageView } from "../state/page-state.ts";
import { bedOfAlert, sortAlerts } from "../state/ward.ts";
import { say } from "../words/texts.ts";
import { AcknowledgeButton, alertClass, STARS } from "./alert-row.tsx";

/** The most urgent alert that nobody has acknowledged, for where a dialog lies above the others. Nothing where there is none. */
export function AlertStanding({ state, view }: { readonly state: PageState; readonly view: PageView }) {
  const beds = view.ward?.beds ?? [];
  const active = sortAlerts(view.ward?.alerts ?? []).filter((alert) => alert.state === "active");
  const [top] = active;
  if (top === undefined) return null;
  const bed = bedOfAlert(top, beds);
  return (
    <div class={`alert-standing ${alertClass(top)}`} role="status">
      <span class="alert__stars">{STARS[top.priority]}</span>
      <span class="alert__text">
        <b>{bed === null ? say(view.language, "gatewayItself") : bed.title}</b> {alertText(top, view.language)}
        {active.length > 1 && <small> {say(view.language, "moreAlerts", { n: active.length - 1 })}</small>}
      </span>
      <AcknowledgeButton state={state} view={view} alert={top} />
    </div>
  );
}
