import { describe, expect, test } from "vitest";
import { createMemoryJournal } from "../simulator/world/memory-journal.ts";
import { createSimulatedClock } from "../simulator/world/simulated-clock.ts";
import { type Fault, fault } from "../src/core/errors.ts";
import { type Seq, seq } from "../src/core/ids.ts";
import type { Delivery, DeliveryOutcome, Journal, Sink } from "../src/core/ports.ts";
import type { Clock } from "../src/core/time.ts";
import { type Outbox, startOutbox } from "../src/sinks/outbox.ts";
import type { ReaderLoss } from "../src/sinks/reader-losses.ts";
import { numbers } from "./support/upstream-ends.ts";
import { actAt, alertAt, observationAt, startAt } from "./support/upstream-records.ts";

/** A receiver on the other side of a simulated line, which can be cut, slow, and picky. */
function simulatedReceiver(clock: Clock) {
  const taken: Delivery[] = [];
  const batches: (readonly Delivery[])[] = [];
  const state = {
    up: true,
    delayMs: 0,
    poison: new Set<number>(),
    forbidden: new Set<string>(),
    denials: 0,
    underWay: 0,
    underWayMax: 0,
    closed: false,
    attempts: 0,
  };
  const unreachable: DeliveryOutcome = { kind: "try-later", fault: fault("upstream-unreachable", { reason: "cut" }) };
  const sink: Sink = {
    name: "hospital",
    deliver: async (batch, stop) => {
      if (batch.length === 0) state.attempts += 1;
      if (!state.up) return unreachable;
      if (batch.length === 0) return { kind: "delivered" };
      if (batch.some(({ record }) => state.forbidden.has(record.kind))) {
        state.denials += 1;
        return { kind: "try-later", fault: fault("upstream-denied", { topic: "observations" }) };
      }
      state.underWay += 1;
      state.underWayMax = Math.max(state.underWayMax, state.underWay);
      if (state.delayMs > 0) await clock.sleep(state.delayMs, stop);
      state.underWay -= 1;
      if (!state.up || stop.aborted) return unreachable;
      const keys = batch.filter(({ record }) => state.poison.has(record.seq)).map(({ key }) => key);
      const all = batch.map(({ key }) => key);
      if (keys.length > 0) return { kind: "rejected", keys: all, fault: fault("upstream-rejected", { reasonCode: 153 }) };
      batches.push(batch);
      taken.push(...batch);
      return { kind: "delivered" };
    },
    close: async () => {
      state.closed = true;
    },
  };
  return { sink, taken, batches, state, seqs: () => taken.map(({ record }) => record.seq as number) };
}

function start(of: { journal: Journal; sink: Sink; clock: Clock; name?: string; stateLoss?: (loss: ReaderLoss) => Seq }) {
  const faults: (Fault | null)[] = [];
  const incidents: Fault[] = [];
  const losses: ReaderLoss[] = [];
  let lastStated = seq(0);
  const stop = new AbortController();
  const outbox: Outbox = startOutbox({
    name: "upstream:hospital",
    gatewayId: "ward-3",
    stateLoss: (loss) => {
      losses.push(loss);
      lastStated = seq(Math.max(lastStated, of.journal.committedSeq()) + 1);
      const number = lastStated;
      of.journal.append([{ kind: "loss", seq: number, atMs: of.clock.wall(), ...loss }]);
      return number;
    },
    ...of,
    random: () => 0.5,
    stop: stop.signal,
    onFault: (reason) => void faults.push(reason),
    onIncident: (incident) => void incidents.push(incident),
  });
  return { outbox, faults, incidents, losses, stop };
}

function ward() {
  const clock = createSimulatedClock();
  const receiver = simulatedReceiver(clock);
  const journal = createMemoryJournal();
  return { clock, receiver, journal };
}

/** Moves the clock in small steps, so that long chains of promises keep up. */
async function pass(clock: ReturnType<typeof createSimulatedClock>, milliseconds: number): Promise<void> {
  for (let passedMs = 0; passedMs < milliseconds; passedMs += 50) {
    await clock.advance(Math.min(50, milliseconds - passedMs));
    await new Promise((resolve) => setImmediate(resolve));
  }
}

