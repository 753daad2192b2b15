import type { Act, ActMessage, Deed } from "../core/act.ts";
import { type PatientId, type Seq, seq } from "../core/ids.ts";
import { LIMITS } from "../core/limits.ts";
import type { Journal } from "../core/ports.ts";
import { type Hl7Time, parseHl7Time } from "../wire/hl7.ts";

/** An act that came of a message. */
export interface MessageAct {
  readonly seq: Seq;
  readonly deed: Deed;
  readonly message: ActMessage;
}

/** What messages have done so far: nothing but what the journal's acts say of it. */
export interface MessageHistory {
  readonly note: (act: MessageAct) => void;
  /** A message had nothing to change; known until the end of this life only. `afterSeq`: what made it so is on disk with this number. */
  readonly noteNothing: (identity: string, afterSeq: Seq) => void;
  /** With which number all that a message did is on disk; null where it was not done, or not all of it. */
  readonly doneSeq: (identity: string) => Seq | null;
  /** When a message last admitted, moved, discharged or merged this patient, by its sender; null where none did or it did not say. */
  readonly lastMove: (id: PatientId) => Hl7Time | null;
  /** The sender's number of a stay, as the newest message since the act that began it said; null where none said. */
  readonly visitOf: (id: PatientId, admittedSeq: Seq) => string | null;
}

interface Done {
  readonly parts: ReadonlySet<number>;
  readonly lastSeq: Seq;
  readonly isWhole: boolean;
}

interface Move {
  readonly seq: Seq;
  readonly at: Hl7Time | null;
  readonly visit: string | null;
}

/** Begins with no message at all. */
function createMessageHistory(): MessageHistory {
  const messages = new Map<string, Done>();
  /** Apart from what was done: those of a whole hospital must not make this ward's own be forgotten. */
  const withoutAct = new Map<string, Seq>();
  const moves = new Map<PatientId, Move>();
  const move = (id: PatientId, next: Move) => put(moves, id, next, LIMITS.admissionsPatientsKnownMax.value);
  return {
    note: ({ seq: number, deed, message }) => {
      const parts = new Set([...(messages.get(message.identity)?.parts ?? []), message.part]);
      const done = { parts, lastSeq: number, isWhole: parts.size >= message.parts };
      put(messages, message.identity, done, LIMITS.admissionsMessagesKnownMax.value);
      const at = message.saidAt === null ? null : parseHl7Time(message.saidAt);
      if (deed.kind === "admit" || deed.kind === "transfer" || deed.kind === "discharge")
        move(deed.patientId, { seq: number, at, visit: message.visit ?? moves.get(deed.patientId)?.visit ?? null });
      if (deed.kind === "merge") {
        const visit = moves.get(deed.formerPatientId)?.visit ?? null;
        move(deed.patientId, { seq: number, at, visit });
        move(deed.formerPatientId, { seq: number, at, visit });
      }
    },
    noteNothing: (identity, afterSeq) => put(withoutAct, identity, afterSeq, LIMITS.admissionsMessagesKnownMax.value),
    doneSeq: (identity) => {
      const done = messages.get(identity);
      return done?.isWhole === true ? done.lastSeq : (withoutAct.get(identity) ?? null);
    },
    lastMove: (id) => moves.get(id)?.at ?? null,
    visitOf: (id, admittedSeq) => {
      const last = moves.get(id);
      return last === undefined || last.seq < admittedSeq ? null : last.visit;
    },
  };
}

/** Puts an entry behind all others and gives up the oldest beyond the bound. */
function put<Key, Value>(map: Map<Key, Value>, key: Key, value: Value, countMax: number): void {
  map.delete(key);
  map.set(key, value);
  const [oldest] = map.keys();
  if (map.size > countMax && oldest !== undefined) map.delete(oldest);
}

/** Reads what messages did before this start. */
export async function readMessageHistory(journal: Pick<Journal, "read">): Promise<MessageHistory> {
  const history = createMessageHistory();
  for (let afterSeq = seq(0); ; ) {
    const page = await journal.read({ afterSeq, limit: LIMITS.journalReadRecordsMax.value, kinds: ["act"] });
    for (const record of page) if (isOfMessage(record)) history.note(record);
    const last = page.at(-1);
    if (last === undefined) return history;
    afterSeq = last.seq;
  }
}

function isOfMessage(record: { readonly kind: string }): record is Act & MessageAct {
  return record.kind === "act" && "message" in record && record.message !== undefined;
}
