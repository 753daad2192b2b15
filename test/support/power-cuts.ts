import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { processTree } from "../../src/commands/bench-processes.ts";
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
import { pause, type Stage, until } from "./stage.ts";
import { type Recorder, startRecorder } from "./upstream-recorder.ts";

/** An SD card takes so long for an fsync. Source: safety.md, conditions for honest figures. */
const SYNC_MICROSECONDS = 15_000;

/** What is attacked. */
export interface CutAttack {
  readonly stage: Stage;
  readonly ward: SettableWard;
  readonly broker: Mosquitto;
  readonly seed: number;
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
  /** What a copy of the journal says now, while nothing runs on the disk. */
  readonly examine: () => Promise<Examination>;
}

/** What lies on the disk after a cut, held against what was said. */
export interface Examination {
  readonly kept: Kept;
  readonly found: Audit;
  readonly lostActs: readonly string[];
  readonly verified: Verified;
}

/** Starts a gateway on a disk of its own, with a ward that is admitted and busy. */
export async function startPowered({ stage, ward, broker, seed }: CutAttack): Promise<PoweredGateway> {
  const random = seededRandom(seed);
  const dataFolder = join(stage.folder, "data");
  mkdirSync(dataFolder, { mode: 0o700 });
  const disk = openPowerDisk(stage, dataFolder);
  const recordFile = join(stage.folder, "received.jsonl");
  const files = await writeConfig(stage, { ward, brokerPort: broker.port, dataFolder: disk.folder });
  const recorder = await startRecorder(stage, { port: broker.port, recordFile });
  startConfirming(stage, broker.port);
  let gateway = await runSupervised(stage, files, disk.env);
  await admitWard(files, ward);
  const load = keepBusy(stage, { files, ward, random });
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
      return disk.cut(random);
    },
    start: async () => {
      gateway = await runSupervised(stage, files, disk.env);
    },
    examine: () => examineCopy(stage, { disk, files, recordFile, recorder, load }),
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

async function examineCopy(
  stage: Stage,
  of: Pick<PoweredGateway, "disk" | "files" | "recordFile" | "recorder" | "load">,
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
  return { kept, found, lostActs: lostActs(of.load.durableActs, kept), verified };
}

/** All that was said is on the disk, and a power cut is not damage. */
export function expectAllThere(examined: Examination, about: string): void {
  expect(examined.kept.faultsAtOpen, about).toEqual([]);
  expect(examined.found, about).toEqual(NOTHING_WRONG);
  expect(examined.lostActs, about).toEqual([]);
  expect(examined.verified, about).toMatchObject({ exitCode: 0 });
}

/**
 * Cuts the power again and again at random moments, and looks after each cut whether all that was said is on the disk.
 *
 * @returns  A line of figures.
 */
export async function attackWithCuts(attack: CutAttack & { readonly cuts: number }): Promise<string> {
  const { stage, ward, cuts, seed } = attack;
  const startedMs = performance.now();
  const powered = await startPowered(attack);
  const { recorder, random, files, load } = powered;
  const tookMs: number[] = [];
  const done: (CutFigures & DiskCounts)[] = [];
  // As long as a real disk takes, so that cuts fall into commits.
  powered.disk.delaySyncs(SYNC_MICROSECONDS);
  for (let cut = 0; cut < cuts; cut++) {
    const before = victimOf(ward, 2 * cut);
    const at = victimOf(ward, 2 * cut + 1);
    await pause(1000 + random.fraction() * 5000);
    const begunMs = performance.now();
    before.worsen();
    await pause(random.fraction() * 1500);
    const counts = powered.disk.counts();
    const figures = { ...(await powered.cut()), ...counts };
    done.push(figures);
    const about = `cut ${cut}, seed ${seed}: ${JSON.stringify(figures)}`;
    const examined = await powered.examine();
    expectAllThere(examined, about);
    at.worsen();
    const onMs = performance.now();
    await powered.start();
    const heard = await until(`${at.patientId} alarms, ${about}`, () => at.alertAfter(recorder, onMs), 30_000);
    await until(`${before.patientId} alarms, ${about}`, () => before.alertAfter(recorder, begunMs), 20_000);
    tookMs.push(heard.atMs - onMs);
    before.recover();
    at.recover();
  }
  await load.stop();
  await pause(3000);
  powered.gateway().supervisor.signal("SIGTERM");
  expect(await powered.gateway().supervisor.exited).toBe(0);
  await pause(500);
  const kept = await readJournal(files);
  const sum = (name: "syncs" | "folderSyncs" | "sectorsWaiting" | "sectorsReached") =>
    done.reduce((all, each) => all + each[name], 0);
  const sortedMs = tookMs.map(Math.round).sort((one, other) => one - other);
  const figures =
    `${new Date().toISOString()} seed ${seed}: ${cuts} power cuts, ${ward.beds.length} beds, ${kept.bySeq.size} records, ` +
    `${recorder.delivered().length} deliveries, ${recorder.alerts().length} alerts, ${load.durableActs.size} durable acts, ` +
    `${sum("syncs")} fsyncs of files and ${sum("folderSyncs")} of folders, ${sum("sectorsWaiting")} sectors not yet fsynced at the cuts, ` +
    `${sum("sectorsReached")} of them on the disk all the same; from power to alert ${sortedMs[0]} to ${sortedMs.at(-1)} ms, ` +
    `${((performance.now() - startedMs) / 1000).toFixed(0)} s in all`;
  process.stdout.write(`${figures}\n`);
  expectNothingLost({ figures, found: audit(recorder.delivered(), kept), kept, recorder, load });
  expect(await verify(stage, { ...files, recordFile: powered.recordFile }), figures).toMatchObject({ exitCode: 0 });
  // The cuts had something to take.
  expect(sum("syncs"), figures).toBeGreaterThan(cuts * 10);
  expect(sum("sectorsWaiting"), figures).toBeGreaterThan(0);
  return figures;
}
