import type { FastifyInstance } from "fastify";
import { fault } from "../../../core/errors.ts";
import { alertId, patientId, seq } from "../../../core/ids.ts";
import { LIMITS } from "../../../core/limits.ts";
import { isQuantityName } from "../../../core/quantities.ts";
import { wallMs } from "../../../core/time.ts";
import { familyPicture } from "../family-view.ts";
import { anybody, queryNumber, queryText, type Room, refuse, signedIn, whereFamilyIs } from "./room.ts";

/** What pages read of before: trends, strips, notes and acts; and the limits of the ward. */
export function addHistory(app: FastifyInstance, room: Room): void {
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

  app.get("/api/limits", (_request, reply) => reply.send({ ok: true, limits: source.wardLimits() }));

  app.get("/api/audit", async (request, reply) => {
    const after = queryNumber(request, "after") ?? 0;
    const limit = LIMITS.pageAuditActsMax.value;
    return reply.send({ ok: true, acts: await source.acts({ afterSeq: seq(after), limit }) });
  });
}
