import type { Deed, DoorName, Role, Verdict } from "./act.ts";
import type { Alert, Priority } from "./alert.ts";
import type { AlertId } from "./ids.ts";

/** One alert of the past, with what became of it. All times are by the gateway's clock as it stands now. */
export interface PastAlert {
  readonly alertId: AlertId;
  /** Its newest state that is known; `ended` where it is over. */
  readonly alert: Alert;
  /** The most urgent it ever was. */
  readonly priorityMax: Priority;
  /** Who knew of it first, and when; null where nobody did. */
  readonly acknowledged: { readonly by: string; readonly atMs: number } | null;
  /** What somebody said of it last; null where nobody did. */
  readonly judged: { readonly verdict: Verdict; readonly by: string; readonly atMs: number } | null;
}

/** Alerts that were raised in a time, newest first. */
export interface AlertHistory {
  readonly alerts: readonly PastAlert[];
  /** They are whole from here to the end that was asked for; what is older is asked for with this as the end. */
  readonly wholeFromMs: number;
}

/** How a day's alerts were, in numbers. */
export interface AlertSummary {
  readonly count: number;
  readonly byPriority: Readonly<Record<Priority, number>>;
  readonly technicalCount: number;
  readonly byVerdict: Readonly<Record<Verdict, number>>;
  /** Of which nobody has said anything. */
  readonly unjudgedCount: number;
  /** Alerts for each bed and each 24 hours; null where there are no beds or no time. */
  readonly perBedDay: number | null;
  /** The median of the times from raising to the first acknowledgement, of those that were acknowledged; null where none was. */
  readonly acknowledgedMsMedian: number | null;
  readonly acknowledgedCount: number;
}

/** Sums up alerts. @param over  How many beds they come from, and over how long, in ms. */
export function summaryOf(
  alerts: readonly PastAlert[],
  over: { readonly bedCount: number; readonly spanMs: number },
): AlertSummary {
  const byPriority = { high: 0, medium: 0, low: 0 };
  const byVerdict = { relevant: 0, "not-actionable": 0, false: 0 };
  const waitedMs: number[] = [];
  let [technicalCount, unjudgedCount] = [0, 0];
  for (const { alert, priorityMax, acknowledged, judged } of alerts) {
    byPriority[priorityMax] += 1;
    if (alert.nature === "technical") technicalCount += 1;
    if (judged === null) unjudgedCount += 1;
    else byVerdict[judged.verdict] += 1;
    if (acknowledged !== null) waitedMs.push(Math.max(0, acknowledged.atMs - alert.raisedAtMs));
  }
  const bedDays = (over.bedCount * over.spanMs) / 86_400_000;
  return {
    count: alerts.length,
    byPriority,
    technicalCount,
    byVerdict,
    unjudgedCount,
    perBedDay: bedDays > 0 ? alerts.length / bedDays : null,
    acknowledgedMsMedian: medianOf(waitedMs),
    acknowledgedCount: waitedMs.length,
  };
}

function medianOf(values: readonly number[]): number | null {
  const sorted = [...values].sort((one, other) => one - other);
  const [low, high] = [sorted[(sorted.length - 1) >> 1], sorted[sorted.length >> 1]];
  return low === undefined || high === undefined ? null : (low + high) / 2;
}

/** Something that happened to a patient. */
export type PatientEvent =
  | { readonly kind: "raised" | "ended"; readonly seq: number; readonly atMs: number; readonly alert: Alert }
  | {
      readonly kind: "act";
      readonly seq: number;
      readonly atMs: number;
      readonly by: string;
      readonly role: Role | null;
      readonly from: DoorName;
      readonly deed: Deed;
    };

/** What happened to a patient in a time, newest first. */
export interface PatientEvents {
  readonly events: readonly PatientEvent[];
  /** They are whole from here to the end that was asked for. */
  readonly wholeFromMs: number;
}

/** What a score said within a minute. */
export interface ScorePoint {
  readonly atMs: number;
  /** The fewest and the most points of that minute; both null where there was no answer. */
  readonly low: number | null;
  readonly high: number | null;
  /** What each input earned when it was highest. */
  readonly parts: Readonly<Record<string, number>>;
  /** The inputs that were missing then: where there are any the points are a lower bound. */
  readonly missing: readonly string[];
}

/** A patient's score over a time, oldest first. */
export interface ScoreHistory {
  readonly modelId: string;
  readonly points: readonly ScorePoint[];
  /** What is older has not been read yet; ask again soon. Null where everything is there. */
  readonly stillReadingBeforeMs: number | null;
}
