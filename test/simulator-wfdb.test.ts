import { mkdir, mkdtemp, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, describe, expect, test } from "vitest";
import { ivy450c } from "../drivers/serial/ivy-450c.ts";
import { createRecordBody } from "../simulator/recordings/record-body.ts";
import { readWfdbRecord, sampleAt, type WfdbRecord, type WfdbSignal } from "../simulator/recordings/wfdb.ts";
import { LIMITS } from "../src/core/limits.ts";
import type { Reading } from "../src/core/observation.ts";
import type { Emission } from "../src/core/ports.ts";
import { monotonicMs } from "../src/core/time.ts";

const REAL_HEADER = new URL("captures/wfdb/s00001-2896-10-10-00-31n.hea", import.meta.url).pathname;
const MINUTE_MS = 60_000;

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

type Files = Readonly<Record<string, string | Uint8Array>>;

/** A folder with these files in it; lines of text are joined as the format wants them. */
async function folderWith(files: Files): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "vigil-wfdb-"));
  cleanups.push(() => rm(folder, { recursive: true, force: true }));
  for (const [name, content] of Object.entries(files)) await writeFile(join(folder, name), content);
  return folder;
}

async function readFiles(files: Files, name = "r.hea") {
  return readWfdbRecord(join(await folderWith(files), name));
}

async function recordOf(files: Files): Promise<WfdbRecord> {
  const read = await readFiles(files);
  if (!read.ok) throw new Error(JSON.stringify(read.error));
  return read.value;
}

/** Why a record of these files is refused, with file names without their folder. */
async function errorOf(files: Files): Promise<Record<string, unknown>> {
  const read = await readFiles(files);
  if (read.ok) throw new Error("it was read");
  return { ...read.error, file: read.error.file.split("/").at(-1) };
}

function valuesOf(signal: WfdbSignal | undefined, count: number): readonly number[] {
  return Array.from({ length: count }, (_, index) => (signal === undefined ? Number.NaN : sampleAt(signal, index)));
}

/** The other way, written from the format's description in bit strings, so that it shares nothing with the reader. */
function pack(format: "16" | "80" | "212", samples: readonly number[]): Uint8Array {
  const bits = (value: number, width: number) => ((value + 2 ** width) % 2 ** width).toString(2).padStart(width, "0");
  const byte = (text: string) => Number.parseInt(text, 2);
  switch (format) {
    case "16":
      return Uint8Array.from(samples.flatMap((each) => [byte(bits(each, 16).slice(8)), byte(bits(each, 16).slice(0, 8))]));
    case "80":
      return Uint8Array.from(samples.map((each) => each + 128));
    case "212": {
      const bytes: number[] = [];
      for (let index = 0; index < samples.length; index += 2) {
        const first = bits(samples[index] ?? 0, 12);
        const second = bits(samples[index + 1] ?? 0, 12);
        bytes.push(byte(first.slice(4)), byte(second.slice(0, 4) + first.slice(0, 4)));
        if (index + 1 < samples.length) bytes.push(byte(second.slice(4)));
      }
      return Uint8Array.from(bytes);
    }
  }
}

function checksumOf(samples: readonly number[]): number {
  const sum = ((samples.reduce((total, each) => total + each, 0) % 65_536) + 65_536) % 65_536;
  return sum > 32_767 ? sum - 65_536 : sum;
}

// ------------------------------------------------------------------- formats

