import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { createMemoryJournal, type MemoryJournal } from "../simulator/world/memory-journal.ts";
import { createSimulatedClock } from "../simulator/world/simulated-clock.ts";
import { createSystemClock } from "../src/clock.ts";
import type { Fault } from "../src/core/errors.ts";
import { type Seq, seq } from "../src/core/ids.ts";
import { LIMITS } from "../src/core/limits.ts";
import type { Journal } from "../src/core/ports.ts";
import type { Receipt } from "../src/core/record.ts";
import type { ReceiptMessage } from "../src/core/upstream.ts";
import { openJournal } from "../src/journal/journal.ts";
import { connectMqtt, type MqttConnection } from "../src/mqtt/connection.ts";
import { openReceiptBook } from "../src/sinks/receipt-book.ts";
import { type Mosquitto, mosquittoIsMissing, prepareMosquitto } from "./support/mosquitto.ts";
import { until } from "./support/until.ts";
import { numbers, startSending } from "./support/upstream-ends.ts";
import { alertAt, observationAt } from "./support/upstream-records.ts";

const cleanups: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

const READER = "upstream:hospital";

/** A book over a journal, as the gateway opens it; numbers go on after the journal's. */
function openBook(journal: MemoryJournal | Journal, clock = createSystemClock()) {
  let last: number = journal.leftOutAtOpen?.to ?? journal.lastSeqAtOpen;
  const faults: (Fault | null)[] = [];
  const recorded: Receipt[] = [];
  const stop = new AbortController();
  const give = (): Seq => seq(++last);
  const book = openReceiptBook({
    reader: READER,
    journal,
    clock,
    record: ({ key, state, by }) => {
      const receipt: Receipt = { kind: "receipt", seq: give(), atMs: clock.wall(), of: key, reader: READER, state, by };
      recorded.push(receipt);
      journal.append([receipt]);
      return receipt.seq;
    },
    onFault: (reason) => void faults.push(reason),
    stop: stop.signal,
  });
  return { book, faults, recorded, stop, give, lastSeq: () => seq(last) };
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

async function receiptsIn(journal: Journal): Promise<readonly string[]> {
  const records = await journal.read({ afterSeq: seq(0), limit: 1000, kinds: ["receipt"] });
  return records.flatMap((record) => (record.kind === "receipt" ? [`${record.of} ${record.state} ${record.by}`] : []));
}

describe("the book of receipts", () => {
  const receipt = (number: number, state: ReceiptMessage["state"] = "received"): ReceiptMessage => ({
    key: `ward-3/e/${number}`,
    state,
    by: "nurse Li",
  });

  test("thanks after the commit, not before", async () => {
    const journal = createMemoryJournal();
    const { book } = openBook(journal);
    await turn();
    journal.setCommitting(false);
    let thanks = 0;
    book.take(receipt(1), () => (thanks += 1));
    await turn();
    expect(thanks).toBe(0);
    journal.commit();
    expect(thanks).toBe(1);
  });

  test("what comes twice is one record and gets two thanks; another state or name is another receipt", async () => {
    const journal = createMemoryJournal();
    const { book, recorded } = openBook(journal);
    await turn();
    journal.setCommitting(false);
    let thanks = 0;
    const thank = () => (thanks += 1);
    book.take(receipt(1), thank);
    book.take(receipt(1), () => (thanks += 10));
    journal.commit();
    book.take(receipt(1), () => (thanks += 100));
    expect(thanks).toBe(111);
    book.take(receipt(1, "accepted"), thank);
    book.take({ ...receipt(1), by: "nurse Wu" }, thank);
    book.take(receipt(2), thank);
    journal.commit();
    expect(recorded.map(({ of, state, by }) => [of, state, by])).toEqual([
      ["ward-3/e/1", "received", "nurse Li"],
      ["ward-3/e/1", "accepted", "nurse Li"],
      ["ward-3/e/1", "received", "nurse Wu"],
      ["ward-3/e/2", "received", "nurse Li"],
    ]);
  });

  test("one that came before a crash of a billion numbers is known after it, among thousands", async () => {
    const first = createMemoryJournal();
    const { give } = openBook(first);
    for (const number of numbers(1, 3000)) {
      const { key, state, by } = receipt(number);
      first.append([{ kind: "receipt", seq: give(), atMs: createSystemClock().wall(), of: key, reader: READER, state, by }]);
      if (number % 3 === 0) first.append([observationAt(give())]);
    }
    await turn();
    const journal = first.reopen();
    const { book, recorded } = openBook(journal);
    let thanks = 0;
    for (const number of [3000, 2999, 2501]) book.take(receipt(number), () => (thanks += 1));
    await turn();
    await turn();
    expect(thanks, "what waited while the journal was asked is thanked for").toBe(3);
    expect(recorded).toEqual([]);
    book.take(receipt(3001), () => (thanks += 1));
    await turn();
    expect([recorded.length, thanks]).toEqual([1, 4]);
  });

  test("over the burst they are taken at their pace, told once, and none is left out", async () => {
    const clock = createSimulatedClock();
    const journal = createMemoryJournal();
    const { book, recorded, faults } = openBook(journal, clock);
    await turn();
    const perSecond = LIMITS.upstreamReceiptsPerSecondMax.value;
    let thanks = 0;
    for (const number of numbers(1, perSecond * 10 + 300)) {
      book.take(receipt(number), () => (thanks += 1));
      if (number % 500 === 0) await turn();
    }
    expect(recorded.length).toBe(perSecond * 10);
    expect(faults).toMatchObject([{ code: "upstream-receipts-many" }]);
    await clock.advance(1000);
    expect(recorded.length).toBeGreaterThanOrEqual(perSecond * 11 - 1);
    expect(recorded.length).toBeLessThanOrEqual(perSecond * 11 + 1);
    await clock.advance(20_000);
    await turn();
    expect([recorded.length, thanks]).toEqual([perSecond * 10 + 300, perSecond * 10 + 300]);
    expect(faults.at(-1)).toBeNull();
    expect(faults).toHaveLength(2);
  });

  test("so many wait for a disk and no more; what is over is not thanked and comes again", async () => {
    const journal = createMemoryJournal();
    const { book, recorded } = openBook(journal);
    await turn();
    journal.setCommitting(false);
    const most = LIMITS.upstreamReceiptsWaitingMax.value;
    const thanked = new Set<number>();
    for (const number of numbers(1, most + 1)) book.take(receipt(number), () => thanked.add(number));
    expect(recorded).toHaveLength(most);
    journal.setCommitting(true);
    expect(thanked.size).toBe(most);
    expect(thanked.has(most + 1)).toBe(false);
  });

  test("after the stop nothing is recorded and nobody thanked", async () => {
    const journal = createMemoryJournal();
    const { book, recorded, stop } = openBook(journal);
    await turn();
    stop.abort();
    let thanks = 0;
    book.take(receipt(1), () => (thanks += 1));
    await turn();
    expect([recorded.length, thanks]).toEqual([0, 0]);
  });
});

async function broker(): Promise<Mosquitto> {
  const prepared = await prepareMosquitto([
    "allow_anonymous true",
    "persistence true",
    "persistence_location FOLDER/",
    "max_inflight_messages 0",
  ]);
  cleanups.push(prepared.remove);
  await prepared.start();
  return prepared;
}

const serverOf = (mosquitto: Mosquitto, version: 4 | 5) =>
  ({ url: `mqtt://127.0.0.1:${mosquitto.port}`, protocolVersion: version }) as const;

async function nurse(mosquitto: Mosquitto): Promise<MqttConnection> {
  const session = { clientId: "nurse-station", sessionExpirySeconds: 0, will: null };
  const stop = new AbortController().signal;
  const parts = { clock: createSystemClock(), stop, onMessage: () => {} };
  const connected = await connectMqtt(serverOf(mosquitto, 5), session, parts);
  if (!connected.ok) throw new Error(connected.error.code);
  cleanups.push(connected.value.close);
  return connected.value;
}

async function say(connection: MqttConnection, receipt: ReceiptMessage): Promise<void> {
  const payload = JSON.stringify(receipt);
  await connection.publish({ topic: "vigil/ward-3/receipts", payload, retain: false, urgent: false, properties: null });
}

/** A gateway's sending end with its book. `kill` is the end of a process: no good-bye to the journal. */
function startLife(of: { readonly mosquitto: Mosquitto; readonly journal: Journal; readonly version: 4 | 5 }) {
  const { book, recorded, stop, lastSeq, give } = openBook(of.journal);
  const server = serverOf(of.mosquitto, of.version);
  const sending = startSending({ server, journal: of.journal, lastSeq, onReceipt: book.take });
  const kill = async () => {
    stop.abort();
    await sending.stop();
  };
  cleanups.push(kill);
  return { sending, recorded, kill, give };
}

describe.skipIf(mosquittoIsMissing)("receipts over mosquitto", () => {
  for (const version of [5, 4] as const) {
    test(`MQTT ${version}: a receipt that was not on disk when the gateway died comes again and is recorded once; one that was does not`, async () => {
      const mosquitto = await broker();
      const journal = createMemoryJournal();
      const first = startLife({ mosquitto, journal, version });
      journal.append([alertAt(first.give()), alertAt(first.give()), alertAt(first.give())]);
      await until("it is connected", () => first.sending.outbox.view().state === "connected");
      const station = await nurse(mosquitto);
      const key = (number: number) => `ward-3/${journal.epoch}/${number}`;
      await say(station, { key: key(1), state: "seen", by: "nurse Li" });
      await until("the first is on disk", () => journal.committedSeq() === 4);
      journal.setCommitting(false);
      await say(station, { key: key(2), state: "accepted", by: "nurse Li" });
      await say(station, { key: key(3), state: "refused", by: "nurse Li" });
      await until("both have come", () => first.recorded.length === 3);
      await new Promise((resolve) => setTimeout(resolve, 300));
      await first.kill();

      const again = journal.reopen();
      const second = startLife({ mosquitto, journal: again, version });
      await until("both have come again", () => second.recorded.length === 2);
      await new Promise((resolve) => setTimeout(resolve, 300));
      expect(await receiptsIn(again)).toEqual([
        `${key(1)} seen nurse Li`,
        `${key(2)} accepted nurse Li`,
        `${key(3)} refused nurse Li`,
      ]);
      await second.kill();
      const third = startLife({ mosquitto, journal: again.reopen(), version });
      await until("it is connected", () => third.sending.outbox.view().state === "connected");
      await new Promise((resolve) => setTimeout(resolve, 300));
      expect(third.recorded, "thanked for, it does not come a third time").toEqual([]);
    });
  }

  test("receipts that wait for the disk hold up neither alerts nor the connection", async () => {
    const mosquitto = await broker();
    const journal = createMemoryJournal();
    const life = startLife({ mosquitto, journal, version: 5 });
    journal.append([alertAt(life.give())]);
    await until("the alert has gone", () => life.sending.outbox.view().sentCount + life.sending.outbox.view().resentCount === 1);
    const station = await nurse(mosquitto);
    journal.setCommitting(false);
    for (const number of numbers(1, 50))
      await say(station, { key: `ward-3/${journal.epoch}/1`, state: "seen", by: `nurse ${number}` });
    await until("they have come", () => life.recorded.length === 50);
    const alert = alertAt(life.give());
    journal.append([alert]);
    life.sending.outbox.urgent(alert);
    await until("the alert is confirmed", () => life.sending.outbox.view().sentCount >= 1, 3_000);
    await new Promise((resolve) => setTimeout(resolve, 1200));
    expect(life.sending.faults).toEqual([]);
    expect(life.sending.outbox.view().state).toBe("connected");
    journal.setCommitting(true);
    const again = startLife({ mosquitto, journal: createMemoryJournal(), version: 5 });
    await until("the session was taken over and nothing was left", () => again.sending.outbox.view().state === "connected");
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(again.recorded).toEqual([]);
  });

  test("a flood beyond what may wait is left to the server and all of it is recorded once the disk writes again", async () => {
    const mosquitto = await broker();
    const journal = createMemoryJournal();
    const life = startLife({ mosquitto, journal, version: 4 });
    journal.append([alertAt(life.give())]);
    await until("it is connected", () => life.sending.outbox.view().state === "connected");
    const station = await nurse(mosquitto);
    journal.setCommitting(false);
    const count = LIMITS.upstreamReceiptsWaitingMax.value + 60;
    const key = `ward-3/${journal.epoch}/1`;
    await Promise.all(numbers(1, count).map((number) => say(station, { key, state: "seen", by: `nurse ${number}` })));
    await until("as many as may wait have come", () => life.recorded.length === LIMITS.upstreamReceiptsWaitingMax.value);
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(life.recorded.length).toBe(LIMITS.upstreamReceiptsWaitingMax.value);
    journal.setCommitting(true);
    await until("the rest has come again", () => life.recorded.length === count, 15_000);
    expect(new Set(life.recorded.map(({ by }) => by)).size).toBe(count);
  });

  test("receipts about nothing here are refused, counted, told, and do not come again", async () => {
    const mosquitto = await broker();
    const journal = createMemoryJournal();
    const life = startLife({ mosquitto, journal, version: 5 });
    journal.append([alertAt(life.give())]);
    await until("it is connected", () => life.sending.outbox.view().state === "connected");
    const station = await nurse(mosquitto);
    for (const key of [`ward-3/another-epoch/1`, `ward-3/${journal.epoch}/99999999`, `ward-4/${journal.epoch}/1`])
      await say(station, { key, state: "seen", by: "nurse Li" });
    await say(station, { key: `ward-3/${journal.epoch}/1`, state: "seen", by: "nurse Li" });
    await until("the good one came", () => life.recorded.length === 1);
    expect(life.sending.receiptFaults).toMatchObject([
      { code: "upstream-receipt-unknown", facts: { problem: "other-epoch", count: 1 } },
    ]);
    await life.kill();
    const again = startLife({ mosquitto, journal: journal.reopen(), version: 5 });
    await until("it is connected", () => again.sending.outbox.view().state === "connected");
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(again.sending.receiptFaults).toEqual([]);
    expect(again.recorded).toEqual([]);
  });

  test("over the real journal: each of 180 receipts is there once after three lives, some killed before the disk had them", async () => {
    const mosquitto = await broker();
    const folder = await mkdtemp(join(tmpdir(), "vigil-receipts-"));
    cleanups.push(() => rm(folder, { recursive: true, force: true }));
    const open = async () => {
      const opened = await openJournal({ folder, gatewayId: "ward-3", bytesMax: 100_000_000, clock: createSystemClock() });
      if (!opened.ok) throw new Error(JSON.stringify(opened.error));
      return opened.value;
    };
    const station = await nurse(mosquitto);
    let journal = await open();
    let life = startLife({ mosquitto, journal, version: 5 });
    journal.append([alertAt(life.give())]);
    await until("it is connected", () => life.sending.outbox.view().state === "connected");
    const key = `ward-3/${journal.epoch}/1`;
    for (let round = 0; round < 3; round++) {
      const said = numbers(1, 60).map((number) =>
        say(station, { key, state: number % 2 === 0 ? "seen" : "received", by: `nurse ${round}-${Math.ceil(number / 2)}` }),
      );
      if (round % 2 === 0) await Promise.all(said);
      await new Promise((resolve) => setTimeout(resolve, 40 * round));
      // The process ends here: thanks that were due are not given, and the journal is opened anew.
      await life.kill();
      await Promise.all(said);
      await journal.close();
      journal = await open();
      life = startLife({ mosquitto, journal, version: 5 });
      const { outbox } = life.sending;
      await until("it is connected", () => outbox.view().state === "connected");
    }
    const all = async () => (await receiptsIn(journal)).length;
    for (let waited = 0; waited < 100 && (await all()) < 180; waited++) await new Promise((resolve) => setTimeout(resolve, 50));
    const receipts = await receiptsIn(journal);
    expect(receipts.length).toBe(180);
    expect(new Set(receipts).size).toBe(180);
    await life.kill();
    await journal.close();
  });
});
