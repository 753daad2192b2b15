import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { appendFile, mkdir, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { connectAsync, type MqttClient } from "mqtt";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createSimulatedClock } from "../simulator/world/simulated-clock.ts";
import { openBrokerAccounts } from "../src/broker/broker-accounts.ts";
import { DurableMap } from "../src/broker/durable-map.ts";
import { createSystemClock } from "../src/clock.ts";
import { LIMITS } from "../src/core/limits.ts";
import {
  type BrokerStage,
  connectClient,
  connectPacket,
  connectRaw,
  recordListener,
  startStage,
} from "./support/broker-stage.ts";
import { pause, until } from "./support/until.ts";

const cleanups: (() => unknown)[] = [];
let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "vigil-sessions-"));
});
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
  await rm(folder, { recursive: true, force: true });
});

const clock = createSystemClock();
const READ_ALL = [{ access: "subscribe", filter: "#" }] as const;

// --------------------------------------------------------------------------------------------- the durable map

interface OpenMap {
  readonly map: DurableMap;
  readonly troubles: (string | null)[];
}

async function openMap(file: string): Promise<OpenMap> {
  const troubles: (string | null)[] = [];
  const opened = await DurableMap.open(file, { clock, onTrouble: (code) => void troubles.push(code) });
  if (!opened.ok) throw new Error(opened.error);
  cleanups.push(() => opened.value.close());
  return { map: opened.value, troubles };
}
const contentOf = (map: DurableMap) => Object.fromEntries(map.entries());

describe("a map that outlives its process", () => {
  test("what was settled is there again, in its order, and what was removed is not", async () => {
    const file = join(folder, "map");
    const { map } = await openMap(file);
    for (const key of ["c", "a", "b"]) map.put(key, { of: key });
    map.remove("a");
    map.put("c", { of: "c again" });
    expect(map.isSettled()).toBe(false);
    await map.settled();
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    const again = await openMap(file);
    expect([...again.map.entries()]).toEqual([
      ["c", { of: "c again" }],
      ["b", { of: "b" }],
    ]);
  });

  test("a file cut at any byte gives what was before the cut, and takes what comes after", async () => {
    const file = join(folder, "map");
    const first = await openMap(file);
    for (const number of [1, 2, 3]) first.map.put(`key ${number}`, number);
    await first.map.settled();
    await first.map.close();
    const whole = await readFile(file);
    for (let bytes = 0; bytes <= whole.length; bytes++) {
      await writeFile(file, whole.subarray(0, bytes));
      const { map } = await openMap(file);
      const linesCount = whole
        .subarray(0, bytes)
        .toString()
        .split("\n")
        .filter((line) => line.endsWith("]")).length;
      expect(Object.keys(contentOf(map))).toHaveLength(linesCount);
      map.put("after", true);
      await map.settled();
      await map.close();
      expect(contentOf((await openMap(file)).map)).toMatchObject({ after: true });
    }
  });

  test("a file that grows by changes is written anew and stays bounded", async () => {
    const file = join(folder, "map");
    const { map } = await openMap(file);
    const value = "x".repeat(1_200_000);
    for (let number = 0; number < 8; number++) {
      map.put("same", `${number}${value}`);
      await map.settled();
    }
    expect((await stat(file)).size).toBeLessThan(LIMITS.brokerSessionLogBytesMax.value + 3 * value.length);
    expect(contentOf((await openMap(file)).map)).toEqual({ same: `7${value}` });
  });

  test("of what changes often only the newest is written, and of what came and went nothing", async () => {
    const file = join(folder, "map");
    const { map } = await openMap(file);
    map.put("first", 1);
    await map.settled();
    const before = (await readFile(file, "utf8")).split("\n");
    for (let number = 0; number < 500; number++) {
      map.put("often", number);
      map.put(`brief ${number}`, number);
      map.remove(`brief ${number}`);
    }
    map.put("last", 2);
    map.remove("first");
    await map.settled();
    const written = (await readFile(file, "utf8")).split("\n").slice(before.length - 1);
    expect(written.filter((line) => line !== "")).toEqual(['["often",499]', '["last",2]', '["first"]']);
    const size = (await stat(file)).size;
    map.put("first", 3);
    map.remove("first");
    await map.settled();
    expect((await stat(file)).size).toBe(size);
    expect(contentOf((await openMap(file)).map)).toEqual({ often: 499, last: 2 });
  });

  test("a key that was removed and put again within a moment is there, and one that was put and removed again is not", async () => {
    const file = join(folder, "map");
    const { map } = await openMap(file);
    for (const key of ["a", "b"]) map.put(key, 1);
    await map.settled();
    map.remove("a");
    map.put("a", 2);
    map.put("b", 2);
    map.remove("b");
    await map.settled();
    expect(contentOf((await openMap(file)).map)).toEqual({ a: 2 });
  });

  test("while the disk refuses, nothing counts as settled; when it takes again, everything is there", async () => {
    const parent = join(folder, "gone");
    const { map, troubles } = await openMap(join(parent, "map"));
    // A file where the folder should be: no write can succeed.
    await writeFile(parent, "");
    map.put("a", 1);
    let isSettled = false;
    void map.settled().then(() => {
      isSettled = true;
    });
    await until("the trouble is told", () => troubles.length > 0);
    map.put("b", 2);
    await pause(100);
    expect([isSettled, troubles.length]).toEqual([false, 1]);
    await rm(parent);
    await mkdir(parent);
    await until("it is settled", () => isSettled && map.isSettled());
    expect(troubles.at(-1)).toBeNull();
    expect(contentOf((await openMap(join(parent, "map"))).map)).toEqual({ a: 1, b: 2 });
  });
});

