import { LIMITS } from "../core/limits.ts";
import { lineHead, seriesOf } from "./influx-lines.ts";
import type { InfluxPoint } from "./influx-points.ts";

/** The patient of every series beyond the bound. */
const OVER_LIMIT = "over-limit";

/**
 * Knows the series this life of the gateway has written. All tags but the patient have few values by themselves: the configuration's
 * beds and devices, and words of the code. So at `influxSeriesMax` a new series is written without its patient, and what is known goes on.
 */
export class SeriesBound {
  /** The beginning of each series' lines. */
  readonly #heads = new Map<string, string>();
  readonly #onReached: () => void;
  #isTold = false;

  /** @param onReached  Called once, when a series had to do without its patient. */
  constructor(onReached: () => void) {
    this.#onReached = onReached;
  }

  /** The beginning of a point's line, in a series that may be written. */
  headOf(point: InfluxPoint): string {
    const series = seriesOf(point);
    const known = this.#heads.get(series);
    if (known !== undefined) return known;
    if (this.#heads.size >= LIMITS.influxSeriesMax.value && "patient" in point.tags) {
      if (!this.#isTold) this.#onReached();
      this.#isTold = true;
      return lineHead({ ...point, tags: { ...point.tags, patient: OVER_LIMIT } });
    }
    const head = lineHead(point);
    this.#heads.set(series, head);
    return head;
  }
}
