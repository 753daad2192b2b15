import { appendFile, mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createSimulatedClock, type SimulatedClock } from "../simulator/world/simulated-clock.ts";
import {
  formatCaptureChunk,
  formatCaptureHeader,
  isCaptureHeader,
  parseCaptureChunk,
  parseCaptureHeader,
} from "../src/core/capture.ts";
import { LIMITS } from "../src/core/limits.ts";
import type { Link, LinkSpec } from "../src/core/ports.ts";
import { openLink } from "../src/transports/link.ts";
import { type LinkWatcher, watchLink } from "./support/link-watcher.ts";

let folder = "";
let clock: SimulatedClock;
const links: Link[] = [];
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "vigil-capture-"));
  clock = createSimulatedClock();
});
afterEach(async () => {
  await Promise.all(links.splice(0).map((link) => link.close()));
  await rm(folder, { recursive: true, force: true });
});

type CaptureSpec = Extract<LinkSpec, { kind: "capture" }>;

function play(file: string, more: Partial<CaptureSpec> = {}): LinkWatcher {
  const link = openLink(
    { kind: "capture", file, speed: 1, repeat: false, ...more },
    { clock, random: () => 0, stop: new AbortController().signal },
  );
  links.push(link);
  return watchLink(link);
}

/** Lets the file system answer: what was asked of it before has had its turn when it has answered this often, however slow it is. */
async function filesAnswer(): Promise<void> {
  for (let turn = 0; turn < 4; turn++) await stat(folder);
}

/** The link has opened its file, or failed to, and its first chunk is there. */
async function begun(watcher: LinkWatcher): Promise<void> {
  await watcher.until(() => watcher.events.length > 0, "a beginning");
  await filesAnswer();
}

/** Lets the file system answer, then moves the clock, in small steps. */
async function pass(milliseconds: number, stepMs = 50): Promise<void> {
  for (let movedMs = 0; movedMs < milliseconds; movedMs += stepMs) {
    await filesAnswer();
    await clock.advance(Math.min(stepMs, milliseconds - movedMs));
  }
  await filesAnswer();
}

async function file(name: string, content: string | Uint8Array): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, content);
  return path;
}

const HEADER = formatCaptureHeader({ format: "vigil.capture/1", recordedAtMs: 1_767_225_600_000, driverId: "serial-nonin-df2" });
const line = (atMs: number, bytes: readonly number[]) => formatCaptureChunk({ atMs, channel: "", bytes: Uint8Array.from(bytes) });
const arrivals = (watcher: LinkWatcher) =>
  watcher.events.flatMap((event) =>
    event.kind === "bytes" ? [[event.receivedMonotonicMs - 1_000_000, event.bytes.length]] : [],
  );

describe("a raw recording", () => {
  const bytes = Uint8Array.from({ length: 250 }, (_, index) => (index * 7 + 3) % 256);

  test("comes at its pace in bursts, once, and then the link is down for good", async () => {
    const watcher = play(await file("raw.data", bytes), { bytesPerSecond: 100, burstBytes: 100 });
    await begun(watcher);
    await pass(2500);
    expect(arrivals(watcher)).toEqual([
      [0, 100],
      [1000, 100],
      [2000, 50],
    ]);
    expect(watcher.received().equals(Buffer.from(bytes))).toBe(true);
    expect(watcher.story()).toEqual(["up", "bytes", "down link-down"]);
    expect(watcher.events.at(-1)).toMatchObject({ fault: { facts: { cause: "recording-ended" } } });
    await pass(LIMITS.linkBackoffMsMax.value * 3, 5000);
    expect(watcher.story()).toEqual(["up", "bytes", "down link-down"]);
  });

  test("twice the speed takes half the time", async () => {
    const watcher = play(await file("raw.data", bytes), { bytesPerSecond: 100, burstBytes: 100, speed: 2 });
    await begun(watcher);
    await pass(1200);
    expect(arrivals(watcher)).toEqual([
      [0, 100],
      [500, 100],
      [1000, 50],
    ]);
  });

  test("without a pace it is that of 9600 baud, 8N1", async () => {
    const watcher = play(await file("raw.data", new Uint8Array(2000).fill(5)));
    await begun(watcher);
    await pass(980, 20);
    const receivedBytes = watcher.received().length;
    expect(receivedBytes).toBeGreaterThanOrEqual(900);
    expect(receivedBytes).toBeLessThanOrEqual(1010);
  });

  test("repeated, it goes on without a mark and without a gap", async () => {
    const watcher = play(await file("raw.data", bytes), { bytesPerSecond: 100, burstBytes: 125, repeat: true });
    await begun(watcher);
    await pass(6300);
    expect(arrivals(watcher)).toEqual([0, 1250, 2500, 3750, 5000, 6250].map((atMs) => [atMs, 125]));
    expect(watcher.story()).toEqual(["up", "bytes"]);
    expect(watcher.received().subarray(250, 500).equals(Buffer.from(bytes))).toBe(true);
  });

  test("an empty file is link-down, and the recording is played when it has been filled", async () => {
    const path = await file("raw.data", "");
    const watcher = play(path);
    await watcher.until(() => watcher.events.length === 1, "the fault");
    expect(watcher.events[0]).toMatchObject({
      kind: "down",
      fault: { code: "link-down", facts: { cause: "recording-empty", file: path } },
    });
    await appendFile(path, "now");
    await pass(16_000, 1000);
    expect(watcher.received().toString()).toBe("now");
  });

  test("a missing file is link-not-found, once, and is played when it comes", async () => {
    const path = join(folder, "later.data");
    const watcher = play(path);
    await begun(watcher);
    await pass(40_000, 2000);
    expect(watcher.story()).toEqual(["down link-not-found"]);
    await file("later.data", "came");
    await pass(16_000, 1000);
    expect(watcher.story().slice(0, 3)).toEqual(["down link-not-found", "up", "bytes"]);
  });

  test("a slow consumer holds the recording back", async () => {
    const path = await file("raw.data", new Uint8Array(1_000_000).fill(9));
    const link = openLink(
      { kind: "capture", file: path, speed: 1000, repeat: true, bytesPerSecond: 100_000, burstBytes: 10_000 },
      { clock, random: () => 0, stop: new AbortController().signal },
    );
    links.push(link);
    await pass(1000, 20);
    const iterator = link.events[Symbol.asyncIterator]();
    let waitingBytes = 0;
    for (let turn = 0; turn < 40; turn++) {
      const next = await Promise.race([
        iterator.next(),
        Promise.resolve().then(async () => {
          for (let wait = 0; wait < 20; wait++) await Promise.resolve();
          return null;
        }),
      ]);
      if (next === null) break;
      if (next.value?.kind === "bytes") waitingBytes += next.value.bytes.length;
    }
    expect(waitingBytes).toBeGreaterThan(LIMITS.linkQueueBytesMax.value / 2);
    expect(waitingBytes).toBeLessThanOrEqual(LIMITS.linkQueueBytesMax.value + 20_000);
  });
});

