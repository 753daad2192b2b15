import type { StreamRules } from "./score-model.ts";

/** Settings of watching. All are to be confirmed by the clinical owner. */
export interface WatchOptions {
  /** Oldest value that may raise or end a condition or feed a score. Source: SAFETY.md, scores on streams. */
  readonly ageSecondsMax: { readonly continuous: number; readonly episodic: number };
  /** After this age a tile shows a number as old; a device's own silence limit for the quantity goes before it. */
  readonly staleSeconds: { readonly continuous: number; readonly episodic: number };
  /** How long an assigned device of a real patient may send what is not measured, or not valid. Source: SAFETY.md, rule 7. */
  readonly notMeasuredSeconds: number;
  /** How long a device may send while it belongs to nobody. Source: SAFETY.md, rule 5. */
  readonly unassignedSeconds: number;
  /** How long a device's own clock may stand still while it sends. Source: SAFETY.md, rule 6. */
  readonly clockFrozenSeconds: number;
  /** After a restart a device's own alarm that it does not repeat this long after it is heard again has ended. */
  readonly deviceAlarmRepeatSeconds: number;
  /** How long the question whether a device is still on its patient waits for the clock to be set, where only that can tell how long the gap was. */
  readonly askWaitSeconds: number;
  /** An unchanged answer is given again after this time. */
  readonly predictionSeconds: number;
  /** Replaces what the models' manifests say about streams. */
  readonly stream: Partial<StreamRules>;
}

/** The settings with which the gateway starts where nobody sets others. */
export const WATCH_DEFAULTS: WatchOptions = {
  ageSecondsMax: { continuous: 300, episodic: 12 * 3600 },
  staleSeconds: { continuous: 15, episodic: 3600 },
  notMeasuredSeconds: 60,
  unassignedSeconds: 10,
  clockFrozenSeconds: 180,
  deviceAlarmRepeatSeconds: 60,
  askWaitSeconds: 120,
  predictionSeconds: 60,
  stream: {},
};
