import type { MqttClient } from "mqtt";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createSimulatedClock } from "../simulator/world/simulated-clock.ts";
import { LIMITS } from "../src/core/limits.ts";
import {
  type BrokerStage,
  clientOptions,
  connectClient,
  connectPacket,
  connectRaw,
  type ListenerRecord,
  packetOf,
  publishPacket,
  type RawClient,
  recordListener,
  signInRaw,
  startStage,
  textOf,
  trySignIn,
} from "./support/broker-stage.ts";
import { seededRandom } from "./support/seeded-random.ts";
import { pause, until } from "./support/until.ts";

/** A good client's message may take so long from its sending to its thanks, on a machine that others use as well. Alone it takes 2 ms. */
const DELAY_MS_MAX = 1000;

/** Of every packet a client may send. */
const FIRST_BYTES = [0x30, 0x32, 0x34, 0x3d, 0x40, 0x50, 0x62, 0x70, 0x82, 0xa2, 0xc0, 0xe0];

const cleanups: (() => unknown)[] = [];
let stage: BrokerStage;
let link: ListenerRecord;
let badPassword: string;

beforeEach(async () => {
  stage = await startStage({ messagesPerSecondMax: 500 });
  cleanups.push(stage.remove);
  link = recordListener({ thanks: true });
  stage.broker.inlet.listen({ topics: ["devices/good/#"], account: "good" }, link);
  badPassword = await stage.account("bad");
});
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** Sends as the good client while the other one misbehaves; returns the longest time a message took until it was thanked for. */
async function longestDelayWhile(client: MqttClient, misbehave: () => Promise<void>): Promise<number> {
  let isOver = false;
  const over = misbehave().finally(() => {
    isOver = true;
  });
  let longestMs = 0;
  while (!isOver) {
    const startMs = performance.now();
    await client.publishAsync("devices/good/x", `${startMs}`, { qos: 1 });
    longestMs = Math.max(longestMs, performance.now() - startMs);
    await pause(10);
  }
  await over;
  expect(client.connected).toBe(true);
  return longestMs;
}

async function goodClient(): Promise<MqttClient> {
  const client = await connectClient(stage, "good", await stage.account("good"));
  cleanups.push(() => client.endAsync(true));
  return client;
}
const refusedOf = (name: string) => stage.broker.listAccounts().find((account) => account.name === name)?.lastRefusal?.reason;

