import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { IClientOptions } from "mqtt";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  type BrokerStage,
  clientOptions,
  connectClient,
  connectRaw,
  followMosquitto,
  type ListenerRecord,
  mosquittoClientsAreMissing,
  publishPacket,
  recordListener,
  runMosquitto,
  signInRaw,
  startStage,
  trySignIn,
} from "./support/broker-stage.ts";
import { type Authority, makeAuthority } from "./support/mosquitto.ts";
import { pause, until } from "./support/until.ts";

/** One ward: a monitor, a pump, a bridge with two client ids, and a nurse's screen that may read everything. */
let stage: BrokerStage;
let folder: string;
let ours: Authority;
let theirs: Authority;
let links: ListenerRecord;
const passwords: Record<string, string> = {};
const certificates: Record<string, { certFile: string; keyFile: string }> = {};

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "vigil-certificates-"));
  [ours, theirs] = [await makeAuthority(folder, "ours"), await makeAuthority(folder, "theirs")];
  const server = await ours.issue("localhost");
  for (const name of ["monitor", "pump", "card", "bridge-a"]) certificates[name] = await ours.issue(name);
  certificates["foreign"] = await theirs.issue("monitor");
  const tls = { host: "127.0.0.1", port: 0, ...server, clientCaFile: ours.caFile, clientCertificates: "optional" } as const;
  stage = await startStage({ tls });
  passwords["monitor"] = await stage.account("monitor");
  passwords["pump"] = await stage.account("pump");
  passwords["bridge"] = await stage.account("bridge", {
    clientIds: ["bridge-a", "bridge-b"],
    rights: [{ access: "publish", filter: "zigbee/%c/#" }],
  });
  passwords["screen"] = await stage.account("screen", { rights: [{ access: "subscribe", filter: "devices/#" }] });
  passwords["system"] = await stage.account("system", { rights: [{ access: "subscribe", filter: "$SYS/#" }] });
  passwords["expired"] = await stage.account("expired", { expiresAtMs: Date.now() - 1 });
  passwords["later"] = await stage.account("later", { expiresAtMs: Date.now() + 3_600_000 });
  await stage.account("card", { certificateOnly: true });
  links = recordListener({ thanks: true });
  stage.broker.inlet.listen({ topics: ["#"], account: null }, links);
});
afterAll(async () => {
  await stage.remove();
  await rm(folder, { recursive: true, force: true });
});

const passwordOf = (name: string) => passwords[name] ?? "no such account";
const credentials = (name: string) => [
  "-h",
  "127.0.0.1",
  "-p",
  String(stage.port()),
  "-i",
  name,
  "-u",
  name,
  "-P",
  passwordOf(name),
];

// ------------------------------------------------------------------------------------------------ who gets in

