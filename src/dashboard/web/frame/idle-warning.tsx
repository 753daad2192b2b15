import type { PageView } from "../state/page-state.ts";
import { say } from "../words/texts.ts";

/** Before a page that nobody uses is signed out: whatever is pressed or touched keeps it, the button stands for that. */
export function IdleWarning({ view }: { readonly view: PageView }) {
  const { language, signOutInSeconds } = view;
  if (signOutInSeconds === null) return null;
  return (
    <div class="banner banner--idle" role="alert" data-testid="idle">
      <b>{say(language, "idleTitle")}</b>
      {/* Read out once, not each second. */}
      <span aria-hidden="true">{say(language, "idleSeconds", { n: signOutInSeconds })}</span>
      <button type="button" class="button button--strong">
        {say(language, "idleStay")}
      </button>
    </div>
  );
}
