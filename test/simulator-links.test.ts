import { writeFile } from "node:fs/promises";
import { createServer, type Socket } from "node:net";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, describe, expect, test } from "vitest";
import { noninDf2 } from "../drivers/serial/nonin-df2.ts";
import { COURSES } from "../simulator/body/courses.ts";
import { createPatient } from "../simulator/body/patient.ts";
import { runTwin } from "../simulator/devices/running-twin.ts";
import { createTimetable } from "../simulator/devices/timetable.ts";
import { openBadLink } from "../simulator/links/bad-link.ts";
import { type BadLinkPlan, createBadSender } from "../simulator/links/bad-sender.ts";
import { openDeviceServer } from "../simulator/links/device-server.ts";
import { createFaultLine, type LinkFaults, NO_FAULTS, unfitFaults } from "../simulator/links/link-faults.ts";
import { openMemoryLink } from "../simulator/links/memory-link.ts";
import { startMqttDevice } from "../simulator/links/mqtt-device.ts";
import { castOf } from "../simulator/scenario/cast.ts";
import { deviceWire } from "../simulator/scenario/device-wire.ts";
import { parseScenario } from "../simulator/scenario/load.ts";
import { createSimulatedClock, type SimulatedClock } from "../simulator/world/simulated-clock.ts";
import { createSystemClock } from "../src/clock.ts";
import { LIMITS } from "../src/core/limits.ts";
import type { DriverSession, Emission, Twin } from "../src/core/ports.ts";
import { connectMqtt } from "../src/mqtt/connection.ts";
import { openLink } from "../src/transports/link.ts";
import { recordListener, startStage } from "./support/broker-stage.ts";
import { watchLink } from "./support/link-watcher.ts";
import { until } from "./support/until.ts";

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

describe("a memory link", () => {
  test("tells what happens in order, counts chunks from 1 and ends after close", async () => {
    const clock = createSimulatedClock();
    const written: [number, string][] = [];
    const memory = openMemoryLink({ clock, onWritten: (bytes, channel) => void written.push([bytes[0] ?? -1, channel]) });
    expect(memory.send(Uint8Array.of(1, 2))).toBe(false);
    expect((await memory.link.write("a", Uint8Array.of(7))).ok).toBe(false);
    expect(memory.up()).toBe(true);
    const mine = Uint8Array.of(3, 4);
    memory.send(mine, "topic", { retained: true, kept: true });
    mine[0] = 99;
    await clock.advance(500);
    memory.send(Uint8Array.of(5));
    expect((await memory.link.write("a", Uint8Array.of(8))).ok).toBe(true);
    memory.down("unplugged");
    memory.down();
    memory.up();
    memory.link.committed(2);
    await memory.link.close();
    memory.down();
    expect(memory.send(Uint8Array.of(6))).toBe(false);
    const told = [];
    for await (const event of memory.link.events) told.push(event);
    expect(told).toMatchObject([
      { kind: "up", atMonotonicMs: 1_000_000 },
      { kind: "bytes", position: 1, channel: "topic", bytes: Uint8Array.of(3, 4), retained: true, kept: true },
      { kind: "bytes", position: 2, channel: "", bytes: Uint8Array.of(5), receivedMonotonicMs: 1_000_500 },
      { kind: "down", fault: { code: "link-down", facts: { cause: "unplugged" } } },
      { kind: "up" },
    ]);
    expect(told.length).toBe(5);
    expect(written).toEqual([[8, "a"]]);
    expect(memory.thankedUpTo()).toBe(2);
    expect(memory.bytesDropped()).toBe(3);
  });

  test("a consumer that does not read costs no more than the limit, and what is lost is counted", async () => {
    const memory = openMemoryLink({ clock: createSimulatedClock() });
    memory.up();
    let taken = 0;
    for (let count = 0; count < 1000; count++) taken += memory.send(new Uint8Array(936)) ? 1 : 0;
    expect(taken).toBe(Math.floor((LIMITS.simulatedQueueBytesMax.value - 64) / 1000));
    expect(memory.bytesDropped()).toBe((1000 - taken) * 936);
    while (memory.send(new Uint8Array(0)));
    for (let count = 0; count < 3; count++) memory.down();
    expect(memory.up()).toBe(false);
    const watcher = watchLink(memory.link);
    await watcher.until(() => watcher.received().length === taken * 936, "everything that was taken");
    expect(memory.up()).toBe(true);
    await memory.link.close();
  });
});

