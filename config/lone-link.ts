import * as z from "zod";
import { fail, type Result, succeed } from "../src/core/result.ts";
import { CONFIG_GUIDE, type ConfigProblem, problemsOf } from "./problems.ts";
import type { DeviceConfig } from "./schema.ts";
import { link } from "./settings/links.ts";
import { mqttServer } from "./settings/mqtt-access.ts";

const loneLink = z.strictObject({ link, server: mqttServer.nullable() });

/** A link, and the MQTT server it goes through where there is one, that no configuration holds. */
export interface LoneLink {
  readonly link: DeviceConfig["link"];
  readonly server: z.output<typeof mqttServer> | null;
}

/** Reads a link that is said without a configuration, by the same rules as in one; all problems at once. */
export function parseLoneLink(given: {
  readonly link: unknown;
  readonly server: unknown;
}): Result<LoneLink, readonly ConfigProblem[]> {
  const parsed = loneLink.safeParse(given);
  if (parsed.success) return succeed(parsed.data);
  // The same issues in the same order, in Chinese words.
  const chinese = loneLink.safeParse(given, { error: z.locales.zhCN().localeError });
  return fail(
    parsed.error.issues.flatMap((issue, index) =>
      problemsOf(issue, { chinese: chinese.error?.issues[index] ?? issue, guide: CONFIG_GUIDE }),
    ),
  );
}
