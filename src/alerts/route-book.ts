import type { Alert, Condition, ConditionChange } from "../core/alert.ts";
import type { AlertId, Seq } from "../core/ids.ts";
import { LIMITS } from "../core/limits.ts";
import { type Notice, type NoticeState, type Order, type TellingName, tellingKey } from "../core/notice.ts";
import type { MonotonicMs, WallMs } from "../core/time.ts";
import type { Contact, Route } from "./route-plan.ts";

/** What a telling may become by itself or by word from outside. */
export type TellingState = Extract<NoticeState, "due" | "sent" | "received" | "seen" | "accepted" | "refused" | "failed">;

/** An alert on one route, not answered yet. */
export interface RouteCase {
  /** As it is now. */
  readonly alert: Alert;
  readonly route: Route;
  readonly step: number;
  readonly round: number;
  /** When the step has waited long enough. */
  readonly untilMs: MonotonicMs;
  /** Tellings of this step and round by their names. */
  readonly tellings: ReadonlyMap<string, { readonly name: TellingName; readonly state: TellingState }>;
  /** Conditions that this case has raised, by key. */
  readonly raised: ReadonlyMap<string, Condition>;
}

/** All cases by alert and route. */
export interface RouteBook {
  readonly cases: ReadonlyMap<string, RouteCase>;
}

/** What may happen to cases. */
export type RouteInput =
  /** An alert changed; `routes` are those it takes now. */
  | { readonly kind: "alert"; readonly alert: Alert; readonly routes: readonly Route[] }
  /** Word of a telling, by its channel or from the other end. */
  | {
      readonly kind: "word";
      readonly of: TellingName;
      readonly state: Exclude<TellingState, "due">;
      readonly by: string | null;
      readonly why: string | null;
    }
  | { readonly kind: "tick" };

/** The moment of a step. `nextSeq` is called once for each record made. */
export interface RouteMoment {
  readonly wallMs: WallMs;
  readonly monotonicMs: MonotonicMs;
  readonly nextSeq: () => Seq;
}

/** The book after a step, and everything that follows from it, in order. */
export interface RouteStepResult {
  readonly book: RouteBook;
  readonly notices: readonly Notice[];
  readonly orders: readonly Order[];
  /** Cases that are over: what was ordered for them need not be brought any more. */
  readonly closed: readonly { readonly alertId: AlertId; readonly route: string }[];
  readonly conditions: readonly ConditionChange[];
  /** Alerts that somebody took as theirs, who must be written down as having acknowledged them. */
  readonly answered: readonly { readonly alertId: AlertId; readonly by: string }[];
}

/** A book without cases. */
export const EMPTY_ROUTE_BOOK: RouteBook = { cases: new Map() };

/**
 * The way of alerts along routes as a pure function: the book and what happened give the next book and all that follows.
 *
 * A case is open from the moment an alert is raised until a person took it (by a channel, or by acknowledging it anywhere) or the alert
 * ended. While it is open a step waits, and never for longer than its `waitSeconds`; the last step begins again for ever, with a technical
 * alert at the bed. A contact that cannot be reached is a technical alert at the bed too, and a step of which nobody can be reached waits
 * no longer. An alert that grows worse is told again to those of the step it is at; that takes no time away and gives none.
 */
export function stepRoutes(book: RouteBook, input: RouteInput, at: RouteMoment): RouteStepResult {
  const turn = new Turn(book, at);
  switch (input.kind) {
    case "alert":
      turn.takeAlert(input.alert, input.routes);
      break;
    case "word":
      turn.takeWord(input);
      break;
    case "tick":
      turn.passTime();
      break;
  }
  return turn.result();
}

/**
 * The book after a restart, from the journal's notices. A step goes on as long as it still had; what was due and not sent is ordered again
 * under the same name. Where the time that passed is not known, or the route is no longer in the configuration, nothing waits: the next
 * step, or the routes of now, begin at once.
 *
 * @param given.alerts   Every open alert.
 * @param given.notices  Those of these alerts, in order.
 * @param given.agoMs    How long ago a notice was, or null where the clock does not tell.
 */
