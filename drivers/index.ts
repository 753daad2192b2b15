import type { Driver, OptionProblem } from "../src/core/ports.ts";
import { mqttJson } from "./mqtt/json.ts";
import { mqttZigbee2mqtt } from "./mqtt/zigbee2mqtt.ts";
import { ivy450c } from "./serial/ivy-450c.ts";
import { noninDf2 } from "./serial/nonin-df2.ts";

/** Every driver the gateway knows, one line each. Adding a device is its file and a line here. */
export const DRIVERS: readonly Driver[] = [
  ivy450c, //
  noninDf2,
  mqttJson,
  mqttZigbee2mqtt,
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

/** Options as drivers take them: text as it is, numbers and truths written out, lists and objects as JSON; what is none of these is left out. */
export function optionTexts(given: Readonly<Record<string, unknown>>): Readonly<Record<string, string>> {
  const texts: [string, string][] = [];
  for (const [name, value] of Object.entries(given)) {
    if (typeof value === "string") texts.push([name, value]);
    else if (typeof value === "number" || typeof value === "boolean") texts.push([name, String(value)]);
    else if (typeof value === "object" && value !== null) texts.push([name, JSON.stringify(value)]);
  }
  return Object.fromEntries(texts);
}

/** What is wrong with the values of the options that the driver knows, all at once. */
export function optionProblems(driver: Driver, options: Readonly<Record<string, string>>): readonly OptionProblem[] {
  const known = Object.entries(options).filter(([name]) => driver.optionNames.includes(name));
  return driver.checkOptions?.(Object.fromEntries(known)) ?? [];
}
