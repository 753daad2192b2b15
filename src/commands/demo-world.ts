import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadConfig } from "../../config/load.ts";
import { DRIVERS } from "../../drivers/index.ts";
import { mqttJson } from "../../drivers/mqtt/json.ts";
import { COURSES, type CourseName } from "../../simulator/body/courses.ts";
import { createPatient } from "../../simulator/body/patient.ts";
import { createTimetable } from "../../simulator/devices/timetable.ts";
import { openWard, type Ward, type WardDevice } from "../../simulator/devices/ward.ts";
import { fitPlan } from "../../simulator/devices/worn.ts";
import { type MqttDevice, startMqttDevice } from "../../simulator/links/mqtt-device.ts";
import { startReceiver } from "../../simulator/receiver.ts";
import { type DemoBroker, startDemoBroker } from "../broker/demo-broker.ts";
import { createSystemClock } from "../clock.ts";
import { connectMqtt } from "../mqtt/connection.ts";
import type { Command, CommandIo } from "./command.ts";

const PROJECT_ROOT = join(import.meta.dirname, "..", "..");
const RECORDING_FILE = join(PROJECT_ROOT, "test", "captures", "ivy-450c", "Ivy450C.1.data");
const USERNAME = "demo";
/** How long the demonstration's receiver takes to accept an alert: as long as a person needs to read it. */
const ACCEPT_AFTER_MS = 3000;
/** The gateway, the receiver, and a person who looks in. */
const CONNECTIONS_MAX = 8;

/** The finger clip is off for 90 s out of every five minutes. */
const CLIP_COMES_OFF = fitPlan(
  [
    { atSeconds: 60, site: "finger", fit: "off" },
    { atSeconds: 150, site: "finger", fit: "on" },
  ],
  300,
);

/** The devices of the demonstration by their id in `config/demo.yaml`. */
const DEVICES: readonly WardDevice[] = [
  { kind: "recording", name: "ivy-recorded", driverId: "serial-ivy-450c", file: RECORDING_FILE, messageMs: 1000 },
  { kind: "patient", name: "monitor-2", driverId: "serial-ivy-450c", course: "deterioration", seed: 2 },
  { kind: "patient", name: "clip-3", driverId: "serial-nonin-df2", course: "stable", seed: 3, fitAt: CLIP_COMES_OFF },
  { kind: "patient", name: "monitor-4", driverId: "serial-ivy-450c", course: "stable", seed: 4 },
];

/** The devices of the demonstration that send by MQTT, by the names of their accounts. The last one is in no configuration. */
export const MQTT_DEVICES = [
  {
    name: "patch-3",
    course: "stable",
    seed: 3,
    options: { mapping: '{"bodyTemperature":"$.temperature"}' },
  },
  {
    name: "watch-new",
    course: "stable",
    seed: 5,
    options: { mapping: '{"heartRate":"$.hr","oxygenSaturation":"$.spo2"}' },
  },
] as const satisfies readonly {
  readonly name: string;
  readonly course: CourseName;
  readonly seed: number;
  readonly options: Readonly<Record<string, string>>;
}[];

/** What the world is told, over IPC, once it is known: where the gateway's own broker is, and the password of each account. */
export interface GatewayBroker {
  readonly port: number;
  readonly passwords: Readonly<Record<string, string>>;
}

/** What the world tells whoever started it, over IPC, once everything listens. */
export interface WorldOpened {
  readonly devicePorts: Readonly<Record<string, number>>;
  readonly brokerPort: number;
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
    const ward = await openDevices(io);
    const broker = await openBroker(password, io);
    if (ward === null || broker === null) return 1;
    const folder = await mkdtemp(join(tmpdir(), "vigil-demo-world-"));
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
      devicePorts: Object.fromEntries(ward.devices.map((device) => [device.name, device.port])),
      brokerPort: broker.port,
    };
    const mqttDevices = openMqttDevices(folder);
    process.send(opened);
    await stopped;
    await receiver.close();
    await mqttDevices.close();
    await Promise.all([ward.close(), broker.close(), rm(folder, { recursive: true, force: true })]);
    // The open channel would keep the process alive.
    if (process.connected) process.disconnect();
    return 0;
  },
};

/** Switches the devices that send by MQTT on when the world is told where to. */
function openMqttDevices(folder: string): { readonly close: () => Promise<void> } {
  const clock = createSystemClock();
  const timetable = createTimetable(clock);
  const devices: MqttDevice[] = [];
  process.once("message", (message) => {
    const { port, passwords } = message as GatewayBroker;
    for (const { name, course, seed, options } of MQTT_DEVICES) {
      const passwordFile = join(folder, `password-${name}`);
      const access = { url: `mqtt://127.0.0.1:${port}`, protocolVersion: 4, username: name, passwordFile } as const;
      const session = { clientId: name, sessionExpirySeconds: 0, will: null };
      const device = startMqttDevice({
        twin: mqttJson.twin(createPatient({ course: COURSES[course], seed }), options),
        topic: `devices/${name}/vitals`,
        clock,
        timetable,
        connect: async (stop) => {
          await writeFile(passwordFile, passwords[name] ?? "", { mode: 0o600 });
          return connectMqtt(access, session, { clock, stop, onMessage: () => {} });
        },
      });
      devices.push(device);
    }
  });
  return {
    close: async () => {
      timetable.stop();
      await Promise.all(devices.map((device) => device.close()));
    },
  };
}

/** At the ports of `config/demo.yaml`, or at free ones where another program has any of them. */
async function openDevices(io: CommandIo): Promise<Ward | null> {
  const config = await loadConfig(join(PROJECT_ROOT, "config", "demo.yaml"));
  const ports = new Map(
    config.ok
      ? config.value.devices.flatMap((device) => (device.link.kind === "tcp" ? [[device.id, device.link.port] as const] : []))
      : [],
  );
  const clock = createSystemClock();
  const wanted = await openWard(
    DEVICES.map((device) => ({ ...device, port: ports.get(device.name) ?? 0 })),
    { drivers: DRIVERS, clock },
  );
  if (wanted.ok) return wanted.value;
  const free = await openWard(DEVICES, { drivers: DRIVERS, clock });
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
