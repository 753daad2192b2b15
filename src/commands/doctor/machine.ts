import { constants, existsSync } from "node:fs";
import { access, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Config } from "../../../config/schema.ts";
import type { Probes } from "./examined.ts";
import { found, notTried, type Outcome, well } from "./outcome.ts";

const BYTES_PER_MEGABYTE = 1_000_000;
const BYTES_PER_KIBIBYTE = 1024;
/** Two processes with 20 beds and the rest of the board. */
const MEMORY_MEGABYTES_MIN = 400;
/** What a gateway takes at its start, and some room. */
const MEMORY_LEFT_MEGABYTES_MIN = 200;
/** Files, pages and upstreams of a small ward, before devices and the broker's clients are counted. */
const FILES_MIN = 512;

/** What the program runs on. `config` is null where it cannot be read; `gatewayRuns`: it has taken its memory already. */
export async function examineMachine(
  probes: Probes,
  of: { readonly config: Config | null; readonly gatewayRuns: boolean },
): Promise<readonly Outcome[]> {
  return [
    ...(await examineNode(probes)),
    await examineMemory(probes, of.gatewayRuns),
    await examineFileHandles(probes, of.config),
    await examineKernel(probes),
    ...(await examineService(probes)),
  ];
}

async function examineNode({ node, projectRoot }: Probes): Promise<readonly Outcome[]> {
  const file: unknown = JSON.parse(await readFile(join(projectRoot, "package.json"), "utf8"));
  const wanted = /\d+(\.\d+)*/.exec(fieldOf(fieldOf(file, "engines"), "node"))?.[0] ?? "0";
  const packaged = fieldOf(fieldOf(file, "optionalDependencies"), `node-linux-${process.arch}`);
  const facts = { version: node.version, wanted, path: node.path };
  if (isOlder(node.version.replace(/^v/, ""), wanted)) return [found("node-too-old", node.version, facts)];
  if (packaged !== "" && node.version !== `v${packaged}`)
    return [found("node-not-packaged", node.version, { ...facts, packaged })];
  return [well("node", node.version)];
}

function fieldOf(value: unknown, name: string): string & object {
  const field: unknown = typeof value === "object" && value !== null ? (value as Readonly<Record<string, unknown>>)[name] : "";
  return (field ?? "") as string & object;
}

function isOlder(version: string, than: string): boolean {
  const [one, other] = [version, than].map((text) => text.split(".").map(Number));
  for (let index = 0; index < (other?.length ?? 0); index++) {
    const difference = (one?.[index] ?? 0) - (other?.[index] ?? 0);
    if (difference !== 0) return difference < 0;
  }
  return false;
}

async function examineMemory({ root }: Probes, gatewayRuns: boolean): Promise<Outcome> {
  const text = await quietRead(`${root}proc/meminfo`);
  const kibibytes = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(text ?? "")?.[1] ?? Number.NaN);
  const wholeBytes = Math.min(kibibytes("MemTotal") * BYTES_PER_KIBIBYTE, await groupLimitBytes(root));
  const leftBytes = kibibytes("MemAvailable") * BYTES_PER_KIBIBYTE;
  if (Number.isNaN(wholeBytes)) return notTried("memory", "", { en: "the kernel does not say", zh: "内核未给出信息" });
  const facts = { wholeMegabytes: megabytes(wholeBytes), leftMegabytes: megabytes(leftBytes) };
  const subject = `${facts.wholeMegabytes} MB`;
  if (facts.wholeMegabytes < MEMORY_MEGABYTES_MIN) return found("memory-small", subject, facts);
  if (!gatewayRuns && facts.leftMegabytes < MEMORY_LEFT_MEGABYTES_MIN) return found("memory-taken", subject, facts);
  return well("memory", subject);
}

function megabytes(bytes: number): number {
  return Math.floor(bytes / BYTES_PER_MEGABYTE);
}

/** What the service's or container's group of processes may have. Source: the kernel's cgroup-v2.rst. */
async function groupLimitBytes(root: string): Promise<number> {
  const group = /^0::(.*)$/m.exec((await quietRead(`${root}proc/self/cgroup`)) ?? "")?.[1];
  const text = group === undefined ? null : await quietRead(join(`${root}sys/fs/cgroup`, group, "memory.max"));
  const bytes = Number(text?.trim() ?? Number.NaN);
  return Number.isFinite(bytes) ? bytes : Number.POSITIVE_INFINITY;
}

async function examineFileHandles({ root }: Probes, config: Config | null): Promise<Outcome> {
  // Node raises the soft limit to the hard one at its start.
  const limit = /^Max open files\s+\S+\s+(\S+)/m.exec((await quietRead(`${root}proc/self/limits`)) ?? "")?.[1];
  if (limit === undefined) return notTried("file-handles", "", { en: "the kernel does not say", zh: "内核未给出信息" });
  const wanted = FILES_MIN + (config?.devices.length ?? 0) + (config?.broker?.connectionsMax ?? 0);
  const mayOpen = limit === "unlimited" ? Number.POSITIVE_INFINITY : Number(limit);
  return mayOpen < wanted ? found("file-handles-few", limit, { limit, wanted }) : well("file-handles", limit);
}

async function examineKernel({ root }: Probes): Promise<Outcome> {
  return existsSync(`${root}proc/self/stat`) ? well("kernel", `${root}proc`) : found("proc-missing", `${root}proc`);
}

/** The unit that starts this program, wherever an administrator or a package put it. */
async function examineService({ root }: Probes): Promise<readonly Outcome[]> {
  if (!existsSync(`${root}run/systemd/system`))
    return [notTried("service", "systemd", { en: "systemd does not run here", zh: "本机未运行 systemd" })];
  const folders = ["etc/systemd/system", "usr/lib/systemd/system", "lib/systemd/system"];
  for (const folder of folders) {
    const names = await readdir(root + folder).catch(() => []);
    for (const name of names.filter((one) => one.endsWith(".service"))) {
      const text = (await quietRead(join(root + folder, name))) ?? "";
      const command = /^ExecStart=.*(?:\/main\.ts|\bvigil)\s+run\b/m;
      if (command.test(text)) return judgeService(name, text);
    }
  }
  return [found("service-missing", "systemd")];
}

function judgeService(name: string, text: string): readonly Outcome[] {
  const has = (pattern: RegExp) => pattern.test(text);
  const outcomes: Outcome[] = [];
  if (!has(/^WatchdogSec=(?!0*\s*$)\S/m) || !has(/^NotifyAccess=all\s*$/m))
    outcomes.push(found("service-watchdog-missing", name));
  if (!has(/^Restart=(always|on-failure)\s*$/m)) outcomes.push(found("service-restart-missing", name));
  return outcomes.length > 0 ? outcomes : [well("service", name)];
}

/** Where a program lies: with a slash as it is, else in the folders of PATH; null where it is not there or may not be run. */
export async function findProgram(program: string, env: NodeJS.ProcessEnv): Promise<string | null> {
  const paths = program.includes("/") ? [program] : (env["PATH"] ?? "").split(":").map((folder) => join(folder, program));
  for (const path of paths) {
    try {
      await access(path, constants.X_OK);
      return path;
    } catch {
      // The next folder may have it.
    }
  }
  return null;
}

async function quietRead(path: string): Promise<string | null> {
  try {
    return await readFile(path, "utf8");
  } catch {
    return null;
  }
}
