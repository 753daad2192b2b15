import { readFile } from "node:fs/promises";
import { isAbsolute, resolve } from "node:path";
import { type Document, isMap, isNode, isScalar, isSeq, LineCounter, parseDocument } from "yaml";
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
  .describe("Lower-case letters, digits and hyphens. | 小写字母、数字和连字符。");
const port = z.int().min(1).max(65535).describe("Number of the TCP port. | TCP 端口号。");
const filePath = z
  .string()
  .min(1)
  .describe("Relative paths are taken from the folder of the configuration file. | 相对路径以配置文件所在目录为准。");
const sessionMinutes = z
  .int()
  .min(1)
  .max(LIMITS.sessionHoursMax.value * 60)
  .describe("Minutes from signing in to signing out. | 从登录到自动退出的分钟数。");
const idleMinutes = z
  .int()
  .min(5)
  .max(1440)
  .nullable()
  .describe("Minutes without use; null: it stays signed in. | 无人使用的分钟数；null：不因此退出。");
const quantity = z.enum(QUANTITY_NAMES as [string, ...string[]]);
const driverId = z
  .enum(DRIVERS.map((driver) => driver.id) as [string, ...string[]])
  .describe("What reads the device; drivers/DEVICES.md lists all. | 读取该设备的驱动，全部见 drivers/DEVICES.md。");

const shortText = z.string().trim().min(1).max(40);

const bed = z.strictObject({
  id: name,
  title: shortText.describe("What staff call it, such as 301-2. | 医护人员的叫法，如 301-2。"),
  room: shortText
    .optional()
    .describe(
      "The room it stands in, such as 301; beds of the same room are written alike. | 所在病房，如 301；同一病房的床位写法须一致。",
    ),
  ward: shortText
    .optional()
    .describe(
      "The ward it belongs to, such as 3 East; the wall groups beds by it where there is more than one. | 所属病区，如三东；有多个病区时总览按此分组。",
    ),
});

const serialLink = z
  .strictObject({
    kind: z.literal("serial").describe("By a serial port. | 经串口。"),
    path: z
      .string()
      .min(1)
      .describe("The port, best by its stable name under /dev/serial/by-id/. | 串口，最好使用 /dev/serial/by-id/ 下的固定名称。"),
    baudRate: z
      .int()
      .min(50)
      .max(4_000_000)
      .optional()
      .describe("Bits per second; the driver's usual rate where left out. | 波特率；不写则用驱动的常用值。"),
    dataBits: z
      .union([z.literal(5), z.literal(6), z.literal(7), z.literal(8)])
      .optional()
      .describe("The driver's usual where left out. | 数据位；不写则用驱动的常用值。"),
    parity: z
      .enum(["none", "even", "odd"])
      .optional()
      .describe("The driver's usual where left out. | 校验；不写则用驱动的常用值。"),
    stopBits: z
      .union([z.literal(1), z.literal(2)])
      .optional()
      .describe("The driver's usual where left out. | 停止位；不写则用驱动的常用值。"),
    handshake: z
      .enum(["none", "rts-cts", "xon-xoff"])
      .optional()
      .describe("How either side holds the other up; the driver's usual where left out. | 流控；不写则用驱动的常用值。"),
  })
  .describe("A serial port of this board. | 本机串口。");
const tcpLink = z
  .strictObject({
    kind: z.literal("tcp").describe("By a serial device server. | 经串口服务器。"),
    host: z.string().min(1).describe("Its name or address. | 其主机名或地址。"),
    port,
  })
  .describe("A serial device server that hands the device's bytes on over TCP. | 通过 TCP 转发设备数据的串口服务器。");
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
    kind: z.literal("mqtt").describe("By MQTT. | 经 MQTT。"),
    server: name
      .optional()
      .describe(
        "One of `mqttServers`; the gateway's own broker where left out. | `mqttServers` 之一；不写则用网关自带的 MQTT 服务。",
      ),
    topics: z
      .array(mqttTopic)
      .min(1)
      .max(32)
      .optional()
      .describe(
        "Topics of the device's messages, + and # allowed; the driver's own where left out. | 设备消息的主题，可用 + 和 #；不写则用驱动自己的主题。",
      ),
    account: name
      .nullable()
      .optional()
      .describe(
        "With the own broker: the account whose connection is this device's link, the device's id where left out; null where several devices share one, as behind a Zigbee bridge. | 使用自带 MQTT 服务时：以哪个账户的连接作为该设备的链路，不写即设备 id；多个设备共用一个连接（如 Zigbee 网桥后）时写 null。",
      ),
  })
  .describe("Messages by MQTT. | MQTT 消息。");
