import type { PageState } from "../state/page-state.ts";

/** Keys for the whole page. Nothing happens while somebody types or holds a modifier. */
export function listenToKeys(state: PageState): () => void {
  const onKey = (event: KeyboardEvent) => {
    if (event.ctrlKey || event.altKey || event.metaKey || isTyping(event.target)) return;
    if (state.view().session?.user == null || !act(state, event)) return;
    event.preventDefault();
  };
  addEventListener("keydown", onKey);
  return () => removeEventListener("keydown", onKey);
}

function act(state: PageState, event: KeyboardEvent): boolean {
  const view = state.view();
  if (document.querySelector("dialog[open]") !== null) return false;
  const bed = /^[1-9]$/.test(event.key) ? view.ward?.beds[Number(event.key) - 1] : undefined;
  if (bed !== undefined) return go(`#/bed/${encodeURIComponent(bed.bedId)}`);
  switch (event.key.toLowerCase()) {
    case "w":
    case "escape":
      return go("#/");
    case "a":
      return go("#/alerts");
    case "j":
    case "arrowdown":
      return moveMark(1);
    case "k":
    case "arrowup":
      return moveMark(-1);
    case "enter":
      return acknowledgeMarked(event.target);
    case "m":
      if (view.sound.kind === "paused") state.sounder.resume();
      else state.sounder.pause();
      return true;
    case "t":
      state.openDialog("sound-test");
      return true;
    case "l":
      state.setLanguage(view.language === "en" ? "zh" : "en");
      return true;
    case "?":
      state.openDialog("keys");
      return true;
  }
  return false;
}

function go(hash: string): true {
  location.hash = hash;
  return true;
}

/** Moves the focus among the alerts shown; false where there are none, so that the arrows scroll as usual. */
function moveMark(step: 1 | -1): boolean {
  const rows = [...document.querySelectorAll<HTMLElement>("[data-alert]")].filter((row) => row.offsetParent !== null);
  if (rows.length === 0) return false;
  const marked = rows.findIndex((row) => row.contains(document.activeElement));
  const next = marked < 0 ? (step === 1 ? 0 : rows.length - 1) : Math.min(rows.length - 1, Math.max(0, marked + step));
  rows[next]?.focus();
  rows[next]?.scrollIntoView({ block: "nearest" });
  return true;
}

/** Only where the row itself is marked: on a button or link, Enter does what it always does. */
function acknowledgeMarked(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement) || target.dataset["alert"] === undefined) return false;
  const button = target.querySelector<HTMLButtonElement>(".button--acknowledge");
  button?.click();
  return button !== null;
}

function isTyping(target: EventTarget | null): boolean {
  return target instanceof HTMLInputElement || target instanceof HTMLSelectElement || target instanceof HTMLTextAreaElement;
}
