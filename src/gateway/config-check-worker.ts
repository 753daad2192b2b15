import { parentPort, workerData } from "node:worker_threads";
import { parseConfig } from "../../config/load.ts";
import { configWarnings } from "../../config/together.ts";
import { type CheckedConfig, type ConfigCheckTask, identityOf } from "./config-check.ts";

/** Checks one text and ends: what takes long or much memory to read harms nobody in a thread of its own. */
function checkedWith({ text, folder }: ConfigCheckTask): CheckedConfig {
  const parsed = parseConfig(text, folder);
  if (!parsed.ok) return { check: { problems: parsed.error, warnings: [] }, identity: null };
  return { check: { problems: [], warnings: configWarnings(parsed.value) }, identity: identityOf(parsed.value) };
}

parentPort?.postMessage(checkedWith(workerData as ConfigCheckTask));
