import { describe, expect, test } from "vitest";
import { attackedWardOfEachTest } from "../support/attacked-ward.ts";
import { mosquittoIsMissing } from "../support/mosquitto.ts";
import { attackWithCuts, startPowered } from "../support/power-cuts.ts";
import { compilerIsMissing } from "../support/power-disk.ts";
import { pause } from "../support/until.ts";

const SEED = 20260707;
const CUTS = 5;
const BEDS = 60;

const attacked = attackedWardOfEachTest(BEDS);

describe.skipIf(mosquittoIsMissing || compilerIsMissing)("power cuts", () => {
  test(`after each of ${CUTS} all that was said committed is there, nothing counts as damaged, and it alarms again`, {
    timeout: 300_000,
  }, async () => {
    await attackWithCuts({ ...attacked(), cuts: CUTS, seed: SEED });
  });

  test("a disk that says it is done and keeps nothing is found out", { timeout: 120_000 }, async () => {
    const powered = await startPowered({ ...attacked(), seed: SEED });
    await pause(3000);
    powered.disk.lie(true);
    await pause(4000);
    expect(powered.disk.counts().syncsLied).toBeGreaterThan(10);
    await powered.cut();
    const { kept, found, lostActs, verified } = await powered.examine();
    const about = JSON.stringify({ found, lostActs, verified });
    // The receiver got four seconds of this ward, and the door called some forty acts durable.
    expect(found.lost.length, about).toBeGreaterThan(10);
    expect(lostActs.length, about).toBeGreaterThan(10);
    expect(kept.lastSeq, about).toBeLessThan(Math.max(...powered.recorder.delivered().map(({ seq }) => seq)));
    expect(verified, about).toMatchObject({ exitCode: 1 });
  });
});