describe("samples as they are stored", () => {
  // Bytes written by hand after signal(5) of the WFDB applications guide.
  const vectors = [
    { format: "16", name: "low byte first, both signs", hex: "0201 feff ff7f 0180", samples: [258, -2, 32_767, -32_767] },
    { format: "16", name: "the lowest value is a missing sample", hex: "0700 0080 f9ff", samples: [7, Number.NaN, -7] },
    { format: "80", name: "128 lies in the middle", hex: "80 81 7f ff 01", samples: [0, 1, -1, 127, -127] },
    { format: "80", name: "the lowest value is a missing sample", hex: "85 00 7b", samples: [5, Number.NaN, -5] },
    { format: "212", name: "two in three bytes, high bits in the middle one", hex: "23 61 45", samples: [0x123, 0x645] },
    { format: "212", name: "both signs, in both places", hex: "ff 1f 02  03 f4 fe", samples: [-1, 0x102, 0x403, -2] },
    { format: "212", name: "an odd sample ends after two bytes", hex: "01 20 03  fe 0f", samples: [1, 0x203, -2] },
    { format: "212", name: "the lowest value is a missing sample", hex: "00 88 00", samples: [Number.NaN, Number.NaN] },
  ] as const;
  for (const { format, name, hex, samples } of vectors) {
    test(`format ${format}: ${name}`, async () => {
      const record = await recordOf({
        "r.hea": `r 1 100 ${samples.length}\nr.dat ${format} 1\n`,
        "r.dat": Buffer.from(hex.replaceAll(" ", ""), "hex"),
      });
      expect(valuesOf(record.signals[0], samples.length)).toEqual([...samples]);
      expect(sampleAt(record.signals[0] as WfdbSignal, samples.length)).toBeNaN();
      expect(sampleAt(record.signals[0] as WfdbSignal, -1)).toBeNaN();
    });
  }

  test("whatever is written comes back, for each format, interleaving and length", async () => {
    const folder = await folderWith({});
    const ranges = { "16": 32_767, "80": 127, "212": 2047 } as const;
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom("16", "80", "212"),
        fc.array(fc.integer({ min: 1, max: 3 }), { minLength: 1, maxLength: 3 }),
        fc.array(fc.double({ min: -1, max: 1, noNaN: true }), { minLength: 9, maxLength: 60 }),
        async (format, perFrame, shares) => {
          const stride = perFrame.reduce((sum, each) => sum + each, 0);
          const frames = Math.floor(shares.length / stride);
          const flat = shares.slice(0, frames * stride).map((share) => Math.round(share * ranges[format]) + 0);
          const expected = perFrame.map((count, signal) => {
            const first = perFrame.slice(0, signal).reduce((sum, each) => sum + each, 0);
            return flat.filter((_, index) => index % stride >= first && index % stride < first + count);
          });
          const lines = perFrame.map((count, signal) => {
            const samples = expected[signal] ?? [];
            return `r.dat ${format}x${count} 1/mV 12 0 ${samples[0]} ${checksumOf(samples)} 0 s${signal}`;
          });
          await writeFile(join(folder, "r.hea"), [`r ${perFrame.length} 10 ${frames}`, ...lines, ""].join("\n"));
          await writeFile(join(folder, "r.dat"), pack(format, flat));
          const read = await readWfdbRecord(join(folder, "r.hea"));
          expect(read).toMatchObject({ ok: true, value: { framesCount: frames } });
          if (!read.ok) return;
          const values = read.value.signals.map((signal) => valuesOf(signal, frames * signal.samplesPerFrame));
          expect(values.map((row) => row.map((value) => value + 0))).toEqual(expected);
        },
      ),
      { seed: 212, numRuns: 60 },
    );
  });
});

// -------------------------------------------------------------------- header

describe("a header", () => {
  test("says everything once, with comments anywhere and returns before line ends", async () => {
    const text = [
      "# before",
      "",
      "r-1 2 0.0166666666667/125(7.5) 3 \t31:25.894 10/10/2896",
      "a.dat 16+4 10(-20)/bpm 16 5 -3 -6 0 HR of today",
      "b.dat 80 -2/mmHg 8 1 2 9 0",
      "# <age>: 60",
      "not read",
    ].join("\r\n");
    const record = await recordOf({
      "r.hea": text,
      "a.dat": Uint8Array.from([9, 9, 9, 9, ...pack("16", [-3, -2, -1])]),
      "b.dat": pack("80", [2, 3, 4]),
    });
    expect(record).toMatchObject({
      ...{ name: "r-1", framesPerSecond: 0.0166666666667, framesCount: 3, startTimeOfDayMs: 1_885_894 },
      ...{ startDate: "2896-10-10", comments: ["before", "<age>: 60"] },
    });
    expect(record.signals.map(({ name, unit }) => [name, unit])).toEqual([
      ["HR of today", "bpm"],
      ["record r-1, signal 1", "mmHg"],
    ]);
    expect(valuesOf(record.signals[0], 3)).toEqual([1.7, 1.8, 1.9]);
    expect(valuesOf(record.signals[1], 3)).toEqual([-0.5, -1, -1.5]);
  });

  test("says little: 250 frames a second, 200 steps a millivolt, the ADC's zero is the baseline, length from the file", async () => {
    const files = { "r.hea": "r 2\nr.dat 212\nr.dat 212 0 12 100 0 0\n", "r.dat": pack("212", [40, 300, 80, 500, 7]) };
    const record = await recordOf(files);
    expect(record).toMatchObject({ framesPerSecond: 250, framesCount: 2, startTimeOfDayMs: null, startDate: null });
    expect(record.signals.map((signal) => [signal.unit, ...valuesOf(signal, 3)])).toEqual([
      ["mV", 0.2, 0.4, Number.NaN],
      ["mV", 1, 2, Number.NaN],
    ]);
  });

  test("0/0/0 is no date", async () => {
    const files = { "r.hea": "r 1 360 1 13:5:0 0/0/0\nr.dat 80\n", "r.dat": pack("80", [1]) };
    expect(await recordOf(files)).toMatchObject({ startTimeOfDayMs: 47_100_000, startDate: null });
  });

  test("a skew leaves out the first frames of its signal, which are in the checksum", async () => {
    const lines = ["r 2 100 4", "r.dat 16:1 1/mV 16 0 11 110 0 late", "r.dat 16x2 1/mV 16 0 -1 -36 0 early"];
    const flat = [11, -1, -2, 22, -3, -4, 33, -5, -6, 44, -7, -8];
    const record = await recordOf({ "r.hea": lines.join("\n"), "r.dat": pack("16", flat) });
    expect(valuesOf(record.signals[0], 4)).toEqual([22, 33, 44, Number.NaN]);
    expect(valuesOf(record.signals[1], 8)).toEqual([-1, -2, -3, -4, -5, -6, -7, -8]);
  });
});

