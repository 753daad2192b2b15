import { describe, expect, test } from "vitest";
import { createMemoryJournal } from "../simulator/world/memory-journal.ts";
import { createSimulatedClock } from "../simulator/world/simulated-clock.ts";
import { decodeErrorText } from "../src/core/decode-error-text.ts";
import { type Fault, fault } from "../src/core/errors.ts";
import { seq } from "../src/core/ids.ts";
import type { DecodeError, DeliveryOutcome, Sink } from "../src/core/ports.ts";
import type { ReaderState } from "../src/core/reader-view.ts";
import type { Loss } from "../src/core/record.ts";
import { createReaderDesk } from "../src/gateway/reader-desk.ts";
import { startOutbox } from "../src/sinks/outbox.ts";
import { observationAt } from "./support/upstream-records.ts";

/** An outbox over a journal in memory, whose far side does as it is told. */
function startReader() {
  const clock = createSimulatedClock();
  const journal = createMemoryJournal();
  const state: { answer: DeliveryOutcome["kind"]; refused: number | null } = { answer: "delivered", refused: null };
  const sink: Sink = {
    name: "far side",
    deliver: async (batch) => {
      if (state.answer !== "delivered") return { kind: "try-later", fault: fault("upstream-denied", { status: 401 }) };
      const keys = batch.filter(({ record }) => record.seq === state.refused).map(({ key }) => key);
      return keys.length === 0
        ? { kind: "delivered" }
        : { kind: "rejected", keys, fault: fault("upstream-rejected", { status: 400 }) };
    },
    close: async () => {},
  };
  const losses: Loss[] = [];
  let next = 1;
  const incidents: Fault[] = [];
  const stop = new AbortController();
  const outbox = startOutbox({
    ...{ name: "upstream:hospital", gatewayId: "ward-3", journal, sink, clock, random: () => 0.5, stop: stop.signal },
    onFault: () => {},
    onIncident: (incident) => void incidents.push(incident),
    stateLoss: (given) => {
      const loss: Loss = { kind: "loss", seq: seq(next++), atMs: clock.wall(), ...given };
      losses.push(loss);
      journal.append([loss]);
      return loss.seq;
    },
  });
  const measure = (count: number) => {
    for (let index = 0; index < count; index++) journal.append([observationAt(next++)]);
  };
  const readers = (): readonly ReaderState[] => {
    const { rejectedCount: _, missedCount: __, ...view } = outbox.view();
    return [{ ...view, kind: "influx", where: "http://history:8086" }];
  };
  const desk = createReaderDesk({ journal, readers });
  const look = async () => (await desk.list())[0];
  const pass = async (seconds: number) => {
    for (let step = 0; step < seconds * 10; step++) await clock.advance(100);
  };
  return { clock, journal, state, outbox, measure, look, pass, stop: () => stop.abort(), losses };
}

describe("what a reader says of itself", () => {
  test("how far it has come, what waits since when, and since when it is in trouble", async () => {
    const reader = startReader();
    reader.measure(20);
    await reader.pass(5);
    expect(await reader.look()).toMatchObject({
      ...{ state: "connected", position: 20, newestSeq: 20, backlogRecords: 0, firstWaitingSeq: null, oldestWaitingAtMs: null },
      ...{ outage: null, lastRefusal: null, refusedCount: 0, missedCount: 0, lossesKnown: true },
    });

    reader.state.answer = "try-later";
    const brokenAtMs = reader.clock.wall();
    reader.measure(5);
    await reader.pass(40);
    const broken = await reader.look();
    expect(broken).toMatchObject({ state: "connecting", position: 20, newestSeq: 25, backlogRecords: 5, firstWaitingSeq: 21 });
    expect(broken?.oldestWaitingAtMs).toBe(observationAt(21).times.receivedAtMs);
    expect(broken?.outage?.fault.code).toBe("upstream-denied");
    const lateMs = (broken?.outage?.sinceMs ?? 0) - brokenAtMs;
    expect(lateMs, "the outage keeps its beginning, however often it is tried").toBeGreaterThanOrEqual(0);
    expect(lateMs).toBeLessThan(5000);

    reader.state.answer = "delivered";
    await reader.pass(40);
    expect(await reader.look()).toMatchObject({ state: "connected", position: 25, backlogRecords: 0, outage: null });
    reader.stop();
    await reader.outbox.finished;
  });

  test("what its far side refused for good, and what went before it had it, of this life and of those before", async () => {
    const reader = startReader();
    const at = { atMs: reader.clock.wall(), fromSeq: seq(1), toSeq: seq(900), what: "records" } as const;
    const others: readonly Loss[] = [
      { kind: "loss", seq: seq(1), ...at, count: 900, why: "reader-limit", reader: "upstream:hospital" },
      { kind: "loss", seq: seq(2), ...at, count: 7, why: "receiver-refused", reader: "upstream:history" },
      { kind: "loss", seq: seq(3), ...at, count: 31, why: "byte-budget", reader: null },
    ];
    for (const loss of others) reader.journal.append([loss]);
    await reader.pass(1);
    const own = createReaderDesk({
      journal: reader.journal,
      readers: () => [{ ...reader.outbox.view(), kind: "mqtt", where: "mqtt://hospital" }],
    });
    expect(await own.list()).toMatchObject([
      { missedCount: 900, missedLastAtMs: at.atMs, refusedCount: 0, refusedLastAtMs: null },
    ]);
    expect(await own.list(), "asked again, each counts once").toMatchObject([{ missedCount: 900 }]);
    reader.stop();
    await reader.outbox.finished;
  });

  test("the last refusal with its reason, and the count goes on from the journal", async () => {
    const reader = startReader();
    reader.state.refused = 3;
    reader.measure(6);
    await reader.pass(20);
    const view = await reader.look();
    expect(view?.lastRefusal?.fault).toMatchObject({ code: "upstream-rejected", facts: { status: 400, fromSeq: 3, toSeq: 3 } });
    expect(view).toMatchObject({ refusedCount: 1, position: 7, backlogRecords: 0 });
    expect(reader.losses).toHaveLength(1);
    reader.stop();
    await reader.outbox.finished;
  });
});

describe("why bytes were refused, in words", () => {
  const errors: readonly (readonly [DecodeError, readonly string[]])[] = [
    [{ kind: "bad-checksum", expected: 0x1a, given: 7, atByte: 12 }, ["0x1A", "0x07", "12"]],
    [{ kind: "too-long", limitBytes: 4096 }, ["4096"]],
    [{ kind: "truncated", neededBytes: 20, givenBytes: 13 }, ["20", "13"]],
    [{ kind: "lost-sync", skippedBytes: 37 }, ["37"]],
    [{ kind: "bad-field", field: "$.hr", given: '"x"' }, ["$.hr", '"x"']],
    [{ kind: "no-frame", givenBytes: 5 }, ["5"]],
  ];
  test.each(errors)("$kind", (error, facts) => {
    const text = decodeErrorText(error);
    for (const words of [text.en, text.zh]) for (const each of facts) expect(words).toContain(each);
    expect(text.en).toMatch(/[a-z]{3}/);
    expect(text.zh).toMatch(/\p{Script=Han}{2}/u);
  });
});
