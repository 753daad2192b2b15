import { describe, expect, test } from "vitest";
import { openMemoryLink } from "../simulator/links/memory-link.ts";
import { createSimulatedClock } from "../simulator/world/simulated-clock.ts";
import { LIMITS } from "../src/core/limits.ts";
import { watchLink } from "./support/link-watcher.ts";

describe("a memory link", () => {
  test("tells what happens in order, counts chunks from 1 and ends after close", async () => {
    const clock = createSimulatedClock();
    const written: [number, string][] = [];
    const memory = openMemoryLink({ clock, onWritten: (bytes, channel) => void written.push([bytes[0] ?? -1, channel]) });
    expect(memory.send(Uint8Array.of(1, 2))).toBe(false);
    expect((await memory.link.write("a", Uint8Array.of(7))).ok).toBe(false);
    expect(memory.up()).toBe(true);
    const mine = Uint8Array.of(3, 4);
    memory.send(mine, "topic", { retained: true, kept: true });
    mine[0] = 99;
    await clock.advance(500);
    memory.send(Uint8Array.of(5));
    expect((await memory.link.write("a", Uint8Array.of(8))).ok).toBe(true);
    memory.down("unplugged");
    memory.down();
    memory.up();
    memory.link.committed(2);
    await memory.link.close();
    memory.down();
    expect(memory.send(Uint8Array.of(6))).toBe(false);
    const told = [];
    for await (const event of memory.link.events) told.push(event);
    expect(told).toMatchObject([
      { kind: "up", atMonotonicMs: 1_000_000 },
      { kind: "bytes", position: 1, channel: "topic", bytes: Uint8Array.of(3, 4), retained: true, kept: true },
      { kind: "bytes", position: 2, channel: "", bytes: Uint8Array.of(5), receivedMonotonicMs: 1_000_500 },
      { kind: "down", fault: { code: "link-down", facts: { cause: "unplugged" } } },
      { kind: "up" },
    ]);
    expect(told.length).toBe(5);
    expect(written).toEqual([[8, "a"]]);
    expect(memory.thankedUpTo()).toBe(2);
    expect(memory.bytesDropped()).toBe(3);
  });

  test("a consumer that does not read costs no more than the limit, and what is lost is counted", async () => {
    const memory = openMemoryLink({ clock: createSimulatedClock() });
    memory.up();
    let taken = 0;
    for (let count = 0; count < 1000; count++) taken += memory.send(new Uint8Array(936)) ? 1 : 0;
    expect(taken).toBe(Math.floor((LIMITS.simulatedQueueBytesMax.value - 64) / 1000));
    expect(memory.bytesDropped()).toBe((1000 - taken) * 936);
    while (memory.send(new Uint8Array(0)));
    for (let count = 0; count < 3; count++) memory.down();
    expect(memory.up()).toBe(false);
    const watcher = watchLink(memory.link);
    await watcher.until(() => watcher.received().length === taken * 936, "everything that was taken");
    expect(memory.up()).toBe(true);
    await memory.link.close();
  });
});
