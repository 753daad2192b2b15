import { join } from "node:path";
import { LIMITS } from "../../core/limits.ts";
import { runShortProgram } from "../../supervisor/short-program.ts";
import { loadScoreModel } from "../../watch/score-table.ts";
import type { Examined, Family } from "./examined.ts";
import { findProgram } from "./machine.ts";
import { found, notTried, type Outcome, well } from "./outcome.ts";

/** What warns: the local sounder, and the scores and models. */
export const examineAlarms: Family = async (examined) => {
  const models = await Promise.all(examined.config.scores.models.map((id) => examineModel(id, examined)));
  return [...(await examineSounder(examined)), ...models];
};

async function examineSounder({ config, probes, mayHear }: Examined): Promise<readonly Outcome[]> {
  const command = config.supervisor.sounderCommand;
  const [program] = command ?? [];
  if (command === null || program === undefined) return [found("sounder-none", "supervisor.sounderCommand")];
  const subject = command.join(" ");
  if ((await findProgram(program, probes.env)) === null) return [found("sounder-missing", subject)];
  if (!mayHear) return [notTried("sounder", subject, { en: "with --sound it is sounded once", zh: "加 --sound 会鸣响一次" })];
  const outcome = await runShortProgram(
    { command, env: { ...probes.env, VIGIL_SOUND: "low" }, msMax: LIMITS.sounderMsMax.value },
    { clock: probes.clock, stop: new AbortController().signal },
  );
  return outcome.kind === "failed"
    ? [found("sounder-fails", subject, { why: outcome.why, detail: outcome.detail })]
    : [well("sounder", subject)];
}

async function examineModel(id: string, { probes }: Examined): Promise<Outcome> {
  const loaded = await loadScoreModel(join(probes.projectRoot, "models", id));
  return loaded.ok ? well("model", id) : found("model-damaged", id, loaded.error.facts);
}
