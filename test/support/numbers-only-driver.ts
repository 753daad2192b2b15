import { LIMITS } from "../../src/core/limits.ts";
import { absent, present, type Reading } from "../../src/core/observation.ts";
import type { Driver, DriverSession, DriverVector, Emission, Twin } from "../../src/core/ports.ts";
import { QUANTITIES, type QuantityName } from "../../src/core/quantities.ts";
import { sum8 } from "../../src/wire/checksum.ts";
import { type FrameFormat, Framer } from "../../src/wire/framer.ts";

/** What may be wrong with the fixture, one at a time; null is the right driver. */
export type Defect =
  | "absence-is-zero"
  | "fields-swapped"
  | "checksum-unchecked"
  | "sessions-share-state"
  | "throws-on-short-input";

/** A5 5A, pulse rate in /min, saturation in percent, sum of the four bytes. */
const FRAME_BYTES = 5;
const MISSING = 0xff;
const MESSAGE_MS = 500;

function judge(defect: Defect | null): FrameFormat {
  return (bytes, start, end) => {
    if (bytes[start] !== 0xa5) return { kind: "elsewhere" };
    if (end - start > 1 && bytes[start + 1] !== 0x5a) return { kind: "elsewhere" };
    if (end - start < FRAME_BYTES) return { kind: "more", neededBytes: FRAME_BYTES };
    const expected = sum8(bytes, { start, end: start + 4 });
    const given = bytes[start + 4] ?? 0;
    if (expected === given || defect === "checksum-unchecked") return { kind: "frame", lengthBytes: FRAME_BYTES };
    return { kind: "refused", error: { kind: "bad-checksum", expected, given, atByte: 4 }, lengthBytes: FRAME_BYTES };
  };
}

function readingOf(quantity: QuantityName, code: number | undefined, defect: Defect | null): Reading {
  if (code === undefined || (code === MISSING && defect !== "absence-is-zero")) return absent(quantity, "not-available");
  return present(quantity, code === MISSING ? 0 : code, QUANTITIES[quantity].unit);
}

function openSession(defect: Defect | null): DriverSession {
  let emissions: Emission[] = [];
  const [rateAt, saturationAt] = defect === "fields-swapped" ? [3, 2] : [2, 3];
  const framer = new Framer({
    format: judge(defect),
    limitBytes: LIMITS.framerBytesMax.value,
    sink: {
      frame: (frame) =>
        emissions.push({
          kind: "message",
          readings: [readingOf("pulseRate", frame[rateAt], defect), readingOf("oxygenSaturation", frame[saturationAt], defect)],
          waveforms: [],
          alarms: [],
          events: [],
          deviceClockMs: null,
          origin: "device",
        }),
      refused: (error) => emissions.push({ kind: "refusal", error }),
    },
  });
  return {
    feed: (bytes) => {
      if (defect === "throws-on-short-input" && bytes.length < FRAME_BYTES) throw new Error("the input is too short");
      emissions = [];
      framer.feed(bytes);
      return emissions;
    },
    due: () => ({ bytesToSend: [], nextDueMs: null }),
  };
}

const twin: Driver["twin"] = (body): Twin => {
  let sentCount = 0;
  const codeOf = (quantity: QuantityName, atMs: number) => {
    const reading = body.quantity(quantity, atMs);
    return reading.kind === "present" ? Math.round(reading.value) : MISSING;
  };
  return {
    due: (atMs) => {
      const dueCount = Math.floor(atMs / MESSAGE_MS);
      sentCount = Math.max(sentCount, dueCount - 20);
      const bytesToSend: { channel: string; bytes: Uint8Array }[] = [];
      for (; sentCount < dueCount; sentCount++) {
        const bytes = Uint8Array.of(0xa5, 0x5a, codeOf("pulseRate", atMs), codeOf("oxygenSaturation", atMs), 0);
        bytes[4] = sum8(bytes, { start: 0, end: 4 });
        bytesToSend.push({ channel: "", bytes });
      }
      return { bytesToSend, nextDueMs: (sentCount + 1) * MESSAGE_MS };
    },
    receive: () => {},
  };
};

const SOURCE = "the layout at the head of this fixture, sums added by hand";

// biome-ignore format: one vector a block.
const VECTORS: readonly DriverVector[] = [
  { name: "two numbers: 72 /min, 97 %", source: SOURCE, hex: ["A5 5A 48 61 A8"],
    expect: [{ kind: "message", readings: [{ quantity: "pulseRate", value: 72 }, { quantity: "oxygenSaturation", value: 97 }] }] },
  { name: "FF is no value: absent, 97 %", source: SOURCE, hex: ["A5 5A FF 61 5F"],
    expect: [{ kind: "message", readings: [{ quantity: "pulseRate", why: "not-available" }, { quantity: "oxygenSaturation", value: 97 }] }] },
  { name: "a wrong sum is refused", source: SOURCE, hex: ["A5 5A 48 61 A9", "A5 5A 48 61 A8"],
    expect: [{ kind: "refusal", error: "bad-checksum" }, { kind: "message", readings: [{ quantity: "pulseRate", value: 72 }] }] },
];

/** An invented device for the shared test itself: numbers only, one sign for "no value", no alarms, no encoding. */
export function numbersOnlyDriver(defect: Defect | null): Driver {
  const shared = openSession(defect);
  return {
    id: "serial-fixture-numbers",
    version: "1.0.0",
    title: { en: "Numbers only", zh: "仅数值" },
    reference: [SOURCE],
    link: { kind: "serial", line: { baudRate: 9600, dataBits: 8, parity: "none", stopBits: 1, handshake: "none" } },
    quantities: ["pulseRate", "oxygenSaturation"],
    waveforms: [],
    expected: ["pulseRate", "oxygenSaturation"],
    silenceSeconds: 3,
    stuckSeconds: {},
    checksummed: true,
    optionNames: [],
    open: () => (defect === "sessions-share-state" ? shared : openSession(defect)),
    encode: null,
    twin,
    vectors: VECTORS,
  };
}
