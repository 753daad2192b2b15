/** How a text is written in bytes. `gb18030` reads GB 2312 and GBK as well, which are parts of it; `latin-1` is ISO 8859-1. */
export type CharacterSet = "ascii" | "latin-1" | "utf-8" | "gb18030";

/** Names as they stand in MSH-18, those of the standard first. Source: HL7 v2.5.1, table 0211; the others are in use. */
const NAMES: Readonly<Record<string, CharacterSet>> = {
  ascii: "ascii",
  "8859/1": "latin-1",
  "unicode utf-8": "utf-8",
  "gb 18030-2000": "gb18030",
  "iso ir6": "ascii",
  "iso-8859-1": "latin-1",
  "utf-8": "utf-8",
  utf8: "utf-8",
  "unicode utf8": "utf-8",
  unicode: "utf-8",
  gb18030: "gb18030",
  "gb18030-2000": "gb18030",
  gbk: "gb18030",
  gb2312: "gb18030",
};

/** The character set of a name as MSH-18 says it, or null where this knows none of that name. */
export function characterSetNamed(name: string): CharacterSet | null {
  const known = name.trim().toLowerCase().replaceAll("_", "-");
  return Object.hasOwn(NAMES, known) ? (NAMES[known] ?? null) : null;
}

/** The text of these bytes, or null where they are not written in this set. */
export function decodeText(set: CharacterSet, bytes: Uint8Array): string | null {
  switch (set) {
    case "ascii":
      return bytes.some((byte) => byte > 0x7f) ? null : latin1(bytes);
    case "latin-1":
      return latin1(bytes);
    case "utf-8":
    case "gb18030":
      try {
        return new TextDecoder(set, { fatal: true }).decode(bytes);
      } catch {
        return null;
      }
  }
}

/** Bytes at a time, so that no call has too many arguments. */
const LATIN_1_STEP = 4096;

function latin1(bytes: Uint8Array): string {
  let text = "";
  for (let at = 0; at < bytes.length; at += LATIN_1_STEP) text += String.fromCharCode(...bytes.subarray(at, at + LATIN_1_STEP));
  return text;
}

/** Writes texts in one character set; a character that the set has not becomes a question mark. */
export type TextWriter = (text: string) => Uint8Array;

/** Makes a writer. The one for GB 18030 holds a table of 256 kB: make it once. */
export function createTextWriter(set: CharacterSet): TextWriter {
  switch (set) {
    case "ascii":
      return (text) => Uint8Array.from([...text].map((character) => singleByte(character, 0x7f)));
    case "latin-1":
      return (text) => Uint8Array.from([...text].map((character) => singleByte(character, 0xff)));
    case "utf-8":
      return (text) => new TextEncoder().encode(text);
    case "gb18030":
      return createGb18030Writer();
  }
}

const QUESTION_MARK = 0x3f;

function singleByte(character: string, codeMax: number): number {
  const code = character.codePointAt(0) ?? QUESTION_MARK;
  return code <= codeMax ? code : QUESTION_MARK;
}

const LINE_FEED = 0x0a;
/** What a reader puts in place of bytes that are no character. */
const REPLACEMENT = 0xfffd;
/** First four-byte code of the characters beyond U+FFFF, counted from 81 30 81 30. Source: GB 18030-2000. */
const SUPPLEMENTARY_POINTER = 189_000;
/** Four-byte codes for characters up to U+FFFF end here. */
const BASIC_POINTER_MAX = 39_419;

/** The platform reads GB 18030 and does not write it, so its table is read backwards, all of it at once. */
function createGb18030Writer(): TextWriter {
  const codes = new Uint32Array(126 * 190 + BASIC_POINTER_MAX + 1);
  let count = 0;
  for (let lead = 0x81; lead <= 0xfe; lead++)
    for (let trail = 0x40; trail <= 0xfe; trail++) if (trail !== 0x7f) codes[count++] = lead * 256 + trail;
  for (let pointer = 0; pointer <= BASIC_POINTER_MAX; pointer++)
    codes[count++] = fourBytes(pointer).reduce((number, byte) => number * 256 + byte, 0);
  const codeOf = readBackwards(codes);
  return (text) =>
    Uint8Array.from(
      [...text].flatMap((character) => {
        const code = character.codePointAt(0) ?? QUESTION_MARK;
        if (code < 0x80) return [code];
        if (code > 0xffff) return fourBytes(SUPPLEMENTARY_POINTER + code - 0x1_0000);
        const number = codeOf[code] ?? 0;
        if (number === 0) return [QUESTION_MARK];
        const bytes = [number >>> 24, (number >>> 16) & 0xff, (number >>> 8) & 0xff, number & 0xff];
        return number > 0xffff ? bytes : bytes.slice(2);
      }),
    );
}

/** The code of each character up to U+FFFF, 0 where it has none. */
function readBackwards(codes: Uint32Array): Uint32Array {
  const bytes = new Uint8Array(codes.length * 5);
  let length = 0;
  for (const code of codes) {
    for (let shift = code > 0xffff ? 24 : 8; shift >= 0; shift -= 8) bytes[length++] = (code >>> shift) & 0xff;
    // Parted by line feeds, so that a code without a character spoils no other.
    bytes[length++] = LINE_FEED;
  }
  const text = new TextDecoder("gb18030").decode(bytes.subarray(0, length));
  const codeOf = new Uint32Array(0x1_0000);
  let index = 0;
  for (let at = 0; at < text.length; index++) {
    const end = text.indexOf("\n", at);
    const character = text.charCodeAt(at);
    if (end === at + 1 && character !== REPLACEMENT && codeOf[character] === 0) codeOf[character] = codes[index] ?? 0;
    at = end + 1;
  }
  return codeOf;
}

/** The four bytes of a pointer: 126, 10, 126 and 10 values from 81 30 81 30. */
function fourBytes(pointer: number): number[] {
  const fourth = pointer % 10;
  const third = Math.floor(pointer / 10) % 126;
  const second = Math.floor(pointer / 1260) % 10;
  const first = Math.floor(pointer / 12_600);
  return [0x81 + first, 0x30 + second, 0x81 + third, 0x30 + fourth];
}