describe("the short way of an alert", () => {
  test("leaves at its commit as durable", async () => {
    const { clock, receiver, journal } = ward();
    const { outbox } = start({ journal, sink: receiver.sink, clock });
    await pass(clock, 50);
    journal.setCommitting(false);
    journal.append([alertAt(1)]);
    outbox.urgent(alertAt(1));
    await pass(clock, 200);
    expect(receiver.taken).toEqual([]);
    journal.commit();
    await pass(clock, 0);
    await pass(clock, 50);
    expect(receiver.taken).toEqual([{ key: `ward-3/${journal.epoch}/1`, record: alertAt(1), resent: false, durable: true }]);
  });

  test("leaves after 250 ms without a commit as not durable, and its later commit sends nothing", async () => {
    const { clock, receiver, journal } = ward();
    const { outbox } = start({ journal, sink: receiver.sink, clock });
    await pass(clock, 50);
    journal.setCommitting(false);
    journal.append([observationAt(1), alertAt(2)]);
    outbox.urgent(alertAt(2));
    await clock.advance(249);
    await pass(clock, 0);
    expect(receiver.taken).toEqual([]);
    await clock.advance(1);
    await pass(clock, 50);
    expect(receiver.taken).toMatchObject([{ record: { seq: 2 }, resent: false, durable: false }]);
    journal.setCommitting(true);
    await pass(clock, 500);
    expect(receiver.seqs()).toEqual([2, 1]);
    expect(outbox.view()).toMatchObject({ sentCount: 2, resentCount: 0, backlogRecords: 0 });
  });

  test("an undurable alert that was not confirmed goes out again, marked, until it is", async () => {
    const { clock, receiver, journal } = ward();
    const { outbox, faults } = start({ journal, sink: receiver.sink, clock });
    await pass(clock, 50);
    journal.setCommitting(false);
    receiver.state.delayMs = 100;
    journal.append([alertAt(1)]);
    outbox.urgent(alertAt(1));
    await pass(clock, 300);
    receiver.state.up = false;
    await pass(clock, 2000);
    expect(receiver.taken).toEqual([]);
    receiver.state.up = true;
    await pass(clock, 5000);
    expect(receiver.taken).toMatchObject([{ record: { seq: 1 }, resent: true, durable: false }]);
    journal.setCommitting(true);
    await pass(clock, 1000);
    expect(receiver.taken, "confirmed once, sent no more").toHaveLength(1);
    expect(faults.map((reason) => reason?.code ?? null)).toEqual(["upstream-unreachable", null]);
  });

  test("an undurable alert that was confirmed is not sent again when it is committed during an outage", async () => {
    const { clock, receiver, journal } = ward();
    const { outbox } = start({ journal, sink: receiver.sink, clock });
    await pass(clock, 50);
    journal.setCommitting(false);
    journal.append([alertAt(1), observationAt(2)]);
    outbox.urgent(alertAt(1));
    await pass(clock, 500);
    expect(receiver.seqs()).toEqual([1]);
    receiver.state.up = false;
    await pass(clock, 2000);
    journal.setCommitting(true);
    receiver.state.up = true;
    await pass(clock, 10_000);
    expect(receiver.seqs()).toEqual([1, 2]);
  });

  test("an alert under way when the power goes is still open in the stored cursor, and sent again", async () => {
    const { clock, receiver, journal } = ward();
    const { outbox } = start({ journal, sink: receiver.sink, clock });
    await pass(clock, 50);
    receiver.state.delayMs = 60_000;
    journal.append([alertAt(1)]);
    outbox.urgent(alertAt(1));
    await pass(clock, 50);
    receiver.state.delayMs = 0;
    journal.append([observationAt(2)]);
    await pass(clock, 1000);
    expect(receiver.seqs(), "the observation has overtaken it").toEqual([2]);
    expect(journal.cursors().get("upstream:hospital")).toEqual({ epoch: journal.epoch, upTo: 2, open: [{ from: 1, to: 1 }] });
    const again = journal.reopen(journal.cursors());
    const other = simulatedReceiver(clock);
    start({ journal: again, sink: other.sink, clock });
    await pass(clock, 1000);
    expect(other.taken).toMatchObject([{ record: { seq: 1 }, resent: true, durable: true }]);
  });

  test("a journal that does not say where the reader stands holds up no alert; when it does, everything else follows once", async () => {
    const { clock, receiver, journal } = ward();
    journal.append(numbers(1, 20).map(observationAt));
    await pass(clock, 50);
    let answer: (cursor: null) => void = () => {};
    const hanging: Journal = { ...journal, cursor: () => new Promise((resolve) => (answer = resolve)) };
    const { outbox } = start({ journal: hanging, sink: receiver.sink, clock });
    await pass(clock, 1000);
    journal.setCommitting(false);
    journal.append([alertAt(21)]);
    outbox.urgent(alertAt(21));
    await pass(clock, 500);
    journal.setCommitting(true);
    journal.append([alertAt(22)]);
    outbox.urgent(alertAt(22));
    await pass(clock, 500);
    expect(receiver.taken.map(({ record, durable }) => [record.seq, durable])).toEqual([
      [21, false],
      [22, true],
    ]);
    expect(journal.cursors().size, "no cursor is stored by who knows none").toBe(0);
    answer(null);
    await pass(clock, 2000);
    expect(receiver.seqs()).toEqual([21, 22, ...numbers(1, 20)]);
    journal.append([observationAt(23)]);
    await pass(clock, 1000);
    expect(receiver.taken.at(-1)).toMatchObject({ record: { seq: 23 }, resent: false });
    await pass(clock, 12_000);
    expect(journal.cursors().get("upstream:hospital")).toEqual({ epoch: journal.epoch, upTo: 23, open: [] });
  });

  test("an alert refused before the journal says where the reader stands is not offered again, and stays open until its loss is on disk", async () => {
    const { clock, receiver, journal } = ward();
    journal.append(numbers(1, 20).map(observationAt));
    await pass(clock, 50);
    let answer: (cursor: null) => void = () => {};
    const hanging: Journal = { ...journal, cursor: () => new Promise((resolve) => (answer = resolve)) };
    const { outbox, losses, incidents } = start({ journal: hanging, sink: receiver.sink, clock });
    await pass(clock, 1000);
    journal.append([alertAt(21)]);
    journal.setCommitting(false);
    receiver.state.poison.add(21);
    outbox.urgent(alertAt(21));
    await pass(clock, 500);
    receiver.state.poison.clear();
    answer(null);
    await pass(clock, 12_000);
    expect(receiver.seqs()).toEqual(numbers(1, 20));
    expect(incidents.map(({ code, facts }) => [code, facts["fromSeq"]])).toEqual([["upstream-rejected", 21]]);
    expect(losses.map(({ fromSeq, toSeq, why }) => [fromSeq, toSeq, why])).toEqual([[21, 21, "receiver-refused"]]);
    expect(journal.cursors().get("upstream:hospital")).toMatchObject({ upTo: 21, open: [{ from: 21, to: 21 }] });
    journal.setCommitting(true);
    await pass(clock, 12_000);
    expect(receiver.seqs()).toEqual(numbers(1, 20));
    expect(journal.cursors().get("upstream:hospital")).toMatchObject({ upTo: 22, open: [] });
  });

  test("a thousand alerts on disk during an outage leave room for one that is not on disk", async () => {
    const { clock, receiver, journal } = ward();
    receiver.state.up = false;
    const { outbox } = start({ journal, sink: receiver.sink, clock });
    await pass(clock, 50);
    for (const number of numbers(1, 1200)) {
      journal.append([alertAt(number)]);
      outbox.urgent(alertAt(number));
      await Promise.resolve();
    }
    await pass(clock, 500);
    journal.setCommitting(false);
    journal.append([alertAt(1201)]);
    outbox.urgent(alertAt(1201));
    receiver.state.up = true;
    await pass(clock, 10_000);
    expect(receiver.taken.find(({ record }) => record.seq === 1201)).toMatchObject({ resent: false, durable: false });
    expect([...receiver.seqs()].sort((a, b) => a - b)).toEqual(numbers(1, 1201));
  });

  test("alerts keep their order and are not held up by slow observations", async () => {
    const { clock, receiver, journal } = ward();
    const { outbox } = start({ journal, sink: receiver.sink, clock });
    await pass(clock, 50);
    receiver.state.delayMs = 5000;
    for (const number of numbers(1, 40)) {
      journal.append([observationAt(number)]);
      await pass(clock, 50);
    }
    receiver.state.delayMs = 20;
    for (const number of [41, 42, 43]) {
      journal.append([alertAt(number)]);
      outbox.urgent(alertAt(number));
    }
    await pass(clock, 100);
    expect(receiver.seqs()).toEqual([41, 42, 43]);
    expect(receiver.state.underWayMax, "observations leave places free").toBeLessThanOrEqual(20);
  });
});

