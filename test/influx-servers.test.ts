import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import type { JournalRecord } from "../src/core/record.ts";
import type { InfluxSinkOptions } from "../src/sinks/influx.ts";
import { type InfluxEnd, influxOptions, linesOf, startInfluxEnd } from "./support/influx-ends.ts";
import { type ParsedLine, pointIdentity } from "./support/influx-line-parser.ts";
import {
  influxIsMissing,
  prepareInflux,
  prepareVictoria,
  type RealInflux,
  type RealVictoria,
  samplesOf,
  victoriaIsMissing,
} from "./support/influx-real-servers.ts";
import { EACH_KIND } from "./support/influx-records.ts";
import { stageOfEachTest } from "./support/stage.ts";
import { pause, until } from "./support/until.ts";
import { observationAt } from "./support/upstream-records.ts";

const cleanups: (() => Promise<unknown>)[] = [];
const stage = stageOfEachTest();
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function gateway(options: InfluxSinkOptions, factor = 5): Promise<InfluxEnd> {
  const started = await startInfluxEnd({ options, factor });
  cleanups.push(started.stop);
  return started;
}

const QUANTITIES = ["heartRate", "oxygenSaturation", "respiratoryRate"] as const;
const WHYS = ["sensor-off", "searching"] as const;
/** Observations of several series, some of them in the same millisecond, some absent. */
function mixed(number: number): JournalRecord {
  const observation = observationAt(number);
  const { times } = observation;
  const measuredAtMs = observationAt(number - (number % 4)).times.measuredAtMs;
  const content = number % 11 === 0 ? ({ state: "absent", why: WHYS[number % 2] ?? "sensor-off" } as const) : observation.content;
  const quantity = QUANTITIES[number % 3] ?? "heartRate";
  return { ...observation, quantity, content, times: { ...times, measuredAtMs } };
}

const many = (count: number) => Array.from({ length: count }, () => mixed);

/** A line as a server gives it back: every number is a float. */
function comparable({ measurement, tags, fields, ns }: ParsedLine): string {
  const values = [...fields].map(([name, { value }]) => `${name}=${JSON.stringify(value)}`).sort();
  return `${pointIdentity({ measurement, tags, fields, ns })} ${values.join(" ")}`;
}

async function storedIn(influx: RealInflux, records: readonly ParsedLine[]): Promise<readonly string[]> {
  const measurements = [...new Set(records.map(({ measurement }) => measurement))];
  const points = await Promise.all(measurements.map(influx.points));
  return points.flat().map(comparable).sort();
}

