import { expect, test } from "vitest";
import { noninDf2 } from "../drivers/serial/nonin-df2.ts";
import type { DriverSession, Emission } from "../src/core/ports.ts";
import { monotonicMs } from "../src/core/time.ts";

type Message = Extract<Emission, { kind: "message" }>;

/** A frame by the public rule: 01, status, pleth, variable, sum modulo 256. */
function frame(status: number, pleth: number, variable: number): number[] {
  return [0x01, status, pleth, variable, (0x01 + status + pleth + variable) % 256];
}

/** Variables by the public order, each different, so that a swapped one shows. Rate 0x102 = 2 << 7 | 2. */
const VARIABLES = [2, 2, 91, 48, 0, 17, 33, 0x20, 92, 93, 94, 0, 0, 1, 3, 95, 96, 0, 0, 1, 4, 1, 5, 0, 0];

function packet(
  settings: { readonly statusAt?: ReadonlyMap<number, number>; readonly variables?: readonly number[] } = {},
): number[] {
  const { statusAt = new Map<number, number>(), variables = VARIABLES } = settings;
  return variables.flatMap((variable, index) => frame(statusAt.get(index) ?? (index === 0 ? 0x81 : 0x80), 100 + index, variable));
}

function feed(session: DriverSession, bytes: readonly number[], atMs = 0): readonly Emission[] {
  return session.feed(Uint8Array.from(bytes), "", monotonicMs(atMs));
}

function messagesOf(emissions: readonly Emission[]): readonly Message[] {
  return emissions.filter((emission) => emission.kind === "message");
}

function firstIndexes(emissions: readonly Emission[]): readonly (number | undefined)[] {
  return messagesOf(emissions).map((message) => message.waveforms[0]?.firstSampleIndex);
}

test("every variable of a packet is found in its place, the missing ones are left out", () => {
  const [message] = messagesOf(feed(noninDf2.open({}), packet()));
  expect(message?.readings).toMatchObject([
    { quantity: "pulseRate", value: 258, unit: "/min", flags: [] },
    { quantity: "oxygenSaturation", value: 91, unit: "%", flags: [] },
  ]);
  expect(message?.events.at(-1)?.facts).toEqual({
    firmwareRevision: 48,
    timerHigh: 17,
    timerLow: 33,
    smartPoint: 1,
    heartRateExtendedPerMin: 131,
    heartRateDisplayPerMin: 132,
    heartRateExtendedDisplayPerMin: 133,
    oxygenSaturationDisplayPercent: 92,
    oxygenSaturationFastPercent: 93,
    oxygenSaturationBeatToBeatPercent: 94,
    oxygenSaturationExtendedPercent: 95,
    oxygenSaturationExtendedDisplayPercent: 96,
  });
  const missing = messagesOf(feed(noninDf2.open({}), packet({ variables: VARIABLES.with(19, 3).with(20, 127).with(8, 127) })))[0];
  expect(missing?.events.at(-1)?.facts).not.toHaveProperty("heartRateDisplayPerMin");
  expect(missing?.events.at(-1)?.facts).not.toHaveProperty("oxygenSaturationDisplayPercent");
});

test.each([
  [[0, 127], 127],
  [[1, 0], 128],
  [[3, 126], 510],
])("the rate bytes %j are %i /min, on both sides of seven bits", (bytes, value) => {
  const [message] = messagesOf(feed(noninDf2.open({}), packet({ variables: [...bytes, ...VARIABLES.slice(2)] })));
  expect(message?.readings[0]).toMatchObject({ kind: "present", value });
});

test("the pleth of a packet is 25 samples at 75 Hz, and packets follow each other", () => {
  const session = noninDf2.open({});
  const messages = messagesOf([...feed(session, packet(), 0), ...feed(session, packet(), 333), ...feed(session, packet(), 667)]);
  expect(messages.map((message) => message.waveforms[0]?.firstSampleIndex)).toEqual([0, 25, 50]);
  expect(messages[0]?.waveforms[0]).toMatchObject({ waveform: "plethysmogram", sampleRateHz: 75, unit: "1" });
  expect(Array.from(messages[0]?.waveforms[0]?.raw ?? [])).toEqual(Array.from({ length: 25 }, (_, index) => 100 + index));
});

