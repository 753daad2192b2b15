import {
  EMPTY_ROUTE_BOOK,
  isOnItsWay,
  type RouteBook,
  type RouteInput,
  type RouteStepResult,
  rebuildRoutes,
  stepRoutes,
} from "../alerts/route-book.ts";
import { type Route, type RouteCircumstances, routesOf } from "../alerts/route-plan.ts";
import type { Alert, ConditionChange } from "../core/alert.ts";
import type { AlertId, BedId, Seq } from "../core/ids.ts";
import type { Notice, Order } from "../core/notice.ts";
import type { Clock } from "../core/time.ts";

/** What a desk of routes needs. */
export interface RouteDeskParts {
  readonly clock: Clock;
  /** In the configuration's order. */
  readonly routes: readonly Route[];
  readonly wardOf: (bedId: BedId) => string | null;
  /** By the gateway's local time; null while the clock is not believed. */
  readonly minuteOfDay: () => number | null;
  readonly nextSeq: () => Seq;
  readonly record: (notices: readonly Notice[]) => void;
  /** Raises and ends what is to be told at the bed. */
  readonly settle: (changes: readonly ConditionChange[]) => void;
  /** Brings alerts to contacts; says what became of each by `word`. */
  readonly bring: (orders: readonly Order[]) => void;
  /** What was ordered for a case is of no use any more. */
  readonly drop: (of: { readonly alertId: AlertId; readonly route: string }) => void;
  /** Somebody took an alert as theirs: writes it down as their acknowledgement. False where that is refused. */
  readonly acknowledge: (alertId: AlertId, by: string) => Promise<boolean>;
  readonly openAlerts: () => readonly Alert[];
}

/** Where alerts begin their way, and where word of them comes back. */
export interface RouteDesk {
  /** New states of alerts; call it when they are recorded. */
  readonly take: (alerts: readonly Alert[]) => void;
  /** False where nothing waits for it any more. */
  readonly word: (word: Omit<Extract<RouteInput, { readonly kind: "word" }>, "kind">) => boolean;
  readonly tick: () => void;
  /** Takes up the cases of before a restart. */
  readonly resume: (alerts: readonly Alert[], notices: readonly Notice[], agoMs: (notice: Notice) => number | null) => void;
  readonly book: () => RouteBook;
}

/** Opens a desk without cases. */
export function openRouteDesk(parts: RouteDeskParts): RouteDesk {
  let book: RouteBook = EMPTY_ROUTE_BOOK;
  const moment = () => ({ wallMs: parts.clock.wall(), monotonicMs: parts.clock.monotonic(), nextSeq: parts.nextSeq });
  const circumstances = (): RouteCircumstances => ({ wardOf: parts.wardOf, minuteOfDay: parts.minuteOfDay() });
  const routesNow = (alert: Alert) => routesOf(parts.routes, alert, circumstances());
  const follow = (result: RouteStepResult) => {
    book = result.book;
    // The journal wants rising numbers: what follows makes records of its own.
    if (result.notices.length > 0) parts.record(result.notices);
    for (const closed of result.closed) parts.drop(closed);
    if (result.orders.length > 0) parts.bring(result.orders);
    if (result.conditions.length > 0) parts.settle(result.conditions);
    for (const { alertId, by } of result.answered) void answered(alertId, by);
  };
  /** An answer that cannot be written down is none: the alert begins its way anew. */
  const answered = async (alertId: AlertId, by: string) => {
    if (!(await parts.acknowledge(alertId, by))) take(parts.openAlerts().filter(({ id }) => id === alertId));
  };
  const step = (input: RouteInput) => follow(stepRoutes(book, input, moment()));
  const take = (alerts: readonly Alert[]) => {
    for (const alert of alerts) step({ kind: "alert", alert, routes: alert.state === "active" ? routesNow(alert) : [] });
  };
  return {
    take,
    word: (word) => {
      const isAwaited = isOnItsWay(book, word.of);
      step({ kind: "word", ...word });
      return isAwaited;
    },
    tick: () => step({ kind: "tick" }),
    resume: (alerts, notices, agoMs) =>
      follow(rebuildRoutes({ alerts, notices, plan: parts.routes, routesOf: routesNow, agoMs }, moment())),
    book: () => book,
  };
}
