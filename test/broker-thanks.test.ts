import type { MqttClient } from "mqtt";
import { afterEach, describe, expect, test } from "vitest";
import { createSystemClock } from "../src/clock.ts";
import { LIMITS } from "../src/core/limits.ts";
import { openLink } from "../src/transports/link.ts";
import {
  type BrokerStage,
  connectClient,
  connectPacket,
  connectRaw,
  type ListenerRecord,
  publishPacket,
  type RawClient,
  recordListener,
  signInRaw,
  startStage,
} from "./support/broker-stage.ts";
import { watchLink } from "./support/link-watcher.ts";
import { pause, until } from "./support/until.ts";

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

interface Ward {
  readonly stage: BrokerStage;
  readonly password: string;
  readonly link: ListenerRecord;
}

/** A broker with one monitor and the link that listens to it. */
async function openWard({ thanks, more = {} }: { thanks: boolean; more?: Parameters<typeof startStage>[0] }): Promise<Ward> {
  const stage = await startStage(more);
  cleanups.push(stage.remove);
  const password = await stage.account("monitor");
  const link = recordListener({ thanks });
  stage.broker.inlet.listen({ topics: ["devices/monitor/#"], account: "monitor" }, link);
  return { stage, password, link };
}

const signIn = ({ stage, password }: Ward): Promise<MqttClient> => connectClient(stage, "monitor", password);
/** Identifiers of the PUBACKs (first byte 0x40) that came. */
function pubacks(raw: RawClient): readonly number[] {
  const bytes = raw.received();
  const found: number[] = [];
  for (let at = 0; at + 1 < bytes.length; at += 2 + (bytes[at + 1] ?? 0))
    if (bytes[at] === 0x40) found.push(bytes.readUInt16BE(at + 2));
  return found;
}

