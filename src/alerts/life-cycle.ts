import {
  type Alert,
  type AlertPhase,
  type Condition,
  type ConditionChange,
  PRIORITY_RANK,
  type Priority,
} from "../core/alert.ts";
import type { ErrorCode } from "../core/errors.ts";
import type { AlertId, Seq, UserId } from "../core/ids.ts";
import { LIMITS } from "../core/limits.ts";
import type { MonotonicMs, WallMs } from "../core/time.ts";

/** Settings of the alerts' life. To be confirmed by the clinical owner. */
export interface AlertSettings {
  /** An acknowledged alert whose condition lasts this long is raised again. Source: SAFETY.md, rule 8. */
  readonly acknowledgedReminderSeconds: Readonly<Record<Priority, number>>;
  /** A condition that comes back this soon after it ended is the same alert: it never ended, so that flapping is one alert, not many. */
  readonly endHoldSeconds: number;
  /** An alert from before a restart that nobody says again within this time ends. */
  readonly rebuiltWindowSeconds: number;
  /** Faults that happened once and that nobody says again: after a restart such an alert stays until a person acknowledged it. */
  readonly keptUntilAcknowledged: readonly ErrorCode[];
}

/** The settings with which the gateway starts where nobody sets others. */
export const ALERT_DEFAULTS: AlertSettings = {
  acknowledgedReminderSeconds: { high: 600, medium: 1800, low: 1800 },
  endHoldSeconds: 5,
  rebuiltWindowSeconds: 300,
  keptUntilAcknowledged: [
    ...(["gateway-restarted", "journal-damaged", "upstream-rejected"] as const),
    ...([
      "admissions-unreadable",
      "admissions-unknown-bed",
      "admissions-refused",
      "admissions-differ",
      "admissions-child",
    ] as const),
  ],
};

/** An open alert and what its life still depends on; times are monotonic. */
export interface OpenAlert {
  readonly alert: Alert;
  /** When an acknowledgement is no longer good, or null while nobody acknowledged. */
  readonly remindAtMs: MonotonicMs | null;
  /** Since when its condition has ended, or null while it holds. */
  readonly conditionEndedMs: MonotonicMs | null;
  /** Until when an alert from before a restart waits for its condition, or null once it was said again. */
  readonly unconfirmedUntilMs: MonotonicMs | null;
}

/** All open alerts by key, and the technical conditions beyond `openAlertsMax`, which are only counted. */
export interface AlertBook {
  readonly settings: AlertSettings;
  readonly open: ReadonlyMap<string, OpenAlert>;
  readonly grouped: ReadonlyMap<string, Condition>;
}

/** What may happen to alerts. */
export type AlertInput =
  | ConditionChange
  | { readonly kind: "acknowledge"; readonly alertId: AlertId; readonly by: UserId }
  | { readonly kind: "tick" };

/** The moment of a step, and where numbers come from. `nextSeq` is called once for each record made. */
export interface AlertMoment {
  readonly wallMs: WallMs;
  readonly monotonicMs: MonotonicMs;
  readonly nextSeq: () => Seq;
  /** The id of an alert whose first record has this number. */
  readonly alertId: (seq: Seq) => AlertId;
}

/** The book after a step and the records it made, in order. */
export interface AlertStep {
  readonly book: AlertBook;
  readonly changed: readonly Alert[];
}

/** The key of the one alert that counts the technical conditions beyond the bound. */
export const GROUP_KEY = "fault.alerts-grouped/gateway";

/** A book without alerts. */
export function emptyBook(settings: AlertSettings = ALERT_DEFAULTS): AlertBook {
  return { settings, open: new Map(), grouped: new Map() };
}

function later(at: MonotonicMs, seconds: number): MonotonicMs {
  return (at + seconds * 1000) as MonotonicMs;
}

function withOpen(book: AlertBook, entry: OpenAlert): AlertBook {
  return { ...book, open: new Map(book.open).set(entry.alert.key, entry) };
}

function without(book: AlertBook, key: string): AlertBook {
  const open = new Map(book.open);
  open.delete(key);
  return { ...book, open };
}

/** The next record of an open alert. */
function record(alert: Alert, phase: AlertPhase, at: AlertMoment, changes: Partial<Omit<Alert, "kind" | "seq" | "id">>): Alert {
  return { ...alert, ...changes, phase, seq: at.nextSeq(), changedAtMs: at.wallMs };
}

