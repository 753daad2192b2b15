import { readFile } from "node:fs/promises";
import { isAbsolute, resolve } from "node:path";
import { type Document, isMap, isNode, isScalar, isSeq, LineCounter, parseDocument } from "yaml";
import * as z from "zod";
import { fail, type Result, succeed } from "../src/core/result.ts";
import { type ConfigProblem, inBoth, problemsOf } from "./problems.ts";
import { type Config, configSchema } from "./schema.ts";
import { problemsTogether } from "./together.ts";

/**
 * Checks a configuration's text without opening anything it names.
 *
 * @param text    YAML.
 * @param folder  Absolute folder that relative paths are taken from.
 * @returns       The configuration, or every problem at once with its path and remedy.
 */
export function parseConfig(text: string, folder: string): Result<Config, readonly ConfigProblem[]> {
  const lines = new LineCounter();
  const document = parseDocument(text, { prettyErrors: true, uniqueKeys: true, lineCounter: lines });
  if (document.errors.length > 0) {
    return fail(
      document.errors.map((error) => ({
        path: `line ${error.linePos?.[0].line ?? 1}`,
        line: error.linePos?.[0].line ?? 1,
        problem: inBoth((error.message.split("\n")[0] ?? error.message).trim().replace(/:$/, "")),
        remedy: { en: "Mend the YAML at this line.", zh: "请修正该行的 YAML。" },
      })),
    );
  }
  const given = plainValue(document);
  if (!given.ok) return given;
  const parsed = configSchema.safeParse(given.value);
  if (!parsed.success) {
    // The same issues in the same order, in Chinese words.
    const chinese = configSchema.safeParse(given.value, { error: z.locales.zhCN().localeError });
    const problems = parsed.error.issues.flatMap((issue, index) =>
      problemsOf(issue, chinese.error?.issues[index]?.message ?? issue.message),
    );
    const all = [...problems, ...problemsTogether(given.value, parsed.error)];
    return fail(all.map((problem) => ({ ...problem, line: lineOf(problem.path, document, lines) })));
  }
  return succeed(withAbsolutePaths(parsed.data, folder));
}

/** What a document says; aliases (`*name`) that lead nowhere, or that grow beyond all bounds, are its one problem. */
function plainValue(document: Document): Result<unknown, readonly ConfigProblem[]> {
  try {
    return succeed(document.toJS() ?? {});
  } catch (error) {
    const problem = inBoth(error instanceof Error ? error.message : String(error));
    const remedy = { en: "Write out what the aliases (*name) stand for.", zh: "请将别名（*name）所指内容直接写出。" };
    return fail([{ path: "(top)", line: 1, problem, remedy }]);
  }
}

/** The line at which a setting stands, or what it would stand in. @param path  As problems name it, joined by dots. */
function lineOf(path: string, document: Document, lines: LineCounter): number {
  let node: unknown = document.contents;
  let offset = isNode(node) ? (node.range?.[0] ?? 0) : 0;
  for (const key of path.split(".")) {
    const pair = isMap(node) ? node.items.find((item) => isScalar(item.key) && String(item.key.value) === key) : undefined;
    const entry = isSeq(node) ? node.items[Number(key)] : pair?.value;
    const place = pair === undefined ? entry : pair.key;
    if (!isNode(place)) break;
    offset = place.range?.[0] ?? offset;
    node = entry;
  }
  return lines.linePos(offset).line;
}

/** Reads and checks a configuration file. A file that cannot be read is one problem. */
export async function loadConfig(file: string): Promise<Result<Config, readonly ConfigProblem[]>> {
  try {
    return parseConfig(await readFile(file, "utf8"), resolve(file, ".."));
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "unknown";
    return fail([
      {
        path: file,
        line: null,
        problem: { en: `cannot be read (${code})`, zh: `无法读取（${code}）` },
        remedy: { en: "Check the file's name and rights.", zh: "请检查文件名和权限。" },
      },
    ]);
  }
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
    upstreams: config.upstreams.map((entry) => withAbsoluteFiles(entry, absolute)),
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