describe("the sender is thanked after the commit, not before", () => {
  test.each([1, 2] as const)("QoS %i: no acknowledgement before the link thanks, and one after it", async (qos) => {
    const ward = await openWard({ thanks: false });
    const client = await signIn(ward);
    let isThanked = false;
    client.publish("devices/monitor/x", "72", { qos }, () => {
      isThanked = true;
    });
    await until("the message", () => ward.link.arrivals.length === 1);
    await pause(200);
    expect([isThanked, ward.stage.broker.view().heldCount]).toEqual([false, 1]);
    ward.link.arrivals[0]?.thank();
    await until("the thanks", () => isThanked);
    expect(ward.stage.broker.view().heldCount).toBe(0);
    await client.endAsync();
  });

  test("of thousands in one breath none is acknowledged before it is thanked for, and all are in their order", async () => {
    const ward = await openWard({ thanks: false });
    const raw = await signInRaw(ward.stage, "monitor", ward.password);
    const count = 3000;
    raw.socket.write(
      Buffer.concat(
        Array.from({ length: count }, (_, index) =>
          publishPacket("devices/monitor/x", `${index}`, { qos: 1, messageId: index + 1 }),
        ),
      ),
    );
    for (let thanked = 0; thanked < count; ) {
      await until("the next messages", () => ward.link.arrivals.length > thanked);
      const upTo = Math.min(thanked + 500, ward.link.arrivals.length);
      expect(pubacks(raw).length).toBeLessThanOrEqual(thanked);
      for (; thanked < upTo; thanked++) ward.link.arrivals[thanked]?.thank();
    }
    await until("all thanks", () => pubacks(raw).length === count);
    expect(pubacks(raw)).toEqual(Array.from({ length: count }, (_, index) => index + 1));
    expect(ward.link.texts()).toEqual(Array.from({ length: count }, (_, index) => `${index}`));
    raw.socket.destroy();
  });

  test("thanks out of order are given in the order of the messages, each once", async () => {
    const ward = await openWard({ thanks: false });
    const raw = await signInRaw(ward.stage, "monitor", ward.password);
    for (const messageId of [11, 12, 13])
      raw.socket.write(publishPacket("devices/monitor/x", `${messageId}`, { qos: 1, messageId }));
    await until("three messages", () => ward.link.arrivals.length === 3);
    const [first, second, third] = ward.link.arrivals;
    third?.thank();
    second?.thank();
    second?.thank();
    await pause(100);
    expect(pubacks(raw)).toEqual([]);
    first?.thank();
    await until("three thanks", () => pubacks(raw).length >= 3);
    await pause(50);
    expect(pubacks(raw)).toEqual([11, 12, 13]);
    raw.socket.destroy();
  });

  test("a message that two links want waits for both", async () => {
    const ward = await openWard({ thanks: false });
    const other = recordListener({ thanks: false });
    ward.stage.broker.inlet.listen({ topics: ["devices/+/x"], account: null }, other);
    const raw = await signInRaw(ward.stage, "monitor", ward.password);
    raw.socket.write(publishPacket("devices/monitor/x", "a", { qos: 1, messageId: 5 }));
    await until("both", () => ward.link.arrivals.length === 1 && other.arrivals.length === 1);
    // Twice by one is not once by both.
    ward.link.arrivals[0]?.thank();
    ward.link.arrivals[0]?.thank();
    await pause(100);
    expect(pubacks(raw)).toEqual([]);
    other.arrivals[0]?.thank();
    await until("the thanks", () => pubacks(raw).length === 1);
    raw.socket.destroy();
  });

  test("thanks for a connection that is gone are given to nobody, not to the one that came after it", async () => {
    const ward = await openWard({ thanks: false });
    const first = await signInRaw(ward.stage, "monitor", ward.password);
    first.socket.write(publishPacket("devices/monitor/x", "a", { qos: 1, messageId: 9 }));
    await until("the message", () => ward.link.arrivals.length === 1);
    const second = await signInRaw(ward.stage, "monitor", ward.password);
    ward.link.arrivals[0]?.thank();
    await pause(100);
    expect(pubacks(second)).toEqual([]);
    second.socket.write(publishPacket("devices/monitor/x", "a", { qos: 1, messageId: 9, dup: true }));
    await until("the message again", () => ward.link.arrivals.length === 2);
    expect(ward.link.arrivals.map(({ again, messageId }) => [again, messageId])).toEqual([
      [false, 9],
      [true, 9],
    ]);
    ward.link.arrivals[1]?.thank();
    await until("the thanks", () => pubacks(second).length === 1);
    second.socket.destroy();
  });

  test("a message that nobody of the gateway wants is acknowledged at once", async () => {
    const ward = await openWard({ thanks: false });
    const password = await ward.stage.account("pump");
    const client = await connectClient(ward.stage, "pump", password);
    await client.publishAsync("devices/pump/x", "1", { qos: 1 });
    await client.publishAsync("devices/pump/x", "2", { qos: 2 });
    expect(ward.link.arrivals).toEqual([]);
    await client.endAsync();
  });

  test("a message on a device's topic that its link does not listen to yet is not acknowledged: its sender comes again until it does", async () => {
    const ward = await openWard({ thanks: true, more: { reservedTopics: ["devices/pump/#"] } });
    const password = await ward.stage.account("pump");
    const raw = await signInRaw(ward.stage, "pump", password);
    raw.socket.write(publishPacket("devices/pump/x", "1", { qos: 1, messageId: 3 }));
    await until("it is cut", raw.isClosed);
    expect(pubacks(raw)).toEqual([]);
    const link = recordListener({ thanks: true });
    ward.stage.broker.inlet.listen({ topics: ["devices/pump/#"], account: "pump" }, link);
    const again = await signInRaw(ward.stage, "pump", password);
    again.socket.write(publishPacket("devices/pump/x", "1", { qos: 1, messageId: 3, dup: true }));
    await until("the thanks", () => pubacks(again).length === 1);
    expect(link.texts()).toEqual(["1"]);
    again.socket.destroy();
  });

  test("a link that cannot take a message ends its sender's connection, and takes it when it comes again", async () => {
    const stage = await startStage();
    cleanups.push(stage.remove);
    const password = await stage.account("monitor");
    const link = recordListener({ thanks: true });
    let isFull = true;
    const listener = { ...link, message: (...args: Parameters<typeof link.message>) => !isFull && link.message(...args) };
    stage.broker.inlet.listen({ topics: ["devices/monitor/#"], account: "monitor" }, listener);
    const raw = await signInRaw(stage, "monitor", password);
    raw.socket.write(
      Buffer.concat([1, 2, 3].map((messageId) => publishPacket("devices/monitor/x", `${messageId}`, { qos: 1, messageId }))),
    );
    await until("it is cut", raw.isClosed);
    isFull = false;
    const again = await signInRaw(stage, "monitor", password);
    again.socket.write(
      Buffer.concat(
        [1, 2, 3].map((messageId) => publishPacket("devices/monitor/x", `${messageId}`, { qos: 1, messageId, dup: true })),
      ),
    );
    await until("all thanks", () => pubacks(again).length === 3);
    expect([pubacks(raw), link.texts()]).toEqual([[], ["1", "2", "3"]]);
    expect(link.story).toEqual(["down not-connected", "up", "down queue-full", "up"]);
    again.socket.destroy();
  });
});