// ------------------------------------------------------------------------------------------------- one process

async function openStage(more: Parameters<typeof startStage>[0] = {}): Promise<BrokerStage> {
  const stage = await startStage(more);
  cleanups.push(stage.remove);
  return stage;
}

/** Topic, payload and mark of each message a client gets. */
function record(client: MqttClient): string[] {
  const seen: string[] = [];
  client.on(
    "message",
    (topic, payload, { retain }) => void seen.push(`${topic} ${payload.toString()}${retain ? " retained" : ""}`),
  );
  return seen;
}

/** A client that keeps its session, with what it got from its first byte on. */
async function connectKeeping(stage: { readonly port: () => number }, name: string, password: string) {
  const seen: string[] = [];
  const options = {
    username: name,
    password,
    clientId: name,
    protocolVersion: 4,
    clean: false,
    reconnectPeriod: 0,
    manualConnect: true,
  } as const;
  const { connect } = await import("mqtt");
  const client = connect(`mqtt://127.0.0.1:${stage.port()}`, options);
  client.on("message", (topic, payload) => void seen.push(`${topic} ${payload.toString()}`));
  client.connect();
  await new Promise<void>((resolve, reject) => {
    client.once("connect", () => resolve());
    client.once("error", reject);
  });
  return { client, seen };
}

