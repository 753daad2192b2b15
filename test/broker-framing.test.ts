import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { OutgoingFilter } from "../src/broker/outgoing-filter.ts";
import { type Framed, PACKET, PacketFramer } from "../src/broker/packet-framer.ts";
import { readPublish } from "../src/broker/publish-packet.ts";
import { packetOf, publishPacket } from "./support/broker-stage.ts";

const BODY_MAX = 300;

/** What a framer makes of bytes that come in these pieces, in words. */
function frame(pieces: readonly Buffer[]): readonly string[] {
  const framer = new PacketFramer(() => BODY_MAX);
  const words: string[] = [];
  for (const piece of pieces) {
    framer.push(piece);
    for (let framed = framer.next(); framed !== null; framed = framer.next()) {
      words.push(wordOf(framed));
      if (framed.kind === "broken") return words;
    }
  }
  return words;
}

function wordOf(framed: Framed): string {
  switch (framed.kind) {
    case "packet":
      return `${framed.type}/${framed.flags} ${framed.bytes.subarray(framed.bodyAt).toString("hex")}`;
    case "oversized": {
      const packet = readPublish(framed.flags, framed.head);
      return `${framed.type}/${framed.flags} over ${packet?.topic} ${packet?.messageId}`;
    }
    case "broken":
      return "broken";
  }
}

function split(bytes: Buffer, at: readonly number[]): readonly Buffer[] {
  const places = [...new Set([0, ...at.map((place) => place % (bytes.length + 1)), bytes.length])].sort((a, b) => a - b);
  return places.slice(1).map((end, index) => bytes.subarray(places[index], end));
}

const packets = fc.array(
  fc.oneof(
    fc.record({ type: fc.integer({ min: 4, max: 15 }), body: fc.uint8Array({ maxLength: BODY_MAX }) }).map(({ type, body }) => ({
      bytes: packetOf(type << 4, Buffer.from(body)),
      word: `${type}/0 ${Buffer.from(body).toString("hex")}`,
    })),
    fc
      .record({ topic: fc.string({ minLength: 1, maxLength: 20 }), over: fc.integer({ min: 0, max: 40_000 }) })
      .map(({ topic, over }) => ({
        bytes: publishPacket(topic, Buffer.alloc(BODY_MAX + over, 7), { qos: 1, messageId: 513 }),
        word: `3/2 over ${topic} 513`,
      })),
  ),
  { maxLength: 8 },
);

describe("a client's bytes are cut into packets", () => {
  test("however they are split, oversized ones among them", () => {
    fc.assert(
      fc.property(packets, fc.array(fc.nat(), { maxLength: 20 }), (sent, at) => {
        const bytes = Buffer.concat(sent.map((one) => one.bytes));
        expect(frame(split(bytes, at))).toEqual(sent.map(({ word }) => word));
      }),
      { numRuns: 500, seed: 20_261_122 },
    );
  });

  test("byte by byte", () => {
    const bytes = Buffer.concat([
      publishPacket("a/b", "72", { qos: 1, messageId: 9 }),
      publishPacket("long", Buffer.alloc(500), { qos: 2, messageId: 10 }),
      packetOf(0xc0, Buffer.alloc(0)),
    ]);
    expect(frame([...bytes].map((byte) => Buffer.from([byte])))).toEqual([
      `3/2 ${Buffer.concat([Buffer.from([0, 3]), Buffer.from("a/b"), Buffer.from([0, 9]), Buffer.from("72")]).toString("hex")}`,
      "3/4 over long 10",
      "12/0 ",
    ]);
  });

  test("a body of exactly the bound is whole, one byte more is oversized", () => {
    const bodies = [BODY_MAX, BODY_MAX + 1].map((bytes) => publishPacket("t", Buffer.alloc(bytes - 5), { qos: 1, messageId: 2 }));
    expect(bodies.map((bytes) => frame([bytes])[0]?.includes("over"))).toEqual([false, true]);
  });

  test("a length of five bytes is broken", () => {
    expect(frame([Buffer.from([0x30, 0x80, 0x80, 0x80, 0x80, 1])])).toEqual(["broken"]);
  });
});

