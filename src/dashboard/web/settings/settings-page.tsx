import { useEffect, useState } from "preact/hooks";
import type { CertificateView, SettingsView } from "../../../core/settings-view.ts";
import type { PageState, PageView } from "../state/page-state.ts";
import { type Language, say } from "../words/texts.ts";
import { ConfigEditor, type Draft } from "./config-editor.tsx";
import { ProblemList } from "./problem-list.tsx";
import { RestartPanel } from "./restart-panel.tsx";
import { SettingList } from "./setting-list.tsx";
import { askSettings } from "./settings-door.ts";

/** Under this name the text that somebody is writing is kept while they look elsewhere. */
const draftKey = "settings";

/** The configuration: what is in effect of it, and its text to change. */
export function SettingsPage({ state, view }: { readonly state: PageState; readonly view: PageView }) {
  const { language, place } = view;
  const { settings, failed, load } = useSettings();
  const [draft, setDraft] = useState<Draft | null>(() => readDraft(state));
  const keepDraft = (next: Draft | null) => {
    setDraft(next);
    if (next === null) state.drafts.delete(draftKey);
    else state.drafts.set(draftKey, JSON.stringify(next));
  };
  const isFile = place.kind === "settings" && place.part === "file";
  return (
    <main class="sheet sheet--past settings">
      <h1>{say(language, "settingsPage")}</h1>
      {failed && (
        <p class="past__failed" role="alert">
          {say(language, "settingsFailed")}
        </p>
      )}
      {settings === null ? (
        !failed && <p class="past__note">{say(language, "loading")}</p>
      ) : (
        <>
          <p class="past__note settings__path">{settings.file}</p>
          <RestartPanel state={state} view={view} settings={settings} load={load} />
          <ProblemList language={language} title={say(language, "settingsWarnings")} problems={settings.warnings} />
          {settings.certificate !== null && <Certificate language={language} certificate={settings.certificate} />}
          <nav class="tabs" aria-label={say(language, "settingsParts")}>
            <a href="#/settings" aria-current={isFile ? undefined : "page"}>
              {say(language, "settingsInEffect")}
            </a>
            <a href="#/settings/file" aria-current={isFile ? "page" : undefined}>
              {say(language, "settingsFile")}
              {draft !== null && ` · ${say(language, "settingsUnsaved")}`}
            </a>
          </nav>
          {isFile ? (
            <ConfigEditor language={language} settings={settings} draft={draft} keepDraft={keepDraft} load={load} />
          ) : (
            <SettingList language={language} settings={settings} />
          )}
        </>
      )}
    </main>
  );
}

function useSettings() {
  const [settings, setSettings] = useState<SettingsView | null>(null);
  const [failed, setFailed] = useState(false);
  const load = async (): Promise<SettingsView | null> => {
    const answer = await askSettings();
    setFailed(!answer.ok);
    if (answer.ok) setSettings(answer.value);
    return answer.ok ? answer.value : null;
  };
  useEffect(() => {
    void load();
  }, []);
  return { settings, failed, load };
}

function readDraft(state: PageState): Draft | null {
  const kept = state.drafts.get(draftKey);
  return kept === undefined ? null : (JSON.parse(kept) as Draft);
}

function Certificate({ language, certificate }: { readonly language: Language; readonly certificate: CertificateView }) {
  const { fingerprint, names, source, toMs } = certificate;
  // With its year, which is another one.
  const day = new Intl.DateTimeFormat(language === "zh" ? "zh-CN" : "en-GB", { dateStyle: "long" }).format(toMs);
  return (
    <section class="settings__card" data-testid="certificate">
      <h2>{say(language, "certificateTitle")}</h2>
      <p class="fingerprint">
        <span>SHA-256</span> <b>{fingerprint}</b>
      </p>
      <p>{say(language, source === "own" ? "certificateOwn" : "certificateFiles")}</p>
      <p class="past__note">{say(language, "certificateUntil", { day, names: names.join(", ") })}</p>
    </section>
  );
}
