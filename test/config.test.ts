import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { parseConfig } from "../config/load.ts";
import { configWarnings } from "../config/together.ts";
import { checkCommand } from "../src/commands/check.ts";
import { collectingIo } from "./support/collecting-io.ts";

const GOOD = `
gateway: { id: ward-3, dataFolder: data }
beds: [{ id: bed-1, title: "301" }]
devices:
  - { id: monitor-1, driver: serial-ivy-450c, bed: bed-1, link: { kind: serial, path: /dev/ttyUSB0 } }
upstreams:
  - { name: hospital, kind: mqtt, url: "mqtts://broker:8883", username: vigil, passwordFile: secret/password }
`;

const problemsOf = (text: string) => {
  const parsed = parseConfig(text, "/etc/vigil");
  return parsed.ok ? [] : parsed.error;
};

describe("the configuration", () => {
  test("defaults are filled in and paths are taken from the file's folder", () => {
    const parsed = parseConfig(GOOD, "/etc/vigil");
    expect(parsed).toMatchObject({
      ok: true,
      value: {
        gateway: { dataFolder: "/etc/vigil/data" },
        journal: { sizeMegabytesMax: 2048 },
        dashboard: { host: "127.0.0.1", signIn: true },
        scores: { models: ["news2"], confirmSeconds: 60 },
        devices: [{ origin: "measured", quantitySilenceSeconds: 60 }],
        upstreams: [{ protocolVersion: 5, passwordFile: "/etc/vigil/secret/password" }],
      },
    });
  });

  test.each([
    [
      "an unknown key",
      GOOD.replace("dataFolder: data", "dataFolder: data, dataFoldr: x"),
      "gateway.dataFoldr",
      "is not a setting",
    ],
    ["an unknown driver", GOOD.replace("serial-ivy-450c", "serial-ivi"), "devices.0.driver", "expected one of"],
    ["an unknown bed", GOOD.replace("bed: bed-1", "bed: bed-9"), "devices.0.bed", "there is no bed bed-9"],
    [
      "a name used twice",
      GOOD.replace('[{ id: bed-1, title: "301" }]', '[{ id: bed-1, title: "301" }, { id: bed-1, title: "302" }]'),
      "beds.1",
      "used twice",
    ],
    [
      "a user without a password file",
      GOOD.replace(", passwordFile: secret/password", ""),
      "upstreams.0.passwordFile",
      "needs a passwordFile",
    ],
    [
      "certificates without TLS",
      GOOD.replace("mqtts://broker:8883", "mqtt://broker:1883").replace("username: vigil", "caFile: ca.pem, username: vigil"),
      "upstreams.0.url",
      "certificates need mqtts://",
    ],
    [
      "half a client certificate",
      GOOD.replace("username: vigil", "certFile: c.pem, username: vigil"),
      "upstreams.0",
      "belong together",
    ],
    [
      "no sign-in towards the network",
      `${GOOD}dashboard: { host: 0.0.0.0, signIn: false }\n`,
      "dashboard.signIn",
      "loopback address only",
    ],
    [
      "an option the driver does not know",
      GOOD.replace("bed: bed-1, link", "bed: bed-1, options: { foo: x }, link"),
      "devices.0.options.foo",
      "is not an option of serial-ivy-450c",
    ],
    [
      "a quantity the driver never says",
      GOOD.replace("bed: bed-1, link", "bed: bed-1, expected: [bloodGlucose], link"),
      "devices.0.expected",
      "never says bloodGlucose",
    ],
    ["a setting that is not there", GOOD.replace("id: ward-3, ", ""), "gateway.id", "is missing"],
    [
      "a limit that no living person reaches",
      `${GOOD}limits: { oxygenSaturation: { low: { value: 880, priority: medium } } }\n`,
      "limits.oxygenSaturation.low.value",
      "100",
    ],
    [
      "a low limit over the high one",
      `${GOOD}limits: { heartRate: { low: { value: 120, priority: low }, high: { value: 60, priority: low } } }\n`,
      "limits.heartRate",
      "below high",
    ],
    [
      "a limit of something nobody measures",
      `${GOOD}limits: { happiness: { low: { value: 1, priority: low } } }\n`,
      "limits.happiness",
      "is not a setting",
    ],
    [
      "a port out of range",
      GOOD.replace("{ kind: serial, path: /dev/ttyUSB0 }", "{ kind: tcp, host: h, port: 70000 }"),
      "devices.0.link.port",
      "65535",
    ],
    [
      "a demonstration with a device that measures",
      `${GOOD}demonstration: { socketFile: nudge.sock }\n`,
      "devices.0.origin",
      "monitor-1 measures, and a demonstration must not",
    ],
    [
      "the same, where something else is wrong too",
      `${GOOD.replace("id: ward-3", "id: Ward 3")}demonstration: { socketFile: nudge.sock }\n`,
      "devices.0.origin",
      "monitor-1 measures",
    ],
    ["a demonstration without its socket", `${GOOD}demonstration: {}\n`, "demonstration.socketFile", "is missing"],
    ["YAML that is none", "gateway: [", "line 1", ""],
    ["an empty file", "", "gateway", ""],
  ])("%s is refused with its place and a remedy", (_name, text, path, problem) => {
    const problems = problemsOf(text);
    expect(problems.map((each) => each.path)).toContain(path);
    const found = problems.find((each) => each.path === path);
    expect(found?.problem.en).toContain(problem);
    expect(found?.remedy.en.length).toBeGreaterThan(5);
    if (path !== "line 1") expect(found?.problem.zh).toMatch(/\p{Script=Han}/u);
    expect(found?.remedy.zh).toMatch(/\p{Script=Han}/u);
    expect([found?.problem.en, found?.remedy.en].join()).not.toMatch(/\p{Script=Han}/u);
  });

  const MQTT = `
gateway: { id: ward-3, dataFolder: data }
broker: { tls: { certFile: broker.pem, keyFile: broker.key, clientCaFile: /etc/ca.pem } }
mqttServers: [{ name: house, url: "mqtt://10.0.0.2:1883", username: vigil, passwordFile: secret/house }]
devices:
  - { id: watch-1, driver: mqtt-json, link: { kind: mqtt }, options: { mapping: { heartRate: $.hr } } }
  - { id: pad-1, driver: mqtt-zigbee2mqtt, link: { kind: mqtt, server: house, topics: ["zigbee2mqtt/Bett 1/#"] } }
  - { id: door-1, driver: mqtt-zigbee2mqtt, link: { kind: mqtt, account: null } }
`;

  test("devices by MQTT come by the own broker or another server, and files are taken from the folder", () => {
    expect(parseConfig(MQTT, "/etc/vigil")).toMatchObject({
      ok: true,
      value: {
        broker: {
          host: "127.0.0.1",
          port: 1883,
          tls: { port: 8883, certFile: "/etc/vigil/broker.pem", keyFile: "/etc/vigil/broker.key", clientCaFile: "/etc/ca.pem" },
        },
        mqttServers: [{ passwordFile: "/etc/vigil/secret/house", protocolVersion: 5 }],
        devices: [{ link: { kind: "mqtt" } }, { link: { server: "house" } }, { link: { account: null } }],
      },
    });
  });

  test.each([
    ["no broker to come by", MQTT.replace(/broker: .*\n/, ""), "devices.0.link", "no broker it could come by"],
    ["an unknown server", MQTT.replace("server: house", "server: hous"), "devices.1.link.server", "there is no server hous"],
    [
      "a serial line for a driver of messages",
      MQTT.replace("link: { kind: mqtt }", "link: { kind: tcp, host: a, port: 1 }"),
      "devices.0.link.kind",
      "is not reached this way",
    ],
    [
      "messages for a driver of a serial line",
      GOOD.replace("link: { kind: serial, path: /dev/ttyUSB0 }", "link: { kind: mqtt }"),
      "devices.0.link.kind",
      "is not reached this way",
    ],
    ["a wildcard in the middle of a level", MQTT.replace("Bett 1/#", "Bett#"), "devices.1.link.topics.0", "is no topic"],
    ["# before the end", MQTT.replace("Bett 1/#", "#/x"), "devices.1.link.topics.0", "is no topic"],
    ["a topic of the broker's own", MQTT.replace("zigbee2mqtt/Bett 1/#", "$SYS/#"), "devices.1.link.topics.0", "is no topic"],
    [
      "a server's name used twice",
      MQTT.replace("mqttServers: [", 'mqttServers: [{ name: house, url: "mqtt://a:1" }, '),
      "mqttServers.1",
      "used twice",
    ],
    [
      "a server's user without a password file",
      MQTT.replace(", passwordFile: secret/house", ""),
      "mqttServers.0.passwordFile",
      "needs a passwordFile",
    ],
    ["an option that will not do", MQTT.replace("heartRate: $.hr", "heartRat: $.hr"), "devices.0.options.mapping", ""],
  ])("MQTT: %s is told with its path and a remedy", (_what, text, path, problem) => {
    const found = problemsOf(text).filter((one) => one.path.startsWith(path) && one.problem.en.includes(problem));
    expect(found, JSON.stringify(problemsOf(text))).toHaveLength(1);
    expect(found[0]?.remedy.en).toMatch(/^[A-Z].+\.$/);
    expect(found[0]?.problem.zh).not.toBe("");
    expect(found[0]?.remedy.zh).not.toBe("");
  });

  test("all problems are told at once", () => {
    const problems = problemsOf(
      GOOD.replace("id: ward-3", "id: Ward 3").replace("bed: bed-1", "bd: bed-1").replace("mqtts://broker:8883", "http://broker"),
    );
    expect(problems.map((each) => each.path).sort()).toEqual(["devices.0.bd", "gateway.id", "upstreams.0.url"]);
  });

  test.each(["config/ward.example.yaml", "config/demo.yaml"])("%s is valid", async (file) => {
    expect(problemsOf(await readFile(join(import.meta.dirname, "..", file), "utf8"))).toEqual([]);
  });
});