describe("what goes out to a client", () => {
  test("loses every PUBACK and PUBREC of the library and nothing else, however it is split", () => {
    const kinds = fc.array(
      fc.oneof(
        fc.integer({ min: 0, max: 65_535 }).map((id) => packetOf(PACKET.PUBACK << 4, Buffer.from([id >> 8, id & 255]))),
        fc.integer({ min: 0, max: 65_535 }).map((id) => packetOf(PACKET.PUBREC << 4, Buffer.from([id >> 8, id & 255]))),
        fc.uint8Array({ maxLength: 400 }).map((body) => packetOf(0x30, Buffer.from(body))),
        fc.constantFrom(
          packetOf(0xd0, Buffer.alloc(0)),
          packetOf(0x20, Buffer.from([0, 0])),
          packetOf(0x70, Buffer.from([1, 2])),
        ),
      ),
      { maxLength: 12 },
    );
    fc.assert(
      fc.property(kinds, fc.array(fc.nat(), { maxLength: 20 }), (sent, at) => {
        const seen: number[] = [];
        const filter = new OutgoingFilter({ onConnack: () => {}, onPubrec: (id) => void seen.push(id), onPublish: () => {} });
        filter.pass(Buffer.from([0x20, 2, 0, 0]));
        const passed = split(Buffer.concat(sent), at).flatMap((piece) => [...filter.pass(piece)]);
        const typeOf = (bytes: Buffer) => (bytes[0] ?? 0) >> 4;
        const kept = sent.filter((bytes) => typeOf(bytes) !== PACKET.PUBACK && typeOf(bytes) !== PACKET.PUBREC);
        expect(Buffer.concat(passed).toString("hex")).toBe(Buffer.concat(kept).toString("hex"));
        expect(seen).toEqual(sent.filter((bytes) => typeOf(bytes) === PACKET.PUBREC).map((bytes) => bytes.readUInt16BE(2)));
      }),
      { numRuns: 500, seed: 20_261_122 },
    );
  });

  test("what comes before the CONNACK passes after it", () => {
    const filter = new OutgoingFilter({ onConnack: () => {}, onPubrec: () => {}, onPublish: () => {} });
    const early = publishPacket("a", "early");
    const connack = Buffer.from([0x20, 2, 1, 0]);
    const passed = [...early, ...packetOf(0x40, Buffer.from([0, 7])), ...early, ...connack, ...early].flatMap((byte) => [
      ...filter.pass(Buffer.from([byte])),
    ]);
    expect(Buffer.concat(passed)).toEqual(Buffer.concat([connack, early, early, early]));
  });

  test("a CONNACK passes and its code is seen", () => {
    const codes: number[] = [];
    const filter = new OutgoingFilter({ onConnack: (code) => void codes.push(code), onPubrec: () => {}, onPublish: () => {} });
    expect(Buffer.concat([...filter.pass(Buffer.from([0x20, 2])), ...filter.pass(Buffer.from([1, 5]))])).toEqual(
      Buffer.from([0x20, 2, 1, 5]),
    );
    expect(codes).toEqual([5]);
  });
});

describe("a PUBLISH is read", () => {
  test.each([
    [0x0, "0003612f623732", { topic: "a/b", qos: 0, messageId: null, retain: false, dup: false }],
    [0xb, "0003612f6201023732", { topic: "a/b", qos: 1, messageId: 258, retain: true, dup: true }],
    [0x4, "0003612f62000a3732", { topic: "a/b", qos: 2, messageId: 10, retain: false, dup: false }],
  ])("with flags %i", (flags, hex, wanted) => {
    const packet = readPublish(flags, Buffer.from(hex, "hex"));
    expect(packet).toMatchObject(wanted);
    expect(packet?.payload.toString()).toBe("72");
  });

  test.each([
    [0x6, "0001610001"],
    [0x2, "0001610000"],
    [0x2, "00016100"],
    [0x0, "0002c328"],
    [0x0, "000561"],
    [0x0, "00"],
  ])("flags %i and %s are none", (flags, hex) => {
    expect(readPublish(flags, Buffer.from(hex, "hex"))).toBeNull();
  });
});
