import { existsSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { ParsedField, ParsedLine } from "./influx-line-parser.ts";
import { freePort } from "./mosquitto.ts";
import type { Program, Stage } from "./stage.ts";
import { until } from "./until.ts";

const INFLUXD = "/usr/bin/influxd";
const VICTORIA = "/usr/bin/victoria-metrics";
/** Debian's packages. Where one is missing, the tests against it are skipped, loudly. */
export const influxIsMissing = !existsSync(INFLUXD);
export const victoriaIsMissing = !existsSync(VICTORIA);
if (influxIsMissing) process.stderr.write("SKIPPED: tests against InfluxDB 1 (install Debian's package `influxdb`)\n");
if (victoriaIsMissing)
  process.stderr.write("SKIPPED: tests against VictoriaMetrics (install Debian's package `victoria-metrics`)\n");

/** A real server in the stage's folder; what it stored outlives the process. */
export interface RealServer {
  readonly url: string;
  readonly port: number;
  readonly start: () => Promise<void>;
  /** Ends the process and waits for that. */
  readonly end: (signal: "SIGKILL" | "SIGTERM") => Promise<void>;
}

/** InfluxDB 1.6 with one database. */
export interface RealInflux extends RealServer {
  readonly query: (text: string) => Promise<readonly InfluxSeries[]>;
  readonly ask: (text: string) => Promise<{ readonly status: number; readonly body: string }>;
  /** Every point of a measurement. */
  readonly points: (measurement: string) => Promise<readonly ParsedLine[]>;
}

/** One series of an answer. */
export interface InfluxSeries {
  readonly name: string;
  readonly tags?: Readonly<Record<string, string>>;
  readonly columns: readonly string[];
  readonly values: readonly (readonly (string | number | boolean | null)[])[];
}

/** Prepares InfluxDB on free ports; `start` runs it and makes the database `vigil`. `auth`: only with name and password. */
export async function prepareInflux(
  stage: Stage,
  options: { readonly auth?: { readonly name: string; readonly password: string } } = {},
): Promise<RealInflux> {
  const folder = join(stage.folder, "influxdb");
  await mkdir(folder);
  const [port, rpcPort] = [await freePort(), await freePort()];
  const file = join(folder, "influxdb.conf");
  const url = `http://127.0.0.1:${port}`;
  await writeFile(file, influxSettings({ folder, port, rpcPort, withAuth: options.auth !== undefined }));
  const { auth } = options;
  const headers = auth === undefined ? {} : { authorization: `Basic ${btoa(`${auth.name}:${auth.password}`)}` };
  const ask = async (text: string) => {
    const response = await fetch(`${url}/query`, {
      method: "POST",
      headers,
      body: new URLSearchParams({ db: "vigil", q: text }),
    });
    return { status: response.status, body: await response.text() };
  };
  const query = async (text: string) => {
    const { status, body } = await ask(text);
    const parsed: { results?: { series?: InfluxSeries[]; error?: string }[]; error?: string } = JSON.parse(body);
    const error = parsed.error ?? parsed.results?.find((result) => result.error !== undefined)?.error;
    if (status !== 200 || error !== undefined) throw new Error(`${text}: ${status} ${error}`);
    return parsed.results?.flatMap(({ series }) => series ?? []) ?? [];
  };
  const running = processOf(stage, [INFLUXD, "-config", file], `${url}/ping`);
  const start = async () => {
    await running.start();
    if (auth !== undefined) await ask(`CREATE USER "${auth.name}" WITH PASSWORD '${auth.password}' WITH ALL PRIVILEGES`);
    await query('CREATE DATABASE "vigil"');
  };
  return {
    ...{ url, port, start, end: running.end, query, ask },
    points: async (measurement) => (await query(`SELECT * FROM "${measurement}" GROUP BY *`)).flatMap(linesOf),
  };
}

function influxSettings(of: { folder: string; port: number; rpcPort: number; withAuth: boolean }): string {
  const { folder, port, rpcPort, withAuth } = of;
  return [
    "reporting-disabled = true",
    `bind-address = "127.0.0.1:${rpcPort}"`,
    `[meta]\n  dir = "${folder}/meta"`,
    `[data]\n  dir = "${folder}/data"\n  wal-dir = "${folder}/wal"\n  query-log-enabled = false`,
    `[http]\n  bind-address = "127.0.0.1:${port}"\n  log-enabled = false\n  auth-enabled = ${withAuth}`,
    "[monitor]\n  store-enabled = false",
    '[logging]\n  level = "error"',
    "",
  ].join("\n");
}

function linesOf({ name, tags = {}, columns, values }: InfluxSeries): readonly ParsedLine[] {
  return values.map((row) => {
    const fields = new Map<string, ParsedField>();
    for (const [index, column] of columns.entries()) {
      const value = row[index] ?? null;
      if (column === "time" || value === null) continue;
      if (typeof value === "string") fields.set(column, { type: "string", value });
      else if (typeof value === "boolean") fields.set(column, { type: "boolean", value });
      else fields.set(column, { type: "float", value });
    }
    return { measurement: name, tags: new Map(Object.entries(tags)), fields, ns: nanosecondsIn(String(row[0])) };
  });
}

/** RFC 3339 with up to nine decimals; as numbers they would lose their last digits. */
function nanosecondsIn(text: string): bigint {
  const decimals = /\.(\d+)Z$/.exec(text)?.[1] ?? "";
  const seconds = Date.parse(text.replace(/\.\d+Z$/, "Z")) / 1000;
  return BigInt(seconds) * 1_000_000_000n + BigInt(decimals.padEnd(9, "0"));
}

/** VictoriaMetrics, which also takes what InfluxDB 1 and 2 take. */
export interface RealVictoria extends RealServer {
  /** Values by `measurement_field tag=value ... millisecond`. */
  readonly samples: () => Promise<ReadonlyMap<string, number>>;
  /** How many samples there are, each as often as it was kept. */
  readonly samplesCount: () => Promise<number>;
}

/** Prepares VictoriaMetrics on a free port, with the settings the documentation names. */
export async function prepareVictoria(stage: Stage): Promise<RealVictoria> {
  const folder = join(stage.folder, "victoria");
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const running = processOf(
    stage,
    [
      ...[VICTORIA, `-httpListenAddr=127.0.0.1:${port}`, `-storageDataPath=${folder}`, "-retentionPeriod=10y"],
      ...["-dedup.minScrapeInterval=1ms", "-loggerLevel=ERROR", "-memory.allowedBytes=256MB"],
    ],
    `${url}/health`,
  );
  const exported = async () => {
    await fetch(`${url}/internal/force_flush`);
    const match = new URLSearchParams({ "match[]": '{__name__=~".+"}', start: "1", end: "4000000000" });
    const text = await (await fetch(`${url}/api/v1/export?${match.toString()}`)).text();
    return text
      .split("\n")
      .filter((line) => line !== "")
      .map((line): Exported => JSON.parse(line));
  };
  return {
    ...{ url, port, start: running.start, end: running.end },
    samplesCount: async () => (await exported()).reduce((sum, { values }) => sum + values.length, 0),
    samples: async () => {
      const samples = new Map<string, number>();
      for (const { metric, values, timestamps } of await exported()) {
        const { __name__: name = "", ...labels } = metric;
        // The name of the database becomes a label of its own.
        const tags = Object.entries(labels).filter(([label]) => label !== "db");
        for (const [index, atMs] of timestamps.entries()) samples.set(sampleKey(name, tags, atMs), values[index] ?? Number.NaN);
      }
      return samples;
    },
  };
}

interface Exported {
  readonly metric: Readonly<Record<string, string>>;
  readonly values: readonly number[];
  readonly timestamps: readonly number[];
}

/** The samples that points must become: one for each field, in milliseconds, with 0 for a text. */
export function samplesOf(lines: readonly ParsedLine[]): ReadonlyMap<string, number> {
  const samples = new Map<string, number>();
  for (const { measurement, tags, fields, ns } of lines)
    for (const [name, { value }] of fields)
      samples.set(
        sampleKey(`${measurement}_${name}`, [...tags], Number(ns / 1_000_000n)),
        typeof value === "string" ? 0 : Number(value),
      );
  return samples;
}

function sampleKey(name: string, tags: readonly (readonly [string, string])[], atMs: number): string {
  const sorted = tags.map(([tag, value]) => `${tag}=${value}`).sort();
  return [name, ...sorted, atMs].join(" ");
}

function processOf(stage: Stage, command: readonly string[], pingUrl: string) {
  let program: Program | null = null;
  return {
    start: async () => {
      const started = stage.program(command);
      program = started;
      await until(`${command[0]} answers`, async () => {
        if (!started.running()) throw new Error(`${command[0]} ended: ${started.stderr.slice(-5).join("\n")}`);
        return fetch(pingUrl).then(
          ({ ok }) => ok,
          () => false,
        );
      });
    },
    end: async (signal: "SIGKILL" | "SIGTERM") => {
      program?.signal(signal);
      await program?.exited;
    },
  };
}
