import { rmSync } from "node:fs";
import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type DemoBroker, startDemoBroker } from "../../broker/demo-broker.ts";
import { createSystemClock } from "../../clock.ts";
import { bedId, deviceId, patientId } from "../../core/ids.ts";
import type { JournalStats, MqttServer } from "../../core/ports.ts";
import { assert } from "../../core/result.ts";
import type { GatewayView } from "../../core/stream.ts";
import { CONTROL_SOCKET_NAME } from "../ask.ts";
import type { CommandIo } from "../command.ts";
import { ask, freePort, perform, startGateway } from "./bench-gateway.ts";
import { type BenchDisk, type Conditions, conditionsNow, MEMORY_FOLDER } from "./conditions.ts";
import { openTracedWard, type TracedWard } from "./load.ts";
import type { Pauses } from "./pauses.ts";

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
    ] as const;
    for (const deed of deeds) await perform(socket, deed);
  }
}
