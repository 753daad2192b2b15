import { createServer, type Server, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, describe, expect, test } from "vitest";
import { openBadLink } from "../simulator/links/bad-link.ts";
import { NO_FAULTS } from "../simulator/links/link-faults.ts";
import { createRandom } from "../simulator/random.ts";
import { createSimulatedClock } from "../simulator/world/simulated-clock.ts";
import { createSystemClock } from "../src/clock.ts";
import { LIMITS } from "../src/core/limits.ts";
import type { Link } from "../src/core/ports.ts";
import type { Clock } from "../src/core/time.ts";
import { openLink } from "../src/transports/link.ts";
import { watchLink } from "./support/link-watcher.ts";

interface Peer {
  readonly port: number;
  readonly sockets: Socket[];
  readonly close: () => Promise<void>;
}

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function startPeer(onConnection: (socket: Socket) => void = () => {}, port = 0): Promise<Peer> {
  const sockets: Socket[] = [];
  const server: Server = createServer((socket) => {
    sockets.push(socket);
    socket.on("error", () => {});
    onConnection(socket);
  });
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
  const address = server.address();
  const close = () => {
    for (const socket of sockets) socket.destroy();
    return new Promise<void>((resolve) => server.close(() => resolve()));
  };
  cleanups.push(() => (server.listening ? close() : undefined));
  return { port: typeof address === "object" && address !== null ? address.port : 0, sockets, close };
}

async function freePort(): Promise<number> {
  const peer = await startPeer();
  await peer.close();
  return peer.port;
}

function open(
  port: number,
  parts: { readonly clock?: Clock; readonly random?: () => number; readonly stop?: AbortSignal } = {},
): Link {
  const link = openLink(
    { kind: "tcp", host: "127.0.0.1", port },
    {
      clock: parts.clock ?? createSystemClock(),
      random: parts.random ?? (() => 0),
      stop: parts.stop ?? new AbortController().signal,
    },
  );
  cleanups.push(() => link.close());
  return link;
}

function pattern(lengthBytes: number, seed: number): Buffer {
  const random = createRandom(seed);
  return Buffer.from(Uint8Array.from({ length: lengthBytes }, () => Math.floor(random() * 256)));
}

async function manyTurns(): Promise<null> {
  for (let turn = 0; turn < 50; turn++) await Promise.resolve();
  return null;
}