/** Raised anew: it needs somebody again, and the former acknowledgement no longer counts. */
function again(alert: Alert): Pick<Alert, "state" | "acknowledgedBy" | "acknowledgedAtMs" | "raisedCount"> {
  return { state: "active", acknowledgedBy: null, acknowledgedAtMs: null, raisedCount: alert.raisedCount + 1 };
}

function openNew(book: AlertBook, condition: Condition, at: AlertMoment): AlertStep {
  const seq = at.nextSeq();
  const alert: Alert = {
    kind: "alert",
    ...condition,
    seq,
    id: at.alertId(seq),
    state: "active",
    phase: "start",
    raisedAtMs: at.wallMs,
    changedAtMs: at.wallMs,
    acknowledgedBy: null,
    acknowledgedAtMs: null,
    endedAtMs: null,
    raisedCount: 1,
  };
  return {
    book: withOpen(book, { alert, remindAtMs: null, conditionEndedMs: null, unconfirmedUntilMs: null }),
    changed: [alert],
  };
}

/** The condition that technical conditions are being counted. */
function groupCondition(count: number): Condition {
  return {
    key: GROUP_KEY,
    rule: "fault.alerts-grouped",
    nature: "technical",
    priority: "medium",
    subject: { patientId: null, bedId: null, deviceId: null, part: "alerts" },
    origin: "measured",
    evidence: { kind: "fault", code: "alerts-grouped", facts: { count, openAlertsMax: LIMITS.openAlertsMax.value } },
  };
}

/** Says how many are counted now; the group's own alert begins with the first and ends with the last. */
function tellGroup(book: AlertBook, at: AlertMoment): AlertStep {
  const known = book.open.get(GROUP_KEY);
  const count = book.grouped.size;
  if (count === 0) return known === undefined ? { book, changed: [] } : endNow(book, known, at);
  if (known === undefined) return openNew(book, groupCondition(count), at);
  const alert = record(known.alert, "update", at, { evidence: groupCondition(count).evidence });
  return { book: withOpen(book, { ...known, alert, conditionEndedMs: null, unconfirmedUntilMs: null }), changed: [alert] };
}

/** Whether a condition became worse in a way that needs somebody again: more urgent, or more points in the same band. */
function isWorse(before: Alert, condition: Condition): boolean {
  const was = before.evidence;
  const is = condition.evidence;
  if (PRIORITY_RANK[condition.priority] !== PRIORITY_RANK[before.priority]) {
    return PRIORITY_RANK[condition.priority] > PRIORITY_RANK[before.priority];
  }
  return was.kind === "score" && is.kind === "score" && is.points > was.points;
}

/** Whether it is a call that happened once: nothing but its acknowledgement ends it. */
function isCall({ evidence }: Pick<Condition, "evidence">): boolean {
  return evidence.kind === "device-alarm" && evidence.once === true;
}

/** Whether a condition is about another patient than the open alert under its key, or, of nobody, about another bed. A patient may move. */
function isOfAnother(alert: Alert, { subject }: Condition): boolean {
  if (subject.patientId !== alert.subject.patientId) return true;
  return subject.patientId === null && subject.bedId !== alert.subject.bedId;
}

/** A condition whose alert is open: nothing new, better, worse, or somebody else's. */
function carryOn(book: AlertBook, known: OpenAlert, change: ToldCondition, at: AlertMoment): AlertStep {
  const { condition } = change;
  const { alert } = known;
  if (isOfAnother(alert, condition)) {
    // A device that was moved: nobody has seen this for its new patient, and the former patient's alert is over.
    const ended = endNow(book, known, at);
    const begun = openNew(ended.book, condition, at);
    return { book: begun.book, changed: [...ended.changed, ...begun.changed] };
  }
  const confirmed: OpenAlert = { ...known, conditionEndedMs: null, unconfirmedUntilMs: null };
  const content = {
    priority: condition.priority,
    evidence: condition.evidence,
    origin: condition.origin,
    subject: condition.subject,
  };
  if (isWorse(alert, condition)) {
    const next = record(alert, "escalate", at, { ...content, ...again(alert) });
    return { book: withOpen(book, { ...confirmed, alert: next, remindAtMs: null }), changed: [next] };
  }
  if (isCall(condition) && alert.state === "acknowledged") {
    // Called again right after it was answered.
    const next = record(alert, "continue", at, { ...content, ...again(alert) });
    return { book: withOpen(book, { ...confirmed, alert: next, remindAtMs: null }), changed: [next] };
  }
  if (condition.priority !== alert.priority) {
    const next = record(alert, "deescalate", at, content);
    return { book: withOpen(book, { ...confirmed, alert: next }), changed: [next] };
  }
  // Raised once more within the hold time, or after a restart: the same alert goes on, without a new record.
  if (change.kind === "raised" && condition.subject.bedId === alert.subject.bedId)
    return { book: withOpen(book, confirmed), changed: [] };
  const next = record(alert, "update", at, content);
  return { book: withOpen(book, { ...confirmed, alert: next }), changed: [next] };
}

