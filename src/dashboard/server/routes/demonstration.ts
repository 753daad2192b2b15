import type { FastifyInstance } from "fastify";
import { parseNudge } from "../../../core/demonstration.ts";
import { fault } from "../../../core/errors.ts";
import { anybody, type Room, refuse, signedIn, whereFamilyIs } from "./room.ts";

/** What can be changed of the demonstration's simulated devices; a gateway that is none has no such routes. */
export function addDemonstration(app: FastifyInstance, room: Room): void {
  const { demonstration } = room.parts;
  if (demonstration === undefined) return;

  app.get("/api/demonstration", async (request, reply) => {
    const devices = await demonstration.devices();
    if (!devices.ok) return refuse(reply, 503, devices.error);
    const signed = signedIn(request, room) ?? anybody;
    if (signed.role !== "family") return reply.send({ ok: true, devices: devices.value });
    const where = whereFamilyIs(signed, room);
    return reply.send({ ok: true, devices: devices.value.filter(({ bedId }) => bedId === where?.bedId) });
  });

  app.post("/api/demonstration/nudge", async (request, reply) => {
    const nudge = parseNudge(request.body);
    if (nudge === null) return refuse(reply, 400, fault("request-refused"));
    const signed = signedIn(request, room) ?? anybody;
    const bed = demonstration.bedOf(nudge.deviceId);
    if (signed.role === "family" && (bed === null || bed !== whereFamilyIs(signed, room)?.bedId))
      return refuse(reply, 403, fault("not-allowed"));
    const nudged = await demonstration.nudge(nudge);
    if (!nudged.ok) return refuse(reply, nudged.error.code === "nudge-refused" ? 409 : 503, nudged.error);
    return reply.send({ ok: true });
  });
}
