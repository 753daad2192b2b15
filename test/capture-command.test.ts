import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, open, readFile, rm, stat, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connectAsync } from "mqtt";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { loadConfig } from "../config/load.ts";
import { findDriver } from "../drivers/index.ts";
import { COURSES } from "../simulator/body/courses.ts";
import { createPatient } from "../simulator/body/patient.ts";
import { createTimetable } from "../simulator/devices/timetable.ts";
import { openDeviceServer } from "../simulator/links/device-server.ts";
import { openMemoryLink } from "../simulator/links/memory-link.ts";
import { openPseudoTerminal } from "../simulator/links/pseudo-terminal.ts";
import { type Recording, readRecording, recordingTwin } from "../simulator/recordings/recording.ts";
import { createSimulatedClock } from "../simulator/world/simulated-clock.ts";
import { createSystemClock } from "../src/clock.ts";
import { CaptureFile } from "../src/commands/capture/capture-file.ts";
import { readCaptureQuestion } from "../src/commands/capture/question.ts";
import { Recorder, type RecorderParts } from "../src/commands/capture/recorder.ts";
import { captureCommand, recordAsAsked } from "../src/commands/capture.ts";
import { LIMITS } from "../src/core/limits.ts";
import { absent, present } from "../src/core/observation.ts";
import type { Driver, Emission, Twin } from "../src/core/ports.ts";
import { fail } from "../src/core/result.ts";
import { monotonicMs } from "../src/core/time.ts";
import { openControlSocket } from "../src/gateway/control-socket.ts";
import { linkSpecOf } from "../src/gateway/link-spec.ts";
import { openLink } from "../src/transports/link.ts";
import { collectingIo } from "./support/collecting-io.ts";
import { watchLink } from "./support/link-watcher.ts";
import { freePort, mosquittoIsMissing, prepareMosquitto, writePasswords } from "./support/mosquitto.ts";
import { PROJECT_FOLDER } from "./support/source-file.ts";
import { until } from "./support/until.ts";

const clock = createSystemClock();
const socatIsHere = spawnSync("socat", ["-V"]).status === 0;
if (!socatIsHere) process.stderr.write("SKIPPED: recordings of serial ports need the Debian package socat.\n");

const cleanups: (() => unknown)[] = [];
let folder = "";
let out = "";
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "vigil-capture-"));
  out = join(folder, "device.jsonl");
});
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
  await rm(folder, { recursive: true, force: true });
});

function driverOf(id: string): Driver {
  const driver = findDriver(id);
  if (driver === null) throw new Error(`no driver ${id}`);
  return driver;
}

function unwrap<Value>(
  result: { readonly ok: true; readonly value: Value } | { readonly ok: false; readonly error: unknown },
): Value {
  if (!result.ok) throw new Error(JSON.stringify(result.error));
  return result.value;
}

/** A command that is at work, until it is stopped. */
function begin(args: readonly string[]) {
  const io = collectingIo();
  const stop = new AbortController();
  const ended = recordAsAsked([...args, "--out", out], { io, clock, random: () => 0, stop: stop.signal });
  cleanups.push(async () => {
    stop.abort();
    await ended;
  });
  return {
    io,
    ended,
    said: () => io.err.join("\n"),
    summary: () => JSON.parse(io.out[0] ?? "null"),
    end: async () => {
      stop.abort();
      return await ended;
    },
  };
}

/** A simulated device that is silent until somebody listens. */
function waitingDevice(driver: Driver, options: Readonly<Record<string, string>> = {}) {
  const twin = driver.twin(createPatient({ course: COURSES.stable, seed: 7 }), options);
  const timetable = createTimetable(clock);
  cleanups.push(() => timetable.stop());
  let isOn = false;
  let startMs: number | null = null;
  const sent: { readonly atMs: number; readonly bytes: Uint8Array }[] = [];
  const gated: Twin = {
    due: (atMs) => {
      if (!isOn) return { bytesToSend: [], nextDueMs: atMs + 10 };
      startMs ??= atMs;
      const due = twin.due(atMs - startMs);
      return { bytesToSend: due.bytesToSend, nextDueMs: due.nextDueMs + startMs };
    },
    receive: twin.receive,
  };
  return {
    parts: { twin: gated, clock, timetable, onSent: (atMs: number, bytes: Uint8Array) => void sent.push({ atMs, bytes }) },
    switchOn: () => {
      isOn = true;
    },
    sent,
  };
}

interface Heard {
  readonly atMs: number;
  readonly emission: Emission;
}

/** What a driver makes of chunks, and when. */
function hear(
  driver: Driver,
  chunks: readonly { readonly atMs: number; readonly bytes: Uint8Array; readonly channel?: string }[],
  options: Readonly<Record<string, string>> = {},
): readonly Heard[] {
  const session = driver.open(options);
  return chunks.flatMap(({ atMs, bytes, channel = "" }) =>
    session.feed(bytes, channel, monotonicMs(atMs)).map((emission) => ({ atMs, emission })),
  );
}

/** One pass of a recording as a simulated device sends it. */
function replay(recording: Recording) {
  const twin = recordingTwin(recording);
  const chunks: { readonly atMs: number; readonly bytes: Uint8Array; readonly channel: string }[] = [];
  const lastMs = recording.chunks.at(-1)?.atMs ?? 0;
  for (let atMs = 0; atMs <= lastMs; atMs = twin.due(atMs).nextDueMs) {
    for (const sent of twin.due(atMs).bytesToSend) chunks.push({ atMs, ...sent });
    if (chunks.length === recording.chunks.length) break;
  }
  return chunks;
}

