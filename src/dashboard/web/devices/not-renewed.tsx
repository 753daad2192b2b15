import type { PageView } from "../state/page-state.ts";
import type { Asked } from "../state/use-asked.ts";
import { refusalWords } from "../words/refusal.ts";
import { say } from "../words/texts.ts";

/** Says that the last question was not answered, or that the first answer is still waited for; nothing where all is well. */
export function NotRenewed({ view, asked }: { readonly view: PageView; readonly asked: Asked<unknown> }) {
  const { language } = view;
  if (asked.refusal !== undefined)
    return (
      <p class="not-renewed" role="alert">
        {say(language, "notRenewed", { reason: refusalWords(language, asked.refusal).text })}
      </p>
    );
  return asked.value === null ? <p class="sheet">{say(language, "loading")}</p> : null;
}
