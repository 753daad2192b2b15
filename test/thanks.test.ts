import { describe, expect, test } from "vitest";
import { seq } from "../src/core/ids.ts";
import { LIMITS } from "../src/core/limits.ts";
import type { LinkEvent } from "../src/core/ports.ts";
import { monotonicMs, wallMs } from "../src/core/time.ts";
import { Thanks } from "../src/gateway/thanks.ts";

function openThanks() {
  const thanked: number[] = [];
  const now = { ms: 0, hurries: 0 };
  const thanks = new Thanks({
    thank: (upToPosition) => thanked.push(upToPosition),
    clock: { monotonic: () => monotonicMs(now.ms) },
    hurry: () => {
      now.hurries += 1;
    },
  });
  return { thanks, thanked, now };
}

function chunk(position: number, identity?: string, kept?: boolean): Extract<LinkEvent, { kind: "bytes" }> {
  const at = { receivedAtMs: wallMs(0), receivedMonotonicMs: monotonicMs(0) };
  return {
    kind: "bytes",
    position,
    channel: "",
    bytes: new Uint8Array(),
    ...at,
    ...(identity === undefined ? {} : { identity }),
    ...(kept === undefined ? {} : { kept }),
  };
}

describe("a message that is delivered again", () => {
  test("is known by its identity where it is marked, and is thanked for when all that is numbered is on disk", () => {
    const { thanks, thanked } = openThanks();
    expect(thanks.isRepeat(chunk(1, "a"), seq(0))).toBe(false);
    thanks.owe({ position: 1, from: seq(1), to: seq(3) });
    thanks.beginAnew();
    expect(thanks.isRepeat(chunk(2, "a", true), seq(5))).toBe(true);
    thanks.committed(seq(4));
    expect(thanked).toEqual([]);
    thanks.committed(seq(5));
    expect(thanked).toEqual([2]);
  });

  test("is thanked for at once where everything is on disk already", () => {
    const { thanks, thanked } = openThanks();
    thanks.isRepeat(chunk(1, "a"), seq(0));
    thanks.committed(seq(5));
    thanks.beginAnew();
    expect(thanks.isRepeat(chunk(2, "a", true), seq(5))).toBe(true);
    expect(thanked).toEqual([2]);
  });

  test("without a mark it is another message that happens to look the same", () => {
    const { thanks } = openThanks();
    expect(thanks.isRepeat(chunk(1, "a"), seq(0))).toBe(false);
    expect(thanks.isRepeat(chunk(2, "a"), seq(0))).toBe(false);
    expect(thanks.isRepeat(chunk(3, "b", true), seq(0))).toBe(false);
    expect(thanks.isRepeat(chunk(4), seq(0))).toBe(false);
  });

  test("counts as new after a loss: what came of it may never have reached the disk", () => {
    const { thanks } = openThanks();
    thanks.isRepeat(chunk(1, "a"), seq(0));
    thanks.lost({ from: seq(1), to: seq(3) });
    thanks.beginAnew();
    expect(thanks.isRepeat(chunk(2, "a", true), seq(3))).toBe(false);
  });

  test("is known among the last thousand, and the oldest is forgotten first", () => {
    const { thanks } = openThanks();
    const most = LIMITS.linkRepeatsKnownMax.value;
    for (let number = 0; number <= most; number++) thanks.isRepeat(chunk(number, `${number}`), seq(0));
    expect(thanks.isRepeat(chunk(most + 1, "1", true), seq(0))).toBe(true);
    expect(thanks.isRepeat(chunk(most + 2, "0", true), seq(0))).toBe(false);
  });
});

describe("a sender that waits for our thanks before it sends the next", () => {
  const take = ({ thanks }: ReturnType<typeof openThanks>, number: number) =>
    thanks.owe({ position: number, from: seq(number), to: seq(number) });

  test("has its records committed without waiting for company, as long as it sends at once after each", () => {
    const opened = openThanks();
    take(opened, 1);
    expect(opened.now.hurries).toBe(0);
    opened.thanks.committed(seq(1));
    opened.now.ms += LIMITS.linkEagerMsMax.value;
    take(opened, 2);
    expect(opened.now.hurries).toBe(1);
    opened.thanks.committed(seq(2));
    opened.now.ms += LIMITS.linkEagerMsMax.value + 1;
    take(opened, 3);
    expect(opened.now.hurries).toBe(1);
  });

  test("one that sends without waiting hurries nobody", () => {
    const opened = openThanks();
    take(opened, 1);
    take(opened, 2);
    opened.thanks.committed(seq(1));
    take(opened, 3);
    expect(opened.now.hurries).toBe(0);
  });
});
