import * as z from "zod";
import { filePath, name } from "./fields.ts";

/** How a client of an MQTT server gets in. */
export const mqttAccess = {
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

/** One server that devices send to. */
export const mqttServer = z
  .strictObject({ name, ...mqttAccess })
  .describe("Another MQTT server that devices send to. | 设备所使用的其他 MQTT 服务器。");
