import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { createMemoryJournal, type MemoryJournal } from "../simulator/world/memory-journal.ts";
import { createSimulatedClock } from "../simulator/world/simulated-clock.ts";
import { createSystemClock } from "../src/clock.ts";
import { type Fault, fault } from "../src/core/errors.ts";
import { type Seq, seq } from "../src/core/ids.ts";
import { LIMITS } from "../src/core/limits.ts";
import type { Delivery, DeliveryOutcome, Journal, ReaderCursor, Sink } from "../src/core/ports.ts";
import type { Loss } from "../src/core/record.ts";
import type { Clock } from "../src/core/time.ts";
import { openJournal } from "../src/journal/journal.ts";
import { type Outbox, startOutbox } from "../src/sinks/outbox.ts";
import { seededRandom } from "./support/seeded-random.ts";
import { until } from "./support/until.ts";
import { numbers } from "./support/upstream-ends.ts";
import { alertAt, hurry, observationAt, startAt } from "./support/upstream-records.ts";

/** A far side that can be away, slow, picky, or never answer. */
function farSide(clock: Clock) {
  const taken: Delivery[] = [];
  const offered = new Map<number, number>();
  const state = { up: true, delayMs: 0, refused: new Set<number>(), refusesAll: false, stuck: false, calls: 0, closes: true };
  /** What arrived and was not answered. */
  const stuck: ((outcome: DeliveryOutcome) => void)[] = [];
  const answer = () => {
    for (const settle of stuck.splice(0)) settle({ kind: "delivered" });
  };
  const unreachable: DeliveryOutcome = { kind: "try-later", fault: fault("upstream-unreachable", { reason: "cut" }) };
  const sink: Sink = {
    name: "far side",
    deliver: async (batch, stop) => {
      state.calls += 1;
      if (state.stuck) {
        taken.push(...batch);
        return new Promise((settle) => void stuck.push(settle));
      }
      if (!state.up) return unreachable;
      if (batch.length === 0) return { kind: "delivered" };
      if (state.delayMs > 0) await clock.sleep(state.delayMs, stop);
      if (!state.up || stop.aborted) return unreachable;
      const keys = batch.filter(({ record }) => state.refusesAll || state.refused.has(record.seq)).map(({ key }) => key);
      if (batch.length === 1) for (const { record } of batch) offered.set(record.seq, (offered.get(record.seq) ?? 0) + 1);
      if (keys.length > 0) return { kind: "rejected", keys, fault: fault("upstream-rejected", { reasonCode: 153 }) };
      taken.push(...batch);
      return { kind: "delivered" };
    },
    close: () => (state.closes ? Promise.resolve() : new Promise(() => {})),
  };
  return { sink, taken, offered, state, stuck, answer, seqs: () => taken.map(({ record }) => record.seq as number) };
}

type FarSide = ReturnType<typeof farSide>;

/** A gateway's part in it: gives numbers, and makes losses records. */
class Ward {
  readonly clock = createSimulatedClock();
  journal: MemoryJournal = createMemoryJournal();
  next = 1;
  readonly losses: Loss[] = [];
  readonly #stops: (() => void)[] = [];

  constructor() {
    this.#listen();
  }

  readonly stateLoss = (loss: Omit<Loss, "kind" | "seq" | "atMs">): Seq => {
    const number = seq(this.next++);
    const record: Loss = { kind: "loss", seq: number, atMs: this.clock.wall(), ...loss };
    this.losses.push(record);
    this.journal.append([record]);
    return number;
  };

