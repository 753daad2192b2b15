import { readFile } from "node:fs/promises";
import { isIP, type Socket, connect as tcpConnect } from "node:net";
import { connect as tlsConnect } from "node:tls";
import { type IClientOptions, MqttClient } from "mqtt";
import { type Fault, fault } from "../core/errors.ts";
import { LIMITS } from "../core/limits.ts";
import type { MqttServer } from "../core/ports.ts";
import { fail, type Result, succeed } from "../core/result.ts";
import type { Clock, Timer } from "../core/time.ts";

/** Who connects, and what the server keeps of them. */
export interface MqttSession {
  readonly clientId: string;
  /** How long the server keeps the session after the connection; 0: not at all. MQTT 3.1.1 servers keep it for as long as they like. */
  readonly sessionExpirySeconds: number;
  /** Published, retained, by the server when the connection ends without a good-bye. */
  readonly will: { readonly topic: string; readonly payload: string } | null;
}

/** A message to send with QoS 1. */
export interface MqttMessage {
  readonly topic: string;
  readonly payload: string | Uint8Array;
  readonly retain: boolean;
  /** True for alerts: these may take the places kept for them. */
  readonly urgent: boolean;
  /** MQTT 5 only; not sent to a 3.1.1 server. */
  readonly properties: {
    readonly responseTopic: string;
    readonly correlationData: string;
    readonly userProperties: Readonly<Record<string, string>>;
  } | null;
}

/** A message that came. */
export interface MqttArrival {
  readonly topic: string;
  readonly payload: Uint8Array;
  readonly retained: boolean;
  /** The server sends it again because it did not see our thanks. */
  readonly redelivered: boolean;
  /** The server's packet identifier with QoS 1, null with QoS 0. */
  readonly messageId: number | null;
  readonly responseTopic: string | null;
  readonly correlationData: string | null;
}

/** Why a message was not confirmed: the connection is gone, or the server answered with a reason code of 128 or more. */
export type PublishFailure =
  | { readonly kind: "lost"; readonly fault: Fault }
  | { readonly kind: "refused"; readonly reasonCode: number };

/** One connection, from CONNACK to its end. It never reconnects: its owner does. */
export interface MqttConnection {
  /** Whether the server had kept a session from before: what it queued meanwhile comes first. */
  readonly sessionPresent: boolean;
  /**
   * Sends with QoS 1 and resolves at the PUBACK. At most `upstreamInFlightMax` (or what the server allows) are under way, the last
   * `upstreamUrgentPlaces` of them for urgent messages only; the rest wait here in order, so callers bound how many they hand over.
   * No PUBACK in `upstreamConfirmMsMax` ends the connection as `upstream-slow`.
   */
  readonly publish: (message: MqttMessage) => Promise<Result<void, PublishFailure>>;
  readonly subscribe: (filters: readonly string[]) => Promise<Result<void, Fault>>;
  /** Takes no further message, nor anything behind it, before `resume`; the server's queue holds the rest. A pause beyond the keep-alive ends the connection. */
  readonly pause: () => void;
  readonly resume: () => void;
  /** Why the connection has ended, or null while it lives. */
  readonly endedBy: () => Fault | null;
  /** Resolves when the connection has ended, with the reason. */
  readonly ended: Promise<Fault>;
  /** Says good-bye (so that the will stays unsaid), at most a quarter of a second, then cuts. */
  readonly close: () => Promise<void>;
  /** Cuts without a good-bye, as a device that loses its network. */
  readonly cut: () => void;
}

/** What a connection needs from outside. */
export interface MqttParts {
  readonly clock: Clock;
  /** `thank` sends the server its PUBACK; without `thanksByHand` that has been sent already. */
  readonly onMessage: (arrival: MqttArrival, thank: () => void) => void;
  /**
   * True: a message is thanked for when `thank` is called, and not at all where the connection ends first: the server keeps it and sends
   * it again. At most `upstreamReceiptsWaitingMax` wait for that; what comes beyond is left to the server unread, and the connection ends,
   * to get it again, as soon as none waits any more.
   */
  readonly thanksByHand?: boolean;
  readonly stop: AbortSignal;
}

