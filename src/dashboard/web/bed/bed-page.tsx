import { useEffect, useState } from "preact/hooks";
import type { Consciousness } from "../../../core/act.ts";
import type { BedView, EntryView, PictureView } from "../../../core/stream.ts";
import { AlertRow } from "../alerts/alert-row.tsx";
import { NudgePanel } from "../demonstration/nudge-panel.tsx";
import { BedEvents } from "../past/bed-events.tsx";
import { BedDevices } from "../people/bed-devices.tsx";
import { LimitsPanel } from "../people/limits-panel.tsx";
import { NotesPanel } from "../people/notes-panel.tsx";
import { AdmitButton, PatientPanel } from "../people/patient-panel.tsx";
import { may } from "../state/may.ts";
import type { PageState, PageView } from "../state/page-state.ts";
import { alertsOfBed, sortAlerts } from "../state/ward.ts";
import { type Language, say } from "../words/texts.ts";
import { ageText } from "../words/words.ts";
import { BedNumbers } from "./number-box.tsx";
import { UnrealBand } from "./origin.tsx";
import { ScoreTable } from "./score-badge.tsx";
import { Trends } from "./trend-chart.tsx";
import { WaveCanvas } from "./wave-canvas.tsx";

interface Props {
  readonly state: PageState;
  readonly view: PageView;
  readonly bed: BedView;
}

/** One bed: waves and numbers, trends, the score's parts, alerts, and what a person enters. */
export function BedPage({
  state,
  view,
  ward,
  bedId,
}: Omit<Props, "bed"> & { readonly ward: PictureView; readonly bedId: string }) {
  const bed = ward.beds.find((one) => one.bedId === bedId);
  if (bed === undefined) {
    return (
      <main class="sheet">
        <h1>{say(view.language, "unknownBed")}</h1>
        <a href="#/">{say(view.language, "back")}</a>
      </main>
    );
  }
  const alerts = sortAlerts(alertsOfBed(ward.alerts, bed));
  return (
    <main class="bed" data-bed={bed.bedId}>
      <header class="bed__head">
        <a class="button button--quiet" href="#/">
          ← {say(view.language, "back")}
        </a>
        <h1>{bed.title}</h1>
        {bed.patient !== null && <span class="tile__patient">{bed.patient.label}</span>}
        {bed.patient !== null && (
          <span class="tag tag--scale">{say(view.language, bed.patient.profile.spo2Scale === 2 ? "scale2" : "scale1")}</span>
        )}
      </header>
      <UnrealBand language={view.language} bed={bed} />
      {alerts.length > 0 && (
        <ul class="alerts alerts--wide bed__alerts">
          {alerts.map((alert) => (
            <AlertRow key={alert.id} state={state} view={view} alert={alert} withBed={false} withRemedy />
          ))}
        </ul>
      )}
      <div class="bed__live">
        <Waves state={state} view={view} />
        {bed.patient === null ? (
          <div class="tile__empty">
            <p>{say(view.language, "noPatient")}</p>
            <AdmitButton state={state} view={view} bed={bed} />
          </div>
        ) : (
          <BedNumbers view={view} bed={bed} />
        )}
      </div>
      {view.session?.demonstration === true && <NudgePanel state={state} view={view} bed={bed} />}
      <div class="bed__panels">
        <section class="panel">
          <h2>{say(view.language, "score")}</h2>
          {bed.answers.length === 0 && <p class="score__partial">{say(view.language, "noScoreYet")}</p>}
          {bed.answers.map((answer) => (
            <ScoreTable key={answer.modelId} view={view} answer={answer} />
          ))}
        </section>
        {bed.patient !== null && may(view.session, "enter-oxygen") && <Entries state={state} view={view} bed={bed} />}
        <BedDevices state={state} view={view} bed={bed} />
        <PatientPanel state={state} view={view} bed={bed} />
        {bed.patient !== null && <NotesPanel key={bed.patient.patientId} state={state} view={view} patient={bed.patient} />}
      </div>
      <Trends state={state} view={view} bed={bed} />
      {bed.patient !== null && <BedEvents state={state} view={view} patientId={bed.patient.patientId} />}
      {bed.patient !== null && <LimitsPanel state={state} view={view} patient={bed.patient} bed={bed} />}
    </main>
  );
}

function Waves({ state, view }: Omit<Props, "bed">) {
  // Waves come and go outside of the view's changes; twice a second is soon enough to notice.
  const [, setTurn] = useState(0);
  useEffect(() => {
    const timer = state.clock.every(500, () => setTurn((turn) => turn + 1));
    return () => timer.stop();
  }, []);
  const waves = state.waves();
  return (
    <section class="waves" aria-label={say(view.language, "waves")}>
      {waves.length === 0 && <p class="waves__none">{say(view.language, "noWaves")}</p>}
      {waves.map((wave) => (
        <WaveCanvas key={wave.key} state={state} view={view} wave={wave} />
      ))}
    </section>
  );
}

const levels = ["A", "C", "V", "P", "U"] as const satisfies readonly Consciousness[];

function Entries({ state, view, bed }: Props) {
  const { language } = view;
  const patient = bed.patient;
  if (patient === null) return null;
  const { patientId, consciousness, onOxygen } = patient;
  const known = <Value,>(entry: EntryView<Value> | null): Value | null =>
    entry !== null && entry.expiresAtMs > view.nowMs ? entry.value : null;
  return (
    <section class="panel entries" data-testid="entries">
      <h2>{say(language, "enterTitle")}</h2>
      <h3>{say(language, "input.consciousness")}</h3>
      <fieldset class="choices" aria-label={say(language, "input.consciousness")}>
        {levels.map((level) => (
          <button
            key={level}
            type="button"
            class="choice-button"
            aria-pressed={known(consciousness) === level}
            onClick={() => void state.perform({ kind: "enter-consciousness", patientId, consciousness: level })}
          >
            <b>{level}</b> {say(language, `acvpu.${level}`)}
          </button>
        ))}
      </fieldset>
      <EntryAge language={language} entry={consciousness} nowMs={view.nowMs} />
      <h3>{say(language, "input.onOxygen")}</h3>
      <fieldset class="choices" aria-label={say(language, "input.onOxygen")}>
        {[false, true].map((oxygen) => (
          <button
            key={String(oxygen)}
            type="button"
            class="choice-button"
            aria-pressed={known(onOxygen) === oxygen}
            onClick={() => void state.perform({ kind: "enter-oxygen", patientId, onOxygen: oxygen })}
          >
            {say(language, oxygen ? "oxygen" : "air")}
          </button>
        ))}
      </fieldset>
      <EntryAge language={language} entry={onOxygen} nowMs={view.nowMs} />
    </section>
  );
}

function EntryAge(props: { readonly language: Language; readonly entry: EntryView<unknown> | null; readonly nowMs: number }) {
  const { language, entry, nowMs } = props;
  if (entry === null) return <p class="entry-age entry-age--none">{say(language, "notEntered")}</p>;
  if (entry.expiresAtMs <= nowMs) return <p class="entry-age entry-age--none">{say(language, "enteredExpired")}</p>;
  const facts = { age: ageText(language, nowMs - entry.enteredAtMs), rest: ageText(language, entry.expiresAtMs - nowMs) };
  return <p class="entry-age">{say(language, "enteredAgo", facts)}</p>;
}
