import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { LIMITS } from "../src/core/limits.ts";
import { type CharacterSet, characterSetNamed, createTextWriter, decodeText } from "../src/wire/character-set.ts";
import {
  encodeHl7,
  encodeHl7Field,
  escapeHl7,
  formatHl7Time,
  HL7_DELIMITERS,
  type Hl7Delimiters,
  type Hl7Field,
  type Hl7Message,
  hl7RepetitionCount,
  hl7Segment,
  hl7Text,
  hl7Value,
  isBefore,
  parseHl7,
  parseHl7Field,
  parseHl7Time,
  unescapeHl7,
} from "../src/wire/hl7.ts";
import { readHl7 } from "../src/wire/hl7-bytes.ts";

/** The first example of chapter 3 of HL7 v2.3.1, as folio3.com and the tests of several HL7 libraries carry it. */
const ADMIT = [
  "MSH|^~\\&|ADT1|MCM|FINGER|MCM|198808181126|SECURITY|ADT^A01|MSG00001|P|2.3.1",
  "EVN|A01|198808181123",
  "PID|1||PATID1234^5^M11^ADT1^MR^MCM~123456789^^^USSSA^SS||SMITH^WILLIAM^A^III||19610615|M||C|1200 N ELM STREET",
  "PV1|1|I|2000^2012^01||||004777^CASTRO^FRANK^J.|||SUR||||ADM|A0",
];

function parsed(text: string): Hl7Message {
  const result = parseHl7(text);
  if (!result.ok) throw new Error(`refused as ${result.error.kind}`);
  return result.value;
}

function textAt(message: Hl7Message, segment: string, field: number, component = 1, repetition = 1): string {
  return hl7Text(message, hl7Segment(message, segment), { field, component, repetition });
}

