import { readFile } from "node:fs/promises";
import { type ErrorCode, type Fault, fault } from "../core/errors.ts";
import { LIMITS } from "../core/limits.ts";
import { fail, type Result, succeed } from "../core/result.ts";
import type { Clock } from "../core/time.ts";
import { type HttpAnswer, type HttpFailure, type HttpSockets, openHttpSockets } from "../http/exchange.ts";
import { signed } from "./answers.ts";
import type { Channel, NoticeOutcome } from "./notice-desk.ts";
import { DINGTALK, FEISHU, type RobotKind, WECOM } from "./robots.ts";
import { type NoticeMessage, noticeText } from "./words.ts";

/** A robot of a group chat, as the configuration says it. */
export interface RobotOptions {
  readonly name: string;
  readonly kind: "wecom" | "dingtalk" | "feishu";
  /** Another place than the maker's own. */
  readonly url?: string | undefined;
  readonly keyFile: string;
  readonly secretFile?: string | undefined;
  readonly caFile?: string | undefined;
}

/** Any program that takes JSON by HTTP. */
export interface WebhookOptions {
  readonly name: string;
  readonly kind: "webhook";
  readonly url: string;
  /** The secret of the signature. */
  readonly secretFile: string;
  readonly caFile?: string | undefined;
}

/** What HTTP channels are made with. */
export interface HttpChannelParts {
  readonly clock: Clock;
  readonly localTime: (atMs: number) => string;
}

const ROBOTS: Readonly<Record<RobotOptions["kind"], RobotKind>> = { wecom: WECOM, dingtalk: DINGTALK, feishu: FEISHU };
/** Source: RFC 9110 15.5.9, RFC 8470 5.2, RFC 6585 4: the same request may be taken later. */
const LATER_STATUSES: ReadonlySet<number> = new Set([408, 425, 429]);

/** A robot of a group chat. Its secrets are read anew for each message, so that changed ones hold at once. */
export function robotChannel(options: RobotOptions, parts: HttpChannelParts): Channel {
  const robot = ROBOTS[options.kind];
  const line = new HttpLine(options, parts.clock);
  return {
    name: options.name,
    bring: async (message, stop) => {
      const secrets = await readSecrets([options.keyFile, options.secretFile]);
      if (!secrets.ok) return { kind: "try-later", fault: secrets.error };
      const [key = "", secret = null] = secrets.value;
      const text = noticeText(message, parts.localTime);
      const url = options.url ?? robot.usualUrl;
      const request = robot.request({ url, key: key ?? "", secret, text, wallMs: parts.clock.wall() });
      const answer = await line.post(request.url, { headers: {}, body: request.body }, stop);
      if (!answer.ok) return { kind: "try-later", fault: answer.error };
      const { status, body } = answer.value;
      if (status < 200 || status > 299) return byStatus(status, request.url.host);
      const outcome = robot.outcome(body);
      if (outcome.kind === "taken") return { kind: "sent", by: request.url.host };
      const facts = { address: request.url.host, ...(outcome.code === null ? {} : { answer: outcome.code }) };
      return outcome.kind === "again"
        ? { kind: "try-later", fault: fault("channel-busy", facts) }
        : { kind: "refused", fault: fault("channel-refused", facts) };
    },
    close: line.close,
  };
}

/**
 * Any program that takes JSON by HTTP: `POST` of `vigil.notice/1`, with the header `Vigil-Signature: t=SECONDS,v1=HEX`, where HEX is the
 * HMAC-SHA256 of `SECONDS.BODY` with the secret. Any 2xx is its yes; `Idempotency-Key` and `key` are the same for the same telling. It
 * answers by `POST /answers` on the gateway's page, signed the same way.
 */
export function webhookChannel(options: WebhookOptions, parts: HttpChannelParts): Channel {
  const line = new HttpLine(options, parts.clock);
  return {
    name: options.name,
    bring: async (message, stop) => {
      const secrets = await readSecrets([options.secretFile]);
      if (!secrets.ok) return { kind: "try-later", fault: secrets.error };
      const body = JSON.stringify(webhookBody(message, parts.localTime));
      const signature = signed(body, secrets.value[0] ?? "", parts.clock.wall());
      const headers = { "vigil-signature": signature, "idempotency-key": message.key };
      const url = new URL(options.url);
      const answer = await line.post(url, { headers, body }, stop);
      if (!answer.ok) return { kind: "try-later", fault: answer.error };
      const { status } = answer.value;
      return status >= 200 && status <= 299 ? { kind: "sent", by: url.host } : byStatus(status, url.host);
    },
    answerSecret: async () => {
      const secrets = await readSecrets([options.secretFile]);
      return secrets.ok ? (secrets.value[0] ?? null) : null;
    },
    close: line.close,
  };
}

