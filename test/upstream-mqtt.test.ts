import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { createMemoryJournal, type MemoryJournal } from "../simulator/world/memory-journal.ts";
import { createSystemClock } from "../src/clock.ts";
import { seq } from "../src/core/ids.ts";
import { openJournal } from "../src/journal/journal.ts";
import { connectMqtt } from "../src/mqtt/connection.ts";
import type { ReaderLoss } from "../src/sinks/reader-losses.ts";
import { type Mosquitto, mosquittoIsMissing, prepareMosquitto } from "./support/mosquitto.ts";
import { until } from "./support/until.ts";
import { numbers, startReceiving, startSending, unmarkedDuplicates } from "./support/upstream-ends.ts";
import { actAt, alertAt, observationAt } from "./support/upstream-records.ts";

const cleanups: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function broker(lines: readonly string[] = ["allow_anonymous true"]): Promise<Mosquitto> {
  const prepared = await prepareMosquitto(lines);
  cleanups.push(prepared.remove);
  return prepared;
}

function ends(of: { mosquitto: Mosquitto; journal: MemoryJournal; version?: 4 | 5; recordFile?: string }) {
  const server = { url: `mqtt://127.0.0.1:${of.mosquitto.port}`, protocolVersion: of.version ?? 5 } as const;
  const receiving = startReceiving({ server, ...(of.recordFile === undefined ? {} : { recordFile: of.recordFile }) });
  cleanups.push(receiving.receiver.close);
  const sending = () => {
    const started = startSending({ server, journal: of.journal });
    cleanups.push(started.stop);
    return started;
  };
  return { server, receiving, sending };
}

