import { cpSync, existsSync, readdirSync, renameSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createSimulatedClock } from "../simulator/world/simulated-clock.ts";
import { seq } from "../src/core/ids.ts";
import { LIMITS } from "../src/core/limits.ts";
import type { Journal } from "../src/core/ports.ts";
import type { JournalRecord } from "../src/core/record.ts";
import { RoomMaker } from "../src/journal/room-maker.ts";
import { WaitingRecords } from "../src/journal/waiting-records.ts";
import { committed, openOrFail, readAll, temporaryFolder } from "./support/journal-folder.ts";
import { actOf, alertOf, observationOf } from "./support/journal-records.ts";
import { until } from "./support/until.ts";

let place = temporaryFolder();

beforeEach(() => {
  place = temporaryFolder();
});

afterEach(() => place.remove());

type Loss = Parameters<Parameters<Journal["onLoss"]>[0]>[0];

describe("a full queue", () => {
  const observations = (from: number, count: number) =>
    Array.from({ length: count }, (_, index) => observationOf({ seq: from + index }));

  test("holds exactly its bound, then gives up the oldest observations and no kept record", () => {
    const waiting = new WaitingRecords({ recordsMax: 10, keptMax: 5, afterSeq: 0 });
    expect(waiting.push([alertOf({ seq: 1, id: "a" }), ...observations(2, 9)])).toBeNull();
    expect(waiting.push([observationOf({ seq: 11 })])).toEqual({
      fromSeq: 2,
      toSeq: 2,
      count: 1,
      why: "queue-full",
      what: "records",
      reader: null,
    });
    expect(waiting.push([actOf({ seq: 12 }), ...observations(13, 3)])).toEqual({
      fromSeq: 3,
      toSeq: 6,
      count: 4,
      why: "queue-full",
      what: "records",
      reader: null,
    });
    expect(waiting.urgent).toBe(true);
    expect(waiting.take(4).map((record) => record.seq as number)).toEqual([1, 7, 8, 9]);
    expect(waiting.take(100).map((record) => record.seq as number)).toEqual([10, 11, 12, 13, 14, 15]);
    expect(waiting.urgent).toBe(false);
    expect(waiting.length).toBe(0);
  });

  test("takes as many kept records as it may, and one more is our own mistake", () => {
    const waiting = new WaitingRecords({ recordsMax: 3, keptMax: 5, afterSeq: 0 });
    for (let number = 1; number <= 5; number++) expect(waiting.push([actOf({ seq: number })])).toBeNull();
    expect(waiting.length).toBe(5);
    expect(() => waiting.push([actOf({ seq: 6 })])).toThrow("journalKeptRecordsMax");
  });

  test("tells what was dropped before the commit that passes it, and what stays is on disk", async () => {
    const journal = await openOrFail(place.folder, { simulatedDisk: { fsyncMs: 300, slowFsyncMs: 300, slowShare: 0, seed: 5 } });
    const losses: Loss[] = [];
    const seenAt: number[] = [];
    journal.onLoss((loss) => {
      losses.push(loss);
      seenAt.push(journal.committedSeq());
    });
    const room = LIMITS.journalQueueRecordsMax.value;
    journal.append([alertOf({ seq: 1, id: "first" })]);
    await until("the first batch is under way", () => journal.stats().commits === 0);
    await new Promise((resolve) => setTimeout(resolve, 20));
    journal.append([alertOf({ seq: 2, id: "second" })]);
    journal.append(observations(3, room + 499));
    const last = room + 501;
    expect(losses).toEqual([{ fromSeq: 3, toSeq: 502, count: 500, why: "queue-full", what: "records", reader: null }]);
    expect(journal.stats().droppedRecords).toBe(500);
    journal.append([observationOf({ seq: last + 1 })]);
    await committed(journal, last + 1);
    expect(losses[1]).toEqual({ fromSeq: 503, toSeq: 503, count: 1, why: "queue-full", what: "records", reader: null });
    expect(seenAt[1]).toBeLessThan(503);
    const seqs = (await readAll(journal)).map((record) => record.seq as number);
    expect(seqs.slice(0, 3)).toEqual([1, 2, 504]);
    expect(seqs).toHaveLength(room + 1);
    await journal.close();
  });
});

