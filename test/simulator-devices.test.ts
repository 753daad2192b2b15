import { spawnSync } from "node:child_process";
import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { createConnection, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, describe, expect, test } from "vitest";
import { DRIVERS, findDriver } from "../drivers/index.ts";
import { COURSES } from "../simulator/body/courses.ts";
import { createPatient } from "../simulator/body/patient.ts";
import { createTimetable } from "../simulator/devices/timetable.ts";
import { openWard, type WardDevice } from "../simulator/devices/ward.ts";
import { openBadLink } from "../simulator/links/bad-link.ts";
import { openDeviceServer } from "../simulator/links/device-server.ts";
import { createFaultLine, type LinkFaults, NO_FAULTS } from "../simulator/links/link-faults.ts";
import { openPseudoTerminal } from "../simulator/links/pseudo-terminal.ts";
import { createRandom } from "../simulator/random.ts";
import { readRecording, recordingTwin } from "../simulator/recordings/recording.ts";
import { createSimulatedClock } from "../simulator/world/simulated-clock.ts";
import { createSystemClock } from "../src/clock.ts";
import { formatCaptureChunk, formatCaptureHeader } from "../src/core/capture.ts";
import type { Driver, Emission, SerialLine, Twin } from "../src/core/ports.ts";
import { monotonicMs } from "../src/core/time.ts";
import { openLink } from "../src/transports/link.ts";
import { watchLink } from "./support/link-watcher.ts";
import { until } from "./support/until.ts";

const RECORDING = new URL("captures/ivy-450c/Ivy450C.1.data", import.meta.url).pathname;
const clock = createSystemClock();
const socatIsHere = spawnSync("socat", ["-V"]).status === 0;
if (!socatIsHere) process.stderr.write("SKIPPED: the tests of pseudo terminals need the Debian package socat.\n");

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

function serialLineOf({ link }: Driver): SerialLine {
  if (link.kind !== "serial") throw new Error(`a driver of a serial line is needed, not of ${link.kind}`);
  return link.line;
}

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

/** What a driver makes of bytes that came in one piece. */
function decode(driver: Driver, bytes: Uint8Array): readonly Emission[] {
  return driver.open({}).feed(bytes, "", monotonicMs(0));
}

/** A twin that sends the next number every `periodMs`, and then whatever it was told. */
function countingTwin(periodMs: number): Twin {
  let count = 0;
  const told: Uint8Array[] = [];
  return {
    due: (atMs) => {
      const bytesToSend = told.splice(0).map((bytes) => ({ channel: "", bytes }));
      for (; count * periodMs <= atMs; count++) bytesToSend.push({ channel: "", bytes: Uint8Array.of(count % 256) });
      return { bytesToSend, nextDueMs: count * periodMs };
    },
    receive: (bytes) => told.push(bytes),
  };
}

function connect(port: number): { readonly socket: Socket; readonly received: () => Buffer } {
  const pieces: Buffer[] = [];
  const socket = createConnection({ host: "127.0.0.1", port });
  socket.on("data", (bytes) => pieces.push(bytes));
  socket.on("error", () => {});
  cleanups.push(() => socket.destroy());
  return { socket, received: () => Buffer.concat(pieces) };
}

function device(twin: Twin) {
  const timetable = createTimetable(clock);
  cleanups.push(() => timetable.stop());
  return { twin, clock, timetable };
}

