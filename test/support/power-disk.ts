import { execFileSync } from "node:child_process";
import {
  chmodSync,
  closeSync,
  copyFileSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  readSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { basename, join } from "node:path";
import type { SeededRandom } from "./seeded-random.ts";
import type { Stage } from "./stage.ts";

const COMPILER = "/usr/bin/gcc";
const SOURCE_FILE = new URL("./power-disk.c", import.meta.url).pathname;
/** Debian's packages `gcc` and `libc6-dev`. Where they are missing, the tests of power cuts are skipped, loudly. */
export const compilerIsMissing = !existsSync(COMPILER) || !existsSync("/usr/include/stdio.h");
if (compilerIsMissing) process.stderr.write("SKIPPED: tests of power cuts (install Debian's packages `gcc` and `libc6-dev`)\n");

/** A disk writes whole sectors, or less when the power fails in the middle of one. */
const SECTOR_BYTES = 512;
/** What Linux notes as dirty. Same as PAGE in power-disk.c. */
const PAGE_BYTES = 4096;
/** Where the fields of `struct control` lie in power-disk.c. */
const AT_BYTE = { lying: 4, eioLeft: 8, delay: 12, counts: 16, eioPattern: 64, away: 192, readsFailed: 196, bad: 200 } as const;
/** Same as BAD_MAX in power-disk.c, and three numbers of 64 bits each. */
const BAD_STRETCHES = 16;
const BAD_STRETCH_BYTES = 24;
const CONTROL_BYTES = 4096;
const PATTERN_BYTES = 128;

/** What has been asked of the disk since it was last adopted or cut. */
export interface DiskCounts {
  readonly syncs: number;
  readonly syncsFailed: number;
  readonly folderSyncs: number;
  readonly pagesKept: number;
  readonly writes: number;
  readonly syncsLied: number;
}

/** What a power cut left and took. */
export interface CutFigures {
  /** True where the file system had just written all names by itself; else only names of folders that were fsynced are there. */
  readonly namesReached: boolean;
  /** Share of the sectors not yet fsynced that had reached the disk all the same. */
  readonly share: number;
  readonly sectorsWaiting: number;
  readonly sectorsReached: number;
  /** Files that were there before the cut and are not after it, and the other way round. */
  readonly namesLost: readonly string[];
  readonly namesBack: readonly string[];
}

/** A folder on a disk that forgets at a power cut what was not fsynced. Only processes with `env` are on this disk. */
export interface PowerDisk {
  readonly folder: string;
  /** For every process that writes into the folder. */
  readonly env: NodeJS.ProcessEnv;
  /** Takes all that lies in the folder for safely on disk. No process may be writing. */
  readonly adopt: () => void;
  /** From now on every fsync of files whose names fit a shell pattern ("" fits all) fails with EIO; or so many of them. */
  readonly failSyncs: (of: { readonly pattern: string; readonly count?: number }) => void;
  readonly healSyncs: () => void;
  /** Whether fsync says that it is done, and nothing reaches the disk. */
  readonly lie: (lying: boolean) => void;
  /** Each fsync of a file takes so much longer. */
  readonly delaySyncs: (microseconds: number) => void;
  /** From now on a stretch of a file cannot be read, whatever names its bytes have, until it is written or healed. The file must be there. */
  readonly spoil: (of: { readonly file: string; readonly fromByte: number; readonly bytes: number }) => void;
  /** Every stretch can be read again. */
  readonly healStretches: () => void;
  /** Whether every read of a file, and every write and fsync, fails with EIO, as when a disk is taken away. */
  readonly takeAway: (of: { readonly reads: boolean; readonly writes: boolean }) => void;
  /** How many reads have failed. */
  readonly readsFailed: () => number;
  readonly counts: () => DiskCounts;
  /**
   * Cuts the power: what was not fsynced is gone, except for a random part of it, in any order, and one sector is torn. Every process
   * on this disk must have been killed. Afterwards the folder holds what a machine would find that is switched on again.
   */
  readonly cut: (random: SeededRandom) => CutFigures;
}

/**
 * Compiles the library into the stage's folder and takes a folder, which must be there, for the disk.
 *
 * @param folder  Below it nothing but what the processes on this disk write may change, except while none runs.
 */
export function openPowerDisk(stage: Stage, folder: string): PowerDisk {
  const library = join(stage.folder, "power-disk.so");
  if (!existsSync(library)) execFileSync(COMPILER, ["-O2", "-shared", "-fPIC", "-o", library, SOURCE_FILE, "-ldl", "-lpthread"]);
  const watched = realpathSync(folder);
  const platter = join(stage.folder, `platter-of-${basename(watched)}`);
  mkdirSync(platter);
  writeFileSync(join(platter, "control"), new Uint8Array(CONTROL_BYTES));
  const control = openSync(join(platter, "control"), "r+");
  const store = (atByte: number, bytes: Uint8Array) => void writeSync(control, bytes, 0, bytes.length, atByte);
  const storeWhole = (atByte: number, value: number) => store(atByte, new Uint8Array(Int32Array.of(value).buffer));
  const clearCounts = () => store(AT_BYTE.counts, new Uint8Array(6 * 8));
  const adopt = () => {
    adoptFolder(watched, platter);
    clearCounts();
  };
  adopt();
  return {
    folder: watched,
    env: { LD_PRELOAD: library, VIGIL_POWER_FOLDER: watched, VIGIL_POWER_PLATTER: platter },
    adopt,
    failSyncs: ({ pattern, count }) => {
      if (Buffer.byteLength(pattern) >= PATTERN_BYTES) throw new Error("the pattern is too long");
      storeWhole(AT_BYTE.eioLeft, 0);
      store(AT_BYTE.eioPattern, Buffer.concat([Buffer.from(pattern), Buffer.alloc(PATTERN_BYTES)]).subarray(0, PATTERN_BYTES));
      storeWhole(AT_BYTE.eioLeft, count ?? -1);
    },
    healSyncs: () => storeWhole(AT_BYTE.eioLeft, 0),
    lie: (lying) => storeWhole(AT_BYTE.lying, lying ? 1 : 0),
    delaySyncs: (microseconds) => storeWhole(AT_BYTE.delay, microseconds),
    spoil: ({ file, fromByte, bytes }) => {
      const stretch = BigUint64Array.of(...[statSync(join(watched, file)).ino, fromByte, fromByte + bytes].map(BigInt));
      store(freeStretchAt(control), new Uint8Array(stretch.buffer));
    },
    healStretches: () => store(AT_BYTE.bad, new Uint8Array(BAD_STRETCHES * BAD_STRETCH_BYTES)),
    takeAway: ({ reads, writes }) => storeWhole(AT_BYTE.away, (reads ? 1 : 0) + (writes ? 2 : 0)),
    readsFailed: () => readWords(control, AT_BYTE.readsFailed, 4).readUInt32LE(0),
    counts: () => readCounts(control),
    cut: (random) => {
      const figures = cutPower({ watched, platter, random });
      adopt();
      return figures;
    },
  };
}

function readWords(control: number, atByte: number, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  readSync(control, bytes, 0, length, atByte);
  return bytes;
}

/** Where in the control file a stretch can be noted that is bad from now on. */
function freeStretchAt(control: number): number {
  for (let index = 0; index < BAD_STRETCHES; index++) {
    const atByte = AT_BYTE.bad + index * BAD_STRETCH_BYTES;
    const stretch = readWords(control, atByte, BAD_STRETCH_BYTES);
    if (stretch.readBigUInt64LE(8) >= stretch.readBigUInt64LE(16)) return atByte;
  }
  throw new Error("no more stretches can be bad");
}

function readCounts(control: number): DiskCounts {
  const bytes = readWords(control, AT_BYTE.counts, 6 * 8);
  const at = (index: number) => Number(bytes.readBigUInt64LE(index * 8));
  return { syncs: at(0), syncsFailed: at(1), folderSyncs: at(2), pagesKept: at(3), writes: at(4), syncsLied: at(5) };
}

/** Shared memory of SQLite and sockets are not on the disk. */
function isOnDisk(path: string): boolean {
  const facts = lstatSync(path);
  return !path.endsWith("-shm") && (facts.isFile() || facts.isDirectory());
}

function adoptFolder(watched: string, platter: string): void {
  for (const kind of ["inode", "dirs", "dirty"]) {
    rmSync(join(platter, kind), { recursive: true, force: true });
    mkdirSync(join(platter, kind));
  }
  const adoptOne = (folder: string) => {
    const names = join(platter, "dirs", String(statSync(folder).ino));
    mkdirSync(names);
    for (const name of readdirSync(folder)) {
      const path = join(folder, name);
      if (!isOnDisk(path)) continue;
      const facts = lstatSync(path);
      if (facts.isDirectory()) {
        symlinkSync(`../${facts.ino}`, join(names, name));
        adoptOne(path);
        continue;
      }
      const kept = join(platter, "inode", String(facts.ino));
      if (!existsSync(kept)) copyFileSync(path, kept);
      linkSync(kept, join(names, name));
    }
  };
  adoptOne(watched);
}

/** Every file and folder of a tree by its path below the root. */
function pathsBelow(root: string, below = ""): readonly string[] {
  return readdirSync(join(root, below)).flatMap((name) => {
    const path = join(below, name);
    if (!isOnDisk(join(root, path))) return [];
    return lstatSync(join(root, path)).isDirectory() ? [path, ...pathsBelow(root, path)] : [path];
  });
}

interface Cut {
  readonly watched: string;
  readonly platter: string;
  readonly random: SeededRandom;
}

/** One sector of a file that is not the same on the platter and in the running machine's memory. */
interface WaitingSector {
  readonly file: string;
  readonly atByte: number;
  readonly bytes: Buffer;
}

function cutPower({ watched, platter, random }: Cut): CutFigures {
  const share = [0, 0.05, 0.5, 0.95][random.whole({ min: 0, max: 3 })] ?? 0;
  const namesReached = random.fraction() < 0.4;
  const image = `${watched}.after-the-cut`;
  const before = pathsBelow(watched);
  const kept = rebuild({ watched, platter, image, namesReached });
  const memory = new Map(before.map((path) => [lstatSync(join(watched, path)).ino, join(watched, path)]));
  const waiting: WaitingSector[] = [];
  for (const { path, inode } of kept) {
    const now = inode === null ? undefined : memory.get(inode);
    const dirtyFile = join(platter, "dirty", String(inode));
    if (now === undefined || !existsSync(dirtyFile)) continue;
    const sectors = waitingSectors(path, now, readFileSync(dirtyFile));
    waiting.push(...sectors);
    // The shorter length of a file may have reached the disk by itself.
    const length = statSync(now).size;
    if (share > 0 && length < statSync(path).size && random.fraction() < share) truncateSync(path, length);
  }
  const reached = waiting.filter(() => random.fraction() < share);
  for (const sector of reached) overwrite(sector, sector.bytes.length);
  const torn = waiting[random.whole({ min: 0, max: Math.max(0, waiting.length - 1) })];
  if (torn !== undefined && !reached.includes(torn)) overwrite(torn, random.whole({ min: 1, max: torn.bytes.length }) - 1);
  chmodSync(image, statSync(watched).mode & 0o7777);
  rmSync(watched, { recursive: true });
  renameSync(image, watched);
  const after = new Set(pathsBelow(watched));
  return {
    namesReached,
    share,
    sectorsWaiting: waiting.length,
    sectorsReached: reached.length,
    namesLost: before.filter((path) => !after.has(path)),
    namesBack: [...after].filter((path) => !before.includes(path)),
  };
}

/** Lays the files of the platter out in a folder. Returns each with the number it had in the watched folder, null where it had none. */
function rebuild(of: {
  readonly watched: string;
  readonly platter: string;
  readonly image: string;
  readonly namesReached: boolean;
}): readonly { readonly path: string; readonly inode: number | null }[] {
  const { watched, platter, image, namesReached } = of;
  const files: { readonly path: string; readonly inode: number | null }[] = [];
  const inodes = readdirSync(join(platter, "inode"));
  const byKept = new Map(inodes.map((inode) => [statSync(join(platter, "inode", inode)).ino, Number(inode)]));
  const copy = (from: string | null, path: string, inode: number | null) => {
    if (from === null) writeFileSync(path, "");
    else copyFileSync(from, path);
    files.push({ path, inode });
  };
  const fromMemory = (folder: string, to: string) => {
    mkdirSync(to);
    for (const name of readdirSync(folder).filter((each) => isOnDisk(join(folder, each)))) {
      const { ino } = lstatSync(join(folder, name));
      const kept = join(platter, "inode", String(ino));
      if (lstatSync(join(folder, name)).isDirectory()) fromMemory(join(folder, name), join(to, name));
      else copy(existsSync(kept) ? kept : null, join(to, name), ino);
    }
  };
  const fromPlatter = (names: string, to: string) => {
    mkdirSync(to);
    for (const name of readdirSync(names)) {
      const kept = join(names, name);
      const facts = lstatSync(kept);
      if (facts.isSymbolicLink()) fromPlatter(join(platter, "dirs", basename(readlinkSync(kept))), join(to, name));
      else copy(kept, join(to, name), byKept.get(facts.ino) ?? null);
    }
  };
  rmSync(image, { recursive: true, force: true });
  if (namesReached) fromMemory(watched, image);
  else fromPlatter(join(platter, "dirs", String(statSync(watched).ino)), image);
  return files;
}

/** The sectors of dirty pages that differ. A page whose fsync failed is not dirty any more: nobody will ever write it. */
function waitingSectors(file: string, now: string, dirty: Buffer): readonly WaitingSector[] {
  const old = readFileSync(file);
  const memory = readFileSync(now);
  const sectors: WaitingSector[] = [];
  for (let page = dirty.indexOf(1); page >= 0; page = dirty.indexOf(1, page + 1)) {
    for (let atByte = page * PAGE_BYTES; atByte < Math.min((page + 1) * PAGE_BYTES, memory.length); atByte += SECTOR_BYTES) {
      const bytes = memory.subarray(atByte, atByte + SECTOR_BYTES);
      if (!old.subarray(atByte, atByte + SECTOR_BYTES).equals(bytes)) sectors.push({ file, atByte, bytes });
    }
  }
  return sectors;
}

function overwrite({ file, atByte, bytes }: WaitingSector, length: number): void {
  const handle = openSync(file, "r+");
  writeSync(handle, bytes, 0, length, atByte);
  closeSync(handle);
}