describe.skipIf(mosquittoIsMissing)("upstream against mosquitto", () => {
  for (const version of [5, 4] as const) {
    test(`MQTT ${version}: alerts, acts and observations arrive once, and receipts come back`, async () => {
      const mosquitto = await broker();
      await mosquitto.start();
      const folder = await mkdtemp(join(tmpdir(), "vigil-receiver-"));
      cleanups.push(() => rm(folder, { recursive: true }));
      const recordFile = join(folder, "received.jsonl");
      const journal = createMemoryJournal();
      const { receiving, sending } = ends({ mosquitto, journal, version, recordFile });
      await until("the receiver is connected", () => receiving.receiver.view().connected);
      const { outbox, receipts, faults } = sending();
      await until("the outbox is connected", () => outbox.view().state === "connected");

      journal.append([observationAt(1), observationAt(2), actAt(3)]);
      const alert = alertAt(4);
      journal.append([alert]);
      outbox.urgent(alert);
      const key = `ward-3/${journal.epoch}/4`;
      await until("the alert is accepted", () => receipts.some((receipt) => receipt.state === "accepted"));
      await until("all have come", () => receiving.seqs().length === 4);
      await until("all are confirmed", () => outbox.view().sentCount === 4);

      expect(receipts).toEqual([
        { key, state: "received", by: "nurse-station" },
        { key, state: "accepted", by: "nurse-station" },
      ]);
      expect(receiving.arrived.map(({ seq }) => seq).sort()).toEqual([1, 2, 3, 4]);
      expect(receiving.arrived.filter(({ resent }) => resent)).toEqual([]);
      const body = receiving.messages.find((message) => message.topic === "vigil/ward-3/alerts")?.body;
      expect(body).toEqual({
        format: "vigil.record/1",
        key,
        kind: "alert",
        resent: false,
        durable: true,
        record: JSON.parse(JSON.stringify(alert)),
        codes: { mdc: 150456, loinc: "59408-5", unit: "%" },
        text: { en: "Oxygen saturation low 4", zh: "血氧低 4" },
        place: { bed: "2-1", room: "2", ward: null },
        receipts: "vigil/ward-3/receipts",
      });
      const state = receiving.messages.find((message) => message.topic === "vigil/ward-3/state")?.body;
      expect(state).toMatchObject({ state: "online", gatewayId: "ward-3", epoch: journal.epoch });
      await until("a heartbeat came", () => receiving.messages.some(({ topic }) => topic === "vigil/ward-3/heartbeat"));
      await until("an alert is accepted", () => receiving.lines.some((line) => line.startsWith(`alert accepted   ${key}`)));
      expect(faults).toEqual([]);
      await receiving.receiver.close();
      const written = (await readFile(recordFile, "utf8")).trim().split("\n");
      const rows: { key: string; kind: string; seq: number }[] = written.map((line) => JSON.parse(line));
      expect(rows.map(({ kind, seq }) => `${kind} ${seq}`).sort()).toEqual([
        "act 3",
        "alert 4",
        "observation 1",
        "observation 2",
      ]);
    });
  }

  test("an independent client sees response topic, correlation data, user properties and the retained state", async () => {
    const mosquitto = await broker();
    await mosquitto.start();
    const journal = createMemoryJournal();
    const { sending } = ends({ mosquitto, journal });
    const { outbox, stop } = sending();
    await until("the outbox is connected", () => outbox.view().state === "connected");
    const format = "%t|%R|%D|%P|%r|%p";
    const common = ["-h", "127.0.0.1", "-p", String(mosquitto.port), "-V", "mqttv5", "-W", "8", "-F", format];
    const seen = output("mosquitto_sub", [...common, "-C", "1", "-t", "vigil/ward-3/alerts"]);
    const state = output("mosquitto_sub", [...common, "-C", "1", "-t", "vigil/ward-3/state"]);
    expect(await state).toContain('"state":"online"');
    await new Promise((resolve) => setTimeout(resolve, 300));
    journal.append([alertAt(1)]);
    const key = `ward-3/${journal.epoch}/1`;
    const [topic, response, correlation, properties] = (await seen).split("|");
    expect([topic, response, correlation]).toEqual(["vigil/ward-3/alerts", "vigil/ward-3/receipts", key]);
    expect(properties).toContain(`key:${key}`);
    expect(properties).toContain("kind:alert");
    expect(properties).toContain("resent:false");
    await stop();
    const after = await output("mosquitto_sub", [...common, "-C", "1", "-t", "vigil/ward-3/state"]);
    expect(after, "a stop says good-bye itself").toContain('"state":"offline"');
    expect(after.split("|")[4], "the state is retained").toBe("1");
  });

  test("a receipt that cannot be read is told once and harms nothing", async () => {
    const mosquitto = await broker();
    await mosquitto.start();
    const journal = createMemoryJournal();
    const { server, sending } = ends({ mosquitto, journal });
    const { outbox, receipts, receiptFaults } = sending();
    await until("the outbox is connected", () => outbox.view().state === "connected");
    const session = { clientId: "stranger", sessionExpirySeconds: 0, will: null };
    const stop = new AbortController().signal;
    const stranger = await connectMqtt(server, session, { clock: createSystemClock(), stop, onMessage: () => {} });
    if (!stranger.ok) throw new Error(stranger.error.code);
    cleanups.push(stranger.value.close);
    journal.append(numbers(1, 7).map(observationAt));
    const key = `ward-3/${journal.epoch}/7`;
    const payloads = ["{", `{"key":"${key}","state":"eaten","by":"x"}`, `{"key":"${key}","state":"seen","by":"nurse Li"}`];
    for (const payload of payloads) {
      await stranger.value.publish({ topic: "vigil/ward-3/receipts", payload, retain: false, urgent: false, properties: null });
    }
    await until("the good one came", () => receipts.length === 1);
    expect(receipts).toEqual([{ key, state: "seen", by: "nurse Li" }]);
    expect(receiptFaults).toEqual([{ code: "upstream-receipt-unreadable", facts: { problem: "not-json", count: 1 } }]);
  });

  test("a server that is down at start gets everything when it comes up, after one fault", async () => {
    const mosquitto = await broker();
    const journal = createMemoryJournal();
    const { receiving, sending } = ends({ mosquitto, journal });
    journal.append(numbers(1, 30).map(observationAt));
    const { outbox, faults } = sending();
    await until("the outage is told", () => faults.length > 0);
    const alert = alertAt(31);
    journal.append([alert]);
    outbox.urgent(alert);
    await new Promise((resolve) => setTimeout(resolve, 700));
    expect(outbox.view()).toMatchObject({ state: "connecting", backlogRecords: 31, lastConfirmedAtMs: null });
    await mosquitto.start();
    await until("the receiver is connected", () => receiving.receiver.view().connected);
    await until("the backlog is confirmed", () => outbox.view().resentCount === 31);
    expect(faults.map((reason) => reason?.code ?? null)).toEqual(["upstream-unreachable", null]);
    expect(outbox.view()).toMatchObject({ state: "connected", backlogRecords: 0, rejectedCount: 0 });
  });

  test("a server killed in the middle of a stream and started again: nothing lost, what came twice is marked", async () => {
    const mosquitto = await broker(["allow_anonymous true", "persistence true", "persistence_location FOLDER/"]);
    await mosquitto.start();
    const journal = createMemoryJournal();
    const { receiving, sending } = ends({ mosquitto, journal });
    await until("the receiver is connected", () => receiving.receiver.view().connected);
    await mosquitto.signal("SIGUSR1");
    const { outbox, faults } = sending();
    await until("the outbox is connected", () => outbox.view().state === "connected");
    let next = 1;
    const stream = setInterval(() => {
      journal.append(numbers(next, next + 9).map((number) => (number % 50 === 0 ? alertAt(number) : observationAt(number))));
      if ((next + 9) % 50 === 0) outbox.urgent(alertAt(next + 9));
      next += 10;
    }, 20);
    cleanups.push(async () => clearInterval(stream));
    await until("a good part has come", () => receiving.seqs().length > 200);
    await mosquitto.signal("SIGKILL");
    await until("the outage is told", () => faults.length > 0);
    await mosquitto.start();
    await until("the outage is over", () => faults.at(-1) === null);
    await until("new records go out", () => outbox.view().backlogRecords === 0 && next > 1000, 15_000);
    clearInterval(stream);
    await until("everything has come", () => receiving.seqs().length === next - 1);
    expect(receiving.seqs()).toEqual(numbers(1, next - 1));
    expect(unmarkedDuplicates(receiving.arrived)).toEqual([]);
    expect(receiving.receiver.view()).toMatchObject({ recordCount: next - 1, unmarkedDuplicateCount: 0, unreadableCount: 0 });
    expect(receiving.arrived.some(({ resent }) => resent)).toBe(true);
    expect(faults.map((reason) => reason?.code ?? null)).toEqual(["upstream-unreachable", null]);
  });

  test("a server that hangs is told as slow, and gets everything when it goes on", async () => {
    const mosquitto = await broker();
    await mosquitto.start();
    const journal = createMemoryJournal();
    const { receiving, sending } = ends({ mosquitto, journal });
    await until("the receiver is connected", () => receiving.receiver.view().connected);
    const { outbox, faults } = sending();
    await until("the outbox is connected", () => outbox.view().state === "connected");
    journal.append(numbers(1, 20).map(observationAt));
    await until("the first have come", () => receiving.seqs().length === 20);
    await mosquitto.signal("SIGSTOP");
    journal.append([...numbers(21, 40).map(observationAt), alertAt(41)]);
    outbox.urgent(alertAt(41));
    await until("the outage is told", () => faults.length > 0);
    expect(faults[0]?.code).toBe("upstream-slow");
    await mosquitto.signal("SIGCONT");
    await until("the outage is over", () => faults.at(-1) === null, 15_000);
    await until("everything has come", () => receiving.seqs().length === 41, 15_000);
    expect(receiving.seqs()).toEqual(numbers(1, 41));
    expect(unmarkedDuplicates(receiving.arrived)).toEqual([]);
    expect(faults.map((reason) => reason?.code ?? null)).toEqual(["upstream-slow", null]);
  });

  test("a connection that was lost and stands again before anybody looked is still told", async () => {
    const mosquitto = await broker();
    await mosquitto.start();
    const journal = createMemoryJournal();
    const { server } = ends({ mosquitto, journal });
    const sending = startSending({ server, journal, factor: 1 });
    cleanups.push(sending.stop);
    await until("the outbox is connected", () => sending.outbox.view().state === "connected");
    await mosquitto.signal("SIGKILL");
    await mosquitto.start();
    await until("the outage is told", () => sending.faults.length > 0);
    await until("its end is told", () => sending.faults.length > 1);
    expect(sending.faults.map((reason) => reason?.code ?? null)).toEqual(["upstream-unreachable", null]);
  });

  test("of twenty publishes under way four places are for alerts: an alert leaves before the observations that wait", async () => {
    const mosquitto = await broker();
    await mosquitto.start();
    const server = { url: `mqtt://127.0.0.1:${mosquitto.port}`, protocolVersion: 5 } as const;
    const came: string[] = [];
    const connect = async (clientId: string) => {
      const opened = await connectMqtt(
        server,
        { clientId, sessionExpirySeconds: 0, will: null },
        {
          clock: createSystemClock(),
          stop: new AbortController().signal,
          onMessage: ({ payload }) => void came.push(Buffer.from(payload).toString()),
        },
      );
      if (!opened.ok) throw new Error(opened.error.code);
      cleanups.push(opened.value.close);
      return opened.value;
    };
    const observer = await connect("observer");
    await observer.subscribe(["t"]);
    const sender = await connect("sender");
    await mosquitto.signal("SIGSTOP");
    const say = (payload: string, urgent: boolean) =>
      sender.publish({ topic: "t", payload, retain: false, urgent, properties: null });
    const sent = numbers(1, 40).map((number) => say(`observation ${number}`, false));
    sent.push(say("alert", true));
    await new Promise((resolve) => setTimeout(resolve, 200));
    await mosquitto.signal("SIGCONT");
    expect((await Promise.all(sent)).every((result) => result.ok)).toBe(true);
    await until("all have come", () => came.length === 41);
    expect(came.indexOf("alert")).toBe(16);
  });

  test("an alert raised while a backlog of 6,000 drains overtakes it", async () => {
    const mosquitto = await broker();
    await mosquitto.start();
    const journal = createMemoryJournal();
    journal.append([...numbers(1, 5999).map(observationAt), alertAt(6000)]);
    const { receiving, sending } = ends({ mosquitto, journal });
    await until("the receiver is connected", () => receiving.receiver.view().connected);
    const { outbox } = sending();
    await until("the drain has begun", () => receiving.arrived.length > 500);
    const alert = alertAt(6001);
    const publishesBefore = receiving.messages.length;
    journal.append([alert]);
    outbox.urgent(alert);
    await until("the alert came", () => receiving.arrived.some(({ seq }) => seq === 6001));
    const publishesUntil = receiving.messages.findIndex(({ body }) => body["key"] === `ward-3/${journal.epoch}/6001`);
    expect(publishesUntil - publishesBefore, "publishes between raising and arriving").toBeLessThan(15);
    await until("the backlog is through", () => outbox.view().backlogRecords === 0, 15_000);
    await until("everything has come", () => receiving.seqs().length === 6001, 15_000);
    const place = (seq: number) => receiving.arrived.findIndex((record) => record.seq === seq);
    expect(place(6001)).toBeLessThan(place(5999));
    expect(place(6000), "the backlog's alert comes before its observations").toBeLessThan(200);
    expect(receiving.arrived.find(({ seq }) => seq === 6001)).toMatchObject({ resent: false, durable: true });
    expect(receiving.arrived.filter(({ seq, resent }) => seq <= 6000 && !resent)).toEqual([]);
    expect(receiving.arrived.length, "each came once").toBe(6001);
  });

  test("an alert does not wait for a disk that does not commit: it leaves undurable, once", async () => {
    const mosquitto = await broker();
    await mosquitto.start();
    const journal = createMemoryJournal();
    const { receiving, sending } = ends({ mosquitto, journal });
    await until("the receiver is connected", () => receiving.receiver.view().connected);
    const { outbox } = sending();
    await until("the outbox is connected", () => outbox.view().state === "connected");
    journal.setCommitting(false);
    const alert = alertAt(1);
    journal.append([alert]);
    outbox.urgent(alert);
    await until("the alert came", () => receiving.arrived.length === 1);
    expect(receiving.arrived[0]).toMatchObject({ seq: 1, resent: false, durable: false });
    journal.setCommitting(true);
    journal.append([observationAt(2)]);
    await until("the next record came", () => receiving.seqs().includes(2));
    expect(
      receiving.arrived.map(({ seq }) => seq),
      "its commit sends it no second time",
    ).toEqual([1, 2]);
  });

  test("over the real journal: killed server, stopped gateway, opened again; each key arrives, and none twice unmarked", async () => {
    const mosquitto = await broker(["allow_anonymous true", "persistence true", "persistence_location FOLDER/"]);
    await mosquitto.start();
    const folder = await mkdtemp(join(tmpdir(), "vigil-journal-"));
    cleanups.push(() => rm(folder, { recursive: true, force: true }));
    const open = async () => {
      const opened = await openJournal({ folder, gatewayId: "ward-3", bytesMax: 100_000_000, clock: createSystemClock() });
      if (!opened.ok) throw new Error(opened.error.code);
      return opened.value;
    };
    const server = { url: `mqtt://127.0.0.1:${mosquitto.port}`, protocolVersion: 5 } as const;
    const receiving = startReceiving({ server });
    cleanups.push(receiving.receiver.close);
    await until("the receiver is connected", () => receiving.receiver.view().connected);
    await mosquitto.signal("SIGUSR1");

    const journal = await open();
    const sending = startSending({ server, journal });
    await until("the outbox is connected", () => sending.outbox.view().state === "connected");
    for (const number of numbers(1, 500)) journal.append([number % 100 === 0 ? alertAt(number) : observationAt(number)]);
    sending.outbox.urgent(alertAt(500));
    await until("the first 500 came", () => receiving.seqs().length === 500);
    await mosquitto.signal("SIGKILL");
    for (const number of numbers(501, 900)) journal.append([observationAt(number)]);
    await until("the journal has them", () => journal.committedSeq() === 900);
    await sending.stop();
    await journal.close();

    await mosquitto.start();
    const again = await open();
    cleanups.push(again.close);
    expect(again.epoch).toBe(journal.epoch);
    const sendingAgain = startSending({ server, journal: again });
    cleanups.push(sendingAgain.stop);
    await until("the outbox is connected again", () => sendingAgain.outbox.view().state === "connected");
    again.append(numbers(901, 1000).map(observationAt));
    await until("all have come", () => receiving.seqs().length === 1000);
    expect(receiving.seqs()).toEqual(numbers(1, 1000));
    expect(unmarkedDuplicates(receiving.arrived)).toEqual([]);
    const resent = receiving.arrived.filter(({ resent }) => resent).map(({ seq }) => seq);
    expect(resent.length, "only what was open is sent again").toBeLessThan(600);
  });

  test("what is too large for the server is set aside with a loss record and not sent again after a crash; smaller batches of the rest arrive", async () => {
    const mosquitto = await broker(["allow_anonymous true", "max_packet_size 20000"]);
    await mosquitto.start();
    const journal = createMemoryJournal();
    const { server, receiving } = ends({ mosquitto, journal });
    await until("the receiver is connected", () => receiving.receiver.view().connected);
    const tooLarge = { ...alertAt(70), key: "x".repeat(30_000) };
    journal.append([...numbers(1, 69).map(observationAt), tooLarge, ...numbers(71, 100).map(observationAt)]);
    let next = 101;
    const send = (over: MemoryJournal) => {
      const stateLoss = (loss: ReaderLoss) => {
        const number = seq(next++);
        over.append([{ kind: "loss", seq: number, atMs: createSystemClock().wall(), ...loss }]);
        return number;
      };
      const started = startSending({ server, journal: over, stateLoss });
      cleanups.push(started.stop);
      return started;
    };
    const first = send(journal);
    await until("the rest has come", () => receiving.seqs().length === 99);
    await until("all is settled", () => first.outbox.view().backlogRecords === 0);
    expect(first.losses).toEqual([
      { fromSeq: 70, toSeq: 70, count: 1, what: "records", why: "receiver-refused", reader: "upstream:hospital" },
    ]);
    expect(first.incidents).toMatchObject([
      { code: "upstream-rejected", facts: { reasonCode: 149, fromSeq: 70, kind: "alert" } },
    ]);
    expect(first.faults).toEqual([]);
    await first.stop();
    // The cursors of the crashed life never reached the disk, but the loss did.
    const again = journal.reopen(new Map());
    next = (again.leftOutAtOpen?.to ?? 0) + 1;
    const second = send(again);
    await until("all is settled again", () => second.outbox.view().resentCount === 99);
    again.append([observationAt(next)]);
    await until("the new one came", () => receiving.seqs().includes(next));
    expect(second.losses).toEqual([]);
    expect(second.incidents).toEqual([]);
    expect(receiving.seqs()).toEqual([...numbers(1, 69), ...numbers(71, 100), next]);
  });

  test("a server that cuts the connection of whoever sends too much at once still gets everything, in smaller batches", async () => {
    const mosquitto = await broker(["allow_anonymous true", "message_size_limit 9000"]);
    await mosquitto.start();
    const journal = createMemoryJournal();
    journal.append([...numbers(1, 59).map(observationAt), alertAt(60)]);
    const { receiving, sending } = ends({ mosquitto, journal });
    await until("the receiver is connected", () => receiving.receiver.view().connected);
    const { outbox, losses } = sending();
    await until("everything has come", () => receiving.seqs().length === 60, 18_000);
    await until("it is confirmed", () => outbox.view().backlogRecords === 0);
    expect(losses).toEqual([]);
    expect(unmarkedDuplicates(receiving.arrived)).toEqual([]);
  });

  test("a topic the server forbids stops neither alerts nor the gateway, and nothing of it is lost", async () => {
    const mosquitto = await broker(["allow_anonymous true", "acl_file FOLDER/acl"]);
    const acl = join(mosquitto.folder, "acl");
    await writeFile(acl, "topic read #\ntopic write vigil/+/alerts\ntopic write vigil/+/heartbeat\ntopic write vigil/+/state\n");
    await mosquitto.start();
    const journal = createMemoryJournal();
    const { receiving, sending } = ends({ mosquitto, journal });
    await until("the receiver is connected", () => receiving.receiver.view().connected);
    const { outbox, faults } = sending();
    await until("the outbox is connected", () => outbox.view().state === "connected");
    journal.append([observationAt(1)]);
    await until("the trouble is told", () => faults.length > 0);
    for (const number of [2, 3, 4]) {
      journal.append([alertAt(number)]);
      outbox.urgent(alertAt(number));
      await until(`alert ${number} came`, () => receiving.seqs().includes(number));
    }
    expect(faults, JSON.stringify(faults)).toHaveLength(1);
    expect(faults.map((reason) => reason?.code ?? null)).toEqual(["upstream-denied"]);
    expect(outbox.view().rejectedCount).toBe(0);
    await writeFile(acl, "topic readwrite #\n");
    await mosquitto.signal("SIGHUP");
    await until("the observation came after all", () => receiving.seqs().includes(1), 15_000);
    await until("the trouble is over", () => faults.at(-1) === null);
  });
});

function output(program: string, args: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile(program, [...args], (error, stdout) => (error === null ? resolve(stdout) : reject(error)));
  });
}