describe("segments", () => {
  const ends = [
    ["CR", "\r"],
    ["LF", "\n"],
    ["CR LF", "\r\n"],
  ] as const;
  test.each(ends)("ended by %s are the same message", (_, end) => {
    for (const text of [ADMIT.join(end), `${ADMIT.join(end)}${end}`, `${end}${ADMIT.join(end)}${end}${end}`]) {
      const message = parsed(text);
      expect(message.segments.map(({ name }) => name)).toEqual(["MSH", "EVN", "PID", "PV1"]);
      expect(textAt(message, "PID", 3)).toBe("PATID1234");
      expect(textAt(message, "PID", 3, 1, 2)).toBe("123456789");
      expect(textAt(message, "PV1", 3, 3)).toBe("01");
      expect(textAt(message, "PV1", 15)).toBe("A0");
    }
  });

  test("an LF inside a text stays in it where CR ends the segments", () => {
    const message = parsed("MSH|^~\\&|A\rNTE|1||first line\nsecond line\rNTE|2||other\r");
    expect(textAt(message, "NTE", 3)).toBe("first line\nsecond line");
    expect(message.segments).toHaveLength(3);
  });

  test("MSH counts its separator as its first field", () => {
    const message = parsed(ADMIT.join("\r"));
    expect(textAt(message, "MSH", 1)).toBe("|");
    expect(textAt(message, "MSH", 2)).toBe("^~\\&");
    expect(textAt(message, "MSH", 3)).toBe("ADT1");
    expect(textAt(message, "MSH", 9, 2)).toBe("A01");
    expect(textAt(message, "MSH", 10)).toBe("MSG00001");
    expect(textAt(message, "MSH", 12)).toBe("2.3.1");
  });

  test("a message may bring its own delimiters", () => {
    const message = parsed("MSH$%*!?$LAB$$$$$$ADT%A08$7$P$2.5\rPID$1$$9%%%X?1.2?ISO*8\r");
    expect(textAt(message, "MSH", 9, 2)).toBe("A08");
    expect(hl7Text(message, hl7Segment(message, "PID"), { field: 3, component: 4, subcomponent: 2 })).toBe("1.2");
    expect(textAt(message, "PID", 3, 1, 2)).toBe("8");
  });

  test("a message without repetitions, escapes or subcomponents has the other characters as text", () => {
    const message = parsed("MSH|^|A||||||ADT^A01|1|P|2.3\rPID|1||a~b\\F\\&c^d\r");
    expect(textAt(message, "PID", 3)).toBe("a~b\\F\\&c");
    expect(textAt(message, "PID", 3, 2)).toBe("d");
  });

  const refused: readonly (readonly [string, string, string])[] = [
    ["nothing", "", "not-hl7"],
    ["another first segment", "PID|1\rMSH|^~\\&|A\r", "not-hl7"],
    ["a batch", "FHS|^~\\&|A\rMSH|^~\\&|A\r", "not-hl7"],
    ["a letter as separator", "MSHA^~\\&A\r", "bad-delimiters"],
    ["the same delimiter twice", "MSH|^^\\&|A\r", "bad-delimiters"],
    ["the separator alone", "MSH||A\r", "bad-delimiters"],
    ["six delimiters", "MSH|^~\\&#$|A\r", "bad-delimiters"],
    ["a segment's name in small letters", "MSH|^~\\&|A\rpid|1\r", "bad-segment"],
    ["a second header", "MSH|^~\\&|A\rMSH|^~\\&|B\r", "bad-segment"],
    ["a line that is none", "MSH|^~\\&|A\rstreet\r", "bad-segment"],
  ];
  test.each(refused)("%s is refused", (_, text, kind) => {
    const result = parseHl7(text);
    expect(result.ok ? "read" : result.error.kind).toBe(kind);
  });

  test("as many segments and fields as the bound are read, and one more is refused", () => {
    const segments = (count: number) => `MSH|^~\\&|A\r${"NTE|1\r".repeat(count - 1)}`;
    const fields = (count: number) => `MSH|^~\\&|A\rNTE${"|1".repeat(count - 1)}\r`;
    expect(parseHl7(segments(LIMITS.hl7SegmentsMax.value)).ok).toBe(true);
    expect(parseHl7(segments(LIMITS.hl7SegmentsMax.value + 1))).toMatchObject({ error: { kind: "too-many-segments" } });
    expect(parseHl7(fields(LIMITS.hl7FieldsMax.value)).ok).toBe(true);
    expect(parseHl7(fields(LIMITS.hl7FieldsMax.value + 1))).toMatchObject({ error: { kind: "too-many-fields", atSegment: 2 } });
  });
});

describe("values", () => {
  const message = parsed('MSH|^~\\&|A\rPID|1|""|^""^c|""~d|\r');
  const value = (field: number, component = 1, repetition = 1) =>
    hl7Value(message, hl7Segment(message, "PID"), { field, component, repetition }).kind;

  test("null is not empty, and empty is no text", () => {
    expect([value(1), value(2), value(5), value(6), value(99)]).toEqual(["present", "null", "empty", "empty", "empty"]);
    expect([value(3), value(3, 2), value(3, 3), value(3, 4)]).toEqual(["empty", "null", "present", "empty"]);
    expect([value(4), value(4, 1, 2), value(4, 1, 3)]).toEqual(["null", "present", "empty"]);
    expect(hl7Value(message, hl7Segment(message, "PV1"), { field: 3 }).kind).toBe("empty");
    expect(hl7RepetitionCount(message, hl7Segment(message, "PID"), 4)).toBe(2);
    expect(hl7RepetitionCount(message, hl7Segment(message, "PID"), 5)).toBe(0);
  });

  // Source: HL7 v2.5.1, 2.7.1 to 2.7.6.
  const escapes: readonly (readonly [string, string])[] = [
    ["a\\F\\b\\S\\c\\T\\d\\R\\e\\E\\f", "a|b^c&d~e\\f"],
    ["\\X41C3\\!", "A\u00c3!"],
    ["line\\.br\\next\\.sp2\\last", "line\nnext\n\nlast"],
    ["\\H\\bold\\N\\ plain", "bold plain"],
    ["C:\\temp\\F\\x", "C:\\temp|x"],
    ["\\Z1\\ \\X4\\ \\", "\\Z1\\ \\X4\\ \\"],
    ["\\\\F\\", "\\|"],
  ];
  test.each(escapes)("%s means what the standard says, and what is no escape stays", (raw, text) => {
    expect(unescapeHl7(HL7_DELIMITERS, raw)).toBe(text);
  });

  test("a line that asks for very many empty ones gets few", () => {
    expect(unescapeHl7(HL7_DELIMITERS, "\\.sp99\\")).toHaveLength(99);
    expect(unescapeHl7(HL7_DELIMITERS, "\\.sp100\\")).toBe("\\.sp100\\");
  });
});

