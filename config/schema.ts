import { readFile } from "node:fs/promises";
import { isAbsolute, resolve } from "node:path";
import { parseDocument } from "yaml";
import * as z from "zod";
import { DRIVERS, findDriver, optionProblems, optionRemedy, optionTexts, unknownOptions } from "../drivers/index.ts";
import { LIMITS } from "../src/core/limits.ts";
import { QUANTITIES, QUANTITY_NAMES, type QuantityName, type Text } from "../src/core/quantities.ts";
import { fail, type Result, succeed } from "../src/core/result.ts";
import { isTopicFilter } from "../src/core/topic-filter.ts";
import { admissions, checkAdmissions, checkableAdmissions } from "./admissions-settings.ts";

const name = z
  .string()
  .regex(
    /^[a-z0-9][a-z0-9-]{0,62}$/,
    "this name has other characters; use 1 to 63 of a-z, 0-9 and -, beginning with a letter or digit | 名称含有不允许的字符；请用 1 至 63 个 a-z、0-9 或 -，以字母或数字开头",
  )
  .describe("Lower-case letters, digits and hyphens.");
const port = z.int().min(1).max(65535);
const filePath = z.string().min(1).describe("Relative paths are taken from the folder of the configuration file.");
const sessionMinutes = z
  .int()
  .min(1)
  .max(LIMITS.sessionHoursMax.value * 60);
const quantity = z.enum(QUANTITY_NAMES as [string, ...string[]]);
const driverId = z.enum(DRIVERS.map((driver) => driver.id) as [string, ...string[]]);

const shortText = z.string().trim().min(1).max(40);

const bed = z.strictObject({
  id: name,
  title: shortText.describe("What staff call it, such as 301-2."),
  room: shortText.optional().describe("The room it stands in, such as 301; beds of the same room are written alike."),
  ward: shortText
    .optional()
    .describe("The ward it belongs to, such as 3 East; the wall groups beds by it where there is more than one."),
});

const serialLink = z
  .strictObject({
    kind: z.literal("serial"),
    path: z.string().min(1).describe("The port, best by its stable name under /dev/serial/by-id/."),
    baudRate: z.int().min(50).max(4_000_000).optional().describe("Bits per second; the driver's usual rate where left out."),
    dataBits: z.union([z.literal(5), z.literal(6), z.literal(7), z.literal(8)]).optional(),
    parity: z.enum(["none", "even", "odd"]).optional(),
    stopBits: z.union([z.literal(1), z.literal(2)]).optional(),
    handshake: z.enum(["none", "rts-cts", "xon-xoff"]).optional(),
  })
  .describe("A serial port of this board.");
const tcpLink = z
  .strictObject({ kind: z.literal("tcp"), host: z.string().min(1), port })
  .describe("A serial device server that hands the device's bytes on over TCP.");
const mqttTopic = z
  .string()
  .min(1)
  .max(200)
  .refine(
    (text) => isTopicFilter(text) && !text.startsWith("$"),
    "is no topic; write levels between /, + for any one level, # at the end for all below | 不是主题；请用 / 分隔层级，+ 表示任意一层，# 只能在末尾表示其下全部",
  );
const mqttLink = z
  .strictObject({
    kind: z.literal("mqtt"),
    server: name.optional().describe("One of `mqttServers`; the gateway's own broker where left out."),
    topics: z
      .array(mqttTopic)
      .min(1)
      .max(32)
      .optional()
      .describe("Topics of the device's messages, + and # allowed; the driver's own where left out."),
    account: name
      .nullable()
      .optional()
      .describe(
        "With the own broker: the account whose connection is this device's link, the device's id where left out; null where several devices share one, as behind a Zigbee bridge.",
      ),
  })
  .describe("Messages by MQTT.");
const captureLink = z
  .strictObject({
    kind: z.literal("capture"),
    file: filePath,
    speed: z.number().min(0.1).max(10_000).default(1).describe("1 is the pace of the recording, 2 twice as fast."),
    repeat: z.boolean().default(false),
    bytesPerSecond: z.int().min(1).optional().describe("Pace of a raw recording without times."),
  })
  .describe("A recording in place of a device.");

