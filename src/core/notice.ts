import type { Alert, Priority } from "./alert.ts";
import type { AlertId, Seq } from "./ids.ts";
import type { WallMs } from "./time.ts";

/**
 * What became of an alert on its way to somebody who must answer for it:
 * `due` they are to be told; `sent` a channel took it; `received` by the machine at the other end; `seen` by a person; `accepted` as
 * theirs; `refused` by a person; `failed` it cannot be brought to them; `escalated` nobody of this step answered, the next one begins;
 * `unanswered` the last step passed without an answer and begins again; `answered` the whole case is over because somebody took it;
 * `over` because the alert ended.
 */
export type NoticeState = (typeof NOTICE_STATES)[number];

/** All of them. */
export const NOTICE_STATES = [
  ...(["due", "sent", "received", "seen", "accepted", "refused", "failed"] as const),
  ...(["escalated", "unanswered", "answered", "over"] as const),
] as const;

/** One hop of an alert on a route: a state of one telling (`contact` is somebody), or of the whole case (`contact` is null). It is recorded as a receipt. */
export interface Notice extends NoticeHop {
  readonly seq: Seq;
  readonly atMs: WallMs;
  /** The number of the alert's record that was told. */
  readonly alertSeq: Seq;
  readonly state: NoticeState;
  /** Who said so: a person or a machine; null where it is the gateway. */
  readonly by: string | null;
}

/** Where on its way an alert is. */
export interface NoticeHop {
  readonly alertId: AlertId;
  /** Which time the alert was raised; each time is told anew. */
  readonly raisedCount: number;
  readonly priority: Priority;
  readonly route: string;
  /** From 0. */
  readonly step: number;
  /** How often the last step has begun again; 0 before. */
  readonly round: number;
  readonly contact: string | null;
  readonly channel: string | null;
  /** Why it failed or was refused, as a code and its facts in words; null where nothing went wrong. */
  readonly why: string | null;
}

/** What became of an answer from outside: `over` nothing waits for it any more; `denied` nobody may say this. */
export type AnswerOutcome = "taken" | "over" | "denied" | "malformed";

/** What names one telling: an alert, raised so many times, told to one contact by one channel in one step and round of a route. */
export interface TellingName {
  readonly alertId: AlertId;
  readonly raisedCount: number;
  readonly route: string;
  readonly step: number;
  readonly round: number;
  readonly contact: string;
  readonly channel: string;
}

/** One way to reach a contact. */
export interface ContactWay {
  /** A channel by its name. */
  readonly channel: string;
  /** A number, an address, a topic: what the channel understands; null where the channel itself leads to them. */
  readonly address: string | null;
}

/** An alert that is to be brought to somebody now. */
export interface Order {
  readonly name: TellingName;
  readonly way: ContactWay;
  readonly alert: Alert;
}

/** The name of a telling as one text; what a receiver gives back. */
export function tellingKey(name: TellingName): string {
  const { alertId, raisedCount, route, step, round, contact, channel } = name;
  return [alertId, raisedCount, route, step, round, contact, channel].join("/");
}

/** The way back of `tellingKey`; null where the text is none. */
export function parseTellingKey(text: string): TellingName | null {
  const [alertId, raisedCount, route, step, round, contact, channel, ...more] = text.split("/");
  const numbers = [raisedCount, step, round].map((part) => (/^\d{1,9}$/.test(part ?? "") ? Number(part) : Number.NaN));
  const [raisedNumber = Number.NaN, stepNumber = Number.NaN, roundNumber = Number.NaN] = numbers;
  if (more.length > 0 || !alertId || !route || !contact || !channel || numbers.some(Number.isNaN)) return null;
  const counts = { raisedCount: raisedNumber, step: stepNumber, round: roundNumber };
  return { alertId: alertId as AlertId, route, contact, channel, ...counts };
}
