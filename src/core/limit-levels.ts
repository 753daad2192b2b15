import type { LimitSide } from "./act.ts";
import { PRIORITY_RANK } from "./alert.ts";
import type { QuantityName } from "./quantities.ts";

/** The two sides of a limit. */
export type LimitSideName = "low" | "high";

/** What is alarmed of one quantity, in its unit: levels of either side, the one a person set or the least urgent first; an empty side is switched off. */
export interface LimitLevels {
  readonly low: readonly LimitSide[];
  readonly high: readonly LimitSide[];
}

/** The limits of one quantity where nobody set others for the patient. */
export interface WardLimitView {
  readonly quantity: QuantityName;
  /** Those of an adult that the gateway brings with it; of them the more urgent ones stay behind a limit that is set. */
  readonly defaults: LimitLevels;
  /** Those that hold on this ward: the defaults, as far as its configuration says nothing else. */
  readonly ward: LimitLevels;
}

/** Whether a value is outside a limit; on the limit it is inside. */
export function isOutside(side: LimitSideName, limit: number, value: number): boolean {
  return side === "low" ? value < limit : value > limit;
}

/**
 * The levels of one side where a limit is set for it. More urgent default levels that lie further out stay: whoever warns at 88 % has not
 * said that 50 % is no emergency.
 *
 * @param set       Null switches the whole side off.
 * @param defaults  The adult's own levels of this side.
 */
export function levelsOfSide(side: LimitSideName, set: LimitSide | null, defaults: readonly LimitSide[]): readonly LimitSide[] {
  if (set === null) return [];
  const isMoreUrgent = ({ priority }: LimitSide) => PRIORITY_RANK[priority] > PRIORITY_RANK[set.priority];
  return [set, ...defaults.filter((level) => isMoreUrgent(level) && isOutside(side, set.value, level.value))];
}