// ------------------------------------------------------------------ the faults, without time

/** Bytes of which no two neighbours are alike, so that what is moved or missing shows. */
const BYTES = Uint8Array.from({ length: 6000 }, (_, index) => (index * 37 + 11) % 251);
const SEND_BYTES = 60;

/** What comes out of a line that is given the bytes in pieces of these lengths, in turn. */
function passed(faults: Partial<LinkFaults>, { seed = 3, pieceBytes = [SEND_BYTES] as readonly number[] } = {}) {
  const line = createFaultLine({ ...NO_FAULTS, ...faults }, seed);
  const acts = [];
  for (let start = 0, turn = 0; start < BYTES.length; turn++) {
    const length = pieceBytes[turn % pieceBytes.length] ?? 1;
    acts.push(...line.pass(BYTES.subarray(start, start + length)));
    start += length;
  }
  return acts;
}

const piecesOf = (acts: ReturnType<typeof passed>) => acts.flatMap((act) => (act.kind === "forward" ? [act.bytes] : []));
const joined = (acts: ReturnType<typeof passed>) => Buffer.concat(piecesOf(acts));
/** Numbers of the sends that came, in order, where each came whole. */
const sendsOf = (acts: ReturnType<typeof passed>) => {
  const sent = Array.from({ length: BYTES.length / SEND_BYTES }, (_, index) =>
    Buffer.from(BYTES.subarray(index * SEND_BYTES, (index + 1) * SEND_BYTES)).toString("hex"),
  );
  return piecesOf(acts).map((piece) => sent.indexOf(Buffer.from(piece).toString("hex")));
};

describe("each fault of a link alone", () => {
  test("none: every send as it was", () => {
    expect(sendsOf(passed({}))).toEqual(Array.from({ length: 100 }, (_, index) => index));
  });

  test("bursts: bytes come between, and not one is missing", () => {
    const received = joined(passed({ burstEveryBytes: 400 }));
    expect(received.length).toBeGreaterThan(BYTES.length + 20);
    let found = 0;
    for (const byte of received) if (byte === BYTES[found]) found += 1;
    expect(found).toBe(BYTES.length);
  });

  test("parity: seven bits stay, and every byte has an even count of ones", () => {
    const received = joined(passed({ wrongParity: true }));
    const ones = (byte: number) => byte.toString(2).replaceAll("0", "").length;
    expect([...received].every((byte) => ones(byte) % 2 === 0)).toBe(true);
    expect([...received].map((byte) => byte & 0x7f)).toEqual([...BYTES].map((byte) => byte & 0x7f));
    expect(received.equals(Buffer.from(BYTES))).toBe(false);
  });

  test("duplicates: some sends come twice, next to each other", () => {
    const sends = sendsOf(passed({ duplicateEveryBytes: 600 }));
    expect(sends.length).toBeGreaterThan(103);
    expect(sends.length).toBeLessThan(125);
    expect([...new Set(sends)]).toEqual(Array.from({ length: 100 }, (_, index) => index));
    expect(sends.every((send, index) => index === 0 || send - (sends[index - 1] ?? 0) <= 1)).toBe(true);
  });

  test("reordering: some neighbours have changed places, and nobody else", () => {
    const sends = sendsOf(passed({ reorderEveryBytes: 600 }));
    const away = sends.map((send, index) => send - index);
    expect(new Set(away)).toEqual(new Set([0, 1, -1]));
    expect(away.filter((by) => by === 1).length).toBe(away.filter((by) => by === -1).length);
  });

  test("truncation: some sends lack their rest, and the next one begins whole", () => {
    const pieces = piecesOf(passed({ truncateEveryBytes: 600 }));
    const torn = pieces.filter((piece) => piece.length < SEND_BYTES);
    expect(torn.length).toBeGreaterThan(3);
    expect(torn.length).toBeLessThan(25);
    const starts = new Set(Array.from({ length: 100 }, (_, index) => BYTES[index * SEND_BYTES]));
    expect(pieces.every((piece) => starts.has(piece[0]))).toBe(true);
  });

  test.each<readonly [string, Partial<LinkFaults>]>([
    ["flips", { flipEveryBytes: 100 }],
    ["bursts", { burstEveryBytes: 100 }],
    ["a drop", { dropEveryBytes: 3000 }],
    ["a half-open connection", { halfOpenEveryBytes: 3000 }],
    ["bursts, flips and parity together", { burstEveryBytes: 100, flipEveryBytes: 100, wrongParity: true }],
  ])("%s: at the same bytes however they come in pieces, and with another seed at others", (_, faults) => {
    const whole = passed(faults, { pieceBytes: [BYTES.length] });
    const cut = passed(faults, { pieceBytes: [7, 61, 1] });
    expect(joined(cut).equals(joined(whole))).toBe(true);
    expect(cut.at(-1)?.kind).toBe(whole.at(-1)?.kind);
    expect(joined(passed(faults, { seed: 4 })).equals(joined(whole))).toBe(false);
  });

  test("splits: at the same bytes however they come in pieces, and no byte is changed", () => {
    const endsOf = (acts: ReturnType<typeof passed>) => {
      let atByte = 0;
      return piecesOf(acts).map((piece) => {
        atByte += piece.length;
        return atByte;
      });
    };
    const whole = passed({ splitEveryBytes: 100 }, { pieceBytes: [BYTES.length] });
    const ends = endsOf(passed({ splitEveryBytes: 100 }, { pieceBytes: [7, 61, 1] }));
    expect(endsOf(whole).length).toBeGreaterThan(30);
    expect(endsOf(whole).filter((end) => !ends.includes(end))).toEqual([]);
    expect(joined(whole).equals(Buffer.from(BYTES))).toBe(true);
  });

  test("what a message cannot suffer is named in both languages, and a serial line may suffer all", () => {
    const all = {
      ...NO_FAULTS,
      splitEveryBytes: 1,
      mergeEveryBytes: 1,
      burstEveryBytes: 1,
      wrongParity: true,
      dropEveryBytes: 1,
    };
    expect(unfitFaults(all, "bytes")).toEqual([]);
    const unfit = unfitFaults(all, "messages");
    expect(unfit.map(({ fault }) => fault)).toEqual(["splitEveryBytes", "mergeEveryBytes", "burstEveryBytes", "wrongParity"]);
    for (const text of unfit.flatMap(({ problem, remedy }) => [problem, remedy])) {
      expect(text.en).toMatch(/[A-Za-z]{2}/);
      expect(text.zh).toMatch(/\p{Script=Han}{2}/u);
    }
  });
});

