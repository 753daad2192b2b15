import { randomBytes } from "node:crypto";
import type { Fault } from "../../core/errors.ts";
import type { MqttServer } from "../../core/ports.ts";
import { connectMqtt } from "../../mqtt/connection.ts";
import { type Examined, type Family, isIdle } from "./examined.ts";
import type { FindingId } from "./findings.ts";
import { found, notTried, type Outcome, well } from "./outcome.ts";

/** Reached, but something is wrong with the certificate. Source: Node.js documentation, "X509 certificate error codes". */
const CERTIFICATE_FINDINGS: readonly { readonly words: RegExp; readonly finding: FindingId }[] = [
  { words: /EXPIRED|NOT_YET_VALID/, finding: "server-certificate-expired" },
  { words: /ALTNAME|HOSTNAME_MISMATCH/, finding: "server-certificate-name" },
  { words: /SELF_SIGNED|ISSUER|UNABLE_TO|UNTRUSTED|INVALID_CA|SIGNATURE/, finding: "server-certificate-unknown" },
];

/** Whether the MQTT servers the gateway connects to take it. A running gateway is asked instead: a second connection could cost it its own. */
export const examineServers: Family = async (examined) => {
  const { upstreams, mqttServers } = examined.config;
  const servers = [
    ...upstreams.map((upstream) => ({ title: `upstream ${upstream.name}`, access: mqttAccessOf(upstream) })),
    ...mqttServers.map((server) => ({ title: `server ${server.name}`, access: server })),
  ];
  return (await Promise.all(servers.map((server) => examineServer(server, examined)))).flat();
};

/** An upstream's MQTT access, or null where it is reached another way. */
function mqttAccessOf(upstream: { readonly kind: string; readonly url: string }): MqttServer | null {
  return /^mqtts?:/.test(upstream.url) ? { protocolVersion: 5, ...upstream } : null;
}

async function examineServer(
  server: { readonly title: string; readonly access: MqttServer | null },
  examined: Examined,
): Promise<readonly Outcome[]> {
  const { title, access } = server;
  if (!isIdle(examined))
    return [
      notTried("server", title, {
        en: "the running gateway is connected, and tells how it does",
        zh: "由运行中的网关连接，其状态由网关给出",
      }),
    ];
  if (access === null)
    return [
      notTried("server", title, {
        en: "this kind of server is tried by the running gateway only",
        zh: "此类服务器仅由运行中的网关尝试",
      }),
    ];
  const subject = `${title} (${access.url})`;
  const stop = new AbortController();
  // A client of its own name, without a session and without a will: nobody's messages are taken and nobody is put out.
  const session = { clientId: `vigil-doctor-${randomBytes(6).toString("hex")}`, sessionExpirySeconds: 0, will: null };
  const connected = await connectMqtt(access, session, { clock: examined.probes.clock, onMessage: () => {}, stop: stop.signal });
  if (!connected.ok) return findingsOf(connected.error, subject);
  await connected.value.close();
  return [well("server", subject)];
}

function findingsOf({ code, facts }: Fault, subject: string): readonly Outcome[] {
  const reason = String(facts["reason"] ?? facts["reasonCode"] ?? code);
  // A file that is missing is told where the files are looked at.
  if (facts["file"] !== undefined)
    return [notTried("server", subject, { en: `its file ${facts["file"]} cannot be read`, zh: `无法读取文件 ${facts["file"]}` })];
  if (code === "upstream-denied") return [found("server-refuses", subject, { reason })];
  if (code === "upstream-slow") return [found("server-silent", subject, { reason })];
  // The other side does not speak TLS: the system tells it as a broken protocol.
  if (/^EPROTO$|ERR_SSL/.test(reason)) return [found("server-certificate-bad", subject, { reason })];
  if (code === "upstream-certificate") {
    const finding = CERTIFICATE_FINDINGS.find(({ words }) => words.test(reason))?.finding ?? "server-certificate-bad";
    return [found(finding, subject, { reason })];
  }
  if (/ENOTFOUND|EAI_AGAIN/.test(reason)) return [found("server-unknown", subject, { reason })];
  return [found("server-unreachable", subject, { reason })];
}
