import type { DeviceView } from "../../../core/stream.ts";
import type { PageView } from "../state/page-state.ts";
import { say } from "../words/texts.ts";
import { ageText } from "../words/words.ts";
import { OriginTag } from "./origin.tsx";

/** A device with the state of its link and when it was last heard. */
export function DeviceLine({ view, device }: { readonly view: PageView; readonly device: DeviceView }) {
  const { language } = view;
  const well = device.link === "up" && !device.quarantined;
  const state = device.quarantined ? "quarantined" : device.link === "up" ? "linkUp" : "linkDown";
  const heard =
    device.lastHeardAtMs === null
      ? say(language, "neverHeard")
      : say(language, "heard", { age: ageText(language, view.nowMs - device.lastHeardAtMs) });
  return (
    <span class={`device${well ? "" : " device--trouble"}`} data-device={device.deviceId}>
      <span class={`dot${well ? " dot--good" : " dot--bad"}`} aria-hidden="true" />
      <span class="device__name">{device.title[language]}</span>
      {!well && <b>{say(language, state)}</b>}
      <span class="device__heard">{heard}</span>
      {device.refusedCount > 0 && <span class="device__refused">{say(language, "refused", { n: device.refusedCount })}</span>}
      <OriginTag language={language} origin={device.origin} />
    </span>
  );
}
