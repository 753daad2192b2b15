import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { get } from "node:http";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { startDemoBroker } from "../broker/demo-broker.ts";
import { createSystemClock } from "../clock.ts";
import { bedId, deviceId, patientId } from "../core/ids.ts";
import { assert } from "../core/result.ts";
import type { BedView, PictureView } from "../core/stream.ts";
import { type BatchMessage, upstreamTopics } from "../core/upstream.ts";
import { askGateway } from "../gateway/control-socket.ts";
import { connectMqtt } from "../sinks/mqtt-client.ts";
import { CONTROL_SOCKET_NAME } from "./ask.ts";
import { limitToShare } from "./bench-cgroup.ts";
import { createLatencies, type Latencies, openTracedWard, type TracedWard } from "./bench-load.ts";
import { wholePathRate } from "./bench-path.ts";
import { processTree, useOf } from "./bench-processes.ts";
import type { Command, CommandIo } from "./command.ts";
import { MAIN_FILE } from "./run.ts";

/** One gateway under one load. */
interface Trial {
  readonly name: string;
  readonly beds: number;
  /** `fsyncMs,slowFsyncMs,slowShare,seed` for the journal's simulated disk, or null for the disk as it is. */
  readonly disk: string | null;
  /** Share of one core the gateway's processes may use, or null for as much as there is. */
  readonly coreShare: number | null;
}

/** An SD card: 15 ms a commit, 400 ms in 3 % of them. Source: safety.md, conditions for honest figures. */
const SLOW_DISK = "15,400,0.03,7";
const WARM_UP_MS = 15_000;
const MEASURE_MS = 30_000;

const TRIALS: readonly Trial[] = [
  { name: "200 beds", beds: 200, disk: null, coreShare: null },
  { name: "200 beds, slow disk", beds: 200, disk: SLOW_DISK, coreShare: null },
  { name: "20 beds, slow disk", beds: 20, disk: SLOW_DISK, coreShare: null },
  { name: "20 beds, slow disk, a quarter of one core", beds: 20, disk: SLOW_DISK, coreShare: 0.25 },
];

/** `vigil bench`: the measured figures of the README. */
export const benchCommand: Command = {
  name: "bench",
  usage: `usage: vigil bench [--json] [--seconds N]
Starts real gateways under simulated monitors on TCP and measures byte to page, byte to upstream, processor, memory and disk.
Takes about four minutes. Close other programs first: figures of speed are only as good as the machine is quiet.`,
  run: async (args, io) => {
    const { values } = parseArgs({ args: [...args], options: { json: { type: "boolean" }, seconds: { type: "string" } } });
    const measureMs = values.seconds === undefined ? MEASURE_MS : Number(values.seconds) * 1000;
    if (!(measureMs >= 1000)) {
      io.stderr(benchCommand.usage);
      return 2;
    }
    const rate = await wholePathRate();
    io.stdout(values.json === true ? JSON.stringify({ figure: "whole-path", ...rate }) : pathLine(rate));
    for (const trial of TRIALS) {
      const figures = await measure(trial, measureMs, io);
      io.stdout(values.json === true ? JSON.stringify({ figure: "trial", ...figures }) : trialLine(figures));
    }
    return 0;
  },
};

/** What one trial showed. */
interface TrialFigures {
  readonly name: string;
  readonly beds: number;
  readonly observationsPerSecond: number;
  readonly page: ReturnType<Latencies["summary"]>;
  readonly upstream: ReturnType<Latencies["summary"]>;
  /** A bare publish through the same broker and back, measured in the same run: the null path of `upstream`. */
  readonly broker: ReturnType<Latencies["summary"]>;
  readonly coreShare: number;
  readonly pssMegabytes: number;
  readonly processCount: number;
  readonly writtenBytesPerThousand: number;
  readonly fsyncsPerThousand: number;
}

function pathLine(rate: Awaited<ReturnType<typeof wholePathRate>>): string {
  return `whole path in one process: ${rate.observationsPerSecond} observations/s, ${rate.ratioToDecoding} of decoding alone (${rate.decodedPerSecond}/s)`;
}

function trialLine(f: TrialFigures): string {
  const latency = (of: TrialFigures["page"]) => `p50 ${of.p50Ms} ms p99 ${of.p99Ms} ms max ${of.maxMs} ms`;
  return `${f.name}: ${f.observationsPerSecond} observations/s | page ${latency(f.page)} | upstream ${latency(f.upstream)} | bare broker ${latency(f.broker)} | ${f.coreShare} of a core | PSS ${f.pssMegabytes} MB in ${f.processCount} processes | ${f.writtenBytesPerThousand} bytes and ${f.fsyncsPerThousand} fsyncs per 1,000 observations`;
}

