import type { FastifyInstance, FastifyRequest } from "fastify";
import { fault } from "../../../core/errors.ts";
import { type BedId, bedId } from "../../../core/ids.ts";
import { LIMITS } from "../../../core/limits.ts";
import { familyPicture } from "../family-view.ts";
import { SECURITY_HEADERS } from "../request-guard.ts";
import { anybody, queryText, type Room, refuse, signedIn, whereFamilyIs } from "./room.ts";

/** What pages read as it is now: the picture and the live stream. The table of rights was asked before. */
export function addLive(app: FastifyInstance, room: Room): void {
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
    const thinBeds = thinBedsAsked(request, room);
    if (thinBeds === null) return refuse(reply, 400, fault("request-refused", { field: "waves" }));
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
      thinBeds,
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

/**
 * The beds of the wall whose waves are asked for: none, with `waves=all` every bed that whoever asks may see, with `waves=ward&ward=NAME` those
 * of one ward; none where these are more than `pageThinBedsMax`: a wall goes on without waves. Null where something else is asked for.
 */
function thinBedsAsked(request: FastifyRequest, room: Room): readonly BedId[] | null {
  const asked = queryText(request, "waves");
  if (asked === null) return [];
  if (asked !== "all" && asked !== "ward") return null;
  const signed = signedIn(request, room) ?? anybody;
  const ward = queryText(request, "ward");
  const here = whereFamilyIs(signed, room)?.bedId ?? null;
  const beds = room.parts.source
    .picture()
    .beds.filter((bed) => (signed.familyOf === null || bed.bedId === here) && (asked === "all" || bed.ward === ward));
  return beds.length > LIMITS.pageThinBedsMax.value ? [] : beds.map((bed) => bed.bedId);
}