const captureLink = z
  .strictObject({
    kind: z.literal("capture").describe("From a recording. | 来自录制文件。"),
    file: filePath,
    speed: z
      .number()
      .min(0.1)
      .max(10_000)
      .default(1)
      .describe("1 is the pace of the recording, 2 twice as fast. | 1 为录制时的速度，2 为两倍速。"),
    repeat: z.boolean().default(false).describe("true: begins anew at its end. | true：结束后从头再放。"),
    bytesPerSecond: z.int().min(1).optional().describe("Pace of a raw recording without times. | 不含时间的原始录制的播放速度。"),
  })
  .describe("A recording in place of a device. | 以录制文件代替设备。");

const optionValue = z.union([z.string(), z.number(), z.boolean(), z.array(z.json()), z.record(z.string(), z.json())]);

const device = z.strictObject({
  id: name,
  title: z
    .string()
    .min(1)
    .max(80)
    .optional()
    .describe("Shown on the wall; the driver's title where left out. | 显示在总览上；不写则用驱动的名称。"),
  driver: driverId,
  bed: name
    .optional()
    .describe(
      "The bed the device stands at. Whom it measures is said by assigning it, not here. | 设备所在的床位。它测量哪位患者由“分配”决定，不在此处。",
    ),
  origin: z
    .enum(["measured", "test", "simulated", "replayed"])
    .default("measured")
    .describe("Anything but `measured` never alarms for a real patient. | 除 `measured` 外，绝不会对真实患者报警。"),
  link: z.discriminatedUnion("kind", [serialLink, tcpLink, mqttLink, captureLink]),
  options: z
    .record(z.string(), optionValue)
    .default({})
    .transform(optionTexts)
    .describe(
      "Settings of the driver, by the names that drivers/README.md tells; lists and objects as YAML or as JSON in a text. | 驱动的设置项，名称见 drivers/README.md；列表与对象可用 YAML，或写成 JSON 文本。",
    ),
  silenceSeconds: z
    .number()
    .min(1)
    .max(86_400)
    .optional()
    .describe(
      "Longest silence before a technical alert; the driver's where left out. | 无数据多久后发出技术报警；不写则用驱动的值。",
    ),
  expected: z
    .array(quantity)
    .optional()
    .describe(
      "Quantities whose absence is a technical alert; the driver's where left out. | 缺失时发出技术报警的参数；不写则用驱动的列表。",
    ),
  quantitySilenceSeconds: z
    .number()
    .min(5)
    .max(86_400)
    .default(60)
    .describe("How long an expected quantity may be absent or refused. | 应有的参数可以缺失或被拒多久。"),
  personal: z
    .boolean()
    .default(false)
    .describe(
      "true: one person's own, as a watch at home; it is never asked whether it is still on its patient. | true：个人自有（如居家手表），从不询问是否仍在该患者身上。",
    ),
});

/** How a client of an MQTT server gets in. */
const mqttAccess = {
  url: z
    .string()
    .regex(
      /^mqtts?:\/\/[^/\s]+$/,
      "is no address of an MQTT server; write mqtt://host:port or mqtts://host:port | 不是 MQTT 服务器地址；请写成 mqtt://主机:端口 或 mqtts://主机:端口",
    )
    .describe("mqtt://host:port, or mqtts://host:port with encryption. | mqtt://主机:端口；加密则写 mqtts://主机:端口。"),
  protocolVersion: z
    .union([z.literal(5), z.literal(4)])
    .default(5)
    .describe("5, or 4 for a broker that speaks MQTT 3.1.1 only. | 5；仅支持 MQTT 3.1.1 的服务器写 4。"),
  username: z.string().optional().describe("The gateway's account at this server. | 网关在该服务器上的账户。"),
  passwordFile: filePath.optional(),
  caFile: filePath
    .optional()
    .describe("Certificates to trust, in PEM; the system's where left out. | 受信任的证书（PEM）；不写则用系统的证书。"),
  certFile: filePath.optional(),
  keyFile: filePath.optional(),
};