describe("a recording", () => {
  test("the Ivy recording is cut into its 27 messages, one a second", async () => {
    const recording = unwrap(await readRecording({ file: RECORDING, driver: driverOf("serial-ivy-450c"), messageMs: 1000 }));
    expect(recording.chunks.length).toBe(27);
    expect(recording.chunks.map((chunk) => chunk.atMs).slice(0, 3)).toEqual([0, 1000, 2000]);
    expect(recording.chunks.slice(1).every((chunk) => chunk.bytes.length === 562 && chunk.bytes.at(-1) === 0xfe)).toBe(true);
    expect(Buffer.concat(recording.chunks.map((chunk) => chunk.bytes)).equals(await readFile(RECORDING))).toBe(true);
  });

  test("played for ever, nothing marks the loop: after the first pass no byte is refused", async () => {
    const driver = driverOf("serial-ivy-450c");
    const twin = recordingTwin(unwrap(await readRecording({ file: RECORDING, driver, messageMs: 1000 })));
    const session = driver.open({});
    const results: string[] = [];
    for (let atMs = 0; atMs < 80_000; atMs += 500) {
      for (const { bytes } of twin.due(atMs).bytesToSend) {
        for (const emission of session.feed(bytes, "", monotonicMs(atMs))) results.push(emission.kind);
      }
    }
    expect(results.filter((kind) => kind === "message").length).toBe(80);
    expect(results.slice(2)).not.toContain("refusal");
  });

  test("with times it keeps them, and a torn last line is left out", async () => {
    const folder = await mkdtemp(join(tmpdir(), "vigil-recording-"));
    cleanups.push(() => rm(folder, { recursive: true, force: true }));
    const file = join(folder, "timed.jsonl");
    const header = formatCaptureHeader({ format: "vigil.capture/1", recordedAtMs: null, driverId: null });
    const chunks = [100, 350, 900].map((atMs, index) =>
      formatCaptureChunk({ atMs, channel: "", bytes: Uint8Array.of(index + 1) }),
    );
    await writeFile(file, header + chunks.join("") + chunks[0]?.slice(0, 8));
    const recording = unwrap(await readRecording({ file, driver: driverOf("serial-nonin-df2"), messageMs: 1000 }));
    expect(recording.lengthMs).toBe(1450);
    const twin = recordingTwin(recording);
    expect(twin.due(99).bytesToSend).toEqual([]);
    expect(twin.due(899).bytesToSend.map(({ bytes }) => bytes[0])).toEqual([1, 2]);
    expect(twin.due(899).nextDueMs).toBe(900);
    expect(twin.due(1549).bytesToSend.map(({ bytes }) => bytes[0])).toEqual([3]);
    expect(twin.due(1550).bytesToSend.map(({ bytes }) => bytes[0])).toEqual([1]);
    await writeFile(file, `${header}nonsense\n${chunks.join("")}`);
    const damaged = await readRecording({ file, driver: driverOf("serial-nonin-df2"), messageMs: 1000 });
    expect(damaged).toMatchObject({ ok: false, error: { kind: "damaged", line: 2 } });
    const missing = await readRecording({ file: `${file}x`, driver: driverOf("serial-nonin-df2"), messageMs: 1000 });
    expect(missing).toMatchObject({ ok: false, error: { kind: "unreadable", cause: "ENOENT" } });
    await writeFile(file, "");
    const empty = await readRecording({ file, driver: driverOf("serial-nonin-df2"), messageMs: 1000 });
    expect(empty).toMatchObject({ ok: false, error: { kind: "empty" } });
  });

  test("one of another device, and a raw one in which the driver reads nothing, are refused and not played as silence", async () => {
    const folder = await mkdtemp(join(tmpdir(), "vigil-recording-"));
    cleanups.push(() => rm(folder, { recursive: true, force: true }));
    const file = join(folder, "recorded");
    const header = formatCaptureHeader({ format: "vigil.capture/1", recordedAtMs: null, driverId: "serial-nonin-df2" });
    await writeFile(file, header + formatCaptureChunk({ atMs: 0, channel: "", bytes: Uint8Array.of(1, 128, 7, 3, 139) }));
    expect((await readRecording({ file, driver: driverOf("serial-nonin-df2"), messageMs: 1000 })).ok).toBe(true);
    const other = await readRecording({ file, driver: driverOf("serial-ivy-450c"), messageMs: 1000 });
    expect(other).toMatchObject({ ok: false, error: { kind: "other-driver", recordedOf: "serial-nonin-df2" } });
    const raw = await readRecording({ file: RECORDING, driver: driverOf("serial-nonin-df2"), messageMs: 1000 });
    expect(raw).toMatchObject({ ok: false, error: { kind: "no-message", driver: "serial-nonin-df2" } });
  });
});

describe("a timetable", () => {
  test("does what is due, in order, at most 5 ms late, and nothing that was stopped", async () => {
    const simulated = createSimulatedClock();
    const timetable = createTimetable(simulated);
    const done: string[] = [];
    const at = (afterMs: number, name: string) =>
      timetable.at(1_000_000 + afterMs, () => done.push(`${name} ${simulated.monotonic() - 1_000_000}`));
    at(52, "second");
    at(11, "first");
    const never = at(30, "never");
    at(55, "third");
    never.stop();
    await simulated.advance(54);
    expect(done).toEqual(["first 15"]);
    await simulated.advance(100);
    expect(done).toEqual(["first 15", "second 55", "third 55"]);
  });
});

