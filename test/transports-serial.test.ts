import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { constants } from "node:fs";
import { chmod, mkdtemp, open as openFile, rm, stat, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createRandom } from "../simulator/random.ts";
import { createSystemClock } from "../src/clock.ts";
import type { Link, SerialLine } from "../src/core/ports.ts";
import { openLink } from "../src/transports/link.ts";
import { watchLink } from "./support/link-watcher.ts";

const socatIsHere = spawnSync("socat", ["-V"]).status === 0;
if (!socatIsHere) process.stderr.write("SKIPPED: the tests of serial ports need the Debian package socat.\n");

const LINE: SerialLine = { baudRate: 115_200, dataBits: 8, parity: "none", stopBits: 1, handshake: "none" };

let folder = "";
const cables: ChildProcess[] = [];
const links: Link[] = [];
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "vigil-serial-"));
});
afterEach(async () => {
  await Promise.all(links.splice(0).map((link) => link.close()));
  for (const cable of cables.splice(0)) await unplug(cable);
  await rm(folder, { recursive: true, force: true });
});

/** Two serial ports joined by a cable: `near` and `far`. */
async function plugIn(): Promise<ChildProcess> {
  const ends = ["near", "far"].map((name) => `pty,raw,echo=0,link=${join(folder, name)}`);
  const cable = spawn("socat", ends, { stdio: "ignore" });
  cables.push(cable);
  for (let turn = 0; turn < 400; turn++) {
    const made = await Promise.all(["near", "far"].map((name) => stat(join(folder, name)).catch(() => null)));
    if (made.every((node) => node?.isCharacterDevice() === true)) return cable;
    await sleep(10);
  }
  throw new Error("socat made no terminals");
}

async function unplug(cable: ChildProcess): Promise<void> {
  if (cable.exitCode !== null || cable.signalCode !== null) return;
  const gone = new Promise((resolve) => cable.once("exit", resolve));
  cable.kill("SIGKILL");
  await gone;
  // A killed socat leaves its links; an unplugged adapter takes its path along.
  await rm(join(folder, "near"), { force: true });
  await rm(join(folder, "far"), { force: true });
}

function open(name: string, line: SerialLine = LINE): Link {
  const link = openLink(
    { kind: "serial", path: join(folder, name), line },
    { clock: createSystemClock(), random: () => 0, stop: new AbortController().signal },
  );
  links.push(link);
  return link;
}

