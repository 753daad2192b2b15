import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connectAsync, type MqttClient } from "mqtt";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createSimulatedClock } from "../simulator/world/simulated-clock.ts";
import { createSystemClock } from "../src/clock.ts";
import type { BrokerInlet, BrokerListener, Link, LinkEvent, MqttServer } from "../src/core/ports.ts";
import { openLink } from "../src/transports/link.ts";
import { type LinkWatcher, watchLink } from "./support/link-watcher.ts";
import { type Mosquitto, mosquittoIsMissing, prepareMosquitto, writePasswords } from "./support/mosquitto.ts";

type Bytes = Extract<LinkEvent, { kind: "bytes" }>;

const clock = createSystemClock();
const cleanups: (() => unknown)[] = [];
let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "vigil-mqtt-"));
});
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
  await rm(folder, { recursive: true, force: true });
});

async function startServer(lines: readonly string[] = ["allow_anonymous true"]): Promise<Mosquitto> {
  const server = await prepareMosquitto(lines);
  cleanups.push(() => server.remove());
  await server.start();
  return server;
}

function open(
  server: { readonly port: number },
  more: Partial<MqttServer> = {},
  topics: readonly string[] = ["devices/#"],
): Link {
  const access: MqttServer = { url: `mqtt://127.0.0.1:${server.port}`, protocolVersion: 5, ...more };
  const source = { kind: "server", access, clientId: "vigil-ward-monitor" } as const;
  const link = openLink({ kind: "mqtt", topics, source }, { clock, random: () => 0, stop: new AbortController().signal });
  cleanups.push(() => link.close());
  return link;
}

async function connectSender(server: Mosquitto, more: object = {}): Promise<MqttClient> {
  const client = await connectAsync(`mqtt://127.0.0.1:${server.port}`, { reconnectPeriod: 0, ...more });
  cleanups.push(() => client.endAsync(true));
  return client;
}

const messages = ({ events }: LinkWatcher): readonly Bytes[] => events.filter((event) => event.kind === "bytes");
const textsOf = (watcher: LinkWatcher) => messages(watcher).map(({ bytes }) => Buffer.from(bytes).toString());
const lastPosition = (watcher: LinkWatcher) => messages(watcher).at(-1)?.position ?? 0;
const send = (client: MqttClient, text: string, more: { retain?: boolean; qos?: 0 | 1 } = {}) =>
  client.publishAsync("devices/monitor/vitals", text, { qos: 1, ...more });

