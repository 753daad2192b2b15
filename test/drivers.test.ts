import { describe, expect, test } from "vitest";
import { DRIVERS, findDriver } from "../drivers/index.ts";
import { absent, type Reading } from "../src/core/observation.ts";
import type { Driver, DriverSession, DriverVector, Emission, PatientBody, VectorExpectation } from "../src/core/ports.ts";
import { isQuantityName, QUANTITIES, type QuantityName, WAVEFORMS } from "../src/core/quantities.ts";
import { monotonicMs } from "../src/core/time.ts";
import { formatHex, parseHex } from "../src/wire/hex.ts";
import { seededBody } from "./support/seeded-body.ts";
import { type SeededRandom, seededRandom } from "./support/seeded-random.ts";

// The shared promises of architecture.md, "Adding a device: one file", applied to every driver of the list without being told.

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

/** The driver's first vector that is nothing but good messages, as one piece of bytes. */
function goodBytesOf(driver: Driver): Uint8Array {
  const vector = driver.vectors.find(({ expect: wanted }) => wanted.every(({ kind }) => kind === "message"));
  if (vector === undefined) throw new Error(`${driver.id} has no vector without a refusal`);
  return join(chunksOf(vector));
}

/** What the host hears from a twin in the first seconds, asked at uneven times. */
function hearTwin(driver: Driver, body: PatientBody, untilMs: number): readonly Uint8Array[] {
  const twin = driver.twin(body, {});
  const heard: Uint8Array[] = [];
  for (let atMs = 0; atMs < untilMs + 130; atMs += 130) {
    for (const { bytes } of twin.due(Math.min(atMs, untilMs)).bytesToSend) heard.push(bytes);
  }
  return heard;
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

test("the list of drivers has no id twice, and each is found by its id", () => {
  const ids = DRIVERS.map((driver) => driver.id);
  expect(new Set(ids).size).toBe(ids.length);
  for (const driver of DRIVERS) expect(findDriver(driver.id)).toBe(driver);
  expect(findDriver("serial-nothing")).toBeNull();
});

describe.each(DRIVERS.map((driver) => ({ id: driver.id, driver })))("$id", ({ driver }) => {
  test("says what it is, in both languages, and from where it knows", () => {
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
  });

  test("its vectors name their source and hold a value, an absence and a refusal", () => {
    const wanted = driver.vectors.flatMap((vector) => vector.expect);
    const readings = wanted.flatMap((one) => (one.kind === "message" ? one.readings : []));
    expect(readings.some((reading) => "value" in reading)).toBe(true);
    expect(readings.some((reading) => "why" in reading)).toBe(true);
    expect(wanted.some((one) => one.kind === "refusal")).toBe(true);
    for (const vector of driver.vectors) expect(vector.source.length, vector.name).toBeGreaterThan(10);
  });

  test.each(driver.vectors.map((vector) => ({ name: vector.name, vector })))("vector: $name", ({ vector }) => {
    const emissions = feedAll(driver.open(vector.options ?? {}), chunksOf(vector), vector.channel);
    expect(emissions.length, written(emissions).slice(0, 2000)).toBe(vector.expect.length);
    for (const [index, expected] of vector.expect.entries()) expectEmission(emissions[index], expected);
  });

  test("only quantities, waves and units it has announced come out", () => {
    for (const vector of driver.vectors) {
      for (const emission of feedAll(driver.open(vector.options ?? {}), chunksOf(vector), vector.channel)) {
        if (emission.kind === "refusal") continue;
        const names = emission.readings.map((reading) => reading.quantity);
        expect(new Set(names).size, vector.name).toBe(names.length);
        for (const name of names) expect(driver.quantities).toContain(name);
        for (const wave of emission.waveforms) expect(driver.waveforms).toContain(wave.waveform);
        for (const wave of emission.waveforms) expect(wave.raw.every(Number.isFinite)).toBe(true);
      }
    }
  });

  test("the same bytes say the same, split at every place and byte by byte", () => {
    for (const vector of driver.vectors) {
      const bytes = join(chunksOf(vector));
      const whole = written(feedAll(driver.open({}), [bytes], vector.channel));
      for (let at = 1; at < bytes.length; at++) {
        const halves = feedAll(driver.open({}), [bytes.subarray(0, at), bytes.subarray(at)], vector.channel);
        if (written(halves) !== whole) expect(written(halves), `${vector.name}, split before byte ${at}`).toBe(whole);
      }
      const singles = feedAll(
        driver.open({}),
        Array.from(bytes, (byte) => Uint8Array.of(byte)),
        vector.channel,
      );
      expect(written(singles), `${vector.name}, byte by byte`).toBe(whole);
    }
  });

  test("messages glued together in one chunk are as many messages", () => {
    const good = goodBytesOf(driver);
    const apart = feedAll(driver.open({}), [good, good, good]);
    expect(written(feedAll(driver.open({}), [join([good, good, good])]))).toBe(written(apart));
    expect(refusalsIn(apart)).toBe(0);
    expect(readingsIn(apart).length).toBeGreaterThanOrEqual(3);
  });

  test("whatever bit is flipped: no false value where a checksum says so, no value from nothing, and the next message is read", () => {
    const good = goodBytesOf(driver);
    const [first] = readingsIn(feedAll(driver.open({}), [good]));
    const missing = new Set((first ?? []).flatMap((reading) => (reading.kind === "absent" ? [reading.quantity] : [])));
    for (let bit = 0; bit < good.length * 8; bit++) {
      const damaged = Uint8Array.from(good);
      damaged[bit >> 3] = (damaged[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      const emissions = feedAll(driver.open({}), [good, damaged, good]);
      const messages = readingsIn(emissions);
      const where = `bit ${bit & 7} of byte ${bit >> 3}`;
      expect(JSON.stringify(messages.at(-1)), where).toBe(JSON.stringify(first));
      if (driver.checksummed) {
        expect(messages.length, where).toBe(2);
        expect(refusalsIn(emissions), where).toBeGreaterThan(0);
      }
      // A damaged message is refused or read, never lost unnamed.
      expect(messages.length + (refusalsIn(emissions) > 0 ? 1 : 0), where).toBe(3);
      for (const reading of messages.flat()) {
        if (reading.kind === "present" && missing.has(reading.quantity))
          throw new Error(`${where}: ${reading.quantity} out of nothing`);
      }
    }
  });

  test("ten thousand random and damaged buffers: nothing is thrown, every value is a number, and good bytes are read afterwards", () => {
    const good = goodBytesOf(driver);
    const [first] = readingsIn(feedAll(driver.open({}), [good]));
    for (let seed = 1; seed <= 10_000; seed++) {
      const random = seededRandom(seed);
      const session = driver.open({});
      const where = `seed ${seed}`;
      let emissions: readonly Emission[] = [];
      try {
        emissions = feedAll(session, [mutate(good, random), mutate(good, random), good, good]);
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
  });

  test.each([1, 2, 3, 4, 5])("the twin's bytes come back as the body's values, seed %i", (seed) => {
    const body = seededBody(seed);
    const emissions = feedAll(driver.open({}), hearTwin(driver, body, 5000));
    expect(refusalsIn(emissions)).toBe(0);
    expect(readingsIn(emissions).length).toBeGreaterThanOrEqual(5);
    for (const reading of readingsIn(emissions).flat()) expectSame(reading, body.quantity(reading.quantity, 0), `seed ${seed}`);
    expectGaplessWaves(emissions);
  });

  test.each([1, 2, 3])("the twin's bytes come back absent where the body's sensor is off, seed %i", (seed) => {
    const emissions = feedAll(
      driver.open({}),
      hearTwin(
        driver,
        seededBody(seed, (name) => absent(name, "sensor-off")),
        3000,
      ),
    );
    expect(readingsIn(emissions).length).toBeGreaterThanOrEqual(2);
    const readings = readingsIn(emissions).flat();
    for (const reading of readings) expect(reading.kind, `seed ${seed}: ${JSON.stringify(reading)}`).toBe("absent");
    for (const name of driver.expected.filter((expected) => expected !== "respiratoryRate")) {
      expect(readings.find((reading) => reading.quantity === name)).toMatchObject({ why: "sensor-off" });
    }
    expect(emissions.flatMap((emission) => (emission.kind === "message" ? emission.alarms : []))).not.toHaveLength(0);
  });

  test.each(driver.quantities)("the twin's bytes come back with only %s absent where only that is", (quantity: QuantityName) => {
    const body = seededBody(7, (name) => (name === quantity ? absent(name, "not-available") : null));
    const emissions = feedAll(driver.open({}), hearTwin(driver, body, 2000));
    expect(readingsIn(emissions).length).toBeGreaterThanOrEqual(2);
    for (const reading of readingsIn(emissions).flat()) expectSame(reading, body.quantity(reading.quantity, 0), quantity);
  });

  test("what it encodes it decodes", () => {
    const body = seededBody(11);
    const readings = driver.quantities.map((name) => body.quantity(name, 0));
    if (driver.encode === null) return;
    const [back] = readingsIn(feedAll(driver.open({}), [driver.encode(readings)]));
    expect(back).toHaveLength(readings.length);
    for (const reading of back ?? []) expectSame(reading, body.quantity(reading.quantity, 0), formatHex(driver.encode(readings)));
  });

  test("two sessions side by side do not mix", () => {
    const streams = [1, 2].map((seed) => join(hearTwin(driver, seededBody(seed), 2000)));
    const alone = streams.map((bytes) => written(feedAll(driver.open({}), [bytes])));
    const sessions = streams.map(() => driver.open({}));
    const together: Emission[][] = streams.map(() => []);
    for (let at = 0; at < Math.max(...streams.map((bytes) => bytes.length)); at += 7) {
      for (const [index, bytes] of streams.entries()) {
        together[index]?.push(...(sessions[index]?.feed(bytes.subarray(at, at + 7), "", AT) ?? []));
      }
    }
    expect(together.map(written)).toEqual(alone);
    expect(alone[0]).not.toBe(alone[1]);
  });

  test("a twin asked late sends what a device would have sent, and no hour of it", () => {
    const twin = driver.twin(seededBody(3), {});
    const once = twin.due(3_600_000);
    expect(once.bytesToSend.length).toBeGreaterThan(0);
    expect(once.bytesToSend.length).toBeLessThanOrEqual(100);
    expect(once.nextDueMs).toBeGreaterThan(3_600_000);
    expect(twin.due(3_600_000).bytesToSend).toEqual([]);
  });
});

function expectSame(reading: Reading, wanted: Reading, where: string): void {
  const both = `${where}: ${JSON.stringify(reading)} for ${JSON.stringify(wanted)}`;
  expect(reading.kind, both).toBe(wanted.kind);
  if (reading.kind === "absent" || wanted.kind === "absent") return;
  expect(Math.abs(reading.value - wanted.value), both).toBeLessThanOrEqual(QUANTITIES[reading.quantity].resolution / 2 + 1e-9);
  expect(reading.unit, both).toBe(wanted.unit);
}

/** Each wave's chunks follow each other without a hole or overlap. */
function expectGaplessWaves(emissions: readonly Emission[]): void {
  const next = new Map<string, number>();
  for (const emission of emissions) {
    for (const wave of emission.kind === "message" ? emission.waveforms : []) {
      expect(wave.firstSampleIndex, wave.waveform).toBe(next.get(wave.waveform) ?? 0);
      next.set(wave.waveform, wave.firstSampleIndex + wave.raw.length);
    }
  }
  expect(next.size).toBeGreaterThan(0);
}