describe.skipIf(!socatIsHere)("a serial link", () => {
  test("bytes arrive whole and in order both ways", async () => {
    await plugIn();
    const near = open("near");
    const far = open("far");
    const nearWatcher = watchLink(near);
    const farWatcher = watchLink(far);
    await nearWatcher.until(() => nearWatcher.story().includes("up"), "near");
    await farWatcher.until(() => farWatcher.story().includes("up"), "far");
    const random = createRandom(31);
    const bytes = Buffer.from(Uint8Array.from({ length: 60_000 }, () => Math.floor(random() * 256)));
    for (let start = 0; start < bytes.length; start += 3000) {
      expect((await far.write("", bytes.subarray(start, start + 3000))).ok).toBe(true);
    }
    await nearWatcher.until(() => nearWatcher.received().length >= bytes.length, "all bytes");
    expect(nearWatcher.received().equals(bytes)).toBe(true);
    expect((await near.write("", Uint8Array.of(0x11, 0x13, 0x0d, 0x0a, 0xff, 0x00))).ok).toBe(true);
    await farWatcher.until(() => farWatcher.received().length === 6, "the answer");
    expect(farWatcher.received().equals(Buffer.of(0x11, 0x13, 0x0d, 0x0a, 0xff, 0x00))).toBe(true);
  });

  test.each<readonly [string, SerialLine, readonly string[]]>([
    ["9600 8N1", { ...LINE, baudRate: 9600 }, ["speed 9600 baud", "cs8", "-cstopb", "-crtscts", "-ixon"]],
    [
      "19200 8E2 with RTS/CTS",
      { baudRate: 19_200, dataBits: 8, parity: "even", stopBits: 2, handshake: "rts-cts" },
      ["speed 19200 baud", "cstopb", "crtscts", "-ixon", "-parodd"],
    ],
    [
      "38400 8O1 with XON/XOFF",
      { baudRate: 38_400, dataBits: 8, parity: "odd", stopBits: 1, handshake: "xon-xoff" },
      ["speed 38400 baud", "-cstopb", "ixon", "ixoff", "parodd"],
    ],
  ])("%s is set on the port", async (_name, line, words) => {
    await plugIn();
    const watcher = watchLink(open("near", line));
    await watcher.until(() => watcher.story().includes("up"), "the port");
    const shown = spawnSync("stty", ["-a", "-F", join(folder, "near")], { encoding: "utf8" }).stdout;
    for (const word of words) expect(shown.split(/[\s;]+/).join(" ")).toContain(` ${word} `.trim());
  });

  test("a path that does not exist is one link-not-found, and the port is found when it is plugged in", async () => {
    const watcher = watchLink(open("near"));
    await watcher.until(() => watcher.events.length > 0, "the fault");
    await sleep(700);
    expect(watcher.story()).toEqual(["down link-not-found"]);
    expect(watcher.events[0]).toMatchObject({ fault: { facts: { path: join(folder, "near") } } });
    await plugIn();
    const far = await openFile(join(folder, "far"), constants.O_RDWR | constants.O_NOCTTY);
    await watcher.until(() => watcher.story().includes("up"), "the port");
    await far.write("hello");
    await watcher.until(() => watcher.received().toString() === "hello", "its bytes");
    await far.close();
    expect(watcher.story()).toEqual(["down link-not-found", "up", "bytes"]);
  });

  test("a port that another program holds is link-busy, and is taken when it is let go", async () => {
    await plugIn();
    const holder = open("near");
    const holding = watchLink(holder);
    await holding.until(() => holding.story().includes("up"), "the holder");
    const watcher = watchLink(open("near"));
    await watcher.until(() => watcher.events.length > 0, "the fault");
    expect(watcher.story()).toEqual(["down link-busy"]);
    await holder.close();
    await watcher.until(() => watcher.story().includes("up"), "the port");
  });

  test("a port without rights is link-denied", async () => {
    await plugIn();
    await chmod(join(folder, "near"), 0);
    // Rights do not bind root, who therefore becomes nobody for a moment.
    const wasRoot = process.geteuid?.() === 0;
    if (wasRoot) process.seteuid?.(65_534);
    try {
      const watcher = watchLink(open("near"));
      await watcher.until(() => watcher.events.length > 0, "the fault");
      expect(watcher.story()).toEqual(["down link-denied"]);
    } finally {
      if (wasRoot) process.seteuid?.(0);
    }
  });

  test("a path that is no serial port is link-down with the system's words", async () => {
    await symlink("/dev/null", join(folder, "near"));
    const watcher = watchLink(open("near"));
    await watcher.until(() => watcher.events.length > 0, "the fault");
    expect(watcher.story()).toEqual(["down link-down"]);
    expect(watcher.events[0]).toMatchObject({ fault: { facts: { cause: expect.stringContaining("ioctl") } } });
  });

  test("a pulled cable is down, and up again with new bytes when it is back", async () => {
    const cable = await plugIn();
    const watcher = watchLink(open("near"));
    await watcher.until(() => watcher.story().includes("up"), "the port");
    const first = await openFile(join(folder, "far"), constants.O_RDWR | constants.O_NOCTTY);
    await first.write("before");
    await watcher.until(() => watcher.received().toString() === "before", "the first bytes");
    await first.close();
    await unplug(cable);
    await watcher.until(() => watcher.story().some((word) => word.startsWith("down")), "the loss");
    await plugIn();
    await watcher.until(() => watcher.story().filter((word) => word === "up").length === 2, "the port again");
    const second = await openFile(join(folder, "far"), constants.O_RDWR | constants.O_NOCTTY);
    await second.write("after");
    await watcher.until(() => watcher.received().toString() === "beforeafter", "the new bytes");
    await second.close();
    expect(watcher.story()[0]).toBe("up");
    expect(watcher.story().slice(1, 3)).toEqual(["bytes", "down link-down"]);
  });

  // The serialport package reads a hung-up line for ever, without an error and with all the time of the process.
  test("a cable pulled while bytes flow is down too, and then costs nothing more", async () => {
    const path = join(folder, "near");
    let hangUps = 0;
    for (let round = 0; round < 5; round++) {
      const cable = spawn("socat", ["EXEC:yes vigil", `pty,raw,echo=0,link=${path}`], { stdio: "ignore" });
      cables.push(cable);
      const watcher = watchLink(open("near"));
      await watcher.until(() => watcher.received().length > 20_000, "a stream of bytes");
      await sleep(100);
      await unplug(cable);
      await watcher.until(() => watcher.story().some((word) => word.startsWith("down")), "the loss", 4000);
      await links.at(-1)?.close();
      await watcher.ended;
      hangUps += 1;
    }
    expect(hangUps).toBe(5);
    const before = process.cpuUsage();
    await sleep(300);
    const used = process.cpuUsage(before);
    expect((used.user + used.system) / 1000).toBeLessThan(150);
  });

  test("a cable pulled while bytes flow is noticed although another terminal takes its number at once", async () => {
    const path = join(folder, "near");
    for (let round = 0; round < 3; round++) {
      const cable = spawn("socat", ["EXEC:yes vigil", `pty,raw,echo=0,link=${path}`], { stdio: "ignore" });
      cables.push(cable);
      const watcher = watchLink(open("near"));
      await watcher.until(() => watcher.received().length > 20_000, "a stream of bytes");
      cable.kill("SIGKILL");
      cables.push(spawn("socat", ["EXEC:sleep 20", "pty,raw,echo=0"], { stdio: "ignore" }));
      await watcher.until(() => watcher.story().some((word) => word.startsWith("down")), "the loss", 4000);
      await links.at(-1)?.close();
      await watcher.ended;
    }
  });

  test("a path that names another device than the one opened is opened anew", async () => {
    await plugIn();
    const watcher = watchLink(open("near"));
    await watcher.until(() => watcher.story().includes("up"), "the port");
    await rm(join(folder, "near"));
    await watcher.until(() => watcher.story().includes("down link-down"), "the loss");
    await watcher.until(() => watcher.story().includes("down link-not-found"), "the path that is gone");
    expect(watcher.story()).toEqual(["up", "down link-down", "down link-not-found"]);
  });

  test("a slow consumer pauses the port, and the last byte still comes", async () => {
    await plugIn();
    const near = open("near");
    const far = open("far");
    const farWatcher = watchLink(far);
    const iterator = near.events[Symbol.asyncIterator]();
    expect((await iterator.next()).value).toMatchObject({ kind: "up" });
    await farWatcher.until(() => farWatcher.story().includes("up"), "far");
    const bytes = Buffer.from(Uint8Array.from({ length: 400_000 }, (_, index) => (index * 31 + (index >> 8)) % 256));
    let writtenBytes = 0;
    const writing = (async () => {
      for (let start = 0; start < bytes.length; start += 4000) {
        const written = await far.write("", bytes.subarray(start, start + 4000));
        if (!written.ok) return written.error;
        writtenBytes += 4000;
      }
      return null;
    })();
    await sleep(500);
    expect(writtenBytes, "what the far end could write while nobody reads").toBeLessThan(bytes.length);
    const pieces: Uint8Array[] = [];
    let receivedBytes = 0;
    while (receivedBytes < bytes.length) {
      const { value, done } = await iterator.next();
      if (done === true) break;
      if (value.kind !== "bytes") continue;
      pieces.push(value.bytes);
      receivedBytes += value.bytes.length;
    }
    expect(await writing).toBe(null);
    expect(Buffer.concat(pieces).equals(bytes)).toBe(true);
  });

  test("close ends quickly and lets the port go", async () => {
    await plugIn();
    const link = open("near");
    const watcher = watchLink(link);
    await watcher.until(() => watcher.story().includes("up"), "the port");
    const startMs = performance.now();
    await link.close();
    await watcher.ended;
    expect(performance.now() - startMs).toBeLessThan(1000);
    expect(watcher.story()).toEqual(["up"]);
    const next = watchLink(open("near"));
    await next.until(() => next.events.length > 0, "the port");
    expect(next.story()).toEqual(["up"]);
  });
});