describe("a recording with times", () => {
  test("comes at its own times and on its channels", async () => {
    const chunk = formatCaptureChunk({ atMs: 700, channel: "2a37", bytes: Uint8Array.of(1, 254) });
    const watcher = play(await file("timed.jsonl", HEADER + line(100, [1, 2, 3]) + chunk + line(900, [9])));
    await begun(watcher);
    await pass(1000);
    expect(arrivals(watcher)).toEqual([
      [100, 3],
      [700, 2],
      [900, 1],
    ]);
    expect(watcher.events.flatMap((event) => (event.kind === "bytes" ? [event.channel] : []))).toEqual(["", "2a37", ""]);
    expect(watcher.received().equals(Buffer.of(1, 2, 3, 1, 254, 9))).toBe(true);
  });

  test("a torn last line ends it as if it were not there", async () => {
    const watcher = play(await file("timed.jsonl", HEADER + line(0, [1]) + line(100, [2]).slice(0, -9)));
    await begun(watcher);
    await pass(400);
    expect(watcher.received().equals(Buffer.of(1))).toBe(true);
    expect(watcher.events.at(-1)).toMatchObject({ fault: { facts: { cause: "recording-ended" } } });
  });

  test.each([
    ["no JSON", "{", 3],
    ["a time that falls", line(50, [7]), 3],
    ["odd hex", '{"atMs":200,"channel":"","hex":"123"}\n', 3],
    ["a negative time", '{"atMs":-1,"channel":"","hex":"12"}\n', 3],
  ])("%s in the middle is damage, said with its line", async (_name, bad, lineNumber) => {
    const badLine = bad.endsWith("\n") ? bad : `${bad}\n`;
    const watcher = play(await file("timed.jsonl", HEADER + line(100, [1]) + badLine + line(300, [2])));
    await begun(watcher);
    await pass(400);
    expect(watcher.received().equals(Buffer.of(1))).toBe(true);
    expect(watcher.events.at(-1)).toMatchObject({
      kind: "down",
      fault: { facts: { cause: "recording-damaged", line: lineNumber } },
    });
  });

  test("a header of another version is damage, not a raw recording", async () => {
    const watcher = play(await file("timed.jsonl", '{"format":"vigil.capture/2"}\n{"atMs":0,"hex":"01"}\n'));
    await begun(watcher);
    await pass(400);
    expect(watcher.received().length).toBe(0);
    expect(watcher.events.at(-1)).toMatchObject({ fault: { facts: { cause: "recording-damaged", line: 1 } } });
  });

  test("a line without end is damage and is not kept in memory", async () => {
    const path = await file(
      "timed.jsonl",
      `${HEADER}{"atMs":0,"channel":"","hex":"${"00".repeat(LIMITS.captureLineBytesMax.value)}`,
    );
    const watcher = play(path);
    await begun(watcher);
    await pass(400);
    expect(watcher.events.at(-1)).toMatchObject({ fault: { facts: { cause: "recording-damaged", line: 2 } } });
  });

  test("what is written comes back the same, and each refused shape is named", () => {
    expect(isCaptureHeader(HEADER)).toBe(true);
    expect(isCaptureHeader("\u00ffANSAR-B")).toBe(false);
    expect(parseCaptureHeader(HEADER)).toMatchObject({
      ok: true,
      value: { recordedAtMs: 1_767_225_600_000, driverId: "serial-nonin-df2" },
    });
    expect(parseCaptureHeader('{"format":"vigil.capture/1","driverId":4}')).toMatchObject({
      ok: false,
      error: { field: "driverId" },
    });
    expect(parseCaptureHeader('{"format":"vigil.capture/1","recordedAtMs":"now"}')).toMatchObject({
      error: { field: "recordedAtMs" },
    });
    const bytes = Uint8Array.from({ length: 256 }, (_, index) => index);
    const back = parseCaptureChunk(formatCaptureChunk({ atMs: 12.5, channel: "x", bytes }));
    expect(back).toEqual({ ok: true, value: { atMs: 12.5, channel: "x", bytes } });
    expect(parseCaptureChunk('{"atMs":1,"channel":2,"hex":""}')).toMatchObject({ error: { field: "channel" } });
    expect(parseCaptureChunk("[1]")).toMatchObject({ error: { field: "json" } });
  });
});
