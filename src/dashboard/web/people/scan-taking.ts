import { may } from "../state/may.ts";
import type { PageState } from "../state/page-state.ts";
import { say } from "../words/texts.ts";
import { scanMeaning, withoutSymbology } from "./scan-meaning.ts";

/** Does what a code asks for that was scanned while no field had the focus: into the field of an open dialog that waits for one, else on the page. */
export function takeScan(state: PageState, code: string): void {
  const dialog = document.querySelector("dialog[open]");
  const field = dialog?.querySelector<HTMLInputElement>("input[data-scan]") ?? null;
  if (dialog === null) takeOnPage(state, code);
  else if (field !== null) takeIntoField(field, code);
  else state.tell(say(state.view().language, "scanInDialog"), true);
}

/** Puts a code into a field in place of what was there, as if it had been typed, and goes on to the next field. */
export function takeIntoField(field: HTMLInputElement, code: string): void {
  field.value = withoutSymbology(code.trim());
  field.dispatchEvent(new Event("input", { bubbles: true }));
  const fields = [...(field.form?.querySelectorAll<HTMLElement>("input, select, textarea, button[type=submit]") ?? [])];
  (fields[fields.indexOf(field) + 1] ?? field).focus();
}

function takeOnPage(state: PageState, code: string): void {
  const { ward, place, session, language } = state.view();
  if (ward === null) return;
  const at = { ward, bedId: place.kind === "bed" ? place.bedId : null };
  const meaning = scanMeaning(code, at, { admit: may(session, "admit"), assign: may(session, "assign") });
  switch (meaning.kind) {
    case "open-bed": {
      const bed = ward.beds.find(({ bedId }) => bedId === meaning.bedId);
      location.hash = `#/bed/${encodeURIComponent(meaning.bedId)}`;
      state.tell([bed?.title, bed?.patient?.label].filter((text) => text !== undefined).join(" · "), false);
      break;
    }
    case "assign":
    case "admit":
      state.openDialog(meaning);
      break;
    case "already-on":
      state.tell(say(language, "scanHere", { device: meaning.device.title[language], patient: meaning.label }), false);
      break;
    case "unknown":
      state.tell(say(language, "scanUnknown", { code: code.slice(0, 40) }), true);
      break;
    case "too-long":
      state.tell(say(language, "scanTooLong"), true);
      break;
  }
}
