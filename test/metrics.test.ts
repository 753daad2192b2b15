import { randomBytes } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { type IncomingMessage, request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fastify } from "fastify";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createMemoryJournal } from "../simulator/world/memory-journal.ts";
import { createSystemClock } from "../src/clock.ts";
import { Histogram } from "../src/core/histogram.ts";
import { LIMITS } from "../src/core/limits.ts";
import type { OperationsView } from "../src/core/operations.ts";
import { monotonicMs } from "../src/core/time.ts";
import { type Dashboard, startDashboard } from "../src/dashboard/server/dashboard.ts";
import type { DashboardOptions } from "../src/dashboard/server/dashboard-options.ts";
import { EXPOSITION_TYPE, exposition } from "../src/dashboard/server/exposition.ts";
import { addOperations } from "../src/dashboard/server/routes/operations.ts";
import { startOperationsMeter } from "../src/gateway/operations.ts";
import { parseExposition, seriesValue } from "./support/exposition-parser.ts";
import { bedView, createScriptedWard, limitAlert, type ScriptedWard } from "./support/scripted-ward.ts";

interface Answer {
  readonly status: number;
  readonly headers: IncomingMessage["headers"];
  readonly text: string;
}

const TOKEN = "a-token-of-twenty-eight-signs";

let folder = "";
let ward: ScriptedWard;
let heartbeatAgeMs: number | null = 400;
/** How far the gateway's clock is ahead of the machine's. */
let laterMs = 0;
const open: { readonly close: () => unknown }[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "vigil-metrics-"));
  await writeFile(join(folder, "index.html"), "<!doctype html><title>Vigil</title>");
  ward = createScriptedWard({ nowMs: Date.now, beds: [bedView("bed-1", Date.now()), bedView("bed-2", Date.now())] });
  heartbeatAgeMs = 400;
});

afterEach(async () => {
  for (const one of open.splice(0)) await one.close();
  await rm(folder, { recursive: true, force: true });
});

async function start(more: Partial<DashboardOptions> = {}): Promise<Dashboard> {
  const system = createSystemClock();
  const clock = { ...system, monotonic: () => monotonicMs(system.monotonic() + laterMs) };
  const meter = startOperationsMeter({ clock, journal: createMemoryJournal() });
  open.push({ close: meter.stop });
  const operations = (): OperationsView => ({ ...meter.view(), heartbeatAgeMs });
  const started = await startDashboard(
    { host: "127.0.0.1", port: 0, dataFolder: join(folder, "data"), webFolder: folder, signIn: true, ...more },
    { clock, source: ward.source, perform: ward.perform, random: randomBytes, operations },
  );
  if (!started.ok) throw new Error(JSON.stringify(started.error));
  open.push(started.value);
  return started.value;
}

function get(dashboard: Dashboard, path: string, headers: Record<string, string> = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sent = request(new URL(path, dashboard.url), { headers }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (chunk: string) => {
        text += chunk;
      });
      response.on("end", () => resolve({ status: response.statusCode ?? 0, headers: response.headers, text }));
    });
    sent.on("error", reject);
    sent.end();
  });
}