// ------------------------------------------------------------------- refusals

describe("what is refused", () => {
  const data = pack("16", [5, 6, 7]);

  const headers: readonly (readonly [string, string, number, string])[] = [
    ["no line at all", "# nothing\n\n", 1, "record"],
    ["a record's name with a folder", "../r 1\n", 1, "record"],
    ["no segments", "r/0 1 100\n", 1, "segments"],
    ["no number of signals", "r\n", 1, "signals"],
    ["a negative number of signals", "r -1\n", 1, "signals"],
    ["fewer signals than announced", "r 2 100 3\nr.dat 16\n", 3, "signals"],
    ["fewer segments than announced", "r/2 1 100 3\na 3\n", 3, "segments"],
    ["a frequency of zero", "r 1 0 3\nr.dat 16\n", 1, "frequency"],
    ["a frequency that is none", "r 1 36O 3\nr.dat 16\n", 1, "frequency"],
    ["a frequency without end", "r 1 1e999 3\nr.dat 16\n", 1, "frequency"],
    ["half a sample", "r 1 100 3.5\nr.dat 16\n", 1, "samples"],
    ["an hour that is none", "r 1 100 3 24:00:00\nr.dat 16\n", 1, "time"],
    ["a minute that is none", "r 1 100 3 12:60:00\nr.dat 16\n", 1, "time"],
    ["a month that is none", "r 1 100 3 12:00:00 10/13/1999\nr.dat 16\n", 1, "date"],
    ["a field too many", "r 1 100 3 12:00:00 10/10/1999 x\nr.dat 16\n", 1, "date"],
    ["a format that is none", "r 1 100 3\n\nr.dat 16y2\n", 3, "format"],
    ["frames without a sample", "r 1 100 3\nr.dat 16x0\n", 2, "format"],
    ["a gain that is none", "r 1 100 3\nr.dat 16 ten\n", 2, "gain"],
    ["a gain that makes infinities", "r 1 100 3\nr.dat 16 1e-320\n", 2, "gain"],
    ["an ADC zero that is none", "r 1 100 3\nr.dat 16 10 16 zero\n", 2, "zero"],
    ["a checksum that is none", "r 1 100 3\nr.dat 16 10 16 0 5 1.5\n", 2, "checksum"],
    ["two formats in one file", "r 2 100 1\nr.dat 16\nr.dat 80\n", 3, "format"],
    ["two preambles in one file", "r 2 100 1\nr.dat 16\nr.dat 16+2\n", 3, "format"],
    ["a file that comes again", "r 3 100 1\nr.dat 16\nb.dat 16\nr.dat 16\n", 4, "file"],
  ];
  for (const [name, text, line, field] of headers) {
    test(`header: ${name}`, async () => {
      const error = await errorOf({ "r.hea": text, "r.dat": data, "b.dat": data });
      expect(error).toEqual({ kind: "damaged-header", file: "r.hea", line, field });
    });
  }

  test("a format that is not among the three", async () => {
    const error = await errorOf({ "r.hea": "r 1 100 3\nr.dat 310\n", "r.dat": data });
    expect(error).toEqual({ kind: "unsupported-format", file: "r.hea", line: 2, format: "310" });
  });

  for (const name of ["../secret.dat", "/etc/hostname", "..", "sub/r.dat", "-", "~", ".hidden", "a\\b"]) {
    test(`a signal's file outside the record's folder: ${name}`, async () => {
      const error = await errorOf({ "r.hea": `r 1 100 1\n${name} 16\n` });
      expect(error).toEqual({ kind: "unsafe-name", file: "r.hea", line: 2, name });
    });
  }
  for (const name of ["../secret", "/etc/hostname", "..", "sub/a", "-", ".hidden", "a\\b"]) {
    test(`a segment outside the record's folder: ${name}`, async () => {
      const error = await errorOf({ "r.hea": `r/1 1 100 1\n${name} 1\n` });
      expect(error).toEqual({ kind: "unsafe-name", file: "r.hea", line: 2, name });
    });
  }

  test("a file that is not there, and one that is none", async () => {
    expect(await errorOf({ "r.hea": "r 1 100 3\nr.dat 16\n" })).toEqual({ kind: "unreadable", file: "r.dat", cause: "ENOENT" });
    const folder = await folderWith({ "r.hea": "r 1 100 3\nr.dat 16\n" });
    await mkdir(join(folder, "r.dat"));
    expect(await readWfdbRecord(join(folder, "r.hea"))).toMatchObject({ error: { kind: "unreadable", cause: "not a file" } });
    expect(await readWfdbRecord(join(folder, "s.hea"))).toMatchObject({ error: { kind: "unreadable", cause: "ENOENT" } });
  });

  test("a file that is too short, by how much", async () => {
    const short = { kind: "truncated", file: "r.dat" };
    const header = (format: string) => ({ "r.hea": `r 1 100 3\nr.dat ${format}\n` });
    const given = (bytes: number) => ({ "r.dat": new Uint8Array(bytes) });
    expect(await errorOf({ ...header("16"), ...given(5) })).toEqual({ ...short, givenBytes: 5, neededBytes: 6 });
    expect(await errorOf({ ...header("16+24"), ...given(29) })).toEqual({ ...short, givenBytes: 29, neededBytes: 30 });
    expect(await errorOf({ ...header("80"), ...given(2) })).toEqual({ ...short, givenBytes: 2, neededBytes: 3 });
    expect(await errorOf({ ...header("212"), ...given(4) })).toEqual({ ...short, givenBytes: 4, neededBytes: 5 });
    const endless = { "r.hea": "r 1 100 9007199254740991\nr.dat 16x999999\n", ...given(4) };
    expect(await errorOf(endless)).toMatchObject({ ...short, givenBytes: 4 });
  });

  test("files that are too large together", async () => {
    const limitBytes = LIMITS.simulatedRecordingBytesMax.value;
    const folder = await folderWith({ "r.hea": "r 1 100 0\nr.dat 16\n", "r.dat": "" });
    await truncate(join(folder, "r.dat"), limitBytes);
    const read = await readWfdbRecord(join(folder, "r.hea"));
    expect(read).toMatchObject({ error: { kind: "too-large", givenBytes: limitBytes + 19, limitBytes } });
  });

  test("a first sample that is not the announced one", async () => {
    const error = await errorOf({ "r.hea": "r 1 100 3\nr.dat 16 1/mV 16 0 4 18 0 II\n", "r.dat": data });
    expect(error).toEqual({ kind: "wrong-initial-value", file: "r.dat", signal: "II", given: 5, expected: 4 });
  });

  test("a checksum that is not the announced one, of the second signal", async () => {
    const lines = ["r 2 100 2", "r.dat 16 1/mV 16 0 5 12 0 II", "r.dat 16 1/mV 16 0 6 -9 0 V"];
    const error = await errorOf({ "r.hea": lines.join("\n"), "r.dat": pack("16", [5, 6, 7, -16]) });
    expect(error).toEqual({ kind: "wrong-checksum", file: "r.dat", signal: "V", given: -10, expected: -9 });
  });

  test("any flipped bit of the real numbers", async () => {
    const header = await readFile(REAL_HEADER);
    const bytes = await readFile(join(REAL_HEADER, "..", "3975656n.dat"));
    const folder = await folderWith({ "r.hea": header });
    const random = fc.sample(fc.tuple(fc.nat(bytes.length - 1), fc.nat(7)), { seed: 3_975_656, numRuns: 40 });
    for (const [index, bit] of random) {
      const flipped = Buffer.from(bytes);
      flipped[index] = (flipped[index] ?? 0) ^ (1 << bit);
      await writeFile(join(folder, "3975656n.dat"), flipped);
      const read = await readWfdbRecord(join(folder, "r.hea"));
      expect(read.ok ? `byte ${index} bit ${bit}` : read.error.kind).toMatch(/^wrong-/);
    }
  });

  test("random bytes as header or data end in a record or an error, never in an exception", async () => {
    const folder = await folderWith({});
    const words = fc.constantFrom(
      ...["r", "r/2", "a", "~", "-", "r.dat", "1", "2", "0", "100", "9e99", "16", "80", "212", "16x3:2+1", "0x2"],
      ...["10(-3)/mV", "-1", "12:00:00", "1/1/1", "#", "\n", "\r\n", "\n", " ", "\t", "\u0000", "é"],
    );
    const header = fc.oneof(
      fc.array(words, { maxLength: 40 }).map((all) => Buffer.from(all.join(" "))),
      fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
    );
    await fc.assert(
      fc.asyncProperty(header, header, fc.uint8Array({ maxLength: 64 }), async (text, segment, bytes) => {
        await writeFile(join(folder, "r.hea"), text);
        await writeFile(join(folder, "a.hea"), segment);
        await writeFile(join(folder, "r.dat"), bytes);
        const read = await readWfdbRecord(join(folder, "r.hea"));
        if (read.ok) createRecordBody([read.value], { atEnd: "again" });
      }),
      { seed: 80, numRuns: 300 },
    );
  });
});

