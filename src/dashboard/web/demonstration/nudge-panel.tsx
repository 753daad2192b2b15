import type { NudgeChoice, NudgedDeviceView, NudgeName, NudgeView } from "../../../core/demonstration.ts";
import type { BedView } from "../../../core/stream.ts";
import type { PageState, PageView } from "../state/page-state.ts";
import { useAsked } from "../state/use-asked.ts";
import { refusalWords } from "../words/refusal.ts";
import { isTextKey, type Language, say } from "../words/texts.ts";
import { ageText } from "../words/words.ts";
import { askNudges, sendNudge } from "./nudge-door.ts";

const askMs = 2000;

interface Props {
  readonly state: PageState;
  readonly view: PageView;
  readonly bed: BedView;
}

/** In the demonstration: what can be changed of the simulated patient and devices of a bed, and what is changed now. Shown nowhere else. */
export function NudgePanel({ state, view, bed }: Props) {
  const { language } = view;
  const { value, refusal, askNow } = useAsked({ clock: state.clock, everyMs: askMs, about: bed.bedId, ask: askNudges });
  const devices = (value ?? []).filter(({ bedId }) => bedId === bed.bedId);
  if (devices.length === 0 && refusal === undefined) return null;
  const choose = async (nudge: Parameters<typeof sendNudge>[0]) => {
    const sent = await sendNudge(nudge);
    if (!sent.ok) state.tell(say(language, "notDoneBecause", { reason: refusalWords(language, sent.error).text }), true);
    askNow();
  };
  return (
    <section class="nudges" data-testid="nudges" aria-labelledby="nudges-title">
      <header class="nudges__head">
        <span class="tag tag--unreal">{say(language, "demonstration")}</span>
        <h2 id="nudges-title">{say(language, "nudgeTitle")}</h2>
      </header>
      <p class="nudges__note">{say(language, "nudgeNote")}</p>
      {refusal !== undefined && (
        <p class="nudges__failed" role="alert">
          {say(language, "nudgeFailed", { reason: refusalWords(language, refusal).text })}
        </p>
      )}
      {devices.map((device) => (
        <DeviceNudges
          key={device.deviceId}
          view={view}
          device={device}
          title={bed.devices.find(({ deviceId }) => deviceId === device.deviceId)?.title[language] ?? device.deviceId}
          onChosen={(name, choice) => void choose({ deviceId: device.deviceId, name, choice })}
        />
      ))}
    </section>
  );
}

function DeviceNudges(props: {
  readonly view: PageView;
  readonly device: NudgedDeviceView;
  readonly title: string;
  readonly onChosen: (name: NudgeName, choice: NudgeChoice) => void;
}) {
  const { view, device, title, onChosen } = props;
  const patient = device.nudges.filter(({ name }) => name === "patient");
  const rest = device.nudges.filter(({ name }) => name !== "patient");
  const row = (nudge: NudgeView) => (
    <NudgeRow key={nudge.name} view={view} deviceId={device.deviceId} nudge={nudge} onChosen={onChosen} />
  );
  return (
    <>
      {patient.map(row)}
      <h3 class="nudges__device">{title}</h3>
      <div class="nudges__rows">{rest.map(row)}</div>
    </>
  );
}

function NudgeRow(props: {
  readonly view: PageView;
  readonly deviceId: string;
  readonly nudge: NudgeView;
  readonly onChosen: (name: NudgeName, choice: NudgeChoice) => void;
}) {
  const { view, deviceId, nudge, onChosen } = props;
  const { language, nowMs } = view;
  const { name, choices, now, sinceMs } = nudge;
  const labelId = `nudge-${deviceId}-${name}`;
  return (
    <div class={`nudge nudge--${name}${now === choices[0] ? "" : " nudge--changed"}`} data-nudge={`${deviceId} ${name}`}>
      <p class="nudge__label">
        <b id={labelId}>{say(language, `nudge.${name}`)}</b>{" "}
        <span class="nudge__since">
          {sinceMs === null
            ? say(language, "nudgeUnchanged")
            : say(language, "nudgeChanged", { age: ageText(language, Math.max(0, nowMs - sinceMs)) })}
        </span>
      </p>
      <fieldset class="choices" aria-labelledby={labelId}>
        {choices.map((choice) => (
          <button
            key={choice}
            type="button"
            class="choice-button"
            data-choice={choice}
            aria-pressed={now === choice}
            onClick={() => onChosen(name, choice)}
          >
            {choiceText(language, name, choice)}
          </button>
        ))}
      </fieldset>
    </div>
  );
}

function choiceText(language: Language, name: NudgeName, choice: NudgeChoice): string {
  const key = `nudge.${name}.${choice}`;
  return isTextKey(key) ? say(language, key) : choice;
}