describe("who gets in, without a certificate", () => {
  const cells: readonly (readonly [string, () => IClientOptions, string])[] = [
    ["the right password", () => clientOptions(stage, "monitor", passwordOf("monitor")), "in"],
    ["a wrong password", () => clientOptions(stage, "monitor", `${passwordOf("monitor")}x`), "out 4"],
    ["another account's password", () => clientOptions(stage, "monitor", passwordOf("pump")), "out 4"],
    ["an empty password", () => clientOptions(stage, "monitor", ""), "out 4"],
    ["a name and no password", () => withoutPassword(clientOptions(stage, "monitor", "")), "out 4"],
    ["neither name nor password", () => withoutName(clientOptions(stage, "monitor", "")), "out 4"],
    ["an unknown account", () => clientOptions(stage, "nobody", "secret"), "out 4"],
    ["an account's name in other letters", () => clientOptions(stage, "Monitor", passwordOf("monitor")), "out 4"],
    ["a name out of the language", () => clientOptions(stage, "__proto__", "secret"), "out 4"],
    ["an account whose time is over", () => clientOptions(stage, "expired", passwordOf("expired")), "out 5"],
    ["an account whose time is not over", () => clientOptions(stage, "later", passwordOf("later")), "in"],
    ["a client id nobody has", () => clientOptions(stage, "monitor", passwordOf("monitor"), { clientId: "other" }), "out 2"],
    ["another account's client id", () => clientOptions(stage, "monitor", passwordOf("monitor"), { clientId: "pump" }), "out 2"],
    ["an account's second client id", () => clientOptions(stage, "bridge", passwordOf("bridge"), { clientId: "bridge-b" }), "in"],
    ["an account's name where it is no client id", () => clientOptions(stage, "bridge", passwordOf("bridge")), "out 2"],
    ["an empty client id", () => clientOptions(stage, "monitor", passwordOf("monitor"), { clientId: "" }), "out 2"],
    ["a client id with a wildcard", () => clientOptions(stage, "monitor", passwordOf("monitor"), { clientId: "#" }), "out 2"],
    ["an account that opens for a certificate only", () => clientOptions(stage, "card", "secret"), "out 5"],
    ["MQTT 5", () => clientOptions(stage, "monitor", passwordOf("monitor"), { protocolVersion: 5 }), "out 1"],
    [
      "MQTT 3.1",
      () => ({ ...clientOptions(stage, "monitor", passwordOf("monitor")), protocolId: "MQIsdp", protocolVersion: 3 }),
      "in",
    ],
  ];
  test.each(cells)("%s", async (_what, options, answer) => {
    expect(await trySignIn(options())).toBe(answer);
  });

  test("who is not let in does not put out who is", async () => {
    const client = await connectClient(stage, "monitor", passwordOf("monitor"));
    expect(await trySignIn(clientOptions(stage, "pump", passwordOf("pump"), { clientId: "monitor" }))).toBe("out 2");
    await client.publishAsync("devices/monitor/still", "in", { qos: 1 });
    expect(client.connected).toBe(true);
    await client.endAsync();
  });

  test("each refusal is told once at once, without a password, and counted with its account", async () => {
    await until("all are told", () => stage.faults.length >= 6);
    const told = stage.faults.map(({ code, facts }) => `${code} ${facts["reason"]} ${facts["account"] ?? "?"}`);
    expect(told).toContain("broker-sign-in-refused wrong-password monitor");
    expect(told).toContain("broker-sign-in-refused unknown-account ?");
    expect(told).toContain("broker-sign-in-refused account-expired expired");
    expect(told).toContain("broker-sign-in-refused client-id-not-allowed monitor");
    expect(told).toContain("broker-sign-in-refused account-needs-certificate card");
    expect(new Set(told).size).toBe(told.length);
    expect(JSON.stringify(stage.faults)).not.toContain(passwordOf("monitor"));
    expect(stage.broker.listAccounts().find(({ name }) => name === "expired")).toMatchObject({
      refusedCount: 1,
      isConnected: false,
    });
  });
});

function withoutPassword({ password: _password, ...rest }: IClientOptions): IClientOptions {
  return rest;
}
function withoutName({ username: _username, ...rest }: IClientOptions): IClientOptions {
  return withoutPassword(rest);
}

// ------------------------------------------------------------------------------------------------ certificates

async function tlsOptions(port: number, clientId: string, more: IClientOptions, certificate?: string): Promise<IClientOptions> {
  const of = certificate === undefined ? undefined : certificates[certificate];
  const shown = of === undefined ? {} : { cert: await readFile(of.certFile), key: await readFile(of.keyFile) };
  const ca = await readFile(ours.caFile);
  return {
    host: "127.0.0.1",
    port,
    protocol: "mqtts",
    protocolVersion: 4,
    clientId,
    connectTimeout: 5000,
    ca,
    ...shown,
    ...more,
  };
}

