import type { LimitLevels, WardLimitView } from "../core/limit-levels.ts";
import { levelsOfSide } from "../core/limit-levels.ts";
import { QUANTITIES, QUANTITY_NAMES, type QuantityName } from "../core/quantities.ts";
import { ADULT_LIMITS } from "../watch/default-limits.ts";
import { type WatchPlan, wardSides } from "./watch-plan.ts";

/** The limits of this ward, of every quantity that is an amount and not a state, in the order of the table of quantities. */
export function wardLimits(plan: WatchPlan): readonly WardLimitView[] {
  return QUANTITY_NAMES.filter((quantity) => QUANTITIES[quantity].states === undefined).map((quantity) => {
    const { low = [], high = [] } = ADULT_LIMITS[quantity] ?? {};
    return { quantity, defaults: { low, high }, ward: levelsOnWard(plan, quantity, { low, high }) };
  });
}

function levelsOnWard(plan: WatchPlan, quantity: QuantityName, defaults: LimitLevels): LimitLevels {
  const set = wardSides(plan, quantity);
  return {
    low: set.low === undefined ? defaults.low : levelsOfSide("low", set.low, defaults.low),
    high: set.high === undefined ? defaults.high : levelsOfSide("high", set.high, defaults.high),
  };
}
