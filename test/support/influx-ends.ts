import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createSystemClock } from "../../src/clock.ts";
import type { Fault } from "../../src/core/errors.ts";
import { recordKey, type Seq, seq } from "../../src/core/ids.ts";
import type { Delivery, Journal } from "../../src/core/ports.ts";
import type { JournalRecord, Loss } from "../../src/core/record.ts";
import { wallMs } from "../../src/core/time.ts";
import { type AlertWords, leavesFor } from "../../src/core/upstream.ts";
import { openJournal } from "../../src/journal/journal.ts";
import { createInfluxSink, type InfluxSinkOptions } from "../../src/sinks/influx.ts";
import { influxLine } from "../../src/sinks/influx-lines.ts";
import { influxPoints } from "../../src/sinks/influx-points.ts";
import { type Outbox, startOutbox } from "../../src/sinks/outbox.ts";
import { type ParsedLine, parseLine, pointIdentity } from "./influx-line-parser.ts";
import { until } from "./until.ts";
import { hurry } from "./upstream-records.ts";

const INFLUX_READER = "upstream:history";
const GATEWAY = "ward-3";
const TEXT_OF: AlertWords = (alert) => ({ en: `Oxygen saturation low ${alert.seq}`, zh: `血氧低 ${alert.seq}` });

/** A gateway's journal and outbox with a real sink, and everything they said. */
export interface InfluxEnd {
  readonly journal: Journal;
  readonly outbox: Outbox;
  readonly faults: (Fault | null)[];
  readonly incidents: Fault[];
  readonly sinkFaults: Fault[];
  readonly losses: Loss[];
  /** Gives records their numbers, and hands them to the journal. */
  readonly append: (makers: readonly ((number: number) => JournalRecord)[]) => readonly JournalRecord[];
  /** All records made so far. */
  readonly records: readonly JournalRecord[];
  /** Resolves when nothing waits any more. */
  readonly drained: (withinMs?: number) => Promise<void>;
  readonly stop: () => Promise<void>;
}

/** What of the settings a test chooses. */
export type InfluxTestOptions = Partial<InfluxSinkOptions> & Pick<InfluxSinkOptions, "url">;

/** Settings as a test chooses them, of InfluxDB 1 where it says nothing. */
export function influxOptions(chosen: InfluxTestOptions): InfluxSinkOptions {
  return {
    name: "history",
    gatewayId: GATEWAY,
    target: { api: "v1", database: "vigil" },
    patientTag: { kind: "id" },
    ...chosen,
  };
}

/** Starts one on a real journal in a folder of its own, or in the one given. Waits run `factor` times as fast. */
export async function startInfluxEnd(of: {
  readonly options: InfluxSinkOptions;
  readonly factor?: number;
  readonly folder?: string;
}): Promise<InfluxEnd> {
  const folder = of.folder ?? (await mkdtemp(join(tmpdir(), "vigil-influx-")));
  const clock = hurry(createSystemClock(), of.factor ?? 20);
  const opened = await openJournal({
    folder: join(folder, "journal"),
    gatewayId: GATEWAY,
    bytesMax: 1e12,
    clock: createSystemClock(),
  });
  if (!opened.ok) throw new Error(`the journal does not open: ${JSON.stringify(opened.error)}`);
  const journal = opened.value;
  let next = Math.max(journal.lastSeqAtOpen, journal.leftOutAtOpen?.to ?? 0) + 1;
  const [records, faults, incidents, sinkFaults, losses]: [JournalRecord[], (Fault | null)[], Fault[], Fault[], Loss[]] = [
    [],
    [],
    [],
    [],
    [],
  ];
  const append: InfluxEnd["append"] = (makers) => {
    const made = makers.map((maker) => maker(next++));
    records.push(...made);
    journal.append(made);
    return made;
  };
  const stop = new AbortController();
  const sink = createInfluxSink(of.options, {
    clock,
    textOf: TEXT_OF,
    heartbeat: () => ({ committedSeq: journal.committedSeq(), state: "working" }),
    onFault: (reason) => void sinkFaults.push(reason),
  });
  const stateLoss = (lost: Omit<Loss, "kind" | "seq" | "atMs">): Seq => {
    const [loss] = append([(number) => ({ kind: "loss", seq: seq(number), atMs: wallMs(1_780_000_003_000 + number), ...lost })]);
    if (loss?.kind !== "loss") throw new Error("no loss");
    losses.push(loss);
    return loss.seq;
  };
  const outbox = startOutbox({
    ...{ name: INFLUX_READER, gatewayId: GATEWAY, journal, sink, clock, stop: stop.signal, stateLoss },
    random: () => 0.5,
    onFault: (reason) => void faults.push(reason),
    onIncident: (incident) => void incidents.push(incident),
  });
  const ended = { done: false };
  return {
    ...{ journal, outbox, faults, incidents, sinkFaults, losses, append, records },
    drained: (withinMs) => untilDrained({ journal, outbox, lastSeq: () => seq(next - 1) }, withinMs),
    stop: async () => {
      if (ended.done) return;
      ended.done = true;
      stop.abort();
      await outbox.finished;
      await journal.close();
      if (of.folder === undefined) await rm(folder, { recursive: true });
    },
  };
}

async function untilDrained(
  of: { readonly journal: Journal; readonly outbox: Outbox; readonly lastSeq: () => Seq },
  withinMs?: number,
): Promise<void> {
  await until(
    "everything is confirmed",
    async () => {
      const { state, backlogRecords } = of.outbox.view();
      if (state !== "connected" || of.journal.committedSeq() < of.lastSeq() || backlogRecords > 0) return false;
      const cursor = await of.journal.cursor(INFLUX_READER);
      return cursor !== null && cursor.upTo >= of.lastSeq() && cursor.open.length === 0;
    },
    withinMs,
  );
}

/** A delivery of one record, as an outbox makes it. */
export function deliveryOf(record: JournalRecord, epoch = "11111111-2222-4333-8444-555555555555"): Delivery {
  return { key: recordKey({ gatewayId: GATEWAY, epoch, seq: record.seq }), record, resent: false, durable: true };
}

/** The points that records must become, each with its record's number. */
function pointsOf(
  records: readonly JournalRecord[],
  epoch: string | undefined,
  options: InfluxSinkOptions,
): readonly { readonly line: ParsedLine; readonly number: number }[] {
  const parts = { gatewayId: options.gatewayId, patientTag: (patient: string) => patient, textOf: TEXT_OF };
  return records
    .filter((record) => leavesFor(record, INFLUX_READER))
    .flatMap((record) =>
      influxPoints(deliveryOf(record, epoch), parts).map((point) => ({ line: parseLine(influxLine(point)), number: record.seq })),
    );
}

/** The identity of every point that records must become, with the record's number. */
export function identitiesOf(records: readonly JournalRecord[], options: InfluxSinkOptions): ReadonlyMap<string, number> {
  return new Map(pointsOf(records, undefined, options).map(({ line, number }) => [pointIdentity(line), number]));
}

/** Every point that records must become in a server, where patients leave by their id. */
export function linesOf(records: readonly JournalRecord[], epoch: string, options: InfluxSinkOptions): readonly ParsedLine[] {
  return pointsOf(records, epoch, options).map(({ line }) => line);
}
