import { join } from "node:path";
import fastifyStatic from "@fastify/static";
import { type FastifyInstance, type FastifyReply, type FastifyRequest, fastify } from "fastify";
import type { AccessDeed, Role } from "../../core/act.ts";
import { ERRORS, type ErrorCode, type Fault, fault } from "../../core/errors.ts";
import { alertId, bedId, type PatientId, patientId, seq, type UserId, userId } from "../../core/ids.ts";
import { LIMITS } from "../../core/limits.ts";
import type { OperationsView } from "../../core/operations.ts";
import type { Actor, PerformAct } from "../../core/ports.ts";
import { isQuantityName } from "../../core/quantities.ts";
import { fail, type Result, succeed } from "../../core/result.ts";
import { type Clock, wallMs } from "../../core/time.ts";
import { type Accounts, openAccounts } from "./accounts.ts";
import { parseDeed } from "./deed-parser.ts";
import { familyPicture } from "./family-view.ts";
import { createLiveStream, type LiveStream } from "./live-stream.ts";
import { addOperations } from "./operations-routes.ts";
import { createRefusalBook, type RefusalBook } from "./refusal-book.ts";
import { cookieValue, hostIsAllowed, isLoopback, postIsOurs, SECURITY_HEADERS } from "./request-guard.ts";
import { mayDo, mayUse, ROUTE_RIGHTS } from "./rights.ts";
import {
  createOneTimeToken,
  createSignInGate,
  type OneTimeToken,
  openSessions,
  type Sessions,
  type SignInGate,
} from "./sessions.ts";
import type { DashboardSource, Whereabouts } from "./source.ts";
import { createUserDesk, type UserDesk, waitingActor } from "./user-desk.ts";

/** Where and how the page is served. */
export interface DashboardOptions {
  /** Address to listen on; `127.0.0.1` unless the configuration says otherwise. */
  readonly host: string;
  /** TCP port; 0 takes any free one. */
  readonly port: number;
  /** Folder of `accounts.json` and `sessions.json`, made with mode 0700 when missing. */
  readonly dataFolder: string;
  /** Folder of the built pages, `dist/dashboard` of the project. */
  readonly webFolder: string;
  /** False only where everybody who reaches the port may see and act. */
  readonly signIn: boolean;
  /** File of the bearer token with which others than this machine get `/metrics`; null or left out: nobody else does. */
  readonly metricsTokenFile?: string | null;
  /** How long a session of each role lasts at most, in minutes; `sessionHoursMax` where it is left out. */
  readonly sessionMinutes?: Readonly<Record<Role, number>>;
}

/** What the page needs of the gateway. */
export interface DashboardParts {
  readonly clock: Clock;
  readonly source: DashboardSource;
  readonly perform: PerformAct;
  /** Cryptographically strong random bytes, `randomBytes` of node:crypto. */
  readonly random: (bytes: number) => Buffer;
  /** How the gateway's process does, for `/metrics` and `/readyz`; left out: there are none. */
  readonly operations?: () => OperationsView;
}

/** The page while it is served. */
export interface Dashboard {
  /** Such as `http://127.0.0.1:8080/`. */
  readonly url: string;
  /** The link with which the first account is made, or null where there is one already or no sign-in. Good once and for an hour. */
  readonly oneTimeLink: string | null;
  /** Changes accounts while the page is served; ends the sessions of whose account was changed. */
  readonly users: (request: Parameters<UserDesk["handle"]>[0], actor: Actor) => ReturnType<UserDesk["handle"]>;
  readonly close: () => Promise<void>;
}

/** Who uses a page. */
interface Signed {
  readonly user: UserId;
  /** Null where nobody signs in: then everybody who reaches the port may see and do everything. */
  readonly role: Role | null;
  /** The one patient whose family this is; null for everybody else. */
  readonly familyOf: PatientId | null;
}

/** Who acts where nobody signs in. */
const anybody: Signed = { user: userId("page"), role: null, familyOf: null };

const requestMsMax = 10_000;

/** Everything the routes share. */
interface Room {
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
}

/**
 * Serves the page.
 *
 * @returns  The running page; `page-port-in-use` or `page-failed` where it cannot be served: the caller goes on without it and tries again.
 */
