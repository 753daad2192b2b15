import type { Driver } from "../src/core/ports.ts";
import { ivy450c } from "./serial/ivy-450c.ts";
import { noninDf2 } from "./serial/nonin-df2.ts";

/** Every driver the gateway knows, one line each. Adding a device is its file and a line here. */
export const DRIVERS: readonly Driver[] = [
  ivy450c, //
  noninDf2,
];

/** The driver with this id, or null. */
export function findDriver(id: string): Driver | null {
  return DRIVERS.find((driver) => driver.id === id) ?? null;
}
