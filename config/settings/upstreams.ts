import * as z from "zod";
import { filePath, name } from "./fields.ts";
import { mqttAccess } from "./mqtt-access.ts";

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
  mayAcknowledge: z
    .boolean()
    .default(false)
    .describe(
      "true: a receipt `accepted` of an alert acknowledges it at the bed, as an act of whoever it names (`by`). Only for a server that lets nobody else write receipts. | true：对报警的 accepted 回执即在床旁确认该报警，并记为回执所述人员（by）的操作。仅限他人无法写入回执的服务器。",
    ),
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

/** Where records go. */
export const upstream = z.discriminatedUnion("kind", [mqttUpstream, influxUpstream]);