describe.skipIf(mosquittoIsMissing)("a link through another MQTT server", () => {
  test.each([4, 5] as const)(
    "MQTT version %i: hands over whole messages with their topics, in order, and nothing of them is kept",
    async (protocolVersion) => {
      const server = await startServer();
      const sender = await connectSender(server);
      const link = open(server, { protocolVersion });
      const watcher = watchLink(link);
      const thanking = setInterval(() => link.committed(lastPosition(watcher)), 5);
      cleanups.push(() => clearInterval(thanking));
      await watcher.until(() => watcher.story()[0] === "up", "the link");
      for (let number = 0; number < 200; number++) await sender.publishAsync(`devices/${number % 7}/x`, `${number}`, { qos: 1 });
      await watcher.until(() => messages(watcher).length === 200, "200 messages");
      expect(textsOf(watcher)).toEqual(Array.from({ length: 200 }, (_, number) => `${number}`));
      expect(messages(watcher).map(({ channel }) => channel)).toEqual(
        Array.from({ length: 200 }, (_, number) => `devices/${number % 7}/x`),
      );
      expect(messages(watcher).filter(({ kept }) => kept === true)).toEqual([]);
      expect(messages(watcher).every(({ identity }) => identity !== undefined)).toBe(true);
      await send(sender, "once", { qos: 0 });
      await watcher.until(() => messages(watcher).length === 201, "the message of QoS 0");
      expect(messages(watcher).at(-1)?.identity).toBeUndefined();
    },
  );

  test("what was not thanked for comes again with the next connection, marked, with the same identity; what was does not", async () => {
    const server = await startServer();
    const sender = await connectSender(server);
    const first = open(server);
    const watcher = watchLink(first);
    await watcher.until(() => watcher.story()[0] === "up", "the link");
    for (const text of ["a", "b", "c", "d"]) await send(sender, text);
    await watcher.until(() => messages(watcher).length === 4, "four messages");
    first.committed(messages(watcher)[1]?.position ?? 0);
    await first.close();
    const second = watchLink(open(server));
    await second.until(() => messages(second).length === 2, "the rest again");
    expect(textsOf(second)).toEqual(["c", "d"]);
    expect(messages(second).map(({ kept }) => kept)).toEqual([true, true]);
    expect(messages(second).map(({ identity }) => identity)).toEqual(
      messages(watcher)
        .slice(2)
        .map(({ identity }) => identity),
    );
  });

  test("what the server queued while the link was closed is kept, and what is sent after that is not", async () => {
    const server = await startServer();
    const sender = await connectSender(server);
    const first = open(server);
    const watcher = watchLink(first);
    await watcher.until(() => watcher.story()[0] === "up", "the link");
    await first.close();
    for (let number = 0; number < 100; number++) await send(sender, `old ${number}`);
    const again = open(server);
    const second = watchLink(again);
    const thanking = setInterval(() => again.committed(lastPosition(second)), 5);
    cleanups.push(() => clearInterval(thanking));
    await second.until(() => messages(second).length === 100, "the queue");
    await new Promise((resolve) => setTimeout(resolve, 200));
    await send(sender, "new");
    await second.until(() => messages(second).length === 101, "the new one");
    expect(messages(second).map(({ kept }) => kept === true)).toEqual([...Array<boolean>(100).fill(true), false]);
  });

  test("a server that lets us have no topic of our own is taken at its silence: after a second what comes is now", async () => {
    const passwords = join(folder, "passwords");
    writePasswords({ file: passwords, username: "gateway", password: "secret" });
    await writeFile(join(folder, "acl"), "topic write devices/#\n\nuser gateway\ntopic read devices/#\n");
    await writeFile(join(folder, "secret"), "secret\n");
    const server = await startServer(["allow_anonymous true", `password_file ${passwords}`, `acl_file ${join(folder, "acl")}`]);
    const sender = await connectSender(server);
    const access = { username: "gateway", passwordFile: join(folder, "secret") };
    const first = open(server, access);
    const watcher = watchLink(first);
    await watcher.until(() => watcher.story()[0] === "up", "the link");
    await first.close();
    await send(sender, "old");
    const second = watchLink(open(server, access));
    // Refused its own topic with messages under way, this server ends the connection once; the next one does not ask.
    await second.until(
      () => second.story().filter((word) => word === "up").length === 2 || textsOf(second).length === 2,
      "the second connection",
    );
    await new Promise((resolve) => setTimeout(resolve, 1800));
    await send(sender, "new");
    await second.until(() => textsOf(second).includes("new"), "the new one");
    expect(
      textsOf(second)
        .slice(0, -1)
        .every((text) => text === "old"),
    ).toBe(true);
    expect(messages(second).map(({ kept }) => kept === true)).toEqual([
      ...textsOf(second)
        .slice(0, -1)
        .map(() => true),
      false,
    ]);
  });

  test("a retained message is kept", async () => {
    const server = await startServer();
    const sender = await connectSender(server);
    await send(sender, "alarm of yesterday", { retain: true });
    const watcher = watchLink(open(server));
    await watcher.until(() => messages(watcher).length === 1, "the retained message");
    await send(sender, "alarm of now", { retain: true });
    await watcher.until(() => messages(watcher).length === 2, "the new one");
    expect(messages(watcher).map(({ kept }) => kept === true)).toEqual([true, false]);
  });

  test("a password that is wrong is told as denied, a server that is away as down, and the link comes up with the server", async () => {
    const passwords = join(folder, "passwords");
    writePasswords({ file: passwords, username: "gateway", password: "secret" });
    await writeFile(join(folder, "wrong"), "wrong\n");
    await writeFile(join(folder, "right"), "secret\n");
    const server = await startServer(["allow_anonymous false", `password_file ${passwords}`]);
    const denied = watchLink(open(server, { username: "gateway", passwordFile: join(folder, "wrong") }));
    await denied.until(() => denied.story()[0] === "down link-denied", "the refusal");
    await server.signal("SIGTERM");
    const away = watchLink(open(server, { username: "gateway", passwordFile: join(folder, "right") }));
    await away.until(() => away.story()[0] === "down link-down", "the outage");
    await server.start();
    await away.until(() => away.story().includes("up"), "the link", 20_000);
  });

  test("a consumer that is slow loses nothing: what it does not take stays with the server", async () => {
    const server = await startServer();
    const sender = await connectSender(server);
    const link = open(server);
    const taken = new Set<string>();
    let wait = Promise.resolve();
    let reading = Promise.withResolvers<void>();
    void (async () => {
      for await (const event of link.events) {
        await wait;
        if (event.kind === "up") reading.resolve();
        if (event.kind !== "bytes") continue;
        taken.add(Buffer.from(event.bytes).toString().trimEnd());
        link.committed(event.position);
      }
    })();
    await reading.promise;
    reading = Promise.withResolvers<void>();
    wait = reading.promise;
    const texts = Array.from({ length: 1500 }, (_, number) => `${number}`);
    await Promise.all(texts.map((text) => send(sender, text.padEnd(200))));
    await new Promise((resolve) => setTimeout(resolve, 300));
    wait = Promise.resolve();
    reading.resolve();
    for (let attempt = 0; taken.size < texts.length && attempt < 400; attempt++)
      await new Promise((resolve) => setTimeout(resolve, 50));
    expect(taken.size).toBe(texts.length);
  });
});

