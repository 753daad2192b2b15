import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, onTestFinished, test } from "vitest";
import { DRIVERS } from "../drivers/index.ts";
import type { Command } from "../src/commands/command.ts";
import { decodeCommand } from "../src/commands/decode.ts";
import { driversCommand } from "../src/commands/drivers.ts";
import { encodeCommand } from "../src/commands/encode.ts";
import { scoreCommand } from "../src/commands/score.ts";
import { collectingIo } from "./support/collecting-io.ts";

const RECORDING = new URL("captures/ivy-450c/Ivy450C.1.data", import.meta.url).pathname;
const ROOT = new URL("..", import.meta.url).pathname;

const REST = "01 80 01 00 82 ";
/** Vector V24: 72 /min, 97 %. Source: pez-globo/pufferfish-software TestPacketReceiver.cpp, lines 108-132. */
const PACKET = `01 81 01 00 83 01 80 01 48 CA 01 80 01 61 E3 01 80 01 30 B2 ${REST.repeat(4)}${"01 80 01 61 E3 ".repeat(3)}${REST.repeat(3)}01 80 01 48 CA ${"01 80 01 61 E3 ".repeat(2)}${REST.repeat(3)}01 80 01 48 CA ${REST}01 80 01 48 CA ${REST.repeat(2)}`;
const WRONG_CHECK = "01 80 01 61 E4";

interface Answer {
  readonly exitCode: number;
  readonly lines: readonly string[];
  readonly complaints: string;
}

async function call(command: Command, args: readonly string[], input: readonly string[] = []): Promise<Answer> {
  const io = collectingIo(input);
  const exitCode = await command.run(args, io);
  return { exitCode, lines: io.out, complaints: io.err.join("\n") };
}

function parsed(answer: Answer): readonly unknown[] {
  return answer.lines.map((line) => JSON.parse(line) as unknown);
}

const NONIN_OK = {
  ok: true,
  readings: [
    { quantity: "pulseRate", kind: "present", value: 72, unit: "/min", flags: [] },
    { quantity: "oxygenSaturation", kind: "present", value: 97, unit: "%", flags: [] },
  ],
  alarms: [],
};
const BAD_CHECKSUM = { ok: false, error: { kind: "bad-checksum", expected: 0xe3, given: 0xe4 } };

test("decode prints the recording as exactly 27 good lines and exits 0", async () => {
  const answer = await call(decodeCommand, ["serial-ivy-450c", "--file", RECORDING]);
  const lines = parsed(answer) as { ok: boolean; readings: unknown[]; waveforms: { samples: number[] }[]; alarms: unknown[] }[];
  expect(answer.exitCode).toBe(0);
  expect(lines).toHaveLength(27);
  for (const line of lines) {
    expect(line.ok).toBe(true);
    expect(line.alarms).toEqual([]);
    expect(line.readings).toContainEqual({ quantity: "heartRate", kind: "present", value: 80, unit: "/min", flags: [] });
    expect(line.readings).toContainEqual({
      quantity: "systolicPressure",
      kind: "present",
      value: 121,
      unit: "mm[Hg]",
      flags: [],
      held: true,
    });
    expect(line.readings).toContainEqual({ quantity: "bodyTemperature", kind: "absent", why: "not-available" });
    expect(line.waveforms.map((wave) => wave.samples.length)).toEqual([200, 50, 50, 50]);
  }
});

test("decode takes chunks in the order given, behind one --hex or several", async () => {
  const half = PACKET.length / 2 + 1;
  const [first, second] = [PACKET.slice(0, half), PACKET.slice(half)];
  const behindOne = await call(decodeCommand, ["serial-nonin-df2", "--hex", first, second]);
  const behindTwo = await call(decodeCommand, ["serial-nonin-df2", "--hex", first, "--hex", second]);
  expect(parsed(behindOne)).toEqual([expect.objectContaining(NONIN_OK)]);
  expect(behindTwo).toEqual(behindOne);
  expect(behindOne.exitCode).toBe(0);
  expect((await call(decodeCommand, ["serial-nonin-df2", "--hex", second, first])).exitCode).toBe(1);
});

test("decode exits 1 and names what was refused, and still prints what was good", async () => {
  const answer = await call(decodeCommand, ["serial-nonin-df2", "--hex", WRONG_CHECK, PACKET]);
  expect(parsed(answer)).toMatchObject([BAD_CHECKSUM, NONIN_OK]);
  expect(answer.exitCode).toBe(1);
});

test("decode says no-frame and exits 1 when the bytes end without any", async () => {
  const answer = await call(decodeCommand, ["serial-nonin-df2", "--hex", "01 80 01 61", "E3"]);
  expect(parsed(answer)).toEqual([{ ok: false, error: { kind: "no-frame", givenBytes: 5 } }]);
  expect(answer.exitCode).toBe(1);
});

