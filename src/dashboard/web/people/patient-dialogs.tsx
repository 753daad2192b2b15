import { useState } from "preact/hooks";
import { bedId, type DeviceId, patientId } from "../../../core/ids.ts";
import { LIMITS } from "../../../core/limits.ts";
import type { DeviceView } from "../../../core/stream.ts";
import type { RefusalWords } from "../words/refusal.ts";
import { type Language, say } from "../words/texts.ts";
import { ScaleField } from "./admit-dialog.tsx";
import { CheckField, ChoiceField, FormDialog, firstTrouble, neededTrouble, TextField } from "./form.tsx";
import type { PatientProps } from "./people-dialogs.tsx";
import { withoutSymbology } from "./scan-meaning.ts";

/** The devices that are on the patient of a bed, wherever they stand. */
function devicesOf({ ward, patient }: Pick<PatientProps, "ward" | "patient">): readonly DeviceView[] {
  return ward.beds.flatMap((bed) => bed.devices).filter((device) => device.patientId === patient.patientId);
}

function namesOf(language: Language, devices: readonly DeviceView[]): string {
  return devices.map((device) => device.title[language]).join(", ");
}

/** Moves a patient to a free bed, with those of their devices that go along. */
export function TransferDialog(props: PatientProps) {
  const { state, view, ward, bed, patient, onClosed } = props;
  const { language } = view;
  const [chosen, setChosen] = useState("");
  const [left, setLeft] = useState<ReadonlySet<DeviceId>>(new Set());
  const free = ward.beds.filter((each) => each.patient === null || (each === bed && chosen === bed.bedId));
  const devices = devicesOf(props);
  const submit = async (): Promise<RefusalWords | null> => {
    if (chosen === "") return { field: "bedId", text: say(language, "chooseOne") };
    // The move comes first: where it is refused, nobody has lost a device. Tried again after it, what is left is done.
    const { patientId: moved } = patient;
    const isThere = bed.bedId === chosen;
    const refused = isThere ? null : await state.attempt({ kind: "transfer", patientId: moved, bedId: bedId(chosen) });
    if (refused !== null) return refused;
    for (const { deviceId } of devices) {
      const kept = left.has(deviceId) ? await state.attempt({ kind: "release", deviceId }) : null;
      if (kept !== null) return kept;
    }
    location.hash = `#/bed/${encodeURIComponent(chosen)}`;
    return null;
  };
  const choose = (deviceId: DeviceId, goes: boolean) => {
    const next = new Set(left);
    if (goes) next.delete(deviceId);
    else next.add(deviceId);
    setLeft(next);
  };
  return (
    <FormDialog
      state={state}
      view={view}
      title={say(language, "transferTitle", { patient: patient.label })}
      does={say(language, "transferDo")}
      submit={free.length === 0 ? null : submit}
      onClosed={onClosed}
    >
      {(trouble) =>
        free.length === 0 ? (
          <p>{say(language, "noFreeBed")}</p>
        ) : (
          <>
            <ChoiceField
              name="bedId"
              label={say(language, "transferTo")}
              trouble={trouble("bedId")}
              value={chosen}
              onValue={setChosen}
              choices={free.map((each) => ({ value: each.bedId, label: each.title }))}
              asks={say(language, "choose")}
            />
            <DevicesThatGo language={language} devices={devices} left={left} choose={choose} />
          </>
        )
      }
    </FormDialog>
  );
}

function DevicesThatGo(props: {
  readonly language: Language;
  readonly devices: readonly DeviceView[];
  readonly left: ReadonlySet<DeviceId>;
  readonly choose: (deviceId: DeviceId, goes: boolean) => void;
}) {
  const { language, devices, left, choose } = props;
  if (devices.length === 0) return null;
  return (
    <fieldset class="form__group">
      <legend>{say(language, "transferDevices")}</legend>
      {devices.map((device) => (
        <CheckField
          key={device.deviceId}
          name={`goes-${device.deviceId}`}
          label={device.title[language]}
          checked={!left.has(device.deviceId)}
          onChecked={(goes) => choose(device.deviceId, goes)}
        />
      ))}
      <p class="field__hint">{say(language, "transferDevicesHint")}</p>
    </fieldset>
  );
}