// ------------------------------------------------------------------------------ with time

/** A bad sender on a memory link and a clock that moves when told. */
function badMemoryLink(faults: Partial<LinkFaults>, seed = 5) {
  const clock = createSimulatedClock();
  const memory = openMemoryLink({ clock });
  memory.up();
  const carrier = { send: memory.send, drop: () => memory.down("dropped"), restore: () => void memory.up() };
  const sender = createBadSender({ faults: { ...NO_FAULTS, ...faults }, seed, clock, carrier, backAfterMs: 2000 });
  const watcher = watchLink(memory.link);
  return { clock, memory, sender, watcher };
}

/** Lets time pass, and then everybody read what has come. */
async function pass(clock: SimulatedClock, milliseconds: number) {
  await clock.advance(milliseconds);
  await new Promise((resolve) => setImmediate(resolve));
}

type BadMemoryLink = ReturnType<typeof badMemoryLink>;

/** Sends one stretch of so many bytes, numbered, every so often. */
async function sendMany(
  { clock, sender }: BadMemoryLink,
  of: { readonly count: number; readonly everyMs: number; readonly bytes: number },
) {
  for (let index = 0; index < of.count; index++) {
    sender.send(new Uint8Array(of.bytes).fill(index % 256), "");
    await pass(clock, of.everyMs);
  }
}

const arrivals = ({ watcher }: BadMemoryLink) =>
  watcher.events.flatMap((event) => (event.kind === "bytes" ? [{ byte: event.bytes[0], atMs: event.receivedMonotonicMs }] : []));

