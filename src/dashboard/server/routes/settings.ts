import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { type Fault, fault } from "../../../core/errors.ts";
import { LIMITS } from "../../../core/limits.ts";
import { anybody, type Room, refuse, signedIn } from "./room.ts";

/** A text in JSON takes two signs for each line end and quotation mark, and a little around it. */
const BODY_BYTES_MAX = 2 * LIMITS.configFileBytesMax.value + 4096;

/** The configuration: read, checked, written, and taken into use by a restart. No part of a request names a file. */
export function addSettings(app: FastifyInstance, room: Room): void {
  const { settings } = room.parts;
  if (settings === undefined) return;

  app.get("/api/settings", async (_request, reply) =>
    reply.send({ ok: true, ...(await settings.view()), certificate: room.certificate() }),
  );

  app.post("/api/settings/check", { bodyLimit: BODY_BYTES_MAX }, async (request, reply) => {
    const text = configText(request);
    if (typeof text !== "string") return refuseText(reply, text);
    return reply.send({ ok: true, ...(await settings.check(text)) });
  });

  app.post("/api/settings/save", { bodyLimit: BODY_BYTES_MAX }, async (request, reply) => {
    const text = configText(request);
    if (typeof text !== "string") return refuseText(reply, text);
    const base = field(request, "baseHash");
    if (typeof base !== "string" || !/^[0-9a-f]{64}$/.test(base))
      return refuse(reply, 400, fault("request-refused", { field: "baseHash" }));
    const saved = await settings.save(text, base);
    if (!saved.ok) return refuse(reply, 409, saved.error);
    if (saved.value.kind !== "saved") return reply.send({ ok: true, ...saved.value });
    const deed = { kind: "settings-changed", before: base, after: saved.value.textHash } as const;
    const told = await room.parts.perform(deed, actorOf(request, room)).catch(() => null);
    return reply.send({ ok: true, ...saved.value, durable: told?.ok === true && told.value.durable });
  });

  app.post("/api/settings/restart", async (request, reply) => {
    // Told before it is done: the gateway that does it has no time afterwards.
    const { noRestart } = await settings.view();
    if (noRestart !== null) return refuse(reply, 409, fault("restart-refused", { reason: noRestart.code }));
    await room.parts.perform({ kind: "restart-asked" }, actorOf(request, room)).catch(() => undefined);
    const restarted = await settings.restart();
    return restarted.ok ? reply.send({ ok: true }) : refuse(reply, 409, restarted.error);
  });
}

function actorOf(request: FastifyRequest, room: Room) {
  const { user, role } = signedIn(request, room) ?? anybody;
  return { userId: user, role, from: "page", at: request.ip } as const;
}

/** The text of a configuration in a body; or why it is none. */
function configText(request: FastifyRequest): string | Fault {
  const text = field(request, "text");
  if (typeof text !== "string") return fault("request-refused", { field: "text" });
  const bytes = Buffer.byteLength(text);
  const bytesMax = LIMITS.configFileBytesMax.value;
  return bytes > bytesMax ? fault("request-refused", { field: "text", bytes, bytesMax }) : text;
}

function refuseText(reply: FastifyReply, reason: Fault): FastifyReply {
  return refuse(reply, reason.facts["bytes"] === undefined ? 400 : 413, reason);
}

function field(request: FastifyRequest, name: string): unknown {
  const { body } = request;
  return typeof body === "object" && body !== null ? (body as Readonly<Record<string, unknown>>)[name] : undefined;
}
