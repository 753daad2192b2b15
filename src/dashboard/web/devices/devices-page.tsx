import { useState } from "preact/hooks";
import type { DeviceRowView, UnusedDeviceView } from "../../../core/device-view.ts";
import { QUANTITIES } from "../../../core/quantities.ts";
import type { PictureView } from "../../../core/stream.ts";
import { OriginTag } from "../bed/origin.tsx";
import { may, maySee } from "../state/may.ts";
import type { PageState, PageView } from "../state/page-state.ts";
import { useAsked } from "../state/use-asked.ts";
import { isTextKey, type Language, say } from "../words/texts.ts";
import { batteryText, bedText, faultText, heardText, linkText, patientText, placeText, signalText } from "./device-words.ts";
import { askCandidates, askDevices } from "./devices-door.ts";
import { ForgetButton } from "./forget-device.tsx";
import { NotRenewed } from "./not-renewed.tsx";

/** So often the page asks anew. */
const ASK_MS = 3000;
/** With more devices than this a person is offered to look for one. */
const FIND_FROM_COUNT = 8;

/** Every device with how it does, those in trouble first. */
export function DevicesPage(props: { readonly state: PageState; readonly view: PageView; readonly ward: PictureView }) {
  const { state, view, ward } = props;
  const { language } = view;
  const [wanted, setWanted] = useState("");
  const asked = useAsked({ clock: state.clock, everyMs: ASK_MS, about: "devices", ask: askDevices });
  if (asked.value === null) return <NotRenewed view={view} asked={asked} />;
  const { devices, unused } = asked.value;
  const found = devices.filter((device) => isFound(device, wanted, { language, ward })).sort(byTrouble);
  const connected = devices.filter(({ link }) => link.state === "up").length;
  return (
    <main class="sheet sheet--wide devices">
      <div class="devices__head">
        <h1>
          {say(language, "devicesPage")} <span class="count">{devices.length}</span>
        </h1>
        {devices.length > 0 && <p class="devices__sum">{say(language, "devicesWell", { n: connected, m: devices.length })}</p>}
        <AdoptLink state={state} view={view} />
      </div>
      <NotRenewed view={view} asked={asked} />
      {unused.length > 0 && <Unused state={state} view={view} unused={unused} onDone={asked.askNow} />}
      {devices.length > FIND_FROM_COUNT && (
        <input
          class="devices__find"
          type="search"
          aria-label={say(language, "devicesFind")}
          placeholder={say(language, "devicesFind")}
          value={wanted}
          onInput={(event) => setWanted(event.currentTarget.value)}
        />
      )}
      {devices.length === 0 && (
        <p class="calm">
          <b>{say(language, "devicesNone")}</b>
          <span>{say(language, "devicesNoneNote")}</span>
        </p>
      )}
      {devices.length > 0 && found.length === 0 && <p class="calm">{say(language, "devicesFoundNone")}</p>}
      <ul class="device-list">
        {found.map((device) => (
          <DeviceRow key={device.deviceId} view={view} ward={ward} device={device} />
        ))}
      </ul>
    </main>
  );
}

/** The way to what waits to be adopted, with how many do. */
function AdoptLink({ state, view }: { readonly state: PageState; readonly view: PageView }) {
  return maySee(view.session, "GET /api/candidates") ? <CountedAdoptLink state={state} view={view} /> : null;
}

function CountedAdoptLink({ state, view }: { readonly state: PageState; readonly view: PageView }) {
  const asked = useAsked({ clock: state.clock, everyMs: 3 * ASK_MS, about: "candidates", ask: askCandidates });
  const count = (asked.value?.accounts.length ?? 0) + (asked.value?.zigbee.length ?? 0);
  return (
    <a class="button" href="#/adopt" data-testid="adopt-link">
      {count === 0 ? say(view.language, "devicesAdopt") : say(view.language, "devicesAdoptCount", { n: count })}
    </a>
  );
}

/** Whether something is wrong that somebody should look at. */
function isTroubled({ link, quarantined, expected }: DeviceRowView): boolean {
  return link.state === "down" || quarantined || expected.some(({ isMissing }) => isMissing);
}

/** In trouble before well, on somebody before on nobody, then by name. */
function byTrouble(one: DeviceRowView, other: DeviceRowView): number {
  const rank = (device: DeviceRowView) => (isTroubled(device) ? 0 : 2) + (device.isAssigned ? 0 : 1);
  return rank(one) - rank(other) || (one.deviceId < other.deviceId ? -1 : 1);
}

