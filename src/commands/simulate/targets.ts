import { resolve } from "node:path";
import type { Targets } from "./open-world.ts";

const MQTT_PORT = 1883;
const MLLP_PORT = 2575;
const PREFIX = "vigil";
const TERMINALS = "pty:";

/**
 * Where simulated devices go.
 *
 * @param urls  `tcp://HOST[:PORT]` or `pty:FOLDER`, `mqtt://HOST[:PORT][/PREFIX]` (or `mqtts`) and `mllp://HOST[:PORT]`, each at most once.
 * @throws      An error with a text for people, where one is none of these.
 */
export function targetsOf(
  urls: readonly string[],
  account: { readonly username: string | undefined; readonly passwordFile: string | undefined },
): Targets {
  let targets: Targets = { tcp: null, terminals: null, mqtt: null, mllp: null };
  for (const text of urls) {
    if (text.startsWith(TERMINALS) && text.length > TERMINALS.length && targets.terminals === null && targets.tcp === null) {
      targets = { ...targets, terminals: { folder: resolve(text.slice(TERMINALS.length)) } };
      continue;
    }
    const url = URL.canParse(text) ? new URL(text) : null;
    const protocol = url?.protocol ?? "";
    const wrong = new Error(
      `${text} is no target; write tcp://HOST[:PORT] or pty:FOLDER, mqtt://HOST[:PORT][/PREFIX] and mllp://HOST[:PORT], each once 目标格式错误，请写 tcp://主机[:端口] 或 pty:目录，以及 mqtt://主机[:端口][/前缀]、mllp://主机[:端口]，各至多一次`,
    );
    if (url === null || url.hostname === "") throw wrong;
    const path = url.pathname.replace(/^\/+|\/+$/g, "");
    if (protocol === "tcp:" && targets.tcp === null && targets.terminals === null && path === "")
      targets = { ...targets, tcp: { host: url.hostname, port: Number(url.port) } };
    else if (protocol === "mllp:" && targets.mllp === null && path === "")
      targets = { ...targets, mllp: { host: url.hostname, port: url.port === "" ? MLLP_PORT : Number(url.port) } };
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