test("what went from a full queue is told after a crash as well, as soon as anything behind it is on disk", async () => {
  const journal = await openOrFail(place.folder, { simulatedDisk: { fsyncMs: 300, slowFsyncMs: 300, slowShare: 0, seed: 5 } });
  journal.append([alertOf({ seq: 1, id: "first" })]);
  await new Promise((resolve) => setTimeout(resolve, 20));
  const room = LIMITS.journalQueueRecordsMax.value;
  journal.append(Array.from({ length: room + 10 }, (_, index) => observationOf({ seq: 2 + index })));
  await until("something behind it is committed", () => journal.committedSeq() > 11);
  // The files as a crash leaves them, before the gateway's own record of the loss.
  const crashed = `${place.folder}-crashed`;
  cpSync(place.folder, crashed, { recursive: true });
  await journal.close();
  const after = await openOrFail(crashed);
  const losses: Loss[] = [];
  after.onLoss((loss) => losses.push(loss));
  expect(losses[0]).toEqual({ fromSeq: 2, toSeq: 11, count: 10, why: "queue-full", what: "records", reader: null });
  await after.close();
});

test("a disk that stays full costs a segment with the second try, then one after each wait, which doubles up to an hour", () => {
  const room = new RoomMaker();
  const [shortest, longest] = [LIMITS.journalSacrificeMsMin.value, LIMITS.journalSacrificeMsMax.value];
  expect([room.met(0), room.met(1000), room.mayTakeSegment(1000)]).toEqual([false, true, true]);
  let nowMs = 1000;
  for (let waitMs = shortest; waitMs < longest; waitMs *= 2) {
    room.tookSegment(nowMs);
    expect([room.met(nowMs + 1), room.met(nowMs + 2)], "again two tries").toEqual([false, true]);
    expect([room.mayTakeSegment(nowMs + waitMs - 1), room.mayTakeSegment(nowMs + waitMs)], `${waitMs} ms`).toEqual([false, true]);
    nowMs += waitMs;
  }
  room.tookSegment(nowMs);
  expect([room.mayTakeSegment(nowMs + longest - 1), room.mayTakeSegment(nowMs + longest)]).toEqual([false, true]);
  // A disk that had room for an hour beyond that begins with the shortest wait again.
  nowMs += 2 * longest;
  room.tookSegment(nowMs);
  expect([room.mayTakeSegment(nowMs + shortest - 1), room.mayTakeSegment(nowMs + shortest)]).toEqual([false, true]);
  expect([room.hasRoom(nowMs), room.met(nowMs), room.hasRoom(nowMs + shortest - 1), room.hasRoom(nowMs + shortest)]).toEqual([
    ...[true, false, false, true],
  ]);
});

