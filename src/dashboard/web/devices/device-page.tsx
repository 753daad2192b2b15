import type { DeviceDetailView, ExpectedView } from "../../../core/device-view.ts";
import { QUANTITIES } from "../../../core/quantities.ts";
import type { PictureView } from "../../../core/stream.ts";
import { AlertRow } from "../alerts/alert-row.tsx";
import { OriginTag } from "../bed/origin.tsx";
import { Fact } from "../frame/fact.tsx";
import { may } from "../state/may.ts";
import type { PageState, PageView } from "../state/page-state.ts";
import { useAsked } from "../state/use-asked.ts";
import { sortAlerts } from "../state/ward.ts";
import { isTextKey, type Language, say } from "../words/texts.ts";
import { contentText, quantityUnitText, timeText } from "../words/words.ts";
import {
  batteryText,
  bedText,
  eventText,
  factsText,
  faultText,
  heardText,
  linkText,
  patientText,
  placeText,
  signalText,
} from "./device-words.ts";
import { askDevice } from "./devices-door.ts";
import { ForgetButton } from "./forget-device.tsx";
import { NotRenewed } from "./not-renewed.tsx";
import { RefusedBytes, UnreadBytes } from "./refused-bytes.tsx";

/** So often the page asks anew. */
const ASK_MS = 2000;

/** Everything the gateway knows of one device. */
export function DevicePage(props: {
  readonly state: PageState;
  readonly view: PageView;
  readonly ward: PictureView;
  readonly deviceId: string;
}) {
  const { state, view, ward, deviceId } = props;
  const { language } = view;
  const asked = useAsked({
    clock: state.clock,
    everyMs: ASK_MS,
    about: deviceId,
    // Wrapped, because null is an answer here: there is no such device.
    ask: async () => {
      const answer = await askDevice(deviceId);
      return answer.ok ? { ok: true, value: { device: answer.value } } : answer;
    },
  });
  if (asked.value === null) return <NotRenewed view={view} asked={asked} />;
  const { device } = asked.value;
  return (
    <main class="sheet sheet--wide devices">
      <a class="button button--quiet devices__back" href="#/devices">
        ‹ {say(language, "devicesAll")}
      </a>
      <NotRenewed view={view} asked={asked} />
      {device === null ? (
        <h1 class="calm">{say(language, "deviceUnknown")}</h1>
      ) : (
        <Device state={state} view={view} ward={ward} device={device} />
      )}
    </main>
  );
}

interface Props {
  readonly state: PageState;
  readonly view: PageView;
  readonly ward: PictureView;
  readonly device: DeviceDetailView;
}

function Device({ state, view, ward, device }: Props) {
  const { language } = view;
  const { deviceId } = device;
  const mayForget = device.from === "adopted" && may(view.session, "forget-device");
  return (
    <>
      <div class="devices__head">
        <h1>{device.title[language]}</h1>
        {device.from === "adopted" && <span class="tag tag--scale">{say(language, "deviceAdopted")}</span>}
        <OriginTag language={language} origin={device.origin} />
        <span class="devices__sum">{deviceId}</span>
        {mayForget && (
          <ForgetButton
            state={state}
            view={view}
            device={{ deviceId, name: device.title[language], isAssigned: device.isAssigned }}
            onDone={() => {
              location.hash = "#/devices";
            }}
          />
        )}
      </div>
      <Trouble view={view} ward={ward} device={device} />
      <DeviceAlerts state={state} view={view} ward={ward} deviceId={deviceId} />
      <Facts view={view} ward={ward} device={device} />
      <Values view={view} device={device} />
      <UnreadBytes view={view} device={device} />
      <RefusedBytes view={view} device={device} />
      <Events view={view} device={device} />
    </>
  );
}

/** Why it does not come, and what can be done. */
function Trouble({ view, ward, device }: Omit<Props, "state">) {
  const { language, nowMs } = view;
  const { link, quarantined, deviceId } = device;
  // An alert that stands below says the same.
  const isAlerted = ward.alerts.some(({ subject, evidence }) => {
    return subject.deviceId === deviceId && evidence.kind === "fault" && evidence.code === link.fault?.code;
  });
  if (quarantined)
    return (
      <p class="panel panel--trouble">
        <b>{say(language, "quarantined")}</b> {say(language, "quarantinedNote")}
      </p>
    );
  if (link.state !== "down" || link.fault === null || isAlerted) return null;
  return (
    <p class="panel panel--trouble">
      <b>{linkText(language, link, nowMs)}</b>
      <br />
      {faultText(language, link.fault)}
    </p>
  );
}

function DeviceAlerts(props: Omit<Props, "device"> & { readonly deviceId: string }) {
  const { state, view, ward, deviceId } = props;
  const alerts = sortAlerts(ward.alerts).filter(({ subject, nature }) => subject.deviceId === deviceId && nature === "technical");
  if (alerts.length === 0) return null;
  return (
    <section aria-label={say(view.language, "deviceAlerts")}>
      <ul class="alerts alerts--wide">
        {alerts.map((alert) => (
          <AlertRow key={alert.id} state={state} view={view} alert={alert} withBed={false} withRemedy />
        ))}
      </ul>
    </section>
  );
}

