import type { Alert } from "../../../core/alert.ts";
import { alertText } from "../../../core/alert-text.ts";
import { may } from "../state/may.ts";
import type { PageState, PageView } from "../state/page-state.ts";
import { say } from "../words/texts.ts";

/** The answers to "is it still on this patient?", for whoever may give them; nothing for other alerts. */
export function StillOnPatient(props: { readonly state: PageState; readonly view: PageView; readonly alert: Alert }) {
  const { state, view, alert } = props;
  const { language, session, ward } = view;
  const { deviceId, patientId } = alert.subject;
  if (alert.evidence.kind !== "still-on-patient" || deviceId === null || patientId === null) return null;
  if (!may(session, "confirm-assignment")) return null;
  const patient = ward?.beds.find((bed) => bed.patient?.patientId === patientId)?.patient;
  const confirm = () => void state.perform({ kind: "confirm-assignment", deviceId, patientId });
  return (
    // biome-ignore lint/a11y/useSemanticElements: a fieldset has a frame of its own, and these are no fields of a form.
    <div class="answers" role="group" aria-label={alertText(alert, language)}>
      <button type="button" class="button button--strong" data-testid="still-yes" onClick={confirm}>
        {say(language, "stillOnYes", { patient: patient?.label ?? patientId })}
      </button>
      <button
        type="button"
        class="button"
        data-testid="still-another"
        onClick={() => state.openDialog({ kind: "assign", deviceId, patientId: null })}
      >
        {say(language, "stillOnAnother")}
      </button>
      <button
        type="button"
        class="button"
        data-testid="still-nobody"
        onClick={() => state.openDialog({ kind: "release", deviceId })}
      >
        {say(language, "stillOnNobody")}
      </button>
    </div>
  );
}
