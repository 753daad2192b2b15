import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { createSystemClock } from "../../src/clock.ts";
import type { ErrorCode } from "../../src/core/errors.ts";
import { deviceId, patientId } from "../../src/core/ids.ts";
import { LIMITS } from "../../src/core/limits.ts";
import type { JournalRecord } from "../../src/core/record.ts";
import { createInfluxSink, type InfluxSinkOptions } from "../../src/sinks/influx.ts";
import { deliveryOf, type InfluxEnd, identitiesOf, influxOptions, linesOf, startInfluxEnd } from "../support/influx-ends.ts";
import { influxIsMissing, prepareInflux, prepareVictoria, victoriaIsMissing } from "../support/influx-real-servers.ts";
import { type InfluxReply, type InfluxServer, startInfluxServer } from "../support/influx-server.ts";
import { stageOfEachTest } from "../support/stage.ts";
import { until } from "../support/until.ts";
import { alertAt, observationAt } from "../support/upstream-records.ts";

const cleanups: (() => Promise<unknown>)[] = [];
const stage = stageOfEachTest();
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function server(): Promise<InfluxServer> {
  const started = await startInfluxServer();
  cleanups.push(started.close);
  return started;
}

async function gateway(options: InfluxSinkOptions, factor: number): Promise<InfluxEnd> {
  const started = await startInfluxEnd({ options, factor });
  cleanups.push(started.stop);
  return started;
}

const observations = (count: number) => Array.from({ length: count }, () => observationAt);

describe("much at once", () => {
  test("a backlog drains behind what is new, and an alert does not wait for it", async () => {
    const influx = await server();
    const options = influxOptions({ url: influx.url });
    let isDown = true;
    influx.script((): InfluxReply => (isDown ? { kind: "reset" } : { kind: "normal" }));
    const end = await gateway(options, 5);
    for (let batch = 0; batch < 20; batch++) end.append(observations(1000));
    await until("all is on disk", () => end.journal.committedSeq() === 20_000);
    isDown = false;
    await until("it begins", () => influx.stored.size > 0);
    const [alert] = end.append([alertAt]);
    if (alert?.kind !== "alert") throw new Error("no alert");
    end.outbox.urgent(alert);
    await until("the alert arrived", () => [...influx.stored.values()].some(({ line }) => line.measurement === "alert"));
    expect(influx.stored.size, "before the backlog").toBeLessThan(20_000);
    await end.drained();
    const wanted = [...identitiesOf(end.records, options).keys()];
    expect(wanted.filter((identity) => !influx.stored.has(identity)).length).toBe(0);
    expect(influx.stored.size).toBe(wanted.length);
  });

  test("so many series as the bound allows, and the next is told", async () => {
    const influx = await server();
    const faults: ErrorCode[] = [];
    const clock = createSystemClock();
    const parts = {
      ...{ clock, textOf: () => ({ en: "-", zh: "-" }), heartbeat: () => ({ committedSeq: 1, state: "working" }) },
      onFault: (reason: { readonly code: ErrorCode }) => void faults.push(reason.code),
    };
    const sink = createInfluxSink(influxOptions({ url: influx.url }), parts);
    cleanups.push(sink.close);
    const of = (number: number) => deliveryOf({ ...observationAt(number), patientId: patientId(`p-${number}`) });
    const stop = new AbortController().signal;
    const seriesMax = LIMITS.influxSeriesMax.value;
    for (let from = 1; from <= seriesMax; from += 5000) {
      const batch = Array.from({ length: Math.min(5000, seriesMax - from + 1) }, (_, index) => of(from + index));
      expect((await sink.deliver(batch, stop)).kind).toBe("delivered");
    }
    expect(faults).toEqual([]);
    expect((await sink.deliver([of(seriesMax + 1), of(seriesMax + 2)], stop)).kind).toBe("delivered");
    expect(faults).toEqual(["upstream-series-many"]);
    expect(
      influx
        .writes()
        .at(-1)
        ?.lines.every((line) => line.includes("patient=over-limit")),
    ).toBe(true);
  });
});

/** A ward of fifty beds: who measured it, of whom and what. */
const WARD_QUANTITIES = ["heartRate", "oxygenSaturation", "respiratoryRate", "perfusionIndex"] as const;
function ward(number: number): JournalRecord {
  const bed = number % 50;
  const quantity = WARD_QUANTITIES[Math.floor(number / 50) % 4] ?? "heartRate";
  return { ...observationAt(number), deviceId: deviceId(`monitor-${bed}`), patientId: patientId(`p-${bed}`), quantity };
}

const BACKLOG = 100_000;

/** What grows with the points: InfluxDB's other files are made large at once. */
const DATA_FILE = /\.(tsm|wal)$|\.bin$/;

function bytesBelow(folder: string): number {
  return readdirSync(folder, { recursive: true, encoding: "utf8" }).reduce((sum, path) => {
    const found = statSync(join(folder, path), { throwIfNoEntry: false });
    return sum + (found?.isFile() === true && DATA_FILE.test(path) ? found.size : 0);
  }, 0);
}

describe.each([
  {
    name: "InfluxDB 1.6",
    isMissing: influxIsMissing,
    data: "influxdb",
    prepare: prepareInflux,
    target: { api: "v1", database: "vigil" } as const,
  },
  {
    name: "VictoriaMetrics",
    isMissing: victoriaIsMissing,
    data: "victoria",
    prepare: prepareVictoria,
    target: { api: "v2", org: "o", bucket: "b" } as const,
  },
])("a backlog of a ward into $name", ({ name, isMissing, data, prepare, target }) => {
  test.skipIf(isMissing)("all of it arrives, in the time it took and the bytes it takes", async () => {
    const real = await prepare(stage());
    const options = influxOptions({ url: real.url, target });
    const end = await gateway(options, 1);
    for (let upTo = 5000; upTo <= BACKLOG; upTo += 5000) {
      end.append(Array.from({ length: 5000 }, () => ward));
      await until("it is on disk", () => end.journal.committedSeq() === upTo, 60_000);
    }
    await real.start();
    await until("connected", () => end.outbox.view().state === "connected", 60_000);
    const [begunMs, cpuBefore] = [performance.now(), process.cpuUsage()];
    await end.drained(240_000);
    const seconds = (performance.now() - begunMs) / 1000;
    const { user, system } = process.cpuUsage(cpuBefore);
    const lines = linesOf(end.records, end.journal.epoch, options);
    if ("points" in real) expect((await real.points("observation")).length).toBe(BACKLOG);
    else expect([...(await real.samples()).keys()].filter((key) => key.startsWith("observation_value")).length).toBe(BACKLOG);
    await real.end("SIGTERM");
    const figures = {
      points: lines.length,
      pointsPerSecond: Math.round(BACKLOG / seconds),
      processorMicrosecondsPerPoint: Math.round((user + system) / BACKLOG),
      diskBytesPerPoint: Math.round(bytesBelow(join(stage().folder, data)) / BACKLOG),
    };
    process.stdout.write(`${name}: ${JSON.stringify(figures)}\n`);
    expect(figures.pointsPerSecond).toBeGreaterThan(500);
  });
});
