import * as z from "zod";
import { filePath, port } from "./fields.ts";

/** The gateway's own broker. */
export const broker = z
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
