import type { SettingMeaning, SettingsProblem } from "../../../core/settings-view.ts";
import { type Language, say } from "../words/texts.ts";

/** What is wrong in a text, or should be known of it; nothing where there is nothing. Where a line can be shown, its number leads there. */
export function ProblemList(props: {
  readonly language: Language;
  readonly title: string;
  readonly problems: readonly SettingsProblem[];
  readonly meanings?: readonly SettingMeaning[];
  readonly goTo?: (line: number) => void;
}) {
  const { language, title, problems, meanings = [], goTo } = props;
  if (problems.length === 0) return null;
  return (
    <div class="settings__card problems" role="alert" data-testid="problems">
      <b>{title}</b>
      <ul>
        {problems.map(({ path, line, problem, remedy }) => (
          <li key={`${path} ${problem.en}`}>
            {line !== null && goTo !== undefined && (
              <button type="button" class="button" onClick={() => goTo(line)}>
                {say(language, "settingsLine", { line })}
              </button>
            )}
            <span>
              <code>{path}</code> {problem[language]}
              {language === "en" ? ". " : "。"}
              {remedy[language]}
              <Meaning language={language} meaning={meaningOf(path, meanings)} />
            </span>
          </li>
        ))}
      </ul>
    </div>
  );
}

/** What may be written there, for whoever has no documentation at hand. */
function Meaning({ language, meaning }: { readonly language: Language; readonly meaning: SettingMeaning | undefined }) {
  if (meaning === undefined || meaning.kind === null) return null;
  return (
    <small class="problems__meaning">
      {meaning.kind[language]} · {meaning.meaning[language]}
    </small>
  );
}

/** The meaning of the setting at a place: `devices.0.link.port` is `devices[].link(tcp).port`, whichever kind of link it is. */
function meaningOf(place: string, meanings: readonly SettingMeaning[]): SettingMeaning | undefined {
  const wanted = place.replaceAll(/\.\d+(?=\.|$)/g, "[]");
  return meanings.find(({ path }) => path.replaceAll(/\([^)]*\)/g, "") === wanted);
}