describe("backlog", () => {
  test("after an outage new records go out unmarked at once; the old ones follow marked, alerts and acts before observations", async () => {
    const { clock, receiver, journal } = ward();
    receiver.state.up = false;
    const { outbox } = start({ journal, sink: receiver.sink, clock });
    journal.append([...numbers(1, 30).map(observationAt), alertAt(31), ...numbers(32, 60).map(observationAt), actAt(61)]);
    await pass(clock, 3000);
    expect(outbox.view()).toMatchObject({ state: "connecting", backlogRecords: 61 });
    receiver.state.up = true;
    receiver.state.delayMs = 30;
    await pass(clock, 4000);
    journal.append([observationAt(62)]);
    await pass(clock, 2000);
    expect(receiver.seqs().slice(0, 2)).toEqual([31, 61]);
    expect([...receiver.seqs()].sort((a, b) => a - b)).toEqual(numbers(1, 62));
    const marked = receiver.taken.filter(({ resent }) => resent).map(({ record }) => record.seq);
    expect(marked.sort((a, b) => a - b)).toEqual(numbers(1, 61));
    expect(outbox.view()).toMatchObject({ state: "connected", backlogRecords: 0, sentCount: 1, resentCount: 61 });
  });

  test("numbers that were left out at a restart do not count as waiting", async () => {
    const { clock, receiver, journal } = ward();
    receiver.state.up = false;
    const { outbox } = start({ journal, sink: receiver.sink, clock });
    journal.append([...numbers(1, 3).map(observationAt), startAt(50_001, { from: 4, to: 50_000 }), observationAt(50_002)]);
    await pass(clock, 3000);
    expect(outbox.view().backlogRecords).toBe(5);
    receiver.state.up = true;
    await pass(clock, 4000);
    expect(receiver.seqs()).toEqual([50_001, 1, 2, 3, 50_002]);
    expect(outbox.view().backlogRecords).toBe(0);
  });

  test("a slow line gets smaller batches, so that an alert never waits behind many", async () => {
    const { clock, receiver, journal } = ward();
    journal.append(numbers(1, 5000).map(observationAt));
    receiver.state.delayMs = 2000;
    await pass(clock, 10);
    start({ journal, sink: receiver.sink, clock });
    await pass(clock, 20_000);
    const sizes = receiver.batches.map((batch) => batch.length);
    expect(Math.max(...sizes.slice(-2))).toBe(10);
    receiver.state.delayMs = 10;
    await pass(clock, 5000);
    expect(Math.max(...receiver.batches.map((batch) => batch.length))).toBe(200);
  });

  test("what the journal gave up before it was sent is passed by and stated as this reader's loss; both losses are sent", async () => {
    const { clock, receiver, journal } = ward();
    receiver.state.up = false;
    const { outbox, losses } = start({ journal, sink: receiver.sink, clock });
    journal.append(numbers(1, 20).map(observationAt));
    await pass(clock, 500);
    journal.drop({ from: 1, to: 15, kinds: ["observation"] });
    journal.append([
      {
        kind: "loss",
        seq: seq(21),
        atMs: clock.wall(),
        fromSeq: seq(1),
        toSeq: seq(15),
        count: 15,
        why: "byte-budget",
        what: "records",
        reader: null,
      },
    ]);
    receiver.state.up = true;
    await pass(clock, 5000);
    expect([...receiver.seqs()].sort((a, b) => a - b)).toEqual(numbers(16, 22));
    expect(losses).toMatchObject([{ fromSeq: 1, toSeq: 15, count: 15, why: "reader-limit", reader: "upstream:hospital" }]);
    expect(outbox.view()).toMatchObject({ backlogRecords: 0, missedCount: 15 });
    await pass(clock, 12_000);
    expect(journal.cursors().get("upstream:hospital")).toEqual({ epoch: journal.epoch, upTo: 22, open: [] });
  });

  test("a disk that hangs gets one question about losses at a time, and the next once it has answered", async () => {
    const { clock, receiver, journal } = ward();
    const waiting: (() => void)[] = [];
    let hangs = false;
    const hanging: Journal = {
      ...journal,
      read: async (query) => {
        if (hangs && query.kinds?.join() === "loss") await new Promise<void>((resolve) => waiting.push(resolve));
        return journal.read(query);
      },
    };
    start({ journal: hanging, sink: receiver.sink, clock });
    await pass(clock, 2000);
    hangs = true;
    for (const number of numbers(1, 60)) {
      journal.append([observationAt(number)]);
      await pass(clock, 1000);
    }
    expect(waiting).toHaveLength(1);
    waiting.pop()?.();
    await pass(clock, 2000);
    journal.append([observationAt(61)]);
    await pass(clock, 2000);
    expect(waiting).toHaveLength(1);
  });

  test("receipts are not sent back to where they came from", async () => {
    const { clock, receiver, journal } = ward();
    start({ journal, sink: receiver.sink, clock });
    await pass(clock, 50);
    const receipt = { kind: "receipt", seq: seq(1), atMs: clock.wall(), of: "k", reader: "r", state: "seen", by: "x" } as const;
    journal.append([receipt, observationAt(2)]);
    await pass(clock, 1000);
    expect(receiver.seqs()).toEqual([2]);
    expect(journal.cursors().get("upstream:hospital")).toEqual({ epoch: journal.epoch, upTo: 2, open: [] });
  });
});