describe("a simulated device server", () => {
  test("every client gets what the device sends from then on, and what clients write reaches the device", async () => {
    const sent: number[] = [];
    const server = unwrap(
      await openDeviceServer({ ...device(countingTwin(20)), onSent: (_atMs, bytes) => void sent.push(bytes[0] ?? -1) }),
    );
    cleanups.push(() => server.close());
    const early = connect(server.port);
    await until("bytes", () => early.received().length >= 5);
    const late = connect(server.port);
    await until("bytes of the second client", () => late.received().length >= 5);
    expect(server.clientCount()).toBe(2);
    expect((late.received()[0] ?? 0) > (early.received()[0] ?? 0)).toBe(true);
    const tail = early.received().subarray(-3);
    expect(tail[2]).toBe((tail[0] ?? 0) + 2);
    expect(sent.slice(0, 6)).toEqual([0, 1, 2, 3, 4, 5]);
    late.socket.write(Buffer.of(250));
    await until("the device's answer", () => early.received().includes(250));
    expect(server.stats()).toMatchObject({ bytesReceived: 1, bytesDropped: 0 });
    expect(server.stats().bytesSent).toBe(sent.length);
    await server.close();
    await until("the end of the connections", () => early.socket.destroyed && late.socket.destroyed);
  });

  test("a port in use is an error that names it", async () => {
    const first = unwrap(await openDeviceServer(device(countingTwin(50))));
    cleanups.push(() => first.close());
    const second = await openDeviceServer({ ...device(countingTwin(50)), port: first.port });
    expect(second).toMatchObject({ ok: false, error: { kind: "port-unavailable", port: first.port, cause: "EADDRINUSE" } });
  });

  test("a client that does not read loses bytes, counted, and the others lose none", async () => {
    const block = new Uint8Array(50_000).fill(1);
    let count = 0;
    const twin: Twin = {
      due: (atMs) => ({ bytesToSend: [{ channel: "", bytes: block }], nextDueMs: atMs + (count++ < 400 ? 2 : 10_000) }),
      receive: () => {},
    };
    const server = unwrap(await openDeviceServer(device(twin)));
    cleanups.push(() => server.close());
    const slow = createConnection({ host: "127.0.0.1", port: server.port });
    slow.pause();
    cleanups.push(() => slow.destroy());
    await until("a loss", () => server.stats().bytesDropped > 0);
    expect(server.stats().bytesDropped % 50_000).toBe(0);
  });
});

