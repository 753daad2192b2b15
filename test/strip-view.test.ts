import { describe, expect, test } from "vitest";
import { stripView } from "../src/gateway/strip-view.ts";
import { chunkOf } from "./support/wave-records.ts";

describe("a strip as a page draws it", () => {
  const at = (index: number, more: Partial<Parameters<typeof chunkOf>[0]> = {}) =>
    chunkOf({ index, samples: 50, atMs: 1e12 + index * 200, ...more });

  test("chunks that follow each other are one stretch that begins with its first sample, scaled", () => {
    const [wave, ...others] = stripView([at(3), at(4), at(5)]);
    expect(others).toEqual([]);
    expect(wave).toMatchObject({ deviceId: "monitor-1", waveform: "ecgLeadII", unit: "mV", origin: "measured" });
    expect(wave?.stretches.map(({ fromMs, samples }) => [fromMs, samples.length])).toEqual([[1e12 + 600 - 200, 150]]);
    const first = Math.round(900 * Math.sin(150 / 9)) * 0.005 - 0.25;
    expect(wave?.stretches[0]?.samples[0]).toBeCloseTo(first, 3);
  });

  test("a hole stays a hole, and a session that began anew does not join the one before", () => {
    const wave = stripView([at(3), at(5), { ...at(6), firstSampleIndex: 0 }])[0];
    expect(wave?.stretches.map(({ samples }) => samples.length)).toEqual([50, 50, 50]);
  });

  test("waves of two devices, and of two kinds, are told apart", () => {
    const waves = stripView([at(1), at(1, { device: "monitor-2" }), at(1, { waveform: "plethysmogram" }), at(2)]);
    expect(waves.map(({ deviceId, waveform, stretches }) => [deviceId, waveform, stretches[0]?.samples.length])).toEqual([
      ["monitor-1", "ecgLeadII", 100],
      ["monitor-2", "ecgLeadII", 50],
      ["monitor-1", "plethysmogram", 50],
    ]);
  });
});
