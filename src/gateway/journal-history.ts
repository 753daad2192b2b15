import type { Role } from "../core/act.ts";
import { type Alert, PRIORITY_RANK } from "../core/alert.ts";
import type { AlertHistory, PastAlert, PatientEvent, PatientEvents } from "../core/history-view.ts";
import { type AlertId, type PatientId, type Seq, seq } from "../core/ids.ts";
import { LIMITS } from "../core/limits.ts";
import type { Timeline } from "../core/mended-time.ts";
import type { Journal } from "../core/ports.ts";
import { type JournalRecord, madeAtMs, type RecordKind } from "../core/record.ts";
import { wallMs } from "../core/time.ts";
import { type PlantState, patientOfRecord } from "./plant.ts";

/** A time that is asked for: from `fromMs` to just before `toMs`. */
export interface HistoryWindow {
  readonly fromMs: number;
  readonly toMs: number;
}

/** Where history is read from. */
export interface HistoryParts {
  readonly journal: Pick<Journal, "read" | "committedSeq">;
  readonly timeline: () => Timeline;
}

/** When a record was made, mended. */
function mendedMadeAtMs(timeline: Timeline, record: JournalRecord): number {
  return timeline.mended({ seq: record.seq, atMs: madeAtMs(record), monotonicMs: monotonicOf(record) }).atMs;
}

function monotonicOf(record: JournalRecord) {
  if (record.kind === "observation") return record.times.receivedMonotonicMs;
  return record.kind === "start" || record.kind === "clock" ? record.atMonotonicMs : null;
}

/**
 * The first number from which on all committed records of some kinds were made at a time or after it; one more than the last committed
 * number where none was. Found by halving the range of numbers, some thirty small reads: mended times rise with the numbers, whatever
 * the wall clock did meanwhile.
 *
 * @param wanted.atMs  Mended, in ms since 1970.
 * @param wanted.kinds  Left out: all kinds. Kinds that are kept for ever are found fastest.
 */
export async function firstSeqAtOrAfter(
  { journal, timeline }: HistoryParts,
  wanted: { readonly atMs: number; readonly kinds?: readonly RecordKind[] },
): Promise<Seq> {
  const mending = timeline();
  // All before `high` and after `low` is unknown; up to `low` everything is earlier, from `high` on nothing is.
  let low = 0;
  let high: number = journal.committedSeq() + 1;
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    const range = { afterSeq: seq(middle - 1), upToSeq: seq(high - 1), limit: 1 };
    const [record] = await journal.read(wanted.kinds === undefined ? range : { ...range, kinds: wanted.kinds });
    if (record !== undefined && mendedMadeAtMs(mending, record) < wanted.atMs) low = record.seq;
    else high = middle;
  }
  return seq(high);
}

/** Records of some kinds from one number to another, both included, in order, page by page; `isWhole` is false where there are more than `recordsMax`. */
async function readRange(
  journal: Pick<Journal, "read">,
  range: {
    readonly fromSeq: number;
    readonly toSeq: number;
    readonly kinds: readonly RecordKind[];
    readonly recordsMax: number;
  },
): Promise<{ readonly records: readonly JournalRecord[]; readonly isWhole: boolean }> {
  const records: JournalRecord[] = [];
  for (let afterSeq = range.fromSeq - 1; afterSeq < range.toSeq; ) {
    const page = await journal.read({
      afterSeq: seq(afterSeq),
      upToSeq: seq(range.toSeq),
      limit: LIMITS.journalReadRecordsMax.value,
      kinds: range.kinds,
    });
    const last = page.at(-1);
    if (last === undefined) break;
    records.push(...page);
    if (records.length > range.recordsMax) return { records: records.slice(0, range.recordsMax), isWhole: false };
    afterSeq = last.seq;
  }
  return { records, isWhole: true };
}

/** Of a time the newest part that is not too much to read at once. */
interface Slice {
  readonly records: readonly JournalRecord[];
  readonly fromMs: number;
  readonly fromSeq: number;
  readonly toSeq: number;
}

/** A slice is halved so often at most: a day is then 20 s. */
const HALVINGS_MAX = 12;

async function newestSlice(parts: HistoryParts, window: HistoryWindow): Promise<Slice> {
  const kinds = ["alert", "act"] as const;
  const toSeq = (await firstSeqAtOrAfter(parts, { atMs: window.toMs, kinds })) - 1;
  let { fromMs } = window;
  for (let halvings = 0; ; halvings++) {
    const fromSeq = await firstSeqAtOrAfter(parts, { atMs: fromMs, kinds });
    const range = { fromSeq, toSeq, kinds, recordsMax: LIMITS.historyRecordsMax.value };
    const { records, isWhole } = await readRange(parts.journal, range);
    if (isWhole || halvings >= HALVINGS_MAX) return { records, fromMs, fromSeq, toSeq };
    fromMs = Math.round((fromMs + window.toMs) / 2);
  }
}

