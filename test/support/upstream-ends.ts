import { type Receiver, type ReceiverArrival, startReceiver } from "../../simulator/receiver.ts";
import { createSystemClock } from "../../src/clock.ts";
import type { Fault } from "../../src/core/errors.ts";
import type { Seq } from "../../src/core/ids.ts";
import type { Journal, MqttServer } from "../../src/core/ports.ts";
import { succeed } from "../../src/core/result.ts";
import type { ReceiptMessage } from "../../src/core/upstream.ts";
import { connectMqtt } from "../../src/mqtt/connection.ts";
import { createMqttSink } from "../../src/sinks/mqtt.ts";
import { type Outbox, startOutbox } from "../../src/sinks/outbox.ts";
import type { ReaderLoss } from "../../src/sinks/reader-losses.ts";
import { hurry } from "./upstream-records.ts";

/** The sending end: a real sink and outbox over a journal, and everything they said. */
export interface SendingEnd {
  readonly outbox: Outbox;
  /** Every word about the outage, in order. */
  readonly faults: (Fault | null)[];
  readonly receiptFaults: (Fault | null)[];
  readonly receipts: ReceiptMessage[];
  readonly incidents: Fault[];
  /** Losses of this reader that were stated. */
  readonly losses: ReaderLoss[];
  readonly stop: () => Promise<void>;
}

/** Starts a gateway's sending end. Waits run `factor` times as fast as in a ward. */
export function startSending(of: {
  readonly server: MqttServer;
  readonly journal: Journal;
  readonly factor?: number;
  /** The last number given, where it is not the last one on disk. */
  readonly lastSeq?: () => Seq;
  /** Makes a loss a record; left out: it becomes none. */
  readonly stateLoss?: (loss: ReaderLoss) => Seq;
  /** What becomes of a receipt; left out: it is thanked for at once. */
  readonly onReceipt?: (receipt: ReceiptMessage, thank: () => void) => void;
}): SendingEnd {
  const clock = hurry(createSystemClock(), of.factor ?? 5);
  const faults: (Fault | null)[] = [];
  const receiptFaults: (Fault | null)[] = [];
  const receipts: ReceiptMessage[] = [];
  const incidents: Fault[] = [];
  const losses: ReaderLoss[] = [];
  const stop = new AbortController();
  const sink = createMqttSink(
    { ...of.server, name: "hospital", topicPrefix: "vigil", gatewayId: "ward-3", epoch: of.journal.epoch },
    {
      clock,
      textOf: (alert) => ({ en: `Oxygen saturation low ${alert.seq}`, zh: `血氧低 ${alert.seq}` }),
      placeOf: (bed) => (bed === "bed-2" ? { bed: "2-1", room: "2", ward: null } : null),
      heartbeat: () => ({ committedSeq: of.journal.committedSeq(), state: "working" }),
      lastSeq: of.lastSeq ?? of.journal.committedSeq,
      onReceipt: (receipt, thank) => {
        receipts.push(receipt);
        if (of.onReceipt === undefined) thank();
        else of.onReceipt(receipt, thank);
      },
      onFault: (reason) => void receiptFaults.push(reason),
    },
  );
  const outbox = startOutbox({
    name: "upstream:hospital",
    gatewayId: "ward-3",
    journal: of.journal,
    sink,
    clock,
    random: () => 0.5,
    stop: stop.signal,
    onFault: (reason) => void faults.push(reason),
    stateLoss: (loss) => {
      losses.push(loss);
      return of.stateLoss?.(loss) ?? of.journal.committedSeq();
    },
    onIncident: (incident) => void incidents.push(incident),
  });
  return {
    outbox,
    faults,
    receiptFaults,
    receipts,
    incidents,
    losses,
    stop: async () => {
      stop.abort();
      await outbox.finished;
    },
  };
}

/** One record as it came over the wire, in order of arrival. */
export interface Arrived {
  readonly key: string;
  readonly seq: number;
  readonly kind: string;
  readonly resent: boolean;
  readonly durable: boolean | null;
}

/** The receiving end: the demonstration's receiver with a persistent session, and every single arrival. */
export interface ReceivingEnd {
  readonly receiver: Receiver;
  readonly arrived: Arrived[];
  readonly messages: { readonly topic: string; readonly retained: boolean; readonly body: Readonly<Record<string, unknown>> }[];
  readonly lines: string[];
  /** Sequence numbers that came, each once, in rising order. */
  readonly seqs: () => readonly number[];
}

/** Starts a receiver. */
export function startReceiving(of: {
  readonly server: MqttServer;
  readonly factor?: number;
  readonly acceptAfterMs?: number | null;
  readonly recordFile?: string;
}): ReceivingEnd {
  const clock = hurry(createSystemClock(), of.factor ?? 10);
  const arrived: Arrived[] = [];
  const messages: ReceivingEnd["messages"] = [];
  const lines: string[] = [];
  const note = (arrival: ReceiverArrival) => {
    const body = JSON.parse(Buffer.from(arrival.payload).toString("utf8"));
    messages.push({ topic: arrival.topic, retained: arrival.retained, body });
    const records = body.format === "vigil.batch/1" ? body.records : body.format === "vigil.record/1" ? [body] : [];
    for (const { key } of records) {
      const durable = typeof body.durable === "boolean" ? body.durable : null;
      arrived.push({ key, seq: Number(key.split("/").at(-1)), kind: body.kind, resent: body.resent, durable });
    }
  };
  const receiver = startReceiver(
    { name: "nurse-station", topicPrefix: "vigil", acceptAfterMs: of.acceptAfterMs ?? 100, recordFile: of.recordFile ?? null },
    {
      connect: async (onMessage, stop) => {
        const session = { clientId: "nurse-station", sessionExpirySeconds: 3600, will: null };
        const opened = await connectMqtt(of.server, session, {
          clock,
          stop,
          onMessage: (arrival) => {
            note(arrival);
            onMessage(arrival);
          },
        });
        return opened.ok ? succeed(opened.value) : opened;
      },
      clock,
      random: () => 0.5,
      print: (line) => void lines.push(line),
    },
  );
  const seqs = () => [...new Set(arrived.map((record) => record.seq))].sort((left, right) => left - right);
  return { receiver, arrived, messages, lines, seqs };
}

/** Arrivals of a key after its first that are not marked; must be empty. */
export function unmarkedDuplicates(arrived: readonly Arrived[]): readonly Arrived[] {
  const known = new Set<string>();
  return arrived.filter((record) => {
    const again = known.has(record.key);
    known.add(record.key);
    return again && !record.resent;
  });
}

/** Whole numbers from one to another, both included. */
export function numbers(from: number, to: number): readonly number[] {
  return Array.from({ length: to - from + 1 }, (_, index) => from + index);
}