describe("a bad sender", () => {
  test("without a fault every send goes on at once", async () => {
    const bad = badMemoryLink({});
    bad.sender.send(Uint8Array.of(7), "");
    await bad.clock.advance(0);
    expect(bad.watcher.received()).toEqual(Buffer.of(7));
  });

  test("jitter far above the time between two sends: in order, never later than it may be, and nothing piles up", async () => {
    const bad = badMemoryLink({ delayMsMax: 1000 });
    let mostBytes = 0;
    for (let part = 0; part < 60; part++) {
      await sendMany(bad, { count: 250, everyMs: 10, bytes: 4 });
      mostBytes = Math.max(mostBytes, bad.sender.stats().waitingBytes);
    }
    await pass(bad.clock, 1000);
    const came = arrivals(bad);
    expect(came.length).toBe(60 * 250);
    expect(came.every(({ byte }, index) => byte === (index % 250) % 256)).toBe(true);
    const lateMs = came.map(({ atMs }, index) => atMs - 1_000_000 - index * 10);
    expect(Math.max(...lateMs)).toBeLessThanOrEqual(1001);
    expect(Math.max(...lateMs)).toBeGreaterThan(900);
    expect(mostBytes).toBeLessThanOrEqual(400);
    expect(bad.sender.stats()).toMatchObject({ bytesDropped: 0, waitingBytes: 0 });
  });

  test("a slow line carries what it carries, holds no more than it may, and counts what it loses", async () => {
    const bad = badMemoryLink({ slowBytesPerSecond: 1000 });
    await sendMany(bad, { count: 600, everyMs: 100, bytes: 1000 });
    const { waitingBytes, bytesDropped } = bad.sender.stats();
    expect(waitingBytes).toBeLessThanOrEqual(LIMITS.simulatedHeldBytesMax.value);
    expect(waitingBytes).toBeGreaterThan(LIMITS.simulatedHeldBytesMax.value - 2000);
    expect(arrivals(bad).length).toBe(60);
    expect(bytesDropped).toBe(600_000 - 60_000 - waitingBytes);
  });

  test("a drop or a flap loses what is on its way, counted, and the connection is there again after its time", async () => {
    const bad = badMemoryLink({ dropEveryBytes: 4000, flapEveryMs: 7000, delayMsMax: 500 });
    await sendMany(bad, { count: 300, everyMs: 100, bytes: 50 });
    const { lossCount, bytesVanished, waitingBytes } = bad.sender.stats();
    expect(lossCount).toBeGreaterThan(2);
    expect(bytesVanished).toBe(300 * 50 - bad.watcher.received().length - waitingBytes);
    const changes = bad.watcher.events.flatMap((event) => (event.kind === "bytes" ? [] : [event]));
    const awayMs = changes.flatMap((event, index) => {
      const next = changes[index + 1];
      return event.kind === "down" && next !== undefined ? [next.atMonotonicMs - event.atMonotonicMs] : [];
    });
    // A flap in the time after a drop makes it longer.
    expect(Math.min(...awayMs)).toBe(2000);
    expect(Math.max(...awayMs)).toBeLessThan(4000);
    expect(arrivals(bad).length).toBeLessThan(300);
  });

  test("half-open: nothing comes and nothing is told, until somebody begins anew", async () => {
    const bad = badMemoryLink({ halfOpenEveryBytes: 500 });
    await sendMany(bad, { count: 200, everyMs: 100, bytes: 50 });
    expect(bad.sender.isHalfOpen()).toBe(true);
    expect(bad.watcher.story()).toEqual(["up", "bytes"]);
    const before = bad.watcher.received().length;
    bad.sender.begin();
    await sendMany(bad, { count: 1, everyMs: 100, bytes: 1 });
    expect(bad.watcher.received().length).toBe(before + 1);
  });

  test("flapping: the connection goes and comes by the clock, whether anything is sent or not, until it is stopped", async () => {
    const bad = badMemoryLink({ flapEveryMs: 10_000, flapForMs: 700 });
    await bad.clock.advance(200_000);
    const told = bad.watcher.events.map((event) => ("atMonotonicMs" in event ? [event.kind, event.atMonotonicMs] : []));
    expect(told.length).toBeGreaterThan(15);
    expect(told.length).toBeLessThan(80);
    expect(told.every(([kind], index) => kind === (index % 2 === 0 ? "up" : "down"))).toBe(true);
    expect(told[2]?.[1]).toBe(Number(told[1]?.[1]) + 700);
    bad.sender.stop();
    await bad.clock.advance(200_000);
    expect(bad.watcher.events.length).toBe(told.length);
  });

  test("the same seed: the same events, twice; another seed: others", async () => {
    const all: Partial<LinkFaults> = {
      ...{ delayMsMax: 90, splitEveryBytes: 70, mergeEveryBytes: 500, flipEveryBytes: 300, burstEveryBytes: 400 },
      ...{ duplicateEveryBytes: 900, reorderEveryBytes: 800, truncateEveryBytes: 700, dropEveryBytes: 4000 },
      ...{ slowBytesPerSecond: 2000, flapEveryMs: 8000, flapForMs: 300 },
    };
    const events = [];
    for (const seed of [1, 1, 2]) {
      const bad = badMemoryLink(all, seed);
      await sendMany(bad, { count: 400, everyMs: 50, bytes: 40 });
      events.push(bad.watcher.events);
    }
    expect(events[0]?.length).toBeGreaterThan(200);
    expect(events[1]).toEqual(events[0]);
    expect(events[2]).not.toEqual(events[0]);
  });
});

