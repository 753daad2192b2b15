import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { processTree } from "../../src/commands/bench/processes.ts";
import { type Audit, audit, type Kept, NOTHING_WRONG, readJournal } from "./delivery-audit.ts";
import type { Mosquitto } from "./mosquitto.ts";
import { type CutFigures, type DiskCounts, openPowerDisk, type PowerDisk } from "./power-disk.ts";
import { expectNothingLost } from "./power-kills.ts";
import { type BusyWard, keepBusy, lostActs, startConfirming, victimOf } from "./power-load.ts";
import {
  admitWard,
  type Files,
  runSupervised,
  type SupervisedGateway,
  type Verified,
  verify,
  writeConfig,
} from "./real-gateway.ts";
import { type SeededRandom, seededRandom } from "./seeded-random.ts";
import type { SettableWard } from "./settable-ward.ts";
import type { Program, Stage } from "./stage.ts";
import { pause, until } from "./until.ts";
import { type Recorder, startRecorder } from "./upstream-recorder.ts";

/** An SD card takes so long for an fsync. Source: SAFETY.md, when a figure is honest. */
const SYNC_MICROSECONDS = 15_000;

/** What is attacked. */
export interface CutAttack {
  readonly stage: Stage;
  readonly ward: SettableWard;
  readonly broker: Mosquitto;
  readonly seed: number;
  /** So small that segments are ended and logs carried over while it is attacked; 16, the least, where it is not said. */
  readonly journalMegabytes?: number;
}

/** A gateway under load on a disk that forgets, and everybody around it on disks that do not. */
export interface PoweredGateway {
  readonly disk: PowerDisk;
  readonly files: Files;
  readonly recordFile: string;
  readonly recorder: Recorder;
  readonly load: BusyWard;
  readonly random: SeededRandom;
  readonly gateway: () => SupervisedGateway;
  /** Cuts the power now. Nothing runs on the disk afterwards. */
  readonly cut: () => Promise<CutFigures>;
  readonly start: () => Promise<void>;
  /** Starts it and cuts the power so long after. */
  readonly startAndCut: (afterMs: number) => Promise<CutFigures>;
  /** What a copy of the journal says now, while nothing runs on the disk. */
  readonly examine: () => Promise<Examination>;
}

/** What lies on the disk after a cut, held against what was said. */
export interface Examination {
  readonly kept: Kept;
  readonly found: Audit;
  readonly lostActs: readonly string[];
  readonly verified: Verified;
  /** The last lines of the gateway that was cut off. */
  readonly said: readonly string[];
}

/** Starts a gateway on a disk of its own, with a ward that is admitted and busy. */
export async function startPowered(attack: CutAttack): Promise<PoweredGateway> {
  const { stage, ward, broker, seed, journalMegabytes = 16 } = attack;
  const random = seededRandom(seed);
  const dataFolder = join(stage.folder, "data");
  mkdirSync(dataFolder, { mode: 0o700 });
  const disk = openPowerDisk(stage, dataFolder);
  const recordFile = join(stage.folder, "received.jsonl");
  const files = await writeConfig(stage, { ward, brokerPort: broker.port, dataFolder: disk.folder, journalMegabytes });
  const recorder = await startRecorder(stage, { port: broker.port, recordFile });
  startConfirming(stage, broker.port);
  let gateway = await runSupervised(stage, files, disk.env);
  let newest = gateway.supervisor;
  await admitWard(files, ward);
  const load = keepBusy(stage, { files, ward, random: seededRandom(seed + 1) });
  let cuts = 0;
  // Each cut has its own row of random numbers: how many it takes depends on what was under way.
  const cutNow = () => {
    cuts += 1;
    return disk.cut(seededRandom(seed + 1000 * cuts));
  };
  return {
    disk,
    files,
    recordFile,
    recorder,
    load,
    random,
    gateway: () => gateway,
    cut: async () => {
      await killTree(stage, gateway.supervisor.pid);
      return cutNow();
    },
    start: async () => {
      gateway = await runSupervised(stage, files, disk.env);
      newest = gateway.supervisor;
    },
    startAndCut: async (afterMs) => {
      newest = stage.vigil(["run", "--config", files.configFile], disk.env);
      await pause(afterMs);
      await killTree(stage, newest.pid);
      return cutNow();
    },
    examine: () => examineCopy(stage, { disk, files, recordFile, recorder, load, newest }),
  };
}

