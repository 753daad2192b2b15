import { useEffect, useRef, useState } from "preact/hooks";
import type { AdoptedDevice } from "../../../core/act.ts";
import type {
  AdoptPreview,
  CandidateAccountView,
  CandidateTopicView,
  CandidateZigbeeView,
  MessageFieldView,
} from "../../../core/device-view.ts";
import { bedId, deviceId } from "../../../core/ids.ts";
import { QUANTITIES } from "../../../core/quantities.ts";
import type { PictureView } from "../../../core/stream.ts";
import { isTopicFilter } from "../../../core/topic-filter.ts";
import { CheckField, ChoiceField, firstTrouble, TextField } from "../people/form.tsx";
import type { PageState, PageView } from "../state/page-state.ts";
import type { RefusalWords } from "../words/refusal.ts";
import { type Language, say } from "../words/texts.ts";
import { AdoptMapping } from "./adopt-mapping.tsx";
import { Preview } from "./adopt-preview.tsx";
import { askPreview } from "./devices-door.ts";
import { claimedTwice, expectedOf, type Meanings, nameOf, optionsOf } from "./field-meaning.ts";

/** The form waits so long after the last change before it asks for a preview. */
const PREVIEW_MS = 300;
const SILENCE_SECONDS_MAX = 86_400;
const DEVICE_NAME = /^[a-z0-9][a-z0-9-]{0,62}$/;

/** What is known of a device before anything was entered. */
export interface AdoptStart {
  readonly name: string;
  readonly driverId: "mqtt-json" | "mqtt-zigbee2mqtt";
  /** The topic its messages come on. */
  readonly topic: string;
  /** Further topics that belong to it. */
  readonly moreTopics: readonly string[];
  /** The account whose connection is its link; null where it shares one. */
  readonly account: string | null;
  readonly fields: readonly MessageFieldView[];
  /** What the driver is always told. */
  readonly options: Readonly<Record<string, string>>;
  /** Zigbee: whether it is a button, and whether it tells a contact. */
  readonly hasAction: boolean;
  readonly hasContact: boolean;
  /** As usual for its driver. */
  readonly silenceSeconds: number;
  /** As it is called by those who send; a person may call it otherwise. */
  readonly title: string;
}

/** A device that has an account of its own, or shares one with others that send on other topics. */
export function startOfAccount({ account, deviceId: owner }: CandidateAccountView, topic: CandidateTopicView): AdoptStart {
  return {
    name: owner === null ? account : topic.topic,
    driverId: "mqtt-json",
    topic: topic.topic,
    moreTopics: [],
    account: owner === null ? account : null,
    fields: topic.fields,
    options: {},
    hasAction: false,
    hasContact: false,
    silenceSeconds: 60,
    title: account,
  };
}

/** A sensor behind a bridge, whose account is the bridge's. */
export function startOfZigbee({ base, name, exposes, last }: CandidateZigbeeView): AdoptStart {
  const topic = `${base}/${name}`;
  return {
    name,
    driverId: "mqtt-zigbee2mqtt",
    topic,
    moreTopics: [`${topic}/availability`, `${base}/bridge/state`],
    account: null,
    fields: last?.fields ?? [],
    options: { base },
    hasAction: exposes.includes("action"),
    hasContact: exposes.includes("contact"),
    silenceSeconds: 90_000,
    title: name,
  };
}

interface Props {
  readonly state: PageState;
  readonly view: PageView;
  readonly ward: PictureView;
  readonly start: AdoptStart;
  readonly onBack: () => void;
}

/** What a person enters. */
interface Entered {
  readonly name: string;
  readonly title: string;
  readonly bed: string;
  readonly silence: string;
  readonly topic: string;
  readonly meanings: Meanings;
  readonly sosActions: string;
  readonly invertContact: boolean;
  /** Whether its connection is its link, so that its loss is told. */
  readonly staysConnected: boolean;
}