describe("a TCP link", () => {
  test("hands over every byte in order, and writes reach the peer", async () => {
    const bytes = pattern(300_000, 11);
    const heard: Buffer[] = [];
    const peer = await startPeer((socket) => {
      socket.write(bytes);
      socket.on("data", (data) => heard.push(data));
    });
    const link = open(peer.port);
    const watcher = watchLink(link);
    await watcher.until(() => watcher.received().length >= bytes.length, "all bytes");
    expect(watcher.received().equals(bytes)).toBe(true);
    expect(watcher.story()).toEqual(["up", "bytes"]);
    expect((await link.write("", Uint8Array.of(1, 2, 3))).ok).toBe(true);
    await watcher.until(() => Buffer.concat(heard).equals(Buffer.of(1, 2, 3)), "the written bytes");
  });

  test("a server that is down at the start is reported once and found when it comes", async () => {
    const port = await freePort();
    const clock = createSimulatedClock();
    const watcher = watchLink(open(port, { clock }));
    await watcher.until(() => watcher.story().length > 0, "the first fault");
    for (let turn = 0; turn < 4; turn++) {
      await clock.advance(15_000);
      await sleep(30);
    }
    expect(watcher.story()).toEqual(["down link-down"]);
    expect(watcher.events[0]).toMatchObject({ fault: { facts: { host: "127.0.0.1", port, cause: "ECONNREFUSED" } } });
    await startPeer((socket) => socket.write("here"), port);
    await clock.advance(15_000);
    await watcher.until(() => watcher.received().toString() === "here", "bytes of the server that came");
    expect(watcher.story()).toEqual(["down link-down", "up", "bytes"]);
  });

  test("attempts back off: 0.5, 1, 2, 4, 8, 15 and again 15 s where jitter takes nothing off", async () => {
    const waits: number[] = [];
    const clock = createSimulatedClock();
    const noted: Clock = {
      ...clock,
      sleep: (delayMs, stop) => {
        waits.push(delayMs);
        return clock.sleep(delayMs, stop);
      },
    };
    const watcher = watchLink(open(await freePort(), { clock: noted }));
    for (let attempt = 1; attempt <= 7; attempt++) {
      await watcher.until(() => waits.length === attempt, `wait ${attempt}`);
      await clock.advance((waits.at(-1) ?? 0) - 1);
      await sleep(15);
      expect(waits.length, "nothing is tried before the wait is over").toBe(attempt);
      await clock.advance(1);
    }
    expect(waits.slice(0, 7)).toEqual([500, 1000, 2000, 4000, 8000, 15_000, 15_000]);
  });

  test("a reset in the middle of the stream is one down, then up again with what comes next", async () => {
    let connections = 0;
    const peer = await startPeer((socket) => {
      connections += 1;
      socket.write(`part${connections}`);
    });
    const watcher = watchLink(open(peer.port));
    await watcher.until(() => watcher.received().toString() === "part1", "the first part");
    peer.sockets[0]?.resetAndDestroy();
    await watcher.until(() => watcher.received().toString() === "part1part2", "the second part");
    expect(watcher.story()).toEqual(["up", "bytes", "down link-down", "up", "bytes"]);
    expect(watcher.events.find((event) => event.kind === "down")).toMatchObject({ fault: { facts: { cause: "ECONNRESET" } } });
  });

  test("a peer that closes in order is a loss too, after its last byte", async () => {
    const peer = await startPeer((socket) => socket.end("last words"));
    const watcher = watchLink(open(peer.port));
    await watcher.until(() => watcher.story().length >= 3, "the loss");
    expect(watcher.story().slice(0, 3)).toEqual(["up", "bytes", "down link-down"]);
    expect(watcher.events.find((event) => event.kind === "down")).toMatchObject({
      fault: { facts: { cause: "closed-by-peer" } },
    });
    expect(watcher.received().toString().startsWith("last words")).toBe(true);
  });

  test("a name that does not resolve is link-not-found", async () => {
    const link = openLink(
      { kind: "tcp", host: "no-such-device.invalid", port: 4001 },
      { clock: createSystemClock(), random: () => 0, stop: new AbortController().signal },
    );
    cleanups.push(() => link.close());
    const watcher = watchLink(link);
    await watcher.until(() => watcher.events.length > 0, "the fault", 12_000);
    // Without any name server the answer is that none could be asked.
    expect(["down link-not-found", "down link-down"]).toContain(watcher.story()[0]);
    expect(watcher.events[0]).toMatchObject({ fault: { facts: { host: "no-such-device.invalid" } } });
  });

  test("a peer that accepts no connection is given up after linkOpenMsMax", async () => {
    const clock = createSimulatedClock();
    // TEST-NET-1 (RFC 5737) has no hosts; where the network refuses it at once the fault is the same.
    const link = openLink(
      { kind: "tcp", host: "192.0.2.1", port: 4001 },
      { clock, random: () => 0, stop: new AbortController().signal },
    );
    cleanups.push(() => link.close());
    const watcher = watchLink(link);
    await sleep(20);
    await clock.advance(LIMITS.linkOpenMsMax.value);
    await watcher.until(() => watcher.story().length > 0, "the fault");
    expect(watcher.story()).toEqual(["down link-down"]);
  });

  test("a half-open peer is silence and not a loss, and writes into it still end", async () => {
    const peer = await startPeer((socket) => socket.write("before"));
    const bad = await openBadLink({
      target: { host: "127.0.0.1", port: peer.port },
      faults: NO_FAULTS,
      seed: 1,
      clock: createSystemClock(),
    });
    if (!bad.ok) throw new Error(bad.error.cause);
    cleanups.push(() => bad.value.close());
    const link = open(bad.value.port);
    const watcher = watchLink(link);
    await watcher.until(() => watcher.received().toString() === "before", "the first bytes");
    bad.value.halfOpenAll();
    peer.sockets[0]?.write("never seen");
    expect((await link.write("", Uint8Array.of(7))).ok).toBe(true);
    await sleep(200);
    expect(watcher.story()).toEqual(["up", "bytes"]);
    bad.value.dropAll();
    await watcher.until(() => watcher.received().toString() === "beforebefore", "bytes after the half-open connection ended");
  });
});