describe("one bad client does not disturb the others", () => {
  test("that floods: it is read at its pace, loses nothing, and the good one's messages take no longer", async () => {
    const good = await goodClient();
    const flood = recordListener({ thanks: true });
    stage.broker.inlet.listen({ topics: ["devices/bad/#"], account: "bad" }, flood);
    const bad = await signInRaw(stage, "bad", badPassword);
    const one = publishPacket("devices/bad/x", "flood");
    const longestMs = await longestDelayWhile(good, async () => {
      const startMs = performance.now();
      bad.socket.write(Buffer.concat(Array<Buffer>(2000).fill(one)));
      await until("the flood has come", () => flood.arrivals.length === 2000);
      // 2000 messages at 500 a second, of which 1000 may come at once.
      expect(performance.now() - startMs).toBeGreaterThan(1800);
    });
    expect(longestMs).toBeLessThan(DELAY_MS_MAX);
    bad.socket.destroy();
  });

  test("that floods with pings and subscriptions: the same pace", async () => {
    const good = await goodClient();
    const bad = await signInRaw(stage, "bad", badPassword);
    const startMs = performance.now();
    const longestMs = await longestDelayWhile(good, async () => {
      bad.socket.write(Buffer.concat(Array<Buffer>(2000).fill(Buffer.from([0xc0, 0]))));
      await until("all answers", () => bad.received().length >= 4 + 4000);
    });
    expect(performance.now() - startMs).toBeGreaterThan(1500);
    expect(longestMs).toBeLessThan(DELAY_MS_MAX);
    bad.socket.destroy();
  });

  test("that sends 10 MB in one message: it is passed over, acknowledged and told, and what it sends after that arrives", async () => {
    const good = await goodClient();
    const after = recordListener({ thanks: true });
    stage.broker.inlet.listen({ topics: ["devices/bad/#"], account: "bad" }, after);
    const bad = await signInRaw(stage, "bad", badPassword);
    const longestMs = await longestDelayWhile(good, async () => {
      bad.socket.write(publishPacket("devices/bad/x", Buffer.alloc(10_000_000), { qos: 1, messageId: 3 }));
      bad.socket.write(publishPacket("devices/bad/x", "small", { qos: 1, messageId: 4 }));
      await until("both thanks", () => bad.received().length >= 4 + 8);
    });
    expect(longestMs).toBeLessThan(DELAY_MS_MAX);
    expect(bad.received().subarray(4)).toEqual(Buffer.from([0x40, 2, 0, 3, 0x40, 2, 0, 4]));
    expect([after.texts(), refusedOf("bad")]).toEqual([["small"], "message-too-large"]);
    expect(stage.faults.map(({ code, facts }) => `${code} ${facts["reason"]}`)).toEqual([
      "broker-message-refused message-too-large",
    ]);
    bad.socket.destroy();
  });

  test("the largest message is taken, one byte more is not", async () => {
    const client = await connectClient(stage, "bad", badPassword);
    const after = recordListener({ thanks: true });
    stage.broker.inlet.listen({ topics: ["devices/bad/#"], account: "bad" }, after);
    for (const bytes of [65_536, 65_537])
      for (const qos of [0, 1, 2] as const) await client.publishAsync("devices/bad/x", Buffer.alloc(bytes), { qos });
    await client.publishAsync("devices/bad/x", "end", { qos: 1 });
    expect(after.arrivals.map(({ payload }) => payload.length)).toEqual([65_536, 65_536, 65_536, 3]);
    await client.endAsync();
  });

  test("that never reads what it subscribed to: it is disconnected, and the good ones' messages take no longer", async () => {
    const good = await goodClient();
    const password = await stage.account("reader", { rights: [{ access: "subscribe", filter: "devices/#" }] });
    const bad = await signInRaw(stage, "reader", password);
    bad.socket.write(packetOf(0x82, Buffer.concat([Buffer.from([0, 1]), textOf("devices/good/#"), Buffer.from([1])])));
    await until("it is subscribed", () => bad.received().length >= 4 + 5);
    bad.socket.pause();
    const reader = await connectClient(stage, "bad", badPassword);
    let isOut = false;
    let longestMs = 0;
    const payload = Buffer.alloc(60_000, 120);
    for (let number = 0; number < 400 && !isOut; number++) {
      const startMs = performance.now();
      await good.publishAsync("devices/good/x", payload, { qos: 1 });
      longestMs = Math.max(longestMs, performance.now() - startMs);
      isOut = refusedOf("reader") === "reads-too-slowly";
    }
    expect([isOut, reader.connected, good.connected]).toEqual([true, true, true]);
    expect(longestMs).toBeLessThan(DELAY_MS_MAX);
    expect(stage.faults).toMatchObject([{ code: "broker-overloaded", facts: { reason: "reads-too-slowly", account: "reader" } }]);
    bad.socket.destroy();
    await reader.endAsync();
  }, 40_000);

  test("that connects 1,000 times a minute and says nothing, or signs in again and again", async () => {
    const good = await goodClient();
    let [letIn, turnedAway] = [0, 0];
    const longestMs = await longestDelayWhile(good, async () => {
      for (let number = 0; number < 120; number++) {
        const answer = await trySignIn(clientOptions(stage, "bad", badPassword));
        if (answer === "in") letIn += 1;
        else turnedAway += 1;
      }
      const silent: RawClient[] = [];
      for (let number = 0; number < 880; number++) {
        silent.push(await connectRaw(stage.port()));
        if (number % 2 === 0) silent[number]?.socket.destroy();
      }
      await pause(200);
      turnedAway += silent.filter((one, index) => index % 2 === 1 && one.isClosed()).length;
      for (const { socket } of silent) socket.destroy();
    });
    expect(letIn).toBeLessThan(LIMITS.brokerSignInsPerMinuteMax.value + 20);
    expect(turnedAway).toBeGreaterThan(100);
    expect(longestMs).toBeLessThan(DELAY_MS_MAX);
    expect(stage.broker.view().refused["too-many-connects"]).toBeGreaterThan(0);
    expect(stage.faults.filter(({ facts }) => facts["reason"] === "too-many-connects").length).toBeLessThanOrEqual(2);
  }, 40_000);
});