/** Describes one device that is there, shows what would be made of its last message, and adopts it. */
export function AdoptForm({ state, view, ward, start, onBack }: Props) {
  const { language } = view;
  const [entered, setEntered] = useState<Entered>({
    ...{ name: nameOf(start.name), title: start.title, bed: "", silence: "", topic: start.topic, meanings: new Map() },
    ...{ sosActions: "", invertContact: false, staysConnected: true },
  });
  const [trouble, setTrouble] = useState<RefusalWords | null>(null);
  const [busy, setBusy] = useState(false);
  const form = useRef<HTMLFormElement>(null);
  // A person without eyes on the page is taken to what is wrong.
  useEffect(() => form.current?.querySelector<HTMLElement>("[aria-invalid=true]")?.focus(), [trouble]);
  const options = allOptions(start, entered);
  const preview = usePreview(state, { driverId: start.driverId, options, topic: start.topic });
  const enter = (part: Partial<Entered>) => setEntered({ ...entered, ...part });
  const send = async (event: SubmitEvent) => {
    event.preventDefault();
    if (busy) return;
    setBusy(true);
    const wrong = wrongEntry(language, entered) ?? (await state.attempt({ kind: "adopt", ...deviceOf(start, entered) }));
    setBusy(false);
    setTrouble(wrong);
    if (wrong === null) location.hash = `#/device/${encodeURIComponent(entered.name)}`;
  };
  const ofField = (field: string) => (trouble?.field === field ? trouble.text : null);
  const isBeside = trouble?.field != null && FORM_FIELDS.has(trouble.field);
  return (
    <form ref={form} class="form adopt" noValidate onSubmit={(event) => void send(event)}>
      <button type="button" class="button button--quiet devices__back" onClick={onBack}>
        ‹ {say(language, "adoptBack")}
      </button>
      <h1>{say(language, "adoptFormTitle", { name: start.name })}</h1>
      <div class="adopt__fields">
        <AboutFields language={language} ward={ward} start={start} entered={entered} enter={enter} trouble={ofField} />
      </div>
      {start.driverId === "mqtt-json" && (
        <AdoptMapping
          language={language}
          fields={start.fields}
          meanings={entered.meanings}
          onMeanings={(meanings) => enter({ meanings })}
        />
      )}
      <Preview language={language} preview={preview} />
      <p class="field-trouble" role="alert">
        {trouble !== null && !isBeside ? trouble.text : ""}
      </p>
      <button type="submit" class="button button--primary button--wide" aria-disabled={busy} data-testid="adopt-do">
        {say(language, "adoptDo")}
      </button>
    </form>
  );
}

const FORM_FIELDS: ReadonlySet<string> = new Set(["deviceId", "bedId", "silenceSeconds", "link.topics", "title"]);

interface AboutProps {
  readonly language: Language;
  readonly ward: PictureView;
  readonly start: AdoptStart;
  readonly entered: Entered;
  readonly enter: (part: Partial<Entered>) => void;
  readonly trouble: (field: string) => string | null;
}

function AboutFields(props: AboutProps) {
  const { language, ward, start, entered, enter, trouble } = props;
  return (
    <>
      <TextField
        name="deviceId"
        label={say(language, "deviceName")}
        hint={say(language, "deviceNameHint")}
        trouble={trouble("deviceId")}
        value={entered.name}
        onValue={(name) => enter({ name })}
        charactersMax={63}
      />
      <TextField
        name="title"
        label={say(language, "deviceTitle")}
        hint={say(language, "deviceTitleHint")}
        trouble={trouble("title")}
        value={entered.title}
        onValue={(title) => enter({ title })}
        charactersMax={80}
      />
      <ChoiceField
        name="bedId"
        label={say(language, "deviceBed")}
        trouble={trouble("bedId")}
        value={entered.bed}
        onValue={(bed) => enter({ bed })}
        asks={say(language, "deviceBedNone")}
        choices={ward.beds.map((bed) => ({ value: bed.bedId, label: bed.title }))}
      />
      <TextField
        name="silenceSeconds"
        kind="number"
        label={say(language, "deviceSilence")}
        hint={say(language, "deviceSilenceHint", { n: start.silenceSeconds })}
        trouble={trouble("silenceSeconds")}
        value={entered.silence}
        onValue={(silence) => enter({ silence })}
      />
      {start.driverId === "mqtt-json" && (
        <TextField
          name="link.topics"
          label={say(language, "deviceTopic")}
          hint={say(language, "deviceTopicHint")}
          trouble={trouble("link.topics")}
          value={entered.topic}
          onValue={(topic) => enter({ topic })}
          charactersMax={200}
        />
      )}
      {start.account !== null && (
        <CheckField
          name="staysConnected"
          label={say(language, "staysConnected")}
          hint={say(language, "staysConnectedHint")}
          checked={entered.staysConnected}
          onChecked={(staysConnected) => enter({ staysConnected })}
        />
      )}
      {start.driverId === "mqtt-zigbee2mqtt" && (
        <ZigbeeFields language={language} start={start} entered={entered} enter={enter} />
      )}
    </>
  );
}