/** The same emissions in the same order, at the same times from the first on but for what a busy machine adds. */
function expectTheSame(replayed: readonly Heard[], original: readonly Heard[]): void {
  expect(replayed.length).toBeGreaterThan(3);
  expect(replayed.map(({ emission }) => emission)).toEqual(original.slice(0, replayed.length).map(({ emission }) => emission));
  const offsets = replayed.map(({ atMs }, index) => atMs - (original[index]?.atMs ?? 0)).sort((one, other) => one - other);
  const median = offsets[Math.floor(offsets.length / 2)] ?? 0;
  const apart = offsets.map((offset) => Math.abs(offset - median)).sort((one, other) => one - other);
  expect(apart[Math.floor(apart.length * 0.7)]).toBeLessThan(15);
  expect(apart.at(-1)).toBeLessThan(500);
}

async function readOut(driver: Driver): Promise<Recording> {
  return unwrap(await readRecording({ file: out, driver, messageMs: 1000 }));
}

/** Plays the file through a link of kind `capture`, as a configuration has it. */
async function playThroughLink(): Promise<Buffer> {
  const link = openLink(
    { kind: "capture", file: out, speed: 100, repeat: false },
    { clock, random: () => 0, stop: new AbortController().signal },
  );
  cleanups.push(() => link.close());
  const watcher = watchLink(link);
  await watcher.until(() => watcher.story().includes("down link-down"), "the end of the recording");
  return watcher.received();
}

describe("a recording of a simulated device", () => {
  test.skipIf(!socatIsHere)("by a serial port replays to the same emissions at the same times", async () => {
    const driver = driverOf("serial-nonin-df2");
    const device = waitingDevice(driver);
    const port = unwrap(await openPseudoTerminal(device.parts));
    cleanups.push(() => port.close());
    const command = begin(["--serial", port.path, "--driver", driver.id, "--note", "DF2 on the test bench"]);
    await until("it records", () => command.said().includes("Recording"));
    device.switchOn();
    await until("messages", () => device.sent.length >= 8);
    await until("what it says", () => /[1-9]\d* decoded, 0 refused\. .*SpO₂ 血氧 \d+ %/.test(command.said()));
    expect(await command.end()).toBe(0);
    const replayed = hear(driver, replay(await readOut(driver)));
    expectTheSame(replayed, hear(driver, device.sent));
    const header = JSON.parse((await readFile(out, "utf8")).split("\n")[0] ?? "");
    expect(header).toMatchObject({ format: "vigil.capture/1", driverId: driver.id, note: "DF2 on the test bench" });
    expect(Math.abs(header.recordedAtMs - clock.wall())).toBeLessThan(60_000);
    expect((await stat(out)).mode & 0o777).toBe(0o600);
    const bytes = (await readOut(driver)).chunks.reduce((sum, chunk) => sum + chunk.bytes.length, 0);
    const messages = replayed.filter(({ emission }) => emission.kind === "message").length;
    expect(command.summary()).toMatchObject({
      file: out,
      ended: "asked",
      bytes,
      messages,
      refused: 0,
      linkLosses: 0,
      leftOut: 0,
    });
    expect(command.said()).toContain(`${bytes} bytes`);
    expect(command.said()).toMatch(/断线 0 次/);
  });

  test("by TCP, from a configuration, replays to the same emissions, also by a link of kind capture", async () => {
    const driver = driverOf("serial-ivy-450c");
    const device = waitingDevice(driver);
    const server = unwrap(await openDeviceServer(device.parts));
    cleanups.push(() => server.close());
    const link = { kind: "tcp", host: "127.0.0.1", port: server.port };
    const config = await writeConfig([{ id: "monitor", title: "Monitor", driver: driver.id, link }]);
    const command = begin(["--config", config, "--device", "monitor"]);
    await until("it records", () => command.said().includes("Recording"));
    device.switchOn();
    await until("messages", () => device.sent.length >= 5);
    await until("what it says", () => /decoded, 0 refused\. .*HR 心率 \d+/.test(command.said()));
    expect(await command.end()).toBe(0);
    expectTheSame(hear(driver, replay(await readOut(driver))), hear(driver, device.sent));
    const recorded = Buffer.concat((await readOut(driver)).chunks.map(({ bytes }) => bytes));
    expect((await playThroughLink()).equals(recorded)).toBe(true);
  });

  test("a lost connection is said and counted, and is a gap in the times", async () => {
    const driver = driverOf("serial-nonin-df2");
    const device = waitingDevice(driver);
    const server = unwrap(await openDeviceServer(device.parts));
    const { port } = server;
    const command = begin(["--tcp", `127.0.0.1:${port}`, "--driver", driver.id]);
    await until("it records", () => command.said().includes("Recording"));
    device.switchOn();
    await until("messages", () => command.said().includes("decoded"));
    await server.close();
    await until("the loss", () => command.said().includes("is lost or does not come about"));
    const again = waitingDevice(driver);
    again.switchOn();
    const second = unwrap(await openDeviceServer({ ...again.parts, port }));
    cleanups.push(() => second.close());
    await until("it is there again", () => command.said().includes("重新连接"));
    await until("its messages", () => again.sent.length >= 3);
    expect(await command.end()).toBe(0);
    expect(command.summary()).toMatchObject({ linkLosses: 1 });
    const { chunks } = await readOut(driver);
    const gaps = chunks.map(({ atMs }, index) => atMs - (chunks[index - 1]?.atMs ?? atMs));
    expect(Math.max(...gaps)).toBeGreaterThan(400);
    expect(gaps.every((gap) => gap >= 0)).toBe(true);
  });
});

