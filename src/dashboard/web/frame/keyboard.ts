import { LIMITS } from "../../../core/limits.ts";
import type { Timer } from "../../../core/time.ts";
import { takeIntoField, takeScan } from "../people/scan-taking.ts";
import type { PageState } from "../state/page-state.ts";
import { createScanReader } from "./scan-reader.ts";

/** The effect of a key waits for so long whether the next one of a scanner follows: twice its gap, because a busy page hears late. */
const HOLD_MS = 2 * LIMITS.scanGapMsMax.value;

/**
 * Keys for the whole page, and codes from a scanner, which is a keyboard that types fast and ends with Enter. Nothing happens while
 * somebody types or holds a modifier; a code goes into a field only where the field expects one (`data-scan`).
 */
export function listenToKeys(state: PageState): () => void {
  const reader = createScanReader();
  let held: { readonly event: KeyboardEvent; readonly timer: Timer } | null = null;
  const letGo = (withEffect: boolean) => {
    const key = held;
    held = null;
    key?.timer.stop();
    if (withEffect && key !== null) act(state, key.event);
  };
  const swallow = (event: KeyboardEvent) => {
    letGo(false);
    event.preventDefault();
    event.stopImmediatePropagation();
  };
  const onKeyInField = (event: KeyboardEvent, field: HTMLInputElement) => {
    const step = reader.take(event.key, event.timeStamp);
    if (step.kind !== "scan") return;
    // Its Enter would send the form.
    swallow(event);
    takeIntoField(field, step.code);
  };
  const onPage = (event: KeyboardEvent) => {
    // A key that is held down is a person's.
    const step = event.repeat ? ({ kind: "other" } as const) : reader.take(event.key, event.timeStamp);
    switch (step.kind) {
      case "alone":
        letGo(true);
        held = { event, timer: state.clock.after(HOLD_MS, () => letGo(true)) };
        break;
      case "other":
        letGo(true);
        if (act(state, event)) event.preventDefault();
        break;
      case "gathered":
      case "ignored":
        swallow(event);
        break;
      case "scan":
        swallow(event);
        takeScan(state, step.code);
        break;
    }
  };
  const onKey = (event: KeyboardEvent) => {
    if (event.ctrlKey || event.altKey || event.metaKey || state.view().session?.user == null) return;
    const { target } = event;
    if (target instanceof HTMLInputElement && target.dataset["scan"] !== undefined) onKeyInField(event, target);
    else if (isTyping(target)) reader.forget();
    else onPage(event);
  };
  // Before anything on the page: Enter at the end of a code must press no button.
  addEventListener("keydown", onKey, true);
  return () => {
    letGo(false);
    removeEventListener("keydown", onKey, true);
  };
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
