import type { ComponentChildren } from "preact";
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import type { PageState, PageView } from "../state/page-state.ts";
import { say, type TextKey } from "../words/texts.ts";

interface Props {
  readonly state: PageState;
  readonly view: PageView;
}

/** The dialog that is open, if one is. */
export function Dialogs({ state, view }: Props) {
  switch (view.dialog) {
    case "none":
      return null;
    case "sound-test":
      return <SoundTest state={state} view={view} />;
    case "keys":
      return <Keys state={state} view={view} />;
  }
}

function Dialog({ state, view, title, children }: Props & { readonly title: string; readonly children: ComponentChildren }) {
  const element = useRef<HTMLDialogElement>(null);
  // Before the next key: one that comes while the dialog is there but not open yet would be lost.
  useLayoutEffect(() => {
    element.current?.showModal();
  }, []);
  return (
    <dialog ref={element} class="dialog" aria-label={title} onClose={() => state.openDialog("none")}>
      <h2>{title}</h2>
      {children}
      <button
        type="button"
        class="dialog__close"
        aria-label={say(view.language, "close")}
        onClick={() => element.current?.close()}
      >
        ×
      </button>
    </dialog>
  );
}

/** "Do you hear it?": asked after each sign-in and whenever sound is off. */
function SoundTest({ state, view }: Props) {
  const { language } = view;
  const [unheard, setUnheard] = useState(false);
  const play = () => void state.sounder.test().catch(() => undefined);
  const answer = (heard: boolean) => {
    state.sounder.confirm(heard);
    setUnheard(!heard);
    if (heard) state.openDialog("none");
  };
  return (
    <Dialog state={state} view={view} title={say(language, "soundTestTitle")}>
      <p>{say(language, "soundTestNote")}</p>
      <button type="button" class="button button--primary button--wide" data-testid="play" onClick={play}>
        ♪ {say(language, "soundTestPlay")}
      </button>
      {unheard && <p class="dialog__remedy">{say(language, "soundTestRemedy")}</p>}
      <div class="dialog__answers">
        <button type="button" class="button" data-testid="heard" onClick={() => answer(true)}>
          {say(language, "soundTestYes")}
        </button>
        <button type="button" class="button" data-testid="unheard" onClick={() => answer(false)}>
          {say(language, "soundTestNo")}
        </button>
      </div>
    </Dialog>
  );
}

const keys: readonly (readonly [string, TextKey])[] = [
  ["W", "key.wall"],
  ["A", "key.alerts"],
  ["1 – 9", "key.bed"],
  ["J  K  ↓  ↑", "key.move"],
  ["Enter", "key.acknowledge"],
  ["M", "key.pause"],
  ["T", "key.test"],
  ["L", "key.language"],
  ["?", "key.help"],
  ["Esc", "key.escape"],
];

function Keys({ state, view }: Props) {
  return (
    <Dialog state={state} view={view} title={say(view.language, "keysTitle")}>
      <dl class="keys">
        {keys.map(([key, text]) => (
          <div key={key}>
            <dt>
              <kbd>{key}</kbd>
            </dt>
            <dd>{say(view.language, text)}</dd>
          </div>
        ))}
      </dl>
    </Dialog>
  );
}