/** Seconds between two signs of life while nothing else is sent. */
const KEEPALIVE_SECONDS = 15;
/** Longest wait for the server to take our good-bye, in ms. */
const GOODBYE_MS_MAX = 250;
/** First byte of a PUBACK. Source: MQTT 5.0, 3.4.1. */
const PUBACK = 0x40;
/** Reason code for what a server would not take. Source: MQTT 5.0, table 2-6. */
const PACKET_TOO_LARGE = 149;
/** Fixed header, packet identifier, property length, payload format and content type of a publish, rounded up. */
const OVERHEAD_BYTES = 64;

interface Secrets {
  readonly password: Buffer | null;
  readonly ca: Buffer | null;
  readonly cert: Buffer | null;
  readonly key: Buffer | null;
}

/**
 * Opens one connection and waits for its CONNACK, at most `upstreamConnectMsMax`.
 *
 * @returns  The connection, or `upstream-unreachable`, `upstream-denied`, `upstream-certificate` or `upstream-slow` (reached, but no
 *           CONNACK). Never throws and never stays open: the library's own promise does not settle on a foreign certificate, so
 *           the socket is ours and its end is listened for.
 */
export async function connectMqtt(
  server: MqttServer,
  session: MqttSession,
  parts: MqttParts,
): Promise<Result<MqttConnection, Fault>> {
  const secrets = await readSecrets(server);
  if (!secrets.ok) return secrets;
  const address = parseAddress(server.url);
  if (address === null) return fail(fault("upstream-unreachable", { reason: "bad-url" }));
  if (parts.stop.aborted) return fail(fault("upstream-unreachable", { reason: "stopping" }));
  const opened = openSocket(address, secrets.value);
  if (!opened.ok) return opened;
  const socket = opened.value;
  let firstError: unknown = null;
  const note = (error: unknown) => {
    firstError ??= error;
  };
  socket.on("error", note);
  const client = new MqttClient(() => socket, clientOptions(server, session, secrets.value, parts.thanksByHand === true));
  const thanks = new HeldThanks(socket);
  const gate = new Gate();
  const afterwards = parts.thanksByHand === true ? THANKED_FOR_LATER : undefined;
  client.handleMessage = (packet, callback) => gate.pass(() => (packet.qos === 1 ? callback(afterwards) : callback()));
  client.on("error", note);
  client.on("disconnect", (packet) => note(new ReasonError(packet.reasonCode ?? 0)));
  return new Promise((resolve) => {
    const giveUp = (reason: Fault) => {
      timer.stop();
      parts.stop.removeEventListener("abort", stopped);
      client.end(true);
      socket.destroy();
      resolve(fail(reason));
    };
    const stopped = () => giveUp(fault("upstream-unreachable", { reason: "stopping" }));
    const closed = () => giveUp(classify(firstError, address.text));
    const timer = parts.clock.after(LIMITS.upstreamConnectMsMax.value, () => {
      const reached = !socket.connecting;
      giveUp(fault(reached ? "upstream-slow" : "upstream-unreachable", { address: address.text, reason: "time-out" }));
    });
    parts.stop.addEventListener("abort", stopped);
    client.once("close", closed);
    client.on("message", (topic, payload, packet) => {
      const thank = parts.thanksByHand === true ? thanks.hold(packet) : () => {};
      if (thank === null) return;
      const arrival = {
        topic,
        payload,
        retained: packet.retain,
        redelivered: packet.dup,
        messageId: packet.messageId ?? null,
        responseTopic: packet.properties?.responseTopic ?? null,
        correlationData: packet.properties?.correlationData?.toString("utf8") ?? null,
      };
      parts.onMessage(arrival, thank);
    });
    client.once("connect", (connack) => {
      timer.stop();
      parts.stop.removeEventListener("abort", stopped);
      client.off("close", closed);
      const places = Math.min(LIMITS.upstreamInFlightMax.value, connack.properties?.receiveMaximum ?? Number.POSITIVE_INFINITY);
      const packetBytesMax = connack.properties?.maximumPacketSize ?? Number.POSITIVE_INFINITY;
      const of = { client, socket, gate, clock: parts.clock, places, packetBytesMax, address: address.text };
      const connection = new Connection({ ...of, sessionPresent: connack.sessionPresent });
      client.once("close", () => connection.end(classify(firstError, address.text)));
      thanks.whenLeftOver(() => connection.end(fault("upstream-slow", { address: address.text, reason: "receipts-left-over" })));
      resolve(succeed(connection));
    });
  });
}

