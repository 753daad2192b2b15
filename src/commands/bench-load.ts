import { findDriver } from "../../drivers/index.ts";
import { type DeviceServer, openDeviceServer } from "../../simulator/device-server.ts";
import { createTimetable } from "../../simulator/timetable.ts";
import { present } from "../core/observation.ts";
import type { PatientBody } from "../core/ports.ts";
import { QUANTITIES } from "../core/quantities.ts";
import { assert } from "../core/result.ts";
import type { Clock } from "../core/time.ts";

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

/** A ward of identical monitors whose heart rate counts the seconds, and when each second left. */
export interface TracedWard {
  readonly ports: readonly { readonly deviceId: string; readonly port: number }[];
  /** The latency of a heart rate of a device that arrived now, in ms; null for one that is older than a round of the tracer or was counted. */
  readonly latencyMs: (deviceId: string, heartRateBpm: number, nowMs: number) => number | null;
  readonly sentMessages: () => number;
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

/** Starts `beds` Ivy 450C twins on TCP ports of their own, spread evenly over the second, each sending one message a second. */
export async function openTracedWard(beds: number, clock: Clock): Promise<TracedWard> {
  const driver = findDriver("serial-ivy-450c");
  assert(driver !== null, "the monitor's driver is listed");
  const timetable = createTimetable(clock);
  const sentAtMs = new Map<string, number>();
  const servers: DeviceServer[] = [];
  const ports: { readonly deviceId: string; readonly port: number }[] = [];
  let messages = 0;
  for (let bed = 1; bed <= beds; bed++) {
    const deviceId = `monitor-${bed}`;
    const server = await openDeviceServer({
      twin: driver.twin(tracedBody(), {}),
      clock,
      timetable,
      startAfterMs: ((bed - 1) * 1000) / beds,
      onSent: (_atMs, bytes) => {
        messages += 1;
        const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
        sentAtMs.set(`${deviceId}/${/HR=\d+;(\d+);/.exec(text)?.[1] ?? ""}`, clock.monotonic());
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
    sentMessages: () => messages,
    close: async () => {
      timetable.stop();
      await Promise.all(servers.map((server) => server.close()));
    },
  };
}

/** Latencies with their percentiles. */
export interface Latencies {
  readonly add: (ms: number) => void;
  readonly clear: () => void;
  readonly summary: () => { readonly count: number; readonly p50Ms: number; readonly p99Ms: number; readonly maxMs: number };
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
