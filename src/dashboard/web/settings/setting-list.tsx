import { useState } from "preact/hooks";
import type { SettingMeaning, SettingsView, SettingView } from "../../../core/settings-view.ts";
import { type Language, say } from "../words/texts.ts";

/** How many settings a part may hold and be open from the start. */
const openUpTo = 12;

/** Every setting as it is in effect, by parts of the configuration, with what it means. */
export function SettingList({ language, settings }: { readonly language: Language; readonly settings: SettingsView }) {
  const [find, setFind] = useState("");
  const [onlyOwn, setOnlyOwn] = useState(true);
  const meanings = new Map(settings.meanings.map((meaning) => [meaning.path, meaning]));
  const wanted = find.trim().toLowerCase();
  const fits = (setting: SettingView) => {
    const meaning = meanings.get(setting.path);
    if (meaning?.kind === null) return false;
    if (onlyOwn && !setting.differs) return false;
    const texts = [setting.place, setting.value ?? "", meaning?.meaning.en ?? "", meaning?.meaning.zh ?? ""];
    return wanted === "" || texts.some((text) => text.toLowerCase().includes(wanted));
  };
  const parts = Map.groupBy(settings.settings, ({ place }) => place.split(".")[0] ?? "");
  const shown = [...parts].flatMap(([name, rows]) => {
    const fitting = rows.filter(fits);
    const own = rows.filter(({ differs }) => differs).length;
    return fitting.length === 0 ? [] : [{ name, fitting, own, count: rows.length }];
  });
  return (
    <div class="settings__list">
      <label class="settings__find">
        {say(language, "settingsFind")}
        <input type="search" name="find" value={find} onInput={(event) => setFind(event.currentTarget.value)} />
      </label>
      <label class="settings__only">
        <input type="checkbox" name="only" checked={onlyOwn} onChange={(event) => setOnlyOwn(event.currentTarget.checked)} />
        {say(language, "settingsOnlyOwn")}
      </label>
      {shown.length === 0 && (
        <p class="calm">
          <b>{say(language, "settingsNone")}</b>
        </p>
      )}
      {shown.map(({ name, fitting, own, count }) => (
        <Part
          key={`${name} ${wanted === "" ? "" : "found"}`}
          language={language}
          name={name}
          rows={fitting}
          note={say(language, "settingsCount", { own, count })}
          meanings={meanings}
          isOpen={wanted !== "" || fitting.length <= openUpTo}
        />
      ))}
    </div>
  );
}

function Part(props: {
  readonly language: Language;
  readonly name: string;
  readonly rows: readonly SettingView[];
  readonly note: string;
  readonly meanings: ReadonlyMap<string, SettingMeaning>;
  readonly isOpen: boolean;
}) {
  const { language, name, rows, note, meanings } = props;
  const [isOpen, setOpen] = useState(props.isOpen);
  return (
    <section class="settings__card" data-part={name}>
      <h2>
        <button type="button" class="settings__part" aria-expanded={isOpen} onClick={() => setOpen(!isOpen)}>
          <span aria-hidden="true">{isOpen ? "▾" : "▸"}</span> <code>{name}</code> <small>{note}</small>
        </button>
      </h2>
      {isOpen && (
        <dl>
          {rows.map((setting) => (
            <Setting key={setting.place} language={language} setting={setting} meaning={meanings.get(setting.path)} />
          ))}
        </dl>
      )}
    </section>
  );
}

function Setting(props: {
  readonly language: Language;
  readonly setting: SettingView;
  readonly meaning: SettingMeaning | undefined;
}) {
  const { language, setting, meaning } = props;
  const { place, value, differs } = setting;
  const fallback = meaning?.fallback ?? null;
  return (
    <div class={`setting${differs ? " setting--own" : ""}`} data-place={place}>
      <dt>
        <code>{place}</code>
      </dt>
      <dd>
        <p class="setting__value">
          <b>{value === null ? say(language, "settingsLeftOut") : plain(value)}</b>
          {differs && <span class="tag">{say(language, "settingsOwn")}</span>}
          {fallback !== null && fallback !== value && (
            <span class="setting__default">{say(language, "settingsDefault", { value: plain(fallback) })}</span>
          )}
        </p>
        {meaning !== undefined && (
          <p class="setting__meaning">
            {meaning.meaning[language]} <span>{meaning.kind?.[language]}</span>
          </p>
        )}
      </dd>
    </div>
  );
}

/** A value as it stands in YAML: a plain text without its quotation marks. */
function plain(value: string): string {
  const parsed: unknown = JSON.parse(value);
  return typeof parsed === "string" && parsed !== "" ? parsed : value;
}