test("decode feeds a text with its line end added", async () => {
  const answer = await call(decodeCommand, ["serial-ivy-450c", "--text", "HR=1;80;"]);
  expect(parsed(answer)).toEqual([{ ok: false, error: { kind: "no-frame", givenBytes: 10 } }]);
  expect(answer.exitCode).toBe(1);
});

test("decode --stdin answers each line from a session of its own, in order", async () => {
  const half = PACKET.length / 2 + 1;
  const input = [
    { channel: "", hex: [PACKET.slice(0, half), PACKET.slice(half)] },
    { hex: [WRONG_CHECK] },
    { hex: [PACKET], options: {} },
    { hex: [PACKET.slice(0, half)] },
    { hex: [PACKET.slice(half)] },
  ].map((line) => JSON.stringify(line));
  const answer = await call(decodeCommand, ["serial-nonin-df2", "--stdin"], input);
  expect(parsed(answer)).toMatchObject([
    { results: [NONIN_OK] },
    { results: [BAD_CHECKSUM] },
    { results: [NONIN_OK] },
    { results: [{ ok: false, error: { kind: "no-frame" } }] },
    { results: [{ ok: false, error: { kind: "no-frame" } }] },
  ]);
  expect(answer.exitCode).toBe(1);
  expect((await call(decodeCommand, ["serial-nonin-df2", "--stdin"], input.slice(0, 1))).exitCode).toBe(0);
});

test("decode --stdin answers a line that is no request too, so that answers stay in step", async () => {
  const input = [
    "{",
    "[]",
    "{}",
    '{"hex":[1]}',
    '{"hex":["0"]}',
    '{"hex":["00"],"options":{"a":1}}',
    JSON.stringify({ hex: PACKET }),
  ];
  const answer = await call(decodeCommand, ["serial-nonin-df2", "--stdin"], input);
  expect(answer.lines).toHaveLength(7);
  for (const line of parsed(answer).slice(0, 6))
    expect(line).toMatchObject({ results: [{ ok: false, error: { kind: "bad-request" } }] });
  expect(parsed(answer)[6]).toMatchObject({ results: [NONIN_OK] });
  expect(answer.exitCode).toBe(1);
});

test("an option the driver does not know is refused with its remedy, given by hand or in a line", async () => {
  const byHand = await call(decodeCommand, ["serial-nonin-df2", "--option", "foo=1", "--hex", PACKET]);
  expect(byHand).toMatchObject({ exitCode: 2, lines: [] });
  expect(byHand.complaints).toContain(
    "serial-nonin-df2 does not know the option foo; take it out, serial-nonin-df2 has no options",
  );
  const inLine = await call(
    decodeCommand,
    ["serial-nonin-df2", "--stdin"],
    [JSON.stringify({ hex: [PACKET], options: { foo: "1" } })],
  );
  expect(inLine.exitCode).toBe(1);
  expect(inLine.lines.join()).toContain("does not know the option foo; take it out");
  const encoded = await call(encodeCommand, ["serial-nonin-df2", "--option", "foo=1", "--readings", '{"pulseRate":72}']);
  expect(encoded).toMatchObject({ exitCode: 2, lines: [] });
});

test.each([
  [[]],
  [["serial-nonin-df2"]],
  [["serial-nothing", "--hex", "00"]],
  [["serial-nonin-df2", "--hex", "0"]],
  [["serial-nonin-df2", "--hex", "zz"]],
  [["serial-nonin-df2", "--hex", "00", "--text", "x"]],
  [["serial-nonin-df2", "00"]],
  [["serial-nonin-df2", "--option", "novalue", "--hex", "00"]],
  [["serial-nonin-df2", "--unknown", "--hex", "00"]],
  [["serial-nonin-df2", "--file", "/nonexistent/bytes"]],
])("decode %j is wrong usage: exit 2, a remedy, nothing printed for programs", async (args) => {
  const answer = await call(decodeCommand, args);
  expect(answer.exitCode).toBe(2);
  expect(answer.lines).toEqual([]);
  expect(answer.complaints).not.toBe("");
});

const ENCODING = DRIVERS.filter((driver) => driver.encode !== null).map((driver) => driver.id);

