import { useEffect, useState } from "preact/hooks";
import type { LimitSide } from "../../../core/act.ts";
import type { Priority } from "../../../core/alert.ts";
import type { LimitSideName, WardLimitView } from "../../../core/limit-levels.ts";
import { LIMITS } from "../../../core/limits.ts";
import { QUANTITIES, type QuantityName } from "../../../core/quantities.ts";
import { wallMs } from "../../../core/time.ts";
import { type Language, say } from "../words/texts.ts";
import { quantityUnitText, valueText } from "../words/words.ts";
import { CheckField, ChoiceField, FormDialog, neededTrouble, type Submit, TextField } from "./form.tsx";
import {
  furtherLevels,
  HOLD_NAMES,
  type HoldName,
  holdEndMs,
  levelsText,
  minuteText,
  readSides,
  type SideForm,
  sideOf,
} from "./limit-words.ts";
import type { PatientProps } from "./people-dialogs.tsx";
import { askLimits } from "./people-door.ts";

const PRIORITIES: readonly Priority[] = ["high", "medium", "low"];
const SIDES: readonly LimitSideName[] = ["low", "high"];

/** Sets the limits of one quantity for one patient, or gives them the ward's own again. */
export function LimitDialog(props: PatientProps & { readonly quantity: QuantityName }) {
  const { state, view, patient, quantity, onClosed } = props;
  const { language } = view;
  const [ward, setWard] = useState<WardLimitView | null>(null);
  const [failed, setFailed] = useState<string | null>(null);
  useEffect(() => {
    void askLimits().then((answer) => {
      const found = answer.ok ? answer.value.find((each) => each.quantity === quantity) : undefined;
      if (found === undefined) setFailed(say(language, "limitsFailed"));
      else setWard(found);
    });
  }, []);
  const title = say(language, "limitTitle", { quantity: QUANTITIES[quantity].title[language], patient: patient.label });
  if (ward !== null) return <LimitForm {...props} known={ward} title={title} />;
  return (
    <FormDialog state={state} view={view} title={title} does="" submit={null} onClosed={onClosed}>
      {() => <p>{failed ?? say(language, "loading")}</p>}
    </FormDialog>
  );
}

function LimitForm(
  props: PatientProps & { readonly quantity: QuantityName; readonly known: WardLimitView; readonly title: string },
) {
  const { state, view, patient, quantity, known, title, onClosed } = props;
  const { language } = view;
  const own = patient.limits.find((each) => each.quantity === quantity);
  const inForce = own === undefined || own.expired ? null : own;
  const [form, setForm] = useState<Readonly<Record<LimitSideName, SideForm>>>({
    low: formOf(quantity, inForce === null ? (known.ward.low[0] ?? null) : inForce.low),
    high: formOf(quantity, inForce === null ? (known.ward.high[0] ?? null) : inForce.high),
  });
  const [reason, setReason] = useState(own?.reason ?? "");
  const [holds, setHolds] = useState<HoldName>("4");
  const submit: Submit = async () => {
    const sides = readSides(language, quantity, form);
    if ("field" in sides) return sides;
    const missing = neededTrouble(language, "reason", reason);
    if (missing !== null) return missing;
    const endMs = holdEndMs(holds, view.nowMs);
    return state.attempt({
      kind: "set-limit",
      patientId: patient.patientId,
      quantity,
      ...sides,
      reason: reason.trim(),
      expiresAtMs: endMs === null ? null : wallMs(Math.round(endMs)),
    });
  };
  const goBack = async () => {
    const refused = await state.attempt({ kind: "reset-limit", patientId: patient.patientId, quantity });
    if (refused === null) onClosed();
    else state.tell(say(language, "notDoneBecause", { reason: refused.text }), true);
  };
  return (
    <FormDialog state={state} view={view} title={title} does={say(language, "save")} submit={submit} onClosed={onClosed}>
      {(trouble) => (
        <>
          <p data-testid="ward-limits">{say(language, "limitWardIs", { limits: sidesText(language, known) })}</p>
          {SIDES.map((side) => (
            <SideFields
              key={side}
              language={language}
              quantity={quantity}
              side={side}
              form={form[side]}
              onForm={(changed) => setForm({ ...form, [side]: changed })}
              defaults={known.defaults[side]}
              trouble={trouble(side)}
            />
          ))}
          <WhyAndHowLong
            language={language}
            nowMs={view.nowMs}
            reason={reason}
            onReason={setReason}
            holds={holds}
            onHolds={setHolds}
            trouble={trouble}
          />
          {own !== undefined && (
            <button type="button" class="button button--wide" data-testid="reset-limit" onClick={() => void goBack()}>
              {say(language, "limitBack")}
            </button>
          )}
        </>
      )}
    </FormDialog>
  );
}