export async function startDashboard(options: DashboardOptions, parts: DashboardParts): Promise<Result<Dashboard, Fault>> {
  const accounts = await openAccounts(join(options.dataFolder, "accounts.json"), parts.random);
  if (!accounts.ok) return accounts;
  const tell: Room["tell"] = (deed, actor) => void parts.perform(deed, { from: "page", ...actor }).catch(() => undefined);
  const timedOut = (user: UserId) => {
    tell({ kind: "sign-out", why: "time-out" }, { userId: user, role: accounts.value.find(user)?.role ?? null });
  };
  const sealed = { ...parts, seal: accounts.value.seal, onTimeOut: timedOut };
  const sessions = await openSessions(join(options.dataFolder, "sessions.json"), sealed);
  await accounts.value.tellWaitingChanges((change) => parts.perform(change.deed, waitingActor(change)));
  const refusals = createRefusalBook({
    clock: parts.clock,
    tell: (refused, at) => tell(refused, { userId: refused.account ?? "unknown", at }),
  });
  const live = createLiveStream(parts);
  let port = options.port;
  const room: Room = {
    options,
    parts,
    accounts: accounts.value,
    sessions,
    gate: createSignInGate({ clock: parts.clock, known: accounts.value.has }),
    refusals,
    tell,
    oneTime: options.signIn && accounts.value.count() === 0 ? createOneTimeToken(parts) : null,
    live,
    cookieName: () => `vigil-session-${port}`,
  };
  const app = fastify({
    bodyLimit: LIMITS.pageBodyBytesMax.value,
    requestTimeout: requestMsMax,
    forceCloseConnections: true,
    exposeHeadRoutes: false,
  });
  const closeAll = async () => {
    live.close();
    refusals.close();
    await app.close();
    await sessions.close();
  };
  try {
    guard(app, room);
    addSignIn(app, room);
    addReading(app, room);
    addHistory(app, room);
    addActs(app, room);
    addOperations(app, room);
    await app.register(fastifyStatic, { root: options.webFolder, index: "index.html", setHeaders: setCaching });
    await app.listen({ host: options.host, port: options.port });
  } catch (error) {
    await closeAll();
    return fail(startFault(error, options));
  }
  const address = app.server.address();
  if (address !== null && typeof address === "object") port = address.port;
  const url = `http://${shownHost(options.host)}:${port}/`;
  return succeed({
    url,
    // Behind the hash, so that the token is in no log, no Referer and no request until the person sends it.
    oneTimeLink: room.oneTime === null ? null : `${url}#/first/${room.oneTime.token}`,
    users: usersOf(room),
    close: closeAll,
  });
}

/** Changes of accounts, told as acts; whoever's password, role or account was changed signs in anew. */
function usersOf(room: Room): Dashboard["users"] {
  const desk = createUserDesk({ accounts: room.accounts, clock: room.parts.clock });
  return (request, actor) =>
    desk.handle(request, (deed) => {
      void room.parts.perform(deed, actor).catch(() => undefined);
      if (deed.kind !== "account-changed" && deed.kind !== "account-removed") return;
      const role = room.accounts.find(deed.account)?.role ?? null;
      for (let count = room.sessions.endAllOf(deed.account); count > 0; count--)
        room.tell({ kind: "sign-out", why: "account-changed" }, { userId: deed.account, role });
    });
}

function startFault(error: unknown, options: DashboardOptions): Fault {
  const code = error instanceof Error && "code" in error ? String(error.code) : "unknown";
  if (code === "EADDRINUSE") return fault("page-port-in-use", { host: options.host, port: options.port });
  return fault("page-failed", { host: options.host, port: options.port, reason: code });
}

function shownHost(host: string): string {
  if (host === "0.0.0.0" || host === "::") return "127.0.0.1";
  return host.includes(":") && !host.startsWith("[") ? `[${host}]` : host;
}

function setCaching(reply: FastifyReply, path: string): void {
  const named = /[\\/]assets[\\/]/.test(path);
  reply.header("cache-control", named ? "public, max-age=31536000, immutable" : "no-cache");
}

