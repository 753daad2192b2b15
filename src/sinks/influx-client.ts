import { readFile } from "node:fs/promises";
import { Agent as PlainAgent } from "node:http";
import { type AgentOptions, Agent as SecureAgent } from "node:https";
import type { Socket } from "node:net";
import { createSecureContext } from "node:tls";
import { HttpError, InfluxDB } from "@influxdata/influxdb-client";
import { type Fault, fault } from "../core/errors.ts";
import { LIMITS } from "../core/limits.ts";
import { fail, type Result, succeed } from "../core/result.ts";
import type { Clock } from "../core/time.ts";

/** Where an InfluxDB is and what it wants to see. Secrets are files, read anew at each connect so that a changed one is picked up. */
export interface InfluxServer {
  /** `http://host:port` or `https://host:port`, with a path where a proxy wants one. */
  readonly url: string;
  readonly target:
    | {
        /** InfluxDB 2 (`/api/v2/write`), and VictoriaMetrics. */
        readonly api: "v2";
        readonly org: string;
        readonly bucket: string;
        readonly tokenFile?: string | undefined;
      }
    | {
        /** InfluxDB 1 (`/write`), and VictoriaMetrics. */
        readonly api: "v1";
        readonly database: string;
        readonly retentionPolicy?: string | undefined;
        readonly username?: string | undefined;
        readonly passwordFile?: string | undefined;
      };
  /** Certificates to trust, in PEM; the system's where left out. */
  readonly caFile?: string | undefined;
  readonly certFile?: string | undefined;
  readonly keyFile?: string | undefined;
}

/** What a server said to lines of points. */
export type InfluxAnswer =
  /** All of them are stored: the server answered 204. */
  | { readonly kind: "taken" }
  /** Something in them is wrong (400, 422); the rest may be stored or not. */
  | {
      readonly kind: "refused";
      readonly status: number;
      readonly why: RefusalReason;
      /** How many points the server says it left out for this reason, null where it does not say. */
      readonly droppedCount: number | null;
    }
  /** They are too many at once (413). */
  | { readonly kind: "too-large" }
  /** Nothing is known of them, or nothing is taken now. */
  | { readonly kind: "unavailable"; readonly fault: Fault; readonly waitMs: number };

/** Why a server refuses points; its own words may repeat what is in them, and are not kept. */
export type RefusalReason = "unparsable" | "field-type" | "retention" | "server-limit" | "unknown";

/** One connection's worth of requests: secrets as they were when it was opened, and sockets that are used again. */
export interface InfluxClient {
  /** Writes lines; always answers, within `upstreamConfirmMsMax` or when `stop` is aborted. */
  readonly write: (lines: string, stop: AbortSignal) => Promise<InfluxAnswer>;
  /** Ends the sockets once what is under way has ended. */
  readonly retire: () => void;
  /** Ends the sockets now. */
  readonly close: () => void;
}

/** Smaller bodies are not worth packing. */
const GZIP_BYTES_MIN = 1000;
/** An idle socket is ended by us before a server or proxy does, which would cost the next request. */
const IDLE_SOCKET_MS_MAX = 15_000;
/** Source: RFC 9110 15.5.9, RFC 8470 5.2, RFC 6585 4, RFC 9110 15.6.4: the same request may be taken later. */
const LATER_STATUSES: ReadonlySet<number> = new Set([408, 425, 429, 503]);
const DENIED_STATUSES: ReadonlySet<number> = new Set([401, 403, 407, 511]);
/** The other end went away between two requests: one more try on a new socket. */
const STALE_SOCKET_CODES: ReadonlySet<string> = new Set(["ECONNRESET", "EPIPE"]);

/** Reads the secrets and prepares requests; opens no socket yet. */
export async function openInfluxClient(server: InfluxServer, clock: Clock): Promise<Result<InfluxClient, Fault>> {
  const secrets = await readSecrets(server);
  if (!secrets.ok) return secrets;
  const address = addressOf(server.url);
  if (address === null) return fail(fault("upstream-target-missing", { reason: "not-an-address" }));
  try {
    return succeed(new Client({ server, secrets: secrets.value, address, clock }));
  } catch (error) {
    return fail(fault("upstream-certificate", { address, reason: codeOf(error) ?? "bad-file" }));
  }
}

class Client implements InfluxClient {
  readonly #clock: Clock;
  readonly #address: string;
  readonly #path: string;
  readonly #headers: Record<string, string>;
  readonly #makeSockets: () => Sockets;
  #sockets: Sockets;

