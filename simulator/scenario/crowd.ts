import { bedOf } from "./load.ts";
import type { Scenario } from "./schema.ts";

/** Fields of a scenario's entries that hold the name of a patient, device or bed. */
const NAME_FIELDS: ReadonlySet<string> = new Set([
  "id",
  "bed",
  "on",
  "assigned",
  "of",
  "assign",
  "release",
  "confirm",
  "transfer",
]);

/**
 * The same scenario for so many beds: everybody, with their devices, people and expectations, again and again under other names (`li-2`).
 * What is expected of nobody in particular is expected once, of all together; a count that may not be exceeded grows with the beds.
 */
export function crowdOf(scenario: Scenario, bedCount: number): Scenario {
  const copies = Math.max(1, Math.ceil(bedCount / Math.max(1, scenario.patients.length)));
  const copyOf = <Entry extends object>(entries: readonly Entry[]): Entry[] =>
    Array.from({ length: copies }, (_, copy) => entries.map((entry) => renamed(entry, copy))).flat();
  const patients = scenario.patients.map((patient, index) => ({ ...patient, bed: bedOf(scenario, index) }));
  const ofAll = scenario.expect.filter((entry) => !("of" in entry) || entry.of === "gateway");
  return {
    ...scenario,
    patients: copyOf(patients),
    devices: copyOf(scenario.devices),
    people: copyOf(scenario.people).sort((first, second) => first.at - second.at),
    expect: [
      ...copyOf(scenario.expect.filter((entry) => !ofAll.includes(entry))),
      ...ofAll.map((entry) => ("atMost" in entry ? { ...entry, atMost: entry.atMost * copies } : entry)),
    ],
  };
}

function renamed<Entry extends object>(entry: Entry, copy: number): Entry {
  if (copy === 0) return entry;
  const changed = Object.entries(entry).map(([key, value]) => [
    key,
    NAME_FIELDS.has(key) && typeof value === "string" ? `${value}-${copy + 1}` : value,
  ]);
  return Object.fromEntries(changed) as Entry;
}
