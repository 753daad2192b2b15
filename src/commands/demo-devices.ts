import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { DRIVERS } from "../../drivers/index.ts";
import { mqttJson } from "../../drivers/mqtt/json.ts";
import type { CourseName } from "../../simulator/body/courses.ts";
import { createNudgeDesk, type NudgeableLink, type NudgeDesk } from "../../simulator/devices/nudge-desk.ts";
import { createNudgedTwin, type Nudgeable, type NudgedTwin } from "../../simulator/devices/nudged-device.ts";
import { createTimetable } from "../../simulator/devices/timetable.ts";
import { openWard, type Ward, type WardDevice, type WardError } from "../../simulator/devices/ward.ts";
import { type FitAt, fitPlan } from "../../simulator/devices/worn.ts";
import { type MqttDevice, startMqttDevice } from "../../simulator/links/mqtt-device.ts";
import type { QuantityName } from "../core/quantities.ts";
import { assert, fail, type Result, succeed } from "../core/result.ts";
import type { Clock } from "../core/time.ts";
import { connectMqtt } from "../mqtt/connection.ts";

/** The finger clip is off for 90 s out of every five minutes. */
const CLIP_COMES_OFF = fitPlan(
  [
    { atSeconds: 60, site: "finger", fit: "off" },
    { atSeconds: 150, site: "finger", fit: "on" },
  ],
  300,
);

/** A device whose patient is simulated; those of the same seed are on the same patient. */
interface SimulatedDevice {
  readonly name: string;
  readonly course: CourseName;
  readonly seed: number;
}

const RECORDED = { name: "ivy-recorded", driverId: "serial-ivy-450c", messageMs: 1000 } as const;

/** The devices of the demonstration that are reached by TCP, by their id in `config/demo.yaml`, without the recording. */
const TCP_DEVICES: readonly (SimulatedDevice & { readonly driverId: string; readonly fitAt?: FitAt })[] = [
  { name: "monitor-2", driverId: "serial-ivy-450c", course: "deterioration", seed: 2 },
  { name: "clip-3", driverId: "serial-nonin-df2", course: "stable", seed: 3, fitAt: CLIP_COMES_OFF },
  { name: "monitor-4", driverId: "serial-ivy-450c", course: "stable", seed: 4 },
];

/** Those that send by MQTT, by the names of their accounts. The last one is in no configuration. */
export const MQTT_DEVICES: readonly (SimulatedDevice & {
  readonly measures: readonly QuantityName[];
  readonly options: Readonly<Record<string, string>>;
})[] = [
  {
    name: "patch-3",
    course: "stable",
    seed: 3,
    measures: ["bodyTemperature"],
    options: { mapping: '{"bodyTemperature":"$.temperature"}' },
  },
  {
    name: "watch-new",
    course: "stable",
    seed: 5,
    measures: ["heartRate", "oxygenSaturation"],
    options: { mapping: '{"heartRate":"$.hr","oxygenSaturation":"$.spo2"}' },
  },
];

/** What the world is told, over IPC, once it is known: where the gateway's own broker is, and the password of each account. */
export interface GatewayBroker {
  readonly port: number;
  readonly passwords: Readonly<Record<string, string>>;
}

/** The devices of the demonstration, switched on. */
export interface DemoDevices {
  readonly ward: Ward;
  /** What a person changes of them. */
  readonly nudges: NudgeDesk;
  /** Switches those on that send by MQTT. */
  readonly joinBroker: (broker: GatewayBroker) => void;
  readonly close: () => Promise<void>;
}

/**
 * Switches the devices on that are reached by TCP.
 *
 * @param options.ports   Where each listens; a free port where it is not said.
 * @param options.folder  For files with passwords.
 */
