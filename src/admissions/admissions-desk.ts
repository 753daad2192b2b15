import type { Subject } from "../core/alert.ts";
import { type Fault, fault } from "../core/errors.ts";
import { type BedId, type PatientId, type Seq, seq } from "../core/ids.ts";
import { LIMITS } from "../core/limits.ts";
import type { Actor, Journal, MllpArrival, MllpRefusal, PerformAct } from "../core/ports.ts";
import type { Clock, WallMs } from "../core/time.ts";
import { type CharacterSet, createTextWriter, decodeText, type TextWriter } from "../wire/character-set.ts";
import { type Hl7Delimiters, type Hl7Message, hl7Segment, hl7Text, parseHl7 } from "../wire/hl7.ts";
import { type ReadHl7, readHl7 } from "../wire/hl7-bytes.ts";
import { type AdmissionPlan, type AdmissionRefusal, meaningOf, planAdmission, type Stay } from "./admission-plan.ts";
import { type AdtMessage, type AdtProblem, type MessageHeader, readAdt, readHeader } from "./adt-message.ts";
import { type AnswerError, answerCodes, answerText, type Outcome } from "./answer.ts";
import type { MessageHistory } from "./message-history.ts";
import type { AdmissionsOptions } from "./options.ts";
import { createTroubles, type Troubles } from "./troubles.ts";

/** What the desk needs of the gateway. */
export interface DeskParts {
  readonly clock: Clock;
  readonly journal: Pick<Journal, "committedSeq" | "onCommit" | "read">;
  /** The one door. It must have made its record when it returns, before its promise is resolved. */
  readonly perform: PerformAct;
  /** Who lies where now. */
  readonly stays: () => ReadonlyMap<PatientId, Stay>;
  /** The last number given to any record. */
  readonly lastSeq: () => Seq;
  readonly setFault: (slot: string, fault: Fault | null, subject?: Subject) => void;
}

/** What has come so far. */
export interface DeskCounts {
  readonly receivedCount: number;
  /** Answered with AA or its like, those included that changed nothing. */
  readonly acceptedCount: number;
  /** Answered with AE: understood, and not done. */
  readonly refusedCount: number;
  /** Answered with AR, and stretches of bytes that were no message. */
  readonly unreadableCount: number;
  /** Came again after they were done. */
  readonly repeatedCount: number;
  readonly lastHeardAtMs: WallMs | null;
}

/** A message as far as it could be read: enough to answer it. */
interface Sender {
  readonly header: MessageHeader;
  readonly delimiters: Hl7Delimiters | null;
  readonly characterSet: CharacterSet;
  /** As MSH-18 said it. */
  readonly characterSetName: string;
}

/** A patient who had trouble here: the number of its places, and the message that was refused last. */
interface Troubled {
  readonly number: number;
  refused: string | null;
}

/** Who asks for something. */
interface RequestedBy {
  readonly header: MessageHeader;
  readonly address: string;
}

/** What became of a message, and with which number all that it did is on disk. */
interface Judged {
  readonly outcome: Outcome;
  readonly afterSeq: Seq;
}

const NOTHING_TO_WAIT_FOR = seq(0);
const USER_CHARACTERS_MAX = 64;
/** What the door calls the system when it does not name itself. */
const NAMELESS = "hl7";

/** Judges messages one by one, lets them act, and answers each when what it did is on disk. */
export class AdmissionsDesk {
  readonly #options: AdmissionsOptions;
  readonly #parts: DeskParts;
  readonly #history: MessageHistory;
  readonly #troubles: Troubles;
  /** Messages that are being done: one that comes again meanwhile waits for the same end. */
  readonly #underWay = new Map<string, Promise<Judged>>();
  readonly #writers = new Map<CharacterSet, TextWriter>();
  readonly #counts = { receivedCount: 0, acceptedCount: 0, refusedCount: 0, unreadableCount: 0, repeatedCount: 0 };
  /** Patients whose troubles were told, each under a number of its own. */
  readonly #troubled = new Map<PatientId, Troubled>();
  #troubledCount = 0;
  #answerCount = 0;
  #lastHeardMs: number;
  #lastHeardAtMs: WallMs | null = null;

