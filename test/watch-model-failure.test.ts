import { expect, test } from "vitest";
import { createSimulatedClock } from "../simulator/world/simulated-clock.ts";
import { bedId, deviceId, patientId, seq } from "../src/core/ids.ts";
import type { Observation } from "../src/core/observation.ts";
import { assert } from "../src/core/result.ts";
import { WATCH_DEFAULTS } from "../src/watch/options.ts";
import type { ScoreModel } from "../src/watch/score-model.ts";
import { loadScoreModel } from "../src/watch/score-table.ts";
import { createWatch } from "../src/watch/watch.ts";

/** NEWS2 with a table that throws when it is looked into. */
async function brokenModel(): Promise<ScoreModel> {
  const loaded = await loadScoreModel(new URL("../models/news2", import.meta.url).pathname);
  assert(loaded.ok, "NEWS2 loads");
  return {
    ...loaded.value,
    get parts(): ScoreModel["parts"] {
      throw new Error("table gone");
    },
  };
}

test("a score that throws is one technical alert, and limits go on for everybody", async () => {
  const broken = await brokenModel();
  const clock = createSimulatedClock();
  const watch = createWatch(WATCH_DEFAULTS, { clock, models: [broken] });
  const raised: string[] = [];
  const take = (changes: ReturnType<typeof watch.observe>) => {
    for (const change of changes) if (change.kind === "raised") raised.push(change.condition.rule);
  };
  for (const bed of [1, 2]) {
    const patient = patientId(`p-${bed}`);
    const device = deviceId(`d-${bed}`);
    take(
      watch.setPatient({
        patientId: patient,
        bedId: bedId(`bed-${bed}`),
        profile: { kind: "adult", spo2Scale: 1 },
        demonstration: false,
      }),
    );
    take(
      watch.setDevice({
        deviceId: device,
        bedId: null,
        patientId: patient,
        silenceSeconds: 30,
        expected: [],
        stuckSeconds: {},
        asksAfter: null,
      }),
    );
  }
  for (let second = 1; second <= 15; second++) {
    await clock.advance(1000);
    for (const bed of [1, 2]) {
      const observation: Observation = {
        kind: "observation",
        seq: seq(second * 2 + bed),
        deviceId: deviceId(`d-${bed}`),
        patientId: patientId(`p-${bed}`),
        quantity: "oxygenSaturation",
        content: { state: "present", value: 82 },
        times: {
          measuredAtMs: clock.wall(),
          deviceClockMs: null,
          receivedAtMs: clock.wall(),
          receivedMonotonicMs: clock.monotonic(),
        },
        quality: { validity: "valid", flags: [], origin: "measured" },
        driverId: "d",
        driverVersion: "1",
      };
      take(watch.observe(observation));
    }
    take(watch.tick().changes);
  }
  expect(raised.filter((rule) => rule === "fault.model-failed")).toHaveLength(1);
  expect(raised.filter((rule) => rule === "limit.oxygenSaturation.low")).toHaveLength(2);
});

test("a score that throws on what is read back after a restart does not keep the gateway from watching", async () => {
  const broken = await brokenModel();
  const watch = createWatch(WATCH_DEFAULTS, { clock: createSimulatedClock(), models: [broken] });
  watch.setPatient({
    patientId: patientId("p"),
    bedId: bedId("bed-1"),
    profile: { kind: "adult", spo2Scale: 1 },
    demonstration: false,
  });
  const changes = watch.restore({ observations: [], openAlerts: [] });
  expect(changes.map((change) => (change.kind === "ended" ? "" : change.condition.rule))).toEqual(["fault.model-failed"]);
});