describe.skipIf(mosquittoIsMissing)("a recording by MQTT", () => {
  const driver = driverOf("mqtt-json");
  const mapping = JSON.stringify({ heartRate: "$.hr", oxygenSaturation: "$.o2" });

  async function startServer(lines: readonly string[]) {
    const server = await prepareMosquitto(lines);
    cleanups.push(() => server.remove());
    await server.start();
    return server;
  }

  test("keeps each topic, says what was retained, and leaves no session behind", async () => {
    const server = await startServer(["allow_anonymous true", "sys_interval 1"]);
    const url = `mqtt://127.0.0.1:${server.port}`;
    const sender = await connectAsync(url, { reconnectPeriod: 0 });
    cleanups.push(() => sender.endAsync(true));
    await sender.publishAsync("ward/a/vitals", '{"hr":61,"o2":91}', { qos: 1, retain: true });
    const topics = ["--topic", "ward/a/#", "--topic", "ward/b/vitals"];
    const command = begin(["--mqtt", url, ...topics, "--driver", driver.id, "--option", `mapping=${mapping}`]);
    await until("it records what was retained", () => command.said().includes("HR 心率 61"));
    await sender.publishAsync("ward/b/vitals", '{"hr":72,"o2":97}', { qos: 1 });
    await sender.publishAsync("ward/a/vitals", '{"hr":83,"o2":98}', { qos: 0 });
    await sender.publishAsync("ward/c/vitals", '{"hr":99,"o2":99}', { qos: 1 });
    await until("all are written", async () => (await readFile(out, "utf8")).split("\n").length === 5);
    expect(await command.end()).toBe(0);
    const { chunks } = await readOut(driver);
    expect(chunks.map(({ channel, bytes }) => `${channel} ${Buffer.from(bytes)}`)).toEqual([
      'ward/a/vitals {"hr":61,"o2":91}',
      'ward/b/vitals {"hr":72,"o2":97}',
      'ward/a/vitals {"hr":83,"o2":98}',
    ]);
    expect(replay(await readOut(driver)).map(({ channel }) => channel)).toEqual(chunks.map(({ channel }) => channel));
    const values = hear(driver, replay(await readOut(driver)), { mapping }).map(({ emission }) =>
      emission.kind === "message"
        ? emission.readings.map((reading) => (reading.kind === "present" ? reading.value : null))
        : null,
    );
    expect(values).toEqual([
      [61, 91],
      [72, 97],
      [83, 98],
    ]);
    expect(command.summary()).toMatchObject({ chunks: 3, messages: 3, refused: 0, kept: 1 });
    expect(command.said()).toContain("1 messages were kept by the server");
    // Connected clients and sessions that are kept for others: the sender alone.
    let clients = "";
    sender.on("message", (_topic, payload) => {
      clients = payload.toString();
    });
    await sender.subscribeAsync("$SYS/broker/clients/total");
    await until("no session is left", () => clients === "1");
  });

  test("of a configured device takes nothing from the gateway's own link", async () => {
    const server = await startServer(["allow_anonymous true"]);
    const link = { kind: "mqtt", server: "ward", topics: ["ward/a/vitals"] };
    const device = { id: "watch", title: "Watch", driver: driver.id, link, options: { mapping: JSON.parse(mapping) } };
    const url = `mqtt://127.0.0.1:${server.port}`;
    const file = await writeConfig([device], { mqttServers: [{ name: "ward", url }] });
    const config = unwrap(await loadConfig(file));
    const configured = config.devices[0];
    if (configured === undefined) throw new Error("the configuration has a device");
    const spec = linkSpecOf(configured, driver, config);
    const own = openLink(spec, { clock, random: () => 0, stop: new AbortController().signal });
    cleanups.push(() => own.close());
    const watcher = watchLink(own);
    await watcher.until(() => watcher.story().includes("up"), "the gateway's link");
    const command = begin(["--config", file, "--device", "watch"]);
    await until("it records", () => command.said().includes("Recording"));
    const sender = await connectAsync(url, { reconnectPeriod: 0 });
    cleanups.push(() => sender.endAsync(true));
    await sender.publishAsync("ward/a/vitals", '{"hr":64,"o2":96}', { qos: 1 });
    await until("both have it", () => command.said().includes("HR 心率 64") && watcher.received().length > 0);
    expect(await command.end()).toBe(0);
    expect(watcher.story()).toEqual(["up", "bytes"]);
  });

  test("a wrong password ends it at once with what to do, and the right one is let in", async () => {
    const files = { right: join(folder, "right"), wrong: join(folder, "wrong"), passwords: join(folder, "passwords") };
    writePasswords({ file: files.passwords, username: "recorder", password: "alpha" });
    await writeFile(files.right, "alpha\n", { mode: 0o600 });
    await writeFile(files.wrong, "beta\n", { mode: 0o600 });
    const guarded = await startServer(["allow_anonymous false", `password_file ${files.passwords}`]);
    const words = ["--mqtt", `mqtt://127.0.0.1:${guarded.port}`, "--topic", "ward/#", "--username", "recorder"];
    const refused = begin([...words, "--password-file", files.wrong]);
    expect(await refused.ended).toBe(1);
    expect(refused.said()).toContain("--password-file");
    const allowed = begin([...words, "--password-file", files.right]);
    await until("it records", () => allowed.said().includes("Recording"));
    const sender = await connectAsync(`mqtt://127.0.0.1:${guarded.port}`, { username: "recorder", password: "alpha" });
    cleanups.push(() => sender.endAsync(true));
    await sender.publishAsync("ward/one", "17", { qos: 1 });
    await until("it is written", async () => (await readFile(out, "utf8")).includes("ward/one"));
    expect(await allowed.end()).toBe(0);
    expect(allowed.summary()).toMatchObject({ chunks: 1, messages: null, refused: null });
  });
});

