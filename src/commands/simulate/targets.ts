import type { Targets } from "./open-world.ts";

const MQTT_PORT = 1883;
const PREFIX = "vigil";

/**
 * Where simulated devices go.
 *
 * @param urls  `tcp://HOST[:PORT]` and `mqtt://HOST[:PORT][/PREFIX]` (or `mqtts`), each at most once.
 * @throws      An error with a text for people, where one is none of these.
 */
export function targetsOf(
  urls: readonly string[],
  account: { readonly username: string | undefined; readonly passwordFile: string | undefined },
): Targets {
  let targets: Targets = { tcp: null, mqtt: null };
  for (const text of urls) {
    const url = URL.canParse(text) ? new URL(text) : null;
    const protocol = url?.protocol ?? "";
    const wrong = new Error(
      `${text} is no target; write tcp://HOST[:PORT] or mqtt://HOST[:PORT][/PREFIX], each once 目标格式错误，请写 tcp://主机[:端口] 或 mqtt://主机[:端口][/前缀]，各一次`,
    );
    if (url === null || url.hostname === "") throw wrong;
    const path = url.pathname.replace(/^\/+|\/+$/g, "");
    if (protocol === "tcp:" && targets.tcp === null && path === "")
      targets = { ...targets, tcp: { host: url.hostname, port: Number(url.port) } };
    else if ((protocol === "mqtt:" || protocol === "mqtts:") && targets.mqtt === null) {
      const server = {
        url: `${protocol}//${url.hostname}:${url.port === "" ? MQTT_PORT : url.port}`,
        protocolVersion: 4,
        username: account.username,
        passwordFile: account.passwordFile,
      } as const;
      targets = { ...targets, mqtt: { server, prefix: path === "" ? PREFIX : path } };
    } else throw wrong;
  }
  return targets;
}
