import fc from "fast-check";
import { expect, test } from "vitest";
import { createSimulatedClock } from "../simulator/world/simulated-clock.ts";
import { bedId, deviceId, patientId, seq } from "../src/core/ids.ts";
import type { Observation } from "../src/core/observation.ts";
import { WATCH_DEFAULTS } from "../src/watch/options.ts";
import { createWatch } from "../src/watch/watch.ts";
import { createWard, DEVICE, MONITOR, NEWS2, type Said } from "./support/watched-ward.ts";

const LOW = "limit.oxygenSaturation.low/anna";
const MISSING = "silence.oxygenSaturation/anna";
const SILENT = "silence.device/monitor-1";

/** One stretch of an episode: what is said each second, for some seconds. */
const stretch = fc.record({
  kind: fc.constantFrom("well", "low", "very-low", "absent", "questionable", "silent", "old"),
  seconds: fc.integer({ min: 1, max: 30 }),
});

test("no missed deadline in any episode: lasting low values, lasting absence and silence are told in time", async () => {
  const run = async (episode: readonly { readonly kind: string; readonly seconds: number }[]) => {
    const ward = createWard();
    ward.note(ward.watch.setDevice(DEVICE));
    const start = ward.clock.monotonic();
    let lowSeconds = 0;
    let lastUsable = 0;
    let lastHeard = 0;
    let limitOwed = false;
    for (const { kind, seconds } of episode) {
      await ward.pass(seconds, () => {
        const now = (ward.clock.monotonic() - start) / 1000;
        const say = (said: Said, more = {}) => ward.say("oxygenSaturation", said, more);
        if (kind === "well") say(97);
        if (kind === "low") say(87);
        if (kind === "very-low") say(70);
        if (kind === "absent") say("no-signal");
        if (kind === "questionable") say(60, { quality: { validity: "questionable", flags: ["motion"] } });
        if (kind === "old") say(97, { agoMs: 400_000 });
        if (kind !== "silent") lastHeard = now;
        const usable = ["well", "low", "very-low"].includes(kind);
        if (usable) lastUsable = now;
        lowSeconds = kind === "low" || kind === "very-low" ? lowSeconds + 1 : 0;
        // From the first low value, 10 s and at most 1 s more; 11 values in a row span 10 s.
        if (lowSeconds >= 12) limitOwed = true;
        if (kind === "well") limitOwed = false;
      });
      const now = (ward.clock.monotonic() - start) / 1000;
      const holding = ward.holding();
      if (limitOwed) expect(holding).toContain(LOW);
      if (now - lastHeard >= 16) expect(holding).toContain(SILENT);
      else if (now - lastUsable >= 16 && now - lastHeard < 10) {
        // The device may have come back within the last 10 s; then its quantity has its full time from there.
        const cameBack = ward.log.findLast(({ change }) => change.kind === "ended" && change.key === SILENT)?.atSeconds ?? 0;
        if (now - cameBack >= 11) expect(holding).toContain(MISSING);
      }
      if (lastUsable === now) expect(holding).not.toContain(MISSING);
      if (lastHeard === now) expect(holding).not.toContain(SILENT);
    }
  };
  await fc.assert(fc.asyncProperty(fc.array(stretch, { minLength: 1, maxLength: 12 }), run), { seed: 7, numRuns: 400 });
}, 60_000);

test("an observation costs little: 2,000 a second at 200 beds leave the processor free", () => {
  const clock = createSimulatedClock();
  const watch = createWatch(WATCH_DEFAULTS, { clock, models: [NEWS2] });
  const beds = Array.from({ length: 200 }, (_, index) => ({ patient: patientId(`p${index}`), device: deviceId(`d${index}`) }));
  for (const { patient, device } of beds) {
    watch.setPatient({
      patientId: patient,
      bedId: bedId(patient),
      profile: { kind: "adult", spo2Scale: 1 },
      demonstration: false,
    });
    watch.setDevice({ ...DEVICE, deviceId: device, patientId: patient });
  }
  const template = createWard().make("heartRate", 80, { deviceId: MONITOR });
  let count = 0;
  let observeMs = 0;
  let tickMs = 0;
  for (let second = 0; second < 90; second++) {
    void clock.advance(1000);
    const batch: Observation[] = [];
    for (const { patient, device } of beds) {
      for (const quantity of [
        "heartRate",
        "pulseRate",
        "respiratoryRate",
        "oxygenSaturation",
        "arterialSystolicPressure",
      ] as const) {
        for (const half of [0, 500]) {
          const times = {
            ...template.times,
            measuredAtMs: clock.wall(),
            receivedAtMs: clock.wall(),
            receivedMonotonicMs: clock.monotonic(),
          };
          const value = quantity === "oxygenSaturation" ? 97 : quantity === "respiratoryRate" ? 15 : 100 + ((second + half) % 7);
          batch.push({
            ...template,
            seq: seq(++count),
            patientId: patient,
            deviceId: device,
            quantity,
            content: { state: "present", value },
            times,
          });
        }
      }
    }
    const before = performance.now();
    for (const observation of batch) watch.observe(observation);
    const between = performance.now();
    watch.tick();
    observeMs += between - before;
    tickMs += performance.now() - between;
  }
  const observeMicroseconds = (observeMs * 1000) / count;
  expect(count).toBe(180_000);
  expect(
    observeMicroseconds,
    `${observeMicroseconds.toFixed(2)} µs an observation, ${(tickMs / 90).toFixed(2)} ms a tick at 200 beds`,
  ).toBeLessThan(50);
  expect(tickMs / 90, "ms a tick at 200 beds").toBeLessThan(200);
  if (process.env["VIGIL_SHOW"] !== undefined)
    process.stderr.write(`${observeMicroseconds.toFixed(2)} µs, ${(tickMs / 90).toFixed(2)} ms\n`);
});
