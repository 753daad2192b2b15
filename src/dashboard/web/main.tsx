import { render } from "preact";
import { App } from "./app.tsx";
import { createGatewayDoor } from "./gateway-door.ts";
import { createPageClock } from "./page-clock.ts";
import { PageState } from "./page-state.ts";
import "./style.css";

const place = document.getElementById("page");
if (place !== null) {
  const state = new PageState({ clock: createPageClock(), door: createGatewayDoor(), random: Math.random });
  document.documentElement.lang = state.view().language === "zh" ? "zh-CN" : "en";
  state.begin();
  render(<App state={state} />, place);
}
