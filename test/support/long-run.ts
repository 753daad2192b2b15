import { join } from "node:path";
import { parseConfig } from "../../config/load.ts";
import type { Config } from "../../config/schema.ts";
import { findDriver } from "../../drivers/index.ts";
import { type MemoryLink, openMemoryLink } from "../../simulator/links/memory-link.ts";
import { createSimulatedClock, type SimulatedClock } from "../../simulator/world/simulated-clock.ts";
import type { Alert } from "../../src/core/alert.ts";
import { bedId, deviceId, patientId } from "../../src/core/ids.ts";
import { LIMITS } from "../../src/core/limits.ts";
import { present } from "../../src/core/observation.ts";
import type { Delivery, Journal } from "../../src/core/ports.ts";
import { assert } from "../../src/core/result.ts";
import { type Gateway, startGateway } from "../../src/gateway/assembly.ts";
import { openJournal } from "../../src/journal/journal.ts";
import { type Outbox, startOutbox } from "../../src/sinks/outbox.ts";
import { loadScoreModel } from "../../src/watch/score-table.ts";
import { type FarSide, openFarSide } from "./far-side.ts";
import { RecordLedger } from "./record-ledger.ts";
import { seededRandom } from "./seeded-random.ts";

/*
 * Days of a ward in minutes. Real: every byte, driver, intake, watch, score, alert, the journal with its two threads and its files, the
 * outbox. Simulated: time; the links' far ends; and the line to the upstream, which is as wide and as slow as it is told.
 *
 * Time goes on in steps, and stands still after each until the real disk and the real reading thread have caught up: until no question
 * to the journal is open, every alert is on disk, and no more waits for the disk than `diskLagSeconds` of the ward's records. So a commit
 * or a page costs no simulated time, batches are as large as that lag makes them, and segments are ended by their size or by the real
 * hour. How long commits take on a disk is another test's business; what is shown here is that nothing is lost, doubled or changed, and
 * that nothing grows.
 */

/** What a run is. */
export interface LongRunOptions {
  readonly folder: string;
  readonly beds: number;
  readonly seed: number;
  readonly journalBytesMax: number;
  /** Records that the ledger knows at a time; a power of two. */
  readonly ledgerRecords: number;
  /** How much simulated time of records may wait for the real disk. */
  readonly diskLagSeconds: number;
  readonly lineRecordsPerSecond: number;
  readonly lineLatencyMs: number;
  /** Every so often a patient gets a fever or loses it; each is an alert. */
  readonly turnEverySeconds: number;
  /** Every so often a link breaks for ten seconds; null: never. */
  readonly breakEverySeconds: number | null;
  /** Each arrival at the far side, and whether it was the first of its key. */
  readonly onArrival?: (delivery: Delivery, isFirst: boolean) => void;
}

/** A running ward in simulated time. */
export interface LongRun {
  readonly config: Config;
  readonly clock: SimulatedClock;
  readonly journal: Journal;
  readonly gateway: Gateway;
  readonly outbox: Outbox;
  readonly ledger: RecordLedger;
  readonly farSide: FarSide;
  /** Lets simulated time pass. */
  readonly pass: (milliseconds: number, stepMs: number) => Promise<void>;
  /** Lets all monitors fall silent until everything that was made has arrived, for at most a minute; what their silence brings arrives too. */
  readonly settle: () => Promise<void>;
  /** Observations, alerts and the rest that were made so far. */
  readonly madeCount: () => number;
  /** How often the real disk or reader did not catch up within the real time it is given; such a run shows less. */
  readonly stallCount: () => number;
  /** Stops the gateway, the outbox and the journal in the order of the real one. */
  readonly stop: () => Promise<void>;
}

/** Each second of a ward's bytes is one of so many. */
const VARIANTS = 24;
const FEVER_CELSIUS = 39.7;
/** Real time that the disk and the reader are given to catch up. */
const STALL_MS = 20_000;
/** After so long without it, simulated time goes on at half the speed of real time: a question or a commit that failed is tried again by it. */
const PATIENCE_MS = 1000;
const LOOK_MS = 100;
const LINK_DOWN_MS = 10_000;
const LONG_RUN_GATEWAY_ID = "ward-long";
export const LONG_RUN_READER = "upstream:hospital";

