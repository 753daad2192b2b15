import { useState } from "preact/hooks";
import { type DeviceId, deviceId, patientId } from "../../../core/ids.ts";
import type { BedView, DeviceView, PictureView } from "../../../core/stream.ts";
import type { PageView } from "../state/page-state.ts";
import type { RefusalWords } from "../words/refusal.ts";
import { say } from "../words/texts.ts";
import { ChoiceField, FormDialog, firstTrouble } from "./form.tsx";
import type { PeopleDialog } from "./people-dialog.ts";
import { type DialogProps, Gone } from "./people-dialogs.tsx";

/** Every device of a picture once, those on nobody first. */
function allDevices(ward: PictureView): readonly DeviceView[] {
  const known = new Map<DeviceId, DeviceView>();
  for (const device of [...ward.unassigned, ...ward.beds.flatMap((bed) => bed.devices)])
    if (!known.has(device.deviceId)) known.set(device.deviceId, device);
  return [...known.values()];
}

/** The bed of the patient that a device is on; undefined where it is on nobody. */
function bedOfDevice(ward: PictureView, device: DeviceView): BedView | undefined {
  return device.patientId === null ? undefined : ward.beds.find((bed) => bed.patient?.patientId === device.patientId);
}

/** Puts a device on a patient; one that is on somebody else is taken off there first, which is said. */
export function AssignDialog(props: DialogProps & { readonly given: Extract<PeopleDialog, { kind: "assign" }> }) {
  const { state, view, ward, given, onClosed } = props;
  const { language } = view;
  const [chosenDevice, setDevice] = useState<string>(given.deviceId ?? "");
  const [chosenPatient, setPatient] = useState<string>(given.patientId ?? "");
  const device = allDevices(ward).find((each) => each.deviceId === chosenDevice);
  const bed = ward.beds.find((each) => each.patient?.patientId === chosenPatient);
  const before = device === undefined ? undefined : bedOfDevice(ward, device);
  const submit = async (): Promise<RefusalWords | null> => {
    const wrong = firstTrouble(
      chosenDevice === "" ? { field: "deviceId", text: say(language, "chooseOne") } : null,
      chosenPatient === "" ? { field: "patientId", text: say(language, "chooseOne") } : null,
    );
    if (wrong !== null) return wrong;
    if (before !== undefined) {
      const refused = await state.attempt({ kind: "release", deviceId: deviceId(chosenDevice) });
      if (refused !== null) return refused;
    }
    return state.attempt({ kind: "assign", deviceId: deviceId(chosenDevice), patientId: patientId(chosenPatient) });
  };
  const isKnown = given.deviceId !== null && given.patientId !== null && device !== undefined && bed?.patient != null;
  const isPossible = given.deviceId !== null || ward.unassigned.length > 0;
  return (
    <FormDialog
      state={state}
      view={view}
      title={
        isKnown
          ? say(language, "assignThis", { device: device.title[language], patient: bed.patient.label })
          : say(language, "assignTitle")
      }
      does={say(language, "assignDo")}
      submit={isPossible ? submit : null}
      onClosed={onClosed}
    >
      {(trouble) =>
        isPossible ? (
          <>
            {given.deviceId === null && (
              <DeviceField view={view} ward={ward} value={chosenDevice} onValue={setDevice} trouble={trouble("deviceId")} />
            )}
            {given.deviceId !== null && !isKnown && <p class="form__about">{device === undefined ? "" : nameOf(view, device)}</p>}
            {given.patientId === null && (
              <PatientField view={view} ward={ward} value={chosenPatient} onValue={setPatient} trouble={trouble("patientId")} />
            )}
            {before?.patient != null && before.patient.patientId !== chosenPatient && (
              <p class="dialog__remedy" data-testid="assigned-elsewhere">
                {say(language, "assignFrom", { patient: before.patient.label, bed: before.title })}
              </p>
            )}
            <p>{say(language, "assignNote")}</p>
          </>
        ) : (
          <p>{say(language, "noFreeDevice")}</p>
        )
      }
    </FormDialog>
  );
}

interface ChooseProps {
  readonly view: PageView;
  readonly ward: PictureView;
  readonly value: string;
  readonly onValue: (value: string) => void;
  readonly trouble: string | null;
}

function nameOf({ language }: PageView, device: DeviceView): string {
  return `${device.title[language]} · ${device.deviceId}`;
}

/** Chooses among the devices that are on nobody. */
function DeviceField({ view, ward, value, onValue, trouble }: ChooseProps) {
  return (
    <ChoiceField
      name="deviceId"
      label={say(view.language, "device")}
      trouble={trouble}
      value={value}
      onValue={onValue}
      choices={ward.unassigned.map((each) => ({ value: each.deviceId, label: nameOf(view, each) }))}
      asks={say(view.language, "choose")}
    />
  );
}

/** Chooses among the patients who are here. */
function PatientField({ view, ward, value, onValue, trouble }: ChooseProps) {
  return (
    <ChoiceField
      name="patientId"
      label={say(view.language, "patient")}
      trouble={trouble}
      value={value}
      onValue={onValue}
      choices={ward.beds.flatMap((each) =>
        each.patient === null ? [] : [{ value: each.patient.patientId, label: `${each.title} · ${each.patient.label}` }],
      )}
      asks={say(view.language, "choose")}
    />
  );
}

/** Takes a device off its patient. */
export function ReleaseDialog(props: DialogProps & { readonly deviceId: DeviceId }) {
  const { state, view, ward, onClosed } = props;
  const { language } = view;
  const device = allDevices(ward).find((each) => each.deviceId === props.deviceId);
  const bed = device === undefined ? undefined : bedOfDevice(ward, device);
  if (device === undefined || bed?.patient == null) return <Gone onClosed={onClosed} />;
  return (
    <FormDialog
      state={state}
      view={view}
      title={say(language, "releaseTitle", { device: device.title[language], patient: bed.patient.label })}
      does={say(language, "releaseDo")}
      submit={() => state.attempt({ kind: "release", deviceId: device.deviceId })}
      onClosed={onClosed}
    >
      {() => <p>{say(language, "releaseNote")}</p>}
    </FormDialog>
  );
}
