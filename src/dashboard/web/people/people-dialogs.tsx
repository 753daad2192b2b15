import { useEffect } from "preact/hooks";
import type { PatientId } from "../../../core/ids.ts";
import type { BedView, PictureView } from "../../../core/stream.ts";
import type { PageState, PageView } from "../state/page-state.ts";
import { AdmitDialog } from "./admit-dialog.tsx";
import { AssignDialog, ReleaseDialog } from "./device-dialogs.tsx";
import { LimitDialog } from "./limit-dialog.tsx";
import { CorrectDialog, DischargeDialog, MergeDialog, ProfileDialog, TransferDialog } from "./patient-dialogs.tsx";
import type { PeopleDialog } from "./people-dialog.ts";

/** What the dialogs about patients work with. */
export interface DialogProps {
  readonly state: PageState;
  readonly view: PageView;
  readonly ward: PictureView;
  readonly onClosed: () => void;
}

/** A dialog about one patient who lies in a bed. */
export interface PatientProps extends DialogProps {
  readonly bed: BedView;
  readonly patient: NonNullable<BedView["patient"]>;
}

/** The open dialog about patients and what is on them; it goes by itself when its patient is not here any more. */
export function PeopleDialogs(props: { readonly state: PageState; readonly view: PageView; readonly dialog: PeopleDialog }) {
  const { state, view, dialog } = props;
  const { ward } = view;
  if (ward === null) return null;
  const common = { state, view, ward, onClosed: () => state.openDialog("none") };
  switch (dialog.kind) {
    case "admit":
      return <AdmitDialog {...common} key={dialog.patientId} given={dialog} />;
    case "assign":
      return <AssignDialog {...common} key={dialog.deviceId} given={dialog} />;
    case "release":
      return <ReleaseDialog {...common} deviceId={dialog.deviceId} />;
    case "transfer":
    case "discharge":
    case "correct":
    case "merge":
    case "profile":
    case "limit":
      return <PatientDialog {...common} dialog={dialog} />;
  }
}

/** Takes a dialog away whose patient or device is not there any more, so that it does not come back with them. */
export function Gone({ onClosed }: { readonly onClosed: () => void }) {
  useEffect(onClosed, []);
  return null;
}

function PatientDialog({
  dialog,
  ...common
}: DialogProps & { readonly dialog: Extract<PeopleDialog, { patientId: PatientId }> }) {
  const bed = common.ward.beds.find((each) => each.patient?.patientId === dialog.patientId);
  if (bed?.patient == null) return <Gone onClosed={common.onClosed} />;
  const props = { ...common, bed, patient: bed.patient };
  switch (dialog.kind) {
    case "transfer":
      return <TransferDialog {...props} />;
    case "discharge":
      return <DischargeDialog {...props} />;
    case "correct":
      return <CorrectDialog {...props} />;
    case "merge":
      return <MergeDialog {...props} />;
    case "profile":
      return <ProfileDialog {...props} />;
    case "limit":
      return <LimitDialog {...props} quantity={dialog.quantity} />;
  }
}
