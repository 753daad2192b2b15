import { constants } from "node:fs";
import { access, readdir, readFile, readlink, realpath, stat } from "node:fs/promises";
import { isAbsolute } from "node:path";
import type { DeviceConfig } from "../../../config/schema.ts";
import { findDriver } from "../../../drivers/index.ts";
import type { LinkSpec } from "../../core/ports.ts";
import { linkSpecOf } from "../../gateway/link-spec.ts";
import type { Dialler } from "../../transports/reopening-link.ts";
import { serialDialler } from "../../transports/serial.ts";
import { tcpDialler } from "../../transports/tcp.ts";
import { type Examined, type Family, isIdle } from "./examined.ts";
import { systemCode } from "./files.ts";
import { found, notTried, type Outcome, well } from "./outcome.ts";

/** A serial device server in the same building answers at once. */
const CONNECT_MS_MAX = 3000;

/** Whether each device can be reached. Nothing is opened that a running gateway, or anybody else, has open. */
export const examineDevices: Family = async (examined) => {
  const each = await Promise.all(examined.config.devices.map((device) => examineDevice(device, examined)));
  return [...(await examineSharing(examined)), ...each.flat()];
};

/** Two devices on one port, also where the port has two names. */
async function examineSharing({ config }: Examined): Promise<readonly Outcome[]> {
  const byPort = new Map<string, string[]>();
  for (const { id, link } of config.devices) {
    if (link.kind !== "serial" && link.kind !== "tcp") continue;
    const port = link.kind === "tcp" ? `${link.host}:${link.port}` : await realpath(link.path).catch(() => link.path);
    byPort.set(port, [...(byPort.get(port) ?? []), id]);
  }
  const shared = [...byPort].filter(([, ids]) => ids.length > 1);
  if (shared.length > 0) return shared.map(([port, ids]) => found("port-shared", port, { devices: ids.join(", ") }));
  return byPort.size > 0 ? [well("shared-port", `${byPort.size}`)] : [];
}

async function examineDevice(device: DeviceConfig, examined: Examined): Promise<readonly Outcome[]> {
  const { link } = device;
  const driver = findDriver(device.driver);
  if (driver === null) return [];
  if (link.kind === "capture") return [await examineRecording(device.id, link.file)];
  const spec = linkSpecOf(device, driver, examined.config);
  switch (spec.kind) {
    case "serial":
      return [await examineSerial(device.id, spec, examined)];
    case "tcp":
      return [await examineAddress(device.id, spec, examined)];
    case "mqtt":
    case "capture":
      // Its server is looked at with the other servers.
      return [];
  }
}

async function examineRecording(id: string, file: string): Promise<Outcome> {
  try {
    await access(file, constants.R_OK);
    return well("device", id);
  } catch (error) {
    return found("recording-missing", id, { file, cause: systemCode(error) });
  }
}

async function examineSerial(id: string, spec: Extract<LinkSpec, { kind: "serial" }>, examined: Examined): Promise<Outcome> {
  const { path } = spec;
  const subject = `${id} (${path})`;
  try {
    if (!(await stat(path)).isCharacterDevice()) return found("serial-port-fails", subject, { cause: "no character device" });
  } catch (error) {
    const cause = systemCode(error);
    return cause === "EACCES"
      ? found("serial-port-no-rights", subject, { cause })
      : found("serial-port-missing", subject, { cause });
  }
  try {
    await access(path, constants.R_OK | constants.W_OK);
  } catch (error) {
    return found("serial-port-no-rights", subject, { cause: systemCode(error), ...(await groupOf(path)) });
  }
  if (!isIdle(examined)) return notTried("serial-port", subject, GATEWAY_HAS_IT);
  const holders = await holdersOf(path, examined.probes.root);
  if (holders.length > 0) return found("serial-port-busy", subject, { holders: holders.join(", ") });
  return await dial(serialDialler(spec, examined.probes.clock), examined, {
    opened: () => well("serial-port", subject),
    failed: (code, cause) => {
      if (code === "link-busy") return found("serial-port-busy", subject, { cause });
      if (code === "link-denied") return found("serial-port-no-rights", subject, { cause });
      return found("serial-port-fails", subject, { cause });
    },
  });
}

const GATEWAY_HAS_IT = {
  en: "the running gateway has it open, and tells how it does",
  zh: "运行中的网关正在使用，其状态由网关给出",
} as const;

async function groupOf(path: string): Promise<{ readonly group?: number }> {
  try {
    return { group: (await stat(path)).gid };
  } catch {
    return {};
  }
}

/** Processes that have the port open, as far as this user may see. A port may have several names, but one number. */
export async function holdersOf(path: string, root: string): Promise<readonly string[]> {
  const { rdev } = await stat(path);
  const names = await readdir(`${root}proc`).catch(() => []);
  const holders: string[] = [];
  for (const pid of names.filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)) {
    const files = await readdir(`${root}proc/${pid}/fd`).catch(() => []);
    for (const file of files) {
      const target = await readlink(`${root}proc/${pid}/fd/${file}`).catch(() => "");
      if (!isAbsolute(target) || !target.startsWith("/dev/")) continue;
      const opened = await stat(`${root}proc/${pid}/fd/${file}`).catch(() => null);
      if (opened === null || !opened.isCharacterDevice() || opened.rdev !== rdev) continue;
      const name = await readFile(`${root}proc/${pid}/comm`, "utf8").catch(() => "?");
      holders.push(`${name.trim()} (${pid})`);
      break;
    }
  }
  return holders;
}

async function examineAddress(id: string, spec: Extract<LinkSpec, { kind: "tcp" }>, examined: Examined): Promise<Outcome> {
  const subject = `${id} (${spec.host}:${spec.port})`;
  // Such servers often take one connection only: a second one could take the bytes away from the first.
  if (!isIdle(examined)) return notTried("device-server", subject, GATEWAY_HAS_IT);
  return await dial(tcpDialler(spec), examined, {
    opened: () => well("device-server", subject),
    failed: (_code, cause) => {
      if (cause === "ENOTFOUND" || cause === "EAI_AGAIN") return found("device-server-unknown", subject, { cause });
      return found(cause === "ECONNREFUSED" ? "device-server-refuses" : "device-server-silent", subject, { cause });
    },
  });
}

/** Opens once, with a bound, and closes at once; nothing is read or written. */
async function dial(
  dialler: Dialler,
  { probes }: Examined,
  say: { readonly opened: () => Outcome; readonly failed: (code: string, cause: string) => Outcome },
): Promise<Outcome> {
  const stop = new AbortController();
  const late = probes.clock.after(CONNECT_MS_MAX, () => stop.abort());
  const connected = await dialler.connect({ bytes: () => 0, lost: () => {} }, stop.signal);
  late.stop();
  if (connected.ok) {
    await connected.value.close();
    return say.opened();
  }
  const { code, facts } = connected.error;
  return say.failed(code, stop.signal.aborted ? "time-out" : String(facts["cause"] ?? code));
}
