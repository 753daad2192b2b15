import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { afterAll, beforeAll, expect, test } from "vitest";
import { bedId, patientId } from "../../src/core/ids.ts";
import { LIMITS } from "../../src/core/limits.ts";
import { wallMs } from "../../src/core/time.ts";
import { type LongRun, startLongRun } from "../support/long-run.ts";
import { slopeOf, slopeText } from "../support/slope.ts";

const BEDS = 50;
const HOURS = Number(process.env["VIGIL_SOAK_HOURS"] ?? 24);
const SEED = 5024;
const HOUR_MS = 3_600_000;
const SAMPLE_MS = Math.min(HOUR_MS / 4, (HOURS * HOUR_MS) / 60);
/** Caches fill, windows fill, code is compiled, the journal reaches its budget: from here on figures are judged. */
const WARM_UP_SHARE = 0.3;
/** So small that the journal drops its oldest segments for most of the run. */
const JOURNAL_BYTES = Math.max(6_000_000, HOURS * 4_000_000);
/** A byte that is kept for each observation would be 0.95; a tenth of that. */
const HEAP_MEGABYTES_PER_MILLION_MAX = 0.1;
/** The process with all its threads, whose heaps are collected when they like. */
const RESIDENT_MEGABYTES_PER_MILLION_MAX = 0.5;
/** Below this the first growth of the heaps and of the journal hides everything else; slopes are then told and not judged. */
const JUDGED_HOURS_MIN = 6;
/** A file of the journal that is read has a handle, and one for its log. */
const READ_HANDLES_MAX = LIMITS.journalReaderFilesMax.value * 2;

let folder: string;
let run: LongRun;
let collect: () => void;

beforeAll(async () => {
  setFlagsFromString("--expose-gc");
  collect = runInNewContext("gc") as () => void;
  folder = mkdtempSync(join(tmpdir(), "vigil-fifty-beds-"));
  run = await startLongRun({
    folder,
    beds: BEDS,
    seed: SEED,
    journalBytesMax: JOURNAL_BYTES,
    ledgerRecords: 2 ** 20,
    diskLagSeconds: 4,
    lineRecordsPerSecond: 20_000,
    lineLatencyMs: 10,
    turnEverySeconds: 10,
    breakEverySeconds: 60,
  });
});

afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

interface Sample {
  readonly hours: number;
  readonly millions: number;
  /** Before anything was collected by force. */
  readonly residentMegabytes: number;
  readonly collectedResidentMegabytes: number;
  readonly heapMegabytes: number;
  readonly handles: number;
}

function residentMegabytes(): number {
  const kilobytes = /^VmRSS:\s+(\d+)/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1];
  return Number(kilobytes) / 1000;
}

function sample(hours: number): Sample {
  const before = residentMegabytes();
  collect();
  return {
    hours,
    millions: run.madeCount() / 1e6,
    residentMegabytes: before,
    collectedResidentMegabytes: residentMegabytes(),
    heapMegabytes: process.memoryUsage().heapUsed / 1e6,
    handles: readdirSync("/proc/self/fd").length,
  };
}

/** A page that is open all the time, and another that comes and goes and asks for a trend. */
function watchPages(): { readonly messages: () => number; readonly lookIn: (turn: number) => Promise<void> } {
  const { source } = run.gateway;
  let messages = 0;
  source.subscribe(() => {
    messages += 1;
  });
  return {
    messages: () => messages,
    lookIn: async (turn) => {
      const leave = [source.subscribe(() => {}), source.wavesOf(bedId(`bed-${(turn % BEDS) + 1}`), () => {})];
      source.picture();
      await run.pass(1000, 200);
      const nowMs = run.clock.wall();
      await source.trend({
        patientId: patientId(`patient-${(turn % BEDS) + 1}`),
        quantity: "heartRate",
        fromMs: wallMs(nowMs - 12 * HOUR_MS),
        toMs: nowMs,
        pointsMax: 500,
      });
      for (const stop of leave) stop();
    },
  };
}

/** What people do in an hour, over and over: take an alert as theirs, give oxygen and take it away, set a limit. */
function act(turn: number): void {
  const actor = { userId: `nurse-${turn % 5}`, from: "page" } as const;
  const patient = patientId(`patient-${(turn % BEDS) + 1}`);
  const [alert] = run.gateway.openAlerts().filter((each) => each.nature === "physiological" && each.state === "active");
  if (alert !== undefined) void run.gateway.perform({ kind: "acknowledge", alertId: alert.id }, actor);
  void run.gateway.perform({ kind: "enter-oxygen", patientId: patient, onOxygen: turn % 2 === 0 }, actor);
  const low = { value: 86 + (turn % 3), priority: "medium" } as const;
  void run.gateway.perform({ kind: "set-limit", patientId: patient, quantity: "oxygenSaturation", low, high: null }, actor);
}

