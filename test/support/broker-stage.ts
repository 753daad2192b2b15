import { type ChildProcess, execFile, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { connect as connectSocket, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect, connectAsync, type IClientOptions, type MqttClient } from "mqtt";
import { type Broker, type BrokerOptions, startBroker } from "../../src/broker/broker.ts";
import type { NewBrokerAccount } from "../../src/broker/broker-accounts.ts";
import { createSystemClock } from "../../src/clock.ts";
import type { Fault } from "../../src/core/errors.ts";
import type { BrokerArrival, BrokerListener } from "../../src/core/ports.ts";
import type { Clock } from "../../src/core/time.ts";

/** Debian's package `mosquitto-clients`. Where it is missing, the tests with it are skipped, loudly. */
export const mosquittoClientsAreMissing = !existsSync("/usr/bin/mosquitto_pub");
if (mosquittoClientsAreMissing) {
  process.stderr.write("SKIPPED: tests with mosquitto_pub (install Debian's package `mosquitto-clients`)\n");
}

const FOLLOWER = "/usr/bin/mosquitto_sub";

/** A broker in a folder of its own, with what it reported. */
export interface BrokerStage {
  readonly folder: string;
  broker: Broker;
  readonly faults: Fault[];
  readonly port: () => number;
  readonly tlsPort: () => number;
  /** Makes an account and returns its password. */
  readonly account: (name: string, more?: Partial<NewBrokerAccount>) => Promise<string>;
  /** Ends this broker and starts another one on the same folder. */
  readonly restart: () => Promise<void>;
  readonly remove: () => Promise<void>;
}

/** Starts a broker on a free port of 127.0.0.1; it admits at once. */
export async function startStage(
  more: Partial<BrokerOptions> = {},
  { clock = createSystemClock(), admit = true }: { readonly clock?: Clock; readonly admit?: boolean } = {},
): Promise<BrokerStage> {
  const folder = await mkdtemp(join(tmpdir(), "vigil-broker-"));
  const faults: Fault[] = [];
  const options: BrokerOptions = {
    dataFolder: folder,
    plain: { host: "127.0.0.1", port: 0 },
    tls: null,
    connectionsMax: 1000,
    messageBytesMax: 65_536,
    messagesPerSecondMax: 2000,
    reservedTopics: [],
    ...more,
  };
  const start = async () => {
    const started = await startBroker(options, { clock, random: randomBytes, report: (fault) => void faults.push(fault) });
    if (!started.ok) throw new Error(JSON.stringify(started.error));
    if (admit) started.value.admit();
    return started.value;
  };
  const stage: BrokerStage = {
    folder,
    broker: await start(),
    faults,
    port: () => stage.broker.ports.plain ?? 0,
    tlsPort: () => stage.broker.ports.tls ?? 0,
    account: async (name, account = {}) => {
      const added = await stage.broker.addAccount({ name, ...account });
      if (!added.ok) throw new Error(JSON.stringify(added.error));
      return added.value.password ?? "";
    },
    restart: async () => {
      await stage.broker.close();
      stage.broker = await start();
    },
    remove: async () => {
      await stage.broker.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
  return stage;
}

/** Options of mqtt.js for one account. */
export function clientOptions(stage: BrokerStage, username: string, password: string, more: IClientOptions = {}): IClientOptions {
  return {
    ...{ host: "127.0.0.1", port: stage.port(), protocol: "mqtt", protocolVersion: 4, clientId: username },
    ...{ username, password, reconnectPeriod: 0, connectTimeout: 5000 },
    ...more,
  };
}

/** A client that is in. */
export function connectClient(
  stage: BrokerStage,
  username: string,
  password: string,
  more: IClientOptions = {},
): Promise<MqttClient> {
  return connectAsync(clientOptions(stage, username, password, more));
}

/** `in`, `out 5` with the CONNACK's code, or `cut` where the connection just ended. */
export function trySignIn(options: IClientOptions): Promise<string> {
  return new Promise((resolve) => {
    const client = connect({ ...options, reconnectPeriod: 0 });
    const answer = (text: string) => {
      resolve(text);
      client.end(true);
    };
    client.once("connect", () => answer("in"));
    client.once("error", (error) => answer("code" in error && typeof error.code === "number" ? `out ${error.code}` : "cut"));
    client.once("close", () => answer("cut"));
  });
}

/** A listener that keeps what it was told, and thanks at once or not. */
export interface ListenerRecord extends BrokerListener {
  readonly arrivals: (BrokerArrival & { readonly thank: () => void })[];
  /** `up`, `down keep-alive` and so on. */
  readonly story: string[];
  readonly texts: () => readonly string[];
}

/** Makes a listener. */
export function recordListener({ thanks }: { readonly thanks: boolean }): ListenerRecord {
  const arrivals: ListenerRecord["arrivals"] = [];
  const story: string[] = [];
  return {
    arrivals,
    story,
    texts: () => arrivals.map(({ payload }) => Buffer.from(payload).toString()),
    message: (arrival, thank) => {
      arrivals.push({ ...arrival, thank });
      if (thanks) thank();
      return true;
    },
    up: () => void story.push("up"),
    down: (cause) => void story.push(`down ${cause}`),
  };
}

/** What a program of the package `mosquitto-clients` said. */
export interface ClientRun {
  readonly code: number;
  readonly output: string;
}

/** Runs `mosquitto_pub` or `mosquitto_sub` to its end, at most 10 s. */
export function runMosquitto(program: "mosquitto_pub" | "mosquitto_sub", args: readonly string[]): Promise<ClientRun> {
  return new Promise((resolve) => {
    execFile(program, [...args], { timeout: 10_000 }, (error, stdout, stderr) => {
      const code = error === null ? 0 : typeof error.code === "number" ? error.code : -1;
      resolve({ code, output: `${stdout}${stderr}` });
    });
  });
}

/** Starts `mosquitto_sub` and keeps what it prints. */
export function followMosquitto(args: readonly string[]): {
  readonly child: ChildProcess;
  readonly lines: () => readonly string[];
} {
  const child = spawn(FOLLOWER, [...args], { stdio: ["ignore", "pipe", "ignore"] });
  let text = "";
  child.stdout.on("data", (bytes: Buffer) => {
    text += bytes.toString();
  });
  return { child, lines: () => text.split("\n").filter((line) => line !== "") };
}

/** A connection without a client behind it. */
export interface RawClient {
  readonly socket: Socket;
  readonly received: () => Buffer;
  readonly isClosed: () => boolean;
}

/** Opens one. */
export function connectRaw(port: number): Promise<RawClient> {
  return new Promise((resolve, reject) => {
    const socket = connectSocket({ host: "127.0.0.1", port });
    const pieces: Buffer[] = [];
    let closed = false;
    socket.on("data", (bytes: Buffer) => pieces.push(bytes));
    socket.on("close", () => {
      closed = true;
    });
    socket.once("error", reject);
    socket.once("connect", () => {
      socket.removeListener("error", reject);
      socket.on("error", () => {});
      resolve({ socket, received: () => Buffer.concat(pieces), isClosed: () => closed });
    });
  });
}

/** A packet: its first byte, the length and the body. */
export function packetOf(first: number, body: Buffer): Buffer {
  const header = [first];
  let rest = body.length;
  do {
    header.push((rest & 0x7f) | (rest > 0x7f ? 0x80 : 0));
    rest >>= 7;
  } while (rest > 0);
  return Buffer.concat([Buffer.from(header), body]);
}

/** A text with its length before it. */
export function textOf(text: string): Buffer {
  const bytes = Buffer.from(text);
  const length = Buffer.alloc(2);
  length.writeUInt16BE(bytes.length);
  return Buffer.concat([length, bytes]);
}

/** A CONNECT with name, password and a clean session. */
export function connectPacket(clientId: string, password: string, keepAliveSeconds = 0): Buffer {
  const head = Buffer.concat([textOf("MQTT"), Buffer.from([4, 0xc2, keepAliveSeconds >> 8, keepAliveSeconds & 0xff])]);
  return packetOf(0x10, Buffer.concat([head, textOf(clientId), textOf(clientId), textOf(password)]));
}

/** A PUBLISH. */
export function publishPacket(
  topic: string,
  payload: string | Buffer,
  of: { readonly qos?: 0 | 1 | 2; readonly messageId?: number; readonly dup?: boolean } = {},
): Buffer {
  const { qos = 0, messageId = 1, dup = false } = of;
  const identifier = qos === 0 ? [] : [Buffer.from([messageId >> 8, messageId & 0xff])];
  const first = 0x30 | (qos << 1) | (dup ? 8 : 0);
  return packetOf(first, Buffer.concat([textOf(topic), ...identifier, Buffer.from(payload)]));
}

/** A raw client that has signed in. */
export async function signInRaw(stage: BrokerStage, name: string, password: string, keepAliveSeconds = 0): Promise<RawClient> {
  const client = await connectRaw(stage.port());
  client.socket.write(connectPacket(name, password, keepAliveSeconds));
  const endMs = performance.now() + 10_000;
  while (client.received().length < 4 && performance.now() < endMs) await new Promise((resolve) => setTimeout(resolve, 5));
  if (
    !client
      .received()
      .subarray(0, 4)
      .equals(Buffer.from([0x20, 2, 0, 0]))
  )
    throw new Error("not let in");
  return client;
}
