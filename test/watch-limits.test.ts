import { describe, expect, test } from "vitest";
import { deviceId } from "../src/core/ids.ts";
import { QUANTITIES, type QuantityName } from "../src/core/quantities.ts";
import { ADULT_LIMITS } from "../src/watch/default-limits.ts";
import { ANNA, createWard, DEVICE } from "./support/watched-ward.ts";

const LOW = "limit.oxygenSaturation.low/anna";

async function wardWithDevice() {
  const ward = createWard();
  ward.note(ward.watch.setDevice(DEVICE));
  await ward.pass(20, () => ward.say("oxygenSaturation", 97));
  return ward;
}

describe("both sides of every default limit", () => {
  for (const [name, limits] of Object.entries(ADULT_LIMITS)) {
    const quantity = name as QuantityName;
    const step = QUANTITIES[quantity].resolution;
    for (const side of ["low", "high"] as const) {
      for (const { value, priority } of limits[side]) {
        test(`${quantity} ${side} ${value} ${priority}`, async () => {
          const outside = side === "low" ? value - step : value + step;
          const run = async (said: number) => {
            const ward = createWard();
            ward.note(ward.watch.setDevice({ ...DEVICE, expected: [] }));
            await ward.pass(limits.onsetSeconds + 2, () => ward.say(quantity, said));
            const found = ward.log.findLast(
              ({ change }) => change.kind !== "ended" && change.condition.rule === `limit.${quantity}.${side}`,
            );
            return found?.change.kind === "ended" ? undefined : found?.change.condition;
          };
          expect(await run(outside)).toMatchObject({
            priority,
            evidence: { kind: "limit", quantity, side, limit: value, value: outside },
          });
          expect((await run(value))?.priority).not.toBe(priority);
        });
      }
    }
  }
});

test("a low saturation is raised after its delay, not before", async () => {
  const ward = await wardWithDevice();
  await ward.pass(10, () => ward.say("oxygenSaturation", 88));
  expect(ward.holding()).not.toContain(LOW);
  await ward.pass(1, () => ward.say("oxygenSaturation", 88));
  expect(ward.holding()).toContain(LOW);
});

test("three stray low values in a row raise nothing", async () => {
  const ward = await wardWithDevice();
  await ward.pass(60, (second) => ward.say("oxygenSaturation", second % 20 < 3 ? 70 : 96));
  expect(ward.raised("limit.")).toEqual([]);
});

test("one low value in three is an artefact, not a desaturation", async () => {
  const ward = await wardWithDevice();
  await ward.pass(60, (second) => ward.say("oxygenSaturation", second % 3 === 0 ? 70 : 96));
  expect(ward.raised("limit.")).toEqual([]);
});

test("a stray good value does not begin the delay anew", async () => {
  const ward = await wardWithDevice();
  await ward.pass(12, (second) => ward.say("oxygenSaturation", second % 5 === 0 ? 96 : 80));
  expect(ward.raised("limit.")).toEqual(["limit.oxygenSaturation.low"]);
});

test("a deeper fall changes the priority of the same condition, and better values change it back before it ends", async () => {
  const ward = await wardWithDevice();
  await ward.pass(12, () => ward.say("oxygenSaturation", 88));
  await ward.pass(12, () => ward.say("oxygenSaturation", 82));
  await ward.pass(12, () => ward.say("oxygenSaturation", 88));
  await ward.pass(9, () => ward.say("oxygenSaturation", 90));
  expect(ward.holding()).toContain(LOW);
  await ward.pass(12, () => ward.say("oxygenSaturation", 91));
  const story = ward.log.flatMap(({ change }) =>
    change.kind === "ended" ? ["ended"] : [`${change.kind} ${change.condition.priority}`],
  );
  expect(story).toEqual(["raised medium", "changed high", "changed medium", "ended"]);
});