describe("who gets in over TLS, where a certificate may stand in for a password", () => {
  const named = (name: string, password = passwordOf(name)) => ({ username: name, password });
  const cells: readonly (readonly [string, string, () => IClientOptions, string | undefined, string])[] = [
    ["the right password and no certificate", "monitor", () => named("monitor"), undefined, "in"],
    ["a wrong password and no certificate", "monitor", () => named("monitor", "wrong"), undefined, "out 4"],
    ["a certificate in the name of an account without a password", "card", () => ({}), "card", "in"],
    ["that certificate and the account's name", "card", () => ({ username: "card" }), "card", "in"],
    ["that certificate and another account's name", "card", () => named("monitor"), "card", "out 5"],
    ["that certificate and another account's client id", "monitor", () => named("monitor"), "card", "out 5"],
    ["no certificate for the account that needs one", "card", () => ({ username: "card", password: "x" }), undefined, "out 5"],
    ["a certificate in the name of one of the account's client ids", "bridge-a", () => named("bridge"), "bridge-a", "in"],
    ["that certificate and the account's other client id", "bridge-b", () => named("bridge"), "bridge-a", "out 5"],
    ["certificate and password of one account", "monitor", () => named("monitor"), "monitor", "in"],
    ["a certificate without the password that the account has", "monitor", () => ({}), "monitor", "out 4"],
    ["a certificate with a wrong password", "monitor", () => named("monitor", "wrong"), "monitor", "out 4"],
    [
      "a certificate of another authority in the right name, with the right password",
      "monitor",
      () => named("monitor"),
      "foreign",
      "out 5",
    ],
  ];
  test.each(cells)("%s", async (_what, clientId, more, certificate, answer) => {
    expect(await trySignIn(await tlsOptions(stage.tlsPort(), clientId, more(), certificate))).toBe(answer);
  });
});

describe("who gets in where a certificate is required", () => {
  let strict: BrokerStage;
  beforeAll(async () => {
    const server = await ours.issue("strict");
    const tls = { host: "127.0.0.1", port: 0, ...server, clientCaFile: ours.caFile, clientCertificates: "required" } as const;
    strict = await startStage({ plain: null, tls });
    await strict.account("monitor", { certificateOnly: true });
    passwords["strict pump"] = await strict.account("pump");
  });
  afterAll(() => strict.remove());

  test("a certificate in its own name gets in, and its messages arrive", async () => {
    expect(await trySignIn(await tlsOptions(strict.tlsPort(), "monitor", {}, "monitor"))).toBe("in");
    expect(strict.broker.ports.plain).toBeNull();
  });
  test("the right password without a certificate does not", async () => {
    const more = { username: "pump", password: passwordOf("strict pump") };
    expect(await trySignIn(await tlsOptions(strict.tlsPort(), "pump", more))).toBe("out 5");
    expect(await trySignIn(await tlsOptions(strict.tlsPort(), "pump", more, "pump"))).toBe("in");
    expect(strict.faults.some(({ facts }) => facts["reason"] === "certificate-missing")).toBe(true);
  });
  test("a certificate of another authority does not", async () => {
    expect(await trySignIn(await tlsOptions(strict.tlsPort(), "monitor", {}, "foreign"))).toBe("out 5");
    expect(strict.faults.some(({ facts }) => facts["reason"] === "certificate-foreign")).toBe(true);
  });
  test("a certificate of nobody's account does not", async () => {
    expect(await trySignIn(await tlsOptions(strict.tlsPort(), "card", {}, "card"))).toBe("out 4");
  });
  test("who speaks no TLS is cut", async () => {
    const raw = await connectRaw(strict.tlsPort());
    raw.socket.write("GET / HTTP/1.1\r\n\r\n");
    await until("it is cut", raw.isClosed);
  });
  test("TLS 1.1 is refused", async () => {
    const old = { minVersion: "TLSv1.1", maxVersion: "TLSv1.1", ciphers: "DEFAULT:@SECLEVEL=0" } as IClientOptions;
    expect(await trySignIn(await tlsOptions(strict.tlsPort(), "monitor", old, "monitor"))).toBe("cut");
  });
});

// ------------------------------------------------------------------------------------------------ topics

