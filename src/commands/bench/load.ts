import { findDriver } from "../../../drivers/index.ts";
import { createTimetable } from "../../../simulator/devices/timetable.ts";
import { type DeviceServer, openDeviceServer } from "../../../simulator/links/device-server.ts";
import { present } from "../../core/observation.ts";
import type { PatientBody, Twin } from "../../core/ports.ts";
import { QUANTITIES } from "../../core/quantities.ts";
import { assert } from "../../core/result.ts";
import type { Clock } from "../../core/time.ts";

/** Values of the tracer: a heart rate that is another each second, so that what arrives says when it was sent. */
const TRACER = { lowestBpm: 60, countBpm: 60 } as const;
/** A resting adult for everything that is not the tracer. */
const RESTING = {
  respiratoryRate: 14,
  oxygenSaturation: 97,
  pulseRate: 72,
  endTidalCarbonDioxide: 37,
  arterialSystolicPressure: 121,
  arterialDiastolicPressure: 74,
  arterialMeanPressure: 90,
  bodyTemperature: 36.9,
} as const;

/** Where the 400 samples of a message lie, behind its header, and the sample that says that there is no signal. Source: the driver's own layout. */
const WAVES_FROM_BYTE = 9;
const WAVE_BYTES = 400;
const NO_SIGNAL = 0xfb;
/** Each monitor raises an alarm of its own with one message in so many; with 200 beds that is one every 100 ms. */
const ALARM_EVERY_MESSAGES = 20;

/** A ward of identical monitors whose heart rate counts the seconds, and when each second left. */
export interface TracedWard {
  readonly ports: readonly { readonly deviceId: string; readonly port: number }[];
  /** The latency of a heart rate of a device that arrived now, in ms; null for one that is older than a round of the tracer or was counted. */
  readonly latencyMs: (deviceId: string, heartRateBpm: number, nowMs: number) => number | null;
  /** When the message with this alarm text left, on the monotonic clock; null for a text that no monitor has sent. */
  readonly alarmSentMs: (text: string) => number | null;
  /** Whether the monitors send their waves; without them each message is as long, and its samples say that there is no signal. */
  readonly sendWaves: (on: boolean) => void;
  readonly close: () => Promise<void>;
}

function tracedBody(): PatientBody {
  return {
    quantity: (name, atMs) => {
      if (name === "heartRate") return present(name, TRACER.lowestBpm + (Math.floor(atMs / 1000) % TRACER.countBpm), "/min");
      const value = Object.entries(RESTING).find(([known]) => known === name)?.[1];
      return value === undefined
        ? { kind: "absent", quantity: name, why: "not-available", flags: [] }
        : present(name, value, QUANTITIES[name].unit);
    },
    wave: (name, atMs) => (name === "arterialPressure" ? 90 + 30 * Math.sin(atMs / 120) : 0.5 + 0.4 * Math.sin(atMs / 120)),
  };
}

/** A twin whose every twentieth message carries an alarm with a text of its own, which ends with the next message. */
function alarming(twin: Twin, bed: number, textOf: () => string): Twin {
  let messages = bed;
  return {
    ...twin,
    due: (atMs) => {
      const due = twin.due(atMs);
      const bytesToSend = due.bytesToSend.map(({ channel, bytes }) => {
        messages += 1;
        return { channel, bytes: messages % ALARM_EVERY_MESSAGES === 0 ? withAlarm(bytes, textOf()) : bytes };
      });
      return { ...due, bytesToSend };
    },
  };
}

/** A twin that leaves its waves out while `wavesOn` says so. */
function muting(twin: Twin, wavesOn: () => boolean): Twin {
  return {
    ...twin,
    due: (atMs) => {
      const due = twin.due(atMs);
      if (wavesOn()) return due;
      return {
        ...due,
        bytesToSend: due.bytesToSend.map(({ channel, bytes }) => ({
          channel,
          bytes: Uint8Array.from(bytes).fill(NO_SIGNAL, WAVES_FROM_BYTE, WAVES_FROM_BYTE + WAVE_BYTES),
        })),
      };
    },
  };
}