describe("a ward", () => {
  const devices: readonly WardDevice[] = [
    { kind: "patient", name: "bed-1", driverId: "serial-ivy-450c", course: "stable", seed: 1 },
    { kind: "patient", name: "bed-2", driverId: "serial-nonin-df2", course: "deterioration", seed: 2 },
    { kind: "recording", name: "bed-3", driverId: "serial-ivy-450c", file: RECORDING, messageMs: 100 },
  ];

  test("sends real bytes through real links, which the drivers read without a refusal", async () => {
    const sent = new Map<string, number>();
    const ward = unwrap(
      await openWard(devices, { drivers: DRIVERS, clock, onSent: (name) => void sent.set(name, (sent.get(name) ?? 0) + 1) }),
    );
    cleanups.push(() => ward.close());
    expect(ward.devices.map((each) => each.name)).toEqual(["bed-1", "bed-2", "bed-3"]);
    const watchers = ward.devices.map((each) => {
      const link = openLink(
        { kind: "tcp", host: each.host, port: each.port },
        { clock, random: () => 0, stop: new AbortController().signal },
      );
      cleanups.push(() => link.close());
      return watchLink(link);
    });
    await sleep(3600);
    const kinds = watchers.map((watcher, index) => decode(driverOf(devices[index]?.driverId ?? ""), watcher.received()));
    expect(kinds[0]?.filter((emission) => emission.kind === "message").length).toBeGreaterThanOrEqual(3);
    expect(kinds[1]?.filter((emission) => emission.kind === "message").length).toBeGreaterThanOrEqual(6);
    expect(kinds[2]?.filter((emission) => emission.kind === "message").length).toBeGreaterThanOrEqual(15);
    expect(kinds[0]?.some((emission) => emission.kind === "refusal")).toBe(false);
    expect(sent.get("bed-1")).toBe(ward.devices[0]?.stats().messagesSent);
    const readings = kinds[0]?.flatMap((emission) => (emission.kind === "message" ? emission.readings : [])) ?? [];
    const body = createPatient({ course: COURSES.stable, seed: 1 });
    const heartRate = readings.find((reading) => reading.quantity === "heartRate");
    const truth = body.quantity("heartRate", 2000);
    if (heartRate?.kind !== "present" || truth.kind !== "present") throw new Error("no heart rate");
    expect(Math.abs(heartRate.value - truth.value)).toBeLessThan(3);
  });

  test.each<readonly [string, WardDevice, object]>([
    [
      "a driver nobody knows",
      { kind: "patient", name: "x", driverId: "serial-none", course: "stable", seed: 1 },
      { kind: "unknown-driver", name: "x", driverId: "serial-none" },
    ],
    [
      "a recording that is missing",
      { kind: "recording", name: "y", driverId: "serial-ivy-450c", file: "/nowhere/at.all" },
      { kind: "recording", name: "y", error: { kind: "unreadable" } },
    ],
  ])("%s refuses the whole ward and leaves nothing running", async (_name, bad, error) => {
    await sleep(30);
    const before = process.getActiveResourcesInfo().filter((name) => name === "TCPServerWrap").length;
    expect(await openWard([...devices, bad], { drivers: DRIVERS, clock })).toMatchObject({ ok: false, error });
    await sleep(20);
    expect(process.getActiveResourcesInfo().filter((name) => name === "TCPServerWrap").length).toBe(before);
  });

  test("200 monitors cost less than a third of one core", async () => {
    const many = Array.from({ length: 200 }, (_, index): WardDevice => {
      return { kind: "patient", name: `bed-${index}`, driverId: "serial-ivy-450c", course: "stable", seed: index };
    });
    const ward = unwrap(await openWard(many, { drivers: DRIVERS, clock }));
    cleanups.push(() => ward.close());
    await sleep(1500);
    const before = process.threadCpuUsage();
    const startMs = performance.now();
    await sleep(2000);
    const used = process.threadCpuUsage(before);
    const share = (used.user + used.system) / 1000 / (performance.now() - startMs);
    expect(share).toBeLessThan(0.33);
    const messages = ward.devices.map((each) => each.stats().messagesSent);
    expect(Math.min(...messages)).toBeGreaterThanOrEqual(1);
  });
});

describe.skipIf(!socatIsHere)("a simulated device on a pseudo terminal", () => {
  test("sends through a real serial port, which may be closed and opened again", async () => {
    const port = unwrap(await openPseudoTerminal(device(countingTwin(20))));
    cleanups.push(() => port.close());
    for (let round = 0; round < 2; round++) {
      const link = openLink(
        { kind: "serial", path: port.path, line: serialLineOf(driverOf("serial-nonin-df2")) },
        { clock, random: () => 0, stop: new AbortController().signal },
      );
      const watcher = watchLink(link);
      await watcher.until(() => watcher.received().length >= 10, "bytes");
      const received = watcher.received();
      expect(received.every((byte, index) => index === 0 || byte === ((received[index - 1] ?? 0) + 1) % 256)).toBe(true);
      if (round === 1) {
        expect((await link.write("", Uint8Array.of(9, 8))).ok).toBe(true);
        await watcher.until(() => port.stats().bytesReceived === 2, "what the host wrote");
      }
      await link.close();
    }
    await port.close();
    await expect(stat(port.path)).rejects.toThrow("ENOENT");
    expect(() => process.kill(port.processId, 0)).toThrow("ESRCH");
  });

  test("a place where no port can be made is an error", async () => {
    const port = await openPseudoTerminal({ ...device(countingTwin(20)), path: "/nowhere/at/all" });
    expect(port).toMatchObject({ ok: false, error: { kind: "not-made", path: "/nowhere/at/all" } });
  });
});

