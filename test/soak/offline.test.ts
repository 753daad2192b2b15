import { mkdtempSync, rmSync, statfsSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { verifyJournal } from "../../src/commands/verify.ts";
import type { Loss } from "../../src/core/record.ts";
import { ALL_TIME } from "../../src/verify/window.ts";
import { type LongRun, type LongRunOptions, startLongRun } from "../support/long-run.ts";

const BEDS = 20;
const HOURS = Number(process.env["VIGIL_SOAK_OFFLINE_HOURS"] ?? 72);
const SEED = 7200;
const HOUR_MS = 3_600_000;
/** What a bed says in an hour, and some more. */
const RECORDS_PER_BED_HOUR_MAX = 50_000;
/** Observations take 6 to 8 bytes on disk, rollups and indexes some more; 20 is more than enough. */
const BYTES_PER_RECORD_MAX = 20;
/** A budget that is too small for this by far: the smallest of segments, several times over. */
const SMALL_BYTES = 8_000_000;

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "vigil-offline-"));
});

afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

function optionsOf(hours: number, journalBytesMax: number): LongRunOptions {
  return {
    folder,
    beds: BEDS,
    seed: SEED,
    journalBytesMax,
    ledgerRecords: 2 ** Math.ceil(Math.log2(BEDS * (hours + 4) * RECORDS_PER_BED_HOUR_MAX)),
    diskLagSeconds: 4,
    lineRecordsPerSecond: 20_000,
    lineLatencyMs: 10,
    turnEverySeconds: 10,
    breakEverySeconds: 300,
  };
}

interface Timings {
  readonly backlogRecords: number;
  readonly awaySeconds: number;
  readonly awayRecordsPerSecond: number;
  readonly drainSeconds: number;
  readonly drainRecordsPerSecond: number;
  readonly drainSimulatedMinutes: number;
}

/** A quarter of an hour with the upstream there, so many hours without it, and back until nothing waits any more. */
async function leaveAndReturn(run: LongRun, hours: number): Promise<Timings> {
  const { farSide, outbox } = run;
  await run.pass(HOUR_MS / 4, 100);
  farSide.setAway(true);
  const awayMs = performance.now();
  const madeBefore = run.madeCount();
  await run.pass(hours * HOUR_MS, 1000);
  const awaySeconds = (performance.now() - awayMs) / 1000;
  const awayRecords = run.madeCount() - madeBefore;
  const { backlogRecords } = outbox.view();
  farSide.setAway(false);
  const drainMs = performance.now();
  let drainSimulatedMs = 0;
  while (outbox.view().backlogRecords > 2000 && drainSimulatedMs < hours * HOUR_MS + HOUR_MS) {
    await run.pass(5000, 25);
    drainSimulatedMs += 5000;
  }
  const drainSeconds = (performance.now() - drainMs) / 1000;
  await run.settle();
  await run.stop();
  return {
    backlogRecords,
    awaySeconds: Math.round(awaySeconds),
    awayRecordsPerSecond: Math.round(awayRecords / awaySeconds),
    drainSeconds: Math.round(drainSeconds),
    drainRecordsPerSecond: Math.round(backlogRecords / drainSeconds),
    drainSimulatedMinutes: Math.round(drainSimulatedMs / 6000) / 10,
  };
}

function tell(run: LongRun, hours: number, timings: Timings): string {
  const { bytesOnDisk } = run.journal.stats();
  const figures =
    `${new Date().toISOString()}: seed ${SEED}, ${BEDS} beds, ${hours} h away; ${JSON.stringify(run.ledger.figures())}; ` +
    `${JSON.stringify(timings)}; ${Math.round(bytesOnDisk / 1e6)} MB on disk; stalls ${run.stallCount()}; ` +
    `${run.farSide.figures().losses.length} losses told; ${run.ledger.findings().join("; ")}`;
  process.stdout.write(`${figures}\n`);
  return figures;
}

