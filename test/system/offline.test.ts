import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { verifyJournal } from "../../src/commands/verify.ts";
import { ALL_TIME } from "../../src/verify/window.ts";
import { LONG_RUN_READER, type LongRun, startLongRun } from "../support/long-run.ts";
import { openRecordFile, type RecordFile } from "../support/record-file.ts";

const BEDS = 20;
const SEED = 20260301;
const MINUTE_MS = 60_000;
const BEFORE_MINUTES = 10;
const AWAY_MINUTES = 120;
const AFTER_MINUTES = 5;
/** While the line stands an alert's way is looked at this finely. */
const FINE_STEP_MS = 20;
const RECORD_FILE = "receiver.jsonl";

let folder: string;
let run: LongRun;
let recordFile: RecordFile | null = null;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "vigil-offline-"));
  run = await startLongRun({
    folder,
    beds: BEDS,
    seed: SEED,
    journalBytesMax: 1e9,
    ledgerRecords: 2 ** 22,
    diskLagSeconds: 1,
    lineRecordsPerSecond: 20_000,
    lineLatencyMs: 10,
    turnEverySeconds: 7,
    breakEverySeconds: 300,
    onArrival: (delivery, isFirst) => recordFile?.arrived(delivery, isFirst),
  });
  recordFile = openRecordFile(join(folder, RECORD_FILE), () => run.clock.wall());
});

afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

test(`${BEDS} beds, the upstream away for ${AWAY_MINUTES} min: nothing is lost, doubled without a mark or changed, and alerts do not wait behind the backlog`, {
  timeout: 600_000,
}, async () => {
  const { farSide, outbox, ledger } = run;
  const beganMs = performance.now();
  await run.pass(BEFORE_MINUTES * MINUTE_MS, FINE_STEP_MS);
  const before = farSide.takeLatencies();
  farSide.setAway(true);
  await run.pass(AWAY_MINUTES * MINUTE_MS, 500);
  const backlogRecords = outbox.view().backlogRecords;
  farSide.setAway(false);
  farSide.takeLatencies();
  let drainMs = 0;
  let connectMs = 0;
  while (outbox.view().backlogRecords > 1000 && drainMs < 15 * MINUTE_MS) {
    await run.pass(500, FINE_STEP_MS);
    if (outbox.view().state === "connecting") connectMs += 500;
    else drainMs += 500;
  }
  const during = farSide.takeLatencies();
  await run.pass(AFTER_MINUTES * MINUTE_MS, 100);
  await run.settle();
  await run.stop();
  recordFile?.close();
  const counts = ledger.figures();
  const far = farSide.figures();
  const figures =
    `${new Date().toISOString()}: seed ${SEED}, ${BEDS} beds, ${AWAY_MINUTES} min away in ${Math.round((performance.now() - beganMs) / 1000)} s; ` +
    `${counts.made} records made, ${counts.arrived} arrived, ${counts.markedDuplicates} marked duplicates; backlog ${backlogRecords}, ` +
    `connected after ${connectMs / 1000} s, drained in ${drainMs / 1000} s of simulated time; alerts before: ${JSON.stringify(before)}, ` +
    `during the drain: ${JSON.stringify(during)}; stalls ${run.stallCount()}; ${ledger.findings().join("; ")}`;
  process.stdout.write(`${figures}\n`);
  expect(run.stallCount(), figures).toBe(0);
  expect(backlogRecords, figures).toBeGreaterThan(BEDS * 12 * AWAY_MINUTES * 60);
  expect(ledger.missing(), figures).toEqual([]);
  expect(counts, figures).toMatchObject({ unmarkedDuplicates: 0, changed: 0, unknown: 0, overrun: 0 });
  expect(far, figures).toMatchObject({ outOfOrder: 0, wronglyUnmarked: 0, losses: [] });
  // Forty seconds of backlog lie before an alert that waits its turn; one that does not waits for the deliveries on the line.
  expect(during.count, figures).toBeGreaterThanOrEqual(5);
  expect(during.maxMs, figures).toBeLessThanOrEqual(before.maxMs + 100);

  // What `vigil verify` prints: the journal against its own counts, against the upstream's cursor, and against the receiver's record file.
  const files = new Map([[LONG_RUN_READER, join(folder, RECORD_FILE)]]);
  const verified = await verifyJournal(run.config, { files, window: ALL_TIME });
  expect(verified, JSON.stringify(verified).slice(0, 2000)).toMatchObject({ ok: true, value: { ok: true, wrong: {} } });
  if (!verified.ok) return;
  expect(verified.value.farSides[0]).toMatchObject({ duplicatesUnmarked: 0, outOfOrder: 0, records: counts.arrived });
  expect(verified.value.recordCount).toBe(counts.made);
});
