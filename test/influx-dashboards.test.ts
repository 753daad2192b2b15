import { readdirSync, readFileSync } from "node:fs";
import { afterEach, describe, expect, test } from "vitest";
import { createSystemClock } from "../src/clock.ts";
import type { Deed } from "../src/core/act.ts";
import { bedId, deviceId, patientId } from "../src/core/ids.ts";
import { INFLUX_MEASUREMENTS, type InfluxMeasurement } from "../src/core/influx-measurements.ts";
import { QUANTITY_NAMES } from "../src/core/quantities.ts";
import type { JournalRecord } from "../src/core/record.ts";
import { monotonicMs, wallMs } from "../src/core/time.ts";
import { createInfluxSink } from "../src/sinks/influx.ts";
import { deliveryOf, influxOptions } from "./support/influx-ends.ts";
import { influxIsMissing, prepareInflux } from "./support/influx-real-servers.ts";
import { EACH_KIND, predictionAt } from "./support/influx-records.ts";
import { stageOfEachTest } from "./support/stage.ts";
import { actAt, alertAt, observationAt } from "./support/upstream-records.ts";

interface Target {
  readonly query: string;
  readonly rawQuery: boolean;
  readonly refId: string;
  readonly resultFormat: string;
}

interface Dashboard {
  readonly uid: string;
  readonly title: string;
  readonly description: string;
  readonly schemaVersion: number;
  readonly panels: readonly {
    readonly id: number;
    readonly type: string;
    readonly title: string;
    readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
    readonly targets: readonly Target[];
  }[];
  readonly templating: {
    readonly list: readonly { readonly name: string; readonly type: string; readonly query: string; readonly label: string }[];
  };
  readonly annotations: {
    readonly list: readonly {
      readonly name: string;
      readonly query: string;
      readonly textColumn: string;
      readonly titleColumn: string;
      readonly tagsColumn: string;
    }[];
  };
}

const FOLDER = new URL("../config/grafana/", import.meta.url);
const DASHBOARDS = readdirSync(FOLDER).map((file) => {
  const dashboard: Dashboard = JSON.parse(readFileSync(new URL(file, FOLDER), "utf8"));
  return { file, dashboard };
});

/** Every query of a dashboard with where it stands. */
const QUERIES = DASHBOARDS.flatMap(({ file, dashboard }) => [
  ...dashboard.panels.flatMap(({ title, targets }) =>
    targets.map(({ query, refId }) => ({ where: `${file}: ${title} ${refId}`, query })),
  ),
  ...dashboard.annotations.list.map(({ name, query }) => ({ where: `${file}: ${name}`, query })),
  ...dashboard.templating.list
    .filter(({ type }) => type === "query")
    .map(({ name, query }) => ({ where: `${file}: variable ${name}`, query })),
]);

describe("the three dashboards", () => {
  test("there are a ward's, a patient's and the gateway's own", () => {
    expect(DASHBOARDS.map(({ file }) => file).sort()).toEqual(["gateway.json", "patient.json", "ward.json"]);
    expect(new Set(DASHBOARDS.map(({ dashboard }) => dashboard.uid)).size).toBe(3);
  });

  test.each(DASHBOARDS)(
    "$file: for Grafana 10 and later, every title in Chinese and English, no panel over another",
    ({ dashboard }) => {
      expect(dashboard.schemaVersion).toBeGreaterThanOrEqual(38);
      const labels = [
        dashboard.title,
        ...dashboard.panels.map(({ title }) => title),
        ...dashboard.templating.list.map(({ label }) => label),
      ];
      for (const title of [...labels, ...dashboard.annotations.list.map(({ name }) => name)]) {
        expect(title).toMatch(/\p{Script=Han}|NEWS2/u);
        expect(title).toMatch(/[A-Za-z]{4}/);
      }
      expect(new Set(dashboard.panels.map(({ id }) => id)).size).toBe(dashboard.panels.length);
      const cells = dashboard.panels.flatMap(({ gridPos: { x, y, w, h } }) =>
        Array.from({ length: w * h }, (_, index) => `${x + (index % w)},${y + Math.floor(index / w)}`),
      );
      expect(new Set(cells).size).toBe(cells.length);
      expect(dashboard.panels.every(({ gridPos: { x, w } }) => x + w <= 24)).toBe(true);
      expect(dashboard.panels.every(({ targets }) => targets.every(({ rawQuery }) => rawQuery))).toBe(true);
    },
  );

  test.each(DASHBOARDS)("$file: annotations use columns that they select", ({ dashboard }) => {
    for (const { query, textColumn, titleColumn, tagsColumn } of dashboard.annotations.list)
      for (const column of [textColumn, titleColumn, ...tagsColumn.split(",")]) expect(query).toContain(`"${column}"`);
  });

  test.each(QUERIES)("$where: measurement, tags and fields are those that are written", ({ query }) => {
    const measurements = [...query.matchAll(/FROM "([^"]+)"/g)].map(([, name]) => name ?? "");
    expect(measurements.length).toBeGreaterThan(0);
    for (const measurement of measurements) expect(Object.keys(INFLUX_MEASUREMENTS)).toContain(measurement);
    const table = INFLUX_MEASUREMENTS[measurements[0] as InfluxMeasurement];
    const aliases = [...query.matchAll(/AS "([^"]+)"/g)].map(([, name]) => name ?? "");
    const known = new Set([...measurements, ...aliases, ...Object.keys(table.tags), ...Object.keys(table.fields)]);
    const named = [...query.matchAll(/"([^"]+)"/g)].map(([, name]) => name ?? "");
    expect(named.filter((name) => !known.has(name))).toEqual([]);
    for (const [, quantity] of query.matchAll(/"quantity" = '([^']+)'/g)) expect(QUANTITY_NAMES).toContain(quantity);
    // A grouping by a field would silently be empty; InfluxQL groups by tags only.
    const grouped = [...(/GROUP BY ([^)]*?)( fill|$|\))/.exec(query)?.[1]?.matchAll(/"([^"]+)"/g) ?? [])].map(([, name]) => name);
    expect(grouped.filter((name) => !Object.keys(table.tags).includes(name ?? ""))).toEqual([]);
  });

  test("the mean of a value counts no doubtful one, and none that is not measured unless it is asked for", () => {
    const values = QUERIES.filter(({ query }) => /(mean|last)\("value"\)/.test(query));
    expect(values.length).toBeGreaterThan(5);
    for (const { query, where } of values) {
      expect(query, where).toContain('"validity" = ');
      expect(query, where).toContain('"origin" =~ /^$origin$/');
    }
  });
});