export function rebuildRoutes(
  given: {
    readonly alerts: readonly Alert[];
    readonly notices: readonly Notice[];
    readonly plan: readonly Route[];
    readonly routesOf: (alert: Alert) => readonly Route[];
    readonly agoMs: (notice: Notice) => number | null;
  },
  at: RouteMoment,
): RouteStepResult {
  const turn = new Turn(EMPTY_ROUTE_BOOK, at);
  const byAlert = Map.groupBy(given.notices, ({ alertId }) => alertId);
  for (const alert of given.alerts) {
    if (alert.state !== "active") continue;
    const byRoute = Map.groupBy(byAlert.get(alert.id) ?? [], ({ route }) => route);
    for (const [name, notices] of byRoute) {
      const route = given.plan.find((each) => each.name === name);
      if (route !== undefined) turn.resume(alert, route, { notices, agoMs: given.agoMs });
    }
    turn.takeAlert(alert, given.routesOf(alert));
  }
  turn.passTime();
  return turn.result();
}

/** Whether a telling's alert is still on its way along its route. */
export function isOnItsWay(book: RouteBook, { alertId, route }: Pick<TellingName, "alertId" | "route">): boolean {
  return book.cases.has(caseKey(alertId, route));
}

function caseKey(alertId: AlertId, route: string): string {
  return `${alertId}/${route}`;
}

/** One step's work: gathers what follows. */
class Turn {
  readonly #at: RouteMoment;
  readonly #cases: Map<string, RouteCase>;
  readonly #notices: Notice[] = [];
  readonly #orders: Order[] = [];
  readonly #closed: { readonly alertId: AlertId; readonly route: string }[] = [];
  readonly #conditions: ConditionChange[] = [];
  readonly #answered: { readonly alertId: AlertId; readonly by: string }[] = [];

  constructor(book: RouteBook, at: RouteMoment) {
    this.#cases = new Map(book.cases);
    this.#at = at;
  }

