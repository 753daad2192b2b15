import { describe, expect, test } from "vitest";
import type { DecodeError } from "../src/core/ports.ts";
import { sum8 } from "../src/wire/checksum.ts";
import { parseDecimal } from "../src/wire/decimal.ts";
import { type FrameFormat, Framer } from "../src/wire/framer.ts";
import { formatHex, parseHex } from "../src/wire/hex.ts";
import { layout } from "../src/wire/layout.ts";
import { seededRandom } from "./support/seeded-random.ts";

/** Frames `AA length payload sum`, so that a damaged length could eat good frames if framing did not go back. */
const judge: FrameFormat = (bytes, start, end) => {
  if (bytes[start] !== 0xaa) return { kind: "elsewhere" };
  const lengthBytes = 3 + (bytes[start + 1] ?? 0);
  if (end - start < 2) return { kind: "more", neededBytes: 2 };
  if (end - start < lengthBytes) return { kind: "more", neededBytes: lengthBytes };
  const expected = sum8(bytes, { start, end: start + lengthBytes - 1 });
  const given = bytes[start + lengthBytes - 1] ?? 0;
  if (expected === given) return { kind: "frame", lengthBytes };
  return { kind: "refused", lengthBytes, error: { kind: "bad-checksum", expected, given, atByte: lengthBytes - 1 } };
};

function frameOf(...payload: number[]): number[] {
  const body = [0xaa, payload.length, ...payload];
  return [...body, sum8(Uint8Array.from(body), { start: 0, end: body.length })];
}

function listen(limitBytes = 64) {
  const heard: (string | DecodeError)[] = [];
  const framer = new Framer({
    format: judge,
    limitBytes,
    sink: {
      frame: (frame, skippedBytes) => void heard.push(`${formatHex(frame)}${skippedBytes > 0 ? ` after ${skippedBytes}` : ""}`),
      refused: (error) => void heard.push(error),
    },
  });
  return { heard, framer, feed: (...bytes: number[]) => framer.feed(Uint8Array.from(bytes)) };
}

const FIRST = formatHex(Uint8Array.from(frameOf(1, 2)));
const SECOND = formatHex(Uint8Array.from(frameOf(3)));

describe("framer", () => {
  test("frames that follow each other come out whole, whatever the chunks", () => {
    const { heard, feed } = listen();
    const bytes = [...frameOf(1, 2), ...frameOf(3)];
    for (const byte of bytes) feed(byte);
    feed(...bytes);
    expect(heard).toEqual([FIRST, SECOND, FIRST, SECOND]);
  });

  test("a frame with a wrong sum is refused once, with both sums, and the next one is read", () => {
    const { heard, feed } = listen();
    const wrong = frameOf(1, 2);
    feed(...wrong.with(-1, 0x11), ...frameOf(3));
    expect(heard).toEqual([{ kind: "bad-checksum", expected: wrong.at(-1), given: 0x11, atByte: 4 }, `${SECOND} after 5`]);
  });

  test("a damaged length does not eat the good frame inside its reach: framing begins again one byte later", () => {
    const { heard, feed } = listen();
    feed(0xaa, 9, 1, ...frameOf(3), ...frameOf(1, 2), 0, 0, 0);
    expect(heard).toEqual([expect.objectContaining({ kind: "bad-checksum" }), `${SECOND} after 3`, FIRST]);
  });

  test("a good frame that begins with the second byte of a bad one is found", () => {
    const { heard, feed } = listen();
    feed(0xaa, ...frameOf(1, 2), ...Array<number>(200).fill(0));
    // AA AA ..: the first start mark claims 170 bytes, more than the limit of 64 may hold.
    expect(heard[0]).toEqual({ kind: "too-long", limitBytes: 64 });
    expect(heard[1]).toBe(`${FIRST} after 1`);
  });

  test("bytes before the first frame are no trouble, bytes between frames are one lost-sync", () => {
    const { heard, feed } = listen();
    feed(1, 2, 3, ...frameOf(3), 4, 5);
    feed(6, 7, ...frameOf(1, 2));
    expect(heard).toEqual([`${SECOND} after 3`, { kind: "lost-sync", skippedBytes: 4 }, `${FIRST} after 4`]);
  });

  test("a stream without any frame is named each time the limit has gone by, as no-frame before the first and lost-sync later", () => {
    const { heard, feed } = listen();
    feed(...Array<number>(63).fill(0));
    expect(heard).toEqual([]);
    feed(0);
    expect(heard).toEqual([{ kind: "no-frame", givenBytes: 64 }]);
    feed(...frameOf(3), ...Array<number>(64).fill(0));
    expect(heard.slice(1)).toEqual([`${SECOND} after 64`, { kind: "lost-sync", skippedBytes: 64 }]);
  });

  test("a frame of exactly the limit is read, one byte more is refused as too long", () => {
    const fits = listen(8);
    fits.feed(...frameOf(1, 2, 3, 4, 5));
    expect(fits.heard).toEqual([formatHex(Uint8Array.from(frameOf(1, 2, 3, 4, 5)))]);
    const exceeds = listen(8);
    exceeds.feed(...frameOf(1, 2, 3, 4, 5, 6), ...frameOf(3));
    expect(exceeds.heard).toEqual([{ kind: "too-long", limitBytes: 8 }, `${SECOND} after 9`]);
  });

  test("it never holds more than its limit and finds every good frame behind noise, ten thousand seeds", () => {
    for (let seed = 1; seed <= 10_000; seed++) {
      const random = seededRandom(seed);
      const { heard, framer } = listen(16);
      for (let chunk = 0; chunk < 4; chunk++) {
        framer.feed(random.bytes(random.whole({ min: 0, max: 40 })));
        if (framer.heldBytes() > 16) throw new Error(`seed ${seed}: holds ${framer.heldBytes()} bytes`);
      }
      // Silence long enough that no claimed length still waits.
      framer.feed(new Uint8Array(16));
      framer.feed(Uint8Array.from(frameOf(1, 2)));
      if (!String(heard.at(-1)).startsWith(FIRST)) throw new Error(`seed ${seed}: ${JSON.stringify(heard.at(-1))}`);
    }
  });

  test("a megabyte of noise is gone through within seconds, and leaves no more than the limit behind", () => {
    const { framer } = listen(4096);
    const noise = seededRandom(5).bytes(1_000_000);
    const startedMs = performance.now();
    framer.feed(noise);
    expect(performance.now() - startedMs).toBeLessThan(5000);
    expect(framer.heldBytes()).toBeLessThanOrEqual(4096);
  });
});

