import { Worker } from "node:worker_threads";
import type { Config } from "../../config/schema.ts";
import { LIMITS } from "../core/limits.ts";
import type { SettingsCheck } from "../core/settings-view.ts";
import type { Clock } from "../core/time.ts";
import type { PageTls } from "../dashboard/server/tls/page-certificate.ts";
import { pageTlsOf } from "./page-tls.ts";

/** What the thread that checks is given. */
export interface ConfigCheckTask {
  readonly text: string;
  /** Absolute folder that relative paths are taken from. */
  readonly folder: string;
}

/** What of a configuration says who the gateway is and where its page is found: a change of it is nothing like the others. */
export interface ConfigIdentity {
  readonly gatewayId: string;
  readonly dataFolder: string;
  readonly page: { readonly enabled: boolean; readonly host: string; readonly port: number; readonly tls: PageTls | null };
}

/** What a check came to; the identity is null where the text has problems. */
export interface CheckedConfig {
  readonly check: SettingsCheck;
  readonly identity: ConfigIdentity | null;
}

/** The identity in a configuration. */
export function identityOf(config: Pick<Config, "gateway" | "dashboard">): ConfigIdentity {
  const { enabled, host, port } = config.dashboard;
  const { id: gatewayId, dataFolder } = config.gateway;
  return { gatewayId, dataFolder, page: { enabled, host, port, tls: pageTlsOf(config) } };
}

/**
 * Checks a configuration's text as `vigil check` does, in a thread of its own with bounds for time and memory, so that nothing that is written
 * in it holds up the watching. Opens nothing that it names. A text that goes beyond the bounds has that as its one problem.
 */
export function checkConfigText(task: ConfigCheckTask, clock: Clock): Promise<CheckedConfig> {
  return new Promise((resolve) => {
    const worker = new Worker(new URL("./config-check-worker.ts", import.meta.url), {
      workerData: task,
      resourceLimits: { maxOldGenerationSizeMb: LIMITS.configCheckMegabytesMax.value },
    });
    const finish = (checked: CheckedConfig) => {
      late.stop();
      resolve(checked);
      void worker.terminate();
    };
    const late = clock.after(LIMITS.configCheckMsMax.value, () => finish(UNREADABLE));
    worker.once("message", finish);
    worker.once("error", () => finish(UNREADABLE));
    worker.once("exit", () => finish(UNREADABLE));
  });
}

const UNREADABLE: CheckedConfig = {
  identity: null,
  check: {
    problems: [
      {
        path: "(top)",
        line: 1,
        problem: { en: "the text takes too long or too much memory to read", zh: "该文本读取耗时过长或占用内存过多" },
        remedy: {
          en: "Write it plainly: no deep nesting, no aliases (*name).",
          zh: "请用简单的写法：不要嵌套过深，不要使用别名（*name）。",
        },
      },
    ],
    warnings: [],
  },
};