function isFound(
  device: DeviceRowView,
  wanted: string,
  { language, ward }: { readonly language: Language; readonly ward: PictureView },
): boolean {
  const word = wanted.trim().toLowerCase();
  const { deviceId, title, driverId, bedId } = device;
  return [deviceId, title[language], driverId, bedText(language, ward, bedId)].some((text) => text.toLowerCase().includes(word));
}

function DeviceRow(props: { readonly view: PageView; readonly ward: PictureView; readonly device: DeviceRowView }) {
  const { view, ward, device } = props;
  const { language, nowMs } = view;
  const { link, counts, quarantined } = device;
  const isWell = !isTroubled(device);
  const missing = device.expected
    .filter(({ isMissing }) => isMissing)
    .map(({ quantity }) => QUANTITIES[quantity].title[language]);
  const battery = batteryText(language, device, nowMs);
  const signal = signalText(language, device, nowMs);
  const small = [
    ...(battery === null ? [] : [`${say(language, "fact.battery")} ${battery}`]),
    ...(signal === null ? [] : [signal]),
  ];
  return (
    <li class={`device-row${isWell ? "" : " device-row--trouble"}`} data-device={device.deviceId}>
      <a class="device-row__name" href={`#/device/${encodeURIComponent(device.deviceId)}`}>
        <span class={`dot${isWell && link.state === "up" ? " dot--good" : " dot--bad"}`} aria-hidden="true" />
        <span>
          <b>{device.title[language]}</b>
          <small>
            {device.deviceId} · {device.driverId} {device.driverVersion}
          </small>
          {device.from === "adopted" && <span class="tag tag--scale">{say(language, "deviceAdopted")}</span>}
          <OriginTag language={language} origin={device.origin} />
        </span>
      </a>
      <span class="device-row__link">
        {quarantined ? (
          <b>{say(language, "quarantined")}</b>
        ) : link.state === "down" ? (
          <b>{linkText(language, link, nowMs)}</b>
        ) : (
          linkText(language, link, nowMs)
        )}
        <small>{placeText(language, device.place)}</small>
      </span>
      <span class="device-row__bed">
        {bedText(language, ward, device.bedId)}
        <small>{patientText(language, device)}</small>
      </span>
      <span class="device-row__heard">
        {heardText(language, device.lastHeardAtMs, nowMs)}
        {counts.refused > 0 && <small>{say(language, "refused", { n: counts.refused })}</small>}
        {small.map((text) => (
          <small key={text}>{text}</small>
        ))}
      </span>
      {missing.length > 0 && <b class="device-row__more">{say(language, "missingSome", { names: missing.join(", ") })}</b>}
      {link.state === "down" && link.fault !== null && !quarantined && <LinkTrouble language={language} fault={link.fault} />}
      {quarantined && <span class="device-row__more">{say(language, "quarantinedNote")}</span>}
    </li>
  );
}

function LinkTrouble({
  language,
  fault,
}: {
  readonly language: Language;
  readonly fault: NonNullable<DeviceRowView["link"]["fault"]>;
}) {
  return <span class="device-row__more">{faultText(language, fault)}</span>;
}

/** Devices that somebody adopted and that cannot be used. */
function Unused(props: {
  readonly state: PageState;
  readonly view: PageView;
  readonly unused: readonly UnusedDeviceView[];
  readonly onDone: () => void;
}) {
  const { state, view, unused, onDone } = props;
  const { language } = view;
  return (
    <section class="panel panel--trouble" aria-label={say(language, "unusedTitle")}>
      <h2>{say(language, "unusedTitle")}</h2>
      <ul>
        {unused.map(({ deviceId, driverId, title, why }) => {
          const key = `unused.${why}`;
          return (
            <li key={deviceId} class="unused" data-unused={deviceId}>
              <span>
                <b>{title ?? deviceId}</b> <small>{deviceId}</small>
                {isTextKey(key) ? say(language, key, { driver: driverId }) : why}
              </span>
              {may(view.session, "forget-device") && (
                <ForgetButton
                  state={state}
                  view={view}
                  device={{ deviceId, name: title ?? deviceId, isAssigned: false }}
                  onDone={onDone}
                />
              )}
            </li>
          );
        })}
      </ul>
    </section>
  );
}
