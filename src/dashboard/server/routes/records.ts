import type { FastifyInstance } from "fastify";
import type { Deed } from "../../../core/act.ts";
import { isDeedKind } from "../../../core/act-text.ts";
import { fault } from "../../../core/errors.ts";
import { wallMs } from "../../../core/time.ts";
import { queryNumber, queryText, type Room, refuse } from "./room.ts";

/** Who did what, for those who look into it; the check of the chain comes with it. */
export function addRecords(app: FastifyInstance, room: Room): void {
  app.get("/api/records", async (request, reply) => {
    const given = request.query as Readonly<Record<string, unknown>>;
    const [from, to, before] = ["from", "to", "before"].map((field) => queryNumber(request, field));
    const kind = queryText(request, "kind");
    // A bound that is written wrongly must not open the question to all.
    const unread = ["from", "to", "before"].find((field) => given[field] !== undefined && queryNumber(request, field) === null);
    if (unread !== undefined) return refuse(reply, 400, fault("request-refused", { field: unread }));
    if (kind !== null && !isDeedKind(kind)) return refuse(reply, 400, fault("request-refused", { field: "kind" }));
    const view = await room.parts.source.records({
      fromMs: from == null ? null : wallMs(from),
      toMs: to == null ? null : wallMs(to),
      by: queryText(request, "by"),
      kind: kind satisfies Deed["kind"] | null,
      beforeSeq: before ?? null,
    });
    return reply.send({ ok: true, ...view });
  });
}