/** What a webhook is sent. */
function webhookBody(message: NoticeMessage, localTime: (atMs: number) => string) {
  const { key, alert, text, place, patient, drill, gatewayId } = message;
  return { format: "vigil.notice/1", key, gatewayId, drill, alert, text, place, patient, words: noticeText(message, localTime) };
}

function byStatus(status: number, address: string): NoticeOutcome {
  const facts = { address, status };
  if (status === 401 || status === 403) return { kind: "try-later", fault: fault("channel-denied", facts) };
  if (status >= 500 || LATER_STATUSES.has(status)) return { kind: "try-later", fault: fault("channel-busy", facts) };
  return { kind: "refused", fault: fault("channel-refused", facts) };
}

/** One server; its certificates are read when it is asked for the first time, and again where they did not do. */
class HttpLine {
  readonly #caFile: string | undefined;
  readonly #clock: Clock;
  #sockets: HttpSockets | null = null;

  constructor({ caFile }: { readonly caFile?: string | undefined }, clock: Clock) {
    this.#caFile = caFile;
    this.#clock = clock;
  }

  async post(
    url: URL,
    { headers, body }: { readonly headers: Readonly<Record<string, string>>; readonly body: string },
    stop: AbortSignal,
  ): Promise<Result<HttpAnswer, Fault>> {
    const sockets = await this.#open();
    if (!sockets.ok) return sockets;
    const request = {
      method: "POST",
      url,
      headers: { "content-type": "application/json; charset=utf-8", ...headers },
      body,
    } as const;
    const bounds = { timeoutMs: LIMITS.noticeAnswerMsMax.value, answerBytesMax: LIMITS.noticeAnswerBytesMax.value, stop };
    const answer = await sockets.value.ask(request, bounds);
    if (answer.ok) return answer;
    const reason = networkFault(answer.error, url.host);
    // A changed file of certificates holds from the next try on.
    if (reason.code === "channel-denied") this.close();
    return fail(reason);
  }

  readonly close = (): void => {
    this.#sockets?.close();
    this.#sockets = null;
  };

  async #open(): Promise<Result<HttpSockets, Fault>> {
    if (this.#sockets !== null) return succeed(this.#sockets);
    const caFile = this.#caFile;
    try {
      const trust = caFile === undefined ? {} : { ca: await readFile(caFile) };
      this.#sockets ??= openHttpSockets({ clock: this.#clock, trust, socketsMax: LIMITS.noticePlaces.value });
      return succeed(this.#sockets);
    } catch (error) {
      return fail(fault("channel-denied", { file: caFile ?? "", reason: codeOf(error) }));
    }
  }
}

/** Names OpenSSL gives to a certificate that does not verify. Source: Node.js documentation, "X509 certificate error codes". */
const CERTIFICATE_CODE = /CERT|ALTNAME|SELF_SIGNED|ISSUER|UNABLE_TO|CRL|INVALID_CA|PATH_LENGTH|INVALID_PURPOSE|HOSTNAME_MISMATCH/;

function networkFault(failure: HttpFailure, address: string): Fault {
  const code: ErrorCode =
    failure.kind === "network" && CERTIFICATE_CODE.test(failure.code) ? "channel-denied" : "channel-unreachable";
  return fault(code, { address, reason: failure.kind === "network" ? failure.code : failure.kind });
}

/** The first line of each file; null for one that is not named. */
async function readSecrets(files: readonly (string | undefined)[]): Promise<Result<readonly (string | null)[], Fault>> {
  const secrets: (string | null)[] = [];
  for (const file of files) {
    if (file === undefined) {
      secrets.push(null);
      continue;
    }
    try {
      secrets.push((await readFile(file, "utf8")).split("\n")[0]?.trim() ?? "");
    } catch (error) {
      return fail(fault("channel-denied", { file, reason: codeOf(error) }));
    }
  }
  return succeed(secrets);
}

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "unreadable";
}
