import { useEffect, useState } from "preact/hooks";
import { AlertList } from "./alerts/alert-list.tsx";
import { STARS } from "./alerts/alert-row.tsx";
import { BedPage } from "./bed/bed-page.tsx";
import { AdoptPage } from "./devices/adopt-page.tsx";
import { DevicePage } from "./devices/device-page.tsx";
import { DevicesPage } from "./devices/devices-page.tsx";
import { Dialogs } from "./frame/dialogs.tsx";
import { Banners, GatewayStrip, TopBar } from "./frame/frame.tsx";
import { IdleWarning } from "./frame/idle-warning.tsx";
import { listenToKeys } from "./frame/keyboard.ts";
import { SignIn } from "./frame/sign-in.tsx";
import { AlertHistoryPage } from "./past/alert-history.tsx";
import { QualityPage } from "./past/quality-page.tsx";
import { UsersPage } from "./people/users-page.tsx";
import { ReadersPage } from "./readers/readers-page.tsx";
import { RecordsPage } from "./records/records-page.tsx";
import { SettingsPage } from "./settings/settings-page.tsx";
import type { PageState, PageView } from "./state/page-state.ts";
import { sortAlerts } from "./state/ward.ts";
import { Wall } from "./wall/wall.tsx";
import { say } from "./words/texts.ts";

/** The pages, whole. */
export function App({ state }: { readonly state: PageState }) {
  const view = useView(state);
  useEffect(() => {
    document.title = titleOf(view);
  });
  useWakeLock(view.session?.user != null);
  if (view.session?.user == null) return <SignIn state={state} view={view} />;
  return (
    <div class={view.feed.stale ? "page page--stale" : "page"}>
      <TopBar state={state} view={view} />
      <Banners state={state} view={view} />
      <IdleWarning view={view} />
      <div class="page__content">
        <Screen state={state} view={view} />
      </div>
      <GatewayStrip view={view} gateway={view.ward?.gateway ?? null} />
      <Dialogs state={state} view={view} />
      {view.notice !== null && (
        <div class={`notice${view.notice.bad ? " notice--bad" : ""}`} role="status">
          {view.notice.text}
        </div>
      )}
    </div>
  );
}

function Screen({ state, view }: { readonly state: PageState; readonly view: PageView }) {
  const { ward, place } = view;
  if (ward === null) return <p class="sheet">{say(view.language, "loading")}</p>;
  switch (place.kind) {
    case "wall":
    case "first":
      return <Wall state={state} view={view} ward={ward} />;
    case "users":
      return <UsersPage state={state} view={view} />;
    case "records":
      return <RecordsPage state={state} view={view} />;
    case "settings":
      return <SettingsPage state={state} view={view} />;
    case "quality":
      return <QualityPage state={state} view={view} />;
    case "past-alerts":
      return <AlertHistoryPage state={state} view={view} ward={ward} />;
    case "alerts":
      return <AlertList state={state} view={view} ward={ward} />;
    case "devices":
      return <DevicesPage state={state} view={view} ward={ward} />;
    case "device":
      return <DevicePage key={place.deviceId} state={state} view={view} ward={ward} deviceId={place.deviceId} />;
    case "adopt":
      return <AdoptPage state={state} view={view} ward={ward} />;
    case "readers":
      return <ReadersPage state={state} view={view} />;
    case "bed":
      return <BedPage key={place.bedId} state={state} view={view} ward={ward} bedId={place.bedId} />;
  }
}

function useView(state: PageState): PageView {
  const [view, setView] = useState(state.view());
  useEffect(() => {
    const stop = state.subscribe(() => setView(state.view()));
    const stopKeys = listenToKeys(state);
    setView(state.view());
    return () => {
      stop();
      stopKeys();
    };
  }, []);
  return view;
}

/** Asks the screen to stay awake while somebody is watched; not every browser grants it, none does in the background. */
function useWakeLock(watching: boolean): void {
  useEffect(() => {
    if (!watching || !("wakeLock" in navigator)) return undefined;
    const ask = () => {
      if (document.visibilityState === "visible") navigator.wakeLock.request("screen").catch(() => undefined);
    };
    ask();
    document.addEventListener("visibilitychange", ask);
    return () => document.removeEventListener("visibilitychange", ask);
  }, [watching]);
}

/** The title tells the worst even where only the tab is seen. */
function titleOf(view: PageView): string {
  if (view.session?.user == null) return "Vigil";
  if (view.feed.stale) return `⚠ ${say(view.language, "staleTitle")} – Vigil`;
  const [top] = sortAlerts(view.ward?.alerts ?? []).filter((alert) => alert.state === "active");
  return top === undefined ? "Vigil" : `${STARS[top.priority]} ${say(view.language, "alerts")} – Vigil`;
}
