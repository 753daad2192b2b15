import { afterEach, beforeEach, describe, test } from "vitest";
import { type Mosquitto, mosquittoIsMissing, prepareMosquitto } from "../support/mosquitto.ts";
import { attackWithKills } from "../support/power-kills.ts";
import { openSettableWard, type SettableWard } from "../support/settable-ward.ts";
import { openStage, type Stage } from "../support/stage.ts";

const SEED = 20260301;
const KILLS = 20;
/** A message a second with ten observations and five waves from each: over 2,000 observations a second. */
const BEDS = 200;

let stage: Stage;
let ward: SettableWard;
let broker: Mosquitto;

beforeEach(async () => {
  stage = await openStage();
  ward = await openSettableWard(BEDS);
  broker = await prepareMosquitto(["allow_anonymous true"]);
  await broker.start();
});

afterEach(async () => {
  await stage.close();
  await ward.close();
  await broker.remove();
});

describe.skipIf(mosquittoIsMissing)("kill -9 of the gateway under full load", () => {
  test(`after ${KILLS} kills at ${BEDS} beds nothing that was said committed is lost, no number is used twice, and it alarms again in time`, {
    timeout: 600_000,
  }, async () => {
    await attackWithKills({ stage, ward, broker, kills: KILLS, seed: SEED });
  });
});
