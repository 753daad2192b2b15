import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { backoffMs } from "../src/core/backoff.ts";
import { seq } from "../src/core/ids.ts";
import type { Delivery } from "../src/core/ports.ts";
import type { JournalRecord, Loss } from "../src/core/record.ts";
import { monotonicMs, wallMs } from "../src/core/time.ts";
import { LEAVING_KINDS, leavesFor, upstreamTopics } from "../src/core/upstream.ts";
import { parseReceipt } from "../src/sinks/receipt-message.ts";
import { addRange, countSeqs, joinNearest, removeRange, type SeqRange } from "../src/sinks/seq-ranges.ts";
import { toMessages } from "../src/sinks/upstream-payload.ts";
import { numbers } from "./support/upstream-ends.ts";
import { actAt, alertAt, observationAt, startAt } from "./support/upstream-records.ts";

const parts = {
  topics: upstreamTopics({ prefix: "hospital/vigil", gatewayId: "ward-3" }),
  textOf: () => ({ en: "Oxygen saturation low", zh: "血氧低" }),
};

function outgoing(record: JournalRecord, resent = false): Delivery {
  return { key: `ward-3/e/${record.seq}`, record, resent, durable: true };
}

describe("payloads", () => {
  test("an observation carries its MDC and LOINC codes and its unit, so that a receiver needs no table", () => {
    const [message] = toMessages([outgoing(observationAt(5))], parts);
    expect(message?.topic).toBe("hospital/vigil/ward-3/observations");
    expect(JSON.parse(message?.payload ?? "")).toEqual({
      format: "vigil.batch/1",
      kind: "observation",
      resent: false,
      records: [
        {
          key: "ward-3/e/5",
          record: JSON.parse(JSON.stringify(observationAt(5))),
          codes: { mdc: 150456, loinc: "59408-5", unit: "%" },
        },
      ],
    });
  });

  test("200 observations are one publish, 201 are two, and nothing is left out", () => {
    const batch = (count: number) =>
      toMessages(
        numbers(1, count).map((number) => outgoing(observationAt(number))),
        parts,
      );
    expect(batch(200).map(({ keys }) => keys.length)).toEqual([200]);
    expect(batch(201).map(({ keys }) => keys.length)).toEqual([200, 1]);
    expect(batch(201).flatMap(({ keys }) => keys)).toEqual(numbers(1, 201).map((number) => `ward-3/e/${number}`));
  });

  test("alerts and acts are one publish each; only an alert that is not resent is urgent", () => {
    const messages = toMessages([outgoing(alertAt(1)), outgoing(alertAt(2), true), outgoing(actAt(3))], parts);
    expect(messages.map(({ topic, urgent }) => `${topic.split("/").at(-1)} ${urgent}`)).toEqual([
      "alerts true",
      "alerts false",
      "acts false",
    ]);
    expect(messages.map(({ payload }) => JSON.parse(payload).resent)).toEqual([false, true, false]);
    expect(JSON.parse(messages[2]?.payload ?? "")).toMatchObject({ text: null, codes: null, receipts: parts.topics.receipts });
  });

  test("an alert says how staff call its bed, where that is known; nothing else does", () => {
    const placeOf = (bed: string) => (bed === "bed-2" ? { bed: "301-2", room: "301", ward: "3 East" } : null);
    const told = (record: JournalRecord, more = {}) =>
      JSON.parse(toMessages([outgoing(record)], { ...parts, ...more })[0]?.payload ?? "").place;
    expect(told(alertAt(1), { placeOf })).toEqual({ bed: "301-2", room: "301", ward: "3 East" });
    const { subject } = alertAt(1);
    expect(told({ ...alertAt(1), subject: { ...subject, bedId: "bed-9" as never } }, { placeOf })).toBeNull();
    expect(told({ ...alertAt(1), subject: { ...subject, bedId: null } }, { placeOf })).toBeNull();
    expect(told(actAt(3), { placeOf })).toBeNull();
    expect(told(alertAt(1))).toBeNull();
  });

  test("starts, clock records and tallies leave too, on topics of their own", () => {
    const clock = {
      kind: "clock",
      seq: seq(2),
      atMs: wallMs(9),
      atMonotonicMs: monotonicMs(4),
      movedMs: 5,
      why: "step",
      trust: "trusted",
    } as const;
    const tally = {
      kind: "tally",
      seq: seq(3),
      atMs: wallMs(9),
      fromSeq: seq(1),
      toSeq: seq(3),
      given: { start: 1 },
      devices: [],
    } as const;
    const messages = toMessages([outgoing(startAt(1, null)), outgoing(clock), outgoing(tally)], parts);
    expect(messages.map(({ topic, kind }) => `${topic.split("/").at(-1)} ${kind}`)).toEqual([
      "gateway start",
      "gateway clock",
      "tallies tally",
    ]);
    expect(JSON.parse(messages[0]?.payload ?? "")).toMatchObject({ kind: "start", key: "ward-3/e/1", text: null, codes: null });
    expect(JSON.parse(messages[2]?.payload ?? "").records[0]).toMatchObject({ key: "ward-3/e/3", codes: null });
  });

  test("every kind but the receipt leaves; a loss of one reader goes to that reader alone, and what a receiver refused to none", () => {
    expect([...LEAVING_KINDS].sort()).toEqual(
      ["act", "alert", "clock", "event", "loss", "observation", "prediction", "start", "tally"].sort(),
    );
    const loss = (more: Pick<Loss, "why" | "reader">): Loss => ({
      kind: "loss",
      seq: seq(9),
      atMs: wallMs(9),
      fromSeq: seq(1),
      toSeq: seq(5),
      count: 5,
      what: "records",
      ...more,
    });
    const receipt = { kind: "receipt", seq: seq(1), atMs: wallMs(9), of: "k", reader: "r", state: "seen", by: "x" } as const;
    expect(leavesFor(receipt, "upstream:a")).toBe(false);
    expect(leavesFor(observationAt(1), "upstream:a")).toBe(true);
    expect(leavesFor(loss({ why: "byte-budget", reader: null }), "upstream:a")).toBe(true);
    expect(leavesFor(loss({ why: "reader-limit", reader: "upstream:a" }), "upstream:a")).toBe(true);
    expect(leavesFor(loss({ why: "reader-limit", reader: "upstream:b" }), "upstream:a")).toBe(false);
    expect(leavesFor(loss({ why: "receiver-refused", reader: "upstream:a" }), "upstream:a")).toBe(false);
  });

  test("a key of the former epoch travels with the new one, and only where there is one", () => {
    const again = { ...outgoing(observationAt(5), true), formerKey: "ward-3/e0/5" };
    const alertAgain = { ...outgoing(alertAt(6), true), formerKey: "ward-3/e0/6" };
    const [alert, batch] = toMessages([again, outgoing(observationAt(7), true), alertAgain], parts).map(({ payload }) =>
      JSON.parse(payload),
    );
    expect(alert).toMatchObject({ key: "ward-3/e/6", formerKey: "ward-3/e0/6" });
    expect(batch.records.map((one: { formerKey?: string }) => one.formerKey ?? null)).toEqual(["ward-3/e0/5", null]);
  });

  test("resent and fresh observations never share a publish", () => {
    const messages = toMessages(
      [outgoing(observationAt(1), true), outgoing(observationAt(2)), outgoing(observationAt(3), true)],
      parts,
    );
    expect(messages.map(({ keys, resent }) => [keys, resent])).toEqual([
      [["ward-3/e/1", "ward-3/e/3"], true],
      [["ward-3/e/2"], false],
    ]);
  });
});