describe("the section of the demonstration", () => {
  const DEMONSTRATION = `${GOOD.replace("bed: bed-1, link", "bed: bed-1, origin: simulated, link")}demonstration: { socketFile: nudge.sock }\n`;

  test("is accepted where nothing measures, with its path made absolute, and nobody overlooks it", () => {
    const parsed = parseConfig(DEMONSTRATION, "/etc/vigil");
    expect(parsed).toMatchObject({ ok: true, value: { demonstration: { socketFile: "/etc/vigil/nudge.sock" } } });
    const warned = parsed.ok ? configWarnings(parsed.value) : [];
    expect(warned.map(({ path }) => path)).toEqual(["demonstration"]);
    expect(warned[0]?.remedy.zh).toContain("请删除");
  });

  test("is in no configuration that is not told so", () => {
    const parsed = parseConfig(GOOD, "/etc/vigil");
    expect(parsed.ok && parsed.value.demonstration).toBe(undefined);
    expect(parsed.ok && configWarnings(parsed.value)).toEqual([]);
  });
});

describe("vigil check", () => {
  const runCheck = async (args: readonly string[]) => {
    const io = collectingIo();
    return { code: await checkCommand.run(args, io), lines: io.out };
  };

  test("a valid file answers with what it holds, exit 0; a wrong one with a line per problem, exit 1; no file named, exit 2", async () => {
    const folder = await mkdtemp(join(tmpdir(), "vigil-check-"));
    try {
      await writeFile(join(folder, "good.yaml"), GOOD);
      await writeFile(join(folder, "bad.yaml"), GOOD.replace("id: ward-3", "id: Ward 3").replace("bed: bed-1", "bd: bed-1"));
      const good = await runCheck(["--config", join(folder, "good.yaml")]);
      expect([good.code, good.lines.map((line) => JSON.parse(line))]).toEqual([
        0,
        [{ ok: true, beds: 1, devices: 1, upstreams: 1 }],
      ]);
      const bad = await runCheck(["--config", join(folder, "bad.yaml")]);
      expect(bad.code).toBe(1);
      expect(bad.lines.map((line) => JSON.parse(line).path).sort()).toEqual(["devices.0.bd", "gateway.id"]);
      expect((await runCheck(["--config", join(folder, "absent.yaml")])).lines[0]).toContain("ENOENT");
      expect((await runCheck([])).code).toBe(2);
      expect((await runCheck(["--konfig", "x"])).code).toBe(2);
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
