import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { fault } from "../../../core/errors.ts";
import type { Dashboard } from "../dashboard.ts";
import { parseUserRequest, type UserRequest } from "../user-desk.ts";
import { type Room, refuse, signedIn } from "./room.ts";

/** The accounts of the people who may sign in: who reads the list and who changes it, the table of rights says. */
export function addUsers(app: FastifyInstance, room: Room, users: Dashboard["users"]): void {
  app.get("/api/users", (_request, reply) => reply.send({ ok: true, users: room.accounts.list() }));

  const change = (verb: Exclude<UserRequest["verb"], "list">) => async (request: FastifyRequest, reply: FastifyReply) => {
    const signed = signedIn(request, room);
    // Where nobody signs in, nobody is an administrator: whoever passes by must not make themselves one for later.
    if (signed === null || signed.role === null) return refuse(reply, 403, fault("not-allowed"));
    const body = typeof request.body === "object" && request.body !== null ? request.body : {};
    const asked = parseUserRequest({ ...body, verb });
    if (asked === null) return refuse(reply, 400, fault("request-refused"));
    const done = await users(asked, { userId: signed.user, role: signed.role, from: "page", at: request.ip });
    if (done.ok) return reply.send({ ok: true });
    return refuse(reply, done.error.code === "account-refused" ? 422 : 500, done.error);
  };
  app.post("/api/users/add", change("add"));
  app.post("/api/users/password", change("passwd"));
  app.post("/api/users/role", change("role"));
  app.post("/api/users/remove", change("remove"));
}
