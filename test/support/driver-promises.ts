import { expect } from "vitest";
import { LIMITS } from "../../src/core/limits.ts";
import { absent, type Reading } from "../../src/core/observation.ts";
import type {
  Driver,
  DriverSession,
  DriverVector,
  Emission,
  PatientBody,
  TwinTraits,
  VectorExpectation,
} from "../../src/core/ports.ts";
import { isQuantityName, QUANTITIES, type QuantityName, WAVEFORMS } from "../../src/core/quantities.ts";
import { monotonicMs } from "../../src/core/time.ts";
import { canonicalValue } from "../../src/core/unit.ts";
import { formatHex, parseHex } from "../../src/wire/hex.ts";
import { seededBody } from "./seeded-body.ts";
import { type SeededRandom, seededRandom } from "./seeded-random.ts";

/** One thing every driver keeps; `check` throws where this driver does not. */
export interface DriverPromise {
  readonly name: string;
  readonly check: () => void;
}

const AT = monotonicMs(0);

function chunksOf(vector: DriverVector): readonly Uint8Array[] {
  return vector.hex.map((hex) => {
    const bytes = parseHex(hex);
    if (bytes === null) throw new Error(`no hex in ${vector.name}: ${hex}`);
    return bytes;
  });
}

function join(chunks: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(Buffer.concat(chunks));
}

function feedAll(session: DriverSession, chunks: readonly Uint8Array[], channel = ""): readonly Emission[] {
  return chunks.flatMap((chunk) => session.feed(chunk, channel, AT));
}

/** Emissions as text, so that thousands of them compare fast. */
function written(emissions: readonly Emission[]): string {
  return JSON.stringify(emissions, (_key, value: unknown) => (value instanceof Float32Array ? Array.from(value) : value));
}

function readingsIn(emissions: readonly Emission[]): readonly (readonly Reading[])[] {
  return emissions.flatMap((emission) => (emission.kind === "message" ? [emission.readings] : []));
}

function refusalsIn(emissions: readonly Emission[]): number {
  return emissions.filter((emission) => emission.kind === "refusal").length;
}

function expectEmission(emission: Emission | undefined, expected: VectorExpectation): void {
  if (expected.kind === "refusal") {
    expect(emission).toMatchObject({ kind: "refusal", error: { kind: expected.error } });
    return;
  }
  if (emission?.kind !== "message")
    throw new Error(`a message was expected, not ${written(emission === undefined ? [] : [emission])}`);
  for (const wanted of expected.readings) {
    const found = emission.readings.filter((reading) => reading.quantity === wanted.quantity);
    expect(found, `exactly one reading of ${wanted.quantity}`).toHaveLength(1);
    if ("why" in wanted) expect(found[0]).toMatchObject({ kind: "absent", why: wanted.why });
    else
      expect(found[0]).toMatchObject({
        kind: "present",
        value: wanted.value,
        ...(wanted.flags === undefined ? {} : { flags: wanted.flags }),
      });
  }
  if (expected.alarms !== undefined) {
    expect(emission.alarms.filter((alarm) => alarm.active).map((alarm) => alarm.code)).toEqual(expected.alarms);
  }
}

/** The driver's first vector that is one good message and nothing else. */
function goodVectorOf(driver: Driver): DriverVector {
  const vector = driver.vectors.find(({ expect: wanted }) => wanted.length === 1 && wanted[0]?.kind === "message");
  if (vector === undefined) throw new Error(`${driver.id} has no vector that is exactly one good message`);
  return vector;
}

/** Emissions of a new session that is fed in the way of one vector. */
function hearAs(driver: Driver, vector: DriverVector, chunks: readonly Uint8Array[]): readonly Emission[] {
  return feedAll(driver.open(vector.options ?? {}), chunks, vector.channel);
}

type Heard = readonly { readonly channel: string; readonly bytes: Uint8Array }[];

/** Of a twin whose device may be silent for hours so many messages are enough. */
const HEARD_MESSAGES_MAX = 40;

