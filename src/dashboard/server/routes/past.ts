import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { fault } from "../../../core/errors.ts";
import { type PatientId, patientId } from "../../../core/ids.ts";
import type { TimeAsked } from "../source.ts";
import { anybody, queryNumber, queryText, type Room, refuse, signedIn, whereFamilyIs } from "./room.ts";

/** The longest time that is asked for at once: a month and a day of it, for a page that looks at a month. */
const SPAN_MS_MAX = 32 * 86_400_000;

/** What pages read of what was: alerts of a day, what happened to a patient, the score over a time, and how good the data was. */
export function addPast(app: FastifyInstance, room: Room): void {
  const { history, quality } = room.parts.source;
  const wrong = (reply: FastifyReply, field: string) => refuse(reply, 400, fault("request-refused", { field }));

  app.get("/api/alert-history", async (request, reply) => {
    const asked = timeAsked(request);
    if (asked === null) return wrong(reply, "from");
    return reply.send({ ok: true, ...(await history.alerts(asked)) });
  });

  app.get("/api/events", async (request, reply) => {
    const about = patientAsked(request, room);
    if (about === null) return refuse(reply, 403, fault("not-allowed"));
    const asked = timeAsked(request);
    if (asked === null || about === "none") return wrong(reply, asked === null ? "from" : "patient");
    const { role } = signedIn(request, room) ?? anybody;
    return reply.send({ ok: true, ...(await history.events({ ...asked, patientId: about, role })) });
  });

  app.get("/api/scores", (request, reply) => {
    const about = patientAsked(request, room);
    if (about === null) return refuse(reply, 403, fault("not-allowed"));
    const asked = timeAsked(request);
    const modelId = queryText(request, "model");
    if (asked === null || modelId === null || about === "none") return wrong(reply, modelId === null ? "model" : "from");
    return reply.send({ ok: true, ...history.scores({ ...asked, patientId: about, modelId }) });
  });

  app.get("/api/quality", async (request, reply) => {
    const asked = dayAsked(request);
    if (asked === null) return wrong(reply, "day");
    return reply.send({ ok: true, ...(await quality.between(asked)) });
  });
}

/** The patient of an address, `none` where it names none, null where it is another than the one whose family asks. */
function patientAsked(request: FastifyRequest, room: Room): PatientId | "none" | null {
  const signed = signedIn(request, room) ?? anybody;
  const patient = queryText(request, "patient");
  if (signed.familyOf !== null && whereFamilyIs(signed, room)?.patientId !== patient) return null;
  return patient === null ? "none" : patientId(patient);
}

function timeAsked(request: FastifyRequest): TimeAsked | null {
  const fromMs = queryNumber(request, "from");
  const toMs = queryNumber(request, "to");
  return fromMs === null || toMs === null || fromMs >= toMs || toMs - fromMs > SPAN_MS_MAX ? null : { fromMs, toMs };
}

/** `day=2026-11-22`, and how many minutes east of UTC it begins: `zone=480` in China; 0 where it is left out. */
function dayAsked(request: FastifyRequest): TimeAsked | null {
  const day = queryText(request, "day");
  const zone = queryText(request, "zone") ?? "0";
  if (day === null || !/^\d{4}-\d{2}-\d{2}$/.test(day) || !/^-?\d{1,3}$/.test(zone)) return null;
  const beginsMs = Date.parse(`${day}T00:00:00Z`);
  if (Number.isNaN(beginsMs)) return null;
  const fromMs = beginsMs - Number(zone) * 60_000;
  return { fromMs, toMs: fromMs + 86_400_000 };
}
