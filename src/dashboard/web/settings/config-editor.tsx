import { useEffect, useRef, useState } from "preact/hooks";
import type { SettingMeaning, SettingsProblem, SettingsView } from "../../../core/settings-view.ts";
import type { Refusal } from "../state/gateway-door.ts";
import { refusalWords } from "../words/refusal.ts";
import { type Language, say, type TextKey } from "../words/texts.ts";
import { hindranceText } from "./hindrance-text.ts";
import { ProblemList } from "./problem-list.tsx";
import { checkText, saveText } from "./settings-door.ts";

/** A text that somebody is writing, and the hash of the one they began with. */
export interface Draft {
  readonly text: string;
  readonly baseHash: string;
}

/** What the last check or attempt to save came to. */
type Outcome =
  | { readonly kind: "none" }
  | { readonly kind: "busy" }
  | { readonly kind: "checked"; readonly problems: readonly SettingsProblem[]; readonly warnings: readonly SettingsProblem[] }
  | { readonly kind: "saved"; readonly file: string; readonly durable: boolean; readonly warnings: readonly SettingsProblem[] }
  | { readonly kind: "changed-meanwhile" }
  | { readonly kind: "failed"; readonly why: string };

interface EditorProps {
  readonly language: Language;
  readonly settings: SettingsView;
  readonly draft: Draft | null;
  readonly keepDraft: (draft: Draft | null) => void;
  readonly load: () => Promise<SettingsView | null>;
}

/** The text that is shown, what can be done with it, and what came of that. */
function useEditing({ language, settings, draft, keepDraft, load }: EditorProps) {
  const [outcome, setOutcome] = useState<Outcome>({ kind: "none" });
  const text = draft?.text ?? settings.text;
  const baseHash = draft?.baseHash ?? settings.textHash;
  const failed = (refusal: Refusal) => setOutcome({ kind: "failed", why: refusalWords(language, refusal).text });
  return {
    outcome,
    text,
    write: (next: string) => {
      if (outcome.kind !== "busy") setOutcome({ kind: "none" });
      keepDraft(next === settings.text && baseHash === settings.textHash ? null : { text: next, baseHash });
    },
    check: async () => {
      setOutcome({ kind: "busy" });
      const answer = await checkText(text);
      return answer.ok ? setOutcome({ kind: "checked", ...answer.value }) : failed(answer.error);
    },
    save: async () => {
      setOutcome({ kind: "busy" });
      const answer = await saveText(text, baseHash);
      if (!answer.ok) return failed(answer.error);
      const saved = answer.value;
      if (saved.kind === "refused") return setOutcome({ kind: "checked", problems: saved.problems, warnings: [] });
      if (saved.kind === "changed-meanwhile") return setOutcome({ kind: "changed-meanwhile" });
      await load();
      keepDraft(null);
      return setOutcome({ kind: "saved", file: saved.backupFile, durable: saved.durable, warnings: saved.warnings });
    },
    loadAnew: async () => {
      if ((await load()) === null) return;
      keepDraft(null);
      setOutcome({ kind: "none" });
    },
  };
}

/** The text of the configuration with its line numbers: to read, to check, to change. What is written stays until it is saved or thrown away. */
export function ConfigEditor(props: EditorProps) {
  const { language, settings, draft } = props;
  const { outcome, text, write, check, save, loadAnew } = useEditing(props);
  const area = useRef<HTMLTextAreaElement>(null);
  const told = useRef<HTMLDivElement>(null);
  // What came of it must not lie under the foot of the screen.
  useEffect(() => told.current?.scrollIntoView({ block: "nearest" }), [outcome]);
  const { readOnly, meanings } = settings;
  const isBusy = outcome.kind === "busy";
  return (
    <div class="editor">
      {readOnly !== null && (
        <p class="past__failed" role="note" data-testid="read-only">
          {say(language, "settingsReadOnly", { reason: hindranceText(language, readOnly) })}
        </p>
      )}
      <label class="editor__label" for="config-text">
        {say(language, "settingsText")}
      </label>
      <p class="past__note">{say(language, "settingsSecrets")}</p>
      <TextWithLines
        area={area}
        text={text}
        readOnly={readOnly !== null || isBusy}
        marked={outcome.kind === "checked" ? outcome.problems.flatMap(({ line }) => line ?? []) : []}
        write={write}
      />
      <div class="editor__actions">
        <Action name="check" text="settingsCheck" language={language} disabled={isBusy} work={check} />
        {readOnly === null && (
          <Action name="save" text="settingsSave" language={language} disabled={isBusy || draft === null} work={save} />
        )}
        {draft !== null && <Action name="discard" text="settingsDiscard" language={language} disabled={isBusy} work={loadAnew} />}
      </div>
      <div ref={told} class="editor__told">
        <Told
          language={language}
          outcome={outcome}
          meanings={meanings}
          goTo={(line) => select(area.current, line)}
          loadAnew={() => void loadAnew()}
        />
      </div>
    </div>
  );
}