// ------------------------------------------------------------------ the embedded broker

/** The broker's side, played by the test. */
function openInlet(): { readonly inlet: BrokerInlet; readonly listener: () => BrokerListener; readonly stopped: () => boolean } {
  let heard: BrokerListener | null = null;
  let stopped = false;
  return {
    inlet: {
      listen: (_wanted, listener) => {
        heard = listener;
        listener.down("not-connected");
        return () => {
          stopped = true;
        };
      },
    },
    listener: () => {
      if (heard === null) throw new Error("nobody listens");
      return heard;
    },
    stopped: () => stopped,
  };
}

describe("a link to the gateway's own broker", () => {
  const arrival = (text: string, more: { again?: boolean; retained?: boolean; messageId?: number | null } = {}) => ({
    topic: "devices/watch/vitals",
    payload: Buffer.from(text),
    retained: false,
    again: false,
    messageId: 7,
    ...more,
  });
  const openIt = () => {
    const side = openInlet();
    const source = { kind: "embedded", account: "watch" } as const;
    const parts = { clock, random: () => 0, stop: new AbortController().signal, inlet: side.inlet };
    const link = openLink({ kind: "mqtt", topics: ["devices/watch/#"], source }, parts);
    cleanups.push(() => link.close());
    return { ...side, link };
  };

  test("is as up as its account, tells each change once, and thanks for what is committed, in order", async () => {
    const { link, listener } = openIt();
    const watcher = watchLink(link);
    listener().up();
    listener().up();
    const thanked: string[] = [];
    for (const text of ["a", "b", "c"]) expect(listener().message(arrival(text), () => thanked.push(text))).toBe(true);
    await watcher.until(() => messages(watcher).length === 3, "three messages");
    link.committed(2);
    expect(thanked).toEqual(["a", "b"]);
    listener().down("keep-alive");
    listener().down("keep-alive");
    listener().up();
    link.committed(3);
    expect(thanked).toEqual(["a", "b"]);
    await watcher.until(() => watcher.story().length === 4, "the story");
    expect(watcher.story()).toEqual(["up", "bytes", "down link-down", "up"]);
  });

  test("a device that is not there yet is told as down ten seconds after the start, and not before", async () => {
    const simulated = createSimulatedClock();
    const { inlet } = openInlet();
    const source = { kind: "embedded", account: "watch" } as const;
    const parts = { clock: simulated, random: () => 0, stop: new AbortController().signal, inlet };
    const link = openLink({ kind: "mqtt", topics: ["devices/watch/#"], source }, parts);
    cleanups.push(() => link.close());
    const watcher = watchLink(link);
    await simulated.advance(9_900);
    expect(watcher.story()).toEqual([]);
    await simulated.advance(200);
    await watcher.until(() => watcher.story().length === 1, "the outage");
    expect(watcher.story()).toEqual(["down link-down"]);
  });

  test("what is sent again or was retained is kept; the same message has the same identity, QoS 0 has none", async () => {
    const { link, listener } = openIt();
    const watcher = watchLink(link);
    for (const given of [
      arrival("a"),
      arrival("a", { again: true }),
      arrival("a", { messageId: 8 }),
      arrival("b"),
      arrival("a", { messageId: null }),
      arrival("a", { retained: true }),
    ])
      listener().message(given, () => {});
    await watcher.until(() => messages(watcher).length === 6, "six messages");
    const [first, ...others] = messages(watcher);
    expect(messages(watcher).map(({ kept }) => kept === true)).toEqual([false, true, false, false, false, true]);
    expect(others.map(({ identity }) => identity === first?.identity)).toEqual([true, false, false, false, true]);
    expect(messages(watcher)[4]?.identity).toBeUndefined();
  });

  test("takes nothing while its queue is full, and ends with its stop", async () => {
    const { link, listener, stopped } = openIt();
    let takenCount = 0;
    while (listener().message(arrival("x".repeat(1000)), () => {})) takenCount += 1;
    expect(takenCount).toBeGreaterThan(30);
    const watcher = watchLink(link);
    await watcher.until(() => messages(watcher).length === takenCount, "what waited");
    expect(listener().message(arrival("y"), () => {})).toBe(true);
    await link.close();
    await watcher.ended;
    expect(stopped()).toBe(true);
  });
});