  result(): RouteStepResult {
    return {
      book: { cases: this.#cases },
      notices: this.#notices,
      orders: this.#orders,
      closed: this.#closed,
      conditions: this.#conditions,
      answered: this.#answered,
    };
  }

  takeAlert(alert: Alert, routes: readonly Route[]): void {
    const own = [...this.#cases.values()].filter((each) => each.alert.id === alert.id);
    if (alert.state !== "active") {
      for (const each of own) this.#close(each, alert.state === "ended" ? "over" : "answered", alert.acknowledgedBy);
      return;
    }
    const behind = own.filter((each) => alert.raisedCount > each.alert.raisedCount);
    for (const each of own) {
      const next = { ...each, alert };
      this.#put(next);
      if (behind.includes(each)) this.#tellStep(next);
    }
    // Only what is raised takes routes: an alert that grows better, or a night that begins, calls nobody.
    const known = new Set(own.map(({ route }) => route.name));
    if (own.length > 0 && behind.length === 0) return;
    for (const route of routes) if (!known.has(route.name)) this.#open(alert, route);
  }

  takeWord(word: Extract<RouteInput, { kind: "word" }>): void {
    const { of, state, by, why } = word;
    const found = this.#cases.get(caseKey(of.alertId, of.route));
    if (found === undefined) return;
    const key = tellingKey(of);
    const before = found.tellings.get(key)?.state;
    if (before === state) return;
    this.#note(found, { ...word, contact: of.contact, channel: of.channel, by, why, of });
    if (state === "accepted") {
      const who = by ?? of.contact;
      this.#answered.push({ alertId: of.alertId, by: who });
      for (const each of [...this.#cases.values()]) if (each.alert.id === of.alertId) this.#close(each, "answered", who);
      return;
    }
    if (before === undefined) {
      // Of an earlier step, or in older words: it arrived all the same.
      if (state !== "failed") this.#put(this.#end(found, unreachableKey(found, of.contact)));
      return;
    }
    const tellings = new Map(found.tellings).set(key, { name: of, state });
    const next = this.#withReach({ ...found, tellings }, of.contact);
    this.#put(next);
    if (this.#isHopeless(next)) this.#hurry(next);
  }

  passTime(): void {
    for (const each of [...this.#cases.values()]) if (this.#at.monotonicMs >= each.untilMs) this.#goOn(each);
  }

  /** Takes up a case where the journal left it; none where it was over. */
  resume(
    alert: Alert,
    route: Route,
    of: { readonly notices: readonly Notice[]; readonly agoMs: (notice: Notice) => number | null },
  ): void {
    const begun = of.notices.findLastIndex(({ state }) => state === "answered" || state === "over") + 1;
    const notices = of.notices.slice(begun);
    const last = notices.findLast(({ state }) => state === "due");
    if (last === undefined || last.step >= route.steps.length) return;
    const { step, round } = last;
    const ofStep = notices.filter((notice) => notice.step === step && notice.round === round);
    const since = ofStep.find(({ state }) => state === "due") ?? last;
    const agoMs = of.agoMs(since) ?? Number.POSITIVE_INFINITY;
    const leftMs = Math.max(0, (route.steps[step]?.waitSeconds ?? 0) * 1000 - Math.max(0, agoMs));
    const told = { ...alert, raisedCount: last.raisedCount };
    const untilMs = (this.#at.monotonicMs + leftMs) as MonotonicMs;
    let next: RouteCase = { alert: told, route, step, round, untilMs, tellings: new Map(), raised: new Map() };
    next = { ...next, tellings: this.#tellingsOf(next, ofStep) };
    for (const { id } of route.steps[step]?.contacts ?? []) next = this.#withReach(next, id);
    if (round > 0) next = this.#raise(next, unanswered({ ...next, round: round - 1 }));
    this.#put(next);
  }

  /** The last word of each telling of a step; what was not sent is ordered again. */
  #tellingsOf(of: RouteCase, notices: readonly Notice[]): RouteCase["tellings"] {
    const tellings = new Map<string, { readonly name: TellingName; readonly state: TellingState }>();
    for (const contact of of.route.steps[of.step]?.contacts ?? [])
      for (const way of contact.ways) {
        const { alert, route, step, round } = of;
        const { id: alertId, raisedCount } = alert;
        const name = { alertId, raisedCount, route: route.name, step, round, contact: contact.id, channel: way.channel };
        const last = notices.findLast((each) => each.contact === name.contact && each.channel === name.channel);
        const state = last === undefined || last.contact === null ? "due" : (last.state as TellingState);
        tellings.set(tellingKey(name), { name, state });
        if (state === "due") this.#orders.push({ name, way, alert });
      }
    return tellings;
  }

  #open(alert: Alert, route: Route): void {
    this.#begin({ alert, route, step: 0, round: 0, untilMs: this.#at.monotonicMs, tellings: new Map(), raised: new Map() });
  }

  /** The next step, or the last one again. */
  #goOn(of: RouteCase): void {
    const isLast = of.step >= of.route.steps.length - 1;
    this.#note(of, { state: isLast ? "unanswered" : "escalated" });
    if (isLast) this.#begin(this.#raise({ ...of, round: of.round + 1 }, unanswered(of)));
    else this.#begin({ ...of, step: of.step + 1 });
  }

  #begin(of: RouteCase): void {
    const waitMs = (of.route.steps[of.step]?.waitSeconds ?? 0) * 1000;
    this.#tellStep({ ...of, tellings: new Map(), untilMs: (this.#at.monotonicMs + waitMs) as MonotonicMs });
  }

  /** Tells everybody of the step that a case is at. */
  #tellStep(of: RouteCase): void {
    const tellings = new Map<string, { readonly name: TellingName; readonly state: TellingState }>();
    const told = { ...of, tellings };
    for (const contact of of.route.steps[of.step]?.contacts ?? [])
      for (const way of contact.ways) {
        const name: TellingName = {
          alertId: of.alert.id,
          raisedCount: of.alert.raisedCount,
          route: of.route.name,
          step: of.step,
          round: of.round,
          contact: contact.id,
          channel: way.channel,
        };
        tellings.set(tellingKey(name), { name, state: "due" });
        this.#note(told, { state: "due", contact: contact.id, channel: way.channel });
        this.#orders.push({ name, way, alert: of.alert });
      }
    this.#put(told);
    if (this.#isHopeless(told)) this.#hurry(told);
  }

  /** Nobody of the step can answer any more: it waits no longer; the last one begins again a little later. */
  #hurry(of: RouteCase): void {
    if (of.step < of.route.steps.length - 1) {
      this.#goOn(of);
      return;
    }
    const soonMs = (this.#at.monotonicMs + LIMITS.routeRoundMsMin.value) as MonotonicMs;
    if (soonMs < of.untilMs) this.#put({ ...of, untilMs: soonMs });
  }

  #isHopeless({ tellings }: RouteCase): boolean {
    return [...tellings.values()].every(({ state }) => state === "failed" || state === "refused");
  }

  /** Raises, or ends, that a contact cannot be reached by any of its ways. */
  #withReach(of: RouteCase, contactId: string): RouteCase {
    const contact = of.route.steps[of.step]?.contacts.find(({ id }) => id === contactId);
    if (contact === undefined) return of;
    const states = [...of.tellings.values()].filter(({ name }) => name.contact === contactId).map(({ state }) => state);
    const condition = unreachable(of, contact);
    if (states.every((state) => state === "failed")) return this.#raise(of, condition);
    const isReached = states.some((state) => state !== "due" && state !== "failed");
    return isReached ? this.#end(of, condition.key) : of;
  }

  #raise(of: RouteCase, condition: Condition): RouteCase {
    const kind = of.raised.has(condition.key) ? "changed" : "raised";
    this.#conditions.push({ kind, condition });
    return { ...of, raised: new Map(of.raised).set(condition.key, condition) };
  }

  #end(of: RouteCase, key: string): RouteCase {
    if (!of.raised.has(key)) return of;
    this.#conditions.push({ kind: "ended", key });
    const raised = new Map(of.raised);
    raised.delete(key);
    return { ...of, raised };
  }

  #close(of: RouteCase, state: "answered" | "over", by: string | null): void {
    this.#note(of, { state, by });
    for (const key of of.raised.keys()) this.#conditions.push({ kind: "ended", key });
    this.#cases.delete(caseKey(of.alert.id, of.route.name));
    this.#closed.push({ alertId: of.alert.id, route: of.route.name });
  }