  #listen(): void {
    this.#stops.push(this.journal.onLoss((loss) => void this.stateLoss(loss)));
  }

  /** Appends observations, and one alert in so many. */
  measure(count: number, alertEvery = Number.POSITIVE_INFINITY): void {
    for (let index = 0; index < count; index++) {
      const number = this.next++;
      this.journal.append([number % alertEvery === 0 ? alertAt(number) : observationAt(number)]);
    }
  }

  /** The oldest observations up to a number are given up, as the byte budget does. */
  giveUp(upTo: number): void {
    this.journal.drop({ from: 1, to: upTo, kinds: ["observation"] });
  }

  /** The power goes and comes back: a new life on the same disk, with cursors as they were then or as given. */
  restart(cursors?: ReadonlyMap<string, ReaderCursor>): void {
    for (const stop of this.#stops.splice(0)) stop();
    this.journal = this.journal.reopen(cursors);
    const leftOut = this.journal.leftOutAtOpen;
    this.next = (leftOut?.to ?? this.journal.lastSeqAtOpen) + 1;
    this.#listen();
    const number = this.next++;
    this.journal.append([startAt(number, leftOut)]);
  }

  losesOf(name: string, why: Loss["why"]): readonly Loss[] {
    return this.losses.filter((loss) => loss.reader === name && loss.why === why);
  }

  /** Moves the clock in small steps, so that long chains of promises keep up. */
  async pass(milliseconds: number): Promise<void> {
    for (let passedMs = 0; passedMs < milliseconds; passedMs += 50) {
      await this.clock.advance(Math.min(50, milliseconds - passedMs));
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
}

interface Running {
  readonly outbox: Outbox;
  readonly faults: (Fault | null)[];
  readonly incidents: Fault[];
  readonly stop: AbortController;
}

function start(of: {
  readonly journal: Journal;
  readonly clock: Clock;
  readonly sink: Sink;
  readonly name: string;
  readonly stateLoss: (loss: Omit<Loss, "kind" | "seq" | "atMs">) => Seq;
}): Running {
  const faults: (Fault | null)[] = [];
  const incidents: Fault[] = [];
  const stop = new AbortController();
  const outbox = startOutbox({
    ...of,
    gatewayId: "ward-3",
    random: () => 0.5,
    stop: stop.signal,
    onFault: (reason) => void faults.push(reason),
    onIncident: (incident) => void incidents.push(incident),
  });
  return { outbox, faults, incidents, stop };
}

const reader = (ward: Ward, far: FarSide, name = "upstream:hospital") =>
  start({ journal: ward.journal, clock: ward.clock, sink: far.sink, name, stateLoss: ward.stateLoss });

const cleanups: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

describe("numbers that were left out", () => {
  test("twenty crashes of a billion numbers each: the backlog counts records, few pages are read, and nothing goes out twice", async () => {
    const ward = new Ward();
    const far = farSide(ward.clock);
    far.state.up = false;
    const recordsPerLife = 10;
    for (let life = 0; life < 20; life++) {
      ward.measure(recordsPerLife);
      await ward.pass(0);
      const leftOut = { from: ward.next, to: ward.next + LIMITS.journalNumbersReserved.value };
      ward.next = leftOut.to + 2;
      ward.journal.append([startAt(leftOut.to + 1, leftOut)]);
    }
    await ward.pass(0);
    let reads = 0;
    const counting: Journal = {
      ...ward.journal,
      read: (query) => {
        reads += 1;
        return ward.journal.read(query);
      },
    };
    const running = start({
      journal: counting,
      clock: ward.clock,
      sink: far.sink,
      name: "upstream:hospital",
      stateLoss: ward.stateLoss,
    });
    await ward.pass(3000);
    expect(running.outbox.view().backlogRecords).toBe(20 * (recordsPerLife + 1));
    far.state.up = true;
    await ward.pass(35_000);
    expect(running.outbox.view().backlogRecords).toBe(0);
    expect(far.taken.length).toBe(20 * (recordsPerLife + 1));
    expect(reads).toBeLessThan(80);
    expect(ward.journal.cursors().get("upstream:hospital")?.open).toEqual([]);
  });

  test("a stop in the middle of such a backlog keeps its place: more open ranges than the cursor holds join over what was left out", async () => {
    const ward = new Ward();
    const far = farSide(ward.clock);
    for (let life = 0; life < 40; life++) {
      ward.measure(3);
      await ward.pass(0);
      ward.restart();
    }
    await ward.pass(0);
    far.state.delayMs = 400;
    const first = reader(ward, far);
    await ward.pass(1500);
    first.stop.abort();
    await ward.pass(1500);
    const cursor = ward.journal.cursors().get("upstream:hospital");
    expect(cursor?.open.length).toBeLessThanOrEqual(LIMITS.upstreamBacklogRangesMax.value);
    ward.restart();
    far.state.delayMs = 0;
    const second = reader(ward, far);
    await ward.pass(5000);
    expect(new Set(far.seqs()).size).toBe(40 * 4 + 1);
    expect(second.outbox.view().backlogRecords).toBe(0);
  });
});

describe("what a receiver refuses for good", () => {
  test("is one loss record, is not sent again after a restart with an old cursor, and its neighbours arrive", async () => {
    const ward = new Ward();
    const far = farSide(ward.clock);
    far.state.refused = new Set([7, 8, 9, 30]);
    const first = reader(ward, far);
    await ward.pass(100);
    const cursorBefore = ward.journal.cursors();
    ward.measure(40);
    await ward.pass(3000);
    expect(
      ward.losesOf("upstream:hospital", "receiver-refused").map(({ fromSeq, toSeq, count }) => [fromSeq, toSeq, count]),
    ).toEqual([
      [7, 9, 3],
      [30, 30, 1],
    ]);
    expect(first.incidents.map(({ code }) => code)).toEqual(["upstream-rejected", "upstream-rejected"]);
    expect(first.outbox.view()).toMatchObject({ rejectedCount: 4, backlogRecords: 0 });
    first.stop.abort();
    await ward.pass(1000);
    const offeredBefore = far.offered.get(30);
    ward.restart(cursorBefore);
    const second = reader(ward, far);
    await ward.pass(5000);
    expect(far.offered.get(30), "not offered again").toBe(offeredBefore);
    expect(ward.losesOf("upstream:hospital", "receiver-refused")).toHaveLength(2);
    expect(second.outbox.view().backlogRecords).toBe(0);
    const arrived = new Set(far.seqs());
    expect(numbers(1, 40).filter((number) => !arrived.has(number))).toEqual([7, 8, 9, 30]);
    expect(
      far.taken.filter(({ record }) => record.kind === "loss"),
      "what it refused is not sent to it",
    ).toEqual([]);
  });

  test("stays open in the cursor until its loss is on disk", async () => {
    const ward = new Ward();
    const far = farSide(ward.clock);
    const running = reader(ward, far);
    await ward.pass(100);
    far.state.refused = new Set([3]);
    ward.measure(5);
    ward.journal.commit();
    ward.journal.setCommitting(false);
    await ward.pass(1500);
    expect(ward.journal.cursors().get("upstream:hospital")).toMatchObject({ upTo: 5, open: [{ from: 3, to: 3 }] });
    ward.journal.setCommitting(true);
    await ward.pass(1500);
    expect(ward.journal.cursors().get("upstream:hospital")).toMatchObject({ upTo: 6, open: [] });
    expect(running.outbox.view().rejectedCount).toBe(1);
  });

  test("a receiver that refuses everything gets no more than the bound of losses a minute, is told, and the rest waits", async () => {
    const ward = new Ward();
    const far = farSide(ward.clock);
    const running = reader(ward, far);
    far.state.refusesAll = true;
    // Every second number is an alert, so that no two refused observations are neighbours.
    ward.measure(2000, 2);
    await ward.pass(50_000);
    const perMinute = LIMITS.upstreamRefusalsPerMinuteMax.value;
    expect(ward.losesOf("upstream:hospital", "receiver-refused").length).toBeLessThanOrEqual(perMinute);
    expect(ward.losesOf("upstream:hospital", "receiver-refused").length).toBeGreaterThan(perMinute / 2);
    expect(running.faults.some((reason) => reason?.code === "upstream-rejected")).toBe(true);
    await ward.pass(60_000);
    const inTwoMinutes = ward.losesOf("upstream:hospital", "receiver-refused").length;
    expect(inTwoMinutes, "the next minute has as many").toBeGreaterThan(perMinute);
    expect(inTwoMinutes).toBeLessThanOrEqual(2 * perMinute);
    far.state.refusesAll = false;
    await ward.pass(120_000);
    const refused = ward.losesOf("upstream:hospital", "receiver-refused").reduce((sum, { count }) => sum + count, 0);
    expect(new Set(far.seqs().filter((number) => number <= 2000)).size + refused).toBe(2000);
  });
});

describe("a reader that does not return", () => {
  test("neither holds up the other, nor the stop, nor is called without end; what it answers late counts for nothing", async () => {
    const ward = new Ward();
    const [well, stuck] = [farSide(ward.clock), farSide(ward.clock)];
    stuck.state.closes = false;
    const good = reader(ward, well, "upstream:well");
    const bad = reader(ward, stuck, "upstream:stuck");
    await ward.pass(100);
    stuck.state.stuck = true;
    for (let turn = 0; turn < 60; turn++) {
      ward.measure(200, 50);
      await ward.pass(2000);
    }
    expect(new Set(well.seqs()).size).toBe(ward.next - 1);
    expect(good.outbox.view()).toMatchObject({ state: "connected", backlogRecords: 0 });
    expect(bad.outbox.view()).toMatchObject({ sentCount: 0, resentCount: 0 });
    expect(bad.faults[0]).toMatchObject({ code: "upstream-slow" });
    await ward.pass(7_200_000 / 10);
    expect(stuck.stuck.length).toBeLessThanOrEqual(LIMITS.upstreamAbandonedMax.value + LIMITS.upstreamInFlightMax.value);
    stuck.answer();
    await ward.pass(1000);
    expect(bad.outbox.view(), "late answers are not heard").toMatchObject({ sentCount: 0, resentCount: 0 });
    let finished = 0;
    for (const one of [good, bad]) void one.outbox.finished.then(() => (finished += 1));
    good.stop.abort();
    bad.stop.abort();
    await ward.pass(1500);
    expect(finished).toBe(2);
  });

  test("when it answers again it gets everything, each once or marked", async () => {
    const ward = new Ward();
    const far = farSide(ward.clock);
    const running = reader(ward, far);
    await ward.pass(100);
    far.state.stuck = true;
    ward.measure(500, 50);
    await ward.pass(200_000);
    far.state.stuck = false;
    far.answer();
    await ward.pass(100_000);
    expect([...new Set(far.seqs())].sort((a, b) => a - b)).toEqual(numbers(1, 500));
    expect(unmarkedAgain(far)).toEqual([]);
    expect(running.faults.at(-1)).toBeNull();
  });

  test("what the journal gave up before it had it is its loss, named and told; the other reader loses nothing", async () => {
    const ward = new Ward();
    const [well, stuck] = [farSide(ward.clock), farSide(ward.clock)];
    const good = reader(ward, well, "upstream:well");
    const bad = reader(ward, stuck, "upstream:stuck");
    await ward.pass(100);
    ward.measure(20);
    await ward.pass(2000);
    stuck.state.stuck = true;
    ward.measure(1000, 100);
    await ward.pass(5000);
    stuck.taken.splice(0);
    ward.giveUp(600);
    await ward.pass(120_000);
    const missed = ward.losesOf("upstream:stuck", "reader-limit");
    expect(missed.map(({ fromSeq, toSeq }) => [fromSeq, toSeq])).toEqual([[21, 600]]);
    expect(ward.losesOf("upstream:well", "reader-limit")).toEqual([]);
    expect(bad.incidents).toMatchObject([
      { code: "upstream-left-behind", facts: { reader: "upstream:stuck", fromSeq: 21, toSeq: 600, recordsAtMost: 580 } },
    ]);
    expect(good.incidents).toEqual([]);
    stuck.state.stuck = false;
    for (const settle of stuck.stuck) settle({ kind: "try-later", fault: fault("upstream-slow") });
    await ward.pass(60_000);
    const arrived = new Set(stuck.seqs());
    const wanted = numbers(1, 1020).filter((number) => number > 600 || number % 100 === 0);
    expect(
      wanted.filter((number) => !arrived.has(number)),
      "alerts of the lost range come all the same",
    ).toEqual([]);
    expect(
      stuck.taken.filter(({ record }) => record.kind === "loss" && record.why === "reader-limit"),
      "it is told its own loss",
    ).toHaveLength(1);
    expect(well.taken.filter(({ record }) => record.kind === "loss" && record.why === "reader-limit")).toEqual([]);
    expect(bad.outbox.view()).toMatchObject({ backlogRecords: 0, missedCount: 580 });
  });

  test("that loss is stated once, over restarts and with an old cursor", async () => {
    const ward = new Ward();
    const far = farSide(ward.clock);
    far.state.up = false;
    const first = reader(ward, far);
    await ward.pass(100);
    ward.measure(1000);
    await ward.pass(1000);
    const old = ward.journal.cursors();
    ward.giveUp(400);
    await ward.pass(3000);
    expect(ward.losesOf("upstream:hospital", "reader-limit").map(({ fromSeq, toSeq }) => [fromSeq, toSeq])).toEqual([[1, 400]]);
    first.stop.abort();
    await ward.pass(1000);
    for (const cursors of [old, undefined]) {
      ward.restart(cursors);
      const again = reader(ward, far);
      await ward.pass(3000);
      again.stop.abort();
      await ward.pass(1000);
    }
    expect(ward.losesOf("upstream:hospital", "reader-limit")).toHaveLength(1);
    // The gateway ended between the journal's loss and the reader's: the next life states it.
    ward.giveUp(700);
    await ward.pass(100);
    ward.restart();
    reader(ward, far);
    await ward.pass(3000);
    expect(ward.losesOf("upstream:hospital", "reader-limit").map(({ fromSeq, toSeq }) => [fromSeq, toSeq])).toEqual([
      [1, 400],
      [401, 700],
    ]);
  });

  test("a page that went past what was dropped, before the journal could say so, is found out when it does", async () => {
    const ward = new Ward();
    const far = farSide(ward.clock);
    ward.measure(1000);
    await ward.pass(100);
    ward.journal.release("upstream:hospital", { epoch: ward.journal.epoch, upTo: seq(100), open: [] });
    let goneUpTo = 400;
    const journal: Journal = {
      ...ward.journal,
      read: async (query) => {
        const page = await ward.journal.read({ ...query, limit: LIMITS.journalReadRecordsMax.value });
        return page.filter((record) => record.kind !== "observation" || record.seq > goneUpTo).slice(0, query.limit);
      },
    };
    const running = start({ journal, clock: ward.clock, sink: far.sink, name: "upstream:hospital", stateLoss: ward.stateLoss });
    await ward.pass(2000);
    expect(far.seqs().length).toBe(600);
    expect(running.incidents).toEqual([]);
    ward.giveUp(400);
    goneUpTo = 0;
    await ward.pass(3000);
    const missed = ward.losesOf("upstream:hospital", "reader-limit");
    expect(missed.map(({ fromSeq, toSeq, count }) => [fromSeq, toSeq, count])).toEqual([[101, 400, 300]]);
    expect(running.incidents.map(({ code }) => code)).toEqual(["upstream-left-behind"]);
  });

  test("a reader that is new has lost nothing of what was given up before it came", async () => {
    const ward = new Ward();
    const far = farSide(ward.clock);
    ward.measure(500, 100);
    await ward.pass(100);
    ward.giveUp(300);
    await ward.pass(100);
    const running = reader(ward, far);
    await ward.pass(5000);
    expect(ward.losesOf("upstream:hospital", "reader-limit")).toEqual([]);
    expect(running.incidents).toEqual([]);
    expect([...new Set(far.seqs())].sort((a, b) => a - b)).toEqual([100, 200, 300, ...numbers(301, 501)]);
  });
});

describe("all of it together", () => {
  for (const seed of numbers(1, 25)) {
    test(`cuts, crashes, refusals, stuck readers and a journal that drops: each record arrives or its loss is stated (seed ${seed})`, async () => {
      const random = seededRandom(seed).fraction;
      const ward = new Ward();
      const names = ["upstream:one", "upstream:two"];
      const sides = names.map(() => farSide(ward.clock));
      const open = () => names.map((name, index) => reader(ward, sides[index] as FarSide, name));
      let running = open();
      const observations: number[] = [];
      const alerts: number[] = [];
      for (let turn = 0; turn < 50; turn++) {
        const from = ward.next;
        ward.measure(Math.floor(random() * 40), 10);
        for (const number of numbers(from, ward.next - 1)) (number % 10 === 0 ? alerts : observations).push(number);
        for (const side of sides) {
          if (random() < 0.15) side.state.up = !side.state.up;
          if (random() < 0.05) side.state.stuck = !side.state.stuck;
          if (random() < 0.1 && ward.next > from) side.state.refused.add(from);
          side.state.delayMs = random() < 0.5 ? 0 : Math.floor(random() * 300);
          if (!side.state.stuck) side.answer();
        }
        await ward.pass(50 + Math.floor(random() * 400));
        if (random() < 0.1) ward.giveUp(Math.floor(ward.journal.committedSeq() * random()));
        if (random() < 0.07) {
          await ward.pass(0);
          const stale = ward.journal.cursors();
          for (const { stop } of running) stop.abort();
          await ward.pass(1000);
          ward.restart(stale);
          running = open();
        }
      }
      for (const side of sides) {
        Object.assign(side.state, { up: true, stuck: false, delayMs: 0 });
        side.answer();
      }
      await ward.pass(300_000);
      for (const [index, side] of sides.entries()) {
        const name = names[index] ?? "";
        const what = `seed ${seed}, ${name}`;
        const arrived = new Set(side.seqs());
        const refused = covered(ward.losesOf(name, "receiver-refused"));
        const missed = covered(ward.losesOf(name, "reader-limit"));
        const unexplained = observations.filter((number) => !arrived.has(number) && !refused(number) && !missed(number));
        expect(unexplained, `${what}: observations`).toEqual([]);
        expect(
          alerts.filter((number) => !arrived.has(number) && !refused(number)),
          `${what}: alerts`,
        ).toEqual([]);
        expect(unmarkedAgain(side), what).toEqual([]);
        expect(running[index]?.outbox.view(), what).toMatchObject({ state: "connected", backlogRecords: 0 });
      }
    });
  }
});

/** Numbers that came again and were not marked; must be empty. */
function unmarkedAgain(far: FarSide): readonly number[] {
  const known = new Set<number>();
  return far.taken.flatMap(({ record, resent }) => {
    const again = known.has(record.seq);
    known.add(record.seq);
    return again && !resent ? [record.seq] : [];
  });
}

function covered(losses: readonly Loss[]): (number: number) => boolean {
  return (number) => losses.some(({ fromSeq, toSeq }) => fromSeq <= number && number <= toSeq);
}

describe("a journal whose epoch changed because it was damaged", () => {
  test("is sent again whole, marked, alerts first, each with its former key, and this is told once; new records have none", async () => {
    const folder = await mkdtemp(join(tmpdir(), "vigil-readers-"));
    cleanups.push(() => rm(folder, { recursive: true, force: true }));
    const clock = hurry(createSystemClock(), 5);
    const openIt = async () => {
      const opened = await openJournal({ folder, gatewayId: "ward-3", bytesMax: 100_000_000, clock: createSystemClock() });
      if (!opened.ok) throw new Error(JSON.stringify(opened.error));
      return opened.value;
    };
    const begin = (journal: Journal, far: FarSide) =>
      start({ journal, clock, sink: far.sink, name: "upstream:hospital", stateLoss: () => seq(0) });

    const before = await openIt();
    const firstSide = farSide(clock);
    const first = begin(before, firstSide);
    before.append(numbers(1, 50).map((number) => (number > 40 ? observationAt(number) : alertAt(number))));
    await until("all have gone", () => new Set(firstSide.seqs()).size === 50);
    first.stop.abort();
    await first.outbox.finished;
    await before.close();
    // The page that says which numbers were set aside: without it nobody knows how high they went, and a new epoch begins.
    await spoilPageWith(join(folder, "kept.sqlite"), "reservedUpTo");

    const after = await openIt();
    expect(after.epoch).not.toBe(before.epoch);
    const secondSide = farSide(clock);
    const second = begin(after, secondSide);
    await until("the observations have come again", () => secondSide.seqs().includes(50));
    const fresh = (after.leftOutAtOpen?.to ?? after.lastSeqAtOpen) + 1;
    after.append([observationAt(fresh)]);
    await until("the new one came", () => secondSide.seqs().includes(fresh));
    const again = secondSide.taken.filter(({ record }) => record.seq <= 50);
    expect(again.filter(({ record }) => record.kind === "observation").map(({ record }) => record.seq)).toEqual(numbers(41, 50));
    expect(
      again.findIndex(({ record }) => record.kind === "observation"),
      "alerts first",
    ).toBe(again.length - 10);
    expect(again.length - 10, "alerts of the other pages").toBeGreaterThan(10);
    for (const delivery of again) {
      const number = delivery.record.seq;
      const key = `ward-3/${after.epoch}/${number}`;
      expect(delivery).toMatchObject({ key, formerKey: `ward-3/${before.epoch}/${number}`, resent: true });
    }
    expect(secondSide.taken.find(({ record }) => record.seq === fresh)?.formerKey).toBeUndefined();
    expect(second.incidents).toEqual([
      {
        code: "upstream-begins-anew",
        facts: { reader: "upstream:hospital", formerEpoch: before.epoch, epoch: after.epoch },
      },
    ]);
    second.stop.abort();
    await second.outbox.finished;
    await after.close();

    const reopened = await openIt();
    const thirdSide = farSide(clock);
    const third = begin(reopened, thirdSide);
    await until("it is connected", () => third.outbox.view().state === "connected");
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(third.incidents, "told once").toEqual([]);
    expect(
      thirdSide.taken.filter(({ record }) => record.seq <= 50),
      "and sent once",
    ).toEqual([]);
    third.stop.abort();
    await third.outbox.finished;
    await reopened.close();
  });
});

/** Overwrites the beginning of the page of a database that holds a text, as a disk does that lost a sector; its log, carried over, goes. */
async function spoilPageWith(path: string, text: string): Promise<void> {
  const bytes = await readFile(path);
  const [at, pageBytes] = [bytes.lastIndexOf(text), bytes.readUInt16BE(16)];
  expect(at, "the text is in the file, not on its first page").toBeGreaterThan(pageBytes);
  bytes.fill(0x5a, at - (at % pageBytes), at - (at % pageBytes) + 64);
  await writeFile(path, bytes);
  for (const ending of ["-wal", "-shm"]) await rm(path + ending, { force: true });
}