  constructor(options: AdmissionsOptions, parts: DeskParts, history: MessageHistory) {
    this.#options = options;
    this.#parts = parts;
    this.#history = history;
    this.#troubles = createTroubles(parts);
    this.#lastHeardMs = parts.clock.monotonic();
    // Now, and not while a sender waits: one of them needs a table.
    this.#writers.set(options.characterSet, createTextWriter(options.characterSet));
  }

  readonly counts = (): DeskCounts => ({ ...this.#counts, lastHeardAtMs: this.#lastHeardAtMs });

  /** Takes one message and returns its answers when what it brought is on disk; none where nobody hears them any more. */
  readonly message = async (arrival: MllpArrival, stop: AbortSignal): Promise<readonly Uint8Array[]> => {
    this.#counts.receivedCount += 1;
    this.#lastHeardMs = this.#parts.clock.monotonic();
    this.#lastHeardAtMs = this.#parts.clock.wall();
    this.#troubles.clear("silent");
    const { sender, request } = this.#understand(arrival);
    const judged =
      "outcome" in request ? request : await this.#judge(request, { header: sender.header, address: arrival.address });
    if (judged.outcome.code === "AR") this.#tellUnreadable(judged.outcome.error.why, arrival.address);
    if (!(await this.#committed(judged.afterSeq, stop))) return [];
    this.#count(judged.outcome);
    return this.#answers(sender, judged.outcome);
  };

  /** Takes note of what was no message, or of somebody who may not connect. */
  readonly refused = (refusal: MllpRefusal): void => {
    const { address } = refusal;
    if (refusal.kind === "frame" || refusal.why === "slow-answer") {
      this.#counts.unreadableCount += 1;
      this.#tellUnreadable(refusal.kind === "frame" ? refusal.error.kind : refusal.why, address);
    } else this.#troubles.tell("stranger", fault("admissions-stranger", { address, why: refusal.why, cause: refusal.cause }));
  };

  /** To be called every few seconds. */
  readonly lookForSilence = (): void => {
    const minutesMax = this.#options.silenceMinutesMax;
    if (minutesMax === null || this.#parts.clock.monotonic() - this.#lastHeardMs < minutesMax * 60_000) return;
    this.#troubles.tell("silent", fault("admissions-silent", { minutes: minutesMax }));
  };

  /** Reads a message: what it asks for, or its end where there is nothing to be asked. */
  #understand(arrival: MllpArrival): { readonly sender: Sender; readonly request: AdtMessage | Judged } {
    const { characterSet: assumed, believeDeclaredCharacterSet: believesDeclared } = this.#options;
    try {
      const read = readHl7(arrival.bytes, { assumed, believesDeclared });
      if (!read.ok)
        return { sender: unreadSender(arrival.bytes), request: notUnderstood({ code: "207", why: read.error.kind, place: "" }) };
      const sender = senderOf(read.value);
      return { sender, request: this.#requestOf(read.value.message, sender.header) };
    } catch (error) {
      // A message that the code here cannot bear must not end the watching, and comes again and again.
      return { sender: unreadSender(arrival.bytes), request: this.#broken(error) };
    }
  }

  #requestOf(message: Hl7Message, header: MessageHeader): AdtMessage | Judged {
    const problem = headerProblem(header);
    if (problem !== null) return notUnderstood(problem);
    if (meaningOf(header.event) === "ignore") return accepted(`${header.event} changes nothing here`);
    const read = readAdt(message, this.#options);
    return read.ok ? read.value : this.#refuseIncomplete(header, read.error);
  }

  async #judge(adt: AdtMessage, by: RequestedBy): Promise<Judged> {
    const doneSeq = this.#history.doneSeq(adt.identity);
    const underWay = doneSeq === null ? this.#underWay.get(adt.identity) : accepted("was done before", doneSeq);
    if (underWay !== undefined) {
      this.#counts.repeatedCount += 1;
      return underWay;
    }
    const judging = this.#carryOut(adt, by);
    this.#underWay.set(adt.identity, judging);
    try {
      return await judging;
    } finally {
      this.#underWay.delete(adt.identity);
    }
  }

  async #carryOut(adt: AdtMessage, by: RequestedBy): Promise<Judged> {
    const planned = this.#plan(adt);
    if ("outcome" in planned) return planned;
    if (planned.kind === "refuse") return this.#refuse(adt, by.header, planned);
    this.#tellOf(adt, planned);
    if (planned.kind === "act") return this.#act(adt, by, planned);
    const afterSeq = planned.alreadySo ? this.#parts.lastSeq() : NOTHING_TO_WAIT_FOR;
    this.#history.noteNothing(adt.identity, afterSeq);
    return accepted(planned.text, afterSeq);
  }

  #plan(adt: AdtMessage): AdmissionPlan | Judged {
    const ward = { options: this.#options, history: this.#history, stays: this.#parts.stays(), now: this.#parts.clock.wall() };
    try {
      return planAdmission(adt, ward);
    } catch (error) {
      return this.#broken(error);
    }
  }

  #broken(error: unknown): Judged {
    const why = `failed: ${error instanceof Error ? error.name : "unknown"}`;
    this.#troubles.tell("broken", fault("admissions-refused", { why }));
    return {
      outcome: { code: "AE", text: "internal error", error: { code: "207", why: "failed", place: "" } },
      afterSeq: NOTHING_TO_WAIT_FOR,
    };
  }

  async #act(adt: AdtMessage, { header, address }: RequestedBy, plan: Extract<AdmissionPlan, { kind: "act" }>): Promise<Judged> {
    const userId = header.application.replace(/\p{Cc}/gu, "").slice(0, USER_CHARACTERS_MAX) || NAMELESS;
    const actor: Actor = { userId, from: "hl7", at: address, role: null };
    // All at once, before anything is waited for: what was planned still holds then.
    const performing = plan.deeds.map((deed, index) => {
      const { identity, event, saidAt, visit } = adt;
      const message = { identity, event, saidAt, visit, part: index + 1, parts: plan.deeds.length };
      return this.#parts.perform(deed, { ...actor, message }).then((result) => ({ deed, message, result }));
    });
    const performed = await Promise.all(performing);
    let afterSeq = NOTHING_TO_WAIT_FOR;
    for (const { deed, message, result } of performed) {
      if (!result.ok) continue;
      afterSeq = result.value.seq;
      this.#history.note({ seq: afterSeq, deed, message });
    }
    const failed = performed.find(({ result }) => !result.ok)?.result;
    if (failed === undefined || failed.ok) return accepted(plan.text, afterSeq);
    const why = String(failed.error.facts["why"] ?? failed.error.code);
    this.#tellRefused(adt, fault("admissions-refused", this.#facts(adt, header, why)), plan.bedId);
    return { outcome: { code: "AE", text: why, error: { code: "207", why, place: "" } }, afterSeq };
  }

  /** What a person should know beside what is done. A patient's trouble is over when a later message about the same patient fits. */
  #tellOf(adt: AdtMessage, plan: Exclude<AdmissionPlan, { kind: "refuse" }>): void {
    const moves = meaningOf(adt.event) !== "update";
    const known = this.#troubled.get(adt.patientId);
    if (known !== undefined && moves) {
      this.#troubles.clear(`refused:${known.number}`);
      known.refused = null;
    }
    if (known !== undefined && plan.differs === null && (moves || adt.place !== null))
      this.#troubles.clear(`differs:${known.number}`);
    if (plan.differs !== null) {
      const facts = { event: adt.event, said: adt.saidAt ?? "", bed: plan.differs.bedId, place: plan.differs.place };
      const { number } = this.#troubledAs(adt.patientId);
      this.#troubles.tell(`differs:${number}`, fault("admissions-differ", facts), plan.differs.bedId);
    }
    if (plan.kind === "act" && plan.isChild && plan.bedId !== null) {
      const { number } = this.#troubledAs(adt.patientId);
      this.#troubles.tell(`child:${number}`, fault("admissions-child", { bed: plan.bedId }), plan.bedId);
    }
  }

  /** A patient's troubles have places of their own, which do not name the patient. */
  #troubledAs(id: PatientId): Troubled {
    const known = this.#troubled.get(id);
    if (known !== undefined) return known;
    const [oldest] = this.#troubled.keys();
    if (this.#troubled.size >= LIMITS.admissionsTroublesMax.value && oldest !== undefined) this.#troubled.delete(oldest);
    this.#troubledCount += 1;
    const begun: Troubled = { number: this.#troubledCount, refused: null };
    this.#troubled.set(id, begun);
    return begun;
  }

  #refuse(adt: AdtMessage, header: MessageHeader, { why, bedId, place }: Extract<AdmissionPlan, { kind: "refuse" }>): Judged {
    const { text, code, at } = REFUSALS[why];
    const facts = {
      ...this.#facts(adt, header, why),
      ...(bedId === null ? {} : { bed: bedId }),
      ...(place === "" ? {} : { place }),
    };
    this.#tellRefused(adt, fault(why === "unknown-bed" ? "admissions-unknown-bed" : "admissions-refused", facts), bedId);
    return { outcome: { code: "AE", text, error: { code, why, place: at } }, afterSeq: NOTHING_TO_WAIT_FOR };
  }

  /** A refused message that comes again and again is told once: somebody may have seen it meanwhile. */
  #tellRefused(adt: AdtMessage, told: Fault, bedId: BedId | null): void {
    const troubled = this.#troubledAs(adt.patientId);
    if (troubled.refused === adt.identity) return;
    if (this.#troubles.tell(`refused:${troubled.number}`, told, bedId)) troubled.refused = adt.identity;
  }

  #refuseIncomplete(header: MessageHeader, { why, place }: AdtProblem): Judged {
    const facts = { event: header.event, from: header.application, why, field: place };
    this.#troubles.tell("incomplete", fault("admissions-refused", facts));
    const text = why.replaceAll("-", " ");
    const code = why === "patient-number-bad" ? "102" : "101";
    return { outcome: { code: "AE", text, error: { code, why, place } }, afterSeq: NOTHING_TO_WAIT_FOR };
  }