describe("both ways", () => {
  const delimiters = fc
    .uniqueArray(fc.constantFrom(..."!#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"), { minLength: 5, maxLength: 5 })
    .map(([field = "", component = "", repetition = "", escapeMark = "", subcomponent = ""]): Hl7Delimiters => {
      return { field, component, repetition, escapeMark, subcomponent };
    });
  const anyText = fc.string({ unit: fc.constantFrom(...'|^~\\&"\r\n\0aF张.X1 ', "é", "\\.br\\") });

  test("any text survives being escaped, with any delimiters", () => {
    fc.assert(
      fc.property(delimiters, anyText, (chosen, text) => {
        const raw = escapeHl7(chosen, text);
        expect(unescapeHl7(chosen, raw)).toBe(text);
        for (const mark of [chosen.field, chosen.component, chosen.repetition, chosen.subcomponent])
          expect(raw.includes(mark ?? "")).toBe(false);
      }),
    );
  });

  const piece = fc.oneof(fc.constant(null), anyText);
  const field: fc.Arbitrary<Hl7Field> = fc.array(fc.array(fc.array(piece, { minLength: 1 }), { minLength: 1 }), { minLength: 1 });
  test("any field survives being put together and taken apart, but for empty pieces at its ends", () => {
    fc.assert(
      fc.property(delimiters, field, (chosen, given) => {
        const raw = encodeHl7Field(chosen, given);
        expect(encodeHl7Field(chosen, parseHl7Field(chosen, raw))).toBe(raw);
        const back = parseHl7Field(chosen, raw);
        for (const [r, repetition] of given.entries())
          for (const [c, component] of repetition.entries())
            for (const [s, text] of component.entries()) {
              const found = back[r]?.[c]?.[s];
              expect(found === undefined ? "" : found).toBe(text);
            }
      }),
    );
  });

  test("what was parsed is written as it was", () => {
    const text = `${ADMIT.join("\r")}\rZPD|""|x\\Zq\\~~^^|\r`;
    expect(encodeHl7(parsed(text))).toBe(text);
  });

  test("no text throws, whatever is in it", () => {
    const junk = fc.string({ unit: fc.constantFrom("MSH", "PID", ...'|^~\\&\r\n"A1\0\u{1F600}'), maxLength: 300 });
    fc.assert(
      fc.property(fc.boolean(), junk, (begins, text) => {
        const result = parseHl7(begins ? `MSH|^~\\&${text}` : text);
        if (!result.ok) return;
        expect(parseHl7(encodeHl7(result.value))).toEqual(result);
        for (const segment of result.value.segments)
          for (let place = 1; place <= 4; place++) {
            hl7Value(result.value, segment, { field: place, repetition: place, component: place, subcomponent: place });
            parseHl7Field(result.value.delimiters, segment.fields[place] ?? "");
          }
      }),
    );
  });
});