/** Kills a process and all it started, the parent first so that it starts none again, and waits until none is left. */
async function killTree(stage: Stage, rootPid: number): Promise<void> {
  const tree = processTree(rootPid);
  for (const pid of tree) {
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      // It has just ended by itself.
    }
  }
  await until("all of the gateway is killed", () => !stage.processes().some(({ pid }) => tree.includes(pid)));
}

/** The last lines that the gateways of a run said, its supervisor's included. */
const SAID_LINES = 40;

async function examineCopy(
  stage: Stage,
  of: Pick<PoweredGateway, "disk" | "files" | "recordFile" | "recorder" | "load"> & { readonly newest: Program },
): Promise<Examination> {
  const dataFolder = join(stage.folder, "copy-of-data");
  const configFile = join(stage.folder, "config-of-copy.yaml");
  const copy = () => {
    rmSync(dataFolder, { recursive: true, force: true });
    cpSync(of.disk.folder, dataFolder, { recursive: true });
  };
  const config = readFileSync(of.files.configFile, "utf8").replaceAll(of.disk.folder, dataFolder);
  writeFileSync(configFile, config, { mode: 0o600 });
  copy();
  const verified = await verify(stage, { configFile, recordFile: of.recordFile });
  copy();
  const kept = await readJournal({ dataFolder });
  const found = audit(of.recorder.delivered(), kept, { cutOff: true });
  return { kept, found, lostActs: lostActs(of.load.durableActs, kept), verified, said: of.newest.stderr.slice(-SAID_LINES) };
}

/** All that was said is on the disk, and a power cut is not damage. */
export function expectAllThere(examined: Examination, about: string): void {
  expect(examined.kept.faultsAtOpen, about).toEqual([]);
  expect(examined.found, about).toEqual(NOTHING_WRONG);
  expect(examined.lostActs, about).toEqual([]);
  const { verified, said } = examined;
  expect(verified.exitCode, `${about}; verify said ${verified.said.slice(-4000)}; the gateway said ${said.join("\n")}`).toBe(0);
}

/** What one cut came upon and left. */
type CutDone = CutFigures & DiskCounts;

/**
 * Cuts the power again and again at random moments, some of them in the middle of a start, and looks after each cut whether all that was
 * said is on the disk.
 *
 * @returns  A line of figures.
 */
export async function attackWithCuts(attack: CutAttack & { readonly cuts: number }): Promise<string> {
  const { stage, cuts } = attack;
  const startedMs = performance.now();
  const powered = await startPowered(attack);
  const { recorder, random, files, load } = powered;
  const tookMs: number[] = [];
  const done: CutDone[] = [];
  // As long as a real disk takes, so that cuts fall into commits.
  powered.disk.delaySyncs(SYNC_MICROSECONDS);
  while (done.length < cuts) {
    const inStart = done.length + 1 < cuts && random.fraction() < 0.25;
    tookMs.push(await cutOnce(attack, { powered, done, inStart }));
  }
  await load.stop();
  await pause(3000);
  powered.gateway().supervisor.signal("SIGTERM");
  expect(await powered.gateway().supervisor.exited).toBe(0);
  await pause(500);
  const kept = await readJournal(files);
  const figures = describe({ attack, done, tookMs, kept, powered, tookSeconds: (performance.now() - startedMs) / 1000 });
  process.stdout.write(`${figures}\n`);
  expectNothingLost({ figures, found: audit(recorder.delivered(), kept), kept, recorder, load });
  expect(await verify(stage, { ...files, recordFile: powered.recordFile }), figures).toMatchObject({ exitCode: 0 });
  // The cuts had something to take.
  expect(sum(done, "syncs"), figures).toBeGreaterThan(cuts * 10);
  expect(sum(done, "sectorsWaiting"), figures).toBeGreaterThan(0);
  return figures;
}