function Facts({ view, ward, device }: Omit<Props, "state">) {
  const { language, nowMs } = view;
  const { counts, place } = device;
  const battery = batteryText(language, device, nowMs);
  const signal = signalText(language, device, nowMs);
  return (
    <dl class="panel facts">
      <Fact name={say(language, "fact.link")}>{linkText(language, device.link, nowMs)}</Fact>
      <Fact name={say(language, "fact.place")}>
        {placeText(language, place)}
        {place.kind === "mqtt" && (
          <small>
            {say(language, "topics")}: {place.topics.join(" · ")}
          </small>
        )}
      </Fact>
      <Fact name={say(language, "fact.driver")}>
        {device.driverTitle[language]}
        <small>
          {device.driverId} {device.driverVersion}
        </small>
      </Fact>
      <Fact name={say(language, "fact.bed")}>
        {bedText(language, ward, device.bedId)}
        <small>{patientText(language, device)}</small>
      </Fact>
      <Fact name={say(language, "fact.heard")}>{heardText(language, device.lastHeardAtMs, nowMs)}</Fact>
      <Fact name={say(language, "fact.counts")}>
        {say(language, "countsText", {
          bytes: counts.bytes,
          frames: counts.frames,
          readings: counts.readings,
          waves: counts.waves,
          refused: counts.refused,
        })}
      </Fact>
      <Fact name={say(language, "fact.battery")}>{battery ?? say(language, "batteryUnknown")}</Fact>
      {signal !== null && <Fact name={say(language, "fact.signal")}>{signal}</Fact>}
      <Fact name={say(language, "fact.silence")}>{say(language, "secondsAllowed", { n: device.silenceSeconds })}</Fact>
      {device.expected.length > 0 && (
        <Fact name={say(language, "fact.expected")}>
          {device.expected.map((expected) => (
            <Expected key={expected.quantity} view={view} expected={expected} />
          ))}
        </Fact>
      )}
      {Object.keys(device.state).length > 0 && <Fact name={say(language, "fact.state")}>{factsText(device.state)}</Fact>}
      <Fact name={say(language, "fact.reference")}>
        <small>{device.reference.join(" · ")}</small>
      </Fact>
    </dl>
  );
}

function Expected({ view, expected }: { readonly view: PageView; readonly expected: ExpectedView }) {
  const { language, nowMs } = view;
  const { quantity, lastAtMs, isMissing, silenceSeconds } = expected;
  const last = lastAtMs === null ? say(language, "expectedNever") : heardText(language, lastAtMs, nowMs);
  return (
    <span class="expected">
      {QUANTITIES[quantity].title[language]} <small>{say(language, "secondsAllowed", { n: silenceSeconds })}</small>{" "}
      {isMissing && <b>{say(language, "expectedMissing")}</b>} {last}
    </span>
  );
}

function Values({ view, device }: { readonly view: PageView; readonly device: DeviceDetailView }) {
  const { language, nowMs } = view;
  const { values } = device;
  return (
    <section class="panel" aria-label={say(language, "deviceValues")}>
      <h2>{say(language, "deviceValues")}</h2>
      {values.length === 0 ? (
        <p class="panel__note">{say(language, "deviceValuesNone")}</p>
      ) : (
        <ul class="device-values">
          {values.map(({ quantity, content, flags, atMs }) => (
            <li key={quantity}>
              <span>{QUANTITIES[quantity].title[language]}</span>
              <b>
                {contentText(language, quantity, content)} {content.state === "present" && quantityUnitText(language, quantity)}
              </b>
              <small>
                {heardText(language, atMs, nowMs)}
                {flags.length > 0 && ` · ${flags.map((flag) => flagText(language, flag)).join(", ")}`}
              </small>
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}

function flagText(language: Language, flag: string): string {
  const key = `flag.${flag}`;
  return isTextKey(key) ? say(language, key) : flag;
}

function Events({ view, device }: { readonly view: PageView; readonly device: DeviceDetailView }) {
  const { language } = view;
  return (
    <section class="panel" aria-label={say(language, "deviceEvents")}>
      <h2>{say(language, "deviceEvents")}</h2>
      {device.events.length === 0 && <p class="panel__note">{say(language, "deviceEventsNone")}</p>}
      <ul class="device-events">
        {device.events.map(({ atMs, code, facts }) => (
          <li key={`${atMs} ${code} ${JSON.stringify(facts)}`}>
            <time>{timeText(atMs)}</time>
            <span>
              <b>{eventText(language, code)}</b> {factsText(facts)} <small>{heardText(language, atMs, view.nowMs)}</small>
            </span>
          </li>
        ))}
      </ul>
    </section>
  );
}