test.each(ENCODING)("what encode prints for %s, decode --stdin takes", async (id) => {
  const readings = [
    { quantity: "pulseRate", value: 151 },
    { quantity: "oxygenSaturation", value: 88 },
  ];
  const encoded = await call(encodeCommand, [id, "--readings", JSON.stringify(readings)]);
  expect(encoded.exitCode).toBe(0);
  const decoded = await call(decodeCommand, [id, "--stdin"], encoded.lines);
  expect(decoded.exitCode).toBe(0);
  const [line] = parsed(decoded) as { results: { readings: unknown[] }[] }[];
  expect(line?.results).toHaveLength(1);
  for (const wanted of readings)
    expect(line?.results[0]?.readings).toContainEqual(expect.objectContaining({ kind: "present", ...wanted }));
});

test("encode says absences, and an object of values is as good as a list", async () => {
  const list = await call(encodeCommand, [
    "serial-nonin-df2",
    "--readings",
    '[{"quantity":"pulseRate","value":60},{"quantity":"oxygenSaturation","why":"not-available"}]',
  ]);
  const object = await call(encodeCommand, ["serial-nonin-df2", "--readings", '{"pulseRate":60,"oxygenSaturation":null}']);
  expect(object).toEqual(list);
  const decoded = await call(decodeCommand, ["serial-nonin-df2", "--stdin"], list.lines);
  expect(parsed(decoded)).toMatchObject([
    { results: [{ readings: [{ value: 60 }, { quantity: "oxygenSaturation", kind: "absent", why: "not-available" }] }] },
  ]);
});

test.each([
  ["serial-nonin-df2", '{"pulseRate":511}', "pulseRate"],
  ["serial-nonin-df2", '{"oxygenSaturation":101}', "oxygenSaturation"],
  ["serial-nonin-df2", '{"heartRate":72}', "heartRate"],
  ["serial-ivy-450c", '{"heartRate":1000}', "heartRate"],
  ["serial-ivy-450c", '[{"quantity":"heartRate","value":72,"flags":["motion"]}]', "heartRate"],
])("encode %s %s is refused rather than said wrongly", async (id, readings, quantity) => {
  const answer = await call(encodeCommand, [id, "--readings", readings]);
  expect(parsed(answer)).toEqual([{ ok: false, error: { kind: "not-encodable", driver: id, quantity } }]);
  expect(answer.exitCode).toBe(1);
});

test.each([
  [[]],
  [["serial-nonin-df2"]],
  [["serial-nothing", "--readings", "{}"]],
  [["serial-nonin-df2", "--readings", "{"]],
  [["serial-nonin-df2", "--readings", "7"]],
  [["serial-nonin-df2", "--readings", '{"pulse":7}']],
  [["serial-nonin-df2", "--readings", '{"pulseRate":"72"}']],
  [["serial-nonin-df2", "--readings", '[{"quantity":"pulseRate"}]']],
  [["serial-ivy-450c", "--readings", '[{"quantity":"bodyTemperature","value":99,"unit":"[degF]"}]']],
])("encode %j is wrong usage", async (args) => {
  const answer = await call(encodeCommand, args);
  expect(answer.exitCode).toBe(2);
  expect(answer.lines).toEqual([]);
});

test("drivers lists all of them, for people and for programs", async () => {
  const json = await call(driversCommand, ["--json"]);
  expect(parsed(json)).toMatchObject(
    DRIVERS.map(({ id, title, link, quantities, reference }) => ({ id, title, link, quantities, reference })),
  );
  const people = await call(driversCommand, []);
  for (const driver of DRIVERS) expect(people.lines.join("\n")).toContain(driver.id);
  expect([json.exitCode, people.exitCode, (await call(driversCommand, ["--xml"])).exitCode]).toEqual([0, 0, 2]);
});

/** The real command line; fails where the exit code is not 0. */
const vigil = (...args: string[]) => promisify(execFile)(process.execPath, ["src/main.ts", ...args], { cwd: ROOT });

test.each([decodeCommand, encodeCommand, driversCommand, scoreCommand])(
  "$name --help prints its usage and exits 0",
  async ({ name, usage }) => {
    expect(await vigil(name, "--help")).toEqual({ stdout: `${usage}\n`, stderr: "" });
  },
);

test("the real command line decodes a file of captured bytes, and its exit code is the answer", async () => {
  const folder = await mkdtemp(join(tmpdir(), "vigil-decode-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  const damaged = join(folder, "damaged.data");
  await writeFile(damaged, Buffer.from((PACKET + WRONG_CHECK + PACKET).replaceAll(" ", ""), "hex"));
  const whole = await vigil("decode", "serial-ivy-450c", "--file", RECORDING);
  expect(whole.stdout.trim().split("\n")).toHaveLength(27);
  await expect(vigil("decode", "serial-nonin-df2", "--file", damaged)).rejects.toMatchObject({ code: 1 });
  await expect(vigil("decode", "serial-nonin-df2")).rejects.toMatchObject({ code: 2, stdout: "" });
});