  /** A sender's own number of a message may hold a patient's number: time and event find it as well. */
  #facts(adt: AdtMessage, header: MessageHeader, why: string): Readonly<Record<string, string>> {
    return { event: adt.event, said: adt.saidAt ?? "", from: header.application, why };
  }

  #tellUnreadable(why: string, address: string): void {
    this.#troubles.tell(`unreadable:${address}`, fault("admissions-unreadable", { address, why }));
  }

  /** Waits until a number is on disk, however long the disk takes; false where the sender is gone before. */
  async #committed(number: Seq, stop: AbortSignal): Promise<boolean> {
    const { journal } = this.#parts;
    if (journal.committedSeq() < number && !stop.aborted)
      await new Promise<void>((resolve) => {
        const finish = () => {
          stopListening();
          stop.removeEventListener("abort", finish);
          resolve();
        };
        const stopListening = journal.onCommit((upTo) => {
          if (upTo >= number) finish();
        });
        stop.addEventListener("abort", finish);
      });
    return !stop.aborted && journal.committedSeq() >= number;
  }

  #count({ code }: Outcome): void {
    if (code === "AA") this.#counts.acceptedCount += 1;
    else if (code === "AE") this.#counts.refusedCount += 1;
    else this.#counts.unreadableCount += 1;
  }

  #answers(sender: Sender, outcome: Outcome): readonly Uint8Array[] {
    const writer = this.#writers.get(sender.characterSet) ?? createTextWriter(sender.characterSet);
    this.#writers.set(sender.characterSet, writer);
    const atMs = this.#parts.clock.wall();
    return answerCodes(sender.header, outcome.code).map((code) => {
      this.#answerCount += 1;
      const controlId = `V${atMs.toString(36)}-${this.#answerCount}`;
      return writer(answerText(sender, { code, outcome, controlId, atMs }));
    });
  }
}