describe("a gateway's link through its own broker", () => {
  test("hands over whole messages, and its commits are the sender's thanks; what is sent again is known by its identity", async () => {
    const stage = await startStage();
    cleanups.push(stage.remove);
    const password = await stage.account("monitor");
    const spec = { kind: "mqtt", topics: ["devices/monitor/#"], source: { kind: "embedded", account: "monitor" } } as const;
    const parts = { clock: createSystemClock(), random: () => 0, stop: new AbortController().signal, inlet: stage.broker.inlet };
    const link = openLink(spec, parts);
    cleanups.push(link.close);
    const watcher = watchLink(link);
    const chunks = () => watcher.events.flatMap((event) => (event.kind === "bytes" ? [event] : []));
    const raw = await signInRaw(stage, "monitor", password);
    for (const messageId of [21, 22, 23])
      raw.socket.write(publishPacket("devices/monitor/x", `${messageId}`, { qos: 1, messageId }));
    await until("three chunks", () => chunks().length === 3);
    link.committed(chunks()[1]?.position ?? 0);
    await until("two thanks", () => pubacks(raw).length === 2);
    raw.socket.destroy();
    await until("the link is down", () => watcher.story().at(-1)?.startsWith("down") === true);
    const again = await signInRaw(stage, "monitor", password);
    again.socket.write(publishPacket("devices/monitor/x", "23", { qos: 1, messageId: 23, dup: true }));
    await until("the chunk again", () => chunks().length === 4);
    expect([pubacks(raw), pubacks(again)]).toEqual([[21, 22], []]);
    expect(chunks().map(({ channel, kept, bytes }) => `${channel} ${kept ?? false} ${Buffer.from(bytes)}`)).toEqual([
      "devices/monitor/x false 21",
      "devices/monitor/x false 22",
      "devices/monitor/x false 23",
      "devices/monitor/x true 23",
    ]);
    expect(chunks()[3]?.identity).toBe(chunks()[2]?.identity);
    link.committed(chunks()[3]?.position ?? 0);
    await until("the thanks", () => pubacks(again).length === 1);
    expect(watcher.story().slice(-5)).toEqual(["up", "bytes", "down link-down", "up", "bytes"]);
    again.socket.destroy();
  });
});

describe("a disk that hangs does not mute a device", () => {
  test("while nothing is thanked for, its further messages arrive, and pings are answered", async () => {
    const ward = await openWard({ thanks: false });
    const raw = await signInRaw(ward.stage, "monitor", ward.password);
    for (let messageId = 1; messageId <= 300; messageId++) {
      raw.socket.write(publishPacket("devices/monitor/x", `kept ${messageId}`, { qos: 1, messageId }));
      raw.socket.write(publishPacket("devices/monitor/x", `light ${messageId}`));
      if (messageId % 50 === 0) {
        await until(`${messageId} messages`, () => ward.link.arrivals.length === 2 * messageId);
        const before = raw.received().length;
        raw.socket.write(Buffer.from([0xc0, 0]));
        await until("the answer to the ping", () => raw.received().length === before + 2);
      }
    }
    expect(pubacks(raw)).toEqual([]);
    expect(ward.link.texts()).toEqual(
      Array.from({ length: 600 }, (_, index) => `${index % 2 === 0 ? "kept" : "light"} ${(index >> 1) + 1}`),
    );
    raw.socket.destroy();
  });

  test("beyond the bound nothing more is read until one is thanked for, and then nothing is missing", async () => {
    const ward = await openWard({ thanks: false });
    const raw = await signInRaw(ward.stage, "monitor", ward.password, 1);
    const max = LIMITS.brokerHeldPerClientMax.value;
    raw.socket.write(
      Buffer.concat(
        Array.from({ length: max + 2 }, (_, index) =>
          publishPacket("devices/monitor/x", `${index}`, { qos: 1, messageId: index + 1 }),
        ),
      ),
    );
    await until("so many as may be held", () => ward.link.arrivals.length === max);
    // Longer than one and a half times the promised second: what we do not read is not the client's silence.
    await pause(2000);
    expect([ward.link.arrivals.length, raw.isClosed()]).toEqual([max, false]);
    ward.link.arrivals[0]?.thank();
    await until("one more", () => ward.link.arrivals.length === max + 1);
    await pause(50);
    expect(ward.link.arrivals.length).toBe(max + 1);
    for (const { thank } of ward.link.arrivals) thank();
    await until("the last", () => ward.link.arrivals.length === max + 2);
    ward.link.arrivals.at(-1)?.thank();
    await until("all thanks", () => pubacks(raw).length === max + 2);
    raw.socket.destroy();
  });

  test("another client that wants the same messages has them at once, whatever the links do", async () => {
    const ward = await openWard({ thanks: false });
    const password = await ward.stage.account("screen", { rights: [{ access: "subscribe", filter: "devices/#" }] });
    const screen = await connectClient(ward.stage, "screen", password);
    const seen: string[] = [];
    screen.on("message", (_topic, payload) => void seen.push(payload.toString()));
    await screen.subscribeAsync("devices/monitor/#", { qos: 1 });
    const raw = await signInRaw(ward.stage, "monitor", ward.password);
    for (let messageId = 1; messageId <= 20; messageId++)
      raw.socket.write(publishPacket("devices/monitor/x", `${messageId}`, { qos: 1, messageId }));
    await until("all of them", () => seen.length === 20);
    expect(pubacks(raw)).toEqual([]);
    raw.socket.destroy();
    await screen.endAsync();
  });
});