// ------------------------------------------------------------------ segments

describe("a record of several segments", () => {
  const layout = "lay 3 10 0\n~ 0 1/mV 12 0 0 0 0 II\n~ 0 1/mmHg 12 0 0 0 0 ABP\n~ 0 1/mV 12 0 0 0 0 V\n";

  test("with a layout: signals by their names, with each segment's own scale, and nothing where nothing was recorded", async () => {
    const record = await recordOf({
      "r.hea": "r/5 3 10 9 10:00:00 04/05/2704\nlay 0\n~ 2\na 3\nb 2\nc 2\n",
      "lay.hea": layout,
      "a.hea": "a 2 10 3\na.dat 80 10/mV 8 0 5 18 0 V\na.dat 80 20/mV 8 0 -6 -21 0 II\n",
      "a.dat": pack("80", [5, -6, 6, -7, 7, -8]),
      "b.hea": "b 1 10 2\nb.dat 16 2(100)/mmHg 16 0 280 580 0 ABP\n",
      "b.dat": pack("16", [280, 300]),
      "c.hea": "c 2 10 2\n~ 0 1/mmHg 12 0 0 0 0 ABP\nc.dat 212 100/mV 12 0 -50 150 0 II\n",
      "c.dat": pack("212", [-50, 200]),
    });
    expect(record).toMatchObject({ framesCount: 9, startDate: "2704-05-04" });
    const none = Number.NaN;
    expect(record.signals.map((signal) => [signal.name, ...valuesOf(signal, 10)])).toEqual([
      ["II", none, none, -0.3, -0.35, -0.4, none, none, -0.5, 2, none],
      ["ABP", none, none, none, none, none, 90, 100, none, none, none],
      ["V", none, none, 0.5, 0.6, 0.7, none, none, none, none, none],
    ]);
  });

  test("without a layout: signals by their places, and a segment may come again", async () => {
    const record = await recordOf({
      "r.hea": "r/3 2 10 5\na 2\n~ 1\na 2\n",
      "a.hea": "a 2 10 2\na.dat 16x2 1/mV\nb.dat 80 1/mmHg\n",
      "a.dat": pack("16", [1, 2, 3, 4]),
      "b.dat": pack("80", [-5, -6]),
    });
    const none = Number.NaN;
    expect(valuesOf(record.signals[0], 10)).toEqual([1, 2, 3, 4, none, none, 1, 2, 3, 4]);
    expect(valuesOf(record.signals[1], 5)).toEqual([-5, -6, none, -5, -6]);
  });

  const one = { "a.hea": "a 1 10 2\na.dat 80 1/mV 8 0 1 3 0 II\n", "a.dat": pack("80", [1, 2]) };
  const wrong: readonly (readonly [string, Files, Record<string, unknown>])[] = [
    ["their lengths do not add up", { ...one, "r.hea": "r/1 1 10 3\na 2\n" }, { file: "r.hea", line: 1, field: "samples" }],
    ["one has another length", { ...one, "r.hea": "r/1 1 10 3\na 3\n" }, { file: "a.hea", line: 1, field: "samples" }],
    ["one has another frequency", { ...one, "r.hea": "r/1 1 20 2\na 2\n" }, { file: "a.hea", line: 1, field: "frequency" }],
    ["one has segments itself", { "r.hea": "r/1 1 10 2\nr 2\n" }, { file: "r.hea", line: 1, field: "segments" }],
    ["one has fewer signals", { ...one, "r.hea": "r/1 2 10 2\na 2\n" }, { file: "a.hea", line: 1, field: "signals" }],
    [
      "the second has more signals",
      {
        ...one,
        "r.hea": "r/2 1 10 4\na 2\nb 2\n",
        "b.hea": "# two\nb 2 10 2\na.dat 80\nb.dat 80\n",
        "b.dat": pack("80", [3, 4]),
      },
      { file: "b.hea", line: 2, field: "signals" },
    ],
    [
      "one has a signal that the layout does not know",
      { "r.hea": "r/2 3 10 2\nlay 0\na 2\n", "lay.hea": layout, ...one, "a.hea": "a 1 10 2\na.dat 80 1/mV 8 0 1 3 0 X\n" },
      { file: "a.hea", line: 2, field: "description" },
    ],
    [
      "one has a signal in another unit",
      { "r.hea": "r/2 3 10 2\nlay 0\na 2\n", "lay.hea": layout.replace("1/mV", "1/uV"), ...one },
      { file: "a.hea", line: 2, field: "description" },
    ],
    [
      "the layout names a signal twice",
      { "r.hea": "r/1 3 10 0\nlay 0\n", "lay.hea": layout.replace("0 V", "0 II") },
      { file: "lay.hea", line: 4, field: "description" },
    ],
  ];
  for (const [name, files, facts] of wrong) {
    test(`is refused where ${name}`, async () => {
      expect(await errorOf(files)).toEqual({ kind: "damaged-header", ...facts });
    });
  }

  test("is bounded as a whole, so that a segment named often does not count as one", async () => {
    const segments = 100;
    const folder = await folderWith({
      "r.hea": `r/${segments} 1 10 ${segments}\n${"a 1\n".repeat(segments)}`,
      "a.hea": "a 1 10 1\na.dat 80\n",
      "a.dat": "",
    });
    await truncate(join(folder, "a.dat"), LIMITS.simulatedRecordingBytesMax.value / 8);
    expect(await readWfdbRecord(join(folder, "r.hea"))).toMatchObject({ error: { kind: "too-large" } });
  });
});

