import { useState } from "preact/hooks";
import type { PageState, PageView } from "../state/page-state.ts";
import { say } from "../words/texts.ts";
import { Brand, LanguageSwitch, StandingLine } from "./frame.tsx";

interface Props {
  readonly state: PageState;
  readonly view: PageView;
}

/** The screen before anybody is signed in: the password, or at the first start the one-time link. */
export function SignIn({ state, view }: Props) {
  const { language, session, place } = view;
  const first = place.kind === "first" && session?.firstAccountNeeded !== false;
  return (
    <div class="door">
      {view.sessionLost && (
        <div class="banner banner--stale" role="alert" data-testid="session-lost">
          <b>{say(language, "lostSession")}</b>
        </div>
      )}
      <div class="door__top">
        <LanguageSwitch state={state} view={view} />
      </div>
      <main class="door__card">
        <Brand />
        <p class="door__tagline">{say(language, "tagline")}</p>
        {!view.sessionKnown && <p class="door__note">{say(language, "loading")}</p>}
        {view.sessionKnown && first && <FirstAccount state={state} view={view} token={place.token} />}
        {view.sessionKnown && !first && session?.firstAccountNeeded === true && (
          <p class="door__note">{say(language, "openFirstLink")}</p>
        )}
        {view.sessionKnown && !first && session?.firstAccountNeeded === false && <Password state={state} view={view} />}
      </main>
      <footer>
        <StandingLine />
      </footer>
    </div>
  );
}

function Password({ state, view }: Props) {
  const { language } = view;
  const { trouble, busy, onSubmit } = useSubmit(({ name, password }) => state.signIn(name, password));
  return (
    <form onSubmit={onSubmit}>
      <h1>{say(language, "signInTitle")}</h1>
      <Field label={say(language, "name")} name="name" type="text" complete="username" />
      <Field label={say(language, "password")} name="password" type="password" complete="current-password" />
      <Trouble text={trouble} />
      <button type="submit" class="button button--primary button--wide" disabled={busy}>
        {say(language, "signIn")}
      </button>
    </form>
  );
}

function FirstAccount({ state, view, token }: Props & { readonly token: string }) {
  const { language } = view;
  const { trouble, busy, onSubmit } = useSubmit(async ({ name, password, again }) =>
    password === again ? await state.makeFirstAccount(token, name, password) : say(language, "passwordsDiffer"),
  );
  return (
    <form onSubmit={onSubmit}>
      <h1>{say(language, "firstTitle")}</h1>
      <p class="door__note">{say(language, "firstNote")}</p>
      <Field label={say(language, "name")} name="name" type="text" complete="username" />
      <Field label={say(language, "password")} name="password" type="password" complete="new-password" />
      <p class="door__hint">{say(language, "passwordRule")}</p>
      <Field label={say(language, "passwordAgain")} name="again" type="password" complete="new-password" />
      <Trouble text={trouble} />
      <button type="submit" class="button button--primary button--wide" disabled={busy}>
        {say(language, "makeAccount")}
      </button>
    </form>
  );
}

function Field(props: {
  readonly label: string;
  readonly name: string;
  readonly type: "text" | "password";
  readonly complete: string;
}) {
  const id = `field-${props.name}`;
  return (
    <p class="field">
      <label for={id}>{props.label}</label>
      {props.type === "password" ? (
        <input id={id} name={props.name} type="password" autocomplete={props.complete} required />
      ) : (
        <input
          id={id}
          name={props.name}
          type="text"
          autocomplete={props.complete}
          autocapitalize="off"
          spellcheck={false}
          required
        />
      )}
    </p>
  );
}

function Trouble({ text }: { readonly text: string | null }) {
  return (
    <p class="field-trouble" role="alert">
      {text}
    </p>
  );
}

interface Fields {
  readonly name: string;
  readonly password: string;
  readonly again: string;
}

/** Sends what stands in a form, once at a time. @param send  Answers what is wrong, in words, or null. */
function useSubmit(send: (fields: Fields) => Promise<string | null>) {
  const [trouble, setTrouble] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    const fields = fieldsOf(event);
    setBusy(true);
    const refused = await send(fields);
    setBusy(false);
    setTrouble(refused);
  };
  return { trouble, busy, onSubmit: (event: SubmitEvent) => void submit(event) };
}

function fieldsOf(event: SubmitEvent): Fields {
  const form = event.currentTarget;
  const data = form instanceof HTMLFormElement ? new FormData(form) : new FormData();
  const text = (name: string) => {
    const value = data.get(name);
    return typeof value === "string" ? value : "";
  };
  return { name: text("name").trim(), password: text("password"), again: text("again") };
}
