import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createSystemClock } from "../../clock.ts";
import { seq } from "../../core/ids.ts";
import { assert } from "../../core/result.ts";
import { openJournal } from "../../journal/journal.ts";
import { type BenchDisk, type Conditions, conditionsNow, simulatedDiskOf } from "./conditions.ts";
import { nextObservations, observationPool } from "./durable.ts";
import { type Pauses, startPauseMeter } from "./pauses.ts";

/** The pauses of a main thread that does nothing but keep a ward's records, beside one that makes them and throws them away. */
export interface JournalAloneFigures {
  readonly conditions: Conditions;
  readonly recordsPerSecond: number;
  readonly withJournal: Pauses;
  /** The null path: the same records made in the same rhythm, without a journal. */
  readonly withoutJournal: Pauses;
}

/** A monitor's message each 5 ms is the ward of 200 beds. */
const MESSAGE_MS = 5;
const MESSAGE_OBSERVATIONS = 13;
const READ_RECORDS_MAX = 1000;
/** So long until code is compiled and files are open. */
const RUN_IN_MS = 3000;

/**
 * Measures what storage alone costs the main thread: appending, packing, handing over, hearing of commits, and reading each record back
 * once as an upstream's outbox does.
 */
export async function journalAlone(of: {
  readonly disk: BenchDisk;
  readonly coreCount: number;
  readonly measureMs: number;
}): Promise<JournalAloneFigures> {
  const clock = createSystemClock();
  const conditions = conditionsNow(of);
  const folder = await mkdtemp(join(tmpdir(), "vigil-bench-alone-"));
  const simulatedDisk = simulatedDiskOf(of.disk);
  const opened = await openJournal({ folder, gatewayId: "bench", bytesMax: 2e9, clock, simulatedDisk });
  assert(opened.ok, "the bench's own folder can be written");
  const journal = opened.value;
  const pool = observationPool();
  let sent = 0;
  let keeping = false;
  const beganMs = clock.monotonic();
  const timer = clock.every(MESSAGE_MS, () => {
    // As TCP does, a machine that was busy with others brings the messages of that time together.
    for (
      const due = ((clock.monotonic() - beganMs) / MESSAGE_MS) * MESSAGE_OBSERVATIONS;
      sent < due;
      sent += MESSAGE_OBSERVATIONS
    ) {
      const observations = nextObservations(pool, sent, MESSAGE_OBSERVATIONS);
      if (keeping) journal.append(observations);
    }
  });
  let readUpTo = 0;
  const readOn = async () => {
    const page = await journal.read({ afterSeq: seq(readUpTo), limit: READ_RECORDS_MAX });
    readUpTo = page.at(-1)?.seq ?? readUpTo;
  };
  const stopReading = journal.onCommit(() => void readOn());
  const meter = startPauseMeter(clock);
  const measured = async () => {
    await clock.sleep(RUN_IN_MS);
    meter.take();
    const sentBefore = sent;
    await clock.sleep(of.measureMs);
    return { pauses: meter.take(), count: sent - sentBefore };
  };
  const without = await measured();
  keeping = true;
  const kept = await measured();
  timer.stop();
  stopReading();
  meter.stop();
  await journal.close();
  await rm(folder, { recursive: true, force: true });
  return {
    conditions,
    recordsPerSecond: Math.round((kept.count / of.measureMs) * 1000),
    withJournal: kept.pauses,
    withoutJournal: without.pauses,
  };
}
