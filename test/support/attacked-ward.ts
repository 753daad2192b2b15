import { afterEach, beforeEach } from "vitest";
import { type Mosquitto, prepareMosquitto } from "./mosquitto.ts";
import { openSettableWard, type SettableWard } from "./settable-ward.ts";
import { openStage, type Stage } from "./stage.ts";

/** What an attack needs around its gateway: programs, a ward, a broker upstream. */
export interface AttackedWard {
  readonly stage: Stage;
  readonly ward: SettableWard;
  readonly broker: Mosquitto;
}

/**
 * Opens one before each test of the file that calls this, and closes it afterwards. Hooks of the file itself that come after the call find
 * it open.
 *
 * @returns  The one of the test that is running.
 */
export function attackedWardOfEachTest(bedCount: number): () => AttackedWard {
  let attacked: AttackedWard | null = null;
  beforeEach(async () => {
    const stage = await openStage();
    const ward = await openSettableWard(bedCount);
    const broker = await prepareMosquitto(["allow_anonymous true"]);
    attacked = { stage, ward, broker };
    await broker.start();
  });
  afterEach(async () => {
    await attacked?.stage.close();
    await attacked?.ward.close();
    await attacked?.broker.remove();
    attacked = null;
  });
  return () => {
    if (attacked === null) throw new Error("no test is running");
    return attacked;
  };
}
