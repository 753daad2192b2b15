import { describe, test } from "vitest";
import { attackedWardOfEachTest } from "../support/attacked-ward.ts";
import { mosquittoIsMissing } from "../support/mosquitto.ts";
import { attackWithKills } from "../support/power-kills.ts";

const SEED = 20260301;
const KILLS = 20;
/** From the kill to the alert upstream. Source: SAFETY.md, rule 10. */
const ALERTING_AGAIN_MS_MAX = 5000;
/** A message a second with ten observations and five waves from each: over 2,000 observations a second. */
const BEDS = 200;

const attacked = attackedWardOfEachTest(BEDS);

describe.skipIf(mosquittoIsMissing)("kill -9 of the gateway under full load", () => {
  test(`after ${KILLS} kills at ${BEDS} beds nothing that was said committed is lost, no number is used twice, and it alarms again in time`, {
    timeout: 600_000,
  }, async () => {
    await attackWithKills({ ...attacked(), kills: KILLS, seed: SEED, alertingAgainMsMax: ALERTING_AGAIN_MS_MAX });
  });
});