/** Records that give every panel something to show. */
function everything(): readonly ((number: number) => JournalRecord)[] {
  const limit: Deed = {
    kind: "set-limit",
    patientId: patientId("p-17"),
    quantity: "heartRate",
    low: null,
    high: { value: 130, priority: "high" },
  };
  const admit: Deed = {
    ...{ kind: "admit", patientId: patientId("p-17"), bedId: bedId("bed-2"), label: "-", demonstration: false },
    profile: { kind: "adult", spo2Scale: 1 },
  };
  const risk = { kind: "risk", risk: 0.12, horizonSeconds: 3600, missing: [] } as const;
  const technical = { nature: "technical", rule: "fault.link-down", priority: "medium" } as const;
  const evidence = { kind: "fault", code: "link-down", facts: {} } as const;
  const subject = { patientId: null, bedId: null, deviceId: deviceId("monitor-3"), part: null };
  return [
    ...EACH_KIND,
    ...QUANTITY_NAMES.flatMap((quantity) => [
      (number: number): JournalRecord => ({ ...observationAt(number), quantity }),
      (number: number): JournalRecord => {
        const observation = observationAt(number);
        return { ...observation, quantity, quality: { ...observation.quality, validity: "questionable" } };
      },
      (number: number): JournalRecord => ({
        ...observationAt(number),
        quantity,
        content: { state: "absent", why: "sensor-off" },
      }),
    ]),
    (number) => ({ ...observationAt(number), patientId: null, deviceId: deviceId("clip-9") }),
    (number) => ({ ...predictionAt(number), answer: risk }),
    (number) => ({ ...actAt(number), deed: limit }),
    (number) => ({ ...actAt(number), deed: admit }),
    (number) => ({ ...alertAt(number), ...technical, evidence, subject }),
    ...EACH_KIND,
  ];
}

const cleanups: (() => Promise<unknown>)[] = [];
const stage = stageOfEachTest();
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

describe.skipIf(influxIsMissing)("against a real InfluxDB with a ward's records", () => {
  test("every query of every dashboard is understood and has something to show", async () => {
    const influx = await prepareInflux(stage());
    await influx.start();
    let turn = 0;
    const clock = {
      ...createSystemClock(),
      wall: () => wallMs(1_780_000_000_000 + turn * 60_000),
      monotonic: () => monotonicMs(turn * 60_000),
    };
    const words = () => ({ en: "Oxygen saturation low: 81 %", zh: "血氧饱和度过低：81 %" });
    const heartbeat = () => ({ committedSeq: 100 + turn * 600, state: "working" });
    const sink = createInfluxSink(influxOptions({ url: influx.url }), { clock, textOf: words, heartbeat, onFault: () => {} });
    cleanups.push(sink.close);
    const stop = new AbortController().signal;
    for (turn = 1; turn <= 3; turn++) expect(await sink.deliver([], stop)).toEqual({ kind: "delivered" });
    const batch = everything().map((maker, index) => deliveryOf(maker(index + 1)));
    expect(await sink.deliver(batch, stop)).toEqual({ kind: "delivered" });
    const failures: string[] = [];
    for (const { where, query } of QUERIES) {
      const filled = query
        .replaceAll("$timeFilter", "time >= 1779990000000ms and time <= 1780003600000ms")
        .replaceAll("$__interval", "1m")
        .replaceAll(
          /\$(gateway|patient|origin)/g,
          (_all, name) => ({ gateway: "(ward-3)", patient: "p-17", origin: "(measured)" })[String(name)] ?? "",
        );
      const answer = await influx.query(filled).catch((error: unknown) => String(error));
      const rows = typeof answer === "string" ? 0 : answer.reduce((sum, { values }) => sum + values.length, 0);
      if (rows === 0) failures.push(`${where}: ${typeof answer === "string" ? answer : "nothing"}`);
    }
    expect(failures).toEqual([]);
  });
});