async function writeConfig(devices: readonly object[], more: object = {}): Promise<string> {
  const file = join(folder, "ward.yaml");
  // JSON is YAML.
  await writeFile(
    file,
    JSON.stringify({ gateway: { id: "ward-1", dataFolder: folder }, dashboard: { enabled: false }, devices, ...more }),
  );
  return file;
}

describe("what is refused before anything is opened", () => {
  const secondsMax = LIMITS.captureSecondsMax.value;
  const noteMax = LIMITS.noteCharactersMax.value;
  const tcp = ["--tcp", "127.0.0.1:4001"];

  test.each<readonly [string, readonly string[], string]>([
    ["no device", [], "exactly one of"],
    ["two devices", [...tcp, "--serial", "/dev/ttyS9", "--baud", "9600"], "exactly one of"],
    ["a word of another way", [...tcp, "--baud", "9600"], "--baud means nothing with --tcp"],
    ["a driver beside a configuration", ["--config", "f", "--device", "d", "--driver", "serial-nonin-df2"], "--driver means"],
    ["a configuration without a device", ["--config", "f"], "--device ID"],
    ["no rate", ["--serial", "/dev/ttyS9"], "--baud"],
    ["a rate too low", ["--serial", "/dev/ttyS9", "--baud", "49"], "--baud:"],
    ["a rate too high", ["--serial", "/dev/ttyS9", "--baud", "4000001"], "--baud:"],
    ["a rate that is no number", ["--serial", "/dev/ttyS9", "--baud", "fast"], "--baud:"],
    ["data bits", ["--serial", "/dev/ttyS9", "--baud", "9600", "--data-bits", "9"], "--data-bits:"],
    ["a parity", ["--serial", "/dev/ttyS9", "--baud", "9600", "--parity", "mark"], "none, even, odd"],
    ["stop bits", ["--serial", "/dev/ttyS9", "--baud", "9600", "--stop-bits", "3"], "--stop-bits:"],
    ["a handshake", ["--serial", "/dev/ttyS9", "--baud", "9600", "--handshake", "dtr"], "--handshake:"],
    ["an address without a port", ["--tcp", "127.0.0.1"], "HOST:PORT"],
    ["port 0", ["--tcp", "127.0.0.1:0"], "--tcp:"],
    ["port 65536", ["--tcp", "127.0.0.1:65536"], "--tcp:"],
    ["no topic", ["--mqtt", "mqtt://127.0.0.1:1883"], "--topic"],
    ["a topic that is none", ["--mqtt", "mqtt://127.0.0.1:1883", "--topic", "a/#/b"], "--topic: is no topic"],
    ["an address of no MQTT server", ["--mqtt", "http://127.0.0.1", "--topic", "a"], "--mqtt:"],
    ["no such driver", [...tcp, "--driver", "serial-nonin"], "there is no driver serial-nonin"],
    ["a driver of MQTT on a stream", [...tcp, "--driver", "mqtt-json"], "mqtt-json is for devices by --mqtt"],
    [
      "a driver of a stream by MQTT",
      ["--mqtt", "mqtt://127.0.0.1", "--topic", "a", "--driver", "serial-nonin-df2"],
      "is for devices by --serial",
    ],
    ["an option without a driver", [...tcp, "--option", "a=b"], "--option is of a driver"],
    [
      "an option that the driver does not know",
      [...tcp, "--driver", "serial-nonin-df2", "--option", "a=b"],
      "does not know the option a",
    ],
    ["no time", [...tcp, "--seconds", "0"], "--seconds takes"],
    ["too long a time", [...tcp, "--seconds", String(secondsMax + 1)], "--seconds takes"],
    ["a time that is no number", [...tcp, "--seconds", ""], "--seconds takes"],
    ["too long a note", [...tcp, "--note", "n".repeat(noteMax + 1)], "--note takes"],
    ["a word nobody knows", [...tcp, "--speed", "2"], "--speed"],
  ])("%s is wrong usage", async (_name, words, says) => {
    const io = collectingIo();
    const stop = new AbortController().signal;
    expect(await recordAsAsked([...words, "--out", out], { io, clock, random: () => 0, stop })).toBe(2);
    expect(io.err.join("\n")).toContain(says);
    expect(io.err.join("\n")).toContain("usage: vigil capture");
    expect(io.out).toEqual([]);
    await expect(stat(out)).rejects.toThrow("ENOENT");
  });

  test("without --out nothing is recorded", () => {
    expect(() => readCaptureQuestion(tcp)).toThrow("--out FILE");
  });

  test("what is just within each bound is taken", () => {
    const line = ["--data-bits", "7", "--parity", "odd", "--stop-bits", "2", "--handshake", "xon-xoff"];
    const words = ["--seconds", String(secondsMax), "--note", "n".repeat(noteMax), "--listen-only", "--out", "f"];
    const question = readCaptureQuestion(["--serial", "/dev/ttyS9", "--baud", "4000000", ...line, ...words]);
    expect(question).toMatchObject({ seconds: secondsMax, listenOnly: true, outFile: "f", note: "n".repeat(noteMax) });
    expect(question.source).toEqual({
      kind: "link",
      listening: null,
      spec: {
        kind: "serial",
        path: "/dev/ttyS9",
        line: { baudRate: 4_000_000, dataBits: 7, parity: "odd", stopBits: 2, handshake: "xon-xoff" },
      },
    });
    const slow = readCaptureQuestion(["--serial", "p", "--baud", "50", "--seconds", "0.5", "--out", "f"]);
    expect(slow.source).toMatchObject({
      spec: { line: { baudRate: 50, dataBits: 8, parity: "none", stopBits: 1, handshake: "none" } },
    });
    for (const port of [1, 65_535]) {
      const { source } = readCaptureQuestion(["--tcp", `[::1]:${port}`, "--out", "f"]);
      expect(source).toMatchObject({ spec: { kind: "tcp", host: "::1", port } });
    }
  });

  test("a driver gives what is usual, and the command line has the last word", () => {
    const driver = driverOf("serial-ivy-450c");
    if (driver.link.kind !== "serial") throw new Error("a serial driver is needed");
    const { source } = readCaptureQuestion(["--serial", "p", "--driver", driver.id, "--parity", "even", "--out", "f"]);
    expect(source).toMatchObject({ spec: { line: { ...driver.link.line, parity: "even" } }, listening: { driver } });
  });
});