/** Starts a ward: everybody admitted, every monitor assigned, every link up. */
export async function startLongRun(options: LongRunOptions): Promise<LongRun> {
  const clock = createSimulatedClock();
  const random = seededRandom(options.seed).fraction;
  const pace = createPace(options, clock);
  const ledger = new RecordLedger(LONG_RUN_READER, options.ledgerRecords);
  const opened = await openJournal({
    folder: join(options.folder, "journal"),
    gatewayId: LONG_RUN_GATEWAY_ID,
    bytesMax: options.journalBytesMax,
    clock,
  });
  assert(opened.ok, "a new journal opens");
  const journal = watched(opened.value, { ledger, pace });
  const config = wardConfig(options);
  const news2 = await loadScoreModel(new URL("../../models/news2", import.meta.url).pathname);
  assert(news2.ok, "NEWS2 loads");
  const links: MemoryLink[] = [];
  const heard = createReceipts({ clock, give: (receipt) => gateway.addReceipt(receipt) });
  const farSide = openFarSide({
    clock,
    ledger,
    recordsPerSecond: options.lineRecordsPerSecond,
    latencyMs: options.lineLatencyMs,
    random,
    onAlert: heard,
    ...(options.onArrival === undefined ? {} : { onArrival: options.onArrival }),
  });
  const outboxes: Outbox[] = [];
  const gateway: Gateway = await startGateway({
    config,
    clock,
    journal,
    models: [news2.value],
    drivers: findDriver,
    openLink: () => {
      const link = openMemoryLink({ clock });
      links.push(link);
      return link.link;
    },
    onAlert: (alert) => {
      if (outboxes[0]?.view().state === "connected") farSide.alertMade(alert);
      pace.mustCommit(alert.seq);
      for (const outbox of outboxes) outbox.urgent(alert);
    },
    onHeartbeat: () => {},
    gatewayView: () => ({
      gatewayId: LONG_RUN_GATEWAY_ID,
      version: "",
      epoch: journal.epoch,
      startedAtMs: 0,
      journal: { state: "working", waitingRecords: journal.stats().waitingRecords },
      upstreams: [],
      safeMode: false,
    }),
    version: "0",
  });
  const stopOutbox = new AbortController();
  const subject = { patientId: null, bedId: null, deviceId: null, part: LONG_RUN_READER };
  const outbox = startOutbox({
    name: LONG_RUN_READER,
    gatewayId: LONG_RUN_GATEWAY_ID,
    journal,
    sink: farSide.sink,
    clock,
    random,
    stop: stopOutbox.signal,
    onFault: (reason) => gateway.setFault(LONG_RUN_READER, reason, subject),
    stateLoss: gateway.addLoss,
    onIncident: (incident) => gateway.setFault(`${LONG_RUN_READER}:${incident.code}`, incident, subject),
  });
  outboxes.push(outbox);
  await admitAll(gateway, options.beds);
  for (const link of links) link.up();
  const ward = createWard({ options, clock, links, random });
  let silent = false;
  const pass: LongRun["pass"] = async (milliseconds, stepMs) => {
    for (let passedMs = 0; passedMs < milliseconds; passedMs += stepMs) {
      if (!silent) ward.speak(stepMs);
      await clock.advance(stepMs);
      await pace.caughtUp(journal);
    }
  };
  /** Time for a group commit of what was made so far, the commit itself, and time for the line. What is made meanwhile has the next breath. */
  const breathe = async () => {
    const madeSeq = pace.madeSeq();
    await pass(LIMITS.journalSmallGroupCommitMsMax.value + 50, 50);
    pace.mustCommit(madeSeq);
    await pace.caughtUp(journal);
    await pass(200, 50);
  };
  return {
    config,
    clock,
    journal,
    gateway,
    outbox,
    ledger,
    farSide,
    pass,
    settle: async () => {
      silent = true;
      for (let turn = 0; turn < 120 && (turn < 6 || ledger.missingCount() > 0); turn++) await breathe();
    },
    madeCount: () => ledger.figures().made,
    stallCount: pace.stallCount,
    stop: async () => {
      silent = true;
      await whileTimePasses(clock, gateway.stop());
      // Its last tally leaves as well.
      for (let turn = 0; turn < 10 && ledger.missingCount() > 0; turn++) await breathe();
      stopOutbox.abort();
      await whileTimePasses(clock, outbox.finished);
      await whileTimePasses(clock, journal.close());
    },
  };
}

