import { describe, expect, test } from "vitest";
import { scenarioNames } from "../../simulator/scenario/load.ts";
import { missed, played, scenarioOf } from "../support/played-scenario.ts";

/** How many seeds, and the first of them. */
const COUNT = Number(process.env["VIGIL_SOAK_SEEDS"] ?? 100);
const FIRST = Number(process.env["VIGIL_SOAK_FIRST"] ?? 1000);

describe.each(await scenarioNames())("%s", (name) => {
  test(`no expectation is missed with ${COUNT} seeds`, { timeout: 3_600_000 }, async () => {
    const scenario = await scenarioOf(name);
    const wrong: string[] = [];
    for (let seed = FIRST; seed < FIRST + COUNT; seed++) {
      const { findings } = await played(scenario, seed);
      wrong.push(...missed(findings).map((text) => `vigil simulate ${name} --seed ${seed}: ${text}`));
    }
    expect(wrong).toEqual([]);
  });
});