  #put(of: RouteCase): void {
    this.#cases.set(caseKey(of.alert.id, of.route.name), of);
  }

  #note(
    of: RouteCase,
    what: {
      readonly state: NoticeState;
      readonly contact?: string;
      readonly channel?: string;
      readonly by?: string | null;
      readonly why?: string | null;
      /** Where word comes of an earlier step or round. */
      readonly of?: TellingName;
    },
  ): void {
    const { alert, route } = of;
    this.#notices.push({
      seq: this.#at.nextSeq(),
      atMs: this.#at.wallMs,
      alertSeq: alert.seq,
      alertId: alert.id,
      raisedCount: what.of?.raisedCount ?? alert.raisedCount,
      priority: alert.priority,
      route: route.name,
      step: what.of?.step ?? of.step,
      round: what.of?.round ?? of.round,
      contact: what.contact ?? null,
      channel: what.channel ?? null,
      state: what.state,
      by: what.by ?? null,
      why: what.why ?? null,
    });
  }
}

/** "Nobody answers": urgent, at the bed, where somebody may still hear it. */
function unanswered({ alert, route, round }: RouteCase): Condition {
  return technical(alert, {
    code: "route-unanswered",
    key: `fault.route-unanswered/${alert.id}/${route.name}`,
    part: `route:${route.name}`,
    priority: "high",
    facts: { route: route.name, rounds: round + 1, rule: alert.rule },
  });
}

function unreachableKey({ alert, route }: RouteCase, contactId: string): string {
  return `fault.route-unreachable/${alert.id}/${route.name}/${contactId}`;
}

function unreachable(of: RouteCase, contact: Contact): Condition {
  const { alert, route, step } = of;
  return technical(alert, {
    code: "route-unreachable",
    key: unreachableKey(of, contact.id),
    part: `route:${route.name}/${contact.id}`,
    priority: "medium",
    facts: { route: route.name, step: step + 1, contact: contact.id, rule: alert.rule },
  });
}

function technical(
  alert: Alert,
  of: {
    readonly code: "route-unanswered" | "route-unreachable";
    readonly key: string;
    readonly part: string;
    readonly priority: "high" | "medium";
    readonly facts: Readonly<Record<string, string | number>>;
  },
): Condition {
  const { patientId, bedId, deviceId } = alert.subject;
  return {
    key: of.key,
    rule: `fault.${of.code}`,
    nature: "technical",
    priority: of.priority,
    subject: { patientId, bedId, deviceId, part: of.part },
    origin: alert.origin,
    evidence: { kind: "fault", code: of.code, facts: of.facts },
  };
}