  constructor(of: {
    readonly server: InfluxServer;
    readonly secrets: Secrets;
    readonly address: string;
    readonly clock: Clock;
  }) {
    const { server, secrets } = of;
    this.#clock = of.clock;
    this.#address = of.address;
    this.#path = writePath(server.target);
    this.#headers = { "content-type": "text/plain; charset=utf-8", ...authorization(server.target, secrets) };
    const { href } = new URL(server.url);
    this.#makeSockets = () => new Sockets(href, secrets);
    this.#sockets = this.#makeSockets();
  }

  readonly write = async (lines: string, stop: AbortSignal): Promise<InfluxAnswer> => {
    const ending = new AbortController();
    let slow = false;
    const end = () => ending.abort();
    const timer = this.#clock.after(LIMITS.upstreamConfirmMsMax.value, () => {
      slow = true;
      end();
    });
    stop.addEventListener("abort", end);
    if (stop.aborted) end();
    try {
      const sockets = this.#sockets;
      let response = await this.#ask(sockets, lines, ending.signal);
      // Asked afterwards: while a body is packed, another request may have been answered and left the socket that this one then took.
      if (sockets.isProven && !ending.signal.aborted && isStale(response)) {
        this.#renewSockets(sockets);
        response = await this.#askAlone(lines, ending.signal);
      }
      if (slow) return unavailable(fault("upstream-slow", { address: this.#address, waitedFor: "answer" }));
      if (stop.aborted) return unavailable(fault("upstream-unreachable", { address: this.#address, reason: "given-up" }));
      return this.#answerOf(response);
    } finally {
      timer.stop();
      stop.removeEventListener("abort", end);
    }
  };

  readonly retire = (): void => this.#sockets.retire();

  readonly close = (): void => this.#sockets.close();

  async #ask(sockets: Sockets, lines: string, signal: AbortSignal): Promise<Response> {
    sockets.underWayCount += 1;
    const response = await sockets.post({ path: this.#path, lines, headers: this.#headers }, signal);
    sockets.underWayCount -= 1;
    sockets.ended();
    return response;
  }

  /** Asks over a socket that nobody used before and nobody uses after it. */
  async #askAlone(lines: string, signal: AbortSignal): Promise<Response> {
    const sockets = this.#makeSockets();
    const response = await this.#ask(sockets, lines, signal);
    sockets.close();
    return response;
  }

  #renewSockets(stale: Sockets): void {
    if (this.#sockets !== stale) return;
    stale.retire();
    this.#sockets = this.#makeSockets();
  }

  /** Only 204 says that points are stored: any other success comes from something that is no InfluxDB. */
  #answerOf(response: Response): InfluxAnswer {
    const address = this.#address;
    if (response.kind === "failed") return unavailable(networkFault(response.error, address));
    const { status, headers, body } = response;
    if (status === 204) return { kind: "taken" };
    if (status === 413) return { kind: "too-large" };
    if (status === 400 || status === 422) return { kind: "refused", status, ...reasonIn(body) };
    if (DENIED_STATUSES.has(status)) return unavailable(fault("upstream-denied", { address, status }));
    if (LATER_STATUSES.has(status)) {
      const waitMs = retryAfterMs(headers, this.#clock.wall());
      return unavailable(fault("upstream-slow", { address, status, ...(waitMs > 0 ? { retryAfterMs: waitMs } : {}) }), waitMs);
    }
    if (status >= 500) return unavailable(fault("upstream-failing", { address, status }));
    return unavailable(fault("upstream-target-missing", { address, status }));
  }
}

function unavailable(reason: Fault, waitMs = 0): InfluxAnswer {
  return { kind: "unavailable", fault: reason, waitMs };
}

// -------------------------------------------------------------------------------------------------------------- sockets

type Headers = Readonly<Record<string, string | string[] | undefined>>;

/** One exchange: a whole answer, or why there was none. */
type Response =
  | { readonly kind: "answered"; readonly status: number; readonly headers: Headers; readonly body: string }
  | { readonly kind: "failed"; readonly error: unknown };

function isStale(response: Response): boolean {
  return response.kind === "failed" && STALE_SOCKET_CODES.has(codeOf(response.error) ?? "");
}

/** The library's transport over sockets of our own, so that they have bounds and an end. Its write buffer is not used: it can lose. */
class Sockets {
  readonly #agent: PlainAgent;
  readonly #influx: InfluxDB;
  underWayCount = 0;
  /** Whether a request was answered over these sockets. */
  isProven = false;
  #isRetired = false;

  constructor(url: string, secrets: Secrets) {
    const options: AgentOptions = {
      keepAlive: true,
      maxSockets: LIMITS.upstreamInFlightMax.value,
      timeout: IDLE_SOCKET_MS_MAX,
    };
    // Made here, because a file that is no certificate throws.
    this.#agent = url.startsWith("https:")
      ? new SecureAgent({ ...options, secureContext: createSecureContext({ ...secrets.tls, minVersion: "TLSv1.2" }) })
      : new PlainAgent(options);
    boundAnswers(this.#agent);
    this.#influx = new InfluxDB({
      url,
      timeout: LIMITS.upstreamConfirmMsMax.value * 2,
      transportOptions: { agent: this.#agent },
    });
  }

  post(
    request: { readonly path: string; readonly lines: string; readonly headers: Record<string, string> },
    signal: AbortSignal,
  ): Promise<Response> {
    const { path, lines, headers } = request;
    return new Promise((resolve) => {
      let [status, answered]: [number, Headers] = [0, {}];
      const settle = (body: string) => {
        this.isProven = true;
        resolve({ kind: "answered", status, headers: answered, body });
      };
      const options = { method: "POST", headers, gzipThreshold: GZIP_BYTES_MIN, signal };
      this.#influx.transport.send(path, lines, options, {
        responseStarted: (given, statusCode) => {
          [status, answered] = [statusCode ?? 0, given];
        },
        // A success has no text that matters; once its status is known its text is not waited for.
        next: () => settle(""),
        complete: () => settle(""),
        error: (error) => {
          if (error instanceof HttpError) settle(error.body ?? "");
          else resolve({ kind: "failed", error });
        },
      });
    });
  }

  /** Lets what is under way end; then the sockets end too. */
  retire(): void {
    this.#isRetired = true;
    this.ended();
  }

  /** Something that was under way has ended. */
  ended(): void {
    if (this.#isRetired && this.underWayCount === 0) this.close();
  }

  close(): void {
    this.#agent.destroy();
  }
}

/** Ends a socket over which one answer brings more than `influxAnswerBytesMax`: the library would gather it all. */
function boundAnswers(agent: PlainAgent): void {
  const heard = new WeakMap<object, { bytes: number }>();
  agent.on("free", (socket: Socket) => {
    const count = heard.get(socket);
    if (count !== undefined) count.bytes = 0;
  });
  const connect = agent.createConnection.bind(agent);
  agent.createConnection = (options, callback) => {
    const socket = connect(options, callback);
    if (socket === null || socket === undefined) return socket;
    const count = { bytes: 0 };
    heard.set(socket, count);
    socket.on("data", (bytes: Uint8Array) => {
      count.bytes += bytes.length;
      if (count.bytes > LIMITS.influxAnswerBytesMax.value) socket.destroy();
    });
    return socket;
  };
}

// -------------------------------------------------------------------------------------------------------------- requests

function writePath(target: InfluxServer["target"]): string {
  switch (target.api) {
    case "v2": {
      const query = new URLSearchParams({ org: target.org, bucket: target.bucket, precision: "ns" });
      return `/api/v2/write?${query.toString()}`;
    }
    case "v1": {
      const { database, retentionPolicy } = target;
      const policy = retentionPolicy === undefined ? {} : { rp: retentionPolicy };
      const query = new URLSearchParams({ db: database, ...policy, precision: "ns" });
      return `/write?${query.toString()}`;
    }
  }
}

function authorization(target: InfluxServer["target"], secrets: Secrets): Record<string, string> {
  if (secrets.word === null) return {};
  if (target.api === "v2") return { authorization: `Token ${secrets.word}` };
  const pair = Buffer.from(`${target.username ?? ""}:${secrets.word}`).toString("base64");
  return { authorization: `Basic ${pair}` };
}

interface Secrets {
  /** Token or password. */
  readonly word: string | null;
  readonly tls: { readonly ca?: Buffer; readonly cert?: Buffer; readonly key?: Buffer };
}

/** Reads the files the settings name; a missing one is told as what it would have been good for. */
async function readSecrets(server: InfluxServer): Promise<Result<Secrets, Fault>> {
  const { target, caFile, certFile, keyFile } = server;
  const wordFile = target.api === "v2" ? target.tokenFile : target.passwordFile;
  const word = await readSecret(wordFile, "upstream-denied");
  if (!word.ok) return word;
  const ca = await readSecret(caFile, "upstream-certificate");
  if (!ca.ok) return ca;
  const cert = await readSecret(certFile, "upstream-denied");
  if (!cert.ok) return cert;
  const key = await readSecret(keyFile, "upstream-denied");
  if (!key.ok) return key;
  const text = word.value?.toString("utf8").replace(/\r?\n$/, "") ?? null;
  // A character that a header cannot have would make the library throw.
  if (text !== null && target.api === "v2" && !/^[\x20-\x7e]*$/.test(text))
    return fail(fault("upstream-denied", { file: wordFile ?? "", reason: "not-a-token" }));
  const tls = {
    ...(ca.value === null ? {} : { ca: ca.value }),
    ...(cert.value === null ? {} : { cert: cert.value }),
    ...(key.value === null ? {} : { key: key.value }),
  };
  return succeed({ word: text, tls });
}

async function readSecret(
  file: string | undefined,
  code: "upstream-denied" | "upstream-certificate",
): Promise<Result<Buffer | null, Fault>> {
  if (file === undefined) return succeed(null);
  try {
    return succeed(await readFile(file));
  } catch (error) {
    return fail(fault(code, { file, reason: codeOf(error) ?? "unreadable" }));
  }
}

function addressOf(url: string): string | null {
  if (!URL.canParse(url)) return null;
  const { protocol, host } = new URL(url);
  return protocol === "http:" || protocol === "https:" ? host : null;
}

// --------------------------------------------------------------------------------------------------------------- answers

/** What a refusal says, by the words InfluxDB 1.6 and 2.7 use. */
function reasonIn(body: string): { readonly why: RefusalReason; readonly droppedCount: number | null } {
  const dropped = /\bdropped=(\d{1,9})/.exec(body)?.[1];
  return { why: reasonOf(body), droppedCount: dropped === undefined ? null : Number(dropped) };
}

function reasonOf(body: string): RefusalReason {
  if (/limit exceeded|max[- ]series|max-values-per-tag/i.test(body)) return "server-limit";
  if (/beyond retention policy|outside retention policy/i.test(body)) return "retention";
  if (/field type conflict|unsupported type for field|conflicting.*type/i.test(body)) return "field-type";
  if (/unable to parse|invalid (?:field|number|boolean|timestamp|line protocol)|missing (?:fields|tag)|bad timestamp/i.test(body))
    return "unparsable";
  return "unknown";
}

/** How long the server wants to be left alone: seconds or a date, by its own clock where it says one; at most `influxRetryAfterMsMax`. */
function retryAfterMs(headers: Headers, wallMs: number): number {
  const text = headers["retry-after"];
  if (typeof text !== "string") return 0;
  const waitMs = /^\d{1,9}$/.test(text.trim()) ? Number(text) * 1000 : untilDateMs(text, headers["date"], wallMs);
  return Math.max(0, Math.min(waitMs, LIMITS.influxRetryAfterMsMax.value));
}

function untilDateMs(text: string, date: string | string[] | undefined, wallMs: number): number {
  const untilMs = Date.parse(text);
  const serverMs = typeof date === "string" ? Date.parse(date) : Number.NaN;
  return Number.isNaN(untilMs) ? 0 : untilMs - (Number.isNaN(serverMs) ? wallMs : serverMs);
}

/** Names OpenSSL gives to a server certificate that does not verify. Source: Node.js documentation, "X509 certificate error codes". */
const CERTIFICATE_CODE = /CERT|ALTNAME|SELF_SIGNED|ISSUER|UNABLE_TO|CRL|INVALID_CA|PATH_LENGTH|INVALID_PURPOSE|HOSTNAME_MISMATCH/;
/** What the HTTP parser says to something that does not speak HTTP. */
const NOT_HTTP_CODE = /^HPE_/;

/** A TLS alert from the server means that it refuses our certificate. */
function networkFault(error: unknown, address: string): Fault {
  const code = codeOf(error) ?? (error instanceof Error ? error.name : "unknown");
  if (/ALERT/.test(code)) return fault("upstream-denied", { address, reason: code });
  if (/WRONG_VERSION_NUMBER|UNSUPPORTED_PROTOCOL/.test(code) || CERTIFICATE_CODE.test(code))
    return fault("upstream-certificate", { address, reason: code });
  if (NOT_HTTP_CODE.test(code)) return fault("upstream-failing", { address, reason: code });
  return fault("upstream-unreachable", { address, reason: code });
}

function codeOf(error: unknown): string | null {
  return typeof error === "object" && error !== null && "code" in error && typeof error.code === "string" ? error.code : null;
}
