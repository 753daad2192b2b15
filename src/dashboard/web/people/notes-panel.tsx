import { useEffect, useState } from "preact/hooks";
import { LIMITS } from "../../../core/limits.ts";
import type { BedView, NoteView } from "../../../core/stream.ts";
import { may, maySee } from "../state/may.ts";
import type { PageState, PageView } from "../state/page-state.ts";
import { say } from "../words/texts.ts";
import { LinesField, neededTrouble } from "./form.tsx";
import { minuteText } from "./limit-words.ts";
import { askNotes } from "./people-door.ts";

interface Props {
  readonly state: PageState;
  readonly view: PageView;
  readonly patient: NonNullable<BedView["patient"]>;
}

/** What staff wrote of a patient, newest first, and the way to write more. */
export function NotesPanel({ state, view, patient }: Props) {
  const { language } = view;
  const { patientId, noteCount, lastNote } = patient;
  const [notes, setNotes] = useState<readonly NoteView[] | "failed" | null>(null);
  const mayRead = maySee(view.session, "GET /api/notes");
  useEffect(() => {
    if (!mayRead || view.feed.stale) return undefined;
    let isWanted = true;
    void askNotes(patientId).then((answer) => {
      if (isWanted) setNotes(answer.ok ? answer.value : "failed");
    });
    return () => {
      isWanted = false;
    };
  }, [mayRead, patientId, noteCount, lastNote?.atMs, view.feed.stale]);
  if (!mayRead) return null;
  const shown = notes === null || notes === "failed" ? [] : notes.toReversed();
  return (
    <section class="panel notes" data-testid="notes">
      <h2>{say(language, "notes")}</h2>
      {may(view.session, "note") && <NoteForm state={state} view={view} patient={patient} />}
      {notes === null && <p>{say(language, "loading")}</p>}
      {notes === "failed" && <p class="field__trouble">{say(language, "noteFailed")}</p>}
      {notes !== null && notes !== "failed" && shown.length === 0 && <p class="notes__none">{say(language, "noteNone")}</p>}
      <ol class="notes__list">
        {shown.map((note) => (
          <li key={`${note.atMs} ${note.by} ${note.text}`} class="note">
            <p class="note__by">
              <b>{note.by}</b> {minuteText(language, note.atMs, view.nowMs)}
            </p>
            <p class="note__text">{note.text}</p>
          </li>
        ))}
      </ol>
      {shown.length >= LIMITS.notesKeptMax.value && <p class="field__hint">{say(language, "noteNewest", { n: shown.length })}</p>}
    </section>
  );
}

function NoteForm({ state, view, patient }: Props) {
  const { language } = view;
  const [text, setText] = useState("");
  const [trouble, setTrouble] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  const charactersMax = LIMITS.noteCharactersMax.value;
  const send = async (event: SubmitEvent) => {
    event.preventDefault();
    if (busy) return;
    setBusy(true);
    const refused =
      neededTrouble(language, "text", text) ??
      (await state.attempt({ kind: "note", patientId: patient.patientId, text: text.trim() }));
    setBusy(false);
    setTrouble(refused?.text ?? null);
    if (refused === null) setText("");
  };
  return (
    <form class="form" noValidate onSubmit={(event) => void send(event)}>
      <LinesField
        name="note"
        label={say(language, "noteNew")}
        hint={say(language, "charactersLeft", { n: charactersMax - text.length })}
        trouble={trouble}
        value={text}
        onValue={setText}
        charactersMax={charactersMax}
      />
      <button type="submit" class="button" aria-disabled={busy}>
        {say(language, "noteAdd")}
      </button>
    </form>
  );
}
