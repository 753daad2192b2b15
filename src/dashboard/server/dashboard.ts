import { join } from "node:path";
import fastifyStatic from "@fastify/static";
import { type FastifyInstance, type FastifyReply, type FastifyRequest, fastify } from "fastify";
import { type Fault, fault } from "../../core/errors.ts";
import type { UserId } from "../../core/ids.ts";
import { LIMITS } from "../../core/limits.ts";
import type { Actor } from "../../core/ports.ts";
import { fail, type Result, succeed } from "../../core/result.ts";
import { mayUse, ROUTE_RIGHTS } from "../../core/rights.ts";
import type { CertificateView } from "../../core/settings-view.ts";
import { openAccounts } from "./accounts.ts";
import type { DashboardOptions, DashboardParts } from "./dashboard-options.ts";
import { createLiveStream } from "./live-stream.ts";
import { createRefusalBook } from "./refusal-book.ts";
import { cookieValue, hostIsAllowed, isLoopback, postIsOurs, SECURITY_HEADERS } from "./request-guard.ts";
import { addActs } from "./routes/acts.ts";
import { ANSWERS_PATH, addAnswers } from "./routes/answers.ts";
import { addDemonstration } from "./routes/demonstration.ts";
import { addDevices } from "./routes/devices.ts";
import { addHistory } from "./routes/history.ts";
import { addLive } from "./routes/live.ts";
import { addOperations } from "./routes/operations.ts";
import { addPast } from "./routes/past.ts";
import { addReaders } from "./routes/readers.ts";
import { addRecords } from "./routes/records.ts";
import { type Room, refuse, signedIn } from "./routes/room.ts";
import { addSettings } from "./routes/settings.ts";
import { addSignIn } from "./routes/sign-in.ts";
import { addUsers } from "./routes/users.ts";
import { createOneTimeToken, createSignInGate, openSessions } from "./sessions.ts";
import { type Encryption, openEncryption } from "./tls/encryption.ts";
import { addressesOnTheNetwork } from "./tls/own-certificate.ts";
import { createUserDesk, type UserDesk, waitingActor } from "./user-desk.ts";

/** The page while it is served. */
export interface Dashboard {
  /** Such as `https://192.168.1.20:8710/`; where it listens on all addresses, the first that others may reach. */
  readonly url: string;
  /** With which others the page is reached too, where it listens on all addresses of this machine. */
  readonly otherUrls: readonly string[];
  /** What people are told of the certificate; null where the page is not encrypted. */
  readonly certificate: () => CertificateView | null;
  /** The link with which the first account is made, or null where there is one already or no sign-in. Good once and for an hour. */
  readonly oneTimeLink: string | null;
  /** Changes accounts while the page is served; ends the sessions of whose account was changed. */
  readonly users: (request: Parameters<UserDesk["handle"]>[0], actor: Actor) => ReturnType<UserDesk["handle"]>;
  readonly close: () => Promise<void>;
}

const requestMsMax = 10_000;

/**
 * Serves the page.
 *
 * @returns  The running page; `page-port-in-use`, `page-certificate-failed` or `page-failed` where it cannot be served: the caller goes on
 *           without it and tries again.
 */
export async function startDashboard(options: DashboardOptions, parts: DashboardParts): Promise<Result<Dashboard, Fault>> {
  const encryption = await openEncryption(options, parts, requestMsMax);
  if (!encryption.ok) return encryption;
  const opened = await openPage(options, parts, encryption.value);
  if (!opened.ok) encryption.value?.close();
  return opened;
}

