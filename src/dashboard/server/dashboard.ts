import { join } from "node:path";
import fastifyStatic from "@fastify/static";
import { type FastifyInstance, type FastifyReply, type FastifyRequest, fastify } from "fastify";
import { ERRORS, type ErrorCode, type Fault, fault } from "../../core/errors.ts";
import { alertId, bedId, patientId, type UserId, userId } from "../../core/ids.ts";
import { LIMITS } from "../../core/limits.ts";
import type { OperationsView } from "../../core/operations.ts";
import type { PerformAct } from "../../core/ports.ts";
import { isQuantityName } from "../../core/quantities.ts";
import { fail, type Result, succeed } from "../../core/result.ts";
import { type Clock, wallMs } from "../../core/time.ts";
import { type Accounts, openAccounts } from "./accounts.ts";
import { parseDeed } from "./deed-parser.ts";
import { createLiveStream, type LiveStream } from "./live-stream.ts";
import { addOperations } from "./operations-routes.ts";
import { cookieValue, hostIsAllowed, isLoopback, postIsOurs, SECURITY_HEADERS } from "./request-guard.ts";
import {
  createOneTimeToken,
  createSignInGate,
  type OneTimeToken,
  openSessions,
  type Sessions,
  type SignInGate,
} from "./sessions.ts";
import type { DashboardSource } from "./source.ts";

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
  readonly close: () => Promise<void>;
}

/** Who acts where nobody signs in. */
const anybody = userId("page");

const requestMsMax = 10_000;

/** Everything the routes share. */
interface Room {
  readonly options: DashboardOptions;
  readonly parts: DashboardParts;
  readonly accounts: Accounts;
  readonly sessions: Sessions;
  readonly gate: SignInGate;
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
  const sessions = await openSessions(join(options.dataFolder, "sessions.json"), { ...parts, seal: accounts.value.seal });
  const live = createLiveStream(parts);
  let port = options.port;
  const room: Room = {
    options,
    parts,
    accounts: accounts.value,
    sessions,
    gate: createSignInGate({ clock: parts.clock, known: accounts.value.has }),
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
  try {
    guard(app, room);
    addSignIn(app, room);
    addReading(app, room);
    addActs(app, room);
    addOperations(app, room);
    await app.register(fastifyStatic, { root: options.webFolder, index: "index.html", setHeaders: setCaching });
    await app.listen({ host: options.host, port: options.port });
  } catch (error) {
    live.close();
    await app.close();
    await sessions.close();
    return fail(startFault(error, options));
  }
  const address = app.server.address();
  if (address !== null && typeof address === "object") port = address.port;
  const url = `http://${shownHost(options.host)}:${port}/`;
  return succeed({
    url,
    // Behind the hash, so that the token is in no log, no Referer and no request until the person sends it.
    oneTimeLink: room.oneTime === null ? null : `${url}#/first/${room.oneTime.token}`,
    close: async () => {
      live.close();
      await app.close();
      await sessions.close();
    },
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

function userOf(request: FastifyRequest, room: Room): UserId | null {
  if (!room.options.signIn) return anybody;
  const sessionId = cookieValue(request.headers.cookie, room.cookieName());
  return sessionId === null ? null : room.sessions.userOf(sessionId);
}

function beginSession(reply: FastifyReply, room: Room, user: UserId): FastifyReply {
  const seconds = LIMITS.sessionHoursMax.value * 3600;
  const cookie = `${room.cookieName()}=${room.sessions.begin(user)}; HttpOnly; SameSite=Strict; Path=/; Max-Age=${seconds}`;
  return reply.header("set-cookie", cookie).send({ ok: true, user });
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
    const user = userOf(request, room);
    const firstAccountNeeded = room.options.signIn && room.accounts.count() === 0;
    return reply.send({ ok: true, user, signIn: room.options.signIn, firstAccountNeeded });
  });

  app.post("/api/first-account", async (request, reply) => {
    const token = textField(request.body, "token");
    const name = textField(request.body, "name");
    const password = textField(request.body, "password");
    if (token === null || name === null || password === null) return refuse(reply, 400, fault("request-refused"));
    if (room.oneTime === null || !room.oneTime.fits(token)) return refuse(reply, 403, fault("one-time-link-refused"));
    // Used before the disk is waited for, so that two requests with the same link cannot both make an account.
    room.oneTime.use();
    const added = await room.accounts.add(name, password, room.parts.clock.wall());
    if (!added.ok) {
      room.oneTime.restore();
      return refuse(reply, added.error.code === "account-refused" ? 422 : 500, added.error);
    }
    return beginSession(reply, room, added.value);
  });

  app.post("/api/sign-in", async (request, reply) => {
    const name = textField(request.body, "name");
    const password = textField(request.body, "password");
    if (name === null || password === null) return refuse(reply, 400, fault("request-refused"));
    if (!room.gate.admit(name)) return refuse(reply, 429, fault("sign-in-locked"));
    const user = await room.accounts.check(name, password);
    if (user === null) return refuse(reply, 401, fault("sign-in-refused"));
    room.gate.forgive(name);
    return beginSession(reply, room, user);
  });

  app.post("/api/sign-out", async (request, reply) => {
    const sessionId = cookieValue(request.headers.cookie, room.cookieName());
    if (sessionId !== null) await room.sessions.end(sessionId);
    const cookie = `${room.cookieName()}=; HttpOnly; SameSite=Strict; Path=/; Max-Age=0`;
    return reply.header("set-cookie", cookie).send({ ok: true });
  });
}

/** What pages read: the picture, the live stream, trends and strips. */
function addReading(app: FastifyInstance, room: Room): void {
  app.get("/api/picture", (request, reply) => {
    if (userOf(request, room) === null) return refuse(reply, 401, fault("signed-out"));
    return reply.send(room.parts.source.picture());
  });

  app.get("/api/stream", (request, reply) => {
    if (userOf(request, room) === null) return refuse(reply, 401, fault("signed-out"));
    const asked = queryText(request, "bed");
    const known = asked === null || room.parts.source.picture().beds.some((bed) => bed.bedId === asked);
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
      mayListen: () => userOf(request, room) !== null,
    });
    return reply;
  });

