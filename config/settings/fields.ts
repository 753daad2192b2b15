import * as z from "zod";
import { QUANTITY_NAMES } from "../../src/core/quantities.ts";

/** A name that this configuration gives or means. */
export const name = z
  .string()
  .regex(
    /^[a-z0-9][a-z0-9-]{0,62}$/,
    "this name has other characters; use 1 to 63 of a-z, 0-9 and -, beginning with a letter or digit | 名称含有不允许的字符；请用 1 至 63 个 a-z、0-9 或 -，以字母或数字开头",
  )
  .describe("Lower-case letters, digits and hyphens. | 小写字母、数字和连字符。");
/** A TCP port. */
export const port = z.int().min(1).max(65535).describe("Number of the TCP port. | TCP 端口号。");
/** A file or folder; made absolute when the configuration is loaded. */
export const filePath = z
  .string()
  .min(1)
  .describe("Relative paths are taken from the folder of the configuration file. | 相对路径以配置文件所在目录为准。");
/** A quantity by its name. */
export const quantity = z.enum(QUANTITY_NAMES as [string, ...string[]]);
