import { type Fault, fault } from "../core/errors.ts";
import type { PatientId } from "../core/ids.ts";
import { LIMITS } from "../core/limits.ts";
import type { Delivery, DeliveryOutcome, Sink } from "../core/ports.ts";
import { fail, type Result, succeed } from "../core/result.ts";
import type { Clock, MonotonicMs } from "../core/time.ts";
import type { AlertWords } from "../core/upstream.ts";
import {
  BodySize,
  type InfluxUnit,
  type InfluxWriterParts,
  type RefusedUnit,
  TakenRecords,
  writeUnits,
} from "./influx-bisection.ts";
import { type InfluxClient, type InfluxServer, openInfluxClient } from "./influx-client.ts";
import { influxLine } from "./influx-lines.ts";
import { type PatientTag, patientNaming } from "./influx-patients.ts";
import { heartbeatPoint, type InfluxPointParts, influxPoints } from "./influx-points.ts";
import { SeriesBound } from "./influx-series.ts";

/** One InfluxDB upstream, as the configuration says it, and who sends. */
export interface InfluxSinkOptions extends InfluxServer {
  readonly name: string;
  readonly gatewayId: string;
  /** How patients are named in the database. */
  readonly patientTag: PatientTag;
}

/** What the sink needs from outside. */
export interface InfluxSinkParts {
  readonly clock: Clock;
  /** An alert in words, in both languages. */
  readonly textOf: AlertWords;
  /** What the next heartbeat says. */
  readonly heartbeat: () => { readonly committedSeq: number; readonly state: string };
  /** Told once a life: `upstream-series-many`. Everything is still written. */
  readonly onFault: (reason: Fault) => void;
}

/**
 * Writes records to an InfluxDB 1 or 2, or a VictoriaMetrics, as points by the table of `core/influx-measurements.ts`. A batch is one
 * request, and is delivered when the server answers 204 and at nothing else; nothing is kept here, the owner tries again. Sent again a
 * record is the same point, so whatever was stored before a failure does not double.
 *
 * An empty batch writes a heartbeat where one is due and tells whether the server takes it. After a failure the next batch opens the
 * connection anew, with the secrets as they are then.
 */
export function createInfluxSink(options: InfluxSinkOptions, parts: InfluxSinkParts): Sink {
  return new InfluxSink(options, parts);
}

/** What one connection has. */
interface Connection {
  readonly client: InfluxClient;
  readonly pointParts: InfluxPointParts;
  readonly bodySize: BodySize;
}

/** How long a refusal is remembered, in ms: the owner asks again at once, for each record alone. */
const REFUSAL_REMEMBERED_MS = 10_000;

class InfluxSink implements Sink {
  readonly name: string;
  readonly #options: InfluxSinkOptions;
  readonly #parts: InfluxSinkParts;
  readonly #series: SeriesBound;
  readonly #taken = new TakenRecords();
  readonly #refusals: RememberedRefusals;
  readonly #stop = new AbortController();
  #connection: Connection | null = null;
  #opening: Promise<Result<Connection, Fault>> | null = null;
  #heartbeatAtMs: MonotonicMs | null = null;
  /** The server wants to be left alone until then. */
  #silence: { readonly untilMs: number; readonly fault: Fault } | null = null;

  constructor(options: InfluxSinkOptions, parts: InfluxSinkParts) {
    this.name = options.name;
    this.#options = options;
    this.#parts = parts;
    this.#refusals = new RememberedRefusals(parts.clock);
    const seriesMax = LIMITS.influxSeriesMax.value;
    this.#series = new SeriesBound(() => parts.onFault(fault("upstream-series-many", { upstream: options.name, seriesMax })));
  }