/** What a host hears from a twin in the first stretch of time, asked at uneven times; the host says what its session must say. */
function hearTwin(driver: Driver, body: PatientBody, untilMs: number, traits: TwinTraits = {}): Heard {
  const twin = driver.twin(body, {}, traits);
  const host = driver.open({});
  const heard: { channel: string; bytes: Uint8Array }[] = [];
  const stepMs = Math.max(130, untilMs / 5000);
  for (let stepAtMs = 0; stepAtMs < untilMs + stepMs; stepAtMs += stepMs) {
    if (hasWholeMessages(driver) && heard.length >= HEARD_MESSAGES_MAX) break;
    const atMs = Math.min(stepAtMs, untilMs);
    for (const { channel, bytes } of host.due(monotonicMs(atMs)).bytesToSend) twin.receive(bytes, channel);
    for (const { channel, bytes } of twin.due(atMs).bytesToSend) {
      heard.push({ channel, bytes });
      host.feed(bytes, channel, monotonicMs(atMs));
    }
  }
  return heard;
}

/** The same bytes through a new session. */
function readHeard(driver: Driver, heard: Heard): readonly Emission[] {
  const session = driver.open({});
  return heard.flatMap(({ channel, bytes }) => session.feed(bytes, channel, AT));
}

/** A stretch in which so many messages come at least: a second for each, or the device's own longest silence where that is over 3 s. */
function stretchMs(driver: Driver, messages: number): number {
  return messages * 1000 * (driver.silenceSeconds > 3 ? driver.silenceSeconds : 1);
}

/** The vectors of the driver as it is without options, which is how its twin speaks here. */
function usualVectors(driver: Driver): readonly DriverVector[] {
  return driver.vectors.filter(({ options }) => Object.keys(options ?? {}).length === 0);
}

/** Whether the driver's own vectors show that the device says of this quantity that its sensor is off. */
export function tellsSensorOff(driver: Driver, quantity: QuantityName): boolean {
  const readings = usualVectors(driver).flatMap(({ expect: wanted }) =>
    wanted.flatMap((one) => (one.kind === "message" ? one.readings : [])),
  );
  return readings.some((reading) => reading.quantity === quantity && "why" in reading && reading.why === "sensor-off");
}

/** Whether the driver's own vectors show an alarm of the device beside a sensor that is off. */
export function alarmsSensorOff(driver: Driver): boolean {
  const wanted = usualVectors(driver).flatMap((vector) => vector.expect);
  return wanted.some(
    (one) =>
      one.kind === "message" &&
      (one.alarms ?? []).length > 0 &&
      one.readings.some((reading) => "why" in reading && reading.why === "sensor-off"),
  );
}

function mutate(good: Uint8Array, random: SeededRandom): Uint8Array {
  const bytes = Uint8Array.from(good);
  const place = () => random.whole({ min: 0, max: bytes.length - 1 });
  switch (random.whole({ min: 0, max: 4 })) {
    case 0:
      return random.bytes(random.whole({ min: 0, max: 300 }));
    case 1:
      bytes[place()] = random.whole({ min: 0, max: 255 });
      return bytes;
    case 2:
      return bytes.slice(place());
    case 3:
      return bytes.slice(0, place());
    default: {
      const at = place();
      return join([bytes.subarray(0, at), random.bytes(random.whole({ min: 1, max: 40 })), bytes.subarray(at)]);
    }
  }
}

/**
 * Everything a driver is held to (drivers/README.md), by what the driver itself declares: waves where it
 * announces some, a reason for an absence where its vectors show one, an alarm where its vectors raise one.
 */