describe.skipIf(influxIsMissing)("InfluxDB 1.6", () => {
  test("every point is there once, with every tag, field and nanosecond; sent again by another life nothing doubles", async () => {
    const influx = await prepareInflux(stage());
    await influx.start();
    const options = influxOptions({ url: influx.url });
    const end = await gateway(options);
    end.append([...many(600), ...EACH_KIND, ...many(300), ...EACH_KIND]);
    await end.drained();
    const wanted = linesOf(end.records, end.journal.epoch, options);
    expect(await storedIn(influx, wanted)).toEqual(wanted.map(comparable).sort());
    // Another reader of another gateway's life has nothing confirmed and sends all of it again.
    const again = await gateway(options);
    again.append(end.records.map((record) => () => record));
    await again.drained();
    const epochs = wanted.filter(({ measurement }) => measurement !== "gateway_start");
    expect(await storedIn(influx, epochs)).toEqual(epochs.map(comparable).sort());
    expect((await influx.points("gateway_heartbeat")).length).toBeGreaterThan(0);
    expect([...end.faults, ...again.faults]).toEqual([]);
  });

  test("a record whose field has another type there is named and set aside, the rest arrives", async () => {
    const influx = await prepareInflux(stage());
    await influx.start();
    const options = influxOptions({ url: influx.url });
    // Somebody wrote texts where our numbers go, but only in the shard of that week: InfluxDB's types are those of a shard.
    const theirs = 'observation,device=other value="text" 1771000000000000000';
    expect((await fetch(`${influx.url}/write?db=vigil`, { method: "POST", body: theirs })).status).toBe(204);
    const end = await gateway(options);
    const old = (number: number): JournalRecord => {
      const observation = observationAt(number);
      const measuredAtMs = (1_771_000_000_000 + number) as typeof observation.times.measuredAtMs;
      return { ...observation, times: { ...observation.times, measuredAtMs } };
    };
    const made = end.append([...many(80), old, ...many(60), old, old, ...many(50)]);
    await end.drained();
    const poisoned = new Set(
      made.filter((record) => record.kind === "observation" && record.times.measuredAtMs < 1.775e12).map(({ seq }) => seq),
    );
    expect(poisoned.size).toBe(3);
    const wanted = linesOf(
      made.filter(({ seq }) => !poisoned.has(seq)),
      end.journal.epoch,
      options,
    );
    const stored = (await influx.points("observation")).filter(({ tags }) => tags.get("device") !== "other");
    // Of a refused record the server keeps the fields that do fit.
    const whole = stored.filter(({ ns }) => ns > 1_775_000_000_000_000_000n);
    expect(whole.map(comparable).sort()).toEqual(wanted.map(comparable).sort());
    const lost = end.losses.map(({ fromSeq, toSeq }) => `${fromSeq} to ${toSeq}`);
    expect(lost.sort()).toEqual(["142 to 143", "81 to 81"]);
    expect(end.incidents[0]?.facts["reason"]).toBe("field-type");
    expect(end.faults).toEqual([]);
  });

  test("what is older than the database keeps is set aside, by the server's own count", async () => {
    const influx = await prepareInflux(stage());
    await influx.start();
    await influx.query('CREATE RETENTION POLICY "day" ON "vigil" DURATION 1d REPLICATION 1 DEFAULT');
    const options = influxOptions({ url: influx.url });
    const end = await gateway(options);
    const now = (number: number): JournalRecord => {
      const observation = observationAt(number);
      return {
        ...observation,
        times: { ...observation.times, measuredAtMs: (Date.now() - 1000) as typeof observation.times.measuredAtMs },
      };
    };
    const made = end.append([...many(150), ...Array.from({ length: 10 }, () => now)]);
    await end.drained();
    expect(end.losses.map(({ fromSeq, toSeq }) => [fromSeq, toSeq])).toEqual([[1, 150]]);
    const wanted = linesOf(made.slice(150), end.journal.epoch, options);
    expect(await storedIn(influx, wanted)).toEqual(wanted.map(comparable).sort());
  });

  test("a database that is not there, a wrong password, a wrong retention policy: told, and everything arrives once it is mended", async () => {
    const auth = { name: "vigil", password: "right" };
    const influx = await prepareInflux(stage(), { auth });
    await influx.start();
    const passwordFile = join(stage().folder, "password");
    await writeFile(passwordFile, "wrong\n");
    const target = { api: "v1", database: "later", retentionPolicy: "later", username: "vigil", passwordFile } as const;
    const options = influxOptions({ url: influx.url, target });
    const end = await gateway(options, 20);
    end.append(many(120));
    const codes = () => end.faults.map((fault) => fault?.code ?? null);
    await until("the password is told", () => codes().includes("upstream-denied"));
    await writeFile(passwordFile, "right\n");
    await until("the database is told", () => codes().includes("upstream-target-missing"));
    await influx.query('CREATE DATABASE "later"');
    await pause(300);
    await influx.query('CREATE RETENTION POLICY "later" ON "later" DURATION INF REPLICATION 1 DEFAULT');
    await end.drained();
    const series = await influx.query('SELECT count("seq") FROM "later"."later"."observation"');
    expect(series[0]?.values[0]?.[1]).toBe(120);
    expect(end.losses).toEqual([]);
  });
});

describe.skipIf(victoriaIsMissing)("VictoriaMetrics", () => {
  for (const target of [
    { api: "v2", org: "ward", bucket: "vigil" },
    { api: "v1", database: "vigil" },
  ] as const) {
    test(`${target.api}: every value is there once, in milliseconds; sent again nothing doubles`, async () => {
      const victoria: RealVictoria = await prepareVictoria(stage());
      await victoria.start();
      const options = influxOptions({ url: victoria.url, target });
      // One record a millisecond and series: that is what this server can keep apart.
      const apart = Array.from({ length: 500 }, () => observationAt);
      const end = await gateway(options);
      end.append([...apart, ...EACH_KIND, ...apart]);
      await end.drained();
      const wanted = samplesOf(linesOf(end.records, end.journal.epoch, options));
      const again = await gateway(options);
      again.append(end.records.map((record) => () => record));
      await again.drained();
      const stored = [...(await victoria.samples())].filter(([key]) => !key.startsWith("gateway_heartbeat"));
      expect(new Map(stored)).toEqual(wanted);
      const beats = [...(await victoria.samples())].length - stored.length;
      expect(await victoria.samplesCount(), "no sample twice").toBe(wanted.size + beats);
      expect([...end.faults, ...again.faults]).toEqual([]);
    });
  }
});
