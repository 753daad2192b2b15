import { findDriver } from "../../drivers/index.ts";
import { castOf } from "../../simulator/scenario/cast.ts";
import type { Finding } from "../../simulator/scenario/judge.ts";
import { loadScenario } from "../../simulator/scenario/load.ts";
import { playScenario } from "../../simulator/scenario/play.ts";
import type { Scenario } from "../../simulator/scenario/schema.ts";
import { configOfScenario, openOwnWorld } from "../../src/commands/simulate/own-gateway.ts";
import type { ScoreModel } from "../../src/watch/score-model.ts";
import { loadScoreModel } from "../../src/watch/score-table.ts";

/** Where the scenarios lie that come with the simulator. */
export const SCENARIOS_FOLDER = new URL("../../simulator/scenarios", import.meta.url).pathname;

/** A scenario that comes with the simulator. */
export async function scenarioOf(name: string): Promise<Scenario> {
  const loaded = await loadScenario(name);
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.error));
  return loaded.value;
}

async function news2(): Promise<readonly ScoreModel[]> {
  const model = await loadScoreModel(new URL("../../models/news2", import.meta.url).pathname);
  if (!model.ok) throw new Error("NEWS2 does not load");
  return [model.value];
}

/** Plays a scenario against Vigil's own gateway on simulated time, links and disk. */
export async function played(scenario: Scenario, seed: number, models?: readonly ScoreModel[]) {
  const made = await castOf(scenario, { seed, folder: SCENARIOS_FOLDER, findDriver });
  if (!made.ok) throw new Error(JSON.stringify(made.error));
  const cast = made.value;
  const config = configOfScenario(scenario, cast);
  if (!config.ok) throw new Error(JSON.stringify(config.error));
  const world = await openOwnWorld(scenario, {
    config: config.value,
    cast,
    models: models ?? (await news2()),
    drivers: findDriver,
  });
  const { findings } = await playScenario(scenario, { cast, world });
  const records = await world.records();
  await world.close();
  return { findings, records };
}

/** What was expected and did not come, in words. */
export function missed(findings: readonly Finding[]): readonly string[] {
  return findings.filter(({ met }) => !met).map(({ expected, said }) => `${expected.en}: ${said.en}`);
}