const optionValue = z.union([z.string(), z.number(), z.boolean(), z.array(z.json()), z.record(z.string(), z.json())]);

const device = z.strictObject({
  id: name,
  title: z.string().min(1).max(80).optional().describe("Shown on the wall; the driver's title where left out."),
  driver: driverId,
  bed: name.optional().describe("The bed the device stands at. Whom it measures is said by assigning it, not here."),
  origin: z
    .enum(["measured", "test", "simulated", "replayed"])
    .default("measured")
    .describe("Anything but `measured` never alarms for a real patient."),
  link: z.discriminatedUnion("kind", [serialLink, tcpLink, mqttLink, captureLink]),
  options: z
    .record(z.string(), optionValue)
    .default({})
    .transform(optionTexts)
    .describe(
      "Settings of the driver, by the names that drivers/README.md tells; lists and objects as YAML or as JSON in a text.",
    ),
  silenceSeconds: z
    .number()
    .min(1)
    .max(86_400)
    .optional()
    .describe("Longest silence before a technical alert; the driver's where left out."),
  expected: z.array(quantity).optional().describe("Quantities whose absence is a technical alert; the driver's where left out."),
  quantitySilenceSeconds: z
    .number()
    .min(5)
    .max(86_400)
    .default(60)
    .describe("How long an expected quantity may be absent or refused."),
});

/** How a client of an MQTT server gets in. */
const mqttAccess = {
  url: z
    .string()
    .regex(
      /^mqtts?:\/\/[^/\s]+$/,
      "is no address of an MQTT server; write mqtt://host:port or mqtts://host:port | 不是 MQTT 服务器地址；请写成 mqtt://主机:端口 或 mqtts://主机:端口",
    ),
  protocolVersion: z
    .union([z.literal(5), z.literal(4)])
    .default(5)
    .describe("5, or 4 for a broker that speaks MQTT 3.1.1 only."),
  username: z.string().optional(),
  passwordFile: filePath.optional(),
  caFile: filePath.optional().describe("Certificates to trust, in PEM; the system's where left out."),
  certFile: filePath.optional(),
  keyFile: filePath.optional(),
};

const mqttServer = z.strictObject({ name, ...mqttAccess }).describe("Another MQTT server that devices send to.");

