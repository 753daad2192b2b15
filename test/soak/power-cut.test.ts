import { afterEach, beforeEach, describe, test } from "vitest";
import { type Mosquitto, mosquittoIsMissing, prepareMosquitto } from "../support/mosquitto.ts";
import { attackWithCuts } from "../support/power-cuts.ts";
import { compilerIsMissing } from "../support/power-disk.ts";
import { openSettableWard, type SettableWard } from "../support/settable-ward.ts";
import { openStage, type Stage } from "../support/stage.ts";

const SEED = 20261123;
const CUTS = Number(process.env["VIGIL_SOAK_CUTS"] ?? 50);
const BEDS = 100;

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

describe.skipIf(mosquittoIsMissing || compilerIsMissing)("power cuts, for long", () => {
  test(`after each of ${CUTS} all that was said committed is there, nothing counts as damaged, and it alarms again`, {
    timeout: (CUTS + 10) * 120_000,
  }, async () => {
    await attackWithCuts({ stage, ward, broker, cuts: CUTS, seed: SEED, journalMegabytes: 16 });
  });
});
