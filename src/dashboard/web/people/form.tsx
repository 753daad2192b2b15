import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { AlertStanding } from "../alerts/alert-standing.tsx";
import { Dialog } from "../frame/dialogs.tsx";
import type { PageState, PageView } from "../state/page-state.ts";
import type { RefusalWords } from "../words/refusal.ts";
import { type Language, say } from "../words/texts.ts";

/** What a form does when it is sent: null where it was done, else why not. What was entered stays as it was. */
export type Submit = () => Promise<RefusalWords | null>;

/** A dialog with a form. It closes when what it asks for is done, and stays with everything that was entered where it is not. */
export function FormDialog(props: {
  readonly state: PageState;
  readonly view: PageView;
  readonly title: string;
  /** What the button says that does it. */
  readonly does: string;
  /** Null: there is nothing to send, and the children say why. */
  readonly submit: Submit | null;
  readonly onClosed: () => void;
  readonly children: (trouble: (field: string) => string | null) => ComponentChildren;
}) {
  const { state, view, title, does, submit, onClosed, children } = props;
  const { language } = view;
  const form = useRef<HTMLFormElement>(null);
  const [trouble, setTrouble] = useState<RefusalWords | null>(null);
  const [busy, setBusy] = useState(false);
  // A person without eyes on the page is taken to what is wrong.
  useEffect(() => {
    form.current?.querySelector<HTMLElement>("[aria-invalid=true]")?.focus();
  }, [trouble]);
  const send = async (event: SubmitEvent) => {
    event.preventDefault();
    if (submit === null || busy) return;
    setBusy(true);
    const refused = await submit();
    setBusy(false);
    if (refused === null) onClosed();
    else setTrouble(refused);
  };
  // What was wrong is not said any more of what is being mended.
  const mend = (event: Event) => {
    const name = event.target instanceof Element ? event.target.getAttribute("name") : null;
    if (trouble !== null && (trouble.field === null || trouble.field === name)) setTrouble(null);
  };
  const ofField = (field: string) => (trouble?.field === field ? trouble.text : null);
  const shown = trouble !== null && !isFieldShown(form.current, trouble.field) ? trouble.text : null;
  return (
    <Dialog language={language} title={title} onClosed={onClosed}>
      <AlertStanding state={state} view={view} />
      {view.feed.stale && <p class="field__trouble">{say(language, "staleNever")}</p>}
      <form ref={form} class="form" noValidate onInput={mend} onSubmit={(event) => void send(event)}>
        {children(ofField)}
        <p class="field-trouble" role="alert">
          {shown}
        </p>
        <div class="dialog__answers">
          <button type="button" class="button" onClick={onClosed}>
            {say(language, "cancel")}
          </button>
          {submit !== null && (
            <button type="submit" class="button button--primary" aria-disabled={busy}>
              {does}
            </button>
          )}
        </div>
      </form>
    </Dialog>
  );
}

/** Whether a form has the field that a refusal is about; if not, it is told below the form. */
function isFieldShown(form: HTMLFormElement | null, field: string | null): boolean {
  return field !== null && form?.querySelector(`[name=${CSS.escape(field)}]`) != null;
}

/** The first of several checks that finds something wrong. */
export function firstTrouble(...checks: readonly (RefusalWords | null)[]): RefusalWords | null {
  return checks.find((check) => check !== null) ?? null;
}

/** Says that a field is empty where it must not be. */
export function neededTrouble(language: Language, field: string, value: string): RefusalWords | null {
  return value.trim() === "" ? { field, text: say(language, "fieldNeeded") } : null;
}

interface FieldProps {
  readonly name: string;
  readonly label: string;
  readonly hint?: string | null;
  readonly trouble: string | null;
}

