import type { FastifyInstance } from "fastify";
import type { Room } from "./room.ts";

/** How the readers of the journal stand: what they have carried away and what waits. The table of rights was asked before. */
export function addReaders(app: FastifyInstance, room: Room): void {
  app.get("/api/readers", async (_request, reply) => reply.send({ ok: true, readers: await room.parts.source.readers.list() }));
}