export function driverPromises(driver: Driver): readonly DriverPromise[] {
  return [
    { name: "says what it is, in both languages, and from where it knows", check: () => checkSelfDescription(driver) },
    { name: "its vectors name their source and hold a value, an absence and a refusal", check: () => checkVectorSources(driver) },
    ...driver.vectors.map((vector) => ({ name: `vector: ${vector.name}`, check: () => checkVector(driver, vector) })),
    { name: "only quantities, waves and units it has announced come out", check: () => checkAnnounced(driver) },
    ...(hasWholeMessages(driver) ? messagePromises(driver) : streamPromises(driver)),
    {
      name: "whatever bit is flipped: no false value where a checksum says so, no value from nothing, and the next message is read",
      check: () => checkFlippedBits(driver),
    },
    {
      name: "ten thousand random and damaged buffers: nothing is thrown, every value is a number, and good bytes are read afterwards",
      check: () => checkDamage(driver),
    },
    ...[1, 2, 3, 4, 5].map((seed) => ({
      name: `the twin's bytes come back as the body's values, seed ${seed}`,
      check: () => checkTwinValues(driver, seed),
    })),
    ...Object.keys(driver.variants ?? {}).map((variant) => ({
      name: `a twin with ${variant} says it in other bytes, and the same values or none come back`,
      check: () => checkVariant(driver, variant),
    })),
    ...[1, 2, 3].map((seed) => ({
      name: `the twin's bytes come back absent where the body's sensor is off, seed ${seed}`,
      check: () => checkTwinSensorOff(driver, seed),
    })),
    ...driver.quantities.map((quantity) => ({
      name: `the twin's bytes come back with only ${quantity} absent where only that is`,
      check: () => checkTwinOneAbsent(driver, quantity),
    })),
    { name: "what it encodes it decodes", check: () => checkEncoding(driver) },
    { name: "two sessions side by side do not mix", check: () => checkTwoSessions(driver) },
    { name: "a twin asked late sends what a device would have sent, and no hour of it", check: () => checkLateTwin(driver) },
  ];
}

/** Whether one chunk of the driver's link is one whole message, and not a piece of a stream. */
function hasWholeMessages(driver: Driver): boolean {
  return driver.link.kind === "mqtt";
}

function streamPromises(driver: Driver): readonly DriverPromise[] {
  return [
    { name: "the same bytes say the same, split at every place and byte by byte", check: () => checkSplits(driver) },
    { name: "messages glued together in one chunk are as many messages", check: () => checkGlued(driver) },
  ];
}

function messagePromises(driver: Driver): readonly DriverPromise[] {
  return [
    { name: "each message stands alone: cut off at every place before it, it says the same", check: () => checkAlone(driver) },
    { name: "two messages in one chunk say nothing that neither says", check: () => checkRunTogether(driver) },
    { name: "a message over the bound is refused by name, whatever is in it", check: () => checkTooLong(driver) },
  ];
}

function checkSelfDescription(driver: Driver): void {
  expect(driver.id).toMatch(/^[a-z]+(-[a-z0-9]+)+$/);
  expect(driver.version).toMatch(/^\d+\.\d+\.\d+$/);
  expect(driver.title.en.trim()).not.toBe("");
  expect(driver.title.zh).toMatch(/\p{Script=Han}/u);
  expect(driver.reference.length).toBeGreaterThan(0);
  expect(driver.quantities.length).toBeGreaterThan(0);
  expect(driver.quantities.every(isQuantityName)).toBe(true);
  expect(driver.waveforms.every((name) => Object.hasOwn(WAVEFORMS, name))).toBe(true);
  expect(driver.expected.every((name) => driver.quantities.includes(name))).toBe(true);
  expect(driver.silenceSeconds).toBeGreaterThan(0);
  for (const name of Object.keys(driver.stuckSeconds)) expect(driver.quantities).toContain(name);
  for (const { name, options } of driver.vectors) {
    for (const option of Object.keys(options ?? {})) expect(driver.optionNames, name).toContain(option);
  }
  // Without a value of the test's body a quantity would pass unseen; it belongs into seeded-body.ts.
  for (const name of driver.quantities) expect(seededBody(1).quantity(name, 0).kind, `a body's ${name}`).toBe("present");
}

function checkVectorSources(driver: Driver): void {
  const wanted = driver.vectors.flatMap((vector) => vector.expect);
  const readings = wanted.flatMap((one) => (one.kind === "message" ? one.readings : []));
  expect(readings.some((reading) => "value" in reading)).toBe(true);
  expect(readings.some((reading) => "why" in reading)).toBe(true);
  expect(wanted.some((one) => one.kind === "refusal")).toBe(true);
  for (const vector of driver.vectors) expect(vector.source.length, vector.name).toBeGreaterThan(10);
}

function checkVector(driver: Driver, vector: DriverVector): void {
  const emissions = hearAs(driver, vector, chunksOf(vector));
  expect(emissions.length, written(emissions).slice(0, 2000)).toBe(vector.expect.length);
  for (const [index, expected] of vector.expect.entries()) expectEmission(emissions[index], expected);
}