describe("bounds of one client", () => {
  test("an address from which a whole fleet signs in again and again is not taken for a bad one", async () => {
    const names = Array.from({ length: 14 }, (_, index) => `fleet-${index}`);
    const passwords = await Promise.all(names.map((name) => stage.account(name)));
    const signInOften = async (name: string, password: string) => {
      for (let number = 0; number < 50; number++) (await signInRaw(stage, name, password)).socket.destroy();
    };
    await Promise.all(names.map((name, index) => signInOften(name, passwords[index] ?? "")));
    expect(names.length * 50).toBeGreaterThan(LIMITS.brokerConnectsPerMinuteMax.value);
    expect(stage.broker.view()).toMatchObject({ refused: {}, traffic: { connectionsCount: 700 } });
  });

  test("a client that connects and says nothing is cut when its time is over, and one that says half a word too", async () => {
    const clock = createSimulatedClock();
    const slow = await startStage({}, { clock });
    cleanups.push(slow.remove);
    const [silent, half] = [await connectRaw(slow.port()), await connectRaw(slow.port())];
    half.socket.write(connectPacket("x", "y").subarray(0, 9));
    await until("both are there", () => slow.broker.view().connectionsCount === 2);
    await clock.advance(LIMITS.brokerSignInMsMax.value - 1);
    await pause(50);
    expect([silent.isClosed(), half.isClosed()]).toEqual([false, false]);
    await clock.advance(1);
    await clock.advance(LIMITS.brokerCloseMsMax.value);
    await until("both are cut", () => silent.isClosed() && half.isClosed());
    expect(slow.broker.view().refused["sign-in-late"]).toBe(2);
  });

  test("more connections than there may be are closed at once; the ones that are in stay", async () => {
    const small = await startStage({ connectionsMax: 3 });
    cleanups.push(small.remove);
    const password = await small.account("a");
    const client = await connectClient(small, "a", password);
    const others = [await connectRaw(small.port()), await connectRaw(small.port())];
    await until("they are there", () => small.broker.view().connectionsCount === 3);
    const further = await connectRaw(small.port());
    await until("the further one is closed", further.isClosed);
    expect([client.connected, others.some((one) => one.isClosed())]).toEqual([true, false]);
    expect(small.faults).toMatchObject([
      { code: "broker-overloaded", facts: { reason: "too-many-connections", address: "127.0.0.1" } },
    ]);
    others[0]?.socket.destroy();
    await until("there is room", () => small.broker.view().connectionsCount === 2);
    await until("another comes in", async () => !(await connectRaw(small.port())).isClosed());
    await client.endAsync();
  });

  test("the fiftieth subscription is granted, the next is not, and one given up makes room", async () => {
    const client = await connectClient(stage, "bad", badPassword);
    const max = LIMITS.brokerSubscriptionsPerClientMax.value;
    const qosOf = async (name: string) =>
      client.subscribeAsync(`devices/bad/commands/${name}`, { qos: 1 }).then(
        (granted) => granted[0]?.qos,
        () => 128,
      );
    const answers = [];
    for (let number = 1; number <= max + 1; number++) answers.push(await qosOf(`${number}`));
    expect(answers).toEqual([...Array<number>(max).fill(1), 128]);
    expect(refusedOf("bad")).toBe("too-many-subscriptions");
    await client.unsubscribeAsync("devices/bad/commands/1");
    expect(await qosOf("new")).toBe(1);
    await client.endAsync();
  });

  test("a hundred messages with QoS 2 may be begun, more end the connection", async () => {
    const max = LIMITS.brokerQos2InFlightMax.value;
    const raw = await signInRaw(stage, "bad", badPassword);
    for (let messageId = 1; messageId <= max; messageId++)
      raw.socket.write(publishPacket("devices/bad/x", "x", { qos: 2, messageId }));
    await until("all are answered", () => raw.received().length === 4 + 4 * max);
    expect(raw.isClosed()).toBe(false);
    raw.socket.write(publishPacket("devices/bad/x", "x", { qos: 2, messageId: max + 1 }));
    await until("it is cut", raw.isClosed);
  });

  test("a client that is refused again and again is disconnected", async () => {
    const fast = await startStage({ messagesPerSecondMax: 5000 });
    cleanups.push(fast.remove);
    const raw = await signInRaw(fast, "bad", await fast.account("bad"));
    const max = LIMITS.brokerRefusalsPerMinuteMax.value;
    raw.socket.write(Buffer.concat(Array<Buffer>(max - 20).fill(publishPacket("foreign", "x"))));
    await until("they are refused", () => fast.broker.view().refused["topic-not-allowed"] === max - 20);
    expect(raw.isClosed()).toBe(false);
    raw.socket.write(Buffer.concat(Array<Buffer>(100).fill(publishPacket("foreign", "x"))));
    await until("it is cut", raw.isClosed);
    expect(fast.faults.map(({ facts }) => facts["reason"])).toEqual(["topic-not-allowed", "refused-too-often"]);
  });

  test.each([
    ["something that is not a CONNECT first", Buffer.from([0xc0, 0])],
    ["a CONNECT that is too long", packetOf(0x10, Buffer.alloc(16_385))],
    ["a length without an end", Buffer.from([0x10, 0xff, 0xff, 0xff, 0xff, 0x7f])],
    ["another protocol", Buffer.from("GET / HTTP/1.1\r\nHost: x\r\n\r\n")],
    ["a CONNECT of nonsense", packetOf(0x10, Buffer.alloc(50, 7))],
  ])("%s is cut", async (_what, bytes) => {
    const raw = await connectRaw(stage.port());
    raw.socket.write(bytes);
    await until("it is cut", raw.isClosed);
    expect(raw.received()).toHaveLength(0);
  });

  test.each([
    ["a second CONNECT", () => connectPacket("bad", badPassword)],
    ["a CONNACK", () => Buffer.from([0x20, 2, 0, 0])],
    ["QoS 3", () => Buffer.from([0x36, 7, 0, 1, 97, 0, 1, 0, 0])],
    ["an identifier of 0", () => publishPacket("devices/bad/x", "x", { qos: 1, messageId: 0 })],
    ["a SUBSCRIBE that is too long", () => packetOf(0x82, Buffer.alloc(16_385))],
    ["a SUBSCRIBE of nonsense", () => packetOf(0x82, Buffer.alloc(20, 200))],
    ["a topic longer than its packet", () => Buffer.from([0x30, 4, 0xff, 0xff, 97, 97])],
  ])("%s from a client that is in is cut", async (_what, bytes) => {
    const raw = await signInRaw(stage, "bad", badPassword);
    raw.socket.write(bytes());
    await until("it is cut", raw.isClosed);
  });

  test("random bytes of clients that are in bring nothing down", async () => {
    const { whole, bytes } = seededRandom(20_261_122);
    const fast = await startStage({ messagesPerSecondMax: 10_000 });
    cleanups.push(fast.remove);
    const names = Array.from({ length: 30 }, (_, index) => `fuzz-${index}`);
    const passwords = await Promise.all(names.map((name) => fast.account(name)));
    const good = await connectClient(fast, "good", await fast.account("good"));
    for (const [index, name] of names.entries()) {
      for (let round = 0; round < 10; round++) {
        const raw = await signInRaw(fast, name, passwords[index] ?? "");
        const first = FIRST_BYTES[whole({ min: 0, max: FIRST_BYTES.length - 1 })] ?? 0x30;
        const body = Buffer.from(bytes(whole({ min: 0, max: 60 })));
        raw.socket.write(Buffer.concat([packetOf(first, body), bytes(20)]));
        await pause(1);
        raw.socket.destroy();
      }
    }
    await good.publishAsync("devices/good/x", "still here", { qos: 1 });
    expect(good.connected).toBe(true);
    await good.endAsync();
  });

  test("the broker ends within a second, whatever its clients do", async () => {
    const clients = await Promise.all(
      Array.from({ length: 20 }, async (_, index) => signInRaw(stage, `c-${index}`, await stage.account(`c-${index}`))),
    );
    for (const { socket } of clients) socket.pause();
    const silent = await connectRaw(stage.port());
    const startMs = performance.now();
    await stage.broker.close();
    expect(performance.now() - startMs).toBeLessThan(1000);
    expect(await connectRaw(stage.port()).catch((error: Error & { code?: string }) => error.code)).toBe("ECONNREFUSED");
    for (const { socket } of [...clients, silent]) socket.destroy();
  });
});