  app.get("/api/trend", async (request, reply) => {
    if (userOf(request, room) === null) return refuse(reply, 401, fault("signed-out"));
    const patient = queryText(request, "patient");
    const quantity = queryText(request, "quantity");
    const fromMs = queryNumber(request, "from");
    const toMs = queryNumber(request, "to");
    const points = queryNumber(request, "points");
    if (patient === null || quantity === null || !isQuantityName(quantity)) return refuse(reply, 400, fault("request-refused"));
    if (fromMs === null || toMs === null || points === null || fromMs >= toMs || points < 2) {
      return refuse(reply, 400, fault("request-refused"));
    }
    const trend = await room.parts.source.trend({
      patientId: patientId(patient),
      quantity,
      fromMs: wallMs(fromMs),
      toMs: wallMs(toMs),
      pointsMax: Math.min(points, LIMITS.trendPointsMax.value),
    });
    return reply.send({ ok: true, points: trend });
  });

  app.get("/api/strip", async (request, reply) => {
    if (userOf(request, room) === null) return refuse(reply, 401, fault("signed-out"));
    const alert = queryText(request, "alert");
    if (alert === null) return refuse(reply, 400, fault("request-refused", { field: "alert" }));
    return reply.send({ ok: true, waves: await room.parts.source.strip(alertId(alert)) });
  });
}

/** The one door through which a page changes something. */
function addActs(app: FastifyInstance, room: Room): void {
  app.post("/api/acts", async (request, reply) => {
    const user = userOf(request, room);
    if (user === null) return refuse(reply, 401, fault("signed-out"));
    const deed = parseDeed(request.body);
    if (!deed.ok) return refuse(reply, 400, fault("request-refused", { field: deed.error.field, problem: deed.error.problem }));
    const performed = await room.parts.perform(deed.value, { userId: user, from: "page" });
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