/** The wire of a scenario's one device, which this is said of, and what the other end sees. */
async function wireOf(deviceText: string) {
  const scenario = parseScenario(`
title: { en: t, zh: t }
about: { en: a, zh: a }
lasts: 1 h
devices: [{ id: m, driver: serial-nonin-df2, ${deviceText} }]
expect: [{ never: "*" }]`);
  if (!scenario.ok) throw new Error(JSON.stringify(scenario.error));
  const cast = await castOf(scenario.value, { seed: 1, folder: "", findDriver: () => noninDf2 });
  const [member] = cast.ok ? cast.value : [];
  if (member === undefined) throw new Error("no device");
  const clock = createSimulatedClock();
  const seen: (string | number)[] = [];
  let write: (bytes: Uint8Array, channel: string) => void = () => {};
  let open = () => {};
  const wire = deviceWire(
    {
      send: (bytes) => void seen.push(bytes[0] ?? -1),
      plug: () => void seen.push("in"),
      unplug: () => void seen.push("out"),
      onReceive: (listener) => {
        write = listener;
      },
      onOpened: (listener) => {
        open = listener;
      },
    },
    member,
    clock,
  );
  const received: number[] = [];
  wire.onReceive((bytes) => void received.push(bytes[0] ?? -1));
  return { clock, seen, wire, received, write: (byte: number) => write(Uint8Array.of(byte), ""), open: () => open() };
}

describe("a scenario's wire", () => {
  test("a drop is out and in again after two seconds; a device with a memory says then what it kept", async () => {
    for (const [more, expected] of [
      ["", ["in", 1, "out", "in"]],
      ["keepsMessages: 1,", ["in", 1, "out", "in", 3]],
    ] as const) {
      const { clock, seen, wire } = await wireOf(`${more} badLink: { dropEveryBytes: 0.001 }`);
      wire.plug();
      wire.send(Uint8Array.of(1, 1), "");
      for (const byte of [2, 3]) wire.send(Uint8Array.of(byte), "");
      await clock.advance(2000);
      expect(seen, more).toEqual(expected);
    }
  });

  test("half-open: nothing passes either way until the device is switched on again, or its cable put in anew", async () => {
    const { seen, wire, received, write } = await wireOf("badLink: { halfOpenEveryBytes: 0.001 }");
    wire.plug();
    write(11);
    wire.send(Uint8Array.of(1, 1), "");
    wire.send(Uint8Array.of(2), "");
    write(12);
    wire.switchOn();
    wire.send(Uint8Array.of(3, 3), "");
    wire.unplug();
    wire.switchOn();
    wire.plug();
    write(13);
    wire.send(Uint8Array.of(4, 4), "");
    expect(seen).toEqual(["in", 1, "out", "in", 3, "out", "in", 4]);
    expect(received).toEqual([11, 13]);
  });

  test("half-open ends when the gateway opens its end anew, which a device does not see", async () => {
    const { seen, wire, open } = await wireOf("badLink: { halfOpenEveryBytes: 0.001 }");
    open();
    wire.plug();
    wire.send(Uint8Array.of(1, 1), "");
    wire.send(Uint8Array.of(2), "");
    open();
    wire.send(Uint8Array.of(3, 3), "");
    expect(seen).toEqual(["in", 1, 3]);
    expect(wire.stats()).toMatchObject({ bytesVanished: 3 });
    wire.unplug();
    open();
    wire.send(Uint8Array.of(4), "");
    expect(seen).toEqual(["in", 1, 3, "out"]);
  });

  test("while the line is away a cable that is put in stays without a connection, and one that is out stays out", async () => {
    const { clock, seen, wire } = await wireOf("badLink: { dropEveryBytes: 0.001 }");
    wire.plug();
    wire.send(Uint8Array.of(1, 1), "");
    await clock.advance(500);
    wire.unplug();
    wire.plug();
    await clock.advance(500);
    expect(seen.at(-1)).toBe("out");
    await clock.advance(1000);
    expect(seen.at(-1)).toBe("in");
    wire.send(Uint8Array.of(2, 2), "");
    wire.unplug();
    await clock.advance(10_000);
    expect(seen.at(-1)).toBe("out");
    wire.stop();
  });
});

