import { findDriver } from "../../drivers/index.ts";
import { createTimetable } from "../../simulator/devices/timetable.ts";
import { type DeviceServer, openDeviceServer } from "../../simulator/links/device-server.ts";
import { createSystemClock } from "../../src/clock.ts";
import { absent, present } from "../../src/core/observation.ts";
import type { Driver, PatientBody } from "../../src/core/ports.ts";
import { QUANTITIES, type QuantityName } from "../../src/core/quantities.ts";

/** A monitor twin on a TCP port of its own, with a patient whom the test makes ill. */
export interface SettableBed {
  readonly deviceId: string;
  readonly bedId: string;
  readonly patientId: string;
  readonly port: number;
  /**
   * The next cuff result, in mmHg. Its limit has no delay, so that a bad one is an alert as soon as the device has said it; the
   * device sends once a second.
   */
  readonly takeCuffPressure: (systolic: number, diastolic: number) => void;
  /** The temperature from now on, in degrees Celsius; its limit has no delay either. */
  readonly takeTemperature: (celsius: number) => void;
}

/** A ward of Ivy 450C twins, one message a second each with eleven values and five waves. */
export interface SettableWard {
  readonly beds: readonly SettableBed[];
  readonly close: () => Promise<void>;
}

/** A resting adult: no limit is touched. */
const RESTING: Readonly<Partial<Record<QuantityName, number>>> = {
  respiratoryRate: 14,
  oxygenSaturation: 97,
  pulseRate: 72,
  cuffPulseRate: 71,
  endTidalCarbonDioxide: 37,
  arterialSystolicPressure: 121,
  arterialDiastolicPressure: 74,
  arterialMeanPressure: 90,
};
export const GOOD_PRESSURE = [124, 76] as const;
export const BAD_PRESSURE = [71, 38] as const;

/** Opens so many beds, named `bed-1`, `monitor-1`, `patient-1` and so on. */
export async function openSettableWard(bedCount: number): Promise<SettableWard> {
  const driver = findDriver("serial-ivy-450c");
  if (driver === null) throw new Error("the monitor's driver is listed");
  const clock = createSystemClock();
  const timetable = createTimetable(clock);
  const servers: DeviceServer[] = [];
  const beds: SettableBed[] = [];
  for (let number = 1; number <= bedCount; number++) {
    const { body, ...settings } = createBody(number);
    const server = await openBed(driver, body, { clock, timetable, startAfterMs: (number * 618.034) % 1000 });
    servers.push(server);
    beds.push({
      deviceId: `monitor-${number}`,
      bedId: `bed-${number}`,
      patientId: `patient-${number}`,
      port: server.port,
      ...settings,
    });
  }
  return {
    beds,
    close: async () => {
      timetable.stop();
      await Promise.all(servers.map((server) => server.close()));
    },
  };
}

async function openBed(
  driver: Driver,
  body: PatientBody,
  parts: Pick<Parameters<typeof openDeviceServer>[0], "clock" | "timetable" | "startAfterMs">,
): Promise<DeviceServer> {
  const server = await openDeviceServer({ ...parts, twin: driver.twin(body, {}) });
  if (!server.ok) throw new Error(JSON.stringify(server.error));
  return server.value;
}

function createBody(number: number): Pick<SettableBed, "takeCuffPressure" | "takeTemperature"> & { readonly body: PatientBody } {
  let [systolic, diastolic]: readonly [number, number] = GOOD_PRESSURE;
  let temperatureCelsius = 36.9;
  const value = (name: QuantityName, atMs: number): number | undefined => {
    if (name === "systolicPressure") return systolic;
    if (name === "diastolicPressure") return diastolic;
    if (name === "meanPressure") return Math.round(diastolic + (systolic - diastolic) / 3);
    if (name === "bodyTemperature") return temperatureCelsius;
    // Never the same for long, so that nothing counts as stuck, and another in each bed.
    if (name === "heartRate") return 62 + ((Math.floor(atMs / 1000) + number) % 20);
    return RESTING[name];
  };
  return {
    body: {
      quantity: (name, atMs) => {
        const now = value(name, atMs);
        return now === undefined ? absent(name, "not-available") : present(name, now, QUANTITIES[name].unit);
      },
      wave: (name, atMs) =>
        name === "arterialPressure" ? 90 + 30 * Math.sin(atMs / 120) : 0.5 + 0.4 * Math.sin(atMs / 120 + number),
    },
    takeCuffPressure: (nextSystolic, nextDiastolic) => {
      systolic = nextSystolic;
      diastolic = nextDiastolic;
    },
    takeTemperature: (celsius) => {
      temperatureCelsius = celsius;
    },
  };
}