async function measure(trial: Trial, measureMs: number, io: CommandIo): Promise<TrialFigures> {
  const clock = createSystemClock();
  const folder = await mkdtemp(join(tmpdir(), "vigil-bench-"));
  const ward = await openTracedWard(trial.beds, clock);
  const broker = await startDemoBroker({ port: 0, accounts: [{ username: "bench", password: "bench" }], connectionsMax: 8 });
  assert(broker.ok, "a free port on the loopback interface can be opened");
  const pagePort = await freePort();
  await writeFile(join(folder, "password"), "bench", { mode: 0o600 });
  await writeFile(
    join(folder, "config.yaml"),
    JSON.stringify(configOf({ folder, ward, brokerPort: broker.value.port, pagePort })),
  );
  const child = startGateway(folder, trial);
  const limit = trial.coreShare === null ? null : limitToShare(child.pid ?? 0, trial.coreShare);
  if (trial.coreShare !== null && limit === null)
    io.stderr(`${trial.name}: NOT HELD to its share, this machine does not allow it`);
  const latencies = { page: createLatencies(), upstream: createLatencies(), broker: createLatencies() };
  const stop = new AbortController();
  try {
    const socket = join(folder, "data", CONTROL_SOCKET_NAME);
    await admitAll(socket, trial.beds);
    const closePage = watchPage(pagePort, ward, latencies.page);
    await watchUpstream({
      brokerPort: broker.value.port,
      passwordFile: join(folder, "password"),
      ward,
      latencies,
      stop: stop.signal,
    });
    await clock.sleep(WARM_UP_MS);
    const pids = processTree(child.pid ?? 0);
    for (const each of Object.values(latencies)) each.clear();
    const before = { use: useOf(pids), journal: await journalStats(socket), atMs: clock.monotonic() };
    await clock.sleep(measureMs);
    const after = { use: useOf(pids), journal: await journalStats(socket), atMs: clock.monotonic() };
    closePage();
    const seconds = (after.atMs - before.atMs) / 1000;
    const observations = after.journal.observations - before.journal.observations;
    const perThousand = (count: number) => Math.round((count / observations) * 10_000) / 10;
    return {
      name: trial.name,
      beds: trial.beds,
      observationsPerSecond: Math.round(observations / seconds),
      page: latencies.page.summary(),
      upstream: latencies.upstream.summary(),
      broker: latencies.broker.summary(),
      coreShare: Math.round(((after.use.cpuSeconds - before.use.cpuSeconds) / seconds) * 100) / 100,
      pssMegabytes: after.use.pssMegabytes,
      processCount: after.use.processCount,
      writtenBytesPerThousand: Math.round(perThousand(after.use.writtenBytes - before.use.writtenBytes)),
      fsyncsPerThousand: perThousand(after.journal.fsyncs - before.journal.fsyncs),
    };
  } finally {
    stop.abort();
    child.kill("SIGTERM");
    await new Promise((resolve) => child.once("exit", resolve));
    limit?.release();
    await Promise.all([ward.close(), broker.value.close()]);
    await rm(folder, { recursive: true, force: true });
    io.stderr(`${trial.name}: done`);
  }
}

function configOf(at: {
  readonly folder: string;
  readonly ward: TracedWard;
  readonly brokerPort: number;
  readonly pagePort: number;
}): unknown {
  return {
    gateway: { id: "bench", dataFolder: join(at.folder, "data") },
    dashboard: { port: at.pagePort, signIn: false },
    beds: at.ward.ports.map((_, index) => ({ id: `bed-${index + 1}`, title: String(index + 1) })),
    devices: at.ward.ports.map(({ deviceId: id, port }, index) => ({
      id,
      driver: "serial-ivy-450c",
      bed: `bed-${index + 1}`,
      link: { kind: "tcp", host: "127.0.0.1", port },
    })),
    upstreams: [
      {
        name: "bench",
        kind: "mqtt",
        url: `mqtt://127.0.0.1:${at.brokerPort}`,
        protocolVersion: 4,
        username: "bench",
        passwordFile: join(at.folder, "password"),
      },
    ],
  };
}

