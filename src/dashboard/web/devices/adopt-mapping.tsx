import type { MessageFieldView } from "../../../core/device-view.ts";
import { isQuantityName, QUANTITIES, QUANTITY_NAMES } from "../../../core/quantities.ts";
import { unitsOf } from "../../../core/unit.ts";
import { type Language, say } from "../words/texts.ts";
import { unitText } from "../words/words.ts";
import { type FieldMeaning, type Meanings, TIME_FORMATS, UNUSED, usableFields } from "./field-meaning.ts";

/** Lets a person say what each value of the last message is. */
export function AdoptMapping(props: {
  readonly language: Language;
  readonly fields: readonly MessageFieldView[];
  readonly meanings: Meanings;
  readonly onMeanings: (meanings: Meanings) => void;
}) {
  const { language, meanings, onMeanings } = props;
  const fields = usableFields(props.fields);
  if (fields.length === 0) return null;
  return (
    <fieldset class="panel mapping">
      <legend>{say(language, "mappingTitle")}</legend>
      <p class="panel__note">{say(language, "mappingNote")}</p>
      <ul>
        {fields.map((field) => (
          <FieldRow
            key={field.path}
            language={language}
            field={field}
            meaning={meanings.get(field.path) ?? UNUSED}
            onMeaning={(meaning) => onMeanings(new Map(meanings).set(field.path, meaning))}
          />
        ))}
      </ul>
    </fieldset>
  );
}

function FieldRow(props: {
  readonly language: Language;
  readonly field: MessageFieldView;
  readonly meaning: FieldMeaning;
  readonly onMeaning: (meaning: FieldMeaning) => void;
}) {
  const { language, field, meaning, onMeaning } = props;
  return (
    <li class="mapping__row" data-path={field.path}>
      <span class="mapping__field">
        <code>{field.path}</code>
        <b>{field.sample}</b>
      </span>
      <select
        class="choice"
        aria-label={say(language, "mappingMeaning", { path: field.path })}
        value={chosenOf(meaning)}
        onChange={(event) => onMeaning(meaningOf(event.currentTarget.value))}
      >
        <option value="">{say(language, "mappingUnused")}</option>
        {QUANTITY_NAMES.map((quantity) => (
          <option key={quantity} value={quantity}>
            {QUANTITIES[quantity].title[language]}
          </option>
        ))}
        <optgroup label={say(language, "mappingTime")}>
          {TIME_FORMATS.map((format) => (
            <option key={format} value={format}>
              {say(language, `time.${format}`)}
            </option>
          ))}
        </optgroup>
      </select>
      {meaning.kind === "quantity" && (
        <QuantityChoices language={language} field={field} meaning={meaning} onMeaning={onMeaning} />
      )}
    </li>
  );
}

function QuantityChoices(props: {
  readonly language: Language;
  readonly field: MessageFieldView;
  readonly meaning: Extract<FieldMeaning, { kind: "quantity" }>;
  readonly onMeaning: (meaning: FieldMeaning) => void;
}) {
  const { language, field, meaning, onMeaning } = props;
  const units = unitsOf(meaning.quantity);
  return (
    <>
      {QUANTITIES[meaning.quantity].states === undefined && (
        <select
          class="choice mapping__unit"
          aria-label={`${say(language, "mappingUnit")}: ${field.path}`}
          value={meaning.unit}
          onChange={(event) => onMeaning({ ...meaning, unit: event.currentTarget.value })}
        >
          {units.map((unit) => (
            <option key={unit} value={unit}>
              {unitWords(language, unit)}
            </option>
          ))}
        </select>
      )}
      <label class="mapping__must">
        <input
          type="checkbox"
          checked={meaning.mustCome}
          onChange={(event) => onMeaning({ ...meaning, mustCome: event.currentTarget.checked })}
        />
        <span>{say(language, "mappingMust")}</span>
      </label>
    </>
  );
}

function chosenOf(meaning: FieldMeaning): string {
  switch (meaning.kind) {
    case "unused":
      return "";
    case "quantity":
      return meaning.quantity;
    case "time":
      return meaning.format;
  }
}

function meaningOf(chosen: string): FieldMeaning {
  if (isQuantityName(chosen)) return { kind: "quantity", quantity: chosen, unit: QUANTITIES[chosen].unit, mustCome: false };
  const format = TIME_FORMATS.find((one) => one === chosen);
  return format === undefined ? UNUSED : { kind: "time", format };
}

/** UCUM as it is written at the bedside. */
function unitWords(language: Language, unit: string): string {
  const words: Readonly<Record<string, string>> = { "[degF]": "°F", "[lb_av]": "lb", "1": say(language, "unitRatio") };
  return words[unit] ?? unitText(language, unit);
}
