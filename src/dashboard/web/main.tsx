import { render } from "preact";
import { App } from "./app.tsx";
import { createGatewayDoor } from "./state/gateway-door.ts";
import { createPageClock } from "./state/page-clock.ts";
import { PageState } from "./state/page-state.ts";
import "./style/base.css";
import "./style/buttons.css";
import "./style/frame.css";
import "./style/wall.css";
import "./style/alerts.css";
import "./style/bed.css";
import "./style/dialogs.css";
import "./people/people.css";
import "./devices/devices.css";
import "./past/past.css";
import "./records/records.css";
import "./settings/settings.css";
import "./demonstration/demonstration.css";
import "./style/density.css";
import "./wall/small-tiles.css";
import "./style/narrow.css";

const place = document.getElementById("page");
if (place !== null) {
  const state = new PageState({ clock: createPageClock(), door: createGatewayDoor(), random: Math.random });
  document.documentElement.lang = state.view().language === "zh" ? "zh-CN" : "en";
  state.begin();
  render(<App state={state} />, place);
}