describe("receipts", () => {
  const of = { gatewayId: "ward-3", epoch: "e1", lastSeq: seq(12) };
  const parse = (text: string) => parseReceipt(Buffer.from(text), of);
  const receipt = (more: object) => JSON.stringify({ key: "ward-3/e1/12", state: "seen", by: "nurse Li", ...more });

  test("each of the four states is taken, other fields are left aside", () => {
    for (const state of ["received", "seen", "accepted", "refused"]) {
      expect(parse(receipt({ state, more: 1 }))).toEqual({ ok: true, value: { key: "ward-3/e1/12", state, by: "nurse Li" } });
    }
  });

  const refusals = [
    ["half an object", '{"key":', "not-json"],
    ["a list", "[]", "not-json"],
    ["null", "null", "not-json"],
    ["no key", receipt({ key: undefined }), "bad-key"],
    ["a key without a number", receipt({ key: "ward-3/e1/" }), "bad-key"],
    ["number zero", receipt({ key: "ward-3/e1/0" }), "bad-key"],
    ["another gateway's key", receipt({ key: "ward-4/e1/12" }), "other-gateway"],
    ["an older journal's key", receipt({ key: "ward-3/e0/12" }), "other-epoch"],
    ["a number that no record has yet", receipt({ key: "ward-3/e1/13" }), "unknown-record"],
    ["an unknown state", receipt({ state: "eaten" }), "bad-state"],
    ["nobody", receipt({ by: "" }), "bad-by"],
    ["a name of 201 characters", receipt({ by: "x".repeat(201) }), "bad-by"],
    ["4097 bytes", receipt({}).padEnd(4097), "too-long"],
  ] as const;
  for (const [what, given, problem] of refusals) {
    test(`${what} is refused as ${problem}`, () => {
      expect(parse(given)).toEqual({ ok: false, error: problem });
    });
  }

  test("4096 bytes and a name of 200 characters are still taken", () => {
    expect(parse(receipt({}).padEnd(4096)).ok).toBe(true);
    expect(parse(receipt({ by: "x".repeat(200) })).ok).toBe(true);
  });

  test("bytes that are not UTF-8, and any bytes at all, are refused without throwing", () => {
    expect(parseReceipt(new Uint8Array([0x22, 0xff, 0x22]), of)).toEqual({ ok: false, error: "not-json" });
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => !parseReceipt(bytes, of).ok),
      { numRuns: 2000, seed: 71 },
    );
  });
});