/**
 * One cut, or one and another in the middle of the start after it. Two patients get worse: one within the 1.5 s before it, one before the
 * power comes back.
 *
 * @returns  From the start with power again to the second patient's alert upstream, in ms.
 */
async function cutOnce(
  { seed, ward }: CutAttack,
  of: { readonly powered: PoweredGateway; readonly done: CutDone[]; readonly inStart: boolean },
): Promise<number> {
  const { powered, done, inStart } = of;
  const { random, recorder, disk, load } = powered;
  const before = victimOf(ward, 2 * done.length);
  const at = victimOf(ward, 2 * done.length + 1);
  await pause(1000 + random.fraction() * 5000);
  const begunMs = performance.now();
  before.worsen();
  await pause(random.fraction() * 1500);
  const examineCut = async (cut: () => Promise<CutFigures>): Promise<string> => {
    const counts = disk.counts();
    done.push({ ...(await cut()), ...counts });
    const about = `cut ${done.length}, seed ${seed}: ${JSON.stringify(done.at(-1))}`;
    expectAllThere(await powered.examine(), about);
    return about;
  };
  let about = await examineCut(powered.cut);
  if (inStart) about = await examineCut(() => powered.startAndCut(random.fraction() * 2500));
  at.worsen();
  const onMs = performance.now();
  await powered.start();
  const heard = await until(`${at.patientId} alarms, ${about}`, () => at.alertAfter(recorder, onMs), 30_000);
  await until(`${before.patientId} alarms, ${about}`, () => before.alertAfter(recorder, begunMs), 20_000);
  // Alerts go on without a disk; a start after which the journal is never written again would show in nothing else.
  const actsBefore = load.durableActs.size;
  await until(`an act is durable, ${about}`, () => load.durableActs.size > actsBefore, 30_000);
  before.recover();
  at.recover();
  return heard.atMs - onMs;
}

function sum(done: readonly CutDone[], name: "syncs" | "folderSyncs" | "sectorsWaiting" | "sectorsReached"): number {
  return done.reduce((all, each) => all + each[name], 0);
}

function describe(of: {
  readonly attack: CutAttack;
  readonly done: readonly CutDone[];
  readonly tookMs: readonly number[];
  readonly kept: Kept;
  readonly powered: PoweredGateway;
  readonly tookSeconds: number;
}): string {
  const { attack, done, tookMs, kept, powered, tookSeconds } = of;
  const { recorder, load } = powered;
  const sortedMs = tookMs.map(Math.round).sort((one, other) => one - other);
  const segments = readdirSync(join(powered.disk.folder, "journal")).filter((name) => /^observations-\d+\.sqlite$/.test(name));
  return [
    `${new Date().toISOString()} seed ${attack.seed}: ${done.length} power cuts, ${attack.ward.beds.length} beds`,
    `${kept.bySeq.size} records in ${segments.length} segments`,
    `${recorder.delivered().length} deliveries`,
    `${recorder.alerts().length} alerts`,
    `${load.durableActs.size} durable acts`,
    `${sum(done, "syncs")} fsyncs of files and ${sum(done, "folderSyncs")} of folders`,
    `${sum(done, "sectorsWaiting")} sectors not yet fsynced at the cuts and ${sum(done, "sectorsReached")} of them on the disk all the same`,
    `from the start to an alert upstream ${sortedMs[0]} to ${sortedMs.at(-1)} ms, median ${sortedMs[sortedMs.length >> 1]}`,
    `${tookSeconds.toFixed(0)} s in all`,
  ].join(", ");
}
