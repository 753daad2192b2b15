import * as z from "zod";
import { DRIVERS, optionTexts } from "../../drivers/index.ts";
import { name, quantity } from "./fields.ts";
import { link } from "./links.ts";

const driverId = z
  .enum(DRIVERS.map((driver) => driver.id) as [string, ...string[]])
  .describe("What reads the device; drivers/DEVICES.md lists all. | 读取该设备的驱动，全部见 drivers/DEVICES.md。");

const optionValue = z.union([z.string(), z.number(), z.boolean(), z.array(z.json()), z.record(z.string(), z.json())]);

/** One device. */
export const device = z.strictObject({
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
  link,
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
