import { createServer } from "node:net";
import { type Examined, type Family, isIdle } from "./examined.ts";
import { systemCode } from "./files.ts";
import { found, notTried, type Outcome, well } from "./outcome.ts";

/** The ports the gateway itself listens on, and who can reach the page. */
export const examinePorts: Family = async (examined) => {
  const { broker, dashboard } = examined.config;
  const outcomes: Outcome[] = [];
  if (dashboard.enabled) outcomes.push(await examinePagePort(examined), ...examineExposure(examined));
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

function examineExposure({ config }: Examined): readonly Outcome[] {
  const { dashboard } = config;
  const subject = `${dashboard.host}:${dashboard.port}`;
  if (isLoopback(dashboard.host)) return [well("page-exposure", subject)];
  // Whichever settings make HTTPS, they are a section of their own. That sign-in is not off here is seen to by the configuration's own check.
  return [
    "tls" in dashboard && dashboard.tls !== undefined ? well("page-exposure", subject) : found("page-not-encrypted", subject),
  ];
}

function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || host.startsWith("127.");
}
