import { describe, expect, test } from "vitest";
import { DRIVERS, findDriver } from "../drivers/index.ts";
import { alarmsSensorOff, driverPromises, tellsSensorOff } from "./support/driver-promises.ts";
import { type Defect, numbersOnlyDriver } from "./support/numbers-only-driver.ts";

// The shared promises of drivers/README.md, applied to every driver of the list without being told.

test("the list of drivers has no id twice, and each is found by its id", () => {
  const ids = DRIVERS.map((driver) => driver.id);
  expect(new Set(ids).size).toBe(ids.length);
  for (const driver of DRIVERS) expect(findDriver(driver.id)).toBe(driver);
  expect(findDriver("serial-nothing")).toBeNull();
});

describe.each(DRIVERS.map((driver) => ({ id: driver.id, driver })))("$id", ({ driver }) => {
  test.each(driverPromises(driver))("$name", ({ check }) => check());
});

describe("a right device that has numbers only, one sign for no value, no alarms and no encoding", () => {
  test.each(driverPromises(numbersOnlyDriver(null)))("$name", ({ check }) => check());
});

/** Names of the promises that do not hold. */
function broken(defect: Defect): readonly string[] {
  return driverPromises(numbersOnlyDriver(defect)).flatMap(({ name, check }) => {
    try {
      check();
      return [];
    } catch {
      return [name];
    }
  });
}

test.each<[Defect, RegExp]>([
  ["absence-is-zero", /absent/],
  ["fields-swapped", /^vector: two numbers/],
  ["checksum-unchecked", /^whatever bit is flipped/],
  ["sessions-share-state", /^two sessions side by side/],
  ["throws-on-short-input", /split at every place/],
])("a driver with the defect %s is caught by the promise that names it", (defect, promise) => {
  expect(broken(defect).filter((name) => promise.test(name))).not.toHaveLength(0);
});

test.each([
  ["serial-ivy-450c", ["heartRate", "oxygenSaturation"]],
  ["serial-nonin-df2", ["pulseRate", "oxygenSaturation"]],
])("%s is held to waves, to the reason sensor-off, to its alarm and to its encoding", (id, quantities) => {
  const driver = findDriver(id);
  if (driver === null) throw new Error(`${id} is not in the list`);
  expect(driver.waveforms).not.toHaveLength(0);
  expect(driver.encode).not.toBeNull();
  expect(alarmsSensorOff(driver)).toBe(true);
  expect(driver.quantities.filter((name) => tellsSensorOff(driver, name))).toEqual(expect.arrayContaining(quantities));
});