/** Waits for work that itself waits for simulated time. */
async function whileTimePasses(clock: SimulatedClock, work: Promise<unknown>): Promise<void> {
  let done = false;
  void work.finally(() => {
    done = true;
  });
  while (!done) {
    await new Promise((resolve) => setTimeout(resolve, 5));
    // Slower than real time, so that a real disk is not told that its time is up.
    await clock.advance(2);
  }
  await work;
}

/** Keeps simulated time from running ahead of the real disk and the real reader. */
interface Pace {
  readonly mustCommit: (seq: number) => void;
  readonly reading: <Answer>(answer: Promise<Answer>) => Promise<Answer>;
  readonly changed: () => void;
  readonly made: (seq: number) => void;
  /** The highest number that was handed to the journal. */
  readonly madeSeq: () => number;
  readonly caughtUp: (journal: Journal) => Promise<void>;
  readonly stallCount: () => number;
}

function createPace(options: Pick<LongRunOptions, "beds" | "diskLagSeconds">, clock: SimulatedClock): Pace {
  /** An Ivy says at most 13 values a second. */
  const waitingMax = Math.ceil(options.beds * 13 * options.diskLagSeconds);
  let mustCommitSeq = 0;
  let madeSeq = 0;
  let readsUnderWay = 0;
  let stalls = 0;
  let wake: (() => void) | null = null;
  const changed = () => {
    wake?.();
    wake = null;
  };
  return {
    mustCommit: (seq) => {
      mustCommitSeq = Math.max(mustCommitSeq, seq);
    },
    reading: async (answer) => {
      readsUnderWay += 1;
      try {
        return await answer;
      } finally {
        readsUnderWay -= 1;
        changed();
      }
    },
    changed,
    made: (seq) => {
      madeSeq = Math.max(madeSeq, seq);
    },
    madeSeq: () => madeSeq,
    caughtUp: async (journal) => {
      const behind = () =>
        readsUnderWay > 0 || journal.committedSeq() < mustCommitSeq || madeSeq - journal.committedSeq() > waitingMax;
      const beganMs = performance.now();
      while (behind()) {
        const waitedMs = performance.now() - beganMs;
        if (waitedMs > STALL_MS) {
          stalls += 1;
          return;
        }
        if (waitedMs > PATIENCE_MS) await clock.advance(LOOK_MS / 2);
        await new Promise<void>((resolve) => {
          const timer = setTimeout(resolve, LOOK_MS);
          wake = () => {
            clearTimeout(timer);
            resolve();
          };
        });
        // What the answer set off may be another question.
        for (let turn = 0; turn < 20; turn++) await Promise.resolve();
      }
    },
    stallCount: () => stalls,
  };
}

/** The real journal, with every record noted when it is handed over and every question counted while it is open. */
function watched(journal: Journal, parts: { readonly ledger: RecordLedger; readonly pace: Pace }): Journal {
  const { ledger, pace } = parts;
  journal.onCommit(() => pace.changed());
  return {
    ...journal,
    append: (records) => {
      ledger.made(records);
      pace.made(records.at(-1)?.seq ?? 0);
      journal.append(records);
    },
    read: (query) => pace.reading(journal.read(query)),
    readBack: (query) => pace.reading(journal.readBack(query)),
    cursor: (reader) => pace.reading(journal.cursor(reader)),
  };
}

function wardConfig(options: Pick<LongRunOptions, "beds" | "folder">): Config {
  const numbers = Array.from({ length: options.beds }, (_, index) => index + 1);
  const parsed = parseConfig(
    JSON.stringify({
      gateway: { id: LONG_RUN_GATEWAY_ID, dataFolder: options.folder },
      beds: numbers.map((number) => ({ id: `bed-${number}`, title: String(number) })),
      devices: numbers.map((number) => ({
        id: `monitor-${number}`,
        driver: "serial-ivy-450c",
        bed: `bed-${number}`,
        link: { kind: "tcp", host: "127.0.0.1", port: number },
      })),
      upstreams: [{ name: "hospital", kind: "mqtt", url: "mqtt://127.0.0.1:1" }],
    }),
    options.folder,
  );
  assert(parsed.ok, "the run's configuration is valid");
  return parsed.value;
}

