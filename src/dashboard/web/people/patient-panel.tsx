import type { BedView } from "../../../core/stream.ts";
import { may } from "../state/may.ts";
import type { PageState, PageView } from "../state/page-state.ts";
import { say, type TextKey } from "../words/texts.ts";

interface Props {
  readonly state: PageState;
  readonly view: PageView;
  readonly bed: BedView;
}

/** What may be done about a patient, each with what it asks for. */
const DEEDS = [
  { dialog: "transfer", deed: "transfer", text: "transfer" },
  { dialog: "correct", deed: "correct-patient", text: "correct" },
  { dialog: "profile", deed: "set-profile", text: "profile" },
  { dialog: "merge", deed: "merge", text: "merge" },
  { dialog: "discharge", deed: "discharge", text: "discharge" },
] as const satisfies readonly { readonly text: TextKey; readonly [name: string]: string }[];

/** Who lies in a bed, and what may be done about them. */
export function PatientPanel({ state, view, bed }: Props) {
  const { language, session } = view;
  const { patient } = bed;
  if (patient === null) return null;
  const { patientId, formerNumbers } = patient;
  return (
    <section class="panel patient" data-testid="patient">
      <h2>{say(language, "patient")}</h2>
      <p class="patient__number">
        <b>{patient.label}</b> <span data-testid="patient-number">{patientId}</span>
        {formerNumbers.length > 0 && (
          <span class="patient__former">{say(language, "formerNumbers", { numbers: formerNumbers.join(", ") })}</span>
        )}
      </p>
      <div class="patient__deeds">
        {DEEDS.filter(({ deed }) => may(session, deed)).map(({ dialog, text }) => (
          <button key={dialog} type="button" class="button" onClick={() => state.openDialog({ kind: dialog, patientId })}>
            {say(language, text)}
          </button>
        ))}
      </div>
    </section>
  );
}

/** The button that admits somebody to a free bed, for whoever may. */
export function AdmitButton({ state, view, bed }: Props) {
  if (bed.patient !== null || !may(view.session, "admit")) return null;
  return (
    <button
      type="button"
      class="button"
      data-testid="admit"
      aria-label={say(view.language, "admitTo", { bed: bed.title })}
      onClick={() => state.openDialog({ kind: "admit", bedId: bed.bedId, patientId: "" })}
    >
      {say(view.language, "admit")}
    </button>
  );
}