/** Makes the library go on without a PUBACK. */
const THANKED_FOR_LATER = new Error("thanked for later");

/** Lets one message after the other pass, and none while it is closed: the library reads on when the last one has passed. */
class Gate {
  #isClosed = false;
  #waiting: (() => void) | null = null;

  pass(go: () => void): void {
    if (this.#isClosed) this.#waiting = go;
    else go();
  }

  close(): void {
    this.#isClosed = true;
  }

  open(): void {
    this.#isClosed = false;
    const go = this.#waiting;
    this.#waiting = null;
    go?.();
  }
}

/** A message that came and is not yet thanked for. */
interface HeldThank {
  readonly messageId: number;
  isDue: boolean;
}

/**
 * PUBACKs that wait for a word. The library would wait with everything else that comes, confirmations of our own messages included, so it
 * is told that the message failed, which makes it go on without a PUBACK, and the PUBACK is written here. They leave in the order in
 * which the messages came. Source: MQTT 5.0, 4.6; a PUBACK of four bytes is right in 3.1.1 and in 5.0, where it means success (3.4.2.1).
 */
class HeldThanks {
  readonly #socket: Socket;
  readonly #held: HeldThank[] = [];
  #leftOverCount = 0;
  #onLeftOver: () => void = () => {};

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  /** How to thank for a message, or null where too many wait: it is then as if it had not come. */
  hold(packet: { readonly qos: number; readonly messageId?: number | undefined }): (() => void) | null {
    const { qos, messageId } = packet;
    if (qos !== 1 || messageId === undefined) return () => {};
    if (this.#held.length >= LIMITS.upstreamReceiptsWaitingMax.value) {
      this.#leftOverCount += 1;
      return null;
    }
    const held: HeldThank = { messageId, isDue: false };
    this.#held.push(held);
    return () => {
      held.isDue = true;
      this.#sendDue();
    };
  }

  /** Called when some were left to the server and none waits any more. */
  whenLeftOver(listener: () => void): void {
    this.#onLeftOver = listener;
  }

  #sendDue(): void {
    while (this.#held[0]?.isDue === true) {
      const messageId = this.#held.shift()?.messageId ?? 0;
      if (this.#socket.writable) this.#socket.write(Buffer.from([PUBACK, 2, messageId >> 8, messageId & 0xff]));
    }
    if (this.#held.length === 0 && this.#leftOverCount > 0) this.#onLeftOver();
  }
}

interface Job {
  readonly message: MqttMessage;
  readonly settle: (result: Result<void, PublishFailure>) => void;
}

/** The living half of a connection: what is under way and what waits for a place. */
class Connection implements MqttConnection {
  readonly ended: Promise<Fault>;
  readonly sessionPresent: boolean;
  readonly #client: MqttClient;
  readonly #socket: Socket;
  readonly #gate: Gate;
  readonly #clock: Clock;
  readonly #places: number;
  readonly #packetBytesMax: number;
  readonly #address: string;
  readonly #urgent: Job[] = [];
  readonly #others: Job[] = [];
  readonly #underWay = new Map<Job, Timer>();
  #fault: Fault | null = null;
  #tellEnded: (reason: Fault) => void = () => {};

