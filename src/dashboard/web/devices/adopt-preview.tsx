import { decodeErrorText } from "../../../core/decode-error-text.ts";
import type { AdoptPreview } from "../../../core/device-view.ts";
import { QUANTITIES } from "../../../core/quantities.ts";
import { type Language, say } from "../words/texts.ts";
import { contentText, quantityUnitText } from "../words/words.ts";

/** What the gateway would make of the device's last message with the settings as they stand. */
export function Preview({ language, preview }: { readonly language: Language; readonly preview: AdoptPreview | null }) {
  return (
    <section class="panel preview" aria-live="polite" aria-label={say(language, "previewTitle")}>
      <h2>{say(language, "previewTitle")}</h2>
      {preview === null ? <p class="panel__note">{say(language, "loading")}</p> : <Made language={language} preview={preview} />}
    </section>
  );
}

function Made({ language, preview }: { readonly language: Language; readonly preview: AdoptPreview }) {
  const { problems, hasMessage, values, alarms, refusals } = preview;
  if (problems.length > 0)
    return (
      <>
        <p class="field-trouble">{say(language, "previewOptions")}</p>
        <ul>
          {problems.map(({ option, problem, remedy }) => (
            <li key={`${option} ${problem.en}`}>
              <b>{option}</b> {problem[language]}; {remedy[language]}
            </li>
          ))}
        </ul>
      </>
    );
  if (!hasMessage) return <p class="panel__note">{say(language, "previewNone")}</p>;
  if (values.length + alarms.length + refusals.length === 0) return <p class="panel__note">{say(language, "previewNothing")}</p>;
  return (
    <ul class="device-values">
      {values.map(({ quantity, content }) => (
        <li key={quantity}>
          <span>{QUANTITIES[quantity].title[language]}</span>
          <b>
            {contentText(language, quantity, content)} {content.state === "present" && quantityUnitText(language, quantity)}
          </b>
        </li>
      ))}
      {alarms
        .filter(({ active }) => active)
        .map(({ code, text }) => (
          <li key={code}>
            <span>{say(language, "event.alarm-begins")}</span>
            <b>{text}</b>
          </li>
        ))}
      {refusals.map((error) => (
        <li key={JSON.stringify(error)} class="preview__refused">
          {decodeErrorText(error)[language]}
        </li>
      ))}
    </ul>
  );
}
