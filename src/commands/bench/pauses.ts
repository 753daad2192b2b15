import { createHistogram, monitorEventLoopDelay, PerformanceObserver } from "node:perf_hooks";
import type { Clock } from "../../core/time.ts";

/** Set to 1 this makes a gateway measure the pauses of its main thread; it costs a timer every millisecond, so it is off on a ward. */
export const PAUSES_VARIABLE = "VIGIL_MEASURE_PAUSES";

/** How long a thread did not come to its next millisecond, since the meter was last asked. */
export interface Pauses {
  /** How often it was looked; about a thousand times a second. */
  readonly sampleCount: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly p999Ms: number;
  readonly maxMs: number;
  /** The longest single pause that was the sweeping of memory, so that it is not taken for anything else. */
  readonly sweepMsMax: number;
  /** What of the pauses the thread itself worked, in processor time: without the times in which the machine ran others. */
  readonly workP999Ms: number;
  readonly workMsMax: number;
}

/** Measures the pauses of the thread that made it. */
export interface PauseMeter {
  /** What was since the last call, or since the meter was made. */
  readonly take: () => Pauses;
  readonly stop: () => void;
}

/** Between two looks; the figures are what came on top. */
const RESOLUTION_MS = 1;
const NANOSECONDS_PER_MS = 1e6;

const MICROSECONDS_PER_MS = 1000;

/** Starts measuring in the calling thread. */
export function startPauseMeter(clock: Clock): PauseMeter {
  const histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  const work = createHistogram();
  let workedMicroseconds = 0;
  const timer = clock.every(RESOLUTION_MS, () => {
    const { user, system } = process.threadCpuUsage();
    if (workedMicroseconds > 0) work.record(Math.max(1, Math.round(user + system - workedMicroseconds)));
    workedMicroseconds = user + system;
  });
  let sweepMsMax = 0;
  const observer = new PerformanceObserver((list) => {
    for (const { duration } of list.getEntries()) sweepMsMax = Math.max(sweepMsMax, duration);
  });
  observer.observe({ entryTypes: ["gc"] });
  histogram.enable();
  const over = (nanoseconds: number) => tenths(Math.max(0, nanoseconds / NANOSECONDS_PER_MS - RESOLUTION_MS));
  return {
    take: () => {
      const pauses = {
        sampleCount: histogram.count,
        p50Ms: over(histogram.percentile(50)),
        p99Ms: over(histogram.percentile(99)),
        p999Ms: over(histogram.percentile(99.9)),
        maxMs: over(histogram.max),
        sweepMsMax: tenths(sweepMsMax),
        workP999Ms: tenths(work.percentile(99.9) / MICROSECONDS_PER_MS),
        workMsMax: tenths(work.max / MICROSECONDS_PER_MS),
      };
      histogram.reset();
      work.reset();
      sweepMsMax = 0;
      return pauses;
    },
    stop: () => {
      timer.stop();
      histogram.disable();
      observer.disconnect();
    },
  };
}

function tenths(value: number): number {
  return Math.round(value * 10) / 10;
}