describe("ranges of sequence numbers", () => {
  const range = fc.tuple(fc.integer({ min: 1, max: 60 }), fc.integer({ min: 0, max: 12 })).map(([from, length]) => ({
    from: seq(from),
    to: seq(from + length),
  }));
  const members = (ranges: readonly SeqRange[]) => new Set(ranges.flatMap(({ from, to }) => numbers(from, to)));
  const build = (ranges: readonly SeqRange[]) => ranges.reduce<readonly SeqRange[]>((all, one) => addRange(all, one), []);

  test("adding and removing do what they do to sets, and leave the list sorted, disjoint and not touching (seed 72)", () => {
    fc.assert(
      fc.property(fc.array(range, { maxLength: 12 }), range, (added, removed) => {
        const ranges = removeRange(build(added), removed);
        const wanted = new Set(added.flatMap(({ from, to }) => numbers(from, to)));
        for (const number of numbers(removed.from, removed.to)) wanted.delete(number);
        expect([...members(ranges)].sort((a, b) => a - b)).toEqual([...wanted].sort((a, b) => a - b));
        expect(countSeqs(ranges)).toBe(wanted.size);
        for (const [index, { from, to }] of ranges.entries()) {
          expect(from).toBeLessThanOrEqual(to);
          expect(from).toBeGreaterThan((ranges[index - 1]?.to ?? -1) + 1);
        }
      }),
      { seed: 72 },
    );
  });

  test("joining keeps every number, and never more ranges than asked (seed 73)", () => {
    fc.assert(
      fc.property(fc.array(range, { maxLength: 12 }), fc.integer({ min: 1, max: 5 }), (added, countMax) => {
        const ranges = build(added);
        const joined = joinNearest(ranges, countMax);
        expect(joined.length).toBeLessThanOrEqual(countMax);
        expect([...members(ranges)].filter((number) => !members(joined).has(number))).toEqual([]);
      }),
      { seed: 73 },
    );
  });

  test("numbers that no record has are no distance: a range behind a billion of them is nearer than one ten records away", () => {
    const ranges = build([
      { from: seq(1), to: seq(2) },
      { from: seq(13), to: seq(20) },
      { from: seq(1_000_000_026), to: seq(1_000_000_030) },
    ]);
    const leftOut = [{ from: seq(23), to: seq(1_000_000_022) }];
    expect(joinNearest(ranges, 2, leftOut)).toEqual([
      { from: 1, to: 2 },
      { from: 13, to: 1_000_000_030 },
    ]);
    expect(joinNearest(ranges, 2)).toEqual([
      { from: 1, to: 20 },
      { from: 1_000_000_026, to: 1_000_000_030 },
    ]);
  });

  test("the two nearest are joined first", () => {
    const ranges = build([
      { from: seq(1), to: seq(2) },
      { from: seq(20), to: seq(21) },
      { from: seq(25), to: seq(29) },
    ]);
    expect(joinNearest(ranges, 2)).toEqual([
      { from: 1, to: 2 },
      { from: 20, to: 29 },
    ]);
  });
});

test("waits double from the first to the longest, less up to a quarter", () => {
  const bounds = { msMin: 1000, msMax: 30_000 };
  expect([1, 2, 3, 5, 6, 99].map((failures) => backoffMs(failures, bounds, 0))).toEqual([
    1000, 2000, 4000, 16_000, 30_000, 30_000,
  ]);
  expect(backoffMs(1, bounds, 1)).toBe(750);
  expect(backoffMs(99, bounds, 1)).toBe(22_500);
});