function checkAnnounced(driver: Driver): void {
  for (const vector of driver.vectors) {
    for (const emission of hearAs(driver, vector, chunksOf(vector))) {
      if (emission.kind === "refusal") continue;
      const names = emission.readings.map((reading) => reading.quantity);
      expect(new Set(names).size, vector.name).toBe(names.length);
      for (const name of names) expect(driver.quantities).toContain(name);
      for (const wave of emission.waveforms) expect(driver.waveforms).toContain(wave.waveform);
      for (const wave of emission.waveforms) expect(wave.raw.every(Number.isFinite)).toBe(true);
    }
  }
}

function checkSplits(driver: Driver): void {
  for (const vector of driver.vectors) {
    const bytes = join(chunksOf(vector));
    const whole = written(hearAs(driver, vector, [bytes]));
    for (let at = 1; at < bytes.length; at++) {
      const halves = hearAs(driver, vector, [bytes.subarray(0, at), bytes.subarray(at)]);
      if (written(halves) !== whole) expect(written(halves), `${vector.name}, split before byte ${at}`).toBe(whole);
    }
    const singles = hearAs(
      driver,
      vector,
      Array.from(bytes, (byte) => Uint8Array.of(byte)),
    );
    expect(written(singles), `${vector.name}, byte by byte`).toBe(whole);
  }
}

function checkGlued(driver: Driver): void {
  const vector = goodVectorOf(driver);
  const good = join(chunksOf(vector));
  const apart = hearAs(driver, vector, [good, good, good]);
  expect(written(hearAs(driver, vector, [join([good, good, good])]))).toBe(written(apart));
  expect(refusalsIn(apart)).toBe(0);
  expect(readingsIn(apart).length).toBeGreaterThanOrEqual(3);
}

function checkAlone(driver: Driver): void {
  for (const vector of driver.vectors) {
    const bytes = join(chunksOf(vector));
    const alone = written(hearAs(driver, vector, [bytes]));
    for (let at = 0; at < bytes.length; at++) {
      const session = driver.open(vector.options ?? {});
      feedAll(session, [bytes.subarray(0, at)], vector.channel);
      const after = written(feedAll(session, [bytes], vector.channel));
      if (after !== alone) expect(after, `${vector.name}, after its first ${at} bytes`).toBe(alone);
    }
  }
}

function checkRunTogether(driver: Driver): void {
  for (const vector of driver.vectors) {
    const bytes = join(chunksOf(vector));
    const apart = new Set(
      readingsIn(hearAs(driver, vector, [bytes]))
        .flat()
        .map((reading) => JSON.stringify(reading)),
    );
    const together = hearAs(driver, vector, [join([bytes, bytes])]);
    for (const reading of readingsIn(together).flat()) expect(apart, vector.name).toContain(JSON.stringify(reading));
  }
}

function checkTooLong(driver: Driver): void {
  const limitBytes = LIMITS.messageBytesMax.value;
  const vector = goodVectorOf(driver);
  const good = join(chunksOf(vector));
  for (const filler of [0x20, 0x5b, 0x22, 0x00]) {
    const long = new Uint8Array(limitBytes + 1).fill(filler);
    long.set(good);
    expect(hearAs(driver, vector, [long]), `filled with ${filler}`).toEqual([
      { kind: "refusal", error: { kind: "too-long", limitBytes } },
    ]);
  }
}

