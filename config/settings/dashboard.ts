import * as z from "zod";
import { LIMITS } from "../../src/core/limits.ts";
import { filePath, port } from "./fields.ts";

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

/** The pages, and who stays signed in how long. */
export const dashboard = z
  .strictObject({
    enabled: z
      .boolean()
      .default(true)
      .describe("false: no pages; watching, alerts and upstreams go on. | false：不提供页面；监测、报警与上传照常。"),
    host: z
      .string()
      .default("127.0.0.1")
      .describe("127.0.0.1 is this machine only; name another address on purpose. | 127.0.0.1 仅限本机；写其他地址须确有需要。"),
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
  .prefault({});