test.each([0, 1, 12, 24])("a condition in frame %i alone holds for the packet", (index) => {
  const sync = index === 0 ? 1 : 0;
  const of = (bits: number) =>
    messagesOf(feed(noninDf2.open({}), packet({ statusAt: new Map([[index, 0x80 | bits | sync]]) })))[0];
  expect(of(0x40)?.readings).toMatchObject([
    { kind: "absent", why: "sensor-off" },
    { kind: "absent", why: "sensor-off" },
  ]);
  expect(of(0x08)?.readings).toMatchObject([
    { kind: "absent", why: "no-signal" },
    { kind: "absent", why: "no-signal" },
  ]);
  expect(of(0x40)?.waveforms).toEqual([]);
  expect(of(0x08)?.waveforms).toEqual([]);
  expect(of(0x20)?.readings).toMatchObject([
    { value: 258, flags: ["motion"] },
    { value: 91, flags: ["motion"] },
  ]);
  expect(of(0x10)?.readings).toMatchObject([
    { value: 258, flags: ["signal-lost"] },
    { value: 91, flags: ["signal-lost"] },
  ]);
  expect(of(0x04)?.readings).toMatchObject([{ flags: ["low-perfusion"] }, { flags: ["low-perfusion"] }]);
  expect(of(0x06)?.readings).toMatchObject([{ flags: ["weak-signal"] }, { flags: ["weak-signal"] }]);
  expect(of(0x02)?.readings).toMatchObject([{ flags: [] }, { flags: [] }]);
});

test("a sensor pulled and put back is an alarm that begins and ends", () => {
  const session = noninDf2.open({});
  const off = packet({ statusAt: new Map([[3, 0xc0]]) });
  const told = [packet(), off, off, packet()].map((bytes) =>
    messagesOf(feed(session, bytes))[0]?.alarms.map(({ code, active }) => [code, active]),
  );
  expect(told).toEqual([[], [["sensor-disconnected", true]], [], [["sensor-disconnected", false]]]);
});

test("a lost frame gives up its packet, whichever it is, and costs no other", () => {
  for (let lost = 0; lost < 25; lost++) {
    const torn = packet();
    torn.splice(lost * 5, 5);
    const emissions = feed(noninDf2.open({}), [...packet(), ...torn, ...packet(), ...packet()]);
    expect(messagesOf(emissions), `frame ${lost}`).toHaveLength(3);
    expect(
      emissions.filter((emission) => emission.kind === "refusal"),
      `frame ${lost}`,
    ).toHaveLength(1);
    expect(firstIndexes(emissions), `frame ${lost}`).toEqual([0, 50, 75]);
  }
});

test("a lost byte gives up its packet, wherever it is, and no value of it comes out", () => {
  for (let lost = 0; lost < 125; lost++) {
    const torn = packet();
    torn.splice(lost, 1);
    const emissions = feed(noninDf2.open({}), [...packet(), ...torn, ...packet(), ...packet()]);
    expect(messagesOf(emissions), `byte ${lost}`).toHaveLength(3);
    expect(
      emissions.some((emission) => emission.kind === "refusal"),
      `byte ${lost}`,
    ).toBe(true);
    for (const message of messagesOf(emissions)) expect(message.readings).toMatchObject([{ value: 258 }, { value: 91 }]);
  }
});

test("a stream that begins in the middle of a packet is found at the next one, without a refusal", () => {
  // No variable is 1 here: a 1 before a sum of 80 or more would look like the beginning of a frame, and be refused as one.
  const quiet = packet({ variables: VARIABLES.map((variable) => (variable === 1 ? 2 : variable)) });
  for (let begin = 1; begin < 125; begin++) {
    const emissions = feed(noninDf2.open({}), [...quiet.slice(begin), ...quiet]);
    expect(
      emissions.map((emission) => emission.kind),
      `from byte ${begin}`,
    ).toEqual(["message"]);
    expect(messagesOf(emissions)[0]?.events[0]).toEqual({ code: "synchronised", facts: { skippedBytes: 125 - begin } });
  }
});

test.each([
  [333, 25],
  [900, 25],
  [1334, 100],
  [3000, 225],
])("after a pause of %i ms the pleth goes on at sample %i", (pauseMs, firstSampleIndex) => {
  const session = noninDf2.open({});
  feed(session, packet(), 50_000);
  expect(firstIndexes(feed(session, packet(), 50_000 + pauseMs))).toEqual([firstSampleIndex]);
});

test("a packet lost to damage leaves a hole of its length, by time where time has passed", () => {
  const session = noninDf2.open({});
  feed(session, packet(), 0);
  feed(session, packet().with(9, 0), 333);
  expect(firstIndexes(feed(session, packet(), 667))).toEqual([50]);
});

test("frames without any packet in them are named in the end", () => {
  const session = noninDf2.open({});
  const stray = packet({ statusAt: new Map([[0, 0x80]]) });
  const emissions = Array.from({ length: 40 }, () => feed(session, stray)).flat();
  expect(emissions.map((emission) => (emission.kind === "refusal" ? emission.error.kind : emission.kind))).toEqual(["lost-sync"]);
});
