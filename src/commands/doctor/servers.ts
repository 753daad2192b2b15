import { randomBytes } from "node:crypto";
import type { Config } from "../../../config/schema.ts";
import type { Fault } from "../../core/errors.ts";
import type { MqttServer } from "../../core/ports.ts";
import type { Clock } from "../../core/time.ts";
import { connectMqtt } from "../../mqtt/connection.ts";
import { type InfluxServer, openInfluxClient } from "../../sinks/influx-client.ts";
import { type Examined, type Family, isIdle } from "./examined.ts";
import type { FindingId } from "./findings.ts";
import { found, notTried, type Outcome, well } from "./outcome.ts";

/** Reached, but something is wrong with the certificate. Source: Node.js documentation, "X509 certificate error codes". */
const CERTIFICATE_FINDINGS: readonly { readonly words: RegExp; readonly finding: FindingId }[] = [
  { words: /EXPIRED|NOT_YET_VALID/, finding: "server-certificate-expired" },
  { words: /ALTNAME|HOSTNAME_MISMATCH/, finding: "server-certificate-name" },
  { words: /SELF_SIGNED|ISSUER|UNABLE_TO|UNTRUSTED|INVALID_CA|SIGNATURE/, finding: "server-certificate-unknown" },
];

/** A comment in InfluxDB's line protocol: the server must let us write, and there is nothing to be written. */
const NOTHING_TO_WRITE = "# vigil doctor\n";

/** How to try one server: null where it takes us, else why not. */
interface Server {
  readonly subject: string;
  readonly try: (clock: Clock) => Promise<Fault | null>;
}

/** Whether the servers the gateway connects to take it. A running gateway is asked instead: a second connection could cost it its own. */
export const examineServers: Family = async (examined) => {
  const { upstreams, mqttServers } = examined.config;
  const servers = [
    ...upstreams.map(upstreamServer),
    ...mqttServers.map((server) => mqttServer(`server ${server.name} (${server.url})`, server)),
  ];
  return (await Promise.all(servers.map((server) => examineServer(server, examined)))).flat();
};

function upstreamServer(upstream: Config["upstreams"][number]): Server {
  const subject = `upstream ${upstream.name} (${upstream.url})`;
  switch (upstream.kind) {
    case "mqtt":
      return mqttServer(subject, upstream);
    case "influx":
      return { subject, try: (clock) => tryInflux(upstream, clock) };
  }
}

function mqttServer(subject: string, server: MqttServer): Server {
  return { subject, try: (clock) => tryMqtt(server, clock) };
}

/** Connects as a client of its own name, without a session and without a will: nobody's messages are taken and nobody is put out. */
async function tryMqtt(server: MqttServer, clock: Clock): Promise<Fault | null> {
  const session = { clientId: `vigil-doctor-${randomBytes(6).toString("hex")}`, sessionExpirySeconds: 0, will: null };
  const connected = await connectMqtt(server, session, { clock, onMessage: () => {}, stop: new AbortController().signal });
  if (!connected.ok) return connected.error;
  await connected.value.close();
  return null;
}

async function tryInflux(server: InfluxServer, clock: Clock): Promise<Fault | null> {
  const opened = await openInfluxClient(server, clock);
  if (!opened.ok) return opened.error;
  const answer = await opened.value.write(NOTHING_TO_WRITE, new AbortController().signal);
  opened.value.close();
  // A server that looked at what came, and says that it is nothing, has let us in.
  return answer.kind === "unavailable" ? answer.fault : null;
}

async function examineServer(server: Server, examined: Examined): Promise<readonly Outcome[]> {
  const { subject } = server;
  if (!isIdle(examined)) return [notTried("server", subject, GATEWAY_IS_CONNECTED)];
  const fault = await server.try(examined.probes.clock);
  return fault === null ? [well("server", subject)] : [outcomeOf(fault, subject)];
}

const GATEWAY_IS_CONNECTED = {
  en: "the running gateway connects to it, and tells how it does",
  zh: "由运行中的网关连接，其状态由网关给出",
} as const;

function outcomeOf({ code, facts }: Fault, subject: string): Outcome {
  const reason = String(facts["reason"] ?? facts["status"] ?? facts["reasonCode"] ?? code);
  // A file that is missing is told where the files are looked at.
  if (facts["file"] !== undefined)
    return notTried("server", subject, { en: `its file ${facts["file"]} cannot be used`, zh: `无法使用文件 ${facts["file"]}` });
  return found(findingOf(code, reason), subject, { reason });
}

function findingOf(code: Fault["code"], reason: string): FindingId {
  if (code === "upstream-denied") return "server-refuses";
  if (code === "upstream-slow") return "server-silent";
  if (code === "upstream-target-missing") return "server-target-missing";
  if (code === "upstream-failing") return "server-failing";
  // The other side does not speak TLS: the system tells it as a broken protocol.
  if (/^EPROTO$|ERR_SSL/.test(reason)) return "server-certificate-bad";
  if (code === "upstream-certificate")
    return CERTIFICATE_FINDINGS.find(({ words }) => words.test(reason))?.finding ?? "server-certificate-bad";
  return /ENOTFOUND|EAI_AGAIN/.test(reason) ? "server-unknown" : "server-unreachable";
}
