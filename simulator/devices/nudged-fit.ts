import { assert } from "../../src/core/result.ts";
import type { Fit, FitAt, Site } from "./worn.ts";

/** How sensors sit, while somebody may take one off or put it on. */
export interface NudgedFit {
  readonly fitAt: FitAt;
  /**
   * From a moment on, which no answer has been given for yet. In rising order of time.
   *
   * @param change.fit  Null: as it would have sat anyway.
   */
  readonly nudge: (change: { readonly atSeconds: number; readonly site: Site; readonly fit: Fit | null }) => void;
}

/** Lays nudges over how sensors sit. */
export function createNudgedFit(base: FitAt): NudgedFit {
  const changes: Parameters<NudgedFit["nudge"]>[0][] = [];
  return {
    fitAt: (site, seconds) =>
      changes.findLast((change) => change.site === site && change.atSeconds <= seconds)?.fit ?? base(site, seconds),
    nudge: (change) => {
      const last = changes.at(-1);
      assert(last === undefined || change.atSeconds >= last.atSeconds, "nudges are in rising order of time");
      changes.push(change);
    },
  };
}
