import type { Alert, AlertNature, Priority } from "../core/alert.ts";
import type { BedId } from "../core/ids.ts";
import type { ContactWay } from "../core/notice.ts";

/** Somebody, or some system, that an alert can be brought to. */
export interface Contact {
  readonly id: string;
  /** Whether a person answers there; a system alone ends no route. */
  readonly answers: "person" | "system";
  /** All are used at once. */
  readonly ways: readonly ContactWay[];
}

/** One step of a route: all of its contacts are told at once. */
export interface RouteStep {
  readonly contacts: readonly Contact[];
  /** When nobody has answered by then, the next step begins, or the last one again. */
  readonly waitSeconds: number;
}

/** Minutes since midnight by the gateway's local time, from the first to before the second; over midnight where the second is smaller. */
export interface RouteHours {
  readonly fromMinute: number;
  readonly toMinute: number;
}

/** Which alerts take a route, and where it leads. What is null takes any. */
export interface Route {
  readonly name: string;
  readonly wards: readonly string[] | null;
  readonly beds: readonly string[] | null;
  readonly patients: readonly string[] | null;
  readonly priorities: readonly Priority[] | null;
  readonly natures: readonly AlertNature[] | null;
  readonly hours: RouteHours | null;
  /** At least one; the last one has a person. */
  readonly steps: readonly RouteStep[];
  /** True: further routes down the list are taken as well. */
  readonly goesOn: boolean;
}

/** What is known where an alert begins its way. */
export interface RouteCircumstances {
  readonly wardOf: (bedId: BedId) => string | null;
  /** Local time; null while the clock is not believed: then a route with hours is taken, and those below it too. Source: SAFETY.md, rule 9. */
  readonly minuteOfDay: number | null;
}

/**
 * The routes that an alert takes, in their order: the first one that fits, and those below it as far as each goes on. An alert about the
 * routes themselves takes none: it is shown at the bed, where nobody else can be reached.
 */
export function routesOf(routes: readonly Route[], alert: Alert, at: RouteCircumstances): readonly Route[] {
  if (isOfRoutes(alert)) return [];
  const taken: Route[] = [];
  for (const route of routes) {
    if (!fits(route, alert, at)) continue;
    taken.push(route);
    // Nobody knows whether it is this route's hour: those below it are told as well.
    const isDoubtful = route.hours !== null && at.minuteOfDay === null;
    if (!route.goesOn && !isDoubtful) break;
  }
  return taken;
}

/** Whether an alert says that a route leads to nobody. */
function isOfRoutes({ rule }: Pick<Alert, "rule">): boolean {
  return rule === "fault.route-unreachable" || rule === "fault.route-unanswered";
}

function fits(route: Route, alert: Alert, { wardOf, minuteOfDay }: RouteCircumstances): boolean {
  const { patientId, bedId } = alert.subject;
  const ward = bedId === null ? null : wardOf(bedId);
  const among = (wanted: readonly string[] | null, given: string | null) =>
    wanted === null || (given !== null && wanted.includes(given));
  return (
    among(route.wards, ward) &&
    among(route.beds, bedId) &&
    among(route.patients, patientId) &&
    among(route.priorities, alert.priority) &&
    among(route.natures, alert.nature) &&
    (route.hours === null || minuteOfDay === null || isWithin(route.hours, minuteOfDay))
  );
}

function isWithin({ fromMinute, toMinute }: RouteHours, minute: number): boolean {
  return fromMinute <= toMinute ? minute >= fromMinute && minute < toMinute : minute >= fromMinute || minute < toMinute;
}
