import type { FastifyInstance } from "fastify";
import { fault } from "../../../core/errors.ts";
import { mayDo } from "../../../core/rights.ts";
import { parseDeed } from "../deed-parser.ts";
import { anybody, type Room, refuse, signedIn } from "./room.ts";

/** The one door through which a page changes something. */
export function addActs(app: FastifyInstance, room: Room): void {
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
