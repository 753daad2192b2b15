import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseConfig } from "../../../config/load.ts";
import { findDriver } from "../../../drivers/index.ts";
import { createSystemClock } from "../../clock.ts";
import { bedId, deviceId, patientId } from "../../core/ids.ts";
import { present } from "../../core/observation.ts";
import type { Link, LinkEvent } from "../../core/ports.ts";
import { assert, succeed } from "../../core/result.ts";
import type { Clock } from "../../core/time.ts";
import { startGateway } from "../../gateway/assembly.ts";
import { openJournal } from "../../journal/journal.ts";
import { loadScoreModel } from "../../watch/score-table.ts";

const BEDS = 20;
const ROUNDS = 500;
/** Records that may wait for the disk before the links pause. */
const WAITING_MAX = 5000;
const QUANTITIES_SENT = ["heartRate", "respiratoryRate", "oxygenSaturation", "pulseRate"] as const;

/** How fast bytes become watched and durable observations, and how that compares with decoding alone. */
export interface PathRate {
  /** Observations watched and on disk per second, one process, as fast as it goes. */
  readonly observationsPerSecond: number;
  /** The null path: the same bytes through the driver only. */
  readonly decodedPerSecond: number;
  readonly ratioToDecoding: number;
}

/** Measures the whole path in this process: driver, intake, watch with NEWS2, alerts, journal with real commits. */
export async function wholePathRate(): Promise<PathRate> {
  const driver = findDriver("serial-ivy-450c");
  assert(driver !== null && driver.encode !== null, "the monitor's driver is listed and can encode");
  const encode = driver.encode;
  const messages = Array.from({ length: 60 }, (_, index) =>
    encode(
      QUANTITIES_SENT.map((name) =>
        present(name, (name === "oxygenSaturation" ? 92 : 60) + (index % 8), name === "oxygenSaturation" ? "%" : "/min"),
      ),
    ),
  );

  const session = driver.open({});
  const clock = createSystemClock();
  let decoded = 0;
  const decodeBeganMs = clock.monotonic();
  for (let round = 0; round < ROUNDS * BEDS; round++) {
    for (const emission of session.feed(messages[round % messages.length] ?? new Uint8Array(), "", clock.monotonic()))
      if (emission.kind === "message") decoded += emission.readings.length;
  }
  const decodedPerSecond = Math.round((decoded / (clock.monotonic() - decodeBeganMs)) * 1000);
  const observationsPerSecond = await durableRate(messages);
  return {
    observationsPerSecond,
    decodedPerSecond,
    ratioToDecoding: Math.round((observationsPerSecond / decodedPerSecond) * 100) / 100,
  };
}

async function durableRate(messages: readonly Uint8Array[]): Promise<number> {
  const clock = createSystemClock();
  const folder = await mkdtemp(join(tmpdir(), "vigil-bench-path-"));
  const numbers = Array.from({ length: BEDS }, (_, index) => index + 1);
  const config = parseConfig(JSON.stringify(wardOf(numbers, folder)), folder);
  const journal = await openJournal({ folder: join(folder, "journal"), gatewayId: "bench", bytesMax: 2e9, clock });
  const news2 = await loadScoreModel(join(import.meta.dirname, "..", "..", "..", "models", "news2"));
  assert(config.ok && journal.ok && news2.ok, "the bench's own folder, configuration and score are good");
  const source = createSource(messages, { clock, waiting: () => journal.value.stats().waitingRecords });
  const beganMs = clock.monotonic();
  const gateway = await startGateway({
    config: config.value,
    clock,
    journal: journal.value,
    models: [news2.value],
    drivers: findDriver,
    openLink: source.openLink,
    onAlert: () => {},
    onHeartbeat: () => {},
    version: "bench",
    gatewayView: () => ({
      gatewayId: "bench",
      version: "",
      epoch: "",
      startedAtMs: 0,
      journal: { state: "working", waitingRecords: 0 },
      upstreams: [],
      safeMode: false,
    }),
  });
  const actor = { userId: "bench", from: "command-line" } as const;
  for (const number of numbers) {
    const patient = patientId(`p-${number}`);
    void gateway.perform(
      {
        kind: "admit",
        patientId: patient,
        bedId: bedId(`bed-${number}`),
        label: "",
        profile: { kind: "adult", spo2Scale: 1 },
        demonstration: false,
      },
      actor,
    );
    void gateway.perform({ kind: "assign", deviceId: deviceId(`monitor-${number}`), patientId: patient }, actor);
  }
  while (source.sentMessages() < ROUNDS * BEDS || journal.value.stats().waitingRecords > 0) await clock.sleep(2);
  const seconds = (clock.monotonic() - beganMs) / 1000;
  const observations = journal.value.stats().committedRecords;
  await gateway.stop();
  await journal.value.close();
  await rm(folder, { recursive: true, force: true });
  return Math.round(observations / seconds);
}

function wardOf(numbers: readonly number[], folder: string): unknown {
  return {
    gateway: { id: "bench", dataFolder: folder },
    beds: numbers.map((number) => ({ id: `bed-${number}`, title: String(number) })),
    devices: numbers.map((number) => ({
      id: `monitor-${number}`,
      driver: "serial-ivy-450c",
      bed: `bed-${number}`,
      link: { kind: "tcp", host: "127.0.0.1", port: number },
    })),
  };
}

/** Links that give their next message only when the journal has room, as a full TCP window does. */
function createSource(
  messages: readonly Uint8Array[],
  parts: { readonly clock: Clock; readonly waiting: () => number },
): { readonly openLink: () => Link; readonly sentMessages: () => number } {
  const { clock } = parts;
  let sent = 0;
  async function* events(): AsyncGenerator<LinkEvent> {
    yield { kind: "up", atMonotonicMs: clock.monotonic() };
    for (let round = 0; round < ROUNDS; round++) {
      while (parts.waiting() >= WAITING_MAX) await clock.sleep(1);
      sent += 1;
      yield {
        kind: "bytes",
        position: round + 1,
        channel: "",
        bytes: messages[round % messages.length] ?? new Uint8Array(),
        receivedAtMs: clock.wall(),
        receivedMonotonicMs: clock.monotonic(),
      };
    }
  }
  return {
    openLink: () => ({ events: events(), write: async () => succeed(undefined), committed: () => {}, close: async () => {} }),
    sentMessages: () => sent,
  };
}