describe("who may publish what", () => {
  const arrived = (topic: string, payload: string) =>
    links.arrivals.some((one) => one.topic === topic && Buffer.from(one.payload).toString() === payload);

  const cells: readonly (readonly [string, string, boolean])[] = [
    ["monitor", "devices/monitor/vitals", true],
    ["monitor", "devices/pump/vitals", false],
    ["monitor", "devices/vitals", false],
    ["monitor", "vitals", false],
    ["monitor", "$SYS/broker/new/clients", false],
    ["monitor", "$share/g/devices/monitor/x", false],
    ["screen", "devices/monitor/vitals", false],
  ];
  test.each(cells)("%s on %s: %s", async (name, topic, may) => {
    const client = await connectClient(stage, name, passwordOf(name));
    const payload = `${name} ${topic}`;
    // A message that is not allowed is acknowledged, as MQTT 3.1.1 demands in 3.3.5, and it neither ends the connection nor arrives.
    for (const qos of [0, 1, 2] as const) await client.publishAsync(topic, payload, { qos, retain: qos === 1 });
    await client.publishAsync(`devices/${name}/done`, payload, { qos: 1 });
    expect(client.connected).toBe(true);
    expect(arrived(topic, payload)).toBe(may);
    await client.endAsync();
  });

  test("with client ids as levels each client may publish under its own only", async () => {
    const client = await connectClient(stage, "bridge", passwordOf("bridge"), { clientId: "bridge-a" });
    await client.publishAsync("zigbee/bridge-a/x", "own", { qos: 1 });
    await client.publishAsync("zigbee/bridge-b/x", "other", { qos: 1 });
    await client.publishAsync("zigbee/bridge/x", "account", { qos: 1 });
    expect([
      arrived("zigbee/bridge-a/x", "own"),
      arrived("zigbee/bridge-b/x", "other"),
      arrived("zigbee/bridge/x", "account"),
    ]).toEqual([true, false, false]);
    await client.endAsync();
  });

  test("what is refused is seen: told with the account, counted, and the topic shown", async () => {
    const refusal = { reason: "topic-not-allowed", topic: "zigbee/bridge/x" };
    expect(stage.broker.listAccounts().find(({ name }) => name === "bridge")).toMatchObject({ lastRefusal: refusal });
    expect(stage.faults.filter(({ facts }) => facts["account"] === "bridge")).toMatchObject([
      { code: "broker-sign-in-refused", facts: { reason: "client-id-not-allowed", account: "bridge", address: "127.0.0.1" } },
      { code: "broker-message-refused", facts: { reason: "topic-not-allowed", account: "bridge", count: 1 } },
    ]);
  });

  test("on the broker's own topics nobody may speak, whatever a right says: the library would believe it", async () => {
    const rights = ["$SYS/#", "devices/#"].map((filter) => ({ access: "publish", filter }) as const);
    const client = await connectClient(stage, "forger", await stage.account("forger", { rights }));
    const victim = await connectClient(stage, "monitor", passwordOf("monitor"));
    await client.publishAsync("$SYS/other/new/clients", "monitor", { qos: 1 });
    await client.publishAsync("devices/forger/x", "allowed", { qos: 1 });
    await victim.publishAsync("devices/monitor/still", "here", { qos: 1 });
    expect([victim.connected, arrived("devices/forger/x", "allowed")]).toEqual([true, true]);
    expect(stage.broker.listAccounts().find(({ name }) => name === "forger")?.lastRefusal).toMatchObject({
      reason: "topic-not-allowed",
    });
    await Promise.all([client.endAsync(), victim.endAsync()]);
  });

  test("a retained message on a foreign topic is not retained", async () => {
    const screen = await connectClient(stage, "screen", passwordOf("screen"));
    const seen: string[] = [];
    screen.on("message", (topic) => void seen.push(topic));
    await screen.subscribeAsync("devices/#", { qos: 1 });
    await until("what is retained", () => seen.includes("devices/monitor/vitals"));
    expect(seen.filter((topic) => topic !== "devices/monitor/vitals")).toEqual([]);
    await screen.endAsync();
  });

  test.each([
    ["a wildcard for one level", "devices/monitor/+"],
    ["a wildcard for all levels", "devices/monitor/#"],
    ["nothing", ""],
    ["a NUL", "devices/monitor/\0"],
  ])("a topic with %s ends the connection, as MQTT 3.1.1 demands", async (_what, topic) => {
    const raw = await signInRaw(stage, "monitor", passwordOf("monitor"));
    raw.socket.write(publishPacket(topic, "x", { qos: 1, messageId: 7 }));
    await until("it is cut", raw.isClosed);
    expect(raw.received()).toHaveLength(4);
    expect(stage.broker.listAccounts().find(({ name }) => name === "monitor")?.lastRefusal).toMatchObject({
      reason: "topic-malformed",
    });
  });

  test("a topic that is not UTF-8 ends the connection", async () => {
    const raw = await signInRaw(stage, "monitor", passwordOf("monitor"));
    raw.socket.write(Buffer.from([0x30, 4, 0, 2, 0xc3, 0x28]));
    await until("it is cut", raw.isClosed);
  });

  test("a topic of 512 bytes and 32 levels is taken, one more of either is refused", async () => {
    const client = await connectClient(stage, "monitor", passwordOf("monitor"));
    const long = `devices/monitor/${"x".repeat(496)}`;
    const deep = `devices/monitor${"/x".repeat(30)}`;
    for (const topic of [long, `${long}x`, deep, `${deep}/x`]) await client.publishAsync(topic, "edge", { qos: 1 });
    expect([long, `${long}x`, deep, `${deep}/x`].map((topic) => arrived(topic, "edge"))).toEqual([true, false, true, false]);
    await client.endAsync();
  });
});