describe("what is refused with a remedy", () => {
  test("a file that is there already stays as it is, and the device is left alone", async () => {
    let connections = 0;
    const server = createServer(() => void connections++).listen(0, "127.0.0.1");
    cleanups.push(() => server.close());
    await once(server, "listening");
    const address = server.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    await writeFile(out, "somebody's");
    const command = begin(["--tcp", `127.0.0.1:${port}`]);
    expect(await command.ended).toBe(1);
    expect(await readFile(out, "utf8")).toBe("somebody's");
    expect(command.said()).toContain("never overwritten");
    expect(command.said()).toContain("--out 指定其他名称");
    expect(connections).toBe(0);
  });

  test("a folder that is not there is named with what to do", async () => {
    out = join(folder, "none", "f.jsonl");
    const command = begin(["--tcp", "127.0.0.1:9"]);
    expect(await command.ended).toBe(1);
    expect(command.said()).toContain("folder of this file does not exist");
  });

  test("a port that is not there ends it, and no file is left", async () => {
    const command = begin(["--serial", join(folder, "port"), "--baud", "9600"]);
    expect(await command.ended).toBe(1);
    expect(command.said()).toContain("adapter is plugged in");
    expect(command.summary()).toMatchObject({ file: null, ended: "link", chunks: 0 });
    await expect(stat(out)).rejects.toThrow("ENOENT");
  });

  test.skipIf(!socatIsHere)("a port that another program has open is told with what to do about it", async () => {
    const device = waitingDevice(driverOf("serial-nonin-df2"));
    const port = unwrap(await openPseudoTerminal(device.parts));
    cleanups.push(() => port.close());
    const words = ["--serial", port.path, "--baud", "9600", "--out", join(folder, "other.jsonl")];
    const other = spawn(process.execPath, ["src/main.ts", "capture", ...words], { cwd: PROJECT_FOLDER, stdio: "pipe" });
    cleanups.push(() => other.kill("SIGKILL"));
    let said = "";
    other.stderr.on("data", (bytes) => {
      said += String(bytes);
    });
    await until("it has the port", () => said.includes("Recording"));
    const command = begin(["--serial", port.path, "--driver", "serial-nonin-df2"]);
    expect(await command.ended).toBe(1);
    expect(command.said()).toContain("Another program has this port open");
    expect(command.said()).toContain(` (${other.pid})`);
    expect(command.said()).toContain("systemctl stop vigil");
  });

  test("a server that refuses is tried again until it is enough; nothing came, and no file is left", async () => {
    const command = begin(["--tcp", `127.0.0.1:${await freePort()}`, "--seconds", "0.6"]);
    expect(await command.ended).toBe(1);
    expect(command.said()).toContain("ECONNREFUSED");
    expect(command.said()).toContain("Nothing was recorded");
    expect(command.summary()).toMatchObject({ file: null, ended: "asked" });
    await expect(stat(out)).rejects.toThrow("ENOENT");
  });

  const noninDf2 = { title: "D", driver: "serial-nonin-df2" };
  test("a device that the running gateway has open is not taken from it; without a gateway it is", async () => {
    const config = await writeConfig([{ id: "d", ...noninDf2, link: { kind: "serial", path: join(folder, "port") } }]);
    const socket = unwrap(await openControlSocket(join(folder, "control.sock"), async () => ({ beds: [] })));
    const beside = begin(["--config", config, "--device", "d"]);
    expect(await beside.ended).toBe(1);
    await socket.close();
    expect(beside.said()).toContain("The running gateway has this device open");
    expect(beside.said()).not.toContain("adapter");
    const alone = begin(["--config", config, "--device", "d"]);
    expect(await alone.ended).toBe(1);
    expect(alone.said()).toContain("adapter is plugged in");
  });

  test.each<readonly [string, object, object, string]>([
    ["a recording", { ...noninDf2, link: { kind: "capture", file: "a" } }, {}, "copy its file"],
    [
      "a device at the gateway's own broker",
      { title: "D", driver: "mqtt-json", link: { kind: "mqtt", topics: ["a"] }, options: { mapping: { heartRate: "$.hr" } } },
      { broker: { port: 18_830 } },
      "vigil devices add recorder --subscribe",
    ],
  ])("%s is no device to record from", async (_name, device, more, says) => {
    const command = begin(["--config", await writeConfig([{ id: "d", ...device }], more), "--device", "d"]);
    expect(await command.ended).toBe(1);
    expect(command.said()).toContain(says);
  });

  test("a device that the configuration does not have, with those it has", async () => {
    const config = await writeConfig([{ id: "d", ...noninDf2, link: { kind: "tcp", host: "127.0.0.1", port: 9 } }]);
    const command = begin(["--config", config, "--device", "e"]);
    expect(await command.ended).toBe(1);
    expect(command.said()).toContain("It has: d.");
  });

  test("a configuration that is not valid", async () => {
    const config = await writeConfig([{ id: "d" }]);
    const command = begin(["--config", config, "--device", "d"]);
    expect(await command.ended).toBe(1);
    expect(command.said()).toContain("devices.0");
  });
});