// ------------------------------------------------------------------------- a driver behind it

/** What a driver shows of a message. */
function shown(emission: Emission): readonly string[] {
  if (emission.kind !== "message") return [];
  return [emission.readings.map((each) => `${each.quantity} ${each.kind === "present" ? each.value : each.why}`).join(", ")];
}

/** Ten minutes of a worsening patient's oximeter, through a link with these faults into a session for each connection. */
async function readThrough(faults: Partial<LinkFaults>) {
  const { clock, memory, sender, watcher } = badMemoryLink(faults, 11);
  const timetable = createTimetable(clock);
  const said: string[] = [];
  const body = createPatient({ course: COURSES.deterioration, seed: 4 });
  const running = runTwin(noninDf2.twin(body, {}), {
    clock,
    timetable,
    onSent: (atMs, bytes) =>
      said.push(
        ...noninDf2
          .open({})
          .feed(bytes, "", atMs as never)
          .flatMap(shown),
      ),
    send: sender.send,
  });
  for (let second = 0; second < 600; second++) await pass(clock, 1000);
  running.stop();
  sender.stop();
  await memory.link.close();
  await watcher.ended;
  let session: DriverSession = noninDf2.open({});
  const emissions: Emission[] = [];
  for (const event of watcher.events) {
    if (event.kind === "up") session = noninDf2.open({});
    if (event.kind === "bytes") emissions.push(...session.feed(event.bytes, "", event.receivedMonotonicMs));
  }
  const refused = emissions.flatMap((emission) => (emission.kind === "refusal" ? [emission.error.kind] : []));
  return { said, heard: emissions.flatMap(shown), refused: new Set<string>(refused) };
}

describe("a driver with a checksum behind a bad link shows no value that the device did not say", () => {
  test.each<
    readonly [string, Partial<LinkFaults>, { readonly share: readonly [number, number]; readonly refused: readonly string[] }]
  >([
    ["nothing wrong", {}, { share: [1, 1], refused: [] }],
    ["jitter", { delayMsMax: 900 }, { share: [0.99, 1], refused: [] }],
    ["splits", { splitEveryBytes: 12 }, { share: [0.99, 1], refused: [] }],
    ["merges", { mergeEveryBytes: 500 }, { share: [0.99, 1], refused: [] }],
    ["a slow line", { slowBytesPerSecond: 380 }, { share: [0.99, 1], refused: [] }],
    ["flips", { flipEveryBytes: 1000 }, { share: [0.7, 0.95], refused: ["bad-checksum"] }],
    ["bursts", { burstEveryBytes: 1000 }, { share: [0.7, 0.95], refused: ["lost-sync"] }],
    ["duplicates", { duplicateEveryBytes: 2000 }, { share: [1.01, 1.2], refused: [] }],
    ["exchanged sends", { reorderEveryBytes: 2000 }, { share: [0.99, 1], refused: [] }],
    ["torn sends", { truncateEveryBytes: 2000 }, { share: [0.7, 0.97], refused: ["truncated"] }],
    ["drops", { dropEveryBytes: 5000 }, { share: [0.6, 0.97], refused: [] }],
    ["flapping", { flapEveryMs: 20_000, flapForMs: 3000 }, { share: [0.6, 0.97], refused: [] }],
    ["a half-open connection", { halfOpenEveryBytes: 40_000 }, { share: [0.005, 0.95], refused: [] }],
    ["the wrong parity", { wrongParity: true }, { share: [0, 0], refused: ["no-frame"] }],
  ])("%s", async (_, faults, { share, refused }) => {
    const through = await readThrough(faults);
    const truth = new Set(through.said);
    expect(truth.size).toBeGreaterThan(40);
    expect(through.heard.filter((each) => !truth.has(each))).toEqual([]);
    const heardShare = through.heard.length / through.said.length;
    expect(heardShare).toBeGreaterThanOrEqual(share[0]);
    expect(heardShare).toBeLessThanOrEqual(share[1]);
    if (refused.length === 0) expect(through.refused).toEqual(new Set());
    for (const kind of refused) expect(through.refused).toContain(kind);
  });
});