const mqttServer = z
  .strictObject({ name, ...mqttAccess })
  .describe("Another MQTT server that devices send to. | 设备所使用的其他 MQTT 服务器。");

const mqttUpstream = z.strictObject({
  name,
  kind: z
    .literal("mqtt")
    .describe("Observations, alerts and acts by MQTT, with receipts back. | 经 MQTT 上传观测值、报警与操作，并取回回执。"),
  ...mqttAccess,
  topicPrefix: z
    .string()
    .min(1)
    .max(200)
    .regex(
      /^[^#+\s]+$/,
      "a topic prefix has no wildcards or spaces; take out # + and spaces | 主题前缀不得含通配符或空格；请去掉 # + 和空格",
    )
    .default("vigil")
    .describe("All topics begin with it. | 所有主题以此开头。"),
});

const influxTarget = z.discriminatedUnion("api", [
  z
    .strictObject({
      api: z.literal("v2").describe("Writes to /api/v2/write. | 写入 /api/v2/write。"),
      org: z
        .string()
        .min(1)
        .max(200)
        .describe("The organisation there; VictoriaMetrics takes any. | 其中的组织；VictoriaMetrics 任意。"),
      bucket: z
        .string()
        .min(1)
        .max(200)
        .describe("Where it is kept; VictoriaMetrics takes any. | 存储桶；VictoriaMetrics 任意。"),
      tokenFile: filePath.optional(),
    })
    .describe("InfluxDB 2, or VictoriaMetrics. | InfluxDB 2 或 VictoriaMetrics。"),
  z
    .strictObject({
      api: z.literal("v1").describe("Writes to /write. | 写入 /write。"),
      database: z.string().min(1).max(200).describe("Its name there; it must exist. | 数据库名，须已存在。"),
      retentionPolicy: z
        .string()
        .min(1)
        .max(200)
        .optional()
        .describe("The database's own default where left out. | 不写则用数据库的默认值。"),
      username: z.string().min(1).optional().describe("The gateway's account there. | 网关在其中的账户。"),
      passwordFile: filePath.optional(),
    })
    .refine(
      ({ username, passwordFile }) => (username === undefined) === (passwordFile === undefined),
      "username and passwordFile belong together; give both or none | username 与 passwordFile 必须成对；请同时给出或都不写",
    )
    .describe("InfluxDB 1, or VictoriaMetrics. | InfluxDB 1 或 VictoriaMetrics。"),
]);

const influxUpstream = z
  .strictObject({
    name,
    kind: z.literal("influx").describe("To a time-series database. | 写入时序数据库。"),
    url: z
      .string()
      .regex(
        /^https?:\/\/[^/?#@\s]+(\/(?!api\/v2\/?$)[^?#\s]*)?$/,
        "is no address of an InfluxDB; write http://host:port or https://host:port, without /api/v2 | 不是 InfluxDB 地址；请写成 http://主机:端口 或 https://主机:端口，不带 /api/v2",
      )
      .describe("http://host:port or https://host:port. | http://主机:端口 或 https://主机:端口。"),
    target: influxTarget,
    patientTag: z
      .enum(["pseudonym", "id", "none"])
      .default("pseudonym")
      .describe(
        "How patients are named in the database. pseudonym: nobody without the key can tell who it is. none: all patients are one. | 数据库中如何标识患者。pseudonym：没有密钥无人能识别；none：所有患者不作区分。",
      ),
    patientKeyFile: filePath
      .optional()
      .describe(
        "The key of the pseudonyms, 32 characters or more; gateways that share it name a patient alike. Made in the data folder where left out. Never change it. | 假名的密钥，至少 32 个字符；共用密钥的网关对同一患者的假名相同。不写则在数据目录中生成。请勿更改。",
      ),
    caFile: filePath
      .optional()
      .describe("Certificates to trust, in PEM; the system's where left out. | 受信任的证书（PEM）；不写则用系统的证书。"),
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
  .describe(
    "History for trends and Grafana. Alerts reach people by MQTT, not this way. | 供趋势与 Grafana 使用的历史数据。报警经 MQTT 送达，不走此路。",
  );

const broker = z
  .strictObject({
    host: z
      .string()
      .min(1)
      .default("127.0.0.1")
      .describe(
        "Where `port` listens without encryption. 127.0.0.1 is this machine only; name another address on purpose. | `port` 以不加密方式监听的地址。127.0.0.1 仅限本机；写其他地址须确有需要。",
      ),
    port: port.nullable().default(1883).describe("null: only with TLS. | null：仅使用 TLS。"),
    tls: z
      .strictObject({
        host: z
          .string()
          .min(1)
          .default("0.0.0.0")
          .describe("0.0.0.0 is every address of this machine. | 0.0.0.0 为本机所有地址。"),
        port: port.default(8883),
        certFile: filePath.describe(
          "The broker's own certificate with its chain, in PEM. | MQTT 服务自己的证书及证书链（PEM）。",
        ),
        keyFile: filePath,
        clientCaFile: filePath
          .optional()
          .describe(
            "Who may issue certificates of devices; their common name is the account and the client id. | 可签发设备证书的机构；证书通用名即账户名与客户端标识。",
          ),
        clientCertificates: z
          .enum(["none", "optional", "required"])
          .default("none")
          .describe(
            "optional: a certificate in place of a password; required: nobody without one. | optional：可用证书代替密码；required：没有证书不得登录。",
          ),
      })
      .optional()
      .describe("Encrypted, for devices on the network. | 加密，供网络上的设备使用。"),
    connectionsMax: z
      .int()
      .min(1)
      .max(10_000)
      .default(1000)
      .describe("Clients at a time; a further one is refused. | 同时连接的客户端数；超出则拒绝。"),
    messageBytesMax: z
      .int()
      .min(128)
      .max(1_048_576)
      .default(65_536)
      .describe(
        "Larger messages are left out and told; their sender stays connected. | 更大的消息会被丢弃并告知；发送者保持连接。",
      ),
    messagesPerSecondMax: z
      .int()
      .min(1)
      .max(10_000)
      .default(100)
      .describe(
        "Of one client; beyond it the broker reads more slowly, and nothing is lost. | 每个客户端；超出后放慢读取，不丢失数据。",
      ),
  })
  .describe(
    "The gateway's own MQTT broker. Accounts are made by `vigil devices add`; nobody else gets in. | 网关自带的 MQTT 服务。账户由 `vigil devices add` 创建，其他人无法登录。",
  );

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
    .describe(`In ${QUANTITIES[name].unit}. | 单位 ${QUANTITIES[name].unit}。`);
}

const limits = z.strictObject(Object.fromEntries(QUANTITY_NAMES.map((name) => [name, limitsOf(name)])));

/** The only truth about the configuration: types, checks, defaults, the editor's schema and the table of settings come from it. */
export const configSchema = z
  .strictObject({
    gateway: z.strictObject({
      id: name.describe(
        "Names this gateway in every record that leaves it. Never change it. | 网关送出的每条记录都带有此名称。请勿更改。",
      ),
      dataFolder: filePath.describe("Everything the gateway writes lies below it. | 网关写入的一切都在该目录下。"),
    }),
    log: z
      .strictObject({
        level: z
          .enum(["error", "warn", "info"])
          .default("info")
          .describe(
            "The least grave that is logged. Nothing of a patient is in the log. | 记录的最低级别。日志中没有任何患者信息。",
          ),
      })
      .prefault({}),
    journal: z
      .strictObject({
        sizeMegabytesMax: z
          .int()
          .min(16)
          .max(1_000_000)
          .default(2048)
          .describe(
            "Oldest observations are dropped beyond it; alerts, acts and receipts never. | 超出后舍弃最旧的观测值；报警、操作、回执永不舍弃。",
          ),
        waves: z
          .strictObject({
            ringMinutes: z
              .number()
              .min(1)
              .max(1440)
              .default(10)
              .describe("Waves older than this are dropped. | 更早的波形会被舍弃。"),
            ringMegabytesMax: z
              .int()
              .min(1)
              .max(1_000_000)
              .default(256)
              .describe(
                "Beyond it the oldest waves go early, and the loss is recorded. Fifty beds with four waves are 40 MB. | 超出后提前舍弃最旧的波形并记录。五十张床各四道波形约 40 MB。",
              ),
            stripSecondsBefore: z
              .number()
              .min(0)
              .max(300)
              .default(30)
              .describe("The waves so long before a patient's alert are kept with it. | 患者报警前这么久的波形随报警保存。"),
            stripSecondsAfter: z
              .number()
              .min(0)
              .max(300)
              .default(30)
              .describe("And so long after it. | 以及报警后这么久的波形。"),
            stripMegabytesMax: z
              .int()
              .min(1)
              .max(1_000_000)
              .default(256)
              .describe(
                "All strips together; beyond it the oldest goes, and the loss is recorded. | 全部波形片段合计；超出后舍弃最旧的并记录。",
              ),
          })
          .prefault({}),
      })
      .prefault({}),
    dashboard: z
      .strictObject({
        enabled: z
          .boolean()
          .default(true)
          .describe("false: no pages; watching, alerts and upstreams go on. | false：不提供页面；监测、报警与上传照常。"),
        host: z
          .string()
          .default("127.0.0.1")
          .describe(
            "127.0.0.1 is this machine only; name another address on purpose. | 127.0.0.1 仅限本机；写其他地址须确有需要。",
          ),
        port: port.default(8710),
        tls: z
          .union(
            [
              z.literal("own"),
              z.literal("none"),
              z.strictObject({
                certFile: filePath.describe(
                  "The page's certificate with its chain, in PEM; exchanged ones are taken into use within a minute. | 页面证书及证书链（PEM）；更换后一分钟内生效。",
                ),
                keyFile: filePath,
              }),
            ],
            {
              error:
                "is none of own, none and a section with certFile and keyFile; write one of them | 不是 own、none 或含 certFile 与 keyFile 的一节；请改为其中之一",
            },
          )
          .optional()
          .describe(
            "HTTPS. own: with a certificate that the gateway makes; compare its fingerprint once with what the browser shows. Or your own in files. none: unencrypted, so that passwords and patients' data can be read on the way. Left out: own, and none where `host` is this machine only. | HTTPS 加密。own：使用网关自己生成的证书，请与浏览器显示的指纹核对一次；也可指定证书文件。none：不加密，密码与患者数据可被窃听。不写：own；`host` 仅限本机时为 none。",
          ),
        signIn: z.boolean().default(true).describe("false only on a loopback address. | 仅在本机回环地址上可为 false。"),
        sessionMinutes: z
          .strictObject({
            nurse: sessionMinutes.default(720),
            engineer: sessionMinutes.default(480),
            auditor: sessionMinutes.default(240),
            administrator: sessionMinutes.default(480),
            family: sessionMinutes.default(720),
          })
          .prefault({})
          .describe(
            "How long each role stays signed in; a display on the wall signs in as a nurse. | 各角色登录后保持多久；墙上的显示屏以护士身份登录。",
          ),
        idleMinutes: z
          .strictObject({
            nurse: idleMinutes.default(null),
            engineer: idleMinutes.default(30),
            auditor: idleMinutes.default(30),
            administrator: idleMinutes.default(30),
            family: idleMinutes.default(null),
          })
          .prefault({})
          .describe(
            "After how long without keys, mouse or touch each role is signed out, after a warning of a minute. A display on the wall is used by nobody: leave its role at null. | 各角色多久无键盘、鼠标、触摸操作后自动退出（提前一分钟提示）。墙上的显示屏无人操作：其角色请保持 null。",
          ),
        metricsTokenFile: filePath
          .optional()
          .describe(
            "Bearer token of at least 16 characters with which others than this machine itself may read `/metrics`. | 至少 16 个字符的令牌；本机以外读取 `/metrics` 时使用。",
          ),
      })
      .prefault({}),
    supervisor: z
      .strictObject({
        sounderCommand: z
          .array(z.string().min(1))
          .min(1)
          .nullable()
          .default(null)
          .describe("Program and arguments that make a sound at the board. | 在网关现场发声的程序及参数。"),
      })
      .prefault({}),
    clock: z
      .strictObject({
        believe: z
          .enum(["system", "always"])
          .default("system")
          .describe(
            "system: the board's clock is doubted while systemd-timesyncd runs and has not set it, or when it lies before what is known. always: somebody else keeps it right. | system：systemd-timesyncd 运行而尚未校时，或时钟早于已知时间时，不信任系统时钟。always：由其他方式保证时钟正确。",
          ),
      })
      .prefault({}),
    beds: z.array(bed).default([]).describe("Shown in this order. | 按此顺序显示。"),
    broker: broker.optional(),
    mqttServers: z.array(mqttServer).default([]),
    devices: z.array(device).default([]),
    limits: limits
      .default({})
      .describe(
        "Replaces the default limits of these quantities for every patient; a side left out keeps its default, null switches it off. A person may set others per patient. | 对所有患者替换这些参数的默认限值；未写的一侧保持默认，null 表示关闭。可另为单个患者设置。",
      ),
    assignment: z
      .strictObject({
        askAfterMinutes: z
          .number()
          .min(1)
          .max(1440)
          .default(30)
          .describe(
            "A device that measures again after so long is asked for: is it still on its patient? Its values go on to the patient, marked, and alert. A device that measures now and then, such as a thermometer, asks each time that comes later. | 设备间隔这么久后再次测量时会询问：是否仍在原患者身上？其数值仍归该患者（带标记）并照常报警。体温计等偶尔测量的设备每次间隔更久都会询问。",
          ),
        askAwayAfterMinutes: z
          .number()
          .min(1)
          .max(1440)
          .default(5)
          .describe(
            "The same while the patient lies in another bed than the one the device stands at (`devices[].bed`). | 患者所在床位与设备所在床位（`devices[].bed`）不同时，同上。",
          ),
      })
      .prefault({}),
    scores: z
      .strictObject({
        models: z.array(name).default(["news2"]).describe("Folders in `models/`. | `models/` 中的目录。"),
        confirmSeconds: z
          .number()
          .min(0)
          .max(3600)
          .default(60)
          .describe("How long a change must last before it is announced. | 变化须持续多久才通报。"),
        partialMinutesMax: z
          .number()
          .min(1)
          .max(1440)
          .default(30)
          .describe("How long a score may lack an input before a technical alert. | 评分缺少输入多久后发出技术报警。"),
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
  /** The line of the file, from 1; null where it has none, as a file that cannot be read. */
  readonly line: number | null;
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
  return { path, line: null, problem: { en: problem, zh: problemZh }, remedy: { en: sentence, zh: `${remedyZh}。` } };
}

function problemsOf(issue: z.core.$ZodIssue, chinese: string): readonly ConfigProblem[] {
  const path = issue.path.map(String).join(".") || "(top)";
  if (issue.message.includes(" | ")) return [ownProblem(path, issue.message)];
  switch (issue.code) {
    case "unrecognized_keys":
      return issue.keys.map((key) => ({
        path: path === "(top)" ? key : `${path}.${key}`,
        line: null,
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
          line: null,
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
        {
          path,
          line: null,
          problem,
          remedy: { en: "See config/README.md for what belongs here.", zh: "应填内容见 config/README.md。" },
        },
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

/** What nobody should overlook in a configuration that is valid. */
export function configWarnings({ dashboard }: Pick<Config, "dashboard">): readonly ConfigProblem[] {
  const warnings: ConfigProblem[] = [];
  const isHereOnly = /^(localhost|::1|\[::1\]|127\..*)$/.test(dashboard.host);
  if (dashboard.enabled && dashboard.tls === "none" && !isHereOnly)
    warnings.push({
      path: "dashboard.tls",
      line: null,
      problem: {
        en: "the pages are not encrypted: passwords and patients' data can be read on the way",
        zh: "页面未加密：密码与患者数据可在传输中被窃听",
      },
      remedy: {
        en: "Take out `tls: none`; the gateway then makes a certificate of its own.",
        zh: "请删除 tls: none，网关会自行生成证书。",
      },
    });
  return warnings;
}

/** The JSON schema for editors, written to `config/schema.json` by `npm run generate`. */
export function jsonSchema(): unknown {
  return z.toJSONSchema(configSchema, { io: "input" });
}
