import * as z from "zod";
import { QUANTITIES, QUANTITY_NAMES, type QuantityName } from "../../src/core/quantities.ts";

/** Limits of one quantity: a value that cannot occur in a living person would never alarm, or always. */
function limitsOf(name: QuantityName) {
  const { min, max } = QUANTITIES[name].possible;
  const side = z
    .strictObject({ value: z.number().min(min).max(max), priority: z.enum(["high", "medium", "low"]) })
    .nullable()
    .optional();
  return z
    .strictObject({ low: side, high: side })
    .refine(
      ({ low, high }) => low == null || high == null || low.value < high.value,
      "low must lie below high; mend the values | 下限必须低于上限；请修正数值",
    )
    .optional()
    .describe(`In ${QUANTITIES[name].unit}. | 单位 ${QUANTITIES[name].unit}。`);
}

/** Limits of every patient. */
export const limits = z.strictObject(Object.fromEntries(QUANTITY_NAMES.map((name) => [name, limitsOf(name)])));
