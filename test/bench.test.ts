import { describe, expect, test } from "vitest";
import { createSystemClock } from "../src/clock.ts";
import { spreadOf } from "../src/commands/bench/durable.ts";
import { benchFigures } from "../src/commands/bench/figures.ts";
import { createLatencies } from "../src/commands/bench/load.ts";
import { startPauseMeter } from "../src/commands/bench/pauses.ts";
import { type PlottedTrial, plotOf, ticksOf } from "../src/commands/bench/plot.ts";
import { benchCommand } from "../src/commands/bench.ts";
import { collectingIo } from "./support/collecting-io.ts";

describe("the bench's arithmetic", () => {
  test("a median of an even count is the mean of the middle two, and lowest and highest are kept", () => {
    expect(spreadOf([9, 1, 4])).toEqual({ median: 4, min: 1, max: 9 });
    expect(spreadOf([9, 1, 4, 6])).toEqual({ median: 5, min: 1, max: 9 });
  });

  test("percentiles are of the sorted latencies", () => {
    const latencies = createLatencies();
    for (let ms = 200; ms >= 1; ms--) latencies.add(ms);
    expect(latencies.summary()).toEqual({ count: 200, p50Ms: 101, p99Ms: 199, maxMs: 200 });
    latencies.clear();
    expect(latencies.summary().count).toBe(0);
  });

  test("an axis begins at zero with round steps, and is logarithmic where the values are far apart", () => {
    expect(ticksOf(40, 92)).toEqual({ at: [0, 20, 40, 60, 80, 100], lowest: 0, highest: 100, logarithmic: false });
    expect(ticksOf(44, 2600)).toEqual({
      at: [20, 50, 100, 200, 500, 1000, 2000, 5000],
      lowest: 20,
      highest: 5000,
      logarithmic: true,
    });
    expect(ticksOf(0.03, 0.5).at).toEqual([0, 0.1, 0.2, 0.3, 0.4, 0.5]);
  });

  test("a main thread that stands still shows in the pauses, once", async () => {
    const clock = createSystemClock();
    const meter = startPauseMeter(clock);
    await clock.sleep(50);
    meter.take();
    // The first look after a question only begins the next interval.
    await clock.sleep(20);
    const untilMs = clock.monotonic() + 300;
    while (clock.monotonic() < untilMs);
    await clock.sleep(20);
    const blocked = meter.take();
    expect(blocked.maxMs).toBeGreaterThan(250);
    expect(blocked.workMsMax).toBeGreaterThan(20);
    await clock.sleep(50);
    expect(meter.take().maxMs).toBeLessThan(250);
    meter.stop();
  });
});

describe("the plot", () => {
  const latency = (p99Ms: number) => ({ count: 100, p50Ms: 1, p99Ms, maxMs: 9 });
  const trial = (beds: number, disk: "as-is" | "slow" | "instant", coreShareMax: number | null): PlottedTrial => ({
    beds,
    page: latency(beds + 40),
    upstream: latency(beds + 300),
    coreShare: beds / 800,
    pssMegabytes: 130 + beds / 2,
    bytesWrittenEach: 1700 / beds,
    conditions: { disk, coreShareMax },
  });

  test("has a point for each trial of a series in each of its five panels, and none for the others", () => {
    const trials = [trial(10, "as-is", null), trial(200, "as-is", null), trial(50, "slow", 0.25), trial(200, "instant", null)];
    const svg = plotOf(trials);
    expect(svg.match(/<circle/g)).toHaveLength(3 * 5 + 3);
    expect(svg).not.toMatch(/NaN|Infinity|undefined/);
    for (const words of ["床位数", "beds", "slow disk", "慢速磁盘", "(ms)", "（毫秒）"]) expect(svg).toContain(words);
  });

  test("of nothing is still a picture", () => {
    expect(plotOf([])).not.toMatch(/NaN|Infinity|undefined/);
  });
});

describe("the command", () => {
  test("names its figures, each once, and takes about sixteen minutes", async () => {
    const io = collectingIo();
    expect(await benchCommand.run(["--list"], io)).toBe(0);
    const names = io.out.map((line) => line.split(" ")[0]);
    expect(names).toEqual(benchFigures().map((figure) => figure.name));
    expect(new Set(names).size).toBe(names.length);
    const settings = { measureMs: 15_000, coreCount: 2, backlogRecords: 150_000 };
    const seconds = benchFigures().reduce((sum, figure) => sum + figure.secondsAbout(settings), 0);
    expect(seconds).toBeLessThan(17 * 60);
  });

  test("--only takes a name, or the beginning of several", async () => {
    const io = collectingIo();
    expect(await benchCommand.run(["--list", "--only", "drain"], io)).toBe(0);
    expect(io.out.map((line) => line.split(" ")[0])).toEqual(["drain"]);
    expect(await benchCommand.run(["--list", "--only", "beds-50"], collectingIo())).toBe(0);
    const several = collectingIo();
    expect(await benchCommand.run(["--list", "--only", "beds-2", "--only", "path"], several)).toBe(0);
    expect(several.out).toHaveLength(7);
  });

  test.each([[["--only", "nothing"]], [["--seconds", "0"]], [["--json", "--markdown"]], [["--what"]]])(
    "%j is wrong usage",
    async (args) => {
      expect(await benchCommand.run(args, collectingIo())).toBe(2);
    },
  );
});