const mqttUpstream = z.strictObject({
  name,
  kind: z.literal("mqtt"),
  ...mqttAccess,
  topicPrefix: z
    .string()
    .min(1)
    .max(200)
    .regex(
      /^[^#+\s]+$/,
      "a topic prefix has no wildcards or spaces; take out # + and spaces | 主题前缀不得含通配符或空格；请去掉 # + 和空格",
    )
    .default("vigil"),
});

const influxTarget = z.discriminatedUnion("api", [
  z
    .strictObject({
      api: z.literal("v2"),
      org: z.string().min(1).max(200),
      bucket: z.string().min(1).max(200),
      tokenFile: filePath.optional(),
    })
    .describe("InfluxDB 2, or VictoriaMetrics."),
  z
    .strictObject({
      api: z.literal("v1"),
      database: z.string().min(1).max(200),
      retentionPolicy: z.string().min(1).max(200).optional().describe("The database's own default where left out."),
      username: z.string().min(1).optional(),
      passwordFile: filePath.optional(),
    })
    .refine(
      ({ username, passwordFile }) => (username === undefined) === (passwordFile === undefined),
      "username and passwordFile belong together; give both or none | username 与 passwordFile 必须成对；请同时给出或都不写",
    )
    .describe("InfluxDB 1, or VictoriaMetrics."),
]);

const influxUpstream = z
  .strictObject({
    name,
    kind: z.literal("influx"),
    url: z
      .string()
      .regex(
        /^https?:\/\/[^/?#@\s]+(\/(?!api\/v2\/?$)[^?#\s]*)?$/,
        "is no address of an InfluxDB; write http://host:port or https://host:port, without /api/v2 | 不是 InfluxDB 地址；请写成 http://主机:端口 或 https://主机:端口，不带 /api/v2",
      ),
    target: influxTarget,
    patientTag: z
      .enum(["pseudonym", "id", "none"])
      .default("pseudonym")
      .describe(
        "How patients are named in the database. pseudonym: nobody without the key can tell who it is. none: all patients are one.",
      ),
    patientKeyFile: filePath
      .optional()
      .describe(
        "The key of the pseudonyms, 32 characters or more; gateways that share it name a patient alike. Made in the data folder where left out. Never change it.",
      ),
    caFile: filePath.optional().describe("Certificates to trust, in PEM; the system's where left out."),
    certFile: filePath.optional(),
    keyFile: filePath.optional(),
  })
  .refine(
    ({ patientTag, patientKeyFile }) => patientTag === "pseudonym" || patientKeyFile === undefined,
    "a patientKeyFile is for pseudonyms only; take it out, or set patientTag to pseudonym | patientKeyFile 仅用于假名；请删除，或将 patientTag 设为 pseudonym",
  )
  .refine(
    ({ url, caFile, certFile }) => url.startsWith("https:") || (caFile ?? certFile) === undefined,
    "certificates need https://; change the url | 使用证书需要 https://；请修改 url",
  )
  .describe("History for trends and Grafana. Alerts reach people by MQTT, not this way.");

const broker = z
  .strictObject({
    host: z
      .string()
      .min(1)
      .default("127.0.0.1")
      .describe("Where `port` listens without encryption. 127.0.0.1 is this machine only; name another address on purpose."),
    port: port.nullable().default(1883).describe("null: only with TLS."),
    tls: z
      .strictObject({
        host: z.string().min(1).default("0.0.0.0"),
        port: port.default(8883),
        certFile: filePath.describe("The broker's own certificate with its chain, in PEM."),
        keyFile: filePath,
        clientCaFile: filePath
          .optional()
          .describe("Who may issue certificates of devices; their common name is the account and the client id."),
        clientCertificates: z
          .enum(["none", "optional", "required"])
          .default("none")
          .describe("optional: a certificate in place of a password; required: nobody without one."),
      })
      .optional()
      .describe("Encrypted, for devices on the network."),
    connectionsMax: z.int().min(1).max(10_000).default(1000),
    messageBytesMax: z
      .int()
      .min(128)
      .max(1_048_576)
      .default(65_536)
      .describe("Larger messages are left out and told; their sender stays connected."),
    messagesPerSecondMax: z
      .int()
      .min(1)
      .max(10_000)
      .default(100)
      .describe("Of one client; beyond it the broker reads more slowly, and nothing is lost."),
  })
  .describe("The gateway's own MQTT broker. Accounts are made by `vigil devices add`; nobody else gets in.");

/** Limits of one quantity: a value that cannot occur in a living person would never alarm, or always. */
function limitsOf(name: QuantityName) {
  const { min, max } = QUANTITIES[name].possible;
  const side = z
    .strictObject({ value: z.number().min(min).max(max), priority: z.enum(["high", "medium", "low"]) })
    .nullable()
    .optional();
  return z
    .strictObject({ low: side, high: side })
    .refine(
      ({ low, high }) => low == null || high == null || low.value < high.value,
      "low must lie below high; mend the values | 下限必须低于上限；请修正数值",
    )
    .optional()
    .describe(`In ${QUANTITIES[name].unit}.`);
}

const limits = z.strictObject(Object.fromEntries(QUANTITY_NAMES.map((name) => [name, limitsOf(name)])));

/** The only truth about the configuration: types, checks, defaults, the editor's schema and the table of settings come from it. */
export const configSchema = z
  .strictObject({
    gateway: z.strictObject({
      id: name.describe("Names this gateway in every record that leaves it. Never change it."),
      dataFolder: filePath.describe("Everything the gateway writes lies below it."),
    }),
    log: z.strictObject({ level: z.enum(["error", "warn", "info"]).default("info") }).prefault({}),
    journal: z
      .strictObject({
        sizeMegabytesMax: z
          .int()
          .min(16)
          .max(1_000_000)
          .default(2048)
          .describe("Oldest observations are dropped beyond it; alerts, acts and receipts never."),
        waves: z
          .strictObject({
            ringMinutes: z.number().min(1).max(1440).default(10).describe("Waves older than this are dropped."),
            ringMegabytesMax: z
              .int()
              .min(1)
              .max(1_000_000)
              .default(256)
              .describe("Beyond it the oldest waves go early, and the loss is recorded. Fifty beds with four waves are 40 MB."),
            stripSecondsBefore: z
              .number()
              .min(0)
              .max(300)
              .default(30)
              .describe("The waves so long before a patient's alert are kept with it."),
            stripSecondsAfter: z.number().min(0).max(300).default(30).describe("And so long after it."),
            stripMegabytesMax: z
              .int()
              .min(1)
              .max(1_000_000)
              .default(256)
              .describe("All strips together; beyond it the oldest goes, and the loss is recorded."),
          })
          .prefault({}),
      })
      .prefault({}),
    dashboard: z
      .strictObject({
        enabled: z.boolean().default(true),
        host: z.string().default("127.0.0.1").describe("127.0.0.1 is this machine only; name another address on purpose."),
        port: port.default(8710),
        signIn: z.boolean().default(true).describe("false only on a loopback address."),
        sessionMinutes: z
          .strictObject({
            nurse: sessionMinutes.default(720),
            engineer: sessionMinutes.default(480),
            auditor: sessionMinutes.default(240),
            administrator: sessionMinutes.default(480),
            family: sessionMinutes.default(720),
          })
          .prefault({})
          .describe("How long each role stays signed in; a display on the wall signs in as a nurse."),
        metricsTokenFile: filePath
          .optional()
          .describe("Bearer token of at least 16 characters with which others than this machine itself may read `/metrics`."),
      })
      .prefault({}),
    supervisor: z
      .strictObject({
        sounderCommand: z
          .array(z.string().min(1))
          .min(1)
          .nullable()
          .default(null)
          .describe("Program and arguments that make a sound at the board."),
      })
      .prefault({}),
    clock: z
      .strictObject({
        believe: z
          .enum(["system", "always"])
          .default("system")
          .describe(
            "system: the board's clock is doubted while systemd-timesyncd runs and has not set it, or when it lies before what is known. always: somebody else keeps it right.",
          ),
      })
      .prefault({}),
    beds: z.array(bed).default([]).describe("Shown in this order."),
    broker: broker.optional(),
    mqttServers: z.array(mqttServer).default([]),
    devices: z.array(device).default([]),
    limits: limits
      .default({})
      .describe(
        "Replaces the default limits of these quantities for every patient; a side left out keeps its default, null switches it off. A person may set others per patient.",
      ),
    scores: z
      .strictObject({
        models: z.array(name).default(["news2"]).describe("Folders in `models/`."),
        confirmSeconds: z.number().min(0).max(3600).default(60).describe("How long a change must last before it is announced."),
        partialMinutesMax: z
          .number()
          .min(1)
          .max(1440)
          .default(30)
          .describe("How long a score may lack an input before a technical alert."),
      })
      .prefault({}),
    admissions: admissions.optional(),
    upstreams: z.array(z.discriminatedUnion("kind", [mqttUpstream, influxUpstream])).default([]),
  })
  .superRefine(checkTogether);

/** The configuration after checks, with every default filled in and every path absolute. */
export type Config = z.infer<typeof configSchema>;
/** One device of the configuration. */
export type DeviceConfig = Config["devices"][number];
/** One upstream of the configuration. */
export type UpstreamConfig = Config["upstreams"][number];

/** One thing that is wrong, where it is, and what to do. */
export interface ConfigProblem {
  readonly path: string;
  readonly problem: Text;
  readonly remedy: Text;
}

const checkableAccess = z
  .object({
    name: z.string().catch(""),
    url: z.string().catch(""),
    username: z.unknown().optional(),
    passwordFile: z.unknown().optional(),
    caFile: z.unknown().optional(),
    certFile: z.unknown().optional(),
    keyFile: z.unknown().optional(),
  })
  .catch({ name: "", url: "" });

/** What `checkTogether` reads, whatever else is wrong: a field that is not as it must be counts as left out. */
const checkable = z.object({
  beds: z.array(z.object({ id: z.string() }).catch({ id: "" })).catch([]),
  devices: z
    .array(
      z
        .object({
          id: z.string().catch(""),
          bed: z.string().optional().catch(undefined),
          driver: z.string().catch(""),
          expected: z.array(z.string()).optional().catch(undefined),
          link: z.object({ kind: z.string(), server: z.string().optional().catch(undefined) }).catch({ kind: "" }),
          options: z.record(z.string(), z.unknown()).optional().catch(undefined),
        })
        .catch({ id: "", driver: "", link: { kind: "" } }),
    )
    .catch([]),
  admissions: checkableAdmissions,
  upstreams: z.array(checkableAccess).catch([]),
  mqttServers: z.array(checkableAccess).catch([]),
  broker: z.object({}).loose().optional().catch({}),
  dashboard: z
    .object({ host: z.string().catch("127.0.0.1"), signIn: z.boolean().catch(true) })
    .catch({ host: "127.0.0.1", signIn: true }),
});

interface Refinement {
  readonly addIssue: (issue: { code: "custom"; path: (string | number)[]; message: string }) => void;
}

/** What single fields cannot know: names that must be unique or must exist. */
function checkTogether(config: Checkable, context: Refinement): void {
  const complain = (path: (string | number)[], message: string) => context.addIssue({ code: "custom", path, message });
  const lists = [
    ["beds", config.beds.map((bed) => bed.id)],
    ["devices", config.devices.map((entry) => entry.id)],
    ["upstreams", config.upstreams.map((entry) => entry.name)],
    ["mqttServers", config.mqttServers.map((entry) => entry.name)],
  ] as const;
  for (const [list, ids] of lists) {
    ids.forEach((id, index) => {
      if (id !== "" && ids.indexOf(id) !== index)
        complain([list, index], `the name ${id} is used twice; give each its own | 名称 ${id} 重复；请分别命名`);
    });
  }
  const bedIds = new Set(config.beds.map((bed) => bed.id));
  config.devices.forEach((entry, index) => {
    if (entry.bed !== undefined && !bedIds.has(entry.bed))
      complain(
        ["devices", index, "bed"],
        `there is no bed ${entry.bed}; add it under beds or mend the name | 没有床位 ${entry.bed}；请在 beds 中添加或修正名称`,
      );
    const driver = findDriver(entry.driver);
    for (const wanted of entry.expected ?? []) {
      if (driver !== null && !driver.quantities.some((known) => known === wanted))
        complain(
          ["devices", index, "expected"],
          `${entry.driver} never says ${wanted}; take it out | 驱动 ${entry.driver} 不提供 ${wanted}；请删除`,
        );
    }
    if (driver === null) return;
    for (const option of unknownOptions(driver, Object.keys(entry.options ?? {})))
      complain(
        ["devices", index, "options", option],
        `is not an option of ${driver.id}; ${optionRemedy(driver)} | 不是 ${driver.id} 的选项；请删除或改用：${driver.optionNames.join("、") || "（无选项）"}`,
      );
    for (const { option, problem, remedy } of optionProblems(driver, optionTexts(entry.options ?? {})))
      complain(
        ["devices", index, "options", option],
        `${inOnePart(problem.en)}; ${inOnePart(remedy.en)} | ${inOnePart(problem.zh)}；${inOnePart(remedy.zh)}`,
      );
  });
  checkLinks(config, complain);
  checkAdmissions(config.admissions, bedIds, complain);
  checkAccess("upstreams", config.upstreams, complain);
  checkAccess("mqttServers", config.mqttServers, complain);
  const loopback = ["127.0.0.1", "::1", "localhost"].includes(config.dashboard.host);
  if (!config.dashboard.signIn && !loopback)
    complain(
      ["dashboard", "signIn"],
      "sign-in may be off on a loopback address only; set it to true or host to 127.0.0.1 | 仅回环地址可关闭登录；请设为 true 或将 host 设为 127.0.0.1",
    );
}

type Complain = (path: (string | number)[], message: string) => void;

/** Whether each device's link is one its driver can be reached by, and leads somewhere. */
function checkLinks(config: Checkable, complain: Complain): void {
  const servers = new Set(config.mqttServers.map(({ name: server }) => server));
  config.devices.forEach(({ driver: id, link }, index) => {
    const at = ["devices", index, "link"];
    const driver = findDriver(id);
    if (
      driver !== null &&
      link.kind !== "" &&
      link.kind !== "capture" &&
      (driver.link.kind === "mqtt") !== (link.kind === "mqtt")
    ) {
      const wanted = driver.link.kind === "mqtt" ? "mqtt" : "serial, tcp";
      complain([...at, "kind"], `${id} is not reached this way; use ${wanted} | ${id} 不能这样连接；请改用 ${wanted}`);
    }
    if (link.kind !== "mqtt") return;
    if (link.server !== undefined && !servers.has(link.server))
      complain(
        [...at, "server"],
        `there is no server ${link.server}; add it under mqttServers or mend the name | 没有服务器 ${link.server}；请在 mqttServers 中添加或修正名称`,
      );
    if (link.server === undefined && config.broker === undefined)
      complain(
        at,
        "there is no broker it could come by; add a section broker, or name one of mqttServers as server | 没有可用的代理；请添加 broker 一节，或在 server 中填写 mqttServers 之一",
      );
  });
}

/** What single settings of an access to a server cannot know of each other. */
function checkAccess(list: string, entries: Checkable["upstreams"], complain: Complain): void {
  entries.forEach((entry, index) => {
    if ((entry.certFile === undefined) !== (entry.keyFile === undefined))
      complain(
        [list, index],
        "certFile and keyFile belong together; give both or none | certFile 与 keyFile 必须成对；请同时给出或都不写",
      );
    if (entry.username !== undefined && entry.passwordFile === undefined)
      complain(
        [list, index, "passwordFile"],
        "a username needs a passwordFile; put the password into a file only the gateway may read | 有 username 就需要 passwordFile；请把密码放入仅网关可读的文件",
      );
    if (entry.url.startsWith("mqtt://") && (entry.caFile ?? entry.certFile) !== undefined)
      complain([list, index, "url"], "certificates need mqtts://; change the url | 使用证书需要 mqtts://；请修改 url");
  });
}

/** A text without the signs that part a problem from its remedy and one language from the other; it may quote what somebody wrote. */
function inOnePart(text: string): string {
  return text.replaceAll("; ", ", ").replaceAll("；", "，").replaceAll(" | ", " / ");
}

/** The part of the configuration that `checkTogether` reads. */
interface Checkable {
  readonly beds: readonly { readonly id: string }[];
  readonly devices: readonly {
    readonly id: string;
    readonly bed?: string | undefined;
    readonly driver: string;
    readonly expected?: readonly string[] | undefined;
    readonly link: { readonly kind: string; readonly server?: string | undefined };
    readonly options?: Readonly<Record<string, unknown>> | undefined;
  }[];
  readonly admissions?: Parameters<typeof checkAdmissions>[0];
  readonly upstreams: readonly {
    readonly name: string;
    readonly url: string;
    readonly username?: unknown;
    readonly passwordFile?: unknown;
    readonly caFile?: unknown;
    readonly certFile?: unknown;
    readonly keyFile?: unknown;
  }[];
  readonly mqttServers: Checkable["upstreams"];
  readonly broker?: object | undefined;
  readonly dashboard: { readonly host: string; readonly signIn: boolean };
}

/**
 * Checks a configuration's text without opening anything it names.
 *
 * @param text    YAML.
 * @param folder  Absolute folder that relative paths are taken from.
 * @returns       The configuration, or every problem at once with its path and remedy.
 */
export function parseConfig(text: string, folder: string): Result<Config, readonly ConfigProblem[]> {
  const document = parseDocument(text, { prettyErrors: true, uniqueKeys: true });
  if (document.errors.length > 0) {
    return fail(
      document.errors.map((error) => ({
        path: `line ${error.linePos?.[0].line ?? 1}`,
        problem: inBoth((error.message.split("\n")[0] ?? error.message).trim().replace(/:$/, "")),
        remedy: { en: "Mend the YAML at this line.", zh: "请修正该行的 YAML。" },
      })),
    );
  }
  const given: unknown = document.toJS() ?? {};
  const parsed = configSchema.safeParse(given);
  if (!parsed.success) {
    // The same issues in the same order, in Chinese words.
    const chinese = configSchema.safeParse(given, { error: z.locales.zhCN().localeError });
    const problems = parsed.error.issues.flatMap((issue, index) =>
      problemsOf(issue, chinese.error?.issues[index]?.message ?? issue.message),
    );
    return fail([...problems, ...problemsTogether(given, parsed.error)]);
  }
  return succeed(withAbsolutePaths(parsed.data, folder));
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
        problem: { en: `cannot be read (${code})`, zh: `无法读取（${code}）` },
        remedy: { en: "Check the file's name and rights.", zh: "请检查文件名和权限。" },
      },
    ]);
  }
}

