import { maySee } from "../state/may.ts";
import type { PageView } from "../state/page-state.ts";
import { say } from "../words/texts.ts";

/** The way between the alerts that are open and those that were, for whoever may see both. */
export function AlertTabs({ view, tab }: { readonly view: PageView; readonly tab: "open" | "history" }) {
  const { language } = view;
  if (!maySee(view.session, "GET /api/alert-history")) return null;
  return (
    <nav class="tabs" aria-label={say(language, "alerts")}>
      <a href="#/alerts" aria-current={tab === "open" ? "page" : undefined}>
        {say(language, "alertsOpen")}
      </a>
      <a href="#/alerts/history" aria-current={tab === "history" ? "page" : undefined}>
        {say(language, "alertsPast")}
      </a>
    </nav>
  );
}