// ---------------------------------------------------------------------- body

/** A record from rows of numbers: name, unit, gain and raw samples of each signal. */
async function made(
  framesPerSecond: number,
  rows: readonly (readonly [name: string, unit: string, gain: number, samples: readonly number[]])[],
): Promise<WfdbRecord> {
  const frames = rows[0]?.[3].length ?? 0;
  const files: Record<string, string | Uint8Array> = {};
  const lines = rows.map(([name, unit, gain, samples], index) => {
    files[`s${index}.dat`] = pack("16", samples);
    return `s${index}.dat 16 ${gain}/${unit} 16 0 ${samples[0]} ${checksumOf(samples)} 0 ${name}`;
  });
  return recordOf({ ...files, "r.hea": [`r ${rows.length} ${framesPerSecond} ${frames}`, ...lines, ""].join("\n") });
}

function bodyOf(records: readonly WfdbRecord[], atEnd: "again" | "absent" = "absent") {
  const body = createRecordBody(records, { atEnd });
  if (!body.ok) throw new Error(JSON.stringify(body.error));
  return body.value;
}

/** A value, or the reason why there is none. */
function short(reading: Reading): number | string {
  return reading.kind === "present" ? reading.value : reading.why;
}

describe("a body made from a record", () => {
  const none = -32_768;
  const perSecond = () =>
    made(1, [
      ["HR", "bpm", 10, [721, 0, none, 733]],
      ["%SpO2", "%", 1, [97, 96, 95, 94]],
      ["NBP Sys", "mmHg", 1, [none, 121, none, none]],
      ["NBP Dias", "mmHg", 1, [none, 72, none, none]],
      ["NBP Mean", "mmHg", 1, [none, 88, none, 91]],
      ["CVP", "mmHg", 1, [7, 8, 9, 10]],
    ]);

  test("numbers hold for their time; zero and missing are absences, and what has no signal is not available", async () => {
    const body = bodyOf([await perSecond()]);
    expect([0, 999, 1000, 2500, 3999, 4000].map((atMs) => short(body.quantity("heartRate", atMs)))).toEqual([
      ...[72.1, 72.1, "no-signal", "no-signal", 73.3, "no-signal"],
    ]);
    expect(body.quantity("oxygenSaturation", 2000)).toEqual({
      ...{ kind: "present", quantity: "oxygenSaturation", value: 95, unit: "%", flags: [], held: false },
    });
    expect(short(body.quantity("pulseRate", 0))).toBe("not-available");
    expect(short(body.quantity("heartRate", -1))).toBe("no-signal");
    expect(body.lengthMs).toBe(4000);
    expect(body.unusedSignals).toEqual(["CVP"]);
  });

  test("a cuff's result is held until the next, which replaces it whole", async () => {
    const body = bodyOf([await perSecond()]);
    const names = ["systolicPressure", "diastolicPressure", "meanPressure"] as const;
    const at = (atMs: number) => names.map((name) => short(body.quantity(name, atMs)));
    expect(at(0)).toEqual(["no-signal", "no-signal", "no-signal"]);
    expect(at(1000)).toEqual([121, 72, 88]);
    expect(at(2999)).toEqual([121, 72, 88]);
    expect(at(3000)).toEqual(["no-signal", "no-signal", 91]);
    expect(at(4000)).toEqual(["no-signal", "no-signal", "no-signal"]);
    expect(body.quantity("systolicPressure", 2500)).toMatchObject({ held: true });
    expect(short(body.quantity("cuffPulseRate", 2500))).toBe("not-available");
  });

  test("its waves come back through the Ivy 450C's twin and driver, sample by sample", async () => {
    // 200 a second and 50 steps a millivolt about a baseline of 120, as the twin sends them.
    const steps = Array.from({ length: 400 }, (_, index) => ((index * 7) % 101) - 40);
    const twin = ivy450c.twin(bodyOf([await made(200, [["MLII", "mV", 50, steps]])]), {});
    const session = ivy450c.open({});
    const emissions = twin.due(2000).bytesToSend.flatMap(({ bytes }) => session.feed(bytes, "", monotonicMs(2000)));
    const raw = emissions.flatMap((emission) =>
      emission.kind !== "message"
        ? []
        : emission.waveforms.flatMap((wave) => (wave.waveform === "ecgLeadII" ? [...wave.raw] : [])),
    );
    expect(raw).toEqual(steps.map((step) => 120 + step));
  });

  test("begins again at its end, where that is wanted", async () => {
    const body = bodyOf([await perSecond()], "again");
    expect(short(body.quantity("heartRate", 4000))).toBe(72.1);
    expect(short(body.quantity("oxygenSaturation", 4000 * 1000 + 3000))).toBe(94);
    expect(short(body.quantity("systolicPressure", 4000))).toBe("no-signal");
  });

  test("waves are straight between samples: millivolts, millimetres of mercury, and 0 to 1 of what has no unit", async () => {
    const ramp = Array.from({ length: 101 }, (_, index) => index * 10 - 300);
    const waves = await made(100, [
      ["II", "uV", 1, ramp],
      ["ABP", "mmHg", 4, ramp],
      ["PLETH", "NU", 7, ramp],
      ["RESP", "pm", 1, ramp.map((value) => (value === 0 ? none : -value))],
      ["V5", "mV", 1, ramp],
    ]);
    const body = bodyOf([waves]);
    expect(body.wave("ecgLeadII", 505)).toBeCloseTo(0.205, 9);
    expect(body.wave("ecgUnknownLead", 505)).toBeCloseTo(0.205, 9);
    expect(body.wave("arterialPressure", 502.5)).toBeCloseTo(202.5 / 4, 9);
    expect([0, 10, 500, 990, 1000].map((atMs) => body.wave("plethysmogram", atMs))).toEqual([0, 0, 0.5, 1, 1]);
    expect(body.wave("respiration", 250)).toBeCloseTo(0.75, 9);
    expect(body.wave("respiration", 300)).toBe(0);
    expect(body.wave("respiration", 295)).toBe(body.wave("respiration", 290));
    expect([body.wave("ecgLeadI", 500), body.wave("ecgLeadII", 1011), body.wave("ecgLeadII", -1)]).toEqual([0, 0, 0]);
    expect(short(body.quantity("heartRate", 0))).toBe("not-available");
    expect(body.unusedSignals).toEqual(["V5"]);
  });

  test("an ECG of another lead is the ECG of a device that does not say its lead, and never lead II", async () => {
    const body = bodyOf([await made(100, [["V", "mV", 100, [50, 150]]])]);
    expect([body.wave("ecgUnknownLead", 10), body.wave("ecgLeadII", 10)]).toEqual([1.5, 0]);
  });

  test("waves and numbers of two records begin together, and the longer one is the length", async () => {
    const waves = await made(100, [["RESP", "pm", 1, [-5, 5]]]);
    const body = bodyOf([waves, await made(0.5, [["RESP", "pm", 10, [185, 191]]])]);
    expect(body.lengthMs).toBe(4000);
    expect(short(body.quantity("respiratoryRate", 2000))).toBe(19.1);
    expect([body.wave("respiration", 0), body.wave("respiration", 5), body.wave("respiration", 10)]).toEqual([0, 0.5, 1]);
  });

  test("of what two records have the first counts", async () => {
    const rows = [["PULSE", "bpm", 1, [60]] as const, ["NBPMean", "mmHg", 1, [70]] as const];
    const body = bodyOf([await made(1, rows), await made(1, [...rows, ["HR", "bpm", 1, [90]]])]);
    expect(body.unusedSignals).toEqual(["PULSE", "NBPMean"]);
    expect(short(body.quantity("heartRate", 0))).toBe(90);
  });

  test("a unit that is not the name's is refused, and so is a record of which nothing is known", async () => {
    expect(createRecordBody([await made(1, [["SpO2", "mmHg", 1, [97]]])], { atEnd: "again" })).toEqual({
      ok: false,
      error: { kind: "wrong-unit", record: "r", signal: "SpO2", given: "mmHg", known: ["%"] },
    });
    expect(createRecordBody([await made(100, [["II", "NU", 1, [97]]])], { atEnd: "again" })).toMatchObject({
      error: { kind: "wrong-unit", signal: "II", known: ["mV", "uV"] },
    });
    expect(createRecordBody([await made(1, [["CVP", "mmHg", 1, [7]]])], { atEnd: "again" })).toEqual({
      ok: false,
      error: { kind: "nothing-known", records: ["r"], unusedSignals: ["CVP"] },
    });
    expect(createRecordBody([], { atEnd: "again" })).toMatchObject({ ok: false, error: { kind: "nothing-known" } });
  });
});

