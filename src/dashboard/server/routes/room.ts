import type { FastifyReply, FastifyRequest } from "fastify";
import type { AccessDeed, Role } from "../../../core/act.ts";
import { ERRORS, type ErrorCode, type Fault } from "../../../core/errors.ts";
import { type PatientId, type UserId, userId } from "../../../core/ids.ts";
import type { Actor } from "../../../core/ports.ts";
import type { CertificateView } from "../../../core/settings-view.ts";
import type { Accounts } from "../accounts.ts";
import type { DashboardOptions, DashboardParts } from "../dashboard-options.ts";
import type { LiveStream } from "../live-stream.ts";
import type { RefusalBook } from "../refusal-book.ts";
import { cookieValue } from "../request-guard.ts";
import type { OneTimeToken, Sessions, SignInGate } from "../sessions.ts";
import type { Whereabouts } from "../source.ts";

/** Who uses a page. */
export interface Signed {
  readonly user: UserId;
  /** Null where nobody signs in: then everybody who reaches the port may see and do everything. */
  readonly role: Role | null;
  /** The one patient whose family this is; null for everybody else. */
  readonly familyOf: PatientId | null;
}

/** Who acts where nobody signs in. */
export const anybody: Signed = { user: userId("page"), role: null, familyOf: null };

/** Everything the routes share. */
export interface Room {
  readonly options: DashboardOptions;
  readonly parts: DashboardParts;
  readonly accounts: Accounts;
  readonly sessions: Sessions;
  readonly gate: SignInGate;
  readonly refusals: RefusalBook;
  /** Makes an act of something that is done already; nobody waits for its disk. */
  readonly tell: (deed: AccessDeed, actor: Omit<Actor, "from">) => void;
  readonly oneTime: OneTimeToken | null;
  readonly live: LiveStream;
  /** Known once the port is; cookies of two gateways on one machine must not meet. */
  readonly cookieName: () => string;
  /** What people are told of the page's certificate; null where the page is not encrypted. */
  readonly certificate: () => CertificateView | null;
}

/** Answers with a fault; the page shows its texts, other programs read its code. */
export function refuse(reply: FastifyReply, status: number, what: Fault): FastifyReply {
  const title = ERRORS[what.code satisfies ErrorCode].title;
  return reply.code(status).send({ ok: false, error: what, title });
}

/** Who asks; null where a sign-in is needed and there is none that holds. */
export function signedIn(request: FastifyRequest, room: Room): Signed | null {
  if (!room.options.signIn) return anybody;
  const sessionId = cookieValue(request.headers.cookie, room.cookieName());
  const user = sessionId === null ? null : room.sessions.userOf(sessionId);
  const account = user === null ? null : room.accounts.find(user);
  // The role is asked for at each request: a change of it holds at once.
  return user === null || account === null ? null : { user, role: account.role, familyOf: account.patientId };
}

/** Where the patient is whose family this is. */
export function whereFamilyIs(signed: Signed, room: Room): Whereabouts | null {
  return signed.familyOf === null ? null : room.parts.source.whereIs(signed.familyOf);
}

/** A text of a JSON body; null where it is none, or too long. */
export function textField(body: unknown, field: string): string | null {
  if (typeof body !== "object" || body === null) return null;
  const value = (body as Readonly<Record<string, unknown>>)[field];
  return typeof value === "string" && value.length <= 1024 ? value : null;
}

/** A text of the address; null where it is left out, empty or too long. */
export function queryText(request: FastifyRequest, field: string): string | null {
  const value = (request.query as Readonly<Record<string, unknown>>)[field];
  return typeof value === "string" && value !== "" && value.length <= 256 ? value : null;
}

/** A whole number of the address, 0 or more; null where it is none. */
export function queryNumber(request: FastifyRequest, field: string): number | null {
  const text = queryText(request, field);
  const number = text === null || !/^\d{1,15}$/.test(text) ? null : Number(text);
  return number;
}