  constructor(of: {
    readonly client: MqttClient;
    readonly socket: Socket;
    readonly gate: Gate;
    readonly clock: Clock;
    readonly places: number;
    readonly packetBytesMax: number;
    readonly address: string;
    readonly sessionPresent: boolean;
  }) {
    this.sessionPresent = of.sessionPresent;
    this.#gate = of.gate;
    this.#client = of.client;
    this.#socket = of.socket;
    this.#clock = of.clock;
    this.#places = of.places;
    this.#packetBytesMax = of.packetBytesMax;
    this.#address = of.address;
    this.ended = new Promise((resolve) => {
      this.#tellEnded = resolve;
    });
  }

  readonly endedBy = (): Fault | null => this.#fault;

  readonly publish = (message: MqttMessage): Promise<Result<void, PublishFailure>> =>
    new Promise((resolve) => {
      if (this.#fault !== null) return resolve(fail({ kind: "lost", fault: this.#fault }));
      // MQTT 5.0, 3.2.2.3.6: a server may say how much it takes, and cuts the connection of whoever sends more.
      const isTooLarge = packetBytesAtMost(message) > this.#packetBytesMax;
      if (isTooLarge) return resolve(fail({ kind: "refused", reasonCode: PACKET_TOO_LARGE }));
      (message.urgent ? this.#urgent : this.#others).push({ message, settle: resolve });
      this.#fill();
    });

  readonly subscribe = (filters: readonly string[]): Promise<Result<void, Fault>> =>
    new Promise((resolve) => {
      if (this.#fault !== null) return resolve(fail(this.#fault));
      const slow = fault("upstream-slow", { address: this.#address, waitedFor: "suback" });
      const timer = this.#clock.after(LIMITS.upstreamConfirmMsMax.value, () => this.end(slow));
      void this.ended.then((reason) => resolve(fail(reason)));
      this.#client.subscribe([...filters], { qos: 1 }, (error, granted) => {
        timer.stop();
        const refused = error !== null || (granted ?? []).some((grant) => grant.qos >= 128);
        resolve(refused ? fail(fault("upstream-denied", { address: this.#address, refused: "subscribe" })) : succeed(undefined));
      });
    });

  readonly pause = (): void => this.#gate.close();

  readonly resume = (): void => this.#gate.open();

  readonly close = async (): Promise<void> => {
    if (this.#fault !== null) return;
    this.#gate.open();
    const said = new Promise<void>((resolve) => this.#client.end(false, {}, () => resolve()));
    await Promise.race([said, this.#clock.sleep(GOODBYE_MS_MAX)]);
    this.end(fault("upstream-unreachable", { address: this.#address, reason: "closed" }));
  };

  readonly cut = (): void => this.end(fault("upstream-unreachable", { address: this.#address, reason: "cut" }));

  /** Ends the connection for a reason; everything under way or waiting fails as lost. The first reason stays. */
  end(reason: Fault): void {
    if (this.#fault !== null) return;
    this.#fault = reason;
    const jobs = [...this.#underWay.keys(), ...this.#urgent.splice(0), ...this.#others.splice(0)];
    for (const timer of this.#underWay.values()) timer.stop();
    this.#underWay.clear();
    this.#client.end(true);
    this.#socket.destroy();
    this.#tellEnded(reason);
    for (const job of jobs) job.settle(fail({ kind: "lost", fault: reason }));
  }

  /** Starts what has a place. Alerts first; the others leave `upstreamUrgentPlaces` free, but always have one place themselves. */
  #fill(): void {
    const placesForOthers = Math.max(1, this.#places - LIMITS.upstreamUrgentPlaces.value);
    while (this.#underWay.size < this.#places) {
      const job = this.#urgent.shift() ?? (this.#underWay.size < placesForOthers ? this.#others.shift() : undefined);
      if (job === undefined) return;
      this.#start(job);
    }
  }

  #start(job: Job): void {
    const slow = fault("upstream-slow", { address: this.#address, waitedFor: "puback" });
    this.#underWay.set(
      job,
      this.#clock.after(LIMITS.upstreamConfirmMsMax.value, () => this.end(slow)),
    );
    const { topic, payload, retain, properties } = job.message;
    const more =
      properties === null || this.#client.options.protocolVersion !== 5
        ? {}
        : {
            properties: {
              payloadFormatIndicator: true,
              contentType: "application/json",
              responseTopic: properties.responseTopic,
              correlationData: Buffer.from(properties.correlationData),
              userProperties: { ...properties.userProperties },
            },
          };
    const whole = typeof payload === "string" ? payload : Buffer.from(payload);
    this.#client.publish(topic, whole, { qos: 1, retain, ...more }, (error) => {
      const timer = this.#underWay.get(job);
      if (timer === undefined) return;
      timer.stop();
      this.#underWay.delete(job);
      job.settle(publishResult(error, this.#address));
      this.#fill();
    });
  }
}

/** No less than the packet will have: payload, topics, properties, each length in two bytes, and the fixed header. */
function packetBytesAtMost({ topic, payload, properties }: MqttMessage): number {
  const texts = properties === null ? [] : [properties.responseTopic, properties.correlationData];
  for (const [name, value] of Object.entries(properties?.userProperties ?? {})) texts.push(name, value);
  const bytes = [topic, payload, ...texts].reduce((sum, text) => sum + Buffer.byteLength(text) + 3, 0);
  return bytes + OVERHEAD_BYTES;
}

/** A PUBACK with a reason code of 128 or more is the server's no; any other error of the library means that the connection went. */
function publishResult(error: unknown, address: string): Result<void, PublishFailure> {
  if (error === undefined || error === null) return succeed(undefined);
  const code = errorCode(error);
  if (typeof code === "number" && code >= 128) return fail({ kind: "refused", reasonCode: code });
  return fail({ kind: "lost", fault: classify(error, address) });
}

interface Address {
  readonly host: string;
  readonly port: number;
  readonly secure: boolean;
  readonly text: string;
}

function parseAddress(url: string): Address | null {
  if (!URL.canParse(url)) return null;
  const { protocol, hostname, port } = new URL(url);
  if (protocol !== "mqtt:" && protocol !== "mqtts:") return null;
  const secure = protocol === "mqtts:";
  const host = hostname.replace(/^\[(.*)\]$/, "$1");
  const portNumber = port === "" ? (secure ? 8883 : 1883) : Number(port);
  return { host, port: portNumber, secure, text: `${hostname}:${portNumber}` };
}

/** Starts the connection. Fails at once only where a certificate or key file is not one. */
function openSocket(address: Address, secrets: Secrets): Result<Socket, Fault> {
  const { host, port } = address;
  if (!address.secure) return succeed(tcpConnect({ host, port, noDelay: true }));
  try {
    const socket = tlsConnect({
      host,
      port,
      minVersion: "TLSv1.2",
      ...(isIP(host) === 0 ? { servername: host } : {}),
      ...(secrets.ca === null ? {} : { ca: secrets.ca }),
      ...(secrets.cert === null || secrets.key === null ? {} : { cert: secrets.cert, key: secrets.key }),
    });
    return succeed(socket);
  } catch (error) {
    return fail(fault("upstream-certificate", { address: address.text, reason: String(errorCode(error) ?? "bad-file") }));
  }
}

function clientOptions(server: MqttServer, session: MqttSession, secrets: Secrets, thanksByHand: boolean): IClientOptions {
  const expiry = session.sessionExpirySeconds > 0 ? { sessionExpiryInterval: session.sessionExpirySeconds } : {};
  // The server itself then keeps what would be too much.
  const bound = thanksByHand ? { receiveMaximum: LIMITS.upstreamReceiptsWaitingMax.value } : {};
  return {
    clientId: session.clientId,
    protocolId: "MQTT",
    protocolVersion: server.protocolVersion,
    clean: session.sessionExpirySeconds === 0,
    reconnectPeriod: 0,
    resubscribe: false,
    queueQoSZero: false,
    keepalive: KEEPALIVE_SECONDS,
    connectTimeout: LIMITS.upstreamConnectMsMax.value * 2,
    ...(server.username === undefined ? {} : { username: server.username }),
    ...(secrets.password === null ? {} : { password: secrets.password }),
    ...(session.will === null
      ? {}
      : { will: { topic: session.will.topic, payload: Buffer.from(session.will.payload), qos: 1 as const, retain: true } }),
    ...(server.protocolVersion === 5 ? { properties: { ...expiry, ...bound } } : {}),
  };
}

/** Reads the files the server's settings name; a missing one is told as what it would have been good for. */
async function readSecrets(server: MqttServer): Promise<Result<Secrets, Fault>> {
  const read = async (file: string | undefined, code: "upstream-denied" | "upstream-certificate") => {
    if (file === undefined) return null;
    try {
      return await readFile(file);
    } catch (error) {
      throw new SecretError(fault(code, { file, reason: String(errorCode(error) ?? "unreadable") }));
    }
  };
  try {
    const password = await read(server.passwordFile, "upstream-denied");
    return succeed({
      password: password === null ? null : Buffer.from(password.toString("utf8").replace(/\r?\n$/, "")),
      ca: await read(server.caFile, "upstream-certificate"),
      cert: await read(server.certFile, "upstream-denied"),
      key: await read(server.keyFile, "upstream-denied"),
    });
  } catch (error) {
    if (error instanceof SecretError) return fail(error.fault);
    throw error;
  }
}

class SecretError extends Error {
  readonly fault: Fault;
  constructor(reason: Fault) {
    super(reason.code);
    this.fault = reason;
  }
}

class ReasonError extends Error {
  readonly code: number;
  constructor(code: number) {
    super(`reason code ${code}`);
    this.code = code;
  }
}

/** Answers to CONNECT that a person must mend: 3.1.1 return codes 1, 2, 4, 5; MQTT 5 reason codes 132 to 135, 138 and 140. */
const DENIED_CODES: ReadonlySet<number> = new Set([1, 2, 4, 5, 132, 133, 134, 135, 138, 140]);

/** Names OpenSSL gives to a server certificate that does not verify. Source: Node.js documentation, "X509 certificate error codes". */
const CERTIFICATE_CODE = /CERT|ALTNAME|SELF_SIGNED|ISSUER|UNABLE_TO|CRL|INVALID_CA|PATH_LENGTH|INVALID_PURPOSE|HOSTNAME_MISMATCH/;

/** Turns what the library, TLS or the socket said into one fault. A TLS alert from the server means that it refuses our certificate. */
function classify(error: unknown, address: string): Fault {
  const code = errorCode(error);
  if (typeof code === "number") {
    return fault(DENIED_CODES.has(code) ? "upstream-denied" : "upstream-unreachable", { address, reasonCode: code });
  }
  if (code === null) return fault("upstream-unreachable", { address, reason: "connection-closed" });
  if (/ALERT/.test(code)) return fault("upstream-denied", { address, reason: code });
  if (/WRONG_VERSION_NUMBER|UNSUPPORTED_PROTOCOL/.test(code)) return fault("upstream-certificate", { address, reason: code });
  if (CERTIFICATE_CODE.test(code)) return fault("upstream-certificate", { address, reason: code });
  return fault("upstream-unreachable", { address, reason: code });
}

function errorCode(error: unknown): string | number | null {
  if (typeof error !== "object" || error === null || !("code" in error)) return null;
  return typeof error.code === "string" || typeof error.code === "number" ? error.code : null;
}