describe("what is refused, and what is down", () => {
  test("a poisoned record is found by halving, set aside, stated as a loss of this reader and told; its neighbours arrive", async () => {
    const { clock, receiver, journal } = ward();
    receiver.state.poison = new Set([7, 23]);
    const { outbox, incidents, losses, faults } = start({ journal, sink: receiver.sink, clock });
    await pass(clock, 50);
    journal.append(numbers(1, 40).map(observationAt));
    await pass(clock, 1000);
    const arrived = [...receiver.seqs()].sort((a, b) => a - b);
    expect(arrived).toEqual(numbers(1, 40).filter((number) => number !== 7 && number !== 23));
    const loss = { count: 1, what: "records", why: "receiver-refused", reader: "upstream:hospital" };
    expect(losses).toEqual([7, 23].map((number) => ({ ...loss, fromSeq: number, toSeq: number })));
    const facts = { reasonCode: 153, reader: "upstream:hospital", kind: "observation" };
    expect(incidents).toEqual([
      { code: "upstream-rejected", facts: { ...facts, fromSeq: 7, toSeq: 7, count: 1 } },
      { code: "upstream-rejected", facts: { ...facts, fromSeq: 23, toSeq: 23, count: 2 } },
    ]);
    expect(outbox.view()).toMatchObject({ rejectedCount: 2, backlogRecords: 0 });
    expect(faults).toEqual([]);
    expect(journal.cursors().get("upstream:hospital"), "its own losses are not sent to it").toEqual({
      epoch: journal.epoch,
      upTo: 42,
      open: [],
    });
  });

  test("an outage is told once, its end once, and the attempts slow down to two a minute", async () => {
    const { clock, receiver, journal } = ward();
    const { faults } = start({ journal, sink: receiver.sink, clock });
    await pass(clock, 3000);
    expect(faults).toEqual([]);
    receiver.state.up = false;
    await pass(clock, 2000);
    expect(faults.map((reason) => reason?.code)).toEqual(["upstream-unreachable"]);
    await pass(clock, 120_000);
    const before = receiver.state.attempts;
    await pass(clock, 60_000);
    expect(receiver.state.attempts - before).toBeGreaterThanOrEqual(2);
    expect(receiver.state.attempts - before).toBeLessThanOrEqual(3);
    receiver.state.up = true;
    await pass(clock, 35_000);
    expect(faults.map((reason) => reason?.code ?? null)).toEqual(["upstream-unreachable", null]);
  });

  test("a forbidden kind is tried more and more rarely, alerts pass it by at once, and it is told once", async () => {
    const { clock, receiver, journal } = ward();
    receiver.state.forbidden.add("observation");
    const { outbox, faults } = start({ journal, sink: receiver.sink, clock });
    await pass(clock, 50);
    journal.append([observationAt(1)]);
    await pass(clock, 120_000);
    expect(receiver.state.denials).toBeGreaterThan(4);
    expect(receiver.state.denials).toBeLessThan(12);
    journal.append([alertAt(2)]);
    outbox.urgent(alertAt(2));
    await pass(clock, 100);
    expect(receiver.seqs()).toEqual([2]);
    expect(faults.map((reason) => reason?.code)).toEqual(["upstream-denied"]);
    receiver.state.forbidden.clear();
    await pass(clock, 40_000);
    expect(receiver.seqs()).toEqual([2, 1]);
    expect(faults.at(-1)).toBeNull();
  });

  test("an idle outbox notices within two seconds that the connection went", async () => {
    const { clock, receiver, journal } = ward();
    const { faults, outbox } = start({ journal, sink: receiver.sink, clock });
    await pass(clock, 5000);
    receiver.state.up = false;
    await pass(clock, 2000);
    expect(faults).toHaveLength(1);
    expect(outbox.view().state).toBe("connecting");
  });
});

