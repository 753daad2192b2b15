import { describe, expect, test } from "vitest";
import { loadConfig, parseConfig } from "../config/load.ts";
import type { AdmissionsOptions } from "../src/admissions/options.ts";
import { hospitalPlace, whereaboutsOf } from "../src/admissions/options.ts";
import { characterSetNamed } from "../src/wire/character-set.ts";

function parse(admissions: string) {
  return parseConfig(
    `{ gateway: { id: w, dataFolder: data }, beds: [{ id: bed-1, title: "1" }, { id: bed-2, title: "2" }], admissions: ${admissions} }`,
    "/etc/vigil",
  );
}

/** The places that are complained about. */
function problems(admissions: string): readonly string[] {
  const parsed = parse(admissions);
  return parsed.ok ? [] : parsed.error.map(({ path }) => path);
}

describe("the section admissions", () => {
  test("needs its beds only; everything else has a default that keeps names and strangers out", () => {
    const parsed = parse('{ beds: [{ location: "3E^301^1", bed: bed-1 }] }');
    if (!parsed.ok) throw new Error(JSON.stringify(parsed.error));
    const { admissions } = parsed.value;
    expect(admissions).toEqual({
      mllp: { host: "127.0.0.1", port: 2575, allowFrom: ["127.0.0.1", "::1"] },
      patientNumber: {},
      label: "initials",
      beds: [{ location: "3E^301^1", bed: "bed-1" }],
      characterSet: "utf-8",
      believeDeclaredCharacterSet: true,
      admitOnUpdate: false,
      silenceMinutesMax: null,
    });
    // What is configured is what admissions are started with.
    const options: AdmissionsOptions | null = admissions === undefined ? null : { ...admissions, gatewayId: "w" };
    expect(characterSetNamed(options?.characterSet ?? "")).toBe("utf-8");
  });

  test("files of certificates are found from the folder of the configuration", () => {
    const tls = "{ certFile: cert.pem, keyFile: /keys/key.pem, clientCaFile: ca.pem }";
    const parsed = parse(`{ mllp: { tls: ${tls} }, beds: [{ location: "3E^301^1", bed: bed-1 }] }`);
    expect(parsed.ok && parsed.value.admissions?.mllp.tls).toEqual({
      certFile: "/etc/vigil/cert.pem",
      keyFile: "/keys/key.pem",
      clientCaFile: "/etc/vigil/ca.pem",
    });
  });

  const bed = (location: string, id = "bed-1") => `{ location: "${location}", bed: ${id} }`;
  const bad: readonly (readonly [string, string, string])[] = [
    ["no bed at all", "{ beds: [] }", "admissions.beds"],
    ["a bed that is not there", `{ beds: [${bed("3E^1", "bed-9")}] }`, "admissions.beds.0.bed"],
    ["a place without a point of care", `{ beds: [${bed("^301^1")}] }`, "admissions.beds.0.location"],
    ["a place of five pieces", `{ beds: [${bed("3E^1^1^H^N")}] }`, "admissions.beds.0.location"],
    ["a place with a separator in it", `{ beds: [${bed("3E|1")}] }`, "admissions.beds.0.location"],
    ["one place for two beds", `{ beds: [${bed("3E^301^1")}, ${bed("3E^^1", "bed-2")}] }`, "admissions.beds.1.location"],
    ["an address that is none", `{ mllp: { allowFrom: [his.local] }, beds: [${bed("3E^1")}] }`, "admissions.mllp.allowFrom.0"],
    ["a network that is none", `{ mllp: { allowFrom: [10.0.0.0/33] }, beds: [${bed("3E^1")}] }`, "admissions.mllp.allowFrom.0"],
    ["nobody who may connect", `{ mllp: { allowFrom: [] }, beds: [${bed("3E^1")}] }`, "admissions.mllp.allowFrom"],
    ["an unknown rule for labels", `{ label: full, beds: [${bed("3E^1")}] }`, "admissions.label"],
  ];
  test.each(bad)("%s is refused at its place", (_, section, path) => {
    expect(problems(section)).toContain(path);
  });

  test("places that differ in a piece, and networks, are taken", () => {
    expect(
      problems(
        `{ mllp: { allowFrom: [10.0.0.0/32, "fe80::/10", "::1"] }, beds: [${bed("3E^301^1^A")}, ${bed("3E^^1^B", "bed-2")}] }`,
      ),
    ).toEqual([]);
    expect(problems(`{ beds: [${bed("3E^301^1")}, ${bed("3E^301^2")}] }`)).toEqual([]);
  });

  test("the example of a ward is valid", async () => {
    const loaded = await loadConfig(new URL("../config/ward.example.yaml", import.meta.url).pathname);
    expect(loaded.ok && loaded.value.admissions?.beds).toHaveLength(4);
  });
});

describe("what a place is here", () => {
  const beds = [
    { location: "3E^301^1", bed: "bed-1" },
    { location: "ICU^^7^HOSP", bed: "icu-7" },
  ];
  const places: readonly (readonly [string, string])[] = [
    ["3E^301^1", "bed"],
    ["3E^301^1^ANY", "bed"],
    ["ICU^4^7^HOSP", "bed"],
    ["3E^301^2", "unknown-bed"],
    ["3E^302^1", "unknown-bed"],
    ["ICU^4^7", "unknown-bed"],
    ["3E", "ward"],
    ["3E^301", "ward"],
    ["ICU^4^7^OTHER", "elsewhere"],
    ["9W^301^1", "elsewhere"],
    ["^301^1", "elsewhere"],
    ["^301", "not-said"],
    ["", "not-said"],
  ];
  test.each(places)("%j is %s", (text, kind) => expect(whereaboutsOf({ beds }, hospitalPlace(text)).kind).toBe(kind));
});
