import * as z from "zod";
import { admissions } from "./settings/admissions.ts";
import { assignment, bed } from "./settings/beds.ts";
import { broker } from "./settings/broker.ts";
import { channel } from "./settings/channels.ts";
import { dashboard } from "./settings/dashboard.ts";
import { demonstration } from "./settings/demonstration.ts";
import { device } from "./settings/devices.ts";
import { filePath, name } from "./settings/fields.ts";
import { journal } from "./settings/journal.ts";
import { limits } from "./settings/limits.ts";
import { mqttServer } from "./settings/mqtt-access.ts";
import { contact, route } from "./settings/routes.ts";
import { upstream } from "./settings/upstreams.ts";
import { checkTogether } from "./together.ts";

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
    journal,
    dashboard,
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
    assignment,
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
    demonstration: demonstration.optional(),
    upstreams: z.array(upstream).default([]),
    channels: z.array(channel).default([]),
    contacts: z.array(contact).default([]),
    routes: z
      .array(route)
      .default([])
      .describe(
        "Who is told of an alert, and who next while nobody answers. None: alerts are on the page, at the sounder and upstream only. | 报警通知谁，无人应答时再通知谁。不写：报警只在页面、发声器和上级平台。",
      ),
  })
  .superRefine(checkTogether);

/** The configuration after checks, with every default filled in and every path absolute. */
export type Config = z.infer<typeof configSchema>;
/** One device of the configuration. */
export type DeviceConfig = Config["devices"][number];
/** One channel of the configuration. */
export type ChannelConfig = Config["channels"][number];
/** One upstream of the configuration. */
export type UpstreamConfig = Config["upstreams"][number];

/** The JSON schema for editors, written to `config/schema.json` by `npm run generate`. */
export function jsonSchema(): unknown {
  return z.toJSONSchema(configSchema, { io: "input" });
}
