import type { Driver, Twin } from "../../src/core/ports.ts";
import { fail, type Result, succeed } from "../../src/core/result.ts";
import type { Clock } from "../../src/core/time.ts";
import { COURSES, type CourseName } from "../body/courses.ts";
import { createPatient } from "../body/patient.ts";
import type { PortError } from "../links/byte-server.ts";
import { type DeviceServer, openDeviceServer } from "../links/device-server.ts";
import { type RecordingError, readRecording, recordingTwin } from "../recordings/recording.ts";
import type { DeviceStats } from "./running-twin.ts";
import { createTimetable } from "./timetable.ts";
import { type FitAt, wornBody } from "./worn.ts";

/** One device of a simulated ward. */
export type WardDevice =
  | {
      readonly kind: "patient";
      readonly name: string;
      readonly driverId: string;
      readonly course: CourseName;
      readonly seed: number;
      /** How its sensors sit; as they should where it is not said. */
      readonly fitAt?: FitAt;
      readonly driverOptions?: Readonly<Record<string, string>>;
      /** Where it listens on the loopback interface; 0 or left out takes a free port. */
      readonly port?: number;
    }
  | {
      /** A twin that is made already, such as one that can be nudged. */
      readonly kind: "made";
      readonly name: string;
      readonly driverId: string;
      readonly twin: Twin;
      readonly port?: number;
    }
  | {
      readonly kind: "recording";
      readonly name: string;
      /** Finds the messages in a raw recording. */
      readonly driverId: string;
      readonly file: string;
      /** From one message of a raw recording to the next; 1000 where it is not said. */
      readonly messageMs?: number;
      readonly port?: number;
    };

/** A device of the ward that can be reached. */
export interface WardPort {
  readonly name: string;
  readonly driverId: string;
  readonly host: string;
  readonly port: number;
  readonly stats: () => DeviceStats;
  readonly clientCount: () => number;
  readonly setPlugged: DeviceServer["setPlugged"];
}

/** A simulated ward. */
export interface Ward {
  /** In the order of the description. */
  readonly devices: readonly WardPort[];
  /** Ends every device and frees the ports. */
  readonly close: () => Promise<void>;
}

/** Why a ward could not be started; nothing of it is left running. */
export type WardError =
  | { readonly kind: "unknown-driver"; readonly name: string; readonly driverId: string }
  | { readonly kind: "recording"; readonly name: string; readonly error: RecordingError }
  | { readonly kind: "port"; readonly name: string; readonly error: PortError };

/** Devices are switched on apart by the golden section of a second, which spreads any number of them evenly. */
const START_STEP_MS = 618.034;

/**
 * Starts simulated devices that send the real bytes of their kind over TCP on the loopback interface, all on one timer.
 *
 * @param options.drivers  Where `driverId` is looked up.
 * @param options.onSent   Called as each message leaves, with the device's name and the monotonic time.
 */
export async function openWard(
  devices: readonly WardDevice[],
  options: {
    readonly drivers: readonly Driver[];
    readonly clock: Clock;
    readonly onSent?: (name: string, atMonotonicMs: number, bytes: Uint8Array) => void;
  },
): Promise<Result<Ward, WardError>> {
  const timetable = createTimetable(options.clock);
  const opened: { readonly device: WardDevice; readonly server: DeviceServer }[] = [];
  const close = async () => {
    timetable.stop();
    await Promise.all(opened.map(({ server }) => server.close()));
  };
  const { onSent } = options;
  for (const [index, device] of devices.entries()) {
    const twin = await twinOf(device, options.drivers);
    if (!twin.ok) {
      await close();
      return twin;
    }
    const server = await openDeviceServer({
      twin: twin.value,
      clock: options.clock,
      timetable,
      port: device.port ?? 0,
      startAfterMs: (index * START_STEP_MS) % 1000,
      onSent: onSent && ((atMonotonicMs, bytes) => onSent(device.name, atMonotonicMs, bytes)),
    });
    if (!server.ok) {
      await close();
      return fail({ kind: "port", name: device.name, error: server.error });
    }
    opened.push({ device, server: server.value });
  }
  return succeed({
    devices: opened.map(({ device, server }) => ({
      name: device.name,
      driverId: device.driverId,
      host: server.host,
      port: server.port,
      stats: server.stats,
      clientCount: server.clientCount,
      setPlugged: server.setPlugged,
    })),
    close,
  });
}

async function twinOf(device: WardDevice, drivers: readonly Driver[]): Promise<Result<Twin, WardError>> {
  const { name, driverId } = device;
  const driver = drivers.find((each) => each.id === driverId);
  if (driver === undefined) return fail({ kind: "unknown-driver", name, driverId });
  switch (device.kind) {
    case "patient": {
      const body = createPatient({ course: COURSES[device.course], seed: device.seed });
      const worn = device.fitAt === undefined ? body : wornBody(body, device.fitAt, device.seed);
      return succeed(driver.twin(worn, device.driverOptions ?? {}));
    }
    case "made":
      return succeed(device.twin);
    case "recording": {
      const recording = await readRecording({ file: device.file, driver, messageMs: device.messageMs ?? 1000 });
      return recording.ok ? succeed(recordingTwin(recording.value)) : fail({ kind: "recording", name, error: recording.error });
    }
  }
}