/** A condition that is said to hold. */
type ToldCondition = Extract<ConditionChange, { kind: "raised" | "changed" }>;

/** The patient has another number now: the same alert goes on, acknowledged or not, and whoever shows it shows the number that stays. */
function rename(book: AlertBook, change: Extract<ConditionChange, { kind: "renamed" }>, at: AlertMoment): AlertStep {
  const { fromKey, condition } = change;
  const known = book.open.get(fromKey);
  if (known === undefined) {
    const grouped = new Map(book.grouped);
    const wasCounted = grouped.delete(fromKey);
    const taken = takeCondition({ ...book, grouped }, { kind: "raised", condition }, at);
    if (!wasCounted || taken.book.grouped.has(condition.key)) return taken;
    const told = tellGroup(taken.book, at);
    return { book: told.book, changed: [...taken.changed, ...told.changed] };
  }
  const other = fromKey === condition.key ? undefined : book.open.get(condition.key);
  // One that is still open under the new key without a condition behind it (it is being held, or waits to be confirmed) is over.
  const ended = other === undefined ? { book, changed: [] } : endNow(book, other, at);
  const alert = record(known.alert, "update", at, { key: condition.key, subject: condition.subject });
  return { book: withOpen(without(ended.book, fromKey), { ...known, alert }), changed: [...ended.changed, alert] };
}

function takeCondition(book: AlertBook, change: ToldCondition, at: AlertMoment): AlertStep {
  const { condition } = change;
  const known = book.open.get(condition.key);
  if (known !== undefined) return carryOn(book, known, change, at);
  const full = book.open.size >= LIMITS.openAlertsMax.value;
  // SAFETY.md, rule 8: only technical alerts are grouped, never a physiological one.
  if (!full || condition.nature === "physiological") return openNew(book, condition, at);
  const grouped = new Map(book.grouped).set(condition.key, condition);
  const next = { ...book, grouped };
  return book.grouped.has(condition.key) ? { book: next, changed: [] } : tellGroup(next, at);
}

function endCondition(book: AlertBook, key: string, at: AlertMoment): AlertStep {
  if (book.grouped.has(key)) {
    const grouped = new Map(book.grouped);
    grouped.delete(key);
    return tellGroup({ ...book, grouped }, at);
  }
  const known = book.open.get(key);
  if (known === undefined || known.conditionEndedMs !== null) return { book, changed: [] };
  const held: OpenAlert = { ...known, conditionEndedMs: at.monotonicMs, unconfirmedUntilMs: null };
  const endsAtOnce = book.settings.endHoldSeconds <= 0 || isQuestion(known.alert);
  return endsAtOnce ? endNow(book, held, at) : { book: withOpen(book, held), changed: [] };
}

/** A question is over with its answer: whoever gave it must not be shown it any longer. */
function isQuestion({ evidence }: Alert): boolean {
  return evidence.kind === "still-on-patient";
}

function endNow(book: AlertBook, known: OpenAlert, at: AlertMoment): AlertStep {
  const alert = record(known.alert, "end", at, { state: "ended", endedAtMs: at.wallMs });
  return { book: without(book, alert.key), changed: [alert] };
}

function acknowledge(book: AlertBook, input: { readonly alertId: AlertId; readonly by: UserId }, at: AlertMoment): AlertStep {
  const known = [...book.open.values()].find(({ alert }) => alert.id === input.alertId);
  if (known === undefined) return { book, changed: [] };
  const seen = { state: "acknowledged", acknowledgedBy: input.by, acknowledgedAtMs: at.wallMs } as const;
  const alert = record(known.alert, "update", at, seen);
  if (isCall(alert)) return { book: withOpen(book, { ...known, alert, conditionEndedMs: at.monotonicMs }), changed: [alert] };
  const remindAtMs = later(at.monotonicMs, book.settings.acknowledgedReminderSeconds[alert.priority]);
  return { book: withOpen(book, { ...known, alert, remindAtMs }), changed: [alert] };
}