describe("a slow consumer", () => {
  test("pauses the sender: what waits in the link stays within its bound and one read more", async () => {
    const total = Buffer.alloc(40_000_000, 23);
    let sender: Socket | null = null;
    const peer = await startPeer((socket) => {
      sender = socket;
      socket.write(total);
    });
    const iterator = open(peer.port).events[Symbol.asyncIterator]();
    expect((await iterator.next()).value).toMatchObject({ kind: "up" });
    await sleep(400);
    expect((sender as Socket | null)?.writableLength, "bytes the sender still holds").toBeGreaterThan(1_000_000);
    // While only promises turn and the network does not, what is handed over had been waiting in the link.
    let waitingBytes = 0;
    for (;;) {
      const next = await Promise.race([iterator.next(), manyTurns()]);
      if (next === null || waitingBytes > 10 * LIMITS.linkQueueBytesMax.value) break;
      if (next.value?.kind === "bytes") waitingBytes += next.value.bytes.length;
    }
    expect(waitingBytes).toBeGreaterThanOrEqual(LIMITS.linkQueueBytesMax.value / 2);
    expect(waitingBytes).toBeLessThanOrEqual(3 * LIMITS.linkQueueBytesMax.value);
  });

  test("drains to the last byte in order after a long stop", async () => {
    const total = pattern(3_000_000, 29);
    const peer = await startPeer((socket) => socket.write(total));
    const link = open(peer.port);
    const pieces: Uint8Array[] = [];
    let receivedBytes = 0;
    for await (const event of link.events) {
      if (event.kind !== "bytes") continue;
      pieces.push(event.bytes);
      receivedBytes += event.bytes.length;
      if (pieces.length % 8 === 0) await sleep(2);
      if (receivedBytes >= total.length) break;
    }
    expect(Buffer.concat(pieces).equals(total)).toBe(true);
  });

  test("a link that flaps while nobody reads stops opening itself when the queue is full", async () => {
    let connections = 0;
    const peer = await startPeer((socket) => {
      connections += 1;
      socket.write(Buffer.alloc(30_000, connections));
      setTimeout(() => socket.resetAndDestroy(), 3);
    });
    const clock = createSimulatedClock();
    const link = open(peer.port, { clock });
    for (let turn = 0; turn < 40; turn++) {
      await clock.advance(15_000);
      await sleep(5);
      // A paused socket learns of its end when it is written to.
      void link.write("", Uint8Array.of(turn));
    }
    const settled = connections;
    // Three fill the queue; of some the reset comes before all was read.
    expect(settled).toBeLessThanOrEqual(8);
    expect(settled).toBeGreaterThanOrEqual(2);
    await link.close();
  });
});

describe("writing and closing", () => {
  test("a write while the link is down fails with link-down", async () => {
    const link = open(await freePort());
    const written = await link.write("", Uint8Array.of(1));
    expect(written).toMatchObject({ ok: false, error: { code: "link-down", facts: { cause: "not-open" } } });
  });

  test("a write the peer does not take in fails after linkWriteMsMax, and the link is opened anew", async () => {
    const peer = await startPeer((socket) => void socket.pause());
    const clock = createSimulatedClock();
    const link = open(peer.port, { clock });
    const watcher = watchLink(link);
    await watcher.until(() => watcher.story().length === 1, "up");
    const outcomes: string[] = [];
    const block = new Uint8Array(32_768);
    for (let count = 0; count < 400; count++) {
      void link.write("", block).then((written) => outcomes.push(written.ok ? "ok" : String(written.error.facts["cause"])));
      if (count % 20 === 0) await sleep(1);
    }
    await watcher.until(() => outcomes.includes("write-queue-full"), "a full queue");
    await sleep(50);
    await clock.advance(LIMITS.linkWriteMsMax.value + 1);
    await watcher.until(() => watcher.story().includes("down link-down"), "the loss");
    await watcher.until(() => outcomes.length === 400, "the end of every write");
    expect(outcomes).toContain("write-timeout");
    await clock.advance(LIMITS.linkBackoffMsMax.value);
    await watcher.until(() => peer.sockets.length === 2, "the new connection");
  });

  test("close ends the events quickly and leaves no handle, in every state", async () => {
    const peer = await startPeer((socket) => socket.write("x"));
    const handles = () =>
      process.getActiveResourcesInfo().filter((name) => name === "TCPSocketWrap" || name === "Timeout").length;
    const before = handles();
    const up = open(peer.port);
    const watched = watchLink(up);
    await watched.until(() => watched.received().length === 1, "a byte");
    const waiting = open(await freePort());
    const watchedWaiting = watchLink(waiting);
    await watchedWaiting.until(() => watchedWaiting.story().length === 1, "the fault");
    const unread = open(peer.port);
    const stop = new AbortController();
    const stopped = open(peer.port, { stop: stop.signal });
    const watchedStopped = watchLink(stopped);
    const startMs = performance.now();
    stop.abort();
    await Promise.all([up.close(), waiting.close(), unread.close(), stopped.close(), up.close()]);
    await Promise.all([watched.ended, watchedWaiting.ended, watchedStopped.ended]);
    expect(performance.now() - startMs).toBeLessThan(1000);
    for (const socket of peer.sockets) socket.destroy();
    await sleep(30);
    expect(handles()).toBeLessThanOrEqual(before);
  });

  test("leaving the loop over the events closes the link", async () => {
    const peer = await startPeer((socket) => socket.write("x"));
    for await (const event of open(peer.port).events) if (event.kind === "bytes") break;
    await sleep(50);
    expect(peer.sockets[0]?.destroyed || peer.sockets[0]?.readableEnded).toBe(true);
  });

  test("a link that is wrong in itself breaks off towards its consumer, who can quarantine the device", async () => {
    const iterator = open(70_000).events[Symbol.asyncIterator]();
    await expect(iterator.next()).rejects.toThrow("Port should be");
    expect((await iterator.next()).done).toBe(true);
  });

  test("a second consumer is a mistake of the program and is refused", async () => {
    const link = open(await freePort());
    link.events[Symbol.asyncIterator]();
    expect(() => link.events[Symbol.asyncIterator]()).toThrow("one consumer");
  });
});
