import { afterEach, beforeEach, describe, test } from "vitest";
import { type Mosquitto, mosquittoIsMissing, prepareMosquitto } from "../support/mosquitto.ts";
import { attackWithKills } from "../support/power-kills.ts";
import { openSettableWard, type SettableWard } from "../support/settable-ward.ts";
import { openStage, type Stage } from "../support/stage.ts";

const SEED = 20261122;
const KILLS = Number(process.env["VIGIL_SOAK_KILLS"] ?? 200);
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

describe.skipIf(mosquittoIsMissing)("kill -9 of the gateway under full load, for long", () => {
  test(`after ${KILLS} kills at ${BEDS} beds nothing that was said committed is lost`, {
    timeout: (KILLS + 20) * 60_000,
  }, async () => {
    await attackWithKills({ stage, ward, broker, kills: KILLS, seed: SEED });
  });
});