describe("a recorder", () => {
  /** Asks once a second, and decodes each byte as a message but 0xff, which it refuses; 0xfe makes it fail. */
  const asking: Driver = {
    ...driverOf("serial-nonin-df2"),
    open: () => {
      let dueMs = 0;
      return {
        feed: (bytes) =>
          [...bytes].map((byte): Emission => {
            if (byte === 0xfe) throw new Error("a mistake of ours");
            if (byte === 0xff) return { kind: "refusal", error: { kind: "lost-sync", skippedBytes: 3 } };
            return {
              kind: "message",
              readings: [],
              waveforms: [],
              alarms: [],
              events: [],
              deviceClockMs: null,
              origin: "device",
            };
          }),
        due: (atMs) => {
          if (atMs < dueMs) return { bytesToSend: [], nextDueMs: monotonicMs(dueMs) };
          dueMs = atMs + 1000;
          return { bytesToSend: [{ channel: "", bytes: Uint8Array.of(0x3f) }], nextDueMs: monotonicMs(dueMs) };
        },
      };
    },
  };

  async function stage(more: Partial<RecorderParts> = {}) {
    const simulated = createSimulatedClock();
    const written: Uint8Array[] = [];
    const link = openMemoryLink({ clock: simulated, onWritten: (bytes) => written.push(bytes), queueBytesMax: 2 ** 30 });
    const said: string[] = [];
    const file = more.file ?? unwrap(await CaptureFile.create(out, simulated));
    const recorder = new Recorder({
      kind: "serial",
      link: link.link,
      listening: { driver: asking, options: {} },
      listenOnly: false,
      note: null,
      file,
      fileName: out,
      clock: simulated,
      say: ({ en, zh }) => said.push(`${en} ${zh}`),
      ...more,
    });
    const ended = recorder.run();
    link.up();
    await until("it is up", () => said.length > 0);
    let chunks = 0;
    return {
      simulated,
      link,
      written,
      said,
      ended,
      /** Sends bytes and waits until they are written. */
      send: async (...bytes: readonly number[]) => {
        link.send(Uint8Array.from(bytes));
        chunks += 1;
        await until("they are taken", () => link.thankedUpTo() === chunks);
      },
      finish: async () => {
        await link.link.close();
        return await ended;
      },
    };
  }

  test("sends what the driver must ask, each time it is due", async () => {
    const { simulated, written, finish } = await stage();
    expect(written.length).toBe(1);
    await simulated.advance(999);
    expect(written.length).toBe(1);
    await simulated.advance(1);
    expect(written).toEqual([Uint8Array.of(0x3f), Uint8Array.of(0x3f)]);
    await finish();
  });

  test("with --listen-only sends nothing", async () => {
    const { simulated, written, finish } = await stage({ listenOnly: true });
    await simulated.advance(5000);
    expect(written).toEqual([]);
    await finish();
  });

  test("says after ten seconds, once, that nothing came, and what it may be", async () => {
    const { simulated, said, finish } = await stage();
    await simulated.advance(LIMITS.captureQuietMs.value - 1);
    expect(said.length).toBe(1);
    await simulated.advance(1);
    expect(said.length).toBe(2);
    expect(said[1]).toMatch(/^Nothing has come for 10 s\. .*TX and RX crossed.*10 秒内没有数据.*TX\/RX/);
    await simulated.advance(100_000);
    expect(said.length).toBe(2);
    await finish();
  });

  test("says after ten seconds that nothing could be read, beginning with the baud rate, and again after it could", async () => {
    const { simulated, said, send, finish } = await stage();
    await simulated.advance(4000);
    await send(0xff, 0xff);
    await simulated.advance(5999);
    expect(said.filter((line) => line.includes("Nothing was decoded"))).toEqual([]);
    await simulated.advance(1);
    expect(said.at(-1)).toMatch(
      /though 2 bytes came \(2 times refused\)\. Most likely the baud rate; then parity.*最可能是波特率/,
    );
    await send(0x01);
    await simulated.advance(9999);
    await send(0x02);
    await simulated.advance(9999);
    expect(said.filter((line) => line.startsWith("Nothing"))).toHaveLength(1);
    await simulated.advance(1);
    expect(said.filter((line) => line.startsWith("Nothing"))).toHaveLength(2);
    expect(await finish()).toMatchObject({ messages: 2, refused: 2, bytes: 4, chunks: 3 });
  });

  test("a device that speaks once a minute is not called silent between two messages", async () => {
    const seldom: Driver = { ...asking, silenceSeconds: 60 };
    const { simulated, said, send, finish } = await stage({ listening: { driver: seldom, options: {} } });
    await send(1);
    await simulated.advance(59_999);
    expect(said.filter((line) => line.startsWith("Nothing"))).toEqual([]);
    await simulated.advance(1);
    expect(said.at(-1)).toContain("Nothing has come for 60 s");
    await finish();
  });

  test("shows the newest of each quantity, and in words why one is missing", async () => {
    const readings = [present("heartRate", 71, "/min"), absent("oxygenSaturation", "sensor-off")];
    const session = asking.open({});
    const telling: Driver = {
      ...asking,
      open: () => ({ ...session, feed: (...given) => session.feed(...given).map((emission) => ({ ...emission, readings })) }),
    };
    const { said, send, finish } = await stage({ listening: { driver: telling, options: {} } });
    await send(1);
    expect(said.at(-1)).toMatch(/^1 bytes, 1 decoded, 0 refused\. .*HR 心率 71 \/min; SpO₂ 血氧 - \(sensor off\)（传感器脱落）$/);
    await finish();
  });

  test("without a driver bytes are all that is waited for", async () => {
    const { simulated, said, send, finish } = await stage({ listening: null });
    await simulated.advance(9999);
    await send(0xff);
    await simulated.advance(9999);
    expect(said.filter((line) => line.startsWith("Nothing"))).toEqual([]);
    await simulated.advance(1);
    expect(said.filter((line) => line.startsWith("Nothing has come"))).toHaveLength(1);
    expect(await finish()).toMatchObject({ messages: null, refused: null, bytes: 1 });
  });

  test("says nothing of the quiet while the link is down", async () => {
    const { simulated, link, said, finish } = await stage();
    link.down();
    await until("the loss is told", () => said.length === 2);
    await simulated.advance(60_000);
    expect(said.length).toBe(2);
    expect(await finish()).toMatchObject({ linkLosses: 1 });
  });

  test("times count from the first chunk, and a gap is a gap", async () => {
    const { simulated, send, finish } = await stage();
    await simulated.advance(3000);
    await send(1);
    await simulated.advance(250);
    await send(2);
    await simulated.advance(40_000);
    await send(3);
    expect(await finish()).toMatchObject({ seconds: 40.25 });
    const lines = (await readFile(out, "utf8"))
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(lines[0].recordedAtMs).toBe(Date.UTC(2026, 0, 1) + 3000);
    expect(lines.slice(1)).toEqual([
      { atMs: 0, channel: "", hex: "01" },
      { atMs: 250, channel: "", hex: "02" },
      { atMs: 40_250, channel: "", hex: "03" },
    ]);
  });

  test("a driver that fails is asked no more, and every byte is recorded all the same", async () => {
    const { said, send, finish } = await stage();
    await send(1);
    await send(0xfe);
    await send(2);
    expect(said.filter((line) => line.includes("a mistake of ours"))).toHaveLength(1);
    expect(await finish()).toMatchObject({ ended: "asked", chunks: 3, messages: 1 });
  });

  test("a message that fits in no line is left out, said and counted; one that just fits is kept", async () => {
    const lineMax = LIMITS.captureLineBytesMax.value;
    const fits = (lineMax - '{"atMs":0,"channel":"","hex":""}\n'.length) / 2;
    const { said, link, finish } = await stage({ kind: "mqtt", listening: null });
    link.send(new Uint8Array(Math.floor(fits)));
    link.send(new Uint8Array(Math.floor(fits) + 1));
    await until("both are taken", () => link.thankedUpTo() === 2);
    expect(said.some((line) => line.includes("too long for a recording"))).toBe(true);
    expect(await finish()).toMatchObject({ chunks: 1, leftOut: 1, ended: "asked" });
  });

  test("a full file ends it whole, and says so", async () => {
    const file = unwrap(await CaptureFile.create(out, clock));
    const { link, ended } = await stage({ file, listening: null });
    const chunk = new Uint8Array(130_000).fill(0xa5);
    link.send(chunk);
    await until("it is taken", () => link.thankedUpTo() === 1);
    const filling = `${"x".repeat(LIMITS.captureLineBytesMax.value - 1)}\n`;
    const roomBytes = LIMITS.captureFileBytesMax.value - (await stat(out)).size;
    for (let bytes = filling.length; bytes <= roomBytes; bytes += filling.length) unwrap(await file.append(filling));
    link.send(chunk);
    expect(await ended).toMatchObject({ ended: "full", chunks: 1 });
    const written = await readFile(out);
    expect(written.length).toBeLessThanOrEqual(LIMITS.captureFileBytesMax.value);
    expect(written.at(-1)).toBe(0x0a);
  });

  test("a disk that takes no more ends it with what to do", async () => {
    let appends = 0;
    const kept = unwrap(await CaptureFile.create(join(folder, "other"), createSystemClock()));
    const file: RecorderParts["file"] = {
      append: async (line) => (++appends > 2 ? fail({ kind: "failed", cause: "ENOSPC" }) : await kept.append(line)),
      close: (how) => kept.close(how),
    };
    const { link, said, ended } = await stage({ file });
    link.send(Uint8Array.of(1));
    link.send(Uint8Array.of(2));
    expect(await ended).toMatchObject({ ended: "disk", chunks: 1 });
    expect(said.at(-1)).toMatch(/\(ENOSPC\): The disk is full.*磁盘已满/);
  });
});