/** What the sender is told of a refusal. */
interface RefusalWords {
  readonly text: string;
  readonly code: AnswerError["code"];
  readonly at: string;
}

const REFUSALS: Readonly<Record<AdmissionRefusal, RefusalWords>> = {
  "unknown-bed": { text: "the bed is not known to this gateway", code: "204", at: "PV1^1^3" },
  "bed-missing": { text: "the message names no bed", code: "101", at: "PV1^1^3" },
  "bed-occupied": { text: "another patient lies in this bed", code: "207", at: "PV1^1^3" },
  "place-differs": { text: "the patient lies in another place here", code: "207", at: "PV1^1^3" },
  "older-than-last": { text: "older than what was done last for this patient", code: "207", at: "EVN^1^2" },
  "two-beds": { text: "both numbers lie in beds of this gateway", code: "207", at: "MRG^1^1" },
  "swap-by-hand": { text: "a swap is done by hand at the beds", code: "201", at: "MSH^1^9" },
};

function accepted(text: string, afterSeq: Seq = NOTHING_TO_WAIT_FOR): Judged {
  return { outcome: { code: "AA", text }, afterSeq };
}

function notUnderstood(error: AnswerError): Judged {
  return { outcome: { code: "AR", text: error.why.replaceAll("-", " "), error }, afterSeq: NOTHING_TO_WAIT_FOR };
}