/** What else is known of the alerts of the past. */
export interface HistoryKnown {
  readonly openAlerts: () => readonly Alert[];
  readonly plant: () => PlantState;
  /** An alert with its times by the clock as it stands now. */
  readonly shown: (alert: Alert) => Alert;
  /** A mended time by the clock as it stands now. */
  readonly shownMs: (mendedMs: number) => number;
}

/**
 * The alerts that were raised in a time, newest first, each with its end, who knew of it first and what was said of it, also where that
 * came later. Of a time with more records than are read at once the newest part.
 */
export async function alertsBetween(parts: HistoryParts, known: HistoryKnown, window: HistoryWindow): Promise<AlertHistory> {
  const slice = await newestSlice(parts, window);
  const growing = new Map<AlertId, GrowingAlert>();
  const take = (record: JournalRecord) => takeRecord(growing, record, slice.fromSeq);
  slice.records.forEach(take);
  const open = new Map(known.openAlerts().map((alert) => [alert.id, alert]));
  const waiting = () => [...growing].some(([id, { last }]) => last.state !== "ended" && !open.has(id));
  // What was said of them later, and the ends of those that went on.
  const later = { fromSeq: slice.toSeq + 1, toSeq: parts.journal.committedSeq(), recordsMax: LIMITS.historyRecordsMax.value };
  if (growing.size > 0) {
    const kinds = waiting() ? (["alert", "act"] as const) : (["act"] as const);
    const { records } = await readRange(parts.journal, { ...later, kinds });
    for (const record of records)
      if (record.kind === "act" || growing.has(record.kind === "alert" ? record.id : ("" as AlertId))) take(record);
  }
  const timeline = parts.timeline();
  const { verdicts } = known.plant();
  const alerts = [...growing].map(([alertId, grown]): PastAlert => {
    const now = open.get(alertId);
    const last = known.shown(now !== undefined && now.seq > grown.last.seq ? now : grown.last);
    const first = known.shown(grown.first);
    const told = verdicts.get(alertId);
    const said = grown.said === null ? null : { ...grown.said, atMs: saidAtMs(timeline, known, grown.said) };
    return {
      alertId,
      alert: { ...last, raisedAtMs: first.raisedAtMs },
      priorityMax: grown.priorityMax,
      acknowledged: acknowledgementOf(grown.acknowledged === null ? null : known.shown(grown.acknowledged)),
      judged: told === undefined ? said : { verdict: told.verdict, by: told.by, atMs: said?.atMs ?? told.atMs },
    };
  });
  const wholeFromMs = known.shownMs(slice.fromMs);
  return {
    alerts: alerts.sort((one, other) => other.alert.raisedAtMs - one.alert.raisedAtMs || (one.alertId < other.alertId ? 1 : -1)),
    wholeFromMs,
  };
}

/** An alert as its records come by. */
interface GrowingAlert {
  readonly first: Alert;
  last: Alert;
  priorityMax: Alert["priority"];
  acknowledged: Alert | null;
  said: {
    readonly verdict: NonNullable<PastAlert["judged"]>["verdict"];
    readonly by: string;
    readonly seq: Seq;
    readonly atMs: number;
  } | null;
}

function takeRecord(growing: Map<AlertId, GrowingAlert>, record: JournalRecord, fromSeq: number): void {
  if (record.kind === "act" && record.deed.kind === "verdict") {
    const judged = growing.get(record.deed.alertId);
    if (judged !== undefined) judged.said = { verdict: record.deed.verdict, by: record.by, seq: record.seq, atMs: record.atMs };
  }
  if (record.kind !== "alert") return;
  const known = growing.get(record.id);
  if (known === undefined) {
    // Raised before this time: it belongs to the day it began.
    if (firstNumberOf(record) < fromSeq) return;
    growing.set(record.id, {
      first: record,
      last: record,
      priorityMax: record.priority,
      acknowledged: firstAcknowledged(record, null),
      said: null,
    });
    return;
  }
  known.last = record;
  if (PRIORITY_RANK[record.priority] > PRIORITY_RANK[known.priorityMax]) known.priorityMax = record.priority;
  known.acknowledged = firstAcknowledged(record, known.acknowledged);
}

function firstAcknowledged(record: Alert, before: Alert | null): Alert | null {
  return before ?? (record.acknowledgedBy === null || record.acknowledgedAtMs === null ? null : record);
}

function acknowledgementOf(alert: Alert | null): PastAlert["acknowledged"] {
  if (alert === null || alert.acknowledgedBy === null || alert.acknowledgedAtMs === null) return null;
  return { by: alert.acknowledgedBy, atMs: alert.acknowledgedAtMs };
}

function saidAtMs(timeline: Timeline, known: HistoryKnown, said: { readonly seq: Seq; readonly atMs: number }): number {
  return known.shownMs(timeline.mended({ seq: said.seq, atMs: said.atMs, monotonicMs: null }).atMs);
}

/** An alert's id ends with the number of its first record. */
function firstNumberOf(alert: Alert): number {
  const number = Number(/-(\d{1,15})$/.exec(alert.id)?.[1] ?? alert.seq);
  return Math.min(number, alert.seq);
}

