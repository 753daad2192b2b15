import type { Config } from "../../config/schema.ts";
import { hoursOf } from "../../config/settings/routes.ts";
import type { Contact, Route } from "../alerts/route-plan.ts";
import type { Alert } from "../core/alert.ts";
import { type AlertId, recordKey, seq, userId } from "../core/ids.ts";
import { LIMITS } from "../core/limits.ts";
import type { Timeline } from "../core/mended-time.ts";
import type { Notice } from "../core/notice.ts";
import type { Journal, PerformAct } from "../core/ports.ts";
import type { RouteReceipt } from "../core/record.ts";
import type { Clock, ClockTrust } from "../core/time.ts";
import type { NoticeDesk, NoticeDeskParts } from "../notices/notice-desk.ts";
import { openRouteDesk, type RouteDesk, type RouteDeskParts } from "./route-desk.ts";

/** Opens the desk that brings alerts to contacts, by the channels of the configuration. */
export type OpenNotices = (word: NoticeDeskParts["word"]) => NoticeDesk;

/** The routes of the configuration, joined to those who bring alerts. */
export interface AlertRoutes extends Pick<RouteDesk, "take" | "tick" | "resume"> {
  /** Left out where there are no routes. */
  readonly answer?: NoticeDesk["answer"];
  readonly close: () => Promise<void>;
}

const MINUTES_PER_HOUR = 60;

/** Joins routes and channels; without routes nothing is opened and nothing is taken. */
export function openAlertRoutes(
  config: Pick<Config, "routes" | "contacts" | "beds">,
  parts: Pick<RouteDeskParts, "clock" | "nextSeq" | "settle" | "openAlerts"> & {
    readonly gatewayId: string;
    /** The journal's epoch. */
    readonly epoch: string;
    readonly record: (receipts: readonly RouteReceipt[]) => void;
    readonly openNotices: OpenNotices;
    readonly clockTrust: () => ClockTrust;
    readonly perform: PerformAct;
  },
): AlertRoutes {
  if (config.routes.length === 0) return { take: () => {}, tick: () => {}, resume: () => {}, close: async () => {} };
  const wards = new Map(config.beds.map(({ id, ward }) => [id, ward ?? null]));
  const notices = parts.openNotices((word) => desk.word(word));
  const desk = openRouteDesk({
    ...parts,
    record: (notices) => parts.record(notices.map((notice) => receiptOf(notice, parts))),
    routes: routesOfConfig(config),
    wardOf: (bed) => wards.get(bed) ?? null,
    minuteOfDay: () => (parts.clockTrust() === "trusted" ? minuteOfDay(parts.clock) : null),
    bring: notices.bring,
    drop: notices.drop,
    acknowledge: async (alertId, by) =>
      (await parts.perform({ kind: "acknowledge", alertId }, { userId: userId(by), from: "upstream" })).ok,
  });
  return { take: desk.take, tick: desk.tick, resume: desk.resume, answer: notices.answer, close: notices.close };
}

/** The routes as the configuration says them, each contact with its ways. */
function routesOfConfig({ routes, contacts }: Pick<Config, "routes" | "contacts">): readonly Route[] {
  const known = new Map(
    contacts.map(({ id, answers, ways }): [string, Contact] => [
      id,
      { id, answers, ways: ways.map(({ channel, address }) => ({ channel, address: address ?? null })) },
    ]),
  );
  return routes.map((route) => ({
    name: route.name,
    wards: route.wards ?? null,
    beds: route.beds ?? null,
    patients: route.patients ?? null,
    priorities: route.priorities ?? null,
    natures: route.natures ?? null,
    hours: hoursOf(route.hours),
    goesOn: route.goesOn,
    steps: route.steps.map(({ tell, waitSeconds }) => ({
      waitSeconds,
      contacts: tell.flatMap((id) => known.get(id) ?? []),
    })),
  }));
}

function minuteOfDay(clock: Clock): number {
  const now = new Date(clock.wall());
  return now.getHours() * MINUTES_PER_HOUR + now.getMinutes();
}

/** A notice as the journal keeps it. */
function receiptOf(
  { seq: number, atMs, alertSeq, state, by, ...hop }: Notice,
  { gatewayId, epoch }: { readonly gatewayId: string; readonly epoch: string },
): RouteReceipt {
  const of = recordKey({ gatewayId, epoch, seq: alertSeq });
  return { kind: "receipt", seq: number, atMs, of, reader: `route:${hop.route}`, state, by: by ?? "gateway", hop };
}

function noticeOf({ seq: number, atMs, of, state, by, hop }: RouteReceipt): Notice {
  const alertSeq = seq(Number(of.slice(of.lastIndexOf("/") + 1)));
  return { ...hop, seq: number, atMs, alertSeq, state, by: by === "gateway" ? null : by };
}

/** What the journal holds of the ways of open alerts, in order. */
export async function readNotices(journal: Pick<Journal, "read">, openAlerts: readonly Alert[]): Promise<readonly Notice[]> {
  const active = openAlerts.filter(({ state }) => state === "active");
  if (active.length === 0) return [];
  const ids = new Set<AlertId>(active.map(({ id }) => id));
  const found: Notice[] = [];
  for (let afterSeq = seq(Math.min(...active.map(({ id }) => firstSeqOf(id))) - 1); ; ) {
    const page = await journal.read({ afterSeq, limit: LIMITS.journalReadRecordsMax.value, kinds: ["receipt"] });
    for (const record of page) {
      if (record.kind === "receipt" && "hop" in record && ids.has(record.hop.alertId)) found.push(noticeOf(record));
    }
    const last = page.at(-1);
    if (last === undefined) return found;
    afterSeq = last.seq;
  }
}

/** An alert's id ends with the number of its first record. */
function firstSeqOf(id: AlertId): number {
  const number = Number(id.slice(id.lastIndexOf("-") + 1));
  return Number.isInteger(number) && number > 0 ? number : 1;
}

/** How long ago a notice was, or null where the clock does not tell. */
export function noticeAgoMs(notice: Notice, clock: Clock, timeline: Timeline): number | null {
  return timeline.ageMs({ seq: notice.seq, atMs: notice.atMs, monotonicMs: null }, clock.monotonic());
}