describe("stop and start again", () => {
  test("a stop gives up what hangs, stores the cursor and closes the sink; the next start sends only what was open, marked", async () => {
    const { clock, receiver, journal } = ward();
    const first = start({ journal, sink: receiver.sink, clock });
    await pass(clock, 50);
    journal.append(numbers(1, 10).map(observationAt));
    await pass(clock, 500);
    receiver.state.delayMs = 60_000;
    journal.append(numbers(11, 15).map(observationAt));
    await pass(clock, 100);
    let finished = false;
    void first.outbox.finished.then(() => {
      finished = true;
    });
    first.stop.abort();
    await pass(clock, 1000);
    expect(finished).toBe(true);
    expect(receiver.state.closed).toBe(true);
    expect(journal.cursors().get("upstream:hospital")).toEqual({ epoch: journal.epoch, upTo: 15, open: [{ from: 11, to: 15 }] });

    receiver.state.delayMs = 0;
    const again = journal.reopen();
    again.append([observationAt(16)]);
    await pass(clock, 50);
    start({ journal: again, sink: receiver.sink, clock });
    await pass(clock, 1000);
    expect(receiver.seqs()).toEqual(numbers(1, 16));
    expect(receiver.taken.filter(({ resent }) => resent).map(({ record }) => record.seq)).toEqual(numbers(11, 16));
  });

  for (const seed of numbers(1, 30)) {
    test(`cuts and crashes at random moments lose nothing, and what comes twice is marked (seed ${seed})`, async () => {
      const random = mulberry(seed);
      const clock = createSimulatedClock();
      const receiver = simulatedReceiver(clock);
      receiver.state.delayMs = 80;
      let journal = createMemoryJournal();
      let running = start({ journal, sink: receiver.sink, clock });
      let next = 1;
      for (let turn = 0; turn < 60; turn++) {
        const count = Math.floor(random() * 30);
        for (const number of numbers(next, next + count - 1)) {
          const alert = random() < 0.1;
          journal.append([alert ? alertAt(number) : observationAt(number)]);
          if (alert && random() < 0.8) running.outbox.urgent(alertAt(number));
        }
        next += count;
        await pass(clock, 50 + Math.floor(random() * 200));
        if (random() < 0.15) receiver.state.up = !receiver.state.up;
        if (random() < 0.2) journal.setCommitting(random() < 0.6);
        if (random() < 0.07) {
          journal.setCommitting(true);
          await pass(clock, 0);
          const stale = journal.cursors();
          running.stop.abort();
          await pass(clock, 1000);
          journal = journal.reopen(stale);
          running = start({ journal, sink: receiver.sink, clock });
        }
      }
      receiver.state.up = true;
      journal.setCommitting(true);
      await pass(clock, 60_000);
      const arrived = [...new Set(receiver.seqs())].sort((a, b) => a - b);
      expect(arrived, `seed ${seed}`).toEqual(numbers(1, next - 1));
      const known = new Set<number>();
      for (const { record, resent } of receiver.taken) {
        expect(known.has(record.seq) && !resent, `seed ${seed}: ${record.seq} came again unmarked`).toBe(false);
        known.add(record.seq);
      }
      expect(running.outbox.view(), `seed ${seed}`).toMatchObject({ state: "connected", backlogRecords: 0 });
      expect(journal.cursors().get("upstream:hospital"), `seed ${seed}`).toEqual({
        epoch: journal.epoch,
        upTo: next - 1,
        open: [],
      });
    });
  }
});

/** Small seeded generator, 0 to 1. */
function mulberry(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