// --------------------------------------------------------------------------- real sockets

/** A server that says all bytes to whoever comes, in pieces. */
async function startSpeaker(): Promise<number> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    for (let start = 0; start < BYTES.length; start += 500) socket.write(BYTES.subarray(start, start + 500));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  cleanups.push(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise<void>((resolve) => void server.close(() => resolve()));
  });
  const address = server.address();
  return typeof address === "object" && address !== null ? address.port : 0;
}

function watchPort(port: number) {
  const options = { clock: createSystemClock(), random: () => 0, stop: new AbortController().signal };
  const link = openLink({ kind: "tcp", host: "127.0.0.1", port }, options);
  cleanups.push(() => link.close());
  return watchLink(link);
}

describe("bad links on real sockets", () => {
  test("a proxy: the same seed hurts the same bytes, another seed others", async () => {
    const port = await startSpeaker();
    const received: Buffer[] = [];
    for (const seed of [8, 8, 9]) {
      const faults = { ...NO_FAULTS, flipEveryBytes: 200, splitEveryBytes: 90, delayMsMax: 5 };
      const bad = await openBadLink({ target: { host: "127.0.0.1", port }, faults, seed, clock: createSystemClock() });
      if (!bad.ok) throw new Error(bad.error.cause);
      cleanups.push(() => bad.value.close());
      const watcher = watchPort(bad.value.port);
      await watcher.until(() => watcher.received().length === BYTES.length, "all bytes");
      received.push(watcher.received());
    }
    expect(received[0]?.equals(Buffer.from(BYTES))).toBe(false);
    expect(received[1]).toEqual(received[0]);
    expect(received[2]).not.toEqual(received[0]);
  });

  test("a device server that flaps: each loss is told, and the device is heard again", async () => {
    const clock = createSystemClock();
    const timetable = createTimetable(clock);
    cleanups.push(() => timetable.stop());
    const twin: Twin = {
      due: (atMs) => ({ bytesToSend: [{ channel: "", bytes: Uint8Array.of(5) }], nextDueMs: atMs + 20 }),
      receive: () => {},
    };
    const badLink = { faults: { ...NO_FAULTS, flapEveryMs: 400, flapForMs: 100 }, seed: 2 };
    const server = await openDeviceServer({ twin, clock, timetable, badLink });
    if (!server.ok) throw new Error(server.error.cause);
    cleanups.push(() => server.value.close());
    const watcher = watchPort(server.value.port);
    await watcher.until(() => watcher.story().join(" ").includes("down link-down up bytes"), "bytes after a loss");
    expect(watcher.received().every((byte) => byte === 5)).toBe(true);
  });
});

/** Switches a device on that sends these bytes to a broker of its own, ten times a second, and says "lost" as its will. */
async function startOnBroker(payload: Uint8Array, badLink?: BadLinkPlan) {
  const stage = await startStage();
  cleanups.push(() => stage.remove());
  const passwordFile = join(stage.folder, "password-of-monitor");
  await writeFile(passwordFile, await stage.account("monitor"), { mode: 0o600 });
  const listener = recordListener({ thanks: true });
  stage.broker.inlet.listen({ topics: ["devices/monitor/#"], account: "monitor" }, listener);
  const clock = createSystemClock();
  const timetable = createTimetable(clock);
  const access = { url: `mqtt://127.0.0.1:${stage.port()}`, protocolVersion: 4, username: "monitor", passwordFile } as const;
  const session = { clientId: "monitor", sessionExpirySeconds: 0, will: { topic: "devices/monitor/will", payload: "lost" } };
  const twin: Twin = {
    due: (atMs) => ({ bytesToSend: [{ channel: "", bytes: payload }], nextDueMs: atMs + 100 }),
    receive: () => {},
  };
  const device = startMqttDevice({
    ...{ twin, topic: "devices/monitor/vitals", clock, timetable, badLink },
    connect: (stop) => connectMqtt(access, session, { clock, stop, onMessage: () => {} }),
  });
  cleanups.push(() => device.close());
  return { listener, device };
}