/** Asks once more before somebody is no longer watched. */
export function DischargeDialog(props: PatientProps) {
  const { state, view, bed, patient, onClosed } = props;
  const { language } = view;
  const devices = devicesOf(props);
  return (
    <FormDialog
      state={state}
      view={view}
      title={say(language, "dischargeTitle", { patient: patient.label })}
      does={say(language, "dischargeDo")}
      submit={() => state.attempt({ kind: "discharge", patientId: patient.patientId })}
      onClosed={onClosed}
    >
      {() => (
        <>
          <p>{say(language, "dischargeNote", { bed: bed.title })}</p>
          <p data-testid="discharge-devices">
            {devices.length === 0
              ? say(language, "dischargeNoDevices")
              : say(language, "dischargeDevices", { devices: namesOf(language, devices) })}
          </p>
        </>
      )}
    </FormDialog>
  );
}

/** Corrects what is shown on the wall. */
export function CorrectDialog({ state, view, patient, onClosed }: PatientProps) {
  const { language } = view;
  const [label, setLabel] = useState(patient.label);
  const submit = async () =>
    neededTrouble(language, "label", label) ??
    (await state.attempt({ kind: "correct-patient", patientId: patient.patientId, label: label.trim() }));
  return (
    <FormDialog
      state={state}
      view={view}
      title={say(language, "correctTitle")}
      does={say(language, "save")}
      submit={submit}
      onClosed={onClosed}
    >
      {(trouble) => (
        <TextField
          name="label"
          label={say(language, "patientLabel")}
          hint={say(language, "patientLabelHint")}
          trouble={trouble("label")}
          value={label}
          onValue={setLabel}
          charactersMax={LIMITS.patientLabelCharactersMax.value}
        />
      )}
    </FormDialog>
  );
}

/** Chooses the scale of SpO2 in NEWS2. */
export function ProfileDialog({ state, view, patient, onClosed }: PatientProps) {
  const { language } = view;
  const [scale, setScale] = useState(patient.profile.spo2Scale);
  const profile = { ...patient.profile, spo2Scale: scale };
  return (
    <FormDialog
      state={state}
      view={view}
      title={say(language, "profileTitle", { patient: patient.label })}
      does={say(language, "save")}
      submit={() => state.attempt({ kind: "set-profile", patientId: patient.patientId, profile })}
      onClosed={onClosed}
    >
      {(trouble) => <ScaleField language={language} value={scale} onValue={setScale} trouble={trouble("profile")} />}
    </FormDialog>
  );
}

/** Makes one patient of two numbers. */
export function MergeDialog({ state, view, ward, patient, onClosed }: PatientProps) {
  const { language } = view;
  const [other, setOther] = useState("");
  const [right, setRight] = useState<"this" | "other">("other");
  const given = withoutSymbology(other.trim());
  const otherBed = ward.beds.find((each) => each.patient?.patientId === given);
  const [stays, former] = right === "this" ? [patient.patientId, given] : [given, patient.patientId];
  const submit = async () =>
    firstTrouble(neededTrouble(language, "otherPatientId", other)) ??
    (await state.attempt({ kind: "merge", patientId: patientId(stays), formerPatientId: patientId(former) }));
  const others = ward.beds.flatMap((each) =>
    each.patient === null || each.patient.patientId === patient.patientId
      ? []
      : [{ value: each.patient.patientId, label: `${each.title} · ${each.patient.label}` }],
  );
  return (
    <FormDialog
      state={state}
      view={view}
      title={say(language, "mergeTitle")}
      does={say(language, "mergeDo")}
      submit={submit}
      onClosed={onClosed}
    >
      {(trouble) => (
        <>
          <TextField
            name="otherPatientId"
            label={say(language, "mergeOther")}
            hint={say(language, "patientNumberHint")}
            trouble={trouble("otherPatientId")}
            value={other}
            onValue={setOther}
            charactersMax={LIMITS.patientNumberCharactersMax.value}
            choices={others}
            isScanned
          />
          <ChoiceField
            name="right"
            label={say(language, "mergeRight")}
            trouble={null}
            value={right}
            onValue={(chosen) => setRight(chosen === "this" ? "this" : "other")}
            choices={[
              { value: "other", label: given === "" ? say(language, "mergeOther") : given },
              { value: "this", label: patient.patientId },
            ]}
          />
          {given !== "" && <p data-testid="merge-note">{say(language, "mergeNote", { former, stays })}</p>}
          {given !== "" && otherBed !== undefined && <p>{say(language, "mergeBoth")}</p>}
        </>
      )}
    </FormDialog>
  );
}
