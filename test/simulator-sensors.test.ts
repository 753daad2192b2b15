import { describe, expect, test } from "vitest";
import { findDriver } from "../drivers/index.ts";
import { agedBody, lackingBody } from "../simulator/devices/sensors.ts";
import { castOf } from "../simulator/scenario/cast.ts";
import { parseScenario } from "../simulator/scenario/load.ts";
import { absent, present } from "../src/core/observation.ts";
import type { PatientBody } from "../src/core/ports.ts";
import { RELEASED_AT_MS } from "../src/core/time.ts";

const DAY_MS = 86_400_000;
/** Somebody whose glucose is 5.0 and whose saturation is 99 for ever, and of whom nothing else is known. */
const BODY: PatientBody = {
  quantity: (name) => {
    if (name === "bloodGlucose") return present(name, 5, "mmol/L", { held: true });
    return name === "oxygenSaturation" ? present(name, 99, "%") : absent(name, "sensor-off");
  },
  wave: () => 0.5,
};
const ageing = (more: object) => ({ quantity: "bloodGlucose", driftPerDay: 0, gainPerDay: 0, spreadPerDay: 0, ...more }) as const;

/** What a sensor shows each half day. */
function shown(body: PatientBody, halfDays: number, name: "bloodGlucose" | "oxygenSaturation" = "bloodGlucose") {
  return Array.from({ length: halfDays }, (_, index) => {
    const reading = body.quantity(name, (index * DAY_MS) / 2);
    return reading.kind === "present" ? Math.round(reading.value * 1e6) / 1e6 : null;
  });
}

describe("sensors that age", () => {
  test("drift and lose their sensitivity from day to day, and begin anew when they are replaced", () => {
    const renewedAtSeconds = [86_400 * 2];
    const drifting = agedBody(BODY, { ageings: [ageing({ driftPerDay: 0.2 })], renewedAtSeconds, seed: 1 });
    expect(shown(drifting, 6)).toEqual([5, 5.1, 5.2, 5.3, 5, 5.1]);
    const losing = agedBody(BODY, { ageings: [ageing({ gainPerDay: -0.1 })], renewedAtSeconds: [], seed: 1 });
    expect(shown(losing, 5)).toEqual([5, 4.75, 4.5, 4.25, 4]);
  });

  test("wander farther from the truth each day, the same with the same seed", () => {
    const spread = (seed: number) => agedBody(BODY, { ageings: [ageing({ spreadPerDay: 0.005 })], renewedAtSeconds: [], seed });
    const deviation = (fromDay: number) => {
      const apart = Array.from({ length: 2000 }, (_, index) => {
        const reading = spread(4).quantity("bloodGlucose", fromDay * DAY_MS + index * 3_600_000);
        const days = fromDay + index / 24;
        return reading.kind === "present" ? (reading.value - 5) / (0.005 * days) : Number.NaN;
      });
      return Math.sqrt(apart.reduce((sum, value) => sum + value * value, 0) / apart.length);
    };
    expect(deviation(10)).toBeGreaterThan(0.85);
    expect(deviation(10)).toBeLessThan(1.15);
    expect(shown(spread(4), 9)).toEqual(shown(spread(4), 9));
    expect(shown(spread(4), 9)).not.toEqual(shown(spread(5), 9));
  });

  test("show nothing that cannot be, see nothing that is not there, and leave all else as it is", () => {
    const ageings = [
      ageing({ driftPerDay: -3 }),
      { ...ageing({ driftPerDay: 5 }), quantity: "oxygenSaturation" as const },
      { ...ageing({ driftPerDay: 5 }), quantity: "heartRate" as const },
    ];
    const body = agedBody(BODY, { ageings, renewedAtSeconds: [], seed: 1 });
    expect(shown(body, 9).at(-1)).toBe(0.3);
    expect(shown(body, 9, "oxygenSaturation").at(-1)).toBe(100);
    expect(body.quantity("heartRate", DAY_MS)).toEqual(absent("heartRate", "sensor-off"));
    expect(body.quantity("bloodGlucose", DAY_MS)).toMatchObject({ held: true });
    expect(body.wave("plethysmogram", 5)).toBe(0.5);
  });
});

