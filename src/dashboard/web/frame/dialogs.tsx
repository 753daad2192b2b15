import type { ComponentChildren } from "preact";
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { PeopleDialogs } from "../people/people-dialogs.tsx";
import type { PageState, PageView } from "../state/page-state.ts";
import { type Language, say, type TextKey } from "../words/texts.ts";

interface Props {
  readonly state: PageState;
  readonly view: PageView;
}

/** The dialog that is open, if one is. */
export function Dialogs({ state, view }: Props) {
  const { dialog } = view;
  if (typeof dialog === "object") return <PeopleDialogs state={state} view={view} dialog={dialog} />;
  switch (dialog) {
    case "none":
      return null;
    case "sound-test":
      return <SoundTest state={state} view={view} />;
    case "keys":
      return <Keys state={state} view={view} />;
  }
}

/** A dialog above the page: the focus is in it while it is there, and goes back to where it was. `onClosed` takes it away. */
export function Dialog(props: {
  readonly language: Language;
  readonly title: string;
  readonly onClosed: () => void;
  readonly children: ComponentChildren;
}) {
  const { language, title, onClosed, children } = props;
  const element = useRef<HTMLDialogElement>(null);
  // Before the next key: one that comes while the dialog is there but not open yet would be lost.
  useLayoutEffect(() => {
    const shown = element.current;
    const before = document.activeElement;
    shown?.showModal();
    return () => {
      shown?.close();
      if (before instanceof HTMLElement && before.isConnected) before.focus();
    };
  }, []);
  // An end is told a moment later, when it may be gone already and another dialog be there: that one must not be taken away.
  const closed = (event: Event) => {
    if (event.target instanceof Element && event.target.isConnected) onClosed();
  };
  return (
    <dialog ref={element} class="dialog" aria-label={title} onClose={closed}>
      <h2>{title}</h2>
      {children}
      <button type="button" class="dialog__close" aria-label={say(language, "close")} onClick={() => element.current?.close()}>
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
    <Dialog language={language} title={say(language, "soundTestTitle")} onClosed={() => state.openDialog("none")}>
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
  ["▥", "key.scan"],
  ["M", "key.pause"],
  ["T", "key.test"],
  ["L", "key.language"],
  ["?", "key.help"],
  ["Esc", "key.escape"],
];

function Keys({ state, view }: Props) {
  return (
    <Dialog language={view.language} title={say(view.language, "keysTitle")} onClosed={() => state.openDialog("none")}>
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