/** Puts a text into the alarm field of the heart's line. */
function withAlarm(bytes: Uint8Array, text: string): Uint8Array {
  const message = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
  return Buffer.from(message.replace(/(HR=\d+;\d+;[^;]*;)\r/, `$1${text}\r`), "latin1");
}

/**
 * Starts `beds` Ivy 450C twins on TCP ports of their own, spread evenly over the second, each sending one message a second.
 *
 * @param alarms  Whether the monitors raise alarms of their own, one in each twenty messages.
 */
export async function openTracedWard(
  beds: number,
  { clock, alarms }: { readonly clock: Clock; readonly alarms: boolean },
): Promise<TracedWard> {
  const driver = findDriver("serial-ivy-450c");
  assert(driver !== null, "the monitor's driver is listed");
  const timetable = createTimetable(clock);
  const sentAtMs = new Map<string, number>();
  const servers: DeviceServer[] = [];
  const ports: { readonly deviceId: string; readonly port: number }[] = [];
  const alarmSentAtMs = new Map<string, number>();
  let wavesOn = true;
  for (let bed = 1; bed <= beds; bed++) {
    const deviceId = `monitor-${bed}`;
    const twin = muting(driver.twin(tracedBody(), {}), () => wavesOn);
    const server = await openDeviceServer({
      // The known word is what the driver takes for an alarm; the number tells one from another.
      twin: alarms ? alarming(twin, bed, () => `ASYSTOLE ${alarmSentAtMs.size + 1}`) : twin,
      clock,
      timetable,
      startAfterMs: ((bed - 1) * 1000) / beds,
      onSent: (_atMs, bytes) => {
        const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
        sentAtMs.set(`${deviceId}/${/HR=\d+;(\d+);/.exec(text)?.[1] ?? ""}`, clock.monotonic());
        const alarm = /HR=\d+;\d+;[^;]*;(ASYSTOLE \d+)\r/.exec(text)?.[1];
        if (alarm !== undefined) alarmSentAtMs.set(alarm, clock.monotonic());
      },
    });
    assert(server.ok, "a free port on the loopback interface can be opened");
    servers.push(server.value);
    ports.push({ deviceId, port: server.value.port });
  }
  return {
    ports,
    latencyMs: (deviceId, heartRateBpm, nowMs) => {
      const sent = sentAtMs.get(`${deviceId}/${heartRateBpm}`);
      return sent === undefined || nowMs - sent > (TRACER.countBpm - 1) * 1000 ? null : nowMs - sent;
    },
    alarmSentMs: (text) => alarmSentAtMs.get(text) ?? null,
    sendWaves: (on) => {
      wavesOn = on;
    },
    close: async () => {
      timetable.stop();
      await Promise.all(servers.map((server) => server.close()));
    },
  };
}

/** Latencies in short. All are NaN where there were none. */
export interface LatencySummary {
  readonly count: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

/** Latencies with their percentiles. */
export interface Latencies {
  readonly add: (ms: number) => void;
  readonly clear: () => void;
  readonly summary: () => LatencySummary;
}

/** Collects latencies in memory; a run of a minute at 200 beds is 12,000 of them. */
export function createLatencies(): Latencies {
  let all: number[] = [];
  const round = (ms: number) => Math.round(ms * 10) / 10;
  return {
    add: (ms) => all.push(ms),
    clear: () => {
      all = [];
    },
    summary: () => {
      const sorted = all.toSorted((a, b) => a - b);
      const at = (share: number) => round(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN);
      return { count: sorted.length, p50Ms: at(0.5), p99Ms: at(0.99), maxMs: round(sorted.at(-1) ?? Number.NaN) };
    },
  };
}