describe("times", () => {
  const good: readonly (readonly [string, number, number, boolean])[] = [
    ["2026", Date.UTC(2026, 0, 1), 366 * 86_400_000, false],
    ["202602", Date.UTC(2026, 1, 1), 31 * 86_400_000, false],
    ["20240229", Date.UTC(2024, 1, 29), 86_400_000, false],
    ["2024022917", Date.UTC(2024, 1, 29, 17), 3_600_000, false],
    ["198808181126", Date.UTC(1988, 7, 18, 11, 26), 60_000, false],
    ["20240101015600+0000", Date.UTC(2024, 0, 1, 1, 56), 1000, true],
    ["20260101080000.125+0800", Date.UTC(2026, 0, 1, 0, 0, 0, 125), 1, true],
    ["20251231190000-0500", Date.UTC(2026, 0, 1), 1000, true],
  ];
  test.each(good)("%s", (text, atMs, spanMs, zoned) => expect(parseHl7Time(text)).toEqual({ atMs, spanMs, zoned }));

  const order: readonly (readonly [string, string, boolean])[] = [
    ["20260101085959", "20260101090000", true],
    ["20260101090000", "20260101090000", false],
    ["202601010900", "20260101090030", false],
    ["202601010859", "20260101090030", true],
    ["20260101", "20260101090000", false],
    ["20251231", "20260101090000", true],
    ["20260101085959+0000", "20260101090000", false],
    ["20260101085959+0100", "20260101085959+0000", true],
  ];
  test.each(order)("%s lies before %s for certain: %s", (time, last, before) => {
    expect(isBefore(parseHl7Time(time), parseHl7Time(last))).toBe(before);
  });

  test("nothing lies before a time that nobody knows", () => {
    expect([isBefore(null, parseHl7Time("2026")), isBefore(parseHl7Time("2026"), null)]).toEqual([false, false]);
  });

  const bad = [
    "",
    "20260230",
    "202613",
    "20260101240000",
    "20260101 080000",
    "2026-01-01",
    "0099",
    "20260101+08",
    "20260101+1500",
    "x",
  ];
  test.each(bad)("%j is no time", (text) => expect(parseHl7Time(text)).toBeNull());

  test("what is written is read again", () => {
    const atMs = Date.UTC(2026, 10, 22, 17, 4, 5, 67);
    expect(formatHl7Time(atMs)).toBe("20261122170405.067+0000");
    expect(parseHl7Time(formatHl7Time(atMs))).toEqual({ atMs, spanMs: 1, zoned: true });
  });
});

/** GBK, by Python 3.11's codecs: 张 is D5 C5, 三 is C8 FD, and 騶 is F2 7C, whose second byte is a separator's. */
const ZHANG_SAN = [0xd5, 0xc5, 0xc8, 0xfd];
const ascii = (text: string) => [...text].map((character) => character.charCodeAt(0));

describe("character sets", () => {
  test("every name in use leads to its set, and another to none", () => {
    const named = ["ASCII", "8859/1", "UNICODE UTF-8", "utf-8", "GB 18030-2000", "gbk", "GB2312", " GB18030 "].map(
      characterSetNamed,
    );
    expect(named).toEqual(["ascii", "latin-1", "utf-8", "utf-8", "gb18030", "gb18030", "gb18030", "gb18030"]);
    expect(["", "ISO IR87", "BIG-5", "constructor"].map(characterSetNamed)).toEqual([null, null, null, null]);
  });

  // Codes by Python 3.11's codecs.
  const vectors: readonly (readonly [CharacterSet, string, readonly number[]])[] = [
    ["gb18030", "张三", ZHANG_SAN],
    ["gb18030", "a€", [0x61, 0xa2, 0xe3]],
    ["gb18030", "𠀀", [0x95, 0x32, 0x82, 0x36]],
    ["gb18030", "ñ", [0x81, 0x30, 0x8a, 0x39]],
    ["utf-8", "张", [0xe5, 0xbc, 0xa0]],
    ["latin-1", "é\u0080", [0xe9, 0x80]],
    ["ascii", "A", [0x41]],
  ];
  test.each(vectors)("%s writes and reads %s", (set, text, bytes) => {
    expect([...createTextWriter(set)(text)]).toEqual([...bytes]);
    expect(decodeText(set, Uint8Array.from(bytes))).toBe(text);
  });

  test("bytes of another set are refused, and a character that a set has not is a question mark", () => {
    expect(decodeText("utf-8", Uint8Array.from(ZHANG_SAN))).toBeNull();
    expect(decodeText("ascii", Uint8Array.of(0x41, 0x80))).toBeNull();
    expect(decodeText("gb18030", Uint8Array.of(0xd5))).toBeNull();
    expect([...createTextWriter("latin-1")("é张")]).toEqual([0xe9, 0x3f]);
    expect([...createTextWriter("ascii")("é")]).toEqual([0x3f]);
  });

  test("any text survives GB 18030", () => {
    const write = createTextWriter("gb18030");
    const text = fc.string({
      unit: fc
        .integer({ min: 0, max: 0x2ffff })
        .filter((code) => code < 0xd800 || code > 0xf8ff)
        .map((code) => String.fromCodePoint(code)),
    });
    fc.assert(
      fc.property(text, (given) => {
        expect(decodeText("gb18030", write(given))).toBe(given);
      }),
    );
  });
});

