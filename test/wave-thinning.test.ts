import { expect, test } from "vitest";
import { bedId, deviceId, patientId } from "../src/core/ids.ts";
import { LIMITS } from "../src/core/limits.ts";
import type { WaveformChunk } from "../src/core/observation.ts";
import type { WaveformName } from "../src/core/quantities.ts";
import type { ThinWaveView } from "../src/core/stream.ts";
import { type MonotonicMs, monotonicMs, wallMs } from "../src/core/time.ts";
import { createBedThinning } from "../src/gateway/wave-thinning.ts";

const BED = bedId("bed-1");
const at = (ms: number): MonotonicMs => monotonicMs(ms);

function chunk(
  waveform: WaveformName,
  raw: readonly number[],
  more: Partial<Pick<WaveformChunk, "firstSampleIndex" | "sampleRateHz" | "gain" | "offset" | "patientId" | "deviceId">> = {},
): WaveformChunk {
  return {
    kind: "waveform",
    deviceId: deviceId("monitor-1"),
    patientId: patientId("p-1"),
    waveform,
    sampleRateHz: 250,
    firstSampleIndex: 0,
    raw: Float32Array.from(raw),
    gain: 1,
    offset: 0,
    unit: "mV",
    origin: "measured",
    times: { measuredAtMs: wallMs(0), deviceClockMs: null, receivedAtMs: wallMs(0), receivedMonotonicMs: monotonicMs(0) },
    ...more,
  };
}

/** Each sample at its place, in the wave's own unit. */
function valuesOf(views: readonly ThinWaveView[]): ReadonlyMap<number, number> {
  return new Map(
    views.flatMap((view) =>
      view.samples.map((sample, offset) => [view.firstSampleIndex + offset, view.low + view.step * sample] as const),
    ),
  );
}

test("of 250 samples a second at most 60 are left, and a spike of one sample keeps its height, up and down", () => {
  const thinning = createBedThinning(BED);
  const raw = Array.from({ length: 250 }, (_, index) => (index === 100 ? 3 : index === 101 ? -2 : Math.sin(index / 40)));
  const first = thinning.take([chunk("ecgLeadII", raw)], at(0));
  const second = thinning.take([chunk("ecgLeadII", raw, { firstSampleIndex: 250 })], at(1000));
  const values = valuesOf([...first, ...second]);
  expect(values.size / 2).toBeLessThanOrEqual(LIMITS.pageThinSamplesPerSecondMax.value);
  expect(values.size / 2).toBeGreaterThan(50);
  expect(first[0]?.sampleRateHz).toBeCloseTo(250 / 4.5, 6);
  for (const spikes of [first, second]) {
    const heights = [...valuesOf(spikes).values()];
    expect(Math.max(...heights)).toBeCloseTo(3, 2);
    expect(Math.min(...heights)).toBeCloseTo(-2, 2);
  }
  // The upward spike came first, in a bucket of nine: 99 to 107.
  expect(values.get(22)).toBeCloseTo(3, 2);
  expect(values.get(23)).toBeCloseTo(-2, 2);
});

test("however a wave is cut into chunks, the same samples are left", () => {
  const raw = Array.from({ length: 1000 }, (_, index) => Math.round(900 * Math.sin(index / 13) + 40 * Math.sin(index * 3)));
  const whole = createBedThinning(BED).take([chunk("plethysmogram", raw)], at(0));
  const thinning = createBedThinning(BED);
  const cut: ThinWaveView[] = [];
  for (let from = 0, length = 1; from < raw.length; from += length, length = (length * 7) % 61)
    cut.push(
      ...thinning.take([chunk("plethysmogram", raw.slice(from, from + length), { firstSampleIndex: from })], at(from * 4)),
    );
  const [a, b] = [valuesOf(whole), valuesOf(cut)];
  expect([...b.keys()]).toEqual([...a.keys()]);
  for (const [index, value] of a) expect(Math.abs((b.get(index) ?? Number.NaN) - value), `sample ${index}`).toBeLessThan(8);
});

test("a hole stays a hole, and a session that begins again draws nothing of the one before", () => {
  const thinning = createBedThinning(BED);
  const flat = (value: number) => Array.from({ length: 45 }, () => value);
  thinning.take([chunk("ecgLeadI", flat(1))], at(0));
  const later = thinning.take([chunk("ecgLeadI", flat(2), { firstSampleIndex: 450 })], at(2000));
  expect(later.map((view) => [view.firstSampleIndex, view.samples.length])).toEqual([
    [8, 2],
    [100, 8],
  ]);
  expect(later.map((view) => view.low)).toEqual([1, 2]);
  const anew = thinning.take([chunk("ecgLeadI", flat(5))], at(4000));
  expect(anew.map((view) => [view.firstSampleIndex, view.low])).toEqual([[0, 5]]);
});

test("a slow wave is left as it is, in its own unit", () => {
  const raw = [10, 20, 35, 20, 10];
  const views = createBedThinning(BED).take([chunk("respiration", raw, { sampleRateHz: 60, gain: 0.1, offset: 5 })], at(0));
  expect(views).toHaveLength(1);
  expect(views[0]).toMatchObject({ bedId: "bed-1", sampleRateHz: 60, firstSampleIndex: 0, waveform: "respiration" });
  expect([...valuesOf(views).values()].map((value) => Math.round(value * 100) / 100)).toEqual([6, 7, 8.5, 7, 6]);
  const faster = createBedThinning(BED).take([chunk("respiration", raw, { sampleRateHz: 61 })], at(0));
  expect(faster.reduce((sum, view) => sum + view.samples.length, 0)).toBeLessThan(5);
});

test("two waves of a bed are shown: one ECG, then pleth before breathing; what falls silent gives its place away after five seconds", () => {
  const thinning = createBedThinning(BED);
  const all = (names: readonly WaveformName[], from: number) =>
    names.map((name) => chunk(name, [1, 2, 3], { sampleRateHz: 50, firstSampleIndex: from }));
  const shown = (names: readonly WaveformName[], ms: number) =>
    thinning.take(all(names, ms / 20), at(ms)).map((view) => view.waveform);
  const everything: readonly WaveformName[] = ["arterialPressure", "respiration", "ecgLeadI", "ecgLeadII", "plethysmogram"];
  expect(shown(everything, 0)).toEqual(["ecgLeadI", "plethysmogram"]);
  expect(shown(["respiration", "ecgLeadII"], 5000)).toEqual([]);
  expect(shown(["respiration", "ecgLeadII", "arterialPressure"], 5020)).toEqual(["respiration", "ecgLeadII"]);
});

test("what a device without a patient sends is not shown as a patient's", () => {
  const thinning = createBedThinning(BED);
  expect(thinning.take([chunk("ecgLeadI", [1, 2, 3], { sampleRateHz: 50, patientId: null })], at(0))).toEqual([]);
  expect(thinning.take([chunk("ecgLeadI", [1, 2, 3], { sampleRateHz: 50 })], at(0))).toHaveLength(1);
});