/** A label above its field, what helps below it, and what is wrong beside it. */
function Field({ name, label, hint, trouble, children }: FieldProps & { readonly children: ComponentChildren }) {
  return (
    <div class="field">
      <label for={`field-${name}`}>{label}</label>
      {children}
      {hint != null && (
        <p class="field__hint" id={`hint-${name}`}>
          {hint}
        </p>
      )}
      {trouble !== null && (
        <p class="field__trouble" id={`trouble-${name}`}>
          {trouble}
        </p>
      )}
    </div>
  );
}

/** What belongs to a field for whoever hears the page. */
function describedBy({ name, hint, trouble }: FieldProps) {
  const ids = [hint == null ? null : `hint-${name}`, trouble === null ? null : `trouble-${name}`].filter((id) => id !== null);
  return {
    id: `field-${name}`,
    name,
    "aria-invalid": trouble !== null,
    ...(ids.length === 0 ? {} : { "aria-describedby": ids.join(" ") }),
  };
}

/** A line of text. */
export function TextField(
  props: FieldProps & {
    readonly value: string;
    readonly onValue: (value: string) => void;
    readonly charactersMax?: number;
    readonly kind?: "text" | "password" | "number";
    /** A scanner's code may go into it. */
    readonly isScanned?: boolean;
    readonly choices?: readonly { readonly value: string; readonly label: string }[];
  },
) {
  const { value, onValue, charactersMax, kind = "text", isScanned = false, choices = [] } = props;
  const list = choices.length === 0 ? {} : { list: `choices-${props.name}` };
  const common = {
    ...describedBy(props),
    ...list,
    ...(charactersMax === undefined ? {} : { maxLength: charactersMax }),
    ...(isScanned ? { "data-scan": "" } : {}),
    value,
    autocapitalize: "off" as const,
    spellcheck: false,
    onInput: (event: Event) => {
      if (event.currentTarget instanceof HTMLInputElement) onValue(event.currentTarget.value);
    },
  };
  return (
    <Field {...props}>
      {kind === "password" ? (
        <input {...common} type="password" autocomplete="new-password" />
      ) : (
        <input {...common} type="text" autocomplete="off" inputMode={kind === "number" ? "decimal" : "text"} />
      )}
      {choices.length > 0 && (
        <datalist id={`choices-${props.name}`}>
          {choices.map((choice) => (
            <option key={choice.value} value={choice.value}>
              {choice.label}
            </option>
          ))}
        </datalist>
      )}
    </Field>
  );
}

/** Several lines of text. */
export function LinesField(
  props: FieldProps & { readonly value: string; readonly onValue: (value: string) => void; readonly charactersMax: number },
) {
  return (
    <Field {...props}>
      <textarea
        {...describedBy(props)}
        rows={3}
        maxLength={props.charactersMax}
        value={props.value}
        onInput={(event) => props.onValue(event.currentTarget.value)}
      />
    </Field>
  );
}

/** One of a few; the empty value asks to choose where `asks` is given. */
export function ChoiceField(
  props: FieldProps & {
    readonly value: string;
    readonly onValue: (value: string) => void;
    readonly choices: readonly { readonly value: string; readonly label: string }[];
    /** What stands there before anything is chosen; left out where something always is. */
    readonly asks?: string;
  },
) {
  const { value, onValue, choices, asks } = props;
  return (
    <Field {...props}>
      <select {...describedBy(props)} class="choice" value={value} onChange={(event) => onValue(event.currentTarget.value)}>
        {asks !== undefined && <option value="">{asks}</option>}
        {choices.map((choice) => (
          <option key={choice.value} value={choice.value}>
            {choice.label}
          </option>
        ))}
      </select>
    </Field>
  );
}

/** Yes or no. */
export function CheckField(
  props: Omit<FieldProps, "trouble"> & { readonly checked: boolean; readonly onChecked: (checked: boolean) => void },
) {
  const { name, label, hint, checked, onChecked } = props;
  return (
    <div class="field field--check">
      <label>
        <input type="checkbox" name={name} checked={checked} onChange={(event) => onChecked(event.currentTarget.checked)} />
        <span>{label}</span>
      </label>
      {hint != null && <p class="field__hint">{hint}</p>}
    </div>
  );
}
