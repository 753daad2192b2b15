import { type Alert, PRIORITY_RANK } from "../../../core/alert.ts";
import type { Origin } from "../../../core/observation.ts";
import type { QuantityName } from "../../../core/quantities.ts";
import type { BedView, NumberView, PictureView, StreamMessage } from "../../../core/stream.ts";

/**
 * The ward after one message of the live stream. A change that comes before the first picture is dropped: the picture holds it.
 *
 * @returns  The same object where nothing of the picture changes, so that unchanged beds are not drawn again.
 */
export function applyMessage(ward: PictureView | null, message: StreamMessage): PictureView | null {
  if (ward === null) return message.kind === "picture" ? message.picture : null;
  switch (message.kind) {
    case "picture":
      return message.picture;
    case "beds": {
      const changed = new Map(message.beds.map((bed) => [bed.bedId, bed]));
      const beds = ward.beds.map((bed) => changed.get(bed.bedId) ?? bed);
      const known = new Set(ward.beds.map((bed) => bed.bedId));
      return { ...ward, beds: [...beds, ...message.beds.filter((bed) => !known.has(bed.bedId))] };
    }
    case "unassigned":
      return { ...ward, unassigned: message.unassigned };
    case "alerts": {
      const changed = new Set(message.alerts.map((alert) => alert.id));
      const kept = ward.alerts.filter((alert) => !changed.has(alert.id));
      return { ...ward, alerts: [...kept, ...message.alerts.filter((alert) => alert.state !== "ended")] };
    }
    case "gateway":
      return { ...ward, gateway: message.gateway };
    case "waves":
    case "thin-waves":
    case "pulse":
      return ward;
  }
}

/** Alerts as a person should read them: unacknowledged first, then by priority, physiological before technical, newest first. */
export function sortAlerts(alerts: readonly Alert[]): readonly Alert[] {
  const rank = (alert: Alert) =>
    (alert.state === "active" ? 100 : 0) + PRIORITY_RANK[alert.priority] * 10 + (alert.nature === "physiological" ? 1 : 0);
  return [...alerts].sort((a, b) => rank(b) - rank(a) || b.raisedAtMs - a.raisedAtMs || (a.id < b.id ? -1 : 1));
}

/** The alerts of one bed: those of the bed itself, its patient or one of its devices. */
export function alertsOfBed(alerts: readonly Alert[], bed: BedView): readonly Alert[] {
  const devices = new Set(bed.devices.map((device) => device.deviceId));
  return alerts.filter(({ subject }) => {
    if (subject.bedId !== null) return subject.bedId === bed.bedId;
    if (subject.patientId !== null) return subject.patientId === bed.patient?.patientId;
    return subject.deviceId !== null && devices.has(subject.deviceId);
  });
}

/** Which bed an alert belongs to, or null for the gateway and devices without a bed. */
export function bedOfAlert(alert: Alert, beds: readonly BedView[]): BedView | null {
  return beds.find((bed) => alertsOfBed([alert], bed).length > 0) ?? null;
}

/** How a number may be read: `fresh`, `old` (past its age), or with no number at all. */
export function freshnessOf(number: NumberView, nowMs: number): "fresh" | "old" | "absent" {
  if (number.content.state === "absent") return "absent";
  return nowMs - number.measuredAtMs > number.staleAfterMs ? "old" : "fresh";
}

/** The best of a bed's numbers for a quantity: one that is there and fresh before one that is old before an absence, then the newest. */
export function bestNumber(bed: BedView, quantity: QuantityName, nowMs: number): NumberView | null {
  const rank = { fresh: 2, old: 1, absent: 0 } as const;
  const found = bed.numbers.filter((number) => number.quantity === quantity);
  const [best] = found.sort(
    (a, b) => rank[freshnessOf(b, nowMs)] - rank[freshnessOf(a, nowMs)] || b.measuredAtMs - a.measuredAtMs,
  );
  return best ?? null;
}

/** Every origin on a bed that is not a measurement, from its devices and its numbers. */
export function unrealOrigins(bed: BedView): readonly Exclude<Origin, "measured">[] {
  const seen = [...bed.devices.map((device) => device.origin), ...bed.numbers.map((number) => number.quality.origin)];
  return (["simulated", "replayed", "test"] as const).filter((origin) => seen.includes(origin));
}

/** How urgent a NEWS2 answer looks. Source: RCP NEWS2 2017, clinical response to triggers. */
export function scoreUrgency(points: number, partPoints: readonly number[]): "none" | "low" | "medium" | "high" {
  if (points >= 7) return "high";
  if (points >= 5 || partPoints.some((part) => part >= 3)) return "medium";
  return points >= 1 ? "low" : "none";
}