test("a desaturating patient whose probe falls off does not become silent: both alerts stand until values are back inside", async () => {
  const ward = await wardWithDevice();
  await ward.pass(15, () => ward.say("oxygenSaturation", 82));
  await ward.pass(1000, () => ward.say("oxygenSaturation", "sensor-off"));
  expect(ward.holding()).toEqual(expect.arrayContaining([LOW, "silence.oxygenSaturation/anna"]));
  await ward.pass(15, () => ward.say("oxygenSaturation", 95));
  expect(ward.holding().filter((key) => key.includes("oxygenSaturation"))).toEqual([]);
});

test("a patient who desaturates for most of the delay and then loses the probe is still told", async () => {
  const ward = await wardWithDevice();
  await ward.pass(7, () => ward.say("oxygenSaturation", 82));
  await ward.pass(5, () => ward.say("oxygenSaturation", "sensor-off"));
  expect(ward.holding()).toContain(LOW);
});

test("one low value as the probe falls off is not a desaturation", async () => {
  const ward = await wardWithDevice();
  ward.say("oxygenSaturation", 70);
  await ward.pass(20, () => ward.say("oxygenSaturation", "sensor-off"));
  expect(ward.raised("limit.")).toEqual([]);
});

test("a delay runs out between two sparse values", async () => {
  const ward = await wardWithDevice();
  ward.say("oxygenSaturation", 80);
  await ward.pass(11);
  expect(ward.holding()).toContain(LOW);
});

test("the worst of two devices counts, and releasing it leaves the other's", async () => {
  const ward = await wardWithDevice();
  const second = deviceId("clip-2");
  ward.note(ward.watch.setDevice({ ...DEVICE, deviceId: second }));
  await ward.pass(15, () => {
    ward.say("oxygenSaturation", 97);
    ward.say("oxygenSaturation", 82, { deviceId: second });
  });
  expect(ward.holding()).toContain(LOW);
  ward.note(ward.watch.setDevice({ ...DEVICE, deviceId: second, patientId: null }));
  expect(ward.holding()).not.toContain(LOW);
});

test("a limit set at the bedside replaces the default at once, and null switches a side off", async () => {
  const ward = await wardWithDevice();
  await ward.pass(12, () => ward.say("oxygenSaturation", 88));
  expect(ward.holding()).toContain(LOW);
  ward.note(
    ward.watch.setLimits({ patientId: ANNA, quantity: "oxygenSaturation", low: { value: 86, priority: "high" }, high: null }),
  );
  expect(ward.holding()).not.toContain(LOW);
  await ward.pass(12, () => ward.say("oxygenSaturation", 85));
  expect(ward.holding()).toContain(LOW);
  ward.note(ward.watch.setLimits({ patientId: ANNA, quantity: "oxygenSaturation", low: null, high: null }));
  expect(ward.holding()).not.toContain(LOW);
  await ward.pass(30, () => ward.say("oxygenSaturation", 60));
  expect(ward.holding()).not.toContain(LOW);
});

test("a questionable value raises nothing, and its lasting is told", async () => {
  const ward = await wardWithDevice();
  await ward.pass(9, () => ward.say("oxygenSaturation", 70, { quality: { validity: "questionable", flags: ["motion"] } }));
  expect(ward.holding()).toEqual([]);
  await ward.pass(2, () => ward.say("oxygenSaturation", 70, { quality: { validity: "questionable", flags: ["motion"] } }));
  expect(ward.holding()).toEqual(["silence.oxygenSaturation/anna"]);
});

test("a wall clock that jumps an hour either way neither raises, ends nor delays", async () => {
  for (const stepMs of [3_600_000, -3_600_000]) {
    const ward = await wardWithDevice();
    await ward.pass(5, () => ward.say("oxygenSaturation", 82));
    ward.clock.stepWall(stepMs);
    await ward.pass(5, () => ward.say("oxygenSaturation", 82));
    expect(ward.holding(), String(stepMs)).toEqual([]);
    await ward.pass(1, () => ward.say("oxygenSaturation", 82));
    expect(ward.holding(), String(stepMs)).toEqual([LOW]);
  }
});