test(`${BEDS} beds for ${HOURS} h of simulated time: memory and file handles stay flat`, { timeout: 4 * HOUR_MS }, async () => {
  const pages = watchPages();
  const samples: Sample[] = [];
  const beganMs = performance.now();
  for (let turn = 1; turn * SAMPLE_MS <= HOURS * HOUR_MS; turn++) {
    act(turn);
    await pages.lookIn(turn);
    await run.pass(SAMPLE_MS - 1000, 200);
    samples.push(sample((turn * SAMPLE_MS) / HOUR_MS));
  }
  const seconds = (performance.now() - beganMs) / 1000;
  await run.settle();
  await run.stop();
  const late = samples.filter(({ hours }) => hours >= HOURS * WARM_UP_SHARE);
  const slope = (value: (each: Sample) => number, at: (each: Sample) => number) =>
    slopeOf(late.map((each) => ({ at: at(each), value: value(each) })));
  const byMillion = {
    heap: slope(
      (each) => each.heapMegabytes,
      (each) => each.millions,
    ),
    resident: slope(
      (each) => each.collectedResidentMegabytes,
      (each) => each.millions,
    ),
    uncollected: slope(
      (each) => each.residentMegabytes,
      (each) => each.millions,
    ),
  };
  const byHour = {
    heap: slope(
      (each) => each.heapMegabytes,
      (each) => each.hours,
    ),
    resident: slope(
      (each) => each.collectedResidentMegabytes,
      (each) => each.hours,
    ),
    uncollected: slope(
      (each) => each.residentMegabytes,
      (each) => each.hours,
    ),
  };
  const handles = late.map((each) => each.handles);
  const last = samples.at(-1);
  const texts = (slopes: typeof byMillion) =>
    `heap ${slopeText(slopes.heap)}, resident ${slopeText(slopes.resident)}, without collecting ${slopeText(slopes.uncollected)}`;
  const { losses } = run.farSide.figures();
  const figures =
    `${new Date().toISOString()}: seed ${SEED}, ${BEDS} beds, ${HOURS} h in ${Math.round(seconds)} s (${Math.round(run.madeCount() / seconds)} records/s); ` +
    `${JSON.stringify(run.ledger.figures())}; ${pages.messages()} page messages; at the end heap ${last?.heapMegabytes.toFixed(1)} MB, resident ` +
    `${last?.collectedResidentMegabytes.toFixed(0)} MB with the test's own; MB per million records: ${texts(byMillion)}; MB per hour: ${texts(byHour)}; ` +
    `handles ${Math.min(...handles)} to ${Math.max(...handles)}; ${losses.length} losses told; ` +
    `stalls ${run.stallCount()}; ${run.ledger.findings().join("; ")}`;
  process.stdout.write(`${figures}\n`);
  expect(run.stallCount(), figures).toBe(0);
  expect(run.madeCount(), figures).toBeGreaterThan(BEDS * 12 * HOURS * 3600);
  expect(run.ledger.missingCount(), figures).toBe(0);
  expect(run.ledger.figures(), figures).toMatchObject({ unmarkedDuplicates: 0, changed: 0, unknown: 0, overrun: 0 });
  // The journal's small budget makes it drop its oldest segments, each of which is told; nothing else may be lost.
  expect(
    losses.filter(({ what, why }) => what !== "records" || why !== "byte-budget"),
    figures,
  ).toEqual([]);
  expect(Math.max(...handles) - Math.min(...handles), figures).toBeLessThanOrEqual(READ_HANDLES_MAX);
  if (HOURS < JUDGED_HOURS_MIN) return;
  const half = late.slice(Math.floor(late.length / 2)).map((each) => ({ at: each.hours, value: each.handles }));
  const handleSlope = slopeOf(half);
  expect(
    (handleSlope.perUnit - handleSlope.plusMinus) * HOURS,
    `${figures}; handles by hour ${slopeText(handleSlope)}`,
  ).toBeLessThanOrEqual(4);
  expect(byMillion.heap.perUnit - byMillion.heap.plusMinus, figures).toBeLessThanOrEqual(HEAP_MEGABYTES_PER_MILLION_MAX);
  expect(byMillion.resident.perUnit - byMillion.resident.plusMinus, figures).toBeLessThanOrEqual(
    RESIDENT_MEGABYTES_PER_MILLION_MAX,
  );
});