// ----------------------------------------------------------------- real data

describe("the real numbers of a bedside monitor", () => {
  const real = async () => {
    const read = await readWfdbRecord(REAL_HEADER);
    if (!read.ok) throw new Error(JSON.stringify(read.error));
    return read.value;
  };

  test("are read, with all ten checksums right", async () => {
    const record = await real();
    expect(record).toMatchObject({ framesCount: 1936, startDate: "2896-10-10", comments: ["<age>: 60 <sex>: F"] });
    expect(record.signals.map((signal) => signal.name)).toEqual([
      ...["HR", "ABPSys", "ABPDias", "ABPMean", "PULSE", "RESP", "SpO2", "NBPSys", "NBPDias", "NBPMean"],
    ]);
    // The 15th minute, taken from the file's bytes 280 to 299 by hand: 2c02 ... 2602 7c00 c003 7800 4800 5900.
    expect(record.signals.map((signal) => sampleAt(signal, 14))).toEqual([55.6, 0, 0, 0, 55, 12.4, 96, 120, 72, 89]);
  });

  /** What the gateway's driver understands of what the monitor's twin sends at the end of this second. */
  async function throughTwin(atMs: number): Promise<Readonly<Record<string, number | string>>> {
    const twin = ivy450c.twin(bodyOf([await real()]), {});
    const session = ivy450c.open({});
    const emissions = twin
      .due(atMs)
      .bytesToSend.flatMap(({ bytes }): readonly Emission[] => session.feed(bytes, "", monotonicMs(atMs)));
    expect(emissions.map((emission) => emission.kind)).not.toContain("refusal");
    const last = emissions.filter((emission) => emission.kind === "message").at(-1);
    return Object.fromEntries((last?.readings ?? []).map((reading) => [reading.quantity, short(reading)]));
  }

  test("come back through the Ivy 450C's twin and driver: minute 14, with the cuff's first result", async () => {
    expect(await throughTwin(14 * MINUTE_MS)).toMatchObject({
      ...{ heartRate: 56, pulseRate: 55, respiratoryRate: 12, oxygenSaturation: 96 },
      ...{ systolicPressure: 120, diastolicPressure: 72, meanPressure: 89, cuffPulseRate: "not-available" },
      ...{ arterialSystolicPressure: "not-available", bodyTemperature: "not-available" },
    });
  });

  test("minute 15: the oximeter has nothing, the cuff's result is held", async () => {
    expect(await throughTwin(15 * MINUTE_MS + 30_000)).toMatchObject({
      ...{ heartRate: 56, pulseRate: "not-available", respiratoryRate: 10, oxygenSaturation: "not-available" },
      ...{ systolicPressure: 120, diastolicPressure: 72, meanPressure: 89 },
    });
  });

  test("minute 13: no cuff yet; minute 610: nothing but the cuff; minute 1928: the arterial line", async () => {
    expect(await throughTwin(14 * MINUTE_MS - 1000)).toMatchObject({ systolicPressure: "not-available" });
    expect(await throughTwin(610 * MINUTE_MS)).toMatchObject({
      ...{ heartRate: "not-available", respiratoryRate: "not-available", oxygenSaturation: "not-available" },
      ...{ systolicPressure: 118, diastolicPressure: 63, meanPressure: 82 },
    });
    expect(await throughTwin(1928 * MINUTE_MS)).toMatchObject({
      ...{ heartRate: 61, arterialSystolicPressure: 144, arterialDiastolicPressure: 75, arterialMeanPressure: 102 },
    });
  });
});