describe("layout", () => {
  const record = layout({
    lengthBytes: 3,
    fixed: [{ byte: 0, lowest: 7, count: 1, value: 1 }],
    fields: {
      rate: [
        { byte: 0, lowest: 0, count: 2 },
        { byte: 1, lowest: 0, count: 7 },
      ],
      alarm: [{ byte: 0, lowest: 4, count: 1 }],
      level: [{ byte: 2, lowest: 2, count: 3 }],
    },
  });

  test("one table reads and writes the same bits, parts of a field in several bytes included", () => {
    const bytes = record.encode({ rate: 0b11_0000101, alarm: 1, level: 5 });
    expect(formatHex(bytes)).toBe("93 05 14");
    expect(record.decode(bytes)).toEqual({ rate: 389, alarm: 1, level: 5 });
    expect(record.get(bytes, "rate")).toBe(389);
  });

  test("bits outside the fields do not change what is read", () => {
    expect(record.decode(Uint8Array.of(0xef, 0x85, 0xe3))).toEqual({ rate: 389, alarm: 0, level: 0 });
  });

  test("fixed bits are asked for as far as bytes have come", () => {
    expect(record.matches(Uint8Array.of(0x80, 0, 0), { start: 0, end: 3 })).toBe(true);
    expect(record.matches(Uint8Array.of(0x7f, 0, 0), { start: 0, end: 3 })).toBe(false);
    expect(record.matches(Uint8Array.of(0x7f), { start: 0, end: 0 })).toBe(true);
  });

  test("a number that does not fit its field is never written as another one", () => {
    expect(formatHex(record.encode({ rate: 511, alarm: 0, level: 7 }))).toBe("83 7F 1C");
    for (const rate of [512, -1, 1.5, Number.NaN])
      expect(() => record.encode({ rate, alarm: 0, level: 0 })).toThrow("fits its bits");
  });
});

describe("numbers and bytes as text", () => {
  test("a checksum is the sum of its bytes modulo 256", () => {
    expect(sum8(Uint8Array.of(9, 0x01, 0x80, 0x01, 0x61, 9), { start: 1, end: 5 })).toBe(0xe3);
    expect(sum8(Uint8Array.of(0xff, 0x02), { start: 0, end: 2 })).toBe(1);
  });

  test.each([
    ["80", { kind: "number", value: 80, fraction: false }],
    [" 80 ", { kind: "number", value: 80, fraction: false }],
    ["0", { kind: "number", value: 0, fraction: false }],
    ["-5", { kind: "number", value: -5, fraction: false }],
    ["36.65", { kind: "number", value: 36.65, fraction: true }],
    ["9999", { kind: "number", value: 9999, fraction: false }],
    ["", { kind: "blank" }],
    ["   ", { kind: "blank" }],
    ["---", { kind: "dashes" }],
  ])("the text %j is %j", (text, wanted) => {
    expect(parseDecimal(text)).toEqual(wanted);
  });

  test.each(["12x", "x", "1 2", "1e3", "0x10", "+5", ".5", "5.", "1.234", "10000", "--5", "NaN", "Infinity", "１２"])(
    "the text %j is no number",
    (text) => {
      expect(parseDecimal(text)).toEqual({ kind: "not-a-number" });
    },
  );

  test("bytes in hex are pairs of digits, and nothing else passes", () => {
    expect(parseHex("0a FF\n10")).toEqual(Uint8Array.of(10, 255, 16));
    expect(parseHex("")).toEqual(new Uint8Array());
    for (const wrong of ["0", "0g", "0x10", "10,11", "é0"]) expect(parseHex(wrong)).toBeNull();
    expect(formatHex(Uint8Array.of(10, 255))).toBe("0A FF");
  });
});