/** What only a sensor behind a Zigbee bridge can be asked. */
function ZigbeeFields({ language, start, entered, enter }: Omit<AboutProps, "ward" | "trouble">) {
  return (
    <>
      {start.hasAction && (
        <TextField
          name="sosActions"
          label={say(language, "sosActions")}
          hint={say(language, "sosActionsHint")}
          trouble={null}
          value={entered.sosActions}
          onValue={(sosActions) => enter({ sosActions })}
          charactersMax={200}
        />
      )}
      {start.hasContact && (
        <CheckField
          name="invertContact"
          label={say(language, "invertContact")}
          checked={entered.invertContact}
          onChecked={(invertContact) => enter({ invertContact })}
        />
      )}
    </>
  );
}

function allOptions({ options, driverId }: AdoptStart, entered: Entered): Readonly<Record<string, string>> {
  if (driverId === "mqtt-json") return { ...options, ...optionsOf(entered.meanings) };
  const sosActions = entered.sosActions.trim();
  return {
    ...options,
    ...(sosActions === "" ? {} : { sosActions }),
    ...(entered.invertContact ? { invertContact: "true" } : {}),
  };
}

/** What is wrong before anybody is asked; null where nothing is. */
function wrongEntry(language: Language, entered: Entered): RefusalWords | null {
  const { name, silence, topic, meanings } = entered;
  const seconds = silence.trim();
  const isSilence =
    seconds === "" || (/^\d{1,5}$/.test(seconds) && Number(seconds) >= 1 && Number(seconds) <= SILENCE_SECONDS_MAX);
  const twice = claimedTwice(meanings);
  return firstTrouble(
    DEVICE_NAME.test(name) ? null : { field: "deviceId", text: say(language, "deviceNameWrong") },
    isSilence ? null : { field: "silenceSeconds", text: say(language, "deviceSilenceWrong") },
    isTopicFilter(topic.trim()) && !topic.startsWith("$")
      ? null
      : { field: "link.topics", text: say(language, "deviceTopicWrong") },
    twice === null ? null : { field: null, text: say(language, "mappingTwice", { name: QUANTITIES[twice].title[language] }) },
  );
}

function deviceOf(start: AdoptStart, entered: Entered): AdoptedDevice {
  const title = entered.title.trim();
  const seconds = entered.silence.trim();
  return {
    deviceId: deviceId(entered.name),
    driverId: start.driverId,
    title: title === "" ? null : title,
    link: {
      kind: "mqtt",
      topics: [entered.topic.trim(), ...start.moreTopics],
      account: entered.staysConnected ? start.account : null,
    },
    options: allOptions(start, entered),
    bedId: entered.bed === "" ? null : bedId(entered.bed),
    silenceSeconds: seconds === "" ? null : Number(seconds),
    expected: start.driverId === "mqtt-json" ? expectedOf(entered.meanings) : null,
  };
}

/** Asks anew when the settings have changed and rested for a moment; null before the first answer. */
function usePreview(state: PageState, wanted: Parameters<typeof askPreview>[0]): AdoptPreview | null {
  const [preview, setPreview] = useState<AdoptPreview | null>(null);
  const about = JSON.stringify(wanted);
  useEffect(() => {
    let isOver = false;
    const timer = state.clock.after(PREVIEW_MS, () => {
      void askPreview(wanted).then((answer) => {
        if (!isOver && answer.ok) setPreview(answer.value);
      });
    });
    return () => {
      isOver = true;
      timer.stop();
    };
  }, [about]);
  return preview;
}