describe("the text format of the metrics", () => {
  test("says labels with quotes, backslashes and line ends so that they come back as they were", () => {
    const labels = { device: 'a"b\\c\nd' };
    const text = exposition([{ kind: "gauge", name: "x_bytes", help: "Two\nlines \\ here.", samples: [{ labels, value: 7 }] }]);
    expect(text).toBe('# HELP x_bytes Two\\nlines \\\\ here.\n# TYPE x_bytes gauge\nx_bytes{device="a\\"b\\\\c\\nd"} 7\n');
    expect(seriesValue(parseExposition(text), "x_bytes", labels)).toBe(7);
  });

  test("leaves out a metric of which nothing is known, rather than saying zero", () => {
    expect(exposition([{ kind: "gauge", name: "x", help: "X.", samples: [] }]).includes("x")).toBe(false);
  });

  test("counts a time that is exactly as long as a stretch into it, and a longer one into the next", () => {
    const times = new Histogram([10, 100]);
    for (const durationMs of [10, 10.5, 100, 250]) times.add(durationMs);
    const text = exposition([{ kind: "histogram", name: "x_seconds", help: "X.", times: times.view() }]);
    expect(text.split("\n").slice(2)).toEqual([
      'x_seconds_bucket{le="0.01"} 1',
      'x_seconds_bucket{le="0.1"} 3',
      'x_seconds_bucket{le="+Inf"} 4',
      "x_seconds_sum 0.3705",
      "x_seconds_count 4",
      "",
    ]);
    expect(parseExposition(text).size).toBe(1);
  });

  test.each([
    ["a line end too few", "# HELP x X.\n# TYPE x gauge\nx 1"],
    ["a series twice", "# HELP x X.\n# TYPE x gauge\nx 1\nx 2\n"],
    ["a counter without _total", "# HELP x X.\n# TYPE x counter\nx 1\n"],
    ["a sample of another metric", "# HELP x X.\n# TYPE x gauge\ny 1\n"],
    ["an unknown escape", '# HELP x X.\n# TYPE x gauge\nx{a="\\t"} 1\n'],
    ["no number", "# HELP x X.\n# TYPE x gauge\nx one\n"],
    ["no TYPE", "# HELP x X.\nx 1\n"],
    [
      "a stretch with less than the one before",
      '# HELP x X.\n# TYPE x histogram\nx_bucket{le="1"} 3\nx_bucket{le="+Inf"} 2\nx_sum 1\nx_count 2\n',
    ],
  ])("the test's own reader refuses %s", (_, text) => {
    expect(() => parseExposition(text)).toThrow();
  });
});

describe("/metrics", () => {
  test("is read by a strict parser and says what the picture says", async () => {
    ward.setAlert(limitAlert("alert-1", Date.now()));
    const answer = await get(await start(), "/metrics");
    expect(answer.status).toBe(200);
    expect(answer.headers["content-type"]).toBe(EXPOSITION_TYPE);
    expect(answer.headers["cache-control"]).toBe("no-store");
    const metrics = parseExposition(answer.text);
    const [alert] = ward.source.picture().alerts;
    expect(seriesValue(metrics, "vigil_alerts_open", { nature: "physiological", priority: alert?.priority ?? "" })).toBe(1);
    expect(seriesValue(metrics, "vigil_alerts_open", { nature: "technical", priority: "low" })).toBe(0);
    expect(seriesValue(metrics, "vigil_heartbeat_age_seconds")).toBe(0.4);
    expect(seriesValue(metrics, "vigil_device_last_heard_age_seconds", { device: "monitor-9" })).toBeGreaterThan(3.9);
    for (const { patient } of ward.source.picture().beds)
      if (patient !== null)
        for (const secret of [patient.patientId, patient.label]) expect(answer.text.includes(secret)).toBe(false);
  });

  test("says no age of a heartbeat that never was", async () => {
    heartbeatAgeMs = null;
    expect((await get(await start(), "/metrics")).text.includes("vigil_heartbeat_age_seconds")).toBe(false);
  });

  const elsewhere = { "x-forwarded-for": "10.1.2.3" };

  test("is for this machine, and for others only with the token of the file, which may be changed", async () => {
    const metricsTokenFile = join(folder, "metrics.token");
    await writeFile(metricsTokenFile, `${TOKEN}\n`, { mode: 0o600 });
    const dashboard = await start({ metricsTokenFile });
    const statusOf = async (headers: Record<string, string>) => (await get(dashboard, "/metrics", headers)).status;
    expect(await statusOf({})).toBe(200);
    const refused = await get(dashboard, "/metrics", elsewhere);
    expect([refused.status, refused.headers["www-authenticate"]]).toEqual([401, 'Bearer realm="metrics"']);
    expect(refused.text).toBe("unauthorized\n");
    expect(await statusOf({ ...elsewhere, authorization: `Bearer ${TOKEN}` })).toBe(200);
    expect(await statusOf({ ...elsewhere, authorization: `Bearer ${TOKEN}x` })).toBe(401);
    expect(await statusOf({ ...elsewhere, authorization: `Bearer ${TOKEN.slice(1)}` })).toBe(401);
    expect(await statusOf({ ...elsewhere, authorization: TOKEN })).toBe(401);
    await writeFile(metricsTokenFile, `${TOKEN}-new\n`);
    expect(await statusOf({ ...elsewhere, authorization: `Bearer ${TOKEN}` })).toBe(401);
    expect(await statusOf({ ...elsewhere, authorization: `Bearer ${TOKEN}-new` })).toBe(200);
  });

  test.each([
    ["of fifteen signs", "x".repeat(15), 401],
    ["of sixteen signs", "x".repeat(16), 200],
  ])("takes a token %s as %s: %d", async (_, token, status) => {
    const metricsTokenFile = join(folder, "metrics.token");
    await writeFile(metricsTokenFile, token);
    const dashboard = await start({ metricsTokenFile });
    expect((await get(dashboard, "/metrics", { ...elsewhere, authorization: `Bearer ${token}` })).status).toBe(status);
  });

  test("gives others nothing where there is no file, or it is missing or empty", async () => {
    const authorization = `Bearer ${TOKEN}`;
    const without = await start();
    expect((await get(without, "/metrics", { ...elsewhere, authorization })).status).toBe(401);
    const missing = await start({ metricsTokenFile: join(folder, "nowhere") });
    expect((await get(missing, "/metrics", { ...elsewhere, authorization })).status).toBe(401);
    await writeFile(join(folder, "empty"), "\n");
    const empty = await start({ metricsTokenFile: join(folder, "empty") });
    expect((await get(empty, "/metrics", { ...elsewhere, authorization: "Bearer " })).status).toBe(401);
  });

  test.each([
    ["127.0.0.1", "127.0.0.1:8710", 200],
    ["::ffff:127.0.0.1", "localhost:8710", 200],
    ["::1", "[::1]:8710", 200],
    ["10.1.2.3", "127.0.0.1:8710", 401],
    ["::ffff:10.1.2.3", "10.9.9.9:8710", 401],
    ["fe80::1", "localhost", 401],
    // A proxy on this machine that asks for others, and hands on the name they used.
    ["127.0.0.1", "ward-3.hospital.example", 401],
  ])("a request from %s to %s is answered with %d", async (remoteAddress, host, status) => {
    const app = fastify();
    const meter = startOperationsMeter({ clock: createSystemClock(), journal: createMemoryJournal() });
    open.push({ close: meter.stop }, app);
    addOperations(app, {
      options: {},
      parts: { clock: createSystemClock(), source: ward.source, operations: meter.view },
      live: { pageCount: () => 0 },
    });
    const answer = await app.inject({ url: "/metrics", remoteAddress, headers: { host } });
    expect(answer.statusCode).toBe(status);
    expect((await app.inject({ url: "/healthz", remoteAddress, headers: { host } })).statusCode).toBe(200);
  });

  test("is not read by a page of another site whose name points here", async () => {
    expect((await get(await start(), "/metrics", { host: "evil.example" })).status).toBe(421);
  });
});