function startGateway(folder: string, trial: Trial): ChildProcess {
  const env = { ...process.env, ...(trial.disk === null ? {} : { VIGIL_SIMULATED_DISK: trial.disk }) };
  return spawn(process.execPath, [MAIN_FILE, "run", "--config", join(folder, "config.yaml")], {
    env,
    stdio: ["ignore", "ignore", "ignore"],
  });
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen({ host: "127.0.0.1", port: 0 }, resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === "object" && address !== null ? address.port : 0;
}

/** Asks until the gateway is there; a bench that cannot start its gateway has nothing to say. */
async function ask(socket: string, request: { readonly name: string; readonly body: unknown }): Promise<unknown> {
  const clock = createSystemClock();
  for (let attempt = 0; attempt < 300; attempt++) {
    const answer = await askGateway(socket, request, clock);
    if (answer.ok) return answer.value;
    await clock.sleep(100);
  }
  throw new Error("the gateway under measurement does not answer");
}

async function admitAll(socket: string, beds: number): Promise<void> {
  for (let bed = 1; bed <= beds; bed++) {
    const patient = patientId(`p-${bed}`);
    const deeds = [
      {
        kind: "admit",
        patientId: patient,
        bedId: bedId(`bed-${bed}`),
        label: `P${bed}`,
        profile: { kind: "adult", spo2Scale: 1 },
        demonstration: false,
      },
      { kind: "assign", deviceId: deviceId(`monitor-${bed}`), patientId: patient },
    ];
    for (const deed of deeds) await ask(socket, { name: "perform", body: { deed, userId: "bench" } });
  }
}

async function journalStats(socket: string): Promise<{ readonly observations: number; readonly fsyncs: number }> {
  const stats = (await ask(socket, { name: "stats", body: null })) as {
    readonly committedRecords: number;
    readonly fsyncs: number;
  };
  return { observations: stats.committedRecords, fsyncs: stats.fsyncs };
}

/** Reads the page's live stream as a page does, and notes when each traced heart rate arrives for the first time. */
function watchPage(port: number, ward: TracedWard, latencies: Latencies): () => void {
  const clock = createSystemClock();
  const counted = new Map<string, number>();
  const takeBeds = (beds: readonly BedView[]) => {
    const now = clock.monotonic();
    for (const bed of beds) {
      for (const number of bed.numbers) {
        if (
          number.quantity !== "heartRate" ||
          number.content.state !== "present" ||
          counted.get(number.deviceId) === number.content.value
        )
          continue;
        counted.set(number.deviceId, number.content.value);
        const ms = ward.latencyMs(number.deviceId, number.content.value, now);
        if (ms !== null) latencies.add(ms);
      }
    }
  };
  const request = get({ host: "127.0.0.1", port, path: "/api/stream" }, (response) => {
    let text = "";
    response.setEncoding("utf8").on("data", (chunk: string) => {
      text += chunk;
      for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n")) {
        const event = text.slice(0, end);
        text = text.slice(end + 2);
        const data = /^data: ?(.*)$/m.exec(event)?.[1];
        if (data === undefined) continue;
        if (/^event: ?beds$/m.test(event)) takeBeds((JSON.parse(data) as { readonly beds: readonly BedView[] }).beds);
        if (/^event: ?picture$/m.test(event)) takeBeds((JSON.parse(data) as { readonly picture: PictureView }).picture.beds);
      }
    });
  });
  request.on("error", () => {});
  return () => request.destroy();
}

/** Subscribes to the observations and sends a small message through the same broker and back ten times a second, for comparison. */
async function watchUpstream(at: {
  readonly brokerPort: number;
  readonly passwordFile: string;
  readonly ward: TracedWard;
  readonly latencies: { readonly upstream: Latencies; readonly broker: Latencies };
  readonly stop: AbortSignal;
}): Promise<void> {
  const clock = createSystemClock();
  const topics = upstreamTopics({ prefix: "vigil", gatewayId: "bench" });
  const echoTopic = "bench/echo";
  const connected = await connectMqtt(
    { url: `mqtt://127.0.0.1:${at.brokerPort}`, protocolVersion: 4, username: "bench", passwordFile: at.passwordFile },
    { clientId: "bench-receiver", sessionExpirySeconds: 0, will: null },
    {
      clock,
      stop: at.stop,
      onMessage: ({ topic, payload }) => {
        const now = clock.monotonic();
        const text = Buffer.from(payload).toString("utf8");
        if (topic === echoTopic) return at.latencies.broker.add(now - Number(text));
        for (const { record } of (JSON.parse(text) as BatchMessage).records) {
          if (record.kind !== "observation" || record.quantity !== "heartRate" || record.content.state !== "present") continue;
          const ms = at.ward.latencyMs(record.deviceId, record.content.value, now);
          if (ms !== null) at.latencies.upstream.add(ms);
        }
      },
    },
  );
  assert(connected.ok, "the bench's own broker lets the bench in");
  await connected.value.subscribe([topics.observations, echoTopic]);
  const timer = clock.every(
    100,
    () =>
      void connected.value.publish({
        topic: echoTopic,
        payload: String(clock.monotonic()),
        retain: false,
        urgent: false,
        properties: null,
      }),
  );
  at.stop.addEventListener("abort", () => timer.stop());
}