describe("the file of a recording", () => {
  test("is on the disk within a second of each line, and no more often than once a second", async () => {
    const simulated = createSimulatedClock();
    const file = unwrap(await CaptureFile.create(out, simulated));
    const handle = await open(out, "r");
    const synced = vi.spyOn(Object.getPrototypeOf(handle), "datasync");
    cleanups.push(() => synced.mockRestore());
    await handle.close();
    await file.append("one\n");
    await simulated.advance(0);
    expect(synced).toHaveBeenCalledTimes(1);
    await file.append("two\n");
    await simulated.advance(999);
    await file.append("three\n");
    expect(synced).toHaveBeenCalledTimes(1);
    await simulated.advance(1);
    await until("it is synced again", () => synced.mock.calls.length === 2);
    await simulated.advance(5000);
    expect(synced).toHaveBeenCalledTimes(2);
    await file.close({ keep: true });
    expect(await readFile(out, "utf8")).toBe("one\ntwo\nthree\n");
  });

  test("takes a line of the bound and the last byte of the bound, and not one more", async () => {
    const file = unwrap(await CaptureFile.create(out, clock));
    const lineMax = LIMITS.captureLineBytesMax.value;
    expect(LIMITS.captureFileBytesMax.value).toBe(LIMITS.simulatedRecordingBytesMax.value);
    expect(await file.append("x".repeat(lineMax + 1))).toEqual({
      ok: false,
      error: { kind: "line-too-long", givenBytes: lineMax + 1 },
    });
    const line = "x".repeat(lineMax);
    for (let bytes = 0; bytes < LIMITS.captureFileBytesMax.value; bytes += lineMax) unwrap(await file.append(line));
    expect(await file.append("x")).toMatchObject({ ok: false, error: { kind: "full" } });
    await file.close({ keep: true });
    expect((await stat(out)).size).toBe(LIMITS.captureFileBytesMax.value);
  });
});

