import { describe, test } from "vitest";
import { attackedWardOfEachTest } from "../support/attacked-ward.ts";
import { mosquittoIsMissing } from "../support/mosquitto.ts";
import { attackWithKills } from "../support/power-kills.ts";

const SEED = 20261122;
const KILLS = Number(process.env["VIGIL_SOAK_KILLS"] ?? 200);
const BEDS = 200;

const attacked = attackedWardOfEachTest(BEDS);

describe.skipIf(mosquittoIsMissing)("kill -9 of the gateway under full load, for long", () => {
  test(`after ${KILLS} kills at ${BEDS} beds nothing that was said committed is lost`, {
    timeout: (KILLS + 20) * 60_000,
  }, async () => {
    await attackWithKills({ ...attacked(), kills: KILLS, seed: SEED, alertingAgainMsMax: null });
  });
});