describe("last wills", () => {
  async function dieWithWill(topic: string, text: string): Promise<void> {
    const will = { topic, payload: Buffer.from(text), qos: 1 as const, retain: true };
    const client = await connectClient(stage, "pump", passwordOf("pump"), { will });
    client.stream.destroy();
    await until("the link is down", () => stage.broker.listAccounts().find(({ name }) => name === "pump")?.isConnected === false);
  }
  const seen = (topic: string) => links.arrivals.some((one) => one.topic === topic);

  test("a will on its own topic is told and retained", async () => {
    await dieWithWill("devices/pump/state", "offline");
    await until("the will", () => seen("devices/pump/state"));
    expect(links.arrivals.find(({ topic }) => topic === "devices/pump/state")).toMatchObject({
      messageId: null,
      retained: false,
    });
  });

  test("a will on a foreign topic lets the device in, is told, and is not published", async () => {
    await dieWithWill("devices/monitor/state", "offline");
    await pause(100);
    expect(seen("devices/monitor/state")).toBe(false);
    expect(stage.broker.listAccounts().find(({ name }) => name === "pump")?.lastRefusal).toMatchObject({
      reason: "will-not-allowed",
      topic: "devices/monitor/state",
    });
  });

  test("a client that says goodbye leaves no will", async () => {
    const will = { topic: "devices/monitor/goodbye", payload: Buffer.from("x"), qos: 1 as const, retain: false };
    const client = await connectClient(stage, "monitor", passwordOf("monitor"), { will });
    await client.endAsync();
    await pause(100);
    expect(seen("devices/monitor/goodbye")).toBe(false);
  });
});

