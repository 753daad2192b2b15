import * as z from "zod";
import { filePath, name } from "./fields.ts";

const caFile = filePath
  .optional()
  .describe("Certificates to trust, in PEM; the system's where left out. | 受信任的证书（PEM）；不写则用系统的证书。");

const httpUrl = z
  .string()
  .regex(
    /^https?:\/\/[^?#@\s]+$/,
    "is no address; write https://host/path, without ? and # | 地址格式错误；请写成 https://主机/路径，不带 ? 和 #",
  );

const robot = {
  name,
  url: httpUrl.optional().describe("Another place than the maker's own, without the key. | 不写则用厂商地址；此处不含密钥。"),
  keyFile: filePath.describe(
    "First line: the robot's key or token, which stands in its web address. | 第一行：机器人地址中的 key 或 token。",
  ),
  caFile,
};
const secretFile = filePath.optional().describe("First line: the secret of a signed robot. | 第一行：加签机器人的密钥。");

/** A way on which alerts are told to contacts. */
export const channel = z.discriminatedUnion("kind", [
  z
    .strictObject({
      name,
      kind: z.literal("webhook").describe("JSON by HTTP, signed with HMAC-SHA256. | HTTP 推送 JSON，HMAC-SHA256 签名。"),
      url: httpUrl.describe("Where it is sent; nothing follows a redirection. | 推送地址；不跟随重定向。"),
      secretFile: filePath.describe("First line: the secret of the signature. | 第一行：签名密钥。"),
      caFile,
    })
    .describe("Any program of your own. | 自有程序。"),
  z.strictObject({ ...robot, kind: z.literal("wecom").describe("A robot of a WeCom group. | 企业微信群机器人。") }),
  z.strictObject({ ...robot, secretFile, kind: z.literal("dingtalk").describe("A robot of a DingTalk group. | 钉钉群机器人。") }),
  z.strictObject({ ...robot, secretFile, kind: z.literal("feishu").describe("A robot of a Feishu group. | 飞书群机器人。") }),
]);
