import { useState } from "preact/hooks";
import type { PatientProfile } from "../../../core/act.ts";
import { patientId } from "../../../core/ids.ts";
import { LIMITS } from "../../../core/limits.ts";
import type { BedView, PictureView } from "../../../core/stream.ts";
import { unrealOrigins } from "../state/ward.ts";
import { type Language, say } from "../words/texts.ts";
import { CheckField, ChoiceField, FormDialog, firstTrouble, neededTrouble, type Submit, TextField } from "./form.tsx";
import type { PeopleDialog } from "./people-dialog.ts";
import type { DialogProps } from "./people-dialogs.tsx";
import { withoutSymbology } from "./scan-meaning.ts";

/** The form as it stands. */
interface AdmitForm {
  readonly number: string;
  readonly label: string;
  /** The bed that was chosen; empty where none is yet. */
  readonly bed: string;
  readonly scale: PatientProfile["spo2Scale"];
  readonly isDemonstration: boolean;
}

/** Admits a patient to a free bed. */
export function AdmitDialog(props: DialogProps & { readonly given: Extract<PeopleDialog, { kind: "admit" }> }) {
  const { state, view, ward, given, onClosed } = props;
  const { language } = view;
  const [form, setForm] = useState<AdmitForm>({
    number: given.patientId,
    label: "",
    bed: given.bedId ?? "",
    scale: 1,
    isDemonstration: false,
  });
  const free = ward.beds.filter((bed) => bed.patient === null);
  const bed = ward.beds.find((each) => each.bedId === form.bed);
  const mayBeDemonstration = isAnythingUnreal(ward, bed);
  const submit: Submit = async () => {
    const wrong = firstTrouble(
      neededTrouble(language, "patientId", form.number),
      neededTrouble(language, "label", form.label),
      bed === undefined ? { field: "bedId", text: say(language, "chooseOne") } : null,
    );
    if (wrong !== null || bed === undefined) return wrong;
    const refused = await state.attempt({
      kind: "admit",
      patientId: patientId(withoutSymbology(form.number.trim())),
      bedId: bed.bedId,
      label: form.label.trim(),
      profile: { kind: "adult", spo2Scale: form.scale },
      demonstration: mayBeDemonstration && form.isDemonstration,
    });
    if (refused === null) location.hash = `#/bed/${encodeURIComponent(bed.bedId)}`;
    return refused;
  };
  const isPossible = given.bedId !== null || free.length > 0;
  return (
    <FormDialog
      state={state}
      view={view}
      title={
        given.bedId === null || bed === undefined ? say(language, "admitTitle") : say(language, "admitTo", { bed: bed.title })
      }
      does={say(language, "admit")}
      submit={isPossible ? submit : null}
      onClosed={onClosed}
    >
      {(trouble) =>
        isPossible ? (
          <AdmitFields
            language={language}
            form={form}
            onForm={(changed) => setForm({ ...form, ...changed })}
            free={given.bedId === null ? free : null}
            mayBeDemonstration={mayBeDemonstration}
            trouble={trouble}
          />
        ) : (
          <p>{say(language, "noFreeBed")}</p>
        )
      }
    </FormDialog>
  );
}

function AdmitFields(props: {
  readonly language: Language;
  readonly form: AdmitForm;
  readonly onForm: (changed: Partial<AdmitForm>) => void;
  /** The beds to choose from; null where the bed is known. */
  readonly free: readonly BedView[] | null;
  readonly mayBeDemonstration: boolean;
  readonly trouble: (field: string) => string | null;
}) {
  const { language, form, onForm, free, mayBeDemonstration, trouble } = props;
  return (
    <>
      <TextField
        name="patientId"
        label={say(language, "patientNumber")}
        hint={say(language, "patientNumberHint")}
        trouble={trouble("patientId")}
        value={form.number}
        onValue={(number) => onForm({ number })}
        charactersMax={LIMITS.patientNumberCharactersMax.value}
        isScanned
      />
      <TextField
        name="label"
        label={say(language, "patientLabel")}
        hint={say(language, "patientLabelHint")}
        trouble={trouble("label")}
        value={form.label}
        onValue={(label) => onForm({ label })}
        charactersMax={LIMITS.patientLabelCharactersMax.value}
      />
      {free !== null && (
        <ChoiceField
          name="bedId"
          label={say(language, "bed")}
          trouble={trouble("bedId")}
          value={form.bed}
          onValue={(bed) => onForm({ bed })}
          choices={free.map((each) => ({ value: each.bedId, label: each.title }))}
          asks={say(language, "choose")}
        />
      )}
      <ScaleField language={language} value={form.scale} onValue={(scale) => onForm({ scale })} trouble={trouble("profile")} />
      {mayBeDemonstration && (
        <CheckField
          name="demonstration"
          label={say(language, "demonstrationField")}
          hint={say(language, "demonstrationHint")}
          checked={form.isDemonstration}
          onChecked={(isDemonstration) => onForm({ isDemonstration })}
        />
      )}
    </>
  );
}

/** Where everything is measured, nobody can be a demonstration. */
function isAnythingUnreal(ward: PictureView, bed: BedView | undefined): boolean {
  const isUnreal = bed !== undefined && unrealOrigins(bed).length > 0;
  return isUnreal || ward.unassigned.some((device) => device.origin !== "measured");
}

/** The scale of a patient's SpO2 in NEWS2. */
export function ScaleField(props: {
  readonly language: Language;
  readonly value: PatientProfile["spo2Scale"];
  readonly onValue: (value: PatientProfile["spo2Scale"]) => void;
  readonly trouble: string | null;
}) {
  const { language, value, onValue, trouble } = props;
  return (
    <ChoiceField
      name="profile"
      label={say(language, "spo2Scale")}
      hint={say(language, "scaleHint")}
      trouble={trouble}
      value={String(value)}
      onValue={(chosen) => onValue(chosen === "2" ? 2 : 1)}
      choices={[
        { value: "1", label: say(language, "scaleOption1") },
        { value: "2", label: say(language, "scaleOption2") },
      ]}
    />
  );
}
