import { useState } from "preact/hooks";
import type { PatientProfile } from "../../../core/act.ts";
import { bedId, patientId } from "../../../core/ids.ts";
import { LIMITS } from "../../../core/limits.ts";
import type { BedView, PictureView } from "../../../core/stream.ts";
import { unrealOrigins } from "../state/ward.ts";
import { type Language, say } from "../words/texts.ts";
import { CheckField, ChoiceField, FormDialog, firstTrouble, neededTrouble, type Submit, TextField } from "./form.tsx";
import type { PeopleDialog } from "./people-dialog.ts";
import type { DialogProps } from "./people-dialogs.tsx";
import { withoutSymbology } from "./scan-meaning.ts";

/** Admits a patient to a free bed. */
export function AdmitDialog(props: DialogProps & { readonly given: Extract<PeopleDialog, { kind: "admit" }> }) {
  const { state, view, ward, given, onClosed } = props;
  const { language } = view;
  const [number, setNumber] = useState(given.patientId);
  const [label, setLabel] = useState("");
  const [chosenBed, setChosenBed] = useState("");
  const [scale, setScale] = useState<PatientProfile["spo2Scale"]>(1);
  const [isDemonstration, setDemonstration] = useState(false);
  const free = ward.beds.filter((bed) => bed.patient === null);
  const fixed = given.bedId === null ? undefined : ward.beds.find((bed) => bed.bedId === given.bedId);
  const bed = fixed ?? free.find((each) => each.bedId === chosenBed);
  const mayBeDemonstration = isAnythingUnreal(ward, bed);
  const submit: Submit = async () => {
    const wrong = firstTrouble(
      neededTrouble(language, "patientId", number),
      neededTrouble(language, "label", label),
      bed === undefined ? { field: "bedId", text: say(language, "chooseOne") } : null,
    );
    if (wrong !== null || bed === undefined) return wrong;
    const refused = await state.attempt({
      kind: "admit",
      patientId: patientId(withoutSymbology(number.trim())),
      bedId: bedId(bed.bedId),
      label: label.trim(),
      profile: { kind: "adult", spo2Scale: scale },
      demonstration: mayBeDemonstration && isDemonstration,
    });
    if (refused === null) location.hash = `#/bed/${encodeURIComponent(bed.bedId)}`;
    return refused;
  };
  const isPossible = fixed !== undefined || free.length > 0;
  const title = fixed === undefined ? say(language, "admitTitle") : say(language, "admitTo", { bed: fixed.title });
  return (
    <FormDialog
      state={state}
      view={view}
      title={title}
      does={say(language, "admit")}
      submit={isPossible ? submit : null}
      onClosed={onClosed}
    >
      {(trouble) => (
        <>
          {!isPossible && <p>{say(language, "noFreeBed")}</p>}
          <TextField
            name="patientId"
            label={say(language, "patientNumber")}
            hint={say(language, "patientNumberHint")}
            trouble={trouble("patientId")}
            value={number}
            onValue={setNumber}
            charactersMax={LIMITS.patientNumberCharactersMax.value}
            isScanned
          />
          <TextField
            name="label"
            label={say(language, "patientLabel")}
            hint={say(language, "patientLabelHint")}
            trouble={trouble("label")}
            value={label}
            onValue={setLabel}
            charactersMax={LIMITS.patientLabelCharactersMax.value}
          />
          {fixed === undefined && isPossible && (
            <ChoiceField
              name="bedId"
              label={say(language, "bed")}
              trouble={trouble("bedId")}
              value={chosenBed}
              onValue={setChosenBed}
              choices={free.map((each) => ({ value: each.bedId, label: each.title }))}
              asks={say(language, "choose")}
            />
          )}
          <ScaleField language={language} value={scale} onValue={setScale} trouble={trouble("profile")} />
          {mayBeDemonstration && (
            <CheckField
              name="demonstration"
              label={say(language, "demonstrationField")}
              hint={say(language, "demonstrationHint")}
              checked={isDemonstration}
              onChecked={setDemonstration}
            />
          )}
        </>
      )}
    </FormDialog>
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