describe("what the broker keeps for its clients", () => {
  test("retained and queued messages are there after a restart, once each and in order; what was cleared is not", async () => {
    const stage = await openStage();
    const [screen, monitor] = [await stage.account("screen", { rights: READ_ALL }), await stage.account("monitor")];
    const away = await connectKeeping(stage, "screen", screen);
    await away.client.subscribeAsync("devices/monitor/queued/#", { qos: 1 });
    await away.client.endAsync();
    const sender = await connectClient(stage, "monitor", monitor);
    for (const name of ["a", "b", "c"])
      await sender.publishAsync(`devices/monitor/state/${name}`, name, { qos: 1, retain: true });
    await sender.publishAsync("devices/monitor/state/b", "", { qos: 1, retain: true });
    const queue = (number: number) =>
      sender.publishAsync("devices/monitor/queued/x", `${number}`, { qos: number % 2 === 0 ? 1 : 2 });
    await Promise.all(Array.from({ length: 20 }, (_, number) => queue(number)));
    expect(stage.broker.view().kept).toMatchObject({ retainedCount: 2, queuedCount: 20 });
    await sender.endAsync();
    await stage.restart();
    expect(stage.broker.view().kept).toMatchObject({ retainedCount: 2, retainedBytes: 2, queuedCount: 20 });
    const back = await connectKeeping(stage, "screen", screen);
    await until("what was queued", () => back.seen.length === 20);
    // MQTT keeps the order of messages of one quality of service only.
    const numbersOf = (parity: number) =>
      back.seen.map((line) => Number(line.split(" ")[1])).filter((number) => number % 2 === parity);
    expect([numbersOf(0), numbersOf(1)]).toEqual(
      [0, 1].map((parity) => Array.from({ length: 10 }, (_, index) => 2 * index + parity)),
    );
    await until("nothing is queued any more", () => stage.broker.view().kept.queuedCount === 0);
    await back.client.endAsync();
    await stage.restart();
    const once = await connectClient(stage, "screen", screen);
    const seen = record(once);
    await once.subscribeAsync("devices/monitor/#", { qos: 1 });
    await until("what is retained", () => seen.length === 2);
    await pause(100);
    expect(seen.sort()).toEqual(["devices/monitor/state/a a retained", "devices/monitor/state/c c retained"]);
    await once.endAsync();
  });

  test("a link that listens after a restart is told what was retained", async () => {
    const stage = await openStage();
    const monitor = await stage.account("monitor");
    const sender = await connectClient(stage, "monitor", monitor);
    await sender.publishAsync("devices/monitor/state", "online", { qos: 1, retain: true });
    await sender.endAsync();
    await stage.restart();
    const link = recordListener({ thanks: true });
    stage.broker.inlet.listen({ topics: ["devices/monitor/#"], account: "monitor" }, link);
    await until("it is told", () => link.arrivals.length === 1);
    expect(link.arrivals[0]).toMatchObject({ topic: "devices/monitor/state", retained: true, messageId: null });
  });

  test("a client that comes back into live traffic is let in before it gets any of it", async () => {
    const stage = await openStage({ messagesPerSecondMax: 10_000 });
    const [screen, monitor] = [await stage.account("screen", { rights: READ_ALL }), await stage.account("monitor")];
    const away = await connectKeeping(stage, "screen", screen);
    await away.client.subscribeAsync("devices/#", { qos: 1 });
    await away.client.endAsync();
    const sender = await connectClient(stage, "monitor", monitor);
    const sending = setInterval(() => sender.publish("devices/monitor/x", "live"), 1);
    cleanups.push(() => clearInterval(sending));
    for (let round = 0; round < 10; round++) {
      const raw = await connectRaw(stage.port());
      const connect = connectPacket("screen", screen);
      // The same CONNECT with the flag for a clean session taken out.
      connect[9] = 0xc0;
      raw.socket.write(connect);
      await until("the first bytes", () => raw.received().length >= 4);
      expect(raw.received().subarray(0, 4)).toEqual(Buffer.from([0x20, 2, 1, 0]));
      raw.socket.destroy();
      await until("it is out", () => stage.broker.listAccounts().find(({ name }) => name === "screen")?.isConnected === false);
    }
    await sender.endAsync();
  });

  test("a queue is bounded: what is beyond is left out and told, and other clients' messages are not", async () => {
    const stage = await openStage({ messagesPerSecondMax: 10_000 });
    const max = LIMITS.brokerQueuedPerClientMax.value;
    const [screen, monitor] = [await stage.account("screen", { rights: READ_ALL }), await stage.account("monitor")];
    const away = await connectKeeping(stage, "screen", screen);
    await away.client.subscribeAsync("devices/#", { qos: 1 });
    await away.client.endAsync();
    const sender = await connectClient(stage, "monitor", monitor);
    await Promise.all(
      Array.from({ length: max + 5 }, (_, number) => sender.publishAsync("devices/monitor/x", `${number}`, { qos: 1 })),
    );
    expect(stage.broker.view()).toMatchObject({ kept: { queuedCount: max }, refused: { "session-full": 5 } });
    expect(stage.faults).toMatchObject([
      { code: "broker-overloaded", facts: { reason: "session-full", account: "screen", count: 1 } },
    ]);
    const back = await connectKeeping(stage, "screen", screen);
    await until("what was queued", () => back.seen.length === max);
    expect(back.seen.at(-1)).toBe(`devices/monitor/x ${max - 1}`);
    await Promise.all([back.client.endAsync(), sender.endAsync()]);
  });

  test("retained messages are bounded: a further topic's message is delivered and not retained, and told", async () => {
    const stage = await openStage({ messagesPerSecondMax: 10_000 });
    const monitor = await stage.account("monitor");
    const sender = await connectClient(stage, "monitor", monitor);
    const payload = "x".repeat(60_000);
    const fitting = Math.floor(LIMITS.brokerRetainedBytesMax.value / payload.length);
    const retain = (number: number) => sender.publishAsync(`devices/monitor/${number}`, payload, { qos: 1, retain: true });
    await Promise.all(Array.from({ length: fitting + 3 }, (_, number) => retain(number)));
    await sender.publishAsync("devices/monitor/0", "short", { qos: 1, retain: true });
    const { kept, refused } = stage.broker.view();
    expect([kept.retainedCount, refused["retained-full"]]).toEqual([fitting, 3]);
    expect(kept.retainedBytes).toBeLessThanOrEqual(LIMITS.brokerRetainedBytesMax.value);
    await sender.endAsync();
  });

  test("a disk that refuses is told; a message that must be kept is not acknowledged before it is, and one that need not be is", async () => {
    const stage = await openStage();
    const monitor = await stage.account("monitor");
    const sender = await connectClient(stage, "monitor", monitor);
    // A folder in the place of the file's next version: it cannot be written, by root neither.
    await rm(join(stage.folder, "broker-sessions.log"), { force: true });
    await mkdir(join(stage.folder, "broker-sessions.log.new"));
    let isThanked = false;
    void sender.publishAsync("devices/monitor/state", "kept", { qos: 1, retain: true }).then(() => {
      isThanked = true;
    });
    await until("it is told", () => stage.faults.some(({ code }) => code === "broker-store-failed"));
    const pump = await connectClient(stage, "pump", await stage.account("pump"));
    await pump.publishAsync("devices/pump/x", "not kept", { qos: 1 });
    expect(isThanked).toBe(false);
    await rm(join(stage.folder, "broker-sessions.log.new"), { recursive: true });
    await until("the thanks", () => isThanked);
    await pump.endAsync();
    expect(await readFile(join(stage.folder, "broker-sessions.log"), "utf8")).toContain("devices/monitor/state");
    await sender.endAsync();
  });
});