/** What time alone does to one alert: it ends after its hold, after an empty rebuild window, or is raised again. */
function passTime(book: AlertBook, known: OpenAlert, at: AlertMoment): AlertStep {
  const { conditionEndedMs, unconfirmedUntilMs, remindAtMs, alert } = known;
  const now = at.monotonicMs;
  if (conditionEndedMs !== null && now - conditionEndedMs >= book.settings.endHoldSeconds * 1000) return endNow(book, known, at);
  if (unconfirmedUntilMs !== null && now >= unconfirmedUntilMs) return endNow(book, known, at);
  if (remindAtMs === null || now < remindAtMs || conditionEndedMs !== null) return { book, changed: [] };
  const next = record(alert, "continue", at, again(alert));
  return { book: withOpen(book, { ...known, alert: next, remindAtMs: null }), changed: [next] };
}

/** Counted conditions become alerts of their own as soon as there is room. */
function ungroup(book: AlertBook, at: AlertMoment): AlertStep {
  let current = book;
  const changed: Alert[] = [];
  for (const [key, condition] of book.grouped) {
    if (current.open.size >= LIMITS.openAlertsMax.value) break;
    const grouped = new Map(current.grouped);
    grouped.delete(key);
    const step = openNew({ ...current, grouped }, condition, at);
    current = step.book;
    changed.push(...step.changed);
  }
  if (changed.length === 0) return { book, changed };
  const told = tellGroup(current, at);
  return { book: told.book, changed: [...changed, ...told.changed] };
}

function tick(book: AlertBook, at: AlertMoment): AlertStep {
  let current = book;
  const changed: Alert[] = [];
  for (const known of book.open.values()) {
    const step = passTime(current, known, at);
    current = step.book;
    changed.push(...step.changed);
  }
  const step = ungroup(current, at);
  return { book: step.book, changed: [...changed, ...step.changed] };
}

/**
 * The life of alerts as a pure function: the book and what happened give the next book and the records made.
 *
 * One alert is open per key. It starts, is updated, escalates (which takes an acknowledgement back), and ends `endHoldSeconds` after its
 * condition; an acknowledged one whose condition lasts is raised again after its time. Time is monotonic; the wall clock is only written.
 * An acknowledgement of an alert that is not open, and the end of a condition that is not known, change nothing.
 */
export function stepAlerts(book: AlertBook, input: AlertInput, at: AlertMoment): AlertStep {
  switch (input.kind) {
    case "raised":
    case "changed":
      return takeCondition(book, input, at);
    case "renamed":
      return rename(book, input, at);
    case "ended":
      return endCondition(book, input.key, at);
    case "acknowledge":
      return acknowledge(book, input, at);
    case "tick":
      return tick(book, at);
  }
}

/**
 * The book after a restart: every alert stays open with its acknowledgement, whose time goes on from the wall clock.
 *
 * The watch confirms or ends its own through `restore`. What nobody says again within `rebuiltWindowSeconds` (a fault of a part that has
 * recovered, a part that is no longer configured) ends then, with a record like any other, so that nothing hangs for ever.
 */
export function rebuildAlerts(
  openAlerts: readonly Alert[],
  at: {
    readonly wallMs: WallMs;
    readonly monotonicMs: MonotonicMs;
    /** How long ago an alert was acknowledged, or null where the clock does not tell; by the wall clock where this is left out. */
    readonly acknowledgedAgoMs?: (alert: Alert) => number | null;
  },
  settings: AlertSettings = ALERT_DEFAULTS,
): AlertBook {
  const open = new Map<string, OpenAlert>();
  // Unknown counts as just now: the reminder comes at the latest one whole time after the restart.
  const agoMs = at.acknowledgedAgoMs ?? ((alert: Alert) => at.wallMs - (alert.acknowledgedAtMs ?? at.wallMs));
  for (const alert of openAlerts) {
    if (alert.state === "ended") continue;
    const known = open.get(alert.key);
    if (known !== undefined && known.alert.seq > alert.seq) continue;
    const reminderSeconds = settings.acknowledgedReminderSeconds[alert.priority];
    const agoSeconds = Math.max(0, (agoMs(alert) ?? 0) / 1000);
    const remindAtMs = alert.state === "acknowledged" ? later(at.monotonicMs, Math.max(0, reminderSeconds - agoSeconds)) : null;
    const once = alert.evidence.kind === "fault" && settings.keptUntilAcknowledged.includes(alert.evidence.code);
    const kept = (once || isCall(alert)) && alert.state === "active";
    const unconfirmedUntilMs = kept ? null : later(at.monotonicMs, settings.rebuiltWindowSeconds);
    open.set(alert.key, { alert, remindAtMs, conditionEndedMs: null, unconfirmedUntilMs });
  }
  return { settings, open, grouped: new Map() };
}