/** What only the whole can know, where a mistake in a field kept the schema from asking; without it a mended file would be refused again. */
function problemsTogether(given: unknown, told: z.ZodError): readonly ConfigProblem[] {
  const readable = checkable.safeParse(given);
  if (!readable.success || told.issues.some((issue) => issue.code === "custom")) return [];
  const problems: ConfigProblem[] = [];
  checkTogether(readable.data, { addIssue: (issue) => problems.push(...problemsOf({ ...issue, input: given }, issue.message)) });
  return problems;
}

function inBoth(text: string): Text {
  return { en: text, zh: text };
}

/** A problem of our own: `problem; remedy | 问题；处理`. */
function ownProblem(path: string, message: string): ConfigProblem {
  const [en = message, zh = en] = message.split(" | ");
  const [problem = en, remedy = "mend it"] = en.split("; ");
  const [problemZh = zh, remedyZh = "请修正"] = zh.split("；");
  const sentence = `${remedy.replace(/^./, (letter) => letter.toUpperCase()).replace(/\.?$/, ".")}`;
  return { path, problem: { en: problem, zh: problemZh }, remedy: { en: sentence, zh: `${remedyZh}。` } };
}

function problemsOf(issue: z.core.$ZodIssue, chinese: string): readonly ConfigProblem[] {
  const path = issue.path.map(String).join(".") || "(top)";
  if (issue.message.includes(" | ")) return [ownProblem(path, issue.message)];
  switch (issue.code) {
    case "unrecognized_keys":
      return issue.keys.map((key) => ({
        path: path === "(top)" ? key : `${path}.${key}`,
        problem: { en: "is not a setting", zh: "不是设置项" },
        remedy: {
          en: "Take it out or mend its spelling; config/README.md lists all settings.",
          zh: "请删除或修正拼写；全部设置见 config/README.md。",
        },
      }));
    case "invalid_value": {
      const values = issue.values.map(String);
      return [
        {
          path,
          problem: { en: issue.message, zh: chinese },
          remedy: { en: `Use one of: ${values.join(", ")}.`, zh: `请使用其中之一：${values.join("、")}。` },
        },
      ];
    }
    default: {
      // The library's own words for a setting that is simply not there would puzzle anybody.
      const missing = issue.code === "invalid_type" && issue.message.endsWith("received undefined");
      const problem = missing ? { en: "is missing", zh: "缺少" } : { en: issue.message, zh: chinese };
      return [
        { path, problem, remedy: { en: "See config/README.md for what belongs here.", zh: "应填内容见 config/README.md。" } },
      ];
    }
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

/** The JSON schema for editors, written to `config/schema.json` by `npm run generate`. */
export function jsonSchema(): unknown {
  return z.toJSONSchema(configSchema, { io: "input" });
}
