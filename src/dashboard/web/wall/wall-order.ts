import { type Alert, PRIORITY_RANK } from "../../../core/alert.ts";
import type { BedView } from "../../../core/stream.ts";
import { alertsOfBed, freshnessOf, scoreUrgency } from "../state/ward.ts";

/** In which order beds stand on the wall. */
export type WallOrder = "beds" | "urgency";

/** Beds of one ward, or without one. */
export interface WallGroup {
  readonly ward: string | null;
  readonly beds: readonly BedView[];
}

/** Every ward that a bed names, in the order of the beds. */
export function wardsOf(beds: readonly BedView[]): readonly string[] {
  return [...new Set(beds.flatMap(({ ward }) => (ward === null ? [] : [ward])))];
}

/** Beds in the order of the configuration, by ward; within a ward the beds of a room stand together. */
export function groupByWard(beds: readonly BedView[]): readonly WallGroup[] {
  const wards = [...new Set(beds.map(({ ward }) => ward))];
  return wards.map((ward) => {
    const here = beds.filter((bed) => bed.ward === ward);
    const rooms = [...new Set(here.map(({ room }) => room))];
    return { ward, beds: rooms.flatMap((room) => here.filter((bed) => bed.room === room)) };
  });
}

/** Most urgent first; of equally urgent ones those of a room together, in the order given. */
export function sortByUrgency(
  beds: readonly BedView[],
  alerts: readonly Alert[],
  at: { readonly nowMs: number },
): readonly BedView[] {
  const inRooms = groupByWard(beds).flatMap((group) => group.beds);
  const urgency = new Map(inRooms.map((bed) => [bed.bedId, urgencyOf(bed, alerts, at.nowMs)]));
  return inRooms.toSorted((a, b) => (urgency.get(b.bedId) ?? 0) - (urgency.get(a.bedId) ?? 0));
}

/** How much a bed asks for somebody: its worst alert that nobody has taken, then one that is known, its score, what is missing or in trouble. */
function urgencyOf(bed: BedView, alerts: readonly Alert[], nowMs: number): number {
  const ranks = alertsOfBed(alerts, bed).map(
    (alert) =>
      (alert.state === "active" ? 100 : 50) + PRIORITY_RANK[alert.priority] * 10 + (alert.nature === "physiological" ? 1 : 0),
  );
  return Math.max(0, ...ranks, scoreRank(bed), troubleRank(bed, nowMs));
}

function scoreRank(bed: BedView): number {
  const ranks = bed.answers.map(({ answer }) => {
    if (answer.kind !== "score") return 0;
    return { high: 40, medium: 30, low: 0, none: 0 }[
      scoreUrgency(
        answer.points,
        answer.parts.map((part) => part.points),
      )
    ];
  });
  return Math.max(0, ...ranks);
}

function troubleRank(bed: BedView, nowMs: number): number {
  if (bed.devices.some((device) => device.link === "down" || device.quarantined)) return 20;
  return bed.numbers.some((number) => freshnessOf(number, nowMs) !== "fresh") ? 10 : 0;
}

/** What stays as it was while somebody reaches for a bed: the order of the beds, and which of them have a row with room for an alert. */
export interface HeldOrder {
  readonly bedIds: readonly string[];
  readonly tall: ReadonlySet<string>;
}

/** Keeps an order while it is held; beds that are new stand at the end, beds that are gone are left out. */
export function keepOrder(held: HeldOrder, wanted: HeldOrder): HeldOrder {
  const here = new Set(wanted.bedIds);
  const known = new Set(held.bedIds);
  const bedIds = [...held.bedIds.filter((id) => here.has(id)), ...wanted.bedIds.filter((id) => !known.has(id))];
  return { bedIds, tall: held.tall };
}
