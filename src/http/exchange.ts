import { type IncomingHttpHeaders, Agent as PlainAgent, request as requestPlain } from "node:http";
import { request as requestSecure, Agent as SecureAgent } from "node:https";
import { createSecureContext } from "node:tls";
import { fail, type Result, succeed } from "../core/result.ts";
import type { Clock } from "../core/time.ts";

/** Certificates to trust, and our own; PEM. What is left out is the system's, and none. */
export interface HttpTrust {
  readonly ca?: Buffer;
  readonly cert?: Buffer;
  readonly key?: Buffer;
}

/** One request. */
export interface HttpRequest {
  readonly method: "GET" | "POST" | "PUT";
  /** `http://` or `https://`. */
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | Uint8Array;
}

/** A whole answer. */
export interface HttpAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** Why there is no answer. */
export type HttpFailure =
  /** The request was given up by who asked. */
  | { readonly kind: "given-up" }
  /** No whole answer within the time. */
  | { readonly kind: "slow" }
  /** The answer is longer than it may be. */
  | { readonly kind: "too-long" }
  /** No connection, or one that ended; with the code of the system or of TLS. `idle`: the server had just ended it, and read nothing. */
  | { readonly kind: "network"; readonly code: string; readonly idle: boolean };

/** Sockets to servers, used again. */
export interface HttpSockets {
  /** Always answers: within `timeoutMs`, or when `stop` is aborted. Follows no redirection: where it goes is the configuration's. */
  readonly ask: (
    request: HttpRequest,
    bounds: { readonly timeoutMs: number; readonly answerBytesMax: number; readonly stop: AbortSignal },
  ) => Promise<Result<HttpAnswer, HttpFailure>>;
  readonly close: () => void;
}

/** An idle socket is ended by us before a server or proxy does, which would cost the next request. */
const IDLE_SOCKET_MS_MAX = 15_000;
/** What a socket says that the other end closed between two requests. */
const STALE_CODES: ReadonlySet<string> = new Set(["ECONNRESET", "EPIPE"]);

/**
 * Opens nothing yet.
 *
 * @param of.socketsMax  To each server.
 * @throws               Where a certificate is none.
 */
export function openHttpSockets(of: {
  readonly clock: Clock;
  readonly trust: HttpTrust;
  readonly socketsMax: number;
}): HttpSockets {
  const options = { keepAlive: true, maxSockets: of.socketsMax, timeout: IDLE_SOCKET_MS_MAX };
  const plain = new PlainAgent(options);
  const secure = new SecureAgent({ ...options, secureContext: createSecureContext({ ...of.trust, minVersion: "TLSv1.2" }) });
  const askOnce: HttpSockets["ask"] = ({ method, url, headers, body }, { timeoutMs, answerBytesMax, stop }) =>
    new Promise((resolve) => {
      const isSecure = url.protocol === "https:";
      const settle = (result: Result<HttpAnswer, HttpFailure>) => {
        timer.stop();
        stop.removeEventListener("abort", onStop);
        resolve(result);
        if (!result.ok) exchange.destroy();
      };
      const onStop = () => settle(fail({ kind: "given-up" }));
      const timer = of.clock.after(timeoutMs, () => settle(fail({ kind: "slow" })));
      const length = { "content-length": String(Buffer.byteLength(body)) };
      const exchange = (isSecure ? requestSecure : requestPlain)(url, {
        method,
        headers: { ...headers, ...length },
        agent: isSecure ? secure : plain,
      });
      let hasAnswered = false;
      exchange.on("error", (error: NodeJS.ErrnoException) => {
        const code = error.code ?? error.name;
        settle(fail({ kind: "network", code, idle: exchange.reusedSocket && !hasAnswered && STALE_CODES.has(code) }));
      });
      exchange.on("response", (response) => {
        hasAnswered = true;
        const chunks: Buffer[] = [];
        let bytes = 0;
        response.on("data", (chunk: Buffer) => {
          bytes += chunk.length;
          if (bytes > answerBytesMax) settle(fail({ kind: "too-long" }));
          else chunks.push(chunk);
        });
        response.on("aborted", () => settle(fail({ kind: "network", code: "ECONNRESET", idle: false })));
        response.on("end", () =>
          settle(
            succeed({
              status: response.statusCode ?? 0,
              headers: response.headers,
              body: Buffer.concat(chunks).toString("utf8"),
            }),
          ),
        );
      });
      stop.addEventListener("abort", onStop, { once: true });
      if (stop.aborted) onStop();
      else exchange.end(body);
    });
  return {
    ask: async (request, bounds) => {
      const first = await askOnce(request, bounds);
      const isStale = !first.ok && first.error.kind === "network" && first.error.idle;
      return isStale && !bounds.stop.aborted ? await askOnce(request, bounds) : first;
    },
    close: () => {
      plain.destroy();
      secure.destroy();
    },
  };
}
