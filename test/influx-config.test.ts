import { describe, expect, test } from "vitest";
import { parseConfig } from "../config/load.ts";
import type { ConfigProblem } from "../config/problems.ts";

const V2 = { api: "v2", org: "ward", bucket: "vigil", tokenFile: "influx.token" };
const V1 = { api: "v1", database: "vigil", username: "vigil", passwordFile: "influx.password" };

function check(upstream: Readonly<Record<string, unknown>>) {
  const config = {
    gateway: { id: "ward-3", dataFolder: "data" },
    upstreams: [{ name: "history", kind: "influx", url: "https://influx.example:8086", target: V2, ...upstream }],
  };
  return parseConfig(JSON.stringify(config), "/etc/vigil");
}

function problems(upstream: Readonly<Record<string, unknown>>): readonly ConfigProblem[] {
  const parsed = check(upstream);
  return parsed.ok ? [] : parsed.error;
}

describe("an upstream of kind influx", () => {
  test("patients leave by pseudonym where nothing is said, and all paths are absolute", () => {
    const parsed = check({ caFile: "ca.pem", patientKeyFile: "patient.key" });
    if (!parsed.ok) throw new Error(JSON.stringify(parsed.error));
    expect(parsed.value.upstreams).toEqual([
      {
        ...{ name: "history", kind: "influx", url: "https://influx.example:8086", patientTag: "pseudonym" },
        ...{ caFile: "/etc/vigil/ca.pem", patientKeyFile: "/etc/vigil/patient.key" },
        target: { api: "v2", org: "ward", bucket: "vigil", tokenFile: "/etc/vigil/influx.token" },
      },
    ]);
    const v1 = check({ target: V1 });
    expect(v1.ok && v1.value.upstreams[0]).toMatchObject({ target: { passwordFile: "/etc/vigil/influx.password" } });
  });

  test.each([
    { name: "a path behind a proxy", url: "https://proxy.example/influx" },
    { name: "no encryption", url: "http://127.0.0.1:8086/" },
    { name: "IPv6", url: "http://[::1]:8086" },
  ])("$name is an address", ({ url }) => {
    expect(problems({ url })).toEqual([]);
  });

  test.each([
    { name: "an MQTT address", change: { url: "mqtt://influx.example" }, path: "upstreams.0.url" },
    { name: "the path of the interface", change: { url: "http://influx.example/api/v2" }, path: "upstreams.0.url" },
    { name: "a query", change: { url: "http://influx.example/?db=x" }, path: "upstreams.0.url" },
    { name: "a password in the address", change: { url: "http://me:secret@influx.example" }, path: "upstreams.0.url" },
    { name: "no target", change: { target: undefined }, path: "upstreams.0.target" },
    {
      name: "a token for InfluxDB 1",
      change: { target: { api: "v1", database: "x", tokenFile: "t" } },
      path: "upstreams.0.target",
    },
    { name: "a name without a password", change: { target: { ...V1, passwordFile: undefined } }, path: "upstreams.0.target" },
    { name: "a token in place of a file", change: { target: { ...V2, token: "secret" } }, path: "upstreams.0.target" },
    { name: "a key where patients leave by id", change: { patientTag: "id", patientKeyFile: "k" }, path: "upstreams.0" },
    { name: "certificates without https", change: { url: "http://influx.example", caFile: "ca.pem" }, path: "upstreams.0" },
    { name: "a certificate without its key", change: { certFile: "c.pem" }, path: "upstreams.0" },
    { name: "settings of MQTT", change: { topicPrefix: "vigil" }, path: "upstreams.0" },
  ])("$name is refused at its place, in both languages", ({ change, path }) => {
    const [problem, ...others] = problems(change);
    expect(others).toEqual([]);
    expect(problem?.path.replaceAll(/\[(\d+)\]/g, ".$1")).toMatch(new RegExp(`^${path.replaceAll(".", "\\.")}`));
    for (const text of [problem?.problem, problem?.remedy]) {
      expect(text?.en).toMatch(/[a-z]{3}/);
      expect(text?.zh).toMatch(/\p{Script=Han}{2}/u);
    }
  });
});