function Action(props: {
  readonly name: "check" | "save" | "discard";
  readonly text: TextKey;
  readonly language: Language;
  readonly disabled: boolean;
  readonly work: () => Promise<void>;
}) {
  const { name, text, language, disabled, work } = props;
  return (
    <button
      type="button"
      class={name === "save" ? "button button--primary" : "button"}
      data-testid={name}
      disabled={disabled}
      onClick={() => void work()}
    >
      {say(language, text)}
    </button>
  );
}

/** What came of it, said where the buttons are. */
function Told(props: {
  readonly language: Language;
  readonly outcome: Outcome;
  readonly meanings: readonly SettingMeaning[];
  readonly goTo: (line: number) => void;
  readonly loadAnew: () => void;
}) {
  const { language, outcome, meanings, goTo, loadAnew } = props;
  const warned = (warnings: readonly SettingsProblem[]) => (
    <ProblemList
      language={language}
      title={say(language, "settingsWarnings")}
      problems={warnings}
      meanings={meanings}
      goTo={goTo}
    />
  );
  switch (outcome.kind) {
    case "none":
    case "busy":
      return null;
    case "checked": {
      const { problems, warnings } = outcome;
      if (problems.length > 0) {
        const title = say(language, "settingsProblems", { count: problems.length });
        return <ProblemList language={language} title={title} problems={problems} meanings={meanings} goTo={goTo} />;
      }
      return (
        <>
          <p class="editor__well" role="status" data-testid="well">
            ✓ {say(language, "settingsWell")}
          </p>
          {warned(warnings)}
        </>
      );
    }
    case "saved":
      return (
        <>
          <p class="editor__well" role="status" data-testid="saved">
            ✓ {say(language, "settingsSaved", { file: outcome.file })}
            {!outcome.durable && ` ${say(language, "settingsNotDurable")}`}
          </p>
          {warned(outcome.warnings)}
        </>
      );
    case "changed-meanwhile":
      return (
        <div class="settings__card" role="alert" data-testid="changed-meanwhile">
          <p>{say(language, "settingsChangedMeanwhile")}</p>
          <button type="button" class="button" onClick={loadAnew}>
            {say(language, "settingsLoadAnew")}
          </button>
        </div>
      );
    case "failed":
      return (
        <p class="past__failed" role="alert" data-testid="not-saved">
          {outcome.why}
        </p>
      );
  }
}

function TextWithLines(props: {
  readonly area: { readonly current: HTMLTextAreaElement | null };
  readonly text: string;
  readonly readOnly: boolean;
  readonly marked: readonly number[];
  readonly write: (text: string) => void;
}) {
  const { area, text, readOnly, marked, write } = props;
  const numbers = useRef<HTMLDivElement>(null);
  const follow = () => {
    if (numbers.current !== null && area.current !== null) numbers.current.scrollTop = area.current.scrollTop;
  };
  const lines = text.split("\n");
  return (
    <div class="editor__text">
      <div class="editor__numbers" aria-hidden="true" ref={numbers}>
        {lines.map((line, index) => {
          const number = index + 1;
          const isMarked = marked.includes(number);
          return (
            <div key={`${number} ${line.length}`} class={isMarked ? "editor__number editor__number--wrong" : "editor__number"}>
              {isMarked ? `● ${number}` : number}
            </div>
          );
        })}
      </div>
      <textarea
        id="config-text"
        ref={area}
        value={text}
        readOnly={readOnly}
        spellcheck={false}
        autocapitalize="off"
        wrap="off"
        onInput={(event) => write(event.currentTarget.value)}
        onScroll={follow}
      />
    </div>
  );
}

/** Marks a line and brings it into sight, with the next line's beginning as its end. */
function select(area: HTMLTextAreaElement | null, line: number): void {
  if (area === null) return;
  const lines = area.value.split("\n");
  const from = lines.slice(0, line - 1).reduce((sum, one) => sum + one.length + 1, 0);
  area.focus();
  area.setSelectionRange(from, from + (lines[line - 1]?.length ?? 0));
  area.scrollTop = Math.max(0, (area.scrollHeight / Math.max(1, lines.length)) * (line - 4));
}
