import { describe, expect, test } from "vitest";
import { mqttJson } from "../drivers/mqtt/json.ts";
import { createPatient } from "../simulator/body/patient.ts";
import { type LifePlan, livingTwin, PLAIN_LIFE } from "../simulator/devices/living-twin.ts";
import type { Twin } from "../src/core/ports.ts";
import { RELEASED_AT_MS } from "../src/core/time.ts";

const BODY = createPatient({ course: { keyframes: [], repeatSeconds: null }, seed: 4 });
const OPTIONS = {
  mapping: '{"heartRate":"$.hr","batteryLevel":"$.battery"}',
  time: '{"path":"$.t","format":"unix-milliseconds"}',
};

interface Said {
  /** When it was said, in seconds of the world. */
  readonly at: number;
  readonly hr: number;
  readonly battery: number;
  /** What the device's clock said, in seconds since a twin's zero. */
  readonly clock: number;
}

/** What a watch says in so many seconds, asked when it wants to be and no sooner. */
function saidBy(plan: Partial<LifePlan>, forSeconds: number): readonly Said[] {
  const twin: Twin = livingTwin((body) => mqttJson.twin(body, OPTIONS), BODY, { ...PLAIN_LIFE, ...plan });
  const said: Said[] = [];
  for (let atMs = 0; atMs <= forSeconds * 1000; ) {
    const { bytesToSend, nextDueMs } = twin.due(atMs);
    for (const { bytes } of bytesToSend) {
      const { hr, battery, t } = JSON.parse(new TextDecoder().decode(bytes)) as { hr: number; battery: number; t: number };
      said.push({ at: atMs / 1000, hr, battery, clock: (t - RELEASED_AT_MS) / 1000 });
    }
    atMs = Math.max(atMs + 1, Math.ceil(nextDueMs));
  }
  return said;
}

describe("a device's life", () => {
  test("says something as often as it is set to, with its clock right and the body as it is then", () => {
    const said = saidBy({ everySeconds: 30 }, 300);
    expect(said.map(({ at }) => at)).toEqual([0, 30, 60, 90, 120, 150, 180, 210, 240, 270, 300]);
    for (const { at, clock, hr } of said) {
      expect(clock).toBe(at);
      const reading = BODY.quantity("heartRate", at * 1000);
      expect(reading.kind === "present" && Math.abs(reading.value - hr)).toBeLessThanOrEqual(0.5);
    }
  });

  test("its own pace where nothing is said", () => {
    expect(saidBy({}, 10).map(({ at }) => at)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  });

  test("a clock that is ahead and drifts shows it, and nothing of before the beginning is said", () => {
    const said = saidBy({ everySeconds: 60, clock: { startMs: 7_200_000, driftPpm: 500 } }, 3600);
    expect(said[0]).toMatchObject({ at: 0, clock: 7200 });
    const last = said.at(-1);
    expect(last?.at).toBe(3600);
    // 500 ppm of an hour are 1.8 s; the message is that of the last whole second.
    expect((last?.clock ?? 0) - 7200 - 3600).toBe(1);
    const reading = BODY.quantity("heartRate", 3_600_000);
    expect(reading.kind === "present" && Math.abs(reading.value - (last?.hr ?? 0))).toBeLessThan(4);
  });

  test("switched off it says nothing, and on again after warming up, with its clock as if it had been on", () => {
    const changes = [
      { atSeconds: 10, power: "off" },
      { atSeconds: 20, power: "on" },
    ] as const;
    const said = saidBy({ changes, warmUpSeconds: 5 }, 30);
    const times = said.map(({ at }) => at);
    expect(times.filter((at) => at >= 10 && at < 25)).toEqual([]);
    expect(times.filter((at) => at >= 25)).toEqual([25, 26, 27, 28, 29, 30]);
    expect(said.at(-1)?.clock).toBe(30);
  });

  test("a battery falls, and the device with it", () => {
    const said = saidBy({ batterySeconds: 100 }, 200);
    expect(said[0]?.battery).toBe(100);
    expect(said.find(({ at }) => at === 50)?.battery).toBe(50);
    expect(said.at(-1)?.at).toBe(99);
  });

  test("frozen it says on, and always the same", () => {
    const changes = [
      { atSeconds: 100, frozen: true },
      { atSeconds: 200, frozen: false },
    ] as const;
    const said = saidBy({ changes, everySeconds: 10 }, 300);
    const ratesIn = (from: number, to: number) => new Set(said.filter(({ at }) => at >= from && at < to).map(({ hr }) => hr));
    expect(ratesIn(100, 200).size).toBe(1);
    expect(ratesIn(0, 100).size).toBeGreaterThan(2);
    expect(ratesIn(200, 301).size).toBeGreaterThan(2);
  });
});