test("what a device lacks is not available, whatever the body has", () => {
  const body = lackingBody(BODY, ["bloodGlucose"]);
  expect(body.quantity("bloodGlucose", 0)).toEqual(absent("bloodGlucose", "not-available"));
  expect(body.quantity("oxygenSaturation", 0)).toEqual(BODY.quantity("oxygenSaturation", 0));
});

describe("devices that differ from others of their kind", () => {
  const watch = (more: string, life = "[]") => `
title: { en: A, zh: 甲 }
about: { en: A, zh: 甲 }
lasts: 10 min
startsAt: "10:00"
patients: [{ id: an }]
devices:
  - id: watch
    driver: mqtt-json
    on: an
    every: 60 s
    options: { mapping: { heartRate: $.hr, bloodGlucose: $.g }, time: { path: $.t, format: unix-milliseconds } }
    ${more}
    life: ${life}
expect: [{ never: "*" }]
`;
  /** The messages of its first device. */
  async function said(text: string, wallAtStartMs?: number) {
    const parsed = parseScenario(text);
    if (!parsed.ok) throw new Error(JSON.stringify(parsed.error));
    const now = wallAtStartMs === undefined ? {} : { wallAtStartMs };
    const cast = await castOf(parsed.value, { seed: 3, folder: "", findDriver, ...now });
    const twin = cast.ok ? cast.value[0]?.twin : undefined;
    const messages: { hr: number; g: number | null; t: number }[] = [];
    for (let atMs = 0; atMs < 600_000; atMs += 1000)
      for (const { bytes } of twin?.due(atMs).bytesToSend ?? []) messages.push(JSON.parse(new TextDecoder().decode(bytes)));
    return messages;
  }
  const TEN_O_CLOCK = RELEASED_AT_MS + 10 * 3_600_000;

  test("a clock that is right, ahead, or behind by more than the scenario's first day", async () => {
    const first = async (more: string, wallMs?: number) => (await said(watch(more), wallMs))[0]?.t;
    expect(await first("")).toBe(TEN_O_CLOCK);
    expect(await first("clockAhead: 2 h")).toBe(TEN_O_CLOCK + 7_200_000);
    expect(await first("clockBehind: 3 d")).toBe(TEN_O_CLOCK - 3 * DAY_MS);
    expect(await first("", Date.UTC(2026, 10, 23, 6))).toBe(Date.UTC(2026, 10, 23, 6));
  });

  test("a clock that nobody set begins at its own day each time it is switched on", async () => {
    const messages = await said(watch("clockUnset: 2000-01-01", '[{ at: 3 min, power: "off" }, { at: 5 min, power: "on" }]'));
    const day = Date.UTC(2000, 0, 1);
    const times = messages.map(({ t }) => (t - day) / 1000);
    expect(times.slice(0, 3)).toEqual([0, 60, 120]);
    expect(Math.abs(times[3] ?? 99)).toBeLessThanOrEqual(1);
    expect(times.every((seconds) => seconds < 600)).toBe(true);
  });

  test("one that lacks something says no value for it", async () => {
    const messages = await said(watch("lacks: [bloodGlucose]"));
    expect(messages.every(({ hr, g }) => hr > 0 && (g ?? null) === null)).toBe(true);
  });

  test("a variant that its driver does not know is a problem that names those it knows, or that there are none", () => {
    const parsed = parseScenario(watch("variant: nix"));
    expect(parsed).toMatchObject({ ok: false, error: [{ path: "devices.0.variant", remedy: { en: /Leave it out/ } }] });
    const ivy = parseScenario(
      watch("variant: nix")
        .replace("mqtt-json", "serial-ivy-450c")
        .replace(/ {4}options:.*\n/, ""),
    );
    expect(ivy).toMatchObject({ ok: false, error: [{ remedy: { en: "Write one of fahrenheit, no-capnography." } }] });
    const right = parseScenario(
      watch("variant: fahrenheit")
        .replace("mqtt-json", "serial-ivy-450c")
        .replace(/ {4}options:.*\n/, ""),
    );
    expect(right.ok).toBe(true);
  });
});
