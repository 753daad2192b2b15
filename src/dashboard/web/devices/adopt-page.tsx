import { useState } from "preact/hooks";
import type { CandidateAccountView, CandidatesView, CandidateTopicView, CandidateZigbeeView } from "../../../core/device-view.ts";
import type { PictureView } from "../../../core/stream.ts";
import type { PageState, PageView } from "../state/page-state.ts";
import { useAsked } from "../state/use-asked.ts";
import { type Language, say } from "../words/texts.ts";
import { ageText } from "../words/words.ts";
import { AdoptForm, type AdoptStart, startOfAccount, startOfZigbee } from "./adopt-form.tsx";
import { askCandidates } from "./devices-door.ts";
import { NotRenewed } from "./not-renewed.tsx";
import { HexDump } from "./refused-bytes.tsx";

/** So often the page asks anew. */
const ASK_MS = 3000;

/** What sends to the gateway and is no device yet; one of them is chosen and described. */
export function AdoptPage(props: { readonly state: PageState; readonly view: PageView; readonly ward: PictureView }) {
  const { state, view, ward } = props;
  const { language } = view;
  const [chosen, setChosen] = useState<AdoptStart | null>(null);
  const asked = useAsked({ clock: state.clock, everyMs: ASK_MS, about: "candidates", ask: askCandidates });
  if (asked.value === null) return <NotRenewed view={view} asked={asked} />;
  return (
    <main class="sheet sheet--wide devices">
      {chosen === null ? (
        <>
          <a class="button button--quiet devices__back" href="#/devices">
            ‹ {say(language, "devicesAll")}
          </a>
          <div class="devices__head">
            <h1>{say(language, "adoptTitle")}</h1>
          </div>
          <NotRenewed view={view} asked={asked} />
          <Candidates view={view} candidates={asked.value} onChosen={setChosen} />
        </>
      ) : (
        <AdoptForm
          key={chosen.topic}
          state={state}
          view={view}
          ward={ward}
          start={chosen}
          onBack={() => {
            asked.askNow();
            setChosen(null);
          }}
        />
      )}
    </main>
  );
}

function Candidates(props: {
  readonly view: PageView;
  readonly candidates: CandidatesView;
  readonly onChosen: (start: AdoptStart) => void;
}) {
  const { view, candidates, onChosen } = props;
  const { language } = view;
  const { accounts, zigbee, moreAccounts, moreZigbee } = candidates;
  if (!candidates.hasBroker) return <p class="calm">{say(language, "adoptNoBroker")}</p>;
  if (accounts.length + zigbee.length === 0)
    return (
      <p class="calm">
        <b>{say(language, "adoptNone")}</b>
        <span>{say(language, "adoptNoneNote")}</span>
      </p>
    );
  return (
    <>
      <p class="panel__note">{say(language, "adoptNote")}</p>
      {zigbee.length > 0 && <h2 class="devices__group">{say(language, "adoptZigbee")}</h2>}
      <ul class="device-list">
        {zigbee.map((device) => (
          <ZigbeeCandidate key={`${device.base}/${device.name}`} view={view} device={device} onChosen={onChosen} />
        ))}
      </ul>
      {moreZigbee > 0 && <p class="panel__note">{say(language, "adoptMoreZigbee", { n: moreZigbee })}</p>}
      {accounts.length > 0 && <h2 class="devices__group">{say(language, "adoptAccounts")}</h2>}
      <ul class="device-list">
        {accounts.flatMap((account) =>
          account.topics.map((topic) => (
            <AccountCandidate
              key={`${account.account} ${topic.topic}`}
              view={view}
              account={account}
              topic={topic}
              onChosen={onChosen}
            />
          )),
        )}
      </ul>
      {moreAccounts > 0 && <p class="panel__note">{say(language, "adoptMore", { n: moreAccounts })}</p>}
    </>
  );
}

function ZigbeeCandidate(props: {
  readonly view: PageView;
  readonly device: CandidateZigbeeView;
  readonly onChosen: (start: AdoptStart) => void;
}) {
  const { view, device, onChosen } = props;
  const { language, nowMs } = view;
  const { name, address, vendor, model, description, exposes, last } = device;
  const kind = [vendor, model, description].filter((text) => text !== null).join(" · ");
  return (
    <li class="candidate" data-candidate={name}>
      <span class="candidate__name">
        <b>{name}</b>
        <small>{kind === "" ? address : kind}</small>
        {exposes.length > 0 && <small>{exposes.join(", ")}</small>}
      </span>
      <span class="candidate__heard">
        {last === null ? say(language, "adoptSilentYet") : messagesText(language, last, nowMs)}
      </span>
      <AdoptButton language={language} name={name} onChosen={() => onChosen(startOfZigbee(device))} />
    </li>
  );
}

function AccountCandidate(props: {
  readonly view: PageView;
  readonly account: CandidateAccountView;
  readonly topic: CandidateTopicView;
  readonly onChosen: (start: AdoptStart) => void;
}) {
  const { view, account, topic, onChosen } = props;
  const { language, nowMs } = view;
  return (
    <li class="candidate" data-candidate={account.account}>
      <span class="candidate__name">
        <b>{account.account}</b>
        <small>{topic.topic}</small>
        {account.deviceId !== null && <small>{say(language, "adoptOwner", { device: account.deviceId })}</small>}
      </span>
      <span class="candidate__heard">{messagesText(language, topic, nowMs)}</span>
      <AdoptButton language={language} name={account.account} onChosen={() => onChosen(startOfAccount(account, topic))} />
      <Sample language={language} topic={topic} />
    </li>
  );
}

/** What the last message holds, so that a person knows the device by it. */
function Sample({ language, topic }: { readonly language: Language; readonly topic: CandidateTopicView }) {
  const { fields, bytesGiven, hex } = topic;
  if (fields.length > 0)
    return (
      <p class="candidate__sample">
        {fields
          .slice(0, 8)
          .map(({ path, sample }) => `${path.replace(/^\$\.?/, "")}: ${sample}`)
          .join(" · ")}
      </p>
    );
  return (
    <div class="candidate__sample">
      <p>{say(language, "adoptNotJson", { n: bytesGiven })}</p>
      <HexDump hex={hex} label={topic.topic} />
    </div>
  );
}

function AdoptButton(props: { readonly language: Language; readonly name: string; readonly onChosen: () => void }) {
  const { language, name, onChosen } = props;
  return (
    <button
      type="button"
      class="button button--primary"
      data-testid={`adopt-${name}`}
      aria-label={say(language, "adoptFormTitle", { name })}
      onClick={onChosen}
    >
      {say(language, "adoptThis")}
    </button>
  );
}

function messagesText(language: Language, { count, lastAtMs }: CandidateTopicView, nowMs: number): string {
  return say(language, "adoptMessages", { n: count, age: ageText(language, Math.max(0, nowMs - lastAtMs)) });
}
