import { createHash, timingSafeEqual } from "node:crypto";
import { readFile, stat } from "node:fs/promises";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { LIMITS } from "../../../core/limits.ts";
import type { OperationsView } from "../../../core/operations.ts";
import type { PictureView } from "../../../core/stream.ts";
import type { Clock } from "../../../core/time.ts";
import { EXPOSITION_TYPE, exposition } from "../exposition.ts";
import { metricsOf } from "../metrics.ts";
import { isLoopback } from "../request-guard.ts";

/** Shorter tokens are as good as none. */
const TOKEN_CHARACTERS_MIN = 16;
const TOKEN_BYTES_MAX = 4096;
/** Nobody signs in for it, so that whoever asks more often must not cost a picture of the whole ward each time. */
const READINESS_MS = 500;

/** What those who watch over the gateway itself may ask for. */
export interface OperationsRoom {
  readonly options: {
    /** The file of the bearer token for `/metrics`; null or left out: only this machine itself gets them. Read at each request, so that it can be changed. */
    readonly metricsTokenFile?: string | null;
  };
  readonly parts: {
    readonly clock: Clock;
    readonly source: { readonly picture: () => PictureView };
    /** Left out where the gateway does not say: then there are no metrics and no readiness. */
    readonly operations?: () => OperationsView;
  };
  readonly live: { readonly pageCount: () => number };
}

/** Why the gateway is not watching as it should, in one word; `ready` where it is. */
type Readiness = "ready" | "starting" | "stalled" | "journal" | "clock";

/**
 * What a gateway's answer to `/readyz` is: the alert path must have shown within ten seconds that it works, records must reach the disk,
 * and the clock must be believed. The first thing that is wrong is told, the gravest first.
 */
function readinessOf(picture: PictureView, { heartbeatAgeMs }: Pick<OperationsView, "heartbeatAgeMs">): Readiness {
  if (heartbeatAgeMs === null) return "starting";
  if (heartbeatAgeMs >= LIMITS.heartbeatSilenceMsMax.value) return "stalled";
  if (picture.gateway.journal.state === "failing") return "journal";
  return picture.gateway.clockTrust === "untrusted" ? "clock" : "ready";
}

/** `/healthz` and `/readyz` for whoever restarts or routes, `/metrics` for Prometheus. None of them asks for a sign-in or says anything of a patient. */
export function addOperations(app: FastifyInstance, room: OperationsRoom): void {
  const { operations, source } = room.parts;
  const plain = (reply: FastifyReply, status: number, text: string) =>
    reply.code(status).header("cache-control", "no-store").type("text/plain; charset=utf-8").send(text);

  app.get("/healthz", (_request, reply) => plain(reply, 200, "alive\n"));
  if (operations === undefined) return;

  let looked: { readonly atMs: number; readonly readiness: Readiness } | null = null;
  app.get("/readyz", (_request, reply) => {
    const nowMs = room.parts.clock.monotonic();
    if (looked === null || nowMs - looked.atMs >= READINESS_MS)
      looked = { atMs: nowMs, readiness: readinessOf(source.picture(), operations()) };
    const { readiness } = looked;
    return plain(reply, readiness === "ready" ? 200 : 503, `${readiness}\n`);
  });

  app.get("/metrics", async (request, reply) => {
    if (!isFromHere(request) && !(await hasToken(request, room.options.metricsTokenFile ?? null))) {
      reply.header("www-authenticate", 'Bearer realm="metrics"');
      return plain(reply, 401, "unauthorized\n");
    }
    const metrics = metricsOf({ picture: source.picture(), operations: operations(), pages: room.live.pageCount() });
    return reply.code(200).header("cache-control", "no-store").header("content-type", EXPOSITION_TYPE).send(exposition(metrics));
  });
}

/** Whether a program of this machine asks for itself. A proxy on this machine asks for others: it says so, or hands on another name than ours. */
function isFromHere({ socket, headers }: FastifyRequest): boolean {
  const address = (socket.remoteAddress ?? "").replace(/^::ffff:/, "");
  const forwarded = ["forwarded", "x-forwarded-for", "x-real-ip", "via"].some((name) => headers[name] !== undefined);
  const name = /^(\[[^\]]*\]|[^:]*)/.exec(headers.host ?? "")?.[1] ?? "";
  return isLoopback(address) && isLoopback(name) && !forwarded;
}

/** Compares hashes, so that neither the length nor the time tells anything of the token. */
async function hasToken({ headers }: FastifyRequest, file: string | null): Promise<boolean> {
  const given = /^Bearer +([\x21-\x7e]+)$/i.exec(headers.authorization ?? "")?.[1];
  const wanted = given === undefined || file === null ? null : await readToken(file);
  if (given === undefined || wanted === null) return false;
  const hash = (text: string) => createHash("sha256").update(text).digest();
  return timingSafeEqual(hash(given), hash(wanted));
}

/** The token, or null where the file cannot be read or holds none that is long enough. */
async function readToken(file: string): Promise<string | null> {
  try {
    if ((await stat(file)).size > TOKEN_BYTES_MAX) return null;
    const token = (await readFile(file, "utf8")).trim();
    return token.length >= TOKEN_CHARACTERS_MIN ? token : null;
  } catch {
    return null;
  }
}
