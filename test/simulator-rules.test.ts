import { afterEach, describe, expect, test, vi } from "vitest";
import { missed, played, scenarioOf } from "./support/played-scenario.ts";

/** Functions of the gateway that are taken out for one test; all others are the gateway's own. */
const removed = vi.hoisted(() => new Set<string>());

/** A room's functions, of which those that are removed do nothing and answer what is given here. */
function without<Room extends object>(room: Room, answers: Readonly<Record<string, unknown>>): Room {
  const wrapped = Object.entries(room).map(([name, value]) => {
    if (typeof value !== "function" || !Object.hasOwn(answers, name)) return [name, value];
    return [
      name,
      (...given: unknown[]) => (removed.has(name) ? answers[name] : (value as (...all: unknown[]) => unknown)(...given)),
    ];
  });
  return Object.fromEntries(wrapped) as Room;
}

vi.mock("../src/watch/device-rules.ts", async (original) => without(await original<object>(), { checkDevice: undefined }));
vi.mock("../src/watch/quantity-rules.ts", async (original) => without(await original<object>(), { checkMissing: undefined }));
vi.mock("../src/watch/score-rules.ts", async (original) => without(await original<object>(), { checkScores: [] }));

afterEach(() => removed.clear());

describe("a rule that is taken out of the gateway makes the scenario fail that needs it", () => {
  test.each([
    ["checkDevice", "device-never-comes-back", "silence.device"],
    ["checkDevice", "nobody-assigned", "unassigned"],
    ["checkMissing", "probe-off", "silence.oxygenSaturation"],
    ["checkScores", "sepsis", "score.news2"],
  ])("%s: %s", async (rule, name, alert) => {
    const scenario = await scenarioOf(name);
    expect(missed((await played(scenario, 1)).findings)).toEqual([]);
    removed.add(rule);
    const wrong = missed((await played(scenario, 1)).findings);
    expect(
      wrong.some((text) => text.startsWith(alert)),
      wrong.join("\n"),
    ).toBe(true);
  });
});