/** Checks what every request must pass, before any route sees it. */
function guard(app: FastifyInstance, room: Room): void {
  const page = { loopback: isLoopback(room.options.host), signIn: room.options.signIn };
  app.removeAllContentTypeParsers();
  app.addContentTypeParser("application/json", { parseAs: "string" }, (_request, body, done) => {
    try {
      const parsed: unknown = JSON.parse(String(body));
      done(null, parsed);
    } catch {
      done(Object.assign(new Error("not JSON"), { statusCode: 400 }), undefined);
    }
  });
  app.addHook("onRequest", async (request, reply) => {
    reply.headers(SECURITY_HEADERS);
    if (request.url.startsWith("/api/")) reply.header("cache-control", "no-store");
    if (!hostIsAllowed(request.headers.host, page)) return refuse(reply, 421, fault("request-refused", { field: "host" }));
    if (request.method === "POST" && !postIsOurs(request.headers)) {
      return refuse(reply, 403, fault("request-refused", { field: "origin" }));
    }
    return refuseByRights(request, reply, room);
  });
  app.setErrorHandler((error, _request, reply) => {
    const given = error instanceof Error && "statusCode" in error ? Number(error.statusCode) : 500;
    const status = Number.isInteger(given) && given >= 400 && given < 500 ? given : 500;
    return refuse(reply, status, fault(status === 500 ? "page-failed" : "request-refused", { status }));
  });
  app.setNotFoundHandler((_request, reply) => refuse(reply, 404, fault("request-refused", { status: 404 })));
}

/** Answers with a fault; the page shows its texts, other programs read its code. */
function refuse(reply: FastifyReply, status: number, what: Fault): FastifyReply {
  const title = ERRORS[what.code satisfies ErrorCode].title;
  return reply.code(status).send({ ok: false, error: what, title });
}

/** Holds each request under `/api/` against the table of rights, before its body is read. */
function refuseByRights(request: FastifyRequest, reply: FastifyReply, room: Room): FastifyReply | undefined {
  const route = request.routeOptions.url;
  if (route === undefined || !route.startsWith("/api/")) return undefined;
  const right = ROUTE_RIGHTS[`${request.method} ${route}`];
  if (right === "anyone") return undefined;
  const signed = signedIn(request, room);
  if (signed === null) return refuse(reply, 401, fault("signed-out"));
  const may = right !== undefined && (signed.role === null || mayUse(signed.role, right));
  return may ? undefined : refuse(reply, 403, fault("not-allowed"));
}

function signedIn(request: FastifyRequest, room: Room): Signed | null {
  if (!room.options.signIn) return anybody;
  const sessionId = cookieValue(request.headers.cookie, room.cookieName());
  const user = sessionId === null ? null : room.sessions.userOf(sessionId);
  const account = user === null ? null : room.accounts.find(user);
  // The role is asked for at each request: a change of it holds at once.
  return user === null || account === null ? null : { user, role: account.role, familyOf: account.patientId };
}

/** Where the patient is whose family this is. */
function whereFamilyIs(signed: Signed, room: Room): Whereabouts | null {
  return signed.familyOf === null ? null : room.parts.source.whereIs(signed.familyOf);
}

/** A session always begins with an id of its own: one that the browser already had is ended, and never taken over. */
async function beginSession(request: FastifyRequest, reply: FastifyReply, room: Room): Promise<FastifyReply> {
  const name = textField(request.body, "name") ?? "";
  const account = room.accounts.find(name);
  if (account === null) return refuse(reply, 401, fault("sign-in-refused"));
  const former = cookieValue(request.headers.cookie, room.cookieName());
  if (former !== null) await room.sessions.end(former);
  const minutesMax = LIMITS.sessionHoursMax.value * 60;
  const minutes = room.options.sessionMinutes?.[account.fromBeforeRoles ? "nurse" : account.role] ?? minutesMax;
  const sessionId = room.sessions.begin(userId(name), minutes * 60_000);
  room.tell({ kind: "sign-in" }, { userId: name, role: account.role, at: request.ip });
  const cookie = `${room.cookieName()}=${sessionId}; HttpOnly; SameSite=Strict; Path=/; Max-Age=${Math.min(minutes, minutesMax) * 60}`;
  return reply.header("set-cookie", cookie).send({ ok: true, user: name, role: account.role });
}

function textField(body: unknown, field: string): string | null {
  if (typeof body !== "object" || body === null) return null;
  const value = (body as Readonly<Record<string, unknown>>)[field];
  return typeof value === "string" && value.length <= 1024 ? value : null;
}