/** What no admission message may lack. A message of a test (MSH-11 is not P) must never admit anybody. */
function headerProblem(header: MessageHeader): AnswerError | null {
  const { type, event, controlId, processing, version } = header;
  if (controlId === "") return { code: "101", why: "control-id-missing", place: "MSH^1^10" };
  if (type !== "ADT") return { code: "200", why: "no-admission-message", place: "MSH^1^9" };
  if (processing !== "P") return { code: "202", why: "not-for-production", place: "MSH^1^11" };
  if (!/^2(\.|$)/.test(version)) return { code: "203", why: "version-not-2", place: "MSH^1^12" };
  return meaningOf(event) === "unknown" ? { code: "201", why: "unknown-event", place: "MSH^1^9" } : null;
}

function senderOf({ message, characterSet }: ReadHl7): Sender {
  const header = hl7Segment(message, "MSH");
  const characterSetName = hl7Text(message, header, { field: 18 });
  return { header: readHeader(message), delimiters: message.delimiters, characterSet, characterSetName };
}

/** The header of a message that cannot be read, byte by byte: its answer must carry its number, if it has one. */
function unreadSender(bytes: Uint8Array): Sender {
  const [header = ""] = (decodeText("latin-1", bytes) ?? "").replace(/^[\r\n]+/, "").split(/[\r\n]/);
  const parsed = parseHl7(header);
  if (parsed.ok) {
    const characterSetName = hl7Text(parsed.value, hl7Segment(parsed.value, "MSH"), { field: 18 });
    return { header: readHeader(parsed.value), delimiters: parsed.value.delimiters, characterSet: "latin-1", characterSetName };
  }
  const empty = { application: "", facility: "", receivingApplication: "", receivingFacility: "", type: "", event: "" };
  const rest = { controlId: "", processing: "", version: "", acceptWanted: "", applicationWanted: "" };
  return { header: { ...empty, ...rest }, delimiters: null, characterSet: "latin-1", characterSetName: "" };
}
