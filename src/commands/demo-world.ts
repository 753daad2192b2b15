import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadConfig } from "../../config/load.ts";
import { startReceiver } from "../../simulator/receiver.ts";
import { type DemoBroker, startDemoBroker } from "../broker/demo-broker.ts";
import { createSystemClock } from "../clock.ts";
import { openControlSocket } from "../gateway/control-socket.ts";
import { nudgeHandler } from "../gateway/demonstration-desk.ts";
import { connectMqtt } from "../mqtt/connection.ts";
import type { Command, CommandIo } from "./command.ts";
import { type DemoDevices, type GatewayBroker, openDemoDevices } from "./demo-devices.ts";

const PROJECT_ROOT = join(import.meta.dirname, "..", "..");
const RECORDING_FILE = join(PROJECT_ROOT, "test", "captures", "ivy-450c", "Ivy450C.1.data");
const USERNAME = "demo";
/** How long the demonstration's receiver takes to accept an alert: as long as a person needs to read it. */
const ACCEPT_AFTER_MS = 3000;
/** The gateway, the receiver, and a person who looks in. */
const CONNECTIONS_MAX = 8;

/** What the world tells whoever started it, over IPC, once everything listens. */
export interface WorldOpened {
  readonly devicePorts: Readonly<Record<string, number>>;
  readonly brokerPort: number;
  /** Where it takes what a person wants changed. */
  readonly socketFile: string;
}

/** `vigil demo-world`: everything around the demonstration's gateway, in a process of its own: devices, broker, receiver. */
export const demoWorldCommand: Command = {
  name: "demo-world",
  usage: "usage: vigil demo-world (started by `vigil start`)",
  run: async (_args, io) => {
    const clock = createSystemClock();
    const password = process.env["VIGIL_DEMO_PASSWORD"];
    if (password === undefined || process.send === undefined) {
      io.stderr("vigil demo-world is started by `vigil start`.");
      return 2;
    }
    const stopped = new Promise<void>((resolve) => {
      process.on("SIGTERM", () => resolve());
      process.on("disconnect", () => resolve());
      // The terminal's Ctrl-C reaches everybody; the gateway shall still deliver its last records.
      process.on("SIGINT", () => {});
    });
    const folder = await mkdtemp(join(tmpdir(), "vigil-demo-world-"));
    const devices = await openDevices(folder, io);
    const broker = await openBroker(password, io);
    if (devices === null || broker === null) {
      await rm(folder, { recursive: true });
      return 1;
    }
    const socketFile = join(folder, "nudge.sock");
    const socket = await openControlSocket(socketFile, nudgeHandler(devices.nudges));
    if (!socket.ok)
      io.stderr(
        `The demonstration cannot be changed from the page; the rest runs. 无法从页面更改演示，其余照常。 ${socket.error.code}`,
      );
    const passwordFile = join(folder, "password");
    await writeFile(passwordFile, password, { mode: 0o600 });
    const receiver = startReceiver(
      { name: "demo-hospital", topicPrefix: "vigil", acceptAfterMs: ACCEPT_AFTER_MS, recordFile: null },
      {
        clock,
        random: Math.random,
        print: io.stdout,
        connect: (onMessage, stop) =>
          connectMqtt(
            { url: `mqtt://127.0.0.1:${broker.port}`, protocolVersion: 4, username: USERNAME, passwordFile },
            { clientId: "demo-hospital", sessionExpirySeconds: 0, will: null },
            { clock, onMessage, stop },
          ),
      },
    );
    const opened: WorldOpened = {
      devicePorts: Object.fromEntries(devices.ward.devices.map((device) => [device.name, device.port])),
      brokerPort: broker.port,
      socketFile,
    };
    process.once("message", (message) => devices.joinBroker(message as GatewayBroker));
    process.send(opened);
    await stopped;
    await receiver.close();
    if (socket.ok) await socket.value.close();
    await devices.close();
    await Promise.all([broker.close(), rm(folder, { recursive: true, force: true })]);
    // The open channel would keep the process alive.
    if (process.connected) process.disconnect();
    return 0;
  },
};

/** At the ports of `config/demo.yaml`, or at free ones where another program has any of them. */
async function openDevices(folder: string, io: CommandIo): Promise<DemoDevices | null> {
  const config = await loadConfig(join(PROJECT_ROOT, "config", "demo.yaml"));
  const ports = new Map(
    config.ok
      ? config.value.devices.flatMap((device) => (device.link.kind === "tcp" ? [[device.id, device.link.port] as const] : []))
      : [],
  );
  const options = { clock: createSystemClock(), recordingFile: RECORDING_FILE, folder };
  const wanted = await openDemoDevices({ ...options, ports });
  if (wanted.ok) return wanted.value;
  const free = await openDemoDevices({ ...options, ports: new Map() });
  if (free.ok) return free.value;
  io.stderr(`The demonstration's devices cannot be started: ${JSON.stringify(free.error)}. 演示设备无法启动。`);
  return null;
}

async function openBroker(password: string, io: CommandIo): Promise<DemoBroker | null> {
  const broker = await startDemoBroker({
    port: 0,
    accounts: [{ username: USERNAME, password }],
    connectionsMax: CONNECTIONS_MAX,
  });
  if (broker.ok) return broker.value;
  io.stderr(`The demonstration's broker cannot be started: ${JSON.stringify(broker.error)}. 演示消息服务器无法启动。`);
  return null;
}
