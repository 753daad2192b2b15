import { describe, test } from "vitest";
import { attackedWardOfEachTest } from "../support/attacked-ward.ts";
import { mosquittoIsMissing } from "../support/mosquitto.ts";
import { attackWithCuts } from "../support/power-cuts.ts";
import { compilerIsMissing } from "../support/power-disk.ts";

const SEED = 20261123;
const CUTS = Number(process.env["VIGIL_SOAK_CUTS"] ?? 50);
const BEDS = 100;

const attacked = attackedWardOfEachTest(BEDS);

describe.skipIf(mosquittoIsMissing || compilerIsMissing)("power cuts, for long", () => {
  test(`after each of ${CUTS} all that was said committed is there, nothing counts as damaged, and it alarms again`, {
    timeout: (CUTS + 10) * 120_000,
  }, async () => {
    await attackWithCuts({ ...attacked(), cuts: CUTS, seed: SEED, journalMegabytes: 16 });
  });
});