/** The doors that are open before anybody has signed in. */
function addSignIn(app: FastifyInstance, room: Room): void {
  app.get("/api/healthz", (_request, reply) => reply.send({ alive: true }));

  app.get("/api/session", (request, reply) => {
    const signed = signedIn(request, room);
    const firstAccountNeeded = room.options.signIn && room.accounts.count() === 0;
    const who = { user: signed?.user ?? null, role: signed?.role ?? null, familyOf: signed?.familyOf ?? null };
    return reply.send({ ok: true, ...who, signIn: room.options.signIn, firstAccountNeeded });
  });

  app.post("/api/first-account", async (request, reply) => {
    const token = textField(request.body, "token");
    const name = textField(request.body, "name");
    const password = textField(request.body, "password");
    if (token === null || name === null || password === null) return refuse(reply, 400, fault("request-refused"));
    if (room.oneTime === null || !room.oneTime.fits(token)) return refuse(reply, 403, fault("one-time-link-refused"));
    // Used before the disk is waited for, so that two requests with the same link cannot both make an account.
    room.oneTime.use();
    const account = { name, password, role: "administrator", patientId: null, createdAtMs: room.parts.clock.wall() } as const;
    const added = await room.accounts.add(account);
    if (!added.ok) {
      room.oneTime.restore();
      return refuse(reply, added.error.code === "account-refused" ? 422 : 500, added.error);
    }
    room.tell(added.value, { userId: name, role: "administrator", at: request.ip });
    return beginSession(request, reply, room);
  });

  app.post("/api/sign-in", async (request, reply) => {
    const name = textField(request.body, "name");
    const password = textField(request.body, "password");
    if (name === null || password === null) return refuse(reply, 400, fault("request-refused"));
    // What was typed in place of a name may be a password: only names of accounts are recorded.
    const account = room.accounts.has(name) ? name : null;
    if (!room.gate.admit(name)) {
      room.refusals.note({ account, why: "locked" }, request.ip);
      return refuse(reply, 429, fault("sign-in-locked"));
    }
    const user = await room.accounts.check(name, password);
    if (user === null) {
      room.refusals.note({ account, why: account === null ? "no-account" : "wrong-password" }, request.ip);
      return refuse(reply, 401, fault("sign-in-refused"));
    }
    if (!room.gate.enter(name)) return refuse(reply, 429, fault("sign-in-locked"));
    return beginSession(request, reply, room);
  });

  app.post("/api/sign-out", async (request, reply) => {
    const sessionId = cookieValue(request.headers.cookie, room.cookieName());
    const signed = signedIn(request, room);
    if (sessionId !== null) await room.sessions.end(sessionId);
    if (room.options.signIn && signed !== null)
      room.tell({ kind: "sign-out", why: "asked" }, { userId: signed.user, role: signed.role, at: request.ip });
    const cookie = `${room.cookieName()}=; HttpOnly; SameSite=Strict; Path=/; Max-Age=0`;
    return reply.header("set-cookie", cookie).send({ ok: true });
  });
}

/** What pages read as it is now: the picture and the live stream. The table of rights was asked before. */
function addReading(app: FastifyInstance, room: Room): void {
  const { source } = room.parts;
  app.get("/api/picture", (request, reply) => {
    const signed = signedIn(request, room) ?? anybody;
    const picture = source.picture();
    return reply.send(signed.familyOf === null ? picture : familyPicture(picture, whereFamilyIs(signed, room)));
  });

  app.get("/api/stream", (request, reply) => {
    const signed = signedIn(request, room) ?? anybody;
    const asked = queryText(request, "bed");
    const { familyOf } = signed;
    const isTheirs = familyOf === null || asked === null || whereFamilyIs(signed, room)?.bedId === asked;
    if (!isTheirs) return refuse(reply, 403, fault("not-allowed"));
    const known = asked === null || source.picture().beds.some((bed) => bed.bedId === asked);
    if (!known) return refuse(reply, 404, fault("request-refused", { field: "bed" }));
    if (room.live.pageCount() >= LIMITS.pageStreamsMax.value) return refuse(reply, 503, fault("pages-too-many"));
    reply.hijack();
    reply.raw.writeHead(200, {
      ...SECURITY_HEADERS,
      "content-type": "text/event-stream; charset=utf-8",
      "cache-control": "no-store",
      "x-accel-buffering": "no",
    });
    room.live.open({
      response: reply.raw,
      bedId: asked === null ? null : bedId(asked),
      familyOf,
      // Whose account was given to another patient's family, or has become or was one, begins anew.
      mayListen: () => {
        const now = signedIn(request, room);
        return now !== null && now.familyOf === familyOf;
      },
    });
    return reply;
  });
}

