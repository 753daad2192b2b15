import { describe, expect, test } from "vitest";
import { createSimulatedClock } from "../simulator/world/simulated-clock.ts";
import { deviceId, patientId, userId } from "../src/core/ids.ts";
import { createLog, type LogEvent } from "../src/log.ts";

function logInto(level: "debug" | "info" | "warn" | "silent") {
  const lines: string[] = [];
  const stream = { write: (line: string) => void lines.push(line) };
  return { log: createLog({ level, stream, clock: createSimulatedClock() }), lines };
}

describe("the log", () => {
  test("writes one JSON line for each event, with its time, code, device and facts", () => {
    const { log, lines } = logInto("info");
    const word: string = "/dev/ttyUSB0";
    log.report({ code: "link-busy", level: "warn", device: deviceId("monitor-3"), facts: { path: word, attemptsCount: 4 } });
    expect(lines).toHaveLength(1);
    expect(lines[0]?.endsWith("\n")).toBe(true);
    expect(JSON.parse(lines[0] ?? "")).toEqual({
      level: "warn",
      time: "2026-01-01T00:00:00.000Z",
      code: "link-busy",
      device: "monitor-3",
      facts: { path: "/dev/ttyUSB0", attemptsCount: 4 },
    });
  });

  test("writes nothing of its own accord", () => {
    expect(logInto("debug").lines).toEqual([]);
  });

  test("keeps what is below its level to itself, and writes what is on it", () => {
    const { log, lines } = logInto("warn");
    log.report({ code: "gateway-started" });
    expect(lines).toEqual([]);
    log.report({ code: "link-down", level: "warn" });
    expect(lines).toHaveLength(1);
  });

  test("cannot be given a patient, a person or a value by type", () => {
    // @ts-expect-error: a patient is not a device.
    const asDevice: LogEvent = { code: "x", device: patientId("1234") };
    // @ts-expect-error: a patient is not a plain word.
    const asFact: LogEvent = { code: "x", facts: { who: patientId("1234") } };
    // @ts-expect-error: a person is not a plain word either.
    const asUser: LogEvent = { code: "x", facts: { who: userId("anna") } };
    // @ts-expect-error: there is no field for a patient.
    const asField: LogEvent = { code: "x", patientId: "1234" };
    // @ts-expect-error: an observation is an object, and facts hold none.
    const asObject: LogEvent = { code: "x", facts: { content: { state: "present", value: 38.5 } } };
    // Device identifiers go into their own field, so that the log can be searched by device.
    // @ts-expect-error: a device in the facts is refused as well.
    const misplaced: LogEvent = { code: "x", facts: { device: deviceId("monitor-3") } };
    expect([asDevice, asFact, asUser, asField, asObject, misplaced]).toHaveLength(6);
  });
});