export async function openDemoDevices(options: {
  readonly clock: Clock;
  readonly recordingFile: string;
  readonly folder: string;
  readonly ports: ReadonlyMap<string, number>;
}): Promise<Result<DemoDevices, WardError>> {
  const { clock, recordingFile, ports } = options;
  const tcp = TCP_DEVICES.map((device) => {
    const driver = DRIVERS.find(({ id }) => id === device.driverId);
    assert(driver !== undefined, "a device of the demonstration has a driver");
    return { ...device, made: createNudgedTwin(driver, { ...device, measures: driver.quantities }) };
  });
  const mqtt = MQTT_DEVICES.map((device) => ({ ...device, made: createNudgedTwin(mqttJson, device) }));
  const portOf = (name: string) => ({ port: ports.get(name) ?? 0 });
  const wardDevices: readonly WardDevice[] = [
    { kind: "recording", ...RECORDED, file: recordingFile, ...portOf(RECORDED.name) },
    ...tcp.map(({ name, driverId, made }) => ({ kind: "made", name, driverId, twin: made.twin, ...portOf(name) }) as const),
  ];
  const ward = await openWard(wardDevices, { drivers: DRIVERS, clock });
  if (!ward.ok) return ward;
  const joined = new Map<string, MqttDevice>();
  const timetable = createTimetable(clock);
  const nudgeablesOf = ({ made, ...device }: MadeDevice) => [...patientOf(device, [...tcp, ...mqtt]), ...made.nudgeables];
  return succeed({
    ward: ward.value,
    nudges: createNudgeDesk(
      [
        { name: RECORDED.name, nudgeables: [cableOf(ward.value, RECORDED.name)] },
        ...tcp.map((device) => ({
          name: device.name,
          nudgeables: [...nudgeablesOf(device), cableOf(ward.value, device.name)],
        })),
        ...mqtt.map((device) => ({ name: device.name, nudgeables: [...nudgeablesOf(device), radioOf(joined, device.name)] })),
      ],
      clock,
    ),
    joinBroker: (broker) => {
      for (const { name, made } of mqtt) {
        const connect = connectionOf(name, { ...options, broker });
        const topic = `devices/${name}/vitals`;
        joined.set(name, startMqttDevice({ twin: made.twin, topic, clock, timetable, connect }));
      }
    },
    close: async () => {
      timetable.stop();
      await Promise.all([ward.value.close(), ...[...joined.values()].map((device) => device.close())]);
    },
  });
}

type MadeDevice = SimulatedDevice & { readonly made: NudgedTwin };

/** What befalls a patient befalls them on each device; it is asked for at the first of these. */
function patientOf({ name, seed }: SimulatedDevice, all: readonly MadeDevice[]): readonly Nudgeable[] {
  const same = all.filter((device) => device.seed === seed);
  const [first] = same;
  if (first?.name !== name) return [];
  const apply: Nudgeable["apply"] = (choice) => {
    for (const { made } of same) {
      const applied = made.patient.apply(choice);
      if (!applied.ok) return applied;
    }
    return succeed(undefined);
  };
  return [{ ...first.made.patient, apply }];
}

function cableOf(ward: Ward, name: string): NudgeableLink {
  return {
    name: "cable",
    choices: ["in", "out"],
    apply: async (choice) => {
      const plugged = await ward.devices.find((device) => device.name === name)?.setPlugged(choice === "in");
      return plugged?.ok === false ? fail("nudge-port-taken") : succeed(undefined);
    },
  };
}

function radioOf(joined: ReadonlyMap<string, MqttDevice>, name: string): NudgeableLink {
  return {
    name: "radio",
    choices: ["in-reach", "out-of-reach"],
    apply: async (choice) => {
      const device = joined.get(name);
      // In the first moments it is not switched on yet.
      if (device === undefined) return fail("nudge-unknown-device");
      await device.setInReach(choice === "in-reach");
      return succeed(undefined);
    },
  };
}

/** How a device gets into the gateway's own broker, with its own account. */
function connectionOf(
  name: string,
  { broker, folder, clock }: { readonly broker: GatewayBroker; readonly folder: string; readonly clock: Clock },
) {
  const passwordFile = join(folder, `password-${name}`);
  const access = { url: `mqtt://127.0.0.1:${broker.port}`, protocolVersion: 4, username: name, passwordFile } as const;
  const session = { clientId: name, sessionExpirySeconds: 0, will: null };
  return async (stop: AbortSignal) => {
    await writeFile(passwordFile, broker.passwords[name] ?? "", { mode: 0o600 });
    return connectMqtt(access, session, { clock, stop, onMessage: () => {} });
  };
}