describe("last wills of clients that were in when the gateway died", () => {
  test("are published when their time is over, those of clients that came back and of strangers are not", async () => {
    const stage = await openStage();
    const passwords = new Map<string, string>();
    for (const name of ["gone", "back", "stranger"]) passwords.set(name, await stage.account(name));
    const connectWith = (at: BrokerStage, name: string, topic: string) => {
      const will = { topic, payload: Buffer.from("offline"), qos: 1 as const, retain: true };
      return connectClient(at, name, passwords.get(name) ?? "", { will });
    };
    const clients = [
      await connectWith(stage, "gone", "devices/gone/state"),
      await connectWith(stage, "back", "devices/back/state"),
      await connectWith(stage, "stranger", "devices/gone/state"),
    ];
    await until("all wills are on disk", async () => {
      const text = await readFile(join(stage.folder, "broker-sessions.log"), "utf8").catch(() => "");
      return text.split('["w ').length === 4;
    });
    // What a process that was killed now would leave.
    for (const name of ["broker-sessions.log", "broker-accounts.json"]) {
      await writeFile(join(folder, name), await readFile(join(stage.folder, name)));
    }
    const time = createSimulatedClock();
    const next = await startStage({ dataFolder: folder }, { clock: time });
    cleanups.push(next.remove);
    const link = recordListener({ thanks: true });
    next.broker.inlet.listen({ topics: ["devices/#"], account: null }, link);
    const back = await connectWith(next, "back", "devices/back/state");
    await time.advance(LIMITS.brokerWillGraceMs.value - 1);
    expect(link.arrivals).toEqual([]);
    await time.advance(1);
    await until("the will", () => link.arrivals.length > 0);
    await pause(50);
    expect(link.arrivals.map(({ topic, retained }) => `${topic} ${retained}`)).toEqual(["devices/gone/state false"]);
    expect(next.broker.view().kept.retainedCount).toBe(1);
    for (const client of [...clients, back]) client.end(true);
  });
});

// ---------------------------------------------------------------------------------------------- killed processes

interface Life {
  readonly port: () => number;
  readonly kill: () => Promise<void>;
}

async function startProcess(port = 0): Promise<Life> {
  const program = new URL("./support/broker-process.ts", import.meta.url).pathname;
  const child: ChildProcess = spawn(process.execPath, [program, folder, String(port)], { stdio: ["ignore", "pipe", "inherit"] });
  cleanups.push(() => child.kill("SIGKILL"));
  let given = 0;
  if (child.stdout !== null)
    createInterface({ input: child.stdout }).on(
      "line",
      (line) => (given = line.startsWith("port ") ? Number(line.slice(5)) : given),
    );
  await until("the broker lets clients in", () => given > 0);
  const kill = async () => {
    child.kill("SIGKILL");
    if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
  };
  return { port: () => given, kill };
}

async function makeAccounts(): Promise<(name: string, rights?: typeof READ_ALL) => Promise<string>> {
  const accounts = await openBrokerAccounts(join(folder, "broker-accounts.json"), { now: clock.wall, random: randomBytes });
  if (!accounts.ok) throw new Error(accounts.error.code);
  return async (name, rights) => {
    const added = await accounts.value.add({ name, rights });
    return added.ok ? (added.value.password ?? "") : "";
  };
}