function checkFlippedBits(driver: Driver): void {
  const vector = goodVectorOf(driver);
  const good = join(chunksOf(vector));
  const [first] = readingsIn(hearAs(driver, vector, [good]));
  const missing = new Set((first ?? []).flatMap((reading) => (reading.kind === "absent" ? [reading.quantity] : [])));
  for (let bit = 0; bit < good.length * 8; bit++) {
    const damaged = Uint8Array.from(good);
    damaged[bit >> 3] = (damaged[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    const emissions = hearAs(driver, vector, [good, damaged, good]);
    const messages = readingsIn(emissions);
    const where = `bit ${bit & 7} of byte ${bit >> 3}`;
    expect(JSON.stringify(messages.at(-1)), where).toBe(JSON.stringify(first));
    if (driver.checksummed) {
      expect(messages.length, where).toBe(2);
      expect(refusalsIn(emissions), where).toBeGreaterThan(0);
    }
    // A damaged message is refused or read, never lost unnamed; of a whole message a part may be refused and the rest read.
    const named = messages.length + (refusalsIn(emissions) > 0 ? 1 : 0);
    if (hasWholeMessages(driver)) expect(named, where).toBeGreaterThanOrEqual(3);
    else expect(named, where).toBe(3);
    for (const reading of messages.flat()) {
      if (reading.kind === "present" && missing.has(reading.quantity))
        throw new Error(`${where}: ${reading.quantity} out of nothing`);
    }
  }
}

function checkDamage(driver: Driver): void {
  const vector = goodVectorOf(driver);
  const good = join(chunksOf(vector));
  const [first] = readingsIn(hearAs(driver, vector, [good]));
  for (let seed = 1; seed <= 10_000; seed++) {
    const random = seededRandom(seed);
    const session = driver.open(vector.options ?? {});
    const where = `seed ${seed}`;
    let emissions: readonly Emission[] = [];
    try {
      emissions = feedAll(session, [mutate(good, random), mutate(good, random), good, good], vector.channel);
    } catch (error) {
      throw new Error(`${where}: ${error instanceof Error ? error.stack : String(error)}`);
    }
    const messages = readingsIn(emissions);
    for (const reading of messages.flat()) {
      if (reading.kind === "present" && !Number.isFinite(reading.value)) throw new Error(`${where}: ${written(emissions)}`);
    }
    if (JSON.stringify(messages.at(-1)) !== JSON.stringify(first))
      throw new Error(`${where}: the last good message was not read`);
  }
}

function checkTwinValues(driver: Driver, seed: number): void {
  const body = seededBody(seed);
  const emissions = readHeard(driver, hearTwin(driver, body, stretchMs(driver, 5)));
  expect(refusalsIn(emissions)).toBe(0);
  expect(readingsIn(emissions).length).toBeGreaterThanOrEqual(5);
  for (const reading of readingsIn(emissions).flat()) expectSame(reading, body.quantity(reading.quantity, 0), `seed ${seed}`);
  expectGaplessWaves(driver, emissions);
}

function checkVariant(driver: Driver, variant: string): void {
  const body = seededBody(5);
  const heard = hearTwin(driver, body, stretchMs(driver, 5), { variant });
  const usual = hearTwin(driver, body, stretchMs(driver, 5));
  expect(heard.map(({ bytes }) => formatHex(bytes))).not.toEqual(usual.map(({ bytes }) => formatHex(bytes)));
  expect(driver.variants?.[variant]?.zh).toMatch(/\p{Script=Han}/u);
  const emissions = readHeard(driver, heard);
  expect(refusalsIn(emissions)).toBe(0);
  expect(readingsIn(emissions).length).toBeGreaterThanOrEqual(5);
  const present = readingsIn(emissions)
    .flat()
    .flatMap((reading) => (reading.kind === "present" ? [reading] : []));
  expect(present.length).toBeGreaterThan(0);
  for (const { quantity, value, unit } of present) {
    const wanted = body.quantity(quantity, 0);
    const apart =
      wanted.kind === "present" ? Math.abs((canonicalValue(quantity, value, unit) ?? Number.NaN) - wanted.value) : 1e9;
    expect(apart, `${quantity} ${value} ${unit}`).toBeLessThanOrEqual(QUANTITIES[quantity].resolution / 2 + 1e-9);
  }
}

function checkTwinSensorOff(driver: Driver, seed: number): void {
  const body = seededBody(seed, (name) => absent(name, "sensor-off"));
  const emissions = readHeard(driver, hearTwin(driver, body, stretchMs(driver, 3)));
  expect(readingsIn(emissions).length).toBeGreaterThanOrEqual(2);
  const readings = readingsIn(emissions).flat();
  for (const reading of readings) expect(reading.kind, `seed ${seed}: ${JSON.stringify(reading)}`).toBe("absent");
  for (const name of driver.quantities) {
    const found = readings.find((reading) => reading.quantity === name);
    if (tellsSensorOff(driver, name)) expect(found, `seed ${seed}: ${name}`).toMatchObject({ why: "sensor-off" });
    else if (driver.expected.includes(name)) expect(found, `seed ${seed}: ${name}`).toMatchObject({ kind: "absent" });
  }
  const alarms = emissions.flatMap((emission) => (emission.kind === "message" ? emission.alarms : []));
  if (alarmsSensorOff(driver)) expect(alarms).not.toHaveLength(0);
}

function checkTwinOneAbsent(driver: Driver, quantity: QuantityName): void {
  const body = seededBody(7, (name) => (name === quantity ? absent(name, "not-available") : null));
  const emissions = readHeard(driver, hearTwin(driver, body, stretchMs(driver, 2)));
  expect(readingsIn(emissions).length).toBeGreaterThanOrEqual(2);
  for (const reading of readingsIn(emissions).flat()) expectSame(reading, body.quantity(reading.quantity, 0), quantity);
}

function checkEncoding(driver: Driver): void {
  const body = seededBody(11);
  const readings = driver.quantities.map((name) => body.quantity(name, 0));
  if (driver.encode === null) return;
  const [back] = readingsIn(feedAll(driver.open({}), [driver.encode(readings)]));
  expect(back).toHaveLength(readings.length);
  for (const reading of back ?? []) expectSame(reading, body.quantity(reading.quantity, 0), formatHex(driver.encode(readings)));
}

function checkTwoSessions(driver: Driver): void {
  const streams = [1, 2].map((seed) =>
    hearTwin(driver, seededBody(seed), stretchMs(driver, 2)).flatMap((heard) =>
      hasWholeMessages(driver) ? [heard] : inSevens(heard),
    ),
  );
  const alone = streams.map((pieces) => written(readHeard(driver, pieces)));
  const sessions = streams.map(() => driver.open({}));
  const together: Emission[][] = streams.map(() => []);
  for (let at = 0; at < Math.max(...streams.map((pieces) => pieces.length)); at++) {
    for (const [index, pieces] of streams.entries()) {
      const piece = pieces[at];
      if (piece === undefined) continue;
      together[index]?.push(...(sessions[index]?.feed(piece.bytes, piece.channel, AT) ?? []));
    }
  }
  expect(together.map(written)).toEqual(alone);
  expect(alone[0]).not.toBe(alone[1]);
}

/** Pieces of at most 7 bytes, at most 3 for the short messages of numbers only, so that every message is split. */
function inSevens({ channel, bytes }: Heard[number]): Heard {
  const size = bytes.length > 7 ? 7 : 3;
  return Array.from({ length: Math.ceil(bytes.length / size) }, (_, index) => ({
    channel,
    bytes: bytes.subarray(index * size, (index + 1) * size),
  }));
}

function checkLateTwin(driver: Driver): void {
  const twin = driver.twin(seededBody(3), {});
  const once = twin.due(3_600_000);
  const speaksUnasked = driver.twin(seededBody(3), {}).due(stretchMs(driver, 5)).bytesToSend.length > 0;
  if (speaksUnasked) expect(once.bytesToSend.length).toBeGreaterThan(0);
  expect(once.bytesToSend.length).toBeLessThanOrEqual(100);
  expect(once.nextDueMs).toBeGreaterThan(3_600_000);
  expect(twin.due(3_600_000).bytesToSend).toEqual([]);
}

function expectSame(reading: Reading, wanted: Reading, where: string): void {
  const both = `${where}: ${JSON.stringify(reading)} for ${JSON.stringify(wanted)}`;
  expect(reading.kind, both).toBe(wanted.kind);
  if (reading.kind === "absent" || wanted.kind === "absent") return;
  expect(Math.abs(reading.value - wanted.value), both).toBeLessThanOrEqual(QUANTITIES[reading.quantity].resolution / 2 + 1e-9);
  expect(reading.unit, both).toBe(wanted.unit);
}

/** Each wave's chunks follow each other without a hole or overlap. */
function expectGaplessWaves(driver: Driver, emissions: readonly Emission[]): void {
  const next = new Map<string, number>();
  for (const emission of emissions) {
    for (const wave of emission.kind === "message" ? emission.waveforms : []) {
      expect(wave.firstSampleIndex, wave.waveform).toBe(next.get(wave.waveform) ?? 0);
      next.set(wave.waveform, wave.firstSampleIndex + wave.raw.length);
    }
  }
  if (driver.waveforms.length > 0) expect(next.size).toBeGreaterThan(0);
  else expect(next.size).toBe(0);
}