describe("/healthz and /readyz", () => {
  test("the first says only that the process answers", async () => {
    const dashboard = await start();
    heartbeatAgeMs = 60_000;
    const answer = await get(dashboard, "/healthz");
    expect([answer.status, answer.text]).toEqual([200, "alive\n"]);
    expect((await get(dashboard, "/api/healthz")).text).toBe('{"alive":true}');
  });

  const silenceMs = LIMITS.heartbeatSilenceMsMax.value;

  test("the second is ready while the alert path shows that it works, and names in one word why not", async () => {
    const dashboard = await start();
    const ready = async () => {
      laterMs += 500;
      const { status, text } = await get(dashboard, "/readyz");
      return `${status} ${text}`;
    };
    expect(await ready()).toBe("200 ready\n");
    heartbeatAgeMs = null;
    expect(await ready()).toBe("503 starting\n");
    heartbeatAgeMs = silenceMs;
    expect(await ready()).toBe("503 stalled\n");
    heartbeatAgeMs = silenceMs - 1;
    expect(await ready()).toBe("200 ready\n");
    const { gateway } = ward.source.picture();
    ward.setGateway({ ...gateway, clockTrust: "untrusted" });
    expect(await ready()).toBe("503 clock\n");
    ward.setGateway({ ...gateway, clockTrust: "untrusted", journal: { state: "failing", waitingRecords: 4 } });
    expect(await ready()).toBe("503 journal\n");
    ward.setGateway({ ...gateway, clockTrust: "trusted" });
    // Asked again within half a second it says what it said.
    expect((await get(dashboard, "/readyz")).status).toBe(503);
    expect(await ready()).toBe("200 ready\n");
  });

  test("ten seconds without a heartbeat are too many, as the supervisor counts", () => {
    expect(silenceMs).toBe(10_000);
  });
});
