import { isAbsolute, resolve } from "node:path";
import { type Result, succeed } from "../src/core/result.ts";
import { CONFIG_GUIDE, type ConfigProblem } from "./problems.ts";
import { type Config, configSchema } from "./schema.ts";
import { readTextFile } from "./text-file.ts";
import { problemsTogether } from "./together.ts";
import { parseYamlBy } from "./yaml.ts";

/**
 * Checks a configuration's text without opening anything it names.
 *
 * @param text    YAML.
 * @param folder  Absolute folder that relative paths are taken from.
 * @returns       The configuration, or every problem at once with its path and remedy.
 */
export function parseConfig(text: string, folder: string): Result<Config, readonly ConfigProblem[]> {
  const parsed = parseYamlBy(text, configSchema, { guide: CONFIG_GUIDE, together: problemsTogether });
  return parsed.ok ? succeed(withAbsolutePaths(parsed.value, folder)) : parsed;
}

/** Reads and checks a configuration file. A file that cannot be read is one problem. */
export async function loadConfig(file: string): Promise<Result<Config, readonly ConfigProblem[]>> {
  const text = await readTextFile(file, { en: "Check the file's name and rights.", zh: "请检查文件名和权限。" });
  return text.ok ? parseConfig(text.value, resolve(file, "..")) : text;
}

function withAbsolutePaths(config: Config, folder: string): Config {
  const absolute = (path: string) => (isAbsolute(path) ? path : resolve(folder, path));
  const { broker: ownBroker } = config;
  return {
    ...config,
    gateway: { ...config.gateway, dataFolder: absolute(config.gateway.dataFolder) },
    dashboard: withAbsoluteFiles(config.dashboard, absolute),
    devices: config.devices.map((entry) =>
      entry.link.kind === "capture" ? { ...entry, link: { ...entry.link, file: absolute(entry.link.file) } } : entry,
    ),
    ...(config.admissions?.mllp.tls === undefined
      ? {}
      : {
          admissions: {
            ...config.admissions,
            mllp: { ...config.admissions.mllp, tls: withAbsoluteFiles(config.admissions.mllp.tls, absolute) },
          },
        }),
    ...(config.demonstration === undefined ? {} : { demonstration: withAbsoluteFiles(config.demonstration, absolute) }),
    upstreams: config.upstreams.map((entry) => withAbsoluteFiles(entry, absolute)),
    channels: config.channels.map((entry) => withAbsoluteFiles(entry, absolute)),
    mqttServers: config.mqttServers.map((entry) => withAbsoluteFiles(entry, absolute)),
    ...(ownBroker === undefined
      ? {}
      : {
          broker: {
            ...ownBroker,
            ...(ownBroker.tls === undefined ? {} : { tls: withAbsoluteFiles(ownBroker.tls, absolute) }),
          },
        }),
  };
}

/** Settings whose names end in `File` are paths, also one group deeper. */
function withAbsoluteFiles<Settings extends object>(settings: Settings, absolute: (path: string) => string): Settings {
  const entries = Object.entries(settings).map(([key, value]): [string, unknown] => {
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return [key, withAbsoluteFiles(value, absolute)];
    return [key, key.endsWith("File") && typeof value === "string" ? absolute(value) : value];
  });
  return Object.fromEntries(entries) as Settings;
}