describe("the byte budget", () => {
  const BYTES_MAX = 3_000_000;

  /** Observations whose contexts and values hardly repeat, so that segments fill quickly; every thousandth is an act. */
  function bulky(from: number, count: number): JournalRecord[] {
    return Array.from({ length: count }, (_, index) => {
      const number = from + index;
      return number % 1000 === 0
        ? actOf({ seq: number })
        : observationOf({ seq: number, device: `monitor-${number}`, value: number / 7 });
    });
  }

  async function overfill(journal: Journal, from: number, batches: number): Promise<number> {
    for (let batch = 0; batch < batches; batch++) {
      journal.append(bulky(from + batch * 1000, 1000));
      await committed(journal, from + batch * 1000 + 999);
    }
    return from + batches * 1000 - 1;
  }

  test("drops whole segments, oldest first, tells each range once and keeps every act", async () => {
    const journal = await openOrFail(place.folder, { bytesMax: BYTES_MAX });
    const losses: Loss[] = [];
    journal.onLoss((loss) => losses.push(loss));
    const last = await overfill(journal, 1, 30);
    await new Promise((resolve) => setTimeout(resolve, 1100));
    journal.append([observationOf({ seq: last + 1 })]);
    await committed(journal, last + 1);
    await until("something was dropped", () => losses.length >= 2);
    // The last dropping follows the last commit.
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(losses.map((loss) => loss.why)).toEqual(losses.map(() => "byte-budget"));
    expect(losses[0]?.fromSeq).toBe(1);
    for (const [index, loss] of losses.entries()) {
      // An act may lie between two segments.
      const endedBefore = losses[index - 1]?.toSeq ?? 0;
      expect([endedBefore + 1, endedBefore + 2]).toContain(loss.fromSeq);
      expect(loss.count).toBeGreaterThan(900);
      expect(loss.count).toBeLessThanOrEqual(loss.toSeq - loss.fromSeq + 1);
    }
    const lost = losses.at(-1)?.toSeq ?? 0;
    const seqs = (await readAll(journal)).map((record) => record.seq as number);
    const acts = Array.from({ length: Math.floor(last / 1000) }, (_, index) => (index + 1) * 1000);
    expect(seqs.filter((number) => number <= lost)).toEqual(acts.filter((number) => number <= lost));
    expect(seqs.filter((number) => number > lost)).toHaveLength(last + 1 - lost);
    expect(journal.stats().bytesOnDisk).toBeLessThanOrEqual(BYTES_MAX);
    await journal.close();
  });

  test("a loss is told again after a restart until it has become a record, and then no more", async () => {
    const first = await openOrFail(place.folder, { bytesMax: BYTES_MAX });
    const last = await overfill(first, 1, 25);
    await first.close();
    const second = await openOrFail(place.folder, { bytesMax: 400_000 });
    const owed: Loss[] = [];
    second.onLoss((loss) => owed.push(loss));
    await until("losses are told", () => owed.length > 0);
    await second.close();
    const third = await openOrFail(place.folder, { bytesMax: BYTES_MAX });
    const again: Loss[] = [];
    third.onLoss((loss) => again.push(loss));
    expect(again).toEqual(owed);
    third.append(
      owed.map((loss, index) => ({
        kind: "loss",
        seq: seq(last + 1 + index),
        atMs: actOf({ seq: 1 }).atMs,
        ...loss,
      })),
    );
    await third.close();
    const fourth = await openOrFail(place.folder, { bytesMax: BYTES_MAX });
    fourth.onLoss((loss) => again.push(loss));
    expect(again).toEqual(owed);
    await fourth.close();
  });
});

test("a disk that is taken away and comes back: failing in between, nothing said committed meanwhile, nothing missing", async () => {
  const journal = await openOrFail(place.folder);
  const states: string[] = [];
  journal.onHealth((health) => states.push(health.state === "failing" ? health.fault.code : health.state));
  journal.append([observationOf({ seq: 1 }), alertOf({ seq: 2, id: "a" })]);
  await committed(journal, 2);
  renameSync(place.folder, `${place.folder}.away`);
  journal.append([observationOf({ seq: 3 }), alertOf({ seq: 4, id: "b" })]);
  await until("the journal says so", () => states.length > 0);
  journal.append([observationOf({ seq: 5 })]);
  await new Promise((resolve) => setTimeout(resolve, 1300));
  expect(journal.committedSeq()).toBe(2);
  expect(existsSync(place.folder) ? readdirSync(place.folder) : []).toEqual([]);
  renameSync(`${place.folder}.away`, place.folder);
  await committed(journal, 5);
  expect(states).toEqual(["journal-write-failed", "working"]);
  expect((await readAll(journal)).map((record) => record.seq as number)).toEqual([1, 2, 3, 4, 5]);
  await journal.close();
  expect(readdirSync(place.folder)).toContain("kept.sqlite");
  expect(existsSync(join(place.folder, "lock.pid"))).toBe(false);
});

test("a disk that neither takes a commit nor refuses it is told after its time, and is well again with the commit", async () => {
  const clock = createSimulatedClock();
  const disk = { fsyncMs: 1500, slowFsyncMs: 1500, slowShare: 0, seed: 1 };
  const journal = await openOrFail(place.folder, { clock, simulatedDisk: disk });
  const states: string[] = [];
  journal.onHealth((health) => states.push(health.state === "failing" ? health.fault.code : health.state));
  journal.append([alertOf({ seq: 1, id: "a" })]);
  await clock.advance(LIMITS.journalCommitMsMax.value - 1);
  expect([states, journal.committedSeq()]).toEqual([[], 0]);
  await clock.advance(2);
  expect([states, journal.committedSeq()]).toEqual([["journal-write-failed"], 0]);
  await committed(journal, 1);
  expect(states).toEqual(["journal-write-failed", "working"]);
  await clock.advance(LIMITS.journalCommitMsMax.value * 2);
  expect(states).toEqual(["journal-write-failed", "working"]);
  await journal.close();
});