describe("the state of a device's link", () => {
  test("up and down follow its connection, with the reason: goodbye, silence, a cut, another one in its place, the broker's end", async () => {
    const ward = await openWard({ thanks: true });
    const client = await signIn(ward);
    await client.endAsync();
    await until("goodbye", () => ward.link.story.length === 3);
    const cut = await signInRaw(ward.stage, "monitor", ward.password);
    cut.socket.destroy();
    await until("the cut", () => ward.link.story.length === 5);
    const silent = await signInRaw(ward.stage, "monitor", ward.password, 1);
    await until("the silence", () => ward.link.story.length === 7);
    expect(silent.isClosed()).toBe(true);
    const first = await signInRaw(ward.stage, "monitor", ward.password);
    const second = await signInRaw(ward.stage, "monitor", ward.password);
    await until("the take-over", () => ward.link.story.length === 10);
    expect([first.isClosed(), second.isClosed()]).toEqual([true, false]);
    await ward.stage.broker.close();
    const causes = ["not-connected", "disconnected", "closed-by-peer", "keep-alive", "taken-over", "broker-stopped"];
    expect(ward.link.story).toEqual(
      causes.flatMap((cause, index) => (index === 0 ? [`down ${cause}`] : ["up", `down ${cause}`])),
    );
  });

  test("a client that keeps its promise stays, one that breaks it goes after one and a half times", async () => {
    const ward = await openWard({ thanks: true });
    const raw = await signInRaw(ward.stage, "monitor", ward.password, 1);
    for (let second = 0; second < 3; second++) {
      await pause(900);
      raw.socket.write(Buffer.from([0xc0, 0]));
    }
    expect(raw.isClosed()).toBe(false);
    const startMs = performance.now();
    await until("it is cut", raw.isClosed);
    expect(performance.now() - startMs).toBeGreaterThan(1400);
    expect(performance.now() - startMs).toBeLessThan(6000);
  });

  test("the last will comes before the link is down, so that what it says is not lost on a link that is gone", async () => {
    const ward = await openWard({ thanks: true });
    const order: string[] = [];
    ward.stage.broker.inlet.listen(
      { topics: ["devices/monitor/state"], account: "monitor" },
      {
        message: ({ payload }) => order.push(Buffer.from(payload).toString()) > 0,
        up: () => void order.push("up"),
        down: (cause) => void order.push(cause),
      },
    );
    const will = { topic: "devices/monitor/state", payload: Buffer.from("offline"), qos: 1 as const, retain: true };
    const client = await connectClient(ward.stage, "monitor", ward.password, { will });
    for (const topic of ["a", "b"]) await client.subscribeAsync(`devices/monitor/commands/${topic}`, { qos: 1 });
    client.stream.destroy();
    await until("the end", () => order.length === 4);
    expect(order.splice(0)).toEqual(["not-connected", "up", "offline", "closed-by-peer"]);
    const first = await connectClient(ward.stage, "monitor", ward.password, { will });
    for (const topic of ["a", "b"]) await first.subscribeAsync(`devices/monitor/commands/${topic}`, { qos: 1 });
    const second = await connectClient(ward.stage, "monitor", ward.password);
    expect(order).toEqual(["up", "offline", "taken-over", "up"]);
    await second.endAsync();
  });

  test("what was retained does not come after what was sent since, however long it had to wait", async () => {
    const ward = await openWard({ thanks: true });
    const client = await signIn(ward);
    for (const topic of ["a", "b"]) await client.publishAsync(`devices/monitor/${topic}`, "retained", { qos: 1, retain: true });
    const told: string[] = [];
    let isFull = true;
    const stop = ward.stage.broker.inlet.listen(
      { topics: ["devices/monitor/#"], account: null },
      {
        message: ({ topic, payload, retained }) => {
          if (retained && isFull) return false;
          return told.push(`${topic} ${Buffer.from(payload)} ${retained}`) > 0;
        },
        up: () => {},
        down: () => {},
      },
    );
    await client.publishAsync("devices/monitor/a", "now", { qos: 0 });
    await until("what is now", () => told.length === 1);
    isFull = false;
    await until("what was retained", () => told.length === 2);
    await pause(250);
    expect(told).toEqual(["devices/monitor/a now false", "devices/monitor/b retained true"]);
    stop();
    await client.endAsync();
  });

  test("an account with two connections is down when both are gone", async () => {
    const ward = await openWard({ thanks: true });
    const password = await ward.stage.account("bridge", { clientIds: ["a", "b"] });
    const link = recordListener({ thanks: true });
    ward.stage.broker.inlet.listen({ topics: ["devices/bridge/#"], account: "bridge" }, link);
    const more = (clientId: string) => connectClient(ward.stage, "bridge", password, { clientId });
    const [one, other] = [await more("a"), await more("b")];
    expect(ward.stage.broker.listAccounts().find(({ name }) => name === "bridge")?.addresses).toEqual(["127.0.0.1", "127.0.0.1"]);
    await one.endAsync();
    await pause(100);
    expect(link.story).toEqual(["down not-connected", "up"]);
    await other.endAsync();
    await until("both are gone", () => link.story.length === 3);
  });

  test("a listener without an account is as up as the broker; one that stops listening hears no more, and its messages are nobody's", async () => {
    const ward = await openWard({ thanks: true });
    const link = recordListener({ thanks: true });
    const stop = ward.stage.broker.inlet.listen({ topics: ["devices/monitor/#"], account: null }, link);
    const client = await signIn(ward);
    await client.publishAsync("devices/monitor/x", "1", { qos: 1 });
    stop();
    await client.publishAsync("devices/monitor/x", "2", { qos: 1 });
    expect([link.story, link.texts(), ward.link.texts()]).toEqual([["up"], ["1"], ["1", "2"]]);
    await client.endAsync();
  });

  test("who listens while the device is in is told that it is up, and what is retained, marked as such", async () => {
    const ward = await openWard({ thanks: true });
    const client = await signIn(ward);
    await client.publishAsync("devices/monitor/state", "online", { qos: 1, retain: true });
    await client.publishAsync("devices/monitor/x", "gone", { qos: 1 });
    const link = recordListener({ thanks: true });
    ward.stage.broker.inlet.listen({ topics: ["devices/monitor/#"], account: "monitor" }, link);
    expect(link.story).toEqual(["up"]);
    await until("what is retained", () => link.arrivals.length === 1);
    expect(link.arrivals[0]).toMatchObject({ topic: "devices/monitor/state", retained: true, messageId: null, again: false });
    await client.publishAsync("devices/monitor/state", "busy", { qos: 1, retain: true });
    expect(link.arrivals[1]).toMatchObject({ retained: false });
    await client.endAsync();
  });

  test("clients wait at the door until the links listen", async () => {
    const stage = await startStage({}, { admit: false });
    cleanups.push(stage.remove);
    const password = await stage.account("monitor");
    const raw = await connectRaw(stage.port());
    raw.socket.write(
      Buffer.concat([connectPacket("monitor", password), publishPacket("devices/monitor/x", "early", { qos: 1, messageId: 4 })]),
    );
    await pause(200);
    expect(raw.received()).toHaveLength(0);
    const link = recordListener({ thanks: true });
    stage.broker.inlet.listen({ topics: ["devices/monitor/#"], account: "monitor" }, link);
    stage.broker.admit();
    await until("the thanks", () => pubacks(raw).length === 1);
    expect(link.texts()).toEqual(["early"]);
    raw.socket.destroy();
  });
});