/** What `vigil verify` says of the journal against its own counts and against the upstream's cursor. A record file of days would fill the disk. */
async function expectVerified(run: LongRun, figures: string): Promise<void> {
  const begunMs = performance.now();
  const verified = await verifyJournal(run.config, { files: new Map(), window: ALL_TIME });
  expect(verified, `${JSON.stringify(verified).slice(0, 2000)} ${figures}`).toMatchObject({
    ok: true,
    value: { ok: true, wrong: {} },
  });
  if (!verified.ok) return;
  process.stdout.write(
    `verified ${verified.value.recordCount} records in ${Math.round((performance.now() - begunMs) / 1000)} s\n`,
  );
}

describe("the upstream is away for days", () => {
  test(`${HOURS} h of ${BEDS} beds: all of it arrives, once, marked, in order`, { timeout: 4 * HOUR_MS }, async () => {
    const records = BEDS * (HOURS + 4) * RECORDS_PER_BED_HOUR_MAX;
    const { bavail, bsize } = statfsSync(folder);
    expect(bavail * bsize, "room on the disk").toBeGreaterThan(records * BYTES_PER_RECORD_MAX);
    const run = await startLongRun(optionsOf(HOURS, records * BYTES_PER_RECORD_MAX));
    const timings = await leaveAndReturn(run, HOURS);
    const figures = tell(run, HOURS, timings);
    expect(run.stallCount(), figures).toBe(0);
    expect(timings.backlogRecords, figures).toBeGreaterThan(BEDS * 12 * HOURS * 3600);
    expect(run.ledger.missingCount(), figures).toBe(0);
    expect(run.ledger.figures(), figures).toMatchObject({ unmarkedDuplicates: 0, changed: 0, unknown: 0, overrun: 0 });
    expect(run.farSide.figures(), figures).toMatchObject({ outOfOrder: 0, wronglyUnmarked: 0, losses: [] });
    await expectVerified(run, figures);
  });

  test("a journal that is too small for it: each record that is missing lies in a range that was told, and nothing else is missing", {
    timeout: HOUR_MS,
  }, async () => {
    const hours = Math.min(HOURS, 4);
    const run = await startLongRun(optionsOf(hours, SMALL_BYTES));
    const timings = await leaveAndReturn(run, hours);
    const figures = tell(run, hours, timings);
    const { losses, ...order } = run.farSide.figures();
    expect(run.ledger.figures(), figures).toMatchObject({ unmarkedDuplicates: 0, changed: 0, unknown: 0, overrun: 0 });
    expect(order, figures).toEqual({ outOfOrder: 0, wronglyUnmarked: 0 });
    expect(run.ledger.missingCount(), figures).toBeGreaterThan(100_000);
    expect(toldAndMissing(run, losses), figures).toBe(run.ledger.missingCount());
    // What the reader never had is told once, as its own loss, with the right count.
    const ofReader = losses.filter((loss) => loss.reader !== null);
    expect(
      ofReader.map((loss) => loss.why),
      figures,
    ).toEqual(ofReader.map(() => "reader-limit"));
    expect(ofReader.length, figures).toBeGreaterThan(0);
    expect(
      losses.filter((loss) => loss.reader === null).every((loss) => loss.why === "byte-budget"),
      figures,
    ).toBe(true);
    await expectVerified(run, figures);
  });
});

/** How many of the missing records lie in ranges that were told, each once. */
function toldAndMissing(run: LongRun, losses: readonly Loss[]): number {
  const ranges = losses.filter((loss) => loss.what === "records").sort((one, other) => one.fromSeq - other.fromSeq);
  let count = 0;
  let countedUpTo = 0;
  for (const { fromSeq, toSeq } of ranges) {
    count += run.ledger.missingWithin(Math.max(fromSeq, countedUpTo + 1), toSeq);
    countedUpTo = Math.max(countedUpTo, toSeq);
  }
  return count;
}