describe("bad links by MQTT", () => {
  test("bytes stay bytes: what is no text arrives as it was sent", async () => {
    const { listener } = await startOnBroker(Uint8Array.from({ length: 256 }, (_, index) => 255 - index));
    await until("a message comes", () => listener.arrivals.length > 0);
    expect([...(listener.arrivals[0]?.payload ?? [])]).toEqual(Array.from({ length: 256 }, (_, index) => 255 - index));
  });

  test("a drop is no good-bye: the broker says the will, and the device comes again; its own end is a good-bye", async () => {
    // With this seed the first connection is dropped after 120 bytes, and the next one after 9000.
    const badLink = { faults: { ...NO_FAULTS, dropEveryBytes: 2000 }, seed: 343 };
    const { listener, device } = await startOnBroker(new Uint8Array(40).fill(65), badLink);
    await until("it has come again", () => listener.story.filter((word) => word === "up").length >= 2);
    const arrivedCount = listener.arrivals.length;
    await until("it sends again", () => listener.arrivals.length > arrivedCount + 1);
    expect(listener.texts().filter((text) => text === "lost").length).toBe(1);
    await device.close();
    await until("it is gone", () => listener.story.at(-1) === "down disconnected");
    expect(listener.story.slice(-4)).toEqual(["up", "down closed-by-peer", "up", "down disconnected"]);
    expect(listener.texts().filter((text) => text === "lost").length).toBe(1);
  });
});

// ------------------------------------------------------------------------------ anything

const every = fc.option(fc.double({ min: 0.1, max: 5000, noNaN: true }), { nil: null });
const anyFaults: fc.Arbitrary<LinkFaults> = fc.record({
  delayMsMax: fc.double({ min: 0, max: 60_000, noNaN: true }),
  splitEveryBytes: every,
  mergeEveryBytes: every,
  flipEveryBytes: every,
  burstEveryBytes: every,
  wrongParity: fc.boolean(),
  duplicateEveryBytes: every,
  reorderEveryBytes: every,
  truncateEveryBytes: every,
  dropEveryBytes: every,
  halfOpenEveryBytes: every,
  slowBytesPerSecond: fc.option(fc.double({ min: 1, max: 100_000, noNaN: true }), { nil: null }),
  flapEveryMs: fc.option(fc.double({ min: 1000, max: 60_000, noNaN: true }), { nil: null }),
  flapForMs: fc.option(fc.double({ min: 1, max: 60_000, noNaN: true }), { nil: null }),
});

describe("whatever the faults", () => {
  test("nothing throws, what is held is bounded, and the same seed says the same", async () => {
    const sends = fc.array(fc.record({ bytes: fc.uint8Array({ maxLength: 3000 }), afterMs: fc.nat({ max: 5000 }) }), {
      maxLength: 40,
    });
    await fc.assert(
      fc.asyncProperty(anyFaults, fc.nat(), sends, async (faults, seed, script) => {
        const runs = [];
        for (let run = 0; run < 2; run++) {
          const bad = badMemoryLink(faults, seed);
          const session = noninDf2.open({});
          for (const { bytes, afterMs } of script) {
            bad.sender.send(bytes, "");
            expect(bad.sender.stats().waitingBytes).toBeLessThanOrEqual(2 * LIMITS.simulatedHeldBytesMax.value);
            await bad.clock.advance(afterMs);
          }
          bad.sender.stop();
          for (const event of bad.watcher.events)
            if (event.kind === "bytes") session.feed(event.bytes, event.channel, event.receivedMonotonicMs);
          runs.push({ events: bad.watcher.events, stats: bad.sender.stats() });
        }
        expect(runs[1]).toEqual(runs[0]);
      }),
      { seed: 20_261_123, numRuns: 200 },
    );
  });
});
