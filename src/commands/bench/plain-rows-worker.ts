import { parentPort, workerData } from "node:worker_threads";
import Database from "better-sqlite3";
import { createSystemClock } from "../../clock.ts";
import type { Observation } from "../../core/observation.ts";
import { assert } from "../../core/result.ts";
import type { SimulatedDisk } from "../../journal/messages.ts";
import { type PackedRecords, unpackRecords } from "../../journal/packing.ts";
import { SlowDisk } from "../../journal/slow-disk.ts";

/** What a run of plain rows is to do. */
export interface PlainRowsOrder {
  /** A file that is not there yet. */
  readonly file: string;
  /** The observations to insert, again and again under rising numbers. */
  readonly pool: PackedRecords;
  readonly commitRecords: number;
  readonly commitCount: number;
  readonly simulatedDisk: SimulatedDisk | null;
}

/** What it answers. */
export interface PlainRowsAnswer {
  /** From the first insert to the end of the last commit. */
  readonly seconds: number;
  /** Size of the file and its log afterwards. */
  readonly bytes: number;
}

const SCHEMA = `CREATE TABLE observations (seq INTEGER PRIMARY KEY, device_id TEXT NOT NULL, patient_id TEXT, quantity TEXT NOT NULL,
  value REAL, absence TEXT, measured_at_ms REAL NOT NULL, device_clock_ms REAL, received_at_ms REAL NOT NULL,
  received_monotonic_ms REAL NOT NULL, validity TEXT NOT NULL, flags TEXT NOT NULL, origin TEXT NOT NULL,
  driver_id TEXT NOT NULL, driver_version TEXT NOT NULL)`;

/**
 * SQLite's own rate, for `vigil bench` to compare the journal with: the same observations as ordinary rows, one prepared INSERT,
 * SQLite's own settings but for WAL and a disk that is waited for at each commit, in a loop that does nothing else.
 */
function insertRows(order: PlainRowsOrder): PlainRowsAnswer {
  const clock = createSystemClock();
  const pool = unpackRecords(order.pool).filter((record) => record.kind === "observation");
  const slowDisk = order.simulatedDisk === null ? null : new SlowDisk(order.simulatedDisk, clock);
  const database = new Database(order.file);
  database.pragma("journal_mode = WAL");
  database.pragma("synchronous = FULL");
  database.exec(SCHEMA);
  const insert = database.prepare(`INSERT INTO observations VALUES (${Array.from({ length: 15 }, () => "?").join(", ")})`);
  const beganMs = clock.monotonic();
  for (let commit = 0; commit < order.commitCount; commit++) {
    database.exec("BEGIN IMMEDIATE");
    for (let index = 0; index < order.commitRecords; index++) {
      const seq = commit * order.commitRecords + index + 1;
      const observation = pool[seq % pool.length];
      assert(observation !== undefined, "the pool is not empty");
      insert.run(...columnsOf(observation, seq));
    }
    database.exec("COMMIT");
    slowDisk?.wait();
  }
  const seconds = (clock.monotonic() - beganMs) / 1000;
  database.pragma("wal_checkpoint(TRUNCATE)");
  const bytes = Number(database.pragma("page_count", { simple: true })) * Number(database.pragma("page_size", { simple: true }));
  database.close();
  return { seconds, bytes };
}

function columnsOf(observation: Observation, seq: number): readonly (string | number | null)[] {
  const { content, times, quality } = observation;
  return [
    seq,
    observation.deviceId,
    observation.patientId,
    observation.quantity,
    content.state === "present" ? content.value : null,
    content.state === "absent" ? content.why : null,
    times.measuredAtMs,
    times.deviceClockMs,
    times.receivedAtMs,
    times.receivedMonotonicMs,
    quality.validity,
    quality.flags.join(","),
    quality.origin,
    observation.driverId,
    observation.driverVersion,
  ];
}

parentPort?.postMessage(insertRows(workerData as PlainRowsOrder));
