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

/** Those of the given option names that the driver does not know, in their order. */
export function unknownOptions(driver: Driver, names: readonly string[]): readonly string[] {
  return names.filter((name) => !driver.optionNames.includes(name));
}

/** What to do about an option that the driver does not know, as one sentence without its full stop. */
export function optionRemedy(driver: Driver): string {
  const names = driver.optionNames.join(", ");
  return names === "" ? `take it out, ${driver.id} has no options` : `take it out or use one of ${names}`;
}