function WhyAndHowLong(props: {
  readonly language: Language;
  readonly nowMs: number;
  readonly reason: string;
  readonly onReason: (reason: string) => void;
  readonly holds: HoldName;
  readonly onHolds: (holds: HoldName) => void;
  readonly trouble: (field: string) => string | null;
}) {
  const { language, nowMs, reason, onReason, holds, onHolds, trouble } = props;
  return (
    <>
      <TextField
        name="reason"
        label={say(language, "limitReason")}
        hint={say(language, "limitReasonHint")}
        trouble={trouble("reason")}
        value={reason}
        onValue={onReason}
        charactersMax={LIMITS.reasonCharactersMax.value}
      />
      <ChoiceField
        name="expiresAtMs"
        label={say(language, "limitHolds")}
        trouble={trouble("expiresAtMs")}
        value={holds}
        onValue={(chosen) => onHolds(HOLD_NAMES.find((name) => name === chosen) ?? "4")}
        choices={HOLD_NAMES.map((name) => ({ value: name, label: holdText(language, name, nowMs) }))}
      />
    </>
  );
}

/** Both sides of the ward's own limits in one line. */
function sidesText(language: Language, { quantity, ward }: WardLimitView): string {
  const sides = SIDES.map(
    (side) => `${say(language, side === "low" ? "limitLow" : "limitHigh")} ${levelsText(language, quantity, ward[side])}`,
  );
  return sides.join(language === "zh" ? "；" : "; ");
}

function formOf(quantity: QuantityName, side: LimitSide | null): SideForm {
  if (side === null) return { isOn: false, value: "", priority: "medium" };
  const plain = valueText(quantity, side.value);
  return { isOn: true, value: Number(plain) === side.value ? plain : String(side.value), priority: side.priority };
}

function holdText(language: Language, name: HoldName, nowMs: number): string {
  const endMs = holdEndMs(name, nowMs);
  return say(language, `limitHolds.${name}`, endMs === null ? {} : { time: minuteText(language, endMs, nowMs) });
}

function SideFields(props: {
  readonly language: Language;
  readonly quantity: QuantityName;
  readonly side: LimitSideName;
  readonly form: SideForm;
  readonly onForm: (form: SideForm) => void;
  readonly defaults: readonly LimitSide[];
  readonly trouble: string | null;
}) {
  const { language, quantity, side, form, onForm, defaults, trouble } = props;
  const unit = quantityUnitText(language, quantity);
  const further = furtherLevels(side, sideOf(form, quantity), defaults);
  return (
    <fieldset class="form__group">
      <legend>{say(language, side === "low" ? "limitLow" : "limitHigh")}</legend>
      <CheckField
        name={`${side}-on`}
        label={say(language, side === "low" ? "limitSideOn" : "limitSideOnHigh")}
        hint={form.isOn ? null : say(language, "limitSideOff")}
        checked={form.isOn}
        onChecked={(isOn) => onForm({ ...form, isOn })}
      />
      {form.isOn && (
        <div class="form__pair">
          <TextField
            name={side}
            label={say(language, side === "low" ? "limitValueLow" : "limitValueHigh", { unit })}
            trouble={trouble}
            value={form.value}
            onValue={(value) => onForm({ ...form, value })}
            kind="number"
          />
          <ChoiceField
            name={`${side}-priority`}
            label={say(language, "limitPriority")}
            trouble={null}
            value={form.priority}
            onValue={(chosen) => onForm({ ...form, priority: PRIORITIES.find((each) => each === chosen) ?? "medium" })}
            choices={PRIORITIES.map((each) => ({ value: each, label: say(language, `priority.${each}`) }))}
          />
        </div>
      )}
      {further.length > 0 && (
        <p class="field__hint">{say(language, "limitFurther", { limits: levelsText(language, quantity, further) })}</p>
      )}
    </fieldset>
  );
}