/** What pages read of before: trends, strips, notes and acts; and the accounts. */
function addHistory(app: FastifyInstance, room: Room): void {
  const { source } = room.parts;
  app.get("/api/trend", async (request, reply) => {
    const signed = signedIn(request, room) ?? anybody;
    const patient = queryText(request, "patient");
    const quantity = queryText(request, "quantity");
    const fromMs = queryNumber(request, "from");
    const toMs = queryNumber(request, "to");
    const points = queryNumber(request, "points");
    if (patient === null || quantity === null || !isQuantityName(quantity)) return refuse(reply, 400, fault("request-refused"));
    if (fromMs === null || toMs === null || points === null || fromMs >= toMs || points < 2) {
      return refuse(reply, 400, fault("request-refused"));
    }
    if (signed.familyOf !== null && whereFamilyIs(signed, room)?.patientId !== patient)
      return refuse(reply, 403, fault("not-allowed"));
    const trend = await source.trend({
      patientId: patientId(patient),
      quantity,
      fromMs: wallMs(fromMs),
      toMs: wallMs(toMs),
      pointsMax: Math.min(points, LIMITS.trendPointsMax.value),
    });
    return reply.send({ ok: true, points: trend });
  });

  app.get("/api/strip", async (request, reply) => {
    const signed = signedIn(request, room) ?? anybody;
    const alert = queryText(request, "alert");
    if (alert === null) return refuse(reply, 400, fault("request-refused", { field: "alert" }));
    const theirs = () => familyPicture(source.picture(), whereFamilyIs(signed, room)).alerts;
    if (signed.familyOf !== null && !theirs().some(({ id }) => id === alert)) return refuse(reply, 403, fault("not-allowed"));
    return reply.send({ ok: true, waves: await source.strip(alertId(alert)) });
  });

  app.get("/api/notes", (request, reply) => {
    const patient = queryText(request, "patient");
    if (patient === null) return refuse(reply, 400, fault("request-refused", { field: "patient" }));
    return reply.send({ ok: true, notes: source.notes(patientId(patient)) });
  });

  app.get("/api/audit", async (request, reply) => {
    const after = queryNumber(request, "after") ?? 0;
    const limit = LIMITS.pageAuditActsMax.value;
    return reply.send({ ok: true, acts: await source.acts({ afterSeq: seq(after), limit }) });
  });

  app.get("/api/users", (_request, reply) => reply.send({ ok: true, users: room.accounts.list() }));
}

/** The one door through which a page changes something. */
function addActs(app: FastifyInstance, room: Room): void {
  app.post("/api/acts", async (request, reply) => {
    const { user, role } = signedIn(request, room) ?? anybody;
    const deed = parseDeed(request.body);
    if (!deed.ok) return refuse(reply, 400, fault("request-refused", { field: deed.error.field, problem: deed.error.problem }));
    const { kind } = deed.value;
    const about = deed.value.kind === "acknowledge" ? deed.value.alertId : null;
    const alert =
      role !== "engineer" || about === null ? null : room.parts.source.picture().alerts.find(({ id }) => id === about);
    if (!mayDo(role, kind, alert?.nature ?? null)) return refuse(reply, 403, fault("not-allowed"));
    const performed = await room.parts.perform(deed.value, { userId: user, role, from: "page", at: request.ip });
    if (!performed.ok) return refuse(reply, performed.error.code === "not-allowed" ? 403 : 409, performed.error);
    return reply.send({ ok: true, seq: performed.value.seq, durable: performed.value.durable });
  });
}

function queryText(request: FastifyRequest, field: string): string | null {
  const value = (request.query as Readonly<Record<string, unknown>>)[field];
  return typeof value === "string" && value !== "" && value.length <= 256 ? value : null;
}

function queryNumber(request: FastifyRequest, field: string): number | null {
  const text = queryText(request, field);
  const number = text === null || !/^\d{1,15}$/.test(text) ? null : Number(text);
  return number;
}
