import { readFile, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:net";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { createSystemClock } from "../src/clock.ts";
import type { Deed } from "../src/core/act.ts";
import { bedId, deviceId, patientId } from "../src/core/ids.ts";
import type { JournalStats } from "../src/core/ports.ts";
import { askGateway } from "../src/gateway/control-socket.ts";
import { parseExposition, seriesValue } from "./support/exposition-parser.ts";
import { freePort, mosquittoIsMissing, prepareMosquitto } from "./support/mosquitto.ts";
import { type Files, perform, picture, runSupervised, writeConfig } from "./support/real-gateway.ts";
import { openSettableWard } from "./support/settable-ward.ts";
import { type Stage, stageOfEachTest } from "./support/stage.ts";
import { until } from "./support/until.ts";

const stage = stageOfEachTest();
const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});

/** Words that occur nowhere else, so that each trace of them is one of a patient. */
const PATIENT = "QXZ-7731-PATIENT";
const LABEL = "Konspikua Zz";
const NOTE = "allergisch gegen Quittengelee";
const OTHER = "QXZ-8842-OTHER";
/** Such a temperature occurs in no address, time or count. */
const CELSIUS = 41.7;

/** A device that sends frames which its driver cannot read, with the patient in them. Source of the frame: drivers/serial/ivy-450c.ts. */
async function talkNonsense(): Promise<number> {
  const server = createServer((socket) => {
    socket.on("error", () => {});
    const frame = Buffer.concat([Buffer.of(0xff), Buffer.from(`ANSAR-B ${PATIENT} ${LABEL} T=${CELSIUS}\r`), Buffer.of(0xfe)]);
    const timer = setInterval(() => socket.write(frame), 100);
    socket.on("close", () => clearInterval(timer));
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", () => resolve()));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  return address.port;
}

/** A gateway at log level info with two monitors, a device that talks nonsense and a page. */
async function start(on: Stage) {
  const ward = await openSettableWard(2);
  on.defer(() => ward.close());
  const mosquitto = mosquittoIsMissing ? null : await prepareMosquitto(["allow_anonymous true", "persistence false"]);
  if (mosquitto !== null) {
    on.defer(() => mosquitto.remove());
    await mosquitto.start();
  }
  const pagePort = await freePort();
  const babbler = {
    id: "babbler-1",
    driver: "serial-ivy-450c",
    bed: "bed-1",
    link: { kind: "tcp", host: "127.0.0.1", port: await talkNonsense() },
  };
  const brokerPort = mosquitto === null ? {} : { brokerPort: mosquitto.port };
  const files = await writeConfig(on, { ward, pagePort, moreDevices: [babbler], ...brokerPort });
  const config: Readonly<Record<string, unknown>> = JSON.parse(await readFile(files.configFile, "utf8"));
  await writeFile(files.configFile, JSON.stringify({ ...config, log: { level: "info" } }));
  const gateway = await runSupervised(on, files);
  const get = async (path: string) => {
    const response = await fetch(`http://127.0.0.1:${pagePort}${path}`);
    return { status: response.status, text: await response.text() };
  };
  await until("the page is there", async () => (await get("/healthz").catch(() => null))?.status === 200);
  return { ward, files, gateway, get };
}

/** What somebody does at the bedside; what cannot be done is refused. */
async function act(files: Files, deeds: readonly Deed[]): Promise<readonly boolean[]> {
  const answers: boolean[] = [];
  for (const deed of deeds) answers.push((await perform(files, deed))?.ok === true);
  return answers;
}

function admission(patient: string, bed: string): Deed {
  const profile = { kind: "adult", spo2Scale: 1 } as const;
  return { kind: "admit", patientId: patientId(patient), bedId: bedId(bed), label: LABEL, profile, demonstration: false };
}

describe("a busy gateway with people in it", () => {
  test("says in its metrics what it says of itself, is ready, and nothing of a patient gets into its log or its metrics", async () => {
    const on = stage();
    const { ward, files, gateway, get } = await start(on);
    const patient = patientId(PATIENT);
    const monitor = deviceId("monitor-1");
    const begun = await act(files, [
      admission(PATIENT, "bed-1"),
      { kind: "assign", deviceId: monitor, patientId: patient },
      { kind: "enter-consciousness", patientId: patient, consciousness: "A" },
      { kind: "note", patientId: patient, text: NOTE },
      // Refused: this patient is here already, that bed is taken, nobody reaches this limit.
      admission(PATIENT, "bed-2"),
      admission(OTHER, "bed-1"),
      { kind: "set-limit", patientId: patient, quantity: "bodyTemperature", low: null, high: { value: 400, priority: "high" } },
      { kind: "set-limit", patientId: patient, quantity: "bodyTemperature", low: null, high: { value: 39, priority: "high" } },
    ]);
    expect(begun).toEqual([true, true, true, true, false, false, false, true]);
    ward.beds[0]?.takeTemperature(CELSIUS);
    const alert = await until("the fever is an alert", async () =>
      (await picture(files))?.alerts.find(({ rule }) => rule === "limit.bodyTemperature.high"),
    );
    await until(
      "the nonsense is a fault",
      () => gateway.supervisor.stderr.some((line) => line.includes("device-refused")),
      20_000,
    );
    await until("it is ready", async () => (await get("/readyz")).text === "ready\n");
    expect((await get("/readyz")).status).toBe(200);

    const stats = async () => {
      const answer = await askGateway(join(files.dataFolder, "control.sock"), { name: "stats", body: null }, createSystemClock());
      if (!answer.ok) throw new Error(JSON.stringify(answer.error));
      return answer.value as JournalStats;
    };
    // The gateway goes on meanwhile: what it counts lies between what it said before and after.
    const before = await stats();
    const { status, text } = await get("/metrics");
    const after = await stats();
    expect(status).toBe(200);
    const metrics = parseExposition(text);
    const of = (name: string, labels: Readonly<Record<string, string>> = {}) => seriesValue(metrics, name, labels) ?? Number.NaN;
    for (const [name, field] of [
      ["vigil_journal_committed_records_total", "committedRecords"],
      ["vigil_journal_commits_total", "commits"],
      ["vigil_journal_fsyncs_total", "fsyncs"],
      ["vigil_journal_size_bytes", "bytesOnDisk"],
      ["vigil_journal_dropped_records_total", "droppedRecords"],
    ] as const) {
      expect(of(name), name).toBeGreaterThanOrEqual(before[field]);
      expect(of(name), name).toBeLessThanOrEqual(after[field]);
    }
    expect(of("vigil_journal_committed_records_total")).toBeGreaterThan(20);
    expect(of("vigil_journal_commit_seconds_count")).toBe(of("vigil_journal_commits_total"));
    const { samples = [] } = metrics.get("vigil_records_total") ?? {};
    const made = samples.reduce((sum, { value }) => sum + value, 0);
    expect(made).toBe(of("vigil_journal_committed_records_total") + of("vigil_journal_waiting_records"));
    expect(of("vigil_device_link_up", { device: "monitor-1" })).toBe(1);
    expect(of("vigil_device_assigned", { device: "monitor-1" })).toBe(1);
    expect(of("vigil_device_assigned", { device: "monitor-2" })).toBe(0);
    expect(of("vigil_device_last_heard_age_seconds", { device: "monitor-1" })).toBeLessThan(10);
    expect(of("vigil_device_refused_frames_total", { device: "babbler-1" })).toBeGreaterThan(5);
    expect(of("vigil_alerts_open", { nature: "physiological", priority: "high" })).toBeGreaterThan(0);
    expect(of("vigil_observations_total", { quantity: "bodyTemperature" })).toBeGreaterThan(0);
    expect(of("vigil_heartbeat_age_seconds")).toBeLessThan(10);
    if (!mosquittoIsMissing) expect(of("vigil_upstream_connected", { upstream: "hospital" })).toBe(1);

    const ended = await act(files, [
      { kind: "acknowledge", alertId: alert.id },
      { kind: "release", deviceId: monitor },
      { kind: "discharge", patientId: patient },
      { kind: "discharge", patientId: patientId(OTHER) },
    ]);
    expect(ended).toEqual([true, true, true, false]);
    gateway.supervisor.signal("SIGTERM");
    expect(await gateway.supervisor.exited).toBe(0);

    const said = [...gateway.supervisor.stdout, ...gateway.supervisor.stderr];
    expect(said.length).toBeGreaterThan(3);
    // Times and times of day may hold any digits.
    const log = said.join("\n").replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, "");
    for (const secret of [PATIENT, OTHER, LABEL, NOTE, "Quittengelee", "QXZ"]) {
      expect(log.includes(secret), `${secret} in the log`).toBe(false);
      expect(text.includes(secret), `${secret} in the metrics`).toBe(false);
    }
    expect(log).not.toMatch(/(?<![\d.])41\.7(?!\d)/);
    expect(text).not.toMatch(/ 41\.7$/m);
  }, 60_000);
});
