import { monitorEventLoopDelay, PerformanceObserver } from "node:perf_hooks";

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

/** Starts measuring in the calling thread. */
export function startPauseMeter(): PauseMeter {
  const histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  let sweepMsMax = 0;
  const observer = new PerformanceObserver((list) => {
    for (const { duration } of list.getEntries()) sweepMsMax = Math.max(sweepMsMax, duration);
  });
  observer.observe({ entryTypes: ["gc"] });
  histogram.enable();
  const over = (nanoseconds: number) => Math.round(Math.max(0, nanoseconds / NANOSECONDS_PER_MS - RESOLUTION_MS) * 10) / 10;
  return {
    take: () => {
      const pauses = {
        sampleCount: histogram.count,
        p50Ms: over(histogram.percentile(50)),
        p99Ms: over(histogram.percentile(99)),
        p999Ms: over(histogram.percentile(99.9)),
        maxMs: over(histogram.max),
        sweepMsMax: Math.round(sweepMsMax * 10) / 10,
      };
      histogram.reset();
      sweepMsMax = 0;
      return pauses;
    },
    stop: () => {
      histogram.disable();
      observer.disconnect();
    },
  };
}