describe("the program", () => {
  test("Ctrl-C ends it in good order with the sums on standard output", async () => {
    const device = waitingDevice(driverOf("serial-nonin-df2"));
    const server = unwrap(await openDeviceServer(device.parts));
    cleanups.push(() => server.close());
    device.switchOn();
    const words = ["--tcp", `127.0.0.1:${server.port}`, "--driver", "serial-nonin-df2", "--out", out];
    const program = spawn(process.execPath, ["src/main.ts", "capture", ...words], {
      cwd: PROJECT_FOLDER,
      stdio: ["ignore", "pipe", "pipe"],
    });
    cleanups.push(() => program.kill("SIGKILL"));
    let stdout = "";
    let stderr = "";
    program.stdout.on("data", (bytes) => (stdout += String(bytes)));
    program.stderr.on("data", (bytes) => (stderr += String(bytes)));
    await until("it decodes", () => stderr.includes("decoded"));
    const exited = once(program, "exit");
    program.kill("SIGINT");
    expect((await exited)[0]).toBe(0);
    const summary = JSON.parse(stdout);
    expect(summary).toMatchObject({ file: out, ended: "asked", refused: 0 });
    expect((await readOut(driverOf("serial-nonin-df2"))).chunks.length).toBe(summary.chunks);
  });

  test("killed in the middle it leaves a recording that replays", async () => {
    const device = waitingDevice(driverOf("serial-nonin-df2"));
    const server = unwrap(await openDeviceServer(device.parts));
    cleanups.push(() => server.close());
    device.switchOn();
    const words = ["--tcp", `127.0.0.1:${server.port}`, "--out", out];
    const program = spawn(process.execPath, ["src/main.ts", "capture", ...words], { cwd: PROJECT_FOLDER, stdio: "ignore" });
    cleanups.push(() => program.kill("SIGKILL"));
    await until("it records", async () => (await readFile(out, "utf8").catch(() => "")).split("\n").length > 5);
    const exited = once(program, "exit");
    program.kill("SIGKILL");
    await exited;
    expect((await readOut(driverOf("serial-nonin-df2"))).chunks.length).toBeGreaterThan(3);
  });

  test("its help says the bounds, what Ctrl-C does and the exit codes", () => {
    for (const word of ["64 MiB", "604800", "Ctrl-C", "--listen-only", "Exit 0", "0600", "录制"])
      expect(captureCommand.usage).toContain(word);
  });
});