  readonly deliver = async (batch: readonly Delivery[], stop: AbortSignal): Promise<DeliveryOutcome> => {
    const silence = this.#silence;
    if (silence !== null && this.#parts.clock.monotonic() < silence.untilMs) return { kind: "try-later", fault: silence.fault };
    this.#silence = null;
    const opened = this.#connection === null ? await this.#open() : succeed(this.#connection);
    if (!opened.ok) return { kind: "try-later", fault: opened.error };
    const connection = opened.value;
    const both = AbortSignal.any([stop, this.#stop.signal]);
    return batch.length === 0 ? this.#beat(connection, both) : this.#write(batch, connection, both);
  };

  readonly close = async (): Promise<void> => {
    this.#stop.abort();
    this.#connection?.client.close();
    this.#connection = null;
  };

  async #write(batch: readonly Delivery[], connection: Connection, stop: AbortSignal): Promise<DeliveryOutcome> {
    const refusedBefore = batch.filter(({ key }) => this.#refusals.has(key));
    const units = this.#unitsOf(batch, connection.pointParts).filter(({ key }) => !this.#refusals.has(key));
    const outcome = await writeUnits(units, this.#writerParts(connection, stop));
    if (outcome.kind === "try-later") return this.#failed(connection, outcome);
    this.#refusals.note(outcome.refused);
    const keys = [...refusedBefore.map(({ key }) => key), ...outcome.refused.map(({ unit }) => unit.key)];
    const [first] = keys;
    if (first === undefined) return { kind: "delivered" };
    return { kind: "rejected", keys, fault: this.#refusals.faultOf(first) };
  }

  #unitsOf(batch: readonly Delivery[], parts: InfluxPointParts): readonly InfluxUnit[] {
    const units: InfluxUnit[] = [];
    for (const delivery of batch) {
      const points = influxPoints(delivery, parts);
      if (points.length === 0) continue;
      let lines = "";
      for (const point of points) lines += `${influxLine(point, this.#series.headOf(point))}\n`;
      units.push({ key: delivery.key, kind: delivery.record.kind, lines, pointsCount: points.length });
    }
    return units;
  }

  #writerParts({ client, bodySize }: Connection, stop: AbortSignal): InfluxWriterParts {
    return {
      write: (lines) => client.write(lines, stop),
      probeLine: () => this.#heartbeatLine(),
      taken: this.#taken,
      bodySize,
    };
  }

  async #beat(connection: Connection, stop: AbortSignal): Promise<DeliveryOutcome> {
    const nowMs = this.#parts.clock.monotonic();
    if (this.#heartbeatAtMs !== null && nowMs - this.#heartbeatAtMs < LIMITS.upstreamHeartbeatMs.value)
      return { kind: "delivered" };
    const answer = await connection.client.write(this.#heartbeatLine(), stop);
    switch (answer.kind) {
      case "taken":
        if (this.#connection === connection) this.#heartbeatAtMs = nowMs;
        return { kind: "delivered" };
      case "unavailable":
        return this.#failed(connection, answer);
      case "too-large":
        return this.#failed(connection, {
          fault: fault("upstream-refuses-all", { status: 413, reason: "too-large" }),
          waitMs: 0,
        });
      case "refused":
        return this.#failed(connection, {
          fault: fault("upstream-refuses-all", { status: answer.status, reason: answer.why }),
          waitMs: 0,
        });
    }
  }

  #heartbeatLine(): string {
    const atMs = this.#parts.clock.wall();
    return `${influxLine(heartbeatPoint({ gatewayId: this.#options.gatewayId, atMs, ...this.#parts.heartbeat() }))}\n`;
  }

  /** The connection is given up, so that the next one reads the secrets anew and begins with a heartbeat. */
  #failed(connection: Connection, failure: { readonly fault: Fault; readonly waitMs: number }): DeliveryOutcome {
    if (this.#connection === connection) {
      this.#connection = null;
      this.#heartbeatAtMs = null;
    }
    connection.client.retire();
    const untilMs = this.#parts.clock.monotonic() + failure.waitMs;
    if (failure.waitMs > 0) this.#silence = { untilMs, fault: failure.fault };
    return { kind: "try-later", fault: failure.fault };
  }

  #open(): Promise<Result<Connection, Fault>> {
    this.#opening ??= this.#connect().finally(() => {
      this.#opening = null;
    });
    return this.#opening;
  }

  async #connect(): Promise<Result<Connection, Fault>> {
    const { patientTag, gatewayId } = this.#options;
    const naming = await patientNaming(patientTag);
    if (!naming.ok) return naming;
    const opened = await openInfluxClient(this.#options, this.#parts.clock);
    if (!opened.ok) return opened;
    if (this.#stop.signal.aborted) {
      opened.value.close();
      return fail(fault("upstream-unreachable", { reason: "stopping" }));
    }
    const pointParts = { gatewayId, patientTag: (patient: PatientId) => naming.value(patient), textOf: this.#parts.textOf };
    this.#connection = { client: opened.value, pointParts, bodySize: new BodySize() };
    return succeed(this.#connection);
  }
}

/** Records that were refused a moment ago: their owner asks again for each half, down to each alone, and the server need not. */
class RememberedRefusals {
  readonly #clock: Clock;
  readonly #known = new Map<string, { readonly untilMs: number; readonly fault: Fault }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  has(key: string): boolean {
    const known = this.#known.get(key);
    return known !== undefined && known.untilMs > this.#clock.monotonic();
  }

  faultOf(key: string): Fault {
    return this.#known.get(key)?.fault ?? fault("upstream-rejected");
  }

  note(refused: readonly RefusedUnit[]): void {
    if (refused.length === 0) return;
    const nowMs = this.#clock.monotonic();
    const isFull = this.#known.size + refused.length > LIMITS.influxRefusalsRememberedMax.value;
    for (const [key, { untilMs }] of this.#known) if (isFull || untilMs <= nowMs) this.#known.delete(key);
    for (const { unit, fault: reason } of refused)
      this.#known.set(unit.key, { untilMs: nowMs + REFUSAL_REMEMBERED_MS, fault: reason });
  }
}
