import * as z from "zod";
import { isTopicFilter } from "../../src/core/topic-filter.ts";
import { filePath, name, port } from "./fields.ts";

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

/** What leads to a device. */
export const link = z.discriminatedUnion("kind", [serialLink, tcpLink, mqttLink, captureLink]);