describe("a bad link", () => {
  const faults: LinkFaults = { ...NO_FAULTS, splitEveryBytes: 90, mergeEveryBytes: 200, flipEveryBytes: 150, delayMsMax: 3 };
  const bytes = Uint8Array.from({ length: 5000 }, (_, index) => (index * 13 + 5) % 256);
  const run = (seed: number, chunkBytes: readonly number[], which: LinkFaults = faults) => {
    const line = createFaultLine(which, seed);
    const acts = [];
    for (let start = 0, turn = 0; start < bytes.length; turn++) {
      const length = chunkBytes[turn % chunkBytes.length] ?? 1;
      acts.push(...line.pass(bytes.subarray(start, start + length)));
      start += length;
    }
    return acts;
  };
  const through = (acts: ReturnType<typeof run>) =>
    Buffer.concat(acts.flatMap((act) => (act.kind === "forward" ? [act.bytes] : [])));
  const flips = (received: Buffer) =>
    [...received.entries()].filter(([index, byte]) => byte !== bytes[index]).map(([index]) => index);

  test("the same seed makes the same faults, another seed others", () => {
    expect(run(3, [100])).toEqual(run(3, [100]));
    expect(flips(through(run(3, [100])))).not.toEqual(flips(through(run(4, [100]))));
  });

  test("which bytes are hurt does not depend on how they arrive", () => {
    const apart: LinkFaults = { ...faults, mergeEveryBytes: null };
    const whole = through(run(3, [5000], apart));
    expect(flips(whole).length).toBeGreaterThan(15);
    expect(flips(whole).length).toBeLessThan(60);
    expect(through(run(3, [7, 61, 1], apart)).equals(whole)).toBe(true);
  });

  test("each flip is one bit", () => {
    const received = through(run(5, [333]));
    for (const index of flips(received)) {
      const difference = (received[index] ?? 0) ^ (bytes[index] ?? 0);
      expect(difference & (difference - 1), `byte ${index} of seed 5`).toBe(0);
    }
  });

  test("splits and merges change where packets end and not one byte", () => {
    const acts = run(6, [50], { ...faults, flipEveryBytes: null });
    const received = through(acts);
    expect(received.equals(Buffer.from(bytes.subarray(0, received.length)))).toBe(true);
    const lengths = acts.flatMap((act) => (act.kind === "forward" ? [act.bytes.length] : []));
    expect(lengths.some((length) => length < 50)).toBe(true);
    expect(lengths.some((length) => length > 50)).toBe(true);
  });

  test("a drop or a half-open connection is the last act", () => {
    for (const [kind, which] of [
      ["drop", { ...NO_FAULTS, dropEveryBytes: 700 }],
      ["half-open", { ...NO_FAULTS, halfOpenEveryBytes: 700 }],
    ] as const) {
      const acts = run(7, [100], which);
      expect(acts.findIndex((act) => act.kind === kind)).toBe(acts.length - 1);
    }
    expect(run(7, [100], NO_FAULTS).length).toBe(50);
  });

  test("a link through a proxy that resets again and again gets every byte that passed, and says each loss", async () => {
    const random = createRandom(5);
    const server = createServer((socket) => {
      socket.on("error", () => {});
      const timer = setInterval(() => socket.write(Buffer.alloc(100, Math.floor(random() * 200))), 5);
      socket.on("close", () => clearInterval(timer));
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const address = server.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    const bad = unwrap(
      await openBadLink({ target: { host: "127.0.0.1", port }, faults: { ...NO_FAULTS, dropEveryBytes: 1500 }, seed: 21, clock }),
    );
    cleanups.push(() => new Promise<void>((resolve) => void server.close(() => resolve())));
    cleanups.push(() => bad.close());
    const link = openLink(
      { kind: "tcp", host: bad.host, port: bad.port },
      { clock, random: () => 0, stop: new AbortController().signal },
    );
    cleanups.push(() => link.close());
    const watcher = watchLink(link);
    await watcher.until(() => watcher.story().filter((word) => word === "up").length >= 3, "the third connection");
    expect(watcher.story().filter((word) => word === "down link-down").length).toBeGreaterThanOrEqual(2);
    expect(watcher.received().length).toBeGreaterThan(500);
  });
});
