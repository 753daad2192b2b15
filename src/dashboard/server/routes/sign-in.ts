import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { fault } from "../../../core/errors.ts";
import { userId } from "../../../core/ids.ts";
import { LIMITS } from "../../../core/limits.ts";
import { cookieValue } from "../request-guard.ts";
import { type Room, refuse, signedIn, textField } from "./room.ts";

/** A session always begins with an id of its own: one that the browser already had is ended, and never taken over. */
async function beginSession(request: FastifyRequest, reply: FastifyReply, room: Room): Promise<FastifyReply> {
  const name = textField(request.body, "name") ?? "";
  const account = room.accounts.find(name);
  if (account === null) return refuse(reply, 401, fault("sign-in-refused"));
  const former = cookieValue(request.headers.cookie, room.cookieName());
  if (former !== null) await room.sessions.end(former);
  const minutesMax = LIMITS.sessionHoursMax.value * 60;
  const role = account.fromBeforeRoles ? "nurse" : account.role;
  const minutes = room.options.sessionMinutes?.[role] ?? minutesMax;
  const idleMinutes = room.options.idleMinutes?.[role] ?? null;
  const sessionId = room.sessions.begin(userId(name), minutes * 60_000, idleMinutes === null ? null : idleMinutes * 60_000);
  room.tell({ kind: "sign-in" }, { userId: name, role: account.role, at: request.ip });
  const cookie = `${room.cookieName()}=${sessionId}; ${cookieMarks(room)}; Max-Age=${Math.min(minutes, minutesMax) * 60}`;
  return reply.header("set-cookie", cookie).send({ ok: true, user: name, role: account.role });
}

/** Out of reach of scripts and of other sites; over TLS never sent without it. */
function cookieMarks(room: Room): string {
  return `HttpOnly; SameSite=Strict; Path=/${room.certificate() === null ? "" : "; Secure"}`;
}

/** The doors that are open before anybody has signed in. */
export function addSignIn(app: FastifyInstance, room: Room): void {
  app.get("/api/healthz", (_request, reply) => reply.send({ alive: true }));

  app.get("/api/session", (request, reply) => {
    const signed = signedIn(request, room);
    const firstAccountNeeded = room.options.signIn && room.accounts.count() === 0;
    const who = { user: signed?.user ?? null, role: signed?.role ?? null, familyOf: signed?.familyOf ?? null };
    const sessionId = cookieValue(request.headers.cookie, room.cookieName());
    // Asking does not count as use: a page may ask by itself.
    const idle = sessionId === null || !room.options.signIn ? null : room.sessions.idleOf(sessionId);
    const demonstration = room.parts.demonstration !== undefined;
    return reply.send({ ok: true, ...who, signIn: room.options.signIn, firstAccountNeeded, idle, demonstration });
  });

  // Whoever sees the page uses it; that a POST was made is what counts (`guard` in dashboard.ts).
  app.post("/api/active", (_request, reply) => reply.send({ ok: true }));

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
    const cookie = `${room.cookieName()}=; ${cookieMarks(room)}; Max-Age=0`;
    return reply.header("set-cookie", cookie).send({ ok: true });
  });
}