describe("kill -9", () => {
  test("in the middle of it: what was acknowledged is retained and queued, three times over", async () => {
    const account = await makeAccounts();
    const [screen, monitor] = [await account("screen", READ_ALL), await account("monitor")];
    const acknowledged: number[] = [];
    const got = new Set<number>();
    let next = 0;
    for (let life = 0; life < 3; life++) {
      const broker = await startProcess();
      const reader = await connectKeeping(broker, "screen", screen);
      await reader.client.subscribeAsync("devices/monitor/queue", { qos: 1 });
      // What was queued in the lives before comes now.
      await until("what was acknowledged", () => {
        for (const line of reader.seen) got.add(Number(line.split(" ")[1]));
        return acknowledged.every((number) => got.has(number));
      });
      await reader.client.endAsync();
      const options = {
        username: "monitor",
        password: monitor,
        clientId: "monitor",
        protocolVersion: 4,
        reconnectPeriod: 0,
      } as const;
      const sender = await connectAsync(`mqtt://127.0.0.1:${broker.port()}`, options);
      sender.on("error", () => {});
      const sending = setInterval(() => {
        const number = next++;
        const note = (error: unknown) => {
          if (error === null || error === undefined) acknowledged.push(number);
        };
        sender.publish("devices/monitor/queue", `${number}`, { qos: 1 }, note);
        sender.publish(`devices/monitor/state/${number % 7}`, `${number}`, { qos: 1, retain: true });
      }, 1);
      const before = acknowledged.length;
      await until("some are acknowledged", () => acknowledged.length > before + 50 + life * 17);
      clearInterval(sending);
      await broker.kill();
      sender.end(true);
    }
    const broker = await startProcess();
    const reader = await connectKeeping(broker, "screen", screen);
    await until("what was acknowledged", () => {
      for (const line of reader.seen) got.add(Number(line.split(" ")[1]));
      return acknowledged.every((number) => got.has(number));
    });
    expect(acknowledged.length).toBeGreaterThan(150);
    const retained: string[] = [];
    reader.client.on("message", (topic, _payload, { retain }) => void (retain && retained.push(topic)));
    await reader.client.subscribeAsync("devices/monitor/state/#", { qos: 0 });
    await until("what is retained", () => retained.length === 7);
    await reader.client.endAsync();
    await broker.kill();
  });

  test("a session's subscriptions are there as well, and those it gave up are not", async () => {
    const account = await makeAccounts();
    const [screen, monitor] = [await account("screen", READ_ALL), await account("monitor")];
    const first = await startProcess();
    const reader = await connectKeeping(first, "screen", screen);
    await reader.client.subscribeAsync(["devices/monitor/a", "devices/monitor/+", "devices/monitor/b"], { qos: 1 });
    await reader.client.unsubscribeAsync("devices/monitor/+");
    // A busy machine takes its time to write them.
    await pause(1000);
    await first.kill();
    const second = await startProcess();
    const options = { username: "monitor", password: monitor, clientId: "monitor", protocolVersion: 4 } as const;
    const sender = await connectAsync(`mqtt://127.0.0.1:${second.port()}`, options);
    for (const name of ["a", "b", "c"]) await sender.publishAsync(`devices/monitor/${name}`, name, { qos: 1 });
    const back = await connectKeeping(second, "screen", screen);
    await until("what it still wants", () => back.seen.length >= 2);
    await pause(100);
    expect(back.seen).toEqual(["devices/monitor/a a", "devices/monitor/b b"]);
    reader.client.end(true);
    await Promise.all([back.client.endAsync(), sender.endAsync()]);
    await second.kill();
  });

  test("a damaged line of the file costs that line only", async () => {
    const account = await makeAccounts();
    const [screen, monitor] = [await account("screen", READ_ALL), await account("monitor")];
    const first = await startProcess();
    const options = { username: "monitor", password: monitor, clientId: "monitor", protocolVersion: 4 } as const;
    const sender = await connectAsync(`mqtt://127.0.0.1:${first.port()}`, { ...options, reconnectPeriod: 0 });
    for (const name of ["a", "b", "c"]) await sender.publishAsync(`devices/monitor/${name}`, name, { qos: 1, retain: true });
    sender.end(true);
    await first.kill();
    const file = join(folder, "broker-sessions.log");
    const lines = (await readFile(file, "utf8")).split("\n");
    await writeFile(file, lines.map((line) => (line.includes("monitor/b") ? line.slice(0, 20) : line)).join("\n"));
    await appendFile(file, '["r devices/monitor/z",{"topic":3}]\n["x y",1]\n');
    const second = await startProcess();
    const reader = await connectAsync(`mqtt://127.0.0.1:${second.port()}`, {
      username: "screen",
      password: screen,
      clientId: "screen",
      protocolVersion: 4,
    });
    const seen = record(reader);
    await reader.subscribeAsync("#", { qos: 1 });
    await until("the rest", () => seen.length === 2);
    expect(seen.sort()).toEqual(["devices/monitor/a a retained", "devices/monitor/c c retained"]);
    await reader.endAsync();
    await second.kill();
  });
});