async function admitAll(gateway: Gateway, beds: number): Promise<void> {
  const actor = { userId: "nurse-1", from: "page" } as const;
  for (let number = 1; number <= beds; number++) {
    const patient = patientId(`patient-${number}`);
    const admitted = await gateway.perform(
      {
        kind: "admit",
        patientId: patient,
        bedId: bedId(`bed-${number}`),
        label: `P${number}`,
        profile: { kind: "adult", spo2Scale: 1 },
        demonstration: false,
      },
      actor,
    );
    const assigned = await gateway.perform(
      { kind: "assign", deviceId: deviceId(`monitor-${number}`), patientId: patient },
      actor,
    );
    assert(admitted.ok && assigned.ok, "everybody is admitted");
  }
}

/** The receiver says `received` for each alert, a little later. */
function createReceipts(parts: { readonly clock: SimulatedClock; readonly give: Gateway["addReceipt"] }) {
  return (_alert: Alert, key: string) => {
    parts.clock.after(50, () =>
      parts.give({ atMs: parts.clock.wall(), of: key, reader: LONG_RUN_READER, state: "received", by: "nurse-station" }),
    );
  };
}

/** The monitors: one message a second each, spread over the second; fevers come and go by turns; links break now and then. */
function createWard(parts: {
  readonly options: LongRunOptions;
  readonly clock: SimulatedClock;
  readonly links: readonly MemoryLink[];
  readonly random: () => number;
}): { readonly speak: (stepMs: number) => void } {
  const { options, clock, links, random } = parts;
  const well = Array.from({ length: VARIANTS }, (_, variant) => messageOf(variant, 36.8));
  const hot = Array.from({ length: VARIANTS }, (_, variant) => messageOf(variant, FEVER_CELSIUS));
  const feverish = new Set<number>();
  const down = new Set<number>();
  const beganMs = clock.monotonic();
  let spokenMs = 0;
  let turn = 0;
  clock.every(options.turnEverySeconds * 1000, () => {
    const bed = Math.floor(turn / 2) % options.beds;
    if (turn % 2 === 0) feverish.add(bed);
    else feverish.delete(bed);
    turn += 1;
  });
  if (options.breakEverySeconds !== null)
    clock.every(options.breakEverySeconds * 1000, () => {
      const bed = Math.floor(random() * options.beds);
      if (down.has(bed)) return;
      down.add(bed);
      links[bed]?.down();
      clock.after(LINK_DOWN_MS, () => {
        down.delete(bed);
        links[bed]?.up();
      });
    });
  return {
    speak: (stepMs) => {
      const nowMs = clock.monotonic() - beganMs;
      const untilMs = nowMs + stepMs;
      for (let bed = 0; bed < options.beds; bed++) {
        const offsetMs = (bed * 1000) / options.beds;
        const rounds = Math.floor((untilMs - offsetMs) / 1000) - Math.floor((spokenMs - offsetMs) / 1000);
        if (down.has(bed)) continue;
        for (let round = 0; round < rounds; round++) {
          const variant = (Math.floor(untilMs / 1000) + bed * 7 + round) % VARIANTS;
          const bytes = (feverish.has(bed) ? hot : well)[variant];
          if (bytes !== undefined) links[bed]?.send(bytes);
        }
      }
      spokenMs = untilMs;
    },
  };
}

/** One second of a monitor, its numbers never the same for long; it has no cuff. */
function messageOf(variant: number, celsius: number): Uint8Array {
  const driver = findDriver("serial-ivy-450c");
  assert(driver !== null && driver.encode !== null, "the monitor's driver can encode");
  return driver.encode([
    present("heartRate", 62 + (variant % 20), "/min"),
    present("respiratoryRate", 12 + (variant % 5), "/min"),
    present("oxygenSaturation", 95 + (variant % 4), "%"),
    present("pulseRate", 62 + (variant % 19), "/min"),
    present("endTidalCarbonDioxide", 35 + (variant % 6), "mm[Hg]"),
    present("arterialSystolicPressure", 118 + (variant % 9), "mm[Hg]"),
    present("arterialDiastolicPressure", 72 + (variant % 7), "mm[Hg]"),
    present("arterialMeanPressure", 88 + (variant % 8), "mm[Hg]"),
    present("bodyTemperature", celsius, "Cel"),
  ]);
}
