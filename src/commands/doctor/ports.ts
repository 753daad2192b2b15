import { createServer } from "node:net";
import { addressesOnTheNetwork } from "../../dashboard/server/tls/own-certificate.ts";
import { pageTlsOf } from "../../gateway/page-tls.ts";
import { certificateOf } from "../certificate.ts";
import { type Examined, type Family, isIdle } from "./examined.ts";
import { systemCode } from "./files.ts";
import { found, foundFault, notTried, type Outcome, well } from "./outcome.ts";

/** The ports the gateway itself listens on, and who can reach the page. */
export const examinePorts: Family = async (examined) => {
  const { broker, dashboard } = examined.config;
  const outcomes: Outcome[] = [];
  if (dashboard.enabled) outcomes.push(await examinePagePort(examined), ...(await examineEncryption(examined)));
  const listeners = [
    ...(broker === undefined || broker.port === null ? [] : [{ host: broker.host, port: broker.port }]),
    ...(broker?.tls === undefined ? [] : [{ host: broker.tls.host, port: broker.tls.port }]),
  ];
  if (broker !== undefined && broker.port !== null) outcomes.push(examineBrokerExposure(broker.host, broker.port));
  for (const at of listeners) outcomes.push(await examineBrokerPort(at, examined));
  return outcomes;
};

interface Address {
  readonly host: string;
  readonly port: number;
}

async function examinePagePort(examined: Examined): Promise<Outcome> {
  const { host, port } = examined.config.dashboard;
  const subject = `${host}:${port}`;
  if (!isIdle(examined)) return notTried("page-port", subject, GATEWAY_HAS_IT);
  const cause = await troubleOf({ host, port });
  if (cause === null) return well("page-port", subject);
  return found(cause === "EADDRINUSE" ? "page-port-taken" : "page-address-foreign", subject, { cause });
}

function examineBrokerExposure(host: string, port: number): Outcome {
  const subject = `${host}:${port}`;
  return isLoopback(host) ? well("broker-exposure", subject) : found("broker-not-encrypted", subject);
}

async function examineBrokerPort(at: Address, examined: Examined): Promise<Outcome> {
  const subject = `${at.host}:${at.port}`;
  if (!isIdle(examined)) return notTried("broker-port", subject, GATEWAY_HAS_IT);
  const cause = await troubleOf(at);
  if (cause === null) return well("broker-port", subject);
  return found(cause === "EADDRINUSE" ? "broker-port-taken" : "broker-address-foreign", subject, { cause });
}

const GATEWAY_HAS_IT = { en: "the running gateway listens on it", zh: "运行中的网关正在使用" } as const;

/** Listens for a moment; null where that went well. */
function troubleOf({ host, port }: Address): Promise<string | null> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", (error) => resolve(systemCode(error)));
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(null)));
  });
}

/** Who can read the pages on their way, and with which certificate. */
async function examineEncryption({ config, probes }: Examined): Promise<readonly Outcome[]> {
  const { dashboard } = config;
  const subject = `${dashboard.host}:${dashboard.port}`;
  const tls = pageTlsOf(config);
  // That sign-in is not off where others reach it is seen to by the configuration's own check.
  if (tls === null) return [isLoopback(dashboard.host) ? well("page-exposure", subject) : found("page-not-encrypted", subject)];
  const certificate = await certificateOf(config, tls);
  const encrypted = well("page-exposure", subject);
  if (certificate === null)
    return [
      encrypted,
      notTried("page-certificate", subject, { en: "the first start of the gateway makes it", zh: "网关首次启动时生成" }),
    ];
  if ("code" in certificate) return [encrypted, foundFault("page-certificate", subject, certificate)];
  const { fingerprint, names, toMs } = certificate;
  const until = new Date(toMs).toISOString().slice(0, 10);
  const missing = addressesOnTheNetwork().filter((address) => !names.some((name) => isSameAddress(name, address)));
  const isShort = tls.kind === "own" && missing.length > 0;
  if (isShort) return [encrypted, found("page-certificate-short", fingerprint, { until, missing: missing.join(" ") })];
  const isOver = tls.kind === "own" && toMs <= probes.clock.wall();
  return [encrypted, isOver ? found("page-certificate-over", fingerprint, { until }) : told(fingerprint, until)];
}

/** Told whole, so that a person can compare it with what the browser shows. */
function told(fingerprint: string, until: string): Outcome {
  return { kind: "well", check: "page-certificate", subject: `SHA-256 ${fingerprint} (${until})` };
}

/** Addresses of version 6 are written in many ways. */
function isSameAddress(one: string, other: string): boolean {
  const inUrl = (name: string) => (name.includes(":") ? new URL(`http://[${name}]/`).hostname : name);
  return one === other || inUrl(one) === inUrl(other);
}

function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || host.startsWith("127.");
}
