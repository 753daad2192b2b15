import type { FastifyInstance } from "fastify";
import type { Room } from "./room.ts";

/** Where programs answer for alerts that they were sent. Not below `/api/`: nobody signs in, the body itself is signed. */
export const ANSWERS_PATH = "/answers";

const STATUS = { taken: 200, malformed: 400, denied: 401, over: 410 } as const;

/** `POST /answers`: who was told of an alert by a webhook says that it was received, seen, accepted or refused. */
export function addAnswers(app: FastifyInstance, room: Room): void {
  const { answer } = room.parts.source;
  if (answer === undefined) return;
  void app.register(async (scope) => {
    // The signature is of the bytes as they came.
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser("application/json", { parseAs: "string" }, (_request, body, done) => done(null, body));
    scope.post(ANSWERS_PATH, async (request, reply) => {
      const { "vigil-signature": signature } = request.headers;
      const body = typeof request.body === "string" ? request.body : "";
      const outcome = await answer({ body, signature: typeof signature === "string" ? signature : "" });
      return reply
        .code(STATUS[outcome])
        .header("cache-control", "no-store")
        .send({ ok: outcome === "taken", outcome });
    });
  });
}