describe("the bytes of a message", () => {
  const settings = { assumed: "utf-8", believesDeclared: true } as const;
  const bytesOf = (name: readonly number[], set: string) =>
    Uint8Array.from([...ascii(`MSH|^~\\&|HIS|||||| ADT^A01|1|P|2.4||||||${set}\rPID|1||263656||`), ...name, ...ascii("^A\r")]);
  const nameOf = (bytes: Uint8Array, given: Parameters<typeof readHl7>[1] = settings) => {
    const read = readHl7(bytes, given);
    return read.ok ? textAt(read.value.message, "PID", 5) : read.error.kind;
  };

  test("are read in the set that MSH-18 names, also where a second byte looks like a delimiter", () => {
    expect(nameOf(bytesOf(ZHANG_SAN, "GB 18030-2000"))).toBe("张三");
    expect(nameOf(bytesOf([0xf2, 0x7c, 0x95, 0x5e], "GBK"))).toBe(
      new TextDecoder("gb18030").decode(Uint8Array.of(0xf2, 0x7c, 0x95, 0x5e)),
    );
    expect(nameOf(bytesOf([0xe5, 0xbc, 0xa0], "UNICODE UTF-8"))).toBe("张");
    expect(nameOf(bytesOf([0xe9], "8859/1"))).toBe("é");
  });

  test("are read in the assumed set where MSH-18 names none, or is not to be believed", () => {
    expect(nameOf(bytesOf(ZHANG_SAN, ""), { assumed: "gb18030", believesDeclared: true })).toBe("张三");
    expect(nameOf(bytesOf(ZHANG_SAN, "UNICODE UTF-8"), { assumed: "gb18030", believesDeclared: false })).toBe("张三");
  });

  test("are refused where they are not what they say", () => {
    expect(nameOf(bytesOf(ZHANG_SAN, "UNICODE UTF-8"))).toBe("bad-text");
    expect(nameOf(bytesOf(ZHANG_SAN, ""))).toBe("bad-text");
    expect(nameOf(bytesOf([0x41], "ISO IR87"))).toBe("unknown-character-set");
  });

  test("a header with a name in GBK is counted right", () => {
    const head = [...ascii("MSH|^~\\&|"), 0xf2, 0x7c, ...ascii("||||||ADT^A01|1|P|2.4||||||GBK\r")];
    const read = readHl7(Uint8Array.from([...head, ...ascii("PID|1||7\r")]), settings);
    expect(read.ok && textAt(read.value.message, "MSH", 10)).toBe("1");
    expect(read.ok && read.value.characterSet).toBe("gb18030");
  });

  // The header is that of the example in a forum for medical imaging, bbs.miforum.net.cn/thread-1297-1-1.html.
  test("a set that a sender put into MSH-17 is seen", () => {
    const head = "MSH|^~\\&|HIS||DRAGONRIS||200206281130||ADT^A01|MSG00005|D|2.3|||||GB2312\rPID|||263656||";
    expect(nameOf(Uint8Array.from([...ascii(head), ...ZHANG_SAN, ...ascii("\r")]))).toBe("张三");
  });

  test("no bytes throw", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.boolean(), (junk, begins) => {
        const bytes = begins ? Uint8Array.from([...ascii("MSH|^~\\&|"), ...junk]) : junk;
        expect(typeof readHl7(bytes, settings).ok).toBe("boolean");
      }),
    );
  });
});