async function openPage(
  options: DashboardOptions,
  parts: DashboardParts,
  encryption: Encryption | null,
): Promise<Result<Dashboard, Fault>> {
  let port = options.port;
  const opened = await openRoom(options, parts, {
    cookieName: () => `vigil-session-${port}`,
    certificate: () => encryption?.certificate.view() ?? null,
  });
  if (!opened.ok) return opened;
  const room = opened.value;
  const users = usersOf(room);
  const app = fastify({
    bodyLimit: LIMITS.pageBodyBytesMax.value,
    requestTimeout: requestMsMax,
    forceCloseConnections: true,
    exposeHeadRoutes: false,
    ...(encryption === null ? {} : { serverFactory: encryption.serve }),
  });
  const closeAll = async () => {
    room.live.close();
    room.refusals.close();
    const closed = app.close();
    encryption?.close();
    await closed;
    await room.sessions.close();
  };
  try {
    await addRoutes(app, room, users);
    await app.listen({ host: options.host, port: options.port });
  } catch (error) {
    await closeAll();
    return fail(startFault(error, options));
  }
  const address = app.server.address();
  if (address !== null && typeof address === "object") port = address.port;
  const [url = "", ...otherUrls] = shownHosts(options.host).map(
    (host) => `${encryption === null ? "http" : "https"}://${host}:${port}/`,
  );
  return succeed({
    url,
    otherUrls,
    certificate: room.certificate,
    // Behind the hash, so that the token is in no log, no Referer and no request until the person sends it.
    oneTimeLink: room.oneTime === null ? null : `${url}#/first/${room.oneTime.token}`,
    users,
    close: closeAll,
  });
}

/** Everything the routes share, with the accounts and sessions that were there. */
async function openRoom(
  options: DashboardOptions,
  parts: DashboardParts,
  served: Pick<Room, "cookieName" | "certificate">,
): Promise<Result<Room, Fault>> {
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
  return succeed({
    options,
    parts,
    accounts: accounts.value,
    sessions,
    gate: createSignInGate({ clock: parts.clock, known: accounts.value.has }),
    refusals,
    tell,
    oneTime: options.signIn && accounts.value.count() === 0 ? createOneTimeToken(parts) : null,
    live: createLiveStream(parts),
    ...served,
  });
}

async function addRoutes(app: FastifyInstance, room: Room, users: Dashboard["users"]): Promise<void> {
  guard(app, room);
  addSignIn(app, room);
  addLive(app, room);
  addHistory(app, room);
  addPast(app, room);
  addActs(app, room);
  addDevices(app, room);
  addReaders(app, room);
  addUsers(app, room, users);
  addRecords(app, room);
  addSettings(app, room);
  addOperations(app, room);
  addAnswers(app, room);
  addDemonstration(app, room);
  await app.register(fastifyStatic, { root: room.options.webFolder, index: "index.html", setHeaders: setCaching });
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

/** The names under which the page is found, the best first: on all addresses those that others may reach, else this machine's own. */
function shownHosts(host: string): readonly string[] {
  const inUrl = (name: string) => (name.includes(":") && !name.startsWith("[") ? `[${name}]` : name);
  if (host !== "0.0.0.0" && host !== "::") return [inUrl(host)];
  const others = addressesOnTheNetwork().filter((address) => host === "::" || !address.includes(":"));
  return [...others, "127.0.0.1"].slice(0, LIMITS.shownAddressesMax.value).map(inUrl);
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
    const isAnswer = request.routeOptions.url === ANSWERS_PATH;
    if (request.method === "POST" && !isAnswer && !postIsOurs(request.headers, room.certificate() !== null)) {
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

/** Holds each request under `/api/` against the table of rights, before its body is read. */
function refuseByRights(request: FastifyRequest, reply: FastifyReply, room: Room): FastifyReply | undefined {
  const route = request.routeOptions.url;
  if (route === undefined || !route.startsWith("/api/")) return undefined;
  const right = ROUTE_RIGHTS[`${request.method} ${route}`];
  if (right === "anyone") return undefined;
  const signed = signedIn(request, room);
  if (signed === null) return refuse(reply, 401, fault("signed-out"));
  const may = right !== undefined && (signed.role === null || mayUse(signed.role, right));
  if (!may) return refuse(reply, 403, fault("not-allowed"));
  // What is only read may be asked for by the page itself; what is sent, a person did.
  const sessionId = cookieValue(request.headers.cookie, room.cookieName());
  if (request.method === "POST" && sessionId !== null) room.sessions.use(sessionId);
  return undefined;
}
