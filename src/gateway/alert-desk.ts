import { type AlertBook, type AlertInput, stepAlerts } from "../alerts/life-cycle.ts";
import type { Alert, Condition, ConditionChange, Priority, Subject } from "../core/alert.ts";
import { ERRORS, type ErrorCode, type Fault } from "../core/errors.ts";
import { type AlertId, alertId, type BedId, type DeviceId, type Seq, type UserId } from "../core/ids.ts";
import { assert } from "../core/result.ts";
import type { Clock } from "../core/time.ts";

/** How urgent trouble of the gateway itself is. What is not listed is `low`; none is `high`: that is kept for patients. */
const FAULT_PRIORITY: Readonly<Partial<Record<ErrorCode, Priority>>> = {
  "device-quarantined": "medium",
  "adopted-device-unused": "medium",
  "device-refused": "medium",
  "queue-full": "medium",
  "journal-write-failed": "medium",
  "journal-disk-full": "medium",
  "journal-damaged": "medium",
  "upstream-unreachable": "medium",
  "upstream-denied": "medium",
  "upstream-certificate": "medium",
  "upstream-slow": "medium",
  "upstream-failing": "medium",
  "upstream-target-missing": "medium",
  "upstream-refuses-all": "medium",
  "upstream-left-behind": "medium",
  "upstream-begins-anew": "medium",
  "page-failed": "medium",
  "page-port-in-use": "medium",
  "model-refused": "medium",
  "model-failed": "medium",
  "sounder-failed": "medium",
  "safe-mode": "medium",
  "gateway-restarted": "medium",
  "mllp-port-failed": "medium",
  "admissions-unreadable": "medium",
  "admissions-unknown-bed": "medium",
  "admissions-refused": "medium",
  "admissions-differ": "medium",
  "admissions-child": "medium",
  "admissions-silent": "medium",
};

/** Faults that happened once and have no end of their own: acknowledging them is their end. */
const ENDED_BY_ACKNOWLEDGEMENT: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  "gateway-restarted",
  "journal-damaged",
  "upstream-rejected",
  "upstream-left-behind",
  "upstream-begins-anew",
  "upstream-series-many",
  "admissions-stranger",
  "admissions-unreadable",
  "admissions-unknown-bed",
  "admissions-refused",
  "admissions-differ",
  "admissions-child",
]);

/** Nobody and nothing: the subject of a fault of the gateway as a whole. */
const GATEWAY_SUBJECT: Subject = { patientId: null, bedId: null, deviceId: null, part: "gateway" };

/** Owns the book of alerts: everything that raises, changes, acknowledges or ends one passes here, in order. */
export interface AlertDesk {
  readonly settle: (changes: readonly ConditionChange[]) => void;
  /** Raises, changes or (with null) ends the technical condition of one part. `slot` tells apart what may be wrong at the same time. */
  readonly setFault: (slot: string, fault: Fault | null, subject?: Subject) => void;
  readonly acknowledge: (id: AlertId, by: UserId) => void;
  /** Somebody was moved: faults of devices are told at the beds where the devices are now. */
  readonly renewBeds: (bedOf: (deviceId: DeviceId) => BedId | null) => void;
  /** Once a second: reminders and hold times. */
  readonly tick: () => void;
  readonly open: () => readonly Alert[];
}

/** What the desk needs and where its alerts go. */
export interface AlertDeskParts {
  readonly clock: Clock;
  readonly epoch: string;
  readonly nextSeq: () => Seq;
  readonly book: AlertBook;
  /** Called at once with the new states of alerts that one step made, in order. They are published together: their numbers are given. */
  readonly publish: (alerts: readonly Alert[]) => void;
}

/** Opens the desk with the book as rebuilt from the journal. */
export function createAlertDesk(parts: AlertDeskParts): AlertDesk {
  let book = parts.book;
  const faults = new Map<string, Condition>();

  const step = (input: AlertInput) => {
    const result = stepAlerts(book, input, {
      wallMs: parts.clock.wall(),
      monotonicMs: parts.clock.monotonic(),
      nextSeq: parts.nextSeq,
      alertId: (seq) => alertId(`${parts.epoch.slice(0, 8)}-${seq}`),
    });
    book = result.book;
    if (result.changed.length > 0) parts.publish(result.changed);
  };

  return {
    settle: (changes) => changes.forEach(step),
    setFault: (slot, fault, subject = GATEWAY_SUBJECT) => {
      const before = faults.get(slot);
      if (fault === null) {
        if (before === undefined) return;
        faults.delete(slot);
        step({ kind: "ended", key: before.key });
        return;
      }
      const condition = faultCondition(slot, fault, subject);
      if (before !== undefined && before.key !== condition.key) step({ kind: "ended", key: before.key });
      if (before !== undefined && sameFacts(before, condition)) return;
      faults.set(slot, condition);
      step({ kind: before?.key === condition.key ? "changed" : "raised", condition });
    },
    acknowledge: (id, by) => {
      step({ kind: "acknowledge", alertId: id, by });
      const alert = [...book.open.values()].find((entry) => entry.alert.id === id)?.alert;
      if (alert?.evidence.kind !== "fault" || !ENDED_BY_ACKNOWLEDGEMENT.has(alert.evidence.code)) return;
      for (const [slot, condition] of faults) if (condition.key === alert.key) faults.delete(slot);
      step({ kind: "ended", key: alert.key });
    },
    renewBeds: (bedOf) => {
      for (const [slot, condition] of faults) {
        const { deviceId } = condition.subject;
        const bed = deviceId === null ? condition.subject.bedId : bedOf(deviceId);
        if (bed === condition.subject.bedId) continue;
        const moved = { ...condition, subject: { ...condition.subject, bedId: bed } };
        faults.set(slot, moved);
        step({ kind: "changed", condition: moved });
      }
    },
    tick: () => step({ kind: "tick" }),
    open: () => [...book.open.values()].map((entry) => entry.alert),
  };
}

function sameFacts(before: Condition, after: Condition): boolean {
  return before.key === after.key && JSON.stringify(before.evidence) === JSON.stringify(after.evidence);
}

function faultCondition(slot: string, fault: Fault, subject: Subject): Condition {
  assert(ERRORS[fault.code].told === "alert", `${fault.code} is told as an alert`);
  return {
    key: `fault.${fault.code}/${slot}`,
    rule: `fault.${fault.code}`,
    nature: "technical",
    priority: FAULT_PRIORITY[fault.code] ?? "low",
    subject,
    origin: "measured",
    evidence: { kind: "fault", code: fault.code, facts: fault.facts },
  };
}