/** Whose events are asked for, and by whom. */
export interface EventsQuery extends HistoryWindow {
  readonly patientId: PatientId;
  readonly role: Role | null;
}

/**
 * What happened to a patient who is here: their alerts, those of the bed's devices, and what was done. A family is told their patient's own
 * alerts, without who acknowledged them; an engineer nothing that was noted. A lost connection of a device is a technical alert.
 */
export async function eventsBetween(parts: HistoryParts, known: HistoryKnown, query: EventsQuery): Promise<PatientEvents> {
  const { records, fromMs } = await newestSlice(parts, query);
  const timeline = parts.timeline();
  const plant = known.plant();
  const ofPatient = createPatientFilter(plant, query.patientId);
  let events: PatientEvent[] = [];
  for (const record of records) {
    if (record.kind !== "alert" && record.kind !== "act") continue;
    if (!ofPatient(record)) continue;
    // What was wrong with the equipment of this bed before the patient came to it was about somebody else.
    if (record.kind === "act" && record.deed.kind === "transfer") events = events.filter((event) => !isOfBedAlone(event));
    const atMs = known.shownMs(mendedMadeAtMs(timeline, record));
    if (record.kind === "alert") events.push(...alertEvents(record, { atMs, known, role: query.role }));
    else if (mayKnowOf(query.role, record.deed.kind)) {
      const { by, role = null, from, deed } = record;
      events.push({ kind: "act", seq: record.seq, atMs, by, role, from, deed });
    }
  }
  return {
    events: events.reverse().slice(0, LIMITS.historyEventsMax.value),
    wholeFromMs: wholeFrom(events, known.shownMs(fromMs)),
  };
}

function isOfBedAlone(event: PatientEvent): boolean {
  return event.kind !== "act" && event.alert.subject.patientId === null;
}

/** Of more events than are told at once only the newest are whole. */
function wholeFrom(newestFirst: readonly PatientEvent[], fromMs: number): number {
  const max = LIMITS.historyEventsMax.value;
  return newestFirst.length <= max ? fromMs : (newestFirst[max - 1]?.atMs ?? fromMs);
}

function mayKnowOf(role: Role | null, kind: string): boolean {
  return role !== "family" && !(role === "engineer" && kind === "note");
}

/** Only its beginning and its end; that somebody acknowledged it is an act. */
function alertEvents(
  record: Alert,
  at: { readonly atMs: number; readonly known: HistoryKnown; readonly role: Role | null },
): readonly PatientEvent[] {
  if (record.phase !== "start" && record.phase !== "escalate" && record.state !== "ended") return [];
  const isFamily = at.role === "family";
  if (isFamily && record.subject.patientId === null) return [];
  const shown = at.known.shown(record);
  const alert = isFamily ? { ...shown, acknowledgedBy: null, acknowledgedAtMs: null } : shown;
  return [{ kind: record.state === "ended" ? "ended" : "raised", seq: record.seq, atMs: at.atMs, alert }];
}

/** Whether a record is about a patient: under one of their numbers, at their bed, or on a device that was on them then. Records come in order. */
function createPatientFilter(plant: PlantState, patientId: PatientId): (record: JournalRecord) => boolean {
  const patient = plant.patients.get(patientId);
  const theirs = (id: PatientId, number: Seq) => patientOfRecord(plant, id, number)?.patientId === patientId;
  const alerts = new Set<AlertId>();
  const devices = new Set([...plant.assignments].filter(([, on]) => on === patientId).map(([deviceId]) => deviceId));
  return (record) => {
    if (patient === undefined) return false;
    if (record.kind === "alert") {
      const { subject } = record;
      const isTheirs =
        subject.patientId === null
          ? subject.bedId === patient.bedId && record.seq > patient.admittedSeq
          : theirs(subject.patientId, record.seq);
      if (isTheirs) alerts.add(record.id);
      return isTheirs;
    }
    if (record.kind !== "act") return false;
    const { deed } = record;
    if (deed.kind === "acknowledge" || deed.kind === "verdict") return alerts.has(deed.alertId);
    if (deed.kind === "admit") return deed.patientId === patientId && record.seq === patient.admittedSeq;
    if (deed.kind === "release") return devices.has(deed.deviceId) && record.seq > patient.admittedSeq;
    if (deed.kind === "merge") return deed.patientId === patientId && patient.formerNumbers.has(deed.formerPatientId);
    if (!("patientId" in deed) || deed.patientId === null || !theirs(deed.patientId, record.seq)) return false;
    if (deed.kind === "assign") devices.add(deed.deviceId);
    return true;
  };
}

/** A window of the pages, which speak of the clock as it stands now, in mended times. */
export function mendedWindow(timeline: Timeline, window: HistoryWindow): HistoryWindow {
  const presentMs = timeline.presentCorrectionMs();
  return { fromMs: wallMs(window.fromMs + presentMs), toMs: wallMs(window.toMs + presentMs) };
}
