import { spawn } from "node:child_process";
import { rmSync } from "node:fs";
import { mkdtemp, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type DemoBroker, startDemoBroker } from "../../broker/demo-broker.ts";
import { createSystemClock } from "../../clock.ts";
import { bedId, deviceId, patientId } from "../../core/ids.ts";
import type { JournalStats, MqttServer } from "../../core/ports.ts";
import { assert } from "../../core/result.ts";
import type { GatewayView } from "../../core/stream.ts";
import { askGateway } from "../../gateway/control-socket.ts";
import { CONTROL_SOCKET_NAME } from "../ask.ts";
import type { CommandIo } from "../command.ts";
import { MAIN_FILE } from "../run.ts";
import { limitToShare } from "./cgroup.ts";
import { type BenchDisk, type Conditions, conditionsNow, MEMORY_FOLDER, SLOW_DISK } from "./conditions.ts";
import { openTracedWard, type TracedWard } from "./load.ts";
import { PAUSES_VARIABLE, type Pauses } from "./pauses.ts";
import { processTree } from "./processes.ts";

/** One gateway under one load. */
export interface StagePlan {
  readonly beds: number;
  readonly disk: BenchDisk;
  /** Share of one core the gateway's processes may use, or null for as much as there is. */
  readonly coreShareMax: number | null;
  /** Whether the monitors raise alarms of their own. */
  readonly alarms: boolean;
  readonly coreCount: number;
}

/** What the gateway's control socket says of it. */
export interface StageStats extends JournalStats {
  readonly upstreams: GatewayView["upstreams"];
}

/** A running gateway in processes of its own, with its ward, its broker and a patient in every bed. */
export interface BenchStage {
  readonly conditions: Conditions;
  readonly ward: TracedWard;
  /** Of the supervisor; the gateway is its child. */
  readonly pid: number;
  readonly pagePort: number;
  /** Where the gateway's journal lies. */
  readonly journalFolder: string;
  /** How a receiver reaches the broker. */
  readonly upstream: MqttServer;
  readonly stats: () => Promise<StageStats>;
  /** The pauses of the gateway's main thread since this was last asked. */
  readonly pauses: () => Promise<Pauses>;
  readonly stopBroker: () => Promise<void>;
  /** Starts a broker that knows nothing of the one before, on the same port. */
  readonly startBroker: () => Promise<void>;
  /** Stops the gateway as a person would; its files stay. */
  readonly stopGateway: () => Promise<void>;
  /** Stops everything and removes the files. */
  readonly close: () => Promise<void>;
}

const ACCOUNT = { username: "bench", password: "bench" } as const;
const CONNECTIONS_MAX = 8;

/** Starts a gateway with everything around it, and puts a patient into each bed. */
export async function openStage(plan: StagePlan, io: CommandIo): Promise<BenchStage> {
  const clock = createSystemClock();
  const before = conditionsNow(plan);
  const folder = await mkdtemp(join(plan.disk === "instant" ? MEMORY_FOLDER : tmpdir(), "vigil-bench-"));
  const ward = await openTracedWard(plan.beds, { clock, alarms: plan.alarms });
  let broker = await openBroker(0);
  const { port: brokerPort } = broker;
  const pagePort = await freePort();
  const passwordFile = join(folder, "password");
  await writeFile(passwordFile, ACCOUNT.password, { mode: 0o600 });
  await writeFile(join(folder, "config.yaml"), JSON.stringify(configOf({ folder, ward, brokerPort, pagePort })));
  const socket = join(folder, "data", CONTROL_SOCKET_NAME);
  const gateway = startGateway(folder, plan);
  if (!gateway.shareWasHeld)
    io.stderr("NOT HELD to its share of a core: this machine does not allow it 本机不允许限制处理器份额");
  const removeFolder = () => rmSync(folder, { recursive: true, force: true });
  process.once("exit", removeFolder);
  const close = async () => {
    await gateway.stop();
    await Promise.all([ward.close(), broker.close()]);
    process.off("exit", removeFolder);
    removeFolder();
  };
  try {
    await admitAll(socket, plan.beds);
  } catch (error) {
    await close();
    throw error;
  }
  return {
    conditions: { ...before, shareWasHeld: gateway.shareWasHeld },
    ward,
    pid: gateway.pid,
    pagePort,
    journalFolder: join(folder, "data", "journal"),
    upstream: { url: `mqtt://127.0.0.1:${brokerPort}`, protocolVersion: 4, username: ACCOUNT.username, passwordFile },
    stats: async () => (await ask(socket, { name: "stats", body: null })) as StageStats,
    pauses: async () => (await ask(socket, { name: "pauses", body: null })) as Pauses,
    stopBroker: () => broker.close(),
    startBroker: async () => {
      broker = await openBroker(brokerPort);
    },
    stopGateway: () => gateway.stop(),
    close,
  };
}

async function openBroker(port: number): Promise<DemoBroker> {
  const opened = await startDemoBroker({ port, accounts: [ACCOUNT], connectionsMax: CONNECTIONS_MAX });
  assert(opened.ok, "a free port on the loopback interface can be opened");
  return opened.value;
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
        username: ACCOUNT.username,
        passwordFile: join(at.folder, "password"),
      },
    ],
  };
}

/** The supervisor's process with the gateway in it, held to its share. */
interface StartedGateway {
  readonly pid: number;
  readonly shareWasHeld: boolean;
  readonly stop: () => Promise<void>;
}

function startGateway(folder: string, plan: StagePlan): StartedGateway {
  const { fsyncMs, slowFsyncMs, slowShare, seed } = SLOW_DISK;
  const disk = plan.disk === "slow" ? { VIGIL_SIMULATED_DISK: [fsyncMs, slowFsyncMs, slowShare, seed].join(",") } : {};
  const child = spawn(process.execPath, [MAIN_FILE, "run", "--config", join(folder, "config.yaml")], {
    env: { ...process.env, ...disk, [PAUSES_VARIABLE]: "1" },
    stdio: ["ignore", "ignore", "ignore"],
  });
  const { pid } = child;
  assert(pid !== undefined, "the program that runs the bench can be started again");
  const limit = plan.coreShareMax === null ? null : limitToShare(pid, plan.coreShareMax);
  const exited = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  // A bench that is ended in the middle leaves no gateway behind, which would write into a folder that is gone.
  const endWithBench = () => {
    for (const each of processTree(pid)) process.kill(each, "SIGKILL");
  };
  process.once("exit", endWithBench);
  return {
    pid,
    shareWasHeld: plan.coreShareMax === null || limit !== null,
    stop: async () => {
      child.kill("SIGTERM");
      await exited;
      process.off("exit", endWithBench);
      limit?.release();
    },
  };
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
