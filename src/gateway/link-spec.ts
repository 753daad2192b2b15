import type { Config, DeviceConfig } from "../../config/schema.ts";
import type { Driver, DriverLink, LinkSpec, MqttLinkSpec, SerialLine } from "../core/ports.ts";
import { assert } from "../core/result.ts";

/** How one device is reached: what the configuration says, and where it says nothing what is usual for such devices. */
export function linkSpecOf(device: DeviceConfig, driver: Driver, config: Config): LinkSpec {
  const { link } = device;
  switch (link.kind) {
    case "tcp":
      return link;
    case "capture":
      return {
        kind: "capture",
        file: link.file,
        speed: link.speed,
        repeat: link.repeat,
        ...(link.bytesPerSecond === undefined ? {} : { bytesPerSecond: link.bytesPerSecond }),
      };
    case "serial":
      return { kind: "serial", path: link.path, line: lineOf(link, usualLink(driver, "serial").line) };
    case "mqtt": {
      const topics = link.topics ?? usualLink(driver, "mqtt").topics.map((topic) => topic.replaceAll("%d", device.id));
      return { kind: "mqtt", topics, source: mqttSource(device.id, link, config) };
    }
  }
}

type ConfiguredLink<Kind extends DeviceConfig["link"]["kind"]> = Extract<DeviceConfig["link"], { kind: Kind }>;

function usualLink<Kind extends DriverLink["kind"]>({ id, link }: Driver, kind: Kind): Extract<DriverLink, { kind: Kind }> {
  assert(link.kind === kind, `the configuration was checked: ${id} is reached by ${kind}`);
  return link as Extract<DriverLink, { kind: Kind }>;
}

/** The settings of a line: what is said of it, and what is usual where nothing is. */
export function lineOf(
  link: { readonly [Setting in keyof SerialLine]?: SerialLine[Setting] | undefined },
  usual: SerialLine,
): SerialLine {
  return {
    baudRate: link.baudRate ?? usual.baudRate,
    dataBits: link.dataBits ?? usual.dataBits,
    parity: link.parity ?? usual.parity,
    stopBits: link.stopBits ?? usual.stopBits,
    handshake: link.handshake ?? usual.handshake,
  };
}

function mqttSource(deviceId: string, link: ConfiguredLink<"mqtt">, config: Config): MqttLinkSpec["source"] {
  if (link.server === undefined) return { kind: "embedded", account: link.account === undefined ? deviceId : link.account };
  const access = config.mqttServers.find(({ name }) => name === link.server);
  assert(access !== undefined, `the configuration was checked: there is a server ${link.server}`);
  return { kind: "server", access, clientId: `vigil-${config.gateway.id}-${deviceId}` };
}

/** The filters of all devices that come by the own broker, each once. */
export function embeddedTopics(config: Config, drivers: (id: string) => Driver | null): readonly string[] {
  const specs = config.devices.flatMap((device) => {
    const driver = drivers(device.driver);
    return driver === null ? [] : [linkSpecOf(device, driver, config)];
  });
  return [...new Set(specs.flatMap((spec) => (spec.kind === "mqtt" && spec.source.kind === "embedded" ? spec.topics : [])))];
}
