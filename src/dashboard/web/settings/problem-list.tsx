import type { SettingsProblem } from "../../../core/settings-view.ts";
import { type Language, say } from "../words/texts.ts";

/** What is wrong in a text, or should be known of it; nothing where there is nothing. Where a line can be shown, its number leads there. */
export function ProblemList(props: {
  readonly language: Language;
  readonly title: string;
  readonly problems: readonly SettingsProblem[];
  readonly goTo?: (line: number) => void;
}) {
  const { language, title, problems, goTo } = props;
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
            </span>
          </li>
        ))}
      </ul>
    </div>
  );
}