describe("who may subscribe to what", () => {
  const cells: readonly (readonly [string, string, number])[] = [
    ["monitor", "devices/monitor/commands/#", 1],
    ["monitor", "devices/monitor/commands/x", 1],
    ["monitor", "devices/monitor/#", 128],
    ["monitor", "devices/pump/commands/#", 128],
    ["monitor", "#", 128],
    ["monitor", "+/monitor/commands/x", 128],
    ["monitor", "devices/+/commands/#", 128],
    ["monitor", "$SYS/#", 128],
    ["monitor", "$share/g/devices/monitor/commands/#", 128],
    ["screen", "devices/#", 1],
    ["screen", "devices/+/vitals", 1],
    ["screen", "#", 128],
    ["screen", "+/x", 128],
    ["screen", "$SYS/#", 128],
    ["screen", "$share/g/#", 128],
    ["screen", "$share/g/devices/#", 128],
    ["system", "$SYS/#", 1],
    ["system", "#", 128],
  ];
  test.each(cells)("%s to %s: %i", async (name, filter, granted) => {
    const client = await connectClient(stage, name, passwordOf(name));
    const answer = await client.subscribeAsync(filter, { qos: 1 }).catch((error: Error) => error.message);
    expect(typeof answer === "string" ? 128 : answer[0]?.qos).toBe(granted);
    expect(client.connected).toBe(true);
    await client.endAsync();
  });

  test("one filter refused leaves the others of the same request", async () => {
    const client = await connectClient(stage, "screen", passwordOf("screen"), { clean: false });
    const got: string[] = [];
    client.on("message", (topic) => void got.push(topic));
    await client.subscribeAsync(["#", "devices/monitor/one"], { qos: 1 }).catch(() => {});
    const monitor = await connectClient(stage, "monitor", passwordOf("monitor"));
    for (const topic of ["devices/monitor/two", "devices/monitor/one"]) await monitor.publishAsync(topic, "x", { qos: 1 });
    await until("what was granted", () => got.length > 0);
    expect(got).toEqual(["devices/monitor/one"]);
    await client.endAsync();
    await monitor.publishAsync("devices/monitor/two", "x", { qos: 1 });
    const again = await connectClient(stage, "screen", passwordOf("screen"), { clean: false });
    again.on("message", (topic) => void got.push(topic));
    await monitor.publishAsync("devices/monitor/one", "x", { qos: 1 });
    await until("what was granted, after a return", () => got.length > 1);
    expect(got).toEqual(["devices/monitor/one", "devices/monitor/one"]);
    await again.unsubscribeAsync("devices/monitor/one");
    await Promise.all([again.endAsync(), monitor.endAsync()]);
  });
});

describe.skipIf(mosquittoClientsAreMissing)("with mosquitto's own clients", () => {
  test("the right password publishes, a wrong one and none do not", async () => {
    const message = ["-t", "devices/monitor/mosquitto", "-m", "72", "-q", "1"];
    expect(await runMosquitto("mosquitto_pub", [...credentials("monitor"), ...message])).toMatchObject({ code: 0 });
    await until("the message", () => links.texts().includes("72"));
    const wrong = [...credentials("screen").slice(0, -1), "wrong"];
    expect(await runMosquitto("mosquitto_pub", [...wrong, ...message])).toMatchObject({ code: 4 });
    const none = await runMosquitto("mosquitto_pub", [...credentials("monitor").slice(0, 4), ...message]);
    expect(none.code).not.toBe(0);
    expect(none.output).toMatch(/refused/i);
  });

  test("a message with QoS 0 and goodbye behind it arrives; with QoS 2 as well", async () => {
    for (const qos of ["0", "2"]) {
      const args = [...credentials("monitor"), "-t", "devices/monitor/brief", "-m", `brief ${qos}`, "-q", qos];
      expect(await runMosquitto("mosquitto_pub", args)).toMatchObject({ code: 0 });
      await until(`QoS ${qos}`, () => links.texts().includes(`brief ${qos}`));
    }
  });

  test("a subscriber gets what it may and is refused what it may not", async () => {
    const follower = followMosquitto([...credentials("screen"), "-t", "devices/monitor/live", "-q", "1"]);
    await until("it is in", () => stage.broker.listAccounts().find(({ name }) => name === "screen")?.isConnected === true);
    await pause(200);
    await runMosquitto("mosquitto_pub", [...credentials("monitor"), "-t", "devices/monitor/live", "-m", "alive", "-q", "1"]);
    await until("the line", () => follower.lines().includes("alive"));
    follower.child.kill();
    const refused = await runMosquitto("mosquitto_sub", [...credentials("monitor"), "-t", "#", "-W", "2"]);
    expect(refused.output).toMatch(/denied/i);
  });

  test("a certificate stands in for the password", async () => {
    const of = certificates["card"];
    const tls = ["--cafile", ours.caFile, "--cert", of?.certFile ?? "", "--key", of?.keyFile ?? ""];
    const args = [
      "-h",
      "127.0.0.1",
      "-p",
      String(stage.tlsPort()),
      "-i",
      "card",
      ...tls,
      "-t",
      "devices/card/x",
      "-m",
      "by card",
      "-q",
      "1",
    ];
    expect(await runMosquitto("mosquitto_pub", args)).toMatchObject({ code: 0 });
    await until("the message", () => links.texts().includes("by card"));
  });
});
